//! The longest common subsequence of two values (LCS).

use crate::command::arguments::{ArgumentError, is};
use hedgerow_db_formats::number;
use hedgerow_db_formats::resp::write::RespWriter;

/// Bytes that Redis needs for each pair of prefixes, and the most that it allocates for all: `proto-max-bulk-len`. A
/// pair needs one bit here. The limit is the same, because it also bounds the time.
const PAIR_BYTES: u64 = 4;
const MAX_BYTES: u64 = 512 << 20;
const TOO_LONG: &str =
    "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";

pub(super) const WRONG_TYPE: &str = "ERR The specified keys must contain string values";

/// LCS refuses a value of this many bytes, even if the other one is empty. It does not read more of a value.
pub(super) const REFUSED_LENGTH: i64 = (MAX_BYTES / PAIR_BYTES).cast_signed();

/// The options of LCS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LcsOptions {
    /// Reply the length.
    length: bool,
    /// Reply the matching ranges.
    ranges: bool,
    /// Reply the length of each range.
    range_lengths: bool,
    /// Omit ranges that are shorter.
    min_length: u32,
}

impl LcsOptions {
    /// Reads the arguments behind the keys.
    pub(super) fn read(mut rest: &[&[u8]]) -> Result<Self, ArgumentError> {
        let mut options = Self::default();
        loop {
            rest = match rest {
                [] => break,
                [name, rest @ ..] if is(name, "idx") => {
                    options.ranges = true;
                    rest
                }
                [name, rest @ ..] if is(name, "len") => {
                    options.length = true;
                    rest
                }
                [name, rest @ ..] if is(name, "withmatchlen") => {
                    options.range_lengths = true;
                    rest
                }
                [name, number, rest @ ..] if is(name, "minmatchlen") => {
                    let length = number::integer(number).ok_or(ArgumentError::NotAnInteger)?;
                    // No range is longer than a `u32`.
                    options.min_length = u32::try_from(length.max(0)).unwrap_or(u32::MAX);
                    rest
                }
                _ => return Err(ArgumentError::Syntax),
            };
        }
        if options.length && options.ranges {
            return Err(ArgumentError::LengthAndRanges);
        }
        Ok(options)
    }
}

/// A table with a bit for each byte of `a` and each byte of `b`.
struct Directions {
    /// The lengths of `a` and `b`.
    lengths: (usize, usize),
    bits: Vec<u64>,
}

impl Directions {
    fn new(lengths: (usize, usize)) -> Self {
        Self { lengths, bits: vec![0; (lengths.0 * lengths.1).div_ceil(64)] }
    }

    /// Sets the bit of a pair, by its number in the order of `search`, if `is_up`.
    fn note(&mut self, pair: usize, is_up: bool) {
        self.bits[pair / 64] |= u64::from(is_up) << (pair % 64);
    }

    fn is_up(&self, (i, j): (usize, usize)) -> bool {
        let (a, b) = self.lengths;
        let pair = if a < b { j * a + i } else { i * b + j };
        self.bits[pair / 64] >> (pair % 64) & 1 == 1
    }
}

/// Returns the length of the longest common subsequence. Calls `note` with the number of each pair of bytes, and
/// whether `walk` continues with the preceding byte of `a`. Otherwise it continues with that of `b`, or the bytes
/// match.
fn search(a: &[u8], b: &[u8], mut note: impl FnMut(usize, bool)) -> u32 {
    // The inner loop is over the shorter value, so that the row of lengths is short.
    let a_is_inner = a.len() < b.len();
    let (outer, inner) = if a_is_inner { (b, a) } else { (a, b) };
    if inner.is_empty() {
        return 0;
    }
    // The lengths for the bytes of `outer` so far and each prefix of `inner`, but the empty one.
    let mut row = vec![0_u32; inner.len()];
    let (mut pair, mut longest) = (0, 0);
    for byte in outer {
        let (mut without_both, mut without_inner) = (0, 0);
        // Without branches that depend on the bytes: a processor cannot predict them.
        for (other, length) in inner.iter().zip(&mut row) {
            let without_outer = *length;
            let differ = byte != other;
            let (without_a, without_b) = if a_is_inner {
                (without_inner, without_outer)
            } else {
                (without_outer, without_inner)
            };
            note(pair, differ && without_a > without_b);
            pair += 1;
            *length = if differ { without_outer.max(without_inner) } else { without_both + 1 };
            (without_both, without_inner) = (without_outer, *length);
        }
        longest = without_inner;
    }
    longest
}

/// A range of matching bytes: the first and the last offset in each value.
type MatchRange = ((usize, usize), (usize, usize));

