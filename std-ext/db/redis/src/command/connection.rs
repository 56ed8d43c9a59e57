//! The state of a connection between its commands.

use crate::command::acl::user::User;
use crate::command::acl::users::Users;
use crate::command::client_tracking::ClientTracking;
use crate::command::diagnostics::monitoring::Monitoring;
use crate::command::queue::CommandQueue;
use crate::command::waiting::Waiting;
use crate::pubsub::{Hub, Mailbox, Message, Redirected, Subscriptions};
use hedgerow_db_engine::state::watched_keys::KeyWatch;
use hedgerow_db_formats::resp::Protocol;
use hedgerow_db_formats::resp::parse::{Limits, Requests};
use std::sync::Arc;
use std::time::Instant;

/// Commands in a batch at most.
pub(super) const MAX_BATCH_COMMANDS: usize = 512;

/// The channel of the messages that others redirect to a client.
const INVALIDATIONS: &[u8] = b"__redis__:invalidate";

/// The replies that a client wants (`CLIENT REPLY`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplyMode {
    /// All.
    All,
    /// All except the next one.
    SkipNext,
    /// All except the one of the command that is being executed.
    SkipThis,
    /// None.
    None,
}

/// The state of a connection between its commands.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing by itself that comes and goes")]
pub struct Connection {
    pub(super) id: u64,
    pub(super) address: String,
    /// The server's address, in the same format.
    pub(super) local_address: String,
    pub(super) since: Instant,
    pub(super) name: Option<Box<[u8]>>,
    /// The name and the version of the client library.
    pub(super) library: Option<Box<(Vec<u8>, Vec<u8>)>>,
    pub(super) protocol: Protocol,
    /// Whether the client has authenticated, or need not.
    pub(super) authenticated: bool,
    /// Whether the client may do everything, so that none of its commands needs a check.
    pub(super) is_unrestricted: bool,
    /// Whether the client has authenticated, or was accepted while it needed no password.
    pub(super) is_logged_in: bool,
    /// Its user, as of `users_version`. Before it has authenticated, this is `default`.
    pub(super) user: Arc<User>,
    /// The version of the table of users with which `user` was compared last.
    pub(super) users_version: u64,
    pub(super) reply_mode: ReplyMode,
    /// The name of the last command.
    pub(super) command: &'static str,
    pub(super) requests: Requests,
    /// The commands since MULTI.
    pub(super) queue: Option<Box<CommandQueue>>,
    /// The keys that it watches.
    pub(super) watch: Option<Box<KeyWatch>>,
    /// How it tracks keys (`CLIENT TRACKING`).
    pub(super) tracking: Option<Box<ClientTracking>>,
    /// Its last command, if that waits for an element.
    pub(super) waiting: Option<Box<Waiting>>,
    /// Its place among the monitors (`MONITOR`).
    pub(super) monitoring: Option<Monitoring>,
    /// The channels to which it has subscribed.
    pub(super) subscriptions: Option<Box<Subscriptions>>,
    /// Whether the last command has pushed something, which is sent also if the client wants no replies.
    pub(super) pushed: bool,
    /// The selected database.
    pub(super) database: u16,
    /// Whether the last SELECT at this node of a cluster named a database that does not exist.
    pub(super) missing_db_selected: bool,
    /// Whether commands are queued, or that database is selected, or it subscribes in RESP2, so that some commands must
    /// not be executed now; or whether it tracks keys, so that those of reads are remembered first. Also while its
    /// input is processed and a script runs for too long.
    pub(super) blocked: bool,
    /// Commands in the next batch at most.
    pub(super) batch_limit: usize,
    /// Bytes of replies that one call may append.
    pub(super) reply_limit: usize,
    /// Whether the client reads from a follower what may be stale (`READONLY`).
    pub(super) reads_stale: bool,
    /// Whether the client uses TLS, so it is sent to other nodes' ports for TLS.
    pub(super) uses_tls: bool,
    /// The number of its socket, which CLIENT LIST shows.
    pub(super) descriptor: i32,
}

impl Connection {
    /// Makes the state of a new connection. Its user is `default`, without a password if that user needs none.
    pub fn new(id: u64, address: String, local_address: String, users: &Users) -> Self {
        let mut connection = Self {
            id,
            address,
            local_address,
            since: Instant::now(),
            name: None,
            library: None,
            protocol: Protocol::Two,
            authenticated: false,
            is_unrestricted: false,
            is_logged_in: false,
            user: users.default_user(),
            users_version: 0,
            reply_mode: ReplyMode::All,
            command: "",
            requests: Requests::default(),
            queue: None,
            watch: None,
            tracking: None,
            waiting: None,
            monitoring: None,
            subscriptions: None,
            pushed: false,
            database: 0,
            missing_db_selected: false,
            blocked: false,
            batch_limit: MAX_BATCH_COMMANDS,
            reply_limit: usize::MAX,
            reads_stale: false,
            uses_tls: false,
            descriptor: 0,
        };
        connection.log_out(users);
        connection
    }

    /// Notes whether the client uses TLS.
    pub fn set_tls(&mut self, tls: bool) {
        self.uses_tls = tls;
    }

    /// Notes the number of the socket, which CLIENT LIST shows.
    pub fn set_descriptor(&mut self, descriptor: i32) {
        self.descriptor = descriptor;
    }

    /// Returns the connection's id.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Returns the name set by CLIENT SETNAME, or nothing.
    pub fn name(&self) -> &[u8] {
        self.name.as_deref().unwrap_or_default()
    }

