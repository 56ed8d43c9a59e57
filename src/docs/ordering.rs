//! The order in which threads see each other's writes.
//!
//! # For users
//! A thread that sees an effect of a write sees all that the writer did before it. If `get` returns the value of an
//! `insert`, or `None` after a `remove`, everything that came before that `insert` or `remove` in its thread happens
//! before everything after the `get`. So a map can publish other data:
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
//! Operations on different keys are not sequentially consistent together: two threads that each insert one key and then
//! look for the other's may both miss. If that matters, put a `SeqCst` fence between the insert and the lookup.
//! [`len`](crate::FlatMap::len) orders nothing.
//!
//! `apply_batch`, `remove_range`, `pop_first` and `pop_last` of a [`FenceMap`](crate::FenceMap) or
//! [`OrdMap`](crate::OrdMap), if they change something, swap a word in each leaf that they read or write. So all
//! threads agree about the order of these operations, without a fence: if `pop_first` removes an entry because there
//! was no lesser one, a thread that then inserts a lesser one does not find the removed one any more. Operations that
//! read several leaves and change nothing (`range`, `snapshot_many`, `first_key_value` if leaves are empty) are
//! consistent snapshots, and any two of them agree about the order of all writes. A thread that inserts one key and
//! then looks up another may disagree with them about that order, unless it puts the `SeqCst` fence in between.
//!
//! For a [`LeftRightMap`](crate::LeftRightMap) the same holds for whole states: all that the writer did before it
//! published happens before everything after a read that sees this state or a later one, for any key, found or not;
//! `len` and `generation` included. Writes that were not published order nothing.
//!
//! The reverse holds, too: everything that a reader did before it dropped its guards of earlier states happens before
//! everything after the [`wait_for_readers`](crate::left_right::WriteHandle::wait_for_readers) that waited for it. So a
//! writer may remove an entry, publish, wait for readers, and then destroy what the entry led to.
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
//!         // Found: the writer waits, and the cell still holds 7. Not found: do not touch the cell.
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
//! Each module that synchronizes opens with a `# Synchronization` section and gives its pairs labels; the comment at
//! each ordering cites one. All of them:
//!
//! - `SL-1` ↔ `SL-2` (`sync/seqlock.rs`): a writer's release fence after locking; a reader's acquire fence before its
//!   last load of the state.
//! - `SL-3` ↔ `SL-4`, and `SL-5` (`sync/seqlock.rs`): the unlocking release store; a reader's first, acquire load; the
//!   next writer's swap from the state that it has read, which needs no ordering.
//! - `SL-6` (`sync/seqlock.rs`): a lock that is released without a write, by a release store.
//! - `SL-7` ↔ `SL-8` (`sync/seqlock.rs`): the holder of another lock swaps a state for itself; the acquire half of the
//!   fence after the next lock, whose owner then sees that other lock taken.
//! - `PB-1` ↔ `PB-2` (`sync/published.rs`): publication of a block that is allocated late: the striped counter, the
//!   lists of free overflow lines, the bags of removed entries, and a table's extents.
//! - `FT-1` ↔ `FT-2` (`bins/bin.rs`): load and store of a bin's tag word.
//! - `DI-1` ↔ `DI-2` (`table/directory.rs`): publication of a directory, and of a segment in it.
//! - `SP-1`, `SP-2`, `SP-3` (`table/split.rs`): the order of a split's stores: children's entries, parent's tags,
//!   children's tags.
//! - `FX-1`, `FX-2`, `FX-3`, `FX-4` (`flat/fixed/mod.rs`): why a lookup finds the strays of a table of fixed size.
//!   Their loads and stores are those of `FT` and `SL`.
//! - `OV-1` ↔ `OV-2` (`table/overflow.rs`): publication of overflow lines.
//! - `OV-3`, `OV-4` (`table/overflow.rs`): reuse of a line: the pool's lock, and a release fence before the new owner's
//!   first store.
//! - `LE-1` (`table/arena.rs`): a release fence of the thread that takes borrowed memory for a table, which pairs with
//!   `SL-2`: readers of the previous contents find their bin changed.
//! - `CM-1` (`compressed/segment.rs`): a release fence of each writer that reuses a segment, which pairs with `SL-2`:
//!   the version of a bin covers the records that its entries lead to.
//! - `CM-2` ↔ `CM-3` (`compressed/segment.rs`): the count of live bytes, lowered after a record was unlinked; the load
//!   that finds it zero before its segment is freed.
//! - `CB-1` ↔ `CB-2` (`compressed/memory.rs`): the end of a writer's claim for an entry, after the entry was counted;
//!   the next claim.
//! - `CP-1` ↔ `CP-2` (`compressed/pool.rs`): publication of a segment, and of the block of addresses that it is in.
//! - `CD-1` ↔ `CD-2` (`compressed/models.rs`): publication of a codec's model.
//! - `AB-1` ↔ `AB-2` (`sync/barrier.rs`): a reader's barrier between its announcement and its loads; the barrier of the
//!   writer that waits for readers, between its stores and its loads of the announcements.
//! - `AB-3`, `AB-4` (`sync/barrier.rs`): readers begin to execute fences because the system refuses its barrier, and
//!   say so; a writer that has seen it from all of them tells the other writers.
//! - `RG-1` ↔ `RG-2` (`sync/registry.rs`): publication of a block of readers' slots.
//! - `TN-1` ↔ `TN-2` (`sync/thread_number.rs`): a thread's number, with the counts that only its thread changes, given
//!   back and claimed.
//! - `SE-1` ↔ `SE-2` (`sync/claim.rs`): a reader's slot, or the writer's place of a left-right map, released and
//!   claimed.
//! - `EP-1`, `EP-3` ↔ `EP-2`, `EP-4` ↔ `EP-5`, `EP-6` ↔ `EP-7` (`sync/epoch.rs`): pins and unpins against the scan of
//!   all slots; the epoch as a writer raises it after a barrier, and as a pin or a scan reads it; the stamp of unlinked
//!   entries, and the beginning of a barrier that comes after it.
//! - `LR-1` ↔ `LR-2` (`sync/sides.rs`): a reader's announcement, before it loads which side is the read side; the
//!   writer's swap of the sides, before it loads the announcements. One of the two sees the other.
//! - `LR-3`, `LR-4`, `LR-5` (`sync/sides.rs`): a complete side, as it is published; the end of a read, before the side
//!   is changed; a reader that ends its need for fences, so that the writer sees it.
//! - `FN-1` ↔ `FN-2`, `RT-1` ↔ `RT-2`, `TR-1` ↔ `TR-2` (`fence/tree/fence.rs`, `fence/tree/root.rs`,
//!   `fence/tree/descent.rs`): publication of a leaf that is listed, of a fence, and of the first and last leaf.
//!   Everything else about them is a hint.
//! - `FN-3`, `RT-3` (`fence/tree/fence.rs`, `fence/tree/root.rs`): the locks of the writers that change these hints.
//! - `LF-1` ↔ `LF-2` (`fence/tree/split.rs`): the source of entries is locked before their destination is unlocked.
//! - `RA-1` (`fence/tree/read_set.rs`): the second loads of the versions of a range's leaves, and the fence before
//!   them.
//! - `AR-1` (`fence/tree/arena.rs`): leaves that were freed, and are used again.
//! - `CT-1` ↔ `CT-2` (`sync/shared.rs`): references that are dropped; the last of them, before the value is dropped.
//!
//! `tests/mutations.toml` weakens each of them, and a named test or model fails. These are the exceptions, which a test
//! compares with that table:
//!
//! - `AB-4`, `CM-2`, `OV-1`, `OV-2`, `SL-6`, `SP-3`: each row weakens an ordering that another one covers, or that the
//!   model checker does not model. The row's `why` is the argument.
//! - `SL-5`, `LF-2`, `FX-2`: a step of an argument that relies on other labels. There is no ordering to weaken.
//! - `RT-3`: a lock that owns the data that it guards, so no change that compiles bypasses it.
//! - `CP-1`, `CP-2`: publication of zeroed words. In the model checker words are atomics that have a value from the
//!   beginning, so it cannot show a word that was not zeroed yet. The models of `PB`, `CD` and `RG` check the same
//!   shape.
//!
//! Payload words are read and written by relaxed atomic accesses, never volatile ones. A reader that overlaps a writer
//! reads stale or mixed words, which is no data race, and drops them unseen when the state has moved on. No key is
//! compared and no value is copied out before that check.
