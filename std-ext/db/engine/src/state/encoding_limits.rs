//! From when on Redis would store a value in its larger form: what `OBJECT ENCODING` answers.

use crate::options::Options;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The limits of all types. All can be set at run time, and count for values that are changed from then on.
#[derive(Debug, Default)]
pub struct EncodingLimits {
    hash_entries: AtomicUsize,
    hash_value: AtomicUsize,
}

/// A hash with more fields, or a longer field or value, is a table and no listpack.
#[derive(Clone, Copy, Debug)]
pub struct HashLimits {
    /// The most fields.
    pub entries: usize,
    /// The most bytes of a field or a value.
    pub value: usize,
}

impl EncodingLimits {
    pub fn new(options: &Options) -> Self {
        Self {
            hash_entries: options.hash_listpack_entries.into(),
            hash_value: options.hash_listpack_value.into(),
        }
    }

    /// Returns the limits of a hash.
    pub fn hash(&self) -> HashLimits {
        // Relaxed: settings, each by itself.
        let [entries, value] =
            [&self.hash_entries, &self.hash_value].map(|limit| limit.load(Ordering::Relaxed));
        HashLimits { entries, value }
    }

    pub(crate) fn set_hash_entries(&self, entries: usize) {
        // Relaxed: as above.
        self.hash_entries.store(entries, Ordering::Relaxed);
    }

    pub(crate) fn set_hash_value(&self, value: usize) {
        // Relaxed: as above.
        self.hash_value.store(value, Ordering::Relaxed);
    }
}
