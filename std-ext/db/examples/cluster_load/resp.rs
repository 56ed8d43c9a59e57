//! Clients of a node: one thread, one poll.

use super::measurement::{Kind, Measurement};
use super::settings::{Random, Settings, name};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// Requests that `fill` sends together.
const FILL: u64 = 200;
/// How long the poll waits if requests are paced.
const PACE: Duration = Duration::from_millis(1);

/// Stores every key, in order.
pub(crate) fn fill(settings: &Settings) -> Result<Measurement, Box<dyn Error>> {
    let mut stream = connect(settings)?;
    let mut random = Random::new(settings, 1);
    let mut measurement = Measurement::begin_open();
    let (mut input, mut scratch) = (Vec::new(), vec![0; 64 << 10]);
    for begin in (0..settings.keys).step_by(FILL as usize) {
        let (mut output, sent) = (Vec::new(), Instant::now());
        let end = settings.keys.min(begin + FILL);
        for key in begin..end {
            write_set(&mut output, key, random.value());
        }
        stream.write_all(&output)?;
        let mut owed = (end - begin) as usize;
        while owed > 0 {
            let got = stream.read(&mut scratch)?;
            if got == 0 {
                return Err(closed());
            }
            input.extend_from_slice(&scratch[..got]);
            owed -= take_replies(&mut input, owed, &mut measurement.misses)?;
        }
        measurement.note(Kind::Write, end - begin, sent, Instant::now());
    }
    measurement.end(Instant::now());
    Ok(measurement)
}

/// Sends requests until the time is over.
pub(crate) fn load(settings: &Settings) -> Result<Measurement, Box<dyn Error>> {
    let mut load = Load::connect(settings)?;
    let mut events = Events::with_capacity(1024);
    for client in 0..load.clients.len() {
        load.next(client)?;
    }
    loop {
        let now = Instant::now();
        if load.measurement.is_over(now) {
            return Ok(load.measurement);
        }
        load.send_due(now)?;
        let wait = if settings.rate > 0.0 { PACE } else { load.measurement.left(now).max(PACE) };
        match load.poll.poll(&mut events, Some(wait)) {
            Err(why) if why.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            let client = event.token().0;
            if event.is_writable() {
                load.clients[client].flush()?;
            }
            if event.is_readable() {
                load.read(client)?;
            }
        }
    }
}

/// All clients.
struct Load<'a> {
    settings: &'a Settings,
    poll: Poll,
    clients: Vec<Client>,
    random: Random,
    scratch: Vec<u8>,
    measurement: Measurement,
    begun: Instant,
    /// Clients that wait until the rate allows a request, longest first.
    idle: VecDeque<usize>,
    /// Pipelines that were sent.
    sent: u64,
}

/// A connection. It sends a pipeline when all replies of the last one have come.
struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    written: usize,
    /// Replies that are due.
    owed: usize,
    kind: Kind,
    sent: Instant,
}

