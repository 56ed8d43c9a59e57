//! builds: asan tsan narrow portable
//! Maps with a collector of their own: whose guards delay whose drops, which guards a map takes, and who keeps a
//! collector. Tests that look at what is dropped run in a process of their own.

use crate::support;

use hedgerow::owned::{Collector, Guard, Handle, OwnedGuard, pin};
use hedgerow::sets::{HashSet, OrdSet};
use hedgerow::{BytesMap, HashMap, Op, OrdMap};
use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Weak};
use std::thread;
use support::alone::alone;
use support::tracked::Tracked;
use support::{effort, ignore};

type Hashed = HashMap<u64, Tracked>;
type Ordered = OrdMap<u64, Tracked>;

/// What the tests need of a map, whichever it is.
trait Map: Sized {
    fn make() -> Self;
    fn with(self, collector: &Collector) -> Self;
    fn put(&self, key: u64, value: Tracked);
    fn take(&self, key: u64);
    fn free(&self) -> usize;
    fn readers(&self) -> usize;
}

macro_rules! maps {
    ($($map:ty)*) => {$(
        impl Map for $map {
            fn make() -> Self {
                Self::new()
            }
            fn with(self, collector: &Collector) -> Self {
                self.with_collector(collector)
            }
            fn put(&self, key: u64, value: Tracked) {
                drop(self.insert(key, value));
            }
            fn take(&self, key: u64) {
                drop(self.remove(&key));
            }
            fn free(&self) -> usize {
                self.reclaim();
                self.pending()
            }
            fn readers(&self) -> usize {
                self.stalled_readers().count()
            }
        }
    )*};
}
maps!(Hashed Ordered);

/// Puts an entry into the map and takes it out. Returns how many values of it are alive then.
fn left_alive(map: &impl Map) -> usize {
    let alive = Arc::new(AtomicUsize::new(0));
    map.put(1, Tracked::new(1, &alive));
    map.take(1);
    let (pending, alive) = (map.free(), alive.load(Ordering::Relaxed));
    assert!(pending >= alive, "what is alive is not pending");
    alive
}

fn a_guard_delays_its_own<M: Map>() {
    let (one, other) = (Collector::new(), Collector::new());
    let maps = [M::make(), M::make().with(&one), M::make().with(&one), M::make().with(&other)];
    let left = || maps.each_ref().map(left_alive);
    assert_eq!(left(), [0; 4], "no guard is held");
    {
        let _held = pin();
        assert_eq!(left(), [1, 0, 0, 0], "a guard of the process");
        assert_eq!(maps.each_ref().map(M::readers), [1, 0, 0, 0]);
    }
    assert_eq!(left(), [0; 4], "the guard of the process is dropped");
    {
        let _held = one.pin();
        assert_eq!(left(), [0, 1, 1, 0], "a guard of one collector");
        assert_eq!(maps.each_ref().map(M::readers), [0, 1, 1, 0]);
    }
    let handle = other.handle();
    assert_eq!(left(), [0; 4], "a handle without a guard");
    let _held = handle.pin();
    assert_eq!(left(), [0, 0, 0, 1], "a guard of the other one's handle");
}

/// A guard delays the drops in the maps of its collector, and in no other map. Two maps may share a collector.
#[test]
fn a_guard_delays_drops_in_the_maps_of_its_collector() {
    alone(|| {
        a_guard_delays_its_own::<Hashed>();
        a_guard_delays_its_own::<Ordered>();
    });
}

