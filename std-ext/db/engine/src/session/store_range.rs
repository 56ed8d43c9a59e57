//! Storing members of a sorted set, or places that a search finds, in another key.

use super::multi_key::ApplyMany;
use super::read_geo::find;
use crate::event_flags::EventFlags;
use crate::request::{
    Answer, Change, Expiry, FoundPlace, GeoSearch, LONGEST_KEY, Packer, RequestError, Score,
    SortedSetSelection, StoredValue, ValueType,
};
use crate::state::encoding_limits::SharedEncodingLimits;
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
        let mut members = SortedSetPacker::new(&self.state.encodings);
        set.visit_range(range, false, &mut |member, score| {
            members.push(member, score);
            true
        });
        self.store_members(to, &members, "zrangestore")
    }

    /// Stores the places that a search finds. Their scores are distances, or what they were.
    pub(super) fn store_search(
        &mut self,
        (from, search): (&[u8], &GeoSearch<'_>),
        to: &[u8],
        (distances, event): (bool, &'static str),
    ) -> Answer<'static> {
        let Some(record) = self.find_source(from) else { return self.store_none(to) };
        let Value::SortedSet(set) = record.value() else {
            return Answer::Error(RequestError::WrongType);
        };
        let found = match find(set, search) {
            Ok(found) => found,
            Err(error) => return Answer::Error(error),
        };
        let score = |found: FoundPlace| {
            if distances { found.distance / search.shape.unit.metres() } else { found.score }
        };
        let mut scored: Vec<(Score, &[u8])> = found
            .into_iter()
            .filter_map(|(member, found)| Some((Score::new(score(found))?, member)))
            .collect();
        scored.sort_unstable();
        let mut members = SortedSetPacker::new(&self.state.encodings);
        for (score, member) in scored {
            members.push(member, score);
        }
        self.store_members(to, &members, event)
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
        members: &SortedSetPacker<'_>,
        event: &'static str,
    ) -> Answer<'static> {
        let packed = members.packer.packed();
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

/// Packs a sorted set as if its members had been added one after the other, as Redis does.
pub(super) struct SortedSetPacker<'l> {
    packer: Packer,
    limits: &'l SharedEncodingLimits,
    /// Whether Redis would store it in its larger form. Its smaller one has no -0.
    is_table: bool,
}

impl<'l> SortedSetPacker<'l> {
    pub(super) fn new(limits: &'l SharedEncodingLimits) -> Self {
        Self { packer: Packer::new(ValueType::SortedSet), limits, is_table: false }
    }

    /// Adds a member, which comes after the others.
    pub(super) fn push(&mut self, member: &[u8], score: Score) {
        let entries = self.packer.packed().len() + 1;
        self.is_table |= self.limits.is_table(ValueType::SortedSet, entries, (member, b""));
        let score = if self.is_table { score } else { score.unsigned_zero() };
        self.packer.push(member, &score.bytes());
    }
}
