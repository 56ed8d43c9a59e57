//! Keys and values of types other than bytes.

use super::codec::Corrupt;
use super::map::CompressedMap;
use super::types::{Stats, StoreError};
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
#[cfg(target_has_atomic = "ptr")]
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::convert::Infallible;
use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;

/// A type that can be viewed as bytes. Equal values have equal bytes, and a borrowed form has the bytes of its owner.
///
/// ```
/// use hedgerow::compressed::{Decode, Encode};
///
/// struct Point(i32, i32);
///
/// impl Encode for Point {
///     fn with_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
///         read([self.0.to_le_bytes(), self.1.to_le_bytes()].as_flattened())
///     }
/// }
///
/// impl Decode for Point {
///     fn decode(bytes: &[u8]) -> Option<Self> {
///         let (x, y) = bytes.split_first_chunk()?;
///         Some(Self(i32::from_le_bytes(*x), i32::from_le_bytes(y.try_into().ok()?)))
///     }
/// }
/// assert!(Point::decode(&[1, 0, 0, 0, 2, 0, 0, 0]).is_some_and(|point| (point.0, point.1) == (1, 2)));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored in a `TypedMap`",
    label = "`{Self}` is not stored as bytes",
    note = "implement `Encode` and `Decode` for it, or wrap it in `compressed::Formatted` (feature `serde`)"
)]
pub trait Encode {
    /// Calls `read` with the bytes.
    fn with_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R;
}

/// A type whose values can be decoded from their bytes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored in a `TypedMap`",
    label = "`{Self}` is not stored as bytes",
    note = "implement `Encode` and `Decode` for it, or wrap it in `compressed::Formatted` (feature `serde`)"
)]
pub trait Decode: Encode + Sized {
    /// Returns the value that has these bytes; `None` if there is none.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Encode for $number {
            fn with_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
                read(&self.to_le_bytes())
            }
        }

        impl Decode for $number {
            fn decode(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self::from_le_bytes)
            }
        }
    )*};
}
numbers!(u8 u16 u32 u64 u128 i8 i16 i32 i64 i128);
// As keys they are equal if their bits are: 0.0 and -0.0 are two keys.
numbers!(f32 f64);

/// Types that are stored as another type: `$to` returns the stored value, and `$from` the value of it, if there is one.
macro_rules! stored_as {
    ($($type:ty: $stored:ty, $to:expr, $from:expr;)*) => {$(
        impl Encode for $type {
            fn with_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
                let stored: $stored = $to(*self);
                stored.with_bytes(read)
            }
        }

        impl Decode for $type {
            fn decode(bytes: &[u8]) -> Option<Self> {
                <$stored>::decode(bytes).and_then($from)
            }
        }
    )*};
}
stored_as! {
    // The same bytes on all targets.
    usize: u64, |number| number as u64, |stored: u64| stored.try_into().ok();
    isize: i64, |number| number as i64, |stored: i64| stored.try_into().ok();
    bool: u8, u8::from, |stored| (stored < 2).then_some(stored == 1);
    char: u32, u32::from, char::from_u32;
    (): [u8; 0], |()| [], |[]: [u8; 0]| Some(());
}

macro_rules! bytes {
    ($($type:ty: $from:expr;)*) => {$(
        impl Encode for $type {
            fn with_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
                (**self).with_bytes(read)
            }
        }

        impl Decode for $type {
            fn decode(bytes: &[u8]) -> Option<Self> {
                $from(bytes)
            }
        }
    )*};
}
bytes! {
    Vec<u8>: |bytes: &[u8]| Some(bytes.to_vec());
    Box<[u8]>: |bytes: &[u8]| Some(bytes.into());
    String: |bytes| core::str::from_utf8(bytes).ok().map(ToOwned::to_owned);
    Box<str>: |bytes| core::str::from_utf8(bytes).ok().map(Into::into);
}
#[cfg(target_has_atomic = "ptr")]
bytes! {
    Arc<[u8]>: |bytes: &[u8]| Some(bytes.into());
    Arc<str>: |bytes| core::str::from_utf8(bytes).ok().map(Into::into);
}

