//! Rounds of maps with a handle that writes and handles that read.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::laps::{self, Lap, Span};
use super::{Cost, Job, Runner, agree};
use crate::clock::{self, each, now, parts, sound};
use crate::data::Word;
use crate::keys::{self, fold};
use crate::pairs::{Pair, Reader, Writer};
use crate::rivals::Role;
use crate::work::pairs::{HELD, How, Paired, Script};
use crate::work::{Row, Workload};

/// Writes that are published at once while a map is made ready.
const BATCH: usize = 1 << 14;

/// The handles of one map.
pub struct Handles<P: Pair<u64>> {
    /// The one that writes.
    pub writer: P::Writer,
    /// One that reads.
    pub reader: P::Reader,
}

impl<P: Pair<u64>> Handles<P> {
    /// A map of the first `n` keys, grown by inserting them, with both its sides,
    /// if it has two, written to.
    pub fn built(n: usize) -> Self {
        let (mut writer, mut reader) = P::new();
        for key in (0..n as u64).map(keys::key) {
            writer.insert(key, u64::new(key, 0));
        }
        writer.publish();
        // As for other suites: some maps move to a larger table bit by bit.
        let again: Vec<_> = (0..n as u64 / 8).map(keys::key).collect();
        for batch in again.chunks(BATCH.min(n / 32)) {
            for &key in batch {
                writer.insert(key, u64::new(key, 1));
            }
            writer.publish();
        }
        for key in (0..n as u64).map(keys::key) {
            assert_eq!(reader.get(&key, u64::look), Some(fold(Some(key))), "a key is lost");
        }
        Self { writer, reader }
    }
}

/// The handles of one thread: all read, the first also writes.
struct Lane<P: Pair<u64>> {
    writer: Option<P::Writer>,
    reader: P::Reader,
}

/// A place in the contest for a map of one type.
pub struct PairRunner<P: Pair<u64>> {
    /// One for each thread of the last round; none before the map is built.
    lanes: Vec<Mutex<Lane<P>>>,
    /// Where each thread stopped in its script, in laps.
    places: [usize; 2],
}

impl<P: Pair<u64>> PairRunner<P> {
    /// A runner with no map in it yet.
    pub const fn new() -> Self {
        Self { lanes: vec![], places: [0; 2] }
    }
}

