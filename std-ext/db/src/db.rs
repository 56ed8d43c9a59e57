//! The database itself.

use crate::ask::{Answer, Ask, Change, Life, Look, Refusal, When};
use crate::log::{Corrupt, Log, LogError};
use crate::options::Options;
use crate::session::Session;
use std::sync::Arc;

/// An open database. Clones are the same database; it is closed with the last of them and of their sessions.
#[derive(Clone)]
pub struct Db {
    _x: Arc<()>,
}

/// What the database knows of itself, for `INFO` and metrics.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Figures {
    /// Keys, and of them those with an end.
    pub keys: u64,
    pub ending: u64,
    /// Bytes of memory for keys, values and tables.
    pub memory: u64,
    pub max_memory: u64,
    /// Keys removed because they had ended; evicted.
    pub expired: u64,
    pub evicted: u64,
    /// Looks that found a value, and that found none.
    pub hits: u64,
    pub misses: u64,
    /// Last entry of the log; bytes of its files; changes since the last snapshot.
    pub last: u64,
    pub log_bytes: u64,
    pub since_snapshot: u64,
    /// Whether a snapshot is being made; seconds since 1970 of the last one (0: none); whether that one failed.
    pub snapshot_runs: bool,
    pub snapshot_at: u64,
    pub snapshot_failed: bool,
    pub shards: usize,
}

impl Db {
    pub fn open(options: Options) -> Result<Self, OpenError> { unimplemented!() }
    pub fn session(&self) -> Session { unimplemented!() }
    pub fn log(&self) -> &Arc<dyn Log> { unimplemented!() }
    pub fn options(&self) -> &Options { unimplemented!() }
    pub fn figures(&self) -> Figures { unimplemented!() }
    /// CONFIG SET of what can be changed while it runs.
    pub fn set_max_memory(&self, bytes: usize) { unimplemented!() }
    pub fn set_eviction(&self, how: crate::options::Eviction) { unimplemented!() }
    /// Writes a snapshot now and waits for it (BGSAVE: on a thread of the caller's).
    pub fn snapshot(&self) -> Result<(), Error> { unimplemented!() }
    /// Waits for the log, then takes no more changes.
    pub fn close(&self) -> Result<(), Error> { unimplemented!() }
    // get, set, delete, ... for embedding
}
