//! The embedded database of [hedgerow-db](https://docs.rs/hedgerow-db): state, sessions, write-ahead log, snapshots.
//!
//! This API is internal to `hedgerow-db`: it may change with each of its versions. Programs should use what
//! `hedgerow-db` re-exports: [`Db`], [`Session`], [`Options`], and the types that belong to them. Hidden items are used
//! by its commands, its server and its cluster.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![allow(
    clippy::len_without_is_empty,
    clippy::missing_errors_doc,
    clippy::new_without_default,
    clippy::return_self_not_must_use,
    clippy::should_implement_trait,
    rustdoc::private_intra_doc_links,
    reason = "what is not documented here is used by hedgerow-db alone"
)]

#[cfg(not(unix))]
compile_error!(
    "hedgerow-db runs on Unix only: its guarantees about files, locks and signals are tested nowhere else. \
     The maps in the package hedgerow build for Windows, too."
);

mod background;
#[doc(hidden)]
pub mod bounds;
#[doc(hidden)]
pub mod buffers;
#[doc(hidden)]
pub mod clock;
#[doc(hidden)]
pub mod clustered;
#[doc(hidden)]
pub mod db;
#[cfg(any(test, feature = "test-support"))]
#[doc(hidden)]
pub mod effort;
mod encoding_settings;
pub mod encodings;
#[doc(hidden)]
pub mod error;
#[doc(hidden)]
pub mod event_flags;
mod eviction_settings;
#[doc(hidden)]
pub mod gauge;
#[doc(hidden)]
pub mod latency_monitor;
#[cfg(test)]
mod latency_tests;
#[doc(hidden)]
pub mod lock;
pub mod log;
#[cfg(any(test, feature = "test-support"))]
#[doc(hidden)]
pub mod not_run;
pub mod options;
#[doc(hidden)]
pub mod progress;
pub mod request;
#[doc(hidden)]
pub mod script_settings;
#[doc(hidden)]
pub mod session;
#[doc(hidden)]
pub mod snapshot;
#[doc(hidden)]
pub mod state;
mod transaction;
pub mod watch;

#[doc(hidden)]
pub use clock::TimeSource;
pub use db::{Db, Opened, Stats, StreamEntry};
pub use encodings::{EncodingLimit, EncodingLimits};
pub use error::Error;
#[doc(inline)]
pub use hedgerow_db_formats::slot_set::SlotSet;
pub(crate) use hedgerow_db_formats::{crc32, glob, number, rdb, score, slot_set, slots};
pub use options::{MAX_DATABASES, Options};
pub use progress::Progress;
pub use session::{Session, TransactionOutcome};
pub use state::databases::DatabaseStats;
#[doc(hidden)]
pub use state::role::Role;
pub use state::watched_keys::KeyWatch;
pub use transaction::Transaction;
