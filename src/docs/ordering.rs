//! What one thread sees of another's writes.
//!
//! # For users
//! A thread that sees an effect of a write sees all that the writer did before it: if `get` returns the
//! value of an `insert`, or `None` after a `remove`, everything that came before that `insert` or
//! `remove` in its own thread happens before what follows the `get`. So a map can publish other
//! data:
//!
//! ```
//! use hedgerow::FlatMap;
//! use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
//!
//! let (ready, cell) = (FlatMap::<&str, ()>::new(), AtomicU32::new(0));
//! std::thread::scope(|scope| {
//!     scope.spawn(|| {
//!         cell.store(7, Relaxed);
//!         ready.insert("cell", ());
//!     });
//!     while !ready.contains_key("cell") {
//!         std::thread::yield_now();
//!     }
//!     assert_eq!(cell.load(Relaxed), 7); // never 0
//! });
//! ```
//!
//! Operations on different keys are not sequentially consistent together: two threads that each
//! insert one key and then look for the other's may both miss. Where that matters, put a
//! `SeqCst` fence between the insert and the look-up. [`len`](crate::FlatMap::len) orders nothing.
//!
//! `apply_batch`, `remove_range`, `pop_first` and `pop_last` of a [`FenceMap`](crate::FenceMap) or
//! [`OrdMap`](crate::OrdMap), if they change something, swap a word in each leaf that they read or write. So all
//! threads agree about the order of these operations, without a fence: if `pop_first` removes an entry because there
//! was no lesser one, a thread that then inserts a lesser one does not find the removed one any more. Operations that
//! read several leaves and change nothing (`range`, `snapshot_many`, `first_key_value` if leaves are empty) are
//! consistent snapshots, and any two of them agree about the order of all writes. A thread that inserts one key and
//! then looks up another may disagree with them about that order, unless it puts the `SeqCst` fence in between.
//!
//! Of a [`LeftRightMap`](crate::LeftRightMap) the same holds by whole states: all that the writer did before it
//! published happens before what follows a read that meets this state, or a later one, whatever key it asks for
//! and whether it finds it; `len` and `generation` included. Writes that were not published order nothing.
//!
//! And the other way round: what a reader did before it let go of its guards of earlier states happens before what
//! follows the [`wait_for_readers`](crate::left_right::WriteHandle::wait_for_readers) that waited for it. So a writer
//! may take an entry out, publish, wait for readers, and then take down what the entry led to.
//!
//! ```
//! use hedgerow::LeftRightMap;
//! use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
//!
//! let (cell, (mut w, r)) = (AtomicU32::new(7), LeftRightMap::new());
//! w.insert("cell", &cell);
//! w.publish();
//! std::thread::scope(|scope| {
//!     scope.spawn(move || {
//!         let now = r.enter();
//!         // Found: the writer waits, and the cell still holds 7. Not found: let alone.
//!         assert!(now.get("cell").is_none_or(|cell| cell.load(Relaxed) == 7));
//!     });
//!     w.remove("cell");
//!     w.publish();
//!     w.wait_for_readers(); // without it, a reader that entered before may still read the cell
//!     cell.store(0, Relaxed);
//! });
//! ```
//!
//! # For readers of the code
//! Each module that synchronizes opens with a `# Synchronization` section and gives its pairs
//! labels; the comment at each ordering cites one. All of them:
//!
//! - `SL-1` ↔ `SL-2` (`sync/seqlock.rs`): a writer's release fence after locking; a reader's acquire
//!   fence before its last look at the state.
//! - `SL-3` ↔ `SL-4`, and `SL-5` (`sync/seqlock.rs`): the unlocking release store; a reader's first,
//!   acquire load; the next writer's swap from the state that it read so, which needs no ordering.
//! - `SL-6` (`sync/seqlock.rs`): a lock that is given back with nothing written, by a release store.
//! - `SL-7` ↔ `SL-8` (`sync/seqlock.rs`): a state that is swapped for itself by the holder of another lock; the acquire
//!   half of the fence behind the next lock, whose owner sees that other lock taken.
//! - `PB-1` ↔ `PB-2` (`sync/published.rs`): publication of a block that is made late: the striped counter, and a
//!   table's extents.
//! - `FT-1` ↔ `FT-2` (`bins/bin.rs`): load and store of a bin's tag word.
//! - `DI-1` ↔ `DI-2` (`table/directory.rs`): publication of a directory, and of a segment in it.
//! - `SP-1`, `SP-2`, `SP-3` (`table/split.rs`): the order of a split's stores: children's entries,
//!   parent's tags, children's tags.
//! - `FX-1`, `FX-2`, `FX-3`, `FX-4` (`flat/fixed/mod.rs`): why strays of a table of fixed size are found; their loads
//!   and stores are those of `FT` and `SL`.
//! - `OV-1` ↔ `OV-2` (`table/overflow.rs`): publication of overflow lines.
//! - `OV-3`, `OV-4` (`table/overflow.rs`): recycling of a line: the pool's lock, and a release fence
//!   before the new owner's first store.
//! - `LE-1` (`table/lent.rs`): a release fence of the thread that takes memory that was lent to a table, which pairs
//!   with `SL-2`: readers of what the memory held before find their bin changed.
//! - `CM-1` (`compressed/segment.rs`): a release fence of each writer that reuses a segment, which pairs with `SL-2`:
//!   the version of a bin speaks for the records that its entries lead to.
//! - `CM-2` ↔ `CM-3` (`compressed/segment.rs`): a record's bytes counted down once it is unlinked; the count found to
//!   be nothing before its segment is given back.
//! - `CP-1` ↔ `CP-2` (`compressed/pool.rs`): publication of a segment, and of the block of addresses that it is in.
//! - `CD-1` ↔ `CD-2` (`compressed/models.rs`): publication of what a codec has learned.
//! - `AB-1` ↔ `AB-2` (`sync/barrier.rs`): a reader's barrier between its announcement and its loads; the
//!   barrier of the writer that waits for readers, between its stores and its look at the announcements.
//! - `AB-3`, `AB-4` (`sync/barrier.rs`): readers that begin to execute fences because the system refuses its barrier,
//!   and say so; a writer that knows it of all of them, and tells the others.
//! - `RG-1` ↔ `RG-2` (`sync/registry.rs`): publication of a block of readers' slots.
//! - `SE-1` ↔ `SE-2` (`sync/seat.rs`): a reader's slot, or the writer's place of a left-right map, given up and
//!   taken.
//! - `EP-1`, `EP-3` ↔ `EP-2`, `EP-4` ↔ `EP-5` (`sync/epoch.rs`): pins and unpins against the scan of all
//!   slots; the epoch as it is raised, and as a pin reads it.
//! - `GB-1` ↔ `GB-2` (`reclaim/garbage.rs`): publication of the bags of garbage.
//! - `LR-1` ↔ `LR-2` (`sync/sides.rs`): a reader's word that it looks, before it asks which side is shown; the
//!   writer's swap of the sides, before it asks who looks. One of the two sees the other.
//! - `LR-3`, `LR-4`, `LR-5` (`sync/sides.rs`): a side, whole, as it is shown; the end of a look, before the side is
//!   changed; a reader that takes the need for fences away, so that the writer knows.
//! - `FN-1` ↔ `FN-2`, `RT-1` ↔ `RT-2`, `TR-1` ↔ `TR-2` (`fence.rs`, `root.rs` and `descent.rs` in
//!   `fence/tree`): publication of a leaf where it is listed, of a fence, and of the first and last leaf. All else
//!   about them is hints.
//! - `FN-3`, `RT-3` (`fence/tree/fence.rs`, `fence/tree/root.rs`): the locks of the writers that change these hints.
//! - `LF-1` ↔ `LF-2` (`fence/tree/split.rs`): the giver of entries is locked before their receiver is unlocked.
//! - `RA-1` (`fence/tree/read_set.rs`): the second looks at the leaves of a range, and the fence before them.
//! - `AR-1` (`fence/tree/arena.rs`): leaves given back, and taken again.
//! - `CT-1` ↔ `CT-2` (`sync/counted.rs`): holds given up; the last of them, before the value is dropped.
//!
//! `tests/mutations.toml` weakens each of them, and a named test or model fails, but for these:
//!
//! - `SL-5`, `LF-2` and `FX-2` name a step of an argument that rests on other labels. They have no ordering to weaken.
//! - `RT-3` is a lock that owns the data that it guards, so no change that compiles goes around it.
//! - `CP-1` ↔ `CP-2` publish zeroed words. In the model checker words are atomics that have a value from the beginning,
//!   so it cannot show one that was not zeroed yet. The models of `PB`, `CD` and `RG` check the same shape.
//!
//! Payload words are read and written by relaxed atomic accesses, never volatile ones: a reader
//! that overlaps a writer reads stale or mixed words, which is no data race, and drops them unseen
//! when the state has moved on. No key is compared and no value is copied out before that check.
