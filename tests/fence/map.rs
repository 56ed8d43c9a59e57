//! builds: narrow portable
//!
//! `FenceMap` against `BTreeMap`, by one thread: every operation, sizes from nothing to several fences, keys and
//! values of many types, and the extremes of each type.

use crate::support;

use hedgerow::FenceMap;
use hedgerow::fence::{Op, Ranking};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::num::NonZeroU32;
use std::ops::Bound;
use std::panic::{RefUnwindSafe, UnwindSafe};
use support::rng::{Rng, mix};
use support::walks::{every_fourth, meets_what_stays_once, same_from_both_ends};

const fn unwind<T: UnwindSafe + RefUnwindSafe>() {}
const _: () = unwind::<FenceMap<u64, u64>>();

/// Asserts that map and model have the same entries, for any ranking.
fn same<K: Copy + Ord + Debug, V: Copy + PartialEq + Debug, R: Ranking<K>>(
    map: &FenceMap<K, V, R>,
    model: &BTreeMap<K, V>,
) {
    assert_eq!(map.len(), model.len());
    assert!(map.iter().eq(model.iter().map(|(k, v)| (*k, *v))), "in order, each once");
    assert!(map.range(..).eq(model.iter().map(|(k, v)| (*k, *v))));
    for (key, value) in model {
        assert_eq!(map.get(key), Some(*value));
    }
}

fn some_bound(rng: &mut Rng, key: u64) -> Bound<u64> {
    match rng.below(5) {
        0 => Bound::Unbounded,
        1 | 2 => Bound::Included(key),
        _ => Bound::Excluded(key),
    }
}

fn is_range(bounds: (Bound<u64>, Bound<u64>)) -> bool {
    use Bound::{Excluded, Included};
    match bounds {
        (Excluded(a), Excluded(b)) => a < b,
        (Included(a) | Excluded(a), Included(b) | Excluded(b)) => a <= b,
        _ => true,
    }
}

fn ask_about_order(rng: &mut Rng, map: &FenceMap<u64, u64>, model: &BTreeMap<u64, u64>, key: u64) {
    let own = |entry: Option<(&u64, &u64)>| entry.map(|(k, v)| (*k, *v));
    assert_eq!(map.first_key_value(), own(model.first_key_value()));
    assert_eq!(map.last_key_value(), own(model.last_key_value()));
    assert_eq!(map.floor(&key), own(model.range(..=key).next_back()));
    assert_eq!(map.predecessor(&key), own(model.range(..key).next_back()));
    assert_eq!(map.ceiling(&key), own(model.range(key..).next()));
    assert_eq!(
        map.successor(&key),
        own(model.range((Bound::Excluded(key), Bound::Unbounded)).next())
    );
    let other = key.wrapping_add(rng.next() % 2_000).wrapping_sub(500);
    let bounds = (some_bound(rng, key), some_bound(rng, other));
    if is_range(bounds) {
        assert!(map.range(bounds).eq(model.range(bounds).map(|(k, v)| (*k, *v))), "{bounds:?}");
        assert!(map.range(bounds).rev().eq(model.range(bounds).rev().map(|(k, v)| (*k, *v))));
        assert!(map.iter_range(bounds).eq(model.range(bounds).map(|(k, v)| (*k, *v))));
        let expected = model.range(bounds).map(|(k, v)| (*k, *v));
        same_from_both_ends(rng, map.iter_range(bounds), expected);
        assert_eq!(map.range_len(bounds), model.range(bounds).count(), "{bounds:?}");
        assert!(map.approximate_range_len(bounds) <= model.len(), "{bounds:?}");
    } else {
        assert_eq!(map.range(bounds).len() + map.iter_range(bounds).count(), 0);
        assert_eq!(map.iter_range(bounds).rev().count() + map.range_len(bounds), 0, "{bounds:?}");
        assert_eq!(map.remove_range(bounds), 0);
    }
}

#[test]
fn a_walk_from_the_end_returns_each_key_once_while_leaves_change() {
    let map: FenceMap<u64, u64> = every_fourth().map(|n| (n, n)).collect();
    meets_what_stays_once(map.keys().rev(), |key, stays| {
        if stays {
            map.insert(key, key)
        } else {
            map.remove(&key)
        };
    });
}

