//! The memory of leaves: slabs, which are freed with the map, and a list of retired leaves to be used again.
//!
//! # Synchronization
//! - `[AR-1]` the release swap that puts a retired leaf on the list ↔ the acquire swap that takes the whole list, or
//!   the arena's lock, which passes it on: a thread that allocates a leaf sees the last words that its former user
//!   wrote, and above all its version. So versions never go back.
//!
//! A lookup may still read a retired leaf, or one that was allocated again for other keys. It notices that by the
//! leaf's version ([`leaf`](super::leaf)).

use super::leaf::{LeafLayout, LeafRef};
use crate::api::failure::Failure;
use crate::facade::atomic::{AtomicPtr, Ordering};
use crate::facade::lock::{Guard, Lock};
use crate::facade::{IN_A_MODEL, Word};
use crate::memory;
use crate::sync::backoff::Backoff;
use core::marker::PhantomData;
use core::ptr;

/// Most leaves in a slab. A new slab has as many leaves as all slabs before it together, up to this number.
const SLAB: usize = if IN_A_MODEL { 1 } else { 32 };

struct Slab {
    older: *mut Slab,
    words: *mut Word,
    leaves: usize,
}

struct LeafPool {
    /// The latest slab, linked to the older ones.
    slabs: *mut Slab,
    /// Leaves of the latest slab that were never used.
    fresh: usize,
    leaves: usize,
    /// Retired leaves, linked by the word that otherwise leads to the right neighbour.
    free: *mut Word,
}

/// Makes a type invariant: a map takes entries and returns them.
type InAndOut<T> = fn(T) -> T;

pub(crate) struct LeafArena<K, V> {
    pool: Lock<LeafPool>,
    /// Leaves that were retired lately. Pushing takes no lock, so that retiring a leaf never fails.
    returned: AtomicPtr<Word>,
    /// The map is invariant in its entries, so a map of longer lifetimes cannot be used as one of shorter lifetimes:
    ///
    /// ```compile_fail,E0597
    /// let map = hedgerow::FenceMap::<&'static str, ()>::new();
    /// let key = String::from("short-lived");
    /// fn insert<'a>(map: &hedgerow::FenceMap<&'a str, ()>, key: &'a str) {
    ///     map.insert(key, ());
    /// }
    /// insert(&map, &key);
    /// drop(key);
    /// map.first_key_value();
    /// ```
    entries: PhantomData<InAndOut<(K, V)>>,
}

// SAFETY: the pointers lead to slabs that the arena owns and to their leaves; threads use them under its lock.
unsafe impl<K: Send, V: Send> Send for LeafArena<K, V> {}
// SAFETY: as above.
unsafe impl<K: Send, V: Send> Sync for LeafArena<K, V> {}

impl<K: Copy, V: Copy> LeafArena<K, V> {
    crate::facade::const_unless_loom! {
        pub(crate) fn new() -> Self {
            let pool = LeafPool { slabs: ptr::null_mut(), fresh: 0, leaves: 0, free: ptr::null_mut() };
            Self {
                pool: Lock::new(pool),
                returned: AtomicPtr::new(ptr::null_mut()),
                entries: PhantomData,
            }
        }
    }

