//! Work that has an end: a map filled or emptied, again and again until enough
//! of it was timed.
//!
//! Threads take the keys in grains from a shared place, so that they finish
//! together however unequal the map treats them.

use std::ops::{Deref, Range};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::clock::{Account, Barrier, Stretch, cost, now};
use crate::work::CHUNK;

/// Operations on the keys in a range of places; returns the checksum of the answers.
pub type Part<'a, M> = &'a (dyn Fn(&M, Range<usize>) -> u64 + Sync);

/// The phases of a round with their maps.
pub struct Plan<'a, M> {
    /// The map, without the keys.
    pub map: Ground<'a, M>,
    /// Makes another such map, if filling is what is timed.
    pub renew: Option<fn() -> M>,
    /// How many keys there are.
    pub keys: usize,
    /// Inserts them.
    pub fill: Part<'a, M>,
    /// Removes them.
    pub empty: Part<'a, M>,
    /// Is told the checksum of all that was timed in each go.
    pub check: &'a (dyn Fn(u64) + Sync),
    /// How many nanoseconds to time, at least.
    pub span: u64,
}

/// A map of one's own, or one that others will want to use afterwards.
pub enum Ground<'a, M> {
    /// Made for this.
    New(M),
    /// Left as it was found: with the keys.
    Borrowed(&'a M),
}

impl<M> Deref for Ground<'_, M> {
    type Target = M;

    fn deref(&self) -> &M {
        match self {
            Self::New(map) => map,
            Self::Borrowed(map) => map,
        }
    }
}

/// Nanoseconds that a key cost, if the threads ran together.
pub fn phases<M: Send + Sync>(plan: Plan<M>, threads: usize) -> Option<f64> {
    let Plan { map, renew, keys, fill, empty, check, span } = plan;
    let course = &Course {
        map: RwLock::new(map),
        renew,
        keys,
        fill,
        empty,
        check,
        span,
        barrier: Barrier::new(threads),
        filled: AtomicUsize::new(0),
        emptied: AtomicUsize::new(0),
        sum: AtomicU64::new(0),
        done: AtomicBool::new(false),
    };
    let lanes: Vec<_> = std::thread::scope(|scope| {
        let start = |thread| scope.spawn(move || course.lane(thread == 0));
        let threads: Vec<_> = (0..threads).map(start).collect();
        threads.into_iter().map(|t| t.join().expect("threads do not panic")).collect()
    });
    if let Ground::Borrowed(map) = &*course.map.read().unwrap_or_else(PoisonError::into_inner) {
        fill(map, 0..keys);
    }
    cost(&lanes)
}

struct Course<'a, M> {
    map: RwLock<Ground<'a, M>>,
    renew: Option<fn() -> M>,
    keys: usize,
    fill: Part<'a, M>,
    empty: Part<'a, M>,
    check: &'a (dyn Fn(u64) + Sync),
    span: u64,
    barrier: Barrier,
    filled: AtomicUsize,
    emptied: AtomicUsize,
    sum: AtomicU64,
    done: AtomicBool,
}

impl<M> Course<'_, M> {
    /// One thread's part. The first thread also makes what is shared ready
    /// while the other stands at the barrier.
    fn lane(&self, first: bool) -> Vec<Stretch> {
        let account = Account::open();
        let mut stretches = Vec::new();
        let mut spent = 0;
        while !self.done.load(Ordering::Relaxed) {
            let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
            let stretch = if self.renew.is_some() {
                self.timed(&account, || self.take(&self.filled, &map, self.fill))
            } else {
                self.take(&self.filled, &map, self.fill);
                self.timed(&account, || self.take(&self.emptied, &map, self.empty))
            };
            drop(map);
            stretches.push(stretch);
            spent += stretch.end - stretch.start;
            self.barrier.wait();
            if first {
                self.reset(spent >= self.span);
            }
            self.barrier.wait();
        }
        stretches
    }

    fn timed(&self, account: &Account, work: impl FnOnce() -> (u64, u64)) -> Stretch {
        let before = account.waited();
        self.barrier.wait();
        let start = now();
        let (ops, sum) = work();
        let end = now();
        self.sum.fetch_add(sum, Ordering::Relaxed);
        let waited = (account.waited() - before).min(end - start);
        Stretch { start, end, waited, ops, ..Stretch::default() }
    }

    /// Does a share of the keys; how many, and their checksum.
    fn take(&self, place: &AtomicUsize, map: &M, part: Part<M>) -> (u64, u64) {
        let grain = (self.keys / 32).clamp(32, CHUNK).next_multiple_of(16);
        let (mut ops, mut sum) = (0, 0_u64);
        loop {
            let at = place.fetch_add(grain, Ordering::Relaxed).min(self.keys);
            let range = at..(at + grain).min(self.keys);
            if range.is_empty() {
                return (ops, sum);
            }
            ops += range.len() as u64;
            sum = sum.wrapping_add(part(map, range));
        }
    }

    fn reset(&self, done: bool) {
        (self.check)(self.sum.swap(0, Ordering::Relaxed));
        if let Some(renew) = self.renew {
            *self.map.write().unwrap_or_else(PoisonError::into_inner) = Ground::New(renew());
        }
        self.filled.store(0, Ordering::Relaxed);
        self.emptied.store(0, Ordering::Relaxed);
        self.done.store(done, Ordering::Relaxed);
    }
}
