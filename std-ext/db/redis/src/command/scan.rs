//! The arguments that the commands that walk through keys or entries share, and those that choose random entries.

use crate::command::arguments::{ArgumentError, is};
use hedgerow_db_formats::number;

/// The numbers of entries that HRANDFIELD and SRANDMEMBER take, so that the negative of each is one, too.
pub(super) const COUNTS: std::ops::RangeInclusive<i64> = -i64::MAX..=i64::MAX;
pub(super) const NOT_A_COUNT: &str =
    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";

/// The options of SCAN, HSCAN and SSCAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScanOptions<'a> {
    pub(super) count: usize,
    pub(super) pattern: Option<&'a [u8]>,
    /// The name of a type.
    pub(super) type_name: Option<&'a [u8]>,
}

impl<'a> ScanOptions<'a> {
    /// Reads the arguments after the cursor. Only SCAN has the option TYPE.
    pub(super) fn read(mut rest: &[&'a [u8]], has_type: bool) -> Result<Self, ArgumentError> {
        let mut options = Self { count: 10, pattern: None, type_name: None };
        loop {
            rest = match rest {
                [] => return Ok(options),
                [option, value, rest @ ..] if is(option, "count") => {
                    let count = number::integer(value).ok_or(ArgumentError::NotAnInteger)?;
                    let count = usize::try_from(count).ok().filter(|count| *count > 0);
                    options.count = count.ok_or(ArgumentError::Syntax)?;
                    rest
                }
                [option, value, rest @ ..] if is(option, "match") => {
                    options.pattern = Some(*value);
                    rest
                }
                [option, value, rest @ ..] if has_type && is(option, "type") => {
                    options.type_name = Some(*value);
                    rest
                }
                _ => return Err(ArgumentError::Syntax),
            };
        }
    }
}

/// Reads a cursor as C's `strtoul` does (`parseScanCursorOrReply`).
pub(super) fn cursor(text: &[u8]) -> Result<u64, &'static str> {
    // A string of C ends at the first zero byte, and an empty one is 0.
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let number = match digits {
        [] if text.is_empty() => Some(0),
        [b'0'..=b'9', ..] => str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()),
        _ => None,
    };
    let number: u64 = number.ok_or("ERR invalid cursor")?;
    Ok(if text.starts_with(b"-") { number.wrapping_neg() } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_as_redis_reads_them() {
        for (text, number) in [
            ("", Some(0)),
            ("0", Some(0)),
            ("+7", Some(7)),
            ("-1", Some(u64::MAX)),
            ("007\0x", Some(7)),
            ("\0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("-", None),
            ("+", None),
            ("+-1", None),
            (" 1", None),
            ("1 ", None),
            ("0x1", None),
        ] {
            assert_eq!(cursor(text.as_bytes()).ok(), number, "{text:?}");
        }
    }
}
