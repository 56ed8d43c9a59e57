"""limits, the library of Flask-Limiter and slowapi."""

import asyncio
import time
import unittest

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
            kinds = aio_strategies.FixedWindowRateLimiter, aio_strategies.MovingWindowRateLimiter
            return [[await it.hit(parse("2/minute"), it) for _ in range(3)] for it in (kind(storage) for kind in kinds)]

        self.assertEqual(asyncio.run(hits()), [[True, True, False]] * 2)

    def test_moving_window(self):
        it, limit = strategies.MovingWindowRateLimiter(self.storage), parse("3/minute")
        self.assertEqual([it.hit(limit, "rose") for _ in range(5)], [True] * 3 + [False] * 2)
        self.assertTrue(it.hit(limit, "violet", cost=2))
        self.assertFalse(it.test(limit, "violet", cost=2))
        stats = it.get_window_stats(limit, "violet")
        self.assertEqual(stats.remaining, 1)
        self.assertTrue(50 < stats.reset_time - time.time() <= 61)
        it.clear(limit, "rose")
        self.assertTrue(it.hit(limit, "rose"))
        second = parse("2/second")
        self.assertEqual([it.hit(second, "rose") for _ in range(3)], [True, True, False])
        eventually(lambda: it.hit(second, "rose"))

    def test_reset(self):
        it, limit = strategies.FixedWindowRateLimiter(self.storage), parse("1/minute")
        self.assertEqual([it.hit(limit, "reset") for _ in range(2)], [True, False])
        # Its script looks for the keys that it deletes.
        self.assertGreater(self.storage.reset(), 0)
        self.assertTrue(it.hit(limit, "reset"))


if __name__ == "__main__":
    unittest.main()
