//! builds: asan narrow portable tsan
//!
//! `HashMap` from outside: drops of entries, guards, threads that end, and user code that panics or calls the map.

use crate::support;

use hedgerow::error::TryInsertError;
use hedgerow::owned::{Guard, Handle, Op, OwnedGuard, Removed, pin};
use hedgerow::{BytesMap, FlatMap, HashMap};
use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use support::alone::alone;
use support::rng::Rng;
use support::{ignore, joined_scope, must_panic, planned_panic, seed, within};

const fn send<T: Send>() {}
const fn sync<T: Sync>() {}
const fn unwind<T: UnwindSafe + RefUnwindSafe>() {}
const _: () = {
    send::<HashMap<String, Vec<u8>>>();
    sync::<HashMap<String, Vec<u8>>>();
    // A map with values that are not `Sync` can move to another thread, but threads cannot share it.
    send::<HashMap<u32, std::cell::Cell<u32>>>();
    unwind::<HashMap<String, String>>();
    send::<Handle>();
    send::<OwnedGuard>();
    sync::<OwnedGuard>();
    send::<Removed<'static, String, String>>();
    sync::<Removed<'static, String, String>>();
    // Two pointers for each field, and a cache line that keeps lookups and inserts apart.
    assert!(size_of::<HashMap<u64, u64, ()>>() <= 344);
};

/// A value that counts the living values, and detects a second drop.
#[derive(Debug)]
struct Counted {
    value: u64,
    alive: Arc<AtomicUsize>,
    dropped: AtomicBool,
}

