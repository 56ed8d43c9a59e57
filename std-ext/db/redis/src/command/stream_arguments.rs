//! The arguments of commands about streams: IDs, ranges of them, and how a stream is trimmed.

use crate::command::arguments::{ArgumentError, CommandError, NOT_AN_INTEGER, SYNTAX, is};
use hedgerow_db_engine::request::{
    NewStreamId, ReadFrom, StreamId, StreamRange, StreamTrim, TrimTo,
};
use hedgerow_db_formats::number;

/// The longest ID that Redis reads.
const LONGEST_ID: usize = 127;
/// Returns how many entries a command removes at most with `~` and without `LIMIT`: those of 100 nodes.
fn trimmed_at_once(node: usize) -> u64 {
    match (node as u64).saturating_mul(100) {
        0 => 10_000,
        entries => entries.min(1_000_000),
    }
}

/// The error for what is no ID.
pub(super) fn not_an_id() -> CommandError {
    ArgumentError::StreamId.into()
}

/// Reads an ID; `missing` is the sequence number of one that has none.
pub(super) fn strict_id(text: &[u8], missing: u64) -> Result<StreamId, CommandError> {
    match text {
        b"-" | b"+" => Err(not_an_id()),
        _ => any_id(text, missing),
    }
}

/// Reads an ID that is looked at only once the key was found.
pub(super) fn position(text: &[u8]) -> ReadFrom {
    let refused = ReadFrom::Refused(ArgumentError::StreamId.text());
    strict_id(text, 0).map_or(refused, ReadFrom::After)
}

/// As `strict_id`, and reads `-` as the least ID and `+` as the greatest one.
fn any_id(text: &[u8], missing: u64) -> Result<StreamId, CommandError> {
    parse(text, missing).ok_or_else(not_an_id)
}

fn parse(text: &[u8], missing: u64) -> Option<StreamId> {
    if text.len() > LONGEST_ID {
        return None;
    }
    // Redis reads C strings.
    let text = text.split(|byte| *byte == 0).next()?;
    match text {
        b"-" => return Some(StreamId::MIN),
        b"+" => return Some(StreamId::MAX),
        _ => {}
    }
    let Some(at) = text.iter().position(|byte| *byte == b'-') else {
        return Some(StreamId { ms: unsigned(text)?, seq: missing });
    };
    Some(StreamId { ms: unsigned(&text[..at])?, seq: unsigned(&text[at + 1..])? })
}

/// Reads a number as Redis's `string2ull`, which ends in `strtoull`.
fn unsigned(text: &[u8]) -> Option<u64> {
    if let Some(number) = number::integer(text) {
        return u64::try_from(number).ok();
    }
    let spaces = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
    let (negative, digits) = match &text[spaces..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] | rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = str::from_utf8(digits).ok()?.parse().ok()?;
    Some(if negative { number.wrapping_neg() } else { number })
}

/// Reads the first ID of a range, and the last one. `(` leaves it out.
pub(super) fn id_range(start: &[u8], end: &[u8]) -> Result<(StreamId, StreamId), CommandError> {
    let from = range_end(start, 0)?;
    let to = range_end(end, u64::MAX)?;
    Ok((first_id(from)?, last_id(to)?))
}

/// Reads the first ID of a range.
pub(super) fn range_start(start: &[u8]) -> Result<StreamId, CommandError> {
    first_id(range_end(start, 0)?)
}

fn first_id((id, excluded): (StreamId, bool)) -> Result<StreamId, CommandError> {
    let id = if excluded { id.next() } else { Some(id) };
    id.ok_or_else(|| "ERR invalid start ID for the interval".into())
}

fn last_id((id, excluded): (StreamId, bool)) -> Result<StreamId, CommandError> {
    let id = if excluded { id.previous() } else { Some(id) };
    id.ok_or_else(|| "ERR invalid end ID for the interval".into())
}

fn range_end(text: &[u8], missing: u64) -> Result<(StreamId, bool), CommandError> {
    match text {
        [b'(', rest @ ..] if !rest.is_empty() => Ok((strict_id(rest, missing)?, true)),
        _ => Ok((any_id(text, missing)?, false)),
    }
}

/// Reads the arguments of XRANGE. Returns the range, and whether it is empty whatever the stream has.
pub(super) fn range(
    (start, end): (&[u8], &[u8]),
    mut options: &[&[u8]],
    reverse: bool,
) -> Result<StreamRange, CommandError> {
    let (from, to) = id_range(start, end)?;
    let mut count = None;
    while let Some((option, rest)) = options.split_first() {
        let (true, Some((value, behind))) = (is(option, "count"), rest.split_first()) else {
            return Err(SYNTAX);
        };
        let value = number::integer(value).ok_or(NOT_AN_INTEGER)?;
        // Redis takes a negative number for 0.
        count = Some(u64::try_from(value).unwrap_or(0));
        options = behind;
    }
    Ok(StreamRange { from, to, reverse, count })
}

