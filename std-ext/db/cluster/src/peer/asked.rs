//! The requests of peers that a task of the node answers, because they need etcd.

use hedgerow_db_group::NodeId;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

/// A request on the peer port that needs etcd.
pub(crate) enum Asked {
    /// Lose the slots of this move to this group.
    Leave { id: u64, to: u32, done: oneshot::Sender<Result<(), String>> },
    /// The target serves the slots of this move.
    Taken { id: u64 },
    /// Say whether the sender with this id restores a backup.
    Restores { by: NodeId, answer: oneshot::Sender<Result<bool, String>> },
}

/// Sends requests to the task that executes them.
pub(crate) type Asks = UnboundedSender<Asked>;
