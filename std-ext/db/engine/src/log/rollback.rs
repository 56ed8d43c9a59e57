//! The numbers of entries that were rolled back.

use crate::log::api::Lsn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The numbers of all entries that were rolled back, as ranges.
#[derive(Default)]
pub(super) struct RolledBackRanges {
    /// The highest of them; 0 if there is none.
    last: AtomicU64,
    /// First and last number of each range, ascending. Each time that the disk was full adds one.
    ranges: Mutex<Vec<(Lsn, Lsn)>>,
}

impl RolledBackRanges {
    /// Adds the entries from `first` to `last`, before `committed` passes them. Does nothing if `last` is less than
    /// `first`.
    pub(super) fn add(&self, first: Lsn, last: Lsn) {
        if first <= last {
            self.ranges.lock().unwrap_or_else(PoisonError::into_inner).push((first, last));
            // Relaxed: `committed` passes these numbers later, with a release store, and callers of `contains` have
            // loaded `committed` with acquire.
            self.last.store(last, Ordering::Relaxed);
        }
    }

    /// Whether an entry was rolled back. False for numbers that were not assigned yet.
    #[inline]
    pub(super) fn contains(&self, lsn: Lsn) -> bool {
        // Relaxed: for the reason given in `add`.
        lsn <= self.last.load(Ordering::Relaxed) && self.finds_range(lsn)
    }

    #[cold]
    fn finds_range(&self, lsn: Lsn) -> bool {
        let ranges = self.ranges.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = ranges.partition_point(|(_, last)| *last < lsn);
        ranges.get(behind).is_some_and(|(first, _)| *first <= lsn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found() {
        let all = RolledBackRanges::default();
        assert!(!all.contains(0) && !all.contains(1));
        for (first, last) in [(3, 5), (7, 6), (9, 9)] {
            all.add(first, last);
        }
        let found: Vec<Lsn> = (0..20).filter(|lsn| all.contains(*lsn)).collect();
        assert_eq!(found, [3, 4, 5, 9]);
    }
}
