//! builds: narrow
//!
//! Every layout of key and value against std's `HashMap`: random operations on both give the same answers and the same
//! contents, with good and bad hashers.

use crate::support;

use hedgerow::flat::{FlatTable, Op};
use hedgerow::{FlatMap, HashMap};
use std::collections::HashMap as StdMap;
use std::hash::{BuildHasher, Hash};
use std::num::NonZeroU32;
use support::hashers;
use support::layouts::{Aligned, AlignedNothing, Mixed, Nth};
use support::rng::Rng;
use support::{effort, seed, within};

/// Compares the contents in both directions, and the counts.
fn compare<K, V, S>(map: &FlatMap<K, V, S>, model: &StdMap<K, V>)
where
    K: Nth + Eq + Hash,
    V: Nth,
    S: BuildHasher,
{
    let mut count = 0;
    for (key, value) in map {
        assert_eq!(model.get(&key), Some(&value), "{key:?} in the map");
        count += 1;
    }
    assert_eq!(count, model.len(), "a key is there twice, or lost");
    for (key, value) in model {
        assert_eq!(map.get(key), Some(*value), "{key:?} in the model");
    }
    assert_eq!(map.len(), model.len());
    assert_eq!(map.is_empty(), model.is_empty());
    assert_eq!(map.stats().len, model.len());
}

/// Does one random operation on both.
fn step<K, V, S>(map: &FlatMap<K, V, S>, model: &mut StdMap<K, V>, keys: u64, rng: &mut Rng)
where
    K: Nth + Eq + Hash,
    V: Nth,
    S: BuildHasher,
{
    let key = K::nth(rng.next() % keys);
    let new = V::nth(rng.next() % V::LIMIT);
    match rng.below(100) {
        0..30 => assert_eq!(map.insert(key, new), model.insert(key, new)),
        30..36 => match map.try_insert(key, new) {
            Ok(old) => assert_eq!(old, model.insert(key, new), "not the value that was stored"),
            Err(why) => panic!("no other thread is here, and there is memory: {why}"),
        },
        36..44 => {
            assert_eq!(
                map.insert_if_absent(key, new).err().map(|error| error.current),
                model.get(&key).copied()
            );
            model.entry(key).or_insert(new);
        }
        44..60 => assert_eq!(map.remove(&key), model.remove(&key)),
        60..68 => {
            let after = map.update(&key, |old| if old == new { old } else { new });
            assert_eq!(
                after,
                model.get_mut(&key).map(|value| {
                    *value = new;
                    new
                })
            );
        }
        68..78 => {
            let before = model.get(&key).copied();
            let (computed, after) = match rng.below(3) {
                0 => (map.compute(key, |_| Op::Keep), before),
                1 => (map.compute(key, |_| Op::Insert(new)), Some(new)),
                _ => (map.compute(key, |_| Op::Remove), None),
            };
            assert_eq!((computed.before, computed.after), (before, after));
            match after {
                Some(after) => model.insert(key, after),
                None => model.remove(&key),
            };
        }
        78..98 => {
            let found = model.get(&key).copied();
            assert_eq!(map.get(&key), found);
            assert_eq!(map.contains_key(&key), found.is_some());
            assert_eq!(map.try_get(&key).ok(), Some(found));
            let seen = map.get_with(&key, |value| {
                assert!(std::ptr::from_ref(value).is_aligned(), "a misaligned value");
                *value
            });
            assert_eq!(seen, found);
        }
        98 => compare(map, model),
        _ => match rng.below(12) {
            0 => {
                map.clear();
                model.clear();
            }
            1 | 2 => {
                let gone = K::nth(rng.next() % keys);
                let kept = |key: &K, value: &mut V| {
                    *value = new;
                    *key != gone
                };
                map.retain(kept);
                model.retain(kept);
            }
            3 => map.reserve(rng.below(200)),
            _ => map.try_reserve(rng.below(200)).expect("there is memory"),
        },
    }
}

