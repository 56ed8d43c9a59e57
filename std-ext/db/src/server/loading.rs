//! The doors while the data is being loaded: clients can connect, and are told that they have to wait.
//!
//! One thread serves all doors. Each request is answered by `-LOADING`, but `INFO`, which tells how far it is. When the
//! data is there, the doors go to the server, and with them each connection that has sent only whole requests; the
//! others are closed.

use super::listen::Address;
use super::listen::{Arrival, Door};
use super::serve::{Bound, Server};
use super::stream::{Stream, Tls};
use crate::Db;
use crate::config::ServerConfig;
use crate::limits::{LOADING_BYTES as BYTES, LOADING_CONNECTIONS as MOST, LOADING_LAST as LAST};
use crate::progress::Progress;
use crate::resp::Protocol;
use crate::resp::parse::{Found, Limits, Requests};
use crate::resp::write::Writer;
use mio::{Events, Poll, Token, Waker};
use slab::Slab;
use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

const LOADING: &str = "LOADING hedgerow-db is loading the dataset in memory";
const WAKER: Token = Token(0);

/// Answers clients while the data is being loaded. When dropped, the doors are closed.
pub struct Loading {
    /// Its listeners are with the thread, until that ends.
    bound: Bound,
    waker: Waker,
    thread: Option<JoinHandle<Left>>,
}

/// What the server takes over: the doors of each of its threads, and the connections that they accepted.
type Left = (Vec<Vec<Door>>, Vec<Arrival>);

impl Loading {
    /// Opens the doors of a server.
    ///
    /// # Errors
    /// As [`Server::bind`].
    pub fn start(config: ServerConfig, progress: Arc<Progress>) -> io::Result<Self> {
        let mut bound = Bound::open(config)?;
        let mut doors = std::mem::take(&mut bound.listeners);
        let config = &bound.config;
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        for (number, door) in doors.iter_mut().flatten().enumerate() {
            door.register(poll.registry(), Token(number + 1))?;
        }
        let desk = Desk {
            first: doors.iter().flatten().count() + 1,
            poll,
            doors,
            visitors: Slab::new(),
            progress,
            // A client that may not use the server may not ask about its progress either.
            tells: config.password.as_ref().is_none_or(String::is_empty),
            tells_others: !config.protected,
            most: config.max_clients.min(MOST),
            tls: bound.tls.clone(),
        };
        let thread = thread::Builder::new().name("hedgerow-db-loading".into());
        let thread = Some(thread.spawn(move || desk.run())?);
        Ok(Self { bound, waker, thread })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[Address] {
        &self.bound.addresses
    }

    /// The server, now that there is a database. Connected clients stay connected, but for those that are in the
    /// middle of a request, or that use TLS.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn finish(mut self, db: Db) -> io::Result<Server> {
        let (listeners, early) = self.end().unwrap_or_default();
        let config = std::mem::take(&mut self.bound.config);
        let addresses = std::mem::take(&mut self.bound.addresses);
        let bound = Bound { config, listeners, addresses, tls: self.bound.tls.clone() };
        Server::over(db, bound, early)
    }

    fn end(&mut self) -> Option<Left> {
        let thread = self.thread.take()?;
        // A thread that cannot be woken is woken by the next client.
        let _ = self.waker.wake();
        thread.join().ok()
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        drop(self.end());
    }
}

/// A connection.
struct Visitor {
    stream: Stream,
    requests: Requests,
    input: Vec<u8>,
    output: Vec<u8>,
    name: String,
    to: String,
    local: bool,
    tls: bool,
    /// It ends when the output is out, and what still comes is thrown away.
    ends: bool,
    thrown: usize,
}

/// What the thread has.
struct Desk {
    poll: Poll,
    doors: Vec<Vec<Door>>,
    /// Tokens of connections begin here.
    first: usize,
    visitors: Slab<Visitor>,
    progress: Arc<Progress>,
    tells: bool,
    tells_others: bool,
    most: usize,
    tls: Tls,
}

impl Desk {
    fn run(mut self) -> Left {
        let mut events = Events::with_capacity(256);
        let mut ends = false;
        while !ends {
            match self.poll.poll(&mut events, None) {
                Err(why) if why.kind() == ErrorKind::Interrupted => continue,
                Err(why) => {
                    tracing::error!("clients are not answered while the data is loaded: {why}");
                    break;
                }
                Ok(()) => {}
            }
            for event in &events {
                match event.token() {
                    WAKER => ends = true,
                    Token(token) if token < self.first => self.accept(token - 1),
                    Token(token) => self.step(token - self.first),
                }
            }
        }
        self.hand_over()
    }

    /// Ends, with what the server takes over.
    fn hand_over(mut self) -> Left {
        let registry = self.poll.registry();
        for door in self.doors.iter_mut().flatten() {
            // Its server is told of connections by another poll.
            let _ = door.deregister(registry);
        }
        let mut early = Vec::new();
        for mut visitor in self.visitors.drain() {
            let between = visitor.input.is_empty() && visitor.output.is_empty() && !visitor.ends;
            if !between || visitor.stream.deregister(registry).is_err() {
                continue;
            }
            let Visitor { stream, name, to, local, tls, .. } = visitor;
            match stream {
                Stream::Bare(socket) => early.push(Arrival { socket, tls, name, to, local }),
                // What encryption has agreed on stays here.
                #[cfg(feature = "tls")]
                Stream::Tls(_) => {}
            }
        }
        (self.doors, early)
    }

