//! The memory limit and the eviction policy (`maxmemory`, `maxmemory-policy`, `maxmemory-samples`, `lfu-log-factor`,
//! `lfu-decay-time`).

use crate::options::{Eviction, Options};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// The memory limit, and the policy when it is reached. All can be set at run time.
#[derive(Default)]
pub struct MemoryLimit {
    bytes: AtomicUsize,
    /// The policy's index in [`POLICIES`] in the lowest byte. Above it, since when the policy counts uses, or does not.
    /// In one word, so that no thread sees a new policy with the time of an earlier one.
    eviction: AtomicU64,
    samples: AtomicU32,
    lfu_log_factor: AtomicU32,
    lfu_decay_time: AtomicU32,
}

/// The policies that count uses come last.
const POLICIES: [Eviction; 8] = [
    Eviction::Never,
    Eviction::Lru,
    Eviction::Random,
    Eviction::VolatileLru,
    Eviction::VolatileRandom,
    Eviction::VolatileTtl,
    Eviction::Lfu,
    Eviction::VolatileLfu,
];
const FIRST_THAT_COUNTS: u64 = 6;
const POLICY_BITS: u32 = 8;
const POLICY_MASK: u64 = (1 << POLICY_BITS) - 1;

impl MemoryLimit {
    pub fn new(options: &Options) -> Self {
        let limit = Self::default();
        limit.set_bytes(options.max_memory);
        limit.set_eviction(options.eviction, 0);
        limit.set_samples(options.eviction_samples);
        limit.set_lfu_log_factor(options.lfu_log_factor);
        limit.set_lfu_decay_time(options.lfu_decay_time);
        limit
    }

    /// Returns the limit in bytes; 0 for none.
    pub fn bytes(&self) -> usize {
        // Relaxed: a setting by itself.
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn set_bytes(&self, bytes: usize) {
        // Relaxed: as above.
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    pub fn eviction(&self) -> Eviction {
        // Relaxed: as above.
        POLICIES[(self.eviction.load(Ordering::Relaxed) & POLICY_MASK) as usize]
    }

    /// Sets the policy at a time, in milliseconds since 1970.
    pub fn set_eviction(&self, policy: Eviction, now: u64) {
        let place = POLICIES.iter().position(|one| *one == policy).unwrap_or(0) as u64;
        let (counts, counted) = (place >= FIRST_THAT_COUNTS, self.counts_uses());
        let since = if counts == counted { self.counts_since() } else { now };
        // Relaxed: as above.
        self.eviction.store(since << POLICY_BITS | place, Ordering::Relaxed);
    }

    /// Whether the policy counts the uses of keys, and does not keep the times of their last uses.
    #[inline]
    pub(crate) fn counts_uses(&self) -> bool {
        // Relaxed: as above.
        self.eviction.load(Ordering::Relaxed) & POLICY_MASK >= FIRST_THAT_COUNTS
    }

    /// Returns since when [`counts_uses`](Self::counts_uses) is as it is, in milliseconds since 1970; 0 for always.
    pub(crate) fn counts_since(&self) -> u64 {
        // Relaxed: as above.
        self.eviction.load(Ordering::Relaxed) >> POLICY_BITS
    }

    /// Returns how many keys are compared for each one that is evicted.
    pub fn samples(&self) -> u32 {
        // Relaxed: as above.
        self.samples.load(Ordering::Relaxed)
    }

    pub(crate) fn set_samples(&self, keys: u32) {
        // Relaxed: as above.
        self.samples.store(keys, Ordering::Relaxed);
    }

    /// Returns how slowly the counter of a key's uses grows.
    pub fn lfu_log_factor(&self) -> u32 {
        // Relaxed: as above.
        self.lfu_log_factor.load(Ordering::Relaxed)
    }

    pub fn set_lfu_log_factor(&self, factor: u32) {
        // Relaxed: as above.
        self.lfu_log_factor.store(factor, Ordering::Relaxed);
    }

    /// Returns after how many minutes without a use the counter is decremented; 0 for never.
    pub fn lfu_decay_time(&self) -> u32 {
        // Relaxed: as above.
        self.lfu_decay_time.load(Ordering::Relaxed)
    }

    pub fn set_lfu_decay_time(&self, minutes: u32) {
        // Relaxed: as above.
        self.lfu_decay_time.store(minutes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_by_frequency_count_uses() {
        for policy in POLICIES {
            let limit = MemoryLimit::default();
            limit.set_eviction(policy, 0);
            assert_eq!(limit.eviction(), policy);
            assert_eq!(limit.counts_uses(), policy.name().ends_with("lfu"), "{policy:?}");
        }
    }
}
