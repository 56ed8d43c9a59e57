//! The types of values.

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// Bytes.
    String = 0,
    /// Fields with a value each.
    Hash = 1,
    /// Elements in an order.
    List = 2,
    /// Members, each of them once.
    Set = 3,
    /// Members with a score each, in the order of the scores.
    SortedSet = 4,
    /// Entries in the order of their IDs, and consumer groups.
    Stream = 5,
}

impl ValueType {
    /// All types.
    pub const ALL: [Self; 6] =
        [Self::String, Self::Hash, Self::List, Self::Set, Self::SortedSet, Self::Stream];

    /// Returns Redis's name of the type.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Hash => "hash",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "zset",
            Self::Stream => "stream",
        }
    }

    /// Returns whether the entries of a packed value of the type have values.
    #[inline]
    pub(super) fn has_values(self) -> bool {
        matches!(self, Self::Hash | Self::SortedSet | Self::Stream)
    }
}
