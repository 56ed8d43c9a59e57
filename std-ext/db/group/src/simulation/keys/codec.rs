//! The encoding of the entries of [`Keys`](super::Keys).

use crate::EntryFormat;
use std::fmt::Debug;

/// An operation of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// Sets a key.
    Set {
        /// The key.
        key: &'a [u8],
        /// The value.
        value: &'a [u8],
        /// When it expires.
        lifetime: Lifetime,
    },
    /// Removes a key.
    Delete(&'a [u8]),
    /// Adds to a number.
    Add(&'a [u8], i64),
    /// Appends to a value.
    Append(&'a [u8], &'a [u8]),
    /// An epoch begins: no later entry has an earlier time.
    Begin,
    /// No later entry has a time before this one.
    Watermark(u64),
    /// The clock was set back from this time.
    Clock(u64),
    /// Changes nothing.
    Nothing,
}

/// How long a value lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Until it is removed.
    Unlimited,
    /// Until this time, in milliseconds since 1970.
    Until(u64),
    /// As the value before.
    Kept,
}

/// The encoding of a service's entries.
pub trait Codec: Clone + Debug + Default + 'static {
    /// What the protocol reads in them.
    const FORMAT: &'static dyn EntryFormat;

    /// Appends the bytes of an operation.
    fn encode(op: &Op<'_>, into: &mut Vec<u8>);

    /// Returns the operations of an entry, in order.
    ///
    /// # Errors
    /// If it has others.
    fn decode(changes: &[u8]) -> Result<Vec<Op<'_>>, String>;
}
