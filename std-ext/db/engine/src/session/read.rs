//! How a read is answered from a record.

use crate::request::{Answer, Field, FieldValues, Query, RequestError};
use crate::state::bits;
use crate::state::cold::ColdStore;
use crate::state::record::{Record, Value};
use crate::state::shard;
use crate::state::usage::UsageClock;
use crate::state::{apply_hyperloglog, hyperloglog, xxh3};
use std::ops::Range;

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
        // BITFIELD's GET reads zeros from a missing key.
        if let Query::Fields(fields) = query {
            return answer_fields(Value::Inline(b""), None, fields, answer);
        }
        return answer(of_missing(query));
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
        Query::Prefix(most) => {
            let value = record.value();
            let range = 0..value.length().min(most);
            return shard::read_part(value, cold, range, |bytes| answer(Answer::Bytes(bytes)));
        }
        _ => usage.touch(record),
    }
    match query {
        Query::Value => shard::read(record, cold, |value| answer(Answer::Bytes(value))),
        Query::Pieces => {
            let value = record.value();
            shard::read_pieces(value, cold, 0..value.length(), answer);
        }
        Query::Range(from, to) => {
            let value = record.value();
            let range = byte_range(value.length(), from, to);
            shard::read_part(value, cold, range, |bytes| answer(Answer::Bytes(bytes)));
        }
        Query::RangePieces(from, to) => {
            let value = record.value();
            shard::read_pieces(value, cold, byte_range(value.length(), from, to), answer);
        }
        Query::Length => answer(Answer::count(record.value().length())),
        Query::Touch
        | Query::Exists
        | Query::Prefix(_)
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
        Query::Digest => answer(Answer::Bytes(xxh3::digest(record.value(), cold).as_bytes())),
        Query::Fields(fields) => answer_fields(record.value(), cold, fields, answer),
        Query::Bit(_) | Query::CountBits(_) | Query::FindBit { .. } => {
            answer(Answer::Int(read_bits(record, query, cold)));
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
        | Query::Prefix(_)
        | Query::Expiry
        | Query::MemoryUsage
        | Query::IdleTime
        | Query::Frequency
        | Query::Fields(_) => Answer::Nil,
    }
}

/// Answers a query about bits.
#[inline(never)]
fn read_bits(record: Record, query: Query<'_>, cold: Option<&ColdStore>) -> i64 {
    let value = record.value();
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
    value: Value<'_>,
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
