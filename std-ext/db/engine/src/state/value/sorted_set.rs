//! Sorted sets. A packed one is in its order: by score, and by the member's bytes among equal scores.
//!
//! The tree of a longer one has two entries for each member:
//!
//! ```text
//! a hash of the member, 31 bits | member -> score
//! 0x80 | score | member -> nothing, or the score if that is -0
//! ```
//!
//! The first finds the score of a member, and is walked through by scans. The second are in order, behind all of the
//! first; -0 has the place of 0, to which it is equal.

use super::collection::{Collection, CollectionEdit, CollectionTree, Form, order};
use crate::request::{SCORE_BYTES, Score, ValueType};
use crate::state::tree::Key;
use std::cmp::Ordering;

/// The first byte of an entry that is in the order of scores.
const BY_SCORE: u8 = 0x80;
/// Bytes of the key of such an entry before the member.
const SCORED: usize = 1 + SCORE_BYTES;

/// A sorted set as a record stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortedSetValue<'a>(pub(super) Collection<'a>);

/// The key and the value of an entry in the order of scores.
type Scored<'a> = (&'a [u8], &'a [u8]);

/// Returns the key of a member by itself.
#[inline]
fn member_key(member: &[u8]) -> Key<'_> {
    Key::new(&(order(member) >> 1).to_be_bytes(), member)
}

/// Returns the beginning of the keys with a score.
#[inline]
fn prefix(score: Score) -> [u8; SCORED] {
    let mut prefix = [BY_SCORE; SCORED];
    prefix[1..].copy_from_slice(&score.unsigned_zero().bytes());
    prefix
}

/// Returns the entries of a tree in the order of scores.
pub(super) fn entries(tree: CollectionTree<'_>) -> impl Iterator<Item = Scored<'_>> {
    let view = tree.view();
    view.iter_from_nth(view.len() / 2)
}

/// Returns the member of an entry.
pub(super) fn member((key, _): Scored<'_>) -> &[u8] {
    &key[SCORED..]
}

/// Returns the bytes of an entry's score.
pub(super) fn stored_score<'a>((key, value): Scored<'a>) -> &'a [u8] {
    if value.is_empty() { &key[1..SCORED] } else { value }
}

/// Returns the score that these bytes store. They were checked when they were stored.
fn parse(bytes: &[u8]) -> Score {
    Score::parse(bytes).expect("scores have been checked")
}

impl<'a> SortedSetValue<'a> {
    /// Returns the number of members.
    #[inline]
    pub fn len(self) -> usize {
        self.0.len(ValueType::SortedSet)
    }

    /// Returns the score of a member.
    pub fn score(self, wanted: &[u8]) -> Option<Score> {
        match self.0 {
            Collection::Packed(set) => set.get(wanted),
            Collection::Tree(set) => set.view().get(member_key(wanted)),
        }
        .map(parse)
    }

    /// Returns the member at an index in the order of scores, and its score.
    pub(crate) fn nth(self, index: usize) -> Option<(&'a [u8], Score)> {
        match self.0 {
            Collection::Packed(set) => {
                set.iter().nth(index).map(|(member, score)| (member, parse(score)))
            }
            Collection::Tree(set) => {
                let entry = set.view().nth(self.len() + index)?;
                Some((member(entry), parse(stored_score(entry))))
            }
        }
    }

    /// Returns how many members are before a place: those with a lesser score, or with the same score and a lesser
    /// member. O(log n).
    pub(crate) fn rank(self, score: Score, wanted: &[u8]) -> usize {
        match self.0 {
            Collection::Packed(set) => set
                .iter()
                .take_while(|(member, stored)| {
                    parse(stored).cmp(&score).then_with(|| (*member).cmp(wanted)) == Ordering::Less
                })
                .count(),
            Collection::Tree(set) => {
                let rank = set.view().rank(Key::new(&prefix(score), wanted));
                rank.unwrap_or_else(|rank| rank) - self.len()
            }
        }
    }

    /// Calls `each` with all members and their scores, in order, until it returns false.
    pub(crate) fn visit(self, each: &mut dyn FnMut(&'a [u8], Score) -> bool) {
        self.0.visit(ValueType::SortedSet, &mut |member, score| each(member, parse(score)));
    }
}

impl CollectionEdit<'_> {
    /// Stores a member with its score. Returns whether it was missing.
    pub(crate) fn set_score(&mut self, member: &[u8], score: Score) -> bool {
        self.store_score(member, &score.bytes())
    }

    /// As `set_score`, with a score as it is stored.
    pub(super) fn store_score(&mut self, member: &[u8], stored: &[u8]) -> bool {
        let is_new = match &mut self.form {
            Form::Packed(packer) => {
                let is_new = !packer.remove(member);
                let score = parse(stored);
                let at = packer.packed().iter().take_while(|(other, there)| {
                    parse(there).cmp(&score).then_with(|| (*other).cmp(member)) == Ordering::Less
                });
                let at = at.count();
                packer.splice(at, 0, std::iter::once((member, stored)));
                is_new
            }
            Form::Tree(_) => self.put_scored(member, stored),
        };
        self.note_stored(member, stored);
        is_new
    }

    fn put_scored(&mut self, member: &[u8], stored: &[u8]) -> bool {
        let is_new = !self.remove_scored(member);
        self.in_tree(|tree, edit| {
            let score = parse(stored);
            let place = prefix(score);
            let exact: &[u8] = if place[1..] == *stored { b"" } else { stored };
            // SAFETY: by the contract of `CollectionEdit::new`. With 2^32 entries nothing more is stored.
            unsafe {
                if tree.insert(edit, member_key(member), stored).is_ok()
                    && tree.insert(edit, Key::new(&place, member), exact).is_err()
                {
                    tree.remove(edit, member_key(member));
                }
            }
        });
        is_new
    }

    /// Removes a member. Returns whether it was there.
    pub(super) fn remove_scored(&mut self, member: &[u8]) -> bool {
        if let Form::Packed(packer) = &mut self.form {
            return packer.remove(member);
        }
        let removed = self.in_tree(|tree, edit| {
            // SAFETY: by the contract of `CollectionEdit::new`; the score is copied before the tree changes.
            unsafe {
                let Some(score) = tree.view().get(member_key(member)).map(parse) else {
                    return false;
                };
                tree.remove(edit, Key::new(&prefix(score), member));
                tree.remove(edit, member_key(member))
            }
        });
        removed == Some(true)
    }
}
