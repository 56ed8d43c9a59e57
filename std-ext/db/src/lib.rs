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

/// Runs the README's examples as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;

#[cfg(feature = "tls")]
mod certificates;
pub mod client;
#[cfg(feature = "cluster")]
pub mod cluster;
/// Without the feature, commands know the words and never meet a view.
#[cfg(not(feature = "cluster"))]
#[doc(hidden)]
pub mod cluster {
    pub mod view;

    pub use view::broadcast;
}
#[doc(hidden)]
pub mod command;
pub mod config;
pub mod docs;
#[cfg(feature = "grpc")]
pub mod grpc;
pub mod limits;
#[cfg(all(test, feature = "cluster"))]
mod not_run;
#[cfg(feature = "cli")]
pub mod offline;
mod outgoing;
#[doc(hidden)]
pub mod pubsub;
#[cfg(feature = "scripts")]
mod scripts;
pub mod server;
mod tracking;

#[cfg(test)]
pub(crate) use hedgerow_db_engine::effort;
#[cfg(feature = "grpc")]
pub(crate) use hedgerow_db_engine::error;
#[cfg(feature = "scripts")]
pub(crate) use hedgerow_db_engine::script_settings;
#[doc(inline)]
pub use hedgerow_db_engine::{
    DatabaseStats, Db, EncodingLimit, EncodingLimits, Error, KeyWatch, MAX_DATABASES, Opened,
    Options, Progress, Session, Stats, Transaction, TransactionOutcome, log, options, request,
    watch,
};
#[doc(hidden)]
pub use hedgerow_db_engine::{Role, TimeSource, clustered, snapshot};
pub(crate) use hedgerow_db_engine::{
    bounds, buffers, clock, db, encodings, event_flags, gauge, latency_monitor, lock, progress,
    session, state,
};
#[cfg(feature = "cluster")]
pub(crate) use hedgerow_db_formats::crc32;
pub(crate) use hedgerow_db_formats::{glob, number, score, slot_set, slots};
#[doc(inline)]
pub use hedgerow_db_formats::{rdb, resp, slot_set::SlotSet};
