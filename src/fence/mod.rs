//! Ordered maps whose reads take no lock: of plain data, and of what is owned.
//!
//! [`FenceMap`] keeps its entries in leaves, the leaves in fences, and finds both by hints that are never
//! validated: the leaf itself says which keys it answers for. See there for what it promises. [`OrdMap`] is the
//! same with keys and values of any type, and returns references that hold a [`Guard`](crate::owned::Guard).

// Documentation lists the methods of the first modules first.
mod map;

mod apply;
mod arena;
mod atomically;
mod balance;
#[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
mod balance_loom;
mod batch;
#[cfg(feature = "std-ext")]
mod calm;
mod cursor;
mod directory;
#[cfg(not(hedgerow_loom))]
mod entry;
#[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
mod entry_loom;
mod estimate;
mod fallible;
mod few;
mod grow;
mod hints;
mod iter;
mod leaf;
mod load;
#[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
mod loom;
mod near;
mod or_insert;
mod ordered;
mod range;
mod rank;
mod read;
mod rebalance;
mod route;
mod rule;
mod search;
#[cfg(feature = "serde")]
mod serde;
mod shrink;
#[cfg(all(test, hedgerow_shuttle))]
mod shuttle;
mod splits;
mod traits;
mod tree;
mod walk;
mod write;

pub use crate::api::op::{Computed, Op};
pub use cursor::Cursor;
#[cfg(not(hedgerow_loom))]
pub use entry::{
    OrdExtractIf, OrdIntoIter, OrdIter, OrdIterRange, OrdMap, OrdRange, PinnedOrdIter,
    PinnedOrdIterRange, PinnedOrdRange,
};
pub use iter::{ExtractIf, Iter, Keys, Range, Values};
pub use map::{FenceMap, FenceStats};
pub use rank::{ByType, Ranking};
pub use rebalance::FenceLoad;
