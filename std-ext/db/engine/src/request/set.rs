//! Requests about the members of a set.

/// A question about a set. A missing key is an empty set; of a value of another type the answer is
/// [`RequestError::WrongType`](super::RequestError::WrongType).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetQuery<'a> {
    /// The number of members: [`Answer::Int`](super::Answer::Int). O(1).
    Length,
    /// Whether it has a member: [`Answer::Int`](super::Answer::Int) 1 or 0. O(log n).
    Contains(&'a [u8]),
}

/// A change of a set. Creates the key if it is missing, and removes it with its last member; a value of another type
/// stays as it is, and the answer is [`RequestError::WrongType`](super::RequestError::WrongType).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SetChange<'a> {
    /// Adds members. [`Answer::Int`](super::Answer::Int), the number of those that were missing.
    Add(&'a [&'a [u8]]),
    /// Removes members. [`Answer::Int`](super::Answer::Int), how many there were.
    Remove(&'a [&'a [u8]]),
}

impl SetChange<'_> {
    /// Returns the bytes of members that it adds at most.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Add(members) => all_bytes(members),
            Self::Remove(_) => 0,
        }
    }

    /// Returns the bytes that the log gets of it at most, besides the key.
    pub(crate) fn logged_bytes(&self) -> usize {
        /// The length of a member.
        const LENGTH: usize = 5;
        let (Self::Add(members) | Self::Remove(members)) = self;
        all_bytes(members).saturating_add(members.len() * LENGTH)
    }

    /// Returns whether it may need memory.
    pub(crate) fn grows(&self) -> bool {
        matches!(self, Self::Add(_))
    }
}

fn all_bytes(members: &[&[u8]]) -> usize {
    members.iter().map(|member| member.len()).fold(0, usize::saturating_add)
}
