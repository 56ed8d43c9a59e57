//! The records of moves, and the published map of slots, in etcd.

use super::etcd::EtcdAccess;
use super::record::MoveRecord;
use crate::etcd::{Compare, EtcdTransaction, KeyValue, Keys as KeyRange, Operation, Range};
use crate::membership::keys::GroupKeys;
use crate::membership::slot_map::SlotMap;
use std::fmt::Display;

/// A move as etcd has it.
pub(super) struct StoredMove {
    pub(super) id: u64,
    /// The value, to compare it.
    pub(super) value: Vec<u8>,
    pub(super) record: MoveRecord,
}

impl StoredMove {
    fn parse(id: u64, pair: &KeyValue) -> Result<Self, String> {
        let record = MoveRecord::parse(&pair.value)?;
        Ok(Self { id, value: pair.value.to_vec(), record })
    }
}

/// Reads all moves, in the order of their numbers. A move whose record cannot be read comes with a sentence.
pub(super) async fn all(
    etcd: &impl EtcdAccess,
    keys: &GroupKeys,
) -> Result<Vec<(u64, Result<StoredMove, String>)>, String> {
    let pairs = etcd.range(&Range::of(KeyRange::prefix(keys.moves()))).await.map_err(text)?;
    let read = |pair: &KeyValue| {
        let id = keys.move_id(&pair.key)?;
        Some((id, StoredMove::parse(id, pair)))
    };
    Ok(pairs.iter().filter_map(read).collect())
}

/// Reads a move; nothing if etcd has none of this number.
pub(super) async fn find(
    etcd: &impl EtcdAccess,
    keys: &GroupKeys,
    id: u64,
) -> Result<Option<StoredMove>, String> {
    let pair = etcd.read(keys.move_of(id)).await.map_err(text)?;
    pair.map(|pair| StoredMove::parse(id, &pair)).transpose()
}

/// Changes the record of a move, or deletes it, if it is still the one that was read. Returns whether it was.
pub(super) async fn compare_and_swap(
    etcd: &impl EtcdAccess,
    keys: &GroupKeys,
    found: &StoredMove,
    next: Option<&MoveRecord>,
) -> Result<bool, String> {
    let key = keys.move_of(found.id);
    let operation = match next {
        Some(next) => Operation::put(key.clone(), next.print()),
        None => Operation::Delete(KeyRange::one(key.clone())),
    };
    let transaction = EtcdTransaction {
        compare: vec![Compare::Value { key: key.into(), value: found.value.clone().into() }],
        then: vec![operation],
        ..EtcdTransaction::default()
    };
    etcd.transact(&transaction).await.map_err(text)
}

/// Returns the condition that a key is as it was read: it has this value, or does not exist.
pub(super) fn unchanged(key: String, read: Option<KeyValue>) -> Compare {
    let key = key.into();
    match read {
        Some(pair) => Compare::Value { key, value: pair.value },
        None => Compare::Absent { key },
    }
}

/// Reads the published map of slots; nothing if no slot has ever moved.
pub(crate) async fn read_slots<E: EtcdAccess>(
    etcd: &E,
    keys: &GroupKeys,
) -> Result<Option<SlotMap>, E::Error> {
    let pair = etcd.read(keys.slots()).await?;
    Ok(pair.and_then(|pair| match SlotMap::parse(&pair.value) {
        Ok(map) => Some(map),
        Err(why) => {
            // The map serves for redirects. Which group owns a slot is in the groups' logs.
            tracing::warn!("{why}");
            None
        }
    }))
}

pub(super) fn text(why: impl Display) -> String {
    why.to_string()
}
