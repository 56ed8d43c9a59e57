//! Channels and messages: the registry of subscriptions, and the delivery of messages to the threads that serve the
//! subscribers.
//!
//! A publisher encodes a message once, and puts a reference to it into the [`Mailbox`] of each subscriber. It waits for
//! no subscriber: a mailbox that exceeds its limit is emptied, and its client is closed. The thread that serves the
//! subscriber is woken, and moves the messages into the client's output.
//!
//! **Order.** A publisher holds the lock of the channel while it fills the mailboxes. So all subscribers of a channel get
//! its messages in one order, also those that subscribe to a pattern, and the messages of one publisher arrive in the
//! order in which it sent them. Messages of different publishers on different channels have no order.
//!
//! **The end of a subscription.** To end one takes the same lock. So once it has ended, no message for it comes into the
//! mailbox, and the caller delivers those that are in it before it says so.
//!
//! Locks are taken in this order: a channel's shard, the patterns, a mailbox, a worker's list.

mod mailbox;
mod message;
mod registry;
mod subscriptions;

#[cfg(test)]
mod tests;

pub use mailbox::{Left, Mailbox};
pub use message::Message;
pub use subscriptions::Subscriptions;

use crate::gauge::Gauge;
use crate::glob;
use crate::lock::lock;
use registry::{Channels, Patterns, Subscribers};
use std::cell::Cell;
use std::sync::{Arc, Mutex, OnceLock};

/// The name of a channel, or a pattern, shared by all that hold it.
pub type Name = Arc<[u8]>;

/// What a subscription names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
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

type Wake = Box<dyn Fn(usize) + Send + Sync>;

thread_local! {
    /// The worker that runs on this thread.
    static WORKER: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The channels of a server.
pub struct Hub {
    channels: Channels,
    shard_channels: Channels,
    patterns: Patterns,
    /// For each worker, the clients that have got mail.
    announced: Vec<Mutex<Vec<usize>>>,
    /// Wakes a worker.
    wake: OnceLock<Wake>,
    /// Bytes of messages that may wait in a mailbox.
    limit: Gauge,
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
            announced: (0..workers).map(|_| Mutex::default()).collect(),
            wake: OnceLock::new(),
            limit: Gauge::new(u64::MAX),
        })
    }

    /// Sets the function that wakes a worker, once.
    pub fn on_mail(&self, wake: Wake) {
        let _ = self.wake.set(wake);
    }

    /// Sets how many bytes of messages may wait in a mailbox.
    pub fn set_limit(&self, bytes: usize) {
        self.limit.set(bytes as u64);
    }

    /// Notes that this thread runs a worker, which looks at its mail in each cycle and need not be woken by itself.
    pub fn run_worker(number: usize) {
        WORKER.set(number);
    }

    /// Takes the places of the clients of a worker that have got mail, about: a place may belong to another client now.
    pub fn take_announced(&self, worker: usize, places: &mut Vec<usize>) {
        if let Some(announced) = self.announced.get(worker) {
            std::mem::swap(&mut *lock(announced), places);
        }
    }

    /// Returns whether clients of a worker have got mail since it last looked.
    pub fn has_announced(&self, worker: usize) -> bool {
        self.announced.get(worker).is_some_and(|announced| !lock(announced).is_empty())
    }

    /// Lets a worker know that one of its clients has mail. Returns whether the caller must wake the worker.
    fn announce(&self, worker: usize, place: usize) -> bool {
        let Some(announced) = self.announced.get(worker) else { return false };
        let mut announced = lock(announced);
        announced.push(place);
        // Whoever added the first one wakes the worker.
        announced.len() == 1 && WORKER.get() != worker
    }

    fn wake(&self, workers: &[usize]) {
        if let Some(wake) = self.wake.get() {
            for worker in workers {
                wake(*worker);
            }
        }
    }

    /// Sends a message to the subscribers of a channel, and returns their number. A client that gets it both by the
    /// channel's name and by a pattern counts twice.
    pub fn publish(&self, channel: &[u8], payload: &[u8]) -> u64 {
        let mut delivery = Delivery { hub: self, receivers: 0, wakes: Vec::new() };
        let channels = self.channels.lock(channel);
        if let Some(subscribers) = channels.get(channel) {
            let message = Message::new(&[b"message", channel, payload]);
            delivery.send_all(subscribers, &message);
        }
        for (pattern, subscribers) in self.patterns.read().iter() {
            if glob::matches(pattern, channel, false) {
                let message = Message::new(&[b"pmessage", pattern, channel, payload]);
                delivery.send_all(subscribers, &message);
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
            let message = Message::new(&[b"smessage", channel, payload]);
            delivery.send_all(subscribers, &message);
        }
        drop(channels);
        delivery.finish()
    }

    /// Puts a message into a mailbox.
    pub fn send(&self, mailbox: &Mailbox, message: Message) {
        if let Some(worker) = mailbox.put(self, message) {
            self.wake(&[worker]);
        }
    }

    /// Returns the number of subscribers of a channel.
    pub fn subscribers(&self, kind: Kind, channel: &[u8]) -> u64 {
        self.of(kind).lock(channel).get(channel).map_or(0, |subscribers| subscribers.len() as u64)
    }

    /// Returns the channels that have a subscriber and match a pattern.
    pub fn names(&self, kind: Kind, pattern: Option<&[u8]>) -> Vec<Name> {
        self.of(kind).names(|name| pattern.is_none_or(|by| glob::matches(by, name, false)))
    }

    /// Returns the numbers of channels and patterns.
    pub fn counts(&self) -> Counts {
        Counts {
            channels: self.channels.len(),
            patterns: self.patterns.read().len() as u64,
            shard_channels: self.shard_channels.len(),
        }
    }

    fn of(&self, kind: Kind) -> &Channels {
        if kind == Kind::ShardChannel { &self.shard_channels } else { &self.channels }
    }

    fn subscribe(&self, kind: Kind, name: &Name, mailbox: &Arc<Mailbox>) {
        match kind {
            Kind::Pattern => self.patterns.add(name, mailbox),
            _ => self.of(kind).add(name, mailbox),
        }
    }

    fn unsubscribe(&self, kind: Kind, name: &[u8], client: u64) {
        match kind {
            Kind::Pattern => self.patterns.remove(name, client),
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
    fn send_all(&mut self, subscribers: &Subscribers, message: &Message) {
        self.receivers += subscribers.len() as u64;
        for mailbox in subscribers.values() {
            self.wakes.extend(mailbox.put(self.hub, message.clone()));
        }
    }

    /// Wakes the workers, without a lock, and returns the number of receivers.
    fn finish(self) -> u64 {
        self.hub.wake(&self.wakes);
        self.receivers
    }
}
