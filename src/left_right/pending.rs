//! The writer's notes between publishes.
//!
//! - **Dirty bins** are those in which the sides may differ. A publish copies them byte by byte and prefetches their
//!   lines. After growth, or if more than a quarter of the bins are dirty, it copies all bins. It calls no hash, key or
//!   closure again, cannot panic half way, and needs no memory.
//! - **Retired entries** are boxed entries that readers may still see. Boxed entries belong to neither side. If an
//!   entry was never on the read side, its removal frees it at once. Otherwise it is linked through the word of its
//!   node that held its hash, which readers never read. It is freed once the swap after its removal is complete.
//! - **Places, not hashes** tell whether an entry is on the read side, because a key may return any hash. Entries stay
//!   in their slots, so while both sides have one layout, the read side has the entry in the same place. Growth notes a
//!   bit for each slot to which it moves an entry that readers cannot see.
//! - **Inconsistent keys**: an equal key may return another hash. A boxed entry stores the hash under which it was
//!   placed. The hash of an inline one is computed again if the entry is behind its home bin. An entry that replaces
//!   one of another hash moves, so that the overflow counts of bins match the entries in the table.
//! - **Deferred changes** go into a hash table while a swap is incomplete because a reader is stuck. A deferred change
//!   has the key's present entry, and its place on the read side. The writer's own lookups search that table first.
//!   Once the swap is complete, the writer makes the changes. Those whose entries have a place come first, because
//!   growth would move them.

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

/// Returns a side of `bins` empty bins.
pub(super) fn table<E: Copy>(bins: usize) -> Result<Table<E>, TryReserveError> {
    let mut room = Vec::new();
    room.try_reserve_exact(bins).map_err(|_| TryReserveError::Alloc)?;
    for bin in &mut room.spare_capacity_mut()[..bins] {
        Bin::make_empty(bin);
    }
    // SAFETY: the vector has room for `bins` bins, and the loop has initialized each of them.
    unsafe { room.set_len(bins) };
    Ok(Side::new(room))
}

/// Bins in a word of `Dirty::list` that notes unseen entries: a bin takes a byte there.
const BINS_PER_WORD: usize = size_of::<u32>();

/// The bins in which the sides differ.
pub(super) struct Dirty {
    /// The numbers of the bins. The list never grows: if more bins differ than it has room for, all are taken to
    /// differ, and the whole table is copied.
    ///
    /// While `notes_unseen` is set, the list has notes instead: a byte for each bin, from the lowest byte of the first
    /// word, with a bit for each slot whose entry readers cannot see. (An allocation of its own would come and go with
    /// each growth, and fragment a small heap.)
    list: Vec<u32>,
    /// A bit for each bin: whether `list` has it.
    marks: Vec<usize>,
    /// The sides may differ in all bins, and in the number of bins.
    everywhere: bool,
    /// The write side was rebuilt: an entry's place there says nothing about its place on the read side.
    rebuilt: bool,
    /// `list` notes which entries readers cannot see. Set if the write side was rebuilt while the read side had
    /// entries: no key is asked then, because its `Hash` and `Eq` may answer differently now.
    notes_unseen: bool,
}

impl Dirty {
    /// Makes the notes for two sides of one bin.
    fn new() -> Self {
        let (list, marks) = (Vec::new(), [0].into());
        Self { list, marks, everywhere: false, rebuilt: false, notes_unseen: false }
    }

    /// Makes the notes for a write side of `bins` bins that was rebuilt. If `notes_unseen`, the writer notes which
    /// entries readers cannot see ([`note_unseen`](Self::note_unseen)).
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

