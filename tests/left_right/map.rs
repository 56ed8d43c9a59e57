//! builds: asan narrow portable tsan
//!
//! `LeftRightMap` through its public interface: against a model, its drops, stalled readers, and writers
//! that panic.

use crate::support;

use hedgerow::LeftRightMap;
use hedgerow::left_right::{
    Boxed, Handles, Inline, ReadGuard, ReadHandle, ReadHandleFactory, Snapshot, Storage,
    WriteHandle,
};
use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::hash::{BuildHasher, Hash};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use support::hashers::{self, Mapped};
use support::rng::Rng;
use support::tracked::Tracked;
use support::{Stop, joined_scope, must_panic, planned_panic, seed, within};

const fn send<T: Send>() {}
const fn sync<T: Sync>() {}
const fn unwind<T: UnwindSafe + RefUnwindSafe>() {}
const _: () = {
    send::<WriteHandle<String, String>>();
    sync::<WriteHandle<String, String>>();
    send::<ReadHandle<String, String>>();
    send::<ReadHandle<u64, u64, hashers::Mapped, Inline>>();
    send::<ReadHandleFactory<String, String>>();
    unwind::<WriteHandle<String, String>>();
    unwind::<ReadHandle<String, String>>();
    unwind::<ReadHandleFactory<String, String>>();
    sync::<ReadHandleFactory<String, String>>();
};

/// Seconds, far more than any of these tests needs.
const TIME_LIMIT: u64 = 300;

/// A key or value that a model test can number.
trait Nth: Clone + Eq + Hash + Debug {
    fn nth(n: u64) -> Self;
}

impl Nth for u64 {
    fn nth(n: u64) -> Self {
        n
    }
}

impl Nth for String {
    fn nth(n: u64) -> Self {
        format!("number {n}")
    }
}

impl Nth for [u8; 3] {
    fn nth(n: u64) -> Self {
        [n as u8, (n >> 8) as u8, (n >> 16) as u8]
    }
}

/// A map, the entries that it should have, and those that were published.
struct Game<K: Nth, V: Nth, P: Storage<K, V>> {
    writer: WriteHandle<K, V, Mapped, P>,
    current: HashMap<K, V>,
    published: HashMap<K, V>,
    rng: Rng,
    keys: u64,
}

impl<K: Nth, V: Nth, P: Storage<K, V>> Game<K, V, P> {
    fn new(handles: Handles<K, V, Mapped, P>, rng: Rng, keys: u64) -> Self {
        let (writer, _) = handles;
        Self { writer, current: HashMap::new(), published: HashMap::new(), rng, keys }
    }

    fn change(&mut self) {
        let n = self.rng.next() % self.keys;
        let (key, value) = (K::nth(n), V::nth(self.rng.next() % 1_000_000));
        match self.rng.below(100) {
            0..50 => {
                let replaced = self.writer.insert(key.clone(), value.clone());
                let there = self.current.insert(key, value).is_some();
                assert_eq!(replaced, there, "an insert says wrongly whether it replaces");
            }
            50..55 => {
                let replaced =
                    self.writer.try_insert(key.clone(), value.clone()).expect("there is memory");
                let there = self.current.insert(key, value).is_some();
                assert_eq!(replaced, there, "an insert says wrongly whether it replaces");
            }
            55..85 => {
                let there = self.current.remove(&key).is_some();
                assert_eq!(
                    self.writer.remove(&key),
                    there,
                    "a removal says wrongly whether it finds its key"
                );
            }
            85..96 => {
                let updated = self.writer.update(&key, |_| value.clone());
                let there = self.current.get_mut(&key).map(|there| *there = value).is_some();
                assert_eq!(updated, there, "an update says wrongly whether it finds its key");
            }
            96 => self.writer.reserve(self.rng.below(40)),
            _ => {
                let there = self.current.get(&key);
                assert_eq!(self.writer.get(&key), there, "not what the writer stored last");
                assert_eq!(self.writer.contains_key(&key), self.current.contains_key(&key));
            }
        }
        assert_eq!(
            self.writer.len(),
            self.current.len(),
            "the writer has a wrong number of entries"
        );
    }

