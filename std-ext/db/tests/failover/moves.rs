//! builds: default
//!
//! Slots move between three groups of two nodes while unmodified clients write to them, and while primaries die.

use crate::etcd::Etcd;
use crate::groups::{Groups, ask, command, key_of_each_slot, wait};
use crate::writers::{self, Writer};
use crate::{redis_cli, redis_rs, redis_rs_async, wait_for_writes};
use std::ops::RangeInclusive;

const GROUPS: usize = 3;
const SLOTS: usize = 16_384;

/// The group that each slot should have.
struct Owners(Vec<usize>);

impl Owners {
    fn new() -> Self {
        let group = |slot| (0..GROUPS).rfind(|group| group * SLOTS / GROUPS <= slot).unwrap();
        Self((0..SLOTS).map(group).collect())
    }

    /// Begins to move slots to a group.
    fn begin(&mut self, etcd: &Etcd, slots: &RangeInclusive<usize>, to: usize) {
        let (range, to_group) = (format!("{}-{}", slots.start(), slots.end()), to.to_string());
        let words = ["move", "--slots", &range, "--to", &to_group, "--no-wait"];
        let (fine, said) = command(etcd, &words);
        assert!(fine, "{said}");
        self.0[slots.clone()].fill(to);
    }

    /// Moves slots to a group.
    fn give(&mut self, etcd: &Etcd, slots: &RangeInclusive<usize>, to: usize) {
        self.begin(etcd, slots, to);
        wait_for_moves(etcd);
    }

    /// Asks all primaries for keys of many slots: the owner of each has it, and the others name the owner.
    fn check(&self, groups: &Groups) {
        let ports: Vec<u16> =
            (0..GROUPS).map(|group| groups.ports[groups.primary(group)]).collect();
        for (slot, key) in key_of_each_slot().iter().enumerate().step_by(97) {
            for (group, port) in ports.iter().enumerate() {
                let answer = ask(*port, &["GET", key]);
                let has_moved = answer.contains("Moved: ");
                assert_eq!(has_moved, group != self.0[slot], "slot {slot} at {group}: {answer}");
            }
        }
    }
}

/// Waits until no slots are being moved.
fn wait_for_moves(etcd: &Etcd) {
    wait(|| {
        let (fine, said) = command(etcd, &["move"]);
        assert!(fine, "{said}");
        (said == "No slots are being moved.\n").then_some(())
    });
}

/// Lets Redis's own tools use the cluster while slots move.
fn tools_work(groups: &Groups) {
    let address = format!("127.0.0.1:{}", groups.ports[0]);
    let benchmark = ["--cluster", "-t", "set,get,incr,mset", "-n", "3000", "-c", "10", "-r", "500"];
    let port = groups.ports[1].to_string();
    let arguments = [&benchmark[..], &["-p", &port, "--csv"]].concat();
    if let Some(said) = redis_cli::run("redis-benchmark", &arguments) {
        assert!(said.contains("\"SET\",\"") && said.contains("\"GET\",\""), "{said}");
    }
    let call = ["--cluster", "call", &address, "dbsize"];
    if let Some(said) = redis_cli::run("redis-cli", &call) {
        let answers = said.lines().filter(|line| line.starts_with("127.0.0.1:")).count();
        assert_eq!(answers, 2 * GROUPS, "{said}");
    }
}

/// Lets Redis's own tool compare what the nodes say about slots. Nodes learn of a move within a second or two.
fn nodes_agree(groups: &Groups) {
    let address = format!("127.0.0.1:{}", groups.ports[0]);
    groups.wait_for_all();
    let all = ["[OK] All nodes agree about slots configuration.", "[OK] All 16384 slots covered."];
    wait(|| {
        let Some(said) = redis_cli::run("redis-cli", &["--cluster", "check", &address]) else {
            return Some(());
        };
        all.iter().all(|wanted| said.contains(wanted)).then_some(())
    });
}

#[test]
fn clients_follow_slots_that_move() {
    let Some(etcd) = Etcd::start(1) else { return };
    let mut groups = Groups::new(&etcd, GROUPS);
    let mut owners = Owners::new();
    let clients = [redis_cli::start, writers::redis_py, writers::new_redis_py, writers::ioredis];
    let mut writers: Vec<Writer> =
        clients.iter().filter_map(|start| start(groups.seeds())).collect();
    writers.push(redis_rs::start(groups.seeds()));
    writers.push(redis_rs_async::start(groups.seeds()));
    wait_for_writes(&mut writers);
    owners.give(&etcd, &(0..=4095), 1);
    wait_for_writes(&mut writers);
    owners.begin(&etcd, &(8192..=10_000), 2);
    tools_work(&groups);
    wait_for_moves(&etcd);
    nodes_agree(&groups);
    // The target's primary dies while it takes slots over, then the source's, and then one that has no part in it.
    let moves = [(2, 2048..=4095, 2), (1, 5461..=8191, 0), (0, 0..=2047, 2)];
    for (dead, slots, to) in moves {
        owners.begin(&etcd, &slots, to);
        let dead = groups.primary(dead);
        groups.kill(dead);
        wait_for_moves(&etcd);
        wait_for_writes(&mut writers);
        groups.start(dead);
        groups.wait_for_all();
    }
    nodes_agree(&groups);
    for writer in &mut writers {
        let (acknowledged, errors) = writer.stop();
        println!("{}: {acknowledged} acknowledged, {errors} errors, {}", writer.name, writer.gap());
        for question in ["read", "replicas"] {
            let found = writer.ask(question);
            assert_eq!(found, acknowledged.to_string(), "{} has lost writes", writer.name);
        }
    }
    owners.check(&groups);
    for group in 0..GROUPS {
        let (fine, said) = command(&etcd, &["check", "--group", &group.to_string()]);
        assert!(fine && said.contains("Each slot belongs to exactly one of 3 groups."), "{said}");
    }
}
