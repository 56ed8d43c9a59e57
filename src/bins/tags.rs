//! The tag word of a bin: one byte per slot, and the bin's depth in the last byte.
//!
//! ```text
//! all bytes but the last:  low seven bits  tag of the key in that slot, 0 = empty
//! the last byte:           low six bits    depth + 1 of the bin, 0 = uninitialized, 63 = moved to a larger table
//! every byte:              high bit        filter: some key with that filter number is in overflow
//! ```
//!
//! One load of this word answers a miss: no tag matches, the key's filter bit is clear, and the depth is right. A
//! single word cannot be torn, so a miss needs no validation.

use super::layout::MAX_SLOTS;
use crate::api::hash::KeyHash;

type TagBits = usize;

/// The bytes of the word. `KeyHash::filter` returns a number below it.
const LANES: u32 = TagBits::BITS / 8;
/// `0x01` in every byte.
const ONES: TagBits = TagBits::MAX / 0xFF;
const DEPTH_AT: u32 = TagBits::BITS - 8;
const DEPTH_MASK: TagBits = 63;
/// The bytes of slots: all but the last.
const SLOT_BYTES: TagBits = (1 << DEPTH_AT) - 1;
const TAG_BITS: TagBits = (ONES * 0x7F) & SLOT_BYTES;
/// The top bit of each slot's byte.
const SLOT_TOPS: TagBits = (ONES * 0x80) & SLOT_BYTES;
/// The top bit of every byte, the last included.
const FILTER_BITS: TagBits = ONES * 0x80;

/// A depth as tag words and directory entries store it: one more than the number of hash bits that tell bins of that
/// depth apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Depth(pub(crate) u8);

impl Depth {
    /// The bin has no keys of its own yet: they are in the bin that it will be split from.
    pub(crate) const UNINITIALIZED: Self = Self(0);
    /// All keys of the bin were moved to a larger table: the directory has to be read again.
    pub(crate) const MOVED: Self = Self(63);

    pub(crate) const fn of_bits(bits: u32) -> Self {
        Self(bits as u8 + 1)
    }

    /// Returns the number of hash bits that tell bins of this depth apart.
    pub(crate) const fn bits(self) -> u32 {
        self.0 as u32 - 1
    }

    /// Whether the bin holds its keys: it is initialized, and they were not moved away.
    pub(crate) fn is_live(self) -> bool {
        self != Self::UNINITIALIZED && self != Self::MOVED
    }
}

/// The slots whose tags match: one bit for each slot with SSE2, one byte without.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
pub(crate) type TagMatches = SlotMask<0>;
#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
pub(crate) type TagMatches = SlotMask;

/// A tag word as it was loaded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tags(pub(crate) TagBits);

impl Tags {
    /// The tags of an uninitialized bin.
    pub(crate) const NONE: Self = Self(0);

    /// Returns the tags of a bin without keys.
    pub(crate) const fn empty(depth: Depth) -> Self {
        Self((depth.0 as TagBits) << DEPTH_AT)
    }

    #[inline(always)]
    pub(crate) fn depth(self) -> Depth {
        Depth((self.0 >> DEPTH_AT & DEPTH_MASK) as u8)
    }

    /// Returns the slots whose tag is `hash`'s.
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
    #[inline(always)]
    pub(crate) fn matches(self, hash: KeyHash) -> TagMatches {
        self.matches_by_words(hash)
    }

    /// Returns the slots whose tag is `hash`'s, with one instruction that compares all of them.
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    #[inline(always)]
    pub(crate) fn matches(self, hash: KeyHash) -> TagMatches {
        use core::arch::x86_64::{
            _mm_and_si128, _mm_cmpeq_epi8, _mm_cvtsi32_si128, _mm_cvtsi64_si128, _mm_max_epu8,
            _mm_movemask_epi8, _mm_set1_epi8, _mm_shufflelo_epi16, _mm_unpacklo_epi8,
        };
        // Computes `KeyHash::tag` in all lanes. Lanes past the slots never match: `tags` has 0 there, and `tag` at
        // least 1.
        // SAFETY: the target has these instructions, and they work on registers only.
        unsafe {
            let tag = _mm_cvtsi32_si128((hash.0 >> 57) as i32);
            let tag = _mm_shufflelo_epi16::<0>(_mm_unpacklo_epi8(tag, tag));
            let tag = _mm_max_epu8(tag, _mm_set1_epi8(1));
            let mask = _mm_cvtsi64_si128(TAG_BITS.cast_signed() as i64);
            let tags = _mm_and_si128(_mm_cvtsi64_si128(self.0.cast_signed() as i64), mask);
            SlotMask(_mm_movemask_epi8(_mm_cmpeq_epi8(tags, tag)).cast_unsigned() as usize)
        }
    }

