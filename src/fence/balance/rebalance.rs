//! Rebalancing: a fence with more load than others hands leaves to a neighbour or is split, and idle fences are merged.
//!
//! Only the lists of leaves change. No entry moves, no leaf is locked, and no user code runs, not even `Ord`: fences
//! store ranks. At worst, a lookup that runs meanwhile lands on a neighbour of the right leaf.
//!
//! # Synchronization
//! - Fences are locked in key order and before the root, as for splits and merges, and only if their locks are free
//!   `[FN-3]` `[RT-3]`. So the rebalancer never waits.
//! - A moved leaf is listed in its new fence first. Then the root's boundary changes, and only then the old fence drops
//!   the leaf. So a lookup finds the leaf at any time, or one further left from which it walks on.

use crate::fence::tree::descent::FenceTree;
use crate::fence::tree::fence::{FANOUT, Fence, FenceEditor};
use crate::fence::tree::load::LoadSum;
use crate::fence::tree::policy::KeyPolicy;
use crate::fence::tree::root::RootTable;
use crate::fence::tree::split::move_to_new_fence;
use core::ptr;

/// A fence counts as loaded if its load is more than twice the other's, plus this. The factor keeps leaves that were
/// just moved from being moved back; the constant ignores small loads.
const LEAST: usize = if cfg!(hedgerow_loom) { 0 } else { 256 };
/// Most leaves that are moved at a time.
const MOST: usize = FANOUT / 4;
/// Most leaves in a fence that is given more: with fewer free places it would have to be split soon.
const FULL: usize = FANOUT - FANOUT / 8;

/// The action that was taken on a fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RebalanceAction {
    Nothing,
    Moved,
    Split,
    MergedLeft,
    MergedRight,
}

impl<K: Copy + Ord, V: Copy, R: KeyPolicy<K>> FenceTree<K, V, R> {
    /// Visits up to `budget` fences, each once at most, and evens out their load. Returns whether it changed anything.
    pub(crate) fn rebalance(&self, budget: usize) -> bool {
        let Some(mut round) = self.balance.round.try_lock() else { return false };
        let Some(table) = self.root.table() else { return false };
        let mut changed = false;
        for _ in 0..budget.min(table.count()) {
            // The split of a fence may have replaced the table.
            let Some(table) = self.root.table() else { break };
            let at = round.next(table.count());
            let Some(fence) = table.fence(at) else { continue };
            let Some(load) = self.measure(fence) else { continue };
            round.so_far.add(load);
            // Without a whole round of loads there is no mean to compare with.
            let Some(last) = round.previous else { continue };
            let done = self.relieve(table, at, load, last);
            match done {
                // The next fence is the split-off half, which this load includes.
                RebalanceAction::Split => round.at += 1,
                // This fence is gone, so the next one has its number.
                RebalanceAction::MergedLeft => round.at -= 1,
                _ => {}
            }
            changed |= done != RebalanceAction::Nothing;
        }
        changed
    }

    /// Counts the recent writes of the fence's leaves. None if another thread is changing the fence.
    fn measure(&self, fence: &Fence) -> Option<usize> {
        let editor = fence.try_lock()?;
        for at in 0..fence.count() {
            let Some(leaf) = self.leaf_of(fence, at) else { continue };
            let version = leaf.begin();
            let load = editor.leaf_load(at).after(version.write_count(), version.meta.count());
            editor.set_leaf_load(at, load);
        }
        Some(editor.update_load())
    }

    fn relieve(
        &self,
        table: RootTable<'_>,
        at: usize,
        load: usize,
        last: LoadSum,
    ) -> RebalanceAction {
        let Some(fence) = table.fence(at) else { return RebalanceAction::Nothing };
        let Some(mean) = last.mean_beside(load) else { return RebalanceAction::Nothing };
        let left = at.checked_sub(1).and_then(|at| table.fence(at));
        let right = if at + 1 < table.count() { table.fence(at + 1) } else { None };
        let is_loaded = |than: usize| load > than.saturating_mul(2).saturating_add(LEAST);
        // First choice: moving leaves makes no new fence.
        let idler = [left, right].into_iter().flatten().min_by_key(|fence| fence.counters.load());
        if let Some(idler) = idler
            && load > mean
            && is_loaded(idler.counters.load())
        {
            let is_left = left.is_some_and(|left| ptr::eq(left, idler));
            if self.move_leaves(fence, idler, is_left).is_some() {
                return RebalanceAction::Moved;
            }
        }
        // The load is in the middle of the fence, or the neighbours are loaded too.
        if is_loaded(mean) && self.split_by_load(fence, load).is_some() {
            return RebalanceAction::Split;
        }
        let is_idle = |other: &Fence| load.saturating_add(other.counters.load()) < mean / 2;
        let merged =
            if left.is_some_and(|left| is_idle(left) && self.merge_fences(left, fence, false)) {
                RebalanceAction::MergedLeft
            } else if right
                .is_some_and(|right| is_idle(right) && self.merge_fences(fence, right, false))
            {
                RebalanceAction::MergedRight
            } else {
                return RebalanceAction::Nothing;
            };
        self.balance.merges.add(1);
        merged
    }

