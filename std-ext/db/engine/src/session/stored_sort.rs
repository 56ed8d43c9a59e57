//! Sorting with what other keys have, and storing the result.

use super::multi_key::ApplyMany;
use super::sorted::{answer_each, sorted};
use crate::event_flags::EventFlags;
use crate::request::{
    Answer, Change, ElementListBuilder, Expiry, LONGEST_KEY, Packer, RequestError, Sort,
    StoredValue, ValueType, named,
};
use crate::state::record::Record;
use crate::state::value::{Value, string};

/// A part of a stored result ends once it has this many bytes.
const PART: usize = 64 << 10;

impl ApplyMany<'_, '_> {
    /// Sorts the elements of a key, with what other keys have, and answers or stores them.
    pub(super) fn sort(
        &mut self,
        from: &[u8],
        to: Option<&[u8]>,
        sort: Sort<'_>,
        answer: &mut dyn FnMut(Answer<'_>),
    ) {
        let source = self.find_source(from);
        let mut read = |pattern: &[u8], element: &[u8]| self.read_named(pattern, element);
        let value = source.as_ref().map(Record::value);
        let elements = value.map_or(Ok(Vec::new()), |value| sorted(value, sort, &mut read));
        let elements = match elements {
            Err(error) => return answer(Answer::Error(error)),
            Ok(elements) => elements,
        };
        let Some(to) = to else {
            let mut found = ElementListBuilder::new(sort.most);
            answer_each(&elements, sort.answered, &mut read, &mut |element| {
                found.push_or_nil(element);
                !found.is_full()
            });
            return answer(Answer::Elements(found.list(), 0));
        };
        let (mut parts, mut count, mut bytes) = (vec![Packer::new(ValueType::List)], 0, 0);
        let most = self.room.min(self.left);
        let mut read = |pattern: &[u8], element: &[u8]| self.read_named(pattern, element);
        answer_each(&elements, sort.answered, &mut read, &mut |element| {
            let element = element.unwrap_or_default();
            let part = parts.last_mut().expect("there is one part");
            if part.packed().bytes().len() + element.len() > PART && !part.packed().is_empty() {
                parts.push(Packer::new(ValueType::List).continuing());
            }
            parts.last_mut().expect("there is one part").push(element, b"");
            (count, bytes) = (count + 1, bytes + element.len() + 8);
            bytes <= most
        });
        if bytes > most {
            return answer(Answer::Error(self.state.too_long()));
        }
        (self.room, self.left) = (self.room - bytes, self.left - bytes);
        answer(self.store_sorted(to, &parts, count));
    }

    fn store_sorted(&mut self, to: &[u8], parts: &[Packer], count: usize) -> Answer<'static> {
        if count == 0 {
            self.delete(to);
            return Answer::Int(0);
        }
        if to.len() > LONGEST_KEY {
            return Answer::Error(RequestError::KeyTooLong);
        }
        self.name_next(to, EventFlags::LIST, "sortstore");
        for part in parts {
            let value = StoredValue::Packed(part.packed());
            let (expiry, usage) = (Expiry::Never, None);
            let store = Change::Restore { value, expiry, replace: true, usage };
            self.change(to, &store, &mut |_| {});
        }
        Answer::count(count)
    }

    /// Returns what the key or the field that a pattern names for an element has.
    fn read_named(&mut self, pattern: &[u8], element: &[u8]) -> Option<Vec<u8>> {
        let (key, field) = named(pattern, element)?;
        let cold = self.state.cold.as_deref();
        let record = self.find_source(&key)?;
        match (record.value(), field) {
            (Value::String(value), None) => Some(string::read(value, cold, <[u8]>::to_vec)),
            (Value::Hash(hash), Some(field)) => hash.get(field).map(<[u8]>::to_vec),
            _ => None,
        }
    }
}
