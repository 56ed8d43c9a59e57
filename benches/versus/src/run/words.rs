//! The timed loops over maps of numbers.

use super::laps::{Span, laps};
use super::phases::{Ground, Plan, phases};
use super::{Job, Runs, check};
use crate::data::Word;
use crate::keys::{self, fold};
use crate::rivals::Bench;
use crate::work::script::Call;
use crate::work::words::Stream;
use crate::work::{CHUNK, Row, Workload};

/// No more keys than this are removed at a time from a map that stays: enough to
/// be out of every cache when their turn comes again.
const SECTION: usize = 1 << 20;

impl<V: Word, M: Bench<Key = u64, Value = V>> Runs<Stream> for M {
    fn built(n: usize) -> Self {
        let map = M::new();
        for key in (0..n as u64).map(keys::key) {
            check::<M>(Workload::Insert, put(&map, key, 0), fold(None));
        }
        // Some maps move to a larger table a little with each write. They get the
        // writes to finish it, or they would be measured with a foot in each.
        for key in (0..n as u64 / 8).map(keys::key) {
            check::<M>(Workload::Upsert, put(&map, key, 0), fold(Some(key)));
        }
        map
    }

    fn run(map: Option<&Self>, job: &Job<Stream>, places: &mut [usize]) -> Option<f64> {
        match job.row.workload {
            Workload::Insert => fill::<V, M>(job),
            Workload::Remove => empty(job, Ground::New(M::new()), job.row.n, remove),
            Workload::RemoveMany(16) => {
                let map = map.expect("the map is built before its rounds");
                empty(
                    job,
                    Ground::Borrowed(map),
                    SECTION.min(job.row.n / 4),
                    remove_many::<_, _, 16>,
                )
            }
            _ => endless(map.expect("the map is built before its rounds"), job, places),
        }
    }
}

fn endless<V: Word, M>(map: &M, job: &Job<Stream>, places: &mut [usize]) -> Option<f64>
where
    M: Bench<Key = u64, Value = V>,
{
    let stamps = job.row.workload.stamps();
    let before = if stamps { stamped(map, &job.row) } else { 0 };
    let iterates = job.row.workload == Workload::Iterate;
    let keys = if iterates { job.row.n as u64 } else { 0 };
    let all: u64 = (0..keys).map(|i| fold(Some(keys::key(i)))).sum();
    let span = Span { warm: job.warm, span: job.span };
    let lap = |thread: usize, lap: usize| {
        if iterates {
            check::<M>(Workload::Iterate, iterated(map), all);
            return keys;
        }
        chunk(map, job.row.workload, &job.streams[thread], lap)
    };
    let (cost, ops) = laps(span, &mut places[..job.streams.len()], &lap);
    if stamps {
        let after = stamped(map, &job.row);
        check::<M>(job.row.workload, after.wrapping_sub(before) & 0xffff_ffff, ops & 0xffff_ffff);
    }
    cost
}

/// The sum of all stamps: one more for each count that was not lost.
fn stamped<V: Word, M: Bench<Key = u64, Value = V>>(map: &M, row: &Row) -> u64 {
    let stamp = |i| map.read(&keys::key(i), V::stamp).expect("no key is lost");
    (0..row.n as u64).map(stamp).sum()
}

fn chunk<V: Word, M>(map: &M, workload: Workload, stream: &Stream, lap: usize) -> u64
where
    M: Bench<Key = u64, Value = V>,
{
    let place = lap % stream.sums.len();
    let words = &stream.words[place * CHUNK..][..CHUNK];
    let sum = match workload {
        Workload::GetHit | Workload::GetMiss => gets(map, words),
        Workload::Upsert => upserts(map, words),
        Workload::Update => updates(map, words),
        Workload::Count => counts(map, words),
        Workload::Mix(_) | Workload::Zipf(_) => mixed(map, words),
        Workload::GetMany(1) => get_many::<_, _, 1>(map, words),
        Workload::GetMany(4) => get_many::<_, _, 4>(map, words),
        Workload::GetMany(16) => get_many::<_, _, 16>(map, words),
        Workload::GetMany(64) => get_many::<_, _, 64>(map, words),
        Workload::InsertMany(16) => insert_many::<_, _, 16>(map, words),
        other => unreachable!("no suite of numbers has {other:?}"),
    };
    check::<M>(workload, sum, stream.sums[place]);
    CHUNK as u64
}

fn put<V: Word, M: Bench<Key = u64, Value = V>>(map: &M, key: u64, stamp: u64) -> u64 {
    fold(map.insert(&key, &V::new(key, stamp), V::look))
}

