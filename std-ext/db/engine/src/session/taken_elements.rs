//! Operations that take elements from lists: from one list to another, and from the first of several.

use super::multi_key::ApplyMany;
use crate::request::{
    Answer, Change, End, LONGEST_KEY, ListChange, Popped, RequestError, ValueType,
};
use crate::state::record::Record;
use crate::state::value::Value;
use crate::state::waiters::serve::behind_key;

impl ApplyMany<'_, '_> {
    /// Takes the element at an end of a list, and adds it at an end of another one, or of the same.
    pub(super) fn move_element(
        &mut self,
        (from, take): (&[u8], End),
        (to, put): (&[u8], End),
        answer: &mut dyn FnMut(Answer<'_>),
    ) {
        // No miss is reported, as in Redis, which looks up the key to write it.
        let Some(source) = self.find_alive(from) else { return answer(Answer::Nil) };
        let element = match source.value() {
            Value::List(list) => list.nth(if take == End::Front { 0 } else { list.len() - 1 }),
            _ => return answer(Answer::Error(RequestError::WrongType)),
        };
        let Some(element) = element.map(<[u8]>::to_vec) else { return answer(Answer::Nil) };
        if let Err(error) = self.check_destination(to).and_then(|()| self.take_room(element.len()))
        {
            return answer(Answer::Error(error));
        }
        // In Redis's order. So the list of a single element stays, with its expiration, if it is both.
        let push = ListChange::Push { end: put, elements: &[&element], if_present: false };
        self.change(to, &Change::List(push), &mut |_| {});
        let pop = ListChange::Pop { end: take, count: None, most: usize::MAX };
        self.change(from, &Change::List(pop), &mut |_| {});
        answer(Answer::Bytes(&element));
    }

    fn check_destination(&mut self, to: &[u8]) -> Result<(), RequestError> {
        if to.len() > LONGEST_KEY {
            return Err(RequestError::KeyTooLong);
        }
        let is_list = |record: Record| record.value().value_type() == ValueType::List;
        self.find_alive(to).is_none_or(is_list).then_some(()).ok_or(RequestError::WrongType)
    }

    /// Takes elements from the first of these keys that has any.
    pub(super) fn pop_first(
        &mut self,
        keys: &[&[u8]],
        (popped, count, most): (Popped, usize, usize),
        answer: &mut dyn FnMut(Answer<'_>),
    ) {
        for key in keys {
            let Some(record) = self.find_alive(key) else { continue };
            if record.value().value_type() != popped.value_type() {
                return answer(Answer::Error(RequestError::WrongType));
            }
            let change = popped.change(count, most);
            return self.change(key, &change, &mut |popped| behind_key(key, popped, answer));
        }
        answer(Answer::Nil);
    }
}
