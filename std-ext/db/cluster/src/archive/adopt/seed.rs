//! Fills etcd with the ends of the logs of folders, one of each group.
//!
//! 1. `format` says that it is being filled, so that no node uses it. All keys of groups, of moves, of slots and of the
//!    coordinator's decisions about nodes are deleted.
//! 2. The batches of the windows are put, and then the lines of the logs, and the members.
//! 3. The map of slots is put, and `format` names the new incarnation.
//!
//! Each transaction compares `format` with the value of the one before, so two commands at a time do no harm, and one
//! that was interrupted is repeated from the beginning.

use super::window::Window;
use crate::etcd::{
    CallOutcome, Compare, ErrorKind, EtcdClient, EtcdError, EtcdTransaction, Keys as KeyRange,
    Operation,
};
use crate::membership::error::StartError;
use crate::membership::identity::ClusterFormat;
use crate::membership::keys::GroupKeys;
use crate::membership::slot_map::SlotMap;
use hedgerow_db_group::{Members, Tail};
use std::time::Duration;
use tokio::time::sleep;

/// The most bytes of values, and the most operations, of one transaction. etcd takes 1.5 MiB and 128.
const MOST_BYTES: usize = 768 << 10;
const MOST_OPERATIONS: usize = 100;
/// How often a transaction is tried.
const ATTEMPTS: u32 = 20;
/// The pause before it is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// The contents for etcd.
pub(crate) struct Seed {
    /// The cluster, with its new incarnation.
    pub(crate) format: ClusterFormat,
    /// The groups.
    pub(crate) groups: Vec<GroupSeed>,
    /// The group of each slot, if some have moved.
    pub(crate) slots: Option<SlotMap>,
}

/// The contents for the keys of a group.
pub(crate) struct GroupSeed {
    /// The group.
    pub(crate) group: u32,
    /// The last batches.
    pub(crate) window: Window,
    /// The line behind them.
    pub(crate) tail: Tail,
    /// The nodes whose folders are known.
    pub(crate) members: Members,
}

impl Seed {
    /// Fills etcd. `found` is the value of `format` that was found there. `adopter` is a random number.
    ///
    /// # Errors
    /// If etcd fails, or something else has written meanwhile. To call it again completes the work.
    pub(crate) async fn put(
        self,
        client: &EtcdClient,
        keys: &GroupKeys,
        found: Option<Vec<u8>>,
        adopter: u64,
    ) -> Result<(), StartError> {
        let last = self.format.print();
        let filling = ClusterFormat { adopter: Some(adopter), ..self.format }.print();
        let before = found.map_or(Compare::Absent { key: keys.format().into() }, |found| {
            Compare::Value { key: keys.format().into(), value: found.into() }
        });
        let begin = begin(keys, &filling);
        let is_ours = Compare::Value { key: keys.format().into(), value: filling.clone().into() };
        change(client, keys, before, begin, &filling).await?;
        for GroupSeed { group, window, tail, members } in self.groups {
            let own = keys.of_group(group);
            for batches in cut(window) {
                let puts =
                    batches.into_iter().map(|(seq, value)| Operation::put(own.batch(seq), value));
                change(client, keys, is_ours.clone(), puts.collect(), &filling).await?;
            }
            let end = vec![
                Operation::put(own.tail(), tail.to_string()),
                Operation::put(own.members(), members.print()),
            ];
            change(client, keys, is_ours.clone(), end, &filling).await?;
        }
        // In the transaction that lets nodes start: before, they would take the map to be that of a new cluster.
        let mut end = vec![Operation::put(keys.format(), last.clone())];
        end.extend(self.slots.map(|slots| Operation::put(keys.slots(), slots.print())));
        change(client, keys, is_ours, end, &last).await
    }
}

/// Returns the first operations.
///
/// The places go, because they are about members of the logs that are deleted: a node that was to leave its group would
/// empty a directory whose entries the new log may lack. So go the coordinator and its last decision, and a decision
/// that is on its way makes no new places. `desired` stays: programs stop nodes by it, and the coordinator would begin
/// with the number of nodes that are there first. `last-move` stays, too, so that no number is used twice.
fn begin(keys: &GroupKeys, filling: &str) -> Vec<Operation> {
    vec![
        Operation::put(keys.format(), filling.to_owned()),
        Operation::Delete(KeyRange::prefix(keys.groups())),
        Operation::Delete(KeyRange::prefix(keys.moves())),
        Operation::Delete(KeyRange::one(keys.slots())),
        Operation::Delete(KeyRange::prefix(keys.places())),
        Operation::Delete(KeyRange::one(keys.coordinator())),
        Operation::Delete(KeyRange::one(keys.last_decision())),
    ]
}

