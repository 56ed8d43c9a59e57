//! builds: asan
//!
//! The user's own code inside `FlatMap`'s operations: closures, hashers and comparisons that
//! panic, call back into the map, or lie. Nothing is lost but what they lie about, and nothing
//! stays locked.

mod support;

use hedgerow::flat::Op;
use hedgerow::{FlatMap, HashMap};
use std::cell::Cell;
use std::collections::{HashMap as StdMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::thread;
use std::time::Duration;
use support::hashers::{self, Fickle, Fuse, Mapped, Watched};
use support::rng::Rng;
use support::{PLANNED, crew, ignore, must_panic, planned_panic, seed, within};

/// Far above what any of these needs.
const PATIENCE: u64 = 120;

fn fill<S: BuildHasher>(map: &FlatMap<u64, u64, S>, keys: std::ops::Range<u64>) {
    for key in keys {
        map.insert(key, key);
    }
}

/// Uses every operation on `key`, whose entry may or may not be there, and on others.
fn still_usable<S: BuildHasher>(map: &FlatMap<u64, u64, S>, key: u64) {
    map.get(&key);
    map.get_with(&key, |value| *value);
    assert!(map.try_get(&key).is_ok(), "the bin is still busy");
    assert!(map.try_insert(key, 1).is_ok(), "the bin is still busy");
    assert_eq!(map.insert(key, 2), Some(1));
    assert_eq!(map.insert_if_absent(key, 3).unwrap_err().current, 2);
    assert_eq!(map.update(&key, |value| value + 2), Some(4));
    assert_eq!(map.compute(key, |_| Op::Keep).after, Some(4));
    map.retain(|_, _| true);
    assert_eq!(map.iter().filter(|&(found, _)| found == key).count(), 1);
    assert_eq!(map.remove(&key), Some(4));
    assert_eq!(map.remove(&key), None);
    for other in 5_000..5_200 {
        map.insert(other, other);
    }
    for other in 5_000..5_200 {
        assert_eq!(map.remove(&other), Some(other));
    }
    assert_eq!(map.iter().count(), map.len());
}

#[test]
fn a_panicking_closure_changes_nothing_and_locks_nothing() {
    for hasher in [hashers::GOOD, hashers::CONSTANT] {
        within(PATIENCE, "panicking closures", move || {
            let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hasher);
            fill(&map, 0..50);
            must_panic("update", || ignore(map.update(&7, |_| planned_panic())));
            assert_eq!(map.get(&7), Some(7));
            still_usable(&map, 7);
            fill(&map, 0..50);
            must_panic("compute, there", || ignore(map.compute(7, |_| planned_panic())));
            assert_eq!(map.get(&7), Some(7));
            still_usable(&map, 7);
            must_panic("compute, absent", || ignore(map.compute(99, |_| planned_panic())));
            assert_eq!(map.get(&99), None);
            still_usable(&map, 99);
            fill(&map, 0..50);
            must_panic("get_with", || ignore(map.get_with(&7, |_| planned_panic())));
            assert_eq!(map.get(&7), Some(7));
            still_usable(&map, 7);
            fill(&map, 0..50);
            let mut met = 0;
            must_panic("retain", || {
                map.retain(|_, value| {
                    met += 1;
                    *value += 100;
                    if met == 20 {
                        planned_panic();
                    }
                    met % 2 == 0
                });
            });
            // 19 were decided on, 10 of them against; all or some of that was carried out. The one
            // that panicked and the rest are as they were.
            let changed = map.iter().filter(|&(key, value)| value != key).count();
            assert!(met == 20 && map.len() >= 40 && changed <= 9, "{map:?}");
            assert!(map.iter().all(|(key, value)| value % 100 == key), "{map:?}");
            still_usable(&map, 7);
            map.clear();
            fill(&map, 0..50);
            let (mut met, mut taken) = (0, 0);
            must_panic("extract_if", || {
                let all = map.extract_if(|_, _| {
                    met += 1;
                    if met == 20 {
                        planned_panic();
                    }
                    met % 2 == 0
                });
                all.for_each(|_| taken += 1);
            });
            assert_eq!((met, taken, map.len()), (20, 9, 41));
            still_usable(&map, 7);
        });
    }
}

