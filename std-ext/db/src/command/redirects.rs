//! Redirection in a cluster: the errors that send clients to the primary.

use crate::cluster::view::{EndpointType, Member, Role, View, ViewReader};
use crate::command::arguments::CommandError;
use crate::command::reply::error_text;
use crate::request::{MultiKeyOp, Request, RequestError};
use crate::state::slots::slot;

/// The error while this node knows no primary, or not its address. Clients ask another node then.
pub(super) const DOWN: &str = "CLUSTERDOWN The cluster is down";

/// The errors for one client whose requests reached a node that is not the primary.
#[derive(Clone, Copy)]
pub(super) struct Redirects<'g> {
    pub(super) group: Option<&'g ViewReader>,
    /// Whether the client uses TLS.
    pub(super) tls: bool,
}

impl Redirects<'_> {
    /// Returns the error for a request that the log has refused because this node is not the primary any more.
    #[cold]
    pub(super) fn refused(self, request: &Request<'_>) -> CommandError {
        let Some(group) = self.group else { return DOWN.into() };
        // The view of this cycle still has this node as the primary.
        self.to_primary(&group.views().current(), slot_of(request))
    }

    /// Returns the error that sends a client to the primary.
    pub(super) fn to_primary(self, view: &View, slot: Option<u16>) -> CommandError {
        let Some(slot) = slot else { return error_text(RequestError::NotPrimary).into() };
        // A view with this node as the primary is older than the refusal: the client tries again.
        let primary = view.primary().filter(|_| view.is_led && view.role != Role::Primary);
        let (Some(primary), Some(group)) = (primary, self.group) else { return DOWN.into() };
        let (host, port) = (host(primary, group.views().endpoint_type()), port(primary, self.tls));
        // Nobody knows its address yet.
        if port == 0 {
            return DOWN.into();
        }
        format!("MOVED {slot} {host}:{port}").into()
    }
}

/// Returns the slot of a request's keys; `None` for a request on all keys.
fn slot_of(request: &Request<'_>) -> Option<u16> {
    let key = match request {
        Request::Read(key, _) | Request::MultiRead(key, ..) | Request::Change(key, _) => Some(*key),
        Request::MultiKey(op) => match op {
            MultiKeyOp::SetAll(pairs) | MultiKeyOp::SetAllIfAbsent(pairs) => {
                pairs.first().map(|pair| pair.0)
            }
            MultiKeyOp::DeleteAll(keys) => keys.first().copied(),
            MultiKeyOp::Rename { from, .. } => Some(*from),
            MultiKeyOp::Clear => None,
        },
    };
    key.map(slot)
}

/// Returns the host that clients are told; empty for the one that they have used.
pub(super) fn host(member: &Member, endpoint_type: EndpointType) -> &str {
    let addresses = &member.addresses;
    match endpoint_type {
        EndpointType::Ip => &addresses.ip,
        EndpointType::Hostname if addresses.hostname.is_empty() => "?",
        EndpointType::Hostname => &addresses.hostname,
        EndpointType::Unknown => "",
    }
}

/// Returns the port that clients are told: the one for TLS if they use it, or else the other one.
pub(super) fn port(member: &Member, tls: bool) -> u16 {
    let addresses = &member.addresses;
    match (tls, addresses.port, addresses.tls_port) {
        (true, port, 0) | (false, port @ 1.., _) => port,
        (_, _, tls_port) => tls_port,
    }
}
