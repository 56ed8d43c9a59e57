//! Reading the entries of several streams, as oneself or as a consumer of a group.

use super::multi_key::ApplyMany;
use super::read_stream::answer_stream;
use crate::request::{
    Answer, Change, ElementListBuilder, GroupAction, GroupChange, ReadFrom, RequestError,
    StreamChange, StreamId, StreamQuery,
};
use crate::state::record::Record;
use crate::state::value::Value;

impl ApplyMany<'_, '_> {
    /// Answers with the entries of each stream behind an ID, or with the first error.
    pub(super) fn read_streams(
        &mut self,
        (keys, from): (&[&[u8]], &[ReadFrom]),
        (count, most): (Option<u64>, usize),
        answer: &mut dyn FnMut(Answer<'_>),
    ) {
        let mut all = StreamAnswers::new(most);
        for (name, from) in keys.iter().zip(from) {
            let record = self.find_source(name);
            let stream = match record.as_ref().map(Record::value) {
                None => None,
                Some(Value::Stream(stream)) => Some(stream),
                Some(_) => return answer(Answer::Error(RequestError::WrongType)),
            };
            let query = StreamQuery::After { name, from: *from, count, most };
            answer_stream(stream, query, |made| all.add(made));
        }
        all.answer(answer);
    }

    /// Answers with the answers of these changes that have any entries, each stored as one element. All keys are
    /// checked first: if one has no stream, or not the group, nothing is delivered.
    pub(super) fn deliver_streams(
        &mut self,
        changes: &[GroupChange<'_>],
        most: usize,
        answer: &mut dyn FnMut(Answer<'_>),
    ) {
        let mut all = StreamAnswers::new(most);
        for change in changes {
            match self.has_group(change) {
                Err(error) => return answer(Answer::Error(error)),
                Ok(true) => {}
                Ok(false) => {
                    // It changes nothing, and answers why.
                    self.change(change.name, &of_stream(change), &mut |made| all.add(made));
                    return all.answer(answer);
                }
            }
        }
        for change in changes {
            self.change(change.name, &of_stream(change), &mut |made| all.add(made));
        }
        all.answer(answer);
    }

    /// Returns the last ID of the stream of a key, if it has one.
    pub(super) fn last_id(&mut self, key: &[u8]) -> StreamId {
        let record = self.find_alive(key);
        match record.as_ref().map(Record::value) {
            Some(Value::Stream(stream)) => stream.meta().last,
            _ => StreamId::MIN,
        }
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

/// The answers about several streams, each stored as one element.
struct StreamAnswers {
    all: ElementListBuilder,
    stored: Vec<u8>,
}

impl StreamAnswers {
    fn new(most: usize) -> Self {
        Self { all: ElementListBuilder::new(most), stored: Vec::new() }
    }

    fn add(&mut self, made: Answer<'_>) {
        if let Answer::Elements(list, next) = made {
            self.stored.clear();
            list.store(next, &mut self.stored);
            self.all.push(&self.stored);
        }
    }

    fn answer(&self, answer: &mut dyn FnMut(Answer<'_>)) {
        let is_nothing = self.all.list().is_empty() && !self.all.is_full();
        answer(if is_nothing { Answer::Nil } else { Answer::Elements(self.all.list(), 0) });
    }
}
