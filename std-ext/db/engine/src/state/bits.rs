//! Bits of values: counting, searching, and integers of any width. Long values are read in the pieces in which they are
//! stored.

use crate::request::{BitRange, BitUnit, Field, FieldType, FieldValues, Overflow};
use crate::state::cold::ColdStore;
use crate::state::value::string::StringValue;
use crate::state::value::string::{read_part, visit};
use std::ops::Range;

/// Bytes that an integer of 64 bits touches at most.
pub const WINDOW: usize = 9;
/// Bits of a window.
const WINDOW_BITS: u32 = 72;

/// Returns the bits of a range of a value of `length` bytes. It may be empty.
fn bit_range(length: usize, range: BitRange) -> Range<u64> {
    let bits_each = match range.unit {
        BitUnit::Byte => 8,
        BitUnit::Bit => 1,
    };
    let total = (length.cast_signed() as i64).saturating_mul(8 / bits_each);
    let place = |at: i64| if at < 0 { total.saturating_add(at).max(0) } else { at };
    // Clamped as in `bitcountCommand`: a negative offset that is still before the value means its first bit, an end
    // past the value its last bit.
    let (from, to) = (place(range.from), place(range.to).min(total - 1));
    if from > to {
        return 0..0;
    }
    // Both are offsets in the value, so they are not negative, and their product fits.
    let bit = |at: i64| (at * bits_each).cast_unsigned();
    bit(from)..bit(to + 1)
}

/// Returns the offset of a byte of a value.
fn byte(at: u64) -> usize {
    usize::try_from(at).expect("an offset in a value")
}

/// Counts the bits in a part of a value that are set.
pub fn count(value: StringValue<'_>, cold: Option<&ColdStore>, range: BitRange) -> i64 {
    // As Redis does: BITPOS makes the same range a part of one byte if both ends are before the value.
    if range.from < 0 && range.to < 0 && range.from > range.to {
        return 0;
    }
    let bits = bit_range(value.length(), range);
    if bits.is_empty() {
        return 0;
    }
    let (first, end) = (byte(bits.start / 8), byte(bits.end.div_ceil(8)));
    let (mut total, mut at) = (0, first);
    visit(value, cold, first..end, &mut |chunk| {
        total += ones(chunk);
        // The bits of the first and the last byte that are not in the range.
        if at == first {
            total -= ones(&[chunk[0] & !(0xFF_u8 >> (bits.start % 8))]);
        }
        at += chunk.len();
        if at == end {
            let behind = 0xFF_u8.checked_shr((bits.end - 1) as u32 % 8 + 1).unwrap_or(0);
            total -= ones(&[chunk[chunk.len() - 1] & behind]);
        }
        true
    });
    total.cast_signed()
}

