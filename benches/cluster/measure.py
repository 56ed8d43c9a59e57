"""One measurement: the load generator, and the processor time and the disk of everything beside it."""
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time

from processes import Group


# A request that takes too long on a busy machine is an error to its client, and ends the generator.
ATTEMPTS = 3


class Bench:
    """The options, and all measurements."""

    def __init__(self, options, etcd):
        self.options, self.etcd = options, etcd

    def group(self, *arguments):
        return Group(self.options.program, self.etcd, arguments, self.options.folder)

    def load(self, work, **settings):
        """Runs the load generator. Returns what it printed, and its processor time."""
        settings.setdefault("seconds", self.options.seconds)
        words = [f"{name}={str(value).lower()}" for name, value in settings.items()]
        for _ in range(ATTEMPTS):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run(
                [self.options.load, work, *words], capture_output=True, text=True, timeout=3600, check=False)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            if done.returncode == 0:
                break
            print(f"{work} {' '.join(words)}: {done.stderr.strip()}", file=sys.stderr)
        else:
            raise SystemExit(f"FAILED: {work}, {ATTEMPTS} times")
        measured = json.loads(done.stdout)
        measured["load_cpu"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return measured

    def measure(self, group, row, name, work, **settings):
        """Runs the load generator, and measures all processes of the group meanwhile."""
        primary, followers = group.primary()
        counted = ["cluster_batch_duration_seconds_count", "eventloop_clients_held"]
        parts = {
            "primary": [primary], "followers": followers, "etcd": group.members, "alone": [group.alone],
        }
        cpu = {part: sum(process.cpu() for process in some) for part, some in parts.items()}
        counts = {count: primary.metric(count) for count in counted}
        seconds, syncs = group.fsync()
        measured = self.load(work, **settings)
        requests = measured["writes"] + measured["reads"]
        for part, some in parts.items():
            measured[f"{part}_cpu"] = sum(process.cpu() for process in some) - cpu[part]
        for part in [*parts, "load"]:
            measured[f"{part}_us"] = 1e6 * measured[f"{part}_cpu"] / max(requests, 1)
        for count in counted:
            measured[count] = primary.metric(count) - counts[count]
        later, more = group.fsync()
        measured["fsync_ms"] = 1e3 * (later - seconds) / max(more - syncs, 1)
        measured["requests"] = requests
        self.note(row, name, measured)
        return measured

    def note(self, row, name, measured):
        if self.options.json:
            with open(self.options.json, "a") as file:
                print(json.dumps({"row": row, "name": name, **measured}), file=file)

    def rounds(self, group, row, contenders):
        """Measures contenders in turns, each time in another order. Returns the measurements of each."""
        found = {name: [] for name in contenders}
        names = list(contenders)
        for turn in range(self.options.rounds):
            for name in names[turn % len(names):] + names[:turn % len(names)]:
                work, settings = contenders[name]
                found[name].append(self.measure(group, row, name, work, **settings))
        return found

    def print_machine(self):
        with open("/proc/cpuinfo") as file:
            models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
        version = subprocess.run([f"{self.etcd}/etcd", "--version"], capture_output=True, text=True, check=True).stdout
        load = os.getloadavg()[0]
        print(f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores, load before {load:.1f}. "
              f"{version.splitlines()[0]}. {self.options.rounds} rounds of {self.options.seconds} s. "
              f"fdatasync of 4 KiB: {self.fsync_time():.2f} ms.\n", flush=True)

    def fsync_time(self):
        """Returns the median time of an fdatasync of 4 KiB behind a file's end, in milliseconds."""
        path = os.path.join(self.options.folder or "/tmp", f"fsync-{os.getpid()}")
        times, file = [], os.open(path, os.O_CREAT | os.O_WRONLY)
        try:
            for _ in range(200):
                os.write(file, bytes(4096))
                begun = time.perf_counter()
                os.fdatasync(file)
                times.append(time.perf_counter() - begun)
        finally:
            os.close(file)
            os.remove(path)
        return 1e3 * statistics.median(times)


def median(measured, what):
    return statistics.median(one[what] for one in measured)


def ratio(measured, other, what="rate"):
    """Returns the median, the least and the greatest of the rounds' ratios, as text."""
    all_ratios = [one[what] / two[what] for one, two in zip(measured, other) if two[what]]
    if not all_ratios:
        return "-"
    return f"**{statistics.median(all_ratios):.2f}** ({min(all_ratios):.2f} to {max(all_ratios):.2f})"


def table(*heads):
    print(f"| {' | '.join(heads)} |")
    print(f"|---|{'--:|' * (len(heads) - 1)}", flush=True)


def line(*cells):
    print(f"| {' | '.join(str(cell) for cell in cells)} |", flush=True)
