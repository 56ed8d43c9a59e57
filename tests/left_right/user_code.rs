//! builds: asan
//!
//! `LeftRightMap` with user code that panics or contradicts itself.

use crate::support;

use hedgerow::LeftRightMap;
use hedgerow::left_right::{LeftRightTable, ReadHandle, SharedWriteHandle, Storage, WriteHandle};
use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use support::hashers::{self, Mapped};
use support::rng::Rng;
use support::tracked::Tracked;
use support::{planned_panic, seed, within};

thread_local!(static PANICS: Cell<u32> = const { Cell::new(u32::MAX) });

/// Counts down, and panics at the end.
fn fuse() {
    PANICS.set(PANICS.get().wrapping_sub(1));
    if PANICS.get() == 0 {
        planned_panic();
    }
}

/// A key whose `Hash` and `Eq`, and a value whose `Drop`, may panic.
#[derive(Clone, Copy, Debug)]
struct Fused(u64);

impl PartialEq for Fused {
    fn eq(&self, other: &Self) -> bool {
        fuse();
        self.0 == other.0
    }
}
impl Eq for Fused {}
impl Hash for Fused {
    fn hash<H: Hasher>(&self, state: &mut H) {
        fuse();
        self.0.hash(state);
    }
}

struct Bomb {
    _tracked: Tracked,
}

impl Drop for Bomb {
    fn drop(&mut self) {
        if !thread::panicking() {
            fuse();
        }
    }
}

/// User code panics at every point, one after another. The map stays usable, and reader and writer agree on its
/// entries.
#[test]
fn panics_of_user_code_leave_the_map_whole() {
    for hasher in [hashers::GOOD, hashers::CONSTANT] {
        for fuse in 1..300 {
            let alive = Arc::new(AtomicUsize::new(0));
            let (mut boxed, reader) = LeftRightMap::with_hasher(hasher);
            let (mut inline, _) = LeftRightMap::inline_with_hasher(hasher);
            let mut rng = Rng::new(seed() + fuse);
            PANICS.set(fuse as u32);
            for step in 0..60 {
                let key = rng.next() % 30;
                let _ = support::panics(|| match rng.below(10) {
                    0..4 => {
                        boxed.insert(Fused(key), Bomb { _tracked: Tracked::new(step, &alive) });
                        inline.insert(Fused(key), step);
                    }
                    4 => {
                        boxed.remove(&Fused(key));
                        inline.remove(&Fused(key));
                    }
                    5 => {
                        boxed.retain(|k, _| k.0 % 7 != 0);
                        inline.retain(|k, _| k.0 % 7 != 0);
                    }
                    6 => inline.shrink_to_fit(),
                    7 | 8 => {
                        let keys = key..key + 20;
                        let bomb = |_| Bomb { _tracked: Tracked::new(step, &alive) };
                        boxed.extend(keys.clone().map(|key| (Fused(key), bomb(key))));
                        inline.extend(keys.map(|key| (Fused(key), step)));
                    }
                    _ => {
                        boxed.publish();
                        inline.publish();
                    }
                });
            }
            PANICS.set(u32::MAX);
            boxed.publish();
            inline.publish();
            boxed.wait_for_readers();
            let snapshot = reader.enter();
            assert_eq!(snapshot.len(), snapshot.iter().count());
            assert!(snapshot.keys().all(|key| snapshot.contains_key(key)));
            assert_eq!((boxed.len(), inline.len()), (snapshot.len(), inline.iter().count()));
            assert_eq!(alive.load(Ordering::Relaxed), snapshot.len());
        }
    }
}

thread_local!(static LIES: Cell<u32> = const { Cell::new(0) });

/// A key whose `Eq` denies once that the key is equal to itself, on request.
#[derive(Debug)]
struct Liar {
    number: u32,
    _heap: String,
}

impl PartialEq for Liar {
    fn eq(&self, other: &Self) -> bool {
        let lies = LIES.get();
        LIES.set(lies.saturating_sub(1));
        lies != 1 && self.number == other.number
    }
}
impl Eq for Liar {}
impl Hash for Liar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

