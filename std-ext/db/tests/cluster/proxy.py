"""A proxy of TCP connections whose links can be cut by direction. It reads commands, one a line, and answers each:

    listen FROM TO PORT    opens a port for FROM that leads to TO's PORT on this machine; answers the port
    cut FROM TO            holds back all bytes from FROM to TO
    heal FROM TO           delivers them
"""
import asyncio
import sys


class Gates:
    """Which directions are open."""

    def __init__(self):
        self.gates = {}

    def gate(self, a, b):
        if (a, b) not in self.gates:
            self.gates[a, b] = asyncio.Event()
            self.gates[a, b].set()
        return self.gates[a, b]


async def pump(reader, writer, gate):
    try:
        while data := await reader.read(1 << 16):
            await gate.wait()
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        await gate.wait()
        writer.close()


async def listen(gates, a, b, port):
    async def accepted(reader, writer):
        try:
            target_reader, target_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(
            pump(reader, target_writer, gates.gate(a, b)), pump(target_reader, writer, gates.gate(b, a)))

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    return server.sockets[0].getsockname()[1]


async def main():
    gates, loop = Gates(), asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        words = line.split()
        answer = "ok"
        if words[0] == "listen":
            answer = await listen(gates, words[1], words[2], int(words[3]))
        elif words[0] == "cut":
            gates.gate(words[1], words[2]).clear()
        else:
            gates.gate(words[1], words[2]).set()
        print(answer, flush=True)


asyncio.run(main())
