//! The nodes of a cluster and its slots, as the keys in etcd have them.
//!
//! - [`keys`]: the names of all keys. [`directory`]: what etcd tells of their changes.
//! - [`identity`]: the cluster and the group that a folder belongs to. [`bootstrap`]: the first contact with etcd,
//!   whose [`error`] says why a node cannot start. [`halting`]: the key of a node that has more than etcd.
//! - [`registration`]: what a node says of itself, with its [`load`]. [`registry`] writes it and reads those of others;
//!   [`conflicts`] are settings of nodes that do not go together. [`events`]: what a node hears by them.
//! - [`place`]: the group that the coordinator assigned to a node. [`desired`]: the number of nodes that it wants.
//! - [`durable`]: the progress of a node's own disk. [`member_removal`]: when a member may be removed from its group.
//! - [`slot_map`]: the group of each slot. [`slot_claims`]: slots that several groups claim.
//! - [`topology`]: makes the view for clients.
//!
//! Nothing here decides: the group's log does, and the transactions of the controller.

pub(super) mod bootstrap;
mod conflicts;
pub(super) mod desired;
pub(super) mod directory;
pub(super) mod durable;
pub(super) mod error;
pub(super) mod events;
pub(super) mod halting;
pub(super) mod identity;
pub(super) mod keys;
pub(super) mod load;
pub(super) mod member_removal;
pub(super) mod place;
pub(super) mod registration;
pub(super) mod registry;
pub(super) mod slot_claims;
pub(super) mod slot_map;
pub(super) mod topology;
