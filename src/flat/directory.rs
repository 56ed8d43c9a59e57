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

use super::bin::Bin;
use super::layout::Layout;
use super::memory::{self, AllocError};
use super::tags::{Depth, Hash};
use crate::facade::Word;
use crate::facade::atomic::{AtomicPtr, Ordering};
use core::marker::PhantomData;

/// A segment's address with a depth in its low six bits. Segments are aligned to 128 bytes.
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
pub(crate) struct Directory<K, V> {
    /// Number of entries less one.
    mask: usize,
    /// Bins in a segment less one: less than `Layout::SEGMENT_BITS` gives only in a small table of one segment.
    bin_mask: usize,
    /// Bits that number the bins that did not come from a split within this table.
    root_bits: u32,
    /// The small table that came before this one, from which the root bins get their keys.
    small: *const Directory<K, V>,
    /// The directory that this one replaced, kept for readers that still stand in it.
    older: *mut Directory<K, V>,
    entries: PhantomData<(K, V)>,
}

/// What a table without bins has for a directory: one entry, of a bin that has no keys and never
/// gets any. So a look-up need not ask whether there is a directory.
#[cfg(not(hedgerow_loom))]
mod empty {
    use super::{Depth, Directory};
    use crate::facade::Word;
    use crate::facade::atomic::{AtomicPtr, AtomicUsize};
    use crate::flat::tags::Tags;
    use core::marker::PhantomData;
    use core::ptr;

    /// Tags that match nothing, an unlocked state, and an overflow number where there is one.
    #[repr(align(128))]
    struct Bin(#[allow(dead_code)] [AtomicUsize; 3]);

    static BIN: Bin = Bin([
        AtomicUsize::new(Tags::empty(Depth::MOVED).0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    ]);

    #[repr(C)]
    pub(super) struct Empty {
        directory: Directory<(), ()>,
        entry: AtomicPtr<Word>,
    }

    // SAFETY: the raw pointers in the head are null, and nobody writes to any of it.
    unsafe impl Sync for Empty {}

    pub(super) static EMPTY: Empty = Empty {
        directory: Directory {
            mask: 0,
            bin_mask: 0,
            root_bits: 0,
            small: ptr::null(),
            older: ptr::null_mut(),
            entries: PhantomData,
        },
        entry: AtomicPtr::new(
            (&raw const BIN).cast_mut().cast::<Word>().wrapping_byte_add(Depth::MOVED.0 as usize),
        ),
    };
}

impl<K, V> Directory<K, V> {
    /// The directory of a table without bins: not to be written to.
    #[cfg(not(hedgerow_loom))]
    pub(crate) const fn none() -> *mut Self {
        (&raw const empty::EMPTY).cast_mut().cast()
    }

    /// The model checker's atomics do not live in statics: under it there is no such directory.
    #[cfg(hedgerow_loom)]
    pub(crate) fn none() -> *mut Self {
        core::ptr::null_mut()
    }

    #[inline(always)]
    fn slot(&self, index: usize) -> &AtomicPtr<Word> {
        debug_assert!(index <= self.mask);
        // SAFETY: `memory::with_tail` puts `mask + 1` entries right behind the header, and callers mask.
        unsafe { &*core::ptr::from_ref(self).add(1).cast::<AtomicPtr<Word>>().add(index) }
    }

    #[inline(always)]
    fn entry(&self, index: usize) -> Hint {
        // [DI-2] acquire: pairs with [DI-1].
        Hint { tagged: self.slot(index & self.mask).load(Ordering::Acquire) }
    }

    pub(crate) fn is_small(&self) -> bool {
        self.bin_mask + 1 < 1 << Layout::<K, V>::SEGMENT_BITS
    }

    /// Bins that this directory can tell apart.
    pub(crate) fn reach(&self) -> usize {
        (self.mask + 1) * (self.bin_mask + 1)
    }

    pub(crate) fn root_bins(&self) -> usize {
        1 << self.root_bits
    }

    pub(crate) fn small(&self) -> Option<&Self> {
        // SAFETY: directories live as long as the map, and this one is borrowed from it.
        unsafe { self.small.as_ref() }
    }

    /// The hint for the segment of bin number `bin`.
    #[inline(always)]
    pub(crate) fn hint(&self, bin: usize) -> Hint {
        self.entry(bin >> Layout::<K, V>::SEGMENT_BITS)
    }

    /// Whether the segment of bin number `bin` exists, or else its entry repeats an ancestor's.
    pub(crate) fn has_segment(&self, bin: usize) -> bool {
        let mask = (1usize << self.hint(bin).depth().bits()) - 1;
        let first = bin & !self.bin_mask;
        first < self.reach() && first & mask == first
    }

    /// Numbers of the segments that exist, by their first bin.
    pub(crate) fn segments(&self) -> impl Iterator<Item = (usize, Hint)> {
        (0..=self.mask)
            .map(|index| index * (self.bin_mask + 1))
            .filter(|&bin| self.has_segment(bin))
            .map(|bin| (bin, self.hint(bin)))
    }

    pub(crate) fn older(&self) -> *mut Self {
        self.older
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + (self.mask + 1) * size_of::<AtomicPtr<Word>>()
    }

    /// Words in each segment of this directory.
    pub(crate) fn segment_words(&self) -> usize {
        (self.bin_mask + 1) * Layout::<K, V>::BIN
    }

    /// # Safety
    /// Nobody uses the directory any more, and its segments' owner is this directory.
    pub(crate) unsafe fn free(this: *mut Self, with_segments: bool) {
        // SAFETY: the caller's promise.
        let directory = unsafe { &*this };
        if with_segments {
            let words = directory.segment_words();
            for (_, hint) in directory.segments() {
                // SAFETY: each segment is met once, and was allocated with this length.
                unsafe { memory::free_words(hint.segment(), words) };
            }
        }
        let count = directory.mask + 1;
        // SAFETY: made by `with_tail` with this count.
        unsafe { memory::free_with_tail::<_, AtomicPtr<Word>>(this, count) };
    }
}

impl<K: Copy, V: Copy> Directory<K, V> {
    /// The bin of number `bin` in the segment that `hint`, of this directory, names.
    #[inline(always)]
    pub(crate) fn bin_of(&self, hint: Hint, bin: usize) -> Bin<'_, K, V> {
        let words = (bin & self.bin_mask) * Layout::<K, V>::BIN;
        // SAFETY: a segment of this directory has `bin_mask + 1` bins of `BIN` words and lives as long.
        unsafe { Bin::new(hint.segment().add(words)) }
    }

    /// Where keys of `hash` belong, as far as this directory knows.
    #[inline(always)]
    pub(crate) fn locate(&self, hash: Hash) -> (Bin<'_, K, V>, Depth) {
        let hint = self.hint(hash.bin_bits());
        (self.bin_of(hint, hash.bin_bits()), hint.depth())
    }

    pub(crate) fn bin(&self, bin: usize) -> Bin<'_, K, V> {
        self.bin_of(self.hint(bin), bin)
    }