/// Does random operations on a map with this hasher and on the model.
fn run<K, V, S>(mut map: FlatMap<K, V, S>, keys: u64, steps: u32, salt: u64)
where
    K: Nth + Eq + Hash,
    V: Nth,
    S: BuildHasher + Clone,
{
    let mut model = StdMap::new();
    let mut rng = Rng::new(seed() ^ salt);
    let keys = keys.min(K::LIMIT);
    for n in 0..keys / 3 {
        let (key, value) = (K::nth(n), V::nth(n % V::LIMIT));
        assert_eq!(map.insert(key, value), model.insert(key, value));
    }
    for turn in 0..effort(steps) {
        step(&map, &mut model, keys, &mut rng);
        if turn % 701 == 700 {
            map.shrink_to_fit();
            compare(&map, &model);
            let copy = map.clone();
            map.clear();
            compare(&copy, &model);
            map = copy;
        }
    }
    compare(&map, &model);
}

/// Tests one layout with all hashers.
fn layout<K: Nth + Eq + Hash, V: Nth>() {
    within(300, std::any::type_name::<(K, V)>(), || {
        run(FlatMap::<K, V>::new(), 600, 3_000, 1);
        run(FlatMap::<K, V>::with_capacity(300), 600, 2_000, 2);
        for (salt, hasher) in (3..).zip(hashers::ALL) {
            // Enough for a table that grows by splits, if that is not slow.
            let keys = if matches!(hasher.name, "good" | "clustered") { 3_000 } else { 70 };
            run(FlatMap::<K, V, _>::with_hasher(hasher), keys, 1_500, salt);
        }
    });
}

macro_rules! layouts {
    ($($name:ident: $key:ty => $value:ty;)*) => {
        $(#[test]
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
    kibibyte_keys: [u64; 128] => u8;
    aligned_values: u8 => Aligned;
    aligned_keys: Aligned => Aligned;
    letters_to_flags: char => bool;
    flags_to_letters: bool => char;
    padded_keys: (u8, u32) => u64;
    padded_twice: (u16, (u64, u8)) => (u32, (u8, u128));
    mixed_enums: Mixed => Mixed;
    functions: u32 => fn(u64) -> u64;
}

/// The greatest supported alignment.
#[test]
fn keys_and_values_of_half_a_page_stay_aligned() {
    // Bins of 32-bit targets have fewer slots.
    const BINS: usize = if usize::BITS == 64 { 16 } else { 32 };
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    #[repr(align(2048))]
    struct Half(u64);
    fn aligned(half: &Half) -> u64 {
        let address = std::hint::black_box(std::ptr::from_ref(half).addr());
        assert_eq!(address % 2048, 0, "{half:?} at {address:x}");
        half.0
    }
    let map: FlatMap<Half, Half> = (0..60).map(|n| (Half(n), Half(2 * n))).collect();
    let table = Box::new(FlatTable::<Half, Half, BINS>::new());
    let entries: HashMap<Half, Half> = HashMap::new();
    for (key, value) in &map {
        assert_eq!(2 * aligned(&key), aligned(&value));
        assert_eq!(table.insert(key, value), Ok(None));
        entries.insert(key, value);
    }
    assert!(table.iter().all(|(key, value)| 2 * aligned(&key) == aligned(&value)));
    for n in 0..60 {
        let found = [map.get(&Half(n)), table.get(&Half(n)), entries.get_cloned(&Half(n))];
        assert!(found.iter().flatten().all(|value| aligned(value) == 2 * n));
        assert_eq!(found.iter().flatten().count(), 3);
    }
    let guard = hedgerow::owned::pin();
    assert!(
        entries.with_guard(&guard).iter().all(|(key, value)| 2 * aligned(key) == aligned(value))
    );
    map.retain(|key, value| aligned(key) < 30 && aligned(value) < 60);
    assert_eq!(
        (map.values().count(), map.iter().map(|(key, _)| aligned(&key)).max()),
        (30, Some(29))
    );
    let keys: Vec<Half> = (0..60).map(Half).collect();
    let mut values = vec![None; 60];
    map.get_many(&keys, &mut values);
    assert_eq!(values.iter().flatten().map(aligned).sum::<u64>(), 29 * 30);
}

/// 150 KiB, identified by the first word.
#[derive(Clone, Copy)]
struct Large([u64; 19_200]);

impl Large {
    #[allow(clippy::large_stack_arrays, reason = "what is tested")]
    fn boxed(number: u64) -> Box<Self> {
        Box::new(Self([number; 19_200]))
    }
}

impl PartialEq for Large {
    fn eq(&self, other: &Self) -> bool {
        self.0[0] == other.0[0]
    }
}

impl Eq for Large {}

impl Hash for Large {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[0]);
    }
}

