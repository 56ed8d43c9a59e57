//! The small keys of a group in etcd, read at one revision.

use super::AdminError;
use crate::etcd::{
    EtcdClient, EtcdTransaction, KeyValue, Keys as KeyRange, Operation, OperationAnswer, Range,
};
use crate::membership::durable::Durable;
use crate::membership::identity::ClusterFormat;
use crate::membership::keys::GroupKeys;
use crate::membership::member_removal::is_whole;
use crate::membership::registration::{RegisteredNode, Registration};
use crate::membership::slot_map::SlotMap;
use crate::moves::record::MoveRecord;
use crate::node::wording;
use hedgerow_db_formats::slot_set::SlotSet;
use hedgerow_db_group::{Members, NodeId, Objections, Seq, Tail};
use std::collections::{BTreeMap, BTreeSet};

/// The least digits by which a command line may name a node.
const LEAST_DIGITS: usize = 4;

/// A group as etcd has it.
#[derive(Clone, Debug)]
pub(crate) struct StoredGroup {
    /// The group's number.
    pub(crate) number: u32,
    /// etcd's revision.
    pub(crate) revision: u64,
    /// The cluster.
    pub(crate) format: ClusterFormat,
    /// The last line; `None` before the first primary.
    pub(crate) tail: Option<Tail>,
    /// The published map of slots; the one of a new cluster if no slot has ever moved.
    pub(crate) slots: SlotMap,
    /// The slots that are being moved.
    pub(crate) moving: SlotSet,
    /// The members.
    pub(crate) members: Members,
    /// The value of `members`, to compare it; `None` without the key.
    pub(crate) members_text: Option<Vec<u8>>,
    /// The nodes of the group that are registered.
    pub(crate) nodes: Vec<RegisteredNode>,
    /// The revisions at which these registrations were written.
    pub(crate) written: BTreeMap<NodeId, u64>,
    /// The leases of these registrations.
    pub(crate) leases: BTreeMap<NodeId, i64>,
    /// The registered nodes of other groups.
    pub(crate) others: Vec<RegisteredNode>,
    /// The progress of the members' disks.
    pub(crate) durable: Vec<(NodeId, Durable)>,
    /// The record of a node that has more than etcd.
    pub(crate) halt: Option<Vec<u8>>,
    /// The first batch that etcd has.
    pub(crate) first: Option<Seq>,
    /// The last batch that etcd has.
    pub(crate) last: Option<Seq>,
}

/// The whole seconds that the lease of a registration has left at most if its node has missed a renewal: of five
/// seconds, it renews the lease after a third.
const LEFT: u64 = 2;

impl StoredGroup {
    /// Returns which of these nodes have not renewed the leases of their registrations, as far as etcd says.
    pub(super) async fn unrenewed(
        client: &EtcdClient,
        groups: &[Self],
        nodes: impl Iterator<Item = NodeId>,
    ) -> BTreeSet<NodeId> {
        let mut found = BTreeSet::new();
        for node in nodes {
            let lease = groups.iter().find_map(|group| group.leases.get(&node));
            if let Some(lease) = lease
                && client.lease_left(*lease).await.is_ok_and(|left| left <= LEFT)
            {
                found.insert(node);
            }
        }
        found
    }

