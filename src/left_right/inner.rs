//! The part of a map that its handles share.
//!
//! # Synchronization
//! - The two sides follow the protocol of [`sides`](crate::sync::sides): all readers read the read side, and the writer
//!   changes the write side when the last swap is over.
//! - The writer holds a claim ([`claim`](crate::sync::claim)), `[SE-1]` ↔ `[SE-2]`: the next writer sees all that the
//!   last one did, and takes over its pending changes.

use super::bin::MixedHash;
use super::pending::{GrowingSide, PendingChanges, table};
use super::side::SideView;
use super::storage::Storage;
use super::storage::free_all;
use crate::error::TryReserveError;
use crate::sync::barrier;
use crate::sync::cache::CachePadded;
use crate::sync::claim::Claim;
use crate::sync::registry::Registry;
use crate::sync::sides::{SideState, Sides};
use crate::sync::slot::ReaderSlot;
use core::cell::UnsafeCell;
use core::hash::{BuildHasher, Hash};
use core::iter;
use core::marker::PhantomData;
use core::ptr::NonNull;

/// The fields are in this order because each lookup reads the state that `sides` begins with. A change writes the
/// header of one side and the pending changes. These are on lines of their own: on a line that lookups read, each
/// change would wait until the other cores have given up their copies, and their next lookups would fetch it again.
#[repr(C)]
pub(super) struct LeftRightCore<K, V, S, P: Storage<K, V>> {
    pub(super) sides: Sides,
    tables: [CachePadded<UnsafeCell<GrowingSide<P::Entry>>>; 2],
    pub(super) hash_builder: S,
    registry: Registry,
    /// Held by the writer.
    writing: Claim,
    pending: CachePadded<UnsafeCell<PendingChanges<P::Entry>>>,
    owns: PhantomData<(K, V)>,
}

// SAFETY: readers of any thread read keys, values and the hasher (`Sync`). The writer drops entries, and the thread
// that drops the last handle drops the rest (`Send`). One thread at a time writes the cells: the protocol of the sides
// ([LR-1] to [LR-5]) and the writer's claim ([SE-1], [SE-2]) ensure that.
unsafe impl<K: Send + Sync, V: Send + Sync, S: Send, P: Storage<K, V>> Send
    for LeftRightCore<K, V, S, P>
{
}
// SAFETY: as above.
unsafe impl<K: Send + Sync, V: Send + Sync, S: Sync, P: Storage<K, V>> Sync
    for LeftRightCore<K, V, S, P>
{
}

impl<K, V, S, P: Storage<K, V>> LeftRightCore<K, V, S, P> {
    /// Makes an empty map. The caller holds the writer's claim.
    pub(super) fn try_new(hash_builder: S) -> Result<Self, TryReserveError> {
        barrier::prepare();
        let (one, other) = (table(1)?, table(1)?);
        Ok(Self {
            sides: Sides::new(),
            tables: [one, other].map(|side| CachePadded::new(UnsafeCell::new(side))),
            hash_builder,
            registry: Registry::new(),
            writing: Claim::new(true),
            pending: CachePadded::new(UnsafeCell::new(PendingChanges::new())),
            owns: PhantomData,
        })
    }

