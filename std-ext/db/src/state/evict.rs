//! Making room where memory is at its limit: keys go, of a sample those that matter least.
//!
//! A step takes a bounded time, unless it has not yet freed as many bytes as the changes add that it is made for: so
//! memory stays near the limit, however fast it is written to. What is too much after a step is evicted by the next,
//! which the next change makes or the maintenance thread; a change is refused only if there is no key left that may go.

use crate::log::change;
use crate::options::Eviction;
use crate::state::State;
use crate::state::record::{Record, UsedAt, Value};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Keys of which the worst goes, at least: as Redis's `maxmemory-samples`, and some more.
const SAMPLE: usize = 8;
/// Buckets that are visited at a time, while a shard is locked.
const BUCKETS: usize = 64;
/// Keys that go before it is looked up what is left, and how long it took.
const ROUND: usize = 16;
/// For so long a change evicts: as Redis with its `maxmemory-eviction-tenacity` of 10.
pub(crate) const BEFORE_CHANGE: Duration = Duration::from_micros(500);
/// For so long the maintenance thread does, at a time.
pub(crate) const IN_BACKGROUND: Duration = Duration::from_millis(5);

/// What memory is allowed, and what happens at that limit.
pub(crate) struct Limit {
    bytes: AtomicUsize,
    eviction: AtomicU8,
}

const ALL: [Eviction; 6] = [
    Eviction::Never,
    Eviction::Lru,
    Eviction::Random,
    Eviction::VolatileLru,
    Eviction::VolatileRandom,
    Eviction::VolatileTtl,
];

impl Limit {
    pub(crate) fn new(bytes: usize, eviction: Eviction) -> Self {
        let limit = Self { bytes: AtomicUsize::new(bytes), eviction: AtomicU8::new(0) };
        limit.set_eviction(eviction);
        limit
    }

    /// 0 for no limit.
    pub(crate) fn bytes(&self) -> usize {
        // Relaxed: a setting by itself.
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn set_bytes(&self, bytes: usize) {
        // Relaxed: as above.
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn eviction(&self) -> Eviction {
        // Relaxed: a setting by itself.
        ALL[usize::from(self.eviction.load(Ordering::Relaxed))]
    }

    pub(crate) fn set_eviction(&self, how: Eviction) {
        let place = ALL.iter().position(|one| *one == how).unwrap_or(0);
        // Relaxed: a setting by itself.
        self.eviction.store(place as u8, Ordering::Relaxed);
    }
}

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
    let (added, mut freed) = (added(), 0);
    for gone in 1_usize.. {
        // All shards in turn, from any on: few keys that may go are found too.
        let first = random.next() as usize % shards;
        let mut turn = (0..shards).map(|step| (first + step) % shards);
        let Some(bytes) = turn.find_map(|shard| evict_one(state, shard, how, random.next())) else {
            return Made::Nothing;
        };
        freed += bytes;
        if state.memory() <= max {
            return Made::Enough;
        }
        if gone.is_multiple_of(ROUND) {
            state.weigh_cold();
            if freed >= added && began.elapsed() >= time {
                break;
            }
        }
    }
    Made::Some
}

/// Evicts the worst of a sample of a shard's keys, if there are any that may go; how many bytes it took.
fn evict_one(state: &State, number: usize, how: Eviction, from: u64) -> Option<usize> {
    let shard = &state.shards[number];
    let (mut at, mut ends) = (from, 0);
    // Where few may go, all of the shard is looked through, and others have turns meanwhile.
    while ends < 2 {
        if shard.figures().keys() == 0 || only_ending(how) && shard.figures().ending() == 0 {
            return None;
        }
        let mut core = shard.lock();
        if !state.log.writable() {
            return None;
        }
        let time = core.at(state.clock.now());
        let (mut worst, mut seen, now) = (None::<(u64, Record)>, 0, UsedAt::of(time));
        for _ in 0..BUCKETS {
            let next = core.scan(at, |record| {
                if only_ending(how) && record.ends().is_none() {
                    return;
                }
                seen += 1;
                let worth = worth(record, how, now);
                if worst.is_none_or(|(least, _)| worth < least) {
                    worst = Some((worth, record));
                }
            });
            at = next.unwrap_or(0);
            ends += u32::from(next.is_none());
            if seen >= SAMPLE || ends == 2 {
                break;
            }
        }
        if let Some((_, record)) = worst {
            let away = match record.value() {
                Value::Away(_, length) => length,
                Value::Here(_) | Value::Long(..) => 0,
            };
            let (bytes, mut log) = (record.memory() + away, Vec::new());
            change::delete(record.key(), &mut log);
            core.remove(record);
            state.finish(shard, &mut core, time, &log);
            state.shrink(shard, &mut core);
            // Relaxed: a figure by itself.
            state.evicted.fetch_add(1, Ordering::Relaxed);
            return Some(bytes);
        }
    }
    None
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
