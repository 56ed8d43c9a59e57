//! The messages that the parts of a node send to its driver.

use crate::log::local_log::DurablePosition;
use crate::membership::events::MembershipEvent;
use crate::node::quota::EtcdQuota;
use hedgerow_db_engine::log::Lsn;
use hedgerow_db_group::{Event, NodeId};
use std::sync::mpsc;
use tokio::sync::mpsc::UnboundedSender;

/// Something that the driver reacts to.
pub(crate) enum DriverMessage {
    /// An event of the protocol.
    Event(Event),
    /// The log has entries, or an answer waits for a lease check.
    Wake,
    /// The thread of the state has done something.
    Applier(ApplierReport),
    /// The progress of the node's own disk.
    Forced(DurablePosition),
    /// etcd has this record of the node's own disk.
    Recorded(String),
    /// etcd's storage quota; `None` if no member has answered.
    Quota(Option<EtcdQuota>),
    /// What the cluster's keys say.
    Membership(MembershipEvent),
    /// A member asks the primary to hand over to it.
    Wanted(NodeId),
    /// This node shall ask the primary to hand over to it.
    Want,
    /// Hand the group over to this node, or to any.
    HandOver(Option<NodeId>),
    /// The process stops. The sender gets an answer once the group is released.
    Leave(mpsc::Sender<()>),
    /// The node's folder was fetched from a peer: the process must start anew.
    Fetched,
    /// The node cannot go on: the sentence says why.
    Failed(String),
    /// The process must start anew: the sentence says why.
    Restart(String),
    /// Stop at once, without releasing anything.
    Stop,
}

impl From<MembershipEvent> for DriverMessage {
    fn from(event: MembershipEvent) -> Self {
        Self::Membership(event)
    }
}

/// A report of the thread of the state.
pub(crate) enum ApplierReport {
    /// It has applied the entries up to this one.
    Applied(Lsn),
    /// It cannot apply an entry.
    CannotApply(String),
    /// The state serves as the primary's. The number is that of the order.
    Serving(u64),
    /// No change is in progress any more. The state may have removed keys that expired by this time.
    SteppedDown(u64),
    /// The state cannot follow from where it is: the process must start anew.
    MustRestart(String),
    /// The node's own disk keeps no further entries, for now or for good.
    DiskFailed(String),
    /// It does again.
    DiskMended,
    /// Too many entries wait for the disk, which hangs or is too slow.
    DiskLags(String),
    /// None wait any more.
    DiskKeepsUp,
}

/// Where messages go. Sending never blocks, and fails only after the driver has stopped.
pub(crate) type Inbox = UnboundedSender<DriverMessage>;
