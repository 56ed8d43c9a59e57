//! The settings of a database about the encodings that `OBJECT ENCODING` names. They change only that answer.

use crate::Db;
use crate::encodings::EncodingLimit;

impl Db {
    /// Returns a limit of Redis's smaller encodings.
    pub fn encoding_limit(&self, limit: EncodingLimit) -> usize {
        self.state().encodings.get(limit)
    }

    /// Sets a limit of Redis's smaller encodings, for values that change from now on.
    pub fn set_encoding_limit(&self, limit: EncodingLimit, most: usize) {
        self.state().encodings.set(limit, most);
    }
}
