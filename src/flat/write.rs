//! Changing one entry.
//!
//! A writer first looks its key up exactly as a reader does, running the user's `Eq` and closures with
//! nothing locked. Then it locks the bin *from the state that it read*: the compare-and-swap succeeds
//! only if nothing in the bin has changed since, so what was found still holds, and the few stores under
//! the lock can neither fail nor call anything that is not ours. Otherwise it looks again.

use super::bin::Bin;
use super::layout::Layout;
use super::overflow::{Head, Taken};
use super::read::{Changed, Place, Probe};
use super::table::{Failure, Table};
use super::tags::{Hash, Tags};
use super::types::Op;
use crate::sync::backoff::Backoff;
use crate::sync::seqlock::State;

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
    /// Replaces an entry's value by what `decide` makes of it, until that succeeds with nothing having
    /// changed in between; returns the value before and the decision carried out.
    ///
    /// `key` is what gets inserted where there is no entry; without it, none is.
    #[inline(always)]
    pub(crate) fn alter(
        &self,
        hash: Hash,
        key: Option<&K>,
        eq: impl Fn(&K) -> bool + Copy,
        rehash: impl Fn(&K) -> Hash,
        mut backoff: Backoff,
        mut decide: impl FnMut(Option<V>) -> Op<V>,
    ) -> Result<(Option<V>, Op<V>), Failure> {
        match self.alter_at_once(hash, key, eq, &mut decide) {
            Some((None, op @ Op::Insert(_))) => {
                if let Some(total) = self.count.add(1) {
                    self.grow(total, &rehash, &mut backoff);
                }
                Ok((None, op))
            }
            Some(done) => Ok(done),
            None => self.alter_slowly(hash, key, eq, rehash, backoff, decide),
        }
    }

    /// What `alter` does where the first slot with the right tag is the key's, or the key is absent and
    /// its bin has room, and nobody comes in between; None otherwise. An insert is left to be counted.
    #[inline(always)]
    fn alter_at_once(
        &self,
        hash: Hash,
        key: Option<&K>,
        eq: impl Fn(&K) -> bool + Copy,
        mut decide: impl FnMut(Option<V>) -> Op<V>,
    ) -> Option<(Option<V>, Op<V>)> {
        let (bin, depth) = self.directory()?.locate(hash);
        bin.prefetch();
        let (state, tags) = (bin.seq().begin(), bin.tags());
        let slots = tags.matches(hash);
        if slots.is_empty() {
            if tags.depth() != depth || tags.may_overflow(hash) {
                return None;
            }
            let Some(key) = key else {
                decide(None);
                return Some((None, Op::Keep));
            };
            let slot = tags.free(Layout::<K, V>::SLOTS)?;
            let op = decide(None);
            let Op::Insert(value) = &op else { return Some((None, Op::Keep)) };
            if !bin.seq().try_lock(state) {
                return None;
            }
            bin.entry(slot).put(key, value);
            bin.set_tags(tags.with(slot, hash.tag()));
            bin.seq().unlock(bin.state_after(state, bin.overflow(state)));
            return Some((None, op));
        }
        let slot = slots.lowest();
        let before =
            Self::check(bin, state, bin.entry(slot), eq, |entry| entry.value()).ok().flatten()?;
        let op = decide(Some(before));
        match &op {
            Op::Keep => {}
            Op::Insert(value) => {
                if !bin.seq().try_lock(state) {
                    return None;
                }
                bin.entry(slot).put_value(value);
                bin.seq().unlock(bin.state_after(state, bin.overflow(state)));
            }
            Op::Remove => {
                if !self.take(bin, state, tags, Place::Slot(slot)) {
                    return None;
                }
            }
        }
        Some((Some(before), op))
    }

    #[cold]
    #[inline(never)]
    fn alter_slowly(
        &self,
        hash: Hash,
        key: Option<&K>,
        eq: impl Fn(&K) -> bool + Copy,
        rehash: impl Fn(&K) -> Hash,
        mut backoff: Backoff,
        mut decide: impl FnMut(Option<V>) -> Op<V>,
    ) -> Result<(Option<V>, Op<V>), Failure> {
        let mut decided = None;
        loop {
            let probe = self.search(hash, eq, |entry| entry.value(), &mut backoff)?;
            let Some(probe) = probe else {
                // An empty map that is to stay empty allocates nothing.
                let op = decide(None);
                if key.is_none() || !matches!(op, Op::Insert(_)) {
                    return Ok((None, Op::Keep));
                }
                self.begin(&backoff)?;
                decided = Some(op);
                continue;
            };
            let before = probe.found.map(|(_, value)| value);
            // What was decided while there were no bins holds if there is still no entry.
            let op = match (decided.take(), before) {
                (Some(op), None) => op,
                _ => decide(before),
            };
            let outcome = match (&op, probe.found, key) {
                (Op::Insert(value), Some((place, _)), _) => self.replace(&probe, place, value),
                (Op::Insert(value), None, Some(key)) => {
                    let outcome = self.add(&probe, hash, key, value, &backoff)?;
                    if matches!(outcome, Outcome::Done)
                        && let Some(total) = self.count.add(1)
                    {
                        self.grow(total, &rehash, &mut backoff);
                    }
                    outcome
                }
                (Op::Remove, Some((place, _)), _) => {
                    if self.take(probe.bin, probe.state, probe.tags, place) {
                        Outcome::Done
                    } else {
                        Outcome::Raced
                    }
                }
                _ => return Ok((before, Op::Keep)),
            };
            match outcome {
                Outcome::Done => return Ok((before, op)),
                Outcome::Raced => backoff.wait()?,
                Outcome::NeedsLine => self.pool.grow(&backoff)?,
            }
        }
    }

    fn replace(&self, probe: &Probe<'_, K, V, V>, place: Place, value: &V) -> Outcome {
        let Probe { bin, state, .. } = *probe;
        if !bin.seq().try_lock(state) {
            return Outcome::Raced;
        }
        match place {
            Place::Slot(slot) => bin.entry(slot).put_value(value),
            Place::Line { number, slot, .. } => {
                self.pool.owned(number).entry(slot).put_value(value);
            }
        }
        bin.seq().unlock(bin.state_after(state, bin.overflow(state)));
        Outcome::Done
    }

    fn add(
        &self,
        probe: &Probe<'_, K, V, V>,
        hash: Hash,
        key: &K,
        value: &V,
        backoff: &Backoff,
    ) -> Result<Outcome, Failure> {
        let Probe { bin, state, tags, .. } = *probe;
        if let Some(slot) = tags.free(Layout::<K, V>::SLOTS) {
            if !bin.seq().try_lock(state) {
                return Ok(Outcome::Raced);
            }
            bin.entry(slot).put(key, value);
            bin.set_tags(tags.with(slot, hash.tag()));
            bin.seq().unlock(bin.state_after(state, bin.overflow(state)));
            return Ok(Outcome::Done);
        }
        self.add_to_lines(probe, hash, key, value, backoff)
    }

    fn add_to_lines(
        &self,
        probe: &Probe<'_, K, V, V>,
        hash: Hash,
        key: &K,
        value: &V,
        backoff: &Backoff,
    ) -> Result<Outcome, Failure> {
        let Probe { bin, state, tags, .. } = *probe;
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
    fn vacancy(&self, probe: &Probe<'_, K, V, V>) -> Result<Vacancy, Changed> {
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
    fn take(&self, bin: Bin<'_, K, V>, state: State, tags: Tags, place: Place) -> bool {
        if !bin.seq().try_lock(state) {
            return false;
        }
        let (tags, first, freed) = match place {
            Place::Slot(slot) if tags.has_overflow() => self.refill(bin, state, tags, slot),
            _ => self.vacate(tags, bin.overflow(state), place),
        };
        bin.set_tags(tags);
        bin.seq().unlock(bin.state_after(state, first));
        self.pool.push(freed.first);
        self.count.add(-1);
        true
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
