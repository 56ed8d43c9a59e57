//! How a client connects.

use hedgerow_db_redis::outgoing::ClientTls;
use std::fmt;

/// How a client connects to a server: its user, its password, and TLS.
///
/// ```no_run
/// use hedgerow_db::client::{Client, ClientOptions, ClientTls};
///
/// let mut options = ClientOptions::default();
/// options.user = Some("gardener".into());
/// options.password = Some("thorn".into());
/// options.tls = Some(ClientTls::new(&std::fs::read("ca.pem")?)?);
/// let mut client = Client::connect_with("db.example.org:6380", &options)?;
/// client.set("rose", "red")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct ClientOptions {
    /// The user; `None` for `default`.
    pub user: Option<String>,
    /// The password. Without user and password, the client does not authenticate.
    pub password: Option<String>,
    /// TLS; `None` for a connection in clear text.
    #[cfg(feature = "tls")]
    pub tls: Option<ClientTls>,
    #[cfg(not(feature = "tls"))]
    pub(super) tls: Option<ClientTls>,
}

impl fmt::Debug for ClientOptions {
    /// Shows no password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOptions").field("user", &self.user).finish_non_exhaustive()
    }
}

impl ClientOptions {
    pub(super) fn with_password(password: &str) -> Self {
        Self { password: Some(password.to_owned()), ..Self::default() }
    }

    /// Returns the request that begins a connection.
    pub(super) fn hello(&self) -> Vec<&str> {
        let mut hello = vec!["HELLO", "3"];
        if self.user.is_some() || self.password.is_some() {
            let user = self.user.as_deref().unwrap_or("default");
            hello.extend(["AUTH", user, self.password.as_deref().unwrap_or_default()]);
        }
        hello
    }
}
