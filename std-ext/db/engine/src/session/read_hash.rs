//! How a read is answered from a hash.

use crate::glob::Glob;
use crate::request::{
    Answer, ElementListBuilder, FieldValues, HashParts, HashQuery, LONGEST_VALUE,
};
use crate::state::value::choose::{choose, choose_one};
use crate::state::value::hash::HashValue;

/// Answers a query about a hash, or about a key that is missing.
pub(super) fn answer_hash(
    (hash, now): (Option<HashValue<'_>>, u64),
    query: HashQuery<'_>,
    answer: impl FnOnce(Answer<'_>),
) {
    let timed = |field: &[u8]| hash.and_then(|hash| hash.get_timed(field, now));
    let value = |field: &[u8]| timed(field).map(|(value, _)| value);
    let expired = || hash.filter(|hash| hash.has_expired(now));
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
        HashQuery::Times(fields) => {
            let mut times = Vec::with_capacity(9 * fields.len());
            for field in fields {
                let shown = timed(field).map_or(-2, |(_, time)| match time {
                    0 => -1,
                    time => i64::try_from(time).unwrap_or(i64::MAX),
                });
                FieldValues::store(Some(shown), &mut times);
            }
            answer(Answer::Fields(FieldValues::stored(&times)));
        }
        HashQuery::All { parts, most } => {
            let mut list = ElementListBuilder::new(most);
            if let Some(hash) = hash {
                let has_expired = expired().is_some();
                hash.visit(&mut |field, value| {
                    if has_expired && timed(field).is_none() {
                        return true;
                    }
                    push(&mut list, parts, (field, value));
                    !list.is_full()
                });
            }
            answer(Answer::Elements(list.list(), 0));
        }
        HashQuery::Random { count: None, .. } => {
            let chosen = match expired() {
                Some(hash) => choose_one(&alive(hash, now)[..]),
                None => hash.and_then(choose_one),
            };
            answer(chosen.map_or(Answer::Nil, |(field, _)| Answer::Bytes(field)));
        }
        HashQuery::Random { count: Some(count), parts, most } => {
            let mut list = ElementListBuilder::new(most);
            let mut each = |entry| {
                push(&mut list, parts, entry);
                !list.is_full()
            };
            match (expired(), hash) {
                (Some(hash), _) => choose(&alive(hash, now)[..], count, &mut each),
                (None, Some(hash)) => choose(hash, count, &mut each),
                (None, None) => {}
            }
            answer(Answer::Elements(list.list(), 0));
        }
        HashQuery::Scan { cursor, count, pattern, most } => {
            let pattern = pattern.map(|pattern| Glob::new(pattern, LONGEST_VALUE));
            let (mut list, mut next) = (ElementListBuilder::new(most), 0);
            if let Some(hash) = hash {
                let has_expired = expired().is_some();
                next = hash.scan(cursor, count, &mut |field, value| {
                    let is_alive = !has_expired || timed(field).is_some();
                    if is_alive && pattern.as_ref().is_none_or(|pattern| pattern.matches(field)) {
                        push(&mut list, HashParts::Both, (field, value));
                    }
                });
            }
            answer(Answer::Elements(list.list(), next));
        }
    }
}

/// Returns the fields of a hash that have not expired, with their values.
#[cold]
fn alive(hash: HashValue<'_>, now: u64) -> Vec<(&[u8], &[u8])> {
    let mut alive = Vec::new();
    hash.visit(&mut |field, value| {
        if hash.get_timed(field, now).is_some() {
            alive.push((field, value));
        }
        true
    });
    alive
}

fn push(list: &mut ElementListBuilder, parts: HashParts, (field, value): (&[u8], &[u8])) {
    if parts != HashParts::Values {
        list.push(field);
    }
    if parts != HashParts::Fields {
        list.push(value);
    }
}
