//! The log: what every change is written to before it is acknowledged.
//!
//! [`Log`] is what the database needs of one; [`FileLog`](file::FileLog) keeps it in files of its own.

mod api;
pub(crate) mod change;
pub(crate) mod crc;
pub mod disk;
mod error;
#[doc(hidden)]
pub mod faults;
pub mod file;
pub mod folder;
pub(crate) mod frame;
mod health;
mod manifest;
pub mod none;
mod recover;
mod rollback;

pub use api::{Fsync, Log, Lsn, Rollback};
pub use error::{LogError, OpenError};
pub(crate) use recover::NAME as LOG;
pub use recover::{Cut, Recovered, Replay};
