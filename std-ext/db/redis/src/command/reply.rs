//! How answers of the database become replies.

use crate::command::arguments::ArgumentError;
use crate::command::dumped::dumped;
use crate::command::geo_arguments::ShownPlace;
use crate::command::geo_reply;
use crate::command::lcs::LcsOptions;
use crate::command::stream_reply::{StreamsReply, write_nested};
use hedgerow_db_engine::request::{Answer, ElementList, RequestError, Score, Unit, ValueType};
use hedgerow_db_formats::number;
use hedgerow_db_formats::resp::Protocol;
use hedgerow_db_formats::resp::write::RespWriter;

/// How the answers to one command's requests become its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyKind {
    /// A bulk string, or null.
    Value,
    /// An array of as many bulk strings or nulls as there are keys. A key of another type counts as missing.
    Values,
    /// OK, or null if it was not done.
    Done,
    /// OK, whatever the integer is.
    Ok,
    /// 1, or 0 if it was not done.
    DoneAsInteger,
    /// An integer.
    Integer,
    /// An array of the integers and nulls of one answer.
    Fields,
    /// An array of elements, which may be null.
    Elements,
    /// A set of elements.
    Members,
    /// An array of elements, or a null array.
    ElementsOrNull,
    /// A key, and an array of the elements that were removed from it; or a null array.
    Popped,
    /// An array of integers, which come as elements.
    Integers,
    /// The first of such integers, or null.
    FirstInteger,
    /// As `Pairs`, of members of a sorted set and their scores.
    Scored,
    /// A flat array of such elements.
    FlatScored,
    /// A key, and an array with an array for each member that was removed from it and its score; or a null array.
    PoppedScored,
    /// A score, or null.
    Score,
    /// An array of scores and nulls.
    Scores,
    /// The places of members, from their scores.
    Positions,
    /// The geohashes of members, from their scores.
    Geohashes,
    /// The distance between two members, from their scores, in this unit; or null.
    Distance(Unit),
    /// The places that a search has found.
    Places(ShownPlace),
    /// A map, of elements that alternate between fields and values.
    Map,
    /// An array with an array for each field and its value; in RESP2, a flat one.
    Pairs,
    /// An array of a key and the element that was taken from it, or a null array.
    PoppedOne,
    /// An array of a key, and the member that was taken from it with its score, or a null array.
    PoppedOneScored,
    /// Values inside of values, or their error.
    Nested,
    /// An integer, or such an error.
    NestedOrInteger,
    /// OK, or such an error.
    NestedOrDone,
    /// The streams that have entries, or null.
    Streams,
    /// As `Streams`, of one answer that has the answers about all of them.
    AllStreams,
    /// A cursor, and an array of elements.
    Scanned,
    /// The error for these arguments, if the key has a value of the command's type: Redis looks at the key first. The
    /// answer is the type.
    Refused(ValueType, ArgumentError, MissingKeyReply),
    /// The number of keys that were deleted, on a condition that only strings fulfil.
    DeletedIf,
    /// An integer, or null.
    IntegerOrNull,
    /// The sum of integers.
    Sum,
    /// The number of elements of all HyperLogLogs.
    Union,
    /// The longest common subsequence of two values, or the error for these options.
    Lcs(Result<LcsOptions, ArgumentError>),
    /// A bulk string, empty if the key is missing.
    Range,
    /// The remaining time to live, or the expiration time.
    Ttl {
        /// In seconds, not milliseconds.
        seconds: bool,
        /// The expiration time itself.
        absolute: bool,
    },
    /// The same of fields.
    FieldTtls {
        /// As above.
        seconds: bool,
        /// As above.
        absolute: bool,
    },
    /// The type of the key's value.
    Type,
    /// The number of references to the value.
    Shared,
    /// The payload of DUMP, or null.
    Dump,
    /// OK, or an error because the key exists.
    Restored,
    /// An error because the key exists, or else this one.
    NotRestored(RestoreError),
}

/// What a command with wrong arguments replies if its key is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MissingKeyReply {
    Null,
    Integer(i8),
    /// The cursor and the elements of a walk that is over.
    EmptyScan,
    /// That there is no such key.
    NoSuchKey,
    /// The error, too.
    Error,
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
const CONDITION_ON_TYPE: &str = "ERR Key should be of string type if conditions are specified";
const BUSY_KEY: &str = "BUSYKEY Target key name already exists.";

