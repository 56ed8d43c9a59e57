//! Bins of up to seven entries, each with a head that answers most lookups by itself.
//!
//! ```text
//! head:  seven bytes  tag of the entry in that slot, top bit set; 0 = empty
//!        last byte    overflow count: entries that passed this full bin; 127 = saturated
//! ```
//!
//! The hash of an entry names its home bin. If that is full, the entry goes into the first bin with a free slot, in the
//! order of `side::after`, and each bin that it passes counts it. A lookup goes on past a bin only if the count is not
//! zero. Bins are whole cache lines, so a hit mostly waits for memory once. (Overflow counts: F14, by Bronson and Shi.
//! Tags compared as one word: Knuth's and Mycroft's bit tricks.)

use crate::api::hasher::mixes_well;
use crate::sync::prefetch;
use core::hash::{BuildHasher, Hash};
use core::mem::MaybeUninit;

const ONES: u64 = 0x0101_0101_0101_0101;
const TOP_BITS: u64 = 0x8080_8080_8080_8080;
/// The top bits of the seven slots' bytes.
const SLOT_TOP_BITS: u64 = TOP_BITS & ((1 << 56) - 1);
const OVERFLOW_SHIFT: u32 = 56;
/// An overflow count that is lost for good: it says that some entries passed the bin, not how many.
const SATURATED: u64 = 127;

/// A hash, well mixed in its upper and its lower bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(not(feature = "left-right"), allow(unreachable_pub))] // A sealed trait of the map names it.
pub struct MixedHash(pub(super) u64);

impl MixedHash {
    #[inline(always)]
    pub(super) fn of<Q: Hash + ?Sized, S: BuildHasher>(key: &Q, hash_builder: &S) -> Self {
        let hash = hash_builder.hash_one(key);
        if mixes_well::<S>() {
            return Self(hash);
        }
        // 2^64 divided by the golden ratio: the product is best mixed in its upper bits (Knuth).
        let product = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self(product ^ product >> 32)
    }

    /// Returns the home bin, by the upper bits. (Lemire's range reduction.)
    #[inline(always)]
    pub(super) fn home(self, bins: usize) -> usize {
        if usize::BITS < 64 {
            return (((self.0 >> 32) * bins as u64) >> 32) as usize;
        }
        ((u128::from(self.0) * bins as u128) >> 64) as usize
    }

    /// Returns the least hash whose home is after `bin`, or `None` for the last bin.
    #[cfg(feature = "left-right")]
    pub(super) fn first_past(bin: usize, bins: usize) -> Option<u64> {
        if bin + 1 >= bins {
            return None;
        }
        let bits = if usize::BITS < 64 { 32 } else { 64 };
        let first = (((bin as u128 + 1) << bits).div_ceil(bins as u128)) as u64;
        Some(first << (64 - bits))
    }

    /// Returns the tag: the lowest bits, with the top bit set.
    #[inline(always)]
    fn tag(self) -> u8 {
        self.0 as u8 | 0x80
    }
}

/// Slots of a bin, as the top bits of their bytes in the head.
#[derive(Clone, Copy)]
pub(super) struct HeadSlots(u64);

impl HeadSlots {
    #[inline(always)]
    pub(super) fn first(self) -> Option<usize> {
        (self.0 != 0).then(|| (self.0.trailing_zeros() / 8) as usize)
    }

    #[inline(always)]
    pub(super) fn without_first(self) -> Self {
        Self(self.0 & self.0.wrapping_sub(1))
    }
}

impl Iterator for HeadSlots {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        let first = self.first();
        *self = self.without_first();
        first
    }
}

/// The slots whose tags match a hash.
#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2", not(miri))))]
pub(super) type HeadMatches = HeadSlots;
/// The slots whose tags match a hash, a bit for each.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2", not(miri)))]
#[derive(Clone, Copy)]
pub(super) struct HeadMatches(u16);

#[cfg(all(target_arch = "x86_64", target_feature = "sse2", not(miri)))]
impl HeadMatches {
    #[inline(always)]
    pub(super) fn first(self) -> Option<usize> {
        core::num::NonZeroU16::new(self.0).map(|bits| bits.trailing_zeros() as usize)
    }

