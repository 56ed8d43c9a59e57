//! Methods that the maps of owned data have in common, written once with their documentation.
//!
//! `$Map` is the map's name, and `$nodes` the field with its [`NodeMap`](super::map::NodeMap), unless the map is one
//! itself. `$query` are the bounds of `Q`, a borrowed form of the key.

/// Writes lookups of `HashMap` and `OrdMap`.
macro_rules! lookup_methods {
    ($Map:ident $(.$nodes:ident)?, where [$($query:tt)*]) => {
        /// Returns the entry of `key`, as [`get`](Self::get) does: a `Ref` gives access to the map's key and to the
        /// value.
        ///
        /// ```
        #[doc = concat!("let map: hedgerow::", stringify!($Map), "<String, u32> = [(\"rose\".into(), 1)].into();")]
        /// assert_eq!(map.get_key_value("rose").unwrap().pair(), (&"rose".into(), &1));
        /// ```
        #[inline]
        pub fn get_key_value<Q>(&self, key: &Q) -> Option<Ref<'_, K, V>>
        where
            $($query)*
        {
            self.get(key)
        }

        /// Returns a clone of the value of `key`. Waits and linearizes as [`get`](Self::get) does. `Clone` runs while
        /// no lock is held.
        ///
        /// ```
        #[doc = concat!("let map: hedgerow::", stringify!($Map), "<u32, String> = [(7, \"seven\".into())].into();")]
        /// assert_eq!(map.get_cloned(&7), Some("seven".into()));
        /// ```
        pub fn get_cloned<Q>(&self, key: &Q) -> Option<V>
        where
            V: Clone,
            $($query)*
        {
            self.get_with(key, V::clone)
        }

        /// Applies `f` to the value of `key` and returns its result, or `None` if the key is absent. `f` runs while no
        /// lock is held.
        ///
        /// ```
        #[doc = concat!("let map: hedgerow::", stringify!($Map), "<u32, String> = [(7, \"seven\".into())].into();")]
        /// assert_eq!(map.get_with(&7, String::len), Some(5));
        /// ```
        #[inline]
        pub fn get_with<Q, T>(&self, key: &Q, f: impl FnOnce(&V) -> T) -> Option<T>
        where
            $($query)*
        {
            self$(.$nodes)?.find(key, &self$(.$nodes)?.readers().pin()).map(|node| f(node.value()))
        }

        /// Returns a clone of the value of `key`, or the default value if the key is absent. Inserts nothing.
        ///
        /// ```
        #[doc = concat!("let map: hedgerow::", stringify!($Map), "<u32, u32> = [(7, 1)].into();")]
        /// assert_eq!((map.get_or_default(&7), map.get_or_default(&8)), (1, 0));
        /// ```
        pub fn get_or_default<Q>(&self, key: &Q) -> V
        where
            V: Clone + Default,
            $($query)*
        {
            self.get_cloned(key).unwrap_or_default()
        }

        /// Returns `true` if the map contains `key`.
        ///
        /// ```
        #[doc = concat!("let map: hedgerow::", stringify!($Map), "<String, u32> = [(\"rose\".into(), 1)].into();")]
        /// assert!(map.contains_key("rose") && !map.contains_key("thorn"));
        /// ```
        #[inline]
        pub fn contains_key<Q>(&self, key: &Q) -> bool
        where
            $($query)*
        {
            self$(.$nodes)?.find(key, &self$(.$nodes)?.readers().pin()).is_some()
        }
    };
}
pub(crate) use lookup_methods;

