//! Redirection in a cluster: the errors that send clients to a primary.

use crate::command::arguments::CommandError;
use crate::command::reply::error_text;
use crate::config::EndpointType;
use crate::view::{KnownGroup, MemberRole, MemberView, NodeHealth, View, ViewReader};
use hedgerow_db_engine::request::{Request, RequestError};
use hedgerow_db_formats::slots::slot;

/// The error while this node knows no primary, or not its address. Clients ask another node then.
pub(super) const DOWN: &str = "CLUSTERDOWN The cluster is down";
/// The error for a slot of a group of which this node knows no node that serves.
const NOT_SERVED: &str = "CLUSTERDOWN Hash slot not served";

/// The error for a slot that no group has at present. Clients try again.
const MOVING: &str = "TRYAGAIN The slot is being moved to another group";

/// The errors for one client whose requests reached a node that is not the primary.
#[derive(Clone, Copy)]
pub(super) struct Redirects<'g> {
    pub(super) group: Option<&'g ViewReader>,
    /// Whether the client uses TLS.
    pub(super) tls: bool,
}

impl Redirects<'_> {
    /// Returns the error for a request that this node has refused: it is not the primary any more, or its group does
    /// not have the slot.
    #[cold]
    pub(super) fn refused(self, request: &Request<'_>, lost_slot: bool) -> CommandError {
        self.refused_slot(slot_of(request), lost_slot)
    }

    /// As [`refused`](Self::refused), for a request about this slot.
    #[cold]
    pub(super) fn refused_slot(self, slot: Option<u16>, lost_slot: bool) -> CommandError {
        let Some(group) = self.group else { return DOWN.into() };
        // The view of this cycle still has this node as the primary.
        let view = group.views().current();
        if lost_slot && slot.is_some_and(|slot| view.owns(slot)) {
            return MOVING.into();
        }
        self.to_owner(&view, slot)
    }

    /// Returns the error that sends a client to the primary of the group that has a slot.
    pub(super) fn to_owner(self, view: &View, slot: Option<u16>) -> CommandError {
        let Some(slot) = slot else { return error_text(RequestError::NotPrimary).into() };
        // Its last owner has lost it, and the next one does not have it yet.
        let Some(owner) = view.owners.owner(slot) else { return MOVING.into() };
        if owner != view.group.number {
            let owner = view.group(owner).and_then(|owner| self.node_of(owner));
            return owner.map_or_else(|| NOT_SERVED.into(), |node| self.moved(slot, node));
        }
        // A view with this node as the primary is older than the refusal: the client tries again.
        let led = view.group.is_led && view.role != MemberRole::Primary;
        let primary = view.group.primary().filter(|_| led);
        // Nobody knows its address yet.
        let primary = primary.filter(|primary| port(primary, self.tls) != 0);
        primary.map_or_else(|| DOWN.into(), |primary| self.moved(slot, primary))
    }

    /// Returns the node of another group that executes its commands, or that knows best which one does: the primary, or
    /// else a follower.
    fn node_of(self, owner: &KnownGroup) -> Option<&MemberView> {
        let lives = |member: &&MemberView| {
            member.health == NodeHealth::Online && port(member, self.tls) != 0
        };
        let primary = owner.primary().filter(|_| owner.is_led).filter(lives);
        primary.or_else(|| owner.members.iter().find(lives))
    }

    fn moved(self, slot: u16, node: &MemberView) -> CommandError {
        let endpoint_type = self.group.map(|group| group.views().endpoint_type());
        let host = host(node, endpoint_type.unwrap_or_default());
        format!("MOVED {slot} {host}:{}", port(node, self.tls)).into()
    }
}

/// Returns the slot of a request's keys; `None` for a request on all keys.
fn slot_of(request: &Request<'_>) -> Option<u16> {
    let key = match request {
        Request::Read(key, _) | Request::MultiRead(key, ..) | Request::Change(key, _) => Some(*key),
        Request::MultiKey(op) => op.keys().next(),
        Request::Combine(combination, _) => combination.keys.first().copied(),
        Request::Select(_) | Request::Database(_) => None,
    };
    key.map(slot)
}

/// Returns the host that clients are told; empty for the one that they have used.
pub(super) fn host(member: &MemberView, endpoint_type: EndpointType) -> &str {
    let addresses = &member.addresses;
    match endpoint_type {
        EndpointType::Ip => &addresses.ip,
        EndpointType::Hostname if addresses.hostname.is_empty() => "?",
        EndpointType::Hostname => &addresses.hostname,
        EndpointType::Unknown => "",
    }
}

/// Returns the port that clients are told: the one for TLS if they use it, or else the other one.
pub(super) fn port(member: &MemberView, tls: bool) -> u16 {
    let addresses = &member.addresses;
    match (tls, addresses.port, addresses.tls_port) {
        (true, port, 0) | (false, port @ 1.., _) => port,
        (_, _, tls_port) => tls_port,
    }
}
