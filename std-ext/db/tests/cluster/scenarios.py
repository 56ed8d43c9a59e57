"""Bad days that end a cluster, or that a node must refuse: each on a cluster of its own.

Each ends in a sentence that says what is wrong, and changes nothing.
"""
import hashlib
import os
import shutil
import struct
import subprocess
import tempfile
import time
import zlib

from processes import COUNT, Cluster, Failed, Settings
from resp import Connection, Refused

LOG = "/hedgerow/test/g/0/log/"
TAIL = "/hedgerow/test/g/0/tail"
# Values of a MiB: more than etcd may retain for a group while a member lacks them, which is 256 MiB.
PRESSURE = 400


def write(cluster, count, value=b"x" * 100):
    """Writes keys that are new, and returns how many there are."""
    n = cluster.primary()
    connection = Connection(cluster.addresses[n], 10.0)
    try:
        begin = connection.command("DBSIZE")
        for number in range(begin, begin + count):
            connection.command("SET", f"key:{number}", value)
        return begin + count
    finally:
        connection.close()


def tree(folder):
    """Returns a digest of each file of a folder."""
    found = {}
    for path, _, names in os.walk(folder):
        for name in names:
            with open(f"{path}/{name}", "rb") as file:
                found[f"{path}/{name}"] = hashlib.sha256(file.read()).hexdigest()
    return found


def wait_for(what, done, within=30.0):
    end = time.monotonic() + within
    while not done():
        if time.monotonic() > end:
            raise Failed(f"waited {within} s in vain: {what}")
        time.sleep(0.05)


def wait_for_end(cluster, process, log, sentence, what):
    """Waits until a process has ended with an error and a sentence."""
    wait_for(f"{what} does not end", lambda: process.poll() is not None)
    if process.returncode == 0:
        raise Failed(f"{what} ended without an error")
    wait_for(f"{what} does not say {sentence!r}", lambda: sentence in " ".join(cluster.log(log).split()), 5.0)


def stop_members(cluster):
    cluster.kill(cluster.members, *range(COUNT))


def refuse_all(cluster):
    """Checks that every node ends with the hint at `adopt`, also when it is started again, and changes nothing."""
    for n in range(COUNT):
        cluster.start_member(n)
    cluster.wait_for_etcd()
    before = cluster.etcdctl("get", "--prefix", "/hedgerow/test/g/0/", check=True)
    for n in range(COUNT):
        wait_for_end(cluster, cluster.nodes[n], f"n{n}", "cluster adopt", f"node {n}")
        served = cluster.ask(n, "GET", "key:0")
        if served is not None:
            raise Failed(f"node {n} still serves {served!r}")
    folders = [tree(cluster.dir(n)) for n in range(COUNT)]
    for n in range(COUNT):
        cluster.start_node(n)
    for n in range(COUNT):
        wait_for_end(cluster, cluster.nodes[n], f"n{n}", "cluster adopt", f"node {n}, started again,")
    after = cluster.etcdctl("get", "--prefix", "/hedgerow/test/g/0/", check=True)
    # A follower may note how far its disk is before it looks at the line, and says which entries it has.
    if keys_without(before, "durable/", "halt") != keys_without(after, "durable/", "halt"):
        raise Failed("a node that refused etcd has changed it")
    for n in range(COUNT):
        lost = [path for path, digest in folders[n].items() if tree(cluster.dir(n)).get(path) != digest]
        if lost:
            raise Failed(f"node {n} refused etcd, and has changed {lost}")


def keys_without(text, *names):
    lines = text.split("\n")
    pairs = zip(lines[::2], lines[1::2])
    return [pair for pair in pairs if not any(f"/{name}" in pair[0] for name in names)]


def restored_etcd(cluster):
    """etcd is restored from a backup that lacks acknowledged changes."""
    cluster.start()
    write(cluster, 50)
    stop_members(cluster)
    for n in range(COUNT):
        shutil.copytree(f"{cluster.folder}/e{n}", f"{cluster.folder}/backup{n}")
        cluster.start_member(n)
    cluster.wait_for_all()
    write(cluster, 50)
    # The nodes' own disks have what etcd forgets now.
    time.sleep(2)
    stop_members(cluster)
    for n in range(COUNT):
        shutil.rmtree(f"{cluster.folder}/e{n}")
        shutil.move(f"{cluster.folder}/backup{n}", f"{cluster.folder}/e{n}")
    refuse_all(cluster)