/// Writes methods of `HashMap` and `OrdMap` that may insert, and may wait for another writer.
macro_rules! blocking_methods {
    ($Map:ident $(.$nodes:ident)?, where [$($query:tt)*]) => {
        /// Returns the value of `key`. If the key is absent, inserts the value that `make` returns.
        ///
        /// `make` runs at most once, while no lock is held. If another thread inserts the key in the meantime, the map
        /// discards the result of `make`, and all callers get the value that is in the map.
        ///
        /// If the key has a value, this waits and linearizes as [`get`](Self::get) does, and allocates nothing.
        /// Otherwise it blocks and allocates as [`insert`](Self::insert) does.
        ///
        /// ```
        #[doc = concat!("let map = hedgerow::", stringify!($Map), "::<String, usize>::new();")]
        /// assert_eq!(*map.get_or_insert_with("rose".into(), || 4), 4);
        /// assert_eq!(*map.get_or_insert_with("rose".into(), || unreachable!()), 4);
        /// ```
        pub fn get_or_insert_with(&self, key: K, make: impl FnOnce() -> V) -> Ref<'_, K, V> {
            self.get_or_insert_with_key(key, |_| make())
        }

        pub(super) fn get_or_insert_with_key(
            &self,
            key: K,
            make: impl FnOnce(&K) -> V,
        ) -> Ref<'_, K, V> {
            let got = self$(.$nodes)?.get_or_insert_by(WaitMode::Blocking, key, make);
            got.unwrap_or_else(out_of_memory::<K, V, _, _>)
        }

        /// Returns the value of `key`. If the key is absent, inserts `value`. Blocks and allocates as
        /// [`get_or_insert_with`](Self::get_or_insert_with) does.
        ///
        /// ```
        #[doc = concat!("let map = hedgerow::", stringify!($Map), "::<u32, char>::new();")]
        /// assert_eq!((*map.get_or_insert(7, 'a'), *map.get_or_insert(7, 'b')), ('a', 'a'));
        /// ```
        pub fn get_or_insert(&self, key: K, value: V) -> Ref<'_, K, V> {
            self.get_or_insert_with(key, || value)
        }

        /// Returns the value of `key`. If the key is absent, calls `make`, and inserts its value if it succeeds.
        ///
        /// If another thread inserts the key while `make` runs, returns that thread's value, or the error of `make`.
        ///
        /// # Errors
        /// The error of `make`. The map inserts nothing then.
        ///
        /// ```
        #[doc = concat!("let map = hedgerow::", stringify!($Map), "::<u32, u8>::new();")]
        /// assert!(map.get_or_try_insert_with(7, || "many".parse()).is_err());
        /// assert_eq!(map.get_or_try_insert_with(7, || "7".parse()).as_deref(), Ok(&7));
        /// ```
        pub fn get_or_try_insert_with<E>(
            &self,
            key: K,
            make: impl FnOnce() -> Result<V, E>,
        ) -> Result<Ref<'_, K, V>, E> {
            if let Some(found) = self.get(&key) {
                // Dropped before the return value is made: if one of them panicked afterwards, the guard of the return
                // value would leak, and keep the garbage of all maps.
                drop((key, make));
                return Ok(found);
            }
            let value = make()?;
            Ok(self.get_or_insert(key, value))
        }

        /// Stores `value` under `key` if the key is absent.
        ///
        /// If the key has a value, this waits and linearizes as [`get`](Self::get) does, and allocates nothing.
        /// Otherwise it blocks and allocates as [`insert`](Self::insert) does.
        ///
        /// # Errors
        /// [`OccupiedError`] if the key has a value. The error returns `key` and `value` to the caller.
        ///
        /// ```
        #[doc = concat!("let map = hedgerow::", stringify!($Map), "::<u32, String>::new();")]
        /// assert_eq!(map.insert_if_absent(7, "seven".into()), Ok(()));
        /// assert_eq!(map.insert_if_absent(7, "VII".into()).unwrap_err().into_parts(), (7, "VII".into()));
        /// ```
        pub fn insert_if_absent(&self, key: K, value: V) -> Result<(), OccupiedError<K, V>> {
            let done = self$(.$nodes)?.insert_if_absent_by(WaitMode::Blocking, key, value);
            done.unwrap_or_else(out_of_memory::<K, V, _, _>)
        }

        pub(super) fn extend_shared(&self, entries: impl IntoIterator<Item = (K, V)>) {
            for (key, value) in entries {
                self.insert(key, value);
            }
        }
    };
}
pub(crate) use blocking_methods;

