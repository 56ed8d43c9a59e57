//! Values that are made when somebody asks for them: once for a key, however many threads ask.

use super::codec::Corrupt;
use super::store::Store;
use crate::facade::lock::Lock;
use crate::sync::backoff::Backoff;
use crate::sync::holder::Holder;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Keys whose values are being made.
pub(super) struct Loads(Lock<InFlight>);

struct InFlight {
    loads: Vec<Load>,
    /// The number of the next one.
    next: usize,
}

struct Load {
    key: Box<[u8]>,
    number: usize,
    /// The thread that makes the value.
    holder: Holder,
}

/// The right to make a key's value; it ends when this is dropped.
struct Turn<'a> {
    loads: &'a Loads,
    number: usize,
}

impl Loads {
    pub(super) fn new() -> Self {
        Self(Lock::new(InFlight { loads: Vec::new(), next: 0 }))
    }

    /// The right to make the value, or None if another thread has it.
    ///
    /// # Panics
    /// The calling thread has it, where that can be known.
    fn begin(&self, key: &[u8]) -> Option<Turn<'_>> {
        let copy = Box::from(key);
        let mut all = self.0.lock();
        let own = all.loads.iter().find(|load| *load.key == *key).map(Load::is_own);
        if own.is_none() {
            let number = all.next;
            all.next = number.wrapping_add(1);
            let holder = Holder::new();
            holder.begin();
            all.loads.push(Load { key: copy, number, holder });
            return Some(Turn { loads: self, number });
        }
        drop(all);
        let own = own == Some(true);
        assert!(!own, "a closure that makes the value of a key asks for that key's value");
        None
    }

    /// Waits until no value of the key is being made.
    fn wait(&self, key: &[u8]) {
        let mut backoff = Backoff::spinning();
        while self.0.lock().loads.iter().any(|load| *load.key == *key) {
            let _ = backoff.wait_long();
        }
    }
}

impl Load {
    fn is_own(&self) -> bool {
        self.holder.is_this_thread()
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut all = self.loads.0.lock();
        let at = all.loads.iter().position(|load| load.number == self.number);
        let done = at.map(|at| all.loads.swap_remove(at));
        // Its memory is freed with nothing locked.
        drop(all);
        drop(done);
    }
}

impl Store {
    /// The key's value, or what `make` makes, which is stored if there is room. If another thread is making it, this
    /// waits for that.
    pub(super) fn get_or_make<E>(
        &self,
        key: &[u8],
        make: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Result<Vec<u8>, E>, Corrupt> {
        loop {
            if let Some(value) = self.get(key)? {
                return Ok(Ok(value));
            }
            let Some(turn) = self.loads.begin(key) else {
                self.loads.wait(key);
                continue;
            };
            // Another thread may have been faster, between the look and the turn.
            if let Some(value) = self.get(key)? {
                return Ok(Ok(value));
            }
            let made = make();
            if let Ok(value) = &made {
                // What does not fit is still what was asked for.
                let _ = self.insert(key, value);
            }
            drop(turn);
            return Ok(made);
        }
    }
}
