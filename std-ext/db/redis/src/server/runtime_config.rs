//! The configuration that can change while the server runs. The RESP server and gRPC share one, so all ports honour it.

use crate::command::{Diagnostics, SettingError, Users};
use crate::config::OutputLimit;
use crate::config::ServerConfig;
use crate::config::file_limit::{self, AllowedClients};
use crate::config::table::{self, KEY_EVENTS, Setting, TRACKED_KEYS};
use crate::config::value;
use crate::config::value::ValueKind;
use crate::tracking::Tracking;
use crate::view::Views;
use hedgerow_db_engine::Db;
use hedgerow_db_engine::encodings::EncodingLimit;
use hedgerow_db_engine::gauge::Gauge;
use hedgerow_db_engine::latency_monitor::LatencyMonitor;
use hedgerow_db_engine::lock::lock;
use hedgerow_db_engine::options::Eviction;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The limits of one client's buffers, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferLimits {
    /// The limits of unsent replies; [`OutputLimit::hard`] is [`usize::MAX`] for no limit.
    pub output: OutputLimit,
    /// The same limits of a client with a subscription.
    pub subscriber_output: OutputLimit,
    /// The longest request.
    pub input: usize,
}

/// The configuration that can change while the server runs, the settings that `CONFIG GET` shows, and the number of
/// clients.
#[derive(Debug)]
pub struct RuntimeConfig {
    max_clients: Gauge,
    clients: Gauge,
    /// In milliseconds.
    timeout: Gauge,
    /// The silence after which TCP keepalive probes a client. Does not change.
    keepalive: Duration,
    protected: AtomicBool,
    /// The users, whose passwords and rights all ports honour.
    users: Arc<Users>,
    output: OutputGauges,
    /// The same for clients with a subscription.
    subscriber_output: OutputGauges,
    max_input: Gauge,
    /// The node of a cluster, which takes a new lease from here.
    views: Option<Arc<Views>>,
    /// The counts and times of commands.
    diagnostics: Arc<Diagnostics>,
    /// The settings' names and values, as `CONFIG GET` shows them.
    displayed: Mutex<Vec<(String, Vec<u8>)>>,
}

/// An [`OutputLimit`] that can change while it is read.
#[derive(Debug)]
struct OutputGauges {
    /// [`u64::MAX`] for no limit.
    hard: Gauge,
    soft: Gauge,
    /// In milliseconds.
    soft_time: Gauge,
}

impl OutputGauges {
    fn new(limit: OutputLimit) -> Self {
        let gauges = Self { hard: Gauge::new(0), soft: Gauge::new(0), soft_time: Gauge::new(0) };
        gauges.set(limit);
        gauges
    }

    /// Takes limits as a setting has them: a hard limit of 0 means no limit.
    fn set(&self, limit: OutputLimit) {
        self.hard.set(if limit.hard == 0 { u64::MAX } else { limit.hard as u64 });
        self.soft.set(limit.soft as u64);
        self.soft_time.set(limit.soft_time.as_millis() as u64);
    }

    /// Returns the limits, with [`usize::MAX`] for no hard limit.
    fn get(&self) -> OutputLimit {
        OutputLimit {
            hard: usize::try_from(self.hard.get()).unwrap_or(usize::MAX),
            soft: self.soft.get() as usize,
            soft_time: Duration::from_millis(self.soft_time.get()),
        }
    }
}

impl RuntimeConfig {
    /// Returns the settings of a server without a database of its own to look into.
    pub fn new(config: &ServerConfig) -> Self {
        Self::with_database(config, Arc::default(), None)
    }

