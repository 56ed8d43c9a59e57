//! Left-right or flat? One writer that publishes, or many that write in place.
//!
//! A [`FlatMap`] (a [`HashMap`] for owned data) is one table that all threads read and write; each write is visible
//! when it returns. A [`LeftRightMap`] is two tables that swap places: readers use one, the single writer changes the
//! other, and [`publish`] makes all changes visible at once.
//!
//! Choose a [`LeftRightMap`] if
//! - readers need a snapshot of several keys, or of the whole map;
//! - changes come in batches, and no reader may see part of a batch;
//! - a read must never wait, not even for a writer that was preempted in the middle of a change; or
//! - only the speed of reads matters, and one thread can do all the writing.
//!
//! Otherwise choose a [`FlatMap`] or a [`HashMap`].
//!
//! | | [`LeftRightMap`] | [`FlatMap`], [`HashMap`] |
//! |---|---|---|
//! | writes become visible | together, at the next [`publish`] | when the call returns |
//! | consistency | a snapshot under one [`enter`] | linearizable per key |
//! | threads | one writes ([`SharedWriteHandle`]: more, by a lock); a handle for each reader | all read and write |
//! | reads wait | never | while the key's bin is being written |
//! | a stalled reader | [delays publishing](#stalled-readers), costs memory | delays nothing; costs `HashMap` memory |
//! | each entry is stored | once, boxed ([`new`]), or in both tables ([`inline`]) | once; boxed by `HashMap` |
//! | growth | all at once, in one insert | incremental |
//! | interrupt handlers | read, through a handle made before | call `try_` methods |
//!
//! # Cost
//! A read of a [`LeftRightMap`] makes two stores to a cache line that no other reader uses, and loads one word that
//! changes with each publish. The gets under one [`enter`] share this cost. It also executes a fence, except with
//! feature `std-ext` on Linux, for handles that usually read at least once between publishes. A read of a [`FlatMap`]
//! stores nothing.
//!
//! A publish costs a fence, a load of every handle's slot, and two cache misses per reader. If every change has to be
//! published while readers are busy, use a [`FlatMap`].
//!
//! # Stalled readers
//! A reader stalls the writer if it is preempted in the middle of a read, or holds a guard or a snapshot for long.
//! Other readers are not affected, and the writer can continue:
//!
//! - One more publish succeeds, but drops nothing that the stalled reader may still see. After that, [`publish`] waits
//!   and [`try_publish`] returns [`Pending`] until the reader has finished. All readers see the last published state.
//! - Further changes are queued in a separate table, at the cost of a hash table insertion each, and applied when the
//!   reader has finished.
//! - [`stalled_readers`] returns the [`reader_id`] of each handle that delays the writer.
//!
//! # Avoiding deadlock
//! [`publish`] waits for every reader that has been reading since before the *previous* publish. If that reader is the
//! calling thread itself, it waits forever. Drop guards and snapshots before you publish, do not publish in a closure
//! of [`get_with`], or call [`try_publish`], which never waits:
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
//! The same deadlock arises if a thread holds a guard while it waits for a lock around the writer, and the lock's
//! holder publishes. ([`SharedWriteHandle`] waits without holding its lock.) [`wait_for_readers`], [`retain`],
//! [`clear`] and [`shrink_to_fit`] wait for the same readers.
//!
//! [`HashMap`]: crate::HashMap
//! [`FlatMap`]: crate::FlatMap
//! [`LeftRightMap`]: crate::LeftRightMap
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
