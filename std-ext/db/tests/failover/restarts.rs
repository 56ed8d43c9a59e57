//! builds: default
//!
//! Nodes that are killed, and start again as by a supervisor. Other tests show that the others take over from nodes
//! that stay away. The lease is so long that nobody waits for it, unless a test does.

use crate::etcd::Etcd;
use crate::groups::wait;
use crate::nodes::{Nodes, arguments, connect, free_ports, role, spawn};
use rustix::process::{Pid, Signal, kill_process};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a supervisor takes to start a process that has ended.
const RESTART: Duration = Duration::from_millis(300);
/// In milliseconds, the longest that there is. A test fails before it has run out.
const LONG_LEASE: &str = "60000";
const TAKEN_BACK: &str = "this node's former process was the primary, and has ended";

/// Writes until a node acknowledges it.
fn write(nodes: &Nodes, value: u64) {
    let write = |port: u16| {
        let mut connection = connect(port)?;
        redis::cmd("SET").arg("key").arg(value).exec(&mut connection).ok()
    };
    wait(|| nodes.ports.iter().find_map(|port| write(*port)));
}

#[test]
fn nodes_that_are_killed_serve_again_without_waiting_for_a_lease() {
    let Some(etcd) = Etcd::start(3) else { return };
    let mut nodes = Nodes::with_lease(&etcd, LONG_LEASE);
    for (round, all) in [false, false, true, true].into_iter().enumerate() {
        write(&nodes, round as u64);
        let primary = nodes.primary();
        let before = nodes.log(primary).matches(TAKEN_BACK).count();
        let killed: Vec<usize> = (0..3).filter(|n| all || *n == primary).collect();
        let begun = Instant::now();
        for n in &killed {
            nodes.kill(*n);
        }
        std::thread::sleep(RESTART);
        for n in &killed {
            nodes.start(*n);
        }
        write(&nodes, round as u64 + 100);
        let took = begun.elapsed();
        println!("{} killed: a write is acknowledged after {took:?}", killed.len());
        assert_eq!(nodes.primary(), primary, "another node is the primary");
        let after = nodes.log(primary).matches(TAKEN_BACK).count();
        assert_eq!(after, before + 1, "it did not take its group back");
        nodes.wait_for_all();
    }
}

/// The original is as if its machine hung. It may go on at any time, and then answer reads until its lease has run out.
#[test]
fn a_copy_of_the_directory_of_a_stopped_primary_waits_for_its_lease() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (folder, [one, two]) = (tempfile::tempdir().unwrap(), free_ports());
    let arguments = arguments(&etcd.endpoints().join(","), "2000");
    let leads = |port| (role(port).as_deref() == Some("master")).then_some(());
    let mut original = spawn(folder.path(), 0, one, &arguments);
    wait(|| leads(one));
    kill_process(Pid::from_child(&original), Signal::STOP).unwrap();
    let [from, to] = [0, 1].map(|n| folder.path().join(n.to_string()));
    let copied = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(copied.success());
    let mut copy = spawn(folder.path(), 1, two, &arguments);
    wait(|| leads(two));
    let log = std::fs::read_to_string(folder.path().join("1.log")).unwrap();
    kill_process(Pid::from_child(&original), Signal::CONT).unwrap();
    wait(|| leads(one).is_none().then_some(()));
    for child in [&mut original, &mut copy] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(!log.contains(TAKEN_BACK), "a copy takes over from a process that is alive: {log}");
    assert!(log.contains("the primary in epoch 2: the lease of"), "{log}");
}
