//! A server that runs beside the program that has started it.

use super::handles::StopHandle;
use super::listen::Address;
use super::serve::{Server, ServerExit};
use crate::config::ServerConfig;
use hedgerow_db_engine::Db;
use hedgerow_db_engine::options::Options;
use std::io;
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};

/// A server that runs on threads of its own, until it is [stopped](Self::stop) or dropped. Either waits until its
/// threads have ended, and disconnects all clients.
///
/// For tests of programs that need a server: each test can have its own.
///
/// ```
/// # use hedgerow_db_engine::Options;
/// # use hedgerow_db_redis::server::Server;
/// use std::io::{Read, Write};
/// use std::net::TcpStream;
///
/// let server = Server::start(Options::in_memory())?;
/// // Give `server.url()` to the program that is tested, or connect by hand:
/// let mut client = TcpStream::connect(server.address().unwrap())?;
/// client.write_all(b"SET rose red\r\n")?;
/// let mut reply = [0; 5];
/// client.read_exact(&mut reply)?;
/// assert_eq!(reply, *b"+OK\r\n");
/// // The server's database is at hand:
/// assert_eq!(server.db().get("rose")?.as_deref(), Some(&b"red"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RunningServer {
    db: Db,
    addresses: Vec<Address>,
    stop: StopHandle,
    thread: Option<JoinHandle<io::Result<ServerExit>>>,
}

impl Server {
    /// Opens a database, and serves it on a free port of 127.0.0.1 with two threads. Takes less than a millisecond if
    /// the database is empty.
    ///
    /// # Errors
    /// If the database cannot be opened, no port is free, or no thread can be started.
    pub fn start(options: Options) -> io::Result<RunningServer> {
        let db = Db::open(options).map_err(io::Error::other)?;
        let config = ServerConfig { threads: 2, ..ServerConfig::default() };
        Self::bind(db, config)?.spawn()
    }

    /// Serves clients on threads of its own.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn spawn(self) -> io::Result<RunningServer> {
        let (db, stop) = (self.db().clone(), self.stop_handle());
        let addresses = self.addresses().to_vec();
        let run = thread::Builder::new().name("hedgerow-db".into());
        let thread = Some(run.spawn(|| self.run())?);
        Ok(RunningServer { db, addresses, stop, thread })
    }
}

impl RunningServer {
    /// Returns the database.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Returns all addresses that the server listens on.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Returns the first address without TLS, if there is one.
    pub fn address(&self) -> Option<SocketAddr> {
        self.addresses.iter().find_map(|address| match address {
            Address::Tcp(address) => Some(*address),
            _ => None,
        })
    }

    /// Returns that address as clients of Redis take it, such as `redis://127.0.0.1:40123`.
    pub fn url(&self) -> Option<String> {
        self.address().map(|address| format!("redis://{address}"))
    }

    /// Stops the server. The database stays open for those who have it.
    ///
    /// # Errors
    /// If a thread had to stop earlier.
    pub fn stop(mut self) -> io::Result<ServerExit> {
        self.end().expect("nobody else ends it")
    }

    /// Stops the server, unless that was done.
    fn end(&mut self) -> Option<io::Result<ServerExit>> {
        let thread = self.thread.take()?;
        self.stop.stop();
        let panicked = |_| Err(io::Error::other("a server thread panicked"));
        Some(thread.join().unwrap_or_else(panicked))
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

impl std::fmt::Debug for RunningServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningServer").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}
