//! What the writer does: to the hidden side, and beside it while readers may be looking there.

use super::bin::{Bin, Hashed};
use super::inner::Inner;
use super::pending::{Base, DeferredChange, Dirty, PendingChanges, Table, table};
use super::side::Place;
use super::storage::Reclaimable;
use super::storage::Storage;
use super::writer_view::{WriterView, find, pair, placed_under};
use crate::error::TryReserveError;
use crate::sync::backoff::Backoff;
use core::hash::{BuildHasher, Hash};
use core::mem;
use equivalent::Equivalent;

/// So many entries' keys are waited for at once where all are moved.
const REBUILT: usize = 8;

/// The writer's place, in use. There is one at a time, so each `SAFETY` below may say so.
pub(super) struct WriterCore<'a, K, V, S, P: Storage<K, V>> {
    shared: &'a Inner<K, V, S, P>,
    pending: &'a mut PendingChanges<P::Entry>,
}

impl<'a, K, V, S, P: Storage<K, V>> WriterCore<'a, K, V, S, P> {
    /// # Safety
    /// The caller has the writer's place, and makes no other pen while this one is used.
    pub(super) unsafe fn new(shared: &'a Inner<K, V, S, P>) -> Self {
        // SAFETY: as the caller says.
        let pending = unsafe { shared.pending_mut() };
        Self { shared, pending }
    }

    /// The hidden side, where the last turn is over. Not to be used beside another of its results.
    #[allow(clippy::mut_from_ref)] // The side is the shared part's, and the draft may be borrowed beside it.
    #[inline(always)]
    fn write_side_mut(shared: &Inner<K, V, S, P>) -> &mut Table<P::Entry> {
        // SAFETY: there is one pen; it asks where the turn is over.
        unsafe { shared.write_side_mut() }
    }

    fn read_side(shared: &Inner<K, V, S, P>) -> &Table<P::Entry> {
        // SAFETY: there is one pen, and no result is used across a turn.
        unsafe { shared.read_side() }
    }

