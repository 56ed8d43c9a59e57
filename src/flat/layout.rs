//! Where things lie in a bin, an overflow line and a segment, worked out from the types at compile time.
//!
//! Everything is counted in machine words. A bin is
//!
//! ```text
//! | tags | state | (overflow index, 32-bit targets) | entry 0 | entry 1 | … |
//! ```
//!
//! and an overflow line is `| next and tags (two words on 32 bits) | entry 0 | … |`. For `u64 → u64` on a
//! 64-bit target a bin is 128 bytes with seven entries, the first three on the line of its header.

use crate::sync::seqlock::State;
use crate::sync::words::{WORD, words_for};
use core::marker::PhantomData;

/// Words before the first entry of a bin: tags, state, and the overflow index where `State` has no room.
pub(crate) const BIN_HEAD: usize = if State::HAS_INDEX { 2 } else { 3 };
/// Words before the first entry of an overflow line.
pub(crate) const LINE_HEAD: usize = if usize::BITS == 64 { 1 } else { 2 };
/// One byte of the tag word is the depth, the others are a slot each.
pub(crate) const MAX_SLOTS: usize = if cfg!(hedgerow_loom) { 2 } else { WORD - 1 };
/// Lines in one chunk of the overflow pool.
pub(crate) const CHUNK_LINES: usize = if cfg!(hedgerow_loom) { 3 } else { 16 };
/// A segment is as many bins as fit here, and at most `2^MAX_SEGMENT_BITS`.
const SEGMENT_BYTES: usize = 16 * 1024;
const MAX_SEGMENT_BITS: u32 = if cfg!(hedgerow_loom) { 1 } else { 7 };
/// Overflow lines of small entries fill a cache line.
const LINE_WORDS: usize = if cfg!(hedgerow_loom) { 1 } else { 8 };

const fn round_up(value: usize, to: usize) -> usize {
    value.div_ceil(to) * to
}

pub(crate) struct Layout<K, V>(PhantomData<(K, V)>);

impl<K, V> Layout<K, V> {
    /// Where the value starts in an entry: aligned within words, so that no pointer straddles two.
    pub(crate) const VALUE_AT: usize = {
        let align = if align_of::<V>() < WORD { align_of::<V>() } else { WORD };
        round_up(size_of::<K>(), align)
    };
    /// Words in an entry.
    pub(crate) const ENTRY: usize = words_for(Self::VALUE_AT + size_of::<V>());
    /// Slots in a bin: six of one word fill a cache line; otherwise all that the tag word can name.
    pub(crate) const SLOTS: usize = if Self::ENTRY == 1 && MAX_SLOTS == 7 { 6 } else { MAX_SLOTS };
    /// Words from one bin to the next.
    pub(crate) const BIN: usize = {
        let words = BIN_HEAD + Self::SLOTS * Self::ENTRY;
        // A bin of a line or more starts on a line.
        if cfg!(hedgerow_loom) {
            words
        } else if words * WORD < 64 {
            words.next_power_of_two()
        } else {
            round_up(words, 64 / WORD)
        }
    };
    /// Bins in a segment, as a power of two.
    pub(crate) const SEGMENT_BITS: u32 = {
        let fit = SEGMENT_BYTES / (Self::BIN * WORD);
        let bits = if fit < 2 { 1 } else { fit.ilog2() };
        if bits > MAX_SEGMENT_BITS { MAX_SEGMENT_BITS } else { bits }
    };
    /// Entries in an overflow line.
    pub(crate) const LINE_SLOTS: usize = {
        let room = LINE_WORDS.saturating_sub(LINE_HEAD);
        let fit = if let Some(fit) = room.checked_div(Self::ENTRY) { fit } else { 4 };
        if fit < 1 {
            1
        } else if fit > 4 {
            4
        } else {
            fit
        }
    };
    /// Words from one overflow line to the next.
    pub(crate) const LINE: usize = round_up(LINE_HEAD + Self::LINE_SLOTS * Self::ENTRY, LINE_WORDS);

    /// Bins wanted for `len` entries: a mean load of about 0.6 of the slots.
    pub(crate) const fn bins_for(len: usize) -> usize {
        // Load in sixteenths of an entry a bin: 4 for seven slots, 3.4 for six, 1.7 for three.
        let sixteenths = if cfg!(hedgerow_loom) { 16 * Self::SLOTS } else { Self::SLOTS * 64 / 7 };
        if len <= Self::SLOTS {
            1
        } else {
            (len / sixteenths) * 16 + (len % sixteenths * 16).div_ceil(sixteenths)
        }
    }
}

#[cfg(all(test, target_pointer_width = "64", not(hedgerow_loom)))]
mod tests {
    use super::Layout;

    #[test]
    fn the_common_layouts_are_as_documented() {
        assert_eq!(
            (Layout::<u64, u64>::BIN, Layout::<u64, u64>::SLOTS, Layout::<u64, u64>::LINE),
            (16, 7, 8)
        );
        assert_eq!((Layout::<u32, u32>::BIN, Layout::<u32, u32>::SLOTS), (8, 6));
        assert_eq!((Layout::<(), ()>::BIN, Layout::<(), ()>::ENTRY), (2, 0));
        assert_eq!(Layout::<[u8; 24], u32>::ENTRY, 4);
        assert_eq!(Layout::<u32, u64>::VALUE_AT, 8);
        assert_eq!(Layout::<u64, [u8; 1024]>::SEGMENT_BITS, 1);
        assert!(Layout::<u64, u64>::bins_for(usize::MAX) > usize::MAX / 5);
    }
}
