//! Finding a value or storing one in a single step, written once for the maps that have it.
//!
//! Maps of plain data return copies, maps of owned data return guards; within each kind the methods are the same, and a
//! macro writes them and their documentation. [`entry`](super::entry) has the types that `entry` returns.

use crate::api::op::Op;

/// Returns the closure with which `compute` of a map of copies finds a value or stores the one that `make` returns.
/// The closure calls `make` at most once, however often `compute` runs it, and leaves what it returned in `made`.
pub(crate) fn or_insert<K: Copy, V: Copy>(
    key: K,
    make: impl FnOnce(&K) -> V,
    made: &mut Option<V>,
    mut modify: impl FnMut(V) -> Op<V>,
) -> impl FnMut(Option<V>) -> Op<V> {
    let mut make = Some(make);
    move |old| {
        if let Some(value) = old {
            return modify(value);
        }
        if let Some(make) = make.take() {
            *made = Some(make(&key));
        }
        made.map_or(Op::Keep, Op::Insert)
    }
}

/// The number of times that a map of owned data tries to change an entry or to insert one, before it calls `compute`,
/// which needs clones of the key and of the new value. An attempt fails if another thread inserts or removes the key in
/// between, or if the `Hash`, `Eq` or `Ord` of the key contradicts itself.
const ATTEMPTS: usize = 16;

/// Changes the value of `key`, or inserts one, in a map of owned data. Each of the map's four operations is atomic,
/// and the one that succeeds is the last step. `store` inserts whether or not the key has a value.
// The caller's key, value and closures are dropped before the function returns: a destructor that panics after the
// return value exists would leak the guard in it.
pub(crate) fn modify_or_insert<K: Clone, V: Clone, R>(
    mut key: K,
    mut modify: impl FnMut(&mut V),
    make: impl FnOnce(&K) -> V,
    update: impl Fn(&K, &mut dyn FnMut(&V) -> V) -> Option<R>,
    insert_new: impl Fn(K, V) -> Result<R, (K, V)>,
    compute: impl FnOnce(K, &mut dyn FnMut(Option<&V>) -> Op<V>) -> Option<R>,
    store: impl FnOnce(K, V) -> R,
) -> R {
    let mut modify = move |value: &V| {
        let mut value = value.clone();
        modify(&mut value);
        value
    };
    if let Some(found) = update(&key, &mut modify) {
        drop((key, modify, make));
        return found;
    }
    let mut value = make(&key);
    for _ in 0..ATTEMPTS {
        (key, value) = match insert_new(key, value) {
            Ok(inserted) => {
                drop(modify);
                return inserted;
            }
            Err(refused) => refused,
        };
        if let Some(found) = update(&key, &mut modify) {
            drop((key, value, modify));
            return found;
        }
    }
    let mut decide = |old: Option<&V>| Op::Insert(old.map_or_else(|| value.clone(), &mut modify));
    let other = key.clone();
    if let Some(found) = compute(key, &mut decide) {
        drop((other, value, modify));
        return found;
    }
    // `compute` finds an `Ord` that contradicts itself, and then stores nothing. Any result is right, but not a panic.
    drop(modify);
    store(other, value)
}

/// Implements `Entries` for a map of plain data: `entries_of_copies! { [BOUNDS] MAP<K, V, ..> }`.
macro_rules! entries_of_copies {
    ([$($bounds:tt)*] $Map:ty) => {
        impl<$($bounds)*> $crate::api::entry::sealed::Sealed for $Map {}

        impl<$($bounds)*> $crate::api::entry::Entries for $Map {
            type Key = K;
            type Value = V;
            type Found<'a>
                = V
            where
                Self: 'a;
            type Taken<'a>
                = V
            where
                Self: 'a;

            fn value(found: &V) -> &V {
                found
            }

            fn find(&self, key: &K) -> Option<V> {
                self.get(key)
            }

            fn find_or_insert(&self, key: K, make: impl FnOnce(&K) -> V) -> V {
                self.found_or(key, make, |_| Op::Keep)
            }

            fn insert_new(&self, key: K, value: V) -> Result<V, (K, V)> {
                let inserted = self.insert_if_absent(key, value);
                inserted.map(|()| value).map_err(OccupiedError::into_parts)
            }

            fn modify_or_insert(
                &self,
                key: K,
                mut modify: impl FnMut(&mut V),
                make: impl FnOnce(&K) -> V,
            ) -> V {
                self.found_or(key, make, |mut value| {
                    modify(&mut value);
                    Op::Insert(value)
                })
            }

            fn store(&self, key: K, value: V) -> Option<V> {
                self.insert(key, value)
            }

            fn store_and_find(&self, key: K, value: V) -> V {
                self.insert(key, value);
                value
            }

            fn take(&self, key: &K) -> Option<V> {
                self.remove(key)
            }
        }
    };
}
pub(crate) use entries_of_copies;

