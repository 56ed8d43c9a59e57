//! The slabs of all classes, and those that serve none.

use super::lists::{CLASSES, FreeChain, SLAB, SizeClass, SlabHead, SlabLists};
use crate::gauge::Gauge;
use crate::lock::lock;
use std::alloc::{Layout, alloc};
use std::ptr::NonNull;
use std::sync::Mutex;

/// The number of slabs in one allocation.
pub(super) const CHUNK_SLABS: usize = 32;

/// The slabs that serve no class.
pub(super) struct SlabPool {
    /// Those whose pages were not touched since they came from the system, or went back to it.
    pub(super) clean: Vec<NonNull<SlabHead>>,
    pub(super) dirty: Vec<NonNull<SlabHead>>,
}

// SAFETY: a slab that serves no class belongs to the pool, which any thread may use under its lock.
unsafe impl Send for SlabPool {}

impl SlabPool {
    const CHUNK: Layout = match Layout::from_size_align(CHUNK_SLABS * SLAB, SLAB) {
        Ok(layout) => layout,
        Err(_) => unreachable!(),
    };

    /// Returns a slab without blocks in use; nothing if the system has no memory.
    fn take(&mut self) -> Option<NonNull<SlabHead>> {
        let used = self.dirty.pop().or_else(|| self.clean.pop());
        let slab = used.or_else(|| {
            // Never freed: empty slabs are used again, and `purge` returns their pages.
            // SAFETY: the layout has a size.
            let chunk = NonNull::new(unsafe { alloc(Self::CHUNK) })?;
            // SAFETY: all of these are within the chunk.
            let slabs = (0..CHUNK_SLABS).rev().map(|number| unsafe { chunk.add(number * SLAB) });
            self.clean.extend(slabs.map(NonNull::cast));
            self.clean.pop()
        })?;
        // SAFETY: the slab is the caller's now, and is aligned far beyond a head.
        unsafe { slab.write(SlabHead::empty()) };
        Some(slab)
    }
}

/// Slabs for blocks of all classes.
pub(super) struct Slabs {
    pub(super) classes: [Mutex<SlabLists>; CLASSES],
    /// Locked while the lock of a class is held, and not the other way round.
    pub(super) pool: Mutex<SlabPool>,
    sizes: Sizes,
}

/// The number of slabs that serve a class, and the bytes that their blocks take which are in use or in threads' caches.
#[repr(align(64))] // All threads write it, and no other field is to share its cache line.
struct Sizes {
    serving: Gauge,
    used: Gauge,
}

pub(super) static SLABS: Slabs = Slabs::new();

impl Slabs {
    pub(super) const fn new() -> Self {
        Self {
            classes: [const { Mutex::new(SlabLists::new()) }; CLASSES],
            pool: Mutex::new(SlabPool { clean: Vec::new(), dirty: Vec::new() }),
            sizes: Sizes { serving: Gauge::new(0), used: Gauge::new(0) },
        }
    }

    /// Adds `count` free blocks to a chain; fewer only if the system has no memory.
    #[inline(never)]
    pub(super) fn take(&self, class: SizeClass, count: usize, to: &mut FreeChain) {
        let full = to.len() + count;
        self.sizes.used.add(count as u64 * class.share() as u64);
        let mut lists = lock(&self.classes[class.0]);
        while to.len() < full {
            let Some(slab) = lists.fullest().or_else(|| self.another()) else {
                let missing = full - to.len();
                self.sizes.used.sub(missing as u64 * class.share() as u64);
                return;
            };
            while to.len() < full {
                // SAFETY: the lock of the class is held, and a slab of the pool may serve any class.
                let Some(block) = (unsafe { SlabHead::take(slab, class) }) else { break };
                // SAFETY: the slab has handed it out to nobody else.
                unsafe { to.push(block) };
            }
            // SAFETY: as above. It is not empty.
            unsafe { lists.sort(slab, class) };
        }
    }

    fn another(&self) -> Option<NonNull<SlabHead>> {
        let slab = lock(&self.pool).take()?;
        self.sizes.serving.add(1);
        Some(slab)
    }

    /// Gives `count` blocks of a chain back to their slabs.
    ///
    /// # Safety
    /// The chain has that many blocks, of this class and of these slabs.
    #[inline(never)]
    pub(super) unsafe fn give(&self, class: SizeClass, count: usize, from: &mut FreeChain) {
        self.sizes.used.sub(count as u64 * class.share() as u64);
        let mut lists = lock(&self.classes[class.0]);
        for _ in 0..count {
            let Some(block) = from.pop() else { return };
            let slab = SlabHead::of(block);
            // SAFETY: the block is part of a slab of this class, whose lock is held.
            let is_idle = unsafe {
                SlabHead::give(slab, block);
                lists.sort(slab, class)
            };
            if is_idle {
                self.sizes.serving.sub(1);
                lock(&self.pool).dirty.push(slab);
            }
        }
    }

    /// Returns the bytes of the slabs that serve a class, and how many of them no block in use takes.
    pub(super) fn sizes(&self) -> (usize, usize) {
        let serving = self.sizes.serving.get() as usize * SLAB;
        (serving, serving.saturating_sub(self.sizes.used.get() as usize))
    }

    /// Gives the pages of empty slabs back to the system, but for `keep` bytes.
    pub(super) fn purge(&self, keep: usize) {
        let mut pool = lock(&self.pool);
        let kept = pool.dirty.len().min(keep / SLAB);
        let mut dirty = pool.dirty.split_off(kept);
        drop(pool);
        dirty.sort_unstable();
        // Adjacent slabs by one call.
        for run in dirty.chunk_by(|slab, next| slab.addr().get() + SLAB == next.addr().get()) {
            discard(run[0], run.len() * SLAB);
        }
        lock(&self.pool).clean.extend(dirty);
    }
}

/// Lets the system take pages of the pool, whose content is lost.
fn discard(from: NonNull<SlabHead>, length: usize) {
    #[cfg(all(target_os = "linux", not(miri)))]
    {
        use rustix::mm::{Advice, madvise};
        // The kernel rounds the length up to whole pages, which may be larger than a slab.
        if SLAB.is_multiple_of(rustix::param::page_size()) {
            // SAFETY: these slabs are the caller's, and consist of whole pages. Nobody relies on their content.
            let _ = unsafe { madvise(from.as_ptr().cast(), length, Advice::LinuxDontNeed) };
        }
    }
    let _ = (from, length);
}
