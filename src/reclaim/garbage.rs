//! Garbage: nodes that were taken out of a map and that readers may still be using.
//!
//! Garbage is stored in bags, each under a short lock of its own. There is one bag until two threads contend for it,
//! and then as many as make contention rare. A bag has three lists: *open*, to which operations add; *sealed*, a batch
//! with its stamp; *reclaimable*, which no reader can see any more. Each operation that adds garbage drops one
//! reclaimable node, and a second one if more than a batch is waiting, so that no single operation pays for all. An
//! operation that seals a batch also advances one other bag, because that bag's threads may have ended. Adding garbage
//! never fails: only the second to seventeenth bag are allocated. An operation that must not exceed a limit frees
//! garbage first ([`Garbage::make_room`]).
//!
//! A sealed batch waits for a heavy barrier of any thread. A bag executes one of its own only when it has collected
//! another batch meanwhile. So threads that write equally much take turns, and a barrier serves the batches of all.
//! Batches are longer if barriers take long.
//!
//! Insertions of new keys add no garbage. If several batches wait, as after `clear`, each of them counts down to the
//! next step of its bag, and drops a node that is reclaimable.
//!
//! One node for one is the cheapest pace: the allocator gets a block, and is asked for one of its size right after it.
//! When some operations dropped two nodes and others none, blocks went through the allocator's slow paths. An insertion
//! drops its node before it begins, while the processor fetches the bin
//! ([`NodeMap::begin`](super::map::NodeMap::begin)), and makes its own node in the same memory if the sizes agree.
//!
//! If there are more threads than cores, a reader may be descheduled. The other threads then produce garbage that
//! cannot be freed before that reader runs again, so insertions yield once for each batch of it. A map of 64 k entries,
//! changed by eight threads on two cores, had 130,000 nodes of garbage without these yields, and has 7,000 with them.
//!
//! Destructors are user code. They run with nothing locked, and a thread takes only a few nodes out of a bag at a time
//! ([`TakenNodes`]). So a destructor that is slow, or never returns, delays its own thread and a few other nodes. If a
//! destructor panics, the other nodes go back into the bag. Destructors that write to the map do not run nested in each
//! other ([`reentrancy`](super::reentrancy)).
//!
//! # Synchronization
//! - The bags of more threads are a [published array](crate::sync::published).
//! - A bag's lock hands its lists from thread to thread: sealing and freeing come after the unlinks. When a batch may
//!   be freed is up to [`epoch`](crate::sync::epoch).
//! - The length of a bag is a [`Statistic`] beside its lock.

use super::node::{List, NodePtr, ReclaimNode};
use super::node_memory::NodeMemory;
use super::reentrancy::{Freeing, Reason, Reentrancy};
use crate::facade::atomic::{AtomicBool, AtomicUsize};
use crate::facade::lock::{Guard as Locked, Lock};
#[cfg(all(feature = "std", not(hedgerow_loom)))]
use crate::facade::yield_hint;
use crate::sync::cache::CachePadded;
use crate::sync::epoch::{Domain, Stamp};
use crate::sync::hint::{Hint, Statistic};
use crate::sync::published::PublishedArray;
use alloc::boxed::Box;
use core::ops::{Deref, DerefMut};

/// Nodes in a batch at least. One thread alone executes a heavy barrier for each batch, which interrupts the other
/// cores.
const BATCH: usize = if cfg!(hedgerow_loom) { 1 } else { 256 };
/// Nodes in a batch at most, where barriers take long. In between, the barrier takes as long as a fence for each node.
const MAX_BATCH: usize = 4 * BATCH;
/// Batches in the open list from which on insertions yield, one for each further batch.
const YIELD_FROM: usize = 2;
/// Batches in the open list from which on a bag does not wait for a barrier that another thread has begun: that thread
/// may be descheduled, or the system may have refused the barrier.
const IMPATIENT_FROM: usize = 4;
/// Batches that are open or sealed from which on insertions advance the bag. Operations that add a node each hardly
/// ever leave that many.
const BACKLOG_FROM: usize = 4;
/// Nodes that are added, or insertions while there is a backlog, between two checks whether a sealed batch is
/// reclaimable.
const ADVANCE_EVERY: u16 = if cfg!(hedgerow_loom) { 0 } else { 16 };
/// Whether a batch of reclaimable nodes stays in a bag when an operation adds a node, because insertions drop them
/// before they begin. Without `std`, nothing catches the panic of a destructor, so all nodes are dropped after the
/// operation.
const KEEPS_A_BATCH: bool = cfg!(all(feature = "std", not(hedgerow_loom)));
/// Nodes that `reclaim` takes out of a bag at a time, and that one slow destructor delays.
const RECLAIM_CHUNK: usize = 16;
/// Bags beside the first, once there is more than one.
const BAG_COUNT: usize = if cfg!(hedgerow_loom) { 2 } else { 16 };

