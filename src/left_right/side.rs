//! One side: a hash table whose entries are copied as plain bytes, even if they are pointers.
//!
//! Both sides have the same layout, so a bin is copied to the other side without calling a key's `Hash`.
//!
//! # Measured with a prototype
//! 1 M entries of `u64 → u64`. Publishing 10,000 changed entries took, in µs:
//!
//! - 60 by copying dirty bins;
//! - 127 by finding entries again by remembered bin numbers;
//! - 290 with entries stored once, in a slab, and replaced by number;
//! - 370 by replaying operations;
//! - 550 by copying the entries of dirty keys.
//!
//! The speed of single lookups, relative to hashbrown's without synchronization, with 1 k, 64 k and 1 M entries:
//!
//! | | 1 k | 64 k | 1 M |
//! |---|--:|--:|--:|
//! | a fence in each read section | 0.22 | 0.34 | 0.52 to 0.58 |
//! | a compiler barrier instead | 0.63 | 0.57 | 0.50 to 0.64 |
//! | and the side's address in the handle | 0.70 | 0.62 | 0.56 to 0.63 |
//! | and the table's address in the handle | 0.74 | 0.65 | 0.59 to 0.67 |
//! | validated words without a read section; readers would have to retry | 0.27 | 0.37 | 0.72 to 0.98 |
//!
//! To store small entries once, behind pointers, would halve the memory and cost 30 to 50 % of a lookup's speed. So
//! `Storage` lets the user choose.
//!
//! Slots are filled from the highest down, because the highest ones are beside the head. If a bin has two cache lines,
//! a lookup prefetches both before it reads the head.

use super::bin::{HeadSlots, MixedHash, SideBin};
#[cfg(feature = "left-right")]
use crate::sync::prefetch;
#[cfg(feature = "left-right")]
use crate::sync::sides::SideState;
use core::marker::PhantomData;
use core::ops::Range;
use core::ptr::NonNull;

/// The place of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SidePlace {
    pub(super) bin: usize,
    pub(super) slot: usize,
}

/// The slot that stands for the head of a bin, among places that have changed.
pub(super) const HEAD: usize = 7;

/// A [`SidePlace`] in one word, because a small device stores one for each deferred change. The lowest three bits are
/// the slot, the others the bin's number, which has bits to spare: a bin takes 64 bytes of memory at least.
#[cfg(feature = "left-right")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PackedPlace(usize);

#[cfg(feature = "left-right")]
impl From<SidePlace> for PackedPlace {
    fn from(place: SidePlace) -> Self {
        debug_assert!(place.slot < 8);
        Self(place.bin << 3 | place.slot)
    }
}

#[cfg(feature = "left-right")]
impl From<PackedPlace> for SidePlace {
    fn from(place: PackedPlace) -> Self {
        Self { bin: place.0 >> 3, slot: place.0 & 7 }
    }
}

/// The bins that a search goes through before it looks elsewhere. Nearly every full bin has one with room among them.
const BLOCK: usize = 8;

/// Returns the bins of the block that `bin` belongs to.
#[inline(always)]
fn block_of(bin: usize, bins: usize) -> Range<usize> {
    let start = bin / BLOCK * BLOCK;
    start..bins.min(start + BLOCK)
}

/// Returns the bin that entries whose home is `home` go to if `bin` is full: the others of the home bin's block first,
/// and then those of other blocks, in the order of [`block_after`]. After the last one it returns `home`.
#[inline(never)]
fn after(home: usize, bin: usize, bins: usize) -> usize {
    let block = block_of(bin, bins);
    let next = bin + 1;
    if !block.contains(&home) {
        return if next < block.end { next } else { next_block(home, bin, bins) };
    }
    let next = if next < block.end { next } else { block.start };
    if next == home { next_block(home, bin, bins) } else { next }
}

/// Returns the first bin of the block after that of `bin`, or `home` if its block is the next one.
fn next_block(home: usize, bin: usize, bins: usize) -> usize {
    let next = block_after(bin / BLOCK, bins.div_ceil(BLOCK));
    if next == home / BLOCK { home } else { next * BLOCK }
}

