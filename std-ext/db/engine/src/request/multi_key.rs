//! Atomic changes of several keys.

use super::bits::Bitwise;
use super::change::Change;
use super::combination::Combination;
use super::expiry::Expiry;
use super::geo::GeoSearch;
use super::list::{End, ListChange};
use super::sort::Sort;
use super::sorted_set::{SortedSetChange, SortedSetSelection};
use super::stream::{GroupChange, ReadFrom};
use super::value_type::ValueType;

/// An atomic change of several keys: every reader sees all of it or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultiKeyOp<'a> {
    /// Stores all pairs in order, without expiration. [`Answer::Done`](super::Answer::Done).
    SetAll(&'a [(&'a [u8], &'a [u8])]),
    /// Stores all pairs in order, and gives their keys an expiration. [`Answer::Int`](super::Answer::Int) 1, or 0 if
    /// `exist` forbids it.
    SetAllIf {
        /// The keys and values.
        pairs: &'a [(&'a [u8], &'a [u8])],
        /// Whether all keys must exist, or none of them may; `None` for neither.
        exist: Option<bool>,
        /// When the keys expire.
        expiry: Expiry,
    },
    /// Removes all keys. [`Answer::Int`](super::Answer::Int), how many existed.
    DeleteAll(&'a [&'a [u8]]),
    /// Moves a key's value and expiration to another key. [`Answer::Done`](super::Answer::Done) or
    /// [`RequestError::NoSuchKey`](super::RequestError::NoSuchKey); with `if_absent`,
    /// [`Answer::Int`](super::Answer::Int) 1, or 0 if the other key exists.
    Rename {
        /// The old key.
        from: &'a [u8],
        /// The new key.
        to: &'a [u8],
        /// Whether an existing new key forbids the change.
        if_absent: bool,
    },
    /// Stores the result of a bitwise operation on the values of `keys`, without expiration. A missing key has an empty
    /// value. An empty result removes `to`. [`Answer::Int`](super::Answer::Int), the result's length.
    Bitwise {
        /// The operation.
        op: Bitwise,
        /// The key of the result.
        to: &'a [u8],
        /// The keys of the values.
        keys: &'a [&'a [u8]],
    },
    /// Moves a key to another database, with its expiration. [`Answer::Int`](super::Answer::Int) 1, or 0 if the key
    /// does not exist, or exists there.
    Move {
        /// The key.
        key: &'a [u8],
        /// The other database.
        to: u16,
    },
    /// Copies a key's value and expiration to another key. [`Answer::Int`](super::Answer::Int) 1, or 0 if the key does
    /// not exist, or the other key exists.
    Copy {
        /// The key.
        from: &'a [u8],
        /// The other key.
        to: &'a [u8],
        /// The database of the other key.
        database: u16,
        /// Whether an existing other key is replaced.
        replace: bool,
    },
    /// Adds the elements of the HyperLogLogs of `keys` to that of `to`, which is created if it is missing.
    /// [`Answer::Done`](super::Answer::Done).
    MergeElements {
        /// The key of the result.
        to: &'a [u8],
        /// The keys of the others.
        keys: &'a [&'a [u8]],
    },
    /// Moves a member of a set to another set. [`Answer::Int`](super::Answer::Int) 1, or 0 if the set does not have it.
    MoveMember {
        /// The key of the set.
        from: &'a [u8],
        /// The key of the other set, which is created if it is missing.
        to: &'a [u8],
        /// The member.
        member: &'a [u8],
    },
    /// Stores a combination of sets or sorted sets under a key, without expiration. An empty one removes the key.
    /// [`Answer::Int`](super::Answer::Int), the number of members.
    StoreCombination(&'a [u8], Combination<'a>),
    /// Takes the element at an end of a list and adds it at an end of another one, or of the same.
    /// [`Answer::Bytes`](super::Answer::Bytes), the element; or [`Answer::Nil`](super::Answer::Nil) if there is none.
    MoveElement {
        /// The key of the list that loses it.
        from: &'a [u8],
        /// The end at which it is taken.
        take: End,
        /// The key of the list that gets it.
        to: &'a [u8],
        /// The end at which it is put.
        put: End,
    },
    /// Takes elements from the first of several keys that exists. [`Answer::Elements`](super::Answer::Elements), that
    /// key and the elements; or [`Answer::Nil`](super::Answer::Nil) if none exists.
    PopFirst {
        /// The keys.
        keys: &'a [&'a [u8]],
        /// What is taken.
        popped: Popped,
        /// How many.
        count: usize,
        /// The answer's reply may take as many bytes.
        most: usize,
    },
    /// Reads the entries of several streams, each after an ID. [`Answer::Elements`](super::Answer::Elements), of which
    /// each is the stored answer about a stream that has such entries, or the last one an error;
    /// [`Answer::Nil`](super::Answer::Nil) if none has any.
    ReadStreams {
        /// The keys.
        keys: &'a [&'a [u8]],
        /// From where on each is read.
        from: &'a [ReadFrom],
        /// How many entries of each at most.
        count: Option<u64>,
        /// The answer's reply may take as many bytes.
        most: usize,
    },
    /// Delivers entries of several streams to a consumer, as [`GroupAction::Read`](super::GroupAction::Read) does of
    /// one. The answer is as that of [`ReadStreams`](Self::ReadStreams).
    DeliverStreams {
        /// The keys.
        keys: &'a [&'a [u8]],
        /// What is read from each.
        changes: &'a [GroupChange<'a>],
        /// The answer's reply may take as many bytes.
        most: usize,
    },
    /// Stores some members of a sorted set in another key, without expiration; if there are none, removes that key.
    /// [`Answer::Int`](super::Answer::Int), their number.
    StoreRange {
        /// The key of the sorted set.
        from: &'a [u8],
        /// Which members.
        selection: &'a SortedSetSelection<'a>,
        /// The key of the result.
        to: &'a [u8],
    },
    /// Stores the places that a search finds in another key, without expiration; if there are none, removes that key.
    /// [`Answer::Int`](super::Answer::Int), their number.
    StoreSearch {
        /// The key of the sorted set.
        from: &'a [u8],
        /// The search.
        search: &'a GeoSearch<'a>,
        /// The key of the result.
        to: &'a [u8],
        /// Whether the scores of the result are distances in the shape's unit, and not places.
        distances: bool,
        /// The name of the event that reports it.
        event: &'static str,
    },
    /// Sorts the elements of a list, a set or a sorted set, by what other keys have, or to store the result as a list.
    /// [`Answer::Elements`](super::Answer::Elements); with `to`, [`Answer::Int`](super::Answer::Int), their number.
    Sort {
        /// The key to sort.
        from: &'a [u8],
        /// The key of the result, which replaces what that key has. It is removed if there are no elements.
        to: Option<&'a [u8]>,
        /// How.
        sort: Sort<'a>,
    },
    /// Removes all keys of the selected database. [`Answer::Done`](super::Answer::Done).
    Clear,
    /// Removes all keys of all databases. [`Answer::Done`](super::Answer::Done).
    ClearAll,
    /// Gives two databases each other's keys. [`Answer::Done`](super::Answer::Done). Not in a transaction.
    SwapDatabases(u16, u16),
}

