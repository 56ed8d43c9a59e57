"""Rounds of moves: slots go from group to group while clients write, and a fault comes in between."""
import random
import re
import subprocess
import time

import faults
from checkers import check_history, final_keys
from processes import Cluster
from resp import Connection, Refused
from rounds import Kept, Violation, remove
from workload import LOCK_MS

GROUPS = 2
# The nodes of each group.
EACH = 2
SLOTS = 16384
# Faults that may come in between. Each of them is about one group, or about etcd.
FAULTS = (
    "kill_primary", "kill_and_start_primary", "hand_over", "stop_primary", "pause_primary", "end_primary",
    "kill_follower", "stop_follower", "cut_primary", "cut_primary_inward", "cut_primary_outward", "cut_short",
    "kill_leader", "stop_leader", "kill_etcd_follower", "kill_quorum", "revoke_leases",
)
# Keys that are never written again, so that a move takes a while.
FILLERS = 20_000
# Of the first slots, every second one moves before the first round: the groups have a thousand ranges from then on.
SCATTERED = range(0, 2000, 2)
# How long a move may take once everything runs.
MOVE = 90.0
# The most slots of a move: one of these.
WIDTHS = (1, 100, 2000, 8000)
# The chance that a move is cancelled in between.
CANCEL = 0.15


