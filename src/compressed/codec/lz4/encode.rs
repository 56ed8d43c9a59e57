//! An LZ4 encoder for single values, with a dictionary whose table is built once.
//!
//! A table maps the hash of four bytes to the place where they occurred last. One table is for the value so far. The
//! other is for the dictionary; it never changes, so it costs nothing for each value.

use alloc::boxed::Box;
use alloc::vec;

/// The shortest match that the format can encode.
const MIN_MATCH: usize = 4;
/// Literals that the format requires at the end of a block.
const LAST_LITERALS: usize = 5;
/// The least distance of a match's beginning from the end.
const LAST_MATCH: usize = 12;
/// The greatest distance of a match.
const FARTHEST: usize = 0xffff;
/// The most bytes by which a match is extended backwards.
const FARTHEST_BACK: usize = 64;
/// After each 2^6 bytes without a match the step becomes one byte longer.
const ACCELERATION: u32 = 6;

/// An empty place of the dictionary's table.
const NOWHERE: u16 = u16::MAX;

/// The bytes against which values are compressed, and their table.
pub(super) struct Dictionary {
    pub(super) bytes: Box<[u8]>,
    /// A power of two many.
    places: Box<[u16]>,
}

impl Dictionary {
    /// Returns a dictionary of these bytes, at most 32 KiB.
    pub(super) fn new(bytes: Box<[u8]>) -> Self {
        debug_assert!(bytes.len() <= 1 << 15);
        let mut places: Box<[u16]> = vec![NOWHERE; bytes.len().next_power_of_two()].into();
        // The later of two places wins. A trainer writes the best pieces last, so it is the better one.
        for (at, four) in bytes.windows(MIN_MATCH).enumerate() {
            places[place(four.try_into().expect("four bytes"), bits(places.len()))] = at as u16;
        }
        Self { bytes, places }
    }

    pub(super) fn empty() -> Self {
        Self::new(Box::default())
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len() + size_of_val(&*self.places)
    }

    /// Returns the place of these four bytes, if the table's entry for their hash is theirs.
    #[inline]
    fn find(&self, four: [u8; 4]) -> Option<usize> {
        let at = *self.places.get(place(four, bits(self.places.len())))?;
        let at = usize::from(at);
        (self.bytes.get(at..at + MIN_MATCH)? == four).then_some(at)
    }
}

/// Returns the logarithm of a count of places.
#[inline]
fn bits(places: usize) -> u32 {
    places.trailing_zeros()
}

#[inline]
fn place(four: [u8; 4], bits: u32) -> usize {
    let hash = u32::from_le_bytes(four).wrapping_mul(0x9e37_79b1);
    (u64::from(hash) << bits >> 32) as usize
}

#[inline]
fn four(bytes: &[u8], at: usize) -> [u8; 4] {
    bytes[at..at + MIN_MATCH].try_into().expect("four bytes")
}

/// Returns the length of the common prefix.
#[inline]
fn alike(one: &[u8], other: &[u8]) -> usize {
    let mut count = 0;
    let (mut ones, mut others) = (one.chunks_exact(8), other.chunks_exact(8));
    for (a, b) in ones.by_ref().zip(others.by_ref()) {
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        let difference = word(a) ^ word(b);
        if difference != 0 {
            return count + difference.trailing_zeros() as usize / 8;
        }
        count += 8;
    }
    count + one[count..].iter().zip(&other[count..]).take_while(|(a, b)| a == b).count()
}

/// Returns the length of the common suffix.
#[inline]
fn alike_back(one: &[u8], other: &[u8]) -> usize {
    one.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count()
}

/// A run of bytes that is equal to earlier ones.
#[derive(Clone, Copy)]
struct Match {
    /// Where it begins in the value.
    at: usize,
    /// The distance back to the earlier bytes.
    back: usize,
    length: usize,
}

/// The encoder of one value.
pub(super) struct Encoder<'a> {
    pub(super) plain: &'a [u8],
    pub(super) dictionary: &'a Dictionary,
    /// Numbers of places. Those from `first` on belong to this value.
    pub(super) places: &'a mut [u32],
    pub(super) first: u32,
}