/// Returns the block after `block` in the order in which a search goes through all of them.
///
/// Their numbers are counted up from the highest bit down (van der Corput's sequence), so that blocks which follow each
/// other are far apart. Bins are in the order of hashes. So keys that arrive in the order of another map with the same
/// hasher, or are left over when others were removed in this order, have their homes in one part of the table. If
/// their search went on with the neighbour, the full bins of that part would all be searched, again and again.
fn block_after(mut block: usize, blocks: usize) -> usize {
    let all = if blocks == 1 { 0 } else { usize::MAX >> (blocks - 1).leading_zeros() };
    loop {
        let zeros = !block & all;
        // The highest bit that is zero becomes one, and the carry has cleared those above it.
        block = match zeros.checked_ilog2() {
            Some(bit) => block & ((1 << bit) - 1) | 1 << bit,
            None => 0,
        };
        // Only a number with the highest bit can be too large, and every other number has it.
        if block < blocks {
            return block;
        }
    }
}

/// A side as readers see it: the address of its bins, and figures about it.
pub(super) struct SideView<E> {
    bins: NonNull<SideBin<E>>,
    number: usize,
    pub(super) len: usize,
    /// Publishes up to this state.
    #[cfg_attr(not(feature = "left-right"), allow(dead_code))] // A fixed table asks its side.
    pub(super) generation: u64,
}

impl<E> Clone for SideView<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for SideView<E> {}

impl<E: Copy> SideView<E> {
    /// # Safety
    /// The side is neither changed nor dropped while the reference is used, and has more than `number` bins.
    #[inline(always)]
    unsafe fn bin<'a>(self, number: usize) -> &'a SideBin<E> {
        debug_assert!(number < self.number);
        // SAFETY: the caller promises that the bin exists and does not change.
        unsafe { self.bins.add(number).as_ref() }
    }

