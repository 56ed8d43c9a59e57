//! Models of the tree's protocols, with two keys a block, two blocks a leaf and four leaves a fence.
//!
//! In each model the writer runs in the main thread, or is spawned first: loom does not show a reader that comes first
//! in program order any value that is stored later. Each model names the outcomes that it must have seen in the end, so
//! a model that explored nothing fails.

use crate::api::op::{EntryChange, Op};
use crate::facade::atomic::{self, Ordering};
use crate::fence::tree::batch::BatchOps;
use crate::fence::tree::chunk::Chunk;
use crate::fence::tree::descent::FenceTree;
use crate::fence::tree::leaf::LeafRef;
use crate::fence::tree::neighbour::Neighbour;
use crate::fence::tree::range::unbounded;
use crate::fence::tree::rank::{ByType, Ranking};
use crate::fence::tree::read_set::ReadSet;
use crate::sync::backoff::Backoff;
use crate::sync::loom::{explore, explore_each};
use ::loom::sync::Arc;
use ::loom::thread;
use core::ops::Bound;
use std::format;
use std::vec::Vec;

/// A value of two words. If a read is torn, they differ.
pub(super) type Value = [u64; 2];
pub(super) type Map<R = ByType> = FenceTree<u64, Value, R>;

fn whole([a, b]: Value) -> u64 {
    assert_eq!(a, b, "torn");
    a
}

impl<R: Ranking<u64>> Map<R> {
    pub(super) fn read(&self, key: u64) -> Option<u64> {
        self.get(self.search_key(&key), |leaf, at| leaf.fetch_value(at)).map(whole)
    }

    pub(super) fn put(&self, key: u64, n: u64) -> Option<u64> {
        let entry = |old: Option<&Value>| match old {
            Some(_) => EntryChange::Value([n, n]),
            None => EntryChange::Entry(key, [n, n]),
        };
        self.change(key, entry)
    }

    pub(super) fn take(&self, key: u64) -> Option<u64> {
        self.change(key, |_| EntryChange::Remove)
    }

    fn change(
        &self,
        key: u64,
        decide: impl FnMut(Option<&Value>) -> EntryChange<u64, Value>,
    ) -> Option<u64> {
        let read = |leaf: LeafRef<'_, u64, Value>, at| leaf.fetch_value(at);
        let done = self.alter(self.search_key(&key), read, Backoff::spinning(), decide, |_| ());
        done.unwrap().0.map(whole)
    }

    pub(super) fn all(&self) -> Vec<(u64, u64)> {
        let mut all = Vec::new();
        self.range((unbounded(), unbounded()), &mut all, Backoff::spinning()).unwrap();
        all.into_iter().map(|(key, value)| (key, whole(value))).collect()
    }

    /// Returns the keys of a walk in chunks, by one call or step by step.
    fn walk(&self, folds: bool) -> Vec<u64> {
        let (mut chunk, mut keys) = (Chunk::new(Bound::Unbounded), Vec::new());
        let mut see = |(key, value)| {
            whole(value);
            keys.push(key);
        };
        if folds {
            self.fold_rest(&mut chunk, unbounded(), (), |(), entry| see(entry)).unwrap();
        } else {
            while self.next_chunk(&mut chunk, unbounded()).unwrap() {
                while let Some(entry) = chunk.pop() {
                    see(entry);
                }
            }
        }
        keys
    }

    fn first_key(&self) -> Option<u64> {
        let first = self.neighbour(Neighbour::From(unbounded()), Backoff::spinning());
        first.unwrap().map(|(key, _)| key)
    }

    /// Writes both as of a single point in time.
    pub(super) fn put_both(&self, keys: [u64; 2], n: u64) -> Vec<Option<u64>> {
        let changes = keys.map(|key| (key, Op::Insert([n, n])));
        let had = self.apply(BatchOps::Changes(&changes), Backoff::spinning()).unwrap();
        had.into_iter().map(|value| value.map(whole)).collect()
    }

