//! What a look answers.

use crate::ask::{Answer, Look};
use crate::state::cold::Cold;
use crate::state::record::{Record, UsedAt};
use crate::state::shard;
use std::ops::Range;

/// Answers a look at what was found.
#[inline]
pub(super) fn tell(
    alive: Option<Record>,
    look: Look,
    now: u64,
    cold: Option<&Cold>,
    answer: impl FnOnce(Answer<'_>),
) {
    let Some(record) = alive else {
        return answer(match look {
            Look::Exists | Look::Length => Answer::Int(0),
            Look::Part(..) => Answer::Bytes(b""),
            Look::Value
            | Look::InPieces
            | Look::Beginning(_)
            | Look::Life
            | Look::Memory
            | Look::Idle => Answer::Nothing,
        });
    };
    let used = UsedAt::of(now);
    match look {
        Look::Idle => return answer(Answer::count((used.since(record.used()) / 1000) as usize)),
        Look::Memory => return answer(Answer::count(record.memory() + 20)),
        Look::Life => return answer(Answer::Lives(record.ends())),
        Look::Beginning(most) => {
            let value = record.value();
            let part = 0..value.length().min(most);
            return shard::read_part(value, cold, part, |part| answer(Answer::Bytes(part)));
        }
        Look::Value | Look::InPieces | Look::Exists | Look::Length | Look::Part(..) => {
            record.touch(used);
        }
    }
    match look {
        Look::Value => shard::read(record, cold, |value| answer(Answer::Bytes(value))),
        Look::InPieces => shard::read_pieces(record, cold, answer),
        Look::Part(from, to) => {
            let value = record.value();
            let part = part(value.length(), from, to);
            shard::read_part(value, cold, part, |part| answer(Answer::Bytes(part)));
        }
        Look::Length => answer(Answer::count(record.value().length())),
        Look::Exists | Look::Beginning(_) | Look::Idle | Look::Memory | Look::Life => {
            answer(Answer::Int(1));
        }
    }
}

/// Where the bytes from one place to another are, both included, counted from the end where they are negative.
fn part(length: usize, from: i64, to: i64) -> Range<usize> {
    let length = length.cast_signed() as i64;
    if from < 0 && to < 0 && from > to {
        return 0..0;
    }
    let place = |at: i64| if at < 0 { (length + at).max(0) } else { at };
    let (from, to) = (place(from), place(to).min(length - 1));
    let at = |place: i64| place.cast_unsigned() as usize;
    if from > to { 0..0 } else { at(from)..at(to) + 1 }
}
