//! The entries of a group's log: the changes that [`log::change`](hedgerow_db_engine::log::change) encodes.

use hedgerow_db_engine::log::change::{self, LoggedChanges, LoggedOp};
use hedgerow_db_group::entry::Epoch;
use hedgerow_db_group::{EntryFormat, NodeId};

/// The format of the entries of all groups.
pub(crate) const CHANGES: &dyn EntryFormat = &ChangeFormat;

#[derive(Debug)]
struct ChangeFormat;

impl EntryFormat for ChangeFormat {
    fn begin(&self, epoch: Epoch, node: NodeId) -> Vec<u8> {
        let mut changes = Vec::new();
        change::begin(epoch, &node.0, &mut changes);
        changes
    }

    fn sets_clock_back(&self, changes: &[u8]) -> bool {
        matches!(LoggedChanges::new(changes).next(), Some(Ok(LoggedOp::Clock(_))))
    }
}
