//! Left-right or flat? One writer who publishes, or many who write at once.
//!
//! [`LeftRightMap`] is two tables that change places: readers look at the one, its only writer changes the other,
//! and [`publish`] shows all changes together. [`FlatMap`], and [`HashMap`] for owned data, are one table: each
//! write is seen when it returns, by itself.
//!
//! Take a [`LeftRightMap`] where one of these holds, and a [`FlatMap`] or [`HashMap`] otherwise:
//! - Readers need several keys of one moment, or the whole map as it was.
//! - Changes come in batches, and none of a batch may be seen without the others.
//! - A read may wait for nobody, not even for a writer that was descheduled amid a change.
//! - Reads are all that counts, and one thread can do all writing.
//!
//! | | [`LeftRightMap`] | [`FlatMap`], [`HashMap`] |
//! |---|---|---|
//! | a change is seen | with the next [`publish`], as all before it | when the write returns |
//! | several keys | under one [`enter`], of one published state | each of a moment of its own |
//! | a read may miss | what was not published when it began | nothing that was written when it began |
//! | writers | one handle; [`SharedWriteHandle`], a lock, for more | all threads |
//! | readers | each by a handle of its own | all threads, by reference |
//! | a read costs | [two stores and mostly no fence](#what-a-read-costs) | `FlatMap`: a second look at the bin |
//! | a read waits | never | while the key's bin is written |
//! | a write costs | the change, a bin to copy, its part of a `publish` | the change, in a locked bin |
//! | a reader that stays holds up | [publishing](#a-reader-that-does-not-go-on), memory | nobody; `HashMap`: memory |
//! | entries are kept | [`new`]: once, in a box; [`inline`]: in both tables | once; `HashMap`: in a box |
//! | growth | by a third, in one insert | a bounded part in each insert |
//! | an interrupt handler | reads, with a handle made before | calls what begins with `try_` |
//! | without `alloc` | [`LeftRightTable`], which fits a `static` | `FlatTable`, which does too |
//!
//! # What a read costs
//! A read of a [`LeftRightMap`] stores twice to a line that no other reader writes, and loads one word that
//! changes with each publish; in between it is a plain hash table's, and many gets under one [`enter`] share the
//! stores. With feature `std-ext` on Linux a handle that is used at least once between publishes executes no fence; one
//! that was not does so in its next reads, 64 or as many as a barrier of the operating system's is worth. Elsewhere
//! each `enter` and each single get executes one. A read of a [`FlatMap`] stores nothing. A publish costs a fence, a
//! look at the slot of every handle, and each reader two cache misses. Who publishes every change beside busy readers
//! is better served by a [`FlatMap`].
//!
//! # The same service twice
//! A service has a limit for each user, which is reloaded as a whole, and counts what each has used.
//!
//! The limits are left-right. Were they flat, a reader could meet one user's limit of after the reload and
//! another's of before it, or none while the old ones are cleared:
//!
//! ```
//! use hedgerow::LeftRightMap;
//!
//! let (mut limits, reader) = LeftRightMap::<String, u32>::new();
//! let mut reload = |text: &str| {
//!     limits.clear();
//!     for (user, limit) in text.lines().filter_map(|line| line.split_once('=')) {
//!         limits.insert(user.into(), limit.parse().unwrap());
//!     }
//!     limits.publish(); // until here nobody has seen any of it
//! };
//! reload("ann=10\nbob=20");
//! std::thread::scope(|scope| {
//!     scope.spawn(move || {
//!         for _ in 0..100 {
//!             let now = reader.enter();
//!             let both = (now.get("ann").copied(), now.get("bob").copied());
//!             assert!([(Some(10), Some(20)), (Some(30), Some(5))].contains(&both));
//!         }
//!     });
//!     reload("ann=30\nbob=5");
//! });
//! ```
//!
//! What was used is flat. Were it left-right, all threads would count through one handle, in a lock, and read
//! what was published last:
//!
//! ```
//! use hedgerow::{FlatMap, Op};
//!
//! let used = FlatMap::<u32, u32>::new();
//! std::thread::scope(|scope| {
//!     for _ in 0..2 {
//!         scope.spawn(|| {
//!             for user in [1, 2, 1] {
//!                 used.compute(user, |n| Op::Insert(n.unwrap_or(0) + 1));
//!             }
//!         });
//!     }
//! });
//! assert_eq!((used.get(&1), used.get(&2)), (Some(4), Some(2)));
//! ```
//!
//! # A reader that does not go on
//! It may be descheduled amid a read, hold a guard or snapshot for long, or have leaked one (`mem::forget`).
//! Other readers notice nothing. The writer:
//!
//! - The next publish shows the changes once more; nothing is dropped that the reader may be looking at. After
//!   that [`publish`] waits, and [`try_publish`] says [`Pending`], until the reader has gone on. Readers see what was
//!   published last, however old it gets.
//! - Changes go on meanwhile: they are noted beside the tables, an insertion into another hash table each, and
//!   made when the reader has gone on.
//! - [`stalled_readers`] tells whose handles they are, by their [`reader_id`].
//! - Dropping a handle ends whatever was leaked of it. As long as the handle lives, a leaked guard holds the writer
//!   up.
//!
//! # A deadlock to avoid
//! [`publish`] waits until everybody has looked away who was looking before the *last* publish. If that is the thread
//! that calls it, it waits for ever: drop guards and snapshots first, publish in no closure of [`get_with`], or call
//! [`try_publish`], which does not wait:
//!
//! ```
//! use hedgerow::LeftRightMap;
//!
//! let (mut w, r) = LeftRightMap::new();
//! w.insert("rose", 1);
//! w.publish();
//! let rose = r.get("rose").unwrap();
//! w.insert("rose", *rose + 1);
//! w.publish();
//! assert_eq!((*rose, r.get_copied("rose")), (1, Some(2)));
//! w.insert("rose", 3);
//! assert!(w.try_publish().is_err()); // `publish` would wait for `rose`
//! drop(rose);
//! w.publish();
//! ```
//!
//! The same goes for a writer in a lock: whoever waits for that lock with a guard in hand, while its holder publishes,
//! waits for one who waits for it. (A [`SharedWriteHandle`] waits without its lock.) [`wait_for_readers`], [`retain`],
//! [`clear`] and [`shrink_to_fit`] wait for the same readers.
//!
//! [`HashMap`]: crate::HashMap
//! [`FlatMap`]: crate::FlatMap
//! [`LeftRightMap`]: crate::LeftRightMap
//! [`LeftRightTable`]: crate::LeftRightTable
//! [`Pending`]: crate::left_right::Pending
//! [`SharedWriteHandle`]: crate::left_right#many-writers
//! [`clear`]: crate::left_right::WriteHandle::clear
//! [`enter`]: crate::left_right::ReadHandle::enter
//! [`get_with`]: crate::left_right::ReadHandle::get_with
//! [`inline`]: crate::LeftRightMap::inline
//! [`new`]: crate::LeftRightMap::new
//! [`publish`]: crate::left_right::WriteHandle::publish
//! [`reader_id`]: crate::left_right::ReadHandle::reader_id
//! [`wait_for_readers`]: crate::left_right::WriteHandle::wait_for_readers
//! [`retain`]: crate::left_right::WriteHandle::retain
//! [`shrink_to_fit`]: crate::left_right::WriteHandle::shrink_to_fit
//! [`stalled_readers`]: crate::left_right::WriteHandle::stalled_readers
//! [`try_publish`]: crate::left_right::WriteHandle::try_publish
