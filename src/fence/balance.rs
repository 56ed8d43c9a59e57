//! Balance: fences that are loaded more than others give leaves to a neighbour, or are split; cold ones are joined.
//!
//! All that moves is where leaves are listed. No entry moves, no leaf is locked, and no user code runs, not even
//! `Ord`: ranks stand in the directories. A search that goes on meanwhile is led to a neighbour at worst.
//!
//! # Synchronization
//! - Fences are locked in the order of keys and before the route, as for splits and joins, and only where
//!   they are free `[FN-3]` `[RT-3]`: who balances never waits.
//! - A leaf is listed in the fence that gets it before the route leads there, and is not listed any more in the
//!   other only after that. So whatever a search meets of it, it is led to the leaf, or to one further left from
//!   which it walks.

use super::directory::{FANOUT, Fence};
use super::grow::give_to_fresh;
use super::route::Table;
use super::rule::Rule;
use super::tree::Tree;
use crate::facade::atomic::{AtomicUsize, Ordering};
use crate::facade::lock::Lock;
use core::ptr;

/// A load that is not worth moving, and by how much more than twice as loaded a fence has to be before it is: what
/// has just been evened out is not moved back.
const LEAST: usize = if cfg!(hedgerow_loom) { 0 } else { 256 };
/// The most leaves that are handed over at a time.
const MOST: usize = FANOUT / 4;
/// Leaves up to which a fence is given more, so that it need not be split right away.
const FULL: usize = FANOUT - FANOUT / 8;

pub(crate) struct Balance {
    round: Lock<Round>,
    moved: AtomicUsize,
    splits: AtomicUsize,
    joins: AtomicUsize,
}

/// A round through all fences.
struct Round {
    /// Where it goes on.
    at: usize,
    /// What it has met so far.
    met: Sum,
    /// What the last one met, once there was one.
    last: Option<Sum>,
}

#[derive(Clone, Copy, Default)]
struct Sum {
    load: usize,
    fences: usize,
}

impl Sum {
    /// The mean load of the fences beside one that has `load`; None if there are none.
    fn mean_beside(self, load: usize) -> Option<usize> {
        self.load.saturating_sub(load).checked_div(self.fences.saturating_sub(1))
    }
}

impl Round {
    fn next(&mut self, count: usize) -> usize {
        if self.at >= count {
            self.last = Some(self.met);
            (self.at, self.met) = (0, Sum { load: 0, fences: 0 });
        }
        self.at += 1;
        self.at - 1
    }
}

/// What was done about a fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Nothing,
    Gave,
    Split,
    JoinedLeft,
    JoinedRight,
}

impl Balance {
    crate::facade::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self {
                round: Lock::new(Round { at: 0, met: Sum { load: 0, fences: 0 }, last: None }),
                moved: AtomicUsize::new(0),
                splits: AtomicUsize::new(0),
                joins: AtomicUsize::new(0),
            }
        }
    }

    pub(super) fn moved(&self) -> usize {
        // relaxed: a figure.
        self.moved.load(Ordering::Relaxed)
    }

    pub(super) fn splits(&self) -> usize {
        // relaxed: a figure.
        self.splits.load(Ordering::Relaxed)
    }

    pub(super) fn joins(&self) -> usize {
        // relaxed: a figure.
        self.joins.load(Ordering::Relaxed)
    }
}

impl<K: Copy + Ord, V: Copy, R: Rule<K>> Tree<K, V, R> {
    /// Counts a failed attempt to lock the leaf of a key of this rank.
    #[cold]
    #[inline(never)]
    pub(super) fn note_conflict(&self, rank: usize) {
        let Some(table) = self.route.table() else { return };
        if let Some(fence) = table.fence(table.pick(rank)) {
            fence.note_conflict(rank);
        }
    }

    /// Looks at up to `budget` fences, each once at most, and does about each what is due; whether it did anything.
    pub(super) fn rebalance(&self, budget: usize) -> bool {
        let Some(mut round) = self.balance.round.try_lock() else { return false };
        let Some(table) = self.route.table() else { return false };
        let mut changed = false;
        for _ in 0..budget.min(table.count()) {
            // Splits may have made another one.
            let Some(table) = self.route.table() else { break };
            let at = round.next(table.count());
            let Some(fence) = table.fence(at) else { continue };
            let Some(load) = self.measure(fence) else { continue };
            round.met.load = round.met.load.saturating_add(load);
            round.met.fences += 1;
            let Some(last) = round.last else { continue };
            let done = self.relieve(table, at, load, last);
            match done {
                // What was split off has been counted.
                Done::Split => round.at += 1,
                Done::JoinedLeft => round.at -= 1,
                _ => {}
            }
            changed |= done != Done::Nothing;
        }
        changed
    }