    /// A directory of `segments.len()` new segments, all bins at `root_bits`.
    pub(crate) fn new(
        root_bits: u32,
        segments: &mut [memory::Words],
        older: *mut Self,
    ) -> Result<*mut Self, AllocError> {
        let segment_bits = root_bits.min(Layout::<K, V>::SEGMENT_BITS);
        let header = Self {
            mask: segments.len() - 1,
            bin_mask: (1 << segment_bits) - 1,
            root_bits,
            small: older,
            older,
            entries: PhantomData,
        };
        let count = segments.len();
        let depth = Depth::of_bits(root_bits);
        let mut addresses = segments.iter_mut();
        let made = memory::with_tail::<_, AtomicPtr<Word>>(header, count, || {
            let words = addresses.next().map_or(core::ptr::null_mut(), |words| words.as_ptr());
            AtomicPtr::new(Hint::new(words, depth).tagged)
        })?;
        // The directory owns them from here on.
        for words in segments {
            words.take();
        }
        Ok(made)
    }

    /// A copy with twice the entries, the new half repeating the old. The caller holds the growth lock,
    /// or throws the copy away if an entry has changed since.
    pub(crate) fn doubled(&self, older: *mut Self) -> Result<*mut Self, AllocError> {
        let count = (self.mask + 1).checked_mul(2).ok_or(AllocError)?;
        let header = Self {
            mask: count - 1,
            bin_mask: self.bin_mask,
            root_bits: self.root_bits,
            small: self.small,
            older,
            entries: PhantomData,
        };
        memory::with_tail::<_, AtomicPtr<Word>>(header, count, || {
            AtomicPtr::new(core::ptr::null_mut())
        })
    }

    /// Fills a directory from [`doubled`](Self::doubled), before it is published, under the growth lock.
    pub(crate) fn fill_from(&self, half: &Self) {
        for index in 0..=self.mask {
            // relaxed: published by the release store of the directory's address, [DI-1].
            self.slot(index).store(half.entry(index).tagged, Ordering::Relaxed);
        }
    }

    /// Enters the segment whose first bin is `first`, and deepens its parent's hints. Growth lock held.
    pub(crate) fn enter(&self, first: usize, segment: *mut Word) {
        let top = first.ilog2();
        let depth = Depth::of_bits(top + 1);
        let parent = first & !(1 << top);
        for (bin, hint) in [
            (first, Hint::new(segment, depth)),
            (parent, Hint::new(self.hint(parent).segment(), depth)),
        ] {
            let mut index = bin >> Layout::<K, V>::SEGMENT_BITS;
            while index <= self.mask {
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
        let new = || memory::words(bins * Layout::<u64, u64>::BIN).unwrap();
        let root = Directory::<u64, u64>::new(bits, &mut [new()], core::ptr::null_mut()).unwrap();
        // SAFETY: alive until freed below, as are the others.
        let four = unsafe {
            let two = (*root).doubled(root).unwrap();
            (*two).fill_from(&*root);
            let four = (*two).doubled(two).unwrap();
            (*four).fill_from(&*two);
            &*four
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
            Directory::free(core::ptr::from_ref(four).cast_mut(), true);
            Directory::free(two, false);
            Directory::free(root, false);
        }
    }
}
