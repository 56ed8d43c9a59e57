//! Delivering the entries of several streams to a consumer.

use super::multi_key::ApplyMany;
use crate::request::{
    Answer, Change, ElementListBuilder, GroupAction, GroupChange, ReadFrom, RequestError,
    StreamChange,
};
use crate::state::value::Value;

impl ApplyMany<'_, '_> {
    /// Answers with the answers of these changes that have any entries, each stored as one element. All keys are
    /// checked first: if one has no stream, or not the group, nothing is delivered.
    pub(super) fn deliver_streams(
        &mut self,
        changes: &[GroupChange<'_>],
        most: usize,
        answer: &mut dyn FnMut(Answer<'_>),
    ) {
        let mut all = ElementListBuilder::new(most);
        let mut stored = Vec::new();
        let mut add = |made: Answer<'_>| {
            if let Answer::Elements(list, next) = made {
                stored.clear();
                list.store(next, &mut stored);
                all.push(&stored);
            }
        };
        for change in changes {
            match self.has_group(change) {
                Err(error) => return answer(Answer::Error(error)),
                Ok(true) => {}
                Ok(false) => {
                    // It changes nothing, and answers why.
                    self.change(change.name, &of_stream(change), &mut add);
                    return answer(Answer::Elements(all.list(), 0));
                }
            }
        }
        for change in changes {
            self.change(change.name, &of_stream(change), &mut add);
        }
        answer(Answer::Elements(all.list(), 0));
    }

    /// Returns whether the stream has the group, and the ID is one.
    fn has_group(&mut self, change: &GroupChange<'_>) -> Result<bool, RequestError> {
        if matches!(change.action, GroupAction::Read { from: ReadFrom::Refused(_), .. }) {
            return Ok(false);
        }
        let Some(record) = self.find_alive(change.name) else { return Ok(false) };
        match record.value() {
            Value::Stream(stream) => Ok(stream.group(change.group).is_some()),
            _ => Err(RequestError::WrongType),
        }
    }
}

fn of_stream<'a>(change: &'a GroupChange<'a>) -> Change<'a> {
    Change::Stream(StreamChange::Group(change))
}
