//! Values that are computed on demand: once for a key, however many threads ask for it.

use crate::facade::lock::Lock;
use crate::sync::backoff::Backoff;
use crate::sync::holder::Holder;
use crate::sync::parking::Sleepers;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// The keys whose values are being computed.
pub(super) struct Loads(Lock<InFlight>);

struct InFlight {
    loads: Vec<Load>,
    /// The number of the next load.
    next: usize,
}

struct Load {
    key: Box<[u8]>,
    number: usize,
    /// The thread that computes the value.
    holder: Holder,
    /// The threads that have waited for it for long.
    sleepers: Sleepers,
}

/// The right to compute a key's value. It ends when this is dropped.
pub(super) struct LoadTurn<'a> {
    loads: &'a Loads,
    number: usize,
}

impl Loads {
    pub(super) fn new() -> Self {
        Self(Lock::new(InFlight { loads: Vec::new(), next: 0 }))
    }

    /// Returns the right to compute the key's value, or `None` if another thread has it.
    ///
    /// # Panics
    /// The calling thread has the right already, and `std` can tell.
    pub(super) fn begin(&self, key: &[u8]) -> Option<LoadTurn<'_>> {
        // Allocated before the lock, so that other threads do not wait for the allocator.
        let copy = Box::from(key);
        let mut all = self.0.lock();
        let own = all.loads.iter().find(|load| *load.key == *key).map(Load::is_own);
        if own.is_none() {
            let number = all.next;
            all.next = number.wrapping_add(1);
            let holder = Holder::new();
            holder.begin();
            all.loads.push(Load { key: copy, number, holder, sleepers: Sleepers::new() });
            return Some(LoadTurn { loads: self, number });
        }
        drop(all);
        let own = own == Some(true);
        assert!(!own, "a closure that computes the value of a key requests the same key");
        None
    }

    /// Waits until no thread computes the key's value: spins at first, and then sleeps if `std` is there.
    pub(super) fn wait(&self, key: &[u8]) {
        /// Steps of the backoff before a thread sleeps: a computation that ends meanwhile needs no wake-up.
        const AWAKE: u32 = 100;
        let (mut backoff, mut awake) = (Backoff::spinning(), AWAKE);
        loop {
            let mut all = self.0.lock();
            let Some(load) = all.loads.iter_mut().find(|load| *load.key == *key) else { return };
            let sleeps = awake == 0 && load.sleepers.join();
            drop(all);
            if sleeps {
                Sleepers::sleep();
            } else {
                let _ = backoff.wait_long();
                awake = awake.saturating_sub(1);
            }
        }
    }
}

impl Load {
    fn is_own(&self) -> bool {
        self.holder.is_this_thread()
    }
}

impl Drop for LoadTurn<'_> {
    fn drop(&mut self) {
        let mut all = self.loads.0.lock();
        let at = all.loads.iter().position(|load| load.number == self.number);
        let done = at.map(|at| all.loads.swap_remove(at));
        // The key is freed, and threads are woken, after the lock is released.
        drop(all);
        if let Some(load) = done {
            load.sleepers.wake();
        }
    }
}
