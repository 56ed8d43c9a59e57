//! A server in the test's process, and clients that send bytes.
#![allow(dead_code, missing_docs, unreachable_pub)]

use hedgerow_db::server::{
    Address, Reloader, Server, ServerConfig, ServerExit, ServerMonitor, StopHandle,
};
use hedgerow_db::{Db, Options};
use hedgerow_db_redis::view::Views;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A server that runs until it is dropped.
pub struct Running {
    pub address: SocketAddr,
    pub stopper: StopHandle,
    pub watcher: ServerMonitor,
    pub reloader: Reloader,
    thread: Option<JoinHandle<io::Result<ServerExit>>>,
}

impl Running {
    pub fn new(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let db = Db::open(Options::in_memory()).unwrap();
        Self::over(db, change)
    }

    pub fn over(db: Db, change: impl FnOnce(&mut ServerConfig)) -> Self {
        Self::beside(db, change, |_| ()).0
    }

    /// Starts a server, and something beside it.
    pub fn beside<T>(
        db: Db,
        change: impl FnOnce(&mut ServerConfig),
        start: impl FnOnce(&Server) -> T,
    ) -> (Self, T) {
        let mut config = of_two_threads();
        change(&mut config);
        let server = Server::bind(db, config).unwrap();
        let started = start(&server);
        (Self::of(server), started)
    }

    /// Starts a server that is a node of a cluster, with a database of its own.
    pub fn node(views: Arc<Views>) -> Self {
        let db = Db::open(Options::in_memory()).unwrap();
        Self::of(Server::bind_node(db, of_two_threads(), views).unwrap())
    }

    fn of(server: Server) -> Self {
        let tcp = |address: &Address| match address {
            Address::Tcp(address) | Address::Tls(address) => Some(*address),
            _ => None,
        };
        let address = server.addresses().iter().find_map(tcp).unwrap();
        let (stopper, watcher) = (server.stop_handle(), server.monitor());
        let reloader = server.reloader();
        let thread = Some(std::thread::spawn(|| server.run()));
        Self { address, stopper, watcher, reloader, thread }
    }

    pub fn client(&self) -> Client {
        Client::new(TcpStream::connect(self.address).unwrap())
    }

    /// Stops the server.
    pub fn end(self) -> ServerExit {
        self.stopper.stop();
        self.joined()
    }

    /// Waits until the server has stopped.
    pub fn joined(mut self) -> ServerExit {
        self.thread.take().unwrap().join().unwrap().unwrap()
    }
}

fn of_two_threads() -> ServerConfig {
    let mut config = ServerConfig::default();
    config.threads = 2;
    config
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(std::thread::panicking() || matches!(ended, Ok(Ok(_))), "{ended:?}");
        }
    }
}

/// How long a test waits for a result: far longer than it takes on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A client whose reads time out, so that a test fails rather than wait for ever.
pub struct Client(pub TcpStream);

impl Client {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    #[track_caller]
    pub fn expect(&mut self, wanted: impl AsRef<[u8]>) {
        let wanted = wanted.as_ref();
        let (mut got, mut end) = (vec![0; wanted.len()], Ok(1));
        let mut come = 0;
        while come < wanted.len() && matches!(end, Ok(1..)) {
            end = self.0.read(&mut got[come..]);
            come += end.as_ref().map_or(0, |more| *more);
        }
        if got != wanted {
            let show =
                |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
            panic!("{} and not {}, {end:?}", show(&got[..come]), show(wanted));
        }
    }

    #[track_caller]
    pub fn expect_end(&mut self) {
        let mut rest = Vec::new();
        // Unread bytes can turn the end of the connection into a reset.
        let end = self.0.read_to_end(&mut rest);
        assert!(
            !end.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock),
            "the connection did not end"
        );
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    }
}

pub fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

pub fn bulk(bytes: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// Returns integer replies of these numbers.
pub fn numbers(all: impl Iterator<Item = usize>) -> Vec<u8> {
    all.flat_map(|n| format!(":{n}\r\n").into_bytes()).collect()
}

/// Waits until a condition holds.
#[track_caller]
pub fn until(so: impl Fn() -> bool) {
    let end = Instant::now() + LIMIT;
    while !so() {
        assert!(Instant::now() < end, "the condition did not become true");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Returns a number from the process's status; 0 if the system does not have it.
pub fn status(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Starts to measure the peak memory of the process for [`memory_since`].
pub fn begin_of_memory() -> usize {
    // Without this file, the peak before counts as well.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    status("VmHWM:") << 10
}

/// Returns how many bytes the peak memory has grown since then.
pub fn memory_since(before: usize) -> usize {
    (status("VmHWM:") << 10).saturating_sub(before)
}
