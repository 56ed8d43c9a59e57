//! Parses replies of both versions of RESP, for clients.

use memchr::memchr;
use std::error::Error;
use std::fmt;

/// The maximum depth of nested replies.
const DEEPEST: usize = 64;
/// The maximum length of a line without a length prefix: numbers and errors.
const LONGEST_LINE: usize = 64 << 10;
/// The maximum length of a bulk string, and of an array.
const LONGEST: usize = 1 << 30;
/// The least bytes that a reply takes.
const SHORTEST: usize = 3;

/// A reply.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reply {
    /// A simple string such as `OK`.
    Simple(Vec<u8>),
    /// An error: a code in capitals, then a message.
    Error(Vec<u8>),
    /// An integer.
    Integer(i64),
    /// A bulk string.
    Bulk(Vec<u8>),
    /// Null.
    Null,
    /// An array.
    Array(Vec<Reply>),
    /// A map; RESP3.
    Map(Vec<(Reply, Reply)>),
    /// A set; RESP3.
    Set(Vec<Reply>),
    /// A push message, which answers no request; RESP3.
    Push(Vec<Reply>),
    /// A double; RESP3.
    Double(f64),
    /// A boolean; RESP3.
    Boolean(bool),
    /// A big number, as digits; RESP3.
    BigNumber(Vec<u8>),
    /// A verbatim string with its format, such as `txt`; RESP3.
    Verbatim([u8; 3], Vec<u8>),
}

/// The item that was found at the beginning of a buffer.
#[derive(Clone, Debug, PartialEq)]
pub enum ReadItem {
    /// A reply of this many bytes.
    Reply(Reply, usize),
    /// An incomplete reply. The buffer must have at least this many bytes before another attempt can succeed.
    Unfinished(usize),
}

/// Why a reply is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// No type of reply begins with this byte.
    Mark(u8),
    /// A length or a number is invalid.
    Number,
    /// A line, a string or an array is too long.
    TooLong,
    /// A string does not end where its length says.
    End,
    /// Replies are nested too deeply.
    TooDeep,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mark(byte) => write!(f, "invalid reply type: byte {byte}"),
            Self::Number => f.write_str("invalid length or number in a reply"),
            Self::TooLong => f.write_str("reply too long"),
            Self::End => f.write_str("a string in a reply does not end where its length says"),
            Self::TooDeep => f.write_str("replies nested too deeply"),
        }
    }
}

impl Error for Malformed {}

/// Finds the end of a reply in a buffer that grows. It reads each element once, also if the reply comes in many pieces.
/// A reply that contains a malformed string or is nested too deeply may be refused only by [`reply`].
#[derive(Debug, Default)]
#[doc(hidden)]
pub struct Extent {
    /// The end of the elements that were read.
    at: usize,
    /// The numbers of elements that must follow, by depth.
    left: Vec<usize>,
}

/// The outcome of a search for the end of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub enum Scanned {
    /// The reply has this many bytes.
    Complete(usize),
    /// The buffer must have at least this many bytes before another attempt can succeed.
    Unfinished(usize),
}

impl Extent {
    /// Goes on, in the same bytes as before and those that follow them now.
    ///
    /// # Errors
    /// If the reply is invalid.
    pub fn scan(&mut self, input: &[u8]) -> Result<Scanned, Malformed> {
        loop {
            let owed = self.left.iter().fold(0, |sum: usize, left| sum.saturating_add(*left));
            let mut reader = ReplyReader { input, at: self.at, owed };
            match reader.skip() {
                Ok(0) => {}
                Ok(_) if self.left.len() >= DEEPEST => return Err(Malformed::TooDeep),
                Ok(elements) => self.left.push(elements),
                Err(Stop::Unfinished(wanted)) => return Ok(Scanned::Unfinished(wanted)),
                Err(Stop::Malformed(why)) => return Err(why),
            }
            self.at = reader.at;
            while self.left.last() == Some(&0) {
                self.left.pop();
            }
            match self.left.last_mut() {
                // The next element is one of these.
                Some(left) => *left -= 1,
                None => return Ok(Scanned::Complete(self.at)),
            }
        }
    }
}

/// Why parsing stopped.
enum Stop {
    Unfinished(usize),
    Malformed(Malformed),
}

impl From<Malformed> for Stop {
    fn from(why: Malformed) -> Self {
        Self::Malformed(why)
    }
}

/// Parses the reply at the beginning of `input`.
///
/// # Errors
/// If it is invalid. Then nobody can tell where the next reply begins.
pub fn reply(input: &[u8]) -> Result<ReadItem, Malformed> {
    let mut reader = ReplyReader { input, at: 0, owed: 0 };
    match reader.reply(0) {
        Ok(reply) => Ok(ReadItem::Reply(reply, reader.at)),
        Err(Stop::Unfinished(wanted)) => Ok(ReadItem::Unfinished(wanted)),
        Err(Stop::Malformed(why)) => Err(why),
    }
}