    /// Reads the group.
    ///
    /// # Errors
    /// If etcd does not answer, has no such cluster or group, or has a value that cannot be read.
    pub(crate) async fn read(client: &EtcdClient, keys: &GroupKeys) -> Result<Self, AdminError> {
        let all = |prefix: String| Operation::Get(Range::of(KeyRange::prefix(prefix)));
        let batch = || Range::of(KeyRange::prefix(keys.batches())).limit(1).keys_only();
        let read = EtcdTransaction {
            then: vec![
                Operation::get(keys.format()),
                Operation::get(keys.tail()),
                Operation::get(keys.members()),
                all(keys.nodes()),
                all(keys.durables()),
                Operation::Get(batch()),
                Operation::Get(batch().descending()),
                Operation::get(keys.slots()),
                all(keys.moves()),
                Operation::get(keys.halt()),
            ],
            ..EtcdTransaction::default()
        };
        let answer = client.transact(&read).await?;
        let mut found = answer.answers.into_iter().map(|answer| match answer {
            OperationAnswer::Found(pairs, _) => pairs,
            _ => Vec::new(),
        });
        let mut next = || found.next().unwrap_or_default();
        let [format, tail, members] = [next(), next(), next()].map(|pairs| first_value(&pairs));
        let (nodes, durable, first, last) = (next(), next(), next(), next());
        let (slots, moves) = (first_value(&next()), next());
        let halt = first_value(&next());
        let Some(format) = format else {
            return Err(AdminError::from(format!(
                "etcd has no cluster at {}: check cluster-name and cluster-etcd. The first node creates the cluster \
                 when it starts",
                keys.format()
            )));
        };
        let id = |pair: &KeyValue| NodeId::read(pair.key.strip_prefix(keys.nodes().as_bytes())?);
        let written = nodes.iter().filter_map(|pair| Some((id(pair)?, pair.modified))).collect();
        let leases = nodes.iter().filter_map(|pair| Some((id(pair)?, pair.lease))).collect();
        let nodes = of_nodes(&nodes, &keys.nodes(), registration);
        // Nodes that wait for a group are in none.
        let nodes = nodes.into_iter().filter(|node| !node.registration.is_spare());
        let own = |node: &RegisteredNode| node.registration.group == keys.number();
        let (nodes, others) = nodes.partition(own);
        let seq = |pairs: &[KeyValue]| pairs.first().and_then(|pair| keys.seq(&pair.key));
        let format = ClusterFormat::parse(&format)?;
        let slots = slots.map(|value| SlotMap::parse(&value)).transpose()?;
        let mut moving = SlotSet::of_range(0..0);
        for one in moves {
            moving = moving.union(&MoveRecord::parse(&one.value)?.slots);
        }
        let group = Self {
            number: keys.number(),
            revision: answer.revision,
            slots: slots.unwrap_or_else(|| SlotMap::divided(format.groups)),
            moving,
            format,
            tail: tail.map(|line| Tail::parse(&line)).transpose()?,
            members: Members::parse(members.as_deref().unwrap_or(b"[]"))?,
            members_text: members,
            nodes,
            written,
            leases,
            others,
            durable: of_nodes(&durable, &keys.durables(), |id, value| {
                Some((id, Durable::parse(value)?))
            }),
            halt,
            first: seq(&first),
            last: seq(&last),
        };
        group.check_exists()?;
        Ok(group)
    }

