//! Parses requests without copying their arguments.
//!
//! A request is an array of bulk strings, or an inline command: a line of words. [`Requests`] yields the requests of a
//! buffer one by one, as slices of it. If the buffer ends too soon, it returns how long the buffer must become before
//! another attempt can succeed. Of a request with many arguments it keeps the positions found so far, so that no byte
//! is parsed again and again while the request arrives.
//!
//! As in Redis, the two bytes after a bulk string and the byte after a `\r` are not checked.

use memchr::{memchr, memchr3};
use std::error::Error;
use std::fmt;

/// The maximum number of arguments of a request.
pub const MOST_ARGUMENTS: i64 = 1 << 20;
/// The maximum length of an argument in bytes: Redis's `proto-max-bulk-len`.
pub const LONGEST_ARGUMENT: i64 = 512 << 20;
/// The maximum length of an inline command.
pub const LONGEST_LINE: usize = 64 << 10;

/// The least bytes that an argument takes: `$0\r\n\r\n`.
const SHORTEST: usize = 6;
/// From this many arguments on, the positions in an incomplete request are kept.
const MANY: usize = 16;

/// The limits of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    arguments: i64,
    argument: i64,
}

impl Limits {
    /// Returns the maximum number of arguments.
    #[doc(hidden)]
    pub const fn arguments(self) -> usize {
        self.arguments.cast_unsigned() as usize
    }

    /// Returns the maximum length of an argument.
    #[doc(hidden)]
    pub const fn argument(self) -> usize {
        self.argument.cast_unsigned() as usize
    }

    /// The limits of an authenticated client.
    pub const FULL: Self = Self { arguments: MOST_ARGUMENTS, argument: LONGEST_ARGUMENT };
    /// The limits of an unauthenticated client: enough for AUTH and HELLO.
    pub const UNAUTHENTICATED: Self = Self { arguments: 10, argument: 16 << 10 };
}

/// The item that was found at the beginning of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParsedItem {
    /// A request of this many bytes, whose arguments were returned.
    Request(usize),
    /// An inline command of this many bytes that contains quotes; [`inline::split`](super::inline::split) parses it.
    Quoted(usize),
    /// This many bytes without a request.
    Nothing(usize),
    /// An incomplete request. The buffer must have at least this many bytes before another attempt can succeed.
    Unfinished(usize),
    /// No valid request. The connection must close, because nobody can tell where the next request begins.
    Invalid(ParseError),
}

/// Why a request is invalid, displayed in Redis's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// The number of arguments is invalid or too high.
    Count,
    /// The length of an argument is invalid or too high.
    Length,
    /// An argument begins with this byte instead of `$`.
    Expected(u8),
    /// More arguments than an unauthenticated client may send.
    UnauthenticatedCount,
    /// A longer argument than an unauthenticated client may send.
    UnauthenticatedLength,
    /// An inline command is longer than [`LONGEST_LINE`].
    Line,
    /// A quote is not closed, or its end is not followed by a space.
    Quotes,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Protocol error: ")?;
        f.write_str(match self {
            Self::Count => "invalid multibulk length",
            Self::Length => "invalid bulk length",
            Self::UnauthenticatedCount => "unauthenticated multibulk length",
            Self::UnauthenticatedLength => "unauthenticated bulk length",
            Self::Line => "too big inline request",
            Self::Quotes => "unbalanced quotes in request",
            // A control character could end the error line too soon.
            Self::Expected(byte) => {
                let shown = if byte.is_ascii_graphic() { char::from(*byte) } else { ' ' };
                return write!(f, "expected '$', got '{shown}'");
            }
        })
    }
}

impl Error for ParseError {}

/// The parser of one connection's requests.
#[derive(Debug, Default)]
pub struct Requests {
    partial: Option<Box<Partial>>,
}

/// The parsed part of an incomplete request. Offsets count from its first byte.
#[derive(Debug)]
struct Partial {
    arguments: Vec<(usize, usize)>,
    /// Where the next argument begins.
    at: usize,
    left: usize,
    /// With fewer bytes than this, nothing new can be parsed.
    wanted: usize,
}

