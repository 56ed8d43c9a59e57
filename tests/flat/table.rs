//! builds: asan narrow portable
//!
//! `FlatTable` from outside: operations of all layouts against std's `HashMap`, fill, errors, threads, and user code
//! that panics or calls the table.

use crate::support;

use hedgerow::FlatTable;
use hedgerow::error::{Busy, Full, TryInsertError};
use hedgerow::flat::{Computed, DefaultHashBuilder, Op};
use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::num::NonZeroU32;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use support::check::{check, explain};
use support::hashers::{self, Fickle, Fuse, Mapped, Watched};
use support::history::{Answer, Call, Log, Rule, Value, of_key};
use support::layouts::{Aligned, AlignedNothing, Mixed, Nth};
use support::rng::Rng;
use support::{effort, ignore, joined_scope, must_panic, planned_panic, rounds, seed, within};

/// Far more seconds than any of these needs.
const TIME_LIMIT: u64 = 120;
const SLOTS: usize = if cfg!(target_pointer_width = "64") { 7 } else { 3 };

fn sorted<K: Ord + Copy, V: Copy>(table: impl IntoIterator<Item = (K, V)>) -> Vec<(K, V)> {
    let mut pairs: Vec<_> = table.into_iter().collect();
    pairs.sort_by_key(|&(key, _)| key);
    pairs
}

// ------------------------------------------------------------------------------------- operations

#[test]
fn a_static_needs_no_initializer_and_no_allocator() {
    static SEEDED: FlatTable<u32, u32, 3, DefaultHashBuilder> =
        FlatTable::with_hasher(DefaultHashBuilder::with_seed(1));
    static OF_STD: FlatTable<u32, u32, 1, BuildHasherDefault<DefaultHasher>> =
        FlatTable::with_hasher(BuildHasherDefault::new());
    joined_scope(|scope| {
        for thread in 0..2 {
            scope.spawn(move || SEEDED.insert(thread, thread).is_ok() && OF_STD.is_empty());
        }
    });
    assert_eq!(sorted(&SEEDED), [(0, 0), (1, 1)]);
}

/// A table is as large as its bins: it has nothing on the heap, and little padding.
#[test]
fn a_table_is_as_large_as_its_bins() {
    type Plain<V, const BINS: usize> = FlatTable<u64, V, BINS, BuildHasherDefault<DefaultHasher>>;
    let head = if SLOTS == 7 { 16 } else { 12 };
    assert_eq!(size_of::<Plain<u64, 64>>(), 64 * (head + SLOTS * 16));
    assert_eq!(size_of::<Plain<[u64; 128], 2>>(), 2 * (head + SLOTS * 1032));
    assert_eq!(Plain::<(), 5>::default().capacity(), 5 * SLOTS);
}

#[test]
fn single_threaded_semantics() {
    let table: FlatTable<u8, &str, 4> = FlatTable::new();
    assert_eq!(table.insert(1, "a"), Ok(None));
    assert_eq!(table.insert(1, "b"), Ok(Some("a")));
    assert_eq!(table.insert_if_absent(1, "c").unwrap().unwrap_err().current, "b");
    assert_eq!(table.insert_if_absent(2, "d"), Ok(Ok(())));
    assert_eq!(table.try_insert(2, "e"), Ok(Some("d")));
    assert_eq!(table.try_insert(3, "f"), Ok(None));
    assert_eq!(table.len(), 3);
    assert_eq!(table.remove(&1), Some("b"));
    assert_eq!(table.remove(&1), None);
    assert_eq!(table.try_remove(&2), Ok(Some("e")));
    assert_eq!(table.try_remove(&2), Ok(None));
    assert_eq!(table.update(&2, |_| unreachable!("it is not there")), None);
    table.retain(|&key, value| {
        *value = "kept";
        key == 3
    });
    assert_eq!(sorted(&table), [(3, "kept")]);
    assert_eq!(format!("{table:?}"), "{3: \"kept\"}");
    let done = table.compute(3, |found| found.map_or(Op::Keep, |_| Op::Remove));
    assert_eq!(done, Ok(Computed { before: Some("kept"), after: None }));
    assert!(table.is_empty() && table.iter().next().is_none());
    let text = FlatTable::<&'static str, u32, 2>::default();
    let own = String::from("hed") + "ge";
    assert_eq!(text.insert("hedge", 1), Ok(None));
    assert_eq!((text.get(&own[..]), text.remove(&own[..])), (Some(1), Some(1)));
}

