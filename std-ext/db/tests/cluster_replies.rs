//! builds: default
//!
//! Replies of a cluster's nodes beside those of Redis Cluster, byte for byte except ids, ports, times and epochs: a
//! primary and a replica, in both protocols. The rows of `OTHERWISE` are the differences that are meant.

#[path = "support/group.rs"]
mod group;
mod support;

use group::{Cluster, EndpointType};
use hedgerow_db_engine::not_run::not_run;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Requests to both nodes. `PRIMARY` and `REPLICA` are the ids of the nodes. No keys are there.
const REQUESTS: [&str; 75] = [
    "cluster info",
    "cluster keyslot foo",
    "cluster keyslot {foo}bar",
    "cluster keyslot",
    "cluster links",
    "cluster myid",
    "cluster nodes",
    "cluster slots",
    "cluster slots x",
    "cluster shards",
    "cluster replicas PRIMARY",
    "cluster replicas REPLICA",
    "cluster replicas nobody",
    "cluster slaves PRIMARY",
    "cluster count-failure-reports PRIMARY",
    "cluster count-failure-reports REPLICA",
    "cluster count-failure-reports nobody",
    "cluster countkeysinslot 12182",
    "cluster countkeysinslot 16384",
    "cluster countkeysinslot -1",
    "cluster countkeysinslot x",
    "cluster getkeysinslot 12182 10",
    "cluster getkeysinslot 16384 10",
    "cluster getkeysinslot 12182 -1",
    "cluster getkeysinslot x 1",
    "cluster nonsense",
    "cluster",
    "cluster failover nonsense",
    "get foo",
    "set foo bar nonsense",
    "get",
    "mget foo bar",
    "mget {foo}1 {foo}2",
    "mset foo 1 bar 2",
    "msetnx foo 1 bar 2",
    "del foo bar",
    "unlink foo bar",
    "exists foo bar",
    "touch foo bar",
    "rename foo bar",
    "renamenx foo bar",
    "incr foo nonsense",
    "getdel foo",
    "getex foo",
    "strlen foo",
    "ttl foo",
    "type foo",
    "object encoding foo",
    "readonly",
    "get foo",
    "mget {foo}1 {foo}2",
    "mget foo bar",
    "getdel foo",
    "ttl foo",
    "readwrite",
    "get foo",
    "readonly nonsense",
    "asking",
    "get foo",
    "select 0",
    "select 1",
    "select x",
    "select 0",
    "dbsize",
    "keys *",
    "scan 0",
    "randomkey",
    "role",
    "wait 1 1000",
    "wait x 0",
    "command getkeys mset a 1 b 2",
    "command getkeys get foo",
    "flushdb",
    "flushall",
    "info cluster",
];

/// Requests whose replies differ, and why.
const OTHERWISE: [(&str, &str); 2] = [
    ("cluster links", "nodes talk by etcd, so there are none"),
    ("info cluster", "it has the state of the group, too"),
];

/// Requests to both nodes of a cluster of two groups: `PRIMARY` has the slots of group 0, and `REPLICA` the others.
/// `bar` is a key of group 0, and `foo` of group 1.
const OF_TWO_GROUPS: [&str; 30] = [
    "cluster info",
    "cluster nodes",
    "cluster slots",
    "cluster shards",
    "cluster replicas PRIMARY",
    "cluster replicas REPLICA",
    "cluster count-failure-reports REPLICA",
    "cluster countkeysinslot 12182",
    "cluster getkeysinslot 12182 10",
    "cluster keyslot foo",
    "get foo",
    "get bar",
    "mget foo bar",
    "mget {foo}1 {foo}2",
    "mget {bar}1 {bar}2",
    "msetnx {foo}1 1 {foo}2 2",
    "del {foo}1 {foo}2",
    "exists {foo}1 {foo}2",
    "getdel foo",
    "getdel bar",
    "ttl bar",
    "object encoding foo",
    "readonly",
    "get foo",
    "get bar",
    "readwrite",
    "dbsize",
    "keys *",
    "randomkey",
    "flushall",
];

/// A node: its id, its port, and a connection to it.
struct Peer {
    id: String,
    port: u16,
    connection: BufReader<TcpStream>,
}

