//! How answers become replies.

use crate::ask::{Answer, Refusal};
use crate::resp::write::Writer;
use crate::state::number;

/// How the answers to what one command asks become its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
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
    Part,
    /// How long a key lives yet, or until when.
    Life {
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

impl Shape {
    /// Writes what one answer becomes; of [`Shape::Sum`] nothing. `now` is in milliseconds since 1970.
    #[inline]
    pub(crate) fn write(self, out: &mut Writer<'_>, answer: Answer<'_>, now: u64) {
        match (self, answer) {
            (Self::Value | Self::Values | Self::Part, Answer::Bytes(value)) => out.bulk(value),
            // What cannot be a key is none of those that are there.
            (Self::Value | Self::Values | Self::Done, Answer::Nothing)
            | (Self::Values, Answer::Refused(Refusal::KeyTooLong)) => out.null(),
            (Self::Done, Answer::Done) => out.ok(),
            (Self::Integer | Self::IntegerOrNull, Answer::Int(n)) => out.integer(n),
            (_, Answer::Refused(refusal)) => out.error(error_text(refusal)),
            _ => self.write_rare(out, answer, now),
        }
    }

    #[inline(never)]
    fn write_rare(self, out: &mut Writer<'_>, answer: Answer<'_>, now: u64) {
        match (self, answer) {
            (Self::DoneOrNot, answer) => out.integer((answer == Answer::Done).into()),
            (Self::Part, _) => out.bulk(b""),
            (Self::Life { seconds, moment }, answer) => out.integer(match answer {
                Answer::Lives(Some(end)) => {
                    let shown = if moment { end } else { end.saturating_sub(now) };
                    let shown = if seconds { shown.saturating_add(500) / 1000 } else { shown };
                    i64::try_from(shown).unwrap_or(i64::MAX)
                }
                Answer::Lives(None) => -1,
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
pub(crate) fn error_text(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NotAnInteger => "ERR value is not an integer or out of range",
        Refusal::NotAFloat => "ERR value is not a valid float",
        Refusal::Overflow => "ERR increment or decrement would overflow",
        Refusal::NotFinite => "ERR increment would produce NaN or Infinity",
        Refusal::KeyTooLong => "ERR key exceeds maximum allowed size (65535 bytes)",
        Refusal::ValueTooLong => "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
        Refusal::NoSuchKey => "ERR no such key",
        Refusal::Memory => "OOM command not allowed when used memory > 'maxmemory'.",
        Refusal::Log => {
            "MISCONF Errors writing to the log, so no change is taken. Please check the server's log for details \
             about the error."
        }
    }
}
