//! Redis commands in terms of the database.
//!
//! `process_input` parses the requests that a connection has received. Commands about keys are collected in a batch
//! (`batch`) that the session executes as a whole. A command about the database or the connection first executes the
//! batch collected so far, so that effects and replies keep their order.

#![allow(clippy::unnecessary_wraps, reason = "the functions of rows return a result")]

mod acl;
mod arguments;
mod batch;
mod bits;
mod blocking;
mod busy;
mod client;
mod client_line;
mod client_pause;
mod client_sizes;
mod client_tracking;
mod cluster;
mod command_info;
mod command_stats;
mod config;
mod connection;
mod context;
mod databases;
mod debug;
mod diagnostics;
mod dispatch;
mod dump;
mod dumped;
mod execute;
mod expiration;
mod first_key;
mod geo;
mod geo_arguments;
mod geo_reply;
mod hash_times;
mod hashes;
mod hexadecimal;
mod hyperloglog;
mod info;
mod info_lines;
mod key_specs;
mod keyspace;
mod latency;
mod lcs;
mod lists;
mod measure;
mod memory;
mod migrate;
mod module;
mod monitor;
mod monitor_lines;
mod object;
mod observe;
mod pubsub;
mod queue;
mod redact;
mod redirects;
#[cfg(feature = "cli")]
mod replay;
mod replication;
mod reply;
mod reply_writer;
mod routing;
mod rows;
mod runs;
mod scan;
#[cfg(feature = "scripts")]
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    reason = "the numbers of Lua are floating-point"
)]
mod script;
mod scripting;
mod secret;
mod server;
mod set_combinations;
mod sets;
mod slowlog;
mod sort;
mod sorted_ranges;
mod sorted_set_combinations;
mod sorted_sets;
mod stored_answer;
mod stream_arguments;
mod stream_groups;
mod stream_reads;
mod stream_reply;
mod streams;
mod strings;
mod syntax;
mod table;
mod tracking;
mod transaction;
mod wait_reply;
mod waiting;

#[cfg(test)]
mod later_tests;
#[cfg(test)]
mod measure_tests;
#[cfg(test)]
mod observe_tests;
#[cfg(test)]
mod redis;
#[cfg(test)]
pub(crate) mod test_client;
#[cfg(test)]
mod tests;

pub use acl::user::DEFAULT as DEFAULT_USER;
pub use acl::user::User;
pub use acl::users::Users;
pub use batch::Scratch;
pub use client_sizes::ClientSizes;
pub use client_tracking::TrackingInfo;
#[cfg(feature = "metrics")]
pub(crate) use command_stats::command_times;
pub use connection::Connection;
pub use context::{ClientInfo, Context, ServerApi, ServerStats, SettingError};
pub use diagnostics::Diagnostics;
pub(crate) use diagnostics::PostponedClient;
pub use execute::{ExecuteOutcome, NextStep, process_input};
pub use first_key::first_key;
pub(crate) use hexadecimal::hexadecimal;
#[cfg(feature = "cli")]
pub use replay::{Refusal, Replay, replay};
pub(crate) use routing::LOADING;
pub use secret::same_secret;
pub(crate) use wait_reply::{cancel_wait, end_wait};

/// The version of Redis whose commands and replies these are.
const COMPATIBLE: &str = "7.0.15";
