//! The settings of a database about the encodings that `OBJECT ENCODING` names. They change only that answer.

use crate::Db;

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
        self.state().encodings.set_hash_entries(entries);
    }

    /// Sets the most bytes of a field or a value of a hash that Redis would store as a listpack, for hashes that change
    /// from now on.
    pub fn set_hash_listpack_value(&self, value: usize) {
        self.state().encodings.set_hash_value(value);
    }
}
