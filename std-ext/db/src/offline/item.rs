//! The items of which files consist.

use crate::rdb::Entry;

/// A part of a file that is imported.
pub(super) enum Item<'a> {
    /// A key with a string, and the time at which it expires.
    Entry(Entry),
    /// A command: its name, and its bytes.
    Command(&'static str, &'a [u8]),
}

/// Takes what is imported.
pub(super) type Take<'a> = dyn FnMut(Item<'_>) -> Result<(), String> + 'a;
