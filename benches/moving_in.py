#!/usr/bin/env python3
"""Data that moves between redis-server and hedgerow-db: how fast files are stored, and whether a live import has all.

  benches/moving_in.py PROGRAM [--keys N] [--size BYTES] [--seconds N]

PROGRAM is hedgerow-db. redis-server is filled with strings of random bytes. First it writes an RDB file, which
hedgerow-db and another redis-server load, and hedgerow-db writes again. Then hedgerow-db follows the running server
while clients write to it for some seconds. At the end, the keys of both are compared: values and times to live.
"""
import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../std-ext/db/tests/cluster"))
sys.dont_write_bytecode = True

from network import free_ports  # noqa: E402
from resp import Connection, Refused, encoded  # noqa: E402

BATCH = 500


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20)
    return parser.parse_args()


class Server:
    """A server in a folder of its own, ready for clients."""

    def __init__(self, command, folder):
        os.makedirs(folder, exist_ok=True)
        self.port = free_ports(1)[0]
        self.begin = time.monotonic()
        self.child = subprocess.Popen(
            [*command, "--port", str(self.port)], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.client = self.connect()
        self.seconds = time.monotonic() - self.begin

    def connect(self):
        """Returns a connection to the server, which may be loading its data."""
        end = time.monotonic() + 600
        while True:
            try:
                client = Connection(("127.0.0.1", self.port), timeout=600)
                client.command("PING")
                return client
            except (OSError, Refused):
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def stop(self):
        self.child.kill()
        self.child.wait()


def redis(folder, *more):
    return Server(["redis-server", "--save", "", "--dir", ".", *more], folder)


def send(client, requests):
    client.socket.sendall(b"".join(requests))
    for _ in requests:
        client.reply()


def fill(client, keys, size):
    """Stores strings of random bytes, of which every tenth expires after a day."""
    pool = random.Random(1).randbytes(1 << 20)
    for first in range(0, keys, BATCH):
        requests = []
        for number in range(first, min(keys, first + BATCH)):
            at = number * 7919 % (len(pool) - size)
            expires = ("PX", 86_400_000 + number) if number % 10 == 0 else ()
            requests.append(encoded("SET", f"key:{number}", pool[at:at + size], *expires))
        send(client, requests)


def digest(client):
    """Returns the number of keys, and a sum over all keys with their values and ends."""
    cursor, keys, total = "0", 0, 0
    while True:
        cursor, found = client.command("SCAN", cursor, "COUNT", BATCH)
        requests = [encoded(word, key) for key in found for word in ("GET", "PEXPIRETIME")]
        client.socket.sendall(b"".join(requests))
        for key in found:
            value, expires = client.reply(), client.reply()
            text = b"%d %s %d " % (len(key), key, expires) + value
            total = (total + int.from_bytes(hashlib.sha1(text).digest()[:8], "big")) % 2**64
        keys += len(found)
        cursor = cursor.decode()
        if cursor == "0":
            return keys, f"{total:016x}"


def timed(command, folder):
    begin = time.monotonic()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - begin


def files(base, program, source):
    """Measures the file of a server, and prints a row for each step."""
    begin = time.monotonic()
    source.client.command("SAVE")
    saved = time.monotonic() - begin
    file = f"{base}/redis/dump.rdb"
    gigabytes = os.path.getsize(file) / 1e9
    print(f"| step, {gigabytes:.2f} GB of RDB | seconds | GB a minute |\n|---|--:|--:|")

    def row(step, seconds):
        print(f"| {step} | {seconds:.1f} | {gigabytes / seconds * 60:.1f} |", flush=True)

    row("redis-server: SAVE", saved)
    os.makedirs(f"{base}/copy")
    shutil.copy(file, f"{base}/copy/dump.rdb")
    copy = redis(f"{base}/copy")
    row("redis-server: start with the file", copy.seconds)
    copy.stop()
    row("hedgerow-db import", timed([program, "import", file, "--dir", "imported"], base))
    own = Server([program, "--dir", "."], f"{base}/imported")
    row("hedgerow-db: start with that directory", own.seconds)
    of_redis, of_own = digest(source.client), digest(own.client)
    own.stop()
    row("hedgerow-db export", timed([program, "export", "again.rdb", "--dir", "imported"], base))
    return of_redis, of_own


class Writers:
    """Clients that write until they are told to stop."""

    def __init__(self, server, keys, count=2):
        self.stopped, self.written = threading.Event(), [0] * count
        self.threads = [
            threading.Thread(target=self.write, args=(n, server.connect(), keys)) for n in range(count)]
        for thread in self.threads:
            thread.start()

    def write(self, number, client, keys):
        chance = random.Random(number)
        while not self.stopped.is_set():
            requests = []
            for _ in range(50):
                key = f"key:{chance.randrange(keys)}"
                requests.append(encoded(*chance.choice((
                    ("SET", key, chance.randbytes(100)),
                    ("APPEND", key, "more"),
                    ("DEL", key),
                    # At its end at once, or not before the keys are compared.
                    ("PEXPIRE", key, chance.choice((1, 86_400_000 + chance.randrange(86_400_000)))),
                    ("INCR", f"count:{chance.randrange(1000)}"),
                    ("GETSET", key, "other"),
                ))))
            send(client, requests)
            self.written[number] += len(requests)

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()
        return sum(self.written)


def live(base, program, source, keys, seconds):
    """Follows a server while clients write to it."""
    writers = Writers(source, keys)
    begin = time.monotonic()
    follower = subprocess.Popen(
        [program, "import", "--live", f"redis://127.0.0.1:{source.port}", "--dir", f"{base}/live"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for said in follower.stderr:
        print(f"# {said.rstrip()}", flush=True)
        if said.startswith("caught up"):
            break
    caught_up = time.monotonic() - begin
    # Its later lines are short, and are read at the end.
    time.sleep(seconds)
    written, took = writers.stop(), time.monotonic() - begin
    begin = time.monotonic()
    source.client.command("SET", "last", "1")
    while source.client.command("WAIT", "1", "1000") != 1:
        pass
    rest = time.monotonic() - begin
    follower.send_signal(signal.SIGINT)
    follower.stderr.read()
    assert follower.wait() == 0, "the import failed"
    print(f"live: {written} commands in {took:.1f} s meanwhile; caught up after {caught_up:.1f} s, and "
          f"{rest * 1000:.0f} ms after the last write")
    own = Server([program, "--dir", "."], f"{base}/live")
    # Keys whose end has come are away in both.
    found = digest(source.client), digest(own.client)
    own.stop()
    return found


def main():
    asked = options()
    program = os.path.abspath(asked.program)
    base = tempfile.mkdtemp(prefix="moving-in-")
    source = redis(f"{base}/redis", "--repl-backlog-size", "256mb", "--repl-diskless-sync-delay", "0")
    try:
        fill(source.client, asked.keys, asked.size)
        of_files = files(base, program, source)
        shutil.rmtree(f"{base}/imported")
        of_live = live(base, program, source, asked.keys, asked.seconds)
    finally:
        source.stop()
        shutil.rmtree(base)
    for name, (theirs, ours) in (("files", of_files), ("live", of_live)):
        print(f"{name}: redis-server has {theirs[0]} keys, {theirs[1]}; hedgerow-db {ours[0]}, {ours[1]}")
    if any(theirs != ours for theirs, ours in (of_files, of_live)):
        sys.exit("the data differs")


if __name__ == "__main__":
    main()
