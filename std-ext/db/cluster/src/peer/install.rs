//! Replaces the data of a folder by the data that was fetched from a peer.
//!
//! 1. The folder gets a new incarnation, and its snapshots and its log are removed. The marker `complete` becomes
//!    `moving`.
//! 2. The fetched files are moved into the folder. The marker and the subfolder are removed.
//!
//! The marker says which step to repeat after a crash. Both can be repeated: the first one touches no fetched file, and
//! the second one removes nothing.

use super::receive::{COMPLETE, MOVING, STAGING};
use super::spool;
use crate::log::local_log::Incarnation;
use hedgerow_db_engine::log::folder::Folder;
use hedgerow_db_engine::log::{LOG, MANIFEST, OpenError};
use hedgerow_db_engine::snapshot;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Installs what [`fetch`](super::fetch) has got, if it is complete, and removes it if it is not. Call it before the
/// folder is opened. Returns whether this call has moved data into the folder.
///
/// # Errors
/// If a file cannot be moved or removed. To call it again completes the work.
pub fn install(folder: &Folder) -> Result<bool, OpenError> {
    let staging = folder.at(STAGING);
    if !staging.is_dir() {
        return Ok(false);
    }
    let io_error = |why| OpenError::Io(staging.clone(), why);
    if staging.join(COMPLETE).exists() {
        // First of all: what etcd says about this directory's entries must not count for other ones.
        Incarnation::renew(folder)?;
        remove_data(folder, &staging).map_err(io_error)?;
    }
    let installed = staging.join(MOVING).exists();
    if installed {
        move_data(folder, &staging).map_err(io_error)?;
        tracing::info!("the data that was fetched from a peer is installed");
    }
    fs::remove_dir_all(&staging).map_err(io_error)?;
    Ok(installed)
}

/// Returns whether a folder has data that were fetched and are not installed yet.
pub(crate) fn has_fetched(folder: &Folder) -> bool {
    let staging = folder.at(STAGING);
    staging.join(COMPLETE).exists() || staging.join(MOVING).exists()
}

/// Removes all data of a folder, and gives it a new incarnation. A folder that was not opened may be cleared again.
///
/// # Errors
/// If a file cannot be removed.
pub(crate) fn clear(folder: &Folder) -> Result<(), OpenError> {
    let staging = folder.at(STAGING);
    if staging.is_dir() {
        fs::remove_dir_all(&staging).map_err(|why| OpenError::Io(staging.clone(), why))?;
    }
    Incarnation::renew(folder)?;
    let spool = folder.at(spool::NAME);
    match folder.disk().remove(&spool) {
        Err(why) if why.kind() != ErrorKind::NotFound => return Err(OpenError::Io(spool, why)),
        _ => {}
    }
    remove_files(folder).map_err(|why| folder.io_error(why))
}

/// The first step.
fn remove_data(folder: &Folder, staging: &Path) -> io::Result<()> {
    remove_files(folder)?;
    let disk = folder.disk();
    disk.rename(&staging.join(COMPLETE), &staging.join(MOVING))?;
    disk.sync_folder(staging)
}

fn remove_files(folder: &Folder) -> io::Result<()> {
    let disk = folder.disk();
    for name in disk.list(folder.path())?.iter().filter(|name| is_data(name)) {
        match disk.remove(&folder.at(name)) {
            Err(why) if why.kind() != ErrorKind::NotFound => return Err(why),
            _ => {}
        }
    }
    disk.sync_folder(folder.path())
}

/// The second step.
fn move_data(folder: &Folder, staging: &Path) -> io::Result<()> {
    let disk = folder.disk();
    for name in disk.list(staging)?.iter().filter(|name| is_data(name)) {
        disk.rename(&staging.join(name), &folder.at(name))?;
    }
    // The names are on the disk before the marker goes.
    disk.sync_folder(folder.path())?;
    disk.remove(&staging.join(MOVING))?;
    disk.sync_folder(staging)
}

/// Whether a file is one of the database's: a snapshot, a segment of the log, or the manifest.
fn is_data(name: &str) -> bool {
    name == MANIFEST || name.starts_with(LOG) || name.starts_with(snapshot::NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_cleared_keeps_only_its_name() {
        let path = tempfile::tempdir().unwrap();
        let folder = Folder::claim(path.path()).unwrap();
        let before = Incarnation::of(&folder).unwrap();
        let data = [&format!("{LOG}.7"), &format!("{}.3", snapshot::NAME), MANIFEST, spool::NAME];
        for name in data.into_iter().chain(["node-id", "cluster"]) {
            fs::write(folder.at(name), "rose").unwrap();
        }
        fs::create_dir(folder.at(STAGING)).unwrap();
        fs::write(folder.at(STAGING).join(COMPLETE), "").unwrap();
        // Again, as after a crash.
        for _ in 0..2 {
            clear(&folder).unwrap();
            let left = |name: &&str| folder.at(name).exists();
            assert_eq!(data.iter().find(|name| left(name)), None, "data of the old group are left");
            assert!(!left(&STAGING), "fetched data would be installed");
            assert!(left(&"node-id") && left(&"cluster"), "it forgets what it still has to do");
            assert_ne!(Incarnation::of(&folder).unwrap(), before, "its old copies still count");
        }
    }
}
