//! What is done now and then: removing keys that have ended, freeing what no reader looks at any more, making
//! tables smaller, evicting, compressing, giving memory back.

use crate::state::State;
use crate::state::evict::{self, Made};
use crate::state::record::Record;
use std::sync::atomic::Ordering;

/// Buckets that are visited in a shard at a time, under its lock: some twenty microseconds.
const BUCKETS: usize = 256;

/// A round over all shards. Whether there is so much to do that the next should come soon.
pub(crate) fn round(state: &State) -> bool {
    let mut more = false;
    state.follow_clock();
    for number in 0..state.shards.len() {
        more |= care_for(state, number);
    }
    state.heap.look_after(state.memory());
    more |= evict::make_room(state, evict::IN_BACKGROUND, || 0) == Made::Some;
    if let Some(cold) = &state.cold {
        more |= cold.step();
        state.weigh_cold();
    }
    more
}

/// Removes some keys that have ended; whether a quarter of those with an end that were visited had.
fn care_for(state: &State, number: usize) -> bool {
    let shard = &state.shards[number];
    // Whoever has it will be done soon, and the next round comes.
    let Some(mut core) = shard.try_lock() else { return false };
    if core.tidy(state.log.safe()) {
        state.shrink(shard, &mut core);
    }
    if shard.figures().ending() == 0 {
        return false;
    }
    let time = core.at(state.clock.now());
    let (mut gone, mut ending): (Vec<Record>, usize) = (Vec::new(), 0);
    let mut at = core.walked;
    for _ in 0..BUCKETS {
        let next = core.scan(at, |record| {
            ending += usize::from(record.ends().is_some());
            if record.has_ended(time) {
                gone.push(record);
            }
        });
        at = next.unwrap_or(0);
        if next.is_none() {
            break;
        }
    }
    core.walked = at;
    let number = gone.len();
    for record in gone {
        core.remove(record);
    }
    // The log is not told: it knows when they end.
    state.finish(shard, &mut core, time, &[]);
    state.shrink(shard, &mut core);
    // Relaxed: a figure by itself.
    state.expired.fetch_add(number as u64, Ordering::Relaxed);
    number * 4 > ending
}