#[test]
fn a_panicking_hasher_changes_nothing_and_locks_nothing() {
    for inner in [hashers::GOOD, hashers::CONSTANT, hashers::IDENTITY] {
        within(PATIENCE, "panicking hashers", move || {
            let hasher = Watched::new(inner);
            let (fuse, uses) = (hasher.fuse.clone(), hasher.clone());
            let map: FlatMap<u64, u64, Watched> = FlatMap::with_hasher(hasher);
            let mut model = StdMap::new();
            let mut panics = 0;
            // Every use of the hasher panics once: those of the operation itself, and those of the
            // growth that it sets off.
            for key in 0..250 {
                for n in 0_u32.. {
                    fuse.arm(n.into());
                    let before = uses.uses();
                    let panicked = support::panics(|| ignore(map.insert(key, key + u64::from(n))));
                    fuse.disarm();
                    panics += u32::from(panicked);
                    if panicked {
                        // Either it happened or it did not.
                        let found = map.get(&key);
                        let old = model.get(&key).copied();
                        assert!(
                            found == old || found == Some(key + u64::from(n)),
                            "{key}: {found:?}"
                        );
                        found.map(|value| model.insert(key, value));
                    } else {
                        model.insert(key, key + u64::from(n));
                        assert!(uses.uses() > before, "the hasher was not asked");
                        break;
                    }
                    assert!(n < 10_000, "it never goes through");
                }
                if key % 50 == 0 {
                    assert_eq!(map.iter().collect::<StdMap<_, _>>(), model);
                    assert_eq!(map.len(), model.len());
                }
            }
            assert!(panics >= 250);
            assert_eq!(map.iter().collect::<StdMap<_, _>>(), model);
            for key in 0..250 {
                fuse.arm(0);
                assert!(support::panics(|| ignore(map.get(&key))));
                fuse.arm(0);
                assert!(support::panics(|| ignore(map.remove(&key))));
                fuse.arm(0);
                assert!(support::panics(|| ignore(map.update(&key, |value| value + 1))));
                fuse.disarm();
                assert_eq!(map.get(&key), model.get(&key).copied());
            }
            still_usable(&map, 7);
        });
    }
}

/// The keys of a batch whose lookup panicked are looked up by the next call.
#[test]
fn get_each_after_a_panic_answers_for_every_key() {
    let hasher = Watched::new(hashers::GOOD);
    let fuse = hasher.fuse.clone();
    let map: FlatMap<u64, u64, Watched> = FlatMap::with_hasher(hasher);
    fill(&map, 0..40);
    for count in [1, 3, 16, 19, 40] {
        for step in 0..count {
            let mut each = map.get_each(0..count);
            let mut answers = Vec::new();
            fuse.arm(step.cast_signed());
            while support::panics(|| answers.extend(each.by_ref())) {
                assert_eq!(each.size_hint().0, count as usize - answers.len());
                fuse.arm(0);
                assert!(
                    support::panics(|| ignore(each.next())),
                    "the keys of the lookup that panicked are forgotten"
                );
                fuse.disarm();
            }
            fuse.disarm();
            let expected: Vec<_> = (0..count).map(|key| (key, Some(key))).collect();
            assert_eq!(answers, expected, "every key has its own value");
        }
    }
}

/// A key whose comparison, where there is a deed, does it once.
#[derive(Clone, Copy, Debug)]
struct Doer(u64);

impl PartialEq for Doer {
    fn eq(&self, other: &Self) -> bool {
        if let Some(deed) = DEED.take() {
            deed();
        }
        self.0 == other.0
    }
}

impl Eq for Doer {}

impl Hash for Doer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

