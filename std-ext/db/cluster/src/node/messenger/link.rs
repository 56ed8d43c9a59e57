//! The messages that wait for one node: [`PeerLink`].

use crate::peer::channels::{LONGEST_MESSAGE, OVERHEAD, Splitter};
use crate::peer::wire::{ChannelMessage, Identity, MessagesRequest};
use hedgerow_db_engine::lock::lock;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use tonic::codegen::tokio_stream::Stream;

/// Bytes that may wait: the longest message, and as much again.
const MOST_WAITING: usize = 2 * LONGEST_MESSAGE;

/// The messages that wait for one node.
pub(super) struct PeerLink {
    /// The node's peer address.
    pub(super) address: String,
    queue: Mutex<LinkQueue>,
}

#[derive(Default)]
struct LinkQueue {
    messages: VecDeque<ChannelMessage>,
    bytes: usize,
    /// The task that waits for a message.
    waiting: Option<Waker>,
    closed: bool,
}

impl PeerLink {
    pub(super) fn new(address: String) -> Self {
        Self { address, queue: Mutex::default() }
    }

    /// Puts a message behind the others. Returns whether there was space.
    pub(super) fn put(&self, message: &ChannelMessage) -> bool {
        let mut queue = lock(&self.queue);
        let bytes = size(message);
        if queue.closed || bytes > MOST_WAITING - queue.bytes {
            return false;
        }
        queue.bytes += bytes;
        queue.messages.push_back(message.clone());
        wake(queue);
        true
    }

    /// Closes the link. Returns the number of messages that have not been sent.
    pub(super) fn close(&self) -> u64 {
        let mut queue = lock(&self.queue);
        queue.closed = true;
        queue.bytes = 0;
        let lost = std::mem::take(&mut queue.messages);
        wake(queue);
        lost.len() as u64
    }

    /// Waits until there is a message. Returns `false` once the link is closed.
    pub(super) async fn has_mail(&self) -> bool {
        let ready = |context: &mut Context<'_>| {
            let mut queue = lock(&self.queue);
            if queue.messages.is_empty() && !queue.closed {
                queue.waiting = Some(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(!queue.closed)
        };
        poll_fn(ready).await
    }
}

/// Wakes the task that waits, without the lock.
fn wake(mut queue: MutexGuard<'_, LinkQueue>) {
    let waiting = queue.waiting.take();
    drop(queue);
    if let Some(waker) = waiting {
        waker.wake();
    }
}

fn size(message: &ChannelMessage) -> usize {
    message.channel.len() + message.payload.len() + OVERHEAD
}

/// The requests of one call, which takes the messages of a link.
pub(super) struct Sending {
    link: Arc<PeerLink>,
    /// In the first request only.
    from: Option<Identity>,
    splitter: Splitter,
}

impl Sending {
    pub(super) fn new(link: &Arc<PeerLink>, from: Identity) -> Self {
        Self { link: Arc::clone(link), from: Some(from), splitter: Splitter::default() }
    }
}

impl Stream for Sending {
    type Item = MessagesRequest;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let mut queue = lock(&this.link.queue);
        let messages = this.splitter.request(|| {
            let message = queue.messages.pop_front()?;
            queue.bytes -= size(&message);
            Some(message)
        });
        if messages.is_empty() {
            if queue.closed {
                return Poll::Ready(None);
            }
            queue.waiting = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Some(MessagesRequest { from: this.from.take(), messages }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_takes_nothing_has_a_bound() {
        let link = PeerLink::new("127.0.0.1:1".to_owned());
        let payload = vec![0; LONGEST_MESSAGE / 4].into();
        let message = ChannelMessage { channel: "news".into(), payload, more: false };
        let taken = (0..100).filter(|_| link.put(&message)).count();
        assert_eq!(taken, 7, "the messages that wait have no bound");
        assert_eq!((link.close(), link.put(&message)), (7, false));
    }
}
