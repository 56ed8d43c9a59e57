"""Three members of etcd, three nodes of hedgerow-db and one node without a cluster, as processes of this machine."""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

# After this folder, which has modules of the same names.
sys.path.append(os.path.join(os.path.dirname(__file__), "../../std-ext/db/tests/cluster"))

from network import free_ports  # noqa: E402
from resp import Connection, Refused  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
MEMBERS = 3


class Process:
    """A process, with its processor time and its memory."""

    def __init__(self, name, folder, command):
        self.name, self.folder, self.command, self.child = name, folder, command, None

    def start(self):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("HEDGEROW_DB_", "ETCD_"))}
        with open(f"{self.folder}/{self.name}.log", "ab") as log:
            self.child = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean)

    def stop(self, how=signal.SIGTERM):
        if self.child and self.child.poll() is None:
            self.child.send_signal(how)
            try:
                self.child.wait(30)
            except subprocess.TimeoutExpired:
                self.child.kill()
        if self.child:
            self.child.wait()

    def cpu(self):
        """Returns the processor time so far, in seconds."""
        with open(f"/proc/{self.child.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident(self):
        """Returns the bytes of memory in use."""
        with open(f"/proc/{self.child.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) << 10


class Node(Process):
    """A node of hedgerow-db, in a cluster or alone."""

    def __init__(self, name, folder, program, port, metrics, arguments):
        self.port, self.metrics, self.dir = port, metrics, f"{folder}/{name}"
        command = [program, "--port", str(port), "--metrics-port", str(metrics), "--dir", self.dir, *arguments]
        super().__init__(name, folder, command)

    def connect(self, timeout=30.0):
        """Returns a connection to the node."""
        return Connection(("127.0.0.1", self.port), timeout)

    def role(self):
        """Returns what ROLE answers first, or nothing if the node does not answer."""
        try:
            with self.connect(2.0) as connection:
                return connection.command("ROLE")[0].decode()
        except (OSError, Refused, TypeError, AttributeError):
            return None

    def info(self, name):
        """Returns a number of INFO, or None if the node does not answer yet."""
        try:
            with self.connect() as connection:
                text = connection.command("INFO").decode()
        except (OSError, Refused):
            return None
        found = re.search(rf"^{name}:(\d+)", text, re.MULTILINE)
        return int(found.group(1)) if found else None

    def metric(self, name):
        return metric(self.metrics, f"hedgerow_db_{name}")


def metric(port, name):
    """Returns the sum of a metric's lines."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        text = page.read().decode()
    lines = re.findall(rf"^{name}(?:_total)?(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
    return sum(map(float, lines))


class Group:
    """All processes. `arguments` are further settings of the nodes of the cluster."""

    def __init__(self, program, etcd, arguments=(), base=None):
        self.folder = tempfile.mkdtemp(prefix="cluster-bench-", dir=base)
        ports = free_ports(3 * MEMBERS + 5)
        self.client_ports, peers, own = ports[:3], ports[3:6], ports[6:]
        self.etcdctl = f"{etcd}/etcdctl"
        self.members = [self.member(n, f"{etcd}/etcd", peers) for n in range(MEMBERS)]
        settings = [
            "--cluster", "yes", "--cluster-name", "bench", "--cluster-etcd", ",".join(self.urls()),
            "--cluster-announce-ip", "127.0.0.1", "--maxclients", "20000",
        ]
        self.nodes = [
            Node(f"node{n}", self.folder, program, own[n], own[3 + n], [*settings, *arguments]) for n in range(3)
        ]
        alone = ["--appendfsync", "always", "--maxclients", "20000"]
        self.alone = Node("alone", self.folder, program, own[6], own[7], alone)

    def urls(self):
        return [f"http://127.0.0.1:{port}" for port in self.client_ports]

    def member(self, n, program, peers):
        client, peer = (f"http://127.0.0.1:{ports[n]}" for ports in (self.client_ports, peers))
        cluster = ",".join(f"e{i}=http://127.0.0.1:{port}" for i, port in enumerate(peers))
        # The flags that docs/etcd.md advises.
        return Process(f"etcd{n}", self.folder, [
            program, "--name", f"e{n}", "--data-dir", f"{self.folder}/e{n}", "--log-level", "warn",
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", cluster, "--initial-cluster-token", self.folder,
            "--snapshot-count", "2000", "--experimental-snapshot-catchup-entries", "500",
            "--quota-backend-bytes", str(4 << 30),
        ])

    def __enter__(self):
        for process in [*self.members, *self.nodes, self.alone]:
            process.start()
        try:
            self.wait_for_all()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in [self.alone, *self.nodes, *self.members]:
            process.stop(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def restart_nodes(self, arguments):
        """Starts the nodes of the cluster again with further settings."""
        for node in self.nodes:
            node.stop()
        for node in self.nodes:
            node.command = [*node.command, *arguments]
            node.start()
        self.wait_for_all()

    def wait_for_all(self):
        """Waits until one node is the primary, the others follow, and the node alone answers."""
        end = time.monotonic() + 120
        while time.monotonic() < end:
            roles = sorted(str(node.role()) for node in self.nodes)
            if roles == ["master", "slave", "slave"] and self.alone.role() == "master":
                return
            for process in [*self.nodes, self.alone, *self.members]:
                if process.child.poll() is not None:
                    self.fail(f"{process.name} has ended")
            time.sleep(0.05)
        self.fail("there is no primary with two followers after two minutes")

    def primary(self):
        """Returns the primary, and the followers."""
        roles = [node.role() for node in self.nodes]
        if "master" not in roles:
            self.fail("there is no primary")
        primary = self.nodes[roles.index("master")]
        return primary, [node for node in self.nodes if node is not primary]

    def fsync(self):
        """Returns the seconds and the number of all writes to the disk by etcd's logs."""
        of = lambda what: sum(metric(port, f"etcd_disk_wal_fsync_duration_seconds_{what}") for port in self.client_ports)
        return of("sum"), of("count")

    def fail(self, why):
        for name in sorted(os.listdir(self.folder)):
            if name.endswith(".log"):
                with open(f"{self.folder}/{name}", errors="replace") as log:
                    print(f"==> {name}", *log.readlines()[-12:], sep="\n", file=sys.stderr)
        raise SystemExit(f"FAILED: {why}")


class Groups(Group):
    """Three members of etcd, and some groups of some nodes each."""

    def __init__(self, program, etcd, number, copies, base=None):
        super().__init__(program, etcd, (), base)
        self.program, self.copies = program, copies
        common = self.nodes[0].command[self.nodes[0].command.index("--cluster"):]
        ports, nodes = free_ports(2 * number * copies), number * copies
        self.nodes = [
            Node(f"group{n // copies}-{n % copies}", self.folder, program, ports[n], ports[nodes + n],
                 [*common, "--cluster-groups", str(number), "--cluster-group", str(n // copies)])
            for n in range(nodes)
        ]
        self.alone = Process("nothing", self.folder, ["sleep", "1000000"])

    def wait_for_all(self):
        wanted = ["master"] + (self.copies - 1) * ["slave"]
        end = time.monotonic() + 120
        while time.monotonic() < end:
            of_groups = [self.nodes[n:n + self.copies] for n in range(0, len(self.nodes), self.copies)]
            roles = [sorted(str(node.role()) for node in some) for some in of_groups]
            if all(some == wanted for some in roles) and all(map(self.is_whole, self.nodes)):
                return
            time.sleep(0.1)
        self.fail("the groups have no primaries after two minutes")

    def is_whole(self, node):
        with node.connect() as connection:
            return b"cluster_state:ok" in connection.command("CLUSTER", "INFO")

    def primary_of(self, group):
        some = self.nodes[self.copies * group:self.copies * (group + 1)]
        return next(node for node in some if node.role() == "master")
