//! The promises of the maps: linearizability, waiting, memory, panics.
//!
//! The first four sections describe a [`FlatMap`](crate::FlatMap). The sections on the other maps say what differs.
//!
//! # Each key by itself
//! Every operation on one key is linearizable: it takes effect at one point between its call and its return, for all
//! threads alike, also while the map grows. A value is never torn, at any size (within
//! [a limit](super::limits#version-wraparound) of 2^35 writes during one read). A key that is being
//! replaced is never missing, and `remove` returns the value that it removed.
//!
//! [`compute`](crate::FlatMap::compute) and [`update`](crate::FlatMap::update) are atomic: they store the new value
//! only if the key's bin has not changed since the closure saw the old one. Otherwise they call the closure again.
//!
//! # The map as a whole
//! - [`iter`](crate::FlatMap::iter), [`retain`](crate::FlatMap::retain) and [`clear`](crate::FlatMap::clear) go from
//!   bin to bin. They see each bin as of a single point in time, and different bins at different points: there is no
//!   snapshot of the whole map.
//! - `iter` returns a key that is present from its beginning to its end exactly once, and a key that is added or
//!   removed meanwhile at most once, however often bins are split.
//! - [`len`](crate::FlatMap::len) is exact if no thread writes meanwhile.
//!
//! # What waits for what
//! - A lookup that finds its key waits while a writer is inside that key's bin, and reads again if the bin changed
//!   while it was read.
//! - A lookup that finds nothing waits while its bin is being split, between two stores. It also waits, as a hit does,
//!   if another key of the bin has the same tag (about one chance in 127 for each), or has overflowed with the same
//!   filter number (one in eight, in bins that have overflowed).
//! - [`try_get`](crate::FlatMap::try_get), `try_insert`, `try_compute`, `try_remove` and the like never wait: they
//!   return `Busy` where the others would wait, and have changed nothing.
//! - `insert`, `update`, `remove` and the like wait while another writer is inside the bin. If the bin has changed
//!   since they read it, they look the key up again.
//! - Growth, within an insert, waits for another thread that splits the same bin, and for two short locks (directory,
//!   overflow lines).
//! - `len` and `is_empty` never wait.
//!
//! "Inside the bin" is a handful of stores; a split makes as many as the bin has entries. No user code and no allocator
//! runs there. Waiting is spinning: no thread is parked. Readers write nothing shared, so they delay no other thread.
//!
//! On a 32-bit target a tag word has three slots and four filter numbers instead of seven and eight.
//!
//! # A table of fixed size
//! All of this holds for a [`FlatTable`](crate::FlatTable) too, except growth and memory, with two differences:
//!
//! - `retain`, `clear` and `iter` go from entry to entry instead of from bin to bin. They may return a key again that
//!   is removed and inserted meanwhile.
//! - `try_insert` and `try_remove` may have to lock two bins, and return `Busy` if a writer is inside either.
//!
//! # Maps of owned data
//! [`HashMap`](crate::HashMap) and [`BytesMap`](crate::BytesMap) are built on the same table, so the statements above
//! about keys, bins and growth hold for them, too. [`OrdMap`](crate::OrdMap) is built on the leaves of a
//! [`FenceMap`](crate::FenceMap). A lookup returns a [`Ref`](crate::owned::Ref), which borrows the entry and holds a
//! [guard](crate::owned::Guard). A lookup in a [pinned](crate::HashMap::pin) map returns a reference that lives as long
//! as the map's guard.
//!
//! - **Guards.** A map drops no entry that the holder of a guard can have seen, before the guard is dropped. No thread
//!   waits for a guard: its own thread and all others may write to the same map, and to others, for as long as it is
//!   held. Entries that they remove meanwhile accumulate. [`pending`](crate::HashMap::pending) counts
//!   them, [`stalled_readers`](crate::HashMap::stalled_readers) lists the guards, and with a
//!   [`set_pending_limit`](crate::HashMap::set_pending_limit) operations that return an error fail when there are too
//!   many.
//! - **Drops.** Every key and value is dropped exactly once: by an operation that writes to the same map, at most two
//!   an operation (of an [`OrdMap`](crate::OrdMap) four); by [`reclaim`](crate::HashMap::reclaim); when the caller
//!   takes it out as owned ([`try_into_owned`](crate::owned::Removed::try_into_owned)); or with the map. The thread is
//!   not specified.
//! - **Destructors** run while nothing is locked, like all your code, and without a guard of the operation that frees:
//!   a `Drop` may panic, call the map, be slow, or never return. If it panics, the operation in which it ran is
//!   complete, and no other entry is lost or dropped twice; entries that were to be dropped with it wait for a later
//!   operation. If it is slow, it delays its own thread and keeps at most fifteen other entries. While a thread
//!   unwinds, its operations drop nothing by themselves. (If the destructors of two entries panic while a map itself is
//!   dropped, the process aborts, as it does with std's collections.)
//! - **Nested destructors.** If a `Drop` writes to the map that is dropping it, no other `Drop` of that map runs
//!   within it: the entries that it replaces or removes wait for a later operation, and
//!   [`reclaim`](crate::HashMap::reclaim) within it drops nothing. So the stack does not grow with the number of
//!   removed entries. An [`OrdMap`](crate::OrdMap) counts as two maps here: its entries, and its keys that are bounds
//!   of leaves. If destructors write to other maps, at most eight maps free entries in one thread, each within a
//!   destructor of the one before. Without feature `std`, the maps cannot tell threads apart: then a second operation
//!   frees if 64 entries can be freed, a third if 192, and so on, in any threads, and eight more of those that are
//!   asked to by `reclaim` or a limit.
//! - **Contradicting keys.** If `Hash`, `Eq`, `Ord`, `Clone` or `Borrow` of a key return wrong or changing results,
//!   lookups return wrong results and nothing worse happens: every operation ends, and every key and value is dropped
//!   once.
//! - **Cost.** Taking and dropping a guard is wait-free: a load, two stores and a fence. With feature `std-ext` on
//!   Linux it is a compiler fence instead, and the threads that drop entries call the system's `membarrier`.
//! - `insert` stores the new key with the new value. [`compute`](crate::HashMap::compute) and the like compare the
//!   entry, not the bin: a change of another key does not make them call the closure again.
//!
//! # Left-right maps
//! The statements above about bins do not hold for a [`LeftRightMap`](crate::LeftRightMap). Instead:
//!
//! - **Publishing.** A publish takes effect at one point in time, for all readers alike, with all changes since the
//!   last. A read takes effect at one point too, and so does a [`Snapshot`](crate::left_right::Snapshot) with
//!   everything that is read from it. The reads of a handle never go back, and a handle that begins to read after a
//!   publish has returned sees it. (A snapshot that is taken while another one of the same handle is held may be newer
//!   than that one.)
//! - The writer sees its own changes at once; readers see none before the publish.
//! - **Waiting.** Readers wait for nothing. Cloning and dropping handles does not wait either. Of the writer's methods,
//!   `publish`, `wait_for_readers`, `retain`, `clear` and `shrink_to_fit` wait without bound for readers that have been
//!   reading since before the last publish. The first change after a publish waits for them a while: a microsecond, or
//!   once the time of an operating system's barrier. No other method waits. Waiting is spinning; with feature `std` it
//!   yields.
//! - **Drops.** Every key and value is dropped exactly once. If no reader can have seen it, the operation that
//!   replaces or removes it drops it. Otherwise the first of the writer's operations after the publish that removed it
//!   does, if no reader is left, and drops all that is due;
//!   [`wait_for_readers`](crate::left_right::WriteHandle::wait_for_readers) does so for certain. The rest is dropped
//!   with the last handle, a writer's or a reader's, in its thread.
//! - **Your code.** Bringing one table up to date with the other runs none of it. `Hash`, `Eq` and closures run before
//!   anything is changed, a closure once; `retain` asks about one entry after the other. They may panic, and may read
//!   the same map through a reader's handle. When an [`inline`](crate::LeftRightMap::inline) table grows, all its keys
//!   are hashed again.
//! - The writer's handle is borrowed while your code runs, so your code cannot use it. A
//!   [`SharedWriteHandle`](crate::left_right::SharedWriteHandle) takes a lock instead: `Hash`, `Eq`, `Clone` and
//!   closures run under it, and panic if they use the handle; `Drop` runs after the lock was released.
//! - **Contradicting keys.** The map drops nothing that readers can see, regardless of what `Hash` and `Eq` return. A
//!   lookup of a key that contradicts itself may find it or not. An [`inline`](crate::LeftRightMap::inline) map and a
//!   [`LeftRightTable`](crate::LeftRightTable) store no hashes: there, a key whose `Hash` has changed may also hide
//!   other keys, until the table grows. (Mostly the tag beside the entry prevents that.)
//! - **Lost writers.** If the writer's handle is dropped or its thread panics, readers go on, and
//!   [`ReadHandle::writer`](crate::left_right::ReadHandle::writer) returns a new writer, with all unpublished changes.
//! - **Memory.** Reads allocate nothing. A map allocates what its handles share and slots for sixteen handles; then the
//!   boxes of entries, larger tables, slots for sixteen handles more, and notes about what has changed. If there is no
//!   memory for a note about a changed bin, the next publish copies the whole table instead. `try_insert`,
//!   `try_remove`, `try_reserve`, `try_publish` and `try_clone` report a lack of memory, and lose nothing.
//!
//! # Ordered maps
//! The statements about bins do not hold for a [`FenceMap`](crate::FenceMap) or an [`OrdMap`](crate::OrdMap) either.
//! Instead:
//!
//! - **Linearizable operations.** Those on one key; those that return a neighbour or an end
//!   ([`floor`](crate::FenceMap::floor), [`first_key_value`](crate::FenceMap::first_key_value),
//!   [`pop_last`](crate::FenceMap::pop_last) and the like); and those on a range ([`range`](crate::FenceMap::range),
//!   [`remove_range`](crate::FenceMap::remove_range)). That holds also while leaves are split, joined and moved between
//!   fences.
//! - **Order between keys.** A thread may insert one key and then look up another. An operation that only reads several
//!   leaves agrees with that thread about this order if the thread puts a fence in between
//!   ([`ordering`](super::ordering)). `pop_first`, `pop_last`, `remove_range` and batches agree without a fence, if
//!   they change something.
//! - **Walks.** `retain`, `clear` and cursors go leaf by leaf in order, each leaf as of a single point in time. So do
//!   `iter` and `iter_range`, but in a `FenceMap` eight entries at a time. All return every key that is present
//!   throughout exactly once.
//! - **Lookups**, hits and misses, wait while a writer is inside the key's leaf: some tens of stores, or twice a leaf's
//!   entries if it is split. They read again if the leaf changed meanwhile. Two threads that write to one leaf all the
//!   time may keep a third from reading it. [`try_get`](crate::FenceMap::try_get) returns `Busy` instead of waiting.
//! - **Ranges.** A range that finds a change tries eight times, and then locks its leaves one after the other, for as
//!   long as copying them takes. [`try_range_into`](crate::FenceMap::try_range_into) returns an error instead.
//! - **Balancing** ([`rebalance_step`](crate::FenceMap::rebalance_step)) locks no leaf and moves no entry; lookups do
//!   not notice it.
//! - Rankings, like `Ord`, run while nothing is locked.
//! - **Memory.** An empty map allocates nothing. Inserts allocate leaves of 128 entries, and the nodes that lead to
//!   them. [`range`](crate::FenceMap::range) allocates what it returns. `remove`, `pop_first` and changes of existing
//!   entries allocate nothing. Empty leaves are reused, and freed with the map.
//! - **Batches.** [`apply_batch`](crate::FenceMap::apply_batch) is linearizable as a whole, against single operations,
//!   ranges and other batches. If a leaf changes before it is locked, the batch is planned again, and nothing bounds
//!   how often; [`try_apply_batch`](crate::FenceMap::try_apply_batch) returns `Busy` instead. Both change all or
//!   nothing, also if memory runs out or your `Ord` panics: it may panic after the changes, when sparse leaves are
//!   merged. [`OrdMap::apply_batch`](crate::OrdMap::apply_batch) makes every entry before it locks anything, so that it
//!   aborts for lack of memory before it changes anything.
//! - **`std_ext::FenceWorkers`.** Every accepted request is executed once, by its worker, before that worker ends; a
//!   request that is not accepted is handed back. A closure that panics fails its own ticket, and so
//!   does a batch whose `Ord`, `Clone` or `Drop` panics; some of its changes may have been made. Other batches are made
//!   all the same: a worker applies batches that wait together as one only if their keys are of a type that
//!   [`ByType`](crate::fence::ByType) supports, whose order runs no code of yours. If a worker's thread dies, the
//!   tickets that it leaves fail, and callers execute later requests in place. Requests for one key that wait in one
//!   queue keep their order, also at a shutdown, and so do a request and one that was made after its ticket was waited
//!   for.
//!
//! # Compressed maps
//! - **Linearizable.** Each key is, by itself. A value that was compressed, moved, promoted or folded is the same
//!   value, and no read returns an older one. A value is always from one write. At rest `len` and the statistics are
//!   exact.
//! - **Damage.** Lookups take no lock. They copy, validate the bin that led them there, and decompress the copy. Damage
//!   in memory is an error or, if a codec cannot tell, a wrong value, which
//!   [`verify_step`](crate::CompressedMap::verify_step) finds. It is never undefined behaviour, and no operation takes
//!   a damaged value for an absent one: `get`, `get_with`, `get_into` and `update` return the error, `iter` returns it
//!   beside the key, `retain` passes it to its closure, and `export` stops with the key.
//! - **Expiration.** A value is absent from the time at which the map's clock says so; `len` counts it until its memory
//!   is freed.
//! - **Your code.** Codecs, [`Merge`](crate::compressed::Merge), clocks, listeners, hashers and closures run while no
//!   lock is held that a read needs. A codec or `Merge` that panics leaves all values as they were; one that uses its
//!   own map may wait for itself. After a panic in training the map trains again later, at most three times. The map
//!   checks every length that they return before it uses that length. A codec that claims to have compressed to more
//!   than its buffer has compressed nothing. If no segment can hold a merged value, each read merges it again. Training
//!   that is still pending after 65,536 polls is cancelled. A call that never returns keeps its own thread, and writers
//!   that find no room wait for it, also if they evict. Writers that find little room wait for it a millisecond or so.
//!
//! # Your code
//! `Hash`, `Eq`, `Borrow` and all closures run while nothing is locked. The exceptions are named above: left-right maps
//! that several threads write, and compressed maps. They may call the same map, for the same key, and they may panic:
//!
//! ```
//! use hedgerow::FlatMap;
//! use std::panic::catch_unwind;
//!
//! let map: FlatMap<u32, u32> = [(1, 1)].into();
//! // Calls back: the inner update counts, the outer one is asked again.
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
//! - An operation may call its closure more than once; only the last result counts.
//! - Growth hashes keys again. If `Hash` panics in an insert's growth, the entry is in the map.
//! - If `Eq` and `Hash` contradict themselves, keys are hard to find. That causes no undefined behaviour, and locks
//!   nothing.
//!
//! # Memory
//! - An empty map made by `new` or `with_hasher` allocates nothing, except a
//!   [`LeftRightMap`](crate::LeftRightMap).
//! - Lookups allocate nothing. Of a [`FlatMap`](crate::FlatMap), neither do `remove`, `clear` and updates of existing
//!   entries; a map of owned data makes a node for a new value, and lists of removed nodes.
//! - An insert allocates at most for its bin's overflow and for a bounded part of growth. Growth that gets no memory is
//!   deferred; the insert has succeeded by then.
//! - If there is no memory for the entry itself, `insert` and `compute` end as std's collections do. Each operation of
//!   a [`FlatMap`](crate::FlatMap) that may need memory for an entry has a twin that hands key and value back instead:
//!   [`try_insert`](crate::FlatMap::try_insert), `try_insert_if_absent`, `try_insert_many`, `try_compute`,
//!   `try_compare_exchange` and `try_get_or_insert_with`. In the maps of owned data `insert`, `insert_if_absent`,
//!   `update`, `compute` and `get_or_insert_with` have a twin; [`try_pin`](crate::owned::try_pin) is that of guards.
//! - The memory of tables is not freed while the map is shared; removed entries of maps of owned data are, as above.
//!   Memory goes back in [`shrink_to_fit`](crate::FlatMap::shrink_to_fit)
//!   (`&mut self`) and on drop; until then the map uses it again.
//!
//! # Threads
//! `FlatMap<K, V, S>` is `Sync` if `K` and `V` are `Send` and `S` is `Sync`: threads hand each other copies, and none
//! borrows an entry in place.
//!
//! Handles of a `LeftRightMap` can be sent if `K`, `V` and `S` are `Send` and `Sync`. A `WriteHandle` and a
//! `ReadHandleFactory` can be shared as well; one thread at a time has a `ReadHandle`.
