//! What a look answers.

use crate::ask::{Answer, Look};
use crate::state::cold::Cold;
use crate::state::record::{Record, UsedAt};
use crate::state::shard;

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
            Look::Value | Look::Life | Look::Memory | Look::Idle => Answer::Nothing,
        });
    };
    let used = UsedAt::of(now);
    match look {
        Look::Idle => return answer(Answer::count((used.since(record.used()) / 1000) as usize)),
        Look::Memory => return answer(Answer::count(record.memory() + 20)),
        Look::Life => return answer(Answer::Lives(record.ends())),
        Look::Value | Look::Exists | Look::Length | Look::Part(..) => record.touch(used),
    }
    match look {
        Look::Value => shard::read(record, cold, |value| answer(Answer::Bytes(value))),
        Look::Part(from, to) => {
            shard::read(record, cold, |value| answer(Answer::Bytes(part(value, from, to))));
        }
        Look::Length => answer(Answer::count(record.value().length())),
        Look::Exists | Look::Idle | Look::Memory | Look::Life => answer(Answer::Int(1)),
    }
}

/// The bytes from one place to another, both included, counted from the end where they are negative.
fn part(value: &[u8], from: i64, to: i64) -> &[u8] {
    let length = value.len().cast_signed() as i64;
    if from < 0 && to < 0 && from > to {
        return b"";
    }
    let place = |at: i64| if at < 0 { (length + at).max(0) } else { at };
    let (from, to) = (place(from), place(to).min(length - 1));
    let at = |place: i64| place.cast_unsigned() as usize;
    if from > to { b"" } else { &value[at(from)..=at(to)] }
}
