//! The two sides of a connection to a running Redis.

use hedgerow_db_engine::lock::lock;
use hedgerow_db_redis::outgoing::OutgoingStream;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long Redis may be silent. It pings its replicas every ten seconds, unless it was told another interval.
const SILENCE: Duration = Duration::from_secs(60);
/// How long one read waits.
const READ: Duration = Duration::from_millis(200);
/// How long one write may take.
const WRITE: Duration = Duration::from_secs(10);
/// Bytes that are read at a time.
pub(super) const CHUNK: usize = 64 << 10;

/// The reading side of a connection.
pub(super) struct Input {
    received: BufReader<Received>,
    heard: Instant,
}

/// The bytes of a connection. Waiting for them holds no lock, so that another thread can send meanwhile.
struct Received(ImportOutput);

impl Read for Received {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let ImportOutput { socket, stream } = &self.0;
        if !lock(stream).has_decrypted() {
            socket.peek(&mut [0])?;
        }
        lock(stream).read(into)
    }
}

/// The writing side of a connection.
pub(super) struct ImportOutput {
    socket: TcpStream,
    stream: Arc<Mutex<OutgoingStream>>,
}

impl ImportOutput {
    /// Sends bytes.
    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stream = lock(&self.stream);
        stream.write_all(bytes)?;
        stream.flush()
    }

    /// Ends the connection, in both directions.
    pub(super) fn close(&self) {
        // It may have ended.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone()?, stream: Arc::clone(&self.stream) })
    }
}

/// Describes an error of a connection.
pub(super) fn connection_error(why: &io::Error) -> String {
    format!("the connection to Redis: {why}")
}

fn is_timeout(why: &io::Error) -> bool {
    matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

impl Input {
    pub(super) fn new(stream: OutgoingStream) -> io::Result<Self> {
        let socket = stream.socket().try_clone()?;
        socket.set_read_timeout(Some(READ))?;
        socket.set_write_timeout(Some(WRITE))?;
        let received = Received(ImportOutput { socket, stream: Arc::new(Mutex::new(stream)) });
        Ok(Self { received: BufReader::with_capacity(CHUNK, received), heard: Instant::now() })
    }

    /// Returns the connection for writing.
    pub(super) fn output(&self) -> io::Result<ImportOutput> {
        self.received.get_ref().0.try_clone()
    }

    /// Sends a request, to which Redis must reply.
    pub(super) fn send(&mut self, request: &[u8]) -> Result<(), String> {
        // The connection may have been idle.
        self.heard = Instant::now();
        self.received.get_ref().0.send(request).map_err(|why| connection_error(&why))
    }

    /// Waits for a moment. Returns whether there are bytes.
    ///
    /// # Errors
    /// If the connection has ended, or Redis is silent for too long.
    pub(super) fn has_more(&mut self) -> Result<bool, String> {
        match self.received.fill_buf() {
            Ok([]) => Err("Redis closed the connection".to_owned()),
            Ok(_) => {
                self.heard = Instant::now();
                Ok(true)
            }
            Err(why) if is_timeout(&why) => {
                if self.heard.elapsed() > SILENCE {
                    return Err(format!("Redis sent nothing for {} seconds", SILENCE.as_secs()));
                }
                Ok(false)
            }
            Err(why) => Err(connection_error(&why)),
        }
    }

    /// Adds bytes to a line up to its end, or up to this length.
    pub(super) fn read_line(&mut self, line: &mut Vec<u8>, longest: usize) -> Result<(), String> {
        let left = longest.saturating_sub(line.len()) as u64;
        match (&mut self.received).take(left).read_until(b'\n', line) {
            Err(why) if !is_timeout(&why) => Err(connection_error(&why)),
            _ => Ok(()),
        }
    }

    /// Returns the bytes that were received, and not used.
    pub(super) fn bytes(&self) -> &[u8] {
        self.received.buffer()
    }

    /// Notes that these bytes were used.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.received.consume(bytes);
    }
}
