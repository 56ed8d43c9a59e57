//! `BytesMap`: the `get_or_insert` family, which returns the value of a key or stores one.
#![allow(clippy::type_complexity)] // The signatures show the full results.

use super::bytes_map::{BytesMap, insertion_failed};
use crate::error::TryInsertError;
use crate::reclaim::borrowed::{Pinned, Ref};
use crate::reclaim::guard::HasGuard;
use crate::reclaim::map::NodeMap;
use crate::reclaim::retired::WaitMode;
use core::hash::BuildHasher;

impl<S: BuildHasher> BytesMap<S> {
    /// Returns the value of `key`. If the key is absent, inserts a copy of the value that `make` returns; see
    /// [`HashMap::get_or_insert_with`](super::HashMap::get_or_insert_with).
    ///
    /// # Panics
    /// If the key is absent, and key or value is longer than `u32::MAX` bytes.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::new();
    /// assert_eq!(*map.get_or_insert_with("rose", || "red"), *b"red");
    /// assert_eq!(*map.get_or_insert_with("rose", || -> String { unreachable!() }), *b"red");
    /// ```
    pub fn get_or_insert_with<V: AsRef<[u8]>>(
        &self,
        key: impl AsRef<[u8]>,
        make: impl FnOnce() -> V,
    ) -> Ref<'_, [u8], [u8]> {
        let got = self.inner.get_or_insert_by(WaitMode::Blocking, key.as_ref(), |_| make());
        let got = got.unwrap_or_else(insertion_failed);
        // Dropped before the return value is made: if the key's destructor panicked afterwards, the guard of the return
        // value would leak, and keep the garbage of all maps.
        drop(key);
        got
    }

    /// Returns the value of `key`. If the key is absent, inserts a copy of `value`. Blocks, allocates and panics as
    /// [`get_or_insert_with`](Self::get_or_insert_with) does.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::new();
    /// assert_eq!(*map.get_or_insert("rose", "red"), *b"red");
    /// assert_eq!(*map.get_or_insert("rose", "white"), *b"red");
    /// ```
    pub fn get_or_insert(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Ref<'_, [u8], [u8]> {
        self.get_or_insert_with(key, || value)
    }

    /// Returns the value of `key`. If the key is absent, calls `make`, and inserts its value if it succeeds.
    ///
    /// If another thread inserts the key while `make` runs, returns that thread's value, or the error of `make`.
    ///
    /// # Errors
    /// The error of `make`. The map inserts nothing then.
    ///
    /// # Panics
    /// If the key is absent, and key or value is longer than `u32::MAX` bytes.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::new();
    /// assert_eq!(map.get_or_try_insert_with("rose", || Err::<&str, _>("unknown")), Err("unknown"));
    /// assert_eq!(map.get_or_try_insert_with("rose", || Ok::<_, ()>("red")).as_deref(), Ok(&b"red"[..]));
    /// ```
    pub fn get_or_try_insert_with<V: AsRef<[u8]>, E>(
        &self,
        key: impl AsRef<[u8]>,
        make: impl FnOnce() -> Result<V, E>,
    ) -> Result<Ref<'_, [u8], [u8]>, E> {
        if let Some(found) = self.get(key.as_ref()) {
            // As in `get_or_insert_with`: before the return value is made.
            drop((key, make));
            return Ok(found);
        }
        let value = make()?;
        Ok(self.get_or_insert(key, value))
    }

    /// Returns or inserts the value of `key` as [`get_or_insert_with`](Self::get_or_insert_with) does, but neither
    /// waits, nor panics, nor aborts, and respects the map's [limit](Self::set_pending_limit).
    ///
    /// # Errors
    /// Those of [`try_insert`](Self::try_insert). The error contains the value that `make` returned, if it ran.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::new();
    /// assert_eq!(map.try_get_or_insert_with("rose", || "red").as_deref(), Ok(&b"red"[..]));
    /// ```
    pub fn try_get_or_insert_with<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        key: K,
        make: impl FnOnce() -> V,
    ) -> Result<Ref<'_, [u8], [u8]>, TryInsertError<K, Option<V>>> {
        let mode = self.inner.non_blocking();
        match self.inner.get_or_insert_by(mode, key.as_ref(), |_| make()) {
            Ok(got) => {
                // As in `get_or_insert_with`: before the return value is made.
                drop(key);
                Ok(got)
            }
            Err((why, _, value)) => Err(why.hand_back(key, value)),
        }
    }
}

impl<S: BuildHasher, G: HasGuard> Pinned<'_, BytesMap<S>, G> {
    /// Returns the value of `key`. If the key is absent, inserts a copy of the value that `make` returns; see
    /// [`BytesMap::get_or_insert_with`].
    ///
    /// # Panics
    /// If the key is absent, and key or value is longer than `u32::MAX` bytes.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::new();
    /// assert_eq!(map.pin().get_or_insert_with("rose", || "red"), b"red");
    /// ```
    pub fn get_or_insert_with<V: AsRef<[u8]>>(
        &self,
        key: impl AsRef<[u8]>,
        make: impl FnOnce() -> V,
    ) -> &[u8] {
        let (map, mode) = (&self.map().inner, WaitMode::Blocking);
        let got = map.get_or_insert_under(mode, key.as_ref(), |_| make(), self.guard());
        got.unwrap_or_else(insertion_failed).value()
    }

    /// Returns or inserts the value of `key` as [`get_or_insert_with`](Self::get_or_insert_with) does, but neither
    /// waits, nor panics, nor aborts, and respects the map's [limit](BytesMap::set_pending_limit). Entries that this
    /// guard itself keeps alive count as pending.
    ///
    /// # Errors
    /// Those of [`BytesMap::try_insert`]. The error contains the value that `make` returned, if it ran.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::new();
    /// assert_eq!(map.pin().try_get_or_insert_with("rose", || "red"), Ok(&b"red"[..]));
    /// ```
    pub fn try_get_or_insert_with<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        key: K,
        make: impl FnOnce() -> V,
    ) -> Result<&[u8], TryInsertError<K, Option<V>>> {
        let map = &self.map().inner;
        let mode = map.non_blocking();
        match map.get_or_insert_under(mode, key.as_ref(), |_| make(), self.guard()) {
            Ok(got) => Ok(got.value()),
            Err((why, _, value)) => Err(why.hand_back(key, value)),
        }
    }
}
