// Connects so many clients as it is told, has each ask once, and tells what an idle one costs. Called by `run`.

import { once } from "node:events";
import { connect } from "node:net";

const [port, many, most] = process.argv.slice(2).map(Number);

async function client() {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  return socket;
}

async function ask(socket, request, isWhole) {
  socket.write(request);
  let said = "";
  while (!isWhole(said)) said += (await once(socket, "data"))[0];
  return said;
}

const first = await client();
async function figure(name) {
  const info = await ask(first, "INFO\r\n", (said) => said.length > Number(said.match(/^\$(\d+)\r\n/)?.[1] ?? 1e9));
  return Number(info.match(new RegExp(`\r\n${name}:(\\d+)`))[1]);
}

async function each(sockets, request, wanted) {
  for (let from = 0; from < sockets.length; from += 500) {
    const answers = sockets.slice(from, from + 500).map((one) => ask(one, request, (said) => said.endsWith("\r\n")));
    for (const said of await Promise.all(answers)) if (said !== wanted) throw new Error(said);
  }
}

const before = await figure("used_memory_rss");
const sockets = [];
while (sockets.length < many) {
  sockets.push(...(await Promise.all(Array.from({ length: Math.min(250, many - sockets.length) }, client))));
}
await each(sockets, "PING\r\n", "+PONG\r\n");
const connected = await figure("connected_clients");
const counted = await figure("mem_clients_normal");
const info = await ask(sockets[0], "CLIENT INFO\r\n", (said) => said.endsWith("\n\r\n"));
const buffers = counted - connected * Number(info.match(/ tot-mem=(\d+)/)[1]);
const after = await figure("used_memory_rss");
const cost = Math.round((after - before) / many);
console.log(
  `${connected} clients: ${cost} bytes of memory each (${(before / 1e6).toFixed(1)} MB before, ` +
    `${(after / 1e6).toFixed(1)} MB with them), ${Math.round(counted / connected)} of them counted`,
);
if (connected !== many + 1) throw new Error("some are missing");
if (buffers > 1 << 20) throw new Error(`idle clients hold ${buffers} bytes of buffers`);
if (Math.abs(counted - cost * connected) > 0.25 * counted) throw new Error("INFO counts other memory than they take");
if (cost > most) throw new Error(`more than ${most} bytes each`);
// All of them are still served.
await each(sockets, "*3\r\n$3\r\nSET\r\n$4\r\nrose\r\n$3\r\nred\r\n", "+OK\r\n");
for (const socket of sockets) socket.destroy();
first.destroy();