    /// Returns the entry of this hash for which `is` holds.
    ///
    /// # Safety
    /// The side is neither changed nor dropped while the result is used.
    #[cfg(feature = "left-right")]
    #[inline(always)]
    pub(super) unsafe fn find<'a>(
        self,
        hash: MixedHash,
        is: impl Fn(&E) -> bool + Copy,
    ) -> Option<&'a E> {
        // SAFETY: the caller promises what `find_from_home` requires.
        unsafe { self.find_from_home(hash, is, |_, _, entry| entry, |entry| entry) }
    }

    /// As `find`. Passes an entry in its home bin to `at_home`, with the bin and the slot, and any other to `behind`.
    ///
    /// # Safety
    /// As in `find`.
    #[inline(always)]
    unsafe fn find_from_home<'a, T>(
        self,
        hash: MixedHash,
        is: impl Fn(&E) -> bool + Copy,
        at_home: impl FnOnce(usize, usize, &'a E) -> T,
        behind: impl FnOnce(&'a E) -> T,
    ) -> Option<T>
    where
        E: 'a,
    {
        let home = hash.home(self.number);
        // The head and the slots are in different lines: fetched together, they are waited for once.
        SideBin::prefetch(self.bins.as_ptr().wrapping_add(home));
        // SAFETY: the caller promises that the side does not change, and a home is less than the number of bins.
        unsafe {
            match Self::find_in(self.bin(home), hash, is) {
                Ok((slot, entry)) => Some(at_home(home, slot, entry)),
                // Some entry passed the home bin because it was full: it may be this one.
                Err(true) => self.find_past_home(home, hash, is).map(behind),
                Err(false) => None,
            }
        }
    }

    /// As `find`, in one bin, with the entry's slot. The error says whether the entry may be in a later bin.
    #[inline(always)]
    fn find_in(
        bin: &SideBin<E>,
        hash: MixedHash,
        mut is: impl FnMut(&E) -> bool,
    ) -> Result<(usize, &E), bool> {
        let mut matches = bin.head().matches(hash);
        while let Some(slot) = matches.first() {
            // SAFETY: a slot that matches a tag is in use, because an empty slot never matches.
            let entry = unsafe { bin.entry(slot) };
            if is(entry) {
                return Ok((slot, entry));
            }
            matches = matches.without_first();
        }
        Err(bin.head().has_overflowed())
    }

    /// As `find`, in the bins after the home bin.
    #[inline(never)]
    unsafe fn find_past_home<'a>(
        self,
        home: usize,
        hash: MixedHash,
        is: impl Fn(&E) -> bool + Copy,
    ) -> Option<&'a E> {
        let block = block_of(home, self.number);
        let mut bin = home;
        // Nearly all searches end within the block, and need no more registers than this.
        loop {
            bin = if bin + 1 < block.end { bin + 1 } else { block.start };
            if bin == home {
                break;
            }
            // SAFETY: the caller promises that the side does not change, and the bins of a block exist.
            match Self::find_in(unsafe { self.bin(bin) }, hash, is) {
                Err(true) => {}
                found => return found.ok().map(|(_, entry)| entry),
            }
        }
        // SAFETY: the caller promises the same.
        unsafe { self.find_past_block(home, hash, is) }
    }

    /// As `find`, in the bins after the block of the home bin.
    #[inline(never)]
    unsafe fn find_past_block<'a>(
        self,
        home: usize,
        hash: MixedHash,
        is: impl Fn(&E) -> bool + Copy,
    ) -> Option<&'a E> {
        let mut bin = next_block(home, home, self.number);
        while bin != home {
            // SAFETY: the caller promises that the side does not change, and `after` returns an existing bin.
            match Self::find_in(unsafe { self.bin(bin) }, hash, is) {
                Err(true) => bin = after(home, bin, self.number),
                found => return found.ok().map(|(_, entry)| entry),
            }
        }
        None
    }

    /// Prefetches the home bin of `hash`.
    #[cfg(feature = "left-right")]
    #[inline(always)]
    pub(super) fn prefetch(self, hash: MixedHash) {
        SideBin::prefetch(self.bins.as_ptr().wrapping_add(hash.home(self.number)));
    }

    /// Visits the entries in the home bin of `hash` that have its tag. That is the entry of that hash, if there is one
    /// in its home bin, and hardly ever another.
    ///
    /// # Safety
    /// The side is neither changed nor dropped during the call.
    #[cfg(feature = "left-right")]
    #[inline(always)]
    pub(super) unsafe fn likely(self, hash: MixedHash, mut each: impl FnMut(&E)) {
        // SAFETY: the caller promises that the side does not change, and a home is less than the number of bins.
        let bin = unsafe { self.bin(hash.home(self.number)) };
        let _ = Self::find_in(bin, hash, |entry| {
            each(entry);
            false
        });
    }

    /// Visits the entries whose home is that of `from`, in any bin, except those with smaller hashes.
    /// Returns the least hash of the next home bin, or `None` after the last. Growth moves entries to other bins, but
    /// keeps the order of hashes, so a walk can go on after it.
    ///
    /// # Safety
    /// The side is neither changed nor dropped during the call.
    #[cfg(feature = "left-right")]
    pub(super) unsafe fn visit(
        self,
        from: MixedHash,
        hash: impl Fn(&E) -> MixedHash,
        mut each: impl FnMut(&E),
    ) -> Option<u64> {
        let home = from.home(self.number);
        let mut at = home;
        loop {
            // SAFETY: the caller promises that the side does not change, and `after` returns an existing bin.
            let bin = unsafe { self.bin(at) };
            for slot in bin.head().used() {
                // SAFETY: the head said that the slot is in use, and the side does not change.
                let entry = unsafe { bin.entry(slot) };
                let hash = hash(entry);
                if hash.home(self.number) == home && hash.0 >= from.0 {
                    each(entry);
                }
            }
            at = after(home, at, self.number);
            if !bin.head().has_overflowed() || at == home {
                return MixedHash::first_past(home, self.number);
            }
        }
    }

    /// Returns an iterator over all entries.
    ///
    /// # Safety
    /// The side is neither changed nor dropped while the iterator and its results are used.
    #[inline]
    pub(super) unsafe fn entries<'a>(self) -> SideEntries<'a, E> {
        // SAFETY: the caller promises that the side does not change, and there is at least one bin.
        let (slots, left) = (unsafe { self.bin(0) }.head().used(), self.len);
        SideEntries { view: self, bin: 0, slots, left, borrows: PhantomData }
    }
}

/// The entries of a side that does not change.
pub(super) struct SideEntries<'a, E> {
    view: SideView<E>,
    bin: usize,
    /// The slots of the bin that are left.
    slots: HeadSlots,
    left: usize,
    borrows: PhantomData<&'a E>,
}

