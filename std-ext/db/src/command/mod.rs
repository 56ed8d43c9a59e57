//! Commands: what clients of Redis ask, in terms of the database.
//!
//! `process_input` takes what a connection has received, finds the requests in it, gathers what they ask of keys (`plan`)
//! and asks it at once; what is about the whole database or the connection waits until what was gathered before is
//! done.

mod arguments;
mod batch;
mod client;
mod command_info;
mod config;
mod connection;
mod context;
mod dispatch;
mod docs;
mod execute;
mod expiration;
mod glob;
mod info;
mod keyspace;
mod memory;
mod reply;
mod strings;
mod subcommands;
mod table;

#[cfg(test)]
mod redis;
#[cfg(test)]
mod tests;

pub use batch::Scratch;
pub use connection::Connection;
pub use context::{ClientInfo, Context, ServerApi, ServerStats, SettingError, same_secret};
pub use execute::{NextStep, Outcome, process_input};

/// The Redis whose commands and answers these are.
const COMPATIBLE: &str = "7.0.15";
