//! The writer's operations: on the write side, or on the deferred changes while readers may be in that side.

use super::bin::{MixedHash, SideBin};
use super::dirty::Dirty;
use super::inner::LeftRightCore;
use super::pending::{Base, DeferredChange, Emptied, GrowingSide, PendingChanges, table};
use super::side::SidePlace;
use super::storage::Reclaimable;
use super::storage::Storage;
use super::writer_view::{WriterView, find, pair, placed_under};
use crate::error::TryReserveError;
use crate::sync::backoff::Backoff;
use crate::sync::sides::SideState;
use core::hash::{BuildHasher, Hash};
use core::mem;
use equivalent::Equivalent;

/// Entries whose keys are fetched together when all entries move.
const REBUILT: usize = 8;

/// The writer at work. There is one at a time: the `SAFETY` comments below rely on it.
pub(super) struct WriterCore<'a, K, V, S, P: Storage<K, V>> {
    shared: &'a LeftRightCore<K, V, S, P>,
    pending: &'a mut PendingChanges<P::Entry>,
}

impl<'a, K, V, S, P: Storage<K, V>> WriterCore<'a, K, V, S, P> {
    /// # Safety
    /// The caller holds the writer's claim, and makes no other `WriterCore` while this one is used.
    pub(super) unsafe fn new(shared: &'a LeftRightCore<K, V, S, P>) -> Self {
        // SAFETY: the caller holds the writer's claim, and no other `WriterCore` borrows the changes.
        let pending = unsafe { shared.pending_mut() };
        Self { shared, pending }
    }

    /// Returns the write side. The last swap is over, and the caller uses no other result of this function.
    #[allow(clippy::mut_from_ref)] // The side is borrowed from `shared`, so that `pending` can be borrowed beside it.
    #[inline(always)]
    fn write_side_mut(shared: &LeftRightCore<K, V, S, P>) -> &mut GrowingSide<P::Entry> {
        // SAFETY: there is one `WriterCore`, and it calls this only when the swap is over.
        unsafe { shared.write_side_mut() }
    }

    fn read_side(shared: &LeftRightCore<K, V, S, P>) -> &GrowingSide<P::Entry> {
        // SAFETY: there is one `WriterCore`, and it uses no result of this after the next swap.
        unsafe { shared.read_side() }
    }

