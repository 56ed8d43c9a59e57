//! The running hash of all batches [C-13].
//!
//! Two histories with the same hash are the same history. Each batch has the hash before it, so a node with another
//! history stops at the first batch that is not its own: after the store was restored from a backup, or in a wrong
//! folder.

use super::hex;
use super::names::{Epoch, Lsn};
use sha2::{Digest, Sha256};
use std::fmt;

/// The hash of all batches up to one.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchChain(pub [u8; 16]);

impl BatchChain {
    /// Returns the chain behind the next batch.
    #[must_use]
    pub fn after(self, epoch: Epoch, first: Lsn, raw: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(epoch.to_le_bytes());
        hash.update(first.to_le_bytes());
        hash.update(raw);
        Self::half(hash)
    }

    /// Returns the hash of entries with one more behind them. A node compares entries that it has by it: see
    /// [`HeldEntries`](super::HeldEntries).
    #[must_use]
    pub fn with_entry(self, lsn: Lsn, time: u64, changes: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(lsn.to_le_bytes());
        hash.update(time.to_le_bytes());
        hash.update(changes);
        Self::half(hash)
    }

    fn half(hash: Sha256) -> Self {
        let full = hash.finalize();
        let mut half = [0; 16];
        half.copy_from_slice(&full[..16]);
        Self(half)
    }

    /// Reads what `Display` prints.
    pub fn parse(text: &str) -> Option<Self> {
        hex::parse(text).map(Self)
    }
}

impl fmt::Display for BatchChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(&self.0, f)
    }
}

impl fmt::Debug for BatchChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
