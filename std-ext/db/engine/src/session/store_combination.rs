//! Combinations of sets and sorted sets under the locks of their shards, and storing them.

use super::combination::{Inputs, answer_combination};
use super::multi_key::ApplyMany;
use crate::encodings::EncodingLimit;
use crate::event_flags::EventFlags;
use crate::request::{
    Answer, Change, Combination, CombinationQuery, Expiry, LONGEST_KEY, Packer, RequestError,
    Score, SetOperation, StoredValue, ValueType,
};
use crate::state::encoding_limits::SharedEncodingLimits;
use crate::state::record::Record;

/// A part of a result ends once it has this many bytes.
const PART: usize = 64 << 10;
/// What the log has of a part besides the key and the entries, and of an entry besides the member.
const PART_HEAD: usize = 32;
const ENTRY_HEAD: usize = 16;

impl ApplyMany<'_, '_> {
    /// Answers a question about a combination. Returns how many of its keys exist, and how many do not.
    pub(super) fn ask_combination(
        &mut self,
        combination: Combination<'_>,
        query: CombinationQuery,
        answer: impl FnOnce(Answer<'_>),
    ) -> (u64, u64) {
        let records = self.find_sources(combination.keys);
        let most_integers = self.state.encodings.get(EncodingLimit::SetIntegers);
        answer_combination(&records, (combination, query), most_integers, answer);
        let hits = records.iter().flatten().count();
        (hits as u64, (records.len() - hits) as u64)
    }

    fn find_sources(&mut self, keys: &[&[u8]]) -> Vec<Option<Record>> {
        keys.iter().map(|key| self.find_source(key)).collect()
    }

    /// Stores a combination in place of what a key has. The log gets the members: replay of the operation would need
    /// the other keys as they were.
    pub(super) fn store_combination(
        &mut self,
        to: &[u8],
        combination: Combination<'_>,
    ) -> Answer<'static> {
        let records = self.find_sources(combination.keys);
        let inputs = match Inputs::new(&records, combination) {
            Ok(inputs) => inputs,
            Err(error) => return Answer::Error(error),
        };
        // Copied before the key changes: it may be one of the sources.
        let most = self.left.min(self.room);
        let mut result = StoredResult::new(combination.value_type(), to.len(), most);
        inputs.visit(most, &mut |member, score| result.push(member, score));
        if result.bytes > most {
            return Answer::Error(self.state.too_long());
        }
        if result.len == 0 {
            self.delete(to);
            return Answer::Int(0);
        }
        if to.len() > LONGEST_KEY {
            return Answer::Error(RequestError::KeyTooLong);
        }
        (self.left, self.room) = (self.left - result.bytes, self.room - result.bytes);
        let (kind, name) = event(combination);
        self.name_next(to, kind, name);
        for part in result.parts(&self.state.encodings) {
            let value = StoredValue::Packed(part.packed());
            let expiry = Expiry::Never;
            let change = Change::Restore { value, expiry, replace: true, usage: None };
            self.change(to, &change, &mut |_| {});
        }
        Answer::count(result.len)
    }
}

/// A result, packed into parts.
struct StoredResult {
    value_type: ValueType,
    parts: Vec<Packer>,
    len: usize,
    /// What the log needs for it.
    bytes: usize,
    key: usize,
    most: usize,
}

impl StoredResult {
    fn new(value_type: ValueType, key: usize, most: usize) -> Self {
        Self { value_type, parts: Vec::new(), len: 0, bytes: 0, key, most }
    }

    /// Adds a member. Returns whether there may be room for another.
    fn push(&mut self, member: &[u8], score: Score) -> bool {
        let is_full = |part: &Packer| {
            let bytes = part.packed().bytes().len();
            bytes + member.len() > PART
        };
        if self.parts.last().is_none_or(is_full) {
            let part = Packer::new(self.value_type);
            self.parts.push(if self.parts.is_empty() { part } else { part.continuing() });
            self.bytes = self.bytes.saturating_add(self.key + PART_HEAD);
        }
        self.bytes = self.bytes.saturating_add(member.len() + ENTRY_HEAD);
        if self.bytes <= self.most
            && let Some(part) = self.parts.last_mut()
        {
            part.push(member, &score.bytes());
            self.len += 1;
        }
        self.bytes <= self.most
    }

    fn parts(&mut self, limits: &SharedEncodingLimits) -> &[Packer] {
        match &mut self.parts[..] {
            // As in Redis, the smaller form of a sorted set has no -0.
            [only]
                if self.value_type == ValueType::SortedSet
                    && !limits.is_packed_table(only.packed()) =>
            {
                let mut without = Packer::new(self.value_type);
                for (member, stored) in only.packed().iter() {
                    let score = Score::parse(stored).expect("scores that were pushed");
                    without.push(member, &score.unsigned_zero().bytes());
                }
                *only = without;
            }
            // Stored as a tree from the beginning: a packed value is searched for each member that is added.
            [first, _, ..] => first.set_form(true, false),
            _ => {}
        }
        &self.parts
    }
}

/// Returns the event about the key of a result.
fn event(combination: Combination<'_>) -> (EventFlags, &'static str) {
    match (combination.value_type(), combination.operation) {
        (ValueType::Set, SetOperation::Union) => (EventFlags::SET, "sunionstore"),
        (ValueType::Set, SetOperation::Intersection) => (EventFlags::SET, "sinterstore"),
        (ValueType::Set, SetOperation::Difference) => (EventFlags::SET, "sdiffstore"),
        (_, SetOperation::Union) => (EventFlags::SORTED_SET, "zunionstore"),
        (_, SetOperation::Intersection) => (EventFlags::SORTED_SET, "zinterstore"),
        (_, SetOperation::Difference) => (EventFlags::SORTED_SET, "zdiffstore"),
    }
}
