//! builds: asan narrow
//! Maps of owned data with hostile user code: a `Hash`, `Eq`, `Ord` or `Clone` that lies, and odd layouts.
//! The results may be wrong then, but each operation must terminate, and the map must drop each value once.

use crate::support;

use hedgerow::owned::{Op, Removed, pin};
use hedgerow::{BytesMap, HashMap, OrdMap};
use std::cell::Cell;
use std::cmp::Ordering;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher};
use std::ops::{Bound, RangeBounds};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as Memory};
use support::rng::{Rng, mix};
use support::tracked::Tracked;
use support::{ignore, within};

/// The answer of user code to its n-th call, instead of the truth.
#[derive(Clone, Copy, Debug)]
enum Lie {
    None,
    Constant,
    /// Alternates between the truth and another answer.
    Alternating,
    /// Alternates after two answers of each kind.
    Pairs,
    Random,
}

impl Lie {
    const ALL: [Self; 5] =
        [Self::None, Self::Constant, Self::Alternating, Self::Pairs, Self::Random];

    fn tell(self, truth: u64, asked: &'static std::thread::LocalKey<Cell<u64>>) -> u64 {
        asked.set(asked.get() + 1);
        let n = asked.get();
        match self {
            Self::None => truth,
            Self::Constant => 0,
            Self::Alternating => truth ^ (n % 2),
            Self::Pairs => truth ^ (n / 2 % 2),
            Self::Random => truth ^ (mix(n) % 2),
        }
    }
}

thread_local! {
    /// How `Hash`, `Eq` and `Ord`, and `Clone` lie.
    static LIES: Cell<[Lie; 3]> = const { Cell::new([Lie::None; 3]) };
    static HASHED: Cell<u64> = const { Cell::new(0) };
    static COMPARED: Cell<u64> = const { Cell::new(0) };
    static CLONED: Cell<u64> = const { Cell::new(0) };
}

/// A key that lies.
struct Liar(Tracked);

impl Liar {
    fn compare(&self, other: &Self) -> Ordering {
        assert!(!self.0.dropped && !other.0.dropped, "a key is compared that was dropped");
        let truth = self.0.value.cmp(&other.0.value);
        match LIES.get()[1].tell(0, &COMPARED) {
            0 => truth,
            _ if truth.is_eq() => Ordering::Less,
            _ => Ordering::Equal,
        }
    }
}

impl Hash for Liar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        assert!(!self.0.dropped, "a key is hashed that was dropped");
        LIES.get()[0].tell(self.0.value, &HASHED).hash(state);
    }
}
impl Ord for Liar {
    fn cmp(&self, other: &Self) -> Ordering {
        self.compare(other)
    }
}
impl PartialOrd for Liar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Liar {
    fn eq(&self, other: &Self) -> bool {
        self.compare(other).is_eq()
    }
}
impl Eq for Liar {}
impl Clone for Liar {
    fn clone(&self) -> Self {
        let mut clone = self.0.clone();
        clone.value = LIES.get()[2].tell(clone.value, &CLONED);
        Self(clone)
    }
}

/// Runs `work` once for every combination of lies, and asserts that each value it created is dropped once.
fn with_all_lies(what: &'static str, work: fn(&dyn Fn(u64) -> Tracked)) {
    within(60, what, move || {
        for hash in Lie::ALL {
            for compare in Lie::ALL {
                for clone in Lie::ALL {
                    let alive = Arc::new(AtomicUsize::new(0));
                    LIES.set([hash, compare, clone]);
                    work(&|n| Tracked::new(n, &alive));
                    LIES.set([Lie::None; 3]);
                    let left = alive.load(Memory::Relaxed);
                    assert_eq!(
                        left, 0,
                        "{hash:?}, {compare:?}, {clone:?}: dropped never, or twice"
                    );
                }
            }
        }
    });
}

/// For any answers of the keys, each operation on a map of hashed keys terminates, and the map drops each value once.
#[test]
fn operations_on_hashed_keys_that_lie_terminate() {
    with_all_lies("operations with keys that lie", |new| {
        let mut map = HashMap::<Liar, Tracked>::new();
        let key = |n| Liar(new(n));
        let mut rng = Rng::new(1);
        for step in 0..600 {
            let (one, guard) = (key(rng.next() % 40), pin());
            match step % 13 {
                0..=3 => ignore(map.insert(one, new(step))),
                4 => ignore(map.insert_if_absent(one, new(step))),
                5 => ignore(map.update(&one, |value| new(value.value + 1))),
                6 => ignore(map.compute(one, |old| match old {
                    Some(value) if value.value % 2 == 0 => Op::Remove,
                    _ => Op::Insert(new(step)),
                })),
                7 => ignore(map.with_guard(&guard).get_or_insert_with(one, || new(step))),
                8 => ignore(map.remove(&one).map(Removed::try_into_owned)),
                9 => ignore(map.try_compute(one, |_| Op::Insert(new(step)))),
                10 => ignore(map.with_guard(&guard).try_get_or_insert_with(one, || new(step))),
                11 => {
                    let (two, mut found) = (key(7), [None; 2]);
                    let pinned = map.with_guard(&guard);
                    pinned.get_many(&[&one, &two], &mut found);
                    let alive = found.into_iter().flatten().chain(pinned.get(&one));
                    assert!(alive.chain(pinned.values()).all(|value| !value.dropped));
                }
                _ if step % 100 == 0 => map.retain(|key, _| key.0.value % 3 > 0),
                _ if step % 50 == 0 => {
                    ignore(map.extract_if(|key, _| key.0.value % 3 == 0).take(9).count());
                }
                _ => map.reclaim(),
            }
        }
        ignore(map.drain().count());
        map.shrink_to_fit();
        ignore(map.clone().into_iter().take(10).count());
    });
}

