//! The directory: from hash bits to a segment of bins.
//!
//! A directory is an array of entries, each the address of a segment with, in its low bits, the depth that the
//! segment's bins had when the entry was written. The entry of a segment that does not exist yet repeats its parent's,
//! so a lookup needs one load and no table size. Every entry is a hint: the bin's own tag word has its depth now, and a
//! lookup that finds the bin deeper than the hint starts again.
//!
//! Growth replaces a directory by a longer copy, and a small table by a larger one. The table keeps what it replaced
//! until it is dropped, because readers may still use it.
//!
//! # Synchronization
//! - `[DI-1]` release store of the current directory's address, and of an entry ↔ `[DI-2]` acquire load of either: a
//!   thread that finds a segment finds its bins zeroed (uninitialized) or later.
//! - Only the holder of the growth lock stores either, so a load and a store under it are enough.

use super::segment::NewSegment;
use crate::api::hash::KeyHash;
use crate::bins::bin::Bin;
use crate::bins::layout::Layout;
use crate::bins::tags::Depth;
use crate::facade::Word;
use crate::facade::atomic::{AtomicPtr, Ordering};
use crate::memory::{self, AllocError};
use alloc::vec::Vec;
use core::marker::PhantomData;

/// A segment's address, with a depth in its low six bits. They are free because segments are aligned to cache lines.
type Tagged = *mut Word;
const DEPTH_MASK: usize = 63;

/// An entry of a directory, as it was loaded.
#[derive(Clone, Copy)]
pub(crate) struct DirectoryHint {
    tagged: Tagged,
}

impl DirectoryHint {
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

/// The head of a directory. Its entries follow right behind it.
#[repr(C, align(64))]
pub(crate) struct DirectoryHead<K, V> {
    /// The number of entries, less one.
    mask: usize,
    /// The number of bins in a segment, less one. Only a small table has fewer than `Layout::SEGMENT_BITS` gives.
    bin_mask: usize,
    /// The number of bits of root bins' numbers. Root bins are those that did not come from a split within this table.
    root_bits: u32,
    /// The small table before this one, from which the root bins get their keys.
    small: *mut DirectoryHead<K, V>,
    /// The directory that this one replaced, kept for readers that still use it.
    older: *mut DirectoryHead<K, V>,
    entries: PhantomData<(K, V)>,
}

/// A directory, head and entries. A pointer to the whole allocation, because a `&Head` may not be used to reach the
/// entries.
pub(crate) struct Directory<'a, K, V> {
    head: *mut DirectoryHead<K, V>,
    table: PhantomData<&'a DirectoryHead<K, V>>,
}

impl<K, V> Clone for Directory<'_, K, V> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<K, V> Copy for Directory<'_, K, V> {}

/// The directory of a table without bins: one entry, for a bin that has no keys and never gets any. With it, a lookup
/// need not check whether the table has a directory.
#[cfg(not(hedgerow_loom))]
mod empty {
    use super::{Depth, DirectoryHead};
    use crate::bins::tags::Tags;
    use crate::facade::Word;
    use crate::facade::atomic::{AtomicPtr, AtomicUsize};
    use core::marker::PhantomData;
    use core::ptr;

