//! How a read is answered from a sorted set.

use super::read_geo::answer_search;
use crate::glob::Glob;
use crate::request::{Answer, ElementListBuilder, LONGEST_VALUE, Score, SortedSetQuery};
use crate::state::value::choose::{choose, choose_one};
use crate::state::value::sorted_set::SortedSetValue;
use hedgerow_db_formats::score;

/// Answers a query about a sorted set, or about a key that is missing.
pub(super) fn answer_sorted_set(
    set: Option<SortedSetValue<'_>>,
    query: SortedSetQuery<'_>,
    answer: impl FnOnce(Answer<'_>),
) {
    let score = |member: &[u8]| set.and_then(|set| set.score(member));
    match query {
        SortedSetQuery::Length => answer(Answer::count(set.map_or(0, SortedSetValue::len))),
        SortedSetQuery::Score(member) => answer(score(member).map_or(Answer::Nil, Answer::Score)),
        SortedSetQuery::Scores { members, most } => {
            let mut list = ElementListBuilder::new(most);
            for member in members {
                list.push_or_nil(score(member).map(Score::bytes).as_ref().map(|bytes| &bytes[..]));
            }
            answer(Answer::Elements(list.list(), 0));
        }
        SortedSetQuery::Rank { member, reverse } => {
            let found = set.and_then(|set| {
                let (index, _) = set.index_of(member)?;
                Some(if reverse { set.len() - 1 - index } else { index })
            });
            answer(found.map_or(Answer::Nil, Answer::count));
        }
        SortedSetQuery::Count(range) => {
            answer(Answer::count(set.map_or(0, |set| set.range_of(range).len())));
        }
        SortedSetQuery::Range { selection, with_scores, most } => {
            let mut list = ElementListBuilder::new(most);
            if let Some(set) = set {
                set.visit_range(
                    set.selected(selection),
                    selection.reverse,
                    &mut |member, score| {
                        push(&mut list, with_scores, (member, score));
                        !list.is_full()
                    },
                );
            }
            answer(Answer::Elements(list.list(), 0));
        }
        SortedSetQuery::Search { search, most } => answer_search(set, search, most, answer),
        SortedSetQuery::Random { count: None, .. } => {
            let chosen = set.and_then(choose_one);
            answer(chosen.map_or(Answer::Nil, |(member, _)| Answer::Bytes(member)));
        }
        SortedSetQuery::Random { count: Some(count), with_scores, most } => {
            let mut list = ElementListBuilder::new(most);
            if let Some(set) = set {
                choose(set, count, &mut |entry| {
                    push(&mut list, with_scores, entry);
                    !list.is_full()
                });
            }
            answer(Answer::Elements(list.list(), 0));
        }
        SortedSetQuery::Scan { cursor, count, pattern, most } => {
            let (mut list, mut next) = (ElementListBuilder::new(most), 0);
            if let Some(set) = set {
                next = scan(set, (cursor, count, pattern), &mut list);
            }
            answer(Answer::Elements(list.list(), next));
        }
    }
}

/// Collects a part of a walk, with scores as Redis shows them there. Returns the next cursor.
fn scan(
    set: SortedSetValue<'_>,
    (cursor, count, pattern): (u64, usize, Option<&[u8]>),
    list: &mut ElementListBuilder,
) -> u64 {
    let pattern = pattern.map(|pattern| Glob::new(pattern, LONGEST_VALUE));
    set.scan(cursor, count, &mut |member, found| {
        if pattern.as_ref().is_some_and(|pattern| !pattern.matches(member)) {
            return;
        }
        list.push(member);
        if set.is_table() {
            score::with_text(found.get(), |text| list.push(text));
        } else {
            score::with_packed_text(found.get(), |text| list.push(text));
        }
    })
}

fn push(list: &mut ElementListBuilder, with_scores: bool, (member, score): (&[u8], Score)) {
    list.push(member);
    if with_scores {
        list.push(&score.bytes());
    }
}
