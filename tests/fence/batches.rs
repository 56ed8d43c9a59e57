//! builds: tsan
//!
//! `FenceMap`'s batches: against `BTreeMap` by one thread, and their atomicity with several threads.

use crate::support;

use hedgerow::FenceMap;
use hedgerow::error::TryError;
use hedgerow::fence::{Op, Ranking};
use std::cell::Cell;
use std::cmp::Ordering as Order;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use support::alloc::failing;
use support::compare::compare_by_cmp;
use support::rng::{Rng, mix};
use support::{must_panic, planned_panic, rounds, seed, within};

const MOMENT: Duration = Duration::from_millis(1500);

/// Returns what a batch answers, and applies its changes to the model one by one.
fn model_answers<K: Copy + Ord, V: Copy>(
    model: &mut BTreeMap<K, V>,
    changes: &[(K, Op<V>)],
) -> Vec<Option<V>> {
    let one = |&(key, op): &(K, Op<V>)| {
        let before = model.get(&key).copied();
        match op {
            Op::Keep => {}
            Op::Insert(value) => _ = model.insert(key, value),
            Op::Remove => _ = model.remove(&key),
        }
        before
    };
    changes.iter().map(one).collect()
}

/// Plays random batches on a map and on a model: small and large ones, of neighbouring keys and of distant ones, in
/// ascending order, with repeated keys.
fn play<K, V, R>(map: &FenceMap<K, V, R>, key: impl Fn(u64) -> K, value: impl Fn(u64) -> V)
where
    K: Copy + Ord + Debug,
    V: Copy + PartialEq + Debug,
    R: Ranking<K>,
{
    let mut rng = Rng::new(seed());
    let mut model = BTreeMap::new();
    rounds(60, MOMENT, |round| {
        let len = [0, 1, 2, 3, 10, 60, 300, 2_000][rng.below(8)];
        let spread = [40, 1_000, 20_000][rng.below(3)];
        let start = rng.next() % 20_000;
        let ascends = rng.one_in(4);
        let removes = [1, 3, 8][rng.below(3)];
        let changes: Vec<_> = (0..len)
            .map(|n| {
                let number = start + if ascends { n } else { rng.next() % spread };
                let op = match rng.below(8) {
                    0 => Op::Keep,
                    n if n < removes => Op::Remove,
                    _ => Op::Insert(value(rng.next())),
                };
                (key(number), op)
            })
            .collect();
        let answers = match round % 3 {
            0 => map.apply_batch(&changes),
            1 => map.try_apply_batch(&changes).unwrap(),
            _ => map.apply_each(&changes),
        };
        assert_eq!(answers, model_answers(&mut model, &changes));
        assert_eq!(map.len(), model.len());
        assert!(map.iter().eq(model.iter().map(|(key, value)| (*key, *value))));
        let keys: Vec<K> = changes.iter().map(|(key, _)| *key).collect();
        let values: Vec<_> = keys.iter().map(|key| model.get(key).copied()).collect();
        assert!(map.snapshot_many(&keys) == values);
        assert!(keys.iter().map(|key| map.get(key)).eq(values));
    });
    for (key, value) in &model {
        assert_eq!(map.get(key), Some(*value));
    }
}

/// Gives the same rank to many neighbouring keys.
struct Coarse;
impl Ranking<i64> for Coarse {
    fn rank(&self, key: &i64) -> u64 {
        (key.cast_unsigned() ^ 1 << 63) >> 7 << 7
    }
}

#[test]
fn a_batch_does_what_its_changes_do_one_by_one() {
    play(&FenceMap::<u64, u64>::new(), |n| n, |n| n);
    play(
        &FenceMap::<i64, u32, Coarse>::with_ranking(Coarse),
        |n| n.cast_signed() - 9_000,
        |n| n as u32,
    );
    play(&FenceMap::<(u8, u16), [u64; 40]>::new(), |n| (7, n as u16), |n| [n; 40]);
    play(&FenceMap::<u64, ()>::new(), |n| mix(n % 3_000), |_| ());
}

/// New keys for many leaves in one batch, into an empty map and between existing keys.
#[test]
fn a_batch_makes_its_own_room() {
    let map = FenceMap::<u64, u64>::new();
    let of = |keys: &mut dyn Iterator<Item = u64>| -> Vec<_> {
        keys.map(|key| (key, Op::Insert(key))).collect()
    };
    let had = map.apply_batch(&of(&mut (0..20_000).map(|n| n * 3)));
    assert!(had.len() == 20_000 && had.iter().all(Option::is_none));
    let mut backwards = of(&mut (0..20_000).map(|n| n * 3 + 1));
    backwards.reverse();
    map.apply_batch(&backwards);
    map.apply_batch(&of(&mut (1_000..1_500).map(|n| n * 3 + 2)));
    assert_eq!(map.range(3_000..4_500).len(), 1_500);
    assert_eq!((map.len(), map.iter().count()), (40_500, 40_500));
    let stats = map.stats();
    assert!(stats.memory_bytes / stats.len < 40, "leaves are mostly full: {stats:?}");
    let all: Vec<_> = map.keys().map(|key| (key, Op::Remove)).collect();
    assert!(map.apply_batch(&all).iter().all(Option::is_some));
    assert!(map.is_empty());
}

