//! The timed loops over ordered maps.

use std::hint::black_box;
use std::thread;
use std::time::Duration;

use super::laps::{Lap, Span, lanes, laps};
use super::phases::{Ground, Plan, phases};
use super::{Cost, Job, Runner, agree};
use crate::clock::{each, now, sound};
use crate::keys::{self, fold, value};
use crate::rivals::Role;
use crate::trees::Tree;
use crate::work::script::Call;
use crate::work::trees::{BATCH, Course};
use crate::work::{CHUNK, Row, Workload};

/// A place in the contest for an ordered map of one type.
pub struct TreeRunner<T> {
    map: Option<T>,
    /// Where each thread stopped in its course, in chunks.
    places: [usize; 2],
}

impl<T> TreeRunner<T> {
    /// A runner with no map in it yet.
    pub const fn new() -> Self {
        Self { map: None, places: [0; 2] }
    }
}

impl<T> Default for TreeRunner<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Tree> Runner<Course> for TreeRunner<T> {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn role(&self) -> Role {
        T::ROLE
    }

    fn can(&self, row: &Row) -> bool {
        T::can(row)
    }

    fn build(&mut self, n: usize) {
        *self = Self::new();
        let map = T::new();
        for key in (0..n as u64).map(keys::key) {
            map.insert(key, value(key, 0));
        }
        for key in (0..n as u64).map(keys::key) {
            assert_eq!(map.get(key), Some(value(key, 0)), "{} has lost a key", T::NAME);
        }
        self.map = Some(map);
    }

    fn leave(&mut self) {
        *self = Self::new();
    }

    fn round(&mut self, job: &Job<Course>) -> Option<Cost> {
        let threads = job.streams.len();
        assert!(T::ROLE != Role::Yard || threads == 1, "{} is for one thread", T::NAME);
        let whole = match job.row.workload {
            Workload::Insert | Workload::Ascend => fill::<T>(job),
            Workload::Remove => empty::<T>(job),
            work => {
                let map = self.map.as_ref().expect("the map is built before its rounds");
                let iterates = work == Workload::Iterate;
                let n = if iterates { job.row.n as u64 } else { 0 };
                let all = (0..n).map(|i| fold(Some(keys::key(i)))).sum();
                let span = Span { warm: job.warm, span: job.span };
                let lap = |thread: usize, lap: usize| match work {
                    Workload::Iterate => iterated(map, n, all),
                    Workload::Snapshot => snapshots(map),
                    Workload::Reported(_) if thread == 1 => report(map),
                    _ => chunk(map, work, &job.streams[thread], lap),
                };
                if let Workload::Reported(_) = work {
                    mixing(span, &mut self.places[..threads], &lap)
                } else {
                    laps(span, &mut self.places[..threads], &lap).0
                }
            }
        };
        whole.map(|whole| Cost { whole, parts: None })
    }
}

/// Visits `n` entries, whose values add up to `all`.
fn iterated<T: Tree>(map: &T, n: u64, all: u64) -> u64 {
    let mut sum = 0;
    map.each(|value| sum += fold(Some(value)));
    agree(T::NAME, Workload::Iterate, sum, all);
    n
}

/// Takes snapshots, and visits nothing; returns how many.
#[inline(never)]
fn snapshots<T: Tree>(map: &T) -> u64 {
    let n = if T::SNAPSHOTS { CHUNK } else { 1 };
    (0..n).for_each(|_| map.snapshot());
    n as u64
}

/// Takes a snapshot, visits all its entries, and waits for the end of the millisecond.
fn report<T: Tree>(map: &T) -> u64 {
    let begin = now();
    let mut sum = 0_u64;
    map.each_at_once(|value| sum = sum.wrapping_add(value));
    black_box(sum);
    thread::sleep(Duration::from_millis(1).saturating_sub(Duration::from_nanos(now() - begin)));
    1
}

