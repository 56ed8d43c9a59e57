//! The directory: from hash bits to a segment of bins.
//!
//! A directory is an array of entries, each the address of a segment with, in its low bits, the depth
//! that the segment's bins had when the entry was written. Entries of segments that do not exist yet
//! repeat their parent's, so that a look-up is one load and needs no table size. Every entry is a hint:
//! the bin's own tag word says how deep it is by now, and whoever finds it deeper asks again.
//!
//! Directories are replaced by longer copies, and the small tables that a map begins with by larger ones;
//! what is replaced is kept until the map is dropped, since a reader may still stand in it.
//!
//! # Synchronization
//! - `[DI-1]` release store of the current directory's address, and of an entry ↔ `[DI-2]` acquire load of
//!   either: who finds a segment finds its bins zeroed (unborn) or later.
//! - Only the holder of the growth lock stores either, so plain read-modify-write under it is enough.

use super::segment::Segment;
use crate::api::hash::KeyHash;
use crate::bins::bin::Bin;
use crate::bins::layout::Layout;
use crate::bins::tags::Depth;
use crate::facade::Word;
use crate::facade::atomic::{AtomicPtr, Ordering};
use crate::memory::{self, AllocError};
use alloc::vec::Vec;
use core::marker::PhantomData;

/// A segment's address with a depth in its low six bits: the address is aligned to a cache line.
type Tagged = *mut Word;
const DEPTH_MASK: usize = 63;

/// What an entry said.
#[derive(Clone, Copy)]
pub(crate) struct Hint {
    tagged: Tagged,
}

impl Hint {
    pub(crate) fn new(segment: *mut Word, depth: Depth) -> Self {
        Self { tagged: segment.map_addr(|address| address | depth.0 as usize) }
    }

    #[inline(always)]
    pub(crate) fn depth(self) -> Depth {
        Depth((self.tagged.addr() & DEPTH_MASK) as u8)
    }

    #[inline(always)]
    pub(crate) fn segment(self) -> *mut Word {
        self.tagged.map_addr(|address| address & !DEPTH_MASK)
    }
}

/// The head of a directory; its entries lie right behind it.
#[repr(C, align(64))]
pub(crate) struct Head<K, V> {
    /// Number of entries less one.
    mask: usize,
    /// Bins in a segment less one; less than `Layout::SEGMENT_BITS` gives only in a small table.
    bin_mask: usize,
    /// Bits that number the bins that did not come from a split within this table.
    root_bits: u32,
    /// The small table that came before this one, from which the root bins get their keys.
    small: *mut Head<K, V>,
    /// The directory that this one replaced, kept for readers that still stand in it.
    older: *mut Head<K, V>,
    entries: PhantomData<(K, V)>,
}

/// A directory, head and entries: a pointer to the whole allocation, which a `&Head` is not.
pub(crate) struct Directory<'a, K, V> {
    head: *mut Head<K, V>,
    table: PhantomData<&'a Head<K, V>>,
}

impl<K, V> Clone for Directory<'_, K, V> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<K, V> Copy for Directory<'_, K, V> {}

/// What a table without bins has for a directory: one entry, of a bin that has no keys and never
/// gets any. So a look-up need not ask whether there is a directory.
#[cfg(not(hedgerow_loom))]
mod empty {
    use super::{Depth, Head};
    use crate::bins::tags::Tags;
    use crate::facade::Word;
    use crate::facade::atomic::{AtomicPtr, AtomicUsize};
    use core::marker::PhantomData;
    use core::ptr;

    /// Tags that match nothing, an unlocked state, and an overflow number where there is one.
    #[repr(align(64))]
    struct Bin(#[allow(dead_code)] [AtomicUsize; 3]);

    static BIN: Bin = Bin([
        AtomicUsize::new(Tags::empty(Depth::MOVED).0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    ]);

    #[repr(C)]
    pub(super) struct Empty {
        head: Head<(), ()>,
        entry: AtomicPtr<Word>,
    }

    // SAFETY: the raw pointers in the head are null, and nobody writes to any of it.
    unsafe impl Sync for Empty {}

    pub(super) static EMPTY: Empty = Empty {
        head: Head {
            mask: 0,
            bin_mask: 0,
            root_bits: 0,
            small: ptr::null_mut(),
            older: ptr::null_mut(),
            entries: PhantomData,
        },
        entry: AtomicPtr::new(
            (&raw const BIN).cast_mut().cast::<Word>().wrapping_byte_add(Depth::MOVED.0 as usize),
        ),
    };
}

impl<'a, K, V> Directory<'a, K, V> {
    /// The directory of a table without bins: not to be written to.
    #[cfg(not(hedgerow_loom))]
    pub(crate) const fn none() -> *mut Head<K, V> {
        (&raw const empty::EMPTY).cast_mut().cast()
    }

    /// The model checker's atomics do not live in statics: under it there is no such directory.
    #[cfg(hedgerow_loom)]
    pub(crate) fn none() -> *mut Head<K, V> {
        core::ptr::null_mut()
    }

    /// # Safety
    /// `head` is null, or a directory that stays alive for `'a`, with provenance of its entries too.
    #[inline(always)]
    pub(crate) unsafe fn from_ptr(head: *mut Head<K, V>) -> Option<Self> {
        (!head.is_null()).then_some(Self { head, table: PhantomData })
    }

    #[inline(always)]
    pub(crate) fn as_ptr(self) -> *mut Head<K, V> {
        self.head
    }

    #[inline(always)]
    fn head(self) -> &'a Head<K, V> {
        // SAFETY: `from_ptr`'s caller said that it lives for `'a`; heads do not change.
        unsafe { &*self.head }
    }

    #[inline(always)]
    fn slot(self, index: usize) -> &'a AtomicPtr<Word> {
        debug_assert!(index <= self.head().mask);
        // SAFETY: `memory::with_tail` puts `mask + 1` entries right behind the head, and callers mask.
        unsafe { &*self.head.add(1).cast::<AtomicPtr<Word>>().add(index) }
    }

