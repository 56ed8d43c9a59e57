"""redis-py's client for clusters. It writes new keys all the time, and goes on through failovers.

  failover.py NAME PORT...     the name of the client, and the ports of the nodes

It answers the questions of `tests/failover/writers.rs` on the standard input.
"""
import logging
import sys
import threading
import time

import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException, RedisError

NAME = sys.argv[1]
ERRORS = (RedisError, RedisClusterException)
# Keys that are read at once.
CHUNK = 500
# The seconds that a wrong read may be repeated: a replica may be behind.
LIMIT = 30
# The client logs each redirection as an error.
logging.disable(logging.CRITICAL)
# Up to 4.3, which Debian 12 has, the client cannot ask for the nodes again once one of them has died (issue 2354 of
# redis-py): from then on it raises RedisClusterException, and a program needs another client.
ENDS = tuple(int(part) for part in redis.__version__.split(".")[:2]) < (4, 4)
# Then it also prints errors of objects that were not made.
if ENDS:
    sys.unraisablehook = lambda _: None


def connect(**options):
    nodes = [ClusterNode("127.0.0.1", int(port)) for port in sys.argv[2:]]
    return RedisCluster(startup_nodes=nodes, socket_timeout=0.3, socket_connect_timeout=0.3, **options)


class Writer(threading.Thread):
    """Writes, and never uses a key again that got no answer: it may be there or not."""

    def __init__(self):
        super().__init__(daemon=True)
        self.client = connect()
        self.keys, self.errors, self.ending = [], 0, False
        self.last, self.gap, self.lock = time.monotonic(), 0.0, threading.Lock()

    def run(self):
        tries = 0
        while not self.ending:
            key = f"{NAME}:{tries}"
            tries += 1
            try:
                self.client.set(key, key)
            except ERRORS as why:
                self.errors += 1
                if ENDS and isinstance(why, RedisClusterException):
                    self.connect_again()
            else:
                self.acknowledged(key)
            time.sleep(0.005)

    def connect_again(self):
        try:
            self.client = connect()
        except ERRORS:
            self.errors += 1

    def acknowledged(self, key):
        with self.lock:
            self.keys.append(key)
            now = time.monotonic()
            self.gap, self.last = max(self.gap, now - self.last), now

    def report(self):
        """Returns what was counted, and begins to measure the longest gap anew."""
        with self.lock:
            gap = max(self.gap, time.monotonic() - self.last)
            self.gap = 0.0
            return f"{len(self.keys)} {self.errors} {gap * 1000:.0f}"


def count(client, keys):
    """Returns how many keys are there, each of which has itself as value."""
    end, missing = time.monotonic() + LIMIT, keys
    while missing and time.monotonic() < end:
        left = []
        for at in range(0, len(missing), CHUNK):
            chunk = missing[at:at + CHUNK]
            try:
                values = client.mget_nonatomic(chunk)
            except ERRORS:
                values = [None] * len(chunk)
            left += [key for key, value in zip(chunk, values) if value != key.encode()]
        missing = left
    return len(keys) - len(missing)


def main():
    writer = Writer()
    writer.start()
    for line in sys.stdin:
        question = line.strip()
        if question == "report":
            answer = writer.report()
        elif question == "stop":
            writer.ending = True
            writer.join()
            answer = writer.report()
        else:
            client = connect(read_from_replicas=True) if question == "replicas" else writer.client
            answer = count(client, writer.keys)
        print(answer, flush=True)


main()
