//! A table of nodes with its garbage: the part that all maps of owned data share.

use super::errors::Why;
use super::garbage::{Garbage, free_all};
use super::guard::{Guard, stalled, try_pin};
use super::node::{List, Live, Node, Shared};
use crate::bins::bin::Entry;
use crate::bins::tags::Hash;
use crate::bins::types::Busy;
use crate::facade::atomic::{AtomicUsize, Ordering};
use crate::sync::backoff::Backoff;
#[cfg(not(hedgerow_loom))]
use crate::sync::epoch::DOMAIN;
use crate::sync::prefetch;
use crate::table::cursor::Cursor;
#[cfg(feature = "rayon")]
use crate::table::pieces::Piece;
use crate::table::scan::{AT_ONCE, Raw};
use crate::table::types::TryReserveError;
use crate::table::walk::Position;
use crate::table::write::{Altered, Change};
use crate::table::{Failure, Table, Usage};
use alloc::vec::Vec;
use core::mem::ManuallyDrop;
use core::panic::{RefUnwindSafe, UnwindSafe};

/// A node that no table holds yet; freed on drop.
pub(super) struct Fresh<N: Node>(pub(super) Shared<N>);

impl<N: Node> Fresh<N> {
    /// Hands the node over.
    pub(super) fn take(self) -> Shared<N> {
        ManuallyDrop::new(self).0
    }

    #[inline(always)]
    pub(super) fn live(&self) -> Live<'_, N> {
        // SAFETY: alive until it is dropped or taken, both of which need the whole.
        unsafe { self.0.live() }
    }
}

impl<N: Node> Drop for Fresh<N> {
    fn drop(&mut self) {
        // SAFETY: ours alone.
        unsafe { N::free(self.0.0) }
    }
}

/// What was replaced by a node that has been stored, or why it was not, and the node again.
pub(super) type Stored<'a, N, E> = Result<Option<Unlinked<'a, N>>, (E, Fresh<N>)>;

/// A table of nodes, and what was taken out of it.
pub(super) struct Nodes<N: Node> {
    table: Table<Shared<N>, ()>,
    garbage: Garbage<N>,
    /// Pieces of garbage that may wait where somebody asks; `usize::MAX` is no limit.
    limit: AtomicUsize,
}

/// How far an operation goes.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// It waits for other writers, and fails for want of memory alone.
    Waiting,
    /// It does not wait; and it makes no garbage where there is no room for more, for the reason given.
    Trying(Result<(), Why>),
}

impl Way {
    pub(super) fn backoff(self) -> Backoff {
        match self {
            Self::Waiting => Backoff::spinning(),
            Self::Trying(_) => Backoff::never(),
        }
    }

    /// Whether more garbage may be made.
    pub(super) fn room(self) -> Result<(), Why> {
        match self {
            Self::Waiting => Ok(()),
            Self::Trying(room) => room,
        }
    }
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
        Self { table, garbage: Garbage::new(), limit: AtomicUsize::new(usize::MAX) }
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
        self.garbage.move_to(&mut all);
        free_all(&mut all);
        if let Ok(fresh) = Self::with_capacity(self.len()) {
            self.move_to(fresh);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Figures about the table; bytes of the nodes not included.
    pub(super) fn usage(&self) -> Usage {
        let usage = self.table.usage();
        Usage { bytes: usage.bytes + self.garbage.bytes(), ..usage }
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
        way: Way,
        guard: &'a Guard<'_>,
    ) -> Result<Option<Live<'a, N>>, Busy> {
        match way {
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
    ) -> Stored<'_, N, Failure> {
        let (hash, node) = (fresh.live().hash(), fresh.0);
        match self.alter(hash, eq, backoff, |_| Change::Entry(node, ()), guard) {
            Ok((before, _)) => {
                fresh.take();
                Ok(before.map(|node| Unlinked { nodes: self, node }))
            }
            Err(why) => Err((why, fresh)),
        }
    }

