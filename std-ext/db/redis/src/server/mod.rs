//! The server: one thread a core, each with its own listeners, clients and [`Session`](hedgerow_db_engine::Session).
//! Threads wait for each other only at the locks of the shards and at the log.
//!
//! [`Server::bind`] opens the listeners, and [`Server::run`] serves until a [`StopHandle`] or a client stops it.
//! [`Server::start`] does both on threads of its own, for tests.

mod client;
mod client_list;
mod client_sizes;
mod counters;
mod event_loops;
mod handles;
#[cfg(feature = "metrics")]
pub mod http;
mod inbox;
#[cfg(test)]
mod lease_check_tests;
mod listen;
mod loading;
#[cfg(feature = "metrics")]
mod metrics;
mod output;
#[cfg(feature = "metrics")]
mod report_source;
mod running;
mod runtime_config;
mod serve;
mod shared;
mod socket;
mod stream;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;
#[cfg(test)]
mod wait_tests;
mod worker;
mod worker_context;

pub use crate::config::{Bind, OutputLimit, ServerConfig};
#[cfg(feature = "tls")]
pub use crate::config::{ClientCertificates, TlsFiles};
pub use counters::CounterTotals;
pub use handles::{Reloader, ServerMonitor, StopHandle};
pub use listen::Address;
#[doc(hidden)]
pub use listen::keep_alive;
pub use loading::Loading;
pub use running::RunningServer;
#[doc(hidden)]
pub use runtime_config::RuntimeConfig;
pub use serve::{Server, ServerExit};
