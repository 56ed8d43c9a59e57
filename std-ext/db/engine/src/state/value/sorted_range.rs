//! Ranges of sorted sets: from what a request names to indices.

use super::collection::Collection;
use super::scored_entry::{member, stored_score};
use super::sorted_set::{SortedSetValue, parse};
use crate::request::{Score, SortedSetRange, SortedSetSelection};
use std::ops::{Bound, Range};

impl<'a> SortedSetValue<'a> {
    /// Returns the indices of a range. O(log n).
    pub(crate) fn range_of(self, range: SortedSetRange<'_>) -> Range<usize> {
        match range {
            SortedSetRange::Indices(from, to) => indices(self.len(), from, to),
            SortedSetRange::Scores(min, max) => self.score_range(min, max),
            SortedSetRange::Members(min, max) => self.member_range((min, max), false),
        }
    }

    /// Returns the indices of selected members. If the selection is reversed, the last one comes first.
    pub(crate) fn selected(self, selection: &SortedSetSelection<'_>) -> Range<usize> {
        let SortedSetSelection { range, reverse, limit } = *selection;
        let len = self.len();
        let Range { start, end } = match range {
            SortedSetRange::Indices(from, to) if reverse => {
                let back = indices(len, from, to);
                len - back.end..len - back.start
            }
            SortedSetRange::Members(min, max) => self.member_range((min, max), reverse),
            _ => self.range_of(range),
        };
        let Some((offset, count)) = limit else { return start..end };
        // Negative: all members are left out.
        let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(end - start);
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(end - start - offset);
        if reverse {
            end - offset - count..end - offset
        } else {
            start + offset..start + offset + count
        }
    }

    fn score_range(self, min: Bound<Score>, max: Bound<Score>) -> Range<usize> {
        // The number of members before the first one whose score is above.
        let behind = |score: Score| match Score::new(score.get().next_up()) {
            Some(next) if score.get() != f64::INFINITY => self.rank(next, b""),
            _ => self.len(),
        };
        let start = match min {
            Bound::Included(score) => self.rank(score, b""),
            Bound::Excluded(score) => behind(score),
            Bound::Unbounded => 0,
        };
        let end = match max {
            Bound::Included(score) => behind(score),
            Bound::Excluded(score) => self.rank(score, b""),
            Bound::Unbounded => self.len(),
        };
        start..end.max(start)
    }

    /// Returns the indices of the members between two. If scores differ, a short set is searched as Redis does, from
    /// the end if it is to be read from there, so that the answer is the same.
    fn member_range(self, limits: (Bound<&[u8]>, Bound<&[u8]>), reverse: bool) -> Range<usize> {
        let (min, max) = limits;
        let is_above = |member: &[u8]| match min {
            Bound::Included(min) => member >= min,
            Bound::Excluded(min) => member > min,
            Bound::Unbounded => true,
        };
        let is_below = |member: &[u8]| match max {
            Bound::Included(max) => member <= max,
            Bound::Excluded(max) => member < max,
            Bound::Unbounded => true,
        };
        let set = match self.0 {
            Collection::Packed(set) => set,
            Collection::Tree(_) => return self.member_range_of_tree(min, max),
        };
        let members: Vec<&[u8]> = set.names().collect();
        let (Some(first), Some(last)) = (members.first(), members.last()) else { return 0..0 };
        if !is_above(last) || !is_below(first) {
            return 0..0;
        }
        if reverse {
            let end = members.iter().rposition(|member| is_below(member)).map_or(0, |at| at + 1);
            let start = members[..end].iter().rposition(|member| !is_above(member));
            return start.map_or(0, |at| at + 1)..end;
        }
        let start = members.iter().position(|member| is_above(member)).unwrap_or(members.len());
        let count = members[start..].iter().take_while(|member| is_below(member)).count();
        start..start + count
    }

    fn member_range_of_tree(self, min: Bound<&[u8]>, max: Bound<&[u8]>) -> Range<usize> {
        let Some((_, score)) = self.nth(0) else { return 0..0 };
        // A member and a zero byte are right behind the member.
        let behind = |member: &[u8]| self.rank(score, &[member, &[0]].concat());
        let start = match min {
            Bound::Included(member) => self.rank(score, member),
            Bound::Excluded(member) => behind(member),
            Bound::Unbounded => 0,
        };
        let end = match max {
            Bound::Included(member) => behind(member),
            Bound::Excluded(member) => self.rank(score, member),
            Bound::Unbounded => self.len(),
        };
        start..end.max(start)
    }

    /// Calls `each` with the members at some indices and their scores, until it returns false. O(log n), and what is
    /// visited.
    pub(crate) fn visit_range(
        self,
        range: Range<usize>,
        reverse: bool,
        each: &mut dyn FnMut(&'a [u8], Score) -> bool,
    ) {
        let len = self.len();
        let _ = match self.0 {
            Collection::Packed(set) => {
                let mut entries = set.iter().skip(range.start).take(range.len());
                if reverse {
                    let entries: Vec<_> = entries.collect();
                    entries.iter().rev().all(|(member, score)| each(member, parse(score)))
                } else {
                    entries.all(|(member, score)| each(member, parse(score)))
                }
            }
            Collection::Tree(set) => {
                let mut entries = set.view().iter_range(len + range.start, len + range.end);
                let mut each = |entry| each(member(entry), parse(stored_score(entry)));
                if reverse { entries.rev().all(each) } else { entries.all(&mut each) }
            }
        };
    }
}

/// Returns the indices between two, both inclusive, of which negative ones count from the end.
fn indices(len: usize, from: i64, to: i64) -> Range<usize> {
    let length = len.cast_signed() as i64;
    let place = |index: i64| if index < 0 { (length + index).max(0) } else { index };
    let (from, to) = (place(from), if to < 0 { length + to } else { to.min(length - 1) });
    if from > to || from >= length {
        return 0..0;
    }
    from.cast_unsigned() as usize..to.cast_unsigned() as usize + 1
}
