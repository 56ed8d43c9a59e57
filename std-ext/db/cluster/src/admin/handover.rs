//! `hedgerow-db cluster handover`: asks the primary to hand the group over, and waits for the next one.
//!
//! It puts the key that a follower puts for `CLUSTER FAILOVER`. The primary deletes the key and hands over.

use super::{AdminCall, AdminError, Report, StoredGroup};
use crate::etcd::{EtcdClient, Keys as KeyRange, WatchEvent};
use crate::membership::keys::GroupKeys;
use crate::membership::registration::Registration;
use hedgerow_db_engine::clock::milliseconds;
use hedgerow_db_group::{Epoch, NodeId, Tail};
use serde::Serialize;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How long etcd keeps the request after this command has ended.
const REQUEST: Duration = Duration::from_secs(5);
/// How often the request is repeated: a primary that has just begun may not know its members yet.
const AGAIN: Duration = Duration::from_secs(1);

/// The outcome of a hand-over.
#[derive(Serialize)]
struct HandedOver {
    from: String,
    to: String,
    epoch: u64,
    /// Whether there was anything to do.
    changed: bool,
    took_ms: u64,
    /// The time in which no line in the log named a primary.
    gap_ms: u64,
}

pub(super) fn run(call: &AdminCall) -> Result<Report, AdminError> {
    let within = call.seconds("within", 30)?;
    let done = call.block_on(async {
        let (client, keys) = (call.etcd().await?, call.keys()?);
        let group = StoredGroup::read(&client, &keys).await?;
        let (from, epoch) = primary(&group)?;
        let to = target(&group, from, call.asked.value("to"))?;
        let (from_text, to_text) = (from.to_string(), to.to_string());
        if from == to {
            let (changed, took_ms, gap_ms) = (false, 0, 0);
            return Ok(HandedOver {
                from: from_text,
                to: to_text,
                epoch,
                changed,
                took_ms,
                gap_ms,
            });
        }
        let wanted = HandoverRequest { from, to, epoch, only: call.asked.has("to") };
        let begun = Instant::now();
        let (to, epoch, gap) = hand_over(&client, &keys, &group, wanted, within).await?;
        Ok(HandedOver {
            from: from_text,
            to: to.to_string(),
            epoch,
            changed: true,
            took_ms: milliseconds(begun.elapsed()),
            gap_ms: milliseconds(gap),
        })
    })?;
    let HandedOver { from, to, epoch, took_ms, gap_ms, .. } = &done;
    let text = if done.changed {
        format!(
            "Node {to} is the primary, in epoch {epoch}. The primary before was {from}. The handover took {took_ms} \
             ms, during {gap_ms} ms of which the log had no primary.\n"
        )
    } else {
        format!("Node {to} is already the primary, in epoch {epoch}.\n")
    };
    Ok(Report::new(text, &done, true))
}

/// Returns the primary and its epoch.
fn primary(group: &StoredGroup) -> Result<(NodeId, Epoch), AdminError> {
    let line = group.tail.as_ref().and_then(|tail| Some((tail.holder()?, tail.epoch)));
    line.ok_or_else(|| {
        AdminError::from(
            "no node is the primary, so none can hand over: see `hedgerow-db cluster status`"
                .to_owned(),
        )
    })
}