/// Nanoseconds of an operation of the first thread, while the second one, if there is one, does something else.
fn mixing(
    span: Span,
    places: &mut [usize],
    lap: &(impl Fn(usize, usize) -> u64 + Sync),
) -> Option<f64> {
    let counted = |thread, place| Lap { ops: lap(thread, place), parts: [0; 2] };
    let lanes: Vec<_> = lanes(span, places, &counted).into_iter().map(|(lane, _)| lane).collect();
    let first = sound(&lanes)?.swap_remove(0);
    (!first.is_empty()).then(|| each(&first))
}

/// Operations done.
fn chunk<T: Tree>(map: &T, work: Workload, course: &Course, lap: usize) -> u64 {
    let place = lap % course.sums.len();
    let words = &course.words[place * CHUNK..][..CHUNK];
    let (sum, ops) = match work {
        Workload::GetHit | Workload::GetMiss => (gets(map, words), CHUNK),
        Workload::GetMany(BATCH) => (batches(map, words), CHUNK),
        Workload::Scan => (scans::<T, false>(map, words), CHUNK / 2),
        Workload::ScanHot => (scans::<T, true>(map, words), CHUNK / 2),
        Workload::Mix(_) | Workload::Hot(_) | Workload::Moving(_) | Workload::Reported(_) => {
            (mixed(map, words), CHUNK)
        }
        other => unreachable!("no ordered map does {other:?}"),
    };
    agree(T::NAME, work, sum, course.sums[place]);
    ops as u64
}

#[inline(never)]
fn gets<T: Tree>(map: &T, words: &[u64]) -> u64 {
    words.iter().map(|&key| fold(map.get(key))).sum()
}

#[inline(never)]
fn batches<T: Tree>(map: &T, words: &[u64]) -> u64 {
    let mut sum = 0;
    for keys in words.as_chunks::<BATCH>().0 {
        map.get_many(keys, |value| sum += fold(value));
    }
    sum
}

/// Scans; where it `writes`, each after an upsert of its first key.
#[inline(never)]
fn scans<T: Tree, const WRITES: bool>(map: &T, words: &[u64]) -> u64 {
    let mut sum = 0;
    for &[from, to] in words.as_chunks::<2>().0 {
        if WRITES {
            map.insert(from, value(from, 1));
        }
        map.scan(from, to, |value| sum += fold(Some(value)));
    }
    sum
}

#[inline(never)]
fn mixed<T: Tree>(map: &T, words: &[u64]) -> u64 {
    const GET: u64 = Call::Get as u64;
    const REMOVE: u64 = Call::Remove as u64;
    let one = |&word: &u64| {
        let key = word >> 2;
        match word & 3 {
            GET => fold(map.get(key)),
            REMOVE => map.remove(key).into(),
            _ => {
                map.insert(key, value(key, 1));
                0
            }
        }
    };
    words.iter().map(one).sum()
}

fn inserts<T: Tree>(map: &T, keys: &[u64]) -> u64 {
    for &key in keys {
        map.insert(key, value(key, 0));
    }
    0
}

fn fill<T: Tree>(job: &Job<Course>) -> Option<f64> {
    let keys = &job.streams[0].words;
    let plan = Plan {
        map: Ground::New(T::new()),
        renew: Some(T::new),
        keys: keys.len(),
        fill: &|map, range| inserts(map, &keys[range]),
        empty: &|_, _| 0,
        check: &|_| {},
        span: job.span,
    };
    phases(plan, job.streams.len())
}

fn empty<T: Tree>(job: &Job<Course>) -> Option<f64> {
    let keys = &job.streams[0].words;
    let plan = Plan {
        map: Ground::New(T::new()),
        renew: None,
        keys: keys.len(),
        fill: &|map, range| inserts(map, &keys[range]),
        empty: &|map, range| keys[range].iter().map(|&key| u64::from(map.remove(key))).sum(),
        check: &|sum| agree(T::NAME, Workload::Remove, sum, keys.len() as u64),
        span: job.span,
    };
    phases(plan, job.streams.len())
}
