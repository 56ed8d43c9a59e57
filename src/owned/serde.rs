//! Feature `serde`: serialization of `HashMap` and `BytesMap` as maps.
//!
//! The keys and values of a [`BytesMap`] are bytes. In a human-readable format, those that are valid UTF-8 are written
//! as text. A format without a type for bytes writes the others as lists of numbers, and most such formats reject a
//! list as a key.

use super::bytes_map::BytesMap;
use super::map::HashMap;
use crate::api::serde::{Entries, Fill, TRUSTED};
use ::serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use ::serde::ser::{Serialize, Serializer};
use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;

impl<K: Serialize, V: Serialize, S> Serialize for HashMap<K, V, S> {
    /// Writes the entries that `iter` returns, under one guard.
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        // Some formats write the number of entries first. A vector fixes that number while other threads write.
        serializer.collect_map(self.pin().iter().collect::<Vec<_>>())
    }
}

impl<S> Serialize for BytesMap<S> {
    /// Writes the entries that `iter` returns, under one guard. A human-readable format gets text for strings that are
    /// valid UTF-8. All others are written as bytes.
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        let map = self.pin();
        let entries = map.iter().map(|(key, value)| (Text(key), Text(value)));
        serializer.collect_map(entries.collect::<Vec<_>>())
    }
}

/// A key or a value that is text, if it can be and the format is human-readable.
struct Text<'a>(&'a [u8]);

impl Serialize for Text<'_> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        match core::str::from_utf8(self.0) {
            Ok(text) if serializer.is_human_readable() => serializer.serialize_str(text),
            _ => serializer.serialize_bytes(self.0),
        }
    }
}

impl<'de, K, V, S> Deserialize<'de> for HashMap<K, V, S>
where
    K: Eq + Hash + Deserialize<'de>,
    V: Deserialize<'de>,
    S: BuildHasher + Default,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

impl<'de, S: BuildHasher + Default> Deserialize<'de> for BytesMap<S> {
    /// Reads text, bytes, or lists of numbers below 256 from a human-readable format, and bytes from any other format.
    ///
    /// # Errors
    /// Those of the format, and one if a key or a value is longer than `u32::MAX` bytes.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

impl<'de, K, V, S> Fill<'de> for HashMap<K, V, S>
where
    K: Eq + Hash + Deserialize<'de>,
    V: Deserialize<'de>,
    S: BuildHasher + Default,
{
    type Key = K;
    type Value = V;

    fn with_room(entries: usize) -> Self {
        Self::with_capacity_and_hasher(entries, S::default())
    }

    fn put<E: Error>(&mut self, key: K, value: V) -> Result<(), E> {
        self.insert(key, value);
        Ok(())
    }
}

impl<'de, S: BuildHasher + Default> Fill<'de> for BytesMap<S> {
    type Key = Bytes<'de>;
    type Value = Bytes<'de>;

    fn with_room(entries: usize) -> Self {
        let map = Self::default();
        map.reserve(entries);
        map
    }

    fn put<E: Error>(&mut self, key: Bytes<'de>, value: Bytes<'de>) -> Result<(), E> {
        // Not `insert`, which panics if the input is too long. This cannot fail as busy: no other thread has the map.
        self.try_insert(key.0, value.0).map(drop).map_err(E::custom)
    }
}

/// A key or a value of a [`BytesMap`] that the deserializer has read.
pub(crate) struct Bytes<'de>(Cow<'de, [u8]>);

impl<'de> Deserialize<'de> for Bytes<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(AnyBytes)
        } else {
            deserializer.deserialize_byte_buf(AnyBytes)
        }
    }
}

/// A visitor that accepts text, bytes and lists of numbers.
struct AnyBytes;

impl<'de> Visitor<'de> for AnyBytes {
    type Value = Bytes<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or bytes")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Bytes<'de>, E> {
        Ok(Bytes(text.as_bytes().into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Bytes<'de>, E> {
        Ok(Bytes(text.as_bytes().to_vec().into()))
    }

    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Bytes<'de>, E> {
        Ok(Bytes(bytes.into()))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes<'de>, E> {
        Ok(Bytes(bytes.to_vec().into()))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Bytes<'de>, E> {
        Ok(Bytes(bytes.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Bytes<'de>, A::Error> {
        let mut bytes = Vec::with_capacity(numbers.size_hint().unwrap_or(0).min(TRUSTED));
        while let Some(byte) = numbers.next_element()? {
            bytes.push(byte);
        }
        Ok(Bytes(bytes.into()))
    }
}