    fn pool(&self, backoff: &Backoff) -> Result<Guard<'_, LeafPool>, Failure> {
        if backoff.may_wait() {
            Ok(self.pool.lock())
        } else {
            self.pool.try_lock().ok_or(Failure::Busy)
        }
    }

    /// Returns a retired leaf that no other thread writes to. Lookups with outdated hints may read it.
    pub(crate) fn allocate(&self, backoff: &Backoff) -> Result<LeafRef<'_, K, V>, Failure> {
        let leaves = {
            // [AR-1] the lock: a leaf that another thread moved from `returned` to `free` comes with its last words.
            let mut pool = self.pool(backoff)?;
            if let Some(leaf) = self.take_from(&mut pool) {
                return Ok(leaf);
            }
            pool.leaves.clamp(1, SLAB)
        };
        // The allocator is called with nothing locked, since it may be slow, or run code that uses this map.
        let mut words = memory::words(leaves * LeafLayout::<K, V>::WORDS)?;
        let slab = Slab { older: ptr::null_mut(), words: words.as_ptr(), leaves };
        let slab = memory::with_tail::<Slab, usize>(slab, 0, || 0)?;
        words.take();
        let mut pool = match self.pool(backoff) {
            Ok(pool) => pool,
            Err(busy) => {
                // SAFETY: made above, and not published.
                unsafe { Self::free(slab) };
                return Err(busy);
            }
        };
        // Another thread may have added a slab meanwhile. Only the latest slab has unused leaves, so they become free.
        while let Some(leaf) = Self::fresh(&mut pool) {
            Self::push_free(&mut pool, leaf);
        }
        // SAFETY: made above, and not published.
        unsafe { (*slab).older = pool.slabs };
        (pool.slabs, pool.fresh) = (slab, leaves);
        pool.leaves += leaves;
        Ok(Self::fresh(&mut pool).expect("a slab has one leaf or more"))
    }

    fn take_from(&self, pool: &mut LeafPool) -> Option<LeafRef<'_, K, V>> {
        if pool.free.is_null() {
            // [AR-1] acquire: pairs with the swap in `release`, so the last words of all these leaves are seen.
            pool.free = self.returned.swap(ptr::null_mut(), Ordering::Acquire);
        }
        if pool.free.is_null() {
            return Self::fresh(pool);
        }
        // SAFETY: a leaf of one of the slabs, which are freed with the arena.
        let leaf = unsafe { LeafRef::<K, V>::new(pool.free) };
        pool.free = leaf.next_free();
        Some(leaf)
    }

    fn fresh<'a>(pool: &mut LeafPool) -> Option<LeafRef<'a, K, V>> {
        pool.fresh = pool.fresh.checked_sub(1)?;
        // SAFETY: `fresh` was more than 0, so there is a slab with more leaves than its value now.
        Some(unsafe {
            LeafRef::new((*pool.slabs).words.add(pool.fresh * LeafLayout::<K, V>::WORDS))
        })
    }

    fn push_free(pool: &mut LeafPool, leaf: LeafRef<'_, K, V>) {
        leaf.put_next_free(pool.free);
        pool.free = leaf.as_ptr();
    }

    /// Puts a leaf that is retired and unlocked, or was never used, on the list.
    pub(crate) fn release(&self, leaf: LeafRef<'_, K, V>) {
        // relaxed: the swap below loads it again, and fails if it has changed.
        let mut first = self.returned.load(Ordering::Relaxed);
        loop {
            leaf.put_next_free(first);
            // [AR-1] release: pairs with the swap in `take_from`. That one takes the whole list, and with it the leaves
            // that were pushed before. relaxed on failure: nothing was published.
            match self.returned.compare_exchange_weak(
                first,
                leaf.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => first = now,
            }
        }
    }

    /// Returns the allocated bytes.
    pub(crate) fn bytes(&self) -> usize {
        let (mut bytes, mut slab) = (0, self.pool.lock().slabs);
        while !slab.is_null() {
            // SAFETY: slabs are freed with the arena.
            let this = unsafe { &*slab };
            bytes +=
                size_of::<Slab>() + this.leaves * LeafLayout::<K, V>::WORDS * size_of::<Word>();
            slab = this.older;
        }
        bytes
    }

    /// # Safety
    /// `slab` comes from `allocate`, and no other thread has it.
    unsafe fn free(slab: *mut Slab) {
        // SAFETY: the caller's promise; `allocate` made words and header with these sizes.
        unsafe {
            memory::free_words((*slab).words, (*slab).leaves * LeafLayout::<K, V>::WORDS);
            memory::free_with_tail::<Slab, usize>(slab, 0);
        }
    }
}

impl<K, V> Drop for LeafArena<K, V> {
    fn drop(&mut self) {
        let mut slab = self.pool.lock().slabs;
        while !slab.is_null() {
            // SAFETY: `&mut self`: no other thread has the arena, or a leaf of it.
            unsafe {
                let this = slab;
                slab = (*this).older;
                memory::free_words((*this).words, (*this).leaves * LeafLayout::<K, V>::WORDS);
                memory::free_with_tail::<Slab, usize>(this, 0);
            }
        }
    }
}
