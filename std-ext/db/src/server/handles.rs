//! Handles to a running server, for other threads: one stops it, the other reads its state.

#[cfg(feature = "metrics")]
use super::counters;
use super::counters::CounterTotals;
use super::shared::{Phase, Shared};
#[cfg(feature = "metrics")]
use crate::Db;
use std::sync::Arc;
use std::time::Duration;

/// Ends a server. Clones end the same.
#[derive(Clone)]
pub struct StopHandle(pub(super) Arc<Shared>);

impl StopHandle {
    /// The first time: no more connections are taken, what clients have sent by now is answered, and when the answers
    /// are out it ends, at the latest after [`shutdown_timeout`](ServerConfig::shutdown_timeout). The second time it ends at
    /// once.
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// Tells how a server fares.
#[derive(Clone)]
pub struct ServerMonitor(pub(super) Arc<Shared>);

impl ServerMonitor {
    /// What was counted since it began.
    pub fn totals(&self) -> CounterTotals {
        self.0.totals()
    }

    /// How long commands took.
    #[cfg(feature = "metrics")]
    pub(crate) fn latencies(&self) -> counters::Latencies {
        self.0.latencies()
    }

    /// How many clients there are.
    pub fn clients(&self) -> usize {
        self.0.runtime_config.clients()
    }

    /// Bytes of memory in buffers of clients, as of a second ago or less.
    pub fn buffers(&self) -> u64 {
        self.0.buffers()
    }

    /// For how long it has been there.
    pub fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// Whether it takes commands and changes: not when it ends, or the log cannot be written.
    pub fn is_ready(&self) -> bool {
        self.0.phase() == Phase::Serving && !self.log_fails()
    }

    /// Whether the log cannot be written.
    pub fn log_fails(&self) -> bool {
        !self.0.log.writable()
    }

    /// How many clients there may be.
    pub fn max_clients(&self) -> usize {
        self.0.runtime_config.max_clients()
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn db(&self) -> &Db {
        &self.0.db
    }
}
