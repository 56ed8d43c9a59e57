//! The server while the data is being loaded: clients can connect, and get `-LOADING` replies.
//!
//! A small folder is loaded before a client has waited for long, so no client gets an error in the first quarter of a
//! second: connections wait in the system's queue. Then one thread serves all listeners. `INFO` is answered with the
//! progress, every other request with an error. When the data is loaded, the server takes over the listeners and all
//! connections that are between two requests; the others are closed.

use super::listen::Address;
use super::listen::{AcceptedConnection, ServerListener};
use super::runtime_config::RuntimeConfig;
use super::serve::{Bound, Server};
use super::stream::{Stream, Tls};
use crate::command::LOADING;
use crate::config::ServerConfig;
use crate::limits::{
    LOADING_BYTES as MAX_BYTES, LOADING_CONNECTIONS as MAX_CONNECTIONS,
    LOADING_LAST as MAX_DISCARDED,
};
use crate::view::Views;
use hedgerow_db_engine::Db;
use hedgerow_db_engine::progress::Progress;
use hedgerow_db_formats::resp::Protocol;
use hedgerow_db_formats::resp::parse::{Limits, ParsedItem, Requests};
use hedgerow_db_formats::resp::write::RespWriter;
use mio::{Events, Poll, Token, Waker};
use slab::Slab;
use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const WAKER: Token = Token(0);
/// How often one connection is read before it is the turn of the others.
const MOST_READS: usize = 16;
/// [`EventLoop::grace_period`] of a server.
const GRACE_PERIOD: Duration = Duration::from_millis(250);

/// Answers clients while the data is being loaded. Dropping it closes the listeners.
pub struct Loading {
    /// The configuration of the listeners. The listeners themselves are with the thread until it ends.
    bound: Bound,
    waker: Waker,
    thread: Option<JoinHandle<LoadingHandover>>,
}

/// The parts that the server takes over: the listeners of each of its workers, and the connections accepted by them.
type LoadingHandover = (Vec<Vec<ServerListener>>, Vec<AcceptedConnection>);

impl Loading {
    /// Opens a server's listeners.
    ///
    /// # Errors
    /// As [`Server::bind`].
    pub fn start(config: ServerConfig, progress: Arc<Progress>) -> io::Result<Self> {
        Self::start_with(config, progress, GRACE_PERIOD)
    }

    fn start_with(
        config: ServerConfig,
        progress: Arc<Progress>,
        grace_period: Duration,
    ) -> io::Result<Self> {
        let mut bound = Bound::open(config)?;
        let mut listeners = std::mem::take(&mut bound.listeners);
        let config = &bound.config;
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        for (number, listener) in listeners.iter_mut().flatten().enumerate() {
            listener.register(poll.registry(), Token(number + 1))?;
        }
        let event_loop = EventLoop {
            first: listeners.iter().flatten().count() + 1,
            poll,
            listeners,
            connections: Slab::new(),
            unfinished: Vec::new(),
            progress,
            grace_period,
            // A client that needs a password to use the server needs one to read its progress.
            answers_info: may_use_all(config)?,
            answers_remote_info: !config.protected_mode,
            max_connections: config.max_clients.min(MAX_CONNECTIONS),
            tls: bound.tls.clone(),
        };
        let thread = thread::Builder::new().name("hedgerow-db-loading".into());
        let thread = Some(thread.spawn(move || event_loop.run())?);
        Ok(Self { bound, waker, thread })
    }

    /// Returns the addresses that it listens on.
    pub fn addresses(&self) -> &[Address] {
        &self.bound.addresses
    }

