//! What the tasks that watch the cluster tell the node: [`MembershipEvent`].

use crate::membership::registration::RegisteredNode;
use crate::membership::slot_map::SlotMap;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;

/// Something about the cluster that a node reacts to.
pub(crate) enum MembershipEvent {
    /// The nodes that are registered.
    Nodes(Vec<RegisteredNode>),
    /// The published map of slots.
    Slots(SlotMap),
    /// The node shall leave its group.
    Depart,
    /// The node cannot go on: the sentence says why.
    Failed(String),
}

/// Where these events go. It accepts whatever the node's own messages are, which only the node knows.
pub(crate) trait EventSink: Send + Sync {
    /// Sends an event. Never blocks, and does nothing once the receiver has stopped.
    fn send(&self, event: MembershipEvent);

    /// Returns whether the receiver has stopped.
    fn is_closed(&self) -> bool;
}

impl<M: From<MembershipEvent> + Send> EventSink for UnboundedSender<M> {
    fn send(&self, event: MembershipEvent) {
        // Fails only after the receiver has stopped.
        let _ = Self::send(self, event.into());
    }

    fn is_closed(&self) -> bool {
        Self::is_closed(self)
    }
}

/// A shared sink.
pub(crate) type Events = Arc<dyn EventSink>;
