//! The places in which the two sides may differ.
//!
//! A place is a slot of a bin, or its head. A write of another value changes one slot, so a publish copies one line of
//! the bin and not all of it.

use super::bin::SideBin;
use super::side::{HEAD, SidePlace, TableSide};
use crate::error::TryReserveError;
use alloc::vec::Vec;

/// Places in a word of the list: the lowest three bits are the slot, the others the bin.
const SLOT_BITS: u32 = 3;

/// The places in which the sides differ.
pub(super) struct Dirty {
    /// The places, each once: the first `listed` words. The list never grows: if more places differ than it has room
    /// for, all are taken to differ, and the whole table is copied.
    list: Vec<u32>,
    listed: usize,
    /// A byte for each bin, with a bit for each slot and one for the head: whether `list` has it.
    ///
    /// While `notes_unseen` is set, a bit says that readers cannot see the entry in that slot. (An allocation of its
    /// own would come and go with each growth, and fragment a small heap.)
    marks: Vec<u8>,
    /// The sides may differ in all places, and in the number of bins.
    everywhere: bool,
    /// The write side was rebuilt: an entry's place there says nothing about its place on the read side.
    rebuilt: bool,
    /// `marks` note which entries readers cannot see. Set if the write side was rebuilt while the read side had
    /// entries: no key is asked then, because its `Hash` and `Eq` may answer differently now.
    notes_unseen: bool,
}

impl Dirty {
    /// Makes the notes for two sides of one bin.
    pub(super) fn new() -> Self {
        let (list, marks) = (Vec::new(), [0].into());
        Self { list, listed: 0, marks, everywhere: false, rebuilt: false, notes_unseen: false }
    }

    /// Makes the notes for a write side of `bins` bins that was rebuilt. If `notes_unseen`, the writer notes which
    /// entries readers cannot see ([`note_unseen`](Self::note_unseen)).
    pub(super) fn everywhere(bins: usize, notes_unseen: bool) -> Result<Self, TryReserveError> {
        // A table whose bins have longer numbers is copied whole. It takes 64 GiB.
        let has_list = u32::try_from(bins << SLOT_BITS).is_ok();
        let room = if has_list { bins.div_ceil(4) } else { 0 };
        let (mut list, mut marks) = (Vec::new(), Vec::new());
        list.try_reserve_exact(room).map_err(|_| TryReserveError::Alloc)?;
        list.resize(room, 0);
        marks.try_reserve_exact(bins).map_err(|_| TryReserveError::Alloc)?;
        marks.resize(bins, 0);
        Ok(Self { list, listed: 0, marks, everywhere: true, rebuilt: true, notes_unseen })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.listed == 0 && !self.everywhere
    }

    /// Returns true if so few places differ that a line prefetched now is still in a cache when it is copied.
    #[inline(always)]
    pub(super) fn is_small(&self) -> bool {
        self.listed < 4096 && !self.everywhere
    }

    /// Returns true if the write side was rebuilt.
    pub(super) fn is_rebuilt(&self) -> bool {
        self.rebuilt
    }

    /// Returns true if the writer notes which entries readers cannot see.
    #[inline(always)]
    pub(super) fn notes_unseen(&self) -> bool {
        self.notes_unseen
    }

    /// Notes that readers cannot see the entry at `place`. The note stays until the next publish: readers cannot see an
    /// entry that is put there later either.
    #[inline(always)]
    pub(super) fn note_unseen(&mut self, place: SidePlace) {
        if self.notes_unseen {
            self.marks[place.bin] |= 1 << place.slot;
        }
    }

    /// Returns true if `note_unseen` was called for `place`.
    #[inline(always)]
    pub(super) fn is_unseen(&self, place: SidePlace) -> bool {
        self.notes_unseen && self.marks[place.bin] >> place.slot & 1 != 0
    }

    /// Returns the bins in which two sides of the same layout may differ.
    pub(super) fn bins(&self) -> impl Iterator<Item = usize> {
        let marks = self.marks.iter().enumerate();
        marks.filter(|&(_, &marks)| self.everywhere || marks != 0).map(|(bin, _)| bin)
    }

    /// Returns true if the sides may differ at `place`.
    #[inline(always)]
    pub(super) fn has(&self, place: SidePlace) -> bool {
        self.everywhere || self.marks[place.bin] >> place.slot & 1 != 0
    }

    /// Notes that the sides differ at `place`.
    #[inline(always)]
    pub(super) fn mark(&mut self, place: SidePlace) {
        if self.everywhere {
            return;
        }
        let marks = &mut self.marks[place.bin];
        // No branch depends on the mark: the processor would have to guess whether a key is one that was written
        // lately. A place that is listed already is written past the end of the list.
        let is_new = !*marks >> place.slot & 1;
        *marks |= 1 << place.slot;
        match self.list.get_mut(self.listed) {
            Some(next) => {
                *next = (place.bin as u32) << SLOT_BITS | place.slot as u32;
                self.listed += usize::from(is_new);
            }
            None => self.mark_all(),
        }
    }

    #[cold]
    pub(super) fn mark_all(&mut self) {
        self.everywhere = true;
    }

    /// Makes `to` equal to `from`, and forgets the differences.
    pub(super) fn copy<E: Copy, B>(&mut self, from: &TableSide<E, B>, to: &mut TableSide<E, B>)
    where
        B: AsRef<[SideBin<E>]> + AsMut<[SideBin<E>]>,
    {
        /// Places to prefetch ahead: far enough for a line to arrive in time.
        const AHEAD: usize = 12;
        let unpack = |word: u32| SidePlace {
            bin: (word >> SLOT_BITS) as usize,
            slot: word as usize & ((1 << SLOT_BITS) - 1),
        };
        if self.everywhere {
            to.copy_all(from);
            self.marks.fill(0);
        } else {
            let listed = &self.list[..self.listed];
            for (at, &word) in listed.iter().enumerate() {
                if let Some(&ahead) = listed.get(at + AHEAD) {
                    to.prefetch_copy(from, unpack(ahead));
                }
                let place = unpack(word);
                to.copy_place(from, place);
                self.marks[place.bin] = 0;
            }
        }
        to.copy_len(from);
        self.listed = 0;
        self.everywhere = false;
        self.rebuilt = false;
        self.notes_unseen = false;
    }

    pub(super) fn bytes(&self) -> usize {
        self.list.capacity() * size_of::<u32>() + self.marks.capacity()
    }
}

const _: () = assert!(HEAD < 1 << SLOT_BITS);