impl<E> Clone for SideEntries<'_, E> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<'a, E: Copy> Iterator for SideEntries<'a, E> {
    type Item = (SidePlace, &'a E);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // SAFETY: the caller of `SideView::entries` promised that the side does not change.
            let bin = unsafe { self.view.bin(self.bin) };
            if let Some(slot) = self.slots.next() {
                self.left -= 1;
                // SAFETY: the head said that the slot is in use, and the side does not change.
                return Some((SidePlace { bin: self.bin, slot }, unsafe { bin.entry(slot) }));
            }
            if self.bin + 1 >= self.view.number {
                return None;
            }
            self.bin += 1;
            // SAFETY: as above, and the bin exists.
            self.slots = unsafe { self.view.bin(self.bin) }.head().used();
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// A side as its owner sees it. `B` stores the bins, at least one.
pub(super) struct TableSide<E, B> {
    bins: B,
    len: usize,
    /// Publishes up to this state, if the number of swaps does not tell.
    generation: u64,
    entries: PhantomData<E>,
}

impl<E, B> TableSide<E, B> {
    /// Makes a side of `bins`, which are empty; there is at least one.
    pub(super) const fn new(bins: B) -> Self {
        Self { bins, len: 0, generation: 0, entries: PhantomData }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn set_generation(&mut self, generation: u64) {
        self.generation = generation;
    }
}

impl<E: Copy, B: AsRef<[SideBin<E>]> + AsMut<[SideBin<E>]>> TableSide<E, B> {
    fn all(&self) -> &[SideBin<E>] {
        self.bins.as_ref()
    }

    fn at(&mut self, bin: usize) -> &mut SideBin<E> {
        &mut self.bins.as_mut()[bin]
    }

    pub(super) fn view(&self) -> SideView<E> {
        let (all, len, generation) = (self.all(), self.len, self.generation);
        SideView { bins: NonNull::from(all).cast(), number: all.len(), len, generation }
    }

    /// Returns a view of the read side in `state`, whose publishes are the swaps so far. So a publish does not write to
    /// the side, and most readers of the new state have the line still.
    #[cfg(feature = "left-right")]
    pub(super) fn view_of(&self, state: SideState) -> SideView<E> {
        SideView { generation: state.swaps().unwrap_or(self.generation), ..self.view() }
    }

    pub(super) fn bins(&self) -> usize {
        self.all().len()
    }

    pub(super) fn capacity(&self) -> usize {
        SideBin::<E>::capacity(self.bins())
    }

    #[cfg(feature = "left-right")]
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.all())
    }

    pub(super) fn find(
        &self,
        hash: MixedHash,
        is: impl Fn(&E) -> bool + Copy,
    ) -> Option<(SidePlace, &E)> {
        let at_home = |bin, slot, entry| (SidePlace { bin, slot }, entry);
        let behind = |entry| (self.place_of(entry), entry);
        // SAFETY: the result borrows `&self`, and changes take `&mut self`.
        unsafe { self.view().find_from_home(hash, is, at_home, behind) }
    }

    /// Returns the place of `entry`, which is one of this side's.
    #[inline(never)]
    fn place_of(&self, entry: &E) -> SidePlace {
        let at = core::ptr::from_ref(entry).addr() - self.all().as_ptr().addr();
        let (bin, within) = (at / size_of::<SideBin<E>>(), at % size_of::<SideBin<E>>());
        // Entries of size zero all have the bin's address: any slot in use will do.
        let any = || self.all()[bin].head().used().next();
        let slot = within.checked_div(size_of::<E>()).or_else(any);
        SidePlace { bin, slot: slot.expect("in use") }
    }

    pub(super) fn entries(&self) -> SideEntries<'_, E> {
        // SAFETY: the result borrows `&self`, and changes take `&mut self`.
        unsafe { self.view().entries() }
    }

    /// Returns the places of `bin` that are in use now.
    pub(super) fn places_of(&self, bin: usize) -> impl Iterator<Item = SidePlace> + use<E, B> {
        self.all()[bin].head().used().map(move |slot| SidePlace { bin, slot })
    }

    /// Returns the entry at `place`, if the place is in use.
    pub(super) fn get(&self, place: SidePlace) -> Option<&E> {
        let bin = self.all().get(place.bin)?;
        // SAFETY: the head says that the slot is in use, and the result borrows `&self`.
        bin.head().holds(place.slot).then(|| unsafe { bin.entry(place.slot) })
    }

    /// Removes all entries.
    pub(super) fn clear(&mut self) {
        self.bins.as_mut().iter_mut().for_each(SideBin::clear);
        self.len = 0;
    }

    /// Returns the home bin of the entry at `place`, if `hash` is what its key's `Hash` returns now. If the tag of the
    /// entry shows that `Hash` returned something else when the entry was placed, returns the bin that holds it. Then
    /// removing the entry lowers no overflow count, and at worst some searches go further than they need.
    #[inline(always)]
    pub(super) fn home_of(&self, hash: MixedHash, place: SidePlace) -> usize {
        let home = hash.home(self.bins());
        // Most entries are in their home bin, and then the tag need not be read.
        let is_its = home == place.bin || self.all()[place.bin].head().has_tag(place.slot, hash);
        if is_its { home } else { place.bin }
    }

    /// Returns true if a search for `hash` finds the entry at `place`, whose home is the bin `home`.
    #[cfg(feature = "left-right")]
    pub(super) fn is_found_under(&self, hash: MixedHash, home: usize, place: SidePlace) -> bool {
        let head = self.all()[place.bin].head();
        hash.home(self.bins()) == home && head.has_tag(place.slot, hash)
    }

    /// Replaces the entry at `place`, which is in use, and returns the old one.
    pub(super) fn replace(&mut self, place: SidePlace, entry: E) -> E {
        self.at(place.bin).replace(place.slot, entry)
    }

    /// Places an entry that is not in the side yet, and returns its place. There must be room for it. Calls `mark` with
    /// each place that changes, heads of bins included.
    #[inline(always)]
    pub(super) fn place(
        &mut self,
        hash: MixedHash,
        entry: E,
        mut mark: impl FnMut(SidePlace),
    ) -> SidePlace {
        debug_assert!(self.len < self.capacity());
        let home = hash.home(self.bins());
        let mut bin = home;
        loop {
            mark(SidePlace { bin, slot: HEAD });
            if let Some(slot) = self.at(bin).put(hash, entry) {
                self.len += 1;
                let place = SidePlace { bin, slot };
                mark(place);
                return place;
            }
            // Counted, because a lookup stops at the first bin that no entry has passed.
            self.at(bin).add_overflow();
            bin = after(home, bin, self.bins());
        }
    }

    /// Takes out the entry at `place`, whose home is the bin `home`. Calls `mark` with each place that
    /// changes: heads alone, because readers do not look into an empty slot.
    pub(super) fn take(
        &mut self,
        home: usize,
        place: SidePlace,
        mut mark: impl FnMut(SidePlace),
    ) -> E {
        let mut bin = home;
        while bin != place.bin {
            mark(SidePlace { bin, slot: HEAD });
            // Otherwise misses would read past this bin forever.
            self.at(bin).remove_overflow();
            bin = after(home, bin, self.bins());
        }
        mark(SidePlace { bin, slot: HEAD });
        self.len -= 1;
        self.at(bin).take(place.slot)
    }

    /// Copies `bin` from `other`, which has as many bins.
    pub(super) fn copy_bin(&mut self, other: &Self, bin: usize) {
        *self.at(bin) = other.all()[bin];
        self.len = other.len;
    }

    /// Copies all bins from `other`, which has as many.
    #[cfg(feature = "left-right")]
    pub(super) fn copy_all(&mut self, other: &Self) {
        self.bins.as_mut().copy_from_slice(other.all());
    }

    /// Copies the slot or head at `place` from `other`, which has as many bins.
    #[cfg(feature = "left-right")]
    #[inline(always)]
    pub(super) fn copy_place(&mut self, other: &Self, place: SidePlace) {
        self.at(place.bin).copy_part(&other.all()[place.bin], place.slot);
    }

    /// Prefetches the lines that `copy_place` needs.
    #[cfg(feature = "left-right")]
    #[inline(always)]
    pub(super) fn prefetch_copy(&self, other: &Self, place: SidePlace) {
        let from = other.all().as_ptr().wrapping_add(place.bin);
        prefetch::read(SideBin::part(from, place.slot));
        let to = self.all().as_ptr().wrapping_add(place.bin);
        prefetch::write(SideBin::part(to, place.slot));
    }

    /// Sets the number of entries to that of `other`.
    #[cfg(feature = "left-right")]
    pub(super) fn copy_len(&mut self, other: &Self) {
        // Not stored if it is the same already: readers of the next state would have to fetch the line again.
        if self.len != other.len {
            self.len = other.len;
        }
    }
}

