//! A disk with injected faults, and files with damaged bytes, for tests of recovery.

use crate::log::disk::{Disk, DiskFile, SystemDisk};
#[cfg(any(test, feature = "test-support"))]
use crate::log::open_error::OpenError;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The bytes that a disk writes atomically: fewer than on any real disk.
const PAGE: usize = 16;

/// The system's files, with faults. Clones are the same disk.
#[derive(Clone, Default)]
pub struct FaultyDisk {
    state: Arc<Mutex<DiskState>>,
}

/// The faults, and the synced bytes of each file.
#[derive(Default)]
struct DiskState {
    faults: Faults,
    /// The open files: their length, and how much of it was synced.
    files: HashMap<u64, FileState>,
    next: u64,
    /// Renames since the last sync of a folder: old and new name.
    renamed: Vec<(PathBuf, PathBuf)>,
    /// Files that these renames have replaced, with their synced contents.
    replaced: Vec<(PathBuf, Vec<u8>)>,
    counts: FaultCounts,
}

/// The operations that fail.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each fault is there or not, by itself")]
#[non_exhaustive]
pub struct Faults {
    /// Bytes that can still be written before the disk is full. Of a write that does not fit, the part that does is
    /// written.
    pub room: Option<u64>,
    /// Syncing a file fails.
    pub sync: bool,
    /// Syncing a file takes until this is false.
    pub hang: bool,
    /// Syncing a folder fails.
    pub sync_folder: bool,
    /// Truncating a file fails.
    pub cut: bool,
    /// Creating a file fails.
    pub create: bool,
    /// Renaming a file fails.
    pub rename: bool,
}

/// Numbers of operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultCounts {
    /// Writes, including failed ones.
    pub writes: u64,
    /// Syncs of files.
    pub syncs: u64,
}

struct FileState {
    path: PathBuf,
    length: u64,
    synced: u64,
}

impl FaultyDisk {
    /// Returns a disk without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes the faults.
    pub fn change(&self, how: impl FnOnce(&mut Faults)) {
        how(&mut self.state().faults);
    }

    /// Returns how many operations there were so far.
    pub fn counts(&self) -> FaultCounts {
        self.state().counts
    }

    /// Copies to the folder `to` what a power failure would leave of the folder `from` in the worst case: of each file
    /// the synced part, under its synced name.
    ///
    /// # Errors
    /// The system's.
    pub fn copy_synced(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.copy(from, to, &mut |_| 0)
    }

    /// As `copy_synced`, for a disk that has also written some of the pages that were not synced: those for which
    /// `keeps` returns true. The others are zero.
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

    /// Copies a folder. `tear` gets the part of a file that was not synced, and returns how many bytes of it are left.
    fn copy(
        &self,
        from: &Path,
        to: &Path,
        tear: &mut dyn FnMut(&mut [u8]) -> usize,
    ) -> io::Result<()> {
        // Held, so that nothing is written meanwhile.
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
        // If a file is opened again, only the new handle counts. That syncs no byte.
        let before = state.files.values().find(|file| file.path == path);
        let synced = before.map_or(length, |file| file.synced.min(length));
        state.files.retain(|_, file| file.path != path);
        state.next += 1;
        let number = state.next;
        state.files.insert(number, FileState { path: path.into(), length, synced });
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
            return Err(fault("creating a file"));
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
            return Err(fault("renaming a file"));
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
            return Err(fault("syncing a folder"));
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
        // None if the file was opened again since.
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

    fn length(&self) -> Option<u64> {
        self.inner.length()
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        while state.faults.hang {
            drop(state);
            std::thread::sleep(std::time::Duration::from_millis(1));
            state = self.disk.state();
        }
        state.counts.syncs += 1;
        if state.faults.sync {
            return Err(fault("syncing a file"));
        }
        self.update(&mut state, |file| file.synced = file.length);
        Ok(())
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        if state.faults.cut {
            return Err(fault("truncating a file"));
        }
        self.inner.cut(length)?;
        self.update(&mut state, |file| {
            file.length = length;
            file.synced = file.synced.min(length);
        });
        Ok(())
    }
}

/// Checks that a file is reported as damaged if a byte of it is another, or if it is shorter or longer.
#[cfg(any(test, feature = "test-support"))]
#[doc(hidden)]
pub fn expect_every_byte_counts<T: std::fmt::Debug>(
    file: &Path,
    read: impl Fn() -> Result<T, OpenError>,
) {
    let good = std::fs::read(file).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        for bytes in [&bad[..], &good[..at], &[&good[..], &[0]].concat()] {
            std::fs::write(file, bytes).unwrap();
            let read = read();
            assert!(matches!(read, Err(OpenError::Damaged { .. })), "byte {at}: {read:?}");
        }
    }
}