    /// As `new`, with the latency monitor of the database that the server serves, and the views of a cluster's node.
    pub(crate) fn with_database(
        config: &ServerConfig,
        latency: Arc<LatencyMonitor>,
        views: Option<Arc<Views>>,
    ) -> Self {
        let users = Arc::new(Users::default());
        users.set_default_password(config.password.as_deref().unwrap_or_default().as_bytes());
        let diagnostics = Arc::new(Diagnostics::with_latency(latency));
        for (name, value) in &config.settings {
            diagnostics.apply(name, value);
            match &**name {
                "acllog-max-len" => users.set_log_length(value.parse().unwrap_or(0)),
                "acl-pubsub-default" => users.set_all_channels(value == "allchannels"),
                _ => {}
            }
        }
        let displayed =
            config.settings.iter().map(|(name, value)| (name.clone(), value.clone().into()));
        Self {
            max_clients: Gauge::new(config.max_clients as u64),
            clients: Gauge::new(0),
            timeout: Gauge::new(config.timeout.as_millis() as u64),
            keepalive: config.tcp_keepalive,
            protected: AtomicBool::new(config.protected_mode),
            users,
            output: OutputGauges::new(config.output),
            subscriber_output: OutputGauges::new(config.subscriber_output),
            max_input: Gauge::new(config.query_buffer_limit as u64),
            views,
            diagnostics,
            displayed: Mutex::new(displayed.collect()),
        }
    }

    pub(crate) fn diagnostics(&self) -> &Arc<Diagnostics> {
        &self.diagnostics
    }

    pub(crate) fn max_clients(&self) -> usize {
        self.max_clients.get() as usize
    }

    /// Counts a client in, and returns whether it may stay. Each thread adds before it compares, so no two threads
    /// admit the same last client.
    pub fn admit(&self) -> bool {
        let before = self.clients.add(1);
        if before >= self.max_clients.get() {
            self.leave();
            return false;
        }
        true
    }

    /// Counts a client out.
    pub fn leave(&self) {
        self.clients.sub(1);
    }

    /// Returns the number of clients.
    pub fn clients(&self) -> usize {
        self.clients.get() as usize
    }

