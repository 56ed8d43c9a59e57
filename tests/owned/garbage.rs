//! builds: asan tsan narrow portable
//! Maps of owned data free removed entries while destructors are slow, never return, panic or write to the map, and
//! while threads hold guards. Each test runs in a process of its own, because a guard affects all maps of a process.

use crate::support;

use hedgerow::entry::Entry;
use hedgerow::fence::Op;
use hedgerow::owned::{Guard, Handle, Ref, pin};
use hedgerow::{BytesMap, HashMap, OrdMap};
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, Weak};
use std::thread;
use support::alone::alone;
use support::{effort, ignore, joined_scope, must_panic, panics, planned_panic};

/// The number of `Slow` values whose destructors have not ended.
static ALIVE: AtomicUsize = AtomicUsize::new(0);

/// A value whose destructor reports its start, and then waits.
struct Slow(Option<(Sender<()>, Mutex<Receiver<()>>)>);

impl Slow {
    /// Returns a value, the receiver of its destructor's report, and the sender that lets the destructor end.
    fn new() -> (Self, Receiver<()>, Sender<()>) {
        let ((says, begun), (end, waits)) = (channel(), channel());
        ALIVE.fetch_add(1, Ordering::Relaxed);
        (Self(Some((says, Mutex::new(waits)))), begun, end)
    }

