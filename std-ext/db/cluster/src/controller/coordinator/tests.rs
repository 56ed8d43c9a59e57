//! Decisions and their transactions, without etcd.

use super::absence::Gone;
use super::decide::{Decision, DecisionKind, decide};
use super::rules::Rules;
use super::transaction::transaction;
use super::view::{CoordinatorView, GroupView};
use crate::etcd::{Compare, EtcdTransaction, Keys as KeyRange, Operation};
use crate::membership::durable::Durable;
use crate::membership::keys::GroupKeys;
use crate::membership::place::NodeAssignment;
use crate::membership::registration::{NO_GROUP, Registration};
use hedgerow_db_group::{BatchChain, Members, NodeId, Tail};
use std::collections::BTreeMap;

mod resizing;

const RULES: Rules = Rules { replicas: 1, copies: 2, forget: Some(600_000), policy: None };
/// A coordinator, and its term.
const BY: (NodeId, u64) = (NodeId([9; 20]), 3);
const LAST: u64 = 4;

fn node(number: u8) -> NodeId {
    NodeId([number; 20])
}

/// Returns the number of a node's process.
fn nonce(node: u8) -> u64 {
    100 + u64::from(node)
}

/// How a node of a group is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Leads,
    Follows,
    /// It has not all data yet.
    Loads,
    /// It is not registered, since a minute.
    Away,
    /// It is not registered, since eleven minutes.
    Lost,
}
use State::{Away, Follows, Leads, Loads, Lost};

/// A cluster, and for how long nodes have been gone.
#[derive(Clone, Default)]
struct Case {
    view: CoordinatorView,
    gone: Gone,
}

impl Case {
    /// Returns a cluster of groups without nodes.
    fn of_groups(groups: u32) -> Self {
        let groups = (0..groups).map(|number| (number, GroupView::default())).collect();
        let view =
            CoordinatorView { groups, last_decision: Some(LAST), ..CoordinatorView::default() };
        Self { view, gone: Gone::new() }
    }

    fn register(&mut self, number: u8, group: u32, role: &str, zone: &str) {
        let (role, zone) = (role.to_owned(), zone.to_owned());
        let there =
            Registration { nonce: nonce(number), group, role, zone, ..Registration::default() };
        self.view.nodes.insert(node(number), there);
    }

    /// Adds a node that waits.
    fn spare(mut self, number: u8, zone: &str) -> Self {
        self.register(number, NO_GROUP, "spare", zone);
        self
    }

    /// Adds a node that was placed, and is no member yet.
    fn placed(mut self, number: u8, group: u32, gone: Option<u64>) -> Self {
        self.view.places.insert(node(number), NodeAssignment::of(group));
        match gone {
            Some(time) => drop(self.gone.insert(node(number), time)),
            None => self.register(number, NO_GROUP, "spare", ""),
        }
        self
    }

    fn members(self, number: u32, members: &[(u8, State)]) -> Self {
        let members: Vec<_> = members.iter().map(|(id, state)| (*id, *state, "")).collect();
        self.zoned(number, &members)
    }

    /// Adds the members of a group, with their zones.
    fn zoned(mut self, number: u32, members: &[(u8, State, &str)]) -> Self {
        let mut group = GroupView { first: Some(10), ..GroupView::default() };
        for (id, state, zone) in members {
            group.members = group.members.with(node(*id), 70_000);
            let seq = if *state == Loads { 3 } else { 12 };
            let durable = Durable { folder: String::new(), lsn: 40, seq };
            group.durable.push((node(*id), durable));
            match state {
                Leads => self.register(*id, number, "primary", zone),
                Follows | Loads => self.register(*id, number, "follower", zone),
                Away => drop(self.gone.insert(node(*id), 60_000)),
                Lost => drop(self.gone.insert(node(*id), 660_000)),
            }
        }
        // If nobody leads, the first member is the last primary.
        let leads = members.iter().find(|(_, state, _)| *state == Leads);
        let holder = leads.or(members.first()).map(|(id, ..)| *id);
        group.tail = holder.map(tail);
        group.primary = Some(b"3 primary".to_vec());
        group.members_text = Some(group.members.print().into_bytes());
        self.view.groups.insert(number, group);
        self
    }

