//! How a read is answered from a hash.

use crate::glob::Glob;
use crate::request::{Answer, ElementListBuilder, HashParts, HashQuery, LONGEST_VALUE};
use crate::state::random::Random;
use crate::state::value::hash::HashValue;
use std::collections::HashSet;

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
            let mut random = Random::new();
            let chosen = hash.and_then(|hash| hash.nth(random_index(&mut random, hash.len())));
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

fn random_index(random: &mut Random, len: usize) -> usize {
    (random.next() as usize).checked_rem(len).unwrap_or(0)
}

/// Chooses fields as [`HashQuery::Random`] says, until `each` returns false.
fn choose<'h>(hash: HashValue<'h>, count: i64, each: &mut dyn FnMut((&'h [u8], &'h [u8])) -> bool) {
    let (len, mut random) = (hash.len(), Random::new());
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count < 0 {
        for _ in 0..wanted {
            let Some(entry) = hash.nth(random_index(&mut random, len)) else { return };
            if !each(entry) {
                return;
            }
        }
    } else if wanted >= len {
        hash.visit(&mut |field, value| each((field, value)));
    } else if wanted > len / 3 {
        // Each of the rest is chosen as often as it is still needed.
        let (mut left, mut needed) = (len, wanted);
        hash.visit(&mut |field, value| {
            let chosen = random_index(&mut random, left) < needed;
            left -= 1;
            needed -= usize::from(chosen);
            !chosen || each((field, value))
        });
    } else {
        let mut seen = HashSet::with_capacity(wanted);
        while seen.len() < wanted {
            let index = random_index(&mut random, len);
            if seen.insert(index)
                && let Some(entry) = hash.nth(index)
                && !each(entry)
            {
                return;
            }
        }
    }
}
