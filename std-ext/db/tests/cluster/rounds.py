"""Rounds of a chaos run: a fault while clients write, then the checks of everything that they saw."""
import hashlib
import json
import os
import random
import subprocess
import time

import faults
from checkers import check_history, final_keys
from processes import COUNT, Failed
from resp import Connection, Refused

# Rounds whose keys stay, so that a later fault that loses them is found.
KEPT = 40
# How long followers may take to reach the primary once clients are silent.
CATCH_UP = 30.0


class Violation(Exception):
    """What a checker found, or what the cluster did not do."""


class Kept:
    """The keys of the latest rounds, and a digest of their values, which nobody may change."""

    def __init__(self, read, remove):
        self.read, self.remove, self.rounds = read, remove, {}

    def add(self, number, values):
        """Keeps the values of a round, and removes those of an old one, which must still be there."""
        self.rounds[number] = (list(values), digest(values))
        if number - KEPT in self.rounds:
            self.check(number - KEPT)
            self.remove(self.rounds.pop(number - KEPT)[0])

    def check(self, number):
        keys, wanted = self.rounds[number]
        if digest(self.read(keys)) != wanted:
            raise Violation(f"the values of round {number} have changed")

    def check_all(self):
        for number in self.rounds:
            self.check(number)


class Rounds:
    """Plays rounds on a cluster, and checks each."""

    def __init__(self, cluster, workload, seed, report, settle=0.3):
        self.cluster, self.workload, self.seed, self.report, self.settle = cluster, workload, seed, report, settle
        self.number, self.gaps = 0, {}
        self.kept = Kept(self.read_at_primary, self.remove)

    def play(self, name, fault=None):
        """Plays a round with a fault."""
        cluster, workload, number = self.cluster, self.workload, self.number
        self.number += 1
        source = random.Random(f"{self.seed} {number} {name}")
        first_step, epoch = len(cluster.steps), cluster.epoch()
        workload.begin(number)
        time.sleep(self.settle)
        begin = time.monotonic()
        (fault or (lambda: faults.play(name, cluster, source)))()
        cluster.wait_for_all()
        time.sleep(self.settle)
        end = time.monotonic()
        operations, wrong = workload.stop()
        any_gap, own_gap = workload.gaps(begin, end)
        if wrong:
            raise Violation(wrong)
        self.check(number, operations, cluster.steps[first_step:])
        self.gaps.setdefault(name, []).append(own_gap)
        self.report.round(
            round=number, fault=name, seed=self.seed, gap_ms=round(any_gap * 1000), longest_ms=round(own_gap * 1000),
            takeovers=cluster.epoch() - epoch, operations=len(operations), acknowledged=workload.acknowledged(),
            disk_kb=[cluster.disk(n) >> 10 for n in range(COUNT)], memory_kb=cluster.memory(), load=os.getloadavg()[0])

    def post_mortem(self):
        """Returns what the nodes that still answer have lost of a round that failed."""
        operations, wrong = self.workload.stop()
        if wrong:
            return [wrong]
        for n in range(COUNT):
            try:
                wrong = check_history(operations, self.read(n, final_keys(operations)))
            except (OSError, Refused):
                continue
            if wrong:
                return [f"node {n}: {one}" for one in wrong[:6]]
        return []

    def check(self, number, operations, steps):
        """Checks a history, and that all nodes have the same values."""
        keys = final_keys(operations)
        finals = self.read_at_primary(keys)
        wrong = check_history(operations, finals, steps)
        if wrong:
            raise Violation("; ".join(wrong[:6]))
        for n in range(COUNT):
            self.wait_for_values(n, keys, finals)
        self.kept.add(number, finals)

    def read_at_primary(self, keys, within=30.0):
        end = time.monotonic() + within
        while True:
            try:
                return self.read(self.cluster.primary(), keys)
            except (OSError, Refused) as why:
                if time.monotonic() > end:
                    raise Violation(f"the primary does not answer: {why}") from why
                time.sleep(0.05)

    def read(self, n, keys):
        connection = Connection(self.cluster.addresses[n], 10.0)
        try:
            connection.command("READONLY")
            return connection.values(keys)
        finally:
            connection.close()

    def wait_for_values(self, n, keys, finals):
        end, wrong = time.monotonic() + CATCH_UP, None
        while time.monotonic() < end:
            try:
                found = self.read(n, keys)
                if found == finals:
                    return
                other = next(key for key in keys if found[key] != finals[key])
                wrong = f"has {found[other]!r:.60} for {other}, and the primary {finals[other]!r:.60}"
            except (OSError, Refused) as why:
                wrong = f"does not answer: {why}"
            time.sleep(0.1)
        raise Violation(f"node {n} {wrong}")

    def remove(self, keys):
        remove(self.cluster.addresses[self.cluster.primary()], keys)

    def finish(self):
        """Compares everything that all nodes have, and the values of earlier rounds."""
        self.kept.check_all()
        end = time.monotonic() + CATCH_UP
        while True:
            try:
                found = [self.everything(n) for n in range(COUNT)]
            except (OSError, Refused) as why:
                found = [str(why)]
            if len(found) == COUNT and len(set(found)) == 1:
                break
            if time.monotonic() > end:
                raise Violation(f"the nodes have other data than each other: {found}")
            time.sleep(0.2)
        count, same = found[0]
        print(f"All nodes have the same {count} keys, with the digest {same}.")
        self.ask_check()

    def ask_check(self):
        """Asks `hedgerow-db cluster check`, which compares the log in etcd and the nodes' own digests."""
        cluster = self.cluster
        command = [cluster.program, "cluster", "check"]
        if subprocess.run([*command, "--help"], capture_output=True, check=False).returncode:
            return
        settings = ["--cluster", "yes", "--cluster-name", "test", "--cluster-etcd", cluster.node_endpoints(0),
                    "--cluster-insecure", "yes"]
        asked = cluster.network.command("n0", [*command, *settings])
        end = time.monotonic() + CATCH_UP
        while True:
            done = subprocess.run(asked, capture_output=True, text=True, timeout=120, check=False)
            # For some seconds, a node that follows again is still registered as it was before, or not at all.
            if "was not compared" not in done.stdout + done.stderr or time.monotonic() > end:
                break
            time.sleep(0.2)
        if done.returncode:
            raise Violation(f"`cluster check` says: {done.stdout} {done.stderr}")
        print(*(f"  {line}" for line in done.stdout.splitlines()[-3:]), sep="\n")

    def everything(self, n):
        """Returns the number and a digest of all keys that do not expire, with their values."""
        connection = Connection(self.cluster.addresses[n], 30.0)
        try:
            connection.command("READONLY")
            keys = sorted(key.decode() for key in connection.command("KEYS", "*") if b":lck:" not in key)
            return len(keys), digest(connection.values(keys))
        finally:
            connection.close()


