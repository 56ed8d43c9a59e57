//! Removing fields of hashes whose time has passed. The primary does that, and logs the fields; until then, readers and
//! followers treat them as missing by the clock.

use crate::event_flags::EventFlags;
use crate::log::change;
use crate::request::ValueType;
use crate::slots::slot;
use crate::state::State;
use crate::state::record::Record;
use crate::state::shard::Core;
use crate::state::value::Value;

/// The most hashes, and the most fields of each, that are changed together under the lock of a shard.
const MOST_HASHES: usize = 16;
const MOST_FIELDS: usize = 64;
/// The most hashes that are looked at, some of which may be those of slots that are being moved.
const MOST_LOOKED_AT: usize = 256;

/// Removes some fields of a locked shard. Returns whether there may be more.
pub(super) fn expire_fields(state: &State, number: usize, core: &mut Core) -> bool {
    if core.field_times.is_empty() || state.role.get().follows() || state.check_writable().is_err()
    {
        return false;
    }
    let time = core.advance_time(state.clock.now());
    let due = core.field_times.iter().take_while(|(first, _)| *first <= time);
    // The keys of slots that are being moved are another group's.
    let due = due.take(MOST_LOOKED_AT).filter(|(_, key)| state.ownership.has(|| slot(key)));
    let keys: Vec<Box<[u8]>> = due.take(MOST_HASHES).map(|(_, key)| key.clone()).collect();
    if keys.is_empty() {
        return false;
    }
    let mut log = Vec::new();
    state.begin_entry(number, &mut log);
    let begin = log.len();
    for key in &keys {
        let Some(record) = core.find(key) else { continue };
        if record.is_expired(time) {
            // As the active expire cycle: needs no log entry.
            core.events.note(EventFlags::EXPIRED, "expired", key);
            core.remove(record);
            continue;
        }
        remove_expired(core, record, time, &mut log);
    }
    let changes = if log.len() == begin { &[][..] } else { &log[..] };
    let shard = &state.shards[number];
    state.log_and_publish(shard, core, time, changes);
    state.shrink(shard, core);
    true
}

/// Removes some fields of a hash, and the key with the last of them.
fn remove_expired(core: &mut Core, record: Record, time: u64, log: &mut Vec<u8>) {
    let Value::Hash(hash) = record.value() else { return };
    // Copied: the change may free what the record has.
    let fields: Vec<Vec<u8>> =
        hash.expired(time, MOST_FIELDS).into_iter().map(<[u8]>::to_vec).collect();
    let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
    let key = record.key().to_vec();
    let before = (Some(record), Some(record));
    core.edit_collection(ValueType::Hash, before, &key, record.expires_at(), |edit| {
        for field in &fields {
            edit.remove(field);
        }
    });
    change::remove_names(&key, ValueType::Hash, &fields, log);
    core.events.note(EventFlags::HASH, "hexpired", &key);
    if core.find(&key).is_none() {
        core.events.note(EventFlags::GENERIC, "del", &key);
    }
}
