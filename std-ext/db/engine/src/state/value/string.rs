//! Reading strings, wherever they are stored.

pub(crate) use super::stored_string::{RopeRef, StringValue};
use crate::request::Answer;
use crate::state::cold::ColdStore;
use std::ops::Range;

/// Calls `with` with a string and returns the result.
#[inline]
pub(crate) fn read<R>(
    value: StringValue<'_>,
    cold: Option<&ColdStore>,
    with: impl FnOnce(&[u8]) -> R,
) -> R {
    match value {
        StringValue::Inline(value) => with(value),
        value => read_part(value, cold, 0..value.length(), with),
    }
}

/// Answers with a part of a value, in the pieces in which it is stored.
#[inline]
pub(crate) fn read_pieces(
    value: StringValue<'_>,
    cold: Option<&ColdStore>,
    part: Range<usize>,
    answer: impl FnOnce(Answer<'_>),
) {
    match value {
        StringValue::Inline(value) => answer(Answer::Bytes(&value[part])),
        StringValue::Rope(rope_ref, length) => {
            // SAFETY: the caller that has the value holds its record.
            unsafe { rope_ref.rope().read_pieces(length, part, answer) }
        }
        StringValue::Compressed(..) => {
            read_part(value, cold, part, |bytes| answer(Answer::Bytes(bytes)));
        }
    }
}

/// Calls `with` with a part of a value and returns the result. Of a long value only that part is read.
pub(crate) fn read_part<R>(
    value: StringValue<'_>,
    cold: Option<&ColdStore>,
    part: Range<usize>,
    with: impl FnOnce(&[u8]) -> R,
) -> R {
    match value {
        StringValue::Inline(value) => with(&value[part]),
        // SAFETY: the caller that has the value holds its record.
        StringValue::Rope(rope_ref, length) => unsafe { rope_ref.rope().read(length, part, with) },
        StringValue::Compressed(ticket, _) => {
            let value = cold.and_then(|cold| cold.read(ticket, |value| with(&value[part])));
            value.expect("a ticket leads to its value as long as its record is there")
        }
    }
}

/// Calls `each` with the pieces of a part of a value, in order, until it returns false.
pub(crate) fn visit(
    value: StringValue<'_>,
    cold: Option<&ColdStore>,
    part: Range<usize>,
    each: &mut dyn FnMut(&[u8]) -> bool,
) {
    match value {
        // SAFETY: the caller that has the value holds its record.
        StringValue::Rope(rope_ref, length) => unsafe { rope_ref.rope().visit(length, part, each) },
        // Callers index the first byte of a piece, as `bits::count` does.
        _ if part.is_empty() => {}
        StringValue::Inline(_) | StringValue::Compressed(..) => {
            read_part(value, cold, part, |bytes| {
                each(bytes);
            });
        }
    }
}
