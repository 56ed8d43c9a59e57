//! How a database is opened.

use crate::clock::TimeSource;
use crate::log::Fsync;
use std::path::PathBuf;

/// What happens where memory is at its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Eviction {
    /// Changes that need memory are refused.
    #[default]
    Never,
    /// Keys go that have not been used for long, of a sample.
    Lru,
    /// Any keys.
    Random,
    /// Of the keys that have an end, those that have not been used for long.
    VolatileLru,
    /// Of the keys that have an end, any.
    VolatileRandom,
    /// Of the keys that have an end, those that end soonest.
    VolatileTtl,
}

/// Each policy and its name: that of Redis.
const POLICIES: [(&str, Eviction); 6] = [
    ("volatile-lru", Eviction::VolatileLru),
    ("volatile-random", Eviction::VolatileRandom),
    ("volatile-ttl", Eviction::VolatileTtl),
    ("allkeys-lru", Eviction::Lru),
    ("allkeys-random", Eviction::Random),
    ("noeviction", Eviction::Never),
];

impl Eviction {
    /// The names of all policies, in Redis's order.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        POLICIES.iter().map(|(name, _)| *name)
    }

    /// Returns the policy of this name, in any case.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let named = POLICIES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, policy)| *policy)
    }

    /// Returns the name of the policy.
    pub(crate) fn name(self) -> &'static str {
        let named = POLICIES.iter().find(|(_, policy)| *policy == self);
        named.map_or("noeviction", |(name, _)| name)
    }
}

/// How a database is opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The folder of log and snapshots; `None` keeps nothing.
    pub folder: Option<PathBuf>,
    /// When the log is forced to the disk.
    pub fsync: Fsync,
    /// How many shards, made a power of two; 0 for eight a core.
    pub shards: usize,
    /// Bytes of memory for keys and values; 0 for as much as there is.
    pub max_memory: usize,
    /// What happens there.
    pub eviction: Eviction,
    /// Bytes of memory in which values of 64 bytes and more are kept, compressed where they are cold; 0 keeps all as
    /// they are.
    pub compressed: usize,
    /// A snapshot is made when the log has grown to so many bytes, and to twice the last snapshot; 0 for never.
    pub snapshot_after: u64,
    /// What tells the time: for tests.
    #[doc(hidden)]
    pub time: TimeSource,
}

impl Options {
    /// In memory only.
    pub fn in_memory() -> Self {
        Self {
            folder: None,
            fsync: Fsync::default(),
            shards: 0,
            max_memory: 0,
            eviction: Eviction::default(),
            compressed: 0,
            snapshot_after: 64 << 20,
            time: TimeSource::System,
        }
    }

    /// Durable, in a folder, which is made where it is missing.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into()), ..Self::in_memory() }
    }
}