    fn quick() -> Self {
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Self(None)
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        if let Some((says, waits)) = &self.0 {
            says.send(()).expect("the test waits for it");
            // If the test dropped the sender, the destructor ends as well.
            ignore(waits.lock().expect("no other thread has the lock").recv());
        }
        ALIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits until another thread runs a destructor.
fn wait_for(begun: &Receiver<()>) {
    begun.recv_timeout(std::time::Duration::from_secs(300)).expect("the destructor runs");
}

/// The number of entries, a few batches, that may be pending although no guard protects them.
const FEW: usize = 5_000;

/// Replaces one entry again and again, and asserts that the map frees the garbage.
fn assert_that_garbage_goes(map: &HashMap<u64, Slow>, while_what: &str) {
    (0..100_000).for_each(|_| ignore(map.insert(7, Slow::quick())));
    let kept = ALIVE.load(Ordering::Relaxed) - map.len();
    assert!(kept < FEW, "{while_what} keeps {kept} entries that another thread could free");
}

#[test]
fn a_slow_destructor_delays_no_other_thread() {
    alone(|| {
        let map = Arc::new(HashMap::new());
        let (slow, begun, end) = Slow::new();
        map.insert(1, slow);
        let theirs = map.clone();
        let other = thread::spawn(move || {
            drop(theirs.remove(&1));
            // Writes until the map frees the earlier garbage, with the slow value in it.
            (0..6_000).for_each(|_| ignore(theirs.insert(2, Slow::quick())));
        });
        wait_for(&begun);
        assert_that_garbage_goes(&map, "a slow destructor");
        drop(end);
        other.join().expect("it ends");
    });
}

/// A slow destructor inside `reclaim`, which has more entries to drop, delays no other thread.
#[test]
fn a_slow_destructor_in_reclaim_delays_no_other_thread() {
    alone(|| {
        let map = Arc::new(HashMap::new());
        let (slow, begun, end) = Slow::new();
        let guard = pin();
        map.insert(1, slow);
        drop(map.remove(&1));
        (0..10_000).for_each(|_| ignore(map.insert(2, Slow::quick())));
        drop(guard);
        let theirs = map.clone();
        let other = thread::spawn(move || theirs.reclaim());
        wait_for(&begun);
        map.reclaim();
        let kept = ALIVE.load(Ordering::Relaxed) - map.len();
        assert!(kept < 100, "a slow destructor in a collection keeps {kept} entries from another");
        assert_that_garbage_goes(&map, "a slow destructor in a collection");
        drop(end);
        other.join().expect("it ends");
    });
}

/// A destructor that never returns blocks its own thread, and keeps one or two entries.
#[test]
fn destructors_that_never_return_delay_no_other_thread() {
    alone(|| {
        let map = Arc::new(HashMap::new());
        let mut ends = Vec::new();
        for n in 0..20 {
            let (slow, begun, end) = Slow::new();
            map.insert(n, slow);
            let theirs = map.clone();
            thread::spawn(move || {
                drop(theirs.remove(&n));
                (0..6_000).for_each(|_| ignore(theirs.insert(n, Slow::quick())));
            });
            wait_for(&begun);
            ends.push(end);
        }
        assert_that_garbage_goes(&map, "a destructor that never returns");
    });
}

/// Returns true if a thread holds a guard: another map then cannot free an entry.
fn a_guard_is_held() -> bool {
    let another: HashMap<u64, u64> = [(1, 1)].into();
    drop(another.remove(&1));
    another.reclaim();
    another.pending() > 0
}

fn assert_that_nobody_holds_a_guard(while_what: &str) {
    assert!(!a_guard_is_held(), "{while_what} runs destructors under a guard of its own");
}

thread_local! {
    /// How many values this thread has dropped, and how many of them while a guard was held.
    static DROPPED: Cell<[usize; 2]> = const { Cell::new([0, 0]) };
}

/// A value whose destructor looks for guards.
struct Watchful;

impl Drop for Watchful {
    fn drop(&mut self) {
        let [all, guarded] = DROPPED.get();
        DROPPED.set([all + 1, guarded + usize::from(a_guard_is_held())]);
    }
}

/// The keys that the operations below change.
const CHANGED: Range<u64> = 100..3_000;

/// Runs `operation` on a map with so much garbage that each change frees as much as it may. Checks that no guard is
/// held when destructors run.
fn frees_without_a_guard<M>(
    map: &M,
    (name, operation): (&str, fn(&M)),
    insert: fn(&M, u64, Watchful),
) {
    CHANGED.for_each(|key| insert(map, key, Watchful));
    let guard = pin();
    (0..6_000).for_each(|_| insert(map, 2, Watchful));
    drop(guard);
    DROPPED.set([0, 0]);
    operation(map);
    let [all, guarded] = DROPPED.get();
    assert!(all > 0, "{name} frees nothing");
    assert_eq!(guarded, 0, "{name} runs destructors under a guard of its own");
}

/// The operations of all maps of owned data that free what others have removed.
macro_rules! operations_that_free {
    ($map:ty) => {{
        let operations: [(_, fn(&$map)); 7] = [
            ("retain", |map| map.retain(|key, _| *key == 2)),
            ("clear", |map| map.clear()),
            ("update", |map| {
                CHANGED.for_each(|key| ignore(map.update(&key, |_| Watchful)));
            }),
            ("compute", |map| {
                let replace = |_: Option<&Watchful>| Op::Insert(Watchful);
                CHANGED.for_each(|key| ignore(map.compute(key, replace)));
            }),
            ("compute that removes", |map| {
                CHANGED.for_each(|key| ignore(map.compute(key, |_| Op::Remove)));
            }),
            ("try_compute", |map| {
                CHANGED.for_each(|key| ignore(map.try_compute(key, |_| Op::Remove)));
            }),
            ("try_update", |map| {
                CHANGED.for_each(|key| ignore(map.try_update(&key, |_| Watchful)));
            }),
        ];
        operations
    }};
}

/// `retain` and similar operations free entries after they have dropped their own guard. Operations that return a guard
/// free entries before they take it. So a slow destructor delays one thread, and not the reclamation of all maps.
#[test]
fn no_guard_is_held_while_entries_are_freed() {
    type Map = HashMap<u64, Watchful>;
    alone(|| {
        for operation in operations_that_free!(Map) {
            let insert: fn(&Map, _, _) = |map, key, value| ignore(map.insert(key, value));
            frees_without_a_guard(&Map::new(), operation, insert);
        }
    });
}

#[test]
fn no_guard_is_held_while_ordered_entries_are_freed() {
    type Map = OrdMap<u64, Watchful>;
    alone(|| {
        let remove_range: (_, fn(&Map)) = ("remove_range", |map| ignore(map.remove_range(50..)));
        for operation in operations_that_free!(Map).into_iter().chain([remove_range]) {
            let insert: fn(&Map, _, _) = |map, key, value| ignore(map.insert(key, value));
            frees_without_a_guard(&Map::new(), operation, insert);
        }
    });
}

/// The value that the next destructor of a cloned key drops. The map bounds its leaves with clones of keys.
static BOUND: Mutex<Option<Slow>> = Mutex::new(None);

/// A key whose clones have a slow destructor.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Bounding(u64, bool);

impl Clone for Bounding {
    fn clone(&self) -> Self {
        Self(self.0, true)
    }
}

impl Drop for Bounding {
    fn drop(&mut self) {
        if self.1 {
            let slow = BOUND.lock().expect("no test panics with it").take();
            drop(slow);
        }
    }
}

#[test]
fn no_guard_is_held_while_bounds_are_freed() {
    type Map = OrdMap<Bounding, u64>;
    type Operation = fn(&Map, u64);
    const KEYS: u64 = 24_000;
    alone(|| {
        let operations: [(_, Operation); 6] = [
            ("remove", |map, key| ignore(map.remove(&Bounding(key, false)))),
            ("apply_batch", |map, key| {
                let both = [key, key + 1].map(|key| (Bounding(key, false), Op::Remove));
                ignore(map.apply_batch(both));
            }),
            ("pop_first", |map, _| ignore(map.pop_first())),
            ("try_remove", |map, key| ignore(map.try_remove(&Bounding(key, false)))),
            ("compute", |map, key| ignore(map.compute(Bounding(key, false), |_| Op::Remove))),
            ("drain", |map, _| ignore(map.drain().next())),
        ];
        // Each needs a map of many leaves, which takes a sanitizer ten seconds.
        let some = effort(10).min(operations.len());
        for (name, operation) in &operations[..some] {
            let map = Arc::new(Map::new());
            (0..KEYS).for_each(|n| ignore(map.insert(Bounding(n, false), n)));
            // The map merges leaves, which retires more than a batch of bounds.
            let (slow, begun, end) = Slow::new();
            *BOUND.lock().expect("no thread panics") = Some(slow);
            let theirs = map.clone();
            let operation = *operation;
            let other = thread::spawn(move || (0..KEYS).for_each(|key| operation(&theirs, key)));
            wait_for(&begun);
            assert_that_nobody_holds_a_guard(name);
            drop(end);
            other.join().expect("it ends");
        }
    });
}

fn inner_guards_take_nothing<'a>(name: &str, pin: impl Fn() -> Guard<'a>) {
    let map = HashMap::<u64, Slow>::new();
    map.insert(1, Slow::quick());
    let outer = pin();
    assert!(map.with_guard(&outer).get(&1).is_some());
    drop((pin(), pin()));
    joined_scope(|scope| {
        scope.spawn(|| {
            drop(map.remove(&1));
            map.reclaim();
        });
    });
    let kept = map.pending();
    assert_eq!(kept, 1, "{name}: an inner guard ends the outer one's protection");
    drop(outer);
    map.reclaim();
    assert_eq!(map.pending(), 0, "{name}: a dropped guard still protects");
}

#[test]
fn an_inner_guard_does_not_end_the_protection_of_the_outer_one() {
    alone(|| {
        inner_guards_take_nothing("pin", pin);
        let handle = Handle::new();
        inner_guards_take_nothing("a handle", || handle.pin());
    });
}

/// An iterator, the entries that it returns, their clones and the results of `compute` have a guard each. Each keeps
/// its entry alive until it is dropped, also if the others are dropped before.
#[test]
fn each_borrowed_entry_has_a_guard_of_its_own() {
    type Hashed = HashMap<u64, Slow>;
    type Ordered = OrdMap<u64, Slow>;
    /// Drops `gone`, removes the entry, and checks that `left` keeps it alive.
    fn keeps<L>(name: &str, gone: impl Sized, left: L, remove: &(dyn Fn() -> usize + Sync)) {
        drop(gone);
        let mut pending = 0;
        thread::scope(|scope| pending = scope.spawn(remove).join().expect("it removes"));
        assert_eq!(pending, 1, "{name}: a dropped guard ends the protection of others");
        drop(left);
        assert_eq!(remove(), 0, "{name}: a dropped borrowed entry still protects");
    }
    alone(|| {
        let hashed = || -> Hashed { [(1, Slow::quick())].into() };
        let ordered = || -> Ordered { [(1, Slow::quick())].into() };
        let map = hashed();
        let remove = || {
            ignore(map.remove(&1));
            map.reclaim();
            map.pending()
        };
        let found = map.get(&1);
        keeps("a clone", found.as_ref().map(Ref::clone), found, &remove);
        map.insert(1, Slow::quick());
        let mut all = map.iter();
        let found = all.next();
        keeps("HashMap::iter", all, found, &remove);
        map.insert(1, Slow::quick());
        let mut all = map.iter();
        keeps("HashMap::iter's entry", all.next(), all, &remove);
        map.insert(1, Slow::quick());
        let done = map.compute(1, |_| Op::Keep);
        keeps("HashMap::compute", done.before, done.after, &remove);

        let map = ordered();
        let remove = || {
            ignore(map.remove(&1));
            map.reclaim();
            map.pending()
        };
        let mut all = map.range(..);
        let found = all.next();
        keeps("OrdMap::range", all, found, &remove);
        map.insert(1, Slow::quick());
        let mut all = map.iter();
        keeps("OrdMap::iter's entry", all.next(), all, &remove);
        map.insert(1, Slow::quick());
        let done = map.compute(1, |_| Op::Keep);
        keeps("OrdMap::compute", done.before, done.after, &remove);
    });
}

/// A handle returns its slot for any order of drops of its guards, and so does a thread. Otherwise reclamation would
/// check the slots of all threads that ever ran.
#[test]
fn slots_are_returned_and_reused() {
    alone(|| {
        let first = Handle::new().pin().reader_id();
        let ends: [(&str, fn()); 6] = [
            ("a handle", || drop(Handle::new())),
            ("a handle that had a guard", || drop(Handle::new().pin())),
            ("a handle that had guards", || {
                let handle = Handle::new();
                drop((handle.pin(), handle.pin()));
            }),
            ("an owned guard", || drop(Handle::new().into_guard())),
            ("an owned guard that was sent", || {
                let guard = Handle::new().into_guard();
                ignore(thread::spawn(move || drop(guard)).join());
            }),
            ("a thread", || ignore(thread::spawn(|| drop((pin(), pin()))).join())),
        ];
        for (name, end) in ends {
            (0..50).for_each(|_| end());
            let number = Handle::new().pin().reader_id();
            assert_eq!(number, first, "{name} does not return its slot");
        }
    });
}

/// A leaked guard keeps entries alive until their map is dropped, but no longer.
#[test]
fn a_leaked_guard_keeps_garbage_until_its_map_is_dropped() {
    alone(|| {
        thread::spawn(|| {
            std::mem::forget((pin(), Handle::new().pin(), Handle::new().into_guard()));
        })
        .join()
        .expect("it leaks");
        let map = HashMap::<u64, Slow>::new();
        (0..5_000).for_each(|n| ignore(map.insert(n % 10, Slow::quick())));
        map.reclaim();
        assert_eq!((map.pending(), map.stalled_readers().count()), (4_990, 3));
        drop(map);
        assert_eq!(
            ALIVE.load(Ordering::Relaxed),
            0,
            "the map's end drops what a leaked guard kept"
        );
    });
}

/// A thread that only calls `update` frees the entries that it replaces, although each call returns a guard.
#[test]
fn updates_free_what_they_replace() {
    let times = effort(100_000).max(20_000);
    alone(|| {
        let hashed: HashMap<u64, Slow> = [(7, Slow::quick())].into();
        let ordered: OrdMap<u64, Slow> = [(7, Slow::quick())].into();
        let operations: [(_, &dyn Fn()); 4] = [
            ("HashMap::update", &|| ignore(hashed.update(&7, |_| Slow::quick()))),
            ("HashMap::compute", &|| ignore(hashed.compute(7, |_| Op::Insert(Slow::quick())))),
            ("OrdMap::update", &|| ignore(ordered.update(&7, |_| Slow::quick()))),
            ("OrdMap::compute", &|| ignore(ordered.compute(7, |_| Op::Insert(Slow::quick())))),
        ];
        for (name, operation) in operations {
            (0..times).for_each(|_| operation());
            let kept = ALIVE.load(Ordering::Relaxed);
            assert!(kept < FEW, "{name}: updates alone keep {kept} entries that could be freed");
        }
    });
}

/// The number of destructors that have run.
static RUN: AtomicUsize = AtomicUsize::new(0);

/// A value whose destructor always panics, even while its thread unwinds, which would abort.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        RUN.fetch_add(1, Ordering::Relaxed);
        planned_panic();
    }
}

