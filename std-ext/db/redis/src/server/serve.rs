//! The server: its listeners, and the threads that serve it.

use super::handles::{Reloader, ServerMonitor, StopHandle};
use super::inbox;
use super::listen::{self, AcceptedConnection, Address, ServerListener};
use super::runtime_config::RuntimeConfig;
use super::shared::{ServerShared, WorkerHandle};
use super::stream::Tls;
use super::worker::{self, ServerWorker, WorkerGuard};
use crate::config::ServerConfig;
use crate::view::Views;
use hedgerow_db_engine::Db;
use hedgerow_db_engine::log::Log;
use mio::{Poll, Waker};
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// The bytes of a thread's stack: a script may return tables that are nested 256 deep, and a build without optimization
/// needs more than Rust's two MiB for them. Memory that is not used is not there.
const STACK: usize = 8 << 20;

/// The bound parts of a server: its configuration, the listeners of each thread, their addresses, and the certificates.
pub(super) struct Bound {
    pub(super) config: ServerConfig,
    pub(super) listeners: Vec<Vec<ServerListener>>,
    pub(super) addresses: Vec<Address>,
    pub(super) tls: Tls,
}

impl Bound {
    /// Completes the configuration, and opens the listeners of each thread.
    pub(super) fn open(mut config: ServerConfig) -> io::Result<Self> {
        if config.threads == 0 {
            config.threads = thread::available_parallelism().map_or(1, usize::from);
        }
        // Only to see that they can be read: an error must show before the data is loaded.
        RuntimeConfig::new(&config).load_users(&config)?;
        let tls = Tls::load(&config)?;
        let (listeners, addresses) = listen::open(&config, config.threads)?;
        Ok(Self { config, listeners, addresses, tls })
    }
}

/// A server that is bound to its addresses.
pub struct Server {
    shared: Arc<ServerShared>,
    threads: Vec<(Poll, Vec<ServerListener>)>,
    addresses: Vec<Address>,
    /// Connections accepted while the data was being loaded.
    early: Vec<AcceptedConnection>,
}

/// How a server stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerExit {
    /// Whether the SHUTDOWN command requested or forbade a snapshot, if a client has sent one that says so.
    pub save: Option<bool>,
}

impl Server {
    /// Binds the listeners. Clients can connect from now on, and are served as soon as the server [runs](Self::run).
    ///
    /// # Errors
    /// If an address cannot be bound (the text names it), or a certificate cannot be used.
    pub fn bind(db: Db, config: ServerConfig) -> io::Result<Self> {
        let log = Arc::clone(db.log());
        Self::bind_with(db, log, config)
    }

    /// As [`bind`](Self::bind), for a node of a cluster, which shows its group in the cell `views`.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub fn bind_node(db: Db, config: ServerConfig, views: Arc<Views>) -> io::Result<Self> {
        let log = Arc::clone(db.log());
        Self::with_listeners(db, log, Some(views), Bound::open(config)?)
    }

    /// As `bind`, with the log that decides when replies may be sent.
    pub(super) fn bind_with(db: Db, log: Arc<dyn Log>, config: ServerConfig) -> io::Result<Self> {
        Self::with_listeners(db, log, None, Bound::open(config)?)
    }

    /// Makes a server of open listeners and the connections that they have accepted already.
    pub(super) fn over(
        db: Db,
        views: Option<Arc<Views>>,
        bound: Bound,
        early: Vec<AcceptedConnection>,
    ) -> io::Result<Self> {
        let log = Arc::clone(db.log());
        Ok(Self { early, ..Self::with_listeners(db, log, views, bound)? })
    }

    fn with_listeners(
        db: Db,
        log: Arc<dyn Log>,
        views: Option<Arc<Views>>,
        bound: Bound,
    ) -> io::Result<Self> {
        let Bound { config, listeners, addresses, tls } = bound;
        let mut workers = Vec::new();
        let mut threads = Vec::new();
        for listeners in listeners {
            let poll = Poll::new()?;
            workers.push(WorkerHandle::new(Waker::new(poll.registry(), worker::WAKER)?));
            threads.push((poll, listeners));
        }
        let port = addresses.iter().find_map(|address| match address {
            Address::Tcp(address) => Some(address.port()),
            _ => None,
        });
        let shared = ServerShared::new(db, log, views, (config, tls), port.unwrap_or(0), workers);
        shared.runtime_config.load_users(&shared.config)?;
        Ok(Self { shared, threads, addresses, early: Vec::new() })
    }

    /// Returns the parts of a server that does not run.
    #[cfg(test)]
    pub(super) fn into_parts(self) -> (Arc<ServerShared>, Vec<(Poll, Vec<ServerListener>)>) {
        (self.shared, self.threads)
    }

    /// Returns the addresses that the server listens on.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Returns the database.
    pub fn db(&self) -> &Db {
        &self.shared.db
    }

    /// Returns how long a shutdown waits for clients to read their replies.
    pub fn shutdown_timeout(&self) -> Duration {
        self.shared.config.shutdown_timeout
    }

    /// Returns the configuration that all ports share.
    #[doc(hidden)]
    pub fn runtime_config(&self) -> Arc<RuntimeConfig> {
        Arc::clone(&self.shared.runtime_config)
    }

    /// Returns a handle that stops the server from any thread.
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle(Arc::clone(&self.shared))
    }

    /// Returns a handle that reads certificates and the password again.
    pub fn reloader(&self) -> Reloader {
        Reloader(Arc::clone(&self.shared))
    }

    /// Returns a handle that reads the server's state from any thread.
    pub fn monitor(&self) -> ServerMonitor {
        ServerMonitor(Arc::clone(&self.shared))
    }

    /// Serves clients until the server is stopped. The database stays open.
    ///
    /// # Errors
    /// If a thread cannot be started, or had to stop.
    pub fn run(self) -> io::Result<ServerExit> {
        let Self { shared, threads, mut early, .. } = self;
        // They end with this function. With them end the clients and connections that were handed to a worker that had
        // to stop at once.
        let inboxes = inbox::inboxes(threads.len());
        let mut running = Vec::new();
        let mut outcome = Ok(());
        for (number, (poll, listeners)) in threads.into_iter().enumerate() {
            let of_thread = Arc::clone(&shared);
            let inboxes = Arc::clone(&inboxes);
            let early = std::mem::take(&mut early);
            let serve = move || {
                let _guard = WorkerGuard(Arc::clone(&of_thread));
                let worker = ServerWorker::new(&of_thread, inboxes, number, poll, listeners);
                let done = worker.and_then(|worker| worker.run(early));
                if done.is_err() {
                    of_thread.stop();
                }
                done
            };
            let thread = thread::Builder::new().name(format!("hedgerow-db-{number}"));
            match thread.stack_size(STACK).spawn(serve) {
                Ok(thread) => running.push(thread),
                Err(why) => {
                    shared.stop();
                    outcome = Err(why);
                    break;
                }
            }
        }
        for thread in running {
            let done =
                thread.join().unwrap_or_else(|_| Err(io::Error::other("a server thread panicked")));
            outcome = outcome.and(done);
        }
        outcome.map(|()| ServerExit { save: shared.save() })
    }
}
