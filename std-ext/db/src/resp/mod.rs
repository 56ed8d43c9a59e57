//! RESP, the protocol of Redis and its clients, in both versions and both directions.
//!
//! A server reads requests ([`parse`]) and writes replies ([`write`](mod@write)); a client writes requests and reads
//! replies ([`read`]). All of it works on buffers in memory and knows nothing of sockets or commands.

pub mod inline;
pub mod parse;
pub mod read;
pub mod write;

/// Which of the two versions is spoken: a client begins with the second and may ask for the third (`HELLO 3`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Protocol {
    /// RESP2.
    #[default]
    Two,
    /// RESP3: maps, sets, doubles, and a null of its own.
    Three,
}
