//! Changing one entry.
//!
//! A writer first looks its key up exactly as a reader does, and runs the user's `Eq` and closures with nothing locked.
//! Then it locks the bin *from the state that it read*: the compare-and-swap succeeds only if nothing in the bin has
//! changed since, so the result of the lookup still holds. The few stores under the lock cannot fail and call no user
//! code. If the compare-and-swap fails, the writer looks the key up again.
//!
//! Two changes were tried without gain: counting the entry before the lock, so that its stores need not finish before
//! the next operation begins, and prefetching the line of the last slots too.

use super::overflow::{LineHead, LineList};
use super::read::{BinChanged, BinPlace, BinProbe, Unclear};
use super::{Failure, Table};
use crate::api::hash::KeyHash;
pub(crate) use crate::api::op::{Altered, EntryChange};
use crate::bins::bin::{Bin, EntryWords};
use crate::bins::layout::Layout;
use crate::bins::tags::Tags;
use crate::sync::backoff::{Backoff, WouldWait};
use crate::sync::seqlock::StateWord;
use core::mem::MaybeUninit;

/// The result of an attempt to add an entry.
enum InsertOutcome {
    Done,
    /// The bin changed since it was read.
    Raced,
    /// A new line is needed and the pool has none.
    NeedsLine,
}

/// A bin that was full and lacked the key, with the state and the tags that said so.
type FullBin<'a, K, V> = Option<(Bin<'a, K, V>, StateWord, Tags)>;

/// A place for a new entry in the lines of a full bin.
enum Vacancy {
    Line { number: usize, slot: usize },
    NewLine,
}

impl<K: Copy, V: Copy> Table<K, V> {
    /// Changes the entry for which `eq` returns true. `read` fetches what `decide` sees of the entry, and `decide`
    /// returns the change. Repeats both until nothing changed in between; returns what was read and the change that was
    /// made.
    #[inline(always)]
    pub(crate) fn alter<R>(
        &self,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(EntryWords<'_, K, V>) -> MaybeUninit<R> + Copy,
        rehash: impl Fn(&K) -> KeyHash,
        mut backoff: Backoff,
        mut decide: impl FnMut(Option<&R>) -> EntryChange<K, V>,
    ) -> Result<Altered<K, V, R>, Failure> {
        let _operation = self.scheduled.operation();
        let mut full = None;
        match self.alter_at_once(hash, eq, read, &backoff, &mut decide, &mut full) {
            Ok((None, change @ EntryChange::Entry(..))) => {
                if let Some(total) = self.count.add(1) {
                    self.grow(total, &rehash, &mut backoff);
                }
                Ok((None, change))
            }
            Ok(done) => Ok(done),
            Err(decided) => {
                self.alter_slowly(hash, eq, read, rehash, backoff, decide, decided, full)
            }
        }
    }

    /// Stores a value under a key, whether or not the key has one, and returns the one that it replaces. Does what
    /// `alter` does with that decision, and copies a long value less often.
    #[inline(always)]
    pub(crate) fn insert_long(
        &self,
        hash: KeyHash,
        key: &K,
        value: &V,
        eq: impl Fn(&K) -> bool + Copy,
        rehash: impl Fn(&K) -> KeyHash,
        mut backoff: Backoff,
    ) -> Result<Option<V>, Failure> {
        let _operation = self.scheduled.operation();
        let mut full = None;
        match self.insert_long_at_once(hash, key, value, eq, &mut full) {
            Ok(None) => {
                if let Some(total) = self.count.add(1) {
                    self.grow(total, &rehash, &mut backoff);
                }
                Ok(None)
            }
            Ok(before) => Ok(before),
            Err(Unclear) => {
                let decide = |before: Option<&V>| match before {
                    Some(_) => EntryChange::Value(*value),
                    None => EntryChange::Entry(*key, *value),
                };
                let read = |entry: EntryWords<'_, K, V>| entry.value();
                self.alter_slowly(hash, eq, read, rehash, backoff, decide, None, full)
                    .map(|(before, _)| before)
            }
        }
    }

    /// Does what `insert_long` does in the cases in which `alter_at_once` succeeds. Returns the value before. The
    /// caller counts an inserted entry.
    #[inline(always)]
    fn insert_long_at_once<'a>(
        &'a self,
        hash: KeyHash,
        key: &K,
        value: &V,
        eq: impl Fn(&K) -> bool + Copy,
        full: &mut FullBin<'a, K, V>,
    ) -> Result<Option<V>, Unclear> {
        let (bin, depth) = self.directory().ok_or(Unclear)?.locate(hash);
        // Started before the head is read, so that the two waits for memory overlap.
        bin.prefetch();
        let (state, tags) = (bin.seq().begin(), bin.tags());
        let slots = tags.matches(hash);
        if slots.is_empty() {
            // As in `alter_at_once`: otherwise the key may be in another bin, or in an overflow line.
            let is_absent = tags.depth() == depth && !tags.may_overflow(hash);
            if !is_absent {
                return Err(Unclear);
            }
            let Some(slot) = tags.free(Layout::<K, V>::SLOTS) else {
                *full = Some((bin, state, tags));
                return Err(Unclear);
            };
            let done = Self::occupy(bin, state, tags, slot, hash, key, value);
            return if done { Ok(None) } else { Err(Unclear) };
        }
        let entry = bin.entry(slots.lowest());
        let Ok(Some(before)) = bin.check(state, entry, eq, |entry| entry.value()) else {
            return Err(Unclear);
        };
        if !bin.seq().try_lock(state) {
            return Err(Unclear);
        }
        entry.put_value(value);
        bin.seq().unlock(bin.state_after(state, bin.overflow(state)));
        Ok(Some(before))
    }