impl<T: Encode + ?Sized> Encode for &T {
    fn with_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        (**self).with_bytes(read)
    }
}

impl<const N: usize> Encode for [u8; N] {
    fn with_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        read(self)
    }
}

impl<const N: usize> Decode for [u8; N] {
    fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok()
    }
}

impl Encode for str {
    fn with_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        read(self.as_bytes())
    }
}

impl Encode for [u8] {
    fn with_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        read(self)
    }
}

/// Keys and values are only passed through, so the map is `Send` and `Sync` for all types.
type Through<K, V> = fn(&K, &V) -> (K, V);

/// A [`CompressedMap`] with typed keys and values.
///
/// ```
/// use hedgerow::CompressedMap;
/// use hedgerow::compressed::TypedMap;
///
/// let map = TypedMap::<String, u64>::new(CompressedMap::with_budget(1 << 20));
/// map.insert("paris", &2_100_000)?;
/// assert_eq!(map.get("paris"), Ok(Some(2_100_000)));
/// assert_eq!(map.get("atlantis"), Ok(None));
/// # Ok::<(), hedgerow::compressed::StoreError>(())
/// ```
pub struct TypedMap<K, V> {
    map: CompressedMap,
    types: PhantomData<Through<K, V>>,
}

impl<K, V> TypedMap<K, V> {
    /// Returns a typed map over a map of bytes, whose entries must already be of these types.
    ///
    /// ```
    /// # use hedgerow::{CompressedMap, compressed::TypedMap};
    /// let map = TypedMap::<u32, Vec<u8>>::new(CompressedMap::with_budget(1 << 20));
    /// assert!(map.as_map().is_empty());
    /// ```
    pub const fn new(map: CompressedMap) -> Self
    where
        K: Decode,
        V: Decode,
    {
        Self { map, types: PhantomData }
    }

    /// Returns the map of bytes, for everything that does not depend on types, such as
    /// [`expire_step`](CompressedMap::expire_step).
    pub const fn as_map(&self) -> &CompressedMap {
        &self.map
    }

    /// Returns the map of bytes.
    pub fn into_map(self) -> CompressedMap {
        self.map
    }
}

impl<K: Decode, V: Decode> TypedMap<K, V> {
    /// Stores a value, and returns whether there was one before; see [`CompressedMap::insert`].
    ///
    /// # Errors
    /// Those of [`CompressedMap::insert`].
    pub fn insert<Q, W>(&self, key: &Q, value: &W) -> Result<bool, StoreError>
    where
        K: Borrow<Q>,
        V: Borrow<W>,
        Q: Encode + ?Sized,
        W: Encode + ?Sized,
    {
        key.with_bytes(|key| value.with_bytes(|value| self.map.insert(key, value)))
    }

    /// Stores a value that expires after `time_to_live`, and returns whether there was one before; see
    /// [`CompressedMap::insert_for`].
    ///
    /// # Errors
    /// Those of [`CompressedMap::insert_for`].
    pub fn insert_for<Q, W>(
        &self,
        key: &Q,
        value: &W,
        time_to_live: Duration,
    ) -> Result<bool, StoreError>
    where
        K: Borrow<Q>,
        V: Borrow<W>,
        Q: Encode + ?Sized,
        W: Encode + ?Sized,
    {
        key.with_bytes(|key| {
            value.with_bytes(|value| self.map.insert_for(key, value, time_to_live))
        })
    }

    /// Returns the time that the key's value has left: `Some(None)` if it never expires, `None` if there is no value;
    /// see [`CompressedMap::time_to_live`].
    pub fn time_to_live<Q>(&self, key: &Q) -> Option<Option<Duration>>
    where
        K: Borrow<Q>,
        Q: Encode + ?Sized,
    {
        key.with_bytes(|key| self.map.time_to_live(key))
    }

