"""Loops of one fault, with the bars for their gaps: the longest time that a client waits for a change."""
import time

import faults
from processes import COUNT
from resp import Connection

# Bars in milliseconds, by the lease: (p50, most).
KILL_BARS = {3000: (3900, 5500), 500: (None, 1500)}
HAND_OVER_BARS = {"p99": 250, "most": 1000}


def kills(rounds, count, report):
    """Kills the primary again and again, each time at another moment of its lease."""
    cluster = rounds.cluster

    def kill():
        n = cluster.primary()
        time.sleep(rounds.number * 0.037 % (cluster.settings.lease / 3000))
        cluster.kill(cluster.nodes, n)
        wait_for_another(cluster, n)
        cluster.start_node(n)

    for _ in range(count):
        rounds.play("kill", kill)
    at = report.gaps(f"kills, {cluster.settings.lease} ms", rounds.gaps["kill"], lease=cluster.settings.lease)
    middle, most = KILL_BARS.get(cluster.settings.lease, (None, None))
    return [f"p50 {at['p50']} ms of kills" for _ in [0] if middle and at["p50"] > middle] + \
           [f"longest gap {at['most']} ms of kills" for _ in [0] if most and at["most"] > most]


def wait_for_another(cluster, dead):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if any(cluster.role(n) == "master" for n in range(COUNT) if n != dead):
            return
        time.sleep(0.01)
    cluster.fail("no other node took over")


def hand_overs(rounds, count, report):
    """Hands the group to each node after the other."""
    cluster = rounds.cluster

    def hand_over():
        n = (cluster.primary() + 1) % COUNT
        connection = Connection(cluster.addresses[n])
        connection.command("CLUSTER", "FAILOVER")
        connection.close()
        end = time.monotonic() + 10
        while cluster.role(n) != "master":
            if time.monotonic() > end:
                cluster.fail(f"the group was not handed over to node {n}")
            time.sleep(0.01)

    for _ in range(count):
        rounds.play("hand-over", hand_over)
    at = report.gaps("hand-overs", rounds.gaps["hand-over"])
    return [f"{name} {at[name]} ms of hand-overs" for name, bar in HAND_OVER_BARS.items() if at[name] > bar]


def etcd_leaders(rounds, count, report):
    """Kills and stops etcd's leader in turns, and counts the takeovers."""
    before = rounds.cluster.epoch()
    for number in range(count):
        rounds.play(("kill_leader", "stop_leader")[number % 2])
    taken = rounds.cluster.epoch() - before
    for name in ("kill_leader", "stop_leader"):
        report.gaps(name, rounds.gaps.get(name, []), takeovers=taken)
    print(f"{taken} takeovers in {count} deaths and stops of etcd's leader")
    return [f"{taken} takeovers while etcd's leader was killed or stopped {count} times"] if taken > 1 else []


LOOPS = {"kills": kills, "handovers": hand_overs, "etcd_leader": etcd_leaders}
assert {"kill_leader", "stop_leader"} <= faults.FAULTS.keys()