/// What was inserted while a key in front was being looked for is found: a batch is its lookups in turn. The key in
/// front is the second in its bin that has its hash.
#[test]
fn a_batch_answers_in_turn() {
    static MAP: FlatMap<Doer, u64, Mapped> = FlatMap::with_hasher(hashers::PAIRS);
    static ENTRIES: HashMap<Doer, u64, Mapped> = HashMap::with_hasher(hashers::PAIRS);
    const KEYS: [Doer; 6] = [Doer(1), Doer(3), Doer(5), Doer(7), Doer(9), Doer(11)];
    for key in [Doer(0), Doer(1)] {
        MAP.insert(key, 9 + key.0);
        ENTRIES.insert(key, 9 + key.0);
    }
    DEED.set(Some(|| ignore(MAP.insert(KEYS[4], 14))));
    let mut answers = [None; 6];
    MAP.get_many(&KEYS, &mut answers);
    let expected = [Some(10), None, None, None, Some(14), None];
    assert_eq!(answers, expected, "an absence is older than the value in front of it");
    MAP.remove(&KEYS[4]);
    DEED.set(Some(|| ignore(MAP.insert(KEYS[4], 14))));
    let answers: Vec<_> = MAP.get_each(KEYS).map(|(_, value)| value).collect();
    assert_eq!(answers, expected, "an absence is older than the value in front of it");
    DEED.set(Some(|| ignore(ENTRIES.insert(KEYS[4], 14))));
    let (entries, mut answers) = (ENTRIES.pin(), [None; 6]);
    entries.get_many(&KEYS.each_ref(), &mut answers);
    let answers = answers.map(Option::<&u64>::copied);
    assert_eq!(answers, expected, "an absence is older than the value in front of it");
}

/// Overflow lines of a map of the keys `0..end`, of which one insert, from `from` on, meets a panic of `Hash` while it
/// makes the map grow; and of one that met none.
fn lines_after_a_panic_in_growth(from: u64, end: u64) -> (usize, usize) {
    let hasher = Watched::new(hashers::GOOD);
    let fuse = hasher.fuse.clone();
    let map: FlatMap<u64, u64, Watched> = FlatMap::with_hasher(hasher);
    let other: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hashers::GOOD);
    fill(&other, 0..end);
    fill(&map, 0..from);
    let mut key = from;
    // The first use is the insert's own.
    fuse.arm(3);
    while !support::panics(|| ignore(map.insert(key, key))) {
        key += 1;
        assert!(key < end, "no insert made the map grow");
        fuse.arm(3);
    }
    fuse.disarm();
    fill(&map, key..end);
    // An insert may learn late that growth is due: threads count apart, told by where their stacks lie, and a sanitizer
    // moves those.
    while map.grow_step(1) || other.grow_step(1) {}
    assert_eq!((map.len(), map.stats().bins), (other.len(), other.stats().bins));
    assert!((0..end).all(|key| map.get(&key) == Some(key)));
    (map.stats().overflow_lines, other.stats().overflow_lines)
}

#[test]
fn growth_that_a_panic_cut_short_is_taken_up_again() {
    for from in [600, 3_000] {
        let (lines, without) = lines_after_a_panic_in_growth(from, from + 600);
        let much = lines > without + without / 8;
        assert!(!much, "the bins of a segment are still unborn: {lines} lines, not {without}");
    }
}

#[test]
fn a_move_that_a_panic_cut_short_is_taken_up_again() {
    for (from, end) in [(4, 16), (10, 100), (100, 400)] {
        let (lines, without) = lines_after_a_panic_in_growth(from, end);
        let much = lines > without + 1 + without / 8;
        assert!(!much, "keys are still in the small table: {lines} lines, not {without}");
    }
}

thread_local! {
    /// What the comparisons and hashes of this thread's `Odd` keys do besides.
    static DEED: Cell<Option<fn()>> = const { Cell::new(None) };
    static STEPS: Cell<u64> = const { Cell::new(0) };
    /// So many deeds are left. One that writes where the operation is busy makes it begin again,
    /// and so for ever if there is no end of deeds.
    static LEFT: Cell<u64> = const { Cell::new(0) };
}

/// A key whose comparison and hash run some more code.
#[derive(Clone, Copy, Debug)]
struct Odd(u64);

impl Odd {
    fn deed() {
        STEPS.set(STEPS.get() + 1);
        // Not again from within.
        if LEFT.get() > 0
            && let Some(deed) = DEED.take()
        {
            LEFT.set(LEFT.get() - 1);
            deed();
            DEED.set(Some(deed));
        }
    }
}

impl PartialEq for Odd {
    fn eq(&self, other: &Self) -> bool {
        Odd::deed();
        self.0 == other.0
    }
}

impl Eq for Odd {}

