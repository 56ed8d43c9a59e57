use super::*;
use crate::slots::SLOTS;
use crate::state::shard::{Core, Shard, ShardContext};
use std::collections::BTreeMap;

/// A shard that counts its slots, and can undo changes.
fn shard() -> Shard {
    let shard = Shard::new(ShardContext::default());
    shard.lock().count_slots(0..SLOTS);
    shard.lock().enable_undo();
    shard
}

/// Compares the counts with the records that the shard has.
#[track_caller]
fn check(core: &mut Core) {
    let mut counted: BTreeMap<u16, SlotCount> = BTreeMap::new();
    for record in core.begin_snapshot() {
        let with_ttl = usize::from(record.expires_at().is_some());
        let one = SlotCount { keys: 1, with_ttl, bytes: record.memory() };
        *counted.entry(slot(record.key())).or_default() += one;
    }
    core.end_snapshot(None, 0);
    let counts = (0..SLOTS).zip(core.slots().iter().copied());
    let counts = counts.filter(|(_, count)| *count != SlotCount::default());
    assert_eq!(counts.collect::<BTreeMap<_, _>>(), counted);
}

#[test]
fn each_record_that_comes_or_goes_is_counted() {
    let shard = shard();
    let mut core = shard.lock();
    let put = |core: &mut Core, key: &[u8], value: &[u8], end: Option<u64>| {
        let old = core.find(key);
        core.put(old, key, value, end);
        check(core);
    };
    put(&mut core, b"rose", b"red", None);
    put(&mut core, b"rose", &[7; 500], None);
    put(&mut core, b"rose", b"white", Some(9));
    put(&mut core, b"{rose}2", b"", Some(9));
    put(&mut core, b"daisy", &vec![7; 100_000], None);
    let count = core.slots()[usize::from(slot(b"rose"))];
    assert_eq!((count.keys, count.with_ttl), (2, 2));
    core.publish(1, 0);
    let (old, rose) = (core.find(b"daisy"), core.find(b"rose").unwrap());
    core.put_moved(old, b"daisy", rose, None);
    core.remove_moved(rose);
    check(&mut core);
    core.write(None, None, b"lily", &[(3, b"white")]);
    check(&mut core);
    core.remove_where(|record| record.is_expired(10));
    check(&mut core);
    core.clear();
    check(&mut core);
    core.publish(2, 2);
    assert_eq!(core.len(), 0);
}

#[test]
fn what_a_rollback_undoes_is_counted_back() {
    let shard = shard();
    let mut core = shard.lock();
    let put = |core: &mut Core, key: &[u8], value: &[u8]| {
        let old = core.find(key);
        core.put(old, key, value, None);
    };
    for key in [&b"kept"[..], b"removed", b"replaced", b"twice"] {
        put(&mut core, key, b"old");
    }
    core.publish(1, 1);
    let before = core.slots().to_vec();
    put(&mut core, b"new", b"");
    put(&mut core, b"replaced", &[7; 300]);
    core.publish(2, 1);
    put(&mut core, b"twice", &[7; 300]);
    let removed = core.find(b"removed").unwrap();
    core.remove(removed);
    core.publish(3, 1);
    let twice = core.find(b"twice").unwrap();
    core.remove(twice);
    put(&mut core, b"new", b"newer");
    core.publish(4, 1);
    core.roll_back(1);
    check(&mut core);
    assert_eq!(core.slots(), before);
    core.publish(5, 5);
}

#[test]
fn a_shard_without_a_cluster_counts_nothing() {
    let shard = Shard::new(ShardContext::default());
    let mut core = shard.lock();
    core.put(None, b"rose", b"red", None);
    assert_eq!(core.slots(), []);
    core.publish(1, 1);
}