#[test]
fn errors_explain_themselves() {
    fn explains<E: Error + Clone + PartialEq + Send + Sync + 'static>(error: &E) {
        assert!(error.to_string().len() > 10, "{error}");
        let _: Box<dyn Error> = Box::new(error.clone());
    }
    let table = FlatTable::<u32, u32, 1>::new();
    for n in 0..SLOTS as u32 {
        assert_eq!(table.insert(n, n), Ok(None));
    }
    explains(&table.insert(99, 1).expect_err("it is full"));
    let refused = table.try_insert(99, 1).expect_err("it is full");
    explains(&refused);
    assert_eq!(refused.into_parts(), (99, 1));
    explains(&TryInsertError::Busy { key: 1, value: 2 });
}

/// Does one random operation on both. If the table has no room, the model has no such key.
fn step<K, V, const BINS: usize, S>(
    table: &FlatTable<K, V, BINS, S>,
    model: &mut HashMap<K, V>,
    keys: u64,
    rng: &mut Rng,
) where
    K: Nth + Eq + Hash,
    V: Nth,
    S: BuildHasher,
{
    let key = K::nth(rng.next() % keys);
    let new = V::nth(rng.next() % V::LIMIT);
    let found = model.get(&key).copied();
    let refused = |full: Full<K, V>, model: &HashMap<K, V>| {
        assert_eq!((full.key, full.value, found), (key, new, None), "not what was given");
        let reach = if SLOTS == 7 { 16 } else { 32 };
        assert!(model.len() >= BINS.min(reach) * SLOTS, "refused, and there is room");
    };
    match rng.below(100) {
        0..30 => match table.insert(key, new) {
            Ok(old) => assert_eq!(old, model.insert(key, new)),
            Err(full) => refused(full, model),
        },
        30..36 => match table.try_insert(key, new) {
            Ok(old) => assert_eq!(old, model.insert(key, new)),
            Err(TryInsertError::Full { .. }) => assert_eq!(found, None),
            Err(why) => panic!("no other thread is here: {why}"),
        },
        36..44 => match table.insert_if_absent(key, new) {
            Ok(done) => {
                assert_eq!(done.err().map(|error| error.current), found);
                model.entry(key).or_insert(new);
            }
            Err(full) => refused(full, model),
        },
        44..54 => assert_eq!(table.remove(&key), model.remove(&key)),
        54..60 => assert_eq!(table.try_remove(&key), Ok(model.remove(&key))),
        60..68 => {
            assert_eq!(table.update(&key, |_| new), found.map(|_| new));
            model.entry(key).and_modify(|value| *value = new);
        }
        68..78 => {
            let op = *rng.pick(&[Op::Keep, Op::Insert(new), Op::Remove]);
            let after = match op {
                Op::Keep => found,
                Op::Insert(new) => Some(new),
                Op::Remove => None,
            };
            match table.compute(key, |_| op) {
                Ok(done) => {
                    assert_eq!(done, Computed { before: found, after });
                    match after {
                        Some(after) => model.insert(key, after),
                        None => model.remove(&key),
                    };
                }
                Err(full) => refused(full, model),
            }
        }
        78..98 => {
            assert_eq!(table.get(&key), found);
            assert_eq!(table.contains_key(&key), found.is_some());
            assert_eq!(table.try_get(&key), Ok(found));
            let seen = table.get_with(&key, |value| {
                assert!(std::ptr::from_ref(value).is_aligned(), "a misaligned value");
                *value
            });
            assert_eq!(seen, found);
        }
        98 => compare(table, model),
        _ if rng.one_in(10) => {
            table.clear();
            model.clear();
        }
        _ => {
            let gone = K::nth(rng.next() % keys);
            let kept = |key: &K, value: &mut V| {
                *value = new;
                *key != gone
            };
            table.retain(kept);
            model.retain(kept);
        }
    }
}

