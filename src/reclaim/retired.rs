//! A node before it is in a map, and after it was taken out.

use super::collector::Readers;
use super::errors::Cause;
use super::garbage::{Freed, Garbage, free_all};
use super::guard::{Guard, reader};
use super::node::{List, Live, NodePtr, ReclaimNode};
use super::node_memory::NodeMemory;
use crate::facade::atomic::AtomicUsize;
use crate::sync::backoff::Backoff;
use crate::sync::hint::Hint;
use core::mem::ManuallyDrop;

/// A node that is not in a map yet. Freed on drop.
pub(crate) struct Fresh<N: ReclaimNode>(pub(crate) NodePtr<N>);

impl<N: ReclaimNode> Fresh<N> {
    /// Returns the node, which is not freed on drop any more.
    pub(crate) fn take(self) -> NodePtr<N> {
        ManuallyDrop::new(self).0
    }

    #[inline(always)]
    pub(crate) fn live(&self) -> Live<'_, N> {
        // SAFETY: the node is alive until `self` is dropped or taken, and both need `self` unborrowed.
        unsafe { self.0.live() }
    }
}

impl<N: ReclaimNode> Drop for Fresh<N> {
    fn drop(&mut self) {
        // SAFETY: no other thread has the node.
        unsafe { N::free(self.0.0) }
    }
}

/// Nodes that no other thread has. Freed on drop, even if a destructor panics.
pub(crate) struct NodeList<N: ReclaimNode>(pub(crate) List<N>);

// SAFETY: no other thread has one of the nodes.
unsafe impl<N: ReclaimNode + Send> Send for NodeList<N> {}
// SAFETY: a shared reference gives access to nothing but the length.
unsafe impl<N: ReclaimNode + Sync> Sync for NodeList<N> {}

impl<N: ReclaimNode> NodeList<N> {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes the first node out of the list.
    pub(crate) fn pop(&mut self) -> Option<Fresh<N>> {
        // The list owns its nodes, so `Fresh` may take one over.
        self.0.pop().map(Fresh)
    }
}

impl<N: ReclaimNode> Drop for NodeList<N> {
    fn drop(&mut self) {
        // SAFETY: the list owns its nodes.
        unsafe { free_all(&mut self.0) }
    }
}

/// Whether an operation may wait.
#[derive(Clone, Copy)]
pub(crate) enum WaitMode {
    /// The operation waits for other writers, and fails only if there is no memory.
    Blocking,
    /// The operation does not wait. It makes no garbage if that would exceed the limit, and fails with this cause.
    NonBlocking(Result<(), Cause>),
}

impl WaitMode {
    /// The mode of lookups and removals that do not wait: they add nothing to the map, so the limit does not concern
    /// them.
    pub(crate) const NON_BLOCKING: Self = Self::NonBlocking(Ok(()));

    /// Returns a guard for the operation. Fails only if the operation does not wait, and there is no memory.
    #[inline(always)]
    pub(crate) fn pin(self, readers: &Readers) -> Result<Guard<'_>, Cause> {
        match self {
            Self::Blocking => Ok(readers.pin()),
            Self::NonBlocking(_) => readers.try_pin().map_err(|_| Cause::Alloc),
        }
    }

    pub(crate) fn backoff(self) -> Backoff {
        match self {
            Self::Blocking => Backoff::spinning(),
            Self::NonBlocking(_) => Backoff::never(),
        }
    }

    /// Returns true if the operation may begin again because of another writer.
    pub(crate) fn waits(self) -> bool {
        matches!(self, Self::Blocking)
    }

    /// Fails if the operation must not make more garbage.
    pub(crate) fn room(self) -> Result<(), Cause> {
        match self {
            Self::Blocking => Ok(()),
            Self::NonBlocking(room) => room,
        }
    }
}

/// The garbage of a map, the readers that may be using it, and a limit to it.
#[repr(C)] // So that a pointer to it is one to its garbage, and operations that add garbage need no second one.
pub(crate) struct Retired<N> {
    garbage: Garbage<N>,
    readers: Readers,
    /// Nodes that may be garbage when a non-blocking operation adds more. `usize::MAX` is no limit.
    limit: Hint<AtomicUsize>,
}

impl<N: ReclaimNode> Retired<N> {
    pub(crate) const fn new() -> Self {
        let limit = Hint::<AtomicUsize>::new(usize::MAX);
        Self { readers: Readers::new(), garbage: Garbage::new(), limit }
    }

    /// Frees all garbage. Further garbage waits for `readers`.
    pub(crate) fn set_readers(&mut self, readers: &Readers) {
        // The bags too: their stamps mean nothing to another domain.
        let mut garbage = core::mem::replace(&mut self.garbage, Garbage::new());
        self.readers = readers.clone();
        let mut all = List::new();
        garbage.move_to(&mut all);
        // SAFETY: `&mut self` excludes readers.
        unsafe { free_all(&mut all) };
    }