    /// Makes a server of the listeners and an open database. Connected clients stay connected, except those in the
    /// middle of a request and those that use TLS. A node of a cluster shows its group in the cell `views`.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn finish(mut self, db: Db, views: Option<Arc<Views>>) -> io::Result<Server> {
        let (listeners, early) = self.end().unwrap_or_default();
        let config = std::mem::take(&mut self.bound.config);
        let addresses = std::mem::take(&mut self.bound.addresses);
        let bound = Bound { config, listeners, addresses, tls: self.bound.tls.clone() };
        Server::over(db, views, bound, early)
    }

    fn end(&mut self) -> Option<LoadingHandover> {
        let thread = self.thread.take()?;
        // If waking fails, the next client wakes the thread.
        let _ = self.waker.wake();
        thread.join().ok()
    }
}

/// Returns whether a client may do everything without a password.
fn may_use_all(config: &ServerConfig) -> io::Result<bool> {
    let runtime_config = RuntimeConfig::new(config);
    runtime_config.load_users(config)?;
    let user = runtime_config.users().default_user();
    Ok(user.is_open() && user.is_unrestricted())
}

impl Drop for Loading {
    fn drop(&mut self) {
        drop(self.end());
    }
}

/// A connection.
struct LoadingConnection {
    stream: Stream,
    requests: Requests,
    input: Vec<u8>,
    output: Vec<u8>,
    name: String,
    to: String,
    local: bool,
    tls: bool,
    /// The connection closes when its output is sent; input is discarded.
    closing: bool,
    discarded: usize,
}

/// The state of the thread.
struct EventLoop {
    poll: Poll,
    listeners: Vec<Vec<ServerListener>>,
    /// The first token of a connection.
    first: usize,
    connections: Slab<LoadingConnection>,
    /// Connections whose sockets may have more to read, of which no other event will tell.
    unfinished: Vec<usize>,
    progress: Arc<Progress>,
    /// How long clients wait for the data before they get errors.
    grace_period: Duration,
    answers_info: bool,
    answers_remote_info: bool,
    max_connections: usize,
    tls: Tls,
}

impl EventLoop {
    fn run(mut self) -> LoadingHandover {
        let mut events = Events::with_capacity(256);
        let mut closing = self.is_loaded_soon(&mut events);
        if !closing {
            // Their events have passed.
            (0..self.first - 1).for_each(|listener| self.accept(listener));
        }
        while !closing {
            let wait = (!self.unfinished.is_empty()).then_some(Duration::ZERO);
            match self.poll.poll(&mut events, wait) {
                Err(why) if why.kind() == ErrorKind::Interrupted => continue,
                Err(why) => {
                    tracing::error!("cannot answer clients while the data is being loaded: {why}");
                    break;
                }
                Ok(()) => {}
            }
            for event in &events {
                match event.token() {
                    WAKER => closing = true,
                    Token(token) if token < self.first => self.accept(token - 1),
                    Token(token) => self.step(token - self.first),
                }
            }
            for key in std::mem::take(&mut self.unfinished) {
                self.step(key);
            }
        }
        self.hand_over()
    }