/// Cuts a window into the puts of transactions.
fn cut(window: Window) -> Vec<Vec<(u64, Vec<u8>)>> {
    let (mut all, mut bytes) = (Vec::<Vec<_>>::new(), 0);
    for (seq, value) in window.batches {
        bytes += value.len();
        match all.last_mut() {
            Some(last) if bytes <= MOST_BYTES && last.len() < MOST_OPERATIONS => {
                last.push((seq, value));
            }
            _ => {
                bytes = value.len();
                all.push(vec![(seq, value)]);
            }
        }
    }
    all
}

/// Does a transaction if a comparison of `format` holds. Tries again after errors that may pass. `after` is the value
/// of `format` once it is done.
async fn change(
    client: &EtcdClient,
    keys: &GroupKeys,
    compare: Compare,
    then: Vec<Operation>,
    after: &str,
) -> Result<(), StartError> {
    let transaction = EtcdTransaction { compare: vec![compare], then, otherwise: Vec::new() };
    let (mut attempts, mut unsure) = (0, false);
    loop {
        attempts += 1;
        match client.transact(&transaction).await {
            Ok(done) if done.succeeded => return Ok(()),
            // An earlier try may have been done. All of a transaction's puts are the same in each try.
            Ok(_) if unsure && is(client, keys, after).await? => return Ok(()),
            Ok(_) => {
                return Err(StartError::new(
                    "another process wrote the cluster's keys in etcd during this command: make sure that no node \
                     and no other `hedgerow-db cluster adopt` is running, and try again",
                ));
            }
            Err(why) if attempts == ATTEMPTS || !may_pass(&why) => return Err(why.into()),
            Err(why) => {
                unsure |= why.outcome() == CallOutcome::Unknown;
                tracing::warn!("{why}; trying again");
            }
        }
        sleep(AGAIN).await;
    }
}

/// Whether `format` has this value.
async fn is(client: &EtcdClient, keys: &GroupKeys, wanted: &str) -> Result<bool, StartError> {
    let found = client.get(keys.format()).await?.pair;
    Ok(found.is_some_and(|pair| pair.value == wanted.as_bytes()))
}

fn may_pass(why: &EtcdError) -> bool {
    matches!(
        why.kind(),
        ErrorKind::Unreachable
            | ErrorKind::TimedOut
            | ErrorKind::Unavailable
            | ErrorKind::NoLeader
            | ErrorKind::TooManyRequests
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use hedgerow_db_group::LogPosition;

    #[test]
    fn decisions_about_the_members_of_before_are_deleted() {
        let keys = GroupKeys::new("roses", 0).unwrap();
        let begin = begin(&keys, "filling");
        let is_deleted = |key: String| {
            begin.iter().any(|operation| match operation {
                Operation::Delete(range) => {
                    let (from, end) = range.bounds();
                    let key = key.as_bytes();
                    if end.is_empty() { key == from } else { (from..end).contains(&key) }
                }
                _ => false,
            })
        };
        let place = keys.place(&"03".repeat(20));
        assert!(is_deleted(place), "a node leaves by a decision of before");
        for key in [keys.tail(), keys.of_group(7).members(), keys.move_of(4), keys.slots()] {
            assert!(is_deleted(key.clone()), "{key} stays");
        }
        assert!(is_deleted(keys.coordinator()) && is_deleted(keys.last_decision()));
        for key in [keys.desired(), keys.last_move(), keys.format()] {
            assert!(!is_deleted(key.clone()), "{key} is deleted");
        }
    }

    #[test]
    fn transactions_are_as_small_as_etcd_wants_them() {
        let window = |lengths: &[usize]| {
            let batches = (7..).zip(lengths).map(|(seq, &length)| (seq, vec![0; length]));
            Window { batches: batches.collect(), end: LogPosition::default() }
        };
        let lengths = |lengths: &[usize]| -> Vec<usize> {
            cut(window(lengths)).iter().map(Vec::len).collect()
        };
        assert!(lengths(&[]).is_empty());
        assert_eq!(lengths(&[10; 250]), [100, 100, 50]);
        assert_eq!(lengths(&[512 << 10; 3]), [1, 1, 1]);
        assert_eq!(lengths(&[256 << 10; 4]), [3, 1]);
        let all = cut(window(&[300_000; 9])).concat();
        assert_eq!(
            all.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(),
            (7..16).collect::<Vec<_>>()
        );
    }
}
