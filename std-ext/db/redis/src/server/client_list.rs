//! The list of clients that other threads see: a client belongs to one worker, which publishes a copy of its data here.
//! It is one list for all workers: a client that moves between two of them is in it exactly once at any time.

use super::client_sizes::{self, SharedSizes};
use crate::command::{ClientInfo, ClientSizes, DEFAULT_USER, TrackingInfo};
use crate::pubsub::Mailbox;
use hedgerow_db_engine::lock::lock;
use hedgerow_db_engine::state::waiters::{WaitEnd, Waiter};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// The clients as other threads see them. The list is at most a second old; names are newer.
#[derive(Debug, Default)]
pub(super) struct ClientList(Mutex<ClientEntries>);

#[derive(Debug, Default)]
struct ClientEntries {
    /// Boxed, because nodes of a tree that grows at its end stay half empty.
    clients: BTreeMap<u64, Box<ClientEntry>>,
    /// Clients that each worker has to close, by the worker's number.
    killed: BTreeMap<usize, Vec<u64>>,
    /// Clients that have got a mailbox from another client, by their worker's number.
    addressed: BTreeMap<usize, Vec<u64>>,
}

#[derive(Debug)]
struct ClientEntry {
    /// The worker that the client belongs to.
    worker: usize,
    address: Box<str>,
    local_address: Box<str>,
    /// A CLIENT KILL was answered for this client, so it is not listed any more.
    killed: bool,
    since: Instant,
    last_active: Instant,
    name: Box<[u8]>,
    database: u16,
    protocol: u8,
    command: &'static str,
    /// The name of the user; nothing for `default`, which nearly all clients are.
    user: Option<Box<[u8]>>,
    library: Box<[u8]>,
    library_version: Box<[u8]>,
    subscriptions: [usize; 3],
    tracking: TrackingInfo,
    /// The client's mailbox, if it has one.
    mailbox: Option<Arc<Mailbox>>,
    descriptor: i32,
    /// For what its last command waits, if it does.
    waiter: Option<Arc<Waiter>>,
    /// The client's worker writes them after each time that it reads or writes. Nothing if it never had buffers.
    sizes: Option<Arc<SharedSizes>>,
}

impl ClientList {
    /// Updates the entry of a worker's client. `last_active` is when the client was last active.
    pub(super) fn note(
        &self,
        worker: usize,
        info: &ClientInfo<'_>,
        last_active: Instant,
        sizes: Option<&Arc<SharedSizes>>,
    ) {
        let mut entries = lock(&self.0);
        let entry = entries.clients.entry(info.id).or_insert_with(|| {
            Box::new(ClientEntry {
                worker,
                address: info.address.into(),
                local_address: info.local_address.into(),
                killed: false,
                since: last_active,
                last_active,
                name: Box::default(),
                database: 0,
                protocol: 2,
                command: "",
                user: None,
                library: Box::default(),
                library_version: Box::default(),
                subscriptions: [0; 3],
                tracking: TrackingInfo::default(),
                mailbox: None,
                descriptor: info.descriptor,
                waiter: None,
                sizes: None,
            })
        });
        (entry.last_active, entry.protocol) = (last_active, info.protocol);
        (entry.subscriptions, entry.tracking) = (info.subscriptions, info.tracking);
        (entry.database, entry.command) = (info.database, info.command);
        replace(&mut entry.name, info.name);
        let user = Some(info.user).filter(|user| *user != DEFAULT_USER);
        // Allocates only if it has changed: this runs for every client that was served in the last second.
        if entry.user.as_deref() != user {
            entry.user = user.map(Into::into);
        }
        // The `Arc` stays the same for the life of a client.
        if entry.sizes.is_none() {
            entry.sizes = sizes.cloned();
        }
        replace(&mut entry.library, info.library);
        replace(&mut entry.library_version, info.library_version);
    }

    pub(super) fn forget(&self, id: u64) {
        lock(&self.0).clients.remove(&id);
    }

    /// Notes that a client belongs to another worker from now on.
    pub(super) fn move_to(&self, worker: usize, id: u64) {
        if let Some(entry) = lock(&self.0).clients.get_mut(&id) {
            entry.worker = worker;
        }
    }

