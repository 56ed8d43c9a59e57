//! Renews the folder of a node that is too far behind: etcd has trimmed the batches that it needs.
//!
//! [`fetch`] gets the newest snapshot of a peer, and the entries of its relay behind that. They go to the subfolder
//! `resync`, so the folder stays as it is until everything was checked. [`install`] then replaces the files of the
//! folder; a node calls it before it opens the folder. A crash at any point leaves either the old files or the new.
//!
//! Batches that commit meanwhile must not be lost, so the caller begins to follow etcd into a [`Spool`](super::Spool)
//! before it fetches. `fetch` follows the peer's relay until `enough` says that the spool, or etcd, has all that
//! comes next.

use super::client::PeerClientOptions;
use super::error::PeerError;
use crate::cluster::relay::Position;
use crate::log::OpenError;
use std::path::Path;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Read on.
    Continue,
    /// The rest is elsewhere.
    Enough,
    /// Stop without a result.
    GiveUp,
}

/// Fetches the data of the peer at `address` into a subfolder of `folder`. Blocks until `enough` says so, which is
/// called with each position that the folder could continue from, and about once a second. The folder may be open
/// meanwhile. Must not be called within a tokio runtime.
///
/// # Errors
/// [`PeerError`] says what was wrong. The folder is as before.
pub fn fetch(
    address: &str,
    options: &PeerClientOptions,
    folder: &Path,
    enough: &mut dyn FnMut(Option<&Position>) -> Decision,
) -> Result<Position, PeerError> {
    let _ = (address, options, folder, enough);
    todo!()
}

/// Replaces the data of a folder by what [`fetch`] has got, if there is a complete one, and removes an incomplete one.
/// Gives the folder a new incarnation. Returns whether there was one.
///
/// # Errors
/// If a file cannot be moved. To call it again completes the work.
pub fn install(folder: &Path) -> Result<bool, OpenError> {
    let _ = folder;
    todo!()
}
