"""The tables. Each starts processes of its own, so that none depends on what another one stored."""
import shutil
import statistics
import threading
import time

from crashes import crashes
from groups import groups
from measure import line, median, ratio, table
from moves import moves
from processes import Refused, metric

KEYS = 100_000
VALUE = 64


def rate(measured):
    return f"{median(measured, 'rate'):,.0f}"


def latency(measured, kind):
    return f"{median(measured, f'{kind}_p50_ms'):.2f}; {median(measured, f'{kind}_p99_ms'):.2f}"


def cpu(measured, part):
    return f"{median(measured, f'{part}_us'):.1f}"


def at_etcd(group, clients):
    """The settings of the load generator for etcd: every client of etcd's own benchmark does the same."""
    return {"etcd": ",".join(group.urls()), "clients": clients, "keys": KEYS, "connections": 16}


def writes(bench):
    """Writes against plain puts, a bare loop of batches, and one node that forces its disk."""
    print("Writes of 64 bytes, 100,000 uniform keys. Ratios: median (least to greatest) of the rounds' ratios.\n")
    kinds = [(int(clients), 1) for clients in bench.options.clients.split(",")] + [(50, 16)]
    rows = []
    with bench.group() as group:
        primary, _ = group.primary()
        table("writes", "cluster/s", "p50; p99, ms", "etcd puts/s", "p50; p99, ms", "÷ etcd puts", "÷ bare loop",
              "÷ one node, `always`", "writes in a batch")
        for clients, pipeline in kinds:
            row = f"{clients} clients" + (f", P = {pipeline}" if pipeline > 1 else "")
            to = {"clients": clients, "pipeline": pipeline, "keys": KEYS, "value": VALUE}
            # A bare loop has no pipelines: as many clients as requests under way.
            contenders = {
                "cluster": ("set", {"port": primary.port, **to}),
                "puts": ("put", {**at_etcd(group, clients), "leader": True}),
                "bare": ("batches", {**at_etcd(group, clients * pipeline), "leader": True}),
                "alone": ("set", {"port": group.alone.port, **to}),
            }
            found = bench.rounds(group, row, contenders)
            rows.append((row, found))
            cluster, puts = found["cluster"], found["puts"]
            batch = statistics.median(one["writes"] / max(one["cluster_batch_duration_seconds_count"], 1) for one in cluster)
            line(row, rate(cluster), latency(cluster, "write"), rate(puts), latency(puts, "write"),
                 ratio(cluster, puts), ratio(cluster, found["bare"]), ratio(cluster, found["alone"]), f"{batch:.0f}")
    print("\nProcessor time a write in µs, and the mean time in which etcd's disks took a batch.\n")
    table("writes", "primary", "two followers", "three members of etcd", "generator", "plain put: etcd", "generator",
          "bare loop: etcd", "generator", "fsync, ms: cluster; puts; bare")
    for row, found in rows:
        cluster, puts, bare = found["cluster"], found["puts"], found["bare"]
        syncs = "; ".join(f"{median(some, 'fsync_ms'):.2f}" for some in (cluster, puts, bare))
        line(row, cpu(cluster, "primary"), cpu(cluster, "followers"), cpu(cluster, "etcd"), cpu(cluster, "load"),
             cpu(puts, "etcd"), cpu(puts, "load"), cpu(bare, "etcd"), cpu(bare, "load"), syncs)
    print()


