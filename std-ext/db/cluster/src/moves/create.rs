//! The parts of an administrator: beginning a move, and turning it back.

use super::etcd::EtcdAccess;
use super::record::{Actor, MoveRecord, MoveState};
use super::records::{self, text, unchanged};
use crate::etcd::{Compare, EtcdTransaction, Operation};
use crate::membership::keys::GroupKeys;
use hedgerow_db_formats::slot_set::SlotSet;

/// How often a change is tried, if others change the moves meanwhile.
const ATTEMPTS: usize = 10;

/// Begins a move of slots from one group to another. Returns its number.
///
/// # Errors
/// A sentence that says why there can be no such move.
#[cfg_attr(
    not(any(test, feature = "cli")),
    expect(dead_code, reason = "for the commands of the program")
)]
pub(crate) async fn begin(
    etcd: &impl EtcdAccess,
    keys: &GroupKeys,
    slots: &SlotSet,
    groups: (u32, u32),
) -> Result<u64, String> {
    begin_if(etcd, keys, slots, groups, Vec::new()).await
}

/// As [`begin`], if etcd has what the decision rests on.
///
/// # Errors
/// A sentence that says why there can be no such move.
pub(crate) async fn begin_if(
    etcd: &impl EtcdAccess,
    keys: &GroupKeys,
    slots: &SlotSet,
    (from, to): (u32, u32),
    grounds: Vec<Compare>,
) -> Result<u64, String> {
    let record = MoveRecord::new(slots.clone(), from, to)?;
    for _ in 0..ATTEMPTS {
        // Each new move changes this key. So no other one begins between this look at the moves and the transaction.
        let last = etcd.read(keys.last_move()).await.map_err(text)?;
        for (id, other) in list(etcd, keys).await? {
            if other.slots.overlaps(slots) {
                return Err(format!(
                    "some of these slots belong to the move {id:016x} from group {} to group {}, which is {}: wait \
                     until it has ended, or cancel it",
                    other.from, other.to, other.state
                ));
            }
        }
        // Numbers are never used twice, also after the records are gone: entries of the logs name them.
        let before = last.as_ref().and_then(|pair| str::from_utf8(&pair.value).ok()?.parse().ok());
        let id = before.unwrap_or(0_u64) + 1;
        let transaction = EtcdTransaction {
            compare: [&grounds[..], &[unchanged(keys.last_move(), last)]].concat(),
            then: vec![
                Operation::put(keys.last_move(), id.to_string()),
                Operation::put(keys.move_of(id), record.print()),
            ],
            ..EtcdTransaction::default()
        };
        if etcd.transact(&transaction).await.map_err(text)? {
            return Ok(id);
        }
    }
    Err("other moves keep starting: try again".to_owned())
}

/// Cancels a move that has not reached the point from which it only goes on. With `back`, gives the slots of a move
/// back whose target is lost.
///
/// # Errors
/// A sentence that says why it cannot be done.
#[cfg_attr(
    not(any(test, feature = "cli")),
    expect(dead_code, reason = "for the commands of the program")
)]
pub(crate) async fn turn_back(
    etcd: &impl EtcdAccess,
    keys: &GroupKeys,
    id: u64,
    back: bool,
) -> Result<MoveRecord, String> {
    let to = if back { MoveState::Returned } else { MoveState::Cancelled };
    for _ in 0..ATTEMPTS {
        let found = records::find(etcd, keys, id).await?;
        let found = found.ok_or_else(|| format!("there is no move {id:016x}"))?;
        let next = found.record.next(to, Actor::Administrator, "by an administrator");
        let next = next.map_err(text)?;
        if records::compare_and_swap(etcd, keys, &found, Some(&next)).await? {
            return Ok(next);
        }
    }
    Err("the state of the move keeps changing: try again".to_owned())
}

/// Reads all moves, with their numbers.
///
/// # Errors
/// If etcd cannot be read, or one of them cannot.
pub(crate) async fn list(
    etcd: &impl EtcdAccess,
    keys: &GroupKeys,
) -> Result<Vec<(u64, MoveRecord)>, String> {
    let all = records::all(etcd, keys).await?;
    all.into_iter().map(|(id, found)| Ok((id, found?.record))).collect()
}