#[derive(Clone, Copy, Debug)]
struct Named(u32, char);
impl Ord for Named {
    fn cmp(&self, other: &Self) -> Order {
        self.0.cmp(&other.0)
    }
}
impl PartialOrd for Named {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl Eq for Named {}

/// The old key stays, as in single operations, unless a change before removes it.
#[test]
fn which_of_two_equal_keys_stays() {
    let map: FenceMap<Named, u32> = [(Named(1, 'a'), 0), (Named(2, 'a'), 0)].into();
    map.apply_batch(&[
        (Named(1, 'b'), Op::Insert(1)),
        (Named(2, 'b'), Op::Remove),
        (Named(2, 'c'), Op::Insert(2)),
        (Named(3, 'd'), Op::Insert(3)),
        (Named(3, 'e'), Op::Insert(4)),
    ]);
    let names: String = map.keys().map(|key| key.1).collect();
    assert_eq!((names.as_str(), map.values().collect::<Vec<_>>()), ("acd", vec![1, 2, 4]));
}

/// Distant accounts. Batches move amounts between them and so remove some and insert them again; others sum up.
#[test]
fn amounts_that_move_are_neither_lost_nor_doubled() {
    const ACCOUNTS: u64 = 600;
    const EACH: u64 = 100;
    let map: FenceMap<u64, u64> = (0..ACCOUNTS).map(|n| (n * 1_000, EACH)).collect();
    // Leaves between the accounts, which are split and merged meanwhile.
    (0..20_000).for_each(|n| _ = map.insert(n * 30 + 7, 0));
    let (done, sums) = (AtomicBool::new(false), AtomicU64::new(0));
    let total = || map.range(..).filter(|(key, _)| key % 1_000 == 0).map(|(_, value)| value).sum();
    let accounts: Vec<u64> = (0..ACCOUNTS).map(|n| n * 1_000).collect();
    support::joined_scope(|scope| {
        for way in 0..2 {
            let (map, done, sums, accounts, total) = (&map, &done, &sums, &accounts, &total);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let sum: u64 = if way == 0 {
                        total()
                    } else {
                        map.snapshot_many(accounts).into_iter().flatten().sum()
                    };
                    assert_eq!(sum, ACCOUNTS * EACH, "way {way}");
                    sums.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for thread in 0..2 {
            let map = &map;
            let done = &done;
            scope.spawn(move || {
                let mut rng = Rng::new(seed() + thread);
                while !done.load(Ordering::Relaxed) {
                    transfer(map, &mut rng, ACCOUNTS);
                }
            });
        }
        let mut rng = Rng::new(seed());
        rounds(100_000, MOMENT, |_| {
            let key = rng.next() % 600_000 / 30 * 30 + 7;
            map.compute(key, |old| if old.is_some() { Op::Remove } else { Op::Insert(0) });
        });
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(total(), ACCOUNTS * EACH);
    assert!(sums.into_inner() > 0);
}

/// Moves amounts between three accounts, if no other thread holds a lock of one of them.
fn transfer(map: &FenceMap<u64, u64>, rng: &mut Rng, accounts: u64) {
    let first = rng.next() % accounts;
    let keys = [first, first + 1, first + 1 + rng.next() % 300].map(|n| n % accounts * 1_000);
    if keys[0] == keys[2] || keys[1] == keys[2] {
        return;
    }
    let had = map.snapshot_many(&keys).into_iter().map(Option::unwrap_or_default);
    let sum: u64 = had.sum();
    // The test's own locks, as entries: of two threads only one gets them.
    let locks = keys.map(|key| key + 1);
    let taken = map.try_apply_batch(&locks.map(|key| (key, Op::Insert(1))));
    let Ok(taken) = taken else { return };
    let mine: Vec<_> = locks
        .iter()
        .zip(&taken)
        .filter(|(_, had)| had.is_none())
        .map(|(&key, _)| (key, Op::Remove))
        .collect();
    if mine.len() == 3 {
        let now: u64 = map.snapshot_many(&keys).into_iter().flatten().sum();
        let op = |value| if value == 0 { Op::Remove } else { Op::Insert(value) };
        let parts = [now / 2, now / 3, now - now / 2 - now / 3];
        let batch: Vec<_> = keys.into_iter().zip(parts.map(op)).collect();
        map.apply_batch(&batch);
    }
    map.apply_batch(&mine);
    std::hint::black_box(sum);
}

/// Each batch writes one number to all of a set of keys, so that readers always see the same number everywhere.
#[test]
fn batches_of_the_same_keys_exclude_each_other() {
    let map = FenceMap::<u64, u64>::new();
    let keys: Vec<u64> = (0..64).map(|n| n * 500).collect();
    (0..32_000).for_each(|n| _ = map.insert(n, 0));
    let number =
        |keys: &[u64], n: u64| keys.iter().map(|&key| (key, Op::Insert(n))).collect::<Vec<_>>();
    support::joined_scope(|scope| {
        for thread in 0..3 {
            let (map, keys) = (&map, &keys);
            scope.spawn(move || {
                let mut rng = Rng::new(thread);
                rounds(3_000, MOMENT, |round| {
                    let mut keys = keys.clone();
                    rng.shuffle(&mut keys);
                    let mine = u64::from(round) * 3 + thread;
                    let had = map.apply_batch(&number(&keys, mine));
                    assert!(had.iter().all(|value| *value == had[0]), "{had:?}");
                });
            });
        }
    });
}

/// Each allocation fails, one in each round: then the batch has changed nothing.
#[test]
fn a_batch_that_finds_no_memory_changes_nothing() {
    let changes: Vec<_> = (0..600).map(|n| (mix(n) % 5_000, Op::Insert(n))).collect();
    let mut refused = 0;
    for spared in 0..24 {
        let map: FenceMap<u64, u64> = (0..300).map(|n| (n * 10, n)).collect();
        let before: Vec<_> = map.iter().collect();
        let (done, counts) = failing(spared, u64::MAX, || map.try_apply_batch(&changes));
        if counts.failures > 0 {
            assert_eq!(done, Err(TryError::Alloc));
            assert!(map.iter().eq(before.iter().copied()), "{spared}");
            refused += 1;
        }
        let mut model: BTreeMap<u64, u64> = before.into_iter().collect();
        if done.is_ok() {
            model_answers(&mut model, &changes);
        }
        assert_eq!(map.apply_batch(&changes), model_answers(&mut model, &changes));
        assert!(map.iter().eq(model.iter().map(|(k, v)| (*k, *v))));
    }
    assert!(refused > 3, "{refused}");
}

thread_local! {
    /// Number of comparisons until the planned panic.
    static FUSE: Cell<u32> = const { Cell::new(u32::MAX) };
    /// Whether comparisons are inconsistent.
    static LIES: Cell<u32> = const { Cell::new(0) };
}

#[derive(Clone, Copy, Debug)]
struct FuseKey(u64);

impl Ord for FuseKey {
    fn cmp(&self, other: &Self) -> Order {
        let left = FUSE.get();
        if left == 0 {
            planned_panic();
        }
        FUSE.set(left - 1);
        let lies = LIES.get();
        if lies > 0 {
            LIES.set(lies + 1);
            if mix(u64::from(lies)).is_multiple_of(5) {
                return other.0.cmp(&self.0);
            }
        }
        self.0.cmp(&other.0)
    }
}
compare_by_cmp!(FuseKey);

#[test]
fn a_panic_in_user_code_leaves_all_as_it_was() {
    within(120, "batches after panics", || {
        let map = FenceMap::<FuseKey, u64>::new();
        (0..1_000).for_each(|n| _ = map.insert(FuseKey(n * 2), n));
        let before: Vec<_> = map.iter().map(|(key, value)| (key.0, value)).collect();
        let changes: Vec<_> = (0..400).map(|n| (FuseKey(mix(n) % 2_000), Op::Insert(7))).collect();
        let mut fuse = 0;
        loop {
            FUSE.set(fuse);
            let done = support::panics(|| _ = map.apply_batch(&changes));
            FUSE.set(u32::MAX);
            if !done {
                break;
            }
            assert!(map.iter().map(|(key, value)| (key.0, value)).eq(before.iter().copied()));
            fuse += 1 + fuse / 4;
        }
        assert!(fuse > 1_000);
        FUSE.set(3);
        must_panic("a batch", || _ = map.apply_each(&changes));
        FUSE.set(u32::MAX);
        map.apply_batch(&changes);
        assert!(changes.iter().all(|(key, _)| map.get(key) == Some(7)));
    });
}

/// Inconsistent keys: answers may be wrong, and std's sort may panic, but every batch ends and no lock stays taken.
#[test]
fn batches_end_with_inconsistent_keys() {
    within(600, "batches by an order that lies", || {
        for round in 0..support::effort(8) {
            let map = FenceMap::<FuseKey, [u64; 8]>::new();
            (0..2_000).for_each(|n| _ = map.insert(FuseKey(n), [n; 8]));
            LIES.set(1 + round * 1_000);
            for n in 0..20 {
                let change = |at| if at % 3 == 0 { Op::Remove } else { Op::Insert([at; 8]) };
                let changes: Vec<_> =
                    (0..100).map(|at| (FuseKey(mix(n * 100 + at) % 2_500), change(at))).collect();
                let run = || _ = map.try_apply_batch(&changes).map(|_| map.apply_batch(&changes));
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
            }
            LIES.set(0);
            assert!(map.iter().count() <= map.len() * 2);
            (0..2_500).for_each(|n| assert!(map.try_remove(&FuseKey(n)).is_ok(), "locked"));
        }
    });
}