    fn last_key(&self) -> Option<u64> {
        let last = self.neighbour(Neighbour::UpTo(unbounded()), Backoff::spinning());
        last.unwrap().map(|(key, _)| key)
    }

    fn pop(&self) -> Option<u64> {
        let first =
            self.remove_neighbour(Neighbour::From(unbounded()), Backoff::spinning(), |_| ());
        first.unwrap().map(|(key, _)| key)
    }

    fn pop_last(&self) -> Option<u64> {
        let last = self.remove_neighbour(Neighbour::UpTo(unbounded()), Backoff::spinning(), |_| ());
        last.unwrap().map(|(key, _)| key)
    }
}

/// Returns a map with a full leaf. One more key in its middle splits it between 20 and 30.
fn full<R: Ranking<u64>>(ranking: R) -> Map<R> {
    let map = Map::new(ranking);
    for key in [10, 20, 30, 40] {
        map.put(key, 0);
    }
    map
}

/// Returns a map with a leaf up to 30 and another one from there on, with these entries left.
fn two_leaves(keys: &[u64]) -> Map {
    let map = full(ByType);
    // The leaf that is to keep entries is full while the other one is emptied. Otherwise the two would be merged.
    let mut others = [10, 20, 25, 30, 35, 40];
    if !keys.contains(&40) {
        others.reverse();
    }
    map.put(25, 0);
    map.put(35, 0);
    for key in others {
        if !keys.contains(&key) {
            map.take(key);
        }
    }
    assert_eq!(map.all().len(), keys.len(), "an entry is lost, or there twice");
    assert!(map.head().unwrap().begin().meta.has_hi(), "two leaves");
    map
}

/// Ranks all keys 0, so that keys are found by `Ord` alone, and only after validation.
struct Flat;
impl Ranking<u64> for Flat {
    fn rank(&self, _: &u64) -> u64 {
        0
    }
}

#[test]
fn loom_get_against_upsert() {
    explore(2, ["Some(0)", "Some(1)"], |saw| {
        let map = Arc::new(full(ByType));
        let other = map.clone();
        let reader = thread::spawn(move || other.read(20));
        map.put(20, 1);
        saw(format!("{:?}", reader.join().unwrap()));
    });
}

/// A lookup finds an entry that moves up and down in its leaf.
#[test]
fn loom_get_against_a_neighbour_that_comes_and_goes() {
    explore(2, ["Some(0)"], |saw| {
        let map = Arc::new(Map::new(ByType));
        map.put(20, 0);
        let other = map.clone();
        let reader = thread::spawn(move || other.read(20));
        map.put(10, 1);
        map.take(10);
        saw(format!("{:?}", reader.join().unwrap()));
    });
}

/// A lookup finds a key that stays in the left leaf, and a key that moves to the right one.
#[test]
fn loom_get_against_split() {
    explore_each(1, ["Some(0)"], 0..2, |case, saw| {
        let map = Arc::new(full(ByType));
        let other = map.clone();
        let reader = thread::spawn(move || other.read([10, 40][case]));
        map.put(25, 2);
        saw(format!("{:?}", reader.join().unwrap()));
    });
}

#[test]
fn loom_get_by_order_against_split() {
    explore_each(1, ["Some(0)"], 0..2, |case, saw| {
        let map = Arc::new(full(Flat));
        let other = map.clone();
        let reader = thread::spawn(move || other.read([10, 40][case]));
        map.put(25, 2);
        saw(format!("{:?}", reader.join().unwrap()));
    });
}

/// A thread that has written to the destination of a split does not find the old value in the source after that.
#[test]
fn loom_write_to_entries_that_a_split_moved() {
    explore(1, ["Some(0) Some(1)"], |saw| {
        let map = Arc::new(full(ByType));
        let other = map.clone();
        let writer = thread::spawn(move || {
            let old = other.put(40, 1);
            (old, other.read(40))
        });
        map.put(25, 2);
        let (old, new) = writer.join().unwrap();
        saw(format!("{old:?} {new:?}"));
        assert_eq!(
            map.all(),
            [(10, 0), (20, 0), (25, 2), (30, 0), (40, 1)],
            "an entry is lost, or there twice"
        );
    });
}

