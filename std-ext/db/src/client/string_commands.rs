//! The commands on strings that the clients for one server and for a cluster have alike.

/// Defines the methods of a client that has `command`. Their callers have [`done`](super::done) and
/// [`integer`](super::integer) in scope.
macro_rules! string_commands {
    () => {
        /// Returns the value of a key.
        ///
        /// # Errors
        /// As [`command`](Self::command).
        pub fn get(&mut self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
            match self.command(&[&b"GET"[..], key.as_ref()])? {
                Reply::Bulk(value) => Ok(Some(value)),
                Reply::Null => Ok(None),
                other => Err(ClientError::Unexpected(other)),
            }
        }

        /// Stores a value without expiration.
        ///
        /// # Errors
        /// As [`command`](Self::command).
        pub fn set(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
            done(self.command(&[&b"SET"[..], key.as_ref(), value.as_ref()])?)
        }

        /// Stores a value that expires after `ttl`, in whole milliseconds.
        ///
        /// # Errors
        /// As [`command`](Self::command); a time of zero is an error.
        pub fn set_with_ttl(
            &mut self,
            key: impl AsRef<[u8]>,
            value: impl AsRef<[u8]>,
            ttl: Duration,
        ) -> Result<()> {
            let time = ttl.as_millis().to_string();
            done(self.command(&[
                &b"SET"[..],
                key.as_ref(),
                value.as_ref(),
                b"PX",
                time.as_bytes(),
            ])?)
        }

        /// Stores a value if the key does not exist. Returns whether it was stored.
        ///
        /// # Errors
        /// As [`command`](Self::command).
        pub fn set_if_absent(
            &mut self,
            key: impl AsRef<[u8]>,
            value: impl AsRef<[u8]>,
        ) -> Result<bool> {
            match self.command(&[&b"SET"[..], key.as_ref(), value.as_ref(), b"NX"])? {
                Reply::Null => Ok(false),
                other => done(other).map(|()| true),
            }
        }

        /// Removes a key. Returns whether it existed.
        ///
        /// # Errors
        /// As [`command`](Self::command).
        pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<bool> {
            integer(self.command(&[&b"DEL"[..], key.as_ref()])?).map(|removed| removed == 1)
        }

        /// Adds to an integer, and returns the sum.
        ///
        /// # Errors
        /// As [`command`](Self::command).
        pub fn add(&mut self, key: impl AsRef<[u8]>, by: i64) -> Result<i64> {
            integer(self.command(&[&b"INCRBY"[..], key.as_ref(), by.to_string().as_bytes()])?)
        }
    };
}
