//! A durable in-memory key-value database on hedgerow's maps: a server for Redis clients, and a library to embed in a
//! process.
//!
//! ```
//! use hedgerow_db::{Db, Options};
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let db = Db::open(Options::at(folder))?;
//! db.set("rose", "red")?;
//! assert_eq!(db.get("rose")?.as_deref(), Some(&b"red"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//! - `cli` (default): the program with its command line ([`config::Config::read`]), signals and log; with `metrics`.
//! - `metrics`: `server::http`, an HTTP server with metrics for Prometheus.
//! - `scripts` (default): scripts in Lua (`EVAL`).
//! - `tls` (default): TLS with rustls.
//! - `cluster`: the database on several machines, with its log in etcd.
//! - `grpc`: module `grpc`, the database over gRPC.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(unix))]
compile_error!(
    "hedgerow-db runs on Unix only: its guarantees about files, locks and signals are tested nowhere else. \
     The maps in the package hedgerow build for Windows, too."
);

/// Runs the README's examples as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;

mod background;
mod bounds;
mod buffers;
#[cfg(feature = "tls")]
mod certificates;
pub mod client;
#[cfg_attr(
    not(all(feature = "cli", feature = "cluster", feature = "scripts")),
    allow(dead_code, unused_imports, reason = "one node without scripts needs only a part")
)]
mod clock;
#[cfg(feature = "cluster")]
pub mod cluster;
/// Without the feature, commands know the words and never meet a view.
#[cfg(not(feature = "cluster"))]
#[doc(hidden)]
pub mod cluster {
    pub mod broadcast;
    pub mod view;
}
#[cfg_attr(
    not(all(feature = "cli", feature = "cluster", feature = "scripts")),
    allow(dead_code, unused_imports, reason = "one node without scripts needs only a part")
)]
#[doc(hidden)]
pub mod clustered;
#[doc(hidden)]
pub mod command;
pub mod config;
#[cfg_attr(
    not(all(feature = "cli", feature = "cluster", feature = "scripts")),
    allow(dead_code, unused_imports, reason = "one node without scripts needs only a part")
)]
mod db;
pub mod docs;
#[cfg(test)]
mod effort;
mod error;
mod event_flags;
mod eviction_settings;
mod gauge;
#[cfg(feature = "grpc")]
pub mod grpc;
mod latency_monitor;
#[cfg(test)]
mod latency_tests;
pub mod limits;
mod lock;
#[cfg_attr(
    not(all(feature = "cli", feature = "cluster", feature = "scripts")),
    allow(dead_code, unused_imports, reason = "one node without scripts needs only a part")
)]
pub mod log;
#[cfg(all(test, feature = "cluster"))]
mod not_run;
#[cfg(feature = "cli")]
pub mod offline;
pub mod options;
mod outgoing;
#[cfg_attr(
    not(all(feature = "cli", feature = "cluster", feature = "scripts")),
    allow(dead_code, unused_imports, reason = "one node without scripts needs only a part")
)]
mod progress;
#[doc(hidden)]
pub mod pubsub;
pub mod request;
#[cfg_attr(
    not(all(feature = "cli", feature = "cluster", feature = "scripts")),
    allow(dead_code, unused_imports, reason = "one node without scripts needs only a part")
)]
mod script_settings;
#[cfg(feature = "scripts")]
mod scripts;
pub mod server;
#[cfg_attr(
    not(all(feature = "cli", feature = "cluster", feature = "scripts")),
    allow(dead_code, unused_imports, reason = "one node without scripts needs only a part")
)]
mod session;
#[doc(hidden)]
pub mod snapshot;
#[cfg_attr(
    not(all(feature = "cli", feature = "cluster", feature = "scripts")),
    allow(dead_code, unused_imports, reason = "one node without scripts needs only a part")
)]
mod state;
mod tracking;
mod transaction;
pub mod watch;

#[doc(hidden)]
pub use clock::TimeSource;
pub use db::{Db, Opened, Stats};
pub use error::Error;
pub(crate) use hedgerow_db_formats::{crc32, glob, number, slot_set, slots};
#[doc(inline)]
pub use hedgerow_db_formats::{rdb, resp, slot_set::SlotSet};
pub use options::{MAX_DATABASES, Options};
pub use progress::Progress;
pub use session::{Session, TransactionOutcome};
pub use state::databases::DatabaseStats;
#[doc(hidden)]
pub use state::role::Role;
pub use state::watched_keys::KeyWatch;
pub use transaction::Transaction;