impl Hash for Odd {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Odd::deed();
        state.write_u64(self.0);
    }
}

#[test]
fn a_panicking_comparison_changes_nothing_and_locks_nothing() {
    within(PATIENCE, "panicking comparisons", || {
        thread_local!(static FUSE: Fuse = Fuse::default());
        let map: FlatMap<Odd, u64, Mapped> = FlatMap::with_hasher(hashers::CONSTANT);
        for key in 0..30 {
            map.insert(Odd(key), key);
        }
        for key in (0..60).rev() {
            let work: [&dyn Fn(); 5] = [
                &|| ignore(map.get(&Odd(key))),
                &|| ignore(map.insert(Odd(key), key)),
                &|| ignore(map.update(&Odd(key), |_| key)),
                &|| ignore(map.insert_if_absent(Odd(key), key)),
                &|| ignore(map.compute(Odd(key), |_| Op::Insert(key))),
            ];
            for work in work {
                for n in 0.. {
                    FUSE.with(|fuse| fuse.arm(n));
                    DEED.set(Some(|| FUSE.with(Fuse::step)));
                    LEFT.set(u64::MAX);
                    let panicked = support::panics(work);
                    DEED.set(None);
                    assert_eq!(map.iter().count(), map.len());
                    if !panicked {
                        break;
                    }
                }
                for other in 0..30 {
                    assert_eq!(map.get(&Odd(other)), Some(other));
                }
            }
            assert_eq!(map.get(&Odd(key)), Some(key));
        }
        assert_eq!(map.len(), 60);
    });
}

#[test]
fn closures_may_call_back_into_the_same_key() {
    for hasher in [hashers::GOOD, hashers::CONSTANT] {
        within(30, "calling back", move || {
            let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hasher);
            for key in 0..40 {
                map.insert(key, key);
            }
            // Reading from within.
            let after = map.update(&7, |value| value + map.get(&7).expect("it is there"));
            assert_eq!(after, Some(14));
            assert!(map.try_get(&7).is_ok());
            let done = map.compute(7, |found| {
                assert_eq!(map.get(&7), found);
                assert!(map.try_get(&7).is_ok(), "a closure runs outside the lock");
                Op::Insert(map.len() as u64)
            });
            assert_eq!(done.after, Some(40));
            assert_eq!(map.get_with(&7, |value| map.insert(7, value + 1)), Some(Some(40)));
            assert_eq!(map.get_with(&7, |_| map.remove(&7)), Some(Some(41)));
            assert_eq!(map.get(&7), None);

            // Writing from within: the closure runs again on what it finds then.
            map.insert(7, 1);
            let mut turns = 0;
            let after = map.update(&7, |value| {
                turns += 1;
                if turns < 4 {
                    map.insert(7, value * 10);
                }
                value + 1
            });
            assert_eq!((after, turns), (Some(1_001), 4), "an insert from within was lost");
            let mut turns = 0;
            let done = map.compute(7, |found| {
                turns += 1;
                match (turns, found) {
                    (1, Some(1_001)) => {
                        map.remove(&7);
                        Op::Insert(1)
                    }
                    (2, None) => {
                        map.insert(7, 5);
                        Op::Insert(2)
                    }
                    (3, Some(5)) => Op::Remove,
                    other => panic!("turn and value {other:?}"),
                }
            });
            assert_eq!((done.before, done.after, turns), (Some(5), None, 3));

            // The whole map from within.
            let mut written = HashSet::new();
            map.retain(|&key, value| {
                *value = key;
                assert!(map.get(&key).is_some());
                if written.insert(key) {
                    map.insert(key + 1_000, 0);
                    map.remove(&(key + 1_000));
                    map.retain(|_, _| true);
                }
                assert!(map.iter().count() >= 20);
                key % 2 == 0
            });
            assert!((0..40).all(|key| map.contains_key(&key) == (key % 2 == 0)), "{map:?}");
            map.update(&2, |value| {
                map.clear();
                value
            });
            assert!(map.get(&4).is_none());

            // Growth from within.
            map.insert(1, 1);
            let mut grown = false;
            map.update(&1, |value| {
                if !std::mem::replace(&mut grown, true) {
                    fill(&map, 100..300);
                }
                value + 1
            });
            assert_eq!(map.get(&1), Some(2));
            assert!((100..300).all(|key| map.get(&key) == Some(key)));
            still_usable(&map, 1);
        });
    }
}

