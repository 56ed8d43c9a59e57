"""Runs Redis's own tests against the server, and compares what fails with `redis_tcl_suite.txt`.

    python3 std-ext/db/tests/clients/redis_tcl_suite.py PROGRAM [UNIT...]

The tests are those of redis-server 7.0.15, from Debian's source package. They run against a server that they have not
started ("external mode"), so those that start servers of their own or need a replica are skipped. The script needs
tclsh and a registry that answers, and takes a quarter of an hour for all units.

    HEDGEROW_DB_REDIS_TCL  a folder that is kept, so that the next run fetches nothing
    HEDGEROW_DB_ACCEPT     1: write the list from what has failed. New lines get the reason `?`, to be replaced by hand.

The list has a reason, and below it the tests that fail for it: the unit and the test's name. The script fails if a test
fails that is not in the list, and if a test of the list runs and no longer fails. A test that fails unexpectedly is
tried again, since some of the tests depend on the machine's speed. The suite stops a unit at some failures; then the
tests behind it do not run, and `(the unit ends early)` stands in the list.
"""

import collections
import hashlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile

VERSION = "7.0.15"
SHA256 = "4b1dc4ee6d622a09fff9c6777191209750fb5e5a725ef78ea012d6eef4c22982"
# The units about what the database has. The others are about other types, replicas, modules and Redis's processes.
UNITS = """
    acl auth bitfield bitops client-eviction dump expire hyperloglog info info-command introspection introspection-2
    keyspace latency-monitor lazyfree limits maxmemory multi networking obuf-limits other pause printver protocol pubsub
    pubsubshard querybuf quit replybufsize scan scripting slowlog sort tracking type/incr type/string wait
""".split()
# Tests that need a replica or much memory are left out.
TAGS = "-needs:repl -needs:reset -large-memory"
ENDED = "(the unit ends early)"
LIST = pathlib.Path(__file__).with_suffix(".txt")
# Seconds that one unit may take.
UNIT = 600


def fetch(folder):
    """Fetches the source package, with lists and a cache of its own, and returns the folder of the suite."""
    source = folder / f"redis-{VERSION}"
    if not source.exists():
        targets = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages", "Origin: Debian"],
            check=True, stdout=subprocess.PIPE, text=True,
        ).stdout.split("\n")
        uri, codename = next(line.split() for line in targets if line and "-" not in line.split()[1])
        key = "/usr/share/keyrings/debian-archive-keyring.gpg"
        (folder / "sources.list").write_text(f"deb-src [signed-by={key}] {uri} {codename} main\n")
        for name in "lists/partial", "cache/archives/partial":
            (folder / name).mkdir(parents=True, exist_ok=True)
        apt = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "-o", f"Dir::Etc::SourceList={folder}/sources.list",
               "-o", "Dir::Etc::SourceParts=/dev/null", "-o", f"Dir::State::Lists={folder}/lists",
               "-o", f"Dir::Cache={folder}/cache"]
        subprocess.run([*apt, "update"], cwd=folder, check=True)
        subprocess.run([*apt, "--download-only", "--tar-only", "source", "redis"], cwd=folder, check=True)
        (archive,) = folder.glob("redis_*.orig.tar.gz")
        got = hashlib.sha256(archive.read_bytes()).hexdigest()
        assert got == SHA256, f"{archive.name} is not the archive that the list is about: {got}"
        shutil.unpack_archive(archive, folder)
    return source


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Server:
    """A server without data, and with what the suite's own servers have."""

    def __init__(self, program):
        self.port, self.folder = free_port(), tempfile.mkdtemp()
        # Our own variables begin as the server's do, and it refuses those that it does not know.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HEDGEROW_DB_")}
        self.process = subprocess.Popen(
            [program, f"--port={self.port}", f"--dir={self.folder}", "--loglevel=warning",
             "--enable-debug-command=yes"],
            stdout=subprocess.PIPE, text=True, env=environment,
        )
        while (line := self.process.stdout.readline()) != "Press Ctrl-C to stop.\n":
            assert line, "the server did not start"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # A server that a test has ended is a failure by itself.
        ended = self.process.poll()
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        assert ended is None, f"the server ended during the suite: {ended}"


