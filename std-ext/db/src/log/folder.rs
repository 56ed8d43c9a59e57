//! The folder with the log and the snapshots of a database. Only one process may have it open.

use crate::log::disk::{Disk, SystemDisk};
use crate::log::open_error::OpenError;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file that an open folder keeps locked (`flock`). The file itself is never removed.
pub(crate) const LOCK: &str = "lock";

/// A folder that no other process has open. The lock is released when this is dropped.
pub struct Folder {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    lock: File,
}

impl Folder {
    /// Locks a folder. Creates it if it is missing.
    ///
    /// # Errors
    /// [`OpenError::InUse`] if another process has the folder open, and [`OpenError::Io`].
    pub fn claim(path: &Path) -> Result<Arc<Self>, OpenError> {
        Self::claim_on(path, Arc::new(SystemDisk))
    }

    /// As [`claim`](Self::claim), with the file operations of `disk`.
    ///
    /// # Errors
    /// As `claim`.
    pub fn claim_on(path: &Path, disk: Arc<dyn Disk>) -> Result<Arc<Self>, OpenError> {
        make(path, &*disk).map_err(|why| OpenError::Io(path.into(), why))?;
        let file = path.join(LOCK);
        let open = OpenOptions::new().write(true).create(true).truncate(false).open(&file);
        let lock = open.map_err(|why| OpenError::Io(file.clone(), why))?;
        // `File::try_lock` needs Rust 1.89.
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Arc::new(Self { path: path.into(), disk, lock })),
            Err(Errno::WOULDBLOCK) => Err(OpenError::InUse(path.into())),
            Err(why) => Err(OpenError::Io(file, why.into())),
        }
    }

    /// Returns the folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of a file in the folder.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Returns the file operations.
    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// Returns the numbers of the files named `prefix` and twenty digits, in ascending order.
    pub(crate) fn numbered(&self, prefix: &str) -> Result<Vec<u64>, OpenError> {
        let names = self.disk.list(&self.path).map_err(|why| self.io_error(why))?;
        let number = |name: &String| {
            let digits = name.strip_prefix(prefix).filter(|digits| digits.len() == DIGITS)?;
            let plain = digits.bytes().all(|digit| digit.is_ascii_digit());
            digits.parse().ok().filter(|_| plain)
        };
        let mut numbers: Vec<u64> = names.iter().filter_map(number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Removes a temporary file that a crash has left.
    pub(crate) fn remove_leftover(&self, name: &str) -> Result<(), OpenError> {
        match self.disk.remove(&self.at(name)) {
            Err(why) if why.kind() != std::io::ErrorKind::NotFound => {
                Err(OpenError::Io(self.at(name), why))
            }
            _ => Ok(()),
        }
    }

    /// Replaces a small file as a whole, by way of `NAME.new`, and syncs it: after a crash it has the old bytes or the
    /// new ones.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        let new = self.at(&format!("{name}.new"));
        let file = self.disk.create(&new)?;
        file.write(bytes)?;
        file.sync()?;
        self.disk.rename(&new, &self.at(name))?;
        self.disk.sync_folder(&self.path)
    }

    pub(crate) fn io_error(&self, why: std::io::Error) -> OpenError {
        OpenError::Io(self.path.clone(), why)
    }
}

impl Drop for Folder {
    /// Unlocks the folder. To close the file is not enough: a child process that another thread has forked, and that
    /// has not executed its program yet, has it open as well.
    fn drop(&mut self) {
        // It fails only if the file is not open.
        let _ = flock(&self.lock, FlockOperation::Unlock);
    }
}

/// Creates a folder and its missing parents, and syncs the names of each.
fn make(path: &Path, disk: &dyn Disk) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        make(parent, disk)?;
    }
    fs::create_dir_all(path)?;
    disk.sync_folder(parent.unwrap_or(Path::new(".")))
}

/// The number of digits of the largest number, so that names sort as numbers do.
const DIGITS: usize = 20;

/// Returns the name of a file with a number.
pub(crate) fn numbered_name(prefix: &str, number: u64) -> String {
    format!("{prefix}{number:020}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a child process has it between `fork` and `exec`.
    #[test]
    fn a_folder_is_free_though_a_child_process_has_its_lock_open() {
        let at = tempfile::tempdir().unwrap();
        let folder = Folder::claim(at.path()).unwrap();
        let inherited = folder.lock.try_clone().unwrap();
        assert!(matches!(Folder::claim(at.path()), Err(OpenError::InUse(_))));
        drop(folder);
        Folder::claim(at.path()).expect("the folder is still locked");
        drop(inherited);
    }
}