    /// Tags that match no hash, an unlocked state, and no overflow line.
    #[repr(align(64))]
    struct Bin(#[allow(dead_code)] [AtomicUsize; 3]);

    static BIN: Bin = Bin([
        AtomicUsize::new(Tags::empty(Depth::MOVED).0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    ]);

    #[repr(C)]
    pub(super) struct Empty {
        head: DirectoryHead<(), ()>,
        entry: AtomicPtr<Word>,
    }

    // SAFETY: the raw pointers in the head are null, and no thread writes to any of it.
    unsafe impl Sync for Empty {}

    pub(super) static EMPTY: Empty = Empty {
        head: DirectoryHead {
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
    /// Returns the directory of a table without bins. It must not be written to.
    #[cfg(not(hedgerow_loom))]
    pub(crate) const fn none() -> *mut DirectoryHead<K, V> {
        (&raw const empty::EMPTY).cast_mut().cast()
    }

    /// Returns null: the model checker's atomics cannot be in statics.
    #[cfg(hedgerow_loom)]
    pub(crate) fn none() -> *mut DirectoryHead<K, V> {
        core::ptr::null_mut()
    }

    /// Returns the directory at `head`, None if that is null.
    ///
    /// # Safety
    /// `head` is null, or points to a directory that stays live for `'a`, with provenance for its entries too.
    #[inline(always)]
    pub(crate) unsafe fn from_ptr(head: *mut DirectoryHead<K, V>) -> Option<Self> {
        (!head.is_null()).then_some(Self { head, table: PhantomData })
    }

    #[inline(always)]
    pub(crate) fn as_ptr(self) -> *mut DirectoryHead<K, V> {
        self.head
    }

    #[inline(always)]
    fn head(self) -> &'a DirectoryHead<K, V> {
        // SAFETY: the caller of `from_ptr` promised that the head lives for `'a`, and heads do not change.
        unsafe { &*self.head }
    }

    #[inline(always)]
    fn slot(self, index: usize) -> &'a AtomicPtr<Word> {
        debug_assert!(index <= self.head().mask);
        // SAFETY: `memory::with_tail` put `mask + 1` entries right behind the head, and callers mask the index.
        unsafe { &*self.head.add(1).cast::<AtomicPtr<Word>>().add(index) }
    }

    #[inline(always)]
    fn entry(self, index: usize) -> DirectoryHint {
        // [DI-2] acquire: pairs with the release in `add_segment` [DI-1], so the bins of the segment that the entry
        // names are zeroed or initialized.
        DirectoryHint { tagged: self.slot(index & self.head().mask).load(Ordering::Acquire) }
    }

    /// Whether this is the directory of a small table, which has one segment.
    pub(crate) fn is_small(self) -> bool {
        self.head().bin_mask + 1 < 1 << Layout::<K, V>::SEGMENT_BITS
    }

    /// Returns the number of bins that the hash bits of this directory tell apart.
    pub(crate) fn reach(self) -> usize {
        (self.head().mask + 1) * (self.head().bin_mask + 1)
    }

    /// Returns the number of root bins.
    pub(crate) fn root_bins(self) -> usize {
        1 << self.head().root_bits
    }

    /// Returns the directory of the small table before this one.
    pub(crate) fn small(self) -> Option<Self> {
        // SAFETY: directories are freed with the table, which outlives `'a`.
        unsafe { Self::from_ptr(self.head().small) }
    }

    /// Returns the hint for the segment of bin `bin`.
    #[inline(always)]
    pub(crate) fn hint(self, bin: usize) -> DirectoryHint {
        self.entry(bin >> Layout::<K, V>::SEGMENT_BITS)
    }

    /// Whether the segment of bin `bin` exists. If not, its entry repeats an ancestor's.
    pub(crate) fn has_segment(self, bin: usize) -> bool {
        let mask = (1usize << self.hint(bin).depth().bits()) - 1;
        let first = bin & !self.head().bin_mask;
        first < self.reach() && first & mask == first
    }

    /// Returns the segments that exist, with the numbers of their first bins.
    pub(crate) fn segments(self) -> impl Iterator<Item = (usize, DirectoryHint)> + use<'a, K, V> {
        (0..=self.head().mask)
            .map(move |index| index * (self.head().bin_mask + 1))
            .filter(move |&bin| self.has_segment(bin))
            .map(move |bin| (bin, self.hint(bin)))
    }

    /// Returns the directory that this one replaced, or null.
    pub(crate) fn older(self) -> *mut DirectoryHead<K, V> {
        self.head().older
    }

    /// Returns the bytes of the directory.
    pub(crate) fn bytes(self) -> usize {
        size_of::<DirectoryHead<K, V>>() + (self.head().mask + 1) * size_of::<AtomicPtr<Word>>()
    }

    /// Returns the number of bins in each segment.
    pub(crate) fn segment_bins(self) -> usize {
        self.head().bin_mask + 1
    }

    /// Frees a directory, and those of its segments for whose words `owns` returns true.
    ///
    /// # Safety
    /// No thread uses the directory any more; it has been filled, and is the only owner of those segments.
    pub(crate) unsafe fn free_with_segments(
        this: *mut DirectoryHead<K, V>,
        owns: impl Fn(*mut Word) -> bool,
    ) {
        let directory = Directory { head: this, table: PhantomData };
        let bins = directory.segment_bins();
        for (_, hint) in directory.segments() {
            if owns(NewSegment::<K, V>::block_of(hint.segment(), bins)) {
                // SAFETY: the loop meets each segment once, and `bins` is its number of bins.
                unsafe { NewSegment::<K, V>::free(hint.segment(), bins) };
            }
        }
        // SAFETY: the caller promises that no thread uses the directory.
        unsafe { Self::free(this) };
    }

    /// Frees a directory, filled or not, without its segments.
    ///
    /// # Safety
    /// No thread uses the directory any more.
    pub(crate) unsafe fn free(this: *mut DirectoryHead<K, V>) {
        let count = Directory { head: this, table: PhantomData }.head().mask + 1;
        // SAFETY: `make` or `doubled` allocated it by `with_tail` with this count.
        unsafe { memory::free_with_tail::<_, AtomicPtr<Word>>(this, count) };
    }
}

impl<'a, K: Copy, V: Copy> Directory<'a, K, V> {
    /// Returns bin `bin` of the segment that `hint`, a hint of this directory, names.
    #[inline(always)]
    pub(crate) fn bin_of(self, hint: DirectoryHint, bin: usize) -> Bin<'a, K, V> {
        // SAFETY: the segments of this directory have `bin_mask + 1` bins and live as long as the table.
        unsafe { Bin::new(hint.segment(), bin & self.head().bin_mask) }
    }