    fn decide(&self, rules: &Rules) -> Vec<Decision> {
        decide(&self.view, &self.gone, rules)
    }

    /// Returns the nodes that are placed, with their groups.
    fn places(&self) -> Vec<(u8, u32)> {
        of_kind(&self.decide(&RULES), DecisionKind::Place)
    }

    /// Returns the members that are removed, with their groups.
    fn forgets(&self) -> Vec<(u8, u32)> {
        of_kind(&self.decide(&RULES), DecisionKind::Forget)
    }
}

fn of_kind(decisions: &[Decision], kind: DecisionKind) -> Vec<(u8, u32)> {
    let found = decisions.iter().filter(|decision| decision.kind == kind);
    found.map(|decision| (decision.node.0[0], decision.group)).collect()
}

/// Returns a line of this primary's process.
fn tail(holder: u8) -> Tail {
    Tail {
        epoch: 3,
        node: Some(node(holder)),
        nonce: nonce(holder),
        seq: 12,
        lsn: 40,
        time: 77_000,
        beat: 5,
        lease: 3000,
        chain: BatchChain::default(),
    }
}

#[test]
fn groups_are_filled_and_the_rest_are_spares() {
    let two = Case::of_groups(2).spare(1, "").spare(2, "").spare(3, "").spare(4, "").spare(5, "");
    assert_eq!(two.places(), [(1, 0), (2, 1), (3, 0), (4, 1)]);
    let half = Case::of_groups(2).members(1, &[(1, Leads), (2, Follows)]).spare(3, "");
    assert_eq!(half.places(), [(3, 0)], "also a group without slots is filled");
    let full = half.members(0, &[(4, Leads), (5, Away)]);
    assert_eq!(full.places(), [], "a node that is away comes back");
    let fewest = Case::of_groups(3).members(0, &[(1, Leads)]).members(2, &[(2, Leads)]);
    assert_eq!(fewest.spare(3, "").places(), [(3, 1)], "the group with the fewest nodes");
    let lone = Rules { replicas: 0, ..RULES };
    let decided = Case::of_groups(1).spare(1, "").spare(2, "").decide(&lone);
    assert_eq!(of_kind(&decided, DecisionKind::Place), [(1, 0)]);
}

#[test]
fn a_node_that_is_about_to_join_counts() {
    let joining = Case::of_groups(1).members(0, &[(1, Leads)]).placed(2, 0, None).spare(3, "");
    assert_eq!(joining.places(), [], "the place is given twice");
    // One that runs with the group's number, and is no member yet.
    let mut told = Case::of_groups(1).members(0, &[(1, Leads)]).spare(3, "");
    told.register(2, 0, "loading", "");
    assert_eq!(told.places(), []);
    // One that was removed while it was cut off, and does not know how to join again.
    told.register(2, 0, "follower", "");
    assert_eq!(told.places(), [(3, 0)], "a node counts that never takes over");
}

#[test]
fn the_nodes_of_a_group_are_in_different_zones() {
    let two = Case::of_groups(2).spare(1, "a").spare(2, "a").spare(3, "b").spare(4, "b");
    assert_eq!(two.places(), [(1, 0), (2, 1), (3, 0), (4, 1)]);
    let group = Case::of_groups(1).zoned(0, &[(1, Leads, "a")]);
    let mixed = group.clone().spare(2, "a").spare(3, "b");
    assert_eq!(mixed.places(), [(3, 0)], "the zone is ignored");
    assert_eq!(group.spare(2, "a").places(), [(2, 0)], "better than nothing");
    let groups = Case::of_groups(2).zoned(0, &[(1, Leads, "a")]).zoned(1, &[(2, Leads, "b")]);
    assert_eq!(groups.spare(3, "a").places(), [(3, 1)], "of two groups, the better one");
    let lost = Case::of_groups(1).zoned(0, &[(1, Leads, "a"), (2, Lost, "b")]);
    assert_eq!(lost.spare(3, "a").spare(4, "b").places(), [(4, 0)]);
}

