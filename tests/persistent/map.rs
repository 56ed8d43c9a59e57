//! builds: default narrow portable
//!
//! Maps compared with std's, with versions that are kept and compared at the end.

use crate::support::effort;
use crate::support::rng::Rng;
use hedgerow::persistent::{DiffItem, PersistentMap};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Bound;

type Model<K> = BTreeMap<K, String>;
type Version<K> = (PersistentMap<K, String>, Model<K>);

/// Compares all that a map says with what std's says.
fn compare<K: Ord + Clone + Debug>(map: &PersistentMap<K, String>, model: &Model<K>) {
    assert_eq!(map.len(), model.len());
    assert!(map.iter().eq(model), "a version has changed");
    assert!(map.iter().rev().eq(model.iter().rev()));
    assert_eq!(map.first_key_value(), model.first_key_value());
    assert_eq!(map.last_key_value(), model.last_key_value());
    for (index, (key, value)) in model.iter().enumerate() {
        assert_eq!(map.get(key), Some(value));
        assert_eq!(map.rank(key), Ok(index));
        assert_eq!(map.get_index(index), Some((key, value)));
    }
}

fn compare_ranges<K: Ord + Clone + Debug>(
    map: &PersistentMap<K, String>,
    model: &Model<K>,
    a: K,
    b: K,
) {
    let (a, b) = (a.clone().min(b.clone()), a.max(b));
    let bounds = (Bound::Excluded(&a), Bound::Included(&b));
    let (ours, theirs) = (map.range::<K, _>(bounds), model.range::<K, _>(bounds));
    assert_eq!(ours.len(), theirs.clone().count());
    assert!(ours.clone().eq(theirs.clone()));
    assert!(ours.rev().eq(theirs.rev()));
    assert!(map.slice(a.clone()..b.clone()).iter().eq(model.range(a.clone()..b.clone())));
    assert_eq!(map.floor(&a), model.range(..=a.clone()).next_back());
    assert_eq!(map.ceiling(&a), model.range(a.clone()..).next());
    assert_eq!(map.predecessor(&a), model.range(..a.clone()).next_back());
    assert_eq!(
        map.successor(&a),
        model.range::<K, _>((Bound::Excluded(&a), Bound::Unbounded)).next()
    );
}

