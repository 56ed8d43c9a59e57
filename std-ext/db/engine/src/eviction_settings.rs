//! The settings of a database about memory: the limit, and the keys that are removed at it.

use crate::Db;
#[cfg(doc)]
use crate::Options;
use crate::options::Eviction;

impl Db {
    /// Returns the eviction policy.
    pub fn eviction(&self) -> Eviction {
        self.state().limit.eviction()
    }

    /// Sets the limit of memory; 0 for none. Excess keys are evicted in the background.
    pub fn set_max_memory(&self, bytes: usize) {
        self.state().limit.set_bytes(bytes);
        self.wake_background();
    }

    /// Sets the eviction policy. Excess keys are evicted in the background.
    ///
    /// After a change between a policy that counts uses and one that does not, keys that were not used since are
    /// compared by when they were last used.
    pub fn set_eviction(&self, policy: Eviction) {
        self.state().limit.set_eviction(policy, self.now());
        self.wake_background();
    }

    /// Returns how slowly the counter of a key's uses grows under the eviction policies by frequency.
    pub fn lfu_log_factor(&self) -> u32 {
        self.state().limit.lfu_log_factor()
    }

    /// Returns after how many minutes without a use that counter is decremented; 0 for never.
    pub fn lfu_decay_time(&self) -> u32 {
        self.state().limit.lfu_decay_time()
    }

    /// Sets how slowly the counter of a key's uses grows, as [`Options::lfu_log_factor`].
    pub fn set_lfu_log_factor(&self, factor: u32) {
        self.state().limit.set_lfu_log_factor(factor);
    }

    /// Sets after how many minutes without a use that counter is decremented; 0 for never.
    pub fn set_lfu_decay_time(&self, minutes: u32) {
        self.state().limit.set_lfu_decay_time(minutes);
    }

    /// Returns how many keys are compared for each one that is evicted.
    pub fn eviction_samples(&self) -> u32 {
        self.state().limit.samples()
    }

    /// Sets how many keys are compared for each one that is evicted, as [`Options::eviction_samples`].
    pub fn set_eviction_samples(&self, keys: u32) {
        self.state().limit.set_samples(keys);
    }
}