struct ReplyReader<'a> {
    input: &'a [u8],
    at: usize,
    /// The number of replies that must follow the current one.
    owed: usize,
}

impl<'a> ReplyReader<'a> {
    fn reply(&mut self, depth: usize) -> Result<Reply, Stop> {
        let Some(&mark) = self.input.get(self.at) else {
            return Err(self.unfinished(self.at + SHORTEST));
        };
        if b"+-:,(#_$=!*~>%|".contains(&mark) {
            self.at += 1;
        } else {
            return Err(Malformed::Mark(mark).into());
        }
        Ok(match mark {
            b'+' | b'-' | b':' | b',' | b'(' | b'#' | b'_' => self.line_reply(mark)?,
            b'$' => self.text()?.map_or(Reply::Null, |text| Reply::Bulk(text.to_vec())),
            b'!' => Reply::Error(self.text()?.ok_or(Malformed::Number)?.to_vec()),
            b'=' => verbatim(self.text()?.ok_or(Malformed::Number)?)?,
            b'*' => match self.count()? {
                Some(count) => Reply::Array(self.many(count, depth)?),
                None => Reply::Null,
            },
            b'~' | b'>' => {
                let count = self.count()?.ok_or(Malformed::Number)?;
                let many = self.many(count, depth)?;
                if mark == b'~' { Reply::Set(many) } else { Reply::Push(many) }
            }
            // Attributes precede the reply that they describe; only the reply is returned.
            b'|' => {
                let count = self.count()?.ok_or(Malformed::Number)?;
                self.owed += 1;
                self.pairs(count, depth)?;
                self.owed -= 1;
                self.deeper(depth)?
            }
            _ => {
                let count = self.count()?.ok_or(Malformed::Number)?;
                Reply::Map(self.pairs(count, depth)?)
            }
        })
    }

    /// Reads an element that is a line.
    fn line_reply(&mut self, mark: u8) -> Result<Reply, Stop> {
        Ok(match mark {
            b'+' => Reply::Simple(self.line()?.to_vec()),
            b'-' => Reply::Error(self.line()?.to_vec()),
            b':' => Reply::Integer(self.number()?),
            b',' => Reply::Double(double(self.line()?)?),
            b'(' => Reply::BigNumber(digits(self.line()?)?.to_vec()),
            b'#' => Reply::Boolean(boolean(self.line()?)?),
            _ => match self.line()? {
                [] => Reply::Null,
                _ => return Err(Malformed::Number.into()),
            },
        })
    }

    /// Skips an element, but not those that belong to it. Returns how many these are.
    fn skip(&mut self) -> Result<usize, Stop> {
        let Some(&mark) = self.input.get(self.at) else {
            return Err(self.unfinished(self.at + SHORTEST));
        };
        self.at += 1;
        match mark {
            b'+' | b'-' | b':' | b',' | b'(' | b'#' | b'_' => {
                self.line_reply(mark)?;
                Ok(0)
            }
            b'$' | b'!' | b'=' => {
                self.text()?;
                Ok(0)
            }
            b'*' => Ok(self.count()?.unwrap_or(0)),
            b'~' | b'>' => Ok(self.count()?.ok_or(Malformed::Number)?),
            b'%' => Ok(2 * self.count()?.ok_or(Malformed::Number)?),
            // The reply that an attribute describes follows it.
            b'|' => Ok(2 * self.count()?.ok_or(Malformed::Number)? + 1),
            _ => Err(Malformed::Mark(mark).into()),
        }
    }

    fn deeper(&mut self, depth: usize) -> Result<Reply, Stop> {
        if depth >= DEEPEST {
            return Err(Malformed::TooDeep.into());
        }
        self.reply(depth + 1)
    }

    fn many(&mut self, count: usize, depth: usize) -> Result<Vec<Reply>, Stop> {
        // The capacity depends on the bytes received, not on the length that the reply announces.
        let mut many = Vec::with_capacity(count.min(self.input.len() / SHORTEST));
        self.owed += count;
        for _ in 0..count {
            self.owed -= 1;
            many.push(self.deeper(depth)?);
        }
        Ok(many)
    }

    fn pairs(&mut self, count: usize, depth: usize) -> Result<Vec<(Reply, Reply)>, Stop> {
        let mut flat = self.many(2 * count, depth)?.into_iter();
        let mut pairs = Vec::with_capacity(count);
        while let (Some(key), Some(value)) = (flat.next(), flat.next()) {
            pairs.push((key, value));
        }
        Ok(pairs)
    }

    /// Returns how long the buffer must be at least, if the current element ends at `end` or later.
    fn unfinished(&self, end: usize) -> Stop {
        Stop::Unfinished(
            end.max(self.input.len() + 1).saturating_add(self.owed.saturating_mul(SHORTEST)),
        )
    }