    /// Looks at the versions of the fence's leaves; None if somebody changes the fence just now.
    pub(super) fn measure(&self, fence: &Fence) -> Option<usize> {
        let editor = fence.try_lock()?;
        for at in 0..fence.count() {
            let Some(leaf) = self.listed(fence, at) else { continue };
            let look = leaf.begin();
            editor.set_trace(at, editor.trace(at).after(look.version(), look.meta.count()));
        }
        Some(editor.sum_up())
    }

    fn relieve(&self, table: &Table, at: usize, load: usize, last: Sum) -> Done {
        let Some(fence) = table.fence(at) else { return Done::Nothing };
        let Some(mean) = last.mean_beside(load) else { return Done::Nothing };
        let left = at.checked_sub(1).and_then(|at| table.fence(at));
        let right = if at + 1 < table.count() { table.fence(at + 1) } else { None };
        let is_loaded = |than: usize| load > than.saturating_mul(2).saturating_add(LEAST);
        let lesser = [left, right].into_iter().flatten().min_by_key(|fence| fence.tally.load());
        if let Some(lesser) = lesser
            && load > mean
            && is_loaded(lesser.tally.load())
        {
            let is_left = left.is_some_and(|left| ptr::eq(left, lesser));
            if self.give(fence, lesser, is_left).is_some() {
                return Done::Gave;
            }
        }
        if is_loaded(mean) && self.split_by_load(fence, load).is_some() {
            return Done::Split;
        }
        let is_cold = |other: &Fence| load.saturating_add(other.tally.load()) < mean / 2;
        let joined = if left
            .is_some_and(|left| is_cold(left) && self.join_fences(left, fence, false))
        {
            Done::JoinedLeft
        } else if right.is_some_and(|right| is_cold(right) && self.join_fences(fence, right, false))
        {
            Done::JoinedRight
        } else {
            return Done::Nothing;
        };
        // relaxed: a figure.
        self.balance.joins.fetch_add(1, Ordering::Relaxed);
        joined
    }

    /// Hands leaves at one end of a fence to the neighbour there, until both are about as loaded. None where that
    /// would change little, or somebody is in the way.
    pub(super) fn give(&self, giver: &Fence, receiver: &Fence, is_left: bool) -> Option<()> {
        let (first, second) = if is_left { (receiver, giver) } else { (giver, receiver) };
        let first_editor = first.try_lock()?;
        let second_editor = second.try_lock()?;
        let route = self.route.edit(false)?;
        let at = route.position(second)?;
        let before = at.checked_sub(1).and_then(|at| route.fence(at))?;
        if !ptr::eq(before, first) {
            return None;
        }
        let (from, to) =
            if is_left { (&second_editor, &first_editor) } else { (&first_editor, &second_editor) };
        let load = giver.tally.load();
        let surplus = load.saturating_sub(receiver.tally.load()) / 2;
        let room = FULL.saturating_sub(receiver.count());
        let (some, given) = from.leaves_for(surplus, MOST.min(room), is_left);
        // Cold leaves alone are not worth it: what is hot lies further in.
        if some == 0 || given < load / 8 {
            return None;
        }
        let lead = |low| route.set_low(at, low);
        if is_left {
            from.give_left(some, to, lead);
        } else {
            from.give_right(some, to, lead);
        }
        from.sum_up();
        to.sum_up();
        for fence in [giver, receiver] {
            fence.tally.add_moved(some);
        }
        // relaxed: a figure.
        self.balance.moved.fetch_add(some, Ordering::Relaxed);
        Some(())
    }

    /// Splits a fence where about half of its load is on either side.
    pub(super) fn split_by_load(&self, fence: &Fence, load: usize) -> Option<()> {
        if !matches!(self.route.provide(false), Ok(true)) {
            return None;
        }
        let editor = fence.try_lock()?;
        let mut route = self.route.edit(false)?;
        route.position(fence)?;
        let cut = editor.middle_of(load)?;
        if !give_to_fresh(&editor, &mut route, cut) {
            return None;
        }
        // relaxed: a figure.
        self.balance.splits.fetch_add(1, Ordering::Relaxed);
        Some(())
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use crate::FenceMap;
    use crate::fence::directory::Fence;
    use alloc::vec::Vec;

    type Wide = [u64; 64];

    /// Keys that ranks of 32 bits tell apart, too.
    fn entry(n: u64) -> (u64, Wide) {
        (n << 32, [n; 64])
    }

    fn insert(map: &FenceMap<u64, Wide>, n: u64) {
        let (key, value) = entry(n);
        map.insert(key, value);
    }

    /// At rest the route leads from each leaf's rank to its fence, and the fence to the leaf.
    fn hints_are_right(map: &FenceMap<u64, Wide>) {
        let table = map.tree().route.table().unwrap();
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

    /// Keys that come in order while somebody has the fence's lock: the leaves that they fill are listed afterwards.
    #[test]
    fn leaves_that_could_not_be_listed_are_later() {
        let map: FenceMap<u64, Wide> = (0..100).map(entry).collect();
        let fence: &Fence = map.tree().route.table().unwrap().fence(0).unwrap();
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
}
