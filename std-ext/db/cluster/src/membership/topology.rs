//! Makes the view that clients get of the cluster.

use crate::membership::registration::{RegisteredNode, Registration};
use crate::membership::slot_map::SlotMap;
use hedgerow_db_formats::slot_set::SlotSet;
use hedgerow_db_group::hex;
use hedgerow_db_group::{GroupRole, GroupStatus, Members, NodeId};
use hedgerow_db_redis::view::{self, MemberRole, MemberView, NodeHealth, SlotOwners, View};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// The lines of `tail` whose entries the state does not have yet.
const LINES: usize = 1024;
/// How long a node of another group is shown after its registration has ended, in milliseconds. Nobody says which nodes
/// of another group are gone for good.
const GONE: u64 = 600_000;

/// The knowledge of a node about the others.
pub(crate) struct Topology {
    own: NodeId,
    /// The number of the own group.
    group: u32,
    cluster: [u8; 16],
    owners: SlotOwners,
    /// The published map of slots; those of a new cluster until there is one.
    map: SlotMap,
    /// The slots that this group owns by its log, and how often they have changed.
    owned: (u64, SlotSet),
    members: Members,
    /// The primary, or the last one.
    primary: Option<NodeId>,
    nodes: HashMap<NodeId, LastRegistration>,
    /// Whether the registrations have been read.
    has_read: bool,
    /// The primaries of the other groups, or the last ones, with their epochs.
    others: BTreeMap<u32, (u64, NodeId)>,
    /// Lines of `tail`, oldest first.
    lines: VecDeque<TailLine>,
}

/// A line of `tail`, as far as it dates the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TailLine {
    /// The last entry.
    lsn: u64,
    /// The primary's clock, in milliseconds since 1970.
    pub(crate) time: u64,
    /// When this node received it: boot time.
    pub(crate) received: u64,
}

/// A node's last registration.
struct LastRegistration {
    registration: Registration,
    /// When it was there last, boot time.
    at: u64,
    alive: bool,
}

impl Topology {
    /// `groups` is the number of groups among which the slots are divided.
    pub(crate) fn new(
        own: NodeId,
        cluster: [u8; 16],
        groups: u32,
        registration: Registration,
    ) -> Self {
        let (group, owners) = (registration.group, SlotOwners::divided(groups));
        // Clients want to know this node's own addresses before etcd does.
        let nodes = HashMap::from([(own, LastRegistration { registration, at: 0, alive: true })]);
        let (members, primary, lines) = (Members::default(), None, VecDeque::new());
        let others = BTreeMap::new();
        let map = SlotMap::divided(groups);
        let owned = (u64::MAX, SlotSet::of_range(0..0));
        let has_read = false;
        Self {
            own,
            group,
            cluster,
            owners,
            map,
            owned,
            members,
            primary,
            nodes,
            has_read,
            others,
            lines,
        }
    }

    /// Sets the published map of slots.
    pub(crate) fn set_slots(&mut self, map: SlotMap) {
        if map != self.map {
            self.map = map;
            self.set_owners();
        }
    }

    /// Sets the slots that this group owns by its log, if they have changed more often than before.
    pub(crate) fn set_owned(&mut self, changes: u64, slots: impl FnOnce() -> SlotSet) {
        if self.owned.0 != changes {
            self.owned = (changes, slots());
            self.set_owners();
        }
    }

    /// Returns the slots that this group owns by its log.
    pub(crate) fn owned(&self) -> &SlotSet {
        &self.owned.1
    }

    /// The map is a hint, and the log is right about this group.
    fn set_owners(&mut self) {
        self.owners = SlotOwners::of(self.map.owners(), self.group, &self.owned.1);
    }

    /// Returns the peer addresses of the primaries of all groups.
    pub(crate) fn primaries(&self) -> BTreeMap<u32, String> {
        let others = self.others.iter().map(|(group, (_, id))| (*group, *id));
        let own = self.primary.map(|id| (self.group, id));
        let known = others.chain(own);
        known.filter_map(|(group, id)| Some((group, self.peer_address(id)?))).collect()
    }

    /// Returns the number of this node's group.
    pub(crate) fn group(&self) -> u32 {
        self.group
    }

    /// Notes the list of members.
    pub(crate) fn set_members(&mut self, members: &Members) {
        if self.members != *members {
            self.members = members.clone();
        }
    }

