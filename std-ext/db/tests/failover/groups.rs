//! builds: default
//!
//! Groups of two nodes: clients reach the keys of all, also when one group loses its primary.

use crate::etcd::Etcd;
use crate::nodes::{arguments, connect, free_ports, print_messages, program, role, spawn};
use crate::writers::{self, Writer};
use crate::{LIMIT, redis_cli, redis_rs, redis_rs_async, wait_for_writes};
use redis::cluster::{ClusterClient, ClusterConnection, cluster_pipe};
use std::collections::HashMap;
use std::process::Child;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SLOTS: u16 = 16_384;
/// Milliseconds: a busy machine must not make another primary by itself.
const LEASE: &str = "4000";

/// The most groups that a test has.
const MOST: usize = 3;

/// The nodes: 0 and 1 are group 0, 2 and 3 are group 1, and so on. Dropping them kills their processes.
pub(crate) struct Groups {
    pub(crate) ports: Vec<u16>,
    children: Vec<Option<Child>>,
    arguments: Vec<String>,
    folder: TempDir,
}

impl Groups {
    pub(crate) fn new(etcd: &Etcd, count: usize) -> Self {
        let mut arguments = arguments(&etcd.endpoints().join(","), LEASE);
        arguments.extend(["--cluster-groups".to_owned(), count.to_string()]);
        let ports = free_ports::<{ 2 * MOST }>()[..2 * count].to_vec();
        let children = ports.iter().map(|_| None).collect();
        let mut groups = Self { ports, children, arguments, folder: tempfile::tempdir().unwrap() };
        (0..2 * count).for_each(|n| groups.start(n));
        groups.wait_for_all();
        groups
    }

    pub(crate) fn start(&mut self, n: usize) {
        let mut arguments = self.arguments.clone();
        arguments.extend(["--cluster-group".to_owned(), (n / 2).to_string()]);
        self.children[n] = Some(spawn(self.folder.path(), n, self.ports[n], &arguments));
    }