def overtaken_etcd(cluster):
    """etcd is restored, and a node that was away since the backup writes on: the others must not follow it."""
    cluster.start()
    write(cluster, 50)
    away = (cluster.primary() + 1) % COUNT
    others = [n for n in range(COUNT) if n != away]
    time.sleep(2)
    cluster.kill(cluster.nodes, away)
    stop_members(cluster)
    for n in range(COUNT):
        shutil.copytree(f"{cluster.folder}/e{n}", f"{cluster.folder}/backup{n}")
        cluster.start_member(n)
    cluster.wait_for_etcd()
    cluster.primary()
    write(cluster, 50)
    time.sleep(2)
    cluster.kill(cluster.nodes, *others)
    stop_members(cluster)
    for n in range(COUNT):
        shutil.rmtree(f"{cluster.folder}/e{n}")
        shutil.move(f"{cluster.folder}/backup{n}", f"{cluster.folder}/e{n}")
        cluster.start_member(n)
    cluster.wait_for_etcd()
    cluster.start_node(away)
    cluster.primary()
    count = write(cluster, 200)
    for n in others:
        cluster.start_node(n)
    for n in others:
        wait_for_end(cluster, cluster.nodes[n], f"n{n}", "a different history", f"node {n}, with changes that etcd forgot,")
    if cluster.ask(away, "DBSIZE") != count:
        raise Failed("the node that etcd knows does not go on")


def emptied_etcd(cluster):
    """etcd has lost all of its disks."""
    cluster.start()
    write(cluster, 50)
    time.sleep(2)
    stop_members(cluster)
    for n in range(COUNT):
        shutil.rmtree(f"{cluster.folder}/e{n}")
    refuse_all(cluster)


def copied_folder(cluster):
    """Two processes with one folder's copy: one of them ends."""
    cluster.start()
    write(cluster, 20)
    n = (cluster.primary() + 1) % COUNT
    cluster.kill(cluster.nodes, n)
    shutil.copytree(cluster.dir(n), f"{cluster.folder}/copy")
    cluster.start_node(n)
    cluster.wait_for_all()
    command = cluster.node_command(n, dir=f"{cluster.folder}/copy", port=cluster.ports[n] - 1)
    process = subprocess.Popen(
        cluster.network.command(f"n{n}", command), stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT,
        stdout=open(f"{cluster.folder}/twin.log", "ab"))
    cluster.others.append(process)
    both = (cluster.nodes[n], process)
    wait_for("neither of two processes with one id ends", lambda: any(one.poll() is not None for one in both), 60.0)
    said = " ".join((cluster.log("twin") + cluster.log(f"n{n}")).split())
    if "its directory is a copy" not in said:
        raise Failed("a process with a copied folder does not say so")
    process.kill()
    if cluster.nodes[n].poll() is not None:
        cluster.start_node(n)
    cluster.wait_for_all()
    check_all(cluster, 20)


def check_all(cluster, count):
    """Checks that all nodes have all keys."""
    for n in range(COUNT):
        def has_all(n=n):
            try:
                connection = Connection(cluster.addresses[n])
                try:
                    connection.command("READONLY")
                    return connection.command("DBSIZE") == count
                finally:
                    connection.close()
            except (OSError, Refused):
                return False
        wait_for(f"node {n} has not all {count} keys", has_all)


def refused_start(cluster, n, sentence, **changed):
    """Starts a node with other settings, which must end with a sentence and change nothing."""
    cluster.kill(cluster.nodes, n)
    before = tree(cluster.dir(n))
    process = cluster.process(f"n{n}", cluster.node_command(n, **changed))
    cluster.others.append(process)
    wait_for_end(cluster, process, f"n{n}", sentence, f"a node with {changed}")
    if tree(cluster.dir(n)) != before:
        raise Failed(f"a node that was refused with {changed} has changed its folder")
    cluster.start_node(n)
    cluster.wait_for_all()


