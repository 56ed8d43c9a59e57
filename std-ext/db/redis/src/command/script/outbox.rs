//! The messages of a script, which are sent when its changes are visible.
//!
//! A subscriber that reacts to a message must see the changes that the script made before it, and readers see none of
//! them until the script ends. A script that is stopped has sent nothing.

use crate::command::pubsub::send_message;
use crate::limits::SCRIPT_MESSAGES;
use crate::pubsub::{ChannelKind, Hub};
use crate::view::ViewReader;

/// Bytes that a message takes besides its channel and payload.
const MESSAGE: usize = 64;

struct OutboxMessage {
    kind: ChannelKind,
    channel: Box<[u8]>,
    payload: Box<[u8]>,
}

/// The messages of a script, or of a transaction with scripts.
#[derive(Default)]
pub(in crate::command) struct Outbox {
    messages: Vec<OutboxMessage>,
    bytes: usize,
}

impl Outbox {
    /// Adds a message. Returns the number of its receivers at this time, which is the reply.
    ///
    /// # Errors
    /// The messages would exceed their limit.
    pub(super) fn add(
        &mut self,
        (hub, cluster): (&Hub, Option<&ViewReader>),
        kind: ChannelKind,
        (channel, payload): (&[u8], &[u8]),
    ) -> Result<u64, String> {
        let receivers = hub.receivers(kind, channel);
        let is_passed_on = cluster.is_some() && kind != ChannelKind::ShardChannel;
        // Not kept: a script may send to nobody a million times.
        if receivers == 0 && !is_passed_on {
            return Ok(0);
        }
        let bytes = self.bytes.saturating_add(MESSAGE + channel.len() + payload.len());
        if bytes > SCRIPT_MESSAGES {
            return Err(format!(
                "ERR the messages published by this script exceed {} MiB",
                SCRIPT_MESSAGES >> 20
            ));
        }
        self.bytes = bytes;
        self.messages.push(OutboxMessage {
            kind,
            channel: channel.into(),
            payload: payload.into(),
        });
        Ok(receivers)
    }

    /// Sends all messages, in order. The caller holds the locks of the shards that the script has changed, and has
    /// published them: so the messages of two scripts have the order of their changes.
    pub(super) fn send(self, hub: &Hub, cluster: Option<&ViewReader>) {
        for OutboxMessage { kind, channel, payload } in self.messages {
            send_message((hub, cluster), kind, (&channel, &payload));
        }
    }
}
