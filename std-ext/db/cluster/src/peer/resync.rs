//! Fetches the data of a peer for a node that is too far behind: etcd has trimmed the batches that it needs.
//!
//! Batches that commit meanwhile must not be lost. So the caller begins to follow etcd into a [`Spool`](super::Spool)
//! before it fetches. `fetch` follows the peer's local log until `enough` says that the spool, or etcd, has all that
//! comes next.

use super::client::{PeerClient, PeerClientOptions};
use super::error::{PeerError, status_error};
use super::limits::SILENCE;
use super::receive::Receiver;
use crate::log::local_log::LocalLogPosition;
use std::path::Path;
use tokio::time::timeout;

/// The next step of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchDecision {
    /// Read on.
    Continue,
    /// The rest is elsewhere.
    Enough,
    /// Stop without a result.
    GiveUp,
}

/// Fetches the data of the peer at `address` into a subfolder of `folder`, which may be open meanwhile. After a
/// restart, [`install`](super::install()) replaces the folder's data by it.
///
/// Blocks until `enough` says so. `enough` is called after each message, and at least once a second unless the peer is
/// silent, with the position that the folder could continue from. Must not be called within a tokio runtime.
///
/// # Errors
/// [`PeerError`] says what was wrong. The folder is as before.
pub fn fetch(
    address: &str,
    options: &PeerClientOptions,
    folder: &Path,
    enough: &mut dyn FnMut(Option<&LocalLogPosition>) -> FetchDecision,
) -> Result<LocalLogPosition, PeerError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = PeerClient::new(address, options)?;
        let mut parts = client.fetch().await?;
        let mut receiver = Receiver::create(folder, options.group, options.most_bytes)?;
        loop {
            let next = timeout(SILENCE, parts.message()).await.map_err(|_| PeerError::Silent)?;
            let Some(part) = next.map_err(|status| status_error(&status))? else {
                return Err(PeerError::Unreachable("it ended the call".into()));
            };
            receiver.receive(part)?;
            let position = receiver.position();
            match (enough(position.as_ref()), position) {
                (FetchDecision::GiveUp, _) => return Err(PeerError::GivenUp),
                (FetchDecision::Enough, Some(_)) => return receiver.finish(),
                _ => {}
            }
        }
    })
}
