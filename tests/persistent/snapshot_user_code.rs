//! builds: asan default
//!
//! `SnapshotMap` with hostile user code: closures, `Ord`, `Clone` and `Drop` that panic or use the map, and guards and
//! versions that are leaked. Everything ends, no version changes, and everything is dropped once.

use crate::support::alone::alone;
use crate::support::compare::compare_by_cmp;
use crate::support::fuse::{FUSE, burn};
use crate::support::rng::Rng;
use crate::support::tracked::Tracked;
use crate::support::{ignore, panics, within};
use hedgerow::Op;
use hedgerow::owned::Collector;
use hedgerow::persistent::{PersistentMap, SnapshotMap};
use std::borrow::Borrow;
use std::cell::Cell;
use std::cmp::Ordering;
use std::sync::atomic::{AtomicUsize, Ordering as Memory};
use std::sync::{Arc, Mutex, Weak, mpsc};

thread_local! {
    /// Calls of user code that use the map, until none does any more.
    static REENTRIES: Cell<u32> = const { Cell::new(0) };
    static DROP_HAS_PANICKED: Cell<bool> = const { Cell::new(false) };
}

type Shared = Weak<SnapshotMap<Nosy, Nosy>>;

/// A key or value whose `Ord`, `Clone` and `Drop` use the map that it is in.
struct Nosy(u64, Shared, Tracked);

impl Nosy {
    fn look(&self) {
        let (Some(map), left) = (self.1.upgrade(), REENTRIES.get()) else { return };
        if left == 0 {
            return;
        }
        REENTRIES.set(left - 1);
        let key = |n| Self(n, Weak::new(), self.2.clone());
        let before = map.snapshot();
        match left % 5 {
            0 => ignore(map.insert(key(self.0 + 1), key(left.into()))),
            1 => ignore(map.remove(&(self.0 + 1))),
            2 => map.write(|map| ignore(map.pop_first())),
            3 => map.reclaim(),
            _ => ignore((map.get(&self.0).map(|found| found.key().0), map.len())),
        }
        assert_eq!(before.iter().count(), before.len());
    }
}
impl Clone for Nosy {
    fn clone(&self) -> Self {
        self.look();
        Self(self.0, self.1.clone(), self.2.clone())
    }
}
impl Drop for Nosy {
    fn drop(&mut self) {
        self.look();
    }
}
impl Borrow<u64> for Nosy {
    fn borrow(&self) -> &u64 {
        &self.0
    }
}
impl Ord for Nosy {
    fn cmp(&self, other: &Self) -> Ordering {
        self.look();
        self.0.cmp(&other.0)
    }
}
compare_by_cmp!(Nosy);

/// User code may read and change the map. If it changes the map, the change that has called it begins again.
#[test]
fn user_code_may_use_the_map() {
    alone(|| {
        within(120, "user code that uses the map", || {
            let alive = Arc::new(AtomicUsize::new(0));
            let map = Arc::new(SnapshotMap::new());
            let mut rng = Rng::new(1);
            for step in 0..3000 {
                let n = rng.next() % 300;
                let new = |n| Nosy(n, Arc::downgrade(&map), Tracked::new(n, &alive));
                REENTRIES.set(rng.below(8) as u32);
                match rng.below(8) {
                    0..3 => ignore(map.insert(new(n), new(step))),
                    3 => ignore(map.remove(&n)),
                    4 => ignore(map.compute(new(n), |found| match found {
                        Some(_) => Op::Remove,
                        None => Op::Insert(new(step)),
                    })),
                    5 => ignore(map.insert_if_absent(new(n), new(step)).is_ok()),
                    6 => map.retain(|key, _| key.0 % 16 != n % 16),
                    _ => map.write(|map| {
                        ignore(map.insert(new(n), new(step)));
                        ignore(map.remove_range(n + 1..n + 9));
                    }),
                }
                REENTRIES.set(0);
                let snapshot = map.snapshot();
                assert!(snapshot.keys().map(|key| key.0).is_sorted_by(|a, b| a < b));
            }
            drop(map);
            assert_eq!(alive.load(Memory::Relaxed), 0, "elements are left");
        });
    });
}

