//! What the writer does: to the hidden side, and beside it while readers may be looking there.

use super::bucket::{Bucket, Hashed};
use super::draft::{Change, Dirty, Draft, Table, table};
use super::keep::Keep;
use super::shared::Shared;
use super::side::Place;
use super::unpublished::{Unpublished, find, pair};
use crate::sync::backoff::Backoff;
use crate::table::types::TryReserveError;
use core::borrow::Borrow;
use core::hash::{BuildHasher, Hash};
use core::mem;

/// So many entries' keys are waited for at once where all are moved.
const REBUILT: usize = 8;

/// The writer's place, in use. There is one at a time, so each `SAFETY` below may say so.
pub(super) struct Pen<'a, K, V, S, P: Keep<K, V>> {
    shared: &'a Shared<K, V, S, P>,
    draft: &'a mut Draft<P::Entry>,
}

impl<'a, K, V, S, P: Keep<K, V>> Pen<'a, K, V, S, P> {
    /// # Safety
    /// The caller has the writer's place, and makes no other pen while this one is used.
    pub(super) unsafe fn new(shared: &'a Shared<K, V, S, P>) -> Self {
        // SAFETY: as the caller says.
        let draft = unsafe { shared.draft() };
        Self { shared, draft }
    }

    /// The hidden side, where the last turn is over. Not to be used beside another of its results.
    #[allow(clippy::mut_from_ref)] // The side is the shared part's, and the draft may be borrowed beside it.
    #[inline(always)]
    fn hidden(shared: &Shared<K, V, S, P>) -> &mut Table<P::Entry> {
        // SAFETY: there is one pen; it asks where the turn is over.
        unsafe { shared.hidden() }
    }

    fn shown(shared: &Shared<K, V, S, P>) -> &Table<P::Entry> {
        // SAFETY: there is one pen, and no result is used across a turn.
        unsafe { shared.shown() }
    }

    /// What the writer sees.
    fn seen(&self) -> Unpublished<'_, K, V, S, P> {
        Unpublished::new(self.shared, self.draft)
    }

    fn free_trash(&mut self) {
        // SAFETY: linked by `retire`.
        while let Some(entry) = unsafe { P::unlink(&mut self.draft.trash) } {
            // SAFETY: taken out before a turn that is over: nobody can have met it since.
            unsafe { P::free(entry) };
        }
    }

    /// Has done with an entry that was taken from `place` of the hidden side, `differed` if the sides differed
    /// there before. Drops it if nobody can have met it.
    fn retire(&mut self, entry: P::Entry, hash: Hashed, place: Place, differed: bool) {
        if !P::OWNS {
            return;
        }
        // SAFETY: just taken out, and not linked yet.
        let hash = unsafe { P::hash(&entry, |_| hash) };
        if self.is_shown(&entry, hash, place, differed) {
            // SAFETY: just taken out.
            unsafe { P::link(entry, &mut self.draft.trash) };
        } else {
            // SAFETY: just taken out, and never shown.
            unsafe { P::free(entry) };
        }
    }

    fn is_shown(&self, entry: &P::Entry, hash: Hashed, place: Place, differed: bool) -> bool {
        if !differed {
            return true;
        }
        let shown = Self::shown(self.shared);
        if self.draft.dirty.is_everywhere() {
            return shown.find(hash, |other| P::are_one(other, entry)).is_some();
        }
        // Entries stay where they are, and the sides have one layout.
        shown.get(place).is_some_and(|other| P::are_one(other, entry))
    }
}

