//! Settings of the client.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Where etcd is, and how the client talks to it.
#[derive(Clone)]
pub struct ClientSettings {
    /// The members' client URLs: `http://host:2379` or `https://host:2379`.
    pub endpoints: Vec<String>,
    /// The user and the password, if etcd's authentication is on.
    pub user: Option<(String, String)>,
    /// Files for TLS, which `https://` endpoints use.
    pub tls: TlsSettings,
    /// How long a call may take, with everything that it repeats.
    pub call_timeout: Duration,
    /// How long one attempt to connect may take.
    pub connect_timeout: Duration,
    /// How long a watch may be silent, although the client asks it to say something, before it is cut.
    pub watch_silence: Duration,
}

/// Files for TLS.
#[derive(Clone, Debug, Default)]
pub struct TlsSettings {
    /// The certificates of the authorities that etcd's certificates are checked against.
    pub ca: Option<PathBuf>,
    /// The client's own certificate.
    pub cert: Option<PathBuf>,
    /// The key of that certificate.
    pub key: Option<PathBuf>,
}

impl ClientSettings {
    /// Returns settings with the default time limits, without a user and TLS.
    pub fn new(endpoints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            user: None,
            tls: TlsSettings::default(),
            call_timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(1),
            watch_silence: Duration::from_secs(4),
        }
    }
}

impl fmt::Debug for ClientSettings {
    /// Leaves out the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("endpoints", &self.endpoints)
            .field("user", &self.user.as_ref().map(|(name, _)| name))
            .field("tls", &self.tls)
            .field("call_timeout", &self.call_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("watch_silence", &self.watch_silence)
            .finish()
    }
}