#[cfg(all(test, feature = "left-right"))]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;

    type Table = TableSide<u64, Vec<SideBin<u64>>>;

    fn table(bins: usize) -> Table {
        TableSide::new(alloc::vec![SideBin::EMPTY; bins])
    }

    /// Places entries by these hashes. Returns how many bins were looked at.
    fn place(table: &mut Table, hashes: impl Iterator<Item = u64>) -> usize {
        let mut bins = 0;
        for hash in hashes {
            table.place(MixedHash(hash), hash, |place| bins += usize::from(place.slot == HEAD));
        }
        bins
    }

    /// Hashes in ascending order, which is that of the bins.
    fn ascending(number: usize) -> Vec<u64> {
        let mut hashes: Vec<u64> =
            (0..number as u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
        hashes.sort_unstable();
        hashes
    }

    #[test]
    fn a_search_goes_through_each_bin_once_and_its_own_block_first() {
        for bins in (1..70_usize).chain([1000, 1024, 1025]) {
            for home in (0..bins).step_by(bins.div_ceil(70)) {
                let mut order = alloc::vec![home];
                while order.len() <= bins {
                    match after(home, order[order.len() - 1], bins) {
                        next if next == home => break,
                        next => order.push(next),
                    }
                }
                assert_eq!(order.len(), bins, "from {home} of {bins}");
                let all: BTreeSet<_> = order.iter().copied().collect();
                assert!(all.into_iter().eq(0..bins), "from {home} of {bins}");
                let block = block_of(home, bins);
                let own = order.iter().take_while(|bin| block.contains(bin)).count();
                assert_eq!(own, block.len(), "from {home} of {bins}");
            }
        }
    }

    #[test]
    fn blocks_that_follow_each_other_are_spread_over_the_table() {
        for block in 0..64 {
            let mut quarters = [0; 4];
            (0..4).fold(block, |at, _| {
                quarters[at / 16] += 1;
                block_after(at, 64)
            });
            assert_eq!(quarters, [1; 4], "from {block}");
        }
    }

    #[test]
    fn entries_in_the_order_of_another_table_do_not_search_it_all() {
        let hashes = ascending(20_000);
        let (mut now, mut looked) = (table(1), 0);
        for (n, hash) in hashes.iter().enumerate() {
            if n == now.capacity() {
                let mut next = table(now.bins() * 4 / 3 + 1);
                looked += place(&mut next, hashes[..n].iter().copied());
                now = next;
            }
            looked += place(&mut now, core::iter::once(*hash));
        }
        assert!(looked < 150 * hashes.len(), "{looked} bins for {} entries", hashes.len());
        let all = |hash: &&u64| now.find(MixedHash(**hash), |entry| entry == *hash).is_some();
        assert_eq!(hashes.iter().filter(all).count(), hashes.len());
    }

    #[test]
    fn entries_that_are_left_of_one_part_of_a_table_are_found_soon() {
        let hashes = ascending(20_000);
        let mut now = table(5_000 * 4 / 3 / SideBin::<u64>::SLOTS + 1);
        let looked = place(&mut now, hashes[15_000..].iter().copied());
        assert!(looked < 20 * 5_000, "{looked} bins for 5000 entries");
        let (gone, rest): (Vec<u64>, Vec<u64>) =
            hashes[15_000..].iter().partition(|hash| *hash % 2 == 0);
        for hash in gone {
            let (at, _) = now.find(MixedHash(hash), |entry| *entry == hash).expect("it is there");
            let home = now.home_of(MixedHash(hash), at);
            assert_eq!(now.take(home, at, drop), hash);
        }
        for hash in rest {
            assert!(now.find(MixedHash(hash), |entry| *entry == hash).is_some(), "it is hidden");
        }
    }
}
