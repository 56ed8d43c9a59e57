//! Stub.
#![allow(unreachable_pub, dead_code, clippy::pedantic)]
pub(crate) mod context;
use crate::ask::*;
use crate::log::Lsn;
pub(crate) use context::*;

/// Stub.
pub struct Connection {
    /// Stub.
    pub id: u64,
    authenticated: bool,
    address: String,
}

/// Stub.
#[derive(Default)]
pub(crate) struct Scratch;

impl Connection {
    /// Stub.
    pub fn new(id: u64, address: String, must_authenticate: bool) -> Self {
        Self { id, authenticated: !must_authenticate, address }
    }
    pub(crate) fn id(&self) -> u64 {
        self.id
    }
    pub(crate) fn name(&self) -> &[u8] {
        b""
    }
    pub(crate) fn facts(&self) -> ClientFacts<'_> {
        ClientFacts {
            id: self.id,
            address: &self.address,
            name: b"",
            age: 0,
            idle: 0,
            protocol: 2,
            command: "",
            library: b"",
            library_version: b"",
        }
    }
}

/// Stub.
pub struct Obeyed {
    /// Stub.
    pub consumed: usize,
    /// Stub.
    pub commands: usize,
    /// Stub.
    pub wanted: usize,
    /// Stub.
    pub lsn: Lsn,
    /// Stub.
    pub then: Then,
}

/// Stub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Stub.
    GoOn,
    /// Stub.
    Close,
    /// Stub.
    Shutdown {
        /// Stub.
        save: bool,
    },
}

fn line(input: &[u8]) -> Option<(&[u8], usize)> {
    let end = input.windows(2).position(|w| w == b"\r\n")?;
    Some((&input[..end], end + 2))
}

fn command(input: &[u8]) -> Result<(Vec<&[u8]>, usize), usize> {
    let (head, mut at) = line(input).ok_or(0_usize)?;
    if head.first() != Some(&b'*') {
        return Ok((head.split(|b| *b == b' ').collect(), at));
    }
    let number =
        |b: &[u8]| std::str::from_utf8(&b[1..]).unwrap_or("0").parse::<usize>().unwrap_or(0);
    let mut args = Vec::new();
    for _ in 0..number(head) {
        let (head, used) = line(&input[at..]).ok_or(0_usize)?;
        let length = number(head);
        at += used;
        if input.len() < at + length + 2 {
            return Err(at + length + 2);
        }
        args.push(&input[at..at + length]);
        at += length + 2;
    }
    Ok((args, at))
}

/// Stub.
pub fn obey(
    c: &mut Connection,
    context: &mut Context<'_>,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Obeyed {
    let mut done = Obeyed { consumed: 0, commands: 0, wanted: 0, lsn: 0, then: Then::GoOn };
    for _ in 0..512 {
        if out.len() > 1 << 20 {
            break;
        }
        if input.get(done.consumed) == Some(&b'\0') {
            out.extend_from_slice(b"-ERR Protocol error: stub\r\n");
            done.then = Then::Close;
            break;
        }
        let (args, used) = match command(&input[done.consumed..]) {
            Ok(found) => found,
            Err(wanted) => {
                done.wanted = wanted;
                break;
            }
        };
        done.consumed += used;
        done.commands += 1;
        let name = args[0].to_ascii_uppercase();
        if !c.authenticated && name != b"AUTH" {
            out.extend_from_slice(b"-NOAUTH Authentication required.\r\n");
            continue;
        }
        match (&name[..], &args[1..]) {
            (b"PING", []) => out.extend_from_slice(b"+PONG\r\n"),
            (b"AUTH", [word]) => {
                c.authenticated = context.server.password_is(b"default", word);
                let said: &[u8] = if c.authenticated {
                    b"+OK\r\n"
                } else {
                    b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
                };
                out.extend_from_slice(said);
            }
            (b"SET" | b"INCR" | b"GET", [key, rest @ ..]) => {
                let ask = match &name[..] {
                    b"SET" => Ask::Change(
                        key,
                        Change::Set {
                            value: rest[0],
                            when: When::Always,
                            life: Life::Ever,
                            get: false,
                        },
                    ),
                    b"INCR" => Ask::Change(key, Change::Add(1)),
                    _ => Ask::Look(key, Look::Value),
                };
                let lsn = context.session.run(&[ask], &mut |_, answer| match answer {
                    Answer::Done => out.extend_from_slice(b"+OK\r\n"),
                    Answer::Int(n) => out.extend_from_slice(format!(":{n}\r\n").as_bytes()),
                    Answer::Bytes(value) => {
                        out.extend_from_slice(format!("${}\r\n", value.len()).as_bytes());
                        out.extend_from_slice(value);
                        out.extend_from_slice(b"\r\n");
                    }
                    Answer::Nothing => out.extend_from_slice(b"$-1\r\n"),
                    _ => out.extend_from_slice(b"-ERR\r\n"),
                });
                done.lsn = done.lsn.max(lsn);
            }
            (b"ECHO", [value]) => {
                out.extend_from_slice(format!("${}\r\n", value.len()).as_bytes());
                out.extend_from_slice(value);
                out.extend_from_slice(b"\r\n");
            }
            (b"QUIT", _) => {
                out.extend_from_slice(b"+OK\r\n");
                done.then = Then::Close;
            }
            (b"SHUTDOWN", rest) => done.then = Then::Shutdown { save: rest.is_empty() },
            _ => out.extend_from_slice(b"-ERR unknown command\r\n"),
        }
        if done.then != Then::GoOn {
            break;
        }
    }
    done
}