fn compare<K, V, const BINS: usize, S>(table: &FlatTable<K, V, BINS, S>, model: &HashMap<K, V>)
where
    K: Nth + Eq + Hash,
    V: Nth,
    S: BuildHasher,
{
    let mut count = 0;
    for (key, value) in table {
        assert_eq!(model.get(&key), Some(&value), "{key:?} in the table");
        count += 1;
    }
    assert_eq!(count, model.len(), "a key is there twice, or lost");
    for (key, value) in model {
        assert_eq!(table.get(key), Some(*value), "{key:?} in the model");
    }
    assert_eq!((table.len(), table.is_empty()), (model.len(), model.is_empty()));
}

/// Tests one layout, in tables of several numbers of bins, with more keys than fit.
fn layout<K: Nth + Eq + Hash, V: Nth>() {
    fn run<K: Nth + Eq + Hash, V: Nth, const BINS: usize>(hasher: Mapped, salt: u64) {
        let table = Box::new(FlatTable::<K, V, BINS, _>::with_hasher(hasher));
        let (mut model, mut rng) = (HashMap::new(), Rng::new(seed() ^ salt));
        let keys = ((BINS * SLOTS * 5 / 4) as u64).min(K::LIMIT);
        // Copying long values is slow without optimization.
        let steps = if size_of::<(K, V)>() > 256 { 150 } else { 1_200 };
        for _ in 0..effort(steps) {
            step(&table, &mut model, keys, &mut rng);
        }
        compare(&table, &model);
    }
    within(TIME_LIMIT, std::any::type_name::<(K, V)>(), || {
        for (salt, hasher) in (0..).zip(hashers::ALL) {
            run::<K, V, 1>(hasher, salt);
            run::<K, V, 5>(hasher, salt);
            run::<K, V, 8>(hasher, salt);
            run::<K, V, 40>(hasher, salt);
        }
    });
}

macro_rules! layouts {
    ($($name:ident: $key:ty => $value:ty;)*) => {
        $(#[test]
        #[cfg_attr(hedgerow_int_words, ignore = "one thread's, and words that are integers have no padding")]
        fn $name() {
            layout::<$key, $value>();
        })*
    };
}

layouts! {
    bytes: u8 => u8;
    shorts: u16 => [u8; 3];
    halves: u32 => u32;
    words: u64 => u64;
    signed_to_padded: i64 => (u8, u32);
    odd_bytes: [u8; 3] => [u8; 3];
    long_bytes: [u8; 24] => u32;
    strings_to_floats: &'static str => f64;
    wide_to_nothing: u128 => ();
    nothing_to_wide: () => u128;
    nothing_to_nothing: () => ();
    aligned_nothing: AlignedNothing => AlignedNothing;
    aligned_nothing_values: u64 => AlignedNothing;
    niches: NonZeroU32 => Option<&'static u64>;
    kibibyte_values: u32 => [u64; 128];
    aligned_values: u8 => Aligned;
    aligned_keys: Aligned => Aligned;
    padded_keys: (u8, u32) => u64;
    padded_twice: (u16, (u64, u8)) => (u32, (u8, u128));
    mixed_enums: Mixed => Mixed;
    functions: u32 => fn(u64) -> u64;
}

// ------------------------------------------------------------------------------------------- fill

/// Counts the keys that fit before the first is refused. All of them are there, and the refused one is not.
fn fill<const BINS: usize>(random: &mut Rng) -> usize {
    let table = Box::new(FlatTable::<u64, u64, BINS, Mapped>::with_hasher(hashers::GOOD));
    let mut keys = Vec::new();
    let refused = loop {
        let key = random.next();
        match table.insert(key, !key) {
            Ok(old) => assert_eq!(old, None),
            Err(full) => break full,
        }
        keys.push(key);
    };
    assert_eq!(refused.value, !refused.key);
    assert_eq!((table.len(), table.get(&refused.key)), (keys.len(), None));
    for key in &keys {
        assert_eq!(table.get(key), Some(!key));
        // The value of a present key can always be replaced.
        assert_eq!(table.insert(*key, 1), Ok(Some(!key)));
        assert_eq!(table.insert(*key, !key), Ok(Some(1)));
    }
    // If there is room for one key, there is room for another key of the same bins.
    table.retain(|key, _| *key != keys[0]);
    assert_eq!(table.insert(keys[0], 0), Ok(None));
    keys.len()
}

