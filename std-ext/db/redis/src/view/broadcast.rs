//! Messages of channels between a server and the node of the cluster that it is: `PUBLISH` reaches the subscribers of
//! all nodes.

use hedgerow_db_engine::lock::lock;
use std::fmt;
use std::sync::{Arc, Mutex};

/// Takes a channel and a message.
pub type PassMessage = dyn Fn(&[u8], &[u8]) + Send + Sync;

/// Passes messages of this node's clients to the other nodes, and those of other nodes to this node's clients. It never
/// passes on a message of another node, so none goes round in circles.
#[derive(Default)]
pub struct Broadcast {
    to_nodes: Mutex<Option<Arc<PassMessage>>>,
    to_clients: Mutex<Option<Arc<PassMessage>>>,
}

impl Broadcast {
    /// Sets the function that sends a message to the other nodes. It must not block.
    pub fn on_published(&self, pass: Arc<PassMessage>) {
        *lock(&self.to_nodes) = Some(pass);
    }

    /// Sets the function that sends a message to the clients of this node.
    pub fn on_received(&self, pass: Arc<PassMessage>) {
        *lock(&self.to_clients) = Some(pass);
    }

    /// Sends a message that a client of this node has published to the other nodes.
    pub fn publish(&self, channel: &[u8], message: &[u8]) {
        pass(&self.to_nodes, channel, message);
    }

    /// Sends a message of another node to the clients of this one.
    pub fn receive(&self, channel: &[u8], message: &[u8]) {
        pass(&self.to_clients, channel, message);
    }
}

/// Calls the function, if it is set, without the lock.
fn pass(to: &Mutex<Option<Arc<PassMessage>>>, channel: &[u8], message: &[u8]) {
    let to = lock(to).clone();
    if let Some(to) = to {
        to(channel, message);
    }
}

impl fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast").finish_non_exhaustive()
    }
}
