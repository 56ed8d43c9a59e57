//! Memory ordering: what happens before what when threads communicate through a map.
//!
//! # Guarantees
//! **A read that observes a write synchronizes with it.** If `get` returns the value of an `insert`, or `None` because
//! of a `remove`, everything before that `insert` or `remove` in its thread happens before everything after the `get`.
//! You can therefore publish other data through a map:
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
//! **Operations on different keys are not sequentially consistent.** Two threads that each insert one key and then look
//! up the other's may both miss. If that matters, execute a `SeqCst` fence between the insert and the lookup.
//! [`len`](crate::FlatMap::len) orders nothing.
//!
//! ## Ordered maps
//! All threads agree on the order of `apply_batch`, `remove_range`, `pop_first` and `pop_last` of a
//! [`FenceMap`](crate::FenceMap) or [`OrdMap`](crate::OrdMap), if they change something, and need no fence.
//!
//! Operations that read several leaves and change nothing (`range`, `snapshot_many`, `first_key_value` if leaves are
//! empty) return consistent snapshots, and any two of them agree on the order of all writes. A thread that inserts one
//! key and then looks up another may disagree with them, unless it executes a `SeqCst` fence in between.
//!
//! ## Left-right maps
//! A read of a [`LeftRightMap`](crate::LeftRightMap), found or not, for any key, synchronizes with the publish of the
//! state that it sees and with all earlier publishes. So do `len` and `generation`. Unpublished writes order nothing.
//!
//! Conversely, everything that a reader did before it dropped its guards of earlier states happens before everything
//! after the [`wait_for_readers`](crate::left_right::WriteHandle::wait_for_readers) that waited for it. A writer can
//! thus remove an entry, publish, wait for readers, and then destroy what the entry referred to:
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
//! # Labels of orderings
//! This section is for readers of the code. The `# Synchronization` section of a module defines labels for its pairs of
//! orderings, and the comment at each atomic access cites one:
//!
//! - `SL-1` ↔ `SL-2` (`sync/seqlock.rs`): a writer's release fence after locking; a reader's acquire fence before its
//!   last load of the state.
//! - `SL-3` ↔ `SL-4`, and `SL-5` (`sync/seqlock.rs`): the unlocking release store; a reader's first, acquire load; the
//!   next writer's compare-and-swap, which needs no ordering.
//! - `SL-6` (`sync/seqlock.rs`): the release store that unlocks without a write.
//! - `SL-7` ↔ `SL-8` (`sync/seqlock.rs`): a state swapped by the holder of another lock; the acquire half of the fence
//!   after the next lock, whose owner then sees the other lock taken.
//! - `PB-1` ↔ `PB-2` (`sync/published.rs`): publication of lazily allocated blocks: striped counters, free lists of
//!   overflow lines, bags of removed entries, extents of a table.
//! - `FT-1` ↔ `FT-2` (`bins/bin.rs`): load and store of a bin's tag word.
//! - `DI-1` ↔ `DI-2` (`table/directory.rs`): publication of a directory, and of a segment in it.
//! - `SP-1`, `SP-2`, `SP-3` (`table/split.rs`): the stores of a split, in order: the children's entries, the parent's
//!   tags, the children's tags.
//! - `FX-1`, `FX-2`, `FX-3`, `FX-4` (`flat/fixed/mod.rs`): why a lookup finds displaced entries in a table of fixed
//!   size. Their loads and stores are those of `FT` and `SL`.
//! - `OV-1` ↔ `OV-2` (`table/overflow.rs`): publication of overflow lines.
//! - `OV-3`, `OV-4` (`table/overflow.rs`): reuse of a line: the pool's lock, and a release fence before the new owner's
//!   first store.
//! - `LE-1` (`table/arena.rs`): a release fence when a table reuses borrowed memory; pairs with `SL-2`, so readers of
//!   the old contents find their bin changed.
//! - `CM-1` (`compressed/segment.rs`): a release fence when a writer reuses a segment; pairs with `SL-2`, so a bin's
//!   version covers the records that its entries point to.
//! - `CM-2` ↔ `CM-3` (`compressed/segment.rs`): the count of live bytes, decremented after a record was unlinked; the
//!   load that finds it zero before its segment is freed.
//! - `CB-1` ↔ `CB-2` (`compressed/memory.rs`): the end of a writer's claim for an entry, after the entry was counted;
//!   the next claim.
//! - `CP-1` ↔ `CP-2` (`compressed/pool.rs`): publication of a segment, and of the block of addresses that contains it.
//! - `CD-1` ↔ `CD-2` (`compressed/models.rs`): publication of a codec's model.
//! - `AB-1` ↔ `AB-2` (`sync/barrier.rs`): a reader's barrier between its announcement and its loads; the barrier of a
//!   writer that waits for readers, between its stores and its loads of the announcements.
//! - `AB-3`, `AB-4` (`sync/barrier.rs`): readers start to execute fences because the system refuses its barrier, and
//!   say so; a writer that has seen it from all of them tells the other writers.
//! - `RG-1` ↔ `RG-2` (`sync/registry.rs`): publication of a block of readers' slots.
//! - `TN-1` ↔ `TN-2` (`sync/thread_number.rs`): a thread's number, with the counts that only its thread changes,
//!   released and claimed.
//! - `SE-1` ↔ `SE-2` (`sync/claim.rs`): a reader's slot, or the role of the writer of a left-right map, released and
//!   claimed.
//! - `EP-1`, `EP-3` ↔ `EP-2`, `EP-4` ↔ `EP-5`, `EP-6` ↔ `EP-7` (`sync/epoch.rs`): pins and unpins against the scan of
//!   all slots; the epoch as advanced by a writer after a barrier, and as read by a pin or a scan; the stamp of
//!   unlinked entries, and the start of a barrier that follows it.
//! - `LR-1` ↔ `LR-2` (`sync/sides.rs`): a reader's announcement, before it loads which side is the read side; the
//!   writer's swap of the sides, before it loads the announcements. One of the two sees the other.
//! - `LR-3`, `LR-4`, `LR-5` (`sync/sides.rs`): a complete side when it is published; the end of a read, before the side
//!   is changed; a reader that stops executing fences, visibly to the writer.
//! - `FN-1` ↔ `FN-2`, `RT-1` ↔ `RT-2`, `TR-1` ↔ `TR-2` (`fence/tree/fence.rs`, `fence/tree/root.rs`,
//!   `fence/tree/descent.rs`): publication of a listed leaf, of a fence, and of the first and last leaf. Everything
//!   else about them is a hint.
//! - `FN-3`, `RT-3` (`fence/tree/fence.rs`, `fence/tree/root.rs`): the locks of the writers that change these hints.
//! - `LF-1` ↔ `LF-2` (`fence/tree/split.rs`): the source of moved entries is locked before their destination is
//!   unlocked.
//! - `RA-1` (`fence/tree/read_set.rs`): the second loads of the versions of a range's leaves, and the fence before
//!   them.
//! - `AR-1` (`fence/tree/arena.rs`): reuse of freed leaves.
//! - `SV-1` ↔ `SV-2` (`persistent/current.rs`): publication of a version of a `SnapshotMap`.
//! - `SV-3` ↔ `SV-4` (`persistent/log.rs`): a change that is appended to the log of a version, and the seal of the log.
//! - `CT-1` ↔ `CT-2`, `CT-3` (`sync/references.rs`): a dropped reference; the last one, before it frees the block; the
//!   only one, before it changes the block.
//!
//! A row of a `mutations.toml` weakens each of them, and a named test or model fails. The exceptions, which a test
//! compares with the rows, are:
//!
//! - `AB-4`, `CM-2`, `OV-1`, `OV-2`, `SL-6`, `SP-3`: each row weakens an ordering that another one covers, or that the
//!   model checker does not model. The row's `why` argues this.
//! - `SL-5`, `LF-2`, `FX-2`: steps of an argument that rely on other labels; there is no ordering to weaken.
//! - `RT-3`: a lock that owns the data it guards, so no change that compiles bypasses it.
//! - `CP-1`, `CP-2`: publication of zeroed words, which the model checker cannot show before they are zeroed. The
//!   models of `PB`, `CD` and `RG` check the same shape.
//!
//! Payload words are accessed by relaxed atomics. A reader that overlaps a writer may load stale or mixed words,
//! without a data race, and discards them if the state has changed. No key is compared and no value is returned before
//! that check.
