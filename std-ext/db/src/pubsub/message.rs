//! A message, encoded once for all its receivers.

use crate::resp::Protocol;
use crate::resp::write::Writer;
use std::sync::Arc;

/// A message. Clones share the bytes.
///
/// RESP2 and RESP3 differ in the first byte alone: one sends an array, the other a push. It is left out here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message(Arc<[u8]>);

impl Message {
    /// Encodes a message of bulk strings.
    pub fn new(parts: &[&[u8]]) -> Self {
        let length = parts.iter().map(|part| part.len() + 16).sum::<usize>();
        let mut bytes = Vec::with_capacity(length + 16);
        let mut out = Writer::new(&mut bytes, Protocol::Two);
        out.push(parts.len());
        for part in parts {
            out.bulk(part);
        }
        Self(bytes[1..].into())
    }

    /// Encodes that a subscription to a slot's channel has ended, and the number of those that are left.
    pub(crate) fn lost(channel: &[u8], count: usize) -> Self {
        let mut bytes = Vec::with_capacity(channel.len() + 64);
        let mut out = Writer::new(&mut bytes, Protocol::Two);
        out.push(3);
        out.bulk(b"sunsubscribe");
        out.bulk(channel);
        out.integer((count as u64).cast_signed());
        Self(bytes[1..].into())
    }

    /// Makes a line for a monitor, whose first byte is another one.
    pub fn line(rest: &[u8]) -> Self {
        Self(rest.into())
    }

    /// Returns the first byte in this protocol.
    pub fn mark(protocol: Protocol) -> u8 {
        match protocol {
            Protocol::Two => b'*',
            Protocol::Three => b'>',
        }
    }

    /// Returns the bytes behind the first one.
    pub fn rest(&self) -> &Arc<[u8]> {
        &self.0
    }

    /// Returns the bytes that the message counts for the limit of each of its receivers.
    pub(super) fn cost(&self) -> usize {
        self.0.len() + size_of::<Self>()
    }
}
