//! The plain model of changes and queries about bits: bit by bit.

use crate::random::Random;
use hedgerow_db::request::{
    BitRange, BitUnit, Bitwise, Field, FieldOp, FieldType, Overflow, Query,
};
use std::ops::Range;

pub(crate) const OPERATIONS: [Bitwise; 8] = [
    Bitwise::And,
    Bitwise::Or,
    Bitwise::Xor,
    Bitwise::Not,
    Bitwise::Diff,
    Bitwise::Diff1,
    Bitwise::AndOr,
    Bitwise::One,
];

fn bit(value: &[u8], at: u64) -> bool {
    value.get(at as usize / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1)
}

/// Returns the integer as Redis's loop over its bits does.
fn get(value: &[u8], kind: FieldType, at: u64) -> i64 {
    let bits = u64::from(kind.bits());
    let all = (at..at + bits).fold(0_u64, |all, n| all << 1 | u64::from(bit(value, n)));
    let negative = kind.is_signed() && bits < 64 && bit(value, at);
    (if negative { all | u64::MAX << bits } else { all }).cast_signed()
}

/// Sets a bit, and returns the one before.
pub(crate) fn set(value: &mut Vec<u8>, at: u64, to: bool) -> bool {
    let before = bit(value, at);
    let byte = at as usize / 8;
    value.resize(value.len().max(byte + 1), 0);
    value[byte] = value[byte] & !(0x80 >> (at % 8)) | u8::from(to) << (7 - at % 8);
    before
}

/// Returns the sum as it is stored, or None if that fails.
fn fitted(value: i128, by: i64, kind: FieldType, overflow: Overflow) -> Option<i64> {
    let values = 1_i128 << kind.bits();
    let least = if kind.is_signed() { -values / 2 } else { 0 };
    let most = least + values - 1;
    let wanted = value + i128::from(by);
    let stored = match overflow {
        Overflow::Wrap => (wanted - least).rem_euclid(values) + least,
        // Redis computes the distance from the greatest number in 64 bits.
        Overflow::Saturate if kind.bits() < 64 && most - value > i64::MAX.into() => most,
        Overflow::Saturate => wanted.clamp(least, most),
        Overflow::Fail if (least..=most).contains(&wanted) => wanted,
        Overflow::Fail => return None,
    };
    Some(stored as i64)
}

pub(crate) fn change(value: &mut Vec<u8>, fields: &[Field]) -> Vec<Option<i64>> {
    for field in fields.iter().filter(|field| field.op != FieldOp::Get) {
        let end = (field.offset + u64::from(field.kind.bits())).div_ceil(8) as usize;
        value.resize(value.len().max(end), 0);
    }
    let one = |field: &Field| {
        let (kind, at) = (field.kind, field.offset);
        let old = get(value, kind, at);
        let (new, answer) = match field.op {
            FieldOp::Get => (None, Some(old)),
            FieldOp::Set(wanted, overflow) => {
                // A negative number is a great one in an unsigned field.
                let unsigned = i128::from(wanted.cast_unsigned());
                let wanted = if kind.is_signed() { wanted.into() } else { unsigned };
                let new = fitted(wanted, 0, kind, overflow);
                (new, new.map(|_| old))
            }
            FieldOp::IncrementBy(by, overflow) => {
                let new = fitted(old.into(), by, kind, overflow);
                (new, new)
            }
        };
        if let Some(new) = new {
            for n in 0..u64::from(kind.bits()) {
                set(value, at + n, new >> (u64::from(kind.bits()) - 1 - n) & 1 == 1);
            }
        }
        answer
    };
    fields.iter().map(one).collect()
}

pub(crate) fn combine(op: Bitwise, values: &[&[u8]]) -> Vec<u8> {
    let length = values.iter().map(|value| value.len()).max().unwrap_or(0);
    let byte = |at: usize| {
        let mut bytes = values.iter().map(|value| value.get(at).copied().unwrap_or(0));
        let first = bytes.next().unwrap_or(0);
        match op {
            Bitwise::And => bytes.fold(first, |all, byte| all & byte),
            Bitwise::Or => bytes.fold(first, |all, byte| all | byte),
            Bitwise::Xor => bytes.fold(first, |all, byte| all ^ byte),
            Bitwise::Not => !first,
            Bitwise::Diff => bytes.fold(first, |left, byte| left & !byte),
            Bitwise::Diff1 => !first & bytes.fold(0, |all, byte| all | byte),
            Bitwise::AndOr => first & bytes.fold(0, |all, byte| all | byte),
            Bitwise::One => {
                let all: Vec<u8> = std::iter::once(first).chain(bytes).collect();
                let one = |bit: &u8| all.iter().filter(|byte| *byte & bit != 0).count() == 1;
                (0..8).map(|at| 1 << at).filter(one).sum()
            }
        }
    };
    (0..length).map(byte).collect()
}

