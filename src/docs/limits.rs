//! The limits of the maps, and the reason for each.
//!
//! A section is about [`FlatMap`](crate::FlatMap) and [`FlatTable`](crate::FlatTable) unless it names another map.
//!
//! # Only `Copy` keys and values
//! A reader copies bytes while a writer may be changing them, and looks at them only when it has checked that they are
//! whole. It can neither run a `Clone` on these bytes nor keep a writer from freeing what they point to. Nor would
//! "needs no drop" do instead of `Copy`: `ManuallyDrop<Box<T>>` needs none, and its owner may free the box that a
//! reader has just copied. Owned data is for [`HashMap`](crate::HashMap), [`OrdMap`](crate::OrdMap) and
//! [`BytesMap`](crate::BytesMap), whose readers hold a guard.
//!
//! # A guard delays drops in all maps
//! One guard serves all maps. While a thread holds a guard, nothing that is removed from *any*
//! [`HashMap`](crate::HashMap), [`OrdMap`](crate::OrdMap) or [`BytesMap`](crate::BytesMap) of the process is dropped.
//! Each [`Ref`](crate::owned::Ref), each iterator and each [pinned](crate::HashMap::pin) map holds a guard. Drop them
//! soon, and watch [`stalled_readers`](crate::HashMap::stalled_readers). A guard that is leaked (`mem::forget`) is held
//! for ever. An operation holds a guard while it calls closures, `Hash`, `Eq` or `Ord`, so a slow one delays drops like
//! any reader. A slow destructor does not, unless it is that of a key or a value which the operation was given and has
//! not stored.
//!
//! While one guard is held for ever, these grow without a bound:
//!
//! - The removed entries of each map, by every one that is replaced or removed. If that must not take all memory,
//!   [`set_pending_limit`](crate::HashMap::set_pending_limit) makes [`try_insert`](crate::HashMap::try_insert),
//!   `try_insert_if_absent`, `try_update`, `try_get_or_insert_with` and `try_compute` fail instead. Each map has a
//!   limit of its own, and none at first. `insert`, `update`, `extend`, `apply_batch` and others that cannot report a
//!   failure go on. So does `remove`, which adds no more than the map has.
//! - Clones of keys in an [`OrdMap`](crate::OrdMap), one for each leaf that was joined with another after tens of its
//!   entries were removed. They are not counted, but are bounded if entries are. Some hundred of these clones may wait
//!   even without a guard.
//!
//! Readers' slots are never returned to the allocator: there are as many as there were guards in different threads, and
//! handles, at one time, rounded up to sixteen.
//!
//! Even without a guard, some hundred removed entries of each map wait for later writes to it, because maps free
//! entries in batches of 256. If many threads write, up to sixteen groups of them have batches of their own. Batches
//! have up to 1,024 entries if it takes long to interrupt the other processors, as it does in many virtual machines.
//! [`reclaim`](crate::HashMap::reclaim) frees all entries at once that no guard protects.
//!
//! Each write frees at most two entries. So after `clear` or `retain`, the memory of the removed entries is free only
//! after about half as many further insertions and removals. Without `std`, insertions of new keys free nothing.
//!
//! # A reader delays a publish
//! A [`LeftRightMap`](crate::LeftRightMap) has two tables. While a reader is in the old one, the writer can neither
//! change nor publish it: `publish` waits, `try_publish` returns [`Pending`](crate::left_right::Pending), and the
//! writer notes changes in a separate table, which takes memory for each key. What to do about it: [a stuck
//! reader](super::left_right_or_flat#a-stuck-reader).
//!
//! - Guards of one handle that overlap count as one, from the first taken to the last dropped. A thread that takes each
//!   guard before it drops the one before delays the writer for ever.
//! - Between swaps that are not told apart for long (32-bit targets), the writer may take a handle's second read in a
//!   row for its first, and wait for it although it sees the newest state. It does not wait for the third.
//! - A handle has at most 4,095 guards at a time (255 on 32-bit targets), leaked ones included; the next read panics.
//!   Dropping the handle ends them all.
//! - With [`publish_every`](crate::left_right::WriteHandle::publish_every), while a reader is stuck, each change that
//!   would publish tries again, without waiting.
//!
//! # A slot for each handle
//! A [`ReadHandle`](crate::left_right::ReadHandle) has a slot of 128 bytes to itself. Slots are allocated in blocks of
//! sixteen and are reused, but freed only with the map. Each publish reads all of them, so its cost depends on the
//! largest number of handles that there ever were at once. A leaked handle keeps its slot and the map. A leaked
//! [`WriteHandle`](crate::left_right::WriteHandle) leaves the map without a writer for good.
//!
//! # Two tables
//! - An [`inline`](crate::LeftRightMap::inline) map stores each entry twice, in tables of which three quarters are
//!   used. A map made by [`new`](crate::LeftRightMap::new) stores it once, in a box with its hash, and two pointers to
//!   it.
//! - A full table is replaced by one a third larger, within one insert, which places every entry again. Within that
//!   insert both old tables and both new ones exist: two and a third times the memory of before. Until the next publish
//!   has finished it is somewhat less, and then one and a third times. [`reserve`] ahead if an insert may not take that
//!   long.
//! - Memory goes back to the allocator in [`shrink_to_fit`] and on drop, not before.
//! - A table has at most 2^32 - 1 bins of seven slots.
//! - A [`LeftRightTable`](crate::LeftRightTable) refuses changes while a reader is stuck, because it has no memory to
//!   note them in.
//!
//! [`reserve`]: crate::left_right::WriteHandle::reserve
//! [`shrink_to_fit`]: crate::left_right::WriteHandle::shrink_to_fit
//!
//! # Swap counts come round
//! The word that says which table readers use counts swaps, with 51 bits on 64-bit targets. If a handle does not read
//! during exactly a multiple of 2^51 publishes, its next read looks for the table where it was before them. At a
//! million publishes a second, without a pause, that is 71 years. On 32-bit targets there are only 23 bits, so handles
//! do not rely on the number there. [`generation`](crate::left_right::ReadHandle::generation) has 64 bits everywhere.
//!
//! # Ordered maps
//! - [`range`](crate::FenceMap::range) copies the entries, so that it can be a snapshot. For a long range use
//!   [`iter_range`](crate::FenceMap::iter_range) or a cursor.
//! - A range that is read while other threads write to it all the time locks its leaves in the end, and delays all
//!   threads that use them. [`remove_range`](crate::FenceMap::remove_range) and
//!   [`apply_batch`](crate::FenceMap::apply_batch) have no last resort of that kind: among writers that never pause
//!   they may begin again without end.
//! - Writers of one leaf exclude each other, so threads that all insert ever greater keys wait for one leaf.
//!   Fences do not help there, nor if a few keys are hot: a leaf is in one fence.
//! - Only `Ord` tells keys of equal rank apart, by a binary search through the leaves. On 32-bit targets ranks have 32
//!   bits.
//! - The first entry costs about six kilobytes, and a map that has shrunk keeps the memory of its leaves until it is
//!   dropped.
//! - Reads leave no trace, so [`rebalance_step`](crate::FenceMap::rebalance_step) balances writes only.
//! - The sections below on versions that come round, and on writers that are descheduled inside a bin, hold for leaves
//!   as well.
//!
//! # A fixed budget
//! - A [`CompressedMap`](crate::CompressedMap) returns no memory while it is shared: the index does not shrink, and
//!   segments are kept for the next entries. [`shrink`](crate::CompressedMap::shrink) returns free segments; the index
//!   keeps those that it has borrowed.
//! - An insert that finds no room sweeps for some. It may be refused while a hundredth of the budget is free, because
//!   that is reserved for compaction and training. In a map below 1 MiB, or with segments below 16 KiB, up to a quarter
//!   is reserved, for the index.
//! - While codecs train they take up to 1 MiB that is not counted. Before the first training, that much is kept free
//!   for it.
//! - Records of one map are 32 GiB at most, compressed: the index has 36 bits for the place of each.
//! - One thread at a time appends, and one sweeps. If the sweeping thread is descheduled while there is no room,
//!   writers wait for it. Reads wait for a bin's writers, as those of a [`FlatMap`](crate::FlatMap) do. A read that
//!   promotes a compressed value takes part in making room for it: it may sweep, and wait for a thread that allocates
//!   a segment. `peek_into` and `contains_key` never do.
//! - A map keeps at most 32 models, of all its codecs together, and only `shrink` drops one.
//! - If a codec or a [`Merge`](crate::compressed::Merge) finds no memory for its result, the process ends as it does
//!   with `Vec`. The map's own allocations are fallible.
//!
//! # Without `membarrier`
//! Guards of owned data execute no fence, and reads of a `LeftRightMap` mostly none, if the operating system can
//! interrupt all threads of the process instead: with feature `std-ext`, on Linux, unless the system or a sandbox
//! refuses. Everywhere else each guard and each read of a `LeftRightMap` executes one.
//!
//! A sandbox may be set up while maps are in use, and refuse `membarrier` from then on. The first writer that meets the
//! refusal tells all readers to execute fences. Readers that rely on the barrier may be about to read. So that writer
//! also runs on each processor that a thread of the process may run on, once, for tens of microseconds each. For that
//! it needs `sched_setaffinity`, `sched_getaffinity`, `getcpu` and `/proc/self/task`. Each `LeftRightMap` may do so
//! again for readers that have not read since.
//!
//! If the sandbox refuses these calls too, nothing shows whether an idle reader is about to read. Then each reader that
//! was in use before has to read once more. Until it does, removed entries of owned maps are kept, and a publish of a
//! `LeftRightMap` waits for it as for one that holds a guard
//! ([`stalled_readers`](crate::left_right::WriteHandle::stalled_readers) lists it). Allow `membarrier` in the sandbox,
//! or set it up before the first map is made.
//!
//! # After `fork`
//! The child has the memory of all threads and only one of the threads. It may use every map as before, regardless of
//! the guards that other threads held, and its own guards are its own. The copies of the others' guards are never
//! dropped: entries that they could have seen, and all that are removed from then on, are freed with their map and not
//! before. If threads hold guards all the time, let the child do little before it calls `exec`, or set a
//! [limit](crate::HashMap::set_pending_limit).
//!
//! A lock that another thread held at that time stays locked in the child, as any lock does: a bin that was being
//! written, a bag of removed entries. Fork while no thread writes.
//!
//! A reader of a [`LeftRightMap`](crate::LeftRightMap) that another thread had in the middle of a read is stuck in the
//! child for good: the child may read, but `publish` may wait for ever, and `try_publish` fail.
//!
//! # 2^32 bytes in a string
//! Key and value of a [`BytesMap`](crate::BytesMap) have less than 2^32 bytes each.
//! [`try_insert`](crate::BytesMap::try_insert) and the other `try_` methods hand longer ones back. `insert`, `extend`
//! and all other operations that insert panic, and so does a map that is made from an iterator or an array.
//! Deserialization returns an error.
//!
//! # A version comes round after 2^35 writes
//! A bin's state word has 35 bits of version on 64-bit targets, 31 on 32-bit ones. If a reader is stopped between its
//! two loads of the state, while exactly a multiple of that many writes go to the same bin, it takes a torn value for
//! whole. At 7 ns a write, without a pause, that is four minutes (64 bits) or fifteen seconds (32 bits; a
//! microcontroller takes longer for that many writes). If your readers can be stopped that long under such load, in a
//! debugger for example, do not rely on what they read across the stop.
//!
//! # A miss may wait, too
//! While a bin is split, a key that moves is in neither half between two stores. A lookup of that key spins until the
//! second store. A thread that is descheduled just there delays lookups of that bin, hits and misses alike, until it
//! runs again. [`try_get`](crate::FlatMap::try_get) returns `Busy` instead.
//!
//! # A writer that is descheduled inside a bin
//! Writers lock their bin for a few stores. If the scheduler stops a writer there, threads that write to the same bin,
//! or read a key that is in it, spin until it runs again. Other bins are not affected. Nothing is lock-free in the
//! strict sense except a miss outside of splits.
//!
//! With the feature `std`, a thread that has spun for some microseconds yields its core after each further wait. More
//! threads than cores then do little harm. [`FlatTable`](crate::FlatTable) never yields.
//!
//! Waiting assumes that the other thread can run meanwhile. With fixed priorities on one core, a task that spins for a
//! task of lower priority spins for ever: treat the higher one like an interrupt handler, or keep it from running
//! during the lower one's writes.
//!
//! # In interrupt handlers
//! Use [`try_get`](crate::FlatMap::try_get): it takes no lock, allocates nothing and never waits. `len` and `is_empty`
//! are safe, too. [`try_insert`](crate::FlatMap::try_insert) waits for none of the map's locks. But if it adds a key,
//! it may call the allocator, for an overflow line or to grow, and growth may split two segments, 256 bins at most,
//! there and then. A handler that may not call the allocator, or has no time for that, replaces values of existing keys
//! ([`try_update`](crate::FlatMap::try_update)) or removes them ([`try_remove`](crate::FlatMap::try_remove)); neither
//! allocates. Every other method may spin, `stats`, `iter` and `try_reserve` included.
//!
//! In the maps of owned data only `try_get` is for handlers, with a guard of a [`Handle`](crate::owned::Handle) that
//! was made before: `map.with_guard(&handle.pin()).try_get(&key)`. A handler must not take a guard of the interrupted
//! thread: `map.try_get(&key)` and `pin` would end the guard that this thread is just taking, and may have to call the
//! allocator for a slot. The other `try_` methods wait for no thread that writes to a bin. But they allocate. And an
//! entry that was replaced or removed goes into a bag under a short lock, when it is dropped, or within `try_update`
//! and `try_compute`. Another thread of the bag may execute a barrier of the system under that lock.
//!
//! A handler reads a [`LeftRightMap`](crate::LeftRightMap) through a handle that was made before: all reads are
//! wait-free and allocate nothing. A handler that writes has to be the only writer, and publish by `try_publish`. Its
//! changes may call the allocator, those of an inline map too, for growth or a note; they may free replaced entries,
//! and spin for a microsecond. `publish` in a handler would wait for readers that the handler has interrupted.
//!
//! [`FlatTable`](crate::FlatTable) allocates nothing: its `try_get`, `try_insert` and `try_remove` look at sixteen bins
//! at most (32 on 32-bit targets), and handlers may call them without restriction.
//!
//! # A table of fixed size refuses keys before it is full
//! A key of a [`FlatTable`](crate::FlatTable) is in the bin that its hash names or in one of those that follow, and no
//! key is ever moved to make room. [Fill](crate::FlatTable#fill) says how full a table gets, and
//! [`bins_for`](crate::flat::bins_for) leaves room for that. Entries do not move back either, so a table in which
//! entries have come and gone for long answers misses more slowly than one that was just filled. `clear` makes it as
//! new. [`len`](crate::FlatTable::len) looks at every bin.
//!
//! # One key, many writers
//! Writers of one key, or of keys in one bin, exclude each other, in no particular order, and each that failed to lock
//! looks the key up again. Many cores that all count the same key become slower together. Count in parts and add them
//! up.
//!
//! # Closures may be called again
//! [`compute`](crate::FlatMap::compute), [`update`](crate::FlatMap::update) and [`retain`](crate::FlatMap::retain) call
//! their closures again if the bin changed in the meantime, also by a write to another key of the bin. Effects of a
//! closure other than its result may happen more than once. A closure that itself writes to a key of the same bin *each
//! time* it runs, another key included, is called for ever. Write to the map after `update`, not within it.
//! [`HashMap::update`](crate::HashMap::update) and `compute` call again only if the entry itself was replaced or
//! removed.
//!
//! No map has an update that calls its closure exactly once. For that all writers of the key, `insert` and `remove`
//! included, would have to wait while it runs, each write would have to check whether it must, and a closure that calls
//! the map would wait for itself. A [`HashMap`](crate::HashMap::update) may hold values with a lock of their own, which
//! costs other keys nothing.
//!
//! ```
//! use hedgerow::FlatMap;
//!
//! let map: FlatMap<u32, u32> = [(1, 0)].into();
//! let mut asked = 0;
//! map.update(&1, |n| {
//!     asked += 1;
//!     if asked == 1 {
//!         map.insert(1, 5); // stands for another thread's write
//!     }
//!     n + 1
//! });
//! assert_eq!((map.get(&1), asked), (Some(6), 2));
//! ```
//!
//! # No snapshot, and iteration allocates
//! [`iter`](crate::FlatMap::iter) and [`retain`](crate::FlatMap::retain) copy a few bins at a time into a buffer on the
//! heap, and end as `Vec` does if there is no memory for it. They see different bins at different points in time; a
//! [`LeftRightMap`](crate::LeftRightMap) has snapshots. `retain` writes every bin that is not empty, also if it removes
//! nothing.
//!
//! # Memory comes back late
//! - A map never becomes smaller by itself. Removed entries leave room that later ones use;
//!   [`shrink_to_fit`](crate::FlatMap::shrink_to_fit) needs `&mut self`.
//! - When the directory becomes too short, one of twice the length replaces it. When a small map gets its first full
//!   segments, it leaves its small tables behind. The map keeps replaced tables until it is dropped or shrunk,
//!   because a reader may still be inside: small tables of at most 37 bins, and directories that together are about as
//!   large as the current one, which has a word for each segment of up to 128 bins. [`stats`](crate::FlatMap::stats)
//!   counts all of it as `retired_bytes`.
//! - Growth that finds no memory is deferred. The keys stay where they are, in longer overflow, until a later insert
//!   makes the table grow; or, if other threads have grown it further meanwhile, until a bin that comes from a missing
//!   one is due.
//!
//! # 2^28 overflow lines
//! On 64-bit targets a bin has 28 bits for the number of its overflow line, so a map has at most 2^28 lines. A
//! well-hashed map has about one line for 25 to 40 entries, and would reach that at several thousand million entries. A
//! map whose hash is the same for all keys reaches it sooner. Then the next line is refused as if there were no memory.
//!
//! # Keys chosen by an attacker
//! An attacker who knows how your map hashes can choose keys of one hash, or of hashes that agree in the bits that
//! number the bins. All of them are in one bin, in its overflow, which is a list. With `n` of them:
//! - The time to look one up, replace, insert or remove it is proportional to `n`, so inserting all of them takes time
//!   in proportion to the square of `n`; and again in `clone`, `shrink_to_fit` and `collect`, which insert them anew.
//! - Whenever the number of bins has doubled, one insert, not necessarily the attacker's, splits their bin: it hashes
//!   all `n` keys, and may move them under the bin's lock. (It begins again if another thread wrote to the bin
//!   meanwhile, some hundred times at most, and then leaves them where they are.)
//! - A lookup in the list begins again when the bin is written. If that happens all the time, a lookup deep in a long
//!   list may not end, nor may a write; [`try_get`](crate::FlatMap::try_get) returns `Busy`.
//! - Other keys are not affected, unless they are in the same bin. The table becomes no larger than with `n` other
//!   keys, and the list takes its lines once or, after a split, twice: 22 or 43 bytes a key for `u64 → u64` on 64-bit
//!   targets. There is no other bound on `n` than yours: limit what an untrusted client may insert.
//! - [`FlatTable`](crate::FlatTable) gives them sixteen bins (32 on 32-bit targets) and refuses the rest; so it refuses
//!   other keys of those bins, too.
//! - [`HashMap`](crate::HashMap) and [`BytesMap`](crate::BytesMap) are built on the same table and behave the same.
//! - In a [`LeftRightMap`](crate::LeftRightMap) they fill the bins that follow, those of other keys, which become
//!   slower as well; growth moves all of them in one insert. Readers never begin again.
//!
//! The defence is a hash that the attacker does not know. [`DefaultHashBuilder`](crate::flat::DefaultHashBuilder) is
//! keyed anew for each map: with feature `std` from the operating system's entropy, without it from addresses and
//! counters. On a target that starts the same way each time, these are the same each time.
//! [`with_seed`](crate::flat::DefaultHashBuilder::with_seed) and other constant hashers are no defence, nor is
//! [`FixedHashBuilder`](crate::flat::FixedHashBuilder), the default of tables of fixed size. `DefaultHashBuilder` is
//! fast and not cryptographic: if an attacker can measure how long your lookups take, or sees the order of iteration,
//! use `std::hash::RandomState`; without an operating system, use a keyed hasher with a secret of your own.
//!
//! # Page alignment
//! A map of plain data copies keys and values out. In rustc 1.95 (LLVM) a function that has a local aligned to a page,
//! 4096 bytes, and returns early loses the code that aligns its stack frame: iterators of optimised builds returned to
//! wrong addresses. So a [`FlatMap`](crate::FlatMap), [`FlatTable`](crate::FlatTable) or [`FenceMap`](crate::FenceMap)
//! of keys or values with that alignment does not compile. Half a page is fine.
//!
//! ```compile_fail
//! #[derive(Clone, Copy)]
//! #[repr(align(4096))]
//! struct Page([u8; 4096]);
//! hedgerow::FlatMap::<u32, Page>::new().get(&1);
//! ```
//! The other maps store them, but your code runs the same risk wherever it has one on the stack: box them.
//!
//! # Keys and values on the stack
//! Operations take keys and values by value and return copies of them, so a few of each are on the stack at a time,
//! without optimisation ten or more. [`get_each`](crate::FlatMap::get_each) holds sixteen. Growth and walks hold few,
//! or keep them in a buffer on the heap.
//!
//! # Targets
//! - Entries are read and written through `atomic-maybe-uninit`, so that crate has to support the target. On
//!   WebAssembly, one thread is assumed; with the `atomics` target feature the crate refuses to compile unless built
//!   with `--cfg hedgerow_int_words`, which is sound only for keys and values without padding.
//! - Without compare-and-swap, feature `portable-atomic` is needed.
//! - Miri and ThreadSanitizer cannot see through the inline assembly of `atomic-maybe-uninit`. Under `--cfg
//!   hedgerow_int_words` (Miri: by itself) words are plain integers, for payload without padding or pointers.
