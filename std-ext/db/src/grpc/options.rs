//! The options of a gRPC server.

use hedgerow_db_redis::config::{Config, ConfigError, ServerConfig};
use hedgerow_db_redis::limits::GRPC_MESSAGE;
#[cfg(feature = "tls")]
use std::path::PathBuf;
use std::time::Duration;

/// A certificate chain and its key.
#[cfg(feature = "tls")]
type Identity = (Vec<u8>, Vec<u8>);

/// The configuration of a gRPC server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GrpcOptions {
    /// The number of threads; 0 for one a core.
    pub threads: usize,
    /// The password that clients must send as `authorization: Bearer`.
    pub password: Option<String>,
    /// The maximum number of connections.
    pub max_clients: usize,
    /// The silence after which a connection is closed; zero for never.
    pub timeout: Duration,
    /// The longest message of a request, in bytes.
    pub longest_message: usize,
    /// The most bytes of requests that one connection may have in memory.
    pub query_buffer_limit: usize,
    /// The most bytes of responses that one connection may have in memory; 0 for no limit.
    pub output_buffer_limit: usize,
    /// How long a shutdown waits for clients to read their responses.
    pub shutdown_timeout: Duration,
    /// The certificate chain and the key, in PEM.
    #[cfg(feature = "tls")]
    pub tls: Option<Identity>,
}

impl Default for GrpcOptions {
    /// One thread a core, no password, 10,000 connections, 64 MiB a message, 1 GiB a connection, no TLS.
    fn default() -> Self {
        let ServerConfig {
            max_clients, timeout, query_buffer_limit, output, shutdown_timeout, ..
        } = ServerConfig::default();
        Self {
            threads: 0,
            password: None,
            max_clients,
            timeout,
            longest_message: GRPC_MESSAGE,
            query_buffer_limit,
            output_buffer_limit: output.hard,
            shutdown_timeout,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl GrpcOptions {
    /// Returns the options that a configuration sets, after reading its certificate files.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn of(config: &Config) -> Result<Self, ConfigError> {
        let ServerConfig { threads, password, .. } = config.server();
        Ok(Self {
            threads,
            password,
            #[cfg(feature = "tls")]
            tls: certificates(config)?,
            ..Self::default()
        })
    }
}

/// Returns the certificate chain and the key, if gRPC uses TLS.
#[cfg(feature = "tls")]
fn certificates(config: &Config) -> Result<Option<Identity>, ConfigError> {
    if config.get("grpc-tls") != "yes" {
        return Ok(None);
    }
    let read = |name: &str| {
        let path = PathBuf::from(config.get(name));
        std::fs::read(&path).map_err(|why| ConfigError::File(path, why))
    };
    Ok(Some((read("tls-cert-file")?, read("tls-key-file")?)))
}