/// The options of XADD and XTRIM.
#[derive(Default)]
pub(super) struct TrimArguments {
    pub(super) create: bool,
    /// The ID of XADD.
    pub(super) id: Option<NewStreamId>,
    pub(super) trim: Option<StreamTrim>,
    /// The arguments that were read.
    pub(super) read: usize,
}

impl TrimArguments {
    /// Reads options, up to an ID if this is XADD. A node has so many entries.
    pub(super) fn read(all: &[&[u8]], is_add: bool, node: usize) -> Result<Self, CommandError> {
        let mut this = Self { create: true, ..Self::default() };
        let (mut limit, mut nodes, mut to) = (None, false, None);
        while let Some(option) = all.get(this.read) {
            let rest = &all[this.read + 1..];
            this.read += 1;
            let strategy = [is(option, "maxlen"), is(option, "minid")];
            if is_add && *option == b"*" {
                this.id = Some(NewStreamId::Now);
                break;
            } else if strategy[0] | strategy[1] && !rest.is_empty() {
                if to.is_some() {
                    return Err("ERR syntax error, MAXLEN and MINID options at the same time are \
                        not compatible"
                        .into());
                }
                let operator = rest.len() >= 2 && matches!(rest[0], b"~" | b"=");
                nodes = operator && rest[0] == b"~";
                let value = rest[usize::from(operator)];
                this.read += 1 + usize::from(operator);
                to = Some(threshold(value, strategy[0])?);
            } else if is(option, "limit") && !rest.is_empty() {
                let value = number::integer(rest[0]).ok_or(NOT_AN_INTEGER)?;
                let value = u64::try_from(value);
                limit = Some(value.map_err(|_| "ERR The LIMIT argument must be >= 0.")?);
                this.read += 1;
            } else if is_add && is(option, "nomkstream") {
                this.create = false;
            } else if is_add {
                this.id = Some(new_id(option)?);
                break;
            } else {
                return Err(SYNTAX);
            }
        }
        this.trim = trim(to, nodes.then_some(node), limit, is_add)?;
        Ok(this)
    }
}

fn threshold(value: &[u8], is_length: bool) -> Result<TrimTo, CommandError> {
    if !is_length {
        return Ok(TrimTo::Id(strict_id(value, 0)?));
    }
    let length = number::integer(value).ok_or(NOT_AN_INTEGER)?;
    let length = u64::try_from(length).map_err(|_| "ERR The MAXLEN argument must be >= 0.")?;
    Ok(TrimTo::Length(length))
}

fn trim(
    to: Option<TrimTo>,
    nodes: Option<usize>,
    limit: Option<u64>,
    is_add: bool,
) -> Result<Option<StreamTrim>, CommandError> {
    let Some(to) = to else {
        return match limit {
            Some(limit) if limit > 0 => Err("ERR syntax error, LIMIT cannot be used without \
                specifying a trimming strategy"
                .into()),
            _ if !is_add => {
                Err("ERR syntax error, XTRIM must be called with either MAXLEN or MINID".into())
            }
            Some(_) => Err(LIMIT_WITHOUT_NODES.into()),
            None => Ok(None),
        };
    };
    if limit.is_some() && nodes.is_none() {
        return Err(LIMIT_WITHOUT_NODES.into());
    }
    // LIMIT 0 is none.
    let most = match limit {
        None => nodes.map(trimmed_at_once),
        Some(limit) => Some(limit).filter(|limit| *limit > 0),
    };
    Ok(Some(StreamTrim { to, nodes: nodes.is_some(), most }))
}

const LIMIT_WITHOUT_NODES: &str =
    "ERR syntax error, LIMIT cannot be used without the special ~ option";

/// Reads the ID of a new entry.
fn new_id(text: &[u8]) -> Result<NewStreamId, CommandError> {
    if let Some(ms) = text.strip_suffix(b"-*").filter(|ms| !ms.contains(&b'-')) {
        return unsigned(ms).map(NewStreamId::At).ok_or_else(not_an_id);
    }
    Ok(NewStreamId::Given(strict_id(text, 0)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_redis_reads_them() {
        let id = |ms, seq| Some(StreamId { ms, seq });
        let max = u64::MAX;
        for (text, wanted) in [
            ("5", id(5, 7)),
            ("5-3", id(5, 3)),
            ("18446744073709551615-18446744073709551615", id(max, max)),
            ("18446744073709551616", None),
            ("+5", id(5, 7)),
            (" 5-01", id(5, 1)),
            ("-5", None),
            ("5-", None),
            ("5-3-1", None),
            ("5-a", None),
            ("", None),
            ("-", id(0, 0)),
            ("+", id(max, max)),
        ] {
            assert_eq!(parse(text.as_bytes(), 7), wanted, "{text}");
        }
    }
}