/// Returns the node that shall be the primary.
fn target(group: &StoredGroup, primary: NodeId, asked: Option<&str>) -> Result<NodeId, AdminError> {
    let refuse = |why: String| Err(AdminError::from(why));
    let role = |id: NodeId| group.registration(id).map(|there| &there.role[..]);
    let disk_fails = |id: NodeId| group.registration(id).is_some_and(|there| there.disk_fails);
    let is_unfit = |id: NodeId| group.registration(id).is_some_and(Registration::is_unfit);
    let Some(asked) = asked else {
        let others = group.members.0.iter().map(|member| member.node).filter(|id| *id != primary);
        let followers = others.filter(|id| role(*id) == Some("follower") && !is_unfit(*id));
        let most = followers.max_by_key(|id| group.registration(*id).map(|there| there.applied));
        return most.map_or_else(
            || {
                refuse(
                    "no follower can take over: see `hedgerow-db cluster status`, or start another node first"
                        .to_owned(),
                )
            },
            Ok,
        );
    };
    let id = group.member(asked)?;
    if id == primary {
        return Ok(id);
    }
    match role(id) {
        Some("follower") if disk_fails(id) => refuse(format!(
            "node {id} cannot write to its disk, so it cannot take over: check whether the disk is full, and read \
             the node's log"
        )),
        Some("follower") if is_unfit(id) => {
            refuse(format!("node {id} cannot lead at present: the node's log says why"))
        }
        Some("follower") => Ok(id),
        Some(role) => refuse(format!(
            "node {id} is {role}, but only a follower can take over: wait until it has caught up"
        )),
        None => refuse(format!("node {id} is not registered: start it first")),
    }
}

/// A hand-over that was asked for.
#[derive(Clone, Copy)]
struct HandoverRequest {
    from: NodeId,
    to: NodeId,
    epoch: Epoch,
    /// No other node will do.
    only: bool,
}

/// The progress of a hand-over, by the lines of `tail`.
struct HandoverProgress {
    wanted: HandoverRequest,
    /// When the group was released.
    released: Option<Instant>,
    /// When the last line of the old primary came.
    led: Instant,
}

impl HandoverProgress {
    fn new(wanted: HandoverRequest, now: Instant) -> Self {
        Self { wanted, released: None, led: now }
    }

    /// Takes the next line. Returns the new primary with its epoch, and the time without a primary.
    fn see(
        &mut self,
        line: &Tail,
        now: Instant,
    ) -> Result<Option<(NodeId, Epoch, Duration)>, AdminError> {
        let HandoverRequest { to, epoch, only, .. } = self.wanted;
        let Some(holder) = line.holder() else {
            self.released.get_or_insert(now);
            return Ok(None);
        };
        if line.epoch <= epoch {
            self.led = now;
            return Ok(None);
        }
        if only && holder != to {
            return Err(AdminError::from(format!(
                "node {holder} has become the primary, in epoch {}, not {to}: the log of {to} says why",
                line.epoch
            )));
        }
        let gap = now.duration_since(self.released.unwrap_or(self.led));
        Ok(Some((holder, line.epoch, gap)))
    }
}

async fn hand_over(
    client: &EtcdClient,
    keys: &GroupKeys,
    group: &StoredGroup,
    wanted: HandoverRequest,
    within: Duration,
) -> Result<(NodeId, Epoch, Duration), AdminError> {
    let lease = client.grant(REQUEST).await?;
    let outcome = timeout(within, follow(client, keys, group, wanted, lease.id())).await;
    lease.revoke().await;
    outcome.unwrap_or_else(|_| {
        Err(AdminError::from(format!(
            "node {} has not become the primary within {} s: see `hedgerow-db cluster status` and the log of the \
             primary {}",
            wanted.to,
            within.as_secs(),
            wanted.from
        )))
    })
}

