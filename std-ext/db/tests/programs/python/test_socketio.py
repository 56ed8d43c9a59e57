"""python-socketio: two servers, and a process without one, that reach each other's clients."""

import asyncio
import unittest

import socketio
from aiohttp import web
from support import URL, Case


class Socketio(Case, unittest.IsolatedAsyncioTestCase):
    async def serve(self):
        """Starts a server whose clients join the room that they name. Returns its address."""
        it = socketio.AsyncServer(async_mode="aiohttp", client_manager=socketio.AsyncRedisManager(URL))

        @it.event
        async def join(sid, room):
            await it.enter_room(sid, room)
            return True

        @it.event
        async def say(sid, room, text):
            await it.emit("said", text, room=room)

        app = web.Application()
        it.attach(app)
        runner = web.AppRunner(app)
        await runner.setup()
        self.addAsyncCleanup(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return "http://127.0.0.1:{1}".format(*runner.addresses[0][:2])

    async def client(self, address, room):
        heard = asyncio.Queue()
        it = socketio.AsyncClient()
        it.on("said", heard.put)
        await it.connect(address, transports=["websocket"])
        self.addAsyncCleanup(it.disconnect)
        self.assertTrue(await it.call("join", room, timeout=20))
        return it, heard

    async def test_rooms(self):
        first, second = await self.serve(), await self.serve()
        one, heard_one = await self.client(first, "room")
        _, heard_two = await self.client(second, "room")
        _, heard_other = await self.client(second, "other")
        # The servers subscribe in the background.
        while self.plain.pubsub_numsub("socketio")[0][1] < 2:
            await asyncio.sleep(0.01)
        await one.emit("say", ("room", "hello"))
        for heard in heard_one, heard_two:
            self.assertEqual(await asyncio.wait_for(heard.get(), 20), "hello")
        outside = socketio.AsyncRedisManager(URL, write_only=True)
        await outside.emit("said", "from outside", room="room")
        for heard in heard_one, heard_two:
            self.assertEqual(await asyncio.wait_for(heard.get(), 20), "from outside")
        self.assertTrue(heard_other.empty())


if __name__ == "__main__":
    unittest.main()