/// `retain` looks again when its key was changed from within its closure.
#[test]
fn retain_and_a_change_of_the_same_key_from_within() {
    within(PATIENCE, "retain calling back", || {
        let map: FlatMap<u64, u64, Mapped> = FlatMap::with_hasher(hashers::CONSTANT);
        for key in 0..10 {
            map.insert(key, 0);
        }
        let mut once = HashSet::new();
        map.retain(|&key, value| {
            if once.insert(key) {
                // Whatever is decided now rests on a value that is no longer there.
                map.insert(key, 5);
                return false;
            }
            *value == 5
        });
        assert_eq!(map.len(), 10);
        assert!((0..10).all(|key| map.get(&key) == Some(5)), "{map:?}");
    });
}

#[test]
fn hashes_and_comparisons_may_call_back() {
    static MAP: FlatMap<Odd, u64, Mapped> = FlatMap::with_hasher(hashers::LOW_ENTROPY);
    within(PATIENCE, "hashes calling back", || {
        STEPS.set(0);
        DEED.set(Some(|| {
            let n = STEPS.get();
            // Keys of their own, so that the others' fate is known, in the same bins.
            let key = Odd(1_000 + n % 20);
            match n % 6 {
                0 => ignore(MAP.insert(key, n)),
                1 => ignore(MAP.remove(&key)),
                2 => ignore(MAP.update(&key, |value| value + 1)),
                3 => ignore(MAP.get(&Odd(n % 40))),
                4 => ignore(MAP.try_get(&Odd(n % 40))),
                _ => ignore(MAP.compute(key, |_| Op::Insert(n))),
            }
        }));
        // Each operation meets some deeds.
        let among = |left: u64| {
            LEFT.set(left);
            &MAP
        };
        for key in 0..40 {
            assert_eq!(among(key % 5).insert(Odd(key), key), None);
            assert_eq!(among(key % 7).get(&Odd(key)), Some(key));
        }
        for key in 0..40 {
            assert_eq!(among(key % 3).update(&Odd(key), |value| value + 1), Some(key + 1));
            assert_eq!(among(key % 8).insert_if_absent(Odd(key), 0).unwrap_err().current, key + 1);
            if key % 2 == 0 {
                assert_eq!(among(key % 4 + 1).remove(&Odd(key)), Some(key + 1));
            }
        }
        DEED.set(None);
        for key in 0..40 {
            assert_eq!(MAP.get(&Odd(key)), (key % 2 == 1).then_some(key + 1));
        }
        assert_eq!(MAP.iter().count(), MAP.len());
    });
}

/// Comparisons that lie cost the keys they lie about, and nothing else.
/// Somebody writes to one bin whenever a split looks at its keys. Growth leaves that bin for later and
/// everybody finds its keys where they are.
#[test]
fn a_bin_that_is_always_being_written_does_not_hold_up_growth() {
    static MAP: FlatMap<Restless, u64, BuildHasherDefault<DefaultHasher>> =
        FlatMap::with_hasher(BuildHasherDefault::new());

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    struct Restless(u64);

    impl Hash for Restless {
        fn hash<H: Hasher>(&self, state: &mut H) {
            thread_local!(static NESTED: Cell<bool> = const { Cell::new(false) });
            if self.0 == 0 && !NESTED.replace(true) {
                MAP.insert(Self(0), 0);
                NESTED.set(false);
            }
            state.write_u64(self.0);
        }
    }

    within(60, "growth around a busy bin", || {
        for n in 0..4_000 {
            MAP.insert(Restless(n), n);
        }
        assert_eq!(MAP.len(), 4_000);
        for n in 0..4_000 {
            assert_eq!(MAP.get(&Restless(n)), Some(n));
        }
        let mut keys: Vec<u64> = MAP.keys().map(|key| key.0).collect();
        keys.sort_unstable();
        assert!(keys.into_iter().eq(0..4_000));
    });
}