/// Calls `attempt` with every number, then `rest` until it returns `true`, and catches panics. Returns their number.
fn panics_in(numbers: Range<u64>, attempt: impl Fn(u64), rest: impl Fn() -> bool) -> usize {
    let count = numbers.filter(|n| panics(|| attempt(*n))).count();
    let mut more = 0;
    while panics(|| ignore(rest())) || rest() {
        more += 1;
        assert!(more < 10_000, "garbage is never freed completely");
    }
    count + more
}

/// Each panic leaves the operation that ran the destructor. A later operation frees the other nodes of the same batch.
#[test]
fn destructors_that_all_panic_are_run_once_each() {
    const STORED: u64 = 1_500;
    let one_by_one = |(_, bomb): (u64, Bomb)| panics(|| drop(bomb)).then_some(());
    alone(|| {
        let map = HashMap::<u64, Bomb>::new();
        // `compute` frees garbage before it calls the closure. If that panics, there is no new value yet.
        let made = AtomicUsize::new(0);
        let bomb = || {
            made.fetch_add(1, Ordering::Relaxed);
            Bomb
        };
        let store = |n| match n % 2 {
            0 => ignore(map.insert(n % 10, bomb())),
            _ => ignore(map.compute(n % 10, |_| Op::Insert(bomb()))),
        };
        let collects = || {
            map.reclaim();
            map.pending() > 0
        };
        let count = panics_in(0..STORED, store, collects);
        let run = RUN.load(Ordering::Relaxed);
        assert_eq!(run, made.into_inner() - map.len(), "dropped twice, or never");
        assert!(count > 700, "{count}");
        // One at a time: a second panic during unwinding would abort.
        assert_eq!(map.into_iter().filter_map(one_by_one).count(), 10);

        RUN.store(0, Ordering::Relaxed);
        let map = OrdMap::<u64, Bomb>::new();
        let store = |n| ignore(map.insert(n % 10, Bomb));
        let collects = || {
            map.reclaim();
            map.pending() > 0
        };
        let count = panics_in(0..STORED, store, collects);
        let run = RUN.load(Ordering::Relaxed);
        assert_eq!(run, STORED as usize - map.len(), "dropped twice, or never");
        assert!(count > 1_000, "{count}");
        assert_eq!(map.into_iter().filter_map(one_by_one).count(), 10);
    });
}

