//! builds: default
//!
//! The cost, in steps and bytes, of keys that an attacker chooses to have one hash, and for which operations.

use hedgerow::{FlatMap, FlatTable};
use std::cell::Cell;
use std::hash::{BuildHasher, Hash, Hasher};

thread_local! {
    static HASHED: Cell<u64> = const { Cell::new(0) };
    static COMPARED: Cell<u64> = const { Cell::new(0) };
}

/// Keys from here on collide.
const BAD: u64 = 1 << 40;

#[derive(Clone, Copy, Debug)]
struct Key(u64);

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        COMPARED.set(COMPARED.get() + 1);
        self.0 == other.0
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        HASHED.set(HASHED.get() + 1);
        state.write_u64(self.0);
    }
}

/// The hash of all keys from `BAD` on; the other keys' hashes are random.
#[derive(Clone, Copy)]
struct Weak(u64);

struct Sum(u64, u64);

impl BuildHasher for Weak {
    type Hasher = Sum;

    fn build_hasher(&self) -> Sum {
        Sum(self.0, 0)
    }
}

impl Hasher for Sum {
    fn finish(&self) -> u64 {
        self.1
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, word: u64) {
        let mixed = (word ^ word >> 31).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.1 = if word < BAD { mixed ^ mixed >> 29 } else { self.0 };
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Steps {
    hashed: u64,
    compared: u64,
}

impl Steps {
    fn most(self, other: Self) -> Self {
        let hashed = self.hashed.max(other.hashed);
        Self { hashed, compared: self.compared.max(other.compared) }
    }
}

/// Counts how often `work` hashed a key, and compared two.
fn steps<R>(work: impl FnOnce() -> R) -> (R, Steps) {
    let before = (HASHED.get(), COMPARED.get());
    let result = work();
    (result, Steps { hashed: HASHED.get() - before.0, compared: COMPARED.get() - before.1 })
}

type Map = FlatMap<Key, u64, Weak>;

/// Hashes that stay in the first bin, move at every split, or move at some.
const HASHES: [u64; 3] = [0, u64::MAX, 0x1234_5678_9ABC_DEF0];
/// The number of keys: filling takes time quadratic in it.
const SIZES: [u64; 3] = [1, 100, if cfg!(debug_assertions) { 1_500 } else { 10_000 }];

fn floods() -> impl Iterator<Item = (Map, u64)> {
    let each = |hash| SIZES.map(|size| (FlatMap::with_hasher(Weak(hash)), size));
    HASHES.into_iter().flat_map(each)
}

/// Inserts keys beginning with `first`; returns the most steps that one insert took.
fn fill(map: &Map, first: u64, count: u64) -> Steps {
    let insert = |key| {
        let (before, took) = steps(|| map.insert(Key(key), key));
        assert_eq!(before, None);
        took
    };
    (first..first + count).map(insert).fold(Steps::default(), Steps::most)
}

/// The steps of an insert grow linearly with the list of colliding keys, even for an insert of another key that splits
/// the list's bin.
#[test]
fn a_list_costs_no_more_than_its_length() {
    for (map, size) in floods() {
        // Besides, an insert may hash the keys of two segments' bins.
        let most = Steps { hashed: 4 * size + 4_000, compared: 4 * size + 100 };
        let bounded = |steps: Steps| {
            let few = steps.hashed <= most.hashed && steps.compared <= most.compared;
            assert!(few, "an insert took more steps than its list is long: {steps:?}");
        };
        bounded(fill(&map, BAD, size));
        bounded(fill(&map, 0, 4 * size));
        for key in 0..size {
            let (found, steps) = steps(|| map.get(&Key(BAD + key)));
            assert!(found == Some(BAD + key) && steps.hashed == 1);
            assert!(steps.compared <= 2 * size + 8, "{size}: {steps:?}");
        }
    }
}

/// Operations on other keys are not slower, unless these share the bin.
#[test]
fn other_keys_do_not_pay() {
    for (map, size) in floods() {
        fill(&map, BAD, size);
        let others = 4 * size.max(100);
        fill(&map, 0, others);
        let mut slow = 0;
        for key in 0..2 * others {
            let (found, steps) = steps(|| map.get(&Key(key)));
            assert_eq!((found, steps.hashed), ((key < others).then_some(key), 1));
            slow += u64::from(steps.compared > 4);
        }
        assert!(slow <= 1 + others / 100, "{slow} of {others} keys among {size}");
        // All overflow lines are the list's, except those that random keys take.
        let alone = Map::with_hasher(Weak(0));
        fill(&alone, 0, others);
        let [lines, usual] = [&map, &alone].map(|map| map.stats().overflow_lines as u64);
        let list = if cfg!(target_pointer_width = "64") { size / 3 } else { size };
        assert!(lines <= list + 2 * usual + 16, "{lines} lines, where {usual} are usual");
    }
}

/// The number of bins depends on the number of keys, not on their hashes; a list takes its lines, and at most as many
/// again.
#[test]
fn the_table_grows_with_the_number_of_keys_only() {
    for (map, size) in floods() {
        let good = Map::with_hasher(Weak(0));
        fill(&map, BAD, size);
        fill(&good, 0, size);
        let (bad, good) = (map.stats(), good.stats());
        assert_eq!(bad.bins, good.bins, "bins by the number of keys only");
        assert!(
            bad.memory_bytes <= good.memory_bytes + 60 * size as usize + 8_192,
            "{bad:?}, not {good:?}"
        );
        // Nor does it depend on inserts and removals.
        for key in BAD..BAD + size.min(300) {
            assert!(map.remove(&Key(key)).is_some());
            map.insert(Key(key), 0);
        }
        assert_eq!(map.stats().bins, good.bins);
    }
}

/// A table of fixed size gives colliding keys sixteen bins (thirty-two of the smaller ones), and keeps its other bins
/// for other keys.
#[test]
fn a_table_of_fixed_size_refuses_what_sixteen_bins_do_not_hold() {
    let table = FlatTable::<Key, u64, 256, Weak>::with_hasher(Weak(u64::MAX));
    let most = if cfg!(target_pointer_width = "64") { 16 * 7 } else { 32 * 3 };
    let taken = (0..1_000).filter(|key| table.insert(Key(BAD + key), 0).is_ok()).count();
    assert_eq!(taken, most);
    let (_, refused) = steps(|| table.insert(Key(BAD + 999), 0));
    assert!(refused.compared <= 2 * most as u64 && refused.hashed == 1, "{refused:?}");
    let others = (0..300).filter(|&key| table.insert(Key(key), key).is_ok()).count();
    assert!(others >= 270, "{others} of 300");
}
