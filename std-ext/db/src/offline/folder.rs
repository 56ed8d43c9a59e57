//! A directory that is read, and not changed.

use hedgerow_db_engine::Options;
use hedgerow_db_engine::db::load_only;
use hedgerow_db_engine::log::LOG;
use hedgerow_db_engine::log::OpenError;
use hedgerow_db_engine::log::disk::{Disk, DiskFile, SystemDisk};
use hedgerow_db_engine::log::folder::{Folder, LOCK};
use hedgerow_db_engine::options::MAX_DATABASES;
use hedgerow_db_engine::request::StoredValue;
use hedgerow_db_engine::state::load::LoadingShards;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

/// The file that only the directory of a node of a cluster has.
const NODE: &str = "node-id";

/// The system's files, for reading only. Leftovers of a crash that another program would remove stay.
struct ReadOnly;

fn refused() -> io::Error {
    io::Error::new(ErrorKind::ReadOnlyFilesystem, "nothing is changed here")
}

impl Disk for ReadOnly {
    fn create(&self, _: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Err(refused())
    }

    fn reopen(&self, _: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Err(refused())
    }

    fn read(&self, path: &Path) -> io::Result<File> {
        SystemDisk.read(path)
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(refused())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        SystemDisk.list(folder)
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// Called with a database, a key in it, its expiration and its value; several times with the parts of a long value.
pub(super) type OnEntry<'a> = dyn FnMut(u16, &[u8], Option<u64>, StoredValue<'_>) + 'a;

/// The contents of a directory.
pub(super) struct Loaded {
    shards: LoadingShards,
    /// Keys in the snapshot, and entries of the log behind it.
    pub(super) snapshot_keys: u64,
    pub(super) log_entries: u64,
    /// Bytes and complete entries behind the last entry that counts, as a crash leaves them.
    pub(super) truncated_bytes: u64,
    pub(super) discarded_entries: u64,
    _folder: Arc<Folder>,
}

impl Loaded {
    /// Calls `each` with all keys, their databases in ascending order, their expirations and their values.
    pub(super) fn each_key(&self, each: &mut OnEntry<'_>) {
        for database in self.shards.used() {
            self.shards.each_key_of(database, &mut |key, expires_at, value| {
                each(database, key, expires_at, value);
            });
        }
    }
}

/// Loads a directory, and holds its lock.
///
/// # Errors
/// If there is no such directory, a server has it open, or it is damaged.
pub(super) fn load(path: &Path) -> Result<Loaded, OpenError> {
    // Locking creates the file `lock`. It must not appear in a directory that is no database's, but somebody may have
    // removed it from one.
    let names = SystemDisk.list(path).map_err(|why| OpenError::Io(path.into(), why))?;
    if !names.iter().any(|name| name == LOCK || name.starts_with(LOG)) {
        return Err(OpenError::Io(path.join(LOCK), ErrorKind::NotFound.into()));
    }
    let folder = Folder::claim_on(path, Arc::new(ReadOnly))?;
    // A directory is read for any setting of `databases`.
    let mut options = Options::in_memory();
    options.databases = MAX_DATABASES;
    let shards = LoadingShards::new(&options);
    let opened = load_only(&folder, &shards)?;
    shards.finish_loading();
    Ok(Loaded {
        shards,
        snapshot_keys: opened.snapshot_keys,
        log_entries: opened.log_entries,
        truncated_bytes: opened.truncated_bytes,
        discarded_entries: opened.discarded_entries,
        _folder: folder,
    })
}

/// Returns whether the directory is that of a node of a cluster.
pub(super) fn is_node(path: &Path) -> bool {
    path.join(NODE).exists()
}
