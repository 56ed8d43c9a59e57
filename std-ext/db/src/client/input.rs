//! The bytes that a client has received, and the time that it waits for more.

use hedgerow_db_redis::outgoing::OutgoingStream;
use std::io::{self, ErrorKind, Read};
use std::time::{Duration, Instant};

/// Bytes of buffer space for each read, unless many have come already.
const READ_SIZE: usize = 64 << 10;

/// Received bytes.
#[derive(Debug, Default)]
pub(super) struct ReplyInput {
    /// The bytes, and room for more behind them. The room stays zeroed or has old bytes, so it is made once.
    buffer: Vec<u8>,
    /// The bytes from `read` to `filled` were not consumed.
    read: usize,
    filled: usize,
}

impl ReplyInput {
    /// Returns the bytes that were not consumed.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.read..self.filled]
    }

    /// Consumes bytes.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.read += bytes;
        if self.read == self.filled {
            (self.read, self.filled) = (0, 0);
        }
    }

    /// Reads once. Returns how many bytes have come, at least one.
    ///
    /// The room grows with the bytes that have come. A length that the server announces only keeps it from growing
    /// further: it may be false.
    pub(super) fn read_from(
        &mut self,
        stream: &mut OutgoingStream,
        wanted: usize,
    ) -> io::Result<usize> {
        if self.read > 0 {
            self.buffer.copy_within(self.read..self.filled, 0);
            (self.read, self.filled) = (0, self.filled - self.read);
        }
        if self.filled == self.buffer.len() {
            let missing = wanted.saturating_sub(self.filled);
            let room = missing.min(self.filled).max(READ_SIZE);
            self.buffer.reserve_exact(room);
            self.buffer.resize(self.filled + room, 0);
        }
        let came = loop {
            match stream.read(&mut self.buffer[self.filled..]) {
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                came => break came?,
            }
        };
        self.filled += came;
        if came == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(came) }
    }
}

/// The time that is spent waiting for one reply. It ends if less than [`READ_SIZE`] bytes come within the socket's
/// timeout, however many reads they take; a long reply that arrives faster than that is not cut.
pub(super) struct Wait {
    since: Instant,
    /// The bytes that have come since then.
    came: usize,
    /// Whether there was a read. The first one has the socket's own timeout, so a short reply costs no call more.
    has_read: bool,
    /// The socket's own timeout, once it was changed for this reply.
    changed: Option<Duration>,
}

impl Wait {
    pub(super) fn begin() -> Self {
        Self { since: Instant::now(), came: 0, has_read: false, changed: None }
    }

    /// Gives the next read the time that is left.
    ///
    /// # Errors
    /// If the time is over.
    pub(super) fn before_read(&mut self, stream: &OutgoingStream) -> io::Result<()> {
        if !std::mem::replace(&mut self.has_read, true) {
            return Ok(());
        }
        let socket = stream.socket();
        let limit = if self.changed.is_some() { self.changed } else { socket.read_timeout()? };
        let Some(limit) = limit else { return Ok(()) };
        self.changed = Some(limit);
        if self.came >= READ_SIZE {
            (self.since, self.came) = (Instant::now(), 0);
        }
        let left = limit.saturating_sub(self.since.elapsed());
        if left.is_zero() {
            return Err(io::Error::new(ErrorKind::TimedOut, "the reply takes too long"));
        }
        socket.set_read_timeout(Some(left))
    }

    /// Notes that bytes have come.
    pub(super) fn came(&mut self, bytes: usize) {
        self.came += bytes;
    }

    /// Gives the socket its own timeout back, for the next reply.
    pub(super) fn end(self, stream: &OutgoingStream) -> io::Result<()> {
        match self.changed {
            Some(limit) => stream.socket().set_read_timeout(Some(limit)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;
    use hedgerow_db_formats::resp::read::Reply;
    use std::io::Write;
    use std::net::TcpListener;
    use std::thread::{JoinHandle, sleep};

    /// Returns a client, and the thread of its server, which answers the first command with pieces.
    fn client(pieces: impl FnOnce(&mut dyn Write) + Send + 'static) -> (Client, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut some = [0; 64];
            assert!(stream.read(&mut some).unwrap() > 0);
            stream.write_all(b"%0\r\n").unwrap();
            assert!(stream.read(&mut some).unwrap() > 0);
            pieces(&mut stream);
        });
        (Client::connect(address).unwrap(), server)
    }

    #[test]
    fn announced_lengths_take_no_memory() {
        let nested = "*1073741824\r\n".repeat(63);
        for begin in ["$104857600\r\n", "*1073741824\r\n", &nested] {
            // The first room is used up.
            let begin = format!("{begin}{}", ":1\r\n".repeat(20_000));
            let (mut client, server) =
                client(move |stream| stream.write_all(begin.as_bytes()).unwrap());
            client.get("rose").unwrap_err();
            let room = client.input.buffer.len();
            assert!((80_000..4 * READ_SIZE).contains(&room), "an announced length is believed");
            server.join().unwrap();
        }
    }

    #[test]
    fn a_long_reply_makes_room_as_it_comes() {
        let (mut client, server) = client(|stream| {
            // Elements that are long, and many.
            stream.write_all(b"*301\r\n").unwrap();
            for _ in 0..300 {
                stream.write_all(b"$100000\r\n").unwrap();
                stream.write_all(&vec![b'x'; 100_000]).unwrap();
                stream.write_all(b"\r\n").unwrap();
            }
            stream.write_all(b":7\r\n:8\r\n").unwrap();
        });
        let Reply::Array(all) = client.command(&["MGET", "rose"]).unwrap() else { panic!() };
        assert_eq!((all.len(), &all[300]), (301, &Reply::Integer(7)));
        assert_eq!(all[299], Reply::Bulk(vec![b'x'; 100_000]));
        assert_eq!(client.reply().unwrap(), Reply::Integer(8));
        server.join().unwrap();
    }

    #[test]
    fn a_reply_in_pieces_has_one_time_limit() {
        let (mut client, server) = client(|stream| {
            for byte in b"$40\r\n".iter().chain(&[b'x'; 40]) {
                // The client may have closed.
                let _ = stream.write_all(&[*byte]);
                sleep(Duration::from_millis(50));
            }
            let _ = stream.write_all(b"\r\n");
        });
        client.set_timeout(Some(Duration::from_millis(400))).unwrap();
        let got = client.get("rose");
        assert!(got.is_err(), "each byte began the time anew");
        drop(client);
        server.join().unwrap();
    }

    #[test]
    fn a_long_reply_that_goes_on_is_not_cut() {
        let (mut client, server) = client(|stream| {
            stream.write_all(b"$1000000\r\n").unwrap();
            for _ in 0..10 {
                stream.write_all(&vec![b'x'; 100_000]).unwrap();
                sleep(Duration::from_millis(100));
            }
            // The last read has less than the whole time.
            stream.write_all(b"\r").unwrap();
            sleep(Duration::from_millis(100));
            stream.write_all(b"\n+OK\r\n").unwrap();
        });
        let limit = Some(Duration::from_millis(600));
        client.set_timeout(limit).unwrap();
        let got = client.get("rose").expect("a reply that goes on is cut");
        assert_eq!(got.map(|value| value.len()), Some(1_000_000));
        assert_eq!(client.stream.socket().read_timeout().unwrap(), limit, "the next reply's time");
        client.reply().unwrap();
        server.join().unwrap();
    }
}