/// Writes methods of `HashMap` and `OrdMap` that neither wait nor abort.
macro_rules! non_blocking_methods {
    ($Map:ident $(.$nodes:ident)?, where [$($query:tt)*]) => {
        /// Stores `value` under `key` if the key is absent, as [`insert_if_absent`](Self::insert_if_absent) does, but
        /// neither waits nor aborts, and respects the map's [limit](Self::set_pending_limit).
        ///
        /// # Errors
        /// The outer error is one of [`try_insert`](Self::try_insert)'s. The inner one is an [`OccupiedError`]: the key
        /// has a value.
        ///
        /// ```
        #[doc = concat!("let map = hedgerow::", stringify!($Map), "::<u32, char>::new();")]
        /// assert_eq!(map.try_insert_if_absent(7, 'a'), Ok(Ok(())));
        /// assert_eq!(map.try_insert_if_absent(7, 'b').unwrap().unwrap_err().into_parts(), (7, 'b'));
        /// ```
        pub fn try_insert_if_absent(
            &self,
            key: K,
            value: V,
        ) -> Result<Result<(), OccupiedError<K, V>>, TryInsertError<K, V>> {
            let map = &(*self)$(.$nodes)?;
            map.insert_if_absent_by(map.non_blocking(), key, value).map_err(into_error)
        }

        /// Replaces the value of `key` by the result of `f` as [`update`](Self::update) does, but neither waits for
        /// writers nor aborts, and respects the map's [limit](Self::set_pending_limit). It takes a short lock for the
        /// entry that it replaces, so it is not for interrupt handlers. If the key's `Clone` aborts without memory, so
        /// does this method.
        ///
        /// # Errors
        /// Those of [`try_insert`](Self::try_insert). The error contains the value that `f` returned, if the map did
        /// not store it, and no key, because the caller still has it. The map is unchanged. `f` runs at most once: if
        /// another thread replaces the entry in the meantime, the error is `Busy`.
        ///
        /// ```
        #[doc = concat!("let map: hedgerow::", stringify!($Map), "<String, u32> = [(\"rose\".into(), 1)].into();")]
        /// assert_eq!(map.try_update("rose", |count| count + 1).unwrap().as_deref(), Some(&2));
        /// assert_eq!(map.try_update("thorn", |count| count + 1), Ok(None));
        /// ```
        pub fn try_update<Q>(
            &self,
            key: &Q,
            f: impl FnMut(&V) -> V,
        ) -> Result<Option<Ref<'_, K, V>>, TryInsertError<(), Option<V>>>
        where
            K: Clone,
            $($query)*
        {
            let map = &(*self)$(.$nodes)?;
            let mode = map.non_blocking();
            let done = map.update_by(mode, |map, guard| map.find_in(mode, key, guard), f);
            done.map_err(|(why, value)| why.hand_back((), value))
        }

        /// Returns or inserts the value of `key` as [`get_or_insert_with`](Self::get_or_insert_with) does, but neither
        /// waits nor aborts, and respects the map's [limit](Self::set_pending_limit).
        ///
        /// # Errors
        /// Those of [`try_insert`](Self::try_insert). The error contains the value that `make` returned, if it ran.
        ///
        /// ```
        #[doc = concat!("let map = hedgerow::", stringify!($Map), "::<String, usize>::new();")]
        /// assert_eq!(map.try_get_or_insert_with("rose".into(), || 4).as_deref(), Ok(&4));
        /// ```
        pub fn try_get_or_insert_with(
            &self,
            key: K,
            make: impl FnOnce() -> V,
        ) -> Result<Ref<'_, K, V>, TryInsertError<K, Option<V>>> {
            let map = &(*self)$(.$nodes)?;
            map.get_or_insert_by(map.non_blocking(), key, |_| make()).map_err(into_error)
        }

        /// Inserts, replaces, removes or keeps the entry of `key` as [`compute`](Self::compute) does, but neither waits
        /// for writers nor aborts. If `f` decides to insert, it respects the map's [limit](Self::set_pending_limit). It
        /// takes a short lock for an entry that it replaces or removes, so it is not for interrupt handlers.
        ///
        /// # Errors
        /// Those of [`try_insert`](Self::try_insert). The error contains the value that `f` returned, if the map did
        /// not store it. The map is unchanged. `f` runs at most once: if another thread replaces the entry in the
        /// meantime, the error is `Busy`.
        ///
        /// ```
        /// use hedgerow::Op;
        #[doc = concat!("let map = hedgerow::", stringify!($Map), "::<String, u32>::new();")]
        /// let count = |old: Option<&u32>| Op::Insert(old.map_or(1, |old| old + 1));
        /// assert!(map.try_compute("rose".into(), count).is_ok());
        /// assert_eq!(map.try_compute("rose".into(), count).unwrap().after.as_deref(), Some(&2));
        /// ```
        pub fn try_compute(
            &self,
            key: K,
            f: impl FnMut(Option<&V>) -> Op<V>,
        ) -> Result<Computed<Ref<'_, K, V>>, TryInsertError<K, Option<V>>> {
            let map = &(*self)$(.$nodes)?;
            map.compute_by(map.non_blocking(), key, f).map_err(into_error)
        }
    };
}
pub(crate) use non_blocking_methods;

