//! The writer's notes between publishes.
//!
//! - **Dirty places** ([`Dirty`]) are the slots and heads in which the sides may differ. A publish copies them byte by
//!   byte and prefetches their lines. After growth, or if there are more than a quarter as many as bins, it copies all
//!   bins. It calls no hash, key or closure again, cannot panic half way, and needs no memory.
//! - **Retired entries** are boxed entries that readers may still see. Boxed entries belong to neither side. If an
//!   entry was never on the read side, its removal frees it at once. Otherwise it is linked through the word of its
//!   node that held its hash, which readers never read. It is freed once the swap after its removal is complete.
//!   The writer makes others of a bounded number of freed entries, because the allocator would take almost half of the
//!   time of a change.
//! - **Places, not hashes** tell whether an entry is on the read side, because a key may return any hash. Entries stay
//!   in their slots, so while both sides have one layout, the read side has the entry in the same place. Growth notes a
//!   bit for each slot to which it moves an entry that readers cannot see.
//! - **Inconsistent keys**: an equal key may return another hash. A boxed entry stores the hash under which it was
//!   placed. The hash of an inline one is computed again if the entry is behind its home bin. An entry that replaces
//!   one of another hash moves, so that the overflow counts of bins match the entries in the table.
//! - **Deferred changes** go into a hash table while a swap is incomplete because a reader is stuck. A deferred change
//!   has the key's present entry, and its place on the read side. The writer's own lookups search that table first.
//!   Once the swap is complete, the writer makes the changes. Those whose entries have a place come first, because
//!   growth would move them.

use super::bin::MixedHash;
use super::bin::SideBin;
use super::dirty::Dirty;
use super::side::{PackedPlace, TableSide};
use crate::error::TryReserveError;
#[cfg(feature = "std")]
use crate::sync::holder::Holder;
use crate::sync::sides::PendingSwap;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use hashbrown::HashTable;
#[cfg(feature = "std")]
use std::sync::Arc;

/// Entries of a batch, with the hashes of their keys, that wait for their bins.
pub(super) type Batched<K, V> = VecDeque<(MixedHash, K, V)>;

/// A side of a map that grows.
pub(super) type GrowingSide<E> = TableSide<E, Vec<SideBin<E>>>;

/// Returns a side of `bins` empty bins.
pub(super) fn table<E: Copy>(bins: usize) -> Result<GrowingSide<E>, TryReserveError> {
    let mut room = Vec::new();
    room.try_reserve_exact(bins).map_err(|_| TryReserveError::Alloc)?;
    for bin in &mut room.spare_capacity_mut()[..bins] {
        SideBin::make_empty(bin);
    }
    // SAFETY: the vector has room for `bins` bins, and the loop has initialized each of them.
    unsafe { room.set_len(bins) };
    Ok(TableSide::new(room))
}

/// An entry on the read side, which therefore has the same place on both sides.
#[derive(Clone, Copy)]
pub(super) struct Base<E> {
    pub(super) place: PackedPlace,
    pub(super) entry: E,
    /// The home bin of the entry. An equal key may have another home, if its `Hash` contradicts its `Eq`. (The hash
    /// would take twice the memory on a small device, and alignment.)
    pub(super) home: usize,
}

/// A change that the writer deferred because readers were still in the write side.
pub(super) struct DeferredChange<E> {
    /// The hash of the key that was passed last.
    pub(super) hash: MixedHash,
    /// The key's entry on the read side, if there is one.
    pub(super) base: Option<Base<E>>,
    /// The key's entry after the change, or `None` if it was removed.
    pub(super) now: Option<E>,
}

impl<E> DeferredChange<E> {
    /// Returns true if `is` holds for an entry of the change's key.
    pub(super) fn is_of(&self, is: impl Fn(&E) -> bool) -> bool {
        self.now.as_ref().or(self.base.as_ref().map(|base| &base.entry)).is_some_and(is)
    }
}

/// Entries whose keys and values were dropped, to make others of them.
pub(super) struct Emptied<E> {
    pub(super) list: Option<E>,
    pub(super) count: usize,
}

/// The writer's notes between publishes. The next writer takes it over.
pub(super) struct PendingChanges<E> {
    pub(super) dirty: Dirty,
    /// Memory for the other side, if the write side has grown.
    pub(super) spare: Option<GrowingSide<E>>,
    /// Entries that were taken out of the write side and that readers may still see.
    pub(super) retired: Option<E>,
    /// Entries that no reader can see any more, to be dropped after this thread has released the shared writer's lock.
    pub(super) reclaimable: Option<E>,
    pub(super) emptied: Emptied<E>,
    /// Says which thread holds the lock, if threads share the writer.
    #[cfg(feature = "std")]
    pub(super) lock: Option<Arc<Holder>>,
    /// The last swap, until it is over: until no reader is in the new write side.
    pub(super) swap: Option<PendingSwap>,
    /// No change has waited for `swap` yet: the next one may wait briefly.
    pub(super) may_wait: bool,
    /// The changes since `swap`, which wait for it to be over.
    pub(super) deferred: HashTable<DeferredChange<E>>,
    /// How many entries `deferred` adds to those of the read side.
    pub(super) deferred_len: isize,
    /// Operations between a publish and the next automatic one; 0 for no automatic publishes.
    pub(super) publish_every: usize,
    /// Operations left until the next automatic publish. Counts down past 0 if there is none.
    pub(super) until_due: usize,
}

impl<E> PendingChanges<E> {
    /// Makes the pending changes of two sides of one bin.
    pub(super) fn new() -> Self {
        Self {
            dirty: Dirty::new(),
            spare: None,
            retired: None,
            reclaimable: None,
            emptied: Emptied { list: None, count: 0 },
            #[cfg(feature = "std")]
            lock: None,
            swap: None,
            may_wait: false,
            deferred: HashTable::new(),
            deferred_len: 0,
            publish_every: 0,
            until_due: 0,
        }
    }

    /// Returns true if threads share the writer and this thread holds the lock. It must not drop entries then, because
    /// a destructor may use the shared writer.
    #[cfg_attr(not(feature = "std"), allow(clippy::unused_self))]
    #[inline(always)]
    pub(super) fn is_locked_here(&self) -> bool {
        #[cfg(feature = "std")]
        return self.lock.as_ref().is_some_and(|lock| lock.is_this_thread());
        #[cfg(not(feature = "std"))]
        false
    }
}
