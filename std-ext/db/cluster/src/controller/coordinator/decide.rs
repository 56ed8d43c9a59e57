//! The decisions of the coordinator, by the cluster as it is. Nothing here talks to etcd.
//!
//! - A group that has fewer than `1 + cluster-replicas` nodes gets one that waits: the groups with the fewest nodes
//!   first, and of these the one that has the fewest nodes in the zone of the new one. Nodes that are gone for good do
//!   not count, so a spare takes their place while they are still members.
//! - A member that is gone for good is removed once all other nodes of its group are alive and have all data, so also
//!   the spare that has taken its place. The rules of `hedgerow-db cluster forget` hold besides.
//! - A place is taken back from a node that is gone for good before it has become a member.
//! - If the cluster wants more groups than there are, nodes that wait make one, once no other group needs them.
//! - The nodes of a group that is dissolved leave it once it has no slots, its primary last. A node that goes leaves
//!   its group once the nodes that stay have all data.

use super::absence::Gone;
use super::rules::Rules;
use super::shape::ClusterShape;
use super::view::{CoordinatorView, GroupView};
use crate::membership::member_removal::LeavingNode;
use hedgerow_db_formats::slot_set::MOST_GROUPS;
use hedgerow_db_group::NodeId;
use std::collections::BTreeMap;
use std::fmt;

/// How long a node that was placed may take to join its group if members are never removed, in milliseconds.
const JOIN: u64 = 600_000;
/// The fewest nodes that must have the data of a group from which a member is removed: its primary and another one.
const FEWEST: usize = 2;

/// A decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) kind: DecisionKind,
    pub(super) node: NodeId,
    pub(super) group: u32,
    pub(super) reason: DecisionReason,
}

/// The change that a decision makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DecisionKind {
    /// Place it in the group.
    Place,
    /// Take its place in the group back.
    Withdraw,
    /// Remove it from the members of the group.
    Forget,
    /// Make it leave the group.
    Leave,
}

/// The reason of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DecisionReason {
    /// The group has this many nodes that are not gone for good, and should have the second number.
    Has(usize, usize),
    /// The node has been gone for this many milliseconds.
    GoneFor(u64),
    /// The group is dissolved.
    Dissolved,
    /// Fewer nodes are wanted.
    Fewer,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, node, group, reason } = self;
        match kind {
            DecisionKind::Place => write!(f, "node {node} is assigned to group {group}")?,
            DecisionKind::Withdraw => {
                write!(f, "node {node} is no longer assigned to group {group}")?;
            }
            DecisionKind::Forget => {
                write!(f, "node {node} is removed from the members of group {group}")?;
            }
            DecisionKind::Leave => write!(f, "node {node} leaves group {group}")?,
        }
        match reason {
            DecisionReason::Has(has, wanted) => {
                write!(f, ": the group has {has} of {wanted} nodes")
            }
            DecisionReason::GoneFor(time) => {
                write!(f, ": it has been absent for {} s", time / 1000)
            }
            DecisionReason::Dissolved => f.write_str(": the group has no slots, and is dissolved"),
            DecisionReason::Fewer => f.write_str(": the cluster needs fewer nodes"),
        }
    }
}

/// Decides what to do. At most one member of each group is removed, and none of a group that has just got a node.
pub(super) fn decide(view: &CoordinatorView, gone: &Gone, rules: &Rules) -> Vec<Decision> {
    let shape = &ClusterShape::of(view, rules);
    let cluster = Cluster { view, gone, rules, shape };
    let mut decisions = cluster.withdrawals();
    let places = cluster.places();
    decisions.extend(&places);
    for (number, group) in &view.groups {
        // The new node must have the data before the group can spare another one.
        if !places.iter().any(|place| place.group == *number) {
            let forgotten = cluster.forget(*number, group);
            let leaves = if forgotten.is_none() { cluster.leaves(*number, group) } else { vec![] };
            decisions.extend(forgotten.into_iter().chain(leaves));
        }
    }
    decisions
}

struct Cluster<'a> {
    view: &'a CoordinatorView,
    gone: &'a Gone,
    rules: &'a Rules,
    shape: &'a ClusterShape,
}

