//! The server: one thread a core, each with its own listeners, clients and [`Session`](crate::Session), and with
//! nothing that they would have to wait for each other on but the maps themselves and the log.
//!
//! [`Server::bind`] opens the doors, [`Server::run`] serves until a [`StopHandle`] or a client says to end.

mod client;
mod client_list;
mod counters;
mod handles;
#[cfg(feature = "metrics")]
pub mod http;
pub(crate) mod listen;
mod loading;
#[cfg(feature = "metrics")]
mod metrics;
mod output;
pub(crate) mod runtime_config;
mod serve;
mod shared;
mod socket;
mod stream;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;
mod worker;
mod worker_context;

pub use crate::config::{Bind, ServerConfig};
#[cfg(feature = "tls")]
pub use crate::config::{ClientCertificates, TlsFiles};
pub use counters::CounterTotals;
pub use handles::{ServerMonitor, StopHandle};
pub use listen::Address;
pub use loading::Loading;
pub use serve::{Server, ServerExit};
