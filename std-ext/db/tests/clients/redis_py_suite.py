"""Runs the test suite of redis-py against the server, and compares what fails with `redis_py_suite.txt`.

    python3 std-ext/db/tests/clients/redis_py_suite.py PROGRAM [PROTOCOL]
    python3 std-ext/db/tests/clients/redis_py_suite.py PROGRAM --cluster [PROTOCOL]

PROGRAM is hedgerow-db with TLS; PROTOCOL is 2 or 3, without it both. The script needs Python 3.10 or later, pip and a
registry that answers, openssl, and the ports 6379 (of a cluster, 16379 to 16400) and 6666 of 127.0.0.1, which some of
the tests have as constants. It takes about ten minutes for each protocol.

With `--cluster` it runs the tests for a cluster, against three groups of two nodes on one member of etcd, and compares
with `redis_py_suite_cluster.txt`. PROGRAM has the feature `cluster` then.

    HEDGEROW_ETCD          the folder of etcd, unless it is on PATH
    HEDGEROW_DB_REDIS_PY   a folder that is kept, so that the next run installs nothing
    HEDGEROW_DB_ACCEPT     1: write the list from what has failed. New lines get the reason `?`, to be replaced by hand.

The list has a reason, and below it the tests that fail for it: file, class and function, without the parameters. The
script fails if a test fails that is not in the list, if a test of the list no longer fails, and if a test has two
lines. A test that fails unexpectedly is tried again, since some of redis-py's tests depend on the machine's speed.
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
import venv
import xml.etree.ElementTree as ElementTree

VERSION = "8.1.0"
SHA256 = "6e1a19beef9225c83efd689c7e6b7da2d5215b1f42cd13b7fc3714d0a09c7b25"
# The packages that the suite imports. Other versions of these change nothing about the server.
NEEDED = [
    f"redis=={VERSION}", "hatchling", "pytest==9.2.0", "pytest-asyncio==1.5.0", "pytest-timeout==2.4.0",
    "pytest-forked==1.7.5", "pytest-cov", "numpy", "redis-entraid==1.2.1", "pybreaker>=1.4", "aiohttp>=3.9",
    "xxhash==3.6.0", "cryptography", "pyopenssl", "requests", "PyJWT", "opentelemetry-sdk",
    "opentelemetry-exporter-otlp-proto-http",
]
# Modules and accounts elsewhere are not to be had. The folders test the client against a simulated server.
MARKS = "not redismod and not cp_integration"
LEFT_OUT = ["tests/test_scenario", "tests/test_asyncio/test_scenario", "tests/maint_notifications"]
# Seconds that one test may take, and the whole suite.
TEST, SUITE = 60, 3000
TLS_PORT = 6666
# Groups of the cluster, and nodes of each.
GROUPS, EACH = 3, 2
# Its name, which the certificates of its nodes have.
CLUSTER = "redis-py"


def run(*command, **more):
    subprocess.run(command, check=True, **more)


def install(folder):
    """The suite and what it needs, in this folder. Returns the interpreter and the suite's folder."""
    python, source = folder / "venv/bin/python", folder / f"redis-{VERSION}"
    if not source.exists():
        venv.create(folder / "venv", with_pip=True)
        run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *NEEDED)
        run(
            python, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:",
            "--no-build-isolation", "-d", folder, f"redis=={VERSION}",
        )
        archive = folder / f"redis-{VERSION}.tar.gz"
        got = hashlib.sha256(archive.read_bytes()).hexdigest()
        assert got == SHA256, f"{archive.name} is not the archive that the list is about: {got}"
        shutil.unpack_archive(archive, folder)
    for servers in Server, Cluster:
        certificates = source / f"dockers/{servers.certificates}/tls"
        if not certificates.exists():
            certify(certificates)
    return python, source


