"""aiocache: a cache for asyncio, with locks of its own."""

import asyncio
import unittest

from aiocache import Cache, cached
from aiocache.lock import OptimisticLock, OptimisticLockError, RedLock
from aiocache.serializers import JsonSerializer
from support import PORT, Case, eventually


class Aiocache(Case, unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.it = Cache(Cache.REDIS, endpoint="127.0.0.1", port=PORT, namespace="main", serializer=JsonSerializer())
        self.addAsyncCleanup(self.it.close)

    async def test_values(self):
        it = self.it
        self.assertTrue(await it.set("a", {"x": 1}, ttl=60))
        self.assertEqual(await it.get("a"), {"x": 1})
        (key,) = self.keys()
        self.assertTrue(50 < self.plain.ttl(key) <= 60)
        await it.add("b", 1)
        with self.assertRaises(ValueError):
            await it.add("b", 2)
        self.assertEqual(await it.increment("n", 5), 5)
        self.assertTrue(await it.multi_set([("c", 3), ("d", [4])], ttl=30))
        self.assertEqual(await it.multi_get(["c", "d", "none"]), [3, [4], None])
        self.assertTrue(await it.exists("c"))
        self.assertTrue(await it.expire("c", 1000))
        self.assertEqual(await it.delete("c"), 1)
        self.assertEqual(await it.raw("get", "main:n"), "5")
        self.plain.set("others", 1)
        self.assertTrue(await it.clear(namespace="main"))
        self.assertEqual(self.keys(), ["others"])
        self.assertTrue(await it.clear())
        self.assertEqual(self.keys(), [])

    async def test_decorator(self):
        made = []

        @cached(ttl=60, cache=Cache.REDIS, endpoint="127.0.0.1", port=PORT, key_builder=lambda f, n: f"square:{n}")
        async def square(n):
            made.append(n)
            return n * n

        self.assertEqual([await square(3), await square(3), await square(4)], [9, 9, 16])
        eventually(lambda: len(self.keys()) == 2)
        self.assertEqual(made, [3, 4])
        await square.cache.close()

    async def test_locks(self):
        made = []

        async def work():
            async with RedLock(self.it, "key", lease=20):
                value = await self.it.get("key")
                if value is None:
                    made.append(1)
                    await asyncio.sleep(0.05)
                    await self.it.set("key", "made")

        # Only the first makes the value; the others wait for its lock.
        await asyncio.gather(*(work() for _ in range(5)))
        self.assertEqual(len(made), 1)
        async with OptimisticLock(self.it, "key") as lock:
            await self.it.set("key", "other")
            with self.assertRaises(OptimisticLockError):
                await lock.cas("mine")
        async with OptimisticLock(self.it, "key") as lock:
            await lock.cas("mine")
        self.assertEqual(await self.it.get("key"), "mine")


if __name__ == "__main__":
    unittest.main()
