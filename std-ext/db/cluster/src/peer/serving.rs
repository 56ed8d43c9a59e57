//! The data that a node serves to its peers.

use super::asked::Asks;
use super::identity::{GroupId, PeerStatus};
use crate::log::local_log::LocalLog;
use hedgerow_db_engine::Db;
use hedgerow_db_engine::clustered::{Digest, DigestError};
use hedgerow_db_engine::log::folder::Folder;
use hedgerow_db_group::NodeId;
use hedgerow_db_redis::view::broadcast::PassMessage;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Returns a digest as of the first watermark that is not before a time in milliseconds, if it comes within a time.
/// Blocks.
pub type TakeDigest = dyn Fn(u64, Duration) -> Result<Digest, DigestError> + Send + Sync;

/// The data that a node serves to its peers.
pub struct Serving {
    /// The group of this node.
    pub group: GroupId,
    /// This node.
    pub node: NodeId,
    /// Returns where this node is. Must not block.
    pub status: Box<dyn Fn() -> PeerStatus + Send + Sync>,
    /// Takes a digest of this node's keys.
    pub digest: Box<TakeDigest>,
    /// The folder and its local log. None until they are open, and on a node without a folder, which sends no data.
    pub data: Mutex<Option<(Arc<Folder>, Arc<LocalLog>)>>,
    /// Sends a message of a channel to the node's clients. May take long.
    pub(crate) deliver: Box<PassMessage>,
    /// The database, and the requests of other groups' primaries; none in tests of the rest.
    pub(crate) moves: Option<(Db, Asks)>,
}