#[test]
fn a_group_gets_a_node_only_if_that_gets_the_data() {
    let dead = Case::of_groups(1).members(0, &[(1, Lost), (2, Lost)]).spare(3, "");
    assert_eq!((dead.places(), dead.forgets()), (vec![], vec![]));
    let alive = Case::of_groups(1).members(0, &[(1, Lost), (2, Follows)]).spare(3, "");
    assert_eq!(alive.places(), [(3, 0)]);
}

#[test]
fn a_spare_takes_the_place_before_the_member_goes() {
    let lost = Case::of_groups(1).members(0, &[(1, Leads), (2, Lost)]);
    assert_eq!((lost.places(), lost.forgets()), (vec![], vec![]), "there is no other copy");
    let spare = lost.spare(3, "");
    assert_eq!((spare.places(), spare.forgets()), (vec![(3, 0)], vec![]));
    let cases = [
        (vec![(1, Leads), (2, Lost), (3, Loads)], vec![], "it has not all data yet"),
        (vec![(1, Leads), (2, Lost), (3, Away)], vec![], "it is away"),
        (vec![(1, Leads), (2, Lost), (3, Follows)], vec![(2, 0)], "it has caught up"),
        (vec![(1, Leads), (2, Away), (3, Follows)], vec![], "it is not gone for good"),
        (vec![(1, Leads), (2, Lost), (3, Lost), (4, Follows)], vec![(2, 0)], "one at once"),
        (
            vec![(1, Leads), (2, Lost), (3, Lost), (4, Follows), (5, Loads)],
            vec![],
            "the next one waits",
        ),
    ];
    for (members, wanted, why) in cases {
        let case = Case::of_groups(1).members(0, &members);
        assert_eq!(case.forgets(), wanted, "{why}");
    }
    let joining = Case::of_groups(1).members(0, &[(1, Leads), (2, Lost), (4, Follows)]);
    assert_eq!(joining.placed(3, 0, None).forgets(), [], "a replacement is on its way");
}

#[test]
fn nothing_is_removed_from_a_group_without_a_live_primary() {
    // The lost primary holds the group by the log's last line. The followers, which have all data, may not know yet.
    let members = [(1, Lost), (2, Lost), (3, Follows), (4, Follows)];
    let case = Case::of_groups(1).members(0, &members);
    assert_eq!(case.forgets(), [], "the group has no primary");
    let mut led = case;
    let group = led.view.groups.get_mut(&0).unwrap();
    group.tail = Some(tail(3));
    assert_eq!(led.forgets(), [], "it has not registered itself as the primary");
    led.register(3, 0, "primary", "");
    assert_eq!(led.forgets(), [(1, 0)]);
    led.view.nodes.get_mut(&node(3)).unwrap().nonce = 77;
    assert_eq!(led.forgets(), [], "it was started anew, and does not lead any more");
}

#[test]
fn forgetting_follows_its_settings() {
    let members = [(1, Leads), (2, Lost), (3, Follows)];
    let case = Case::of_groups(1).members(0, &members).spare(4, "");
    let forgets = |rules| of_kind(&case.decide(&rules), DecisionKind::Forget);
    assert_eq!(forgets(RULES), [(2, 0)]);
    assert_eq!(forgets(Rules { forget: None, ..RULES }), [], "0 is never");
    assert_eq!(forgets(Rules { forget: Some(660_001), ..RULES }), [], "one moment too early");
    assert_eq!(forgets(Rules { copies: 3, ..RULES }), [], "cluster-copies");
    // However few copies the setting wants, the primary's is not enough.
    let alone = Case::of_groups(1).members(0, &[(1, Leads), (2, Lost)]);
    let rules = Rules { copies: 1, ..RULES };
    assert_eq!(alone.decide(&rules), [], "only the primary has the data");
}

#[test]
fn a_place_is_taken_back_from_a_node_that_never_came() {
    let withdrawn = |gone, rules: Rules| {
        let case = Case::of_groups(1).members(0, &[(1, Leads)]).placed(2, 0, Some(gone));
        of_kind(&case.decide(&rules), DecisionKind::Withdraw)
    };
    assert_eq!(withdrawn(599_999, RULES), []);
    assert_eq!(withdrawn(600_000, RULES), [(2, 0)]);
    let never = Rules { forget: None, ..RULES };
    assert_eq!(withdrawn(599_999, never), []);
    assert_eq!(withdrawn(600_000, never), [(2, 0)], "it was no member yet");
    let member =
        Case::of_groups(1).members(0, &[(1, Leads), (2, Lost)]).placed(2, 0, Some(660_000));
    assert_eq!(of_kind(&member.decide(&RULES), DecisionKind::Withdraw), []);
}

