//! Feature `defmt`. Snapshots and writers are formatted as maps.

use super::{TableSnapshot, TableWriter};
use ::defmt::{Format, Formatter};

impl<K, V, const BINS: usize, S> Format for TableSnapshot<'_, K, V, BINS, S>
where
    K: Copy + Format,
    V: Copy + Format,
{
    fn format(&self, f: Formatter<'_>) {
        crate::api::defmt::format_map(f, self.iter());
    }
}

impl<K, V, const BINS: usize, const READERS: usize, S> Format
    for TableWriter<'_, K, V, BINS, READERS, S>
where
    K: Copy + Format,
    V: Copy + Format,
{
    /// Formats all entries, unpublished changes included.
    fn format(&self, f: Formatter<'_>) {
        crate::api::defmt::format_map(f, self.iter());
    }
}
