//! builds: portable
//!
//! The additions of features `serde` and `rayon`.

use hedgerow::FlatMap;
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

type Map = FlatMap<u64, u64>;

#[test]
fn a_map_is_serialized_as_a_map() {
    let map: Map = (0..1_000).map(|n| (n, n * n)).collect();
    let text = serde_json::to_string(&map).expect("a map can be written");
    let model: HashMap<u64, u64> = serde_json::from_str(&text).expect("it is a map");
    assert_eq!((model.len(), model.get(&31)), (1_000, Some(&961)));
    let back: Map = serde_json::from_str(&text).expect("a map can be read");
    assert_eq!(back.iter().collect::<HashMap<_, _>>(), model);
    let none: Map = serde_json::from_str("{}").expect("an empty one too");
    assert!(none.is_empty());
    assert!(serde_json::from_str::<Map>("[1, 2]").is_err());
    assert!(serde_json::from_str::<Map>("{\"1\": \"x\"}").is_err());
}

#[test]
fn all_cores_fill_a_map_and_walk_over_it() {
    for count in [0, 1, 5, 100, 100_000] {
        let map: Map = (0..count).into_par_iter().map(|n| (n, 2 * n)).collect();
        assert_eq!(map.len() as u64, count);
        let mut entries: Vec<(u64, u64)> = map.par_iter().collect();
        entries.sort_unstable();
        let each_once = entries.into_iter().eq((0..count).map(|n| (n, 2 * n)));
        assert!(each_once, "a walk by all cores misses entries or meets some twice");
        assert_eq!(map.par_iter().find_any(|&(key, _)| key + 1 == count).is_some(), count > 0);
    }
    let mut map = Map::with_capacity(10_000);
    map.par_extend((0..5_000).into_par_iter().map(|n| (n, n)));
    assert_eq!(map.par_iter().map(|(_, value)| value).sum::<u64>(), 4_999 * 2_500);
}

/// All threads together meet each key that stays exactly once, though the map grows a hundredfold.
#[test]
fn a_parallel_walk_meets_keys_that_stay_exactly_once_through_growth() {
    for lasting in [3, 30, 1_000] {
        let map: Map = (0..lasting).map(|n| (n, n)).collect();
        let done = AtomicBool::new(false);
        let walk = || {
            let mut met: Vec<u64> =
                map.par_iter().map(|(key, _)| key).filter(|&key| key < lasting).collect();
            met.sort_unstable();
            assert!(met.into_iter().eq(0..lasting));
        };
        // At rest first: the fewer bins there are, the more likely a thread's part ends inside one.
        walk();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for key in lasting..100_000 {
                    map.insert(key, key);
                }
                done.store(true, Ordering::Release);
            });
            while !done.load(Ordering::Acquire) {
                walk();
            }
        });
    }
}