    /// Moves leaves from one end of `source` to its neighbour there, until both have about the same load. None if that
    /// would change little, or if another thread holds one of the locks.
    pub(crate) fn move_leaves(
        &self,
        source: &Fence,
        destination: &Fence,
        is_left: bool,
    ) -> Option<()> {
        let (first, second) = if is_left { (destination, source) } else { (source, destination) };
        let first_editor = first.try_lock()?;
        let second_editor = second.try_lock()?;
        let root = self.root.acquire(false)?;
        let at = root.position(second)?;
        let before = at.checked_sub(1).and_then(|at| root.fence(at))?;
        // Another thread may have split or merged one of them before they were locked. Between fences that are no
        // neighbours, moved leaves would be listed out of order.
        if !ptr::eq(before, first) {
            return None;
        }
        let (from, to) =
            if is_left { (&second_editor, &first_editor) } else { (&first_editor, &second_editor) };
        let load = source.counters.load();
        let surplus = load.saturating_sub(destination.counters.load()) / 2;
        let room = FULL.saturating_sub(destination.count());
        let (count, moved_load) = leaves_to_move(from, surplus, MOST.min(room), is_left);
        // Leaves without load are not worth a move: the loaded ones are further from this end.
        if count == 0 || moved_load < load / 8 {
            return None;
        }
        let set_boundary = |low| root.set_low(at, low);
        if is_left {
            from.move_left(count, to, set_boundary);
        } else {
            from.move_right(count, to, set_boundary);
        }
        from.update_load();
        to.update_load();
        for fence in [source, destination] {
            fence.counters.add_moved(count);
        }
        self.balance.moved.add(count);
        Some(())
    }

    /// Splits a fence so that each part has about half of its `load`.
    pub(crate) fn split_by_load(&self, fence: &Fence, load: usize) -> Option<()> {
        if !matches!(self.root.reserve(false), Ok(true)) {
            return None;
        }
        let editor = fence.try_lock()?;
        let mut root = self.root.acquire(false)?;
        // A merge may have taken the fence out of the root before it was locked.
        root.position(fence)?;
        let cut = half_of_load(&editor, load)?;
        if !move_to_new_fence(&editor, &mut root, cut) {
            return None;
        }
        self.balance.splits.add(1);
        Some(())
    }
}

/// Returns how many leaves to move from one end of a fence, and their load: as many as have up to `load` together, at
/// most `most`, and not all.
fn leaves_to_move(
    source: &FenceEditor<'_>,
    load: usize,
    most: usize,
    from_left: bool,
) -> (usize, usize) {
    let count = source.fence.count();
    let (mut moved, mut sum) = (0, 0);
    while moved < most.min(count - 1) {
        let at = if from_left { moved } else { count - 1 - moved };
        let with = source.leaf_load(at).recent_writes().saturating_add(sum);
        if with > load {
            break;
        }
        (moved, sum) = (moved + 1, with);
    }
    (moved, sum)
}

