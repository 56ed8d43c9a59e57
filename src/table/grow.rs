//! Growth: who decides that bins are to be split, and which.
//!
//! Bins are born in order of their number (linear hashing): bin `2^k + i` from bin `i`. Whoever adds the
//! entry that lifts the count over the wanted load claims the next segment and has all its bins born, so
//! that at rest no segment is split in part and every hint of the directory is right. A claim that comes
//! to nothing (no memory, the caller may not wait, or the user's `Hash` panics) is given up and leaves bins
//! unborn: their keys stay in the bin they would have come from, and the next demand for one, or for a bin
//! that comes from it, makes it up.

use super::directory::Directory;
use super::split::Split;
use super::{Failure, Table, low_bits};
use crate::api::hash::KeyHash;
use crate::bins::layout::Layout;
use crate::bins::tags::Depth;
use crate::facade::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::backoff::Backoff;
use core::mem;

/// Segments filled on account of one insert, at most: a bound on its work.
const BUDGET: usize = 2;
/// Growth ahead of demand is for such a part of the entries more than there are.
const AHEAD: usize = 32;
/// Bits of a bin's number, at most; more could not be addressed.
const MAX_BITS: u32 = usize::BITS - 8;

/// A segment that was claimed and is not done. Dropped, by a failure or a panic, it gives the claim up, unless others
/// have claimed further already.
struct Claim<'a> {
    claimed: &'a AtomicUsize,
    first: usize,
    next: usize,
}

impl Drop for Claim<'_> {
    #[cold]
    fn drop(&mut self) {
        // relaxed: a hint; `ensure` looks at the bins themselves.
        let _ = self.claimed.compare_exchange(
            self.next,
            self.first,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }
}

/// A move to a larger table that is not done. Dropped, by a failure or a panic, it leaves word that the move was cut
/// short.
struct Move<'a>(&'a AtomicBool);

