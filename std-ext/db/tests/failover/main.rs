//! builds: default
//!
//! Clients for clusters that others wrote, unmodified, on three nodes and three members of etcd. They write while the
//! group is handed over, and while its primary is killed, ended and stopped. No acknowledged write may be lost, and
//! each client goes on by itself. `groups` does the same with two groups of two nodes, and `own_client` with the client
//! of this crate. `placing` lets the cluster replace nodes that are killed for ever, and
//! `restarts` kills nodes that start again at once.
//!
//! `HEDGEROW_FAILOVER_ROUNDS` says how often each of these happens; by default once. `HEDGEROW_IOREDIS` names a folder
//! in which ioredis is installed, and `HEDGEROW_REDIS_PY` one with the newest redis-py.

mod drills;
#[path = "../../cluster/src/etcd/process.rs"]
#[allow(dead_code, reason = "the tests of etcd's client use the rest")]
mod etcd;
mod groups;
mod moves;
mod nodes;
mod own_client;
mod placing;
mod redis_cli;
mod redis_rs;
mod redis_rs_async;
mod restarts;
mod writers;

use etcd::Etcd;
use nodes::Nodes;
use std::time::{Duration, Instant};
use writers::Writer;

/// How long a step may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
/// How long a node that has started again may be missing in the list of nodes.
const REGISTERED: Duration = Duration::from_secs(15);
/// Writes by which a client has shown that it goes on.
const WRITES: u64 = 5;

/// A change of the primary.
struct Failover {
    name: &'static str,
    /// Begins it, at the primary with this number.
    begin: fn(&mut Nodes, usize),
    /// Ends it after all clients have gone on.
    end: fn(&mut Nodes, usize),
}

const FAILOVERS: [Failover; 5] = [
    Failover { name: "hand over", begin: Nodes::hand_over, end: |_, _| () },
    Failover { name: "kill -9", begin: Nodes::kill, end: Nodes::start },
    Failover { name: "kill -9, start", begin: Nodes::kill_and_start, end: |_, _| () },
    Failover { name: "end", begin: Nodes::end, end: Nodes::start },
    // The clients go on while it is stopped, and when it goes on, too.
    Failover { name: "stop", begin: Nodes::stop, end: Nodes::go_on },
];

#[test]
fn clients_write_through_failovers_and_lose_nothing() {
    let Some(etcd) = Etcd::start(3) else { return };
    let mut nodes = Nodes::new(&etcd);
    let clients = [redis_cli::start, writers::redis_py, writers::new_redis_py, writers::ioredis];
    let mut writers: Vec<Writer> = clients.iter().filter_map(|start| start(nodes.ports)).collect();
    writers.push(redis_rs::start(nodes.ports));
    writers.push(redis_rs_async::start(nodes.ports));
    // Each of them has found the primary.
    wait_for_writes(&mut writers);
    let rounds =
        std::env::var("HEDGEROW_FAILOVER_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap());
    for failover in (0..rounds).flat_map(|_| &FAILOVERS) {
        let primary = nodes.primary();
        writers.iter_mut().for_each(Writer::forget_gap);
        (failover.begin)(&mut nodes, primary);
        wait_for_writes(&mut writers);
        (failover.end)(&mut nodes, primary);
        nodes.wait_for_all();
        wait_for_writes(&mut writers);
        let gaps: Vec<String> = writers.iter().map(Writer::gap).collect();
        println!("{}: longest gaps {}", failover.name, gaps.join(", "));
    }
    for writer in &mut writers {
        read_back(&nodes, writer);
    }
    check_tools(&nodes);
}

/// Waits until each client has made some more writes.
fn wait_for_writes(writers: &mut [Writer]) {
    let end = Instant::now() + LIMIT;
    for writer in writers {
        let wanted = writer.report() + WRITES;
        while writer.report() < wanted {
            assert!(Instant::now() < end, "{} does not go on: {}", writer.name, writer.gap());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Reads all acknowledged writes of a client by the client itself, at the primary and at the followers.
fn read_back(nodes: &Nodes, writer: &mut Writer) {
    let (acknowledged, errors) = writer.stop();
    let found = writer.ask("read");
    println!("{}: {acknowledged} acknowledged, {errors} errors", writer.name);
    assert_eq!(found, acknowledged.to_string(), "{} has lost writes", writer.name);
    let before = nodes.hits_at_followers();
    let found = writer.ask("replicas");
    assert_eq!(found, acknowledged.to_string(), "{} misses writes at replicas", writer.name);
    // redis-py reads from the primary, too.
    let hits = nodes.hits_at_followers() - before;
    assert!(hits >= acknowledged / 2, "{}: only {hits} reads came to replicas", writer.name);
}

/// Checks the cluster by Redis's own tools.
fn check_tools(nodes: &Nodes) {
    let [port, _, _] = nodes.ports;
    let address = format!("127.0.0.1:{port}");
    let check = || redis_cli::run("redis-cli", &["--cluster", "check", &address]);
    let Some(mut said) = check() else { return };
    // A process that has started again with the id of one before waits until the registration of that one has ended.
    let end = Instant::now() + REGISTERED;
    while !said.contains("2 additional replica(s)") && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(100));
        said = check().unwrap_or_default();
    }
    for wanted in [
        "slots:[0-16383] (16384 slots) master",
        "2 additional replica(s)",
        "[OK] All nodes agree about slots configuration.",
        "[OK] All 16384 slots covered.",
    ] {
        assert!(said.contains(wanted), "{said}");
    }
    let call = ["--cluster", "call", &address, "cluster", "myid"];
    let said = redis_cli::run("redis-cli", &call).unwrap_or_default();
    assert_eq!(said.lines().filter(|line| line.starts_with("127.0.0.1:")).count(), 3, "{said}");
    // With its flag `--cluster`, it refuses a cluster of one primary.
    let port = nodes.ports[nodes.primary()];
    let arguments = format!("-p {port} -t set,get,incr -n 2000 -c 10 -r 100 --csv");
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let Some(said) = redis_cli::run("redis-benchmark", &arguments) else { return };
    for test in ["SET", "GET", "INCR"] {
        assert!(said.contains(&format!("\"{test}\",\"")), "{said}");
    }
}
