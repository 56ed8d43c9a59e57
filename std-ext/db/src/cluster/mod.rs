//! The database on several machines.
//!
//! A *group* of nodes shares one log of batches, which etcd keeps. One node, the *primary*, appends to it; the others
//! follow it. A cluster has one group, or several that divide the hash slots. A change is acknowledged once a majority
//! of etcd's members has its batch on disk.
//!
//! - [`core`]: the protocol, without threads, sockets, clocks or randomness.
//! - [`etcd`]: a client of etcd.
//! - [`local_log`]: the committed entries in the node's own folder.
//! - [`peer`]: the requests of nodes to each other.
//! - [`adopt`]: fills a new etcd from a node's folder. [`backup`]: copies of a running node's data.
//! - `coordinator`: places nodes in groups, and replaces members that are gone for good.
//! - `autoscale`: how many nodes the cluster should have.
//! - [`view`]: the cluster as clients see it.
//! - `admin`: the commands `hedgerow-db cluster`.
//! - [`member`]: a node, which joins these parts. [`node`]: the same for the program, which may execute itself anew.
//!
//! A node has these threads beside those of a database on one machine:
//!
//! | thread | file | does |
//! |---|---|---|
//! | `hedgerow-cluster` | `driver` | gives the protocol its events, and carries out its actions; never blocks |
//! | `hedgerow-cluster-state` | `applier` | applies committed entries, changes the role of the state |
//! | `hedgerow-cluster-disk` | `disk_thread` | forces the local log to the disk once a second |
//! | `hedgerow-local` | `local_log` | writes the local log |
//! | `hedgerow-messages` | `messenger` | sends messages of channels to the other nodes |
//! | `hedgerow-cluster-fetch` | `resync` | fetches a peer's data, if etcd has trimmed what the node needs |

#[cfg(feature = "cli")]
pub mod admin;
pub mod adopt;
mod alarm;
mod applier;
mod autoscale;
pub mod backup;
mod bootstrap;
pub mod broadcast;
mod calls;
mod changes;
mod clock;
mod compaction;
mod conflicts;
mod coordinator;
mod counters;
mod directory;
mod disk_thread;
mod driver;
mod durable;
mod error;
pub mod etcd;
mod failures;
mod former;
mod group_commit;
mod halting;
pub(crate) mod histogram;
mod identity;
mod keys;
pub mod local_log;
mod log;
pub mod member;
mod member_removal;
mod membership_events;
mod message;
mod messenger;
mod moves;
pub mod node;
pub mod peer;
mod place;
mod plan;
mod quota;
mod registration;
mod registry;
mod resync;
#[cfg(test)]
mod simulation;
mod slot_claims;
mod slot_history;
mod slot_map;
mod status;
mod tasks;
#[cfg(test)]
mod tests;
mod topology;
pub mod view;
mod wording;

pub use error::StartError;
pub use hedgerow_db_group as core;
use hedgerow_db_group::hex;
pub use member::GroupMember;
pub use node::Node;
pub use quota::EtcdQuota;
pub use status::{NodeExit, NodeMonitor, NodeStatus};