/// Operations on a map's own entries fit the stack that std gives a thread, because few entries are on it at a time.
#[test]
fn large_keys_do_not_pile_up_on_the_stack() {
    type Work = fn(&FlatMap<Large, u64, hashers::Mapped>);
    const THREAD: usize = 2 << 20;
    let map = FlatMap::with_hasher(hashers::GOOD);
    let with_stack = |what: &str, bytes: usize, work: Work| {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name(what.into()).stack_size(bytes);
            let thread = thread.spawn_scoped(scope, || work(&map)).expect("a thread");
            thread.join().expect("see above");
        });
    };
    // Keys are passed by value, which copies them several times if nothing is optimized.
    with_stack("inserting", 64 << 20, |map| {
        for number in 0..20 {
            map.insert(*Large::boxed(number), number);
        }
    });
    with_stack("reserving", THREAD, |map| map.reserve(60));
    with_stack("growing", THREAD, |map| while map.grow_step(1) {});
    with_stack("retain", THREAD, |map| {
        map.retain(|key, value| key.0[19_199] == *value && *value > 2);
    });
    with_stack("values", THREAD, |map| assert_eq!(map.values().count(), 17));
    with_stack("clear", THREAD, |map| map.clear());
    assert!(map.is_empty());
}

/// NaN equals nothing, not even itself; a map never compares values.
#[test]
fn values_that_equal_nothing() {
    let map: FlatMap<u8, f64> = FlatMap::new();
    map.insert(1, f64::NAN);
    assert!(map.get(&1).expect("it is there").is_nan());
    assert_eq!(map.update(&1, |value| if value.is_nan() { 2.0 } else { value }), Some(2.0));
    map.insert(1, f64::NAN);
    let computed = map.compute(1, |value| {
        assert!(value.expect("it is there").is_nan());
        Op::Remove
    });
    assert!(computed.before.expect("it was there").is_nan() && computed.after.is_none());
    assert!(map.is_empty());
}

/// A present key keeps its own bits: as in std, an insert replaces only the value.
#[test]
fn an_equal_key_does_not_replace_the_first() {
    #[derive(Clone, Copy, Debug)]
    struct Named(u32, &'static str);
    impl PartialEq for Named {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Named {}
    impl Hash for Named {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    let map = FlatMap::<_, _>::new();
    let mut model = StdMap::new();
    for (key, value) in [(Named(1, "first"), 1), (Named(1, "second"), 2)] {
        map.insert(key, value);
        model.insert(key, value);
    }
    let names = |keys: Vec<Named>| keys.into_iter().map(|key| key.1).collect::<Vec<_>>();
    assert_eq!(names(map.keys().collect()), names(model.into_keys().collect()));
}

/// The comparison can fail.
#[test]
#[should_panic(expected = "in the map")]
fn a_difference_is_noticed() {
    let map: FlatMap<u32, u32> = FlatMap::new();
    let mut model = StdMap::new();
    map.insert(1, 1);
    model.insert(1, 2);
    compare(&map, &model);
}