impl Requests {
    /// Parses the beginning of `input`, and stores its arguments in `arguments`. After [`ParsedItem::Unfinished`], the
    /// next `input` must begin with the same bytes, followed by more; otherwise it must begin after the found bytes.
    #[inline(always)]
    pub fn next<'a>(
        &mut self,
        input: &'a [u8],
        limits: Limits,
        arguments: &mut Vec<&'a [u8]>,
    ) -> ParsedItem {
        arguments.clear();
        // Rare: a request of many arguments has not arrived completely.
        if self.partial.is_some() {
            return self.go_on(input, limits, arguments);
        }
        match input.first() {
            Some(b'*') => {}
            Some(_) => return line(input, arguments),
            None => return ParsedItem::Unfinished(1),
        }
        let (count, at) = match number(input, 1) {
            Number::Value(count, at) => (count, at),
            Number::Unfinished => return ParsedItem::Unfinished(input.len() + 1),
            Number::Invalid => return ParsedItem::Invalid(ParseError::Count),
        };
        if count > limits.arguments {
            return ParsedItem::Invalid(match count {
                ..=MOST_ARGUMENTS => ParseError::UnauthenticatedCount,
                _ => ParseError::Count,
            });
        }
        if count <= 0 {
            return ParsedItem::Nothing(at);
        }
        self.elements(input, at, count.cast_unsigned() as usize, limits, arguments)
    }

    #[inline(always)]
    fn elements<'a>(
        &mut self,
        input: &'a [u8],
        mut at: usize,
        count: usize,
        limits: Limits,
        arguments: &mut Vec<&'a [u8]>,
    ) -> ParsedItem {
        for left in (1..=count).rev() {
            match element(input, at, left, limits) {
                Ok((argument, next)) => {
                    arguments.push(argument);
                    at = next;
                }
                Err(found) => {
                    if let ParsedItem::Unfinished(wanted) = found
                        && arguments.len() >= MANY
                    {
                        let places = arguments.iter().map(|argument| place(input, argument));
                        let arguments = places.collect();
                        self.partial = Some(Box::new(Partial { arguments, at, left, wanted }));
                    }
                    return found;
                }
            }
        }
        ParsedItem::Request(at)
    }

    /// Continues a request that was incomplete before.
    #[cold]
    fn go_on<'a>(
        &mut self,
        input: &'a [u8],
        limits: Limits,
        arguments: &mut Vec<&'a [u8]>,
    ) -> ParsedItem {
        let Some(partial) = &mut self.partial else {
            return ParsedItem::Unfinished(input.len() + 1);
        };
        if input.len() < partial.wanted {
            return ParsedItem::Unfinished(partial.wanted);
        }
        while partial.left > 0 {
            match element(input, partial.at, partial.left, limits) {
                Ok((argument, next)) => {
                    partial.arguments.push(place(input, argument));
                    (partial.at, partial.left) = (next, partial.left - 1);
                }
                Err(ParsedItem::Unfinished(wanted)) => {
                    partial.wanted = wanted;
                    return ParsedItem::Unfinished(wanted);
                }
                Err(found) => {
                    self.partial = None;
                    return found;
                }
            }
        }
        arguments.extend(partial.arguments.iter().map(|&(from, to)| &input[from..to]));
        let used = partial.at;
        self.partial = None;
        ParsedItem::Request(used)
    }
}

/// Returns the offsets of a slice within `input`.
fn place(input: &[u8], part: &[u8]) -> (usize, usize) {
    let from = part.as_ptr().addr() - input.as_ptr().addr();
    (from, from + part.len())
}

/// Parses the argument at `at`, after which `left - 1` more must follow. Returns it, and where the next one begins.
#[inline(always)]
fn element(
    input: &[u8],
    at: usize,
    left: usize,
    limits: Limits,
) -> Result<(&[u8], usize), ParsedItem> {
    let wanted = |end: usize| ParsedItem::Unfinished(end + SHORTEST * (left - 1));
    match input.get(at) {
        Some(b'$') => {}
        Some(&other) => return Err(ParsedItem::Invalid(ParseError::Expected(other))),
        None => return Err(wanted(at + SHORTEST)),
    }
    let (length, from) = match number(input, at + 1) {
        Number::Value(length, from) => (length, from),
        // At least the last digit or the end of the line must follow, and the argument itself.
        Number::Unfinished => return Err(wanted((at + SHORTEST).max(input.len() + 1))),
        Number::Invalid => return Err(ParsedItem::Invalid(ParseError::Length)),
    };
    if !(0..=limits.argument).contains(&length) {
        return Err(ParsedItem::Invalid(match length {
            0..=LONGEST_ARGUMENT => ParseError::UnauthenticatedLength,
            _ => ParseError::Length,
        }));
    }
    let to = from + length.cast_unsigned() as usize;
    // The two bytes after the argument must be there, although they are not checked.
    if input.len() < to + 2 {
        return Err(wanted(to + 2));
    }
    Ok((&input[from..to], to + 2))
}

