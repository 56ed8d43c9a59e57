//! The subscriptions of one client.

use crate::limits::SUBSCRIPTION_BYTES;
use crate::pubsub::hub::{ChannelKind, Hub};
use crate::pubsub::mailbox::Mailbox;
use crate::pubsub::message::Message;
use crate::pubsub::registry::Name;
use std::collections::HashSet;
use std::sync::Arc;

/// Bytes that a subscription takes besides its name, here and in the registry, about.
const SUBSCRIPTION: usize = 256;

/// Returns the bytes that a subscription takes, about.
fn cost(kind: ChannelKind, name: &[u8]) -> usize {
    // A pattern is compiled as well, to at most twice its length.
    let times = if kind == ChannelKind::Pattern { 3 } else { 1 };
    SUBSCRIPTION + name.len().saturating_mul(times)
}

/// The subscriptions of one client. They end when this is dropped.
#[derive(Debug)]
pub struct Subscriptions {
    hub: Arc<Hub>,
    mailbox: Arc<Mailbox>,
    channels: HashSet<Name>,
    patterns: HashSet<Name>,
    shard_channels: HashSet<Name>,
    /// An estimate of the memory that all this takes.
    bytes: usize,
}

impl Subscriptions {
    /// Makes the subscriptions of a client, which has none yet.
    pub fn new(hub: &Arc<Hub>, client: u64) -> Self {
        Self::with_mailbox(hub, Arc::new(Mailbox::new(client)))
    }

    /// Makes the subscriptions of a client that has a mailbox already.
    pub fn with_mailbox(hub: &Arc<Hub>, mailbox: Arc<Mailbox>) -> Self {
        hub.post.mailboxes.add(1);
        Self {
            hub: Arc::clone(hub),
            mailbox,
            channels: HashSet::new(),
            patterns: HashSet::new(),
            shard_channels: HashSet::new(),
            bytes: 0,
        }
    }

    /// Returns the channels of the server.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Returns the client's mailbox.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Notes where the client is served from now on. The worker calls this itself, and looks at its mail afterwards.
    pub fn set_place(&self, worker: usize, place: usize) {
        self.mailbox.set_place(&self.hub.post, worker, place);
    }

    /// Returns the numbers of channels, of patterns and of slots' channels.
    pub fn counts(&self) -> [usize; 3] {
        [self.channels.len(), self.patterns.len(), self.shard_channels.len()]
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.counts() == [0; 3]
    }

    /// Returns whether all names are `allowed`, which is told whether each is a pattern.
    pub(crate) fn all(&self, allowed: impl Fn(&[u8], bool) -> bool) -> bool {
        let mut channels = self.channels.iter().chain(&self.shard_channels);
        channels.all(|name| allowed(name, false))
            && self.patterns.iter().all(|pattern| allowed(pattern, true))
    }

    /// Returns whether the client subscribes to a channel by its name.
    pub(crate) fn has_channel(&self, channel: &[u8]) -> bool {
        self.channels.contains(channel)
    }

    /// Returns an estimate of the memory that the subscriptions take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the number of subscriptions that Redis counts together with those of a kind.
    pub fn count(&self, kind: ChannelKind) -> usize {
        match kind {
            ChannelKind::Channel | ChannelKind::Pattern => {
                self.channels.len() + self.patterns.len()
            }
            ChannelKind::ShardChannel => self.shard_channels.len(),
        }
    }

    /// Adds a subscription. Returns whether there was room.
    pub fn add(&mut self, kind: ChannelKind, name: &[u8]) -> bool {
        if self.of(kind).contains(name) {
            return true;
        }
        let bytes = self.bytes.saturating_add(cost(kind, name));
        if bytes > SUBSCRIPTION_BYTES {
            return false;
        }
        self.bytes = bytes;
        let name: Name = name.into();
        self.hub.subscribe(kind, &name, &self.mailbox);
        self.of(kind).insert(name);
        true
    }

    /// Ends a subscription, if there is one.
    pub fn remove(&mut self, kind: ChannelKind, name: &[u8]) {
        if self.of(kind).remove(name) {
            self.bytes -= cost(kind, name);
            self.hub.unsubscribe(kind, name, self.mailbox.client());
        }
    }

    /// Ends the subscriptions to channels of slots that are `lost`. Returns what the client is told of each.
    pub(crate) fn remove_lost(&mut self, lost: impl Fn(&[u8]) -> bool) -> Vec<Message> {
        let names: Vec<Name> =
            self.shard_channels.iter().filter(|name| lost(name)).map(Arc::clone).collect();
        let remove = |name: &Name| {
            self.remove(ChannelKind::ShardChannel, name);
            Message::lost(name, self.shard_channels.len())
        };
        names.iter().map(remove).collect()
    }

    /// Ends all subscriptions of a kind. Calls `each` with the name of each, and the [`count`](Self::count) behind it.
    pub fn remove_all(&mut self, kind: ChannelKind, mut each: impl FnMut(&Name, usize)) {
        let names = std::mem::take(self.of(kind));
        let mut count = self.count(kind) + names.len();
        for name in names {
            self.bytes -= cost(kind, &name);
            self.hub.unsubscribe(kind, &name, self.mailbox.client());
            count -= 1;
            each(&name, count);
        }
    }

    /// Ends all subscriptions.
    pub fn clear(&mut self) {
        for kind in [ChannelKind::Channel, ChannelKind::Pattern, ChannelKind::ShardChannel] {
            self.remove_all(kind, |_, _| {});
        }
    }

    fn of(&mut self, kind: ChannelKind) -> &mut HashSet<Name> {
        match kind {
            ChannelKind::Channel => &mut self.channels,
            ChannelKind::Pattern => &mut self.patterns,
            ChannelKind::ShardChannel => &mut self.shard_channels,
        }
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        self.clear();
        self.hub.post.mailboxes.sub(1);
    }
}
