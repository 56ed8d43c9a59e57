//! What is remembered of a connection between its commands.

use crate::resp::Protocol;
use crate::resp::parse::{Limits, Requests};
use std::time::Instant;

/// So many commands are gathered at most.
pub(super) const MOST_GATHERED: usize = 512;

/// Which replies a client wants (`CLIENT REPLY`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplyMode {
    /// All.
    All,
    /// All but that of the next command.
    SkipNext,
    /// All but that of the command that is being obeyed.
    SkipThis,
    /// None.
    None,
}

/// What is remembered of a connection between its commands.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing by itself that comes and goes")]
pub struct Connection {
    pub(super) id: u64,
    pub(super) address: String,
    /// The server's end, as `address` is written.
    pub(super) local_address: String,
    pub(super) since: Instant,
    pub(super) name: Option<Box<[u8]>>,
    /// What the client's library calls itself, and its version.
    pub(super) library: Option<Box<(Vec<u8>, Vec<u8>)>>,
    pub(super) protocol: Protocol,
    pub(super) authenticated: bool,
    pub(super) reply_mode: ReplyMode,
    /// The last command's name.
    pub(super) command: &'static str,
    pub(super) requests: Requests,
    /// Between a MULTI that was refused and the EXEC or DISCARD that belongs to it.
    pub(super) in_refused_transaction: bool,
    /// A database was selected that does not exist, and none since.
    pub(super) missing_db_selected: bool,
    /// One of the two above: some commands must not be executed.
    pub(super) blocked: bool,
    /// How many commands may be gathered at once.
    pub(super) most: usize,
    /// How many bytes of replies may be appended at once.
    pub(super) reply_limit: usize,
}

impl Connection {
    /// One that was made just now, from one address to another. With `must_authenticate` it begins with the password.
    pub fn new(id: u64, address: String, local_address: String, must_authenticate: bool) -> Self {
        Self {
            id,
            address,
            local_address,
            since: Instant::now(),
            name: None,
            library: None,
            protocol: Protocol::Two,
            authenticated: !must_authenticate,
            reply_mode: ReplyMode::All,
            command: "",
            requests: Requests::default(),
            in_refused_transaction: false,
            missing_db_selected: false,
            blocked: false,
            most: MOST_GATHERED,
            reply_limit: usize::MAX,
        }
    }

    /// Its number.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What its client calls it; nothing at first.
    pub fn name(&self) -> &[u8] {
        self.name.as_deref().unwrap_or_default()
    }

    /// Whether it said the password, or need not.
    pub fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// Says how many bytes of replies may be appended from now on, each time that commands are obeyed. A client that
    /// asks for more is dropped ([`NextStep::Drop`](super::NextStep::Drop)), and no more than this is made of its replies.
    pub fn set_reply_limit(&mut self, bytes: usize) {
        self.reply_limit = bytes;
    }

    /// The version of the protocol: 2 or 3.
    pub(super) fn version(&self) -> u8 {
        match self.protocol {
            Protocol::Two => 2,
            Protocol::Three => 3,
        }
    }

    pub(super) fn limits(&self) -> Limits {
        if self.authenticated { Limits::FULL } else { Limits::UNAUTHENTICATED }
    }

    /// As it was at first.
    pub(super) fn reset(&mut self, must_authenticate: bool) {
        self.name = None;
        self.protocol = Protocol::Two;
        self.authenticated = !must_authenticate;
        self.reply_mode = ReplyMode::All;
        (self.in_refused_transaction, self.missing_db_selected) = (false, false);
        self.update_blocked();
    }

    /// Follows up what bars some commands.
    pub(super) fn update_blocked(&mut self) {
        self.blocked = self.in_refused_transaction || self.missing_db_selected;
    }
}