fn ones(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let whole: u64 =
        words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
    whole + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// Returns the offset of the first such bit in a part of a value, or -1. If `padded`, zeros follow the part.
pub fn find(
    value: StringValue<'_>,
    cold: Option<&ColdStore>,
    (bit, range, padded): (bool, BitRange, bool),
) -> i64 {
    let bits = bit_range(value.length(), range);
    if bits.is_empty() {
        return -1;
    }
    let (first, end) = (byte(bits.start / 8), byte(bits.end.div_ceil(8)));
    let (mut found, mut at) = (None, first as u64 * 8);
    visit(value, cold, first..end, &mut |chunk| {
        found = find_in(chunk, at, bit, &bits);
        at += chunk.len() as u64 * 8;
        found.is_none()
    });
    match found {
        Some(place) => place.cast_signed(),
        // Without an explicit end, BITPOS sees the value followed by zeros (`bitposCommand`).
        None if padded && !bit => bits.end.cast_signed(),
        None => -1,
    }
}

/// Returns the first such bit of a chunk that is in the range. `at` is the offset of the chunk's first bit.
fn find_in(chunk: &[u8], at: u64, bit: bool, range: &Range<u64>) -> Option<u64> {
    let other = if bit { 0x00 } else { 0xFF };
    let mut from = 0;
    // The range may begin or end within a byte, so a byte that has the bit may still not match.
    while let Some(place) = first_but(&chunk[from..], other) {
        from += place;
        let wanted = if bit { chunk[from] } else { !chunk[from] };
        let begin = at + from as u64 * 8;
        let matching = (0..8_u8)
            .find(|n| wanted & (0x80 >> n) != 0 && range.contains(&(begin + u64::from(*n))));
        if let Some(n) = matching {
            return Some(begin + u64::from(n));
        }
        from += 1;
    }
    None
}

/// Returns the position of the first byte that is not `other`.
fn first_but(bytes: &[u8], other: u8) -> Option<usize> {
    let (words, _) = bytes.as_chunks::<8>();
    let skipped = words.iter().take_while(|word| **word == [other; 8]).count() * 8;
    bytes[skipped..].iter().position(|byte| *byte != other).map(|place| skipped + place)
}

/// Returns a bit of a value, false behind its end.
pub fn bit(value: StringValue<'_>, cold: Option<&ColdStore>, offset: u64) -> bool {
    let at = offset / 8;
    at < value.length() as u64
        && read_part(value, cold, byte(at)..byte(at) + 1, |bytes| {
            bytes[0] & (0x80 >> (offset % 8)) != 0
        })
}

/// Returns integers of a value as [`FieldValues`] stores them. Bits behind its end are zero.
pub fn fields(value: StringValue<'_>, cold: Option<&ColdStore>, fields: &[Field]) -> Vec<u8> {
    if let StringValue::Compressed(_, length) = value {
        // Once for all fields: the store copies or decompresses the whole value.
        return read_part(value, cold, 0..length, |bytes| {
            all_fields(StringValue::Inline(bytes), fields)
        });
    }
    all_fields(value, fields)
}

/// As [`fields`], of a value that is not compressed.
fn all_fields(value: StringValue<'_>, fields: &[Field]) -> Vec<u8> {
    let (mut stored, length) = (Vec::with_capacity(fields.len() * (WINDOW + 1)), value.length());
    for field in fields {
        let mut window = [0; WINDOW];
        if field.offset / 8 < length as u64 {
            let from = byte(field.offset / 8);
            let part = from..length.min(from + WINDOW);
            read_part(value, None, part, |bytes| window[..bytes.len()].copy_from_slice(bytes));
        }
        FieldValues::store(Some(get(&window, field.offset % 8, field.kind)), &mut stored);
    }
    stored
}

/// Returns the integer that begins at a bit of a window: 0 to 7.
pub fn get(window: &[u8; WINDOW], at: u64, kind: FieldType) -> i64 {
    let bits = u32::from(kind.bits());
    let all = window.iter().fold(0_u128, |all, byte| all << 8 | u128::from(*byte));
    let low = (all >> (WINDOW_BITS - at as u32 - bits)) as u64;
    // The bits above the integer are shifted out; the sign comes back from the top.
    let top = low << (64 - bits);
    if kind.is_signed() {
        top.cast_signed() >> (64 - bits)
    } else {
        (top >> (64 - bits)).cast_signed()
    }
}

/// Replaces the integer that begins at a bit of a window: 0 to 7.
pub fn set(window: &mut [u8; WINDOW], at: u64, kind: FieldType, value: i64) {
    let bits = u32::from(kind.bits());
    let shift = WINDOW_BITS - at as u32 - bits;
    let mask = (u128::MAX >> (128 - bits)) << shift;
    let all = window.iter().fold(0_u128, |all, byte| all << 8 | u128::from(*byte));
    let all = all & !mask | (u128::from(value.cast_unsigned()) << shift) & mask;
    window.copy_from_slice(&all.to_be_bytes()[16 - WINDOW..]);
}

/// Returns the sum as a field of this type stores it; `None` if it overflows and that is a failure.
///
/// For SET, Redis calls this with the new value and 0. An unsigned field takes a negative value as a great one.
pub fn sum(value: i64, by: i64, kind: FieldType, overflow: Overflow) -> Option<i64> {
    let bits = u32::from(kind.bits());
    let (least, most) = if kind.is_signed() {
        (i128::from(i64::MIN >> (64 - bits)), i128::from(i64::MAX >> (64 - bits)))
    } else {
        (0, (1_i128 << bits) - 1)
    };
    let value =
        if kind.is_signed() { i128::from(value) } else { i128::from(value.cast_unsigned()) };
    // 128 bits, so that no sum overflows. Redis compares the distances to the limits instead
    // (`checkSignedBitfieldOverflow`), and where that differs, it is reproduced below.
    let sum = value + i128::from(by);
    // An unsigned value that does not fit counts as too great, even if the sum were to fit.
    let exact = (least..=most).contains(&sum) && (least..=most).contains(&value);
    match overflow {
        _ if exact => Some(sum as i64),
        Overflow::Fail => None,
        // As in Redis, whose distance of the value from the greatest overflows: the least values of 64 bits become the
        // greatest of a shorter type.
        Overflow::Saturate if sum > most || most - value > i128::from(i64::MAX) && bits < 64 => {
            Some(most as i64)
        }
        Overflow::Saturate => Some(least as i64),
        Overflow::Wrap => {
            let mut window = [0; WINDOW];
            set(&mut window, 0, kind, sum as i64);
            Some(get(&window, 0, kind))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds() -> impl Iterator<Item = FieldType> {
        let all =
            [false, true].into_iter().flat_map(|signed| (1..=64).map(move |bits| (signed, bits)));
        all.filter_map(|(signed, bits)| FieldType::new(signed, bits))
    }

    #[test]
    fn fields_are_read_as_they_were_written_and_leave_their_neighbours() {
        assert_eq!(kinds().count(), 127);
        for (kind, at) in kinds().flat_map(|kind| (0..8).map(move |at| (kind, at))) {
            for (background, value) in [(0, -1), (0xFF, 0), (0xA5, 0x1234_5678_9ABC_DEF0)] {
                let mut window = [background; WINDOW];
                set(&mut window, at, kind, value);
                let unused = 64 - u32::from(kind.bits());
                let wanted = if kind.is_signed() {
                    value << unused >> unused
                } else {
                    (value.cast_unsigned() << unused >> unused).cast_signed()
                };
                assert_eq!(get(&window, at, kind), wanted, "{kind:?} at {at}");
                set(&mut window, at, kind, get(&[background; WINDOW], at, kind));
                assert_eq!(window, [background; WINDOW], "{kind:?} at {at}");
            }
        }
    }

    /// Bit by bit.
    #[test]
    fn counts_and_finds_match_a_slow_search() {
        let mut values = vec![vec![], vec![0; 40], vec![0xFF; 40], vec![0x80], vec![0x01]];
        values.extend(
            (0..40).map(|n| (0..n).map(|at| [0, 0xFF, 0xFF, 0x10][(at * 7 + n) % 4]).collect()),
        );
        let places = [-400, -320, -17, -9, -8, -1, 0, 1, 7, 8, 9, 15, 31, 100, 319, 320, 400];
        for value in &values {
            let bits: Vec<bool> = value
                .iter()
                .flat_map(|byte| (0..8).map(move |n| byte & (0x80 >> n) != 0))
                .collect();
            for (from, to) in
                places.iter().flat_map(|from| places.iter().map(move |to| (*from, *to)))
            {
                let range = BitRange { from, to, unit: BitUnit::Bit };
                let part = bit_range(value.len(), range);
                let inside = || part.clone().map(|n| (n.cast_signed(), bits[byte(n)]));
                let ones = inside().filter(|(_, bit)| *bit).count().cast_signed() as i64;
                let ones = if from < 0 && to < 0 && from > to { 0 } else { ones };
                assert_eq!(
                    count(StringValue::Inline(value), None, range),
                    ones,
                    "{range:?} {value:?}"
                );
                for wanted in [false, true] {
                    let first = inside().find(|(_, bit)| *bit == wanted).map_or(-1, |(n, _)| n);
                    let found = find(StringValue::Inline(value), None, (wanted, range, false));
                    assert_eq!(found, first, "{wanted} in {range:?} of {value:?}");
                }
            }
        }
    }

    /// The sums of wide integers, against a search for the value that a narrow type wraps to.
    #[test]
    fn sums_overflow_as_they_should() {
        for kind in kinds().filter(|kind| kind.bits() <= 5) {
            let count = 1_i64 << kind.bits();
            let (least, most) =
                if kind.is_signed() { (-count / 2, count / 2 - 1) } else { (0, count - 1) };
            for (value, by) in (least..=most).flat_map(|value| (-70..70).map(move |by| (value, by)))
            {
                let exact = value + by;
                let wrapped = (least..=most).find(|n| (n - exact) % count == 0);
                assert_eq!(sum(value, by, kind, Overflow::Wrap), wrapped, "{kind:?} {value} {by}");
                let most = exact.clamp(least, most);
                assert_eq!(
                    sum(value, by, kind, Overflow::Saturate),
                    Some(most),
                    "{kind:?} {value} {by}"
                );
                let fits = (most == exact).then_some(exact);
                assert_eq!(sum(value, by, kind, Overflow::Fail), fits, "{kind:?} {value} {by}");
            }
        }
        let whole = FieldType::new(true, 64).unwrap();
        assert_eq!(sum(i64::MAX, 1, whole, Overflow::Wrap), Some(i64::MIN));
        assert_eq!(sum(i64::MIN, -1, whole, Overflow::Saturate), Some(i64::MIN));
        let byte = FieldType::new(true, 8).unwrap();
        assert_eq!(sum(i64::MIN + 128, 0, byte, Overflow::Saturate), Some(-128));
        assert_eq!(sum(i64::MIN + 127, 0, byte, Overflow::Saturate), Some(127), "as Redis does");
    }
}
