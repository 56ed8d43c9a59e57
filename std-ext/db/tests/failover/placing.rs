//! builds: default
//!
//! Nodes that find their groups by themselves, and groups that replace nodes which are killed for ever.

use crate::etcd::Etcd;
use crate::groups::{ask, command, wait};
use crate::nodes::{arguments, free_ports, print_messages, spawn};
use redis::cluster::ClusterClient;
use rustix::process::{Pid, Signal, kill_process};
use std::process::Child;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Milliseconds.
const LEASE: &str = "1000";
const KEYS: usize = 400;
/// How long nothing may be placed twice.
const QUIET: Duration = Duration::from_secs(4);

/// Nodes that are told no group. Dropping them kills their processes.
struct Pool {
    etcd: Etcd,
    ports: [u16; 6],
    children: [Option<Child>; 6],
    arguments: Vec<String>,
    folder: TempDir,
}

/// A line of `hedgerow-db cluster nodes`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Shown {
    group: String,
    state: String,
    /// The node's place in the pool.
    number: usize,
    coordinates: bool,
}

impl Pool {
    /// Starts none of the nodes yet.
    fn new(settings: &str) -> Option<Self> {
        let etcd = Etcd::start(1)?;
        let mut arguments = arguments(&etcd.endpoints().join(","), LEASE);
        arguments.extend(["--cluster-group", "auto"].map(str::to_owned));
        arguments.extend(settings.split(' ').map(str::to_owned));
        let (ports, folder) = (free_ports(), tempfile::tempdir().unwrap());
        Some(Self { etcd, ports, children: [const { None }; 6], arguments, folder })
    }

    fn start(&mut self, n: usize) {
        let mut arguments = self.arguments.clone();
        arguments.extend(["--cluster-zone".to_owned(), format!("zone-{}", n % 2)]);
        self.children[n] = Some(spawn(self.folder.path(), n, self.ports[n], &arguments));
    }

    fn kill(&mut self, n: usize) {
        let mut child = self.children[n].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn signal(&self, n: usize, signal: Signal) {
        kill_process(Pid::from_child(self.children[n].as_ref().unwrap()), signal).unwrap();
    }

    /// Returns the nodes that the command shows, sorted by group and state.
    fn nodes(&self) -> Vec<Shown> {
        let (_, said) = command(&self.etcd, &["nodes"]);
        let ids: Vec<String> = (0..6)
            .map(|n| {
                std::fs::read_to_string(self.folder.path().join(n.to_string()).join("node-id"))
            })
            .map(|id| id.unwrap_or_default().trim().to_owned())
            .collect();
        let shown = said.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let (id, group, state) = (words.next()?, words.next()?, words.next()?);
            let number = ids.iter().position(|one| one == id)?;
            let coordinates = said.contains(&format!("Node {id} coordinates it."));
            Some(Shown { group: group.to_owned(), state: state.to_owned(), number, coordinates })
        });
        let mut shown: Vec<_> = shown.collect();
        shown.sort();
        shown
    }

    /// Waits until the groups and states of all nodes are these, sorted. Returns the nodes.
    #[track_caller]
    fn wait_for(&self, wanted: &[&str]) -> Vec<Shown> {
        wait(|| {
            let nodes = self.nodes();
            let found = nodes.iter().map(|node| format!("{} {}", node.group, node.state));
            found.eq(wanted.iter().copied()).then_some(nodes)
        })
    }

    /// Waits until each slot has a primary in the eyes of all nodes that run.
    fn wait_for_slots(&self) {
        let running = (0..6).filter(|n| self.children[*n].is_some());
        for n in running {
            let port = self.ports[n];
            wait(|| {
                let info = ask(port, &["CLUSTER", "INFO"]);
                (info.contains("cluster_state:ok") || waits(&info)).then_some(())
            });
        }
    }

    /// Writes all keys, or reads them.
    fn each_key(&self, call: impl Fn(&str) -> redis::Cmd) -> Vec<Option<String>> {
        let running = (0..6).filter(|n| self.children[*n].is_some());
        let seeds = running.map(|n| format!("redis://127.0.0.1:{}/", self.ports[n]));
        let client = ClusterClient::builder(seeds).retries(50).max_retry_wait(100).build();
        let mut connection = client.unwrap().get_connection().unwrap();
        let one = |n| call(&format!("key {n}")).query(&mut connection).unwrap();
        (0..KEYS).map(one).collect()
    }

    fn write(&self) {
        self.each_key(|key| redis::Cmd::set(key, key));
    }

    #[track_caller]
    fn has_all_keys(&self) {
        let found = self.each_key(|key| redis::Cmd::get(key));
        for (n, found) in found.into_iter().enumerate() {
            assert_eq!(found.as_deref(), Some(&format!("key {n}")[..]), "it was lost");
        }
    }

    #[track_caller]
    fn check(&self) {
        for group in ["0", "1"] {
            let (fine, said) = command(&self.etcd, &["check", "--group", group]);
            let wanted = "All 2 nodes have the same data. The log is intact.";
            assert!(fine && said.contains(wanted), "{said}");
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", command(&self.etcd, &["nodes"]).1);
            print_messages(self.folder.path(), 6);
        }
        for child in self.children.iter_mut().flatten() {
            // It may have ended on its own.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Whether a reply is that of a spare: the client's text for `-LOADING`.
fn waits(said: &str) -> bool {
    said.to_lowercase().contains("loading")
}

fn with<'a>(nodes: &'a [Shown], group: &str, state: &str) -> &'a Shown {
    nodes.iter().find(|node| (&*node.group, &*node.state) == (group, state)).unwrap()
}

