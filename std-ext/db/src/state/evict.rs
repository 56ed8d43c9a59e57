//! Making room where memory is at its limit: keys go, of a sample those that matter least.
//!
//! A step takes a bounded time, unless it has not yet freed as many bytes as the changes add that it is made for: so
//! memory stays near the limit, however fast it is written to. What is too much after a step is evicted by the next,
//! which the next change makes or the maintenance thread; a change is refused only if there is no key left that may go.

use crate::log::change;
use crate::options::Eviction;
use crate::request::RequestError;
use crate::state::State;
use crate::state::record::{AccessTime, Record, Value};
use crate::state::shard::Core;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Keys of which the worst goes, at least: as Redis's `maxmemory-samples`, and some more.
const SAMPLE: usize = 8;
/// Buckets that are visited at a time, while a shard is locked.
const BUCKETS: usize = 64;
/// Keys that go before it is looked up what is left, and how long it took; of one shard, at most.
const BATCH: usize = 16;
/// Of a shard so many keys stay for each that goes at a time: the others are a choice.
const KEYS_PER_VICTIM: usize = 256;
/// For so long a change evicts: as Redis with its `maxmemory-eviction-tenacity` of 10.
pub(crate) const BEFORE_CHANGE: Duration = Duration::from_micros(500);
/// For so long the maintenance thread does, at a time.
pub(crate) const IN_BACKGROUND: Duration = Duration::from_millis(5);

/// How much a record is worth keeping: the least goes.
fn priority(record: Record, policy: Eviction, now: AccessTime) -> u64 {
    match policy {
        Eviction::Lru | Eviction::VolatileLru => u64::MAX - now.since(record.last_access()),
        Eviction::VolatileTtl => record.expires_at().unwrap_or(u64::MAX),
        Eviction::Never | Eviction::Random | Eviction::VolatileRandom => 0,
    }
}