#[test]
fn a_table_can_be_filled() {
    let mut random = Rng::new(seed());
    for _ in 0..20 {
        assert_eq!(fill::<1>(&mut random), SLOTS);
        assert_eq!(fill::<11>(&mut random), 11 * SLOTS, "every bin is in reach of every other");
        let keys = fill::<64>(&mut random);
        assert!(keys * 100 >= 64 * SLOTS * 75, "{keys} keys filled a table of {}", 64 * SLOTS);
    }
}

/// Keys that come and go leave nothing behind that makes misses search outside their home.
#[test]
fn churn_does_not_wear_a_table_out() {
    let table = Box::new(FlatTable::<u64, u64, 64, Mapped>::with_hasher(hashers::GOOD));
    let mut random = Rng::new(seed());
    let mut keys: Vec<u64> = Vec::new();
    let load = 64 * SLOTS * 7 / 10;
    for turn in 0..200_000 {
        if keys.len() > load {
            let at = random.below(keys.len());
            let gone = keys.swap_remove(at);
            assert_eq!(table.remove(&gone), Some(gone));
        }
        let key = random.next();
        match table.insert(key, key) {
            Ok(_) => keys.push(key),
            Err(_) => assert!(keys.len() > load / 2, "full in round {turn}"),
        }
    }
    assert_eq!(table.len(), keys.len());
    assert!(keys.iter().all(|key| table.get(key) == Some(*key)));
    table.clear();
    assert_eq!(fill_again(&table, &mut random), 0, "an empty table refused keys");
}

fn fill_again<const BINS: usize>(
    table: &FlatTable<u64, u64, BINS, Mapped>,
    random: &mut Rng,
) -> usize {
    (0..BINS * SLOTS / 2).filter(|_| table.insert(random.next(), 0).is_err()).count()
}

// -------------------------------------------------------------------------------------- user code

/// All hashes are equal: the home is full, and more keys are outside it.
fn crowded() -> FlatTable<u64, u64, 4, Mapped> {
    let table = FlatTable::with_hasher(hashers::CONSTANT);
    for key in 0..3 * SLOTS as u64 {
        assert_eq!(table.insert(key, key), Ok(None));
    }
    table
}

/// Uses every operation on `key`, which may be present or absent.
fn still_usable<const BINS: usize>(table: &FlatTable<u64, u64, BINS, Mapped>, key: u64) {
    assert!(table.try_get(&key).is_ok() && table.try_insert(key, 1).is_ok(), "still busy");
    assert_eq!(table.insert(key, 2), Ok(Some(1)));
    assert_eq!(table.update(&key, |value| value + 2), Some(4));
    assert_eq!(table.compute(key, |_| Op::Keep).expect("it is there").after, Some(4));
    table.retain(|_, _| true);
    assert_eq!(table.iter().filter(|&(found, _)| found == key).count(), 1);
    assert_eq!((table.try_remove(&key), table.remove(&key)), (Ok(Some(4)), None));
    assert_eq!(table.iter().count(), table.len());
}

#[test]
fn a_panic_changes_nothing_and_locks_nothing() {
    within(TIME_LIMIT, "panicking closures", || {
        // A resident, a displaced entry, and an absent key.
        for key in [0, 2 * SLOTS as u64, 999] {
            let table = crowded();
            let before = sorted(&table);
            let known = table.get(&key);
            must_panic("compute", || ignore(table.compute(key, |_| planned_panic())));
            if known.is_some() {
                must_panic("update", || ignore(table.update(&key, |_| planned_panic())));
                must_panic("get_with", || ignore(table.get_with(&key, |_| planned_panic())));
            }
            let mut met = 0;
            must_panic("retain", || {
                table.retain(|_, _| {
                    met += 1;
                    if met == 2 * SLOTS { planned_panic() } else { true }
                });
            });
            assert_eq!(sorted(&table), before);
            still_usable(&table, key);
        }
    });
}

