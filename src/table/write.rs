//! Changing one entry.
//!
//! A writer first looks its key up exactly as a reader does, running the user's `Eq` and closures with
//! nothing locked. Then it locks the bin *from the state that it read*: the compare-and-swap succeeds
//! only if nothing in the bin has changed since, so what was found still holds, and the few stores under
//! the lock can neither fail nor call anything that is not ours. Otherwise it looks again.

use super::overflow::{Head, Taken};
use super::read::{Changed, Place, Probe};
use super::{Failure, Table};
use crate::api::hash::KeyHash;
pub(crate) use crate::api::op::Change;
use crate::bins::bin::{Bin, Entry};
use crate::bins::layout::Layout;
use crate::bins::tags::Tags;
use crate::sync::backoff::{Backoff, WouldWait};
use crate::sync::seqlock::State;
use core::mem::MaybeUninit;

/// What was found before, and what was done about it.
pub(crate) type Altered<K, V, R> = (Option<R>, Change<K, V>);

/// What became of an attempt under the lock.
enum Outcome {
    Done,
    /// The bin changed since it was read.
    Raced,
    /// A new line is needed and the pool has none.
    NeedsLine,
}

/// Where the lines of a full bin have room.
enum Vacancy {
    Line { number: usize, slot: usize },
    NewLine,
}

