//! How a read is answered from a record.

use super::read_hash::answer_hash;
use super::read_list::answer_list;
use super::read_set::answer_set;
use super::read_sorted_set::answer_sorted_set;
use super::read_stream::answer_stream;
use super::sorted::answer_sorted;
use crate::number;
use crate::request::{Answer, Field, FieldValues, LONGEST_VALUE, Query, RequestError, StoredValue};
use crate::state::bits;
use crate::state::cold::ColdStore;
use crate::state::record::Record;
use crate::state::usage::UsageClock;
use crate::state::value::Value;
use crate::state::value::string::{self, StringValue};
use crate::state::{apply_hyperloglog, hyperloglog, xxh3};
use std::ops::Range;

/// Redis stores values up to this length in one allocation with their header.
const EMBSTR_MAX: usize = 44;

/// Answers a query from the record that was found, if it is alive.
#[inline]
pub(super) fn answer_query(
    alive: Option<Record>,
    query: Query<'_>,
    usage: UsageClock<'_>,
    cold: Option<&ColdStore>,
    answer: impl FnOnce(Answer<'_>),
) {
    let Some(record) = alive else {
        return match query {
            // BITFIELD's GET reads zeros from a missing key.
            Query::Fields(fields) => {
                answer_fields(StringValue::Inline(b""), None, fields, answer);
            }
            Query::Hash(query) => answer_hash((None, 0), query, answer),
            Query::List(query) => answer_list(None, query, answer),
            Query::Sort(sort) => answer_sorted(None, sort, answer),
            Query::Members(query) => answer_set(None, query, answer),
            Query::SortedSet(query) => answer_sorted_set(None, query, answer),
            Query::Stream(query) => answer_stream(None, query, answer),
            _ => answer(of_missing(query)),
        };
    };
    // The queries that do not count as a use return here, before the record is touched.
    match query {
        Query::IdleTime => {
            let idle = usage.idle_seconds(record);
            return answer(idle.map_or(Answer::Error(RequestError::NoIdleTime), |seconds| {
                Answer::Int(seconds.cast_signed())
            }));
        }
        Query::Frequency => {
            let counter = usage.frequency(record);
            return answer(counter.map_or(Answer::Error(RequestError::NoFrequency), |counter| {
                Answer::Int(counter.into())
            }));
        }
        // As Redis's EXISTS, which looks keys up with LOOKUP_NOTOUCH; so do TTL and OBJECT.
        Query::Exists => return answer(Answer::Int(1)),
        Query::MemoryUsage => return answer(Answer::count(record.memory() + 20)),
        Query::Expiry => return answer(Answer::ExpiresAt(record.expires_at())),
        Query::Type => return answer(Answer::Bytes(record.value().value_type().name().as_bytes())),
        Query::Encoding => return answer(Answer::Bytes(encoding(record.value(), cold).as_bytes())),
        _ => usage.touch(record),
    }
    let Some(value) = record.string() else {
        return answer_typed(record, (query, usage.now), cold, answer);
    };
    match query {
        Query::Value => string::read(value, cold, |value| answer(Answer::Bytes(value))),
        Query::Pieces => string::read_pieces(value, cold, 0..value.length(), answer),
        Query::Range(from, to) => {
            let range = byte_range(value.length(), from, to);
            string::read_part(value, cold, range, |bytes| answer(Answer::Bytes(bytes)));
        }
        Query::RangePieces(from, to) => {
            string::read_pieces(value, cold, byte_range(value.length(), from, to), answer);
        }
        Query::Length => answer(Answer::count(value.length())),
        Query::Hash(_)
        | Query::List(_)
        | Query::Sort(_)
        | Query::Members(_)
        | Query::SortedSet(_)
        | Query::Stream(_) => {
            answer(Answer::Error(RequestError::WrongType));
        }
        Query::Stored => {
            string::read(value, cold, |value| answer(Answer::Stored(StoredValue::String(value))));
        }
        Query::Touch
        | Query::Exists
        | Query::Type
        | Query::Encoding
        | Query::IdleTime
        | Query::Frequency
        | Query::MemoryUsage
        | Query::Expiry => answer(Answer::Int(1)),
        Query::Cardinality => {
            let counted = apply_hyperloglog::read(record, cold, hyperloglog::cardinality);
            answer(match counted {
                Ok(Ok(number)) => Answer::Int(number.cast_signed()),
                Ok(Err(error)) | Err(error) => Answer::Error(error),
            });
        }
        Query::HyperLogLog => {
            let mut answer = Some(answer);
            let answered = apply_hyperloglog::read(record, cold, |value| {
                answer.take().map(|answer| answer(Answer::Bytes(value)))
            });
            if let (Err(error), Some(answer)) = (answered, answer) {
                answer(Answer::Error(error));
            }
        }
        Query::Digest => answer(Answer::Bytes(xxh3::digest(value, cold).as_bytes())),
        Query::Fields(fields) => answer_fields(value, cold, fields, answer),
        Query::Bit(_) | Query::CountBits(_) | Query::FindBit { .. } => {
            answer(Answer::Int(read_bits(value, query, cold)));
        }
    }
}

/// Answers a query about a value that is no string. The record was touched.
#[inline(never)]
fn answer_typed(
    record: Record,
    (query, now): (Query<'_>, u64),
    cold: Option<&ColdStore>,
    answer: impl FnOnce(Answer<'_>),
) {
    match (query, record.value()) {
        (Query::Touch, _) => answer(Answer::Int(1)),
        // It is copied as a whole.
        (Query::Stored, value) if value.stored_bytes() > LONGEST_VALUE => {
            answer(Answer::Error(RequestError::ValueTooLong));
        }
        (Query::Stored, value) => value.with_stored(cold, |value| answer(Answer::Stored(value))),
        (Query::Hash(query), Value::Hash(hash)) => answer_hash((Some(hash), now), query, answer),
        (Query::Sort(sort), value) => answer_sorted(Some(value), sort, answer),
        (Query::List(query), Value::List(list)) => answer_list(Some(list), query, answer),
        (Query::Members(query), Value::Set(set)) => answer_set(Some(set), query, answer),
        (Query::SortedSet(query), Value::SortedSet(set)) => {
            answer_sorted_set(Some(set), query, answer);
        }
        (Query::Stream(query), Value::Stream(stream)) => {
            answer_stream(Some(stream), query, answer);
        }
        _ => answer(Answer::Error(RequestError::WrongType)),
    }
}

/// Returns the name of the encoding that Redis would use.
#[cold]
fn encoding(value: Value<'_>, cold: Option<&ColdStore>) -> &'static str {
    match value {
        Value::Hash(_) | Value::Set(_) if value.is_table() => "hashtable",
        Value::SortedSet(_) if value.is_table() => "skiplist",
        Value::Hash(_) | Value::SortedSet(_) => "listpack",
        Value::Set(_) => "intset",
        Value::List(_) => "quicklist",
        Value::Stream(_) => "stream",
        Value::String(value) => {
            let head = 0..value.length().min(EMBSTR_MAX + 1);
            string::read_part(value, cold, head, |head| {
                // As `tryObjectEncoding` would: no text of an integer is longer than 20 bytes.
                if number::integer(head).is_some() {
                    "int"
                // By the value alone. Redis says `raw` for a short value that was changed in place, as by APPEND.
                } else if head.len() <= EMBSTR_MAX {
                    "embstr"
                } else {
                    "raw"
                }
            })
        }
    }
}

/// Returns the answer about a missing key; that of [`Query::Fields`] needs memory, so the caller makes it.
#[inline]
fn of_missing(query: Query<'_>) -> Answer<'static> {
    match query {
        Query::Exists
        | Query::Touch
        | Query::Length
        | Query::Bit(_)
        | Query::CountBits(_)
        | Query::Cardinality
        | Query::FindBit { bit: false, .. } => Answer::Int(0),
        Query::FindBit { bit: true, .. } => Answer::Int(-1),
        Query::Range(..) | Query::RangePieces(..) => Answer::Bytes(b""),
        Query::Value
        | Query::Pieces
        | Query::HyperLogLog
        | Query::Digest
        | Query::Type
        | Query::Encoding
        | Query::Stored
        | Query::Hash(_)
        | Query::List(_)
        | Query::Sort(_)
        | Query::Members(_)
        | Query::SortedSet(_)
        | Query::Stream(_)
        | Query::Expiry
        | Query::MemoryUsage
        | Query::IdleTime
        | Query::Frequency
        | Query::Fields(_) => Answer::Nil,
    }
}

/// Answers a query about bits.
#[inline(never)]
fn read_bits(value: StringValue<'_>, query: Query<'_>, cold: Option<&ColdStore>) -> i64 {
    match query {
        Query::Bit(offset) => bits::bit(value, cold, offset).into(),
        Query::CountBits(range) => bits::count(value, cold, range),
        Query::FindBit { bit, range, padded } => bits::find(value, cold, (bit, range, padded)),
        _ => unreachable!("the other queries are answered by `answer_query`"),
    }
}

/// Answers with integers of a value.
#[inline(never)]
fn answer_fields(
    value: StringValue<'_>,
    cold: Option<&ColdStore>,
    fields: &[Field],
    answer: impl FnOnce(Answer<'_>),
) {
    answer(Answer::Fields(FieldValues::stored(&bits::fields(value, cold, fields))));
}

/// Converts GETRANGE's offsets, both inclusive and counted from the end if negative, to a range within `length` bytes.
fn byte_range(length: usize, from: i64, to: i64) -> Range<usize> {
    let length = length.cast_signed() as i64;
    // `getrangeCommand` has this check before it adds the length: two offsets before the beginning are empty, not 0..1.
    if from < 0 && to < 0 && from > to {
        return 0..0;
    }
    let offset = |at: i64| if at < 0 { (length + at).max(0) } else { at };
    let (from, to) = (offset(from), offset(to).min(length - 1));
    let at = |offset: i64| offset.cast_unsigned() as usize;
    if from > to { 0..0 } else { at(from)..at(to) + 1 }
}
