"""The cluster's own number of nodes, followed by a simulated StatefulSet: 3 nodes, 6 or 9, and 3 again, under load.

The times that a decision takes are seconds here. Each acknowledged write must be there at the end, no group may be left
behind in etcd, and a rolling restart must show no error to a client that retries. With an earlier version of the program,
the nodes start with that; they are upgraded, go back, and are upgraded again.
"""
import json
import os
import subprocess
import threading
import time
from random import Random

from checkers import check_history, final_keys
from models import ordered, whole
from processes import Cluster, Failed, Settings
from resp import ClusterClient, Connection, Refused, Stopped, Unanswered
from rounds import Violation
from stateful_set import StatefulSet
from workload import MIX, Workload

# The nodes of each group.
EACH = 3
# Memory of a node, and bytes of a value that fills it.
MEMORY = 16 << 20
VALUE = 16 << 10
FLAGS = {
    "cluster": "yes", "cluster-name": "test", "cluster-insecure": "yes", "cluster-group": "auto", "cluster-groups": 1,
    "cluster-replicas": 2, "cluster-lease": 1000, "cluster-move-rate": 0, "maxmemory": MEMORY, "threads": 1, "shards": 4,
    "protected-mode": "no", "shutdown-timeout": 5, "cluster-autoscale": "yes", "cluster-autoscale-min": 3,
    "cluster-autoscale-out-after": 2, "cluster-autoscale-in-after": 3,
    "cluster-autoscale-average": 1, "cluster-autoscale-full-within": 0,
}
# The keys that are written during a restart: enough for each group to have some.
KEYS = 24
# How long a step may take on a busy machine.
STEP = 120.0