    /// Makes a change that waits for readers. No reader is in the way.
    fn change_all(&mut self) {
        match self.rng.below(6) {
            0 => {
                self.writer.clear();
                self.current.clear();
            }
            1 => self.writer.shrink_to_fit(),
            _ => {
                let one = K::nth(self.rng.next() % self.keys);
                let few = |key: &K| *key != one && !hashers::GOOD.hash_one(key).is_multiple_of(5);
                self.writer.retain(|key, _| few(key));
                self.current.retain(|key, _| few(key));
            }
        }
    }

    fn published(&mut self) {
        self.published.clone_from(&self.current);
    }

    fn check(&mut self) {
        let all: HashMap<K, V> = self.writer.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        assert!(all == self.current, "the writer finds other entries than it stored");
        self.check_reader(&self.writer.read_handle());
    }

    fn check_reader(&self, reader: &ReadHandle<K, V, Mapped, P>) {
        check_snapshot(&reader.enter(), &self.published);
        let n = self.rng_free();
        let key = K::nth(n);
        let published = self.published.get(&key);
        assert_eq!(reader.get(&key).as_deref(), published, "not what was published last");
        assert_eq!(reader.get_cloned(&key), self.published.get(&key).cloned());
        assert_eq!(reader.get_with(&key, Clone::clone), self.published.get(&key).cloned());
        assert_eq!(reader.contains_key(&key), self.published.contains_key(&key));
        assert_eq!(reader.len(), self.published.len(), "not as many as were published");
    }

    fn rng_free(&self) -> u64 {
        self.published.len() as u64 % self.keys
    }
}

fn check_snapshot<K: Nth, V: Nth, P: Storage<K, V>>(
    snapshot: &Snapshot<'_, K, V, Mapped, P>,
    model: &HashMap<K, V>,
) {
    let all: HashMap<&K, &V> = snapshot.iter().collect();
    assert_eq!(snapshot.iter().len(), all.len(), "a key came twice");
    let len = (snapshot.len(), snapshot.is_empty());
    assert_eq!(len, (model.len(), model.is_empty()), "a snapshot has a wrong number of entries");
    let same = model.iter().all(|(key, value)| all.get(key) == Some(&value));
    assert!(all.len() == model.len() && same, "a snapshot shows other entries than were published");
    for (key, value) in model.iter().take(20) {
        assert_eq!(snapshot.get_key_value(key), Some((key, value)), "a lasting key is missed");
    }
    let (mut from, mut walked) = (Some(0), Vec::new());
    while let Some(at) = from {
        from = snapshot.scan(at, |key, value| walked.push((key.clone(), value.clone())));
    }
    assert_eq!(walked.len(), model.len(), "a walk does not visit each entry once");
    assert!(walked.iter().all(|(key, value)| model.get(key) == Some(value)));
    let keys: Vec<K> = (0..20).map(K::nth).collect();
    let (one, other) =
        (keys[..10].iter().collect::<Vec<_>>(), keys[10..].iter().collect::<Vec<_>>());
    for keys in [one, other] {
        let keys: [&K; 10] = keys.try_into().expect("ten");
        let found = keys.map(|key| model.get(key));
        assert_eq!(snapshot.get_many(keys), found, "many keys looked up at once");
    }
}