/// Entries that an unwinding thread removes become garbage as usual, but the thread frees none: the destructor of
/// an unrelated entry might panic too, which would abort the process.
#[test]
fn an_unwinding_thread_runs_no_destructor_of_other_entries() {
    alone(|| {
        let map = HashMap::<u64, Option<Bomb>>::new();
        (100..2_100).for_each(|key| ignore(map.insert(key, None)));
        let guard = pin();
        (0..2_000).for_each(|_| ignore(map.insert(1, Some(Bomb))));
        drop(guard);
        let taken: Vec<_> = (100..2_100).map(|key| map.remove(&key)).collect();
        let message = || {
            let _taken = taken;
            planned_panic();
        };
        must_panic("an operation", message);
        assert_eq!((RUN.load(Ordering::Relaxed), map.pending()), (0, 3_999));
        // After the panic, the thread frees garbage again.
        while panics(|| map.reclaim()) {}
        assert_eq!((RUN.load(Ordering::Relaxed), map.pending()), (1_999, 0));
        must_panic("the end of the map", || drop(map));
    });
}

/// A counted value that may panic when it is dropped.
struct Armed {
    panics: bool,
    _counted: Slow,
}

impl Drop for Armed {
    fn drop(&mut self) {
        if self.panics && !thread::panicking() {
            planned_panic();
        }
    }
}

