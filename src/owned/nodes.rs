//! A hash table of nodes and the map's removed nodes: the part that `HashMap` and `BytesMap` share.
//!
//! Every operation here runs under a guard of the caller. A node that the table held while the guard was taken, or
//! later, is not freed before the guard is dropped: `Retired` frees a node only if all guards are younger than its
//! removal. The `SAFETY` comments call this *the guard's promise*.
//!
//! Bins of one cache line, with a head and six pointers, were tried and rejected. A hit takes as long, because the line
//! of the entry is prefetched in time anyway. A miss takes longer, because heads no longer share cache lines.

use crate::api::cursor::Cursor;
use crate::api::failure::Failure;
use crate::api::hash::KeyHash;
use crate::bins::bin::EntryWords;
use crate::bins::layout::Layout;
use crate::error::Busy;
use crate::error::TryReserveError;
use crate::reclaim::collector::Readers;
use crate::reclaim::garbage::free_all;
use crate::reclaim::guard::Guard;
use crate::reclaim::map::{NotStored, Unchanged};
use crate::reclaim::node::{List, Live, NodePtr, ReclaimNode};
use crate::reclaim::retired::{Fresh, Retired, Unlinked, WaitMode};
use crate::sync::backoff::Backoff;
use crate::sync::prefetch;
use crate::table::Table;
#[cfg(feature = "rayon")]
use crate::table::pieces::WalkPiece;
use crate::table::scan::{AT_ONCE, RawEntry};
use crate::table::walk::WalkPosition;
use crate::table::write::{Altered, EntryChange};
use alloc::vec::Vec;
use core::mem::MaybeUninit;
use core::panic::{RefUnwindSafe, UnwindSafe};

/// Returns the node of an entry.
#[inline(always)]
fn node_of<N: ReclaimNode>(entry: EntryWords<'_, NodePtr<N>, ()>) -> MaybeUninit<NodePtr<N>> {
    entry.key()
}

/// Statistics of a [`HashMap`](super::HashMap) or a [`BytesMap`](super::BytesMap), from
/// [`HashMap::stats`](super::HashMap::stats) and [`BytesMap::stats`](super::BytesMap::stats).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnedStats {
    /// Entries. Exact if there are no concurrent writes.
    pub len: usize,
    /// Entries that were replaced or removed, and that the map has not dropped yet.
    pub pending: usize,
    /// Bins of the table.
    pub bins: usize,
    /// Slots in each bin.
    pub slots_per_bin: usize,
    /// Overflow lines in use.
    pub overflow_lines: usize,
    /// Bytes that the map has allocated for its table and its lists of removed entries. The entries are not included:
    /// each has an allocation of its own.
    pub memory_bytes: usize,
    /// Bytes, of those, that the map no longer uses, and frees when it is shrunk or dropped.
    pub retired_bytes: usize,
}

/// A table of nodes, and the nodes that were removed from it.
#[repr(C)]
pub(super) struct Nodes<N: ReclaimNode> {
    /// Those of `retired`. Every lookup reads this, so it is beside the table's first word, which every lookup reads,
    /// and apart from the garbage, which writers change.
    readers: Readers,
    table: Table<NodePtr<N>, ()>,
    retired: Retired<N>,
}

// SAFETY: a move takes all nodes along. No other thread has a reference to one, because references borrow the map.
unsafe impl<N: ReclaimNode + Send> Send for Nodes<N> {}
// SAFETY: many threads may read a node, hence `N: Sync`. Any of them may drop it, hence `N: Send`.
unsafe impl<N: ReclaimNode + Send + Sync> Sync for Nodes<N> {}
// As for the table: user code runs only while the table and the garbage are consistent, so a panic leaves them so.
impl<N: ReclaimNode> UnwindSafe for Nodes<N> {}
impl<N: ReclaimNode> RefUnwindSafe for Nodes<N> {}

impl<N: ReclaimNode> Nodes<N> {
    crate::facade::const_unless_loom! {
        pub(super) fn new() -> Self {
            Self::of(Table::new())
        }
    }

    const fn of(table: Table<NodePtr<N>, ()>) -> Self {
        Self { readers: Readers::new(), table, retired: Retired::new() }
    }

