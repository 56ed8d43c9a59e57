//! Requests about the elements of a list.

use super::Packed;

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The first element.
    Front,
    /// The last element.
    Back,
}

/// A question about a list. A missing key is an empty list; of a value of another type the answer is
/// [`RequestError::WrongType`](super::RequestError::WrongType). An index counts from 0, or, if it is negative, from the
/// end: -1 is the last element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListQuery<'a> {
    /// The number of elements: [`Answer::Int`](super::Answer::Int). O(1).
    Length,
    /// The element at an index: [`Answer::Bytes`](super::Answer::Bytes) or [`Answer::Nil`](super::Answer::Nil).
    /// O(log n).
    Nth(i64),
    /// The elements between two indices, both inclusive: [`Answer::Elements`](super::Answer::Elements).
    Range {
        /// The first index.
        from: i64,
        /// The last index.
        to: i64,
        /// The answer ends once its reply takes more bytes than this.
        most: usize,
    },
    /// The indices of the elements that equal another one: [`Answer::Elements`](super::Answer::Elements), each a
    /// decimal number. O(n).
    Positions {
        /// What they equal.
        element: &'a [u8],
        /// From which match on: 1 for the first; negative numbers count from the end, and the elements are then
        /// compared from the last to the first. Not 0.
        rank: i64,
        /// How many matches are wanted; 0 for all.
        count: usize,
        /// How many elements are compared; 0 for all.
        compared: usize,
        /// As in [`Range`](Self::Range).
        most: usize,
    },
}

/// A change of a list. Creates the key if it is missing, and removes it with its last element; a value of another type
/// stays as it is, and the answer is [`RequestError::WrongType`](super::RequestError::WrongType). Indices are as in
/// [`ListQuery`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ListChange<'a> {
    /// Adds elements at an end, one after the other. [`Answer::Int`](super::Answer::Int), the new length.
    Push {
        /// The end.
        end: End,
        /// The elements.
        elements: &'a [&'a [u8]],
        /// Whether nothing is done if the key is missing. The answer is 0 then.
        if_present: bool,
    },
    /// Removes elements at an end. Without a count, one: [`Answer::Bytes`](super::Answer::Bytes). With one,
    /// [`Answer::Elements`](super::Answer::Elements). [`Answer::Nil`](super::Answer::Nil) if the key is missing.
    Pop {
        /// The end.
        end: End,
        /// How many.
        count: Option<usize>,
        /// The answer's reply may take as many bytes.
        most: usize,
    },
    /// Replaces the element at an index. [`Answer::Done`](super::Answer::Done),
    /// [`RequestError::NoSuchKey`](super::RequestError::NoSuchKey), or
    /// [`RequestError::IndexOutOfRange`](super::RequestError::IndexOutOfRange).
    Set(i64, &'a [u8]),
    /// Inserts an element beside the first one that equals another. [`Answer::Int`](super::Answer::Int), the new
    /// length; 0 if the key is missing, -1 if there is no such element. O(n).
    Insert {
        /// Whether it comes before that element, and not behind it.
        before: bool,
        /// What that element equals.
        pivot: &'a [u8],
        /// The new element.
        element: &'a [u8],
    },
    /// Removes elements that equal another one. [`Answer::Int`](super::Answer::Int), how many there were. O(n).
    Remove {
        /// How many: the first ones, or, if it is negative, the last ones; 0 for all.
        count: i64,
        /// What they equal.
        element: &'a [u8],
    },
    /// Removes all elements but those between two indices, both inclusive. [`Answer::Done`](super::Answer::Done).
    Trim(i64, i64),
    /// Removes elements from an index on, and puts others in their place, as the log names them.
    /// [`Answer::Done`](super::Answer::Done).
    #[doc(hidden)]
    Splice {
        /// The index.
        at: u64,
        /// How many are removed. There are as many.
        remove: u64,
        /// What is put in their place.
        elements: Packed<'a>,
    },
}

impl ListChange<'_> {
    /// Returns the bytes of elements that it adds at most.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Push { elements, .. } => {
                elements.iter().map(|element| element.len()).fold(0, usize::saturating_add)
            }
            Self::Set(_, element) | Self::Insert { element, .. } => element.len(),
            Self::Splice { elements, .. } => elements.bytes().len(),
            Self::Pop { .. } | Self::Remove { .. } | Self::Trim(..) => 0,
        }
    }

    /// Returns the bytes that the log gets of it at most, besides the key. The places from which a
    /// [`Remove`](Self::Remove) takes elements are not counted.
    pub(crate) fn logged_bytes(&self) -> usize {
        /// The length of an element, and the numbers of a splice.
        const LENGTHS: usize = 32;
        let elements = if let Self::Push { elements, .. } = self { elements.len() } else { 2 };
        self.bytes().saturating_add(elements.saturating_add(2) * LENGTHS)
    }

    /// Returns whether it may need memory.
    pub(crate) fn grows(&self) -> bool {
        !matches!(self, Self::Pop { .. } | Self::Remove { .. } | Self::Trim(..))
    }

    /// Returns whether it stores a key that is missing.
    pub(crate) fn creates(&self) -> bool {
        matches!(self, Self::Push { if_present: false, .. } | Self::Splice { .. })
    }
}
