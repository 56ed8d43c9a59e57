//! What the maps cannot do, and where each limit comes from: [`FlatMap`](crate::FlatMap) and
//! [`FlatTable`](crate::FlatTable) where no other is named.
//!
//! # Only `Copy` keys and values
//! A reader copies bytes while a writer may be changing them, and looks at them only when it knows
//! that they are whole. It can neither run a `Clone` on such bytes nor keep a writer from freeing
//! what they point to. Nor would "needs no drop" do instead of `Copy`: `ManuallyDrop<Box<T>>` needs
//! none, and its owner may free the box that a reader has just copied. Owned data lives in an
//! [`HashMap`](crate::HashMap), an [`OrdMap`](crate::OrdMap) or a [`BytesMap`](crate::BytesMap), whose
//! readers hold a guard.
//!
//! # A guard keeps garbage, of all maps
//! One announcement serves a thread for all maps, so a guard that is held for long keeps from being dropped
//! what is removed meanwhile from *any* [`HashMap`](crate::HashMap), [`OrdMap`](crate::OrdMap)
//! or [`BytesMap`](crate::BytesMap) of the process. Each [`Ref`](crate::owned::Ref) and each iterator holds one, and so
//! does a [pinned](crate::HashMap::pin) map. Drop them soon; watch
//! [`stalled_readers`](crate::HashMap::stalled_readers). A guard that is leaked (`mem::forget`) is held for
//! ever. An operation holds a guard of its own while it asks closures, `Hash`, `Eq` or `Ord`: if one of these is slow,
//! it keeps garbage like any reader. A slow destructor does not, unless it is that of a key or a value which the
//! operation was given and has not stored.
//!
//! While one guard is held for ever, these grow without a bound:
//!
//! - the entries that wait in each map, by every one that is replaced or removed. Where that must not cost all
//!   memory, [`set_pending_limit`](crate::HashMap::set_pending_limit) has
//!   [`try_insert`](crate::HashMap::try_insert), `try_insert_if_absent`, `try_get_or_insert_with` and `try_compute`
//!   refuse instead. The limit is each map's own, and there is none at first. `insert`, `update`, `extend`,
//!   `apply_batch` and others that have no way to say so go on, and so does `remove`, which adds no more than there is;
//! - clones of keys in an [`OrdMap`](crate::OrdMap), one for each leaf that was joined with another after
//!   tens of its entries were removed. These are not counted, but are bounded where entries are. Of such clones some
//!   hundred may wait even with no guard held.
//!
//! Slots of readers are never given back to the allocator: there are as many as there were guards in different threads,
//! and handles, at one time, rounded up to sixteen.
//!
//! Even with no guard held, some hundred removed entries wait in each map for the next write to it:
//! garbage is dealt with in batches of 256. [`reclaim`](crate::HashMap::reclaim) does it at once.
//!
//! # A reader holds a publish up
//! A [`LeftRightMap`](crate::LeftRightMap) has two tables. While a reader looks at the one that is hidden, the
//! writer can neither change it nor show it: `publish` waits, `try_publish` says
//! [`Pending`](crate::left_right::Pending), and changes are noted beside, which takes memory for each key. What
//! to do about it: [a reader that does not go on](super::left_right_or_flat#a-reader-that-does-not-go-on).
//!
//! - Guards of one handle that overlap count as one, from the first taken to the last dropped. A thread that takes
//!   each before it drops the one before holds the writer up for ever.
//! - Where turns are not told apart for long (32-bit targets), a handle's second look in a row may be taken for its
//!   first, and waited for though it sees the newest state. The third is not.
//! - A handle has 4,095 guards at most at a time (255 on 32-bit targets), leaked ones included; the next read panics.
//!   Dropping the handle ends them all.
//! - With [`publish_every`](crate::left_right::WriteHandle::publish_every), while a reader is stuck each change
//!   that would publish tries again, without waiting.
//!
//! # A slot for each handle
//! A [`ReadHandle`](crate::left_right::ReadHandle) has a slot of 128 bytes to itself. Slots come in blocks of
//! sixteen and are used again, but freed only with the map; each publish looks at all of them, so it costs time
//! by the largest number of handles that there ever were at once. A handle that is leaked keeps its slot, and the
//! map. A [`WriteHandle`](crate::left_right::WriteHandle) that is leaked leaves the map without a writer for good.
//!
//! # Two tables
//! - An [`inline`](crate::LeftRightMap::inline) map keeps each entry twice, in tables of which three quarters are used.
//!   One made by [`new`](crate::LeftRightMap::new) keeps it once, in a box with its hash, and two pointers to it.
//! - A full table is replaced by one a third larger, all in one insert, which places every entry anew. Within
//!   that insert there are both old tables and both new ones, two and a third times the memory of before; somewhat
//!   less until the next publish is over; then one and a third times. [`reserve`] ahead where an insert may not take
//!   so long.
//! - Room goes back to the allocator in [`shrink_to_fit`] and on drop, not before.
//! - There are 2^32 - 1 bins of seven slots at most.
//! - A [`LeftRightTable`](crate::LeftRightTable) refuses changes while a reader is stuck: it has no memory to note
//!   them in.
//!
//! [`reserve`]: crate::left_right::WriteHandle::reserve
//! [`shrink_to_fit`]: crate::left_right::WriteHandle::shrink_to_fit
//!
//! # Turns are counted round
//! The word that says which table is shown counts turns, by 51 bits on 64-bit targets. A handle that does not read
//! while exactly a multiple of 2^51 publishes come and go would look where the table was before them. At a million
//! publishes a second, without a pause, that is 71 years.
//! On 32-bit targets there are only 23 bits, so handles do not go by the number.
//! [`generation`](crate::left_right::ReadHandle::generation) has 64 bits everywhere.
//!
//! # Ordered maps
//! - [`range`](crate::FenceMap::range) copies out what it finds, so that it can be of one moment: for a long one take
//!   [`iter_range`](crate::FenceMap::iter_range), or a cursor.
//! - A range that is read while others write to it all the time locks its leaves in the end, and holds up all who
//!   want them. [`remove_range`](crate::FenceMap::remove_range) and [`apply_batch`](crate::FenceMap::apply_batch) are
//!   never so helped: among writers that do not rest they may begin again without end.
//! - Writers of one leaf exclude each other, so many threads that insert ever greater keys all wait for one leaf.
//!   Fences do not help there, nor where a few keys are hot: a leaf is in one fence.
//! - Keys whose ranks are equal are told apart by `Ord` alone, a binary search through the leaves. On 32-bit targets
//!   ranks have 32 bits.
//! - The first entry costs about six kilobytes, and a map that has shrunk keeps the memory of its leaves until it is
//!   dropped.
//! - Reads leave no trace, so [`rebalance_step`](crate::FenceMap::rebalance_step) balances writes only.
//! - What is said below of versions that come round, and of writers that are descheduled inside a bin, holds of leaves
//!   as well.
//!
//! # A budget that is kept
//! - A [`CompressedMap`](crate::CompressedMap) gives no memory back while it is shared: the index does not shrink, and
//!   segments wait for what comes next. [`shrink`](crate::CompressedMap::shrink) does, as far as it can; what the index
//!   was lent stays with it.
//! - An insert that finds no room sweeps for some, and may be refused although a hundredth of the budget is not used:
//!   room is kept for compaction, and for what codecs may yet learn. In a map of less than 1 MiB, or of segments of
//!   less than 16 KiB, it may be a quarter, which is kept for the index.
//! - While codecs learn they take up to a mebibyte that is not counted. Before they do for the first time so much is
//!   kept free for it.
//! - Records of one map are 32 GiB at most, compressed: the index holds 36 bits of where each lies.
//! - One thread at a time appends, and one sweeps. Who finds the sweeper descheduled while there is no room waits for
//!   it. Reads wait for a bin's writers only, as those of a [`FlatMap`](crate::FlatMap) do.
//! - Of what a codec has learned 32 versions are kept, and none is dropped but by `shrink`.
//! - Where a codec or a [`Merge`](crate::compressed::Merge) finds no memory for what it makes, the process ends as it
//!   does with `Vec`. What the map itself needs is asked for fallibly.
//!
//! # Where there is no `membarrier`
//! Guards of owned data execute no fence, and reads of a `LeftRightMap` mostly none, where the operating system can
//! interrupt all threads of the process instead: with feature `std-ext`, on Linux, unless the system or a sandbox
//! refuses. Everywhere else each guard executes one, and each read of a `LeftRightMap`.
//!
//! A sandbox may be set up when maps are in use already, and refuse `membarrier` from then on. The first writer that
//! meets the refusal tells all readers to execute fences. Readers that rely on the barrier may be about to read, so
//! that writer also runs on each processor that a thread of the process may run on, once, for tens of microseconds
//! each; it needs `sched_setaffinity`, `sched_getaffinity`, `getcpu` and `/proc/self/task`. Each `LeftRightMap` may do
//! so again for readers that have not read since.
//!
//! If the sandbox refuses these calls too, nothing tells whether an idle reader is about to read. Then each reader that
//! was in use before has to read once more: until it does, garbage of owned data stays, and a publish of a
//! `LeftRightMap` waits for it as for one that holds a guard
//! ([`stalled_readers`](crate::left_right::WriteHandle::stalled_readers) lists it). Have such a sandbox allow
//! `membarrier`, or set it up before the first map is made.
//!
//! # After `fork`
//! The child has the memory of all threads and but one of the threads. It may use every map as before, whatever
//! guards other threads held; its own guards are its own. The copies of the others' are never dropped: what
//! they could have met, and whatever is removed from then on, is freed with its map and not before. Where threads
//! hold guards all the time, have the child do little before it calls `exec`, or set a
//! [limit](crate::HashMap::set_pending_limit).
//!
//! A lock that another thread held at that moment stays locked in the child, as any lock does: a bin that was
//! being written, a bag that took garbage in. Fork while nobody writes.
//!
//! A reader of a [`LeftRightMap`](crate::LeftRightMap) that another thread had amid a look is stuck in the child for
//! good: the child may read, but `publish` may wait for ever, and `try_publish` refuse.
//!
//! # 2^32 bytes in a string
//! Key and value of a [`BytesMap`](crate::BytesMap) have less than 2^32 bytes each.
//! [`try_insert`](crate::BytesMap::try_insert) hands longer ones back, `insert` panics.
//!
//! # A version comes round after 2^35 writes
//! A bin's state word has 35 bits of version on 64-bit targets, 31 on 32-bit ones. A reader that is
//! stopped between its two looks at the state, while exactly a multiple of so many writes go to that
//! one bin, would take a torn value for whole. At 7 ns a write, without a pause, that is four minutes
//! (64 bits) or fifteen seconds (32 bits; a microcontroller takes longer for as many writes). If your
//! readers can be stopped that long, in a debugger for example, under such a load, do not rely on
//! what they read across the stop.
//!
//! # Even a miss may wait
//! While a bin is split there is a moment between two stores at which a key that moves is in neither
//! half. Who looks for such a key spins until the second store. A thread that is descheduled just
//! there holds up look-ups of that bin, hits and misses alike, until it runs again.
//! [`try_get`](crate::FlatMap::try_get) says `Busy` instead.
//!
//! # A writer that is descheduled inside a bin
//! Writers lock their bin for a few stores. If the scheduler stops one there, whoever wants to write
//! to the same bin, or to read a key that is in it, spins until it runs again. Other bins are
//! not affected. Nothing is lock-free in the strict sense but a miss outside of splits.
//!
//! Spinning assumes that the other one can run meanwhile. With fixed priorities on one core, a task
//! that spins for a task of lower priority spins for ever: treat the higher one like an interrupt
//! handler, or keep it from running during the lower one's writes.
//!
//! # In interrupt handlers
//! Use [`try_get`](crate::FlatMap::try_get): it takes no lock, allocates nothing and never waits.
//! `len` and `is_empty` are safe too. [`try_insert`](crate::FlatMap::try_insert) waits for none of the
//! map's locks, but where it adds a key it may call the allocator, for an overflow line or to grow, and
//! growth may split two segments, 256 bins at most, there and then: a handler that may not call the
//! allocator, or has no time for that, replaces values of keys that are there
//! ([`try_update`](crate::FlatMap::try_update)) or removes them ([`try_remove`](crate::FlatMap::try_remove)),
//! neither of which allocates. What is not called `try_` may spin, `stats` and `iter` included, and so may
//! `try_reserve`.
//!
//! Of the maps of owned data only `try_get` is for handlers, with a guard of a [`Handle`](crate::owned::Handle) that
//! was made before: `map.with_guard(&handle.pin()).try_get(&key)`. (`map.try_get(&key)` may have to claim a slot for
//! its guard, which may call the allocator.) The other `try_` methods wait for no thread that writes to a bin, but
//! allocate, and what they replace or remove is put away under a short lock when it is dropped.
//!
//! A [`LeftRightMap`](crate::LeftRightMap) is read in a handler by a handle that was made before: all reads are
//! wait-free and allocate nothing. A handler that writes has to be the only writer, and publish by `try_publish`;
//! its changes may call the allocator, those of an inline map too, for growth or a note, free what was replaced, and
//! spin for a microsecond. `publish` of a handler would wait for readers that it has interrupted.
//!
//! [`FlatTable`](crate::FlatTable) allocates nothing: its `try_get`, `try_insert` and `try_remove` look at
//! sixteen bins at most (32 on 32-bit targets) and are for handlers without reservation.
//!
//! # A table of fixed size refuses keys before it is full
//! A key of a [`FlatTable`](crate::FlatTable) lies in the bin that its hash names or in one of those that
//! follow, and nothing is ever moved to make room. How full a table gets: see
//! [Fill](crate::FlatTable#fill); [`bins_for`](crate::flat::bins_for) leaves room for that.
//! Since entries do not move back either, one in which entries have come and
//! gone for long answers misses more slowly than one that was just filled. `clear` makes it as new.
//! [`len`](crate::FlatTable::len) looks at every bin.
//!
//! # One key, many writers
//! Writers of one key, or of keys in one bin, take turns, in no particular order, and each that
//! lost its turn looks the key up again. Many cores that all count the same key get slower together
//! and not faster; count in parts and add the parts up.
//!
//! # Closures may be run again
//! [`compute`](crate::FlatMap::compute), [`update`](crate::FlatMap::update) and
//! [`retain`](crate::FlatMap::retain) ask their closures again where the bin changed in the meantime,
//! also by a write to another key of the bin. Effects of a closure other than its answer may happen
//! more than once; and a closure that itself writes to a key of the same bin *each time* it runs,
//! another key included, is asked again for ever. Write to the map after `update`, not within it.
//! [`HashMap::update`](crate::HashMap::update) and `compute` ask again only where the entry itself was replaced
//! or removed.
//!
//! No map has an update that runs its closure exactly once. All writers of the key, `insert` and `remove` included,
//! would have to wait while it runs, each write would have to look whether it must, and a closure that calls the
//! map would wait for itself. A [`HashMap`](crate::HashMap::update) may hold values that bring a lock of their
//! own, which costs nobody else anything.
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
//! [`iter`](crate::FlatMap::iter) and [`retain`](crate::FlatMap::retain) copy a few bins at a time
//! into a buffer on the heap, and end as `Vec` does where there is no memory for it. Entries of different
//! bins are of different moments; a [`LeftRightMap`](crate::LeftRightMap) has snapshots. `retain` writes every bin
//! that is not empty, also where it removes nothing.
//!
//! # Memory comes back late
//! - A map never gets smaller by itself. Removed entries leave room that later ones use;
//!   [`shrink_to_fit`](crate::FlatMap::shrink_to_fit) needs `&mut self`.
//! - When the directory gets too short it is replaced by one twice as long, and when a small map gets
//!   its first full segments it leaves its small tables behind. What is replaced is kept until the map is
//!   dropped or shrunk, since a reader may still stand in it: small tables of at most 37 bins, and
//!   directories that together are about as large as the current one, which has a word for each
//!   segment of up to 128 bins. [`stats`](crate::FlatMap::stats) counts all as `retired_bytes`.
//! - Growth that finds no memory is put off: the keys stay where they are, in longer overflow, until
//!   a later insert asks for growth again; or, where other threads have grown further meanwhile,
//!   until a bin that comes from a missing one is due.
//!
//! # 2^28 overflow lines
//! On 64-bit targets a bin numbers its overflow by 28 bits, so a map has at most 2^28 overflow
//! lines. A well-hashed map has about one line for 25 to 40 entries and would reach that at several
//! thousand million entries. A map whose hash is the same for all keys gets there sooner. Then the
//! next line is refused as if there were no memory.
//!
//! # Keys chosen by an attacker
//! Somebody who knows how your map hashes can choose keys of one hash, or of hashes that agree in the bits that
//! number the bins. They all lie in one bin, in its overflow, which is a list. With `n` of them:
//! - To look one up, replace, insert or remove it takes steps in proportion to `n`, so to insert all of them
//!   takes the square of that; and again in `clone`, `shrink_to_fit` and `collect`, which insert them anew.
//! - Whenever the number of bins has doubled, one insert, not necessarily the attacker's, splits their bin: it
//!   hashes all `n` keys, and may move them under the bin's lock. (It begins again where somebody wrote to
//!   the bin meanwhile, some hundred times at most, and then leaves them where they are.)
//! - A look-up in the list begins again when the bin is written. Where that happens all the time, one deep in a
//!   long list may not come to an end, nor may a write; [`try_get`](crate::FlatMap::try_get) says `Busy`.
//! - Other keys notice nothing, unless they lie in the same bin. The table gets no larger than with `n` other
//!   keys, and the list takes its lines once or, after a split, twice: 22 or 43 bytes a key for `u64 → u64` on
//!   64-bit targets.
//!   There is no other bound on `n` than yours: limit what a stranger may insert.
//! - [`FlatTable`](crate::FlatTable) gives them sixteen bins (32 on 32-bit targets) and refuses the rest; so it
//!   refuses other keys that belong to those bins, too.
//! - [`HashMap`](crate::HashMap) and [`BytesMap`](crate::BytesMap) stand on the same table and behave the same.
//! - In a [`LeftRightMap`](crate::LeftRightMap) they fill the bins that follow, those of other keys, which get
//!   slower as well; growth moves all of them in one insert. Readers never begin again.
//!
//! The defence is a hash that the attacker does not know. [`DefaultHashBuilder`](crate::flat::DefaultHashBuilder)
//! is keyed anew for each map: with feature `std` from the operating system's entropy, without it from addresses
//! and counters, which on a target that starts the same way each time are the same each time;
//! [`with_seed`](crate::flat::DefaultHashBuilder::with_seed) and other constant hashers are no defence, nor is
//! [`FixedHashBuilder`](crate::flat::FixedHashBuilder), the default of tables of fixed size. `DefaultHashBuilder` is
//! fast and not cryptographic: against somebody who can measure how long your look-ups take, or who sees the
//! order of iteration, use `std::hash::RandomState`; without an operating system, a keyed hasher with a secret
//! of your own.
//!
//! # Page alignment
//! A map of plain data copies keys and values out. In rustc 1.95 (LLVM) a function that has a local aligned to a page,
//! 4096 bytes, and returns early loses the code that aligns its stack frame: iterators of optimised builds returned to
//! addresses that are none. So a [`FlatMap`](crate::FlatMap), [`FlatTable`](crate::FlatTable) or
//! [`FenceMap`](crate::FenceMap) of such keys or values does not compile. Half a page is fine.
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
//! - Entries are read and written through `atomic-maybe-uninit`, so the target has to be one that it
//!   knows. On WebAssembly, one thread is assumed; with the `atomics` target feature the crate
//!   refuses to compile unless built with `--cfg hedgerow_int_words`, which is sound only for keys and
//!   values without padding.
//! - Without compare-and-swap, feature `portable-atomic` is needed.
//! - Miri and ThreadSanitizer cannot see through the inline assembly of `atomic-maybe-uninit`;
//!   under `--cfg hedgerow_int_words` (Miri: by itself) words are plain integers, for payload
//!   without padding or pointers.
