//! The shape that the cluster should have: how many groups, which of them are dissolved, and which nodes go.
//!
//! It follows from the key `desired`. Each group has the nodes of one step, and the groups that the cluster was made
//! with stay. Nodes with the highest numbers go, because a StatefulSet stops those first. Of the groups, those go
//! that have no slots, and then those with the most nodes that go.

use super::rules::Rules;
use super::view::CoordinatorView;
use hedgerow_db_group::NodeId;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// The shape that the cluster should have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ClusterShape {
    /// How many groups are missing.
    pub(super) missing: u32,
    /// The groups whose slots and nodes go elsewhere.
    pub(super) dissolving: BTreeSet<u32>,
    /// The nodes that are to have no group.
    pub(super) going: BTreeSet<NodeId>,
}

impl ClusterShape {
    /// Returns the shape by the number of nodes that the cluster wants; without one, everything stays.
    pub(super) fn of(view: &CoordinatorView, rules: &Rules) -> Self {
        let (Some(policy), Some(desired)) = (&rules.policy, &view.desired) else {
            return Self::default();
        };
        let wanted = (desired.target / policy.step.max(1)).max(view.initial_groups());
        let groups = view.groups.len() as u32;
        if !desired.shrinks() {
            return Self { missing: wanted.saturating_sub(groups), ..Self::default() };
        }
        let goes = |ordinal: Option<u32>| ordinal.is_some_and(|ordinal| ordinal >= desired.target);
        let going = view.nodes.iter().filter(|(_, node)| goes(node.ordinal)).map(|(id, _)| *id);
        let mut shape = Self { going: going.collect(), ..Self::default() };
        let mut candidates: Vec<u32> =
            view.groups.keys().copied().filter(|number| *number >= view.initial_groups()).collect();
        // `false` sorts first: groups without slots, which need no moves.
        let key = |number: &u32| {
            let going = view.belonging(*number).intersection(&shape.going).count();
            (!view.owns_nothing(*number), Reverse(going), Reverse(*number))
        };
        candidates.sort_by_key(key);
        candidates.truncate(groups.saturating_sub(wanted) as usize);
        shape.dissolving = candidates.into_iter().collect();
        shape
    }

    /// Returns whether all nodes that go have left their groups.
    pub(super) fn is_reached(&self, view: &CoordinatorView) -> bool {
        let belongs =
            |node: &NodeId| view.groups.keys().any(|number| view.belonging(*number).contains(node));
        self.dissolving.is_empty() && !self.going.iter().any(belongs)
    }
}

/// Returns why the nodes with the highest numbers cannot be emptied until `rest` are left, if there is a reason.
pub(super) fn obstacle(view: &CoordinatorView, rest: u32) -> Option<String> {
    let mut numbers = BTreeSet::new();
    for (id, node) in &view.nodes {
        let Some(number) = node.ordinal else {
            return Some(format!(
                "node {id} has no number: set cluster-ordinal, and cluster-group auto"
            ));
        };
        if !numbers.insert(number) {
            return Some(format!("two nodes have the number {number}: check cluster-ordinal"));
        }
    }
    let present = numbers.range(..rest).count() as u32;
    (present < rest).then(|| format!("of the nodes 0 to {}, only {present} are present", rest - 1))
}