    /// Returns what the writer sees, unpublished changes included.
    fn view(&self) -> WriterView<'_, K, V, S, P> {
        WriterView::new(self.shared, self.pending)
    }

    /// Drops the retired entries. The swap after which they were retired is over.
    fn free_retired(&mut self) {
        if !P::OWNS {
            return;
        }
        if self.must_defer_drops() {
            return self.set_retired_aside();
        }
        // SAFETY: `retire` linked all entries of the list.
        while let Some(entry) = unsafe { P::unlink(&mut self.pending.retired) } {
            // SAFETY: the entry was taken out before a swap that is over, so no reader can reach it.
            unsafe { self.recycle(entry) };
        }
        // A thread that panicked under the lock of a shared writer, or leaked it, may have left some.
        if mem::needs_drop::<(K, V)>() && self.pending.reclaimable.is_some() {
            drop(self.take_reclaimable());
        }
    }

    /// As `free_retired`, if this thread holds the lock: sets the entries aside until it has released the lock.
    fn set_retired_aside(&mut self) {
        if self.pending.reclaimable.is_none() {
            self.pending.reclaimable = self.pending.retired.take();
            return;
        }
        // SAFETY: `retire` linked all entries of the list.
        while let Some(entry) = unsafe { P::unlink(&mut self.pending.retired) } {
            // SAFETY: the entry was taken out before a swap that is over, so no reader can reach it.
            unsafe { P::link(entry, &mut self.pending.reclaimable) };
        }
    }

    /// Returns true if entries have destructors and this thread holds the lock of a shared writer. A destructor that
    /// used the writer would find the lock held by its own thread.
    #[inline(always)]
    fn must_defer_drops(&self) -> bool {
        mem::needs_drop::<(K, V)>() && self.pending.is_locked_here()
    }

    /// Drops an entry, or sets it aside until this thread has released the lock.
    ///
    /// # Safety
    /// The caller owns the entry, and no reader can reach it.
    unsafe fn free(&mut self, entry: P::Entry) {
        // SAFETY: the caller owns the entry, and no reader can reach it.
        unsafe {
            if self.must_defer_drops() {
                P::link(entry, &mut self.pending.reclaimable);
            } else {
                self.recycle(entry);
            }
        }
    }

    /// Drops the key and the value of an entry, and keeps its memory if there is not enough of that yet.
    ///
    /// # Safety
    /// The caller owns the entry, and no reader can reach it.
    #[inline(always)]
    unsafe fn recycle(&mut self, entry: P::Entry) {
        // SAFETY: the caller owns the entry, and no reader can reach it. If a destructor panics, `empty` has freed the
        // memory, and this does not go on to link it.
        unsafe {
            if self.pending.emptied.count >= P::KEPT {
                return P::free(entry);
            }
            P::empty(entry);
            let Emptied { list, count } = &mut self.pending.emptied;
            P::link(entry, list);
            *count += 1;
        }
    }

    /// Makes an entry, if there is one of an emptied entry. Hands key and value back if there is no memory.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn make(&mut self, hash: MixedHash, key: K, value: V) -> Result<P::Entry, (K, V)> {
        let Emptied { list, count } = &mut self.pending.emptied;
        // SAFETY: `recycle` linked all entries of the list, after it had emptied them.
        unsafe {
            let Some(emptied) = P::unlink(list) else { return P::make(hash, key, value) };
            *count -= 1;
            Ok(P::refill(emptied, hash, key, value))
        }
    }

    /// Frees the memory of all emptied entries.
    fn release_emptied(&mut self) {
        self.pending.emptied.count = 0;
        // SAFETY: `recycle` linked all entries of the list, after it had emptied them.
        while let Some(emptied) = unsafe { P::unlink(&mut self.pending.emptied.list) } {
            // SAFETY: as above, and the list owned it.
            unsafe { P::release(emptied) };
        }
    }

    /// Returns true if entries are set aside, to be dropped after the lock is released.
    #[cfg(feature = "std")]
    #[inline(always)]
    pub(super) fn has_reclaimable(&self) -> bool {
        mem::needs_drop::<(K, V)>() && self.pending.reclaimable.is_some()
    }

    /// Takes the entries that were set aside.
    pub(super) fn take_reclaimable(&mut self) -> Reclaimable<K, V, P> {
        // SAFETY: all entries of the list were linked by their owner, and no reader can reach them.
        unsafe { Reclaimable::new(self.pending.reclaimable.take()) }
    }

    /// Takes over an entry that was taken out of the write side, and drops it at once if no reader can have seen it.
    #[inline(always)]
    fn retire(&mut self, entry: P::Entry, is_visible: bool) {
        if !P::OWNS {
            return;
        }
        if is_visible {
            // SAFETY: the entry was just taken out, so the writer owns it.
            unsafe { P::link(entry, &mut self.pending.retired) };
        } else {
            // SAFETY: the entry was just taken out, and readers have never seen it.
            unsafe { self.free(entry) };
        }
    }

    /// Returns true if readers may see `entry`, which is, or just was, at `place` of the write side. `differed` says
    /// whether the sides may have differed there before; after a rebuild they may everywhere. No key is compared,
    /// because a key's answers may change.
    #[inline(always)]
    fn is_visible(&self, entry: &P::Entry, place: SidePlace, differed: bool) -> bool {
        if !P::OWNS || !differed {
            return true;
        }
        let read_side = Self::read_side(self.shared);
        if self.pending.dirty.is_rebuilt() {
            return read_side.len() != 0 && !self.pending.dirty.is_unseen(place);
        }
        // Both sides have the same layout, and entries do not move within it.
        read_side.get(place).is_some_and(|other| P::is_same(other, entry))
    }

    /// Moves `entries` to `next`. Calls `moved` with the value beside each entry, and with the entry's new place.
    #[inline(always)]
    fn move_all<'e, T: Copy>(
        mut entries: impl Iterator<Item = (T, &'e P::Entry)>,
        next: &mut GrowingSide<P::Entry>,
        rehash: impl Fn(&K) -> MixedHash,
        mut moved: impl FnMut(T, SidePlace),
    ) where
        P::Entry: 'e,
    {
        // Eight at a time, so that the processor waits for their keys together. The array has references, because eight
        // entries of 64 KiB would not fit on a small stack.
        let mut some = [None; REBUILT];
        loop {
            some.fill_with(|| entries.next().map(|(with, entry)| (MixedHash(0), with, entry)));
            for (hash, _, entry) in some.iter_mut().flatten() {
                // SAFETY: the entry is in the table, so it has been neither freed nor linked.
                *hash = unsafe { P::hash(entry, &rehash) };
            }
            for (hash, with, entry) in some.into_iter().flatten() {
                moved(with, next.place(hash, *entry, |_| {}));
            }
            if some[REBUILT - 1].is_none() {
                break;
            }
        }
    }

    /// Returns the write side, to be read.
    fn write_side(&self) -> &GrowingSide<P::Entry> {
        // SAFETY: there is one `WriterCore`, and only it changes the side.
        unsafe { self.shared.write_side() }
    }

    /// Notes which of the entries that moved from the write side to `next` readers cannot see. The two sides had the
    /// same layout.
    fn note_unseen(&self, next: &GrowingSide<P::Entry>, dirty: &mut Dirty) {
        let write_side = self.write_side();
        for bin in self.pending.dirty.bins() {
            for place in write_side.places_of(bin) {
                let Some(entry) = write_side.get(place) else { continue };
                if !self.is_visible(entry, place, true) {
                    // SAFETY: the entry is in the table. Notes are taken of boxed entries alone, which store their
                    // hash.
                    let hash = unsafe { P::hash(entry, |_| MixedHash(0)) };
                    // Found: `move_all` has just placed it under this hash.
                    if let Some((moved, _)) = next.find(hash, |other| P::is_same(other, entry)) {
                        dirty.note_unseen(moved);
                    }
                }
            }
        }
    }
}

