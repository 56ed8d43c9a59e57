"""channels-redis: the layer of Django Channels on messages, and the other one, which cannot run."""

import asyncio
import unittest

from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer
from support import URL, Case


class Channels(Case, unittest.IsolatedAsyncioTestCase):
    async def test_pubsub(self):
        one, other = RedisPubSubChannelLayer(hosts=[URL]), RedisPubSubChannelLayer(hosts=[URL])
        first, second = await one.new_channel(), await other.new_channel()
        await one.send(second, {"type": "hello", "n": 1})
        self.assertEqual(await asyncio.wait_for(other.receive(second), 20), {"type": "hello", "n": 1})
        await one.group_add("room", first)
        await other.group_add("room", second)
        await one.group_send("room", {"type": "chat", "text": "to all"})
        for layer, channel in (one, first), (other, second):
            self.assertEqual((await asyncio.wait_for(layer.receive(channel), 20))["text"], "to all")
        await other.group_discard("room", second)
        await one.group_send("room", {"type": "chat", "text": "to one"})
        self.assertEqual((await asyncio.wait_for(one.receive(first), 20))["text"], "to one")
        with self.assertRaises(asyncio.TimeoutError):
            await asyncio.wait_for(other.receive(second), 0.3)
        await one.flush()
        await other.flush()

    async def test_sorted_sets(self):
        layer = RedisChannelLayer(hosts=[URL])
        with self.lacks("ZREMRANGEBYSCORE"):
            await layer.send("channel", {"type": "hello"})
        await layer.close_pools()


if __name__ == "__main__":
    unittest.main()
