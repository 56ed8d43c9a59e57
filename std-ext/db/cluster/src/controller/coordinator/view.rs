//! The cluster as etcd has it: its nodes, their places, and the members of each group.

use super::holder::Holder;
use crate::etcd::{
    EtcdClient, EtcdTransaction, KeyValue, Keys as KeyRange, Operation, OperationAnswer, Range,
};
use crate::membership::desired::Desired;
use crate::membership::durable::Durable;
use crate::membership::identity::ClusterFormat;
use crate::membership::keys::GroupKeys;
use crate::membership::member_removal::is_whole;
use crate::membership::place::NodeAssignment;
use crate::membership::registration::Registration;
use crate::membership::slot_map::SlotMap;
use crate::moves::record::MoveRecord;
use hedgerow_db_formats::slot_set::MOST_GROUPS;
use hedgerow_db_group::{Members, NodeId, Seq, Tail};
use std::collections::{BTreeMap, BTreeSet};

/// The groups that one transaction reads: five keys each, and etcd takes 128 operations.
const GROUPS: usize = 25;

/// The cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct CoordinatorView {
    /// The coordinator.
    pub(crate) coordinator: Option<Holder>,
    /// The revision of the last decision; `None` before the first one.
    pub(crate) last_decision: Option<u64>,
    /// The nodes that are registered.
    pub(crate) nodes: BTreeMap<NodeId, Registration>,
    /// The groups in which nodes were placed.
    pub(crate) places: BTreeMap<NodeId, NodeAssignment>,
    /// The revisions at which the places were written.
    pub(crate) placed_at: BTreeMap<NodeId, u64>,
    /// The groups: those of the map of slots, and those of which there is a node.
    pub(crate) groups: BTreeMap<u32, GroupView>,
    /// The identity of the cluster, and the groups that it was made with.
    pub(crate) format: Option<ClusterFormat>,
    /// The number of nodes that the cluster wants, and the revision of the key.
    pub(crate) desired: Option<Desired>,
    pub(crate) desired_revision: Option<u64>,
    /// The groups of each move: from, and to. A record that cannot be read may be of any group.
    pub(crate) moves: Vec<Option<(u32, u32)>>,
    /// The value of `last-move`.
    pub(crate) last_move: Option<Vec<u8>>,
    /// The published map of slots, and its value.
    pub(crate) slots: Option<SlotMap>,
    pub(crate) slots_text: Option<Vec<u8>>,
}

/// A group.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupView {
    /// The last line of its log.
    pub(crate) tail: Option<Tail>,
    /// The value of `primary`.
    pub(crate) primary: Option<Vec<u8>>,
    /// The members.
    pub(crate) members: Members,
    /// The value of `members`.
    pub(crate) members_text: Option<Vec<u8>>,
    /// The progress of the members' disks.
    pub(crate) durable: Vec<(NodeId, Durable)>,
    /// The first batch that etcd has.
    pub(crate) first: Option<Seq>,
}