    /// Returns the key's value. If there is none, calls `make`, stores its result, and returns that. Of several threads
    /// that do this with one key at once, one calls its closure; see [`CompressedMap::get_or_insert_with`].
    ///
    /// # Errors
    /// [`Corrupt`] if there is a value and its bytes are corrupt, or are not those of a `V`.
    ///
    /// # Panics
    /// `make` requests the value of the same key. Closures of two threads that request each other's keys wait forever.
    ///
    /// ```
    /// # use hedgerow::{CompressedMap, compressed::TypedMap};
    /// let squares = TypedMap::<u32, u64>::new(CompressedMap::with_budget(1 << 20));
    /// assert_eq!(squares.get_or_insert_with(&9, || 81), Ok(81));
    /// assert_eq!(squares.get_or_insert_with(&9, || unreachable!()), Ok(81));
    /// ```
    pub fn get_or_insert_with<Q>(&self, key: &Q, make: impl FnOnce() -> V) -> Result<V, Corrupt>
    where
        K: Borrow<Q>,
        Q: Encode + ?Sized,
    {
        let made = self.get_or_try_insert_with(key, || Ok::<_, Infallible>(make()))?;
        Ok(made.unwrap_or_else(|never| match never {}))
    }

    /// Returns the key's value, or the result of `make`, which may fail. If it fails, nothing is stored, and the next
    /// waiting thread calls its own closure; see [`CompressedMap::get_or_try_insert_with`].
    ///
    /// # Errors
    /// [`Corrupt`] outside if there is a value and its bytes are corrupt, or are not those of a `V`; inside, the error
    /// of `make`.
    ///
    /// # Panics
    /// The same as for [`get_or_insert_with`](Self::get_or_insert_with).
    pub fn get_or_try_insert_with<Q, E>(
        &self,
        key: &Q,
        make: impl FnOnce() -> Result<V, E>,
    ) -> Result<Result<V, E>, Corrupt>
    where
        K: Borrow<Q>,
        Q: Encode + ?Sized,
    {
        let mut made = None;
        let found = key.with_bytes(|key| {
            self.map
                .get_or_try_insert_with(key, || Ok(made.insert(make()?).with_bytes(<[u8]>::to_vec)))
        });
        match (found?, made) {
            (Err(why), _) => Ok(Err(why)),
            (Ok(_), Some(made)) => Ok(Ok(made)),
            (Ok(bytes), None) => V::decode(&bytes).map(Ok).ok_or(Corrupt),
        }
    }

    /// Returns the key's value; see [`CompressedMap::get`].
    ///
    /// # Errors
    /// The bytes are damaged, or are not those of a `V`.
    pub fn get<Q>(&self, key: &Q) -> Result<Option<V>, Corrupt>
    where
        K: Borrow<Q>,
        Q: Encode + ?Sized,
    {
        let value = key.with_bytes(|key| self.map.get(key))?;
        value.map(|value| V::decode(&value).ok_or(Corrupt)).transpose()
    }

    /// Returns the key's value, or the default value. Inserts nothing; see [`CompressedMap::get_or_default`].
    ///
    /// # Errors
    /// [`Corrupt`] if there is a value and its bytes are corrupt, or are not those of a `V`.
    ///
    /// ```
    /// # use hedgerow::{CompressedMap, compressed::TypedMap};
    /// let map = TypedMap::<String, u64>::new(CompressedMap::with_budget(1 << 20));
    /// map.insert("oak", &1)?;
    /// assert_eq!((map.get_or_default("oak"), map.get_or_default("elm")), (Ok(1), Ok(0)));
    /// # Ok::<(), hedgerow::compressed::StoreError>(())
    /// ```
    pub fn get_or_default<Q>(&self, key: &Q) -> Result<V, Corrupt>
    where
        K: Borrow<Q>,
        Q: Encode + ?Sized,
        V: Default,
    {
        Ok(self.get(key)?.unwrap_or_default())
    }

    /// Returns whether the key has a value; see [`CompressedMap::contains_key`].
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Encode + ?Sized,
    {
        key.with_bytes(|key| self.map.contains_key(key))
    }

