//! Requests to the database and their answers: the vocabulary that RESP, gRPC, the log and embedding programs share.

use std::error::Error;
use std::fmt;

pub use crate::long_double::LongDouble;

/// Longest key, in bytes.
pub const LONGEST_KEY: usize = u16::MAX as usize;
/// Longest value, in bytes: the limit that Redis has.
pub const LONGEST_VALUE: usize = 512 << 20;

/// A request to the database.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    /// Reads one key.
    Read(&'a [u8], Query),
    /// Reads one key in one snapshot with the reads that follow. The number counts this read and those; a request of
    /// another kind ends the group early.
    MultiRead(&'a [u8], Query, usize),
    /// Changes one key.
    Change(&'a [u8], Change<'a>),
    /// Changes several keys atomically.
    MultiKey(MultiKeyOp<'a>),
}

impl<'a> Request<'a> {
    /// Returns the key and the query, if this request only reads.
    pub(crate) fn query(&self) -> Option<(&'a [u8], Query)> {
        match *self {
            Self::Read(key, query) | Self::MultiRead(key, query, _) => Some((key, query)),
            Self::Change(..) | Self::MultiKey(_) => None,
        }
    }

    /// Returns the key, if this request is about one.
    pub(crate) fn key(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Read(key, _) | Self::MultiRead(key, ..) | Self::Change(key, _) => Some(key),
            Self::MultiKey(_) => None,
        }
    }

    /// Returns how many bytes of keys and values the request adds to the log at most.
    pub(crate) fn logged_bytes(&self) -> usize {
        match self {
            Self::Change(key, change) => {
                key.len()
                    + match change {
                        Change::Set { value: bytes, .. }
                        | Change::Append(bytes)
                        | Change::SetRange { bytes, .. } => bytes.len(),
                        Change::Increment(_)
                        | Change::IncrementFloat(_)
                        | Change::Delete
                        | Change::GetDelete
                        | Change::Expire { .. } => 0,
                    }
            }
            Self::MultiKey(op) => match op {
                MultiKeyOp::SetAll(pairs) | MultiKeyOp::SetAllIfAbsent(pairs) => {
                    let bytes = pairs.iter().map(|(key, value)| key.len() + value.len());
                    bytes.fold(0, usize::saturating_add)
                }
                MultiKeyOp::DeleteAll(keys) => keys.iter().map(|key| key.len()).sum(),
                MultiKeyOp::Rename { from, to, .. } => from.len() + to.len(),
                MultiKeyOp::Clear => 0,
            },
            Self::Read(..) | Self::MultiRead(..) => 0,
        }
    }

    /// Returns how many bytes the request adds to a log entry at most. The value that a rename moves is not counted.
    pub(crate) fn entry_bytes(&self) -> usize {
        /// A kind, two lengths and an expiration.
        const HEAD: usize = 32;
        /// The longest sum of [`Change::IncrementFloat`] is shorter.
        const LONGEST_FLOAT: usize = 5120;
        /// Each shard has a range of slots, or several if some of its slots are being moved.
        const CLEAR: usize = 64 << 10;
        let changes = match self {
            Self::Read(..) | Self::MultiRead(..) => return 0,
            Self::Change(_, Change::IncrementFloat(_)) => {
                return self.logged_bytes() + LONGEST_FLOAT;
            }
            Self::MultiKey(MultiKeyOp::Clear) => return CLEAR,
            Self::Change(..) => 1,
            Self::MultiKey(op) => op.keys().count(),
        };
        self.logged_bytes().saturating_add(changes * HEAD)
    }

    /// Returns whether the request may need memory, so that it is refused if memory is full.
    pub(crate) fn grows(&self) -> bool {
        match self {
            Self::Read(..) | Self::MultiRead(..) => false,
            Self::Change(_, change) => {
                !matches!(change, Change::Delete | Change::GetDelete | Change::Expire { .. })
            }
            Self::MultiKey(op) => !matches!(op, MultiKeyOp::DeleteAll(_) | MultiKeyOp::Clear),
        }
    }

    /// Estimates how many bytes of keys and values the request adds at most.
    pub(crate) fn added_bytes(&self) -> usize {
        match self {
            Self::Change(key, change) => {
                key.len()
                    + match change {
                        Change::Set { value, .. } | Change::Append(value) => value.len(),
                        Change::SetRange { offset, bytes } => offset.saturating_add(bytes.len()),
                        Change::Increment(_) | Change::IncrementFloat(_) => 20,
                        Change::Delete | Change::GetDelete | Change::Expire { .. } => 0,
                    }
            }
            Self::MultiKey(MultiKeyOp::SetAll(pairs) | MultiKeyOp::SetAllIfAbsent(pairs)) => {
                pairs.iter().map(|(key, value)| key.len() + value.len()).sum()
            }
            Self::MultiKey(_) | Self::Read(..) | Self::MultiRead(..) => 0,
        }
    }
}

/// A property of a key to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    /// Its value: [`Answer::Bytes`] or [`Answer::Nil`].
    Value,
    /// Whether it exists: [`Answer::Int`] 1 or 0.
    Exists,
    /// The length of its value in bytes: [`Answer::Int`], 0 if the key is missing.
    Length,
    /// The bytes between two offsets, both inclusive, as Redis's GETRANGE: a negative offset counts from the end.
    /// [`Answer::Bytes`], empty if the key is missing.
    Range(i64, i64),
    /// As [`Value`](Self::Value), but a long value that is stored in pieces may be answered by [`Answer::Pieces`],
    /// without a copy that joins them.
    Pieces,
    /// The first bytes of its value, at most this many: [`Answer::Bytes`] or [`Answer::Nil`]. The key does not count
    /// as used.
    Prefix(usize),
    /// When it expires: [`Answer::ExpiresAt`], or [`Answer::Nil`] if it is missing.
    Expiry,
    /// The bytes of memory that it takes, all in all: [`Answer::Int`] or [`Answer::Nil`].
    MemoryUsage,
    /// Approximate seconds since it was last read or written: [`Answer::Int`] or [`Answer::Nil`]. The key does not
    /// count as used.
    IdleTime,
}

