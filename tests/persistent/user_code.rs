//! builds: asan default
//!
//! Keys and values whose code panics, lies, or has deep destructors.

use crate::support::fuse::{FUSE, burn};
use crate::support::panics;
use crate::support::rng::Rng;
use crate::support::tracked::Tracked;
use hedgerow::persistent::{PersistentMap, PersistentVec};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// A number whose `Clone` and `Ord` burn the fuse, and which is counted.
struct Fused(Tracked);

impl Clone for Fused {
    fn clone(&self) -> Self {
        burn();
        Self(self.0.clone())
    }
}
impl PartialEq for Fused {
    fn eq(&self, other: &Self) -> bool {
        self.0.value == other.0.value
    }
}
impl Eq for Fused {}
impl PartialOrd for Fused {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Fused {
    fn cmp(&self, other: &Self) -> Ordering {
        burn();
        self.0.value.cmp(&other.0.value)
    }
}

/// Each change is played with a panic at each call of user code. The map must be as before, or as after.
#[test]
fn a_map_whose_user_code_panics_is_as_before() {
    let alive = Arc::new(AtomicUsize::new(0));
    let new = |value: u64| Fused(Tracked::new(value, &alive));
    let mut rng = Rng::new(7);
    for entries in [0, 1, 8, 62, 63, 500, 3000] {
        let base: PersistentMap<Fused, Fused> =
            (0..entries).map(|n| (new(2 * n), new(n))).collect();
        for change in 0..6 {
            let key = rng.below(2 * entries as usize + 1) as u64;
            for fuse in 0.. {
                let mut map = base.clone();
                if change % 2 == 0 && entries > 0 {
                    // Some nodes are the map's own, some are shared.
                    map.insert(new(0), new(0));
                }
                let before: Vec<(u64, u64)> =
                    map.iter().map(|(k, v)| (k.0.value, v.0.value)).collect();
                let mut model: BTreeMap<_, _> = before.iter().copied().collect();
                FUSE.set(fuse);
                let panicked = panics(|| match change {
                    0 | 1 => drop(map.insert(new(key), new(1))),
                    2 | 3 => drop(map.remove(&new(key))),
                    4 => drop(map.split_off(&new(key))),
                    _ => drop(map.remove_range(new(key)..new(key + 40))),
                });
                FUSE.set(u32::MAX);
                let after: Vec<(u64, u64)> =
                    map.iter().map(|(k, v)| (k.0.value, v.0.value)).collect();
                match change {
                    0 | 1 => drop(model.insert(key, 1)),
                    2 | 3 => drop(model.remove(&key)),
                    4 => drop(model.split_off(&key)),
                    _ => model.retain(|k, _| !(key..key + 40).contains(k)),
                }
                assert_eq!(map.len(), after.len());
                if panicked {
                    let done = after.iter().copied().eq(model);
                    assert!(
                        after == before || done,
                        "change {change} of {entries} at {fuse} is half done"
                    );
                } else {
                    assert!(after.into_iter().eq(model));
                    break;
                }
            }
        }
    }
    assert_eq!(alive.load(std::sync::atomic::Ordering::Relaxed), 0, "elements are left");
}

/// `retain` that panics in the middle: what it has not refused stays.
#[test]
fn a_retain_that_panics_loses_nothing_that_it_keeps() {
    let alive = Arc::new(AtomicUsize::new(0));
    for shared in [false, true] {
        for fuse in (0..2000).step_by(7) {
            let mut map: PersistentMap<u64, Tracked> =
                (0..600).map(|n| (n, Tracked::new(n, &alive))).collect();
            let before = shared.then(|| map.clone());
            FUSE.set(fuse);
            let panicked = panics(|| {
                map.retain(|key, _| {
                    burn();
                    key % 3 == 0
                });
            });
            FUSE.set(u32::MAX);
            assert_eq!(panicked, fuse < 600);
            let (left, last) = (map.iter().collect::<Vec<_>>(), u64::from(fuse));
            assert_eq!(left.len(), map.len());
            assert!((0..600).all(|key| map.contains_key(&key) || (key % 3 != 0 && key < last)));
            assert!(before.is_none_or(|before| before.len() == 600));
        }
    }
    assert_eq!(alive.load(std::sync::atomic::Ordering::Relaxed), 0, "elements are left");
}

/// Entries by value, with a panic at each clone: no entry comes twice, and none is left.
#[test]
fn an_iterator_by_value_drops_each_entry_once() {
    let alive = Arc::new(AtomicUsize::new(0));
    let new = |value: u64| Fused(Tracked::new(value, &alive));
    for (entries, fuse) in
        [(0, 0), (1, 0), (64, 3), (700, 10), (700, 100), (3000, 700), (3000, 9999)]
    {
        let map: PersistentMap<Fused, Fused> = (0..entries).map(|n| (new(n), new(n))).collect();
        let shared = map.clone();
        let mut by_value = map.into_iter();
        FUSE.set(fuse);
        let mut front = 0;
        let panicked = panics(|| {
            while by_value.len() > 2 {
                assert_eq!(by_value.next().unwrap().0.0.value, front);
                assert_eq!(by_value.next_back().unwrap().0.0.value, entries - 1 - front);
                front += 1;
            }
        });
        FUSE.set(u32::MAX);
        assert_eq!(panicked, 2 * entries > u64::from(fuse) && entries > 2);
        drop(by_value);
        assert_eq!(shared.len() as u64, entries);
        assert!(shared.into_iter().map(|(key, _)| key.0.value).eq(0..entries));
    }
    assert_eq!(alive.load(std::sync::atomic::Ordering::Relaxed), 0, "elements are left");
}

/// Each step frees some entries, and no step many; what another version shares is left to it.
#[test]
fn a_teardown_frees_in_steps() {
    let alive = Arc::new(AtomicUsize::new(0));
    let count = || alive.load(std::sync::atomic::Ordering::Relaxed);
    let map: PersistentMap<u64, Tracked> =
        (0..20_000).map(|n| (n, Tracked::new(n, &alive))).collect();
    let mut shared = map.clone();
    shared.remove_range(100..);
    let mut teardown = map.teardown();
    let mut steps = 0;
    loop {
        let before = count();
        let is_left = teardown.step(50);
        assert!(before - count() < 200, "a step freed {}", before - count());
        steps += 1;
        if !is_left {
            break;
        }
        assert!(steps < 1000);
    }
    assert!(steps > 100);
    assert!((100..300).contains(&count()), "{} are left", count());
    assert!(shared.iter().map(|(key, _)| *key).eq(0..100));
    drop(shared);
    assert_eq!(count(), 0);
}

/// Keys that contradict themselves: results are wrong, and nothing worse.
#[test]
fn keys_without_an_order_cause_wrong_results_only() {
    struct Liar(Tracked, u64);
    impl Clone for Liar {
        fn clone(&self) -> Self {
            Self(self.0.clone(), self.1.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 5)
        }
    }
    impl PartialEq for Liar {
        fn eq(&self, _: &Self) -> bool {
            false
        }
    }
    impl Eq for Liar {}
    impl PartialOrd for Liar {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }
    impl Ord for Liar {
        fn cmp(&self, other: &Self) -> Ordering {
            (self.1 ^ other.1)
                .count_ones()
                .cmp(&(other.1.rotate_left(7) ^ self.0.value).count_ones())
        }
    }
    let alive = Arc::new(AtomicUsize::new(0));
    let mut rng = Rng::new(11);
    let mut versions = Vec::new();
    let mut map = PersistentMap::new();
    for step in 0..20_000 {
        let key = Liar(Tracked::new(step, &alive), rng.next());
        match rng.below(12) {
            0..6 => drop(map.insert(key, Tracked::new(step, &alive))),
            6..9 => drop(map.remove(&key)),
            9 => drop(map.entry(key).or_insert_with(|| Tracked::new(step, &alive))),
            10 if step % 10 == 0 => {
                let mut right = map.split_off(&key);
                map.append(&mut right);
            }
            _ if step % 100 == 0 => versions.push(map.clone()),
            _ => drop(map.pop_first()),
        }
        assert_eq!(map.len(), map.iter().count());
    }
    drop((map, versions));
    assert_eq!(alive.load(std::sync::atomic::Ordering::Relaxed), 0, "elements are left");
}

/// A destructor that panics leaves no other element out, and no memory.
#[test]
fn a_destructor_that_panics_stops_no_other() {
    struct Bomb(Tracked);
    impl Clone for Bomb {
        fn clone(&self) -> Self {
            Self(self.0.clone())
        }
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            burn();
        }
    }
    let alive = Arc::new(AtomicUsize::new(0));
    for fuse in [0, 1, 70, 500] {
        let elements: PersistentVec<Bomb> =
            (0..1000).map(|n| Bomb(Tracked::new(n, &alive))).collect();
        let version = elements.clone();
        drop(elements);
        FUSE.set(fuse);
        assert!(panics(move || drop(version)));
        assert_eq!(alive.load(std::sync::atomic::Ordering::Relaxed), 0, "elements are left");
    }
}

