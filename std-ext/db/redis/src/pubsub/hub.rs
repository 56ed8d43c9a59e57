//! The channels of a server and their subscribers, and the delivery of messages to them.

use crate::pubsub::mailbox::Mailbox;
use crate::pubsub::message::Message;
use crate::pubsub::post::{PostOffice, Wake};
use crate::pubsub::registry::{Channels, Name, Patterns, Subscribers};
use hedgerow_db_formats::glob::Glob;
use std::sync::Arc;

/// Bytes that the reply for a name has besides it, at least.
const NAME: usize = b"$0\r\n\r\n".len();

/// The kind of name that a subscription has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelKind {
    /// A channel (`SUBSCRIBE`).
    Channel,
    /// A pattern of channels (`PSUBSCRIBE`).
    Pattern,
    /// A channel of a slot (`SSUBSCRIBE`). It has no patterns.
    ShardChannel,
}

/// The numbers that `INFO` shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Channels with a subscriber.
    pub channels: u64,
    /// Patterns with a subscriber.
    pub patterns: u64,
    /// Channels of slots with a subscriber.
    pub shard_channels: u64,
}

/// The channels of a server.
pub struct Hub {
    channels: Channels,
    shard_channels: Channels,
    patterns: Patterns,
    /// How the workers learn of messages.
    pub(super) post: PostOffice,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

impl Hub {
    /// Makes the hub of a server with this number of workers.
    pub fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            channels: Channels::default(),
            shard_channels: Channels::default(),
            patterns: Patterns::default(),
            post: PostOffice::new(workers),
        })
    }

    /// Sets the function that wakes a worker, once.
    pub fn on_mail(&self, wake: Wake) {
        self.post.on_mail(wake);
    }

    /// Sets how many bytes of messages may wait in a mailbox.
    pub fn set_limit(&self, bytes: usize) {
        self.post.set_limit(bytes);
    }

    /// Takes the places of the clients of a worker that have got mail, about: a place may belong to another client now.
    #[inline]
    pub fn take_announced(&self, worker: usize, places: &mut Vec<usize>) {
        self.post.take_announced(worker, places);
    }

    /// Returns whether clients of a worker have got mail since it last looked.
    #[inline]
    pub fn has_announced(&self, worker: usize) -> bool {
        self.post.has_announced(worker)
    }

    /// Sends a message to the subscribers of a channel, and returns their number. A client that gets it both by the
    /// channel's name and by a pattern counts twice.
    pub fn publish(&self, channel: &[u8], payload: &[u8]) -> u64 {
        let mut delivery = Delivery { hub: self, receivers: 0, wakes: Vec::new() };
        let channels = self.channels.lock(channel);
        if let Some(subscribers) = channels.get(channel) {
            delivery.send_all(subscribers, &[b"message", channel, payload]);
        }
        for (name, pattern) in self.patterns.read().iter() {
            // Briefly: a publisher holds locks here, of shards as well if it reports an event.
            if pattern.glob.matches_briefly(channel) {
                delivery.send_all(&pattern.subscribers, &[b"pmessage", name, channel, payload]);
            }
        }
        drop(channels);
        delivery.finish()
    }

    /// Sends a message to the subscribers of a slot's channel, and returns their number.
    pub fn publish_to_shard(&self, channel: &[u8], payload: &[u8]) -> u64 {
        let mut delivery = Delivery { hub: self, receivers: 0, wakes: Vec::new() };
        let channels = self.shard_channels.lock(channel);
        if let Some(subscribers) = channels.get(channel) {
            delivery.send_all(subscribers, &[b"smessage", channel, payload]);
        }
        drop(channels);
        delivery.finish()
    }

    /// Puts a message into a mailbox.
    pub fn send(&self, mailbox: &Mailbox, message: Message) {
        if let Some(worker) = mailbox.put(&self.post, message) {
            self.post.wake(&[worker]);
        }
    }

    /// As `send`, of a message that costs at least this, and that is made only if the mailbox has room for as much.
    pub(crate) fn send_new(
        &self,
        mailbox: &Mailbox,
        least: usize,
        message: impl FnOnce() -> Message,
    ) {
        if let Some(worker) = mailbox.put_new(&self.post, least, message) {
            self.post.wake(&[worker]);
        }
    }

    /// As `send_new`, of a message that another client redirects to that of the mailbox. Returns whether this has not
    /// missed it: a client that ignores such messages misses none.
    pub(crate) fn redirect(
        &self,
        mailbox: &Mailbox,
        least: usize,
        message: impl FnOnce() -> Message,
    ) -> bool {
        let put = mailbox.put_redirected(&self.post, least, message);
        if let Ok(Some(worker)) = put {
            self.post.wake(&[worker]);
        }
        put.is_ok()
    }

    /// Returns how many receivers a message would have now, as [`publish`](Self::publish) counts them.
    #[cfg(feature = "scripts")]
    pub(crate) fn receivers(&self, kind: ChannelKind, channel: &[u8]) -> u64 {
        let by_name = self.subscribers(kind, channel);
        if kind == ChannelKind::ShardChannel {
            return by_name;
        }
        let patterns = self.patterns.read();
        let matching = patterns.values().filter(|pattern| pattern.glob.matches_briefly(channel));
        by_name + matching.map(|pattern| pattern.subscribers.len() as u64).sum::<u64>()
    }

    /// Returns the number of subscribers of a channel.
    pub fn subscribers(&self, kind: ChannelKind, channel: &[u8]) -> u64 {
        self.of(kind).lock(channel).get(channel).map_or(0, |subscribers| subscribers.len() as u64)
    }

    /// Returns the channels that have a subscriber and match a pattern. Stops when their names exceed `room` bytes.
    pub fn names(&self, kind: ChannelKind, pattern: Option<&[u8]>, room: usize) -> Vec<Name> {
        let channels = self.of(kind);
        let pattern = pattern.map(|pattern| Glob::new(pattern, channels.longest()));
        // Those are shown whose messages a subscriber to the pattern gets.
        let matches =
            |name: &Name| pattern.as_ref().is_none_or(|pattern| pattern.matches_briefly(name));
        let (mut names, mut bytes) = (Vec::new(), 0);
        for name in channels.names().filter(matches) {
            bytes += name.len() + NAME;
            names.push(name);
            if bytes > room {
                break;
            }
        }
        names
    }

    /// Returns the numbers of channels and patterns.
    pub fn counts(&self) -> Counts {
        Counts {
            channels: self.channels.len(),
            patterns: self.patterns.read().len() as u64,
            shard_channels: self.shard_channels.len(),
        }
    }

    fn of(&self, kind: ChannelKind) -> &Channels {
        if kind == ChannelKind::ShardChannel { &self.shard_channels } else { &self.channels }
    }

    pub(super) fn subscribe(&self, kind: ChannelKind, name: &Name, mailbox: &Arc<Mailbox>) {
        match kind {
            ChannelKind::Pattern => self.patterns.add(name, mailbox),
            _ => self.of(kind).add(name, mailbox),
        }
    }

    pub(super) fn unsubscribe(&self, kind: ChannelKind, name: &[u8], client: u64) {
        match kind {
            ChannelKind::Pattern => self.patterns.remove(name, client),
            _ => self.of(kind).remove(name, client),
        }
    }
}

/// A message on its way to several subscribers.
struct Delivery<'h> {
    hub: &'h Hub,
    receivers: u64,
    wakes: Vec<usize>,
}

impl Delivery<'_> {
    /// Encodes a message once, when the first subscriber has room for it: a client that has subscribed to thousands of
    /// matching patterns, and is over its limit, must not cost as many copies of a long message.
    fn send_all(&mut self, subscribers: &Subscribers, parts: &[&[u8]]) {
        self.receivers += subscribers.len() as u64;
        let (post, least) = (&self.hub.post, Message::least_cost(parts));
        let mut encoded = None;
        for mailbox in subscribers.values() {
            let woken = match &encoded {
                None if !mailbox.has_room(post, least) => mailbox.overflow(post),
                None => mailbox.put(post, encoded.insert(Message::new(parts)).clone()),
                Some(message) => mailbox.put(post, message.clone()),
            };
            self.wakes.extend(woken);
        }
    }

    /// Wakes the workers, without a lock, and returns the number of receivers.
    fn finish(self) -> u64 {
        self.hub.post.wake(&self.wakes);
        self.receivers
    }
}