impl Cluster<'_> {
    /// Returns for how long a node has been gone, if that is too long for a member.
    fn is_lost(&self, node: NodeId) -> Option<u64> {
        let gone = *self.gone.get(&node)?;
        self.rules.forget.is_some_and(|most| gone >= most).then_some(gone)
    }

    /// Whether a node runs in a group of which it is no member any more: it was removed while it was cut off from etcd,
    /// and never takes over. A node that has just started is still loading when it becomes a member.
    fn is_stray(&self, node: NodeId, number: u32) -> bool {
        let is_member = self.view.groups.get(&number).is_some_and(|group| group.members.has(node));
        let runs = self.view.nodes.get(&node).is_some_and(|node| node.role == "follower");
        runs && !is_member
    }

    /// Takes places back from nodes that never became members.
    fn withdrawals(&self) -> Vec<Decision> {
        let most = self.rules.forget.unwrap_or(JOIN);
        let placed = self.view.places.iter().filter_map(|(node, place)| {
            let group = self.view.groups.get(&place.group);
            let is_member = group.is_some_and(|of| of.members.has(*node));
            let gone = *self.gone.get(node)?;
            // A node that leaves, and comes back, must know that it has no group.
            (!is_member && !place.leave && gone >= most).then_some(Decision {
                kind: DecisionKind::Withdraw,
                node: *node,
                group: place.group,
                reason: DecisionReason::GoneFor(gone),
            })
        });
        placed.collect()
    }

    /// Places nodes that wait.
    fn places(&self) -> Vec<Decision> {
        let wanted = self.wanted();
        let mut groups: BTreeMap<u32, Filling<'_>> = self
            .view
            .groups
            .iter()
            .filter(|(number, group)| {
                self.can_take(group) && !self.shape.dissolving.contains(number)
            })
            .map(|(number, _)| (*number, self.filling(*number)))
            .collect();
        let mut spares: BTreeMap<NodeId, &str> = self
            .view
            .spares()
            // A node that is about to be stopped is given no group.
            .filter(|(id, _)| !self.shape.going.contains(id))
            .map(|(id, node)| (id, &*node.zone))
            .collect();
        // Groups that exist are filled first: a new one takes no node that another one lacks.
        for number in self.new_groups(&groups, spares.len()) {
            groups.insert(number, Filling::default());
        }
        let mut places = Vec::new();
        while let Some((number, node)) = best(&groups, &spares, wanted)
            && let Some(filling) = groups.get_mut(&number)
            && let Some(zone) = spares.remove(&node)
        {
            let reason = DecisionReason::Has(filling.nodes, wanted);
            places.push(Decision { kind: DecisionKind::Place, node, group: number, reason });
            filling.add(zone);
        }
        places
    }

    /// Returns how many nodes each group should have.
    fn wanted(&self) -> usize {
        self.rules.replicas as usize + 1
    }

    /// Returns the numbers of groups to make: as many as the cluster wants, and as nodes that wait can fill, once the
    /// other groups have theirs.
    fn new_groups(&self, groups: &BTreeMap<u32, Filling<'_>>, spares: usize) -> Vec<u32> {
        let lacks = |filling: &Filling<'_>| self.wanted().saturating_sub(filling.nodes);
        let left = spares.saturating_sub(groups.values().map(lacks).sum());
        let most = (self.shape.missing as usize).min(left / self.wanted());
        let unused = |number: &u32| !self.view.groups.contains_key(number);
        (self.view.initial_groups()..MOST_GROUPS).filter(unused).take(most).collect()
    }

    /// Whether a new node of a group would get its data: from a member that lives, unless there are none yet.
    fn can_take(&self, group: &GroupView) -> bool {
        let lives = |node: NodeId| self.view.nodes.contains_key(&node);
        group.tail.is_none() || group.members.0.iter().any(|member| lives(member.node))
    }

    fn filling(&self, number: u32) -> Filling<'_> {
        let mut filling = Filling::default();
        for node in self.view.belonging(number) {
            let goes = self.shape.going.contains(&node) || self.view.leaves(node, number);
            if self.is_lost(node).is_none() && !self.is_stray(node, number) && !goes {
                filling.add(self.view.nodes.get(&node).map_or("", |node| &node.zone));
            }
        }
        filling
    }

    /// Removes a member of a group that is gone for good, if all others are well.
    fn forget(&self, number: u32, group: &GroupView) -> Option<Decision> {
        group.live_primary(self.view)?;
        let (mut lost, mut whole) = (Vec::new(), 0);
        let members = group.members.0.iter().map(|member| member.node);
        // A node that was placed counts like a member: it may be joining at this moment.
        let placed = self.view.places.iter().filter(|(_, place)| place.group == number);
        let placed = placed.map(|(node, _)| *node).filter(|node| !group.members.has(*node));
        for node in members.chain(placed) {
            match self.is_lost(node) {
                Some(gone) => lost.push((node, gone)),
                None if group.has_whole(node, self.view) => whole += 1,
                // It comes back, or fetches the data.
                None => return None,
            }
        }
        let may_go = |(node, _): &(NodeId, u64)| {
            let leaving = LeavingNode {
                node: *node,
                members: &group.members,
                is_registered: self.view.nodes.contains_key(node),
                holder: group.tail.as_ref().and_then(hedgerow_db_group::Tail::holder),
                left: whole,
            };
            // At least two, also with `cluster-copies 1`: otherwise only the primary might have the data. A node that
            // was placed and never came is withdrawn instead.
            group.members.has(*node) && leaving.check(self.rules.copies.max(FEWEST)).is_ok()
        };
        let (node, gone) = lost.into_iter().find(may_go)?;
        let reason = DecisionReason::GoneFor(gone);
        Some(Decision { kind: DecisionKind::Forget, node, group: number, reason })
    }
}

