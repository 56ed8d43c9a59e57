//! Two groups without a cluster around them: one sends its keys to the other.

use super::*;
use crate::Db;
use crate::log::none::NoLog;
use crate::log::{Log, OpenError};
use crate::options::{Eviction, Options};
use crate::progress::Progress;
use crate::request::{
    End, HashChange, ListChange, Packer, Request, Score, SortedSetChange, ValueType,
};
use crate::slots::SLOTS;
use std::collections::BTreeMap;
use std::time::Duration;

/// The primary of a group that has these slots.
pub fn group(slots: Range<u16>) -> Db {
    let options = Options { shards: 4, ..Options::in_memory() };
    let log = |_| Ok::<Arc<dyn Log>, OpenError>(Arc::new(NoLog::of(slots)));
    let db = Db::open_clustered(options, None, &Progress::default(), log).unwrap();
    db.become_primary(1);
    db
}

pub(super) fn moved() -> SlotSet {
    SlotSet::of_range(1000..9000)
}

fn is_moved(key: &str) -> bool {
    moved().contains(slot(key.as_bytes()))
}

/// Keys of the slots that move.
pub(super) fn names(prefix: &str, number: usize) -> Vec<String> {
    let all = (0..10_000).map(|n| format!("{prefix} {n}"));
    all.filter(|key| is_moved(key)).take(number).collect()
}

/// Sends all that is missing at present.
fn send(export: &mut Export, to: &Db) {
    loop {
        let items = export.next(1000);
        if items.is_empty() {
            return;
        }
        to.state().import(&moved(), &items, false).unwrap();
    }
}

/// Returns all keys of the slots that move, with their expirations and values.
fn all(db: &Db) -> BTreeMap<Vec<u8>, (Option<u64>, Vec<u8>)> {
    let mut all = BTreeMap::new();
    for shard in db.state().shards.iter() {
        let mut core = shard.lock();
        for record in core.begin_snapshot() {
            if moved().contains(slot(record.key())) {
                let value = record.value().with_stored(core.cold(), |value| value.bytes().to_vec());
                all.insert(record.key().to_vec(), (record.expires_at(), value));
            }
        }
        core.end_snapshot(None, db.state().log.committed());
    }
    assert_eq!(db.state().keys_of_slots(&moved(), 0), all.len() as u64);
    all
}

#[track_caller]
fn agree(one: &Db, other: &Db) {
    assert_eq!(all(one), all(other), "the target has other keys than the source");
}

#[test]
fn keys_move_while_they_change() {
    let (source, target) = (group(0..SLOTS), group(0..0));
    let keys = names("key", 300);
    for key in &keys {
        source.set(key, format!("value of {key}")).unwrap();
    }
    source.set("not moved", "red").unwrap();
    assert!(!is_moved("not moved"));
    let mut export = Export::new(Arc::clone(source.state()), moved());
    let some = export.next(1000);
    assert!(some.len() < 300, "all at once");
    target.state().import(&moved(), &some, false).unwrap();
    // Some of these were sent, and others not.
    for chunk in keys.chunks_exact(6) {
        let [add, append, delete, expire, set, _] = chunk else { unreachable!() };
        source.set(add, "5").unwrap();
        source.add(add, 7).unwrap();
        source.append(append, " and more").unwrap();
        source.delete(delete).unwrap();
        source.expire(expire, Duration::from_secs(1000)).unwrap();
        source.set(set, "new").unwrap();
    }
    send(&mut export, &target);
    agree(&source, &target);
    source.set(&keys[0], "last").unwrap();
    let (entry, time) = source.state().lose_slots(7, &moved()).unwrap();
    assert!(entry > 0 && source.state().is_committed(&moved()));
    send(&mut export, &target);
    agree(&source, &target);
    let late = source.set(&keys[0], "late").is_err() && source.get(&keys[0]).is_err();
    assert!(late, "the source serves slots that it has lost");
    assert!(target.get(&keys[0]).is_err(), "it is served before it is owned");
    let before = target.now();
    // A clock that is ahead by a second or more would be set back soon.
    target.state().gain_slots(7, &moved(), time + 900).unwrap();
    assert!(target.now() >= before.max(time + 900), "a key may not have expired any more");
    assert_eq!(target.get(&keys[0]).unwrap().as_deref(), Some(&b"last"[..]));
    assert_eq!(target.get("not moved").ok(), None);
    assert_eq!(source.get("not moved").unwrap().as_deref(), Some(&b"red"[..]));
    source.state().clear_slots(&moved()).unwrap();
    assert_eq!(source.state().keys_of_slots(&moved(), 0), 0);
}

