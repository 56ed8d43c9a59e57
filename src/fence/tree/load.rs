//! Load counters: how many writes each leaf had lately, how often writers collided in each fence, and how far the
//! tree's rebalancing has come.
//!
//! Counting writes costs writers nothing: each write increments its leaf's version anyway. The rebalancer reads the
//! versions from time to time, and the difference is the number of writes. A writer counts by itself only if it fails
//! to lock a leaf, because it has to wait then in any case. Reads leave no trace and are not counted.
//!
//! # Synchronization
//! None: all accesses are relaxed, because no other access is ordered by a counter. A thread that changes several
//! counters, or moves them with their leaves, holds the fence's lock `[FN-3]`. A conflict that is counted at the same
//! time may be lost, or be counted for a neighbouring leaf.

use crate::facade::atomic::AtomicUsize;
use crate::facade::lock::Lock;
#[cfg(feature = "std-ext")]
use crate::sync::hint::Hint;
use crate::sync::hint::Statistic;

/// How many writes a failed attempt to lock a leaf counts for: about as much time is lost by it.
pub(super) const CONFLICT: usize = 8;

/// A leaf's load, half a word each: recent writes, and the leaf's version when they were counted last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LeafLoad(pub(super) usize);

impl LeafLoad {
    pub(super) const HALF: u32 = usize::BITS / 2;
    const LOW: usize = usize::MAX >> Self::HALF;
    /// The load of a leaf whose version was not read since the leaf was listed.
    pub(crate) const NEW: Self = Self(0);

    /// Returns the number of recent writes. Each call of [`after`](Self::after) halves the weight of earlier ones.
    pub(crate) fn recent_writes(self) -> usize {
        self.0 >> Self::HALF
    }

    /// Returns the load of a leaf that is at `version` now and has `count` entries.
    pub(crate) fn after(self, version: usize, count: usize) -> Self {
        let last = self.0 & Self::LOW;
        // All entries of a new leaf were written, there or in the leaf that it was split from.
        let more = if last == 0 { count } else { version.wrapping_sub(last) & Self::LOW };
        let writes = (self.recent_writes() / 2).saturating_add(more).min(Self::LOW);
        Self(writes << Self::HALF | version & Self::LOW)
    }
}

/// Counters of one fence.
pub(crate) struct FenceCounters {
    /// The recent writes of its leaves when they were counted last.
    load: Statistic<AtomicUsize>,
    conflicts: Statistic<AtomicUsize>,
    moved: Statistic<AtomicUsize>,
    #[cfg(feature = "std-ext")]
    pub(crate) contention: Contention,
}

impl FenceCounters {
    pub(crate) fn new() -> Self {
        Self {
            load: Statistic::<AtomicUsize>::new(0),
            conflicts: Statistic::<AtomicUsize>::new(0),
            moved: Statistic::<AtomicUsize>::new(0),
            #[cfg(feature = "std-ext")]
            contention: Contention::new(),
        }
    }

    pub(crate) fn load(&self) -> usize {
        self.load.load()
    }

    pub(super) fn set_load(&self, load: usize) {
        self.load.store(load);
    }

    pub(crate) fn conflicts(&self) -> usize {
        self.conflicts.load()
    }

    pub(super) fn add_conflict(&self) {
        self.conflicts.add(1);
    }

    pub(crate) fn moved(&self) -> usize {
        self.moved.load()
    }

    pub(crate) fn add_moved(&self, leaves: usize) {
        self.moved.add(leaves);
    }

    /// Sets all counters to 0, for a fence that is used again for other keys.
    pub(super) fn reset(&self) {
        for figure in [&self.load, &self.conflicts, &self.moved] {
            figure.store(0);
        }
        #[cfg(feature = "std-ext")]
        self.contention.reset();
    }
}

/// Contention statistics of a fence: whether its writers collided often lately.
#[cfg(feature = "std-ext")]
pub(crate) struct Contention {
    /// The fence's conflicts at the last update.
    counted: Hint<AtomicUsize>,
    /// Updates until the fence stops being hot.
    hot_rounds: Hint<AtomicUsize>,
}

#[cfg(feature = "std-ext")]
impl Contention {
    fn new() -> Self {
        Self { counted: Hint::<AtomicUsize>::new(0), hot_rounds: Hint::<AtomicUsize>::new(0) }
    }

