"""redis-py with asyncio, which has replaced the package aioredis."""

import asyncio
import unittest

from redis import asyncio as aioredis
from support import URL, Case


class RedisAsyncio(Case, unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.it = aioredis.from_url(URL, decode_responses=True, protocol=3)
        self.addAsyncCleanup(self.it.aclose)

    async def test_values(self):
        self.assertTrue(await self.it.set("rose", "red", ex=100))
        self.assertEqual(await self.it.get("rose"), "red")
        self.assertTrue(90 < await self.it.ttl("rose") <= 100)
        # The commands of many tasks share a pool of connections.
        await asyncio.gather(*(self.it.incr("n") for _ in range(200)))
        self.assertEqual(await self.it.get("n"), "200")
        self.assertEqual(sorted([key async for key in self.it.scan_iter()]), ["n", "rose"])

    async def test_transaction(self):
        async with self.it.pipeline(transaction=True) as pipe:
            got = await pipe.set("a", 1).incr("a").get("a").execute()
        self.assertEqual(got, [True, 2, "2"])

        async def double(pipe):
            value = int(await pipe.get("a"))
            pipe.multi()
            pipe.set("a", 2 * value)

        await asyncio.gather(*(self.it.transaction(double, "a") for _ in range(5)))
        self.assertEqual(await self.it.get("a"), "64")

    async def test_lock_and_script(self):
        inside, most = [], []

        async def work():
            async with self.it.lock("door", timeout=20, sleep=0.005):
                inside.append(1)
                most.append(len(inside))
                await asyncio.sleep(0.005)
                inside.pop()

        await asyncio.gather(*(work() for _ in range(10)))
        self.assertEqual((len(most), max(most)), (10, 1))
        script = self.it.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
        self.assertEqual([await script(["n"], [2]), await script(["n"], [3])], [2, 5])

    async def test_messages(self):
        async with self.it.pubsub() as pubsub:
            await pubsub.psubscribe("news:*")
            self.assertEqual((await pubsub.get_message(timeout=20))["type"], "psubscribe")
            await self.it.publish("news:1", "hello")
            got = await pubsub.get_message(timeout=20)
            self.assertEqual((got["type"], got["channel"], got["data"]), ("pmessage", "news:1", "hello"))


if __name__ == "__main__":
    unittest.main()
