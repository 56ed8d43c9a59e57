//! Feature `defmt`: a table is formatted as a map.

use super::FlatTable;
use ::defmt::{Format, Formatter};

impl<K, V, const BINS: usize, S> Format for FlatTable<K, V, BINS, S>
where
    K: Copy + Format,
    V: Copy + Format,
{
    /// Formats the entries that `iter` returns.
    fn format(&self, f: Formatter<'_>) {
        crate::api::defmt::format_map(f, self.iter());
    }
}
