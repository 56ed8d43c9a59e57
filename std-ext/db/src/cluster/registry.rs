//! The nodes that are there: each registers itself under `node/<id>`, with a lease of etcd, and reads the others.
//!
//! Nothing is decided by this but where clients and peers find a node, and whether a clock is ahead. A lease that etcd
//! ends too early makes a node look absent for a second.

use super::clock;
use super::core::NodeId;
use super::etcd::{Client, EtcdError, Keys as KeyRange, Lease, Range};
use super::keys::Keys;
use super::message::{Inbox, Message};
use super::registration::{Node, Registration};
use crate::lock::lock;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long etcd keeps the registration of a node that is silent.
const LEASE: Duration = Duration::from_secs(5);
/// How often a node writes its registration and reads the others'.
const PERIOD: Duration = Duration::from_secs(1);
/// How long another process with this node's id must be seen alive before this one stops. A registration from before
/// a restart vanishes sooner.
const TWIN: u64 = 2 * LEASE.as_millis() as u64;
/// The longest value that is read.
const MOST_BYTES: usize = 4096;

/// The registration of this node, which the driver changes and the task writes.
pub(super) struct Registry {
    client: Client,
    keys: Arc<Keys>,
    id: NodeId,
    own: Mutex<Registration>,
    /// The id of the lease; 0 until there is one.
    lease: Mutex<i64>,
}

impl Registry {
    pub(super) fn new(client: Client, keys: Arc<Keys>, id: NodeId, own: Registration) -> Arc<Self> {
        Arc::new(Self { client, keys, id, own: Mutex::new(own), lease: Mutex::new(0) })
    }

    /// Changes the node's registration. It is written at the next turn.
    pub(super) fn update(&self, change: impl FnOnce(&mut Registration)) {
        change(&mut lock(&self.own));
    }

    /// Returns the id of the node's lease; 0 if it has none.
    pub(super) fn lease(&self) -> i64 {
        *lock(&self.lease)
    }

    /// Writes the registration and reads all others, every second, until the driver has stopped.
    pub(super) async fn run(self: Arc<Self>, inbox: Inbox) {
        let (mut lease, mut twin): (Option<Lease>, Option<Twin>) = (None, None);
        while !inbox.is_closed() {
            match self.turn(&mut lease).await {
                Ok(nodes) => {
                    if let Some(why) = self.find_twin(&nodes, &mut twin) {
                        let _ = inbox.send(Message::Failed(why));
                        return;
                    }
                    let _ = inbox.send(Message::Nodes(nodes));
                }
                Err(why) => tracing::debug!("cannot register this node: {why}"),
            }
            tokio::time::sleep(PERIOD).await;
        }
        if let Some(lease) = lease {
            lease.revoke().await;
        }
    }

    async fn turn(&self, lease: &mut Option<Lease>) -> Result<Vec<Node>, EtcdError> {
        let key = self.keys.node(&self.id.to_string());
        let found = self.client.range(&Range::of(KeyRange::prefix(self.keys.nodes()))).await?;
        let nodes = found.pairs.iter().filter_map(|pair| {
            let id = pair.key.strip_prefix(self.keys.nodes().as_bytes())?;
            let id = str::from_utf8(id).ok()?.parse().ok()?;
            let value = Some(&pair.value).filter(|value| value.len() <= MOST_BYTES)?;
            Some(Node { id, registration: serde_json::from_slice(value).ok()? })
        });
        let nodes: Vec<Node> = nodes.collect();
        let own = lock(&self.own).clone();
        // While another process seems to have this id, it keeps its registration.
        if nodes.iter().any(|node| node.id == self.id && node.registration.nonce != own.nonce) {
            return Ok(nodes);
        }
        if lease.as_ref().is_none_or(Lease::is_lost) {
            let granted = self.client.grant(LEASE).await?;
            *lock(&self.lease) = granted.id();
            *lease = Some(granted);
        }
        let value = serde_json::to_string(&own).unwrap_or_default();
        self.client.put(key, value, self.lease()).await?;
        Ok(nodes)
    }

    /// Returns a sentence if another process uses this node's id, as after a copy of the folder.
    fn find_twin(&self, nodes: &[Node], twin: &mut Option<Twin>) -> Option<String> {
        let nonce = lock(&self.own).nonce;
        let other = nodes.iter().find(|n| n.id == self.id && n.registration.nonce != nonce);
        let Some(other) = other.map(|node| &node.registration) else {
            *twin = None;
            return None;
        };
        let since = match twin {
            Some(seen) if seen.nonce == other.nonce => seen.since,
            _ => clock::now(),
        };
        *twin = Some(Twin { nonce: other.nonce, since });
        (clock::now() - since > TWIN).then(|| {
            format!(
                "another process at {}:{} has the id {} of this node: its directory is a copy of this one. Stop one of \
                 the two; to make a new node of this one, start it with an empty directory",
                other.ip, other.port, self.id
            )
        })
    }
}

/// Another process with the id of this node.
struct Twin {
    nonce: u64,
    /// When it was seen first, boot time.
    since: u64,
}