    /// Puts `fresh` where `eq` says if `expected` is there, absence (None) included. Hands it back otherwise.
    pub(super) fn exchange(
        &self,
        expected: Option<Shared<N>>,
        fresh: Fresh<N>,
        eq: impl Fn(Live<'_, N>) -> bool + Copy,
        way: Way,
        guard: &Guard<'_>,
    ) -> Stored<'_, N, Option<Failure>> {
        let (hash, node) = (fresh.live().hash(), fresh.0);
        let decide = |found| {
            if found == expected { Change::Entry(node, ()) } else { Change::Keep }
        };
        match self.alter(hash, eq, way.backoff(), decide, guard) {
            Ok((before, Change::Entry(..))) => {
                fresh.take();
                Ok(before.map(|node| Unlinked { nodes: self, node }))
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
        way: Way,
        guard: &Guard<'_>,
    ) -> Result<Option<Unlinked<'_, N>>, Busy> {
        let decide = |found: Option<Shared<N>>| match found {
            Some(node) if wanted(node) => Change::Remove,
            _ => Change::Keep,
        };
        match self.alter(hash, eq, way.backoff(), decide, guard) {
            Ok((Some(node), Change::Remove)) => Ok(Some(Unlinked { nodes: self, node })),
            Ok(_) => Ok(None),
            // A removal needs no memory.
            Err(_) => Err(Busy),
        }
    }

    /// Takes out this very node, if it is still there.
    pub(super) fn remove_exactly(
        &self,
        node: Live<'_, N>,
        way: Way,
        guard: &Guard<'_>,
    ) -> Result<Option<Unlinked<'_, N>>, Busy> {
        // Of a node that has become garbage this is no hash, but then it is nowhere.
        let (hash, node) = (node.hash(), node.shared());
        self.remove(hash, move |other| other.shared() == node, |_| true, way, guard)
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
        Self::ask_for(&buffer[before..]);
        next
    }

    fn ask_for(nodes: &[Raw<Shared<N>, ()>]) {
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
        Self::ask_for(buffer);
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
            Self::ask_for(bin);
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

    /// Pieces of garbage that still wait.
    pub(super) fn pending(&self) -> usize {
        self.garbage.len()
    }

    pub(super) fn limit(&self) -> Option<usize> {
        // relaxed: a wish, which orders nothing.
        Some(self.limit.load(Ordering::Relaxed)).filter(|&limit| limit != usize::MAX)
    }

    pub(super) fn set_limit(&self, limit: Option<usize>) {
        // relaxed: as above.
        self.limit.store(limit.unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    /// The way of an operation that does not wait. Drops garbage that is above the limit; to be called before
    /// the operation's own guard is taken, which would be in the way of that.
    #[inline]
    pub(super) fn trying(&self) -> Way {
        Way::Trying(match self.limit() {
            Some(limit) if self.garbage.len() > limit => self.make_room(limit),
            _ => Ok(()),
        })
    }

    #[cold]
    fn make_room(&self, limit: usize) -> Result<(), Why> {
        if self.garbage.make_room(&DOMAIN, limit) {
            return Ok(());
        }
        // Where no reader is in the way, another thread was.
        match stalled().count() {
            0 => Err(Why::Busy),
            readers => Err(Why::Stalled { readers }),
        }
    }

    /// Frees the garbage that nobody can know any more.
    pub(super) fn collect(&self) {
        self.garbage.collect(&DOMAIN);
    }

    /// Asks `keep` of every node, with nothing locked, and takes out those that it says no to; where a bin
    /// changed meanwhile its nodes are asked about again.
    pub(super) fn retain(&self, mut keep: impl FnMut(Live<'_, N>) -> bool, _guard: &Guard<'_>) {
        let reader = super::guard::reader();
        // SAFETY: as in `get`.
        let keep = |node: &Shared<N>, (): &mut ()| keep(unsafe { node.live() });
        // SAFETY: each is shown once, when it has been taken out of the table.
        let gone = |node: &Shared<N>| unsafe { self.garbage.add(&DOMAIN, reader, *node) };
        self.table.retain(keep, gone);
        self.garbage.free_share(reader);
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
        self.garbage.move_to(&mut all);
        free_all(&mut all);
    }
}

/// A node that was taken out of its table by the one who has this; garbage when it is dropped.
pub(super) struct Unlinked<'a, N: Node> {
    nodes: &'a Nodes<N>,
    node: Shared<N>,
}

// SAFETY: whoever has this may look at the node and drops it, and all other garbage with it.
unsafe impl<N: Node + Send + Sync> Send for Unlinked<'_, N> {}
// SAFETY: shared, it only shows the node.
unsafe impl<N: Node + Sync> Sync for Unlinked<'_, N> {}

impl<N: Node> Unlinked<'_, N> {
    pub(super) fn live(&self) -> Live<'_, N> {
        // SAFETY: nobody frees it but this.
        unsafe { self.node.live() }
    }

    /// The node, if no reader can know it any more.
    pub(super) fn try_take(self) -> Result<Fresh<N>, Self> {
        let past = DOMAIN.seal().is_some_and(|stamp| DOMAIN.is_past(stamp));
        if past { Ok(Fresh(ManuallyDrop::new(self).node)) } else { Err(self) }
    }
}

impl<N: Node> Drop for Unlinked<'_, N> {
    fn drop(&mut self) {
        let reader = super::guard::reader();
        // SAFETY: taken out of the table by the one who made this, and handed to nobody else.
        unsafe { self.nodes.garbage.add_and_free(&DOMAIN, reader, self.node) };
    }
}
