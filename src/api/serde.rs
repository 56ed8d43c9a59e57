//! Feature `serde`: how a map is read, and how a set is.

use ::serde::de::{Deserialize, Error, MapAccess, SeqAccess, Visitor};
use core::fmt;
use core::marker::PhantomData;

/// The most entries, or bytes, that are made room for on the word of the input alone.
pub(crate) const TRUSTED: usize = 4096;

/// What a map reads its entries as, and how it is filled.
pub(crate) trait Fill<'de>: Sized {
    type Key: Deserialize<'de>;
    type Value: Deserialize<'de>;

    fn with_room(entries: usize) -> Self;
    fn put<E: Error>(&mut self, key: Self::Key, value: Self::Value) -> Result<(), E>;
    /// The last entry was put.
    fn finish(&mut self) {}
}

/// Reads a map; of two entries with one key the later stays.
pub(crate) struct Entries<M>(pub(crate) PhantomData<M>);

impl<'de, M: Fill<'de>> Visitor<'de> for Entries<M> {
    type Value = M;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<M, A::Error> {
        let mut map = M::with_room(entries.size_hint().unwrap_or(0).min(TRUSTED));
        while let Some((key, value)) = entries.next_entry()? {
            map.put(key, value)?;
        }
        map.finish();
        Ok(map)
    }
}

/// Reads a set, which is written as a sequence, into the map that it is made of.
pub(crate) struct Elements<M>(pub(crate) PhantomData<M>);

impl<'de, M: Fill<'de, Value = ()>> Visitor<'de> for Elements<M> {
    type Value = M;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<M, A::Error> {
        let mut map = M::with_room(elements.size_hint().unwrap_or(0).min(TRUSTED));
        while let Some(element) = elements.next_element()? {
            map.put(element, ())?;
        }
        Ok(map)
    }
}
