//! Server-assisted client-side caching (`CLIENT TRACKING`): the keys that each client has read, and the messages that
//! tell clients that keys were changed.
//!
//! A client keeps the values that it reads, and drops one when the server says that the key was changed. The server
//! remembers each key that a tracking client reads, until the key changes; then it forgets the key and tells the
//! client. In broadcasting mode a client is told of each change of a key with one of its prefixes, and nothing is
//! remembered. Keys count by their names, in all databases together, as in Redis.
//!
//! # Why no client keeps a stale value
//! - **A read is remembered before it looks.** A thread that changes a key takes it out of the table after the change
//!   is published. Both hold the lock of the key's part of the table. If the reader comes first, the writer finds the
//!   entry and tells the client. If the writer comes first, its publication happens before the read, which returns the
//!   new value. So no change falls between a read and its entry.
//! - **The old value comes before the message.** A message waits in the client's mailbox. The thread that executes the
//!   client's commands takes it out between two batches, so every reply of a batch that was executed before precedes
//!   it. A message that is redirected to another connection has no order with the replies, as in Redis.
//! - **The switch.** While no client tracks, a change costs one relaxed load of `count`. The first client sets it under
//!   the locks of all shards. A thread that holds a shard's lock later sees it. A thread that held the lock before has
//!   published its change, which the client's reads see.
//! - **An entry outlives its client.** It names the client by its id, which no other client gets.
//!
//! There is one exception. A client with `NOLOOP` may set a key with an expiration that has passed when the command is
//! executed. The command then deletes the key. That is a change by the client itself, so it is not told. A client that
//! caches the values that it sets must drop them when their own expirations have passed.
//!
//! A message may come for a value that is new already: then the client reads it once more.
//!
//! Locks are taken in this order: those of the database's shards; the clients; the prefixes; a part of the table; a
//! mailbox.

mod prefixes;
mod table;

use crate::pubsub::{Hub, Mailbox, Message};
use hedgerow_db_engine::gauge::Gauge;
use hedgerow_db_engine::lock::{read, write};
use hedgerow_db_engine::state::State;
use hedgerow_db_engine::state::key_tracker::KeyTracker;
use hedgerow_db_formats::resp::Protocol;
use hedgerow_db_formats::resp::write::RespWriter;
use prefixes::Prefixes;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::sync::{Arc, RwLock, Weak};
use table::TrackingTable;

thread_local! {
    /// The client with `NOLOOP` whose commands this thread executes; 0 for none.
    static CALLER: Cell<u64> = const { Cell::new(0) };
    /// The reads of the transaction or script that this thread executes.
    static OWN_READS: RefCell<OwnReads> = RefCell::default();
}

/// The keys that a transaction or a script reads after its own last change of each. All its changes are published at
/// its end, when these keys are in the table. They stay there, because the client has read its own values.
#[derive(Default)]
struct OwnReads {
    client: u64,
    /// Each key, and whether the client was interested in it before.
    keys: HashMap<Box<[u8]>, bool>,
}

/// Notes that a transaction or a script changes a key behind its reads so far.
pub(crate) fn note_own_change(key: &[u8]) {
    OWN_READS.with_borrow_mut(|reads| reads.keys.remove(key));
}

/// Notes the end of a transaction or a script.
pub(crate) fn end_own_reads() {
    OWN_READS.with_borrow_mut(|reads| *reads = OwnReads::default());
}

/// Notes that this thread executes commands of a client that is not told of its own changes; 0 for another one.
pub(crate) fn set_caller(client: u64) {
    CALLER.set(client);
}

/// A client that tracks keys.
#[derive(Debug)]
pub(crate) struct Tracker {
    client: u64,
    broadcasts: bool,
    hub: Arc<Hub>,
    mailbox: Arc<Mailbox>,
    /// The client that gets the messages instead, and its mailbox.
    redirect: Option<(u64, Weak<Mailbox>)>,
    /// Whether that client was gone when a message came for it, or had no room. It gets no more then: the client that
    /// redirects is told that it must not trust the values that it keeps.
    is_broken: Gauge,
    /// The version of the protocol that the client uses.
    version: Gauge,
}

impl Tracker {
    /// Makes the entry of a client, whose mailbox this is.
    pub(crate) fn new(
        (hub, mailbox): (&Arc<Hub>, &Arc<Mailbox>),
        broadcasts: bool,
        redirect: Option<&Arc<Mailbox>>,
    ) -> Self {
        Self {
            client: mailbox.client(),
            broadcasts,
            hub: Arc::clone(hub),
            mailbox: Arc::clone(mailbox),
            redirect: redirect.map(|other| (other.client(), Arc::downgrade(other))),
            is_broken: Gauge::default(),
            version: Gauge::default(),
        }
    }

