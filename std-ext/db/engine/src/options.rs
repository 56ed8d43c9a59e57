//! Options for opening a database.

use crate::clock::TimeSource;
use crate::encodings::EncodingLimits;
use std::path::PathBuf;

/// When the log is synced to the disk (`fdatasync`), as Redis's `appendfsync`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fsync {
    /// Before a change is acknowledged: acknowledged changes survive a power failure.
    Always,
    /// Once a second: acknowledged changes survive a crash of the process. A power failure loses up to the last two
    /// seconds.
    #[default]
    EverySecond,
    /// Whenever the system writes its page cache: acknowledged changes survive a crash of the process.
    Never,
}

/// The policy when memory reaches its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Eviction {
    /// Changes that need memory are refused.
    #[default]
    Never,
    /// Evicts the least recently used keys of a sample.
    Lru,
    /// Evicts the least frequently used keys of a sample.
    Lfu,
    /// Evicts random keys.
    Random,
    /// Evicts the least recently used keys that have an expiration.
    VolatileLru,
    /// Evicts the least frequently used keys that have an expiration.
    VolatileLfu,
    /// Evicts random keys that have an expiration.
    VolatileRandom,
    /// Evicts the keys that expire soonest.
    VolatileTtl,
}

/// The policies and their names, which are Redis's.
const POLICIES: [(&str, Eviction); 8] = [
    ("volatile-lru", Eviction::VolatileLru),
    ("volatile-lfu", Eviction::VolatileLfu),
    ("volatile-random", Eviction::VolatileRandom),
    ("volatile-ttl", Eviction::VolatileTtl),
    ("allkeys-lru", Eviction::Lru),
    ("allkeys-lfu", Eviction::Lfu),
    ("allkeys-random", Eviction::Random),
    ("noeviction", Eviction::Never),
];

impl Eviction {
    /// Returns the names of all policies, in Redis's order.
    #[doc(hidden)]
    pub fn names() -> impl Iterator<Item = &'static str> {
        POLICIES.iter().map(|(name, _)| *name)
    }

    /// Returns the policy of this name, in any case.
    #[doc(hidden)]
    pub fn from_name(name: &str) -> Option<Self> {
        let named = POLICIES.iter().find(|(candidate, _)| candidate.eq_ignore_ascii_case(name));
        named.map(|(_, policy)| *policy)
    }

    /// Returns the name of the policy.
    #[doc(hidden)]
    pub fn name(self) -> &'static str {
        let named = POLICIES.iter().find(|(_, policy)| *policy == self);
        named.map_or("noeviction", |(name, _)| name)
    }
}

/// The most databases that there can be.
pub const MAX_DATABASES: u16 = 1024;

/// Options for opening a database.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The directory of the log and the snapshots; `None` stores nothing on disk.
    pub folder: Option<PathBuf>,
    /// When the log is flushed to disk.
    pub fsync: Fsync,
    /// The number of databases, from 1 to [`MAX_DATABASES`]. A node of a cluster has one.
    pub databases: u16,
    /// The number of shards of each database, rounded up to a power of two; 0 for eight a core.
    pub shards: usize,
    /// Maximum memory for keys and values, in bytes; 0 for no limit.
    pub max_memory: usize,
    /// The policy at that limit.
    pub eviction: Eviction,
    /// How many keys are compared for each one that is evicted, as Redis's `maxmemory-samples`. Three more are compared
    /// as well, because Redis compares some keys of earlier samples.
    pub eviction_samples: u32,
    /// How slowly the counter of a key's uses grows under the policies by frequency, as Redis's `lfu-log-factor`.
    pub lfu_log_factor: u32,
    /// After how many minutes without a use this counter is decremented; 0 for never.
    pub lfu_decay_time: u32,
    /// From when on `OBJECT ENCODING` names Redis's larger encodings.
    pub encodings: EncodingLimits,
    /// Bytes of memory in which values of 64 bytes and more are stored, and compressed while they are not used; 0 for
    /// no compression.
    pub compressed: usize,
    /// The size at which the log is replaced by a snapshot, provided that it has also reached twice the size of the
    /// last snapshot; 0 for never.
    pub snapshot_after: u64,
    /// How long a script may run, in milliseconds of processor time; 0 for no limit. A script that takes longer is
    /// stopped, and its changes are undone. Thirty times as many by the clock stop it as well.
    pub script_time_limit: u64,
    /// Whether scripts may access keys that they do not declare, and all keys, as by `KEYS`.
    pub allow_undeclared_keys: bool,
    /// The clock: for tests.
    #[doc(hidden)]
    pub time: TimeSource,
}

impl Options {
    /// Options of a database in memory only.
    pub fn in_memory() -> Self {
        Self {
            folder: None,
            fsync: Fsync::default(),
            databases: 16,
            shards: 0,
            max_memory: 0,
            eviction: Eviction::default(),
            eviction_samples: 5,
            lfu_log_factor: 10,
            lfu_decay_time: 1,
            encodings: EncodingLimits::default(),
            compressed: 0,
            snapshot_after: 64 << 20,
            script_time_limit: 5000,
            allow_undeclared_keys: true,
            time: TimeSource::System,
        }
    }

    /// Options of a durable database in a directory, which is created if it is missing.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into()), ..Self::in_memory() }
    }
}