impl CoordinatorView {
    /// Reads the cluster. `None`: etcd has none, or `hedgerow-db cluster adopt` is filling it.
    ///
    /// The groups are read behind the last decision, so a transaction that compares that decision and a group's members
    /// rests on nothing older.
    ///
    /// # Errors
    /// A sentence, if etcd does not answer, or has a value that cannot be read.
    pub(crate) async fn read(
        client: &EtcdClient,
        keys: &GroupKeys,
    ) -> Result<Option<Self>, String> {
        let all = |prefix: String| Operation::Get(Range::of(KeyRange::prefix(prefix)));
        let operations = vec![
            Operation::get(keys.format()),
            Operation::get(keys.coordinator()),
            Operation::get(keys.last_decision()),
            Operation::get(keys.slots()),
            all(keys.nodes()),
            all(keys.places()),
            Operation::get(keys.desired()),
            Operation::get(keys.last_move()),
            all(keys.moves()),
        ];
        let [format, coordinator, last, slots, nodes, places, desired, last_move, moves] =
            &read(client, operations).await?[..]
        else {
            return Err("etcd left out an answer".to_owned());
        };
        let Some(format) = format.first() else { return Ok(None) };
        let format = ClusterFormat::parse(&format.value).map_err(|why| why.to_string())?;
        // Between the deletion and the end, groups seem empty, and nodes gone.
        if format.adopter.is_some() {
            return Ok(None);
        }
        let value = |pairs: &[KeyValue]| pairs.first().map(|pair| pair.value.to_vec());
        let groups_of = |pair: &KeyValue| {
            let record = MoveRecord::parse(&pair.value).ok()?;
            Some((record.from, record.to))
        };
        let placed_at =
            places.iter().filter_map(|pair| Some((id_of(pair, &keys.places())?, pair.modified)));
        let map = slots.first().map(|slots| SlotMap::parse(&slots.value)).transpose()?;
        let mut view = Self {
            coordinator: coordinator.first().and_then(Holder::of),
            last_decision: last.first().map(|pair| pair.modified),
            nodes: of_nodes(nodes, &keys.nodes(), Registration::read).collect(),
            places: of_nodes(places, &keys.places(), NodeAssignment::parse).collect(),
            placed_at: placed_at.collect(),
            groups: BTreeMap::new(),
            desired: desired.first().and_then(|pair| Desired::parse(&pair.value)),
            desired_revision: desired.first().map(|pair| pair.modified),
            moves: moves.iter().map(groups_of).collect(),
            last_move: value(last_move),
            slots: map,
            slots_text: value(slots),
            format: None,
        };
        // The group of the asking node, also if it is the last one there and just starts.
        let mut numbers: BTreeSet<u32> = (0..format.groups).chain([keys.number()]).collect();
        numbers.extend(view.slots.iter().flat_map(SlotMap::groups));
        let of_nodes = view.nodes.values().map(|node| node.group);
        // A node that leaves a group, and is gone, does not keep the group alive.
        let placed = view.places.values().filter(|place| !place.leave).map(|place| place.group);
        numbers.extend(of_nodes.chain(placed));
        view.format = Some(format);
        // Spares are registered with `NO_GROUP`.
        numbers.retain(|number| *number < MOST_GROUPS);
        let numbers: Vec<u32> = numbers.into_iter().collect();
        for numbers in numbers.chunks(GROUPS) {
            let groups: Vec<GroupKeys> =
                numbers.iter().map(|number| keys.of_group(*number)).collect();
            let found =
                read(client, groups.iter().flat_map(GroupView::operations).collect()).await?;
            for (keys, found) in groups.iter().zip(found.chunks(GroupView::OPERATIONS)) {
                view.groups.insert(keys.number(), GroupView::of(keys, found)?);
            }
        }
        Ok(Some(view))
    }

    /// Returns the nodes that belong to a group: its members, those that were placed there, and those that are
    /// registered with it.
    pub(crate) fn belonging(&self, number: u32) -> BTreeSet<NodeId> {
        let members = self.groups.get(&number).into_iter().flat_map(|group| &group.members.0);
        let placed = self.places.iter().filter(|(_, place)| place.group == number);
        let registered = self.nodes.iter().filter(|(_, node)| node.group == number);
        let all = members.map(|member| member.node).chain(placed.map(|(id, _)| *id));
        all.chain(registered.map(|(id, _)| *id)).collect()
    }

    /// Returns the nodes that are missed: those that belong to a group, and are not registered.
    pub(super) fn missed(&self) -> BTreeSet<NodeId> {
        let belonging = self.groups.keys().flat_map(|number| self.belonging(*number));
        belonging.filter(|id| !self.nodes.contains_key(id)).collect()
    }

    /// Returns whether nothing in the cluster is under way: no node waits for a place or leaves one, no slots move, and
    /// all nodes serve.
    pub(super) fn is_settled(&self) -> bool {
        let serves = |node: &Registration| matches!(&*node.role, "primary" | "follower");
        self.moves.is_empty()
            && self.nodes.values().all(serves)
            && !self.places.values().any(|place| place.leave)
    }

    /// Returns the number of groups that the cluster was made with.
    pub(crate) fn initial_groups(&self) -> u32 {
        self.format.as_ref().map_or(1, |format| format.groups)
    }

    /// Returns the groups that have slots by the published map.
    pub(super) fn serving(&self) -> BTreeSet<u32> {
        match &self.slots {
            Some(slots) => slots.groups(),
            None => (0..self.initial_groups()).collect(),
        }
    }

    /// Returns whether a group has no slots, and gets none: it was not made with the cluster, and by the published map,
    /// its nodes and all moves it has none.
    pub(super) fn owns_nothing(&self, number: u32) -> bool {
        let touches = |groups: &Option<(u32, u32)>| {
            groups.is_none_or(|(from, to)| from == number || to == number)
        };
        let owns = |node: &Registration| {
            node.group == number && node.slots.as_ref().is_some_and(|slots| !slots.is_empty())
        };
        number >= self.initial_groups()
            && !self.serving().contains(&number)
            && !self.moves.iter().any(touches)
            && !self.nodes.values().any(owns)
    }

