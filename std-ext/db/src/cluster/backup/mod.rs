//! Backups of a cluster: the data of a running node, at an exact entry.
//!
//! A backup is a folder as a node has it, without the node's name: a snapshot, the log behind it, the file `cluster`,
//! and `backup.json`, which has the checksum of each file. It is fetched as a node renews its folder: over the peer
//! port, without stopping the node. It has every change that was acknowledged before the command began.
//!
//! [`restore`] makes a node's folder of it, and [`adopt`](super::adopt) fills etcd from that folder.

mod files;
mod manifest;
mod take;
#[cfg(test)]
mod tests;
mod verify;

pub use manifest::{Contents, FileInfo};
pub use take::take;
pub use verify::{restore, verify};
