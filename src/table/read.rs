//! Lookups. They write nothing that another thread can see.
//!
//! # Synchronization
//! See [`bin`](super::bin). A lookup loads the state (acquire), then the tags (acquire), and then decides in one of two
//! ways:
//! - No tag and no filter bit matches, and the depth is right: the key was absent when the tags were loaded. That load
//!   is the linearization point.
//! - A tag matches: it fetches the entry's words (relaxed) and validates the state. The entry is then whole, and was
//!   there when the tags were loaded. Only after the validation does `eq` see the key's bytes.
//!
//! Tags that are newer than the state make the validation fail. Tags that are older would be stale, and a writer that
//! locks the bin from that state ([`BinProbe`]) would overwrite what they do not show. A lookup alone would be
//! linearizable in the other order, too: the entry that stale tags name was in its slot when they were loaded, or was
//! stored there later and before the state was loaded. The later of the two is the linearization point.

use super::{Table, covers};
use crate::api::hash::KeyHash;
pub(super) use crate::bins::bin::BinChanged;
use crate::bins::bin::{Bin, EntryWords};
use crate::bins::tags::{Depth, Tags};
use crate::sync::backoff::{Backoff, WouldWait};
use crate::sync::seqlock::StateWord;
use core::mem::MaybeUninit;

/// The place of an entry in its bin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BinPlace {
    /// In the bin itself.
    Slot(usize),
    /// In line `number`, to which line `before` links (0: the bin links to it).
    Line { before: usize, number: usize, slot: usize },
}

/// A key's bin as one lookup found it. A writer that locks the bin from `state` proves that nothing changed since.
pub(crate) struct BinProbe<'a, K, V, R> {
    pub(super) bin: Bin<'a, K, V>,
    pub(super) state: StateWord,
    pub(super) tags: Tags,
    pub(crate) found: Option<(BinPlace, R)>,
}

/// The fast path could not decide.
pub(super) struct Unclear;

impl<K: Copy, V: Copy> Table<K, V> {
    /// Requests the memory of a hash's bin: its head, and the line in which the entry probably is.
    #[cfg_attr(hedgerow_loom, allow(dead_code))] // Models drop nothing before an operation.
    #[inline(always)]
    pub(crate) fn prefetch(&self, hash: KeyHash) {
        if let Some(directory) = self.directory_to_read() {
            let (bin, _) = directory.locate(hash);
            bin.prefetch_head();
            bin.prefetch();
        }
    }