    /// Drops all garbage. Further garbage waits for `readers`.
    pub(super) fn set_readers(&mut self, readers: &Readers) {
        self.readers = readers.clone();
        self.retired.set_readers(readers);
    }

    #[inline(always)]
    pub(super) fn readers(&self) -> &Readers {
        &self.readers
    }

    /// Creates a table with room for `capacity` entries.
    pub(super) fn with_capacity(capacity: usize) -> Result<Self, TryReserveError> {
        if capacity == 0 {
            return Ok(Self::new());
        }
        let bins = Table::<NodePtr<N>, ()>::checked_bins(capacity)?;
        let table = Table::with_bins(bins).map_err(|_| TryReserveError::Alloc)?;
        let nodes = Self::of(table);
        nodes.grow_to(bins)?;
        Ok(nodes)
    }

    /// Makes room for `additional` more entries.
    pub(super) fn reserve(&self, additional: usize) -> Result<(), TryReserveError> {
        if additional == 0 {
            return Ok(());
        }
        let wanted = self.len().checked_add(additional).ok_or(TryReserveError::CapacityOverflow)?;
        self.grow_to(Table::<NodePtr<N>, ()>::checked_bins(wanted)?)
    }

    fn grow_to(&self, bins: usize) -> Result<(), TryReserveError> {
        // Growth reads the hash of each node, so the nodes must stay alive.
        let _guard = self.readers.try_pin()?;
        let grown = self.table.make_room(bins, &Self::rehash(), &mut Backoff::spinning());
        grown.map_err(|_| TryReserveError::Alloc)
    }

    /// Drops all garbage, and moves the entries to a table of their size. If there is no memory for that, the old table
    /// stays.
    pub(super) fn shrink_to_fit(&mut self) {
        let mut all = List::new();
        self.retired.move_to(&mut all);
        // SAFETY: `&mut self` excludes readers.
        unsafe { free_all(&mut all) };
        if let Ok(fresh) = Self::with_capacity(self.len()) {
            self.move_to(fresh);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns the number of entries that the table can hold before it grows.
    pub(super) fn capacity(&self) -> usize {
        self.table.capacity()
    }

    pub(super) fn stats(&self) -> OwnedStats {
        let usage = self.table.usage();
        OwnedStats {
            len: self.len(),
            pending: self.retired.pending(),
            bins: usage.bins,
            slots_per_bin: Layout::<NodePtr<N>, ()>::SLOTS,
            overflow_lines: usage.overflow_lines,
            memory_bytes: usage.bytes + self.retired.bytes(),
            retired_bytes: usage.retired_bytes,
        }
    }

    /// Requests the memory of a hash's bin.
    #[inline(always)]
    pub(super) fn prefetch(&self, hash: KeyHash) {
        self.table.prefetch(hash);
    }

    /// Returns the node for which `eq` returns `true`. It stays alive as long as the guard is held.
    #[inline(always)]
    pub(super) fn get<'a>(
        &'a self,
        hash: KeyHash,
        eq: impl Fn(Live<'_, N>) -> bool + Copy,
        guard: &'a Guard<'_>,
    ) -> Option<Live<'a, N>> {
        let found = self.table.get(hash, Self::same(eq, guard), node_of)?;
        // SAFETY: the table held the node while the caller held the guard, so the guard's promise keeps it alive.
        Some(unsafe { found.live() })
    }

    /// Returns the node for which `eq` returns `true`, as `get` does, but never waits.
    pub(super) fn try_get<'a>(
        &'a self,
        hash: KeyHash,
        eq: impl Fn(Live<'_, N>) -> bool + Copy,
        guard: &'a Guard<'_>,
    ) -> Result<Option<Live<'a, N>>, Busy> {
        let same = Self::same(eq, guard);
        let found = self.table.get_slowly(hash, same, node_of, &mut Backoff::never());
        // SAFETY: the guard's promise.
        found.map(|node| node.map(|node| unsafe { node.live() })).map_err(|_| Busy)
    }

