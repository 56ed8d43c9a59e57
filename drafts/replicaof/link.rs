//! The connection of a replica to a running Redis: its data as a file, and then the commands since.

use crate::lock::lock;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long Redis may be silent. It pings its replicas every ten seconds, unless it was told another interval.
const SILENCE: Duration = Duration::from_secs(60);
/// How long one read waits.
const READ: Duration = Duration::from_millis(200);
/// How often Redis is told the offset. It drops replicas that are silent for `repl-timeout`.
const ACK_INTERVAL: Duration = Duration::from_secs(1);
/// The longest line of a reply.
const LONGEST_LINE: u64 = 4096;

/// A connection to a running Redis.
pub(super) struct Link {
    stream: BufReader<TcpStream>,
    heard: Instant,
    acknowledged: Arc<Acknowledged>,
    /// The thread that acknowledges ends when this is dropped.
    #[expect(dead_code, reason = "it is only dropped")]
    running: Option<Sender<()>>,
}

/// The part of the connection by which Redis is told the offset. It takes no answer.
struct Acknowledged {
    stream: TcpStream,
    /// The offset up to which commands were received.
    offset: Mutex<u64>,
}

impl Acknowledged {
    /// Tells Redis the offset. The thread that reads notices if the connection has ended.
    fn send(&self) {
        let offset = lock(&self.offset).to_string();
        let mut request = Vec::new();
        crate::resp::write::request(&mut request, &[&b"REPLCONF"[..], b"ACK", offset.as_bytes()]);
        let _ = (&self.stream).write_all(&request);
    }
}

/// The name and the password by which the program authenticates.
pub(super) struct Login<'a> {
    pub(super) user: Option<&'a str>,
    pub(super) password: Option<&'a [u8]>,
}

fn text(why: &io::Error) -> String {
    format!("the connection to Redis: {why}")
}

impl Link {
    /// Connects, and asks for all data. Writes it to a file.
    ///
    /// # Errors
    /// If Redis cannot be reached, refuses, or the file cannot be written.
    pub(super) fn open(address: &str, login: &Login<'_>, file: &Path) -> Result<Self, String> {
        let addresses = address.to_socket_addrs();
        let mut addresses = addresses.map_err(|why| format!("{address}: {why}"))?;
        let connect = |address| TcpStream::connect_timeout(&address, CONNECT);
        let first = addresses.next().ok_or_else(|| format!("{address}: no such host"))?;
        let stream = addresses
            .fold(connect(first), |stream, address| stream.or_else(|_| connect(address)))
            .map_err(|why| format!("{address}: {why}"))?;
        stream.set_read_timeout(Some(READ)).map_err(|why| text(&why))?;
        stream.set_write_timeout(Some(CONNECT)).map_err(|why| text(&why))?;
        let other = stream.try_clone().map_err(|why| text(&why))?;
        let acknowledged = Arc::new(Acknowledged { stream: other, offset: Mutex::new(0) });
        let stream = BufReader::with_capacity(1 << 20, stream);
        let mut link = Self { stream, heard: Instant::now(), acknowledged, running: None };
        link.shake_hands(login)?;
        link.copy_data(file)?;
        link.acknowledge_always().map_err(|why| text(&why))?;
        Ok(link)
    }

    /// Starts the thread that tells Redis the offset.
    fn acknowledge_always(&mut self) -> io::Result<()> {
        let (running, ended) = mpsc::channel();
        let acknowledged = Arc::clone(&self.acknowledged);
        let run = move || {
            while ended.recv_timeout(ACK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                acknowledged.send();
            }
        };
        thread::Builder::new().name("acknowledge".into()).spawn(run)?;
        self.running = Some(running);
        Ok(())
    }

