//! What was taken out of a map and may still be looked at.
//!
//! Garbage is kept in bags, each under a short lock of its own: one until two threads meet at it, then as many
//! as make that rare. It passes through three lists: *open*, to which operations add; *sealed*, a
//! batch stamped with the epoch; *ripe*, which nobody can know any more. Each operation that adds garbage
//! drops up to [`SHARE`] of what is ripe, so that no single one pays for all; and whoever seals a batch looks
//! after one other bag in turn, since its threads may have ended. Nothing here allocates but the second to
//! seventeenth bag: what is garbage always finds a place. Whoever would rather not make more of it than a limit
//! allows has some freed first ([`Garbage::make_room`]).
//!
//! Destructors are user code: they run with nothing locked, and what a thread takes out of a bag to free it is little
//! ([`Doomed`]). So a destructor that is slow, or never returns, keeps its own thread and a few other nodes. If one
//! panics, the others go back into the bag. Destructors that write to the map do not run within each other
//! ([`reentrancy`](super::reentrancy)).
//!
//! # Synchronization
//! - `[GB-1]` release store of the bags' address ↔ `[GB-2]` acquire load: whoever sees them sees them empty
//!   or later.
//! - A bag's lock hands its lists from thread to thread: whoever seals or frees comes after the unlinks.
//!   When a batch may be freed is the business of [`epoch`](crate::sync::epoch).
//! - What is in a bag is counted beside its lock, relaxed: a figure of the recent past, exact once the
//!   writers have been joined.

use super::node::{List, Node, Shared};
use super::reentrancy::{Freeing, Reason, Reentrancy};
use crate::facade::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::facade::lock::{Guard as Locked, Lock};
use crate::sync::cache::CachePadded;
use crate::sync::epoch::{Domain, Stamp};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};
use core::ptr;

/// Pieces in a batch: each costs a heavy barrier, which interrupts the other cores.
const BATCH: usize = if cfg!(hedgerow_loom) { 1 } else { 256 };
/// Pieces of garbage between two looks whether a sealed batch is ripe.
const PATIENCE: usize = if cfg!(hedgerow_loom) { 1 } else { 16 };
/// Pieces that one operation drops at most.
const SHARE: usize = 2;
/// Pieces that a collection takes out of a bag at a time: of these one slow destructor keeps the others.
const CHUNK: usize = 16;
/// Bags, once there is more than one.
const BAGS: usize = if cfg!(hedgerow_loom) { 2 } else { 16 };

struct Bag<N> {
    open: List<N>,
    sealed: List<N>,
    stamp: Option<Stamp>,
    ripe: List<N>,
    /// Pieces to come before the next look.
    patience: usize,
    /// Which other bag is looked after next.
    turn: usize,
}

impl<N: Node> Bag<N> {
    const fn new() -> Self {
        let (open, sealed, ripe) = (List::new(), List::new(), List::new());
        Self { open, sealed, stamp: None, ripe, patience: 0, turn: 0 }
    }

    /// Puts the sealed batch with what is ripe, if readers let it.
    fn ripen(&mut self, domain: &Domain) {
        if self.stamp.is_some_and(|stamp| domain.is_past(stamp)) {
            self.stamp = None;
            self.ripe.append(&mut self.sealed);
        }
    }

    /// Moves batches on: the sealed one, as far as readers let it, and an open one of `least` pieces or more.
    /// True where one was sealed.
    fn advance(&mut self, domain: &Domain, least: usize) -> bool {
        self.ripen(domain);
        if self.stamp.is_some() || self.open.len() < least {
            return false;
        }
        self.stamp = domain.seal();
        if self.stamp.is_some() {
            self.sealed.append(&mut self.open);
        }
        self.stamp.is_some()
    }

    /// Moves all on that readers let go: what was sealed goes first, then what was open is sealed, and mostly
    /// is past at once.
    fn advance_all(&mut self, domain: &Domain) {
        self.advance(domain, 1);
        self.advance(domain, 1);
    }

    /// Does for `other` what its owner may have left undone, for good perhaps.
    fn look_after(&mut self, other: &mut Self, domain: &Domain) {
        other.advance(domain, 1);
        self.ripe.append(&mut other.ripe);
    }

