//! `CompressedMap` as a cache: the face of what expires, and of values that are made when they are asked for.

use super::codec::Corrupt;
use super::map::CompressedMap;
use super::types::StoreError;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::time::Duration;

/// # As a cache
/// With [`Policy::Evict`](super::Policy::Evict), a time to live and a listener, which a
/// [`Builder`](super::Builder) sets, the map is a cache whose size is given in bytes.
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
/// # Ok::<(), hedgerow::compressed::codec::Corrupt>(())
/// ```
impl CompressedMap {
    /// As [`insert`](Self::insert), of a value that expires after `time_to_live`, whatever the map's default is. From
    /// then on no operation finds it; [`len`](Self::len) counts it until its memory is freed. `Duration::MAX` is never.
    ///
    /// Times are rounded to milliseconds. A change by [`update`](Self::update) or
    /// [`modify_deferred`](Self::modify_deferred) leaves the time at which the value expires as it was.
    ///
    /// # Errors
    /// Those of [`insert`](Self::insert), and [`StoreError::NoClock`] if the map was made without `std` and without a
    /// clock.
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

    /// Returns how long the key's value still lives: `Some(None)` if it never expires, `None` if there is no value.
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

    /// Returns the key's value; if there is none, calls `make`, stores what it returns, and returns that.
    ///
    /// Of several threads that ask for the same key at once, one calls its closure; the others wait until it has ended,
    /// by spinning at first and then by yielding to other threads, and take its value. If it panics, the next of them
    /// calls its own closure. Nothing is locked meanwhile that another operation needs. What `make` returns is also
    /// returned if there is no room to store it.
    ///
    /// # Errors
    /// [`Corrupt`] if there is a value and its bytes are damaged; `make` does not run.
    ///
    /// # Panics
    /// `make` asks for the same key (without `std`, it waits for ever).
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

    /// As [`get_or_insert_with`](Self::get_or_insert_with), where making the value may fail: then nothing is stored,
    /// the error is returned, and the next thread that waits calls its own closure.
    ///
    /// # Errors
    /// [`Corrupt`] outside if there is a value and its bytes are damaged; inside, the error of `make`.
    ///
    /// # Panics
    /// As [`get_or_insert_with`](Self::get_or_insert_with).
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

    /// Frees the memory of expired entries: looks at about `entries` entries, going on where the last call ended, and
    /// round; returns how many it has removed. [`compress_step`](Self::compress_step) does this as well.
    ///
    /// Takes no lock while it looks. Allocates what it copies.
    ///
    /// ```
    /// use std::time::Duration;
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert_for("key", "value", Duration::ZERO).unwrap();
    /// assert_eq!((map.len(), map.expire_step(64), map.len()), (1, 1, 0));
    /// ```
    pub fn expire_step(&self, entries: usize) -> usize {
        // A bin has seven slots on 64 bits, and is half full or more.
        self.store.expire_some(entries.div_ceil(4))
    }
}
