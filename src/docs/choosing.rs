//! Choosing a map, an operation and a hasher.
//!
//! # Maps
//! | Keys and values | Map |
//! |---|---|
//! | any types, such as `String`, `Vec`, `Arc` or your own | [`HashMap`] |
//! | byte strings, in two thirds of the memory of a `HashMap` | [`BytesMap`] |
//! | `Copy` types, read and written by many threads or an interrupt handler | [`FlatMap`] |
//! | `Copy` types in a `static`, with a known maximum number of entries | [`FlatTable`] |
//! | any types in key order, with range queries | [`OrdMap`] |
//! | `Copy` types in key order, with range queries | [`FenceMap`] |
//! | any types in key order, with snapshots of the whole map beside many writers | [`SnapshotMap`] |
//! | any types, in values whose clones share structure | [`PersistentMap`] |
//! | any types, with one writer, wait-free reads and snapshots | [`LeftRightMap`] |
//! | byte strings within a memory budget, compressed; caches with TTLs | [`CompressedMap`] |
//!
//! See also [left-right or flat?](super::left_right_or_flat) and [what compression saves](super::compressing).
//!
//! # Operations
//! [`api`](super::api) lists every operation of every map.
//!
//! | To | call | Note |
//! |---|---|---|
//! | read | [`get`] | returns a copy of plain data, a [`Ref`](crate::owned::Ref) otherwise |
//! | read in an interrupt handler | [`try_get`] | never waits |
//! | increment or change a value | [`update`], [`compute`] | `get` followed by `insert` may lose updates |
//! | change a value that is not `Clone` | a lock [in place] | `update` makes a new value |
//! | insert a key only once | [`insert_if_absent`], [`entry`] | one caller succeeds, the others get the value |
//! | compare and swap | [`compare_exchange`] | the error is the current value |
//! | read many keys of a large map | [`get_many`], [`get_each`] | overlaps cache misses |
//! | iterate in small steps | [`scan`] | its cursor is a number, as in Redis's `SCAN` |
//! | survive running out of memory | [`try_insert`] | the error hands key and value back |
//! | grow now | [`reserve`], [`with_capacity`] | |
//! | grow in the background | [`grow_step`], `std_ext::Grower` | takes splits off inserts |
//! | remove by a condition | [`retain`] | locks nothing while your closure runs |
//! | change several keys atomically | [`apply_batch`], [`write`], [`publish`] | no reader sees a part |
//! | read several keys consistently | [`snapshot`], `range` (ordered), [`enter`] (left-right) | all are snapshots |
//! | change what you have read, or nothing | [`commit`] | a transaction, refused on conflict |
//! | balance an ordered map in the background | `std_ext::FenceWorkers` | [seldom needed](super::moving_load) |
//!
//! For example, two threads count without losing an update:
//!
//! ```
//! use hedgerow::{FlatMap, Op};
//!
//! let visits = FlatMap::<u32, u64>::new();
//! std::thread::scope(|scope| {
//!     for _ in 0..2 {
//!         scope.spawn(|| {
//!             for page in 0..1000 {
//!                 visits.compute(page % 10, |n| Op::Insert(n.unwrap_or(0) + 1));
//!             }
//!         });
//!     }
//! });
//! assert_eq!(visits.values().sum::<u64>(), 2000);
//! ```
//!
//! # Types that are not `Copy`
//! `get` of a [`HashMap`] returns a reference with a guard, which locks nothing: the map drops a removed entry once no
//! guard can still refer to it. [`pin`](crate::HashMap::pin) takes one guard for many lookups, which then return plain
//! references. A guard that is held for long [delays reclamation](super::limits#guards-delay-reclamation).
//!
//! ```
//! use hedgerow::HashMap;
//!
//! let colours = HashMap::<String, Vec<&str>>::new();
//! colours.insert("rose".into(), vec!["red", "white"]);
//! let of_rose = colours.get("rose").unwrap();
//! colours.remove("rose"); // waits for no reader, and drops nothing that is borrowed
//! assert_eq!(of_rose.len(), 2);
//! ```
//!
//! If the data outlives the map, a [`FlatMap`] of references such as `FlatMap::<&str, usize>` is faster still.
//!
//! # Sorted keys
//! [`FenceMap`] and [`OrdMap`] find a key by its rank, a number that their [`Ranking`](crate::fence::Ranking) computes:
//! for text, its first eight bytes. Keys of equal rank are compared by `Ord`, at the cost of a cache miss each in an
//! [`OrdMap`]. If all your keys begin with the same bytes, write a ranking of your own.
//!
//! ```
//! use hedgerow::OrdMap;
//! use std::ops::Bound::{Excluded, Included};
//!
//! let index = OrdMap::<String, Vec<u32>>::new();
//! for (page, word) in ["hazel", "elder", "hawthorn", "hazel"].into_iter().enumerate() {
//!     let page = page as u32;
//!     index.compute(word.into(), |pages| {
//!         hedgerow::Op::Insert([pages.map_or(&[][..], |pages| pages), &[page]].concat())
//!     });
//! }
//! let with_h = index.range::<str, _>((Included("h"), Excluded("i")));
//! let counts = with_h.map(|entry| (entry.key().clone(), entry.len()));
//! assert!(counts.eq([("hawthorn".to_string(), 1), ("hazel".to_string(), 2)]));
//! ```
//!
//! # One writer
//! [`LeftRightMap`] makes changes visible together. It takes any types and stores each entry once, in a box. For `Copy`
//! types of a few words, [`inline`] stores them in both of its tables instead, which saves each lookup an indirection.
//!
//! ```
//! let (mut prices, reader) = hedgerow::LeftRightMap::<u32, u64>::inline();
//! prices.extend([(1, 100), (2, 250)]);
//! prices.publish();
//! prices.insert(1, 110);
//! prices.insert(2, 240);
//! let before = reader.enter();
//! assert_eq!(before.get_many([&1, &2]), [Some(&100), Some(&250)]);
//! drop(before);
//! prices.publish();
//! assert_eq!(reader.enter().get_many([&1, &2]), [Some(&110), Some(&240)]);
//! ```
//!
//! # Fixed capacity
//! [`FlatTable`] needs no allocator. Operations that may insert a key return a `Result`, because there may be no room.
//! See [embedded](super::embedded#without-an-allocator).
//!
//! # Hashers
//! [`DefaultHashBuilder`](crate::flat::DefaultHashBuilder) is fast and seeded separately for each map, but an attacker
//! who measures time can find colliding keys. [`FixedHashBuilder`](crate::flat::FixedHashBuilder), the default of
//! tables of fixed size, has no seed at all. If [attackers can choose keys](super::limits#keys-chosen-by-an-attacker),
//! use std's `RandomState` or another keyed hasher:
//!
//! ```
//! use hedgerow::FlatMap;
//! use std::hash::RandomState;
//!
//! let sessions = FlatMap::<u64, u32, RandomState>::default();
//! sessions.insert(0xDEAD, 1);
//! ```
//!
//! The output of hashers other than foldhash (the default) and `RandomState` is mixed once more, so an identity hash of
//! small integers works well. Even a constant hash is correct, but as slow as a list.
//!
//! [`HashMap`]: crate::HashMap
//! [`SnapshotMap`]: crate::SnapshotMap
//! [`PersistentMap`]: crate::PersistentMap
//! [`snapshot`]: crate::SnapshotMap::snapshot
//! [`write`]: crate::SnapshotMap::write
//! [`commit`]: crate::SnapshotMap::commit
//! [`CompressedMap`]: crate::CompressedMap
//! [`OrdMap`]: crate::OrdMap
//! [`FenceMap`]: crate::FenceMap
//! [`FlatMap`]: crate::FlatMap
//! [`FlatTable`]: crate::FlatTable
//! [`LeftRightMap`]: crate::LeftRightMap
//! [`BytesMap`]: crate::BytesMap
//! [`apply_batch`]: crate::FenceMap::apply_batch
//! [`compare_exchange`]: crate::FlatMap::compare_exchange
//! [`compute`]: crate::FlatMap::compute
//! [`enter`]: crate::left_right::ReadHandle::enter
//! [`entry`]: crate::FlatMap::entry
//! [`get`]: crate::FlatMap::get
//! [`get_each`]: crate::FlatMap::get_each
//! [`get_many`]: crate::FlatMap::get_many
//! [`insert_if_absent`]: crate::FlatMap::insert_if_absent
//! [`grow_step`]: crate::FlatMap::grow_step
//! [`inline`]: crate::LeftRightMap::inline
//! [`publish`]: crate::left_right::WriteHandle::publish
//! [`reserve`]: crate::FlatMap::reserve
//! [`retain`]: crate::FlatMap::retain
//! [`scan`]: crate::FlatMap::scan
//! [`try_get`]: crate::FlatMap::try_get
//! [`try_insert`]: crate::FlatMap::try_insert
//! [`update`]: crate::FlatMap::update
//! [in place]: super::coming_from#updating-values-in-place
//! [`with_capacity`]: crate::FlatMap::with_capacity
