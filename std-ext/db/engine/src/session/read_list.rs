//! How a read is answered from a list.

use crate::request::{Answer, ElementListBuilder, ListQuery};
use crate::state::value::list::{ListValue, index_of, range_of};

/// Answers a query about a list, or about a key that is missing.
pub(super) fn answer_list(
    list: Option<ListValue<'_>>,
    query: ListQuery<'_>,
    answer: impl FnOnce(Answer<'_>),
) {
    let len = list.map_or(0, ListValue::len);
    match query {
        ListQuery::Length => answer(Answer::count(len)),
        ListQuery::Nth(index) => {
            let element = list.zip(index_of(len, index)).and_then(|(list, at)| list.nth(at));
            answer(element.map_or(Answer::Nil, Answer::Bytes));
        }
        ListQuery::Range { from, to, most } => {
            let (mut found, range) = (ElementListBuilder::new(most), range_of(len, from, to));
            if let Some(list) = list.filter(|_| !range.is_empty()) {
                let mut left = range.len();
                list.visit_from(range.start, &mut |element| {
                    found.push(element);
                    left -= 1;
                    left > 0 && !found.is_full()
                });
            }
            answer(Answer::Elements(found.list(), 0));
        }
        ListQuery::Positions { element, rank, count, compared, most } => {
            let mut found = ElementListBuilder::new(most);
            if let Some(list) = list {
                find_positions(list, element, (rank, count, compared), &mut found);
            }
            answer(Answer::Elements(found.list(), 0));
        }
    }
}

/// Finds elements as [`ListQuery::Positions`] says.
fn find_positions(
    list: ListValue<'_>,
    wanted: &[u8],
    (rank, count, compared): (i64, usize, usize),
    found: &mut ElementListBuilder,
) {
    let (len, mut index, mut number) = (list.len(), 0, itoa::Buffer::new());
    let (mut skipped, mut matches) = (rank.unsigned_abs().saturating_sub(1), 0);
    let most_compared = if compared == 0 { usize::MAX } else { compared };
    let most_matches = if count == 0 { usize::MAX } else { count };
    let mut compare = |element: &[u8]| {
        if element == wanted {
            if skipped > 0 {
                skipped -= 1;
            } else {
                let place = if rank < 0 { len - 1 - index } else { index };
                found.push(number.format(place).as_bytes());
                matches += 1;
            }
        }
        index += 1;
        index < most_compared && matches < most_matches && !found.is_full()
    };
    if rank < 0 { list.visit_back(&mut compare) } else { list.visit_from(0, &mut compare) }
}
