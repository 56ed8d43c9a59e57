//! What is known of the load of leaves and of fences.
//!
//! A write leaves a trace that costs it nothing: its leaf's version is one on. Who balances the map looks at the
//! versions now and then, and what they have grown by is what was written. Only a writer who fails to lock a leaf
//! counts by itself, since it has to wait anyway. Reads leave no trace, so nothing here knows of them.
//!
//! # Synchronization
//! None: all is relaxed, since figures order nothing. Who changes more than one of them, or moves them with their
//! leaves, has the fence's lock `[FN-3]`; a conflict that is counted at the same moment may be lost, or be counted
//! for a neighbour.

use super::directory::{Editor, Fence};
use crate::facade::atomic::{AtomicUsize, Ordering};

/// How many writes a failed attempt to lock a leaf counts for: so much is lost by it.
const CONFLICT: usize = 8;

/// What is known of a leaf: its heat, and above which version it was not counted yet. Half a word each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Trace(pub(super) usize);

impl Trace {
    const HALF: u32 = usize::BITS / 2;
    const LOW: usize = usize::MAX >> Self::HALF;
    /// Of a leaf that has not been looked at since it was listed.
    pub(crate) const NEW: Self = Self(0);

    /// Recent writes: those before the last look count half, those before the look before that a quarter.
    pub(crate) fn heat(self) -> usize {
        self.0 >> Self::HALF
    }

    /// The trace after a look that found the leaf at `version`, with `count` entries.
    pub(crate) fn after(self, version: usize, count: usize) -> Self {
        let last = self.0 & Self::LOW;
        // Whatever is in a new leaf was written, here or where it came from.
        let more = if last == 0 { count } else { version.wrapping_sub(last) & Self::LOW };
        let heat = (self.heat() / 2).saturating_add(more).min(Self::LOW);
        Self(heat << Self::HALF | version & Self::LOW)
    }
}

/// What is known of a fence.
pub(crate) struct Tally {
    /// The heat of its leaves when they were looked at last.
    load: AtomicUsize,
    conflicts: AtomicUsize,
    moved: AtomicUsize,
    #[cfg(feature = "std-ext")]
    pub(super) strife: super::calm::Strife,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            load: AtomicUsize::new(0),
            conflicts: AtomicUsize::new(0),
            moved: AtomicUsize::new(0),
            #[cfg(feature = "std-ext")]
            strife: super::calm::Strife::new(),
        }
    }

    pub(crate) fn load(&self) -> usize {
        // relaxed: a figure.
        self.load.load(Ordering::Relaxed)
    }

    pub(crate) fn conflicts(&self) -> usize {
        // relaxed: a figure.
        self.conflicts.load(Ordering::Relaxed)
    }

    pub(crate) fn moved(&self) -> usize {
        // relaxed: a figure.
        self.moved.load(Ordering::Relaxed)
    }

    pub(super) fn add_moved(&self, leaves: usize) {
        // relaxed: a figure.
        self.moved.fetch_add(leaves, Ordering::Relaxed);
    }
}

impl Fence {
    /// Counts a failed attempt to lock the leaf of a key of this rank.
    pub(crate) fn note_conflict(&self, rank: usize) {
        // relaxed: figures. The carry out of the heat is lost.
        self.trace(self.pick(rank)).fetch_add(CONFLICT << Trace::HALF, Ordering::Relaxed);
        // relaxed: as above.
        self.tally.conflicts.fetch_add(1, Ordering::Relaxed);
    }
}

