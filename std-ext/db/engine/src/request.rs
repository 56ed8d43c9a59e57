//! Requests to the database and their answers: the vocabulary that RESP, gRPC, the log and embedding programs share.

mod ascending;
mod bits;
mod change;
mod combination;
mod database;
mod elements;
mod error;
mod expiry;
mod geo;
mod hash;
mod lengths;
mod list;
mod multi_key;
mod nested;
mod packed;
mod score;
mod set;
mod sort;
mod sorted_set;
mod stream;
pub(crate) mod stream_key;
mod stream_parts;
mod value;
mod value_type;

pub use ascending::ascending;
pub use bits::{BitRange, BitUnit, Bitwise, Field, FieldOp, FieldType, FieldValues, Overflow};
pub use change::{Change, SetCondition, Usage};
pub use combination::{Aggregate, Combination, CombinationQuery, Scoring, SetOperation};
pub use database::{DatabaseQuery, KeyScan};
pub use elements::ElementList;
pub(crate) use elements::ElementListBuilder;
pub use error::RequestError;
pub use expiry::{ExpireCondition, Expiry};
pub use geo::{FoundPlace, GeoCentre, GeoOrder, GeoSearch, Place, Shape, ShapeKind, Unit};
pub(crate) use hash::LONGEST_PAIR;
pub use hash::{HashChange, HashParts, HashQuery};
#[doc(inline)]
pub use hedgerow_db_formats::long_double::LongDouble;
#[doc(inline)]
pub use hedgerow_db_formats::rdb::StreamId;
pub use list::{End, ListChange, ListQuery};
pub use multi_key::{MultiKeyOp, Popped};
pub use nested::Nested;
pub(crate) use nested::NestedBuilder;
pub use packed::{Packed, PackedEntries, Packer};
pub(crate) use packed::{TIME, split_time};
pub(crate) use score::SCORE_BYTES;
pub use score::Score;
pub use set::{SetChange, SetQuery};
pub(crate) use sort::named;
pub use sort::{Sort, SortBy};
pub use sorted_set::{
    ScoreCondition, SortedSetChange, SortedSetQuery, SortedSetRange, SortedSetSelection,
};
pub use stream::{
    GroupAction, GroupChange, NewStreamId, PendingQuery, ReadFrom, StreamChange, StreamClaim,
    StreamQuery, StreamRange, StreamTrim, TrimTo,
};
pub use stream_parts::{StreamPacker, write_stream};
pub use value::{OwnedValue, StoredValue};
pub use value_type::ValueType;

/// Longest key, in bytes.
pub const LONGEST_KEY: usize = u16::MAX as usize;
/// Longest value, in bytes: the limit that Redis has.
pub const LONGEST_VALUE: usize = crate::rdb::LONGEST_STRING;

