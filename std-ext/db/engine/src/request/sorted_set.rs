//! Requests about the members of a sorted set.

use super::Score;

/// A question about a sorted set. A missing key is an empty one; of a value of another type the answer is
/// [`RequestError::WrongType`](super::RequestError::WrongType).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortedSetQuery<'a> {
    /// The number of members: [`Answer::Int`](super::Answer::Int). O(1).
    Length,
    /// The score of a member: [`Answer::Score`](super::Answer::Score) or [`Answer::Nil`](super::Answer::Nil). O(log n).
    Score(&'a [u8]),
}

/// A change of a sorted set. Creates the key if it is missing, and removes it with its last member; a value of another
/// type stays as it is, and the answer is [`RequestError::WrongType`](super::RequestError::WrongType).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SortedSetChange<'a> {
    /// Stores members with their scores. [`Answer::Int`](super::Answer::Int), the number of those that were missing.
    Set(&'a [(Score, &'a [u8])]),
    /// Removes members. [`Answer::Int`](super::Answer::Int), how many there were.
    Remove(&'a [&'a [u8]]),
}

impl SortedSetChange<'_> {
    /// Returns the bytes of members that it adds at most.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Set(members) => {
                let bytes = members.iter().map(|(_, member)| member.len());
                bytes.fold(0, usize::saturating_add)
            }
            Self::Remove(_) => 0,
        }
    }

    /// Returns the bytes that the log gets of it at most, besides the key.
    pub(crate) fn logged_bytes(&self) -> usize {
        /// The lengths of a member and a score, and the score.
        const LENGTHS: usize = 16;
        match self {
            Self::Set(members) => self.bytes().saturating_add(members.len() * LENGTHS),
            Self::Remove(members) => {
                let bytes = members.iter().map(|member| member.len() + LENGTHS);
                bytes.fold(0, usize::saturating_add)
            }
        }
    }

    /// Returns whether it may need memory.
    pub(crate) fn grows(&self) -> bool {
        matches!(self, Self::Set(_))
    }
}