    /// Notes the protocol that the client uses.
    pub(crate) fn set_protocol(&self, protocol: Protocol) {
        self.version.set(if protocol == Protocol::Three { 3 } else { 2 });
    }

    /// Returns whether a message could not be redirected.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken.get() != 0
    }

    /// Sends the names of changed keys.
    fn send(&self, names: &Names<'_>) {
        let message = if self.broadcasts { Message::broadcast } else { Message::invalidation };
        let Some((client, mailbox)) = &self.redirect else {
            let own = || message(names.encoded(), false);
            return self.hub.send_new(&self.mailbox, names.least_cost(), own);
        };
        let redirected = || message(names.encoded(), true);
        let is_sent = !self.is_broken()
            && mailbox
                .upgrade()
                .is_some_and(|mailbox| self.hub.redirect(&mailbox, names.least_cost(), redirected));
        if !is_sent {
            self.is_broken.set(1);
            self.hub.send(&self.mailbox, Message::broken_redirect(*client));
        }
    }

    /// Sends that all keys may have changed. The null is that of the client's own protocol, as in Redis.
    fn send_all_changed(&self) {
        let null: &[u8] = if self.version.get() == 3 { b"_\r\n" } else { b"$-1\r\n" };
        self.send(&Names { keys: &[], encoded: OnceCell::from(Arc::from(null)) });
    }
}

type Clients = HashMap<u64, Arc<Tracker>>;

/// The numbers that `INFO` shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TrackingCounts {
    /// Clients that track keys.
    pub(crate) clients: u64,
    /// Keys in the table.
    pub(crate) keys: u64,
    /// Pairs of a key and a client that has read it.
    pub(crate) items: u64,
    /// Prefixes of clients in broadcasting mode.
    pub(crate) prefixes: u64,
}

/// The clients that track keys, and the keys that they have read.
#[derive(Debug)]
pub(crate) struct Tracking {
    /// The number of clients, at which the state looks. Becomes positive under the locks of all shards.
    count: Arc<Gauge>,
    clients: RwLock<Clients>,
    prefixes: RwLock<Prefixes>,
    table: TrackingTable,
}

impl Tracking {
    /// Returns the clients that track keys of a state.
    pub(crate) fn of(state: &State) -> &Arc<Self> {
        state.extensions.get_or_init(|| {
            let tracking = Arc::new(Self {
                count: Arc::clone(state.tracked.clients()),
                clients: RwLock::default(),
                prefixes: RwLock::default(),
                table: TrackingTable::default(),
            });
            state.tracked.set_tracker(tracking.clone());
            tracking
        })
    }

    /// Begins to tell a client which keys of the state change, or goes on with other options.
    pub(crate) fn track(&self, state: &State, tracker: &Arc<Tracker>) {
        if self.add_beside_others(tracker) {
            return;
        }
        // A change that is being made now is either published before the client's first read, or told to the client.
        let _cores = state.lock_every_shard();
        self.insert(&mut write(&self.clients), tracker);
    }

    /// Adds a client, or replaces it, if there are others. Returns whether it did.
    fn add_beside_others(&self, tracker: &Arc<Tracker>) -> bool {
        let mut clients = write(&self.clients);
        if clients.is_empty() {
            return false;
        }
        self.insert(&mut clients, tracker);
        true
    }

    fn insert(&self, clients: &mut Clients, tracker: &Arc<Tracker>) {
        if clients.is_empty() {
            // Its keys may have changed while nobody tracked any. No other thread adds one or changes one now, because
            // there is no client, and all shards are locked.
            self.table.clear();
        }
        clients.insert(tracker.client, Arc::clone(tracker));
        self.count.set(clients.len() as u64);
    }

