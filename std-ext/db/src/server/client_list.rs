//! The list of clients that other threads see: a client belongs to one worker, which publishes a copy of its data here.

use crate::command::ClientInfo;
use crate::lock::lock;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

/// One worker's clients as other threads see them. The list is at most a second old; names are newer.
#[derive(Debug, Default)]
pub(super) struct ClientList(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    clients: BTreeMap<u64, Entry>,
    /// Clients that the worker has to close.
    killed: Vec<u64>,
}

#[derive(Debug)]
struct Entry {
    address: String,
    local_address: String,
    /// A CLIENT KILL was answered for this client, so it is not listed any more.
    killed: bool,
    since: Instant,
    last_active: Instant,
    name: Box<[u8]>,
    protocol: u8,
    command: Box<str>,
    library: Box<[u8]>,
    library_version: Box<[u8]>,
}

impl ClientList {
    /// Updates a client's entry. `last_active` is when the client was last active.
    pub(super) fn note(&self, info: &ClientInfo<'_>, last_active: Instant) {
        let mut entries = lock(&self.0);
        let entry = entries.clients.entry(info.id).or_insert_with(|| Entry {
            address: info.address.to_owned(),
            local_address: info.local_address.to_owned(),
            killed: false,
            since: last_active,
            last_active,
            name: Box::default(),
            protocol: 2,
            command: Box::default(),
            library: Box::default(),
            library_version: Box::default(),
        });
        (entry.last_active, entry.protocol) = (last_active, info.protocol);
        if *entry.command != *info.command {
            entry.command = info.command.into();
        }
        replace(&mut entry.name, info.name);
        replace(&mut entry.library, info.library);
        replace(&mut entry.library_version, info.library_version);
    }

    pub(super) fn forget(&self, id: u64) {
        lock(&self.0).clients.remove(&id);
    }

    /// Lists all clients except `but` and those that were killed.
    pub(super) fn show(&self, but: u64, now: Instant, each: &mut dyn FnMut(&ClientInfo<'_>)) {
        for (&id, entry) in &lock(&self.0).clients {
            if id != but && !entry.killed {
                each(&entry.info(id, now));
            }
        }
    }

    /// Marks clients for their worker to close, except `but`, and returns their number. The caller wakes the worker.
    pub(super) fn kill(
        &self,
        but: u64,
        now: Instant,
        wanted: &mut dyn FnMut(&ClientInfo<'_>) -> bool,
    ) -> u64 {
        let Entries { clients, killed } = &mut *lock(&self.0);
        let before = killed.len();
        for (&id, entry) in clients {
            // A client that was killed already must not be counted twice.
            if id != but && !entry.killed && wanted(&entry.info(id, now)) {
                entry.killed = true;
                killed.push(id);
            }
        }
        (killed.len() - before) as u64
    }

    /// Takes the ids of the clients to close.
    pub(super) fn killed(&self) -> Vec<u64> {
        std::mem::take(&mut lock(&self.0).killed)
    }
}

impl Entry {
    fn info(&self, id: u64, now: Instant) -> ClientInfo<'_> {
        ClientInfo {
            id,
            address: &self.address,
            local_address: &self.local_address,
            name: &self.name,
            age: now.saturating_duration_since(self.since).as_secs(),
            idle: now.saturating_duration_since(self.last_active).as_secs(),
            protocol: self.protocol,
            command: &self.command,
            library: &self.library,
            library_version: &self.library_version,
        }
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
    use crate::command::Connection;

    #[test]
    fn killed_clients_are_not_listed() {
        let list = ClientList::default();
        let now = Instant::now();
        let note = |id: u64| {
            let (address, local_address) = (format!("10.0.0.1:{id}"), "10.0.0.9:6379".to_owned());
            list.note(&Connection::new(id, address, local_address, false).info(), now);
        };
        let shown = || {
            let mut shown = Vec::new();
            list.show(0, now, &mut |info| shown.push(info.id));
            shown
        };
        (1..=4).for_each(note);
        assert_eq!(list.kill(3, now, &mut |info| info.id != 1), 2);
        assert_eq!(shown(), [1, 3], "killed clients are listed");
        assert_eq!(list.kill(0, now, &mut |info| info.id == 2), 0, "a client is killed twice");
        // The worker may update a client before it closes it.
        note(2);
        assert_eq!(shown(), [1, 3], "a killed client that was updated is listed");
        assert_eq!(list.killed(), [2, 4]);
        assert_eq!(list.killed(), [0_u64; 0]);
        list.forget(2);
        note(2);
        assert_eq!(shown(), [1, 2, 3]);
    }
}
