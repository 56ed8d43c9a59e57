//! `CompressedMap` as a cache: values that expire, and values that are computed on demand.

use super::codec::Corrupt;
use super::map::CompressedMap;
use super::types::StoreError;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::time::Duration;

/// # As a cache
/// With [`Policy::Evict`](super::Policy::Evict), a time to live and a listener, all set by a
/// [`Builder`](super::Builder), the map is a cache whose size is given in bytes.
///
/// ```
/// use hedgerow::CompressedMap;
/// use hedgerow::compressed::Policy;
/// use std::time::Duration;
///
/// let pages = CompressedMap::builder(64 << 20)
///     .policy(Policy::Evict)
///     .time_to_live(Duration::from_secs(60))
///     .on_removal(|key, _, cause| println!("{} was {cause:?}", String::from_utf8_lossy(key)))
///     .build();
/// let page = pages.get_or_insert_with("/index.html", || b"<html>".to_vec())?;
/// assert_eq!(page, b"<html>");
/// pages.expire_step(64); // from a timer: removes expired pages, and calls the listener
/// # Ok::<(), hedgerow::compressed::codec::Corrupt>(())
/// ```
impl CompressedMap {
    /// Stores a value that expires after `time_to_live`, and returns whether there was one before. The map's default
    /// time to live does not apply. After its deadline no operation finds the value; [`len`](Self::len) counts it until
    /// its memory is freed. `Duration::MAX` means never.
    ///
    /// Times are rounded to milliseconds. A change by [`update`](Self::update) or
    /// [`modify_deferred`](Self::modify_deferred) does not move the deadline.
    ///
    /// # Errors
    /// Those of [`insert`](Self::insert), and [`StoreError::NoClock`] if the map has no
    /// [clock](super::Builder::clock).
    ///
    /// ```
    /// use std::time::Duration;
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert_for("key", "value", Duration::ZERO)?;
    /// assert_eq!(map.get("key"), Ok(None));
    /// assert_eq!(map.insert("key", "value"), Ok(false));
    /// # Ok::<(), hedgerow::compressed::StoreError>(())
    /// ```
    pub fn insert_for(
        &self,
        key: &(impl AsRef<[u8]> + ?Sized),
        value: &(impl AsRef<[u8]> + ?Sized),
        time_to_live: Duration,
    ) -> Result<bool, StoreError> {
        let deadline = self.store.expiry.deadline(Some(time_to_live))?;
        self.store.insert_until(key.as_ref(), value.as_ref(), deadline)
    }

    /// Returns the time that the key's value has left: `Some(None)` if it never expires, `None` if there is no value.
    /// Takes no lock.
    ///
    /// ```
    /// use std::time::Duration;
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert_for("key", "value", Duration::from_secs(60)).unwrap();
    /// assert!(map.time_to_live("key").unwrap().unwrap() <= Duration::from_secs(60));
    /// map.insert("key", "value").unwrap();
    /// assert_eq!(map.time_to_live("key"), Some(None));
    /// ```
    pub fn time_to_live(&self, key: &(impl AsRef<[u8]> + ?Sized)) -> Option<Option<Duration>> {
        let deadline = self.store.deadline_of_key(key.as_ref())?;
        Some(self.store.expiry.remaining(deadline))
    }

    /// Returns the key's value. If there is none, calls `make`, stores its result, and returns that.
    ///
    /// If several threads request the same key at once, one of them calls its closure, and the others wait for its
    /// value: they spin briefly and then sleep, or yield without `std`. If the closure panics, the next thread calls
    /// its own. While a closure runs, no lock is held that another operation needs.
    ///
    /// The result of `make` is returned even if it cannot be stored, because there is no room or it is too long. Each
    /// waiting thread then calls its own closure, one after the other.
    ///
    /// # Errors
    /// [`Corrupt`] if there is a value and its bytes are corrupt; `make` does not run.
    ///
    /// # Panics
    /// If `make` requests the value of the same key. Without `std` the call waits forever instead. Closures of two
    /// threads that request each other's keys deadlock as well: `make` may request another key only if no cycle
    /// results.
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// assert_eq!(map.get_or_insert_with("key", || b"one".to_vec())?, b"one");
    /// assert_eq!(map.get_or_insert_with("key", || b"two".to_vec())?, b"one");
    /// # Ok::<(), hedgerow::compressed::codec::Corrupt>(())
    /// ```
    pub fn get_or_insert_with(
        &self,
        key: &(impl AsRef<[u8]> + ?Sized),
        make: impl FnOnce() -> Vec<u8>,
    ) -> Result<Vec<u8>, Corrupt> {
        let made = self.get_or_try_insert_with(key, || Ok::<_, Infallible>(make()))?;
        Ok(made.unwrap_or_else(|never| match never {}))
    }

    /// Returns the key's value, or the result of `make`, which may fail. If it fails, nothing is stored, the error is
    /// returned, and the next waiting thread calls its own closure. See
    /// [`get_or_insert_with`](Self::get_or_insert_with).
    ///
    /// # Errors
    /// [`Corrupt`] outside if there is a value and its bytes are corrupt; inside, the error of `make`.
    ///
    /// # Panics
    /// The same as for [`get_or_insert_with`](Self::get_or_insert_with).
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// assert_eq!(map.get_or_try_insert_with("key", || Err("offline")), Ok(Err("offline")));
    /// assert!(!map.contains_key("key"));
    /// ```
    pub fn get_or_try_insert_with<E>(
        &self,
        key: &(impl AsRef<[u8]> + ?Sized),
        make: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Result<Vec<u8>, E>, Corrupt> {
        let (key, store) = (key.as_ref(), &self.store);
        loop {
            if let Some(value) = store.get(key)? {
                return Ok(Ok(value));
            }
            let Some(turn) = store.loads.begin(key) else {
                store.loads.wait(key);
                continue;
            };
            // Another thread may have stored a value between the lookup and the turn.
            if let Some(value) = store.get(key)? {
                return Ok(Ok(value));
            }
            let made = make();
            if let Ok(value) = &made {
                // The caller gets the value even if the map has no room for it.
                let _ = store.insert(key, value);
            }
            drop(turn);
            return Ok(made);
        }
    }

    /// Removes expired entries among about `entries` entries, and returns how many it has removed. Each call continues
    /// where the last one ended, and begins again at the end of the map. [`compress_step`](Self::compress_step) does
    /// this, too.
    ///
    /// Takes no lock while it searches. Allocates copies of the entries.
    ///
    /// ```
    /// use std::time::Duration;
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert_for("key", "value", Duration::ZERO).unwrap();
    /// assert_eq!((map.len(), map.expire_step(64), map.len()), (1, 1, 0));
    /// ```
    pub fn expire_step(&self, entries: usize) -> usize {
        // A bin has seven slots on 64 bits, and is at least half full.
        self.store.expire_some(entries.div_ceil(4))
    }
}
