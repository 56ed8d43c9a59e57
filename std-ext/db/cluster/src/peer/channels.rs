//! Messages of channels on the wire. A long one comes in parts, so that no request is long.

use super::wire::ChannelMessage;
use prost::bytes::Bytes;

/// The longest name of a channel whose messages reach other nodes: that of the longest key.
pub(crate) const LONGEST_CHANNEL: usize = 65_535;
/// The longest message that reaches other nodes: by default, a subscriber that has more to read is disconnected.
pub(crate) const LONGEST_MESSAGE: usize = 32 << 20;
/// Bytes that a request takes, beside one channel's name.
const REQUEST: usize = 256 << 10;
/// Bytes that a message counts for beside its channel and payload.
pub(crate) const OVERHEAD: usize = 64;

/// Makes the requests of one call.
#[derive(Default)]
pub(crate) struct Splitter {
    /// The end of the message of which the first parts were sent.
    rest: Option<Bytes>,
}

impl Splitter {
    /// Returns the messages of the next request. `next` returns the messages that wait, one by one.
    pub(crate) fn request(
        &mut self,
        mut next: impl FnMut() -> Option<ChannelMessage>,
    ) -> Vec<ChannelMessage> {
        let mut messages = Vec::new();
        let mut space = REQUEST;
        while space > 0 {
            let rest =
                self.rest.take().map(|payload| ChannelMessage { payload, ..Default::default() });
            let Some(mut message) = rest.or_else(&mut next) else { break };
            if message.payload.len() > space {
                self.rest = Some(message.payload.split_off(space));
                message.more = true;
            }
            let taken = message.channel.len() + message.payload.len() + OVERHEAD;
            // The rest comes next: the receiver joins one message at a time.
            space = if message.more { 0 } else { space.saturating_sub(taken) };
            messages.push(message);
        }
        messages
    }
}

/// Puts the parts of one call together.
#[derive(Default)]
pub(super) struct PartJoiner {
    /// The message of which more parts come.
    begun: Option<(Bytes, Vec<u8>)>,
}

impl PartJoiner {
    /// Takes a message or a part of one. Returns the channel and the payload of a message that is complete.
    ///
    /// # Errors
    /// If it is longer than a node sends.
    pub(super) fn take(
        &mut self,
        message: ChannelMessage,
    ) -> Result<Option<(Bytes, Bytes)>, &'static str> {
        let ChannelMessage { channel, payload, more } = message;
        if channel.len() > LONGEST_CHANNEL {
            return Err("the name of a channel is too long");
        }
        // A message in one piece, as nearly all are, is not copied.
        if self.begun.is_none() && !more {
            return Ok(Some((channel, payload)));
        }
        let (_, whole) = self.begun.get_or_insert_with(|| (channel, Vec::new()));
        // Before it is taken: the sender alone decides how many parts come.
        if payload.len() > LONGEST_MESSAGE - whole.len() {
            return Err("a message is too long");
        }
        whole.extend_from_slice(&payload);
        if more {
            return Ok(None);
        }
        Ok(self.begun.take().map(|(channel, whole)| (channel, whole.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(channel: &'static str, length: usize) -> ChannelMessage {
        let payload = (0..length).map(|at| (at % 251) as u8).collect::<Vec<u8>>().into();
        ChannelMessage { channel: channel.into(), payload, more: false }
    }

    #[test]
    fn long_messages_come_in_parts_and_in_order() {
        let sent: Vec<_> = [("a", 3), ("b", 0), ("long", 3 * REQUEST + 5), ("c", REQUEST), ("", 9)]
            .map(|(channel, length)| message(channel, length))
            .into();
        let (mut waiting, mut splitter) = (sent.clone().into_iter(), Splitter::default());
        let (mut joiner, mut received) = (PartJoiner::default(), Vec::new());
        loop {
            let request = splitter.request(|| waiting.next());
            if request.is_empty() {
                break;
            }
            let bytes: usize = request.iter().map(|one| one.payload.len()).sum();
            assert!(bytes <= REQUEST, "a request of {bytes} bytes");
            for message in request {
                if let Some((channel, payload)) = joiner.take(message).unwrap() {
                    received.push(ChannelMessage { channel, payload, more: false });
                }
            }
        }
        assert!(received == sent, "messages were mixed up");
    }

    #[test]
    fn a_message_without_an_end_is_refused() {
        let mut joiner = PartJoiner::default();
        let part = || ChannelMessage { more: true, ..message("a", REQUEST) };
        for _ in 0..LONGEST_MESSAGE / REQUEST {
            assert_eq!(joiner.take(part()), Ok(None));
        }
        assert_eq!(joiner.take(part()), Err("a message is too long"));
        let name = vec![b'n'; LONGEST_CHANNEL + 1].into();
        let named = ChannelMessage { channel: name, ..Default::default() };
        assert_eq!(PartJoiner::default().take(named), Err("the name of a channel is too long"));
    }
}