    /// Looks up the key for which `eq` returns true; `read` fetches what the caller wants of its entry.
    #[inline(always)]
    pub(crate) fn get<R>(
        &self,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(EntryWords<'_, K, V>) -> MaybeUninit<R> + Copy,
    ) -> Option<R> {
        let _operation = self.scheduled.operation();
        let directory = self.directory_to_read()?;
        let (bin, depth) = directory.locate(hash);
        // Started before the head is read, so that the two waits for memory overlap.
        bin.prefetch();
        let state = bin.seq().begin();
        let tags = bin.tags();
        Self::get_at(bin, depth, state, tags, hash, eq, read).unwrap_or_else(|Unclear| {
            self.get_in_every_case(hash, eq, read, &mut Backoff::spinning()).unwrap_or(None)
        })
    }

    /// Looks the key up in the bin that a hint of `depth` named, if one entry decides. Returns `Unclear` if the bin has
    /// changed, is deeper than the hint, may have overflowed, or if the first slot with the key's tag holds another
    /// key.
    #[inline(always)]
    pub(super) fn get_at<R>(
        bin: Bin<'_, K, V>,
        depth: Depth,
        state: StateWord,
        tags: Tags,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(EntryWords<'_, K, V>) -> MaybeUninit<R> + Copy,
    ) -> Result<Option<R>, Unclear> {
        let slots = tags.matches(hash);
        if slots.is_empty() {
            // A filter bit: the key may be in an overflow line. Another depth: the hint was stale, and another bin has
            // the key.
            let sure = !tags.may_overflow(hash) && tags.depth() == depth;
            return if sure { Ok(None) } else { Err(Unclear) };
        }
        match bin.check(state, bin.entry(slots.lowest()), eq, read) {
            Ok(Some(value)) => Ok(Some(value)),
            _ => Err(Unclear),
        }
    }

    /// Does what `get` does, waiting as `backoff` allows.
    #[inline]
    pub(crate) fn get_slowly<R>(
        &self,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(EntryWords<'_, K, V>) -> MaybeUninit<R> + Copy,
        backoff: &mut Backoff,
    ) -> Result<Option<R>, WouldWait> {
        let _operation = self.scheduled.operation();
        self.get_in_every_case(hash, eq, read, backoff)
    }

    /// Does what `get` does, from the start and for every case, waiting as `backoff` allows.
    #[cold]
    #[inline(never)]
    fn get_in_every_case<R>(
        &self,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(EntryWords<'_, K, V>) -> MaybeUninit<R> + Copy,
        backoff: &mut Backoff,
    ) -> Result<Option<R>, WouldWait> {
        let probe = self.search(hash, eq, read, backoff)?;
        Ok(probe.and_then(|probe| probe.found).map(|(_, value)| value))
    }

    /// Finds the bin and the entry of a key. None if the table has no bins yet.
    #[cold]
    #[inline(never)]
    pub(super) fn search<R>(
        &self,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(EntryWords<'_, K, V>) -> MaybeUninit<R> + Copy,
        backoff: &mut Backoff,
    ) -> Result<Option<BinProbe<'_, K, V, R>>, WouldWait> {
        let Some(directory) = self.directory() else { return Ok(None) };
        // Mostly the hint is right and no writer is in the bin, so this attempt needs no walk up the ancestors.
        let (bin, depth) = directory.locate(hash);
        let (state, tags) = (bin.seq().begin(), bin.tags());
        if tags.depth() == depth
            && let Ok(found) = self.search_bin(bin, state, tags, hash, eq, read)
        {
            return Ok(Some(BinProbe { bin, state, tags, found }));
        }
        loop {
            let Some(directory) = self.directory() else { return Ok(None) };
            // None: a split or a move is under way, and the directory may show its result next time.
            if let Some((bin, number)) = Self::home(directory, hash) {
                let state = bin.seq().begin();
                let tags = bin.tags();
                // The bin was split between `home` and the load of its state: the key may be in the child.
                if covers(tags.depth(), number, hash)
                    && let Ok(found) = self.search_bin(bin, state, tags, hash, eq, read)
                {
                    return Ok(Some(BinProbe { bin, state, tags, found }));
                }
            }
            backoff.wait()?;
        }
    }

    /// Searches one bin and its overflow lines, as they were under `state` and `tags`.
    fn search_bin<R>(
        &self,
        bin: Bin<'_, K, V>,
        state: StateWord,
        tags: Tags,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(EntryWords<'_, K, V>) -> MaybeUninit<R> + Copy,
    ) -> Result<Option<(BinPlace, R)>, BinChanged> {
        let found = Self::search_slots(bin, state, tags, hash, eq, read)?;
        // The filter bit of the key's hash is clear: no overflow line has the key, and none needs to be read.
        if found.is_some() || !tags.may_overflow(hash) {
            return Ok(found);
        }
        self.search_lines(bin, state, hash, eq, read)
    }

    /// Searches a bin's overflow lines, as they were under `state`.
    fn search_lines<R>(
        &self,
        bin: Bin<'_, K, V>,
        state: StateWord,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(EntryWords<'_, K, V>) -> MaybeUninit<R> + Copy,
    ) -> Result<Option<(BinPlace, R)>, BinChanged> {
        let (mut before, mut number) = (0, bin.overflow(state));
        loop {
            // Before every hop, and before the answer None: if the state is unchanged, `number` is still a line of this
            // bin. A line that was freed meanwhile may belong to another bin by now.
            if !bin.seq().validate(state) {
                return Err(BinChanged);
            }
            if number == 0 {
                return Ok(None);
            }
            let line = self.pool.line(number).ok_or(BinChanged)?;
            let head = line.head();
            for slot in head.matches(hash.tag()) {
                if let Some(value) = bin.check(state, line.entry(slot), eq, read)? {
                    return Ok(Some((BinPlace::Line { before, number, slot }, value)));
                }
            }
            (before, number) = (number, head.next);
        }
    }

    /// Searches the slots of a bin that have the hash's tag.
    #[inline(always)]
    fn search_slots<R>(
        bin: Bin<'_, K, V>,
        state: StateWord,
        tags: Tags,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(EntryWords<'_, K, V>) -> MaybeUninit<R> + Copy,
    ) -> Result<Option<(BinPlace, R)>, BinChanged> {
        for slot in tags.matches(hash) {
            if let Some(value) = bin.check(state, bin.entry(slot), eq, read)? {
                return Ok(Some((BinPlace::Slot(slot), value)));
            }
        }
        Ok(None)
    }

    /// Calls `each` for every entry of a bin as it was under `state` and `tags`, in a fixed order. The data that `each`
    /// fetches may be torn until the caller validates the state once more.
    #[inline(always)]
    pub(super) fn visit<'a>(
        &'a self,
        bin: Bin<'a, K, V>,
        state: StateWord,
        tags: Tags,
        mut each: impl FnMut(EntryWords<'a, K, V>, BinPlace) -> Result<(), BinChanged>,
    ) -> Result<(), BinChanged> {
        for slot in tags.used() {
            each(bin.entry(slot), BinPlace::Slot(slot))?;
        }
        if tags.has_overflow() { self.visit_lines(bin, state, each) } else { Ok(()) }
    }

    /// Calls `each` for the entries in a bin's overflow lines, as `visit` does.
    pub(super) fn visit_lines<'a>(
        &'a self,
        bin: Bin<'a, K, V>,
        state: StateWord,
        mut each: impl FnMut(EntryWords<'a, K, V>, BinPlace) -> Result<(), BinChanged>,
    ) -> Result<(), BinChanged> {
        let (mut before, mut number) = (0, bin.overflow(state));
        loop {
            // As in `search_lines`: without this the walk could follow a line into another bin.
            if !bin.seq().validate(state) {
                return Err(BinChanged);
            }
            if number == 0 {
                return Ok(());
            }
            let line = self.pool.line(number).ok_or(BinChanged)?;
            let head = line.head();
            for slot in head.used() {
                each(line.entry(slot), BinPlace::Line { before, number, slot })?;
            }
            (before, number) = (number, head.next);
        }
    }
}