/// Repeats the request until the lines of `tail` name another primary.
async fn follow(
    client: &EtcdClient,
    keys: &GroupKeys,
    group: &StoredGroup,
    wanted: HandoverRequest,
    lease: i64,
) -> Result<(NodeId, Epoch, Duration), AdminError> {
    let mut watch = client.watch(KeyRange::one(keys.tail()), group.revision + 1);
    let mut progress = HandoverProgress::new(wanted, Instant::now());
    loop {
        // Repeated, since the primary deletes the key even if it refuses. Not after the release: another node that has
        // taken over would hand over as well.
        if progress.released.is_none() {
            client.put(keys.wanted(), wanted.to.to_string(), lease).await?;
        }
        let again = Instant::now() + AGAIN;
        while Instant::now() < again {
            let left = again.saturating_duration_since(Instant::now());
            let Ok(watched) = timeout(left, watch.next()).await else { break };
            for event in watched?.events {
                let WatchEvent::Put(pair) = event else { continue };
                let line = Tail::parse(&pair.value)?;
                if let Some(done) = progress.see(&line, Instant::now())? {
                    return Ok(done);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::group::tests::group;
    use super::*;

    const FIRST: NodeId = NodeId([1; 20]);
    const SECOND: NodeId = NodeId([2; 20]);
    const THIRD: NodeId = NodeId([3; 20]);

    #[track_caller]
    fn refused<T>(found: Result<T, AdminError>, wanted: &str) {
        let why = found.err().expect("it is allowed").to_string();
        assert!(why.contains(wanted), "{wanted:?} is missing in {why:?}");
    }

    #[test]
    fn a_follower_takes_over_and_no_other_node() {
        let mut group = group();
        assert_eq!(primary(&group).unwrap(), (FIRST, 3));
        group.nodes[2].registration.applied = 41;
        assert_eq!(target(&group, FIRST, None).unwrap(), THIRD, "it has the most entries");
        assert_eq!(target(&group, FIRST, Some("0202")).unwrap(), SECOND);
        assert_eq!(target(&group, FIRST, Some("0101")).unwrap(), FIRST);
        group.nodes[2].registration.disk_fails = true;
        assert_eq!(target(&group, FIRST, None).unwrap(), SECOND, "a node without a disk is asked");
        refused(target(&group, FIRST, Some("0303")), "cannot write to its disk");
        group.nodes[2].registration.disk_fails = false;
        group.nodes[2].registration.cannot_lead = true;
        assert_eq!(
            target(&group, FIRST, None).unwrap(),
            SECOND,
            "a node that cannot lead is asked"
        );
        refused(target(&group, FIRST, Some("0303")), "cannot lead");
        group.nodes[2].registration.cannot_lead = false;
        group.nodes[2].registration.role = "loading".to_owned();
        assert_eq!(target(&group, FIRST, None).unwrap(), SECOND);
        refused(target(&group, FIRST, Some("0303")), "is loading");
        group.nodes.remove(1);
        refused(target(&group, FIRST, Some("0202")), "is not registered");
        refused(target(&group, FIRST, None), "no follower can take over");
        group.tail.as_mut().unwrap().nonce = 0;
        refused(primary(&group), "no node is the primary");
    }

    #[test]
    fn the_gap_is_from_the_release_to_the_takeover() {
        let line = group().tail.unwrap();
        let wanted = HandoverRequest { from: FIRST, to: SECOND, epoch: 3, only: true };
        let begun = Instant::now();
        let at = |milliseconds| begun + Duration::from_millis(milliseconds);
        let mut progress = HandoverProgress::new(wanted, begun);
        let mut see = |line: Tail, when| progress.see(&line, at(when));
        assert!(see(Tail { beat: 6, ..line }, 10).unwrap().is_none());
        let released = Tail { beat: 7, nonce: 0, node: Some(SECOND), ..line };
        assert!(see(released, 30).unwrap().is_none(), "a released group has no primary");
        let taken = Tail { epoch: 4, nonce: 2, node: Some(SECOND), ..line };
        let done = see(taken, 37).unwrap();
        assert_eq!(done, Some((SECOND, 4, Duration::from_millis(7))));
        refused(see(Tail { node: Some(THIRD), ..taken }, 40), "not 0202");
        let mut any = HandoverProgress::new(HandoverRequest { only: false, ..wanted }, begun);
        let done = any.see(&Tail { node: Some(THIRD), ..taken }, at(5)).unwrap();
        assert_eq!(done, Some((THIRD, 4, Duration::from_millis(5))), "after the last line");
    }
}
