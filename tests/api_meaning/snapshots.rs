//! builds: default
//!
//! Operations of `SnapshotMap` that are about whole versions.

use hedgerow::owned::Collector;
use hedgerow::{PersistentMap, SnapshotMap};
use std::ops::Deref;

#[test]
fn snapshots_and_pinned_versions_are_persistent_maps() {
    fn is_a_version(version: impl Deref<Target = PersistentMap<u64, u64>>) {
        assert_eq!((version.get(&1), version.len()), (Some(&10), 2));
        assert_eq!(version.get_key_value(&2), Some((&2, &20)));
        assert!(version.range(2..).eq([(&2, &20)]) && version.keys().eq(&[1, 2]));
    }
    let map = SnapshotMap::from([(1, 10), (2, 20)]);
    let (found, pinned, snapshot) = (map.get_key_value(&1), map.pin(), map.snapshot());
    assert_eq!(map.remove(&1), Some(10), "a clone of what is removed");
    map.retain(|_, value| *value != 20);
    assert!(map.is_empty());
    assert_eq!(found.map(|entry| (*entry.key(), *entry)), Some((1, 10)), "it outlives its removal");
    is_a_version(pinned);
    is_a_version(&snapshot);
}

#[test]
fn whole_maps_are_compared_and_taken_apart() {
    let all = |keys: std::ops::Range<u64>| keys.map(|n| (n, n * 10));
    let mut map: SnapshotMap<u64, u64> = all(0..100).collect();
    let copy = map.clone();
    assert!(map == copy && map.snapshot().ptr_eq(&copy.snapshot()), "a clone shares all entries");
    copy.insert(7, 71);
    assert!(map != copy && map.get_cloned(&7) == Some(70), "and does not change the original");
    map.extend([(1, 5), (200, 6), (1, 7)]);
    assert_eq!((map.get_cloned(&1), map.len()), (Some(7), 101), "the later value stays");
    (&map).extend([(202, 7), (203, 8), (202, 9)]);
    assert_eq!((map.get_cloned(&202), map.len()), (Some(9), 103), "as through a reference");
    map.extend(&std::collections::BTreeMap::from([(202, 10)]));
    assert_eq!(map.get_cloned(&202), Some(10));
    assert!(copy.into_iter().eq(all(0..100).map(|(key, n)| (key, n + u64::from(key == 7)))));
    assert_eq!(map.into_inner().len(), 103);
}

/// An extension is one step: nobody sees a part of it.
#[test]
fn an_extension_is_one_step() {
    let map = SnapshotMap::<u64, u64>::new();
    (&map).extend((0..1000).map(|n| {
        assert!(map.is_empty(), "a part of an extension is seen");
        (n, n)
    }));
    assert_eq!(map.len(), 1000);
    let before = map.snapshot();
    (&map).extend([]);
    assert!(map.snapshot().ptr_eq(&before), "nothing makes no version");
}

/// Guards of others do not keep what a map with a collector has removed.
macro_rules! collected {
    ($map:ident) => {{
        let collector = Collector::new();
        let map = hedgerow::$map::from([(1, 10)]).with_collector(&collector);
        assert_eq!(map.collector(), Some(&collector));
        let other = hedgerow::owned::pin();
        map.insert(1, 11);
        // A version is replaced when the next one is read.
        assert_eq!(map.get(&1).as_deref(), Some(&11));
        assert_eq!(map.pending(), 1);
        map.reclaim();
        assert_eq!((map.pending(), map.stalled_readers().count()), (0, 0));
        let own = map.get(&1);
        map.insert(1, 12);
        assert_eq!(map.get(&1).as_deref(), Some(&12));
        map.reclaim();
        assert_eq!((map.pending(), map.stalled_readers().count()), (1, 1), "the map's own guard");
        assert_eq!(own.as_deref(), Some(&11));
        drop((own, other));
    }};
}

#[test]
fn collectors_mean_the_same() {
    collected!(HashMap);
    collected!(OrdMap);
    collected!(SnapshotMap);
}
