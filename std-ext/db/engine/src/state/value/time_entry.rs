//! The entries of a tree that say when fields of a hash expire: see [`field_times`](super::field_times).

use crate::state::tree::{Key, TreeView};

/// The beginning of the keys of all these entries. No field has this order.
pub(super) const TIMES: [u8; 4] = [0xFF; 4];
/// The beginning of the keys that are in the order of times, and of those that are in that of fields.
pub(super) const QUEUE: [u8; 5] = [0xFF, 0xFF, 0xFF, 0xFF, 0];
pub(super) const BY_FIELD: [u8; 5] = [0xFF, 0xFF, 0xFF, 0xFF, 1];

/// Returns the number of fields in a tree.
pub(super) fn fields(view: TreeView<'_>) -> usize {
    view.rank(Key::new(&TIMES, b"")).unwrap_or_else(|rank| rank)
}

/// Returns when a field of a tree expires; 0 if it does not.
pub(super) fn time_in(view: TreeView<'_>, field: &[u8]) -> u64 {
    let time = view.get(Key::new(&BY_FIELD, field)).and_then(|time| time.try_into().ok());
    time.map_or(0, u64::from_le_bytes)
}

/// Returns the fields that expire, with their times, in the order of these.
pub(super) fn queue(view: TreeView<'_>) -> impl Iterator<Item = (u64, &[u8])> {
    let entries = view.iter_from(Key::new(&QUEUE, b""));
    entries.map_while(|(key, _)| {
        let (time, field) = key.strip_prefix(&QUEUE)?.split_first_chunk()?;
        Some((u64::from_be_bytes(*time), field))
    })
}

pub(super) fn in_queue(time: u64, field: &[u8]) -> Vec<u8> {
    [&time.to_be_bytes()[..], field].concat()
}
