//! The server: one thread a core, each with its own listeners, clients and [`Session`](crate::Session), and with
//! nothing that they would have to wait for each other on but the maps themselves and the log.
//!
//! [`Server::bind`] opens the doors, [`Server::run`] serves until a [`Stopper`] or a client says to end.

mod client;
mod counters;
mod facts;
#[cfg(feature = "metrics")]
pub mod http;
mod latency;
pub(crate) mod listen;
pub(crate) mod live;
mod loading;
#[cfg(feature = "metrics")]
mod metrics;
mod output;
mod register;
mod room;
mod shared;
mod stream;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;
mod worker;

pub use counters::Counted;
pub use loading::Loading;
#[cfg(feature = "tls")]
pub use tls::{ClientCertificates, TlsFiles};

use crate::Db;
use crate::log::Log;
use mio::{Poll, Waker};
use shared::{Desk, Phase, Shared};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use worker::{Guard, Worker};

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The address; port 0 is any that is free.
    pub address: SocketAddr,
    /// Whether it is no matter where the machine has no such address.
    pub optional: bool,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// TCP, for TLS.
    Tls(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Tls(address) => write!(f, "{address} (TLS)"),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// How a server serves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Where it listens.
    pub binds: Vec<Bind>,
    /// Where it listens for TLS.
    pub tls_binds: Vec<Bind>,
    /// The certificates for that.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsFiles>,
    #[cfg(feature = "tls")]
    pub(crate) tls_loaded: Option<Arc<rustls::ServerConfig>>,
    /// A Unix socket to listen on.
    pub unix: Option<PathBuf>,
    /// Its permissions.
    pub unix_mode: Option<u32>,
    /// How many threads serve; 0 for one a core.
    pub threads: usize,
    /// How many clients are served at once.
    pub max_clients: usize,
    /// After how much silence a client is closed; zero for never.
    pub timeout: Duration,
    /// After how much silence the system asks whether the other side is there; zero for never.
    pub keepalive: Duration,
    /// A client for which more bytes of answers than that wait is closed; 0 for no limit. While half a MiB waits, the
    /// server reads commands of a client only if it takes none of its answers.
    pub most_output: usize,
    /// So is a client for which more bytes than that wait for longer than [`soft_output_for`](Self::soft_output_for);
    /// 0 for no limit.
    pub soft_output: usize,
    /// How long more than [`soft_output`](Self::soft_output) may wait.
    pub soft_output_for: Duration,
    /// A client that sends a longer request is closed.
    pub most_input: usize,
    /// How long the end waits for clients to take their last answers.
    pub stop_within: Duration,
    /// What clients must say first.
    pub password: Option<String>,
    /// Without a password, whether only clients of this machine are served.
    pub protected: bool,
    /// What `CONFIG GET` shows: names and values.
    pub settings: Vec<(String, String)>,
    /// The file of settings, if there is one, as `INFO` shows it.
    pub config_file: String,
}

impl Default for ServerConfig {
    /// Serves this machine, on any free port.
    fn default() -> Self {
        Self {
            binds: vec![Bind { address: ([127, 0, 0, 1], 0).into(), optional: false }],
            tls_binds: Vec::new(),
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "tls")]
            tls_loaded: None,
            unix: None,
            unix_mode: None,
            threads: 0,
            max_clients: 10_000,
            timeout: Duration::ZERO,
            keepalive: Duration::from_secs(300),
            most_output: 1 << 30,
            soft_output: 0,
            soft_output_for: Duration::ZERO,
            most_input: 1 << 30,
            stop_within: Duration::from_secs(10),
            password: None,
            protected: true,
            settings: Vec::new(),
            config_file: String::new(),
        }
    }
}

/// A server with its doors open.
pub struct Server {
    shared: Arc<Shared>,
    threads: Vec<(Poll, Vec<listen::Door>)>,
    addresses: Vec<Address>,
    /// Clients that connected while the data was loaded.
    early: Vec<listen::Arrival>,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
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
    fn bind_with(db: Db, log: Arc<dyn Log>, mut config: ServerConfig) -> io::Result<Self> {
        let (doors, addresses) = Self::prepare(&mut config)?;
        Self::with_doors(db, log, config, doors, addresses)
    }