struct Bag<N> {
    open: List<N>,
    sealed: List<N>,
    stamp: Option<Stamp>,
    reclaimable: List<N>,
    /// Nodes in a batch, from [`BATCH`] to [`MAX_BATCH`].
    batch: u16,
    /// Nodes to be added before the next check.
    until_advance: u16,
    /// The number of the other bag that is advanced next.
    next_other: u32,
}

impl<N: ReclaimNode> Bag<N> {
    const fn new() -> Self {
        let (open, sealed, reclaimable) = (List::new(), List::new(), List::new());
        Self {
            open,
            sealed,
            stamp: None,
            reclaimable,
            batch: BATCH as u16,
            until_advance: 0,
            next_other: 0,
        }
    }

    /// Returns the number of nodes in a batch.
    fn batch(&self) -> usize {
        self.batch.into()
    }

    /// Counts an added node, or an insertion. Returns true once after each [`ADVANCE_EVERY`] of them.
    #[inline(always)]
    fn step_is_due(&mut self) -> bool {
        if self.until_advance > 0 {
            self.until_advance -= 1;
            return false;
        }
        self.until_advance = ADVANCE_EVERY;
        true
    }

    /// Makes the sealed batch reclaimable, if no reader can see it any more.
    fn promote_sealed(&mut self, domain: &Domain) {
        if self.stamp.is_some_and(|stamp| domain.is_past(stamp)) {
            self.stamp = None;
            self.reclaimable.append(&mut self.sealed);
        }
    }

    /// Seals the open nodes, together with those that no barrier has served yet.
    fn seal(&mut self, domain: &Domain) {
        self.sealed.append(&mut self.open);
        self.stamp = Some(domain.stamp());
        self.batch = domain.barrier_in_fences().clamp(BATCH, MAX_BATCH) as u16;
    }

    /// Makes the sealed batch reclaimable as far as readers allow, and then seals the open one if it has at least
    /// `least` nodes. Returns true if it sealed a batch.
    fn advance(&mut self, domain: &Domain, least: usize) -> bool {
        self.promote_sealed(domain);
        let seals = self.stamp.is_none() && self.open.len() >= least;
        if seals {
            self.seal(domain);
        }
        seals
    }

    /// Returns true if the sealed batch has waited long enough for a barrier of another thread.
    fn wants_barrier(&self, domain: &Domain) -> bool {
        self.open.len() >= self.batch()
            && self.stamp.is_some_and(|stamp| {
                !domain.is_being_served(stamp) || self.is_impatient() && !domain.is_served(stamp)
            })
    }

    fn is_impatient(&self) -> bool {
        self.open.len() >= IMPATIENT_FROM * self.batch()
    }

    /// Seals all nodes, unless readers keep a batch that was served. Returns true if they are waiting for a barrier.
    fn seal_all(&mut self, domain: &Domain) -> bool {
        self.promote_sealed(domain);
        let served = self.stamp.is_some_and(|stamp| domain.is_served(stamp));
        let waits = !served && self.waiting() > 0;
        if waits {
            self.seal(domain);
        }
        waits
    }

    /// Advances `other`, whose threads may have ended, and takes over its reclaimable nodes.
    fn advance_other(&mut self, other: &mut Self, domain: &Domain) {
        other.advance(domain, 1);
        self.reclaimable.append(&mut other.reclaimable);
    }

    /// Returns the number of nodes that are not reclaimable yet.
    fn waiting(&self) -> usize {
        self.open.len() + self.sealed.len()
    }
}

/// A bag in its lock, and its length, which is read without the lock.
struct BagCell<N> {
    bag: Lock<Bag<N>>,
    len: Statistic<AtomicUsize>,
    /// How many of its nodes are reclaimable. An operation that frees them counts again under the lock.
    reclaimable: Hint<AtomicUsize>,
    /// The next insertion yields: a reader keeps so much garbage that it is probably descheduled.
    yields: Hint<AtomicBool>,
    /// Insertions advance the bag: it has more nodes than those that add some leave.
    backlog: Hint<AtomicBool>,
}

