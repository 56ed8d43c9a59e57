//! How answers become replies.

use crate::request::{Answer, RequestError};
use crate::resp::write::Writer;
use crate::state::number;

/// How the answers to what one command asks become its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyKind {
    /// Bytes, or null.
    Value,
    /// As many of them as were asked for, in an array.
    Values,
    /// OK, or null where it was not done.
    Done,
    /// 1, or 0 where it was not done.
    DoneOrNot,
    /// An integer.
    Integer,
    /// An integer, or null.
    IntegerOrNull,
    /// The sum of integers.
    Sum,
    /// Bytes, or none.
    Subcommand,
    /// How long a key lives yet, or until when.
    Expiry {
        /// In seconds, not milliseconds.
        seconds: bool,
        /// The moment itself.
        moment: bool,
    },
    /// Of what type a key's value is.
    Type,
    /// How Redis would keep the value.
    Encoding,
    /// How many share the value.
    Shared,
    /// That it is not counted how often a key is used, or null.
    Frequency,
}

/// So many bytes Redis keeps together with their head.
pub(super) const EMBEDDED: usize = 44;

impl ReplyKind {
    /// Writes what one answer becomes; of [`ReplyKind::Sum`] nothing. `now` is in milliseconds since 1970.
    #[inline]
    pub(crate) fn write(self, out: &mut Writer<'_>, answer: Answer<'_>, now: u64) {
        match (self, answer) {
            (Self::Value | Self::Values | Self::Subcommand, Answer::Bytes(value)) => {
                out.bulk(value)
            }
            // What cannot be a key is none of those that are there.
            (Self::Value | Self::Values | Self::Done, Answer::Nil)
            | (Self::Values, Answer::Error(RequestError::KeyTooLong)) => out.null(),
            (Self::Done, Answer::Done) => out.ok(),
            (Self::Integer | Self::IntegerOrNull, Answer::Int(n)) => out.integer(n),
            (_, Answer::Error(error)) => out.error(error_text(error)),
            _ => self.write_rare(out, answer, now),
        }
    }

    #[inline(never)]
    fn write_rare(self, out: &mut Writer<'_>, answer: Answer<'_>, now: u64) {
        match (self, answer) {
            (Self::DoneOrNot, answer) => out.integer((answer == Answer::Done).into()),
            (Self::Subcommand, _) => out.bulk(b""),
            (Self::Expiry { seconds, moment }, answer) => out.integer(match answer {
                Answer::ExpiresAt(Some(end)) => {
                    let shown = if moment { end } else { end.saturating_sub(now) };
                    let shown = if seconds { shown.saturating_add(500) / 1000 } else { shown };
                    i64::try_from(shown).unwrap_or(i64::MAX)
                }
                Answer::ExpiresAt(None) => -1,
                _ => -2,
            }),
            (Self::Value | Self::Values, Answer::Pieces(pieces)) => out.bulk_of(pieces),
            (Self::Type, Answer::Int(1)) => out.simple("string"),
            (Self::Type, _) => out.simple("none"),
            (Self::Encoding, Answer::Bytes(value)) => out.bulk(encoding(value).as_bytes()),
            (Self::Shared, Answer::Int(1)) => out.integer(1),
            (Self::Frequency, Answer::Int(1)) => out.error(NO_FREQUENCY),
            _ => out.null(),
        }
    }
}

/// How Redis would keep a value, of which the first [`EMBEDDED`] bytes and one more tell it.
fn encoding(value: &[u8]) -> &'static str {
    if number::integer(value).is_some() {
        "int"
    } else if value.len() <= EMBEDDED {
        "embstr"
    } else {
        "raw"
    }
}

const NO_FREQUENCY: &str = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note \
    that when switching between policies at runtime LRU and LFU data will take some time to adjust.";

/// Why something was refused, in Redis's words where it has such a reason.
pub(crate) fn error_text(error: RequestError) -> &'static str {
    match error {
        RequestError::NotAnInteger => "ERR value is not an integer or out of range",
        RequestError::NotAFloat => "ERR value is not a valid float",
        RequestError::Overflow => "ERR increment or decrement would overflow",
        RequestError::NotFinite => "ERR increment would produce NaN or Infinity",
        RequestError::KeyTooLong => "ERR key exceeds maximum allowed size (65535 bytes)",
        RequestError::ValueTooLong => {
            "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
        }
        RequestError::NoSuchKey => "ERR no such key",
        RequestError::OutOfMemory => "OOM command not allowed when used memory > 'maxmemory'.",
        RequestError::LogUnavailable => {
            "MISCONF Errors writing to the log, so no change is taken. Please check the server's log for details \
             about the error."
        }
    }
}
