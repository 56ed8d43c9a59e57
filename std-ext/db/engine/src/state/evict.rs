//! Eviction: when memory has reached its limit, keys are removed by a sampled policy, as in Redis.
//!
//! An eviction step takes a bounded time. Only if it has not freed as many bytes as the pending changes add, it
//! continues: so memory stays near the limit at any rate of writes. The rest is evicted by later steps, before later
//! changes or by the maintenance thread. A change is rejected only if no key may be evicted.

use crate::event_flags::EventFlags;
use crate::latency_monitor::event;
use crate::log::change;
use crate::options::Eviction;
use crate::request::RequestError;
use crate::slots::slot;
use crate::state::State;
use crate::state::key_tracker::Invalidates;
use crate::state::random::Random;
use crate::state::record::Record;
use crate::state::shard::Core;
use crate::state::value::string::StringValue;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How many keys a sample has at least above the setting. Redis keeps the lowest keys of earlier samples instead.
const MORE: usize = 3;
/// The most buckets that are scanned for a sample, unless the setting is greater.
const BUCKETS: usize = 64;
/// The most keys that are evicted together from one shard. After as many the step checks memory and time.
const BATCH: usize = 16;
/// A shard must have this many keys for each key that is evicted together: fewer would leave the sample no choice.
const KEYS_PER_VICTIM: usize = 256;
/// The time of an eviction step before a change: as in Redis with `maxmemory-eviction-tenacity` 10.
pub(crate) const BEFORE_CHANGE: Duration = Duration::from_micros(500);
/// The time of an eviction step of the maintenance thread.
pub(crate) const IN_BACKGROUND: Duration = Duration::from_millis(5);

fn only_with_ttl(policy: Eviction) -> bool {
    matches!(
        policy,
        Eviction::VolatileLru
            | Eviction::VolatileLfu
            | Eviction::VolatileRandom
            | Eviction::VolatileTtl
    )
}

/// The outcome of an eviction step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MakeRoom {
    /// Memory is within the limit.
    Done,
    /// The time is over, and memory is above the limit.
    TimedOut,
    /// Memory is above the limit, and no key may be evicted.
    NoVictim,
}

/// Evicts keys until memory is within the limit, or until `time` is over and `added` bytes were freed. The caller holds
/// no shard's lock.
pub fn make_room(state: &State, time: Duration, added: impl FnOnce() -> usize) -> MakeRoom {
    let (max, policy) = (state.limit.bytes(), state.limit.eviction());
    if max == 0 || state.memory() <= max {
        return MakeRoom::Done;
    }
    // A follower removes what the primary has removed.
    if state.role.get().follows() {
        return MakeRoom::Done;
    }
    // `noeviction` fails at once, as `performEvictions` does.
    if policy == Eviction::Never {
        return MakeRoom::NoVictim;
    }
    let began = state.latency.begin();
    let made = evict_until(state, (max, policy), time, added());
    state.latency.end(event::EVICTION_CYCLE, began);
    made
}

/// Evicts keys until memory is at most `max`, or until `time` is over and `added` bytes were freed.
fn evict_until(
    state: &State,
    (max, policy): (usize, Eviction),
    time: Duration,
    added: usize,
) -> MakeRoom {
    let (mut random, shards, began) = (Random::new(), state.shards.len(), Instant::now());
    let (mut freed, mut since_check) = (0, 0);
    loop {
        // Begins at a random shard and goes through all: so it also finds a few keys in one shard.
        let first = random.next() as usize % shards;
        let mut order = (0..shards).map(|step| (first + step) % shards);
        let over = state.memory().saturating_sub(max);
        let Some(evicted) =
            order.find_map(|shard| evict_some(state, shard, policy, random.next(), over))
        else {
            return if fits(state, max) { MakeRoom::Done } else { MakeRoom::NoVictim };
        };
        freed += evicted.bytes;
        since_check += evicted.keys;
        if state.memory() <= max {
            return MakeRoom::Done;
        }
        if since_check >= BATCH {
            since_check = 0;
            // Once for a batch: it looks at every segment of the store.
            state.update_cold_memory();
            if freed >= added && began.elapsed() >= time {
                return MakeRoom::TimedOut;
            }
        }
    }
}

