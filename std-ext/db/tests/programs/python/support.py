"""What the programs' tests share. `run` gives the port of the server in `PORT`, and of two more in `PORTS`."""

import contextlib
import os
import time
import unittest

import redis

PORT = int(os.environ["PORT"])
PORTS = [PORT, *map(int, os.environ["PORTS"].split())]
URL = f"redis://127.0.0.1:{PORT}/0"


def eventually(what, seconds=20):
    """Waits until `what` returns something true, and returns it."""
    end = time.monotonic() + seconds
    while not (got := what()):
        assert time.monotonic() < end, f"it does not happen within {seconds} s"
        time.sleep(0.01)
    return got


class Case(unittest.TestCase):
    """A test that begins with empty servers. `plain` is a client to look at what a program has stored."""

    def setUp(self):
        for port in PORTS:
            with redis.Redis(port=port) as client:
                client.flushall()
        self.plain = redis.Redis(port=PORT, decode_responses=True)
        self.addCleanup(self.plain.close)

    def keys(self):
        return sorted(self.plain.scan_iter())

    @contextlib.contextmanager
    def lacks(self, command, kind=redis.ResponseError):
        """Expects the error of a command that does not exist here."""
        with self.assertRaises(kind) as why:
            yield
        self.assertIn(f"unknown command '{command}'", str(why.exception))
