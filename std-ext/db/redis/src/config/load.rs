//! The settings of one start: gathered from all sources, checked, and converted to options of the database and its
//! servers.

use super::error::{ConfigError, conflict};
use super::server::{Bind, ServerConfig};
#[cfg(feature = "tls")]
use super::server::{ClientCertificates, TlsFiles};
use super::source::{self, RawSetting};
use super::table::{self, Setting};
use super::value::{self, ValueKind};
use hedgerow_db_engine::encodings::EncodingLimit;
use hedgerow_db_engine::options::{Eviction, Fsync, Options};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name of the lines of a file that make users. Unlike a setting, it may stand in many lines.
pub(super) const USER: &str = "user";

/// The settings of one start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The values in the order of the table.
    pub(super) values: Vec<String>,
    file: Option<PathBuf>,
    /// The users of the file: where each stands, and its name and rules.
    users: Vec<(String, Vec<String>)>,
}

impl Default for Config {
    /// All settings at their defaults.
    fn default() -> Self {
        let read = |setting: &Setting| {
            setting.kind.parse(setting.default).expect("a test parses all defaults")
        };
        Self { values: table::all().map(read).collect(), file: None, users: Vec::new() }
    }
}

impl Config {
    /// Reads the settings of all three sources. If the arguments name no file, the environment may.
    #[cfg(feature = "cli")]
    pub(super) fn from_all_sources(
        file: Option<PathBuf>,
        environment: Vec<(String, String)>,
        flags: Vec<RawSetting>,
    ) -> Result<Self, ConfigError> {
        let named = environment.iter().find(|(name, _)| name == "HEDGEROW_DB_CONFIG");
        let named = named.map(|(_, value)| value).filter(|value| !value.is_empty());
        let file = file.or_else(|| named.map(PathBuf::from));
        Self::from_sources(file, environment, flags)
    }

    /// Reads the settings from a file, if one is given, and from variables that begin with `HEDGEROW_DB_`, which
    /// override it. This is for programs with a command line of their own.
    ///
    /// # Errors
    /// [`ConfigError`] names the place of the error and the expected value.
    pub fn load(
        file: Option<PathBuf>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Self::from_sources(file, environment, Vec::new())
    }

    /// Reads the settings of all three sources.
    fn from_sources(
        file: Option<PathBuf>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: Vec<RawSetting>,
    ) -> Result<Self, ConfigError> {
        let mut config = Self { file, ..Self::default() };
        if let Some(path) = config.file.clone() {
            let text =
                fs::read_to_string(&path).map_err(|why| ConfigError::File(path.clone(), why))?;
            config.apply(source::file(&path, &text)?)?;
        }
        config.apply(source::environment(environment.into_iter()))?;
        config.apply(flags)?;
        config.check()?;
        Ok(config)
    }

    pub(super) fn apply(&mut self, all: Vec<RawSetting>) -> Result<(), ConfigError> {
        for RawSetting { name, value, words, origin } in all {
            if name.eq_ignore_ascii_case(USER) && !words.is_empty() {
                self.users.push((origin.to_string(), words));
                continue;
            }
            let index = table::all().position(|setting| setting.name.eq_ignore_ascii_case(&name));
            let Some(index) = index else {
                let suggestion = table::suggestion(&name);
                return Err(ConfigError::Unknown { origin, name, suggestion });
            };
            let setting = table::all().nth(index).expect("the index was found there");
            // A second word is a mistake, such as a comment behind a password, or two spaces within one.
            if words.len() > 1
                && matches!(setting.kind, ValueKind::Text | ValueKind::File | ValueKind::Folder)
            {
                let expected = format!("{}, quoted if it contains spaces", setting.kind);
                let name = setting.name;
                return Err(ConfigError::InvalidValue { origin, name, value, expected });
            }
            let parsed = match setting.kind {
                // Redis's files have a line for each class: classes that are not named keep their limits.
                ValueKind::OutputLimits => {
                    value::output_limits_over(&self.values[index], &value.to_ascii_lowercase())
                        .map_err(|_| setting.kind.to_string())
                }
                _ => setting.kind.parse(&value),
            };
            match parsed {
                Ok(value) => self.values[index] = value,
                Err(expected) => {
                    let name = setting.name;
                    return Err(ConfigError::InvalidValue { origin, name, value, expected });
                }
            }
        }
        Ok(())
    }