/// Writes the methods of a map of plain data that find a value or store one. The map has `compute`, and `try_alter`,
/// which neither waits nor aborts.
macro_rules! or_insert_methods {
    ($Map:ident) => {
        /// Returns the value of `key` after the call: the result of `modify` for the value that was found, or the one
        /// that `make` returned.
        #[inline]
        fn found_or(
            &self,
            key: K,
            make: impl FnOnce(&K) -> V,
            modify: impl FnMut(V) -> Op<V>,
        ) -> V {
            let mut made = None;
            let done = self.compute(key, or_insert(key, make, &mut made, modify));
            done.after.expect("the key has a value now")
        }

        /// Returns the entry of `key`, present or absent, to decide what to store there. Waits as [`get`](Self::get)
        /// does; see [`Entry`].
        ///
        /// ```
        #[doc = concat!("let map: hedgerow::", stringify!($Map), "<&str, u32> = [(\"rose\", 1)].into();")]
        /// assert_eq!(map.entry("rose").and_modify(|n| *n += 1).or_insert(1), 2);
        /// ```
        #[inline]
        pub fn entry(&self, key: K) -> Entry<'_, Self> {
            Entry::of(self, key)
        }

        /// Returns the value of `key`. If there is none, calls `make` and stores the value that it returns.
        ///
        /// `make` runs while nothing is locked, at most once, and in vain if another thread inserts the key in the
        /// meantime: all callers get the value that is in the map. Blocks and allocates as [`insert`](Self::insert)
        /// does if the key is absent.
        ///
        /// ```
        #[doc = concat!("let map = hedgerow::", stringify!($Map), "::<u32, usize>::new();")]
        /// assert_eq!(map.get_or_insert_with(7, || 4), 4);
        /// assert_eq!(map.get_or_insert_with(7, || unreachable!()), 4);
        /// ```
        pub fn get_or_insert_with(&self, key: K, make: impl FnOnce() -> V) -> V {
            self.found_or(key, |_| make(), |_| Op::Keep)
        }

        /// Returns the value of `key`, and stores `value` if there is none. Blocks and allocates as
        /// [`get_or_insert_with`](Self::get_or_insert_with) does.
        ///
        /// ```
        #[doc = concat!("let map = hedgerow::", stringify!($Map), "::<u32, char>::new();")]
        /// assert_eq!((map.get_or_insert(7, 'a'), map.get_or_insert(7, 'b')), ('a', 'a'));
        /// ```
        pub fn get_or_insert(&self, key: K, value: V) -> V {
            self.get_or_insert_with(key, || value)
        }

        /// Does what [`get_or_insert_with`](Self::get_or_insert_with) does, if `make` succeeds. If another thread
        /// inserts the key while `make` runs, returns that thread's value, or the error of `make`.
        ///
        /// # Errors
        /// The error of `make`. Then nothing is inserted.
        ///
        /// ```
        #[doc = concat!("let map = hedgerow::", stringify!($Map), "::<u32, u8>::new();")]
        /// assert!(map.get_or_try_insert_with(7, || "many".parse()).is_err());
        /// assert_eq!(map.get_or_try_insert_with(7, || "7".parse()), Ok(7));
        /// ```
        pub fn get_or_try_insert_with<E>(
            &self,
            key: K,
            make: impl FnOnce() -> Result<V, E>,
        ) -> Result<V, E> {
            if let Some(found) = self.get(&key) {
                return Ok(found);
            }
            let value = make()?;
            Ok(self.get_or_insert(key, value))
        }

        /// Does what [`get_or_insert_with`](Self::get_or_insert_with) does, but neither waits nor aborts.
        ///
        /// # Errors
        /// Those of [`try_insert`](Self::try_insert). The error hands back the key, and the value of `make`: None if
        /// `make` was not called.
        ///
        /// ```
        #[doc = concat!("let map = hedgerow::", stringify!($Map), "::<u32, u32>::new();")]
        /// assert_eq!(map.try_get_or_insert_with(1, || 2), Ok(2));
        /// assert_eq!(map.try_get_or_insert_with(1, || unreachable!()), Ok(2));
        /// ```
        pub fn try_get_or_insert_with(
            &self,
            key: K,
            make: impl FnOnce() -> V,
        ) -> Result<V, TryInsertError<K, Option<V>>> {
            let mut made = None;
            match self.try_alter(key, or_insert(key, |_| make(), &mut made, |_| Op::Keep)) {
                Ok(done) => Ok(Self::computed(done).after.expect("the key has a value now")),
                Err(why) => Err(why.hand_back(key, made)),
            }
        }
    };
}
pub(crate) use or_insert_methods;

