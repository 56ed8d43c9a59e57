//! An entry that was taken out of a `StrMap`.

use super::fused::Fused;
use crate::reclaim::retired::Unlinked;
use core::fmt;
use core::ops::Deref;

/// An entry that was taken out of a [`StrMap`](super::StrMap), by whoever has this. Dereferences to the value.
pub struct RemovedStr<'a>(pub(super) Unlinked<'a, Fused>);

impl RemovedStr<'_> {
    /// The entry's key.
    ///
    /// ```
    /// let map = hedgerow::StrMap::from([("rose", "red")]);
    /// assert_eq!(map.remove("rose").unwrap().key(), b"rose");
    /// ```
    pub fn key(&self) -> &[u8] {
        self.0.live().key()
    }

    /// The entry's value.
    ///
    /// ```
    /// let map = hedgerow::StrMap::from([("rose", "red")]);
    /// assert_eq!(map.remove("rose").unwrap().value(), b"red");
    /// ```
    pub fn value(&self) -> &[u8] {
        self.0.live().value()
    }
}

impl Deref for RemovedStr<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.value()
    }
}

impl fmt::Debug for RemovedStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, value) = (self.key().escape_ascii(), self.value().escape_ascii());
        write!(f, "RemovedStr {{ key: \"{key}\", value: \"{value}\" }}")
    }
}
