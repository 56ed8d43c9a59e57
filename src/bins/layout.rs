//! The layout of a bin, an overflow line and a segment, computed from the types at compile time.
//!
//! Everything is counted in machine words. A segment stores the entries and the heads of its bins on either side of its
//! address, so that the position of both is known without the number of bins:
//!
//! ```text
//! … | entries of bin 1 | entries of bin 0 | head of bin 0 | head of bin 1 | …
//!                                         ^ the segment's address, on a cache line
//! head: | tags | state | (overflow index, 32-bit targets) |
//! ```
//!
//! Heads are adjacent, four to a cache line on a 64-bit target: a miss reads nothing else, and the heads of a map are
//! an eighth of it. An overflow line is `| next and tags (two words on 32 bits) | entry 0 | … |`. For `u64 → u64` on a
//! 64-bit target a bin takes 128 bytes: a head of 16 bytes and seven entries.
//!
//! With a million keys a miss takes 9 to 12 ns, and took 21 when each head was in front of its entries. A hit needs a
//! second cache line, for its entry. The lookup prefetches that line before it has read the tags, so in a map larger
//! than the caches it does not wait twice.

use crate::facade::Word;
use crate::sync::cache::LINE_BYTES;
use crate::sync::seqlock::StateWord;
use crate::sync::words::{self, WORD, words_for};
use core::marker::PhantomData;

/// Words in the head of a bin: tags, state, and the overflow index if `StateWord` has no bits for it.
pub(crate) const BIN_HEAD: usize = if StateWord::HAS_INDEX { 2 } else { 3 };
/// Words before the first entry of an overflow line.
pub(crate) const LINE_HEAD: usize = if usize::BITS == 64 { 1 } else { 2 };
/// Slots in a bin: one byte of the tag word is the depth, each of the others is a slot's.
pub(crate) const MAX_SLOTS: usize = if cfg!(hedgerow_loom) { 2 } else { WORD - 1 };
/// Lines in one chunk of the overflow pool.
pub(crate) const CHUNK_LINES: usize = if cfg!(hedgerow_loom) { 3 } else { 16 };
/// A segment has as many bins as fit into this many bytes, and at most `2^MAX_SEGMENT_BITS`.
const SEGMENT_BYTES: usize = 16 * 1024;
const MAX_SEGMENT_BITS: u32 = if cfg!(hedgerow_loom) { 1 } else { 7 };
/// The unit of an overflow line's length: lines of small entries fill a cache line.
const LINE_WORDS: usize = if cfg!(hedgerow_loom) { 1 } else { 8 };

const fn round_up(value: usize, to: usize) -> usize {
    value.div_ceil(to) * to
}

/// Rounds `words` up to the next number that fills whole cache lines.
pub(crate) const fn whole_lines(mut words: usize) -> usize {
    while !(words * size_of::<Word>()).is_multiple_of(LINE_BYTES) {
        words += 1;
    }
    words
}

/// The layout of bins whose entries are a `K` and a `V`.
pub(crate) struct Layout<K, V>(PhantomData<(K, V)>);

impl<K, V> Layout<K, V> {
    /// The offset of the value in an entry, in bytes: aligned within words, so that no pointer straddles two.
    pub(crate) const VALUE_AT: usize = {
        let align = if align_of::<V>() < WORD { align_of::<V>() } else { WORD };
        round_up(size_of::<K>(), align)
    };
    /// Words in an entry.
    pub(crate) const ENTRY: usize = words_for(Self::VALUE_AT + size_of::<V>());
    /// Slots in a bin: as many as the tag word has bytes for.
    pub(crate) const SLOTS: usize = MAX_SLOTS;
    /// Words of a bin's entries, if they are not packed.
    pub(crate) const ENTRIES: usize = Self::SLOTS * Self::ENTRY;
    /// Words of a bin, head and entries, if these are not packed.
    pub(crate) const BIN: usize = BIN_HEAD + Self::ENTRIES;
    /// The number of bins in a segment is two to this power.
    pub(crate) const SEGMENT_BITS: u32 = {
        let fit = SEGMENT_BYTES / (Self::BIN * WORD);
        let bits = if fit < 2 { 1 } else { fit.ilog2() };
        if bits > MAX_SEGMENT_BITS { MAX_SEGMENT_BITS } else { bits }
    };
    /// Returns the words of a segment of `bins` bins before its address: the entries, and the padding that puts the
    /// heads at the start of a cache line.
    #[inline]
    pub(crate) fn words_before(bins: usize) -> usize {
        whole_lines(bins * Self::entries())
    }
    /// Returns the words of a segment of `bins` bins.
    #[inline]
    pub(crate) fn segment_words(bins: usize) -> usize {
        Self::words_before(bins) + bins * BIN_HEAD
    }
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
    /// Words from one overflow line to the next, if entries are not packed.
    pub(crate) const LINE: usize = round_up(LINE_HEAD + Self::LINE_SLOTS * Self::ENTRY, LINE_WORDS);

    /// The target load, in sixteenths of an entry per bin: 4 entries for seven slots, 1.7 for three.
    const LOAD: usize = if cfg!(hedgerow_loom) { 16 * Self::SLOTS } else { Self::SLOTS * 64 / 7 };
}

#[cfg(feature = "alloc")]
impl<K, V> Layout<K, V> {
    /// Returns the largest number of entries for which `bins` bins suffice.
    pub(crate) fn entries_for(bins: usize) -> usize {
        let bins = Self::before_pace(bins);
        let entries = (bins / 16) * Self::LOAD + bins % 16 * Self::LOAD / 16;
        if bins > 0 && entries < Self::SLOTS { Self::SLOTS } else { entries }
    }

