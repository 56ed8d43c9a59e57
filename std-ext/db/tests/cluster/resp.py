"""Clients that speak RESP: one connection, and a client that follows a cluster."""
import re
import socket
import struct
import time

from models import ordered, whole

# A node that answers so has not executed the command.
NOT_NOW = ("CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY", "TRYAGAIN", "MISCONF", "OOM", "NOREPLICAS",
           "UNBLOCKED")


class Refused(Exception):
    """An error reply."""


class Unanswered(Exception):
    """The connection failed: nobody knows whether the command was executed."""


class Stopped(Exception):
    """The client was told to stop before its command was executed."""


def encoded(*words):
    """Returns a request as bytes."""
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


class Connection:
    """A client of one node."""

    def __init__(self, address, timeout=2.0):
        self.socket = socket.create_connection(address, timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def command(self, *words):
        self.send(*words)
        return self.reply()

    def send(self, *words):
        self.socket.sendall(encoded(*words))

    def values(self, keys, most=500):
        """Returns the values of many keys, in pipelines."""
        found = {}
        for at in range(0, len(keys), most):
            part = keys[at:at + most]
            self.ask_values(part)
            for key in part:
                found[key] = self.value(key)
        return found

    def ask_values(self, keys):
        """Asks for the values of keys, whose names say of what type they are."""
        self.socket.sendall(b"".join(encoded(name, key, *more) for key in keys for name, *more in [whole(key)]))

    def value(self, key):
        return ordered(whole(key)[0], self.reply())

    def replies_but_moved(self, count):
        """Reads replies, and passes over those that send the client to another group."""
        for _ in range(count):
            try:
                self.reply()
            except Refused as why:
                if not str(why).startswith("MOVED"):
                    raise

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the connection ended")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise Refused(rest.decode())
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"$":
            length = int(rest)
            if length < 0:
                return None
            text = self.file.read(length + 2)
            if len(text) != length + 2:
                raise ConnectionError("the connection ended")
            return text[:-2]
        if kind == b"*":
            count = int(rest)
            return None if count < 0 else [self.reply() for _ in range(count)]
        raise ConnectionError(f"not a reply: {line!r}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        # With a reset, so that the kernel does not deliver an abandoned command minutes later.
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        self.file.close()
        self.socket.close()


class ClusterClient:
    """Follows MOVED, and goes to another node when one does not answer."""

    def __init__(self, addresses, random, timeout, stopped):
        self.addresses, self.random, self.timeout, self.stopped = addresses, random, timeout, stopped
        self.address, self.connection = random.choice(addresses), None
        # When the command was sent that was executed, and a number of the connection.
        self.sent, self.connected = 0.0, 0

    def command(self, *words):
        """Executes a command once. Repeats it only if a node says that it was not executed."""
        while True:
            if self.stopped():
                raise Stopped
            try:
                if self.connection is None:
                    self.connection = Connection(self.address, self.timeout)
                    self.connected += 1
            except OSError:
                self.elsewhere()
                time.sleep(0.005)
                continue
            self.sent = time.monotonic()
            try:
                return self.connection.command(*words)
            except Refused as why:
                self.follow(str(why))
            except OSError as why:
                self.elsewhere()
                raise Unanswered(str(why)) from why

    def follow(self, why):
        moved = re.match(r"MOVED \d+ ([^ ]*):(\d+)$", why)
        if moved:
            self.drop()
            self.address = (moved.group(1), int(moved.group(2)))
        elif "rolled back" in why:
            # It was executed, and may still reach the log.
            self.elsewhere()
            raise Unanswered(why)
        elif why.startswith(NOT_NOW):
            self.elsewhere()
        else:
            raise Refused(why)
        time.sleep(0.002)

    def elsewhere(self):
        self.drop()
        self.address = self.random.choice(self.addresses)

    def drop(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None
