//! Reading maps and sets with feature `serde`.

use ::serde::de::{Deserialize, Error, MapAccess, SeqAccess, Visitor};
use core::fmt;
use core::marker::PhantomData;

/// The largest number of entries, or bytes, for which memory is reserved because the input says so.
pub(crate) const TRUSTED: usize = 4096;
/// The most bytes of entries for which memory is reserved because the input says so, as in serde's collections.
const TRUSTED_BYTES: usize = 1 << 20;

/// Returns the number of entries `T` for which to reserve memory if the input announces `announced`.
fn trusted<T>(announced: Option<usize>) -> usize {
    announced.unwrap_or(0).min(TRUSTED).min(TRUSTED_BYTES / size_of::<T>().max(1))
}

/// A map that can be filled with entries as they are read, or a set with elements, which have no values.
pub(crate) trait Fill<'de>: Sized {
    type Key: Deserialize<'de>;
    type Value: Deserialize<'de>;

    fn with_room(entries: usize) -> Self;
    fn put<E: Error>(&mut self, key: Self::Key, value: Self::Value) -> Result<(), E>;
    /// Called after the last entry.
    fn finish(&mut self) {}
}

/// Reads a map. Of two entries with the same key, the later stays.
pub(crate) struct Entries<M>(pub(crate) PhantomData<M>);

impl<'de, M: Fill<'de>> Visitor<'de> for Entries<M> {
    type Value = M;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<M, A::Error> {
        let mut map = M::with_room(trusted::<(M::Key, M::Value)>(entries.size_hint()));
        while let Some((key, value)) = entries.next_entry()? {
            map.put(key, value)?;
        }
        map.finish();
        Ok(map)
    }
}

/// Reads a set, which is written as a sequence.
pub(crate) struct Elements<S>(pub(crate) PhantomData<S>);

impl<'de, S: Fill<'de, Value = ()>> Visitor<'de> for Elements<S> {
    type Value = S;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<S, A::Error> {
        let mut set = S::with_room(trusted::<S::Key>(elements.size_hint()));
        while let Some(element) = elements.next_element()? {
            set.put(element, ())?;
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_false_length_reserves_little() {
        assert_eq!(trusted::<(u64, u64)>(Some(usize::MAX)), TRUSTED);
        assert_eq!((trusted::<()>(Some(usize::MAX)), trusted::<u8>(None)), (TRUSTED, 0));
        let most = trusted::<[u8; 32 << 10]>(Some(usize::MAX)) * (32 << 10);
        assert_eq!(most, TRUSTED_BYTES, "long entries get more");
    }
}
