//! `hedgerow-db cluster forget`: removes a node that is gone for good from the members.
//!
//! A member that is away keeps the log in etcd from being trimmed, because it lacks the entries. A node that was
//! forgotten and starts again adds itself again, and fetches what it lacks from a peer.

use super::{AdminCall, AdminError, Report, StoredGroup};
use crate::etcd::{CallOutcome, EtcdClient, EtcdTransaction};
use crate::membership::keys::GroupKeys;
use crate::membership::member_removal::{self, LeavingNode, RemovalRefusal};
use hedgerow_db_group::NodeId;
use serde::Serialize;

/// How often the transaction is tried, if other nodes change the members meanwhile.
const ATTEMPTS: usize = 5;

#[derive(Serialize)]
struct ForgetReport {
    forgotten: String,
    members: Vec<String>,
    copies: usize,
}

pub(super) fn run(call: &AdminCall) -> Result<Report, AdminError> {
    let (group, id) = call.block_on(async {
        let (client, keys) = (call.etcd().await?, call.keys()?);
        forget(call, &client, &keys).await
    })?;
    let rest = group.members.without(id);
    let members: Vec<_> = rest.0.iter().map(|member| member.node.to_string()).collect();
    let copies = group.copies_without(Some(id));
    let text = format!(
        "Removed node {id}. The members are {}; {copies} of them have the beginning of the log on disk.\n",
        members.join(", ")
    );
    let removed = ForgetReport { forgotten: id.to_string(), members, copies };
    Ok(Report::new(text, &removed, true))
}

/// Removes the node. Returns the group as it was before, and the node.
async fn forget(
    call: &AdminCall,
    client: &EtcdClient,
    keys: &GroupKeys,
) -> Result<(StoredGroup, NodeId), AdminError> {
    let (copies, force) = (call.settings.copies, call.asked.has("force"));
    let mut removed: Option<(StoredGroup, NodeId)> = None;
    for _ in 0..ATTEMPTS {
        let group = StoredGroup::read(client, keys).await?;
        // A transaction without an answer may have been done.
        if let Some((before, id)) = removed.take_if(|(_, id)| !group.members.has(*id)) {
            return Ok((before, id));
        }
        let id = group.member(&call.asked.operand)?;
        check(&group, id, copies, force)?;
        match client.transact(&removal(&group, keys, id)).await {
            Ok(done) if done.succeeded => return Ok((group, id)),
            Ok(_) => {}
            Err(why) if why.outcome() == CallOutcome::NotDone => return Err(why.into()),
            Err(_) => removed = Some((group, id)),
        }
    }
    Err(AdminError::from(
        "the list of members keeps changing, or etcd does not answer: see `hedgerow-db cluster status`, and try again"
            .to_owned(),
    ))
}

/// Refuses to forget a node that is alive, or whose copy is needed. If etcd lost entries, any node may have the only
/// copy, and no option overrides that.
fn check(group: &StoredGroup, id: NodeId, copies: usize, force: bool) -> Result<(), AdminError> {
    if let Some(lost) = group.lost() {
        return Err(AdminError::from(format!("nothing was changed: {lost}")));
    }
    let leaving = LeavingNode {
        node: id,
        members: &group.members,
        is_registered: group.registration(id).is_some(),
        holder: group.holder(),
        left: group.copies_without(Some(id)),
    };
    let why = match leaving.check(copies) {
        Ok(()) => return Ok(()),
        Err(RemovalRefusal::Registered) => format!(
            "node {id} is registered: it is running, or stopped a few seconds ago. Stop it first"
        ),
        Err(RemovalRefusal::Primary) => format!(
            "node {id} is the primary according to etcd: wait until another node has taken over, or start one"
        ),
        Err(RemovalRefusal::OnlyMember) => format!(
            "node {id} is the only member: if its data is lost, so is the group's. If a directory of another node \
             is left, rebuild the cluster from it with `hedgerow-db cluster adopt`"
        ),
        Err(RemovalRefusal::Copies(_)) if force => return Ok(()),
        Err(RemovalRefusal::Copies(left)) => format!(
            "without node {id}, {left} members have the beginning of the log on disk, but cluster-copies is \
             {copies}: start another node first, and let it fetch the data. --force removes the node anyway"
        ),
    };
    Err(AdminError::from(why))
}

/// Returns the transaction that removes a node, if the members are those that were read and it has not come back.
fn removal(group: &StoredGroup, keys: &GroupKeys, id: NodeId) -> EtcdTransaction {
    member_removal::removal(keys, &group.members, group.members_text.as_deref(), id)
}

#[cfg(test)]
mod tests {
    use super::super::group::tests::group;
    use super::*;
    use crate::etcd::{Compare, Keys as KeyRange, Operation};

    const GONE: NodeId = NodeId([3; 20]);

    /// A group whose third node is gone.
    fn without_one() -> StoredGroup {
        let mut group = group();
        group.nodes.remove(2);
        group
    }

    #[track_caller]
    fn refused(group: &StoredGroup, id: NodeId, force: bool, wanted: &str) {
        let why = check(group, id, 2, force).expect_err("it is forgotten").to_string();
        assert!(why.contains(wanted), "{wanted:?} is missing in {why:?}");
    }

    #[test]
    fn only_a_node_that_is_gone_is_forgotten() {
        assert!(check(&without_one(), GONE, 2, false).is_ok());
        refused(&group(), GONE, true, "is registered");
        let mut led = without_one();
        led.tail.as_mut().unwrap().node = Some(GONE);
        refused(&led, GONE, true, "is the primary");
        let mut lone = without_one();
        lone.members = lone.members.without(NodeId([1; 20])).without(NodeId([2; 20]));
        refused(&lone, GONE, true, "the only member");
    }

    #[test]
    fn the_copies_that_are_left_must_suffice() {
        let mut group = without_one();
        group.durable.remove(0);
        refused(&group, GONE, false, "1 members have the beginning of the log on disk");
        assert!(check(&group, GONE, 2, true).is_ok(), "although --force was given");
        assert!(check(&group, GONE, 1, false).is_ok());
    }

    #[test]
    fn nobody_is_forgotten_if_etcd_lost_entries() {
        let mut group = without_one();
        group.durable[2].1.seq = 10;
        refused(&group, GONE, true, "etcd lost entries");
        group.durable[2].1.seq = 9;
        group.halt = Some(br#"{"later": "version"}"#.to_vec());
        refused(&group, GONE, true, "cannot be read");
    }

    #[test]
    fn members_and_progress_go_in_one_transaction() {
        let (group, keys) = (without_one(), GroupKeys::new("roses", 0).unwrap());
        let EtcdTransaction { compare, then, otherwise } = removal(&group, &keys, GONE);
        let id = GONE.to_string();
        let wanted = [
            Compare::Value {
                key: keys.members().into(),
                value: group.members.print().into_bytes().into(),
            },
            Compare::Absent { key: keys.node(&id).into() },
        ];
        assert_eq!(compare, wanted, "a node that comes back is forgotten");
        let wanted = [
            Operation::put(keys.members(), group.members.without(GONE).print()),
            Operation::Delete(KeyRange::one(keys.durable(&id))),
            Operation::Delete(KeyRange::one(keys.place(&id))),
        ];
        assert_eq!((then, otherwise), (wanted.to_vec(), Vec::new()));
    }
}
