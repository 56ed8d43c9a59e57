#!/usr/bin/env python3
"""Starts and stops the nodes of a cluster on one machine, as many as the cluster wants.

  nodes.py --dir DIR [--begin N] [--port P] [--metrics-port P] [--grace SECONDS] [--every SECONDS] -- PROGRAM FLAGS...

Node n gets the flags `--port P+n --metrics-port P+n --dir DIR/n --cluster-ordinal n` behind yours, which should have
`--cluster yes --cluster-group auto --cluster-autoscale yes --cluster-autoscale-max N` and where etcd is. The number of
nodes is that of `/cluster/desired`. It begins with N nodes, or with as many as DIR has directories of. The highest
numbers are stopped first, with SIGTERM, and with SIGKILL after the grace. Directories stay. A node that ends by itself
is started again. SIGTERM and SIGINT stop all nodes.

On several machines, run your own: read the number at any node, start node n on any machine, and stop the highest.
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request

# How long a node that has just ended is not started again, in seconds.
PAUSE = 2.0


class Nodes:
    """The processes, by their numbers."""

    def __init__(self, folder, command, grace=60.0):
        self.folder, self.command, self.grace = folder, command, grace
        self.running, self.stopping, self.ended = {}, {}, {}
        self.wanted = 0

    def scale(self, count):
        """Runs as many nodes as this. Call it again and again."""
        self.wanted = count
        self.reap()
        for number in sorted(self.running, reverse=True):
            if number >= count:
                self.stop(number)
        for number in range(count):
            busy = number in self.running or number in self.stopping
            if not busy and time.monotonic() >= self.ended.get(number, 0.0) + PAUSE:
                self.start(number)

    def start(self, number):
        path = os.path.join(self.folder, str(number))
        os.makedirs(path, exist_ok=True)
        with open(f"{path}.log", "ab") as log:
            self.running[number] = subprocess.Popen(
                self.command(number, path), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.say(f"node {number} is started")

    def stop(self, number):
        process = self.running.pop(number)
        process.send_signal(signal.SIGTERM)
        self.stopping[number] = (process, time.monotonic() + self.grace)
        self.say(f"node {number} is stopped")

    def reap(self):
        """Notes the processes that have ended, and kills those that take too long."""
        for number, process in list(self.running.items()):
            if process.poll() is not None:
                self.say(f"node {number} has ended with {process.returncode}")
                self.ended[number] = time.monotonic()
                del self.running[number]
        for number, (process, until) in list(self.stopping.items()):
            if process.poll() is None and time.monotonic() > until:
                self.say(f"node {number} has not stopped in time, and is killed")
                process.kill()
                process.wait()
            if process.poll() is not None:
                del self.stopping[number]

    def end(self):
        """Stops all nodes, and waits for them."""
        for number in list(self.running):
            self.stop(number)
        while self.stopping:
            self.reap()
            time.sleep(0.05)

    def say(self, text):
        print(text, flush=True)


def desired(urls, timeout=2.0):
    """Returns what the first node that answers says; None if none does."""
    for url in urls:
        try:
            with urllib.request.urlopen(f"{url}/cluster/desired", timeout=timeout) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            pass
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", required=True)
    parser.add_argument("--begin", type=int, default=0)
    parser.add_argument("--port", type=int, default=7000)
    parser.add_argument("--metrics-port", type=int, default=9000)
    parser.add_argument("--grace", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=2.0)
    parser.add_argument("program", nargs="+", help="the program and its flags, behind --")
    given = parser.parse_args()

    def command(number, path):
        own = {"port": given.port + number, "metrics-port": given.metrics_port + number, "dir": path,
               "cluster-ordinal": number}
        return [*given.program, *(word for name, value in own.items() for word in (f"--{name}", str(value)))]

    os.makedirs(given.dir, exist_ok=True)
    there = [name for name in os.listdir(given.dir) if name.isdigit()]
    count = given.begin or len(there) or 1
    nodes = Nodes(given.dir, command, given.grace)
    ending = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.append(True))
    while not ending:
        nodes.scale(count)
        urls = [f"http://127.0.0.1:{given.metrics_port + number}" for number in sorted(nodes.running)]
        # Without an answer, all stay as they are.
        count = (desired(urls) or {"desired": count})["desired"]
        time.sleep(given.every)
    nodes.end()


if __name__ == "__main__":
    sys.exit(main())