    #[inline(always)]
    pub(super) fn without_first(self) -> Self {
        Self(self.0 & self.0.wrapping_sub(1))
    }
}

/// The tags and the overflow count of a bin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BinHead(pub(super) u64);

impl BinHead {
    /// Returns the slots whose tag is that of `hash`.
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2", not(miri)))]
    #[inline(always)]
    pub(super) fn matches(self, hash: MixedHash) -> HeadMatches {
        use core::arch::x86_64::{
            _mm_cmpeq_epi8, _mm_cvtsi32_si128, _mm_cvtsi64_si128, _mm_movemask_epi8, _mm_or_si128,
            _mm_set1_epi8, _mm_shufflelo_epi16, _mm_unpacklo_epi8,
        };
        // The overflow count never matches, nor do the lanes past the head: a tag has its top bit set, and they do not.
        // SAFETY: the target has these instructions, and they work on registers only.
        unsafe {
            let hash = _mm_cvtsi32_si128(hash.0 as i32);
            let tags = _mm_shufflelo_epi16::<0>(_mm_unpacklo_epi8(hash, hash));
            let tags = _mm_or_si128(tags, _mm_set1_epi8(i8::MIN));
            let head = _mm_cvtsi64_si128(self.0.cast_signed());
            HeadMatches(_mm_movemask_epi8(_mm_cmpeq_epi8(head, tags)).cast_unsigned() as u16)
        }
    }

    /// Returns the slots whose tag is that of `hash`. Above the first match it may report slots whose tag differs in
    /// the lowest bit; the caller compares the keys anyway.
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse2", not(miri))))]
    #[inline(always)]
    pub(super) fn matches(self, hash: MixedHash) -> HeadMatches {
        self.matches_by_words(hash)
    }

    #[allow(dead_code)] // On targets with vector instructions only the test calls it.
    #[inline(always)]
    fn matches_by_words(self, hash: MixedHash) -> HeadSlots {
        // The overflow count never matches: a tag has its top bit set, and the count does not.
        let differs = self.0 ^ (u64::from(hash.tag()) * ONES);
        HeadSlots(differs.wrapping_sub(ONES) & !differs & TOP_BITS)
    }

    #[inline]
    pub(super) fn used(self) -> HeadSlots {
        HeadSlots(self.0 & SLOT_TOP_BITS)
    }

    #[inline(always)]
    pub(super) fn holds(self, slot: usize) -> bool {
        self.0 >> (8 * slot) & 0x80 != 0
    }

    /// Returns true if the tag in `slot` is that of `hash`.
    pub(super) fn has_tag(self, slot: usize, hash: MixedHash) -> bool {
        (self.0 >> (8 * slot)) as u8 == hash.tag()
    }

    #[inline(always)]
    fn highest_free(self) -> Option<usize> {
        let free = !self.0 & SLOT_TOP_BITS;
        (free != 0).then(|| free.ilog2() as usize / 8)
    }

    /// Returns true if an entry that passed this bin may be in a later one.
    #[inline(always)]
    pub(super) fn has_overflowed(self) -> bool {
        self.0 >> OVERFLOW_SHIFT != 0
    }

    pub(super) fn with(self, slot: usize, hash: MixedHash) -> Self {
        Self(self.0 | u64::from(hash.tag()) << (8 * slot))
    }

    pub(super) fn without(self, slot: usize) -> Self {
        Self(self.0 & !(0xFF << (8 * slot)))
    }

    /// Counts one more entry that passed this bin.
    pub(super) fn with_overflow(self) -> Self {
        // A saturated count stays: counted down later, it could reach zero while such entries are left.
        let lost_count = self.0 >> OVERFLOW_SHIFT == SATURATED;
        Self(if lost_count { self.0 } else { self.0 + (1 << OVERFLOW_SHIFT) })
    }

    /// Counts one entry less that passed this bin.
    pub(super) fn without_overflow(self) -> Self {
        // The count can be zero already, if the key's hasher answers differently each time.
        let keeps = [0, SATURATED].contains(&(self.0 >> OVERFLOW_SHIFT));
        Self(if keeps { self.0 } else { self.0 - (1 << OVERFLOW_SHIFT) })
    }
}

