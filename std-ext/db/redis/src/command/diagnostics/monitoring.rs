//! The place of one client among the monitors.

use super::Diagnostics;
use std::sync::Arc;

/// A client's place among the monitors. It is given up when this is dropped.
#[derive(Debug)]
pub(in crate::command) struct Monitoring {
    pub(in crate::command) diagnostics: Arc<Diagnostics>,
    pub(in crate::command) client: u64,
}

impl Drop for Monitoring {
    fn drop(&mut self) {
        self.diagnostics.remove_monitor(self.client);
    }
}
