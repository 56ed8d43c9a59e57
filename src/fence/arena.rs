//! Where leaves come from: chunks that are never freed while the map is shared, and a list of dead ones.
//!
//! # Synchronization
//! - `[AR-1]` the release swap that gives a leaf back ↔ the acquire swap that takes all that were given back, or
//!   the arena's lock, which hands them on: who is given a leaf sees the last words that its former user wrote,
//!   its version above all.
//!
//! A reader may still look at a dead leaf, or at one that has been given another range: its version tells
//! ([`leaf`](super::leaf)).

use super::leaf::{Form, Leaf};
use crate::api::failure::Failure;
use crate::facade::Word;
use crate::facade::atomic::{AtomicPtr, Ordering};
use crate::facade::lock::{Guard, Lock};
use crate::memory;
use crate::sync::backoff::Backoff;
use core::marker::PhantomData;
use core::ptr;

/// Leaves in a chunk: as many as there are, up to this many.
const CHUNK: usize = if cfg!(hedgerow_loom) { 1 } else { 32 };

struct Chunk {
    older: *mut Chunk,
    words: *mut Word,
    leaves: usize,
}

struct Pool {
    /// The latest chunk, from which the older ones hang.
    chunks: *mut Chunk,
    /// Leaves of the latest chunk that nobody has had yet.
    fresh: usize,
    leaves: usize,
    /// Dead leaves, linked by the word that leads to the right.
    dead: *mut Word,
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
            let pool = Pool { chunks: ptr::null_mut(), fresh: 0, leaves: 0, dead: ptr::null_mut() };
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
    pub(crate) fn take(&self, backoff: &Backoff) -> Result<Leaf<'_, K, V>, Failure> {
        let wanted = {
            // [AR-1]
            let mut pool = self.pool(backoff)?;
            if let Some(leaf) = self.take_from(&mut pool) {
                return Ok(leaf);
            }
            pool.leaves.clamp(1, CHUNK)
        };
        // Nothing is locked while the allocator is asked.
        let mut words = memory::words(wanted * Form::<K, V>::WORDS)?;
        let chunk = Chunk { older: ptr::null_mut(), words: words.as_ptr(), leaves: wanted };
        let chunk = memory::with_tail::<Chunk, usize>(chunk, 0, || 0)?;
        words.take();
        let mut pool = match self.pool(backoff) {
            Ok(pool) => pool,
            Err(busy) => {
                // SAFETY: just made, and shown to nobody.
                unsafe { Self::free(chunk) };
                return Err(busy);
            }
        };
        // What is left of a chunk that somebody else has brought meanwhile goes to the dead.
        while let Some(leaf) = Self::fresh(&mut pool) {
            Self::bury(&mut pool, leaf);
        }
        // SAFETY: just made, and shown to nobody.
        unsafe { (*chunk).older = pool.chunks };
        (pool.chunks, pool.fresh) = (chunk, wanted);
        pool.leaves += wanted;
        Ok(Self::fresh(&mut pool).expect("a chunk of one leaf or more"))
    }

    fn take_from(&self, pool: &mut Pool) -> Option<Leaf<'_, K, V>> {
        if pool.dead.is_null() {
            // [AR-1] acquire: pairs with the swap in `give`.
            pool.dead = self.returned.swap(ptr::null_mut(), Ordering::Acquire);
        }
        if pool.dead.is_null() {
            return Self::fresh(pool);
        }
        // SAFETY: a leaf of one of the chunks.
        let leaf = unsafe { Leaf::<K, V>::new(pool.dead) };
        pool.dead = leaf.next_dead();
        Some(leaf)
    }

    fn fresh<'a>(pool: &mut Pool) -> Option<Leaf<'a, K, V>> {
        pool.fresh = pool.fresh.checked_sub(1)?;
        // SAFETY: `fresh` was more than 0, so there is a chunk, with more leaves than it is now.
        Some(unsafe { Leaf::new((*pool.chunks).words.add(pool.fresh * Form::<K, V>::WORDS)) })
    }

    fn bury(pool: &mut Pool, leaf: Leaf<'_, K, V>) {
        leaf.put_next_dead(pool.dead);
        pool.dead = leaf.as_ptr();
    }

    /// Gives back a leaf that is dead, and unlocked, or was never used.
    pub(crate) fn give(&self, leaf: Leaf<'_, K, V>) {
        // relaxed: only the one that is swapped counts.
        let mut first = self.returned.load(Ordering::Relaxed);
        loop {
            leaf.put_next_dead(first);
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
        let (mut bytes, mut chunk) = (0, self.pool.lock().chunks);
        while !chunk.is_null() {
            // SAFETY: chunks live as long as the arena.
            let this = unsafe { &*chunk };
            bytes += size_of::<Chunk>() + this.leaves * Form::<K, V>::WORDS * size_of::<Word>();
            chunk = this.older;
        }
        bytes
    }

    /// # Safety
    /// A chunk from `take` that nobody uses any more.
    unsafe fn free(chunk: *mut Chunk) {
        // SAFETY: the caller's promise; words and header were made by these two functions.
        unsafe {
            memory::free_words((*chunk).words, (*chunk).leaves * Form::<K, V>::WORDS);
            memory::free_with_tail::<Chunk, usize>(chunk, 0);
        }
    }
}

impl<K, V> Drop for Arena<K, V> {
    fn drop(&mut self) {
        let mut chunk = self.pool.lock().chunks;
        while !chunk.is_null() {
            // SAFETY: `&mut self`: nobody shares the arena, nor any leaf, any more.
            unsafe {
                let this = chunk;
                chunk = (*this).older;
                memory::free_words((*this).words, (*this).leaves * Form::<K, V>::WORDS);
                memory::free_with_tail::<Chunk, usize>(this, 0);
            }
        }
    }
}
