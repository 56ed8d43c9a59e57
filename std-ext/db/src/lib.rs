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

pub mod client;
pub mod docs;
#[cfg(feature = "grpc")]
pub mod grpc;
#[cfg(feature = "cli")]
pub mod offline;

#[cfg(feature = "cluster")]
#[doc(inline)]
pub use hedgerow_db_cluster as cluster;
#[doc(inline)]
pub use hedgerow_db_engine::{
    DatabaseStats, Db, EncodingLimit, EncodingLimits, Error, KeyWatch, MAX_DATABASES, Opened,
    Options, Progress, Session, Stats, StreamEntry, Transaction, TransactionOutcome, log, options,
    request, watch,
};
#[doc(hidden)]
pub use hedgerow_db_engine::{Role, TimeSource, clustered, snapshot};
#[doc(inline)]
pub use hedgerow_db_formats::{rdb, resp, slot_set::SlotSet};
#[doc(hidden)]
pub use hedgerow_db_redis::{command, pubsub};
#[doc(inline)]
pub use hedgerow_db_redis::{config, limits, server};