/// Two deferred changes of one key, because `Eq` denies that the keys are equal. Each entry is still dropped once.
#[test]
fn a_key_that_denies_itself_is_dropped_once() {
    let alive = Arc::new(AtomicUsize::new(0));
    for (lie, insert) in (1..12).flat_map(|lie| [(lie, false), (lie, true)]) {
        let (mut writer, reader) = LeftRightMap::<Liar, Tracked>::new();
        let key = |number| Liar { number, _heap: "on the heap".into() };
        for n in 0..20 {
            writer.insert(key(n), Tracked::new(u64::from(n), &alive));
        }
        writer.publish();
        let guard = reader.enter();
        writer.insert(key(99), Tracked::new(99, &alive));
        writer.try_publish().unwrap();
        writer.remove(&key(7));
        LIES.set(lie);
        if insert {
            writer.insert(key(7), Tracked::new(7, &alive));
        } else {
            writer.remove(&key(7));
        }
        writer.remove(&key(7));
        LIES.set(0);
        drop(guard);
        writer.publish();
        writer.publish();
        let snapshot = reader.enter();
        assert_eq!((snapshot.len(), writer.len()), (snapshot.iter().count(), snapshot.len()));
    }
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

/// A key that is equal to keys with other hashes.
#[derive(Clone, Debug)]
struct Coarse(u64);

impl PartialEq for Coarse {
    fn eq(&self, other: &Self) -> bool {
        self.0 % 5 == other.0 % 5
    }
}
impl Eq for Coarse {}
impl Hash for Coarse {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// `Eq` is coarser than `Hash`. Any of the equal entries may be found, but entries that a reader sees stay.
#[test]
fn keys_that_are_equal_and_hash_differently_do_no_harm() {
    let alive = Arc::new(AtomicUsize::new(0));
    for hasher in [hashers::GOOD, hashers::IDENTITY, hashers::LOW_ENTROPY, hashers::CONSTANT] {
        let (mut writer, reader) = LeftRightMap::<Coarse, Tracked, _>::with_hasher(hasher);
        let (mut inline, _) = LeftRightMap::<[u8; 1], u64, _>::inline_with_hasher(hasher);
        let mut rng = Rng::new(seed());
        for _ in 0..60 {
            let snapshot = reader.enter();
            let seen: Vec<(&Tracked, u64)> =
                snapshot.values().map(|value| (value, value.value)).collect();
            for _ in 0..40 {
                let n = rng.next() % 1_000;
                match rng.below(10) {
                    0..6 => _ = writer.insert(Coarse(n), Tracked::new(n, &alive)),
                    6..9 => _ = writer.remove(&Coarse(n)),
                    _ => writer.reserve(rng.below(100)),
                }
                inline.insert([n as u8], n);
            }
            let _ = writer.try_publish();
            assert!(seen.iter().all(|(value, before)| value.value == *before && !value.dropped));
            drop(snapshot);
            writer.publish();
            writer.shrink_to_fit();
            inline.publish();
            assert_eq!(reader.len(), reader.enter().iter().count());
        }
    }
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

/// A key that is equal to all keys of its class, which may have other hashes.
#[derive(Clone, Copy, Debug)]
struct Inconsistent {
    class: u64,
    hash: u64,
}

impl PartialEq for Inconsistent {
    fn eq(&self, other: &Self) -> bool {
        self.class == other.class
    }
}
impl Eq for Inconsistent {}
impl Hash for Inconsistent {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Inconsistent {
    /// Classes of keys that contradict themselves.
    const CLASSES: u64 = 8;

    /// Makes a key. All keys have the same tag, and their homes are a few of many bins. Deferred changes of them are
    /// next to each other too. So such keys are compared although their hashes differ.
    fn new(class: u64, place: u64) -> Self {
        Self::tagged(class, place, 0x55)
    }

    fn tagged(class: u64, place: u64, tag: u64) -> Self {
        // Inverts how the map mixes a weak hash: a product with this odd number, folded once.
        let (odd, mixed) = (0x9E37_79B9_7F4A_7C15_u64, place << 54 | tag);
        let inverse = (0..6).fold(odd, |inverse, _| {
            inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)))
        });
        Self { class, hash: (mixed ^ mixed >> 32).wrapping_mul(inverse) }
    }

    fn any(rng: &mut Rng) -> Self {
        Self::new(rng.next() % Self::CLASSES, rng.next() % 8)
    }

    /// Returns keys in classes of their own, which do not contradict themselves.
    fn lasting() -> impl Iterator<Item = Self> {
        (0..12).map(|n| Self::new(100 + n, n % 3))
    }
}

/// Changes a map with keys that contradict themselves. If `deferred`, a reader is in the way and changes are deferred.
fn change_inconsistently<V, P: Storage<Inconsistent, V>>(
    writer: &mut WriteHandle<Inconsistent, V, Mapped, P>,
    reader: &ReadHandle<Inconsistent, V, Mapped, P>,
    rng: &mut Rng,
    deferred: bool,
    value: impl Fn() -> V,
) {
    writer.reserve(4_000);
    for lasting in Inconsistent::lasting() {
        writer.insert(lasting, value());
    }
    let in_the_way = deferred.then(|| {
        writer.publish();
        let snapshot = reader.enter();
        writer.insert(Inconsistent::any(rng), value());
        writer.try_publish().expect("no reader is in the state before");
        snapshot
    });
    for _ in 0..40 {
        match rng.below(3) {
            0 => _ = writer.remove(&Inconsistent::any(rng)),
            _ => _ = writer.insert(Inconsistent::any(rng), value()),
        }
    }
    drop(in_the_way);
    writer.publish();
    writer.wait_for_readers();
}

/// Entries that a reader may see are not dropped, even if their hash does not lead to where they are.
fn seen_entries_stay(deferred: bool) {
    let alive = Arc::new(AtomicUsize::new(0));
    let mut rng = Rng::new(seed());
    for round in 0..400 {
        let (mut writer, reader) = LeftRightMap::with_hasher(hashers::IDENTITY);
        let value = || Tracked::new(7, &alive);
        change_inconsistently(&mut writer, &reader, &mut rng, deferred, value);
        let snapshot = reader.enter();
        let seen = alive.load(Ordering::Relaxed);
        assert_eq!(seen, snapshot.len());
        // A table of another size, so that the place of an entry says nothing.
        writer.reserve(9_000 * (round % 2));
        for _ in 0..10 {
            writer.insert(Inconsistent::any(&mut rng), Tracked::new(7, &alive));
            writer.remove(&Inconsistent::any(&mut rng));
        }
        // And another, with entries that no reader has seen.
        writer.reserve(if round % 4 < 2 { 0 } else { 20_000 });
        writer.clear();
        let left = alive.load(Ordering::Relaxed);
        assert_eq!(
            left, seen,
            "an entry that a reader sees was dropped, or one that no reader can see was not"
        );
        drop(snapshot);
        writer.publish();
        writer.wait_for_readers();
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn seen_entries_stay_if_keys_replace_others_with_other_hashes() {
    seen_entries_stay(false);
}

#[test]
fn seen_entries_stay_if_keys_were_deferred_under_other_hashes() {
    seen_entries_stay(true);
}

/// Keys that contradict themselves do not hide other keys.
#[test]
fn keys_that_contradict_themselves_hide_no_others() {
    let mut rng = Rng::new(seed());
    for round in 0..400 {
        let (mut boxed, reader) = LeftRightMap::with_hasher(hashers::IDENTITY);
        change_inconsistently(&mut boxed, &reader, &mut rng, round % 2 == 1, || round);
        assert!(
            Inconsistent::lasting().all(|key| reader.contains_key(&key)),
            "a lasting key is lost"
        );
        let (mut inline, reader) = LeftRightMap::inline_with_hasher(hashers::IDENTITY);
        change_inconsistently(&mut inline, &reader, &mut rng, round % 2 == 1, || round);
        assert!(
            Inconsistent::lasting().all(|key| reader.contains_key(&key)),
            "a lasting key is lost"
        );
    }
}

/// As above, in a fixed table.
#[test]
fn keys_that_contradict_themselves_hide_no_others_in_a_fixed_table() {
    let mut rng = Rng::new(seed());
    for round in 0..400 {
        let table: Box<LeftRightTable<Inconsistent, u64, 600, 1, Mapped>> =
            Box::new(LeftRightTable::with_hasher(hashers::IDENTITY));
        let (mut writer, reader) = (table.writer().unwrap(), table.reader().unwrap());
        for lasting in Inconsistent::lasting() {
            writer.insert(lasting, round).unwrap();
        }
        for _ in 0..40 {
            match rng.below(3) {
                0 => _ = writer.remove(&Inconsistent::any(&mut rng)).unwrap(),
                _ => _ = writer.insert(Inconsistent::any(&mut rng), round).unwrap(),
            }
        }
        writer.publish();
        let snapshot = reader.enter();
        assert!(
            Inconsistent::lasting().all(|key| snapshot.get(&key).is_some()),
            "a lasting key of a fixed table is lost"
        );
    }
}

/// A key whose `Hash` answers differently each time, unless it is a lasting key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moody(u64);

impl Moody {
    const LASTING: std::ops::Range<u64> = 100..112;
}

impl Hash for Moody {
    fn hash<H: Hasher>(&self, state: &mut H) {
        thread_local!(static ASKED: Cell<u64> = const { Cell::new(0) });
        let asked = if Self::LASTING.contains(&self.0) { 0 } else { ASKED.get() + 1 };
        ASKED.set(ASKED.get().max(asked));
        // Another tag each time, for a hundred times, and one of a few bins.
        Inconsistent::tagged(0, (self.0 + asked) % 8, asked % 128).hash(state);
    }
}

/// Keys whose `Hash` answers differently hide no other keys, as far as their tags tell.
#[test]
fn keys_whose_hash_changes_hide_no_others() {
    for round in 0..100 {
        let (mut writer, reader) = LeftRightMap::inline_with_hasher(hashers::IDENTITY);
        writer.reserve(4_000);
        let keys = (0..30).chain(Moody::LASTING).chain(30..40);
        keys.for_each(|key| assert!(!writer.insert(Moody(key), round)));
        writer.retain(|key, _| Moody::LASTING.contains(&key.0));
        writer.publish();
        let lasting = Moody::LASTING.map(Moody);
        assert!(
            lasting.into_iter().all(|key| reader.contains_key(&key)),
            "a lasting key is hidden"
        );
    }
}

/// Seconds, far more than any of these tests needs.
const TIME_LIMIT: u64 = 20;

type Writer = SharedWriteHandle<u64, Caller>;

/// A value whose destructor uses the shared writer, in this thread and in another that it waits for.
struct Caller {
    writer: Arc<OnceLock<Writer>>,
    note: Option<u64>,
}

impl Drop for Caller {
    fn drop(&mut self) {
        let (Some(note), Some(writer)) = (self.note, self.writer.get()) else { return };
        let value = || Self { writer: Arc::default(), note: None };
        writer.insert(note, value());
        writer.publish();
        thread::scope(|scope| _ = scope.spawn(|| writer.insert(note + 1, value())));
    }
}

/// The clone that `update` makes of a key must not be dropped under the lock, where the destructor may not use the
/// handle: a panic while another one unwinds would end the process.
#[test]
fn a_closure_that_panics_drops_no_key_under_the_lock() {
    static WRITER: OnceLock<SharedWriteHandle<Publishing, u32>> = OnceLock::new();
    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Publishing(u32);
    impl Drop for Publishing {
        fn drop(&mut self) {
            if let Some(writer) = WRITER.get() {
                let _ = writer.try_publish();
            }
        }
    }
    let (writer, reader) = hedgerow::LeftRightMap::<Publishing, u32>::new();
    let writer = WRITER.get_or_init(|| SharedWriteHandle::new(writer));
    writer.insert(Publishing(1), 1);
    writer.publish();
    for changed_before in [false, true] {
        if changed_before {
            writer.insert(Publishing(1), 2);
        }
        let update = || writer.update(&Publishing(1), |_| panic!("planned"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(update)).is_err());
    }
    writer.publish();
    assert_eq!(reader.get_copied(&Publishing(1)), Some(2));
}

#[test]
fn destructors_may_use_the_shared_writer() {
    within(TIME_LIMIT, "a destructor that uses the shared writer", || {
        let (writer, reader) = hedgerow::LeftRightMap::new();
        let writer: Writer = SharedWriteHandle::new(writer);
        let own = Arc::new(OnceLock::new());
        assert!(own.set(writer.clone()).is_ok());
        let value = |note| Caller { writer: own.clone(), note: Some(note) };
        // One value that no reader has seen, and others that were published.
        writer.insert(0, value(100));
        writer.insert(0, value(200));
        writer.insert(1, value(300));
        writer.publish();
        writer.insert(1, value(400));
        writer.remove(&0);
        writer.publish();
        writer.update(&7, {
            let unused = value(500);
            move |_| unused
        });
        // Several values under one lock.
        let mut locked = writer.lock();
        locked.remove(&1);
        locked.insert(2, value(600));
        locked.retain(|key, _| *key >= 100);
        drop(locked);
        writer.publish();
        let notes = [100, 200, 300, 400, 500, 600];
        for note in notes {
            assert!(writer.lock().contains_key(&note), "the destructor of {note} did not run");
            assert!(writer.lock().contains_key(&(note + 1)));
        }
        writer.publish();
        assert_eq!(reader.len(), 2 * notes.len());
    });
}

#[test]
fn destructors_may_use_a_shared_writer_that_was_swapped_for_another() {
    within(TIME_LIMIT, "a destructor that uses a swapped writer", || {
        let (writer, _reader) = LeftRightMap::new();
        let writer: Writer = SharedWriteHandle::new(writer);
        let own = Arc::new(OnceLock::new());
        assert!(own.set(writer.clone()).is_ok());
        let value = |note| Caller { writer: own.clone(), note: Some(note) };
        let (mut other, _reader) = LeftRightMap::new();
        other.insert(0, value(100));
        let mut locked = writer.lock();
        mem::swap(&mut *locked, &mut other);
        locked.remove(&0);
        drop(locked);
        assert!(writer.lock().contains_key(&100), "the destructor of 100 did not run");
        // Nobody locks the handle that was swapped out.
        other.insert(0, value(200));
        other.remove(&0);
        assert!(writer.lock().contains_key(&200), "the destructor of 200 did not run");
        // The handles of two locks change places, and one of the locks is released.
        let (third, _reader) = LeftRightMap::new();
        let second = SharedWriteHandle::new(third);
        second.insert(0, value(300));
        let (mut locked, mut other) = (writer.lock(), second.lock());
        mem::swap(&mut *locked, &mut *other);
        drop(other);
        locked.remove(&0);
        drop(locked);
        assert!(writer.lock().contains_key(&300), "the destructor of 300 did not run");
    });
}

#[test]
fn a_leaked_lock_keeps_no_entries_of_the_next_writer() {
    let alive = Arc::new(AtomicUsize::new(0));
    let (writer, reader) = LeftRightMap::<u64, Tracked>::new();
    let writer = SharedWriteHandle::new(writer);
    let mut locked = writer.lock();
    locked.insert(0, Tracked::new(0, &alive));
    locked.insert(0, Tracked::new(1, &alive));
    mem::forget(locked);
    drop(writer);
    let mut writer = reader.writer().expect("the shared writer was dropped");
    for n in 0..100 {
        writer.insert(n, Tracked::new(n, &alive));
    }
    writer.publish();
    for n in 0..100 {
        writer.remove(&n);
    }
    writer.publish();
    writer.wait_for_readers();
    let alive = alive.load(Ordering::Relaxed);
    assert_eq!(alive, 0, "entries are kept for a lock that nobody has");
}

#[test]
fn closures_that_use_the_shared_writer_panic_instead_of_waiting() {
    within(TIME_LIMIT, "a closure that uses the shared writer", || {
        let (writer, reader) = hedgerow::LeftRightMap::<u64, u64>::new();
        let writer = SharedWriteHandle::new(writer);
        writer.insert(1, 10);
        let within = catch_unwind(AssertUnwindSafe(|| {
            writer.update(&1, |value| {
                writer.insert(2, 20);
                value + 1
            })
        }));
        let text = *within.expect_err("the closure panics").downcast::<&str>().expect("a text");
        assert!(text.contains("this thread has the lock"), "{text}");
        // A panic under the lock does no harm.
        writer.update(&1, |value| value + 2);
        writer.publish();
        assert_eq!((reader.get_copied(&1), reader.len()), (Some(12), 1));
        assert!(writer.try_into_inner().is_ok());
    });
}

/// A value whose destructor panics on request. Unlike `Tracked` it counts itself first.
struct Fragile(Arc<AtomicUsize>, bool);

impl Drop for Fragile {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        if self.1 {
            planned_panic();
        }
    }
}

/// The entry that panics is in the table, in a deferred change, or retired.
#[test]
fn a_destructor_that_panics_with_the_last_handle_leaks_no_others() {
    for fragile in 0..31 {
        let alive = Arc::new(AtomicUsize::new(0));
        let value = |n: u64| {
            alive.fetch_add(1, Ordering::Relaxed);
            Fragile(alive.clone(), n == fragile)
        };
        let (mut writer, reader) = LeftRightMap::new();
        for n in 0..20 {
            writer.insert(n, value(n));
        }
        writer.publish();
        let snapshot = reader.enter();
        writer.wait_for_readers();
        writer.remove(&0);
        writer.insert(1, value(30));
        writer.try_publish().unwrap();
        for n in 20..30 {
            writer.insert(n, value(n));
        }
        drop(snapshot);
        support::must_panic("the last handle's drop", || drop((writer, reader)));
        assert_eq!(
            alive.load(Ordering::Relaxed),
            0,
            "the values behind one that panics are leaked"
        );
    }
}

#[test]
fn entries_set_aside_before_a_panic_under_the_lock_are_dropped_later() {
    let alive = Arc::new(AtomicUsize::new(0));
    let (writer, _reader) = LeftRightMap::<Fused, Tracked>::new();
    let writer = SharedWriteHandle::new(writer);
    support::must_panic("a panic under the lock", || {
        let mut locked = writer.lock();
        locked.insert(Fused(1), Tracked::new(1, &alive));
        locked.insert(Fused(1), Tracked::new(2, &alive));
        planned_panic();
    });
    writer.lock();
    assert_eq!(alive.load(Ordering::Relaxed), 1, "entries that were set aside are leaked");
    drop(writer);
}
