#!/usr/bin/env python3
"""Many keys that expire at the same moment: how long a client waits meanwhile, and what the server's processor spends.

    cargo build --release -p hedgerow-db
    benches/mass_expiry.py target/release/hedgerow-db [--keys 2000000] [--rounds 3]

redis-benchmark stores the keys, and one client sets other keys without a pause while they are removed. redis-server is
measured in turns with the program. All needs redis-server and redis-benchmark.
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(__file__), "../std-ext/db/tests/cluster"))

from network import free_ports  # noqa: E402
from resp import Connection  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
# Keys of the client that waits.
OTHERS = 1000


def connect(port):
    end = time.monotonic() + 30
    while True:
        try:
            return Connection(("127.0.0.1", port), 30.0)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def cpu(child):
    with open(f"/proc/{child.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def fill(port, keys, connection):
    """Stores at least so many keys, which expire at the same moment. Returns that moment."""
    # Random keys, some of them the same. A million requests take less than four seconds.
    requests = keys * 8 // 5
    moment = time.time() + 3 + requests / 250_000
    subprocess.run(
        ["redis-benchmark", "-p", str(port), "-c", "4", "-P", "128", "-n", str(requests), "-r", str(requests), "-q",
         "SET", "key:__rand_int__", "value", "PXAT", str(int(1000 * moment))], check=True, stdout=subprocess.DEVNULL)
    stored = connection.command("DBSIZE")
    if time.time() > moment or stored < keys:
        sys.exit(f"FAILED: the machine is too slow: {stored} keys were stored in time")
    return moment


def measure(command, keys):
    """Returns the longest and the 99th percentile of all waits in milliseconds, the seconds of processor time, and the
    seconds until all keys were removed."""
    port, folder = free_ports(1)[0], tempfile.mkdtemp(prefix="expiry-")
    child = subprocess.Popen(
        [*command, "--port", str(port), "--dir", folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with connect(port) as connection:
            moment = fill(port, keys, connection)
            while time.time() < moment:
                time.sleep(0.001)
            spent, waits = cpu(child), []
            while True:
                for _ in range(1000):
                    before = time.perf_counter()
                    connection.command("SET", f"other:{len(waits) % OTHERS}", "value")
                    waits.append(1e3 * (time.perf_counter() - before))
                if connection.command("DBSIZE") <= OTHERS:
                    break
            waits.sort()
            return waits[-1], waits[len(waits) * 99 // 100], cpu(child) - spent, time.time() - moment
    finally:
        child.kill()
        child.wait()
        subprocess.run(["rm", "-rf", folder], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--keys", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    servers = {"redis-server": ["redis-server", "--save", ""], "hedgerow-db": [os.path.abspath(options.program)]}
    found = {name: [] for name in servers}
    for _ in range(options.rounds):
        for name, command in servers.items():
            found[name].append(measure(command, options.keys))
    print("| | longest SET, ms | p99, ms | processor time, s | all removed after, s |")
    print("|---|--:|--:|--:|--:|")
    for name, rounds in found.items():
        cells = [f"{statistics.median(one):.2f}" for one in zip(*rounds)]
        print(f"| {name} | {' | '.join(cells)} |")


main()
