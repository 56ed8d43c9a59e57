//! Hints: for each block of a leaf, fifteen bits of its first key's rank, several hints to a word.
//!
//! A hint is the rank's distance from the leaf's base, shifted so that the hints of the leaf's keys use most of the
//! fifteen bits. A greater rank never has a smaller hint. So a key is not in a block whose hint is greater than the
//! key's own hint. Of the other blocks the key is in the last one, or, if several have that hint, possibly in an
//! earlier one.

/// Bits of a lane: a hint, and above it a bit that is 0.
const LANE: u32 = 16;
pub(crate) const LANES_A_WORD: usize = (usize::BITS / LANE) as usize;
/// A word with 1 in each lane.
const ONES: usize = usize::MAX / 0xFFFF;
const TOPS: usize = ONES << (LANE - 1);
/// The greatest hint of a key.
const MOST: usize = 0x7FFE;
/// The hint of an unused block: greater than that of any key.
const NONE: usize = 0x7FFF;

/// The mapping from ranks to hints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) base: usize,
    pub(crate) shift: u32,
}

impl Scale {
    #[inline(always)]
    pub(crate) fn hint(self, rank: usize) -> usize {
        (rank.saturating_sub(self.base) >> self.shift).min(MOST)
    }

    /// Returns whether `rank` is too great for this scale, so that it shares the greatest hint with others.
    #[inline(always)]
    pub(crate) fn is_beyond(self, rank: usize) -> bool {
        rank.saturating_sub(self.base) >> self.shift > MOST
    }

    /// Returns a scale for ranks from `base` to `last`, with as much room again above `last`.
    pub(crate) fn spanning(base: usize, last: usize) -> Self {
        let span = usize::BITS - last.saturating_sub(base).leading_zeros();
        Self { base, shift: span.saturating_sub(LANE - 2) }
    }
}

/// A copy of a leaf's hints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hints<const WORDS: usize>(pub(crate) [usize; WORDS]);

impl<const WORDS: usize> Hints<WORDS> {
    pub(crate) const EMPTY: Self = Self([ONES * NONE; WORDS]);

    /// Returns the number of lanes whose hint is not greater than `hint`.
    #[inline(always)]
    pub(crate) fn at_most(hint: usize, mut word: impl FnMut(usize) -> usize) -> usize {
        let key = (ONES * hint) | TOPS;
        let mut sum = 0;
        for index in 0..WORDS {
            // No lane borrows from the next one, because the top bit makes the key's lane the greater.
            sum += ((key - (word(index) & !TOPS)) & TOPS) >> (LANE - 1);
        }
        sum.wrapping_mul(ONES) >> (usize::BITS - LANE)
    }

    /// Sets one lane by a store of its own. If all lanes of a word were set by shifts, each would wait for the last.
    #[inline(always)]
    pub(crate) fn set(&mut self, lane: usize, hint: usize) {
        let at = if cfg!(target_endian = "little") { lane } else { lane ^ (LANES_A_WORD - 1) };
        assert!(at < WORDS * LANES_A_WORD);
        // SAFETY: asserted to be within the words, which are aligned for `u16`; any bits make a word.
        unsafe { self.0.as_mut_ptr().cast::<u16>().add(at).write(hint as u16) };
    }

    #[inline(always)]
    pub(crate) fn clear(&mut self, lane: usize) {
        self.set(lane, NONE);
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;

    type Four = Hints<4>;

    #[test]
    fn lanes_are_counted() {
        let mut hints = Four::EMPTY;
        let count = |hints: &Four, hint| Four::at_most(hint, |word| hints.0[word]);
        assert_eq!(count(&hints, MOST), 0);
        let lanes = 4 * LANES_A_WORD;
        for lane in 0..lanes {
            hints.set(lane, lane * 7);
        }
        for hint in 0..8 * lanes {
            assert_eq!(count(&hints, hint), (0..lanes).filter(|lane| lane * 7 <= hint).count());
        }
        assert_eq!(count(&hints, MOST), lanes);
        hints.clear(lanes - 1);
        assert_eq!(count(&hints, MOST), lanes - 1);
        assert_eq!(count(&Hints([0; 4]), 0), lanes);
    }

    #[test]
    fn hints_never_fall() {
        for (base, last) in
            [(0, 0), (5, 5), (0, usize::MAX), (usize::MAX - 3, usize::MAX), (100, 1 << 20)]
        {
            let scale = Scale::spanning(base, last);
            assert!(!scale.is_beyond(last), "{scale:?}");
            let mut before = 0;
            for step in 0..64 {
                let hint = scale.hint(base.saturating_add(last.saturating_sub(base) / 64 * step));
                assert!(before <= hint && hint <= MOST);
                before = hint;
            }
            assert_eq!(scale.hint(0), 0);
        }
    }
}
