//! An in-memory key-value database on hedgerow's maps: durable on one node, for clients of Redis and embedded in a
//! process.
//!
//! ```ignore
//! use hedgerow_db::{Db, Options};
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let db = Db::open(Options::at(folder))?;
//! db.set("rose", "red")?;
//! assert_eq!(db.get("rose").as_deref(), Some(&b"red"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod ask;
mod clock;
#[doc(hidden)]
pub mod command;
mod db;
pub mod log;
pub mod options;
pub mod resp;
mod session;
#[doc(hidden)]
pub mod snapshot;
mod state;
mod watchman;

pub use db::{Db, Error, Figures, Opened};
pub use options::Options;
pub use session::Session;
