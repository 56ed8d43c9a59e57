//! Where entries lie: bins of up to seven, each with a head that answers most questions.
//!
//! ```text
//! head:  seven bytes  tag of the entry in that slot, top bit set; 0 = empty
//!        last byte    entries that belong here, or before, and were placed behind; 127 = lost count
//! ```
//!
//! An entry belongs to the bin that its hash names, and lies there or in one of the next. Buckets fill
//! whole cache lines, so that a hit mostly asks memory once. (Heads that count what passed them by: F14, by
//! Bronson and Shi. Tags compared as one word: Knuth's and Mycroft's bit tricks.)

use crate::api::hasher::mixes_well;
use crate::sync::prefetch;
use core::hash::{BuildHasher, Hash};
use core::mem::MaybeUninit;

const ONES: u64 = 0x0101_0101_0101_0101;
const TOP_BITS: u64 = 0x8080_8080_8080_8080;
/// The top bits of slots' bytes.
const SLOT_TOP_BITS: u64 = TOP_BITS & ((1 << 56) - 1);
const OVERFLOW_SHIFT: u32 = 56;
const SATURATED: u64 = 127;

/// What the hasher said, well mixed at both ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(not(feature = "left-right"), allow(unreachable_pub))] // A sealed trait of the map names it.
pub struct Hashed(pub(super) u64);

impl Hashed {
    #[inline(always)]
    pub(super) fn of<Q: Hash + ?Sized, S: BuildHasher>(key: &Q, hash_builder: &S) -> Self {
        let hash = hash_builder.hash_one(key);
        if mixes_well::<S>() {
            return Self(hash);
        }
        // 2^64 divided by the golden ratio: its product is best mixed at the top. (Knuth.)
        let product = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self(product ^ product >> 32)
    }

    /// The bin it belongs to, by its upper bits. (Lemire's range reduction.)
    #[inline(always)]
    pub(super) fn home(self, bins: usize) -> usize {
        if usize::BITS < 64 {
            return (((self.0 >> 32) * bins as u64) >> 32) as usize;
        }
        ((u128::from(self.0) * bins as u128) >> 64) as usize
    }

    /// The least hash that belongs behind `bin`, if one does.
    #[cfg(feature = "left-right")]
    pub(super) fn first_past(bin: usize, bins: usize) -> Option<u64> {
        if bin + 1 >= bins {
            return None;
        }
        let bits = if usize::BITS < 64 { 32 } else { 64 };
        let first = (((bin as u128 + 1) << bits).div_ceil(bins as u128)) as u64;
        Some(first << (64 - bits))
    }

    /// By its lowest bits.
    #[inline(always)]
    fn tag(self) -> u8 {
        self.0 as u8 | 0x80
    }
}

/// Slots of a bin, as the top bits of their bytes.
#[derive(Clone, Copy)]
pub(super) struct Slots(u64);

impl Slots {
    #[inline(always)]
    pub(super) fn first(self) -> Option<usize> {
        (self.0 != 0).then(|| (self.0.trailing_zeros() / 8) as usize)
    }

    #[inline(always)]
    pub(super) fn without_first(self) -> Self {
        Self(self.0 & self.0.wrapping_sub(1))
    }
}

impl Iterator for Slots {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        let first = self.first();
        *self = self.without_first();
        first
    }
}

/// The slots whose tags match.
#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2", not(miri))))]
pub(super) type Matches = Slots;
/// The slots whose tags match, a bit each.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2", not(miri)))]
#[derive(Clone, Copy)]
pub(super) struct Matches(u16);

#[cfg(all(target_arch = "x86_64", target_feature = "sse2", not(miri)))]
impl Matches {
    #[inline(always)]
    pub(super) fn first(self) -> Option<usize> {
        core::num::NonZeroU16::new(self.0).map(|bits| bits.trailing_zeros() as usize)
    }

    #[inline(always)]
    pub(super) fn without_first(self) -> Self {
        Self(self.0 & self.0.wrapping_sub(1))
    }
}

/// The first word of a bin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head(pub(super) u64);