#[test]
fn a_panicking_hasher_locks_nothing() {
    within(TIME_LIMIT, "panicking hashers", || {
        for after in 0..40 {
            let table = FlatTable::<u64, u64, 4, _>::with_hasher(Watched::new(hashers::CONSTANT));
            for key in 0..3 * SLOTS as u64 {
                assert_eq!(table.insert(key, key), Ok(None));
            }
            table.hasher().fuse.arm(after);
            support::panics(|| {
                ignore(table.insert(900, 1));
                ignore(table.remove(&0));
                table.clear();
            });
            table.hasher().fuse.disarm();
            let left = table.len();
            let found = table.iter().filter(|(key, _)| table.contains_key(key)).count();
            assert_eq!(found, left, "a walk meets each entry that is left");
            table.clear();
            assert!(table.is_empty());
        }
    });
}

#[test]
fn a_panicking_comparison_locks_nothing() {
    thread_local!(static FUSE: Fuse = Fuse::default());
    #[derive(Clone, Copy, Debug)]
    struct Key(u64);
    impl PartialEq for Key {
        fn eq(&self, other: &Self) -> bool {
            FUSE.with(Fuse::step);
            self.0 == other.0
        }
    }
    impl Eq for Key {}
    impl Hash for Key {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            state.write_u64(self.0);
        }
    }
    for after in 0..20 {
        let table = FlatTable::<Key, u64, 3, _>::with_hasher(hashers::CONSTANT);
        for n in 0..2 * SLOTS as u64 {
            assert_eq!(table.insert(Key(n), n), Ok(None));
        }
        FUSE.with(|fuse| fuse.arm(after));
        support::panics(|| {
            for n in (0..2 * SLOTS as u64).rev() {
                ignore(table.remove(&Key(n)));
            }
        });
        FUSE.with(Fuse::disarm);
        for n in 0..2 * SLOTS as u64 {
            ignore(table.insert(Key(n), 7));
            assert_eq!((table.remove(&Key(n)), table.try_get(&Key(n))), (Some(7), Ok(None)));
        }
        assert!(table.is_empty());
    }
}

/// Closures may call the table, for the same key too; their decision is applied only to the value that they saw.
#[test]
fn closures_may_call_back() {
    within(TIME_LIMIT, "re-entrant closures", || {
        for key in [0, 2 * SLOTS as u64, 999] {
            let table = crowded();
            let before = table.get(&key);
            let mut turn = 0;
            let done = table.compute(key, |found| {
                turn += 1;
                match (turn, found) {
                    (1, Some(_)) => assert_eq!(table.remove(&key), before),
                    (1, None) => assert_eq!(table.insert(key, 5), Ok(None)),
                    _ => assert_eq!(found.is_some(), before.is_none()),
                }
                Op::Insert(6)
            });
            assert_eq!(turn, 2, "the closure decided from a value that was no longer there");
            let between = if before.is_none() { Some(5) } else { None };
            assert_eq!(done, Ok(Computed { before: between, after: Some(6) }));
            // The closure has its own copy of the value.
            table.get_with(&key, |value| {
                assert_eq!(table.remove(&key), Some(*value));
            });
            assert_eq!(table.get(&key), None);
        }
        // Walks return what is there when they come to it.
        let table = crowded();
        for (key, _) in &table {
            assert_eq!(table.remove(&key), Some(key));
        }
        assert!(table.is_empty());
    });
}

