//! The steps by which changes of a shard are undone.

use crate::state::cold::ColdStore;
use crate::state::record::Record;
use crate::state::tree::TreePart;

/// One step that a rollback can undo.
#[derive(Clone, Copy)]
pub(crate) enum Undo {
    /// A record was inserted. Its key had none.
    Inserted {
        record: Record,
        /// Whether the record has taken over another record's value. Undoing this step leaves the value to the other
        /// record.
        moved_in: bool,
    },
    /// A record was removed or replaced.
    Removed {
        record: Record,
        /// Whether another record has taken over its ticket, or its tree or the part of it that was not changed.
        moved_out: bool,
        /// Whether the record that replaced it has taken over another record's value.
        moved_in: bool,
    },
    /// A record was replaced whose tree was changed in place, because no reader had seen it: the one that replaced it
    /// was made in the same window. So the tree that it refers to may not be there any more, and it is never put back.
    Superseded(Record),
    /// The tree of a record that was replaced has lost this part. It is no step of its own: undoing the replacement
    /// puts the old version back, which has the part.
    Cut(TreePart),
}

impl Undo {
    /// Frees the record of a step that will not be undone, if the step removed it. Returns the part of a tree that is
    /// to be freed.
    #[inline]
    pub(super) fn free(self, cold: Option<&ColdStore>) -> Option<TreePart> {
        let (record, moved_out) = match self {
            Self::Inserted { .. } => return None,
            Self::Cut(part) => return Some(part),
            Self::Superseded(record) => (record, true),
            Self::Removed { record, moved_out, .. } => (record, moved_out),
        };
        let freed = if moved_out || record.is_whole() { None } else { free_outside(record, cold) };
        // SAFETY: the record was removed from the map, all readers have left every state that had it, no snapshot needs
        // it, and no rollback reinserts it. Steps of the same record are freed in order, so this is the last one.
        unsafe { record.free() };
        freed
    }
}

/// Frees the compressed value of a record, and returns its tree.
#[cold]
fn free_outside(record: Record, cold: Option<&ColdStore>) -> Option<TreePart> {
    if let (Some(ticket), Some(cold)) = (record.ticket(), cold) {
        cold.remove(ticket);
    }
    record.tree().map(TreePart::whole)
}
