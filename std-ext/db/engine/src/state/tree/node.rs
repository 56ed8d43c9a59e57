//! The nodes of a tree, and how entries are laid out in them.
//!
//! ```text
//! node: birth 64 | count 16 | used 16 | capacity 16 | level 8 | heads 32 each | slots 16 each | free | entries
//!       | padding 64
//! ```
//!
//! A head is the first four bytes of a key. The heads of a node are next to each other, so most searches look at two or
//! three cache lines, and then at one entry. A slot is the distance of an entry from the node's end, so a node is
//! copied to a block of another size without a change to its slots. Heads and slots are in the order of the keys;
//! entries are packed in the order in which they came, the newest first. There are no holes: `used` is the sum of the
//! entries and the padding.

use super::block;
use super::entry::{Entry, EntryBytes, Key};
use super::layout::{EMPTY, NodeHeader, PADDING};
pub(super) use super::layout::{MAX_NODE, Node, ROOM, SLOT};
use std::cmp::Ordering;
use std::ptr::NonNull;

/// Returns the bytes of a node with these entries, given the sum of their bytes and slots.
pub(super) fn node_bytes(entries: usize) -> usize {
    EMPTY + entries
}

impl Node {
    /// Allocates a node without entries, with room for `bytes` in total.
    pub(super) fn new(level: u8, birth: u64, bytes: usize) -> Self {
        debug_assert!((EMPTY..=MAX_NODE).contains(&bytes), "{bytes} bytes");
        let capacity = bytes.next_multiple_of(8);
        let node = block::allocate(capacity);
        let header =
            NodeHeader { birth, count: 0, used: PADDING as u16, capacity: capacity as u16, level };
        // SAFETY: the block was just allocated with this size, aligned for a `u64`.
        unsafe {
            node.cast().write(header);
            node.add(capacity - PADDING).cast::<u64>().write(0);
        }
        Self(node.cast())
    }

    /// # Safety
    /// No pointer to the node is used any more.
    pub(super) unsafe fn free(self) {
        // SAFETY: `new` has allocated it with this size.
        unsafe { block::free(self.0.cast(), self.capacity()) };
    }

    #[inline(always)]
    fn header(&self) -> &NodeHeader {
        // SAFETY: the holder of a node makes sure that it was not freed, and the writer changes none while it uses
        // this.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn birth(self) -> u64 {
        self.header().birth
    }

    /// Returns the height above the leaves.
    #[inline(always)]
    pub(super) fn level(self) -> u8 {
        self.header().level
    }

    #[inline(always)]
    pub(super) fn count(self) -> usize {
        self.header().count.into()
    }

    pub(super) fn capacity(self) -> usize {
        self.header().capacity.into()
    }

    /// Returns the bytes of all entries, with their heads and slots.
    pub(super) fn filled(self) -> usize {
        usize::from(self.header().used) - PADDING + SLOT * self.count()
    }

    /// Returns the bytes that the node needs.
    pub(super) fn bytes(self) -> usize {
        EMPTY + self.filled()
    }

    #[inline(always)]
    fn heads(self) -> *mut u32 {
        // SAFETY: the heads follow the header, in the same block.
        unsafe { self.0.add(1).cast().as_ptr() }
    }

    #[inline(always)]
    fn slots(self) -> *mut u16 {
        // SAFETY: the slots follow the heads, in the same block.
        unsafe { self.heads().add(self.count()).cast() }
    }

    fn end(self) -> *mut u8 {
        // SAFETY: the block has this size.
        unsafe { self.0.cast::<u8>().add(self.capacity()).as_ptr() }
    }