fn diff<K: Ord + Clone + Debug>((old, old_model): &Version<K>, (new, new_model): &Version<K>) {
    let mut expected: Vec<(K, Option<String>, Option<String>)> = Vec::new();
    let keys = old_model
        .keys()
        .chain(new_model.keys())
        .cloned()
        .collect::<std::collections::BTreeSet<_>>();
    for key in keys {
        let (before, after) = (old_model.get(&key).cloned(), new_model.get(&key).cloned());
        if before != after {
            expected.push((key, before, after));
        }
    }
    let found = old.diff(new).map(|item| match item {
        DiffItem::Added(key, new) => (key.clone(), None, Some(new.clone())),
        DiffItem::Removed(key, old) => (key.clone(), Some(old.clone()), None),
        DiffItem::Changed { key, old, new } => (key.clone(), Some(old.clone()), Some(new.clone())),
    });
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

fn play<K: Ord + Clone + Debug>(seed: u64, space: usize, steps: u32, key: impl Fn(usize) -> K) {
    let mut rng = Rng::new(seed);
    let (mut map, mut model) = (PersistentMap::new(), Model::new());
    let mut versions: Vec<Version<K>> = Vec::new();
    for step in 0..steps {
        let at = key(rng.below(space));
        // A phase of growth and one of shrinking, by turns.
        let grows = (step / 1000) % 2 == 0;
        match rng.below(100) {
            0..40 => assert_eq!(
                map.insert(at.clone(), step.to_string()),
                model.insert(at, step.to_string())
            ),
            40..75 if grows => assert_eq!(
                map.insert(at.clone(), step.to_string()),
                model.insert(at, step.to_string())
            ),
            40..75 => assert_eq!(map.remove(&at), model.remove(&at)),
            75..80 => {
                let value =
                    map.entry(at.clone()).and_modify(|value| value.push('!')).or_default().clone();
                model.entry(at.clone()).and_modify(|value| value.push('!')).or_default();
                assert_eq!(Some(&value), model.get(&at));
            }
            80..85 => assert_eq!(map.pop_first(), model.pop_first()),
            85..88 => assert_eq!(map.pop_last(), model.pop_last()),
            88..90 => {
                let (mut right, mut right_model) = (map.split_off(&at), model.split_off(&at));
                compare(&right, &right_model);
                map.append(&mut right);
                model.append(&mut right_model);
            }
            90 => {
                let end = key(rng.below(space));
                let (a, b) = (at.clone().min(end.clone()), at.max(end));
                let removed = map.remove_range(a.clone()..b.clone());
                let before = model.len();
                model.retain(|key, _| *key < a || *key >= b);
                assert_eq!(removed, before - model.len());
            }
            91 => {
                let (of, rest) = (1 + rng.below(6), rng.below(6));
                map.retain(|_, value| value.len() % of != rest);
                model.retain(|_, value| value.len() % of != rest);
                compare(&map, &model);
            }
            92 => change_values(&mut map, &mut model, at, key(rng.below(space)), &mut rng),
            93 => {
                let (of, rest) = (1 + rng.below(6), rng.below(6));
                let end = at.clone().max(key(rng.below(space)));
                let pred = |key: &K, value: &mut String| {
                    value.push_str("..");
                    (value.len() + format!("{key:?}").len()) % of == rest
                };
                let taken = rng.below(100);
                let ours = map.extract_if(at.clone()..=end.clone(), pred).take(taken);
                let mut expected = Vec::new();
                for at in model.range(at..=end).map(|(at, _)| at.clone()).collect::<Vec<_>>() {
                    if expected.len() < taken && pred(&at, model.get_mut(&at).unwrap()) {
                        expected.extend(model.remove_entry(&at));
                    }
                }
                assert!(ours.eq(expected));
                compare(&map, &model);
            }
            94..96 if versions.len() < 20 => versions.push((map.clone(), model.clone())),
            96 if !versions.is_empty() => diff(rng.pick(&versions), &(map.clone(), model.clone())),
            _ => compare_ranges(&map, &model, at, key(rng.below(space))),
        }
        assert_eq!(map.len(), model.len());
    }
    versions.push((map.clone(), model.clone()));
    for (map, model) in &versions {
        compare(map, model);
    }
    diff(&versions[0], versions.last().unwrap());
    let (shared, kept) = (map.clone(), model.clone());
    assert!(shared.clone().into_keys().rev().eq(kept.clone().into_keys().rev()));
    assert!(shared.into_values().eq(kept.into_values()));
    for (map, model) in versions {
        take_apart(map, model, &mut rng);
    }
    assert!(map.into_iter().eq(model));
}

/// Changes values from both ends of a range, of the whole map, and of its first and last entries.
fn change_values<K: Ord + Clone + Debug>(
    map: &mut PersistentMap<K, String>,
    model: &mut Model<K>,
    a: K,
    b: K,
    rng: &mut Rng,
) {
    let (a, b) = (a.clone().min(b.clone()), a.max(b));
    let bounds = (Bound::Excluded(&a), Bound::Included(&b));
    let (mut ours, mut theirs) = (map.range_mut::<K, _>(bounds), model.range_mut::<K, _>(bounds));
    for n in 0..2 * rng.below(ours.len() + 2) {
        let (entry, expected) = if rng.below(3) == 0 {
            (ours.next_back(), theirs.next_back())
        } else {
            (ours.next(), theirs.next())
        };
        assert_eq!(entry, expected, "entry {n} of a range");
        for (_, value) in entry.into_iter().chain(expected) {
            value.push('r');
        }
    }
    assert_eq!(ours.len(), theirs.count());
    for value in map.values_mut().rev().chain(model.values_mut()) {
        value.push('x');
    }
    let (ours, theirs) = (map.first_entry(), model.first_entry());
    assert_eq!(ours.is_some(), theirs.is_some());
    if let (Some(mut ours), Some(mut theirs)) = (ours, theirs) {
        assert_eq!((ours.key(), ours.get()), (theirs.key(), theirs.get()));
        ours.get_mut().push('f');
        theirs.get_mut().push('f');
    }
    assert_eq!(
        map.last_entry().map(|last| last.remove_entry()),
        model.last_entry().map(|last| last.remove_entry())
    );
    compare(map, model);
}

/// Takes entries from both ends, some of them shared, and then builds the map again from the entries in any order.
fn take_apart<K: Ord + Clone + Debug>(
    map: PersistentMap<K, String>,
    model: Model<K>,
    rng: &mut Rng,
) {
    let entries: Vec<_> = model.clone().into_iter().collect();
    let mut teardown = map.clone().teardown();
    while teardown.step(1 + rng.below(100)) {}
    let (mut ours, mut theirs) = (map.into_iter(), model.into_iter());
    for _ in 0..rng.below(entries.len() + 2) {
        assert_eq!(ours.len(), theirs.len());
        if rng.below(2) == 0 {
            assert_eq!(ours.next(), theirs.next());
        } else {
            assert_eq!(ours.next_back(), theirs.next_back());
        }
    }
    drop(ours);
    let built: PersistentMap<_, _> = entries.iter().cloned().collect();
    compare(&built, &entries.iter().cloned().collect());
    let mut mixed: Vec<_> = entries.iter().chain(entries.iter().step_by(3)).cloned().collect();
    for index in (1..mixed.len()).rev() {
        mixed.swap(index, rng.below(index + 1));
    }
    // Of equal keys the last one remains.
    for (place, (_, value)) in mixed.iter_mut().enumerate() {
        value.push_str(&place.to_string());
    }
    compare(&mixed.iter().cloned().collect(), &mixed.into_iter().collect());
}

#[test]
fn versions_stay_as_they_are() {
    for seed in 0..effort(12) {
        let space = [7, 60, 900, 20_000][seed as usize % 4];
        play(seed, space, 6000, |n| n as u64);
    }
}

#[test]
fn keys_on_the_heap_agree_with_std() {
    for seed in 0..effort(4) {
        play(100 + seed, [90, 3000][seed as usize % 2], 4000, |n| format!("{n:05}"));
    }
}

#[test]
fn large_and_empty_entries_agree_with_std() {
    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
    #[repr(align(4096))]
    struct Page(usize);
    play(200, 50, 2500, Page);
    play(201, 400, 2500, Page);
    play(202, 3, 300, |_| ());
    play(203, 300, 2500, |n| [n; 100]);
}

#[test]
fn sequential_insertions_fill_the_leaves() {
    let ascending: PersistentMap<u64, u64> = (0..100_000).map(|n| (n, n)).collect();
    let bytes = ascending.memory_bytes() / 1000;
    assert!(bytes < 1800, "{bytes} bytes for 100 entries of 16");
}

#[test]
fn a_version_costs_what_has_changed() {
    let mut map: PersistentMap<u64, u64> = (0..100_000).map(|n| (n, n)).collect();
    let version = map.clone();
    map.insert(50_000, 1);
    assert_eq!(version.diff(&map).count(), 1);
    assert!(!version.ptr_eq(&map) && version.ptr_eq(&version.clone()));
    let none = PersistentMap::<u64, u64>::new();
    assert!(none.ptr_eq(&PersistentMap::default()) && none.memory_bytes() == 0);
}

#[test]
fn bad_ranges_panic_as_in_std() {
    let map = PersistentMap::from([(1, 'a'), (2, 'b')]);
    let panics = |bounds: (Bound<i32>, Bound<i32>)| {
        let ours = std::panic::catch_unwind(|| map.range(bounds).count()).is_err();
        let model: BTreeMap<_, _> = map.iter().map(|(key, value)| (*key, *value)).collect();
        let theirs = std::panic::catch_unwind(|| model.range(bounds).count()).is_err();
        assert_eq!(ours, theirs, "{bounds:?}");
        ours
    };
    assert!(panics((Bound::Included(2), Bound::Excluded(1))));
    assert!(panics((Bound::Excluded(1), Bound::Excluded(1))));
    assert!(!panics((Bound::Excluded(1), Bound::Included(1))));
}
