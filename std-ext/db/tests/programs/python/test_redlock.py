"""redlock-py: a lock on most of three servers."""

import unittest

from redlock import Redlock
from support import PORTS, Case, eventually


class RedlockPy(Case):
    def test_lock(self):
        servers = [{"host": "127.0.0.1", "port": port} for port in PORTS]
        it = Redlock(servers, retry_count=1)
        lock = it.lock("door", 20_000)
        self.assertTrue(0 < lock.validity < 20_000)
        self.assertFalse(Redlock(servers, retry_count=1).lock("door", 1000))
        self.assertEqual(self.plain.get("door"), lock.key.decode())
        it.unlock(lock)
        self.assertFalse(self.plain.exists("door"))
        # A lock on one server does not hinder the others, and one that expires is free.
        self.plain.set("door", "taken")
        self.assertTrue(it.lock("door", 100))
        self.assertTrue(eventually(lambda: it.lock("door", 1000)))


if __name__ == "__main__":
    unittest.main()
