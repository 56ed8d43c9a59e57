//! Verifies a backup, and makes a node's folder of it.

use super::files::{CLUSTER, empty_folder, is_data};
use super::manifest::{Contents, FileInfo, NAME};
use crate::cluster::adopt::Survey;
use crate::cluster::error::StartError;
use crate::cluster::hex;
use crate::log::folder::Folder;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Reads all of a backup, and checks every byte of it.
///
/// It needs memory for one entry, and writes nothing but the file `lock`, by which no other process uses the folder
/// meanwhile.
///
/// # Errors
/// A sentence that says what is damaged, missing, or of another version.
pub fn verify(backup: &Path) -> Result<Contents, StartError> {
    let contents = Contents::read(backup)?;
    for file in &contents.files {
        check_name(backup, &file.name)?;
        let found =
            FileInfo::of(backup, &file.name).map_err(|why| unreadable(backup, file, &why))?;
        check_file(backup, file, &found)?;
    }
    let folder = Folder::claim(backup)?;
    let names = folder.disk().list(backup).map_err(|why| folder.io_error(why))?;
    let known = |name: &String| contents.files.iter().any(|file| file.name == *name);
    if let Some(other) = names.iter().find(|name| is_data(name) && !known(name)) {
        return Err(StartError::new(format!(
            "{} was added to the backup later: remove it",
            folder.at(other).display()
        )));
    }
    check_data(&contents, &Survey::of(&folder)?, backup)?;
    Ok(contents)
}

/// Makes the folder of a node of a backup. `dir` must be empty, or not be there.
///
/// Afterwards, [`adopt`](crate::cluster::adopt) fills etcd from that folder.
///
/// # Errors
/// As [`verify`], and if the folder is not empty or cannot be written.
pub fn restore(backup: &Path, dir: &Path) -> Result<Contents, StartError> {
    let contents = verify(backup)?;
    let folder = empty_folder(dir)?;
    // The file that makes it a node's folder comes last.
    let last = |file: &&FileInfo| file.name == CLUSTER;
    let others = contents.files.iter().filter(|file| !last(file));
    for file in others.chain(contents.files.iter().filter(last)) {
        let copied = copy(backup, &file.name, &folder).map_err(|why| {
            StartError::new(format!("{} cannot be copied to {}: {why}", file.name, dir.display()))
        })?;
        check_file(backup, file, &copied)?;
    }
    Ok(contents)
}

fn copy(backup: &Path, name: &str, folder: &Folder) -> io::Result<FileInfo> {
    let mut into = File::create_new(folder.at(name))?;
    let copied = FileInfo::copy(backup, name, &mut into)?;
    into.sync_all()?;
    folder.disk().sync_folder(folder.path())?;
    Ok(copied)
}

/// Refuses names that would lead out of the folder.
fn check_name(backup: &Path, name: &str) -> Result<(), StartError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if (is_data(name) || name == CLUSTER) && name.chars().all(plain) {
        return Ok(());
    }
    Err(StartError::new(format!(
        "{} is damaged: it names the file {name:?}, which no backup has",
        backup.join(NAME).display()
    )))
}

fn unreadable(backup: &Path, file: &FileInfo, why: &io::Error) -> StartError {
    let path = backup.join(&file.name);
    StartError::new(match why.kind() {
        ErrorKind::NotFound => format!("{} is missing", path.display()),
        _ => format!("{}: {why}", path.display()),
    })
}

fn check_file(backup: &Path, wanted: &FileInfo, found: &FileInfo) -> Result<(), StartError> {
    let path = backup.join(&wanted.name);
    if found.bytes != wanted.bytes {
        return Err(StartError::new(format!(
            "{} is damaged: it has {} bytes instead of {}",
            path.display(),
            found.bytes,
            wanted.bytes
        )));
    }
    if found.sha256 != wanted.sha256 {
        return Err(StartError::new(format!(
            "{} is damaged: its checksum is wrong",
            path.display()
        )));
    }
    Ok(())
}

/// Checks that the files have what the backup says.
fn check_data(contents: &Contents, survey: &Survey, backup: &Path) -> Result<(), StartError> {
    let belonging = survey.belonging.as_ref();
    let cluster = belonging.and_then(|belonging| belonging.cluster());
    let found = (
        belonging.map_or("", |belonging| belonging.name()),
        cluster.map(|id| hex::text(&id)).unwrap_or_default(),
        belonging.map_or(0, |belonging| belonging.incarnation()),
        survey.last,
        survey.mark.map_or(0, |mark| mark.seq),
        survey.time,
    );
    let Contents { name, cluster, incarnation, lsn, seq, time_ms, .. } = contents;
    if found == (&name[..], cluster.clone(), *incarnation, *lsn, *seq, *time_ms) {
        return Ok(());
    }
    Err(StartError::new(format!(
        "{} does not say what its files have: entries up to {} instead of {lsn}, or those of another cluster",
        backup.join(NAME).display(),
        survey.last
    )))
}
