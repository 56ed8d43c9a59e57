//! Requests: what a client sends, found in a buffer without copying any of it.
//!
//! A request is an array of bulk strings, or a line of words ("inline", as typed into a terminal). [`Requests`] yields
//! one after the other as slices of the buffer. Where the buffer ends too soon it says how long it must be for another
//! try to be worth it, and keeps what it has found of a request of many arguments, so that no byte of such a request
//! is looked at again and again while it arrives.
//!
//! As Redis does, nothing looks at the two bytes behind a bulk string, nor at the byte behind a `\r`.

use memchr::{memchr, memchr3};
use std::error::Error;
use std::fmt;

/// Most arguments that a request may have.
pub const MOST_ARGUMENTS: i64 = 1 << 20;
/// Longest argument, in bytes: Redis's `proto-max-bulk-len`.
pub const LONGEST_ARGUMENT: i64 = 512 << 20;
/// Longest line of words.
pub const LONGEST_LINE: usize = 64 << 10;

/// The least that an argument takes: `$0\r\n\r\n`.
const SHORTEST: usize = 6;
/// From so many arguments on, what was found of a request that has not arrived as a whole is kept.
const MANY: usize = 16;

/// How much a request may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    arguments: i64,
    argument: i64,
}

impl Limits {
    /// How many arguments.
    pub(crate) const fn arguments(self) -> usize {
        self.arguments.cast_unsigned() as usize
    }

    /// Bytes of each.
    pub(crate) const fn argument(self) -> usize {
        self.argument.cast_unsigned() as usize
    }

    /// Of those who may do everything.
    pub const FULL: Self = Self { arguments: MOST_ARGUMENTS, argument: LONGEST_ARGUMENT };
    /// Of those who have not said the password yet: enough to say it.
    pub const UNAUTHENTICATED: Self = Self { arguments: 10, argument: 16 << 10 };
}

/// What a buffer begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A request of so many bytes, the arguments of which were handed out.
    Request(usize),
    /// A line of so many bytes that has quotes in it; [`inline::split`](super::inline::split) takes it apart.
    Quoted(usize),
    /// So many bytes that ask for nothing.
    Nothing(usize),
    /// The beginning of a request. It takes a buffer of at least so many bytes, which it does not have yet.
    Unfinished(usize),
    /// No request. Where the next one begins nobody knows, so this connection is over.
    Invalid(ParseError),
}

/// Why something is no request. Displayed in Redis's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// The number of arguments is none, or too high.
    Count,
    /// The length of an argument is no number, or too high.
    Length,
    /// An argument begins with another byte than `$`.
    Expected(u8),
    /// More arguments than somebody unknown may send.
    UnauthenticatedCount,
    /// A longer argument than somebody unknown may send.
    UnauthenticatedLength,
    /// A line is longer than [`LONGEST_LINE`].
    Line,
    /// A quote in a line has no end, or a word goes on behind it.
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
            // A control character would end the error too soon.
            Self::Expected(byte) => {
                let shown = if byte.is_ascii_graphic() { char::from(*byte) } else { ' ' };
                return write!(f, "expected '$', got '{shown}'");
            }
        })
    }
}

impl Error for ParseError {}

/// Finds the requests of one connection.
#[derive(Debug, Default)]
pub struct Requests {
    rest: Option<Box<Partial>>,
}

/// What was found of a request that has not arrived as a whole. Places are counted from its first byte.
#[derive(Debug)]
struct Partial {
    arguments: Vec<(usize, usize)>,
    /// Where the next argument begins.
    at: usize,
    left: usize,
    /// Below so many bytes there is nothing new to be found.
    wanted: usize,
}

impl Requests {
    /// Finds what `input` begins with and puts its arguments into `arguments`. After [`Found::Unfinished`] the next
    /// `input` begins with the same bytes and has more of them, otherwise with those behind what was found.
    #[inline]
    pub fn next<'a>(
        &mut self,
        input: &'a [u8],
        limits: Limits,
        arguments: &mut Vec<&'a [u8]>,
    ) -> Found {
        arguments.clear();
        if self.rest.is_some() {
            return self.go_on(input, limits, arguments);
        }
        match input.first() {
            Some(b'*') => {}
            Some(_) => return line(input, arguments),
            None => return Found::Unfinished(1),
        }
        let (count, at) = match number(input, 1) {
            Number::Value(count, at) => (count, at),
            Number::Unfinished => return Found::Unfinished(input.len() + 1),
            Number::Invalid => return Found::Invalid(ParseError::Count),
        };
        if count > limits.arguments {
            return Found::Invalid(match count {
                ..=MOST_ARGUMENTS => ParseError::UnauthenticatedCount,
                _ => ParseError::Count,
            });
        }
        if count <= 0 {
            return Found::Nothing(at);
        }
        self.elements(input, at, count.cast_unsigned() as usize, limits, arguments)
    }

    #[inline]
    fn elements<'a>(
        &mut self,
        input: &'a [u8],
        mut at: usize,
        count: usize,
        limits: Limits,
        arguments: &mut Vec<&'a [u8]>,
    ) -> Found {
        for left in (1..=count).rev() {
            match element(input, at, left, limits) {
                Ok((argument, next)) => {
                    arguments.push(argument);
                    at = next;
                }
                Err(found) => {
                    if let Found::Unfinished(wanted) = found
                        && arguments.len() >= MANY
                    {
                        let places = arguments.iter().map(|argument| place(input, argument));
                        let arguments = places.collect();
                        self.rest = Some(Box::new(Partial { arguments, at, left, wanted }));
                    }
                    return found;
                }
            }
        }
        Found::Request(at)
    }

    /// Goes on with a request whose beginning was found before.
    #[cold]
    fn go_on<'a>(
        &mut self,
        input: &'a [u8],
        limits: Limits,
        arguments: &mut Vec<&'a [u8]>,
    ) -> Found {
        let Some(rest) = &mut self.rest else { return Found::Unfinished(input.len() + 1) };
        if input.len() < rest.wanted {
            return Found::Unfinished(rest.wanted);
        }
        while rest.left > 0 {
            match element(input, rest.at, rest.left, limits) {
                Ok((argument, next)) => {
                    rest.arguments.push(place(input, argument));
                    (rest.at, rest.left) = (next, rest.left - 1);
                }
                Err(Found::Unfinished(wanted)) => {
                    rest.wanted = wanted;
                    return Found::Unfinished(wanted);
                }
                Err(found) => {
                    self.rest = None;
                    return found;
                }
            }
        }
        arguments.extend(rest.arguments.iter().map(|&(from, to)| &input[from..to]));
        let used = rest.at;
        self.rest = None;
        Found::Request(used)
    }
}

