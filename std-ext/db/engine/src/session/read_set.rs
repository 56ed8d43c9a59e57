//! How a read is answered from a set.

use crate::glob::Glob;
use crate::request::{Answer, ElementListBuilder, FieldValues, LONGEST_VALUE, SetQuery};
use crate::state::value::choose::{choose, choose_one};
use crate::state::value::set::SetValue;

/// Answers a query about a set, or about a key that is missing.
pub(super) fn answer_set(
    set: Option<SetValue<'_>>,
    query: SetQuery<'_>,
    answer: impl FnOnce(Answer<'_>),
) {
    let contains = |member: &[u8]| set.is_some_and(|set| set.contains(member));
    match query {
        SetQuery::Length => answer(Answer::count(set.map_or(0, SetValue::len))),
        SetQuery::Contains(member) => answer(Answer::Int(contains(member).into())),
        SetQuery::ContainsAll(members) => {
            let mut found = Vec::new();
            for member in members {
                FieldValues::store(Some(contains(member).into()), &mut found);
            }
            answer(Answer::Fields(FieldValues::stored(&found)));
        }
        SetQuery::All { most } => {
            let mut list = ElementListBuilder::new(most);
            if let Some(set) = set {
                set.visit(&mut |member| push(&mut list, member));
            }
            answer(Answer::Elements(list.list(), 0));
        }
        SetQuery::Random { count: None, .. } => {
            answer(set.and_then(choose_one).map_or(Answer::Nil, Answer::Bytes));
        }
        SetQuery::Random { count: Some(count), most } => {
            let mut list = ElementListBuilder::new(most);
            if let Some(set) = set {
                choose(set, count, &mut |member| push(&mut list, member));
            }
            answer(Answer::Elements(list.list(), 0));
        }
        SetQuery::Scan { cursor, count, pattern, most } => {
            let pattern = pattern.map(|pattern| Glob::new(pattern, LONGEST_VALUE));
            let (mut list, mut next) = (ElementListBuilder::new(most), 0);
            if let Some(set) = set {
                next = set.scan(cursor, count, &mut |member| {
                    if pattern.as_ref().is_none_or(|pattern| pattern.matches(member)) {
                        list.push(member);
                    }
                });
            }
            answer(Answer::Elements(list.list(), next));
        }
    }
}

/// Adds a member. Returns whether there may be room for another.
fn push(list: &mut ElementListBuilder, member: &[u8]) -> bool {
    list.push(member);
    !list.is_full()
}
