//! The server: its listeners, and the threads that serve it.

use super::handles::{ServerMonitor, StopHandle};
use super::listen::{self, Accepted, Address, Listener};
#[cfg(feature = "grpc")]
use super::runtime_config::RuntimeConfig;
use super::shared::{Shared, WorkerHandle};
use super::stream::Tls;
use super::worker::{self, Guard, Worker};
use crate::Db;
use crate::config::ServerConfig;
use crate::log::Log;
use mio::{Poll, Waker};
use std::io;
use std::sync::Arc;
use std::thread;
#[cfg(feature = "grpc")]
use std::time::Duration;

/// What a server listens with: its configuration, the listeners of each thread, their addresses, and the certificates.
pub(super) struct Bound {
    pub(super) config: ServerConfig,
    pub(super) listeners: Vec<Vec<Listener>>,
    pub(super) addresses: Vec<Address>,
    pub(super) tls: Tls,
}

impl Bound {
    /// Completes the configuration, and opens the listeners of each thread.
    pub(super) fn open(mut config: ServerConfig) -> io::Result<Self> {
        if config.threads == 0 {
            config.threads = thread::available_parallelism().map_or(1, usize::from);
        }
        let tls = Tls::load(&config)?;
        let (listeners, addresses) = listen::open(&config, config.threads)?;
        Ok(Self { config, listeners, addresses, tls })
    }
}

/// A server with its doors open.
pub struct Server {
    shared: Arc<Shared>,
    threads: Vec<(Poll, Vec<Listener>)>,
    addresses: Vec<Address>,
    /// Clients that connected while the data was loaded.
    early: Vec<Accepted>,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerExit {
    /// What the client that ended it said about saving a snapshot, if one did.
    pub save: Option<bool>,
}

impl Server {
    /// Opens the doors. Clients can connect from now on, and are served as soon as it [runs](Self::run).
    ///
    /// # Errors
    /// Where an address cannot be listened on, which the text names, or certificates are no good.
    pub fn bind(db: Db, config: ServerConfig) -> io::Result<Self> {
        let log = Arc::clone(db.log());
        Self::bind_with(db, log, config)
    }

    /// As `bind`, with what says when answers may go.
    pub(super) fn bind_with(db: Db, log: Arc<dyn Log>, config: ServerConfig) -> io::Result<Self> {
        Self::with_listeners(db, log, Bound::open(config)?)
    }

    /// A server on doors that are open, with the connections that they have accepted already.
    pub(super) fn over(db: Db, bound: Bound, early: Vec<Accepted>) -> io::Result<Self> {
        let log = Arc::clone(db.log());
        Ok(Self { early, ..Self::with_listeners(db, log, bound)? })
    }

    fn with_listeners(db: Db, log: Arc<dyn Log>, bound: Bound) -> io::Result<Self> {
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
        let shared = Shared::new(db, log, (config, tls), port.unwrap_or(0), workers);
        Ok(Self { shared, threads, addresses, early: Vec::new() })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    #[cfg(feature = "grpc")]
    #[cfg(feature = "metrics")]
    pub(crate) fn db(&self) -> &Db {
        &self.shared.db
    }

    #[cfg(feature = "grpc")]
    pub(crate) fn shutdown_timeout(&self) -> Duration {
        self.shared.config.shutdown_timeout
    }

    /// What all ports honour.
    #[cfg(feature = "grpc")]
    pub(crate) fn runtime_config(&self) -> Arc<RuntimeConfig> {
        Arc::clone(&self.shared.runtime_config)
    }

    /// What ends it, from any thread.
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle(Arc::clone(&self.shared))
    }

    /// What tells how it fares, from any thread.
    pub fn monitor(&self) -> ServerMonitor {
        ServerMonitor(Arc::clone(&self.shared))
    }

    /// Serves until it is told to end. The database stays open.
    ///
    /// # Errors
    /// Where a thread cannot be started, or one had to give up.
    pub fn run(self) -> io::Result<ServerExit> {
        let Self { shared, threads, mut early, .. } = self;
        let mut running = Vec::new();
        let mut outcome = Ok(());
        for (number, (poll, listeners)) in threads.into_iter().enumerate() {
            let of_thread = Arc::clone(&shared);
            let early = std::mem::take(&mut early);
            let serve = move || {
                let _guard = Guard(Arc::clone(&of_thread));
                let worker = Worker::new(&of_thread, number, poll, listeners);
                let done = worker.and_then(|worker| worker.run(early));
                if done.is_err() {
                    of_thread.stop();
                }
                done
            };
            match thread::Builder::new().name(format!("hedgerow-db-{number}")).spawn(serve) {
                Ok(thread) => running.push(thread),
                Err(why) => {
                    shared.stop();
                    outcome = Err(why);
                    break;
                }
            }
        }
        for thread in running {
            let done = thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a thread of the server panicked")));
            outcome = outcome.and(done);
        }
        // What was handed to a thread that had ended.
        shared.workers.iter().for_each(|handle| drop(handle.take_accepted()));
        outcome.map(|()| ServerExit { save: shared.save() })
    }
}