/// Operations on ordered keys terminate too, also if the bounds of ranges change.
#[test]
fn operations_on_ordered_keys_that_lie_terminate() {
    with_all_lies("operations with ordered keys that lie", |new| {
        let map = OrdMap::<Liar, Tracked>::new();
        let key = |n| Liar(new(n));
        let mut rng = Rng::new(1);
        for step in 0..1_200 {
            let guard = pin();
            // Enough entries for several leaves.
            let (one, two) = (key(rng.next() % 400), key(rng.next() % 400));
            match step % 24 {
                0..=9 => ignore(map.insert(one, new(step))),
                10 => ignore(map.insert_if_absent(one, new(step))),
                11 => ignore(map.update(&one, |value| new(value.value + 1))),
                12 => ignore(map.compute(one, |old| match old {
                    Some(value) if value.value % 2 == 0 => Op::Remove,
                    _ => Op::Insert(new(step)),
                })),
                13 => ignore(map.with_guard(&guard).get_or_insert_with(one, || new(step))),
                14 => ignore(map.remove(&one).map(Removed::try_into_owned)),
                15 => ignore(map.try_compute(one, |_| Op::Insert(new(step)))),
                16 => ignore(map.with_guard(&guard).try_get_or_insert_with(one, || new(step))),
                17 => ignore((map.pop_first(), map.pop_last())),
                18 => {
                    let pinned = map.with_guard(&guard);
                    let (first, last) = (pinned.first_key_value(), pinned.last_key_value());
                    let near = [pinned.floor(&one), first, last];
                    let range = pinned.range(Shifty(Cell::new(0), [one, two]));
                    let alive = near.into_iter().flatten().chain(range).chain(pinned.iter());
                    alive.for_each(|(key, value)| assert!(!key.0.dropped && !value.dropped));
                }
                19 => ignore(map.remove_range(Shifty(Cell::new(0), [one, two]))),
                20 => ignore(
                    map.with_guard(&guard).iter_range(Shifty(Cell::new(0), [one, two])).count(),
                ),
                // Sorting may panic.
                21 => ignore(catch_unwind(AssertUnwindSafe(|| {
                    let changes = (0..8).map(|n| (key(n * 3), Op::Insert(new(step))));
                    map.apply_batch(changes.chain([(one, Op::Remove), (two, Op::Remove)]))
                }))),
                _ if step % 100 == 0 => map.retain(|key, _| key.0.value % 3 > 0),
                22 => ignore(map.extract_if(|key, _| key.0.value % 30 == 0).take(9).count()),
                _ => map.reclaim(),
            }
        }
        ignore(map.drain().take(200).all(|removed| !removed.key().0.dropped));
        ignore(map.clone().into_iter().take(10).count());
    });
}

/// Bounds that differ with each call.
struct Shifty(Cell<usize>, [Liar; 2]);

impl RangeBounds<Liar> for Shifty {
    fn start_bound(&self) -> Bound<&Liar> {
        self.0.set(self.0.get() + 1);
        match self.0.get() % 4 {
            0 => Bound::Unbounded,
            1 => Bound::Included(&self.1[0]),
            2 => Bound::Excluded(&self.1[1]),
            _ => Bound::Included(&self.1[1]),
        }
    }

    fn end_bound(&self) -> Bound<&Liar> {
        self.start_bound()
    }
}

/// Bytes that differ with each call, and a hasher that gives a different hash each time.
struct Fickle(Cell<u64>);

impl AsRef<[u8]> for Fickle {
    fn as_ref(&self) -> &[u8] {
        self.0.set(self.0.get() + 1);
        &b"0123456789"[..mix(self.0.get()) as usize % 10]
    }
}

impl BuildHasher for Fickle {
    type Hasher = DefaultHasher;
    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        self.0.set(self.0.get() + 1);
        (self.0.get() % 3).hash(&mut hasher);
        hasher
    }
}