#[test]
fn loom_two_inserts_split_once() {
    explore(1, ["None None"], |saw| {
        let map = Arc::new(full(ByType));
        let other = map.clone();
        let writer = thread::spawn(move || other.put(35, 1));
        let one = map.put(25, 1);
        saw(format!("{one:?} {:?}", writer.join().unwrap()));
        let all = [(10, 0), (20, 0), (25, 1), (30, 0), (35, 1), (40, 0)];
        assert_eq!(
            (map.all(), map.len.total()),
            (all.into(), 6),
            "an entry is lost, or there twice"
        );
    });
}

/// By the fast path, to the middle of a leaf and to its end, while another thread writes there too.
#[test]
fn loom_writes_at_once_against_an_insert() {
    explore_each(2, ["None", "Some(0)"], 0..2, |case, saw| {
        let mut map = Map::new(ByType);
        [10, 20].into_iter().for_each(|key| _ = map.put(key, 0));
        map.uses_fast_path = true;
        let (map, key) = (Arc::new(map), [20, 40][case]);
        let other = map.clone();
        let writer = thread::spawn(move || other.put(key, 1));
        map.put([15, 30][case], 2);
        saw(format!("{:?}", writer.join().unwrap()));
        let all = map.all();
        assert_eq!((all.len(), map.read(key)), (3 + case, Some(1)), "{all:?}");
    });
}

/// A walk does not miss an entry that moves down, because a key before it is removed, nor return one twice that moves
/// up.
#[test]
fn loom_walk_against_a_key_that_comes_or_goes() {
    let outcomes = ["[20, 30, 40]", "[10, 20, 30, 40]"];
    explore_each(1, outcomes, 0..4, |case, saw| {
        let map = Arc::new(full(ByType));
        if case >= 2 {
            map.take(10);
        }
        let other = map.clone();
        let reader = thread::spawn(move || other.walk(case % 2 == 0));
        if case >= 2 {
            map.put(10, 1);
        } else {
            map.take(10);
        }
        saw(format!("{:?}", reader.join().unwrap()));
    });
}

/// One thread writes to two leaves. A range does not see the second write without the first one.
#[test]
fn loom_range_against_two_writes_in_order() {
    explore(2, ["0 0", "1 0", "1 1"], |saw| {
        let map = Arc::new(two_leaves(&[10, 40]));
        let other = map.clone();
        let reader = thread::spawn(move || other.all());
        map.put(10, 1);
        map.put(40, 1);
        let all = reader.join().unwrap();
        assert_eq!(all.len(), 2);
        saw(format!("{} {}", all[0].1, all[1].1));
    });
}

#[test]
fn loom_range_against_split() {
    explore(1, ["4", "5"], |saw| {
        let map = Arc::new(full(ByType));
        let other = map.clone();
        let reader = thread::spawn(move || other.all());
        map.put(25, 0);
        let all = reader.join().unwrap();
        assert!(all.is_sorted_by(|a, b| a.0 < b.0), "{all:?}");
        saw(format!("{}", all.len()));
    });
}

/// A merge moves 40 to the left leaf, where it is changed.
#[test]
fn loom_get_against_merge() {
    explore_each(1, ["Some(0)", "Some(1)"], 0..2, |case, saw| {
        let map = Arc::new(two_leaves(&[10, 40]));
        let other = map.clone();
        let key = [10, 40][case];
        let reader = thread::spawn(move || other.read(key));
        let leaf = map.head().unwrap();
        map.merge_if_sparse(leaf, &mut Backoff::spinning());
        assert!(!leaf.begin().meta.has_hi(), "joined");
        map.put(40, 1);
        saw(format!("{:?}", reader.join().unwrap()));
    });
}

