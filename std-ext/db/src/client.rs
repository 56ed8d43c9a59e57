//! A client: asks a server over TCP, one request at a time or many at once.
//!
//! It blocks, and belongs to one thread at a time; a program with many threads has one for each, or a pool of them. It
//! speaks RESP3, and so asks Redis as well.

use crate::resp::read::{self, Found, Malformed, Reply};
use crate::resp::write::request;
use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Room that is made for what comes, at a time.
const READ_SIZE: usize = 64 << 10;

/// Bytes of requests that are sent before their replies are read, unless one is longer: so few that they get there
/// though the server, whose answers nobody takes, takes nothing. More, and both might wait for each other.
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
/// pipeline.ask(&["SET", "daisy", "white"]).ask(&["STRLEN", "daisy"]);
/// let replies = pipeline.send()?;
/// # Ok::<(), hedgerow_db::client::ClientError>(())
/// ```
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    /// What has come and was not read; from `read` on.
    input: Vec<u8>,
    read: usize,
    output: Vec<u8>,
    /// A request or a reply was cut off: what comes next belongs to nobody knows what.
    broken: bool,
}

/// Why a request has no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The system refused, or the server has gone. Whether what was asked was done is not known.
    Io(io::Error),
    /// The server sent something that is no reply.
    Malformed(Malformed),
    /// The server said no, in these words.
    Server(String),
    /// The server answered something else than that question has as an answer.
    Unexpected(Reply),
}

impl From<io::Error> for ClientError {
    fn from(why: io::Error) -> Self {
        Self::Io(why)
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(why) => write!(f, "the connection failed: {why}"),
            Self::Malformed(why) => why.fmt(f),
            Self::Server(why) => f.write_str(why),
            Self::Unexpected(reply) => write!(f, "an answer to another question: {reply:?}"),
        }
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(why) => Some(why),
            Self::Malformed(why) => Some(why),
            Self::Server(_) | Self::Unexpected(_) => None,
        }
    }
}

type Result<T> = std::result::Result<T, ClientError>;

impl Client {
    /// Connects to a server.
    ///
    /// # Errors
    /// When there is none, or it wants a password ([`connect_with`](Self::connect_with_password)).
    pub fn connect(address: impl ToSocketAddrs) -> Result<Self> {
        Self::handshake(address, &["HELLO", "3"])
    }

    /// Connects to a server that wants a password.
    ///
    /// # Errors
    /// When there is none, or the password is wrong.
    pub fn connect_with_password(address: impl ToSocketAddrs, password: &str) -> Result<Self> {
        Self::handshake(address, &["HELLO", "3", "AUTH", "default", password])
    }

