//! The write-ahead log: every change is written to it before the client gets its reply.
//!
//! The trait [`Log`] is what the database needs of a log. [`FileLog`](file::FileLog) keeps it in files.
//!
//! - `change`: the changes in an entry, as bytes.
//! - `appends`: the entries that wait to be written.
//! - `writer`: group commit, sync, and rotation of segments.
//! - `frame`: the format of segments and entries.
//! - `recover`: recovery at startup: replay, torn tails, damage.
//! - `manifest`: the file by which recovery notices missing segments.
//! - `health`, `rollback`: the steps after a write or `fdatasync` fails.
//! - [`disk`], [`folder`]: the files. `faults` makes them fail in tests.

mod api;
mod appends;
mod backlog;
#[doc(hidden)]
pub mod change;
pub mod disk;
#[doc(hidden)]
pub mod faults;
pub mod file;
pub mod folder;
#[doc(hidden)]
pub mod frame;
mod health;
mod manifest;
#[cfg(any(test, feature = "test-support"))]
#[doc(hidden)]
pub mod manual;
pub mod none;
mod open_error;
mod recover;
mod rollback;
mod writer;

pub use crate::options::Fsync;
pub use api::{
    BatchHash, BatchMark, Epoch, LeaseCheck, Log, LogError, Lsn, Position, ReadIndex, Rollback,
};
#[doc(hidden)]
pub use manifest::NAME as MANIFEST;
pub use open_error::OpenError;
#[doc(hidden)]
pub use recover::NAME as LOG;
#[doc(hidden)]
pub use recover::survey;
pub use recover::{EntryReplay, Recovered, TruncatedTail};
