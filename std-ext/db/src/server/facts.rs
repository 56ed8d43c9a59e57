//! What commands can be told about the server, and change of it.

use super::shared::Shared;
use crate::command::{ClientFacts, NotSet, ServerFacts, ServerFigures};
use std::sync::Arc;
use std::time::Instant;

/// A server, as commands see it.
pub(super) struct Facts {
    shared: Arc<Shared>,
}

impl Facts {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared) }
    }
}

impl ServerFacts for Facts {
    fn figures(&self) -> ServerFigures {
        let shared = &*self.shared;
        let counted = shared.counted_anew();
        ServerFigures {
            port: shared.port,
            uptime: shared.began.elapsed().as_secs(),
            run_id: shared.run_id.clone(),
            config_file: shared.config.config_file.clone(),
            threads: shared.desks.len(),
            clients: shared.live.clients() as u64,
            max_clients: shared.live.max_clients() as u64,
            connections: counted.connections,
            rejected: counted.rejected,
            commands: counted.commands,
            commands_per_second: shared.pace(),
            bytes_in: counted.bytes_in,
            bytes_out: counted.bytes_out,
            buffers: shared.buffers(),
        }
    }

    fn settings(&self, each: &mut dyn FnMut(&str, &[u8])) {
        self.shared.live.show(each);
    }

    fn set(&self, changes: &[(&str, &[u8])]) -> Result<(), (usize, NotSet)> {
        self.shared.live.set(&self.shared.db, changes)
    }

    fn reset_counters(&self) {
        self.shared.forget_counted();
    }

    fn clients(&self, but: u64, each: &mut dyn FnMut(&ClientFacts<'_>)) {
        let now = Instant::now();
        for desk in &self.shared.desks {
            desk.register.show(but, now, each);
        }
    }

    fn kill(&self, but: u64, wanted: &mut dyn FnMut(&ClientFacts<'_>) -> bool) -> u64 {
        let now = Instant::now();
        let mut killed = 0;
        for desk in &self.shared.desks {
            let of_desk = desk.register.kill(but, now, wanted);
            if of_desk > 0 {
                // The thread closes its clients itself.
                desk.wake();
            }
            killed += of_desk;
        }
        killed
    }

    fn password_is(&self, user: &[u8], password: &[u8]) -> bool {
        self.shared.live.password_is(user, password)
    }

    fn has_password(&self) -> bool {
        self.shared.live.has_password()
    }
}
