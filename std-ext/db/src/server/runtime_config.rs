//! What can be changed while the server runs, and what all of its ports honour: the RESP server and gRPC share one.

use crate::Db;
use crate::command::{SettingError, same_secret};
use crate::config::ServerConfig;
use crate::config::table::{self, Setting};
use crate::config::value;
use crate::config::value::Kind;
use crate::lock::lock;
use crate::options::Eviction;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// What buffers one client may have, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BufferLimits {
    /// A client for which more bytes of answers than that wait is closed; [`usize::MAX`] for no limit.
    pub(crate) hard: usize,
    /// So is one for which more bytes than that wait for longer than [`soft_time`](Self::soft_time); 0 for no limit.
    pub(crate) soft: usize,
    /// For so long.
    pub(crate) soft_time: Duration,
    /// A request may be so long.
    pub(crate) input: usize,
}

/// What can be changed while the server runs, what `CONFIG GET` shows, and how many clients there are.
#[derive(Debug)]
pub(crate) struct RuntimeConfig {
    max_clients: AtomicUsize,
    clients: AtomicUsize,
    /// In milliseconds.
    timeout: AtomicU64,
    /// After how much silence the system asks whether the other side is there. Does not change.
    #[cfg(feature = "grpc")]
    keepalive: Duration,
    protected: AtomicBool,
    has_password: AtomicBool,
    /// Any bytes, as `AUTH` takes them.
    password: Mutex<Option<Vec<u8>>>,
    hard_output: AtomicUsize,
    soft_output: AtomicUsize,
    /// In milliseconds.
    soft_output_time: AtomicU64,
    max_input: AtomicUsize,
    displayed: Mutex<Vec<(String, Vec<u8>)>>,
}

impl RuntimeConfig {
    pub(crate) fn new(config: &ServerConfig) -> Self {
        let password = config.password.clone().filter(|password| !password.is_empty());
        let displayed =
            config.settings.iter().map(|(name, value)| (name.clone(), value.clone().into()));
        let unlimited_if_zero = |bytes: usize| if bytes == 0 { usize::MAX } else { bytes };
        Self {
            max_clients: AtomicUsize::new(config.max_clients),
            clients: AtomicUsize::new(0),
            timeout: AtomicU64::new(config.timeout.as_millis() as u64),
            #[cfg(feature = "grpc")]
            keepalive: config.tcp_keepalive,
            protected: AtomicBool::new(config.protected_mode),
            has_password: AtomicBool::new(password.is_some()),
            password: Mutex::new(password.map(String::into_bytes)),
            hard_output: AtomicUsize::new(unlimited_if_zero(config.output_buffer_limit)),
            soft_output: AtomicUsize::new(config.soft_output_buffer_limit),
            soft_output_time: AtomicU64::new(config.soft_output_buffer_time.as_millis() as u64),
            max_input: AtomicUsize::new(config.query_buffer_limit),
            displayed: Mutex::new(displayed.collect()),
        }
    }

    pub(crate) fn max_clients(&self) -> usize {
        // Relaxed: a limit by itself; nothing else is known from it.
        self.max_clients.load(Ordering::Relaxed)
    }

    /// Counts a client in, unless there are enough.
    pub(crate) fn admit(&self) -> bool {
        // Relaxed: the number alone is meant, and each thread adds before it looks.
        let before = self.clients.fetch_add(1, Ordering::Relaxed);
        if before >= self.max_clients() {
            self.leave();
            return false;
        }
        true
    }

