//! A node's life beside the map: before it is in it, and after it was taken out.

use super::errors::Cause;
use super::garbage::Garbage;
use super::guard::{reader, stalled};
use super::node::{List, Live, Node, NodePtr};
use crate::facade::atomic::{AtomicUsize, Ordering};
use crate::sync::backoff::Backoff;
use crate::sync::epoch::DOMAIN;
use core::mem::ManuallyDrop;

/// A node that no map holds yet; freed on drop.
pub(crate) struct Fresh<N: Node>(pub(crate) NodePtr<N>);

impl<N: Node> Fresh<N> {
    /// Hands the node over.
    pub(crate) fn take(self) -> NodePtr<N> {
        ManuallyDrop::new(self).0
    }

    #[inline(always)]
    pub(crate) fn live(&self) -> Live<'_, N> {
        // SAFETY: alive until it is dropped or taken, both of which need the whole.
        unsafe { self.0.live() }
    }
}

impl<N: Node> Drop for Fresh<N> {
    fn drop(&mut self) {
        // SAFETY: ours alone.
        unsafe { N::free(self.0.0) }
    }
}

/// How far an operation goes.
#[derive(Clone, Copy)]
pub(crate) enum Mode {
    /// It waits for other writers, and fails for want of memory alone.
    Blocking,
    /// It does not wait; and it makes no garbage where there is no room for more, for the reason given.
    NonBlocking(Result<(), Cause>),
}

impl Mode {
    pub(crate) fn backoff(self) -> Backoff {
        match self {
            Self::Blocking => Backoff::spinning(),
            Self::NonBlocking(_) => Backoff::never(),
        }
    }

    /// Whether the operation may begin again because of another writer.
    pub(crate) fn waits(self) -> bool {
        matches!(self, Self::Blocking)
    }

    /// Whether more garbage may be made.
    pub(crate) fn room(self) -> Result<(), Cause> {
        match self {
            Self::Blocking => Ok(()),
            Self::NonBlocking(room) => room,
        }
    }
}

/// What was taken out of a map, and how much of it may wait.
pub(crate) struct Retired<N> {
    garbage: Garbage<N>,
    /// Pieces of garbage that may wait where somebody asks; `usize::MAX` is no limit.
    limit: AtomicUsize,
}

impl<N: Node> Retired<N> {
    pub(crate) const fn new() -> Self {
        Self { garbage: Garbage::new(), limit: AtomicUsize::new(usize::MAX) }
    }

    /// Pieces of garbage that still wait.
    pub(crate) fn pending(&self) -> usize {
        self.garbage.len()
    }

    /// Bytes on the heap, those of the nodes not included.
    pub(crate) fn bytes(&self) -> usize {
        self.garbage.bytes()
    }

    pub(crate) fn limit(&self) -> Option<usize> {
        // relaxed: a wish, which orders nothing.
        Some(self.limit.load(Ordering::Relaxed)).filter(|&limit| limit != usize::MAX)
    }

    pub(crate) fn set_limit(&self, limit: Option<usize>) {
        // relaxed: as above.
        self.limit.store(limit.unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    /// The way of an operation that does not wait. Drops garbage that is above the limit; to be called before
    /// the operation's own guard is taken, which would be in the way of that.
    #[inline]
    pub(crate) fn non_blocking(&self) -> Mode {
        Mode::NonBlocking(match self.limit() {
            Some(limit) if self.garbage.len() > limit => self.make_room(limit),
            _ => Ok(()),
        })
    }

    #[cold]
    fn make_room(&self, limit: usize) -> Result<(), Cause> {
        if self.garbage.make_room(&DOMAIN, limit) {
            return Ok(());
        }
        // Where no reader is in the way, another thread was.
        match stalled().count() {
            0 => Err(Cause::Busy),
            readers => Err(Cause::Stalled { readers }),
        }
    }

    /// Frees the garbage that nobody can know any more.
    pub(crate) fn reclaim(&self) {
        self.garbage.reclaim(&DOMAIN);
    }

    /// Takes a node over. Runs no destructor.
    ///
    /// # Safety
    /// The node was unlinked from where readers find it, by this thread or one that it has synchronized with; it
    /// is given to nobody else.
    pub(crate) unsafe fn add(&self, node: NodePtr<N>) {
        // SAFETY: the caller's promise.
        unsafe { self.garbage.add(&DOMAIN, reader(), node) };
    }

    /// Frees a few nodes that are ripe, as whoever drops an [`Unlinked`] does. The caller holds no guard of its own: a
    /// slow destructor would keep the garbage of all maps.
    #[inline]
    pub(crate) fn free_share(&self) {
        if !self.garbage.is_empty() {
            self.garbage.free_share(reader());
        }
    }

    /// A node that is the caller's, until it is dropped.
    ///
    /// # Safety
    /// As [`add`](Self::add).
    pub(crate) unsafe fn unlinked(&self, node: NodePtr<N>) -> Unlinked<'_, N> {
        Unlinked { garbage: &self.garbage, node }
    }

    /// Moves everything to `all`, however young.
    pub(crate) fn move_to(&mut self, all: &mut List<N>) {
        self.garbage.move_to(all);
    }
}

/// A node that was taken out of its map by the one who has this; garbage when it is dropped.
pub(crate) struct Unlinked<'a, N: Node> {
    garbage: &'a Garbage<N>,
    node: NodePtr<N>,
}

// SAFETY: whoever has this may look at the node and drops it, and all other garbage with it.
unsafe impl<N: Node + Send + Sync> Send for Unlinked<'_, N> {}
// SAFETY: shared, it only shows the node.
unsafe impl<N: Node + Sync> Sync for Unlinked<'_, N> {}

impl<N: Node> Unlinked<'_, N> {
    pub(crate) fn live(&self) -> Live<'_, N> {
        // SAFETY: nobody frees it but this.
        unsafe { self.node.live() }
    }

    /// Makes it garbage and runs no destructor: for an operation that holds a guard until it returns, which has called
    /// [`Retired::free_share`] before.
    pub(crate) fn retire(self) {
        let this = ManuallyDrop::new(self);
        // SAFETY: as in `drop`, which does not run.
        unsafe { this.garbage.add(&DOMAIN, reader(), this.node) };
    }

    /// The node, if no reader can know it any more.
    pub(crate) fn try_take(self) -> Result<Fresh<N>, Self> {
        let past = DOMAIN.seal().is_some_and(|stamp| DOMAIN.is_past(stamp));
        if past { Ok(Fresh(ManuallyDrop::new(self).node)) } else { Err(self) }
    }
}

impl<N: Node> Drop for Unlinked<'_, N> {
    fn drop(&mut self) {
        // SAFETY: taken out of the map by the one who made this, and handed to nobody else.
        unsafe { self.garbage.add_and_free(&DOMAIN, reader(), self.node) };
    }
}
