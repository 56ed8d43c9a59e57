//! One round of one map: the timed loops, and the threads around them.
//!
//! Maps take turns by rounds through [`Seat`], the only call through a pointer;
//! inside a round everything is generic over the map.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::clock::{Account, Barrier, Stretch, cost, now};
use crate::keys::{self, fold, value};
use crate::rivals::Bench;
use crate::workload::{CHUNK, Stream, Workload, ask};

/// What a round is to do.
pub struct Job<'a> {
    /// The work.
    pub workload: Workload,
    /// One stream for each thread.
    pub streams: &'a [Stream],
    /// How long to run before the clock counts, in nanoseconds: the maps that
    /// had their turn before have left the caches full of themselves.
    pub warm: u64,
    /// How long to run, in nanoseconds, at least.
    pub span: u64,
}

/// A map's place in the contest.
pub trait Seat {
    /// What its map is called.
    fn name(&self) -> &'static str;
    /// Whether two threads may work on it.
    fn shared(&self) -> bool;
    /// A new map of the first `n` keys, grown by inserting them, takes the place
    /// of the old one.
    fn build(&mut self, n: usize);
    /// Gives the memory back.
    fn leave(&mut self);
    /// Runs once, on as many threads as the job has streams; nanoseconds an
    /// operation, if the threads ran together.
    fn round(&mut self, job: &Job) -> Option<f64>;
}

/// A seat for a map of one type.
pub struct Holder<M> {
    map: Option<M>,
    /// Where each thread stopped in its stream, in chunks.
    places: [usize; 2],
}

impl<M> Holder<M> {
    /// A seat with no map in it yet.
    pub const fn new() -> Self {
        Self { map: None, places: [0; 2] }
    }
}

impl<M> Default for Holder<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Bench> Seat for Holder<M> {
    fn name(&self) -> &'static str {
        M::NAME
    }

    fn shared(&self) -> bool {
        M::SHARED
    }

    fn build(&mut self, n: usize) {
        self.leave();
        let map = M::new();
        for key in (0..n as u64).map(keys::key) {
            check::<M>(Workload::Insert, fold(map.insert(key, value(key, 0))), fold(None));
        }
        // Some maps move to a larger table a little with each write. They get the
        // writes to finish it, or they would be measured with a foot in each.
        for key in (0..n as u64 / 8).map(keys::key) {
            check::<M>(Workload::Upsert, fold(map.insert(key, value(key, 0))), fold(Some(key)));
        }
        self.map = Some(map);
    }

    fn leave(&mut self) {
        *self = Self::new();
    }

    fn round(&mut self, job: &Job) -> Option<f64> {
        assert!(M::SHARED || job.streams.len() == 1, "{} is for one thread", M::NAME);
        if matches!(job.workload, Workload::Insert | Workload::Remove) {
            return whole(&Phases::<M>::new(job));
        }
        let map = self.map.as_ref().expect("the map is built before its rounds");
        let barrier = &Barrier::new(job.streams.len());
        let lanes: Vec<_> = std::thread::scope(|scope| {
            let start =
                |(stream, place)| scope.spawn(move || walk(map, job, stream, place, barrier));
            let threads: Vec<_> = job.streams.iter().zip(&mut self.places).map(start).collect();
            threads.into_iter().map(|t| t.join().expect("threads do not panic")).collect()
        });
        cost(&lanes)
    }
}

/// A wrong answer ends everything: there is no figure for less than the work.
fn check<M: Bench>(workload: Workload, got: u64, want: u64) {
    if black_box(got) != want {
        let doing = workload.name();
        eprintln!("{} answered wrongly in {doing}: checksum {got:x}, not {want:x}", M::NAME);
        std::process::exit(1);
    }
}

/// Nanoseconds after which a stretch ends: a small part of what the scheduler
/// gives at once, so that most stretches are not interrupted.
const STRETCH: u64 = 500_000;

/// One thread's part of a round over an endless stream.
fn walk<M: Bench>(
    map: &M,
    job: &Job,
    stream: &Stream,
    place: &mut usize,
    go: &Barrier,
) -> Vec<Stretch> {
    let account = Account::open();
    let mut chunks = |deadline| {
        let mut ops = 0;
        while ops == 0 || now() < deadline {
            chunk(map, job.workload, stream, *place);
            *place = (*place + 1) % stream.sums.len();
            ops += CHUNK as u64;
        }
        ops
    };
    chunks(now() + job.warm);
    let mut stretches = Vec::new();
    go.wait();
    let begin = now();
    let mut before = account.waited();
    let mut start = now();
    while start < begin + job.span {
        let ops = chunks(start + STRETCH);
        let end = now();
        let waited = account.waited();
        stretches.push(Stretch { start, end, waited: waited - before, ops });
        before = waited;
        start = now();
    }
    stretches
}