    /// Returns whether the client has authenticated, or need not.
    pub fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// Sets how many bytes of replies each call of [`process_input`](super::process_input) may append from now on. A
    /// client that requests more is dropped ([`NextStep::Drop`](super::NextStep::Drop)), and no more than these bytes
    /// of its replies are made.
    pub fn set_reply_limit(&mut self, bytes: usize) {
        self.reply_limit = bytes;
    }

    /// Returns the RESP version: 2 or 3.
    pub(super) fn version(&self) -> u8 {
        match self.protocol {
            Protocol::Two => 2,
            Protocol::Three => 3,
        }
    }

    pub(super) fn limits(&self) -> Limits {
        // Whoever connects could otherwise make the server buffer a request of 512 MiB without a password; Redis has
        // limited this since CVE-2021-32675.
        if self.authenticated { Limits::FULL } else { Limits::UNAUTHENTICATED }
    }

    /// Resets the state to that of a new connection.
    pub(super) fn reset(&mut self, users: &Users) {
        // The library's name stays, as in Redis 7.2, where it describes the client and not what it has set up.
        self.name = None;
        self.protocol = Protocol::Two;
        self.log_out(users);
        self.reply_mode = ReplyMode::All;
        (self.queue, self.watch) = (None, None);
        // Lines that have not been taken would look like messages.
        if self.monitoring.take().is_some()
            && let Some(subscriptions) = &self.subscriptions
        {
            let _ = subscriptions.mailbox().take(usize::MAX, &mut Vec::new());
        }
        (self.database, self.missing_db_selected) = (0, false);
        self.reads_stale = false;
        self.tracking = None;
        self.end_subscriptions();
    }

    /// Updates `blocked` after one of its reasons changed; and how the client takes redirected messages, for which some
    /// of these are reasons, too.
    pub(super) fn update_blocked(&mut self) {
        if let Some(subscriptions) = &self.subscriptions {
            self.update_redirected(subscriptions);
        }
        self.blocked = self.queue.is_some()
            || self.missing_db_selected
            || self.is_confined()
            || self.tracking.is_some();
    }

    /// Notes in the mailbox of these subscriptions how the client takes redirected messages.
    pub(super) fn update_redirected(&self, subscriptions: &Subscriptions) {
        let redirected = if subscriptions.has_channel(INVALIDATIONS) {
            Redirected::Wanted
        } else if self.protocol == Protocol::Two && subscriptions.is_empty() {
            Redirected::Ignored
        } else {
            Redirected::Unasked
        };
        subscriptions.mailbox().set_redirected(redirected);
    }

    /// Returns whether the client subscribes to something.
    pub fn is_subscriber(&self) -> bool {
        self.subscriptions.as_ref().is_some_and(|subscriptions| !subscriptions.is_empty())
    }

    /// Returns whether the client may use commands about subscriptions only: in RESP2 nothing tells messages from
    /// replies.
    pub(super) fn is_confined(&self) -> bool {
        self.protocol == Protocol::Two && self.is_subscriber()
    }

    /// Ends all subscriptions.
    pub fn end_subscriptions(&mut self) {
        if let Some(subscriptions) = &mut self.subscriptions {
            subscriptions.clear();
        }
        self.update_blocked();
    }

    /// Ends all subscriptions, and tracking: the connection ends. Other clients find that out from the mailbox.
    pub(crate) fn end_mail(&mut self) {
        self.tracking = None;
        if let Some(subscriptions) = &self.subscriptions {
            subscriptions.mailbox().close();
        }
        self.end_subscriptions();
    }

    /// Takes the mailbox that another client has asked for, unless there is one already.
    pub(crate) fn adopt_mailbox(&mut self, hub: &Arc<Hub>, mailbox: Arc<Mailbox>) {
        let new = || Box::new(Subscriptions::with_mailbox(hub, mailbox));
        self.subscriptions.get_or_insert_with(new);
        self.update_blocked();
    }

    /// Returns the subscriptions, if the client has ever had some.
    #[inline]
    pub fn subscriptions(&self) -> Option<&Subscriptions> {
        self.subscriptions.as_deref()
    }

    /// Ends the subscriptions to channels of slots that are `lost`. Returns what the client is told of each.
    pub(crate) fn remove_lost_channels(&mut self, lost: impl Fn(&[u8]) -> bool) -> Vec<Message> {
        let subscriptions = self.subscriptions.as_mut();
        let messages = subscriptions.map_or_else(Vec::new, |all| all.remove_lost(lost));
        self.update_blocked();
        messages
    }

    /// Returns whether messages come to the client, without a request for each.
    pub(super) fn gets_messages(&self) -> bool {
        self.is_subscriber() || self.monitoring.is_some() || self.tracking.is_some()
    }

    /// Leaves out of a message the names of keys that the user may not use; `None` if nothing is left. Redis shows a
    /// client in broadcasting mode the names of all keys.
    #[inline]
    pub(crate) fn visible(&self, message: Message) -> Option<Message> {
        if self.is_unrestricted {
            return Some(message);
        }
        message.with_keys(|key| self.user.may_know(key))
    }

    /// Returns the bytes that come first in a message; `None` if this client does not get it.
    pub fn head_of(&self, message: &Message) -> Option<&'static [u8]> {
        self.head_for(message, self.is_subscriber())
    }

    /// As `head_of`, for a client that subscribes to something or not.
    pub(super) fn head_for(&self, message: &Message, subscribes: bool) -> Option<&'static [u8]> {
        message.head(self.protocol, subscribes)
    }
}
