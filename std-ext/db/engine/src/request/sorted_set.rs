//! Requests about the members of a sorted set.

use super::{GeoSearch, Score};
use std::cmp::Ordering;
use std::ops::Bound;

/// A question about a sorted set. A missing key is an empty one; of a value of another type the answer is
/// [`RequestError::WrongType`](super::RequestError::WrongType).
///
/// Where an answer has scores among [`Answer::Elements`](super::Answer::Elements), each is the bytes of
/// [`Score::bytes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortedSetQuery<'a> {
    /// The number of members: [`Answer::Int`](super::Answer::Int). O(1).
    Length,
    /// The score of a member: [`Answer::Score`](super::Answer::Score) or [`Answer::Nil`](super::Answer::Nil). O(log n).
    Score(&'a [u8]),
    /// The scores of these members: [`Answer::Elements`](super::Answer::Elements), with `None` for a member that is
    /// missing.
    Scores {
        /// The members.
        members: &'a [&'a [u8]],
        /// The answer ends once its reply takes more bytes than this.
        most: usize,
    },
    /// The index of a member: [`Answer::Int`](super::Answer::Int) or [`Answer::Nil`](super::Answer::Nil). O(log n).
    Rank {
        /// The member.
        member: &'a [u8],
        /// Whether the member with the highest score has index 0.
        reverse: bool,
    },
    /// The number of members in a range: [`Answer::Int`](super::Answer::Int). O(log n).
    Count(SortedSetRange<'a>),
    /// Some members in a range: [`Answer::Elements`](super::Answer::Elements). O(log n), and what is found.
    Range {
        /// Which members.
        selection: &'a SortedSetSelection<'a>,
        /// Whether each is before its score.
        with_scores: bool,
        /// As in [`Scores`](Self::Scores).
        most: usize,
    },
    /// The places that a search finds: [`Answer::Elements`](super::Answer::Elements), each member before the bytes of a
    /// [`FoundPlace`](super::FoundPlace). [`RequestError::NoSuchPlace`](super::RequestError::NoSuchPlace) if the member
    /// in its centre is missing.
    Search {
        /// The search.
        search: &'a GeoSearch<'a>,
        /// As in [`Scores`](Self::Scores).
        most: usize,
    },
    /// Random members. Without a count, one of them, [`Answer::Bytes`](super::Answer::Bytes) or
    /// [`Answer::Nil`](super::Answer::Nil); otherwise [`Answer::Elements`](super::Answer::Elements). A positive count
    /// wants as many different members, or all if there are not more; a negative one wants as many, each chosen among
    /// all.
    Random {
        /// How many.
        count: Option<i64>,
        /// Whether each is before its score.
        with_scores: bool,
        /// As in [`Scores`](Self::Scores).
        most: usize,
    },
    /// A part of a walk over all members: [`Answer::Elements`](super::Answer::Elements), each before the text of its
    /// score. A walk begins with the cursor 0 and ends with it. A member that exists during the whole walk is found
    /// exactly once.
    Scan {
        /// Where the walk continues.
        cursor: u64,
        /// About how many members are visited.
        count: usize,
        /// The glob pattern that the members match, in Redis's notation.
        pattern: Option<&'a [u8]>,
        /// As in [`Scores`](Self::Scores).
        most: usize,
    },
}

/// A range of the members of a sorted set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortedSetRange<'a> {
    /// Those between two indices, both inclusive. Negative ones count from the end.
    Indices(i64, i64),
    /// Those whose scores are between two.
    Scores(Bound<Score>, Bound<Score>),
    /// Those that are between two others by their bytes. All members have the same score, or the answer means nothing.
    Members(Bound<&'a [u8]>, Bound<&'a [u8]>),
}

/// Some members in a range of a sorted set, in an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortedSetSelection<'a> {
    /// The range.
    pub range: SortedSetRange<'a>,
    /// Whether the highest score comes first. Then indices count from there, too.
    pub reverse: bool,
    /// How many members of the range are left out, and how many follow at most. A negative number of the first leaves
    /// out all, one of the second none.
    pub limit: Option<(i64, i64)>,
}

/// Which of the members that are to be stored are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ScoreCondition {
    /// Whether a member must be there, or must be missing; `None` for neither.
    pub exists: Option<bool>,
    /// How the new score of a member that is there compares with the one that it has; `None` for any.
    pub compares: Option<Ordering>,
}

/// A change of a sorted set. Creates the key if it is missing, and removes it with its last member; a value of another
/// type stays as it is, and the answer is [`RequestError::WrongType`](super::RequestError::WrongType).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SortedSetChange<'a> {
    /// Stores members with their scores. [`Answer::Int`](super::Answer::Int), the number of those that were missing.
    Set(&'a [(Score, &'a [u8])]),
    /// As [`Set`](Self::Set), on a condition.
    SetIf {
        /// The members and their scores.
        members: &'a [(Score, &'a [u8])],
        /// The condition of each.
        condition: ScoreCondition,
        /// Whether the answer counts also those members whose scores have changed.
        counts_changed: bool,
    },
    /// Adds to the score of a member, which counts as 0 if the member is missing.
    /// [`Answer::Score`](super::Answer::Score), the sum; or [`Answer::Nil`](super::Answer::Nil) if the condition
    /// forbids it. If the sum of two infinities is none,
    /// [`RequestError::ScoreNotANumber`](super::RequestError::ScoreNotANumber).
    Increment {
        /// The member.
        member: &'a [u8],
        /// What is added.
        by: Score,
        /// The condition.
        condition: ScoreCondition,
    },
    /// Removes members. [`Answer::Int`](super::Answer::Int), how many there were.
    Remove(&'a [&'a [u8]]),
    /// Removes the members in a range. [`Answer::Int`](super::Answer::Int), how many there were.
    RemoveRange(SortedSetRange<'a>),
    /// Removes members at an end. [`Answer::Elements`](super::Answer::Elements), each before its score, from the end
    /// on; or [`Answer::Nil`](super::Answer::Nil) if the key is missing.
    Pop {
        /// Whether they are those with the lowest scores, and not with the highest.
        lowest: bool,
        /// How many.
        count: usize,
        /// The answer's reply may take as many bytes. If it would take more, nothing is removed.
        most: usize,
    },
}

impl SortedSetChange<'_> {
    /// Returns the bytes of members that it adds at most.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Set(members) | Self::SetIf { members, .. } => {
                let bytes = members.iter().map(|(_, member)| member.len());
                bytes.fold(0, usize::saturating_add)
            }
            Self::Increment { member, .. } => member.len(),
            Self::Remove(_) | Self::RemoveRange(_) | Self::Pop { .. } => 0,
        }
    }

    /// Returns the bytes that the log gets of it at most, besides the key. Members that it does not name are not
    /// counted.
    pub(crate) fn logged_bytes(&self) -> usize {
        /// The lengths of a member and a score, and the score.
        const LENGTHS: usize = 16;
        match self {
            Self::Set(members) | Self::SetIf { members, .. } => {
                self.bytes().saturating_add(members.len() * LENGTHS)
            }
            Self::Remove(members) => {
                let bytes = members.iter().map(|member| member.len() + LENGTHS);
                bytes.fold(0, usize::saturating_add)
            }
            Self::Increment { .. } | Self::RemoveRange(_) | Self::Pop { .. } => {
                self.bytes() + LENGTHS
            }
        }
    }

    /// Returns whether it may need memory.
    pub(crate) fn grows(&self) -> bool {
        matches!(self, Self::Set(_) | Self::SetIf { .. } | Self::Increment { .. })
    }
}
