//! The local log: the committed entries of the group, in the node's own folder.
//!
//! It is the [`FileLog`](hedgerow_db_engine::log::file::FileLog) of the folder. Its entries have the numbers that they
//! have in the group's log, and only committed entries enter it. So nothing is ever rolled back, and opening the folder
//! is the same as for a database on one machine.
//!
//! - [`store`]: appends batches. A thread of its own writes them, so the disk delays no acknowledgement.
//! - [`position`]: the place in the group's log that the local log has reached.
//! - [`records`]: reads entries back, for a peer.
//! - [`incarnation`]: the identity of the folder.
//!
//! # Marks
//! A batch has a number (`seq`) in etcd, and its entries have numbers (`lsn`) of their own. The first entry of each
//! batch begins with a mark: the batch's number, epoch, and the chain before it. A node that restarts finds the last
//! mark, reads that batch from etcd again, checks the chain, compares the entries that it has, and skips them. So a
//! crash may cut a batch anywhere. Once a snapshot contains the entry of the last mark, the snapshot's header has the
//! mark.

pub mod error;
pub mod incarnation;
pub mod pins;
pub mod position;
pub mod records;
pub mod store;

#[cfg(test)]
mod tests;

pub use error::LocalLogError;
pub use incarnation::Incarnation;
pub use pins::Pin;
pub use position::{DurablePosition, LocalLogPosition};
pub use records::{LocalRecord, LocalRecords};
pub use store::{DiskCondition, LocalLog, MOST_BACKLOG};
