//! The timed loops over maps of text.

use super::laps::{Span, laps};
use super::{Job, Runs, check};
use crate::rivals::Bench;
use crate::work::script::Call;
use crate::work::texts::{Line, NOTHING, TextStream, key, look, value};
use crate::work::{CHUNK, Workload};

impl<M: Bench<Key = String, Value = String>> Runs<TextStream> for M {
    fn built(n: usize) -> Self {
        let map = M::new();
        // The second time round, maps that move to a larger table a little with
        // each write get the writes to finish it.
        let indices = (0..n as u64).chain(0..n as u64 / 8);
        for (turn, i) in indices.enumerate() {
            let (key, value) = (key(i), value(i));
            let old = map.insert(&key, &value, |old| old.len() as u64).unwrap_or(NOTHING);
            let want = if turn < n { NOTHING } else { value.len() as u64 };
            check::<M>(Workload::Insert, old, want);
        }
        map
    }

    fn run(map: Option<&Self>, job: &Job<TextStream>, places: &mut [usize]) -> Option<f64> {
        let map = map.expect("the map is built before its rounds");
        let lengths = |i| (key(i).len() + value(i).len()) as u64;
        let iterates = job.row.workload == Workload::Iterate;
        let all = if iterates { (0..job.row.n as u64).map(lengths).sum() } else { 0 };
        let span = Span { warm: job.warm, span: job.span };
        let lap = |thread: usize, lap: usize| {
            if iterates {
                check::<M>(Workload::Iterate, iterated(map), all);
                return job.row.n as u64;
            }
            chunk(map, job.row.workload, &job.streams[thread], lap)
        };
        laps(span, &mut places[..job.streams.len()], &lap).0
    }
}

fn chunk<M>(map: &M, workload: Workload, stream: &TextStream, lap: usize) -> u64
where
    M: Bench<Key = String, Value = String>,
{
    let place = lap % stream.sums.len();
    let lines = &stream.lines[place * CHUNK..][..CHUNK];
    let sum = match workload {
        Workload::GetHit | Workload::GetMiss => gets(map, stream, lines, length),
        Workload::GetLook => gets(map, stream, lines, look),
        Workload::Upsert => upserts(map, stream, lines),
        Workload::Mix(_) => mixed(map, stream, lines),
        Workload::GetMany(16) => get_many::<_, 16>(map, stream, lines),
        other => unreachable!("no suite of text has {other:?}"),
    };
    check::<M>(workload, sum, stream.sums[place]);
    CHUNK as u64
}

#[inline]
fn length(text: &str) -> u64 {
    text.len() as u64
}

#[inline(never)]
fn gets<M: Bench<Key = String, Value = String>>(
    map: &M,
    stream: &TextStream,
    lines: &[Line],
    see: impl Fn(&str) -> u64,
) -> u64 {
    lines.iter().map(|&line| map.read(stream.key(line), &see).unwrap_or(NOTHING)).sum()
}

#[inline]
fn put<M: Bench<Key = String, Value = String>>(map: &M, stream: &TextStream, line: Line) -> u64 {
    map.insert(stream.key(line), stream.value(line), length).unwrap_or(NOTHING)
}

#[inline(never)]
fn upserts<M>(map: &M, stream: &TextStream, lines: &[Line]) -> u64
where
    M: Bench<Key = String, Value = String>,
{
    lines.iter().map(|&line| put(map, stream, line)).sum()
}

#[inline(never)]
fn mixed<M>(map: &M, stream: &TextStream, lines: &[Line]) -> u64
where
    M: Bench<Key = String, Value = String>,
{
    let one = |&line: &Line| match line.ask {
        Call::Get => map.read(stream.key(line), length).unwrap_or(NOTHING),
        Call::Remove => map.remove(stream.key(line), length).unwrap_or(NOTHING),
        Call::Upsert | Call::Insert => put(map, stream, line),
    };
    lines.iter().map(one).sum()
}

#[inline(never)]
fn get_many<M, const N: usize>(map: &M, stream: &TextStream, lines: &[Line]) -> u64
where
    M: Bench<Key = String, Value = String>,
{
    let (batches, _) = lines.as_chunks::<N>();
    let see = |value: Option<&str>| value.map_or(NOTHING, length);
    batches.iter().map(|lines| map.read_many(&lines.map(|line| stream.key(line)), see)).sum()
}

#[inline(never)]
fn iterated<M: Bench<Key = String, Value = String>>(map: &M) -> u64 {
    let mut sum = 0;
    map.each(|key, value| sum += length(key) + length(value));
    sum
}
