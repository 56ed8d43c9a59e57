//! Growth: when the table gets more bins, and which bins are split.
//!
//! Bins are initialized in the order of their numbers (linear hashing): bin `2^k + i` from bin `i`. The writer whose
//! insert lifts the count above the target load claims the next segment and initializes all its bins. So at rest no
//! segment is initialized in part, and every hint of the directory is right. A claim fails if there is no memory, if
//! the caller may not wait, or if the user's `Hash` panics. The writer then returns the claim and leaves bins
//! uninitialized: their keys stay in the bin that they would have come from. The next insert that needs one of these
//! bins, or a bin that comes from it, initializes it.
//!
//! Growth does not wait for busy bins either. If other threads write to a bin each time a split has just hashed its
//! keys, the split leaves the bin whole after some attempts. Every lookup finds the keys there, and the next insert
//! that needs the new bins tries again.

use super::directory::Directory;
use super::split::Split;
use super::{Failure, Table, low_bits};
use crate::api::hash::KeyHash;
use crate::bins::layout::Layout;
use crate::bins::tags::Depth;
use crate::facade::atomic::{AtomicBool, AtomicUsize};
use crate::sync::backoff::Backoff;
use crate::sync::hint::Hint;
use core::mem;

/// The largest number of segments that one insert initializes: a bound on its work.
const BUDGET: usize = 2;
/// `grow_ahead` provides bins for `len / AHEAD` more entries than the table has.
const AHEAD: usize = 32;
/// How many splits ahead of its own a bin is prefetched.
const SPLITS_AHEAD: usize = 8;
/// The largest number of bits of a bin's number. More bins could not be addressed.
const MAX_BITS: u32 = usize::BITS - 8;

/// A segment that this writer has claimed and not finished. The destructor, which only a failure or a panic runs,
/// returns the claim, unless other writers have claimed further segments.
struct SegmentClaim<'a> {
    claimed: &'a Hint<AtomicUsize>,
    first: usize,
    next: usize,
}

impl Drop for SegmentClaim<'_> {
    #[cold]
    fn drop(&mut self) {
        self.claimed.compare_exchange(self.next, self.first);
    }
}

/// A move to a larger table that is not finished. The destructor, which only a failure or a panic runs, notes that the
/// move was interrupted.
struct Move<'a>(&'a Hint<AtomicBool>);

impl Drop for Move<'_> {
    #[cold]
    fn drop(&mut self) {
        self.0.store(true);
    }
}

impl<K: Copy, V: Copy> Table<K, V> {
    /// Initializes the bins that `total` entries need. Inserts call it now and then. It may fail, because an insert
    /// succeeds in a table that is too small too.
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

    /// Whether `wanted` bins have been claimed.
    #[inline]
    pub(crate) fn has(&self, wanted: usize) -> bool {
        if self.interrupted.load() {
            return false;
        }
        match self.directory() {
            Some(directory) if directory.is_small() => wanted <= directory.root_bins(),
            _ => wanted <= self.claimed.load(),
        }
    }

    /// Returns the number of entries for which the bins suffice.
    pub(crate) fn capacity(&self) -> usize {
        let bins = match self.directory() {
            None => 0,
            Some(directory) if directory.is_small() => directory.root_bins(),
            Some(_) => self.claimed.load(),
        };
        // The table may hold more entries than its bins are for, if growth failed.
        Layout::<K, V>::entries_for(bins).max(self.len())
    }

    /// Initializes bins until there are `wanted`, with as few allocations as the allocator permits.
    pub(crate) fn make_room(
        &self,
        wanted: usize,
        rehash: &impl Fn(&K) -> KeyHash,
        backoff: &mut Backoff,
    ) -> Result<(), Failure> {
        let asked = self.claimed.load();
        self.extents.provide(wanted.saturating_sub(asked), backoff);
        self.grow_to(wanted, usize::MAX, rehash, backoff)
    }

    /// Provides the overflow lines that `len` entries need if their hashes are random.
    pub(crate) fn provide_lines(&self, len: usize, backoff: &Backoff) -> Result<(), Failure> {
        self.pool.provide(Layout::<K, V>::lines_for(len), backoff)
    }

