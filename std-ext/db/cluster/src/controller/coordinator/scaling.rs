//! The coordinator's part in the number of nodes: it decides how many there should be, says so in etcd, and moves slots
//! between the groups.
//!
//! Moves are planned anew whenever no slots move, and one begins at a time. A group that lacks a node gives and
//! gets no slots.

use super::rules::Rules;
use super::shape::{ClusterShape, obstacle};
use super::transaction::want;
use super::view::CoordinatorView;
use crate::controller::plan::{self, GroupLoad as SlotLoad, PlannedMove};
use crate::controller::policy::{GroupLoad, LoadSample, Scaler, ScalingPolicy, ScalingReason};
use crate::etcd::{Compare, EtcdClient};
use crate::measure::clock;
use crate::membership::desired::Desired;
use crate::membership::keys::GroupKeys;
use crate::moves::create;
use crate::peer::{GroupId, PeerClient, PeerClientOptions};
use hedgerow_db_group::NodeId;
use std::collections::BTreeSet;

/// By how many percent the bytes of groups may differ from the mean, before slots are moved and afterwards.
const APART: u32 = 25;
const NEAR: u32 = 10;
/// The weight of a slot besides its bytes, so that a group without slots gets some of a cluster without keys.
const SLOT: u64 = 64;
/// The bounds of the time between two plans, in milliseconds.
const SHORTEST: u64 = 1000;
const LONGEST: u64 = 15_000;

/// The coordinator's memory of the load and of the balance.
pub(super) struct Scaling {
    /// How primaries are asked. The group is that of each.
    peers: PeerClientOptions,
    scaler: Scaler,
    /// When the next plan is made, boot time in milliseconds.
    due: u64,
    is_balanced: bool,
}

impl Scaling {
    pub(super) fn new(peers: PeerClientOptions) -> Self {
        Self { peers, scaler: Scaler::default(), due: 0, is_balanced: false }
    }
}

/// A turn of the coordinator.
#[derive(Clone, Copy)]
pub(super) struct ScalingTurn<'a> {
    pub(super) client: &'a EtcdClient,
    pub(super) keys: &'a GroupKeys,
    /// The coordinator, and its term.
    pub(super) by: (NodeId, u64),
    pub(super) rules: &'a Rules,
    /// The revision of the last decision, which may be one of this turn.
    pub(super) last: Option<u64>,
    pub(super) view: &'a CoordinatorView,
}

impl Scaling {
    /// Decides how many nodes there should be, and moves slots.
    ///
    /// # Errors
    /// If etcd or a primary does not answer.
    pub(super) async fn look(&mut self, turn: &ScalingTurn<'_>) -> Result<(), String> {
        let (view, rules) = (turn.view, turn.rules);
        let Some(policy) = rules.policy else { return Ok(()) };
        let Some(current) = &view.desired else {
            // At first as many as there are: without a measurement nothing is a reason to stop one.
            let nodes = view.known().max(policy.min).max(view.initial_groups() * policy.step);
            return turn.want(&Desired::first(nodes)).await;
        };
        let shape = ClusterShape::of(view, rules);
        // First, because slots also move while a group does not tell its load.
        self.balance(turn, &shape, &policy).await?;
        let Some(groups) = view.loads() else { return Ok(()) };
        let obstacle = obstacle(view, current.target.saturating_sub(policy.step));
        let advice = self.scaler.look(
            &policy,
            &LoadSample {
                now: clock::now(),
                groups: &groups,
                initial: view.initial_groups(),
                published: current.nodes,
                target: current.target,
                is_present: view.nodes.len() as u64 >= u64::from(current.nodes),
                is_balanced: self.is_balanced && shape.missing == 0,
                blocked: obstacle.as_deref(),
            },
        );
        let is_empty = advice.target == current.target && shape.is_reached(view);
        // `nodes` falls only once the others are empty, because by this number they are stopped.
        let fewer = current.shrinks() && is_empty;
        let nodes = if fewer { advice.target } else { current.nodes.max(advice.target) };
        let reason = match &advice.reason {
            _ if fewer => "the other nodes are empty".to_owned(),
            ScalingReason::Fits if advice.limited => {
                "more nodes are needed, but cluster-autoscale-max forbids them".to_owned()
            }
            ScalingReason::Fits if advice.log_saturated => {
                "the log is the bottleneck: a faster disk for etcd would help, more nodes would not"
                    .to_owned()
            }
            reason => reason.to_string(),
        };
        let next = Desired {
            nodes,
            target: advice.target,
            log_saturated: advice.log_saturated,
            limited: advice.limited,
            reason,
            since_ms: 0,
        };
        if next.is_like(current) {
            return Ok(());
        }
        turn.want(&next.now()).await
    }