/// Readers come and go, and hold guards and snapshots during changes and publishes. The held values do not change.
fn play<K: Nth, V: Nth, P: Storage<K, V>>(mut game: Game<K, V, P>, steps: usize) {
    let stay = game.writer.read_handle();
    for _ in 0..steps {
        let reader = game.writer.read_handle();
        let held = game.published.clone();
        let snapshot = game.rng.one_in(2).then(|| stay.enter());
        let mut swaps = 0;
        for _ in 0..game.rng.below(40) {
            game.change();
            // While a snapshot is held, one publish swaps the sides, and the next one cannot.
            if game.rng.one_in(10) {
                let has_changes = game.writer.has_changes();
                match game.writer.try_publish() {
                    Ok(()) => {
                        swaps += usize::from(has_changes);
                        game.published();
                    }
                    Err(why) => assert!(snapshot.is_some() && swaps > 0 && why.readers == 1),
                }
                assert!(snapshot.is_none() || swaps < 2, "published under a snapshot twice");
            }
            game.check_reader(&reader);
        }
        if let Some(snapshot) = snapshot {
            check_snapshot(&snapshot, &held);
            let stalled: Vec<_> = game.writer.stalled_readers().collect();
            assert_eq!(stalled, if swaps > 0 { vec![stay.reader_id()] } else { vec![] });
        }
        if game.rng.one_in(4) {
            game.change_all();
        }
        game.check();
        game.writer.publish();
        game.published();
        game.check();
    }
}

fn play_with_all_hashers<K: Nth, V: Nth, P: Storage<K, V>>(
    make: fn(Mapped) -> Handles<K, V, Mapped, P>,
) {
    for (round, hasher) in hashers::ALL.into_iter().enumerate() {
        println!("{}", hasher.name);
        for (keys, steps) in [(5, 20), (60, 60), (700, 60)] {
            let rng = Rng::new(seed() + 31 * round as u64 + keys);
            play(Game::new(make(hasher), rng, keys), support::effort(steps));
        }
    }
}

#[test]
fn boxed_entries_against_a_model() {
    within(TIME_LIMIT, "boxed entries", || {
        play_with_all_hashers::<String, String, Boxed>(LeftRightMap::with_hasher);
    });
}

#[test]
fn inline_entries_against_a_model() {
    within(TIME_LIMIT, "inline entries", || {
        play_with_all_hashers::<u64, u64, Inline>(LeftRightMap::inline_with_hasher);
        play_with_all_hashers::<[u8; 3], u64, Inline>(LeftRightMap::inline_with_hasher);
    });
}

type TrackedWriter = WriteHandle<Tracked, Tracked>;

fn put(writer: &mut TrackedWriter, key: u64, value: u64, alive: &Arc<AtomicUsize>) {
    writer.insert(Tracked::new(key, alive), Tracked::new(value, alive));
}

#[test]
fn each_entry_is_dropped_once_and_when_no_reader_sees_it() {
    let alive = Arc::new(AtomicUsize::new(0));
    let count = || alive.load(Ordering::Relaxed);
    let (mut writer, reader) = LeftRightMap::new();
    for key in 0..1_000 {
        put(&mut writer, key, key, &alive);
    }
    assert_eq!(count(), 2_000);
    // Replaced before a reader could see it, so it is dropped at once with its key.
    put(&mut writer, 7, 8, &alive);
    assert_eq!(count(), 2_000);
    writer.publish();
    put(&mut writer, 7, 9, &alive);
    writer.remove(&8);
    assert_eq!(count(), 2_002, "an entry that readers see was dropped");
    // An entry that was never published, in a bin that has changed already.
    put(&mut writer, 7, 10, &alive);
    assert_eq!(count(), 2_002, "an entry that no reader saw was kept");
    let guard = reader.get(&7).unwrap();
    writer.try_publish().unwrap();
    assert_eq!((count(), guard.value), (2_002, 8), "an entry that a guard holds was dropped");
    // Deferred, because the guard is in the way: replaced, removed and inserted again.
    put(&mut writer, 7, 11, &alive);
    put(&mut writer, 7, 12, &alive);
    put(&mut writer, 5_000, 1, &alive);
    writer.remove(&5_000);
    writer.remove(&9);
    writer.remove(&10);
    put(&mut writer, 10, 10, &alive);
    writer.update(&11, |old| Tracked::new(old.value + 1, &alive));
    assert_eq!(count(), 2_002 + 6, "deferred changes own a wrong number of values");
    let found = (writer.len(), writer.iter().count());
    assert_eq!(found, (998, 998), "the writer finds an entry that a deferred change replaced");
    assert!(writer.try_publish().is_err());
    drop(guard);
    writer.publish();
    assert!(count() > 2 * 998, "an entry that readers may be using was dropped");
    writer.wait_for_readers();
    assert_eq!(count(), 2 * 998);
    assert_eq!(reader.get(&11).unwrap().value, 12);
    writer.clear();
    assert_eq!(count(), 2 * 998);
    writer.publish();
    writer.wait_for_readers();
    assert_eq!(count(), 0);
    // The last handle drops the rest: published entries, unpublished ones, and those of deferred changes.
    put(&mut writer, 1, 1, &alive);
    put(&mut writer, 2, 2, &alive);
    writer.publish();
    let guard = reader.get(&1).unwrap();
    put(&mut writer, 1, 2, &alive);
    writer.try_publish().unwrap();
    put(&mut writer, 1, 3, &alive);
    writer.remove(&2);
    put(&mut writer, 3, 3, &alive);
    drop(guard);
    drop(writer);
    assert!(count() > 0);
    drop(reader);
    assert_eq!(count(), 0, "an entry outlives its map");
}

