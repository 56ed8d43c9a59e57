//! Searches for places.

use crate::request::{
    Answer, ElementListBuilder, FoundPlace, GeoCentre, GeoOrder, GeoSearch, Place, RequestError,
    Score, SortedSetRange,
};
use crate::state::value::sorted_set::SortedSetValue;
use std::ops::Bound;

/// Answers a search.
pub(super) fn answer_search(
    set: Option<SortedSetValue<'_>>,
    search: &GeoSearch<'_>,
    most: usize,
    answer: impl FnOnce(Answer<'_>),
) {
    let mut list = ElementListBuilder::new(most);
    let found = match set.map_or(Ok(Vec::new()), |set| find(set, search)) {
        Ok(found) => found,
        Err(error) => return answer(Answer::Error(error)),
    };
    for (member, place) in found {
        list.push(member);
        list.push(&place.bytes());
        if list.is_full() {
            break;
        }
    }
    answer(Answer::Elements(list.list(), 0));
}

/// Returns the places that a search finds, in its order.
///
/// # Errors
/// The centre is a member that is missing.
pub(super) fn find<'a>(
    set: SortedSetValue<'a>,
    search: &GeoSearch<'_>,
) -> Result<Vec<(&'a [u8], FoundPlace)>, RequestError> {
    let centre = match search.centre {
        GeoCentre::Place(place) => place,
        GeoCentre::Member(member) => {
            let score = set.score(member).ok_or(RequestError::NoSuchPlace)?;
            Place::of_score(score.get())
        }
    };
    let limit = search.count.filter(|_| search.any).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    for (from, to) in search.shape.score_ranges(centre) {
        if found.len() >= limit {
            break;
        }
        let limits = Score::new(from).zip(Score::new(to));
        let Some((from, to)) = limits else { continue };
        let range = SortedSetRange::Scores(Bound::Included(from), Bound::Excluded(to));
        set.visit_range(set.range_of(range), false, &mut |member, score| {
            let (score, place) = (score.get(), Place::of_score(score.get()));
            if let Some(distance) = search.shape.distance_within(centre, place) {
                found.push((member, FoundPlace { distance, score }));
            }
            found.len() < limit
        });
    }
    // The nearest ones, if not all are wanted.
    let order = search.order.or(search.count.filter(|_| !search.any).map(|_| GeoOrder::Nearest));
    let distance = |found: &(&[u8], FoundPlace)| found.1.distance;
    match order {
        None => {}
        Some(GeoOrder::Nearest) => found.sort_by(|a, b| distance(a).total_cmp(&distance(b))),
        Some(GeoOrder::Farthest) => found.sort_by(|a, b| distance(b).total_cmp(&distance(a))),
    }
    found.truncate(search.count.unwrap_or(usize::MAX));
    Ok(found)
}
