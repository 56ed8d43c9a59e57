//! The times at which the group has lost slots by moves.
//!
//! The target of a move needs exactly that time: a key that had expired by then is gone for clients, although the clock
//! may have been wrong and set back since. A later time would cost keys that nobody has seen expired.

use crate::lock::lock;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// The moves that are remembered. One is needed from its entry until its record in etcd has the time.
const MOST: usize = 256;

/// The last moves by which the group has lost slots, each with the time of its entry.
///
/// Each node notes them from the log. A node that was loaded from a snapshot does not know those from before it.
#[derive(Default)]
pub struct LostSlots(Mutex<BTreeMap<u64, u64>>);

impl LostSlots {
    /// Notes the time of the entry of a move.
    pub(super) fn note(&self, of_move: u64, time: u64) {
        let mut times = lock(&self.0);
        times.insert(of_move, time);
        if times.len() > MOST {
            // Numbers of moves ascend.
            times.pop_first();
        }
    }

    /// Moves all of them into a new one.
    pub(super) fn take(&self) -> Self {
        Self(Mutex::new(std::mem::take(&mut *lock(&self.0))))
    }

    /// Returns the time of the entry of a move, if it is known.
    pub fn time(&self, of_move: u64) -> Option<u64> {
        lock(&self.0).get(&of_move).copied()
    }
}
