//! The load of a node, which it reports with its registration.
//!
//! Each figure is a moving average, so that a moment says little. A load that is [near](Load::is_near) the last one is
//! no reason to write a registration.
//!
//! The load of the log is the time of its transactions, in thousandths of three times the shortest time that was seen.
//! In a log that has more to do than it can, each transaction waits for others, and batches become larger.

use hedgerow_db_engine::Db;
use hedgerow_db_engine::lock::lock;
use hedgerow_db_redis::view::Views;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How many times as long as the shortest a transaction takes when the log is the bottleneck.
const SATURATED: f64 = 3.0;
/// A shorter time of a transaction, in microseconds, is not told from this one: tripled, it is still short.
const SHORTEST: f64 = 5000.0;
/// The load is measured at most this often, in milliseconds.
const EVERY: u64 = 500;

/// The load of a node. Shares are in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeLoad {
    /// Bytes of its keys, values and tables.
    pub(crate) used: u64,
    /// `maxmemory`; 0 for no limit.
    pub(crate) max: u64,
    /// The share of their time that its threads work.
    pub(crate) busy: u32,
    /// The load of the log, if the node is the primary.
    pub(crate) log: u32,
}

/// By how many thousandths a load may differ from one that is near it.
const NEAR: u32 = 50;
/// Bytes by which it may differ at least.
const NEAR_BYTES: u64 = 1 << 20;

impl NodeLoad {
    /// Returns whether this is much the same as before.
    pub(crate) fn is_near(&self, before: &Self) -> bool {
        let bytes = (self.max.max(before.used) / 20).max(NEAR_BYTES);
        self.max == before.max
            && self.used.abs_diff(before.used) <= bytes
            && self.busy.abs_diff(before.busy) <= NEAR
            && self.log.abs_diff(before.log) <= NEAR
    }
}

/// A moving average, whose weights become less with time.
#[derive(Debug, Default)]
struct Average(Option<f64>);

impl Average {
    /// Adds a value that holds since `elapsed`, in milliseconds. Returns the average over about `time`.
    #[expect(clippy::cast_precision_loss, reason = "times, as a weight")]
    fn add(&mut self, value: f64, elapsed: u64, time: u64) -> f64 {
        let weight = 1.0 - (-(elapsed as f64) / time.max(1) as f64).exp();
        let average = self.0.map_or(value, |before| before + (value - before) * weight);
        self.0 = Some(average);
        average
    }
}

/// The averages of the figures.
#[derive(Debug, Default)]
struct Averages {
    /// When they were measured last, boot time in milliseconds.
    at: u64,
    /// The time that all threads had worked then, in nanoseconds.
    worked: u64,
    used: Average,
    busy: Average,
    log: Average,
    /// The shortest mean time of transactions, in microseconds.
    shortest: Option<f64>,
    last: NodeLoad,
}

/// The transactions since the last measurement.
#[derive(Debug, Default)]
struct Transactions {
    count: u32,
    micros: u64,
}

/// Measures the load of a node.
#[derive(Debug)]
pub(crate) struct LoadMeter {
    db: Db,
    views: Arc<Views>,
    /// The time of the averages, in milliseconds.
    time: u64,
    transactions: Mutex<Transactions>,
    averages: Mutex<Averages>,
}

impl LoadMeter {
    pub(crate) fn new(db: Db, views: Arc<Views>, time: Duration) -> Self {
        let time = hedgerow_db_engine::clock::milliseconds(time);
        let (transactions, averages) = (Mutex::default(), Mutex::default());
        Self { db, views, time, transactions, averages }
    }

    /// Notes a transaction of the log, and its time in microseconds.
    pub(crate) fn note(&self, micros: u64) {
        let mut transactions = lock(&self.transactions);
        transactions.count += 1;
        transactions.micros += micros;
    }

    /// Returns the load at a boot time in milliseconds.
    pub(crate) fn measure(&self, now: u64) -> NodeLoad {
        let mut averages = lock(&self.averages);
        let elapsed = now.saturating_sub(averages.at);
        if elapsed < EVERY {
            return averages.last;
        }
        let stats = self.db.stats();
        let work = self.views.work().unwrap_or_default();
        let transactions = std::mem::take(&mut *lock(&self.transactions));
        let measured = Measured { elapsed, work, transactions };
        averages.at = now;
        averages.add(self.time, (stats.memory, stats.max_memory), &measured)
    }
}

