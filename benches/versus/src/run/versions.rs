//! Rounds of maps and sequences whose clones are versions.

use std::collections::VecDeque;
use std::hint::black_box;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use super::laps::{Span, laps};
use super::{Cost, Job, Runner, agree};
use crate::clock::{Account, Stretch, cost, now};
use crate::keys::{fold, value};
use crate::rivals::Role;
use crate::versions::{Key, Sequence, Versioned, copies_too_much};
use crate::work::versions::{CHANGES, Deeds, Places, Work};
use crate::work::{CHUNK, Row, Workload};

/// Versions that are kept at a time.
const KEPT: usize = 100;

/// A place in the contest for a map of one type.
pub struct MapRunner<K, M> {
    map: Option<M>,
    /// Where the thread stopped in its keys, in chunks.
    place: usize,
    keys: PhantomData<K>,
}

impl<K, M> MapRunner<K, M> {
    /// A runner with no map in it yet.
    pub const fn new() -> Self {
        Self { map: None, place: 0, keys: PhantomData }
    }
}

impl<K, M> Default for MapRunner<K, M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Key, M: Versioned<K>> Runner<Deeds<K>> for MapRunner<K, M> {
    fn name(&self) -> &'static str {
        M::NAME
    }

    fn role(&self) -> Role {
        M::ROLE
    }

    fn can(&self, row: &Row) -> bool {
        row.threads == 1
            && match row.workload {
                Workload::Version(Work::Kept(_)) => !copies_too_much(M::SHARES, row),
                Workload::Version(Work::Diff) => M::DIFFERS,
                _ => true,
            }
    }

    fn build(&mut self, n: usize) {
        *self = Self::new();
        let mut map = M::new();
        (0..n as u64).for_each(|number| map.insert(K::make(number), number));
        self.map = Some(map);
    }

    fn leave(&mut self) {
        *self = Self::new();
    }

    fn round(&mut self, job: &Job<Deeds<K>>) -> Option<Cost> {
        let [deeds] = job.streams else { unreachable!("a value is for one thread") };
        let all = || deeds.keys.iter().cloned().zip(deeds.numbers.iter().map(|&n| u64::from(n)));
        let filled = || filled::<K, M>(all());
        let whole = match job.row.workload {
            Workload::Insert => {
                whole(job, || (M::new(), all().collect()), |(map, entries)| insert(map, entries))
            }
            Workload::Remove => whole(job, filled, |map| remove(map, &deeds.keys)),
            Workload::Version(Work::Drop) => whole(
                job,
                || Some(filled()),
                |map| {
                    drop(map.take());
                    job.row.n as u64
                },
            ),
            Workload::Version(Work::Kept(every)) => self.kept(job, deeds, every),
            Workload::Version(Work::Diff) => self.diff(job, deeds),
            work => {
                let map = self.map.as_ref().expect("the map is built before its rounds");
                steady(job, &mut self.place, |lap| reads(map, work, job.row.n as u64, deeds, lap))
            }
        };
        whole.map(|whole| Cost { whole, parts: None })
    }
}

impl<K: Key, M: Versioned<K>> MapRunner<K, M> {
    fn kept(&mut self, job: &Job<Deeds<K>>, deeds: &Deeds<K>, every: usize) -> Option<f64> {
        let mut map = self.map.take().expect("the map is built before its rounds");
        let mut kept = VecDeque::new();
        let cost = steady(job, &mut self.place, |lap| {
            let begin = lap % (deeds.keys.len() / CHUNK) * CHUNK;
            for (at, number) in deeds.numbers[begin..][..CHUNK].iter().enumerate() {
                if (lap * CHUNK + at).is_multiple_of(every) {
                    kept.push_back(map.clone());
                    if kept.len() > KEPT {
                        kept.pop_front();
                    }
                }
                map.insert(deeds.keys[begin + at].clone(), value((*number).into(), lap as u64));
            }
            CHUNK as u64
        });
        drop(kept);
        self.map = Some(map);
        cost
    }

    fn diff(&mut self, job: &Job<Deeds<K>>, deeds: &Deeds<K>) -> Option<f64> {
        let older = self.map.as_ref().expect("the map is built before its rounds");
        let mut newer = older.clone();
        // As values are now, no stamp was used so often.
        for (key, &number) in deeds.keys.iter().zip(&deeds.numbers).take(CHANGES) {
            newer.insert(key.clone(), value(number.into(), u64::from(u32::MAX)));
        }
        steady(job, &mut self.place, |_| {
            let changes = black_box(older).changes(black_box(&newer)) as u64;
            agree(M::NAME, job.row.workload, changes, CHANGES as u64);
            changes
        })
    }
}

fn filled<K, M: Versioned<K>>(entries: impl Iterator<Item = (K, u64)>) -> M {
    let mut map = M::new();
    entries.for_each(|(key, value)| map.insert(key, value));
    map
}

#[inline(never)]
fn insert<K, M: Versioned<K>>(map: &mut M, entries: &mut Vec<(K, u64)>) -> u64 {
    let n = entries.len();
    entries.drain(..).for_each(|(key, value)| map.insert(key, value));
    n as u64
}

#[inline(never)]
fn remove<K, M: Versioned<K>>(map: &mut M, keys: &[K]) -> u64 {
    let removed = keys.iter().filter(|key| map.remove(key)).count();
    agree(M::NAME, Workload::Remove, removed as u64, keys.len() as u64);
    keys.len() as u64
}

