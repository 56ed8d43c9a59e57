//! Stub.
#![allow(unreachable_pub, dead_code, clippy::pedantic)]
pub mod context;
use crate::log::Lsn;
pub use context::{Context, ServerFacts};

/// Stub.
pub struct Connection {
    /// Stub.
    pub id: u64,
    authenticated: bool,
}

impl Connection {
    /// Stub.
    pub fn new(id: u64, _address: String, must_authenticate: bool) -> Self {
        Self { id, authenticated: !must_authenticate }
    }
}

/// Stub.
pub struct Obeyed {
    /// Stub.
    pub consumed: usize,
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
    let mut done = Obeyed { consumed: 0, wanted: 0, lsn: 0, then: Then::GoOn };
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
        let name = args[0].to_ascii_uppercase();
        if !c.authenticated && name != b"AUTH" {
            out.extend_from_slice(b"-NOAUTH Authentication required.\r\n");
            continue;
        }
        match (&name[..], &args[1..]) {
            (b"PING", []) => out.extend_from_slice(b"+PONG\r\n"),
            (b"AUTH", [word]) => {
                c.authenticated = context.server.password_is(word);
                let said: &[u8] = if c.authenticated {
                    b"+OK\r\n"
                } else {
                    b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
                };
                out.extend_from_slice(said);
            }
            (b"SET", [key, value]) => {
                done.lsn = context.db.stub_set(key, value);
                out.extend_from_slice(b"+OK\r\n");
            }
            (b"INCR", [key]) => {
                let (lsn, n) = context.db.stub_add(key);
                done.lsn = lsn;
                out.extend_from_slice(format!(":{n}\r\n").as_bytes());
            }
            (b"GET", [key]) => match context.db.stub_get(key) {
                None => out.extend_from_slice(b"$-1\r\n"),
                Some(value) => {
                    out.extend_from_slice(format!("${}\r\n", value.len()).as_bytes());
                    out.extend_from_slice(&value);
                    out.extend_from_slice(b"\r\n");
                }
            },
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
