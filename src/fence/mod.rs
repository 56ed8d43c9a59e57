//! Ordered maps whose lookups take no lock: [`FenceMap`] for `Copy` types, [`OrdMap`] for any types.
//!
//! Both store their entries in the leaves of a tree, and list runs of leaves in *fences*. Root and fences are hints
//! that are never validated, because each leaf stores the range of keys that it is responsible for. An [`OrdMap`] has
//! pointers in its leaves, and returns references that hold a [`Guard`](crate::owned::Guard).

// Documentation lists the methods of the first modules first.
mod map;

mod balance;
#[cfg(all(test, any(hedgerow_loom, hedgerow_shuttle)))]
mod models;
#[cfg(not(hedgerow_loom))]
mod ord_map;
mod tree;

pub use crate::api::op::{Computed, Op};
pub use balance::fence_loads::FenceLoad;
pub use map::cursor::Cursor;
pub use map::fence_map::FenceMap;
pub use map::iter::{ExtractIf, Iter, Keys, Range, Values};
#[cfg(not(hedgerow_loom))]
pub use ord_map::{
    OrdExtractIf, OrdIntoIter, OrdIter, OrdIterRange, OrdMap, OrdRange, PinnedOrdIter,
    PinnedOrdIterRange, PinnedOrdRange,
};
pub use tree::rank::{ByType, Ranking};
pub use tree::stats::FenceStats;