    /// Reads all groups of the cluster, by their numbers.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) async fn read_all(
        client: &EtcdClient,
        keys: &GroupKeys,
    ) -> Result<Vec<Self>, AdminError> {
        let mut all = Vec::new();
        for number in Self::read(client, &keys.of_group(0)).await?.numbers() {
            let group = Self::read(client, &keys.of_group(number)).await?;
            // One that was drained, and whose nodes were stopped and forgotten, is history.
            if group.has_slots() || !group.nodes.is_empty() || !group.members.0.is_empty() {
                all.push(group);
            }
        }
        Ok(all)
    }

    /// Returns the numbers of all groups: those that the cluster was made with, and those that have slots or nodes.
    fn numbers(&self) -> BTreeSet<u32> {
        let nodes = self.nodes.iter().chain(&self.others).map(|node| node.registration.group);
        (0..self.format.groups).chain(self.slots.groups()).chain(nodes).collect()
    }

    fn has_slots(&self) -> bool {
        self.slots.groups().contains(&self.number)
    }

    /// Refuses the number of a group that was never there: its status would look like that of one without nodes.
    fn check_exists(&self) -> Result<(), AdminError> {
        let numbers = self.numbers();
        let is_known = numbers.contains(&self.number) || self.tail.is_some();
        if is_known || !self.members.0.is_empty() {
            return Ok(());
        }
        let text = match numbers.len() {
            1 => "its only group is".to_owned(),
            groups => format!("it has {groups}, the last of which is"),
        };
        Err(AdminError::from(format!(
            "the cluster has no group {}: {text} {}. `hedgerow-db cluster nodes` lists them",
            self.number,
            numbers.last().copied().unwrap_or_default()
        )))
    }

    /// Returns the registration of a node.
    pub(crate) fn registration(&self, id: NodeId) -> Option<&Registration> {
        self.nodes.iter().find(|node| node.id == id).map(|node| &node.registration)
    }

    /// Returns the progress of a node's disk.
    pub(crate) fn durable(&self, id: NodeId) -> Option<&Durable> {
        self.durable.iter().find(|(of, _)| *of == id).map(|(_, durable)| durable)
    }

    /// Returns which entries etcd has lost, by what nodes have said, and what to do.
    pub(crate) fn lost(&self) -> Option<String> {
        let durable = self.durable.iter().map(|(node, durable)| (*node, durable.seq)).collect();
        let objections = Objections { halt: self.halt.clone(), durable };
        let lost = wording::objection(&objections.against(self.tail.as_ref(), &self.members)?);
        Some(format!(
            "{lost}: it was restored from a backup, or emptied, and no node takes over. Keep the directories of all \
             nodes, including absent ones; stop all nodes, and run `hedgerow-db cluster adopt` with all of these \
             directories"
        ))
    }

    /// Returns the node that the last line names as the primary, unless the group is released.
    pub(crate) fn holder(&self) -> Option<NodeId> {
        self.tail.as_ref().and_then(Tail::holder)
    }

    /// Returns the members that would hold all data without another one: with the batches that etcd has, their disks
    /// have everything.
    pub(crate) fn copies_without(&self, other: Option<NodeId>) -> usize {
        let whole = |id: NodeId| is_whole(&self.durable, self.first, id);
        let members = self.members.0.iter().map(|member| member.node);
        members.filter(|id| Some(*id) != other && whole(*id)).count()
    }

    /// Finds a member by its id, or by the beginning of it.
    ///
    /// # Errors
    /// If there is no such member, or several.
    pub(crate) fn member(&self, text: &str) -> Result<NodeId, AdminError> {
        let begin = text.to_ascii_lowercase();
        let ids = self.members.0.iter().map(|member| member.node);
        let fits = ids.filter(|id| id.to_string().starts_with(&begin)).collect::<Vec<_>>();
        match fits[..] {
            [one] if begin.len() >= LEAST_DIGITS => Ok(one),
            [_, _, ..] if begin.len() >= LEAST_DIGITS => Err(AdminError::from(format!(
                "{} member ids begin with {text}: give more digits",
                fits.len()
            ))),
            _ if begin.len() < LEAST_DIGITS => Err(AdminError::from(format!(
                "{text:?} is too short: give at least {LEAST_DIGITS} digits of the node's id"
            ))),
            _ => {
                let all: Vec<_> = self.members.0.iter().map(|one| one.node.to_string()).collect();
                Err(AdminError::from(format!(
                    "no member id begins with {text}. The members are {}",
                    all.join(", ")
                )))
            }
        }
    }
}

fn first_value(pairs: &[KeyValue]) -> Option<Vec<u8>> {
    pairs.first().map(|pair| pair.value.to_vec())
}

/// Reads keys that end with a node's id. Those that cannot be read are left out, as all nodes do.
fn of_nodes<T>(
    pairs: &[KeyValue],
    prefix: &str,
    read: impl Fn(NodeId, &[u8]) -> Option<T>,
) -> Vec<T> {
    let one = |pair: &KeyValue| {
        let id = NodeId::read(pair.key.strip_prefix(prefix.as_bytes())?)?;
        read(id, &pair.value)
    };
    pairs.iter().filter_map(one).collect()
}

