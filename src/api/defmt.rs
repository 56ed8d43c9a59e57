//! Formatting of maps with feature `defmt`.

use ::defmt::{Format, Formatter};

/// Formats entries as `{key: value, key: value}`.
pub(crate) fn format_map<K: Format, V: Format>(
    f: Formatter<'_>,
    entries: impl Iterator<Item = (K, V)>,
) {
    ::defmt::write!(f, "{{");
    let mut separator = "";
    for (key, value) in entries {
        ::defmt::write!(f, "{=str}{}: {}", separator, key, value);
        separator = ", ";
    }
    ::defmt::write!(f, "}}");
}
