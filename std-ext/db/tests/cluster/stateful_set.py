"""A StatefulSet without Kubernetes: processes with numbers, started and stopped as its controller does it.

Nodes keep their directories and get another address at each start. The highest numbers are stopped first. Stopping is
SIGTERM, and SIGKILL after the grace period. An update replaces one node after the other, the highest number first, and
waits until each is ready.
"""
import os
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scale"))

from nodes import Nodes, desired  # noqa: E402

PORT, METRICS = 6379, 9121


class StatefulSet(Nodes):
    """The pods of a cluster. `flags` are those of all nodes."""

    def __init__(self, program, folder, flags, grace=20.0):
        super().__init__(folder, self.pod, grace)
        self.program, self.flags = program, flags
        # Of the nodes that run: clients take a list that changes.
        self.addresses, self.hosts, self.starts = [], {}, 0
        self.killed, self.crashed = 0, []

    def pod(self, number, path):
        """Returns the command of a pod, which has a new address."""
        self.starts += 1
        host = f"127.77.{self.starts // 250}.{self.starts % 250 + 1}"
        self.hosts[number] = host
        values = {
            "dir": path, "bind": host, "port": PORT, "metrics-port": METRICS, "metrics-bind": host,
            "cluster-announce-ip": host, "cluster-announce-hostname": f"node-{number}.nodes",
            "cluster-zone": f"zone-{number % 3}", **self.flags,
        }
        return [self.program, *(word for name, value in values.items() for word in (f"--{name}", str(value)))]

    def start(self, number):
        super().start(number)
        self.addresses.append((self.hosts[number], PORT))

    def stop(self, number):
        # The Service forgets the pod first.
        self.addresses.remove((self.hosts[number], PORT))
        super().stop(number)

    def reap(self):
        before = dict(self.running)
        super().reap()
        for number, process in before.items():
            if number not in self.running:
                self.addresses.remove((self.hosts[number], PORT))
                self.crashed.append((number, process.returncode))

    def url(self, number):
        return f"http://{self.hosts[number]}:{METRICS}"

    def desired(self):
        return desired([self.url(number) for number in sorted(self.running)])

    def is_ready(self, number):
        try:
            with urllib.request.urlopen(f"{self.url(number)}/readyz", timeout=2.0) as answer:
                return answer.status == 200
        except OSError:
            return False

    def are_ready(self, count):
        return len(self.running) == count and all(self.is_ready(number) for number in self.running)

    def follow(self):
        """Does once what an autoscaler does: asks for the number, and sets it."""
        said = self.desired()
        if said:
            self.scale(said["desired"])
        else:
            self.scale(self.wanted)
        return said

    def update(self, is_up):
        """Replaces one node after the other."""
        for number in sorted(self.running, reverse=True):
            self.stop(number)
            while number in self.stopping:
                self.reap()
                time.sleep(0.02)
            self.start(number)
            end = time.monotonic() + 60
            while not (self.is_ready(number) and is_up()):
                if time.monotonic() > end:
                    raise TimeoutError(f"node {number} is not ready")
                # `is_up` starts processes, which take time from the nodes.
                time.sleep(0.2)

    def kill_all(self):
        for process in [*self.running.values(), *(process for process, _ in self.stopping.values())]:
            process.kill()
            process.wait()

    def say(self, text):
        print(f"  {text}", flush=True)