    /// Does what `alter` does in the two cases that are nearly all: the first slot with the right tag is the key's; or
    /// the key is absent and its bin has a free slot. The caller counts an inserted entry. Else returns the decision
    /// for an absent key, if `decide` was called for one, and stores the bin in `full` if that is why.
    #[inline(always)]
    fn alter_at_once<'a, R>(
        &'a self,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(EntryWords<'_, K, V>) -> MaybeUninit<R> + Copy,
        backoff: &Backoff,
        mut decide: impl FnMut(Option<&R>) -> EntryChange<K, V>,
        full: &mut FullBin<'a, K, V>,
    ) -> Result<Altered<K, V, R>, Option<EntryChange<K, V>>> {
        let (bin, depth) = self.directory().ok_or(None)?.locate(hash);
        // Started before the head is read, so that the two waits for memory overlap.
        bin.prefetch();
        let (state, tags) = (bin.seq().begin(), bin.tags());
        let slots = tags.matches(hash);
        if slots.is_empty() {
            // Another depth: the hint was stale, and the key may be in another bin. A filter bit: it may be in an
            // overflow line.
            if tags.depth() != depth || tags.may_overflow(hash) {
                return Err(None);
            }
            let change = decide(None);
            // Nothing to store. The load of the tags was the linearization point, so no lock is needed.
            let EntryChange::Entry(key, value) = &change else {
                return Ok((None, EntryChange::Keep));
            };
            let Some(slot) = tags.free(Layout::<K, V>::SLOTS) else {
                // The slow path goes on from here, and does not search again.
                *full = Some((bin, state, tags));
                return Err(Some(change));
            };
            let done = Self::occupy(bin, state, tags, slot, hash, key, value);
            // If the bin has changed, the slow path stores the same decision: `decide` ran for an absent key already,
            // and need not run again if the key is still absent.
            return if done { Ok((None, change)) } else { Err(Some(change)) };
        }
        let slot = slots.lowest();
        // The bin has changed, or the first slot with this tag is another key's: the slow path compares the others.
        let Ok(Some(before)) = bin.check(state, bin.entry(slot), eq, read) else {
            return Err(None);
        };
        let change = decide(Some(&before));
        let done = match &change {
            EntryChange::Keep => true,
            EntryChange::Remove if !tags.has_overflow() => self.take_alone(bin, state, tags, slot),
            EntryChange::Remove => {
                self.take(bin, state, tags, BinPlace::Slot(slot), backoff).unwrap_or(false)
            }
            stored => Self::overwrite(bin, state, bin.entry(slot), stored),
        };
        // Locking failed, so another writer was here since `state`. `decide` must see the value that is there now.
        if done { Ok((Some(before), change)) } else { Err(None) }
    }

    /// Does what `alter` does, in every case. `decided` is what `decide` returned for an absent key, if it was called.
    /// `full` is the bin, if it was full then.
    #[cold]
    #[inline(never)]
    #[allow(clippy::too_many_arguments)] // Those of `alter`, and two results.
    fn alter_slowly<R>(
        &self,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(EntryWords<'_, K, V>) -> MaybeUninit<R> + Copy,
        rehash: impl Fn(&K) -> KeyHash,
        mut backoff: Backoff,
        mut decide: impl FnMut(Option<&R>) -> EntryChange<K, V>,
        mut decided: Option<EntryChange<K, V>>,
        mut full: FullBin<'_, K, V>,
    ) -> Result<Altered<K, V, R>, Failure> {
        loop {
            let probe = match full.take() {
                Some((bin, state, tags)) => Some(BinProbe { bin, state, tags, found: None }),
                None => self.search(hash, eq, read, &mut backoff)?,
            };
            let Some(mut probe) = probe else {
                // An empty map allocates only to store something.
                let change = decided.take().unwrap_or_else(|| decide(None));
                if !matches!(change, EntryChange::Entry(..)) {
                    return Ok((None, EntryChange::Keep));
                }
                self.make_first_directory(&backoff)?;
                decided = Some(change);
                continue;
            };
            let found = probe.found.take();
            let Some((place, before)) = found else {
                // `decide` was called for an absent key before; that decision holds if the key is still absent.
                let change = decided.take().unwrap_or_else(|| decide(None));
                let EntryChange::Entry(key, value) = &change else {
                    return Ok((None, EntryChange::Keep));
                };
                match self.add(&probe, hash, key, value, &backoff)? {
                    InsertOutcome::Done => {
                        if let Some(total) = self.count.add(1) {
                            self.grow(total, &rehash, &mut backoff);
                        }
                        return Ok((None, change));
                    }
                    InsertOutcome::Raced => backoff.wait()?,
                    InsertOutcome::NeedsLine => {
                        self.pool.grow(&backoff)?;
                        // Other writers may take the new lines before this one does, so this counts as an attempt.
                        backoff.again()?;
                    }
                }
                decided = Some(change);
                continue;
            };
            // The key is present now, so a decision for an absent key is void.
            decided = None;
            let BinProbe { bin, state, tags, .. } = probe;
            let change = decide(Some(&before));
            let done = match &change {
                EntryChange::Keep => true,
                EntryChange::Remove => self.take(bin, state, tags, place, &backoff)?,
                stored => Self::overwrite(bin, state, self.entry_at(bin, place), stored),
            };
            if done {
                return Ok((Some(before), change));
            }
            backoff.wait()?;
        }
    }

    /// Stores an entry in a free slot, if nothing was written since `state`.
    #[inline(always)]
    fn occupy(
        bin: Bin<'_, K, V>,
        state: StateWord,
        tags: Tags,
        slot: usize,
        hash: KeyHash,
        key: &K,
        value: &V,
    ) -> bool {
        if !bin.seq().try_lock(state) {
            return false;
        }
        bin.entry(slot).put(key, value);
        bin.set_tags(tags.with(slot, hash.tag()));
        bin.seq().unlock(bin.state_after(state, bin.overflow(state)));
        true
    }

    /// Returns the entry in a place of a bin that the caller has locked, or will lock before it writes.
    #[inline(always)]
    fn entry_at<'t>(&'t self, bin: Bin<'t, K, V>, place: BinPlace) -> EntryWords<'t, K, V> {
        match place {
            BinPlace::Slot(slot) => bin.entry(slot),
            BinPlace::Line { number, slot, .. } => self.pool.owned(number).entry(slot),
        }
    }

    /// Replaces an entry or its value, if nothing was written since `state`.
    #[inline(always)]
    fn overwrite(
        bin: Bin<'_, K, V>,
        state: StateWord,
        entry: EntryWords<'_, K, V>,
        change: &EntryChange<K, V>,
    ) -> bool {
        if !bin.seq().try_lock(state) {
            return false;
        }
        match change {
            EntryChange::Value(value) => entry.put_value(value),
            EntryChange::Entry(key, value) => entry.put(key, value),
            EntryChange::Keep | EntryChange::Remove => {}
        }
        bin.seq().unlock(bin.state_after(state, bin.overflow(state)));
        true
    }

    /// Calls `under`, with the bin locked, on the key of the entry for which `eq` returns true. `under` may do a few
    /// stores to the place that an indirect key refers to, because no reader believes what it reads there until the bin
    /// is unlocked. A key that it returns replaces the entry's. Returns false if there is no such entry. Needs no
    /// memory.
    pub(crate) fn update(
        &self,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        under: impl FnOnce(K) -> Option<K>,
    ) -> bool {
        let _operation = self.scheduled.operation();
        let mut backoff = Backoff::spinning();
        loop {
            let Ok(Some(probe)) = self.search(hash, eq, |entry| entry.key(), &mut backoff) else {
                return false;
            };
            let BinProbe { bin, state, .. } = probe;
            let Some((place, key)) = probe.found else { return false };
            if !bin.seq().try_lock(state) {
                let _ = backoff.wait();
                continue;
            }
            if let Some(key) = under(key) {
                self.entry_at(bin, place).put_key(&key);
            }
            bin.seq().unlock(bin.state_after(state, bin.overflow(state)));
            return true;
        }
    }

    /// Adds an entry to a bin that a lookup found without the key.
    fn add<R>(
        &self,
        probe: &BinProbe<'_, K, V, R>,
        hash: KeyHash,
        key: &K,
        value: &V,
        backoff: &Backoff,
    ) -> Result<InsertOutcome, Failure> {
        let BinProbe { bin, state, tags, .. } = *probe;
        // All slots are taken, so the entry goes to an overflow line.
        let Some(slot) = tags.free(Layout::<K, V>::SLOTS) else {
            return self.add_to_lines(probe, hash, key, value, backoff);
        };
        let done = Self::occupy(bin, state, tags, slot, hash, key, value);
        Ok(if done { InsertOutcome::Done } else { InsertOutcome::Raced })
    }

    /// Adds an entry to the overflow lines of a full bin.
    fn add_to_lines<R>(
        &self,
        probe: &BinProbe<'_, K, V, R>,
        hash: KeyHash,
        key: &K,
        value: &V,
        backoff: &Backoff,
    ) -> Result<InsertOutcome, Failure> {
        let &BinProbe { bin, state, tags, .. } = probe;
        let Ok(vacancy) = self.vacancy(probe) else { return Ok(InsertOutcome::Raced) };
        // Popped before the bin is locked, so that nothing can fail or wait under its lock.
        let mut pool = self.pool.session(backoff)?;
        let new_line = matches!(vacancy, Vacancy::NewLine);
        let Some(taken) = pool.pop(usize::from(new_line))? else {
            return Ok(InsertOutcome::NeedsLine);
        };
        if !bin.seq().try_lock(state) {
            pool.push(taken);
            return Ok(InsertOutcome::Raced);
        }
        let mut first = bin.overflow(state);
        let (number, slot) = match vacancy {
            Vacancy::Line { number, slot } => (number, slot),
            Vacancy::NewLine => {
                self.pool.owned(taken.first).set_head(LineHead::new(first));
                first = taken.first;
                (first, 0)
            }
        };
        let line = self.pool.owned(number);
        line.entry(slot).put(key, value);
        line.set_head(line.head().with(slot, hash.tag()));
        // Set together with the entry: a reader that finds no tag in the slots follows the lines only if this bit is
        // set.
        bin.set_tags(tags.with_overflow(hash));
        bin.seq().unlock(bin.state_after(state, first));
        Ok(InsertOutcome::Done)
    }

    /// Returns the first free place in a full bin's lines.
    fn vacancy<R>(&self, probe: &BinProbe<'_, K, V, R>) -> Result<Vacancy, BinChanged> {
        let BinProbe { bin, state, tags, .. } = *probe;
        let mut number = if tags.has_overflow() { bin.overflow(state) } else { 0 };
        loop {
            // `number` is a line of this bin only as long as the state is unchanged.
            if !bin.seq().validate(state) {
                return Err(BinChanged);
            }
            if number == 0 {
                return Ok(Vacancy::NewLine);
            }
            let head = self.pool.line(number).ok_or(BinChanged)?.head();
            if let Some(slot) = (0..Layout::<K, V>::LINE_SLOTS).find(|&slot| head.tag(slot) == 0) {
                return Ok(Vacancy::Line { number, slot });
            }
            number = head.next;
        }
    }

    /// Removes the entry in a slot of a bin without overflow lines, if nothing was written since `state`.
    #[inline(always)]
    fn take_alone(&self, bin: Bin<'_, K, V>, state: StateWord, tags: Tags, slot: usize) -> bool {
        if !bin.seq().try_lock(state) {
            return false;
        }
        bin.set_tags(tags.without(slot));
        bin.seq().unlock(bin.state_after(state, bin.overflow(state)));
        self.count.add(-1);
        true
    }

    /// Removes the entry at `place`, if nothing was written since `state`.
    #[inline(never)]
    fn take(
        &self,
        bin: Bin<'_, K, V>,
        state: StateWord,
        tags: Tags,
        place: BinPlace,
        backoff: &Backoff,
    ) -> Result<bool, WouldWait> {
        // The pool is locked before the bin: a caller that may not wait has to know that it can return a line.
        let mut pool = tags.has_overflow().then(|| self.pool.session(backoff)).transpose()?;
        if !bin.seq().try_lock(state) {
            return Ok(false);
        }
        let (tags, first, freed) = match place {
            // With overflow lines, an entry of a line moves into the slot, so that lines are freed and lookups find
            // keys in slots.
            BinPlace::Slot(slot) if tags.has_overflow() => self.refill(bin, state, tags, slot),
            _ => self.vacate(tags, bin.overflow(state), place),
        };
        bin.set_tags(tags);
        bin.seq().unlock(bin.state_after(state, first));
        if let Some(pool) = &mut pool {
            pool.push(freed);
        }
        self.count.add(-1);
        Ok(true)
    }

    /// Fills the slot of a removed entry in a locked bin with an entry from the bin's first line. Without this, lines
    /// would stay half empty for long. Returns what `vacate` does.
    fn refill(
        &self,
        bin: Bin<'_, K, V>,
        state: StateWord,
        tags: Tags,
        slot: usize,
    ) -> (Tags, usize, LineList) {
        let number = bin.overflow(state);
        let line = self.pool.owned(number);
        let head = line.head();
        let last = head.used().last().expect("a line in use holds an entry");
        bin.entry(slot).copy_from(line.entry(last));
        let tags = tags.with(slot, head.tag(last));
        self.vacate(tags, number, BinPlace::Line { before: 0, number, slot: last })
    }

    /// Empties one place of a locked bin. Returns the tags and the first line that the bin has then, and a line that
    /// the caller gives back after it has unlocked the bin.
    pub(super) fn vacate(
        &self,
        tags: Tags,
        first: usize,
        place: BinPlace,
    ) -> (Tags, usize, LineList) {
        let none = LineList { first: 0 };
        let (before, number, slot) = match place {
            BinPlace::Line { before, number, slot } => (before, number, slot),
            BinPlace::Slot(slot) => return (tags.without(slot), first, none),
        };
        let line = self.pool.owned(number);
        let head = line.head().with(slot, 0);
        // An empty line leaves the list: `refill` relies on a linked line holding an entry.
        if !head.is_empty() {
            line.set_head(head);
            return (tags, first, none);
        }
        let first = if before == 0 {
            head.next
        } else {
            let before = self.pool.owned(before);
            before.set_head(before.head().linked_to(head.next));
            first
        };
        line.set_head(LineHead::new(0));
        // Filter bits are shared by keys, so they can only be cleared together, when no line is left.
        let tags = if first == 0 { tags.without_overflow() } else { tags };
        (tags, first, LineList { first: number })
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;

    /// A removal that may not wait does not wait for the lock of the overflow lines either, and changes nothing.
    #[test]
    fn a_removal_that_may_not_wait_leaves_the_pool_alone() {
        let table = Table::<u64, u64>::new();
        let alter = |key: u64, backoff, change: fn(u64) -> EntryChange<u64, u64>| {
            let (eq, rehash) = (|k: &u64| *k == key, |_: &u64| KeyHash(0));
            table.alter(KeyHash(0), eq, |entry| entry.value(), rehash, backoff, |_| change(key))
        };
        for key in 0..20 {
            assert!(alter(key, Backoff::spinning(), |key| EntryChange::Entry(key, key)).is_ok());
        }
        let held = table.pool.session(&Backoff::never()).expect("nobody else is here");
        for key in [0, 19] {
            let refused = alter(key, Backoff::never(), |_| EntryChange::Remove);
            assert!(matches!(refused, Err(Failure::Busy)), "it waits for the lines' lock");
        }
        drop(held);
        assert_eq!(table.len(), 20);
        for key in 0..20 {
            let removed = alter(key, Backoff::never(), |_| EntryChange::Remove);
            assert!(matches!(removed, Ok((Some(value), EntryChange::Remove)) if value == key));
        }
        assert_eq!(table.usage().overflow_lines, 0);
    }
}