#[test]
fn loom_write_to_entries_that_a_merge_moved() {
    explore(1, ["Some(0) Some(1)"], |saw| {
        let map = Arc::new(two_leaves(&[10, 40]));
        let other = map.clone();
        let writer = thread::spawn(move || {
            let old = other.put(40, 1);
            (old, other.read(40))
        });
        map.merge_if_sparse(map.head().unwrap(), &mut Backoff::spinning());
        let (old, new) = writer.join().unwrap();
        saw(format!("{old:?} {new:?}"));
        assert_eq!(map.all(), [(10, 0), (40, 1)], "an entry is lost, or there twice");
    });
}

/// 10 is inserted before 30. So no thread finds 30 to be the first key, in any order of reading the leaves.
#[test]
fn loom_first_against_two_inserts_in_order() {
    explore(2, ["Some(10)", "Some(40)"], |saw| {
        let map = Arc::new(two_leaves(&[40]));
        let other = map.clone();
        let reader = thread::spawn(move || other.first_key());
        map.put(10, 1);
        map.put(30, 1);
        saw(format!("{:?}", reader.join().unwrap()));
    });
}

#[test]
fn loom_pop_against_two_inserts_in_order() {
    explore(2, ["Some(10)", "Some(40)"], |saw| {
        let map = Arc::new(two_leaves(&[40]));
        let other = map.clone();
        let reader = thread::spawn(move || other.pop());
        map.put(10, 1);
        map.put(30, 1);
        saw(format!("{:?}", reader.join().unwrap()));
    });
}

/// Store buffering: the removal locks the right leaf and validates the left one. Another thread writes to the left one
/// and reads the right one. One of the two sees what the other did, at either end.
#[test]
fn loom_pop_against_an_insert_and_a_lookup() {
    explore_each(2, ["10 None", "10 Some(0)", "40 None", "40 Some(0)"], 0..2, |case, saw| {
        let (kept, new) = [(40, 10), (10, 40)][case];
        let map = Arc::new(two_leaves(&[kept]));
        let other = map.clone();
        let popper = thread::spawn(move || if case == 0 { other.pop() } else { other.pop_last() });
        map.put(new, 1);
        let seen = map.read(kept);
        let popped = popper.join().unwrap().unwrap();
        assert!(
            popped == new || seen.is_none(),
            "popped {popped}, so before {new} was inserted, and yet it was there after that"
        );
        saw(format!("{popped} {seen:?}"));
    });
}

/// A batch writes to one leaf and only reads the other one. It does not get a value that another thread has replaced,
/// if that thread reads the batch's leaf after that and does not find the batch's change.
#[test]
fn loom_batch_that_keeps_a_leaf_against_a_write_and_a_lookup() {
    explore_each(2, ["0 1", "1 0", "1 1"], 0..2, |case, saw| {
        let (kept, written) = [(10, 40), (40, 10)][case];
        let map = Arc::new(two_leaves(&[10, 40]));
        let other = map.clone();
        let batch = thread::spawn(move || {
            let changes = [(kept, Op::Keep), (written, Op::Insert([1, 1]))];
            let had = other.apply(BatchOps::Changes(&changes), Backoff::spinning()).unwrap();
            whole(had[0].unwrap())
        });
        map.put(kept, 1);
        let seen = map.read(written).unwrap();
        let had = batch.join().unwrap();
        assert!(
            had == 1 || seen == 1,
            "a batch read {kept} before it was written, but wrote {written} later"
        );
        saw(format!("{had} {seen}"));
    });
}

/// Ways to a leaf that another thread has just allocated.
fn find_leaf_by(map: &Map, how: usize) -> Option<u64> {
    match how {
        0 => map.read(40).map(|_| 40),
        1 => map.first_key(),
        _ => map.last_key(),
    }
}

/// A lookup runs while the first leaf, fence and table are made.
#[test]
fn loom_lookups_against_the_first_insert() {
    explore_each(2, ["None", "Some(40)"], 0..3, |how, saw| {
        let map = Arc::new(Map::new(ByType));
        let other = map.clone();
        let reader = thread::spawn(move || find_leaf_by(&other, how));
        map.put(40, 0);
        saw(format!("{:?}", reader.join().unwrap()));
    });
}