    /// Removes a client. The table keeps its keys until they change or are evicted.
    pub(crate) fn remove<'p>(&self, client: u64, prefixes: impl Iterator<Item = &'p [u8]>) {
        let mut clients = write(&self.clients);
        clients.remove(&client);
        self.count.set(clients.len() as u64);
        drop(clients);
        let mut all = write(&self.prefixes);
        prefixes.for_each(|prefix| all.remove(prefix, client));
    }

    /// Adds a prefix of a client in broadcasting mode.
    pub(crate) fn add_prefix(&self, prefix: &[u8], client: u64) {
        write(&self.prefixes).add(prefix, client);
    }

    /// Remembers that a client is about to read a key. Called before the read looks at the value, for the reason that
    /// the module gives.
    pub(crate) fn remember(&self, key: &[u8], client: u64) {
        self.table.add(key, client);
        self.evict();
    }

    /// As `remember`, for a read of a transaction or a script. [`end_own_reads`] follows when its changes are
    /// published.
    pub(crate) fn remember_own(&self, key: &[u8], client: u64) {
        let is_new = self.table.add(key, client);
        OWN_READS.with_borrow_mut(|reads| {
            reads.client = client;
            reads.keys.entry(key.into()).or_insert(!is_new);
        });
        self.evict();
    }

    /// Sets how many keys the table may have; 0 for as many as its memory holds.
    pub(crate) fn set_max_keys(&self, keys: u64) {
        self.table.max_keys.set(keys);
        self.evict();
    }

    /// Forgets keys while the table exceeds its limits. Their clients must not cache them any longer.
    fn evict(&self) {
        while let Some((key, ids)) = self.table.evict() {
            tell(&read(&self.clients), &key, &ids);
        }
    }

    /// Returns the numbers that `INFO` shows.
    pub(crate) fn counts(&self) -> TrackingCounts {
        TrackingCounts {
            clients: self.count.get(),
            keys: self.table.keys.get(),
            items: self.table.items.get(),
            prefixes: read(&self.prefixes).len() as u64,
        }
    }
}

impl KeyTracker for Tracking {
    fn keys_changed(&self, keys: &[&[u8]], by_server: bool) {
        let (clients, caller) = (read(&self.clients), if by_server { 0 } else { CALLER.get() });
        for key in keys {
            let own = OWN_READS.with_borrow(|reads| {
                reads.keys.get(*key).map(|was_interested| (reads.client, *was_interested))
            });
            // A client that is not told of its own change stays interested in the next one of another client. Redis
            // forgets the key, and the client would keep the value that it has set.
            let mut ids = self.table.take(key, own.map_or(caller, |(client, _)| client));
            if let Some((client, true)) = own
                && client != caller
            {
                ids.push(client);
            }
            tell(&clients, key, &ids);
        }
        let prefixes = read(&self.prefixes);
        for (keys, ids) in prefixes.matches(keys) {
            let names = Names::new(&keys);
            let told = ids.iter().filter(|id| **id != caller).filter_map(|id| clients.get(id));
            told.for_each(|tracker| tracker.send(&names));
        }
    }

    fn all_changed(&self) {
        self.table.clear();
        OWN_READS.with_borrow(|reads| {
            reads.keys.keys().for_each(|key| _ = self.table.add(key, reads.client));
        });
        read(&self.clients).values().for_each(|tracker| tracker.send_all_changed());
    }
}

/// Tells clients that they must not cache a key that they have read.
fn tell(clients: &Clients, key: &[u8], ids: &[u64]) {
    // A client may have read the key before it changed to broadcasting.
    let told = ids.iter().filter_map(|id| clients.get(id)).filter(|one| !one.broadcasts);
    let keys = [key];
    let names = Names::new(&keys);
    told.for_each(|tracker| tracker.send(&names));
}

/// The names of changed keys. They are encoded once for all clients, when the first one has room for them: a long key
/// may match the prefixes of thousands of clients that are over their limits.
struct Names<'k> {
    keys: &'k [&'k [u8]],
    encoded: OnceCell<Arc<[u8]>>,
}

impl<'k> Names<'k> {
    fn new(keys: &'k [&'k [u8]]) -> Self {
        Self { keys, encoded: OnceCell::new() }
    }

    /// Returns a lower bound of the cost of a message with these names.
    fn least_cost(&self) -> usize {
        Message::least_cost(self.keys)
    }

    fn encoded(&self) -> &Arc<[u8]> {
        self.encoded.get_or_init(|| encode(self.keys))
    }
}

/// Encodes an array of keys.
fn encode(keys: &[&[u8]]) -> Arc<[u8]> {
    #[cfg(test)]
    tests::ENCODED.set(tests::ENCODED.get() + 1);
    let mut bytes = Vec::with_capacity(keys.iter().map(|key| key.len() + 16).sum::<usize>() + 16);
    let mut out = RespWriter::new(&mut bytes, Protocol::Two);
    out.array(keys.len());
    for key in keys {
        out.bulk(key);
    }
    bytes.into()
}

#[cfg(test)]
mod tests;
