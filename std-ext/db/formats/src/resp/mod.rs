//! RESP, Redis's protocol, in both versions and both directions.
//!
//! A server parses requests ([`parse`]) and writes replies ([`write`](mod@write)); a client writes requests and parses
//! replies ([`read`]). Everything works on buffers in memory, independent of sockets and commands.
//!
//! Crates that parse RESP, such as `redis-protocol`, know no inline commands and none of Redis's limits, and answer
//! malformed requests in their own way. Clients expect Redis's errors, byte for byte.

pub mod inline;
pub mod parse;
pub mod read;
pub mod write;

/// The version of RESP. A connection begins with 2, and a client may switch to 3 (`HELLO 3`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Protocol {
    /// RESP2.
    #[default]
    Two,
    /// RESP3: maps, sets, doubles, and a null of its own.
    Three,
}
