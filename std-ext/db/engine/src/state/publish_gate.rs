//! The publish gate: makes changes of several shards visible at once.
//!
//! Each shard publishes its state separately. A reader that comes while a thread publishes several shards waits until
//! all are published. That takes a few hundred nanoseconds a shard, unless the publishing thread is descheduled.
//!
//! # Synchronization
//! The counter is odd while shards are being published.
//!
//! - **[TG-1]** The odd number is stored before the first shard is published, which is a release → a reader that has
//!   seen the new state of that shard (acquire), and then loads the counter, sees the odd number or a later one, and
//!   waits.
//! - **[TG-2]** The even number is stored with release after the last shard was published → a reader that loads it with
//!   acquire sees the new state of all shards.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
pub(crate) struct PublishGate {
    counter: AtomicU64,
    /// Serializes publishing threads, so that a reader waits for one of them and not for all that queue behind it.
    turn: Mutex<()>,
}

/// Shards are being published while this lives.
pub(crate) struct Publishing<'a> {
    counter: &'a AtomicU64,
    _turn: MutexGuard<'a, ()>,
}

impl PublishGate {
    /// Closes the gate until the result is dropped. The caller holds the shards' locks.
    pub(crate) fn begin(&self) -> Publishing<'_> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // [TG-1] Relaxed: publishing the first shard releases it. Pairs with the load in `wait`.
        self.counter.fetch_add(1, Ordering::Relaxed);
        Publishing { counter: &self.counter, _turn: turn }
    }

    /// Waits while the gate is closed.
    #[inline]
    pub(crate) fn wait(&self) {
        // [TG-2] Acquire: pairs with the release in `drop`, so the caller sees all states that were published together.
        let counter = self.counter.load(Ordering::Acquire);
        if counter % 2 == 1 {
            self.wait_long(counter);
        }
    }

    #[cold]
    fn wait_long(&self, counter: u64) {
        let mut rounds = 0;
        // [TG-2] Acquire: as above. Any other number means that this publish is over.
        while self.counter.load(Ordering::Acquire) == counter {
            rounds += 1;
            if rounds < 100 { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
    }
}

impl Drop for Publishing<'_> {
    fn drop(&mut self) {
        // [TG-2] Release: pairs with the acquire in `wait`. All shards are published.
        self.counter.fetch_add(1, Ordering::Release);
    }
}