fn change_a_range(
    rng: &mut Rng,
    map: &FenceMap<u64, u64>,
    model: &mut BTreeMap<u64, u64>,
    key: u64,
) {
    let other = key.wrapping_add(rng.next() % 300);
    let bounds = (some_bound(rng, key), some_bound(rng, other));
    match rng.below(8) {
        0 if is_range(bounds) && bounds.0 != Bound::Unbounded && bounds.1 != Bound::Unbounded => {
            let gone: Vec<u64> = model.range(bounds).map(|(k, _)| *k).collect();
            assert_eq!(map.remove_range(bounds), gone.len());
            for k in &gone {
                model.remove(k);
            }
        }
        1 => assert_eq!(map.pop_first(), model.pop_first()),
        2 => assert_eq!(map.pop_last(), model.pop_last()),
        3 if rng.one_in(100) => {
            let keep = |k: &u64, v: &mut u64| {
                *v ^= 1;
                !mix(*k).is_multiple_of(8)
            };
            map.retain(keep);
            model.retain(keep);
        }
        4 if rng.one_in(200) => {
            map.clear();
            model.clear();
        }
        _ => {
            let step = |v: Option<u64>| match v {
                None => Op::Insert(1),
                Some(v) if v % 2 == 0 => Op::Remove,
                Some(v) => Op::Insert(v + 1),
            };
            let before = model.get(&key).copied();
            if let Op::Insert(v) = step(before) {
                model.insert(key, v);
            } else {
                model.remove(&key);
            }
            let done = map.compute(key, step);
            assert_eq!((done.before, done.after), (before, model.get(&key).copied()));
        }
    }
}

#[test]
fn random_operations_answer_as_a_btree_map() {
    for (seed, spread) in [(1, 300), (2, 20_000), (3, u64::MAX), (4, 1 << 40)] {
        let mut rng = Rng::new(seed);
        let (map, mut model) = (FenceMap::<u64, u64>::new(), BTreeMap::new());
        let mut grows = false;
        for step in 0..support::effort(24_000u64) {
            if step % 4_000 == 0 {
                grows = !grows;
                same(&map, &model);
            }
            let mut key = rng.next() % spread;
            if spread > 100_000 && !grows {
                // A key that is in the map.
                key = *model.range(key..).next().map_or(&key, |(k, _)| k);
            }
            match rng.below(16) {
                0 | 1 => assert_eq!(map.get(&key), model.get(&key).copied()),
                2 => ask_about_order(&mut rng, &map, &model, key),
                3 => change_a_range(&mut rng, &map, &mut model, key),
                4..=6 if !grows => assert_eq!(map.insert(key, step), model.insert(key, step)),
                4..=13 if grows => assert_eq!(map.insert(key, step), model.insert(key, step)),
                _ => assert_eq!(map.remove(&key), model.remove(&key)),
            }
        }
        same(&map, &model);
    }
}

/// Several fences, which are split as they grow and merged as they shrink, in several orders of keys.
#[test]
fn maps_are_filled_and_emptied() {
    const N: u64 = 60_000;
    type Order = fn(u64) -> u64;
    let orders: [(&str, Order); 4] = [
        ("ascending", |n| n * 10),
        ("descending", |n| (N - 1 - n) * 10),
        ("random", mix),
        ("from both ends", |n| if n % 2 == 0 { n } else { u64::MAX - n }),
    ];
    // On 32 bits the test is slow, and the order makes no difference there.
    let some = if cfg!(target_pointer_width = "32") { &orders[2..3] } else { &orders[..] };
    for &(name, order) in some {
        let map: FenceMap<u64, u64> = (0..N).map(|n| (order(n), n)).collect();
        let model: BTreeMap<u64, u64> = (0..N).map(|n| (order(n), n)).collect();
        same(&map, &model);
        let full = map.stats();
        assert!(full.fences >= 3, "{name}: {full:?}");
        // Keys that arrive from both sides split leaves in the middle, so that these stay half full.
        let most = if ["ascending", "descending"].contains(&name) { 20 } else { 36 };
        assert!(
            full.memory_bytes / full.len <= most,
            "{name}: {} bytes an entry",
            full.memory_bytes / full.len
        );
        for n in 0..N {
            assert_eq!(map.remove(&order(n)), Some(n));
            if n % 1_000 == 0 {
                assert_eq!(map.get(&order(n)), None);
                assert_eq!(map.get(&order(N - 1)), (n < N - 1).then_some(N - 1));
            }
        }
        assert_eq!(
            (map.len(), map.first_key_value(), map.last_key_value()),
            (0, None, None),
            "{name}"
        );
        let empty = map.stats();
        assert!(empty.fences <= 2, "{name}: {empty:?}");
        map.extend_again(&model);
        same(&map, &model);
        let again = map.stats();
        assert!(
            again.memory_bytes <= full.memory_bytes + full.memory_bytes / 8,
            "{name}: {full:?} {again:?}"
        );
    }
}

trait ExtendAgain {
    fn extend_again(&self, model: &BTreeMap<u64, u64>);
}

impl ExtendAgain for FenceMap<u64, u64> {
    fn extend_again(&self, model: &BTreeMap<u64, u64>) {
        let mut entries: Vec<_> = model.iter().collect();
        entries.sort_by_key(|(_, n)| **n);
        for (k, v) in entries {
            self.insert(*k, *v);
        }
    }
}