    /// Counts a client out.
    pub(crate) fn leave(&self) {
        // Relaxed: as in `admit`.
        self.clients.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn clients(&self) -> usize {
        // Relaxed: a figure for people.
        self.clients.load(Ordering::Relaxed)
    }

    pub(crate) fn timeout(&self) -> Duration {
        // Relaxed: a limit by itself; nothing else is known from it.
        Duration::from_millis(self.timeout.load(Ordering::Relaxed))
    }

    #[cfg(feature = "grpc")]
    pub(crate) fn keepalive(&self) -> Duration {
        self.keepalive
    }

    /// Whether a client from another machine is turned away.
    pub(crate) fn denies_remote(&self) -> bool {
        // Relaxed: as above.
        self.protected.load(Ordering::Relaxed) && !self.has_password()
    }

    pub(crate) fn buffer_limits(&self) -> BufferLimits {
        // Relaxed: each is a limit by itself, and a turn with some of the old ones does no harm.
        BufferLimits {
            hard: self.hard_output.load(Ordering::Relaxed),
            soft: self.soft_output.load(Ordering::Relaxed),
            soft_time: Duration::from_millis(self.soft_output_time.load(Ordering::Relaxed)),
            input: self.max_input.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn has_password(&self) -> bool {
        // Relaxed: as above; the password itself is behind its lock.
        self.has_password.load(Ordering::Relaxed)
    }

    /// Whether this is the password; everybody's, where there is none.
    pub(crate) fn password_is(&self, user: &[u8], password: &[u8]) -> bool {
        let expected = lock(&self.password);
        let right = expected.as_ref().is_none_or(|expected| same_secret(password, expected));
        right && user == b"default"
    }

    /// Shows each setting's name and value.
    pub(crate) fn for_each_setting(&self, each: &mut dyn FnMut(&str, &[u8])) {
        for (name, value) in &*lock(&self.displayed) {
            each(name, value);
        }
    }

    /// Changes all of these settings, or none.
    ///
    /// # Errors
    /// Which one cannot be changed so, and why.
    pub(crate) fn set(
        &self,
        db: &Db,
        changes: &[(&str, &[u8])],
    ) -> Result<(), (usize, SettingError)> {
        let mut read = Vec::new();
        for (number, (name, value)) in changes.iter().enumerate() {
            read.push(parse_change(name, value).map_err(|why| (number, why))?);
        }
        // Two clients that change settings at the same time do so one after the other.
        let mut displayed = lock(&self.displayed);
        for (setting, value) in read {
            self.apply(db, setting.name, &value);
            match displayed.iter_mut().find(|(displayed, _)| displayed == setting.name) {
                Some((_, old)) => *old = value,
                None => displayed.push((setting.name.to_owned(), value)),
            }
        }
        Ok(())
    }

    /// Has a setting take effect. Those that [`parse_change`] lets pass are all here.
    fn apply(&self, db: &Db, name: &str, value: &[u8]) {
        // All but the password are plain words.
        let text = str::from_utf8(value).unwrap_or_default();
        let number = || text.parse::<u64>().unwrap_or(0);
        match name {
            "maxmemory" => db.set_max_memory(value::bytes(text) as usize),
            "maxmemory-policy" => db.set_eviction(Eviction::from_name(text).unwrap_or_default()),
            // Relaxed: each is a value by itself.
            "maxclients" => self.max_clients.store(number() as usize, Ordering::Relaxed),
            // Relaxed: as above.
            "timeout" => self.timeout.store(number() * 1000, Ordering::Relaxed),
            // Relaxed: as above.
            "protected-mode" => self.protected.store(text == "yes", Ordering::Relaxed),
            // Relaxed: as above.
            "client-query-buffer-limit" => {
                self.max_input.store(value::bytes(text) as usize, Ordering::Relaxed);
            }
            "client-output-buffer-limit" => {
                let (hard, soft, soft_time) = value::output_limits(text).unwrap_or_default();
                let hard = if hard == 0 { usize::MAX } else { hard as usize };
                // Relaxed: as above.
                self.hard_output.store(hard, Ordering::Relaxed);
                // Relaxed: as above.
                self.soft_output.store(soft as usize, Ordering::Relaxed);
                // Relaxed: as above.
                self.soft_output_time.store(soft_time * 1000, Ordering::Relaxed);
            }
            "requirepass" => {
                let password = Some(value.to_vec()).filter(|password| !password.is_empty());
                let mut expected = lock(&self.password);
                // Relaxed: as above.
                self.has_password.store(password.is_some(), Ordering::Relaxed);
                *expected = password;
            }
            _ => debug_assert!(false, "{name} can be changed, and nothing is done about it"),
        }
    }
}

/// A setting that can be changed while the server runs, and its value as it is kept.
fn parse_change(name: &str, value: &[u8]) -> Result<(&'static Setting, Vec<u8>), SettingError> {
    let setting = table::find(name).ok_or(SettingError::Unknown)?;
    if !setting.modifiable {
        return Err(SettingError::Immutable);
    }
    if setting.kind == Kind::Text {
        return Ok((setting, value.to_vec()));
    }
    let text =
        str::from_utf8(value).map_err(|_| SettingError::Invalid(setting.kind.to_string()))?;
    let read = setting.kind.parse(text).map_err(SettingError::Invalid)?;
    Ok((setting, read.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;

    /// Each is set to its default: what does not take effect panics.
    #[test]
    fn every_setting_that_can_be_changed_takes_effect() {
        let db = Db::open(Options::in_memory()).unwrap();
        let runtime_config = RuntimeConfig::new(&ServerConfig::default());
        let all: Vec<_> = table::all().filter(|setting| setting.modifiable).collect();
        let changes: Vec<(&str, &[u8])> =
            all.iter().map(|setting| (setting.name, setting.default.as_bytes())).collect();
        assert_eq!(runtime_config.set(&db, &changes), Ok(()));
        let mut displayed = 0;
        runtime_config.for_each_setting(&mut |_, _| displayed += 1);
        assert_eq!(displayed, changes.len());
        assert_eq!(
            runtime_config.buffer_limits(),
            RuntimeConfig::new(&ServerConfig::default()).buffer_limits()
        );
    }
}