def reads(bench):
    """Reads at the primary in both modes, at a follower, at one node, and linearizable ones at etcd."""
    print("Reads of 64 bytes, 100,000 uniform keys.\n")
    with bench.group() as group:
        primary, followers = group.primary()
        bench.load("fill", port=primary.port, keys=KEYS, value=VALUE)
        bench.load("fill", port=group.alone.port, keys=KEYS, value=VALUE)
        bench.load("etcd-fill", etcd=group.urls()[0], keys=KEYS, value=VALUE)
        wait_until_equal(group)
        table("reads", "primary, `lease`/s", "p50; p99, ms", "÷ one node", "follower ÷ one node", "÷ etcd's get",
              "CPU µs: primary", "one node", "follower")
        for clients, pipeline in [(64, 1), (256, 1), (50, 16), (50, 64)]:
            row, contenders = read_row(group, primary, clients, pipeline)
            contenders["follower"] = ("get", {**contenders["primary"][1], "port": followers[0].port, "readonly": True})
            found = bench.rounds(group, f"{row}, lease", contenders)
            own, alone = found["primary"], found["alone"]
            line(row, rate(own), latency(own, "read"), ratio(own, alone), ratio(found["follower"], alone),
                 ratio(own, found["etcd"]) if "etcd" in found else "-", cpu(own, "primary"), cpu(alone, "alone"),
                 cpu(found["follower"], "followers"))
        print()
        group.restart_nodes(["--cluster-reads", "log"])
        primary, _ = group.primary()
        table("reads", "primary, `log`/s", "p50; p99, ms", "etcd's get/s", "p50; p99, ms", "÷ etcd's get",
              "÷ one node", "CPU µs: primary", "etcd", "etcd's get: etcd")
        for clients, pipeline in [(1, 1), (64, 1), (256, 1), (50, 16)]:
            row, contenders = read_row(group, primary, clients, pipeline)
            found = bench.rounds(group, f"{row}, log", contenders)
            own, alone = found["primary"], found["alone"]
            some = found.get("etcd")
            line(row, rate(own), latency(own, "read"), rate(some) if some else "-",
                 latency(some, "read") if some else "-", ratio(own, some) if some else "-", ratio(own, alone),
                 cpu(own, "primary"), cpu(own, "etcd"), cpu(some, "etcd") if some else "-")
    print()


def read_row(group, primary, clients, pipeline):
    to = {"clients": clients, "pipeline": pipeline, "keys": KEYS}
    contenders = {
        "primary": ("get", {"port": primary.port, **to}),
        "alone": ("get", {"port": group.alone.port, **to}),
    }
    if pipeline == 1:
        contenders["etcd"] = ("range", at_etcd(group, clients))
    return f"{clients} clients" + (f", P = {pipeline}" if pipeline > 1 else ""), contenders


def mixed(bench):
    """Reads and writes by halves: the share of reads that wait for the log."""
    print("50 % reads and 50 % writes of 64 bytes, 100,000 keys, `lease`.\n")
    with bench.group() as group:
        primary, _ = group.primary()
        bench.load("fill", port=primary.port, keys=KEYS, value=VALUE)
        bench.load("fill", port=group.alone.port, keys=KEYS, value=VALUE)
        table("clients, keys", "cluster/s", "reads: p50; p99, ms", "writes: p50; p99, ms", "reads that wait",
              "÷ one node, `always`")
        for clients, zipf in [(64, 0), (256, 0), (800, 0), (256, 0.99)]:
            row = f"{clients}, " + (f"Zipf's law, exponent {zipf}" if zipf else "uniform")
            to = {"clients": clients, "keys": KEYS, "value": VALUE, "zipf": zipf}
            found = bench.rounds(group, row, {
                "cluster": ("mix", {"port": primary.port, **to}),
                "alone": ("mix", {"port": group.alone.port, **to}),
            })
            own = found["cluster"]
            # Each write waits once; with one request at a time, all other waits are reads'.
            waited = statistics.median((one["eventloop_clients_held"] - one["writes"]) / one["reads"] for one in own)
            line(row, rate(own), latency(own, "read"), latency(own, "write"), f"{100 * waited:.1f} %",
                 ratio(own, found["alone"]))
    print()


def lag(bench):
    """The time from an acknowledgement to the moment at which a follower shows the change."""
    print("Lag of a follower behind the acknowledgement, beside writes at half the greatest rate.\n")
    with bench.group() as group:
        primary, followers = group.primary()
        to = {"port": primary.port, "clients": 256, "keys": KEYS, "value": VALUE}
        most = bench.measure(group, "most", "cluster", "set", **to)["rate"]
        table("writes/s beside", "probes", "p50, ms", "p99, ms", "most, ms")
        for part in (0.0, 0.5):
            beside = threading.Thread(target=bench.load, args=("set",), kwargs={
                **to, "rate": max(part * most, 1.0), "seconds": 5 * bench.options.seconds})
            beside.start()
            time.sleep(0.5)
            times = []
            while beside.is_alive():
                times.append(probe(primary, followers[len(times) % 2], len(times)))
            beside.join()
            times = sorted(times)
            at = lambda q: 1e3 * times[min(len(times) - 1, int(q * len(times)))]
            bench.note(f"lag, {part}", "cluster", {"p50_ms": at(0.5), "p99_ms": at(0.99), "most_ms": 1e3 * times[-1]})
            line(f"{part * most:,.0f}", len(times), f"{at(0.5):.2f}", f"{at(0.99):.2f}", f"{1e3 * times[-1]:.2f}")
    print()