/// Seven slots and their head, in whole cache lines. The highest slots are filled first, because they share a line with
/// the head.
#[repr(C, align(64))]
pub(super) struct SideBin<E> {
    slots: [MaybeUninit<E>; 7],
    head: BinHead,
}

#[allow(clippy::expl_impl_clone_on_copy)] // A derived `Clone` would require `E: Clone`.
impl<E: Copy> Clone for SideBin<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E: Copy> Copy for SideBin<E> {}

impl<E> SideBin<E> {
    pub(super) const SLOTS: usize = 7;
    pub(super) const EMPTY: Self =
        Self { slots: [const { MaybeUninit::uninit() }; 7], head: BinHead(0) };

    /// Returns the most entries that `bins` bins hold: three quarters of their slots. With more entries, many bins
    /// would overflow, and misses would read further bins.
    pub(super) const fn capacity(bins: usize) -> usize {
        // In an order in which no product is greater than the result.
        bins / 4 * (3 * Self::SLOTS) + bins % 4 * (3 * Self::SLOTS) / 4
    }

    /// Returns the number of bins for `entries`, at least one, or `None` if it cannot be addressed or numbered.
    #[cfg(feature = "left-right")]
    pub(super) fn number_for(entries: usize) -> Option<usize> {
        let slots = entries.checked_add(entries / 3)?.checked_add(1)?;
        let mut bins = slots.div_ceil(Self::SLOTS);
        while Self::capacity(bins) < entries {
            bins += 1;
        }
        let fits = isize::try_from(bins.checked_mul(size_of::<Self>())?).is_ok();
        (fits && u32::try_from(bins).is_ok()).then_some(bins)
    }
}

impl<E: Copy> SideBin<E> {
    /// Makes an empty bin in place. This writes the head only: slots may hold anything, and seven large entries would
    /// not fit on a small stack.
    #[cfg(feature = "left-right")]
    pub(super) fn make_empty(at: &mut MaybeUninit<Self>) {
        // SAFETY: the pointer is valid for writes of a whole bin.
        unsafe { (&raw mut (*at.as_mut_ptr()).head).write(BinHead(0)) };
    }

    /// Empties the bin.
    pub(super) fn clear(&mut self) {
        self.head = BinHead(0);
    }

    #[inline(always)]
    pub(super) fn head(&self) -> BinHead {
        self.head
    }

    /// Returns the entry in `slot`.
    ///
    /// # Safety
    /// The head says that `slot` is in use.
    #[inline(always)]
    pub(super) unsafe fn entry(&self, slot: usize) -> &E {
        // SAFETY: the caller promises that the slot is in use, and `put` writes an entry before it marks the slot.
        unsafe { self.slots.get_unchecked(slot).assume_init_ref() }
    }

    /// Puts an entry into the highest free slot and returns the slot, or `None` if the bin is full.
    #[inline(always)]
    pub(super) fn put(&mut self, hash: MixedHash, entry: E) -> Option<usize> {
        let slot = self.head.highest_free()?;
        self.slots[slot].write(entry);
        self.head = self.head.with(slot, hash);
        Some(slot)
    }

    /// Replaces the entry in `slot`, which is in use, and returns the old one.
    pub(super) fn replace(&mut self, slot: usize, entry: E) -> E {
        assert!(self.head.holds(slot), "an empty slot");
        // SAFETY: the slot is in use, and `put` wrote an entry before it marked the slot.
        unsafe { core::mem::replace(self.slots[slot].assume_init_mut(), entry) }
    }

    /// Takes the entry out of `slot`, which is in use.
    pub(super) fn take(&mut self, slot: usize) -> E {
        assert!(self.head.holds(slot), "an empty slot");
        self.head = self.head.without(slot);
        // SAFETY: the slot was in use, and `put` wrote an entry before it marked the slot.
        unsafe { self.slots[slot].assume_init() }
    }

    pub(super) fn add_overflow(&mut self) {
        self.head = self.head.with_overflow();
    }