    /// Accepts nobody for as long as clients wait without a reply. Returns whether the data is loaded by then.
    fn is_loaded_soon(&mut self, events: &mut Events) -> bool {
        let end = Instant::now() + self.grace_period;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            // The main loop reports an error that persists.
            if self.poll.poll(events, Some(left)).is_ok()
                && events.iter().any(|event| event.token() == WAKER)
            {
                return true;
            }
        }
    }

    /// Stops, and returns what the server takes over.
    fn hand_over(mut self) -> LoadingHandover {
        let registry = self.poll.registry();
        for listener in self.listeners.iter_mut().flatten() {
            // The server registers it with another poll.
            let _ = listener.deregister(registry);
        }
        let mut early = Vec::new();
        for mut connection in self.connections.drain() {
            // Half a request, or a reply that was not taken, cannot move: the server would begin in the middle of it.
            let between =
                connection.input.is_empty() && connection.output.is_empty() && !connection.closing;
            if !between || connection.stream.deregister(registry).is_err() {
                continue;
            }
            let LoadingConnection { stream, name, to, local, tls, .. } = connection;
            match stream {
                Stream::Bare(socket) => {
                    early.push(AcceptedConnection { socket, tls, name, to, local });
                }
                // The TLS session cannot move, because the server makes its own.
                #[cfg(feature = "tls")]
                Stream::Tls(_) => {}
            }
        }
        (self.listeners, early)
    }

    fn accept(&mut self, listener: usize) {
        let mut taken = Vec::new();
        if let Some(listener) = self.listeners.iter().flatten().nth(listener) {
            loop {
                match listener.accept() {
                    Ok(accepted) => taken.push(accepted),
                    Err(why)
                        if matches!(
                            why.kind(),
                            ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                        ) => {}
                    // This includes running out of file descriptors: then new connections wait in the backlog for the
                    // server.
                    Err(_) => break,
                }
                if taken.len() + self.connections.len() > self.max_connections {
                    // Dropping the socket closes the connection without a reply.
                    taken.pop();
                }
            }
        }
        for accepted in taken {
            self.add_connection(accepted);
        }
    }

    fn add_connection(&mut self, accepted: AcceptedConnection) {
        let AcceptedConnection { socket, tls, name, to, local } = accepted;
        let Ok(stream) = Stream::new(socket, tls, &self.tls) else { return };
        let entry = self.connections.vacant_entry();
        let (key, token) = (entry.key(), Token(self.first + entry.key()));
        let (input, output, requests) = (Vec::new(), Vec::new(), Requests::default());
        let connection = LoadingConnection {
            stream,
            requests,
            input,
            output,
            name,
            to,
            local,
            tls,
            closing: false,
            discarded: 0,
        };
        let connection = entry.insert(connection);
        let registry = self.poll.registry();
        let registered = connection.stream.register(registry, token);
        // Writable events are requested from the start: few connections have more output than the socket takes at once.
        if registered.and_then(|()| connection.stream.reregister(registry, token, true)).is_err() {
            self.connections.remove(key);
            return;
        }
        self.step(key);
    }

    /// Serves a connection as far as its socket allows.
    fn step(&mut self, key: usize) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let answers_info = self.answers_info && (connection.local || self.answers_remote_info);
        let progress = answers_info.then_some(&*self.progress);
        let goes_on = match connection.step(progress) {
            Err(why) if why.kind() == ErrorKind::Interrupted => {
                self.unfinished.push(key);
                true
            }
            Err(why) => why.kind() == ErrorKind::WouldBlock,
            Ok(()) => false,
        };
        if !goes_on {
            let mut connection = self.connections.remove(key);
            let _ = connection.stream.deregister(self.poll.registry());
        }
    }
}

impl LoadingConnection {
    /// Reads, answers and writes until the socket would block, which is an error. `Ok` at the end of the connection.
    ///
    /// `Interrupted` after [`MOST_READS`]: a client that sends without a pause must not keep the thread from the
    /// others, nor from the end of the loading.
    fn step(&mut self, progress: Option<&Progress>) -> io::Result<()> {
        for _ in 0..MOST_READS {
            while !self.output.is_empty() {
                let sent = self.stream.write(&self.output)?;
                self.output.drain(..sent);
            }
            self.stream.push()?;
            if self.closing && self.discarded == 0 {
                self.stream.finish()?;
            }
            let mut bytes = [0; 4096];
            let got = self.stream.read(&mut bytes)?;
            if got == 0 || self.discarded > MAX_DISCARDED {
                return Ok(());
            }
            if self.closing {
                // Closing with unread input would reset the connection, and the client would lose its last replies.
                self.discarded += got;
                continue;
            }
            self.input.extend_from_slice(&bytes[..got]);
            self.answer(progress);
        }
        Err(ErrorKind::Interrupted.into())
    }

