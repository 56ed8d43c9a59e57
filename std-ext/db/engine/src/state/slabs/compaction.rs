//! When to move records out of slabs that are used little.

use super::pool::SLABS;
use crate::lock::lock;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// It begins when a quarter of the slabs' memory, and this much, is free, and ends when a quarter and half of this is.
const MUCH: usize = 8 << 20;
/// It also ends if one slab in a hundred has not become free within this time: threads' caches, other databases of the
/// process, or records that wait for the log keep the rest.
const LOOK: Duration = Duration::from_secs(5);
/// Then it waits for this time, or until as much more is free as makes it begin.
const REST: Duration = Duration::from_secs(60);

/// Whether records of any database of the process are being moved.
static IS_COMPACTING: AtomicBool = AtomicBool::new(false);

/// Returns whether records were being moved when a maintenance thread looked last.
pub fn is_compacting() -> bool {
    // Relaxed: a statistic.
    IS_COMPACTING.load(Ordering::Relaxed)
}

/// The progress of one database.
#[derive(Default)]
pub(crate) struct SlabCompaction(Mutex<CompactionProgress>);

#[derive(Default)]
struct CompactionProgress {
    is_on: bool,
    /// When progress is looked at, and the bytes of all slabs at the last look.
    look: Option<(Instant, usize)>,
    /// Until when it rests, and how much was free when it began to.
    rest: Option<(Instant, usize)>,
}

impl SlabCompaction {
    /// Returns whether to move records now.
    pub(crate) fn is_due(&self, may: bool) -> bool {
        let is_on = may && lock(&self.0).is_due(SLABS.sizes(), Instant::now());
        // Relaxed: a statistic. Stored only if it changes, because all threads may read it.
        if is_compacting() != is_on {
            // Relaxed: as above.
            IS_COMPACTING.store(is_on, Ordering::Relaxed);
        }
        is_on
    }
}

impl CompactionProgress {
    fn is_due(&mut self, (serving, free): (usize, usize), now: Instant) -> bool {
        // Two thresholds, so that it does not begin and end again around one.
        let margin = if self.is_on { MUCH / 2 } else { MUCH };
        self.is_on = free > serving / 4 + margin && !self.rests(free, now);
        if !self.is_on {
            self.look = None;
            return false;
        }
        match self.look {
            Some((at, before)) if at <= now => {
                if serving > before - before / 100 {
                    self.rest = Some((now + REST, free));
                    (self.is_on, self.look) = (false, None);
                } else {
                    self.look = Some((now + LOOK, serving));
                }
            }
            Some(_) => {}
            None => self.look = Some((now + LOOK, serving)),
        }
        self.is_on
    }

    fn rests(&mut self, free: usize, now: Instant) -> bool {
        self.rest = self.rest.filter(|(until, was)| now < *until && free < was + MUCH);
        self.rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn it_begins_and_ends_by_the_memory_that_is_free() {
        let (mut progress, now) = (CompactionProgress::default(), Instant::now());
        let mut due = |serving, free| progress.is_due((serving * MIB, free * MIB), now);
        assert!(!due(100, 33), "it begins early");
        assert!(due(100, 34), "it does not begin");
        assert!(due(90, 27), "it ends early");
        assert!(!due(80, 24), "it does not end");
        assert!(!due(80, 27), "it begins again early");
    }

    #[test]
    fn it_rests_if_nothing_becomes_free() {
        let (mut progress, mut now) = (CompactionProgress::default(), Instant::now());
        assert!(progress.is_due((100 * MIB, 40 * MIB), now));
        now += LOOK;
        assert!(progress.is_due((98 * MIB, 38 * MIB), now), "it rests in spite of its progress");
        now += LOOK;
        assert!(!progress.is_due((98 * MIB, 38 * MIB), now), "it never ends");
        now += LOOK;
        assert!(!progress.is_due((98 * MIB, 38 * MIB), now), "it does not rest");
        assert!(progress.is_due((105 * MIB, 46 * MIB), now), "it rests although more is free");
        now += LOOK;
        assert!(!progress.is_due((105 * MIB, 46 * MIB), now));
        now += REST;
        assert!(progress.is_due((105 * MIB, 46 * MIB), now), "it never begins again");
    }
}