#[inline(never)]
fn gets<V: Word, M: Bench<Key = u64, Value = V>>(map: &M, words: &[u64]) -> u64 {
    words.iter().map(|key| fold(map.read(key, V::look))).sum()
}

#[inline(never)]
fn upserts<V: Word, M: Bench<Key = u64, Value = V>>(map: &M, words: &[u64]) -> u64 {
    words.iter().map(|&key| put(map, key, 1)).sum()
}

#[inline(never)]
fn updates<V: Word, M: Bench<Key = u64, Value = V>>(map: &M, words: &[u64]) -> u64 {
    words.iter().map(|key| fold(map.update(key, V::bumped, V::look))).sum()
}

/// Counts without answers; the caller adds the counts up afterwards.
#[inline(never)]
fn counts<V: Word, M: Bench<Key = u64, Value = V>>(map: &M, words: &[u64]) -> u64 {
    let one = |&key: &u64| {
        map.alter(&key, |old| old.map_or_else(|| V::new(key, 1), V::bumped));
        fold(Some(key))
    };
    words.iter().map(one).sum()
}

#[inline(never)]
fn mixed<V: Word, M: Bench<Key = u64, Value = V>>(map: &M, words: &[u64]) -> u64 {
    const GET: u64 = Call::Get as u64;
    const REMOVE: u64 = Call::Remove as u64;
    let one = |&word: &u64| {
        let key = word >> 2;
        match word & 3 {
            GET => fold(map.read(&key, V::look)),
            REMOVE => fold(map.remove(&key, V::look)),
            // Both are `insert`; they differ in whether the key is there.
            _ => put(map, key, 1),
        }
    };
    words.iter().map(one).sum()
}

#[inline(never)]
fn iterated<V: Word, M: Bench<Key = u64, Value = V>>(map: &M) -> u64 {
    let mut sum = 0;
    map.each(|_, value| sum += value.look());
    sum
}

fn see<V: Word>(value: Option<&V>) -> u64 {
    fold(value.map(V::look))
}

#[inline(never)]
fn get_many<V: Word, M, const N: usize>(map: &M, words: &[u64]) -> u64
where
    M: Bench<Key = u64, Value = V>,
{
    let (batches, _) = words.as_chunks::<N>();
    batches.iter().map(|keys| map.read_many(keys, see)).sum()
}

#[inline(never)]
fn insert_many<V: Word, M, const N: usize>(map: &M, words: &[u64]) -> u64
where
    M: Bench<Key = u64, Value = V>,
{
    let (batches, _) = words.as_chunks::<N>();
    batches.iter().map(|keys| map.insert_many(keys, |&key| V::new(key, 1), see)).sum()
}

fn remove<V: Word, M: Bench<Key = u64, Value = V>>(map: &M, keys: &[u64]) -> u64 {
    keys.iter().map(|key| fold(map.remove(key, V::look))).sum()
}

fn remove_many<V: Word, M, const N: usize>(map: &M, keys: &[u64]) -> u64
where
    M: Bench<Key = u64, Value = V>,
{
    let (batches, rest) = keys.as_chunks::<N>();
    let all: u64 = batches.iter().map(|keys| map.remove_many(keys, see)).sum();
    all + remove(map, rest)
}

fn inserts<V: Word, M: Bench<Key = u64, Value = V>>(map: &M, keys: &[u64]) -> u64 {
    keys.iter().map(|&key| put(map, key, 0)).sum()
}

fn fill<V: Word, M: Bench<Key = u64, Value = V>>(job: &Job<Stream>) -> Option<f64> {
    let keys = &job.streams[0].words;
    let plan = Plan {
        map: Ground::New(M::new()),
        renew: Some(M::new),
        keys: keys.len(),
        fill: &|map, range| inserts(map, &keys[range]),
        empty: &|_, _| 0,
        check: &|sum| check::<M>(Workload::Insert, sum, keys.len() as u64 * fold(None)),
        span: job.span,
    };
    phases(plan, job.streams.len())
}

/// Times how `remove` takes the first `many` keys of the stream out of `map`.
fn empty<V: Word, M: Bench<Key = u64, Value = V>>(
    job: &Job<Stream>,
    map: Ground<M>,
    many: usize,
    remove: fn(&M, &[u64]) -> u64,
) -> Option<f64> {
    let keys = &job.streams[0].words[..many];
    let plan = Plan {
        map,
        renew: None,
        keys: keys.len(),
        fill: &|map, range| inserts(map, &keys[range]),
        empty: &|map, range| remove(map, &keys[range]),
        check: &|sum| {
            let want = keys.iter().map(|&key| fold(Some(key))).sum();
            check::<M>(job.row.workload, sum, want);
        },
        span: job.span,
    };
    phases(plan, job.streams.len())
}