/// Writes lookups of a pinned `HashMap` or `OrdMap`.
macro_rules! pinned_lookup_methods {
    ($Map:ident $(.$nodes:ident)?, where [$($query:tt)*]) => {
        #[doc = concat!("Returns the value of `key`, as [`", stringify!($Map), "::get`] does.")]
        ///
        /// ```
        #[doc = concat!("let map: hedgerow::", stringify!($Map), "<String, u32> = [(\"rose\".into(), 1)].into();")]
        /// let map = map.pin();
        /// assert_eq!((map.get("rose"), map.get("thorn")), (Some(&1), None));
        /// ```
        #[inline]
        pub fn get<Q>(&self, key: &Q) -> Option<&V>
        where
            $($query)*
        {
            self.map()$(.$nodes)?.find(key, self.guard()).map(Live::value)
        }

        /// Returns the key and the value of `key`'s entry.
        ///
        /// ```
        #[doc = concat!("let map: hedgerow::", stringify!($Map), "<String, u32> = [(\"rose\".into(), 1)].into();")]
        /// assert_eq!(map.pin().get_key_value("rose"), Some((&"rose".into(), &1)));
        /// ```
        #[inline]
        pub fn get_key_value<Q>(&self, key: &Q) -> Option<(&K, &V)>
        where
            $($query)*
        {
            self.map()$(.$nodes)?.find(key, self.guard()).map(Live::entry)
        }
    };
}
pub(crate) use pinned_lookup_methods;

/// Writes methods of a pinned `HashMap` or `OrdMap` that may insert.
macro_rules! pinned_methods {
    ($Map:ident $(.$nodes:ident)?) => {
        /// Returns the value of `key`. If the key is absent, inserts the value that `make` returns; see
        #[doc = concat!("[`", stringify!($Map), "::get_or_insert_with`].")]
        ///
        /// ```
        #[doc = concat!("let map = hedgerow::", stringify!($Map), "::<String, usize>::new();")]
        /// assert_eq!(map.pin().get_or_insert_with("rose".into(), || 4), &4);
        /// ```
        pub fn get_or_insert_with(&self, key: K, make: impl FnOnce() -> V) -> &V {
            let (map, mode) = (&(*self.map())$(.$nodes)?, WaitMode::Blocking);
            let got = map.get_or_insert_under(mode, key, |_| make(), self.guard());
            got.unwrap_or_else(out_of_memory::<K, V, _, _>).value()
        }

        /// Returns or inserts the value of `key` as [`get_or_insert_with`](Self::get_or_insert_with) does, but neither
        /// waits nor aborts, and respects the map's
        #[doc = concat!("[limit](", stringify!($Map), "::set_pending_limit). Entries that this guard itself keeps")]
        /// alive count as pending.
        ///
        /// # Errors
        #[doc = concat!("Those of [`", stringify!($Map), "::try_insert`]. The error contains the value that `make`")]
        /// returned, if it ran.
        ///
        /// ```
        #[doc = concat!("let map = hedgerow::", stringify!($Map), "::<String, usize>::new();")]
        /// assert_eq!(map.pin().try_get_or_insert_with("rose".into(), || 4), Ok(&4));
        /// ```
        pub fn try_get_or_insert_with(
            &self,
            key: K,
            make: impl FnOnce() -> V,
        ) -> Result<&V, TryInsertError<K, Option<V>>> {
            let map = &(*self.map())$(.$nodes)?;
            let got = map.get_or_insert_under(map.non_blocking(), key, |_| make(), self.guard());
            got.map(Live::value).map_err(into_error)
        }
    };
}
pub(crate) use pinned_methods;

