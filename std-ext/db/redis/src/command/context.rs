//! The context of commands: the database and the server.

use crate::command::acl::users::Users;
use crate::command::batch::Scratch;
use crate::command::client_sizes::ClientSizes;
use crate::command::client_tracking::TrackingInfo;
use crate::command::connection::Connection;
use crate::pubsub::{Hub, Mailbox};
use crate::view::ViewReader;
use hedgerow_db_engine::state::waiters::{WaitEnd, Waiter};
use hedgerow_db_engine::{Db, Session};
use std::sync::Arc;

/// The context in which a connection's commands are executed.
pub struct Context<'c> {
    /// The thread's session.
    pub session: &'c mut Session,
    /// The database.
    pub db: &'c Db,
    /// The server.
    pub server: &'c dyn ServerApi,
    /// The thread's buffers.
    pub scratch: &'c mut Scratch,
    /// The group, if this is a node of a cluster.
    pub cluster: Option<&'c ViewReader>,
}

/// The parts of the server that commands read and change.
pub trait ServerApi {
    /// Returns the server's statistics.
    fn stats(&self) -> ServerStats {
        ServerStats::default()
    }

    /// Calls `each` with each setting's name and value.
    fn settings(&self, each: &mut dyn FnMut(&str, &[u8])) {
        let _ = each;
    }

    /// Changes all of these settings, or none.
    ///
    /// # Errors
    /// The index of the first setting that cannot be changed, and why.
    fn set(&self, changes: &[(&str, &[u8])]) -> Result<(), (usize, SettingError)> {
        let _ = changes;
        Err((0, SettingError::Unknown))
    }

    /// Writes the settings changed since the start to the configuration file. `settings` are all that can be
    /// changed, with their present values.
    ///
    /// # Errors
    /// Why the file cannot be written; nothing if there is none.
    fn rewrite_config(&self, settings: &[(String, String)]) -> Result<(), Option<String>> {
        let _ = settings;
        Err(None)
    }

    /// Resets the statistics (CONFIG RESETSTAT).
    fn reset_counters(&self) {}

    /// Calls `each` for all connections except `but`, whose caller has newer information.
    fn clients(&self, but: u64, each: &mut dyn FnMut(&ClientInfo<'_>)) {
        let _ = (but, each);
    }

    /// Closes the connections that are `wanted`, except `but`, and returns their number. From then on,
    /// [`clients`](Self::clients) does not show them, but one that another thread serves may still have a command
    /// executed.
    fn kill(&self, but: u64, wanted: &mut dyn FnMut(&ClientInfo<'_>) -> bool) -> u64 {
        let _ = (but, wanted);
        0
    }

    /// Returns whether a connection was killed, so that its command should not wait any longer.
    fn is_killed(&self, client: u64) -> bool {
        let _ = client;
        false
    }

    /// Notes for what a connection waits, or that it does not any more.
    fn note_waiter(&self, client: u64, waiter: Option<&Arc<Waiter>>) {
        let _ = (client, waiter);
    }

    /// Ends the wait of another connection. Returns whether it waited.
    fn unblock(&self, client: u64, why: WaitEnd) -> bool {
        let _ = (client, why);
        false
    }

    /// Returns the users.
    fn users(&self) -> &Users;

    /// Returns whether the server shuts down, so that a command should not wait any longer.
    fn is_stopping(&self) -> bool {
        false
    }

    /// Returns the channels and their subscribers.
    fn hub(&self) -> &Arc<Hub>;

    /// Returns the mailbox of the connection that asks, which gets one.
    fn own_mailbox(&self, client: u64) -> Arc<Mailbox> {
        Arc::new(Mailbox::new(client))
    }

    /// Returns the mailbox of another connection, which gets one; `None` if there is no such connection.
    fn mailbox_of(&self, client: u64) -> Option<Arc<Mailbox>> {
        let _ = client;
        None
    }
}

/// Why a setting was not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingError {
    /// There is no such setting.
    Unknown,
    /// It cannot be changed while the server runs.
    Immutable,
    /// The value is invalid; the text says what is expected.
    Invalid(String),
}

/// The server's statistics for INFO.
#[derive(Clone, Debug, Default)]
pub struct ServerStats {
    /// The TCP port without TLS; 0 for none.
    pub port: u16,
    /// Seconds since the start.
    pub uptime: u64,
    /// Forty hexadecimal digits, different at each start.
    pub run_id: String,
    /// The configuration file, if there is one.
    pub config_file: String,
    /// The threads that execute commands.
    pub threads: usize,
    /// Connected clients.
    pub clients: u64,
    /// The limit of clients.
    pub max_clients: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Connections refused.
    pub rejected: u64,
    /// Commands executed.
    pub commands: u64,
    /// Commands executed in the last second.
    pub commands_per_second: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Bytes of memory that clients take, with their buffers.
    pub client_memory: u64,
}

/// A connection, as CLIENT LIST shows it.
#[derive(Clone, Copy, Debug)]
pub struct ClientInfo<'a> {
    /// The connection's id.
    pub id: u64,
    /// The client's address and port.
    pub address: &'a str,
    /// The server's address and port.
    pub local_address: &'a str,
    /// The name set by CLIENT SETNAME, or nothing.
    pub name: &'a [u8],
    /// Seconds since it was accepted.
    pub age: u64,
    /// Seconds since its last command.
    pub idle: u64,
    /// The selected database.
    pub database: u16,
    /// The RESP version: 2 or 3.
    pub protocol: u8,
    /// The name of the last command.
    pub command: &'static str,
    /// The name of the user.
    pub user: &'a [u8],
    /// The name of the client library.
    pub library: &'a [u8],
    /// The version of the client library.
    pub library_version: &'a [u8],
    /// Whether its last command waits for an element.
    pub waits: bool,
    /// The numbers of channels, of patterns and of slots' channels to which it subscribes.
    pub subscriptions: [usize; 3],
    /// How the client tracks keys (`CLIENT TRACKING`).
    pub tracking: TrackingInfo,
    /// The number of the socket.
    pub descriptor: i32,
    /// The sizes of its buffers and its queue.
    pub sizes: ClientSizes,
}

impl Connection {
    /// Returns what CLIENT LIST shows of this connection.
    pub fn info(&self) -> ClientInfo<'_> {
        ClientInfo {
            id: self.id,
            address: &self.address,
            local_address: &self.local_address,
            name: self.name(),
            age: self.since.elapsed().as_secs(),
            idle: 0,
            database: self.database,
            protocol: self.version(),
            command: self.command,
            user: self.user_name(),
            library: self.library.as_ref().map_or(&[], |library| &library.0),
            library_version: self.library.as_ref().map_or(&[], |library| &library.1),
            waits: self.waits(),
            subscriptions: self.subscriptions.as_ref().map_or([0; 3], |all| all.counts()),
            tracking: self.tracking.as_ref().map_or_else(Default::default, |own| own.info()),
            descriptor: self.descriptor,
            sizes: self.sizes(),
        }
    }

    /// Returns the sizes of the commands that are queued. The caller knows the buffers.
    pub(crate) fn sizes(&self) -> ClientSizes {
        let queue = self.queue.as_deref();
        ClientSizes {
            queued: queue.map(|queue| queue.len() as u64),
            watched: self.watch.as_ref().map_or(0, |watch| watch.len() as u64),
            queued_bytes: queue.map_or(0, |queue| queue.size() as u64),
            ..ClientSizes::default()
        }
    }
}
