//! Walking over all bins while other threads write and the table grows, in the order of [`walk`](super::walk).

use super::Table;
use super::overflow::{LineHead, LineList};
use super::read::{BinChanged, BinPlace};
use super::walk::{WalkPosition, WalkedBin};
use crate::api::cursor::Cursor;
use crate::bins::bin::{Bin, EntryWords};
use crate::bins::layout::{Layout, MAX_SLOTS};
use crate::bins::tags::{Depth, SlotMask, Tags};
use crate::facade::IN_USERS_MODEL;
use crate::sync::backoff::Backoff;
use crate::sync::words::Indirect;
use alloc::vec::Vec;
use core::mem::MaybeUninit;

/// An entry of a snapshot: whole after the snapshot was taken, perhaps torn before.
pub(crate) struct RawEntry<K, V> {
    key: MaybeUninit<K>,
    value: MaybeUninit<V>,
}

impl<K: Copy, V: Copy> Clone for RawEntry<K, V> {
    fn clone(&self) -> Self {
        Self { key: self.key, value: self.value }
    }
}

impl<K: Copy, V: Copy> RawEntry<K, V> {
    #[inline(always)]
    fn of(entry: EntryWords<'_, K, V>) -> Self {
        Self { key: entry.key(), value: entry.value() }
    }

    /// Returns key and value.
    ///
    /// # Safety
    /// The entry comes from a `snapshot` that has returned.
    #[inline(always)]
    pub(crate) unsafe fn whole(&self) -> (K, V) {
        // SAFETY: `snapshot` returned, as the caller promises, so the entry was validated and is whole.
        unsafe { (self.key.assume_init(), self.value.assume_init()) }
    }
}

/// The number of entries that a walk copies before it returns the first, so that waits for memory overlap.
pub(crate) const AT_ONCE: usize = 16;
/// The number of entries that a fold copies to the stack at a time, if they are not large.
const FOLDED: usize = 32;
/// The largest number of bytes that a fold copies to the stack.
const MAX_STACK_BYTES: usize = 1280;

/// Consecutive bins whose entries were copied.
struct Run {
    /// The number of entries.
    copied: usize,
    /// The position after the bins: where the run began, if there was none.
    next: Option<WalkPosition>,
}

impl<V: Copy> Table<Indirect, V> {
    /// Calls `each` with the keys of the bin at `position`, and with None before each attempt; returns the next
    /// position. Copies that `each` made of the places that keys refer to are a consistent snapshot when this returns.
    pub(crate) fn follow(
        &self,
        position: WalkPosition,
        mut each: impl FnMut(Option<Indirect>),
    ) -> Option<WalkPosition> {
        let _operation = self.scheduled.operation();
        let position = self.begun(position);
        let found = self.visit_at(position, |seen| {
            // SAFETY: a word that a bin once held, or zero. Any integer is an `Indirect`.
            each(seen.map(|(entry, _)| unsafe { entry.key().assume_init() }));
        });
        position.after(found?.tags.depth())
    }
}

impl<K: Copy, V: Copy> Table<K, V> {
    /// Adds the entries of the bin at `position` to `buffer`, and of the bins after it, until it holds `enough`;
    /// returns the next position. The entries of each bin are a consistent snapshot. The entries in the buffer are
    /// whole when this returns.
    #[inline(never)]
    pub(crate) fn snapshot(
        &self,
        mut position: WalkPosition,
        enough: usize,
        buffer: &mut Vec<RawEntry<K, V>>,
    ) -> Option<WalkPosition> {
        let _operation = self.scheduled.operation();
        // A walk is no snapshot, so a model has a step for each of its entries, as far as they are in different bins.
        let enough = if IN_USERS_MODEL { 1 } else { enough };
        // A table without bins needs no buffer.
        self.directory()?;
        loop {
            position = self.begun(position);
            let (len, lacking) = (buffer.len(), enough.saturating_sub(buffer.len()));
            buffer.reserve(lacking + MAX_SLOTS);
            let run = self.copy_run(position, lacking, buffer.spare_capacity_mut());
            // SAFETY: `copy_run` wrote that many entries to the spare capacity.
            unsafe { buffer.set_len(len + run.copied) };
            position = match run.next? {
                // Not even one bin: the next one takes more than a copy of its slots.
                next if next == position => next.after(self.snapshot_bin(next, buffer)?)?,
                next => next,
            };
            if buffer.len() >= enough {
                return Some(position);
            }
        }
    }