    /// Notes the nodes that are registered.
    pub(crate) fn set_nodes(&mut self, nodes: Vec<RegisteredNode>, now: u64) {
        self.has_read = true;
        for (id, seen) in &mut self.nodes {
            seen.alive = *id == self.own;
        }
        for RegisteredNode { id, registration } in nodes {
            self.nodes.insert(id, LastRegistration { registration, at: now, alive: true });
        }
        let (members, group) = (&self.members, self.group);
        self.nodes.retain(|id, seen| {
            let other = seen.registration.group != group;
            seen.alive || members.has(*id) || other && now < seen.at + GONE
        });
        self.set_primaries();
    }

    /// Notes the primaries of the other groups. A registration may be older than the next primary's.
    fn set_primaries(&mut self) {
        for (id, LastRegistration { registration, alive, .. }) in &self.nodes {
            let (group, found) = (registration.group, (registration.epoch, *id));
            if *alive && registration.role == "primary" && group != self.group {
                // One that has ended is kept, so that clients of its group are still told the last one.
                let known = self.others.entry(group).or_insert(found);
                *known = found.max(*known);
            }
        }
    }

    /// Returns the peer addresses of the other nodes of the cluster that are alive.
    pub(crate) fn other_nodes(&self) -> BTreeMap<NodeId, String> {
        let others = self.nodes.keys().filter(|id| **id != self.own);
        others.filter_map(|id| Some((*id, self.peer_address(*id)?))).collect()
    }

    /// Returns where peers reach a node that is alive.
    fn peer_address(&self, id: NodeId) -> Option<String> {
        self.nodes.get(&id).filter(|seen| seen.alive)?.registration.peer_address()
    }

    /// Returns the peer addresses of the other nodes that are alive and have data, those with the most entries first.
    ///
    /// A node that has lost its folder begins with another id, and its registration of before stays for some seconds.
    /// So an address of this node is none of another.
    pub(crate) fn sources(&self) -> Vec<String> {
        let own = self.peer_address(self.own);
        let alive = self.nodes.iter().filter(|(id, seen)| {
            let Registration { group, role, .. } = &seen.registration;
            **id != self.own && seen.alive && *group == self.group && role != "loading"
        });
        let mut sources: Vec<_> =
            alive.map(|(id, seen)| (seen.registration.applied, *id)).collect();
        sources.sort_unstable_by(|one, other| other.cmp(one));
        let addresses = sources.into_iter().filter_map(|(_, id)| self.peer_address(id));
        addresses.filter(|address| Some(address) != own.as_ref()).collect()
    }

    /// Returns whether a node has said that it would not take the group over, or that its own disk keeps no entries.
    pub(crate) fn is_unfit(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_some_and(|seen| seen.alive && seen.registration.is_unfit())
    }

    /// Returns whether a node would take the group over, as far as is known: it is alive, has data, can lead, and its
    /// disk works.
    fn is_fit(seen: &LastRegistration) -> bool {
        let registration = &seen.registration;
        seen.alive && registration.role == "follower" && !registration.is_unfit()
    }

    /// Returns the other nodes that would not take the group over.
    pub(crate) fn unfit(&self) -> Vec<NodeId> {
        let others = self.nodes.iter().filter(|(id, _)| **id != self.own);
        others.filter(|(_, seen)| !Self::is_fit(seen)).map(|(id, _)| *id).collect()
    }

    /// Returns the member that should take the group over: of those that would, it has the most entries.
    pub(crate) fn successor(&self) -> Option<NodeId> {
        let fit = |id: &NodeId| {
            let seen = self.nodes.get(id).filter(|seen| *id != self.own && Self::is_fit(seen))?;
            Some((seen.registration.applied, *id))
        };
        self.members.0.iter().filter_map(|one| fit(&one.node)).max().map(|(_, id)| id)
    }

    /// Returns the newest line of `tail` whose entries the state has.
    pub(crate) fn as_of(&mut self, status: &GroupStatus) -> Option<TailLine> {
        let received = status.received;
        let line = status.tail.map(|tail| TailLine { lsn: tail.lsn, time: tail.time, received });
        if let Some(line) = line
            && self.lines.back() != Some(&line)
        {
            if self.lines.len() == LINES {
                // With more lines to apply than this, every second one will do.
                let mut keep = false;
                self.lines.retain(|_| {
                    keep = !keep;
                    keep
                });
            }
            self.lines.push_back(line);
        }
        let mut as_of = None;
        while let Some(line) = self.lines.front().copied()
            && line.lsn <= status.applied
        {
            as_of = Some(line);
            self.lines.pop_front();
        }
        as_of
    }

