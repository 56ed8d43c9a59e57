//! Blocking clients for TCP, with pipelines: [`Client`] for one server, [`ClusterClient`] for a cluster.
//!
//! A client serves one thread at a time; a program with many threads has one client each, or a pool. Both speak RESP3,
//! so they work with Redis and Redis Cluster as well. The client for gRPC is generated: `grpc::api::database_client`.
//!
//! redis-rs serves, too, and is what most programs use. These two stay because they need no further dependency, and
//! because they never send a request twice that a node may have executed: after a timeout or a dropped connection,
//! redis-rs's client for clusters repeats the command, so an `INCR` may count twice.

#[macro_use]
mod string_commands;
mod address;
mod cluster;
mod error;
mod input;
mod options;

pub use cluster::{ClusterClient, ClusterPipeline};
pub use error::{Attempt, ClientError, Unavailable};
#[cfg(feature = "tls")]
pub use hedgerow_db_redis::outgoing::ClientTls;
pub use options::ClientOptions;

use address::NodeAddress;
use error::Result;
use hedgerow_db_formats::resp::read::{self, Extent, Malformed, ReadItem, Reply, Scanned};
use hedgerow_db_formats::resp::write::request;
use hedgerow_db_redis::outgoing::OutgoingStream;
use input::{ReplyInput, Wait};
use std::io::{self, ErrorKind, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Bytes of requests that are sent before their replies are read, unless a single request is longer. The kernel's
/// buffers take this much even if the server has stopped reading because its replies are not taken. With more, client
/// and server could wait for each other for ever.
const PIPELINE_PART: usize = 32 << 10;

/// A connection to a server.
///
/// ```no_run
/// use hedgerow_db::client::Client;
///
/// let mut client = Client::connect("127.0.0.1:6379")?;
/// client.set("rose", "red")?;
/// assert_eq!(client.get("rose")?.as_deref(), Some(&b"red"[..]));
/// assert_eq!(client.add("petals", 5)?, 5);
///
/// let mut pipeline = client.pipeline();
/// pipeline.command(&["SET", "daisy", "white"]).command(&["STRLEN", "daisy"]);
/// let replies = pipeline.send()?;
/// # Ok::<(), hedgerow_db::client::ClientError>(())
/// ```
#[derive(Debug)]
pub struct Client {
    stream: OutgoingStream,
    input: ReplyInput,
    output: Vec<u8>,
    /// A request or a reply was interrupted: the next bytes cannot be assigned to a request.
    broken: bool,
}

impl Client {
    /// Connects to a server.
    ///
    /// # Errors
    /// If the connection fails, or the server requires a password ([`connect_with`](Self::connect_with)).
    pub fn connect(address: impl ToSocketAddrs) -> Result<Self> {
        Self::handshake(address, &ClientOptions::default())
    }

    /// Connects to a server with the password of the user `default`.
    ///
    /// # Errors
    /// If the connection fails, or the password is wrong.
    pub fn connect_with_password(address: impl ToSocketAddrs, password: &str) -> Result<Self> {
        Self::handshake(address, &ClientOptions::with_password(password))
    }

    /// Connects to a server as a user, or with TLS. The address is `HOST:PORT`; with TLS, the server's certificate must
    /// have this host.
    ///
    /// # Errors
    /// If the connection fails, or the certificate or the user is refused.
    pub fn connect_with(address: &str, options: &ClientOptions) -> Result<Self> {
        let NodeAddress { host, port } = NodeAddress::of_user(address)?;
        Self::open(&host, port, options, None)
    }

    /// Connects to a host. The limit is for each of its addresses, and for each read and write.
    fn open(
        host: &str,
        port: u16,
        options: &ClientOptions,
        limit: Option<Duration>,
    ) -> Result<Self> {
        Self::greet(OutgoingStream::open(host, port, limit, options.tls.as_ref())?, options)
    }

    fn handshake(address: impl ToSocketAddrs, options: &ClientOptions) -> Result<Self> {
        let tcp = TcpStream::connect(address)?;
        tcp.set_nodelay(true)?;
        Self::greet(OutgoingStream::Plain(tcp), options)
    }

    /// Begins a connection on a stream.
    fn greet(stream: OutgoingStream, options: &ClientOptions) -> Result<Self> {
        let (input, output) = (ReplyInput::default(), Vec::new());
        let mut client = Self { stream, input, output, broken: false };
        client.command(&options.hello())?;
        Ok(client)
    }

    /// Sets how long to wait for a reply, and for a request to be sent; `None` waits without limit. After a timeout,
    /// the connection cannot be used any more.
    ///
    /// The time is for the whole reply, however many pieces it comes in. Only if it is long, the time begins anew with
    /// each 64 KiB that have come. With TLS, a single record may take longer.
    ///
    /// # Errors
    /// If the operating system refuses; a timeout of zero is invalid.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.socket().set_read_timeout(timeout)?;
        self.stream.socket().set_write_timeout(timeout)
    }

    /// Sends any command and waits for its reply.
    ///
    /// # Errors
    /// [`ClientError`]; an error reply is [`ClientError::Server`].
    pub fn command<T: AsRef<[u8]>>(&mut self, arguments: &[T]) -> Result<Reply> {
        self.output.clear();
        request(&mut self.output, arguments);
        self.send(0, self.output.len())?;
        match self.reply()? {
            Reply::Error(why) => Err(server_error(&why)),
            reply => Ok(reply),
        }
    }

    /// Starts a pipeline: commands that are sent together before the first reply is awaited.
    pub fn pipeline(&mut self) -> Pipeline<'_> {
        self.output.clear();
        Pipeline { client: self, ends: Vec::new() }
    }

    fn send(&mut self, from: usize, to: usize) -> Result<()> {
        self.send_counted(from, to).map_err(|(_, why)| why.into())
    }

    /// Sends a part of the output buffer. If that fails, returns how many bytes were sent before.
    fn send_counted(
        &mut self,
        from: usize,
        to: usize,
    ) -> std::result::Result<(), (usize, io::Error)> {
        if self.broken {
            let why = "an earlier request was interrupted";
            return Err((0, io::Error::new(ErrorKind::NotConnected, why)));
        }
        // Until the reply has arrived.
        self.broken = true;
        let mut sent = from;
        while sent < to {
            match self.stream.write(&self.output[sent..to]) {
                Ok(0) => return Err((sent - from, ErrorKind::WriteZero.into())),
                Ok(written) => sent += written,
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) => return Err((sent - from, why)),
            }
        }
        // TLS may have encrypted the end of the last request, and not sent it.
        self.stream.flush().map_err(|why| (sent - from, why))
    }

    /// Returns whether the connection waits for requests: no request was interrupted, and the server has neither closed
    /// the connection nor sent anything but push messages.
    fn is_open(&mut self) -> bool {
        let socket = self.stream.socket();
        if self.broken || socket.set_nonblocking(true).is_err() {
            return false;
        }
        let came = match socket.peek(&mut [0]) {
            // Or the end, or a message of TLS.
            Ok(_) => self.receive(0, &mut Wait::begin()),
            Err(why) => Err(why.into()),
        };
        let blocks = self.stream.socket().set_nonblocking(false).is_ok();
        let waits = match came {
            Ok(()) => true,
            Err(ClientError::Io(why)) => why.kind() == ErrorKind::WouldBlock,
            Err(_) => false,
        };
        blocks && waits && self.input.bytes().first().is_none_or(|first| *first == b'>')
    }

    /// Returns the next reply.
    fn reply(&mut self) -> Result<Reply> {
        self.broken = true;
        let (mut extent, mut wait) = (Extent::default(), None::<Wait>);
        loop {
            match extent.scan(self.input.bytes()).map_err(ClientError::Malformed)? {
                Scanned::Complete(length) => {
                    let found = read::reply(&self.input.bytes()[..length]);
                    let ReadItem::Reply(reply, _) = found.map_err(ClientError::Malformed)? else {
                        return Err(ClientError::Malformed(Malformed::End));
                    };
                    self.input.consume(length);
                    extent = Extent::default();
                    // A push message answers no request.
                    if matches!(reply, Reply::Push(_)) {
                        continue;
                    }
                    if let Some(wait) = wait {
                        wait.end(&self.stream)?;
                    }
                    self.broken = false;
                    return Ok(reply);
                }
                Scanned::Unfinished(wanted) => {
                    self.receive(wanted, wait.get_or_insert_with(Wait::begin))?;
                }
            }
        }
    }

    /// Reads until the buffer has `wanted` unconsumed bytes, and at least once.
    fn receive(&mut self, wanted: usize, wait: &mut Wait) -> Result<()> {
        loop {
            wait.before_read(&self.stream)?;
            wait.came(self.input.read_from(&mut self.stream, wanted)?);
            if self.input.bytes().len() >= wanted {
                return Ok(());
            }
        }
    }

    string_commands!();
}