    /// Copies the entries of the bin at `position` to the first places of `room`, and of the bins after it in the same
    /// segment, until there are `enough`. Stops before a bin that has overflow lines, is being changed, or is not as
    /// deep as the directory says.
    ///
    /// It reads the directory once. So it takes a third of the instructions that going from bin to bin by `bin_at`
    /// would.
    #[inline(never)]
    fn copy_run(
        &self,
        position: WalkPosition,
        enough: usize,
        room: &mut [MaybeUninit<RawEntry<K, V>>],
    ) -> Run {
        let none = Run { copied: 0, next: Some(position) };
        let Some(directory) = self.directory() else { return none };
        let hint = directory.hint(position.hash().bin_bits());
        // Deeper bins than the stretch: each covers a part of its lane only.
        if !position.covers_lanes(hint.depth()) || room.len() < MAX_SLOTS {
            return none;
        }
        // A bin that is begun before this many are copied fits into the room.
        let full = Self::STEP * enough.min(room.len() - MAX_SLOTS + 1);
        let (mut copied, mut lane) = (0, position.lane());
        loop {
            let bin = directory.bin_of(hint, lane as usize);
            let (state, tags) = (bin.seq().begin(), bin.tags());
            if !tags.is_plain(hint.depth()) {
                break;
            }
            // SAFETY: `copied` is zero or less than `full`, so `MAX_SLOTS` places of `room` are left.
            let more = unsafe { Self::copy_slots(bin, tags, room.as_mut_ptr(), copied) };
            // Validated after the last word was fetched: only now are the entries whole, and all of one version of the
            // bin.
            if !bin.seq().validate(state) {
                break;
            }
            (copied, lane) = (copied + more, lane + 1);
            if copied >= full || lane == position.lanes() {
                break;
            }
        }
        Run { copied: copied / Self::STEP, next: position.at_lane(lane) }
    }

    /// The unit in which a run counts what it has copied: the bytes of an entry, or 1 if it has none.
    const STEP: usize =
        if size_of::<RawEntry<K, V>>() == 0 { 1 } else { size_of::<RawEntry<K, V>>() };

    /// Copies the entries in the slots of a bin to `room`, where `copied` steps are copied already; returns the number
    /// of steps. The entries may be torn until the caller validates the bin's state.
    ///
    /// # Safety
    /// `room` has `MAX_SLOTS` places more than are copied already.
    #[inline(always)]
    unsafe fn copy_slots(
        bin: Bin<'_, K, V>,
        tags: Tags,
        room: *mut MaybeUninit<RawEntry<K, V>>,
        copied: usize,
    ) -> usize {
        let (used, mut more) = (tags.used(), 0);
        let copy = |slot: usize, more: usize| {
            if size_of::<RawEntry<K, V>>() > 0 {
                let place = room.wrapping_byte_add(copied + more);
                // SAFETY: the caller has `MAX_SLOTS` places, and `more` is the size of as many entries as there are
                // used slots before this one.
                unsafe { place.write(MaybeUninit::new(RawEntry::of(bin.entry(slot)))) };
            }
        };
        if MAX_SLOTS * Self::STEP > SlotMask::MOST_STEPS {
            for slot in used {
                copy(slot, more);
                more += Self::STEP;
            }
            return more;
        }
        // All slots are copied, and the next entry overwrites the copy of an empty slot. So there is no branch that
        // depends on the number of entries, which the processor would mispredict.
        let ends = used.ends(Self::STEP);
        for slot in 0..Layout::<K, V>::SLOTS {
            copy(slot, more);
            more = ends.of(slot);
        }
        more
    }

    /// Adds the entries of the bin at `position` to `buffer`, and returns the bin's depth.
    #[inline(never)]
    fn snapshot_bin(
        &self,
        position: WalkPosition,
        buffer: &mut Vec<RawEntry<K, V>>,
    ) -> Option<Depth> {
        let mut backoff = Backoff::spinning();
        let before = buffer.len();
        loop {
            buffer.truncate(before);
            let found = self.bin_at(position)?;
            let WalkedBin { bin, state, tags } = found;
            buffer.extend(tags.used().map(|slot| RawEntry::of(bin.entry(slot))));
            let lines = !tags.has_overflow() || self.gather_lines(found, buffer).is_ok();
            // As in `copy_run`: the entries of lines too are of the same version.
            if lines && bin.seq().validate(state) {
                return Some(tags.depth());
            }
            let _ = backoff.wait();
        }
    }

