//! The cluster of [hedgerow-db](https://docs.rs/hedgerow-db): the database on several machines.
//!
//! This API is internal to `hedgerow-db`, which re-exports it as its module `cluster`: it may change with each of its
//! versions.
//!
//! A *group* of nodes shares one log of batches, which etcd keeps. One node, the *primary*, appends to it; the others
//! follow it. A cluster has one group, or several that divide the hash slots. A change is acknowledged once a majority
//! of etcd's members has its batch on disk.
//!
//! - [`core`], the package `hedgerow-db-group`: the protocol, without threads, sockets, clocks or randomness.
//! - [`etcd`]: a client of etcd.
//! - `log`: the group's log as the database sees it, and [`local_log`]: the committed entries in the node's own folder.
//! - `membership`: the nodes of the cluster and its slots, as the keys in etcd have them.
//! - [`peer`]: the requests of nodes to each other. `moves`: moving slots between groups.
//! - `controller`: assigns nodes to groups, and decides how many there should be.
//! - `archive`: [`adopt`] fills a new etcd from a node's folder; [`backup`] copies a running node's data.
//! - [`node`]: a node, which joins these parts; [`member`] without the program, which may execute itself anew.
//! - [`view`]: the cluster as clients see it. `measure`: what a node measures.
//! - `admin`: the commands `hedgerow-db cluster`.
//!
//! A module imports lower ones only, as `ARCHITECTURE.md` says.
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

#![cfg_attr(docsrs, feature(doc_cfg))]
#![allow(
    clippy::missing_errors_doc,
    clippy::new_without_default,
    rustdoc::private_intra_doc_links,
    reason = "what is not documented here is used by hedgerow-db alone"
)]

#[cfg(feature = "cli")]
pub mod admin;
mod archive;
mod controller;
pub mod etcd;
mod log;
mod measure;
mod membership;
mod moves;
pub mod node;
pub mod peer;
#[cfg(test)]
mod simulation;

pub use archive::{adopt, backup};
pub use hedgerow_db_group as core;
pub use hedgerow_db_redis::view;
pub use log::local_log;
pub use membership::error::StartError;
pub use node::Node;
pub use node::member::{self, GroupMember};
pub use node::quota::EtcdQuota;
pub use node::status::{NodeExit, NodeMonitor, NodeStatus};
pub use view::broadcast;