    pub(super) fn remove_overflow(&mut self) {
        self.head = self.head.without_overflow();
    }

    /// Copies `slot` of another bin, or the head if `slot` is past the last one. The slot need not be in use.
    #[cfg(feature = "left-right")]
    #[inline(always)]
    pub(super) fn copy_part(&mut self, other: &Self, slot: usize) {
        match self.slots.get_mut(slot) {
            Some(to) => *to = other.slots[slot],
            None => self.head = other.head,
        }
    }

    /// Returns the address of `slot`, or of the head if `slot` is past the last one.
    #[cfg(feature = "left-right")]
    #[inline(always)]
    pub(super) fn part(this: *const Self, slot: usize) -> *const u8 {
        let head = size_of::<Self>() - size_of::<BinHead>();
        let within = if slot < Self::SLOTS { slot * size_of::<E>() } else { head };
        this.cast::<u8>().wrapping_add(within)
    }

    /// Prefetches a bin of one or two lines, and of a larger one the line of its head.
    #[inline(always)]
    pub(super) fn prefetch(this: *const Self) {
        if size_of::<Self>() == 128 {
            prefetch::read(this);
        }
        // The line of the head, which is the last word.
        prefetch::read(this.wrapping_byte_add(size_of::<Self>() - 64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_match_by_vectors_as_by_words() {
        for base in [0x80u64, 0x81, 0xFF] {
            for (slot, passed) in (0..7).flat_map(|slot| [(slot, 0), (slot, 1), (slot, SATURATED)])
            {
                let empty = BinHead(passed << OVERFLOW_SHIFT);
                let head =
                    empty.with(slot, MixedHash(base)).with((slot + 2) % 7, MixedHash(base ^ 2));
                assert_eq!(head.matches(MixedHash(base)).first(), Some(slot));
                assert_eq!(head.matches_by_words(MixedHash(base)).next(), Some(slot));
                let other = MixedHash(base ^ 4);
                assert!(head.matches(other).first().is_none());
                assert!(head.matches_by_words(other).next().is_none());
                // An empty slot never matches.
                assert!(head.matches_by_words(MixedHash(base)).all(|slot| head.holds(slot)));
            }
        }
    }

    #[test]
    #[cfg(feature = "left-right")]
    fn the_hashes_past_a_bin_begin_where_the_next_bin_begins() {
        for bins in [1, 2, 3, 7, 64, 1000, 12_345] {
            for bin in [0, bins / 3, bins / 2, bins - 1] {
                let Some(first) = MixedHash::first_past(bin, bins) else {
                    assert_eq!(bin, bins - 1);
                    continue;
                };
                assert_eq!(MixedHash(first).home(bins), bin + 1);
                assert_eq!(MixedHash(first - 1).home(bins), bin);
            }
        }
    }

    #[test]
    fn a_saturated_count_stays_and_none_goes_below_zero() {
        let mut head = BinHead(0).with(3, MixedHash(9));
        assert_eq!(head.without_overflow(), head);
        for _ in 0..200 {
            head = head.with_overflow();
        }
        assert_eq!((head.without_overflow(), head.has_overflowed()), (head, true));
        assert_eq!(head.used().next(), Some(3));
    }

    #[test]
    fn bins_waste_little_and_have_room() {
        fn check<E>(bytes: usize) {
            assert_eq!(size_of::<SideBin<E>>(), bytes);
            for entries in 0..3_000 {
                let bins = SideBin::<E>::number_for(entries).unwrap();
                assert!(SideBin::<E>::capacity(bins) >= entries);
                assert!(SideBin::<E>::capacity(bins) <= bins * SideBin::<E>::SLOTS);
            }
        }
        check::<u64>(64);
        check::<(u64, u64)>(128);
        check::<(u64, u64, u64)>(192);
        check::<u8>(64);
        check::<[u64; 9]>(512);
        check::<()>(64);
        for entries in [usize::MAX, usize::MAX / 4 * 3, usize::MAX / 4 * 3 - 1, usize::MAX / 2] {
            assert_eq!(SideBin::<u64>::number_for(entries), None, "{entries} entries");
        }
    }
}
