//! Look-ups. They write nothing that another thread can see.
//!
//! # Synchronization
//! See [`bin`](super::bin): state (acquire), tags (acquire), then either
//! - no tag and no filter bit matches and the depth is right: the key was absent when the tags were
//!   loaded (the linearization point); or
//! - the entry's words (relaxed) and a validation of the state: the entry is whole, and was there when
//!   the tags were loaded. Only then are the key's bytes looked at.

use super::{Table, covers};
use crate::api::hash::KeyHash;
pub(super) use crate::bins::bin::Changed;
use crate::bins::bin::{Bin, Entry};
use crate::bins::layout::Layout;
use crate::bins::tags::{Depth, Tags};
use crate::sync::backoff::{Backoff, WouldWait};
use crate::sync::seqlock::State;
use core::mem::MaybeUninit;

/// Where an entry stands in its bin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// In the bin itself.
    Slot(usize),
    /// In line `number`, which hangs on line `before` (0: on the bin).
    Line { before: usize, number: usize, slot: usize },
}

/// The bin of a key as one look-up found it. Locking the bin from `state` proves it still so.
pub(crate) struct Probe<'a, K, V, R> {
    pub(super) bin: Bin<'a, K, V>,
    pub(super) state: State,
    pub(super) tags: Tags,
    pub(crate) found: Option<(Place, R)>,
}

/// A quick look did not settle it.
pub(super) struct Unclear;