/// A number at the end of a line, and where the next line begins.
enum Number {
    Value(i64, usize),
    Unfinished,
    Invalid,
}

/// Parses the number at `at`. Nearly all numbers have one or two digits, which this handles without a loop.
#[inline(always)]
fn number(input: &[u8], at: usize) -> Number {
    if let Some(&[a, b, c, _]) = input.get(at..).and_then(|rest| rest.first_chunk()) {
        let (first, second) = (a.wrapping_sub(b'0'), b.wrapping_sub(b'0'));
        if b == b'\r' && first < 10 {
            return Number::Value(i64::from(first), at + 3);
        }
        if c == b'\r' && matches!(first, 1..10) && second < 10 {
            return Number::Value(i64::from(first) * 10 + i64::from(second), at + 4);
        }
    }
    any_number(input, at)
}

/// Parses a number as Redis does: an optional minus, and no leading zeros.
#[cold]
#[inline(never)]
fn any_number(input: &[u8], at: usize) -> Number {
    let negative = input.get(at) == Some(&b'-');
    let first = at + usize::from(negative);
    let mut sum: i64 = 0;
    for (place, &byte) in input.iter().enumerate().skip(first) {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            // A leading zero.
            if place > first && sum == 0 {
                return Number::Invalid;
            }
            // The lowest i64 overflows here; no length is negative, so that does not matter.
            let Some(more) = sum.checked_mul(10).and_then(|sum| sum.checked_add(digit.into()))
            else {
                return Number::Invalid;
            };
            sum = more;
        } else if byte == b'\r' {
            if place == first || negative && sum == 0 {
                return Number::Invalid;
            }
            let number = if negative { -sum } else { sum };
            let whole = input.len() > place + 1;
            return if whole { Number::Value(number, place + 2) } else { Number::Unfinished };
        } else {
            return Number::Invalid;
        }
    }
    Number::Unfinished
}

/// Parses an inline command.
#[cold]
fn line<'a>(input: &'a [u8], arguments: &mut Vec<&'a [u8]>) -> ParsedItem {
    let Some(end) = memchr(b'\n', &input[..input.len().min(LONGEST_LINE + 1)]) else {
        if input.len() > LONGEST_LINE {
            return ParsedItem::Invalid(ParseError::Line);
        }
        return ParsedItem::Unfinished(input.len() + 1);
    };
    let line = &input[..end];
    if memchr3(b'"', b'\'', 0, line).is_some() {
        return ParsedItem::Quoted(end + 1);
    }
    let words = line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
    // Vertical tab and form feed are skipped before a word, but do not end one.
    let words = words.map(|word| match word.iter().position(|byte| !matches!(byte, 0x0b | 0x0c)) {
        Some(from) => &word[from..],
        None => &[],
    });
    arguments.extend(words.filter(|word| !word.is_empty()));
    if arguments.is_empty() { ParsedItem::Nothing(end + 1) } else { ParsedItem::Request(end + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_request_is_not_parsed_again() {
        let whole = [b"*1000\r\n".to_vec(), b"$3\r\nabc\r\n".repeat(1000)].concat();
        let mut requests = Requests::default();
        // Below `least` bytes, nothing is parsed; then only the new bytes.
        let (mut from, mut least) = (0, 500);
        for end in (500..whole.len()).step_by(500) {
            let found = requests.next(&whole[..end], Limits::FULL, &mut Vec::new());
            let ParsedItem::Unfinished(wanted) = found else { panic!("{found:?}") };
            assert!(wanted > end && wanted <= whole.len());
            let partial = requests.partial.as_ref().expect("the parsed part is kept");
            assert_eq!(partial.arguments.len() + partial.left, 1000);
            if end < least {
                assert_eq!((partial.at, wanted), (from, least), "parsed again");
            } else {
                assert!(partial.at + 9 > end, "only {} of {end} were parsed", partial.at);
            }
            (from, least) = (partial.at, wanted);
        }
        let mut arguments = Vec::new();
        let found = requests.next(&whole, Limits::FULL, &mut arguments);
        assert_eq!(found, ParsedItem::Request(whole.len()));
        assert!(arguments.len() == 1000 && arguments.iter().all(|argument| argument == b"abc"));
        assert!(requests.partial.is_none());
    }
}