/// A hasher that contradicts itself makes keys hard to find, and has no other effect.
#[test]
fn a_fickle_hasher_does_no_harm() {
    within(TIME_LIMIT, "a fickle hasher", || {
        let table = FlatTable::<u64, [u64; 2], 8, Fickle>::default();
        let mut random = Rng::new(seed());
        for _ in 0..20_000 {
            let key = random.below(60) as u64;
            match random.below(5) {
                0 | 1 => ignore(table.insert(key, [key; 2])),
                2 => ignore(table.remove(&key)),
                3 => assert!(table.get(&key).is_none_or(|value| value == [key; 2])),
                _ if random.one_in(50) => table.clear(),
                _ => ignore(table.update(&key, |value| value)),
            }
            assert!(table.len() <= table.capacity());
        }
        assert!(table.iter().all(|(key, value)| value == [key; 2]));
        // A walk reaches every entry, with any hash that it has by now.
        table.retain(|_, _| false);
        assert!(table.is_empty());
    });
}

// ---------------------------------------------------------------------------------------- threads

type Wide = [u64; 3];

fn wide(value: Value) -> Wide {
    [value, !value, value.swap_bytes()]
}

fn narrow(value: Wide) -> Value {
    assert_eq!(value, wide(value[0]), "a torn value");
    value[0]
}

type Shared = FlatTable<u64, Wide, 3, Mapped>;

/// Does one operation of a random kind on one of the keys, and records it. Returns false if there was no room.
fn operate(table: &Shared, log: &mut Log<'_>, keys: u64, rng: &mut Rng, new: Value) {
    let key = rng.below(keys as usize) as u64;
    let called = log.now();
    let found = |value: Option<Wide>| Answer::found(value.map(narrow));
    let absent = (Call::Get, Answer::found(None));
    let (call, answer) = match rng.below(11) {
        0 | 1 => (Call::Get, found(table.get(&key))),
        2 => match table.try_get(&key) {
            Ok(value) => (Call::Get, found(value)),
            Err(Busy) => return,
        },
        3 | 4 => match table.insert(key, wide(new)) {
            Ok(old) => (Call::Insert(new), found(old)),
            // A refused key was absent at some moment, and still is.
            Err(_) => absent,
        },
        5 => match table.try_insert(key, wide(new)) {
            Ok(old) => (Call::Insert(new), found(old)),
            Err(TryInsertError::Full { .. }) => absent,
            Err(_) => return,
        },
        6 => match table.insert_if_absent(key, wide(new)) {
            Ok(done) => (Call::InsertIfAbsent(new), found(done.err().map(|error| error.current))),
            Err(_) => absent,
        },
        7 => (Call::Remove, found(table.remove(&key))),
        8 => match table.try_remove(&key) {
            Ok(old) => (Call::Remove, found(old)),
            Err(Busy) => return,
        },
        9 => {
            let rule = *rng.pick(&[Rule::Keep, Rule::Insert, Rule::Remove, Rule::Toggle]);
            let done = table.compute(key, |found| {
                if rng.one_in(4) {
                    thread::yield_now();
                }
                match (rule, found) {
                    (Rule::Keep, _) => Op::Keep,
                    (Rule::Insert, _) | (Rule::Toggle, None) => Op::Insert(wide(new)),
                    (Rule::Remove, _) | (Rule::Toggle, Some(_)) => Op::Remove,
                }
            });
            match done {
                Ok(Computed { before, after, .. }) => {
                    let answer = Answer { before: before.map(narrow), after: after.map(narrow) };
                    (Call::Compute(rule, new), answer)
                }
                Err(_) => absent,
            }
        }
        _ if rng.one_in(8) => return whole(table, log, keys, rng, called),
        _ => (Call::Contains, Answer::found(table.contains_key(&key).then_some(0))),
    };
    log.push(key as usize, called, call, answer);
}

/// Records a walk or a `clear` as an operation on each key.
fn whole(table: &Shared, log: &mut Log<'_>, keys: u64, rng: &mut Rng, called: u64) {
    if rng.one_in(3) {
        table.clear();
        // A key that is inserted again meanwhile may be removed again, once for each bin that is still to be cleared.
        return (0..6 * keys).for_each(|n| {
            log.push((n % keys) as usize, called, Call::Clear, Answer::default());
        });
    }
    let mut met = HashSet::new();
    for (key, value) in table {
        if key < keys {
            met.insert(key);
            log.push(key as usize, called, Call::Get, Answer::found(Some(narrow(value))));
        }
    }
    // A walk meets a key that is present throughout, so these were absent at some moment.
    for key in (0..keys).filter(|key| !met.contains(key)) {
        log.push(key as usize, called, Call::Get, Answer::found(None));
    }
}