/// A number whose `Clone`, `Ord` and `Drop` burn the fuse, and which is counted.
struct Fused(Tracked);

impl Clone for Fused {
    fn clone(&self) -> Self {
        burn();
        Self(self.0.clone())
    }
}
impl Drop for Fused {
    fn drop(&mut self) {
        // A leak detector would report what the compiler forgets: see below.
        if !cfg!(build_asan) && !std::thread::panicking() {
            DROP_HAS_PANICKED.set(DROP_HAS_PANICKED.get() || FUSE.get() == 0);
            burn();
        }
    }
}
impl Ord for Fused {
    fn cmp(&self, other: &Self) -> Ordering {
        burn();
        self.0.cmp(&other.0)
    }
}
compare_by_cmp!(Fused);

/// Each change is played with a panic at each call of user code. The map is as before or as after, no version changes,
/// and nothing is locked.
#[test]
fn a_panic_in_user_code_changes_nothing() {
    let alive = Arc::new(AtomicUsize::new(0));
    let new = |value: u64| Fused(Tracked::new(value, &alive));
    let plain = |map: &PersistentMap<Fused, Fused>| -> Vec<(u64, u64)> {
        map.iter().map(|(key, value)| (key.0.value, value.0.value)).collect()
    };
    for change in 0..8 {
        let mut has_panicked = false;
        for fuse in 0.. {
            let map: SnapshotMap<_, _> = (0..100).map(|n| (new(2 * n), new(n))).collect();
            let (base, key) = (map.snapshot(), new(40));
            let (before, mut edited) = (plain(&base), base.clone());
            drop(edited.insert(new(41), new(1)));
            drop(map.insert(new(60), new(61)));
            let start = map.snapshot();
            FUSE.set(fuse);
            let panicked = panics(|| match change {
                0 => drop(map.insert(new(41), new(1))),
                1 => drop(map.remove(&key)),
                2 => drop(map.update(&key, |_| new(1))),
                3 => drop(map.insert_if_absent(new(41), new(1))),
                4 => drop(map.commit(&base, &edited)),
                5 => map.retain(|key, _| key.0.value % 3 == 0),
                6 => (&map).extend([(new(41), new(1)), (new(43), new(1))]),
                _ => map.write(|map| {
                    drop(map.insert(new(41), new(1)));
                    burn();
                    drop(map.remove(&key));
                }),
            });
            FUSE.set(u32::MAX);
            has_panicked |= panicked;
            assert_eq!(plain(&base), before, "a version has changed");
            let (old, now) = (plain(&start), plain(&map.snapshot()));
            let after = match change {
                0 | 3 | 4 => old.len() + 1,
                1 => old.len() - 1,
                2 | 7 => old.len(),
                5 => 34,
                _ => old.len() + 2,
            };
            let is_done = now != old && now.len() == after;
            assert!(is_done || (panicked && now == old), "change {change} at {fuse} is half done");
            assert!(map.write(|map| map.insert(new(1), new(1))).is_none());
            drop((map, base, edited, start, key));
            // If a destructor panics at the end of a function, the compiler forgets the value that the function returns
            // (rust-lang/rust issue 47949).
            let left = alive.swap(0, Memory::Relaxed);
            assert!(left <= usize::from(DROP_HAS_PANICKED.take()), "elements are left");
            if !panicked {
                break;
            }
        }
        assert!(has_panicked, "change {change} calls no user code");
    }
}

