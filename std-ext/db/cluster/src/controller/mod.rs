//! Decides which nodes a group has, how many nodes the cluster should have, and which slots each group has.
//!
//! Any node may run it. It knows the keys in etcd and asks peers for the sizes of slots, and has no access to the node
//! that it runs on.
//!
//! - [`coordinator`]: places nodes in groups, and replaces members that are gone for good.
//! - [`policy`]: how many nodes there should be, a pure function with a state of its own. Each node reports its load
//!   with its registration. The coordinator writes the number that it wants to the key `desired`, and all nodes publish
//!   it; Kubernetes, or a script, starts and stops nodes. The coordinator makes groups of further nodes and moves slots
//!   to them, and empties nodes before it wants fewer.
//! - [`plan`]: which slots to move when rebalancing or draining.

pub(super) mod coordinator;
pub(super) mod plan;
mod policy;
