//! Readers' guards, and what they keep alive: nodes that were taken out of a map and may still be looked at.
//!
//! What maps of owned data have in common, whatever they find their nodes by.

#[cfg(not(hedgerow_loom))]
pub(crate) mod borrowed;
#[cfg(not(hedgerow_loom))]
pub(crate) mod errors;
pub(crate) mod garbage;
#[cfg(not(hedgerow_loom))]
pub(crate) mod guard;
#[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
mod loom;
pub(crate) mod node;
#[cfg(not(hedgerow_loom))]
pub(crate) mod pair;
mod reentrancy;
#[cfg(not(hedgerow_loom))]
pub(crate) mod removed;
#[cfg(not(hedgerow_loom))]
pub(crate) mod retired;