/// Returns what TTL and its kind reply for a time.
fn shown_time(end: u64, (seconds, absolute): (bool, bool), now: u64) -> i64 {
    let shown = if absolute { end } else { end.saturating_sub(now) };
    // Rounded as in `ttlGenericCommand`.
    let shown = if seconds { shown.saturating_add(500) / 1000 } else { shown };
    i64::try_from(shown).unwrap_or(i64::MAX)
}

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
            (Self::Value | Self::Values | Self::Done, Answer::Nil)
            | (Self::Values, Answer::Error(RequestError::WrongType)) => out.null(),
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
        if let (
            Self::Nested | Self::NestedOrInteger | Self::NestedOrDone,
            Answer::Elements(elements, _),
        ) = (self, answer)
        {
            return write_nested(out, elements);
        }
        match (self, answer) {
            (Self::AllStreams, Answer::Elements(all, _)) => {
                return StreamsReply::of(all, out.protocol()).write(out);
            }
            (Self::AllStreams, _) => {
                out.null_array();
                return None;
            }
            _ => {}
        }
        if self.write_collection(out, answer) {
            return None;
        }
        match (self, answer) {
            (Self::DeletedIf | Self::NestedOrInteger, Answer::Int(n)) => out.integer(n),
            (Self::DoneAsInteger, answer) => out.integer((answer == Answer::Done).into()),
            (Self::Value | Self::Values | Self::Range, Answer::Pieces(pieces)) => {
                out.bulk_of(pieces);
            }
            (Self::Range, _) => out.bulk(b""),
            (Self::Ttl { seconds, absolute }, answer) => out.integer(match answer {
                Answer::ExpiresAt(Some(end)) => shown_time(end, (seconds, absolute), now),
                Answer::ExpiresAt(None) => -1,
                _ => -2,
            }),
            (Self::FieldTtls { seconds, absolute }, Answer::Fields(times)) => {
                out.array(times.len());
                times.iter().flatten().for_each(|end| {
                    let end = u64::try_from(end)
                        .map_or(end, |end| shown_time(end, (seconds, absolute), now));
                    out.integer(end);
                });
            }
            (Self::Type, Answer::Bytes(name)) => out.simple(&String::from_utf8_lossy(name)),
            (Self::Type, _) => out.simple("none"),
            // Redis answers 2147483647 for integers below 10000, whose objects it shares. Nothing is shared here.
            (Self::Shared, Answer::Bytes(_)) => out.integer(1),
            (Self::Fields, Answer::Fields(values)) => {
                out.array(values.len());
                values.iter().for_each(|value| match value {
                    Some(value) => out.integer(value),
                    None => out.null(),
                });
            }
            (Self::Refused(_, _, MissingKeyReply::Integer(n)), _) => out.integer(n.into()),
            (Self::Refused(_, _, MissingKeyReply::EmptyScan), _) => {
                write_cursor(out, 0);
                out.array(0);
            }
            (Self::Dump, Answer::Stored(value)) => match dumped(value) {
                Ok(payload) => out.bulk(&payload),
                Err(error) => {
                    out.error(error);
                    return Some(error);
                }
            },
            (Self::Ok | Self::Restored | Self::NestedOrDone, _) => out.ok(),
            _ => out.null(),
        }
        None
    }

    /// Writes the reply of an answer about the entries of a value. Returns whether it is one.
    fn write_collection(self, out: &mut RespWriter<'_>, answer: Answer<'_>) -> bool {
        match (self, answer) {
            (Self::Members, Answer::Elements(elements, _)) => {
                out.set(elements.len());
                elements.iter().for_each(|element| write_element(out, element));
            }
            (Self::Elements | Self::ElementsOrNull, Answer::Elements(elements, _)) => {
                write_elements(out, elements);
            }
            (Self::Popped, Answer::Elements(elements, _)) => write_popped(out, elements),
            (Self::Integers, Answer::Elements(elements, _)) => {
                out.array(elements.len());
                integers(elements).for_each(|number| out.integer(number));
            }
            (Self::FirstInteger, Answer::Elements(elements, _)) => {
                match integers(elements).next() {
                    Some(number) => out.integer(number),
                    None => out.null(),
                }
            }
            (Self::Map, Answer::Elements(elements, _)) => {
                out.map(elements.len() / 2);
                elements.iter().for_each(|element| write_element(out, element));
            }
            (Self::Pairs, Answer::Elements(elements, _)) => {
                write_pairs(out, elements, write_element);
            }
            (Self::Scored, Answer::Elements(elements, _)) => {
                write_pairs(out, elements, write_score);
            }
            (Self::FlatScored, Answer::Elements(elements, _)) => {
                out.array(elements.len());
                write_scored(elements.iter(), |_| {}, out);
            }
            // ZPOPMIN of a missing key.
            (Self::Scored | Self::FlatScored, _) => out.array(0),
            (Self::PoppedScored, Answer::Elements(elements, _)) => {
                let mut all = elements.iter();
                out.array(2);
                write_element(out, all.next().flatten());
                out.array(elements.len() / 2);
                write_scored(all, |out| out.array(2), out);
            }
            (Self::PoppedOne, Answer::Elements(elements, _)) => write_elements(out, elements),
            (Self::PoppedOneScored, Answer::Elements(elements, _)) => {
                let mut all = elements.iter();
                out.array(elements.len());
                write_element(out, all.next().flatten());
                write_scored(all, |_| {}, out);
            }
            (
                Self::ElementsOrNull
                | Self::Popped
                | Self::PoppedScored
                | Self::PoppedOne
                | Self::PoppedOneScored,
                Answer::Nil,
            ) => out.null_array(),
            (Self::Positions, Answer::Elements(scores, _)) => {
                geo_reply::write_positions(out, scores);
            }
            (Self::Geohashes, Answer::Elements(scores, _)) => {
                geo_reply::write_geohashes(out, scores);
            }
            (Self::Distance(unit), Answer::Elements(scores, _)) => {
                geo_reply::write_distance(out, scores, unit);
            }
            (Self::Places(shown), Answer::Elements(found, _)) => {
                geo_reply::write_places(out, found, shown);
            }
            (Self::Score, Answer::Score(score)) => out.double(score.get()),
            (Self::Scores, Answer::Elements(elements, _)) => {
                out.array(elements.len());
                elements.iter().for_each(|score| write_score(out, score));
            }
            (Self::Scanned, Answer::Elements(elements, next)) => {
                write_cursor(out, next);
                write_elements(out, elements);
            }
            _ => return false,
        }
        true
    }

    /// Returns the error that is the reply for an answer that is none.
    fn error_for(self, answer: &Answer<'_>) -> Option<&'static str> {
        match (self, answer) {
            (Self::Refused(wanted, error, _), Answer::Bytes(name)) => {
                let has_type = *name == wanted.name().as_bytes();
                Some(match error {
                    _ if has_type => error.text(),
                    ArgumentError::Condition => CONDITION_ON_TYPE,
                    _ => WRONG_TYPE,
                })
            }
            (Self::Refused(_, error, MissingKeyReply::Error), _) => Some(error.text()),
            (Self::Refused(_, _, MissingKeyReply::NoSuchKey), _) => {
                Some(error_text(RequestError::NoSuchKey))
            }
            (Self::Restored, Answer::Done) => None,
            (Self::Restored, _) | (Self::NotRestored(_), Answer::Int(1)) => Some(BUSY_KEY),
            (Self::NotRestored(why), _) => Some(why.text()),
            _ => None,
        }
    }

    /// Returns the text of an error of which this command has a text of its own.
    pub(super) fn own_error(self, error: RequestError) -> Option<&'static str> {
        let is_own = self == Self::DeletedIf && error == RequestError::WrongType;
        is_own.then_some(CONDITION_ON_TYPE)
    }
}

