//! Backups of a cluster: the data of running nodes, at an exact entry of each group.
//!
//! A backup is a folder with `backup.json`, which has the checksum of each file, and a subfolder for each group that
//! has slots. That is as a node has it, without the node's name: a snapshot, the log behind it, and the file `cluster`.
//! It is fetched as a node renews its folder: over the peer port, without stopping the node.
//!
//! Each group is as of one entry of its own, and has every change that was acknowledged before the command began. The
//! groups are copied one after another. So of two changes in different groups that are made meanwhile, the backup may
//! have the later one only. No slots move meanwhile: if a move has begun, all is copied again. So each slot is in
//! exactly one of the copies.
//!
//! [`restore()`] stores the keys of a backup in an empty cluster of any number of groups. A copy of a group's subfolder
//! is the folder of a node, from which [`adopt`](crate::archive::adopt) fills etcd.

mod files;
mod manifest;
mod restore;
mod source;
mod take;
#[cfg(test)]
mod tests;
mod verify;

pub use manifest::{BackupContents, FileInfo, GroupContents};
pub use restore::{RestoreOutcome, RestoredGroup, restore};
pub use take::take;
pub use verify::verify;
