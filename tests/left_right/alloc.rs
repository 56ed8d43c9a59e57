//! builds: asan
//!
//! `LeftRightMap` when allocations fail, and its operations that allocate nothing.

use crate::support;

use hedgerow::LeftRightMap;
use hedgerow::error::{TryInsertError, TryReserveError};
use hedgerow::left_right::{ReadHandle, Storage, WriteHandle};
use std::collections::HashMap;
use support::alloc::{counted, failing};
use support::hashers::{self, Mapped};
use support::rng::Rng;
use support::seed;

const ALL: u64 = u64::MAX;

type Both<P> = (WriteHandle<u64, u64, Mapped, P>, ReadHandle<u64, u64, Mapped, P>);

/// Changes a map while some allocations fail and a reader is sometimes in the way. Refused entries are handed back, all
/// other changes are made, and nothing that was published is lost.
fn change_with_failures<P: Storage<u64, u64>>(
    (mut writer, reader): Both<P>,
    spared: u64,
    failures: u64,
) {
    let mut model = HashMap::with_capacity(2_000);
    let mut rng = Rng::new(seed() ^ spared);
    let ((), counts) = failing(spared, failures, || {
        let mut snapshot = None;
        for step in 0..1_500 {
            let key = rng.next() % 800;
            match rng.below(12) {
                0..8 => match writer.try_insert(key, step) {
                    Ok(replaced) => assert_eq!(model.insert(key, step).is_some(), replaced),
                    Err(TryInsertError::Alloc { key: same, value }) => {
                        assert_eq!(
                            (same, value),
                            (key, step),
                            "the error hands back another entry"
                        );
                    }
                    Err(other) => panic!("{other}"),
                },
                8..10 => {
                    if let Ok(removed) = writer.try_remove(&key) {
                        assert_eq!(model.remove(&key).is_some(), removed);
                    }
                }
                10 => drop(writer.try_publish()),
                _ => snapshot = if snapshot.is_none() { Some(reader.enter()) } else { None },
            }
            assert_eq!((writer.len(), writer.get(&key)), (model.len(), model.get(&key)));
        }
    });
    assert!(failures != ALL || spared > 30 || counts.failures > 0);
    writer.publish();
    let published: HashMap<u64, u64> = reader.enter().iter().map(|(k, v)| (*k, *v)).collect();
    assert_eq!(published, model);
}

#[test]
fn refused_entries_are_handed_back_and_all_other_changes_are_made() {
    for spared in (0..40).chain((40..400).step_by(17)) {
        for failures in [1, 3, ALL] {
            change_with_failures(LeftRightMap::with_hasher(hashers::GOOD), spared, failures);
            change_with_failures(LeftRightMap::inline_with_hasher(hashers::GOOD), spared, failures);
        }
    }
}

#[test]
fn reads_publishes_and_removals_allocate_nothing() {
    let (mut writer, reader) = LeftRightMap::<u64, String>::new();
    writer.extend((0..1_000).map(|n| (n, n.to_string())));
    writer.publish();
    let ((), counts) = counted(|| {
        for key in 0..200 {
            assert!(reader.get(&key).is_some() && reader.enter().get(&key).is_some());
            assert!(writer.remove(&key));
        }
        writer.publish();
        assert_eq!(reader.enter().iter().count(), 800);
    });
    assert_eq!(counts.allocations, 0);
    writer.reserve(1_000);
    let (mut inline, _) = LeftRightMap::<u64, u64>::inline();
    inline.reserve(1_000);
    let ((), counts) = counted(|| (0..1_000).for_each(|n| _ = inline.insert(n, n)));
    // After growth, the writer needs no notes of the bins that differ.
    assert_eq!(counts.allocations, 0);
}

#[test]
fn changes_use_the_memory_of_entries_that_were_replaced() {
    let (mut writer, _reader) = LeftRightMap::<u64, u64>::new();
    let mut replace_all = |value| {
        writer.extend((0..100).map(|key| (key, value)));
        writer.publish();
        writer.wait_for_readers();
    };
    (0..3).for_each(&mut replace_all);
    let ((), counts) = counted(|| (3..10).for_each(&mut replace_all));
    assert_eq!(counts.allocations, 0, "an entry was not made of one that was replaced");
}

#[test]
fn the_memory_of_entries_that_were_removed_is_kept_up_to_a_limit() {
    let ((), counts) = counted(|| {
        let (mut writer, reader) = LeftRightMap::<u64, [u64; 7]>::new();
        writer.extend((0..10_000).map(|key| (key, [key; 7])));
        writer.publish();
        writer.wait_for_readers();
        let before = writer.stats().memory_bytes;
        let ((), counts) = counted(|| {
            writer.clear();
            writer.publish();
            writer.wait_for_readers();
        });
        let kept = 10_000 * 72 + counts.live;
        assert!((0..=32 << 10).contains(&kept), "{kept} bytes of removed entries are kept");
        assert_eq!(writer.stats().memory_bytes, before + kept.unsigned_abs());
        assert!(kept > 0 && reader.is_empty());
        // Shrinking frees them; the map that is dropped frees those that come after.
        writer.shrink_to_fit();
        writer.insert(1, [1; 7]);
        writer.remove(&1);
    });
    assert_eq!(counts.live, 0, "the memory of an entry was leaked");
}

#[test]
fn growth_makes_as_many_allocations_if_readers_see_entries() {
    let allocations = |is_published: bool| {
        let (mut writer, _reader) = LeftRightMap::<u64, u64>::new();
        writer.extend((0..100).map(|n| (n, n)));
        if is_published {
            writer.publish();
        }
        counted(|| writer.reserve(200)).1.allocations
    };
    // Small allocations that come and go fragment a small heap.
    assert_eq!(
        allocations(true),
        allocations(false),
        "notes of unseen entries took memory of their own"
    );
}

#[test]
fn capacities_that_cannot_be_addressed_are_refused() {
    let (mut writer, _) = LeftRightMap::<u64, u64>::inline();
    for more in [usize::MAX, usize::MAX / 2, usize::MAX / 16, isize::MAX as usize / 16] {
        assert!(writer.try_reserve(more).is_err());
    }
    // With these, the number of slots or of entries is close to the greatest number.
    for more in [usize::MAX / 4 * 3 + 2, usize::MAX / 4 * 3] {
        assert_eq!(writer.try_reserve(more), Err(TryReserveError::CapacityOverflow));
    }
    writer.insert(1, 1);
    assert_eq!(writer.len(), 1);
}
