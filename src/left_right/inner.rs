//! What the handles of one map share.
//!
//! # Synchronization
//! - The two sides are the protocol's ([`sides`](crate::sync::sides)): the one that is shown is read by
//!   everybody, the one that is hidden is written, when its turn is over, by the writer.
//! - The writer's place is a seat ([`seat`](crate::sync::seat)), `[SE-1]` ↔ `[SE-2]`: the next writer goes on with
//!   all that the last one had drafted.

use super::bin::Hashed;
use super::pending::{PendingChanges, Table, table};
use super::side::View;
use super::storage::Storage;
use super::storage::free_all;
use crate::error::TryReserveError;
use crate::sync::barrier;
use crate::sync::cache::CachePadded;
use crate::sync::claim::Claim;
use crate::sync::registry::Registry;
use crate::sync::sides::{SideState, Sides};
use crate::sync::slot::Slot;
use core::cell::UnsafeCell;
use core::hash::{BuildHasher, Hash};
use core::iter;
use core::marker::PhantomData;
use core::ptr::NonNull;

/// In this order: each lookup reads the state that `sides` begins with.
#[repr(C)]
pub(super) struct Inner<K, V, S, P: Storage<K, V>> {
    pub(super) sides: Sides,
    tables: CachePadded<[UnsafeCell<Table<P::Entry>>; 2]>,
    pub(super) hash_builder: S,
    registry: Registry,
    /// The writer's.
    writing: Claim,
    pending: UnsafeCell<PendingChanges<P::Entry>>,
    owns: PhantomData<(K, V)>,
}

// SAFETY: readers of any thread look at keys, values and the hasher (`Sync`), and whoever comes last drops them,
// as the writer drops entries (`Send`). Cells are written by one thread at a time: the sides' protocol and the
// writer's place see to it.
unsafe impl<K: Send + Sync, V: Send + Sync, S: Send, P: Storage<K, V>> Send for Inner<K, V, S, P> {}
// SAFETY: as above.
unsafe impl<K: Send + Sync, V: Send + Sync, S: Sync, P: Storage<K, V>> Sync for Inner<K, V, S, P> {}

impl<K, V, S, P: Storage<K, V>> Inner<K, V, S, P> {
    /// With its writer's place taken, by the caller.
    pub(super) fn try_new(hash_builder: S) -> Result<Self, TryReserveError> {
        barrier::prepare();
        let (one, other) = (table(1)?, table(1)?);
        Ok(Self {
            sides: Sides::new(),
            tables: CachePadded::new([UnsafeCell::new(one), UnsafeCell::new(other)]),
            hash_builder,
            registry: Registry::new(),
            writing: Claim::new(true),
            pending: UnsafeCell::new(PendingChanges::new()),
            owns: PhantomData,
        })
    }

    /// A reader's slot, that looks at nothing.
    pub(super) fn claim(&self) -> Option<NonNull<Slot>> {
        self.registry.claim().map(NonNull::from)
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.registry.slots()
    }

    /// Takes the writer's place, if it is free.
    pub(super) fn claim_writing(&self) -> bool {
        self.writing.take()
    }

    pub(super) fn release_writing(&self) {
        self.writing.release();
    }

    /// What a reader needs of the side that it was told.
    ///
    /// # Safety
    /// The caller is looking, and was told `shown`; or is the writer.
    pub(super) unsafe fn view(&self, state: SideState) -> View<P::Entry> {
        // SAFETY: the writer makes no change to a side that may be looked at.
        unsafe { &*self.tables[state.read_index()].get() }.view()
    }

    /// The side that is shown, for the writer.
    ///
    /// # Safety
    /// The caller has the writer's place, and does not turn while the reference is used.
    pub(super) unsafe fn read_side(&self) -> &Table<P::Entry> {
        // SAFETY: nobody changes what is shown.
        unsafe { &*self.tables[self.sides.state().read_index()].get() }
    }

    /// The side that is hidden, to be looked at by the writer.
    ///
    /// # Safety
    /// The caller has the writer's place, and neither turns nor changes the side while the reference is used.
    pub(super) unsafe fn write_side(&self) -> &Table<P::Entry> {
        // SAFETY: nobody changes it meanwhile.
        unsafe { &*self.tables[self.sides.state().write_index()].get() }
    }

    /// The side that is hidden.
    ///
    /// # Safety
    /// The caller has the writer's place, the last turn is over, and no other reference to the side is used
    /// meanwhile.
    #[allow(clippy::mut_from_ref)] // It is in a cell, for the one who writes.
    pub(super) unsafe fn write_side_mut(&self) -> &mut Table<P::Entry> {
        // SAFETY: as the caller says.
        unsafe { &mut *self.tables[self.sides.state().write_index()].get() }
    }

    /// The writer's draft.
    ///
    /// # Safety
    /// The caller has the writer's place, and uses no other such reference meanwhile.
    #[allow(clippy::mut_from_ref)] // As above.
    pub(super) unsafe fn pending_mut(&self) -> &mut PendingChanges<P::Entry> {
        // SAFETY: as the caller says.
        unsafe { &mut *self.pending.get() }
    }

    /// The writer's draft, to be looked at.
    ///
    /// # Safety
    /// The caller has the writer's place, and asks for no draft to change meanwhile.
    pub(super) unsafe fn pending(&self) -> &PendingChanges<P::Entry> {
        // SAFETY: as the caller says.
        unsafe { &*self.pending.get() }
    }

    #[inline(always)]
    pub(super) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> Hashed
    where
        S: BuildHasher,
    {
        Hashed::of(key, &self.hash_builder)
    }
}

impl<K, V, S, P: Storage<K, V>> Drop for Inner<K, V, S, P> {
    fn drop(&mut self) {
        let state = self.sides.state();
        let pending = self.pending.get_mut();
        // What the hidden side holds is stale while a turn is not over: then what is shown is all there is.
        let newest = if pending.swap.is_some() { state.read_index() } else { state.write_index() };
        let side = self.tables[newest].get_mut();
        let newest = side.entries().map(|(_, entry)| *entry);
        let deferred = pending.deferred.drain().filter_map(|change| change.now);
        let (retired, reclaimable) = (&mut pending.retired, &mut pending.reclaimable);
        // SAFETY: nobody is left, and each entry of the newest side, of what was changed since, and of both lists is
        // its own.
        unsafe {
            let retired = iter::from_fn(|| P::unlink(retired));
            let reclaimable = iter::from_fn(|| P::unlink(reclaimable));
            free_all::<K, V, P>(newest.chain(deferred).chain(retired).chain(reclaimable));
        }
    }
}