impl Editor<'_> {
    pub(crate) fn trace(&self, at: usize) -> Trace {
        // relaxed: under the lock, but for conflicts.
        Trace(self.fence.trace(at).load(Ordering::Relaxed))
    }

    pub(crate) fn set_trace(&self, at: usize, trace: Trace) {
        // relaxed: under the lock, but for conflicts.
        self.fence.trace(at).store(trace.0, Ordering::Relaxed);
    }

    /// Makes the fence's load that of the leaves that it has now.
    pub(crate) fn sum_up(&self) -> usize {
        let heats = (0..self.fence.count()).map(|at| self.trace(at).heat());
        let load = heats.fold(0, usize::saturating_add);
        // relaxed: a figure.
        self.fence.tally.load.store(load, Ordering::Relaxed);
        load
    }

    /// Knows nothing any more of what the fence was before.
    pub(crate) fn forget_tally(&self) {
        let tally = &self.fence.tally;
        for figure in [&tally.load, &tally.conflicts, &tally.moved] {
            // relaxed: figures.
            figure.store(0, Ordering::Relaxed);
        }
        #[cfg(feature = "std-ext")]
        tally.strife.forget();
    }

    /// How many leaves at one end to give away, the left end or the right one, so that about `load` goes with them:
    /// no more than that, not all leaves, and at most `most`.
    pub(crate) fn leaves_for(&self, load: usize, most: usize, from_left: bool) -> (usize, usize) {
        let count = self.fence.count();
        let (mut some, mut given) = (0, 0);
        while some < most.min(count - 1) {
            let at = if from_left { some } else { count - 1 - some };
            let with = self.trace(at).heat().saturating_add(given);
            if with > load {
                break;
            }
            (some, given) = (some + 1, with);
        }
        (some, given)
    }

    /// Where to cut so that about half of `load` lies on either side; None where no cut leaves each side an eighth.
    pub(crate) fn middle_of(&self, load: usize) -> Option<usize> {
        let mut left = 0usize;
        let mut best = None;
        for cut in 1..self.fence.count() {
            left = left.saturating_add(self.trace(cut - 1).heat());
            let lesser = left.min(load.saturating_sub(left));
            if best.is_none_or(|(most, _)| lesser > most) {
                best = Some((lesser, cut));
            }
        }
        best.filter(|&(lesser, _)| lesser >= load / 8).map(|(_, cut)| cut)
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;
    use core::ptr;

    #[test]
    fn heat_is_what_was_written_lately() {
        let new = Trace::NEW.after(40, 7);
        assert_eq!(new.heat(), 7, "what is in it was written");
        let later = new.after(140, 9);
        assert_eq!(later.heat(), 103);
        assert_eq!((0..9).fold(later, |trace, _| trace.after(140, 9)).heat(), 0, "it cools down");
        let wrapped = Trace::NEW.after(Trace::LOW - 1, 0).after(Trace::LOW + 4, 0);
        assert_eq!(wrapped.heat(), 5, "versions come round");
        let most = Trace::NEW.after(2, 0).after(1, 0).after(1, 0);
        assert!(most.heat() <= Trace::LOW, "heat does not");
    }

    #[test]
    fn ends_and_cuts_are_chosen_by_heat() {
        let fence = Fence::new();
        let editor = fence.lock();
        for (at, heat) in [1, 1, 5, 40, 40, 9].into_iter().enumerate() {
            editor.push(at, ptr::null_mut());
            editor.set_trace(at, Trace::NEW.after(1, heat));
        }
        assert_eq!((editor.sum_up(), fence.tally.load()), (96, 96));
        assert_eq!(editor.leaves_for(30, 64, true), (3, 7));
        assert_eq!(editor.leaves_for(30, 2, true), (2, 2));
        assert_eq!(editor.leaves_for(30, 64, false), (1, 9));
        assert_eq!(editor.leaves_for(usize::MAX, 64, false), (5, 95), "not all");
        assert_eq!(editor.middle_of(96), Some(4));
        fence.note_conflict(5);
        assert_eq!((editor.trace(5).heat(), fence.tally.conflicts()), (17, 1));
        // All is in one leaf: no cut helps.
        (0..6).for_each(|at| editor.set_trace(at, Trace::NEW.after(1, usize::from(at == 3) * 90)));
        assert_eq!(editor.middle_of(90), None);
    }
}
