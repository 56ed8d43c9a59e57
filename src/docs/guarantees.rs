//! What holds of the maps when threads, panics and failing allocations meet; first, of a [`FlatMap`](crate::FlatMap).
//!
//! # Each key by itself
//! Every operation on one key is linearizable: it takes effect at one moment between its call and
//! its return, for all threads alike, also while the map grows. A value is never torn, whatever its
//! size. A key that is being replaced is never missing, and `remove` returns the value that it
//! removed.
//!
//! [`compute`](crate::FlatMap::compute) and [`update`](crate::FlatMap::update) are atomic: the new
//! value is stored only if the key's bin has not changed since the closure was shown the old one.
//! Otherwise the closure is asked again.
//!
//! # The map as a whole
//! - [`iter`](crate::FlatMap::iter), [`retain`](crate::FlatMap::retain) and
//!   [`clear`](crate::FlatMap::clear) go from bin to bin. Each bin is seen as it was at one moment,
//!   different bins at different moments: there is no snapshot of all of it.
//! - A key that is present from the beginning of `iter` to its end is met exactly once, one that
//!   comes or goes meanwhile at most once, however often bins are split.
//! - [`len`](crate::FlatMap::len) is exact when nobody writes meanwhile.
//!
//! # Who waits for whom
//! - A look-up that finds its key waits while a writer is inside that key's bin, and reads again if
//!   the bin changed while it was read.
//! - A look-up that finds nothing waits while its bin is being split, between two stores. As a hit it
//!   waits where another key of the bin has the same tag (about one chance in 127 for each), or
//!   has overflowed with the same filter number (one in eight, in bins that have overflowed).
//! - [`try_get`](crate::FlatMap::try_get), `try_insert`, `try_compute`, `try_remove` and the like never wait:
//!   they say `Busy` where the others would, and have done nothing.
//! - `insert`, `update`, `remove` and the like wait while another writer is inside the bin, and look
//!   again if the bin changed since it was read.
//! - Growth, within an insert, waits for another thread that splits the same bin, and for two short
//!   locks (directory, overflow lines).
//! - `len` and `is_empty` never wait.
//!
//! "Inside the bin" is a handful of stores; a split is as many as the bin has entries. No user
//! code and no allocator runs there. Waiting is spinning: nothing is ever parked. Readers write
//! nothing shared, so they hold up nobody.
//!
//! On a 32-bit target a tag word has three slots and four filter numbers instead of seven and eight.
//!
//! # A table of fixed size
//! All of this holds of [`FlatTable`](crate::FlatTable) too, growth and memory aside, with two differences.
//! `retain`, `clear` and `iter` go from entry to entry instead of from bin to bin; a key that is removed and
//! inserted again meanwhile may be met again. And `try_insert` and `try_remove`, which may have to lock
//! two bins, say `Busy` where a writer is inside either.
//!
//! # Maps of owned data
//! [`HashMap`](crate::HashMap) and [`BytesMap`](crate::BytesMap) stand on the same table: what is said above of keys,
//! bins and growth holds of them as well. [`OrdMap`](crate::OrdMap) stands on the leaves of a
//! [`FenceMap`](crate::FenceMap). A lookup returns a [`Ref`](crate::owned::Ref), which borrows the entry and holds a
//! [guard](crate::owned::Guard), or from a [pinned](crate::HashMap::pin) map a reference that lives as long as its
//! guard:
//!
//! - No entry that a guard's holder can have met is dropped before the guard is. Nobody waits for a guard: its
//!   thread and all others may write to the same map, and to others, for as long as it is held. What
//!   is removed meanwhile piles up; [`pending`](crate::HashMap::pending) counts it,
//!   [`stalled_readers`](crate::HashMap::stalled_readers) tells whose guard it is, and
//!   [`set_pending_limit`](crate::HashMap::set_pending_limit) bounds it for those who can be refused.
//! - Every key and value is dropped exactly once: by an operation that writes to the same map, at most two
//!   an operation; by [`reclaim`](crate::HashMap::reclaim); when it is taken out as owned
//!   ([`try_into_owned`](crate::owned::Removed::try_into_owned)); or with the map. On which thread is left open.
//! - `Drop` runs with nothing locked, like all your code, and without a guard of the operation that frees garbage: it
//!   may panic, call the map, be slow, or never return. If it panics, the operation in which it ran is done, and no
//!   other entry is lost or dropped twice; entries that were to be dropped with it wait for a later operation. If it is
//!   slow, it holds up its own thread and keeps fifteen other entries at most. While a thread unwinds, its
//!   operations drop nothing by themselves. (If the destructors of two entries panic while a map itself is dropped,
//!   the process aborts, as it does with std's collections.)
//! - A `Drop` that writes to the map whose garbage it belongs to has no other `Drop` of that map run within it: what it
//!   replaces or removes waits for a later operation, and [`reclaim`](crate::HashMap::reclaim) within it drops none.
//!   So the stack does not grow with the garbage. If destructors write to other maps, eight maps at most are freeing
//!   their garbage in one thread, each within a destructor of the one before. Without feature `std` nothing
//!   tells threads apart: there a second operation frees if 64 entries can be freed, a third if 192, and so on,
//!   whichever threads these are in, and eight more that were asked to by `reclaim` or a limit.
//! - If `Hash`, `Eq`, `Ord`, `Clone` or `Borrow` of a key lie, or say something else each time, answers are wrong and
//!   nothing worse: every operation ends, and every key and value is dropped once.
//! - Taking and dropping a guard is wait-free: a load, two stores, and a fence; with feature
//!   `std-ext` on Linux a compiler's fence, and the system's `membarrier` on the side of those who drop.
//! - `insert` stores the new key with the new value. [`compute`](crate::HashMap::compute) and its kin compare
//!   the entry, not the bin: another key's change does not have the closure run again.
//!
//! # Left-right maps
//! What is said above of bins does not hold of a [`LeftRightMap`](crate::LeftRightMap). Instead:
//!
//! - A publish takes effect at one moment, for all readers alike, with all changes since the last. A read takes
//!   effect at one moment too, and a [`Snapshot`](crate::left_right::Snapshot) with everything that is asked of it.
//!   The reads of a handle never go back, and a handle that begins to read after a publish has returned sees it. (A
//!   snapshot that is taken while another of the same handle is held may be newer than that one.)
//! - The writer sees its own changes at once; readers see none before the publish.
//! - Readers wait for nobody, nor do clones of handles and handles that are dropped. Of the writer's methods `publish`,
//!   `wait_for_readers`, `retain`, `clear` and `shrink_to_fit` wait without bound for readers who have been looking
//!   since before the last publish, and the first change after a publish waits for them a while: a microsecond, or once
//!   what the operating system's barrier takes. No other waits. Waiting is spinning, with feature `std` yielding.
//! - Every key and value is dropped exactly once. What no reader can have met is dropped by the operation that replaces
//!   or removes it; what one may have met, by the first of the writer's operations after the publish that took it out
//!   of sight, if nobody looks at it any more: all of it at once, in
//!   [`wait_for_readers`](crate::left_right::WriteHandle::wait_for_readers) for certain. The rest goes with the last
//!   handle, the writer's or a reader's, in its thread.
//! - Bringing one table up to what the other holds runs none of your code. `Hash`, `Eq` and closures run before
//!   anything is changed, a closure once; `retain` asks about one entry after the other. They may panic, and read
//!   the same map through a reader's handle. When an [`inline`](crate::LeftRightMap::inline) table grows, all its
//!   keys are hashed again.
//! - The writer's handle is borrowed while your code runs, so your code cannot use it. A
//!   [`SharedWriteHandle`](crate::left_right::SharedWriteHandle) takes a lock instead: `Hash`, `Eq`, `Clone` and
//!   closures run under it, and panic if they use the handle; `Drop` runs when the lock has been given back.
//! - What readers see is not dropped, whatever `Hash` and `Eq` say: a key that contradicts itself may be found or not.
//!   In an [`inline`](crate::LeftRightMap::inline) map and a [`LeftRightTable`](crate::LeftRightTable), which keep no
//!   hashes, a key whose `Hash` answers otherwise than before may also keep other keys from being found, until the
//!   table grows. (Mostly the tag beside the entry tells.)
//! - If the writer's handle is dropped or its thread panics, readers go on, and
//!   [`ReadHandle::writer`](crate::left_right::ReadHandle::writer) gives another, with all that was drafted.
//! - Reads allocate nothing. A map allocates what its handles share and slots for sixteen handles; then an entry's
//!   box, larger tables, slots for sixteen handles more, and notes about what has changed. Where there is no
//!   memory for a note of a bin that changed, the next publish copies the whole table instead. `try_insert`,
//!   `try_remove`, `try_reserve`, `try_publish` and `try_clone` say that there is no memory, and nothing is lost.
//!
//! # Ordered maps
//! What is said of bins does not hold of a [`FenceMap`](crate::FenceMap) either, nor of a
//! [`OrdMap`](crate::OrdMap). Instead:
//!
//! - Operations on one key are linearizable, and so are those that ask for a neighbour or an end
//!   ([`floor`](crate::FenceMap::floor), [`first_key_value`](crate::FenceMap::first_key_value),
//!   [`pop_last`](crate::FenceMap::pop_last) and the like) and those about a range ([`range`](crate::FenceMap::range),
//!   [`remove_range`](crate::FenceMap::remove_range)), also while leaves are split, joined and moved between fences.
//!   Those that only read agree with a thread about the order of its insert of one key and its look-up of another if it
//!   puts a fence in between ([`ordering`](super::ordering)); `pop_first`, `pop_last`, `remove_range` and batches agree
//!   without, if they change something. `retain`, `clear` and cursors go leaf by leaf, each leaf as of one moment, in
//!   order; so do `iter` and `iter_range`, but in a `FenceMap` eight entries at a time. All meet every key that is
//!   there throughout exactly once.
//! - A look-up, hit or miss, waits while a writer is inside the key's leaf: some tens of stores, or twice a leaf's
//!   entries where it is split. It is tried again if the leaf changed meanwhile; of two threads that write to one leaf
//!   all the time a third may be kept from reading it. [`try_get`](crate::FenceMap::try_get) says `Busy` instead of
//!   waiting.
//! - A range that meets a change is tried eight times, and then locks its leaves one after the other, for as long as
//!   copying them takes; [`try_range_into`](crate::FenceMap::try_range_into) gives up instead.
//! - Balancing ([`rebalance_step`](crate::FenceMap::rebalance_step)) locks no leaf and moves no entry; look-ups do not
//!   notice it.
//! - Rankings, like `Ord`, are asked with nothing locked.
//! - An empty map allocates nothing. Inserts allocate leaves of 128 entries, and what leads to them;
//!   [`range`](crate::FenceMap::range) what it hands out; `remove`, `pop_first` and changes of what is there nothing.
//!   Leaves that have become empty are used again, and freed with the map.
//! - [`apply_batch`](crate::FenceMap::apply_batch) is linearizable as a whole, against single operations, ranges and
//!   other batches. It is planned anew if a leaf changes before it is locked, and nothing bounds how often;
//!   [`try_apply_batch`](crate::FenceMap::try_apply_batch) says `Busy` instead. Either changes all or nothing, also
//!   where memory runs out or your `Ord` panics. [`OrdMap`](crate::OrdMap::apply_batch) has the same:
//!   every entry is made before anything is locked, so that it aborts or unwinds before it changes anything.
//! - `std_ext::FenceWorkers`: whatever was accepted is done once, before the last of them ends; what is not accepted
//!   comes back. A closure that panics fails its own ticket. If a worker's thread dies, the tickets that it leaves
//!   fail, and later requests are done in place. Order is kept among the requests for one key that wait in one queue,
//!   and between a request and one that was made after its ticket was waited for.
//!
//! # Compressed maps
//! Each key is linearizable by itself: a value that was compressed, moved, made hot or folded is the same value, and no
//! read brings an older one back. A value is all of one write. At rest `len` and the figures are exact.
//! Look-ups take no lock. They copy, validate the bin that led them, and decompress what they have copied: damage in
//! memory is an error or, where a codec cannot tell, a wrong value, which
//! [`verify_step`](crate::CompressedMap::verify_step) finds; it is never undefined behaviour. No operation takes a
//! damaged value for an absent one: `get`, `get_with`, `get_into` and `update` return the error, `iter` yields it
//! beside the key, `retain` shows it to its closure, and `export` stops with the key.
//! A value that has expired is absent from the moment at which the map's clock says so; `len` counts it until its
//! memory is freed.
//! Codecs, [`Merge`](crate::compressed::Merge), clocks, listeners, hashers and closures run while no lock is held that
//! a read needs. A codec or `Merge` that panics leaves the map as it was; one that uses its own map may wait for
//! itself. The map checks every length that they return before it writes by it. A codec that compresses to more than
//! its buffer has compressed nothing, a merged value that no segment holds is merged anew by each read, and training
//! that is still pending after 65,536 polls is given up. A call that never returns keeps its own thread, and writers
//! that find no room wait for it.
//!
//! # Your code
//! `Hash`, `Eq`, `Borrow` and all closures run with nothing locked, but for what is said above of left-right maps that
//! several threads write and of compressed maps. They may call the same map, for the same key, and they may panic:
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
//! - A closure may run more than once for one operation; only the last answer counts.
//! - Growth hashes keys again. Where `Hash` panics in an insert's growth, the entry is in the map.
//! - `Eq` and `Hash` that contradict themselves make keys hard to find. They cause no undefined
//!   behaviour and lock nothing.
//!
//! # Memory
//! - An empty map made by `new` or `with_hasher` allocates nothing.
//! - Look-ups, `remove`, `clear` and updates of what is there allocate nothing.
//! - An insert allocates at most for its bin's overflow and for a bounded part of growth. Growth
//!   that gets no memory is put off; the insert has succeeded by then.
//! - `insert` and `compute` end as std's collections do when there is no memory for the entry
//!   itself. Each operation of a [`FlatMap`](crate::FlatMap) that may need memory for an entry has a twin that
//!   gives key and value back instead: [`try_insert`](crate::FlatMap::try_insert), `try_insert_if_absent`,
//!   `try_insert_many`, `try_compute`, `try_compare_exchange`, and an entry's `try_or_insert`.
//!   In the maps of owned data `insert`, `insert_if_absent` and `compute` have such a twin, and `get_or_insert_with` of
//!   a [pinned](crate::HashMap::pin) one; [`try_pin`](crate::owned::try_pin) is that of guards.
//! - Nothing is freed while the map is shared. Memory goes back in
//!   [`shrink_to_fit`](crate::FlatMap::shrink_to_fit) (`&mut self`) and on drop; until then it is
//!   used again within the map.
//!
//! # Threads
//! `FlatMap<K, V, S>` is `Sync` where `K` and `V` are `Send` and `S` is `Sync`: threads hand each
//! other copies, and nobody ever borrows an entry in place.
//!
//! Handles of a `LeftRightMap` can be sent where `K`, `V` and `S` are `Send` and `Sync`. A `WriteHandle` and a
//! `ReadHandleFactory` can be shared as well; a `ReadHandle` is one thread's at a time.