/// Repeats the bytes to the length of the array.
fn first<const N: usize>(bytes: [u8; 8]) -> [u8; N] {
    std::array::from_fn(|at| bytes[at % 8])
}

/// Inserts, finds and removes all keys of a type that are worth a test, in two orders.
fn all_of<K: Copy + Ord + Debug>(keys: impl IntoIterator<Item = K>) {
    let mut keys: Vec<K> = keys.into_iter().collect();
    let map = FenceMap::<K, [u8; 3]>::new();
    let mut model = BTreeMap::new();
    for round in 0..2u8 {
        for (n, key) in keys.iter().enumerate() {
            let value = [n as u8, (n >> 8) as u8, round];
            assert_eq!(map.insert(*key, value), model.insert(*key, value));
        }
        same(&map, &model);
        assert_eq!(map.first_key_value().map(|e| e.0), model.keys().next().copied());
        assert_eq!(map.last_key_value().map(|e| e.0), model.keys().next_back().copied());
        for key in &keys {
            let own = |entry: Option<(&K, &[u8; 3])>| entry.map(|(k, v)| (*k, *v));
            assert_eq!(map.ceiling(key), own(model.range(key..).next()));
            assert_eq!(map.floor(key), own(model.range(..=key).next_back()));
            assert_eq!(map.predecessor(key), own(model.range(..key).next_back()));
            assert!(map.range(*key..=*key).count() == 1);
            if !keys.len().is_multiple_of(97) {
                break;
            }
        }
        for key in keys.iter().rev() {
            assert_eq!(map.remove(key), model.remove(key));
            assert_eq!(map.get(key), None);
        }
        assert!(map.is_empty() && map.iter().next().is_none());
        keys.reverse();
    }
}

#[test]
fn keys_of_many_types_and_their_extremes() {
    macro_rules! integers {
        ($($int:ty)*) => {
            $(
                let steps = (0..400u64).map(|n| mix(n).to_ne_bytes()).map(|bytes| <$int>::from_ne_bytes(first(bytes)));
                let ends = [<$int>::MIN, <$int>::MIN + 1, 0, 1, <$int>::MAX - 1, <$int>::MAX];
                all_of(steps.chain(ends));
            )*
        };
    }
    integers! { u8 u16 u32 u64 usize u128 i8 i16 i32 i64 isize i128 }
    all_of((0..1000).filter_map(|n| char::from_u32(n * 1_100)).chain(['\0', char::MAX]));
    all_of([false, true]);
    all_of([()]);
    all_of((1..500).filter_map(|n| NonZeroU32::new(n * n)).chain([NonZeroU32::MAX]));
    all_of((0..1000u64).map(|n| (mix(n) as u8, mix(n) as u32, n)));
    all_of((0..1000u32).map(|n| (n / 100, n)));
    all_of((0..1000u64).map(|n| mix(n).to_be_bytes()));
    all_of((0..1000u64).map(|n| [mix(n % 7).to_be_bytes(), mix(n).to_be_bytes()]));
    all_of((0..1000u64).map(|n| if n % 3 == 0 { None } else { Some(mix(n)) }));
    let words: Vec<String> =
        (0..2000u64).map(|n| format!("a common beginning {}", mix(n) % 999)).collect();
    all_of(words.iter().map(String::as_str));
    all_of(words.iter());
}

#[test]
fn values_of_many_sizes() {
    fn of<V: Copy + PartialEq + Debug>(value: impl Fn(u64) -> V) {
        let keys = (0..700).map(mix);
        let model: BTreeMap<u64, V> = keys.map(|key| (key, value(key))).collect();
        let map: FenceMap<u64, V> = model.iter().map(|(k, v)| (*k, *v)).collect();
        same(&map, &model);
        for key in model.keys() {
            assert_eq!(map.remove(key), model.get(key).copied());
        }
        assert!(map.is_empty());
    }
    of(|_| ());
    of(|n| n as u8);
    of(|n| (n as u8, n as u32));
    of(|n| [n as u8; 11]);
    of(|n| [n; 4]);
    of(|n| [n; 40]);
    of(|n| [n; 300]);
    of(|n| if n % 2 == 0 { Some("even") } else { None });
}

