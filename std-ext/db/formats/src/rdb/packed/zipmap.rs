//! Zipmaps.
//!
//! ```text
//! zipmap: pairs u8 (254: they have to be counted), pairs, 255
//! pair:   length, field, length, bytes without use behind the value u8, value, these bytes
//! length: one byte up to 253, or 254 and u32
//! ```

use super::element::{self, END, ENDS_EARLY, Element, Fault, NO_END};

/// The first byte that says that the pairs have to be counted.
const MANY: u8 = 254;
/// The first byte of a longer length.
const LONG: u8 = 254;

pub(super) fn header(bytes: &[u8]) -> Result<(usize, Option<u64>), Fault> {
    match bytes {
        [pairs, .., END] => Ok((1, (*pairs != MANY).then(|| 2 * u64::from(*pairs)))),
        _ => Err(NO_END),
    }
}

const TOO_LONG: Fault = "a length of a zipmap takes more bytes than it needs";

/// Returns the first element, and how many bytes it takes.
pub(super) fn element(bytes: &[u8], is_value: bool) -> Result<(Element<'_>, usize), Fault> {
    let (length, at) = match *bytes.first().ok_or(ENDS_EARLY)? {
        // The end mark, which only the last byte may be. Before a value, Redis takes it for `LONG`.
        END if !is_value => return Err(NO_END),
        LONG.. => match element::length_at(bytes, 1)? {
            length if length < usize::from(LONG) => return Err(TOO_LONG),
            length => (length, 5),
        },
        short => (usize::from(short), 1),
    };
    if !is_value {
        return element::string_at(bytes, at, length);
    }
    let unused = usize::from(*bytes.get(at).ok_or(ENDS_EARLY)?);
    let (element, end) = element::string_at(bytes, at + 1, length)?;
    Ok((element, end.checked_add(unused).ok_or(ENDS_EARLY)?))
}
