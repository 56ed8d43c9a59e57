//! Making room where memory is at its limit: keys go, of a sample those that matter least.
//!
//! A step takes a bounded time, unless it has not yet freed as many bytes as the changes add that it is made for: so
//! memory stays near the limit, however fast it is written to. What is too much after a step is evicted by the next,
//! which the next change makes or the maintenance thread; a change is refused only if there is no key left that may go.

use crate::log::change;
use crate::options::Eviction;
use crate::request::RequestError;
use crate::state::State;
use crate::state::record::{Record, UsedAt, Value};
use crate::state::shard::Core;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Keys of which the worst goes, at least: as Redis's `maxmemory-samples`, and some more.
const SAMPLE: usize = 8;
/// Buckets that are visited at a time, while a shard is locked.
const BUCKETS: usize = 64;
/// Keys that go before it is looked up what is left, and how long it took; of one shard, at most.
const ROUND: usize = 16;
/// Of a shard so many keys stay for each that goes at a time: the others are a choice.
const PART: usize = 256;
/// For so long a change evicts: as Redis with its `maxmemory-eviction-tenacity` of 10.
pub(crate) const BEFORE_CHANGE: Duration = Duration::from_micros(500);
/// For so long the maintenance thread does, at a time.
pub(crate) const IN_BACKGROUND: Duration = Duration::from_millis(5);

/// How much a record is worth keeping: the least goes.
fn worth(record: Record, how: Eviction, now: UsedAt) -> u64 {
    match how {
        Eviction::Lru | Eviction::VolatileLru => u64::MAX - now.since(record.used()),
        Eviction::VolatileTtl => record.ends().unwrap_or(u64::MAX),
        Eviction::Never | Eviction::Random | Eviction::VolatileRandom => 0,
    }
}

fn only_ending(how: Eviction) -> bool {
    matches!(how, Eviction::VolatileLru | Eviction::VolatileRandom | Eviction::VolatileTtl)
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// Memory is within the limit.
    Enough,
    /// The time was over; there is more to evict.
    Some,
    /// Memory is over the limit, and no key is left that may go.
    Nothing,
}

/// Evicts keys until memory is within the limit, or for `time` if that frees as many bytes as will be added. The caller
/// holds no shard.
pub(crate) fn make_room(state: &State, time: Duration, added: impl FnOnce() -> usize) -> Made {
    let (max, how) = (state.limit.bytes(), state.limit.eviction());
    if max == 0 || state.memory() <= max {
        return Made::Enough;
    }
    if how == Eviction::Never {
        return Made::Nothing;
    }
    let (mut random, shards, began) = (Random::new(), state.shards.len(), Instant::now());
    let (added, mut freed, mut unseen) = (added(), 0, 0);
    loop {
        // All shards in turn, from any on: few keys that may go are found too.
        let first = random.next() as usize % shards;
        let mut turn = (0..shards).map(|step| (first + step) % shards);
        let over = state.memory().saturating_sub(max);
        let Some(gone) = turn.find_map(|shard| evict_some(state, shard, how, random.next(), over))
        else {
            return if fits(state, max) { Made::Enough } else { Made::Nothing };
        };
        freed += gone.bytes;
        unseen += gone.keys;
        if state.memory() <= max {
            return Made::Enough;
        }
        if unseen >= ROUND {
            unseen = 0;
            state.weigh_cold();
            if freed >= added && began.elapsed() >= time {
                return Made::Some;
            }
        }
    }
}

impl State {
    /// Whether a change may be made now, and if so, whether only one that needs no more memory: makes room first.
    /// `added` says how many bytes it may add, about. If the log has failed meanwhile, that is seen under the lock of
    /// the shard.
    pub(crate) fn admits(&self, added: impl FnOnce() -> usize) -> Result<bool, RequestError> {
        if !self.log.writable() {
            return Err(RequestError::LogUnavailable);
        }
        Ok(make_room(self, BEFORE_CHANGE, added) == Made::Nothing)
    }
}

/// Whether memory is within the limit when all threads have noted what they removed. A thread that evicts the last key
/// notes that the key is gone before it notes the bytes, both under the shard's lock.
fn fits(state: &State, max: usize) -> bool {
    state.shards.iter().for_each(|shard| drop(shard.lock()));
    state.memory() <= max
}

/// Keys that were evicted, and the bytes that they took.
#[derive(Default)]
struct Gone {
    keys: usize,
    bytes: usize,
}

