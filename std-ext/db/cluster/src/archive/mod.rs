//! Copies of the cluster's data outside of etcd.
//!
//! [`adopt`] fills a new etcd from the directories of nodes. [`backup`] copies the data of running nodes, and restores
//! them.

pub mod adopt;
pub mod backup;