    /// Folds over the entries from `position` on. Entries that are not large are copied to the stack first, some bins
    /// at a time.
    #[inline]
    pub(crate) fn fold<B>(
        &self,
        mut position: Option<WalkPosition>,
        init: B,
        mut f: impl FnMut(B, (K, V)) -> B,
    ) -> B {
        let is_small = size_of::<RawEntry<K, V>>() <= MAX_STACK_BYTES / (FOLDED + MAX_SLOTS);
        if is_small && !IN_USERS_MODEL {
            return self.fold_on_stack(position, init, f);
        }
        let (mut folded, mut some) = (init, Vec::new());
        while let Some(at) = position {
            some.clear();
            position = self.snapshot(at, AT_ONCE, &mut some);
            // SAFETY: the `snapshot` that filled the buffer has returned.
            folded = some.iter().map(|raw| unsafe { raw.whole() }).fold(folded, &mut f);
        }
        folded
    }

    /// Does what `fold` does. It is a function of its own so that, even without optimization, folding over large
    /// entries does not pay for its stack frame.
    #[inline]
    fn fold_on_stack<B>(
        &self,
        mut position: Option<WalkPosition>,
        init: B,
        mut f: impl FnMut(B, (K, V)) -> B,
    ) -> B {
        let mut room = [const { MaybeUninit::<RawEntry<K, V>>::uninit() }; FOLDED + MAX_SLOTS];
        let (mut folded, mut more) = (init, Vec::new());
        while let Some(at) = position {
            let at = self.begun(at);
            let run = self.copy_run(at, FOLDED, &mut room);
            for raw in &room[..run.copied] {
                // SAFETY: `copy_run` wrote that many entries, and has validated them.
                folded = f(folded, unsafe { raw.assume_init_ref().whole() });
            }
            position = run.next;
            if position == Some(at) {
                more.clear();
                position = self.snapshot(at, 0, &mut more);
                // SAFETY: the `snapshot` that filled the buffer has returned.
                folded = more.iter().map(|raw| unsafe { raw.whole() }).fold(folded, &mut f);
            }
        }
        folded
    }

    #[cold]
    fn gather_lines(
        &self,
        found: WalkedBin<'_, K, V>,
        buffer: &mut Vec<RawEntry<K, V>>,
    ) -> Result<(), BinChanged> {
        self.visit_lines(found.bin, found.state, |entry, _| {
            buffer.push(RawEntry::of(entry));
            Ok(())
        })
    }