    #[inline(always)]
    pub(super) fn entry(&self, index: usize) -> Entry<'_> {
        // SAFETY: the borrow is no longer than what the holder of a node makes sure of.
        unsafe { self.entry_for(index) }
    }

    /// # Safety
    /// The node is neither freed nor changed during `'a`.
    #[inline(always)]
    pub(super) unsafe fn entry_for<'a>(self, index: usize) -> Entry<'a> {
        debug_assert!(index < self.count(), "entry {index} of {}", self.count());
        // SAFETY: slots below the count are distances of entries from the node's end, and behind every entry at least
        // `PADDING` bytes are in the block.
        unsafe {
            let distance = *self.slots().add(index);
            Entry::at(NonNull::new_unchecked(self.end().sub(distance.into())))
        }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.count()).map(|index| self.entry(index))
    }

    /// Returns the child at an index of an inner node.
    #[inline(always)]
    pub(super) fn child(self, index: usize) -> Self {
        debug_assert!(self.level() > 0, "a leaf has no children");
        // SAFETY: the entries of an inner node end with the reference to a child.
        unsafe { self.entry(index).child() }
    }

    /// As `child`, for one that is searched next. All lines of it are fetched into the processor's cache at once: which
    /// of them a search needs is known only after the first ones have come. Of a large tree in random order, look-ups
    /// take 0.6 times as long with this.
    #[inline(always)]
    pub(super) fn descend(self, index: usize) -> Self {
        let child = self.child(index);
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        for line in 0..MAX_NODE / 64 {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let at = child.0.as_ptr().cast::<i8>().wrapping_add(line * 64);
            // SAFETY: a prefetch has no effect, whatever the address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(at) };
        }
        child
    }

    /// Returns the number of entries of the tree beneath a child.
    #[inline(always)]
    pub(super) fn child_entries(self, index: usize) -> u32 {
        // SAFETY: as above.
        unsafe { self.entry(index).child_entries() }
    }

    /// Returns the number of entries of the tree in this node or beneath.
    pub(super) fn tree_entries(self) -> u32 {
        if self.level() == 0 {
            return self.count() as u32;
        }
        (0..self.count()).map(|index| self.child_entries(index)).sum()
    }

    /// Returns the last index whose key is not greater than `key`, or 0. In an inner node this is the index of the
    /// child that may have the key: see [SEPARATORS](super).
    #[inline(always)]
    pub(super) fn floor(self, key: &Key<'_>) -> usize {
        self.search(key).unwrap_or_else(|index| index.saturating_sub(1))
    }

    /// Returns the index of a key, or the index at which it would be inserted.
    #[inline(always)]
    pub(super) fn search(self, key: &Key<'_>) -> Result<usize, usize> {
        // SAFETY: the node has as many heads, and the writer changes none meanwhile.
        let heads = unsafe { std::slice::from_raw_parts(self.heads(), self.count()) };
        let (wanted, mut low, mut high) = (key.head4(), 0, 0);
        // Compared one after the other, all of them: without branches, and several at once.
        for head in heads {
            low += u32::from(*head < wanted);
            high += u32::from(*head <= wanted);
        }
        let (mut low, mut high) = (low as usize, high as usize);
        // Keys begin with a hash or a score, so this is one entry or none mostly.
        while low < high {
            let middle = usize::midpoint(low, high);
            match key.compare(self.entry(middle)) {
                Ordering::Equal => return Ok(middle),
                Ordering::Less => high = middle,
                Ordering::Greater => low = middle + 1,
            }
        }
        Err(low)
    }

    /// Inserts an entry.
    ///
    /// # Safety
    /// The node was made in the present window, no entry of it is borrowed, and its capacity suffices.
    pub(super) unsafe fn insert(self, index: usize, entry: Entry<'_>) {
        let (count, length) = (self.count(), entry.length());
        debug_assert!(self.bytes() + length + SLOT <= self.capacity(), "no room");
        debug_assert!(index <= count, "entry {index} of {count}");
        // SAFETY: the caller promises the room between slots and entries, and that nothing else refers to the node.
        unsafe {
            let header = self.0.as_ptr();
            (*header).used += length as u16;
            let distance = (*header).used;
            entry.copy_to(self.end().sub(distance.into()));
            let (head, slot) = (self.heads().add(index), self.slots().add(index));
            (*header).count += 1;
            let moved = self.slots();
            slot.copy_to(moved.add(index + 1), count - index);
            moved.add(index).write(distance);
            slot.sub(index).copy_to(moved, index);
            head.copy_to(head.add(1), count - index);
            head.write(entry.head4());
        }
    }

    /// Removes an entry.
    ///
    /// # Safety
    /// The node was made in the present window, and no entry of it is borrowed.
    pub(super) unsafe fn remove(self, index: usize) {
        let (count, length) = (self.count(), self.entry(index).length());
        // SAFETY: the entries that moved before the removed one fill its place, and all stay in the block. The caller
        // promises that nothing else refers to them.
        unsafe {
            let header = self.0.as_ptr();
            let (head, slots, used) = (self.heads().add(index), self.slots(), (*header).used);
            let gap = *slots.add(index);
            let begin = self.end().sub(used.into());
            begin.copy_to(begin.add(length), (used - gap).into());
            (*header).used -= length as u16;
            (*header).count -= 1;
            head.add(1).copy_to(head, count - index - 1);
            let moved = self.slots();
            slots.copy_to(moved, index);
            slots.add(index + 1).copy_to(moved.add(index), count - index - 1);
            for number in 0..count - 1 {
                let slot = moved.add(number);
                *slot -= if *slot > gap { length as u16 } else { 0 };
            }
        }
    }

    /// Overwrites an entry with one of the same length.
    ///
    /// # Safety
    /// The node was made in the present window, and no entry of it is borrowed.
    pub(super) unsafe fn overwrite(self, index: usize, entry: &EntryBytes) {
        let old = self.entry(index);
        debug_assert_eq!(old.length(), entry.entry().length());
        // SAFETY: the place has this length, and the caller promises that nothing else refers to it.
        unsafe { entry.entry().copy_to(old.as_ptr()) };
    }

    /// Makes a child's entry refer to another node.
    ///
    /// # Safety
    /// This is an inner node that was made in the present window, and no entry of it is borrowed.
    pub(super) unsafe fn set_child(self, index: usize, child: Self, entries: u32) {
        debug_assert!(self.level() == child.level() + 1 && self.birth() >= child.birth());
        // SAFETY: the caller's promise.
        unsafe { self.entry(index).set_child(child, entries) };
    }

    /// Copies all entries to a node that has none.
    ///
    /// # Safety
    /// The other node was made in the present window, has the same level and no entries, and its capacity suffices.
    pub(super) unsafe fn copy_to(self, to: Self) {
        debug_assert!(to.count() == 0 && self.bytes() <= to.capacity());
        let used = self.header().used;
        // SAFETY: both blocks have room for heads and slots behind their headers, and for the entries before their
        // ends.
        unsafe {
            (*to.0.as_ptr()).count = self.header().count;
            (*to.0.as_ptr()).used = used;
            let heads = self.heads().cast::<u8>();
            to.heads().cast::<u8>().copy_from_nonoverlapping(heads, SLOT * self.count());
            let from = self.end().sub(used.into());
            to.end().sub(used.into()).copy_from_nonoverlapping(from, used.into());
        }
    }
}
