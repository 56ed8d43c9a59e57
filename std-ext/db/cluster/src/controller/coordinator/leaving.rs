//! A node that shall have no group any more. It leaves when it starts, because its process holds nothing then: it
//! removes itself from the members, empties its directory, and waits for a place like a new node.
//!
//! Each step can be repeated after a crash: the key `place/<node>` says that the node leaves until all is done. The
//! rules of `hedgerow-db cluster forget` hold. A node that may not leave after all, because another member was lost
//! meanwhile, stays. The last member of a group without slots deletes all keys of the group.

use super::rules::Rules;
use super::view::{CoordinatorView, GroupView};
use super::waiting::Waiting;
use crate::etcd::{Compare, EtcdTransaction, Keys as KeyRange, Operation};
use crate::membership::error::StartError;
use crate::membership::identity::{Age, Belonging};
use crate::membership::keys::GroupKeys;
use crate::membership::member_removal::{self, LeavingNode, RemovalRefusal};
use crate::membership::place::NodeAssignment;
use crate::peer;
use hedgerow_db_group::{NodeId, Tail};
use std::time::{Duration, Instant};

/// How often the node looks whether it may leave.
const PERIOD: Duration = Duration::from_millis(300);
/// How long it tries before it stays.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// The fewest nodes that must have the data of a group that a member leaves, if the group has as many.
const FEWEST: usize = 2;

/// The wish of the cluster for a node.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Stay,
    /// It leaves its group.
    Leave,
    /// It should leave with other data than it has.
    Outdated,
}

/// The next step of a node.
#[derive(Debug, PartialEq, Eq)]
enum LeavingStep {
    /// Delete the registration of the process before this one. That has ended: this one has locked the directory.
    Unregister(EtcdTransaction),
    /// Remove itself from the members, or the group from etcd.
    Remove(EtcdTransaction),
    /// Empty its directory: it is no member any more.
    Empty,
    /// Look again.
    Wait,
    /// Stay: it has the group's only copy.
    Stay,
}