    /// Returns the bin of `hash` and its depth, as far as this directory has them.
    #[inline(always)]
    pub(crate) fn locate(self, hash: KeyHash) -> (Bin<'a, K, V>, Depth) {
        let hint = self.hint(hash.bin_bits());
        (self.bin_of(hint, hash.bin_bits()), hint.depth())
    }

    /// Returns bin `bin`. Its segment exists, else this is a bin of an ancestor's.
    pub(crate) fn bin(self, bin: usize) -> Bin<'a, K, V> {
        self.bin_of(self.hint(bin), bin)
    }

    /// Makes a directory of new segments, all bins at `root_bits`. Takes the segments out of `segments`, unless it
    /// fails.
    pub(crate) fn make(
        root_bits: u32,
        segments: &mut Vec<NewSegment<K, V>>,
        older: *mut DirectoryHead<K, V>,
    ) -> Result<*mut DirectoryHead<K, V>, AllocError> {
        let segment_bits = root_bits.min(Layout::<K, V>::SEGMENT_BITS);
        let header = DirectoryHead {
            mask: segments.len() - 1,
            bin_mask: (1 << segment_bits) - 1,
            root_bits,
            small: older,
            older,
            entries: PhantomData,
        };
        let count = segments.len();
        let depth = Depth::of_bits(root_bits);
        let mut addresses = segments.iter().map(NewSegment::address);
        let made = memory::with_tail::<_, AtomicPtr<Word>>(header, count, || {
            AtomicPtr::new(
                DirectoryHint::new(addresses.next().unwrap_or(core::ptr::null_mut()), depth).tagged,
            )
        })?;
        // The directory owns the segments from here on.
        for segment in segments.drain(..) {
            segment.take();
        }
        Ok(made)
    }

    /// Allocates a directory of twice the entries, without contents: `fill_from` copies them under the growth lock,
    /// since entries may change until then.
    pub(crate) fn doubled(self) -> Result<*mut DirectoryHead<K, V>, AllocError> {
        let count = (self.head().mask + 1).checked_mul(2).ok_or(AllocError)?;
        let header = DirectoryHead {
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

    /// Fills a directory of [`doubled`](Self::doubled) from the one that it doubles, so that its new half repeats the
    /// old one. The caller holds the growth lock, and publishes the directory afterwards.
    pub(crate) fn fill_from(self, half: Self) {
        for index in 0..=self.head().mask {
            // relaxed: published by the release store of the directory's address in `replace_directory` [DI-1].
            self.slot(index).store(half.entry(index).tagged, Ordering::Relaxed);
        }
    }

    /// Adds the segment whose first bin is `first`, and deepens the hints of its parent. The caller holds the growth
    /// lock.
    pub(crate) fn add_segment(self, first: usize, segment: *mut Word) {
        let top = first.ilog2();
        let depth = Depth::of_bits(top + 1);
        let parent = first & !(1 << top);
        for (bin, hint) in [
            (first, DirectoryHint::new(segment, depth)),
            (parent, DirectoryHint::new(self.hint(parent).segment(), depth)),
        ] {
            let mut index = bin >> Layout::<K, V>::SEGMENT_BITS;
            while index <= self.head().mask {
                // An entry that is deeper already names a descendant's segment, and must keep it.
                if self.entry(index).depth().0 < depth.0 {
                    // [DI-1] release: pairs with the acquire in `entry` [DI-2], so a thread that finds the segment here
                    // finds it zeroed.
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
        let new = || NewSegment::<u64, u64>::new(bins).unwrap();
        let root = Directory::make(bits, &mut alloc::vec![new()], core::ptr::null_mut()).unwrap();
        // SAFETY: live until freed below, as are the others.
        let four = unsafe {
            let root = Directory::from_ptr(root).unwrap();
            let two = Directory::from_ptr(root.doubled().unwrap()).unwrap();
            two.fill_from(root);
            let four = Directory::from_ptr(two.doubled().unwrap()).unwrap();
            four.fill_from(two);
            four
        };
        assert_eq!(four.segments().count(), 1);
        four.add_segment(bins, new().take());
        four.add_segment(3 * bins, new().take());
        assert_eq!(
            four.segments().map(|(bin, _)| bin / bins).collect::<alloc::vec::Vec<_>>(),
            [0, 1, 3]
        );
        assert_eq!(four.hint(2 * bins).segment(), four.hint(0).segment());
        assert_eq!(four.hint(2 * bins).depth(), Depth::of_bits(bits + 1));
        assert_eq!(four.hint(bins).depth(), Depth::of_bits(bits + 2));
        // SAFETY: no other thread uses them.
        unsafe {
            let two = four.older();
            Directory::free_with_segments(four.as_ptr(), |_| true);
            Directory::free(two);
            Directory::free(root);
        }
    }
}