    /// Returns the number of bins for `len` entries. If it is a power of two, all bins cover equal parts of the hashes,
    /// and the load is the target, about 0.6 of the slots. Between powers of two there are up to a third more bins.
    pub(crate) fn bins_for(len: usize) -> usize {
        if len <= Self::SLOTS {
            return 1;
        }
        let load = Self::LOAD;
        Self::at_pace((len / load) * 16 + (len % load * 16).div_ceil(load))
    }

    /// Adds bins 1.5 times as fast between powers of two as a constant load would. Bins that are not split yet are the
    /// full ones: at this pace 11 % of inserts find their bin full, at a constant load 18 %. Tables of packed entries
    /// keep to the constant load, because their maps are chosen for memory.
    fn at_pace(bins: usize) -> usize {
        let half = 1 << bins.ilog2();
        let more = bins - half;
        if Self::is_packed() { bins } else { half + half.min(more + more / 2) }
    }

    /// Returns the largest number that `at_pace` makes at most `bins` of.
    fn before_pace(bins: usize) -> usize {
        let half = 1 << bins.max(1).ilog2();
        let more = bins.saturating_sub(half);
        if Self::is_packed() || more == 0 { bins } else { half + more / 3 * 2 + (more % 3).min(1) }
    }
}

impl<K, V> Layout<K, V> {
    /// Whether entries are packed bit by bit. Entries that are one `Indirect` are, because not all bits of that word
    /// are needed.
    #[inline(always)]
    pub(crate) fn is_packed() -> bool {
        words::is_indirect::<K>() && words::INDIRECT_BITS < usize::BITS
    }

    /// Returns the words of a bin's entries, packed or not.
    #[inline(always)]
    pub(crate) fn entries() -> usize {
        if Self::is_packed() { words::packed(Self::SLOTS) } else { Self::ENTRIES }
    }

    /// Returns the words from one overflow line to the next, packed or not.
    #[cfg(feature = "alloc")]
    #[inline(always)]
    pub(crate) fn line() -> usize {
        let packed = LINE_HEAD + words::packed(Self::LINE_SLOTS);
        if Self::is_packed() { packed } else { Self::LINE }
    }

    /// Returns the words of a chunk, the lines that are allocated at a time.
    #[cfg(feature = "alloc")]
    pub(crate) fn chunk() -> usize {
        CHUNK_LINES * Self::line()
    }

    /// Returns the largest number of overflow lines that `len` entries take in the bins that they need. This is the
    /// number expected of a random hash at the load at which it is highest, plus eight standard deviations and a few
    /// lines; or the number for keys that all have the same hash, if that is less.
    pub(crate) const fn lines_for(len: usize) -> usize {
        let entries_a_line = match (Self::SLOTS >= 7, Self::LINE_SLOTS) {
            (true, 3..) => 36,
            (true, 2) => 30,
            (true, _) => 19,
            (false, 3..) => 14,
            (false, _) => 9,
        };
        let expected = len / entries_a_line + 1;
        let at_most = expected + 8 * expected.isqrt() + 8;
        let of_one_hash = len.saturating_sub(Self::SLOTS).div_ceil(Self::LINE_SLOTS);
        if of_one_hash < at_most { of_one_hash } else { at_most }
    }
}

#[cfg(all(test, feature = "alloc", target_pointer_width = "64", not(hedgerow_loom)))]
mod tests {
    use super::Layout;
    use crate::sync::words::Indirect;

    type Packed = Layout<Indirect, ()>;

    #[test]
    fn the_common_layouts_are_as_documented() {
        assert_eq!(
            (Layout::<u64, u64>::BIN, Layout::<u64, u64>::SLOTS, Layout::<u64, u64>::LINE),
            (16, 7, 8)
        );
        assert_eq!((Layout::<u32, u32>::BIN, Layout::<u32, u32>::SLOTS), (9, 7));
        assert_eq!(Layout::<u64, u64>::words_before(1), 16);
        assert_eq!(Layout::<u64, u64>::segment_words(128), 2048);
        assert_eq!((Layout::<(), ()>::BIN, Layout::<(), ()>::words_before(1)), (2, 0));
        assert_eq!(Layout::<[u8; 24], u32>::ENTRY, 4);
        assert_eq!(Layout::<u32, u64>::VALUE_AT, 8);
        assert_eq!(Layout::<u64, [u8; 1024]>::SEGMENT_BITS, 1);
        assert!(Layout::<u64, u64>::bins_for(usize::MAX) > usize::MAX / 5);
        for bins in 1..1000 {
            let most = Layout::<u64, u64>::entries_for(bins);
            assert!(Layout::<u64, u64>::bins_for(most) <= bins, "{bins} bins for {most}");
            assert!(Layout::<u64, u64>::bins_for(most + 1) > bins, "{bins} bins for more");
        }
        assert_eq!(Layout::<u64, u64>::entries_for(0), 0);
        assert_eq!(Layout::<u64, u64>::bins_for(4 * 1024), 1024);
        assert_eq!(Layout::<u64, u64>::bins_for(4 * 1280), 1024 + 384);
        assert_eq!(Layout::<u64, u64>::bins_for(4 * 2000), 2048, "more bins than the load needs");
        assert_eq!((Packed::entries(), Packed::line(), Packed::segment_words(128)), (4, 4, 768));
    }
}
