//! Left-right or flat? One writer that publishes, or many that write at once.
//!
//! A [`LeftRightMap`] is two tables that swap places: readers use one, its only writer changes the other, and
//! [`publish`] shows all changes together. A [`FlatMap`], or a [`HashMap`] for owned data, is one table: each write is
//! visible when it returns.
//!
//! Take a [`LeftRightMap`] if one of these holds, and a [`FlatMap`] or [`HashMap`] otherwise:
//! - Readers need a snapshot of several keys, or of the whole map.
//! - Changes come in batches, and no reader may see a part of a batch.
//! - A read may wait for nothing, not even for a writer that was descheduled in the middle of a change.
//! - Only the speed of reads matters, and one thread can do all writing.
//!
//! | | [`LeftRightMap`] | [`FlatMap`], [`HashMap`] |
//! |---|---|---|
//! | a change becomes visible | with the next [`publish`], together with all before it | when the write returns |
//! | several keys | under one [`enter`], of one published state | each at a point in time of its own |
//! | a read may miss | changes that were not published when it began | nothing that was written when it began |
//! | writers | one handle; [`SharedWriteHandle`], a lock, for more | all threads |
//! | readers | each by a handle of its own | all threads, by reference |
//! | a read costs | [two stores and mostly no fence](#what-a-read-costs) | `FlatMap`: two loads of the bin's state |
//! | a read waits | never | while the key's bin is written |
//! | a write costs | the change, a bin to copy, its part of a `publish` | the change, in a locked bin |
//! | a stuck reader delays | [publishing](#a-stuck-reader), and takes memory | nothing; `HashMap`: takes memory |
//! | an entry is stored | [`new`]: once, in a box; [`inline`]: in both tables | once; `HashMap`: in a box |
//! | growth | by a third, in one insert | a bounded part in each insert |
//! | an interrupt handler | reads, with a handle made before | calls methods that begin with `try_` |
//! | without `alloc` | [`LeftRightTable`], which fits a `static` | `FlatTable`, which does too |
//!
//! # What a read costs
//! A read of a [`LeftRightMap`] stores twice to a line that no other reader writes, and loads one word that changes
//! with each publish. In between it is a plain hash table's, and many gets under one [`enter`] share the stores. With
//! feature `std-ext` on Linux a handle that reads at least once between publishes executes no fence. A handle that did
//! not executes one in each of its next reads, for 64 reads, or for as many as a barrier of the operating system costs.
//! Elsewhere each `enter` and each single get executes one. A read of a [`FlatMap`] stores nothing.
//!
//! A publish costs a fence, a load of every handle's slot, and two cache misses for each reader. To publish every
//! change beside busy readers, use a [`FlatMap`].
//!
//! # The same service twice
//! A service has a limit for each user, reloads all limits at once, and counts what each user has used.
//!
//! The limits are left-right. In a flat map a reader could see the new limit of one user and the old limit of another,
//! or none while the old ones are cleared:
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
//!     limits.publish(); // until here no reader has seen any of it
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
//! The counts are flat. In a left-right map all threads would count through one handle, in a lock, and read what was
//! published last:
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
//! # A stuck reader
//! A reader may be descheduled in the middle of a read, hold a guard or snapshot for long, or leak one (`mem::forget`).
//! Other readers do not notice. The writer does:
//!
//! - The next publish shows the changes once more, and drops nothing that the reader may see. After that [`publish`]
//!   waits, and [`try_publish`] returns [`Pending`], until the reader has finished. Readers see the last
//!   published state, however old it becomes.
//! - Changes go on meanwhile: the writer notes them in a separate table, an insertion into another hash table for each,
//!   and makes them when the reader has finished.
//! - [`stalled_readers`] returns whose handles they are, by their [`reader_id`].
//! - Dropping a handle ends its leaked guards. As long as the handle lives, a leaked guard delays the writer.
//!
//! # A deadlock to avoid
//! [`publish`] waits for every reader that has been reading since before the *last* publish. If that is the thread that
//! calls it, it waits for ever. Drop guards and snapshots first, do not publish in a closure of [`get_with`], or call
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
//! The same holds for a writer in a lock: if a thread holds a guard and waits for that lock, while the lock's holder
//! publishes, each waits for the other. (A [`SharedWriteHandle`] waits without its lock.) [`wait_for_readers`],
//! [`retain`], [`clear`] and [`shrink_to_fit`] wait for the same readers.
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