/// A map drops its garbage in `into_iter`, in `shrink_to_fit` and in its own destructor. If a destructor of the garbage
/// panics then, the entries are still dropped.
#[test]
fn a_panic_while_a_map_is_dropped_leaks_nothing() {
    alone(|| {
        let armed = |n| Armed { panics: n == 7, _counted: Slow::quick() };
        let hashed = || {
            let map: HashMap<u64, Armed> = (0..100).map(|n| (n, armed(n))).collect();
            drop(map.remove(&7));
            map
        };
        let ordered = || {
            let map: OrdMap<u64, Armed> = (0..100).map(|n| (n, armed(n))).collect();
            drop(map.remove(&7));
            map
        };
        let ends: [(&str, &dyn Fn()); 6] = [
            ("HashMap::into_iter", &|| ignore(hashed().into_iter())),
            ("HashMap::shrink_to_fit", &|| hashed().shrink_to_fit()),
            ("HashMap::drop", &|| drop(hashed())),
            ("OrdMap::into_iter", &|| ignore(ordered().into_iter())),
            ("OrdMap::drop", &|| drop(ordered())),
            ("IntoIter::drop", &|| {
                let map: HashMap<u64, Armed> = (0..100).map(|n| (n, armed(n))).collect();
                drop(map.into_iter());
            }),
        ];
        for (name, end) in ends {
            must_panic(name, end);
            let left = ALIVE.swap(0, Ordering::Relaxed);
            assert_eq!(left, 0, "{name}: values are leaked if a destructor panics");
        }
    });
}