/// Writes the methods that take a guard. `$example` is a type of map with keys and values of text.
macro_rules! guard_methods {
    ($example:literal) => {
        /// Returns the map with a guard of this thread. Its lookups return plain references.
        ///
        /// Use it for many operations in a row. Until the guard is dropped, no map with the same
        /// [collector](crate::owned::Collector) drops an entry that was removed in the meantime.
        ///
        /// ```
        #[doc = concat!("let map: hedgerow::", $example, " = [(\"rose\", \"red\")].into();")]
        /// let map = map.pin();
        /// let colour = map.get("rose").unwrap();
        /// map.insert("rose", "white");
        /// assert_ne!(colour, map.get("rose").unwrap());
        /// ```
        #[inline(always)]
        pub fn pin(&self) -> Pinned<'_, Self> {
            Pinned::new(self, self.readers().pin())
        }

        /// Returns the map with a guard that the caller has taken.
        ///
        /// Use it to read several maps under one guard. Interrupt handlers and tasks use it with the guard of a
        /// [`Handle`](crate::owned::Handle) of their own.
        ///
        /// # Panics
        /// If the guard is not one of this map's [collector](Self::collector), or if the map has none and the guard is
        /// one of a collector: it would not keep the entries that are found under it.
        ///
        /// ```
        #[doc = concat!("let map: hedgerow::", $example, " = [(\"rose\", \"red\")].into();")]
        /// let handle = hedgerow::owned::Handle::new();
        /// assert!(map.with_guard(&handle.pin()).get("rose").is_some());
        /// ```
        #[inline(always)]
        pub fn with_guard<'a, G: HasGuard>(&'a self, guard: &'a G) -> Pinned<'a, Self, &'a G> {
            self.readers().check(guard.guard());
            Pinned::new(self, guard)
        }

        /// Returns the map with a guard that may move to another thread.
        ///
        /// Use it in futures, which may hold it across an `await`. Claims a slot in the registry of readers. If there
        /// is no memory for a slot, the process aborts, as with the collections of std.
        ///
        /// ```
        /// # fn spawn<F: Future + Send>(_: F) {}
        /// # async fn something() {}
        #[doc = concat!("static MAP: std::sync::LazyLock<hedgerow::", $example, "> =")]
        ///     std::sync::LazyLock::new(Default::default);
        /// spawn(async {
        ///     let map = MAP.pin_owned();
        ///     let colour = map.get("rose");
        ///     something().await;
        ///     println!("{colour:?}");
        /// });
        /// ```
        pub fn pin_owned(&self) -> Pinned<'_, Self, OwnedGuard> {
            Pinned::new(self, self.readers().handle().into_guard())
        }
    };
}
pub(crate) use guard_methods;

/// Writes the methods about the map's collector. `$Map` is the map's name.
macro_rules! collector_methods {
    ($Map:literal) => {
        /// Returns the map with this [`Collector`]. Removed entries then wait for guards of this collector alone, and
        /// the map's operations take such guards.
        ///
        /// Keeps all entries, and drops those that were removed before. Several maps may share a collector.
        ///
        /// ```
        /// use hedgerow::owned::Collector;
        /// let collector = Collector::new();
        #[doc = concat!("let map = hedgerow::", $Map, "::from([(\"rose\", \"red\")]).with_collector(&collector);")]
        /// let other = hedgerow::owned::pin(); // a guard of the maps without a collector
        /// drop(map.remove("rose"));
        /// map.reclaim();
        /// assert_eq!(map.pending(), 0);
        /// ```
        #[must_use]
        pub fn with_collector(mut self, collector: &Collector) -> Self {
            self.set_readers(&Readers::of(collector));
            self
        }

        /// Returns the collector that [`with_collector`](Self::with_collector) has set.
        ///
        /// ```
        #[doc = concat!("let map = hedgerow::", $Map, "::from([(\"rose\", \"red\")]);")]
        /// assert_eq!(map.collector(), None);
        /// ```
        pub fn collector(&self) -> Option<&Collector> {
            self.readers().collector()
        }
    };
}
pub(crate) use collector_methods;