    /// Does what `matches` does, without vectors.
    #[allow(dead_code)] // On targets with vectors, only the test calls it.
    #[inline(always)]
    fn matches_by_words(self, hash: KeyHash) -> SlotMask {
        // Seven-bit lanes cannot carry into each other: a lane is zero iff adding 0x7F leaves its top clear.
        let differs = (self.0 & TAG_BITS) ^ (TagBits::from(hash.tag()) * (ONES & SLOT_BYTES));
        SlotMask(!(differs + TAG_BITS) & SLOT_TOPS)
    }

    /// Returns the slots that hold a key.
    #[inline]
    pub(crate) fn used(self) -> SlotMask {
        SlotMask(((self.0 & TAG_BITS) + TAG_BITS) & SLOT_TOPS)
    }

    #[inline(always)]
    pub(crate) fn is_used(self, slot: usize) -> bool {
        self.0 >> (8 * slot) & 0x7F != 0
    }

    /// Returns 0 if the bin is of `depth`.
    #[inline(always)]
    pub(crate) fn difference_of_depth(self, depth: Depth) -> usize {
        (self.0 ^ Self::empty(depth).0) & DEPTH_MASK << DEPTH_AT
    }

    /// Whether the bin is of `depth`, and all its keys are in slots.
    #[inline(always)]
    pub(crate) fn is_plain(self, depth: Depth) -> bool {
        self.0 & (FILTER_BITS | DEPTH_MASK << DEPTH_AT) == Self::empty(depth).0
    }

    /// Returns the empty ones of the first `slots` slots.
    #[inline]
    pub(crate) fn free_slots(self, slots: usize) -> SlotMask {
        SlotMask(!self.used().0 & SLOT_TOPS & ((1 << (8 * slots)) - 1))
    }

    /// Returns the lowest empty one of the first `slots` slots.
    #[inline]
    pub(crate) fn free(self, slots: usize) -> Option<usize> {
        self.free_slots(slots).next()
    }

    /// Whether a key of this hash may be outside the bin: in its overflow lines, or in a neighbour bin.
    #[inline(always)]
    pub(crate) fn may_overflow(self, hash: KeyHash) -> bool {
        self.0 >> (8 * hash.filter() + 7) & 1 != 0
    }

    /// Whether any key is in overflow lines.
    #[inline]
    pub(crate) fn has_overflow(self) -> bool {
        self.0 & FILTER_BITS != 0
    }

    #[inline]
    pub(crate) fn with_overflow(self, hash: KeyHash) -> Self {
        Self(self.0 | 0x80 << (8 * hash.filter()))
    }

    /// Clears the filter bits of this key's number and of those that differ by a multiple of `of`.
    #[inline]
    pub(crate) fn without_filters(self, hash: KeyHash, of: u32) -> Self {
        let same = (hash.filter() % of..LANES).step_by(of as usize);
        Self(same.fold(self.0, |bits, filter| bits & !(0x80 << (8 * filter))))
    }

    #[inline]
    pub(crate) fn without_overflow(self) -> Self {
        Self(self.0 & !FILTER_BITS)
    }

    #[inline]
    pub(crate) fn with(self, slot: usize, tag: u8) -> Self {
        Self(self.without(slot).0 | TagBits::from(tag) << (8 * slot))
    }

    #[inline]
    pub(crate) fn without(self, slot: usize) -> Self {
        Self(self.0 & !(0x7F << (8 * slot)))
    }

    /// Returns the tags without those of `slots`.
    #[inline]
    pub(crate) fn without_all(self, slots: SlotMask) -> Self {
        // 0x80 - 0x01 in the byte of each slot: the bits of its tag.
        Self(self.0 & !(slots.0 - (slots.0 >> 7)))
    }

    /// Returns the tags with that of `slot` in `from` at `at`, which is empty, if `wanted` is 1, and unchanged if it is
    /// 0. There is no branch.
    #[inline(always)]
    pub(crate) fn with_tag_of(self, at: usize, from: Self, slot: usize, wanted: usize) -> Self {
        let tag = from.0 >> (8 * slot) & 0x7F & wanted.wrapping_neg();
        Self(self.0 | tag << (8 * at))
    }

    #[inline]
    pub(crate) fn with_depth(self, depth: Depth) -> Self {
        Self(self.0 & !(DEPTH_MASK << DEPTH_AT) | TagBits::from(depth.0) << DEPTH_AT)
    }
}