/// A change of a store.
type Change = fn(&mut Store);

/// A store that carries out transactions as etcd does.
struct Store {
    keys: GroupKeys,
    revision: u64,
    /// The values, with the revisions that created and changed them.
    values: BTreeMap<Vec<u8>, (Vec<u8>, u64, u64)>,
}

impl Store {
    /// Returns a store with the keys of a cluster.
    fn of(view: &CoordinatorView) -> Self {
        let keys = GroupKeys::new("roses", 0).unwrap();
        let mut store = Self { keys: keys.clone(), revision: 2, values: BTreeMap::new() };
        store.put(keys.coordinator(), "coordinator");
        store.put(keys.last_decision(), "decision");
        assert_eq!(store.revision, LAST);
        for id in view.nodes.keys() {
            store.put(keys.node(&id.to_string()), "there");
        }
        for (number, group) in &view.groups {
            let of = keys.of_group(*number);
            for (key, value) in
                [(of.members(), &group.members_text), (of.primary(), &group.primary)]
            {
                if let Some(value) = value {
                    store.put(key, str::from_utf8(value).unwrap());
                }
            }
        }
        store
    }

    fn put(&mut self, key: String, value: &str) {
        self.revision += 1;
        let created =
            self.values.get(key.as_bytes()).map_or(self.revision, |(_, created, _)| *created);
        self.values.insert(key.into(), (value.into(), created, self.revision));
    }

    fn delete(&mut self, key: &str) {
        self.values.remove(key.as_bytes());
    }

    /// Carries a transaction out. Returns whether its conditions held.
    fn transact(&mut self, transaction: &EtcdTransaction) -> bool {
        let holds = |compare: &Compare| match compare {
            Compare::Value { key, value } => {
                self.values.get(&key[..]).is_some_and(|(found, ..)| found == value)
            }
            Compare::Absent { key } => !self.values.contains_key(&key[..]),
            Compare::Present { key } => self.values.contains_key(&key[..]),
            Compare::Modified { key, revision } => {
                self.values.get(&key[..]).is_some_and(|(.., modified)| modified == revision)
            }
            Compare::Created { key, revision } => {
                self.values.get(&key[..]).is_some_and(|(_, created, _)| created == revision)
            }
        };
        if !transaction.compare.iter().all(holds) {
            return false;
        }
        self.revision += 1;
        for operation in &transaction.then {
            match operation {
                Operation::Put { key, value, .. } => {
                    let created =
                        self.values.get(&key[..]).map_or(self.revision, |(_, created, _)| *created);
                    self.values.insert(key.to_vec(), (value.to_vec(), created, self.revision));
                }
                Operation::Delete(keys) => {
                    self.values.retain(|key, _| *keys != KeyRange::one(key.clone()));
                }
                Operation::Get(_) => {}
            }
        }
        true
    }

    /// Carries out what a coordinator decides that sees the cluster so. Returns how much of it was done.
    fn coordinate(&mut self, case: &Case, by: (NodeId, u64)) -> usize {
        let (mut last, mut done) = (case.view.last_decision, 0);
        for decision in case.decide(&RULES) {
            let transaction = transaction(&decision, &case.view, &self.keys, by, last);
            if !self.transact(&transaction) {
                break;
            }
            (last, done) = (Some(self.revision), done + 1);
        }
        done
    }

    fn places(&self) -> usize {
        let prefix = self.keys.places();
        self.values.keys().filter(|key| key.starts_with(prefix.as_bytes())).count()
    }

    fn members(&self) -> Members {
        Members::parse(&self.values[self.keys.members().as_bytes()].0).unwrap()
    }
}

