//! What the writer sees: the newest side, and the changes that wait to be made to it.

use super::bin::Hashed;
use super::inner::Inner;
use super::pending::{Base, Change, PendingChanges, Table};
use super::side::{PackedPlace, Place, Side};
use super::storage::Storage;
use crate::sync::sides::Sides;
use core::hash::{BuildHasher, Hash};
use core::ptr::NonNull;
use equivalent::Equivalent;

/// Key and value of an entry, which is not freed while they are used: the writer frees entries, and asks.
pub(super) fn pair<K, V, P: Storage<K, V>>(entry: &P::Entry) -> (&K, &V) {
    // SAFETY: as above.
    unsafe { P::pair(NonNull::from(entry)) }
}

pub(super) fn find<'a, K, V, P, Q>(
    side: &'a Table<P::Entry>,
    hash: Hashed,
    key: &Q,
) -> Option<(Place, &'a P::Entry)>
where
    P: Storage<K, V>,
    Q: Equivalent<K> + ?Sized,
{
    side.find(hash, move |entry| key.equivalent(pair::<K, V, P>(entry).0))
}

/// The hash under which the entry at `place` was placed, which was found under `hash`: another one where a key's `Hash`
/// contradicts its `Eq`.
#[inline(always)]
pub(super) fn placed_under<K: Hash, V, S: BuildHasher, P: Storage<K, V>>(
    shared: &Inner<K, V, S, P>,
    side: &Table<P::Entry>,
    hash: Hashed,
    place: Place,
    entry: &P::Entry,
) -> Hashed {
    // No bin has counted an entry that lies in the bin where the search began. Any other inline entry is
    // hashed again.
    if !P::OWNS && hash.home(side.bins()) == place.bin {
        return hash;
    }
    // SAFETY: it is in the table, so it has not been freed.
    unsafe { P::hash(entry, |key| shared.hash(key)) }
}

pub(super) struct WriterView<'a, K, V, S, P: Storage<K, V>> {
    shared: &'a Inner<K, V, S, P>,
    pending: &'a PendingChanges<P::Entry>,
}

impl<'a, K, V, S, P: Storage<K, V>> WriterView<'a, K, V, S, P> {
    /// The draft's owner asks.
    pub(super) fn new(
        shared: &'a Inner<K, V, S, P>,
        pending: &'a PendingChanges<P::Entry>,
    ) -> Self {
        Self { shared, pending }
    }

    /// The side that has all changes but those of `later`.
    fn newest(&self) -> &'a Table<P::Entry> {
        // SAFETY: the writer asks, and neither turns nor changes the hidden side while the draft is borrowed.
        unsafe {
            if self.pending.swap.is_some() {
                self.shared.read_side()
            } else {
                self.shared.write_side()
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        // Notes of a key that denies itself may be more than one.
        self.newest().len().saturating_add_signed(self.pending.deferred_len)
    }

    pub(super) fn is_pending(&self) -> bool {
        self.pending.swap.is_some()
    }

    /// Whether there are changes that are not shown.
    pub(super) fn is_changed(&self) -> bool {
        !self.pending.deferred.is_empty() || !self.is_pending() && !self.pending.dirty.is_empty()
    }

    /// Of both sides and the writer's notes; not of boxes.
    pub(super) fn bytes(&self) -> usize {
        let spare = self.pending.spare.as_ref().map_or(0, Side::bytes);
        // SAFETY: as in `newest`; a hidden side that is still looked at does not change.
        let (shown, write_side) = unsafe { (self.shared.read_side(), self.shared.write_side()) };
        let notes = self.pending.dirty.bytes() + self.pending.deferred.allocation_size();
        shown.bytes() + write_side.bytes() + spare + notes
    }

    /// Of what is shown.
    pub(super) fn generation(&self) -> u64 {
        // SAFETY: as in `newest`.
        unsafe { self.shared.read_side() }.generation()
    }

    pub(super) fn capacity(&self) -> usize {
        self.newest().capacity()
    }

    /// Numbers of readers who may have been looking since before the last turn.
    pub(super) fn stalled_readers(&self) -> impl Iterator<Item = usize> + use<'a, K, V, S, P> {
        let shared = self.shared;
        let looking = |swap| Sides::stalled(swap, shared.slots());
        self.pending.swap.iter().flat_map(looking).map(|slot| slot.number())
    }

    /// The key's entry in the newest side.
    pub(super) fn base<Q>(&self, hash: Hashed, key: &Q) -> Option<Base<P::Entry>>
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
        let stands = move |(place, entry): &(Place, &P::Entry)| {
            let place = PackedPlace::from(*place);
            let is =
                |change: &Change<P::Entry>| change.base.is_some_and(|base| base.place == place);
            // SAFETY: it is in the table, so it has not been freed.
            let hash = || unsafe { P::hash(entry, |key| shared.hash(key)) };
            deferred.is_empty() || deferred.find(hash().0, is).is_none()
        };
        let base = newest.entries().filter(stands).map(|(_, entry)| entry);
        base.chain(deferred.iter().filter_map(|change| change.now.as_ref())).map(pair::<K, V, P>)
    }
}
