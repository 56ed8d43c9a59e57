//! The cluster that is backed up, as etcd has it.

use crate::etcd::{
    EtcdClient, EtcdTransaction, KeyValue, Keys as KeyRange, Operation, OperationAnswer, Range,
};
use crate::membership::error::StartError;
use crate::membership::identity::ClusterFormat;
use crate::membership::keys::GroupKeys;
use crate::membership::registration::RegisteredNode;
use crate::membership::registry::read_nodes;
use crate::membership::slot_map::SlotMap;
use hedgerow_db_engine::log::Lsn;
use hedgerow_db_group::Tail;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How often etcd is asked whether moves have ended.
const AGAIN: Duration = Duration::from_millis(250);

/// The keys of a cluster.
pub(super) struct ClusterKeys {
    pub(super) client: EtcdClient,
    pub(super) keys: GroupKeys,
    /// The cluster's name.
    pub(super) name: String,
}

/// A cluster as of a single point in time at which no slots were being moved.
pub(super) struct Calm {
    pub(super) format: ClusterFormat,
    pub(super) slots: SlotMap,
    /// The number of the last move that was begun. It grows with each.
    last_move: Option<Vec<u8>>,
    pub(super) nodes: Vec<RegisteredNode>,
}

impl Calm {
    /// Returns whether no slots have moved between the two.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        (&self.format, &self.last_move) == (&other.format, &other.last_move)
    }
}

impl ClusterKeys {
    /// Waits until no slots are being moved, and reads the cluster as of that time.
    ///
    /// # Errors
    /// If there is none until `end`, or etcd has no cluster with entries.
    pub(super) async fn calm(&self, end: Instant) -> Result<Calm, StartError> {
        loop {
            match self.read().await? {
                Ok(calm) => return Ok(calm),
                Err(moves) if Instant::now() >= end => {
                    return Err(StartError::new(format!(
                        "{moves} moves of slots are still in progress: see `hedgerow-db cluster move`, and try \
                         again later"
                    )));
                }
                Err(_) => sleep(AGAIN).await,
            }
        }
    }

    /// Reads the cluster; the number of moves if slots are being moved.
    async fn read(&self) -> Result<Result<Calm, usize>, StartError> {
        let Self { client, keys, name } = self;
        // In one transaction: consistent as of a single point in time.
        let read = EtcdTransaction {
            then: vec![
                Operation::get(keys.format()),
                Operation::get(keys.last_move()),
                Operation::Get(Range::of(KeyRange::prefix(keys.moves())).keys_only()),
                Operation::get(keys.slots()),
            ],
            ..EtcdTransaction::default()
        };
        let mut answers = client.transact(&read).await?.answers.into_iter();
        let mut next = || match answers.next() {
            Some(OperationAnswer::Found(pairs, _)) => pairs,
            _ => Vec::new(),
        };
        let value = |pairs: Vec<KeyValue>| pairs.into_iter().next().map(|pair| pair.value.to_vec());
        let (format, last_move, moves, slots) =
            (value(next()), value(next()), next(), value(next()));
        let Some(format) = format else {
            return Err(StartError::new(format!(
                "etcd has no cluster {name:?} (the key {}): check cluster-name and cluster-etcd",
                keys.format()
            )));
        };
        // During a move, two groups may have keys of its slots, and neither may own them.
        if !moves.is_empty() {
            return Ok(Err(moves.len()));
        }
        let format = ClusterFormat::parse(&format)?;
        if format.adopter.is_some() {
            return Err(no_entries(name));
        }
        let slots =
            slots.map(|value| SlotMap::parse(&value)).transpose().map_err(StartError::new)?;
        let slots = slots.unwrap_or_else(|| SlotMap::divided(format.groups));
        // Read later, because they only serve to choose whom to ask.
        let nodes = read_nodes(client, keys).await?;
        Ok(Ok(Calm { format, slots, last_move, nodes }))
    }

    /// Returns the last entry of a group.
    ///
    /// # Errors
    /// If it has none.
    pub(super) async fn last(&self, group: u32) -> Result<Lsn, StartError> {
        let tail = self.client.get(self.keys.of_group(group).tail()).await?.pair;
        let tail = tail.ok_or_else(|| no_entries(&self.name))?;
        Ok(Tail::parse(&tail.value).map_err(StartError::new)?.lsn)
    }
}

fn no_entries(name: &str) -> StartError {
    StartError::new(format!("the cluster {name:?} has no entries yet: start its nodes first"))
}

/// Chooses the node that a group is copied of: one of those that were named, or else the best.
pub(super) fn choose<'a>(
    nodes: &'a [RegisteredNode],
    named: &[&'a RegisteredNode],
    group: u32,
) -> Result<&'a RegisteredNode, StartError> {
    let is_of = |node: &&RegisteredNode| node.registration.group == group;
    if let Some(node) = named.iter().copied().find(is_of) {
        return Ok(node);
    }
    let loaded = nodes.iter().filter(is_of).filter(|node| node.registration.role != "loading");
    // A follower has less to do than the primary.
    let best = loaded.max_by_key(|node| {
        (node.registration.role == "follower", node.registration.applied, node.id)
    });
    best.ok_or_else(|| {
        StartError::new(format!(
            "no running node of group {group} has loaded its data: start one, or copy its directory"
        ))
    })
}
