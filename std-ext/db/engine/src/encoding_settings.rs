//! The settings of a database about Redis's encodings.

use crate::Db;
use crate::encodings::EncodingLimit;

impl Db {
    /// Returns a limit of Redis's encodings.
    pub fn encoding_limit(&self, limit: EncodingLimit) -> usize {
        self.state().encodings.get(limit)
    }

    /// Sets a limit of Redis's encodings, for values that change from now on.
    pub fn set_encoding_limit(&self, limit: EncodingLimit, most: usize) {
        self.state().encodings.set(limit, most);
    }
}
