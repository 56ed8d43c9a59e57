//! Walking over all bins while others write and the table grows. Their order is that of [`walk`](super::walk).

use super::Table;
use super::overflow::{Head, Taken};
use super::read::{Changed, Place};
use super::walk::{Found, Position};
use crate::api::cursor::Cursor;
use crate::bins::bin::{Bin, Entry};
use crate::bins::layout::{Layout, MAX_SLOTS};
use crate::bins::tags::Tags;
use crate::sync::backoff::Backoff;
use crate::sync::words::Indirect;
use alloc::vec::Vec;
use core::mem::MaybeUninit;

/// An entry of a snapshot: whole once the snapshot is taken, perhaps torn while it is being taken.
pub(crate) struct Raw<K, V> {
    key: MaybeUninit<K>,
    value: MaybeUninit<V>,
}

impl<K: Copy, V: Copy> Clone for Raw<K, V> {
    fn clone(&self) -> Self {
        Self { key: self.key, value: self.value }
    }
}

impl<K: Copy, V: Copy> Raw<K, V> {
    #[inline(always)]
    fn of(entry: Entry<'_, K, V>) -> Self {
        Self { key: entry.key(), value: entry.value() }
    }

    /// # Safety
    /// The entry comes from a `snapshot` that has returned.
    #[inline(always)]
    pub(crate) unsafe fn whole(&self) -> (K, V) {
        // SAFETY: the caller's promise.
        unsafe { (self.key.assume_init(), self.value.assume_init()) }
    }
}

/// Entries that a walk copies before the first is shown: enough that waits for memory overlap.
pub(crate) const AT_ONCE: usize = 16;

impl<V: Copy> Table<Indirect, V> {
    /// Shows the keys of the bin at `position`, and None before each attempt; tells the next position. What was
    /// copied of where a key leads to is whole when this returns, and was so at one moment.
    pub(crate) fn follow(
        &self,
        position: Position,
        mut each: impl FnMut(Option<Indirect>),
    ) -> Option<Position> {
        let position = self.begun(position);
        let found = self.meet(position, |seen| {
            // SAFETY: a word that a bin once held, or zero: any is a key that leads somewhere.
            each(seen.map(|(entry, _)| unsafe { entry.key().assume_init() }));
        });
        position.after(found?.tags.depth())
    }
}

impl<K: Copy, V: Copy> Table<K, V> {
    /// Adds the entries of the bin at `position` to `buffer`, and of those after it, until it holds `enough`;
    /// each bin's as they were at one moment. Tells the next position. What the buffer holds is whole when
    /// this returns.
    #[inline(never)]
    pub(crate) fn snapshot(
        &self,
        mut position: Position,
        enough: usize,
        buffer: &mut Vec<Raw<K, V>>,
    ) -> Option<Position> {
        loop {
            position = self.begun(position);
            let depth = self.snapshot_bin(position, buffer)?.tags.depth();
            position = position.after(depth)?;
            if buffer.len() >= enough {
                return Some(position);
            }
        }
    }

