//! Elements, and what the encodings share.

/// Why the bytes are not of the encoding.
pub(in crate::rdb) type Fault = &'static str;

pub(super) const ENDS_EARLY: Fault = "a packed value ends within an element";
pub(super) const NO_END: Fault = "a packed value has no end mark where its bytes end";
pub(super) const WRONG_TOTAL: Fault = "a packed value has another length than it says";
pub(super) const WRONG_COUNT: Fault =
    "a packed value has another number of elements, or another last one, than it says";
pub(super) const WRONG_LINK: Fault =
    "an element of a packed value has another size than the number beside it says";
pub(super) const UNKNOWN: Fault = "an element of a packed value has an unknown encoding";

/// The end mark of all three encodings.
pub(super) const END: u8 = 0xFF;
/// A count in a header of 16 bits that says that the elements have to be counted.
pub(super) const UNCOUNTED: u64 = 0xFFFF;

/// An element. Integers are text to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rdb) enum Element<'a> {
    Bytes(&'a [u8]),
    Integer(i64),
}

impl<'a> Element<'a> {
    /// Returns the element's text, for which an integer needs a buffer.
    pub(in crate::rdb) fn text<'b>(self, buffer: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Integer(integer) => buffer.format(integer).as_bytes(),
        }
    }
}

/// Takes the first bytes as a little-endian integer with a sign.
pub(super) fn signed<const N: usize>(bytes: &[u8]) -> Result<i64, Fault> {
    let bytes = bytes.first_chunk::<N>().ok_or(ENDS_EARLY)?;
    let mut wide = [0; 8];
    wide[..N].copy_from_slice(bytes);
    let unused = 64 - 8 * N as u32;
    Ok(i64::from_le_bytes(wide) << unused >> unused)
}

/// Takes the four bytes at `at` as a little-endian length.
pub(super) fn length_at(bytes: &[u8], at: usize) -> Result<usize, Fault> {
    let length = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(ENDS_EARLY)?;
    usize::try_from(u32::from_le_bytes(*length)).map_err(|_| ENDS_EARLY)
}

/// Takes `length` bytes at `at` as an element.
pub(super) fn string_at(
    bytes: &[u8],
    at: usize,
    length: usize,
) -> Result<(Element<'_>, usize), Fault> {
    let end = at.checked_add(length).ok_or(ENDS_EARLY)?;
    Ok((Element::Bytes(bytes.get(at..end).ok_or(ENDS_EARLY)?), end))
}

/// Checks a header with the total length and a count at the given place. Returns the count.
pub(super) fn counted_header(bytes: &[u8], count_at: usize) -> Result<(usize, Option<u64>), Fault> {
    let begin = count_at + 2;
    if bytes.len() <= begin || bytes.last() != Some(&END) {
        return Err(NO_END);
    }
    if length_at(bytes, 0)? != bytes.len() {
        return Err(WRONG_TOTAL);
    }
    let count = u64::from(u16::from_le_bytes([bytes[count_at], bytes[count_at + 1]]));
    Ok((begin, Some(count).filter(|count| *count != UNCOUNTED)))
}