/// Writes the methods about removed entries that wait to be dropped. `$example` is as in `guard_methods`, `$note` a
/// sentence for `pending`, and `$captured` are the type parameters of the map.
macro_rules! garbage_methods {
    ($example:literal, $note:literal, use<$($captured:ident),*>) => {
        /// Returns the number of entries that were replaced or removed, and that the map has not dropped yet.
        ///
        /// The number is exact if there are no concurrent writes, and slightly out of date otherwise. It does not
        /// include an entry that an operation has returned and a thread still holds.
        #[doc = $note]
        ///
        /// ```
        #[doc = concat!("let map: hedgerow::", $example, " = [(\"rose\", \"red\")].into();")]
        /// map.insert("rose", "white");
        /// assert_eq!(map.pending(), 1);
        /// map.reclaim();
        /// ```
        pub fn pending(&self) -> usize {
            self.garbage().pending()
        }

        /// Limits the number of [`pending`](Self::pending) entries, for the methods that can fail.
        ///
        /// These methods respect the limit: [`try_insert`](Self::try_insert),
        /// [`try_insert_if_absent`](Self::try_insert_if_absent), [`try_update`](Self::try_update),
        /// [`try_compute`](Self::try_compute), [`try_get_or_insert_with`](Self::try_get_or_insert_with). `None`, the
        /// default, is no limit.
        ///
        /// If more entries are pending than the limit, these methods first drop the excess. If they cannot, because
        /// readers may still use the entries, they fail. So memory stays bounded even if a thread holds a guard for
        /// ever: these methods stop once `limit` entries are pending, plus one for each thread that is inserting. All
        /// other methods ignore the limit. The entries that they remove or replace count
        /// as pending.
        ///
        /// A short lookup delays the drop of an entry as any other reader does, so a method that failed may succeed
        /// when the caller repeats it. Threads collect garbage in batches. If the limit is less than a few hundred
        /// entries for each thread, writers execute process-wide memory barriers more often.
        ///
        /// ```
        /// use hedgerow::{error::TryInsertError, owned::pin};
        ///
        #[doc = concat!("let map: hedgerow::", $example, " = Default::default();")]
        /// map.set_pending_limit(Some(100));
        /// let guard = pin(); // and never dropped
        /// let refused = (0..).find_map(|_| map.try_insert("rose", "red").err()).unwrap();
        /// assert!(matches!(refused, TryInsertError::Stalled { key: "rose", value: "red", .. }));
        /// assert_eq!(map.pending(), 101);
        /// ```
        pub fn set_pending_limit(&self, limit: Option<usize>) {
            self.garbage().set_limit(limit);
        }

        /// Returns the limit that [`set_pending_limit`](Self::set_pending_limit) has set.
        ///
        /// ```
        #[doc = concat!("let map: hedgerow::", $example, " = Default::default();")]
        /// assert_eq!(map.pending_limit(), None);
        /// ```
        pub fn pending_limit(&self) -> Option<usize> {
            self.garbage().limit()
        }

        /// Returns the readers whose guards are older than some garbage.
        ///
        /// The map cannot drop entries that these readers may use. Maps with the same
        /// [collector](crate::owned::Collector), and all maps without one, share their readers, so the readers of other
        /// maps are included. Checks each reader's slot. Allocates nothing.
        ///
        /// ```
        #[doc = concat!("let map: hedgerow::", $example, " = [(\"rose\", \"red\")].into();")]
        /// let guard = hedgerow::owned::pin();
        /// drop(map.remove("rose"));
        /// map.reclaim();
        /// assert!(map.stalled_readers().any(|stalled| stalled.reader == guard.reader_id()));
        /// ```
        pub fn stalled_readers(&self) -> impl Iterator<Item = Stalled> + use<'_, $($captured),*> {
            self.readers().stalled()
        }
    };
}
pub(crate) use garbage_methods;

