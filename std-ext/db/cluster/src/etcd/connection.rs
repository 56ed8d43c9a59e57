//! The endpoints, and a connection to each.

use super::error::{ErrorKind, EtcdError, chain};
use super::settings::{ClientSettings, TlsSettings};
use hedgerow_db_engine::lock::lock;
#[cfg(feature = "tls")]
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tonic::transport::{Channel, Endpoint};

/// How often an endpoint is asked whether it is still there, while it owes an answer. etcd closes the connections of
/// clients that ask more than once in 5 s.
const PING: Duration = Duration::from_secs(10);
/// How long it may take to answer that.
const PONG: Duration = Duration::from_secs(4);

/// An endpoint.
#[derive(Debug)]
pub(super) struct EtcdMember {
    url: String,
    /// How new connections are made.
    endpoint: Mutex<Endpoint>,
    /// The files that `endpoint` was made of.
    tls: Mutex<TlsSettings>,
    connect_timeout: Duration,
    slot: Mutex<ConnectionSlot>,
    /// Held by the caller that connects, for which the others wait.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct ConnectionSlot {
    channel: Option<Channel>,
    /// How many connections there were.
    number: u64,
    /// How many requests have failed.
    failures: u64,
}

/// A connection to an endpoint.
#[derive(Debug)]
pub(super) struct EtcdConnection {
    pub(super) channel: Channel,
    number: u64,
}

impl EtcdMember {
    /// Checks the settings of an endpoint.
    pub(super) fn new(url: &str, settings: &ClientSettings) -> Result<Self, EtcdError> {
        Ok(Self {
            url: url.into(),
            endpoint: Mutex::new(endpoint(url, &settings.tls)?),
            tls: Mutex::new(settings.tls.clone()),
            connect_timeout: settings.connect_timeout,
            slot: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Makes new connections by another endpoint, which was made of these files. The one that exists goes on.
    pub(super) fn renew(&self, endpoint: Endpoint, tls: TlsSettings) {
        *lock(&self.endpoint) = endpoint;
        *lock(&self.tls) = tls;
    }

    /// Reads the files again, after a failure: etcd may have refused the certificate. So a node that waits for etcd
    /// gets a new one without a signal. Files that cannot be used change nothing.
    fn read_files_again(&self) {
        if let Ok(read) = endpoint(&self.url, &lock(&self.tls)) {
            *lock(&self.endpoint) = read;
        }
    }

    /// Returns how many requests have failed here.
    pub(super) fn failures(&self) -> u64 {
        lock(&self.slot).failures
    }

    pub(super) fn count_failure(&self) {
        lock(&self.slot).failures += 1;
    }

    /// Returns the connection, which it makes if there is none.
    ///
    /// # Errors
    /// If no connection could be made: nothing was sent then.
    pub(super) async fn connection(&self, deadline: Instant) -> Result<EtcdConnection, EtcdError> {
        if let Some(connection) = self.open() {
            return Ok(connection);
        }
        let unreachable = |why: String| EtcdError::new(ErrorKind::Unreachable, &self.url, why);
        // An endpoint that is down must leave time for the next one.
        let deadline = deadline.min(Instant::now() + self.connect_timeout);
        let connect = async {
            let _connecting = self.connecting.lock().await;
            if let Some(connection) = self.open() {
                return Ok(connection);
            }
            if self.failures() > 0 {
                self.read_files_again();
            }
            let endpoint = lock(&self.endpoint).clone();
            let channel = endpoint.connect().await.map_err(|why| unreachable(chain(&why)))?;
            let mut slot = lock(&self.slot);
            slot.number += 1;
            slot.channel = Some(channel.clone());
            Ok(EtcdConnection { channel, number: slot.number })
        };
        match timeout_at(deadline, connect).await {
            Ok(connected) => connected,
            Err(_) => Err(unreachable("connecting took too long".into())),
        }
    }

    fn open(&self) -> Option<EtcdConnection> {
        let slot = lock(&self.slot);
        let channel = slot.channel.clone()?;
        Some(EtcdConnection { channel, number: slot.number })
    }

    /// Lets the next call connect again, unless another call has already.
    pub(super) fn forget(&self, connection: &EtcdConnection) {
        let mut slot = lock(&self.slot);
        // A newer connection has nothing to do with the failure.
        if slot.number == connection.number {
            slot.channel = None;
        }
    }
}

/// Checks an address, and reads the files for TLS if it needs them.
pub(super) fn endpoint(url: &str, tls: &TlsSettings) -> Result<Endpoint, EtcdError> {
    let bad = |why: &str| EtcdError::new(ErrorKind::Settings, url, why);
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|why| bad(&chain(&why)))?;
    let uri = endpoint.uri();
    let secure = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(bad("the address must begin with http:// or https://")),
    };
    if uri.host().is_none_or(str::is_empty) || !matches!(uri.path(), "" | "/") {
        return Err(bad("the address must be a host and a port"));
    }
    let endpoint =
        endpoint.tcp_nodelay(true).http2_keep_alive_interval(PING).keep_alive_timeout(PONG);
    if secure { with_tls(endpoint, url, tls) } else { Ok(endpoint) }
}

#[cfg(feature = "tls")]
fn with_tls(endpoint: Endpoint, url: &str, files: &TlsSettings) -> Result<Endpoint, EtcdError> {
    use tonic::transport::{Certificate, ClientTlsConfig, Identity};
    let bad = |why: &str| EtcdError::new(ErrorKind::Settings, url, why);
    let Some(ca) = &files.ca else {
        return Err(bad("https:// needs CA certificates"));
    };
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca, url)?));
    tls = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => {
            tls.identity(Identity::from_pem(read(cert, url)?, read(key, url)?))
        }
        (None, None) => tls,
        _ => return Err(bad("a certificate needs a key, and a key needs a certificate")),
    };
    endpoint.tls_config(tls).map_err(|why| bad(&chain(&why)))
}

#[cfg(feature = "tls")]
fn read(file: &Path, url: &str) -> Result<Vec<u8>, EtcdError> {
    std::fs::read(file).map_err(|why| {
        let detail = format!("{}: {why}", file.display());
        EtcdError::new(ErrorKind::Settings, url, detail)
    })
}

#[cfg(not(feature = "tls"))]
fn with_tls(_: Endpoint, url: &str, _: &TlsSettings) -> Result<Endpoint, EtcdError> {
    let why = "this build has no TLS: build it with the feature `tls`";
    Err(EtcdError::new(ErrorKind::Settings, url, why))
}