impl Head {
    /// Slots whose tag is that of `hash`.
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2", not(miri)))]
    #[inline(always)]
    pub(super) fn matches(self, hash: Hashed) -> Matches {
        use core::arch::x86_64::{
            _mm_cmpeq_epi8, _mm_cvtsi32_si128, _mm_cvtsi64_si128, _mm_movemask_epi8, _mm_or_si128,
            _mm_set1_epi8, _mm_shufflelo_epi16, _mm_unpacklo_epi8,
        };
        // The byte that is no slot's never matches, nor do lanes past the head: their top bits differ.
        // SAFETY: the target has these instructions, and they work on registers only.
        unsafe {
            let hash = _mm_cvtsi32_si128(hash.0 as i32);
            let tags = _mm_shufflelo_epi16::<0>(_mm_unpacklo_epi8(hash, hash));
            let tags = _mm_or_si128(tags, _mm_set1_epi8(i8::MIN));
            let head = _mm_cvtsi64_si128(self.0.cast_signed());
            Matches(_mm_movemask_epi8(_mm_cmpeq_epi8(head, tags)).cast_unsigned() as u16)
        }
    }

    /// Slots whose tag is that of `hash`; above one that is, perhaps some whose tag differs in the lowest bit.
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse2", not(miri))))]
    #[inline(always)]
    pub(super) fn matches(self, hash: Hashed) -> Matches {
        self.matches_by_words(hash)
    }

    #[allow(dead_code)] // Where there are vectors, only the test asks.
    #[inline(always)]
    fn matches_by_words(self, hash: Hashed) -> Slots {
        // The byte that is no slot's never matches: its top bit differs.
        let differs = self.0 ^ (u64::from(hash.tag()) * ONES);
        Slots(differs.wrapping_sub(ONES) & !differs & TOP_BITS)
    }

    #[inline]
    pub(super) fn used(self) -> Slots {
        Slots(self.0 & SLOT_TOP_BITS)
    }

    #[inline(always)]
    pub(super) fn holds(self, slot: usize) -> bool {
        self.0 >> (8 * slot) & 0x80 != 0
    }

    /// Whether the tag in `slot` is that of `hash`.
    pub(super) fn has_tag(self, slot: usize, hash: Hashed) -> bool {
        (self.0 >> (8 * slot)) as u8 == hash.tag()
    }

    #[inline(always)]
    fn highest_free(self) -> Option<usize> {
        let free = !self.0 & SLOT_TOP_BITS;
        (free != 0).then(|| free.ilog2() as usize / 8)
    }

    /// Whether an entry may lie behind that does not lie here.
    #[inline(always)]
    pub(super) fn has_overflowed(self) -> bool {
        self.0 >> OVERFLOW_SHIFT != 0
    }

    pub(super) fn with(self, slot: usize, hash: Hashed) -> Self {
        Self(self.0 | u64::from(hash.tag()) << (8 * slot))
    }

    pub(super) fn without(self, slot: usize) -> Self {
        Self(self.0 & !(0xFF << (8 * slot)))
    }

    /// One more entry is placed behind.
    pub(super) fn with_overflow(self) -> Self {
        let lost_count = self.0 >> OVERFLOW_SHIFT == SATURATED;
        Self(if lost_count { self.0 } else { self.0 + (1 << OVERFLOW_SHIFT) })
    }

    /// One of those behind has gone.
    pub(super) fn without_overflow(self) -> Self {
        // None are behind where the hasher answers differently each time.
        let keeps = [0, SATURATED].contains(&(self.0 >> OVERFLOW_SHIFT));
        Self(if keeps { self.0 } else { self.0 - (1 << OVERFLOW_SHIFT) })
    }
}

/// Entries, and what is known of them: of whole cache lines. The highest slots are filled first, for they lie
/// beside the head.
#[repr(C, align(64))]
pub(super) struct Bin<E> {
    slots: [MaybeUninit<E>; 7],
    head: Head,
}

#[allow(clippy::expl_impl_clone_on_copy)] // Derived it asks that `E` be `Clone`, and `Copy` is to be enough.
impl<E: Copy> Clone for Bin<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E: Copy> Copy for Bin<E> {}

impl<E> Bin<E> {
    pub(super) const SLOTS: usize = 7;
    pub(super) const EMPTY: Self =
        Self { slots: [const { MaybeUninit::uninit() }; 7], head: Head(0) };

    /// Entries that `bins` take before there are to be more of them: three quarters of their slots. Above that,
    /// too many bins are passed by entries that lie behind, and misses have to look there.
    pub(super) const fn capacity(bins: usize) -> usize {
        bins * Self::SLOTS / 4 * 3 + bins * Self::SLOTS % 4 * 3 / 4
    }

    /// Buckets for `entries`, at least one; None where so many cannot be addressed, or numbered.
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

impl<E: Copy> Bin<E> {
    /// Makes an empty bin in place. It writes the head only: slots may hold anything, and seven large entries would
    /// not fit on a small stack.
    #[cfg(feature = "left-right")]
    pub(super) fn make_empty(at: &mut MaybeUninit<Self>) {
        // SAFETY: the pointer is valid for writes of a whole bin.
        unsafe { (&raw mut (*at.as_mut_ptr()).head).write(Head(0)) };
    }

