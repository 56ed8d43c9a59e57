//! How the tree of a [sorted set](super::sorted_set) has its members in the order of their scores.

use crate::request::{SCORE_BYTES, Score};
use crate::state::tree::TreeView;

/// The first byte of an entry that is in the order of scores.
pub(super) const BY_SCORE: u8 = 0x80;
/// Bytes of the key of such an entry before the member.
pub(super) const SCORED: usize = 1 + SCORE_BYTES;

/// The key and the value of an entry in the order of scores.
pub(super) type Scored<'a> = (&'a [u8], &'a [u8]);

/// Returns the beginning of the keys with a score.
#[inline]
pub(super) fn prefix(score: Score) -> [u8; SCORED] {
    let mut prefix = [BY_SCORE; SCORED];
    prefix[1..].copy_from_slice(&score.unsigned_zero().bytes());
    prefix
}

/// Returns the entries of a tree in the order of scores, from an index on.
pub(super) fn entries_from(view: TreeView<'_>, from: usize) -> impl Iterator<Item = Scored<'_>> {
    view.iter_from_nth(view.len() / 2 + from)
}

/// Returns the member of an entry.
pub(super) fn member((key, _): Scored<'_>) -> &[u8] {
    &key[SCORED..]
}

/// Returns the bytes of an entry's score.
pub(super) fn stored_score((key, value): Scored<'_>) -> &[u8] {
    if value.is_empty() { &key[1..SCORED] } else { value }
}
