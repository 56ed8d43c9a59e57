//! The server's counters and latency histogram: each worker counts for itself, and readers add them up.

use hedgerow_db_engine::gauge::ThreadCounter;
use std::time::Duration;

macro_rules! counters {
    ($($(#[doc = $text:literal])* $name:ident,)*) => {
        /// One worker's counters, on cache lines of their own.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub(crate) struct Counters {
            $($(#[doc = $text])* pub(crate) $name: ThreadCounter,)*
            /// The latency of commands, from the start of the cycle that read them to their replies.
            pub(crate) latency: Latency,
        }

        /// The sums of all workers' counters.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct CounterTotals {
            $($(#[doc = $text])* pub $name: u64,)*
        }

        impl CounterTotals {
            /// Adds a worker's counters.
            pub(crate) fn add(&mut self, of: &Counters) {
                $(self.$name += of.$name.get();)*
            }

            /// Returns the difference to an earlier reading.
            pub(crate) fn since(mut self, then: &Self) -> Self {
                $(self.$name = self.$name.saturating_sub(then.$name);)*
                self
            }
        }
    };
}

counters! {
    /// Connections accepted.
    connections,
    /// Connections closed.
    ended,
    /// Connections refused because of `maxclients`.
    rejected,
    /// Connections refused by protected mode.
    denied,
    /// Connections closed because of `timeout`.
    idle,
    /// Connections closed because the client did not read its replies.
    slow,
    /// Connections closed because a subscriber did not read its messages.
    slow_subscribers,
    /// Messages given to subscribers.
    messages,
    /// Connections closed because the log failed before their replies were committed.
    failed,
    /// Commands executed.
    commands,
    /// Bytes read.
    bytes_in,
    /// Bytes written.
    bytes_out,
    /// Event-loop cycles that had work.
    eventloop_cycles,
    /// Cycles whose replies had to wait for the log.
    waits_for_log,
    /// Clients whose replies had to wait for the log or for a lease check. A client counts again after it was answered.
    clients_held,
}

/// Upper bounds of the buckets, in nanoseconds. One more bucket has no bound.
const BOUNDS: [u64; 20] = [
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    25_000_000_000,
];
const BUCKETS: usize = BOUNDS.len() + 1;

/// One worker's latency histogram.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    buckets: [ThreadCounter; BUCKETS],
    /// The sum of all commands' latencies, in nanoseconds.
    sum: ThreadCounter,
}

impl Latency {
    /// Adds commands that were answered together, each with this latency.
    pub(crate) fn add(&self, commands: u64, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[BOUNDS.partition_point(|bound| *bound < nanoseconds)].add(commands);
        self.sum.add(nanoseconds.saturating_mul(commands));
    }
}

/// The sum of several workers' histograms.
#[cfg(feature = "metrics")]
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies {
    buckets: [u64; BUCKETS],
    sum: u64,
}

#[cfg(feature = "metrics")]
impl Latencies {
    /// Adds a worker's histogram.
    pub(crate) fn add(&mut self, latency: &Latency) {
        self.buckets.iter_mut().zip(&latency.buckets).for_each(|(all, one)| *all += one.get());
        self.sum = self.sum.wrapping_add(latency.sum.get());
    }

    /// Returns the number of commands.
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Returns the sum of all latencies, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        Duration::from_nanos(self.sum).as_secs_f64()
    }

    /// Returns each bucket's upper bound, in seconds, and the number of commands in that bucket alone.
    pub(crate) fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS.iter().map(|bound| Duration::from_nanos(*bound).as_secs_f64());
        bounds.chain([f64::INFINITY]).zip(self.buckets).collect()
    }
}

#[cfg(all(test, feature = "metrics"))]
mod tests {
    use super::*;

    #[test]
    fn commands_are_counted_in_the_bucket_of_their_time() {
        let (one, other) = (Latency::default(), Latency::default());
        one.add(3, Duration::from_micros(10));
        one.add(2, Duration::from_nanos(10_001));
        other.add(1, Duration::from_secs(3600));
        let mut all = Latencies::default();
        all.add(&one);
        all.add(&other);
        let filled: Vec<_> = all.buckets().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(0.000_01, 3), (0.000_025, 2), (f64::INFINITY, 1)], "wrong buckets");
        assert_eq!(all.count(), 6);
        assert!((all.seconds() - 3_600.000_050_002).abs() < 1e-9, "{}", all.seconds());
    }

    #[test]
    fn bounds_rise() {
        assert!(BOUNDS.is_sorted());
    }
}
