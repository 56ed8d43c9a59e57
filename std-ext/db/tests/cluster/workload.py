"""The clients of a chaos run: threads that execute commands at random, and write down what they were answered.

Each round has keys of its own, `r<round>:<kind>:...`, so its history is checked by itself, and thrown away.
"""
import random
import threading
import time

from checkers import TOKEN, Operation, token
from models import READS, ordered, random_command
from resp import ClusterClient, Connection, Refused, Stopped, Unanswered

# Tokens of a register before the next one begins: reads return all of it.
REGISTER = 300
# Operations on words before the next words begin: the search for an order takes longer for longer histories.
WORDS = 48
# What words are, one after the other.
KINDS = ("wrd", "lst", "hsh", "set", "zst")
# How long a client waits for an element, in seconds: less than for an answer.
PATIENCE = 0.2
LOCK_MS = 3000
# The commands of clients, with weights.
MIX = (("append", 30), ("read", 14), ("incr", 10), ("mset", 8), ("mget", 8), ("once", 8), ("lock", 4), ("word", 36),
       ("push", 8), ("pop", 8))
WRITES = (("append", 1),)


class Workload:
    """All clients, and the history of the round."""

    def __init__(self, cluster, clients, seed, mix=MIX, timeout=2.0, followers=True, pause=0.002):
        self.cluster, self.mix, self.timeout, self.pause = cluster, mix, timeout, pause
        self.round, self.operations, self.acks = -1, [], []
        self.words, self.onces, self.pushes = 0, 0, 0
        self.open, self.ending = False, False
        self.moved = threading.Condition()
        self.clients = [Client(self, number, random.Random(f"{seed} {number}")) for number in range(clients)]
        if followers:
            self.clients.append(FollowerReader(self, clients, random.Random(f"{seed} follower")))
        for client in self.clients:
            client.start()

    def begin(self, number):
        """Lets the clients go on, with the keys of another round."""
        self.round, self.operations, self.words, self.onces, self.pushes = number, [], 0, 0, 0
        for client in self.clients:
            client.begin_round()
        with self.moved:
            self.open = True
            self.moved.notify_all()

    def stop(self, within=60.0):
        """Waits until no client has a command under way. Returns the history, or a sentence."""
        with self.moved:
            self.open = False
            done = self.moved.wait_for(lambda: all(client.idle for client in self.clients), within)
        failed = [f"client {client.number}: {client.failed!r}" for client in self.clients if client.failed]
        if failed:
            return None, failed[0]
        if not done:
            return None, "a client has no answer, and its connection did not fail"
        return self.operations, None

    def end(self):
        with self.moved:
            self.ending, self.open = True, False
            self.moved.notify_all()
        for client in self.clients:
            client.join(10)

    def gaps(self, begin, end):
        """Returns the longest times without an acknowledged change: of all clients, and of the unluckiest one."""
        own = [longest_gap([at for at in client.acks if begin <= at <= end], begin, end)
               for client in self.clients if client.writes]
        every = sorted(at for client in self.clients for at in client.acks if begin <= at <= end)
        return longest_gap(every, begin, end), max(own)

    def acknowledged(self):
        return sum(client.earlier + len(client.acks) for client in self.clients)


def longest_gap(times, begin, end):
    times = [begin, *times, end]
    return max(after - before for before, after in zip(times, times[1:]))


