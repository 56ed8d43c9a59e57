//! What [`FlatMap`](crate::FlatMap) and [`FlatTable`](crate::FlatTable) cannot do, and where each limit
//! comes from.
//!
//! # Only `Copy` keys and values
//! A reader copies bytes while a writer may be changing them, and looks at them only when it knows
//! that they are whole. It can neither run a `Clone` on such bytes nor keep a writer from freeing
//! what they point to. Nor would "needs no drop" do instead of `Copy`: `ManuallyDrop<Box<T>>` needs
//! none, and its owner may free the box that a reader has just copied. Owned data lives in an
//! [`EntryMap`](crate::EntryMap) or a [`StrMap`](crate::StrMap), whose readers hold a guard.
//!
//! # A guard keeps garbage, of all maps
//! One announcement serves a thread for all maps, so a guard that is held for long keeps from being
//! dropped what is removed meanwhile from *any* [`EntryMap`](crate::EntryMap) or [`StrMap`](crate::StrMap) of the
//! process. Drop guards soon; watch [`stalled_readers`](crate::EntryMap::stalled_readers). A guard that is
//! leaked (`mem::forget`) is held for ever.
//!
//! Even with no guard held, some hundred removed entries wait in each map for the next write to it:
//! garbage is dealt with in batches of 256. [`collect`](crate::EntryMap::collect) does it at once.
//!
//! After `fork`, the child's copies of other threads' guards are never dropped, so what the child removes is
//! freed with the map. As with any lock, a bin that another thread was writing at that moment stays locked.
//!
//! # 2^32 bytes in a string
//! Key and value of a [`StrMap`](crate::StrMap) have less than 2^32 bytes each.
//! [`try_insert`](crate::StrMap::try_insert) hands longer ones back, `insert` panics.
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
//! allocator, or has no time for that, replaces values of keys that are there. Everything else, `stats`
//! and `iter` included, may spin.
//!
//! [`FlatTable`](crate::FlatTable) allocates nothing: its `try_get`, `try_insert` and `try_remove` look at
//! sixteen bins at most (32 on 32-bit targets) and are for handlers without reservation.
//!
//! # A table of fixed size refuses keys before it is full
//! A key of a [`FlatTable`](crate::FlatTable) lies in the bin that its hash names or in one of those that
//! follow, and nothing is ever moved to make room. How full a table gets: see
//! [Fill](crate::FlatTable#fill). Since entries do not move back either, one in which entries have come and
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
//! [`iter`](crate::FlatMap::iter) and [`retain`](crate::FlatMap::retain) copy one bin at a time into
//! a buffer on the heap, and end as `Vec` does where there is no memory for it. Entries of different
//! bins are of different moments. `retain` writes every bin that is not empty, also where
//! it removes nothing.
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
//! # Floods of colliding keys
//! Keys of equal hash lie in one bin's overflow, which is a list: look-ups there take time in
//! proportion to its length, and growth does not shorten it. The default hasher is keyed anew for each
//! map: with feature `std` from the operating system's entropy, without it from addresses and
//! counters, which on a target that starts the same way each time are the same each time. It is fast
//! and not cryptographic: against somebody who can measure how long your look-ups take, use
//! `std::hash::RandomState`; without an operating system, a keyed hasher with a secret of your own.
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
