//! A symbol: up to fifteen bytes of text and their length, in one word that is compared and copied as a whole.

/// The bytes of the longest symbol.
pub(super) const LONGEST: usize = 15;
/// The bytes that are copied for each symbol, however short it is.
pub(super) const COPIED: usize = 16;

/// The text in the lower fifteen bytes, padded with 0; its length in the highest byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Symbol(u128);

impl Symbol {
    /// Returns the symbol of 1 to [`LONGEST`] bytes.
    pub(super) fn new(text: &[u8]) -> Self {
        debug_assert!((1..=LONGEST).contains(&text.len()));
        Self::starting(&Self::padded(text), text.len())
    }

    /// Returns the symbol of the first `length` bytes.
    #[inline]
    pub(super) fn starting(bytes: &[u8; COPIED], length: usize) -> Self {
        let text = u128::from_le_bytes(*bytes) & !(u128::MAX << (8 * length));
        Self(text | (length as u128) << (8 * LONGEST))
    }

    /// Returns the first bytes of `bytes`, padded with 0.
    #[inline]
    pub(super) fn padded(bytes: &[u8]) -> [u8; COPIED] {
        if let Some(whole) = bytes.first_chunk() {
            return *whole;
        }
        let mut padded = [0; COPIED];
        padded[..bytes.len()].copy_from_slice(bytes);
        padded
    }

    #[inline]
    pub(super) fn len(self) -> usize {
        (self.0 >> (8 * LONGEST)) as usize
    }

    /// Returns the text, and some more bytes.
    #[inline]
    pub(super) fn bytes(self) -> [u8; COPIED] {
        self.0.to_le_bytes()
    }

    /// Returns the concatenation, if it is not too long.
    pub(super) fn joined(self, next: Self) -> Option<Self> {
        let (ours, theirs) = (self.len(), next.len());
        if ours + theirs > LONGEST {
            return None;
        }
        let text = |symbol: Self| symbol.0 & (u128::MAX >> 8);
        let text = text(self) | text(next) << (8 * ours);
        Some(Self(text | ((ours + theirs) as u128) << (8 * LONGEST)))
    }

    /// Returns both parts. The first has `length` bytes, which is less than all.
    pub(super) fn split(self, length: usize) -> (Self, Self) {
        let bytes = self.bytes();
        (Self::starting(&bytes, length), Self::new(&bytes[length..self.len()]))
    }

    /// Returns a hash whose upper bits depend on all bytes.
    #[inline]
    pub(super) fn hash(self) -> u64 {
        let (low, high) = (self.0 as u64, (self.0 >> 64) as u64);
        let mixed = low ^ high.wrapping_mul(0xc2b2_ae3d_27d4_eb4f).rotate_left(32);
        (mixed ^ mixed >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joining_undoes_splitting() {
        let text = b"abcdefghijklmno";
        let whole = Symbol::new(text);
        assert_eq!((whole.len(), &whole.bytes()[..15]), (15, &text[..]));
        for length in 1..LONGEST {
            let (one, other) = whole.split(length);
            assert_eq!((one, other), (Symbol::new(&text[..length]), Symbol::new(&text[length..])));
            assert_eq!(one.joined(other), Some(whole));
            assert_eq!(whole.joined(one), None);
        }
    }
}