/// Returns where to cut a fence so that each part has about half of `load`. None if no cut leaves each part an eighth.
fn half_of_load(fence: &FenceEditor<'_>, load: usize) -> Option<usize> {
    let mut left = 0usize;
    let mut best = None;
    for cut in 1..fence.fence.count() {
        left = left.saturating_add(fence.leaf_load(cut - 1).recent_writes());
        let lesser = left.min(load.saturating_sub(left));
        if best.is_none_or(|(most, _)| lesser > most) {
            best = Some((lesser, cut));
        }
    }
    best.filter(|&(lesser, _)| lesser >= load / 8).map(|(_, cut)| cut)
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::{half_of_load, leaves_to_move};
    use crate::FenceMap;
    use crate::fence::tree::fence::Fence;
    use crate::fence::tree::leaf::LeafLayout;
    use crate::fence::tree::load::LeafLoad;
    use alloc::vec::Vec;
    use core::ptr;

    type Wide = [u64; 64];

    /// Keys that ranks of 32 bits tell apart, too.
    fn entry(n: u64) -> (u64, Wide) {
        (n << 32, [n; 64])
    }

    fn insert(map: &FenceMap<u64, Wide>, n: u64) {
        let (key, value) = entry(n);
        map.insert(key, value);
    }

    /// Asserts that the root leads from each leaf's rank to its fence, and the fence to the leaf. No thread writes.
    fn hints_are_right(map: &FenceMap<u64, Wide>) {
        let table = map.tree().root.table().unwrap();
        let mut leaves = Vec::new();
        for at in 0..table.count() {
            let fence: &Fence = table.fence(at).unwrap();
            for index in 0..fence.count() {
                assert_eq!(table.pick(fence.low(index)), at, "a hint leads to another fence");
                assert_eq!(fence.pick(fence.low(index)), index);
                leaves.push(fence.leaf(index));
            }
        }
        let listed = leaves.len();
        leaves.sort_unstable();
        leaves.dedup();
        assert_eq!(leaves.len(), listed, "each leaf once");
    }

    /// Inserts ascending keys while a thread holds the fence's lock: their leaves are listed afterwards.
    #[test]
    fn leaves_that_could_not_be_listed_are_later() {
        let map: FenceMap<u64, Wide> = (0..100).map(entry).collect();
        let fence: &Fence = map.tree().root.table().unwrap().fence(0).unwrap();
        let lock = fence.lock();
        let before = fence.count();
        (100..200).for_each(|n| insert(&map, n));
        assert_eq!(fence.count(), before, "listed under a lock");
        drop(lock);
        insert(&map, 200);
        assert!(fence.count() > before);
        let listed: usize = map.fences().iter().map(|fence| fence.entries).sum();
        assert_eq!(listed, map.len(), "leaves are still not listed");
        hints_are_right(&map);
    }

    /// Estimates within two neighbouring leaves are exact, also if the right one is not listed.
    #[test]
    fn ranges_over_a_leaf_that_is_not_listed_are_counted() {
        let full = LeafLayout::<u64, u64>::ENTRIES as u64;
        let end = full + full / 2;
        let map: FenceMap<u64, u64> = [(0, 0)].into();
        let fence: &Fence = map.tree().root.table().unwrap().fence(0).unwrap();
        let lock = fence.lock();
        (1..end).for_each(|n| assert_eq!(map.insert(n << 32, n), None));
        assert_eq!(fence.count(), 1, "listed under a lock");
        assert!(map.tree().head() != map.tree().tail(), "all entries are in one leaf");
        let (left, right) = ((full - 5) << 32, (full + 5) << 32);
        assert_eq!(map.approximate_range_len(left..right), 10, "over both leaves");
        assert_eq!(map.approximate_range_len(..right) as u64, full + 5, "from the first key");
        let behind = map.approximate_range_len(full << 32..) as u64;
        assert_eq!(behind, end - full, "the leaf that is not listed");
        assert_eq!(map.approximate_range_len(right..left), 0, "a range that ends first");
        drop(lock);
    }

    #[test]
    fn hints_are_right_after_moves_to_either_side() {
        let map: FenceMap<u64, Wide> = (0..8_000).map(entry).collect();
        map.rebalance_step(usize::MAX);
        for start in [0, 1_700, 7_500, 4_000, 2_500, 6_000] {
            for _ in 0..6 {
                for n in 0..3_000 {
                    insert(&map, start + n % 300);
                }
                map.rebalance_step(usize::MAX);
                hints_are_right(&map);
            }
        }
        let stats = map.stats();
        assert!(stats.moved_leaves > 0 && stats.splits > 0, "{stats:?}");
    }

    #[test]
    fn ends_and_cuts_are_chosen_by_load() {
        let fence = Fence::new();
        let editor = fence.lock();
        for (at, writes) in [1, 1, 5, 40, 40, 9].into_iter().enumerate() {
            editor.push(at, ptr::null_mut());
            editor.set_leaf_load(at, LeafLoad::NEW.after(1, writes));
        }
        assert_eq!((editor.update_load(), fence.counters.load()), (96, 96));
        assert_eq!(leaves_to_move(&editor, 30, 64, true), (3, 7));
        assert_eq!(leaves_to_move(&editor, 30, 2, true), (2, 2));
        assert_eq!(leaves_to_move(&editor, 30, 64, false), (1, 9));
        assert_eq!(leaves_to_move(&editor, usize::MAX, 64, false), (5, 95), "not all");
        assert_eq!(half_of_load(&editor, 96), Some(4));
        fence.count_conflict(5);
        assert_eq!((editor.leaf_load(5).recent_writes(), fence.counters.conflicts()), (17, 1));
        // All load is in one leaf, so no cut helps.
        (0..6).for_each(|at| {
            editor.set_leaf_load(at, LeafLoad::NEW.after(1, usize::from(at == 3) * 90));
        });
        assert_eq!(half_of_load(&editor, 90), None);
    }
}