const WHOLE: [&str; 4] = ["0 follower", "0 primary", "1 follower", "1 primary"];

#[test]
fn nodes_that_are_gone_for_good_are_replaced() {
    let Some(mut pool) = Pool::new("--cluster-groups 2 --cluster-forget 3") else { return };
    (0..5).for_each(|n| pool.start(n));
    let whole_with_spare = [&["- spare"], &WHOLE[..]].concat();
    let nodes = pool.wait_for(&whole_with_spare);
    let spare = with(&nodes, "-", "spare").number;
    let said = ask(pool.ports[spare], &["GET", "rose"]);
    assert!(waits(&said), "it serves: {said}");
    let primary = pool.ports[with(&nodes, "0", "primary").number];
    wait(|| ask(primary, &["INFO", "cluster"]).contains("cluster_spares:1").then_some(()));
    pool.wait_for_slots();
    pool.write();
    // A follower: the spare takes its place, and it is a member no more.
    pool.kill(with(&nodes, "0", "follower").number);
    let nodes = pool.wait_for(&WHOLE);
    assert_eq!(with(&nodes, "0", "follower").number, spare);
    pool.check();
    // A primary: first the other member takes over, then another node comes.
    pool.start(5);
    pool.wait_for(&whole_with_spare);
    let follower = with(&nodes, "1", "follower").number;
    pool.kill(with(&nodes, "1", "primary").number);
    let nodes = pool.wait_for(&WHOLE);
    let roles = ["primary", "follower"].map(|role| with(&nodes, "1", role).number);
    assert_eq!(roles, [follower, 5]);
    pool.check();
    pool.wait_for_slots();
    pool.has_all_keys();
}

#[test]
fn a_coordinator_that_was_stopped_places_nothing_twice() {
    let Some(mut pool) = Pool::new("--cluster-replicas 2 --cluster-forget 0") else { return };
    (0..2).for_each(|n| pool.start(n));
    pool.wait_for(&["0 follower", "0 primary"]);
    // A node that waited for a place starts anew once it has one, and then nobody coordinates for a moment.
    let coordinates = |node: &Shown| node.coordinates.then_some(node.number);
    let old = wait(|| pool.nodes().iter().find_map(coordinates));
    pool.signal(old, Signal::STOP);
    // One of these gets the last place.
    (2..4).for_each(|n| pool.start(n));
    let placed = |nodes: &[Shown]| {
        let new = nodes.iter().filter(|node| node.number >= 2 && node.group == "0");
        new.map(|node| node.number).collect::<Vec<_>>()
    };
    let first = wait(|| Some(placed(&pool.nodes())).filter(|placed| !placed.is_empty()));
    pool.signal(old, Signal::CONT);
    let until = Instant::now() + QUIET;
    while Instant::now() < until {
        assert_eq!(placed(&pool.nodes()), first, "a place was given twice");
    }
    let nodes = pool.wait_for(&["- spare", "0 follower", "0 follower", "0 primary"]);
    assert_eq!((placed(&nodes), nodes.iter().filter(|node| node.coordinates).count()), (first, 1));
    assert!(!nodes.iter().any(|node| node.coordinates && node.number == old), "it came back");
}

#[test]
fn nothing_is_removed_because_etcd_does_not_answer() {
    let Some(mut pool) = Pool::new("--cluster-replicas 2 --cluster-forget 5") else { return };
    (0..3).for_each(|n| pool.start(n));
    let whole = ["0 follower", "0 follower", "0 primary"];
    pool.wait_for(&whole);
    // Meanwhile all leases end, so all registrations go at once.
    pool.etcd.freeze(0);
    std::thread::sleep(Duration::from_secs(8));
    pool.etcd.thaw(0);
    pool.wait_for(&whole);
    std::thread::sleep(QUIET);
    pool.wait_for(&whole);
    for n in 0..3 {
        let said = std::fs::read_to_string(pool.folder.path().join(format!("{n}.log"))).unwrap();
        assert!(!said.contains("is removed from the members"), "node {n} says {said}");
    }
}