/// What [`MultiKeyOp::PopFirst`] takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Popped {
    /// Elements at an end of a list.
    List(End),
    /// Members of a sorted set, each before its score.
    SortedSet {
        /// Whether they are those with the lowest scores, and not with the highest.
        lowest: bool,
    },
}

impl Popped {
    /// Returns the type of the values from which it is taken.
    pub(crate) fn value_type(self) -> ValueType {
        match self {
            Self::List(_) => ValueType::List,
            Self::SortedSet { .. } => ValueType::SortedSet,
        }
    }

    /// Returns the change that takes so many from a key of this type.
    pub(crate) fn change(self, count: usize, most: usize) -> Change<'static> {
        match self {
            Self::List(end) => Change::List(ListChange::Pop { end, count: Some(count), most }),
            Self::SortedSet { lowest } => {
                Change::SortedSet(SortedSetChange::Pop { lowest, count, most })
            }
        }
    }
}

impl<'a> MultiKeyOp<'a> {
    /// Returns the keys that it names.
    #[doc(hidden)]
    pub fn keys(&self) -> impl Iterator<Item = &'a [u8]> {
        let (pairs, keys, named): (&[_], &[_], _) = match *self {
            Self::SetAll(pairs) | Self::SetAllIf { pairs, .. } => (pairs, &[], [None; 2]),
            Self::DeleteAll(keys)
            | Self::PopFirst { keys, .. }
            | Self::ReadStreams { keys, .. }
            | Self::DeliverStreams { keys, .. } => (&[], keys, [None; 2]),
            Self::Rename { from, to, .. }
            | Self::Copy { from, to, .. }
            | Self::StoreRange { from, to, .. }
            | Self::StoreSearch { from, to, .. }
            | Self::MoveMember { from, to, .. }
            | Self::MoveElement { from, to, .. } => (&[], &[], [Some(from), Some(to)]),
            Self::Sort { from, to, .. } => (&[], &[], [Some(from), to]),
            Self::Move { key, .. } => (&[], &[], [Some(key), None]),
            Self::Bitwise { to, keys, .. } | Self::MergeElements { to, keys } => {
                (&[], keys, [Some(to), None])
            }
            Self::StoreCombination(to, Combination { keys, .. }) => (&[], keys, [Some(to), None]),
            Self::Clear | Self::ClearAll | Self::SwapDatabases(..) => (&[], &[], [None; 2]),
        };
        let keys = pairs.iter().map(|(key, _)| *key).chain(keys.iter().copied());
        keys.chain(named.into_iter().flatten())
    }

    /// Returns whether it may need memory.
    #[doc(hidden)]
    pub fn grows(&self) -> bool {
        match self {
            Self::SetAll(_)
            | Self::SetAllIf { .. }
            | Self::Bitwise { .. }
            | Self::MergeElements { .. }
            | Self::StoreCombination(..)
            | Self::MoveElement { .. }
            | Self::StoreRange { .. }
            | Self::StoreSearch { .. }
            | Self::Sort { to: Some(_), .. }
            | Self::Copy { .. } => true,
            Self::DeleteAll(_)
            | Self::PopFirst { .. }
            | Self::ReadStreams { .. }
            | Self::DeliverStreams { .. }
            | Self::Sort { to: None, .. }
            // As in Redis, although the new name may be longer.
            | Self::Rename { .. }
            | Self::Move { .. }
            // As in Redis, although the other set may be longer.
            | Self::MoveMember { .. }
            | Self::Clear
            | Self::ClearAll
            | Self::SwapDatabases(..) => false,
        }
    }

    /// Returns the databases that it names.
    #[doc(hidden)]
    pub fn databases(&self) -> impl Iterator<Item = u16> + use<> {
        let named = match *self {
            Self::Move { to: one, .. } | Self::Copy { database: one, .. } => [Some(one), None],
            Self::SwapDatabases(one, other) => [Some(one), Some(other)],
            _ => [None; 2],
        };
        named.into_iter().flatten()
    }
}
