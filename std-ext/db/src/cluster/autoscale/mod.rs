//! How many nodes the cluster should have.
//!
//! Each node reports its load with its registration ([`load`]). The coordinator decides by the load of all groups
//! ([`policy`], a pure function with a state of its own), and writes what it wants to the key `desired`
//! ([`desired`]). All nodes publish that number; Kubernetes, or a script, starts and stops nodes. The coordinator makes
//! groups of further nodes and moves slots to them, and empties nodes before it wants fewer.

pub(super) mod desired;
pub(super) mod load;
pub(super) mod policy;
