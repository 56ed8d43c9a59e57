//! A table of nodes with its garbage: the part that all maps of owned data share.

use crate::bins::bin::Entry;
use crate::bins::layout::Layout;
use crate::bins::tags::Hash;
use crate::error::Busy;
use crate::error::TryReserveError;
use crate::reclaim::garbage::free_all;
use crate::reclaim::guard::{Guard, pin, try_pin};
use crate::reclaim::node::{List, Live, Node, Shared};
use crate::reclaim::retired::{Fresh, Retired, Unlinked, Way};
use crate::sync::backoff::Backoff;
use crate::sync::prefetch;
use crate::table::cursor::Cursor;
#[cfg(feature = "rayon")]
use crate::table::pieces::Piece;
use crate::table::scan::{AT_ONCE, Raw};
use crate::table::walk::Position;
use crate::table::write::{Altered, Change};
use crate::table::{Failure, Table};
use alloc::vec::Vec;
use core::panic::{RefUnwindSafe, UnwindSafe};

/// What was replaced by a node that has been stored, or why it was not, and the node again.
pub(super) type InsertResult<'a, N, E> = Result<Option<Unlinked<'a, N>>, (E, Fresh<N>)>;

/// What is there already, or the reason why that cannot be told; and the node that was not stored.
pub(super) type InsertAbsentError<'a, N, E> = (Result<Live<'a, N>, E>, Fresh<N>);

/// Figures about a map of owned data by hashes, from [`HashMap::stats`](super::HashMap::stats) and
/// [`BytesMap::stats`](super::BytesMap::stats).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnedStats {
    /// Entries; exact when nobody writes meanwhile.
    pub len: usize,
    /// Entries that were replaced or removed and are not dropped yet.
    pub pending: usize,
    /// Bins of the table.
    pub bins: usize,
    /// Slots in each bin.
    pub slots_per_bin: usize,
    /// Overflow lines in use.
    pub overflow_lines: usize,
    /// Bytes that the map has allocated for its table and its lists of removed entries. The entries themselves, each of
    /// which has an allocation of its own, come on top.
    pub memory_bytes: usize,
    /// Bytes, of those, that are of no more use and wait for the map to be dropped or shrunk.
    pub retired_bytes: usize,
}

/// A table of nodes, and what was taken out of it.
pub(super) struct Nodes<N: Node> {
    table: Table<Shared<N>, ()>,
    retired: Retired<N>,
}

// SAFETY: nodes and all; nobody else can have any of them while the whole is moved.
unsafe impl<N: Node + Send> Send for Nodes<N> {}
// SAFETY: nodes are looked at by many threads, and dropped by any.
unsafe impl<N: Node + Send + Sync> Sync for Nodes<N> {}
// As for the table: no user code runs while anything is in a state that a panic could leave behind.
impl<N: Node> UnwindSafe for Nodes<N> {}
impl<N: Node> RefUnwindSafe for Nodes<N> {}

impl<N: Node> Nodes<N> {
    crate::facade::const_unless_loom! {
        pub(super) fn new() -> Self {
            Self::of(Table::new())
        }
    }

    const fn of(table: Table<Shared<N>, ()>) -> Self {
        Self { table, retired: Retired::new() }
    }

    /// A table with room for so many entries.
    pub(super) fn with_capacity(capacity: usize) -> Result<Self, TryReserveError> {
        if capacity == 0 {
            return Ok(Self::new());
        }
        let bins = Table::<Shared<N>, ()>::checked_bins(capacity)?;
        let table = Table::with_bins(bins).map_err(|_| TryReserveError::Alloc)?;
        let nodes = Self::of(table);
        nodes.grow_to(bins)?;
        Ok(nodes)
    }

    /// Makes room for so many more.
    pub(super) fn reserve(&self, additional: usize) -> Result<(), TryReserveError> {
        if additional == 0 {
            return Ok(());
        }
        let wanted = self.len().checked_add(additional).ok_or(TryReserveError::CapacityOverflow)?;
        self.grow_to(Table::<Shared<N>, ()>::checked_bins(wanted)?)
    }

    fn grow_to(&self, bins: usize) -> Result<(), TryReserveError> {
        let _guard = try_pin()?;
        let rehash = |node: &Shared<N>| Self::hash_of(*node);
        let grown = self.table.make_room(bins, &rehash, &mut Backoff::spinning());
        grown.map_err(|_| TryReserveError::Alloc)
    }

