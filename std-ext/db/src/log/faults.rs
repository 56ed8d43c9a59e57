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
    plan: Arc<Mutex<Plan>>,
}

/// What fails, and what is known of the files.
#[derive(Default)]
struct Plan {
    faults: Faults,
    /// Bytes of each file that is being written, and how many of them were forced.
    files: HashMap<u64, Written>,
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

struct Written {
    path: PathBuf,
    length: u64,
    forced: u64,
}

impl FaultyDisk {
    /// One on which nothing fails yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes what fails.
    pub fn change(&self, how: impl FnOnce(&mut Faults)) {
        how(&mut self.plan().faults);
    }

    /// How often things were done so far.
    pub fn counts(&self) -> Counts {
        self.plan().counts
    }

    /// Copies to the folder `to` what a loss of power now would leave of the folder `from` at worst: of each file what
    /// was forced, under the name that was.
    ///
    /// # Errors
    /// The system's.
    pub fn copy_forced(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.copy(from, to, &mut |_| 0)
    }

    /// As `copy_forced`, of a disk that has written of the rest whatever `keeps` says of each some bytes: the others
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
        let plan = self.plan();
        for name in SystemDisk.list(from)? {
            let now = from.join(name);
            let mut forced = now.clone();
            for (old, _) in plan.renamed.iter().rev().filter(|(_, new)| *new == now) {
                forced.clone_from(old);
            }
            let copy = to.join(forced.file_name().unwrap_or_default());
            let mut bytes = std::fs::read(&now)?;
            if let Some(file) = plan.files.values().find(|file| file.path == now) {
                let whole = usize::try_from(file.forced).unwrap_or(usize::MAX).min(bytes.len());
                let left = tear(&mut bytes[whole..]);
                bytes.truncate(whole + left);
            }
            std::fs::write(&copy, bytes)?;
        }
        for (path, bytes) in plan.replaced.iter().rev() {
            std::fs::write(to.join(path.file_name().unwrap_or_default()), bytes)?;
        }
        Ok(())
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(
        &self,
        plan: &mut Plan,
        path: &Path,
        inner: Arc<dyn DiskFile>,
        length: u64,
    ) -> Arc<dyn DiskFile> {
        // Who opens a file anew goes on with it.
        plan.files.retain(|_, file| file.path != path);
        plan.next += 1;
        let number = plan.next;
        plan.files.insert(number, Written { path: path.into(), length, forced: length });
        Arc::new(FaultyFile { disk: self.clone(), number, inner })
    }
}

fn fault(what: &str) -> io::Error {
    io::Error::other(format!("injected: {what}"))
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut plan = self.plan();
        if plan.faults.create {
            return Err(fault("no file is made"));
        }
        let made = SystemDisk.create(path)?;
        Ok(self.file(&mut plan, path, made, 0))
    }

    fn reopen(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut plan = self.plan();
        let length = std::fs::metadata(path)?.len();
        let opened = SystemDisk.reopen(path)?;
        Ok(self.file(&mut plan, path, opened, length))
    }

    fn read(&self, path: &Path) -> io::Result<File> {
        SystemDisk.read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut plan = self.plan();
        if plan.faults.rename {
            return Err(fault("no file is renamed"));
        }
        if let Ok(mut before) = std::fs::read(to) {
            if let Some(file) = plan.files.values().find(|file| file.path == to) {
                before.truncate(usize::try_from(file.forced).unwrap_or(usize::MAX));
            }
            plan.replaced.push((to.into(), before));
        }
        SystemDisk.rename(from, to)?;
        plan.files.retain(|_, file| file.path != to);
        for file in plan.files.values_mut().filter(|file| file.path == from) {
            file.path = to.into();
        }
        plan.renamed.push((from.into(), to.into()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut plan = self.plan();
        plan.files.retain(|_, file| file.path != path);
        SystemDisk.remove(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        SystemDisk.list(folder)
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        let mut plan = self.plan();
        if plan.faults.sync_folder {
            return Err(fault("the folder is not forced"));
        }
        plan.renamed.clear();
        plan.replaced.clear();
        Ok(())
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    number: u64,
    inner: Arc<dyn DiskFile>,
}

impl FaultyFile {
    fn note(&self, plan: &mut Plan, how: impl FnOnce(&mut Written)) {
        // It may have been opened anew since.
        plan.files.get_mut(&self.number).map(how);
    }
}

impl DiskFile for FaultyFile {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut plan = self.disk.plan();
        plan.counts.writes += 1;
        let fits = match &mut plan.faults.room {
            None => bytes.len(),
            Some(room) => {
                let fits = bytes.len().min(usize::try_from(*room).unwrap_or(usize::MAX));
                *room -= fits as u64;
                fits
            }
        };
        self.inner.write(&bytes[..fits])?;
        self.note(&mut plan, |file| file.length += fits as u64);
        if fits < bytes.len() {
            return Err(io::Error::new(ErrorKind::StorageFull, "injected: the disk is full"));
        }
        Ok(())
    }

    fn is_at(&self, path: &Path) -> bool {
        self.inner.is_at(path)
    }

    fn sync(&self) -> io::Result<()> {
        let mut plan = self.disk.plan();
        plan.counts.syncs += 1;
        if plan.faults.sync {
            return Err(fault("the file is not forced"));
        }
        self.note(&mut plan, |file| file.forced = file.length);
        Ok(())
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        let mut plan = self.disk.plan();
        if plan.faults.cut {
            return Err(fault("the file is not cut"));
        }
        self.inner.cut(length)?;
        self.note(&mut plan, |file| {
            file.length = length;
            file.forced = file.forced.min(length);
        });
        Ok(())
    }
}