impl Counted {
    fn new(value: u64, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self { value, alive: alive.clone(), dropped: AtomicBool::new(false) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        assert!(!self.dropped.swap(true, Ordering::Relaxed), "dropped twice");
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PartialEq for Counted {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}
impl Eq for Counted {}
impl Hash for Counted {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.value.hash(hasher);
    }
}
impl std::borrow::Borrow<u64> for Counted {
    fn borrow(&self) -> &u64 {
        &self.value
    }
}

type Counts = HashMap<Counted, Counted>;

/// After random operations, every key and value was dropped exactly once.
#[test]
fn every_key_and_value_is_dropped_exactly_once() {
    alone(|| {
        let alive = Arc::new(AtomicUsize::new(0));
        let new = |n| Counted::new(n, &alive);
        let map = Counts::new();
        joined_scope(|scope| {
            for hand in 0..3 {
                let (map, new) = (&map, &new);
                scope.spawn(move || {
                    let mut rng = Rng::new(seed() + hand);
                    for n in 0..20_000 {
                        let key = rng.below(300) as u64;
                        match rng.below(13) {
                            0 => ignore(map.insert_if_absent(new(key), new(n))),
                            1 => ignore(map.remove(&key)),
                            2 => ignore(map.remove(&key).map(Removed::try_into_owned)),
                            3 => ignore(map.compute(new(key), |_| Op::Remove)),
                            4 => ignore(map.compute(new(key), |_| Op::Insert(new(n)))),
                            5 => ignore(map.try_insert(new(key), new(n))),
                            6 => assert!(
                                map.get_with(&key, |value| value.value < 20_000).unwrap_or(true)
                            ),
                            7 if n % 500 == 0 => map.retain(|key, _| key.value % 3 > 0),
                            8 => ignore(map.try_insert_if_absent(new(key), new(n))),
                            9 => ignore(map.try_compute(new(key), |_| Op::Insert(new(n)))),
                            10 => ignore(map.try_compute(new(key), |_| Op::Remove)),
                            11 => {
                                let guard = pin();
                                ignore(
                                    map.with_guard(&guard)
                                        .try_get_or_insert_with(new(key), || new(n)),
                                );
                            }
                            12 if n % 50 == 0 => map.set_pending_limit(Some(rng.below(2_000))),
                            _ => ignore(map.insert(new(key), new(n))),
                        }
                    }
                });
            }
        });
        assert_eq!(alive.load(Ordering::Relaxed), 2 * (map.len() + map.pending()));
        map.reclaim();
        assert_eq!(map.pending(), 0, "no thread holds a guard");
        assert_eq!(alive.load(Ordering::Relaxed), 2 * map.len());
        drop(map);
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn an_owning_iterator_that_is_dropped_early_drops_the_rest() {
    let alive = Arc::new(AtomicUsize::new(0));
    let map: Counts =
        (0..1000).map(|n| (Counted::new(n, &alive), Counted::new(n * n, &alive))).collect();
    drop(map.remove(&7));
    let mut all = map.into_iter();
    assert_eq!(all.len(), 999);
    let (key, value) = all.next().expect("there are many");
    assert_eq!(key.value * key.value, value.value);
    drop((key, value));
    assert_eq!(all.by_ref().take(400).count(), 400);
    drop(all);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

/// An entry that a thread found under a guard stays alive while any thread changes the map.
#[test]
fn a_guard_keeps_found_entries_alive() {
    alone(|| {
        let map: HashMap<u64, String> = (0..100).map(|n| (n, n.to_string())).collect();
        let pinned = map.pin();
        let seen: Vec<(&u64, &String)> = pinned.iter().collect();
        thread::scope(|scope| {
            scope.spawn(|| {
                map.clear();
                (0..10_000).for_each(|n| ignore(map.insert(n, format!("new {n}"))));
            });
        });
        map.reclaim();
        let kept = map.pending();
        assert!(
            kept >= 100,
            "{kept} entries are pending: an entry under a guard is dropped or not counted"
        );
        assert!(map.stalled_readers().any(|stalled| stalled.reader == pinned.guard().reader_id()));
        map.insert(3, "and from this thread".into());
        map.reclaim();
        assert!(seen.iter().all(|(key, value)| key.to_string() == **value));
        drop(pinned);
    });
}

/// If no thread holds a guard for ever, later operations drop the garbage.
#[test]
fn garbage_is_dropped_while_readers_come_and_go() {
    alone(|| {
        within(60, "dropping garbage", || {
            let map = HashMap::<u64, u64>::new();
            let stop = AtomicBool::new(false);
            joined_scope(|scope| {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        ignore(map.get_with(&1, |value| *value));
                    }
                });
                // A reader that sleeps may keep a batch alive as long as it sleeps.
                let (mut kept, mut n) = (map.pending(), 0);
                while n < 50_000 || kept > 5_000 {
                    map.insert(n % 10, n);
                    n += 1;
                    if n % 1000 == 0 {
                        kept = map.pending();
                    }
                }
                stop.store(true, Ordering::Relaxed);
            });
        });
    });
}

/// Other threads drop the garbage of threads that have ended.
#[test]
fn garbage_of_ended_threads_is_dropped() {
    alone(|| {
        within(60, "dropping others' garbage", || {
            let map = HashMap::<u64, u64>::new();
            joined_scope(|scope| {
                for hand in 0..15 {
                    let map = &map;
                    scope.spawn(move || (0..10_000).for_each(|n| ignore(map.insert(hand, n))));
                }
            });
            // Each sealed batch makes a thread visit another bag, and each insertion drops one entry more than it adds.
            let mut rounds = 0..300;
            while map.pending() > 1_000 && rounds.next().is_some() {
                (0..1_000).for_each(|n| ignore(map.insert(0, n)));
            }
            let kept = map.pending();
            assert!(kept <= 1_000, "{kept} entries of threads that have ended are never dropped");
        });
    });
}

#[test]
fn removed_entries_are_owned_without_readers() {
    alone(|| {
        let map: HashMap<u64, String> = [(1, "one".into()), (2, "two".into())].into();
        let guard = pin();
        let removed = map.remove(&1).expect("it is there").try_into_owned();
        let removed = removed.expect_err("this very thread may be looking");
        assert_eq!((removed.key(), removed.as_str()), (&1, "one"));
        drop(guard);
        let owned = removed.try_into_owned().expect("no thread holds a guard");
        assert_eq!(owned, (1, "one".into()));
    });
}

/// A guard in a thread-local works in either order of destruction: before the thread's own slot, or after it.
#[test]
fn guards_in_thread_locals_survive_the_end_of_their_thread() {
    alone(|| {
        static MAP: std::sync::LazyLock<HashMap<u64, String>> =
            std::sync::LazyLock::new(|| [(1, "one".into())].into());
        struct AtTheEnd(RefCell<Vec<Guard<'static>>>);
        impl Drop for AtTheEnd {
            fn drop(&mut self) {
                // The thread may have returned its own slot. It still gets a guard.
                let guard = pin();
                assert_eq!(MAP.with_guard(&guard).get(&1).map(String::as_str), Some("one"));
            }
        }
        thread_local!(static KEPT: AtTheEnd = const { AtTheEnd(RefCell::new(Vec::new())) });
        for first in [true, false] {
            for _ in 0..40 {
                thread::spawn(move || {
                    if first {
                        KEPT.with(|kept| kept.0.borrow_mut().clear());
                    }
                    let guards = [pin(), pin()];
                    KEPT.with(|kept| kept.0.borrow_mut().extend(guards));
                    assert_eq!(MAP.get_cloned(&1).as_deref(), Some("one"));
                })
                .join()
                .expect("the thread ends without a panic");
            }
        }
        // The threads have returned their slots, so eighty threads have not left eighty readers behind.
        let handles: Vec<Handle> = (0..40).map(|_| Handle::new()).collect();
        let highest = handles.iter().map(|handle| handle.pin().reader_id()).max();
        assert!(highest < Some(80), "slots are not reused: {highest:?}");
    });
}

#[test]
fn an_owned_guard_moves_between_threads() {
    alone(|| {
        let map: Arc<HashMap<u64, String>> = Arc::new([(1, "one".into())].into());
        let guard = Handle::new().into_guard();
        let theirs = map.clone();
        let guard = thread::spawn(move || {
            assert_eq!(theirs.with_guard(&guard).get(&1).map(String::as_str), Some("one"));
            guard
        })
        .join()
        .expect("the other thread has a guard");
        let pinned = map.with_guard(&guard);
        let one = pinned.get(&1).expect("it is there");
        map.remove(&1);
        map.reclaim();
        assert_eq!(one, "one");
    });
}

/// If a `Drop` panics, no other value is lost or dropped twice, in any operation that runs it.
#[test]
fn a_panicking_drop_loses_no_other_value() {
    alone(|| {
        struct Fuse(Counted, bool);
        impl Drop for Fuse {
            fn drop(&mut self) {
                if self.1 && !thread::panicking() {
                    planned_panic();
                }
            }
        }
        within(60, "panicking drops", || {
            let alive = Arc::new(AtomicUsize::new(0));
            let map = HashMap::<u64, Fuse>::new();
            let (mut panics, mut n) = (0, 0);
            while panics < 100 {
                n += 1;
                let fuse = Fuse(Counted::new(n, &alive), n % 97 == 0);
                panics += usize::from(support::panics(|| ignore(map.insert(n % 50, fuse))));
                assert!(map.get_with(&(n % 50), |fuse| fuse.0.value) == Some(n));
            }
            must_panic("collect", || {
                map.insert(0, Fuse(Counted::new(0, &alive), true));
                drop(map.remove(&0));
                map.reclaim();
            });
            map.insert(0, Fuse(Counted::new(0, &alive), true));
            must_panic("the map's drop", move || drop(map));
            assert_eq!(alive.load(Ordering::Relaxed), 0);
        });
    });
}

/// Inside a `Drop` that writes to its map, the map runs no other `Drop`, however many entries are pending. So the stack
/// stays bounded.
#[test]
fn drops_that_call_back_do_not_nest() {
    alone(|| {
        thread_local!(static DEPTH: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });
        static DEEPEST: AtomicUsize = AtomicUsize::new(0);
        struct Nosy(bool, std::sync::Weak<HashMap<u64, Nosy>>);
        impl Drop for Nosy {
            fn drop(&mut self) {
                let Some(map) = self.1.upgrade().filter(|_| self.0) else { return };
                DEPTH.set(DEPTH.get() + 1);
                DEEPEST.fetch_max(DEPTH.get(), Ordering::Relaxed);
                let quiet = Nosy(false, self.1.clone());
                match map.pending_limit() {
                    None => ignore(map.insert(1, quiet)),
                    Some(_) => ignore(map.try_insert(2, quiet)),
                }
                DEPTH.set(DEPTH.get() - 1);
            }
        }
        within(60, "drops that call back", || {
            for limit in [None, Some(100)] {
                let map = Arc::new(HashMap::<u64, Nosy>::new());
                let new = || Nosy(true, Arc::downgrade(&map));
                let quiet = || Nosy(false, std::sync::Weak::new());
                let guard = pin();
                (0..20_000).for_each(|n| ignore(map.insert(n % 7, new())));
                drop(guard);
                map.set_pending_limit(limit);
                while map.pending() >= 5_000 {
                    ignore(map.try_insert(3, quiet()));
                }
                let guard = pin();
                (0..20_000).for_each(|n| ignore(map.insert(n % 7, new())));
                drop(guard);
                map.reclaim();
            }
            let deepest = DEEPEST.load(Ordering::Relaxed);
            assert!((1..20).contains(&deepest), "{deepest} drops within each other");
        });
    });
}

/// A `Drop` may panic or call the map also when one operation drops several entries because of a limit.
#[test]
fn drops_because_of_a_limit_may_panic_and_call_back() {
    alone(|| {
        struct Rude(Counted, std::sync::Weak<HashMap<u64, Rude>>, bool);
        impl Drop for Rude {
            fn drop(&mut self) {
                let Self(counted, map, panics) = self;
                let Some(map) = map.upgrade() else { return };
                if *panics && !thread::panicking() {
                    let rude =
                        || Rude(Counted::new(0, &counted.alive), Arc::downgrade(&map), false);
                    ignore(map.try_insert(1_000, rude()));
                    ignore(map.try_compute(1_001, |_| Op::Insert(rude())));
                    planned_panic();
                }
            }
        }
        let alive = Arc::new(AtomicUsize::new(0));
        let map = Arc::new(HashMap::new());
        let (mut panics, mut n) = (0, 0);
        while panics < 100 {
            n += 1;
            map.set_pending_limit((n % 100 == 0).then_some(10));
            let rude = Rude(Counted::new(n, &alive), Arc::downgrade(&map), n % 7 == 0);
            panics += usize::from(support::panics(|| ignore(map.try_insert(n % 5, rude))));
        }
        map.set_pending_limit(Some(0));
        while map.pending() > 0 {
            // After a panic, a later operation drops the remaining entries.
            assert!(
                support::panics(|| map.reclaim()) || map.pending() == 0,
                "collecting stops early"
            );
        }
        assert_eq!(alive.load(Ordering::Relaxed), map.len());
        drop(map);
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    });
}

/// A `Drop` may call the map that holds its value.
#[test]
fn a_drop_may_call_back() {
    struct Nosy(u64, std::sync::Weak<HashMap<u64, Nosy>>);
    impl Drop for Nosy {
        fn drop(&mut self) {
            let Some(map) = self.1.upgrade() else { return };
            assert!(map.get_with(&0, |nosy| nosy.0).is_some());
            if self.0.is_multiple_of(16) {
                map.insert(1, Nosy(1, self.1.clone()));
                ignore(map.remove(&2));
            }
        }
    }
    within(60, "drops that call back", || {
        let map = Arc::new(HashMap::<u64, Nosy>::new());
        map.insert(0, Nosy(0, Arc::downgrade(&map)));
        for n in 0..20_000 {
            map.insert(1 + n % 7, Nosy(n, Arc::downgrade(&map)));
        }
        map.reclaim();
    });
}

/// If `Hash` or `Eq` panics, the map stays unchanged, and the new entry is dropped.
#[test]
fn a_panicking_comparison_changes_nothing() {
    static ARMED: AtomicBool = AtomicBool::new(false);
    #[derive(Debug)]
    struct Touchy(Counted);
    impl PartialEq for Touchy {
        fn eq(&self, other: &Self) -> bool {
            if ARMED.load(Ordering::Relaxed) {
                planned_panic();
            }
            self.0 == other.0
        }
    }
    impl Eq for Touchy {}
    impl Hash for Touchy {
        fn hash<H: Hasher>(&self, hasher: &mut H) {
            self.0.hash(hasher);
        }
    }
    let alive = Arc::new(AtomicUsize::new(0));
    let key = |n| Touchy(Counted::new(n, &alive));
    let map: HashMap<Touchy, u64> = (0..100).map(|n| (key(n), n)).collect();
    ARMED.store(true, Ordering::Relaxed);
    for n in 0..100 {
        must_panic("insert", || ignore(map.insert(key(n), 0)));
        must_panic("try_insert", || ignore(map.try_insert(key(n), 0)));
        must_panic("remove", || ignore(map.remove(&key(n))));
        must_panic("get", || ignore(map.get_cloned(&key(n))));
        must_panic("compute", || ignore(map.compute(key(n), |_| Op::Remove)));
        must_panic("try_compute", || ignore(map.try_compute(key(n), |_| Op::Remove)));
        must_panic("try_insert_if_absent", || ignore(map.try_insert_if_absent(key(n), 0)));
        let guard = pin();
        must_panic("try_get_or_insert_with", || {
            ignore(map.with_guard(&guard).try_get_or_insert_with(key(n), || 0));
        });
    }
    ARMED.store(false, Ordering::Relaxed);
    must_panic("a closure", || ignore(map.compute(key(1), |_| planned_panic())));
    must_panic("a closure", || ignore(map.try_compute(key(1), |_| planned_panic())));
    let guard = pin();
    let absent =
        || ignore(map.with_guard(&guard).try_get_or_insert_with(key(100), || planned_panic()));
    must_panic("a closure", absent);
    drop(guard);
    must_panic("retain", || map.retain(|_, _| planned_panic()));
    assert!((0..100).all(|n| map.get_cloned(&key(n)) == Some(n)));
    assert_eq!(alive.load(Ordering::Relaxed), 100 + map.pending());
}

/// Closures may write to the entry that they decide about.
#[test]
fn closures_may_call_back() {
    within(60, "closures that call back", || {
        let map: HashMap<u64, u64> = [(1, 1)].into();
        let guard = pin();
        let mut asked = 0;
        map.update(&1, |value| {
            asked += 1;
            if asked < 3 {
                map.insert(1, 10 * asked);
            }
            value + 1
        });
        assert_eq!((asked, map.get_cloned(&1)), (3, Some(21)));
        let pinned = map.with_guard(&guard);
        let two = pinned.get_or_insert_with(2, || *pinned.get_or_insert_with(2, || 7));
        assert_eq!(two, &7);
        map.retain(|key, _| map.get_cloned(key).is_some());
        assert_eq!(map.len(), 2);
    });
}

/// If the entry changes during each run of the closure, an operation that waits runs it again. A `try_` operation
/// returns `Busy`.
#[test]
fn a_try_operation_runs_its_closure_once() {
    let once =
        |asked| assert_eq!(asked, 1, "an operation that must not wait ran its closure again");
    let map: HashMap<u64, u64> = [(1, 1)].into();
    let words = BytesMap::from([("a", "1")]);
    for op in [Op::Insert(9), Op::Remove] {
        let mut asked = 0;
        let done = map.try_compute(1, |_| {
            asked += 1;
            map.insert(1, 10 + asked);
            once(asked);
            op
        });
        let value = if let Op::Insert(value) = op { Some(value) } else { None };
        assert_eq!(done.err(), Some(TryInsertError::Busy { key: 1, value }));
        assert_eq!(map.get_cloned(&1), Some(11));
        let mut asked = 0;
        let done = words.try_compute("a", |_| {
            asked += 1;
            words.insert("a", "2");
            once(asked);
            if let Op::Insert(_) = op { Op::Insert("9") } else { Op::Remove }
        });
        let value = value.map(|_| "9");
        assert_eq!(done.err(), Some(TryInsertError::Busy { key: "a", value }));
        assert_eq!(words.get_with("a", <[u8]>::to_vec), Some(b"2".into()));
    }
}

/// A guard protects lookups in two maps while both are written to.
#[test]
fn guards_serve_all_maps() {
    let (one, other) = (HashMap::<u64, String>::new(), HashMap::<u64, String>::new());
    let flat = FlatMap::<u64, u64>::new();
    joined_scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for n in 0..2_000u64 {
                    let guard = pin();
                    let (first, second) = (one.with_guard(&guard), other.with_guard(&guard));
                    let name = first.get_or_insert_with(n, || n.to_string());
                    let copy = second.get_or_insert_with(n, || name.clone());
                    assert_eq!(name, copy);
                    flat.insert(n, name.len() as u64);
                    ignore(one.remove(&(n / 2)));
                }
            });
        }
    });
    assert_eq!(other.len(), 2_000);
}

