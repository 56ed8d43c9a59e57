//! The entries of a group's log: the changes that [`log::change`](crate::log::change) encodes.

use crate::cluster::core::entry::Epoch;
use crate::cluster::core::{EntryFormat, NodeId};
use crate::log::change::{self, LoggedChanges, LoggedOp};

/// The format of the entries of all groups.
pub(in crate::cluster) const CHANGES: &dyn EntryFormat = &ChangeFormat;

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