impl Drop for Move<'_> {
    #[cold]
    fn drop(&mut self) {
        // relaxed: a hint; `ensure` looks at the bins themselves.
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<K: Copy, V: Copy> Table<K, V> {
    /// Called now and then by inserts, with the number of entries: has the bins born that this asks for.
    /// Its failures are no failure of the insert's.
    #[inline]
    pub(super) fn grow(
        &self,
        total: usize,
        rehash: &impl Fn(&K) -> KeyHash,
        backoff: &mut Backoff,
    ) {
        let wanted = Layout::<K, V>::bins_for(total);
        if !self.has(wanted) {
            let _ = self.grow_to(wanted, BUDGET, rehash, backoff);
        }
    }

    /// Whether so many bins have been asked to be born.
    #[inline]
    pub(crate) fn has(&self, wanted: usize) -> bool {
        // relaxed: a hint, as below.
        if self.interrupted.load(Ordering::Relaxed) {
            return false;
        }
        match self.directory() {
            Some(directory) if directory.is_small() => wanted <= directory.root_bins(),
            // relaxed: a hint; `ensure` looks at the bins themselves.
            _ => wanted <= self.claimed.load(Ordering::Relaxed),
        }
    }

    /// Entries that there is room for before bins are born.
    pub(crate) fn capacity(&self) -> usize {
        let bins = match self.directory() {
            None => 0,
            Some(directory) if directory.is_small() => directory.root_bins(),
            // relaxed: a hint.
            Some(_) => self.claimed.load(Ordering::Relaxed),
        };
        // Growth may have been put off.
        Layout::<K, V>::entries_for(bins).max(self.len())
    }

    /// Has bins born until there are `wanted`, in one piece of memory as far as that is to be had.
    pub(crate) fn make_room(
        &self,
        wanted: usize,
        rehash: &impl Fn(&K) -> KeyHash,
        backoff: &mut Backoff,
    ) -> Result<(), Failure> {
        // relaxed: a hint, here only a size.
        let asked = self.claimed.load(Ordering::Relaxed);
        self.extents.provide(wanted.saturating_sub(asked), backoff);
        self.grow_to(wanted, usize::MAX, rehash, backoff)
    }

    /// Has the overflow lines exist that `len` entries take, if their hashes are as good as chance.
    pub(crate) fn provide_lines(&self, len: usize, backoff: &Backoff) -> Result<(), Failure> {
        self.pool.provide(Layout::<K, V>::lines_for(len), backoff)
    }

    /// Has the bins born that some more entries than there are would ask for, `budget` segments of them
    /// at most; says whether more are due.
    pub(crate) fn grow_ahead(
        &self,
        budget: usize,
        rehash: &impl Fn(&K) -> KeyHash,
        backoff: &mut Backoff,
    ) -> Result<bool, Failure> {
        let len = self.len();
        let wanted = Layout::<K, V>::bins_for(len + len / AHEAD);
        if len == 0 || self.has(wanted) {
            return Ok(false);
        }
        if budget > 0 {
            // relaxed: a hint, here only a size.
            self.extents.provide_ahead(self.claimed.load(Ordering::Relaxed), backoff);
            self.grow_to(wanted, budget, rehash, backoff)?;
        }
        Ok(!self.has(wanted))
    }

    /// Has bins born until there are `wanted`, or `budget` segments of them are done.
    #[cold]
    #[inline(never)]
    pub(crate) fn grow_to(
        &self,
        wanted: usize,
        mut budget: usize,
        rehash: &impl Fn(&K) -> KeyHash,
        backoff: &mut Backoff,
    ) -> Result<(), Failure> {
        if wanted > 1 << MAX_BITS {
            return Err(Failure::Alloc);
        }
        if self.directory().is_none() {
            self.begin(backoff)?;
        }
        // relaxed: a hint; `ensure` looks at the bins themselves.
        if self.interrupted.load(Ordering::Relaxed) {
            self.finish_move(rehash, backoff)?;
        }
        while let Some(small) = self.directory().filter(|directory| directory.is_small()) {
            if wanted <= small.root_bins() {
                return Ok(());
            }
            self.move_up(small, wanted, rehash, backoff)?;
        }
        let segment = 1 << Layout::<K, V>::SEGMENT_BITS;
        while budget > 0 {
            // relaxed: a hint; `ensure` looks at the bins themselves.
            let first = self.claimed.load(Ordering::Relaxed);
            if first >= wanted {
                break;
            }
            // relaxed: as above.
            let claim = self.claimed.compare_exchange(
                first,
                first + segment,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            if claim.is_err() {
                backoff.again()?;
                continue;
            }
            let claim = Claim { claimed: &self.claimed, first, next: first + segment };
            self.bear(first, rehash, backoff)?;
            mem::forget(claim);
            budget -= 1;
        }
        Ok(())
    }

    /// Replaces a small table by the next larger one that `wanted` asks for, and moves all keys to it.
    fn move_up(
        &self,
        small: Directory<'_, K, V>,
        wanted: usize,
        rehash: &impl Fn(&K) -> KeyHash,
        backoff: &mut Backoff,
    ) -> Result<(), Failure> {
        let bits = Self::next_bits(wanted);
        let made = self.make_directory(bits, false, small.as_ptr(), backoff)?;
        self.adopt(small.as_ptr(), made, backoff)?;
        let under_way = Move(&self.interrupted);
        for bin in 0..small.root_bins() {
            self.try_ensure(bin, rehash, backoff)?;
        }
        mem::forget(under_way);
        Ok(())
    }

    /// Takes up a move that was cut short: has all bins born that do not come from a split.
    #[cold]
    fn finish_move(
        &self,
        rehash: &impl Fn(&K) -> KeyHash,
        backoff: &mut Backoff,
    ) -> Result<(), Failure> {
        let Some(directory) = self.directory() else { return Ok(()) };
        // relaxed: a hint; `ensure` looks at the bins themselves.
        self.interrupted.store(false, Ordering::Relaxed);
        let under_way = Move(&self.interrupted);
        for bin in 0..directory.root_bins() {
            self.try_ensure(bin, rehash, backoff)?;
        }
        mem::forget(under_way);
        Ok(())
    }

    /// Has all bins of the segment born that begins with bin `first`.
    fn bear(
        &self,
        first: usize,
        rehash: &impl Fn(&K) -> KeyHash,
        backoff: &mut Backoff,
    ) -> Result<(), Failure> {
        self.ensure_segment(first, backoff)?;
        let Some(directory) = self.directory() else { return Ok(()) };
        let mut numbers = first..first + directory.segment_bins();
        if first < directory.root_bins() {
            return numbers.try_for_each(|number| self.try_ensure(number, rehash, backoff));
        }
        let top = first.ilog2();
        let depth = Depth::of_bits(top);
        for number in numbers {
            let (parent, child) = (directory.bin(number & !(1 << top)), directory.bin(number));
            let (state, tags) = (parent.seq().begin(), parent.tags());
            // Mostly nobody else is at it, and the parent's bin was born in its turn.
            let done = tags.depth() == depth && {
                let split = self.split_into_slots(parent, state, tags, child, rehash, backoff)?;
                matches!(split, Split::Done)
            };
            if !done {
                self.try_ensure(number, rehash, backoff)?;
            }
        }
        Ok(())
    }

    /// Has bin `number` born, unless others write to the bin that it comes from again and again: then its
    /// keys stay there, where everybody finds them, until the next demand. A writer that grows the table
    /// is thus not held up by others for as long as they please.
    fn try_ensure(
        &self,
        number: usize,
        rehash: &impl Fn(&K) -> KeyHash,
        backoff: &Backoff,
    ) -> Result<(), Failure> {
        match self.ensure(number, rehash, &mut backoff.bounded()) {
            Err(Failure::Busy) if backoff.may_wait() => Ok(()),
            done => done,
        }
    }

    /// Has bin `number` born: splits its nearest born ancestor, and again, until it is.
    pub(crate) fn ensure(
        &self,
        number: usize,
        rehash: &impl Fn(&K) -> KeyHash,
        backoff: &mut Backoff,
    ) -> Result<(), Failure> {
        loop {
            let Some(directory) = self.directory() else { return Ok(()) };
            if number >= directory.root_bins() {
                self.ensure_segment(number, backoff)?;
            }
            let Some(directory) = self.directory() else { return Ok(()) };
            let mut ancestor = number;
            // Each bin's depth is read once: one that is born between two readings would be split.
            let depth = loop {
                let depth = directory.bin(ancestor).tags().depth();
                if depth != Depth::UNINITIALIZED || ancestor < directory.root_bins() {
                    break depth;
                }
                ancestor &= !(1 << ancestor.ilog2());
            };
            if ancestor == number && depth != Depth::UNINITIALIZED {
                return Ok(());
            }
            if depth == Depth::UNINITIALIZED {
                self.move_bin(directory, ancestor, rehash, backoff)?;
            } else if depth.is_live() && number & low_bits(depth.bits()) == ancestor {
                self.split(directory, ancestor, depth, rehash, backoff)?;
            } else {
                // Somebody is between splitting this ancestor and publishing the bin that we want.
                backoff.wait()?;
            }
        }
    }

    /// Moves all keys that belong to root bin `number`, with their whole bin, out of the small table.
    fn move_bin(
        &self,
        directory: Directory<'_, K, V>,
        number: usize,
        rehash: &impl Fn(&K) -> KeyHash,
        backoff: &mut Backoff,
    ) -> Result<(), Failure> {
        let Some(small) = directory.small() else { return Ok(()) };
        let old = number & (small.root_bins() - 1);
        let bin = small.bin(old);
        let depth = bin.tags().depth();
        if depth == Depth::UNINITIALIZED {
            // The small table has not got its own keys yet.
            return self.move_bin(small, old, rehash, backoff);
        }
        if depth == Depth::MOVED {
            // Somebody is between moving this bin out and publishing the bins it went to.
            return Ok(backoff.wait()?);
        }
        let fan = directory.root_bins() / small.root_bins();
        let step = small.root_bins();
        self.redistribute(
            bin,
            depth,
            fan,
            false,
            |part| directory.bin(old + part * step),
            rehash,
            backoff,
        )
    }

    /// Splits bin `number` at `depth` in two.
    fn split(
        &self,
        directory: Directory<'_, K, V>,
        number: usize,
        depth: Depth,
        rehash: &impl Fn(&K) -> KeyHash,
        backoff: &mut Backoff,
    ) -> Result<(), Failure> {
        let child = number + (1 << depth.bits());
        self.ensure_segment(child, backoff)?;
        let bin = directory.bin(number);
        let Some(directory) = self.directory() else { return Ok(()) };
        self.redistribute(bin, depth, 2, true, |_| directory.bin(child), rehash, backoff)
    }

    /// Makes sure that the segment of bin `number` exists, and its ancestors' segments before it.
    fn ensure_segment(&self, number: usize, backoff: &mut Backoff) -> Result<(), Failure> {
        let first = number & !low_bits(Layout::<K, V>::SEGMENT_BITS);
        loop {
            let Some(directory) = self.directory() else { return Ok(()) };
            if first < directory.root_bins()
                || (first < directory.reach() && directory.has_segment(first))
            {
                return Ok(());
            }
            if first >= directory.reach() {
                self.double(directory, backoff)?;
                continue;
            }
            let parent = first & !(1 << first.ilog2());
            if !directory.has_segment(parent) {
                self.ensure_segment(parent, backoff)?;
                continue;
            }
            let segment = self.segment(backoff)?;
            let mut segment = Some(segment);
            let guard = self.lock_growth(backoff);
            // Read again: only the lock's holder changes it.
            if guard.is_ok()
                && let Some(directory) = self.directory()
                && first < directory.reach()
                && !directory.has_segment(first)
                && let Some(segment) = segment.take()
            {
                directory.enter(first, segment.take());
            }
            let busy = guard.err();
            if let Some(unused) = segment {
                self.give_back(unused, backoff);
            }
            if let Some(busy) = busy {
                return Err(busy.into());
            }
        }
    }

    fn double(&self, directory: Directory<'_, K, V>, backoff: &mut Backoff) -> Result<(), Failure> {
        let made = directory.doubled()?;
        let guard = self.lock_growth(backoff);
        let mut adopted = false;
        if guard.is_ok() && self.current() == directory.as_ptr() {
            // SAFETY: `made` is ours until it is published.
            if let Some(longer) = unsafe { Directory::from_ptr(made) } {
                longer.fill_from(directory);
            }
            adopted = self.replace_directory(directory.as_ptr(), made);
        }
        let busy = guard.err();
        if !adopted {
            // SAFETY: never shared; it owns no segments.
            unsafe { Directory::free(made) };
        }
        busy.map_or(Ok(()), |busy| Err(busy.into()))
    }
}