    /// Returns the silence after which a connection is closed; zero for never.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout.get())
    }

    /// Returns the silence after which the system asks whether the other side is still there.
    pub fn keepalive(&self) -> Duration {
        self.keepalive
    }

    /// Returns whether clients on other machines are refused.
    pub fn denies_remote(&self) -> bool {
        // Relaxed: the flag stands for itself.
        self.protected.load(Ordering::Relaxed) && self.users.default_user().needs_no_password()
    }

    /// Returns the buffer limits. A reader may see some old and some new ones, which does no harm for one cycle.
    pub fn buffer_limits(&self) -> BufferLimits {
        BufferLimits {
            output: self.output.get(),
            subscriber_output: self.subscriber_output.get(),
            input: self.max_input.get() as usize,
        }
    }

    /// Makes the users of the configuration and of the file of users.
    ///
    /// # Errors
    /// The text names each place that is wrong.
    pub(crate) fn load_users(&self, config: &ServerConfig) -> io::Result<()> {
        let mut known = Vec::new();
        for (place, words) in &config.users {
            let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
            let [name, rules @ ..] = &words[..] else { continue };
            let made = if known.contains(name) {
                Err("Duplicate user found. A user can only be defined once in config files".into())
            } else {
                self.users.configure(name, rules)
            };
            made.map_err(|why| wrong(format!("{place}: {why}")))?;
            known.push(name);
        }
        let Some(file) = &config.acl_file else { return Ok(()) };
        let name = file.display().to_string();
        let text = std::fs::read(file);
        let text =
            text.map_err(|why| io::Error::new(why.kind(), format!("aclfile {name}: {why}")))?;
        let read = self.users.load(&name, &text);
        read.map_err(|why| wrong(String::from_utf8_lossy(&why).into_owned()))?;
        self.users.set_file(file.clone());
        Ok(())
    }

    /// Returns the users.
    pub fn users(&self) -> &Arc<Users> {
        &self.users
    }

    /// Calls `each` with each setting's name and value.
    pub(crate) fn for_each_setting(&self, each: &mut dyn FnMut(&str, &[u8])) {
        for (name, value) in &*lock(&self.displayed) {
            each(name, value);
        }
    }

    /// Changes all of these settings, or none.
    ///
    /// # Errors
    /// The index of the first setting that cannot be changed, and why.
    pub(crate) fn set(
        &self,
        db: &Db,
        changes: &[(&str, &[u8])],
    ) -> Result<(), (usize, SettingError)> {
        let mut read = Vec::new();
        for (number, (name, value)) in changes.iter().enumerate() {
            read.push(parse_change(name, value).map_err(|why| (number, why))?);
        }
        // Two clients that change settings at the same time take turns: this lock is held until all are applied.
        let mut displayed = lock(&self.displayed);
        for ((setting, mut value), (_, given)) in read.into_iter().zip(changes) {
            let shown = displayed.iter().find(|(displayed, _)| displayed == setting.name);
            // Classes that are not named keep their limits.
            if setting.kind == ValueKind::OutputLimits
                && let Some(present) = shown.and_then(|(_, present)| str::from_utf8(present).ok())
                && let Ok(given) = str::from_utf8(given)
                && let Ok(all) = value::output_limits_over(present, &given.to_ascii_lowercase())
            {
                value = all.into_bytes();
            }
            self.apply(db, setting.name, &value);
            match displayed.iter_mut().find(|(displayed, _)| displayed == setting.name) {
                Some((_, old)) => *old = value,
                None => displayed.push((setting.name.to_owned(), value)),
            }
        }
        Ok(())
    }

    /// Takes settings that were read again: the password, and others that are only shown.
    pub(crate) fn take(&self, changed: Vec<(&'static str, String)>) {
        let mut displayed = lock(&self.displayed);
        for (name, value) in changed {
            if name == "requirepass" {
                self.users.set_default_password(value.as_bytes());
            }
            if let Some((_, old)) = displayed.iter_mut().find(|(displayed, _)| displayed == name) {
                *old = value.into_bytes();
            }
        }
    }

    /// Applies a setting. Each modifiable setting of the table has an arm here.
    fn apply(&self, db: &Db, name: &str, value: &[u8]) {
        // Only the password may hold other bytes than text.
        let text = str::from_utf8(value).unwrap_or_default();
        let number = || value::number(text);
        if let Some(limit) = EncodingLimit::of_name(name) {
            return db.set_encoding_limit(limit, number() as usize);
        }
        match name {
            "maxmemory" => db.set_max_memory(number() as usize),
            "maxmemory-policy" => db.set_eviction(Eviction::from_name(text).unwrap_or_default()),
            "maxmemory-samples" => db.set_eviction_samples(number() as u32),
            "lfu-log-factor" => db.set_lfu_log_factor(number() as u32),
            "lfu-decay-time" => db.set_lfu_decay_time(number() as u32),
            "script-time-limit" => db.set_script_time_limit(number()),
            "default-lua-flags" => db.set_allow_undeclared_keys(text != "none"),
            "maxclients" => self.max_clients.set(number()),
            "timeout" => self.timeout.set(number() * 1000),
            "cluster-lease" => {
                if let Some(views) = &self.views {
                    views.set_lease(number());
                }
            }
            KEY_EVENTS => db.set_key_events(text),
            TRACKED_KEYS => Tracking::of(db.state()).set_max_keys(number()),
            "cluster-move-rate" => db.set_move_rate(number()),
            // Relaxed: the flag stands for itself.
            "protected-mode" => self.protected.store(text == "yes", Ordering::Relaxed),
            "client-query-buffer-limit" => self.max_input.set(number()),
            "client-output-buffer-limit" => {
                let all = value::output_limits(text).unwrap_or_default();
                self.output.set(all.normal.unwrap_or_default());
                self.subscriber_output.set(all.subscriber.unwrap_or_default());
            }
            "acllog-max-len" => self.users.set_log_length(number()),
            "acl-pubsub-default" => self.users.set_all_channels(text == "allchannels"),
            "requirepass" => self.users.set_default_password(value),
            // Lists and streams have one form, whatever Redis's settings of their forms say.
            "list-max-listpack-size" | "list-compress-depth" | "stream-node-max-bytes" => {}
            _ if self.diagnostics.apply(name, text) => {}
            _ => debug_assert!(false, "the modifiable setting {name} is not applied"),
        }
    }
}

