//! Three nodes of a cluster, each a process of the program.

use crate::LIMIT;
use crate::etcd::Etcd;
use redis::Connection;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The distance of the port for other nodes from the one for clients.
const PEER_PORTS: u16 = 10_000;

/// The nodes. Dropping them kills their processes, and removes their folders.
pub(crate) struct Nodes {
    /// The ports for clients.
    pub(crate) ports: [u16; 3],
    children: [Option<Child>; 3],
    arguments: Vec<String>,
    folder: TempDir,
}

impl Nodes {
    /// Starts three nodes on a cluster of etcd, and waits until one of them is the primary.
    pub(crate) fn new(etcd: &Etcd) -> Self {
        Self::with_lease(etcd, "1000")
    }

    /// As `new`, with a lease in milliseconds.
    pub(crate) fn with_lease(etcd: &Etcd, lease: &str) -> Self {
        let endpoints = etcd.endpoints().join(",");
        let arguments = arguments(&endpoints, lease);
        let folder = tempfile::tempdir().unwrap();
        let mut nodes =
            Self { ports: free_ports(), children: [None, None, None], arguments, folder };
        (0..3).for_each(|n| nodes.start(n));
        nodes.wait_for_all();
        nodes
    }

    /// Starts a node, with its data if it has some.
    pub(crate) fn start(&mut self, n: usize) {
        self.children[n] = Some(spawn(self.folder.path(), n, self.ports[n], &self.arguments));
    }

    /// Makes the group be handed over from the primary to the next node.
    pub(crate) fn hand_over(&mut self, primary: usize) {
        let next = (primary + 1) % 3;
        let mut connection = self.connect(next).unwrap();
        redis::cmd("CLUSTER").arg("FAILOVER").exec(&mut connection).unwrap();
        self.wait(|nodes| (nodes.role(next).as_deref() == Some("master")).then_some(()));
    }

