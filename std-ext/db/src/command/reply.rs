//! How answers of the database become replies.

use crate::command::lcs::LcsOptions;
use crate::number;
use crate::rdb::payload;
use crate::request::{Answer, KeyList, RequestError};
use crate::resp::write::RespWriter;

/// How the answers to one command's requests become its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyKind {
    /// A bulk string, or null.
    Value,
    /// An array of as many bulk strings or nulls as there are keys.
    Values,
    /// OK, or null if it was not done.
    Done,
    /// 1, or 0 if it was not done.
    DoneAsInteger,
    /// An integer.
    Integer,
    /// An array of the integers and nulls of one answer.
    Fields,
    /// An array of keys.
    Keys,
    /// A cursor, and an array of keys.
    Scanned,
    /// The error for these arguments; or this integer or null if the key is missing, because Redis looks for the key
    /// first.
    Refused(ArgumentError, Option<i8>),
    /// An integer, or null.
    IntegerOrNull,
    /// The sum of integers.
    Sum,
    /// The number of elements of all HyperLogLogs.
    Union,
    /// The longest common subsequence of two values.
    Lcs(LcsOptions),
    /// An empty array, or an error if the key exists.
    Sorted,
    /// A bulk string, empty if the key is missing.
    Range,
    /// The remaining time to live, or the expiration time.
    Ttl {
        /// In seconds, not milliseconds.
        seconds: bool,
        /// The expiration time itself.
        absolute: bool,
    },
    /// The type of the key's value.
    Type,
    /// The encoding that Redis would use for the value.
    Encoding,
    /// The number of references to the value.
    Shared,
    /// The payload of DUMP, or null.
    Dump,
    /// OK, or an error because the key exists.
    Restored,
    /// An error because the key exists, or else this one.
    NotRestored(RestoreError),
}

/// An error in the arguments of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArgumentError {
    Syntax,
    NotAnInteger,
    /// The time of GETEX is not positive, or too late.
    ExpireTime,
    /// DELEX has no such condition.
    Condition,
}

impl ArgumentError {
    fn text(self) -> &'static str {
        match self {
            Self::Syntax => "ERR syntax error",
            Self::NotAnInteger => "ERR value is not an integer or out of range",
            Self::ExpireTime => "ERR invalid expire time in 'getex' command",
            Self::Condition => "ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE",
        }
    }
}

/// The reason why RESTORE stores nothing, whether or not the key exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RestoreError {
    /// The time to live is no integer.
    NotAnInteger,
    /// The time to live is negative.
    Ttl,
    /// The key would expire after the latest time.
    ExpireTime,
    /// The version of the payload is not known, or its checksum is wrong.
    VersionOrChecksum,
    /// The payload contains no string.
    Format,
}

impl RestoreError {
    /// Returns the error reply.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::NotAnInteger => "ERR value is not an integer or out of range",
            Self::Ttl => "ERR Invalid TTL value, must be >= 0",
            Self::ExpireTime => "ERR invalid expire time in 'restore' command",
            Self::VersionOrChecksum => "ERR DUMP payload version or checksum are wrong",
            Self::Format => "ERR Bad data format",
        }
    }
}

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
const BUSY_KEY: &str = "BUSYKEY Target key name already exists.";

/// Redis stores values up to this length in one allocation with their header.
pub(super) const EMBSTR_MAX: usize = 44;

impl ReplyKind {
    /// Writes the reply of one answer; nothing for [`ReplyKind::Sum`]. `now` is in milliseconds since 1970. Returns the
    /// error if the reply is one although the answer is not.
    #[inline(always)]
    pub(crate) fn write(
        self,
        out: &mut RespWriter<'_>,
        answer: Answer<'_>,
        now: u64,
    ) -> Option<&'static str> {
        match (self, answer) {
            (Self::Value | Self::Values | Self::Range, Answer::Bytes(value)) => out.bulk(value),
            (Self::Value | Self::Values | Self::Done, Answer::Nil) => out.null(),
            (Self::Done, Answer::Done) => out.ok(),
            (Self::Integer | Self::IntegerOrNull, Answer::Int(n)) => out.integer(n),
            (_, Answer::Error(error)) => out.error(error_text(error)),
            _ => return self.write_rare(out, answer, now),
        }
        None
    }

    #[inline(never)]
    fn write_rare(
        self,
        out: &mut RespWriter<'_>,
        answer: Answer<'_>,
        now: u64,
    ) -> Option<&'static str> {
        if let Some(error) = self.error_for(&answer) {
            out.error(error);
            return Some(error);
        }
        match (self, answer) {
            (Self::DoneAsInteger, answer) => out.integer((answer == Answer::Done).into()),
            (Self::Value | Self::Values | Self::Range, Answer::Pieces(pieces)) => {
                out.bulk_of(pieces);
            }
            (Self::Range, _) => out.bulk(b""),
            (Self::Ttl { seconds, absolute }, answer) => out.integer(match answer {
                Answer::ExpiresAt(Some(end)) => {
                    let shown = if absolute { end } else { end.saturating_sub(now) };
                    // Rounded as in `ttlGenericCommand`.
                    let shown = if seconds { shown.saturating_add(500) / 1000 } else { shown };
                    i64::try_from(shown).unwrap_or(i64::MAX)
                }
                Answer::ExpiresAt(None) => -1,
                _ => -2,
            }),
            (Self::Type, Answer::Int(1)) => out.simple("string"),
            (Self::Type, _) => out.simple("none"),
            (Self::Encoding, Answer::Bytes(value)) => out.bulk(encoding(value).as_bytes()),
            // Redis answers 2147483647 for integers below 10000, whose objects it shares. Nothing is shared here.
            (Self::Shared, Answer::Bytes(_)) => out.integer(1),
            (Self::Fields, Answer::Fields(values)) => {
                out.array(values.len());
                values.iter().for_each(|value| match value {
                    Some(value) => out.integer(value),
                    None => out.null(),
                });
            }
            (Self::Keys, Answer::Keys(keys, _)) => write_keys(out, keys),
            (Self::Scanned, Answer::Keys(keys, next)) => {
                out.array(2);
                out.bulk(itoa::Buffer::new().format(next).as_bytes());
                write_keys(out, keys);
            }
            (Self::Refused(_, Some(missing)), _) => out.integer(missing.into()),
            (Self::Sorted, _) => out.array(0),
            (Self::Dump, Answer::Bytes(value)) => write_dump(out, &[value]),
            (Self::Dump, Answer::Pieces(pieces)) => write_dump(out, pieces),
            (Self::Restored, _) => out.ok(),
            _ => out.null(),
        }
        None
    }

    /// Returns the error that is the reply for an answer that is none.
    fn error_for(self, answer: &Answer<'_>) -> Option<&'static str> {
        match (self, answer) {
            (Self::Refused(error, _), Answer::Int(1)) => Some(error.text()),
            (Self::Sorted, Answer::Int(1)) => Some(WRONG_TYPE),
            (Self::Restored, Answer::Done) => None,
            (Self::Restored, _) | (Self::NotRestored(_), Answer::Int(1)) => Some(BUSY_KEY),
            (Self::NotRestored(why), _) => Some(why.text()),
            _ => None,
        }
    }
}