/// A key that panics when it is dropped, if it is odd.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Odd(u64);

impl Drop for Odd {
    fn drop(&mut self) {
        if self.0 % 2 == 1 && !thread::panicking() {
            planned_panic();
        }
    }
}

/// If the destructor of an operation's key panics, the entry that the operation removed becomes garbage.
#[test]
fn a_key_that_panics_leaks_no_removed_entry() {
    alone(|| {
        let hashed: HashMap<Odd, Slow> = [1, 3, 5].map(|n| (Odd(n), Slow::quick())).into();
        let ordered: OrdMap<Odd, Slow> = [1, 3].map(|n| (Odd(n), Slow::quick())).into();
        let bytes = BytesMap::from([("odd", "value")]);
        let condition = || {
            let odd = Odd(7);
            move |_: &Odd, _: &Slow| {
                let _captured = &odd;
                true
            }
        };
        must_panic("HashMap::compute", || ignore(hashed.compute(Odd(1), |_| Op::Remove)));
        must_panic("OccupiedEntry::remove", || match hashed.entry(Odd(3)) {
            Entry::Occupied(entry) => ignore(entry.remove()),
            Entry::Vacant(_) => unreachable!("it was inserted"),
        });
        must_panic("OrdMap::compute", || ignore(ordered.compute(Odd(1), |_| Op::Remove)));
        let (five, three) = (ManuallyDrop::new(Odd(5)), ManuallyDrop::new(Odd(3)));
        must_panic("HashMap::remove_if", || ignore(hashed.remove_if(&*five, condition())));
        must_panic("OrdMap::remove_if", || ignore(ordered.remove_if(&*three, condition())));
        must_panic("BytesMap::insert", || ignore(bytes.insert(Odd(1), "other")));
        must_panic("BytesMap::try_insert", || ignore(bytes.try_insert(Odd(1), "third")));
        must_panic("BytesMap::remove", || ignore(bytes.remove(Odd(1))));
        bytes.insert("odd", "value");
        must_panic("BytesMap::try_remove", || ignore(bytes.try_remove(Odd(1))));
        let waiting = (hashed.pending(), ordered.pending(), bytes.pending());
        assert_eq!(waiting, (3, 2, 4), "a removed entry is leaked if the key's destructor panics");
        // The stored keys are odd too, so they panic.
        must_panic("the map's end", || drop(hashed));
        must_panic("the map's end", || drop(ordered));
        assert_eq!(ALIVE.load(Ordering::Relaxed), 0);
    });
}

