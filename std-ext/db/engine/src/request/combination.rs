//! Requests that combine the sets and sorted sets of several keys.

use super::{Score, ValueType};

/// Which members of several sets are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOperation {
    /// Those that any of the sets has.
    Union,
    /// Those that all sets have.
    Intersection,
    /// Those that the first set has, and no other.
    Difference,
}

/// How the scores that a member has in several sets become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// Their sum. That of two opposite infinities is 0.
    Sum,
    /// The least one.
    Min,
    /// The greatest one.
    Max,
}

/// How the scores of members are computed. In a difference, they are those of the first set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scoring<'a> {
    /// By what the scores of each key's set are multiplied; nothing if they are not.
    pub weights: &'a [Score],
    /// How the products become one score.
    pub aggregate: Aggregate,
}

/// Members of the sets of several keys. A missing key has an empty set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Combination<'a> {
    /// Which members.
    pub operation: SetOperation,
    /// The keys. There is one at least.
    pub keys: &'a [&'a [u8]],
    /// If there is none, each key has a set. Otherwise, a sorted set or a set, whose members have the score 1.
    pub scoring: Option<Scoring<'a>>,
}

impl Combination<'_> {
    /// Returns the type of the result.
    pub fn value_type(&self) -> ValueType {
        if self.scoring.is_none() { ValueType::Set } else { ValueType::SortedSet }
    }
}

/// A question about a combination. If a key has a value of another type, the answer is
/// [`RequestError::WrongType`](super::RequestError::WrongType).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CombinationQuery {
    /// Its members: [`Answer::Elements`](super::Answer::Elements). Sorted sets give them in the order of the scores.
    Members {
        /// Whether each member stands in front of its score, as [`Score::bytes`] stores it.
        with_scores: bool,
        /// The answer ends once its reply takes more bytes than this.
        most: usize,
    },
    /// The number of members: [`Answer::Int`](super::Answer::Int).
    Count {
        /// The highest number that is answered; 0 if there is none.
        limit: usize,
    },
    /// Nothing but the types: [`Answer::Done`](super::Answer::Done).
    Types,
}
