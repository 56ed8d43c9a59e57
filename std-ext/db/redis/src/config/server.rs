//! The configuration of the servers: plain data, which [`Config`](super::Config) fills in and the servers read.

use super::file_limit::{self, AllowedClients};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The address. Port 0 chooses a free one.
    pub address: SocketAddr,
    /// Whether the address is skipped if this machine does not have it.
    pub optional: bool,
}

/// The configuration of a server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The TCP addresses.
    pub binds: Vec<Bind>,
    /// The TCP addresses for TLS.
    pub tls_binds: Vec<Bind>,
    /// The certificates for TLS.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsFiles>,
    /// The path of a Unix socket.
    pub unix: Option<PathBuf>,
    /// The permissions of the Unix socket.
    pub unix_mode: Option<u32>,
    /// The maximum number of threads; 0 for one a core. One serves all clients until it has no time left.
    pub threads: usize,
    /// The maximum number of clients.
    pub max_clients: usize,
    /// The silence after which a client is closed; zero for never.
    pub timeout: Duration,
    /// The silence after which TCP keepalive probes a client; zero for never.
    pub tcp_keepalive: Duration,
    /// The limits of unsent replies of a client without a subscription. From 512 KiB on, the server reads more commands
    /// of a client only if that client takes none of its replies.
    pub output: OutputLimit,
    /// The same limits for a client with a subscription, whose messages count as well.
    pub subscriber_output: OutputLimit,
    /// A client that sends a longer request is closed.
    pub query_buffer_limit: usize,
    /// How long a shutdown waits for clients to read their last replies.
    pub shutdown_timeout: Duration,
    /// The password of the user `default`.
    pub password: Option<String>,
    /// The users of the configuration file: where each stands, and its name and rules.
    pub users: Vec<(String, Vec<String>)>,
    /// The file of users.
    pub acl_file: Option<PathBuf>,
    /// Whether clients on other machines are refused while there is no password.
    pub protected_mode: bool,
    /// The names and values that `CONFIG GET` shows.
    pub settings: Vec<(String, String)>,
    /// The configuration file, if there is one, as `INFO` shows it.
    pub config_file: String,
}

/// The limits of unsent output of one client. The default is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct OutputLimit {
    /// A client with more bytes than this is closed; 0 for no limit.
    pub hard: usize,
    /// A client with more bytes than this for longer than [`soft_time`](Self::soft_time) is closed; 0 for no limit.
    pub soft: usize,
    /// How long the soft limit may be exceeded.
    pub soft_time: Duration,
}

impl Default for ServerConfig {
    /// Serves this machine only, on any free port.
    fn default() -> Self {
        Self {
            binds: vec![Bind { address: ([127, 0, 0, 1], 0).into(), optional: false }],
            tls_binds: Vec::new(),
            #[cfg(feature = "tls")]
            tls: None,
            unix: None,
            unix_mode: None,
            threads: 0,
            max_clients: 10_000,
            timeout: Duration::ZERO,
            tcp_keepalive: Duration::from_secs(300),
            output: OutputLimit { hard: 1 << 30, soft: 0, soft_time: Duration::ZERO },
            subscriber_output: OutputLimit {
                hard: 32 << 20,
                soft: 8 << 20,
                soft_time: Duration::from_secs(60),
            },
            query_buffer_limit: 1 << 30,
            shutdown_timeout: Duration::from_secs(10),
            password: None,
            users: Vec::new(),
            acl_file: None,
            protected_mode: true,
            settings: Vec::new(),
            config_file: String::new(),
        }
    }
}

impl ServerConfig {
    /// Raises the limit of open files if `max_clients` needs it, or lowers `max_clients` if that is impossible.
    pub fn fit_max_clients_to_file_limit(&mut self) {
        let wanted = self.max_clients;
        if let AllowedClients::Fewer { clients, files } = file_limit::raise_for(wanted as u64) {
            tracing::warn!(
                "the limit of open files is {files}, so maxclients is {clients} instead of {wanted}; raise it with \
                 `ulimit -n` or LimitNOFILE"
            );
            self.set_max_clients(clients as usize);
        }
    }

    /// Sets the maximum number of clients, which `CONFIG GET` shows.
    pub fn set_max_clients(&mut self, clients: usize) {
        self.max_clients = clients;
        for (_, value) in self.settings.iter_mut().filter(|(name, _)| name == "maxclients") {
            *value = clients.to_string();
        }
    }
}

/// Whether clients must send a certificate.
#[cfg(feature = "tls")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ClientCertificates {
    /// They must.
    #[default]
    Required,
    /// They may; a certificate that is sent must be valid.
    Optional,
    /// They are not asked for one.
    Ignored,
}

/// The certificate files of a server, in PEM.
#[cfg(feature = "tls")]
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's certificate and its chain.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// The certificates that sign those of clients.
    pub authorities: Option<PathBuf>,
    /// Whether clients must send a certificate.
    pub clients: ClientCertificates,
}