/// A lookup runs while the last leaf is split.
#[test]
fn loom_lookups_against_a_split_of_the_last_leaf() {
    explore_each(1, ["Some(10)", "Some(40)"], 0..3, |how, saw| {
        let map = Arc::new(full(ByType));
        let other = map.clone();
        let reader = thread::spawn(move || find_leaf_by(&other, how));
        map.put(25, 0);
        saw(format!("{:?}", reader.join().unwrap()));
    });
}

/// Writes to a leaf, so that only its version changes.
fn touch(leaf: LeafRef<'_, u64, Value>) {
    loop {
        let version = leaf.begin();
        if leaf.try_lock(version) {
            return leaf.unlock(version, version.meta);
        }
        thread::yield_now();
    }
}

/// Reads two leaves in this order, and validates both together. If they are valid, returns which of them were written
/// to since `before`.
fn read_both(
    leaves: [LeafRef<'_, u64, Value>; 2],
    before: [usize; 2],
    order: [usize; 2],
) -> Option<[bool; 2]> {
    let (mut read_set, mut seen) = (ReadSet::new(), [false; 2]);
    for at in order {
        let version = leaves[at].begin();
        // As in a search, each leaf is validated by itself, too.
        if version.is_locked() || !leaves[at].validate(version) {
            return None;
        }
        seen[at] = version.write_count() != before[at];
        read_set.push(leaves[at], version).unwrap();
    }
    read_set.validate_all().then_some(seen)
}

/// Returns the leaves of `two_leaves`, which are neither split nor merged.
fn leaves(map: &Map) -> [LeafRef<'_, u64, Value>; 2] {
    let head = map.head().unwrap();
    [head, head.next_locked()]
}

fn versions(map: &Map) -> [usize; 2] {
    leaves(map).map(|leaf| leaf.begin().write_count())
}

/// Two independent writers and two ranges: both ranges see the writes in the same order.
#[test]
fn loom_two_ranges_against_two_writers() {
    explore(
        1,
        [
            "None",
            "Some([false, false])",
            "Some([false, true])",
            "Some([true, false])",
            "Some([true, true])",
        ],
        |saw| {
            let map = Arc::new(two_leaves(&[10, 40]));
            let before = versions(&map);
            let reader = |order| {
                let map = map.clone();
                thread::spawn(move || read_both(leaves(&map), before, order))
            };
            let writer = map.clone();
            let writer = thread::spawn(move || touch(leaves(&writer)[1]));
            let readers = [reader([0, 1]), reader([1, 0])];
            touch(leaves(&map)[0]);
            writer.join().unwrap();
            let seen = readers.map(|reader| reader.join().unwrap());
            assert!(
                !seen.contains(&Some([true, false])) || !seen.contains(&Some([false, true])),
                "two ranges saw two writes in different orders"
            );
            seen.iter().for_each(|seen| saw(format!("{seen:?}")));
        },
    );
}

/// A thread writes to one leaf, executes a fence and reads another leaf. It agrees with ranges about the order of
/// writes.
#[test]
fn loom_range_against_a_write_and_a_lookup_behind_a_fence() {
    explore(2, ["false", "true"], |saw| {
        let map = Arc::new(two_leaves(&[10, 40]));
        let before = versions(&map);
        let (reader, writer) = (map.clone(), map.clone());
        let writer = thread::spawn(move || touch(leaves(&writer)[1]));
        let reader = thread::spawn(move || read_both(leaves(&reader), before, [1, 0]));
        touch(leaves(&map)[0]);
        // [RA-1] the user's own fence, as `docs::ordering` requires: pairs with the one in `validate_all`.
        atomic::fence(Ordering::SeqCst);
        let second = leaves(&map)[1].begin().write_count() != before[1];
        writer.join().unwrap();
        let seen = reader.join().unwrap();
        assert!(
            second || seen != Some([false, true]),
            "a range saw the second write, and not the first one, whose writer did not see the second one after it"
        );
        saw(format!("{second}"));
    });
}

/// A range sees all of a removed range, or nothing.
#[test]
fn loom_range_against_remove_range() {
    explore(1, ["[10, 40]", "[]"], |saw| {
        let map = Arc::new(two_leaves(&[10, 40]));
        let other = map.clone();
        let reader = thread::spawn(move || other.all());
        let removed = map.remove_range((unbounded(), unbounded()));
        assert_eq!(removed.unwrap(), 2);
        let keys: Vec<u64> = reader.join().unwrap().into_iter().map(|(key, _)| key).collect();
        saw(format!("{keys:?}"));
    });
}

/// A range sees the changes of a batch in both leaves, or in none.
#[test]
fn loom_range_against_batch() {
    explore(1, ["0 0", "1 1"], |saw| {
        let map = Arc::new(two_leaves(&[10, 40]));
        let other = map.clone();
        let reader = thread::spawn(move || other.all());
        assert_eq!(map.put_both([40, 10], 1), [Some(0), Some(0)]);
        let all = reader.join().unwrap();
        saw(format!("{} {}", all[0].1, all[1].1));
    });
}

/// A thread that has seen a part of a batch sees the other part after that, in either order of its lookups.
#[test]
fn loom_two_gets_against_batch() {
    explore_each(2, ["0 0", "0 1", "1 1"], 0..2, |case, saw| {
        let map = Arc::new(two_leaves(&[10, 40]));
        let other = map.clone();
        let keys = [[10, 40], [40, 10]][case];
        let reader = thread::spawn(move || keys.map(|key| other.read(key).unwrap()));
        map.put_both([10, 40], 1);
        let [first, second] = reader.join().unwrap();
        saw(format!("{first} {second}"));
    });
}

/// Of two batches of the same leaves, one comes after the other.
#[test]
fn loom_batch_against_batch() {
    explore(1, ["0 1", "2 0"], |saw| {
        let map = Arc::new(two_leaves(&[10, 40]));
        let other = map.clone();
        let writer = thread::spawn(move || other.put_both([40, 10], 1));
        let mine = map.put_both([10, 40], 2);
        let theirs = writer.join().unwrap();
        assert!(mine[0] == mine[1] && theirs[0] == theirs[1], "{mine:?} {theirs:?}");
        saw(format!("{} {}", theirs[0].unwrap(), mine[0].unwrap()));
        let last = if mine[0] == Some(0) { 1 } else { 2 };
        assert_eq!(map.all(), [(10, last), (40, last)], "an entry is lost, or there twice");
    });
}

/// A batch of lookups, and a snapshot of keys that the map need not contain, are consistent snapshots. The latter reads
/// the keys in the order of the writes: without its validation it would see the second write and miss the first one.
#[test]
fn loom_snapshot_against_two_writes_in_order() {
    explore_each(2, ["0 0", "1 0", "1 1"], 0..3, |case, saw| {
        let map = Arc::new(two_leaves(&[10, 40]));
        let other = map.clone();
        let reader = thread::spawn(move || {
            // A snapshot of keys that the map need not contain reads them in the order of the slice.
            let keys = if case == 2 { [10, 40] } else { [40, 10] };
            let request = if case == 0 {
                other.apply(BatchOps::Keys(&keys), Backoff::spinning())
            } else {
                let target = keys.each_ref().map(|key| other.search_key(key));
                other.get_snapshot(&target, |leaf, at| leaf.fetch_value(at), Backoff::spinning())
            };
            let request = request.unwrap();
            keys.map(|key| (key, whole(request[usize::from(key != keys[0])].unwrap())))
        });
        map.put(10, 1);
        map.put(40, 1);
        let mut seen = reader.join().unwrap();
        seen.sort_unstable();
        let [(_, first), (_, second)] = seen;
        assert!(first >= second, "a snapshot has the second write, and not the first one");
        saw(format!("{first} {second}"));
    });
}