def play(program, source, unit):
    """Plays a unit. Returns the tests that have passed, and those that failed with what they said first."""
    (source / "tests/tmp").mkdir(exist_ok=True)
    with Server(program) as server:
        words = ["tclsh", "tests/test_helper.tcl", "--host", "127.0.0.1", "--port", str(server.port), "--durable",
                 "--ignore-encoding", "--ignore-digest", "--no-latency", "--clients", "1", "--timeout",
                 str(UNIT - 60), "--tags", TAGS, "--single", f"unit/{unit}"]
        log = source / f"log-{unit.replace('/', '-')}"
        with open(log, "w", errors="replace") as out:
            # It fails, since tests of the list do.
            subprocess.run(words, cwd=source, stdout=out, stderr=out, timeout=UNIT, check=False)
    text = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(errors="replace"))
    passed, failed, last = set(), {}, None
    for line in text.splitlines():
        if found := re.match(r"\[ok\]: (.*?)(?: \(\d+ ms\))?$", line):
            passed.add(found[1])
        elif found := re.match(r"\[err\]: (.*) in tests/unit/[\w/-]+\.tcl$", line):
            last = found[1]
            failed[last] = ""
        elif found := re.match(r"\[exception\]: (.*)", line):
            failed[ENDED] = found[1]
        # The suite cuts the first line of a message, and repeats it.
        elif last and len(failed[last]) < 20:
            failed[last] = line
    if "The End" not in text:
        failed.setdefault(ENDED, text.strip().rsplit("\n", 1)[-1])
    return passed, failed


def expected():
    """The reason of each test of the list, by unit and name."""
    reasons, reason = {}, None
    for line in LIST.read_text().splitlines() if LIST.exists() else []:
        if line.startswith("# "):
            reason = line[2:]
        elif line and not line.startswith("//"):
            assert line not in reasons, f"{line} has two lines"
            reasons[line] = reason
    return reasons


def accept(reasons, failed, units):
    """Writes the list anew: its head, then each reason in its old order."""
    head = [line for line in LIST.read_text().splitlines() if line.startswith("//")] if LIST.exists() else []
    kept = [name for name in reasons if name.split(": ")[0] not in units]
    groups = {reason: [] for reason in reasons.values()}
    for name in sorted([*failed, *kept]):
        groups.setdefault(reasons.get(name, "?"), []).append(name)
    lines = [line for reason, names in groups.items() if names for line in ["", f"# {reason}", *names]]
    LIST.write_text("\n".join([*head, *lines]) + "\n")


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    units = sys.argv[2:] or UNITS
    kept = os.environ.get("HEDGEROW_DB_REDIS_TCL")
    folder = pathlib.Path(kept or tempfile.mkdtemp())
    folder.mkdir(exist_ok=True)
    try:
        source = fetch(folder)
        reasons, all_failed, surprises, counted = expected(), set(), 0, collections.Counter()
        accepts = os.environ.get("HEDGEROW_DB_ACCEPT") == "1"
        for unit in units:
            passed, failed = play(program, source, unit)
            new = [name for name in failed if f"{unit}: {name}" not in reasons]
            if new and not accepts:
                _, again = play(program, source, unit)
                for name in new:
                    if name in again:
                        surprises += 1
                        print(f"{unit}: {name} fails and is not in the list: {failed[name][:300]}")
                    else:
                        del failed[name]
            for name in passed - failed.keys():
                if f"{unit}: {name}" in reasons and not accepts:
                    surprises += 1
                    print(f"{unit}: {name} is in the list and does not fail")
            print(f"{unit}: {len(passed)} passed, {len(failed)} failed", flush=True)
            counted.update(passed=len(passed), failed=len(failed))
            all_failed |= {f"{unit}: {name}" for name in failed}
        print(f"{counted['passed']} passed, {counted['failed']} failed, {surprises} of them otherwise than in the list")
        if accepts:
            return accept(reasons, all_failed, units)
        assert counted["passed"] > 3 * len(units), "the suite did not run"
        sys.exit(surprises > 0)
    finally:
        if not kept:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