/// Each thing that holds a guard of the map: while it exists, the map drops nothing, and after it everything.
#[test]
fn what_a_map_returns_holds_a_guard_of_its_collector() {
    /// Asserts that `held` keeps the entry that is removed under it, and that nothing else does.
    fn keeps<H>(what: &str, map: &impl Map, of_the_process: &impl Map, held: H) {
        assert_eq!((left_alive(map), left_alive(of_the_process)), (1, 0), "{what}");
        drop(held);
        assert_eq!(map.free(), 0, "{what}, dropped");
    }
    alone(|| {
        let (alive, collector) = (Arc::new(AtomicUsize::new(0)), Collector::new());
        let other = Hashed::new();
        macro_rules! each {
            ($map:ident: $($what:expr,)*) => {$(
                $map.put(7, Tracked::new(7, &alive));
                let held = $what;
                keeps(stringify!($what), &$map, &other, held);
            )*};
        }
        let new = || Tracked::new(7, &alive);
        let map = Hashed::new().with_collector(&collector);
        each! { map:
            map.get(&7), map.get_key_value(&7), map.try_get(&7), map.pin(), map.pin_owned(), map.iter(), map.keys(),
            map.iter().next(), map.keys().next(), map.drain(), map.extract_if(|_, _| false),
            map.update(&7, Tracked::clone), map.compute(7, |_| Op::Keep), map.get_or_insert_with(7, new),
            map.entry(7).or_insert_with(new), map.get_or_insert_with(8, new), collector.pin(),
        }
        let map = Ordered::new().with_collector(&collector);
        each! { map:
            map.get(&7), map.try_get(&7), map.pin(), map.pin_owned(), map.iter(), map.keys(), map.range(..),
            map.iter_range(..), map.iter().next(), map.iter_range(..).next_back(), map.range(..).next(),
            map.first_key_value(), map.last_key_value(), map.floor(&7), map.ceiling(&7), map.predecessor(&8),
            map.successor(&6), map.drain(), map.extract_if(|_, _| false), map.update(&7, Tracked::clone),
            map.compute(7, |_| Op::Keep), map.get_or_insert_with(7, new), map.entry(7).or_insert_with(new),
        }
        let bytes = BytesMap::from([("rose", "red")]).with_collector(&collector);
        let map = Hashed::new().with_collector(&collector);
        each! { map:
            bytes.get("rose"), bytes.try_get("rose"), bytes.pin(), bytes.pin_owned(), bytes.iter(), bytes.drain(),
            bytes.iter().next(), bytes.compute("rose", |_| Op::<&str>::Keep), bytes.get_or_insert_with("rose", || ""),
        }
        let (hashed, ordered) = (HashSet::from([7_u64]), OrdSet::from([7_u64]));
        let (hashed, ordered) =
            (hashed.with_collector(&collector), ordered.with_collector(&collector));
        each! { map: hashed.get(&7), hashed.iter(), ordered.get(&7), ordered.first(), ordered.iter(), }
    });
}

/// Asserts that `with_guard` takes the guard if `right`, and panics with the message about it otherwise.
fn is_taken(what: &str, right: bool, take: impl FnOnce()) {
    let refused = catch_unwind(AssertUnwindSafe(take)).err();
    let says = refused
        .map(|why| why.downcast::<&str>().is_ok_and(|why| why.contains("another collector")));
    assert_eq!(says, (!right).then_some(true), "{what}");
}

/// Takes a guard, and passes it on.
type TakeGuard<'c> = Box<dyn Fn(&dyn Fn(&Guard<'_>)) + 'c>;