    /// What the writer sees.
    fn view(&self) -> WriterView<'_, K, V, S, P> {
        WriterView::new(self.shared, self.pending)
    }

    fn free_retired(&mut self) {
        if !P::OWNS {
            return;
        }
        if self.must_defer_drops() {
            return self.set_retired_aside();
        }
        // SAFETY: linked by `retire`.
        while let Some(entry) = unsafe { P::unlink(&mut self.pending.retired) } {
            // SAFETY: taken out before a turn that is over: nobody can have met it since.
            unsafe { P::free(entry) };
        }
        // What a thread that panicked has left.
        if mem::needs_drop::<(K, V)>() && self.pending.reclaimable.is_some() {
            drop(self.take_reclaimable());
        }
    }

    /// As `free_retired`, where this thread has the lock: it is to be dropped when that was given back.
    fn set_retired_aside(&mut self) {
        if self.pending.reclaimable.is_none() {
            self.pending.reclaimable = self.pending.retired.take();
            return;
        }
        // SAFETY: linked by `retire`.
        while let Some(entry) = unsafe { P::unlink(&mut self.pending.retired) } {
            // SAFETY: taken out before a turn that is over: nobody can have met it since.
            unsafe { P::link(entry, &mut self.pending.reclaimable) };
        }
    }

    /// Whether this thread holds the lock of those who share the writer, and entries have destructors, which may ask
    /// for it: then nothing is to be dropped yet.
    #[inline(always)]
    fn must_defer_drops(&self) -> bool {
        mem::needs_drop::<(K, V)>() && self.pending.is_locked_here()
    }

    /// Drops an entry, or leaves that for when this thread has given the lock back.
    ///
    /// # Safety
    /// The caller owns the entry, and nobody can meet it any more.
    unsafe fn free(&mut self, entry: P::Entry) {
        // SAFETY: as the caller says.
        unsafe {
            if self.must_defer_drops() {
                P::link(entry, &mut self.pending.reclaimable);
            } else {
                P::free(entry);
            }
        }
    }

    /// Whether entries wait for being dropped with nothing locked.
    #[cfg(feature = "std")]
    #[inline(always)]
    pub(super) fn has_reclaimable(&self) -> bool {
        mem::needs_drop::<(K, V)>() && self.pending.reclaimable.is_some()
    }

    /// Entries that are to be dropped with nothing locked.
    pub(super) fn take_reclaimable(&mut self) -> Reclaimable<K, V, P> {
        // SAFETY: linked by `free`, whose caller owned them.
        unsafe { Reclaimable::new(self.pending.reclaimable.take()) }
    }

    /// Retires an entry that was taken out of the hidden side: drops it at once if no reader can have seen it.
    #[inline(always)]
    fn retire(&mut self, entry: P::Entry, is_visible: bool) {
        if !P::OWNS {
            return;
        }
        if is_visible {
            // SAFETY: just taken out.
            unsafe { P::link(entry, &mut self.pending.retired) };
        } else {
            // SAFETY: just taken out, and never shown.
            unsafe { self.free(entry) };
        }
    }

    /// Whether readers may see `entry`, which lies, or just lay, at `place` of the hidden side; `differed` if the sides
    /// may have differed there before, as they may everywhere after one was rebuilt. No key is asked: its answers may
    /// change.
    #[inline(always)]
    fn is_visible(&self, entry: &P::Entry, place: Place, differed: bool) -> bool {
        if !P::OWNS || !differed {
            return true;
        }
        let shown = Self::read_side(self.shared);
        if self.pending.dirty.is_rebuilt() {
            return shown.len() != 0 && !self.pending.dirty.is_unseen(place);
        }
        // Entries stay where they are, and the sides have one layout.
        shown.get(place).is_some_and(|other| P::is_same(other, entry))
    }

    /// Moves entries to `next`, each with something that `moved` is told together with its new place.
    #[inline(always)]
    fn move_all<'e, T: Copy>(
        mut entries: impl Iterator<Item = (T, &'e P::Entry)>,
        next: &mut Table<P::Entry>,
        rehash: impl Fn(&K) -> Hashed,
        mut moved: impl FnMut(T, Place),
    ) where
        P::Entry: 'e,
    {
        // Several at a time, so that the processor waits for their keys together. References, because eight entries of
        // 64 KiB do not fit on a small stack.
        let mut some = [None; REBUILT];
        loop {
            some.fill_with(|| entries.next().map(|(with, entry)| (Hashed(0), with, entry)));
            for (hash, _, entry) in some.iter_mut().flatten() {
                // SAFETY: it is in the table, so it has not been freed.
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

    /// Notes which entries that were moved from the hidden side to `next` readers cannot see, where the sides had one
    /// layout.
    fn note_unseen(&self, next: &Table<P::Entry>, dirty: &mut Dirty) {
        let write_side = Self::write_side_mut(self.shared);
        for bin in self.pending.dirty.bins(write_side.bins()) {
            for place in write_side.places_of(bin) {
                let Some(entry) = write_side.get(place) else { continue };
                if !self.is_visible(entry, place, true) {
                    // SAFETY: it is in the table, so it has not been freed; a boxed entry knows its hash.
                    let hash = unsafe { P::hash(entry, |_| Hashed(0)) };
                    // It was just placed under this hash.
                    if let Some((moved, _)) = next.find(hash, |other| P::is_same(other, entry)) {
                        dirty.note_unseen(moved);
                    }
                }
            }
        }
    }
}

impl<K: Eq + Hash, V, S: BuildHasher, P: Storage<K, V>> WriterCore<'_, K, V, S, P> {
    pub(super) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> Hashed {
        self.shared.hash(key)
    }

    /// Where the key's entry lies in the hidden side, the hash under which it was placed there, and the entry. Asks for
    /// the other side's lines meanwhile: what changes is copied there.
    #[inline(always)]
    fn find_placed<Q>(&self, hash: Hashed, key: &Q) -> Option<(Place, Hashed, &P::Entry)>
    where
        Q: Equivalent<K> + ?Sized,
    {
        if self.pending.dirty.is_small() {
            Self::read_side(self.shared).view().prefetch(hash);
        }
        let side = &*Self::write_side_mut(self.shared);
        let (place, entry) = find::<K, V, P, _>(side, hash, key)?;
        Some((place, placed_under(self.shared, side, hash, place, entry), entry))
    }

    /// Whether the hidden side may be changed: the last turn is over, and what was changed meanwhile is in it.
    #[inline(always)]
    pub(super) fn make_writable(&mut self) -> Result<bool, TryReserveError> {
        if self.is_writable() { Ok(true) } else { self.make_writable_slow() }
    }

    #[inline(always)]
    fn is_writable(&self) -> bool {
        self.pending.swap.is_none() && self.pending.deferred.is_empty()
    }

    /// Who did not leave the first time is not waited for again.
    #[inline(never)]
    fn make_writable_slow(&mut self) -> Result<bool, TryReserveError> {
        let fresh = mem::take(&mut self.pending.may_wait);
        self.wait(&mut if fresh { Backoff::brief() } else { Backoff::never() })
    }

    /// As `settle`, if the slots say so, or if `ask_system` the operating system.
    fn try_finish_swap(&mut self, ask_system: bool) -> Result<bool, TryReserveError> {
        if let Some(swap) = &mut self.pending.swap {
            if !self.shared.sides.is_over(swap, || self.shared.slots(), ask_system) {
                return Ok(false);
            }
            self.pending.swap = None;
            let write_side = Self::write_side_mut(self.shared);
            if let Some(spare) = self.pending.spare.take() {
                *write_side = spare;
            }
            self.pending.dirty.copy(Self::read_side(self.shared), write_side);
            self.free_retired();
        }
        if !self.pending.deferred.is_empty() {
            self.apply_deferred()?;
        }
        Ok(true)
    }

    /// Changes the hidden side as was asked while it could not be. No user code runs but the hashing of growth,
    /// and what is left to do then is still in `later`.
    #[cold]
    fn apply_deferred(&mut self) -> Result<(), TryReserveError> {
        let mut deferred = mem::take(&mut self.pending.deferred);
        // Places are those of the base until the table grows, so what has one comes first.
        deferred.retain(|change| {
            let Some(Base { place, entry: base, home }) = change.base.take() else { return true };
            let (write_side, place) = (Self::write_side_mut(self.shared), Place::from(place));
            let entry = write_side.get(place);
            if entry.is_none_or(|entry| !P::is_same(entry, &base)) {
                // Two changes of one key, by an `Eq` that contradicts itself, and the other came first.
                return change.now.is_some();
            }
            let stays = write_side.is_found_under(change.hash, home, place);
            match change.now {
                Some(entry) if stays => self.replace(place, entry),
                _ => self.take(home, place),
            }
            // One that belongs elsewhere gets a place there.
            change.now.is_some() && !stays
        });
        self.pending.deferred_len = deferred.len().cast_signed();
        self.pending.deferred = deferred;
        self.make_room(self.pending.deferred.len())?;
        let PendingChanges { dirty, deferred, deferred_len, .. } = &mut *self.pending;
        for DeferredChange { hash, now, .. } in deferred.drain() {
            if let Some(entry) = now {
                let place =
                    Self::write_side_mut(self.shared).place(hash, entry, |bin| dirty.mark(bin));
                dirty.note_unseen(place);
            }
        }
        *deferred_len = 0;
        Ok(())
    }

    /// Replaces the entry at `place` of the hidden side by one of the same hash.
    #[inline(always)]
    fn replace(&mut self, place: Place, entry: P::Entry) {
        let differed = self.pending.dirty.has(place.bin);
        let old = Self::write_side_mut(self.shared).replace(place, entry);
        self.pending.dirty.mark(place.bin);
        let is_visible = self.is_visible(&old, place, differed);
        if P::OWNS && differed {
            self.pending.dirty.note_unseen(place);
        }
        self.retire(old, is_visible);
    }

    /// Replaces the entry at `place` of the hidden side, which was placed under the hash `placed`, by another of an
    /// equal key, which need not have an equal hash.
    #[inline(always)]
    fn exchange(&mut self, placed: Hashed, place: Place, hash: Hashed, entry: P::Entry) {
        if placed == hash {
            self.replace(place, entry);
        } else {
            self.replace_elsewhere(placed, place, hash, entry);
        }
    }

    /// As `exchange`, where the other entry belongs elsewhere.
    #[cold]
    fn replace_elsewhere(&mut self, placed: Hashed, place: Place, hash: Hashed, entry: P::Entry) {
        let differed = self.pending.dirty.has(place.bin);
        let home = Self::write_side_mut(self.shared).home_of(placed, place);
        let old = Self::take_out(self.shared, &mut self.pending.dirty, home, place);
        let is_visible = self.is_visible(&old, place, differed);
        self.place(hash, entry);
        self.retire(old, is_visible);
    }

    fn take_out(
        shared: &Inner<K, V, S, P>,
        dirty: &mut Dirty,
        home: usize,
        place: Place,
    ) -> P::Entry {
        Self::write_side_mut(shared).take(home, place, |bin| dirty.mark(bin))
    }

    /// Places an entry that is not there yet in the hidden side; there is room for it.
    #[inline(always)]
    fn place(&mut self, hash: Hashed, entry: P::Entry) {
        let dirty = &mut self.pending.dirty;
        let place = Self::write_side_mut(self.shared).place(hash, entry, |bin| dirty.mark(bin));
        if P::OWNS {
            dirty.note_unseen(place);
        }
    }

    /// Takes the entry at `place`, which belongs to the bin `home`, out of the hidden side.
    fn take(&mut self, home: usize, place: Place) {
        let differed = self.pending.dirty.has(place.bin);
        let old = Self::take_out(self.shared, &mut self.pending.dirty, home, place);
        let is_visible = self.is_visible(&old, place, differed);
        self.retire(old, is_visible);
    }

    /// Has the hidden side take `more` entries without growing.
    fn make_room(&mut self, more: usize) -> Result<(), TryReserveError> {
        let write_side = Self::write_side_mut(self.shared);
        let overflow = TryReserveError::CapacityOverflow;
        let wanted = write_side.len().checked_add(more).ok_or(overflow)?;
        let capacity = write_side.capacity();
        if wanted <= capacity { Ok(()) } else { self.rebuild(wanted.max(capacity + capacity / 3)) }
    }

    /// Moves all of the hidden side to another, with room for `entries`.
    fn rebuild(&mut self, entries: usize) -> Result<(), TryReserveError> {
        let bins = Bin::<P::Entry>::number_for(entries);
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
            Self::move_all(entries, &mut next, rehash, |is_fresh, place| {
                if is_fresh {
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

    /// Whether the key was there. Hands key and value back where there is no memory.
    pub(super) fn insert(&mut self, key: K, value: V) -> Result<bool, (K, V)> {
        let hash = self.hash(&key);
        match self.make_writable() {
            Ok(true) => {}
            Ok(false) => return self.defer_insert(hash, key, value),
            Err(_) => return Err((key, value)),
        }
        if let Some((place, placed, _)) = self.find_placed(hash, &key) {
            let entry = P::make(hash, key, value)?;
            self.exchange(placed, place, hash, entry);
            return Ok(true);
        }
        let write_side = Self::write_side_mut(self.shared);
        if write_side.len() == write_side.capacity() && self.make_room(1).is_err() {
            return Err((key, value));
        }
        let entry = P::make(hash, key, value)?;
        self.place(hash, entry);
        Ok(false)
    }

    /// As `insert`, while the hidden side may be looked at.
    #[cold]
    fn defer_insert(&mut self, hash: Hashed, key: K, value: V) -> Result<bool, (K, V)> {
        let deferred = &mut self.pending.deferred;
        if deferred.try_reserve(1, |change| change.hash.0).is_err() {
            return Err((key, value));
        }
        let is = |change: &DeferredChange<P::Entry>| {
            change.is_of(|entry| pair::<K, V, P>(entry).0 == &key)
        };
        if let Ok(mut noted) = deferred.find_entry(hash.0, is) {
            let old = noted.get_mut().now.replace(P::make(hash, key, value)?);
            // An equal key need not have an equal hash.
            if noted.get().hash != hash {
                let (change, _) = noted.remove();
                deferred.insert_unique(hash.0, DeferredChange { hash, ..change }, |change| {
                    change.hash.0
                });
            }
            self.pending.deferred_len += isize::from(old.is_none());
            // SAFETY: made since the last turn, and never shown.
            old.into_iter().for_each(|entry| unsafe { self.free(entry) });
            return Ok(old.is_some());
        }
        let base = self.view().base(hash, &key);
        let now = Some(P::make(hash, key, value)?);
        self.pending.deferred_len += isize::from(base.is_none());
        self.pending
            .deferred
            .insert_unique(hash.0, DeferredChange { hash, base, now }, |change| change.hash.0);
        Ok(base.is_some())
    }

    /// Whether the key was there; fails where there is no memory.
    pub(super) fn remove<Q>(&mut self, key: &Q) -> Result<bool, TryReserveError>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hash = self.hash(key);
        if !self.make_writable()? {
            return self.defer_remove(hash, key);
        }
        let Some((place, hash, _)) = self.find_placed(hash, key) else { return Ok(false) };
        self.take(Self::write_side_mut(self.shared).home_of(hash, place), place);
        Ok(true)
    }

    /// Replaces the key's value by what `with` makes of it; whether the key was there. Hands back nothing where
    /// there is no memory.
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
        if self.make_writable()?
            && let Some((place, placed, entry)) = self.find_placed(hash, key)
        {
            let (key, value) = pair::<K, V, P>(entry);
            let (key, value) = (key.clone(), with(value));
            let entry = P::make(hash, key, value).map_err(|_| TryReserveError::Alloc)?;
            self.exchange(placed, place, hash, entry);
            return Ok(true);
        }
        let Some((key, value)) = self.view().get(key) else { return Ok(false) };
        let (key, value) = (key.clone(), with(value));
        self.insert(key, value).map_err(|_| TryReserveError::Alloc)
    }

    /// As `remove`, while the hidden side may be looked at.
    #[cold]
    fn defer_remove<Q>(&mut self, hash: Hashed, key: &Q) -> Result<bool, TryReserveError>
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
            // SAFETY: made since the last turn, and never shown.
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

    /// Takes out all entries for which `keep` does not hold. The last turn is over.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        for bin in 0..Self::write_side_mut(self.shared).bins() {
            for place in Self::write_side_mut(self.shared).places_of(bin) {
                let Some(entry) = Self::write_side_mut(self.shared).get(place) else { continue };
                let (key, value) = pair::<K, V, P>(entry);
                if !keep(key, value) {
                    // SAFETY: it is in the table, so it has not been freed.
                    let hash = unsafe { P::hash(entry, |key| self.shared.hash(key)) };
                    self.take(Self::write_side_mut(self.shared).home_of(hash, place), place);
                }
            }
        }
    }

    /// Takes out all entries. The last turn is over.
    pub(super) fn clear(&mut self) {
        if P::OWNS {
            return self.retain(|_, _| false);
        }
        self.pending.dirty.mark_all();
        Self::write_side_mut(self.shared).clear();
    }

    /// Room for `more` entries; while the last turn is not over, to note so many changes.
    pub(super) fn reserve(&mut self, more: usize) -> Result<(), TryReserveError> {
        if self.make_writable()? {
            return self.make_room(more);
        }
        let deferred = &mut self.pending.deferred;
        deferred.try_reserve(more, |change| change.hash.0).map_err(|why| match why {
            hashbrown::TryReserveError::CapacityOverflow => TryReserveError::CapacityOverflow,
            hashbrown::TryReserveError::AllocError { .. } => TryReserveError::Alloc,
        })
    }

    /// Gives back room that the entries do not need. The last turn is over.
    pub(super) fn shrink_to_fit(&mut self) -> Result<(), TryReserveError> {
        let write_side = Self::write_side_mut(self.shared);
        let needed = Bin::<P::Entry>::number_for(write_side.len()).unwrap_or(usize::MAX);
        if needed < write_side.bins() { self.rebuild(write_side.len()) } else { Ok(()) }
    }

    /// Waits, as long as `backoff` does, until the last turn is over, and says whether it is.
    pub(super) fn wait(&mut self, backoff: &mut Backoff) -> Result<bool, TryReserveError> {
        // Readers who are busy come to know of a turn soon, and then the system need not be asked.
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

    /// Shows all changes, if the last turn is over or can be waited for. Whether all changes are shown.
    pub(super) fn publish(&mut self, backoff: &mut Backoff) -> Result<bool, TryReserveError> {
        if self.view().is_changed() {
            if !self.is_writable() && !self.wait(backoff)? {
                return Ok(false);
            }
            let generation = Self::read_side(self.shared).generation() + 1;
            Self::write_side_mut(self.shared).set_generation(generation);
            self.pending.swap = Some(self.shared.sides.swap(self.shared.slots()));
            self.pending.may_wait = true;
        }
        self.pending.until_due = self.pending.publish_every;
        Ok(true)
    }

    /// One operation was done: publishes if that makes enough of them. A reader that is in the way is waited for
    /// a little, and then left alone: the next operation tries again.
    #[inline(always)]
    pub(super) fn count(&mut self) {
        self.pending.until_due = self.pending.until_due.wrapping_sub(1);
        if self.pending.until_due == 0 {
            self.publish_as_due();
        }
    }

    #[inline(never)]
    fn publish_as_due(&mut self) {
        // Where none is ever due, the count has only gone round.
        if self.pending.publish_every != 0 {
            self.pending.until_due = 1;
            // Who did not leave before this change is not waited for again. Where there is no memory to catch up, the
            // next operation says so.
            let _ = self.publish(&mut Backoff::never());
        }
    }

    pub(super) fn publish_every(&mut self, operations: usize) {
        let done = self.pending.publish_every.wrapping_sub(self.pending.until_due);
        let left = operations.wrapping_sub(done);
        self.pending.publish_every = operations;
        // If they are enough already, the next one makes a publish due.
        self.pending.until_due = if operations != 0 && done >= operations { 1 } else { left };
    }
}
