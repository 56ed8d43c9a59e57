//! The settings of scripts, which a database has like its other settings. The layer that runs scripts reads them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The settings of scripts.
#[derive(Debug)]
pub struct ScriptSettings {
    /// How long a script may run, in milliseconds; 0 for no limit.
    time_limit: AtomicU64,
    /// Whether scripts may access keys that are not in `KEYS`.
    allow_undeclared_keys: AtomicBool,
}

impl ScriptSettings {
    pub fn new(time_limit: u64, allow_undeclared_keys: bool) -> Self {
        Self {
            time_limit: AtomicU64::new(time_limit),
            allow_undeclared_keys: AtomicBool::new(allow_undeclared_keys),
        }
    }

    /// Returns how long a script may run.
    pub fn time_limit(&self) -> Option<Duration> {
        // Relaxed: a setting by itself.
        let limit = self.time_limit.load(Ordering::Relaxed);
        (limit != 0).then(|| Duration::from_millis(limit))
    }

    /// Returns whether scripts may access keys that are not in `KEYS`.
    pub fn allow_undeclared_keys(&self) -> bool {
        // Relaxed: a setting by itself.
        self.allow_undeclared_keys.load(Ordering::Relaxed)
    }

    /// Sets whether scripts may access keys that are not in `KEYS`.
    pub fn set_allow_undeclared_keys(&self, allow: bool) {
        // Relaxed: as above.
        self.allow_undeclared_keys.store(allow, Ordering::Relaxed);
    }

    /// Sets how many milliseconds a script may run; 0 for no limit.
    pub(crate) fn set_time_limit(&self, milliseconds: u64) {
        // Relaxed: as above.
        self.time_limit.store(milliseconds, Ordering::Relaxed);
    }
}
