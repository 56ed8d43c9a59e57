//! The entries that readers still need: the local log does not remove them.

use hedgerow_db_engine::lock::lock;
use hedgerow_db_engine::log::Lsn;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The first entries that readers need, with the number of readers of each.
#[derive(Default)]
pub(super) struct Pins(Mutex<BTreeMap<Lsn, usize>>);

impl Pins {
    /// Calls `remove` with `first`, or with the first entry that a reader needs if that is earlier. No reader comes
    /// between.
    pub(super) fn limit<T>(&self, first: Lsn, remove: impl FnOnce(Lsn) -> T) -> T {
        let firsts = lock(&self.0);
        let pinned = firsts.keys().next().copied().unwrap_or(Lsn::MAX);
        remove(first.min(pinned))
    }
}

/// Keeps entries of the local log from being removed until it is dropped.
pub struct Pin {
    pins: Arc<Pins>,
    first: Lsn,
}

impl Pin {
    /// Keeps all entries that are there.
    pub(super) fn new(pins: &Arc<Pins>) -> Self {
        *lock(&pins.0).entry(0).or_default() += 1;
        Self { pins: Arc::clone(pins), first: 0 }
    }

    /// Keeps only the entries from `first` on from now on. Never keeps more than before.
    pub fn raise(&mut self, first: Lsn) {
        if first > self.first {
            let mut firsts = lock(&self.pins.0);
            *firsts.entry(first).or_default() += 1;
            release(&mut firsts, self.first);
            drop(firsts);
            self.first = first;
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        release(&mut lock(&self.pins.0), self.first);
    }
}

fn release(firsts: &mut BTreeMap<Lsn, usize>, first: Lsn) {
    if let Some(readers) = firsts.get_mut(&first) {
        *readers -= 1;
        if *readers == 0 {
            firsts.remove(&first);
        }
    }
}
