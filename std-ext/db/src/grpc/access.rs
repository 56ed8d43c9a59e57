//! The right to a call: the password at its begin, and the rights of the user `default` as long as it goes on.

use super::bounds::Peer;
use hedgerow_db_engine::gauge::Gauge;
use hedgerow_db_redis::command::DEFAULT_USER;
use hedgerow_db_redis::server::RuntimeConfig;
use std::sync::Arc;
use tonic::{Request, Status};

/// The right of a call that was admitted.
#[derive(Clone)]
pub(super) struct Access(Arc<Admitted>);

struct Admitted {
    runtime_config: Arc<RuntimeConfig>,
    /// Whether the client has sent the password.
    has_password: bool,
    /// The version of the table of users that was checked last.
    version: Gauge,
}

impl Access {
    /// Checks that the call may go on, as for a connection over RESP: a client that has sent a password keeps its user,
    /// and a client without one loses it when the user needs a password. No lock is taken unless a user has changed.
    pub(super) fn check(&self) -> Result<(), Status> {
        let users = self.0.runtime_config.users();
        // Before the user is read: a change between the two is seen by the next check.
        let version = users.version();
        if version == self.0.version.get() {
            return Ok(());
        }
        let user = users.default_user();
        if !user.is_unrestricted() {
            return Err(restricted());
        }
        if !self.0.has_password && !user.is_open() {
            return Err(no_password());
        }
        self.0.version.set(version);
        Ok(())
    }
}

/// Returns the connection of a request, and its access.
pub(super) fn caller<T>(request: &Request<T>) -> Option<(Peer, Access)> {
    let extensions = request.extensions();
    Some((extensions.get::<Peer>()?.clone(), extensions.get::<Access>()?.clone()))
}

/// Admits a request if it carries the current password, or if no password is set.
pub(super) fn authenticate(
    mut request: Request<()>,
    runtime_config: &Arc<RuntimeConfig>,
) -> Result<Request<()>, Status> {
    let users = runtime_config.users();
    // Before the user is read: a change between the two is seen by the first check.
    let version = users.version();
    // Requests are those of the user `default`. They are not checked one by one, so it must have all rights.
    let user = users.default_user();
    if !user.is_unrestricted() {
        return Err(restricted());
    }
    let has_password = !user.is_open();
    if has_password {
        let sent = request.metadata().get("authorization");
        // As over RESP, nothing is logged about a client that has sent no password.
        let Some(sent) = sent else { return Err(no_password()) };
        let password = sent.as_encoded_bytes().strip_prefix(b"Bearer ");
        if password.is_none_or(|sent| users.authenticate(DEFAULT_USER, sent).is_none()) {
            if let Some(peer) = request.extensions().get::<Peer>() {
                peer.log_wrong_password();
            }
            return Err(no_password());
        }
    }
    let runtime_config = Arc::clone(runtime_config);
    let admitted = Admitted { runtime_config, has_password, version: Gauge::new(version) };
    request.extensions_mut().insert(Access(Arc::new(admitted)));
    Ok(request)
}

fn restricted() -> Status {
    Status::permission_denied("the user `default` does not have all rights")
}

fn no_password() -> Status {
    Status::unauthenticated("send the password in `authorization: Bearer`")
}
