//! The connection to the server to which keys are moved.

use super::call::MigrateCall;
use crate::command::arguments::CommandError;
use crate::command::context::ServerApi;
use hedgerow_db_formats::resp::write::request;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// The longest time for connecting, also if the timeout is longer.
const CONNECTING: Duration = Duration::from_secs(10);
/// The time after which a wait looks whether the server is shut down, or the client was killed.
const SLICE: Duration = Duration::from_millis(100);
/// The longest line of a reply.
const LONGEST_LINE: usize = 4096;
/// In Redis's words, also if the server refuses the connection.
const WRITING: &str = "IOERR error or timeout writing to target instance";
const READING: &str = "IOERR error or timeout reading to target instance";

/// A connection to another server.
pub(super) struct Target<'s> {
    stream: BufReader<TcpStream>,
    timeout: Duration,
    server: &'s dyn ServerApi,
    /// The client that has called MIGRATE.
    client: u64,
}

/// The reply to a request: the text of the error if the server refuses it.
type TargetReply = Result<(), String>;

impl<'s> Target<'s> {
    /// Connects, authenticates, and selects the database. Returns the error of a server that refuses.
    ///
    /// # Errors
    /// If the server cannot be reached in time.
    pub(super) fn connect(
        call: &MigrateCall<'_>,
        (server, client): (&'s dyn ServerApi, u64),
    ) -> Result<Result<Self, String>, CommandError> {
        let stream = connect(call).map_err(|why| match why.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::InvalidInput => WRITING,
            _ => "IOERR error or timeout connecting to the client",
        });
        let stream = BufReader::new(stream?);
        let mut target = Self { stream, timeout: call.timeout, server, client };
        let mut requests = Vec::new();
        if !call.login.is_empty() {
            let words: Vec<&[u8]> = [&b"AUTH"[..]].into_iter().chain(call.login.clone()).collect();
            request(&mut requests, &words);
        }
        request(&mut requests, &[&b"SELECT"[..], call.database.to_string().as_bytes()]);
        target.send(&requests)?;
        for _ in 0..=usize::from(!call.login.is_empty()) {
            if let Err(error) = target.reply()? {
                return Ok(Err(error));
            }
        }
        Ok(Ok(target))
    }

    /// Sets the longest time that sending or a reply may take.
    pub(super) fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Sends requests.
    ///
    /// # Errors
    /// If the server does not take them in time.
    pub(super) fn send(&mut self, mut requests: &[u8]) -> Result<(), CommandError> {
        let deadline = Instant::now() + self.timeout;
        while !requests.is_empty() {
            // In slices: SHUTDOWN and CLIENT KILL must not wait for the other server.
            let wait = self.wait_until(deadline).ok_or(WRITING)?;
            let stream = self.stream.get_mut();
            match stream.set_write_timeout(Some(wait)).and_then(|()| stream.write(requests)) {
                Ok(0) => return Err(WRITING.into()),
                Ok(sent) => requests = &requests[sent..],
                Err(why) if may_continue(&why) => {}
                Err(_) => return Err(WRITING.into()),
            }
        }
        Ok(())
    }

    /// Returns the next reply.
    ///
    /// # Errors
    /// If there is none in time, or it is neither a status, an integer nor an error.
    pub(super) fn reply(&mut self) -> Result<TargetReply, CommandError> {
        let line = self.line().map_err(|_| READING)?;
        match line.split_first() {
            Some((b'+' | b':', _)) => Ok(Ok(())),
            Some((b'-', error)) => Ok(Err(String::from_utf8_lossy(error).into_owned())),
            // RESTORE, DEL, AUTH and SELECT have no other replies.
            _ => Err(READING.into()),
        }
    }

    /// Reads a line, and returns it without its end.
    fn line(&mut self) -> io::Result<Vec<u8>> {
        let (deadline, mut line) = (Instant::now() + self.timeout, Vec::new());
        loop {
            if self.stream.buffer().is_empty() {
                let wait = self.wait_until(deadline).ok_or(ErrorKind::TimedOut)?;
                self.stream.get_ref().set_read_timeout(Some(wait))?;
            }
            let bytes = match self.stream.fill_buf() {
                Ok([]) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => bytes,
                Err(why) if may_continue(&why) => continue,
                Err(why) => return Err(why),
            };
            let end = memchr::memchr(b'\n', bytes);
            let taken = end.map_or(bytes.len(), |end| end + 1);
            line.extend_from_slice(&bytes[..taken]);
            self.stream.consume(taken);
            if end.is_some() {
                line.truncate(line.trim_ascii_end().len());
                return Ok(line);
            }
            // The other server is not trusted with this one's memory.
            if line.len() > LONGEST_LINE {
                return Err(ErrorKind::InvalidData.into());
            }
        }
    }

    /// Returns for how long to wait now; nothing if the time is over, the server is shut down, or the client was
    /// killed.
    fn wait_until(&self, deadline: Instant) -> Option<Duration> {
        if self.server.is_stopping() || self.server.is_killed(self.client) {
            return None;
        }
        time_until(deadline).map(|left| left.min(SLICE))
    }
}

/// Connects to the first address of the host that accepts.
fn connect(call: &MigrateCall<'_>) -> io::Result<TcpStream> {
    let deadline = Instant::now() + call.timeout.min(CONNECTING);
    let host = std::str::from_utf8(call.host).map_err(io::Error::other)?;
    let port = std::str::from_utf8(call.port).ok().and_then(|port| port.parse::<u16>().ok());
    let port = port.ok_or(ErrorKind::InvalidInput)?;
    let mut failed = ErrorKind::NotFound.into();
    for address in (host, port).to_socket_addrs()? {
        let left = time_until(deadline).ok_or(ErrorKind::TimedOut)?;
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(why) => failed = why,
        }
    }
    Err(failed)
}

/// Returns the time that is left, if there is some.
fn time_until(deadline: Instant) -> Option<Duration> {
    deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
}

/// Returns whether an error only says that nothing has happened yet.
fn may_continue(why: &io::Error) -> bool {
    matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