#[test]
fn shrinking_keeps_the_entries_and_drops_the_rest() {
    let alive = Arc::new(AtomicUsize::new(0));
    let mut map: Counts =
        (0..20_000).map(|n| (Counted::new(n, &alive), Counted::new(n, &alive))).collect();
    let before = map.stats().memory_bytes;
    map.retain(|key, _| key.value % 100 == 0);
    map.shrink_to_fit();
    assert!(map.stats().memory_bytes < before / 20);
    assert_eq!((map.len(), map.pending(), alive.load(Ordering::Relaxed)), (200, 0, 400));
    assert!((0..200).all(|n| map.get_with(&(n * 100), |value| value.value) == Some(n * 100)));
    map.clear();
    map.shrink_to_fit();
    assert_eq!((map.stats().memory_bytes, alive.load(Ordering::Relaxed)), (0, 0));
}

#[test]
fn layouts_of_all_kinds() {
    #[derive(PartialEq, Eq, Hash, Clone, Copy, Debug)]
    #[repr(align(64))]
    struct Wide(u8);
    let wide: HashMap<Wide, Wide> = (0..200).map(|n| (Wide(n), Wide(!n))).collect();
    assert!((0..200).all(|n| wide.get_cloned(&Wide(n)) == Some(Wide(!n))));
    let nothing: HashMap<(), ()> = [((), ())].into();
    assert!(nothing.contains_key(&()) && nothing.insert((), ()).is_some() && nothing.len() == 1);
    let slices: HashMap<Box<str>, Box<dyn Fn() -> usize + Send + Sync>> = HashMap::new();
    slices.insert("seven".into(), Box::new(|| 7));
    assert_eq!(slices.get_with("seven", |make| make()), Some(7));
    let large: HashMap<u32, [u8; 5000]> = (0..50).map(|n| (n, [n as u8; 5000])).collect();
    assert!(large.pin().iter().all(|(n, bytes)| bytes[4999] == *n as u8));
}
