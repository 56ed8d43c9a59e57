//! The file operations of the log and of snapshots, behind a trait: tests use disks that fail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

/// A file system.
pub trait Disk: Send + Sync {
    /// Creates a file for writing. An existing file of that name is truncated.
    ///
    /// # Errors
    /// The system's.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens an existing file for appending.
    ///
    /// # Errors
    /// The system's.
    fn reopen(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens an existing file for reading.
    ///
    /// # Errors
    /// The system's.
    fn read(&self, path: &Path) -> io::Result<File>;

    /// Renames a file. Replaces a file that has the new name.
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The system's.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Returns the names in a folder that are valid UTF-8.
    ///
    /// # Errors
    /// The system's.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Syncs the names in a folder.
    ///
    /// # Errors
    /// The system's.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// A file that is being written. One thread writes at a time; another may sync meanwhile.
pub trait DiskFile: Send + Sync {
    /// Appends all bytes. After an error, any part of them may be in the file.
    ///
    /// # Errors
    /// The system's.
    fn write(&self, bytes: &[u8]) -> io::Result<()>;

    /// Whether `path` is still a name of this file. True if the system cannot tell.
    fn is_at(&self, path: &Path) -> bool {
        let _ = path;
        true
    }

    /// Returns the length of the file, unless the system cannot tell.
    fn length(&self) -> Option<u64> {
        None
    }

    /// Syncs what was written (`fdatasync`).
    ///
    /// # Errors
    /// The system's.
    fn sync(&self) -> io::Result<()>;

    /// Truncates the file. The next write appends there.
    ///
    /// # Errors
    /// The system's.
    fn cut(&self, length: u64) -> io::Result<()>;
}

/// The system's own files.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(File::create(path)?))
    }

    fn reopen(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Arc::new(file))
    }

    fn read(&self, path: &Path) -> io::Result<File> {
        File::open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        // Other systems cannot open a folder as a file, and sync names together with files.
        if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
    }
}

impl DiskFile for File {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn is_at(&self, path: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        let place = |of: &fs::Metadata| (of.dev(), of.ino());
        match (self.metadata(), fs::metadata(path)) {
            (Ok(own), Ok(there)) => place(&own) == place(&there),
            // Another error says nothing about the file, and must not stop the log.
            (_, Err(why)) => why.kind() != io::ErrorKind::NotFound,
            (Err(_), Ok(_)) => true,
        }
    }

    fn length(&self) -> Option<u64> {
        self.metadata().ok().map(|of| of.len())
    }

    fn sync(&self) -> io::Result<()> {
        // It also syncs the file's length. Recovery needs nothing else of what `fsync` would add.
        self.sync_data()
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        let mut file = self;
        // `set_len` leaves the position where it was: the next write would leave a hole of zeros.
        file.seek(SeekFrom::Start(length))?;
        Ok(())
    }
}