/// Operations done.
#[inline(never)]
fn reads<K: Key, M: Versioned<K>>(
    map: &M,
    work: Workload,
    n: u64,
    deeds: &Deeds<K>,
    lap: usize,
) -> u64 {
    if work == Workload::Iterate {
        let mut sum = 0;
        map.each(|value| sum += fold(Some(value)));
        agree(M::NAME, work, sum, n * (n - 1) / 2);
        return n;
    }
    let place = lap % (deeds.keys.len() / CHUNK);
    let keys = &deeds.keys[place * CHUNK..][..CHUNK];
    let mut sum = 0;
    let ops = if work == Workload::Scan {
        for [from, to] in keys.as_chunks::<2>().0 {
            map.scan(from, to, |value| sum += fold(Some(value)));
        }
        CHUNK / 2
    } else {
        sum = keys.iter().map(|key| fold(map.get(key))).sum();
        CHUNK
    };
    agree(M::NAME, work, sum, deeds.sums[place]);
    ops as u64
}

/// A place in the contest for a sequence of one type.
pub struct SequenceRunner<S> {
    sequence: Option<S>,
    place: usize,
}

impl<S> SequenceRunner<S> {
    /// A runner with no sequence in it yet.
    pub const fn new() -> Self {
        Self { sequence: None, place: 0 }
    }
}

impl<S> Default for SequenceRunner<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Sequence> Runner<Places> for SequenceRunner<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn role(&self) -> Role {
        S::ROLE
    }

    fn can(&self, row: &Row) -> bool {
        let versions = matches!(row.workload, Workload::Version(Work::Kept(_)));
        row.threads == 1 && !(versions && copies_too_much(S::SHARES, row))
    }

    fn build(&mut self, n: usize) {
        *self = Self::new();
        self.sequence = Some(pushed(n));
    }

    fn leave(&mut self) {
        *self = Self::new();
    }

    fn round(&mut self, job: &Job<Places>) -> Option<Cost> {
        let [Places { indices }] = job.streams else { unreachable!("a value is for one thread") };
        let n = job.row.n;
        let whole = if job.row.workload == Workload::Version(Work::Push) {
            whole(
                job,
                || None,
                |new| {
                    *new = Some(pushed::<S>(n));
                    n as u64
                },
            )
        } else {
            let mut sequence = self.sequence.take().expect("it is built before its rounds");
            let mut kept = VecDeque::new();
            let cost = steady(job, &mut self.place, |lap| {
                let place = lap % (indices.len() / CHUNK);
                let indices = &indices[place * CHUNK..][..CHUNK];
                walk(&mut sequence, &mut kept, job.row.workload, indices)
            });
            self.sequence = Some(sequence);
            cost
        };
        whole.map(|whole| Cost { whole, parts: None })
    }
}

fn pushed<S: Sequence>(n: usize) -> S {
    let mut sequence = S::new();
    (0..n as u64).for_each(|value| sequence.push(value));
    sequence
}

/// Operations done. The elements are always the numbers below the length, in some order.
#[inline(never)]
fn walk<S: Sequence>(
    sequence: &mut S,
    kept: &mut VecDeque<S>,
    work: Workload,
    indices: &[usize],
) -> u64 {
    match work {
        Workload::GetHit => {
            let sum: u64 = indices.iter().map(|&index| fold(sequence.get(index))).sum();
            black_box(sum);
            indices.len() as u64
        }
        Workload::Iterate => {
            let (mut sum, mut n) = (0, 0);
            sequence.each(|value| (sum, n) = (sum + value, n + 1));
            agree(S::NAME, work, sum, n * (n - 1) / 2);
            n
        }
        Workload::Version(Work::Kept(every)) => {
            for (at, pair) in indices.as_chunks::<2>().0.iter().enumerate() {
                if (2 * at).is_multiple_of(every) {
                    kept.push_back(sequence.clone());
                    if kept.len() > KEPT {
                        kept.pop_front();
                    }
                }
                let [a, b] = pair.map(|index| sequence.get(index).expect("it is below the length"));
                sequence.set(pair[0], b);
                sequence.set(pair[1], a);
            }
            indices.len() as u64
        }
        // Few in a lap: one takes a tenth of a millisecond in a long `Vec`.
        Workload::Version(Work::Edit) => {
            for pair in indices.as_chunks::<2>().0.iter().take(32) {
                let element = sequence.remove(pair[0]);
                sequence.insert(pair[1], element);
            }
            32
        }
        Workload::Version(Work::Turn) => {
            indices.iter().take(16).for_each(|&index| sequence.turn(index));
            16
        }
        other => unreachable!("no sequence does {other:?}"),
    }
}

/// Nanoseconds of an operation of work without an end.
fn steady<S>(job: &Job<S>, place: &mut usize, lap: impl FnMut(usize) -> u64 + Send) -> Option<f64> {
    let lap = Mutex::new(lap);
    let locked = |_, place| lap.lock().unwrap_or_else(PoisonError::into_inner)(place);
    laps(Span { warm: job.warm, span: job.span }, std::slice::from_mut(place), &locked).0
}

/// The same of work with an end. What it works on is made before each time, and dropped after it.
fn whole<S, T>(
    job: &Job<S>,
    mut make: impl FnMut() -> T,
    mut work: impl FnMut(&mut T) -> u64,
) -> Option<f64> {
    let account = Account::open();
    let (mut stretches, mut spent) = (Vec::new(), 0);
    while spent < job.span {
        let mut subject = make();
        let before = account.waited();
        let start = now();
        let ops = work(&mut subject);
        let end = now();
        let waited = (account.waited() - before).min(end - start);
        stretches.push(Stretch { start, end, waited, ops, ..Stretch::default() });
        spent += end - start;
    }
    cost(&[stretches])
}
