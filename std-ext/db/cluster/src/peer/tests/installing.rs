//! Crashes while fetched data is installed.

use super::node::{Content, Node, content_of, names, options};
use crate::peer::install::install;
use crate::peer::resync::{FetchDecision, fetch};
use hedgerow_db_engine::log::disk::{Disk, DiskFile, SystemDisk};
use hedgerow_db_engine::log::folder::Folder;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A disk that stops after some operations, as a process that is killed.
struct Mortal(AtomicUsize);

impl Mortal {
    fn step(&self) -> io::Result<()> {
        // Relaxed: one thread uses it.
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
        {
            Ok(_) => Ok(()),
            Err(_) => Err(io::Error::other("the process was killed")),
        }
    }
}

impl Disk for Mortal {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.step()?;
        SystemDisk.create(path)
    }

    fn reopen(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        SystemDisk.reopen(path)
    }

    fn read(&self, path: &Path) -> io::Result<File> {
        SystemDisk.read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        SystemDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        SystemDisk.remove(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        SystemDisk.list(folder)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.step()?;
        SystemDisk.sync_folder(folder)
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_crash_leaves_the_old_data_or_the_new() {
    let node = Node::new(b"value");
    let server = node.serve();
    // A folder of which all files differ, or have the same names.
    let old = Node::new(b"older");
    let path = old.path.path();
    fetch(&server.address().to_string(), &options(), path, &mut |position| match position {
        Some(position) if position.lsn == 40 => FetchDecision::Enough,
        _ => FetchDecision::Continue,
    })
    .unwrap();
    drop((old.local_log, old.folder));
    let mut steps = 0;
    loop {
        let copied = tempfile::tempdir().unwrap();
        copy(path, copied.path());
        let mortal = Arc::new(Mortal(AtomicUsize::new(steps)));
        let folder = Folder::claim_on(copied.path(), mortal).unwrap();
        let installed = install(&folder);
        drop(folder);
        let folder = Folder::claim(copied.path()).unwrap();
        install(&folder).unwrap();
        let Content { snapshot, entries, .. } = content_of(&folder);
        let value = snapshot.map(|(_, keys)| keys[&vec![0]].clone());
        assert_eq!(value.as_deref(), Some(&b"value"[..]), "killed after {steps} steps");
        assert_eq!(entries.len(), 20, "killed after {steps} steps");
        assert!(!copied.path().join("resync").exists());
        if installed.is_ok() {
            break;
        }
        steps += 1;
    }
    assert!(steps > 10, "only {steps} steps");
}

#[test]
fn an_incomplete_fetch_is_removed() {
    let node = Node::new(b"value");
    drop(node.local_log);
    let before = names(node.path.path());
    let staging = node.path.path().join("resync");
    fs::create_dir(&staging).unwrap();
    fs::write(staging.join(format!("snapshot-{:020}", 99)), b"half").unwrap();
    assert!(!install(&node.folder).unwrap());
    assert_eq!(names(node.path.path()), before);
}

#[test]
fn a_fetch_that_fails_takes_back_an_earlier_one() {
    let node = Node::new(b"value");
    let server = node.serve();
    let path = tempfile::tempdir().unwrap();
    let complete = path.path().join("resync/complete");
    for (decision, wanted) in [(FetchDecision::Enough, true), (FetchDecision::GiveUp, false)] {
        let fetched = fetch(&server.address().to_string(), &options(), path.path(), &mut |_| {
            assert!(!complete.exists(), "a crash now would install half of a fetch");
            decision
        });
        assert_eq!((fetched.is_ok(), complete.exists()), (wanted, wanted), "{fetched:?}");
    }
    assert!(!install(&Folder::claim(path.path()).unwrap()).unwrap());
}