#[test]
fn long_hashes_move_in_parts() {
    let (source, target) = (group(0..SLOTS), group(0..0));
    let keys = names("hash", 3);
    let fields: Vec<String> = (0..20_000).map(|n| format!("a field with number {n}")).collect();
    let set = |key: &String, fields: &[String]| {
        let pairs: Vec<_> = fields.iter().map(|field| (field.as_bytes(), &b"value"[..])).collect();
        let change = Change::Hash(HashChange::Set(&pairs));
        source.execute(Request::Change(key.as_bytes(), change), |_| Ok(())).unwrap();
    };
    set(&keys[0], &fields);
    set(&keys[1], &fields[..3]);
    source.expire(&keys[0], Duration::from_secs(1000)).unwrap();
    let mut export = Export::new(Arc::clone(source.state()), moved());
    send(&mut export, &target);
    agree(&source, &target);
    // Sent as a whole again, whatever the target has.
    let delete = Change::Hash(HashChange::Delete(&[fields[7].as_bytes()]));
    source.execute(Request::Change(keys[0].as_bytes(), delete), |_| Ok(())).unwrap();
    source.set(&keys[1], "a string").unwrap();
    set(&keys[2], &fields[..9000]);
    let mut parts = 0;
    loop {
        let items = export.next(1000);
        let bytes: usize = items.iter().map(TransferItem::bytes).sum();
        assert!(bytes < 140_000, "{bytes} bytes at once");
        parts += items.iter().filter(|item| continues(item, &keys[0])).count();
        target.state().import(&moved(), &items, false).unwrap();
        if items.is_empty() {
            break;
        }
    }
    assert!(parts > 5, "all in one part");
    agree(&source, &target);
}

/// Returns whether this is a further part of the value of a key.
fn continues(item: &TransferItem, wanted: &str) -> bool {
    matches!(item, TransferItem::Set(key, _, value)
        if key == wanted.as_bytes() && value.stored().continues())
}

/// A value may change, or go, while its parts are sent.
#[test]
fn parts_of_long_values_are_those_of_one_state() {
    for kind in 0..4 {
        let (source, target) = (group(0..SLOTS), group(0..0));
        let key = names("long", 1).remove(0);
        let names: Vec<_> = (0..9000).map(|n| format!("the name with number {n}")).collect();
        let bytes: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
        let change = |some: &[&[u8]], number: usize| {
            let pairs: Vec<_> = some.iter().map(|name| (*name, &b"a"[..])).collect();
            let score = Score::new(f64::from(number as u32)).unwrap();
            let scored: Vec<_> = some.iter().map(|name| (score, *name)).collect();
            let change = match kind {
                0 => Change::Hash(HashChange::Set(&pairs)),
                1 => Change::List(ListChange::Push {
                    end: End::Front,
                    elements: some,
                    if_present: false,
                }),
                2 => Change::SortedSet(SortedSetChange::Set(&scored)),
                _ => Change::Append(some[0]),
            };
            source.execute(Request::Change(key.as_bytes(), change), |_| Ok(())).unwrap();
        };
        change(&bytes, 1);
        (0..if kind == 3 { 4000 } else { 0 }).for_each(|n| change(&bytes[n..], n));
        let before = all(&source);
        let mut export = Export::new(Arc::clone(source.state()), moved());
        let mut items = export.next(1000);
        let mut calls = 0;
        while items.iter().all(|item| calls == 0 || continues(item, &key)) {
            target.state().import(&moved(), &items, false).unwrap();
            calls += 1;
            change(&[b"another"], calls);
            change(&bytes[calls * 100..][..50], calls + 5);
            items = export.next(1000);
        }
        assert!(calls > 2 || kind == 3, "{kind}: all in {calls} calls");
        assert_eq!(all(&target), before, "{kind}: parts of several states");
        // The new state follows, and a short value interrupts it.
        target.state().import(&moved(), &items, false).unwrap();
        source.set(&key, "short").unwrap();
        send(&mut export, &target);
        agree(&source, &target);
    }
}

#[test]
fn a_hash_that_expires_between_two_parts_is_gone() {
    let target = group(0..0);
    let key = names("hash", 1).remove(0).into_bytes();
    let part = |field: &[u8]| {
        let mut packer = Packer::new(ValueType::Hash);
        packer.push(field, b"value");
        packer
    };
    let expired = Some(1);
    let items = [
        TransferItem::Set(key.clone(), expired, part(b"one").into_owned()),
        TransferItem::Set(key.clone(), expired, part(b"two").continuing().into_owned()),
    ];
    for item in items {
        target.state().import(&moved(), &[item], false).unwrap();
    }
    assert_eq!(target.state().keys_of_slots(&moved(), 0), 0, "the key is back without expiration");
}

