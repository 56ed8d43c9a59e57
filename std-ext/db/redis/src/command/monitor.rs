//! MONITOR: a client that sees the commands of all others.
//!
//! While there is one, each request is formatted before it is executed. A monitor gets its lines by its mailbox, as a
//! subscriber gets messages: if it does not read them, it is closed at the limit of subscribers.

use crate::command::arguments::CommandError;
use crate::command::diagnostics::monitoring::Monitoring;
use crate::command::execute::Execution;
use crate::command::rows::{Run, alone};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use std::sync::Arc;

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] =
    &[alone("monitor", 1, "admin noscript loading stale", |e, _| e.monitor())
        .since("1.0.0", Group::Server)
        .summary("Listens for all requests received by the server in real-time.")];

impl Execution<'_, '_> {
    /// MONITOR.
    pub(super) fn monitor(&mut self) -> Result<(), CommandError> {
        self.execute_batch();
        // Its lines come by the mailbox of its subscriptions, and could not be told from messages.
        if self.connection.is_subscriber() {
            return Err(
                "ERR MONITOR is not allowed for a client that subscribes to channels".into()
            );
        }
        if self.connection.monitoring.is_none() {
            let taken = self.connection.subscriptions.take();
            let subscriptions = taken.unwrap_or_else(|| self.new_subscriptions());
            let diagnostics = Arc::clone(&self.meter.diagnostics);
            diagnostics.add_monitor(self.connection.id, &subscriptions);
            self.connection.subscriptions = Some(subscriptions);
            self.connection.monitoring =
                Some(Monitoring { diagnostics, client: self.connection.id });
        }
        self.reply(|out| out.ok());
        Ok(())
    }
}