    #[inline(always)]
    fn entry(self, index: usize) -> Hint {
        // [DI-2] acquire: pairs with [DI-1].
        Hint { tagged: self.slot(index & self.head().mask).load(Ordering::Acquire) }
    }

    pub(crate) fn is_small(self) -> bool {
        self.head().bin_mask + 1 < 1 << Layout::<K, V>::SEGMENT_BITS
    }

    /// Bins that this directory can tell apart.
    pub(crate) fn reach(self) -> usize {
        (self.head().mask + 1) * (self.head().bin_mask + 1)
    }

    pub(crate) fn root_bins(self) -> usize {
        1 << self.head().root_bits
    }

    pub(crate) fn small(self) -> Option<Self> {
        // SAFETY: directories live as long as the map, and this one is borrowed from it.
        unsafe { Self::from_ptr(self.head().small) }
    }

    /// The hint for the segment of bin number `bin`.
    #[inline(always)]
    pub(crate) fn hint(self, bin: usize) -> Hint {
        self.entry(bin >> Layout::<K, V>::SEGMENT_BITS)
    }

    /// Whether the segment of bin number `bin` exists, or else its entry repeats an ancestor's.
    pub(crate) fn has_segment(self, bin: usize) -> bool {
        let mask = (1usize << self.hint(bin).depth().bits()) - 1;
        let first = bin & !self.head().bin_mask;
        first < self.reach() && first & mask == first
    }

    /// Numbers of the segments that exist, by their first bin.
    pub(crate) fn segments(self) -> impl Iterator<Item = (usize, Hint)> + use<'a, K, V> {
        (0..=self.head().mask)
            .map(move |index| index * (self.head().bin_mask + 1))
            .filter(move |&bin| self.has_segment(bin))
            .map(move |bin| (bin, self.hint(bin)))
    }

    pub(crate) fn older(self) -> *mut Head<K, V> {
        self.head().older
    }

    pub(crate) fn bytes(self) -> usize {
        size_of::<Head<K, V>>() + (self.head().mask + 1) * size_of::<AtomicPtr<Word>>()
    }

    /// Bins in each segment of this directory.
    pub(crate) fn segment_bins(self) -> usize {
        self.head().bin_mask + 1
    }

    /// Frees a directory and those of its segments that `owns`, asked about their words, says true of.
    ///
    /// # Safety
    /// Nobody uses the directory any more; it has been filled, and alone owns those segments.
    pub(crate) unsafe fn free_with_segments(
        this: *mut Head<K, V>,
        owns: impl Fn(*mut Word) -> bool,
    ) {
        let directory = Directory { head: this, table: PhantomData };
        let bins = directory.segment_bins();
        for (_, hint) in directory.segments() {
            if owns(Segment::<K, V>::block_of(hint.segment(), bins)) {
                // SAFETY: each segment is met once, and has so many bins.
                unsafe { Segment::<K, V>::free(hint.segment(), bins) };
            }
        }
        // SAFETY: the caller's promise.
        unsafe { Self::free(this) };
    }

    /// Frees a directory, filled or not, without its segments.
    ///
    /// # Safety
    /// Nobody uses the directory any more.
    pub(crate) unsafe fn free(this: *mut Head<K, V>) {
        let count = Directory { head: this, table: PhantomData }.head().mask + 1;
        // SAFETY: made by `with_tail` with this count.
        unsafe { memory::free_with_tail::<_, AtomicPtr<Word>>(this, count) };
    }
}