#[test]
fn a_source_that_clears_its_keys_begins_again() {
    let (source, target) = (group(0..SLOTS), group(0..0));
    for key in names("old", 50) {
        source.set(key, "old").unwrap();
    }
    let mut export = Export::new(Arc::clone(source.state()), moved());
    send(&mut export, &target);
    agree(&source, &target);
    source.clear().unwrap();
    for key in names("new", 5) {
        source.set(key, "new").unwrap();
    }
    send(&mut export, &target);
    agree(&source, &target);
    assert_eq!(target.state().keys_of_slots(&moved(), 0), 5);
    drop(export);
    assert_eq!(source.state().subscriptions.len(), 0, "writers note changes for nobody");
}

#[test]
fn keys_of_other_slots_are_left_alone() {
    let (source, target) = (group(0..SLOTS), group(9000..SLOTS));
    let keys = names("key", 100);
    for key in &keys {
        source.set(key, [7; 1000]).unwrap();
    }
    let mut all = (0..1000).map(|n| format!("own {n}"));
    let own = all.find(|key| slot(key.as_bytes()) >= 9000).unwrap();
    target.set(&own, "red").unwrap();
    send(&mut Export::new(Arc::clone(source.state()), moved()), &target);
    let mut seen = Vec::new();
    let mut session = target.session();
    assert_eq!(session.scan(0, 1000, &mut |record| seen.push(record.key().to_vec())), 0);
    assert_eq!(seen, [own.as_bytes()]);
    for _ in 0..20 {
        assert_eq!(session.random_key().as_deref(), Some(own.as_bytes()));
    }
    session.scan_slot(slot(keys[0].as_bytes()), &mut |key| panic!("it shows {key:?}"));
    // Of its own keys only, which are all that it counts.
    assert_eq!((session.len(), session.count_slot(slot(keys[0].as_bytes()))), (1, 0));
    assert_eq!((target.stats().keys, session.count_slot(slot(own.as_bytes()))), (1, 1));
    let counts = session.slot_counts();
    assert_eq!(counts.len(), usize::from(SLOTS - 9000));
    assert_eq!(counts.iter().map(|(_, count)| count.keys).sum::<usize>(), 1);
    // No client of this group may remove them, and memory that is short neither.
    target.clear().unwrap();
    agree(&source, &target);
    target.state().limit.set_bytes(1);
    target.state().limit.set_eviction(Eviction::Random, 0);
    assert!(target.set(&own, "blue").is_err(), "other keys were evicted for it");
    agree(&source, &target);
    let items = vec![TransferItem::Set(keys[0].clone().into(), None, OwnedValue::string(vec![1]))];
    let full = target.state().import(&moved(), &items, false);
    assert_eq!(full, Err(RequestError::OutOfMemory));
    // The source has left the slots already: there is no way back.
    assert!(target.state().import(&moved(), &items, true).is_ok());
    assert_eq!(target.state().keys_of_slots(&moved(), 0), 100);
}

#[test]
fn only_slots_without_an_owner_here_are_imported_and_cleared() {
    let target = group(0..SLOTS);
    let key = names("key", 1).remove(0);
    target.set(&key, "own").unwrap();
    let state = target.state();
    let refused = Err(RequestError::SlotNotOwned);
    let items = [TransferItem::Set(key.clone().into(), None, OwnedValue::string(vec![1]))];
    assert_eq!(state.import(&moved(), &items, false), refused);
    assert_eq!(state.import(&moved(), &[TransferItem::Cleared], false), refused);
    assert_eq!(state.clear_slots(&moved()), refused);
    assert_eq!(state.gain_slots(1, &moved(), 0), refused);
    assert_eq!(target.get(&key).unwrap().as_deref(), Some(&b"own"[..]));
    state.lose_slots(1, &moved()).unwrap();
    assert_eq!(state.lose_slots(2, &moved()).map(drop), Err(RequestError::SlotNotOwned));
    // A peer sends a key of a slot that is not of this move.
    let other = [TransferItem::Set(b"not moved".to_vec(), None, OwnedValue::string(vec![1]))];
    assert_eq!(state.import(&moved(), &other, false), refused);
    assert!(state.clear_slots(&moved()).unwrap() > 0);
    // The entry tells that this node was still the primary, even if there was no key.
    let last = state.log.last();
    assert!(state.clear_slots(&moved()).unwrap() > last);
    target.become_follower();
    assert_eq!(state.import(&moved(), &items, false), Err(RequestError::NotPrimary));
    assert_eq!(state.clear_slots(&moved()), Err(RequestError::NotPrimary));
}

