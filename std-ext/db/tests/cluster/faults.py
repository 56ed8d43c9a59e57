"""The faults of a chaos run. Each one happens while clients write, and ends with everything running again.

A fault takes the cluster and a source of random numbers, so that a seed gives the same faults.
"""
import os
import time

from network import CLIENT
from processes import COUNT

# The quota of etcd's members, if a run fills them.
QUOTA = 64 << 20
# All faults, and their needs: `links` between nodes and etcd that can be cut, `namespaces` for all other cuts, `disks`
# of their own for nodes, `clocks` of their own for nodes.
FAULTS, NEEDS = {}, {}


def fault(*needs):
    def add(function):
        FAULTS[function.__name__], NEEDS[function.__name__] = function, needs
        return function
    return add


def leases(cluster, count):
    time.sleep(count * cluster.settings.lease / 1000)


# ------------------------------------------------------------------------------------------------ nodes

@fault()
def kill_primary(cluster, _random):
    n = cluster.primary()
    cluster.kill(cluster.nodes, n)
    leases(cluster, 2.5)
    cluster.start_node(n)


@fault()
def kill_and_start_primary(cluster, random):
    """As by a supervisor. The node takes its group back, if its lease has not run out."""
    n = cluster.primary()
    cluster.kill(cluster.nodes, n)
    leases(cluster, random.choice((0, 0.1, 0.5, 1)))
    cluster.start_node(n)


@fault()
def hand_over(cluster, random):
    n = cluster.follower(random)
    cluster.ask(n, "CLUSTER", "FAILOVER")
    end = time.monotonic() + 10
    while cluster.role(n) != "master":
        if time.monotonic() > end:
            cluster.fail(f"the group was not handed over to node {n}")
        time.sleep(0.005)


@fault()
def stop_primary(cluster, random):
    n = cluster.primary()
    cluster.freeze(cluster.nodes, n)
    leases(cluster, random.choice((1.5, 3)))
    cluster.thaw(cluster.nodes, n)


@fault()
def pause_primary(cluster, random):
    n = cluster.primary()
    cluster.freeze(cluster.nodes, n)
    leases(cluster, random.uniform(0.1, 1.4))
    cluster.thaw(cluster.nodes, n)


@fault()
def end_primary(cluster, _random):
    n = cluster.primary()
    cluster.nodes[n].terminate()
    if cluster.nodes[n].wait(30) != 0:
        cluster.fail(f"node {n} ended with {cluster.nodes[n].returncode}")
    cluster.start_node(n)


@fault()
def kill_follower(cluster, random):
    n = cluster.follower(random)
    cluster.kill(cluster.nodes, n)
    cluster.start_node(n)


@fault()
def stop_follower(cluster, random):
    n = cluster.follower(random)
    cluster.freeze(cluster.nodes, n)
    leases(cluster, random.uniform(0.5, 4))
    cluster.thaw(cluster.nodes, n)


def empty(cluster, n):
    # The id stays: a node without one would be a fourth member.
    for name in os.listdir(cluster.dir(n)):
        if name not in ("node-id", "cluster"):
            os.remove(f"{cluster.dir(n)}/{name}")


@fault()
def empty_follower(cluster, random):
    n = cluster.follower(random)
    cluster.kill(cluster.nodes, n)
    empty(cluster, n)
    cluster.start_node(n)


@fault()
def slow_resync(cluster, random):
    """A node without data that fetches them while it hardly gets the processor, and the log is trimmed meanwhile."""
    n = cluster.follower(random)
    cluster.kill(cluster.nodes, n)
    empty(cluster, n)
    cluster.start_node(n)
    end = time.monotonic() + 6
    while time.monotonic() < end:
        cluster.freeze(cluster.nodes, n)
        time.sleep(0.2)
        cluster.thaw(cluster.nodes, n)
        time.sleep(0.01)


@fault()
def kill_all_nodes(cluster, _random):
    cluster.kill(cluster.nodes, *range(COUNT))
    for n in range(COUNT):
        cluster.start_node(n)


@fault()
def kill_two(cluster, random):
    """The primary and the next one: both takeovers in a row may reach the same node."""
    first = cluster.primary()
    cluster.kill(cluster.nodes, first)
    # Started at once, it would take the group back.
    leases(cluster, 1.1)
    cluster.start_node(first)
    second = cluster.primary()
    time.sleep(random.uniform(0, 0.3))
    cluster.kill(cluster.nodes, second)
    leases(cluster, 1)
    cluster.start_node(second)


