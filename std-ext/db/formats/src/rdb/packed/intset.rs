//! Intsets.
//!
//! ```text
//! intset: bytes of an integer u32 (2, 4, 8), integers u32, integers in ascending order
//! ```

use super::element::{self, ENDS_EARLY, Element, Fault, UNKNOWN, WRONG_COUNT};

const HEADER: usize = 8;
const NOT_ASCENDING: Fault = "the integers of a set are not in ascending order";
const EMPTY: Fault = "a set of integers is empty";

/// Checks the header. Returns it as far as a cursor needs it. As in Redis, a set without integers is damaged.
pub(super) fn header(bytes: &[u8]) -> Result<(usize, Option<u64>), Fault> {
    let (width, count) = (width(bytes)?, element::length_at(bytes, 4)?);
    if count == 0 {
        return Err(EMPTY);
    }
    match count.checked_mul(width).and_then(|integers| integers.checked_add(HEADER)) {
        Some(total) if total == bytes.len() => Ok((HEADER, Some(count as u64))),
        _ => Err(WRONG_COUNT),
    }
}

/// Returns the bytes of each integer.
fn width(bytes: &[u8]) -> Result<usize, Fault> {
    match element::length_at(bytes, 0)? {
        width @ (2 | 4 | 8) => Ok(width),
        _ => Err(UNKNOWN),
    }
}

/// Returns the integer at `at`, and how many bytes it takes.
pub(super) fn element(bytes: &[u8], at: usize) -> Result<(Element<'_>, usize), Fault> {
    let width = width(bytes)?;
    let integer = |at: usize| {
        let bytes = bytes.get(at..).ok_or(ENDS_EARLY)?;
        match width {
            2 => element::signed::<2>(bytes),
            4 => element::signed::<4>(bytes),
            _ => element::signed::<8>(bytes),
        }
    };
    let value = integer(at)?;
    if at > HEADER && integer(at - width)? >= value {
        return Err(NOT_ASCENDING);
    }
    Ok((Element::Integer(value), width))
}

/// Makes an intset of integers in ascending order, with the width that they need.
pub(in crate::rdb) fn intset(integers: &[i64]) -> Vec<u8> {
    let ends = [integers.first(), integers.last()];
    let fits =
        |least: i64, most: i64| ends.iter().flatten().all(|end| (least..=most).contains(*end));
    let width: u32 = match () {
        () if fits(i16::MIN.into(), i16::MAX.into()) => 2,
        () if fits(i32::MIN.into(), i32::MAX.into()) => 4,
        () => 8,
    };
    let mut bytes = [width.to_le_bytes(), (integers.len() as u32).to_le_bytes()].concat();
    for integer in integers {
        bytes.extend_from_slice(&integer.to_le_bytes()[..width as usize]);
    }
    bytes
}