#[test]
fn operations_on_strings_and_hashers_that_lie_terminate() {
    within(60, "operations with strings that lie", || {
        let mut map = BytesMap::with_hasher(Fickle(Cell::new(0)));
        let mut rng = Rng::new(1);
        for step in 0..20_000 {
            let (key, value) = (|| Fickle(Cell::new(rng.next())), ["a", "bc", ""][step % 3]);
            let (mut key, guard) = (key, pin());
            match step % 9 {
                0..=2 => ignore(map.insert(key(), key())),
                3 => ignore(map.insert_if_absent(key(), value)),
                4 => ignore(map.compute(key(), |_| Op::Insert(value))),
                5 => ignore(map.try_compute(key(), |_| Op::Insert(value))),
                6 => ignore(map.remove(key())),
                7 => {
                    let mut found = [None; 2];
                    let pinned = map.with_guard(&guard);
                    pinned.get_many(&[key(), key()], &mut found);
                    let all = pinned.iter().flat_map(|(key, value)| [key, value]);
                    let all = all.chain(found.into_iter().flatten());
                    assert!(all.flatten().all(u8::is_ascii_alphanumeric));
                }
                _ if step % 1_000 == 0 => map.shrink_to_fit(),
                _ => ignore(map.try_insert(key(), key())),
            }
        }
    });
}

/// A value with the alignment of a page.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(align(4096))]
struct Page(u16);

/// A value of size zero.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
struct Nothing;

/// A value of 64 KiB.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
struct Large([u16; 32_768]);

trait Layout: Clone + Ord + Hash + std::fmt::Debug {
    const COUNT: u16;
    fn nth(n: u16) -> Self;
}
impl Layout for Page {
    const COUNT: u16 = 300;
    fn nth(n: u16) -> Self {
        Self(n)
    }
}
impl Layout for Nothing {
    const COUNT: u16 = 1;
    fn nth(_: u16) -> Self {
        Self
    }
}
impl Layout for Large {
    const COUNT: u16 = 300;
    #[expect(clippy::large_stack_arrays, reason = "that it is large is the point")]
    fn nth(n: u16) -> Self {
        Self([n; 32_768])
    }
}

fn is_aligned<T>(value: &T) -> bool {
    std::ptr::from_ref(value).addr().is_multiple_of(align_of::<T>())
}

/// Runs one operation of each kind on both maps, with values that detect a second drop.
fn stores_and_drops<K: Layout, V: Layout>() {
    let alive = Arc::new(AtomicUsize::new(0));
    let value = |n| (V::nth(n), Tracked::new(n.into(), &alive));
    let is_whole = |n: u16, (stored, tracked): &(V, Tracked)| {
        *stored == V::nth(n) && is_aligned(stored) && !tracked.dropped
    };
    let (hashed, ordered) = (HashMap::<K, _>::new(), OrdMap::<K, _>::new());
    for n in 0..K::COUNT {
        ignore((hashed.insert(K::nth(n), value(n)), ordered.insert(K::nth(n), value(n))));
    }
    let (guard, last) = (pin(), K::COUNT - 1);
    assert_eq!((hashed.len(), ordered.len()), (K::COUNT.into(), K::COUNT.into()));
    for n in 0..K::COUNT {
        assert!(hashed.with_guard(&guard).get(&K::nth(n)).is_some_and(|found| is_whole(n, found)));
        assert!(ordered.with_guard(&guard).get(&K::nth(n)).is_some_and(|found| is_whole(n, found)));
    }
    assert!(
        hashed.with_guard(&guard).keys().chain(ordered.with_guard(&guard).keys()).all(is_aligned)
    );
    assert!(
        (0..)
            .zip(ordered.with_guard(&guard).range::<K, _>(..))
            .all(|(n, (_, found))| is_whole(n, found))
    );
    drop(guard);
    let other = |_: &(V, Tracked)| value(last);
    let old = (hashed.update(&K::nth(last), other), ordered.update(&K::nth(last), other));
    assert!(old.0.as_deref().is_some_and(|old| is_whole(last, old)) && old.1.is_some());
    drop(old);
    for n in (0..K::COUNT).step_by(2) {
        let removed = (hashed.remove(&K::nth(n)), ordered.remove(&K::nth(n)));
        let (key, found) = match removed.0.expect("it is there").try_into_owned() {
            Ok(owned) => owned,
            // Another test holds a guard.
            Err(shared) => (shared.key().clone(), value(n)),
        };
        assert!(key == K::nth(n) && is_aligned(&key) && is_whole(n, &found));
        assert!(removed.1.is_some());
    }
    assert!(hashed.into_iter().all(|(key, found)| is_aligned(&key) && is_aligned(&found.0)));
    assert!(ordered.into_iter().take(7).all(|(key, found)| key.clone() == key && !found.1.dropped));
    assert_eq!(alive.load(Memory::Relaxed), 0, "dropped never, or twice");
}

#[test]
fn keys_and_values_of_odd_layouts_are_stored_and_dropped() {
    stores_and_drops::<Page, Page>();
    stores_and_drops::<Page, Nothing>();
    stores_and_drops::<Nothing, Page>();
    stores_and_drops::<Nothing, Nothing>();
    stores_and_drops::<Large, Nothing>();
    stores_and_drops::<Page, Large>();
    stores_and_drops::<Large, Page>();
}
