//! The counters of one thread for each command and subcommand, and their sums over all threads.

use crate::command::table::NUMBERS;
use hedgerow_db_engine::gauge::ThreadCounter;
use std::sync::OnceLock;

/// Parts into which a power of two is divided. A percentile is exact within 1 / 16.
const PARTS: usize = 16;
/// Powers of two in nanoseconds: longer than a minute is one bucket.
const OCTAVES: usize = 34;
/// The buckets of a histogram.
const BUCKETS: usize = PARTS * OCTAVES;

/// Returns the bucket of a time in nanoseconds.
fn bucket(nanoseconds: u64) -> usize {
    let Some(octave) = (nanoseconds / PARTS as u64).checked_ilog2() else {
        // Below `PARTS` each time has a bucket of its own.
        return nanoseconds as usize;
    };
    let part = (nanoseconds >> octave) as usize - PARTS;
    ((octave as usize + 1) * PARTS + part).min(BUCKETS - 1)
}

/// Returns the longest time that is counted in a bucket, in nanoseconds.
fn upper_bound(bucket: usize) -> u64 {
    let (octave, part) = (bucket / PARTS, bucket % PARTS);
    let Some(shift) = octave.checked_sub(1) else { return part as u64 };
    (((PARTS + part + 1) as u64) << shift) - 1
}

/// The latencies of one command, counted by one thread.
#[derive(Debug)]
struct Histogram([ThreadCounter; BUCKETS]);

/// The counts of one command by one thread.
#[derive(Debug, Default)]
struct CommandCounter {
    calls: ThreadCounter,
    nanoseconds: ThreadCounter,
    rejected: ThreadCounter,
    failed: ThreadCounter,
    /// Made with the first call.
    latencies: OnceLock<Box<Histogram>>,
}

/// The counters of one thread, by the commands' numbers.
#[derive(Debug)]
pub(in crate::command) struct CommandCounters([CommandCounter; NUMBERS]);

impl Default for CommandCounters {
    fn default() -> Self {
        Self(std::array::from_fn(|_| CommandCounter::default()))
    }
}

impl CommandCounters {
    /// Counts calls of a command, each of which took this time.
    pub(super) fn add_calls(&self, number: usize, calls: u64, nanoseconds: u64, tracks: bool) {
        let counter = &self.0[number];
        counter.calls.add(calls);
        counter.nanoseconds.add(nanoseconds * calls);
        if tracks {
            // Made late: a histogram takes over 4 KiB, and each thread calls few of all commands.
            let empty = || Box::new(Histogram(std::array::from_fn(|_| ThreadCounter::default())));
            let latencies = counter.latencies.get_or_init(empty);
            latencies.0[bucket(nanoseconds)].add(calls);
        }
    }

    pub(super) fn add_rejected(&self, number: usize) {
        self.0[number].rejected.add(1);
    }

    pub(super) fn add_failed(&self, number: usize) {
        self.0[number].failed.add(1);
    }

    /// Adds these counts to the sums of all threads.
    pub(super) fn add_to(&self, totals: &mut [CommandTotals]) {
        for (counter, total) in self.0.iter().zip(totals) {
            total.calls += counter.calls.get();
            total.nanoseconds += counter.nanoseconds.get();
            total.rejected += counter.rejected.get();
            total.failed += counter.failed.get();
            if let Some(latencies) = counter.latencies.get() {
                total.latencies.resize(BUCKETS, 0);
                let buckets = total.latencies.iter_mut().zip(&latencies.0);
                buckets.for_each(|(all, one)| *all += one.get());
            }
        }
    }
}

/// The counts of one command by all threads.
#[derive(Clone, Debug, Default)]
pub(crate) struct CommandTotals {
    pub(crate) calls: u64,
    pub(crate) nanoseconds: u64,
    pub(crate) rejected: u64,
    pub(crate) failed: u64,
    /// Calls by their latency; empty if none was tracked.
    latencies: Vec<u64>,
}

impl CommandTotals {
    pub(super) fn subtract(&mut self, then: &Self) {
        self.calls -= then.calls;
        self.nanoseconds -= then.nanoseconds;
        self.rejected -= then.rejected;
        self.failed -= then.failed;
        self.latencies.iter_mut().zip(&then.latencies).for_each(|(now, then)| *now -= then);
    }

    /// Returns the number of calls whose latency was tracked.
    pub(crate) fn tracked(&self) -> u64 {
        self.latencies.iter().sum()
    }

    /// Returns a time in nanoseconds within which this percentage of the calls was executed.
    pub(in crate::command) fn percentile(&self, percent: f64) -> u64 {
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let wanted = ((self.tracked() as f64 * percent / 100.0).ceil() as u64).max(1);
        let mut counted = 0;
        let reached = self.latencies.iter().position(|count| {
            counted += count;
            counted >= wanted
        });
        // The bucket's upper bound: a percentile is never shown as less than it is.
        reached.map_or(0, upper_bound)
    }

    /// Returns the number of calls within each of these times, which rise, in nanoseconds.
    pub(crate) fn within(&self, bounds: impl Iterator<Item = u64>) -> Vec<u64> {
        let (mut counted, mut next) = (0, 0);
        let upto = bounds.map(|bound| {
            while next < self.latencies.len() && upper_bound(next) <= bound {
                counted += self.latencies[next];
                next += 1;
            }
            counted
        });
        upto.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other() {
        let mut last = 0;
        for nanoseconds in 0..100_000 {
            let bucket = bucket(nanoseconds);
            assert!(bucket == last || bucket == last + 1, "{nanoseconds} is in bucket {bucket}");
            assert!(nanoseconds <= upper_bound(bucket), "{nanoseconds}");
            assert!(bucket == 0 || nanoseconds > upper_bound(bucket - 1), "{nanoseconds}");
            last = bucket;
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert!(upper_bound(BUCKETS - 1) > 60_000_000_000);
    }

    #[test]
    fn percentiles_are_those_of_the_calls() {
        let counters = CommandCounters::default();
        counters.add_calls(0, 90, 10, true);
        counters.add_calls(0, 9, 1000, true);
        counters.add_calls(0, 1, 1_000_000, true);
        counters.add_calls(0, 50, 5, false);
        let mut totals = vec![CommandTotals::default(); NUMBERS];
        counters.add_to(&mut totals);
        let of = &totals[0];
        assert_eq!((of.calls, of.tracked()), (150, 100));
        assert_eq!(of.nanoseconds, 900 + 9000 + 1_000_000 + 250);
        assert_eq!(of.percentile(50.0), 10);
        assert_eq!(of.percentile(90.0), 10);
        assert!((1000..1064).contains(&of.percentile(99.0)), "{}", of.percentile(99.0));
        let longest = of.percentile(100.0);
        assert!((1_000_000..1_063_000).contains(&longest), "{longest}");
        assert_eq!(of.within([9, 10, 2000, u64::MAX].into_iter()), [0, 90, 99, 100]);
    }
}
