//! builds: default
//!
//! Slots move between two groups while unmodified clients write to them.

use crate::etcd::Etcd;
use crate::groups::{Groups, ask, command, key_of_each_slot, wait};
use crate::writers::{self, Writer};
use crate::{redis_cli, redis_rs, redis_rs_async, wait_for_writes};

/// Moves slots, and waits for the end.
fn move_slots(etcd: &Etcd, slots: &str, to: &str) {
    let (fine, said) = command(etcd, &["move", "--slots", slots, "--to", to]);
    print!("{said}");
    assert!(fine && said.contains(&format!("Group {to} has ")), "{said}");
}

fn has_moves(etcd: &Etcd) -> bool {
    let (fine, said) = command(etcd, &["move"]);
    assert!(fine, "{said}");
    said != "No slots are being moved.\n"
}

#[test]
fn clients_follow_slots_that_move() {
    let Some(etcd) = Etcd::start(1) else { return };
    let mut groups = Groups::new(&etcd);
    let clients = [redis_cli::start, writers::redis_py, writers::new_redis_py, writers::ioredis];
    let mut writers: Vec<Writer> =
        clients.iter().filter_map(|start| start(groups.seeds())).collect();
    writers.push(redis_rs::start(groups.seeds()));
    writers.push(redis_rs_async::start(groups.seeds()));
    wait_for_writes(&mut writers);
    move_slots(&etcd, "0-4095,6000", "1");
    wait_for_writes(&mut writers);
    move_slots(&etcd, "0-2047,8192-10000", "0");
    wait_for_writes(&mut writers);
    // The target's primary dies while it takes slots over, and then the source's.
    for (group, slots, to) in [(1, "2048-4095", "0"), (1, "4096-5999", "1")] {
        let (fine, said) = command(&etcd, &["move", "--slots", slots, "--to", to, "--no-wait"]);
        assert!(fine, "{said}");
        let dead = groups.primary(group);
        groups.kill(dead);
        wait(|| (!has_moves(&etcd)).then_some(()));
        wait_for_writes(&mut writers);
        groups.start(dead);
        groups.wait_for_all();
    }
    for writer in &mut writers {
        let (acknowledged, errors) = writer.stop();
        println!("{}: {acknowledged} acknowledged, {errors} errors, {}", writer.name, writer.gap());
        for question in ["read", "replicas"] {
            let found = writer.ask(question);
            assert_eq!(found, acknowledged.to_string(), "{} has lost writes", writer.name);
        }
    }
    each_slot_has_one_owner(&groups);
    for group in ["0", "1"] {
        let (fine, said) = command(&etcd, &["check", "--group", group]);
        assert!(fine && said.contains("Each slot belongs to exactly one of 2 groups."), "{said}");
    }
}

/// Asks both primaries for a key of each slot: one of them has it.
fn each_slot_has_one_owner(groups: &Groups) {
    let ports = [0, 1].map(|group| groups.ports[groups.primary(group)]);
    for (slot, key) in key_of_each_slot().iter().enumerate().step_by(97) {
        let answers = ports.map(|port| ask(port, &["GET", key]));
        let moved = answers.iter().filter(|answer| answer.contains("Moved: ")).count();
        let owner = usize::from(!(0..=4095).contains(&slot) && !(8192..=10000).contains(&slot));
        let owner = if (6001..8192).contains(&slot) { 0 } else { owner };
        assert_eq!(moved, 1, "slot {slot}: {answers:?}");
        assert!(answers[1 - owner].contains("Moved: "), "slot {slot}: {answers:?}");
    }
}
