//! A walk by many threads, for feature `rayon`.
//!
//! Each thread walks some of the lanes (see [`walk`](super::walk)) of every stretch. Bins are never merged while the
//! table is shared, so every bin is in one lane, and all threads together meet each key that stays in the map exactly
//! once, as one walk does.

use super::Table;
use super::scan::RawEntry;
use super::walk::WalkPosition;
use alloc::vec::Vec;
use core::ops::Range;

/// The part of a walk that covers some of the lanes.
pub(crate) struct WalkPiece<'a, K, V> {
    table: &'a Table<K, V>,
    lanes: Range<u64>,
    position: Option<WalkPosition>,
}

impl<'a, K: Copy, V: Copy> WalkPiece<'a, K, V> {
    /// Returns all of a walk that begins now.
    pub(crate) fn whole(table: &'a Table<K, V>) -> Self {
        let position = table.begun(WalkPosition::START);
        Self { table, lanes: 0..position.lanes(), position: Some(position) }
    }

    /// Splits off half of the lanes of a piece that has not begun; the other half stays.
    pub(crate) fn split(&mut self) -> Option<Self> {
        let middle = self.lanes.start.midpoint(self.lanes.end);
        let other = middle..self.lanes.end;
        self.lanes.end = middle;
        if self.lanes.is_empty() {
            self.lanes = other;
            return None;
        }
        Some(Self { lanes: other, ..*self })
    }

    /// Fills `buffer` with a consistent snapshot of the next bin's entries; returns false at the end.
    pub(crate) fn next_bin(&mut self, buffer: &mut Vec<RawEntry<K, V>>) -> bool {
        buffer.clear();
        let Some(position) = self.position else { return false };
        let position = self.table.begun(position).at_least(self.lanes.start);
        let next = self.table.snapshot(position, 0, buffer);
        self.position = match next {
            Some(next) if next.is_past(position, self.lanes.end) => position.next_stretch(),
            next => next,
        };
        true
    }
}