    fn len(&self) -> usize {
        self.open.len() + self.sealed.len() + self.ripe.len()
    }
}

/// A bag in its lock, and what is to be seen of it from outside.
struct Place<N> {
    bag: Lock<Bag<N>>,
    /// How much is in it.
    len: AtomicUsize,
    /// How much of that is ripe.
    ripe: AtomicUsize,
}

impl<N: Node> Place<N> {
    crate::facade::const_unless_loom! {
        fn new() -> Self {
            let (len, ripe) = (AtomicUsize::new(0), AtomicUsize::new(0));
            Self { bag: Lock::new(Bag::new()), len, ripe }
        }
    }

    fn lock(&self) -> Held<'_, N> {
        Held { bag: self.bag.lock(), place: self }
    }

    fn try_lock(&self) -> Option<Held<'_, N>> {
        Some(Held { bag: self.bag.try_lock()?, place: self })
    }

    fn len(&self) -> usize {
        // relaxed: a figure, which orders nothing.
        self.len.load(Ordering::Relaxed)
    }

    fn has_ripe(&self) -> bool {
        // relaxed: a hint, which orders nothing; who frees looks again under the lock.
        self.ripe.load(Ordering::Relaxed) > 0
    }
}

/// A bag that is locked; counted when it is given back.
struct Held<'a, N: Node> {
    bag: Locked<'a, Bag<N>>,
    place: &'a Place<N>,
}

impl<N: Node> Drop for Held<'_, N> {
    #[inline]
    fn drop(&mut self) {
        // relaxed: written under the lock alone, and a figure to everybody else.
        self.place.len.store(self.bag.len(), Ordering::Relaxed);
        // relaxed: as above.
        self.place.ripe.store(self.bag.ripe.len(), Ordering::Relaxed);
    }
}

impl<N: Node> Deref for Held<'_, N> {
    type Target = Bag<N>;
    fn deref(&self) -> &Bag<N> {
        &self.bag
    }
}

impl<N: Node> DerefMut for Held<'_, N> {
    fn deref_mut(&mut self) -> &mut Bag<N> {
        &mut self.bag
    }
}

impl<'a, N: Node> Held<'a, N> {
    /// Takes up to `COUNT` ripe nodes, and gives the bag back.
    fn doom<const COUNT: usize>(mut self) -> Doomed<'a, N, COUNT> {
        let nodes = core::array::from_fn(|_| self.ripe.pop());
        Doomed { nodes, place: self.place }
    }
}

/// Some nodes that were taken out of a bag to be freed. On drop, what is left of them goes back into the bag: a
/// destructor has panicked, and another panic on the way out would abort.
struct Doomed<'a, N: Node, const COUNT: usize> {
    nodes: [Option<Shared<N>>; COUNT],
    place: &'a Place<N>,
}

impl<N: Node, const COUNT: usize> Doomed<'_, N, COUNT> {
    /// Frees them, with nothing locked; says how many.
    fn free(mut self) -> usize {
        let mut count = 0;
        for at in 0..COUNT {
            let Some(node) = self.nodes[at].take() else { break };
            count += 1;
            // SAFETY: taken off a list of ripe nodes, which nobody can know any more, by this call alone.
            unsafe { N::free(node.0) }
        }
        // Nothing is left of them.
        core::mem::forget(self);
        count
    }
}

impl<N: Node, const COUNT: usize> Drop for Doomed<'_, N, COUNT> {
    #[cold]
    fn drop(&mut self) {
        let mut bag = self.place.lock();
        let left = self.nodes.iter_mut().filter_map(Option::take);
        // SAFETY: ripe nodes that were taken off their list and not freed.
        left.for_each(|node| unsafe { bag.ripe.push(node) });
    }
}

pub(crate) struct Garbage<N> {
    first: Place<N>,
    more: AtomicPtr<Bags<N>>,
    reentrancy: Reentrancy,
}

type Bags<N> = [CachePadded<Place<N>>; BAGS];