class Scaling:
    """The processes, the clients, and what was seen."""

    def __init__(self, program, folder, etcd, most, clients, seed, earlier=None):
        self.most, self.program, self.earlier = most, os.path.realpath(program), earlier and os.path.realpath(earlier)
        self.etcd = Cluster(program, folder, etcd, Settings(nodes=0, network="proxies"))
        urls = ",".join(self.etcd.member_url(n, self.etcd.client_ports) for n in range(3))
        os.mkdir(f"{folder}/nodes")
        self.nodes = StatefulSet(self.earlier or self.program, f"{folder}/nodes", {
            **FLAGS, "cluster-autoscale-max": most, "cluster-etcd": urls})
        self.addresses = self.nodes.addresses
        self.clients, self.seed, self.workload = clients, seed, None
        self.seen, self.fillers, self.begun = [], 0, time.monotonic()

    def play(self):
        for n in range(3):
            self.etcd.start_member(n)
        self.nodes.scale(3)
        self.wait("three nodes serve", lambda: self.is_whole(1))
        self.workload = Workload(self, self.clients, self.seed, MIX, timeout=2.0, followers=False, pause=0.02)
        self.workload.begin(0)
        for groups in range(2, self.most // EACH + 1):
            self.fill(0.85 * MEMORY * (groups - 1))
            nodes = EACH * groups
            self.wait(f"{nodes} nodes serve", lambda: self.wants(nodes) and self.is_whole(groups))
        if self.earlier:
            for program in (self.program, self.earlier, self.program):
                self.nodes.program = program
                self.roll()
            self.finish_upgrade()
        else:
            self.roll()
        self.lose_zone()
        self.empty()
        self.wait("three nodes are left", lambda: self.wants(3) and len(self.nodes.running) == 3 and self.is_whole(1))
        self.check()

    # ---------------------------------------------------------------------------- steps

    def follow(self):
        said = self.nodes.follow()
        if said and (not self.seen or said["desired"] != self.seen[-1]["desired"]):
            self.seen.append(said)
            print(f"  {time.monotonic() - self.begun:.0f} s: {said['desired']} nodes: {said['reason']}", flush=True)
        if self.nodes.crashed:
            raise Violation(f"a node has crashed: {self.nodes.crashed}")

    def wait(self, what, so):
        begin = time.monotonic()
        while True:
            self.follow()
            if so():
                break
            if time.monotonic() > begin + STEP:
                raise Violation(f"not within {STEP:.0f} s: {what}\n{self.admin('nodes')[1]}\n{self.admin('move')[1]}")
            time.sleep(0.2)
        print(f"{what}, after {time.monotonic() - begin:.0f} s", flush=True)

    def wants(self, nodes):
        return self.seen and self.seen[-1]["desired"] == nodes

    def is_whole(self, groups):
        """Returns whether there are so many groups, each with three nodes and some slots, and nothing moves."""
        _, said = self.admin("nodes", "--json")
        if not said.startswith("{"):
            return False
        listing, _ = json.JSONDecoder().raw_decode(said)
        found = {}
        for node in listing.get("nodes", ()):
            if node["group"] is not None:
                found.setdefault(node["group"], []).append(node["state"])
        whole = all(sorted(of) == ["follower", "follower", "primary"] for of in found.values())
        if not (whole and len(found) == groups):
            return False
        with_slots = {owner for owner in self.owners() if owner}
        return len(with_slots) == groups and self.admin("move")[1].startswith("No slots are being moved.")

    def owners(self):
        """Returns the primaries of all slots in the eyes of one node."""
        for address in list(self.addresses):
            try:
                with Connection(address, 2.0) as connection:
                    return [tuple(one[2][:2]) for one in connection.command("CLUSTER", "SLOTS")]
            except (OSError, Refused):
                pass
        return []

    def admin(self, *words):
        settings = [word for name in ("cluster", "cluster-name", "cluster-etcd", "cluster-insecure")
                    for word in (f"--{name}", str(self.nodes.flags[name]))]
        asked = [self.program, "cluster", *map(str, words), *settings]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode == 0, done.stdout + done.stderr

    def retrying(self):
        return Retrying(self.addresses, Random(self.seed))

    def fill(self, until):
        """Writes values until the cluster has so many bytes of them. Nodes are started and stopped meanwhile."""
        client = self.retrying()
        while self.fillers * VALUE < until:
            client.do("SET", f"fill:{self.fillers}", b"%08d" % self.fillers * (VALUE // 8))
            self.fillers += 1
            if self.fillers % 50 == 0:
                self.follow()

    def empty(self):
        """Deletes the values, but for some that must be there at the end."""
        client = self.retrying()
        for number in range(20, self.fillers):
            client.do("DEL", f"fill:{number}")
            if number % 200 == 0:
                self.follow()
        self.fillers = min(self.fillers, 20)

    def roll(self):
        """Restarts all nodes, one after the other, while a client writes and counts its errors."""
        writer = Writer([self.retrying() for _ in range(KEYS)])
        writer.start()
        begin, groups = time.monotonic(), self.most // EACH
        self.nodes.update(lambda: self.is_whole(groups))
        took = time.monotonic() - begin
        writer.end()
        if writer.failed:
            raise Violation(f"a client that retries has seen an error: {writer.failed}")
        print(f"a rolling restart of {self.most} nodes took {took:.0f} s: {writer.count} writes, no error, {writer.retried} "
              f"repeated, longest gap {writer.gap * 1000:.0f} ms", flush=True)

    def finish_upgrade(self):
        """Raises the format of the cluster, if the later version has another one."""
        fine, said = self.admin("upgrade", "--finish")
        if not fine:
            raise Violation(f"`cluster upgrade --finish` says: {said}")
        print(said.splitlines()[0], flush=True)

    def lose_zone(self):
        """Kills all nodes of a zone at once. Each group has one there, and a client that retries sees no error."""
        writer = Writer([self.retrying() for _ in range(KEYS)])
        writer.start()
        for number in range(1, self.most, EACH):
            self.nodes.running[number].kill()
            self.nodes.running[number].wait()
        begin, killed = time.monotonic(), self.most // EACH
        while len(self.nodes.crashed) < killed or not self.nodes.are_ready(self.most) or not self.is_whole(killed):
            self.nodes.follow()
            if time.monotonic() > begin + STEP:
                raise Violation(f"the nodes of a zone do not come back: {self.admin('nodes')[1]}")
            time.sleep(0.2)
        writer.end()
        if writer.failed:
            raise Violation(f"a client that retries has seen an error: {writer.failed}")
        self.nodes.crashed.clear()
        print(f"a zone of {killed} nodes was lost, and whole after {time.monotonic() - begin:.0f} s: longest gap "
              f"{writer.gap * 1000:.0f} ms", flush=True)

    # ---------------------------------------------------------------------------- the end

    def check(self):
        operations, wrong = self.workload.stop()
        if wrong:
            raise Violation(wrong)
        client = self.retrying()
        values = {}
        for key in final_keys(operations):
            name, *more = whole(key)
            values[key] = ordered(name, client.do(name, key, *more))
        wrong = check_history(operations, values, [])
        if wrong:
            raise Violation("; ".join(wrong[:6]))
        for number in range(self.fillers):
            if client.do("GET", f"fill:{number}") != b"%08d" % number * (VALUE // 8):
                raise Violation(f"fill:{number} was lost")
        fine, said = self.admin("check")
        if not fine:
            raise Violation(f"`cluster check` says: {said}")
        left = self.etcd.etcdctl("get", "--prefix", "--keys-only", "/hedgerow/test/").split()
        stranded = [key for key in left if "/g/" in key and "/g/0/" not in key or "/place/" in key and self.is_gone(key)]
        if stranded:
            raise Violation(f"etcd still has {stranded[:5]}")
        print(f"All {self.workload.acknowledged()} acknowledged changes were there, in {len(operations)} operations.")

    def is_gone(self, key):
        """Returns whether a place is of a node that does not run."""
        name = key.rsplit("/", 1)[1]
        folders = (f"{self.nodes.folder}/{number}/node-id" for number in self.nodes.running)
        return name not in {open(path).read().strip() for path in folders}

    def end(self):
        if self.workload:
            self.workload.end()
        self.nodes.kill_all()
        self.etcd.stop()


class Retrying:
    """A client that follows redirects, and connects again and repeats its command if a connection fails."""

    def __init__(self, addresses, random, within=15.0):
        self.client, self.within, self.retried = ClusterClient(addresses, random, 2.0, self.is_late), within, 0
        self.until = 0.0

    def is_late(self):
        return time.monotonic() > self.until

    def do(self, *words):
        self.until = time.monotonic() + self.within
        while True:
            try:
                return self.client.command(*words)
            except Unanswered:
                self.retried += 1
            except Stopped:
                raise Violation(f"no answer to {words[:2]} within {self.within:.0f} s") from None


class Writer(threading.Thread):
    """Writes all the time, and notes the longest time between two acknowledgements.

    Each key has a client of its own, which stays with the primary of its group, as a client that knows the slots does.
    """

    def __init__(self, clients):
        super().__init__(daemon=True)
        self.clients, self.ending, self.failed = clients, False, None
        self.count, self.gap = 0, 0.0

    def run(self):
        last = time.monotonic()
        try:
            while not self.ending:
                number = self.count % len(self.clients)
                self.clients[number].do("SET", f"roll:{number}", self.count)
                now = time.monotonic()
                self.gap, last = max(self.gap, now - last), now
                self.count += 1
                time.sleep(0.002)
        except Exception as why:
            self.failed = repr(why)

    def end(self):
        self.ending = True
        self.join(30)

    @property
    def retried(self):
        return sum(client.retried for client in self.clients)


def play(program, folder, etcd, most, clients, seed, earlier=None):
    """Plays the scenario. Raises `Violation` or `Failed`."""
    scaling = Scaling(program, folder, etcd, most, clients, seed, earlier)
    try:
        scaling.play()
    except (Failed, Violation):
        for name in sorted(os.listdir(scaling.nodes.folder)):
            if name.endswith(".log"):
                with open(f"{scaling.nodes.folder}/{name}", errors="replace") as log:
                    print(f"==> {name}", *log.readlines()[-25:], sep="\n")
        raise
    finally:
        scaling.end()