fn write_elements(out: &mut RespWriter<'_>, elements: ElementList<'_>) {
    out.array(elements.len());
    elements.iter().for_each(|element| write_element(out, element));
}

/// Writes a key, and the elements behind it.
fn write_popped(out: &mut RespWriter<'_>, elements: ElementList<'_>) {
    out.array(2);
    let mut all = elements.iter();
    write_element(out, all.next().flatten());
    out.array(elements.len().saturating_sub(1));
    all.for_each(|element| write_element(out, element));
}

/// Returns the numbers that these elements are.
fn integers(elements: ElementList<'_>) -> impl Iterator<Item = i64> {
    elements.iter().flatten().filter_map(number::integer)
}

fn write_element(out: &mut RespWriter<'_>, element: Option<&[u8]>) {
    match element {
        Some(element) => out.bulk(element),
        None => out.null(),
    }
}

/// Writes the score of a member.
fn write_score(out: &mut RespWriter<'_>, stored: Option<&[u8]>) {
    match stored.and_then(Score::parse) {
        Some(score) => out.double(score.get()),
        None => out.null(),
    }
}

/// Writes members and their scores, and calls `begin` before each.
fn write_scored<'e>(
    mut elements: impl Iterator<Item = Option<&'e [u8]>>,
    begin: fn(&mut RespWriter<'_>),
    out: &mut RespWriter<'_>,
) {
    while let Some(member) = elements.next() {
        begin(out);
        write_element(out, member);
        write_score(out, elements.next().flatten());
    }
}