/// A map takes the guards of its collector alone. Another one would not keep what is found under it.
#[test]
fn a_guard_of_another_collector_is_refused() {
    let collectors = [Collector::new(), Collector::new()];
    let (hashed, bytes, ordered) = (
        || HashMap::from([(7, 'a')]),
        || BytesMap::from([("rose", "red")]),
        || OrdMap::from([(7, 'a')]),
    );
    let guards: [(&str, Option<usize>, TakeGuard<'_>); 8] = [
        ("pin", None, Box::new(|with| with(&pin()))),
        ("a handle", None, Box::new(|with| with(&Handle::new().pin()))),
        ("an owned guard", None, Box::new(|with| with(&Handle::new().into_guard()))),
        ("a pinned map", None, Box::new(|with| with(hashed().pin().guard()))),
        ("a collector", Some(0), Box::new(|with| with(&collectors[0].pin()))),
        ("a collector's handle", Some(0), Box::new(|with| with(&collectors[0].handle().pin()))),
        (
            "a collector's owned guard",
            Some(1),
            Box::new(|with| with(&collectors[1].handle().into_guard())),
        ),
        (
            "a pinned map of a collector",
            Some(1),
            Box::new(|with| with(ordered().with_collector(&collectors[1]).pin_owned().guard())),
        ),
    ];
    for own in [None, Some(0), Some(1)] {
        let (mut hashed, mut bytes, mut ordered) = (hashed(), bytes(), ordered());
        if let Some(own) = own {
            let own = &collectors[own];
            hashed = hashed.with_collector(own);
            bytes = bytes.with_collector(own);
            ordered = ordered.with_collector(own);
        }
        for (what, of, guard) in &guards {
            guard(&|guard| {
                let right = *of == own;
                let what = format!("{what} of {of:?}, for a map of {own:?}");
                is_taken(&what, right, || assert!(hashed.with_guard(guard).get(&7).is_some()));
                is_taken(&what, right, || assert!(bytes.with_guard(guard).get("rose").is_some()));
                is_taken(&what, right, || assert!(ordered.with_guard(guard).get(&7).is_some()));
            });
        }
    }
}

/// A collector lives as long as anything of it, whatever is dropped first.
#[test]
fn a_collector_lives_as_long_as_its_last_guard() {
    alone(|| {
        for end in 0..6 {
            let alive = Arc::new(AtomicUsize::new(0));
            let collector = Collector::new();
            let map = Hashed::new().with_collector(&collector);
            map.put(1, Tracked::new(1, &alive));
            let (handle, guard) = (collector.handle(), collector.handle().into_guard());
            match end {
                0 => {
                    drop(collector);
                    drop(map);
                    drop(handle.pin());
                    drop((handle, guard));
                }
                1 => {
                    drop((map, collector, handle));
                    drop(thread::spawn(move || drop(guard)).join());
                }
                2 => {
                    drop((collector, guard));
                    assert_eq!(map.get(&1).map(|found| found.value), Some(1));
                    drop(handle);
                    map.take(1);
                    assert_eq!(map.free(), 0);
                }
                3 => {
                    forget((handle.pin(), collector.pin(), guard));
                    drop(handle);
                    map.take(1);
                    assert_eq!((map.free(), map.readers()), (1, 3), "leaked guards keep the entry");
                    drop((map, collector));
                }
                4 => {
                    let inner = handle.pin();
                    map.take(1);
                    assert_eq!(map.free(), 1);
                    drop((inner, guard, collector));
                    assert_eq!(map.free(), 0);
                }
                _ => {
                    // The guard goes with an entry, and so with the map that it is of.
                    let ring = HashMap::<u64, OwnedGuard>::new().with_collector(&collector);
                    drop(ring.insert(1, guard));
                    drop((collector, ring, handle));
                    assert_eq!(map.len(), 1);
                }
            }
            assert_eq!(alive.load(Ordering::Relaxed), usize::from(end == 5), "case {end}");
        }
    });
}

/// Guards give their slots back: a collector does not grow with the number of guards that it has had.
#[test]
fn guards_of_a_collector_reuse_its_slots() {
    let collector = Collector::new();
    let map = Hashed::new().with_collector(&collector);
    for _ in 0..1_000 {
        let guards = [(); 3].map(|()| collector.pin());
        drop((map.get(&1), map.pin_owned(), collector.handle()));
        assert!(guards.iter().all(|guard| guard.reader_id() < 16), "a guard keeps its slot");
        let numbers = guards.each_ref().map(|guard| guard.reader_id());
        assert!(numbers[0] != numbers[1] && numbers[1] != numbers[2], "two guards have one slot");
    }
    let many = [(); 40].map(|()| collector.pin());
    assert_eq!(many.map(|guard| guard.reader_id()).iter().max(), Some(&39));
    assert_eq!(map.iter().count(), 0);
}

/// A map may get a collector when it has entries, and garbage that guards of others keep no longer.
#[test]
fn a_map_gets_a_collector_with_its_entries_in_it() {
    fn check<M: Map>(len: impl Fn(&M) -> usize) {
        let alive = Arc::new(AtomicUsize::new(0));
        let (collector, map) = (Collector::new(), M::make());
        let of_the_process = pin();
        (0..2_000).for_each(|n| map.put(n % 500, Tracked::new(n, &alive)));
        assert_eq!(alive.load(Ordering::Relaxed), 2_000, "the guard keeps them");
        let map = map.with(&collector);
        assert_eq!((len(&map), alive.load(Ordering::Relaxed)), (500, 500), "the removed ones go");
        let of_the_map = collector.pin();
        (0..2_000).for_each(|n| map.put(n % 500, Tracked::new(n, &alive)));
        assert_eq!((map.free(), map.readers()), (2_000, 1), "the new guard keeps them");
        drop(of_the_map);
        assert_eq!((map.free(), alive.load(Ordering::Relaxed)), (0, 500));
        drop((map, of_the_process));
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    }
    alone(|| {
        check::<Hashed>(HashMap::len);
        check::<Ordered>(OrdMap::len);
    });
}

/// Clones have the collector too; maps that are made otherwise have none.
#[test]
fn a_clone_has_the_collector() {
    let collector = Collector::new();
    let hashed = HashMap::from([(7, 'a')]).with_collector(&collector);
    let ordered = OrdMap::from([(7, 'a')]).with_collector(&collector);
    let bytes = BytesMap::from([("rose", "red")]).with_collector(&collector);
    let (hashed, ordered, bytes) = (hashed.clone(), ordered.clone(), bytes.clone());
    let guard = collector.pin();
    assert_eq!(hashed.with_guard(&guard).get(&7), Some(&'a'));
    assert_eq!(ordered.with_guard(&guard).get(&7), Some(&'a'));
    assert!(bytes.with_guard(&guard).get("rose").is_some());
    let all = [hashed.collector(), ordered.collector(), bytes.collector()];
    assert_eq!(all, [Some(&collector); 3]);
    assert_ne!(Some(&Collector::new()), all[0]);
    assert_eq!(HashMap::from([(7, 'a')]).collector(), None);
}

/// A value whose destructor writes to the next of some maps, of this collector, of another one or of none.
struct Chain {
    age: usize,
    maps: Weak<Vec<HashMap<u64, Chain>>>,
}

impl Drop for Chain {
    fn drop(&mut self) {
        let Some(maps) = self.maps.upgrade().filter(|_| self.age > 0) else { return };
        let map = &maps[self.age % maps.len()];
        let _held = map.pin();
        map.insert(1, Self { age: self.age - 1, maps: self.maps.clone() });
        ignore(map.remove(&1));
        map.reclaim();
        drop((map.get(&1), map.iter().next()));
    }
}

#[test]
fn destructors_write_to_maps_of_the_same_collector_and_of_others() {
    alone(|| {
        let [one, other] = [Collector::new(), Collector::new()];
        let new = HashMap::<u64, Chain>::new;
        for maps in [
            vec![new().with_collector(&one)],
            vec![new().with_collector(&one), new().with_collector(&one)],
            vec![new().with_collector(&one), new().with_collector(&other), new()],
        ] {
            let maps = Arc::new(maps);
            maps[0].insert(1, Chain { age: effort(5_000), maps: Arc::downgrade(&maps) });
            ignore(maps[0].remove(&1));
            while maps.iter().any(|map| map.pending() > 0) {
                maps.iter().for_each(HashMap::reclaim);
            }
        }
    });
}

/// Threads read and replace entries of maps that share a collector, with guards of every kind: no entry is dropped
/// under a guard, and each once.
fn threads_share_a_collector<M: Map + Sync>(
    seen: impl Fn(&M, &Collector, u64) -> Option<(u64, bool)> + Sync,
) {
    const KEYS: u64 = 32;
    let (alive, collector) = (Arc::new(AtomicUsize::new(0)), Collector::new());
    let maps = [M::make().with(&collector), M::make().with(&collector), M::make()];
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for thread in 0..4 {
            let (maps, alive, collector, start, seen) = (&maps, &alive, &collector, &start, &seen);
            scope.spawn(move || {
                start.wait();
                for n in 0..effort(20_000_u64) {
                    let (map, key) = (&maps[(n % 3) as usize], n * 7 % KEYS);
                    match (n + thread) % 4 {
                        0 => map.put(key, Tracked::new(key, alive)),
                        1 if n % 8 == 1 => map.take(key),
                        _ => {
                            let found = seen(map, collector, key);
                            assert!(found.is_none_or(|found| found == (key, false)), "{found:?}");
                        }
                    }
                }
            });
        }
    });
    assert_eq!(maps.each_ref().map(M::free), [0; 3]);
    drop(maps);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

#[test]
fn threads_read_under_guards_of_a_collector_while_others_remove() {
    alone(|| {
        let value = |found: &Tracked| (found.value, found.dropped);
        threads_share_a_collector::<Hashed>(|map, collector, key| match key % 4 {
            0 => map.get(&key).as_deref().map(value),
            1 => map.pin_owned().get(&key).map(value),
            2 if map.collector().is_some() => map.with_guard(&collector.pin()).get(&key).map(value),
            2 => map.with_guard(&pin()).get(&key).map(value),
            _ => map.iter().find(|entry| *entry.key() == key).as_deref().map(value),
        });
        threads_share_a_collector::<Ordered>(|map, collector, key| match key % 4 {
            0 => map.get(&key).as_deref().map(value),
            1 => map.range(key..=key).next().as_deref().map(value),
            2 if map.collector().is_some() => map.with_guard(&collector.pin()).get(&key).map(value),
            2 => map.with_guard(&pin()).get(&key).map(value),
            _ => map.iter_range(key..).next_back().as_deref().map(|v| (key, v.dropped)),
        });
    });
}
