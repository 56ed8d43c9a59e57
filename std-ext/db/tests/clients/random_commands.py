#!/usr/bin/env python3
"""Sends random commands to hedgerow-db and to redis-server, and compares their replies byte by byte.

    python3 std-ext/db/tests/clients/random_commands.py PROGRAM [--seconds N] [--seed N] [--redis PROGRAM] [--self-test]

Of each four sessions, two speak RESP2 and two RESP3; two have three clients that take turns, and two have one client,
whose commands are sent at once. The first is played by both servers in the same way, and shows whether each command is
right; the second shows whether a batch of commands has the effects of its commands. A session that differs is played
again with fewer commands until no command can be left out, and is printed. `--self-test` changes a reply now and then:
the script then fails unless it finds that.
"""
import argparse
import io
import pathlib
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from random_words import Words

# Replies that `docs/limits.md` explains. Later replies of the session may differ, too.
EXPLAINED = re.compile(
    rb"not allowed inside a transaction|databases cannot be swapped inside|in a transaction with scripts"
    rb"|only the selected database"
)
# The head of a message to a subscriber.
MESSAGE = re.compile(rb"[*>]([34])\r\n\$[78]\r\n[ps]?message\r\n")
# Commands in a session, and differences after which the script ends.
LENGTH, ENOUGH = 120, 20
# The first commands of every session.
CLEAN = [[b"FLUSHALL"], [b"SCRIPT", b"FLUSH"], [b"ACL", b"DELUSER", b"u"],
         [b"CONFIG", b"SET", b"slowlog-log-slower-than", b"-1"]]


class Connection:
    """A client that keeps the bytes of its replies."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        self.queues = False

    def send(self, *commands):
        bulk = lambda word: b"$%d\r\n%s\r\n" % (len(word), word)
        self.socket.sendall(b"".join(b"*%d\r\n" % len(words) + b"".join(map(bulk, words)) for words in commands))

    def reply(self):
        line = self.file.readline()
        if not line:
            raise EOFError
        kind, length = line[:1], line[1:-2]
        if kind in b"$=!" and length != b"-1":
            return line + self.file.read(int(length) + 2)
        if kind in b"*~>%" and length != b"-1":
            return line + b"".join(self.reply() for _ in range(int(length) * (2 if kind == b"%" else 1)))
        return line

    def reply_behind_messages(self):
        """The next reply, with the messages in front of it."""
        replies = [self.reply()]
        while replies[-1].startswith(b">"):
            replies.append(self.reply())
        return replies

    def up_to_marker(self):
        self.send([b"PING", b"MARKER"])
        replies = []
        while b"MARKER" not in (reply := self.reply()):
            replies.append(reply)
        return replies

    def call(self, words):
        """All that the server sends for a command. Between MULTI and EXEC, a marker would be queued."""
        name = words[0].upper()
        self.send(words)
        try:
            replies = self.reply_behind_messages() if self.queues or name == b"MULTI" else []
            if name == b"MULTI" and not self.queues:
                self.queues = replies[-1] == b"+OK\r\n"
            elif name in (b"EXEC", b"DISCARD", b"RESET") and not replies[-1:] == [wrong_number(name)]:
                self.queues = False
            return b"".join(replies + ([] if self.queues else self.up_to_marker()))
        except EOFError:
            return b"closed"

    def call_at_once(self, commands):
        """All that the server sends for commands that are sent at once."""
        self.send(*commands, [b"DISCARD"])
        return b"".join(self.up_to_marker())

    def close(self):
        """Waits until the server has closed the connection: the next session must not count its subscriptions."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
            self.file.read()
        except ConnectionError:
            pass
        self.file.close()
        self.socket.close()


def wrong_number(name):
    return b"-ERR wrong number of arguments for '%s' command\r\n" % name.lower()


def normal(replies):
    """The replies without clocks and ids."""
    replies = re.sub(rb"(\$2\r\nid\r\n:)\d+", rb"\1N", replies)
    # How a server stores a stream, and for how long a consumer was idle.
    replies = re.sub(rb"((?:radix-tree-(?:keys|nodes)|\$4\r\nidle)\r\n:)\d+", rb"\1N", replies)
    # How long the latest times of `random_words.py` are still to come, in seconds.
    replies = re.sub(rb":(9[78]|[678])\d{9}\r", rb":T\r", replies)
    return re.sub(rb":1[78]\d{8}(\d{3})?\r", rb":T\r", replies)


