//! What log and snapshots do with files: few things, behind a trait, so that a test can have a disk that fails.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

/// Where files are kept.
pub trait Disk: Send + Sync {
    /// A new file to write, empty; one of that name is emptied.
    ///
    /// # Errors
    /// The system's.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// A file that is there, to write at its end.
    ///
    /// # Errors
    /// The system's.
    fn reopen(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// A file that is there, to read.
    ///
    /// # Errors
    /// The system's.
    fn read(&self, path: &Path) -> io::Result<File>;

    /// Gives a file another name; one that has it goes.
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The system's.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The names in a folder that are text.
    ///
    /// # Errors
    /// The system's.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Forces a folder's names to the disk.
    ///
    /// # Errors
    /// The system's.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// A file that is written. One thread writes at a time; another may force meanwhile.
pub trait DiskFile: Send + Sync {
    /// Writes all of it at the end; after an error any part of it may be there.
    ///
    /// # Errors
    /// The system's.
    fn write(&self, bytes: &[u8]) -> io::Result<()>;

    /// Whether this path leads to the file. Where the system does not tell, it is taken for granted.
    fn is_at(&self, path: &Path) -> bool {
        let _ = path;
        true
    }

    /// Forces to the disk what was written.
    ///
    /// # Errors
    /// The system's.
    fn sync(&self) -> io::Result<()>;

    /// Cuts the file to a length, where the next write goes.
    ///
    /// # Errors
    /// The system's.
    fn cut(&self, length: u64) -> io::Result<()>;
}

/// The system's files.
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
        // Elsewhere a folder cannot be opened as a file, and names are forced with the files.
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
            (_, Err(why)) => why.kind() != io::ErrorKind::NotFound,
            (Err(_), Ok(_)) => true,
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        let mut file = self;
        file.seek(SeekFrom::Start(length))?;
        Ok(())
    }
}
