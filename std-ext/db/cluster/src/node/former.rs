//! The processes that had this node's folder before, as far as they have certainly ended [C-15].
//!
//! A primary that dies leaves its line in etcd. Other nodes wait until its lease has run out, because it may be alive.
//! The next process on its folder knows better, and takes the group over at once.
//!
//! # Why it may
//! Each process writes the file `processes`: its number, which is the nonce of its lines, those before it, and its
//! *place*. That is the kernel that it runs on (`boot_id`), and device and inode of the directory that it has locked.
//! The next process believes the file if the place is its own:
//!
//! - A process keeps the directory open and locked for as long as it can answer a client, append, or renew a lease:
//!   all of these hold the log, and the log holds the lock. The system releases a lock once the last thread is gone.
//! - While a directory is open, even if it was removed, its file system gives the same inode to no other directory, and
//!   the kernel gives the same device to no other file system.
//! - So a process of this place that were still alive would hold the lock that this process has.
//!
//! What a process has sent before it died may arrive later. A transaction fails, because the takeover has replaced the
//! line that it compares [C-4]. A reply was evaluated before the takeover, while its client waited for it.
//!
//! # Why nothing less will do
//! - A copy of the directory has the file, and a lock of its own, while the original may be in use. It has another
//!   inode, also if it took the original's name. A snapshot of its file system has another device.
//! - The clone of a disk may have the same device and inode, but it is on another machine, so `boot_id` differs. The
//!   same holds for a volume that has moved to another machine, and for a network file system that several machines
//!   have mounted, where the lock of a directory may hold on one machine only. Containers share the `boot_id` of their
//!   host, and its locks.
//! - After the loss of power or a reset the former process is gone as well, but its disk may be a clone, and a clone
//!   has the same machine id. So such a process waits as any other node.
//! - File systems that lock no directories, and systems without a `boot_id`, have no place: all processes wait.
//!
//! The clone of a *running* machine has the same place. That is a limit, and the pages say so.

use hedgerow_db_engine::log::folder::Folder;
use hedgerow_db_group::processes::{ProcessPlace, Processes};
use std::io;

const FILE: &str = "processes";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// The longest file that is read.
const MOST_BYTES: u64 = 4096;

/// Returns where this process runs.
fn place_of(folder: &Folder) -> Option<ProcessPlace> {
    let boot = std::fs::read_to_string(BOOT_ID).ok()?.trim().to_owned();
    let (device, inode) = folder.locked_directory()?;
    (!boot.is_empty()).then_some(ProcessPlace { boot, device, inode })
}

/// Returns the numbers of the processes that had the folder before this one and have certainly ended, and writes the
/// file for the next process.
pub(crate) fn succeed(folder: &Folder, number: u64) -> Vec<u64> {
    let Some(place) = place_of(folder) else { return Vec::new() };
    // Without a file that can be read, nobody has ended for certain, and the node waits for the lease.
    let text = read(folder).unwrap_or_default();
    let ended = Processes::ended(&text, &place);
    let text = Processes::print(&ended, number, &place);
    // Without a sync: after a loss of power nobody believes the file.
    if let Err(why) = folder.replace_unsynced(FILE, text.as_bytes()) {
        let file = folder.at(FILE);
        tracing::warn!(
            "{}: {why}; if this process dies as the primary, the next one waits for its lease",
            file.display()
        );
    }
    ended
}

fn read(folder: &Folder) -> io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    folder.disk().read(&folder.at(FILE))?.take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hedgerow_db_group::processes::MOST;
    use std::path::Path;

    const NOBODY: [u64; 0] = [];

    fn start(path: &Path, number: u64) -> Vec<u64> {
        succeed(&Folder::claim(path).unwrap(), number)
    }

    #[test]
    fn a_process_knows_those_before_it() {
        let at = tempfile::tempdir().unwrap();
        assert_eq!(start(at.path(), 1), NOBODY);
        assert_eq!(start(at.path(), 2), [1]);
        assert_eq!(start(at.path(), u64::MAX), [1, 2]);
        let all: Vec<u64> = (1..100).collect();
        for &number in &all[2..] {
            start(at.path(), number);
        }
        assert_eq!(start(at.path(), 100), &all[99 - MOST..], "the file grows without end");
    }

    #[test]
    fn a_copy_of_a_folder_knows_nobody() {
        let both = tempfile::tempdir().unwrap();
        let (original, copy) = (both.path().join("original"), both.path().join("copy"));
        let running = Folder::claim(&original).unwrap();
        succeed(&running, 1);
        std::fs::create_dir(&copy).unwrap();
        std::fs::copy(original.join(FILE), copy.join(FILE)).unwrap();
        assert_eq!(start(&copy, 2), NOBODY, "a copy believes that the original has ended");
        // The copy takes the name of the original, which is still in use.
        std::fs::rename(&original, both.path().join("moved")).unwrap();
        std::fs::rename(&copy, &original).unwrap();
        std::fs::copy(both.path().join("moved").join(FILE), original.join(FILE)).unwrap();
        assert_eq!(start(&original, 3), NOBODY, "a copy believes that the original has ended");
        drop(running);
        assert_eq!(start(&both.path().join("moved"), 4), [1], "a folder was only renamed");
    }
}
