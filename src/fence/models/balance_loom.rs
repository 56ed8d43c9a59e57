//! Models of changes of fences while other threads look up, write and scan: moves of leaves, splits and merges. And of
//! leaves that are allocated and used again.

use super::tree_loom::{Map, Value};
use crate::fence::tree::arena::LeafArena;
use crate::fence::tree::fence::Fence;
use crate::fence::tree::leaf::{LeafRef, Meta};
use crate::fence::tree::load::LeafLoad;
use crate::fence::tree::rank::ByType;
use crate::fence::tree::split::move_to_new_fence;
use crate::sync::backoff::Backoff;
use crate::sync::loom::explore_each;
use ::loom::sync::Arc;
use ::loom::thread;
use std::format;

/// The number of ways to change fences.
const WAYS: usize = 4;
const MERGE: usize = 3;
const KEYS: [u64; 4] = [10, 20, 30, 40];

/// Returns a map with leaves that begin with 20, 30 and 40, and one before them. The first two are in the first fence.
/// Fences that a model merges have only one leaf each.
fn two_fences(how: usize) -> Arc<Map> {
    let map = Map::new(ByType);
    for key in KEYS {
        map.put(key, 0);
    }
    map.start_fence_at(&30).unwrap();
    for bound in [20, 40].into_iter().filter(|_| how < MERGE) {
        map.start_leaf_at(&bound, &mut Backoff::spinning()).unwrap();
        map.list_right_of(map.leaf_before(bound), &mut Backoff::spinning());
    }
    let leaves = if how < MERGE { [2, 2] } else { [1, 1] };
    assert_eq!([fence(&map, 0).count(), fence(&map, 1).count()], leaves);
    Arc::new(map)
}

fn fence(map: &Map, at: usize) -> &Fence {
    map.root.table().unwrap().fence(at).unwrap()
}

impl Map {
    /// Returns the leaf to the left of the one that begins with `bound`.
    fn leaf_before(&self, bound: u64) -> LeafRef<'_, u64, Value> {
        let mut leaf = self.head().unwrap();
        loop {
            let right = leaf.next(leaf.begin()).ok().unwrap();
            if right.lo(right.begin()).ok().unwrap() == Some(bound) {
                return leaf;
            }
            leaf = right;
        }
    }

    /// Changes the fences in one way. The models do not prove which change is due, so this gives each fence a load that
    /// makes the wanted one due.
    fn rearrange(&self, how: usize) {
        let [first, second] = [fence(self, 0), fence(self, 1)];
        match how {
            0 => {
                set_recent_writes(second, [0, 0]);
                set_recent_writes(first, [1400, 600]);
                assert!(self.move_leaves(first, second, false).is_some(), "handed to the right");
                assert_eq!([first.count(), second.count()], [1, 3]);
            }
            1 => {
                set_recent_writes(first, [0, 0]);
                set_recent_writes(second, [600, 1400]);
                assert!(self.move_leaves(second, first, true).is_some(), "handed to the left");
                assert_eq!([first.count(), second.count()], [3, 1]);
            }
            2 => {
                let load = set_recent_writes(first, [1000, 1000]);
                assert!(self.split_by_load(first, load).is_some(), "split");
            }
            _ => assert!(self.merge_fences(first, second, true), "joined"),
        }
    }
}

fn set_recent_writes(fence: &Fence, writes: [usize; 2]) -> usize {
    let editor = fence.lock();
    for (at, writes) in writes.into_iter().enumerate() {
        editor.set_leaf_load(at, LeafLoad::NEW.after(1, writes));
    }
    editor.update_load()
}

#[test]
fn loom_get_against_fences_that_change() {
    explore_each(2, ["Some(0)"], 0..WAYS * KEYS.len(), |case, saw| {
        let map = two_fences(case / KEYS.len());
        let other = map.clone();
        let reader = thread::spawn(move || other.read(KEYS[case % KEYS.len()]));
        map.rearrange(case / KEYS.len());
        saw(format!("{:?}", reader.join().unwrap()));
    });
}

#[test]
fn loom_write_against_fences_that_change() {
    explore_each(2, ["Some(0) [0, 1, 0, 0]", "Some(0) [0, 0, 1, 0]"], 0..WAYS * 2, |case, saw| {
        let map = two_fences(case / 2);
        let other = map.clone();
        let writer = thread::spawn(move || other.put([20, 30][case % 2], 1));
        map.rearrange(case / 2);
        let old = writer.join().unwrap();
        let all: std::vec::Vec<u64> = map.all().into_iter().map(|(_, value)| value).collect();
        saw(format!("{old:?} {all:?}"));
    });
}

#[test]
fn loom_range_against_fences_that_change() {
    explore_each(2, ["4"], 0..WAYS, |case, saw| {
        let map = two_fences(case);
        let other = map.clone();
        let reader = thread::spawn(move || other.all());
        map.rearrange(case);
        let all = reader.join().unwrap();
        assert!(all.is_sorted_by(|a, b| a.0 < b.0), "{all:?}");
        saw(format!("{}", all.len()));
    });
}

/// A batch writes to both fences while leaves move between them.
#[test]
fn loom_batch_against_fences_that_change() {
    explore_each(2, ["[1, 0, 1, 0]"], 0..WAYS, |case, saw| {
        let map = two_fences(case);
        let other = map.clone();
        let writer = thread::spawn(move || other.put_both([30, 10], 1));
        map.rearrange(case);
        assert_eq!(writer.join().unwrap(), [Some(0), Some(0)]);
        let all: std::vec::Vec<u64> = map.all().into_iter().map(|(_, value)| value).collect();
        saw(format!("{all:?}"));
    });
}