impl<P: Pair<u64>> Default for PairRunner<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Pair<u64>> Runner<Script> for PairRunner<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn role(&self) -> Role {
        P::ROLE
    }

    fn can(&self, row: &Row) -> bool {
        let Workload::Pair(work) = row.workload else { return false };
        let yard = P::ROLE == Role::Yard;
        let able = match work {
            Paired::Gets { how: How::Many, .. } => P::MANY || yard,
            Paired::Mix { by, .. } => by == 1 || P::PUBLISHES || yard,
            Paired::Publish(keys) => P::PUBLISHES && keys <= row.n,
            Paired::Gets { .. } => true,
        };
        able && P::can(row)
    }

    fn build(&mut self, n: usize) {
        *self = Self::new();
        let Handles { writer, reader } = Handles::<P>::built(n);
        self.lanes.push(Mutex::new(Lane { writer: Some(writer), reader }));
    }

    fn leave(&mut self) {
        *self = Self::new();
    }

    fn round(&mut self, job: &Job<Script>) -> Option<Cost> {
        let Workload::Pair(work) = job.row.workload else {
            unreachable!("no pair of handles does {:?}", job.row.workload)
        };
        let threads = job.streams.len();
        assert!(P::ROLE != Role::Yard || threads == 1, "{} is for one thread", P::NAME);
        // No handle is there that nobody reads with: a publish looks at all of them.
        self.lanes.truncate(threads);
        if self.lanes.len() < threads {
            let reader = lock(&self.lanes[0]).reader.another();
            self.lanes.push(Mutex::new(Lane { writer: None, reader }));
        }
        let lanes = &self.lanes;
        let lap = |thread: usize, lap: usize| {
            lock(&lanes[thread]).lap(job.row.workload, work, &job.streams[thread], lap)
        };
        let span = Span { warm: job.warm, span: job.span };
        let done = laps::lanes(span, &mut self.places[..threads], &lap);
        let stretches: Vec<_> = done.into_iter().map(|(stretches, _)| stretches).collect();
        let sound = sound(&stretches)?;
        if sound.iter().any(Vec::is_empty) {
            return None;
        }
        Some(match work {
            Paired::Publish(keys) => {
                // The clock's own share, of which nothing may be left.
                let less_clock = |ns: f64| (ns - clock::own()).max(1.0);
                let [writes, publish] = parts(&sound[0]).map(less_clock);
                Cost {
                    whole: publish,
                    parts: Some([writes, writes + publish].map(|ns| ns / keys as f64)),
                }
            }
            _ => Cost {
                whole: each(&sound.concat()),
                parts: (threads == 2).then(|| [each(&sound[0]), each(&sound[1])]),
            },
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<P: Pair<u64>> Lane<P> {
    fn lap(&mut self, workload: Workload, work: Paired, script: &Script, lap: usize) -> Lap {
        if let (Paired::Publish(keys), Some(writer)) = (work, &mut self.writer) {
            let place = lap % (script.words.len() / keys);
            return publish(writer, &script.words[place * keys..][..keys], lap as u64);
        }
        let place = lap % script.sums.len();
        let words = &script.words[place * script.lap..][..script.lap];
        let reader = &mut self.reader;
        let sum = match (work, &mut self.writer) {
            (Paired::Mix { by, .. }, Some(writer)) => mixed(writer, reader, words, by, lap as u64),
            (Paired::Gets { how: How::Held, .. }, _) => held(reader, words),
            (Paired::Gets { how: How::Many, .. }, _) => many(reader, words),
            _ => gets(reader, words),
        };
        agree(P::NAME, workload, sum, script.sums[place]);
        Lap { ops: words.len() as u64, parts: [0; 2] }
    }
}

#[inline(never)]
fn gets(reader: &mut impl Reader<u64>, words: &[u64]) -> u64 {
    words.iter().map(|key| fold(reader.get(key, u64::look))).sum()
}

fn see(value: Option<&u64>) -> u64 {
    fold(value.map(u64::look))
}

#[inline(never)]
fn held(reader: &mut impl Reader<u64>, words: &[u64]) -> u64 {
    let (batches, _) = words.as_chunks::<HELD>();
    batches.iter().map(|keys| reader.held(keys, see)).sum()
}

#[inline(never)]
fn many(reader: &mut impl Reader<u64>, words: &[u64]) -> u64 {
    let (batches, _) = words.as_chunks::<HELD>();
    batches.iter().map(|keys| reader.many(keys, see)).sum()
}

/// Reads and writes; of the writes, each `by` are published at once.
#[inline(never)]
fn mixed(
    writer: &mut impl Writer<u64>,
    reader: &mut impl Reader<u64>,
    words: &[u64],
    by: usize,
    stamp: u64,
) -> u64 {
    if by > 1 {
        return mixed_batches(writer, reader, words, by, stamp);
    }
    let one = |&word: &u64| {
        let key = word >> 1;
        if word & 1 == 0 {
            return fold(reader.get(&key, u64::look));
        }
        writer.insert(key, u64::new(key, stamp));
        writer.publish();
        fold(Some(key))
    };
    words.iter().map(one).sum()
}

/// Reads and writes; a batch is of `by` writes, and published at its end.
fn mixed_batches(
    writer: &mut impl Writer<u64>,
    reader: &mut impl Reader<u64>,
    words: &[u64],
    by: usize,
    stamp: u64,
) -> u64 {
    let (mut words, mut sum) = (words.iter(), 0_u64);
    while !words.as_slice().is_empty() {
        let mut left = by;
        writer.batched(|insert| {
            for &word in words.by_ref() {
                let key = word >> 1;
                if word & 1 == 0 {
                    sum = sum.wrapping_add(fold(reader.get(&key, u64::look)));
                    continue;
                }
                insert(key, u64::new(key, stamp));
                sum = sum.wrapping_add(fold(Some(key)));
                left -= 1;
                if left == 0 {
                    break;
                }
            }
        });
        if left == 0 {
            writer.publish();
        }
    }
    sum
}

/// Writes all of `keys`, then publishes, each timed by itself. Work that a map
/// leaves to its next write is part of its publish.
fn publish(writer: &mut impl Writer<u64>, keys: &[u64], stamp: u64) -> Lap {
    let start = now();
    writer.batched(|insert| {
        for &key in keys {
            insert(key, u64::new(key, stamp));
        }
    });
    let written = now();
    writer.publish();
    writer.wait_for_readers();
    Lap { ops: 1, parts: [written - start, now() - written] }
}