/// Returns integers of a value.
pub(crate) fn fields(value: &[u8], fields: &[Field]) -> Vec<Option<i64>> {
    fields.iter().map(|field| Some(get(value, field.kind, field.offset))).collect()
}

/// Answers a query about a value.
pub(crate) fn read(value: Option<&[u8]>, query: Query<'_>) -> i64 {
    let bytes = value.unwrap_or_default();
    let part = |range: BitRange| {
        let each = if range.unit == BitUnit::Bit { 1 } else { 8 };
        let length = bytes.len() as i64 * 8 / each;
        let place = |at: i64| if at < 0 { (at + length).max(0) } else { at };
        let (from, to) = (place(range.from), place(range.to).min(length - 1));
        from * each..(to + 1) * each
    };
    // Those of the bits in a part that are so.
    let those = |part: Range<i64>, wanted: bool| {
        let none = if wanted { 0 } else { 0xFF };
        let whole = bytes.iter().enumerate().filter(move |(_, byte)| **byte != none);
        let all = whole.flat_map(|(at, _)| at as i64 * 8..at as i64 * 8 + 8);
        all.filter(move |at| part.contains(at) && bit(bytes, at.cast_unsigned()) == wanted)
    };
    match query {
        Query::Bit(at) => bit(bytes, at).into(),
        Query::CountBits(BitRange { from, to, .. }) if from < 0 && to < 0 && from > to => 0,
        Query::CountBits(range) => those(part(range), true).count() as i64,
        Query::FindBit { bit, .. } if value.is_none() => -i64::from(bit),
        Query::FindBit { bit, range, padded } => {
            let behind = part(range).last().filter(|_| padded && !bit).map(|at| at + 1);
            those(part(range), bit).next().or(behind).unwrap_or(-1)
        }
        _ => unreachable!("not about bits"),
    }
}

/// Returns the offset of a bit, now and then in long values, or in values of several pieces.
pub(crate) fn any_offset(random: &mut Random) -> u64 {
    let far = random.below(25) == 0;
    let byte = if far { random.of(&[16_300, 17_000, 19_990, 262_100, 300_000]) } else { 0 };
    byte * 8 + random.below(700)
}

fn any_kind(random: &mut Random) -> FieldType {
    let bits = random.of(&[1, 2, 5, 8, 13, 32, 63, 64]);
    FieldType::new(random.below(2) == 0 || bits == 64, bits).expect("a type of Redis")
}

pub(crate) fn any_fields(random: &mut Random) -> Vec<Field> {
    let count = 1 + random.below(4);
    let one = |_| {
        let overflow = random.of(&[Overflow::Wrap, Overflow::Saturate, Overflow::Fail]);
        let number = random.of(&[0, 1, -1, 3, -100, 255, i64::MAX, i64::MIN]);
        let op = random.of(&[
            FieldOp::Get,
            FieldOp::Set(number, overflow),
            FieldOp::IncrementBy(number, overflow),
        ]);
        let (kind, offset) = (any_kind(random), any_offset(random));
        Field { kind, offset, op }
    };
    (0..count).map(one).collect()
}

pub(crate) fn any_query<'a>(random: &mut Random, fields: &'a [Field]) -> Query<'a> {
    let mut place = || random.of(&[0, 1, -1, 7, -9, 30, -64, 130_000, -130_000]);
    let (from, to) = (place(), place());
    let range = BitRange { from, to, unit: random.of(&[BitUnit::Byte, BitUnit::Bit]) };
    let whole = BitRange { to: -1, unit: BitUnit::Byte, ..range };
    let bit = random.below(2) == 0;
    let at = any_offset(random);
    random.of(&[
        Query::Bit(at),
        Query::CountBits(range),
        Query::CountBits(BitRange::ALL),
        Query::FindBit { bit, range, padded: false },
        Query::FindBit { bit, range: whole, padded: true },
        Query::Fields(fields),
    ])
}
