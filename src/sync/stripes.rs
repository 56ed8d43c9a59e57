//! A counter that threads share without sharing a cache line.
//!
//! A small map counts in one word. A large one spreads the count over stripes. With feature `std`, the first threads
//! have a stripe of their own each, to which they add without a locked instruction. The others share stripes: the
//! address of a thread's stack chooses one, which tells threads apart without an operating system.
//!
//! A common sum tells writers when the map has to grow. It follows the stripes in steps of [`STEP`], so most updates
//! change a stripe alone. A stripe of one thread is reported when its count has changed by a step since the last
//! report. Reports at fixed multiples would cost more: a thread that inserts and removes by turns crosses a multiple
//! again and again. With sixteen threads that do so, in a map of 64 k entries, they took a quarter of the time (Xeon,
//! 16 cores).
//!
//! # Synchronization
//! The stripes are [`Published`]: a thread that sees them sees them zeroed. The counts are [`Statistic`]s: a total is
//! one of the recent past while other threads write, and exact once they have been joined. A stripe of one thread goes
//! with the thread's [number](super::thread_number), from which a later thread may get it.

use crate::facade::atomic::AtomicIsize;
use crate::sync::cache::{Gap, LINE_BYTES};
use crate::sync::hint::{Private, Statistic};
use crate::sync::published::PublishedArray;
use crate::sync::thread_number::{self, NUMBERS};

/// How far a stripe's count changes before it is moved to the common sum.
pub(crate) const STEP: isize = 16;
/// Stripes that threads share. Each takes two lines, because processors fetch lines in pairs.
const SHARED: usize = if HAS_OWNED { 8 } else { 16 };
/// The lines of all stripes: behind the shared ones, one for each number of a thread.
const LINES: usize = 2 * SHARED + if HAS_OWNED { NUMBERS } else { 0 };
/// The bytes of all stripes.
pub(crate) const STRIPED_BYTES: usize = size_of::<Stripes>();
/// Whether threads have stripes of their own. A model passes the number of a thread to the counter.
const HAS_OWNED: bool = cfg!(any(feature = "std", hedgerow_loom));

#[repr(align(64))]
struct CounterLine {
    /// The number of additions to the stripe, less the removals.
    count: Statistic<AtomicIsize>,
    /// The count at the last report, if the stripe is of one thread.
    reported: Private<AtomicIsize>,
}

// The atomics of a model take more.
const _: () = assert!(size_of::<CounterLine>() == LINE_BYTES || cfg!(hedgerow_loom));

impl CounterLine {
    fn new() -> Self {
        Self { count: Statistic::<AtomicIsize>::new(0), reported: Private::<AtomicIsize>::new(0) }
    }

    /// Adds `by` for the thread whose stripe this is. Returns what the common sum lacks, if it is time to report it.
    #[inline(always)]
    fn add_alone(&self, by: isize) -> Option<isize> {
        let count = self.count.add_alone(by) + by;
        let change = count - self.reported.load();
        // Whether `change` is between `-STEP` and `STEP`, by one comparison.
        if (change + (STEP - 1)).cast_unsigned() < (2 * STEP - 1).unsigned_abs() {
            return None;
        }
        self.reported.store(count);
        Some(change)
    }

    /// Adds `by` to a stripe that threads share. Returns the change to report, if the count has crossed a multiple of
    /// `STEP`: that much is known without a second word that the threads would have to agree on.
    #[inline(always)]
    fn add_shared(&self, by: isize) -> Option<isize> {
        let before = self.count.add(by);
        let steps = (before + by).div_euclid(STEP) - before.div_euclid(STEP);
        (steps != 0).then_some(steps * STEP)
    }
}

type Stripes = [CounterLine; LINES];

/// A striped counter. The address of the stripes is first, before a gap, because every update reads it.
#[repr(C)]
pub(crate) struct ShardedCounter {
    stripes: PublishedArray<CounterLine, LINES>,
    _apart: Gap,
    /// Updates from before the stripes existed, and all updates of a small map.
    base: Statistic<AtomicIsize>,
    /// The sum of all reports of the stripes.
    sum: Statistic<AtomicIsize>,
}

