//! The database on several machines.
//!
//! A *group* of nodes shares one log of batches, which etcd keeps. One node, the *primary*, appends to it; the others
//! follow it. A change is acknowledged once a majority of etcd's members has its batch on disk.
//!
//! - [`core`]: the protocol, without threads, sockets, clocks or randomness.
//! - [`etcd`]: a client of etcd.
//! - [`relay`]: the committed entries in the node's own folder.
//! - [`peer`]: what nodes ask of each other.
//! - [`view`]: the group as clients see it.

pub mod core;
pub mod etcd;
pub mod peer;
pub mod relay;
pub mod view;
