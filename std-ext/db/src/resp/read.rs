//! Replies, as a client reads them: both versions of the protocol in one.

use memchr::memchr;
use std::error::Error;
use std::fmt;

/// So deep may arrays lie within arrays.
const DEEPEST: usize = 64;
/// Longest line without a length before it: numbers, and the texts of errors.
const LONGEST_LINE: usize = 64 << 10;
/// Longest text with a length before it, and most replies in an array.
const LONGEST: usize = 1 << 30;
/// The least that a reply takes.
const SHORTEST: usize = 3;

/// A reply.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reply {
    /// A short text such as `OK`.
    Simple(Vec<u8>),
    /// An error: a code in capitals, then what is wrong.
    Error(Vec<u8>),
    /// An integer.
    Integer(i64),
    /// Bytes of any kind.
    Bulk(Vec<u8>),
    /// There is nothing.
    Null,
    /// Replies in order.
    Array(Vec<Reply>),
    /// Pairs of replies; RESP3.
    Map(Vec<(Reply, Reply)>),
    /// Replies in no order; RESP3.
    Set(Vec<Reply>),
    /// Replies that nobody asked for; RESP3.
    Push(Vec<Reply>),
    /// A number with a fraction; RESP3.
    Double(f64),
    /// Yes or no; RESP3.
    Boolean(bool),
    /// An integer of any size, as digits; RESP3.
    BigNumber(Vec<u8>),
    /// A text of a kind such as `txt`; RESP3.
    Verbatim([u8; 3], Vec<u8>),
}

/// What a buffer begins with.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// A reply of so many bytes.
    Reply(Reply, usize),
    /// The beginning of one. It takes a buffer of at least so many bytes, which it does not have yet.
    Unfinished(usize),
}

/// Something that is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// No reply begins with this byte.
    Mark(u8),
    /// A length or number is none.
    Number,
    /// A line, a text or an array is longer than any that is sent.
    TooLong,
    /// A text does not end where its length says.
    End,
    /// Arrays within arrays, deeper than any that are sent.
    TooDeep,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mark(byte) => write!(f, "a reply begins with byte {byte}"),
            Self::Number => f.write_str("a reply has a length or number that is none"),
            Self::TooLong => f.write_str("a reply is too long"),
            Self::End => f.write_str("a text in a reply does not end where its length says"),
            Self::TooDeep => f.write_str("a reply lies too deep in others"),
        }
    }
}

impl Error for Malformed {}

/// Why there is no reply, or not yet.
enum Stop {
    Unfinished(usize),
    Malformed(Malformed),
}

impl From<Malformed> for Stop {
    fn from(why: Malformed) -> Self {
        Self::Malformed(why)
    }
}

/// Reads the reply that `input` begins with.
///
/// # Errors
/// When it begins with something else. Where the next reply begins nobody knows then.
pub fn reply(input: &[u8]) -> Result<Found, Malformed> {
    let mut reader = Reader { input, at: 0, owed: 0 };
    match reader.reply(0) {
        Ok(reply) => Ok(Found::Reply(reply, reader.at)),
        Err(Stop::Unfinished(wanted)) => Ok(Found::Unfinished(wanted)),
        Err(Stop::Malformed(why)) => Err(why),
    }
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    /// How many replies have to come behind the one that is being read, at least.
    owed: usize,
}

impl<'a> Reader<'a> {
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
            b'+' => Reply::Simple(self.line()?.to_vec()),
            b'-' => Reply::Error(self.line()?.to_vec()),
            b':' => Reply::Integer(self.number()?),
            b',' => Reply::Double(double(self.line()?)?),
            b'(' => Reply::BigNumber(digits(self.line()?)?.to_vec()),
            b'#' => Reply::Boolean(boolean(self.line()?)?),
            b'_' => match self.line()? {
                [] => Reply::Null,
                _ => return Err(Malformed::Number.into()),
            },
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
            // Attributes say something about the reply behind them, which is what is wanted.
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

    fn deeper(&mut self, depth: usize) -> Result<Reply, Stop> {
        if depth >= DEEPEST {
            return Err(Malformed::TooDeep.into());
        }
        self.reply(depth + 1)
    }

    fn many(&mut self, count: usize, depth: usize) -> Result<Vec<Reply>, Stop> {
        // What a length claims is not allocated before it has come.
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

    /// The input is too short for this, which ends at `end` at the soonest.
    fn unfinished(&self, end: usize) -> Stop {
        Stop::Unfinished(end.max(self.input.len() + 1).saturating_add(SHORTEST * self.owed))
    }

    /// The rest of the line.
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

    /// How long something is; none where there is nothing.
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