/// Where in `input` a part of it lies.
fn place(input: &[u8], part: &[u8]) -> (usize, usize) {
    let from = part.as_ptr().addr() - input.as_ptr().addr();
    (from, from + part.len())
}

/// The argument that begins at `at`, behind which `left - 1` more have to come, and where the next begins.
#[inline(always)]
fn element(input: &[u8], at: usize, left: usize, limits: Limits) -> Result<(&[u8], usize), Found> {
    let wanted = |end: usize| Found::Unfinished(end + SHORTEST * (left - 1));
    match input.get(at) {
        Some(b'$') => {}
        Some(&other) => return Err(Found::Invalid(ParseError::Expected(other))),
        None => return Err(wanted(at + SHORTEST)),
    }
    let (length, from) = match number(input, at + 1) {
        Number::Value(length, from) => (length, from),
        // What has to come behind a length is at least its last digit or line end, and the argument's own.
        Number::Unfinished => return Err(wanted((at + SHORTEST).max(input.len() + 1))),
        Number::Invalid => return Err(Found::Invalid(ParseError::Length)),
    };
    if !(0..=limits.argument).contains(&length) {
        return Err(Found::Invalid(match length {
            0..=LONGEST_ARGUMENT => ParseError::UnauthenticatedLength,
            _ => ParseError::Length,
        }));
    }
    let to = from + length.cast_unsigned() as usize;
    if input.len() < to + 2 {
        return Err(wanted(to + 2));
    }
    Ok((&input[from..to], to + 2))
}

/// A line's number, and where the next line begins.
enum Number {
    Value(i64, usize),
    Unfinished,
    Invalid,
}

/// The number that stands at `at`. Nearly all have one or two digits.
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

/// As Redis has numbers: a minus or none, no zeros before others.
#[cold]
#[inline(never)]
fn any_number(input: &[u8], at: usize) -> Number {
    let negative = input.get(at) == Some(&b'-');
    let first = at + usize::from(negative);
    let mut sum: i64 = 0;
    for (place, &byte) in input.iter().enumerate().skip(first) {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            // A zero is alone.
            if place > first && sum == 0 {
                return Number::Invalid;
            }
            // The lowest number of all is none that anybody needs.
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

/// A request that is a line of words.
#[cold]
fn line<'a>(input: &'a [u8], arguments: &mut Vec<&'a [u8]>) -> Found {
    let Some(end) = memchr(b'\n', &input[..input.len().min(LONGEST_LINE + 1)]) else {
        if input.len() > LONGEST_LINE {
            return Found::Invalid(ParseError::Line);
        }
        return Found::Unfinished(input.len() + 1);
    };
    let line = &input[..end];
    if memchr3(b'"', b'\'', 0, line).is_some() {
        return Found::Quoted(end + 1);
    }
    let words = line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
    // These two stand between words, but do not end one.
    let words = words.map(|word| match word.iter().position(|byte| !matches!(byte, 0x0b | 0x0c)) {
        Some(from) => &word[from..],
        None => &[],
    });
    arguments.extend(words.filter(|word| !word.is_empty()));
    if arguments.is_empty() { Found::Nothing(end + 1) } else { Found::Request(end + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_of_many_arguments_is_not_looked_at_again() {
        let whole = [b"*1000\r\n".to_vec(), b"$3\r\nabc\r\n".repeat(1000)].concat();
        let mut requests = Requests::default();
        // Until so many bytes have come nothing is looked at, then what is new.
        let (mut from, mut least) = (0, 500);
        for end in (500..whole.len()).step_by(500) {
            let found = requests.next(&whole[..end], Limits::FULL, &mut Vec::new());
            let Found::Unfinished(wanted) = found else { panic!("{found:?}") };
            assert!(wanted > end && wanted <= whole.len());
            let rest = requests.rest.as_ref().expect("what was found is kept");
            assert_eq!(rest.arguments.len() + rest.left, 1000);
            if end < least {
                assert_eq!((rest.at, wanted), (from, least), "looked at again");
            } else {
                assert!(rest.at + 9 > end, "only {} of {end} were looked at", rest.at);
            }
            (from, least) = (rest.at, wanted);
        }
        let mut arguments = Vec::new();
        let found = requests.next(&whole, Limits::FULL, &mut arguments);
        assert_eq!(found, Found::Request(whole.len()));
        assert!(arguments.len() == 1000 && arguments.iter().all(|argument| argument == b"abc"));
        assert!(requests.rest.is_none());
    }
}
