//! Models of the tree's protocols: two keys a block, two blocks a leaf, four leaves a fence.
//!
//! The writer comes first (in the main thread, or spawned first): loom shows a reader that comes first in
//! program order no value that is stored later. Each model names the outcomes it must have met by the end; a model
//! that explored nothing fails.

use crate::api::op::{Change, Op};
use crate::facade::atomic::{self, Ordering};
use crate::fence::tree::batch::Request;
use crate::fence::tree::chunk::Chunk;
use crate::fence::tree::descent::Tree;
use crate::fence::tree::leaf::Leaf;
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

/// Two words: a torn value has unlike halves.
pub(super) type Value = [u64; 2];
pub(super) type Map<R = ByType> = Tree<u64, Value, R>;

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
            Some(_) => Change::Value([n, n]),
            None => Change::Entry(key, [n, n]),
        };
        self.change(key, entry)
    }

    pub(super) fn take(&self, key: u64) -> Option<u64> {
        self.change(key, |_| Change::Remove)
    }

    fn change(
        &self,
        key: u64,
        decide: impl FnMut(Option<&Value>) -> Change<u64, Value>,
    ) -> Option<u64> {
        let read = |leaf: Leaf<'_, u64, Value>, at| leaf.fetch_value(at);
        let done = self.alter(self.search_key(&key), read, Backoff::spinning(), decide, |_| ());
        done.unwrap().0.map(whole)
    }

    pub(super) fn all(&self) -> Vec<(u64, u64)> {
        let mut all = Vec::new();
        self.range((unbounded(), unbounded()), &mut all, Backoff::spinning()).unwrap();
        all.into_iter().map(|(key, value)| (key, whole(value))).collect()
    }

    /// What a walk shows that copies a few at a time, all at once or step by step.
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

    /// Both at one moment.
    pub(super) fn put_both(&self, keys: [u64; 2], n: u64) -> Vec<Option<u64>> {
        let changes = keys.map(|key| (key, Op::Insert([n, n])));
        let had = self.apply(Request::Changes(&changes), Backoff::spinning()).unwrap();
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

/// A full leaf: one key more in the middle of it splits it between 20 and 30.
fn full<R: Ranking<u64>>(ranking: R) -> Map<R> {
    let map = Map::new(ranking);
    for key in [10, 20, 30, 40] {
        map.put(key, 0);
    }
    map
}

/// A leaf up to 30, and one from there on, with these entries left.
fn two_leaves(keys: &[u64]) -> Map {
    let map = full(ByType);
    // One is so full while the other one is emptied that they are not joined.
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

/// Ranks that say nothing: the same by `Ord` alone, with nothing looked at that is not validated.
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

/// Entries that move up and down in their leaf are there all the time.
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

/// A key that stays in the left leaf, and one that moves to the right one.
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

/// Who has written to the receiver does not find the old value in the giver after that.
#[test]
fn loom_write_to_what_a_split_moved() {
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

/// By the short way, to the middle of a leaf and to its end, while another one writes there too.
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

/// What moves down behind a key that goes is not passed by, and what moves up is not met twice.
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

/// Two leaves, written to one after the other: the second write is not seen without the first.
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

/// A join moves 40 to the left leaf, where it is changed.
#[test]
fn loom_get_against_join() {
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
fn loom_write_to_what_a_join_moved() {
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

/// 10 is there before 30 is: so nobody finds 30 to be the first, whichever leaf he looked at when.
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

/// Store buffering: the popper locks the right leaf and looks at the left one again, another thread writes to the left
/// one and looks at the right one. One of the two sees what the other did, whichever end is popped.
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

/// A batch that writes to one leaf, and only asks what is in the other one: it is not told of a value that was replaced
/// by a thread which finds the batch undone after that.
#[test]
fn loom_batch_that_keeps_a_leaf_against_a_write_and_a_lookup() {
    explore_each(2, ["0 1", "1 0", "1 1"], 0..2, |case, saw| {
        let (kept, written) = [(10, 40), (40, 10)][case];
        let map = Arc::new(two_leaves(&[10, 40]));
        let other = map.clone();
        let batch = thread::spawn(move || {
            let changes = [(kept, Op::Keep), (written, Op::Insert([1, 1]))];
            let had = other.apply(Request::Changes(&changes), Backoff::spinning()).unwrap();
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

/// How a leaf is come by that another thread has just allocated.
fn come_by(map: &Map, how: usize) -> Option<u64> {
    match how {
        0 => map.read(40).map(|_| 40),
        1 => map.first_key(),
        _ => map.last_key(),
    }
}

/// A reader looks for the first leaf, fence and table while they are made.
#[test]
fn loom_lookups_against_the_first_insert() {
    explore_each(2, ["None", "Some(40)"], 0..3, |how, saw| {
        let map = Arc::new(Map::new(ByType));
        let other = map.clone();
        let reader = thread::spawn(move || come_by(&other, how));
        map.put(40, 0);
        saw(format!("{:?}", reader.join().unwrap()));
    });
}

/// A reader looks for the new leaf while the last one is split.
#[test]
fn loom_lookups_against_a_split_of_the_last_leaf() {
    explore_each(1, ["Some(10)", "Some(40)"], 0..3, |how, saw| {
        let map = Arc::new(full(ByType));
        let other = map.clone();
        let reader = thread::spawn(move || come_by(&other, how));
        map.put(25, 0);
        saw(format!("{:?}", reader.join().unwrap()));
    });
}

/// A write that only a version shows.
fn touch(leaf: Leaf<'_, u64, Value>) {
    loop {
        let version = leaf.begin();
        if leaf.try_lock(version) {
            return leaf.unlock(version, version.meta);
        }
        thread::yield_now();
    }
}

/// Looks at two leaves in turn, and at both once more. If the look is valid, returns which of them were written to
/// since `before`.
fn glance(
    leaves: [Leaf<'_, u64, Value>; 2],
    before: [usize; 2],
    order: [usize; 2],
) -> Option<[bool; 2]> {
    let (mut read_set, mut seen) = (ReadSet::new(), [false; 2]);
    for at in order {
        let version = leaves[at].begin();
        // As a search does: each leaf is validated at least once.
        if version.is_locked() || !leaves[at].validate(version) {
            return None;
        }
        seen[at] = version.write_count() != before[at];
        read_set.push(leaves[at], version).unwrap();
    }
    read_set.validate_all().then_some(seen)
}

/// The leaves of `two_leaves`, which stay.
fn leaves(map: &Map) -> [Leaf<'_, u64, Value>; 2] {
    let head = map.head().unwrap();
    [head, head.next_locked()]
}

fn versions(map: &Map) -> [usize; 2] {
    leaves(map).map(|leaf| leaf.begin().write_count())
}

/// Two writers that know nothing of each other, and two ranges: both see the writes in the same order.
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
                thread::spawn(move || glance(leaves(&map), before, order))
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

/// A thread that puts a fence between its write to one leaf and its look at the other one agrees with ranges about the
/// order of writes.
#[test]
fn loom_range_against_a_write_and_a_lookup_behind_a_fence() {
    explore(2, ["false", "true"], |saw| {
        let map = Arc::new(two_leaves(&[10, 40]));
        let before = versions(&map);
        let (reader, writer) = (map.clone(), map.clone());
        let writer = thread::spawn(move || touch(leaves(&writer)[1]));
        let reader = thread::spawn(move || glance(leaves(&reader), before, [1, 0]));
        touch(leaves(&map)[0]);
        // [RA-1] the user's own fence, as `docs::ordering` asks for: pairs with the one in `validate_all`.
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

/// All of a range is removed, or nothing.
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

/// Two leaves of a batch: a range sees all of it or nothing.
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

/// Who has seen a part of a batch sees the other part after that, whichever he looks at first.
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

/// Two batches of the same leaves: one after the other.
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

/// A batch, and a snapshot of keys that the map need not hold, are consistent snapshots. The snapshot reads the keys in
/// the order of the writes: in that order a reader that looks once can see the second write without the first.
#[test]
fn loom_snapshot_against_two_writes_in_order() {
    explore_each(2, ["0 0", "1 0", "1 1"], 0..3, |case, saw| {
        let map = Arc::new(two_leaves(&[10, 40]));
        let other = map.clone();
        let reader = thread::spawn(move || {
            // Keys that need not be the map's own are looked up in the order in which they are asked for.
            let keys = if case == 2 { [10, 40] } else { [40, 10] };
            let request = if case == 0 {
                other.apply(Request::Keys(&keys), Backoff::spinning())
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