    /// Checks the settings against each other.
    fn check(&self) -> Result<(), ConfigError> {
        if self.number("tls-port") != 0 {
            if cfg!(not(feature = "tls")) {
                return conflict("tls-port requires a build with the feature `tls`");
            }
            if self.get("tls-cert-file").is_empty() || self.get("tls-key-file").is_empty() {
                return conflict("tls-port requires tls-cert-file and tls-key-file");
            }
            if self.get("tls-auth-clients") != "no" && self.get("tls-ca-cert-file").is_empty() {
                return conflict("tls-port requires tls-ca-cert-file, or tls-auth-clients no");
            }
        }
        let ports = ["port", "tls-port", "grpc-port", "metrics-port"].map(|name| self.number(name));
        if ports[..3] == [0; 3] && self.get("unixsocket").is_empty() {
            return conflict(
                "port, tls-port, grpc-port and unixsocket are all off: no client could connect",
            );
        }
        for (i, port) in ports.iter().enumerate() {
            if *port != 0 && ports[..i].contains(port) {
                return conflict("port, tls-port, grpc-port and metrics-port must differ");
            }
        }
        if !self.users.is_empty() && !self.get("aclfile").is_empty() {
            return conflict(
                "users are defined either in aclfile or in the configuration file, not in both",
            );
        }
        self.check_grpc()?;
        self.check_cluster()
    }

    fn check_grpc(&self) -> Result<(), ConfigError> {
        let Some(address) = self.grpc() else { return Ok(()) };
        let open = self.get("requirepass").is_empty() && self.flag("protected-mode");
        if open && !address.ip().is_loopback() {
            return conflict(
                "grpc-port on an address that other machines can reach requires requirepass, or protected-mode no",
            );
        }
        if self.flag("grpc-tls")
            && (self.get("tls-cert-file").is_empty() || self.get("tls-key-file").is_empty())
        {
            return conflict("grpc-tls requires tls-cert-file and tls-key-file");
        }
        Ok(())
    }

    /// Returns the value of a setting.
    ///
    /// # Panics
    /// If the table has no setting of that name.
    pub fn get(&self, name: &str) -> &str {
        let index = table::all().position(|setting| setting.name == name);
        &self.values[index.expect("the name of a setting")]
    }