def certify(folder):
    """The certificates that the suite looks for, signed by an authority of their own."""
    folder.mkdir(parents=True)
    extensions = folder / "extensions"
    extensions.write_text(f"subjectAltName=DNS:localhost,DNS:{CLUSTER},IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")

    def openssl(*words):
        run("openssl", *words, cwd=folder, stderr=subprocess.DEVNULL)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "300", "-subj", "/CN=authority",
            "-keyout", "ca.key", "-out", "ca.crt")
    for name in ["redis", "client", "test_user"]:
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
                "-out", f"{name}.csr")
        openssl("x509", "-req", "-days", "300", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
                "-CAcreateserial", "-extfile", extensions, "-out", f"{name}.crt")


def check_free(*ports):
    for port in ports:
        with socket.socket() as free:
            assert free.connect_ex(("127.0.0.1", port)) != 0, f"port {port} is in use"


class Server:
    """A server without data, on the ports that the suite expects."""

    port = 6379
    marks = f"not onlycluster and {MARKS}"
    tests = ["tests"]
    list = pathlib.Path(__file__).with_suffix(".txt")
    # The folder of certificates that the suite reads, and the fewest tests that pass if it has run at all.
    certificates, fewest = "standalone", 1000

    def __init__(self, program, certificates):
        check_free(self.port, TLS_PORT)
        self.folder, self.processes = tempfile.mkdtemp(), []
        tls = [f"--tls-cert-file={certificates}/redis.crt", f"--tls-key-file={certificates}/redis.key",
               f"--tls-ca-cert-file={certificates}/ca.crt",
               "--tls-auth-clients=optional"]
        try:
            self.start(program, tls)
        except BaseException:
            self.end()
            raise

    def start(self, program, tls):
        self.start_node(program, f"--port={self.port}", f"--dir={self.folder}", f"--tls-port={TLS_PORT}", *tls)

    def start_node(self, program, *flags):
        # Our own variables begin as the server's do, and it refuses those that it does not know.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HEDGEROW_DB_")}
        node = subprocess.Popen(
            [program, *flags, "--loglevel=warning", "--enable-debug-command=yes"],
            stdout=subprocess.PIPE, text=True, env=environment,
        )
        self.processes.append(node)
        while (line := node.stdout.readline()) != "Press Ctrl-C to stop.\n":
            assert line, "the server did not start"

    def end(self):
        for process in reversed(self.processes):
            process.kill()
            process.wait()
        shutil.rmtree(self.folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # A server that a test has ended is a failure by itself.
        ended = [process.poll() for process in self.processes]
        self.end()
        assert not any(code is not None for code in ended), f"a server ended during the suite: {ended}"


class Cluster(Server):
    """Three groups of two nodes, the first of them on the ports that the suite expects; and their etcd."""

    port = 16379
    marks = f"not onlynoncluster and {MARKS}"
    # The others test the client alone, or have clients that know no clusters.
    tests = [f"tests/{folder}test_{name}.py" for folder in ("", "test_asyncio/")
             for name in ("cluster", "cluster_transaction", "commands", "lock", "pubsub", "scripting")]
    list = Server.list.with_name("redis_py_suite_cluster.txt")
    certificates, fewest = "cluster", 500

    def start(self, program, tls):
        client, peer = (f"http://127.0.0.1:{self.port + 20 + at}" for at in range(2))
        check_free(*range(self.port + 1, self.port + GROUPS * EACH), self.port + 20, self.port + 21)
        etcd = shutil.which("etcd", path=f"{os.environ.get('HEDGEROW_ETCD', '')}:{os.environ['PATH']}")
        assert etcd, "there is no etcd: name its folder with HEDGEROW_ETCD"
        self.processes.append(subprocess.Popen(
            [etcd, f"--data-dir={self.folder}/etcd", "--log-level=error", f"--listen-client-urls={client}",
             f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}",
             f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}"]))
        for at in range(GROUPS * EACH):
            for_clients = [f"--tls-port={TLS_PORT}"] if at == 0 else []
            self.start_node(
                program, f"--port={self.port + at}", f"--dir={self.folder}/{at}", "--cluster=yes",
                f"--cluster-name={CLUSTER}", f"--cluster-etcd={client}", f"--cluster-groups={GROUPS}",
                f"--cluster-group={at % GROUPS}",
                "--cluster-announce-ip=127.0.0.1", "--threads=1", *for_clients, *tls)


def name_of(case):
    """`test_asyncio/test_lock::TestLock::test_lock` of a case in pytest's report."""
    words = case.get("classname").split(".")[1:]
    classes = [word for word in words if word[0].isupper()]
    return "::".join(["/".join(words[: len(words) - len(classes)]), *classes, re.sub(r"\[.*", "", case.get("name"))])


def suite(servers, program, python, source, protocol, *options):
    """Runs tests. Returns the cases that failed, by name, and how many cases there are of each kind."""
    report = source / f"report-{protocol}.xml"
    report.unlink(missing_ok=True)
    with servers(program, source / f"dockers/{servers.certificates}/tls"):
        words = [python, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--tb=native", f"--timeout={TEST}",
                 f"--protocol={protocol}", f"--redis-url=redis://127.0.0.1:{servers.port}/0", f"--junitxml={report}",
                 "-m", servers.marks, *(f"--ignore={folder}" for folder in LEFT_OUT), *options, *servers.tests]
        with open(source / f"log-{protocol}", "w") as log:
            # It fails, since tests of the list do.
            subprocess.run(words, cwd=source, stdout=log, stderr=log, timeout=SUITE, check=False)
    failed, counted = collections.defaultdict(list), collections.Counter()
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        wrong = [child for child in case if child.tag in ("failure", "error")]
        counted["failed" if wrong else "skipped" if kinds else "passed"] += 1
        if wrong:
            failed[name_of(case)].append(wrong[0].get("message") or "")
    return failed, counted


def expected(path):
    """The reason of each test of the list."""
    reasons, reason = {}, None
    for line in path.read_text().splitlines():
        if line.startswith("# "):
            reason = line[2:]
        elif line and not line.startswith("//"):
            assert line not in reasons, f"{line} has two lines"
            reasons[line] = reason
    return reasons


def accept(path, reasons, failed):
    """Writes the list anew: its head, then each reason in its old order."""
    head = [line for line in path.read_text().splitlines() if line.startswith("//")]
    groups = {reason: [] for reason in reasons.values()}
    for name in sorted(failed):
        groups.setdefault(reasons.get(name, "?"), []).append(name)
    lines = [line for reason, names in groups.items() if names for line in ["", f"# {reason}", *names]]
    path.write_text("\n".join([*head, *lines]) + "\n")


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    words = sys.argv[2:]
    servers = Cluster if "--cluster" in words else Server
    protocols = [word for word in words if word != "--cluster"] or ["2", "3"]
    kept = os.environ.get("HEDGEROW_DB_REDIS_PY")
    folder = pathlib.Path(kept or tempfile.mkdtemp())
    try:
        python, source = install(folder)
        reasons, all_failed, surprises = expected(servers.list), set(), 0
        accepts = os.environ.get("HEDGEROW_DB_ACCEPT") == "1"
        for protocol in protocols:
            failed, counted = suite(servers, program, python, source, protocol)
            print(f"RESP{protocol}: " + ", ".join(f"{count} {kind}" for kind, count in sorted(counted.items())))
            assert counted["passed"] > servers.fewest, "the suite did not run"
            unexpected = sorted(failed.keys() - reasons.keys())
            if unexpected and not accepts:
                # By function, in any file: to run more tests than needed does no harm.
                functions = " or ".join(sorted({name.split("::")[-1] for name in unexpected}))
                again, _ = suite(servers, program, python, source, protocol, "-k", functions)
                for name in unexpected:
                    if name in again:
                        surprises += 1
                        print(f"RESP{protocol}: {name} fails and is not in the list: {again[name][0][:300]}")
                    else:
                        del failed[name]
            all_failed |= failed.keys()
        if accepts:
            return accept(servers.list, reasons, all_failed)
        if len(protocols) > 1:
            for name in sorted(reasons.keys() - all_failed):
                surprises += 1
                print(f"{name} is in the list and does not fail")
        print(f"{len(all_failed)} functions fail, {surprises} of them otherwise than in the list")
        sys.exit(surprises > 0)
    finally:
        if not kept:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
