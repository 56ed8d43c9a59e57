//! How a read is answered from a set.

use crate::request::{Answer, SetQuery};
use crate::state::value::set::SetValue;

/// Answers a query about a set, or about a key that is missing.
pub(super) fn answer_set(
    set: Option<SetValue<'_>>,
    query: SetQuery<'_>,
    answer: impl FnOnce(Answer<'_>),
) {
    match query {
        SetQuery::Length => answer(Answer::count(set.map_or(0, SetValue::len))),
        SetQuery::Contains(member) => {
            answer(Answer::Int(set.is_some_and(|set| set.contains(member)).into()));
        }
    }
}