#[test]
fn entries_grown_out_of_are_neither_lost_nor_dropped_twice() {
    let alive = Arc::new(AtomicUsize::new(0));
    let (mut writer, reader) = LeftRightMap::new();
    for round in 0..40 {
        for key in 0..100 * round {
            put(&mut writer, key, round, &alive);
            if key % 3 == 0 {
                writer.remove(&key);
                put(&mut writer, key, round, &alive);
            }
        }
        if round % 3 == 0 {
            writer.publish();
            writer.wait_for_readers();
            assert_eq!(alive.load(Ordering::Relaxed), 2 * writer.len());
            assert!(reader.enter().values().all(|value| value.value == round));
        }
        if round % 7 == 0 {
            writer.shrink_to_fit();
        }
    }
    drop((writer, reader));
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

/// Each publish sets all keys to its number. A reader that sees two numbers has seen half a publish. One that sees a
/// lower number than before has gone back.
fn whole_publishes<P: Storage<u64, u64>>(handles: Handles<u64, u64, Mapped, P>, wait: bool) {
    const KEYS: u64 = 50;
    let (mut writer, reader) = handles;
    let over = AtomicBool::new(false);
    let factory = reader.factory();
    joined_scope(|scope| {
        let (over, factory) = (&over, &factory);
        for _ in 0..3 {
            scope.spawn(move || {
                let (mut last, mut generation) = (0, 0);
                let reader = factory.handle();
                while !over.load(Ordering::Acquire) {
                    let snapshot = reader.enter();
                    let values: Vec<u64> = snapshot.values().copied().collect();
                    let first = values.first().copied().unwrap_or(0);
                    assert!(
                        values.iter().all(|&value| value == first),
                        "half a publish: {values:?}"
                    );
                    assert!(values.is_empty() || values.len() as u64 >= KEYS, "a key is gone");
                    assert!(first >= last && snapshot.generation() >= generation, "gone back");
                    (last, generation) = (first, snapshot.generation());
                    drop(snapshot);
                    let single = reader.get_copied(&(last % KEYS)).unwrap_or(0);
                    assert!(single >= last, "gone back");
                    last = single;
                }
                // The writer published before it set `over`.
                assert!(reader.generation() > 0, "the reader saw no publish");
            });
        }
        scope.spawn(move || {
            let _stop = Stop(over);
            // A publish that waits is slow: readers are mostly in a read section, and sometimes descheduled.
            let numbers = if wait { 100 } else { 2_000 };
            for number in 1..support::effort(numbers) {
                // More keys every hundred publishes, so that the table grows.
                let keys = KEYS + number / 100 * 10;
                for key in 0..keys {
                    writer.insert(key, number);
                }
                if wait {
                    writer.publish();
                } else {
                    let _ = writer.try_publish();
                }
            }
        });
    });
}

#[test]
fn readers_see_whole_publishes_in_order() {
    within(TIME_LIMIT, "whole publishes", || {
        for wait in [true, false] {
            whole_publishes(LeftRightMap::<u64, u64, _>::with_hasher(hashers::GOOD), wait);
            whole_publishes(
                LeftRightMap::<u64, u64, _>::inline_with_hasher(hashers::CLUSTERED),
                wait,
            );
        }
    });
}

/// Readers read values on the heap that the writer frees: for sanitizers.
#[test]
fn handles_come_and_go_beside_a_writer() {
    within(TIME_LIMIT, "handles", || {
        let (mut writer, reader) = LeftRightMap::<String, String>::new();
        let over = AtomicBool::new(false);
        joined_scope(|scope| {
            let over = &over;
            for n in 0..3 {
                let reader = reader.clone();
                scope.spawn(move || {
                    let mut reader = reader;
                    let mut rng = Rng::new(seed() + n);
                    while !over.load(Ordering::Relaxed) {
                        let key = format!("key {}", rng.below(100));
                        let first = reader.get(&key);
                        // Cloned within a read section, which the crate `left-right` does not allow.
                        let other = reader.clone();
                        let second = other.get(&key);
                        assert!(first.iter().chain(&second).all(|value| value.starts_with(&key)));
                        drop((first, second));
                        reader = other;
                    }
                });
            }
            scope.spawn(move || {
                let _stop = Stop(over);
                let mut rng = Rng::new(seed());
                for n in 0..support::effort(6_000u32) {
                    let key = format!("key {}", rng.below(100));
                    if rng.one_in(5) {
                        writer.remove(&key);
                    } else {
                        writer.insert(key.clone(), format!("{key} {n}"));
                    }
                    match rng.below(8) {
                        0 => writer.publish(),
                        1..4 => drop(writer.try_publish()),
                        _ => {}
                    }
                }
            });
        });
    });
}

#[test]
fn a_writer_that_panics_can_be_followed_by_another() {
    let (mut writer, reader) = LeftRightMap::<u64, String>::new();
    writer.insert(1, "one".into());
    writer.publish();
    writer.insert(2, "two".into());
    must_panic("a closure", || {
        let mut writer = writer;
        writer.update(&1, |_| planned_panic());
    });
    assert_eq!(reader.len(), 1);
    let mut writer = reader.writer().expect("the last one is gone");
    assert!(reader.writer().is_none());
    assert_eq!((writer.len(), writer.get(&1).map(String::as_str)), (2, Some("one")));
    must_panic("retain", || {
        writer.retain(|key, _| if *key == 2 { planned_panic() } else { true });
    });
    writer.publish();
    assert_eq!(reader.len(), 2);
}

/// Each thread publishes its changes, while it and others hold guards.
#[cfg(feature = "std")]
#[test]
fn writers_share_a_handle_while_they_hold_guards() {
    within(TIME_LIMIT, "many writers", || {
        let (writer, reader) = LeftRightMap::<u64, u64>::new();
        let writer = hedgerow::left_right::SharedWriteHandle::new(writer);
        joined_scope(|scope| {
            for thread in 0..4 {
                let writer = writer.clone();
                scope.spawn(move || {
                    let reader = writer.read_handle();
                    for n in 0..100 {
                        let guard = reader.get(&thread);
                        writer.insert(thread, n);
                        let pair = [1_000 + thread, 2_000 + thread];
                        let mut both = writer.lock();
                        assert_eq!(pair.map(|key| both.insert(key, n)), [n > 0; 2]);
                        drop(both);
                        assert_eq!(guard.as_deref().copied(), n.checked_sub(1));
                        drop(guard);
                        writer.publish();
                        let now = reader.enter();
                        assert_eq!(now.get(&thread), Some(&n), "not there after its publish");
                        assert_eq!(now.get(&pair[0]), now.get(&pair[1]));
                    }
                });
            }
        });
        assert_eq!(reader.len(), 12);
        assert_eq!(writer.try_into_inner().map(|writer| writer.len()).ok(), Some(12));
    });
}

/// A publish by a shared writer waits only for readers of the state before the last one, as any other publish does.
#[cfg(feature = "std")]
#[test]
fn a_shared_writer_publishes_beside_a_snapshot() {
    within(30, "a publish beside a snapshot of its own thread", || {
        let (writer, reader) = LeftRightMap::<u64, u64>::new();
        let writer = hedgerow::left_right::SharedWriteHandle::new(writer);
        let before = reader.enter();
        writer.insert(1, 1);
        writer.publish();
        assert_eq!((before.len(), reader.len()), (0, 1));
    });
}

/// A walk of many snapshots, between which the map grows and shrinks.
#[test]
fn a_walk_visits_the_entries_that_stay() {
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let (mut writer, reader) = LeftRightMap::<u64, u64>::inline();
        writer.extend((0..500).map(|key| (key, key)));
        writer.publish();
        let (mut from, mut walked) = (Some(0), HashSet::new());
        while let Some(at) = from {
            from = reader.enter().scan(at, |key, _| {
                walked.insert(*key);
            });
            match rng.below(40) {
                0 => writer.extend((0..rng.below(4000) as u64).map(|key| (1000 + key, key))),
                1 => {
                    writer.retain(|key, _| *key < 500);
                    writer.shrink_to_fit();
                }
                _ => continue,
            }
            writer.publish();
        }
        let all = (0..500).all(|key| walked.contains(&key));
        assert!(all, "seed {seed}: a walk misses a lasting key");
    }
}