    /// Initializes, in at most `budget` segments, the bins that a few more entries than there are would need. Returns
    /// whether more bins are due.
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
            self.extents.provide_ahead(self.claimed.load(), backoff);
            self.grow_to(wanted, budget, rehash, backoff)?;
        }
        Ok(!self.has(wanted))
    }

    /// Initializes bins until there are `wanted`, or until `budget` segments are done.
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
            self.make_first_directory(backoff)?;
        }
        if self.interrupted.load() {
            self.finish_move(rehash, backoff)?;
        }
        while let Some(small) = self.directory().filter(|directory| directory.is_small()) {
            if wanted <= small.root_bins() {
                return Ok(());
            }
            self.move_to_larger(small, wanted, rehash, backoff)?;
        }
        let segment = 1 << Layout::<K, V>::SEGMENT_BITS;
        while budget > 0 {
            let first = self.claimed.load();
            if first >= wanted {
                break;
            }
            // The claim only spreads the work over writers: `initialize_bin` checks the bins themselves.
            if !self.claimed.compare_exchange(first, first + segment) {
                backoff.again()?;
                continue;
            }
            // If the next call fails or panics, the destructor of the claim returns it, and another insert tries again.
            let claim = SegmentClaim { claimed: &self.claimed, first, next: first + segment };
            self.initialize_segment(first, rehash, backoff)?;
            mem::forget(claim);
            budget -= 1;
        }
        Ok(())
    }

    /// Replaces a small table by the next larger one that `wanted` bins need, and moves all keys there.
    fn move_to_larger(
        &self,
        small: Directory<'_, K, V>,
        wanted: usize,
        rehash: &impl Fn(&K) -> KeyHash,
        backoff: &mut Backoff,
    ) -> Result<(), Failure> {
        let bits = Self::next_bits(wanted);
        let made = self.make_directory(bits, false, small.as_ptr(), backoff)?;
        self.publish_directory(small.as_ptr(), made, backoff)?;
        let under_way = Move(&self.interrupted);
        for bin in 0..small.root_bins() {
            self.try_initialize_bin(bin, rehash, backoff)?;
        }
        mem::forget(under_way);
        Ok(())
    }

    /// Finishes a move that was interrupted: initializes all root bins.
    #[cold]
    fn finish_move(
        &self,
        rehash: &impl Fn(&K) -> KeyHash,
        backoff: &mut Backoff,
    ) -> Result<(), Failure> {
        let Some(directory) = self.directory() else { return Ok(()) };
        self.interrupted.store(false);
        let under_way = Move(&self.interrupted);
        for bin in 0..directory.root_bins() {
            self.try_initialize_bin(bin, rehash, backoff)?;
        }
        mem::forget(under_way);
        Ok(())
    }

    /// Initializes all bins of the segment that begins with bin `first`.
    fn initialize_segment(
        &self,
        first: usize,
        rehash: &impl Fn(&K) -> KeyHash,
        backoff: &mut Backoff,
    ) -> Result<(), Failure> {
        self.ensure_segment(first, backoff)?;
        let Some(directory) = self.directory() else { return Ok(()) };
        let mut numbers = first..first + directory.segment_bins();
        if first < directory.root_bins() {
            return numbers.try_for_each(|number| self.try_initialize_bin(number, rehash, backoff));
        }
        let top = first.ilog2();
        let depth = Depth::of_bits(top);
        // Both segments exist, so their entries do not change but for the depth.
        let (parents, children) = (directory.hint(first & !(1 << top)), directory.hint(first));
        for number in numbers {
            // In the last splits of a segment this is one of its first bins, which does no harm.
            directory.bin_of(parents, number + SPLITS_AHEAD).prefetch_all();
            let (parent, child) =
                (directory.bin_of(parents, number), directory.bin_of(children, number));
            let (state, tags) = (parent.seq().begin(), parent.tags());
            // Mostly no other writer is in the parent, and the parent itself was initialized when it was due.
            let done = tags.depth() == depth && {
                let split = self.split_into_slots(parent, state, tags, child, rehash, backoff)?;
                matches!(split, Split::Done)
            };
            if !done {
                self.try_initialize_bin(number, rehash, backoff)?;
            }
        }
        Ok(())
    }

    /// Initializes bin `number`, unless other threads keep writing to the bin that it comes from. Then its keys stay
    /// there, where every lookup finds them, until the next demand: other writers cannot delay a writer that grows
    /// the table.
    fn try_initialize_bin(
        &self,
        number: usize,
        rehash: &impl Fn(&K) -> KeyHash,
        backoff: &Backoff,
    ) -> Result<(), Failure> {
        match self.initialize_bin(number, rehash, &mut backoff.bounded()) {
            Err(Failure::Busy) if backoff.may_wait() => Ok(()),
            done => done,
        }
    }

    /// Initializes bin `number`: splits its nearest initialized ancestor, and repeats that until the bin is
    /// initialized.
    pub(crate) fn initialize_bin(
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
            // Each bin's depth is read once: a bin that another thread initialized between two reads would be split.
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
                // Another thread has split this ancestor and not yet published the bin that this one waits for.
                backoff.wait()?;
            }
        }
    }

    /// Moves all keys of root bin `number`, and of the bins that share its old bin, out of the small table.
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
            // The small table has not received its own keys yet.
            return self.move_bin(small, old, rehash, backoff);
        }
        if depth == Depth::MOVED {
            // Another thread has moved this bin out and not yet published the bins that the keys went to.
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

    /// Splits bin `number`, of depth `depth`, in two.
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

    /// Ensures that the segment of bin `number` exists, and its ancestors' segments before it.
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
                self.double_directory(directory, backoff)?;
                continue;
            }
            // A segment's entry repeats its parent's until it exists, so a child's segment needs its parent's first.
            let parent = first & !(1 << first.ilog2());
            if !directory.has_segment(parent) {
                self.ensure_segment(parent, backoff)?;
                continue;
            }
            let segment = self.segment(backoff)?;
            let mut segment = Some(segment);
            let guard = backoff.lock(&self.growth);
            // Read again under the lock, which only one thread holds: another thread may have added the segment.
            if guard.is_ok()
                && let Some(directory) = self.directory()
                && first < directory.reach()
                && !directory.has_segment(first)
                && let Some(segment) = segment.take()
            {
                directory.add_segment(first, segment.take());
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

    /// Replaces the directory by one of twice the entries.
    fn double_directory(
        &self,
        directory: Directory<'_, K, V>,
        backoff: &mut Backoff,
    ) -> Result<(), Failure> {
        let made = directory.doubled()?;
        self.pool.spread_beyond(2 * directory.reach());
        let guard = backoff.lock(&self.growth);
        let mut published = false;
        if guard.is_ok() && self.current() == directory.as_ptr() {
            // SAFETY: `made` is a live directory, which no other thread sees before it is published.
            if let Some(longer) = unsafe { Directory::from_ptr(made) } {
                longer.fill_from(directory);
            }
            published = self.replace_directory(directory.as_ptr(), made);
        }
        let busy = guard.err();
        if !published {
            // SAFETY: `made` was never shared, and owns no segments.
            unsafe { Directory::free(made) };
        }
        busy.map_or(Ok(()), |busy| Err(busy.into()))
    }
}
