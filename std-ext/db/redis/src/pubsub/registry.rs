//! The subscribers of each channel and of each pattern.

use crate::pubsub::mailbox::Mailbox;
use hedgerow_db_engine::lock::{self, lock};
use hedgerow_db_formats::glob::Glob;
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
        add(self.lock(name).entry(Arc::clone(name)).or_default(), mailbox);
    }

    pub(super) fn remove(&self, name: &[u8], client: u64) {
        remove(&mut self.lock(name), name, client, |subscribers| subscribers);
    }

    /// Returns the number of channels.
    pub(super) fn len(&self) -> u64 {
        self.shards.iter().map(|shard| lock(shard).len() as u64).sum()
    }

    /// Returns the length of the longest name.
    pub(super) fn longest(&self) -> usize {
        let of =
            |shard: &Mutex<ByName>| lock(shard).keys().map(|name| name.len()).max().unwrap_or(0);
        self.shards.iter().map(of).max().unwrap_or(0)
    }

    /// Returns the names of all channels, those of one shard after the other. Nothing is locked between them.
    pub(super) fn names(&self) -> impl Iterator<Item = Name> {
        let of =
            |shard: &Mutex<ByName>| -> Vec<Name> { lock(shard).keys().map(Arc::clone).collect() };
        self.shards.iter().flat_map(of)
    }
}

/// A pattern with a subscriber.
pub(super) struct Pattern {
    /// Compiled once, because each message is compared with it.
    pub(super) glob: Glob,
    pub(super) subscribers: Subscribers,
}

/// The subscribers of each pattern. Publishers compare at the same time.
#[derive(Default)]
pub(super) struct Patterns(RwLock<HashMap<Name, Pattern>>);

impl Patterns {
    pub(super) fn read(&self) -> RwLockReadGuard<'_, HashMap<Name, Pattern>> {
        lock::read(&self.0)
    }

    pub(super) fn add(&self, name: &Name, mailbox: &Arc<Mailbox>) {
        // Before the lock: a long pattern takes long. A channel's name may have any length.
        let glob = Glob::new(name, usize::MAX);
        let mut patterns = lock::write(&self.0);
        let new = || Pattern { glob, subscribers: HashMap::new() };
        add(&mut patterns.entry(Arc::clone(name)).or_insert_with(new).subscribers, mailbox);
    }

    pub(super) fn remove(&self, name: &[u8], client: u64) {
        remove(&mut lock::write(&self.0), name, client, |pattern| &mut pattern.subscribers);
    }
}

fn add(subscribers: &mut Subscribers, mailbox: &Arc<Mailbox>) {
    subscribers.insert(mailbox.client(), Arc::clone(mailbox));
}

fn remove<T>(
    all: &mut HashMap<Name, T>,
    name: &[u8],
    client: u64,
    subscribers: impl FnOnce(&mut T) -> &mut Subscribers,
) {
    let Some(subscribers) = all.get_mut(name).map(subscribers) else { return };
    subscribers.remove(&client);
    if subscribers.is_empty() {
        all.remove(name);
    }
    // A client that had millions of channels leaves no table for them behind.
    if all.capacity() > 4 * all.len() + 64 {
        all.shrink_to(2 * all.len());
    }
}