impl Peer {
    fn new(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(support::LIMIT)).unwrap();
        let mut peer = Self { id: String::new(), port, connection: BufReader::new(stream) };
        peer.ask("cluster myid")[1..].clone_into(&mut peer.id);
        peer
    }

    /// Returns the reply to a request: the first byte of each part, and its text.
    fn ask(&mut self, line: &str) -> String {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        self.connection.get_mut().write_all(&support::command(&words)).unwrap();
        self.reply()
    }

    fn reply(&mut self) -> String {
        let mut line = String::new();
        self.connection.read_line(&mut line).unwrap();
        let line = line.trim_end();
        let (kind, rest) = line.split_at(1);
        match (kind, rest.parse::<usize>()) {
            ("$" | "=", Ok(length)) => {
                let mut text = vec![0; length + 2];
                self.connection.read_exact(&mut text).unwrap();
                format!("{kind}{}", String::from_utf8_lossy(&text[..length]))
            }
            ("*" | "%" | "~", Ok(count)) => {
                let parts = if kind == "%" { 2 * count } else { count };
                let parts: Vec<String> = (0..parts).map(|_| self.reply()).collect();
                format!("{kind}[{}]", parts.join(" "))
            }
            _ => line.to_owned(),
        }
    }
}

/// A primary and its replica.
struct Pair([Peer; 2]);

impl Pair {
    /// Asks both, with the ids of this pair in the request, and returns the replies without them.
    fn ask(&mut self, line: &str) -> [String; 2] {
        let [primary, replica] =
            self.0.each_ref().map(|peer| (peer.id.clone(), peer.port.to_string()));
        let names = [
            (primary.0, "PRIMARY"),
            (replica.0, "REPLICA"),
            (primary.1, "PORT1"),
            (replica.1, "PORT2"),
        ];
        let asked =
            names[..2].iter().fold(line.to_owned(), |line, (id, name)| line.replace(name, id));
        self.0.each_mut().map(|peer| {
            let reply = peer.ask(&asked);
            let reply = names.iter().fold(reply, |reply, (id, name)| reply.replace(id, name));
            plain(line, &reply)
        })
    }
}

/// Returns a reply without numbers that depend on the time and on earlier events in a group.
fn plain(line: &str, reply: &str) -> String {
    match line {
        "cluster info" | "info cluster" => {
            // Nodes send no messages here, so there are no kinds of them.
            let lines = reply.split_inclusive('\n').filter(|line| {
                let kinds = ["_ping_", "_pong_", "_meet_", "_fail_", "_update_"];
                !kinds.iter().any(|kind| line.contains(kind))
            });
            numbers_as(&lines.collect::<String>(), &["epoch:", "sent:", "received:"])
        }
        "cluster shards" => sorted_groups(&numbers_as(reply, &["$replication-offset :"])),
        "role" => numbers_as(reply, &["$master :", "$PORT2 $", "$connected :"]),
        "cluster nodes" => without_times(reply),
        _ if line.contains("replicas ") || line.contains("slaves ") => without_times(reply),
        _ => reply.to_owned(),
    }
}

/// Returns the groups of CLUSTER SHARDS in a fixed order.
fn sorted_groups(reply: &str) -> String {
    let mut parts: Vec<&str> = reply
        .split("$slots")
        .map(|part| part.trim_end_matches([' ', '[', '*', '%', ']']))
        .collect();
    parts.sort_unstable();
    parts.join("\n")
}

/// Returns the lines of nodes in a fixed order, without times, epochs and the ports for other nodes.
fn without_times(reply: &str) -> String {
    let line = |line: &str| {
        let mut fields: Vec<&str> = line.split(' ').collect();
        // When it was pinged and heard, and its epoch.
        if fields.len() > 6 {
            fields[4..7].fill("N");
        }
        let line = fields.join(" ");
        let (before, after) = line.split_once('@').unwrap_or((&line, ""));
        format!("{before}@{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
    };
    let (kind, lines) = match reply.strip_prefix("=txt:") {
        Some(lines) => ("=", lines),
        None => reply.split_at(1),
    };
    let mut lines: Vec<String> = lines.lines().map(line).collect();
    lines.sort();
    format!("{kind}{}", lines.join("\n"))
}

/// Replaces each number behind one of these texts by N.
fn numbers_as(reply: &str, before: &[&str]) -> String {
    before.iter().fold(reply.to_owned(), |reply, before| {
        let mut parts = reply.split(before);
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |all, part| {
            format!("{all}{before}N{}", part.trim_start_matches(|c: char| c.is_ascii_digit()))
        })
    })
}

/// A pair of redis-server. Dropping it kills the processes.
struct Redis {
    children: Vec<Child>,
    ports: [u16; 2],
    folder: TempDir,
}