impl<N: ReclaimNode> BagCell<N> {
    crate::facade::const_unless_loom! {
        fn new() -> Self {
            let (len, reclaimable) = (Statistic::<AtomicUsize>::new(0), Hint::<AtomicUsize>::new(0));
            let (yields, backlog) = (Hint::<AtomicBool>::new(false), Hint::<AtomicBool>::new(false));
            Self { bag: Lock::new(Bag::new()), len, reclaimable, yields, backlog }
        }
    }

    fn lock(&self) -> BagGuard<'_, N> {
        BagGuard { bag: self.bag.lock(), cell: self }
    }

    fn try_lock(&self) -> Option<BagGuard<'_, N>> {
        Some(BagGuard { bag: self.bag.try_lock()?, cell: self })
    }

    fn len(&self) -> usize {
        self.len.load()
    }

    /// Yields, so that a descheduled reader can end and the garbage can be freed.
    #[cfg(all(feature = "std", not(hedgerow_loom)))]
    #[cold]
    #[inline(never)]
    fn let_readers_run(&self) {
        self.yields.store(false);
        yield_hint();
    }
}

/// A locked bag. Its length is noted when it is unlocked.
struct BagGuard<'a, N: ReclaimNode> {
    bag: Locked<'a, Bag<N>>,
    cell: &'a BagCell<N>,
}

impl<N: ReclaimNode> Drop for BagGuard<'_, N> {
    #[inline]
    fn drop(&mut self) {
        let reclaimable = self.bag.reclaimable.len();
        self.cell.len.store(self.bag.waiting() + reclaimable);
        self.cell.reclaimable.store(reclaimable);
    }
}

impl<N: ReclaimNode> Deref for BagGuard<'_, N> {
    type Target = Bag<N>;
    fn deref(&self) -> &Bag<N> {
        &self.bag
    }
}

impl<N: ReclaimNode> DerefMut for BagGuard<'_, N> {
    fn deref_mut(&mut self) -> &mut Bag<N> {
        &mut self.bag
    }
}

impl<'a, N: ReclaimNode> BagGuard<'a, N> {
    /// Notes whether insertions are to advance the bag. Called after each step, because few nodes are added between
    /// two steps.
    fn note_backlog(&self) {
        self.cell.backlog.store(self.waiting() >= BACKLOG_FROM * self.batch());
    }

    /// Takes up to `COUNT` reclaimable nodes, and unlocks the bag.
    fn take_reclaimable<const COUNT: usize>(mut self) -> TakenNodes<'a, N, COUNT> {
        let nodes = core::array::from_fn(|_| self.reclaimable.pop());
        TakenNodes { nodes, cell: self.cell }
    }
}

/// Nodes that were taken out of a bag to be freed. Those that are left on drop go back into the bag: a destructor has
/// panicked, and a second panic would abort the process.
struct TakenNodes<'a, N: ReclaimNode, const COUNT: usize> {
    nodes: [Option<NodePtr<N>>; COUNT],
    cell: &'a BagCell<N>,
}

impl<N: ReclaimNode, const COUNT: usize> TakenNodes<'_, N, COUNT> {
    /// Frees the nodes, while nothing is locked. Returns how many, and the memory of the last one.
    #[inline(always)]
    fn free(mut self) -> (usize, Option<NodeMemory>) {
        let (mut count, mut memory) = (0, None);
        for at in 0..COUNT {
            let Some(node) = self.nodes[at].take() else { break };
            count += 1;
            // SAFETY: the node was reclaimable, so no reader can see it, and only this call has taken it off its list.
            memory = Some(unsafe { N::clear(node.0) });
        }
        // Every node is freed, so `drop` has nothing to put back.
        core::mem::forget(self);
        (count, memory)
    }
}

impl<N: ReclaimNode, const COUNT: usize> Drop for TakenNodes<'_, N, COUNT> {
    #[cold]
    fn drop(&mut self) {
        let mut bag = self.cell.lock();
        let left = self.nodes.iter_mut().filter_map(Option::take);
        // SAFETY: the nodes were taken off their list and not freed.
        left.for_each(|node| unsafe { bag.reclaimable.push(node) });
    }
}