/// The events since the last measurement.
struct Measured {
    elapsed: u64,
    /// The time that all threads have worked since the start, in nanoseconds, and their number.
    work: (u64, usize),
    transactions: Transactions,
}

#[expect(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "averages, none below 0")]
impl Averages {
    fn add(&mut self, time: u64, (used, max): (u64, u64), measured: &Measured) -> NodeLoad {
        let Measured { elapsed, work: (worked, threads), transactions } = measured;
        let elapsed = *elapsed;
        // Without a measurement before, nobody knows in how much time that was done.
        let had = self.used.0.is_some();
        let spent = worked.saturating_sub(std::mem::replace(&mut self.worked, *worked));
        let whole = elapsed as f64 * 1e6 * (*threads).max(1) as f64;
        let share = if had { (spent as f64 / whole).min(1.0) } else { 0.0 };
        let busy = if had { self.busy.add(share, elapsed, time) } else { 0.0 };
        let used = self.used.add(used as f64, elapsed, time);
        let log = self.log_load(transactions);
        let log = self.log.add(log, elapsed, time);
        self.last = NodeLoad {
            used: used as u64,
            max,
            busy: (busy * 1000.0) as u32,
            log: (log * 1000.0) as u32,
        };
        self.last
    }

    /// Returns the load of the log by its last transactions.
    fn log_load(&mut self, transactions: &Transactions) -> f64 {
        if transactions.count == 0 {
            return 0.0;
        }
        let mean = transactions.micros as f64 / f64::from(transactions.count);
        let shortest = self.shortest.map_or(mean, |shortest| shortest.min(mean));
        self.shortest = Some(shortest);
        mean / (SATURATED * shortest.max(SHORTEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds a second.
    fn second(
        averages: &mut Averages,
        used: u64,
        worked: u64,
        transactions: (u32, u64),
    ) -> NodeLoad {
        let transactions = Transactions { count: transactions.0, micros: transactions.1 };
        let measured = Measured { elapsed: 1000, work: (worked, 2), transactions };
        averages.add(120_000, (used, 1000), &measured)
    }

    #[test]
    fn the_threads_time_is_averaged() {
        let mut averages = Averages::default();
        let mut worked = 77_000_000_000;
        assert_eq!(second(&mut averages, 0, worked, (0, 0)).busy, 0, "since when is not known");
        worked += 1_000_000_000;
        assert_eq!(second(&mut averages, 0, worked, (0, 0)).busy, 500, "one of two threads");
        let mut last = 0;
        for _ in 0..120 {
            worked += 2_000_000_000;
            last = second(&mut averages, 0, worked, (0, 0)).busy;
        }
        // 1 - 0.5 / e
        assert!((810..=820).contains(&last), "{last}");
        for _ in 0..1200 {
            last = second(&mut averages, 0, worked, (0, 0)).busy;
        }
        assert_eq!(last, 0);
    }

    #[test]
    fn the_memory_is_averaged() {
        let mut averages = Averages::default();
        let load = second(&mut averages, 400, 0, (0, 0));
        assert_eq!((load.used, load.max), (400, 1000));
        assert!((405..=406).contains(&second(&mut averages, 1100, 0, (0, 0)).used));
    }

    #[test]
    fn the_log_is_compared_with_its_own_best_times() {
        let mut averages = Averages::default();
        // 20 ms each: its best. Later 90 ms, where 60 are the bound.
        assert_eq!(second(&mut averages, 0, 0, (10, 200_000)).log, 333);
        let mut last = 0;
        for _ in 0..2000 {
            last = second(&mut averages, 0, 0, (10, 900_000)).log;
        }
        assert_eq!(last, 1499);
        // A fast log may become slower without being the bottleneck.
        let mut averages = Averages::default();
        second(&mut averages, 0, 0, (10, 2000));
        for _ in 0..2000 {
            last = second(&mut averages, 0, 0, (10, 30_000)).log;
        }
        assert_eq!(last, 199);
        assert_eq!(second(&mut averages, 0, 0, (0, 0)).log, 198, "a follower has none");
    }
}