/// A set of slots, iterated lowest first. Of each 2^`SHIFT` bits, one says whether the slot is in the set.
#[derive(Clone, Copy)]
pub(crate) struct SlotMask<const SHIFT: u32 = 3>(pub(crate) TagBits);

/// For each slot, a number of equal steps that it and the set's slots before it make.
#[derive(Clone, Copy)]
pub(crate) struct Ends(TagBits);

impl Ends {
    /// Returns the steps up to and with `slot`.
    #[inline(always)]
    pub(crate) fn of(self, slot: usize) -> usize {
        self.0 >> (8 * slot) & 0xFF
    }
}

impl SlotMask {
    /// The largest number that all steps of `ends` together may make.
    pub(crate) const MOST_STEPS: usize = 0xFF;

    /// Returns, for each slot, `step` times the number of the set's slots up to and with it.
    #[inline(always)]
    pub(crate) fn ends(self, step: usize) -> Ends {
        debug_assert!(MAX_SLOTS * step <= Self::MOST_STEPS);
        // A byte of the product is the sum of the bytes up to it.
        Ends((self.0 >> 7).wrapping_mul(ONES.wrapping_mul(step)))
    }

    /// Returns the set of all slots.
    pub(crate) const fn all() -> Self {
        Self(SLOT_TOPS)
    }

    /// Returns the slots that are in `other` too.
    #[inline(always)]
    pub(crate) fn of(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns the set with `slot` too if `bit` is 1, and unchanged if it is 0.
    #[inline(always)]
    pub(crate) fn with_bit(self, slot: usize, bit: usize) -> Self {
        Self(self.0 | bit << (8 * slot + 7))
    }

    /// Returns 1 if `slot` is in the set, else 0.
    #[inline(always)]
    pub(crate) fn bit(self, slot: usize) -> usize {
        self.0 >> (8 * slot + 7) & 1
    }
}

impl<const SHIFT: u32> SlotMask<SHIFT> {
    pub(crate) const fn none() -> Self {
        Self(0)
    }

    #[inline(always)]
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub(crate) fn count(self) -> usize {
        if SHIFT == 3 {
            // The last byte of the product is the sum of all bytes. Few processors count ones in one instruction.
            return (self.0 >> 7).wrapping_mul(ONES) >> DEPTH_AT;
        }
        self.0.count_ones() as usize
    }

    /// Returns the lowest slot of a set that is not empty.
    #[inline(always)]
    pub(crate) fn lowest(self) -> usize {
        (self.0.trailing_zeros() >> SHIFT) as usize
    }
}

impl<const SHIFT: u32> Iterator for SlotMask<SHIFT> {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.is_empty() {
            return None;
        }
        let slot = self.lowest();
        self.0 &= self.0 - 1;
        Some(slot)
    }
}

const _: () = assert!(MAX_SLOTS < LANES as usize);

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_tags_matches_only_itself() {
        for stored in 1..128u8 {
            for asked in 0..128u8 {
                let tags = Tags::empty(Depth::of_bits(5)).with(2, stored).with(0, 7);
                let hash = KeyHash(u64::from(asked) << 57);
                let found = tags.matches(hash);
                let wanted: alloc::vec::Vec<usize> = [(0, 7), (2, stored)]
                    .into_iter()
                    .filter(|&(_, tag)| tag == asked.max(1))
                    .map(|(slot, _)| slot)
                    .collect();
                assert_eq!(found.collect::<alloc::vec::Vec<_>>(), wanted);
                let found = tags.matches_by_words(hash);
                assert_eq!(found.collect::<alloc::vec::Vec<_>>(), wanted);
            }
        }
    }

    #[test]
    fn filter_bits_leave_tags_and_depth_alone() {
        let tags = Tags::empty(Depth::MOVED).with(1, 127);
        for bits in 0..1 << 10 {
            let hash = KeyHash(bits << 54);
            let filtered = tags.with_overflow(hash);
            assert!(filtered.may_overflow(hash) && !tags.may_overflow(hash));
            assert_eq!((filtered.0 >> 8 & 0x7F, filtered.depth()), (127, Depth::MOVED));
            assert!(filtered.without_overflow() == tags);
        }
    }

    #[test]
    fn free_slots_come_lowest_first_and_end() {
        let mut tags = Tags::empty(Depth::of_bits(0));
        for slot in 0..MAX_SLOTS {
            assert_eq!(tags.free(MAX_SLOTS), Some(slot));
            tags = tags.with(slot, 1);
        }
        assert_eq!(tags.free(MAX_SLOTS), None);
        assert_eq!(tags.used().count(), MAX_SLOTS);
        assert_eq!(tags.without(1).free(MAX_SLOTS), Some(1));
    }
}