/// The result of an attempt to free a node before an operation: the memory of the node, or the panic of a destructor.
#[must_use]
pub(crate) struct Freed {
    memory: Option<NodeMemory>,
    #[cfg(all(feature = "std", not(hedgerow_loom)))]
    panic: Option<Box<dyn core::any::Any + Send>>,
}

impl Freed {
    const fn of(memory: Option<NodeMemory>) -> Self {
        Self {
            memory,
            #[cfg(all(feature = "std", not(hedgerow_loom)))]
            panic: None,
        }
    }

    /// Returns the memory of the node, for the operation's own node.
    #[inline(always)]
    pub(crate) fn take_memory(&mut self) -> Option<NodeMemory> {
        self.memory.take()
    }

    /// Goes on with the panic. To be called after the operation.
    #[cfg_attr(not(all(feature = "std", not(hedgerow_loom))), allow(clippy::unused_self))]
    #[inline(always)]
    pub(crate) fn resume(self) {
        #[cfg(all(feature = "std", not(hedgerow_loom)))]
        if let Some(panic) = self.panic {
            std::panic::resume_unwind(panic);
        }
    }
}

pub(crate) struct Garbage<N> {
    first: BagCell<N>,
    more: PublishedArray<CachePadded<BagCell<N>>, BAG_COUNT>,
    reentrancy: Reentrancy,
}

