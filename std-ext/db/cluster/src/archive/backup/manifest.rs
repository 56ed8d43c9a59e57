//! The file `backup.json` of a backup: its contents, with the slots of each group and the checksum of each file.
//!
//! It has two lines: JSON, and the SHA-256 of that line as hexadecimal digits. It is written last, so a folder with it
//! is a whole backup.

use crate::membership::error::StartError;
use hedgerow_db_engine::log::Lsn;
use hedgerow_db_engine::log::folder::Folder;
use hedgerow_db_group::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// The file's name.
pub(super) const NAME: &str = "backup.json";
/// The format of the file, and of the folders that it names.
const FORMAT: u32 = 2;
/// The longest file that is read.
const MOST_BYTES: u64 = 64 << 20;
/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

/// The contents of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BackupContents {
    /// The format of the backup.
    pub format: u32,
    /// The name of the cluster.
    pub name: String,
    /// The id of the cluster: 32 hexadecimal digits.
    pub cluster: String,
    /// The incarnation of its log.
    pub incarnation: u64,
    /// The format of the cluster's keys and batches in etcd.
    pub cluster_format: u32,
    /// When the backup was begun, in milliseconds since 1970. It has every change that was acknowledged before.
    pub made_ms: u64,
    /// The version of the program that made it.
    pub version: String,
    /// The groups that have slots, by their numbers.
    pub groups: Vec<GroupContents>,
}

/// The contents of a group, in a subfolder that is called `group-` and the group's number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GroupContents {
    /// The group.
    pub group: u32,
    /// Its slots: ranges with their last slot.
    pub slots: Vec<(u16, u16)>,
    /// The backup has exactly the group's changes up to this entry.
    pub lsn: Lsn,
    /// The last batch.
    pub seq: u64,
    /// The time of the last entry, in milliseconds since 1970.
    pub time_ms: u64,
    /// The node that the group was copied of.
    pub node: String,
    /// The keys in the snapshot. Entries of the log add keys, and remove some.
    pub snapshot_keys: u64,
    /// The entries in the log.
    pub log_entries: u64,
    /// The files.
    pub files: Vec<FileInfo>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FileInfo {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, as hexadecimal digits.
    pub sha256: String,
}

/// The part of the file that all formats have.
#[derive(Deserialize)]
struct AnyFormat {
    format: u32,
}

impl BackupContents {
    /// The format that this program writes.
    pub(super) const FORMAT: u32 = FORMAT;

    /// Returns all files.
    pub fn files(&self) -> impl Iterator<Item = &FileInfo> {
        self.groups.iter().flat_map(|group| &group.files)
    }

    /// Returns the bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files().fold(0, |bytes, file| bytes.saturating_add(file.bytes))
    }

    /// Writes the file.
    pub(super) fn write(&self, folder: &Folder) -> Result<(), StartError> {
        let line = serde_json::to_string(self).unwrap_or_default();
        let text = format!("{line}\n{}\n", hex::text(&Sha256::digest(&line)));
        let written = folder.replace(NAME, text.as_bytes());
        written.map_err(|why| StartError::new(format!("{}: {why}", folder.at(NAME).display())))
    }

    /// Reads the file of a folder.
    ///
    /// # Errors
    /// If there is none, it is damaged, or another version wrote it.
    pub(super) fn read(folder: &Path) -> Result<Self, StartError> {
        let path = folder.join(NAME);
        let text = read_text(&path).map_err(|why| match why.kind() {
            ErrorKind::NotFound => StartError::new(format!(
                "{} is not a backup, or not a complete one: the file {NAME} is missing",
                folder.display()
            )),
            _ => StartError::new(format!("{}: {why}", path.display())),
        })?;
        let damaged = |why: &str| StartError::new(format!("{} is damaged: {why}", path.display()));
        let Some((line, checksum)) = text.strip_suffix('\n').and_then(|text| text.split_once('\n'))
        else {
            return Err(damaged("it must have two lines"));
        };
        if hex::text(&Sha256::digest(line)) != checksum {
            return Err(damaged("its checksum is wrong"));
        }
        // The format first: a later one may have other fields.
        let any: AnyFormat = serde_json::from_str(line).map_err(|why| damaged(&why.to_string()))?;
        if any.format != FORMAT {
            return Err(StartError::new(format!(
                "{} has format {}, but this version reads only format {FORMAT}: use the version that made the \
                 backup, or a later one",
                path.display(),
                any.format
            )));
        }
        serde_json::from_str(line).map_err(|why| damaged(&why.to_string()))
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

impl FileInfo {
    /// Reads a file of a folder, and returns what it is.
    pub(super) fn of(folder: &Path, name: &str) -> io::Result<Self> {
        let mut file = File::open(folder.join(name))?;
        let (mut hash, mut bytes, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK]);
        loop {
            let read = match file.read(&mut chunk) {
                Err(why) if why.kind() == ErrorKind::Interrupted => continue,
                read => read?,
            };
            if read == 0 {
                break;
            }
            hash.update(&chunk[..read]);
            bytes += read as u64;
        }
        Ok(Self { name: name.to_owned(), bytes, sha256: hex::text(&hash.finalize()) })
    }
}