    /// Makes the view. `serving` says whether this node serves as the primary.
    pub(crate) fn view(&mut self, status: &GroupStatus, serving: bool, now: u64) -> View {
        let role = match status.role {
            GroupRole::Loading => MemberRole::Loading,
            GroupRole::Primary if serving => MemberRole::Primary,
            GroupRole::Primary | GroupRole::Follower => MemberRole::Follower,
        };
        // A released group has none; clients are told the last one.
        self.primary =
            status.tail.as_ref().and_then(hedgerow_db_group::Tail::holder).or(self.primary);
        let group = view::KnownGroup {
            number: self.group,
            id: self.group_id(self.group),
            epoch: status.epoch,
            primary: self.primary.map(|id| id.to_string()),
            is_led: self.is_led(status, serving, now),
            members: self.members.0.iter().map(|one| self.member(one.node, status, now)).collect(),
        };
        let (own_id, owners) = (self.own.to_string(), self.owners.clone());
        let (others, is_new) = (self.others(status, now), !self.has_read);
        View { own_id, role, group, others, owners, is_new, ..View::default() }
    }

    /// Returns a group's name for clients: 40 hexadecimal digits, the same on all nodes and after restarts.
    ///
    /// It is a hash because every user may read it, and nodes without TLS answer all that know the id of the cluster.
    fn group_id(&self, group: u32) -> String {
        let hash = Sha256::new().chain_update(b"group of hedgerow-db").chain_update(self.cluster);
        hex::text(&hash.chain_update(group.to_be_bytes()).finalize()[..20])
    }

    /// Returns the other groups of which a node is known, as the nodes' registrations show them.
    fn others(&self, status: &GroupStatus, now: u64) -> Vec<view::KnownGroup> {
        let mut nodes = BTreeMap::<u32, Vec<NodeId>>::new();
        for (id, seen) in &self.nodes {
            nodes.entry(seen.registration.group).or_default().push(*id);
        }
        nodes.remove(&self.group);
        let group = |(number, mut nodes): (u32, Vec<NodeId>)| {
            nodes.sort_unstable();
            let (epoch, primary) = self.others.get(&number).copied().unzip();
            let leads = |id: NodeId| {
                let seen = self.nodes.get(&id).filter(|seen| seen.alive);
                seen.is_some_and(|seen| seen.registration.role == "primary")
            };
            view::KnownGroup {
                number,
                id: self.group_id(number),
                epoch: epoch.unwrap_or(0),
                primary: primary.map(|id| id.to_string()),
                is_led: primary.is_some_and(leads),
                members: nodes.into_iter().map(|id| self.member(id, status, now)).collect(),
            }
        };
        nodes.into_iter().map(group).collect()
    }

    /// Returns whether the primary of the last line of `tail` serves, as far as this node knows.
    fn is_led(&self, status: &GroupStatus, serving: bool, now: u64) -> bool {
        let Some((tail, holder)) = status.tail.as_ref().and_then(|t| Some((t, t.holder()?))) else {
            return false;
        };
        // Until another node may take over: the holder may serve as long, even if it is silent.
        if holder == self.own { serving } else { now < tail.claimable(status.received) }
    }