def other_cluster(cluster):
    """The folder belongs to another cluster than the one that etcd has."""
    cluster.start()
    count = write(cluster, 20)
    n = (cluster.primary() + 1) % COUNT
    refused_start(cluster, n, "but this directory belongs to it", **{"cluster-name": "other"})
    # Now etcd has a cluster of that name, which another node made.
    new = f"{cluster.folder}/new"
    os.mkdir(new)
    command = cluster.node_command(n, dir=new, port=cluster.ports[n] - 1, **{"cluster-name": "other"})
    made = subprocess.Popen(cluster.network.command(f"n{n}", command), stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    cluster.others.append(made)
    wait_for("a second cluster is not made", lambda: "format" in cluster.etcdctl("get", "/hedgerow/other/format"))
    refused_start(cluster, n, "belongs to the cluster", **{"cluster-name": "other"})
    check_all(cluster, count)


def wrong_endpoints(cluster):
    """No etcd is there: the node waits, says so again and again, and tells clients that it loads."""
    cluster.start()
    count = write(cluster, 20)
    n = (cluster.primary() + 1) % COUNT
    cluster.kill(cluster.nodes, n)
    process = cluster.process(f"n{n}", cluster.node_command(n, **{"cluster-etcd": "http://127.0.0.1:9"}))
    cluster.others.append(process)
    wait_for("a node without etcd does not say that it waits",
             lambda: cluster.log(f"n{n}").count("waiting for etcd") >= 3)

    def is_loading():
        try:
            connection = Connection(cluster.addresses[n])
            connection.command("GET", "key:0")
        except Refused as why:
            return str(why).startswith("LOADING")
        except OSError:
            return False
        raise Failed("a node without etcd answers reads")
    wait_for("a node without etcd does not answer LOADING", is_loading)
    process.kill()
    process.wait()
    cluster.start_node(n)
    cluster.wait_for_all()
    check_all(cluster, count)


def damaged_batch(cluster):
    """A batch in etcd is damaged: a node that needs it stops, the others go on."""
    cluster.start()
    write(cluster, 5)
    n = (cluster.primary() + 1) % COUNT
    cluster.kill(cluster.nodes, n)
    count = write(cluster, 20)
    keys = cluster.etcdctl("get", "--prefix", LOG, "--keys-only", check=True).split()
    key = keys[-5]
    whole = raw(cluster, key)
    damaged = whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:]
    cluster.etcdctl("put", key, check=True, value=damaged)
    cluster.start_node(n)
    wait_for_end(cluster, cluster.nodes[n], f"n{n}", "in etcd cannot be read", f"node {n}")
    cluster.etcdctl("put", key, check=True, value=whole)
    cluster.start_node(n)
    cluster.wait_for_all()
    check_all(cluster, count)


def raw(cluster, key):
    """Returns the bytes of a value in etcd."""
    command = [f"{cluster.etcd}/etcdctl", "--endpoints", cluster.member_url(0, cluster.client_ports), "get", key,
               "--print-value-only"]
    # etcdctl ends the value with a line feed.
    return subprocess.run(command, capture_output=True, check=True).stdout[:-1]


def batch_behind(line, changes):
    """Returns a batch of one entry behind the line `tail`, and the line behind it: see `core/batch.rs`."""
    fields = line.split()
    epoch, seq, lsn, time_of_it, before = int(fields[1]), int(fields[4]), int(fields[5]), int(fields[6]), fields[9]
    body = struct.pack("<IQ", len(changes), time_of_it) + changes
    header = struct.pack("<HBBQQII", 0x6768, 1, 0, epoch, lsn + 1, 1, len(body)) + bytes.fromhex(before)
    checksum = struct.pack("<I", zlib.crc32(body, zlib.crc32(header)))
    after = hashlib.sha256(bytes.fromhex(before) + struct.pack("<QQ", epoch, lsn + 1) + body).hexdigest()[:32]
    fields[4], fields[5], fields[9] = str(seq + 1), str(lsn + 1), after
    return f"{LOG}{seq + 1:020}", header + checksum + body, " ".join(fields)


