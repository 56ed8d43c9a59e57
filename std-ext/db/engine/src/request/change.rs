//! Changes of one key.

use super::LongDouble;
use super::bits::Field;
use super::expiry::{ExpireCondition, Expiry};
use super::hash::HashChange;
use super::list::ListChange;
use super::packed::Packed;
use super::set::SetChange;
use super::sorted_set::SortedSetChange;
use super::stream::StreamChange;
use super::value::StoredValue;
use super::value_type::ValueType;

/// How a key was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// The seconds since it was last used.
    IdleSeconds(u64),
    /// The logarithmic counter of its uses: see [`Query::Frequency`](super::Query::Frequency).
    Frequency(u8),
}

/// A change of one key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change<'a> {
    /// Stores a value. [`Answer::Done`](super::Answer::Done), or [`Answer::Nil`](super::Answer::Nil) if `condition`
    /// forbids it. With `get`, the answer is the old value or [`Answer::Nil`](super::Answer::Nil), whether or not the
    /// value was replaced.
    Set {
        /// The value.
        value: &'a [u8],
        /// When the value is stored.
        condition: SetCondition<'a>,
        /// When the key expires.
        expiry: Expiry,
        /// Whether the answer is the old value.
        get: bool,
    },
    /// Stores a value of any type, as of a dump. [`Answer::Done`](super::Answer::Done), or
    /// [`Answer::Nil`](super::Answer::Nil) if the key exists and is not replaced. A part that continues a value
    /// ([`StoredValue::continues`](super::StoredValue::continues)) is added to that of the key, which keeps its
    /// expiration. A string is stored as by [`Set`](Self::Set), but subscribers are told of another event.
    Restore {
        /// The value, or a part of it. The names of a hash, a set or a sorted set are different.
        value: StoredValue<'a>,
        /// When the key expires.
        expiry: Expiry,
        /// Whether a key that exists is replaced.
        replace: bool,
        /// How the key was used before, if that is known. It is not logged, and ignored if the eviction policy records
        /// the other kind.
        usage: Option<Usage>,
    },
    /// Removes the key. [`Answer::Int`](super::Answer::Int) 1 or 0.
    Delete,
    /// Removes the key if it exists and the condition holds. [`Answer::Int`](super::Answer::Int) 1 or 0.
    DeleteIf(SetCondition<'a>),
    /// Removes the key and answers its value, or [`Answer::Nil`](super::Answer::Nil).
    GetDelete,
    /// Sets or removes the expiration. [`Answer::Int`](super::Answer::Int) 1, or 0 if the key is missing or `condition`
    /// forbids it. With `get`, the answer is the value or [`Answer::Nil`](super::Answer::Nil). [`Expiry::Never`]
    /// changes only a key that had an expiration. A time in the past removes the key.
    Expire {
        /// When the key expires.
        expiry: Expiry,
        /// When the expiration is changed.
        condition: ExpireCondition,
        /// Whether the answer is the value.
        get: bool,
    },
    /// Adds to a decimal integer; a missing key counts as 0. [`Answer::Int`](super::Answer::Int), the sum.
    Increment(i64),
    /// Adds to a decimal fraction in 80-bit arithmetic, as Redis does on x86-64; a missing key counts as 0.
    /// [`Answer::Bytes`](super::Answer::Bytes), the sum in decimal notation with up to 17 digits after the point.
    IncrementFloat(LongDouble),
    /// Appends to the value; a missing key counts as empty. [`Answer::Int`](super::Answer::Int), the new length.
    Append(&'a [u8]),
    /// Overwrites the value from `offset` on, and pads a short value with zero bytes first.
    /// [`Answer::Int`](super::Answer::Int), the new length.
    SetRange {
        /// Where to write.
        offset: usize,
        /// The bytes to write; empty bytes change nothing.
        bytes: &'a [u8],
    },
    /// Sets or clears a bit, and pads a short value with zero bytes first. [`Answer::Int`](super::Answer::Int), the
    /// bit's value before.
    SetBit {
        /// The offset of the bit.
        offset: u64,
        /// Its new value.
        bit: bool,
    },
    /// Reads and changes integers of any width, in order. A short value is padded with zero bytes up to the last
    /// integer that is changed, even if that fails. [`Answer::Fields`](super::Answer::Fields).
    Fields(&'a [Field]),
    /// Adds elements to a HyperLogLog, whose value has the format of Redis. Creates a missing one.
    /// [`Answer::Int`](super::Answer::Int) 1 if the key was missing or the value has changed, else 0.
    AddElements(&'a [&'a [u8]]),
    /// Changes fields of a hash.
    Hash(HashChange<'a>),
    /// Changes elements of a list.
    List(ListChange<'a>),
    /// Changes members of a set.
    Members(SetChange<'a>),
    /// Changes members of a sorted set.
    SortedSet(SortedSetChange<'a>),
    /// Removes fields of a hash or members of a set or a sorted set, as the log names them.
    /// [`Answer::Int`](super::Answer::Int), how many there were.
    #[doc(hidden)]
    RemoveNames(Packed<'a>),
    /// Changes a stream.
    Stream(StreamChange<'a>),
    /// Removes the names of a stream from one on up to another, as the log has it.
    /// [`Answer::Done`](super::Answer::Done).
    #[doc(hidden)]
    RemoveRange(&'a [u8], &'a [u8]),
}

impl Change<'_> {
    /// Returns whether the change may need memory.
    #[doc(hidden)]
    pub fn grows(&self) -> bool {
        match self {
            Self::Delete
            | Self::DeleteIf(_)
            | Self::GetDelete
            | Self::Expire { .. }
            | Self::RemoveNames(_)
            | Self::RemoveRange(..)
            | Self::Hash(
                HashChange::Delete(_)
                | HashChange::Expire { .. }
                | HashChange::GetExpire { .. }
                | HashChange::GetDelete { .. },
            ) => false,
            Self::List(change) => change.grows(),
            Self::Members(change) => change.grows(),
            Self::SortedSet(change) => change.grows(),
            Self::Stream(change) => change.grows(),
            _ => true,
        }
    }

    /// Returns whether the change stores a key that is missing.
    #[doc(hidden)]
    pub fn creates(&self) -> bool {
        use SetCondition::{
            Always, IfAbsent, IfDigest, IfEqual, IfNotDigest, IfNotEqual, IfPresent,
        };
        match self {
            Self::Set { condition, .. } => match condition {
                Always | IfAbsent | IfNotEqual(_) | IfNotDigest(_) => true,
                IfPresent | IfEqual(_) | IfDigest(_) => false,
            },
            Self::SetRange { bytes, .. } => !bytes.is_empty(),
            Self::Fields(fields) => fields.iter().any(Field::writes),
            Self::List(change) => change.creates(),
            _ => self.grows(),
        }
    }

    /// Returns the type that the value has to have if the key exists; `None` for a change of keys of any type.
    pub(crate) fn wanted_type(&self) -> Option<ValueType> {
        use SetCondition::{Always, IfAbsent, IfPresent};
        match self {
            Self::Set { condition, get, .. } => {
                let reads = *get || !matches!(condition, Always | IfAbsent | IfPresent);
                reads.then_some(ValueType::String)
            }
            Self::DeleteIf(condition) => {
                let reads = !matches!(condition, Always | IfAbsent | IfPresent);
                reads.then_some(ValueType::String)
            }
            Self::Expire { get, .. } => get.then_some(ValueType::String),
            Self::Restore { value, .. } => value.continues().then_some(value.value_type()),
            Self::Delete => None,
            Self::GetDelete
            | Self::Increment(_)
            | Self::IncrementFloat(_)
            | Self::Append(_)
            | Self::SetRange { .. }
            | Self::SetBit { .. }
            | Self::Fields(_)
            | Self::AddElements(_) => Some(ValueType::String),
            Self::Hash(_) => Some(ValueType::Hash),
            Self::List(_) => Some(ValueType::List),
            Self::Members(_) => Some(ValueType::Set),
            Self::SortedSet(_) => Some(ValueType::SortedSet),
            Self::Stream(_) | Self::RemoveRange(..) => Some(ValueType::Stream),
            Self::RemoveNames(names) => Some(names.value_type()),
        }
    }

    /// Returns whether the change reads the whole value that the key has, which may be far longer than the request.
    #[doc(hidden)]
    pub fn examines_value(&self) -> bool {
        let (Self::Set { condition, .. } | Self::DeleteIf(condition)) = self else { return false };
        matches!(condition, SetCondition::IfDigest(_) | SetCondition::IfNotDigest(_))
    }
}

/// When [`Change::Set`] stores its value, and [`Change::DeleteIf`] removes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetCondition<'a> {
    /// Always.
    Always,
    /// If the key is missing.
    IfAbsent,
    /// If the key exists.
    IfPresent,
    /// If the key has this value.
    IfEqual(&'a [u8]),
    /// If the key has another value, or is missing.
    IfNotEqual(&'a [u8]),
    /// If the key has a value of this digest: see [`Query::Digest`](super::Query::Digest).
    /// [`RequestError::NotADigest`](super::RequestError::NotADigest) if the key exists and these are not 16 bytes.
    IfDigest(&'a [u8]),
    /// If the key has a value of another digest, or is missing. The error is the same.
    IfNotDigest(&'a [u8]),
}