fn only_with_ttl(policy: Eviction) -> bool {
    matches!(policy, Eviction::VolatileLru | Eviction::VolatileRandom | Eviction::VolatileTtl)
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MakeRoom {
    /// Memory is within the limit.
    Done,
    /// The time was over; there is more to evict.
    TimedOut,
    /// Memory is over the limit, and no key is left that may go.
    NoVictim,
}

/// Evicts keys until memory is within the limit, or for `time` if that frees as many bytes as will be added. The caller
/// holds no shard.
pub(crate) fn make_room(state: &State, time: Duration, added: impl FnOnce() -> usize) -> MakeRoom {
    let (max, policy) = (state.limit.bytes(), state.limit.eviction());
    if max == 0 || state.memory() <= max {
        return MakeRoom::Done;
    }
    if policy == Eviction::Never {
        return MakeRoom::NoVictim;
    }
    let (mut random, shards, began) = (Random::new(), state.shards.len(), Instant::now());
    let (added, mut freed, mut unseen) = (added(), 0, 0);
    loop {
        // All shards in turn, from any on: few keys that may go are found too.
        let first = random.next() as usize % shards;
        let mut turn = (0..shards).map(|step| (first + step) % shards);
        let over = state.memory().saturating_sub(max);
        let Some(evicted) =
            turn.find_map(|shard| evict_some(state, shard, policy, random.next(), over))
        else {
            return if fits(state, max) { MakeRoom::Done } else { MakeRoom::NoVictim };
        };
        freed += evicted.bytes;
        unseen += evicted.keys;
        if state.memory() <= max {
            return MakeRoom::Done;
        }
        if unseen >= BATCH {
            unseen = 0;
            state.update_cold_memory();
            if freed >= added && began.elapsed() >= time {
                return MakeRoom::TimedOut;
            }
        }
    }
}

impl State {
    /// Whether a change may be made now, and if so, whether only one that needs no more memory: makes room first.
    /// `added` says how many bytes it may add, about. If the log has failed meanwhile, that is seen under the lock of
    /// the shard.
    pub(crate) fn admit_change(&self, added: impl FnOnce() -> usize) -> Result<bool, RequestError> {
        if !self.log.writable() {
            return Err(RequestError::LogUnavailable);
        }
        Ok(make_room(self, BEFORE_CHANGE, added) == MakeRoom::NoVictim)
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
struct Evicted {
    keys: usize,
    bytes: usize,
}

/// Evicts keys of a shard, each the worst of a sample, until they took so many bytes; none if no key may go. Several go
/// together where there are many: the log's entry and the publish, which cost more than finding a key, serve for all.
fn evict_some(
    state: &State,
    number: usize,
    policy: Eviction,
    from: u64,
    over: usize,
) -> Option<Evicted> {
    let shard = &state.shards[number];
    let mut cursor = Cursor { at: from, wraps: 0 };
    // Where few may go, all of the shard is looked through, and others have turns meanwhile.
    while cursor.wraps < 2 {
        if shard.stats().keys() == 0 || only_with_ttl(policy) && shard.stats().keys_with_ttl() == 0
        {
            return None;
        }
        let most = (shard.stats().keys() / KEYS_PER_VICTIM).clamp(1, BATCH);
        let mut core = shard.lock();
        if !state.log.writable() {
            return None;
        }
        let time = core.advance_time(state.clock.now());
        let (mut evicted, mut log) = (Evicted::default(), Vec::new());
        while evicted.keys < most && evicted.bytes <= over {
            // What is removed is seen until it is published: a walk that began anew could meet it again.
            let last = if evicted.keys == 0 { 2 } else { 1 };
            let Some(record) = pick_victim(&core, policy, AccessTime::of(time), &mut cursor, last)
            else {
                break;
            };
            let away = match record.value() {
                Value::Compressed(_, length) => length,
                Value::Inline(_) | Value::Rope(..) => 0,
            };
            evicted.bytes += record.memory() + away;
            evicted.keys += 1;
            change::delete(record.key(), &mut log);
            core.remove(record);
        }
        if evicted.keys > 0 {
            state.log_and_publish(shard, &mut core, time, &log);
            state.shrink(shard, &mut core);
            // Relaxed: a figure by itself.
            state.evicted.fetch_add(evicted.keys as u64, Ordering::Relaxed);
            return Some(evicted);
        }
    }
    None
}

/// Where a walk through a shard is, and how often it has come to the shard's end.
struct Cursor {
    at: u64,
    wraps: u32,
}

/// The worst of a sample of the keys that may go, from a place on, until the walk has come to its last end.
fn pick_victim(
    core: &Core,
    policy: Eviction,
    now: AccessTime,
    cursor: &mut Cursor,
    last: u32,
) -> Option<Record> {
    let (mut victim, mut seen, mut buckets) = (None::<(u64, Record)>, 0, 0);
    while seen < SAMPLE && buckets < BUCKETS && cursor.wraps < last {
        let next = core.scan(cursor.at, |record| {
            if only_with_ttl(policy) && record.expires_at().is_none() {
                return;
            }
            seen += 1;
            let priority = priority(record, policy, now);
            if victim.is_none_or(|(least, _)| priority < least) {
                victim = Some((priority, record));
            }
        });
        buckets += 1;
        cursor.at = next.unwrap_or(0);
        cursor.wraps += u32::from(next.is_none());
    }
    victim.map(|(_, record)| record)
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
    use crate::state::load::LoadingShards;
    use std::sync::{Arc, mpsc};

    /// Another thread has removed the only key that may go, and has not yet noted the bytes.
    #[test]
    fn room_that_another_thread_makes_is_room() {
        let mut options = Options::in_memory();
        (options.shards, options.eviction) = (1, Eviction::VolatileTtl);
        let shards = LoadingShards::new(&options);
        let end = u64::MAX / 2;
        shards.load(b"ends", Some(end), &[b'v'; 1000]);
        let clock = Clock::starting(TimeSource::System, 0);
        let state = Arc::new(State::new(shards, Arc::new(NoLog::new()), clock, &options));
        state.limit.set_bytes(state.memory() - 1);
        let shard = &state.shards[0];
        let mut core = shard.lock();
        let record = core.find(b"ends").unwrap();
        core.remove(record);
        let by = shard.update_stats(&core, Some(1));
        let (sender, made) = mpsc::channel();
        let other = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            sender.send(make_room(&other, BEFORE_CHANGE, || 0)).unwrap();
        });
        // Time enough to look at figures that do not fit together.
        let early = made.recv_timeout(Duration::from_millis(200));
        assert!(early.is_err(), "a change does not wait for room that is made: {early:?}");
        state.add_memory(by);
        core.publish(1, 1);
        drop(core);
        assert_eq!(made.recv().unwrap(), MakeRoom::Done);
        thread.join().unwrap();
    }
}