impl Cluster<'_> {
    /// Makes nodes leave a group.
    fn leaves(&self, number: u32, group: &GroupView) -> Vec<Decision> {
        let (nodes, reason) = if self.shape.dissolving.contains(&number) {
            (self.leave_dissolved(number, group), DecisionReason::Dissolved)
        } else {
            (self.leave_one(number, group).into_iter().collect(), DecisionReason::Fewer)
        };
        let kind = DecisionKind::Leave;
        nodes.into_iter().map(|node| Decision { kind, node, group: number, reason }).collect()
    }

    /// Returns the nodes that may leave a group that is dissolved: all but the primary, and that one when the others
    /// have left. Those that are gone leave when they come back.
    fn leave_dissolved(&self, number: u32, group: &GroupView) -> Vec<NodeId> {
        if !self.view.owns_nothing(number) {
            return Vec::new();
        }
        let belonging = self.view.belonging(number);
        let primary = group.live_primary(self.view);
        if primary.is_none() && !group.members.0.is_empty() {
            // One of them is about to become the primary.
            return Vec::new();
        }
        // The primary is last, and waits until no other one is running: the last member deletes the group's keys.
        let others = belonging.iter().copied().filter(|node| Some(*node) != primary);
        let stay: Vec<NodeId> =
            others.clone().filter(|node| !self.view.leaves(*node, number)).collect();
        let are_leaving = others.clone().any(|node| self.view.nodes.contains_key(&node));
        match primary.filter(|node| !self.view.leaves(*node, number)) {
            Some(last) if stay.is_empty() && !are_leaving => vec![last],
            _ => stay,
        }
    }

    /// Returns a node that goes and may leave a group that stays: one after the other, once the rest have all data.
    fn leave_one(&self, number: u32, group: &GroupView) -> Option<NodeId> {
        let belonging = self.view.belonging(number);
        let goes = |node: &&NodeId| self.shape.going.contains(*node);
        let mut going: Vec<NodeId> = belonging.iter().filter(goes).copied().collect();
        let primary = group.live_primary(self.view)?;
        let is_whole = |node: &&NodeId| group.has_whole(**node, self.view);
        let whole = belonging.iter().filter(|node| !goes(node)).filter(is_whole).count();
        // One at a time: after each, it is checked again that the rest have all data.
        if whole < self.wanted() || belonging.iter().any(|node| self.view.leaves(*node, number)) {
            return None;
        }
        // The primary hands over, which clients notice.
        going.sort_by_key(|node| *node == primary);
        going.first().copied()
    }
}

/// Returns the group that needs a node most, and the node whose zone suits it best.
fn best(
    groups: &BTreeMap<u32, Filling<'_>>,
    spares: &BTreeMap<NodeId, &str>,
    wanted: usize,
) -> Option<(u32, NodeId)> {
    let fewest =
        groups.values().map(|filling| filling.nodes).min().filter(|nodes| *nodes < wanted)?;
    let neediest = groups.iter().filter(|(_, filling)| filling.nodes == fewest);
    let pairs = neediest.flat_map(|(number, filling)| {
        spares.iter().map(|(node, zone)| (filling.of_zone(zone), *number, *node))
    });
    // Ties go to the lower group and node, so all coordinators decide alike.
    pairs.min().map(|(_, number, node)| (number, node))
}

/// A group that is being filled.
#[derive(Default)]
struct Filling<'a> {
    nodes: usize,
    /// The nodes by their zones.
    zones: BTreeMap<&'a str, usize>,
}

impl<'a> Filling<'a> {
    fn add(&mut self, zone: &'a str) {
        self.nodes += 1;
        *self.zones.entry(zone).or_default() += 1;
    }

    /// Returns how many nodes are in a zone.
    fn of_zone(&self, zone: &str) -> usize {
        self.zones.get(zone).copied().unwrap_or(0)
    }
}
