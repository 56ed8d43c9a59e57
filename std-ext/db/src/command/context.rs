//! What commands need besides their arguments: the database, and what the server knows of itself.

use crate::command::batch::Scratch;
use crate::command::connection::Connection;
use crate::{Db, Session};

/// What the commands of a connection are obeyed with.
pub struct Context<'c> {
    /// The thread's way to the database.
    pub session: &'c mut Session,
    /// The database.
    pub db: &'c Db,
    /// What the server knows.
    pub server: &'c dyn ServerApi,
    /// The thread's buffers.
    pub scratch: &'c mut Scratch,
}

/// What the server tells and takes for commands that are not about keys.
pub trait ServerApi {
    /// The figures of this moment.
    fn stats(&self) -> ServerStats;

    /// Shows each setting's name and value.
    fn settings(&self, each: &mut dyn FnMut(&str, &[u8]));

    /// Changes all of these settings while the server runs, or none.
    ///
    /// # Errors
    /// Which one cannot be changed so, and why; then nothing changes.
    fn set(&self, changes: &[(&str, &[u8])]) -> Result<(), (usize, SettingError)>;

    /// Forgets what was counted.
    fn reset_counters(&self);

    /// Shows all connections but `but`, whose own state is newer than what others know of it.
    fn clients(&self, but: u64, each: &mut dyn FnMut(&ClientInfo<'_>));

    /// Closes the connections that are `wanted`, except `but`, and returns their number. No connection is shown by
    /// [`clients`](Self::clients) after that, but one that another thread serves may still have a command executed.
    fn kill(&self, but: u64, wanted: &mut dyn FnMut(&ClientInfo<'_>) -> bool) -> u64;

    /// Whether this is the password of this user, in a time that tells nothing of either; [`same_secret`] compares so.
    /// Everybody's, where there is none.
    fn password_is(&self, user: &[u8], password: &[u8]) -> bool;

    /// Whether there is a password.
    fn has_password(&self) -> bool;
}

/// Why a setting was not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingError {
    /// There is no such setting.
    Unknown,
    /// It cannot be changed while the server runs.
    Immutable,
    /// This is no value for it; what would be.
    Invalid(String),
}

/// What the server counts.
#[derive(Clone, Debug, Default)]
pub struct ServerStats {
    /// The port of RESP without TLS; 0 for none.
    pub port: u16,
    /// Seconds since it was started.
    pub uptime: u64,
    /// Forty hexadecimal digits, others at each start.
    pub run_id: String,
    /// The file of settings, if there is one.
    pub config_file: String,
    /// The threads that answer.
    pub threads: usize,
    /// Connections now.
    pub clients: u64,
    /// How many may be.
    pub max_clients: u64,
    /// Connections that were taken.
    pub connections: u64,
    /// Connections that were refused.
    pub rejected: u64,
    /// Commands that were obeyed.
    pub commands: u64,
    /// Of the last second.
    pub commands_per_second: u64,
    /// Bytes that were read.
    pub bytes_in: u64,
    /// Bytes that were written.
    pub bytes_out: u64,
    /// Bytes that wait in buffers of connections.
    pub buffers: u64,
}

/// What is told of a connection.
#[derive(Clone, Copy, Debug)]
pub struct ClientInfo<'a> {
    /// Its number.
    pub id: u64,
    /// The other end, as an address and a port.
    pub address: &'a str,
    /// The server's end, as an address and a port.
    pub local_address: &'a str,
    /// What its client calls it; nothing at first.
    pub name: &'a [u8],
    /// Seconds since it was made.
    pub age: u64,
    /// Seconds since its last command.
    pub idle: u64,
    /// 2 or 3.
    pub protocol: u8,
    /// The last command's name.
    pub command: &'a str,
    /// What the client's library calls itself.
    pub library: &'a [u8],
    /// Its version.
    pub library_version: &'a [u8],
}

/// Whether two texts are the same, in a time that depends on their lengths alone.
pub fn same_secret(one: &[u8], other: &[u8]) -> bool {
    let differs = |n: usize| one[n] ^ other.get(n).copied().unwrap_or(!one[n]);
    let differing = (0..one.len()).fold(0, |all, n| all | std::hint::black_box(differs(n)));
    differing == 0 && one.len() == other.len()
}

impl Connection {
    /// What is told of it.
    pub fn info(&self) -> ClientInfo<'_> {
        ClientInfo {
            id: self.id,
            address: &self.address,
            local_address: &self.local_address,
            name: self.name(),
            age: self.since.elapsed().as_secs(),
            idle: 0,
            protocol: self.version(),
            command: self.command,
            library: self.library.as_ref().map_or(&[], |library| &library.0),
            library_version: self.library.as_ref().map_or(&[], |library| &library.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_the_same_or_not() {
        for (one, other) in [("", "a"), ("a", ""), ("ab", "aB"), ("ab", "abc"), ("abc", "ab")] {
            assert!(!same_secret(one.as_bytes(), other.as_bytes()), "{one} {other}");
        }
        assert!(same_secret(b"", b"") && same_secret(b"open sesame", b"open sesame"));
    }
}