/// A thread merges two fences that it found before another thread merged one of them away. A third one splits a
/// fence, and fills the unused one while it has the root locked. A thread that had the unused one locked, and waited
/// for the root, would never get it.
#[test]
fn loom_split_against_a_merge_with_an_unused_fence() {
    explore_each(2, ["false [1, 1, 2]"], 0..1, |_, saw| {
        let map = Map::new(ByType);
        KEYS.into_iter().for_each(|key| _ = map.put(key, 0));
        [30, 40].iter().for_each(|bound| map.start_fence_at(bound).unwrap());
        map.start_leaf_at(&20, &mut Backoff::spinning()).unwrap();
        map.list_right_of(map.leaf_before(20), &mut Backoff::spinning());
        let found = [1, 2].map(|at| core::ptr::from_ref(fence(&map, at)).expose_provenance());
        assert!(map.merge_fences(fence(&map, 1), fence(&map, 2), true));
        let map = Arc::new(map);
        let other = map.clone();
        let merger = thread::spawn(move || {
            // SAFETY: the addresses of fences, which are freed with the map.
            let [left, right] =
                found.map(|at| unsafe { &*core::ptr::with_exposed_provenance::<Fence>(at) });
            other.merge_fences(left, right, true)
        });
        let editor = fence(&map, 0).lock();
        assert!(move_to_new_fence(&editor, &mut map.root.acquire(true).unwrap(), 1));
        drop(editor);
        let merged = merger.join().unwrap();
        saw(format!("{merged} {:?}", [0, 1, 2].map(|at| fence(&map, at).count())));
    });
}

/// A larger table replaces the root's table.
#[test]
fn loom_get_against_a_root_that_grows() {
    explore_each(2, ["Some(0)"], 0..KEYS.len(), |case, saw| {
        let map = Map::new(ByType);
        KEYS.into_iter().for_each(|key| _ = map.put(key, 0));
        [20, 30, 40].iter().for_each(|bound| map.start_fence_at(bound).unwrap());
        let map = Arc::new(map);
        let other = map.clone();
        let reader = thread::spawn(move || other.read(KEYS[case]));
        let provided = map.root.reserve(true);
        saw(format!("{:?}", reader.join().unwrap()));
        assert!(matches!(provided, Ok(true)) && map.root.bytes().1 > 0, "replaced");
    });
}

/// A thread finds a leaf that was just allocated by each word that may lead to it: by its place in a fence, directly
/// or after a move to the left, and as the first and the last leaf. It takes no lock of a leaf on the way.
#[test]
fn loom_a_leaf_that_is_published() {
    explore_each(2, ["fresh", "none", "old"], 0..4, |how, saw| {
        let map = Arc::new(Map::new(ByType));
        let fences = Arc::new([Fence::new(), Fence::new()]);
        let old = map.arena.allocate(&Backoff::spinning()).ok().unwrap();
        if how == 1 {
            fences[1].lock().push(0, old.as_ptr());
        }
        let (other, theirs, old) = (map.clone(), fences.clone(), old.as_ptr().addr());
        let reader = thread::spawn(move || {
            let leaf = match how {
                // SAFETY: fences list leaves of the arena, [FN-1] and [FN-2].
                0 | 1 => unsafe { other.leaf_at(theirs[how].leaf(0)) },
                2 => other.head(),
                _ => other.tail(),
            };
            leaf.map(|leaf| {
                assert!(!leaf.begin().is_locked());
                leaf.as_ptr().addr()
            })
        });
        let fresh = map.arena.allocate(&Backoff::spinning()).ok().unwrap();
        match how {
            0 => fences[0].lock().push(0, fresh.as_ptr()),
            1 => {
                let editor = fences[1].lock();
                editor.push(1, fresh.as_ptr());
                editor.move_left(1, &fences[0].lock(), |_| ());
            }
            2 => map.set_head(fresh),
            _ => map.set_tail(fresh, 0),
        }
        let met = reader.join().unwrap();
        saw(met.map_or("none", |met| if met == old { "old" } else { "fresh" }).into());
    });
}

/// A thread that allocates a leaf again finds it as the thread left it that retired it.
#[test]
fn loom_a_leaf_that_is_used_again() {
    explore_each(2, ["fresh", "the same"], 0..1, |_, saw| {
        let arena = Arc::new(LeafArena::<u64, Value>::new());
        let other = arena.clone();
        let leaf = arena.allocate(&Backoff::spinning()).ok().unwrap();
        let (number, exposed) = (leaf.as_ptr().addr(), leaf.as_ptr().expose_provenance());
        let thread = thread::spawn(move || {
            // SAFETY: the address of a leaf of the arena, which is freed after this.
            let leaf = unsafe {
                LeafRef::<u64, Value>::new(core::ptr::with_exposed_provenance_mut(exposed))
            };
            let version = leaf.begin();
            assert!(leaf.try_lock(version));
            leaf.unlock(version, Meta::RETIRED);
            other.release(leaf);
        });
        let taken = arena.allocate(&Backoff::spinning()).ok().unwrap();
        let version = taken.begin();
        assert!(taken.try_lock(version), "no other thread has a retired leaf");
        taken.unlock(version, Meta::RETIRED);
        saw((if taken.as_ptr().addr() == number { "the same" } else { "fresh" }).into());
        thread.join().unwrap();
    });
}
