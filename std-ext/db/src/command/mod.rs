//! Commands: what clients of Redis ask, in terms of the database.
//!
//! `obey` takes what a connection has received, finds the requests in it, gathers what they ask of keys (`plan`)
//! and asks it at once; what is about the whole database or the connection waits until what was gathered before is
//! done.

mod about;
mod arguments;
mod client;
mod config;
mod connection;
mod context;
mod dispatch;
mod docs;
mod glob;
mod info;
mod keyed;
mod life;
mod memory;
mod obey;
mod parts;
mod plan;
mod shape;
mod table;
mod whole;

#[cfg(test)]
mod redis;
#[cfg(test)]
mod tests;

pub use connection::Connection;
pub use context::{ClientFacts, Context, NotSet, ServerFacts, ServerFigures, same_secret};
pub use obey::{Obeyed, Then, obey};
pub use plan::Scratch;

/// The Redis whose commands and answers these are.
const COMPATIBLE: &str = "7.0.15";