    /// Answers the requests received so far.
    fn answer(&mut self, progress: Option<&Progress>) {
        let (mut used, mut arguments) = (0, Vec::new());
        let mut out = RespWriter::new(&mut self.output, Protocol::Two);
        while !self.closing {
            match self.requests.next(&self.input[used..], Limits::FULL, &mut arguments) {
                ParsedItem::Request(bytes) => {
                    used += bytes;
                    match arguments[0].to_ascii_lowercase().as_slice() {
                        b"info" if progress.is_some() => {
                            out.bulk(progress.map(info).unwrap_or_default().as_bytes());
                        }
                        b"quit" => {
                            out.ok();
                            self.closing = true;
                        }
                        _ => out.error(LOADING),
                    }
                }
                ParsedItem::Quoted(bytes) => {
                    used += bytes;
                    out.error(LOADING);
                }
                ParsedItem::Nothing(bytes) => used += bytes,
                ParsedItem::Unfinished(_) => break,
                ParsedItem::Invalid(why) => {
                    out.error(format!("ERR {why}"));
                    self.closing = true;
                }
            }
        }
        self.input.drain(..used);
        if self.input.len() > MAX_BYTES && !self.closing {
            RespWriter::new(&mut self.output, Protocol::Two).error(LOADING);
            self.closing = true;
        }
    }
}

/// Returns what INFO answers.
fn info(progress: &Progress) -> String {
    let mut text = "# Persistence\r\n".to_owned();
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "loading:1\r\nasync_loading:0\r\nloading_start_time:{}\r\nloading_total_bytes:{}\r\n\
         loading_loaded_bytes:{}\r\nloading_loaded_perc:{:.2}\r\nloading_eta_seconds:{}\r\n",
        progress.started_at(),
        progress.total(),
        progress.done(),
        progress.percent(),
        progress.remaining().as_secs()
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use hedgerow_db_engine::options::Options;
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    fn start(grace_period: Duration) -> (Loading, TcpStream) {
        let config = ServerConfig { threads: 1, ..ServerConfig::default() };
        let loading = Loading::start_with(config, Arc::default(), grace_period).unwrap();
        let Address::Tcp(address) = loading.addresses()[0] else { panic!("TCP is first") };
        let mut client = TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        client.write_all(b"PING\r\n").unwrap();
        (loading, client)
    }

    fn first_bytes(client: &mut TcpStream) -> String {
        let mut reply = [0; 5];
        client.read_exact(&mut reply).unwrap();
        String::from_utf8_lossy(&reply).into_owned()
    }

    #[test]
    fn a_client_that_sends_without_a_pause_delays_nobody() {
        let (loading, mut client) = start(Duration::ZERO);
        assert_eq!(first_bytes(&mut client), "-LOAD");
        let address = client.peer_addr().unwrap();
        let floods: Vec<_> = (0..2)
            .map(|_| {
                thread::spawn(move || {
                    let mut flood = TcpStream::connect(address).unwrap();
                    // Until the server ends.
                    while flood.write_all(&[b'\n'; 4096]).is_ok() {}
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(200));
        let mut other = TcpStream::connect(address).unwrap();
        other.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        other.write_all(b"PING\r\n").unwrap();
        assert_eq!(first_bytes(&mut other), "-LOAD", "another client gets no answer");
        drop(loading);
        for flood in floods {
            flood.join().unwrap();
        }
    }

    #[test]
    fn clients_wait_for_a_short_load() {
        let (loading, mut client) = start(Duration::from_secs(60));
        thread::sleep(Duration::from_millis(50));
        let server = loading.finish(Db::open(Options::in_memory()).unwrap(), None).unwrap();
        let stopper = server.stop_handle();
        let running = thread::spawn(|| server.run());
        assert_eq!(first_bytes(&mut client), "+PONG", "a client gets an error");
        stopper.stop();
        running.join().unwrap().unwrap();

        let (_loading, mut client) = start(Duration::ZERO);
        assert_eq!(first_bytes(&mut client), "-LOAD", "a client waits for a long load");
    }
}
