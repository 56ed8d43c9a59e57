//! Slots move between two groups over one etcd.

use super::groups::{is_refused, keys, knows_all, of_group, start};
use super::*;
use crate::etcd::EtcdClient;
use crate::membership::bootstrap;
use crate::membership::keys::GroupKeys;
use crate::moves::create;
use crate::moves::record::MoveRecord;
use hedgerow_db_formats::slot_set::SlotSet;
use hedgerow_db_formats::slots::slot;
use std::sync::atomic::{AtomicBool, Ordering};

/// An administrator of the cluster.
struct Administrator {
    runtime: tokio::runtime::Runtime,
    client: EtcdClient,
    keys: GroupKeys,
}

impl Administrator {
    fn new(settings: &ClusterSettings) -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        let client = {
            let _in_runtime = runtime.enter();
            EtcdClient::connect(&bootstrap::etcd_settings(settings)).unwrap()
        };
        Self { runtime, client, keys: GroupKeys::new(&settings.name, 0).unwrap() }
    }

    fn begin(&self, slots: &SlotSet, from: u32, to: u32) -> Result<u64, String> {
        self.runtime.block_on(create::begin(&self.client, &self.keys, slots, (from, to)))
    }

    fn moves(&self) -> Vec<(u64, MoveRecord)> {
        self.runtime.block_on(create::list(&self.client, &self.keys)).unwrap()
    }

    #[track_caller]
    fn wait(&self) {
        until("the moves have ended", || self.moves().is_empty());
    }
}

/// Starts two groups of two nodes, with a key of every group.
fn groups(etcd: &Etcd, name: &str, folders: &[Folders; 2]) -> Vec<Vec<Node>> {
    let groups: Vec<Vec<Node>> =
        (0..2).map(|group| start(&of_group(etcd, name, group), &folders[group as usize])).collect();
    groups.iter().flatten().for_each(knows_all);
    groups
}

/// Checks that the keys are at the nodes of their groups, and at no other.
#[track_caller]
fn check(groups: &[Vec<Node>], written: &[(String, String)], owner: impl Fn(u16) -> usize) {
    for (number, nodes) in groups.iter().enumerate() {
        let is_here = |key: &str| owner(slot(key.as_bytes())) == number;
        let own: Vec<_> = written.iter().filter(|(key, _)| is_here(key)).cloned().collect();
        agree(nodes, &own);
        for node in nodes {
            let all = || node.db().state().keys_of_slots(&SlotSet::all(), 0);
            until("no other key is there", || all() == own.len() as u64);
            assert_eq!(node.db().session().len(), own.len());
            for (key, _) in written.iter().filter(|(key, _)| !is_here(key)) {
                assert!(is_refused(|| node.db().get(key)), "group {number} has read {key}");
            }
        }
    }
}

/// Stops threads when it is dropped.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn slots_move_there_and_back_while_clients_write() {
    let Some(etcd) = Etcd::start(1) else { return };
    let folders = [Folders::new(2), Folders::new(2)];
    let mut groups = groups(&etcd, "move", &folders);
    let admin = Administrator::new(&of_group(&etcd, "move", 0));
    let mut written: Vec<_> =
        keys(0, 400).into_iter().map(|(key, value, _)| (key, value)).collect();
    for (key, value) in &written {
        write(&groups[usize::from(slot(key.as_bytes()) >= 8192)], key, value);
    }
    let stop = AtomicBool::new(false);
    // A counter in a slot that moves, which is asked wherever it is.
    let mut all = (0..1000).map(|n| format!("counter {n}"));
    let counter = all.find(|key| slot(key.as_bytes()) < 4096);
    let counter = counter.unwrap();
    thread::scope(|scope| {
        // Also if this thread panics.
        let stopping = StopAtEnd(&stop);
        let writer = scope.spawn({
            let (groups, counter, stop) = (&groups, &counter, &stop);
            move || {
                let mut sum = 0;
                while !stop.load(Ordering::Relaxed) {
                    for node in groups.iter().flatten() {
                        if let Ok(found) = node.db().add(counter, 1) {
                            sum += 1;
                            assert_eq!(found, sum, "an addition was lost, or made twice");
                        }
                    }
                }
                sum
            }
        });
        let moved = SlotSet::of_range(0..4096);
        for round in 0..3 {
            let (from, to) = (round % 2, 1 - round % 2);
            admin.begin(&moved, from, to).unwrap();
            let again = admin.begin(&SlotSet::of_range(4000..5000), from, to).unwrap_err();
            assert!(again.contains("belong to the move"), "{again}");
            admin.wait();
            assert!(groups.iter().flatten().all(|node| node.exit().is_none()));
        }
        drop(stopping);
        let sum = writer.join().unwrap();
        assert!(sum > 10, "only {sum} additions");
        written.push((counter.clone(), sum.to_string()));
    });
    let owner = |slot: u16| usize::from(!(4096..8192).contains(&slot));
    check(&groups, &written, owner);
    until("all nodes show the owners", || {
        groups.iter().flatten().all(|node| node.view().owners.owner(0) == Some(1))
    });

    // Of one node of each group the snapshot says it, and of the other one the log.
    for nodes in &groups {
        nodes[0].db().snapshot().unwrap();
    }
    groups.clear();
    for group in 0..2 {
        groups.push(start(&of_group(&etcd, "move", group), &folders[group as usize]));
    }
    written.iter().take(1).for_each(|(key, value)| {
        write(&groups[owner(slot(key.as_bytes()))], key, value);
    });
    check(&groups, &written, owner);
}

#[test]
fn a_move_is_cancelled_while_its_keys_are_sent() {
    let Some(etcd) = Etcd::start(1) else { return };
    let folders = [Folders::new(2), Folders::new(2)];
    let groups = groups(&etcd, "cancel", &folders);
    let admin = Administrator::new(&of_group(&etcd, "cancel", 0));
    let moved = SlotSet::of_range(0..4096);
    let all = (0..).map(|n| format!("key {n}"));
    let keys: Vec<_> = all.filter(|key| moved.contains(slot(key.as_bytes()))).take(400).collect();
    let value = "x".repeat(20_000);
    for key in &keys {
        write(&groups[0], key, &value);
    }
    let (source, target) = (&groups[0][primary(&groups[0])], &groups[1][primary(&groups[1])]);
    // The second message would come after days, as long as clients write.
    source.db().set_move_rate(1);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let of_scope = &stop;
        // Also if this thread panics.
        let _stopping = StopAtEnd(of_scope);
        for writer in 0..8 {
            let all = (0..).map(|n| format!("other {writer} {n}"));
            let mut others = all.filter(|key| (4096..8192).contains(&slot(key.as_bytes())));
            let other = others.next().unwrap();
            scope.spawn(move || {
                while !of_scope.load(Ordering::Relaxed) {
                    source.db().set(&other, "1").unwrap();
                }
            });
        }
        let id = admin.begin(&moved, 0, 1).unwrap();
        let came = || target.db().state().keys_of_slots(&moved, 0);
        until("some keys have come", || came() > 0);
        let begin = Instant::now();
        admin.runtime.block_on(create::turn_back(&admin.client, &admin.keys, id, false)).unwrap();
        admin.wait();
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(20), "it went on for {took:?}");
        assert_eq!(came(), 0, "keys are left");
    });
    for key in &keys {
        assert_eq!(source.db().get(key).unwrap().as_deref(), Some(value.as_bytes()));
    }
}
