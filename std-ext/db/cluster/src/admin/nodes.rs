//! `hedgerow-db cluster nodes` prints all nodes of the cluster: those that are registered, and members that are gone.

use super::text::{row, table};
use super::{AdminCall, AdminError, Report};
use crate::controller::coordinator::CoordinatorView;
use crate::membership::desired::Desired;
use crate::membership::load::NodeLoad;
use hedgerow_db_engine::clock::TimeSource;
use hedgerow_db_group::NodeId;
use serde::Serialize;
use std::collections::BTreeSet;

/// The nodes of a cluster. The names of the fields are a promise to programs.
#[derive(Serialize)]
struct NodeListing {
    cluster: String,
    /// The node that coordinates the cluster.
    coordinator: Option<String>,
    nodes: Vec<NodeRow>,
    /// How many nodes wait for a place in a group.
    spares: usize,
    /// How many nodes the cluster wants, if it says so.
    desired: Option<Desired>,
}

/// A node. Fields are `null` if the node is not registered, or has not told them.
#[derive(Serialize)]
struct NodeRow {
    node: String,
    /// The group to which it belongs, or in which it was placed.
    group: Option<u32>,
    /// Whether it is a member of the group.
    member: bool,
    /// `primary`, `follower`, `deposed`, `loading`, `joining`, `leaving`, `spare` or `gone`.
    state: String,
    /// When the coordinator missed it first.
    gone_since_ms: Option<u64>,
    zone: Option<String>,
    ip: Option<String>,
    hostname: Option<String>,
    port: Option<u16>,
    tls_port: Option<u16>,
    peer_port: Option<u16>,
    version: Option<String>,
    /// Its number among those that are started and stopped together.
    ordinal: Option<u32>,
    /// Its load, as moving averages.
    load: Option<NodeLoad>,
}

pub(super) fn run(call: &AdminCall) -> Result<Report, AdminError> {
    let view = call.block_on(async {
        let (client, keys) = (call.etcd().await?, call.keys()?);
        CoordinatorView::read(&client, &keys).await.map_err(AdminError::from)
    })?;
    let view = view.ok_or_else(|| {
        AdminError::from(
            "etcd has no cluster of this name, or `hedgerow-db cluster adopt` is filling it: check cluster-name and \
             cluster-etcd"
                .to_owned(),
        )
    })?;
    let nodes = NodeListing::new(&call.settings.name, &view);
    let healthy =
        nodes.coordinator.is_some() && nodes.nodes.iter().all(|node| node.state != "gone");
    Ok(Report::new(nodes.text(TimeSource::System.now()), &nodes, healthy))
}

impl NodeListing {
    fn new(cluster: &str, view: &CoordinatorView) -> Self {
        let groups = view.groups.keys().map(|number| (Some(*number), view.belonging(*number)));
        let spares: BTreeSet<NodeId> = view.spares().map(|(id, _)| id).collect();
        let count = spares.len();
        let nodes = groups.chain([(None, spares)]).flat_map(|(group, nodes)| {
            nodes.into_iter().map(move |node| NodeRow::new(node, group, view))
        });
        Self {
            cluster: cluster.to_owned(),
            coordinator: view.coordinator.as_ref().map(|holder| holder.node.to_string()),
            nodes: nodes.collect(),
            spares: count,
            desired: view.desired.clone(),
        }
    }

    fn text(&self, now: u64) -> String {
        let coordinator = match &self.coordinator {
            Some(id) => format!("Node {id} coordinates it."),
            None => "No node coordinates it.".to_owned(),
        };
        let mut rows = vec![row(["NODE", "GROUP", "STATE", "ZONE", "CLIENTS", "VERSION"])];
        rows.extend(self.nodes.iter().map(|node| node.row(now)));
        let wanted = match &self.desired {
            Some(Desired { nodes, target, reason, .. }) if target < nodes => {
                format!(
                    " Desired: {nodes} nodes, then {target} once the others are empty: {reason}."
                )
            }
            Some(Desired { nodes, reason, .. }) => {
                format!(" Desired: {nodes} nodes: {reason}.")
            }
            None => String::new(),
        };
        format!("Cluster {}. {coordinator}{wanted}\n\n{}", self.cluster, table(&rows))
    }
}

impl NodeRow {
    fn new(id: NodeId, group: Option<u32>, view: &CoordinatorView) -> Self {
        let there = view.nodes.get(&id);
        let of_group = group.and_then(|number| view.groups.get(&number));
        let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let port = |port: u16| Some(port).filter(|port| *port != 0);
        let state = match there {
            None => "gone",
            Some(_) if group.is_some_and(|number| view.leaves(id, number)) => "leaving",
            Some(node) if node.is_spare() && group.is_some() => "joining",
            Some(node) => node.shown_role(id, of_group.and_then(|group| group.tail.as_ref())),
        };
        let holder = view.coordinator.as_ref();
        Self {
            node: id.to_string(),
            group,
            member: of_group.is_some_and(|group| group.members.has(id)),
            state: state.to_owned(),
            gone_since_ms: holder
                .and_then(|holder| holder.gone.get(&id).copied())
                .filter(|_| there.is_none()),
            zone: there.and_then(|node| text(&node.zone)),
            ip: there.and_then(|node| text(&node.ip)),
            hostname: there.and_then(|node| text(&node.hostname)),
            port: there.and_then(|node| port(node.port)),
            tls_port: there.and_then(|node| port(node.tls_port)),
            peer_port: there.and_then(|node| port(node.peer_port)),
            version: there.and_then(|node| text(&node.version)),
            ordinal: there.and_then(|node| node.ordinal),
            load: there.and_then(|node| node.load),
        }
    }

    fn row(&self, now: u64) -> Vec<String> {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let host = self
            .ip
            .as_ref()
            .map(|ip| if ip.contains(':') { format!("[{ip}]") } else { ip.clone() });
        let clients = host.zip(self.port.or(self.tls_port));
        let state = match self.gone_since_ms {
            Some(since) => format!("gone {} s", now.saturating_sub(since) / 1000),
            None => self.state.clone(),
        };
        vec![
            self.node.clone(),
            or_none(self.group.map(|group| group.to_string())),
            state,
            or_none(self.zone.clone()),
            or_none(clients.map(|(host, port)| format!("{host}:{port}"))),
            or_none(self.version.clone()),
        ]
    }
}
