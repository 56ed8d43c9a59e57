//! Making room where memory is at its limit: keys go, of a sample those that matter least.

use crate::log::change;
use crate::options::Eviction;
use crate::state::State;
use crate::state::record::{Record, UsedAt};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// Keys of which the worst goes, at least: as Redis's `maxmemory-samples`, and some more.
const SAMPLE: usize = 8;
/// Buckets that are visited at a time, while a shard is locked.
const BUCKETS: usize = 64;
/// Keys that go for one change, at most: what is too much after that is refused.
const MOST: usize = 256;

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

/// Evicts keys until memory is within `max`; whether it is. The caller holds no shard.
pub(super) fn make_room(state: &State, max: usize) -> bool {
    let how = state.limit.eviction();
    if how == Eviction::Never {
        return false;
    }
    let (mut random, shards) = (Random::new(), state.shards.len());
    let mut gone = 0;
    while state.memory() > max {
        // All shards in turn, from any on: few keys that may go are found too.
        let first = random.next() as usize % shards;
        let mut turn = (0..shards).map(|step| (first + step) % shards);
        if gone >= MOST || !turn.any(|shard| evict_one(state, shard, how, random.next())) {
            return false;
        }
        gone += 1;
    }
    true
}

/// Evicts the worst of a sample of a shard's keys, if there are any that may go.
fn evict_one(state: &State, number: usize, how: Eviction, from: u64) -> bool {
    let shard = &state.shards[number];
    let (mut at, mut ends) = (from, 0);
    // Where few may go, all of the shard is looked through, and others have turns meanwhile.
    while ends < 2 {
        if shard.figures().keys() == 0 || only_ending(how) && shard.figures().ending() == 0 {
            return false;
        }
        let mut core = shard.lock();
        if !state.log.writable() {
            return false;
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
            let mut log = Vec::new();
            change::delete(record.key(), &mut log);
            core.remove(record);
            state.finish(shard, &mut core, time, &log);
            // Relaxed: a figure by itself.
            state.evicted.fetch_add(1, Ordering::Relaxed);
            return true;
        }
    }
    false
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
