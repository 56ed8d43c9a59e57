"""Three members of etcd and three nodes of hedgerow-db as real processes."""
import os
import re
import signal
import struct
import subprocess
import sys
import time

from network import CLIENT, free_ports, open_network
from resp import Connection, Refused

COUNT = 3
# Bytes of a node's own file system, if it has one.
DISK = 192 << 20


class Failed(Exception):
    """The cluster does not do what it must."""


class Settings:
    """How a cluster is started."""

    def __init__(self, **given):
        self.lease, self.reads, self.network, self.quota = 1000, "lease", "auto", 0
        self.disks, self.clocks, self.arguments, self.snapshot_after = False, False, [], 262144
        self.nodes = COUNT
        self.__dict__.update(given)


def resident(process):
    """Returns the resident memory of a process in KiB; 0 if it does not run."""
    try:
        with open(f"/proc/{process.pid}/status") as status:
            return next((int(line.split()[1]) for line in status if line.startswith("VmRSS:")), 0)
    except OSError:
        return 0


class Cluster:
    """The processes, their folders, and the network between them."""

    def __init__(self, program, folder, etcd, settings):
        self.program, self.folder, self.etcd, self.settings = os.path.realpath(program), folder, etcd, settings
        self.count = settings.nodes
        self.members, self.nodes, self.others = [None] * COUNT, [None] * self.count, []
        ports = free_ports(2 * COUNT + self.count)
        self.client_ports, self.peer_ports, self.ports = ports[:3], ports[3:6], ports[6:]
        self.names = [f"e{n}" for n in range(COUNT)] + [f"n{n}" for n in range(self.count)]
        self.network = open_network(self.names, settings.network)
        self.addresses = [(self.network.host(f"n{n}"), self.ports[n]) for n in range(self.count)]
        self.clock_shim = self.build_clock() if settings.clocks else None
        self.leases = [settings.lease] * self.count
        self.mounted, self.steps = [], []
        self.endpoints = {}
        for n in range(self.count):
            os.mkdir(self.dir(n))
            if settings.disks:
                self.mount(self.dir(n))
            if self.clock_shim:
                self.step_clock(n, 0)

    # ---------------------------------------------------------------------------- starting and ending

    def start(self):
        for n in range(COUNT):
            self.start_member(n)
        for n in range(self.count):
            self.start_node(n)
        self.wait_for_all()

    def member_url(self, n, ports):
        return f"http://{self.network.host(f'e{n}')}:{ports[n]}"

    def start_member(self, n, more=()):
        cluster = ",".join(f"e{i}={self.member_url(i, self.peer_ports)}" for i in range(COUNT))
        client, peer = self.member_url(n, self.client_ports), self.member_url(n, self.peer_ports)
        quota = ["--quota-backend-bytes", str(self.settings.quota)] if self.settings.quota else []
        arguments = [
            "--name", f"e{n}", "--data-dir", f"{self.folder}/e{n}", "--log-level", "warn",
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", cluster, "--initial-cluster-token", "test", "--snapshot-count", "2000", *quota, *more,
        ]
        self.members[n] = self.process(f"e{n}", [f"{self.etcd}/etcd", *arguments])

    def dir(self, n):
        return f"{self.folder}/n{n}"

    def node_endpoints(self, n):
        if n not in self.endpoints:
            urls = [self.network.endpoint(f"n{n}", f"e{i}", self.client_ports[i]) for i in range(COUNT)]
            self.endpoints[n] = ",".join(urls)
        return self.endpoints[n]

    def node_command(self, n, **changed):
        host = self.network.host(f"n{n}")
        values = {
            "cluster": "yes", "cluster-name": "test", "cluster-lease": self.leases[n],
            "cluster-reads": self.settings.reads, "cluster-etcd": self.node_endpoints(n),
            "cluster-announce-ip": host, "bind": host, "port": self.ports[n], "dir": self.dir(n), "threads": 2,
            "shards": 4, "snapshot-after": self.settings.snapshot_after, "cluster-insecure": "yes",
            "protected-mode": "no", **changed,
        }
        flags = [word for name, value in values.items() for word in (f"--{name}", str(value))]
        return [self.program, *flags, *self.settings.arguments]

    def start_node(self, n):
        environment = {}
        if self.clock_shim:
            environment = {"LD_PRELOAD": self.clock_shim, "SKEWED_CLOCK": self.clock_file(n)}
        self.nodes[n] = self.process(f"n{n}", self.node_command(n), environment)

    def process(self, name, command, environment=None):
        log = open(f"{self.folder}/{name}.log", "ab")
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("HEDGEROW_DB_", "ETCD_"))}
        inside = name if name in self.names else "n0"
        # Only the process itself gets the environment: programs that start it have their own clock.
        given = [f"{key}={value}" for key, value in (environment or {}).items()]
        command = self.network.command(inside, ["env", *given, *command] if given else command)
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean)

    def stop(self):
        processes = [one for one in [*self.nodes, *self.members, *self.others] if one]
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
        for process in processes:
            process.wait()
        for path in self.mounted:
            subprocess.run(["umount", "--lazy", path], check=False)
        self.network.close()

    def mount(self, path):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", path], check=True, capture_output=True)
        self.mounted.append(path)

    # ---------------------------------------------------------------------------- clocks

    def build_clock(self):
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "skewed_clock.c")
        built = f"{self.folder}/skewed_clock.so"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", built, source], check=True)
        return built

    def clock_file(self, n):
        return f"{self.folder}/clock{n}"

    def step_clock(self, n, milliseconds):
        """Steps a node's wall clock, while it runs."""
        mode = "r+b" if os.path.exists(self.clock_file(n)) else "w+b"
        with open(self.clock_file(n), mode) as file:
            file.write(struct.pack("=q", milliseconds))
        self.steps.append(time.monotonic())

    # ---------------------------------------------------------------------------- looking

    def ask(self, n, *words, timeout=1.0):
        """Returns a node's reply; None without one."""
        try:
            connection = Connection(self.addresses[n], timeout)
            try:
                return connection.command(*words)
            finally:
                connection.close()
        except (OSError, Refused):
            return None

    def role(self, n):
        reply = self.ask(n, "ROLE")
        return reply[0].decode() if isinstance(reply, list) and reply else None

    def epoch(self):
        """Returns the highest epoch that a node knows."""
        texts = [self.ask(n, "CLUSTER", "INFO") or b"" for n in range(self.count)]
        found = [re.search(rb"cluster_current_epoch:(\d+)", text) for text in texts]
        return max((int(one.group(1)) for one in found if one), default=0)

    def primary(self, within=60.0):
        end = time.monotonic() + within
        while time.monotonic() < end:
            for n in range(COUNT):
                if self.role(n) == "master":
                    return n
            time.sleep(0.02)
        self.fail("there is no primary")

    def follower(self, random):
        primary = self.primary()
        return random.choice([n for n in range(COUNT) if n != primary])

    def wait_for_all(self, within=90.0):
        """Waits until one node is the primary and the others follow."""
        end, roles = time.monotonic() + within, []
        while time.monotonic() < end:
            roles = sorted(str(self.role(n)) for n in range(COUNT))
            if roles == ["master", "slave", "slave"]:
                return
            for n, node in enumerate(self.nodes):
                if node.poll() is not None:
                    self.fail(f"node {n} has ended with {node.returncode}")
            time.sleep(0.05)
        self.fail(f"the nodes are {roles}")

    def disk(self, n):
        """Returns the bytes of a node's folder."""
        used = 0
        for path, _, names in os.walk(self.dir(n)):
            for name in names:
                try:
                    used += os.stat(f"{path}/{name}").st_blocks * 512
                except FileNotFoundError:
                    pass
        return used

    def memory(self):
        """Returns the resident memory of each member of etcd and of each node, in KiB; 0 of one that does not run."""
        return {f"{letter}{n}": resident(process) for letter, processes in (("e", self.members), ("n", self.nodes))
                for n, process in enumerate(processes)}

    def fail(self, why):
        raise Failed(why)

    def print_logs(self, lines=12):
        for n in range(self.count):
            print(f"==> {self.dir(n)}", *sorted(os.listdir(self.dir(n))), sep="\n", file=sys.stderr)
        for name in sorted(os.listdir(self.folder)):
            if name.endswith(".log"):
                with open(f"{self.folder}/{name}", errors="replace") as log:
                    print(f"==> {name}", *log.readlines()[-lines:], sep="\n", file=sys.stderr)

    def log(self, name):
        with open(f"{self.folder}/{name}.log", errors="replace") as log:
            return log.read()

    # ---------------------------------------------------------------------------- etcd

    def etcdctl(self, *arguments, members=range(COUNT), timeout=20, check=False, value=None):
        """Runs etcdctl against some members, with a value for `put`. Returns what it printed."""
        endpoints = ",".join(self.member_url(n, self.client_ports) for n in members)
        command = [f"{self.etcd}/etcdctl", "--endpoints", endpoints, "--command-timeout", f"{timeout}s", *arguments]
        done = subprocess.run(command, input=value, capture_output=True, check=False, timeout=timeout + 10)
        if check and done.returncode:
            self.fail(f"etcdctl {arguments}: {done.stderr.decode()}")
        return done.stdout.decode(errors="replace")

    def leader(self, within=30.0):
        """Returns the number of etcd's leader."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            for line in self.etcdctl("endpoint", "status", timeout=2).splitlines():
                fields = [field.strip() for field in line.split(",")]
                if len(fields) > 4 and fields[4] == "true":
                    return self.client_ports.index(int(fields[0].rsplit(":", 1)[1]))
        self.fail("etcd has no leader")

    def etcd_follower(self, random):
        leader = self.leader()
        return random.choice([n for n in range(COUNT) if n != leader])

    def wait_for_etcd(self, within=60.0):
        """Waits until all members are healthy."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            if all("Revision" in self.etcdctl("get", "none", "--write-out", "fields", members=[n], timeout=2)
                   for n in range(COUNT)):
                return
            time.sleep(0.1)
        self.fail("etcd is not healthy")

    # ---------------------------------------------------------------------------- signals

    def kill(self, processes, *numbers):
        for n in numbers:
            processes[n].kill()
        for n in numbers:
            processes[n].wait()

    def freeze(self, processes, *numbers):
        for n in numbers:
            processes[n].send_signal(signal.SIGSTOP)

    def thaw(self, processes, *numbers):
        for n in numbers:
            processes[n].send_signal(signal.SIGCONT)

    def cut_node(self, n, *, outward=True, inward=True):
        """Cuts a node from all members of etcd: what it sends, what it receives, or both."""
        for i in range(COUNT):
            if outward:
                self.network.cut_one_way(f"n{n}", f"e{i}")
            if inward:
                self.network.cut_one_way(f"e{i}", f"n{n}")

    def cut_member(self, n, *, outward=True, inward=True):
        """Cuts a member of etcd from the others."""
        for i in range(COUNT):
            if i != n and outward:
                self.network.cut_one_way(f"e{n}", f"e{i}")
            if i != n and inward:
                self.network.cut_one_way(f"e{i}", f"e{n}")

    def cut_clients(self, n, *, outward=True, inward=True):
        """Cuts a node from the clients."""
        if outward:
            self.network.cut_one_way(f"n{n}", CLIENT)
        if inward:
            self.network.cut_one_way(CLIENT, f"n{n}")