    /// Kills a node without notice.
    pub(crate) fn kill(&mut self, n: usize) {
        let mut child = self.children[n].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Kills a node, and starts it again as a supervisor does.
    pub(crate) fn kill_and_start(&mut self, n: usize) {
        self.kill(n);
        std::thread::sleep(Duration::from_millis(300));
        self.start(n);
    }

    /// Returns the messages of all processes of a node.
    pub(crate) fn log(&self, n: usize) -> String {
        std::fs::read_to_string(self.folder.path().join(format!("{n}.log"))).unwrap()
    }

    /// Ends a node as systemd does.
    pub(crate) fn end(&mut self, n: usize) {
        self.signal(n, Signal::TERM);
        let ended = self.children[n].take().unwrap().wait().unwrap();
        assert!(ended.success(), "{ended}");
    }

    /// Stops a node's process, whose connections stay open, and waits for another primary.
    pub(crate) fn stop(&mut self, n: usize) {
        self.signal(n, Signal::STOP);
        let others = [(n + 1) % 3, (n + 2) % 3];
        let leads = |nodes: &Self| {
            others.iter().any(|&other| nodes.role(other).as_deref() == Some("master")).then_some(())
        };
        self.wait(leads);
    }

    /// Lets a stopped node go on.
    pub(crate) fn go_on(&mut self, n: usize) {
        self.signal(n, Signal::CONT);
    }

    fn signal(&self, n: usize, signal: Signal) {
        let child = self.children[n].as_ref().unwrap();
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// Waits for a primary, and returns its number.
    pub(crate) fn primary(&self) -> usize {
        self.wait(|nodes| (0..3).find(|&n| nodes.role(n).as_deref() == Some("master")))
    }

    /// Waits until one node is the primary, and the others follow it.
    pub(crate) fn wait_for_all(&self) {
        self.wait(|nodes| {
            let roles = [0, 1, 2].map(|n| nodes.role(n).unwrap_or_default());
            let count = |role| roles.iter().filter(|one| one.as_str() == role).count();
            (count("master") == 1 && count("slave connected") == 2).then_some(())
        });
    }

    /// Returns how many keys were found in reads at nodes that are not the primary.
    pub(crate) fn hits_at_followers(&self) -> u64 {
        let primary = self.primary();
        let hits = (0..3).filter(|n| *n != primary).map(|n| self.statistic(n, "keyspace_hits"));
        hits.sum()
    }

    /// Returns a number of INFO.
    fn statistic(&self, n: usize, name: &str) -> u64 {
        let mut connection = self.connect(n).unwrap();
        let info: redis::InfoDict = redis::cmd("INFO").query(&mut connection).unwrap();
        info.get(name).unwrap()
    }

    /// Returns a node's role, and of a follower the state of its link.
    fn role(&self, n: usize) -> Option<String> {
        role(self.ports[n])
    }

    fn connect(&self, n: usize) -> Option<Connection> {
        connect(self.ports[n])
    }

    /// Polls until there is a result, which must be soon.
    fn wait<T>(&self, poll: impl Fn(&Self) -> Option<T>) -> T {
        let end = Instant::now() + LIMIT;
        loop {
            if let Some(result) = poll(self) {
                return result;
            }
            assert!(Instant::now() < end, "the nodes are {:?}", [0, 1, 2].map(|n| self.role(n)));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        if std::thread::panicking() {
            print_messages(self.folder.path(), 3);
        }
        for child in self.children.iter_mut().flatten() {
            // A stopped process ends as well. One of them may have ended on its own.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Returns the arguments that all nodes have.
pub(crate) fn arguments(endpoints: &str, lease: &str) -> Vec<String> {
    let arguments = [
        "--cluster yes --cluster-name test --cluster-announce-ip 127.0.0.1 --cluster-lease",
        lease,
        "--threads 2 --shards 4 --cluster-etcd",
        endpoints,
    ];
    arguments.join(" ").split(' ').map(str::to_owned).collect()
}

/// Starts a node, with its data if it has some.
pub(crate) fn spawn(folder: &Path, n: usize, port: u16, arguments: &[String]) -> Child {
    let log = folder.join(format!("{n}.log"));
    let log = File::options().create(true).append(true).open(log).unwrap();
    let mut command = program();
    command.args(["--port", &port.to_string(), "--dir"]);
    command.arg(folder.join(n.to_string())).args(arguments);
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().unwrap()
}

/// Returns the program, without settings from the environment.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hedgerow-db"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HEDGEROW_DB_")) {
        command.env_remove(name);
    }
    command
}

/// Returns the role of the node at a port, and of a follower the state of its link.
pub(crate) fn role(port: u16) -> Option<String> {
    let role: Vec<redis::Value> = redis::cmd("ROLE").query(&mut connect(port)?).ok()?;
    let word = |place: usize| redis::from_redis_value::<String>(role.get(place)?.clone()).ok();
    let role = word(0)?;
    Some(if role == "slave" { format!("{role} {}", word(3)?) } else { role })
}

pub(crate) fn connect(port: u16) -> Option<Connection> {
    let limit = Duration::from_secs(1);
    let client = redis::Client::open(("127.0.0.1", port)).unwrap();
    let connection = client.get_connection_with_timeout(limit).ok()?;
    connection.set_read_timeout(Some(limit)).ok()?;
    Some(connection)
}

/// Prints the end of each node's messages.
pub(crate) fn print_messages(folder: &Path, nodes: usize) {
    for n in 0..nodes {
        let text = std::fs::read_to_string(folder.join(format!("{n}.log"))).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        println!("== node {n}\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
    }
}

/// Returns ports that are free, and have a free port for other nodes.
///
/// The system gives none of them to the end of a connection, also while its node is away.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let random = RandomState::new();
    let mut candidates =
        (0..).map(|n: u64| 10_000 + (random.hash_one(n) % u64::from(PEER_PORTS)) as u16);
    let mut held = Vec::new();
    [(); N].map(|()| {
        let port = candidates.by_ref().find(|port| {
            let listen = |port| TcpListener::bind(("127.0.0.1", port));
            let both = listen(*port).and_then(|one| Ok([one, listen(port + PEER_PORTS)?]));
            both.map(|both| held.push(both)).is_ok()
        });
        port.unwrap()
    })
}
