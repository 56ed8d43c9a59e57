//! Migrating from other concurrent maps: which call replaces which, and what behaves differently.
//!
//! - From [dashmap](#from-dashmap), [papaya](#from-papaya), [scc](#from-scc) and
//!   [`RwLock<HashMap>`](#from-rwlockhashmap) to [`HashMap`](crate::HashMap), or to [`FlatMap`](crate::FlatMap) for
//!   `Copy` types.
//! - From [crossbeam-skiplist](#from-crossbeam-skiplist) to [`OrdMap`](crate::OrdMap), or to
//!   [`FenceMap`](crate::FenceMap) for `Copy` types.
//! - From [evmap](#from-evmap), [left-right](#from-left-right), [flashmap](#from-flashmap) and
//!   [arc-swap](#from-arcswaphashmap) to [`LeftRightMap`](crate::LeftRightMap).
//! - From [imbl and rpds](#from-imbl-and-rpds) to [`PersistentMap`](crate::PersistentMap), and from
//!   [`RwLock<BTreeMap>`](#from-rwlockbtreemap) to [`SnapshotMap`](crate::SnapshotMap).
//! - From [moka](#from-moka) and other caches to [`CompressedMap`](crate::CompressedMap).
//!
//! [`HashMap`](crate::HashMap) returns a [`Ref`](crate::owned::Ref), which holds a guard and locks nothing, or plain
//! references from a pinned map. [`FlatMap`](crate::FlatMap) copies values out. Instead of mutable references, both
//! take closures, which run while nothing is locked and may be called again. Read [what differs](#what-differs) before
//! you migrate.
//!
//! # From `dashmap`
//! A `DashMap` deadlocks if a thread writes while it holds a guard of the same shard. Ours do not.
//!
//! | `DashMap` | `HashMap`, `FlatMap` |
//! |---|---|
//! | `map.get(&k).map(\|v\| v.clone())` | `map.get_cloned(&k)`; `FlatMap`: `map.get(&k)` |
//! | `map.get(&k).map(\|v\| *v)` | the same; `FlatMap`: `map.get(&k)` |
//! | `*map.get_mut(&k)? += 1` | `map.update(&k, \|v\| v + 1)`, or [in place](#updating-values-in-place) |
//! | `map.entry(k).or_insert(v)`, `or_default()` | the same; returns a shared `Ref`, or a copy |
//! | `*map.entry(k).or_insert(0) += 1` | `map.entry(k).and_modify(\|n\| *n += 1).or_insert(1)` |
//! | `Entry::Vacant(e)`, `e.insert(v)` | the same, but [returns a `Result`](#what-differs) |
//! | `map.alter(&k, \|k, v\| …)` | `map.update(&k, \|v\| …)` |
//! | `map.view(&k, \|k, v\| …)` | `map.get_with(&k, \|v\| …)` |
//! | `map.remove(&k)` | `map.remove(&k)?.into_owned()`, a clone if a reader has it; `FlatMap`: `map.remove(&k)` |
//! | `map.remove_if(&k, \|k, v\| …)` | the same |
//! | `map.iter()`, `map.try_get(&k)` | the same, and lock nothing |
//! | no support for loom or shuttle | [`docs::model_checking`](super::model_checking) |
//!
//! ```
//! use hedgerow::FlatMap;
//!
//! let map: FlatMap<&str, u32> = [("rose", 1), ("briar", 7)].into();
//! assert_eq!(map.get("rose"), Some(1));
//! assert_eq!(map.update("rose", |v| v + 1), Some(2));
//! assert_eq!(map.entry("rose").and_modify(|v| *v += 1).or_insert(0), 3);
//! assert_eq!(map.entry("thorn").or_default(), 0);
//! assert_eq!(map.get_with("rose", |v| v * 2), Some(6));
//! assert_eq!(map.remove_if("briar", |_, v| *v > 5), Some(7));
//! assert_eq!(map.get("briar"), None);
//! for (word, _) in map.iter() {
//!     map.remove(word); // while iterating: no deadlock
//! }
//! assert_eq!(map.try_get("rose"), Ok(None));
//! ```
//!
//! # From `papaya`
//! | `papaya::HashMap` | `HashMap`, `FlatMap` |
//! |---|---|
//! | `map.pin().get(&k)` | the same, or `map.get(&k)`; `FlatMap` has no guards |
//! | `map.insert(k, v)` → `Option<&V>` | the same → the old entry, which you can take out |
//! | `map.try_insert(k, v)` | `map.insert_if_absent(k, v)`: our `try_insert` fails if it would wait or has no memory |
//! | `map.pin_owned()`, `map.get_or_insert_with(k, f)`, `map.retain(f)` | the same |
//! | `map.update(k, \|v\| …)` → the new value | `map.update(&k, \|v\| …)` → the new value |
//! | `map.update_or_insert(k, f, v)` | `map.entry(k).and_modify(f).or_insert(v)` |
//! | `map.compute(k, \|entry\| Operation::…)` | `map.compute(k, \|value\| Op::…)` |
//! | `guard.flush()`, also of crossbeam-epoch | `map.reclaim()` |
//! | `HashMap::builder().collector(c).build()` | `HashMap::new().with_collector(&c)`; by default all maps share one |
//! | `map.guard()`, `map.owned_guard()` | `collector.pin()`, `collector.handle().into_guard()` |
//!
//! ```
//! use hedgerow::{FlatMap, Op};
//!
//! let map = FlatMap::<u32, u32>::new();
//! assert_eq!(map.insert_if_absent(1, 10), Ok(()));
//! assert_eq!(map.insert_if_absent(1, 20).unwrap_err().current, 10);
//! assert_eq!(map.entry(2).or_insert_with(|| 5), 5);
//! assert_eq!(map.update(&2, |v| v + 1), Some(6));
//! assert_eq!(map.entry(2).and_modify(|v| *v += 1).or_insert(0), 7);
//! let odd = |v: Option<u32>| match v {
//!     Some(v) if v % 2 == 1 => Op::Insert(v + 1),
//!     Some(_) => Op::Keep,
//!     None => Op::Insert(1),
//! };
//! assert_eq!((map.compute(2, odd).after, map.compute(3, odd).after), (Some(8), Some(1)));
//! map.retain(|_, v| { *v += 1; *v > 5 });
//! assert_eq!((map.len(), map.get(&1)), (2, Some(11)));
//! ```
//!
//! # From `scc`
//! | `scc::HashMap` | `HashMap`, `FlatMap` |
//! |---|---|
//! | `map.read_sync(&k, \|_, v\| …)` | `map.get_with(&k, \|v\| …)` |
//! | `map.insert_sync(k, v)` → `Err((k, v))` if present | `map.insert_if_absent(k, v)` → `Err` likewise |
//! | `map.upsert_sync(k, v)` | `map.insert(k, v)` |
//! | `map.update_sync(&k, \|_, v\| …)` | `map.update(&k, \|v\| …)` |
//! | `map.entry_sync(k).or_insert(v)` | `map.entry(k).or_insert(v)` |
//! | `map.remove_if_sync(&k, \|v\| …)` | `map.remove_if(&k, \|_, v\| …)` |
//! | `map.iter_sync(\|k, v\| …)` | `map.iter()`; `FlatMap`: `map.scan(cursor, budget, \|k, v\| …)`, to resume later |
//! | `…_async` | the same methods, which wait no longer than for a writer's few stores |
//!
//! ```
//! use hedgerow::{FlatMap, flat::Cursor};
//!
//! let map = FlatMap::<u32, u32>::new();
//! assert_eq!(map.insert_if_absent(1, 10), Ok(()));
//! assert_eq!(map.insert(1, 11), Some(10));
//! assert_eq!(map.get_with(&1, |v| v + 1), Some(12));
//! assert_eq!(map.update(&1, |v| v * 2), Some(22));
//! assert_eq!(map.entry(2).or_insert(3), 3);
//! let mut sum = 0;
//! map.scan(Cursor::default(), usize::MAX, |_, v| sum += v);
//! assert_eq!(sum, 25);
//! ```
//!
//! # From `RwLock<HashMap>`
//! | `RwLock<HashMap>` | `HashMap`, `FlatMap` |
//! |---|---|
//! | `map.read().unwrap().get(&k).cloned()` | `map.get_cloned(&k)`; `FlatMap`: `map.get(&k)` |
//! | `map.write().unwrap().insert(k, v)` | `map.insert(k, v)` |
//! | `*map.write().unwrap().entry(k).or_insert(0) += 1` | `map.entry(k).and_modify(\|n\| *n += 1).or_insert(1)` |
//! | several changes under one `write()` | each is atomic by itself; for more, use an `OrdMap` or a `LeftRightMap` |
//!
//! # Owned data
//! ```
//! use hedgerow::HashMap;
//!
//! let map = HashMap::<String, Vec<u32>>::new();
//! assert!(map.insert("rose".into(), vec![1]).is_none());
//! assert_eq!(map.pin().get("rose"), Some(&vec![1]));
//! assert_eq!(*map.get_or_insert_with("briar".into(), || vec![7]), [7]);
//! assert_eq!(map.pin_owned().get("briar").map(Vec::len), Some(1));
//! assert_eq!(map.get("briar").map(|v| v.clone()), Some(vec![7]));
//! assert_eq!(map.get_cloned("briar"), Some(vec![7]));
//! map.update("briar", |old| [&old[..], &[8]].concat());
//! assert_eq!(map.get_with("briar", |v| v.len()), Some(2));
//! assert!(map.remove_if("briar", |_, v| v.is_empty()).is_none());
//! assert!(map.insert_if_absent("rose".into(), vec![2]).is_err());
//! let removed = map.remove("rose").unwrap();
//! assert_eq!(*removed, [1]);
//! drop(removed);
//! assert_eq!(map.into_iter().count(), 1);
//! ```
//!
//! A task can iterate under [`pin_owned`](crate::HashMap::pin_owned) across any `await`, as with papaya:
//!
//! ```
//! use hedgerow::HashMap;
//! use std::sync::Arc;
//!
//! # mod tokio { pub fn spawn<F: Future + Send + 'static>(_: F) {} }
//! # async fn write(_: &str, _: u32) {}
//! # async fn run() {
//! let map = Arc::new(HashMap::<String, u32>::new());
//! tokio::spawn(async move {
//!     for (key, value) in map.pin_owned().iter() {
//!         write(key, *value).await;
//!     }
//! });
//! # }
//! ```
//!
//! ## What differs
//! - **Entries lock nothing.** After `entry` has returned `Vacant`, another thread may insert the key.
//!   [`VacantEntry::insert`](crate::entry::VacantEntry::insert) then hands key and value back, as
//!   [`insert_if_absent`](crate::HashMap::insert_if_absent) does.
//! - **Values are dropped later:** by another write to the map, by [`reclaim`](crate::HashMap::reclaim) if no guard
//!   prevents it, or by [`try_into_owned`](crate::owned::Removed::try_into_owned) of the result of `remove`. This
//!   matters if other code waits for the destructor, for instance that of a channel's sender.
//! - **`retain` and `remove_if`** pass `&V` and may call their closure again. They remove an entry even if another
//!   thread is changing its value [in place](#updating-values-in-place).
//! - **Guards are not `Send`**, nor are iterators of the map itself. In async code use
//!   [`get_cloned`](crate::HashMap::get_cloned) or [`pin_owned`](crate::HashMap::pin_owned), whose iterators are
//!   `Send`. To avoid holding a guard for long, copy some entries of an ordered map at a time:
//!   `map.iter_range((Excluded(last), Unbounded)).take(64)`.
//! - **`shrink_to_fit` takes `&mut self`.**
//!
//! ```
//! use hedgerow::HashMap;
//! use std::sync::Arc;
//!
//! let colour = Arc::new("red");
//! let map: HashMap<u32, Arc<&str>> = [(7, Arc::clone(&colour))].into();
//! map.remove(&7);
//! assert_eq!(Arc::strong_count(&colour), 2); // dropped by a later write
//! while map.pending() > 0 {
//!     map.reclaim(); // once, unless another thread has a guard
//! }
//! assert_eq!(Arc::strong_count(&colour), 1);
//! ```
//!
//! ## Updating values in place
//! `update` and `compute` make a new value from the old one. For large values, or types that are not `Clone`, use
//! interior mutability:
//!
//! | Value | Update |
//! |---|---|
//! | an atomic | `map.get_with(&k, \|n\| n.fetch_add(1, Relaxed))` |
//! | `Mutex<V>`, if entries are never removed | `map.get_with(&k, \|v\| v.lock().unwrap().push(7))` |
//! | `Mutex<Option<V>>`, if they are | the function below |
//!
//! If a thread waits for the lock of an entry while another thread removes the entry, its update would be lost. To
//! prevent that, a thread that removes an entry first takes the value out, under the lock, and a thread that finds no
//! value removes the entry and retries. (If the value itself has such a state, for example an empty queue, the `Option`
//! is not needed.)
//!
//! ```
//! use hedgerow::HashMap;
//! use std::hash::Hash;
//! use std::sync::Mutex;
//!
//! type InPlace<K, V> = HashMap<K, Mutex<Option<V>>>;
//!
//! /// Calls `change` with the value of `key`, a new one if there is none. If it returns false, removes the entry.
//! fn change<K: Clone + Eq + Hash, V: Default>(
//!     map: &InPlace<K, V>,
//!     key: &K,
//!     change: impl FnOnce(&mut V) -> bool,
//! ) {
//!     let remove_if_empty = || map.remove_if(key, |_, value| value.lock().unwrap().is_none());
//!     loop {
//!         let entry = map.get_or_insert_with(key.clone(), || Mutex::new(Some(V::default())));
//!         let mut value = entry.lock().unwrap();
//!         if let Some(there) = &mut *value {
//!             if !change(there) {
//!                 *value = None; // permanently
//!                 drop(value); // before `remove_if`, which locks it
//!                 remove_if_empty();
//!             }
//!             return;
//!         }
//!         drop(value);
//!         remove_if_empty();
//!     }
//! }
//!
//! let queues = InPlace::<&str, Vec<u32>>::new();
//! let mut taken = Vec::new();
//! std::thread::scope(|scope| {
//!     scope.spawn(|| {
//!         for n in 0..1000 {
//!             change(&queues, &"rose", |queue| {
//!                 queue.push(n);
//!                 true
//!             });
//!         }
//!     });
//!     while taken.len() < 1000 {
//!         change(&queues, &"rose", |queue| {
//!             taken.append(queue);
//!             false // removes the entry while the other thread adds to it
//!         });
//!     }
//! });
//! assert!(taken.into_iter().eq(0..1000), "no change is lost");
//! assert!(queues.is_empty());
//! ```
//!
//! Within `change`, you may use the map, but not change the same key.
//!
//! # From `crossbeam-skiplist`
//! | `SkipMap<K, V>` | [`OrdMap<K, V>`](crate::OrdMap) |
//! |---|---|
//! | `map.insert(k, v)` → the new `Entry` | `map.insert(k, v)` → the replaced entry |
//! | `map.get("k")` → a reference-counted `Entry` | `map.get("k")` → a `Ref`; `map.pin().get("k")` → `&V` |
//! | `map.get("k").map(\|entry\| entry.value().len())` | `map.get_with("k", \|v\| v.len())` |
//! | `map.remove("k")`, `entry.remove()` | `map.remove("k")`, `map.remove_if("k", …)` |
//! | `map.front()`, `map.back()` | `map.first_key_value()`, `map.last_key_value()` |
//! | `map.lower_bound(Included(k))`, `(Excluded(k))` | `map.ceiling(k)`, `map.successor(k)` |
//! | `map.upper_bound(Included(k))`, `(Excluded(k))` | `map.floor(k)`, `map.predecessor(k)` |
//! | `map.lower_bound(bound)` of a `Bound` | `map.iter_range((bound, Unbounded)).next()` |
//! | `map.pop_front()`, `map.pop_back()` | `map.pop_first()`, `map.pop_last()` |
//! | `map.range(a..b)`, weakly consistent | `map.iter_range(a..b)`, or `map.range(a..b)` for a snapshot |
//! | `map.iter()` | the same, [a leaf at a time](#iterating-over-a-map-that-changes) |
//! | iterators that are `Send` | those of `map.pin_owned()` |
//! | keys that are `Ord` | the same, and `Clone` to insert; a [`Ranking`](crate::fence::Ranking) for your types |
//!
//! ```
//! use hedgerow::OrdMap;
//!
//! let map = OrdMap::<String, Vec<u32>>::new();
//! assert!(map.insert("rose".into(), vec![1]).is_none());
//! assert_eq!(*map.get_or_insert_with("briar".into(), || vec![2]), [2]);
//! assert_eq!(map.get_with("rose", |v| v.len()), Some(1));
//! assert_eq!(map.ceiling("c").unwrap().key(), "rose");
//! assert_eq!(map.range("a".to_string().."c".to_string()).len(), 1);
//! assert_eq!(map.iter_range("c".to_string()..).next_back().unwrap().key(), "rose");
//! assert_eq!(*map.pop_first().unwrap(), [2]);
//! ```
//!
//! ## Iterating over a map that changes
//! The iterators of a `SkipMap` never return an entry that the same thread has removed, and resume after `None`. Ours
//! copy a leaf at a time, so they may return an entry removed since then, and they are fused. Where that matters, query
//! the map for each entry:
//!
//! ```
//! let map: hedgerow::OrdMap<u32, char> = [(1, 'a'), (2, 'b')].into();
//! let mut iter = map.iter();
//! assert_eq!(iter.next().as_deref(), Some(&'a'));
//! map.remove(&2);
//! map.insert(3, 'c');
//! assert_eq!(iter.next().as_deref(), Some(&'b')); // copied before it was removed
//! assert!(iter.next().is_none() && iter.next().is_none());
//!
//! let mut keys = Vec::new();
//! let mut next = map.first_key_value();
//! while let Some(entry) = next {
//!     keys.push(*entry.key());
//!     next = map.successor(entry.key()); // the state of the map at this moment
//! }
//! assert_eq!(keys, [1, 3]);
//! ```
//!
//! # From `evmap`
//! | `evmap` 11 | [`LeftRightMap`](crate::LeftRightMap) |
//! |---|---|
//! | `let (mut w, r) = evmap::new();` | `LeftRightMap::new()` |
//! | `w.update(k, v)` | `w.insert(k, v)`: a key has one value |
//! | `w.insert(k, v)`, which adds a value | values of type `Vec`, and `w.update(&k, \|all\| …)` |
//! | `w.remove_entry(k)`, `w.purge()` | `w.remove(&k)`, `w.clear()` |
//! | `w.publish()`, before 11 `w.refresh()` | `w.publish()`, or [`try_publish`](#publishing-waits-for-readers) |
//! | `w.has_pending()` | `w.has_changes()` |
//! | `r.get_one(&k)` | `r.get(&k)` |
//! | `r.enter()?` | `r.enter()`, also before the first publish |
//! | `w.set_meta(m)`, `r.meta()` | an ordinary entry |
//! | after `drop(w)`, readers get `None` | they keep the last published state; `r.writer()` returns a new writer |
//!
//! ```
//! use hedgerow::LeftRightMap;
//!
//! let (mut w, r) = LeftRightMap::<String, Vec<u32>>::new();
//! assert!(r.enter().is_empty());
//! w.insert("rose".into(), vec![1]);
//! w.update("rose", |all| [&all[..], &[2]].concat());
//! assert!(w.has_changes());
//! w.publish();
//! assert_eq!(r.get("rose").as_deref(), Some(&vec![1, 2]));
//! assert_eq!(r.enter().iter().count(), 1);
//! w.remove("rose");
//! drop(w);
//! assert!(r.factory().handle().contains_key("rose"));
//! let mut w = r.writer().unwrap();
//! w.publish();
//! assert!(!r.contains_key("rose"));
//! w.clear();
//! ```
//!
//! # From `left-right`
//! | `left_right` 0.11 | [`LeftRightMap`](crate::LeftRightMap) |
//! |---|---|
//! | `impl Absorb<Op> for HashMap<K, V>` | not needed: operations are methods, executed once |
//! | `left_right::new::<HashMap<K, V>, Op>()` | `LeftRightMap::<K, V>::new()` |
//! | `w.append(Op::Insert(k, v))` | `w.insert(k, v)`, visible to the writer at once |
//! | many appends | `w.batch()` or `w.extend(…)`, which are faster in a large table |
//! | `w.publish()`, `w.flush()` | `w.publish()`, which does nothing without changes |
//! | `w.try_publish()` → `bool` | `w.try_publish()` → `Err(Pending)`, with the number of stalled readers |
//! | `w.has_pending_operations()` | `w.has_changes()` |
//! | `r.enter()?.get(&k)` | `r.get(&k)`, or `r.enter().get(&k)` |
//! | `ReadGuard::map(r.enter()?, …)` | `r.get(&k).map(\|guard\| ReadGuard::map(guard, …))` |
//! | `--cfg loom` | `--cfg loom` or `--cfg shuttle`: [`docs::model_checking`](super::model_checking) |
//!
//! ```
//! use hedgerow::{LeftRightMap, left_right::ReadGuard};
//!
//! let (mut w, r) = LeftRightMap::<&str, (u32, char)>::new();
//! w.insert("rose", (1, 'a'));
//! w.publish();
//! assert_eq!(r.enter().get("rose"), Some(&(1, 'a')));
//! let letter = r.get("rose").map(|guard| ReadGuard::map(guard, |pair| &pair.1)).unwrap();
//! w.insert("rose", (2, 'b'));
//! assert!(w.try_publish().is_ok() && !w.has_changes());
//! w.remove("rose");
//! assert_eq!(w.try_publish().unwrap_err().readers, 1);
//! assert_eq!((*letter, r.clone().get_copied("rose")), ('a', Some((2, 'b'))));
//! ```
//!
//! ## Publishing waits for readers
//! As in `left-right` and `evmap`, `publish` begins by waiting for readers that have been reading since before the
//! *previous* publish. A thread that publishes twice while it holds a guard deadlocks; `try_publish` returns
//! [`Pending`](crate::left_right::Pending) instead. Replaced entries are dropped by the next change rather than by the
//! next publish, or at once by [`wait_for_readers`](crate::left_right::WriteHandle::wait_for_readers).
//!
//! # From `flashmap`
//! | `flashmap` 0.2 | [`LeftRightMap`](crate::LeftRightMap) |
//! |---|---|
//! | `let (mut write, read) = flashmap::new();` | `LeftRightMap::new()` |
//! | `let mut guard = write.guard();`, which waits | not needed: the handle has the methods |
//! | `guard.insert(k, v)`, `guard.remove(k)` → `Evicted` | `w.insert(k, v)`, `w.remove(&k)` → `bool` |
//! | `guard.replace(k, \|v\| …)` | `w.update(&k, \|v\| …)` |
//! | `guard.publish()`, or dropping it | `w.publish()`; dropping `w` keeps changes for the next writer |
//! | `write.synchronize()` | `w.wait_for_readers()` |
//! | `read.guard().get(&k)` | `r.enter().get(&k)`, or `r.get(&k)` |
//! | `&read` in several threads | a clone for each, or `r.factory()` in all |
//!
//! ```
//! let (mut w, r) = hedgerow::LeftRightMap::<String, u32>::new();
//! assert!(!w.insert("rose".into(), 1));
//! assert!(w.update("rose", |v| v + 1));
//! assert_eq!(w.get("rose"), Some(&2));
//! w.publish();
//! let factory = r.factory();
//! std::thread::scope(|scope| {
//!     scope.spawn(|| assert_eq!(factory.handle().enter().get("rose"), Some(&2)));
//! });
//! assert!(w.remove("rose"));
//! ```
//!
//! # From `ArcSwap<HashMap>`
//! | `arc_swap` | [`LeftRightMap`](crate::LeftRightMap) |
//! |---|---|
//! | `ArcSwap::from_pointee(HashMap::new())` | `LeftRightMap::new()` |
//! | `map.load().get(&k)` | `r.get(&k)` |
//! | `let now = map.load();`, then several gets | `let now = r.enter();` |
//! | `map.load_full()`, kept for long | clone the values you need: a snapshot delays the writer |
//! | `map.rcu(\|map\| …)`, which clones the map | `w.insert(k, v); w.publish();`, which copies changed entries |
//! | `map.store(Arc::new(other))` | `w.clear(); w.extend(other); w.publish();` |
//! | stores by any thread | one writer, or its handle in a lock |
//!
//! ```
//! use hedgerow::LeftRightMap;
//! use std::sync::Mutex;
//!
//! let (w, r) = LeftRightMap::<&str, String>::new();
//! let w = Mutex::new(w);
//! let store = |other: [(&'static str, &str); 2]| {
//!     let mut w = w.lock().unwrap();
//!     w.clear();
//!     w.extend(other.map(|(key, value)| (key, value.to_owned())));
//!     w.publish();
//! };
//! store([("rose", "red"), ("briar", "white")]);
//! let now = r.enter();
//! assert_eq!((now.get("rose").unwrap().len(), now.get("briar").unwrap().len()), (3, 5));
//! drop(now); // before the next `store`, which waits for it
//! store([("rose", "white"), ("elder", "white")]);
//! assert_eq!((r.get_cloned("rose"), r.get_cloned("briar")), (Some("white".into()), None));
//! ```
//!
//! # From `imbl` and `rpds`
//! To [`PersistentMap`](crate::PersistentMap), [`PersistentSet`](crate::PersistentSet) and
//! [`PersistentVec`](crate::PersistentVec), which are ordered; there is no persistent hash map.
//!
//! | `imbl`, `rpds` | here |
//! |---|---|
//! | `map.clone()` | the same |
//! | `map.insert(k, v)`; `rpds`: `map.insert_mut(k, v)` | `map.insert(k, v)` |
//! | `map.update(k, v)`, `map.without(&k)`; `rpds`: `insert`, `remove` | a clone, then `insert` or `remove` |
//! | `map.alter(f, k)` | `map.entry(k)` |
//! | `map.get_prev(&k)`, `map.get_next(&k)` | `map.floor(&k)`, `map.ceiling(&k)` |
//! | `map.diff(&newer)` | the same, with [`DiffItem`](crate::persistent::DiffItem) |
//! | `map.split(&k)`, in linear time | `map.split_off(&k)`, in O(log n) |
//! | `vector.push_back(v)`, `vector.append(other)` | `vec.push(v)`, `vec.append(&mut other)` |
//! | `vector.focus()` | `vec.iter()`, `vec.range(a..b)` |
//! | `Arc<ArcSwap<OrdMap>>` with `rcu` | [`SnapshotMap`](crate::SnapshotMap) with `write` |
//!
//! In Clojure's words: `assoc` is a clone and an `insert`; a transient is a map without clones; `swap!` of an atom is
//! [`write`](crate::SnapshotMap::write), and `compare-and-set!` is [`commit`](crate::SnapshotMap::commit).
//!
//! ```
//! use hedgerow::{PersistentMap, PersistentVec};
//!
//! let mut map: PersistentMap<&str, u32> = [("rose", 1), ("briar", 7)].into();
//! let before = map.clone();
//! *map.entry("rose").or_insert(0) += 1;
//! assert_eq!(before.diff(&map).count(), 1);
//! let mut words: PersistentVec<&str> = before.keys().copied().collect();
//! words.push("thorn");
//! assert_eq!(words.range(1..).collect::<Vec<_>>(), [&"rose", &"thorn"]);
//! ```
//!
//! # From `RwLock<BTreeMap>`
//! | `RwLock<BTreeMap>` | [`SnapshotMap`](crate::SnapshotMap) |
//! |---|---|
//! | `map.read().get(&k).cloned()` | `map.get_cloned(&k)`, or `map.get(&k)` |
//! | `let map = map.read();`, then several lookups | `let map = map.pin();`, or `map.snapshot()` to keep it for long |
//! | `map.read().clone()`, which copies everything | `map.snapshot()`, in O(1) |
//! | `map.write().insert(k, v)` | `map.insert(k, v)` |
//! | `let mut map = map.write();`, then several changes | `map.write(\|map\| …)`, whose closure may be called again |
//! | read, unlock, compute, lock again and compare | `map.commit(&base, &new)` |
//!
//! ```
//! let map = hedgerow::SnapshotMap::from([("rose", 1), ("briar", 7)]);
//! let report = map.snapshot();
//! map.write(|map| {
//!     let all = map.remove("briar").unwrap_or(0);
//!     *map.entry("rose").or_insert(0) += all;
//! });
//! assert_eq!((report.len(), map.get_cloned("rose")), (2, Some(8)));
//! ```
//!
//! # From `moka`
//! [`CompressedMap`](crate::CompressedMap) is a cache of byte strings whose capacity is in bytes, including everything
//! the map itself takes. It compresses rarely read values before it evicts any.
//! [`TypedMap`](crate::compressed::TypedMap) adds types that implement `Encode` and `Decode`, or are wrapped in
//! `Formatted` (feature `serde`). For values that cannot be serialized, and in async code, [put a
//! cell](crate::docs::computing_once) into a [`HashMap`](crate::HashMap) instead.
//!
//! | `moka::sync::Cache` | `TypedMap` over a `CompressedMap` |
//! |---|---|
//! | `Cache::builder().max_capacity(n)`, with a `weigher` | `CompressedMap::builder(bytes).policy(Policy::Evict)` |
//! | `.time_to_live(duration)` | the same |
//! | `.time_to_idle(duration)` | none; entries that have not been read recently are evicted |
//! | an `Expiry` for each entry | `map.insert_for(&k, &v, duration)` |
//! | `.eviction_listener(f)` | `.on_removal(f)`, for expired and evicted entries only |
//! | `cache.get(&k)` → `Option<V>` | `map.get(&k)?` → `Option<V>`: stored bytes may be corrupt |
//! | `cache.get_with(k, make)` | `map.get_or_insert_with(&k, make)?`, which also runs `make` once |
//! | `cache.try_get_with(k, make)` | `map.get_or_try_insert_with(&k, make)?`; after an error the next thread tries |
//! | `cache.insert(k, v)` | `map.insert(&k, &v)?`: the entry may be too long |
//! | `cache.invalidate(&k)`, `invalidate_all()` | `map.remove(&k)`, `map.clear()` |
//! | `cache.invalidate_entries_if(p)` | `map.retain(\|k, v\| …)`, at once |
//! | `cache.run_pending_tasks()` | `map.as_map().expire_step(n)`, from a timer or a thread |
//! | `cache.weighted_size()`, `entry_count()` | `map.stats().memory_bytes`, `map.len()` |
//!
//! - **Expired entries** are never returned. `expire_step`, or a write that needs room, removes them and calls the
//!   listener with the bytes of the entry (`String::decode(key)`).
//! - **Maximum length:** key and value together must fit into a segment of 64 KiB, or less in maps below 4 MiB.
//!   `get_or_insert_with` returns a longer value without storing it.
//!
//! ```
//! use hedgerow::CompressedMap;
//! use hedgerow::compressed::{Policy, TypedMap};
//! use std::time::Duration;
//!
//! let pages = CompressedMap::builder(64 << 20)
//!     .policy(Policy::Evict)
//!     .time_to_live(Duration::from_secs(60))
//!     .build();
//! let pages = TypedMap::<String, String>::new(pages);
//! let page = pages.get_or_insert_with("/roses", || "<h1>Roses</h1>".into())?;
//! assert_eq!(page, "<h1>Roses</h1>");
//! assert_eq!(pages.get("/roses"), Ok(Some(page)));
//! pages.retain(|path, _| !path.starts_with("/roses"));
//! assert!(pages.is_empty());
//! # Ok::<(), hedgerow::compressed::Corrupt>(())
//! ```
