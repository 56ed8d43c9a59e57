"""dogpile.cache: regions whose values one thread makes while the others wait."""

import threading
import time
import unittest

from dogpile.cache import make_region
from dogpile.cache.api import NO_VALUE
from support import PORT, Case


class Dogpile(Case):
    def region(self, **more):
        arguments = {"host": "127.0.0.1", "port": PORT, "redis_expiration_time": 60, **more}
        return make_region().configure("dogpile.cache.redis", expiration_time=30, arguments=arguments)

    def test_values(self):
        it = self.region()
        it.set("a", [1, 2])
        self.assertEqual(it.get("a"), [1, 2])
        self.assertTrue(50 < self.plain.ttl("a") <= 60)
        it.set_multi({"b": 1, "c": 2})
        self.assertEqual(it.get_multi(["b", "none", "c"]), [1, NO_VALUE, 2])
        it.delete_multi(["b", "c"])
        self.assertEqual(it.get("b"), NO_VALUE)
        self.assertEqual(it.get_or_create_multi(["a", "d"], lambda *keys: [key * 2 for key in keys]), [[1, 2], "dd"])
        it.invalidate()
        self.assertEqual(it.get("a"), NO_VALUE)

    def test_locks(self):
        it = self.region(distributed_lock=True, lock_timeout=20, lock_sleep=0.01, thread_local_lock=False)
        made, got = [], []

        @it.cache_on_arguments()
        def slow(n):
            made.append(n)
            time.sleep(0.2)
            return n * 2

        threads = [threading.Thread(target=lambda: got.append(slow(21))) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((got, made), ([42] * 5, [21]))
        slow.invalidate(21)
        self.assertEqual((slow(21), made), (42, [21, 21]))
        mutex = it.backend.get_mutex("door")
        self.assertTrue(mutex.acquire(False))
        self.assertFalse(it.backend.get_mutex("door").acquire(False))
        mutex.release()


if __name__ == "__main__":
    unittest.main()