    /// Removes the key's value, and returns whether there was one; see [`CompressedMap::remove`].
    pub fn remove<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Encode + ?Sized,
    {
        key.with_bytes(|key| self.map.remove(key))
    }

    /// Replaces the key's value by the result of `change`; `None` removes it. Returns false if there is no value; see
    /// [`CompressedMap::update`].
    ///
    /// ```
    /// # use hedgerow::{CompressedMap, compressed::TypedMap};
    /// let map = TypedMap::<String, u64>::new(CompressedMap::with_budget(1 << 20));
    /// map.insert("oak", &1)?;
    /// assert_eq!(map.update("oak", |n| Some(n + 1)), Ok(true));
    /// assert_eq!(map.get("oak"), Ok(Some(2)));
    /// # Ok::<(), hedgerow::compressed::StoreError>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`CompressedMap::update`]; [`StoreError::Corrupt`] if the stored bytes are not those of a `V`. They
    /// stay.
    pub fn update<Q>(
        &self,
        key: &Q,
        mut change: impl FnMut(V) -> Option<V>,
    ) -> Result<bool, StoreError>
    where
        K: Borrow<Q>,
        Q: Encode + ?Sized,
    {
        key.with_bytes(|key| {
            self.map.try_update(key, |bytes| {
                let value = V::decode(&bytes).ok_or(Corrupt)?;
                Ok(change(value).map(|value| value.with_bytes(<[u8]>::to_vec)))
            })
        })
    }

    /// Removes the entries for which `keep` returns false; see [`CompressedMap::retain`]. Entries that are damaged, or
    /// are not a `K` and a `V`, stay.
    ///
    /// ```
    /// # use hedgerow::{CompressedMap, compressed::TypedMap};
    /// let map = TypedMap::<String, u64>::new(CompressedMap::with_budget(1 << 20));
    /// map.insert("oak", &1)?;
    /// map.insert("elm", &2)?;
    /// map.retain(|_, n| n > 1);
    /// assert!(!map.contains_key("oak") && map.contains_key("elm"));
    /// # Ok::<(), hedgerow::compressed::StoreError>(())
    /// ```
    pub fn retain(&self, mut keep: impl FnMut(K, V) -> bool) {
        self.map.retain(|key, value| {
            let value = value.ok().and_then(V::decode);
            K::decode(key).zip(value).is_none_or(|(key, value)| keep(key, value))
        });
    }

    /// Removes all entries that it finds; see [`CompressedMap::clear`].
    pub fn clear(&self) {
        self.map.clear();
    }

    /// Returns statistics; see [`CompressedMap::stats`].
    pub fn stats(&self) -> Stats {
        self.map.stats()
    }

    /// Returns the number of entries. It is exact if there are no concurrent writes.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Returns `true` if the map has no entries.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Returns copies of all entries, in no particular order; see [`CompressedMap::iter`]. An entry that is damaged, or
    /// is not a `K` and a `V`, is an error.
    pub fn iter(&self) -> impl Iterator<Item = Result<(K, V), Corrupt>> + '_ {
        self.map.iter().map(|(key, value)| {
            let (key, value) = (K::decode(&key), V::decode(&value?));
            key.zip(value).ok_or(Corrupt)
        })
    }

    /// Returns copies of all keys, in no particular order; see [`CompressedMap::keys`]. A key that is not a `K` is an
    /// error.
    pub fn keys(&self) -> impl Iterator<Item = Result<K, Corrupt>> + '_ {
        self.map.keys().map(|key| K::decode(&key).ok_or(Corrupt))
    }

    /// Returns copies of all values, in no particular order; see [`CompressedMap::values`]. A value that is damaged, or
    /// is not a `V`, is an error.
    pub fn values(&self) -> impl Iterator<Item = Result<V, Corrupt>> + '_ {
        self.map.values().map(|value| V::decode(&value?).ok_or(Corrupt))
    }
}

impl<K, V> fmt::Debug for TypedMap<K, V> {
    /// Shows statistics only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.map.fmt(f)
    }
}