    /// Returns the names and values of all settings, in the order of the table.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &str)> {
        table::all().map(|setting| setting.name).zip(self.values.iter().map(String::as_str))
    }

    /// Returns the file that was read, if there was one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Returns the value of a setting that is a number, or a number of bytes.
    pub(super) fn number(&self, name: &str) -> u64 {
        value::number(self.get(name))
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.get(name) == "yes"
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        Some(self.get(name)).filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    pub(super) fn port(&self, name: &str) -> Option<u16> {
        u16::try_from(self.number(name)).ok().filter(|port| *port != 0)
    }

    /// Returns the options of the database.
    pub fn options(&self) -> Options {
        let mut options = if self.flag("appendonly") {
            Options::at(self.get("dir"))
        } else {
            Options::in_memory()
        };
        options.fsync = match self.get("appendfsync") {
            "always" => Fsync::Always,
            "no" => Fsync::Never,
            _ => Fsync::EverySecond,
        };
        options.databases = self.number("databases") as u16;
        options.shards = self.number("shards") as usize;
        options.max_memory = self.number("maxmemory") as usize;
        options.eviction = Eviction::from_name(self.get("maxmemory-policy")).unwrap_or_default();
        options.eviction_samples = self.number("maxmemory-samples") as u32;
        options.lfu_log_factor = self.number("lfu-log-factor") as u32;
        options.lfu_decay_time = self.number("lfu-decay-time") as u32;
        for limit in EncodingLimit::ALL {
            options.encodings.set(limit, self.number(limit.name()) as usize);
        }
        options.compressed = self.number("compressed") as usize;
        options.snapshot_after = self.number("snapshot-after");
        options.script_time_limit = self.number("script-time-limit");
        options.allow_undeclared_keys = self.get("default-lua-flags") != "none";
        options
    }

    /// Returns the configuration of the server.
    pub fn server(&self) -> ServerConfig {
        let binds = self.binds("port");
        let tls_binds = self.binds("tls-port");
        let mut server = ServerConfig { binds, tls_binds, ..ServerConfig::default() };
        #[cfg(feature = "tls")]
        if let (Some(certificate), Some(key)) =
            (self.path("tls-cert-file"), self.path("tls-key-file"))
            && !server.tls_binds.is_empty()
        {
            let clients = match self.get("tls-auth-clients") {
                "no" => ClientCertificates::Ignored,
                "optional" => ClientCertificates::Optional,
                _ => ClientCertificates::Required,
            };
            let authorities = self.path("tls-ca-cert-file");
            server.tls = Some(TlsFiles { certificate, key, authorities, clients });
        }
        server.unix = self.path("unixsocket");
        server.unix_mode = u32::from_str_radix(self.get("unixsocketperm"), 8).ok();
        server.threads = self.number("threads") as usize;
        server.max_clients = self.number("maxclients") as usize;
        server.timeout = Duration::from_secs(self.number("timeout"));
        server.tcp_keepalive = Duration::from_secs(self.number("tcp-keepalive"));
        let output = value::output_limits(self.get("client-output-buffer-limit"));
        let output = output.expect("the table has checked the limits");
        server.output = output.normal.unwrap_or_default();
        server.subscriber_output = output.subscriber.unwrap_or_default();
        server.query_buffer_limit = self.number("client-query-buffer-limit") as usize;
        server.shutdown_timeout = Duration::from_secs(self.number("shutdown-timeout"));
        server.password = Some(self.get("requirepass").to_owned()).filter(|word| !word.is_empty());
        (server.users, server.acl_file) = (self.users.clone(), self.path("aclfile"));
        server.protected_mode = self.flag("protected-mode");
        server.settings = self.all().map(|(name, value)| (name.into(), value.into())).collect();
        // Settings of Redis that clients read, although nothing can be set here.
        let read_only = [("save", ""), ("cluster-enabled", self.get("cluster"))];
        for (name, value) in read_only {
            server.settings.push((name.to_owned(), value.to_owned()));
        }
        server.config_file =
            self.file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
        server
    }

    /// Returns the address of the metrics server, if there is one.
    pub fn metrics(&self) -> Option<SocketAddr> {
        let address = value::read_addresses(self.get("metrics-bind"))?.first()?.0;
        Some(SocketAddr::new(address, self.port("metrics-port")?))
    }

    /// Returns the address of the gRPC server, if there is one.
    pub fn grpc(&self) -> Option<SocketAddr> {
        Some(self.binds("grpc-port").first()?.address)
    }

    /// Returns what is logged: a value of `loglevel`.
    pub fn log_level(&self) -> &str {
        self.get("loglevel")
    }

    fn binds(&self, port: &str) -> Vec<Bind> {
        binds(self.get("bind"), self.port(port))
    }
}

/// Returns addresses with a port; none without a port.
pub(super) fn binds(addresses: &str, port: Option<u16>) -> Vec<Bind> {
    let Some(port) = port else { return Vec::new() };
    let all = value::read_addresses(addresses).unwrap_or_default();
    let bind =
        |(ip, optional): (IpAddr, bool)| Bind { address: SocketAddr::new(ip, port), optional };
    all.into_iter().map(bind).collect()
}
