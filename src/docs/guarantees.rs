//! What the maps guarantee: linearizability, waiting, reclamation, panics, memory.
//!
//! The first sections describe [`FlatMap`](crate::FlatMap), the simplest map, and apply to the others except where
//! their own sections differ. [Limits](super::limits) lists what is not guaranteed, and [ordering](super::ordering)
//! what threads see of each other's writes.
//!
//! # Single keys
//! **Every operation on one key is linearizable**, even while the map grows: it takes effect for all threads at one
//! point between its call and its return. A value of any size is never torn (within [a
//! limit](super::limits#version-wraparound) of 2^35 writes during one read). A key is never missing while its value is
//! being replaced, and `remove` returns the value that it removed.
//!
//! **Read-modify-write is atomic.** [`compute`](crate::FlatMap::compute) and [`update`](crate::FlatMap::update) store
//! the new value only if the key's bin has not changed since the closure saw the old one; otherwise they call the
//! closure again.
//!
//! # The whole map
//! - [`iter`](crate::FlatMap::iter), [`retain`](crate::FlatMap::retain) and [`clear`](crate::FlatMap::clear) visit bin
//!   after bin, each as of a single point in time. They do not see a snapshot of the map.
//! - `iter` returns a key that is present throughout exactly once, and a key that is added or removed concurrently at
//!   most once, even if bins are split.
//! - [`len`](crate::FlatMap::len) is exact if there are no concurrent writes.
//!
//! # Waiting
//! Readers never delay another thread, because they write nothing shared. Threads wait for *writers*, which lock a bin
//! for a handful of stores (a split, for as many as the bin has entries). No user code and no allocator runs under that
//! lock. Threads wait by spinning.
//!
//! - A lookup that finds its key waits while the bin is being written, and reads again if the bin changed in the
//!   meantime.
//! - A lookup of an absent key waits only while its bin is being split, or if another key of the bin has the same tag
//!   (a chance of one in 127 each) or overflowed with the same filter number (one in eight, in bins with overflow). On
//!   32-bit targets these chances are higher.
//! - `insert`, `update`, `remove` and similar operations wait for another writer of the bin, and look the key up again
//!   if the bin has changed.
//! - [`try_get`](crate::FlatMap::try_get), `try_insert`, `try_compute`, `try_remove` and similar operations never wait.
//!   Instead, they return `Busy` and change nothing.
//! - `len` and `is_empty` never wait.
//!
//! # Your code
//! `Hash`, `Eq`, `Borrow` and closures run while nothing is locked. (Exceptions: [shared writers](#left-right-maps) of
//! a left-right map, and the code of [compressed maps](#compressed-maps).) They may use the same map, even the same
//! key, and they may panic:
//!
//! ```
//! use hedgerow::FlatMap;
//! use std::panic::catch_unwind;
//!
//! let map: FlatMap<u32, u32> = [(1, 1)].into();
//! // Calls back: the inner update takes effect, and the outer closure runs again.
//! let mut first = true;
//! map.update(&1, |n| {
//!     if std::mem::take(&mut first) {
//!         map.update(&1, |n| n + 1);
//!     }
//!     n + 10
//! });
//! assert_eq!(map.get(&1), Some(12));
//! // Panics: nothing has changed, and nothing is locked.
//! let panicked = catch_unwind(|| map.update(&1, |_| panic!("no")));
//! assert!(panicked.is_err());
//! assert_eq!(map.insert(1, 0), Some(12));
//! ```
//!
//! - A closure may be called more than once; only its last result counts.
//! - Growth hashes keys again. If `Hash` panics in an insert's growth, the entry is in the map.
//! - If `Eq`, `Hash`, `Ord`, `Clone` or `Borrow` contradict themselves, lookups may return wrong results. Nothing worse
//!   happens: there is no undefined behaviour, every operation ends, and every key and value is dropped once.
//!
//! # Memory
//! - A map made by `new` or `with_hasher` allocates nothing until the first insert, except a
//!   [`LeftRightMap`](crate::LeftRightMap).
//! - Lookups allocate nothing, and neither do `remove`, `clear` and updates of existing entries in a
//!   [`FlatMap`](crate::FlatMap). Maps of owned data allocate a node for each new value, and lists of removed nodes.
//! - An insert allocates at most its bin's overflow and a bounded part of growth. If growth finds no memory, it is
//!   deferred, and the insert succeeds.
//! - If there is no memory for the entry itself, `insert` and `compute` abort as std's collections do. Use
//!   [`try_insert`](crate::FlatMap::try_insert), `try_insert_if_absent`, `try_insert_many`, `try_compute`,
//!   `try_compare_exchange` or `try_get_or_insert_with`, which hand key and value back. The maps of owned data have
//!   such variants of `insert`, `insert_if_absent`, `update`, `compute` and `get_or_insert_with`, and
//!   [`try_pin`](crate::owned::try_pin) for guards.
//! - The memory of a table is reused, but returned only by [`shrink_to_fit`](crate::FlatMap::shrink_to_fit) (`&mut
//!   self`) and on drop.
//!
//! # Send and Sync
//! `FlatMap<K, V, S>` is `Sync` if `K` and `V` are `Send` and `S` is `Sync`, because threads exchange copies and never
//! borrow an entry in place. The handles of a `LeftRightMap` are `Send` if `K`, `V` and `S` are `Send` and `Sync`. A
//! `WriteHandle` and a `ReadHandleFactory` are also `Sync`; a `ReadHandle` is not. A `SnapshotMap` and the persistent
//! collections are `Send` and `Sync` if `K` and `V` are both, because any thread may drop what all share.
//!
//! # Tables of fixed size
//! A [`FlatTable`](crate::FlatTable) differs in two ways. `retain`, `clear` and `iter` visit entry after entry, and may
//! return a key twice if it is removed and inserted again concurrently. `try_insert` and `try_remove` may have to lock
//! two bins, and return `Busy` if either is being written.
//!
//! # Maps of owned data
//! [`HashMap`](crate::HashMap) and [`BytesMap`](crate::BytesMap) use the table of a `FlatMap`, and
//! [`OrdMap`](crate::OrdMap) the leaves of a [`FenceMap`](crate::FenceMap). Lookups return a
//! [`Ref`](crate::owned::Ref), which holds a [guard](crate::owned::Guard), or in a [pinned](crate::HashMap::pin) map a
//! reference that lives as long as the map's guard.
//!
//! - **Guards block nobody.** Any thread, including its own, may write to the map while a guard is held. The map drops
//!   no entry that the holder may have seen, so removed entries [accumulate](super::limits#guards-delay-reclamation). A
//!   guard protects the entries of all maps of its [collector](crate::owned::Collector), or of all maps without one;
//!   [`with_guard`](crate::HashMap::with_guard) panics if the guard is of another collector.
//! - **Every key and value is dropped exactly once:** by a later write to the same map (at most two per operation, four
//!   in an [`OrdMap`](crate::OrdMap)), by [`reclaim`](crate::HashMap::reclaim), by the caller
//!   ([`try_into_owned`](crate::owned::Removed::try_into_owned)), or with the map. Any thread may be the one that drops
//!   it.
//! - **Destructors** run while nothing is locked and without a guard of the operation that runs them. They may panic,
//!   use the map, be slow, or never return. If one panics, its operation is complete and no other entry is lost; a slow
//!   one delays its own thread and at most fifteen other entries. (If two destructors panic while a map itself is
//!   dropped, the process aborts, as with std's collections.)
//! - **Destructors do not nest.** If a destructor writes to its own map, the entries that it removes are dropped by a
//!   later operation, and `reclaim` drops nothing, so the stack stays bounded. Across different maps, destructors nest
//!   at most eight deep. (Without `std`, nesting may grow with the logarithm of the number of removed entries.)
//! - **Cost:** taking and dropping a guard is wait-free: a load, two stores and a fence. With feature `std-ext` on
//!   Linux, the fence is a compiler fence, and threads that reclaim call `membarrier`. Guards of a
//!   [`Collector`](crate::owned::Collector) are lock-free: each claims a slot, and allocates sixteen more if all are
//!   taken.
//! - `insert` stores the new key with the new value. [`compute`](crate::HashMap::compute) and similar operations
//!   compare the entry, not the bin, so changes of other keys do not repeat their closures.
//!
//! # Left-right maps
//! A [`LeftRightMap`](crate::LeftRightMap) has no bins to wait for.
//!
//! - **Publishing is atomic.** All readers see all changes since the last publish at the same point in time. A read,
//!   and a [`Snapshot`](crate::left_right::Snapshot) with everything read from it, sees one published state. A read
//!   that begins after a publish has returned sees it, and the reads of one handle never go back. (A snapshot taken
//!   while another one of the same handle is held may be newer.) The writer sees its own changes at once.
//! - **Readers never wait**, nor do cloning and dropping handles. `publish`, `wait_for_readers`, `retain`, `clear` and
//!   `shrink_to_fit` wait, without bound, for readers that have been reading since before the last publish. The first
//!   change after a publish may wait for a microsecond, or for a barrier of the operating system. Nothing else waits.
//!   Waiting is spinning and, with feature `std`, yielding.
//! - **Every key and value is dropped exactly once:** at once if no reader can have seen it, and otherwise by the first
//!   write after the publish that removed it, if no reader is left, or by
//!   [`wait_for_readers`](crate::left_right::WriteHandle::wait_for_readers). The last handle drops the rest.
//! - **Your code** runs before anything is changed, and each closure runs once. It may panic, and may read the same map
//!   through a read handle. Synchronizing the two tables runs none of it; only the growth of an
//!   [`inline`](crate::LeftRightMap::inline) table hashes keys again.
//! - **Shared writers:** a [`SharedWriteHandle`](crate::left_right::SharedWriteHandle) runs `Hash`, `Eq`, `Clone` and
//!   closures under its lock, and panics if they use the handle. `Drop` runs after the lock is released.
//! - **Contradicting keys:** the map drops nothing that readers can see. In an [`inline`](crate::LeftRightMap::inline)
//!   map and a [`LeftRightTable`](crate::LeftRightTable), which store no hashes, a key whose hash changes may also hide
//!   other keys until the table grows.
//! - **Lost writers:** if the writer's handle is dropped or its thread panics, readers continue, and
//!   [`ReadHandle::writer`](crate::left_right::ReadHandle::writer) returns a new writer with all unpublished changes.
//! - **Memory:** reads allocate nothing. The writer allocates boxes, larger tables, and a list of changes; without
//!   memory for the list, the next publish copies the whole table. `try_insert`, `try_remove`, `try_reserve`,
//!   `try_publish` and `try_clone` report a lack of memory and lose nothing.
//!
//! # Ordered maps
//! In a [`FenceMap`](crate::FenceMap) or an [`OrdMap`](crate::OrdMap), leaves take the place of bins.
//!
//! - **Linearizable operations:** those on one key, those that return a neighbour or an end
//!   ([`floor`](crate::FenceMap::floor), [`first_key_value`](crate::FenceMap::first_key_value),
//!   [`pop_last`](crate::FenceMap::pop_last)), those on a range ([`range`](crate::FenceMap::range),
//!   [`remove_range`](crate::FenceMap::remove_range)), and batches. The [order](super::ordering#ordered-maps) between
//!   different keys may need a fence.
//! - **Batches are atomic.** [`apply_batch`](crate::FenceMap::apply_batch) is linearizable with single operations,
//!   ranges and other batches, and changes all or nothing, even if memory runs out or your `Ord` panics. (A panic may
//!   also come after the changes, when sparse leaves are merged.) If a leaf changes before it is locked, the batch
//!   starts over, without a limit; [`try_apply_batch`](crate::FenceMap::try_apply_batch) returns `Busy` instead.
//! - **Ranges:** a range that keeps finding changes tries eight times and then locks its leaves while it copies them.
//!   [`try_range_into`](crate::FenceMap::try_range_into) returns an error instead.
//! - **Iteration** is weakly consistent. `iter`, `iter_range`, `retain`, `clear` and cursors visit leaf after leaf,
//!   each as of a single point in time (in a `FenceMap`, `iter` and `iter_range` eight entries at a time), and return a
//!   key that is present throughout exactly once.
//! - **Lookups** of present and absent keys wait while their leaf is being written, for dozens of stores or, in a
//!   split, twice a leaf's entries. Two threads that keep writing to a leaf may starve a third that reads it.
//!   [`try_get`](crate::FenceMap::try_get) returns `Busy` instead.
//! - **Balancing** by [`rebalance_step`](crate::FenceMap::rebalance_step) locks no leaf, moves no entry and is
//!   invisible to lookups. Rankings, like `Ord`, run while nothing is locked.
//! - **Memory:** inserts allocate leaves of 128 entries and the nodes above them; `range` allocates its result;
//!   `remove`, `pop_first` and changes of existing entries allocate nothing. Empty leaves are reused, and freed with
//!   the map.
//! - **`std_ext::FenceWorkers`** executes every accepted request exactly once, and hands back a request that it does
//!   not accept. If a closure panics, only its own ticket fails; so it is with a batch whose `Ord`, `Clone` or `Drop`
//!   panics, part of which may have been applied. If a worker's thread dies, its tickets fail, and callers execute
//!   later requests in place. Requests for one key keep their order while they wait in one queue, even during shutdown.
//!
//! # Snapshot maps
//! A [`SnapshotMap`](crate::SnapshotMap) is a pointer to its current version: a
//! [`PersistentMap`](#persistent-collections), and a log of changes that no version has yet. A lookup that finds
//! changes there publishes a version that has them.
//!
//! - **Every operation is linearizable,** whatever number of keys it reads or changes. A change takes effect when it is
//!   appended to the log, or replaces the current version. Lookups, snapshots and pins take effect when they load a
//!   version whose log is empty, when one is published for them, or, if it is a snapshot, when it clones the working
//!   copy of the writers. A snapshot, and a pinned version, never changes.
//! - **Waiting:** lookups, `pin` and `snapshot` are wait-free, apart from what [guards](#maps-of-owned-data) cost. One
//!   that comes after changes gets them in O(1) if no writer has the turn. Otherwise it tries again, 16 times and once
//!   for every eight changes in the log, and then makes these once more itself. There are half as many as entries, but
//!   up to 64 in a small map, and never more than 4,080. Changes are lock-free: one that finds the version replaced
//!   begins again. Writers take turns to save work, but a writer gives up waiting after 64 tries, and one for every
//!   eight changes in the log, whether the other one is descheduled or runs a slow closure. A single change may starve:
//!   a `write` of many entries beside writers that are always faster.
//! - **Commits** have snapshot isolation: of two [`commit`](crate::SnapshotMap::commit)s that change the same key, the
//!   first wins, and the second changes nothing. Keys that a transaction only reads are not compared, so write skew is
//!   possible. A change to an equal value counts as none.
//! - **Your code** (closures, `Ord`, `Clone`, `Drop`) may panic, and may use the same map. If it panics, the map is
//!   unchanged, unless it is the destructor of a version that the change has replaced. A lookup may call `Ord` and
//!   `Clone` of keys and values in the log. If your code changes the map, the change that called it begins again. **If
//!   it changes the map at each call, that change never ends.** A change holds a guard while your code runs, so a slow
//!   closure keeps garbage. What a closure replaces or removes, and what an attempt that has lost leaves, is dropped in
//!   place.
//!
//! ```
//! use hedgerow::SnapshotMap;
//!
//! let map = SnapshotMap::from([(1, 1)]);
//! let mut calls = 0;
//! map.write(|new| {
//!     calls += 1;
//!     if calls == 1 {
//!         map.insert(2, 2); // a change of its own, which takes effect at once
//!     }
//!     new.insert(3, map.len()); // reads see the current version, not `new`
//! });
//! assert_eq!((calls, map.snapshot()), (2, [(1, 1), (2, 2), (3, 2)].into()));
//!
//! // Write skew: each transaction reads the key that the other one changes.
//! let on_call = SnapshotMap::from([("ann", true), ("bob", true)]);
//! let base = on_call.snapshot();
//! let (mut without_ann, mut without_bob) = (base.clone(), base.clone());
//! without_ann.insert("ann", !base["bob"]);
//! without_bob.insert("bob", !base["ann"]);
//! assert!(on_call.commit(&base, &without_ann).is_ok());
//! assert!(on_call.commit(&base, &without_bob).is_ok());
//! assert!(on_call.pin().values().all(|is_on_call| !is_on_call));
//! ```
//!
//! - **Memory:** a change [copies](crate::persistent#what-a-version-costs) the nodes on its path that the current
//!   version shares, and clones key and value for the log. The first lookup after changes allocates a node for a
//!   version; other lookups and snapshots allocate nothing. Without memory, they abort. Values that are replaced or
//!   removed stay in the log until the next version is published. Replaced versions are collected in batches of 256, or
//!   of a thousand changes. Each change drops one batch at most, and with it the entries that no other version has. So
//!   some hundreds of versions, or those of some thousand changes, wait while a map is being changed, until
//!   [`reclaim`](crate::SnapshotMap::reclaim) or the end of the map:
//!
//! ```
//! let map = hedgerow::SnapshotMap::new();
//! (0..20_000).for_each(|n| drop(map.insert(n % 100, n)));
//! assert!(map.pending() < 2_000);
//! map.reclaim();
//! assert_eq!(map.pending(), 0); // no thread has a guard
//! ```
//!
//! # Persistent collections
//! A [`PersistentMap`](crate::PersistentMap), [`PersistentSet`](crate::PersistentSet) or
//! [`PersistentVec`](crate::PersistentVec) is a value that one thread changes, through `&mut`.
//!
//! - **Versions are independent.** Threads read, change, clone and drop clones of one collection without waiting for
//!   each other: `clone` is one atomic addition, and wait-free. No change of one clone is visible in another.
//! - **Your code:** if `Ord` or `Clone` panics, the collection is as before the operation. `append`, `extend` and
//!   `retain`, which consist of many changes, keep those that they have made.
//! - **Memory:** a change copies nodes that other versions share, so a removal may need memory, too; without it,
//!   operations abort, except `try_` methods. The thread that drops the last clone drops all entries, with a stack as
//!   deep as the tree is high.
//!
//! # Compressed maps
//! - **Each key of a [`CompressedMap`](crate::CompressedMap) is linearizable.** Compressing, moving, promoting and
//!   merging do not change a value, and no read returns an older one. A value is always from one write. `len` and
//!   statistics are exact when the map is idle.
//! - **Corruption is an error.** Corrupt memory results in an error or, if the codec cannot detect it, in a wrong
//!   value. It is never undefined behaviour, and never makes a value seem absent: lookups and `update` return the
//!   error, `iter` returns it with the key, `retain` passes it to its closure, and `export` stops at the key.
//! - **Expiration:** a value is absent from the time that the map's clock reaches its deadline. `len` counts it until
//!   its memory is freed.
//! - **Your code:** codecs, [`Merge`](crate::compressed::Merge), clocks, listeners, hashers and closures run while no
//!   lock is held that a read needs. If a codec or `Merge` panics, all values remain unchanged. It must not change its
//!   own map: that panics or, without `std`, deadlocks. Training is retried after a panic, at most three times, and
//!   cancelled after 65,536 polls. The map validates every length that your code returns. A call that never returns
//!   blocks its own thread and any writer that finds no room.
