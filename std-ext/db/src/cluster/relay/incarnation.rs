//! The identity of a folder: random bytes that are made with it.
//!
//! What a node says of its disk holds for this disk only. A node whose folder was replaced has a new incarnation, so
//! what the old folder had does not count for the new one.

use crate::log::OpenError;
use crate::log::folder::Folder;

/// The identity of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incarnation(pub [u8; 16]);

impl Incarnation {
    /// Reads the incarnation of a folder, or makes one.
    ///
    /// # Errors
    /// If the file is damaged or cannot be written.
    pub fn of(folder: &Folder) -> Result<Self, OpenError> {
        let _ = folder;
        todo!()
    }
}