fn chunk<M: Bench>(map: &M, workload: Workload, stream: &Stream, place: usize) {
    let words = &stream.words[place * CHUNK..][..CHUNK];
    let sum = match workload {
        Workload::Upsert => upserts(map, words),
        Workload::Update => updates(map, words),
        Workload::Mix(_) => mixed(map, words),
        _ => gets(map, words),
    };
    check::<M>(workload, sum, stream.sums[place]);
}

#[inline(never)]
fn gets<M: Bench>(map: &M, words: &[u64]) -> u64 {
    words.iter().map(|&key| fold(map.get(key))).sum()
}

#[inline(never)]
fn upserts<M: Bench>(map: &M, words: &[u64]) -> u64 {
    words.iter().map(|&key| fold(map.insert(key, value(key, 1)))).sum()
}

#[inline(never)]
fn updates<M: Bench>(map: &M, words: &[u64]) -> u64 {
    words.iter().map(|&key| fold(map.update(key, |old| old.wrapping_add(1 << 32)))).sum()
}

#[inline(never)]
fn mixed<M: Bench>(map: &M, words: &[u64]) -> u64 {
    let one = |&word: &u64| {
        let key = word >> 2;
        fold(match word & 3 {
            ask::GET => map.get(key),
            ask::REMOVE => map.remove(key),
            // Both are `insert`; they differ in whether the key is there.
            _ => map.insert(key, value(key, 1)),
        })
    };
    words.iter().map(one).sum()
}

/// A round over work that has an end: a map filled or emptied, again and again
/// until enough of it was timed.
///
/// Threads take the keys in grains from a shared place, so that they finish
/// together however unequal the map treats them.
struct Phases<'a, M> {
    filling: bool,
    span: u64,
    keys: &'a [u64],
    threads: usize,
    map: RwLock<M>,
    barrier: Barrier,
    filled: AtomicUsize,
    emptied: AtomicUsize,
    sum: AtomicU64,
    done: AtomicBool,
}

fn whole<M: Bench>(phases: &Phases<M>) -> Option<f64> {
    let lanes: Vec<_> = std::thread::scope(|scope| {
        let start = |thread| scope.spawn(move || phases.lane(thread == 0));
        let threads: Vec<_> = (0..phases.threads).map(start).collect();
        threads.into_iter().map(|t| t.join().expect("threads do not panic")).collect()
    });
    cost(&lanes)
}

impl<'a, M: Bench> Phases<'a, M> {
    fn new(job: &Job<'a>) -> Self {
        Self {
            filling: job.workload == Workload::Insert,
            span: job.span,
            keys: &job.streams[0].words,
            threads: job.streams.len(),
            map: RwLock::new(M::new()),
            barrier: Barrier::new(job.streams.len()),
            filled: AtomicUsize::new(0),
            emptied: AtomicUsize::new(0),
            sum: AtomicU64::new(0),
            done: AtomicBool::new(false),
        }
    }

    /// One thread's part. The first thread also makes what is shared ready
    /// while the other stands at the barrier.
    fn lane(&self, first: bool) -> Vec<Stretch> {
        let account = Account::open();
        let mut stretches = Vec::new();
        let mut spent = 0;
        while !self.done.load(Ordering::Relaxed) {
            let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
            let fill = || self.take(&self.filled, |key| map.insert(key, value(key, 0)));
            let stretch = if self.filling {
                self.timed(&account, fill)
            } else {
                fill();
                self.timed(&account, || self.take(&self.emptied, |key| map.remove(key)))
            };
            drop(map);
            stretches.push(stretch);
            spent += stretch.end - stretch.start;
            self.barrier.wait();
            if first {
                self.renew(spent >= self.span);
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
        Stretch { start, end, waited: (account.waited() - before).min(end - start), ops }
    }

    /// Does `op` to a share of the keys; how many, and their checksum.
    fn take(&self, place: &AtomicUsize, op: impl Fn(u64) -> Option<u64>) -> (u64, u64) {
        let grain = (self.keys.len() / 32).clamp(32, CHUNK);
        let (mut ops, mut sum) = (0, 0_u64);
        loop {
            let at = place.fetch_add(grain, Ordering::Relaxed).min(self.keys.len());
            let keys = &self.keys[at..(at + grain).min(self.keys.len())];
            if keys.is_empty() {
                return (ops, sum);
            }
            sum = keys.iter().map(|&key| fold(op(key))).fold(sum, u64::wrapping_add);
            ops += keys.len() as u64;
        }
    }

    fn renew(&self, done: bool) {
        let sum = self.sum.swap(0, Ordering::Relaxed);
        if self.filling {
            check::<M>(Workload::Insert, sum, self.keys.len() as u64 * fold(None));
            *self.map.write().unwrap_or_else(PoisonError::into_inner) = M::new();
        } else {
            let want = self.keys.iter().map(|&key| fold(Some(value(key, 0)))).sum();
            check::<M>(Workload::Remove, sum, want);
        }
        self.filled.store(0, Ordering::Relaxed);
        self.emptied.store(0, Ordering::Relaxed);
        self.done.store(done, Ordering::Relaxed);
    }
}