/// Writes the methods of `HashMap` and `BytesMap` about their table. `$example` is as in `guard_methods`.
macro_rules! table_methods {
    ($example:literal) => {
        /// Returns the map's hasher.
        ///
        /// ```
        /// use std::hash::BuildHasher;
        #[doc = concat!("let map: hedgerow::", $example, " = Default::default();")]
        /// map.hasher().hash_one("rose");
        /// ```
        pub fn hasher(&self) -> &S {
            &self.inner.hash_builder
        }

        /// Returns the number of entries. The number is exact if there are no concurrent writes, and slightly out of
        /// date otherwise.
        ///
        /// Lock-free. Allocates nothing. Takes constant time.
        ///
        /// ```
        #[doc = concat!("let map: hedgerow::", $example, " = [(\"rose\", \"red\"), (\"thorn\", \"green\")].into();")]
        /// assert_eq!(map.len(), 2);
        /// ```
        pub fn len(&self) -> usize {
            self.nodes().len()
        }

        /// Returns the number of entries that the table can hold before it grows.
        ///
        /// The number is a lower bound. Some bins may need overflow lines before that. Lock-free. Allocates nothing.
        /// Takes constant time.
        ///
        /// ```
        #[doc = concat!("let map: hedgerow::", $example, " = Default::default();")]
        /// assert_eq!(map.capacity(), 0);
        /// map.reserve(1000);
        /// assert!(map.capacity() >= 1000);
        /// ```
        pub fn capacity(&self) -> usize {
            self.nodes().capacity()
        }

        /// Returns `true` if [`len`](Self::len) is 0.
        ///
        /// ```
        #[doc = concat!("let map: hedgerow::", $example, " = Default::default();")]
        /// assert!(map.is_empty());
        /// ```
        pub fn is_empty(&self) -> bool {
            self.len() == 0
        }

        /// Drops all pending entries that no reader can use any more.
        ///
        /// Operations that write do this by themselves, a few entries at a time, and some hundreds of entries late.
        /// Call this method to drop them now. It executes a memory barrier on all threads, checks each reader's slot,
        /// and runs the destructors while no lock is held. If a destructor panics, the remaining entries stay pending.
        /// If a destructor of an entry of this map calls it, it drops nothing.
        ///
        /// ```
        #[doc = concat!("let map: hedgerow::", $example, " = [(\"rose\", \"red\")].into();")]
        /// drop(map.remove("rose"));
        /// map.reclaim();
        /// ```
        pub fn reclaim(&self) {
            self.garbage().reclaim();
        }

        /// Makes room for `additional` more entries, so the table need not grow when they are inserted. Each insertion
        /// still allocates its entry.
        ///
        /// # Panics
        /// If the capacity overflows the address space. If there is no memory, the process aborts, as with the
        /// collections of std.
        ///
        /// ```
        #[doc = concat!("let map: hedgerow::", $example, " = Default::default();")]
        /// map.reserve(1000);
        /// ```
        pub fn reserve(&self, additional: usize) {
            self.try_reserve(additional).unwrap_or_else(|why| reserve_failed(why));
        }

        /// Makes room for `additional` more entries as [`reserve`](Self::reserve) does, or returns an error.
        ///
        /// # Errors
        /// If the capacity overflows the address space, or the allocator fails.
        ///
        /// ```
        /// use hedgerow::error::TryReserveError;
        #[doc = concat!("let map: hedgerow::", $example, " = Default::default();")]
        /// assert_eq!(map.try_reserve(usize::MAX), Err(TryReserveError::CapacityOverflow));
        /// ```
        pub fn try_reserve(&self, additional: usize) -> Result<(), TryReserveError> {
            self.nodes().reserve(additional)
        }

        /// Drops all pending entries, and moves the table's pointers to a smaller table. If there is no memory for
        /// that, the table stays unchanged.
        ///
        /// ```
        #[doc = concat!("let mut map: hedgerow::", $example, " = [(\"rose\", \"red\")].into();")]
        /// map.insert("rose", "white");
        /// map.shrink_to_fit();
        /// assert_eq!((map.len(), map.pending()), (1, 0));
        /// ```
        pub fn shrink_to_fit(&mut self) {
            self.inner.nodes.shrink_to_fit();
        }

        /// Returns statistics of the map. Visits each part of the table's directory.
        ///
        /// ```
        #[doc = concat!("let map: hedgerow::", $example, " = [(\"rose\", \"red\")].into();")]
        /// let stats = map.stats();
        /// assert!(stats.len == 1 && stats.memory_bytes > 0);
        /// ```
        pub fn stats(&self) -> OwnedStats {
            self.nodes().stats()
        }
    };
}
pub(crate) use table_methods;
