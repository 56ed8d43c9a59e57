//! The manifest: a small file from which recovery learns that a segment, or the end of one, is missing.
//!
//! ```text
//! "hedgeman", version u32, newest u64, synced u64, crc u32 of these
//! ```
//!
//! `newest` is the first entry of the newest segment, and all entries up to `synced` had been synced. It is written
//! after a segment was created, and when the log is closed. Both numbers only grow. A crash may leave a manifest that
//! is older than the log; its numbers are smaller then, and still true.
//!
//! A folder without a manifest is new, or was written by an earlier version, or its owner has removed the manifest to
//! continue with the remaining segments.

use crate::crc32;
use crate::log::api::Lsn;
use crate::log::folder::Folder;
use crate::log::frame::{u32_at, u64_at};
use crate::log::open_error::OpenError;
use std::io::{self, ErrorKind, Read};

/// The file's name, and its temporary name while it is written.
#[doc(hidden)]
pub const NAME: &str = "manifest";
const NEW: &str = "manifest.new";
const MAGIC: &[u8; 8] = b"hedgeman";
const VERSION: u32 = 1;
const BYTES: usize = 32;

/// The contents that the folder must have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    /// The first entry of the newest segment.
    pub(super) newest: Lsn,
    /// All entries up to this one had been synced.
    pub(super) synced: Lsn,
}

impl Manifest {
    /// Reads the manifest of a folder, if there is one.
    pub(super) fn read(folder: &Folder) -> Result<Option<Self>, OpenError> {
        // A crash came before the rename, so the manifest itself is whole.
        folder.remove_leftover(NEW)?;
        let file = folder.at(NAME);
        let mut bytes = Vec::new();
        let read = folder.disk().read(&file);
        // One byte more shows that the file is too long, and a wrong file of any size is not read as a whole.
        match read.and_then(|file| file.take(BYTES as u64 + 1).read_to_end(&mut bytes)) {
            Err(why) if why.kind() == ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(OpenError::Io(file, why)),
            Ok(_) => {}
        }
        let manifest = parse(&bytes).map_err(|why| OpenError::Damaged { file, offset: 0, why })?;
        Ok(Some(manifest))
    }

    /// Replaces the manifest by this one, and syncs it.
    pub(super) fn write(self, folder: &Folder) -> io::Result<()> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.newest.to_le_bytes());
        bytes.extend(self.synced.to_le_bytes());
        bytes.extend(crc32::of(&bytes).to_le_bytes());
        folder.replace(NAME, &bytes)
    }
}

fn parse(bytes: &[u8]) -> Result<Manifest, &'static str> {
    if bytes.len() != BYTES || &bytes[..8] != MAGIC {
        return Err("not a manifest: its length or magic number is wrong");
    }
    if crc32::of(&bytes[..BYTES - 4]) != u32_at(bytes, BYTES - 4) {
        return Err("the checksum is wrong");
    }
    if u32_at(bytes, 8) != VERSION {
        return Err("the format version is not supported");
    }
    Ok(Manifest { newest: u64_at(bytes, 12), synced: u64_at(bytes, 20) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::faults::expect_every_byte_counts;

    #[test]
    fn every_byte_counts() {
        let path = tempfile::tempdir().unwrap();
        let folder = Folder::claim(path.path()).unwrap();
        assert_eq!(Manifest::read(&folder).unwrap(), None);
        let written = Manifest { newest: 7, synced: 1 << 40 };
        written.write(&folder).unwrap();
        assert_eq!(Manifest::read(&folder).unwrap(), Some(written));
        expect_every_byte_counts(&path.path().join(NAME), || Manifest::read(&folder));
    }
}
