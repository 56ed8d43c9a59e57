//! The identity of a folder: random bytes that are made with it.
//!
//! A node's claims of its disk hold for that disk only. A node whose folder was replaced has a new incarnation, so the
//! entries of the old folder do not count for the new one.
//!
//! ```text
//! "hedgeinc", version u32, incarnation 16 bytes, crc u32 of these
//! ```

use hedgerow_db_engine::log::OpenError;
use hedgerow_db_engine::log::folder::Folder;
use hedgerow_db_engine::log::frame::u32_at;
use hedgerow_db_formats::crc32;
use hedgerow_db_group::hex;
use std::fmt;
use std::io::{self, ErrorKind, Read};

/// The file's name, and its temporary name while it is written.
const NAME: &str = "incarnation";
const NEW: &str = "incarnation.new";
const MAGIC: &[u8; 8] = b"hedgeinc";
const VERSION: u32 = 1;
const BYTES: usize = 32;

/// The identity of a folder.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Incarnation(pub [u8; 16]);

impl Incarnation {
    /// Reads the incarnation of a folder. A folder without one gets one.
    ///
    /// # Errors
    /// If the file is damaged, or cannot be read or written.
    pub fn of(folder: &Folder) -> Result<Self, OpenError> {
        folder.remove_leftover(NEW)?;
        let file = folder.at(NAME);
        let mut bytes = Vec::new();
        let read = folder.disk().read(&file);
        match read.and_then(|file| file.take(BYTES as u64 + 1).read_to_end(&mut bytes)) {
            Err(why) if why.kind() == ErrorKind::NotFound => Self::renew(folder),
            Err(why) => Err(OpenError::Io(file, why)),
            Ok(_) => parse(&bytes).map_err(|why| OpenError::Damaged { file, offset: 0, why }),
        }
    }

    /// Gives the folder a new incarnation: the entries that it had do not count any more.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn renew(folder: &Folder) -> Result<Self, OpenError> {
        let mut random = [0; 16];
        let drawn = getrandom::fill(&mut random).map_err(|why| io::Error::other(why.to_string()));
        let written = drawn.and_then(|()| write(folder, random));
        written.map_err(|why| OpenError::Io(folder.at(NAME), why))?;
        Ok(Self(random))
    }
}

fn write(folder: &Folder, incarnation: [u8; 16]) -> io::Result<()> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(incarnation);
    bytes.extend(crc32::of(&bytes).to_le_bytes());
    folder.replace(NAME, &bytes)
}

fn parse(bytes: &[u8]) -> Result<Incarnation, &'static str> {
    if bytes.len() != BYTES || &bytes[..8] != MAGIC {
        return Err("not an incarnation: its length or magic number is wrong");
    }
    if crc32::of(&bytes[..BYTES - 4]) != u32_at(bytes, BYTES - 4) {
        return Err("the checksum is wrong");
    }
    if u32_at(bytes, 8) != VERSION {
        return Err("the format version is not supported");
    }
    let mut incarnation = [0; 16];
    incarnation.copy_from_slice(&bytes[12..28]);
    Ok(Incarnation(incarnation))
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(&self.0, f)
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hedgerow_db_engine::log::faults::expect_every_byte_counts;

    #[test]
    fn a_folder_keeps_its_incarnation() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (one, two) = (Folder::claim(one.path()).unwrap(), Folder::claim(two.path()).unwrap());
        let first = Incarnation::of(&one).unwrap();
        assert_eq!(Incarnation::of(&one).unwrap(), first, "the folder keeps its incarnation");
        assert_ne!(Incarnation::of(&two).unwrap(), first, "two folders have the same incarnation");
        let renewed = Incarnation::renew(&one).unwrap();
        assert_ne!(renewed, first);
        assert_eq!(Incarnation::of(&one).unwrap(), renewed);
    }

    #[test]
    fn every_byte_counts() {
        let path = tempfile::tempdir().unwrap();
        let folder = Folder::claim(path.path()).unwrap();
        Incarnation::of(&folder).unwrap();
        expect_every_byte_counts(&path.path().join(NAME), || Incarnation::of(&folder));
    }
}
