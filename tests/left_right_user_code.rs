//! builds: asan
//!
//! `LeftRightMap` where the user's code panics, or contradicts itself.

mod support;

use hedgerow::LeftRightMap;
use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use support::hashers;
use support::rng::Rng;
use support::tracked::Tracked;
use support::{planned_panic, seed};

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

/// Whatever panics whenever: the map stays usable, and says the same to whoever asks.
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
                let _ = support::panics(|| match rng.below(8) {
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
                    _ => {
                        boxed.publish();
                        inline.publish();
                    }
                });
            }
            PANICS.set(u32::MAX);
            boxed.publish();
            inline.publish();
            boxed.settle();
            let snapshot = reader.enter();
            assert_eq!(snapshot.len(), snapshot.iter().count());
            assert!(snapshot.keys().all(|key| snapshot.contains_key(key)));
            assert_eq!((boxed.len(), inline.len()), (snapshot.len(), inline.iter().count()));
            assert_eq!(alive.load(Ordering::Relaxed), snapshot.len());
        }
    }
}

thread_local!(static LIES: Cell<u32> = const { Cell::new(0) });

/// A key whose `Eq` denies itself once, when asked to.
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

/// Two notes about one key, of which the second is not recognized: its entry is dropped once all the same.
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

/// A key that is equal to others of other hashes.
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

/// `Eq` that is coarser than `Hash`: which entry is found is anybody's guess, but what a reader looks at stays.
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