/// Histories over few keys of few bins, so that homes are full and slots pass from key to key all the time.
#[test]
fn histories_are_linearizable() {
    within(TIME_LIMIT, "histories", || {
        let mut salt = Rng::new(seed());
        rounds(400, Duration::from_secs(8), |_| {
            let hasher = *salt.pick(&[hashers::CONSTANT, hashers::LOW_ENTROPY, hashers::GOOD]);
            let table = Shared::with_hasher(hasher);
            let keys = 1 + salt.below(4) as u64;
            // Other keys fill the bins, and some of them come and go.
            let others = (2 * SLOTS + salt.below(SLOTS)) as u64;
            let (clock, round) = (AtomicU64::new(0), salt.next());
            let begin = Barrier::new(3);
            for key in 1_000..1_000 + others {
                ignore(table.insert(key, wide(0)));
            }
            let mut logs: Vec<Log<'_>> = thread::scope(|scope| {
                let workers: Vec<_> = (0..3)
                    .map(|thread| {
                        let (table, begin, clock) = (&table, &begin, &clock);
                        scope.spawn(move || {
                            let mut rng = Rng::new(round ^ (thread + 1) << 32);
                            let mut log = Log::new(clock, keys as usize);
                            begin.wait();
                            for n in 0..150 {
                                operate(table, &mut log, keys, &mut rng, thread * 1_000 + n + 1);
                                let other = 1_000 + rng.below(others as usize) as u64;
                                if rng.one_in(2) {
                                    ignore(table.remove(&other));
                                } else {
                                    ignore(table.insert(other, wide(0)));
                                }
                            }
                            log
                        })
                    })
                    .collect();
                workers.into_iter().map(|worker| worker.join().expect("it panicked")).collect()
            });
            let mut last = Log::new(&clock, keys as usize);
            for key in 0..keys {
                let found = table.get(&key).map(narrow);
                last.record(key as usize, || (Call::Get, Answer::found(found)));
            }
            logs.push(last);
            for key in 0..keys as usize {
                let history = of_key(&logs, key);
                if let Err(stuck) = check(&history, None) {
                    panic!("{}, key {key}: {}", hasher.name, explain(&history, &stuck));
                }
            }
        });
    });
}

/// Increments by several threads, of residents and displaced entries, are all there in the end.
#[test]
fn counting_loses_nothing() {
    within(TIME_LIMIT, "counting", || {
        let table = FlatTable::<u64, u64, 4, Mapped>::with_hasher(hashers::CONSTANT);
        let (keys, each) = (3 * SLOTS as u64, 300);
        joined_scope(|scope| {
            for thread in 0..4 {
                let table = &table;
                scope.spawn(move || {
                    for n in 0..keys * each {
                        let key = (n + thread * 5) % keys;
                        let up = |old: Option<u64>| Op::Insert(old.unwrap_or(0) + 1);
                        assert!(table.compute(key, up).is_ok(), "there is room for all");
                    }
                });
            }
        });
        assert_eq!(sorted(&table), (0..keys).map(|key| (key, 4 * each)).collect::<Vec<_>>());
    });
}