impl Redis {
    /// Starts two nodes and makes a cluster of them, if there is redis-server.
    fn start(join: fn(&Self)) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        // Neither a slot nor a port that the system gives to the end of a connection; nor are those for other nodes.
        let first = 17_000 + (RandomState::new().hash_one(0) % 4_000) as u16;
        let mut redis = Self { children: Vec::new(), ports: [first, first + 1], folder };
        for port in redis.ports {
            let data = redis.folder.path().join(port.to_string());
            std::fs::create_dir(&data).unwrap();
            let mut command = Command::new("redis-server");
            command.args(["--cluster-enabled", "yes", "--cluster-announce-hostname", "localhost"]);
            command.args(["--save", "", "--repl-diskless-sync-delay", "0", "--port"]);
            command.arg(port.to_string()).arg("--dir").arg(data).stdout(Stdio::null());
            let Ok(child) = command.spawn() else {
                not_run("no redis-server (apt-get install redis-server)");
                return None;
            };
            redis.children.push(child);
        }
        for port in redis.ports {
            support::until(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
        }
        join(&redis);
        Some(redis)
    }

    /// Makes a cluster of two primaries, which have half of the slots each.
    fn divide(&self) {
        let [mut one, mut other] = self.ports.map(Peer::new);
        assert_eq!(one.ask("cluster addslotsrange 0 8191"), "+OK");
        assert_eq!(other.ask("cluster addslotsrange 8192 16383"), "+OK");
        assert_eq!(one.ask("cluster set-config-epoch 1"), "+OK");
        assert_eq!(other.ask("cluster set-config-epoch 2"), "+OK");
        assert_eq!(one.ask(&format!("cluster meet 127.0.0.1 {}", other.port)), "+OK");
        wait(|| {
            [&mut one, &mut other].into_iter().all(|peer| {
                peer.ask("cluster info").contains("cluster_state:ok")
                    && peer.ask("cluster slots").matches("hostname").count() == 2
                    && peer.ask("cluster shards").matches("$online").count() == 2
            })
        });
    }

    /// Makes a cluster of a primary and its replica.
    fn join(&self) {
        let [mut primary, mut replica] = self.ports.map(Peer::new);
        assert_eq!(primary.ask("cluster addslotsrange 0 16383"), "+OK");
        assert_eq!(primary.ask(&format!("cluster meet 127.0.0.1 {}", replica.port)), "+OK");
        let replicate = format!("cluster replicate {}", primary.id);
        wait(|| replica.ask(&replicate) == "+OK");
        // Both know all of it.
        wait(|| {
            [&mut primary, &mut replica].into_iter().all(|peer| {
                peer.ask("cluster info").contains("cluster_state:ok")
                    && peer.ask("cluster slots").matches("hostname").count() == 2
                    && peer.ask("cluster shards").matches("$online").count() == 2
            })
        });
        wait(|| replica.ask("role").contains("$connected") && primary.ask("wait 1 10") == ":1");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It may have ended on its own.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Polls until a condition holds, which must be soon.
#[track_caller]
fn wait(mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the condition did not become true");
}

#[test]
fn replies_are_those_of_redis() {
    let Some(redis) = Redis::start(Redis::join) else { return };
    compare(&redis, &Cluster::new(EndpointType::Ip), &REQUESTS);
}

#[test]
fn replies_of_two_groups_are_those_of_redis() {
    let Some(redis) = Redis::start(Redis::divide) else { return };
    compare(&redis, &Cluster::of_two_groups(EndpointType::Ip), &OF_TWO_GROUPS);
}

/// Compares the replies of both nodes, in both protocols.
#[track_caller]
fn compare(redis: &Redis, cluster: &Cluster, requests: &[&str]) {
    let mut differing = 0;
    for protocol in 2..=3 {
        let [mut there, mut here] =
            [redis.ports, [cluster.0[0].address().port(), cluster.0[1].address().port()]]
                .map(|ports| Pair(ports.map(Peer::new)));
        if protocol == 3 {
            [&mut there, &mut here].into_iter().flat_map(|pair| &mut pair.0).for_each(|peer| {
                peer.ask("hello 3");
            });
        }
        for line in requests {
            let (wanted, got) = (there.ask(line), here.ask(line));
            let is_meant = OTHERWISE.iter().any(|(other, _)| other == line);
            if (wanted == got) == is_meant {
                println!("{line}, RESP{protocol}\n  Redis: {wanted:?}\n  here:  {got:?}");
                differing += 1;
            }
        }
    }
    assert_eq!(differing, 0, "replies differ, or do not differ where they should");
}
