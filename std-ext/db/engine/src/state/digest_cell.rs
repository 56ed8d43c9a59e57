//! The digest that a node is taking.

use super::record::Record;
use crate::log::Lsn;
use std::sync::{Condvar, Mutex};

/// The digest that is being taken, if there is one. Locked last, behind shards.
#[derive(Default)]
pub(super) struct DigestCell {
    pub(super) wanted: Mutex<DigestProgress>,
    pub(super) noted: Condvar,
}

/// The progress of a digest.
#[derive(Default)]
pub(super) enum DigestProgress {
    /// No digest is being taken.
    #[default]
    Nothing,
    /// The digest is as of the first watermark that is not before this time.
    From(u64),
    /// The records as of an entry were noted. They are not freed yet.
    Noted(DigestRecords),
}

/// The records of all shards as of an entry.
pub(super) struct DigestRecords {
    pub(super) lsn: Lsn,
    /// The time of the entry's watermark.
    pub(super) time: u64,
    pub(super) records: Vec<Vec<Record>>,
}