#[test]
fn publishes_by_number_of_operations() {
    let (mut writer, reader) = LeftRightMap::<u64, u64>::inline();
    writer.publish_every(10);
    for key in 0..100 {
        writer.insert(key, key);
        assert_eq!(reader.len() as u64, (key + 1) / 10 * 10, "a publish after ten operations");
        let counts = (reader.generation(), writer.generation());
        assert_eq!(counts, ((key + 1) / 10, (key + 1) / 10), "the reader counts other publishes");
    }
    // While a reader is in the way nothing is published. When it has gone, the next change publishes everything.
    let snapshot = reader.enter();
    for key in 100..130 {
        writer.insert(key, key);
    }
    assert_eq!((snapshot.len(), reader.len()), (100, 110));
    drop(snapshot);
    writer.insert(130, 130);
    assert_eq!(
        reader.len(),
        131,
        "changes that a reader held up are not published when it has gone"
    );
    writer.publish_every(0);
    writer.remove(&130);
    assert_eq!(reader.len(), 131);
    // Operations since the last publish count for the new number too: these are the second and the third.
    writer.publish_every(3);
    writer.insert(131, 131);
    assert_eq!(reader.len(), 131);
    writer.insert(132, 132);
    assert_eq!(reader.len(), 132, "operations before the number changed do not count");
    writer.insert(133, 133);
    writer.insert(134, 134);
    writer.publish_every(2);
    assert_eq!(reader.len(), 132);
    writer.insert(135, 135);
    assert_eq!(reader.len(), 135);
}

