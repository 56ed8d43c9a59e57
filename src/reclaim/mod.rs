//! Readers' guards, and what they keep alive: nodes that were taken out of a map and may still be looked at.
//!
//! What maps of owned data have in common, whatever they find their nodes by.

pub(crate) mod errors;
pub(crate) mod garbage;
pub(crate) mod guard;
pub(crate) mod node;
pub(crate) mod pair;
mod reentrancy;
pub(crate) mod removed;
pub(crate) mod retired;