    /// Returns whether a client was killed. Its worker asks when it has the client: a kill while the client moved
    /// found no worker that has it.
    pub(super) fn is_killed(&self, id: u64) -> bool {
        lock(&self.0).clients.get(&id).is_some_and(|entry| entry.killed)
    }

    /// Lists all clients except `but` and those that were killed.
    pub(super) fn show(&self, but: u64, now: Instant, each: &mut dyn FnMut(&ClientInfo<'_>)) {
        // By id, so in the order of connection, as Redis lists them.
        for (&id, entry) in &lock(&self.0).clients {
            if id != but && !entry.killed {
                each(&entry.info(id, now));
            }
        }
    }

    /// Marks clients for their workers to close, except `but`, and returns their number. Calls `wake` with the number
    /// of each worker that has some.
    pub(super) fn kill(
        &self,
        but: u64,
        now: Instant,
        wanted: &mut dyn FnMut(&ClientInfo<'_>) -> bool,
        mut wake: impl FnMut(usize),
    ) -> u64 {
        let ClientEntries { clients, killed, .. } = &mut *lock(&self.0);
        let mut count = 0;
        for (&id, entry) in clients {
            // A client that was killed already must not be counted twice.
            if id != but && !entry.killed && wanted(&entry.info(id, now)) {
                entry.killed = true;
                // From here on it takes no element, although its worker closes it only later.
                if let Some(waiter) = &entry.waiter {
                    waiter.cancel();
                }
                killed.entry(entry.worker).or_default().push(id);
                count += 1;
            }
        }
        // A list that is left from an earlier kill wakes its worker once more.
        for &worker in killed.keys() {
            wake(worker);
        }
        count
    }

    /// Notes for what a client waits, or that it does not any more.
    pub(super) fn note_waiter(&self, id: u64, waiter: Option<&Arc<Waiter>>) {
        if let Some(entry) = lock(&self.0).clients.get_mut(&id) {
            entry.waiter = waiter.cloned();
        }
    }

    /// Ends the wait of a client. Returns whether it waited.
    pub(super) fn unblock(&self, id: u64, why: WaitEnd) -> bool {
        let waiter = lock(&self.0).clients.get(&id).and_then(|entry| entry.waiter.clone());
        waiter.is_some_and(|waiter| waiter.end(why))
    }

    /// Returns the mailbox of a client, which gets one if it has none. Its own worker asks.
    pub(super) fn own_mailbox(&self, id: u64) -> Arc<Mailbox> {
        let new = || Arc::new(Mailbox::new(id));
        match lock(&self.0).clients.get_mut(&id) {
            Some(entry) => Arc::clone(entry.mailbox.get_or_insert_with(new)),
            // A client that is being closed is not on the list any more.
            None => new(),
        }
    }

    /// As `own_mailbox`, for another client; `None` if there is no such client. Calls `wake` with the number of the
    /// worker that has to give the client its mailbox.
    pub(super) fn mailbox_of(&self, id: u64, wake: impl FnOnce(usize)) -> Option<Arc<Mailbox>> {
        let ClientEntries { clients, addressed, .. } = &mut *lock(&self.0);
        // A killed client would never read the messages that are redirected to it.
        let entry = clients.get_mut(&id).filter(|entry| !entry.killed)?;
        if entry.mailbox.is_none() {
            entry.mailbox = Some(Arc::new(Mailbox::new(id)));
            addressed.entry(entry.worker).or_default().push(id);
            wake(entry.worker);
        }
        entry.mailbox.clone()
    }

    /// Returns the mailbox of a client that has moved, if it has one. Its new worker asks: one that the client has got
    /// on its way was for the worker that it has left.
    pub(super) fn mailbox(&self, id: u64) -> Option<Arc<Mailbox>> {
        lock(&self.0).clients.get(&id)?.mailbox.clone()
    }

    /// Takes those clients of a worker that have got a mailbox from another client.
    pub(super) fn addressed(&self, worker: usize) -> Vec<(u64, Arc<Mailbox>)> {
        let ClientEntries { clients, addressed, .. } = &mut *lock(&self.0);
        let ids = addressed.remove(&worker).unwrap_or_default();
        let mailbox = |id: u64| Some((id, clients.get(&id)?.mailbox.clone()?));
        ids.into_iter().filter_map(mailbox).collect()
    }

    /// Takes the ids of the clients that a worker has to close.
    pub(super) fn killed(&self, worker: usize) -> Vec<u64> {
        lock(&self.0).killed.remove(&worker).unwrap_or_default()
    }
}

impl ClientEntry {
    fn info(&self, id: u64, now: Instant) -> ClientInfo<'_> {
        ClientInfo {
            id,
            address: &self.address,
            local_address: &self.local_address,
            name: &self.name,
            age: now.saturating_duration_since(self.since).as_secs(),
            idle: now.saturating_duration_since(self.last_active).as_secs(),
            database: self.database,
            protocol: self.protocol,
            command: self.command,
            user: self.user.as_deref().unwrap_or(DEFAULT_USER),
            library: &self.library,
            library_version: &self.library_version,
            waits: self.waiter.is_some(),
            subscriptions: self.subscriptions,
            tracking: self.tracking,
            descriptor: self.descriptor,
            sizes: self.sizes(),
        }
    }

    /// Returns the sizes of the client's buffers and queue, with the messages in its mailbox.
    fn sizes(&self) -> ClientSizes {
        let messages = self.mailbox.as_ref().map_or(0, |mailbox| mailbox.bytes() as u64);
        let sizes = self.sizes.as_ref().map_or_else(client_sizes::bare, |sizes| sizes.get());
        let (full_bytes, total) = (sizes.full_bytes + messages, sizes.total + messages);
        ClientSizes { full_bytes, total, ..sizes }
    }
}

fn replace(old: &mut Box<[u8]>, new: &[u8]) {
    if **old != *new {
        *old = new.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Connection, Users};

    #[test]
    fn killed_clients_are_not_listed() {
        let list = ClientList::default();
        let now = Instant::now();
        let note = |id: u64| {
            let (address, local_address) = (format!("10.0.0.1:{id}"), "10.0.0.9:6379".to_owned());
            let connection = Connection::new(id, address, local_address, &Users::default());
            list.note(0, &connection.info(), now, None);
        };
        let shown = || {
            let mut shown = Vec::new();
            list.show(0, now, &mut |info| shown.push(info.id));
            shown
        };
        (1..=4).for_each(note);
        assert_eq!(list.kill(3, now, &mut |info| info.id != 1, |worker| assert_eq!(worker, 0)), 2);
        assert_eq!(shown(), [1, 3], "killed clients are listed");
        assert_eq!(
            list.kill(0, now, &mut |info| info.id == 2, |_| {}),
            0,
            "a client is killed twice"
        );
        // The worker may update a client before it closes it.
        note(2);
        assert_eq!(shown(), [1, 3], "a killed client that was updated is listed");
        assert_eq!(list.killed(0), [2, 4]);
        assert_eq!(list.killed(0), [0_u64; 0]);
        list.forget(2);
        note(2);
        assert_eq!(shown(), [1, 2, 3]);
    }

    #[test]
    fn a_client_that_moves_is_listed_once_and_killed_at_its_new_worker() {
        let list = ClientList::default();
        let now = Instant::now();
        let connection =
            Connection::new(1, "10.0.0.1:1".to_owned(), String::new(), &Users::default());
        list.note(0, &connection.info(), now, None);
        list.move_to(1, 1);
        let mut shown = 0;
        list.show(0, now, &mut |_| shown += 1);
        assert_eq!((shown, list.is_killed(1)), (1, false));
        let mut woken = Vec::new();
        assert_eq!(list.kill(0, now, &mut |_| true, |worker| woken.push(worker)), 1);
        assert_eq!(woken, [1], "another worker is woken");
        assert_eq!((list.killed(0), list.killed(1)), (vec![], vec![1]));
        assert!(list.is_killed(1), "a client that is killed while it moves is not closed");
    }
}
