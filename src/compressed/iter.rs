//! Iterators over all entries.

use super::codec::Corrupt;
use super::index::EntryCopy;
use super::store::Store;
use crate::table::walk::WalkPosition;
use alloc::vec::Vec;
use core::fmt;

/// An iterator over the entries of a [`CompressedMap`](crate::CompressedMap), in no particular order.
///
/// It returns each entry that is present throughout exactly once, and may or may not return an entry that is inserted
/// or removed concurrently. For a value whose bytes are corrupt it returns an error with the key. It allocates.
pub struct Iter<'a> {
    store: &'a Store,
    position: Option<WalkPosition>,
    entries: Vec<EntryCopy>,
}

impl<'a> Iter<'a> {
    pub(super) const fn new(store: &'a Store) -> Self {
        Self { store, position: Some(WalkPosition::START), entries: Vec::new() }
    }

    /// Returns a copy of the next entry, whose value is not decompressed yet.
    #[inline(always)]
    fn next_entry(&mut self) -> Option<EntryCopy> {
        loop {
            if let Some(entry) = self.entries.pop() {
                return Some(entry);
            }
            self.position = self.store.copy_bin(self.position?, &mut self.entries);
        }
    }
}

impl Iterator for Iter<'_> {
    type Item = (Vec<u8>, Result<Vec<u8>, Corrupt>);

    fn next(&mut self) -> Option<Self::Item> {
        let EntryCopy { key, chain } = self.next_entry()?;
        let value = self.store.value_of(&key, chain);
        Some((key, value))
    }
}

/// An iterator over the keys of a [`CompressedMap`](crate::CompressedMap), in no particular order. It decompresses
/// nothing.
#[derive(Debug)]
pub struct Keys<'a>(pub(super) Iter<'a>);

impl Iterator for Keys<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        self.0.next_entry().map(|entry| entry.key)
    }
}

impl fmt::Debug for Iter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}