/// Walks over the pairs of bytes from the last one to the first. Calls `byte` with each byte of the subsequence, and
/// `range` with each range.
fn walk(
    (a, b): (&[u8], &[u8]),
    up: &Directions,
    mut byte: impl FnMut(u8),
    mut range: impl FnMut(MatchRange),
) {
    let (mut i, mut j) = (a.len(), b.len());
    let mut current: Option<MatchRange> = None;
    while i > 0 && j > 0 {
        if a[i - 1] != b[j - 1] {
            if up.is_up((i - 1, j - 1)) {
                i -= 1;
            } else {
                j -= 1;
            }
            // A range ends where the walk leaves the diagonal.
            current.take().into_iter().for_each(&mut range);
            continue;
        }
        byte(a[i - 1]);
        (i, j) = (i - 1, j - 1);
        // Consecutive matches are adjacent in both values.
        let ((_, to), (_, end)) = current.unwrap_or(((i, i), (j, j)));
        current = Some(((i, to), (j, end)));
    }
    current.into_iter().for_each(range);
}

/// Writes the reply of LCS. Returns the error if that is the reply.
pub(super) fn write(
    out: &mut RespWriter<'_>,
    (a, b): (&[u8], &[u8]),
    options: LcsOptions,
) -> Option<&'static str> {
    let pairs = (a.len() as u64 + 1).saturating_mul(b.len() as u64 + 1);
    if pairs.saturating_mul(PAIR_BYTES) > MAX_BYTES {
        out.error(TOO_LONG);
        return Some(TOO_LONG);
    }
    write_common(out, (a, b), options);
    None
}

fn write_common(out: &mut RespWriter<'_>, (a, b): (&[u8], &[u8]), options: LcsOptions) {
    // No table of directions: the length needs one row.
    if options.length {
        return out.integer(search(a, b, |_, _| ()).into());
    }
    let mut up = Directions::new((a.len(), b.len()));
    let length = search(a, b, |pair, is_up| up.note(pair, is_up));
    let (mut bytes, mut ranges) = (Vec::new(), Vec::new());
    walk((a, b), &up, |byte| bytes.push(byte), |range| ranges.push(range));
    if !options.ranges {
        bytes.reverse();
        return out.bulk(&bytes);
    }
    let size = |((from, to), _): &MatchRange| (to - from + 1) as u64;
    ranges.retain(|range| size(range) >= options.min_length.into());
    out.map(2);
    out.bulk(b"matches");
    out.array(ranges.len());
    for range in &ranges {
        out.array(2 + usize::from(options.range_lengths));
        let ((from, to), (other_from, other_to)) = *range;
        for (from, to) in [(from, to), (other_from, other_to)] {
            out.array(2);
            out.integer(from.cast_signed() as i64);
            out.integer(to.cast_signed() as i64);
        }
        if options.range_lengths {
            out.integer(size(range).cast_signed());
        }
    }
    out.bulk(b"len");
    out.integer(length.into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use hedgerow_db_formats::resp::Protocol;

    /// Returns the length of the longest common subsequence. Tries every subsequence of `a`.
    fn longest(a: &[u8], b: &[u8]) -> usize {
        let is_in = |mask: u32| {
            let mut rest = b.iter();
            (0..a.len()).filter(|n| mask >> n & 1 == 1).all(|n| rest.any(|byte| *byte == a[n]))
        };
        let all = (0..1_u32 << a.len()).filter(|mask| is_in(*mask));
        all.map(|mask| mask.count_ones() as usize).max().unwrap_or(0)
    }

    #[test]
    fn the_subsequence_is_in_both_values_and_no_longer_one_is() {
        let mut random = 3_u32;
        let mut text = || -> Vec<u8> {
            let mut next = || {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                random >> 16
            };
            (0..next() % 10).map(|_| b"abc"[next() as usize % 3]).collect()
        };
        for _ in 0..300 {
            let (a, b) = (text(), text());
            let mut up = Directions::new((a.len(), b.len()));
            let length = search(&a, &b, |pair, is_up| up.note(pair, is_up)) as usize;
            assert_eq!(length, longest(&a, &b));
            let (mut bytes, mut matched) = (Vec::new(), 0);
            walk(
                (&a, &b),
                &up,
                |byte| bytes.push(byte),
                |((from, to), (other, end))| {
                    assert_eq!(a[from..=to], b[other..=end]);
                    matched += to - from + 1;
                },
            );
            assert_eq!((bytes.len(), matched), (length, length), "{a:?} {b:?}");
        }
    }

    #[test]
    fn long_values_are_refused() {
        let reply = |a: &[u8], b: &[u8]| {
            let mut out = Vec::new();
            let options = LcsOptions { length: true, ..LcsOptions::default() };
            write(&mut RespWriter::new(&mut out, Protocol::Two), (a, b), options);
            String::from_utf8(out).unwrap()
        };
        let refused = format!("-{TOO_LONG}\r\n");
        let longest = vec![b'x'; usize::try_from(REFUSED_LENGTH).unwrap() - 1];
        assert_eq!(reply(&longest, b""), ":0\r\n", "the longest value is refused");
        assert_eq!(reply(&longest, b"x"), refused);
        assert_eq!(reply(&longest[..20_000], &longest[..20_000]), refused);
    }
}