#[test]
fn two_coordinators_give_a_place_once() {
    let group = Case::of_groups(1).members(0, &[(1, Leads)]);
    let (one, other) = (group.clone().spare(2, ""), group.spare(3, ""));
    assert_eq!((one.places(), other.places()), (vec![(2, 0)], vec![(3, 0)]));
    let mut store = Store::of(&one.clone().spare(3, "").view);
    // Both in the same term: nothing rests on there being one coordinator.
    let given = (store.coordinate(&one, BY), store.coordinate(&other, BY));
    assert_eq!((given, store.places()), ((1, 0), 1), "the last place is given twice");
    assert_eq!(store.coordinate(&one, BY), 0, "a view that is stale");
}

#[test]
fn one_coordinator_carries_out_all_that_it_decides() {
    let case = Case::of_groups(2).spare(1, "").spare(2, "").spare(3, "").spare(4, "");
    let mut store = Store::of(&case.view);
    assert_eq!((store.coordinate(&case, BY), store.places()), (4, 4));
}

#[test]
fn two_coordinators_remove_one_member() {
    // Each of them misses another one of the followers.
    let view = [(1, Leads), (2, Follows), (3, Follows), (4, Follows)];
    let without = |lost: u8| {
        let members = view.map(|(id, state)| (id, if id == lost { Lost } else { state }));
        Case::of_groups(1).members(0, &members)
    };
    let (one, other) = (without(2), without(3));
    assert_eq!((one.forgets(), other.forgets()), (vec![(2, 0)], vec![(3, 0)]));
    let mut store = Store::of(&one.view);
    store.delete(&store.keys.node(&node(3).to_string()));
    // A copy that the decision counts on has gone since.
    assert_eq!(store.coordinate(&one, BY), 0, "another member was not there any more");
    store.put(store.keys.node(&node(3).to_string()), "there");
    assert_eq!(store.coordinate(&one, BY), 1);
    store.delete(&store.keys.node(&node(3).to_string()));
    store.put(store.keys.node(&node(2).to_string()), "there");
    assert_eq!(store.coordinate(&other, BY), 0, "two members are removed at once");
    assert!(store.members().has(node(3)) && !store.members().has(node(2)));
}

#[test]
fn a_decision_is_refused_once_its_grounds_are_gone() {
    let spare = Case::of_groups(1).members(0, &[(1, Leads)]).spare(2, "");
    let lost = Case::of_groups(1).members(0, &[(1, Leads), (2, Lost), (3, Follows)]);
    let placed = Case::of_groups(1).members(0, &[(1, Leads)]).placed(2, 0, Some(660_000));
    let cases: [(&Case, Change, &str); 9] = [
        (
            &spare,
            |store| store.delete(&store.keys.node(&node(2).to_string())),
            "the spare has gone",
        ),
        (&spare, |store| store.put(store.keys.place(&node(2).to_string()), "x"), "it has a place"),
        (&spare, |store| store.put(store.keys.members(), "[]"), "the members are others"),
        (&spare, |store| store.put(store.keys.last_decision(), "x"), "something was decided"),
        (&spare, |store| store.delete(&store.keys.coordinator()), "the term has ended"),
        (&lost, |store| store.put(store.keys.node(&node(2).to_string()), "x"), "it has come back"),
        (&lost, |store| store.put(store.keys.members(), "[]"), "the members are others"),
        (&lost, |store| store.put(store.keys.primary(), "x"), "there is another primary"),
        (&placed, |store| store.put(store.keys.node(&node(2).to_string()), "x"), "it has come"),
    ];
    for (case, change, why) in cases {
        let mut store = Store::of(&case.view);
        for (id, place) in &case.view.places {
            store.put(store.keys.place(&id.to_string()), &place.print());
        }
        let before = store.values.clone();
        change(&mut store);
        assert_eq!(store.coordinate(case, BY), 0, "although {why}");
        store.values = before;
        assert_eq!(store.coordinate(case, BY), 1, "{why}");
    }
}

#[test]
fn an_earlier_coordinator_is_refused() {
    let case = Case::of_groups(1).spare(1, "");
    let mut store = Store::of(&case.view);
    store.delete(&store.keys.coordinator());
    store.put(store.keys.coordinator(), "the next one");
    let given = (store.coordinate(&case, BY), store.places());
    assert_eq!(given, (0, 0), "a coordinator of an earlier term gives a place");
    let next = (node(8), store.revision);
    assert_eq!((store.coordinate(&case, next), store.places()), (1, 1));
}
