// @socket.io/redis-adapter: two servers, and a message to a room that reaches a client of the other server.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";
import { io as connect } from "socket.io-client";
import { eventually, plain, url } from "./support.mjs";

for (const make of [createAdapter, createShardedAdapter]) {
  const ends = [];

  async function start() {
    const client = createClient({ url });
    const subscriber = client.duplicate();
    await Promise.all([client.connect(), subscriber.connect()]);
    const http = createServer().listen(0, "127.0.0.1");
    await once(http, "listening");
    const server = new Server(http, { adapter: make(client, subscriber) });
    server.on("connection", (socket) => socket.on("join", (room, done) => done(socket.join(room))));
    ends.push(async () => {
      await server.close();
      await Promise.all([client.close(), subscriber.close()]);
    });
    return [server, `http://127.0.0.1:${http.address().port}`];
  }

  async function enter(address, room) {
    const socket = connect(address, { transports: ["websocket"] });
    const heard = [];
    socket.on("news", (text) => heard.push(text));
    await once(socket, "connect");
    await socket.emitWithAck("join", room);
    ends.unshift(() => socket.disconnect());
    return [heard, socket];
  }

  const [[one, first], [other, second]] = [await start(), await start()];
  const [near] = await enter(first, "room");
  const [far, socket] = await enter(second, "room");
  const [outside] = await enter(second, "elsewhere");
  // The servers subscribe in the background, so the first message may find no other.
  await eventually(async () => (await one.fetchSockets()).length === 3);
  one.to("room").emit("news", "hello");
  await eventually(() => near.length === 1 && far.length === 1);
  other.to("room").emit("news", "back");
  await eventually(() => near.length === 2 && far.length === 2);
  assert.deepEqual([near, far, outside], [["hello", "back"], ["hello", "back"], []]);
  one.emit("news", "all");
  await eventually(() => outside.length === 1);
  // Servers ask each other, and change each other's rooms.
  assert.equal((await one.in("room").fetchSockets()).length, 2);
  other.on("ask", (text, answer) => answer(`${text}, too`));
  assert.deepEqual(await one.serverSideEmitWithAck("ask", "you"), ["you, too"]);
  one.in(socket.id).socketsLeave("room");
  await eventually(async () => (await one.in("room").fetchSockets()).length === 1);
  one.disconnectSockets();
  await eventually(() => !socket.connected);
  for (const end of ends) await end();
}
await plain.quit();