    fn handshake(address: impl ToSocketAddrs, hello: &[&str]) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let (input, output) = (Vec::new(), Vec::new());
        let mut client = Self { stream, input, read: 0, output, broken: false };
        client.command(hello)?;
        Ok(client)
    }

    /// How long to wait for a reply, and for room to send; without end if none. After one that did not come in time the
    /// connection is of no use any more.
    ///
    /// # Errors
    /// When the system refuses; a time of zero is none.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)?;
        self.stream.set_write_timeout(timeout)
    }

    /// Sends a command of any kind, and waits for its reply.
    ///
    /// # Errors
    /// [`ClientError`] says why there is none; what the server refused is [`ClientError::Server`].
    pub fn command<T: AsRef<[u8]>>(&mut self, words: &[T]) -> Result<Reply> {
        self.output.clear();
        request(&mut self.output, words);
        self.send(0, self.output.len())?;
        match self.reply()? {
            Reply::Error(why) => Err(server_error(&why)),
            reply => Ok(reply),
        }
    }

    /// Collects commands, to send all of them before waiting for the first reply.
    pub fn pipeline(&mut self) -> Pipeline<'_> {
        self.output.clear();
        Pipeline { client: self, ends: Vec::new() }
    }

    fn send(&mut self, from: usize, to: usize) -> Result<()> {
        if self.broken {
            let why = "an earlier request was cut off";
            return Err(io::Error::new(ErrorKind::NotConnected, why).into());
        }
        // Until its reply has come.
        self.broken = true;
        Ok(self.stream.write_all(&self.output[from..to])?)
    }

    /// The next reply.
    fn reply(&mut self) -> Result<Reply> {
        self.broken = true;
        loop {
            let found = read::reply(&self.input[self.read..]).map_err(ClientError::Malformed)?;
            let wanted = match found {
                // Nobody has asked for these.
                Found::Reply(Reply::Push(_), length) => {
                    self.read += length;
                    continue;
                }
                Found::Reply(reply, length) => {
                    self.read += length;
                    if self.read == self.input.len() {
                        self.input.clear();
                        self.read = 0;
                    }
                    self.broken = false;
                    return Ok(reply);
                }
                Found::Unfinished(wanted) => wanted,
            };
            self.receive(wanted)?;
        }
    }

    /// Reads until there are so many bytes that nobody has read, or at least one more.
    fn receive(&mut self, wanted: usize) -> Result<()> {
        self.input.drain(..self.read);
        self.read = 0;
        let filled = self.input.len();
        let space = wanted.saturating_sub(filled).max(READ_SIZE);
        self.input.resize(filled + space, 0);
        let came = loop {
            match self.stream.read(&mut self.input[filled..]) {
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                came => break came,
            }
        };
        self.input.truncate(filled + came.as_ref().map_or(0, |came| *came));
        match came? {
            0 => Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
            _ => Ok(()),
        }
    }

    /// The key's value.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn get(&mut self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        match self.command(&[&b"GET"[..], key.as_ref()])? {
            Reply::Bulk(value) => Ok(Some(value)),
            Reply::Null => Ok(None),
            other => Err(ClientError::Unexpected(other)),
        }
    }

    /// Stores a value, to live for ever.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn set(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        done(self.command(&[&b"SET"[..], key.as_ref(), value.as_ref()])?)
    }

    /// Stores a value, to live for so long, to the millisecond.
    ///
    /// # Errors
    /// As [`ask`](Self::ask); a time of zero is refused.
    pub fn set_with_ttl(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        time: Duration,
    ) -> Result<()> {
        let time = time.as_millis().to_string();
        done(self.command(&[&b"SET"[..], key.as_ref(), value.as_ref(), b"PX", time.as_bytes()])?)
    }

    /// Stores a value where there is none; whether it did.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn set_if_absent(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<bool> {
        match self.command(&[&b"SET"[..], key.as_ref(), value.as_ref(), b"NX"])? {
            Reply::Null => Ok(false),
            other => done(other).map(|()| true),
        }
    }

    /// Removes a key; whether it was there.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<bool> {
        integer(self.command(&[&b"DEL"[..], key.as_ref()])?).map(|removed| removed == 1)
    }

    /// Adds to a number; the sum.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn add(&mut self, key: impl AsRef<[u8]>, by: i64) -> Result<i64> {
        integer(self.command(&[&b"INCRBY"[..], key.as_ref(), by.to_string().as_bytes()])?)
    }
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

/// Commands that are sent together. The server makes those of one key in order.
#[derive(Debug)]
pub struct Pipeline<'c> {
    client: &'c mut Client,
    /// Where each request ends.
    ends: Vec<usize>,
}

impl Pipeline<'_> {
    /// Adds a command of any kind.
    pub fn command<T: AsRef<[u8]>>(&mut self, words: &[T]) -> &mut Self {
        request(&mut self.client.output, words);
        self.ends.push(self.client.output.len());
        self
    }

    /// Sends them, and waits for all replies, in order. What the server refuses is a [`Reply::Error`] among them.
    ///
    /// # Errors
    /// As [`Client::ask`], when not all replies came.
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