impl<'a> Load<'a> {
    fn connect(settings: &'a Settings) -> Result<Self, Box<dyn Error>> {
        let poll = Poll::new()?;
        let mut clients = Vec::new();
        for client in 0..settings.clients {
            let stream = connect(settings)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(client), interest)?;
            clients.push(Client {
                stream,
                input: Vec::new(),
                output: Vec::new(),
                written: 0,
                owed: 0,
                kind: Kind::Write,
                sent: Instant::now(),
            });
        }
        Ok(Self {
            settings,
            poll,
            clients,
            random: Random::new(settings, 7),
            scratch: vec![0; 256 << 10],
            measurement: Measurement::begin(settings),
            begun: Instant::now(),
            idle: VecDeque::new(),
            sent: 0,
        })
    }

    /// Lets a client send its next pipeline, at once or when it is due.
    fn next(&mut self, client: usize) -> io::Result<()> {
        if self.settings.rate > 0.0 {
            self.idle.push_back(client);
            return Ok(());
        }
        self.send(client)
    }

    /// Sends what the rate allows by now.
    fn send_due(&mut self, now: Instant) -> io::Result<()> {
        let pipelines = self.settings.rate / self.settings.pipeline as f64;
        let due = (now.duration_since(self.begun).as_secs_f64() * pipelines) as u64;
        while self.sent < due {
            let Some(client) = self.idle.pop_front() else { return Ok(()) };
            self.sent += 1;
            self.send(client)?;
        }
        Ok(())
    }

    fn send(&mut self, client: usize) -> io::Result<()> {
        let reads = match &*self.settings.work {
            "set" => false,
            "get" => true,
            _ => self.random.part() < self.settings.reads,
        };
        let client = &mut self.clients[client];
        for _ in 0..self.settings.pipeline {
            let key = self.random.key();
            if reads {
                let name = name(key);
                client.output.extend_from_slice(b"*2\r\n$3\r\nGET\r\n$16\r\n");
                client.output.extend_from_slice(name.as_bytes());
                client.output.extend_from_slice(b"\r\n");
            } else {
                write_set(&mut client.output, key, self.random.value());
            }
        }
        client.kind = if reads { Kind::Read } else { Kind::Write };
        client.owed = self.settings.pipeline;
        client.sent = Instant::now();
        client.flush()
    }

    fn read(&mut self, number: usize) -> Result<(), Box<dyn Error>> {
        loop {
            let client = &mut self.clients[number];
            let got = match client.stream.read(&mut self.scratch) {
                Ok(0) => return Err(closed()),
                Ok(got) => got,
                Err(why) if why.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(why) if why.kind() == ErrorKind::Interrupted => continue,
                Err(why) => return Err(why.into()),
            };
            client.input.extend_from_slice(&self.scratch[..got]);
            let owed = client.owed;
            client.owed -= take_replies(&mut client.input, owed, &mut self.measurement.misses)?;
            if owed > 0 && client.owed == 0 {
                let (kind, sent) = (client.kind, client.sent);
                let requests = self.settings.pipeline as u64;
                self.measurement.note(kind, requests, sent, Instant::now());
                self.next(number)?;
            }
            // A short read has emptied the socket, and the poll reports the next bytes.
            if got < self.scratch.len() {
                return Ok(());
            }
        }
    }
}

impl Client {
    /// Writes as much as the socket takes.
    fn flush(&mut self) -> io::Result<()> {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(written) => self.written += written,
                Err(why) if why.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) => return Err(why),
            }
        }
        self.output.clear();
        self.written = 0;
        Ok(())
    }
}

fn connect(settings: &Settings) -> Result<std::net::TcpStream, Box<dyn Error>> {
    let mut stream = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, settings.port))?;
    stream.set_nodelay(true)?;
    if settings.readonly {
        stream.write_all(b"READONLY\r\n")?;
        let mut reply = [0; 5];
        stream.read_exact(&mut reply)?;
        if &reply != b"+OK\r\n" {
            return Err(format!("READONLY: {}", reply.escape_ascii()).into());
        }
    }
    Ok(stream)
}

fn write_set(output: &mut Vec<u8>, key: u64, value: &[u8]) {
    output.extend_from_slice(b"*3\r\n$3\r\nSET\r\n$16\r\n");
    output.extend_from_slice(name(key).as_bytes());
    // Writing to a Vec never fails.
    let _ = write!(output, "\r\n${}\r\n", value.len());
    output.extend_from_slice(value);
    output.extend_from_slice(b"\r\n");
}

/// Takes up to `most` complete replies from the front of `input`, and returns their number.
fn take_replies(
    input: &mut Vec<u8>,
    most: usize,
    misses: &mut u64,
) -> Result<usize, Box<dyn Error>> {
    let (mut taken, mut from) = (0, 0);
    while taken < most
        && let Some(length) = reply_length(&input[from..])?
    {
        *misses += u64::from(input[from..].starts_with(b"$-"));
        from += length;
        taken += 1;
    }
    input.drain(..from);
    Ok(taken)
}

/// Returns the length of the first reply, if it is complete.
fn reply_length(bytes: &[u8]) -> Result<Option<usize>, Box<dyn Error>> {
    let Some(end) = memchr::memchr(b'\n', bytes) else { return Ok(None) };
    let line = str::from_utf8(&bytes[..end])?.trim_end();
    match line.split_at_checked(1) {
        Some(("-", why)) => Err(format!("the node refuses: {why}").into()),
        Some(("$", "-1")) => Ok(Some(end + 1)),
        Some(("$", length)) => {
            let whole = end + 3 + length.parse::<usize>()?;
            Ok((whole <= bytes.len()).then_some(whole))
        }
        _ => Ok(Some(end + 1)),
    }
}

fn closed() -> Box<dyn Error> {
    "the node has closed a connection: it is not the primary any more, or it has ended".into()
}