/// Writers do not wait for one whose closure takes long, or waits for them.
#[test]
fn a_closure_may_wait_for_other_writers() {
    within(20, "a closure that waits for another writer", || {
        let map = SnapshotMap::from([(0, 0)]);
        let ((to_other, asked), (to_closure, done)) = (mpsc::channel(), mpsc::channel());
        std::thread::scope(|scope| {
            let map = &map;
            scope.spawn(move || {
                let () = asked.recv().unwrap();
                map.insert(1, 1);
                to_closure.send(()).unwrap();
            });
            let mut calls = 0;
            map.write(|new| {
                calls += 1;
                if calls == 1 {
                    to_other.send(()).unwrap();
                    done.recv().unwrap();
                }
                new.insert(2, 2);
            });
            assert_eq!(calls, 2);
        });
        assert_eq!(map.snapshot(), [(0, 0), (1, 1), (2, 2)].into());
    });
}

/// As above, where the change would go into the log: neither readers nor writers wait for the closure.
#[test]
fn a_closure_of_a_logged_change_may_wait_for_others() {
    within(20, "a closure that waits for a reader and a writer", || {
        let map = SnapshotMap::from([(0, 0)]);
        map.insert(3, 3);
        let ((to_other, asked), (to_closure, done)) = (mpsc::channel(), mpsc::channel());
        std::thread::scope(|scope| {
            let map = &map;
            scope.spawn(move || {
                let () = asked.recv().unwrap();
                assert_eq!((map.get_cloned(&3), map.snapshot().len()), (Some(3), 2));
                map.insert(1, 1);
                to_closure.send(()).unwrap();
            });
            let mut calls = 0;
            map.update(&0, |old| {
                calls += 1;
                if calls == 1 {
                    to_other.send(()).unwrap();
                    done.recv().unwrap();
                }
                old + 1
            });
            assert_eq!(calls, 2);
        });
        assert_eq!(map.snapshot(), [(0, 1), (1, 1), (3, 3)].into());
    });
}

/// A leaked guard keeps replaced versions from being dropped before the map is, and does nothing else.
#[test]
fn leaked_guards_and_versions_are_harmless() {
    /// Reachable, for a leak detector.
    static LEAKED: Mutex<Option<PersistentMap<u64, Tracked>>> = Mutex::new(None);
    let alive = Arc::new(AtomicUsize::new(0));
    let map = SnapshotMap::new().with_collector(&Collector::new());
    map.insert(0, Tracked::new(0, &alive));
    std::mem::forget(map.pin());
    std::mem::forget(map.get(&0));
    for n in 1..2000 {
        map.write(|map| map.insert(0, Tracked::new(n, &alive)));
    }
    map.reclaim();
    assert_eq!(
        (map.get(&0).map(|value| value.value), map.stalled_readers().count()),
        (Some(1999), 2)
    );
    assert_eq!(map.pending(), 1999, "a version is dropped that a leaked guard protects");
    drop(map);
    assert_eq!(alive.load(Memory::Relaxed), 0, "elements are left");
    let map: SnapshotMap<u64, Tracked> = (0..100).map(|n| (n, Tracked::new(n, &alive))).collect();
    *LEAKED.lock().unwrap() = Some(map.snapshot());
    map.clear();
    drop(map);
    assert_eq!(alive.load(Memory::Relaxed), 100, "a leaked snapshot keeps its elements");
}

#[test]
fn empty_and_aligned_entries() {
    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
    #[repr(align(4096))]
    struct Page(u64);
    let at_page = |page: &Page| std::ptr::from_ref(page).addr().is_multiple_of(4096);
    let map = SnapshotMap::new();
    for n in 0..200 {
        assert_eq!(map.insert(Page(n % 50), Page(n)).is_some(), n >= 50);
    }
    let found = map.get(&Page(7)).unwrap();
    assert_eq!((found.key().0, found.0), (7, 157));
    assert!(at_page(found.key()) && at_page(&found));
    assert!(map.snapshot().iter().all(|(key, value)| at_page(key) && at_page(value)));
    let map = SnapshotMap::new();
    assert_eq!((map.insert((), ()), map.insert((), ()), map.len()), (None, Some(()), 1));
    let (base, empty) = (map.snapshot(), PersistentMap::new());
    assert!(map.commit(&base, &empty).is_ok() && map.is_empty());
    assert_eq!(map.commit(&base, &empty).map_err(|conflict| conflict.keys.len()), Err(1));
}