/// The destructor goes as deep as the tree is high, and no deeper.
#[test]
fn a_large_map_is_dropped_with_a_small_stack() {
    let entries = crate::support::effort(1_000_000);
    let map: PersistentMap<u64, Box<u64>> = (0..entries).map(|n| (n, Box::new(n))).collect();
    let small = std::thread::Builder::new().stack_size(64 << 10);
    small.spawn(move || drop(map)).unwrap().join().unwrap();
}

/// A swap of elements whose nodes other versions share.
#[test]
fn a_swap_whose_clone_panics_changes_nothing() {
    let alive = Arc::new(AtomicUsize::new(0));
    let base: PersistentVec<Fused> = (0..1000).map(|n| Fused(Tracked::new(n, &alive))).collect();
    let values = |of: &PersistentVec<Fused>| of.iter().map(|n| n.0.value).collect::<Vec<_>>();
    for fuse in 0.. {
        let mut swapped = base.clone();
        FUSE.set(fuse);
        let panicked = panics(|| swapped.swap(3, 900));
        FUSE.set(u32::MAX);
        if !panicked {
            assert_eq!((swapped[3].0.value, swapped[900].0.value), (900, 3));
            break;
        }
        assert!(values(&swapped) == values(&base), "a swap that panicked at {fuse} is half done");
    }
}