def probe(primary, follower, number):
    """Writes at the primary, and reads at a follower until it shows that. Returns the time between."""
    with primary.connect() as writer, follower.connect() as reader:
        reader.command("READONLY")
        wanted = str(number).encode()
        writer.command("SET", "probe", wanted)
        begun = time.perf_counter()
        while reader.command("GET", "probe") != wanted:
            pass
        return time.perf_counter() - begun


def restarts(bench):
    """The time until a node that was stopped, or has lost its data, has caught up."""
    print("Until a follower answers and has caught up, in seconds.\n")
    table("keys of 64 bytes", "fill, keys/s", "restart from its own folder", "folder lost, data fetched from a node")
    for keys in map(int, bench.options.sizes.split(",")):
        with bench.group() as group:
            primary, followers = group.primary()
            filled = bench.load("fill", port=primary.port, keys=keys, value=VALUE, warm=0)
            wait_until_equal(group)
            # Until etcd has trimmed the log: before, a node without data would read it from there.
            time.sleep(8)
            node = followers[0]
            node.stop()
            again = timed_start(group, node)
            node.stop()
            shutil.rmtree(node.dir)
            fetched = timed_start(group, node)
            bench.note(f"restarts, {keys}", "cluster", {"restart": again, "fetch": fetched})
            line(f"{keys:,}", f"{filled['rate']:,.0f}", f"{again:.2f}", f"{fetched:.2f}")
    print()


def timed_start(group, node):
    begun = time.perf_counter()
    node.start()
    wait_until_equal(group, node)
    return time.perf_counter() - begun


def wait_until_equal(group, *nodes):
    """Waits until nodes show as many keys as the primary."""
    primary, followers = group.primary()
    end = time.monotonic() + 300
    for node in nodes or followers:
        while size(node) != size(primary):
            if time.monotonic() > end:
                group.fail(f"{node.name} does not catch up")
            time.sleep(0.01)


def size(node):
    """Returns the number of a node's keys, or None if it does not say."""
    try:
        with node.connect() as connection:
            connection.command("READONLY")
            return connection.command("DBSIZE")
    except (OSError, Refused):
        return None


def space(bench):
    """The bytes in etcd, and the memory of its members and of the nodes, while clients write all the time."""
    print(f"Writes by 64 clients for {bench.options.minutes:g} minutes, 10,000 keys. In MiB, the greatest within the "
          "first third and within the last.\n")
    table("values", "writes/s", "MB/s", "in use in etcd", "etcd's file", "memory of a member", "memory of the primary")
    for value in (64, 16 << 10):
        with bench.group() as group:
            primary, _ = group.primary()
            settings = {"port": primary.port, "clients": 64, "keys": 10_000, "value": value, "warm": 0,
                        "seconds": 60 * bench.options.minutes}
            done = []
            beside = threading.Thread(target=lambda: done.append(bench.load("set", **settings)))
            samples = []
            beside.start()
            while beside.is_alive():
                samples.append(sample(group, primary))
                bench.note(f"space, {value}", "sample", samples[-1])
                beside.join(2)
            third = max(len(samples) // 3, 1)
            most = lambda name: "; ".join(
                f"{max(one[name] for one in some) / (1 << 20):.0f}" for some in (samples[:third], samples[-third:]))
            got = done[0]["rate"] if done else 0
            line(f"{value:,} bytes", f"{got:,.0f}", f"{got * value / 1e6:.1f}", most("used"), most("file"),
                 most("member"), most("primary"))
    print()


def sample(group, primary):
    of = lambda name: max(metric(port, f"etcd_mvcc_db_total_size{name}_in_bytes") for port in group.client_ports)
    return {
        "used": of("_in_use"), "file": of(""), "member": max(member.resident() for member in group.members),
        "primary": primary.resident(),
    }


ALL = {"writes": writes, "reads": reads, "mixed": mixed, "lag": lag, "restarts": restarts,
       "crashes": crashes, "space": space, "moves": moves, "groups": groups}
