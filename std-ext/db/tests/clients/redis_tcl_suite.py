"""Runs Redis's own tests against the server, and compares what fails with `redis_tcl_suite.txt`.

    python3 std-ext/db/tests/clients/redis_tcl_suite.py PROGRAM [UNIT...]

The tests are those of redis-server 7.0.15, from Debian's source package. The suite starts its servers itself, with
settings of their own: it calls `src/redis-server`, which is this script again (`--as-redis-server`). Tests that need a
replica are left out. The script needs tclsh and a registry that answers, and takes half an hour for all units.

    HEDGEROW_DB_REDIS_TCL  a folder that is kept, so that the next run fetches nothing
    HEDGEROW_DB_ACCEPT     1: write the list from what has failed. New lines get the reason `?`, to be replaced by hand.

The list has a reason, and below it the tests that fail for it: the unit and the test's name. Tests below a reason that
begins with `Left out: ` do not run; `/` begins a pattern of names. The script fails if a test fails that is not in the
list, and if a test of the list runs and no longer fails. A test that fails unexpectedly is tried again, since some of
the tests depend on the machine's speed. The suite stops a unit at an error outside of a test; then the tests behind it
do not run, and `(the unit ends early)` stands in the list.
"""

import collections
import hashlib
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

VERSION = "7.0.15"
SHA256 = "4b1dc4ee6d622a09fff9c6777191209750fb5e5a725ef78ea012d6eef4c22982"
# The units about what the database has. The others are about functions, replicas, modules and Redis's
# processes.
UNITS = """
    acl auth bitfield bitops client-eviction dump expire geo hyperloglog info info-command introspection introspection-2
    keyspace latency-monitor lazyfree limits maxmemory multi networking obuf-limits other pause printver protocol pubsub
    pubsubshard querybuf quit replybufsize scan scripting slowlog sort tracking type/hash type/incr type/list
    type/list-2 type/list-3 type/set type/stream type/stream-cgroups type/string type/zset wait
""".split()
# Tests that need a replica, a cluster of Redis's kind or much memory are left out.
TAGS = "-repl -needs:repl -cluster -large-memory"
# The settings of the suite's servers that this server has, too.
# `appendonly` is not among them: tests restart the server, and expect the keys that Redis has loaded from a snapshot.
SETTINGS = """
    acl-pubsub-default aclfile acllog-max-len appendfsync bind busy-reply-threshold client-output-buffer-limit
    client-query-buffer-limit databases dir enable-debug-command hash-max-listpack-entries hash-max-listpack-value
    latency-monitor-threshold latency-tracking lfu-decay-time lfu-log-factor list-compress-depth list-max-listpack-size
    maxclients maxmemory maxmemory-policy maxmemory-samples notify-keyspace-events port protected-mode requirepass
    set-max-intset-entries slowlog-log-slower-than slowlog-max-len stream-node-max-bytes stream-node-max-entries timeout
    unixsocket user zset-max-listpack-entries zset-max-listpack-value
""".split()
# Changes of the suite: a file, a text, and the text instead.
PATCHES = [
    # The unit plays everything once more with functions, which do not exist here, under the same names.
    ("unit/scripting.tcl", "foreach is_eval {0 1} {", "foreach is_eval {1} {"),
    # Outside of a test, an error ends the unit.
    ("unit/scripting.tcl", "external:skip\"}} {\n    r script debug sync\n    r eval {return 'hello'} 0\n    r eval",
     "external:skip\"}} {\n    r eval"),
    *(("unit/scripting.tcl", f"    r debug set-disable-deny-scripts {yes}\n",
       f"    catch {{r debug set-disable-deny-scripts {yes}}}\n") for yes in (1, 0)),
    # The server reads its log and its snapshot again when it starts.
    ("test_helper.tcl", '    [srv $level "client"] {*}$args\n}\n\n# Returns a Redis instance by index.',
     "    if {$args in {{debug reload} {debug loadaof}}} {\n        restart_server $level true false\n"
     "        return OK\n    }\n"
     '    [srv $level "client"] {*}$args\n}\n\n# Returns a Redis instance by index.'),
    # A test that fails leaves its connection as the next one expects it: outside of a transaction, and in RESP2.
    ("support/test.tcl", "            lappend ::tests_failed $details\n\n            incr ::num_failed\n            send_data",
     "            lappend ::tests_failed $details\n            foreach {command} {{readraw 0} {deferred 0} discard {hello 2} "
     "{client unpause} {config set maxmemory 0}} {catch {r {*}$command}}\n            incr ::num_failed\n"
     "            send_data"),
]
# The suite looks for free ports from here.
BASE_PORT = 22111
ENDED = "(the unit ends early)"
LEFT_OUT = "Left out: "
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
        for name, old, new in PATCHES:
            file = source / "tests" / name
            text = file.read_text()
            assert old in text, f"{name} is not the file that is to be changed"
            file.write_text(text.replace(old, new))
    return source