fn done(reply: Reply) -> Result<()> {
    match reply {
        Reply::Simple(text) if text == b"OK" => Ok(()),
        other => Err(ClientError::Unexpected(other)),
    }
}

fn integer(reply: Reply) -> Result<i64> {
    match reply {
        Reply::Integer(integer) => Ok(integer),
        other => Err(ClientError::Unexpected(other)),
    }
}

fn server_error(why: &[u8]) -> ClientError {
    ClientError::Server(String::from_utf8_lossy(why).into_owned())
}

/// Commands that are sent together. The server executes commands for one key in order.
#[derive(Debug)]
pub struct Pipeline<'c> {
    client: &'c mut Client,
    /// The end of each request in the output buffer.
    ends: Vec<usize>,
}

impl Pipeline<'_> {
    /// Adds any command.
    pub fn command<T: AsRef<[u8]>>(&mut self, arguments: &[T]) -> &mut Self {
        request(&mut self.client.output, arguments);
        self.ends.push(self.client.output.len());
        self
    }

    /// Sends the commands, and waits for all replies, in order. An error reply is a [`Reply::Error`] among them.
    ///
    /// # Errors
    /// As [`Client::command`], if not all replies arrived.
    pub fn send(self) -> Result<Vec<Reply>> {
        let mut replies = Vec::with_capacity(self.ends.len());
        let mut from = 0;
        while replies.len() < self.ends.len() {
            let rest = &self.ends[replies.len()..];
            let some = rest.partition_point(|end| end - from <= PIPELINE_PART).max(1);
            let to = rest[some - 1];
            self.client.send(from, to)?;
            for _ in 0..some {
                replies.push(self.client.reply()?);
            }
            from = to;
        }
        Ok(replies)
    }
}
