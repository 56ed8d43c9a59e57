//! More groups than at birth, and fewer again.

use super::*;
use crate::controller::coordinator::shape::{ClusterShape, obstacle};
use crate::controller::coordinator::transaction::want;
use crate::controller::policy::ScalingPolicy;
use crate::membership::desired::Desired;
use crate::membership::slot_map::SlotMap;

const POLICY: ScalingPolicy = ScalingPolicy {
    step: 2,
    min: 2,
    max: 10,
    out_above: 750,
    out_after: 1000,
    full_within: None,
    in_below: 400,
    in_after: 1000,
    rest_below: 600,
};
const SCALED: Rules = Rules { policy: Some(POLICY), ..RULES };

impl Case {
    /// Sets the nodes that the cluster wants. Each node has its own number.
    fn wants(mut self, desired: u32, target: u32) -> Self {
        self.view.desired = Some(Desired { target, ..Desired::first(desired) });
        for (id, node) in &mut self.view.nodes {
            node.ordinal = Some(id.0[0].into());
        }
        self
    }

    /// Divides the slots among groups.
    fn with_slots(mut self, groups: u32) -> Self {
        self.view.slots = Some(SlotMap::divided(groups));
        self
    }

    fn moving(mut self, groups: Option<(u32, u32)>) -> Self {
        self.view.moves.push(groups);
        self
    }

    /// Makes a member leave. Its registration stays.
    fn leaving(mut self, number: u8, group: u32) -> Self {
        self.view.places.insert(node(number), NodeAssignment::left(group));
        self
    }

    fn scaled(&self, kind: DecisionKind) -> Vec<(u8, u32)> {
        of_kind(&self.decide(&SCALED), kind)
    }

    fn leaves(&self) -> Vec<(u8, u32)> {
        self.scaled(DecisionKind::Leave)
    }
}

/// Three groups: of the nodes 0 and 1, 2 and 3, 4 and 5.
fn three_groups() -> Case {
    let case = Case::of_groups(1).members(0, &[(0, Leads), (1, Follows)]);
    case.members(1, &[(2, Leads), (3, Follows)]).members(2, &[(4, Leads), (5, Follows)])
}

#[test]
fn nodes_that_no_group_needs_make_another_one() {
    let full = Case::of_groups(1).members(0, &[(1, Leads), (2, Follows)]);
    let spares = |case: Case| case.spare(3, "").spare(4, "").spare(5, "");
    let places = |case: &Case| case.scaled(DecisionKind::Place);
    assert_eq!(places(&spares(full.clone()).wants(4, 4)), [(3, 1), (4, 1)]);
    assert_eq!(places(&spares(full.clone()).wants(3, 3)), [], "nobody wants another group");
    assert_eq!(places(&full.clone().spare(3, "").wants(4, 4)), [], "a group of one node");
    let two = spares(full.clone()).spare(6, "").wants(8, 8);
    assert_eq!(places(&two), [(3, 1), (4, 2), (5, 1), (6, 2)]);
    let lacking = Case::of_groups(1).members(0, &[(1, Leads)]);
    assert_eq!(places(&lacking.clone().spare(3, "").spare(4, "").wants(4, 4)), [(3, 0)]);
    let both = places(&spares(lacking).wants(4, 4));
    let in_group = |number| both.iter().filter(|(_, group)| *group == number).count();
    assert_eq!((in_group(0), in_group(1)), (1, 2), "{both:?}");
    // Without the setting, the number in etcd is nobody's.
    assert_eq!(spares(full).wants(4, 4).places(), []);
}

#[test]
fn the_groups_with_the_most_nodes_that_go_are_dissolved() {
    let dissolving = |case: &Case| -> Vec<u32> {
        ClusterShape::of(&case.view, &SCALED).dissolving.into_iter().collect()
    };
    let shrinking = three_groups().with_slots(3).wants(6, 4);
    assert_eq!(dissolving(&shrinking), vec![2]);
    assert_eq!(dissolving(&three_groups().with_slots(3).wants(6, 6)), [0; 0]);
    assert_eq!(dissolving(&three_groups().with_slots(3).wants(6, 2)), vec![1, 2]);
    let mixed = Case::of_groups(1).members(0, &[(0, Leads), (1, Follows)]);
    let mixed =
        mixed.members(1, &[(4, Leads), (5, Follows)]).members(2, &[(2, Leads), (3, Follows)]);
    assert_eq!(dissolving(&mixed.clone().with_slots(3).wants(6, 4)), vec![1]);
    // Once a group has given its slots away, it stays the one.
    assert_eq!(dissolving(&mixed.with_slots(2).wants(6, 4)), vec![2]);
    // Group 0 was there when the cluster was made.
    assert_eq!(dissolving(&three_groups().with_slots(3).wants(6, 0)), vec![1, 2]);
}

