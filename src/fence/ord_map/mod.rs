//! `OrdMap`: the tree over pointers to owned entries.
//!
//! The tree's keys are pairs of a rank and a pointer, and its values are empty ([`raw`]). An operation reads a key only
//! under a guard, and only after it has validated the leaf from which it copied the pointer. So the entry was in the
//! map while the guard was held, and an entry that is removed later is not dropped before the guard is.
//!
//! A bound of a leaf outlives the entry that it comes from, so it is a clone of a key, in a node of its own. It is
//! cloned with nothing locked, before a leaf is split, and retired when two leaves are merged.

// Documentation lists the methods of the first modules first.
mod map;

mod ops;

mod batch;
mod entry;
mod fallible;
mod iter;
mod maintenance;
mod nodes;
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
