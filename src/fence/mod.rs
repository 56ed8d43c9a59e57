//! Ordered maps whose lookups take no lock: one of plain data, one of owned keys and values.
//!
//! [`FenceMap`] stores its entries in leaves and lists the leaves in fences. Lookups find both by hints that are never
//! validated: a leaf's own bounds say which keys belong to it. Its page says what it promises. [`OrdMap`] is the same
//! map with keys and values of any type. It returns references that hold a [`Guard`](crate::owned::Guard).

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