@fault()
def stop_twice(cluster, random):
    """A deposed primary wakes while its successor is stopped."""
    first = cluster.primary()
    cluster.freeze(cluster.nodes, first)
    leases(cluster, 2)
    second = next((n for n in range(COUNT) if n != first and cluster.role(n) == "master"), (first + 1) % COUNT)
    cluster.freeze(cluster.nodes, second)
    time.sleep(random.uniform(0, 0.2))
    cluster.thaw(cluster.nodes, first)
    leases(cluster, 2)
    cluster.thaw(cluster.nodes, second)


@fault()
def other_lease(cluster, random):
    """A node starts with another lease than the others."""
    n = random.randrange(COUNT)
    cluster.leases[n] = max(500, round(cluster.settings.lease * random.choice((0.5, 1, 2))))
    cluster.kill(cluster.nodes, n)
    cluster.start_node(n)


# ------------------------------------------------------------------------------------------------ etcd

@fault()
def kill_leader(cluster, _random):
    n = cluster.leader()
    cluster.kill(cluster.members, n)
    time.sleep(2)
    cluster.start_member(n)


@fault()
def stop_leader(cluster, _random):
    n = cluster.leader()
    cluster.freeze(cluster.members, n)
    time.sleep(4)
    cluster.thaw(cluster.members, n)


@fault()
def kill_etcd_follower(cluster, random):
    n = cluster.etcd_follower(random)
    cluster.kill(cluster.members, n)
    time.sleep(1)
    cluster.start_member(n)


@fault()
def stop_etcd_follower(cluster, random):
    n = cluster.etcd_follower(random)
    cluster.freeze(cluster.members, n)
    time.sleep(2)
    cluster.thaw(cluster.members, n)


@fault()
def kill_quorum(cluster, random):
    two = random.sample(range(COUNT), 2)
    cluster.kill(cluster.members, *two)
    time.sleep(3)
    for n in two:
        cluster.start_member(n)


@fault()
def stop_quorum(cluster, random):
    two = random.sample(range(COUNT), 2)
    cluster.freeze(cluster.members, *two)
    leases(cluster, 3)
    cluster.thaw(cluster.members, *two)


@fault()
def kill_everything(cluster, _random):
    """A power failure of all machines, but for what the kernel had not written."""
    cluster.kill(cluster.nodes, *range(COUNT))
    cluster.kill(cluster.members, *range(COUNT))
    for n in range(COUNT):
        cluster.start_member(n)
        cluster.start_node(n)


@fault()
def revoke_leases(cluster, _random):
    """etcd ends all leases too early: a leader that stalled has done that."""
    for lease in cluster.etcdctl("lease", "list").split()[2:]:
        cluster.etcdctl("lease", "revoke", lease)


@fault()
def defragment(cluster, _random):
    """Each member of etcd stops serving while it is defragmented."""
    for n in range(COUNT):
        cluster.etcdctl("defrag", members=[n], check=True)


@fault()
def no_space(cluster, _random):
    """Somebody fills etcd up to its alarm NOSPACE, and then makes room. The nodes go on by themselves."""
    filled = 0
    while not full(cluster):
        for _ in range(4):
            cluster.etcdctl("put", f"filler/{filled}", timeout=5, value=b"x" * (1 << 20))
            filled += 1
        if filled << 20 > 4 * QUOTA:
            cluster.fail("etcd raises no alarm; it was started without a quota")
    time.sleep(1)
    cluster.etcdctl("del", "--prefix", "filler/", check=True)
    revision = next(line.split(":")[1] for line in
                    cluster.etcdctl("get", "none", "--write-out", "fields").splitlines() if "Revision" in line)
    cluster.etcdctl("compact", revision.strip(), "--physical")
    for n in range(COUNT):
        cluster.etcdctl("defrag", members=[n], check=True)
    cluster.etcdctl("alarm", "disarm", check=True)


def full(cluster):
    return "NOSPACE" in cluster.etcdctl("alarm", "list", timeout=5)


# ------------------------------------------------------------------------------------------------ cuts

@fault("links")
def cut_primary(cluster, random):
    """The primary does not reach etcd, and clients reach the primary."""
    cluster.cut_node(cluster.primary())
    leases(cluster, random.choice((1, 3)))


@fault("links")
def cut_primary_outward(cluster, _random):
    cluster.cut_node(cluster.primary(), inward=False)
    leases(cluster, 3)


@fault("links")
def cut_primary_inward(cluster, _random):
    """What the primary asks of etcd is done, and it does not hear of it."""
    cluster.cut_node(cluster.primary(), outward=False)
    leases(cluster, 3)