    fn member(&self, id: NodeId, status: &GroupStatus, now: u64) -> MemberView {
        let seen = self.nodes.get(&id);
        let registration = seen.map(|seen| seen.registration.clone()).unwrap_or_default();
        let own = id == self.own;
        let health = match seen {
            Some(seen) if !seen.alive && !own => NodeHealth::Failed,
            Some(seen) if seen.registration.role == "loading" => NodeHealth::Loading,
            Some(_) => NodeHealth::Online,
            None => NodeHealth::Failed,
        };
        MemberView {
            id: id.to_string(),
            addresses: registration.addresses(),
            health,
            offset: if own { status.applied } else { registration.applied },
            lag: seen.map_or(0, |seen| now.saturating_sub(seen.at) / 1000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hedgerow_db_group::{BatchChain, LogPosition, Tail};

    const OWN: NodeId = NodeId([1; 20]);
    const OTHER: NodeId = NodeId([2; 20]);

    fn registration(role: &str, applied: u64) -> Registration {
        let (ip, role) = ("127.0.0.1".to_owned(), role.to_owned());
        Registration { ip, role, applied, peer_port: 17000, ..Registration::default() }
    }

    /// The status of a follower that has received this holder's line at boot time 1000. The lease is 500 ms.
    fn status(holder: NodeId, applied: u64) -> GroupStatus {
        let tail = Tail {
            epoch: 3,
            node: Some(holder),
            nonce: 9,
            seq: 4,
            lsn: 40,
            time: 77_000,
            beat: 0,
            lease: 500,
            chain: BatchChain::default(),
        };
        GroupStatus {
            role: GroupRole::Follower,
            epoch: 3,
            until: 0,
            sent: 0,
            committed: 40,
            last: 40,
            applied,
            pending: 0,
            primary: Some(holder),
            tail: Some(tail),
            received: 1000,
            position: LogPosition::default(),
            behind: 0,
            member: true,
            retained: 0,
            disqualified: None,
        }
    }

    fn topology() -> Topology {
        let mut topology = Topology::new(OWN, [7; 16], 2, registration("follower", 30));
        let members = Members::default().with(OWN, 1).with(OTHER, 2);
        topology.set_members(&members);
        let registration = Registration { peer_port: 17001, ..registration("follower", 40) };
        topology.set_nodes(vec![RegisteredNode { id: OTHER, registration }], 900);
        topology
    }

    #[test]
    fn a_group_is_led_until_the_lease_has_run_out() {
        let mut topology = topology();
        let other = status(OTHER, 40);
        let view = topology.view(&other, false, 1549);
        assert_eq!((view.group.primary, view.group.is_led), (Some(OTHER.to_string()), true));
        let view = topology.view(&other, false, 1550);
        assert_eq!((view.group.primary, view.group.is_led), (Some(OTHER.to_string()), false));
        // This node has won the group, and does not serve yet.
        let own = status(OWN, 40);
        assert!(!topology.view(&own, false, 1100).group.is_led);
        assert!(topology.view(&own, true, 1100).group.is_led);
        let released = GroupStatus {
            tail: own.tail.map(|tail| Tail { nonce: 0, node: None, ..tail }),
            primary: None,
            ..own
        };
        let view = topology.view(&released, false, 1100);
        assert_eq!(
            (view.group.primary, view.group.is_led),
            (Some(OWN.to_string()), false),
            "the last one"
        );
    }

    #[test]
    fn a_view_is_new_until_the_registrations_are_read() {
        let mut topology = Topology::new(OWN, [7; 16], 2, registration("follower", 30));
        assert!(topology.view(&status(OTHER, 40), false, 1100).is_new);
        // There may be no other node.
        topology.set_nodes(Vec::new(), 900);
        assert!(!topology.view(&status(OTHER, 40), false, 1100).is_new);
    }

    #[test]
    fn only_a_primary_that_serves_is_one() {
        let mut topology = topology();
        let status = GroupStatus { role: GroupRole::Primary, ..status(OWN, 40) };
        assert_eq!(topology.view(&status, false, 1100).role, MemberRole::Follower);
        assert_eq!(topology.view(&status, true, 1100).role, MemberRole::Primary);
    }

    #[test]
    fn data_are_as_old_as_the_last_line_that_was_applied() {
        let mut topology = topology();
        let line = |received| Some(TailLine { lsn: 40, time: 77_000, received });
        assert_eq!(topology.as_of(&status(OTHER, 39)), None, "an entry is missing");
        assert_eq!(topology.as_of(&status(OTHER, 40)), line(1000), "the line, and when it came");
        assert_eq!(topology.as_of(&status(OTHER, 40)), line(1000), "and stays it");
        // The primary's clock stands still, and its lines arrive.
        let next = GroupStatus { received: 1400, ..status(OTHER, 40) };
        assert_eq!(topology.as_of(&next), line(1400), "the next line with the same time is newer");
    }

    /// The registration of the node as it was before it lost its folder is there for some seconds more.
    #[test]
    fn a_node_fetches_nothing_from_itself() {
        let mut topology = topology();
        let before = NodeId([9; 20]);
        topology.set_nodes(
            vec![RegisteredNode { id: before, registration: registration("follower", 99) }],
            900,
        );
        assert_eq!(topology.sources(), [""; 0], "its own address is that of another node");
    }

    #[test]
    fn members_that_are_gone_have_failed() {
        let mut topology = topology();
        assert_eq!(topology.successor(), Some(OTHER));
        assert_eq!(topology.sources(), ["127.0.0.1:17001"]);
        topology.set_nodes(Vec::new(), 3000);
        let view = topology.view(&status(OWN, 30), true, 3000);
        let health = |id: NodeId| view.group.member(&id.to_string()).map(|member| member.health);
        assert_eq!(
            (health(OWN), health(OTHER)),
            (Some(NodeHealth::Online), Some(NodeHealth::Failed))
        );
        assert_eq!((topology.successor(), topology.sources().len()), (None, 0));
    }

    #[test]
    fn a_member_whose_disk_fails_does_not_take_over() {
        let mut topology = topology();
        let third = NodeId([3; 20]);
        topology.set_members(&Members::default().with(OWN, 1).with(OTHER, 2).with(third, 3));
        let node = |id, registration| RegisteredNode { id, registration };
        let full = Registration { disk_fails: true, ..registration("follower", 40) };
        let behind = node(third, registration("follower", 39));
        let failing = node(OTHER, full);
        topology.set_nodes(vec![failing.clone(), behind.clone()], 900);
        assert_eq!(topology.successor(), Some(third), "a node that does not take over is named");
        assert!(topology.is_unfit(OTHER) && !topology.is_unfit(third));
        assert_eq!(topology.unfit(), [OTHER]);
        let loading = node(third, registration("loading", 50));
        topology.set_nodes(vec![node(OTHER, registration("follower", 40)), loading], 900);
        assert_eq!(topology.unfit(), [third], "a node that loads is taken for a successor");
        topology.set_nodes(vec![failing, behind.clone()], 900);
        topology.set_nodes(vec![behind], 900);
        assert!(!topology.is_unfit(OTHER), "that was before it ended");
    }

    #[test]
    fn a_member_that_cannot_apply_an_entry_is_no_successor() {
        let mut topology = topology();
        let there = |cannot_lead| {
            let registration = Registration { cannot_lead, ..registration("follower", 40) };
            vec![RegisteredNode { id: OTHER, registration }]
        };
        topology.set_nodes(there(true), 900);
        assert_eq!(topology.successor(), None, "a node that cannot lead is named");
        assert!(topology.is_unfit(OTHER) && topology.unfit() == [OTHER]);
        topology.set_nodes(there(false), 900);
        assert_eq!(topology.successor(), Some(OTHER), "its trouble has passed");
    }

    /// Nodes of group 1.
    fn others(nodes: &[(u8, &str, u64)]) -> Vec<RegisteredNode> {
        let node = |(number, role, epoch): &(u8, &str, u64)| {
            // An address of its own, so that only the group keeps the node from being copied.
            let peer_port = 17_000 + u16::from(*number);
            let registration =
                Registration { group: 1, epoch: *epoch, peer_port, ..registration(role, 99) };
            RegisteredNode { id: NodeId([*number; 20]), registration }
        };
        nodes.iter().map(node).collect()
    }

    #[test]
    fn the_primary_of_another_group_is_the_one_of_the_latest_epoch() {
        let mut topology = topology();
        let mut seen = |nodes: &[(u8, &str, u64)], now| {
            topology.set_nodes(others(nodes), now);
            let view = topology.view(&status(OWN, 30), true, now);
            assert_eq!(topology.sources(), [""; 0], "a node copies another group's data");
            let group = view.group(1).cloned();
            group.map(|group| (group.primary, group.is_led, group.epoch, group.members.len()))
        };
        let id = |number: u8| Some(NodeId([number; 20]).to_string());
        assert_eq!(seen(&[], 900), None);
        assert_eq!(seen(&[(8, "follower", 4)], 900), Some((None, false, 0, 1)));
        let both = [(8, "primary", 5), (9, "primary", 4)];
        assert_eq!(seen(&both, 1000), Some((id(8), true, 5, 2)));
        // The last primary's registration ends before the next one has taken over.
        assert_eq!(seen(&[(9, "follower", 5)], 2000), Some((id(8), false, 5, 2)));
        assert_eq!(seen(&[(9, "primary", 6)], 3000), Some((id(9), true, 6, 2)));
        // A registration from before.
        assert_eq!(seen(&both[..1], 4000), Some((id(9), false, 6, 2)));
        assert_eq!(seen(&both[..1], 4000 + GONE), Some((id(9), false, 6, 1)), "it is gone");
    }

    #[test]
    fn groups_have_their_own_names_and_slots() {
        let mut topology = topology();
        topology.set_nodes(others(&[(8, "primary", 5)]), 1000);
        let view = topology.view(&status(OWN, 30), true, 1000);
        let (own, other) = (view.group.id.clone(), view.group(1).unwrap().id.clone());
        assert_ne!(own, other);
        for id in [&own, &other] {
            assert!(id.len() == 40 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");
            assert!(!id.contains(&"07".repeat(16)), "the id of the cluster is shown");
        }
        // A test vector: a node has the same names after a restart, and with another version of the program.
        assert_eq!(own, "e84eca0c028ca5bd86e88415fc42999881a7b892");
        let in_other = Registration { group: 1, ..registration("follower", 30) };
        let of_other = Topology::new(OTHER, [7; 16], 2, in_other);
        assert_eq!([of_other.group_id(0), of_other.group_id(1)], [own.clone(), other]);
        let another = Topology::new(OWN, [8; 16], 2, registration("follower", 30));
        assert_ne!(another.group_id(0), own, "two clusters have the same name");
        assert!(view.owns(8191) && !view.owns(8192));
    }
}