def unknown_kind(cluster):
    """The log has an entry of a kind that only a later version knows: no node applies it, and none takes over."""
    cluster.start()
    count = write(cluster, 20)
    cluster.kill(cluster.nodes, *range(COUNT))
    line = raw(cluster, TAIL).decode()
    key, batch, next_line = batch_behind(line, bytes([99, 1]) + b"k")
    cluster.etcdctl("put", key, check=True, value=batch)
    cluster.etcdctl("put", TAIL, check=True, value=next_line.encode())
    for n in range(COUNT):
        cluster.start_node(n)
    sentence = "cannot follow its group any further"
    for n in range(COUNT):
        wait_for(f"node {n} does not say {sentence!r}", lambda n=n: sentence in cluster.log(f"n{n}"))
    time.sleep(4 * cluster.settings.lease / 1000)
    if raw(cluster, TAIL).decode() != next_line:
        raise Failed("a node that cannot apply an entry has taken over")
    if any(cluster.role(n) == "master" for n in range(COUNT)):
        raise Failed("a node that cannot apply an entry is the primary")
    # As it was: with the program that knows the kind, they would go on.
    cluster.kill(cluster.nodes, *range(COUNT))
    cluster.etcdctl("put", TAIL, check=True, value=line.encode())
    cluster.etcdctl("del", key, check=True)
    for n in range(COUNT):
        cluster.start_node(n)
    cluster.wait_for_all()
    check_all(cluster, count)


def values_at(cluster, n):
    """Returns the first values of a node; None while it loads."""
    try:
        connection = Connection(cluster.addresses[n], 60.0)
        try:
            connection.command("READONLY")
            return connection.values([f"key:{number}" for number in range(32)])
        finally:
            connection.close()
    except (OSError, Refused):
        return None


def resync_under_pressure(cluster):
    """A node without data fetches them slowly, while more is written than etcd may retain: it still arrives."""
    cluster.start()
    n = (cluster.primary() + 1) % COUNT
    cluster.kill(cluster.nodes, n)
    for name in os.listdir(cluster.dir(n)):
        if name not in ("node-id", "cluster"):
            os.remove(f"{cluster.dir(n)}/{name}")
    connection = Connection(cluster.addresses[cluster.primary()], 60.0)
    for number in range(PRESSURE):
        if number == PRESSURE // 4:
            cluster.start_node(n)
        if number > PRESSURE // 4:
            # The node gets a small part of the time.
            cluster.freeze(cluster.nodes, n)
        connection.command("SET", f"key:{number % 32}", os.urandom(1 << 20))
        if number > PRESSURE // 4:
            cluster.thaw(cluster.nodes, n)
            time.sleep(0.002)
    connection.close()
    last = values_at(cluster, cluster.primary())
    first = int(cluster.etcdctl("get", "--prefix", LOG, "--keys-only", "--limit", "1").split("/")[-1])
    cluster.wait_for_all(180.0)
    wait_for("the node has other values than the primary", lambda: values_at(cluster, n) == last, 60.0)
    fetched = cluster.log(f"n{n}").count("fetching the data")
    print(f"     the node fetched {fetched} times; etcd's log began at batch {first}")
    if not fetched or first < PRESSURE // 8:
        raise Failed("nothing was fetched, or nothing trimmed: the scenario is too small")


def old_etcd(cluster):
    """etcd 3.4, of which HEDGEROW_OLD_ETCD names the folder, is refused."""
    programs = os.environ.get("HEDGEROW_OLD_ETCD")
    if not programs:
        print("LEFT OUT: an etcd that is too old; name the folder of one with HEDGEROW_OLD_ETCD")
        return
    cluster.etcd = programs
    for n in range(COUNT):
        cluster.start_member(n)
    cluster.start_node(0)
    wait_for_end(cluster, cluster.nodes[0], "n0", "3.5.16 or later", "a node on an old etcd")
    version = subprocess.run([f"{programs}/etcd", "--version"], capture_output=True, text=True, check=True).stdout
    print(version.splitlines()[0])


SCENARIOS = {one.__name__: one for one in (
    restored_etcd, overtaken_etcd, emptied_etcd, copied_folder, other_cluster, wrong_endpoints, damaged_batch,
    unknown_kind, resync_under_pressure, old_etcd)}


def play(names, program, etcd, **settings):
    """Plays scenarios, each on a new cluster. Raises Failed."""
    for name in names:
        begin = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            cluster = Cluster(program, folder, etcd, Settings(**settings))
            try:
                SCENARIOS[name](cluster)
            except Failed:
                cluster.print_logs()
                raise
            finally:
                cluster.stop()
        print(f"     {name:22} as it must be, {time.monotonic() - begin:.1f} s", flush=True)
