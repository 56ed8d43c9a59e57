//! Scripts that run for too long.

use super::Diagnostics;
use std::sync::Arc;

/// A script that runs for longer than `busy-reply-threshold`, until this is dropped.
#[derive(Debug)]
pub(crate) struct BusyScript(Arc<Diagnostics>);

impl BusyScript {
    /// Notes that a script has run for that long. Other commands are refused from now on.
    pub(crate) fn begin(diagnostics: &Arc<Diagnostics>) -> Self {
        diagnostics.busy.add(1);
        diagnostics.observers.add(1);
        Self(Arc::clone(diagnostics))
    }
}

impl Drop for BusyScript {
    fn drop(&mut self) {
        self.0.busy.sub(1);
        self.0.observers.sub(1);
    }
}
