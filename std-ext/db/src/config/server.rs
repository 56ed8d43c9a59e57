//! How the servers are configured: plain data, which [`Config`](super::Config) fills in and the servers read.

#[cfg(feature = "grpc")]
use crate::limits::GRPC_MESSAGE;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The address; port 0 is any that is free.
    pub address: SocketAddr,
    /// Whether it is no matter where the machine has no such address.
    pub optional: bool,
}

/// How a server serves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Where it listens.
    pub binds: Vec<Bind>,
    /// Where it listens for TLS.
    pub tls_binds: Vec<Bind>,
    /// The certificates for that.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsFiles>,
    /// A Unix socket to listen on.
    pub unix: Option<PathBuf>,
    /// Its permissions.
    pub unix_mode: Option<u32>,
    /// How many threads serve; 0 for one a core.
    pub threads: usize,
    /// How many clients are served at once.
    pub max_clients: usize,
    /// After how much silence a client is closed; zero for never.
    pub timeout: Duration,
    /// After how much silence the system asks whether the other side is there; zero for never.
    pub tcp_keepalive: Duration,
    /// A client for which more bytes of answers than that wait is closed; 0 for no limit. While half a MiB waits, the
    /// server reads commands of a client only if it takes none of its answers.
    pub output_buffer_limit: usize,
    /// So is a client for which more bytes than that wait for longer than [`soft_output_buffer_time`](Self::soft_output_buffer_time);
    /// 0 for no limit.
    pub soft_output_buffer_limit: usize,
    /// How long more than [`soft_output_buffer_limit`](Self::soft_output_buffer_limit) may wait.
    pub soft_output_buffer_time: Duration,
    /// A client that sends a longer request is closed.
    pub query_buffer_limit: usize,
    /// How long the end waits for clients to take their last answers.
    pub shutdown_timeout: Duration,
    /// What clients must say first.
    pub password: Option<String>,
    /// Without a password, whether only clients of this machine are served.
    pub protected_mode: bool,
    /// What `CONFIG GET` shows: names and values.
    pub settings: Vec<(String, String)>,
    /// The file of settings, if there is one, as `INFO` shows it.
    pub config_file: String,
}

impl Default for ServerConfig {
    /// Serves this machine, on any free port.
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
            output_buffer_limit: 1 << 30,
            soft_output_buffer_limit: 0,
            soft_output_buffer_time: Duration::ZERO,
            query_buffer_limit: 1 << 30,
            shutdown_timeout: Duration::from_secs(10),
            password: None,
            protected_mode: true,
            settings: Vec::new(),
            config_file: String::new(),
        }
    }
}

/// Whether clients must show a certificate.
#[cfg(feature = "tls")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ClientCertificates {
    /// They must.
    #[default]
    Required,
    /// They may, and then it must be good.
    Optional,
    /// They are not asked.
    Ignored,
}

/// Which certificates the server shows and trusts: files in PEM.
#[cfg(feature = "tls")]
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's certificate, and those that lead from it to one that clients trust.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Certificates that sign those of clients.
    pub authorities: Option<PathBuf>,
    /// Whether clients must show one.
    #[cfg(feature = "tls")]
    pub clients: ClientCertificates,
}

/// How the database is served.
#[cfg(feature = "grpc")]
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GrpcOptions {
    /// Threads that serve; 0 for one a core.
    pub threads: usize,
    /// What clients have to send in `authorization: Bearer`, if anything.
    pub password: Option<String>,
    /// How many connections there may be at once.
    pub max_clients: usize,
    /// After how much silence a connection is closed; zero for never.
    pub timeout: Duration,
    /// Bytes of a request's message, at most.
    pub longest_message: usize,
    /// Bytes of requests that one connection may have in memory, at most.
    pub query_buffer_limit: usize,
    /// Bytes of answers that one connection may have in memory, at most; 0 for any number.
    pub output_buffer_limit: usize,
    /// How long the end waits for clients to take the answers to what they have asked.
    pub shutdown_timeout: Duration,
    /// Certificates and key, as PEM.
    #[cfg(feature = "tls")]
    pub tls: Option<(Vec<u8>, Vec<u8>)>,
}

#[cfg(feature = "grpc")]
impl Default for GrpcOptions {
    /// A thread a core, no password, 10,000 connections, 64 MiB a message and 1 GiB a connection, no TLS.
    fn default() -> Self {
        let ServerConfig {
            max_clients,
            timeout,
            query_buffer_limit,
            output_buffer_limit,
            shutdown_timeout,
            ..
        } = ServerConfig::default();
        Self {
            threads: 0,
            password: None,
            max_clients,
            timeout,
            longest_message: GRPC_MESSAGE,
            query_buffer_limit,
            output_buffer_limit,
            shutdown_timeout,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}
