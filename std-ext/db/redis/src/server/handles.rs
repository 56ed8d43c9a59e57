//! Handles to a running server, for other threads: one stops it, the other reads its state.

#[cfg(feature = "metrics")]
use super::counters;
use super::counters::CounterTotals;
use super::shared::{ServerPhase, ServerShared};
use super::stream::Tls;
use crate::config::ServerConfig;
use crate::pubsub::Counts;
use crate::view::MemberRole;
#[cfg(feature = "metrics")]
use crate::view::Views;
#[cfg(feature = "metrics")]
use hedgerow_db_engine::Db;
use std::io;
use std::sync::Arc;
use std::time::Duration;
#[cfg(feature = "metrics")]
use std::time::Instant;

/// Stops a server. Clones stop the same server.
#[derive(Clone)]
pub struct StopHandle(pub(super) Arc<ServerShared>);

impl StopHandle {
    /// Shuts the server down. The first call stops accepting connections. The server still answers the requests that
    /// clients have sent by now, and exits when the replies are sent, at the latest after
    /// [`shutdown_timeout`](crate::config::ServerConfig::shutdown_timeout). A second call makes it exit at once.
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// Reads certificates and the password of a server again.
#[derive(Clone)]
pub struct Reloader(pub(super) Arc<ServerShared>);

impl Reloader {
    /// Reads the certificate files that a configuration names. The returned function uses them for new connections;
    /// those that exist go on. It also takes these settings, which are shown by `CONFIG GET` from then on.
    ///
    /// # Errors
    /// If a file cannot be used; the text names it. Nothing has changed then.
    pub fn prepare(
        &self,
        config: &ServerConfig,
        changed: Vec<(&'static str, String)>,
    ) -> io::Result<impl FnOnce() + Send + use<>> {
        // All that can fail is done here, so that the caller may prepare other parts before any of them takes effect.
        let (read, shared) = (Tls::load(config)?, Arc::clone(&self.0));
        Ok(move || {
            shared.tls.renew(read);
            shared.runtime_config.take(changed);
        })
    }
}

/// Reads the state of a running server.
#[derive(Clone)]
pub struct ServerMonitor(pub(super) Arc<ServerShared>);

impl ServerMonitor {
    /// Returns the counters since the start.
    pub fn totals(&self) -> CounterTotals {
        self.0.totals()
    }

    /// Returns the latency histogram.
    #[cfg(feature = "metrics")]
    pub(crate) fn latencies(&self) -> counters::Latencies {
        self.0.latencies()
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn diagnostics(&self) -> &crate::command::Diagnostics {
        self.0.runtime_config.diagnostics()
    }

    /// Returns the number of clients.
    pub fn clients(&self) -> usize {
        self.0.runtime_config.clients()
    }

    /// Returns the bytes of memory in clients' buffers, as of a second ago or less.
    pub fn buffers(&self) -> u64 {
        self.0.buffers()
    }

    /// Returns about how many bytes of memory clients take, with their buffers as of a second ago or less.
    pub fn client_memory(&self) -> u64 {
        self.0.client_memory()
    }

    /// Returns the numbers of channels and patterns that have a subscriber.
    pub fn subscriptions(&self) -> Counts {
        self.0.hub.counts()
    }

    /// Returns the time since the start.
    pub fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// Returns whether the server accepts commands and changes: not during shutdown, and not while the log cannot be
    /// written. A node of a cluster is ready once it has loaded its data, also while the group has no primary: clients
    /// must reach it to be told so.
    pub fn is_ready(&self) -> bool {
        self.0.phase() == ServerPhase::Serving && !self.log_fails() && !self.is_loading()
    }

    /// Returns whether the log of a database on one machine cannot be written.
    pub fn log_fails(&self) -> bool {
        // A node of a cluster need not be the primary, and the others cannot write their logs.
        self.0.views.is_none() && !self.0.log.writable()
    }

    /// Returns whether a node of a cluster has not caught up with its group yet.
    pub fn is_loading(&self) -> bool {
        let view = self.0.views.as_ref().map(|views| views.current());
        view.is_some_and(|view| view.role == MemberRole::Loading)
    }

    /// Returns whether a thread of the server has stood still for a minute, although it was woken by an earlier call.
    #[cfg(feature = "metrics")]
    pub(crate) fn stands_still(&self, now: Instant) -> bool {
        // A thread that executes SAVE is busy for as long as the disk takes.
        self.0.phase() == ServerPhase::Serving
            && !self.0.db.stats().snapshot_in_progress
            && self.0.workers.iter().any(|worker| worker.stands_still(now))
    }

    /// Returns the limit of clients.
    pub fn max_clients(&self) -> usize {
        self.0.runtime_config.max_clients()
    }

    /// Returns the cell in which a node of a cluster shows its group.
    #[cfg(feature = "metrics")]
    pub fn views(&self) -> Option<&Arc<Views>> {
        self.0.views.as_ref()
    }

    /// Returns the database.
    #[cfg(feature = "metrics")]
    pub fn db(&self) -> &Db {
        &self.0.db
    }
}