    /// Calls `each` with the entries of one bin after the other, from `cursor` on, until it has seen at least `budget`.
    /// The entries of each bin are a consistent snapshot. Returns the cursor to continue from, None at the end.
    pub(crate) fn scan(
        &self,
        cursor: Cursor,
        budget: usize,
        mut each: impl FnMut(&[RawEntry<K, V>]),
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

    /// Calls `each` for every entry of the bin at `position`, with its place, and with None before each attempt. The
    /// data that `each` fetched of the entries is a consistent snapshot when this returns.
    #[inline(always)]
    fn visit_at<'a>(
        &'a self,
        position: WalkPosition,
        mut each: impl FnMut(Option<(EntryWords<'a, K, V>, BinPlace)>),
    ) -> Option<WalkedBin<'a, K, V>> {
        let mut backoff = Backoff::spinning();
        loop {
            each(None);
            let found = self.bin_at(position)?;
            let WalkedBin { bin, state, tags } = found;
            let seen = self.visit(bin, state, tags, |entry, place| {
                each(Some((entry, place)));
                Ok(())
            });
            // Validated after the last word was fetched: only now are the entries whole, and all of one version of the
            // bin.
            if seen.is_ok() && bin.seq().validate(state) {
                return Some(found);
            }
            let _ = backoff.wait();
        }
    }

    /// Calls `each` for every entry of a table that no other thread uses. Allocates nothing.
    pub(crate) fn for_each_mut(&mut self, mut each: impl FnMut(K, V)) {
        let mut position = Some(WalkPosition::START);
        while let Some(at) = position {
            let at = self.begun(at);
            let Some(WalkedBin { bin, state, tags }) = self.bin_at(at) else { return };
            let seen = self.visit(bin, state, tags, |entry, _| {
                // SAFETY: a tag says that the place holds an entry, and `&mut self`: no other thread writes.
                unsafe { each(entry.key().assume_init(), entry.value().assume_init()) };
                Ok(())
            });
            debug_assert!(seen.is_ok());
            position = at.after(tags.depth());
        }
    }

    /// Calls `keep` for every entry, with no lock held, and removes entries or stores changed values accordingly. If a
    /// bin changed meanwhile, calls `keep` for its entries again. Calls `gone` for each removed key.
    pub(crate) fn retain(
        &self,
        mut keep: impl FnMut(&K, &mut V) -> bool,
        mut gone: impl FnMut(&K),
    ) {
        let mut entries: Vec<(RawEntry<K, V>, BinPlace)> = Vec::new();
        let mut verdicts = Vec::new();
        let mut position = Some(WalkPosition::START);
        let mut backoff = Backoff::spinning();
        while let Some(at) = position {
            let _operation = self.scheduled.operation();
            let at = self.begun(at);
            let met = self.visit_at(at, |seen| match seen {
                Some((entry, place)) => entries.push((RawEntry::of(entry), place)),
                None => entries.clear(),
            });
            let Some(found) = met else { return };
            verdicts.clear();
            verdicts.extend(entries.iter_mut().map(|(raw, _)| {
                // SAFETY: `visit_at` returned, so the entry is whole.
                let (key, value) =
                    unsafe { (raw.key.assume_init_ref(), raw.value.assume_init_mut()) };
                keep(key, value)
            }));
            // `keep` may have taken long: `apply` locks the bin only if it still has the state that `keep` saw.
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

    /// Removes and rewrites the entries of a bin as `verdicts` says, if the bin has not changed since it was found.
    fn apply(
        &self,
        found: &WalkedBin<'_, K, V>,
        entries: &[(RawEntry<K, V>, BinPlace)],
        verdicts: &[bool],
    ) -> bool {
        let WalkedBin { bin, state, mut tags } = *found;
        if !bin.seq().try_lock(state) {
            return false;
        }
        let mut first = bin.overflow(state);
        let mut freed = 0;
        let mut removed = 0;
        // Last place first: emptying a line unlinks it, and the places that follow must stay valid.
        for ((raw, place), kept) in entries.iter().zip(verdicts).rev() {
            // SAFETY: the entries come from a `visit_at` that returned, so they are whole.
            let value = unsafe { raw.value.assume_init_ref() };
            match *place {
                BinPlace::Slot(slot) if *kept => bin.entry(slot).put_value(value),
                BinPlace::Line { number, slot, .. } if *kept => {
                    self.pool.owned(number).entry(slot).put_value(value);
                }
                place => {
                    let emptied: LineList;
                    (tags, first, emptied) = self.vacate(tags, first, place);
                    if emptied.first != 0 {
                        self.pool.owned(emptied.first).set_head(LineHead::new(freed));
                        freed = emptied.first;
                    }
                    removed += 1;
                }
            }
        }
        bin.set_tags(tags);
        bin.seq().unlock(bin.state_after(state, first));
        // Only after the unlock, when no reader's state leads to these lines any more, may another bin take them.
        self.pool.push(LineList { first: freed });
        if removed > 0 {
            self.count.add(-removed);
        }
        true
    }

    /// Empties every bin, one after the other.
    pub(crate) fn clear(&self) {
        let mut position = Some(WalkPosition::START);
        let mut backoff = Backoff::spinning();
        while let Some(at) = position {
            let _operation = self.scheduled.operation();
            let at = self.begun(at);
            let Some(found) = self.bin_at(at) else { return };
            match self.empty(&found) {
                Some(tags) => position = at.after(tags.depth()),
                None => drop(backoff.wait()),
            }
        }
    }

    /// Empties a bin, if it has not changed since it was found; returns the tags that it had.
    fn empty(&self, found: &WalkedBin<'_, K, V>) -> Option<Tags> {
        let WalkedBin { bin, state, tags } = *found;
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
        self.pool.push(LineList { first: chain });
        self.count.add(-removed.cast_signed());
        Some(tags)
    }
}