class Groups(Cluster):
    """Groups of nodes. One of them is the group that faults are about."""

    chosen = 0

    def node_command(self, n, **changed):
        return super().node_command(n, **{"cluster-groups": GROUPS, "cluster-group": n // EACH, **changed})

    def of(self, group):
        return range(group * EACH, (group + 1) * EACH)

    def primary(self, within=60.0, group=None):
        nodes = self.of(self.chosen if group is None else group)
        end = time.monotonic() + within
        while time.monotonic() < end:
            for n in nodes:
                if self.role(n) == "master":
                    return n
            time.sleep(0.02)
        self.fail(f"the nodes {list(nodes)} have no primary")

    def follower(self, random):
        primary = self.primary()
        return random.choice([n for n in self.of(self.chosen) if n != primary])

    def wait_for_all(self, within=90.0):
        end = time.monotonic() + within
        while time.monotonic() < end:
            roles = [sorted(str(self.role(n)) for n in self.of(group)) for group in range(GROUPS)]
            if all(of == ["master"] + ["slave"] * (EACH - 1) for of in roles):
                return
            for n, node in enumerate(self.nodes):
                if node.poll() is not None:
                    self.fail(f"node {n} has ended with {node.returncode}")
            time.sleep(0.05)
        self.fail(f"the nodes are {roles}")

    def admin(self, *words, timeout=120):
        """Runs `hedgerow-db cluster`. Returns whether it succeeded, and its output."""
        settings = ["--cluster", "yes", "--cluster-name", "test", "--cluster-etcd", self.node_endpoints(0),
                    "--cluster-insecure", "yes"]
        asked = self.network.command("n0", [self.program, "cluster", *map(str, words), *settings])
        done = subprocess.run(asked, capture_output=True, text=True, timeout=timeout, check=False)
        return done.returncode == 0, done.stdout + done.stderr

    def owners(self):
        """Returns the group of each slot, as all primaries say it."""
        end = time.monotonic() + 30
        while True:
            said = [self.slots_of(self.primary(group=group)) for group in range(GROUPS)]
            if None not in said[0] and all(one == said[0] for one in said):
                return said[0]
            if time.monotonic() > end:
                raise Violation("the primaries do not agree about the owners of all slots")
            time.sleep(0.1)

    def epochs(self):
        """Returns the sum of the groups' epochs."""
        texts = [self.ask(self.primary(group=group), "CLUSTER", "INFO") or b"" for group in range(GROUPS)]
        found = [re.search(rb"cluster_my_epoch:(\d+)", text) for text in texts]
        return sum(int(one.group(1)) for one in found if one)

    def slots_of(self, n):
        owners = [None] * SLOTS
        for begin, last, primary, *_ in self.ask(n, "CLUSTER", "SLOTS") or []:
            group = self.ports.index(primary[1]) // EACH
            owners[begin:last + 1] = [group] * (last + 1 - begin)
        return owners


class MoveRounds:
    """Plays rounds on a cluster of groups, and checks each."""

    def __init__(self, cluster, workload, seed, report, widths=WIDTHS):
        self.cluster, self.workload, self.seed, self.report, self.widths = cluster, workload, seed, report, widths
        self.number, self.cancelled, self.moved = 0, 0, 0
        self.kept = Kept(self.read, self.remove)

    def fill(self):
        """Writes keys that stay, each to its group, once all nodes know where that is."""
        self.cluster.owners()
        pipelines = [Connection(self.cluster.addresses[self.cluster.primary(group=group)], 30.0)
                     for group in range(GROUPS)]
        for at in range(0, FILLERS, 500):
            keys = range(at, at + 500)
            for connection in pipelines:
                for key in keys:
                    connection.send("SET", f"fill:{key}", f"{key}" * 20)
            for connection in pipelines:
                connection.replies_but_moved(len(keys))
        for connection in pipelines:
            connection.close()
        self.begin(",".join(map(str, SCATTERED)), 1)
        self.wait_for_moves()
        if [self.cluster.owners()[slot] for slot in SCATTERED] != [1] * len(SCATTERED):
            raise Violation("scattered slots have not moved")

    def play(self, names):
        """Plays a round: a move of some slots, and a fault if there are names of any."""
        cluster, workload, number = self.cluster, self.workload, self.number
        self.number += 1
        source = random.Random(f"{self.seed} {number}")
        name = source.choice(names) if names else None
        before, epochs = cluster.owners(), cluster.epochs()
        cluster.chosen = source.randrange(GROUPS)
        slots, to = some_slots(before, source, source.choice(self.widths))
        workload.begin(number)
        time.sleep(0.2)
        begin = time.monotonic()
        self.begin(f"{slots[0]}-{slots[-1]}", to)
        time.sleep(source.uniform(0, 1.0))
        cancels = source.random() < CANCEL and self.cancel()
        if name:
            faults.play(name, cluster, source)
        cluster.wait_for_all()
        self.wait_for_moves()
        end = time.monotonic()
        time.sleep(0.2)
        operations, wrong = workload.stop()
        if wrong:
            raise Violation(wrong)
        after = cluster.owners()
        moved = {after[slot] for slot in slots} == {to}
        if not moved and any(after[slot] != before[slot] for slot in slots):
            raise Violation(f"a part of the slots {slots[0]}-{slots[-1]} has moved")
        if not moved and not cancels:
            raise Violation(f"the slots {slots[0]}-{slots[-1]} have not moved to group {to}")
        self.moved, self.cancelled = self.moved + moved, self.cancelled + (not moved)
        finals = self.read(final_keys(operations))
        wrong = check_history(operations, finals, [])
        if wrong:
            raise Violation("; ".join(wrong[:6]))
        self.kept.add(number, finals)
        any_gap, own_gap = workload.gaps(begin, end)
        self.report.round(
            round=number, fault=f"{name} {cluster.chosen}" if name else "none", seed=self.seed, gap_ms=round(any_gap * 1000),
            longest_ms=round(own_gap * 1000), takeovers=cluster.epochs() - epochs, operations=len(operations),
            acknowledged=workload.acknowledged(), memory_kb=cluster.memory(), load=faults.os.getloadavg()[0])

    def begin(self, slots, to):
        """Begins a move. A group whose nodes have just lost their registrations gets none."""
        end = time.monotonic() + 30
        while True:
            fine, said = self.cluster.admin("move", "--slots", slots, "--to", to, "--no-wait")
            if fine:
                return
            if time.monotonic() > end:
                raise Violation(f"no move began: {said}")
            time.sleep(0.2)

    def cancel(self):
        """Cancels all moves that can be. One that has gone too far goes on."""
        _, said = self.cluster.admin("move")
        words = [line.split() for line in said.splitlines()]
        moves = [line[0] for line in words if line and line[0].isdigit()]
        return any([self.cluster.admin("move", "--cancel", move)[0] for move in moves])

    def wait_for_moves(self):
        end = time.monotonic() + MOVE
        while True:
            fine, said = self.cluster.admin("move")
            if fine and said.startswith("No slots are being moved."):
                return
            if time.monotonic() > end:
                raise Violation(f"a move does not end: {said}")
            time.sleep(0.1)

    def read(self, keys, within=30.0):
        """Returns the values of keys. Exactly one primary may have each."""
        end = time.monotonic() + within
        while True:
            try:
                return self.read_once(keys)
            except (OSError, Refused) as why:
                if time.monotonic() > end:
                    raise Violation(f"a primary does not answer: {why}") from why
                time.sleep(0.05)

    def read_once(self, keys):
        found = {}
        for group in range(GROUPS):
            with Connection(self.cluster.addresses[self.cluster.primary(group=group)], 10.0) as connection:
                for at in range(0, len(keys), 500):
                    part = keys[at:at + 500]
                    connection.ask_values(part)
                    for key in part:
                        try:
                            reply = connection.value(key)
                        except Refused as why:
                            if str(why).startswith("MOVED"):
                                continue
                            raise
                        if key in found:
                            raise Violation(f"two groups have {key}")
                        found[key] = reply
        missing = [key for key in keys if key not in found]
        if missing:
            raise Violation(f"no group has {missing[0]}, nor {len(missing) - 1} other keys")
        return found

    def remove(self, keys):
        for group in range(GROUPS):
            remove(self.cluster.addresses[self.cluster.primary(group=group)], keys)

    def finish(self):
        """Counts every key once, and asks `cluster check` about each group."""
        self.kept.check_all()
        fillers = self.read([f"fill:{key}" for key in range(FILLERS)])
        lost = [key for key in range(FILLERS) if fillers[f"fill:{key}"] != f"{key}".encode() * 20]
        if lost:
            raise Violation(f"{len(lost)} keys that nobody changed have another value, such as fill:{lost[0]}")
        everywhere = []
        for group in range(GROUPS):
            with Connection(self.cluster.addresses[self.cluster.primary(group=group)], 30.0) as connection:
                everywhere += self.count(connection, group)
        if len(everywhere) != len(set(everywhere)):
            raise Violation("a key is in two groups")
        for group in range(GROUPS):
            fine, said = self.cluster.admin("check", "--group", group)
            if not fine:
                raise Violation(f"`cluster check` says: {said}")
        print(f"{self.moved} moves, {self.cancelled} cancelled; each of {len(everywhere)} keys is in one group.")

    def count(self, connection, group):
        """Returns the keys of a group once it counts as many. DBSIZE counts keys that have expired until they are gone."""
        end = time.monotonic() + 3 * LOCK_MS / 1000
        while True:
            keys, size = connection.command("KEYS", "*"), connection.command("DBSIZE")
            if size == len(keys):
                return keys
            if time.monotonic() > end:
                raise Violation(f"group {group} has {len(keys)} keys, and counts {size}")
            time.sleep(0.1)


def some_slots(owners, source, most):
    """Chooses slots of one group in a row, and another group."""
    first = source.randrange(SLOTS)
    end = first + 1
    while end < SLOTS and owners[end] == owners[first] and end < first + most:
        end += 1
    to = source.choice([group for group in range(GROUPS) if group != owners[first]])
    return range(first, end), to