    /// Drops all garbage, and moves the rest to a table of its size. The old one stays where there is no
    /// memory for that.
    pub(super) fn shrink_to_fit(&mut self) {
        let mut all = List::new();
        self.retired.move_to(&mut all);
        free_all(&mut all);
        if let Ok(fresh) = Self::with_capacity(self.len()) {
            self.move_to(fresh);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Entries that there is room for before the table grows.
    pub(super) fn capacity(&self) -> usize {
        self.table.capacity()
    }

    /// Figures about the map.
    pub(super) fn stats(&self) -> OwnedStats {
        let usage = self.table.usage();
        OwnedStats {
            len: self.len(),
            pending: self.retired.pending(),
            bins: usage.bins,
            slots_per_bin: Layout::<Shared<N>, ()>::SLOTS,
            overflow_lines: usage.overflow_lines,
            memory_bytes: usage.bytes + self.retired.bytes(),
            retired_bytes: usage.retired_bytes,
        }
    }

    /// The node that `eq` knows, as long as the guard is held.
    #[inline(always)]
    pub(super) fn get<'a>(
        &'a self,
        hash: Hash,
        eq: impl Fn(Live<'_, N>) -> bool + Copy,
        _guard: &'a Guard<'_>,
    ) -> Option<Live<'a, N>> {
        // SAFETY: met in the table under a guard: not freed as long as that is held.
        let same = |node: &Shared<N>| eq(unsafe { node.live() });
        let found = self.table.get(hash, same, |entry| entry.key())?;
        // SAFETY: as above.
        Some(unsafe { found.live() })
    }

    /// As `get`, but never waits.
    pub(super) fn try_get<'a>(
        &'a self,
        hash: Hash,
        eq: impl Fn(Live<'_, N>) -> bool + Copy,
        _guard: &'a Guard<'_>,
    ) -> Result<Option<Live<'a, N>>, Busy> {
        // SAFETY: as in `get`.
        let same = |node: &Shared<N>| eq(unsafe { node.live() });
        let found = self.table.get_slowly(hash, same, |entry| entry.key(), &mut Backoff::never());
        // SAFETY: as in `get`.
        found.map(|node| node.map(|node| unsafe { node.live() })).map_err(|_| Busy)
    }

