//! Sorting the elements of a list, a set or a sorted set.

use super::multi_key::ApplyMany;
use crate::event_flags::EventFlags;
use crate::request::{
    Answer, Change, ElementListBuilder, Expiry, LONGEST_KEY, Packer, RequestError, Sort, SortBy,
    StoredValue, ValueType, named,
};
use crate::score;
use crate::state::record::Record;
use crate::state::value::{Value, string};
use std::cmp::Ordering;

/// A part of a stored result ends once it has this many bytes.
const PART: usize = 64 << 10;

/// Returns what the key or the field that a pattern names for an element has.
type ReadNamed<'r> = &'r mut dyn FnMut(&[u8], &[u8]) -> Option<Vec<u8>>;

/// What an element is sorted by. Missing bytes come first.
enum SortKey {
    Number(f64),
    Bytes(Option<Vec<u8>>),
}

/// Returns the elements that an answer is about, in order. `read` returns what a key or a field of it has.
fn sorted<'v>(
    value: Value<'v>,
    sort: Sort<'_>,
    is_stored: bool,
    read: ReadNamed<'_>,
) -> Result<Vec<&'v [u8]>, RequestError> {
    let mut elements = Vec::new();
    match value {
        Value::List(list) => list.visit_from(0, &mut |element| {
            elements.push(element);
            true
        }),
        Value::Set(set) => set.visit(&mut |member| {
            elements.push(member);
            true
        }),
        Value::SortedSet(set) => set.visit(&mut |member, _| {
            elements.push(member);
            true
        }),
        Value::String(_) | Value::Hash(_) => return Err(RequestError::WrongType),
    }
    // As Redis: what is stored does not depend on the order of a set.
    let sorts_set = is_stored && matches!(value, Value::Set(_)) && sort.by == SortBy::OwnOrder;
    let by = if sorts_set { SortBy::Element } else { sort.by };
    let by_bytes = sort.by_bytes || sorts_set;
    match by {
        SortBy::OwnOrder => {
            if sort.descending && !matches!(value, Value::Set(_)) {
                elements.reverse();
            }
        }
        SortBy::Element if by_bytes => {
            elements.sort_unstable();
            if sort.descending {
                elements.reverse();
            }
        }
        _ => {
            let mut keyed = Vec::with_capacity(elements.len());
            for element in elements {
                keyed.push((sort_key(element, by, by_bytes, read)?, element));
            }
            keyed.sort_by(|one, other| {
                let order = compare(one, other);
                if sort.descending { order.reverse() } else { order }
            });
            elements = keyed.into_iter().map(|(_, element)| element).collect();
        }
    }
    if let Some((skipped, count)) = sort.limit {
        let len = elements.len();
        let from = usize::try_from(skipped.max(0)).unwrap_or(len).min(len);
        let count = usize::try_from(count).unwrap_or(len);
        elements.truncate(from.saturating_add(count));
        elements.drain(..from);
    }
    Ok(elements)
}

fn sort_key(
    element: &[u8],
    by: SortBy<'_>,
    by_bytes: bool,
    read: ReadNamed<'_>,
) -> Result<SortKey, RequestError> {
    let found = match by {
        SortBy::Pattern(pattern) => read(pattern, element),
        _ => Some(element.to_vec()),
    };
    if by_bytes {
        return Ok(SortKey::Bytes(found));
    }
    let number = found.map_or(Some(0.0), |text| score::parse_in_c(&text));
    Ok(SortKey::Number(number.ok_or(RequestError::NotSortable)?))
}

/// Compares two elements with their keys: equal numbers by the bytes of the elements.
fn compare(one: &(SortKey, &[u8]), other: &(SortKey, &[u8])) -> Ordering {
    match (&one.0, &other.0) {
        (SortKey::Number(a), SortKey::Number(b)) => {
            a.partial_cmp(b).unwrap_or(Ordering::Equal).then_with(|| one.1.cmp(other.1))
        }
        (SortKey::Bytes(a), SortKey::Bytes(b)) => a.cmp(b),
        _ => Ordering::Equal,
    }
}

/// Calls `each` with what is answered of each element, until it returns false.
fn answer_each(
    elements: &[&[u8]],
    patterns: &[&[u8]],
    read: ReadNamed<'_>,
    each: &mut dyn FnMut(Option<&[u8]>) -> bool,
) {
    for element in elements {
        if patterns.is_empty() && !each(Some(element)) {
            return;
        }
        for pattern in patterns {
            let goes_on = match *pattern {
                b"#" => each(Some(element)),
                pattern => each(read(pattern, element).as_deref()),
            };
            if !goes_on {
                return;
            }
        }
    }
}

/// Answers with the sorted elements of a value, or of a key that is missing. No other key is read.
pub(super) fn answer_sorted(
    value: Option<Value<'_>>,
    sort: Sort<'_>,
    answer: impl FnOnce(Answer<'_>),
) {
    let mut found = ElementListBuilder::new(sort.most);
    if let Some(value) = value {
        match sorted(value, sort, false, &mut |_, _| None) {
            Err(error) => return answer(Answer::Error(error)),
            Ok(elements) => {
                answer_each(&elements, sort.answered, &mut |_, _| None, &mut |element| {
                    found.push_or_nil(element);
                    !found.is_full()
                });
            }
        }
    }
    answer(Answer::Elements(found.list(), 0));
}

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
        let elements =
            value.map_or(Ok(Vec::new()), |value| sorted(value, sort, to.is_some(), &mut read));
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
