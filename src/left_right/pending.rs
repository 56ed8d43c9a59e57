//! What the writer remembers between publishes.

use super::bin::Bin;
use super::bin::Hashed;
use super::side::{PackedPlace, Place, Side};
use crate::error::TryReserveError;
#[cfg(feature = "std")]
use crate::sync::holder::Holder;
use crate::sync::sides::PendingSwap;
use alloc::vec::Vec;
use hashbrown::HashTable;
#[cfg(feature = "std")]
use std::sync::Arc;

/// A side of a map that grows.
pub(super) type Table<E> = Side<E, Vec<Bin<E>>>;

/// A side of so many empty bins.
pub(super) fn table<E: Copy>(bins: usize) -> Result<Table<E>, TryReserveError> {
    let mut room = Vec::new();
    room.try_reserve_exact(bins).map_err(|_| TryReserveError::Alloc)?;
    for bin in &mut room.spare_capacity_mut()[..bins] {
        Bin::make_empty(bin);
    }
    // SAFETY: there is room for so many, and each of them was just made.
    unsafe { room.set_len(bins) };
    Ok(Side::new(room))
}

/// Notes of fresh entries take a byte for each bin.
const BINS_PER_WORD: usize = size_of::<u32>();

/// The bins in which the sides differ.
pub(super) struct Dirty {
    /// The bins' numbers, and never more than there was room for at first: a table that differs in more bins is
    /// copied as a whole sooner.
    ///
    /// While `notes_unseen` is set, nothing is listed, and each byte stands for a bin, the lowest byte of the first
    /// word for the first: it has a bit for each slot whose entry readers cannot see. (An allocation of its own would
    /// come and go with each growth, and leave a small heap in pieces.)
    list: Vec<u32>,
    /// A bit for each bin: whether it is listed.
    marks: Vec<usize>,
    /// The sides may differ in all bins, and in their number.
    everywhere: bool,
    /// The hidden side was rebuilt: what lies where says nothing about the other side.
    rebuilt: bool,
    /// Then, if readers may see entries of the other side: `list` notes which entries they cannot see. What they may
    /// see must not depend on what a key's `Hash` and `Eq` say now.
    notes_unseen: bool,
}

impl Dirty {
    /// Of sides of one bin.
    fn new() -> Self {
        let (list, marks) = (Vec::new(), [0].into());
        Self { list, marks, everywhere: false, rebuilt: false, notes_unseen: false }
    }

    /// For a hidden side of `bins` bins that was built anew. If `notes_unseen`, the writer notes which entries
    /// readers cannot see ([`note_unseen`](Self::note_unseen)).
    pub(super) fn everywhere(bins: usize, notes_unseen: bool) -> Result<Self, TryReserveError> {
        let words = bins.div_ceil(usize::BITS as usize);
        let (mut list, mut marks) = (Vec::new(), Vec::new());
        let room = bins.div_ceil(BINS_PER_WORD);
        list.try_reserve_exact(room).map_err(|_| TryReserveError::Alloc)?;
        marks.try_reserve_exact(words).map_err(|_| TryReserveError::Alloc)?;
        marks.resize(words, 0);
        if notes_unseen {
            list.resize(room, 0);
        }
        Ok(Self { list, marks, everywhere: true, rebuilt: true, notes_unseen })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty() && !self.everywhere
    }

    /// Whether what is fetched now is still in a cache when it is copied.
    #[inline(always)]
    pub(super) fn is_small(&self) -> bool {
        self.list.len() < 4096 && !self.everywhere
    }

    /// Whether the hidden side was rebuilt.
    pub(super) fn is_rebuilt(&self) -> bool {
        self.rebuilt
    }

    /// Whether it is noted which entries readers cannot see.
    #[inline(always)]
    pub(super) fn notes_unseen(&self) -> bool {
        self.notes_unseen
    }

    /// Readers cannot see the entry that was put at `place`. Nor can they see one that is put there before the next
    /// publish, so this is not taken back.
    #[inline(always)]
    pub(super) fn note_unseen(&mut self, place: Place) {
        if self.notes_unseen {
            let (word, bit) = Self::note_of(place);
            self.list[word] |= bit;
        }
    }

    /// Whether that was noted of `place`.
    #[inline(always)]
    pub(super) fn is_unseen(&self, place: Place) -> bool {
        let (word, bit) = Self::note_of(place);
        self.notes_unseen && self.list[word] & bit != 0
    }

    /// The word of `list` that has a note for `place`, and its bit.
    #[inline(always)]
    fn note_of(place: Place) -> (usize, u32) {
        let byte = place.bin % BINS_PER_WORD;
        (place.bin / BINS_PER_WORD, 1 << (byte * u8::BITS as usize + place.slot))
    }

    /// The bins in which sides of one layout differ; `all` if they may in every one.
    pub(super) fn bins(&self, all: usize) -> impl Iterator<Item = usize> {
        let every = if self.everywhere { 0..all } else { 0..0 };
        let listed = if self.everywhere { &[] } else { &self.list[..] };
        listed.iter().map(|&bin| bin as usize).chain(every)
    }