    /// Forgets all entries.
    pub(super) fn clear(&mut self) {
        self.head = Head(0);
    }

    #[inline(always)]
    pub(super) fn head(&self) -> Head {
        self.head
    }

    /// The entry in `slot`, which holds one.
    ///
    /// # Safety
    /// The head says so.
    #[inline(always)]
    pub(super) unsafe fn entry(&self, slot: usize) -> &E {
        // SAFETY: the head says that there is one.
        unsafe { self.slots.get_unchecked(slot).assume_init_ref() }
    }

    /// Puts an entry into the highest empty slot; None where all are taken.
    #[inline(always)]
    pub(super) fn put(&mut self, hash: Hashed, entry: E) -> Option<usize> {
        let slot = self.head.highest_free()?;
        self.slots[slot].write(entry);
        self.head = self.head.with(slot, hash);
        Some(slot)
    }

    /// Replaces the entry in `slot`, which holds one.
    pub(super) fn replace(&mut self, slot: usize, entry: E) -> E {
        assert!(self.head.holds(slot), "an empty slot");
        // SAFETY: the head says that there is one.
        unsafe { core::mem::replace(self.slots[slot].assume_init_mut(), entry) }
    }

    /// Takes the entry out of `slot`, which holds one.
    pub(super) fn take(&mut self, slot: usize) -> E {
        assert!(self.head.holds(slot), "an empty slot");
        self.head = self.head.without(slot);
        // SAFETY: the head said that there is one.
        unsafe { self.slots[slot].assume_init() }
    }

    pub(super) fn add_overflow(&mut self) {
        self.head = self.head.with_overflow();
    }

    pub(super) fn remove_overflow(&mut self) {
        self.head = self.head.without_overflow();
    }

    /// Asks for all of a bin of two lines.
    #[inline(always)]
    pub(super) fn prefetch(this: *const Self) {
        if size_of::<Self>() == 128 {
            prefetch::read(this);
        }
        // The head's line.
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
                let empty = Head(passed << OVERFLOW_SHIFT);
                let head = empty.with(slot, Hashed(base)).with((slot + 2) % 7, Hashed(base ^ 2));
                assert_eq!(head.matches(Hashed(base)).first(), Some(slot));
                assert_eq!(head.matches_by_words(Hashed(base)).next(), Some(slot));
                let other = Hashed(base ^ 4);
                assert!(head.matches(other).first().is_none());
                assert!(head.matches_by_words(other).next().is_none());
                // An empty slot never looks like one in use.
                assert!(head.matches_by_words(Hashed(base)).all(|slot| head.holds(slot)));
            }
        }
    }

    #[test]
    #[cfg(feature = "left-right")]
    fn what_belongs_behind_a_bucket_begins_where_it_says() {
        for bins in [1, 2, 3, 7, 64, 1000, 12_345] {
            for bin in [0, bins / 3, bins / 2, bins - 1] {
                let Some(first) = Hashed::first_past(bin, bins) else {
                    assert_eq!(bin, bins - 1);
                    continue;
                };
                assert_eq!(Hashed(first).home(bins), bin + 1);
                assert_eq!(Hashed(first - 1).home(bins), bin);
            }
        }
    }

    #[test]
    fn counts_stay_lost_and_none_goes_below_none() {
        let mut head = Head(0).with(3, Hashed(9));
        assert_eq!(head.without_overflow(), head);
        for _ in 0..200 {
            head = head.with_overflow();
        }
        assert_eq!((head.without_overflow(), head.has_overflowed()), (head, true));
        assert_eq!(head.used().next(), Some(3));
    }

    #[test]
    fn buckets_waste_little_and_have_room() {
        fn check<E>(bytes: usize) {
            assert_eq!(size_of::<Bin<E>>(), bytes);
            for entries in 0..3_000 {
                let bins = Bin::<E>::number_for(entries).unwrap();
                assert!(Bin::<E>::capacity(bins) >= entries);
                assert!(Bin::<E>::capacity(bins) <= bins * Bin::<E>::SLOTS);
            }
        }
        check::<u64>(64);
        check::<(u64, u64)>(128);
        check::<(u64, u64, u64)>(192);
        check::<u8>(64);
        check::<[u64; 9]>(512);
        check::<()>(64);
        assert_eq!(Bin::<u64>::number_for(usize::MAX), None);
    }
}