    #[inline(always)]
    fn snapshot_bin(
        &self,
        position: Position,
        buffer: &mut Vec<Raw<K, V>>,
    ) -> Option<Found<'_, K, V>> {
        let mut backoff = Backoff::spinning();
        let before = buffer.len();
        loop {
            buffer.truncate(before);
            let found = self.bin_at(position)?;
            let Found { bin, state, tags } = found;
            Self::gather(bin, tags, buffer);
            let lines = !tags.has_overflow() || self.gather_lines(found, buffer).is_ok();
            // Validated after the last word was fetched: only now are the entries whole.
            if lines && bin.seq().validate(state) {
                return Some(found);
            }
            let _ = backoff.wait();
        }
    }

    /// Adds what lies in the slots of a bin.
    #[inline(always)]
    fn gather(bin: Bin<'_, K, V>, tags: Tags, buffer: &mut Vec<Raw<K, V>>) {
        if Layout::<K, V>::ENTRY > 2 {
            buffer.extend(tags.used().map(|slot| Raw::of(bin.entry(slot))));
            return;
        }
        // Small entries are all copied, and those of empty slots overwritten by the next: how many there
        // are is never guessed wrong.
        buffer.reserve(MAX_SLOTS);
        let mut len = buffer.len();
        for slot in 0..Layout::<K, V>::SLOTS {
            // SAFETY: of the places reserved each slot moves on by one at most.
            unsafe { buffer.as_mut_ptr().add(len).write(Raw::of(bin.entry(slot))) };
            len += usize::from(tags.is_used(slot));
        }
        // SAFETY: reserved, and written up to here.
        unsafe { buffer.set_len(len) };
    }

    #[cold]
    fn gather_lines(
        &self,
        found: Found<'_, K, V>,
        buffer: &mut Vec<Raw<K, V>>,
    ) -> Result<(), Changed> {
        self.visit_lines(found.bin, found.state, |entry, _| {
            buffer.push(Raw::of(entry));
            Ok(())
        })
    }

    /// Shows entries to `each`, each bin's as they were at one moment, from `cursor` on, until it had at least
    /// `budget`; where to go on, None at the end. Entries are whole when they are shown.
    pub(crate) fn scan(
        &self,
        cursor: Cursor,
        budget: usize,
        mut each: impl FnMut(&[Raw<K, V>]),
    ) -> Option<Cursor> {
        let mut some = Vec::new();
        let mut position = Some(self.resume(cursor.to_bits()));
        let mut left = budget;
        while let Some(at) = position {
            some.clear();
            position = self.snapshot(at, left.min(AT_ONCE), &mut some);
            each(&some);
            left = left.saturating_sub(some.len());
            if left == 0 {
                break;
            }
        }
        position.map(|position| Cursor::from_bits(position.to_bits()))
    }

    /// Shows every entry of the bin at `position`, with its place, and None before each attempt. What was
    /// fetched of entries is whole when this returns, and as it was at one moment.
    #[inline(always)]
    fn meet<'a>(
        &'a self,
        position: Position,
        mut each: impl FnMut(Option<(Entry<'a, K, V>, Place)>),
    ) -> Option<Found<'a, K, V>> {
        let mut backoff = Backoff::spinning();
        loop {
            each(None);
            let found = self.bin_at(position)?;
            let Found { bin, state, tags } = found;
            let seen = self.visit(bin, state, tags, |entry, place| {
                each(Some((entry, place)));
                Ok(())
            });
            // Validated after the last word was fetched: only now are the entries whole.
            if seen.is_ok() && bin.seq().validate(state) {
                return Some(found);
            }
            let _ = backoff.wait();
        }
    }

    /// Shows every entry of a table that nobody else uses. Allocates nothing.
    pub(crate) fn for_each_mut(&mut self, mut each: impl FnMut(K, V)) {
        let mut position = Some(Position::START);
        while let Some(at) = position {
            let at = self.begun(at);
            let Some(Found { bin, state, tags }) = self.bin_at(at) else { return };
            let seen = self.visit(bin, state, tags, |entry, _| {
                // SAFETY: a tag says that the place holds an entry, and nobody writes meanwhile.
                unsafe { each(entry.key().assume_init(), entry.value().assume_init()) };
                Ok(())
            });
            debug_assert!(seen.is_ok());
            position = at.after(tags.depth());
        }
    }

    /// Asks `keep` of every entry, with no lock held, and removes or rewrites accordingly; where a bin
    /// changed meanwhile its entries are asked about again. What is removed is then shown to `gone`.
    pub(crate) fn retain(
        &self,
        mut keep: impl FnMut(&K, &mut V) -> bool,
        mut gone: impl FnMut(&K),
    ) {
        let mut entries: Vec<(Raw<K, V>, Place)> = Vec::new();
        let mut verdicts = Vec::new();
        let mut position = Some(Position::START);
        let mut backoff = Backoff::spinning();
        while let Some(at) = position {
            let at = self.begun(at);
            let met = self.meet(at, |seen| match seen {
                Some((entry, place)) => entries.push((Raw::of(entry), place)),
                None => entries.clear(),
            });
            let Some(found) = met else { return };
            verdicts.clear();
            verdicts.extend(entries.iter_mut().map(|(raw, _)| {
                // SAFETY: `meet` returned, so the entry is whole.
                let (key, value) =
                    unsafe { (raw.key.assume_init_ref(), raw.value.assume_init_mut()) };
                keep(key, value)
            }));
            if entries.is_empty() || self.apply(&found, &entries, &verdicts) {
                for ((raw, _), _) in entries.iter().zip(&verdicts).filter(|(_, kept)| !**kept) {
                    // SAFETY: as above.
                    gone(unsafe { raw.key.assume_init_ref() });
                }
                position = at.after(found.tags.depth());
            } else {
                let _ = backoff.wait();
            }
        }
    }

    fn apply(
        &self,
        found: &Found<'_, K, V>,
        entries: &[(Raw<K, V>, Place)],
        verdicts: &[bool],
    ) -> bool {
        let Found { bin, state, mut tags } = *found;
        if !bin.seq().try_lock(state) {
            return false;
        }
        let mut first = bin.overflow(state);
        let mut freed = 0;
        let mut removed = 0;
        // Last place first: emptying a line unlinks it, which must not disturb the places still to come.
        for ((raw, place), kept) in entries.iter().zip(verdicts).rev() {
            // SAFETY: the entries come from a `meet` that returned: whole.
            let value = unsafe { raw.value.assume_init_ref() };
            match *place {
                Place::Slot(slot) if *kept => bin.entry(slot).put_value(value),
                Place::Line { number, slot, .. } if *kept => {
                    self.pool.owned(number).entry(slot).put_value(value);
                }
                place => {
                    let emptied: Taken;
                    (tags, first, emptied) = self.vacate(tags, first, place);
                    if emptied.first != 0 {
                        self.pool.owned(emptied.first).set_head(Head::new(freed));
                        freed = emptied.first;
                    }
                    removed += 1;
                }
            }
        }
        bin.set_tags(tags);
        bin.seq().unlock(bin.state_after(state, first));
        self.pool.push(freed);
        if removed > 0 {
            self.count.add(-removed);
        }
        true
    }

    /// Empties every bin, one after the other.
    pub(crate) fn clear(&self) {
        let mut position = Some(Position::START);
        let mut backoff = Backoff::spinning();
        while let Some(at) = position {
            let at = self.begun(at);
            let Some(found) = self.bin_at(at) else { return };
            match self.empty(&found) {
                Some(tags) => position = at.after(tags.depth()),
                None => drop(backoff.wait()),
            }
        }
    }

    fn empty(&self, found: &Found<'_, K, V>) -> Option<Tags> {
        let Found { bin, state, tags } = *found;
        if !bin.seq().try_lock(state) {
            return None;
        }
        let chain = bin.overflow(state);
        let mut removed = tags.used().count();
        let mut line = chain;
        while line != 0 {
            let head = self.pool.owned(line).head();
            removed += head.count();
            line = head.next;
        }
        bin.set_tags(Tags::empty(tags.depth()));
        bin.seq().unlock(bin.state_after(state, 0));
        self.pool.push(chain);
        self.count.add(-removed.cast_signed());
        Some(tags)
    }
}
