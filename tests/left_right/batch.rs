//! builds: asan default
//!
//! Batches of a `WriteHandle`: all entries are stored in order, also after a panic or a leak, and each is dropped once.

use crate::support;

use hedgerow::LeftRightMap;
use hedgerow::left_right::{Handles, Storage};
use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::hashers::{self, Mapped};
use support::rng::Rng;
use support::tracked::Tracked;
use support::{planned_panic, seed};

/// Batches between other changes and publishes, some while a reader is in the way, some leaked.
fn against_a_model<P: Storage<u64, u64>>((mut writer, reader): Handles<u64, u64, Mapped, P>) {
    let mut model = HashMap::new();
    let mut rng = Rng::new(seed());
    let mut snapshot = None;
    for step in 0..2_000 {
        let key = rng.next() % 400;
        match rng.below(10) {
            0..4 => {
                let mut batch = writer.batch();
                for value in 0..rng.below(40) as u64 {
                    // Some keys come twice in a batch.
                    let key = (key + value % 23) % 400;
                    batch.insert(key, step * 100 + value);
                    model.insert(key, step * 100 + value);
                }
                if rng.below(3) == 0 {
                    mem::forget(batch);
                } else {
                    drop(batch);
                    assert_eq!(writer.get(&key), model.get(&key), "a batch is not in order");
                    assert_eq!(writer.len(), model.len(), "a batch left entries out");
                }
            }
            4 => {
                let removed = writer.remove(&key);
                assert_eq!(removed, model.remove(&key).is_some(), "a removal passes a batch");
            }
            5 => {
                let replaced = writer.insert(key, step);
                assert_eq!(model.insert(key, step).is_some(), replaced, "an insert passes a batch");
            }
            6 => {
                let updated = writer.update(&key, |value| value + 1);
                let before = model.get_mut(&key);
                assert_eq!(updated, before.is_some(), "an update passes a batch");
                if let Some(value) = before {
                    *value += 1;
                }
            }
            7 if rng.below(20) == 0 => {
                snapshot = None;
                writer.clear();
                model.clear();
            }
            8 => snapshot = if snapshot.is_none() { Some(reader.enter()) } else { None },
            _ => {
                if writer.try_publish().is_ok() {
                    assert!(!writer.has_changes(), "a publish passes a batch");
                    let now: HashMap<_, _> = reader.enter().iter().map(|(&k, &v)| (k, v)).collect();
                    assert_eq!(now, model, "a publish passes a batch");
                }
            }
        }
    }
    drop(snapshot);
    writer.publish();
    assert_eq!(reader.len(), model.len());
}

#[test]
fn the_model_agrees() {
    for hasher in [hashers::GOOD, hashers::CONSTANT] {
        against_a_model(LeftRightMap::with_hasher(hasher));
        against_a_model(LeftRightMap::inline_with_hasher(hasher));
    }
}

#[test]
fn automatic_publishes_count_the_entries_of_a_batch() {
    let (mut writer, reader) = LeftRightMap::<u64, u64>::inline();
    writer.publish_every(10);
    let mut batch = writer.batch();
    for key in 0..100 {
        batch.insert(key, key);
        let seen = reader.len() as u64;
        assert!(seen.is_multiple_of(10) && seen <= key + 1, "a publish after ten entries");
    }
    drop(batch);
    assert_eq!(reader.len(), 100);
}

#[test]
fn a_batch_that_was_leaked_is_stored_by_the_next_change() {
    let alive = Arc::new(AtomicUsize::new(0));
    let (mut writer, reader) = LeftRightMap::new();
    let leak = |writer: &mut hedgerow::left_right::WriteHandle<u64, Tracked>| {
        let mut batch = writer.batch();
        (0..5).for_each(|key| batch.insert(key, Tracked::new(key, &alive)));
        mem::forget(batch);
    };
    leak(&mut writer);
    assert_eq!((writer.len(), writer.has_changes()), (0, true));
    writer.publish();
    assert_eq!((writer.len(), reader.len()), (5, 5), "a leaked batch is not published");
    leak(&mut writer);
    writer.clear();
    writer.publish();
    assert_eq!(reader.len(), 0, "`clear` leaves what a leaked batch had");
    leak(&mut writer);
    drop(writer);
    let writer = reader.writer().unwrap();
    assert!(writer.is_empty());
    drop((writer, reader));
    assert_eq!(alive.load(Ordering::Relaxed), 0, "entries outlive the map");
}

thread_local!(static PANICS_AT: Cell<u64> = const { Cell::new(u64::MAX) });

/// A key whose `Eq` panics for one number.
#[derive(Debug)]
struct Touchy(u64);

impl PartialEq for Touchy {
    fn eq(&self, other: &Self) -> bool {
        if self.0 == PANICS_AT.get() {
            planned_panic();
        }
        self.0 == other.0
    }
}
impl Eq for Touchy {}
impl Hash for Touchy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// The entry whose key panics is lost, as with a single insert. All others are stored, those after it too.
#[test]
fn a_key_that_panics_loses_its_own_entry_alone() {
    let alive = Arc::new(AtomicUsize::new(0));
    let (mut writer, reader) = LeftRightMap::new();
    writer.extend((0..100).map(|key| (Touchy(key), Tracked::new(key, &alive))));
    PANICS_AT.set(20);
    let mut left = 0..100;
    let new = |key| (Touchy(key), Tracked::new(key + 1000, &alive));
    assert!(support::panics(|| writer.extend(left.by_ref().map(new))));
    let next = left.next().unwrap();
    assert!(next > 30, "the entry was stored at once");
    writer.extend((next..100).map(new));
    PANICS_AT.set(u64::MAX);
    for key in 0..100 {
        let stored = writer.get(&Touchy(key)).unwrap().value;
        assert_eq!(
            stored,
            if key == 20 { 20 } else { key + 1000 },
            "the entry of another key is lost"
        );
    }
    // An iterator that panics loses nothing.
    let panicking = (0..100).map(|key| {
        if key == 50 {
            planned_panic();
        }
        (Touchy(key), Tracked::new(key + 2000, &alive))
    });
    assert!(support::panics(|| writer.extend(panicking)));
    writer.publish();
    for key in 0..100 {
        let is_new = reader.get(&Touchy(key)).unwrap().value >= 2000;
        assert_eq!(is_new, key < 50, "an entry before a panic is lost");
    }
    writer.wait_for_readers();
    assert_eq!(alive.load(Ordering::Relaxed), 100, "an entry was leaked");
}
