//! The cycle of the maintenance thread: active expiration, reclaiming retired records, shrinking tables, eviction,
//! compression, moving records together, and trimming the heap.

use crate::event_flags::EventFlags;
use crate::latency_monitor::event;
use crate::state::State;
use crate::state::evict::{self, MakeRoom};
use crate::state::field_expiration::expire_fields;
use crate::state::record::Record;
use crate::state::shard::Core;
use crate::state::slabs;
use std::sync::atomic::Ordering;

/// The most buckets that are scanned in a shard at a time, under its lock: some 20 µs.
const BUCKETS: usize = 256;
/// The most records that are moved in a shard at a time, under its lock, and a few more.
const MOST_MOVED: usize = 256;

/// Goes through all shards once. Returns whether there is so much work left that the next cycle should begin soon.
pub fn run_cycle(state: &State) -> bool {
    let mut more = false;
    state.follow_clock();
    let began = state.latency.begin();
    for number in 0..state.shards.len() {
        more |= active_expire_cycle(state, number);
    }
    state.latency.end(event::EXPIRE_CYCLE, began);
    state.log_watermark_if_due();
    // While a snapshot is written, a record that moves would be stored twice.
    // Relaxed: a hint.
    let may = state.snapshots.load(Ordering::Relaxed) == 0;
    if state.compaction.is_due(may) {
        more |= compact_all(state);
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

impl State {
    /// Returns how many keys of all databases will have expired by a time, of those that are there now. It looks at
    /// every key.
    pub fn count_expired_by(&self, time: u64) -> u64 {
        let expired = |number: usize| {
            let core = self.shards[number].lock();
            core.records().filter(|record| record.is_expired(time)).count() as u64
        };
        (0..self.shards.len()).map(expired).sum()
    }
}

/// Shows the records of some buckets of a shard, from bucket `from` on, and returns the bucket to continue with. Ends
/// early behind a bucket of which `see` has returned false, and at the end of the shard.
fn scan_buckets(core: &Core, from: u64, mut see: impl FnMut(Record) -> bool) -> u64 {
    let mut at = from;
    for _ in 0..BUCKETS {
        let mut goes_on = true;
        let next = core.scan(at, |record| goes_on &= see(record));
        at = next.unwrap_or(0);
        if next.is_none() || !goes_on {
            break;
        }
    }
    at
}

/// Removes some expired keys of a shard. Returns true if more than a quarter of the scanned keys with a TTL had
/// expired, as Redis's active expire cycle does to decide whether to go on, or if blocks of long values are to be
/// freed.
fn active_expire_cycle(state: &State, number: usize) -> bool {
    let shard = &state.shards[number];
    // A busy shard is left to the next cycle.
    let Some(mut core) = shard.try_lock() else { return false };
    // A follower stopped within an entry that it cannot execute. Readers must not see a part of it.
    if core.has_unpublished() {
        return false;
    }
    if core.reclaim(state.log.committed()) {
        state.shrink(shard, &mut core);
    }
    let frees_blocks = core.has_blocks_to_free();
    let more = expire_fields(state, number, &mut core) || frees_blocks;
    let more = expire_keys(state, number, &mut core) || more;
    if core.waiters.has_ready() {
        let time = core.advance_time(state.clock.now());
        state.serve_gone((number, &mut core), time);
    }
    more
}

fn expire_keys(state: &State, number: usize, core: &mut Core) -> bool {
    let shard = &state.shards[number];
    if shard.stats().keys_with_ttl() == 0 {
        return false;
    }
    // Read under the lock: a follower's time may go back.
    let time = state.removal_time(core);
    let (mut expired, mut ending): (Vec<Record>, usize) = (Vec::new(), 0);
    core.expire_cursor = scan_buckets(core, core.expire_cursor, |record| {
        ending += usize::from(record.expires_at().is_some());
        if record.is_expired(time) {
            expired.push(record);
        }
        true
    });
    let number = expired.len();
    for record in expired {
        core.events.note(EventFlags::EXPIRED, "expired", record.key());
        core.remove(record);
    }
    // No log entry: replay, and a follower, expire the keys by themselves.
    state.log_and_publish(shard, core, time, &[]);
    state.shrink(shard, core);
    // Relaxed: a count.
    state.expired.fetch_add(number as u64, Ordering::Relaxed);
    number * 4 > ending
}

/// Moves some records of all shards out of slabs that are used little. Returns whether it has moved any.
pub(super) fn compact_all(state: &State) -> bool {
    let mut moved = false;
    for number in 0..state.shards.len() {
        moved |= compact(state, number);
    }
    // Of the places that are free by now, this thread keeps none.
    slabs::flush_cache();
    moved
}

/// Moves records of a shard out of slabs that are used little, so that these can serve other lengths or go back to the
/// system. Returns whether it has moved any.
fn compact(state: &State, number: usize) -> bool {
    let shard = &state.shards[number];
    // A busy shard is left to the next cycle.
    let Some(mut core) = shard.try_lock() else { return false };
    if !core.may_relocate() {
        return false;
    }
    let mut sparse = Vec::new();
    core.compaction_cursor = scan_buckets(&core, core.compaction_cursor, |record| {
        if record.is_in_sparse_slab() {
            sparse.push(record);
        }
        sparse.len() < MOST_MOVED
    });
    // This thread has freed the places that records have left, and would move others there.
    slabs::flush_cache();
    for record in &sparse {
        core.relocate(*record);
    }
    state.publish_relocated(shard, &mut core);
    !sparse.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    /// So a follower leaves an entry that it cannot execute.
    #[test]
    fn a_part_of_an_entry_is_not_published() {
        let options = Options { shards: 1, ..Options::in_memory() };
        let state = State::without_log(&options, |shards| {
            shards.load(b"ends", Some(u64::MAX / 2), b"value");
        });
        let mut core = state.shards[0].lock();
        core.enable_undo();
        core.put(None, b"part", b"value", None);
        drop(core);
        run_cycle(&state);
        compact_all(&state);
        let core = state.shards[0].lock();
        assert!(core.has_unpublished(), "readers see a part of an entry");
    }
}