@fault("links")
def cut_follower(cluster, random):
    cluster.cut_node(cluster.follower(random))
    leases(cluster, 3)


@fault("links")
def cut_short(cluster, random):
    """The primary is cut off for less than its lease, again and again."""
    n = cluster.primary()
    for _ in range(3):
        cluster.cut_node(n, outward=random.random() < 0.7, inward=random.random() < 0.7)
        leases(cluster, random.uniform(0.1, 0.6))
        cluster.network.heal()
        leases(cluster, 0.3)


@fault("namespaces")
def cut_leader(cluster, _random):
    """etcd's leader does not reach the other members; its clients reach it."""
    cluster.cut_member(cluster.leader())
    time.sleep(4)


@fault("namespaces")
def cut_leader_outward(cluster, _random):
    cluster.cut_member(cluster.leader(), inward=False)
    time.sleep(4)


@fault("namespaces")
def cut_leader_inward(cluster, _random):
    cluster.cut_member(cluster.leader(), outward=False)
    time.sleep(4)


@fault("namespaces")
def cut_with_leader(cluster, _random):
    """The primary and etcd's leader are on one side, all others on the other side."""
    node, leader = f"n{cluster.primary()}", f"e{cluster.leader()}"
    for other in cluster.names:
        if other not in (node, leader):
            cluster.network.cut(node, other)
            cluster.network.cut(leader, other)
    time.sleep(3)
    leases(cluster, 2)


@fault("namespaces")
def cut_nodes(cluster, random):
    """A node that needs its peers' data does not reach them."""
    n = cluster.follower(random)
    cluster.kill(cluster.nodes, n)
    empty(cluster, n)
    others = [i for i in range(COUNT) if i != n]
    way = random.choice(("both", "outward", "inward"))
    for i in others:
        if way != "inward":
            cluster.network.cut_one_way(f"n{n}", f"n{i}")
        if way != "outward":
            cluster.network.cut_one_way(f"n{i}", f"n{n}")
    cluster.start_node(n)
    leases(cluster, 3)


@fault("namespaces")
def cut_clients(cluster, random):
    """Clients do not reach the primary, or do not hear from it."""
    outward = random.random() < 0.5
    cluster.cut_clients(cluster.primary(), outward=outward, inward=not outward)
    leases(cluster, 2)


@fault("namespaces")
def isolate_primary(cluster, _random):
    name = f"n{cluster.primary()}"
    for other in [*cluster.names, CLIENT]:
        if other != name:
            cluster.network.cut(name, other)
    leases(cluster, 3)


# ------------------------------------------------------------------------------------------------ disks

def fill(cluster, n):
    """Fills the disk of a node."""
    with open(f"{cluster.dir(n)}/filler", "wb", buffering=0) as filler:
        try:
            while filler.write(b"x" * 65536):
                pass
        except OSError:
            pass


@fault("disks")
def full_disk_of_follower(cluster, random):
    n = cluster.follower(random)
    fill(cluster, n)
    leases(cluster, 2)
    os.remove(f"{cluster.dir(n)}/filler")


@fault("disks")
def full_disk_of_primary(cluster, _random):
    n = cluster.primary()
    fill(cluster, n)
    time.sleep(1)
    leases(cluster, 2)
    os.remove(f"{cluster.dir(n)}/filler")


# ------------------------------------------------------------------------------------------------ clocks

@fault("clocks")
def primary_ahead(cluster, random):
    """The primary's clock is stepped ahead. Then it dies, and the next one's clock is behind the log."""
    n = cluster.primary()
    cluster.step_clock(n, random.choice((2000, 8000)))
    time.sleep(0.5)
    cluster.kill(cluster.nodes, n)
    cluster.primary()
    time.sleep(0.5)
    cluster.step_clock(n, 0)
    cluster.start_node(n)


@fault("clocks")
def step_clocks(cluster, random):
    """The clocks of all nodes are stepped, in both directions, while they run; then the group is handed over."""
    for n in range(COUNT):
        cluster.step_clock(n, random.choice((-8000, -3000, -500, 0, 500, 3000, 8000)))
    time.sleep(1)
    n = cluster.primary()
    cluster.kill(cluster.nodes, n)
    cluster.start_node(n)
    cluster.primary()
    time.sleep(0.5)
    for n in range(COUNT):
        cluster.step_clock(n, 0)


def play(name, cluster, random):
    """Plays a fault, and ends its cuts."""
    try:
        FAULTS[name](cluster, random)
    finally:
        cluster.network.heal()
