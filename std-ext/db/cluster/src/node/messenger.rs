//! Sends the messages of channels to the other nodes: [`Messenger`].
//!
//! A message is sent once, and is lost if the other node cannot be reached, as in Redis Cluster. A node that takes its
//! messages slowly has a queue of its own, and loses what does not fit.

mod link;

use crate::measure::clock;
use crate::measure::counters::ClusterCounters;
use crate::measure::failures::Failures;
use crate::peer::channels::{LONGEST_CHANNEL, LONGEST_MESSAGE};
use crate::peer::wire::ChannelMessage;
use crate::peer::{PeerClient, PeerClientOptions, PeerError};
use hedgerow_db_engine::lock::lock;
use hedgerow_db_group::NodeId;
use link::{PeerLink, Sending};
use prost::bytes::Bytes;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// How long a node that cannot be reached is left alone.
const AGAIN: Duration = Duration::from_secs(1);
/// A call that has lasted for so long has had a connection: the attempt to connect ends earlier.
const CONNECTED: Duration = Duration::from_secs(20);

/// The thread that sends messages. Dropping it loses those that wait.
pub(crate) struct Messenger {
    links: Arc<Links>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Messenger {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system refuses one.
    pub(crate) fn start(
        options: PeerClientOptions,
        counters: Arc<ClusterCounters>,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let handle = runtime.handle().clone();
        let links =
            Arc::new(Links { runtime: handle, options, counters, by_node: Mutex::default() });
        let thread = thread::Builder::new().name("hedgerow-messages".into()).spawn(move || {
            // Dropping the sender is a signal as well.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { links, stop: Some(stop), thread: Some(thread) })
    }

    pub(crate) fn links(&self) -> &Arc<Links> {
        &self.links
    }
}

impl Drop for Messenger {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has printed its message.
            let _ = thread.join();
        }
    }
}

/// The ways to the other nodes.
pub(crate) struct Links {
    runtime: Handle,
    options: PeerClientOptions,
    counters: Arc<ClusterCounters>,
    by_node: Mutex<BTreeMap<NodeId, Arc<PeerLink>>>,
}

impl Links {
    /// Sets the other nodes that live, and their peer addresses. Messages that wait for others are lost.
    pub(crate) fn set_nodes(&self, nodes: &BTreeMap<NodeId, String>) {
        let mut links = lock(&self.by_node);
        links.retain(|id, link| {
            // A node that was restarted elsewhere gets a new link.
            let stays = nodes.get(id) == Some(&link.address);
            if !stays {
                self.counters.messages.lost.add(link.close());
            }
            stays
        });
        for (id, address) in nodes {
            links.entry(*id).or_insert_with(|| {
                let link = Arc::new(PeerLink::new(address.clone()));
                self.runtime.spawn(run(Arc::clone(&link), self.options.clone()));
                link
            });
        }
    }

    /// Sends a message to all other nodes. Does not wait.
    pub(crate) fn send(&self, channel: &[u8], payload: &[u8]) {
        let links = lock(&self.by_node);
        let counters = &self.counters.messages;
        if channel.len() > LONGEST_CHANNEL || payload.len() > LONGEST_MESSAGE {
            counters.lost.add(links.len() as u64);
            return;
        }
        if links.is_empty() {
            return;
        }
        let (channel, payload) = (Bytes::copy_from_slice(channel), Bytes::copy_from_slice(payload));
        let message = ChannelMessage { channel, payload, more: false };
        for link in links.values() {
            let counter = if link.put(&message) { &counters.sent } else { &counters.lost };
            counter.add(1);
        }
    }
}

/// Sends a node its messages while it has a link. Connects when there is the first one.
async fn run(link: Arc<PeerLink>, options: PeerClientOptions) {
    let mut failures = Failures::default();
    while link.has_mail().await {
        let begin = Instant::now();
        let Err(why) = send_all(&link, &options).await else { continue };
        if begin.elapsed() > CONNECTED {
            failures.end();
        }
        if failures.must_be_told(clock::now()) {
            tracing::warn!(
                "for several seconds, no pub/sub message has reached the node at {}: {why}",
                link.address
            );
        } else {
            tracing::debug!("pub/sub messages do not reach {}: {why}", link.address);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Sends messages until the link is closed.
async fn send_all(link: &Arc<PeerLink>, options: &PeerClientOptions) -> Result<(), PeerError> {
    PeerClient::new(&link.address, options)?.messages(|from| Sending::new(link, from)).await
}
