//! What can be changed while the server runs.

use super::ServerConfig;
use super::shared::lock;
use crate::command::{NotSet, same_secret};
use crate::config::table;
use crate::{Db, config};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// What can be changed while the server runs, and what `CONFIG GET` shows.
#[derive(Debug)]
pub(super) struct Live {
    max_clients: AtomicUsize,
    /// In milliseconds.
    timeout: AtomicU64,
    protected: AtomicBool,
    has_password: AtomicBool,
    password: Mutex<Option<String>>,
    shown: Mutex<Vec<(String, String)>>,
}

impl Live {
    pub(super) fn new(config: &ServerConfig) -> Self {
        let password = config.password.clone().filter(|password| !password.is_empty());
        Self {
            max_clients: AtomicUsize::new(config.max_clients),
            timeout: AtomicU64::new(config.timeout.as_millis() as u64),
            protected: AtomicBool::new(config.protected),
            has_password: AtomicBool::new(password.is_some()),
            password: Mutex::new(password),
            shown: Mutex::new(config.settings.clone()),
        }
    }

    pub(super) fn max_clients(&self) -> usize {
        // Relaxed: a limit by itself; nothing else is known from it.
        self.max_clients.load(Ordering::Relaxed)
    }

    pub(super) fn timeout(&self) -> Duration {
        // Relaxed: as above.
        Duration::from_millis(self.timeout.load(Ordering::Relaxed))
    }

    pub(super) fn protected(&self) -> bool {
        // Relaxed: as above.
        self.protected.load(Ordering::Relaxed)
    }

    pub(super) fn has_password(&self) -> bool {
        // Relaxed: as above; the password itself is behind its lock.
        self.has_password.load(Ordering::Relaxed)
    }

    /// Whether this is the password; everybody's, where there is none.
    pub(super) fn password_is(&self, user: &[u8], password: &[u8]) -> bool {
        let known = lock(&self.password);
        let right = known.as_ref().is_none_or(|known| same_secret(password, known.as_bytes()));
        right && user == b"default"
    }

    /// Shows each setting's name and value.
    pub(super) fn show(&self, each: &mut dyn FnMut(&str, &str)) {
        for (name, value) in &*lock(&self.shown) {
            each(name, value);
        }
    }

    /// Changes a setting.
    pub(super) fn set(&self, db: &Db, name: &str, value: &str) -> Result<(), NotSet> {
        let setting = table::find(name).ok_or(NotSet::Unknown)?;
        if !setting.live {
            return Err(NotSet::Fixed);
        }
        let value = setting.kind.read(value).map_err(NotSet::Wrong)?;
        match setting.name {
            "maxmemory" => db.set_max_memory(config::value::bytes(&value) as usize),
            "maxmemory-policy" => db.set_eviction(config::eviction(&value)),
            // Relaxed: each is a value by itself.
            "maxclients" => self.max_clients.store(number(&value) as usize, Ordering::Relaxed),
            // Relaxed: as above.
            "timeout" => self.timeout.store(number(&value) * 1000, Ordering::Relaxed),
            // Relaxed: as above.
            "protected-mode" => self.protected.store(value == "yes", Ordering::Relaxed),
            "requirepass" => {
                let password = Some(value.clone()).filter(|password| !password.is_empty());
                let mut known = lock(&self.password);
                // Relaxed: as above.
                self.has_password.store(password.is_some(), Ordering::Relaxed);
                *known = password;
            }
            _ => return Err(NotSet::Fixed),
        }
        let mut shown = lock(&self.shown);
        match shown.iter_mut().find(|(shown, _)| shown == setting.name) {
            Some((_, old)) => *old = value,
            None => shown.push((setting.name.to_owned(), value)),
        }
        Ok(())
    }
}

fn number(value: &str) -> u64 {
    value.parse().unwrap_or(0)
}
