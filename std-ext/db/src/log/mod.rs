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
pub(crate) mod change;
pub mod disk;
#[doc(hidden)]
pub mod faults;
pub mod file;
pub mod folder;
pub(crate) mod frame;
mod health;
mod manifest;
#[cfg(test)]
pub(crate) mod manual;
pub mod none;
mod open_error;
mod recover;
mod rollback;
mod writer;

pub use crate::options::Fsync;
pub use api::{
    BatchHash, BatchMark, Epoch, LeaseCheck, Log, LogError, Lsn, Position, ReadIndex, Rollback,
};
pub(crate) use manifest::NAME as MANIFEST;
pub use open_error::OpenError;
pub(crate) use recover::NAME as LOG;
pub(crate) use recover::survey;
pub use recover::{EntryReplay, Recovered, TruncatedTail};
