//! Why requests fail.

use std::error::Error;
use std::fmt;

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// The value or the increment is no 64-bit integer.
    NotAnInteger,
    /// The value is no number.
    NotAFloat,
    /// The eviction policy counts uses, and keeps no time of the last one.
    NoIdleTime,
    /// The eviction policy does not count uses.
    NoFrequency,
    /// A digest does not have 16 digits.
    NotADigest,
    /// The sum does not fit into a 64-bit integer.
    Overflow,
    /// The sum is not a finite number.
    NotFinite,
    /// The key would be longer than [`LONGEST_KEY`](super::LONGEST_KEY).
    KeyTooLong,
    /// The value would be longer than [`LONGEST_VALUE`](super::LONGEST_VALUE).
    ValueTooLong,
    /// The values that the commands of a transaction copy or compute, or that a script stores, would be too long
    /// together.
    ValuesTooLong,
    /// There is no such key.
    NoSuchKey,
    /// The value is of another type than the request needs.
    WrongType,
    /// By what a value is sorted is no number.
    NotSortable,
    /// There is no element at this index.
    IndexOutOfRange,
    /// The value of a hash's field is no 64-bit integer.
    HashNotAnInteger,
    /// The value of a hash's field is no number.
    HashNotAFloat,
    /// There is no member at whose place a search could begin.
    NoSuchPlace,
    /// The sum of two scores is not a number.
    ScoreNotANumber,
    /// The ID of a new entry is not greater than that of the stream's last one.
    StreamIdTooSmall,
    /// The last ID of the stream has the greatest sequence number of its time.
    StreamSequenceUsedUp,
    /// The stream has the greatest ID already.
    StreamIdsUsedUp,
    /// The last ID that a stream would get is less than that of its last entry.
    StreamIdBelowLast,
    /// A stream would have more entries than were ever added.
    StreamAddedBelowLength,
    /// There is no stream whose groups could be changed.
    StreamMissing,
    /// The stream has a consumer group of this name.
    GroupExists,
    /// The stream has no consumer group of this name, or there is no stream.
    NoSuchGroup,
    /// The value is no HyperLogLog.
    NotHyperLogLog,
    /// The value begins as a HyperLogLog, and is none.
    CorruptHyperLogLog,
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
    /// There is no database of this number.
    NoSuchDatabase,
    /// Databases cannot be swapped inside a transaction.
    SwapInTransaction,
    /// A script, or a command of a transaction beside scripts, names another database than the selected one.
    OtherDatabase,
    /// A [`Transaction`](crate::Transaction) has read too many keys.
    TransactionTooLarge,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAnInteger => "value is not an integer or out of range",
            Self::NotAFloat => "value is not a valid float",
            Self::NoIdleTime => "the eviction policy counts accesses and does not record the time of the last one",
            Self::NoFrequency => "the eviction policy does not count accesses",
            Self::NotADigest => "must be exactly 16 hexadecimal characters",
            Self::Overflow => "increment or decrement would overflow",
            Self::NoSuchPlace => "could not decode requested zset member",
            Self::StreamIdTooSmall => {
                "the ID of the new entry is equal to or less than that of the stream's last one"
            }
            Self::StreamSequenceUsedUp => "the time of the new entry has no further IDs",
            Self::StreamIdsUsedUp => "the stream has an entry with the greatest ID",
            Self::StreamIdBelowLast => "the ID is less than that of the stream's last entry",
            Self::StreamAddedBelowLength => "the stream has more entries than would ever be added",
            Self::StreamMissing => "there is no stream of this name",
            Self::GroupExists => "there is a consumer group of this name",
            Self::NoSuchGroup => "there is no consumer group of this name",
            Self::ScoreNotANumber => "resulting score is not a number (NaN)",
            Self::NotFinite => "increment would produce NaN or Infinity",
            Self::KeyTooLong => "key exceeds 65535 bytes",
            Self::ValueTooLong => "string exceeds maximum allowed size (512 MiB)",
            Self::ValuesTooLong => {
                "a transaction copies or computes, or a script stores, more bytes of values than it may"
            }
            Self::NoSuchKey => "no such key",
            Self::WrongType => "the key's value is of another type than the request needs",
            Self::NotSortable => "one or more elements cannot be converted to numbers",
            Self::IndexOutOfRange => "index out of range",
            Self::HashNotAnInteger => "hash value is not an integer",
            Self::HashNotAFloat => "hash value is not a float",
            Self::NotHyperLogLog => "the value is not a HyperLogLog",
            Self::CorruptHyperLogLog => "the HyperLogLog is corrupt",
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
                "the storage quota of the cluster's etcd is nearly used up, so changes are refused; see the server's \
                 log"
            }
            Self::EntryTooLong => "the keys and values exceed 'cluster-max-entry'",
            Self::NoSuchDatabase => "DB index is out of range",
            Self::SwapInTransaction => "databases cannot be swapped inside a transaction",
            Self::OtherDatabase => "scripts and the commands in their transaction can access only one database",
            Self::TransactionTooLarge => "the transaction reads too many keys",
        })
    }
}

impl Error for RequestError {}