    /// Begins a move, if no slots move and the groups differ too much, or one is dissolved.
    async fn balance(
        &mut self,
        turn: &ScalingTurn<'_>,
        shape: &ClusterShape,
        policy: &ScalingPolicy,
    ) -> Result<(), String> {
        let view = turn.view;
        let now = clock::now();
        if !view.moves.is_empty() {
            // Planned anew as soon as these slots have arrived.
            (self.is_balanced, self.due) = (false, 0);
            return Ok(());
        }
        if now < self.due {
            return Ok(());
        }
        self.due = now + (policy.out_after / 8).clamp(SHORTEST, LONGEST);
        // Also if the rest of this fails.
        self.is_balanced = false;
        let Some(groups) = view.whole_groups(shape, policy.step as usize) else { return Ok(()) };
        let loads = self.read_loads(view, &groups).await?;
        if let Some(planned) = next_move(&loads, &shape.dissolving) {
            return turn.begin(&planned).await;
        }
        self.is_balanced = true;
        Ok(())
    }

    /// Asks primaries how many bytes each of their slots has.
    async fn read_loads(
        &self,
        view: &CoordinatorView,
        groups: &[u32],
    ) -> Result<Vec<SlotLoad>, String> {
        let format = view.format.as_ref().ok_or("etcd has no cluster")?;
        let mut loads = Vec::new();
        for number in groups {
            let of = view.groups.get(number).and_then(|group| group.live_primary(view));
            let node = of.and_then(|id| view.nodes.get(&id)).ok_or("a primary is gone")?;
            let address = node.peer_address().ok_or("a primary has no peer port")?;
            let options = PeerClientOptions {
                group: GroupId {
                    cluster: format.cluster,
                    incarnation: format.incarnation,
                    group: *number,
                },
                ..self.peers.clone()
            };
            let client = PeerClient::new(&address, &options).map_err(|why| why.to_string())?;
            let slots = client.slots(*number).await.map_err(|why| why.to_string())?;
            let slots = slots.iter().map(|one| (one.slot, one.bytes.saturating_add(SLOT)));
            loads.push(SlotLoad { group: *number, slots: slots.collect() });
        }
        Ok(loads)
    }
}

impl ScalingTurn<'_> {
    /// Says how many nodes there should be.
    async fn want(&self, desired: &Desired) -> Result<(), String> {
        let transaction = want(desired, self.view, self.keys, self.by, self.last);
        let done = self.client.transact(&transaction).await.map_err(|why| why.to_string())?;
        if done.succeeded {
            let Desired { nodes, target, reason, .. } = desired;
            let later = if target < nodes {
                format!(", then {target} once the others are empty")
            } else {
                String::new()
            };
            tracing::info!("the cluster needs {nodes} nodes{later}: {reason}");
        }
        Ok(())
    }

    /// Begins a move, if this node still coordinates and the cluster wants as many nodes as it did.
    async fn begin(&self, planned: &PlannedMove) -> Result<(), String> {
        let PlannedMove { from, to, slots, bytes } = planned;
        let mut grounds =
            vec![Compare::Created { key: self.keys.coordinator().into(), revision: self.by.1 }];
        let desired = self.view.desired_revision;
        grounds.extend(
            desired.map(|revision| Compare::Modified { key: self.keys.desired().into(), revision }),
        );
        let id = create::begin_if(self.client, self.keys, slots, (*from, *to), grounds).await?;
        tracing::info!(
            "the move {id:016x} takes {} slots with {bytes} bytes from group {from} to group {to}",
            slots.len()
        );
        Ok(())
    }
}

/// Returns the next move: of a group that is dissolved, or else between groups that differ too much.
fn next_move(loads: &[SlotLoad], dissolving: &BTreeSet<u32>) -> Option<PlannedMove> {
    let stays = |load: &&SlotLoad| !dissolving.contains(&load.group);
    let rest: Vec<SlotLoad> = loads.iter().filter(stays).cloned().collect();
    let full = loads.iter().find(|load| !stays(load) && !load.slots.is_empty());
    let planned = match full {
        Some(full) => {
            let groups = [&rest[..], std::slice::from_ref(full)].concat();
            plan::drain(&groups, full.group)
        }
        // Moves begin above `APART` and aim at `NEAR`. With one bound, small changes would keep slots moving.
        None if plan::rebalance(&rest, APART).is_empty() => Vec::new(),
        None => plan::rebalance(&rest, NEAR),
    };
    planned.into_iter().next()
}

