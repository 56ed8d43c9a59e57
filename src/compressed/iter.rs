//! Walking over all entries.

use super::codec::Corrupt;
use super::read::Gathered;
use super::record::{Head, Location};
use super::store::Store;
use crate::table::walk::Position;
use alloc::vec::Vec;
use core::fmt;

/// An entry as it was met: its key, what its record was, and its value.
pub(super) struct Met {
    pub(super) key: Vec<u8>,
    pub(super) top: Location,
    pub(super) generation: usize,
    gathered: Gathered,
}

impl Met {
    /// When the entry expires; 0 for never.
    pub(super) fn deadline(&self) -> u64 {
        self.gathered.deadline()
    }

    /// The record's head and bytes, if it stands for the value by itself.
    pub(super) fn as_stored(&self) -> Option<(Head, &[u8])> {
        self.gathered.alone()
    }
}

impl Store {
    /// As `meet_all`, without the entries that have expired.
    pub(super) fn meet_bin(&self, position: Position, into: &mut Vec<Met>) -> Option<Position> {
        let next = self.meet_all(position, into);
        // Asked after the entries were met: one that expires was linked after this was set.
        if self.expiry.is_used() {
            into.retain(|met| !self.has_passed(met.deadline()));
        }
        next
    }

    /// Copies the entries of the bin at `position`, as they were at one moment; tells the next position.
    pub(super) fn meet_all(&self, position: Position, into: &mut Vec<Met>) -> Option<Position> {
        self.table.follow(position, |indirect| {
            let Some(indirect) = indirect else { return into.clear() };
            let top = Location::from(indirect);
            let mut gathered = Gathered::default();
            self.gather(top, &mut gathered);
            let key = self.key_of(top);
            into.push(Met { key, top, generation: self.generation(top), gathered });
        })
    }

    /// The key of a record. Of one that may be changing, some bytes.
    fn key_of(&self, at: Location) -> Vec<u8> {
        let mut key = Vec::new();
        if let Some((segment, start)) = self.place(at)
            && let Some((head, len)) = segment.head(start)
        {
            key.resize(head.key, 0);
            segment.copy_out(start + len, &mut key);
        }
        key
    }

    /// The value of an entry that was met.
    pub(super) fn value_of(&self, met: &Met) -> Result<Vec<u8>, Corrupt> {
        self.fold(&met.key, &met.gathered)
    }
}

/// An iterator over the entries of a [`CompressedMap`](crate::CompressedMap), in no order.
///
/// An entry that is there all the time is met once; one that comes or goes meanwhile may be met or not. A value whose
/// bytes are damaged is an error beside its key. It allocates.
pub struct Iter<'a> {
    pub(super) store: &'a Store,
    pub(super) position: Option<Position>,
    pub(super) met: Vec<Met>,
}

impl Iterator for Iter<'_> {
    type Item = (Vec<u8>, Result<Vec<u8>, Corrupt>);

    fn next(&mut self) -> Option<Self::Item> {
        let Met { key, gathered, .. } = self.next_met()?;
        let value = self.store.fold_all(&key, gathered);
        Some((key, value))
    }
}

impl Iter<'_> {
    /// The next entry as it was met: its value is not decompressed yet.
    #[inline(always)]
    fn next_met(&mut self) -> Option<Met> {
        loop {
            if let Some(met) = self.met.pop() {
                return Some(met);
            }
            self.position = self.store.meet_bin(self.position?, &mut self.met);
        }
    }
}

/// An iterator over the keys of a [`CompressedMap`](crate::CompressedMap), in no order. It decompresses nothing.
#[derive(Debug)]
pub struct Keys<'a>(pub(super) Iter<'a>);

impl Iterator for Keys<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        self.0.next_met().map(|met| met.key)
    }
}

impl fmt::Debug for Iter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}
