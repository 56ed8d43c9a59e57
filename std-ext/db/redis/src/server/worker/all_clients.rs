//! What a worker does now and then with all of its clients.

use super::{SWEEP, ServerWorker};
use crate::server::client::{Overdue, ServerClient};
use std::sync::Arc;

impl ServerWorker {
    /// Closes clients that were silent for too long, and updates what other threads see of the others.
    pub(super) fn sweep(&mut self) {
        self.leave_lost_channels();
        let now = self.context.now;
        let timeout = self.shared.runtime_config.timeout();
        let worker = &self.shared.workers[self.number];
        let notes = now >= self.next_sweep;
        if notes {
            self.next_sweep = now + SWEEP;
        }
        self.lingering = false;
        let mut gone = Vec::new();
        let mut buffers = 0;
        for (key, client) in &mut self.clients {
            if notes && client.used {
                client.note(self.number, &self.shared.client_list);
            }
            buffers += client.buffers();
            client.check_output(&self.context);
            match client.overdue(now, timeout) {
                None => {}
                Some(Overdue::Lingered) => client.kill(),
                Some(Overdue::Idle) => {
                    self.context.counters.idle.add(1);
                    client.kill();
                }
            }
            if client.is_dead() {
                gone.push(key);
            }
            self.lingering |= client.is_lingering();
        }
        worker.buffers.set(buffers as u64);
        if notes && self.number == 0 {
            self.shared.commands_per_second();
        }
        for key in gone {
            self.remove(key);
        }
    }

    /// Closes the clients that CLIENT KILL has marked, from this or other workers.
    pub(super) fn close_killed(&mut self) {
        let mut killed = self.shared.client_list.killed(self.number);
        if killed.is_empty() {
            return;
        }
        killed.sort_unstable();
        let is_killed = |client: &ServerClient| killed.binary_search(&client.id()).is_ok();
        let keys = self.clients.iter().filter(|(_, client)| is_killed(client));
        for key in keys.map(|(key, _)| key).collect::<Vec<_>>() {
            self.remove(key);
        }
    }

    /// Gives the clients the newest rights of their users, if a user has changed. Closes those that must end. A client
    /// that sends something finds out by itself; this is for those that only receive messages.
    pub(super) fn notice_users(&mut self) {
        let users = Arc::clone(self.shared.runtime_config.users());
        let version = users.version();
        if std::mem::replace(&mut self.users_version, version) == version {
            return;
        }
        let keys: Vec<usize> = self.clients.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.clients[key].refresh_user(&users);
            self.update(key);
        }
    }

    /// Gives clients the mailboxes in which other clients want to put messages.
    pub(super) fn give_mailboxes(&mut self) {
        let mut wanted = self.shared.client_list.addressed(self.number);
        if wanted.is_empty() {
            return;
        }
        wanted.sort_unstable_by_key(|(id, _)| *id);
        for (key, client) in &mut self.clients {
            if let Ok(at) = wanted.binary_search_by_key(&client.id(), |(id, _)| *id) {
                client.adopt_mailbox(&self.shared.hub, Arc::clone(&wanted[at].1));
                client.set_address(self.number, key);
            }
        }
    }
}