#[test]
fn broken_comparisons_do_no_harm() {
    #[derive(Clone, Copy)]
    struct Stranger(u64);
    impl PartialEq for Stranger {
        fn eq(&self, _: &Self) -> bool {
            false
        }
    }
    impl Eq for Stranger {}
    impl Hash for Stranger {
        fn hash<H: Hasher>(&self, state: &mut H) {
            state.write_u64(self.0);
        }
    }

    #[derive(Clone, Copy)]
    struct Moody(u64);
    impl PartialEq for Moody {
        fn eq(&self, other: &Self) -> bool {
            STEPS.set(STEPS.get() + 1);
            (self.0 == other.0) != STEPS.get().is_multiple_of(3)
        }
    }
    impl Eq for Moody {}
    impl Hash for Moody {
        fn hash<H: Hasher>(&self, state: &mut H) {
            state.write_u64(self.0);
        }
    }

    fn abuse<K: Copy + Eq + Hash, S: BuildHasher + Clone>(hasher: S, key: fn(u64) -> K) {
        let mut map: FlatMap<K, [u64; 2], S> = FlatMap::with_hasher(hasher);
        let mut rng = Rng::new(seed());
        for n in 0..600 {
            let key = key(rng.next() % 50);
            let new = [n; 2];
            match rng.below(12) {
                0 => ignore(map.remove(&key)),
                1 => ignore(map.update(&key, |_| new)),
                2 => ignore(map.compute(key, |_| Op::Insert(new))),
                3 => ignore(map.compute(key, |_| Op::Remove)),
                4 => ignore(map.insert_if_absent(key, new)),
                5 => ignore(map.get_with(&key, |value| assert_eq!(value[0], value[1]))),
                6 => ignore(map.try_insert(key, new)),
                _ => ignore(map.insert(key, new)),
            }
        }
        assert!(map.iter().all(|(_, value)| value[0] == value[1] && value[0] < 600));
        assert_eq!(map.iter().count(), map.len(), "the count is of what is there");
        let mut kept = 0;
        map.retain(|_, _| {
            kept += 1;
            kept % 2 == 0
        });
        assert_eq!(map.iter().count(), map.len());
        map.shrink_to_fit();
        assert_eq!(map.iter().count(), map.len());
        drop(map.clone());
        map.clear();
        assert_eq!((map.len(), map.iter().count()), (0, 0), "clear asks no key");
    }

    within(PATIENCE, "broken comparisons and hashes", || {
        for hasher in hashers::ALL {
            abuse(hasher, Stranger);
            abuse(hasher, Moody);
        }
        abuse(Fickle::default(), |n| n);
        abuse(Fickle::default(), Moody);
    });
}

/// Keys that lie in several threads at once.
#[test]
fn broken_hashes_do_no_harm_among_threads() {
    within(PATIENCE, "broken hashes among threads", || {
        let map: FlatMap<u64, [u64; 3], Fickle> = FlatMap::with_hasher(Fickle::default());
        crew(|scope| {
            for thread in 0..3 {
                let map = &map;
                scope.spawn(move || {
                    let mut rng = Rng::new(seed() ^ thread);
                    for n in 0..3_000 {
                        let key = rng.next() % 300;
                        match rng.below(6) {
                            0 => ignore(map.remove(&key)),
                            1 => ignore(map.update(&key, |_| [n; 3])),
                            2 => {
                                assert!(map.get(&key).is_none_or(|value| value == [value[0]; 3]));
                            }
                            3 => ignore(map.compute(key, |_| Op::Insert([n; 3]))),
                            _ => ignore(map.insert(key, [n; 3])),
                        }
                    }
                });
            }
        });
        assert_eq!(map.iter().count(), map.len());
        assert!(map.iter().all(|(_, value)| value == [value[0]; 3]));
    });
}

/// The watchdog barks, so the tests that rely on it can fail.
#[test]
#[should_panic(expected = "locked for ever")]
fn the_watchdog_barks() {
    within(1, "sleeping", || thread::sleep(Duration::from_secs(20)));
}

/// A panic in the watched work is the test's.
#[test]
#[should_panic(expected = "a planned panic")]
fn the_watchdog_passes_panics_on() {
    assert_eq!(PLANNED, "a planned panic");
    within(1_000, "panicking", || planned_panic());
}
