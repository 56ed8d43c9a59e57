//! `BytesMap`: the `get_or_insert` family, which returns the value of a key or stores one.
#![allow(clippy::type_complexity)] // The signatures show the full results.

use super::bytes_map::{BytesMap, insertion_failed};
use super::inline_node::InlineNode;
use crate::error::TryInsertError;
use crate::reclaim::borrowed::{Pinned, Ref};
use crate::reclaim::errors::Cause;
use crate::reclaim::guard::{Guard, HasGuard, pin, try_pin};
use crate::reclaim::node::Live;
use crate::reclaim::retired::Mode;
use core::hash::BuildHasher;

impl<S: BuildHasher> BytesMap<S> {
    /// Returns the value of `key`. If the key is absent, inserts a copy of the value that `make` returns; see
    /// [`HashMap::get_or_insert_with`](super::HashMap::get_or_insert_with).
    ///
    /// # Panics
    /// If key or value is longer than `u32::MAX` bytes.
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
        let guard = pin();
        let got = self.get_or_insert_with_by(Mode::Blocking, key.as_ref(), make, &guard);
        let got = got.unwrap_or_else(|(why, _)| insertion_failed(why)).shared();
        // Dropped before the return value is made: if the key's destructor panicked afterwards, the guard of the return
        // value would leak, and keep the garbage of all maps.
        drop(key);
        // SAFETY: the call found the node under this guard, or inserted it.
        unsafe { Ref::of_bytes(got, guard) }
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
        let mode = self.nodes().retired().non_blocking();
        let Ok(guard) = try_pin() else { return Err(Cause::Alloc.of(key, None)) };
        match self.get_or_insert_with_by(mode, key.as_ref(), make, &guard).map(Live::shared) {
            Ok(got) => {
                // As in `get_or_insert_with`: before the return value is made.
                drop(key);
                // SAFETY: the call found the node under this guard, or inserted it.
                Ok(unsafe { Ref::of_bytes(got, guard) })
            }
            Err((why, value)) => Err(why.of(key, value)),
        }
    }

    #[inline(always)]
    fn get_or_insert_with_by<'a, V: AsRef<[u8]>>(
        &'a self,
        mode: Mode,
        key: &[u8],
        make: impl FnOnce() -> V,
        guard: &'a Guard<'_>,
    ) -> Result<Live<'a, InlineNode>, (Cause, Option<V>)> {
        let hash = self.hash(key);
        // A lookup first: if the key has a value, the operation takes no lock and allocates nothing.
        let found = self.find_by(mode, hash, key, guard);
        if let Some(node) = found.map_err(|busy| (busy.into(), None))? {
            return Ok(node);
        }
        mode.room().map_err(|why| (why, None))?;
        let value = make();
        // The caller gets `value` back from every failure below.
        let fresh = match Self::fresh(mode, hash, key, value.as_ref()) {
            Ok(fresh) => fresh,
            Err(why) => return Err((why, Some(value))),
        };
        let node = fresh.0;
        match self.store_absent(fresh, key, mode, guard) {
            // SAFETY: inserted while the guard is held, which keeps the node alive.
            Ok(()) => Ok(unsafe { node.live() }),
            // Another thread has inserted the key since the lookup: its value is in the map.
            Err(Ok(found)) => Ok(found),
            Err(Err(why)) => Err((why, Some(value))),
        }
    }
}

impl<S: BuildHasher, G: HasGuard> Pinned<'_, BytesMap<S>, G> {
    /// Returns the value of `key`. If the key is absent, inserts a copy of the value that `make` returns; see
    /// [`BytesMap::get_or_insert_with`].
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
        let (map, mode) = (self.map(), Mode::Blocking);
        let got = map.get_or_insert_with_by(mode, key.as_ref(), make, self.guard());
        got.unwrap_or_else(|(why, _)| insertion_failed(why)).value()
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
        let mode = self.map().nodes().retired().non_blocking();
        match self.map().get_or_insert_with_by(mode, key.as_ref(), make, self.guard()) {
            Ok(got) => Ok(got.value()),
            Err((why, value)) => Err(why.of(key, value)),
        }
    }
}