    /// A server on doors that are open, with the connections that they have accepted already.
    fn over(
        db: Db,
        config: ServerConfig,
        doors: Vec<Vec<listen::Door>>,
        addresses: Vec<Address>,
        early: Vec<listen::Arrival>,
    ) -> io::Result<Self> {
        let log = Arc::clone(db.log());
        Ok(Self { early, ..Self::with_doors(db, log, config, doors, addresses)? })
    }

    /// Completes the settings, and opens the doors of each thread.
    fn prepare(config: &mut ServerConfig) -> io::Result<(Vec<Vec<listen::Door>>, Vec<Address>)> {
        if config.threads == 0 {
            config.threads = thread::available_parallelism().map_or(1, usize::from);
        }
        #[cfg(feature = "tls")]
        if let Some(files) = &config.tls {
            config.tls_loaded = Some(files.load()?);
        }
        listen::open(config, config.threads)
    }

    fn with_doors(
        db: Db,
        log: Arc<dyn Log>,
        config: ServerConfig,
        doors: Vec<Vec<listen::Door>>,
        addresses: Vec<Address>,
    ) -> io::Result<Self> {
        let mut desks = Vec::new();
        let mut threads = Vec::new();
        for doors in doors {
            let poll = Poll::new()?;
            desks.push(Desk::new(Waker::new(poll.registry(), worker::WAKER)?));
            threads.push((poll, doors));
        }
        let port = addresses.iter().find_map(|address| match address {
            Address::Tcp(address) => Some(address.port()),
            _ => None,
        });
        let shared = Shared::new(db, log, config, port.unwrap_or(0), desks);
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
    pub(crate) fn stop_within(&self) -> Duration {
        self.shared.config.stop_within
    }

    /// What all ports honour.
    #[cfg(feature = "grpc")]
    pub(crate) fn live(&self) -> Arc<live::Live> {
        Arc::clone(&self.shared.live)
    }

    /// What ends it, from any thread.
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.shared))
    }

    /// What tells how it fares, from any thread.
    pub fn watcher(&self) -> Watcher {
        Watcher(Arc::clone(&self.shared))
    }

    /// Serves until it is told to end. The database stays open.
    ///
    /// # Errors
    /// Where a thread cannot be started, or one had to give up.
    pub fn run(self) -> io::Result<Ended> {
        let Self { shared, threads, mut early, .. } = self;
        let mut running = Vec::new();
        let mut outcome = Ok(());
        for (number, (poll, doors)) in threads.into_iter().enumerate() {
            let of_thread = Arc::clone(&shared);
            let early = std::mem::take(&mut early);
            let serve = move || {
                let _guard = Guard(Arc::clone(&of_thread));
                let worker = Worker::new(&of_thread, number, poll, doors);
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
        shared.desks.iter().for_each(|desk| drop(desk.arrivals()));
        outcome.map(|()| Ended { save: shared.save() })
    }
}

/// Ends a server. Clones end the same.
#[derive(Clone)]
pub struct Stopper(Arc<Shared>);

impl Stopper {
    /// The first time: no more connections are taken, what clients have sent by now is answered, and when the answers
    /// are out it ends, at the latest after [`stop_within`](ServerConfig::stop_within). The second time it ends at
    /// once.
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// Tells how a server fares.
#[derive(Clone)]
pub struct Watcher(Arc<Shared>);

impl Watcher {
    /// What was counted since it began.
    pub fn counted(&self) -> Counted {
        self.0.counted()
    }

    /// How long commands took.
    #[cfg(feature = "metrics")]
    pub(crate) fn latencies(&self) -> latency::Latencies {
        self.0.latencies()
    }

    /// How many clients there are.
    pub fn clients(&self) -> usize {
        self.0.live.clients()
    }

    /// Bytes of memory in buffers of clients, as of a second ago or less.
    pub fn buffers(&self) -> u64 {
        self.0.buffers()
    }

    /// For how long it has been there.
    pub fn uptime(&self) -> Duration {
        self.0.began.elapsed()
    }

    /// Whether it takes commands and changes: not when it ends, or the log cannot be written.
    pub fn is_ready(&self) -> bool {
        self.0.phase() == Phase::Serves && !self.log_fails()
    }

    /// Whether the log cannot be written.
    pub fn log_fails(&self) -> bool {
        !self.0.log.writable()
    }

    /// How many clients there may be.
    pub fn max_clients(&self) -> usize {
        self.0.live.max_clients()
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn db(&self) -> &Db {
        &self.0.db
    }
}