    fn shake_hands(&mut self, login: &Login<'_>) -> Result<(), String> {
        if let Some(password) = login.password {
            match login.user {
                Some(user) => self.ask(&[b"AUTH", user.as_bytes(), password])?,
                None => self.ask(&[b"AUTH", password])?,
            };
        }
        self.ask(&[b"PING"])?;
        // Without `capa eof`, Redis sends the length before the data.
        self.ask(&[b"REPLCONF", b"listening-port", b"0"])?;
        self.ask(&[b"REPLCONF", b"capa", b"psync2"])?;
        let reply = self.ask(&[b"PSYNC", b"?", b"-1"])?;
        let offset = reply.strip_prefix("+FULLRESYNC ").and_then(|rest| rest.split(' ').nth(1));
        let offset = offset.and_then(|offset| offset.parse().ok());
        let offset = offset.ok_or_else(|| format!("Redis does not send its data: {reply}"))?;
        *lock(&self.acknowledged.offset) = offset;
        Ok(())
    }

    /// Sends a command. Returns the reply, which is one line.
    fn ask(&mut self, words: &[&[u8]]) -> Result<String, String> {
        self.send(words).map_err(|why| text(&why))?;
        let reply = self.line()?;
        if let Some(error) = reply.strip_prefix('-') {
            return Err(format!("Redis refuses {}: {error}", String::from_utf8_lossy(words[0])));
        }
        Ok(reply)
    }

    fn send(&mut self, words: &[&[u8]]) -> io::Result<()> {
        let mut request = Vec::new();
        crate::resp::write::request(&mut request, words);
        self.stream.get_mut().write_all(&request)
    }

    /// Returns the next line that is not empty. Empty ones say that Redis is not ready yet.
    fn line(&mut self) -> Result<String, String> {
        let mut line = Vec::new();
        loop {
            let begin = line.len();
            self.wait()?;
            let mut limited = (&mut self.stream).take(LONGEST_LINE);
            match limited.read_until(b'\n', &mut line) {
                Err(why) if is_timeout(&why) => continue,
                Err(why) => return Err(text(&why)),
                Ok(_) if line.trim_ascii().is_empty() => line.clear(),
                Ok(_) if line.ends_with(b"\n") => {
                    return Ok(String::from_utf8_lossy(line.trim_ascii()).into_owned());
                }
                Ok(_) if line.len() > begin && (line.len() as u64) < LONGEST_LINE => {}
                Ok(_) => return Err("Redis sends something that is no line".to_owned()),
            }
        }
    }

    /// Waits until there are bytes.
    fn wait(&mut self) -> Result<(), String> {
        while !self.has_more()? {}
        Ok(())
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
                    return Err(format!("Redis is silent for {} seconds", SILENCE.as_secs()));
                }
                Ok(false)
            }
            Err(why) => Err(text(&why)),
        }
    }

    fn copy_data(&mut self, path: &Path) -> Result<(), String> {
        let length = self.line()?;
        let length = length.strip_prefix('$').and_then(|length| length.parse::<u64>().ok());
        let mut left = length.ok_or("Redis does not say how long its data is")?;
        let named = |why: io::Error| format!("{}: {why}", path.display());
        let mut file = File::create_new(path).map_err(named)?;
        while left > 0 {
            self.wait()?;
            let part = self.stream.buffer();
            let taken = usize::try_from(left).map_or(part.len(), |left| part.len().min(left));
            file.write_all(&part[..taken]).map_err(named)?;
            self.stream.consume(taken);
            left -= taken as u64;
        }
        Ok(())
    }

    /// Returns the bytes of commands that have come.
    pub(super) fn bytes(&self) -> &[u8] {
        self.stream.buffer()
    }

    /// Notes that these bytes were used.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.stream.consume(bytes);
        *lock(&self.acknowledged.offset) += bytes as u64;
    }

    /// Returns the offset up to which commands were received.
    pub(super) fn offset(&self) -> u64 {
        *lock(&self.acknowledged.offset)
    }
}

fn is_timeout(why: &io::Error) -> bool {
    matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