/// A change of one key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change<'a> {
    /// Stores a value. [`Answer::Done`], or [`Answer::Nil`] if `condition` forbids it. With `get`, the answer is the
    /// old value or [`Answer::Nil`], whether or not the value was replaced.
    Set {
        /// The value.
        value: &'a [u8],
        /// When the value is stored.
        condition: SetCondition,
        /// When the key expires.
        expiry: Expiry,
        /// Whether the answer is the old value.
        get: bool,
    },
    /// Removes the key. [`Answer::Int`] 1 or 0.
    Delete,
    /// Removes the key and answers its value, or [`Answer::Nil`].
    GetDelete,
    /// Sets or removes the expiration. [`Answer::Int`] 1, or 0 if the key is missing or `condition` forbids it. With
    /// `get`, the answer is the value or [`Answer::Nil`]. [`Expiry::Never`] changes only a key that had an expiration.
    /// A time in the past removes the key.
    Expire {
        /// When the key expires.
        expiry: Expiry,
        /// When the expiration is changed.
        condition: ExpireCondition,
        /// Whether the answer is the value.
        get: bool,
    },
    /// Adds to a decimal integer; a missing key counts as 0. [`Answer::Int`], the sum.
    Increment(i64),
    /// Adds to a decimal fraction in 80-bit arithmetic, as Redis does on x86-64; a missing key counts as 0.
    /// [`Answer::Bytes`], the sum in decimal notation with up to 17 digits after the point.
    IncrementFloat(LongDouble),
    /// Appends to the value; a missing key counts as empty. [`Answer::Int`], the new length.
    Append(&'a [u8]),
    /// Overwrites the value from `offset` on, and pads a short value with zero bytes first. [`Answer::Int`], the new
    /// length.
    SetRange {
        /// Where to write.
        offset: usize,
        /// The bytes to write; empty bytes change nothing.
        bytes: &'a [u8],
    },
}

/// The expiration that a change gives a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Keeps the expiration that the key has.
    Keep,
    /// The key does not expire.
    Never,
    /// The key expires at this time, in milliseconds since 1970.
    At(u64),
}

/// When [`Change::Set`] stores its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetCondition {
    /// Always.
    Always,
    /// If the key is missing.
    IfAbsent,
    /// If the key exists.
    IfPresent,
}

/// When [`Change::Expire`] changes the expiration. A key without one counts as expiring latest of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpireCondition {
    /// Always.
    Always,
    /// If the key has no expiration.
    NoExpiry,
    /// If the key has an expiration.
    HasExpiry,
    /// If the new expiration is later.
    Later,
    /// If the new expiration is sooner.
    Sooner,
    /// If the key has an expiration and the new one is sooner.
    HasExpiryAndSooner,
}