impl Waiting<'_> {
    /// Leaves the group that the directory belongs to, if it shall. Returns whether it has.
    ///
    /// # Errors
    /// If the directory cannot be emptied.
    pub(super) async fn leave(&self, belonging: &Belonging) -> Result<bool, StartError> {
        self.leave_within(TIME_LIMIT, belonging).await
    }

    async fn leave_within(
        &self,
        limit: Duration,
        belonging: &Belonging,
    ) -> Result<bool, StartError> {
        let number = belonging.group();
        let keys = self.keys.of_group(number);
        let until = Instant::now() + limit;
        loop {
            let mut obstacle = "the others do not have all of its data";
            let step = match CoordinatorView::read(self.client, &keys).await {
                Ok(Some(view)) => match wish(&self.settings.name, self.id, belonging, &view) {
                    Wish::Leave => step(&view, &keys, self.id, &Rules::of(self.settings)),
                    Wish::Outdated => {
                        tracing::warn!(
                            "this node stays: the order to leave was for different data from its directory's"
                        );
                        // As long as the key is there, a node that runs starts anew to leave.
                        self.forget_place(number).await;
                        return Ok(false);
                    }
                    Wish::Stay => return Ok(false),
                },
                // etcd has no cluster, or is being filled. The rest of the start says what is wrong.
                Ok(None) => return Ok(false),
                Err(why) => {
                    tracing::warn!("waiting for etcd: {why}");
                    obstacle = "etcd does not answer";
                    LeavingStep::Wait
                }
            };
            let is_late = Instant::now() >= until;
            match step {
                LeavingStep::Remove(transaction) | LeavingStep::Unregister(transaction)
                    if !is_late =>
                {
                    // The next look says what has become of it.
                    if let Err(why) = self.client.transact(&transaction).await {
                        tracing::debug!("cannot leave group {number} yet: {why}");
                    }
                }
                LeavingStep::Empty => {
                    peer::clear(self.folder)?;
                    Belonging::remove(self.folder)?;
                    self.forget_place(number).await;
                    tracing::info!("this node has left group {number}, and its directory is empty");
                    return Ok(true);
                }
                LeavingStep::Wait if !is_late => {}
                step => {
                    if let LeavingStep::Remove(_) | LeavingStep::Unregister(_) = step {
                        obstacle = "etcd rejects or does not confirm its removal";
                    }
                    tracing::warn!("this node stays in group {number}: {obstacle}");
                    self.forget_place(number).await;
                    return Ok(false);
                }
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Deletes the place that says that the node leaves. If that fails, it is tried again later.
    pub(super) async fn forget_place(&self, group: u32) {
        let key = self.keys.place(&self.id.to_string());
        let value = NodeAssignment::left(group).print().into();
        let transaction = EtcdTransaction {
            compare: vec![Compare::Value { key: key.clone().into(), value }],
            then: vec![Operation::Delete(KeyRange::one(key))],
            otherwise: Vec::new(),
        };
        if let Err(why) = self.client.transact(&transaction).await {
            tracing::debug!("cannot delete this node's assignment: {why}");
        }
    }
}

/// Returns the wish for a node with a directory. If etcd or the directory is wrong, the rest of the start says so.
///
/// The place may be of other data than those in the directory. After `hedgerow-db cluster adopt`, a directory of an
/// earlier incarnation may have entries that no other one has. After etcd was restored from a backup, the place may be
/// from before the node left, and was placed again.
fn wish(name: &str, own: NodeId, belonging: &Belonging, view: &CoordinatorView) -> Wish {
    if !view.leaves(own, belonging.group()) {
        return Wish::Stay;
    }
    let age = view.format.as_ref().and_then(|format| {
        let etcd = Belonging::new(name, format, belonging.group());
        belonging.check(&etcd).ok()
    });
    let is_later = view.placed_at.get(&own).is_some_and(|revision| belonging.is_before(*revision));
    match age {
        Some(Age::Current) if is_later => Wish::Leave,
        Some(_) => Wish::Outdated,
        None => Wish::Stay,
    }
}

/// Returns what a node does next that shall leave the group of these keys.
fn step(view: &CoordinatorView, keys: &GroupKeys, own: NodeId, rules: &Rules) -> LeavingStep {
    let number = keys.number();
    let Some(group) = view.groups.get(&number).filter(|group| group.members.has(own)) else {
        return LeavingStep::Empty;
    };
    let is_empty = view.owns_nothing(number);
    let others: Vec<NodeId> =
        group.members.0.iter().map(|member| member.node).filter(|node| *node != own).collect();
    let is_gone = |node: &NodeId| view.leaves(*node, number) && !view.nodes.contains_key(node);
    let whole: Vec<NodeId> =
        others.iter().copied().filter(|node| group.has_whole(*node, view)).collect();
    if view.nodes.contains_key(&own) {
        let then = vec![Operation::Delete(KeyRange::one(keys.node(&own.to_string())))];
        return LeavingStep::Unregister(EtcdTransaction { then, ..EtcdTransaction::default() });
    }
    let leaving = LeavingNode {
        node: own,
        members: &group.members,
        is_registered: false,
        holder: group.tail.as_ref().and_then(Tail::holder),
        left: whole.len(),
    };
    // No more than the group is meant to have. Otherwise no node could ever leave a small group.
    let needed = rules.copies.max(FEWEST).min(rules.replicas as usize + 1);
    if is_empty && others.iter().all(is_gone) {
        return LeavingStep::Remove(dissolve(view, keys, group, own, &others));
    }
    // A group without slots has no data that must be kept.
    match leaving.check(if is_empty { 0 } else { needed }) {
        Ok(()) => LeavingStep::Remove(remove(view, keys, group, own, &whole)),
        Err(RemovalRefusal::OnlyMember) => LeavingStep::Stay,
        Err(RemovalRefusal::Registered | RemovalRefusal::Primary | RemovalRefusal::Copies(_)) => {
            LeavingStep::Wait
        }
    }
}

/// Compares that the node still shall leave, and that nothing has been moved since.
fn grounds(view: &CoordinatorView, keys: &GroupKeys, own: NodeId) -> Vec<Compare> {
    let value = |key: String, value: Option<&[u8]>| match value {
        Some(value) => Compare::Value { key: key.into(), value: value.to_vec().into() },
        None => Compare::Absent { key: key.into() },
    };
    vec![
        value(
            keys.place(&own.to_string()),
            Some(NodeAssignment::left(keys.number()).print().as_bytes()),
        ),
        value(keys.last_move(), view.last_move.as_deref()),
        value(keys.slots(), view.slots_text.as_deref()),
    ]
}

/// Removes the node from the members, while those that have all data are there. Its place stays.
fn remove(
    view: &CoordinatorView,
    keys: &GroupKeys,
    group: &GroupView,
    own: NodeId,
    whole: &[NodeId],
) -> EtcdTransaction {
    let mut transaction =
        member_removal::removal(keys, &group.members, group.members_text.as_deref(), own);
    // `forget` deletes the place, too. Here it is what makes the node go on after a crash, until its directory is
    // empty.
    let place = Operation::Delete(KeyRange::one(keys.place(&own.to_string())));
    transaction.then.retain(|operation| *operation != place);
    transaction.compare.extend(grounds(view, keys, own));
    let present = |node: &NodeId| Compare::Present { key: keys.node(&node.to_string()).into() };
    transaction.compare.extend(whole.iter().map(present));
    transaction
}

/// Removes the group from etcd. Its other members are gone, and shall leave, too.
fn dissolve(
    view: &CoordinatorView,
    keys: &GroupKeys,
    group: &GroupView,
    own: NodeId,
    others: &[NodeId],
) -> EtcdTransaction {
    let mut compare = grounds(view, keys, own);
    let members = group.members_text.clone().unwrap_or_default();
    compare.push(Compare::Value { key: keys.members().into(), value: members.into() });
    // Another process with this id may have registered itself meanwhile, and be serving.
    compare.push(Compare::Absent { key: keys.node(&own.to_string()).into() });
    for node in others {
        let value = NodeAssignment::left(keys.number()).print().into();
        compare.push(Compare::Value { key: keys.place(&node.to_string()).into(), value });
    }
    let then = vec![Operation::Delete(KeyRange::prefix(keys.group()))];
    EtcdTransaction { compare, then, otherwise: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::process::Etcd;
    use crate::etcd::{ClientSettings, EtcdClient};
    use crate::membership::durable::Durable;
    use crate::membership::identity::ClusterFormat;
    use crate::membership::registration::Registration;
    use crate::membership::slot_map::SlotMap;
    use crate::node;
    use crate::node::tests::settings;
    use crate::peer::client::MOST_FETCHED;
    use crate::peer::{GroupId, PeerClientOptions};
    use hedgerow_db_engine::log::folder::Folder;
    use hedgerow_db_engine::progress::Progress;
    use hedgerow_db_group::Members;

    const OWN: NodeId = NodeId([1; 20]);
    const OTHER: NodeId = NodeId([2; 20]);
    const THIRD: NodeId = NodeId([3; 20]);
    const RULES: Rules = Rules { replicas: 1, copies: 2, forget: None, policy: None };

    /// Returns a cluster whose first group has all slots, and a group of these members, which run, but for the node
    /// itself.
    fn view(number: u32, members: &[NodeId]) -> CoordinatorView {
        let mut view =
            CoordinatorView { slots: Some(SlotMap::divided(1)), ..CoordinatorView::default() };
        let mut group = GroupView { first: Some(10), ..GroupView::default() };
        for node in members {
            group.members = group.members.with(*node, 70_000);
            group.durable.push((*node, Durable { folder: String::new(), lsn: 40, seq: 12 }));
            let there =
                Registration { group: number, role: "follower".into(), ..Registration::default() };
            view.nodes.insert(*node, there);
        }
        view.nodes.remove(&OWN);
        group.members_text = Some(group.members.print().into_bytes());
        view.groups.insert(number, group);
        view.places.insert(OWN, NodeAssignment::left(number));
        view
    }

    fn keys(number: u32) -> GroupKeys {
        GroupKeys::new("roses", number).unwrap()
    }

    /// Returns the operations of the transaction that removes the node.
    #[track_caller]
    fn removed(view: &CoordinatorView, number: u32) -> Vec<Operation> {
        match step(view, &keys(number), OWN, &RULES) {
            LeavingStep::Remove(transaction) => transaction.then,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_place_of_other_data_makes_no_node_leave() {
        let format = ClusterFormat::new(1, 1).unwrap();
        let first = Belonging::new("roses", &format, 7);
        let mut view = view(7, &[OTHER, THIRD]);
        view.format = Some(format.clone());
        view.placed_at.insert(OWN, 40);
        let of =
            |belonging: &Belonging, view: &CoordinatorView| wish("roses", OWN, belonging, view);
        assert_eq!(of(&first, &view), Wish::Leave, "a directory without a revision");
        assert_eq!(of(&first.clone().since(39), &view), Wish::Leave);
        for later in [40, 41] {
            let later = first.clone().since(later);
            assert_eq!(of(&later, &view), Wish::Outdated, "the place is older than the directory");
        }
        assert_eq!(of(&Belonging::new("roses", &format, 6), &view), Wish::Stay, "another group");
        let other = ClusterFormat { cluster: [7; 16], ..format.clone() };
        assert_eq!(of(&Belonging::new("roses", &other, 7), &view), Wish::Stay, "another cluster");
        view.format = Some(ClusterFormat { incarnation: 2, ..format });
        assert_eq!(of(&first, &view), Wish::Outdated, "the directory is of an earlier incarnation");
    }

    #[test]
    fn a_member_leaves_once_the_others_have_all_data() {
        let next = |view: &CoordinatorView| step(view, &keys(0), OWN, &RULES);
        let three = view(0, &[OWN, OTHER, THIRD]);
        let rest = Members::default().with(OTHER, 70_000).with(THIRD, 70_000);
        let wanted = [
            Operation::put(keys(0).members(), rest.print()),
            Operation::Delete(KeyRange::one(keys(0).durable(&OWN.to_string()))),
        ];
        assert_eq!(removed(&three, 0), wanted, "the place says that it leaves until all is done");
        let mut lagging = three.clone();
        lagging.groups.get_mut(&0).unwrap().durable[1].1.seq = 3;
        assert_eq!(next(&lagging), LeavingStep::Wait, "one copy would be left");
        let mut gone = three.clone();
        gone.nodes.remove(&THIRD);
        assert_eq!(next(&gone), LeavingStep::Wait, "a member is away");
        let mut running = three;
        running.nodes.insert(OWN, Registration::default());
        assert!(matches!(next(&running), LeavingStep::Unregister(_)), "others still ask it");
        assert_eq!(next(&view(0, &[OWN])), LeavingStep::Stay, "the only copy is thrown away");
        assert_eq!(next(&view(0, &[OTHER, THIRD])), LeavingStep::Empty);
    }

    #[test]
    fn the_last_member_of_a_group_without_slots_removes_it() {
        let delete = Operation::Delete(KeyRange::prefix(keys(7).group()));
        assert_eq!(removed(&view(7, &[OWN]), 7), std::slice::from_ref(&delete));
        let two = view(7, &[OWN, OTHER]);
        assert_eq!(removed(&two, 7).len(), 2, "the group goes although a member is left");
        let mut gone = two.clone();
        gone.nodes.remove(&OTHER);
        gone.places.insert(OTHER, NodeAssignment::left(7));
        assert_eq!(removed(&gone, 7), [delete], "the other one knows that it has no group");
        let mut full = view(7, &[OWN]);
        full.slots = full
            .slots
            .map(|map| map.with(7, &hedgerow_db_formats::slot_set::SlotSet::of_range(3..4)));
        assert_eq!(step(&full, &keys(7), OWN, &RULES), LeavingStep::Stay, "a slot is thrown away");
        let mut moving = view(7, &[OWN]);
        moving.moves.push(Some((0, 7)));
        assert_eq!(step(&moving, &keys(7), OWN, &RULES), LeavingStep::Stay, "a slot is on its way");
        assert_eq!(
            step(&view(0, &[OWN]), &keys(0), OWN, &RULES),
            LeavingStep::Stay,
            "group 0 stays"
        );
    }

    #[test]
    fn leaving_compares_what_it_rests_on() {
        let two = CoordinatorView { last_move: Some(b"8".to_vec()), ..view(7, &[OWN, OTHER]) };
        for view in [two, CoordinatorView { last_move: Some(b"8".to_vec()), ..view(7, &[OWN]) }] {
            let LeavingStep::Remove(transaction) = step(&view, &keys(7), OWN, &RULES) else {
                panic!()
            };
            let value = |key: String, value: &str| Compare::Value {
                key: key.into(),
                value: value.as_bytes().to_vec().into(),
            };
            let members = view.groups[&7].members.print();
            let wanted = [
                value(keys(7).members(), &members),
                Compare::Absent { key: keys(7).node(&OWN.to_string()).into() },
                value(keys(7).place(&OWN.to_string()), r#"{"group":7,"leave":true}"#),
                value(keys(7).last_move(), "8"),
                Compare::Absent { key: keys(7).slots().into() },
            ];
            let missing = wanted.iter().find(|one| !transaction.compare.contains(one));
            assert_eq!(missing, None, "the transaction does not compare it");
        }
    }

    /// Reads succeed during etcd's alarm, and the removal does not.
    #[tokio::test]
    async fn a_node_whose_removal_etcd_rejects_stays() {
        let Some(etcd) = Etcd::start_with(1, &["--quota-backend-bytes", "2097152"], None) else {
            return;
        };
        let settings = settings(&etcd, "roses");
        let client = EtcdClient::connect(&ClientSettings::new(etcd.endpoints())).unwrap();
        let format = ClusterFormat::new(1, 1).unwrap();
        let members = Members::default().with(OWN, 0).with(OTHER, 0).print();
        let left = NodeAssignment::left(7).print();
        let place = keys(7).place(&OWN.to_string());
        for (key, value) in [
            (keys(7).format(), format.print()),
            (keys(7).members(), members),
            (place.clone(), left),
        ] {
            client.put(key, value, 0).await.unwrap();
        }
        while client.put("large", vec![0; 1 << 20], 0).await.is_ok() {}
        let folder = tempfile::tempdir().unwrap();
        let waiting = Waiting {
            client: &client,
            keys: &keys(0),
            settings: &settings,
            folder: &Folder::claim(folder.path()).unwrap(),
            id: OWN,
            progress: &Progress::default(),
            views: &node::views(&settings),
            peers: PeerClientOptions {
                group: GroupId::default(),
                node: OWN,
                tls: None,
                insecure: false,
                most_bytes: MOST_FETCHED,
            },
        };
        let sent = || etcd.count(0, &["grpc_server_started_total{grpc_method=\"Txn\""]);
        let before = sent();
        let belonging = Belonging::new("roses", &format, 7);
        let leaves = waiting.leave_within(3 * PERIOD, &belonging);
        let left = tokio::time::timeout(Duration::from_secs(20), leaves).await;
        assert!(!left.expect("it tries without end").unwrap(), "it has left");
        assert!(sent() - before < 50.0, "it tries without a pause");
        assert_eq!(client.get(place).await.unwrap().pair, None, "it is still asked to leave");
    }
}