/// Returns the error of users that no restart makes right.
fn wrong(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// Returns a modifiable setting and its parsed value.
fn parse_change(name: &str, value: &[u8]) -> Result<(&'static Setting, Vec<u8>), SettingError> {
    let setting = table::find(name).ok_or(SettingError::Unknown)?;
    if !setting.modifiable {
        return Err(SettingError::Immutable);
    }
    if setting.kind == ValueKind::Text {
        return Ok((setting, value.to_vec()));
    }
    let text =
        str::from_utf8(value).map_err(|_| SettingError::Invalid(setting.kind.to_string()))?;
    let read = setting.kind.parse(text).map_err(|expected| {
        SettingError::Invalid(match setting.kind {
            ValueKind::OutputLimits => output_limits_error(text).unwrap_or(expected),
            ValueKind::KeyEvents => {
                "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".to_owned()
            }
            _ => expected,
        })
    })?;
    if setting.name == "maxclients"
        && let AllowedClients::Fewer { clients, .. } = file_limit::raise_for(value::number(&read))
    {
        // Redis's text.
        return Err(SettingError::Invalid(format!(
            "The operating system is not able to handle the specified number of clients, try with {clients}"
        )));
    }
    Ok((setting, read.into_bytes()))
}

/// Returns Redis's text for invalid limits of unsent output.
fn output_limits_error(text: &str) -> Option<String> {
    value::output_limits(&text.to_ascii_lowercase()).err().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EndpointType;
    use crate::view::View;
    use hedgerow_db_engine::Options;

    #[test]
    fn settings_of_the_start_reach_the_diagnostics() {
        let settings = vec![("slowlog-log-slower-than".to_owned(), "0".to_owned())];
        let config = ServerConfig { settings, ..ServerConfig::default() };
        assert!(RuntimeConfig::new(&config).diagnostics().logs_every_command());
        let config = ServerConfig::default();
        assert!(!RuntimeConfig::new(&config).diagnostics().logs_every_command());
    }

    #[test]
    fn a_new_lease_reaches_the_node() {
        let db = Db::open(Options::in_memory()).unwrap();
        let ip = EndpointType::Ip;
        let views = Arc::new(Views::new(View::default(), ip, Duration::from_secs(1)));
        let of_node = Some(Arc::clone(&views));
        let config = ServerConfig::default();
        let runtime_config = RuntimeConfig::with_database(&config, Arc::default(), of_node);
        runtime_config.set(&db, &[("cluster-lease", b"700")]).unwrap();
        assert_eq!(views.take_lease(), Some(700));
        assert!(runtime_config.set(&db, &[("cluster-lease", b"100")]).is_err());
        assert_eq!(views.take_lease(), None, "a lease below the least one is taken");
    }

    #[test]
    fn more_clients_than_files_are_refused() {
        let db = Db::open(Options::in_memory()).unwrap();
        let config = RuntimeConfig::new(&ServerConfig::default());
        config.set(&db, &[("maxclients", b"20")]).unwrap();
        // Few systems allow ten million.
        let set = config.set(&db, &[("maxclients", b"10000000")]);
        let AllowedClients::Fewer { clients, .. } = file_limit::raise_for(10_000_000) else {
            return;
        };
        let why = format!(
            "The operating system is not able to handle the specified number of clients, try with {clients}"
        );
        assert_eq!(set, Err((0, SettingError::Invalid(why))));
        assert_eq!(config.max_clients(), 20, "more clients than files are accepted");
    }

    #[test]
    fn invalid_limits_of_output_have_the_errors_of_redis() {
        let db = Db::open(Options::in_memory()).unwrap();
        let config = RuntimeConfig::new(&ServerConfig::default());
        let name = "client-output-buffer-limit";
        let before = config.buffer_limits();
        for (value, why) in [
            ("wrong number", "Wrong number of arguments in buffer limit configuration."),
            ("master 1 1 1", "Invalid client class specified in buffer limit configuration."),
            (
                "pubsub 1mb 1mb 60s",
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
            ),
        ] {
            let set = config.set(&db, &[(name, value.as_bytes())]);
            assert_eq!(set, Err((0, SettingError::Invalid(why.to_owned()))), "{value}");
        }
        assert_eq!(config.buffer_limits(), before);
        config.set(&db, &[(name, b"Slave 1 1 1 pubsub 3kb 2KB 7")]).unwrap();
        let OutputLimit { hard, soft, soft_time } = config.buffer_limits().subscriber_output;
        assert_eq!((hard, soft, soft_time), (3072, 2048, Duration::from_secs(7)));
        assert_eq!(
            config.buffer_limits().output,
            before.output,
            "a class that is not named changes"
        );
    }

    /// Sets each to its default; a setting without an arm in `apply` panics.
    #[test]
    fn every_modifiable_setting_takes_effect() {
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
