//! `OrdMap`: the tree over pointers, to nodes that are owned.
//!
//! The tree's keys are words, a rank and a pointer, and its values nothing ([`raw`]). A key is looked at only after
//! the leaf that the pointer was copied from has been validated, under a guard: so it was in the map when the guard
//! was there, and what is taken out of the map after that is not dropped before the guard is.
//!
//! The bounds of leaves outlive the entries that they come from. So each is a clone of a key, in a node of its own,
//! made with nothing locked, before a leaf is split, and garbage when two leaves are joined.

// Documentation lists the methods of the first modules first.
mod map;

mod ops;

mod batch;
mod entry;
mod fallible;
mod iter;
mod maintenance;
mod ordered;
mod pinned;
mod raw;
#[cfg(feature = "serde")]
mod serde;
mod traits;

pub use iter::{
    OrdExtractIf, OrdIntoIter, OrdIter, OrdIterRange, OrdRange, PinnedOrdIter, PinnedOrdIterRange,
    PinnedOrdRange,
};
pub use map::OrdMap;
