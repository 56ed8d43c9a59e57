//! A message, encoded once for all its receivers.

use hedgerow_db_formats::resp::Protocol;
use hedgerow_db_formats::resp::write::RespWriter;
use std::sync::Arc;

#[cfg(test)]
thread_local! {
    /// How many messages of bulk strings this thread has encoded.
    pub(super) static ENCODED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// A message. Clones share the bytes.
///
/// RESP2 and RESP3 differ in the head of a message, which depends on its form. It is left out here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    rest: Arc<[u8]>,
    form: Form,
}

/// The kind of a message, on which its head depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A message of a channel: an array in RESP2, a push in RESP3.
    Channel,
    /// A line for a monitor.
    Line,
    /// Keys that the receiver must not cache any longer.
    Invalidation {
        /// Whether another client has read the keys, and redirects these messages to the receiver.
        redirected: bool,
        /// Whether nobody need have read the keys: a client asked for all changes of keys with a prefix.
        broadcast: bool,
    },
    /// The client is gone to which the receiver redirects its invalidations.
    BrokenRedirect,
}

impl Message {
    /// Returns a lower bound of the [cost](Self::cost) of a message of bulk strings.
    pub(crate) fn least_cost(parts: &[&[u8]]) -> usize {
        parts.iter().map(|part| part.len()).sum::<usize>() + size_of::<Self>()
    }

    /// Encodes a message of bulk strings.
    pub fn new(parts: &[&[u8]]) -> Self {
        #[cfg(test)]
        ENCODED.set(ENCODED.get() + 1);
        let length = parts.iter().map(|part| part.len() + 16).sum::<usize>();
        let mut bytes = Vec::with_capacity(length + 16);
        let mut out = RespWriter::new(&mut bytes, Protocol::Two);
        out.push(parts.len());
        for part in parts {
            out.bulk(part);
        }
        Self { rest: bytes[1..].into(), form: Form::Channel }
    }

    /// Encodes that a subscription to a slot's channel has ended, and the number of those that are left.
    pub(crate) fn lost(channel: &[u8], count: usize) -> Self {
        let mut bytes = Vec::with_capacity(channel.len() + 64);
        let mut out = RespWriter::new(&mut bytes, Protocol::Two);
        out.push(3);
        out.bulk(b"sunsubscribe");
        out.bulk(channel);
        out.integer((count as u64).cast_signed());
        Self { rest: bytes[1..].into(), form: Form::Channel }
    }

    /// Makes a line for a monitor, without its first byte.
    pub fn line(rest: &[u8]) -> Self {
        Self { rest: rest.into(), form: Form::Line }
    }

    /// Makes the message that keys were changed, from the encoded array of their names or an encoded null.
    pub(crate) fn invalidation(keys: &Arc<[u8]>, redirected: bool) -> Self {
        let form = Form::Invalidation { redirected, broadcast: false };
        Self { rest: Arc::clone(keys), form }
    }

    /// As [`invalidation`](Self::invalidation), of keys that begin with a prefix for which a client asked.
    pub(crate) fn broadcast(keys: &Arc<[u8]>, redirected: bool) -> Self {
        let form = Form::Invalidation { redirected, broadcast: true };
        Self { rest: Arc::clone(keys), form }
    }

    /// Leaves out the keys that a receiver may not see. Returns `None` if no key is left, or the message itself if it
    /// is no [broadcast](Self::broadcast).
    pub(crate) fn with_keys(self, may_see: impl Fn(&[u8]) -> bool) -> Option<Self> {
        let is_broadcast = matches!(self.form, Form::Invalidation { broadcast: true, .. });
        if !is_broadcast || !self.rest.starts_with(b"*") {
            return Some(self);
        }
        let all = bulk_strings(&self.rest);
        let seen: Vec<&[u8]> = all.iter().copied().filter(|key| may_see(key)).collect();
        if seen.is_empty() {
            return None;
        }
        if seen.len() == all.len() {
            return Some(self);
        }
        let mut rest = Vec::new();
        let mut out = RespWriter::new(&mut rest, Protocol::Two);
        out.array(seen.len());
        for key in &seen {
            out.bulk(key);
        }
        Some(Self { rest: rest.into(), form: self.form })
    }

    /// Encodes that a client is gone to which the receiver redirects its invalidations.
    pub(crate) fn broken_redirect(client: u64) -> Self {
        Self { rest: format!(":{client}\r\n").into_bytes().into(), form: Form::BrokenRedirect }
    }

    /// Returns the bytes that come first for a receiver that uses this protocol; `None` if it gets no such message.
    pub fn head(&self, protocol: Protocol, subscribes: bool) -> Option<&'static [u8]> {
        match (self.form, protocol) {
            (Form::Channel, Protocol::Two) => Some(b"*"),
            (Form::Channel, Protocol::Three) => Some(b">"),
            (Form::Line, _) => Some(b"+"),
            (Form::Invalidation { .. }, Protocol::Three) => Some(b">2\r\n$10\r\ninvalidate\r\n"),
            // In RESP2 only a subscriber can tell a message from a reply.
            (Form::Invalidation { redirected: true, .. }, Protocol::Two) if subscribes => {
                Some(b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n")
            }
            (Form::BrokenRedirect, Protocol::Three) => {
                Some(b">2\r\n$21\r\ntracking-redir-broken\r\n")
            }
            (Form::Invalidation { .. } | Form::BrokenRedirect, Protocol::Two) => None,
        }
    }

    /// Returns the bytes behind the head.
    pub fn rest(&self) -> &Arc<[u8]> {
        &self.rest
    }

    /// Returns the bytes that the message counts for the limit of each of its receivers.
    pub(super) fn cost(&self) -> usize {
        self.rest.len() + size_of::<Self>()
    }
}

/// Returns the bulk strings of an encoded array of them.
fn bulk_strings(array: &[u8]) -> Vec<&[u8]> {
    let line = |bytes: &[u8]| bytes.iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let mut all = Vec::new();
    let mut rest = &array[line(array)..];
    while let [b'$', digits @ ..] = rest {
        let behind = line(digits);
        let length =
            str::from_utf8(&digits[..behind]).ok().and_then(|text| text.trim_end().parse().ok());
        let Some((string, next)) =
            length.and_then(|length| digits[behind..].split_at_checked(length))
        else {
            break;
        };
        all.push(string);
        // Its end, `\r\n`.
        rest = next.get(2..).unwrap_or_default();
    }
    all
}