    /// Returns whether a node shall leave a group, and has not deleted its place yet.
    pub(crate) fn leaves(&self, node: NodeId, number: u32) -> bool {
        self.places.get(&node) == Some(&NodeAssignment::left(number))
    }

    /// Returns the nodes that wait for a place.
    pub(crate) fn spares(&self) -> impl Iterator<Item = (NodeId, &Registration)> {
        let waits = |(id, node): &(&NodeId, &Registration)| {
            node.is_spare() && !self.places.contains_key(id)
        };
        self.nodes.iter().filter(waits).map(|(id, node)| (*id, node))
    }
}

impl GroupView {
    /// The number of [`operations`](Self::operations).
    const OPERATIONS: usize = 5;

    fn operations(keys: &GroupKeys) -> [Operation; Self::OPERATIONS] {
        let batches = Range::of(KeyRange::prefix(keys.batches()));
        [
            Operation::get(keys.tail()),
            Operation::get(keys.primary()),
            Operation::get(keys.members()),
            Operation::Get(Range::of(KeyRange::prefix(keys.durables()))),
            Operation::Get(batches.limit(1).keys_only()),
        ]
    }

    fn of(keys: &GroupKeys, found: &[Vec<KeyValue>]) -> Result<Self, String> {
        let [tail, primary, members, durable, first] = found else {
            return Err("etcd left out an answer".to_owned());
        };
        let value = |pairs: &[KeyValue]| pairs.first().map(|pair| pair.value.to_vec());
        let members_text = value(members);
        let durable = durable.iter().filter_map(|pair| {
            Some((id_of(pair, &keys.durables())?, Durable::parse(&pair.value)?))
        });
        Ok(Self {
            tail: value(tail).map(|line| Tail::parse(&line)).transpose()?,
            primary: value(primary),
            members: Members::parse(members_text.as_deref().unwrap_or(b"[]"))?,
            members_text,
            durable: durable.collect(),
            first: first.first().and_then(|pair| keys.seq(&pair.key)),
        })
    }

    /// Returns the node that the last line names as the primary, if it lives.
    pub(crate) fn live_primary(&self, view: &CoordinatorView) -> Option<NodeId> {
        let tail = self.tail.as_ref()?;
        let holder = tail.holder()?;
        let node = view.nodes.get(&holder)?;
        // Another process of the node does not lead by this line.
        (node.role == "primary" && node.nonce == tail.nonce).then_some(holder)
    }

    /// Returns whether a node is a member that lives, and has all data together with the batches in etcd.
    pub(super) fn has_whole(&self, node: NodeId, view: &CoordinatorView) -> bool {
        let serves = |node: &Registration| matches!(&*node.role, "primary" | "follower");
        self.members.has(node)
            && view.nodes.get(&node).is_some_and(serves)
            && is_whole(&self.durable, self.first, node)
    }
}

async fn read(client: &EtcdClient, then: Vec<Operation>) -> Result<Vec<Vec<KeyValue>>, String> {
    let transaction = EtcdTransaction { then, ..EtcdTransaction::default() };
    let answer = client.transact(&transaction).await.map_err(|why| why.to_string())?;
    let found = |answer| match answer {
        OperationAnswer::Found(pairs, false) => Ok(pairs),
        // The first batch is asked for alone.
        OperationAnswer::Found(pairs, true) if pairs.len() == 1 => Ok(pairs),
        // A node that is left out would look gone.
        _ => Err("the cluster has more nodes than this version can manage".to_owned()),
    };
    answer.answers.into_iter().map(found).collect()
}

fn id_of(pair: &KeyValue, prefix: &str) -> Option<NodeId> {
    NodeId::read(pair.key.strip_prefix(prefix.as_bytes())?)
}

/// Reads keys that end with a node's id. Those that cannot be read are left out, as all nodes do.
fn of_nodes<'a, T>(
    pairs: &'a [KeyValue],
    prefix: &'a str,
    read: impl Fn(&[u8]) -> Option<T>,
) -> impl Iterator<Item = (NodeId, T)> {
    pairs.iter().filter_map(move |pair| Some((id_of(pair, prefix)?, read(&pair.value)?)))
}
