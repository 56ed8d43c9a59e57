//! Storing members of a sorted set in another key.

use super::multi_key::ApplyMany;
use crate::event_flags::EventFlags;
use crate::request::{
    Answer, Change, Expiry, LONGEST_KEY, Packer, RequestError, Score, SortedSetSelection,
    StoredValue, ValueType,
};
use crate::state::value::Value;

impl ApplyMany<'_, '_> {
    /// Stores the selected members of a sorted set in another key, or in the same.
    pub(super) fn store_range(
        &mut self,
        (from, selection): (&[u8], &SortedSetSelection<'_>),
        to: &[u8],
    ) -> Answer<'static> {
        let Some(record) = self.find_source(from) else { return self.store_none(to) };
        let Value::SortedSet(set) = record.value() else {
            return Answer::Error(RequestError::WrongType);
        };
        let range = set.selected(selection);
        let mut members = SortedSetPacker::new();
        set.visit_range(range, false, &mut |member, score| {
            members.push(member, score);
            true
        });
        self.store_members(to, members, "zrangestore")
    }

    /// Removes the key of a result that is empty.
    pub(super) fn store_none(&mut self, to: &[u8]) -> Answer<'static> {
        self.delete(to);
        Answer::Int(0)
    }

    /// Stores a result, without an expiration, and reports it by this name.
    pub(super) fn store_members(
        &mut self,
        to: &[u8],
        members: SortedSetPacker,
        event: &'static str,
    ) -> Answer<'static> {
        let packed = members.0.packed();
        if packed.is_empty() {
            return self.store_none(to);
        }
        if to.len() > LONGEST_KEY {
            return Answer::Error(RequestError::KeyTooLong);
        }
        let bytes = packed.bytes().len();
        let Some(left) = self.left.checked_sub(bytes) else {
            return Answer::Error(self.state.too_long());
        };
        if let Err(error) = self.take_room(bytes) {
            return Answer::Error(error);
        }
        self.left = left;
        self.name_next(to, EventFlags::SORTED_SET, event);
        let value = StoredValue::Packed(packed);
        let change = Change::Restore { value, expiry: Expiry::Never, replace: true, usage: None };
        self.change(to, &change, &mut |_| {});
        Answer::count(packed.len())
    }
}

/// Packs a sorted set that is stored as if its members had been added one after the other.
pub(super) struct SortedSetPacker(Packer);

impl SortedSetPacker {
    pub(super) fn new() -> Self {
        Self(Packer::new(ValueType::SortedSet))
    }

    /// Adds a member, which comes after the others.
    pub(super) fn push(&mut self, member: &[u8], score: Score) {
        self.0.push(member, &score.bytes());
    }
}
