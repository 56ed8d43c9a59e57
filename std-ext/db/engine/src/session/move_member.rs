//! Moving a member from one set to another.

use super::multi_key::ApplyMany;
use crate::request::{Answer, Change, LONGEST_KEY, RequestError, SetChange};
use crate::state::record::Record;
use crate::state::rope::MAX_INLINE;
use crate::state::value::Value;

impl ApplyMany<'_, '_> {
    /// Moves a member. As `smoveCommand`: the other key may have any type if the first one is missing.
    pub(super) fn move_member(
        &mut self,
        (from, to): (&[u8], &[u8]),
        member: &[u8],
    ) -> Answer<'static> {
        let (Some(source), there) = (self.find_alive(from), self.find_alive(to)) else {
            return Answer::Int(0);
        };
        let mut copied = 0_usize;
        for record in [Some(source), there].iter().flatten() {
            let Value::Set(_) = record.value() else {
                return Answer::Error(RequestError::WrongType);
            };
            copied += record.value().stored_bytes().min(MAX_INLINE);
        }
        if !has_member(source, member) {
            return Answer::Int(0);
        }
        if from == to {
            return Answer::Int(1);
        }
        if to.len() > LONGEST_KEY {
            return Answer::Error(RequestError::KeyTooLong);
        }
        // Before the first change: if the second were refused, the member would be lost.
        if let Err(error) = self.take_room(copied) {
            return Answer::Error(error);
        }
        self.change(from, &Change::Members(SetChange::Remove(&[member])), &mut |_| {});
        self.change(to, &Change::Members(SetChange::Add(&[member])), &mut |_| {});
        Answer::Int(1)
    }
}

fn has_member(record: Record, member: &[u8]) -> bool {
    matches!(record.value(), Value::Set(set) if set.contains(member))
}