def remove(address, keys):
    """Removes keys at a node, those that it has."""
    connection = Connection(address, 10.0)
    try:
        for key in keys:
            connection.send("DEL", key)
        connection.replies_but_moved(len(keys))
    except (OSError, Refused):
        # A hand-over came in between: the keys stay, and are not looked at again.
        pass
    finally:
        connection.close()


def digest(values):
    hashed = hashlib.sha256()
    for key, value in sorted(values.items()):
        hashed.update(f"{key} {value!r}\n".encode())
    return hashed.hexdigest()[:16]


class Report:
    """Prints rounds, and writes them as lines of JSON."""

    def __init__(self, path):
        self.file = open(path, "a") if path else None
        self.rounds = []

    def round(self, **values):
        self.rounds.append(values)
        print(f"{values['round'] + 1:4} {values['fault']:22} no change for {values['gap_ms']:6} ms, a client waited "
              f"{values['longest_ms']:6} ms, {values['takeovers']:2} takeovers, {values['operations']:6} operations, "
              f"load {values['load']:.1f}", flush=True)
        self.line(**values)

    def line(self, **values):
        if self.file:
            self.file.write(json.dumps(values) + "\n")
            self.file.flush()

    def totals(self):
        """Prints what all rounds did together, and the most memory that a process had in each third of them."""
        if not self.rounds:
            return
        operations, takeovers = (sum(one[name] for one in self.rounds) for name in ("operations", "takeovers"))
        print(f"{len(self.rounds)} rounds: {operations} operations, {takeovers} takeovers.")
        third = max(1, len(self.rounds) // 3)
        thirds = [self.rounds[at:at + third] for at in range(0, len(self.rounds), third)][:3]
        most = {name: [max(one["memory_kb"][name] for one in rounds) >> 10 for rounds in thirds]
                for name in self.rounds[0]["memory_kb"]}
        print("The most memory in each third of the rounds, in MiB:",
              *(f"{name} {'; '.join(map(str, of))}" for name, of in most.items()), sep="\n  ")
        self.line(summary="totals", rounds=len(self.rounds), operations=operations, takeovers=takeovers, memory_mb=most)

    def gaps(self, name, times, **more):
        """Prints the percentiles of times, in seconds."""
        times = sorted(times)
        if not times:
            return {}
        at = {f"p{p}": round(1000 * times[min(len(times) - 1, len(times) * p // 100)]) for p in (50, 90, 99)}
        at["most"] = round(1000 * times[-1])
        text = ", ".join(f"{key} {value}" for key, value in at.items())
        print(f"{name:22} gaps in ms: least {times[0] * 1000:.0f}, {text}, of {len(times)}")
        self.line(summary=name, count=len(times), **at, **more)
        return at


__all__ = ["Failed", "Kept", "Report", "Rounds", "Violation", "remove"]