#[test]
fn guards_that_are_forgotten_hold_up_one_publish_and_no_reader() {
    let (mut writer, reader) = LeftRightMap::<u64, u64>::new();
    writer.insert(1, 1);
    writer.publish();
    std::mem::forget(reader.get(&1));
    let other = reader.clone();
    writer.insert(1, 2);
    assert!(writer.try_publish().is_ok());
    writer.insert(1, 3);
    assert_eq!(writer.try_publish().unwrap_err().readers, 1);
    assert_eq!(
        (reader.get_copied(&1), other.get_copied(&1), writer.get(&1)),
        (Some(2), Some(2), Some(&3))
    );
    // Dropping the handle ends the read sections of its forgotten guards.
    drop(reader);
    writer.publish();
    assert_eq!(other.get_copied(&1), Some(3));
}

#[test]
fn guards_of_one_handle_may_be_dropped_in_any_order() {
    let (mut writer, reader) = LeftRightMap::<u64, (u64, u64)>::new();
    writer.insert(1, (1, 10));
    writer.publish();
    let (first, second) = (reader.get(&1).unwrap(), reader.get(&1).unwrap());
    writer.insert(1, (2, 20));
    writer.try_publish().unwrap();
    let third = ReadGuard::map(reader.get(&1).unwrap(), |pair| &pair.1);
    writer.insert(1, (3, 30));
    drop(first);
    assert!(writer.try_publish().is_err(), "the second guard is still held");
    assert_eq!((second.0, *third), (1, 20));
    drop(second);
    assert!(writer.try_publish().is_err(), "the third guard is still held");
    drop(third);
    writer.try_publish().unwrap();
    assert_eq!(reader.get_copied(&1), Some((3, 30)));
}