    fn reset(&self) {
        self.counted.store(0);
        self.hot_rounds.store(0);
    }

    pub(crate) fn is_hot(&self) -> bool {
        self.hot_rounds.load() > 0
    }

    /// Returns whether the fence is hot, given its `conflicts` so far. A fence becomes hot with `threshold` conflicts
    /// since the last call, and stays so for `rounds` calls.
    pub(crate) fn update(&self, conflicts: usize, threshold: usize, rounds: usize) -> bool {
        // One thread at a time updates, and others only read.
        let new = conflicts.saturating_sub(self.counted.swap(conflicts));
        let left = self.hot_rounds.load().saturating_sub(1);
        let left = if new >= threshold { rounds } else { left };
        self.hot_rounds.store(left);
        left > 0
    }
}

/// A tree's record of its rebalancing.
pub(crate) struct BalanceState {
    /// Locked by the thread that rebalances: of two, one returns at once.
    pub(crate) round: Lock<LoadRound>,
    /// Leaves that were moved to a neighbouring fence.
    pub(crate) moved: Statistic<AtomicUsize>,
    /// Fences that were split because of their load.
    pub(crate) splits: Statistic<AtomicUsize>,
    /// Fences that were merged because they had little load.
    pub(crate) merges: Statistic<AtomicUsize>,
}

impl BalanceState {
    crate::facade::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self {
                round: Lock::new(LoadRound { at: 0, so_far: LoadSum::NONE, previous: None }),
                moved: Statistic::<AtomicUsize>::new(0),
                splits: Statistic::<AtomicUsize>::new(0),
                merges: Statistic::<AtomicUsize>::new(0),
            }
        }
    }
}

/// The position in a round through all fences.
pub(crate) struct LoadRound {
    /// The next fence.
    pub(crate) at: usize,
    /// The loads that this round has read.
    pub(crate) so_far: LoadSum,
    /// The loads that the previous round read. None in the first round.
    pub(crate) previous: Option<LoadSum>,
}

impl LoadRound {
    /// Returns the next of `count` fences. Begins a new round after the last one.
    pub(crate) fn next(&mut self, count: usize) -> usize {
        if self.at >= count {
            self.previous = Some(self.so_far);
            (self.at, self.so_far) = (0, LoadSum::NONE);
        }
        self.at += 1;
        self.at - 1
    }
}

/// The sum of the loads of some fences.
#[derive(Clone, Copy)]
pub(crate) struct LoadSum {
    load: usize,
    fences: usize,
}

impl LoadSum {
    const NONE: Self = Self { load: 0, fences: 0 };

    pub(crate) fn add(&mut self, load: usize) {
        self.load = self.load.saturating_add(load);
        self.fences += 1;
    }

    /// Returns the mean load of the fences without one that has `load`. None if there are no others.
    pub(crate) fn mean_beside(self, load: usize) -> Option<usize> {
        self.load.saturating_sub(load).checked_div(self.fences.saturating_sub(1))
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;

    #[test]
    fn load_is_the_number_of_recent_writes() {
        let new = LeafLoad::NEW.after(40, 7);
        assert_eq!(new.recent_writes(), 7, "the entries of a new leaf were written");
        let later = new.after(140, 9);
        assert_eq!(later.recent_writes(), 103);
        let idle = (0..9).fold(later, |load, _| load.after(140, 9));
        assert_eq!(idle.recent_writes(), 0, "the load fades");
        let wrapped = LeafLoad::NEW.after(LeafLoad::LOW - 1, 0).after(LeafLoad::LOW + 4, 0);
        assert_eq!(wrapped.recent_writes(), 5, "versions wrap around");
        let most = LeafLoad::NEW.after(2, 0).after(1, 0).after(1, 0);
        assert!(most.recent_writes() <= LeafLoad::LOW, "the load does not");
    }

    #[cfg(feature = "std-ext")]
    #[test]
    fn a_fence_is_hot_for_some_rounds() {
        let contention = Contention::new();
        assert!(!contention.update(9, 10, 2) && !contention.is_hot());
        assert!(contention.update(19, 10, 2) && contention.is_hot());
        assert!(contention.update(20, 10, 2));
        assert!(!contention.update(20, 10, 2) && !contention.is_hot());
        assert!(contention.update(30, 10, 2));
        contention.reset();
        assert!(!contention.is_hot());
    }
}