    /// Calls `get` or `try_get`, according to `mode`.
    #[inline(always)]
    pub(super) fn find<'a>(
        &'a self,
        hash: KeyHash,
        eq: impl Fn(Live<'_, N>) -> bool + Copy,
        mode: WaitMode,
        guard: &'a Guard<'_>,
    ) -> Result<Option<Live<'a, N>>, Busy> {
        match mode {
            WaitMode::Blocking => Ok(self.get(hash, eq, guard)),
            WaitMode::NonBlocking(_) => self.try_get(hash, eq, guard),
        }
    }

    /// Looks up a window of keys together, so their cache misses overlap. `eq` and `answer` get the index of the key.
    #[inline]
    pub(super) fn get_window<'a>(
        &'a self,
        hashes: &[KeyHash],
        eq: impl Fn(usize, Live<'_, N>) -> bool + Copy,
        mut answer: impl FnMut(usize, Option<Live<'a, N>>),
        _guard: &'a Guard<'_>,
    ) {
        // SAFETY: the guard's promise.
        let same = |at: usize, node: &NodePtr<N>| eq(at, unsafe { node.live() });
        let touch = |entry: EntryWords<'_, NodePtr<N>, ()>| {
            let word = entry.key();
            // SAFETY: the word is a node's pointer. A writer may have replaced it since the tag was loaded, and its
            // node may be freed: a prefetch may have any address.
            prefetch::read(unsafe { word.as_ptr().cast::<*const N>().read() });
        };
        let answer = |at, found: Option<NodePtr<N>>| {
            // SAFETY: the guard's promise.
            answer(at, found.map(|node| unsafe { node.live() }));
        };
        self.table.get_window(hashes, same, node_of, touch, answer);
    }

    /// Changes the entry for which `eq` returns `true`, as `decide` says. Returns the node before, and the change.
    #[inline(always)]
    fn alter(
        &self,
        hash: KeyHash,
        eq: impl Fn(Live<'_, N>) -> bool + Copy,
        backoff: Backoff,
        mut decide: impl FnMut(Option<NodePtr<N>>) -> EntryChange<NodePtr<N>, ()>,
        guard: &Guard<'_>,
    ) -> Result<Altered<NodePtr<N>, (), NodePtr<N>>, Failure> {
        let decide = |found: Option<&NodePtr<N>>| decide(found.copied());
        let same = Self::same(eq, guard);
        self.table.alter(hash, same, node_of, Self::rehash(), backoff, decide)
    }

    /// Returns `eq` for pointers. As [`rehash`](Self::rehash), it is no closure of its caller: see `flat::lookup`.
    #[inline(always)]
    fn same(
        eq: impl Fn(Live<'_, N>) -> bool + Copy,
        _guard: &Guard<'_>,
    ) -> impl Fn(&NodePtr<N>) -> bool + Copy {
        // SAFETY: the guard's promise, for as long as the result is used.
        move |node| eq(unsafe { node.live() })
    }

    /// Returns the function that the table hashes its nodes with when it grows.
    #[inline(always)]
    fn rehash() -> impl Fn(&NodePtr<N>) -> KeyHash + Copy {
        |node| Self::hash_of(*node)
    }

    fn hash_of(node: NodePtr<N>) -> KeyHash {
        // SAFETY: the table calls this with nodes that it holds, while the caller holds a guard.
        unsafe { node.live() }.hash()
    }

    /// Inserts `fresh`, and returns the node of its key that it replaces.
    #[inline(always)]
    pub(super) fn insert(
        &self,
        fresh: Fresh<N>,
        eq: impl Fn(Live<'_, N>) -> bool + Copy,
        backoff: Backoff,
        guard: &Guard<'_>,
    ) -> Result<Option<Unlinked<'_, N>>, (Failure, Fresh<N>)> {
        let (hash, node) = (fresh.live().hash(), fresh.0);
        match self.alter(hash, eq, backoff, |_| EntryChange::Entry(node, ()), guard) {
            Ok((before, _)) => {
                // The table owns the node now. If `fresh` were dropped, it would free a node that readers can find.
                fresh.take();
                Ok(before.map(|node| self.unlinked(node)))
            }
            Err(why) => Err((why, fresh)),
        }
    }

    /// Inserts `fresh` if its key is absent. Otherwise returns it, with the entry of the key or the cause of the
    /// failure.
    pub(super) fn insert_if_absent<'a>(
        &'a self,
        fresh: Fresh<N>,
        eq: impl Fn(Live<'_, N>) -> bool + Copy,
        mode: WaitMode,
        guard: &'a Guard<'_>,
    ) -> Result<(), NotStored<'a, N>> {
        let (hash, node) = (fresh.live().hash(), fresh.0);
        let decide = |found: Option<_>| match found {
            None => EntryChange::Entry(node, ()),
            Some(_) => EntryChange::Keep,
        };
        match self.alter(hash, eq, mode.backoff(), decide, guard) {
            Ok((None, _)) => {
                // The table owns the node now.
                fresh.take();
                Ok(())
            }
            // SAFETY: the guard's promise.
            Ok((Some(found), _)) => Err((Unchanged::Instead(Some(unsafe { found.live() })), fresh)),
            Err(why) => Err((Unchanged::Failed(why.into()), fresh)),
        }
    }

    /// Replaces `node` by `fresh` if the table still holds `node`. Otherwise returns `fresh`.
    ///
    /// `fresh` has the hash by which the caller found `node`. The table looks for the node's address, so it does not
    /// know which entry the key has instead.
    pub(super) fn replace_exactly<'a>(
        &self,
        node: Live<'_, N>,
        fresh: Fresh<N>,
        mode: WaitMode,
        guard: &'a Guard<'_>,
    ) -> Result<Option<Unlinked<'_, N>>, NotStored<'a, N>> {
        let (hash, old, new) = (fresh.live().hash(), node.ptr(), fresh.0);
        let same = move |other: Live<'_, N>| other.ptr() == old;
        let decide = |found: Option<_>| match found {
            Some(_) => EntryChange::Entry(new, ()),
            None => EntryChange::Keep,
        };
        match self.alter(hash, same, mode.backoff(), decide, guard) {
            // The table owns the node now.
            Ok((before, EntryChange::Entry(..))) => {
                fresh.take();
                Ok(before.map(|node| self.unlinked(node)))
            }
            Ok(_) => Err((Unchanged::Instead(None), fresh)),
            Err(why) => Err((Unchanged::Failed(why.into()), fresh)),
        }
    }

    /// Removes the node for which `eq` returns `true`, if `wanted` returns `true` for it too.
    pub(super) fn remove(
        &self,
        hash: KeyHash,
        eq: impl Fn(Live<'_, N>) -> bool + Copy,
        mut wanted: impl FnMut(Live<'_, N>) -> bool,
        mode: WaitMode,
        guard: &Guard<'_>,
    ) -> Result<Option<Unlinked<'_, N>>, Busy> {
        let decide = |found: Option<NodePtr<N>>| match found {
            // SAFETY: the guard's promise.
            Some(node) if wanted(unsafe { node.live() }) => EntryChange::Remove,
            _ => EntryChange::Keep,
        };
        match self.alter(hash, eq, mode.backoff(), decide, guard) {
            Ok((Some(node), EntryChange::Remove)) => Ok(Some(self.unlinked(node))),
            Ok(_) => Ok(None),
            // A removal needs no memory, so the cause is a writer inside the bin.
            Err(_) => Err(Busy),
        }
    }

    fn unlinked(&self, node: NodePtr<N>) -> Unlinked<'_, N> {
        // SAFETY: the table returned the node to the call that removed it, and to no other.
        unsafe { self.retired.unlinked(node) }
    }

    /// Removes `node` if the table still holds it. Compares addresses, as `replace_exactly` does.
    pub(super) fn remove_exactly(
        &self,
        node: Live<'_, N>,
        mode: WaitMode,
        guard: &Guard<'_>,
    ) -> Result<Option<Unlinked<'_, N>>, Busy> {
        // If the node is garbage, its header holds a link instead of a hash. Then no bin has it, and this finds
        // nothing.
        let (hash, node) = (node.hash(), node.ptr());
        self.remove(hash, move |other| other.ptr() == node, |_| true, mode, guard)
    }

    /// Appends the nodes of the next few bins from `position` on to `buffer`, and prefetches them. Returns the next
    /// position.
    pub(super) fn snapshot(
        &self,
        position: WalkPosition,
        buffer: &mut Vec<RawEntry<NodePtr<N>, ()>>,
        _guard: &Guard<'_>,
    ) -> Option<WalkPosition> {
        let before = buffer.len();
        let next = self.table.snapshot(position, AT_ONCE, buffer);
        Self::prefetch_nodes(&buffer[before..]);
        next
    }

    fn prefetch_nodes(nodes: &[RawEntry<NodePtr<N>, ()>]) {
        for raw in nodes {
            // SAFETY: the snapshot that wrote them is complete, so no word is torn.
            prefetch::read(unsafe { raw.whole() }.0.0.as_ptr());
        }
    }

    /// Returns the whole table as a piece, which threads split among themselves.
    #[cfg(feature = "rayon")]
    pub(super) fn piece(&self) -> WalkPiece<'_, NodePtr<N>, ()> {
        WalkPiece::whole(&self.table)
    }

    /// Fills `buffer` with the nodes of the piece's next bin, and prefetches them. Returns `false` at the end.
    #[cfg(feature = "rayon")]
    pub(super) fn next_bin(
        piece: &mut WalkPiece<'_, NodePtr<N>, ()>,
        buffer: &mut Vec<RawEntry<NodePtr<N>, ()>>,
        _guard: &Guard<'_>,
    ) -> bool {
        let more = piece.next_bin(buffer);
        Self::prefetch_nodes(buffer);
        more
    }

    /// Calls `each` with nodes from `cursor` on, until it got at least `budget` of them. Returns the cursor of the
    /// rest.
    pub(super) fn scan<'a>(
        &'a self,
        cursor: Cursor,
        budget: usize,
        _guard: &'a Guard<'_>,
        mut each: impl FnMut(Live<'a, N>),
    ) -> Option<Cursor> {
        self.table.scan(cursor, budget, |bin| {
            Self::prefetch_nodes(bin);
            for raw in bin {
                // SAFETY: the bin's snapshot is complete, and the guard's promise keeps its nodes alive.
                each(unsafe { raw.whole().0.live() });
            }
        })
    }

    /// Moves all nodes to `fresh`, which has room for them. If that fails, `self` keeps all of them.
    fn move_to(&mut self, mut fresh: Self) {
        let mut failed = None;
        let target = &fresh.table;
        self.table.for_each_mut(|node, ()| {
            if failed.is_none() {
                let moved = target.alter(
                    Self::hash_of(node),
                    |_| false,
                    node_of,
                    Self::rehash(),
                    Backoff::spinning(),
                    |_| EntryChange::Entry(node, ()),
                );
                failed = moved.err();
            }
        });
        if failed.is_none() {
            core::mem::swap(&mut self.table, &mut fresh.table);
        }
        // After success it is the old table, otherwise it has only some of the nodes. In both cases `self` owns all of
        // them, and `fresh` must not free one.
        fresh.table = Table::new();
    }

    pub(super) fn retired(&self) -> &Retired<N> {
        &self.retired
    }

    /// Removes the nodes for which `keep` returns `false`. Calls `keep` while no lock is held, and calls it again for
    /// all nodes of a bin that another thread has changed meanwhile.
    pub(super) fn retain(&self, mut keep: impl FnMut(Live<'_, N>) -> bool) {
        let guard = self.readers.pin();
        // SAFETY: the guard's promise.
        let keep = |node: &NodePtr<N>, (): &mut ()| keep(unsafe { node.live() });
        // SAFETY: the table passes each node once, after it has removed it.
        let gone = |node: &NodePtr<N>| unsafe { self.retired.add(*node) };
        self.table.retain(keep, gone);
        // Before destructors run: under this guard, a slow one would keep the garbage of all maps.
        drop(guard);
        drop(self.retired.free_share());
    }

    /// Removes all nodes. The exclusive reference proves that no reader has one.
    pub(super) fn drain(&mut self) -> List<N> {
        let mut all = List::new();
        // SAFETY: no other list has the nodes, and the next statement drops the table's pointers to them.
        self.table.for_each_mut(|node, ()| unsafe { all.push(node) });
        self.table = Table::new();
        all
    }
}

impl<N: ReclaimNode> Drop for Nodes<N> {
    fn drop(&mut self) {
        let mut all = self.drain();
        self.retired.move_to(&mut all);
        // SAFETY: `&mut self` excludes readers.
        unsafe { free_all(&mut all) };
    }
}
