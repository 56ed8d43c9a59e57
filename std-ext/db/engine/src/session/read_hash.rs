//! How a read is answered from a hash.

use crate::glob::Glob;
use crate::request::{Answer, ElementListBuilder, HashParts, HashQuery, LONGEST_VALUE};
use crate::state::value::choose::{choose, choose_one};
use crate::state::value::hash::HashValue;

/// Answers a query about a hash, or about a key that is missing.
pub(super) fn answer_hash(
    hash: Option<HashValue<'_>>,
    query: HashQuery<'_>,
    answer: impl FnOnce(Answer<'_>),
) {
    let value = |field: &[u8]| hash.and_then(|hash| hash.get(field));
    match query {
        HashQuery::Get(field) => answer(value(field).map_or(Answer::Nil, Answer::Bytes)),
        HashQuery::Length => answer(Answer::count(hash.map_or(0, HashValue::len))),
        HashQuery::Exists(field) => answer(Answer::Int(value(field).is_some().into())),
        HashQuery::FieldLength(field) => answer(Answer::count(value(field).map_or(0, <[u8]>::len))),
        HashQuery::GetMany { fields, most } => {
            let mut list = ElementListBuilder::new(most);
            for field in fields {
                list.push_or_nil(value(field));
            }
            answer(Answer::Elements(list.list(), 0));
        }
        HashQuery::All { parts, most } => {
            let mut list = ElementListBuilder::new(most);
            if let Some(hash) = hash {
                hash.visit(&mut |field, value| {
                    push(&mut list, parts, (field, value));
                    !list.is_full()
                });
            }
            answer(Answer::Elements(list.list(), 0));
        }
        HashQuery::Random { count: None, .. } => {
            let chosen = hash.and_then(choose_one);
            answer(chosen.map_or(Answer::Nil, |(field, _)| Answer::Bytes(field)));
        }
        HashQuery::Random { count: Some(count), parts, most } => {
            let mut list = ElementListBuilder::new(most);
            if let Some(hash) = hash {
                choose(hash, count, &mut |entry| {
                    push(&mut list, parts, entry);
                    !list.is_full()
                });
            }
            answer(Answer::Elements(list.list(), 0));
        }
        HashQuery::Scan { cursor, count, pattern, most } => {
            let pattern = pattern.map(|pattern| Glob::new(pattern, LONGEST_VALUE));
            let (mut list, mut next) = (ElementListBuilder::new(most), 0);
            if let Some(hash) = hash {
                next = hash.scan(cursor, count, &mut |field, value| {
                    if pattern.as_ref().is_none_or(|pattern| pattern.matches(field)) {
                        push(&mut list, HashParts::Both, (field, value));
                    }
                });
            }
            answer(Answer::Elements(list.list(), next));
        }
    }
}

fn push(list: &mut ElementListBuilder, parts: HashParts, (field, value): (&[u8], &[u8])) {
    if parts != HashParts::Values {
        list.push(field);
    }
    if parts != HashParts::Fields {
        list.push(value);
    }
}