impl CoordinatorView {
    /// Returns how many nodes there are: those that are registered, and those that are missed.
    fn known(&self) -> u32 {
        let belonging = self.groups.keys().flat_map(|number| self.belonging(*number));
        let all: BTreeSet<NodeId> = self.nodes.keys().copied().chain(belonging).collect();
        all.len() as u32
    }

    /// Returns the load of each group that has slots; `None` if a group does not tell it.
    fn loads(&self) -> Option<Vec<GroupLoad>> {
        self.serving().into_iter().map(|number| self.load_of(number)).collect()
    }

    fn load_of(&self, number: u32) -> Option<GroupLoad> {
        let nodes = self.nodes.values().filter(|node| node.group == number);
        let mut load = None::<GroupLoad>;
        for one in nodes.filter_map(|node| node.load) {
            let all = load.get_or_insert_default();
            // The fuller node counts.
            let (old, new) = (u128::from(all.used), u128::from(one.used));
            let is_fuller =
                new * u128::from(all.capacity.max(1)) >= old * u128::from(one.max.max(1));
            if is_fuller {
                (all.used, all.capacity) = (one.used, one.max);
            }
            (all.busy, all.log) = (all.busy.max(one.busy), all.log.max(one.log));
        }
        load
    }

    /// Returns the groups that take part in moves; `None` as long as one of them lacks a node.
    fn whole_groups(&self, shape: &ClusterShape, nodes: usize) -> Option<Vec<u32>> {
        let mut groups = Vec::new();
        for (number, group) in &self.groups {
            let goes = shape.dissolving.contains(number);
            // It needs no data any more, so its nodes may already have left.
            if goes && self.owns_nothing(*number) {
                continue;
            }
            group.live_primary(self)?;
            let members = group.members.0.iter().map(|member| member.node);
            let whole = members.filter(|node| group.has_whole(*node, self)).count();
            if !goes && whole < nodes {
                return None;
            }
            groups.push(*number);
        }
        Some(groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::load::NodeLoad;
    use crate::membership::registration::Registration;

    fn slots(group: u32, slots: impl Iterator<Item = u16>, bytes: u64) -> SlotLoad {
        SlotLoad { group, slots: slots.map(|slot| (slot, bytes)).collect() }
    }

    #[test]
    fn a_dissolved_group_gives_all_of_its_slots_away() {
        let loads = [
            slots(0, 0..50, 100),
            slots(1, 50..80, 100),
            slots(2, 80..100, 100),
            slots(3, 0..0, 0),
        ];
        let going = BTreeSet::from([2, 3]);
        let planned = next_move(&loads, &going).unwrap();
        assert_eq!((planned.from, planned.to), (2, 1), "the group with the least bytes gets them");
        let loads = [slots(0, 0..50, 100), slots(1, 50..100, 100), slots(2, 0..0, 0)];
        assert_eq!(next_move(&loads, &going), None, "a group that is dissolved gets slots");
        assert!(next_move(&loads, &BTreeSet::new()).is_some_and(|planned| planned.to == 2));
    }

    #[test]
    fn groups_that_differ_little_keep_their_slots() {
        let near = [slots(0, 0..56, 100), slots(1, 56..100, 100)];
        assert_eq!(next_move(&near, &BTreeSet::new()), None);
        let apart = [slots(0, 0..70, 100), slots(1, 70..100, 100)];
        let planned = next_move(&apart, &BTreeSet::new()).unwrap();
        assert_eq!((planned.from, planned.to, planned.slots.len()), (0, 1, 15));
    }

    #[test]
    fn a_group_has_the_load_of_its_most_loaded_node() {
        let node = |group, load| Registration { group, load, ..Registration::default() };
        let load = |used, max, busy, log| Some(NodeLoad { used, max, busy, log });
        let mut view = CoordinatorView::default();
        view.nodes.insert(NodeId([1; 20]), node(0, load(500, 1000, 20, 0)));
        view.nodes.insert(NodeId([2; 20]), node(0, load(400, 500, 70, 0)));
        view.nodes.insert(NodeId([3; 20]), node(0, load(300, 1000, 10, 900)));
        view.nodes.insert(NodeId([4; 20]), node(1, load(999, 1000, 999, 0)));
        let wanted = GroupLoad { used: 400, capacity: 500, busy: 70, log: 900 };
        assert_eq!(view.loads(), Some(vec![wanted]), "only groups with slots count");
        view.nodes.retain(|_, node| node.group == 1);
        assert_eq!(view.loads(), None, "the load of group 0 is not known");
    }
}