def as_redis_server(program, words):
    """Becomes the server, with the settings of a file for Redis that it knows too."""
    options = []
    if words and not words[0].startswith("-"):
        config = pathlib.Path(words.pop(0))
        # The suite has older names of some settings, which only CONFIG knows here.
        lines = [line.replace("-max-ziplist-", "-max-listpack-", 1) for line in config.read_text().splitlines()]
        kept = [line for line in lines if line.split(" ")[0] in SETTINGS]
        # Redis looks for a file of users in its working directory, which is `dir`.
        folder = next((line.split(" ", 1)[1] for line in kept if line.startswith("dir ")), ".")
        kept = [re.sub("^aclfile (?=[^/])", f"aclfile {folder}/", line) for line in kept]
        # A file of its own, so that the next start of the same server finds the original.
        config.with_suffix(".kept").write_text("\n".join(kept) + "\n")
        options = [str(config.with_suffix(".kept"))]
    # The suite has directed the output into files, and waits for words of Redis there.
    out, errors = (pathlib.Path(f"/proc/{os.getpid()}/fd/{number}").resolve() for number in (1, 2))
    count = lambda file, words: file.read_text(errors="replace").count(words) if file.is_file() else 0
    ready, busy = (out, "Press Ctrl-C to stop."), (errors, "Address already in use")
    server, before = os.getpid(), (count(*ready), count(*busy))
    if os.fork() == 0:
        while os.getppid() == server and count(*ready) == before[0]:
            time.sleep(0.02)
        if count(*busy) > before[1]:
            print("Failed listening on port", flush=True)
        else:
            print(f"# Server initialized, PID: {server}\n* Ready to accept connections", flush=True)
        os._exit(0)
    # Our own variables begin as the server's do, and it refuses those that it does not know.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEDGEROW_DB_")}
    os.execve(program, [program, *options, *words], environment)


def play(program, source, unit, left_out=()):
    """Plays a unit without some of its tests. Returns the tests that have passed, and those that failed with what they said first."""
    (source / "tests/tmp").mkdir(exist_ok=True)
    server = source / "src/redis-server"
    script = shlex.join([sys.executable, str(pathlib.Path(__file__).resolve()), "--as-redis-server", str(program)])
    server.write_text(f'#!/bin/sh\nexec {script} "$@"\n')
    server.chmod(0o755)
    words = ["tclsh", "tests/test_helper.tcl", "--durable", "--ignore-encoding", "--ignore-digest", "--no-latency",
             "--clients", "1", "--timeout", str(UNIT - 60), "--baseport", str(BASE_PORT), "--tags", TAGS,
             *(word for name in left_out for word in ("--skiptest", name)), "--single", f"unit/{unit}"]
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
            is_left_out = lambda name: name.startswith(f"{unit}: ") and reasons[name].startswith(LEFT_OUT)
            left_out = [name.removeprefix(f"{unit}: ") for name in reasons if is_left_out(name)]
            passed, failed = play(program, source, unit, left_out)
            new = [name for name in failed if f"{unit}: {name}" not in reasons]
            if new and not accepts:
                _, again = play(program, source, unit, left_out)
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
            all_failed |= {f"{unit}: {name}" for name in [*failed, *left_out]}
        print(f"{counted['passed']} passed, {counted['failed']} failed, {surprises} of them otherwise than in the list")
        if accepts:
            return accept(reasons, all_failed, units)
        assert counted["passed"] > 3 * len(units), "the suite did not run"
        sys.exit(surprises > 0)
    finally:
        if not kept:
            shutil.rmtree(folder)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as-redis-server"]:
        as_redis_server(sys.argv[2], sys.argv[3:])
    main()