    pub(crate) fn kill(&mut self, n: usize) {
        let mut child = self.children[n].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Returns the primary of a group.
    pub(crate) fn primary(&self, group: usize) -> usize {
        let leads = |n: &usize| role(self.ports[*n]).as_deref() == Some("master");
        wait(|| [2 * group, 2 * group + 1].into_iter().find(leads))
    }

    /// Returns the number of groups.
    pub(crate) fn count(&self) -> usize {
        self.ports.len() / 2
    }

    /// Waits until all groups have a primary and a follower, and each node knows all others. A node learns about the
    /// other groups within a second or two.
    pub(crate) fn wait_for_all(&self) {
        let known = format!("cluster_known_nodes:{}", self.ports.len());
        let is_whole = |port: &u16| {
            let info = ask(*port, &["CLUSTER", "INFO"]);
            info.contains("cluster_state:ok") && info.contains(&known)
        };
        wait(|| {
            let roles = self.ports.iter().map(|port| role(*port).unwrap_or_default());
            let roles: Vec<String> = roles.collect();
            let complete = roles.chunks(2).all(|roles| {
                let mut roles = roles.to_vec();
                roles.sort();
                roles == ["master", "slave connected"]
            });
            let shown: Vec<_> = self.ports.iter().map(|port| primaries(*port)).collect();
            let agree = shown[0].len() == self.count() && shown.iter().all(|one| *one == shown[0]);
            (complete && agree && self.ports.iter().all(is_whole)).then_some(())
        });
    }

    /// Returns the ports that clients begin with.
    pub(crate) fn seeds(&self) -> [u16; 3] {
        [self.ports[0], self.ports[2], self.ports[self.ports.len() - 1]]
    }

    /// Connects a client of redis-rs that knows one node.
    fn client(&self, n: usize) -> ClusterConnection {
        let url = format!("redis://127.0.0.1:{}/", self.ports[n]);
        let connection = ClusterClient::new([url]).unwrap().get_connection().unwrap();
        connection.set_read_timeout(Some(LIMIT)).unwrap();
        connection
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        if std::thread::panicking() {
            print_messages(self.folder.path(), self.ports.len());
        }
        for child in self.children.iter_mut().flatten() {
            // It may have ended on its own.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Polls until there is a result, which must be soon.
pub(crate) fn wait<T>(poll: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(result) = poll() {
            return result;
        }
        assert!(Instant::now() < end, "it did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Returns the reply of one node as text; an error as its text, too.
pub(crate) fn ask(port: u16, words: &[&str]) -> String {
    let Some(mut connection) = connect(port) else { return String::new() };
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    match command.query::<redis::Value>(&mut connection) {
        Ok(redis::Value::Nil) => "nil".to_owned(),
        Ok(reply) => redis::from_redis_value(reply).unwrap_or_default(),
        Err(why) => why.to_string(),
    }
}

/// Returns the ids of the primaries that a node shows.
fn primaries(port: u16) -> Vec<String> {
    let nodes = ask(port, &["CLUSTER", "NODES"]);
    let lines = nodes.lines().filter(|line| line.contains("master"));
    let mut ids: Vec<_> = lines.map(|line| line.chars().take(40).collect()).collect();
    ids.sort();
    ids
}

/// Returns the slot of a key without a hash tag.
fn slot(key: &str) -> u16 {
    let sum = key.bytes().fold(0_u16, |sum, byte| {
        (0..8).fold(sum ^ u16::from(byte) << 8, |sum, _| {
            if sum & 0x8000 == 0 { sum << 1 } else { sum << 1 ^ 0x1021 }
        })
    });
    sum % SLOTS
}

/// Returns a key for each slot.
pub(crate) fn key_of_each_slot() -> Vec<String> {
    let mut keys = HashMap::new();
    for number in 0_u64.. {
        let key = format!("key:{number}");
        keys.entry(slot(&key)).or_insert(key);
        if keys.len() == usize::from(SLOTS) {
            break;
        }
    }
    (0..SLOTS).map(|slot| keys.remove(&slot).unwrap()).collect()
}

#[test]
fn clients_reach_the_keys_of_two_groups() {
    let Some(etcd) = Etcd::start(1) else { return };
    let mut groups = Groups::new(&etcd, 2);
    every_slot_is_served(&groups);
    messages_reach_all_nodes(&groups);
    each_node_executes_commands_of_its_group_only(&groups);
    commands_look_after_each_group(&groups, &etcd);
    redis_cli_agrees(&groups);

    let clients = [redis_cli::start, writers::redis_py, writers::new_redis_py, writers::ioredis];
    let mut writers: Vec<Writer> =
        clients.iter().filter_map(|start| start(groups.seeds())).collect();
    writers.push(redis_rs::start(groups.seeds()));
    writers.push(redis_rs_async::start(groups.seeds()));
    wait_for_writes(&mut writers);
    let epoch = |groups: &Groups, group: usize| {
        let info = ask(groups.ports[groups.primary(group)], &["CLUSTER", "INFO"]);
        info.lines().find_map(|line| Some(line.strip_prefix("cluster_my_epoch:")?.to_owned()))
    };
    let before = epoch(&groups, 0);
    let dead = groups.primary(1);
    groups.kill(dead);
    // The other group goes on at once.
    let key = key_of_each_slot().swap_remove(7);
    let mut connection = connect(groups.ports[groups.primary(0)]).unwrap();
    redis::cmd("SET").arg(&key).arg("still").exec(&mut connection).unwrap();
    // Some of twenty keys are of the group that was taken over.
    assert_ne!(groups.primary(1), dead);
    (0..4).for_each(|_| wait_for_writes(&mut writers));
    groups.start(dead);
    groups.wait_for_all();
    wait_for_writes(&mut writers);
    assert_eq!(epoch(&groups, 0), before, "the other group was taken over, too");
    for writer in &mut writers {
        let (acknowledged, errors) = writer.stop();
        println!("{}: {acknowledged} acknowledged, {errors} errors, {}", writer.name, writer.gap());
        for question in ["read", "replicas"] {
            let found = writer.ask(question);
            assert_eq!(found, acknowledged.to_string(), "{} has lost writes", writer.name);
        }
    }
    each_node_executes_commands_of_its_group_only(&groups);
}

/// Writes a key of each slot by one node, and reads it by another one.
fn every_slot_is_served(groups: &Groups) {
    let keys = key_of_each_slot();
    let (mut one, mut other) = (groups.client(0), groups.client(3));
    for keys in keys.chunks(2048) {
        let mut pipe = cluster_pipe();
        for key in keys {
            pipe.set(key, key).ignore();
        }
        pipe.query::<()>(&mut one).unwrap();
    }
    for keys in keys.chunks(2048) {
        let mut pipe = cluster_pipe();
        for key in keys {
            pipe.get(key);
        }
        assert_eq!(pipe.query::<Vec<String>>(&mut other).unwrap(), keys);
    }
    for group in 0..2 {
        let node = groups.ports[groups.primary(group)];
        assert_eq!(ask(node, &["DBSIZE"]), (SLOTS / 2).to_string(), "of group {group}");
        assert_eq!(
            ask(node, &["CLUSTER", "COUNTKEYSINSLOT", &(8000 * (group + 1)).to_string()]),
            "1"
        );
    }
}

/// Asks each node directly for keys of its own group and of the other one.
fn each_node_executes_commands_of_its_group_only(groups: &Groups) {
    let keys = key_of_each_slot();
    for (n, port) in groups.ports.iter().copied().enumerate() {
        let mut connection = connect(port).unwrap();
        for reads_stale in [false, true] {
            if reads_stale {
                redis::cmd("READONLY").exec(&mut connection).unwrap();
            }
            for (slot, key) in keys.iter().enumerate().step_by(61) {
                let owner = slot / usize::from(SLOTS / 2);
                let primary = groups.ports[groups.primary(owner)];
                let set = ask_for(&mut connection, &["SET", key, key]);
                let get = ask_for(&mut connection, &["GET", key]);
                let moved = format!("{slot} 127.0.0.1:{primary}");
                if n / 2 == owner && port == primary {
                    assert_eq!((&set[..], &get), ("OK", key), "slot {slot} at its primary");
                } else {
                    assert!(set.contains(&moved), "slot {slot} at node {n}: {set}");
                    let reads = reads_stale && n / 2 == owner;
                    assert!(
                        if reads { get == *key } else { get.contains(&moved) },
                        "slot {slot} at node {n}: {get}"
                    );
                }
            }
        }
    }
}

/// Publishes at one node after the other. The clients of all nodes get all messages, in order.
fn messages_reach_all_nodes(groups: &Groups) {
    let mut subscribers: Vec<_> = groups.ports.iter().map(|port| connect(*port).unwrap()).collect();
    let mut subscribed = subscribers.iter_mut().map(|connection| {
        connection.set_read_timeout(Some(LIMIT)).unwrap();
        let mut subscribed = connection.as_pubsub();
        subscribed.subscribe("news").unwrap();
        subscribed
    });
    let mut subscribed: Vec<_> = subscribed.by_ref().collect();
    for (n, port) in groups.ports.iter().enumerate() {
        let mut publisher = connect(*port).unwrap();
        let messages: Vec<String> = (0..20).map(|of| format!("{of} of node {n}")).collect();
        for message in &messages {
            let heard: u64 =
                redis::cmd("PUBLISH").arg("news").arg(message).query(&mut publisher).unwrap();
            assert_eq!(heard, 1, "the reply counts subscribers of other nodes");
        }
        for (at, subscribed) in subscribed.iter_mut().enumerate() {
            let found: Vec<String> =
                (0..20).map(|_| subscribed.get_message().unwrap().get_payload().unwrap()).collect();
            assert_eq!(found, messages, "node {at} got other messages of node {n}");
        }
    }
}

fn ask_for(connection: &mut redis::Connection, words: &[&str]) -> String {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    match command.query::<Option<String>>(connection) {
        Ok(reply) => reply.unwrap_or_else(|| "nil".to_owned()),
        Err(why) => format!("{why} {}", why.detail().unwrap_or_default()),
    }
}

/// Runs a command `hedgerow-db cluster`. Returns whether it has succeeded, and its output.
pub(crate) fn command(etcd: &Etcd, words: &[&str]) -> (bool, String) {
    let mut command = program();
    command.arg("cluster").args(words).args(["--cluster-name", "test"]);
    let output = command.args(["--cluster-etcd", &etcd.endpoints().join(",")]).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

/// Runs the commands that look after a group.
fn commands_look_after_each_group(groups: &Groups, etcd: &Etcd) {
    let run = |words: &[&str]| command(etcd, words);
    for group in ["0", "1"] {
        let (fine, said) = run(&["status", "--group", group]);
        assert!(said.contains(&format!("Group {group} has the slots ")), "{said}");
        assert!(!said.contains("no registered primary"), "{fine} {said}");
        let (fine, said) = run(&["check", "--group", group]);
        assert!(
            fine && said.contains("All 2 nodes have the same data. The log is intact."),
            "{said}"
        );
        assert!(said.contains("Each slot belongs to exactly one of 2 groups."), "{said}");
        assert_eq!(said.matches(": 8192 keys at entry").count(), 2, "{said}");
    }
    let other = groups.primary(0);
    let first = groups.primary(1);
    let (fine, said) = run(&["handover", "--group", "1"]);
    assert!(fine && said.contains("is the primary, in epoch "), "{said}");
    assert_eq!((groups.primary(0), groups.primary(1)), (other, 5 - first));
    groups.wait_for_all();
    let (fine, said) = run(&["forget", "0123", "--group", "1"]);
    assert!(!fine && said.contains("no member id begins with 0123"), "{said}");
    let folder = groups.folder.path().join("backup");
    let (fine, said) = run(&["backup", "--to", folder.to_str().unwrap()]);
    assert!(
        fine && said.contains("2 groups, ") && said.contains("Group 1, 8192 slots: "),
        "{said}"
    );
    let dir = folder.join("group-0");
    let (fine, said) = run(&["adopt", "--yes", "--from", dir.to_str().unwrap()]);
    assert!(!fine && said.contains("the slots 8192-16383 have no group"), "{said}");
    let (fine, said) = run(&["restore", "--from", folder.to_str().unwrap()]);
    assert!(!fine && said.contains("can only be restored into an empty cluster"), "{said}");
    let (fine, said) = run(&["status", "--group", "4096"]);
    assert!(!fine && said.contains("expected a number from 0 to 4095"), "{said}");
}

/// Lets Redis's own tool look at the cluster.
fn redis_cli_agrees(groups: &Groups) {
    let address = format!("127.0.0.1:{}", groups.ports[1]);
    let Some(said) = redis_cli::run("redis-cli", &["--cluster", "check", &address]) else { return };
    for wanted in [
        "slots:[0-8191] (8192 slots) master",
        "slots:[8192-16383] (8192 slots) master",
        "[OK] All nodes agree about slots configuration.",
        "[OK] All 16384 slots covered.",
    ] {
        assert!(said.contains(wanted), "{said}");
    }
    // It follows a redirection to the other group.
    let port = groups.ports[groups.primary(0)].to_string();
    let said = redis_cli::run("redis-cli", &["-c", "-p", &port, "set", "foo", "bar"]);
    assert_eq!(said.as_deref(), Some("OK\n"));
    let said = redis_cli::run("redis-cli", &["-p", &port, "get", "foo"]).unwrap_or_default();
    let other = groups.ports[groups.primary(1)];
    assert_eq!(said.trim(), format!("MOVED 12182 127.0.0.1:{other}"));
    let said = redis_cli::run("redis-cli", &["-c", "-p", &port, "get", "foo"]);
    assert_eq!(said.as_deref(), Some("bar\n"));
    let said = redis_cli::run("redis-cli", &["-c", "-p", &port, "del", "foo"]);
    assert_eq!(said.as_deref(), Some("1\n"));
    let arguments = format!("--cluster -p {port} -t set,get,incr -n 2000 -c 10 -r 100 --csv");
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let Some(said) = redis_cli::run("redis-benchmark", &arguments) else { return };
    for test in ["SET", "GET", "INCR"] {
        assert!(said.contains(&format!("\"{test}\",\"")), "{said}");
    }
}
