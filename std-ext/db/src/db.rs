//! Stub.
#![allow(unreachable_pub, dead_code, clippy::pedantic)]
use crate::log::{Corrupt, Log, LogError, Lsn};
use crate::options::{Eviction, Options};
use crate::session::Session;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Stub.
#[derive(Clone)]
pub struct Db {
    x: Arc<Inner>,
}

struct Inner {
    options: Options,
    log: Arc<dyn Log>,
    map: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
}

/// Stub.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
#[allow(missing_docs)]
pub struct Figures {
    pub keys: u64,
    pub ending: u64,
    pub memory: u64,
    pub max_memory: u64,
    pub expired: u64,
    pub evicted: u64,
    pub hits: u64,
    pub misses: u64,
    pub last: u64,
    pub log_bytes: u64,
    pub since_snapshot: u64,
    pub snapshot_runs: bool,
    pub snapshot_at: u64,
    pub snapshot_failed: bool,
    pub shards: usize,
}

/// Stub.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// Stub.
    Corrupt(Corrupt),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stub")
    }
}
impl std::error::Error for OpenError {}

/// Stub.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Stub.
    Log(LogError),
}
impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stub")
    }
}
impl std::error::Error for Error {}

struct Plain(std::sync::atomic::AtomicU64);
impl Log for Plain {
    fn append(&self, _: u64, _: &[u8]) -> Result<Lsn, LogError> {
        // Relaxed: stub.
        Ok(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1)
    }
    fn writable(&self) -> bool {
        true
    }
    fn last(&self) -> Lsn {
        // Relaxed: stub.
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
    fn commit(&self, _: Lsn) -> Result<bool, LogError> {
        Ok(true)
    }
    fn wait(&self, _: Lsn) -> Result<(), LogError> {
        Ok(())
    }
    fn safe(&self) -> Lsn {
        self.last()
    }
    fn on_progress(&self, _: Box<dyn Fn() + Send + Sync>) {}
    fn rotate(&self) -> Result<Lsn, LogError> {
        Ok(self.last() + 1)
    }
    fn drop_before(&self, _: Lsn) -> Result<(), LogError> {
        Ok(())
    }
    fn bytes(&self) -> u64 {
        0
    }
    fn close(&self) -> Result<(), LogError> {
        Ok(())
    }
}

#[allow(missing_docs, clippy::missing_errors_doc, clippy::unused_self)]
impl Db {
    pub fn open(options: Options) -> Result<Self, OpenError> {
        let log: Arc<dyn Log> = Arc::new(Plain(0.into()));
        Ok(Self { x: Arc::new(Inner { options, log, map: Mutex::default() }) })
    }
    pub fn session(&self) -> Session {
        Session::stub()
    }
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.x.log
    }
    pub fn options(&self) -> &Options {
        &self.x.options
    }
    pub fn figures(&self) -> Figures {
        Figures { keys: self.x.map.lock().unwrap().len() as u64, ..Figures::default() }
    }
    pub fn set_max_memory(&self, _: usize) {}
    pub fn set_eviction(&self, _: Eviction) {}
    pub fn snapshot(&self) -> Result<(), Error> {
        Ok(())
    }
    pub fn close(&self) -> Result<(), Error> {
        Ok(())
    }
    pub(crate) fn stub_set(&self, key: &[u8], value: &[u8]) -> Lsn {
        let mut map = self.x.map.lock().unwrap();
        map.insert(key.to_vec(), value.to_vec());
        self.x.log.append(0, b"").unwrap_or(0)
    }
    pub(crate) fn stub_add(&self, key: &[u8]) -> (Lsn, u64) {
        let mut map = self.x.map.lock().unwrap();
        let old =
            map.get(key).map_or(0, |v| String::from_utf8_lossy(v).parse::<u64>().unwrap_or(0));
        map.insert(key.to_vec(), (old + 1).to_string().into_bytes());
        (self.x.log.append(0, b"").unwrap_or(0), old + 1)
    }
    pub(crate) fn stub_get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.x.map.lock().unwrap().get(key).cloned()
    }
}
