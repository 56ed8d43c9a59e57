//! The writer's view: the newest side, and the changes deferred since.

use super::bin::MixedHash;
use super::inner::LeftRightCore;
use super::pending::{Base, DeferredChange, GrowingSide, PendingChanges};
use super::side::{PackedPlace, SidePlace, TableSide};
use super::storage::Storage;
use crate::sync::sides::Sides;
use core::hash::{BuildHasher, Hash};
use core::ptr::NonNull;
use equivalent::Equivalent;

/// Returns key and value of an entry. The writer calls this, and only the writer frees entries.
pub(super) fn pair<K, V, P: Storage<K, V>>(entry: &P::Entry) -> (&K, &V) {
    // SAFETY: the writer does not free the entry while it uses the references.
    unsafe { P::pair(NonNull::from(entry)) }
}

pub(super) fn find<'a, K, V, P, Q>(
    side: &'a GrowingSide<P::Entry>,
    hash: MixedHash,
    key: &Q,
) -> Option<(SidePlace, &'a P::Entry)>
where
    P: Storage<K, V>,
    Q: Equivalent<K> + ?Sized,
{
    side.find(hash, move |entry| key.equivalent(pair::<K, V, P>(entry).0))
}

/// Returns the hash under which the entry at `place` was placed. `hash` is the one under which it was found. They
/// differ if a key's `Hash` contradicts its `Eq`.
#[inline(always)]
pub(super) fn placed_under<K: Hash, V, S: BuildHasher, P: Storage<K, V>>(
    shared: &LeftRightCore<K, V, S, P>,
    side: &GrowingSide<P::Entry>,
    hash: MixedHash,
    place: SidePlace,
    entry: &P::Entry,
) -> MixedHash {
    // No bin counts an entry in its home bin, so there either hash will do. Any other inline entry is hashed again.
    if !P::OWNS && hash.home(side.bins()) == place.bin {
        return hash;
    }
    // SAFETY: the entry is in the table, so it has been neither freed nor linked.
    unsafe { P::hash(entry, |key| shared.hash(key)) }
}

pub(super) struct WriterView<'a, K, V, S, P: Storage<K, V>> {
    shared: &'a LeftRightCore<K, V, S, P>,
    pending: &'a PendingChanges<P::Entry>,
}

impl<'a, K, V, S, P: Storage<K, V>> WriterView<'a, K, V, S, P> {
    /// Makes a view for the writer, which owns `pending`.
    pub(super) fn new(
        shared: &'a LeftRightCore<K, V, S, P>,
        pending: &'a PendingChanges<P::Entry>,
    ) -> Self {
        Self { shared, pending }
    }

    /// Returns the side that has all changes except the deferred ones.
    fn newest(&self) -> &'a GrowingSide<P::Entry> {
        // SAFETY: only the writer makes a view, and it neither swaps nor changes the sides while `pending` is borrowed.
        unsafe {
            if self.pending.swap.is_some() {
                self.shared.read_side()
            } else {
                self.shared.write_side()
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        // If a key's `Eq` contradicts itself, there may be two deferred changes of it.
        self.newest().len().saturating_add_signed(self.pending.deferred_len)
    }

    pub(super) fn is_pending(&self) -> bool {
        self.pending.swap.is_some()
    }

    /// Returns true if there are changes that readers cannot see.
    pub(super) fn is_changed(&self) -> bool {
        !self.pending.deferred.is_empty() || !self.is_pending() && !self.pending.dirty.is_empty()
    }

    /// Returns the bytes of both sides, of the writer's notes and of emptied boxes. Boxes of entries are not counted.
    pub(super) fn bytes(&self) -> usize {
        let spare = self.pending.spare.as_ref().map_or(0, TableSide::bytes);
        // SAFETY: as in `newest`. During a swap the write side does not change.
        let (read_side, write_side) =
            unsafe { (self.shared.read_side(), self.shared.write_side()) };
        let notes = self.pending.dirty.bytes() + self.pending.deferred.allocation_size();
        let emptied = self.pending.emptied.count * P::BYTES;
        read_side.bytes() + write_side.bytes() + spare + notes + emptied
    }

    /// Returns the generation of the read side.
    pub(super) fn generation(&self) -> u64 {
        // SAFETY: as in `newest`.
        let of_side = || unsafe { self.shared.read_side() }.generation();
        self.shared.sides.state().swaps().unwrap_or_else(of_side)
    }

    pub(super) fn capacity(&self) -> usize {
        self.newest().capacity()
    }

    /// Returns the numbers of the readers that may have been reading since before the last swap.
    pub(super) fn stalled_readers(&self) -> impl Iterator<Item = usize> + use<'a, K, V, S, P> {
        let shared = self.shared;
        let stalled = |swap| Sides::stalled(swap, shared.slots());
        self.pending.swap.iter().flat_map(stalled).map(|slot| slot.number())
    }

    /// Returns the entry of `key` in the newest side.
    pub(super) fn base<Q>(&self, hash: MixedHash, key: &Q) -> Option<Base<P::Entry>>
    where
        K: Hash,
        Q: Equivalent<K> + ?Sized,
        S: BuildHasher,
    {
        let side = self.newest();
        let (place, entry) = find::<K, V, P, Q>(side, hash, key)?;
        let placed = placed_under(self.shared, side, hash, place, entry);
        Some(Base { place: place.into(), entry: *entry, home: side.home_of(placed, place) })
    }

    pub(super) fn get<Q>(&self, key: &Q) -> Option<(&'a K, &'a V)>
    where
        Q: Hash + Equivalent<K> + ?Sized,
        S: BuildHasher,
    {
        let hash = self.shared.hash(key);
        let is = |entry: &P::Entry| key.equivalent(pair::<K, V, P>(entry).0);
        let entry = match self.pending.deferred.find(hash.0, |change| change.is_of(is)) {
            Some(change) => change.now.as_ref(),
            None => find::<K, V, P, Q>(self.newest(), hash, key).map(|(_, entry)| entry),
        };
        entry.map(pair::<K, V, P>)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a K, &'a V)> + use<'a, K, V, S, P>
    where
        K: Hash,
        S: BuildHasher,
    {
        let (shared, newest, deferred) = (self.shared, self.newest(), &self.pending.deferred);
        let is_current = move |(place, entry): &(SidePlace, &P::Entry)| {
            let place = PackedPlace::from(*place);
            let is = |change: &DeferredChange<P::Entry>| {
                change.base.is_some_and(|base| base.place == place)
            };
            // SAFETY: the entry is in the table, so it has been neither freed nor linked.
            let hash = || unsafe { P::hash(entry, |key| shared.hash(key)) };
            deferred.is_empty() || deferred.find(hash().0, is).is_none()
        };
        let base = newest.entries().filter(is_current).map(|(_, entry)| entry);
        base.chain(deferred.iter().filter_map(|change| change.now.as_ref())).map(pair::<K, V, P>)
    }
}