impl<K: Copy, V: Copy> Table<K, V> {
    /// Does to the entry that `eq` knows what `decide` makes of what `read` fetches of it, until that
    /// succeeds with nothing having changed in between; returns what was read and the decision carried out.
    #[inline(always)]
    pub(crate) fn alter<R>(
        &self,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(Entry<'_, K, V>) -> MaybeUninit<R> + Copy,
        rehash: impl Fn(&K) -> KeyHash,
        mut backoff: Backoff,
        mut decide: impl FnMut(Option<&R>) -> Change<K, V>,
    ) -> Result<Altered<K, V, R>, Failure> {
        match self.alter_at_once(hash, eq, read, &backoff, &mut decide) {
            Ok((None, change @ Change::Entry(..))) => {
                if let Some(total) = self.count.add(1) {
                    self.grow(total, &rehash, &mut backoff);
                }
                Ok((None, change))
            }
            Ok(done) => Ok(done),
            Err(decided) => self.alter_slowly(hash, eq, read, rehash, backoff, decide, decided),
        }
    }

    /// What `alter` does where the first slot with the right tag is the key's, or the key is absent and
    /// its bin has room, and nobody comes in between. An insert is left to be counted. Where it is not so
    /// simple: what was decided, if anything, for a key that is absent.
    #[inline(always)]
    fn alter_at_once<R>(
        &self,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(Entry<'_, K, V>) -> MaybeUninit<R> + Copy,
        backoff: &Backoff,
        mut decide: impl FnMut(Option<&R>) -> Change<K, V>,
    ) -> Result<Altered<K, V, R>, Option<Change<K, V>>> {
        let (bin, depth) = self.directory().ok_or(None)?.locate(hash);
        bin.prefetch();
        let (state, tags) = (bin.seq().begin(), bin.tags());
        let slots = tags.matches(hash);
        if slots.is_empty() {
            if tags.depth() != depth || tags.may_overflow(hash) {
                return Err(None);
            }
            let change = decide(None);
            let Change::Entry(key, value) = &change else { return Ok((None, Change::Keep)) };
            let done = tags
                .free(Layout::<K, V>::SLOTS)
                .is_some_and(|slot| Self::occupy(bin, state, tags, slot, hash, key, value));
            return if done { Ok((None, change)) } else { Err(Some(change)) };
        }
        let slot = slots.lowest();
        let Ok(Some(before)) = bin.check(state, bin.entry(slot), eq, read) else {
            return Err(None);
        };
        let change = decide(Some(&before));
        let done = match &change {
            Change::Keep => true,
            Change::Remove => {
                self.take(bin, state, tags, Place::Slot(slot), backoff).unwrap_or(false)
            }
            stored => Self::overwrite(bin, state, bin.entry(slot), stored),
        };
        if done { Ok((Some(before), change)) } else { Err(None) }
    }

    #[cold]
    #[inline(never)]
    #[allow(clippy::too_many_arguments)] // Those of `alter`, and what was decided already.
    fn alter_slowly<R>(
        &self,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(Entry<'_, K, V>) -> MaybeUninit<R> + Copy,
        rehash: impl Fn(&K) -> KeyHash,
        mut backoff: Backoff,
        mut decide: impl FnMut(Option<&R>) -> Change<K, V>,
        mut decided: Option<Change<K, V>>,
    ) -> Result<Altered<K, V, R>, Failure> {
        loop {
            let probe = self.search(hash, eq, read, &mut backoff)?;
            let Some(mut probe) = probe else {
                // An empty map that is to stay empty allocates nothing.
                let change = decided.take().unwrap_or_else(|| decide(None));
                if !matches!(change, Change::Entry(..)) {
                    return Ok((None, Change::Keep));
                }
                self.begin(&backoff)?;
                decided = Some(change);
                continue;
            };
            let found = probe.found.take();
            let Some((place, before)) = found else {
                // What was decided last holds if there is still no entry.
                let change = decided.take().unwrap_or_else(|| decide(None));
                let Change::Entry(key, value) = &change else { return Ok((None, Change::Keep)) };
                match self.add(&probe, hash, key, value, &backoff)? {
                    Outcome::Done => {
                        if let Some(total) = self.count.add(1) {
                            self.grow(total, &rehash, &mut backoff);
                        }
                        return Ok((None, change));
                    }
                    Outcome::Raced => backoff.wait()?,
                    Outcome::NeedsLine => {
                        self.pool.grow(&backoff)?;
                        // Other writers may take the new lines.
                        backoff.again()?;
                    }
                }
                decided = Some(change);
                continue;
            };
            // The closure's last call is the one that counts.
            decided = None;
            let Probe { bin, state, tags, .. } = probe;
            let change = decide(Some(&before));
            let done = match &change {
                Change::Keep => true,
                Change::Remove => self.take(bin, state, tags, place, &backoff)?,
                stored => match place {
                    Place::Slot(slot) => Self::overwrite(bin, state, bin.entry(slot), stored),
                    Place::Line { number, slot, .. } => {
                        let entry = self.pool.owned(number).entry(slot);
                        Self::overwrite(bin, state, entry, stored)
                    }
                },
            };
            if done {
                return Ok((Some(before), change));
            }
            backoff.wait()?;
        }
    }

    /// Puts an entry into a free slot, if nothing was written since `state`.
    #[inline(always)]
    fn occupy(
        bin: Bin<'_, K, V>,
        state: State,
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

    /// Stores over an entry, if nothing was written since `state`.
    #[inline(always)]
    fn overwrite(
        bin: Bin<'_, K, V>,
        state: State,
        entry: Entry<'_, K, V>,
        change: &Change<K, V>,
    ) -> bool {
        if !bin.seq().try_lock(state) {
            return false;
        }
        match change {
            Change::Value(value) => entry.put_value(value),
            Change::Entry(key, value) => entry.put(key, value),
            Change::Keep | Change::Remove => {}
        }
        bin.seq().unlock(bin.state_after(state, bin.overflow(state)));
        true
    }

    /// Changes what the entry that `eq` knows leads to, or where it leads: `under` is given its key while nobody
    /// reads what lies behind it and believes that, does a few stores, and may answer with another key. False
    /// where there is no such entry. Needs no memory.
    pub(crate) fn amend(
        &self,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        under: impl FnOnce(K) -> Option<K>,
    ) -> bool {
        let mut backoff = Backoff::spinning();
        loop {
            let Ok(Some(probe)) = self.search(hash, eq, |entry| entry.key(), &mut backoff) else {
                return false;
            };
            let Probe { bin, state, .. } = probe;
            let Some((place, key)) = probe.found else { return false };
            if !bin.seq().try_lock(state) {
                let _ = backoff.wait();
                continue;
            }
            let entry = match place {
                Place::Slot(slot) => bin.entry(slot),
                Place::Line { number, slot, .. } => self.pool.owned(number).entry(slot),
            };
            if let Some(key) = under(key) {
                entry.put_key(&key);
            }
            bin.seq().unlock(bin.state_after(state, bin.overflow(state)));
            return true;
        }
    }

    fn add<R>(
        &self,
        probe: &Probe<'_, K, V, R>,
        hash: KeyHash,
        key: &K,
        value: &V,
        backoff: &Backoff,
    ) -> Result<Outcome, Failure> {
        let Probe { bin, state, tags, .. } = *probe;
        let Some(slot) = tags.free(Layout::<K, V>::SLOTS) else {
            return self.add_to_lines(probe, hash, key, value, backoff);
        };
        let done = Self::occupy(bin, state, tags, slot, hash, key, value);
        Ok(if done { Outcome::Done } else { Outcome::Raced })
    }

    fn add_to_lines<R>(
        &self,
        probe: &Probe<'_, K, V, R>,
        hash: KeyHash,
        key: &K,
        value: &V,
        backoff: &Backoff,
    ) -> Result<Outcome, Failure> {
        let &Probe { bin, state, tags, .. } = probe;
        let Ok(vacancy) = self.vacancy(probe) else { return Ok(Outcome::Raced) };
        // Popped before the bin is locked, so that nothing can fail or wait under that lock.
        let mut pool = self.pool.session(backoff)?;
        let new_line = matches!(vacancy, Vacancy::NewLine);
        let Some(taken) = pool.pop(usize::from(new_line)) else { return Ok(Outcome::NeedsLine) };
        if !bin.seq().try_lock(state) {
            pool.push(taken.first);
            return Ok(Outcome::Raced);
        }
        let mut first = bin.overflow(state);
        let (number, slot) = match vacancy {
            Vacancy::Line { number, slot } => (number, slot),
            Vacancy::NewLine => {
                self.pool.owned(taken.first).set_head(Head::new(first));
                first = taken.first;
                (first, 0)
            }
        };
        let line = self.pool.owned(number);
        line.entry(slot).put(key, value);
        line.set_head(line.head().with(slot, hash.tag()));
        bin.set_tags(tags.with_overflow(hash));
        bin.seq().unlock(bin.state_after(state, first));
        Ok(Outcome::Done)
    }

    /// The first free place in a full bin's lines.
    fn vacancy<R>(&self, probe: &Probe<'_, K, V, R>) -> Result<Vacancy, Changed> {
        let Probe { bin, state, tags, .. } = *probe;
        let mut number = if tags.has_overflow() { bin.overflow(state) } else { 0 };
        loop {
            if !bin.seq().validate(state) {
                return Err(Changed);
            }
            if number == 0 {
                return Ok(Vacancy::NewLine);
            }
            let head = self.pool.line(number).ok_or(Changed)?.head();
            if let Some(slot) = (0..Layout::<K, V>::LINE_SLOTS).find(|&slot| head.tag(slot) == 0) {
                return Ok(Vacancy::Line { number, slot });
            }
            number = head.next;
        }
    }

    /// Removes the entry at `place`, if nothing was written since `state`.
    fn take(
        &self,
        bin: Bin<'_, K, V>,
        state: State,
        tags: Tags,
        place: Place,
        backoff: &Backoff,
    ) -> Result<bool, WouldWait> {
        // Begun before the bin is locked: who may not wait must be sure to give a line back.
        let mut pool = tags.has_overflow().then(|| self.pool.session(backoff)).transpose()?;
        if !bin.seq().try_lock(state) {
            return Ok(false);
        }
        let (tags, first, freed) = match place {
            Place::Slot(slot) if tags.has_overflow() => self.refill(bin, state, tags, slot),
            _ => self.vacate(tags, bin.overflow(state), place),
        };
        bin.set_tags(tags);
        bin.seq().unlock(bin.state_after(state, first));
        if let Some(pool) = &mut pool {
            pool.push(freed.first);
        }
        self.count.add(-1);
        Ok(true)
    }

    /// Fills a slot that a removed entry leaves in a locked bin with an entry from its first line, so
    /// that lines do not linger half empty; answers as `vacate` does.
    fn refill(
        &self,
        bin: Bin<'_, K, V>,
        state: State,
        tags: Tags,
        slot: usize,
    ) -> (Tags, usize, Taken) {
        let number = bin.overflow(state);
        let line = self.pool.owned(number);
        let head = line.head();
        let last = (0..Layout::<K, V>::LINE_SLOTS).rfind(|&at| head.tag(at) != 0);
        let last = last.expect("a line in use holds an entry");
        bin.entry(slot).copy_from(line.entry(last));
        let tags = tags.with(slot, head.tag(last));
        self.vacate(tags, number, Place::Line { before: 0, number, slot: last })
    }

    /// Empties one place of a locked bin: the tags and first line that the bin is to have, and a line
    /// to give back once it is unlocked.
    pub(super) fn vacate(&self, tags: Tags, first: usize, place: Place) -> (Tags, usize, Taken) {
        let none = Taken { first: 0 };
        let (before, number, slot) = match place {
            Place::Line { before, number, slot } => (before, number, slot),
            Place::Slot(slot) => return (tags.without(slot), first, none),
        };
        let line = self.pool.owned(number);
        let head = line.head().with(slot, 0);
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
        line.set_head(Head::new(0));
        let tags = if first == 0 { tags.without_overflow() } else { tags };
        (tags, first, Taken { first: number })
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;

    /// Who may not wait does not wait for the lock of the overflow lines either, and has done nothing.
    #[test]
    fn a_removal_that_may_not_wait_leaves_the_pool_alone() {
        let table = Table::<u64, u64>::new();
        let alter = |key: u64, backoff, change: fn(u64) -> Change<u64, u64>| {
            let (eq, rehash) = (|k: &u64| *k == key, |_: &u64| KeyHash(0));
            table.alter(KeyHash(0), eq, |entry| entry.value(), rehash, backoff, |_| change(key))
        };
        for key in 0..20 {
            assert!(alter(key, Backoff::spinning(), |key| Change::Entry(key, key)).is_ok());
        }
        let held = table.pool.session(&Backoff::never()).expect("nobody else is here");
        for key in [0, 19] {
            let refused = alter(key, Backoff::never(), |_| Change::Remove);
            assert!(matches!(refused, Err(Failure::Busy)), "it waits for the lines' lock");
        }
        drop(held);
        assert_eq!(table.len(), 20);
        for key in 0..20 {
            let removed = alter(key, Backoff::never(), |_| Change::Remove);
            assert!(matches!(removed, Ok((Some(value), Change::Remove)) if value == key));
        }
        assert_eq!(table.usage().overflow_lines, 0);
    }
}