/// A request to the database.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    /// Reads one key.
    Read(&'a [u8], Query<'a>),
    /// Reads one key in one snapshot with the reads that follow. The number counts this read and those; a request of
    /// another kind ends the group early.
    MultiRead(&'a [u8], Query<'a>, usize),
    /// Reads several keys, and combines their sets, in one snapshot.
    Combine(Combination<'a>, CombinationQuery),
    /// Changes one key.
    Change(&'a [u8], Change<'a>),
    /// Changes several keys atomically.
    MultiKey(MultiKeyOp<'a>),
    /// Selects a database: the requests behind this one, also those of later batches, are about its keys.
    /// [`Answer::Done`] or [`RequestError::NoSuchDatabase`].
    Select(u16),
    /// Asks about all keys of the selected database.
    Database(DatabaseQuery<'a>),
}

impl<'a> Request<'a> {
    /// Returns the key and the query, if this request only reads.
    #[doc(hidden)]
    pub fn query(&self) -> Option<(&'a [u8], Query<'a>)> {
        match *self {
            Self::Read(key, query) | Self::MultiRead(key, query, _) => Some((key, query)),
            Self::Combine(..)
            | Self::Change(..)
            | Self::MultiKey(_)
            | Self::Select(_)
            | Self::Database(_) => None,
        }
    }

    /// Returns the key, if this request is about one.
    #[doc(hidden)]
    pub fn key(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Read(key, _) | Self::MultiRead(key, ..) | Self::Change(key, _) => Some(key),
            Self::Combine(..) | Self::MultiKey(_) | Self::Select(_) | Self::Database(_) => None,
        }
    }

    /// Returns how many bytes of keys and values the request adds to the log at most.
    pub(crate) fn logged_bytes(&self) -> usize {
        match self {
            Self::Change(key, change) => {
                key.len()
                    + match change {
                        Change::Restore { value, .. } => value.bytes().len(),
                        Change::Hash(change) => change.logged_bytes(),
                        Change::List(change) => change.logged_bytes(),
                        Change::Members(change) => change.logged_bytes(),
                        Change::SortedSet(change) => change.logged_bytes(),
                        Change::Stream(change) => change.logged_bytes(),
                        Change::RemoveNames(names) => names.bytes().len(),
                        Change::RemoveRange(from, to) => from.len() + to.len(),
                        Change::Set { value: bytes, .. }
                        | Change::Append(bytes)
                        | Change::SetRange { bytes, .. } => bytes.len(),
                        Change::SetBit { .. } => 1,
                        // At most the value: parts of it are logged only if they are shorter.
                        Change::AddElements(_) => LONGEST_HYPERLOGLOG,
                        // Each field may be an entry of its own, with the key.
                        Change::Fields(fields) => {
                            let written = fields.iter().filter(|field| field.writes()).count();
                            written.saturating_mul(LONGEST_FIELD + key.len())
                        }
                        Change::Increment(_)
                        | Change::IncrementFloat(_)
                        | Change::Delete
                        | Change::DeleteIf(_)
                        | Change::GetDelete
                        | Change::Expire { .. } => 0,
                    }
            }
            Self::MultiKey(op) => match op {
                MultiKeyOp::SetAll(pairs) | MultiKeyOp::SetAllIf { pairs, .. } => {
                    let bytes = pairs.iter().map(|(key, value)| key.len() + value.len());
                    bytes.fold(0, usize::saturating_add)
                }
                MultiKeyOp::DeleteAll(keys) => keys.iter().map(|key| key.len()).sum(),
                MultiKeyOp::MoveMember { from, to, member } => {
                    from.len() + to.len() + 2 * member.len()
                }
                MultiKeyOp::MergeElements { to, .. } => to.len() + LONGEST_HYPERLOGLOG,
                MultiKeyOp::Move { key, .. } => key.len(),
                MultiKeyOp::Bitwise { to, .. }
                | MultiKeyOp::StoreCombination(to, _)
                | MultiKeyOp::Copy { to, .. }
                // The members are not counted.
                | MultiKeyOp::StoreRange { to, .. }
                | MultiKeyOp::StoreSearch { to, .. }
                | MultiKeyOp::Sort { to: Some(to), .. } => to.len(),
                // The element that is moved is not counted.
                MultiKeyOp::Rename { from, to, .. } | MultiKeyOp::MoveElement { from, to, .. } => {
                    from.len() + to.len()
                }
                // What becomes pending is not counted: it is bounded by the reply.
                MultiKeyOp::DeliverStreams { changes, .. } => {
                    let bytes = changes.iter().map(|change| {
                        change.name.len() + StreamChange::Group(change).logged_bytes()
                    });
                    bytes.fold(0, usize::saturating_add)
                }
                MultiKeyOp::PopFirst { keys, .. } => {
                    keys.iter().map(|key| key.len()).max().unwrap_or(0)
                }
                MultiKeyOp::Sort { to: None, .. }
                | MultiKeyOp::ReadStreams { .. }
                | MultiKeyOp::Clear
                | MultiKeyOp::ClearAll
                | MultiKeyOp::SwapDatabases(..) => 0,
            },
            Self::Read(..)
            | Self::MultiRead(..)
            | Self::Combine(..)
            | Self::Select(_)
            | Self::Database(_) => 0,
        }
    }

    /// Returns how many bytes the request adds to a log entry at most. The value that a rename moves or that is copied,
    /// and the result of a bitwise operation, are not counted.
    #[doc(hidden)]
    pub fn entry_bytes(&self) -> usize {
        /// A kind, two lengths and an expiration.
        const HEAD: usize = 32;
        /// The longest sum of [`Change::IncrementFloat`] is shorter.
        const LONGEST_FLOAT: usize = 5120;
        /// Each shard has a range of slots, or several if some of its slots are being moved.
        const CLEAR: usize = 64 << 10;
        let changes = match self {
            Self::Read(..)
            | Self::MultiRead(..)
            | Self::Combine(..)
            | Self::Select(_)
            | Self::Database(_) => return 0,
            Self::Change(
                _,
                Change::IncrementFloat(_) | Change::Hash(HashChange::IncrementFloat(..)),
            ) => {
                return self.logged_bytes() + LONGEST_FLOAT;
            }
            Self::MultiKey(MultiKeyOp::Clear | MultiKeyOp::ClearAll) => return CLEAR,
            Self::Change(_, Change::Fields(fields)) => fields.len().max(1),
            Self::Change(..)
            | Self::MultiKey(
                MultiKeyOp::Bitwise { .. }
                | MultiKeyOp::MergeElements { .. }
                | MultiKeyOp::StoreCombination(..),
            ) => 1,
            Self::MultiKey(op) => op.keys().count(),
        };
        self.logged_bytes().saturating_add(changes * HEAD)
    }

    /// Returns whether the request may need memory, so that it is refused if memory is full.
    #[doc(hidden)]
    pub fn grows(&self) -> bool {
        match self {
            Self::Read(..)
            | Self::MultiRead(..)
            | Self::Combine(..)
            | Self::Select(_)
            | Self::Database(_) => false,
            Self::Change(_, change) => change.grows(),
            Self::MultiKey(op) => op.grows(),
        }
    }

    /// Estimates how many bytes of keys and values the requests add at most.
    pub(crate) fn all_added_bytes(requests: &[Self]) -> usize {
        requests.iter().map(Self::added_bytes).fold(0, usize::saturating_add)
    }

    /// Estimates how many bytes of keys and values the request adds at most.
    pub(crate) fn added_bytes(&self) -> usize {
        match self {
            Self::Change(key, change) => {
                key.len()
                    + match change {
                        Change::Set { value, .. } | Change::Append(value) => value.len(),
                        Change::Restore { value, .. } => value.bytes().len(),
                        Change::Hash(change) => change.bytes(),
                        Change::List(change) => change.bytes(),
                        Change::Members(change) => change.bytes(),
                        Change::SortedSet(change) => change.bytes(),
                        Change::Stream(change) => change.bytes(),
                        // A longer value is refused, and no bytes change nothing.
                        Change::SetRange { offset, bytes } if !bytes.is_empty() => {
                            offset.saturating_add(bytes.len()).min(LONGEST_VALUE)
                        }
                        Change::AddElements(_) => LONGEST_HYPERLOGLOG,
                        Change::SetBit { offset, .. } => byte_of(*offset).saturating_add(1),
                        Change::Fields(fields) => {
                            let written = fields.iter().filter(|field| field.writes());
                            written.map(|field| byte_of(field.offset) + 9).max().unwrap_or(0)
                        }
                        Change::Increment(_) | Change::IncrementFloat(_) => 20,
                        Change::SetRange { .. }
                        | Change::RemoveNames(_)
                        | Change::RemoveRange(..)
                        | Change::Delete
                        | Change::DeleteIf(_)
                        | Change::GetDelete
                        | Change::Expire { .. } => 0,
                    }
            }
            Self::MultiKey(MultiKeyOp::SetAll(pairs) | MultiKeyOp::SetAllIf { pairs, .. }) => {
                pairs.iter().map(|(key, value)| key.len() + value.len()).sum()
            }
            Self::MultiKey(MultiKeyOp::MoveMember { to, member, .. }) => to.len() + member.len(),
            Self::MultiKey(_)
            | Self::Read(..)
            | Self::MultiRead(..)
            | Self::Combine(..)
            | Self::Select(_)
            | Self::Database(_) => 0,
        }
    }
}

/// The bytes that the log has for a change of a HyperLogLog at most.
const LONGEST_HYPERLOGLOG: usize = 64 << 10;
/// The bytes that an integer of 64 bits touches at most.
const LONGEST_FIELD: usize = 9;

/// Returns the offset of the byte that has this bit. Longer values than [`LONGEST_VALUE`] do not exist.
fn byte_of(bit: u64) -> usize {
    usize::try_from(bit / 8).unwrap_or(usize::MAX).min(LONGEST_VALUE)
}

/// A property of a key to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query<'a> {
    /// Its value: [`Answer::Bytes`] or [`Answer::Nil`].
    Value,
    /// Whether it exists: [`Answer::Int`] 1 or 0. The key does not count as used.
    Exists,
    /// As [`Exists`](Self::Exists), but the key counts as used.
    Touch,
    /// The length of its value in bytes: [`Answer::Int`], 0 if the key is missing.
    Length,
    /// The bytes between two offsets, both inclusive, as Redis's GETRANGE: a negative offset counts from the end.
    /// [`Answer::Bytes`], empty if the key is missing.
    Range(i64, i64),
    /// As [`Value`](Self::Value), but a long value that is stored in pieces may be answered by [`Answer::Pieces`],
    /// without a copy that joins them.
    Pieces,
    /// As [`Range`](Self::Range), but answered as [`Pieces`](Self::Pieces) is.
    RangePieces(i64, i64),
    /// When it expires: [`Answer::ExpiresAt`], or [`Answer::Nil`] if it is missing.
    Expiry,
    /// The bytes of memory that it takes, all in all: [`Answer::Int`] or [`Answer::Nil`].
    MemoryUsage,
    /// Approximate seconds since it was last read or written: [`Answer::Int`] or [`Answer::Nil`], or
    /// [`RequestError::NoIdleTime`] under an eviction policy by frequency. The key does not count as used.
    IdleTime,
    /// The logarithmic counter of its uses, from 0 to 255: [`Answer::Int`] or [`Answer::Nil`], or
    /// [`RequestError::NoFrequency`] under any other eviction policy. The key does not count as used.
    Frequency,
    /// The bit at this offset: [`Answer::Int`] 1 or 0, which is also the answer behind the value's end.
    Bit(u64),
    /// How many bits of a part of the value are set: [`Answer::Int`], 0 if the key is missing.
    CountBits(BitRange),
    /// The offset of the first such bit in a part of the value: [`Answer::Int`], -1 if there is none. A missing key has
    /// only zeros.
    FindBit {
        /// The bit.
        bit: bool,
        /// The part.
        range: BitRange,
        /// Whether zeros follow the value: then the bit behind a part of ones only is clear.
        padded: bool,
    },
    /// The integers of these fields as they are, for any operation: [`Answer::Fields`]. Bits behind the value's end are
    /// zero.
    Fields(&'a [Field]),
    /// The estimated number of elements of a HyperLogLog: [`Answer::Int`], 0 if the key is missing. The value stays as
    /// it is: Redis stores the number in it.
    Cardinality,
    /// The value, if it is a HyperLogLog: [`Answer::Bytes`] or [`Answer::Nil`].
    HyperLogLog,
    /// The XXH3 of 64 bits of its value, in 16 hexadecimal digits: [`Answer::Bytes`] or [`Answer::Nil`].
    Digest,
    /// The type of its value, by Redis's name: [`Answer::Bytes`] or [`Answer::Nil`]. The key does not count as used.
    Type,
    /// The encoding in which Redis would store its value: [`Answer::Bytes`] or [`Answer::Nil`]. The key does not count
    /// as used.
    Encoding,
    /// Its value, of any type: [`Answer::Stored`] or [`Answer::Nil`]; [`RequestError::ValueTooLong`] if it takes more
    /// than [`LONGEST_VALUE`].
    Stored,
    /// A property of a hash.
    Hash(HashQuery<'a>),
    /// A property of a list.
    List(ListQuery<'a>),
    /// The sorted elements of a list, a set or a sorted set: [`Answer::Elements`]. No other keys are named.
    Sort(Sort<'a>),
    /// A property of a set.
    Members(SetQuery<'a>),
    /// A property of a sorted set.
    SortedSet(SortedSetQuery<'a>),
    /// A property of a stream.
    Stream(StreamQuery<'a>),
}

/// The answer to a request. Borrowed bytes are valid until the callback returns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer<'a> {
    /// The change was made.
    Done,
    /// There is no such key, or the change was not made.
    Nil,
    /// A number.
    Int(i64),
    /// A value, or a part of one.
    Bytes(&'a [u8]),
    /// A value as the pieces that store it, in order. Only [`Query::Pieces`] and
    /// [`Query::RangePieces`] are answered this way.
    Pieces(&'a [&'a [u8]]),
    /// The answers to the operations of [`Change::Fields`], or the integers of [`Query::Fields`].
    Fields(FieldValues<'a>),
    /// Elements, and the cursor of the next part of a walk; 0 if there is none.
    Elements(ElementList<'a>, u64),
    /// The score of a member of a sorted set.
    Score(Score),
    /// When the key expires, in milliseconds since 1970; `None` if it does not.
    ExpiresAt(Option<u64>),
    /// A value of any type.
    Stored(StoredValue<'a>),
    /// The request failed, and nothing changed.
    Error(RequestError),
}

impl Answer<'_> {
    /// Converts a count or a length: nothing in memory is longer than an `i64` can say.
    #[doc(hidden)]
    pub fn count(number: usize) -> Self {
        Self::Int(number.cast_signed() as i64)
    }
}