/// An atomic change of several keys: every reader sees all of it or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultiKeyOp<'a> {
    /// Stores all pairs in order, without expiration. [`Answer::Done`].
    SetAll(&'a [(&'a [u8], &'a [u8])]),
    /// Stores all pairs if none of the keys exists. [`Answer::Int`] 1, or 0 if one exists.
    SetAllIfAbsent(&'a [(&'a [u8], &'a [u8])]),
    /// Removes all keys. [`Answer::Int`], how many existed.
    DeleteAll(&'a [&'a [u8]]),
    /// Moves a key's value and expiration to another key. [`Answer::Done`] or [`RequestError::NoSuchKey`]; with
    /// `if_absent`, [`Answer::Int`] 1, or 0 if the other key exists.
    Rename {
        /// The old key.
        from: &'a [u8],
        /// The new key.
        to: &'a [u8],
        /// Whether an existing new key forbids the change.
        if_absent: bool,
    },
    /// Removes all keys of the database. [`Answer::Done`].
    Clear,
}

impl<'a> MultiKeyOp<'a> {
    /// Returns the keys that it names.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'a [u8]> {
        let (pairs, keys, two): (&[_], &[_], _) = match *self {
            Self::SetAll(pairs) | Self::SetAllIfAbsent(pairs) => (pairs, &[], None),
            Self::DeleteAll(keys) => (&[], keys, None),
            Self::Rename { from, to, .. } => (&[], &[], Some([from, to])),
            Self::Clear => (&[], &[], None),
        };
        let keys = pairs.iter().map(|(key, _)| *key).chain(keys.iter().copied());
        keys.chain(two.into_iter().flatten())
    }
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
    /// A value as the pieces that store it, in order. Only [`Query::Pieces`] is answered this way.
    Pieces(&'a [&'a [u8]]),
    /// When the key expires, in milliseconds since 1970; `None` if it does not.
    ExpiresAt(Option<u64>),
    /// The request failed, and nothing changed.
    Error(RequestError),
}

impl Answer<'_> {
    /// Converts a count or a length: nothing in memory is longer than an `i64` can say.
    pub(crate) fn count(number: usize) -> Self {
        Self::Int(number.cast_signed() as i64)
    }
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// The value or the increment is no 64-bit integer.
    NotAnInteger,
    /// The value is no number.
    NotAFloat,
    /// The sum does not fit into a 64-bit integer.
    Overflow,
    /// The sum is not a finite number.
    NotFinite,
    /// The key would be longer than [`LONGEST_KEY`].
    KeyTooLong,
    /// The value would be longer than [`LONGEST_VALUE`].
    ValueTooLong,
    /// There is no such key.
    NoSuchKey,
    /// Memory is at its limit, and no key may be evicted.
    OutOfMemory,
    /// The log cannot be written, so the database accepts no change.
    LogUnavailable,
    /// This node of a cluster is not the primary, so it accepts no change.
    NotPrimary,
    /// This node's group of a cluster does not have the key's hash slot, or that of one of the keys.
    SlotNotOwned,
    /// The log of a cluster has hardly any room left, so the primary accepts no change.
    LogFull,
    /// The keys and values of the change are longer than a cluster's log takes.
    EntryTooLong,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAnInteger => "value is not an integer or out of range",
            Self::NotAFloat => "value is not a valid float",
            Self::Overflow => "increment or decrement would overflow",
            Self::NotFinite => "increment would produce NaN or Infinity",
            Self::KeyTooLong => "key exceeds 65535 bytes",
            Self::ValueTooLong => "string exceeds maximum allowed size (512 MiB)",
            Self::NoSuchKey => "no such key",
            Self::OutOfMemory => "command not allowed when used memory > 'maxmemory'",
            Self::LogUnavailable => {
                "the log cannot be written, so changes are refused; see the server's log"
            }
            Self::NotPrimary => "this node is not the primary, so changes are refused",
            Self::SlotNotOwned => {
                "the hash slot of a key belongs to another group of the cluster, so this node does not execute the \
                 request"
            }
            Self::LogFull => {
                "the cluster's etcd has hardly any space left, so changes are refused; see the server's log"
            }
            Self::EntryTooLong => "the keys and values exceed 'cluster-max-entry'",
        })
    }
}

impl Error for RequestError {}