    /// Returns the number of nodes that are garbage.
    pub(crate) fn pending(&self) -> usize {
        self.garbage.len()
    }

    /// Returns the bytes on the heap, without those of the nodes.
    pub(crate) fn bytes(&self) -> usize {
        self.garbage.bytes()
    }

    pub(crate) fn limit(&self) -> Option<usize> {
        Some(self.limit.load()).filter(|&limit| limit != usize::MAX)
    }

    pub(crate) fn set_limit(&self, limit: Option<usize>) {
        self.limit.store(limit.unwrap_or(usize::MAX));
    }

    /// Returns the mode of an operation that does not wait. Frees garbage above the limit. To be called before the
    /// operation takes its own guard, which would keep that garbage.
    #[inline]
    pub(crate) fn non_blocking(&self) -> WaitMode {
        WaitMode::NonBlocking(match self.limit() {
            Some(limit) if self.garbage.len() > limit => self.make_room(limit),
            _ => Ok(()),
        })
    }

    #[cold]
    fn make_room(&self, limit: usize) -> Result<(), Cause> {
        if self.garbage.make_room(self.readers.domain(), limit) {
            return Ok(());
        }
        // If no reader was in the way, another thread was.
        match self.readers.stalled().count() {
            0 => Err(Cause::Busy),
            readers => Err(Cause::Stalled { readers }),
        }
    }

    /// Frees the garbage that no reader can see any more.
    pub(crate) fn reclaim(&self) {
        self.garbage.reclaim(self.readers.domain());
    }

    /// Adds a node. Runs no destructor.
    ///
    /// # Safety
    /// The node was unlinked from where readers find it, by this thread or one that it has synchronized with. It is
    /// added once.
    pub(crate) unsafe fn add(&self, node: NodePtr<N>) {
        // SAFETY: the caller promises what `Garbage::add` requires.
        unsafe { self.garbage.add(|| self.readers.domain(), reader, node) };
    }

    /// Frees a few reclaimable nodes, as dropping an [`Unlinked`] does, and returns the memory of one. The caller holds
    /// no guard of its own: with one, a slow destructor would keep the garbage of all maps.
    #[inline(always)]
    pub(crate) fn free_share(&self) -> Option<NodeMemory> {
        self.garbage.free_share(reader)
    }

    /// Frees a reclaimable node before an operation. Returns its memory, or the panic of its destructor, so that the
    /// operation can take place before the panic goes on. The caller holds no guard of its own, as in
    /// [`free_share`](Self::free_share).
    #[inline(always)]
    pub(crate) fn free_one_before(&self, mode: WaitMode) -> Freed {
        self.garbage.free_one_before(|| self.readers.domain(), reader, mode.waits())
    }

    /// Returns a node that belongs to the caller, until it is dropped.
    ///
    /// # Safety
    /// As [`add`](Self::add).
    pub(crate) unsafe fn unlinked(&self, node: NodePtr<N>) -> Unlinked<'_, N> {
        Unlinked { retired: self, node }
    }

    /// Moves all nodes to `all`, even those that readers may be using.
    pub(crate) fn move_to(&mut self, all: &mut List<N>) {
        self.garbage.move_to(all);
    }
}

/// A node that its owner has taken out of a map. It becomes garbage on drop.
pub(crate) struct Unlinked<'a, N: ReclaimNode> {
    retired: &'a Retired<N>,
    node: NodePtr<N>,
}

// SAFETY: the owner may read the node (`Sync`), and dropping it may drop that node and other garbage (`Send`).
unsafe impl<N: ReclaimNode + Send + Sync> Send for Unlinked<'_, N> {}
// SAFETY: a shared reference gives access to the node for reading alone.
unsafe impl<N: ReclaimNode + Sync> Sync for Unlinked<'_, N> {}

impl<N: ReclaimNode> Unlinked<'_, N> {
    pub(crate) fn live(&self) -> Live<'_, N> {
        // SAFETY: only `self` frees the node.
        unsafe { self.node.live() }
    }

    /// Makes the node garbage and runs no destructor. For an operation that holds a guard until it returns, and has
    /// called [`Retired::free_share`] before.
    pub(crate) fn retire(self) {
        let this = ManuallyDrop::new(self);
        // SAFETY: as in `drop`, which does not run.
        unsafe { this.retired.add(this.node) };
    }

    /// Returns the node, if no reader can see it any more.
    pub(crate) fn try_take(self) -> Result<Fresh<N>, Self> {
        let domain = self.retired.readers.domain();
        let past = domain.seal().is_some_and(|stamp| domain.is_past(stamp));
        if past { Ok(Fresh(ManuallyDrop::new(self).node)) } else { Err(self) }
    }
}

impl<N: ReclaimNode> Drop for Unlinked<'_, N> {
    fn drop(&mut self) {
        let Retired { readers, garbage, .. } = self.retired;
        // SAFETY: the caller of `unlinked` promised that the node was unlinked, and it is added once.
        unsafe { garbage.add_and_free(|| readers.domain(), reader, self.node) };
    }
}
