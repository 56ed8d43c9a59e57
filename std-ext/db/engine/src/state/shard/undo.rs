//! The steps by which changes of a shard are undone.

use crate::state::cold::ColdStore;
use crate::state::record::{Record, Value};

/// One step that a rollback can undo.
#[derive(Clone, Copy)]
pub(super) enum Undo {
    /// A record was inserted. Its key had none.
    Inserted {
        record: Record,
        /// Whether the record has taken over another record's ticket. Undoing this step leaves the ticket to the other
        /// record.
        moved_in: bool,
    },
    /// A record was removed or replaced.
    Removed {
        record: Record,
        /// Whether another record has taken over its ticket.
        moved_out: bool,
        /// Whether the record that replaced it has taken over another record's ticket.
        moved_in: bool,
    },
}

impl Undo {
    /// Frees the record of a step that will not be undone, if the step removed it.
    pub(super) fn free(self, cold: Option<&ColdStore>) {
        let Self::Removed { record, moved_out, .. } = self else { return };
        if let (Value::Compressed(ticket, _), Some(cold), false) = (record.value(), cold, moved_out)
        {
            cold.remove(ticket);
        }
        // SAFETY: the record was removed from the map, all readers have left every state that had it, no snapshot needs
        // it, and no rollback reinserts it. Steps of the same record are freed in order, so this is the last one.
        unsafe { record.free() };
    }
}