def split(replies):
    """The replies, and the messages to the client as a subscriber, each in order."""
    file, parts = io.BytesIO(replies), ([], [])

    def line():
        head = file.readline()
        has_text = head[:1] in (b"$", b"=", b"!") and head[1:2] != b"-"
        return head + file.read(int(head[1:-2]) + 2) if has_text else head

    while file.tell() < len(replies):
        message = MESSAGE.match(replies, file.tell())
        lines = int(message[1]) + 1 if message else 1
        parts[bool(message)].append(b"".join(line() for _ in range(lines)))
    return parts


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Server:
    def __init__(self, program, *options):
        self.port = free_port()
        self.folder = tempfile.mkdtemp()
        argv = [program, "--port", str(self.port), "--dir", self.folder, "--enable-debug-command", "yes", *options]
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
        end = time.monotonic() + 30
        while True:
            try:
                return Connection(self.port).close()
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise SystemExit(f"{program} does not listen") from None
                time.sleep(0.1)

    def connections(self, count, resp3):
        """Connections to an empty server. The second of several speaks RESP2 in any case."""
        connections = [Connection(self.port) for _ in range(count)]
        connections[0].call_at_once(CLEAN)
        for number, connection in enumerate(connections):
            if resp3 and number != 1:
                connection.call([b"HELLO", b"3"])
        return connections

    def stop(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Session:
    """Commands, and the number of the client that sends each."""

    def __init__(self, seed):
        self.seed = seed
        self.resp3, self.at_once = bool(seed & 1), bool(seed & 2)
        self.clients = 1 if self.at_once else 3
        source = random.Random(seed)
        words = Words(source)
        self.commands = [(source.randrange(self.clients), words.command()) for _ in range(LENGTH)]

    def difference(self, servers, commands, change):
        """Returns the number of commands up to the first difference, and the replies of both; or None."""
        both = [server.connections(self.clients, self.resp3) for server in servers]
        try:
            if self.at_once:
                sent = [words for _, words in commands]
                replies = [connections[0].call_at_once(sent) for connections in both]
                return self.compared(len(commands), sent, replies, change)
            for number, (client, words) in enumerate(commands):
                replies = [connections[client].call(words) for connections in both]
                if found := self.compared(number + 1, [words], replies, change):
                    return found
                if EXPLAINED.search(replies[0]) or b"closed" in replies:
                    break
            return None
        finally:
            for connection in both[0] + both[1]:
                connection.close()

    def compared(self, number, sent, replies, change):
        if EXPLAINED.search(replies[0]):
            return None
        ours, theirs = map(normal, replies)
        ours = change(ours)
        # Messages that a client gets during its own EXEC follow the reply. Those of redis-server 7.0.15 are within it,
        # in addition to its elements: see `docs/limits.md`.
        executes = any(words[0].upper() == b"EXEC" for words in sent)
        is_same = ours == theirs or executes and split(ours) == split(theirs)
        return None if is_same else (number, ours, theirs)

    def smallest(self, servers, found, change):
        """Leaves out commands while the rest still differs."""
        commands = self.commands[:found[0]]
        size = max(1, len(commands) // 2)
        while size:
            at = 0
            while at < len(commands):
                fewer = commands[:at] + commands[at + size:]
                if fewer and (again := self.difference(servers, fewer, change)):
                    commands, found = fewer[:again[0]], again
                else:
                    at += size
            size //= 2
        return commands, found

    def report(self, commands, found):
        print(f"seed {self.seed}: RESP{3 if self.resp3 else 2}" + (", sent at once" if self.at_once else ""))
        for client, words in commands:
            print(f"    {client}:", *(repr(word)[1:] for word in words))
        print("    hedgerow-db ", repr(found[1][:400]))
        print("    redis-server", repr(found[2][:400]), flush=True)


def play(servers, arguments):
    """Plays sessions until the time is over. Returns how many, and how many differ."""
    # A changed reply: that of STRLEN, INCR and others, if it is 5.
    change = (lambda ours: ours.replace(b":5\r\n", b":6\r\n")) if arguments.self_test else (lambda ours: ours)
    end, seed, differences = time.monotonic() + arguments.seconds, arguments.seed, 0
    while time.monotonic() < end and differences < (1 if arguments.self_test else ENOUGH):
        session = Session(seed)
        if found := session.difference(servers, session.commands, change):
            session.report(*session.smallest(servers, found, change))
            differences += 1
        seed += 1
    return seed - arguments.seed, differences


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--redis", default="redis-server")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    servers = []
    try:
        servers.append(Server(str(arguments.program.resolve())))
        servers.append(Server(arguments.redis, "--save", ""))
        sessions, differences = play(servers, arguments)
    finally:
        for server in servers:
            server.stop()
    print(f"{sessions} sessions of {LENGTH} random commands, {differences} of them differ")
    sys.exit(bool(differences) != arguments.self_test)


if __name__ == "__main__":
    main()
