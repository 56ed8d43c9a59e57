//! Where leaves come from: chunks that are never freed while the map is shared, and a list of dead ones.
//!
//! # Synchronization
//! - `[AR-1]` the release swap that gives a leaf back ↔ the acquire swap that takes all that were given back, or
//!   the arena's lock, which hands them on: who is given a leaf sees the last words that its former user wrote,
//!   its version above all.
//!
//! A reader may still look at a dead leaf, or at one that has been given another range: its version tells
//! ([`leaf`](super::leaf)).

use super::leaf::{Leaf, LeafLayout};
use crate::facade::Word;
use crate::facade::atomic::{AtomicPtr, Ordering};
use crate::facade::lock::{Guard, Lock};
use crate::sync::backoff::Backoff;
use crate::table::Failure;
use crate::table::memory;
use core::marker::PhantomData;
use core::ptr;

/// Leaves in a chunk: as many as there are, up to this many.
const SLAB: usize = if cfg!(hedgerow_loom) { 1 } else { 32 };

struct Slab {
    older: *mut Slab,
    words: *mut Word,
    leaves: usize,
}

struct Pool {
    /// The latest chunk, from which the older ones hang.
    slabs: *mut Slab,
    /// Leaves of the latest chunk that nobody has had yet.
    fresh: usize,
    leaves: usize,
    /// Dead leaves, linked by the word that leads to the right.
    free: *mut Word,
}

/// Takes entries and gives them.
type InAndOut<T> = fn(T) -> T;

pub(crate) struct Arena<K, V> {
    pool: Lock<Pool>,
    /// Dead leaves that were given back lately. Giving takes no lock, so that nobody ever has to keep one.
    returned: AtomicPtr<Word>,
    /// Entries come in and go out, so a map of longer lifetimes is none of shorter ones:
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

// SAFETY: the pointers are to chunks that the arena owns and to leaves in them, under its lock.
unsafe impl<K: Send, V: Send> Send for Arena<K, V> {}
// SAFETY: as above.
unsafe impl<K: Send, V: Send> Sync for Arena<K, V> {}

impl<K: Copy, V: Copy> Arena<K, V> {
    crate::facade::const_unless_loom! {
        pub(crate) fn new() -> Self {
            let pool = Pool { slabs: ptr::null_mut(), fresh: 0, leaves: 0, free: ptr::null_mut() };
            Self {
                pool: Lock::new(pool),
                returned: AtomicPtr::new(ptr::null_mut()),
                entries: PhantomData,
            }
        }
    }

    fn pool(&self, backoff: &Backoff) -> Result<Guard<'_, Pool>, Failure> {
        if backoff.may_wait() {
            Ok(self.pool.lock())
        } else {
            self.pool.try_lock().ok_or(Failure::Busy)
        }
    }

    /// A dead leaf that is the caller's alone, but for readers astray.
    pub(crate) fn allocate(&self, backoff: &Backoff) -> Result<Leaf<'_, K, V>, Failure> {
        let leaves = {
            // [AR-1]
            let mut pool = self.pool(backoff)?;
            if let Some(leaf) = self.take_from(&mut pool) {
                return Ok(leaf);
            }
            pool.leaves.clamp(1, SLAB)
        };
        // Nothing is locked while the allocator is asked.
        let mut words = memory::words(leaves * LeafLayout::<K, V>::WORDS)?;
        let slab = Slab { older: ptr::null_mut(), words: words.as_ptr(), leaves };
        let slab = memory::with_tail::<Slab, usize>(slab, 0, || 0)?;
        words.take();
        let mut pool = match self.pool(backoff) {
            Ok(pool) => pool,
            Err(busy) => {
                // SAFETY: just made, and shown to nobody.
                unsafe { Self::free(slab) };
                return Err(busy);
            }
        };
        // What is left of a chunk that somebody else has brought meanwhile goes to the dead.
        while let Some(leaf) = Self::fresh(&mut pool) {
            Self::push_free(&mut pool, leaf);
        }
        // SAFETY: just made, and shown to nobody.
        unsafe { (*slab).older = pool.slabs };
        (pool.slabs, pool.fresh) = (slab, leaves);
        pool.leaves += leaves;
        Ok(Self::fresh(&mut pool).expect("a chunk of one leaf or more"))
    }

    fn take_from(&self, pool: &mut Pool) -> Option<Leaf<'_, K, V>> {
        if pool.free.is_null() {
            // [AR-1] acquire: pairs with the swap in `give`.
            pool.free = self.returned.swap(ptr::null_mut(), Ordering::Acquire);
        }
        if pool.free.is_null() {
            return Self::fresh(pool);
        }
        // SAFETY: a leaf of one of the chunks.
        let leaf = unsafe { Leaf::<K, V>::new(pool.free) };
        pool.free = leaf.next_free();
        Some(leaf)
    }

    fn fresh<'a>(pool: &mut Pool) -> Option<Leaf<'a, K, V>> {
        pool.fresh = pool.fresh.checked_sub(1)?;
        // SAFETY: `fresh` was more than 0, so there is a chunk, with more leaves than it is now.
        Some(unsafe { Leaf::new((*pool.slabs).words.add(pool.fresh * LeafLayout::<K, V>::WORDS)) })
    }

    fn push_free(pool: &mut Pool, leaf: Leaf<'_, K, V>) {
        leaf.put_next_free(pool.free);
        pool.free = leaf.as_ptr();
    }

    /// Gives back a leaf that is dead, and unlocked, or was never used.
    pub(crate) fn release(&self, leaf: Leaf<'_, K, V>) {
        // relaxed: only the one that is swapped counts.
        let mut first = self.returned.load(Ordering::Relaxed);
        loop {
            leaf.put_next_free(first);
            // [AR-1] release: pairs with the swap in `take_from`; that one takes all, so what hangs from the leaf
            // comes along. relaxed on failure: nothing was given.
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

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        let (mut bytes, mut slab) = (0, self.pool.lock().slabs);
        while !slab.is_null() {
            // SAFETY: chunks live as long as the arena.
            let this = unsafe { &*slab };
            bytes +=
                size_of::<Slab>() + this.leaves * LeafLayout::<K, V>::WORDS * size_of::<Word>();
            slab = this.older;
        }
        bytes
    }

    /// # Safety
    /// A chunk from `take` that nobody uses any more.
    unsafe fn free(slab: *mut Slab) {
        // SAFETY: the caller's promise; words and header were made by these two functions.
        unsafe {
            memory::free_words((*slab).words, (*slab).leaves * LeafLayout::<K, V>::WORDS);
            memory::free_with_tail::<Slab, usize>(slab, 0);
        }
    }
}

impl<K, V> Drop for Arena<K, V> {
    fn drop(&mut self) {
        let mut slab = self.pool.lock().slabs;
        while !slab.is_null() {
            // SAFETY: `&mut self`: nobody shares the arena, nor any leaf, any more.
            unsafe {
                let this = slab;
                slab = (*this).older;
                memory::free_words((*this).words, (*this).leaves * LeafLayout::<K, V>::WORDS);
                memory::free_with_tail::<Slab, usize>(this, 0);
            }
        }
    }
}