#[test]
fn a_group_is_left_once_it_has_no_slots() {
    let full = three_groups().with_slots(3).wants(6, 4);
    assert_eq!(full.leaves(), [], "it has slots");
    let empty = three_groups().with_slots(2).wants(6, 4);
    assert_eq!(empty.leaves(), [(5, 2)], "the primary goes last");
    let reached = |case: &Case| ClusterShape::of(&case.view, &SCALED).is_reached(&case.view);
    assert!(!reached(&empty));
    for groups in [Some((2, 0)), Some((0, 2)), None] {
        assert_eq!(empty.clone().moving(groups).leaves(), [], "slots move: {groups:?}");
    }
    assert_eq!(empty.clone().moving(Some((0, 1))).leaves(), [(5, 2)], "other groups' slots");
    let mut owning = empty.clone();
    owning.view.nodes.get_mut(&node(4)).unwrap().slots = Some(vec![(7, 7)]);
    assert_eq!(owning.leaves(), [], "its log says that it has slots");
    assert_eq!(empty.clone().leaving(5, 2).leaves(), [], "it has not left yet");
    let mut gone = empty.leaving(5, 2);
    gone.view.nodes.remove(&node(5));
    gone.gone.insert(node(5), 60_000);
    assert_eq!(gone.leaves(), [(4, 2)]);
    let alone =
        Case::of_groups(1).members(0, &[(0, Leads), (1, Follows)]).members(2, &[(4, Leads)]);
    let alone = alone.spare(5, "").with_slots(1).wants(4, 2);
    assert_eq!((alone.leaves(), alone.scaled(DecisionKind::Place)), (vec![(4, 2)], vec![]));
    let left = Case::of_groups(1).members(0, &[(0, Leads), (1, Follows)]);
    assert!(reached(&left.spare(4, "").spare(5, "").with_slots(1).wants(4, 2)));
}

#[test]
fn a_node_that_goes_is_replaced_before_it_leaves() {
    // Node 5 is in a group that stays, and node 1 in the one that goes.
    let swapped = Case::of_groups(1).members(0, &[(0, Leads), (5, Follows)]);
    let swapped = swapped.members(1, &[(2, Leads), (3, Follows)]);
    let freed = swapped.clone().spare(1, "").spare(4, "").with_slots(2).wants(6, 4);
    assert_eq!((freed.scaled(DecisionKind::Place), freed.leaves()), (vec![(1, 0)], vec![]));
    let with = |state| {
        let case = Case::of_groups(1).members(0, &[(0, Leads), (5, Follows), (1, state)]);
        case.members(1, &[(2, Leads), (3, Follows)]).with_slots(2).wants(6, 4)
    };
    assert_eq!(with(Loads).leaves(), [], "it has not all data yet");
    assert_eq!(with(Follows).leaves(), [(5, 0)]);
    assert_eq!(with(Follows).leaving(5, 0).leaves(), [], "it is told twice");
    // One after the other, and the primary last.
    let both = [(0, Follows), (1, Follows), (5, Leads), (4, Follows)];
    let both = Case::of_groups(1).members(0, &both).with_slots(1).wants(6, 2);
    assert_eq!(both.leaves(), [(4, 0)]);
    assert_eq!(both.leaving(4, 0).leaves(), []);
}

#[test]
fn nodes_that_go_need_numbers() {
    let fine = three_groups().wants(6, 6);
    assert_eq!(obstacle(&fine.view, 4), None);
    let why = |change: fn(&mut CoordinatorView)| {
        let mut view = fine.view.clone();
        change(&mut view);
        obstacle(&view, 4).unwrap_or_default()
    };
    assert!(
        why(|view| view.nodes.get_mut(&node(0)).unwrap().ordinal = None).contains("has no number")
    );
    assert!(
        why(|view| view.nodes.get_mut(&node(5)).unwrap().ordinal = Some(0)).contains("two nodes")
    );
    assert!(why(|view| drop(view.nodes.remove(&node(3)))).contains("only 3 are present"));
}

#[test]
fn a_node_leaves_only_for_the_reason_that_was_seen() {
    let case = three_groups().with_slots(2).wants(6, 4);
    let decided = case.decide(&SCALED)[0];
    let changes: [(Change, &str); 5] = [
        (|store| store.put(store.keys.last_move(), "8"), "although a move has begun"),
        (
            |store| store.put(store.keys.of_group(2).members(), "[]"),
            "although the members are others",
        ),
        (
            |store| store.put(store.keys.of_group(2).primary(), "4"),
            "although the primary is another",
        ),
        (|store| store.put(store.keys.place(&node(5).to_string()), "7"), "although it has a place"),
        (
            |store| store.delete(&store.keys.node(&node(4).to_string())),
            "although the other is gone",
        ),
    ];
    for (change, why) in changes {
        let mut store = Store::of(&case.view);
        change(&mut store);
        let transaction = transaction(&decided, &case.view, &store.keys, BY, Some(LAST));
        assert!(!store.transact(&transaction), "it leaves {why}");
    }
    let mut store = Store::of(&case.view);
    let transaction = transaction(&decided, &case.view, &store.keys, BY, Some(LAST));
    assert!(store.transact(&transaction));
    let place = &store.values[store.keys.place(&node(5).to_string()).as_bytes()].0;
    assert_eq!(NodeAssignment::parse(place), Some(NodeAssignment::left(2)));
}

#[test]
fn two_coordinators_want_one_number() {
    let mut case = three_groups();
    let mut store = Store::of(&case.view);
    let first = want(&Desired::first(6), &case.view, &store.keys, BY, Some(LAST));
    assert!(store.transact(&first));
    assert!(!store.transact(&first), "a number is replaced that nobody has seen");
    case.view.desired_revision = Some(store.revision);
    let next = want(&Desired::first(8), &case.view, &store.keys, BY, Some(store.revision));
    let mut other = want(&Desired::first(4), &case.view, &store.keys, BY, Some(store.revision));
    assert!(store.transact(&next));
    // Also one that knows of the last decision.
    let last = store.keys.last_decision();
    other.compare.retain(
        |compare| !matches!(compare, Compare::Modified { key, .. } if key[..] == *last.as_bytes()),
    );
    assert!(!store.transact(&other), "the number is another one by now");
}
