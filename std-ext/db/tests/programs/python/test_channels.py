"""channels-redis: both layers of Django Channels, on messages and on sorted sets."""

import asyncio
import unittest

from channels.exceptions import ChannelFull
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
        one, other = RedisChannelLayer(hosts=[URL]), RedisChannelLayer(hosts=[URL], capacity=3)
        waiting = asyncio.ensure_future(one.receive("work"))
        await asyncio.sleep(0.1)
        for n in range(3):
            await other.send("work", {"type": "hello", "n": n})
        self.assertEqual(await asyncio.wait_for(waiting, 20), {"type": "hello", "n": 0})
        self.assertEqual([(await one.receive("work"))["n"] for _ in range(2)], [1, 2])
        # Of a process: all its channels are one key, and the layer tells them apart.
        first, second, third = await one.new_channel(), await one.new_channel(), await other.new_channel()
        for name in first, second, third:
            await other.group_add("room", name)
        await one.group_send("room", {"type": "chat", "text": "to all"})
        for layer, name in (one, second), (one, first), (other, third):
            self.assertEqual((await asyncio.wait_for(layer.receive(name), 20))["text"], "to all")
        await one.group_discard("room", second)
        await other.group_send("room", {"type": "chat", "text": "to two"})
        self.assertEqual((await asyncio.wait_for(one.receive(first), 20))["text"], "to two")
        with self.assertRaises(asyncio.TimeoutError):
            await asyncio.wait_for(one.receive(second), 0.3)
        for _ in range(3):
            await other.send("full", {"type": "hello"})
        with self.assertRaises(ChannelFull):
            await other.send("full", {"type": "hello"})
        await one.flush()
        self.assertEqual(self.keys(), [])
        await one.close_pools()
        await other.close_pools()


if __name__ == "__main__":
    unittest.main()
