"""The table of crashes: how long writes stop when processes are killed, and their supervisor starts them again."""
import statistics
import threading
import time

from measure import line, table
from processes import Refused

# The time that a supervisor takes to start a process that has ended.
RESTART = 0.3
# Rounds, at different moments of a lease.
ROUNDS = 12


class Writer:
    """A client that writes all the time, and asks another node when one fails."""

    def __init__(self, nodes):
        self.nodes, self.times, self.ends = nodes, [], False
        self.thread = threading.Thread(target=self.write, daemon=True)
        self.thread.start()

    def write(self):
        at, connection = 0, None
        while not self.ends:
            try:
                if connection is None:
                    connection = self.nodes[at % len(self.nodes)].connect(1.0)
                connection.command("SET", "crash", str(len(self.times)))
                self.times.append(time.perf_counter())
            except (OSError, Refused, ValueError):
                at, connection = at + 1, None
            time.sleep(0.002)

    def gap(self, since):
        """Waits for a write after a moment. Returns how long there was none around it."""
        while not self.times or self.times[-1] < since + RESTART:
            time.sleep(0.01)
        times = list(self.times)
        after = next(n for n, at in enumerate(times) if at > since)
        return max(two - one for one, two in zip(times[max(after - 1, 0):], times[after:]))

    def stop(self):
        self.ends = True
        self.thread.join()


def crashes(bench):
    """How long writes stop when the primary, or every node, is killed and started again."""
    print(f"Until writes continue after `kill -9` and a start {RESTART} s later, in seconds; {ROUNDS} rounds each.\n")
    table("killed", "median", "least", "most", "by the same node")
    for what in ("the primary", "all nodes"):
        with bench.group() as group:
            gaps, same = [], 0
            for turn in range(ROUNDS):
                group.wait_for_all()
                writer = Writer(group.nodes)
                time.sleep(1.0 + turn * 0.137 % 1.0)
                primary, _ = group.primary()
                killed = [primary] if what == "the primary" else group.nodes
                begun = time.perf_counter()
                for node in killed:
                    node.child.kill()
                for node in killed:
                    node.child.wait()
                time.sleep(RESTART)
                for node in killed:
                    node.start()
                gaps.append(writer.gap(begun))
                writer.stop()
                group.wait_for_all()
                same += group.primary()[0] is primary
                bench.note(f"crashes, {what}", "cluster", {"gap": gaps[-1]})
            line(what, f"{statistics.median(gaps):.2f}", f"{min(gaps):.2f}", f"{max(gaps):.2f}", f"{same} of {ROUNDS}")
    print()
