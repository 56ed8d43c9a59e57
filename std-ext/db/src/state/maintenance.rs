//! The cycle of the maintenance thread: active expiration, reclaiming retired records, shrinking tables, eviction,
//! compression, and trimming the heap.

use crate::event_flags::EventFlags;
use crate::latency_monitor::event;
use crate::state::State;
use crate::state::evict::{self, MakeRoom};
use crate::state::record::Record;
use std::sync::atomic::Ordering;

/// The most buckets that are scanned in a shard at a time, under its lock: some 20 µs.
const BUCKETS: usize = 256;

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
    state.heap_trimmer.trim_if_due(state.memory());
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