#[test]
fn types_of_all_sizes_and_alignments() {
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[repr(align(256))]
    struct Aligned(u8);
    fn check<K: Copy + Eq + Hash + Debug, V: Copy + PartialEq + Debug>(
        key: impl Fn(u64) -> K,
        value: impl Fn(u64) -> V,
        keys: u64,
    ) {
        let (mut boxed, boxed_reader) = LeftRightMap::new();
        let (mut inline, inline_reader) = LeftRightMap::inline();
        for n in 0..keys {
            boxed.insert(key(n), value(n));
            inline.insert(key(n), value(n));
        }
        boxed.publish();
        inline.publish();
        for n in 0..keys {
            assert_eq!(boxed_reader.get_copied(&key(n)), Some(value(n)));
            assert_eq!(inline_reader.get_copied(&key(n)), Some(value(n)));
        }
        assert_eq!(inline_reader.enter().iter().count() as u64, keys);
        for n in 0..keys {
            assert!(boxed.remove(&key(n)) && inline.remove(&key(n)));
        }
        boxed.publish();
        inline.publish();
        assert!(boxed_reader.is_empty() && inline_reader.is_empty());
    }
    check(|_| (), |_| (), 1);
    check(|n| n as u8, |_| (), 200);
    check(|n| n as u16, |n| n as u8, 1_000);
    check(|n| n, |n| Aligned(n as u8), 300);
    check(u128::from, |n| [n; 9], 300);
    check(|n| n, |n| [n as u8; 1_000], 100);
}

/// Growth moves entries from bin to bin. It needs stack for a few entries at a time, not for whole bins.
#[test]
#[allow(clippy::large_stack_arrays, reason = "the test is about large values")]
fn inline_entries_of_64_kib_grow_on_a_stack_of_4_mib() {
    let grow = || {
        let (mut writer, reader) = LeftRightMap::<u32, [u64; 8 << 10]>::inline();
        for n in 0..20 {
            writer.insert(n, [u64::from(n); 8 << 10]);
        }
        writer.publish();
        assert!(
            (0..20).all(|n| reader.enter().get(&n).is_some_and(|value| value[99] == u64::from(n)))
        );
        writer.clear();
        writer.publish();
        assert!(reader.is_empty());
    };
    std::thread::Builder::new().stack_size(4 << 20).spawn(grow).unwrap().join().unwrap();
}

/// Two handles use one slot, one after the other. The second is not taken for the first, which was in the way.
#[test]
fn a_handle_that_takes_over_a_slot_is_not_taken_for_the_last_one() {
    let (mut writer, reader) = LeftRightMap::<u64, u64>::new();
    let other = reader.clone();
    let guard = other.enter();
    writer.insert(1, 1);
    writer.try_publish().unwrap();
    drop(guard);
    drop(other);
    let other = reader.clone();
    let _guard = other.enter();
    assert_eq!(writer.stalled_readers().count(), 0);
    writer.insert(1, 2);
    assert!(writer.try_publish().is_ok());
}
