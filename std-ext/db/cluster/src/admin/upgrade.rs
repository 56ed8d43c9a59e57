//! `hedgerow-db cluster upgrade`: shows which formats the nodes read, and raises the format of the cluster.
//!
//! Until it is raised, no node writes what only later formats have, so nodes can go back to the version from before.

use super::text::{row, table};
use super::{AdminCall, AdminError, Report};
use crate::controller::coordinator::CoordinatorView;
use crate::etcd::{Compare, EtcdClient, EtcdTransaction, Operation};
use crate::membership::identity::ClusterFormat;
use crate::membership::keys::GroupKeys;
use crate::membership::registration::Registration;
use hedgerow_db_group::NodeId;
use hedgerow_db_redis::config::Formats;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// How often the transaction is tried, if the key changes meanwhile.
const ATTEMPTS: usize = 5;

/// The formats of a cluster. The names of the fields are a promise to programs.
#[derive(Serialize)]
struct Upgrade {
    cluster: String,
    /// The format of the cluster in etcd.
    format: u32,
    /// The latest format, which this program knows.
    latest: u32,
    nodes: Vec<NodeFormatRow>,
    /// Whether the command has raised the format.
    raised: bool,
}

/// A node. Fields are `null` if the node is not registered, or has not told them.
#[derive(Serialize)]
struct NodeFormatRow {
    node: String,
    version: Option<String>,
    lowest_format: Option<u32>,
    highest_format: Option<u32>,
    /// Whether it reads the latest format, as far as is known.
    ready: bool,
}

pub(super) fn run(call: &AdminCall) -> Result<Report, AdminError> {
    let upgrade = call.block_on(async {
        let (client, keys) = (call.etcd().await?, call.keys()?);
        upgrade(call, &client, &keys).await
    })?;
    let healthy = upgrade.nodes.iter().all(|node| node.ready);
    Ok(Report::new(upgrade.text(), &upgrade, healthy))
}

/// Reads the formats, and raises that of the cluster if the command says so.
async fn upgrade(
    call: &AdminCall,
    client: &EtcdClient,
    keys: &GroupKeys,
) -> Result<Upgrade, AdminError> {
    let mut raised = false;
    for _ in 0..ATTEMPTS {
        let found = client.get(keys.format()).await?.pair;
        let view = CoordinatorView::read(client, keys).await.map_err(AdminError::from)?;
        let (Some(pair), Some(view)) = (found, view) else {
            return Err(AdminError::from(
                "etcd has no cluster of this name, or `hedgerow-db cluster adopt` is filling it: check cluster-name \
                 and cluster-etcd"
                    .to_owned(),
            ));
        };
        let format = ClusterFormat::parse(&pair.value)?;
        let mut found = Upgrade::new(&call.settings.name, &format, &view);
        // Also after a transaction whose answer was lost.
        found.raised = raised && found.format == found.latest;
        if found.format >= found.latest || !call.asked.has("finish") {
            return Ok(found);
        }
        found.check()?;
        let next = ClusterFormat { number: found.latest, ..format };
        let raise = EtcdTransaction {
            compare: vec![Compare::Value { key: keys.format().into(), value: pair.value }],
            then: vec![Operation::put(keys.format(), next.print())],
            ..EtcdTransaction::default()
        };
        // The next turn reads what was done.
        raised = match client.transact(&raise).await {
            Ok(done) => raised || done.succeeded,
            Err(_) => true,
        };
    }
    Err(AdminError::from(
        "the format keeps changing, or etcd does not answer: try again".to_owned(),
    ))
}

impl Upgrade {
    fn new(cluster: &str, format: &ClusterFormat, view: &CoordinatorView) -> Self {
        let members = view.groups.values().flat_map(|group| &group.members.0);
        let all: BTreeSet<NodeId> =
            view.nodes.keys().copied().chain(members.map(|member| member.node)).collect();
        let latest = Formats::default().highest;
        let shown = all.into_iter().map(|id| NodeFormatRow::new(id, view.nodes.get(&id), latest));
        Self {
            cluster: cluster.to_owned(),
            format: format.number,
            latest,
            nodes: shown.collect(),
            raised: false,
        }
    }

    /// Refuses to raise the format while a node would not read it.
    fn check(&self) -> Result<(), AdminError> {
        let unready = self.nodes.iter().filter(|node| !node.ready).map(|node| {
            let id = &node.node;
            match (&node.version, node.highest_format) {
                (None, _) => format!("member {id} is absent: start it, or remove it with `cluster forget`"),
                (Some(version), Some(highest)) => {
                    format!("node {id} runs version {version}, which reads formats up to {highest}")
                }
                (Some(version), None) => {
                    format!("node {id} runs version {version}, which does not report the formats it reads")
                }
            }
        });
        let unready: Vec<_> = unready.collect();
        if unready.is_empty() {
            return Ok(());
        }
        Err(AdminError::from(format!(
            "the format remains {}, because some nodes may not read format {}:\n{}",
            self.format,
            self.latest,
            unready.join("\n")
        )))
    }

    fn text(&self) -> String {
        let mut rows = vec![row(["NODE", "VERSION", "FORMATS", "READY"])];
        rows.extend(self.nodes.iter().map(NodeFormatRow::row));
        let mut text = format!("Cluster {}, format {}.\n\n", self.cluster, self.format);
        text += &table(&rows);
        let ready = self.nodes.iter().all(|node| node.ready);
        // Writing to a string does not fail.
        let _ = match (self.raised, self.format < self.latest) {
            (true, _) => writeln!(
                text,
                "\nThe format was raised to {}. Versions that cannot read it no longer start.",
                self.format
            ),
            (false, false) => writeln!(text, "\nThis is the latest format."),
            (false, true) if ready => writeln!(
                text,
                "\nAll nodes read format {}. To raise the format, add --finish; after that, nodes cannot be \
                 downgraded.",
                self.latest
            ),
            (false, true) => writeln!(text, "\nNot all nodes read format {} yet.", self.latest),
        };
        text
    }
}

impl NodeFormatRow {
    fn new(id: NodeId, there: Option<&Registration>, latest: u32) -> Self {
        let formats = there.map(|node| node.formats).filter(|formats| *formats != (0, 0));
        Self {
            node: id.to_string(),
            version: there.map(|node| node.version.clone()),
            lowest_format: formats.map(|(lowest, _)| lowest),
            highest_format: formats.map(|(_, highest)| highest),
            ready: formats.is_some_and(|(lowest, highest)| (lowest..=highest).contains(&latest)),
        }
    }

    fn row(&self) -> Vec<String> {
        let formats = match (self.lowest_format, self.highest_format) {
            (Some(lowest), Some(highest)) => format!("{lowest} to {highest}"),
            _ => "-".to_owned(),
        };
        let version = self.version.clone().unwrap_or_else(|| "gone".to_owned());
        let ready = if self.ready { "yes" } else { "no" };
        vec![self.node.clone(), version, formats, ready.to_owned()]
    }
}
