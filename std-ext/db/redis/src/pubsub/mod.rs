//! Channels and messages: the registry of subscriptions, and the delivery of messages to the threads that serve the
//! subscribers.
//!
//! A publisher encodes a message once, and puts a reference to it into the [`Mailbox`] of each subscriber. It waits for
//! no subscriber: a mailbox that exceeds its limit is emptied, and its client is closed. The thread that serves the
//! subscriber is woken, and moves the messages into the client's output.
//!
//! **Order.** A publisher holds the lock of the channel while it fills the mailboxes. So all subscribers of a channel
//! get its messages in one order, also those that subscribe to a pattern, and the messages of one publisher arrive in
//! the order in which it sent them. Messages of different publishers on different channels have no order.
//!
//! **The end of a subscription.** To end one takes the same lock. So once it has ended, no message for it comes into
//! the mailbox, and the caller delivers those that are in it before it says so.
//!
//! **Redirected messages.** A client can have its messages about changed keys (`CLIENT TRACKING`) redirected to any
//! other client, without asking it. Unless the receiver subscribes to their channel, they have a queue and a limit of
//! their own, so they neither close the receiver nor take the room of its own messages. One that finds no room breaks
//! the redirection: the client that redirects is told.
//!
//! Locks are taken in this order: those of the database's shards, for events about keys; a channel's shard; the
//! patterns; a mailbox; a worker's list.

mod hub;
mod key_event;
mod mailbox;
mod message;
mod post;
mod registry;
mod subscriptions;

#[cfg(test)]
mod tests;

pub use hub::{ChannelKind, Counts, Hub};
pub(crate) use mailbox::Redirected;
pub use mailbox::{Left, Mailbox};
pub use message::Message;
pub use post::{Wake, run_worker};
pub use registry::Name;
pub use subscriptions::Subscriptions;
