//! Requests about the fields of a hash.

use super::LongDouble;
use super::expiry::{ExpireCondition, Expiry};
use super::packed::TIME;

/// The most bytes that a field and its value have together. Each may be as long as a string.
pub(crate) const LONGEST_PAIR: usize = (1 << 30) - 64;

/// A question about a hash. A missing key is an empty hash; of a value of another type the answer is
/// [`RequestError::WrongType`](super::RequestError::WrongType).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashQuery<'a> {
    /// The value of a field: [`Answer::Bytes`](super::Answer::Bytes) or [`Answer::Nil`](super::Answer::Nil). O(log n).
    Get(&'a [u8]),
    /// The values of these fields: [`Answer::Elements`](super::Answer::Elements), with `None` for a field that is
    /// missing.
    GetMany {
        /// The fields.
        fields: &'a [&'a [u8]],
        /// The answer ends once its reply takes more bytes than this.
        most: usize,
    },
    /// The number of fields: [`Answer::Int`](super::Answer::Int). O(1), or O(log n) if a field expires. As in Valkey,
    /// those count that have expired and were not removed yet.
    Length,
    /// When these fields expire, in milliseconds since 1970: [`Answer::Fields`](super::Answer::Fields), with -1 for one
    /// that does not, and -2 for a missing one.
    Times(&'a [&'a [u8]]),
    /// Whether there is such a field: [`Answer::Int`](super::Answer::Int) 1 or 0.
    Exists(&'a [u8]),
    /// The length of a field's value in bytes: [`Answer::Int`](super::Answer::Int), 0 if the field is missing.
    FieldLength(&'a [u8]),
    /// All fields, all values, or each field in front of its value: [`Answer::Elements`](super::Answer::Elements). A
    /// short hash is in the order in which the fields were added; the order of a long one means nothing, and is the
    /// same on every node of a cluster.
    All {
        /// What is wanted.
        parts: HashParts,
        /// As in [`GetMany`](Self::GetMany).
        most: usize,
    },
    /// Random fields. Without a count, one of them, [`Answer::Bytes`](super::Answer::Bytes) or
    /// [`Answer::Nil`](super::Answer::Nil); otherwise [`Answer::Elements`](super::Answer::Elements). A positive count
    /// wants as many different fields, or all if there are not more; a negative one wants as many, each chosen among
    /// all.
    Random {
        /// How many.
        count: Option<i64>,
        /// What is wanted of each.
        parts: HashParts,
        /// As in [`GetMany`](Self::GetMany).
        most: usize,
    },
    /// A part of a walk over all fields: [`Answer::Elements`](super::Answer::Elements), each field in front of its
    /// value. A walk begins with the cursor 0 and ends with it. A field that exists during the whole walk is found
    /// exactly once.
    Scan {
        /// Where the walk goes on.
        cursor: u64,
        /// About how many fields are visited.
        count: usize,
        /// The glob pattern that the fields match, in Redis's notation.
        pattern: Option<&'a [u8]>,
        /// As in [`GetMany`](Self::GetMany).
        most: usize,
    },
}

/// What an answer has of each entry of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashParts {
    /// The field.
    Fields,
    /// The value.
    Values,
    /// The field, and then the value.
    Both,
}