impl<'a, K: Copy, V: Copy> Directory<'a, K, V> {
    /// The bin of number `bin` in the segment that `hint`, of this directory, names.
    #[inline(always)]
    pub(crate) fn bin_of(self, hint: Hint, bin: usize) -> Bin<'a, K, V> {
        // SAFETY: a segment of this directory has `bin_mask + 1` bins and lives as long.
        unsafe { Bin::new(hint.segment(), bin & self.head().bin_mask) }
    }

    /// Where keys of `hash` belong, as far as this directory knows.
    #[inline(always)]
    pub(crate) fn locate(self, hash: KeyHash) -> (Bin<'a, K, V>, Depth) {
        let hint = self.hint(hash.bin_bits());
        (self.bin_of(hint, hash.bin_bits()), hint.depth())
    }

    pub(crate) fn bin(self, bin: usize) -> Bin<'a, K, V> {
        self.bin_of(self.hint(bin), bin)
    }

    /// A directory of `segments.len()` new segments, all bins at `root_bits`. It takes the segments out of `segments`,
    /// unless it fails.
    pub(crate) fn make(
        root_bits: u32,
        segments: &mut Vec<Segment<K, V>>,
        older: *mut Head<K, V>,
    ) -> Result<*mut Head<K, V>, AllocError> {
        let segment_bits = root_bits.min(Layout::<K, V>::SEGMENT_BITS);
        let header = Head {
            mask: segments.len() - 1,
            bin_mask: (1 << segment_bits) - 1,
            root_bits,
            small: older,
            older,
            entries: PhantomData,
        };
        let count = segments.len();
        let depth = Depth::of_bits(root_bits);
        let mut addresses = segments.iter().map(Segment::address);
        let made = memory::with_tail::<_, AtomicPtr<Word>>(header, count, || {
            AtomicPtr::new(
                Hint::new(addresses.next().unwrap_or(core::ptr::null_mut()), depth).tagged,
            )
        })?;
        // The directory owns them from here on.
        for segment in segments.drain(..) {
            segment.take();
        }
        Ok(made)
    }

    /// A copy with twice the entries, the new half repeating the old. The caller holds the growth lock,
    /// or throws the copy away if an entry has changed since.
    pub(crate) fn doubled(self) -> Result<*mut Head<K, V>, AllocError> {
        let count = (self.head().mask + 1).checked_mul(2).ok_or(AllocError)?;
        let header = Head {
            mask: count - 1,
            bin_mask: self.head().bin_mask,
            root_bits: self.head().root_bits,
            small: self.head().small,
            older: self.head,
            entries: PhantomData,
        };
        memory::with_tail::<_, AtomicPtr<Word>>(header, count, || {
            AtomicPtr::new(core::ptr::null_mut())
        })
    }

    /// Fills a directory from [`doubled`](Self::doubled), before it is published, under the growth lock.
    pub(crate) fn fill_from(self, half: Self) {
        for index in 0..=self.head().mask {
            // relaxed: published by the release store of the directory's address, [DI-1].
            self.slot(index).store(half.entry(index).tagged, Ordering::Relaxed);
        }
    }

    /// Enters the segment whose first bin is `first`, and deepens its parent's hints. Growth lock held.
    pub(crate) fn enter(self, first: usize, segment: *mut Word) {
        let top = first.ilog2();
        let depth = Depth::of_bits(top + 1);
        let parent = first & !(1 << top);
        for (bin, hint) in [
            (first, Hint::new(segment, depth)),
            (parent, Hint::new(self.hint(parent).segment(), depth)),
        ] {
            let mut index = bin >> Layout::<K, V>::SEGMENT_BITS;
            while index <= self.head().mask {
                if self.entry(index).depth().0 < depth.0 {
                    // [DI-1] release: pairs with [DI-2].
                    self.slot(index).store(hint.tagged, Ordering::Release);
                }
                index += 1 << (top + 1 - Layout::<K, V>::SEGMENT_BITS);
            }
        }
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;

    #[test]
    fn children_repeat_their_parents_until_they_exist() {
        let bits = Layout::<u64, u64>::SEGMENT_BITS;
        let bins = 1usize << bits;
        let new = || Segment::<u64, u64>::new(bins).unwrap();
        let root = Directory::make(bits, &mut alloc::vec![new()], core::ptr::null_mut()).unwrap();
        // SAFETY: alive until freed below, as are the others.
        let four = unsafe {
            let root = Directory::from_ptr(root).unwrap();
            let two = Directory::from_ptr(root.doubled().unwrap()).unwrap();
            two.fill_from(root);
            let four = Directory::from_ptr(two.doubled().unwrap()).unwrap();
            four.fill_from(two);
            four
        };
        assert_eq!(four.segments().count(), 1);
        four.enter(bins, new().take());
        four.enter(3 * bins, new().take());
        assert_eq!(
            four.segments().map(|(bin, _)| bin / bins).collect::<alloc::vec::Vec<_>>(),
            [0, 1, 3]
        );
        assert_eq!(four.hint(2 * bins).segment(), four.hint(0).segment());
        assert_eq!(four.hint(2 * bins).depth(), Depth::of_bits(bits + 1));
        assert_eq!(four.hint(bins).depth(), Depth::of_bits(bits + 2));
        // SAFETY: nobody uses them any more.
        unsafe {
            let two = four.older();
            Directory::free_with_segments(four.as_ptr(), |_| true);
            Directory::free(two);
            Directory::free(root);
        }
    }
}