#[test]
fn slots_are_cleared_in_steps_that_keep_other_keys() {
    let db = group(0..SLOTS);
    let keys = names("key", 5000);
    for key in &keys {
        db.set(key, "red").unwrap();
    }
    for key in names("ends", 500) {
        db.set_with_ttl(key, "red", Duration::from_secs(1000)).unwrap();
    }
    db.set("not moved", "red").unwrap();
    db.state().lose_slots(1, &moved()).unwrap();
    let mut clearing = Clearing::new(db.state(), moved());
    let (mut last, mut steps) = (db.state().log.last(), 0);
    loop {
        let before = db.state().keys_of_slots(&moved(), 0);
        let (entry, done) = clearing.step(db.state()).unwrap();
        steps += 1;
        if done {
            break;
        }
        assert!(entry > last, "a step without an entry");
        last = entry;
        let removed = before - db.state().keys_of_slots(&moved(), 0);
        assert!((1..2500).contains(&removed), "{removed} keys in a step");
    }
    assert!(steps > 2, "{steps} steps");
    assert_eq!(db.state().keys_of_slots(&moved(), 0), 0);
    assert_eq!(db.get("not moved").unwrap().as_deref(), Some(&b"red"[..]));
    // Lost and got again in the middle.
    let mut clearing = Clearing::new(db.state(), moved());
    db.state().gain_slots(2, &moved(), 0).unwrap();
    db.set(&keys[0], "new").unwrap();
    assert_eq!(clearing.step(db.state()), Err(RequestError::SlotNotOwned));
    assert_eq!(db.get(&keys[0]).unwrap().as_deref(), Some(&b"new"[..]));
}

#[test]
fn only_keys_that_are_read_in_turn_cost_something() {
    let db = group(0..SLOTS);
    for key in names("key", 100) {
        db.set(key, [7; 1000]).unwrap();
    }
    let mut export = Export::new(Arc::clone(db.state()), moved());
    let items = export.next(50_000);
    let bytes: usize = items.iter().map(TransferItem::bytes).sum();
    assert!(bytes > 50_000);
    assert_eq!(export.take_cost(), bytes + items.len() * KEY);
    assert_eq!(export.take_cost(), 0, "twice");
    while !export.next(10_000).is_empty() {}
    assert!(export.take_cost() > 0);
    for key in names("key", 10) {
        db.set(key, "changed").unwrap();
    }
    assert_eq!((export.next(10_000).len(), export.take_cost()), (10, 0));
}

/// No group has the slots meanwhile, and each step waits for etcd.
#[test]
fn expired_keys_are_cleared_in_long_steps() {
    let target = group(0..0);
    // Later than a busy machine takes for the steps.
    let (state, end) = (target.state(), target.now() + 3_600_000);
    let keys = names("key", 3000);
    let items = keys
        .iter()
        .map(|key| TransferItem::Set(key.clone().into(), Some(end), OwnedValue::string(vec![1])));
    let items: Vec<_> = items.collect();
    let steps = |mut clearing: Clearing| {
        state.import(&moved(), &items, false).unwrap();
        let mut steps = 1;
        while !clearing.step(state).unwrap().1 {
            steps += 1;
        }
        assert_eq!(all(&target).len(), 0);
        steps
    };
    assert!(steps(Clearing::new(state, moved())) > 1, "a step of other keys is long");
    assert_eq!(steps(Clearing::of_expired(state, moved(), end)), 1, "the steps are short");
}

/// By the clock of the source, which was ahead of that of this group.
#[test]
fn keys_that_had_expired_at_the_source_are_cleared_by_name() {
    let target = group(0..0);
    let (state, now) = (target.state(), target.now());
    let keys = names("key", 3);
    let ends = [Some(now + 5000), Some(now + 5001), None];
    let items = keys
        .iter()
        .zip(ends)
        .map(|(key, end)| TransferItem::Set(key.clone().into(), end, OwnedValue::string(vec![1])));
    state.import(&moved(), &items.collect::<Vec<_>>(), false).unwrap();
    let clear = |time| {
        let mut clearing = Clearing::of_expired(state, moved(), time);
        while !clearing.step(state).unwrap().1 {}
    };
    let before = state.log.last();
    clear(now + 4999);
    assert_eq!((all(&target).len(), state.log.last()), (3, before), "an entry clears all slots");
    clear(now + 5000);
    assert_eq!(state.log.last(), before + 1);
    let left: Vec<_> = all(&target).into_keys().collect();
    assert_eq!(left, [keys[1].as_bytes(), keys[2].as_bytes()], "the expired key is gone");
    assert!(target.now() < now + 4999, "the clock has moved");
}
