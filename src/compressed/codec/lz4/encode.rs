//! Makes blocks of the LZ4 format out of single values, with a dictionary whose table is made once.
//!
//! A table has, for the hash of each four bytes, where they stood last. One is of the value so far, another of the
//! dictionary, which never changes and so costs nothing from value to value.

use alloc::boxed::Box;
use alloc::vec;

/// Shorter matches the format has no way to write.
const MIN_MATCH: usize = 4;
/// The format wants so many literals at the end,
const LAST_LITERALS: usize = 5;
/// and no match that begins nearer to it than this.
const LAST_MATCH: usize = 12;
/// How far back a match can be.
const FARTHEST: usize = 0xffff;
/// A match that was found is extended by so many bytes that stand before it.
const FARTHEST_BACK: usize = 64;
/// After so many bytes (as a power of two) without a match, steps get longer by one.
const PATIENCE: u32 = 6;

/// A place in the dictionary's table where nothing is.
const NOWHERE: u16 = u16::MAX;

/// What values are compressed against.
pub(super) struct Dictionary {
    pub(super) bytes: Box<[u8]>,
    /// A power of two.
    places: Box<[u16]>,
}

impl Dictionary {
    /// Of at most 32 KiB.
    pub(super) fn new(bytes: Box<[u8]>) -> Self {
        debug_assert!(bytes.len() <= 1 << 15);
        let mut places: Box<[u16]> = vec![NOWHERE; bytes.len().next_power_of_two()].into();
        // The later of two is nearer, which does not matter, and better, which does: a trainer puts it there.
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

    /// Where these four bytes are, if they are found at once.
    #[inline]
    fn find(&self, four: [u8; 4]) -> Option<usize> {
        let at = *self.places.get(place(four, bits(self.places.len())))?;
        let at = usize::from(at);
        (self.bytes.get(at..at + MIN_MATCH)? == four).then_some(at)
    }
}

/// Of so many places' logarithm.
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

/// In how many bytes both begin alike.
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

/// In how many bytes both end alike.
#[inline]
fn alike_back(one: &[u8], other: &[u8]) -> usize {
    one.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count()
}

/// Bytes that are equal to earlier ones.
#[derive(Clone, Copy)]
struct Match {
    /// Where it begins in the value,
    at: usize,
    /// how far back the earlier ones are,
    back: usize,
    length: usize,
}

/// One value.
pub(super) struct Encoder<'a> {
    pub(super) plain: &'a [u8],
    pub(super) dictionary: &'a Dictionary,
    /// Numbers of places; those from `first` on are of this value.
    pub(super) places: &'a mut [u32],
    pub(super) first: u32,
}

impl Encoder<'_> {
    /// How many bytes of `into` it takes; `None` where there are not so many.
    pub(super) fn encode(mut self, into: &mut [u8]) -> Option<usize> {
        let mut out = Out { into, used: 0 };
        let (mut done, mut at, mut patience) = (0, 0, 1 << PATIENCE);
        while at + LAST_MATCH <= self.plain.len() {
            let Some(found) = self.find(at, done) else {
                at += patience >> PATIENCE;
                patience += 1;
                // What was passed by needs room too, but for what the next match takes back.
                if at - done > out.left() + FARTHEST_BACK {
                    return None;
                }
                continue;
            };
            patience = 1 << PATIENCE;
            out.sequence(&self.plain[done..found.at], Some(found))?;
            done = found.at + found.length;
            at = done;
            // What is in the middle of a match may be the begin of another.
            if let Some(four) = self.plain.get(at - 2..at + 2) {
                let place = place(four.try_into().expect("four bytes"), bits(self.places.len()));
                self.places[place] = self.first + (at - 2) as u32;
            }
        }
        out.sequence(&self.plain[done..], None)?;
        Some(out.used)
    }

    /// The better of the matches at `at`, extended back to `done` at most.
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
struct Out<'a> {
    into: &'a mut [u8],
    used: usize,
}

impl Out<'_> {
    fn left(&self) -> usize {
        self.into.len() - self.used
    }

    /// Literals and the match behind them; the last ones have none.
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

    /// What of a length is not in the first byte.
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