impl AsRef<[u8]> for Odd {
    fn as_ref(&self) -> &[u8] {
        b"odd"
    }
}

/// If an operation that returns a borrowed entry drops a key or a closure, and that panics, the operation drops the
/// entry's guard. A leaked guard would keep the garbage of all maps.
#[test]
fn a_destructor_that_panics_leaks_no_guard() {
    type Operation = fn(&HashMap<Odd, u64>, &OrdMap<Odd, u64>, &BytesMap);
    /// Makes a closure that owns a value with a destructor.
    fn owned() -> impl Fn() -> u64 {
        let odd = Odd(7);
        move || {
            // The closure captures the whole value, because its number alone has no destructor.
            let odd = &odd;
            odd.0
        }
    }
    let operations: [(_, Operation); 11] = [
        ("HashMap::get_or_insert_with", |map, _, _| {
            ignore(map.get_or_insert_with(Odd(1), || 2));
        }),
        ("HashMap::get_or_try_insert_with", |map, _, _| {
            ignore(map.get_or_try_insert_with(Odd(1), || Ok::<_, ()>(2)));
        }),
        ("HashMap::update", |map, _, _| {
            let made = owned();
            ignore(map.update(&Odd(2), move |_| made()));
        }),
        ("Entry::or_insert_with, the key", |map, _, _| {
            ignore(map.entry(Odd(1)).or_insert_with(|| 2));
        }),
        ("Entry::or_insert_with, the closure", |map, _, _| {
            let made = owned();
            ignore(map.entry(Odd(2)).or_insert_with(made));
        }),
        ("Entry::or_insert_with_key, the closure", |map, _, _| {
            let made = owned();
            ignore(map.entry(Odd(2)).or_insert_with_key(move |_| made()));
        }),
        ("OrdMap::get_or_try_insert_with", |_, map, _| {
            ignore(map.get_or_try_insert_with(Odd(1), || Ok::<_, ()>(2)));
        }),
        ("OrdMap::update", |_, map, _| {
            let made = owned();
            ignore(map.update(&Odd(2), move |_| made()));
        }),
        ("BytesMap::get", |_, _, map| ignore(map.get(Odd(1)))),
        ("BytesMap::try_get", |_, _, map| ignore(map.try_get(Odd(1)))),
        ("BytesMap::compute", |_, _, map| {
            ignore(map.compute(Odd(1), |_| Op::<&str>::Keep));
        }),
    ];
    alone(|| {
        let hashed = HashMap::<Odd, u64>::new();
        let ordered = OrdMap::<Odd, u64>::new();
        let bytes = BytesMap::from([("odd", "value")]);
        for key in [1, 2] {
            hashed.insert(Odd(key), key);
            ordered.insert(Odd(key), key);
        }
        for (name, operation) in operations {
            must_panic(name, || operation(&hashed, &ordered, &bytes));
            bytes.insert("other", "first");
            bytes.insert("other", "second");
            bytes.reclaim();
            assert_eq!(bytes.pending(), 0, "{name}: a guard is leaked if a destructor panics");
        }
        must_panic("the map's end", || drop(hashed));
        must_panic("the map's end", || drop(ordered));
    });
}

