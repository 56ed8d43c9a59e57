//! The folder with the log and the snapshots of a database. Only one process may have it open.
//!
//! An open folder holds two locks (`flock`), each for what the other one cannot do:
//!
//! - **The directory itself** cannot be removed while it has files, or replaced by a copy file by file. But a network
//!   file system may keep this lock to one machine, or refuse it.
//! - **The file `lock`** also excludes other machines, and versions that know no other lock. But operators and copying
//!   programs remove and replace it, and the next process would lock a new file: so the log checks with
//!   `Folder::keeps_lock` that the name still belongs to the locked file, and locks a new one if it does not.

use crate::lock::lock;
use crate::log::disk::{Disk, DiskFile, SystemDisk};
use crate::log::open_error::OpenError;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, fstat, openat, statat};
use rustix::io::Errno;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The file that an open folder keeps locked. The database never removes it.
#[doc(hidden)]
pub const LOCK: &str = "lock";

/// A folder that no other process has open. The locks are released when this is dropped.
pub struct Folder {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    directory: File,
    /// Whether the directory itself is locked.
    is_locked: bool,
    /// The file `lock`.
    lock: Mutex<File>,
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
        let io_error = |why| OpenError::Io(path.into(), why);
        make(path, &*disk).map_err(io_error)?;
        let directory = File::open(path).map_err(io_error)?;
        // `File::try_lock` needs Rust 1.89.
        let is_locked = match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => true,
            Err(Errno::WOULDBLOCK) => return Err(OpenError::InUse(path.into())),
            // Some file systems lock only files, or only what is open for writing. The file is locked below.
            Err(Errno::BADF | Errno::INVAL | Errno::NOLCK | Errno::NOSYS | Errno::NOTSUP) => false,
            Err(why) => return Err(io_error(why.into())),
        };
        match lock_file(&directory) {
            Ok(lock) => {
                let (path, lock) = (path.into(), lock.into());
                Ok(Arc::new(Self { path, disk, directory, is_locked, lock }))
            }
            Err(Errno::WOULDBLOCK) => Err(OpenError::InUse(path.into())),
            Err(why) => Err(OpenError::Io(path.join(LOCK), why.into())),
        }
    }

    /// Returns whether no other process can have opened the folder. If the file `lock` was removed or replaced, locks
    /// the file that is there now, or a new one: whoever removes a lock that looks stale stops no server by it.
    pub(super) fn keeps_lock(&self) -> bool {
        let mut lock = lock(&self.lock);
        if is_lock_file(&self.directory, &lock).unwrap_or(false) {
            return true;
        }
        match lock_file(&self.directory) {
            Ok(locked) => {
                let file = self.at(LOCK);
                tracing::warn!(?file, "this file was removed or replaced; locking it again");
                *lock = locked;
                true
            }
            Err(_) => false,
        }
    }

    /// Returns device and inode of the directory, if it is locked itself. No other process can hold its lock, and while
    /// the folder is open no other directory has these two.
    #[doc(hidden)]
    pub fn locked_directory(&self) -> Option<(u64, u64)> {
        use std::os::unix::fs::MetadataExt;
        let of = self.directory.metadata().ok().filter(|_| self.is_locked)?;
        Some((of.dev(), of.ino()))
    }

    /// Returns the folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of a file in the folder.
    #[doc(hidden)]
    pub fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Returns the file operations.
    #[doc(hidden)]
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// Returns the numbers of the files named `prefix` and twenty digits, in ascending order.
    #[doc(hidden)]
    pub fn numbered(&self, prefix: &str) -> Result<Vec<u64>, OpenError> {
        let names = self.disk.list(&self.path).map_err(|why| self.io_error(why))?;
        let number = |name: &String| {
            let digits = name.strip_prefix(prefix).filter(|digits| digits.len() == DIGITS)?;
            // `parse` would also accept a sign.
            let plain = digits.bytes().all(|digit| digit.is_ascii_digit());
            digits.parse().ok().filter(|_| plain)
        };
        let mut numbers: Vec<u64> = names.iter().filter_map(number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Removes a temporary file that a crash has left.
    #[doc(hidden)]
    pub fn remove_leftover(&self, name: &str) -> Result<(), OpenError> {
        match self.disk.remove(&self.at(name)) {
            Err(why) if why.kind() != std::io::ErrorKind::NotFound => {
                Err(OpenError::Io(self.at(name), why))
            }
            _ => Ok(()),
        }
    }

    /// Replaces a small file as a whole, by way of `NAME.new`, and syncs it: after a crash it has the old bytes or the
    /// new ones.
    #[doc(hidden)]
    pub fn replace(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        self.replace_by(name, bytes, |file| file.sync())?;
        self.disk.sync_folder(&self.path)
    }

    /// The same without a sync: a loss of power may leave any bytes, the death of the process does not.
    #[doc(hidden)]
    pub fn replace_unsynced(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        self.replace_by(name, bytes, |_| Ok(()))
    }

    fn replace_by(
        &self,
        name: &str,
        bytes: &[u8],
        sync: impl FnOnce(&dyn DiskFile) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let new = self.at(&format!("{name}.new"));
        let file = self.disk.create(&new)?;
        file.write(bytes)?;
        sync(&*file)?;
        self.disk.rename(&new, &self.at(name))
    }

    #[doc(hidden)]
    pub fn io_error(&self, why: std::io::Error) -> OpenError {
        OpenError::Io(self.path.clone(), why)
    }
}

impl Drop for Folder {
    /// Unlocks the folder. To close the files is not enough: a child process that another thread has forked, and that
    /// has not executed its program yet, has them open as well.
    fn drop(&mut self) {
        // It fails only if the file is not open. The directory comes last: whoever has locked it finds the file free.
        let _ = flock(&*lock(&self.lock), FlockOperation::Unlock);
        if self.is_locked {
            let _ = flock(&self.directory, FlockOperation::Unlock);
        }
    }
}

/// Locks the file `lock` of a directory. Creates it if it is missing.
fn lock_file(directory: &File) -> Result<File, Errno> {
    loop {
        // Relative to the open directory, because its path may lead to another one by now.
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
        let file = File::from(openat(directory, LOCK, flags, Mode::from_raw_mode(0o666))?);
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        // It may have been removed since it was opened, and another process may have locked a new one.
        if is_lock_file(directory, &file)? {
            return Ok(file);
        }
    }
}

/// Whether this file is the one that is called `lock` in a directory.
fn is_lock_file(directory: &File, file: &File) -> Result<bool, Errno> {
    match statat(directory, LOCK, AtFlags::empty()) {
        Ok(named) => {
            let own = fstat(file)?;
            Ok((named.st_dev, named.st_ino) == (own.st_dev, own.st_ino))
        }
        Err(Errno::NOENT) => Ok(false),
        Err(why) => Err(why),
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
    // Not `create_dir`, which would fail if another process has made the folder meanwhile.
    fs::create_dir_all(path)?;
    disk.sync_folder(parent.unwrap_or(Path::new(".")))
}

/// The number of digits of the largest number, so that names sort as numbers do.
const DIGITS: usize = 20;

/// Returns the name of a file with a number.
#[doc(hidden)]
pub fn numbered_name(prefix: &str, number: u64) -> String {
    format!("{prefix}{number:020}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expect_in_use(path: &Path, when: &str) {
        let claimed = Folder::claim(path);
        assert!(matches!(claimed, Err(OpenError::InUse(_))), "a folder is opened twice {when}");
    }

    /// As a child process has it between `fork` and `exec`.
    #[test]
    fn a_folder_is_free_though_a_child_process_has_its_locks_open() {
        let at = tempfile::tempdir().unwrap();
        let folder = Folder::claim(at.path()).unwrap();
        let inherited = (folder.directory.try_clone(), lock(&folder.lock).try_clone());
        let inherited = (inherited.0.unwrap(), inherited.1.unwrap());
        expect_in_use(at.path(), "");
        drop(folder);
        Folder::claim(at.path()).expect("the folder is still locked");
        drop(inherited);
    }

    #[test]
    fn a_folder_is_in_use_though_its_lock_was_removed_or_replaced() {
        let at = tempfile::tempdir().unwrap();
        let folder = Folder::claim(at.path()).unwrap();
        let file = at.path().join(LOCK);
        fs::remove_file(&file).unwrap();
        expect_in_use(at.path(), "after its lock was removed");
        assert!(!file.exists(), "a refused process changes the folder");
        assert!(folder.keeps_lock() && file.exists(), "the lock is not made again");
        // As rsync does it.
        fs::write(at.path().join("new"), "").unwrap();
        fs::rename(at.path().join("new"), &file).unwrap();
        expect_in_use(at.path(), "after its lock was replaced");
        assert!(folder.keeps_lock());
        let other = File::open(&file).unwrap();
        let locked = flock(&other, FlockOperation::NonBlockingLockExclusive);
        assert_eq!(locked, Err(Errno::WOULDBLOCK), "the new file is not locked");
        drop(folder);
        Folder::claim(at.path()).unwrap();
    }

    /// Processes that know no lock but the file: other versions, and other machines on a network file system.
    #[test]
    fn the_file_excludes_those_that_do_not_lock_the_directory() {
        let at = tempfile::tempdir().unwrap();
        let file = at.path().join(LOCK);
        let lock_it = || {
            let other = File::create(&file).unwrap();
            flock(&other, FlockOperation::NonBlockingLockExclusive).map(|()| other)
        };
        let other = lock_it().unwrap();
        expect_in_use(at.path(), "beside an earlier version");
        drop(other);
        let folder = Folder::claim(at.path()).unwrap();
        assert_eq!(lock_it().err(), Some(Errno::WOULDBLOCK), "an earlier version opens it, too");
        fs::remove_file(&file).unwrap();
        let other = lock_it().unwrap();
        assert!(!folder.keeps_lock(), "nobody notices that another process has locked a new file");
        drop(other);
    }
}
