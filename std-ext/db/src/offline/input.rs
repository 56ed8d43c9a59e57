//! The reading side of a connection to a running Redis.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
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
    stream: BufReader<TcpStream>,
    heard: Instant,
}

/// Describes an error of a connection.
pub(super) fn connection_error(why: &io::Error) -> String {
    format!("the connection to Redis: {why}")
}

fn is_timeout(why: &io::Error) -> bool {
    matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

impl Input {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(READ))?;
        stream.set_write_timeout(Some(WRITE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(CHUNK, stream), heard: Instant::now() })
    }

    /// Returns the connection for writing.
    pub(super) fn output(&self) -> io::Result<TcpStream> {
        self.stream.get_ref().try_clone()
    }

    /// Sends a request, to which Redis must reply.
    pub(super) fn send(&mut self, request: &[u8]) -> Result<(), String> {
        // The connection may have been idle.
        self.heard = Instant::now();
        self.stream.get_mut().write_all(request).map_err(|why| connection_error(&why))
    }

    /// Waits for a moment. Returns whether there are bytes.
    ///
    /// # Errors
    /// If the connection has ended, or Redis is silent for too long.
    pub(super) fn has_more(&mut self) -> Result<bool, String> {
        match self.stream.fill_buf() {
            Ok([]) => Err("Redis has closed the connection".to_owned()),
            Ok(_) => {
                self.heard = Instant::now();
                Ok(true)
            }
            Err(why) if is_timeout(&why) => {
                if self.heard.elapsed() > SILENCE {
                    return Err(format!("Redis was silent for {} seconds", SILENCE.as_secs()));
                }
                Ok(false)
            }
            Err(why) => Err(connection_error(&why)),
        }
    }

    /// Adds bytes to a line up to its end, or up to this length.
    pub(super) fn read_line(&mut self, line: &mut Vec<u8>, longest: usize) -> Result<(), String> {
        let left = longest.saturating_sub(line.len()) as u64;
        match (&mut self.stream).take(left).read_until(b'\n', line) {
            Err(why) if !is_timeout(&why) => Err(connection_error(&why)),
            _ => Ok(()),
        }
    }

    /// Returns the bytes that were received, and not used.
    pub(super) fn bytes(&self) -> &[u8] {
        self.stream.buffer()
    }

    /// Notes that these bytes were used.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.stream.consume(bytes);
    }
}
