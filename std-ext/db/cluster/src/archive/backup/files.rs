//! The folders and the files of a backup.

use crate::membership::error::StartError;
use hedgerow_db_engine::log::folder::{Folder, LOCK};
use hedgerow_db_engine::log::{LOG, MANIFEST};
use hedgerow_db_engine::snapshot;
use std::path::Path;
use std::sync::Arc;

/// The file that says which cluster a folder belongs to.
pub(super) use crate::membership::identity::CLUSTER;

/// Whether a file is one of the database's: a snapshot, a segment of the log, or the log's manifest.
pub(super) fn is_data(name: &str) -> bool {
    let plain = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_digit());
    name == MANIFEST
        || name.strip_prefix(LOG).is_some_and(plain)
        || name.strip_prefix(snapshot::NAME).is_some_and(plain)
}

/// The beginning of the name of a group's folder. The group's number follows.
const GROUP: &str = "group-";

/// Returns the name of the folder of a group.
pub(super) fn group_folder(group: u32) -> String {
    format!("{GROUP}{group}")
}

/// Whether a name is that of the folder of some group.
pub(super) fn is_group_folder(name: &str) -> bool {
    name.starts_with(GROUP)
}

/// Claims a folder that is empty or not there.
pub(super) fn empty_folder(path: &Path) -> Result<Arc<Folder>, StartError> {
    let folder = Folder::claim(path)?;
    let names = folder.disk().list(path).map_err(|why| folder.io_error(why))?;
    match names.iter().find(|name| *name != LOCK) {
        None => Ok(folder),
        Some(name) => Err(StartError::new(format!(
            "{} must be an empty directory, but has {name:?}",
            path.display()
        ))),
    }
}