class Client(threading.Thread):
    """A client of the primary."""

    writes = True

    def __init__(self, workload, number, random):
        super().__init__(daemon=True)
        self.workload, self.number, self.random = workload, number, random
        self.kinds, self.weights = zip(*workload.mix)
        self.acks, self.idle, self.failed = [], False, None
        self.client = ClusterClient(workload.cluster.addresses, random, workload.timeout, lambda: not workload.open)
        self.earlier = 0
        self.begin_round()

    def begin_round(self):
        self.token, self.part, self.left_words, self.locks = 0, 0, -1, 0
        self.earlier, self.acks = self.earlier + len(self.acks), []

    def run(self):
        try:
            while self.wait_until_open():
                try:
                    self.step()
                except Stopped:
                    pass
                if self.workload.pause:
                    time.sleep(self.random.random() * self.workload.pause)
        except Exception as why:  # The main thread reports it.
            self.failed = why
        self.rest()

    def wait_until_open(self):
        if not self.workload.open:
            self.rest()
            with self.workload.moved:
                self.workload.moved.wait_for(lambda: self.workload.open or self.workload.ending)
                self.idle = False
        return not self.workload.ending

    def rest(self):
        with self.workload.moved:
            self.idle = True
            self.workload.moved.notify_all()

    def step(self):
        kind = self.random.choices(self.kinds, self.weights)[0]
        getattr(self, kind)(f"r{self.workload.round}")

    def do(self, kind, key, what, *words):
        """Executes a command and notes it. Returns whether there was an answer."""
        client, operations = self.client, self.workload.operations
        operation = Operation(kind, key, what, 0.0, None, None)
        try:
            operation.reply = ordered(words[0], client.command(*words))
            operation.end = time.monotonic()
        except Unanswered:
            pass
        operation.start, operation.via = client.sent, f"client {self.number}"
        operations.append(operation)
        is_read = kind in ("read", "mget", "held") or kind == "word" and what[0] in READS
        if operation.end is not None and not is_read and operation.reply is not None:
            self.acks.append(operation.end)
        return operation

    def register(self, number, part):
        return f"reg:{number}.{part}"

    def append(self, prefix):
        if self.token == REGISTER:
            self.part, self.token = self.part + 1, 0
        key, number = f"{prefix}:{self.register(self.number, self.part)}", self.token
        self.token += 1
        self.do("append", key, number, "APPEND", key, token(number))

    def any_register(self):
        other = self.workload.clients[self.random.randrange(len(self.workload.clients))]
        return self.register(other.number, other.part) if other.writes else self.register(self.number, self.part)

    def read(self, prefix):
        key = f"{prefix}:{self.any_register()}"
        self.do("read", key, None, "GET", key)

    def incr(self, prefix):
        key = f"{prefix}:cnt:{self.random.randrange(2)}"
        self.do("incr", key, None, "INCR", key)

    def pair(self, prefix):
        return f"{prefix}:par:{{{self.random.randrange(3)}}}"

    def mset(self, prefix):
        key, value = self.pair(prefix), b"%d.%d" % (self.number, self.random.randrange(1 << 48))
        self.do("mset", key, value, "MSET", key + "a", value, key + "b", value)

    def mget(self, prefix):
        key = self.pair(prefix)
        self.do("mget", key, None, "MGET", key + "a", key + "b")

    def once(self, prefix):
        # Several clients get the same number: they compete.
        self.workload.onces += 1
        key, value = f"{prefix}:one:{self.workload.onces // 4}", b"%d.%d" % (self.number, self.workload.onces)
        self.do("once", key, value, "SET", key, value, "NX")

    def lock(self, prefix):
        self.locks += 1
        key, value = f"{prefix}:lck:{self.number}.{self.locks}", b"%d" % self.number
        lock = self.do("lock", key, value, "SET", key, value, "NX", "PX", LOCK_MS)
        connected = self.client.connected
        if lock.end is None:
            return
        held = self.do("held", key, (value, lock.start, LOCK_MS / 1000), "GET", key)
        if connected != self.client.connected:
            # Another node's clock may be ahead of the first one's.
            held.end = None

    def word(self, prefix):
        self.workload.words += 1
        part = self.workload.words // WORDS
        if part == self.left_words:
            # An unanswered operation stays concurrent with all later ones: this client adds no second one.
            return
        kind = KINDS[part % len(KINDS)]
        key, (name, *more) = f"{prefix}:{kind}:{part}.{self.random.randrange(2)}", random_command(kind, self.random)
        if self.do("word", key, (name, *more), name, key, *more).end is None:
            self.left_words = part

    def queue(self, prefix):
        return f"{prefix}:que:{self.random.randrange(2)}"

    def push(self, prefix):
        self.workload.pushes += 1
        key, value = self.queue(prefix), b"%d.%d" % (self.number, self.workload.pushes)
        self.do("push", key, value, "RPUSH", key, value)

    def pop(self, prefix):
        key = self.queue(prefix)
        self.do("pop", key, None, "BLPOP", key, PATIENCE)


class FollowerReader(Client):
    """A client that reads at one node after the other, with READONLY."""

    writes = False
    connection, number_of_connection, left = None, 0, 0

    def step(self):
        try:
            if self.connection is None:
                self.connect()
            self.read_stale()
            self.left -= 1
            if self.left == 0:
                self.drop()
        except (OSError, Refused):
            self.drop()
            time.sleep(0.02)
        time.sleep(self.random.random() * 0.01)

    def connect(self):
        self.connection = Connection(self.random.choice(self.workload.cluster.addresses), self.workload.timeout)
        self.connection.command("READONLY")
        self.number_of_connection += 1
        self.left = self.random.randrange(1, 200)

    def drop(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def read_stale(self):
        prefix = f"r{self.workload.round}"
        start, operations = time.monotonic(), self.workload.operations
        if self.random.random() < 0.5:
            kind, key = "stale", f"{prefix}:{self.any_register()}"
            reply = self.connection.command("GET", key)
        else:
            kind, key = "stale pair", self.pair(prefix)
            reply = self.connection.command("MGET", key + "a", key + "b")
        via = f"connection {self.number_of_connection}"
        operations.append(Operation(kind, key, None, start, time.monotonic(), reply, via))

    def any_register(self):
        other = self.workload.clients[self.random.randrange(len(self.workload.clients) - 1)]
        return self.register(other.number, other.part)


assert len(token(REGISTER)) == TOKEN
