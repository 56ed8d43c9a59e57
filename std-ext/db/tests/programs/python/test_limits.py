"""limits, the library of Flask-Limiter and slowapi."""

import asyncio
import unittest

import redis
from limits import parse, storage, strategies
from limits.aio import storage as aio_storage
from limits.aio import strategies as aio_strategies
from support import URL, Case, eventually


class Limits(Case):
    def setUp(self):
        super().setUp()
        self.storage = storage.storage_from_string(URL)
        self.assertTrue(self.storage.check())

    def test_fixed_window(self):
        it, limit = strategies.FixedWindowRateLimiter(self.storage), parse("3/minute")
        self.assertEqual([it.hit(limit, "rose") for _ in range(5)], [True] * 3 + [False] * 2)
        self.assertTrue(it.hit(limit, "violet", cost=2))
        self.assertFalse(it.test(limit, "rose"))
        self.assertEqual(it.get_window_stats(limit, "violet").remaining, 1)
        it.clear(limit, "rose")
        self.assertTrue(it.hit(limit, "rose"))
        second = parse("1/second")
        self.assertTrue(it.hit(second, "rose"))
        eventually(lambda: it.hit(second, "rose"))

    def test_sliding_window_counter(self):
        it, limit = strategies.SlidingWindowCounterRateLimiter(self.storage), parse("3/minute")
        self.assertEqual([it.hit(limit, "rose") for _ in range(5)], [True] * 3 + [False] * 2)
        self.assertEqual(it.get_window_stats(limit, "rose").remaining, 0)
        # The window that has ended counts by the part of it that is still in sight.
        second = parse("2/second")
        self.assertEqual([it.hit(second, "rose") for _ in range(3)], [True, True, False])
        eventually(lambda: it.hit(second, "rose"))
        it.clear(limit, "rose")
        self.assertTrue(it.hit(limit, "rose"))

    def test_asyncio(self):
        async def hits():
            storage = aio_storage.RedisStorage(f"async+{URL}", implementation="redispy")
            it = aio_strategies.FixedWindowRateLimiter(storage)
            return [await it.hit(parse("2/minute"), "rose") for _ in range(3)]

        self.assertEqual(asyncio.run(hits()), [True, True, False])

    def test_refused(self):
        # Its windows are lists.
        with self.assertRaisesRegex(redis.ResponseError, "Unknown Redis command called from script"):
            strategies.MovingWindowRateLimiter(self.storage).hit(parse("3/minute"), "rose")

    def test_reset(self):
        it, limit = strategies.FixedWindowRateLimiter(self.storage), parse("1/minute")
        self.assertEqual([it.hit(limit, "reset") for _ in range(2)], [True, False])
        # Its script looks for the keys that it deletes.
        self.assertGreater(self.storage.reset(), 0)
        self.assertTrue(it.hit(limit, "reset"))


if __name__ == "__main__":
    unittest.main()
