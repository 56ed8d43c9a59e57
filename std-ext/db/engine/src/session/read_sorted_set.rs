//! How a read is answered from a sorted set.

use crate::request::{Answer, SortedSetQuery};
use crate::state::value::sorted_set::SortedSetValue;

/// Answers a query about a sorted set, or about a key that is missing.
pub(super) fn answer_sorted_set(
    set: Option<SortedSetValue<'_>>,
    query: SortedSetQuery<'_>,
    answer: impl FnOnce(Answer<'_>),
) {
    match query {
        SortedSetQuery::Length => answer(Answer::count(set.map_or(0, SortedSetValue::len))),
        SortedSetQuery::Score(member) => {
            let score = set.and_then(|set| set.score(member));
            answer(score.map_or(Answer::Nil, Answer::Score));
        }
    }
}