impl<N: Node> Garbage<N> {
    crate::facade::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self {
                first: Place::new(),
                more: AtomicPtr::new(ptr::null_mut()),
                reentrancy: Reentrancy::new(),
            }
        }
    }

    fn more(&self) -> Option<&Bags<N>> {
        // [GB-2] acquire: pairs with [GB-1].
        let more = self.more.load(Ordering::Acquire);
        // SAFETY: null, or the box of `spread`, which lives as long as this.
        unsafe { more.as_ref() }
    }

    fn bags(&self) -> impl Iterator<Item = &Place<N>> {
        core::iter::once(&self.first).chain(self.more().into_iter().flatten().map(|bag| &**bag))
    }

    /// Returns the place of a reader's bag. While there is one bag, `reader` is not called.
    #[inline]
    fn place(&self, reader: impl FnOnce() -> usize) -> &Place<N> {
        self.more().map_or(&self.first, |more| &*more[reader() % BAGS])
    }

    /// The bag of the reader of this number.
    #[inline]
    fn bag(&self, reader: impl FnOnce() -> usize) -> Held<'_, N> {
        if let Some(more) = self.more() {
            return more[reader() % BAGS].lock();
        }
        self.first.try_lock().unwrap_or_else(|| {
            self.spread();
            self.place(reader).lock()
        })
    }

    /// Makes more bags; stays with one where memory has run out.
    #[cold]
    pub(super) fn spread(&self) {
        let mut made = Vec::new();
        if made.try_reserve_exact(BAGS).is_err() {
            return;
        }
        made.resize_with(BAGS, || CachePadded::new(Place::new()));
        let Ok(made) = Box::<Bags<N>>::try_from(made) else { return };
        let (made, none) = (Box::into_raw(made), ptr::null_mut());
        // [GB-1] release: pairs with [GB-2]; relaxed where it fails: we only free.
        if self.more.compare_exchange(none, made, Ordering::Release, Ordering::Relaxed).is_err() {
            // SAFETY: the swap failed, so the box was never shared.
            drop(unsafe { Box::from_raw(made) });
        }
    }

    /// Takes a node over that was unlinked. Runs no destructor.
    ///
    /// # Safety
    /// The node was unlinked from where readers of `domain` find it, by this thread or one that it has
    /// synchronized with; it is given to nobody else.
    pub(crate) unsafe fn add(
        &self,
        domain: &Domain,
        reader: impl FnOnce() -> usize,
        node: Shared<N>,
    ) {
        // SAFETY: the caller's promise.
        drop(unsafe { self.put(domain, reader, node) });
    }

    /// As `add`; then frees some nodes that are ripe, running their destructors with nothing locked.
    ///
    /// # Safety
    /// As `add`.
    pub(crate) unsafe fn add_and_free(
        &self,
        domain: &Domain,
        reader: impl FnOnce() -> usize,
        node: Shared<N>,
    ) {
        // SAFETY: the caller's promise.
        let bag = unsafe { self.put(domain, reader, node) };
        self.free_some(bag, Reason::Share);
    }

    /// # Safety
    /// As `add`.
    #[inline(always)]
    unsafe fn put(
        &self,
        domain: &Domain,
        reader: impl FnOnce() -> usize,
        node: Shared<N>,
    ) -> Held<'_, N> {
        let mut bag = self.bag(reader);
        // SAFETY: the caller's promise: the node is garbage, and ours.
        unsafe { bag.open.push(node) };
        self.go_on(&mut bag, domain);
        bag
    }

    /// Moves batches on, now and then; and when one is sealed, those of another bag too, whose threads may
    /// have ended, or write no more.
    #[inline(always)]
    fn go_on(&self, bag: &mut Bag<N>, domain: &Domain) {
        if bag.patience > 0 {
            bag.patience -= 1;
            return;
        }
        bag.patience = PATIENCE;
        self.move_on(bag, domain);
    }

    #[cold]
    fn move_on(&self, bag: &mut Bag<N>, domain: &Domain) {
        if bag.advance(domain, BATCH) {
            bag.turn = bag.turn.wrapping_add(1);
            // Another one, or held: this very bag is held too.
            if let Some(mut other) =
                self.bags().nth(bag.turn % (BAGS + 1)).and_then(Place::try_lock)
            {
                bag.look_after(&mut other, domain);
            }
        }
    }

    /// Frees what one operation is to free, running destructors with nothing locked; says how many.
    #[inline(always)]
    fn free_some(&self, bag: Held<'_, N>, reason: Reason) -> usize {
        if bag.ripe.len() == 0 {
            return 0;
        }
        let Some(_freeing) = self.begin_to_free(&bag, reason) else { return 0 };
        bag.doom::<SHARE>().free()
    }

    /// Leave to run destructors; None within one of them.
    #[inline]
    fn begin_to_free(&self, bag: &Bag<N>, reason: Reason) -> Option<Freeing<'_>> {
        self.reentrancy.begin(&self.first, bag.ripe.len(), reason)
    }

    /// As the end of `add_and_free`. Mostly nothing is ripe: then this takes no lock.
    #[inline(always)]
    pub(crate) fn free_share(&self, reader: impl FnOnce() -> usize + Copy) {
        if self.place(reader).has_ripe() {
            self.free_share_of(reader);
        }
    }

    #[inline(never)]
    fn free_share_of(&self, reader: impl FnOnce() -> usize) {
        self.free_some(self.bag(reader), Reason::Share);
    }

    /// Pieces of garbage.
    pub(crate) fn len(&self) -> usize {
        self.bags().map(Place::len).sum()
    }

    /// Frees what is above `limit`, no more, as far as readers let it and no lock has to be waited for;
    /// whether that was enough.
    #[cold]
    pub(crate) fn make_room(&self, domain: &Domain, limit: usize) -> bool {
        let mut excess = self.len().saturating_sub(limit);
        for place in self.bags() {
            while excess > 0
                && let Some(mut bag) = place.try_lock()
            {
                if bag.ripe.len() == 0 {
                    bag.advance_all(domain);
                }
                match self.free_some(bag, Reason::Demand) {
                    0 => break,
                    freed => excess = excess.saturating_sub(freed),
                }
            }
        }
        self.len() <= limit
    }

    /// Frees all that readers let go; the rest stays. Within a destructor of this garbage only moves batches on:
    /// whatever runs that destructor, or comes after, frees them.
    pub(crate) fn collect(&self, domain: &Domain) {
        for place in self.bags() {
            let mut bag = place.lock();
            bag.advance_all(domain);
            // What destructors add meanwhile is not waited for.
            let mut left = bag.ripe.len();
            let Some(_freeing) = self.begin_to_free(&bag, Reason::Demand) else { continue };
            while left > 0 {
                // Others take some too.
                match bag.doom::<CHUNK>().free() {
                    0 => break,
                    freed => left = left.saturating_sub(freed),
                }
                bag = place.lock();
            }
        }
    }

    /// Moves everything to `all`, however young.
    pub(crate) fn move_to(&mut self, all: &mut List<N>) {
        for place in self.bags() {
            let Bag { open, sealed, ripe, .. } = &mut *place.lock();
            for list in [open, sealed, ripe] {
                all.append(list);
            }
        }
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.more().map_or(0, size_of_val)
    }
}

/// Frees the nodes of a list that nobody can know any more. If a destructor panics, the others are freed on the way
/// out; a second panic then aborts, as it does with std's collections.
pub(crate) fn free_all<N: Node>(list: &mut List<N>) {
    struct Rest<'a, N: Node>(&'a mut List<N>);
    impl<N: Node> Rest<'_, N> {
        fn free(&mut self) {
            while let Some(node) = self.0.pop() {
                // SAFETY: taken off the list by this call alone, and the caller says that nobody can know it.
                unsafe { N::free(node.0) }
            }
        }
    }
    impl<N: Node> Drop for Rest<'_, N> {
        fn drop(&mut self) {
            self.free();
        }
    }
    Rest(list).free();
}

impl<N> Drop for Garbage<N> {
    fn drop(&mut self) {
        // relaxed: `&mut self` says that every other use happened before.
        let more = self.more.load(Ordering::Relaxed);
        if !more.is_null() {
            // SAFETY: made by `Box::into_raw` in `spread`, and nobody shares it any more.
            drop(unsafe { Box::from_raw(more) });
        }
    }
}
