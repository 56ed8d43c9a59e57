//! The items of which files consist.

use hedgerow_db_engine::request::OwnedValue;

/// A part of a file that is imported.
pub(super) enum Item<'a> {
    /// A key, or a further part of a long value, the parts of which follow each other.
    Key(ImportedKey),
    /// A command: its name, and its bytes.
    Command(&'static str, &'a [u8]),
}

/// A key, or a part of its value.
pub(super) struct ImportedKey {
    pub(super) database: u64,
    pub(super) key: Vec<u8>,
    pub(super) expires_at: Option<u64>,
    pub(super) value: OwnedValue,
    /// Set with the last part: the number of entries that all parts of a value have.
    pub(super) ends: Option<usize>,
}

/// Takes what is imported.
pub(super) type Take<'a> = dyn FnMut(Item<'_>) -> Result<(), String> + 'a;