    /// Claims a slot for a reader, which is in no read section. Returns `None` if there is no memory for one.
    pub(super) fn claim(&self) -> Option<NonNull<ReaderSlot>> {
        let _operation = self.sides.scheduled.operation();
        self.registry.claim().map(NonNull::from)
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &ReaderSlot> {
        self.registry.slots()
    }

    /// Claims the map for a writer, unless another writer holds the claim.
    pub(super) fn claim_writing(&self) -> bool {
        let _operation = self.sides.scheduled.operation();
        self.writing.take()
    }

    pub(super) fn release_writing(&self) {
        let _operation = self.sides.scheduled.operation();
        self.writing.release();
    }

    /// Returns a view of the side that `state` names as the read side.
    ///
    /// # Safety
    /// While the view is used, the caller is in a read section that returned `state`, or is the writer.
    pub(super) unsafe fn view(&self, state: SideState) -> SideView<P::Entry> {
        // SAFETY: the writer does not change a side that a reader may be in.
        unsafe { &*self.tables[state.read_index()].get() }.view_of(state)
    }

    /// Returns the read side, for the writer.
    ///
    /// # Safety
    /// The caller holds the writer's claim, and does not swap the sides while the reference is used.
    pub(super) unsafe fn read_side(&self) -> &GrowingSide<P::Entry> {
        // SAFETY: no thread changes the read side.
        unsafe { &*self.tables[self.sides.state().read_index()].get() }
    }

    /// Returns the write side, for the writer to read.
    ///
    /// # Safety
    /// The caller holds the writer's claim, and neither swaps nor changes the side while the reference is used.
    pub(super) unsafe fn write_side(&self) -> &GrowingSide<P::Entry> {
        // SAFETY: the caller promises that the side does not change while the reference is used.
        unsafe { &*self.tables[self.sides.state().write_index()].get() }
    }

    /// Returns the write side, to be changed.
    ///
    /// # Safety
    /// The caller holds the writer's claim, the last swap is over, and no other reference to the side is used at the
    /// same time.
    #[allow(clippy::mut_from_ref)] // The side is in a cell that only the writer uses.
    pub(super) unsafe fn write_side_mut(&self) -> &mut GrowingSide<P::Entry> {
        // SAFETY: the caller promises that it alone uses the side.
        unsafe { &mut *self.tables[self.sides.state().write_index()].get() }
    }

    /// Returns the writer's pending changes.
    ///
    /// # Safety
    /// The caller holds the writer's claim, and uses no other reference to them at the same time.
    #[allow(clippy::mut_from_ref)] // The changes are in a cell that only the writer uses.
    pub(super) unsafe fn pending_mut(&self) -> &mut PendingChanges<P::Entry> {
        // SAFETY: the caller promises that it alone uses them.
        unsafe { &mut *self.pending.get() }
    }

    /// Returns the writer's pending changes, to be read.
    ///
    /// # Safety
    /// The caller holds the writer's claim, and does not call `pending_mut` while the reference is used.
    pub(super) unsafe fn pending(&self) -> &PendingChanges<P::Entry> {
        // SAFETY: the caller promises that they do not change while the reference is used.
        unsafe { &*self.pending.get() }
    }

    #[inline(always)]
    pub(super) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> MixedHash
    where
        S: BuildHasher,
    {
        MixedHash::of(key, &self.hash_builder)
    }
}

impl<K, V, S, P: Storage<K, V>> Drop for LeftRightCore<K, V, S, P> {
    fn drop(&mut self) {
        let state = self.sides.state();
        let pending = self.pending.get_mut();
        // During a swap the write side is stale, and the read side has all entries except the deferred ones.
        let newest = if pending.swap.is_some() { state.read_index() } else { state.write_index() };
        let side = self.tables[newest].get_mut();
        let newest = side.entries().map(|(_, entry)| *entry);
        let deferred = pending.deferred.drain().filter_map(|change| change.now);
        let (retired, reclaimable) = (&mut pending.retired, &mut pending.reclaimable);
        // SAFETY: there are no handles left. Each entry is in exactly one of the newest side, the deferred changes and
        // the two lists. Those of the list of emptied entries have neither key nor value.
        unsafe {
            let retired = iter::from_fn(|| P::unlink(retired));
            let reclaimable = iter::from_fn(|| P::unlink(reclaimable));
            while let Some(emptied) = P::unlink(&mut pending.emptied.list) {
                P::release(emptied);
            }
            free_all::<K, V, P>(newest.chain(deferred).chain(retired).chain(reclaimable));
        }
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::LeftRightCore;
    use crate::left_right::storage::Inline;
    use core::ops::RangeInclusive;

    /// Returns the cache lines of a value, as numbers from the begin of the memory.
    fn lines<T>(value: &T) -> RangeInclusive<usize> {
        let line = align_of::<crate::sync::cache::CachePadded<u8>>();
        let first = (&raw const *value).addr();
        first / line..=(first + size_of_val(value) - 1) / line
    }

    #[test]
    fn changes_write_no_line_that_lookups_read() {
        let inner = LeftRightCore::<u64, u64, [u64; 2], Inline>::try_new([0; 2]).unwrap();
        let [one, other] = &inner.tables;
        let written = [lines(&**other), lines(&*inner.pending)];
        for read in [lines(&inner.sides), lines(&**one), lines(&inner.hash_builder)] {
            for written in &written {
                let apart = written.clone().all(|line| !read.contains(&line));
                assert!(apart, "lookups read the lines {read:?}, and changes write {written:?}");
            }
        }
    }
}