impl Encoder<'_> {
    /// Encodes the value into `into`. Returns the bytes written, or `None` if there are not enough.
    pub(super) fn encode(mut self, into: &mut [u8]) -> Option<usize> {
        let mut out = BlockWriter { into, used: 0 };
        let (mut done, mut at, mut acceleration) = (0, 0, 1 << ACCELERATION);
        while at + LAST_MATCH <= self.plain.len() {
            let Some(found) = self.find(at, done) else {
                at += acceleration >> ACCELERATION;
                acceleration += 1;
                // Literals need room, too, except those that the next match may extend back over.
                if at - done > out.left() + FARTHEST_BACK {
                    return None;
                }
                continue;
            };
            acceleration = 1 << ACCELERATION;
            out.sequence(&self.plain[done..found.at], Some(found))?;
            done = found.at + found.length;
            at = done;
            // The middle of a match may be the beginning of another.
            if let Some(four) = self.plain.get(at - 2..at + 2) {
                let place = place(four.try_into().expect("four bytes"), bits(self.places.len()));
                self.places[place] = self.first + (at - 2) as u32;
            }
        }
        out.sequence(&self.plain[done..], None)?;
        Some(out.used)
    }

    /// Returns the longer of the matches at `at`, extended back to `done` at most.
    #[inline]
    fn find(&mut self, at: usize, done: usize) -> Option<Match> {
        let four = four(self.plain, at);
        let end = self.plain.len() - LAST_LITERALS;
        let passed = &self.plain[done.max(at.saturating_sub(FARTHEST_BACK))..at];
        let place = &mut self.places[place(four, bits(self.places.len()))];
        let earlier = core::mem::replace(place, self.first + at as u32);
        let near = earlier.checked_sub(self.first).map(|earlier| earlier as usize);
        debug_assert!(near.is_none_or(|from| from < at), "a place of another value");
        let near = near.filter(|&from| at - from <= FARTHEST && self.plain[from..from + 4] == four);
        let near = near.map(|from| {
            let length = alike(&self.plain[from..end], &self.plain[at..end]);
            let more = alike_back(passed, &self.plain[..from]);
            Match { at: at - more, back: at - from, length: length + more }
        });
        let far = self
            .dictionary
            .find(four)
            .filter(|&from| at + self.dictionary.bytes.len() - from <= FARTHEST);
        let far = far.map(|from| {
            let bytes = &*self.dictionary.bytes;
            let length = alike(&bytes[from..], &self.plain[at..end]);
            let more = alike_back(passed, &bytes[..from]);
            Match { at: at - more, back: at + bytes.len() - from, length: length + more }
        });
        match (near, far) {
            (Some(near), Some(far)) => Some(if far.length > near.length { far } else { near }),
            (near, far) => near.or(far),
        }
    }
}

/// The block as far as it is written.
struct BlockWriter<'a> {
    into: &'a mut [u8],
    used: usize,
}

impl BlockWriter<'_> {
    fn left(&self) -> usize {
        self.into.len() - self.used
    }

    /// Writes literals and the match behind them. The last literals have no match.
    #[inline]
    fn sequence(&mut self, literals: &[u8], found: Option<Match>) -> Option<()> {
        debug_assert!(
            found.is_none_or(|found| found.length >= MIN_MATCH),
            "a match that the format cannot write"
        );
        let length = found.map_or(0, |found| found.length - MIN_MATCH);
        self.byte((literals.len().min(15) << 4 | length.min(15)) as u8)?;
        self.rest(literals.len())?;
        self.into.get_mut(self.used..self.used + literals.len())?.copy_from_slice(literals);
        self.used += literals.len();
        if let Some(found) = found {
            for byte in (found.back as u16).to_le_bytes() {
                self.byte(byte)?;
            }
            self.rest(length)?;
        }
        Some(())
    }

    #[inline]
    fn byte(&mut self, byte: u8) -> Option<()> {
        *self.into.get_mut(self.used)? = byte;
        self.used += 1;
        Some(())
    }

    /// Writes the part of a length that does not fit into the token.
    #[inline]
    fn rest(&mut self, length: usize) -> Option<()> {
        let Some(mut rest) = length.checked_sub(15) else { return Some(()) };
        while rest >= 255 {
            self.byte(255)?;
            rest -= 255;
        }
        self.byte(rest as u8)
    }
}
