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

use super::choose::Entries;
use super::collection::{Collection, CollectionEdit, Form, order, scan_entries};
use super::scored_entry::{member, prefix, stored_score};
use crate::request::{Score, ValueType};
use crate::state::tree::Key;
use std::cmp::Ordering;

/// A sorted set as a record stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortedSetValue<'a>(pub(super) Collection<'a>);

/// Returns the key of a member by itself.
#[inline]
fn member_key(member: &[u8]) -> Key<'_> {
    Key::new(&(order(member) >> 1).to_be_bytes(), member)
}

/// Returns the score that these bytes store. They were checked when they were stored.
pub(super) fn parse(bytes: &[u8]) -> Score {
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

    /// Returns the index of a member, and its score. O(log n).
    pub(crate) fn index_of(self, wanted: &[u8]) -> Option<(usize, Score)> {
        let score = self.score(wanted)?;
        Some((self.rank(score, wanted), score))
    }

    /// Returns whether Redis would store it as a skip list.
    pub(crate) fn is_table(self) -> bool {
        self.0.is_table()
    }

    /// Calls `each` with all members and their scores, in order, until it returns false.
    pub(crate) fn visit(self, each: &mut dyn FnMut(&'a [u8], Score) -> bool) {
        self.0.visit(ValueType::SortedSet, &mut |member, score| each(member, parse(score)));
    }

    /// Visits some `count` members from a cursor on. Returns the next cursor, 0 at the end. A member that stays is
    /// visited exactly once.
    pub(crate) fn scan(
        self,
        cursor: u64,
        count: usize,
        each: &mut dyn FnMut(&'a [u8], Score),
    ) -> u64 {
        let tree = match self.0 {
            Collection::Packed(set) => {
                set.iter().for_each(|(member, score)| each(member, parse(score)));
                return 0;
            }
            Collection::Tree(tree) => tree,
        };
        let Ok(from) = u32::try_from(cursor) else { return 0 };
        let view = tree.view();
        let begin = view.rank(Key::new(&from.to_be_bytes(), b"")).unwrap_or_else(|rank| rank);
        // Not the entries in the order of scores, which are the second half.
        let entries = view.iter_range(begin, self.len());
        scan_entries(entries, (from, count), &mut |member, score| each(member, parse(score)))
    }
}

impl<'a> Entries for SortedSetValue<'a> {
    type Entry = (&'a [u8], Score);

    fn number(self) -> usize {
        self.len()
    }

    fn at(self, index: usize) -> Option<Self::Entry> {
        self.nth(index)
    }

    /// From the highest score on, as Redis visits them to choose.
    fn each(self, each: &mut dyn FnMut(Self::Entry) -> bool) {
        self.visit_range(0..self.len(), true, &mut |member, score| each((member, score)));
    }
}

/// What storing a score has done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScoreUpdate {
    /// Whether the member was missing.
    pub(crate) is_new: bool,
    /// Whether anything was changed.
    pub(crate) is_changed: bool,
    /// The score that is stored.
    pub(crate) score: Score,
}

impl CollectionEdit<'_> {
    /// Returns the score of a member.
    pub(crate) fn score(&mut self, wanted: &[u8]) -> Option<Score> {
        if let Form::Packed(packer) = &self.form {
            return packer.packed().get(wanted).map(parse);
        }
        // SAFETY: the version is neither changed nor freed before the score is copied.
        let found =
            self.in_tree(|tree, _| unsafe { tree.view() }.get(member_key(wanted)).map(parse));
        found.flatten()
    }

    /// Stores a member with its score. Does nothing if it has an equal one. As in Redis, the smaller form has no -0.
    pub(crate) fn set_score(&mut self, member: &[u8], score: Score) -> ScoreUpdate {
        let before = self.score(member);
        let is_new = before.is_none();
        if before == Some(score) {
            return ScoreUpdate { is_new, is_changed: false, score };
        }
        let is_table = self.will_be_table(member, is_new);
        let score = if is_table { score } else { score.unsigned_zero() };
        self.put_score(member, before, &score.bytes());
        ScoreUpdate { is_new, is_changed: true, score }
    }

    /// As `set_score`, with a score as it is stored.
    pub(super) fn store_score(&mut self, member: &[u8], stored: &[u8]) {
        let before = self.score(member);
        if before != Some(parse(stored)) {
            self.put_score(member, before, stored);
        }
    }

    /// Stores a member with another score than it has.
    fn put_score(&mut self, member: &[u8], before: Option<Score>, stored: &[u8]) {
        match &mut self.form {
            Form::Packed(packer) => {
                packer.remove(member);
                let score = parse(stored);
                let at = packer.packed().iter().take_while(|(other, there)| {
                    parse(there).cmp(&score).then_with(|| (*other).cmp(member)) == Ordering::Less
                });
                let at = at.count();
                packer.splice(at, 0, std::iter::once((member, stored)));
            }
            Form::Tree(_) => self.put_scored(member, before, stored),
        }
        self.note_stored(member, stored);
    }

    fn put_scored(&mut self, member: &[u8], before: Option<Score>, stored: &[u8]) {
        self.in_tree(|tree, edit| {
            let place = prefix(parse(stored));
            let exact: &[u8] = if place[1..] == *stored { b"" } else { stored };
            // SAFETY: by the contract of `CollectionEdit::new`. With 2^32 entries nothing more is stored.
            unsafe {
                if tree.insert(edit, member_key(member), stored).is_err() {
                    return;
                }
                // Before the new entry is inserted, so that there is room for it.
                if let Some(before) = before {
                    tree.remove(edit, Key::new(&prefix(before), member));
                }
                if tree.insert(edit, Key::new(&place, member), exact).is_err() {
                    tree.remove(edit, member_key(member));
                }
            }
        });
    }

    /// Removes a member. Returns whether it was there.
    pub(super) fn remove_scored(&mut self, member: &[u8]) -> bool {
        if let Form::Packed(packer) = &mut self.form {
            return packer.remove(member);
        }
        let Some(score) = self.score(member) else { return false };
        // SAFETY: by the contract of `CollectionEdit::new`.
        let removed = self.in_tree(|tree, edit| unsafe {
            tree.remove(edit, Key::new(&prefix(score), member));
            tree.remove(edit, member_key(member))
        });
        removed == Some(true)
    }

    /// Removes the members from an index on, which are these. The names are not the tree's.
    pub(crate) fn remove_scored_range(&mut self, from: usize, members: &[&[u8]]) {
        if let Form::Packed(packer) = &mut self.form {
            return packer.splice(from, members.len(), std::iter::empty());
        }
        self.in_tree(|tree, edit| {
            let len = tree.entries() as usize / 2;
            // In the order of the tree, so that neighbours are found in the cache.
            let mut keys: Vec<(u32, &[u8])> =
                members.iter().map(|member| (order(member), *member)).collect();
            keys.sort_unstable();
            // SAFETY: by the contract of `CollectionEdit::new`.
            unsafe {
                tree.remove_range(edit, len + from, members.len());
                for (_, member) in keys {
                    tree.remove(edit, member_key(member));
                }
            }
        });
    }
}

#[cfg(test)]
mod tests;