    fn accept(&mut self, door: usize) {
        let mut taken = Vec::new();
        if let Some(door) = self.doors.iter().flatten().nth(door) {
            loop {
                match door.accept() {
                    Ok(arrival) => taken.push(arrival),
                    Err(why)
                        if matches!(
                            why.kind(),
                            ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                        ) => {}
                    // Also if there are no descriptors left: then new connections wait for the server.
                    Err(_) => break,
                }
                if taken.len() + self.visitors.len() > self.most {
                    // Without an answer: the socket is closed.
                    taken.pop();
                }
            }
        }
        for arrival in taken {
            self.welcome(arrival);
        }
    }

    fn welcome(&mut self, arrival: Arrival) {
        let Arrival { socket, tls, name, to, local } = arrival;
        let Ok(stream) = Stream::new(socket, tls, &self.tls) else { return };
        let entry = self.visitors.vacant_entry();
        let (key, token) = (entry.key(), Token(self.first + entry.key()));
        let (input, output, requests) = (Vec::new(), Vec::new(), Requests::default());
        let visitor = Visitor {
            stream,
            requests,
            input,
            output,
            name,
            to,
            local,
            tls,
            ends: false,
            thrown: 0,
        };
        let visitor = entry.insert(visitor);
        let registry = self.poll.registry();
        let registered = visitor.stream.register(registry, token);
        // Room to write is told as well: it is seldom worth asking for it only when it is missing.
        if registered.and_then(|()| visitor.stream.reregister(registry, token, true)).is_err() {
            self.visitors.remove(key);
            return;
        }
        self.step(key);
    }

    /// Goes on with a connection as far as its socket lets it.
    fn step(&mut self, key: usize) {
        let Some(visitor) = self.visitors.get_mut(key) else { return };
        let tells = self.tells && (visitor.local || self.tells_others);
        let progress = tells.then_some(&*self.progress);
        let goes_on = match visitor.step(progress) {
            Err(why) => matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
            Ok(()) => false,
        };
        if !goes_on {
            let mut visitor = self.visitors.remove(key);
            let _ = visitor.stream.deregister(self.poll.registry());
        }
    }
}

impl Visitor {
    /// Reads, answers and writes until the socket does no more, which is an error; `Ok` at the end of the connection.
    fn step(&mut self, progress: Option<&Progress>) -> io::Result<()> {
        loop {
            while !self.output.is_empty() {
                let sent = self.stream.write(&self.output)?;
                self.output.drain(..sent);
            }
            self.stream.push()?;
            if self.ends && self.thrown == 0 {
                self.stream.finish()?;
            }
            let mut bytes = [0; 4096];
            let got = self.stream.read(&mut bytes)?;
            if got == 0 || self.thrown > LAST {
                return Ok(());
            }
            if self.ends {
                // Else the system would take back what was sent and not yet read.
                self.thrown += got;
                continue;
            }
            self.input.extend_from_slice(&bytes[..got]);
            self.answer(progress);
        }
    }

    /// Answers the requests that have come.
    fn answer(&mut self, progress: Option<&Progress>) {
        let (mut used, mut arguments) = (0, Vec::new());
        let mut out = Writer::new(&mut self.output, Protocol::Two);
        while !self.ends {
            match self.requests.next(&self.input[used..], Limits::FULL, &mut arguments) {
                Found::Request(bytes) => {
                    used += bytes;
                    match arguments[0].to_ascii_lowercase().as_slice() {
                        b"info" if progress.is_some() => {
                            out.bulk(progress.map(info).unwrap_or_default().as_bytes());
                        }
                        b"quit" => {
                            out.ok();
                            self.ends = true;
                        }
                        _ => out.error(LOADING),
                    }
                }
                Found::Quoted(bytes) => {
                    used += bytes;
                    out.error(LOADING);
                }
                Found::Nothing(bytes) => used += bytes,
                Found::Unfinished(_) => break,
                Found::Wrong(why) => {
                    out.error(format!("ERR {why}"));
                    self.ends = true;
                }
            }
        }
        self.input.drain(..used);
        if self.input.len() > BYTES && !self.ends {
            Writer::new(&mut self.output, Protocol::Two).error(LOADING);
            self.ends = true;
        }
    }
}

/// What INFO tells meanwhile.
fn info(progress: &Progress) -> String {
    let mut text = "# Persistence\r\n".to_owned();
    // Nothing fails that is written into memory.
    let _ = write!(
        text,
        "loading:1\r\nasync_loading:0\r\nloading_start_time:{}\r\nloading_total_bytes:{}\r\n\
         loading_loaded_bytes:{}\r\nloading_loaded_perc:{:.2}\r\nloading_eta_seconds:{}\r\n",
        progress.began_at(),
        progress.total(),
        progress.done(),
        progress.percent(),
        progress.left().as_secs()
    );
    text
}