impl<K: Copy, V: Copy> Table<K, V> {
    /// Looks the key up that `eq` knows; `read` fetches what is wanted of its entry.
    #[inline(always)]
    pub(crate) fn get<R>(
        &self,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(Entry<'_, K, V>) -> MaybeUninit<R> + Copy,
    ) -> Option<R> {
        let directory = self.directory_to_read()?;
        let (bin, depth) = directory.locate(hash);
        bin.prefetch();
        let state = bin.seq().begin();
        let tags = bin.tags();
        Self::get_at(bin, depth, state, tags, hash, eq, read).unwrap_or_else(|Unclear| {
            self.get_slowly(hash, eq, read, &mut Backoff::spinning()).unwrap_or(None)
        })
    }

    /// Where a hint said `depth`: the key looked up in its bin, if there is little to it. `Unclear`
    /// where the bin changed, is deeper, has overflowed, or a second slot has the same tag.
    #[inline(always)]
    pub(super) fn get_at<R>(
        bin: Bin<'_, K, V>,
        depth: Depth,
        state: State,
        tags: Tags,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(Entry<'_, K, V>) -> MaybeUninit<R> + Copy,
    ) -> Result<Option<R>, Unclear> {
        let slots = tags.matches(hash);
        if slots.is_empty() {
            let sure = !tags.may_overflow(hash) && tags.depth() == depth;
            return if sure { Ok(None) } else { Err(Unclear) };
        }
        match bin.check(state, bin.entry(slots.lowest()), eq, read) {
            Ok(Some(value)) => Ok(Some(value)),
            _ => Err(Unclear),
        }
    }

    /// What `get` does, from the start and for every case, waiting as `backoff` allows.
    #[cold]
    #[inline(never)]
    pub(crate) fn get_slowly<R>(
        &self,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(Entry<'_, K, V>) -> MaybeUninit<R> + Copy,
        backoff: &mut Backoff,
    ) -> Result<Option<R>, WouldWait> {
        let probe = self.search(hash, eq, read, backoff)?;
        Ok(probe.and_then(|probe| probe.found).map(|(_, value)| value))
    }

    /// Finds bin and entry of a key. None while the table has no bins at all.
    #[cold]
    #[inline(never)]
    pub(super) fn search<R>(
        &self,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(Entry<'_, K, V>) -> MaybeUninit<R> + Copy,
        backoff: &mut Backoff,
    ) -> Result<Option<Probe<'_, K, V, R>>, WouldWait> {
        let Some(directory) = self.directory() else { return Ok(None) };
        // Mostly the hint is right, and the bin at rest.
        let (bin, depth) = directory.locate(hash);
        let (state, tags) = (bin.seq().begin(), bin.tags());
        if tags.depth() == depth
            && let Ok(found) = self.search_bin(bin, state, tags, hash, eq, read)
        {
            return Ok(Some(Probe { bin, state, tags, found }));
        }
        loop {
            let Some(directory) = self.directory() else { return Ok(None) };
            if let Some((bin, number)) = Self::home(directory, hash) {
                let state = bin.seq().begin();
                let tags = bin.tags();
                if covers(tags.depth(), number, hash)
                    && let Ok(found) = self.search_bin(bin, state, tags, hash, eq, read)
                {
                    return Ok(Some(Probe { bin, state, tags, found }));
                }
            }
            backoff.wait()?;
        }
    }

    /// Looks through one bin and its overflow lines, as they were under `state` and `tags`.
    fn search_bin<R>(
        &self,
        bin: Bin<'_, K, V>,
        state: State,
        tags: Tags,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(Entry<'_, K, V>) -> MaybeUninit<R> + Copy,
    ) -> Result<Option<(Place, R)>, Changed> {
        let found = Self::search_slots(bin, state, tags, hash, eq, read)?;
        if found.is_some() || !tags.may_overflow(hash) {
            return Ok(found);
        }
        self.search_lines(bin, state, hash, eq, read)
    }

    /// Looks through a bin's overflow lines, as they were under `state`.
    fn search_lines<R>(
        &self,
        bin: Bin<'_, K, V>,
        state: State,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(Entry<'_, K, V>) -> MaybeUninit<R> + Copy,
    ) -> Result<Option<(Place, R)>, Changed> {
        let (mut before, mut number) = (0, bin.overflow(state));
        loop {
            // Before every hop, and before the answer None: the number was the bin's, and still is.
            if !bin.seq().validate(state) {
                return Err(Changed);
            }
            if number == 0 {
                return Ok(None);
            }
            let line = self.pool.line(number).ok_or(Changed)?;
            let head = line.head();
            for slot in head.matches(hash.tag()) {
                if let Some(value) = bin.check(state, line.entry(slot), eq, read)? {
                    return Ok(Some((Place::Line { before, number, slot }, value)));
                }
            }
            (before, number) = (number, head.next);
        }
    }

    /// Looks through the slots of a bin whose tag is right.
    #[inline(always)]
    fn search_slots<R>(
        bin: Bin<'_, K, V>,
        state: State,
        tags: Tags,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(Entry<'_, K, V>) -> MaybeUninit<R> + Copy,
    ) -> Result<Option<(Place, R)>, Changed> {
        for slot in tags.matches(hash) {
            if let Some(value) = bin.check(state, bin.entry(slot), eq, read)? {
                return Ok(Some((Place::Slot(slot), value)));
            }
        }
        Ok(None)
    }

    /// Shows every entry of a bin as it was under `state` and `tags`, in a fixed order. What `each`
    /// fetches may be torn until the state has been validated once more.
    #[inline(always)]
    pub(super) fn visit<'a>(
        &'a self,
        bin: Bin<'a, K, V>,
        state: State,
        tags: Tags,
        mut each: impl FnMut(Entry<'a, K, V>, Place) -> Result<(), Changed>,
    ) -> Result<(), Changed> {
        for slot in tags.used() {
            each(bin.entry(slot), Place::Slot(slot))?;
        }
        if tags.has_overflow() { self.visit_lines(bin, state, each) } else { Ok(()) }
    }

    /// Shows what lies in a bin's overflow lines, as `visit`.
    pub(super) fn visit_lines<'a>(
        &'a self,
        bin: Bin<'a, K, V>,
        state: State,
        mut each: impl FnMut(Entry<'a, K, V>, Place) -> Result<(), Changed>,
    ) -> Result<(), Changed> {
        let (mut before, mut number) = (0, bin.overflow(state));
        loop {
            if !bin.seq().validate(state) {
                return Err(Changed);
            }
            if number == 0 {
                return Ok(());
            }
            let line = self.pool.line(number).ok_or(Changed)?;
            let head = line.head();
            for slot in 0..Layout::<K, V>::LINE_SLOTS {
                if head.tag(slot) != 0 {
                    each(line.entry(slot), Place::Line { before, number, slot })?;
                }
            }
            (before, number) = (number, head.next);
        }
    }
}
