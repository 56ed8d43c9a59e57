//! Scores of sorted sets, as text.

use crate::number;
use crate::rdb::packed::{Element, ListpackWriter};

/// Redis writes a whole score into a listpack as an integer up to this one, half of the largest.
const LARGEST_INTEGER: f64 = 4_611_686_018_427_387_904.0;

/// Parses a score. `None` for anything that is no number, as NaNs are not.
///
/// Redis stops at the first byte that does not belong to the number. No version has written such a byte.
pub(super) fn parse(text: &[u8]) -> Option<f64> {
    let score: f64 = str::from_utf8(text).ok()?.parse().ok()?;
    (!score.is_nan()).then_some(score)
}

/// Returns the score that an element of a packed sorted set is.
pub(super) fn of_element(element: Element<'_>) -> Option<f64> {
    match element {
        Element::Bytes(text) => parse(text),
        #[expect(clippy::cast_precision_loss, reason = "Redis rounds it, too")]
        Element::Integer(integer) => Some(integer as f64),
    }
}

/// Appends a score to a listpack, as Redis does: negative zero becomes zero.
pub(super) fn push(listpack: &mut ListpackWriter, score: f64) {
    if score.abs() <= LARGEST_INTEGER && score.fract() == 0.0 {
        listpack.push_integer(score as i64);
    } else {
        listpack.push(number::general(score, 17).as_bytes());
    }
}
