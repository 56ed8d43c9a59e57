//! Slabs of one size class, and lists of them.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, Ordering};

/// Whether each block is malloc's: AddressSanitizer and Miri then see each use of a freed record.
pub(super) const MALLOC_ONLY: bool = cfg!(any(hedgerow_malloc, fuzzing, miri));
/// The size and the alignment of a slab.
pub(super) const SLAB: usize = 32 << 10;
/// The distance of two size classes, and the alignment of blocks.
pub(super) const STEP: usize = 8;
/// Longer blocks are malloc's. A slab loses more behind the last of them than malloc adds to each.
pub(super) const LONGEST: usize = 768;
pub(super) const CLASSES: usize = LONGEST / STEP;
/// Lists of slabs: of those that are used to less than a quarter, to less than a half, and so on.
const LISTS: u8 = 4;
/// In place of a list's number.
const NO_LIST: u8 = u8::MAX;
/// The bytes of free blocks that a thread takes or gives back at a time, with at least four blocks and at most sixteen.
const BATCH_BYTES: usize = 1024;

/// The size class of blocks of `(number + 1) * STEP` bytes.
#[derive(Clone, Copy)]
pub(super) struct SizeClass(pub(super) usize);

impl SizeClass {
    /// Returns the smallest class for this many bytes, or `None` if these are malloc's.
    #[inline(always)]
    pub(super) const fn of(size: usize) -> Option<Self> {
        if MALLOC_ONLY || size == 0 || size > LONGEST {
            return None;
        }
        Some(Self((size - 1) / STEP))
    }

    pub(super) const fn block_size(self) -> usize {
        (self.0 + 1) * STEP
    }

    /// Returns the number of blocks in a slab.
    pub(super) const fn capacity(self) -> usize {
        (SLAB - size_of::<SlabHead>()) / self.block_size()
    }

    /// Returns the bytes that a block takes: its share of a slab.
    pub(super) const fn share(self) -> usize {
        SLAB.div_ceil(self.capacity())
    }

    /// Returns how many free blocks a thread takes or gives back at a time. It keeps at most twice as many.
    #[inline(always)]
    pub(super) const fn batch(self) -> usize {
        match BATCH_BYTES / self.block_size() {
            0..4 => 4,
            4..16 => BATCH_BYTES / self.block_size(),
            _ => 16,
        }
    }
}

/// A free block.
pub(super) struct FreeBlock {
    next: Option<NonNull<FreeBlock>>,
}

/// Free blocks of one class, to which nothing else refers.
#[derive(Clone, Copy, Default)]
pub(super) struct FreeChain {
    first: Option<NonNull<FreeBlock>>,
    length: usize,
}

impl FreeChain {
    pub(super) const EMPTY: Self = Self { first: None, length: 0 };

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// # Safety
    /// The block is that of some slab, and nothing else refers to it from now on.
    #[inline(always)]
    pub(super) unsafe fn push(&mut self, block: NonNull<FreeBlock>) {
        // SAFETY: the caller has the block to itself, and every block is long enough and aligned for this.
        unsafe { block.write(FreeBlock { next: self.first }) };
        self.first = Some(block);
        self.length += 1;
    }

    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<NonNull<FreeBlock>> {
        let block = self.first?;
        // SAFETY: `push` has written it, and the blocks of a chain belong to the chain.
        self.first = unsafe { block.read() }.next;
        self.length -= 1;
        Some(block)
    }
}

/// The head of a slab. The lock of its class protects it, but for `list`, which any thread may read.
#[repr(C, align(8))] // Blocks begin behind it, and are aligned for a `u64`.
pub(super) struct SlabHead {
    previous: Option<NonNull<SlabHead>>,
    next: Option<NonNull<SlabHead>>,
    /// Blocks that were given back.
    free: FreeChain,
    /// The number of blocks handed out since the slab serves its class, and of those that were not given back.
    begun: usize,
    used: usize,
    /// The list in which it is.
    list: AtomicU8,
}

const _: () = assert!(size_of::<SlabHead>().is_multiple_of(STEP));

impl SlabHead {
    /// Returns the head of a slab without blocks in use.
    pub(super) fn empty() -> Self {
        let list = AtomicU8::new(NO_LIST);
        Self { previous: None, next: None, free: FreeChain::EMPTY, begun: 0, used: 0, list }
    }

    /// Returns the slab of a block.
    pub(super) fn of(block: NonNull<FreeBlock>) -> NonNull<Self> {
        let into = block.as_ptr().addr() % SLAB;
        // Derived from the block's pointer, which was derived from that of all slabs of its chunk.
        let slab = block.as_ptr().cast::<u8>().wrapping_sub(into).cast();
        NonNull::new(slab).expect("no slab is at address zero")
    }