/// A change of a hash. Creates the key if it is missing, and removes it with its last field; a value of another type
/// stays as it is, and the answer is [`RequestError::WrongType`](super::RequestError::WrongType).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HashChange<'a> {
    /// Stores fields with their values, in order. [`Answer::Int`](super::Answer::Int), the number of fields that were
    /// missing.
    Set(&'a [(&'a [u8], &'a [u8])]),
    /// Stores a field that is missing. [`Answer::Int`](super::Answer::Int) 1, or 0 if it exists.
    SetIfAbsent(&'a [u8], &'a [u8]),
    /// Removes fields. [`Answer::Int`](super::Answer::Int), how many there were.
    Delete(&'a [&'a [u8]]),
    /// Adds to the decimal integer in a field; a missing field counts as 0. [`Answer::Int`](super::Answer::Int), the
    /// sum.
    Increment(&'a [u8], i64),
    /// Adds to the decimal fraction in a field as [`Change::IncrementFloat`](super::Change::IncrementFloat) does.
    /// [`Answer::Bytes`](super::Answer::Bytes), the sum.
    IncrementFloat(&'a [u8], LongDouble),
    /// Sets or removes the expiration of fields. [`Answer::Fields`](super::Answer::Fields), for each field 1, or 0 if
    /// `condition` forbids it, or -2 if it is missing, or 2 if the time has passed and the field was removed. With
    /// [`Expiry::Never`] it is -1 for a field that does not expire.
    Expire {
        /// The fields.
        fields: &'a [&'a [u8]],
        /// When they expire.
        expiry: Expiry,
        /// When that is changed. A field that does not expire counts as expiring latest of all.
        condition: ExpireCondition,
    },
    /// Stores fields and sets when they expire, if the conditions hold. [`Answer::Int`](super::Answer::Int) 1 or 0.
    /// Fields that expire at a time that has passed are removed.
    SetExpiring {
        /// The fields with their values.
        pairs: &'a [(&'a [u8], &'a [u8])],
        /// Whether all fields must exist, or none of them may.
        fields_exist: Option<bool>,
        /// Whether the key must exist, or must not.
        key_exists: Option<bool>,
        /// When the fields expire.
        expiry: Expiry,
    },
    /// Answers the values of fields, [`Answer::Elements`](super::Answer::Elements), and sets or removes their
    /// expiration.
    GetExpire {
        /// The fields.
        fields: &'a [&'a [u8]],
        /// When they expire.
        expiry: Expiry,
        /// As in [`HashQuery::GetMany`].
        most: usize,
    },
    /// Removes fields, and answers their values: [`Answer::Elements`](super::Answer::Elements).
    GetDelete {
        /// The fields.
        fields: &'a [&'a [u8]],
        /// As in [`HashQuery::GetMany`].
        most: usize,
    },
}

impl HashChange<'_> {
    /// Returns the bytes of fields and values that it adds at most.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Set(pairs) | Self::SetExpiring { pairs, .. } => {
                let bytes = pairs.iter().map(|(field, value)| field.len() + value.len());
                bytes.fold(0, usize::saturating_add)
            }
            Self::SetIfAbsent(field, value) => field.len() + value.len(),
            Self::Delete(_) | Self::GetDelete { .. } => 0,
            Self::Expire { fields, .. } | Self::GetExpire { fields, .. } => {
                // A long hash has each of them twice more.
                let bytes = fields.iter().map(|field| 2 * field.len() + 2 * TIME);
                bytes.fold(0, usize::saturating_add)
            }
            Self::Increment(field, _) | Self::IncrementFloat(field, _) => field.len() + 20,
        }
    }

    /// Returns the bytes that the log gets of it at most, besides the key.
    pub(crate) fn logged_bytes(&self) -> usize {
        /// Lengths of a field and a value.
        const LENGTHS: usize = 10;
        match self {
            Self::Set(pairs) | Self::SetExpiring { pairs, .. } => {
                self.bytes().saturating_add(pairs.len() * (LENGTHS + TIME))
            }
            Self::Expire { fields, .. } | Self::GetExpire { fields, .. } => {
                let bytes = fields.iter().map(|field| field.len() + LENGTHS + TIME);
                bytes.fold(0, usize::saturating_add)
            }
            Self::Delete(fields) | Self::GetDelete { fields, .. } => {
                let bytes = fields.iter().map(|field| field.len() + LENGTHS);
                bytes.fold(0, usize::saturating_add)
            }
            // The expiration that a field keeps.
            _ => self.bytes() + LENGTHS + TIME,
        }
    }
}