    pub(super) fn has(&self, bin: usize) -> bool {
        self.everywhere
            || self.marks[bin / usize::BITS as usize] >> (bin % usize::BITS as usize) & 1 != 0
    }

    #[inline]
    pub(super) fn mark(&mut self, bin: usize) {
        let (word, bit) = (bin / usize::BITS as usize, 1 << (bin % usize::BITS as usize));
        if self.everywhere || self.marks[word] & bit != 0 {
            return;
        }
        if self.list.len() == self.list.capacity() {
            return self.mark_all();
        }
        self.marks[word] |= bit;
        self.list.push(bin as u32);
    }

    #[cold]
    pub(super) fn mark_all(&mut self) {
        self.everywhere = true;
    }

    /// Has `to` hold what `from` holds.
    pub(super) fn copy<E: Copy>(&mut self, from: &Table<E>, to: &mut Table<E>) {
        /// Far enough ahead for a line to arrive.
        const AHEAD: usize = 8;
        if self.everywhere {
            to.copy_all(from);
            self.marks.fill(0);
        } else {
            for (at, &bin) in self.list.iter().enumerate() {
                if let Some(&ahead) = self.list.get(at + AHEAD) {
                    from.prefetch(ahead as usize);
                    to.prefetch(ahead as usize);
                }
                to.copy_bin(from, bin as usize);
                self.marks[bin as usize / usize::BITS as usize] = 0;
            }
        }
        self.list.clear();
        self.everywhere = false;
        self.rebuilt = false;
        self.notes_unseen = false;
    }

    pub(super) fn bytes(&self) -> usize {
        self.list.capacity() * size_of::<u32>() + self.marks.capacity() * size_of::<usize>()
    }
}

/// An entry that is shown, and so lies at the same place of both sides.
#[derive(Clone, Copy)]
pub(super) struct Base<E> {
    pub(super) place: PackedPlace,
    pub(super) entry: E,
    /// The bin that it belongs to. An equal key may belong to another one. (Its hash would take twice as
    /// much on a small device, and alignment.)
    pub(super) home: usize,
}

/// A change that was made while the hidden side was still looked at.
pub(super) struct Change<E> {
    /// Of the key that was given last.
    pub(super) hash: Hashed,
    /// The key's entry in what is shown, if it has one.
    pub(super) base: Option<Base<E>>,
    /// The key's entry now.
    pub(super) now: Option<E>,
}

impl<E> Change<E> {
    /// Whether `is` holds for an entry of the change's key.
    pub(super) fn is_of(&self, is: impl Fn(&E) -> bool) -> bool {
        self.now.as_ref().or(self.base.as_ref().map(|base| &base.entry)).is_some_and(is)
    }
}

/// The writer's own. All of it goes on with the next writer.
pub(super) struct PendingChanges<E> {
    pub(super) dirty: Dirty,
    /// Room for the other side where the hidden one has grown.
    pub(super) spare: Option<Table<E>>,
    /// Entries taken out of the hidden side that are, or were, shown.
    pub(super) retired: Option<E>,
    /// Entries that no reader can see any more. They are dropped when the lock that is held is given back.
    pub(super) reclaimable: Option<E>,
    /// The lock of the threads that share the writer.
    #[cfg(feature = "std")]
    pub(super) lock: Option<Arc<Holder>>,
    /// The turn that is not over.
    pub(super) swap: Option<PendingSwap>,
    /// No change has waited for it yet.
    pub(super) is_fresh: bool,
    /// What was changed meanwhile.
    pub(super) deferred: HashTable<Change<E>>,
    /// Entries more than in what is shown, by what was changed meanwhile.
    pub(super) deferred_len: isize,
    /// Operations from one publish on that make the next one due, 0 for none; and how many of them are left, counted
    /// down past 0 if none is ever due.
    pub(super) publish_every: usize,
    pub(super) until_due: usize,
}

impl<E> PendingChanges<E> {
    /// For sides of one bin.
    pub(super) fn new() -> Self {
        Self {
            dirty: Dirty::new(),
            spare: None,
            retired: None,
            reclaimable: None,
            #[cfg(feature = "std")]
            lock: None,
            swap: None,
            is_fresh: false,
            deferred: HashTable::new(),
            deferred_len: 0,
            publish_every: 0,
            until_due: 0,
        }
    }

    /// Whether this thread holds the lock of the threads that share the writer. Then it must not drop anything yet.
    #[cfg_attr(not(feature = "std"), allow(clippy::unused_self))]
    #[inline(always)]
    pub(super) fn is_locked_here(&self) -> bool {
        #[cfg(feature = "std")]
        return self.lock.as_ref().is_some_and(|lock| lock.is_this_thread());
        #[cfg(not(feature = "std"))]
        false
    }
}