/// A walk meets every key that stays exactly once, while others come, go and change.
#[test]
fn walks_meet_lasting_keys_once() {
    within(TIME_LIMIT, "walks", || {
        let table = Box::new(FlatTable::<u64, Wide, 9, Mapped>::with_hasher(hashers::CLUSTERED));
        let lasting = 4 * SLOTS as u64;
        for key in 0..lasting {
            assert_eq!(table.insert(key, wide(key)), Ok(None));
        }
        let over = AtomicBool::new(false);
        joined_scope(|scope| {
            scope.spawn(|| {
                let mut random = Rng::new(seed());
                for _ in 0..30_000 {
                    let key = lasting + random.below(3 * SLOTS) as u64;
                    ignore(table.insert(key, wide(key)));
                    ignore(table.remove(&(lasting + random.below(3 * SLOTS) as u64)));
                    ignore(table.update(&(random.next() % lasting), |value| value));
                }
                over.store(true, Ordering::SeqCst);
            });
            while !over.load(Ordering::SeqCst) {
                let met: Vec<u64> = table
                    .iter()
                    .map(|(key, value)| if narrow(value) == key { key } else { u64::MAX })
                    .filter(|&key| key < lasting || key == u64::MAX)
                    .collect();
                let distinct: HashSet<_> = met.iter().copied().collect();
                assert_eq!((met.len(), distinct.len()), (lasting as usize, lasting as usize));
                assert!(!distinct.contains(&u64::MAX), "another key's value");
            }
        });
    });
}

#[test]
fn a_value_is_found_or_stored_and_removed_on_a_condition() {
    let table = FlatTable::<u64, u64, 1>::new();
    assert_eq!((table.get_or_insert(1, 10), table.get_or_insert(1, 11)), (Ok(10), Ok(10)));
    assert_eq!(table.get_or_insert_with(1, || unreachable!("the key has a value")), Ok(10));
    let made = table.get_or_insert_with(2, || {
        assert_eq!(table.insert(2, 20), Ok(None), "as another thread could, meanwhile");
        21
    });
    assert_eq!((made, table.get(&2)), (Ok(20), Some(20)), "the value that is there");
    assert_eq!(table.remove_if(&2, |key, value| (*key, *value) == (2, 21)), None);
    assert_eq!(table.remove_if(&2, |key, value| (*key, *value) == (2, 20)), Some(20));
    assert_eq!(table.remove_if(&2, |_, _| unreachable!("the key is absent")), None);
    assert_eq!(table.len(), 1);

    table.try_extend((10..).map(|n| (n, n)).take(table.capacity() - 1)).expect("there is room");
    let refused = table.get_or_insert_with(99, || 990).expect_err("the table is full");
    assert_eq!((refused.into_parts(), table.get(&99)), ((99, 990), None));
    assert_eq!(table.get_or_insert(1, 12), Ok(10), "a present key needs no room");
}

/// Another write to the key's bin in the middle of an operation is what an interrupt handler is to the main loop.
#[test]
fn what_never_waits_decides_once_and_hands_back_what_it_could_not_store() {
    let table = FlatTable::<u64, u64, 1>::new();
    table.insert(1, 10).expect("there is room");
    let (mut calls, interrupt) = (0, |value| table.insert(1, value).expect("the key is present"));
    let busy = table.try_update(&1, |value| {
        calls += 1;
        interrupt(11);
        value + 5
    });
    assert_eq!((busy, calls, table.get(&1)), (Err(Busy), 1, Some(11)));
    let busy = table.try_compute(1, |value| {
        calls += 1;
        interrupt(12);
        Op::Insert(value.unwrap_or(0) + 5)
    });
    assert_eq!(busy, Err(TryInsertError::Busy { key: 1, value: Some(16) }));
    assert_eq!((calls, table.get(&1)), (2, Some(12)));
    let made = table.try_get_or_insert_with(2, || {
        table.insert(2, 20).expect("there is room");
        21
    });
    assert_eq!(made, Ok(20), "the value that is there by then");
    assert_eq!(table.try_update(&3, |_| unreachable!("the key is absent")), Ok(None));

    table.try_extend((10..).map(|n| (n, n)).take(table.capacity() - 2)).expect("there is room");
    let full = table.try_compute(99, |_| Op::Insert(990));
    assert_eq!(full, Err(TryInsertError::Full { key: 99, value: Some(990) }));
    let full = table.try_get_or_insert_with(99, || 990);
    assert_eq!(full, Err(TryInsertError::Full { key: 99, value: Some(990) }));
    assert_eq!(
        table.try_insert_if_absent(99, 990),
        Err(TryInsertError::Full { key: 99, value: 990 })
    );
    assert_eq!(
        table.try_update(&1, |value| value + 1),
        Ok(Some(13)),
        "a present key needs no room"
    );
}