/// Evicts keys of a shard, each the worst of a sample, until they took so many bytes; none if no key may go. Several go
/// together where there are many: the log's entry and the publish, which cost more than finding a key, serve for all.
fn evict_some(state: &State, number: usize, how: Eviction, from: u64, over: usize) -> Option<Gone> {
    let shard = &state.shards[number];
    let mut place = Place { at: from, ends: 0 };
    // Where few may go, all of the shard is looked through, and others have turns meanwhile.
    while place.ends < 2 {
        if shard.figures().keys() == 0 || only_ending(how) && shard.figures().ending() == 0 {
            return None;
        }
        let most = (shard.figures().keys() / PART).clamp(1, ROUND);
        let mut core = shard.lock();
        if !state.log.writable() {
            return None;
        }
        let time = core.at(state.clock.now());
        let (mut gone, mut log) = (Gone::default(), Vec::new());
        while gone.keys < most && gone.bytes <= over {
            // What is removed is seen until it is published: a walk that began anew could meet it again.
            let last = if gone.keys == 0 { 2 } else { 1 };
            let Some(record) = worst(&core, how, UsedAt::of(time), &mut place, last) else { break };
            let away = match record.value() {
                Value::Away(_, length) => length,
                Value::Here(_) | Value::Long(..) => 0,
            };
            gone.bytes += record.memory() + away;
            gone.keys += 1;
            change::delete(record.key(), &mut log);
            core.remove(record);
        }
        if gone.keys > 0 {
            state.finish(shard, &mut core, time, &log);
            state.shrink(shard, &mut core);
            // Relaxed: a figure by itself.
            state.evicted.fetch_add(gone.keys as u64, Ordering::Relaxed);
            return Some(gone);
        }
    }
    None
}

/// Where a walk through a shard is, and how often it has come to the shard's end.
struct Place {
    at: u64,
    ends: u32,
}

/// The worst of a sample of the keys that may go, from a place on, until the walk has come to its last end.
fn worst(core: &Core, how: Eviction, now: UsedAt, place: &mut Place, last: u32) -> Option<Record> {
    let (mut worst, mut seen, mut buckets) = (None::<(u64, Record)>, 0, 0);
    while seen < SAMPLE && buckets < BUCKETS && place.ends < last {
        let next = core.scan(place.at, |record| {
            if only_ending(how) && record.ends().is_none() {
                return;
            }
            seen += 1;
            let worth = worth(record, how, now);
            if worst.is_none_or(|(least, _)| worth < least) {
                worst = Some((worth, record));
            }
        });
        buckets += 1;
        place.at = next.unwrap_or(0);
        place.ends += u32::from(next.is_none());
    }
    worst.map(|(_, record)| record)
}

/// SplitMix64, begun at a random place. (Steele, Lea and Flood.)
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        use std::hash::{BuildHasher, RandomState};
        Self(RandomState::new().hash_one(0u8))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, TimeSource};
    use crate::log::none::NoLog;
    use crate::options::Options;
    use crate::state::load::Shards;
    use std::sync::{Arc, mpsc};

    /// Another thread has removed the only key that may go, and has not yet noted the bytes.
    #[test]
    fn room_that_another_thread_makes_is_room() {
        let mut options = Options::in_memory();
        (options.shards, options.eviction) = (1, Eviction::VolatileTtl);
        let shards = Shards::new(&options);
        let end = u64::MAX / 2;
        shards.load(b"ends", Some(end), &[b'v'; 1000]);
        let clock = Clock::starting(TimeSource::System, 0);
        let state = Arc::new(State::new(shards, Arc::new(NoLog::new()), clock, &options));
        state.limit.set_bytes(state.memory() - 1);
        let shard = &state.shards[0];
        let mut core = shard.lock();
        let record = core.find(b"ends").unwrap();
        core.remove(record);
        let by = shard.note(&core, Some(1));
        let (sender, made) = mpsc::channel();
        let other = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            sender.send(make_room(&other, BEFORE_CHANGE, || 0)).unwrap();
        });
        // Time enough to look at figures that do not fit together.
        let early = made.recv_timeout(Duration::from_millis(200));
        assert!(early.is_err(), "a change does not wait for room that is made: {early:?}");
        state.grown(by);
        core.show(1, 1);
        drop(core);
        assert_eq!(made.recv().unwrap(), Made::Enough);
        thread.join().unwrap();
    }
}
