//! Sorting the elements of a list, a set or a sorted set.

use crate::request::{Answer, ElementListBuilder, RequestError, Sort, SortBy};
use crate::score;
use crate::state::value::Value;
use std::cmp::Ordering;

/// Returns what the key or the field that a pattern names for an element has.
pub(super) type ReadNamed<'r> = &'r mut dyn FnMut(&[u8], &[u8]) -> Option<Vec<u8>>;

/// What an element is sorted by. Missing bytes come first.
enum SortKey {
    Number(f64),
    Bytes(Option<Vec<u8>>),
}

/// Returns the elements that an answer is about, in order. `read` returns what a key or a field of it has.
pub(super) fn sorted<'v>(
    value: Value<'v>,
    sort: Sort<'_>,
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
        Value::String(_) | Value::Hash(_) | Value::Stream(_) => {
            return Err(RequestError::WrongType);
        }
    }
    let sorts_set =
        sort.repeatable && matches!(value, Value::Set(_)) && sort.by == SortBy::OwnOrder;
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
pub(super) fn answer_each(
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
        match sorted(value, sort, &mut |_, _| None) {
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