impl State {
    /// Evicts if necessary, and returns whether only changes that need no memory are admitted. `added` returns the
    /// approximate number of bytes that the changes add.
    ///
    /// If the log fails after this check, the caller notices under the shard's lock.
    pub(crate) fn admit_change(&self, added: impl FnOnce() -> usize) -> Result<bool, RequestError> {
        self.check_writable()?;
        // After `TimedOut` the change is admitted, as after Redis's `EVICT_RUNNING`: later steps evict the rest.
        Ok(make_room(self, BEFORE_CHANGE, added) == MakeRoom::NoVictim)
    }
}

/// Checks the memory again, under each shard's lock: another thread may have evicted the last key and not yet updated
/// the memory. It does both under the shard's lock.
fn fits(state: &State, max: usize) -> bool {
    state.shards.iter().for_each(|shard| drop(shard.lock()));
    state.memory() <= max
}

/// The keys that were evicted, and their bytes.
#[derive(Default)]
struct Evicted {
    keys: usize,
    bytes: usize,
}

/// Evicts keys of a shard until they took `over` bytes, each the lowest of a sample. Returns None if no key may be
/// evicted. If the shard has many keys, several go together: the log entry and the publish, which cost more than
/// finding a key, are shared.
fn evict_some(
    state: &State,
    number: usize,
    policy: Eviction,
    from: u64,
    over: usize,
) -> Option<Evicted> {
    let shard = &state.shards[number];
    let mut cursor = EvictionCursor { at: from, wraps: 0 };
    // Each iteration holds the lock for a bounded time. If few keys may be evicted, the loop scans the whole shard, and
    // other threads get the lock meanwhile.
    while cursor.wraps < 2 {
        if shard.stats().keys() == 0 || only_with_ttl(policy) && shard.stats().keys_with_ttl() == 0
        {
            return None;
        }
        let most = (shard.stats().keys() / KEYS_PER_VICTIM).clamp(1, BATCH);
        let mut core = shard.lock();
        if state.check_writable().is_err() {
            return None;
        }
        let began = state.latency.begin();
        let time = core.advance_time(state.clock.now());
        let (mut evicted, mut log) = (Evicted::default(), Vec::new());
        state.begin_entry(number, &mut log);
        while evicted.keys < most && evicted.bytes <= over {
            // The scan sees a removed key until it is published. A scan that wraps around could choose the same key
            // twice.
            let last = if evicted.keys == 0 { 2 } else { 1 };
            let Some(record) = pick_victim((state, &core), policy, time, &mut cursor, last) else {
                break;
            };
            // What the store will free is not known before. The length before compression is too much, so the loop ends
            // early at worst, and the next step continues.
            let compressed = match record.string() {
                Some(StringValue::Compressed(_, length)) => length,
                _ => 0,
            };
            evicted.bytes += record.memory() + compressed;
            evicted.keys += 1;
            change::delete(record.key(), &mut log);
            core.events.note(EventFlags::EVICTED, "evicted", record.key());
            core.remove(record);
        }
        if evicted.keys > 0 {
            // The client that writes is told of evicted keys also if it is not told of its own changes.
            core.invalidates = Invalidates::Evicted;
            state.log_and_publish(shard, &mut core, time, &log);
            core.invalidates = Invalidates::Entry;
            // Otherwise the table keeps the memory that the keys gave back, and more keys would go for it.
            state.shrink(shard, &mut core);
            // Relaxed: a count.
            state.evicted.fetch_add(evicted.keys as u64, Ordering::Relaxed);
            drop(core);
            state.latency.end(event::EVICTION_DEL, began);
            return Some(evicted);
        }
    }
    None
}

/// The position of a scan, and how often it has reached the end of the shard.
struct EvictionCursor {
    at: u64,
    wraps: u32,
}

