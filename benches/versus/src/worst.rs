//! The worst single insertion while a map grows from empty: each is timed, page
//! faults and all, less what its thread waited for a core. One thread inserts, or
//! two do.

use crate::clock::{cpu, now};
use crate::keys::{Rng, key, value};
use std::sync::Barrier;
use std::thread;

use crate::rivals::Bench;

/// From this on, the thread's own clock is asked whether the time was spent.
const SUSPICIOUS: u64 = 10_000;

/// The number of insertions between two readings of the lost time, so that a slow
/// insertion is not charged for time that was lost before it.
const OFTEN: usize = 256;

/// Nanoseconds of single insertions.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    /// The worst.
    pub worst: f64,
    /// One in ten thousand took longer.
    pub p9999: f64,
    /// One in a thousand took longer.
    pub p999: f64,
    /// One in a hundred took longer.
    pub p99: f64,
    /// Half took longer.
    pub median: f64,
}

/// Takes the time of single operations, less what the thread lost.
pub struct Timer {
    times: Vec<u32>,
    /// The time lost until the present operation.
    lost_before: u64,
}

/// Wall clock less thread clock: the time lost since the beginning.
fn lost() -> u64 {
    now().saturating_sub(cpu())
}

impl Timer {
    /// Makes room for this many operations, and touches its memory beforehand.
    pub fn new(operations: usize) -> Self {
        let mut times = vec![1_u32; operations];
        times.clear();
        Self { times, lost_before: lost() }
    }

    /// Does `work`.
    #[inline]
    pub fn time<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let start = now();
        let result = work();
        let mut spent = now() - start;
        if spent >= SUSPICIOUS || self.times.len().is_multiple_of(OFTEN) {
            let lost_now = lost();
            spent = spent.saturating_sub(lost_now.saturating_sub(self.lost_before));
            self.lost_before = lost_now;
        }
        self.times.push(u32::try_from(spent).unwrap_or(u32::MAX));
        result
    }

    /// Returns the mean of the pauses.
    pub fn mean(&self) -> f64 {
        let all: u64 = self.times.iter().map(|&ns| u64::from(ns)).sum();
        all as f64 / self.times.len() as f64
    }

    /// Takes over the times of another.
    fn append(&mut self, mut other: Self) {
        self.times.append(&mut other.times);
    }

    /// Returns the measured pauses.
    pub fn pauses(self) -> Pauses {
        Pauses::of(self.times)
    }
}

impl Pauses {
    /// Makes them of the nanoseconds of each operation.
    pub fn of(mut times: Vec<u32>) -> Self {
        let n = times.len();
        times.sort_unstable();
        // The time that one in `slower` operations exceeds.
        let one_in = |slower: usize| f64::from(times[n - 1 - n / slower]);
        Self {
            worst: f64::from(times[n - 1]),
            p9999: one_in(10_000),
            p999: one_in(1_000),
            p99: one_in(100),
            median: one_in(2),
        }
    }
}

/// Measures one map up to `n` keys, of which each of `threads` inserts its share;
/// for a process that does nothing else, since a heap that other maps have left
/// behind is free of page faults.
pub fn measure<M: Bench<Key = u64, Value = u64>>(n: usize, threads: usize) -> Pauses {
    let mut order: Vec<u32> = (0..n as u32).collect();
    Rng::new(4).shuffle(&mut order);
    let (map, barrier) = (M::new(), Barrier::new(threads));
    let insert_all = |share: &[u32]| {
        barrier.wait();
        let mut timer = Timer::new(share.len());
        for &index in share {
            let key = key(u64::from(index));
            let old = timer.time(|| map.insert(&key, &value(key, 0), |_| 0));
            assert!(old.is_none(), "a key was there already");
        }
        timer
    };
    thread::scope(|scope| {
        let shares = order.chunks(n.div_ceil(threads));
        let inserting: Vec<_> = shares.map(|share| scope.spawn(|| insert_all(share))).collect();
        let timers = inserting.into_iter().map(|t| t.join().expect("threads do not panic"));
        timers.reduce(|mut all, timer| {
            all.append(timer);
            all
        })
    })
    .expect("there is a thread")
    .pauses()
}
