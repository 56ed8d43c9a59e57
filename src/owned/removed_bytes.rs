//! `RemovedBytes`: an entry that an operation removed from a `BytesMap`.

use super::inline_node::InlineNode;
use crate::reclaim::retired::Unlinked;
use core::fmt;
use core::ops::Deref;

/// An entry that an operation has replaced in a [`BytesMap`](super::BytesMap) or removed from it. Dereferences to the
/// value.
pub struct RemovedBytes<'a>(pub(super) Unlinked<'a, InlineNode>);

impl RemovedBytes<'_> {
    /// Returns the entry's key.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert_eq!(map.remove("rose").unwrap().key(), b"rose");
    /// ```
    pub fn key(&self) -> &[u8] {
        self.0.live().key()
    }

    /// Returns the entry's value.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert_eq!(map.remove("rose").unwrap().value(), b"red");
    /// ```
    pub fn value(&self) -> &[u8] {
        self.0.live().value()
    }
}

impl Deref for RemovedBytes<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.value()
    }
}

impl fmt::Debug for RemovedBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, value) = (self.key().escape_ascii(), self.value().escape_ascii());
        write!(f, "RemovedBytes {{ key: \"{key}\", value: \"{value}\" }}")
    }
}
