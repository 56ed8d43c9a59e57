//! builds: asan narrow
//! The maps of owned data and what their user brings: a `Hash`, `Eq`, `Ord` or `Clone` that lies. Answers may be wrong;
//! the map ends what it began, and drops everything once.

mod support;

use hedgerow::owned::{Op, pin};
use hedgerow::{EntryMap, FenceEntryMap};
use std::cell::Cell;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as Memory};
use support::rng::{Rng, mix};
use support::tracked::Tracked;
use support::{ignore, within};

/// How user code answers the n-th time that it is asked, instead of the truth.
#[derive(Clone, Copy, Debug)]
enum Lie {
    None,
    Constant,
    /// The truth and something else in turn.
    Alternating,
    /// As above, two times each.
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
            Self::Alternating => truth ^ n % 2,
            Self::Pairs => truth ^ n / 2 % 2,
            Self::Random => truth ^ mix(n) % 2,
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

/// Runs `work` once for every combination of lies, and asserts that all that it made is dropped once.
fn with_all_lies(what: &'static str, work: fn(&dyn Fn(u64) -> Tracked)) {
    within(20, what, move || {
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

/// Whatever keys say, each operation on a map of hashed keys ends, and everything is dropped once.
#[test]
fn hashed_keys_that_lie_let_everything_end() {
    with_all_lies("operations with keys that lie", |new| {
        let mut map = EntryMap::<Liar, Tracked>::new();
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
                7 => ignore(map.get_or_insert_with(one, |_| new(step), &guard)),
                8 => ignore(map.remove(&one).map(hedgerow::owned::Removed::try_into_owned)),
                9 => ignore(map.try_compute(one, |_| Op::Insert(new(step)))),
                10 => ignore(map.try_get_or_insert_with(one, |_| new(step), &guard)),
                11 => ignore((map.get(&one, &guard).map(|v| v.dropped), map.iter(&guard).count())),
                _ if step % 100 == 0 => map.retain(|key, _| key.0.value % 3 > 0),
                _ => map.collect(),
            }
        }
        map.shrink_to_fit();
        ignore(map.clone().into_iter().take(10).count());
    });
}

/// As above, with keys in order.
#[test]
fn ordered_keys_that_lie_let_everything_end() {
    with_all_lies("operations with ordered keys that lie", |new| {
        let map = FenceEntryMap::<Liar, Tracked>::new();
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
                7 => ignore(map.get_or_insert_with(one, |_| new(step), &guard)),
                8 => ignore(map.remove(&one).map(hedgerow::owned::Removed::try_into_owned)),
                9 => ignore(map.try_compute(one, |_| Op::Insert(new(step)))),
                10 => ignore(map.try_get_or_insert_with(one, |_| new(step), &guard)),
                11 => ignore((map.get(&one, &guard).map(|v| v.dropped), map.iter(&guard).count())),
                _ if step % 100 == 0 => map.retain(|key, _| key.0.value % 3 > 0),
                _ => map.collect(),
            }
        }
        ignore(map.clone().into_iter().take(10).count());
    });
}