thread_local! {
    /// The depth of nested destructors of this thread.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}
static DEEPEST: AtomicUsize = AtomicUsize::new(0);

/// A value whose destructor inserts a new one into the next map of a ring, removes it and calls `reclaim`.
struct Chain {
    age: usize,
    maps: Weak<Vec<HashMap<u64, Chain>>>,
}

impl Drop for Chain {
    fn drop(&mut self) {
        let Some(maps) = self.maps.upgrade().filter(|_| self.age > 0) else { return };
        DEPTH.set(DEPTH.get() + 1);
        DEEPEST.fetch_max(DEPTH.get(), Ordering::Relaxed);
        let map = &maps[self.age % maps.len()];
        map.insert(1, Self { age: self.age - 1, maps: self.maps.clone() });
        ignore(map.remove(&1));
        map.reclaim();
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// A chain of destructors that write and call `reclaim` nests to a bounded depth: one destructor for each map, and at
/// most eight.
#[test]
fn destructors_that_reclaim_nest_to_a_bounded_depth() {
    alone(|| {
        for (ring, bound) in [(1, 1), (2, 2), (12, 8)] {
            let maps: Arc<Vec<_>> = Arc::new((0..ring).map(|_| HashMap::new()).collect());
            DEEPEST.store(0, Ordering::Relaxed);
            maps[0].insert(1, Chain { age: 20_000, maps: Arc::downgrade(&maps) });
            ignore(maps[0].remove(&1));
            while maps.iter().any(|map| map.pending() > 0) {
                maps.iter().for_each(HashMap::reclaim);
            }
            let deepest = DEEPEST.load(Ordering::Relaxed);
            assert_eq!(deepest, bound, "destructors within each other, of {ring} maps");
        }
    });
}

/// A map in a thread-local drops everything, whether it ends before its thread's slot or after it. The destructors of
/// its values may use maps.
#[test]
fn maps_in_thread_locals_are_dropped_with_their_thread() {
    static SHARED: LazyLock<HashMap<u64, u64>> = LazyLock::new(Default::default);
    struct Last(Slow);
    impl Drop for Last {
        fn drop(&mut self) {
            let guard = pin();
            ignore(SHARED.insert(1, 1));
            ignore((SHARED.with_guard(&guard).get(&1), self.0.0.is_some()));
        }
    }
    thread_local!(static MAP: HashMap<u64, Last> = HashMap::new());
    alone(|| {
        for round in 0..40 {
            let work = move || {
                if round % 2 == 0 {
                    drop(pin());
                }
                let churn = |map: &HashMap<u64, Last>| {
                    (0..1_000).for_each(|n| ignore(map.insert(n % 50, Last(Slow::quick()))));
                };
                MAP.with(churn);
            };
            thread::spawn(work).join().expect("the thread ends without a panic");
        }
        assert_eq!(ALIVE.load(Ordering::Relaxed), 0, "a map in a thread-local keeps its entries");
        let number = Handle::new().pin().reader_id();
        assert!(number < 3, "threads that end do not return their slots: {number}");
        SHARED.reclaim();
        assert_eq!(SHARED.pending(), 0);
    });
}