fn write_keys(out: &mut RespWriter<'_>, keys: KeyList<'_>) {
    out.array(keys.len());
    keys.iter().for_each(|key| out.bulk(key));
}

fn write_dump(out: &mut RespWriter<'_>, pieces: &[&[u8]]) {
    let mut payload = Vec::new();
    payload::dump(pieces, &mut payload);
    out.bulk(&payload);
}

/// Returns the encoding that Redis would use. The first [`EMBSTR_MAX`] + 1 bytes of the value decide it.
fn encoding(value: &[u8]) -> &'static str {
    // As `tryObjectEncoding` would: no text of an integer is longer than 20 bytes.
    if number::integer(value).is_some() {
        "int"
    // By the value alone. Redis says `raw` for a short value that was changed in place, as by APPEND.
    } else if value.len() <= EMBSTR_MAX {
        "embstr"
    } else {
        "raw"
    }
}

const NO_IDLE_TIME: &str = "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when \
    switching between policies at runtime LRU and LFU data will take some time to adjust.";
const NO_FREQUENCY: &str = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note \
    that when switching between policies at runtime LRU and LFU data will take some time to adjust.";

/// Returns the error reply, in Redis's words if Redis has the same error.
pub(crate) fn error_text(error: RequestError) -> &'static str {
    match error {
        RequestError::NotAnInteger => "ERR value is not an integer or out of range",
        RequestError::NotAFloat => "ERR value is not a valid float",
        RequestError::NoIdleTime => NO_IDLE_TIME,
        RequestError::NoFrequency => NO_FREQUENCY,
        RequestError::NotADigest => "ERR must be exactly 16 hexadecimal characters",
        RequestError::Overflow => "ERR increment or decrement would overflow",
        RequestError::NotFinite => "ERR increment would produce NaN or Infinity",
        RequestError::KeyTooLong => "ERR key exceeds maximum allowed size (65535 bytes)",
        RequestError::ValueTooLong => {
            "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
        }
        RequestError::ValuesTooLong => {
            "ERR this transaction copies or computes, or this script stores, more bytes of values than \
             maxmemory (64mb to 512mb)"
        }
        RequestError::NoSuchDatabase => "ERR DB index is out of range",
        RequestError::SwapInTransaction => "ERR databases cannot be swapped inside a transaction",
        RequestError::OtherDatabase => {
            "ERR scripts and the commands in their transaction can access only the selected database"
        }
        RequestError::TransactionTooLarge => "ERR this connection watches too many keys",
        RequestError::NoSuchKey => "ERR no such key",
        RequestError::WrongType => WRONG_TYPE,
        RequestError::NotHyperLogLog => "WRONGTYPE Key is not a valid HyperLogLog string value.",
        RequestError::CorruptHyperLogLog => "INVALIDOBJ Corrupted HLL object detected",
        RequestError::OutOfMemory => "OOM command not allowed when used memory > 'maxmemory'.",
        RequestError::NotPrimary => "READONLY You can't write against a read only replica.",
        RequestError::SlotNotOwned => "CLUSTERDOWN Hash slot not served",
        RequestError::EntryTooLong => "ERR the keys and values exceed 'cluster-max-entry'",
        RequestError::LogFull => {
            "MISCONF The storage quota of the cluster's etcd is nearly used up: changes are refused. Check the \
             server's log for details."
        }
        RequestError::LogUnavailable => {
            "MISCONF Errors writing to the log: changes are refused. Check the server's log for details."
        }
        // The enum may grow, and the compiler does not check that this match names all of it.
        _ => "ERR the request is refused",
    }
}
