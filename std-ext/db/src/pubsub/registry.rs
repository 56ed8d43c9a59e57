//! The subscribers of each channel and of each pattern.

use crate::lock::{self, lock};
use crate::pubsub::mailbox::Mailbox;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard};

/// Parts of the registry that are locked separately.
const SHARDS: usize = 64;

/// The name of a channel, or a pattern, shared by all that hold it.
pub type Name = Arc<[u8]>;

/// The subscribers of a channel or a pattern, by their ids.
pub(super) type Subscribers = HashMap<u64, Arc<Mailbox>>;

type ByName = HashMap<Name, Subscribers>;

/// The subscribers of each channel.
pub(super) struct Channels {
    shards: Box<[Mutex<ByName>]>,
    hasher: RandomState,
}

impl Default for Channels {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, hasher: RandomState::new() }
    }
}

impl Channels {
    /// Locks the channels among which is this one.
    pub(super) fn lock(&self, name: &[u8]) -> MutexGuard<'_, ByName> {
        lock(&self.shards[self.hasher.hash_one(name) as usize % SHARDS])
    }

    pub(super) fn add(&self, name: &Name, mailbox: &Arc<Mailbox>) {
        add(&mut self.lock(name), name, mailbox);
    }

    pub(super) fn remove(&self, name: &[u8], client: u64) {
        remove(&mut self.lock(name), name, client);
    }

    /// Returns the number of channels.
    pub(super) fn len(&self) -> u64 {
        self.shards.iter().map(|shard| lock(shard).len() as u64).sum()
    }

    /// Returns the names of all channels.
    pub(super) fn names(&self) -> Vec<Name> {
        let mut names = Vec::new();
        for shard in &self.shards {
            names.extend(lock(shard).keys().map(Arc::clone));
        }
        names
    }
}

/// The subscribers of each pattern. Publishers compare at the same time.
#[derive(Default)]
pub(super) struct Patterns(RwLock<ByName>);

impl Patterns {
    pub(super) fn read(&self) -> RwLockReadGuard<'_, ByName> {
        lock::read(&self.0)
    }

    pub(super) fn add(&self, name: &Name, mailbox: &Arc<Mailbox>) {
        add(&mut lock::write(&self.0), name, mailbox);
    }

    pub(super) fn remove(&self, name: &[u8], client: u64) {
        remove(&mut lock::write(&self.0), name, client);
    }
}

fn add(all: &mut ByName, name: &Name, mailbox: &Arc<Mailbox>) {
    let subscribers = all.entry(Arc::clone(name)).or_default();
    subscribers.insert(mailbox.client(), Arc::clone(mailbox));
}

fn remove(all: &mut ByName, name: &[u8], client: u64) {
    let Some(subscribers) = all.get_mut(name) else { return };
    subscribers.remove(&client);
    if subscribers.is_empty() {
        all.remove(name);
    }
    // A client that had millions of channels leaves no table for them behind.
    if all.capacity() > 4 * all.len() + 64 {
        all.shrink_to(2 * all.len());
    }
}
