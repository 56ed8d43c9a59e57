//! Readers' guards, and the nodes that they keep alive after they were taken out of a map.
//!
//! All maps of owned data share this module, however they find their nodes.

#[cfg(not(hedgerow_loom))]
pub(crate) mod borrowed;
#[cfg(not(hedgerow_loom))]
pub(crate) mod collector;
#[cfg(not(hedgerow_loom))]
pub(crate) mod entry;
#[cfg(not(hedgerow_loom))]
pub(crate) mod errors;
pub(crate) mod garbage;
#[cfg(not(hedgerow_loom))]
pub(crate) mod guard;
#[cfg(not(hedgerow_loom))]
pub(crate) mod handle;
#[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
mod loom;
#[cfg(not(hedgerow_loom))]
pub(crate) mod map;
#[cfg(not(hedgerow_loom))]
pub(crate) mod methods;
pub(crate) mod node;
pub(crate) mod node_memory;
#[cfg(not(hedgerow_loom))]
pub(crate) mod pair;
mod reentrancy;
#[cfg(not(hedgerow_loom))]
pub(crate) mod removed;
#[cfg(not(hedgerow_loom))]
pub(crate) mod retired;
