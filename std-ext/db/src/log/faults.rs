//! A disk that fails when it is told to: for tests of what is left then.

use crate::log::disk::{Disk, DiskFile, SystemDisk};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of which a disk writes all or none: fewer than any that there is.
const PAGE: usize = 16;

/// The system's files, with faults. Clones are the same disk.
#[derive(Clone, Default)]
pub struct FaultyDisk {
    state: Arc<Mutex<DiskState>>,
}

/// What fails, and what is known of the files.
#[derive(Default)]
struct DiskState {
    faults: Faults,
    /// Bytes of each file that is being written, and how many of them were forced.
    files: HashMap<u64, FileState>,
    next: u64,
    /// Names given since the last time that a folder was forced: the old and the new.
    renamed: Vec<(PathBuf, PathBuf)>,
    /// What had such a name before, as it was forced.
    replaced: Vec<(PathBuf, Vec<u8>)>,
    counts: Counts,
}

/// What fails.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each fault is there or not, by itself")]
#[non_exhaustive]
pub struct Faults {
    /// How many more bytes can be written until the disk is full; a write that does not fit leaves what does.
    pub room: Option<u64>,
    /// Forcing a file fails.
    pub sync: bool,
    /// Forcing a folder fails.
    pub sync_folder: bool,
    /// Cutting a file fails.
    pub cut: bool,
    /// Making a file fails.
    pub create: bool,
    /// Giving a file another name fails.
    pub rename: bool,
}

/// How often things were done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Writes, also those that failed.
    pub writes: u64,
    /// Files forced.
    pub syncs: u64,
}

struct FileState {
    path: PathBuf,
    length: u64,
    synced: u64,
}

impl FaultyDisk {
    /// One on which nothing fails yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes what fails.
    pub fn change(&self, how: impl FnOnce(&mut Faults)) {
        how(&mut self.state().faults);
    }

    /// How often things were done so far.
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Copies to the folder `to` what a loss of power now would leave of the folder `from` at worst: of each file what
    /// was forced, under the name that was.
    ///
    /// # Errors
    /// The system's.
    pub fn copy_synced(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.copy(from, to, &mut |_| 0)
    }

    /// As `copy_synced`, of a disk that has written of the rest whatever `keeps` says of each some bytes: the others
    /// are zero.
    ///
    /// # Errors
    /// The system's.
    pub fn copy_torn(
        &self,
        from: &Path,
        to: &Path,
        keeps: &mut dyn FnMut() -> bool,
    ) -> io::Result<()> {
        self.copy(from, to, &mut |rest| {
            rest.chunks_mut(PAGE).filter(|_| !keeps()).for_each(|page| page.fill(0));
            rest.len()
        })
    }

    /// Copies a folder; `tear` says how many bytes are left of what was not forced of a file.
    fn copy(
        &self,
        from: &Path,
        to: &Path,
        tear: &mut dyn FnMut(&mut [u8]) -> usize,
    ) -> io::Result<()> {
        // Nothing is written meanwhile.
        let state = self.state();
        for name in SystemDisk.list(from)? {
            let now = from.join(name);
            let mut synced = now.clone();
            for (old, _) in state.renamed.iter().rev().filter(|(_, new)| *new == now) {
                synced.clone_from(old);
            }
            let copy = to.join(synced.file_name().unwrap_or_default());
            let mut bytes = std::fs::read(&now)?;
            if let Some(file) = state.files.values().find(|file| file.path == now) {
                let whole = usize::try_from(file.synced).unwrap_or(usize::MAX).min(bytes.len());
                let left = tear(&mut bytes[whole..]);
                bytes.truncate(whole + left);
            }
            std::fs::write(&copy, bytes)?;
        }
        for (path, bytes) in state.replaced.iter().rev() {
            std::fs::write(to.join(path.file_name().unwrap_or_default()), bytes)?;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, DiskState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(
        &self,
        state: &mut DiskState,
        path: &Path,
        inner: Arc<dyn DiskFile>,
        length: u64,
    ) -> Arc<dyn DiskFile> {
        // Who opens a file anew goes on with it.
        state.files.retain(|_, file| file.path != path);
        state.next += 1;
        let number = state.next;
        state.files.insert(number, FileState { path: path.into(), length, synced: length });
        Arc::new(FaultyFile { disk: self.clone(), number, inner })
    }
}

fn fault(what: &str) -> io::Error {
    io::Error::other(format!("injected: {what}"))
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        if state.faults.create {
            return Err(fault("no file is made"));
        }
        let made = SystemDisk.create(path)?;
        Ok(self.file(&mut state, path, made, 0))
    }

    fn reopen(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        let length = std::fs::metadata(path)?.len();
        let opened = SystemDisk.reopen(path)?;
        Ok(self.file(&mut state, path, opened, length))
    }

    fn read(&self, path: &Path) -> io::Result<File> {
        SystemDisk.read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.faults.rename {
            return Err(fault("no file is renamed"));
        }
        if let Ok(mut before) = std::fs::read(to) {
            if let Some(file) = state.files.values().find(|file| file.path == to) {
                before.truncate(usize::try_from(file.synced).unwrap_or(usize::MAX));
            }
            state.replaced.push((to.into(), before));
        }
        SystemDisk.rename(from, to)?;
        state.files.retain(|_, file| file.path != to);
        for file in state.files.values_mut().filter(|file| file.path == from) {
            file.path = to.into();
        }
        state.renamed.push((from.into(), to.into()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.files.retain(|_, file| file.path != path);
        SystemDisk.remove(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        SystemDisk.list(folder)
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.faults.sync_folder {
            return Err(fault("the folder is not forced"));
        }
        state.renamed.clear();
        state.replaced.clear();
        Ok(())
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    number: u64,
    inner: Arc<dyn DiskFile>,
}

impl FaultyFile {
    fn update(&self, state: &mut DiskState, how: impl FnOnce(&mut FileState)) {
        // It may have been opened anew since.
        state.files.get_mut(&self.number).map(how);
    }
}

impl DiskFile for FaultyFile {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        state.counts.writes += 1;
        let fits = match &mut state.faults.room {
            None => bytes.len(),
            Some(room) => {
                let fits = bytes.len().min(usize::try_from(*room).unwrap_or(usize::MAX));
                *room -= fits as u64;
                fits
            }
        };
        self.inner.write(&bytes[..fits])?;
        self.update(&mut state, |file| file.length += fits as u64);
        if fits < bytes.len() {
            return Err(io::Error::new(ErrorKind::StorageFull, "injected: the disk is full"));
        }
        Ok(())
    }

    fn is_at(&self, path: &Path) -> bool {
        self.inner.is_at(path)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.counts.syncs += 1;
        if state.faults.sync {
            return Err(fault("the file is not forced"));
        }
        self.update(&mut state, |file| file.synced = file.length);
        Ok(())
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        if state.faults.cut {
            return Err(fault("the file is not cut"));
        }
        self.inner.cut(length)?;
        self.update(&mut state, |file| {
            file.length = length;
            file.synced = file.synced.min(length);
        });
        Ok(())
    }
}