/// Writes elements that alternate between names and values, which `write_value` writes.
fn write_pairs(
    out: &mut RespWriter<'_>,
    elements: ElementList<'_>,
    write_value: fn(&mut RespWriter<'_>, Option<&[u8]>),
) {
    let is_nested = out.protocol() == Protocol::Three;
    out.array(if is_nested { elements.len() / 2 } else { elements.len() });
    for (at, element) in elements.iter().enumerate() {
        if is_nested && at % 2 == 0 {
            out.array(2);
        }
        let write = if at % 2 == 0 { write_element } else { write_value };
        write(out, element);
    }
}

/// Begins the reply of SCAN and its like, up to the elements.
fn write_cursor(out: &mut RespWriter<'_>, next: u64) {
    out.array(2);
    out.bulk(itoa::Buffer::new().format(next).as_bytes());
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
        RequestError::NotSortable => "ERR One or more scores can't be converted into double",
        RequestError::IndexOutOfRange => "ERR index out of range",
        RequestError::StreamIdTooSmall => {
            "ERR The ID specified in XADD is equal or smaller than the target stream top item"
        }
        // Redis's words for it.
        RequestError::StreamSequenceUsedUp => "ERR Elements are too large to be stored",
        RequestError::StreamIdsUsedUp => {
            "ERR The stream has exhausted the last possible ID, unable to add more items"
        }
        RequestError::StreamIdBelowLast => {
            "ERR The ID specified in XSETID is smaller than the target stream top item"
        }
        RequestError::StreamAddedBelowLength => {
            "ERR The entries_added specified in XSETID is smaller than the target stream length"
        }
        RequestError::StreamMissing => {
            "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the \
             MKSTREAM option to create an empty stream automatically."
        }
        RequestError::GroupExists => "BUSYGROUP Consumer Group name already exists",
        // Requests of clients are answered with a text that names key and group.
        RequestError::NoSuchGroup => "NOGROUP No such consumer group",
        RequestError::HashNotAnInteger => "ERR hash value is not an integer",
        RequestError::NoSuchPlace => "ERR could not decode requested zset member",
        RequestError::ScoreNotANumber => "ERR resulting score is not a number (NaN)",
        RequestError::HashNotAFloat => "ERR hash value is not a float",
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
        // The enum may grow, and the compiler does not check that this match names all of it; the test below does.
        _ => "ERR the request is refused",
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_error_has_a_reply() {
        let errors = include_str!("../../../engine/src/request/error.rs");
        let (_, list) = errors.split_once("pub enum RequestError {\n").unwrap();
        let (list, _) = list.split_once("\n}\n").unwrap();
        let (code, _) = include_str!("reply.rs").split_once("#[cfg(test)]").unwrap();
        let named = |name: &str| code.contains(&format!("RequestError::{name} =>"));
        let lines = list.lines().map(str::trim).filter(|line| !line.starts_with("//"));
        let names: Vec<_> = lines.map(|line| line.trim_end_matches(',')).collect();
        assert!(names.len() > 30, "no errors were found: {names:?}");
        let lacking: Vec<_> = names.into_iter().filter(|name| !named(name)).collect();
        assert_eq!(lacking, [""; 0], "these have no reply of their own");
    }
}