impl<K: Eq + Hash, V, S: BuildHasher, P: Storage<K, V>> WriterCore<'_, K, V, S, P> {
    pub(super) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> MixedHash {
        self.shared.hash(key)
    }

    /// Returns the place of `key` on the write side, the hash under which it was placed, and the entry. Prefetches the
    /// bin of the read side, from which a changed bin is copied after the next swap.
    #[inline(always)]
    fn find_placed<Q>(&self, hash: MixedHash, key: &Q) -> Option<(SidePlace, MixedHash, &P::Entry)>
    where
        Q: Equivalent<K> + ?Sized,
    {
        if self.pending.dirty.is_small() {
            Self::read_side(self.shared).view().prefetch(hash);
        }
        let side = self.write_side();
        let (place, entry) = find::<K, V, P, _>(side, hash, key)?;
        Some((place, placed_under(self.shared, side, hash, place, entry), entry))
    }

    /// Returns true if the write side may be changed: the last swap is over, and no change is deferred. After a
    /// publish, the first call may wait briefly. `hash` is that of the key that the caller changes then.
    #[inline(always)]
    fn make_writable(&mut self, hash: Option<MixedHash>) -> Result<bool, TryReserveError> {
        if self.is_writable() { Ok(true) } else { self.make_writable_slow(hash) }
    }

    #[inline(always)]
    fn is_writable(&self) -> bool {
        self.pending.swap.is_none() && self.pending.deferred.is_empty()
    }

    /// Waits for readers only the first time after a swap. Later calls would wait again for the same stalled reader.
    #[inline(never)]
    fn make_writable_slow(&mut self, hash: Option<MixedHash>) -> Result<bool, TryReserveError> {
        if let Some(hash) = hash {
            // The bins arrive while the writer waits for readers.
            // SAFETY: there is one `WriterCore`, and it changes neither side while the references are used.
            let sides = unsafe { [self.shared.read_side(), self.shared.write_side()] };
            for side in sides {
                side.view().prefetch(hash);
            }
        }
        let may_wait = mem::take(&mut self.pending.may_wait);
        self.wait(&mut if may_wait { Backoff::brief() } else { Backoff::never() })
    }

    /// Brings the write side up to date if the last swap is over. If the slots do not tell, and `ask_system` is set,
    /// this asks the operating system for a barrier.
    fn try_finish_swap(&mut self, ask_system: bool) -> Result<bool, TryReserveError> {
        if let Some(swap) = &mut self.pending.swap {
            if !self.shared.sides.is_over(swap, || self.shared.slots(), ask_system) {
                return Ok(false);
            }
            self.pending.swap = None;
            let write_side = Self::write_side_mut(self.shared);
            // The read side was rebuilt: this side needs as many bins before it can be copied.
            if let Some(spare) = self.pending.spare.take() {
                *write_side = spare;
            }
            self.pending.dirty.copy(Self::read_side(self.shared), write_side);
            // The swap is over, so no reader can reach what was taken out before it.
            self.free_retired();
        }
        if !self.pending.deferred.is_empty() {
            self.apply_deferred()?;
        }
        Ok(true)
    }

    /// Makes the deferred changes. The only user code that may run is `Hash`, for growth; if it panics, the changes
    /// that are left stay in `deferred`.
    #[cold]
    fn apply_deferred(&mut self) -> Result<(), TryReserveError> {
        let mut deferred = mem::take(&mut self.pending.deferred);
        // Changes of existing entries come first: their places are valid only until the table grows.
        deferred.retain(|change| {
            let Some(Base { place, entry: base, home }) = change.base.take() else { return true };
            let (write_side, place) = (Self::write_side_mut(self.shared), SidePlace::from(place));
            let entry = write_side.get(place);
            if entry.is_none_or(|entry| !P::is_same(entry, &base)) {
                // Another change of the same key came first: the key's `Eq` contradicts itself.
                return change.now.is_some();
            }
            let stays = write_side.is_found_under(change.hash, home, place);
            match change.now {
                Some(entry) if stays => self.replace(place, entry),
                _ => self.take(home, place),
            }
            // Kept for the loop below if the new entry belongs into another bin.
            change.now.is_some() && !stays
        });
        self.pending.deferred_len = deferred.len().cast_signed();
        self.pending.deferred = deferred;
        self.make_room(self.pending.deferred.len())?;
        let PendingChanges { dirty, deferred, deferred_len, .. } = &mut *self.pending;
        for DeferredChange { hash, now, .. } in deferred.drain() {
            if let Some(entry) = now {
                let place =
                    Self::write_side_mut(self.shared).place(hash, entry, |place| dirty.mark(place));
                dirty.note_unseen(place);
            }
        }
        *deferred_len = 0;
        Ok(())
    }

    /// Replaces the entry at `place` of the write side by one with the same hash.
    #[inline(always)]
    fn replace(&mut self, place: SidePlace, entry: P::Entry) {
        let differed = self.pending.dirty.has(place);
        let old = Self::write_side_mut(self.shared).replace(place, entry);
        self.pending.dirty.mark(place);
        let is_visible = self.is_visible(&old, place, differed);
        if P::OWNS && differed {
            self.pending.dirty.note_unseen(place);
        }
        self.retire(old, is_visible);
    }

    /// Replaces the entry at `place` of the write side, which was placed under the hash `placed`, by one of an equal
    /// key. The hash of that key may differ, if `Hash` contradicts `Eq`.
    #[inline(always)]
    fn exchange(&mut self, placed: MixedHash, place: SidePlace, hash: MixedHash, entry: P::Entry) {
        if placed == hash {
            self.replace(place, entry);
        } else {
            self.replace_elsewhere(placed, place, hash, entry);
        }
    }

    /// As `exchange`, if the new entry belongs into another bin.
    #[cold]
    fn replace_elsewhere(
        &mut self,
        placed: MixedHash,
        place: SidePlace,
        hash: MixedHash,
        entry: P::Entry,
    ) {
        let differed = self.pending.dirty.has(place);
        let home = Self::write_side_mut(self.shared).home_of(placed, place);
        let old = Self::take_out(self.shared, &mut self.pending.dirty, home, place);
        let is_visible = self.is_visible(&old, place, differed);
        self.place(hash, entry);
        self.retire(old, is_visible);
    }

    fn take_out(
        shared: &LeftRightCore<K, V, S, P>,
        dirty: &mut Dirty,
        home: usize,
        place: SidePlace,
    ) -> P::Entry {
        Self::write_side_mut(shared).take(home, place, |place| dirty.mark(place))
    }

    /// Places a new entry on the write side, which has room for it.
    #[inline(always)]
    fn place(&mut self, hash: MixedHash, entry: P::Entry) {
        let dirty = &mut self.pending.dirty;
        let place = Self::write_side_mut(self.shared).place(hash, entry, |place| dirty.mark(place));
        if P::OWNS {
            dirty.note_unseen(place);
        }
    }

    /// Takes the entry at `place`, whose home is the bin `home`, out of the write side.
    fn take(&mut self, home: usize, place: SidePlace) {
        let differed = self.pending.dirty.has(place);
        let old = Self::take_out(self.shared, &mut self.pending.dirty, home, place);
        let is_visible = self.is_visible(&old, place, differed);
        self.retire(old, is_visible);
    }

    /// Grows the write side if it has no room for `more` entries.
    fn make_room(&mut self, more: usize) -> Result<(), TryReserveError> {
        let write_side = Self::write_side_mut(self.shared);
        let overflow = TryReserveError::CapacityOverflow;
        let wanted = write_side.len().checked_add(more).ok_or(overflow)?;
        let capacity = write_side.capacity();
        if wanted <= capacity { Ok(()) } else { self.rebuild(wanted.max(capacity + capacity / 3)) }
    }

    /// Moves all entries of the write side to a new one with room for `entries`.
    fn rebuild(&mut self, entries: usize) -> Result<(), TryReserveError> {
        let bins = SideBin::<P::Entry>::number_for(entries);
        let bins = bins.ok_or(TryReserveError::CapacityOverflow)?;
        let (mut next, spare) = (table(bins)?, table(bins)?);
        let notes_unseen = P::OWNS && Self::read_side(self.shared).len() != 0;
        let mut dirty = Dirty::everywhere(bins, notes_unseen)?;
        let write_side = Self::write_side_mut(self.shared);
        let rehash = |key: &K| self.shared.hash(key);
        if self.pending.dirty.notes_unseen() {
            let before = &self.pending.dirty;
            let entries =
                write_side.entries().map(|(place, entry)| (before.is_unseen(place), entry));
            Self::move_all(entries, &mut next, rehash, |is_unseen, place| {
                if is_unseen {
                    dirty.note_unseen(place);
                }
            });
        } else {
            let entries = write_side.entries().map(|(_, entry)| ((), entry));
            Self::move_all(entries, &mut next, rehash, |(), _| {});
            if notes_unseen {
                self.note_unseen(&next, &mut dirty);
            }
        }
        let write_side = Self::write_side_mut(self.shared);
        *write_side = next;
        self.pending.spare = Some(spare);
        self.pending.dirty = dirty;
        Ok(())
    }

    /// Returns the hash of a key that will be inserted soon, and prefetches its bin.
    #[inline(always)]
    pub(super) fn begin_insert(&self, key: &K) -> MixedHash {
        let hash = self.hash(key);
        self.write_side().view().prefetch(hash);
        hash
    }

    /// Prefetches the entry that a key of this hash most likely has. The write side may be stale.
    #[inline(always)]
    pub(super) fn prefetch_likely(&self, hash: MixedHash) {
        // SAFETY: the side does not change during the call, which changes nothing.
        unsafe { self.write_side().view().likely(hash, P::prefetch) };
    }

    /// Inserts an entry whose key has this hash, and returns true if it replaced another. Hands key and value back if
    /// there is no memory.
    // Without optimization, each inlined call would keep a key and a value of its own on the stack.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn insert(&mut self, hash: MixedHash, key: K, value: V) -> Result<bool, (K, V)> {
        match self.make_writable(Some(hash)) {
            Ok(true) => {}
            // Readers may be in the write side: a change would alter a state that was published whole.
            Ok(false) => return self.defer_insert(hash, key, value),
            Err(_) => return Err((key, value)),
        }
        if let Some((place, placed, _)) = self.find_placed(hash, &key) {
            let entry = self.make(hash, key, value)?;
            self.exchange(placed, place, hash, entry);
            return Ok(true);
        }
        let write_side = Self::write_side_mut(self.shared);
        if write_side.len() == write_side.capacity() && self.make_room(1).is_err() {
            return Err((key, value));
        }
        let entry = self.make(hash, key, value)?;
        self.place(hash, entry);
        Ok(false)
    }

    /// As `insert`, while readers may be in the write side.
    #[cold]
    fn defer_insert(&mut self, hash: MixedHash, key: K, value: V) -> Result<bool, (K, V)> {
        let deferred = &mut self.pending.deferred;
        if deferred.try_reserve(1, |change| change.hash.0).is_err() {
            return Err((key, value));
        }
        let is = |change: &DeferredChange<P::Entry>| {
            change.is_of(|entry| pair::<K, V, P>(entry).0 == &key)
        };
        if let Ok(mut noted) = deferred.find_entry(hash.0, is) {
            let old = noted.get_mut().now.replace(P::make(hash, key, value)?);
            // An equal key with another hash must be found under that hash from now on.
            if noted.get().hash != hash {
                let (change, _) = noted.remove();
                deferred.insert_unique(hash.0, DeferredChange { hash, ..change }, |change| {
                    change.hash.0
                });
            }
            self.pending.deferred_len += isize::from(old.is_none());
            // SAFETY: the entry was made since the last swap, so readers have never seen it.
            old.into_iter().for_each(|entry| unsafe { self.free(entry) });
            return Ok(old.is_some());
        }
        let base = self.view().base(hash, &key);
        let now = Some(self.make(hash, key, value)?);
        self.pending.deferred_len += isize::from(base.is_none());
        self.pending
            .deferred
            .insert_unique(hash.0, DeferredChange { hash, base, now }, |change| change.hash.0);
        Ok(base.is_some())
    }

    /// Removes the entry of `key`, and returns true if there was one. Fails if there is no memory.
    pub(super) fn remove<Q>(&mut self, key: &Q) -> Result<bool, TryReserveError>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hash = self.hash(key);
        if !self.make_writable(Some(hash))? {
            return self.defer_remove(hash, key);
        }
        let Some((place, hash, _)) = self.find_placed(hash, key) else { return Ok(false) };
        self.take(Self::write_side_mut(self.shared).home_of(hash, place), place);
        Ok(true)
    }

    /// Replaces the value of `key` by the result of `with`, and returns true if there was one. Fails if there is no
    /// memory.
    pub(super) fn update<Q>(
        &mut self,
        key: &Q,
        with: impl FnOnce(&V) -> V,
    ) -> Result<bool, TryReserveError>
    where
        K: Clone,
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hash = self.hash(key);
        if self.make_writable(Some(hash))?
            && let Some((place, placed, entry)) = self.find_placed(hash, key)
        {
            let (key, value) = pair::<K, V, P>(entry);
            // User code, which may panic: nothing has changed yet. The key is cloned behind it, so that no key is
            // dropped under the lock of a shared handle.
            let value = with(value);
            let key = key.clone();
            let entry = self.make(hash, key, value).map_err(|_| TryReserveError::Alloc)?;
            self.exchange(placed, place, hash, entry);
            return Ok(true);
        }
        let Some((key, value)) = self.view().get(key) else { return Ok(false) };
        let value = with(value);
        let key = key.clone();
        self.insert(hash, key, value).map_err(|_| TryReserveError::Alloc)
    }

    /// As `remove`, while readers may be in the write side.
    #[cold]
    fn defer_remove<Q>(&mut self, hash: MixedHash, key: &Q) -> Result<bool, TryReserveError>
    where
        Q: Equivalent<K> + ?Sized,
    {
        let is = |entry: &P::Entry| key.equivalent(pair::<K, V, P>(entry).0);
        if let Ok(mut change) = self.pending.deferred.find_entry(hash.0, |change| change.is_of(is))
        {
            let old = change.get_mut().now.take();
            if change.get().base.is_none() {
                change.remove();
            }
            self.pending.deferred_len -= isize::from(old.is_some());
            // SAFETY: the entry was made since the last swap, so readers have never seen it.
            old.into_iter().for_each(|entry| unsafe { self.free(entry) });
            return Ok(old.is_some());
        }
        let Some(base) = self.view().base(hash, key) else { return Ok(false) };
        let deferred = &mut self.pending.deferred;
        deferred.try_reserve(1, |change| change.hash.0).map_err(|_| TryReserveError::Alloc)?;
        let change = DeferredChange { hash, base: Some(base), now: None };
        deferred.insert_unique(hash.0, change, |change| change.hash.0);
        self.pending.deferred_len -= 1;
        Ok(true)
    }

    /// Removes all entries for which `keep` returns false. The last swap is over.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        for bin in 0..Self::write_side_mut(self.shared).bins() {
            for place in Self::write_side_mut(self.shared).places_of(bin) {
                let Some(entry) = Self::write_side_mut(self.shared).get(place) else { continue };
                let (key, value) = pair::<K, V, P>(entry);
                if !keep(key, value) {
                    // SAFETY: the entry is in the table, so it has been neither freed nor linked.
                    let hash = unsafe { P::hash(entry, |key| self.shared.hash(key)) };
                    self.take(Self::write_side_mut(self.shared).home_of(hash, place), place);
                }
            }
        }
    }

    /// Removes all entries. The last swap is over.
    pub(super) fn clear(&mut self) {
        if P::OWNS {
            return self.retain(|_, _| false);
        }
        self.pending.dirty.mark_all();
        Self::write_side_mut(self.shared).clear();
    }

    /// Makes room for `more` entries. During a swap, makes room for as many deferred changes instead.
    pub(super) fn reserve(&mut self, more: usize) -> Result<(), TryReserveError> {
        if self.make_writable(None)? {
            return self.make_room(more);
        }
        let deferred = &mut self.pending.deferred;
        deferred.try_reserve(more, |change| change.hash.0).map_err(|why| match why {
            hashbrown::TryReserveError::CapacityOverflow => TryReserveError::CapacityOverflow,
            hashbrown::TryReserveError::AllocError { .. } => TryReserveError::Alloc,
        })
    }

    /// Frees memory that the entries do not need. The last swap is over.
    pub(super) fn shrink_to_fit(&mut self) -> Result<(), TryReserveError> {
        self.release_emptied();
        let write_side = Self::write_side_mut(self.shared);
        let needed = SideBin::<P::Entry>::number_for(write_side.len()).unwrap_or(usize::MAX);
        if needed < write_side.bins() { self.rebuild(write_side.len()) } else { Ok(()) }
    }

    /// Waits until the last swap is over, as long as `backoff` allows, and returns whether it is.
    pub(super) fn wait(&mut self, backoff: &mut Backoff) -> Result<bool, TryReserveError> {
        // A busy reader soon sees the swap by itself, which saves the system's barrier.
        let mut briefly = if backoff.may_wait() { Backoff::brief() } else { Backoff::never() };
        while briefly.may_wait() {
            if self.try_finish_swap(false)? {
                return Ok(true);
            }
            let _ = briefly.wait_long();
        }
        while !self.try_finish_swap(true)? {
            if backoff.wait_long().is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Publishes all changes, unless a swap is not over that `backoff` does not allow to wait for. Returns whether all
    /// changes are published.
    pub(super) fn publish(&mut self, backoff: &mut Backoff) -> Result<bool, TryReserveError> {
        if self.view().is_changed() {
            if !self.is_writable() && !self.wait(backoff)? {
                return Ok(false);
            }
            if !SideState::IS_UNIQUE {
                // Set before the swap, so that readers of the new state find its generation.
                let generation = Self::read_side(self.shared).generation() + 1;
                Self::write_side_mut(self.shared).set_generation(generation);
            }
            self.pending.swap = Some(self.shared.sides.swap(self.shared.slots()));
            self.pending.may_wait = true;
        }
        self.pending.until_due = self.pending.publish_every;
        Ok(true)
    }

    /// Counts an operation, and publishes if `publish_every` says so. Does not wait for a reader that is in the way:
    /// the next operation tries again.
    #[inline(always)]
    pub(super) fn count(&mut self) {
        self.pending.until_due = self.pending.until_due.wrapping_sub(1);
        if self.pending.until_due == 0 {
            self.publish_as_due();
        }
    }

    #[inline(never)]
    fn publish_as_due(&mut self) {
        // Without automatic publishes the counter has only wrapped around.
        if self.pending.publish_every != 0 {
            self.pending.until_due = 1;
            // The change before has waited already. If there is no memory for the deferred changes, the next operation
            // fails and says so.
            let _ = self.publish(&mut Backoff::never());
        }
    }

    pub(super) fn publish_every(&mut self, operations: usize) {
        let done = self.pending.publish_every.wrapping_sub(self.pending.until_due);
        let left = operations.wrapping_sub(done);
        self.pending.publish_every = operations;
        // If the operations since the last publish are enough already, the next one publishes.
        self.pending.until_due = if operations != 0 && done >= operations { 1 } else { left };
    }
}
