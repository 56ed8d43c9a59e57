//! The settings of a database about the encodings that `OBJECT ENCODING` names. They change only that answer.

use crate::Db;
use crate::state::encoding_limits::HashLimits;

impl Db {
    /// Returns the most fields of a hash that Redis would store as a listpack.
    pub fn hash_listpack_entries(&self) -> usize {
        self.state().encodings.hash().entries
    }

    /// Returns the most bytes of a field or a value of a hash that Redis would store as a listpack.
    pub fn hash_listpack_value(&self) -> usize {
        self.state().encodings.hash().value
    }

    /// Sets the most fields of a hash that Redis would store as a listpack, for hashes that change from now on.
    pub fn set_hash_listpack_entries(&self, entries: usize) {
        let value = self.hash_listpack_value();
        self.state().encodings.set_hash(HashLimits { entries, value });
    }

    /// Sets the most bytes of a field or a value of a hash that Redis would store as a listpack, for hashes that change
    /// from now on.
    pub fn set_hash_listpack_value(&self, value: usize) {
        let entries = self.hash_listpack_entries();
        self.state().encodings.set_hash(HashLimits { entries, value });
    }
}
