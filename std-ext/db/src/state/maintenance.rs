//! What is done now and then: removing keys that have ended, freeing what no reader looks at any more, making
//! tables smaller, evicting, compressing, giving memory back.

use crate::state::State;
use crate::state::evict::{self, MakeRoom};
use crate::state::record::Record;
use std::sync::atomic::Ordering;

/// Buckets that are visited in a shard at a time, under its lock: some twenty microseconds.
const BUCKETS: usize = 256;

/// A round over all shards. Whether there is so much to do that the next should come soon.
pub(crate) fn run_cycle(state: &State) -> bool {
    let mut more = false;
    state.follow_clock();
    for number in 0..state.shards.len() {
        more |= active_expire_cycle(state, number);
    }
    state.heap_trimmer.trim_if_due(state.memory());
    more |= evict::make_room(state, evict::IN_BACKGROUND, || 0) == MakeRoom::TimedOut;
    if let Some(cold) = &state.cold {
        more |= cold.step();
        state.update_cold_memory();
    }
    more
}

/// Removes some keys that have ended; whether a quarter of those with an end that were visited had.
fn active_expire_cycle(state: &State, number: usize) -> bool {
    let shard = &state.shards[number];
    // Whoever has it will be done soon, and the next round comes.
    let Some(mut core) = shard.try_lock() else { return false };
    if core.reclaim(state.log.safe()) {
        state.shrink(shard, &mut core);
    }
    if shard.stats().keys_with_ttl() == 0 {
        return false;
    }
    let time = core.advance_time(state.clock.now());
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
        core.remove(record);
    }
    // The log is not told: it knows when they end.
    state.log_and_publish(shard, &mut core, time, &[]);
    state.shrink(shard, &mut core);
    // Relaxed: a figure by itself.
    state.expired.fetch_add(number as u64, Ordering::Relaxed);
    number * 4 > ending
}