/// Implements `Entries` for a map of owned data: `entries_of_refs! { [BOUNDS] MAP<K, V, ..>, .FIELD }`. The field is
/// the map's `NodeMap`, unless the map itself is one.
#[cfg(not(hedgerow_loom))]
macro_rules! entries_of_refs {
    ([$($bounds:tt)*] $Map:ty $(, .$nodes:ident)?) => {
        impl<$($bounds)*> $crate::api::entry::sealed::Sealed for $Map {}

        impl<$($bounds)*> $crate::api::entry::Entries for $Map {
            type Key = K;
            type Value = V;
            type Found<'a>
                = Ref<'a, K, V>
            where
                Self: 'a;
            type Taken<'a>
                = Removed<'a, K, V>
            where
                Self: 'a;

            fn value<'f>(found: &'f Ref<'_, K, V>) -> &'f V {
                found.value()
            }

            fn find(&self, key: &K) -> Option<Ref<'_, K, V>> {
                self.get(key)
            }

            fn find_or_insert(&self, key: K, make: impl FnOnce(&K) -> V) -> Ref<'_, K, V> {
                self.get_or_insert_with_key(key, make)
            }

            fn insert_new(&self, key: K, value: V) -> Result<Ref<'_, K, V>, (K, V)> {
                insert_new(&(*self)$(.$nodes)?, key, value)
            }

            fn modify_or_insert(
                &self,
                key: K,
                modify: impl FnMut(&mut V),
                make: impl FnOnce(&K) -> V,
            ) -> Ref<'_, K, V>
            where
                K: Clone,
                V: Clone,
            {
                let update = |key: &K, f: &mut dyn FnMut(&V) -> V| self.update(key, f);
                let insert = |key, value| insert_new(&(*self)$(.$nodes)?, key, value);
                let compute = |key, f: &mut dyn FnMut(Option<&V>) -> _| self.compute(key, f).after;
                let store = |key, value| insert_and_borrow(&(*self)$(.$nodes)?, key, value);
                modify_or_insert(key, modify, make, update, insert, compute, store)
            }

            fn store(&self, key: K, value: V) -> Option<Removed<'_, K, V>> {
                self.insert(key, value)
            }

            fn store_and_find(&self, key: K, value: V) -> Ref<'_, K, V> {
                insert_and_borrow(&(*self)$(.$nodes)?, key, value)
            }

            fn take(&self, key: &K) -> Option<Removed<'_, K, V>> {
                self.remove(key)
            }
        }
    };
}
#[cfg(not(hedgerow_loom))]
pub(crate) use entries_of_refs;

/// Writes `entry` of a map of owned data.
#[cfg(not(hedgerow_loom))]
macro_rules! entry_method {
    ($Map:ident) => {
        /// Returns the entry of `key`, present or absent, to decide what to store there. Waits as [`get`](Self::get)
        /// does; see [`Entry`].
        ///
        /// ```
        #[doc = concat!("let map = hedgerow::", stringify!($Map), "::<&str, u32>::new();")]
        /// for word in ["rose", "thorn", "rose"] {
        ///     map.entry(word).and_modify(|n| *n += 1).or_insert(1);
        /// }
        /// assert_eq!(map.get_cloned("rose"), Some(2));
        /// ```
        pub fn entry(&self, key: K) -> Entry<'_, Self> {
            Entry::of(self, key)
        }
    };
}
#[cfg(not(hedgerow_loom))]
pub(crate) use entry_method;
