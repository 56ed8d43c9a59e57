//! An in-memory key-value database on hedgerow's maps: durable on one node, for clients of Redis and embedded in a
//! process.

pub mod ask;
mod command;
pub mod config;
mod db;
pub mod log;
pub mod options;
pub mod resp;
pub mod server;
mod session;
mod state;

pub use db::{Db, Error, OpenError};
pub use options::Options;
pub use session::Session;
