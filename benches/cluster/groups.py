"""The table of groups: one, two and four groups on one etcd, beside a Redis Cluster with as many primaries."""
import csv
import io
import shutil
import statistics
import subprocess
import time

from measure import line, table
from processes import Groups, Node, free_ports

CLIENTS = 64
KEYS = 100_000
VALUE = 64
# About as many requests as are done in a second, so that a measurement takes as long as the others.
WRITES, READS = 20_000, 80_000


class RedisCluster:
    """Servers of Redis without replicas, each with its part of the slots. They keep a log, which they do not wait for."""

    def __init__(self, groups, number):
        ports = free_ports(number)
        self.nodes = [Node(f"redis{n}", groups.folder, "redis-server", port, 0, []) for n, port in enumerate(ports)]
        for node in self.nodes:
            node.command = [
                "redis-server", "--port", str(node.port), "--cluster-enabled", "yes", "--save", "", "--appendonly",
                "yes", "--appendfsync", "everysec", "--dir", groups.folder, "--appenddirname", node.name,
                "--cluster-config-file", f"{node.name}.conf",
            ]

    def __enter__(self):
        for node in self.nodes:
            node.start()
        share = 16384 // len(self.nodes)
        for n, node in enumerate(self.nodes):
            wait(lambda: node.role() == "master")
            with node.connect() as connection:
                connection.command("CLUSTER", "ADDSLOTSRANGE", str(n * share), str((n + 1) * share - 1))
                connection.command("CLUSTER", "MEET", "127.0.0.1", str(self.nodes[0].port))
        for node in self.nodes:
            wait(lambda: node.info("cluster_enabled") == 1 and is_whole(node, len(self.nodes)))
        return self

    def __exit__(self, *_):
        for node in self.nodes:
            node.stop()


def is_whole(node, number):
    with node.connect() as connection:
        info = connection.command("CLUSTER", "INFO")
    return b"cluster_state:ok" in info and b"cluster_size:%d" % number in info


def wait(condition):
    end = time.monotonic() + 60
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("FAILED: a server is not ready after a minute")
        time.sleep(0.05)


def requests(nodes, what, number):
    """Sends requests for keys of all slots, from clients at all nodes. Returns how many were answered in a second."""
    # It refuses a cluster of one node.
    cluster = ["--cluster"] if len(nodes) > 1 else []
    done = subprocess.run(
        ["redis-benchmark", "-p", str(nodes[0].port), *cluster, "--threads", "2", "-c", str(CLIENTS), "-n",
         str(int(number)), "-r", str(KEYS), "-d", str(VALUE), "-t", what, "--csv"],
        capture_output=True, text=True, check=False)
    rows = [row for row in csv.reader(io.StringIO(done.stdout)) if row and row[0].lower() == what]
    if len(rows) != 1:
        raise SystemExit(f"FAILED: redis-benchmark: {done.stdout}{done.stderr}")
    return float(rows[0][1])


def measured(groups, redis, seconds):
    """Measures writes and reads of both, and the writes that share a batch."""
    batches = lambda: sum(node.metric("cluster_batch_duration_seconds_count") for node in groups.nodes)
    before, wanted = batches(), WRITES * seconds
    found = {"writes": requests(groups.nodes, "set", wanted)}
    found["batch"] = wanted / max(batches() - before, 1)
    found["reads"] = requests(groups.nodes, "get", READS * seconds)
    found["redis_writes"] = requests(redis.nodes, "set", READS * seconds)
    found["redis_reads"] = requests(redis.nodes, "get", READS * seconds)
    return found


def groups(bench):
    """Writes and reads of one, two and four groups."""
    if not shutil.which("redis-server"):
        print("The table `groups` needs redis-server.\n")
        return
    print(f"Groups of one node on one etcd: {CLIENTS} clients of redis-benchmark --cluster, {KEYS:,} keys of {VALUE} bytes. "
          "Redis acknowledges before anything is durable (`everysec`).\n")
    table("groups", "writes/s", "writes in a batch", "reads/s", "Redis Cluster: writes/s", "reads/s")
    for number in (1, 2, 4):
        with Groups(bench.options.program, bench.etcd, number, 1, bench.options.folder) as some:
            with RedisCluster(some, number) as redis:
                all_rounds = [measured(some, redis, bench.options.seconds) for _ in range(bench.options.rounds)]
        for one in all_rounds:
            bench.note(f"groups, {number}", "cluster", one)
        middle = lambda name: f"{statistics.median(one[name] for one in all_rounds):,.0f}"
        line(number, *map(middle, ("writes", "batch", "reads", "redis_writes", "redis_reads")))
    print()