impl ShardedCounter {
    crate::facade::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self {
                base: Statistic::<AtomicIsize>::new(0),
                sum: Statistic::<AtomicIsize>::new(0),
                _apart: Gap::NEW,
                stripes: PublishedArray::new(),
            }
        }
    }

    #[inline]
    fn stripes(&self) -> Option<&Stripes> {
        self.stripes.get()
    }

    /// Spreads the count over stripes from now on. Keeps one word if there is no memory for them.
    pub(crate) fn spread(&self) {
        self.stripes.make(CounterLine::new);
    }

    /// Spreads the count if it is greater than `few`.
    pub(crate) fn spread_beyond(&self, few: isize) {
        if self.stripes().is_none() && self.base.load() > few {
            self.spread();
        }
    }

    /// Adds `by`, mostly 1 or -1. Returns the total if it is cheap to know: always in a small map, and when a stripe
    /// reports in a large one. That total lacks less than [`STEP`] of each stripe.
    #[inline]
    pub(crate) fn add(&self, by: isize) -> Option<usize> {
        self.add_as(thread_number::own(), by)
    }

    /// Does what `add` does, for a thread with this number.
    #[inline(always)]
    pub(crate) fn add_as(&self, number: Option<usize>, by: isize) -> Option<usize> {
        let Some(stripes) = self.stripes() else {
            let before = self.base.add(by);
            return Some(usize::try_from(before + by).unwrap_or(0));
        };
        let change = match number {
            Some(number) => stripes[2 * SHARED + number].add_alone(by),
            None => stripes[2 * thread_number::by_stack(SHARED)].add_shared(by),
        }?;
        let sum = self.sum.add(change) + change;
        Some(usize::try_from(sum + self.base.load()).unwrap_or(0))
    }

    /// Returns the total, which is exact if no other thread adds meanwhile.
    pub(crate) fn total(&self) -> usize {
        let base = self.base.load();
        let striped: isize =
            self.stripes().map_or(0, |stripes| stripes.iter().map(|line| line.count.load()).sum());
        usize::try_from(base + striped).unwrap_or(0)
    }

    /// Returns the bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.stripes.bytes()
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;

    /// More threads than numbers, so some of them share stripes.
    #[test]
    fn no_addition_is_lost() {
        const THREADS: usize = 5 * NUMBERS / 2;
        const EACH: usize = if cfg!(miri) { 10 } else { 40_000 };
        let counter = ShardedCounter::new();
        counter.spread();
        let all_run = std::sync::Barrier::new(THREADS);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    // A number is claimed by the first addition.
                    counter.add(1);
                    all_run.wait();
                    for _ in 1..EACH {
                        counter.add(1);
                    }
                });
            }
        });
        assert_eq!(counter.total(), THREADS * EACH);
    }

    #[test]
    #[cfg(feature = "std")] // Otherwise no thread has a stripe.
    fn the_common_sum_follows_the_total() {
        let counter = ShardedCounter::new();
        counter.spread();
        let mut reports = 0;
        for (by, times) in [(1, 100), (-1, 37), (1, 5), (-1, 60)] {
            for _ in 0..times {
                let told = counter.add_as(Some(0), by);
                reports += usize::from(told.is_some());
                let apart = counter.total().abs_diff(counter.sum.load().unsigned_abs());
                assert!(apart < STEP.unsigned_abs(), "{apart} is too far from the total");
            }
        }
        assert_eq!((counter.total(), reports), (8, 11));
    }

    /// A thread that inserts and removes by turns reports nothing, wherever its count is.
    #[test]
    #[cfg(feature = "std")] // Otherwise no thread has a stripe.
    fn turns_of_one_up_and_one_down_report_nothing() {
        let counter = ShardedCounter::new();
        counter.spread();
        for start in 0..3 * STEP {
            let reported = |by| counter.add_as(Some(0), by).is_some();
            let turns = (0..8).filter(|turn| reported(if turn % 2 == 0 { 1 } else { -1 })).count();
            assert!(turns <= 1, "{turns} reports of 8 changes at {start}");
            counter.add_as(Some(0), 1);
        }
    }
}