    /// Whether less than three quarters of a slab are in use. It is a hint if the lock of the class is not held.
    ///
    /// # Safety
    /// A block of the slab is in use, and stays so.
    pub(super) unsafe fn is_sparse(slab: NonNull<Self>) -> bool {
        // SAFETY: the slab is live, by the block in use. No reference to the whole head exists anywhere.
        let list = unsafe { &(*slab.as_ptr()).list };
        // Relaxed: a hint, which orders nothing.
        list.load(Ordering::Relaxed) < LISTS - 1
    }

    /// Returns a free block of a slab.
    ///
    /// # Safety
    /// `slab` is a slab of this class, and the caller holds the lock of the class.
    pub(super) unsafe fn take(slab: NonNull<Self>, class: SizeClass) -> Option<NonNull<FreeBlock>> {
        // SAFETY: the lock makes these the only accesses to these fields.
        let (free, begun, used) = unsafe {
            let slab = slab.as_ptr();
            (&mut (*slab).free, &mut (*slab).begun, &mut (*slab).used)
        };
        let mut begin = || {
            let number = (*begun < class.capacity()).then_some(*begun)?;
            *begun += 1;
            let at = size_of::<Self>() + number * class.block_size();
            // SAFETY: the block is within the slab, by the capacity.
            Some(unsafe { slab.cast::<u8>().add(at) }.cast())
        };
        let block = free.pop().or_else(&mut begin)?;
        *used += 1;
        Some(block)
    }

    /// Takes a block back.
    ///
    /// # Safety
    /// As for `take`; the block is this slab's, and nothing refers to it.
    pub(super) unsafe fn give(slab: NonNull<Self>, block: NonNull<FreeBlock>) {
        // SAFETY: the lock makes these the only accesses to these fields.
        unsafe {
            (*slab.as_ptr()).free.push(block);
            (*slab.as_ptr()).used -= 1;
        }
    }
}

/// The slabs of a class that have free blocks, by their use.
#[repr(align(64))] // Locks of different classes do not share a cache line.
pub(super) struct SlabLists([Option<NonNull<SlabHead>>; LISTS as usize]);

// SAFETY: a slab may be used by any thread that has the lock of its class.
unsafe impl Send for SlabLists {}

impl SlabLists {
    pub(super) const fn new() -> Self {
        Self([None; LISTS as usize])
    }

    /// Returns one of the fullest slabs.
    pub(super) fn fullest(&self) -> Option<NonNull<SlabHead>> {
        self.0.iter().rev().find_map(|first| *first)
    }

    /// Puts a slab into the list for its use, or into none if it is full. Returns true, and puts it into none, if it is
    /// empty and the class has another one with free blocks.
    ///
    /// # Safety
    /// `slab` is a slab of this class, and the caller holds the lock of the class.
    pub(super) unsafe fn sort(&mut self, slab: NonNull<SlabHead>, class: SizeClass) -> bool {
        let at = slab.as_ptr();
        // SAFETY: the lock makes these the only accesses to these fields, but for reads of `list`.
        // Relaxed: the lock orders it.
        let (used, before) = unsafe { ((*at).used, (*at).list.load(Ordering::Relaxed)) };
        let list = match used {
            0 => 0,
            used if used == class.capacity() => NO_LIST,
            used => (used * usize::from(LISTS) / class.capacity()) as u8,
        };
        if list != before {
            // SAFETY: as above.
            unsafe {
                self.unlink(slab);
                self.link(slab, list);
            }
        }
        // SAFETY: as above.
        let is_alone = || unsafe { (*at).next.is_none() && (*at).previous.is_none() }
            && self.0.iter().flatten().count() == 1;
        if used > 0 || is_alone() {
            return false;
        }
        // SAFETY: as above.
        unsafe { self.unlink(slab) };
        true
    }

    /// # Safety
    /// As for `sort`; the slab is in no list.
    unsafe fn link(&mut self, slab: NonNull<SlabHead>, list: u8) {
        let Some(first) = self.0.get_mut(usize::from(list)) else { return };
        let next = first.replace(slab);
        let at = slab.as_ptr();
        // SAFETY: the lock protects the heads of all slabs of the class.
        unsafe {
            // Relaxed: readers take it as a hint.
            (*at).list.store(list, Ordering::Relaxed);
            ((*at).previous, (*at).next) = (None, next);
            if let Some(next) = next {
                (*next.as_ptr()).previous = Some(slab);
            }
        }
    }

    /// # Safety
    /// As for `sort`.
    unsafe fn unlink(&mut self, slab: NonNull<SlabHead>) {
        let at = slab.as_ptr();
        // SAFETY: the lock protects the heads of all slabs of the class.
        unsafe {
            // Relaxed: the lock orders it.
            let list = (*at).list.load(Ordering::Relaxed);
            if list == NO_LIST {
                return;
            }
            // Relaxed: readers take it as a hint.
            (*at).list.store(NO_LIST, Ordering::Relaxed);
            let (previous, next) = ((*at).previous, (*at).next);
            match previous {
                Some(previous) => (*previous.as_ptr()).next = next,
                None => self.0[usize::from(list)] = next,
            }
            if let Some(next) = next {
                (*next.as_ptr()).previous = previous;
            }
        }
    }
}