    /// Returns the rest of the line.
    fn line(&mut self) -> Result<&'a [u8], Stop> {
        let rest = &self.input[self.at..];
        let Some(end) = memchr(b'\n', &rest[..rest.len().min(LONGEST_LINE)]) else {
            return Err(match rest.len() {
                ..LONGEST_LINE => self.unfinished(self.at + 2),
                _ => Malformed::TooLong.into(),
            });
        };
        let Some(line) = rest[..end].strip_suffix(b"\r") else { return Err(Malformed::End.into()) };
        self.at += end + 1;
        Ok(line)
    }

    fn number(&mut self) -> Result<i64, Stop> {
        let line = self.line()?;
        let number = std::str::from_utf8(line).ok().and_then(|line| line.parse().ok());
        Ok(number.ok_or(Malformed::Number)?)
    }

    /// Parses a length; `None` for null.
    fn count(&mut self) -> Result<Option<usize>, Stop> {
        match self.number()? {
            -1 => Ok(None),
            ..0 => Err(Malformed::Number.into()),
            count => match usize::try_from(count) {
                Ok(count) if count <= LONGEST => Ok(Some(count)),
                _ => Err(Malformed::TooLong.into()),
            },
        }
    }

    fn text(&mut self) -> Result<Option<&'a [u8]>, Stop> {
        let Some(length) = self.count()? else { return Ok(None) };
        let end = self.at + length;
        let Some(text) = self.input.get(self.at..end + 2) else {
            return Err(self.unfinished(end + 2));
        };
        let Some(text) = text.strip_suffix(b"\r\n") else { return Err(Malformed::End.into()) };
        self.at = end + 2;
        Ok(Some(text))
    }
}

fn double(line: &[u8]) -> Result<f64, Malformed> {
    std::str::from_utf8(line).ok().and_then(|line| line.parse().ok()).ok_or(Malformed::Number)
}

fn digits(line: &[u8]) -> Result<&[u8], Malformed> {
    let digits = line.strip_prefix(b"-").or(line.strip_prefix(b"+")).unwrap_or(line);
    let good = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if good { Ok(line) } else { Err(Malformed::Number) }
}

fn boolean(line: &[u8]) -> Result<bool, Malformed> {
    match line {
        b"t" => Ok(true),
        b"f" => Ok(false),
        _ => Err(Malformed::Number),
    }
}

fn verbatim(text: &[u8]) -> Result<Reply, Malformed> {
    match text {
        [a, b, c, b':', text @ ..] => Ok(Reply::Verbatim([*a, *b, *c], text.to_vec())),
        _ => Err(Malformed::End),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_reply_is_found_in_pieces() {
        let deepest = format!("{}:1\r\n", "*1\r\n".repeat(DEEPEST));
        for text in [
            "+OK\r\n",
            "$-1\r\n",
            "*-1\r\n",
            "*0\r\n",
            "$5\r\na\r\nbc\r\n",
            "*3\r\n*2\r\n:1\r\n*0\r\n_\r\n%2\r\n+a\r\n#t\r\n+b\r\n~1\r\n,1.5\r\n",
            "|1\r\n+a\r\n*1\r\n:1\r\n>2\r\n=5\r\ntxt:x\r\n(12\r\n",
            "*2\r\n|0\r\n!3\r\nERR\r\n-no\r\n",
            &deepest,
        ] {
            let (bytes, mut extent) = (text.as_bytes(), Extent::default());
            for end in 0..bytes.len() {
                let Ok(Scanned::Unfinished(wanted)) = extent.scan(&bytes[..end]) else {
                    panic!("{text:?} ends at {end}");
                };
                assert!(wanted > end && wanted <= bytes.len(), "{text:?}: {wanted} at {end}");
                assert_eq!(reply(&bytes[..end]), Ok(ReadItem::Unfinished(wanted)), "{text:?}");
            }
            // Another reply follows.
            let both = [bytes, b"+OK\r\n"].concat();
            assert_eq!(extent.scan(&both), Ok(Scanned::Complete(bytes.len())), "{text:?}");
            assert_eq!(Extent::default().scan(&both), Ok(Scanned::Complete(bytes.len())));
            let Ok(ReadItem::Reply(_, length)) = reply(&both) else { panic!("{text:?}") };
            assert_eq!(length, bytes.len(), "{text:?}");
        }
        let too_deep = format!("*1\r\n{deepest}");
        assert_eq!(Extent::default().scan(too_deep.as_bytes()), Err(Malformed::TooDeep));
        assert_eq!(Extent::default().scan(b"*2\r\n:1\r\nx"), Err(Malformed::Mark(b'x')));
        assert_eq!(Extent::default().scan(b"~-1\r\n"), Err(Malformed::Number));
    }
}
