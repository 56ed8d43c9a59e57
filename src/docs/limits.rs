//! What the maps cannot do, what they cost in bad cases, and what to do about it.
//!
//! If your keys come from untrusted sources, read about [chosen keys](#keys-chosen-by-an-attacker) first.
//!
//! | Limit | 64 bits | 32 bits |
//! |---|--:|--:|
//! | writes to one bin during one lookup, before [its version wraps around](#version-wraparound) | 2^35 | 2^31 |
//! | publishes while a [`ReadHandle`](crate::left_right::ReadHandle) does not read (71 years at 1 M/s) | 2^51 | |
//! | overflow lines of a hash table, about one per 25 to 40 entries | 2^28 | |
//! | key or value of a [`BytesMap`](crate::BytesMap), in bytes | 2^32 - 1 | |
//! | bins of a [`LeftRightMap`](crate::LeftRightMap), with seven slots each | 2^32 - 1 | |
//! | guards of a [`ReadHandle`](crate::left_right::ReadHandle) at a time; the next read panics | 4,095 | 255 |
//! | compressed data in a [`CompressedMap`](crate::CompressedMap) | 32 GiB | |
//! | codec models in a [`CompressedMap`](crate::CompressedMap), until `shrink` drops some | 32 | 32 |
//!
//! An empty cell means that there is no limit, or only memory. `try_` methods of a `BytesMap` hand back a string that
//! is too long; `insert`, `extend` and conversions panic.
//!
//! # Waiting for other threads
//! The maps are not lock-free in the strict sense. A writer locks its bin for a few stores. If it is preempted there,
//! threads that write to the same bin, or read a key in it, spin until it runs again; other bins are unaffected. With
//! feature `std`, threads yield after spinning for a few microseconds; [`FlatTable`](crate::FlatTable) never yields.
//!
//! A lookup of an absent key usually does not wait, except while its bin is being split.
//! [`try_get`](crate::FlatMap::try_get) returns `Busy` instead of waiting. In an ordered map, the same applies to
//! leaves, and lookups of absent keys wait like any other.
//!
//! **Priority inversion:** with fixed priorities on one core, a task that spins for a task of lower priority spins
//! forever. Treat the higher one like an [interrupt handler](#interrupt-handlers), or keep it from running during the
//! writes of the lower one.
//!
//! **Contended keys:** writers of one key, or of keys in one bin, exclude each other, in no particular order. If many
//! cores increment the same counter, shard it.
//!
//! # Closures that run again
//! [`compute`](crate::FlatMap::compute), [`update`](crate::FlatMap::update) and [`retain`](crate::FlatMap::retain) call
//! their closures again if the bin has changed in the meantime, even by a write to another key.
//! ([`HashMap::update`](crate::HashMap::update) and `compute` do so only if the entry itself was replaced or removed.)
//! Side effects may therefore happen more than once, and a closure that always writes to the same bin never finishes:
//! write to the map after `update`, not within it.
//!
//! Only a [`LeftRightMap`](crate::LeftRightMap) calls such a closure exactly once. If you need that in another map,
//! [put a lock into the value](super::coming_from#updating-values-in-place).
//!
//! # Interrupt handlers
//! - **[`FlatTable`](crate::FlatTable):** handlers may call `try_get`, `try_insert` and `try_remove` without
//!   restriction. Each inspects at most sixteen bins (32 on 32-bit targets).
//! - **[`FlatMap`](crate::FlatMap):** [`try_get`](crate::FlatMap::try_get), `len` and `is_empty` take no lock, allocate
//!   nothing and never wait. [`try_update`](crate::FlatMap::try_update) and [`try_remove`](crate::FlatMap::try_remove)
//!   allocate nothing. [`try_insert`](crate::FlatMap::try_insert) of a new key may call the allocator and split up to
//!   256 bins. Every other method may spin, including `stats`, `iter` and `try_reserve`.
//! - **Maps of owned data:** only `try_get`, with a guard of a [`Handle`](crate::owned::Handle) that was made before:
//!   `map.with_guard(&handle.pin()).try_get(&key)`. Do not call `map.try_get(&key)` or `pin`: they may allocate, and
//!   would interfere with a guard that the interrupted thread is taking. The other `try_` methods allocate and take a
//!   short lock.
//! - **[`LeftRightMap`](crate::LeftRightMap):** all reads, which are wait-free, through a handle that was made before.
//!   A handler that writes must be the only writer and use `try_publish`; its changes may call the allocator and spin
//!   for a microsecond.
//!
//! # Guards delay reclamation
//! While a thread holds a guard, no entry that is removed from *any* [`HashMap`](crate::HashMap),
//! [`OrdMap`](crate::OrdMap) or [`BytesMap`](crate::BytesMap) of the process is dropped, unless the map has another
//! [collector](crate::owned::Collector). Each [`Ref`](crate::owned::Ref), iterator and [pinned](crate::HashMap::pin)
//! map holds a guard, and so does an operation while it calls your code. Keep guards short, and do not leak them.
//!
//! To find and contain such a guard:
//!
//! - [`with_collector`](crate::HashMap::with_collector) isolates a map from the guards of other maps, and vice versa.
//!   Each guard then costs a compare-and-swap.
//! - [`stalled_readers`](crate::HashMap::stalled_readers) lists the guards that delay reclamation, and
//!   [`pending`](crate::HashMap::pending) counts the entries that wait.
//! - [`set_pending_limit`](crate::HashMap::set_pending_limit) bounds these entries per map; there is no bound by
//!   default. At the limit, [`try_insert`](crate::HashMap::try_insert), `try_insert_if_absent`, `try_update`,
//!   `try_get_or_insert_with` and `try_compute` fail. Operations that cannot return an error, such as `insert` and
//!   `apply_batch`, ignore the limit, as does `remove`.
//!
//! Even without guards, reclamation is batched: a few hundred removed entries of each map wait for later writes to it
//! (256 in a batch, up to 1,024 where `membarrier` is slow; up to sixteen batches if many threads write). A write frees
//! at most two entries, so `clear` or `retain` is followed by half as many writes before all memory is free. Without
//! `std`, insertions of new keys free nothing. [`reclaim`](crate::HashMap::reclaim) immediately frees everything that
//! no guard protects.
//!
//! # Memory is not returned
//! A hash table never shrinks by itself; [`shrink_to_fit`](crate::FlatMap::shrink_to_fit) needs `&mut self`. Lookups
//! hold no guard for a bin, so no bin can be freed or merged while the map is shared.
//!
//! To shrink a shared map, put it into an `RwLock`: call `write().shrink_to_fit()`, which takes 10 to 50 ms for a table
//! that had a million entries and has 10,000 to 100,000 left. All other operations, including inserts, need only
//! `read()`, which costs about ten nanoseconds without contention.
//!
//! A map also keeps the small tables and directories that growth has replaced, about as much memory as the current
//! directory (`retired_bytes` in [`stats`](crate::FlatMap::stats)). The slots in which threads announce their guards
//! are reused but never freed, except with their collector.
//!
//! # Iteration is not a snapshot
//! [`iter`](crate::FlatMap::iter) and [`retain`](crate::FlatMap::retain) see different bins at different times. For a
//! snapshot use a [`SnapshotMap`](crate::SnapshotMap), a [`LeftRightMap`](crate::LeftRightMap), or `range` of an
//! ordered map. `iter` and `retain` copy a few bins at a time into a buffer on the heap, and abort without memory.
//!
//! # Persistent collections
//! - **A change of a shared node copies it.** The first change after a clone copies a path: about 3.5 kB in a map of a
//!   million `u64` entries, and 10 kB with `String` keys. So does the first change of a node of a
//!   [`SnapshotMap`](crate::SnapshotMap) after a lookup or a snapshot.
//! - **Writers of a `SnapshotMap` take turns.** More threads do not write faster. Put changes that belong together into
//!   one [`write`](crate::SnapshotMap::write).
//! - **The last version drops everything at once**, in the thread that drops it.
//!
//! # Left-right maps
//! - **Stalled readers:** while a reader is in the old table, `publish` waits, `try_publish` returns
//!   [`Pending`](crate::left_right::Pending), and changes are queued in memory (a
//!   [`LeftRightTable`](crate::LeftRightTable) refuses them). See [stalled
//!   readers](super::left_right_or_flat#stalled-readers).
//! - **Overlapping guards** of one handle count as one, from the first taken to the last dropped. A thread that always
//!   takes the next guard before it drops the last delays the writer forever.
//! - **Handles:** each takes a slot of 128 bytes, which is reused but freed only with the map. The cost of a publish
//!   grows with the largest number of handles that ever existed at once. A leaked
//!   [`WriteHandle`](crate::left_right::WriteHandle) leaves the map without a writer.
//! - **Growth:** one insert replaces a full table with one a third larger, which briefly needs two and a third times
//!   the old memory. [`reserve`](crate::left_right::WriteHandle::reserve) avoids the pause. Memory is returned by
//!   [`shrink_to_fit`](crate::left_right::WriteHandle::shrink_to_fit) and on drop.
//!
//! # Ordered maps
//! - [`range`](crate::FenceMap::range) returns a snapshot, so it copies the entries. For long ranges use
//!   [`iter_range`](crate::FenceMap::iter_range) or a cursor.
//! - A range that other threads keep writing to is eventually read under the locks of its leaves, which delays all
//!   threads that use them. [`remove_range`](crate::FenceMap::remove_range) and
//!   [`apply_batch`](crate::FenceMap::apply_batch) have no such fallback: if writers never pause, they may retry
//!   without end.
//! - Writers of one leaf exclude each other, so threads that all insert ascending keys, or all write a few hot keys,
//!   contend for one leaf.
//! - The first entry costs about six kilobytes. A map that has shrunk keeps its leaves until it is dropped.
//!
//! # Memory budget
//! - A [`CompressedMap`](crate::CompressedMap) returns no memory while it is shared.
//!   [`shrink`](crate::CompressedMap::shrink) returns free segments; the index does not shrink.
//! - Training takes up to 1 MiB on top of the budget. Before the first training, that much of the budget is kept free
//!   for it.
//! - A hundredth of the budget is reserved for compaction and training. In a map below 1 MiB, or with segments below 16
//!   KiB, up to a quarter is reserved for the index.
//! - One thread at a time appends, and one sweeps. If the sweeping thread is preempted when the map is full, writers
//!   wait for it, and so do reads that promote a compressed value; `peek_into` and `contains_key` never wait.
//! - If a codec or a [`Merge`](crate::compressed::Merge) has no memory for its result, the process aborts. The map's
//!   own allocations are fallible.
//!
//! # Tables of fixed size
//! A [`FlatTable`](crate::FlatTable) refuses keys before every slot is used, because a key must be in one of the
//! sixteen bins (32 on 32-bit targets) that follow its hash, and no key is moved to make room.
//! [`bins_for`](crate::flat::bins_for) allows for that; see [fill](crate::FlatTable#fill). Many insertions and removals
//! slow down lookups of absent keys until `clear`. [`len`](crate::FlatTable::len) visits every bin.
//!
//! # Keys chosen by an attacker
//! An attacker who knows how a map hashes can choose keys that share a bin. With `n` such keys:
//!
//! - Looking up, inserting or removing one takes O(n) time, and inserting all of them O(n²), as in `clone`,
//!   `shrink_to_fit` and `collect`.
//! - Whenever the number of bins has doubled, one insert of any client splits their bin, hashing all `n` keys and
//!   possibly moving them under the bin's lock.
//! - If their bin is written constantly, a lookup or write deep in its overflow list may never finish.
//!   [`try_get`](crate::FlatMap::try_get) returns `Busy`.
//! - Other keys are unaffected unless they share the bin. Memory use is at most twice that of `n` other keys. Bounding
//!   `n` is up to you.
//! - A [`FlatTable`](crate::FlatTable) holds sixteen bins of such keys (32 on 32-bit targets), and refuses further keys
//!   of those bins. In a [`LeftRightMap`](crate::LeftRightMap) they fill and slow down the bins that follow.
//!
//! The defence is a hash that the attacker does not know. [`DefaultHashBuilder`](crate::flat::DefaultHashBuilder) is
//! seeded separately for each map: with feature `std` from the operating system's entropy; without it from addresses
//! and counters, which repeat on a target that starts the same way each time. It is not cryptographic. If an attacker
//! can time your lookups or see the order of iteration, use `std::hash::RandomState` or, without an operating system, a
//! keyed hasher with your own secret. [`FixedHashBuilder`](crate::flat::FixedHashBuilder), the default of fixed-size
//! tables, and [`with_seed`](crate::flat::DefaultHashBuilder::with_seed) with a constant are no defence.
//!
//! # Version wraparound
//! A bin's version has 35 bits on 64-bit targets and 31 on 32-bit ones. A lookup that is suspended between its two
//! loads of the version, for exactly a multiple of 2^35 (2^31) writes to the same bin, accepts a torn value. At 7 ns
//! per write without a pause, 2^35 writes take four minutes and 2^31 fifteen seconds. If your readers can be suspended
//! that long under such load, for example in a debugger, do not trust what they read across the suspension.
//!
//! # Types
//! - **Only `Copy` in maps of plain data:** readers copy bytes while a writer may be changing them, so they can neither
//!   run a `Clone` nor keep what a copied pointer refers to alive. Types with destructors belong in a
//!   [`HashMap`](crate::HashMap), [`OrdMap`](crate::OrdMap) or [`BytesMap`](crate::BytesMap).
//! - **Large values** are passed by value: a few at a time are on the stack, or ten and more without optimization.
//! - **Page alignment:** maps of plain data do not compile for keys or values aligned to 4096 bytes or more, because
//!   rustc 1.95 (LLVM) miscompiles functions with such locals. Box them.
//!
//! ```compile_fail
//! #[derive(Clone, Copy)]
//! #[repr(align(4096))]
//! struct Page([u8; 4096]);
//! hedgerow::FlatMap::<u32, Page>::new().get(&1);
//! ```
//!
//! # Targets
//! - Entries are accessed through `atomic-maybe-uninit`, which has to support the target. Without compare-and-swap,
//!   feature `portable-atomic` is needed.
//! - WebAssembly with the `atomics` target feature needs `--cfg hedgerow_int_words`, which is sound only for keys and
//!   values without padding.
//! - Miri and ThreadSanitizer cannot see through inline assembly. Under `--cfg hedgerow_int_words` (in Miri by default)
//!   words are plain integers, for payload without padding or pointers.
//!
//! # `membarrier` and sandboxes
//! With feature `std-ext` on Linux, writers call `membarrier`, so that guards of owned data execute no fence, and reads
//! of a [`LeftRightMap`](crate::LeftRightMap) rarely one. Where it is not available, each guard and each such read
//! executes a fence.
//!
//! If a sandbox refuses `membarrier`, set it up before the first map is created. If it begins to refuse later, the
//! first writer that notices moves to each processor of the process in turn, for tens of microseconds each, and needs
//! `sched_setaffinity`, `sched_getaffinity`, `getcpu` and `/proc/self/task` for that. If these are refused as well,
//! removed entries are kept, and publishes wait, until each reader in use before has read once more;
//! [`stalled_readers`](crate::left_right::WriteHandle::stalled_readers) lists those of a
//! [`LeftRightMap`](crate::LeftRightMap).
//!
//! # After `fork`
//! Fork while no thread writes: a bin that another thread has locked stays locked in the child. Otherwise the child may
//! use the maps, with these limits:
//!
//! - Guards of threads that do not exist in the child are never dropped: what they could have seen, and everything
//!   removed from then on, is freed only with its map. Let such a child do little before `exec`, or set a
//!   [limit](crate::HashMap::set_pending_limit).
//! - A [`LeftRightMap`](crate::LeftRightMap) that another thread was reading can be read, but `publish` may wait
//!   forever, and `try_publish` fail.
