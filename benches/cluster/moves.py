"""The table of moves: slots with a quarter of a million keys go from one group to another, idle and under load."""
import os
import re
import subprocess
import threading
import time

from measure import line, table
from processes import Groups, Refused

# A quarter of all slots, and of a million keys.
SLOTS = 4096
SECONDS = 3
# The default of cluster-move-rate, and the name of a row without it.
LIMIT = "8mb"
UNLIMITED = "writes, cluster-move-rate 0"


def slot_of(key):
    total = 0
    for byte in key.encode():
        total ^= byte << 8
        for _ in range(8):
            total = (total << 1 ^ 0x1021 if total & 0x8000 else total << 1) & 0xFFFF
    return total % 16384


def tags():
    """Returns a hash tag for each slot."""
    found, number = {}, 0
    while len(found) < 16384:
        found.setdefault(slot_of(str(number)), str(number))
        number += 1
    return found


def fill(node, names, keys, size):
    """Stores keys, as many of each tag."""
    value = os.urandom(size // 2).hex()
    with node.connect(120.0) as connection:
        for first in range(0, keys, 500):
            some = range(first, min(first + 500, keys))
            for n in some:
                connection.send("SET", f"{{{names[n % len(names)]}}}:{n}", value)
            for _ in some:
                connection.reply()


def write(node, tag, size):
    """Stores keys for some seconds, as fast as a move without a limit would. Returns how many."""
    value, end, written = os.urandom(size // 2).hex(), time.perf_counter() + SECONDS, 0
    some = max(1, (256 << 10) // (size + 48))
    with node.connect(120.0) as connection:
        while time.perf_counter() < end:
            for n in range(written, written + some):
                connection.send("SET", f"{{{tag}}}:{n}", value)
            for _ in range(some):
                connection.reply()
            written += some
    return written


class Prober(threading.Thread):
    """Writes a key of a slot that moves, by both primaries in turns, and notes the longest time without success."""

    def __init__(self, nodes, key):
        super().__init__(daemon=True)
        self.connections = [node.connect() for node in nodes]
        self.key, self.gap, self.ending, self.written = key, 0.0, False, 0

    def run(self):
        at, last = 0, time.perf_counter()
        while not self.ending:
            try:
                self.connections[at].command("SET", self.key, str(self.written))
            except Refused:
                at = 1 - at
            else:
                self.written += 1
                now = time.perf_counter()
                self.gap, last = max(self.gap, now - last), now
            time.sleep(0.0005)


def limit(groups, rate):
    """Sets the bytes a second that a move may send."""
    for node in groups.nodes:
        with node.connect() as connection:
            connection.command("CONFIG", "SET", "cluster-move-rate", rate)


def move(groups, slots, to):
    """Moves slots, and returns the seconds that it took."""
    done = subprocess.run(
        [groups.program, "cluster", "move", "--slots", slots, "--to", str(to), "--cluster-name", "bench",
         "--cluster-etcd", ",".join(groups.urls())], capture_output=True, text=True, check=False)
    found = re.search(r"took (\d+) ms", done.stdout)
    if not found:
        groups.fail(done.stdout + done.stderr)
    return int(found.group(1)) / 1e3


def moves(bench):
    """The time of a move of a quarter of all slots, the pause of its keys, and the rate of other slots meanwhile."""
    print(f"Moves of {SLOTS} slots with a quarter of a million keys from one group to another, on one machine.\n")
    table("value", "beside", "seconds", "keys/s", "longest pause of a key that moves, ms", "of the rate of other slots")
    names = tags()
    keys = 250_000 if bench.options.minutes >= 1 else 5_000
    for size in (64, 4096):
        with Groups(bench.options.program, bench.etcd, 2, 2, bench.options.folder) as groups:
            fill(groups.primary_of(0), [names[slot] for slot in range(SLOTS)], keys, size)
            for beside in ("nothing", "writes", UNLIMITED):
                source, target = groups.primary_of(0), groups.primary_of(1)
                limit(groups, "0" if beside == UNLIMITED else LIMIT)
                prober = Prober([source, target], f"{{{names[7]}}}:probe")
                prober.start()
                rates = None
                if beside != "nothing":
                    rates = Rates(source, names[5000])
                    rates.start()
                    rates.mark()
                    time.sleep(SECONDS)
                    rates.mark()
                seconds = move(groups, f"0-{SLOTS - 1}", 1)
                kept = rates.end() if rates else "-"
                prober.ending = True
                prober.join()
                bench.note(f"moves, {size}, {beside}", "cluster", {"seconds": seconds, "pause": prober.gap})
                line(size, beside, f"{seconds:.2f}", f"{keys / seconds:,.0f}", f"{1e3 * prober.gap:.0f}", kept)
                limit(groups, "0")
                move(groups, f"0-{SLOTS - 1}", 0)
            rates = Rates(groups.primary_of(0), names[5000])
            rates.start()
            rates.mark()
            time.sleep(SECONDS)
            rates.mark()
            written = write(groups.primary_of(1), names[9000], size)
            line(size, "writes, and as many plain writes at the other group instead of a move", f"{SECONDS}",
                 f"{written / SECONDS:,.0f}", "-", rates.end())
    print()


class Rates(threading.Thread):
    """Writes to a slot that does not move."""

    def __init__(self, node, tag):
        super().__init__(daemon=True)
        self.node, self.tag, self.marks = node, tag, []

    def run(self):
        self.child = subprocess.Popen(
            ["redis-benchmark", "-p", str(self.node.port), "-c", "64", "-n", "100000000", "-r", "10000", "-q", "SET",
             f"{{{self.tag}}}:__rand_int__", "x" * 64], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.child.wait()

    def mark(self):
        self.marks.append((time.perf_counter(), self.node.info("total_commands_processed")))

    def end(self):
        """Returns the rate since the last mark, of the rate between the marks before."""
        self.mark()
        self.child.kill()
        (t0, n0), (t1, n1), (t2, n2) = self.marks[-3:]
        return f"{(n2 - n1) / (t2 - t1) / ((n1 - n0) / (t1 - t0)):.2f}"