fn registration(id: NodeId, value: &[u8]) -> Option<RegisteredNode> {
    Some(RegisteredNode { id, registration: Registration::read(value)? })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use hedgerow_db_group::BatchChain;

    /// A group of three nodes, the first of which is the primary. All entries are on all disks.
    pub(in crate::admin) fn group() -> StoredGroup {
        let node = |number: u8| NodeId([number; 20]);
        let registration = |number: u8, role: &str| Registration {
            nonce: number.into(),
            ip: "127.0.0.1".to_owned(),
            port: 7000 + u16::from(number),
            peer_port: 17_000 + u16::from(number),
            version: "0.1.0".to_owned(),
            role: role.to_owned(),
            applied: 40,
            wall: 77_000,
            ..Registration::default()
        };
        let roles = [(1, "primary"), (2, "follower"), (3, "follower")];
        let durable = Durable { folder: "07".repeat(16), lsn: 40, seq: 9 };
        let members =
            roles.iter().fold(Members::default(), |all, (n, _)| all.with(node(*n), 70_000));
        StoredGroup {
            number: 0,
            slots: SlotMap::divided(1),
            moving: SlotSet::of_range(0..0),
            others: Vec::new(),
            written: roles.iter().map(|(n, _)| (node(*n), 90)).collect(),
            leases: BTreeMap::new(),
            revision: 100,
            format: ClusterFormat {
                cluster: [7; 16],
                incarnation: 1,
                made: 70_000,
                groups: 1,
                number: 1,
                adopter: None,
            },
            tail: Some(Tail {
                epoch: 3,
                node: Some(node(1)),
                nonce: 1,
                seq: 9,
                lsn: 40,
                time: 77_000,
                beat: 5,
                lease: 3000,
                chain: BatchChain::default(),
            }),
            members_text: Some(members.print().into_bytes()),
            members,
            nodes: roles
                .iter()
                .map(|(n, role)| RegisteredNode {
                    id: node(*n),
                    registration: registration(*n, role),
                })
                .collect(),
            durable: roles.iter().map(|(n, _)| (node(*n), durable.clone())).collect(),
            halt: None,
            first: Some(4),
            last: Some(9),
        }
    }

    #[test]
    fn a_node_is_named_by_the_beginning_of_its_id() {
        let mut group = group();
        assert_eq!(group.member("0202").unwrap(), NodeId([2; 20]));
        assert_eq!(group.member(&NodeId([3; 20]).to_string()).unwrap(), NodeId([3; 20]));
        let mut twin = [2; 20];
        twin[19] = 0xAB;
        group.members = group.members.with(NodeId(twin), 1);
        let error = |text: &str| group.member(text).unwrap_err().to_string();
        assert!(error("0202").contains("2 member ids begin with 0202"), "{}", error("0202"));
        assert!(error("01").contains("at least 4 digits"), "{}", error("01"));
        assert!(error("").contains("at least 4 digits"));
        assert!(error("abcd").contains(&NodeId([1; 20]).to_string()), "{}", error("abcd"));
    }

    #[test]
    fn a_group_that_was_never_there_is_refused() {
        let mut group = group();
        assert!(group.check_exists().is_ok());
        let members = std::mem::take(&mut group.members);
        (group.number, group.nodes) = (7, Vec::new());
        assert!(group.check_exists().is_ok(), "it had a primary");
        group.tail = None;
        let why = group.check_exists().unwrap_err().to_string();
        assert!(why.contains("no group 7: its only group is 0"), "{why}");
        group.members = members;
        assert!(group.check_exists().is_ok(), "it has members");
    }

    #[test]
    fn a_copy_reaches_the_batches_that_etcd_has() {
        let mut group = group();
        assert_eq!(group.copies_without(None), 3);
        assert_eq!(group.copies_without(Some(NodeId([2; 20]))), 2);
        group.first = Some(10);
        assert_eq!(group.copies_without(None), 3, "the next one is enough");
        group.first = Some(11);
        assert_eq!(group.copies_without(None), 0, "a gap");
        group.first = Some(4);
        group.durable.remove(0);
        assert_eq!(group.copies_without(None), 2, "a member without a record has none");
    }
}
