//! Redis commands in terms of the database.
//!
//! `process_input` parses the requests that a connection has received. Commands about keys are collected in a batch
//! (`batch`) that the session executes as a whole. A command about the database or the connection first executes the
//! batch collected so far, so that effects and replies keep their order.

mod arguments;
mod batch;
mod client;
mod cluster;
mod command_info;
mod config;
mod connection;
mod context;
mod dispatch;
mod docs;
mod execute;
mod expiration;
mod first_key;
mod glob;
mod info;
mod keyspace;
mod memory;
mod queue;
mod redirects;
mod replication;
mod reply;
mod routing;
mod strings;
mod subcommands;
mod table;
mod transaction;

#[cfg(test)]
mod redis;
#[cfg(test)]
mod tests;

pub use batch::Scratch;
pub use connection::Connection;
pub use context::{ClientInfo, Context, ServerApi, ServerStats, SettingError, same_secret};
pub use execute::{NextStep, Outcome, process_input};
pub(crate) use first_key::first_key;
pub(crate) use routing::LOADING;

/// The version of Redis whose commands and replies these are.
const COMPATIBLE: &str = "7.0.15";