impl<K: Eq + Hash, V, S: BuildHasher, P: Keep<K, V>> Pen<'_, K, V, S, P> {
    pub(super) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> Hashed {
        self.shared.hash(key)
    }

    /// Looks the key up in the hidden side. Asks for the other side's lines meanwhile: what changes is copied there.
    #[inline(always)]
    fn find<Q>(&self, hash: Hashed, key: &Q) -> Option<(Place, &P::Entry)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        if self.draft.dirty.is_little() {
            Self::shown(self.shared).view().prefetch(hash);
        }
        find::<K, V, P, _>(Self::hidden(self.shared), hash, key)
    }

    /// Whether the hidden side may be changed: the last turn is over, and what was changed meanwhile is in it.
    #[inline(always)]
    pub(super) fn settle(&mut self) -> Result<bool, TryReserveError> {
        if self.is_settled() { Ok(true) } else { self.settle_for_change() }
    }

    #[inline(always)]
    fn is_settled(&self) -> bool {
        self.draft.turning.is_none() && self.draft.later.is_empty()
    }

    /// Who did not leave the first time is not waited for again.
    #[inline(never)]
    fn settle_for_change(&mut self) -> Result<bool, TryReserveError> {
        let fresh = mem::take(&mut self.draft.is_fresh);
        self.wait(&mut if fresh { Backoff::brief() } else { Backoff::never() })
    }

    /// As `settle`, if the slots say so, or if `firmly` the operating system.
    fn try_settle(&mut self, firmly: bool) -> Result<bool, TryReserveError> {
        if let Some(turning) = &mut self.draft.turning {
            if !self.shared.sides.is_over(turning, || self.shared.slots(), firmly) {
                return Ok(false);
            }
            self.draft.turning = None;
            let hidden = Self::hidden(self.shared);
            if let Some(spare) = self.draft.spare.take() {
                *hidden = spare;
            }
            self.draft.dirty.copy(Self::shown(self.shared), hidden);
            self.free_trash();
        }
        if !self.draft.later.is_empty() {
            self.catch_up()?;
        }
        Ok(true)
    }

    /// Changes the hidden side as was asked while it could not be. No user code runs but the hashing of growth,
    /// and what is left to do then is still in `later`.
    #[cold]
    fn catch_up(&mut self) -> Result<(), TryReserveError> {
        let mut later = mem::take(&mut self.draft.later);
        // Places are those of the base until the table grows, so what has one comes first.
        later.retain(|change| {
            let Some((place, base)) = change.base.take() else { return true };
            let entry = Self::hidden(self.shared).get(place);
            if entry.is_none_or(|entry| !P::are_one(entry, &base)) {
                // Two changes of one key, by an `Eq` that contradicts itself, and the other came first.
                return change.now.is_some();
            }
            match change.now {
                Some(entry) => self.replace(change.hash, place, entry),
                None => self.take(change.hash, place),
            }
            false
        });
        self.draft.later_len = later.len().cast_signed();
        self.draft.later = later;
        self.make_room(self.draft.later.len())?;
        let Draft { dirty, later, later_len, .. } = &mut *self.draft;
        for Change { hash, now, .. } in later.drain() {
            let place =
                |entry| Self::hidden(self.shared).place(hash, entry, |bucket| dirty.touch(bucket));
            now.into_iter().for_each(place);
        }
        *later_len = 0;
        Ok(())
    }

    /// Replaces the entry at `place` of the hidden side. `hash` is of an equal key.
    #[inline(always)]
    fn replace(&mut self, hash: Hashed, place: Place, entry: P::Entry) {
        let differed = self.draft.dirty.has(place.bucket);
        let old = Self::hidden(self.shared).replace(place, entry);
        self.draft.dirty.touch(place.bucket);
        self.retire(old, hash, place, differed);
    }

    /// Takes the entry at `place` out of the hidden side. `hash` is of an equal key.
    fn take(&mut self, hash: Hashed, place: Place) {
        let hidden = Self::hidden(self.shared);
        // Which may yet have another, where `Hash` contradicts `Eq`: an entry that is boxed knows its own.
        // SAFETY: it is in the table, so it has not been freed.
        let own = hidden.get(place).map_or(hash, |entry| unsafe { P::hash(entry, |_| hash) });
        let differed = self.draft.dirty.has(place.bucket);
        let dirty = &mut self.draft.dirty;
        let old = hidden.take(own, place, |bucket| dirty.touch(bucket));
        self.retire(old, own, place, differed);
    }

    /// Has the hidden side take `more` entries without growing.
    fn make_room(&mut self, more: usize) -> Result<(), TryReserveError> {
        let hidden = Self::hidden(self.shared);
        let overflow = TryReserveError::CapacityOverflow;
        let wanted = hidden.len().checked_add(more).ok_or(overflow)?;
        let capacity = hidden.capacity();
        if wanted <= capacity { Ok(()) } else { self.rebuild(wanted.max(capacity + capacity / 3)) }
    }

    /// Moves all of the hidden side to another, with room for `entries`.
    fn rebuild(&mut self, entries: usize) -> Result<(), TryReserveError> {
        let buckets = Bucket::<P::Entry>::number_for(entries);
        let buckets = buckets.ok_or(TryReserveError::CapacityOverflow)?;
        let (mut next, spare) = (table(buckets)?, table(buckets)?);
        let dirty = Dirty::everywhere(buckets)?;
        let hidden = Self::hidden(self.shared);
        // Some at a time: the processor waits for their keys at once, not for one after the other.
        let mut entries = hidden.entries().map(|(_, entry)| *entry);
        let mut some = [None; REBUILT];
        loop {
            some.fill_with(|| entries.next().map(|entry| (Hashed(0), entry)));
            for (hash, entry) in some.iter_mut().flatten() {
                // SAFETY: it is in the table, so it has not been freed.
                *hash = unsafe { P::hash(entry, |key| self.shared.hash(key)) };
            }
            for (hash, entry) in some.into_iter().flatten() {
                next.place(hash, entry, |_| {});
            }
            if some[REBUILT - 1].is_none() {
                break;
            }
        }
        *hidden = next;
        self.draft.spare = Some(spare);
        self.draft.dirty = dirty;
        Ok(())
    }

    /// Whether the key was there. Hands key and value back where there is no memory.
    pub(super) fn insert(&mut self, key: K, value: V) -> Result<bool, (K, V)> {
        let hash = self.hash(&key);
        match self.settle() {
            Ok(true) => {}
            Ok(false) => return self.insert_later(hash, key, value),
            Err(_) => return Err((key, value)),
        }
        if let Some((place, _)) = self.find(hash, &key) {
            let entry = P::make(hash, key, value)?;
            self.replace(hash, place, entry);
            return Ok(true);
        }
        let hidden = Self::hidden(self.shared);
        if hidden.len() == hidden.capacity() && self.make_room(1).is_err() {
            return Err((key, value));
        }
        let entry = P::make(hash, key, value)?;
        let dirty = &mut self.draft.dirty;
        Self::hidden(self.shared).place(hash, entry, |bucket| dirty.touch(bucket));
        Ok(false)
    }

    /// As `insert`, while the hidden side may be looked at.
    #[cold]
    fn insert_later(&mut self, hash: Hashed, key: K, value: V) -> Result<bool, (K, V)> {
        let later = &mut self.draft.later;
        if later.try_reserve(1, |change| change.hash.0).is_err() {
            return Err((key, value));
        }
        let is = |change: &Change<P::Entry>| change.is_of(|entry| pair::<K, V, P>(entry).0 == &key);
        if let Some(change) = later.find_mut(hash.0, is) {
            let old = change.now.replace(P::make(hash, key, value)?);
            self.draft.later_len += isize::from(old.is_none());
            // SAFETY: made since the last turn, and never shown.
            old.into_iter().for_each(|entry| unsafe { P::free(entry) });
            return Ok(old.is_some());
        }
        let base = self.seen().base(hash, &key);
        let now = Some(P::make(hash, key, value)?);
        self.draft.later_len += isize::from(base.is_none());
        self.draft.later.insert_unique(hash.0, Change { hash, base, now }, |change| change.hash.0);
        Ok(base.is_some())
    }

    /// Whether the key was there; fails where there is no memory.
    pub(super) fn remove<Q>(&mut self, key: &Q) -> Result<bool, TryReserveError>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hash(key);
        if !self.settle()? {
            return self.remove_later(hash, key);
        }
        let Some((place, _)) = self.find(hash, key) else { return Ok(false) };
        self.take(hash, place);
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
        K: Borrow<Q> + Clone,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hash(key);
        if self.settle()?
            && let Some((place, entry)) = self.find(hash, key)
        {
            let (key, value) = pair::<K, V, P>(entry);
            let (key, value) = (key.clone(), with(value));
            let entry = P::make(hash, key, value).map_err(|_| TryReserveError::Alloc)?;
            self.replace(hash, place, entry);
            return Ok(true);
        }
        let Some((key, value)) = self.seen().get(key) else { return Ok(false) };
        let (key, value) = (key.clone(), with(value));
        self.insert(key, value).map_err(|_| TryReserveError::Alloc)
    }

    /// As `remove`, while the hidden side may be looked at.
    #[cold]
    fn remove_later<Q>(&mut self, hash: Hashed, key: &Q) -> Result<bool, TryReserveError>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let is = |entry: &P::Entry| pair::<K, V, P>(entry).0.borrow() == key;
        if let Ok(mut change) = self.draft.later.find_entry(hash.0, |change| change.is_of(is)) {
            let old = change.get_mut().now.take();
            if change.get().base.is_none() {
                change.remove();
            }
            self.draft.later_len -= isize::from(old.is_some());
            // SAFETY: made since the last turn, and never shown.
            old.into_iter().for_each(|entry| unsafe { P::free(entry) });
            return Ok(old.is_some());
        }
        let Some(base) = self.seen().base(hash, key) else { return Ok(false) };
        let later = &mut self.draft.later;
        later.try_reserve(1, |change| change.hash.0).map_err(|_| TryReserveError::Alloc)?;
        let change = Change { hash, base: Some(base), now: None };
        later.insert_unique(hash.0, change, |change| change.hash.0);
        self.draft.later_len -= 1;
        Ok(true)
    }

    /// Takes out all entries for which `keep` does not hold. The last turn is over.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        for bucket in 0..Self::hidden(self.shared).buckets() {
            for place in Self::hidden(self.shared).places_of(bucket) {
                let Some(entry) = Self::hidden(self.shared).get(place) else { continue };
                let (key, value) = pair::<K, V, P>(entry);
                if !keep(key, value) {
                    // SAFETY: it is in the table, so it has not been freed.
                    let hash = unsafe { P::hash(entry, |key| self.shared.hash(key)) };
                    self.take(hash, place);
                }
            }
        }
    }

    /// Takes out all entries. The last turn is over.
    pub(super) fn clear(&mut self) {
        if P::OWNS {
            return self.retain(|_, _| false);
        }
        self.draft.dirty.touch_all();
        Self::hidden(self.shared).clear();
    }

    /// Room for `more` entries; while the last turn is not over, to note so many changes.
    pub(super) fn reserve(&mut self, more: usize) -> Result<(), TryReserveError> {
        if self.settle()? {
            return self.make_room(more);
        }
        let later = &mut self.draft.later;
        later.try_reserve(more, |change| change.hash.0).map_err(|why| match why {
            hashbrown::TryReserveError::CapacityOverflow => TryReserveError::CapacityOverflow,
            hashbrown::TryReserveError::AllocError { .. } => TryReserveError::Alloc,
        })
    }

    /// Gives back room that the entries do not need. The last turn is over.
    pub(super) fn shrink_to_fit(&mut self) -> Result<(), TryReserveError> {
        let hidden = Self::hidden(self.shared);
        let needed = Bucket::<P::Entry>::number_for(hidden.len()).unwrap_or(usize::MAX);
        if needed < hidden.buckets() { self.rebuild(hidden.len()) } else { Ok(()) }
    }

    /// Waits, as long as `backoff` does, until the last turn is over, and says whether it is.
    pub(super) fn wait(&mut self, backoff: &mut Backoff) -> Result<bool, TryReserveError> {
        // Readers who are busy come to know of a turn soon, and then the system need not be asked.
        let mut briefly = if backoff.may_wait() { Backoff::brief() } else { Backoff::never() };
        while briefly.may_wait() {
            if self.try_settle(false)? {
                return Ok(true);
            }
            let _ = briefly.wait_long();
        }
        while !self.try_settle(true)? {
            if backoff.wait_long().is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Shows all changes, if the last turn is over or can be waited for. Whether all changes are shown.
    pub(super) fn publish(&mut self, backoff: &mut Backoff) -> Result<bool, TryReserveError> {
        if self.seen().is_changed() {
            if !self.is_settled() && !self.wait(backoff)? {
                return Ok(false);
            }
            let generation = Self::shown(self.shared).generation() + 1;
            Self::hidden(self.shared).set_generation(generation);
            self.draft.turning = Some(self.shared.sides.turn(self.shared.slots()));
            self.draft.is_fresh = true;
        }
        self.draft.operations = 0;
        Ok(true)
    }

    /// One operation was done: publishes if that makes enough of them. A reader that is in the way is waited for
    /// a little, and then left alone: the next operation tries again.
    #[inline]
    pub(super) fn count(&mut self) {
        self.draft.operations += 1;
        if self.draft.publish_every != 0 && self.draft.operations >= self.draft.publish_every {
            // Who did not leave before this change is not waited for again. Where there is no memory to catch up, the
            // next operation says so.
            let _ = self.publish(&mut Backoff::never());
        }
    }

    pub(super) fn publish_every(&mut self, operations: usize) {
        self.draft.publish_every = operations;
    }
}