    /// Returns true if so few bins differ that a line prefetched now is still in a cache when it is copied.
    #[inline(always)]
    pub(super) fn is_small(&self) -> bool {
        self.list.len() < 4096 && !self.everywhere
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
    pub(super) fn note_unseen(&mut self, place: Place) {
        if self.notes_unseen {
            let (word, bit) = Self::note_of(place);
            self.list[word] |= bit;
        }
    }

    /// Returns true if `note_unseen` was called for `place`.
    #[inline(always)]
    pub(super) fn is_unseen(&self, place: Place) -> bool {
        let (word, bit) = Self::note_of(place);
        self.notes_unseen && self.list[word] & bit != 0
    }

    /// Returns the index in `list` of the word that has the note for `place`, and the bit.
    #[inline(always)]
    fn note_of(place: Place) -> (usize, u32) {
        let byte = place.bin % BINS_PER_WORD;
        (place.bin / BINS_PER_WORD, 1 << (byte * u8::BITS as usize + place.slot))
    }

    /// Returns the bins in which two sides of the same layout differ; all of `0..all` if they may differ everywhere.
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

    /// Makes `to` equal to `from`, and forgets the differences.
    pub(super) fn copy<E: Copy>(&mut self, from: &Table<E>, to: &mut Table<E>) {
        /// Bins to prefetch ahead: far enough for a line to arrive in time.
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

/// An entry on the read side, which therefore has the same place on both sides.
#[derive(Clone, Copy)]
pub(super) struct Base<E> {
    pub(super) place: PackedPlace,
    pub(super) entry: E,
    /// The home bin of the entry. An equal key may have another home, if its `Hash` contradicts its `Eq`. (The hash
    /// would take twice the memory on a small device, and alignment.)
    pub(super) home: usize,
}

/// A change that the writer deferred because readers were still in the write side.
pub(super) struct DeferredChange<E> {
    /// The hash of the key that was passed last.
    pub(super) hash: Hashed,
    /// The key's entry on the read side, if there is one.
    pub(super) base: Option<Base<E>>,
    /// The key's entry after the change, or `None` if it was removed.
    pub(super) now: Option<E>,
}

impl<E> DeferredChange<E> {
    /// Returns true if `is` holds for an entry of the change's key.
    pub(super) fn is_of(&self, is: impl Fn(&E) -> bool) -> bool {
        self.now.as_ref().or(self.base.as_ref().map(|base| &base.entry)).is_some_and(is)
    }
}

/// The writer's notes between publishes. The next writer takes it over.
pub(super) struct PendingChanges<E> {
    pub(super) dirty: Dirty,
    /// Memory for the other side, if the write side has grown.
    pub(super) spare: Option<Table<E>>,
    /// Entries that were taken out of the write side and that readers may still see.
    pub(super) retired: Option<E>,
    /// Entries that no reader can see any more, to be dropped after this thread has released the shared writer's lock.
    pub(super) reclaimable: Option<E>,
    /// Says which thread holds the lock, if threads share the writer.
    #[cfg(feature = "std")]
    pub(super) lock: Option<Arc<Holder>>,
    /// The last swap, until it is over: until no reader is in the new write side.
    pub(super) swap: Option<PendingSwap>,
    /// No change has waited for `swap` yet: the next one may wait briefly.
    pub(super) may_wait: bool,
    /// The changes since `swap`, which wait for it to be over.
    pub(super) deferred: HashTable<DeferredChange<E>>,
    /// How many entries `deferred` adds to those of the read side.
    pub(super) deferred_len: isize,
    /// Operations between a publish and the next automatic one; 0 for no automatic publishes.
    pub(super) publish_every: usize,
    /// Operations left until the next automatic publish. Counts down past 0 if there is none.
    pub(super) until_due: usize,
}

impl<E> PendingChanges<E> {
    /// Makes the pending changes of two sides of one bin.
    pub(super) fn new() -> Self {
        Self {
            dirty: Dirty::new(),
            spare: None,
            retired: None,
            reclaimable: None,
            #[cfg(feature = "std")]
            lock: None,
            swap: None,
            may_wait: false,
            deferred: HashTable::new(),
            deferred_len: 0,
            publish_every: 0,
            until_due: 0,
        }
    }

    /// Returns true if threads share the writer and this thread holds the lock. It must not drop entries then, because
    /// a destructor may use the shared writer.
    #[cfg_attr(not(feature = "std"), allow(clippy::unused_self))]
    #[inline(always)]
    pub(super) fn is_locked_here(&self) -> bool {
        #[cfg(feature = "std")]
        return self.lock.as_ref().is_some_and(|lock| lock.is_this_thread());
        #[cfg(not(feature = "std"))]
        false
    }
}
