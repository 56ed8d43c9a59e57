//! Walks over all keys, which can be put down at a place that is told as a number.

use super::Session;
use crate::state::evict::Random;

/// Bits of a place in a walk: few enough for clients that have numbers with 53 bits.
const PLACE: u32 = 53;

impl Session {
    /// Visits some keys, about `count`, from a place on; the place to go on from, 0 where all were visited.
    ///
    /// A key that is there all the time is visited, maybe more than once. Begin with 0. Wait-free.
    pub fn scan(&mut self, from: u64, count: usize, each: &mut dyn FnMut(&[u8])) -> u64 {
        // A walk that knows of a rollback waits for it, so it does not visit changes that are being undone.
        self.state.publish_gate.wait();
        let shards = self.readers.len();
        let within = PLACE - shards.ilog2();
        let (mut shard, low) = ((from >> within) as usize, from & ((1 << within) - 1));
        if shard >= shards {
            return 0;
        }
        let (mut at, now, mut visited) = (low << (64 - within), self.now(), 0);
        loop {
            let next = self.readers[shard].enter().scan(at, |record, ()| {
                visited += 1;
                if !record.is_expired(now) {
                    each(record.key());
                }
            });
            let Some(next) = next else {
                (shard, at) = (shard + 1, 0);
                if shard == shards {
                    return 0;
                }
                if visited >= count {
                    return (shard as u64) << within;
                }
                continue;
            };
            // A place is told by its upper bits: only where that is not before where it began is it any progress.
            let told = next >> (64 - within);
            if visited >= count && told > low_of(from, within, shard) {
                return (shard as u64) << within | told;
            }
            at = next;
        }
    }

    /// Any key, if there is one.
    pub fn random_key(&mut self) -> Option<Vec<u8>> {
        self.state.publish_gate.wait();
        let mut random = Random::new();
        let shards = self.readers.len();
        let (first, now) = (random.next() as usize % shards, self.now());
        for shard in (0..shards).map(|step| (first + step) % shards) {
            if self.state.shards[shard].stats().keys() == 0 {
                continue;
            }
            // From any place on, and then from the beginning.
            for start in [random.next(), 0] {
                let (mut at, mut found) = (Some(start), Vec::new());
                while let (Some(from), true) = (at, found.is_empty()) {
                    at = self.readers[shard].enter().scan(from, |record, ()| {
                        if !record.is_expired(now) {
                            found.push(record.key().to_vec());
                        }
                    });
                }
                if !found.is_empty() {
                    return Some(found.swap_remove(random.next() as usize % found.len()));
                }
            }
        }
        None
    }
}

/// The place within its shard at which a walk was begun, if it was begun in this one.
fn low_of(from: u64, within: u32, shard: usize) -> u64 {
    if (from >> within) as usize == shard { from & ((1 << within) - 1) } else { 0 }
}