    /// `get` or `try_get`, as `way` has it.
    #[inline(always)]
    pub(super) fn find<'a>(
        &'a self,
        hash: Hash,
        eq: impl Fn(Live<'_, N>) -> bool + Copy,
        mode: Way,
        guard: &'a Guard<'_>,
    ) -> Result<Option<Live<'a, N>>, Busy> {
        match mode {
            Way::Waiting => Ok(self.get(hash, eq, guard)),
            Way::Trying(_) => self.try_get(hash, eq, guard),
        }
    }

    /// Looks up a window of keys; `eq` and `answer` are told their places in it.
    #[inline]
    pub(super) fn get_window<'a>(
        &'a self,
        hashes: &[Hash],
        eq: impl Fn(usize, Live<'_, N>) -> bool + Copy,
        mut answer: impl FnMut(usize, Option<Live<'a, N>>),
        _guard: &'a Guard<'_>,
    ) {
        // SAFETY: as in `get`.
        let same = |at: usize, node: &Shared<N>| eq(at, unsafe { node.live() });
        let touch = |entry: Entry<'_, Shared<N>, ()>| {
            let word = entry.key();
            // SAFETY: one word, which may have changed since its tag was seen, but is some pointer. What it
            // points to does not matter to a prefetch.
            prefetch::read(unsafe { word.as_ptr().cast::<*const N>().read() });
        };
        let answer = |at, found: Option<Shared<N>>| {
            // SAFETY: as in `get`.
            answer(at, found.map(|node| unsafe { node.live() }));
        };
        self.table.get_window(hashes, same, |entry| entry.key(), touch, answer);
    }

    /// Changes the entry that `eq` knows; returns the node before and whether it is still there.
    #[inline(always)]
    fn alter(
        &self,
        hash: Hash,
        eq: impl Fn(Live<'_, N>) -> bool + Copy,
        backoff: Backoff,
        mut decide: impl FnMut(Option<Shared<N>>) -> Change<Shared<N>, ()>,
        _guard: &Guard<'_>,
    ) -> Result<Altered<Shared<N>, (), Shared<N>>, Failure> {
        // SAFETY: as in `get`.
        let same = |node: &Shared<N>| eq(unsafe { node.live() });
        let rehash = |node: &Shared<N>| Self::hash_of(*node);
        let decide = |found: Option<&Shared<N>>| decide(found.copied());
        self.table.alter(hash, same, |entry| entry.key(), rehash, backoff, decide)
    }

    fn hash_of(node: Shared<N>) -> Hash {
        // SAFETY: called back by the table with nodes that it holds, while the caller has a guard.
        unsafe { node.live() }.hash()
    }

    /// Puts `fresh` where `eq` says; returns what was there.
    #[inline(always)]
    pub(super) fn insert(
        &self,
        fresh: Fresh<N>,
        eq: impl Fn(Live<'_, N>) -> bool + Copy,
        backoff: Backoff,
        guard: &Guard<'_>,
    ) -> InsertResult<'_, N, Failure> {
        let (hash, node) = (fresh.live().hash(), fresh.0);
        match self.alter(hash, eq, backoff, |_| Change::Entry(node, ()), guard) {
            Ok((before, _)) => {
                fresh.take();
                Ok(before.map(|node| self.unlinked(node)))
            }
            Err(why) => Err((why, fresh)),
        }
    }

    /// Puts `fresh` where `eq` says if no entry is there; else hands `fresh` back, with that entry or the
    /// reason why that cannot be told.
    pub(super) fn insert_if_absent<'a>(
        &'a self,
        fresh: Fresh<N>,
        eq: impl Fn(Live<'_, N>) -> bool + Copy,
        mode: Way,
        guard: &'a Guard<'_>,
    ) -> Result<(), InsertAbsentError<'a, N, Failure>> {
        let (hash, node) = (fresh.live().hash(), fresh.0);
        let decide = |found: Option<_>| match found {
            None => Change::Entry(node, ()),
            Some(_) => Change::Keep,
        };
        match self.alter(hash, eq, mode.backoff(), decide, guard) {
            Ok((None, _)) => {
                fresh.take();
                Ok(())
            }
            // SAFETY: met in the table under the guard.
            Ok((Some(found), _)) => Err((Ok(unsafe { found.live() }), fresh)),
            Err(why) => Err((Err(why), fresh)),
        }
    }

    /// Puts `fresh` in the place of this very node, if it is still there. Hands it back otherwise. The node was
    /// found by the hash that `fresh` has; it is found again by its address, because keys that were equal once may say
    /// something else now.
    pub(super) fn replace_exactly(
        &self,
        node: Live<'_, N>,
        fresh: Fresh<N>,
        mode: Way,
        guard: &Guard<'_>,
    ) -> InsertResult<'_, N, Option<Failure>> {
        let (hash, old, new) = (fresh.live().hash(), node.shared(), fresh.0);
        let same = move |other: Live<'_, N>| other.shared() == old;
        let decide = |found: Option<_>| match found {
            Some(_) => Change::Entry(new, ()),
            None => Change::Keep,
        };
        match self.alter(hash, same, mode.backoff(), decide, guard) {
            Ok((before, Change::Entry(..))) => {
                fresh.take();
                Ok(before.map(|node| self.unlinked(node)))
            }
            Ok(_) => Err((None, fresh)),
            Err(why) => Err((Some(why), fresh)),
        }
    }

    /// Takes out the node that `eq` knows, if `wanted` says so.
    pub(super) fn remove(
        &self,
        hash: Hash,
        eq: impl Fn(Live<'_, N>) -> bool + Copy,
        mut wanted: impl FnMut(Shared<N>) -> bool,
        mode: Way,
        guard: &Guard<'_>,
    ) -> Result<Option<Unlinked<'_, N>>, Busy> {
        let decide = |found: Option<Shared<N>>| match found {
            Some(node) if wanted(node) => Change::Remove,
            _ => Change::Keep,
        };
        match self.alter(hash, eq, mode.backoff(), decide, guard) {
            Ok((Some(node), Change::Remove)) => Ok(Some(self.unlinked(node))),
            Ok(_) => Ok(None),
            // A removal needs no memory.
            Err(_) => Err(Busy),
        }
    }

    fn unlinked(&self, node: Shared<N>) -> Unlinked<'_, N> {
        // SAFETY: told by the table that this call has taken it out.
        unsafe { self.retired.unlinked(node) }
    }

    /// Takes out this very node, if it is still there.
    pub(super) fn remove_exactly(
        &self,
        node: Live<'_, N>,
        mode: Way,
        guard: &Guard<'_>,
    ) -> Result<Option<Unlinked<'_, N>>, Busy> {
        // Of a node that has become garbage this is no hash, but then it is nowhere.
        let (hash, node) = (node.hash(), node.shared());
        self.remove(hash, move |other| other.shared() == node, |_| true, mode, guard)
    }

    /// Adds the nodes of some bins from `position` on to `buffer`, asks for them, and tells the next position.
    pub(super) fn snapshot(
        &self,
        position: Position,
        buffer: &mut Vec<Raw<Shared<N>, ()>>,
        _guard: &Guard<'_>,
    ) -> Option<Position> {
        let before = buffer.len();
        let next = self.table.snapshot(position, AT_ONCE, buffer);
        Self::prefetch_nodes(&buffer[before..]);
        next
    }

    fn prefetch_nodes(nodes: &[Raw<Shared<N>, ()>]) {
        for raw in nodes {
            // SAFETY: the snapshot that they come from has been taken.
            prefetch::read(unsafe { raw.whole() }.0.0.as_ptr());
        }
    }

    /// All of a walk by many threads.
    #[cfg(feature = "rayon")]
    pub(super) fn piece(&self) -> Piece<'_, Shared<N>, ()> {
        Piece::whole(&self.table)
    }

    /// Fills `buffer` with the nodes of the next bin of a piece and asks for them; false at the end.
    #[cfg(feature = "rayon")]
    pub(super) fn next_bin(
        piece: &mut Piece<'_, Shared<N>, ()>,
        buffer: &mut Vec<Raw<Shared<N>, ()>>,
        _guard: &Guard<'_>,
    ) -> bool {
        let more = piece.next_bin(buffer);
        Self::prefetch_nodes(buffer);
        more
    }

    /// Shows nodes to `each`, from `cursor` on, until at least `budget` were shown; where to go on.
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
                // SAFETY: the bin's snapshot has been taken, and what it met under the guard is not freed
                // as long as that is held.
                each(unsafe { raw.whole().0.live() });
            }
        })
    }

    /// Moves all nodes to `fresh`, which has room for them, or gives up with all where they were.
    fn move_to(&mut self, mut fresh: Self) {
        let mut failed = None;
        let target = &fresh.table;
        self.table.for_each_mut(|node, ()| {
            let rehash = |node: &Shared<N>| Self::hash_of(*node);
            if failed.is_none() {
                let moved = target.alter(
                    Self::hash_of(node),
                    |_| false,
                    |entry| entry.key(),
                    rehash,
                    Backoff::spinning(),
                    |_| Change::Entry(node, ()),
                );
                failed = moved.err();
            }
        });
        if failed.is_none() {
            core::mem::swap(&mut self.table, &mut fresh.table);
        }
        // Its nodes are those of ours, one way or the other.
        fresh.table = Table::new();
    }

    pub(super) fn retired(&self) -> &Retired<N> {
        &self.retired
    }

    /// Asks `keep` of every node, with nothing locked, and takes out those that it says no to; where a bin
    /// changed meanwhile its nodes are asked about again.
    pub(super) fn retain(&self, mut keep: impl FnMut(Live<'_, N>) -> bool) {
        let guard = pin();
        // SAFETY: as in `get`.
        let keep = |node: &Shared<N>, (): &mut ()| keep(unsafe { node.live() });
        // SAFETY: each is shown once, when it has been taken out of the table.
        let gone = |node: &Shared<N>| unsafe { self.retired.add(*node) };
        self.table.retain(keep, gone);
        // A slow destructor under it would keep the garbage of all maps.
        drop(guard);
        self.retired.free_share();
    }

    /// Takes all nodes out of a map that nobody else uses.
    pub(super) fn drain(&mut self) -> List<N> {
        let mut all = List::new();
        // SAFETY: the table is dropped, or made anew, before anybody looks at it again.
        self.table.for_each_mut(|node, ()| unsafe { all.push(node) });
        self.table = Table::new();
        all
    }
}

impl<N: Node> Drop for Nodes<N> {
    fn drop(&mut self) {
        let mut all = self.drain();
        self.retired.move_to(&mut all);
        free_all(&mut all);
    }
}