/// Scans a sample of the keys that may be evicted, from the cursor on, and returns the lowest. Stops when the cursor
/// has wrapped around `last` times.
fn pick_victim(
    (state, core): (&State, &Core),
    policy: Eviction,
    now: u64,
    cursor: &mut EvictionCursor,
    last: u32,
) -> Option<Record> {
    let (mut victim, mut seen, mut buckets) = (None::<(u64, Record)>, 0, 0);
    let usage = state.usage_at(now);
    let sample = state.limit.samples() as usize + MORE;
    while seen < sample && buckets < sample.max(BUCKETS) && cursor.wraps < last {
        let next = core.scan(cursor.at, |record| {
            if only_with_ttl(policy) && record.expires_at().is_none() {
                return;
            }
            // The keys of slots that are being moved are another group's.
            if !state.ownership.has(|| slot(record.key())) {
                return;
            }
            seen += 1;
            let priority = usage.priority(record, policy);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::state::key_tracker::KeyTracker;
    use std::sync::atomic::AtomicUsize;
    use std::sync::{Arc, mpsc};

    #[test]
    fn larger_samples_have_lower_keys() {
        let options =
            Options { shards: 1, eviction: Eviction::VolatileTtl, ..Options::in_memory() };
        let state = State::without_log(&options, |shards| {
            for key in 0..2000_u64 {
                shards.load(&key.to_be_bytes(), Some(u64::MAX / 2 + key), b"v");
            }
        });
        let core = state.shards[0].lock();
        let mut random = Random::new();
        let mut sum = |samples| {
            state.limit.set_samples(samples);
            let victims = (0..200).filter_map(|_| {
                let mut cursor = EvictionCursor { at: random.next(), wraps: 0 };
                pick_victim((&state, &core), Eviction::VolatileTtl, 0, &mut cursor, 2)
            });
            victims.map(|record| record.expires_at().unwrap() - u64::MAX / 2).sum::<u64>()
        };
        let (small, large) = (sum(1), sum(64));
        assert!(4 * large < small, "samples of 64 keys have a sum of {large}, of 1 key {small}");
    }

    /// Counts changed keys: those of clients, and those of the server.
    #[derive(Default)]
    struct Counts([AtomicUsize; 2]);

    impl KeyTracker for Counts {
        fn keys_changed(&self, keys: &[&[u8]], by_server: bool) {
            self.0[usize::from(by_server)].fetch_add(keys.len(), Ordering::Relaxed);
        }

        fn all_changed(&self) {}
    }

    #[test]
    fn evicted_keys_are_reported_as_changes_of_the_server() {
        let options = Options { shards: 1, eviction: Eviction::Random, ..Options::in_memory() };
        let state = State::without_log(&options, |shards| {
            for key in 0..100_u64 {
                shards.load(&key.to_be_bytes(), None, &[b'v'; 1000]);
            }
        });
        let counts = Arc::new(Counts::default());
        state.tracked.set_tracker(counts.clone());
        state.tracked.clients().set(1);
        state.limit.set_bytes(state.memory() - 10_000);
        assert_eq!(make_room(&state, BEFORE_CHANGE, || 0), MakeRoom::Done);
        let [by_clients, by_server] =
            counts.0.each_ref().map(|count| count.load(Ordering::Relaxed));
        assert_eq!(by_clients, 0, "an eviction is reported as a client's change");
        assert!(by_server >= 10, "only {by_server} evictions are reported");
    }

    /// Another thread has removed the only key that may be evicted, and has not yet updated the memory.
    #[test]
    fn memory_that_another_thread_frees_counts() {
        let options =
            Options { shards: 1, eviction: Eviction::VolatileTtl, ..Options::in_memory() };
        let end = u64::MAX / 2;
        let state = Arc::new(State::without_log(&options, |shards| {
            shards.load(b"ends", Some(end), &[b'v'; 1000]);
        }));
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
        // Enough time to read a key count and a memory that do not match.
        let early = made.recv_timeout(Duration::from_millis(200));
        assert!(early.is_err(), "a change does not wait for memory that is being freed: {early:?}");
        state.add_memory(by);
        core.publish(1, 1);
        drop(core);
        assert_eq!(made.recv().unwrap(), MakeRoom::Done);
        thread.join().unwrap();
    }
}
