//! Publishing changes of several shards as if at one moment.
//!
//! OnEntry shard is shown by itself. Readers who come while several are being shown wait until all of them are: a few
//! hundred nanoseconds a shard, unless the thread that shows them is not running.
//!
//! # Synchronization
//! The counter is odd while shards are being shown.
//! - **[TG-1]** odd is stored before the first shard is shown (which releases it) → whoever has seen that shard's new
//!   state (which acquires it) and then loads the counter sees odd, or what came later, and waits.
//! - **[TG-2]** even is stored with release after the last shard was shown → whoever loads it with acquire sees all of
//!   them shown.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
pub(crate) struct PublishGate {
    counter: AtomicU64,
    /// One at a time: a reader waits for one, not for all who come behind it.
    turn: Mutex<()>,
}

/// Shards are being shown, as long as this lives.
pub(crate) struct Publishing<'a> {
    counter: &'a AtomicU64,
    _turn: MutexGuard<'a, ()>,
}

impl PublishGate {
    /// Has readers wait until the result is dropped. The caller holds the shards' locks.
    pub(crate) fn begin(&self) -> Publishing<'_> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // [TG-1] Relaxed: what is shown next releases it.
        self.counter.fetch_add(1, Ordering::Relaxed);
        Publishing { counter: &self.counter, _turn: turn }
    }

    /// Waits while shards are being shown.
    #[inline]
    pub(crate) fn wait(&self) {
        // [TG-2] Acquire: sees shown what was shown before.
        let counter = self.counter.load(Ordering::Acquire);
        if counter % 2 == 1 {
            self.wait_long(counter);
        }
    }

    #[cold]
    fn wait_long(&self, counter: u64) {
        let mut rounds = 0;
        // [TG-2] Acquire: as above. Any other number is of a later time.
        while self.counter.load(Ordering::Acquire) == counter {
            rounds += 1;
            if rounds < 100 { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
    }
}

impl Drop for Publishing<'_> {
    fn drop(&mut self) {
        // [TG-2] Release: all are shown.
        self.counter.fetch_add(1, Ordering::Release);
    }
}
