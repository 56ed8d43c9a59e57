//! The cycle of the maintenance thread: active expiration, reclaiming retired records, shrinking tables, eviction,
//! compression, moving records together, and trimming the heap.

use crate::event_flags::EventFlags;
use crate::latency_monitor::event;
use crate::state::State;
use crate::state::evict::{self, MakeRoom};
use crate::state::record::Record;
use crate::state::slabs;
use std::sync::atomic::Ordering;

/// The most buckets that are scanned in a shard at a time, under its lock: some 20 µs.
const BUCKETS: usize = 256;
/// The most records that are moved in a shard at a time, under its lock, and a few more.
const MOST_MOVED: usize = 256;

/// Goes through all shards once. Returns whether there is so much work left that the next cycle should begin soon.
pub(crate) fn run_cycle(state: &State) -> bool {
    let mut more = false;
    state.follow_clock();
    let began = state.latency.begin();
    for number in 0..state.shards.len() {
        more |= active_expire_cycle(state, number);
    }
    state.latency.end(event::EXPIRE_CYCLE, began);
    state.log_floor_if_due();
    // A snapshot keeps the records that it has seen.
    // Relaxed: a hint.
    if state.snapshots.load(Ordering::Relaxed) == 0 && slabs::should_compact() {
        for number in 0..state.shards.len() {
            more |= compact(state, number);
        }
    }
    slabs::purge_if_many();
    state.heap_trimmer.trim_if_due(state.memory() + slabs::free_bytes());
    more |= evict::make_room(state, evict::IN_BACKGROUND, || 0) == MakeRoom::TimedOut;
    if let Some(cold) = &state.cold {
        more |= cold.step();
        state.update_cold_memory();
    }
    more
}

/// Removes some expired keys of a shard. Returns true if more than a quarter of the scanned keys with a TTL had
/// expired, as Redis's active expire cycle does to decide whether to go on.
fn active_expire_cycle(state: &State, number: usize) -> bool {
    let shard = &state.shards[number];
    // A busy shard is left to the next cycle.
    let Some(mut core) = shard.try_lock() else { return false };
    if core.reclaim(state.log.safe()) {
        state.shrink(shard, &mut core);
    }
    if shard.stats().keys_with_ttl() == 0 {
        return false;
    }
    // Read under the lock: a follower's time may go back.
    let time = state.removal_time(&mut core);
    let (mut expired, mut ending): (Vec<Record>, usize) = (Vec::new(), 0);
    let mut at = core.expire_cursor;
    for _ in 0..BUCKETS {
        let next = core.scan(at, |record| {
            ending += usize::from(record.expires_at().is_some());
            if record.is_expired(time) {
                expired.push(record);
            }
        });
        at = next.unwrap_or(0);
        if next.is_none() {
            break;
        }
    }
    core.expire_cursor = at;
    let number = expired.len();
    for record in expired {
        core.events.note(EventFlags::EXPIRED, "expired", record.key());
        core.remove(record);
    }
    // No log entry: replay, and a follower, expire the keys by themselves.
    state.log_and_publish(shard, &mut core, time, &[]);
    state.shrink(shard, &mut core);
    // Relaxed: a count.
    state.expired.fetch_add(number as u64, Ordering::Relaxed);
    number * 4 > ending
}

/// Moves records of a shard out of slabs that are used little, so that these can serve other lengths or go back to the
/// system. Returns whether it has moved any.
fn compact(state: &State, number: usize) -> bool {
    let shard = &state.shards[number];
    // A busy shard is left to the next cycle.
    let Some(mut core) = shard.try_lock() else { return false };
    let (mut at, mut sparse) = (core.compaction_cursor, Vec::new());
    for _ in 0..BUCKETS {
        let next = core.scan(at, |record| {
            if record.is_in_sparse_slab() {
                sparse.push(record);
            }
        });
        at = next.unwrap_or(0);
        if next.is_none() || sparse.len() >= MOST_MOVED {
            break;
        }
    }
    core.compaction_cursor = at;
    for record in &sparse {
        core.relocate(*record);
    }
    state.publish_relocated(shard, &mut core);
    !sparse.is_empty()
}
