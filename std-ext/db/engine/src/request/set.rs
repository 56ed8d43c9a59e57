//! Requests about the members of a set.

/// A question about a set. A missing key is an empty set; of a value of another type the answer is
/// [`RequestError::WrongType`](super::RequestError::WrongType).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetQuery<'a> {
    /// The number of members: [`Answer::Int`](super::Answer::Int). O(1).
    Length,
    /// Whether it has a member: [`Answer::Int`](super::Answer::Int) 1 or 0. O(log n).
    Contains(&'a [u8]),
    /// The same for each of these: [`Answer::Fields`](super::Answer::Fields).
    ContainsAll(&'a [&'a [u8]]),
    /// All members: [`Answer::Elements`](super::Answer::Elements). Integers alone are in the order of the numbers, up
    /// to [`EncodingLimit::SetIntegers`](crate::EncodingLimit) of them. The order of others means nothing, and is the
    /// same on every node of a cluster.
    All {
        /// The answer ends once its reply takes more bytes than this.
        most: usize,
    },
    /// Random members. Without a count, one of them, [`Answer::Bytes`](super::Answer::Bytes) or
    /// [`Answer::Nil`](super::Answer::Nil); otherwise [`Answer::Elements`](super::Answer::Elements). A positive count
    /// wants as many different members, or all if there are not more; a negative one wants as many, each chosen among
    /// all.
    Random {
        /// How many.
        count: Option<i64>,
        /// As in [`All`](Self::All).
        most: usize,
    },
    /// A part of a walk over all members: [`Answer::Elements`](super::Answer::Elements). A walk begins with the cursor
    /// 0 and ends with it. A member that exists during the whole walk is found exactly once.
    Scan {
        /// Where the walk continues.
        cursor: u64,
        /// About how many members are visited.
        count: usize,
        /// The glob pattern that the members match, in Redis's notation.
        pattern: Option<&'a [u8]>,
        /// As in [`All`](Self::All).
        most: usize,
    },
}

/// A change of a set. Creates the key if it is missing, and removes it with its last member; a value of another type
/// stays as it is, and the answer is [`RequestError::WrongType`](super::RequestError::WrongType).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SetChange<'a> {
    /// Adds members. [`Answer::Int`](super::Answer::Int), the number of those that were missing.
    Add(&'a [&'a [u8]]),
    /// Removes members. [`Answer::Int`](super::Answer::Int), how many there were.
    Remove(&'a [&'a [u8]]),
    /// Removes random members, and answers with them. Without a count, one: [`Answer::Bytes`](super::Answer::Bytes), or
    /// [`Answer::Nil`](super::Answer::Nil) if the key is missing. With one,
    /// [`Answer::Elements`](super::Answer::Elements). If their reply would be too long, none is removed.
    Pop {
        /// How many.
        count: Option<usize>,
        /// The answer's reply may take as many bytes.
        most: usize,
    },
}

impl SetChange<'_> {
    /// Returns the bytes of members that it adds at most.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Add(members) => all_bytes(members),
            Self::Remove(_) | Self::Pop { .. } => 0,
        }
    }

    /// Returns the bytes that the log gets of it at most, besides the key. The members that a [`Pop`](Self::Pop)
    /// removes are not counted.
    pub(crate) fn logged_bytes(&self) -> usize {
        /// The length of a member.
        const LENGTH: usize = 5;
        let (Self::Add(members) | Self::Remove(members)) = self else { return LENGTH };
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