impl<N: ReclaimNode> Garbage<N> {
    crate::facade::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self {
                first: BagCell::new(),
                more: PublishedArray::new(),
                reentrancy: Reentrancy::new(),
            }
        }
    }

    fn bags(&self) -> impl Iterator<Item = &BagCell<N>> {
        core::iter::once(&self.first).chain(self.more.get().into_iter().flatten().map(|bag| &**bag))
    }

    /// Returns the bag of a reader. While there is one bag, the reader's number is not needed.
    #[inline]
    fn cell(&self, reader: impl FnOnce() -> usize) -> &BagCell<N> {
        self.more.get().map_or(&self.first, |more| &*more[reader() % BAG_COUNT])
    }

    /// Locks the bag of the reader of this number.
    #[inline]
    fn bag(&self, reader: impl FnOnce() -> usize) -> BagGuard<'_, N> {
        if let Some(more) = self.more.get() {
            return more[reader() % BAG_COUNT].lock();
        }
        self.first.try_lock().unwrap_or_else(|| {
            self.spread();
            self.cell(reader).lock()
        })
    }

    /// Makes more bags. Keeps one if there is no memory.
    #[cold]
    pub(super) fn spread(&self) {
        self.more.make(|| CachePadded::new(BagCell::new()));
    }

    /// Adds a node that was unlinked. Runs no destructor.
    ///
    /// # Safety
    /// The node was unlinked from where readers of `domain` find it, by this thread or one that it has synchronized
    /// with. It is added once.
    pub(crate) unsafe fn add<'d>(
        &self,
        domain: impl FnOnce() -> &'d Domain,
        reader: impl FnOnce() -> usize,
        node: NodePtr<N>,
    ) {
        // SAFETY: the caller promises what `put` requires.
        drop(unsafe { self.put(domain, reader, node) });
    }

    /// As `add`, and then frees a reclaimable node if more are waiting than may stay. Its destructor runs while nothing
    /// is locked.
    ///
    /// # Safety
    /// As `add`.
    pub(crate) unsafe fn add_and_free<'d>(
        &self,
        domain: impl FnOnce() -> &'d Domain,
        reader: impl FnOnce() -> usize,
        node: NodePtr<N>,
    ) {
        // SAFETY: the caller promises what `put` requires.
        let bag = unsafe { self.put(domain, reader, node) };
        if bag.reclaimable.len() > if KEEPS_A_BATCH { bag.batch() } else { 0 } {
            // With `std`, an insertion has dropped one node before, and two are the most.
            drop(self.free_some(bag, Reason::Share, !KEEPS_A_BATCH));
        }
    }

    /// # Safety
    /// As `add`.
    #[inline(always)]
    unsafe fn put<'d>(
        &self,
        domain: impl FnOnce() -> &'d Domain,
        reader: impl FnOnce() -> usize,
        node: NodePtr<N>,
    ) -> BagGuard<'_, N> {
        let mut bag = self.bag(reader);
        // SAFETY: the caller promises that the node is garbage, alive, and added once.
        unsafe { bag.open.push(node) };
        if bag.step_is_due() {
            self.advance(&mut bag, domain());
        }
        bag
    }

    /// Advances the bag, every [`ADVANCE_EVERY`] nodes. If that seals a batch, also advances another bag, whose threads
    /// may have ended or write no more.
    #[cold]
    fn advance(&self, bag: &mut BagGuard<'_, N>, domain: &Domain) {
        // True once for each batch: there are `ADVANCE_EVERY + 1` additions from one call to the next.
        let (open, batch) = (bag.open.len(), bag.batch());
        if open >= YIELD_FROM * batch && open % batch <= ADVANCE_EVERY as usize {
            bag.cell.yields.store(true);
        }
        if bag.wants_barrier(domain) {
            // A stamp so old that the numbers of barriers have come round looks like a future one, so it is renewed.
            if bag.is_impatient() {
                bag.seal(domain);
            }
            domain.pass_barrier();
        }
        if bag.advance(domain, batch) {
            bag.next_other = bag.next_other.wrapping_add(1);
            // The lock may be held: by another thread, or by this one if the other bag is this bag.
            if let Some(mut other) = self
                .bags()
                .nth(bag.next_other as usize % (BAG_COUNT + 1))
                .and_then(BagCell::try_lock)
            {
                bag.advance_other(&mut other, domain);
            }
        }
        bag.note_backlog();
    }

    /// Counts an insertion, and advances the bag if it is the last of [`ADVANCE_EVERY`]. Does nothing if another thread
    /// has the lock.
    #[cfg(all(feature = "std", not(hedgerow_loom)))]
    #[cold]
    #[inline(never)]
    fn shrink_backlog(domain: &Domain, cell: &BagCell<N>) {
        let Some(mut bag) = cell.try_lock() else { return };
        if !bag.step_is_due() {
            return;
        }
        // An insertion adds no nodes, so the bag would not collect what `wants_barrier` waits for.
        if bag.stamp.is_some_and(|stamp| !domain.is_being_served(stamp)) {
            domain.pass_barrier();
        }
        bag.advance(domain, 1);
        bag.note_backlog();
    }

    /// Frees a node while nothing is locked, or two if `catch_up` and more than a batch is waiting. Returns how many,
    /// and the memory of the last one.
    #[inline(always)]
    fn free_some(
        &self,
        bag: BagGuard<'_, N>,
        reason: Reason,
        catch_up: bool,
    ) -> (usize, Option<NodeMemory>) {
        let reclaimable = bag.reclaimable.len();
        if reclaimable == 0 {
            return (0, None);
        }
        let Some(_freeing) = self.begin_to_free(&bag, reason) else { return (0, None) };
        if catch_up && reclaimable > bag.batch() {
            return bag.take_reclaimable::<2>().free();
        }
        bag.take_reclaimable::<1>().free()
    }

    /// Returns leave to run destructors, or `None` within one of them.
    #[inline]
    fn begin_to_free(&self, bag: &Bag<N>, reason: Reason) -> Option<Freeing<'_>> {
        self.reentrancy.begin(&self.first, bag.reclaimable.len(), reason)
    }

    /// Frees a node, or two if more than a batch is waiting. Returns the memory of one. If no node is reclaimable, this
    /// takes no lock. Never waits.
    #[inline(always)]
    pub(crate) fn free_share(&self, reader: impl FnOnce() -> usize + Copy) -> Option<NodeMemory> {
        if self.cell(reader).reclaimable.load() == 0 {
            return None;
        }
        self.free_share_of(reader, true)
    }

    /// Frees nothing if another thread has the bag: its lock is not worth a wait, and some callers may not wait.
    #[inline(never)]
    fn free_share_of(&self, reader: impl FnOnce() -> usize, catch_up: bool) -> Option<NodeMemory> {
        self.free_some(self.cell(reader).try_lock()?, Reason::Share, catch_up).1
    }

    /// Frees a node. Returns its memory, or the panic of its destructor. If no node is reclaimable, this advances the
    /// bag if it has a backlog, and yields if readers keep many nodes and `may_yield`.
    #[cfg_attr(not(all(feature = "std", not(hedgerow_loom))), allow(clippy::unused_self))]
    #[inline(always)]
    pub(crate) fn free_one_before<'d>(
        &self,
        domain: impl FnOnce() -> &'d Domain,
        reader: impl FnOnce() -> usize + Copy,
        may_yield: bool,
    ) -> Freed {
        #[cfg(all(feature = "std", not(hedgerow_loom)))]
        {
            let cell = self.cell(reader);
            if cell.reclaimable.load() > 0 {
                return self.free_one(reader);
            }
            if cell.backlog.load() {
                Self::shrink_backlog(domain(), cell);
            }
            if may_yield && cell.yields.load() {
                cell.let_readers_run();
            }
        }
        #[cfg(not(all(feature = "std", not(hedgerow_loom))))]
        let _ = (domain, reader, may_yield);
        Freed::of(None)
    }

    #[cfg(all(feature = "std", not(hedgerow_loom)))]
    #[inline(always)]
    fn free_one(&self, reader: impl FnOnce() -> usize + Copy) -> Freed {
        if !N::RUNS_DESTRUCTORS {
            return Freed::of(self.free_share_of(reader, false));
        }
        // The garbage is consistent while a destructor runs, so its panic may be caught.
        let free = core::panic::AssertUnwindSafe(|| self.free_share_of(reader, false));
        match std::panic::catch_unwind(free) {
            Ok(memory) => Freed::of(memory),
            Err(panic) => Freed { memory: None, panic: Some(panic) },
        }
    }

    /// Returns the number of nodes.
    pub(crate) fn len(&self) -> usize {
        self.bags().map(BagCell::len).sum()
    }

    /// Frees nodes until at most `limit` are left, as far as readers and other threads' locks allow. Returns true if
    /// that was enough.
    #[cold]
    pub(crate) fn make_room(&self, domain: &Domain, limit: usize) -> bool {
        let mut excess = self.len().saturating_sub(limit);
        for cell in self.bags() {
            while excess > 0
                && let Some(mut bag) = cell.try_lock()
            {
                if bag.reclaimable.len() == 0 && bag.seal_all(domain) {
                    domain.pass_barrier();
                    bag.promote_sealed(domain);
                }
                match self.free_some(bag, Reason::Demand, true).0 {
                    0 => break,
                    freed => excess = excess.saturating_sub(freed),
                }
            }
        }
        self.len() <= limit
    }

    /// Frees all nodes that no reader can see any more. Within a destructor of this garbage it only advances batches:
    /// the operation that runs the destructor frees them, or a later one.
    pub(crate) fn reclaim(&self, domain: &Domain) {
        // One barrier serves all bags.
        if self.bags().filter(|cell| cell.lock().seal_all(domain)).count() > 0 {
            domain.pass_barrier();
        }
        for cell in self.bags() {
            let mut bag = cell.lock();
            bag.promote_sealed(domain);
            // Only the nodes of this moment: destructors may add more without end.
            let mut left = bag.reclaimable.len();
            let Some(_freeing) = self.begin_to_free(&bag, Reason::Demand) else { continue };
            while left > 0 {
                // Other threads may take some too.
                match bag.take_reclaimable::<RECLAIM_CHUNK>().free().0 {
                    0 => break,
                    freed => left = left.saturating_sub(freed),
                }
                bag = cell.lock();
            }
        }
    }

    /// Moves all nodes to `all`, even those that readers may be using.
    pub(crate) fn move_to(&mut self, all: &mut List<N>) {
        for cell in self.bags() {
            let Bag { open, sealed, reclaimable, .. } = &mut *cell.lock();
            for list in [open, sealed, reclaimable] {
                all.append(list);
            }
        }
    }

    /// Returns the bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.more.bytes()
    }
}

/// Frees the nodes of a list. If a destructor panics, the rest is freed during unwinding. A second panic then aborts,
/// as with std's collections.
///
/// # Safety
/// No reader can see the nodes any more.
pub(crate) unsafe fn free_all<N: ReclaimNode>(list: &mut List<N>) {
    struct Rest<'a, N: ReclaimNode>(&'a mut List<N>);
    impl<N: ReclaimNode> Rest<'_, N> {
        fn free(&mut self) {
            while let Some(node) = self.0.pop() {
                // SAFETY: only this call takes the node off the list, and the caller promises that no reader can see
                // it.
                unsafe { N::free(node.0) }
            }
        }
    }
    impl<N: ReclaimNode> Drop for Rest<'_, N> {
        fn drop(&mut self) {
            self.free();
        }
    }
    Rest(list).free();
}

#[cfg(all(test, feature = "std", not(hedgerow_loom)))]
mod tests;
