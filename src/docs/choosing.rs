//! How to choose a map, an operation and a hasher.
//!
//! # Maps
//! | your keys and values | map |
//! |---|---|
//! | own memory: `String`, `Vec`, `Arc`, types of yours | [`HashMap`] |
//! | strings for strings, many of them | [`BytesMap`], in two thirds of the memory |
//! | `Copy`, read and written by many threads or by an interrupt handler | [`FlatMap`] |
//! | `Copy`, of a known number, in a `static` or without an allocator | [`FlatTable`] |
//! | in key order, with ranges and scans; own memory, as `String` does | [`OrdMap`] |
//! | in key order, with ranges and scans; `Copy` | [`FenceMap`] |
//! | one thread writes; readers never wait, or need a snapshot of several keys | [`LeftRightMap`] |
//! | byte strings within a memory budget, compressed; a cache with times to live | [`CompressedMap`] |
//!
//! [Left-right or flat?](super::left_right_or_flat) compares [`LeftRightMap`] with the others, and
//! [compressing](super::compressing) says how much a `CompressedMap` saves.
//!
//! # Operations
//! An operation has the same name, meaning and error on every map that has it: [`api`](super::api) is the table.
//!
//! | you want to | call | because |
//! |---|---|---|
//! | read | [`get`] | of plain data it returns a copy, and holds nothing; else a [`Ref`](crate::owned::Ref) |
//! | read in an interrupt handler | [`try_get`] | it never waits |
//! | count, or change a value | [`update`], [`compute`] | `get` and then `insert` loses changes in between |
//! | change a value that is not `Clone` | a lock in the value, [in place] | `update` makes a new value |
//! | insert a key only once | [`insert_if_absent`], [`entry`] | one caller gets `Ok`, the others the value |
//! | replace exactly the value that you saw | [`compare_exchange`] | its error is the value that is there instead |
//! | read many keys of a large map | [`get_many`], [`get_each`] | the waits for memory overlap |
//! | walk in steps, as a server does between requests | [`scan`] | its cursor is a plain number |
//! | insert although memory may run out | [`try_insert`] | its error hands key and value back |
//! | let a main loop or a thread grow the map | [`grow_step`], `std_ext::Grower` | inserts then find it done |
//! | grow now instead of later | [`reserve`], [`with_capacity`] | they make the bins at once |
//! | remove by a rule | [`retain`] | it locks nothing while your closure decides |
//! | change many keys of an ordered map atomically | [`apply_batch`] | no thread sees a part of it |
//! | let a thread balance an ordered map | `std_ext::FenceWorkers`, `OrdWorkers` | [when](super::moving_load) |
//! | show many changes together | [`publish`] of a [`LeftRightMap`] | before that, no reader sees any of them |
//! | read many keys of one snapshot | [`enter`] of a [`LeftRightMap`] | all its gets see one published state |
//!
//! Two threads count, and lose nothing:
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
//! # Data that is not `Copy`
//! [`HashMap`] takes keys and values of any type. `get` returns a reference with a guard, which locks nothing: the map
//! drops a removed entry when no guard is left that could see it. [`pin`](crate::HashMap::pin) takes one guard for many
//! lookups, which then return plain references. For strings as keys and values, [`BytesMap`] puts both into one
//! allocation.
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
//! A [`FlatMap`] of references is faster still, if the data outlives the map:
//!
//! ```
//! use hedgerow::FlatMap;
//!
//! let text = String::from("hawthorn hazel hawthorn"); // outlives the map
//! let length = FlatMap::<&str, usize>::new();
//! for word in text.split(' ') {
//!     length.insert(word, word.len());
//! }
//! assert_eq!((length.len(), length.get("hazel")), (2, Some(5)));
//! ```
//!
//! # Keys in order
//! [`FenceMap`] and [`OrdMap`] find a key by its rank, a number that their [`Ranking`](crate::fence::Ranking) computes:
//! for text, the first eight bytes. Keys of equal rank are compared with each other, which costs [`OrdMap`] a cache
//! miss for each. If your keys all begin alike, write a ranking of your own.
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
//! # One writer, and changes that appear together
//! [`LeftRightMap`] takes keys and values of any type and stores each entry once, in a box. If they are `Copy` and take
//! a few words, [`inline`] stores them in both of its tables instead, which saves a lookup the step to the box.
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
//! # A table of fixed size
//! [`FlatTable`] has the operations on one entry, and none that needs memory: no `reserve`, no batches. An operation
//! that may insert a key (`insert`, `insert_if_absent`, `compute`) returns a `Result`, because there may be no room.
//! [`bins_for`](crate::flat::bins_for) computes the number of bins for a number of entries, on each target.
//!
//! ```
//! use hedgerow::{FlatTable, error::Full, flat::bins_for};
//!
//! static ROUTES: FlatTable<u32, u16, { bins_for(300) }> = FlatTable::new();
//!
//! for address in 0..300 {
//!     ROUTES.insert(address, 80)?;
//! }
//! assert_eq!((ROUTES.get(&299), ROUTES.get(&300)), (Some(80), None));
//! # Ok::<(), Full<u32, u16>>(())
//! ```
//!
//! # Hashers
//! [`DefaultHashBuilder`](crate::flat::DefaultHashBuilder) is fast, and keyed differently for each map. It does not
//! resist an attacker who looks for colliding keys. [`FixedHashBuilder`](crate::flat::FixedHashBuilder), the default of
//! tables of fixed size, has no key at all. If an attacker can choose keys, give the map std's keyed hasher, or one of
//! your own:
//!
//! ```
//! use hedgerow::FlatMap;
//! use std::hash::RandomState;
//!
//! let sessions = FlatMap::<u64, u32, RandomState>::default();
//! sessions.insert(0xDEAD, 1);
//! ```
//!
//! The maps use the output of foldhash (the default) and of std's `RandomState` as it is. They multiply and rotate the
//! output of any other hasher once more, so an identity hash of small integers is good enough. A hash that is the same
//! for all keys is correct, and as slow as a list.
//!
//! [`HashMap`]: crate::HashMap
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