/// Leaves of eight entries, each of the largest size.
#[test]
fn entries_of_the_largest_size() {
    fn filled<const N: usize>(n: usize) -> [u8; N] {
        let mut bytes = [0xA5; N];
        (bytes[N - 2], bytes[N - 1]) = ((n >> 8) as u8, n as u8);
        bytes
    }
    /// Inserts and removes keys that differ in their last bytes alone, so that only `Ord` distinguishes them.
    fn come_and_go<const N: usize>() {
        let map = FenceMap::<[u8; N], [u8; N]>::new();
        for n in 0..60 {
            assert!(map.insert(filled(n * 37 % 101), filled(n)).is_none());
        }
        for n in 0..60 {
            assert!(map.get(&filled(n * 37 % 101)) == Some(filled(n)), "entry {n}");
        }
        assert!(map.iter().map(|(key, _)| key).is_sorted() && map.iter().count() == 60);
        assert!(map.pop_first().is_some_and(|(key, value)| key == filled(0) && value == filled(0)));
        let ask: Vec<_> = (0..20).map(|n| (filled(n), Op::Keep)).collect();
        let had = map.apply_batch(&ask).into_iter().flatten().count();
        assert_eq!(map.remove_range(filled(1)..=filled(19)), had);
        assert_eq!(map.range(..).len(), 59 - had);
    }
    let stack = |bytes| std::thread::Builder::new().stack_size(bytes);
    stack(2 << 20).spawn(come_and_go::<{ 2 << 10 }>).unwrap().join().unwrap();
    stack(64 << 20).spawn(come_and_go::<{ 64 << 10 }>).unwrap().join().unwrap();
}

#[test]
fn many_are_found_as_one_by_one() {
    let map: FenceMap<u64, u64> = (0..5000).map(|n| (mix(n), n)).collect();
    let keys: Vec<u64> = (0..5100).map(|n| mix(n * 2)).collect();
    for some in [0, 1, 3, 4, 15, 16, 17, 5100] {
        let mut values = vec![Some(0); some];
        map.get_many(&keys[..some], &mut values);
        assert!(values.iter().zip(&keys).all(|(value, key)| *value == map.get(key)));
    }
    let words: FenceMap<&str, u8> = [("a", 1), ("b", 2)].into();
    let mut values = [None; 5];
    words.get_many(&["b", "x", "a", "", "b"], &mut values);
    assert_eq!(values, [Some(2), None, Some(1), None, Some(2)]);
}

/// Ranks all keys the same, so that hints are useless.
struct Blind;
impl Ranking<u64> for Blind {
    fn rank(&self, _: &u64) -> u64 {
        0
    }
}

/// Asserts that estimates of ranges of this map are within a quarter of the truth, and exact within a leaf.
fn estimates_ranges<R: Ranking<u64>>(name: &str, map: &FenceMap<u64, u64, R>) {
    let mut rng = Rng::new(5);
    let most = map.last_key_value().expect("it is not empty").0;
    for _ in 0..300 {
        let (one, two) = (rng.next() % most, rng.next() % most);
        let bounds = one.min(two)..one.max(two);
        let (exact, about) = (map.range_len(bounds.clone()), map.approximate_range_len(bounds));
        let off = exact.abs_diff(about);
        assert!(off <= 200 + exact / 4, "{name}: {exact} entries are said to be {about}");
    }
    let within_a_leaf = map.ceiling(&(most / 2)).expect("half of them are behind").0;
    assert_eq!(map.approximate_range_len(within_a_leaf..=within_a_leaf), 1);
    assert_eq!(map.approximate_range_len(..), map.len());
    let (first, last) = (map.approximate_range_len(most..), map.approximate_range_len(..=most));
    assert_eq!(first, 1);
    assert!(last.abs_diff(map.len()) <= map.len() / 4, "{name}: {last} of {}", map.len());
}

#[test]
fn ranges_are_counted_and_estimated() {
    let map: FenceMap<u64, u64> = FenceMap::new();
    assert_eq!((map.range_len(..), map.approximate_range_len(3..9)), (0, 0));
    (0..100_000).for_each(|n| assert_eq!(map.insert(n * 3, n), None));
    estimates_ranges("keys in turn", &map);
    map.retain(|key, _| !mix(*key).is_multiple_of(3));
    estimates_ranges("fewer of them", &map);
    let map: FenceMap<u64, u64> = (0..60_000).map(|n| (mix(n) >> 20, n)).collect();
    estimates_ranges("keys at random", &map);
    let blind = FenceMap::with_ranking(Blind);
    (0..20_000).for_each(|n| assert_eq!(blind.insert(mix(n) >> 20, n), None));
    estimates_ranges("keys of one rank", &blind);
}

fn shared<T: Send + Sync>() {}

#[test]
fn the_traits_of_std() {
    let mut map: FenceMap<u32, char> = [(2, 'b'), (1, 'a')].into();
    map.extend([(3, 'c')]);
    map.extend([(&4, &'d')]);
    assert_eq!(format!("{map:?}"), "{1: 'a', 2: 'b', 3: 'c', 4: 'd'}");
    let copy = map.clone();
    map.clear();
    assert_eq!((&copy).into_iter().map(|(_, c)| c).collect::<String>(), "abcd");
    assert!(map.is_empty() && FenceMap::<u8, u8>::default().is_empty());
    shared::<FenceMap<u64, &'static str>>();
}
