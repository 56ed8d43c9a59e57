//! The state of a client that tracks keys ([`ClientTracking`]), and the choice of the keys that are remembered for it.

use crate::command::table::{CommandSpec, Flag, Id};
use crate::tracking::{self, Tracker, Tracking};
use hedgerow_db_formats::resp::Protocol;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// How a client tracks keys, as CLIENT LIST shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackingInfo {
    /// Whether it tracks keys.
    pub is_on: bool,
    /// Whether it is told of all changes of keys with its prefixes.
    pub broadcasts: bool,
    /// Whether the client is gone to which its messages are redirected.
    pub is_broken: bool,
    /// The client to which its messages are redirected; 0 for none.
    pub redirect: u64,
}

/// The keys that a client wants to be remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum TrackingChoice {
    /// Those of all reads.
    #[default]
    All,
    /// Those of the command behind CLIENT CACHING YES (`OPTIN`).
    In,
    /// Those of all reads but the one behind CLIENT CACHING NO (`OPTOUT`).
    Out,
}

/// How a client tracks keys. Tracking ends when this is dropped.
#[expect(clippy::struct_excessive_bools, reason = "each is a thing by itself that comes and goes")]
pub(super) struct ClientTracking {
    pub(super) all: Arc<Tracking>,
    pub(super) tracker: Arc<Tracker>,
    pub(super) client: u64,
    /// The client to which messages are redirected; 0 for none.
    pub(super) redirect: u64,
    pub(super) choice: TrackingChoice,
    pub(super) broadcasts: bool,
    /// Whether the client is not told of its own changes (`NOLOOP`).
    pub(super) no_loop: bool,
    pub(super) prefixes: BTreeSet<Box<[u8]>>,
    /// Whether CLIENT CACHING was sent for the next command, and whether it was for the present one.
    pub(super) next_named: bool,
    pub(super) named: bool,
    /// Whether the batch may have a change.
    pub(super) has_changes: bool,
}

impl fmt::Debug for ClientTracking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTracking").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Drop for ClientTracking {
    fn drop(&mut self) {
        self.all.remove(self.client, self.prefixes.iter().map(|prefix| &**prefix));
        tracking::set_caller(0);
    }
}

impl ClientTracking {
    /// Makes the state of a client that tracks no keys yet.
    pub(super) fn new(all: &Arc<Tracking>, tracker: &Arc<Tracker>, client: u64) -> Self {
        Self {
            all: Arc::clone(all),
            tracker: Arc::clone(tracker),
            client,
            redirect: 0,
            choice: TrackingChoice::All,
            broadcasts: false,
            no_loop: false,
            prefixes: BTreeSet::new(),
            next_named: false,
            named: false,
            has_changes: false,
        }
    }

    /// Notes the protocol that the client uses from now on.
    pub(super) fn set_protocol(&self, protocol: Protocol) {
        self.tracker.set_protocol(protocol);
    }

    /// Returns what CLIENT LIST shows.
    pub(super) fn info(&self) -> TrackingInfo {
        let (broadcasts, redirect) = (self.broadcasts, self.redirect);
        TrackingInfo { is_on: true, broadcasts, is_broken: self.tracker.is_broken(), redirect }
    }

    /// Notes that a command begins, which is queued for EXEC or executed now.
    pub(super) fn begin(&mut self, id: Option<Id>, queued: bool) {
        tracking::set_caller(if self.no_loop { self.client } else { 0 });
        // Those of an earlier command, which is published.
        tracking::end_own_reads();
        self.named = self.next_named;
        // CLIENT CACHING counts for the commands of a whole transaction.
        let ends = !queued || matches!(id, Some(Id::EXEC | Id::DISCARD));
        if ends && !matches!(id, Some(Id::CLIENT | Id::MULTI)) {
            self.next_named = false;
        }
    }

    /// Returns whether the keys of the present command are remembered.
    pub(super) fn remembers(&self) -> bool {
        let is_chosen = match self.choice {
            TrackingChoice::All => true,
            TrackingChoice::In => self.named,
            TrackingChoice::Out => !self.named,
        };
        is_chosen && !self.broadcasts
    }

    /// Remembers the keys of a command of a transaction or a script, which is executed under the locks of its keys.
    /// `keys` are the keys of the command, and `declared` are all keys of the script.
    pub(super) fn remember_own<'k>(
        &self,
        spec: &CommandSpec,
        keys: impl Iterator<Item = &'k [u8]>,
        declared: Option<&[&[u8]]>,
    ) {
        if spec.has_flag(Flag::Write) {
            keys.for_each(tracking::note_own_change);
        } else if is_tracked(spec) && self.remembers() {
            let remember = |key: &[u8]| self.all.remember_own(key, self.client);
            match declared {
                // As in Redis, where the caller of a script tracks the keys of the script (`call`), whichever of them
                // its commands read.
                Some(declared) => declared.iter().for_each(|key| remember(key)),
                None => keys.for_each(remember),
            }
        }
    }

    pub(super) fn flags(&self) -> impl Iterator<Item = &'static str> {
        let (opts_in, opts_out) =
            (self.choice == TrackingChoice::In, self.choice == TrackingChoice::Out);
        let flags = [
            ("on", true),
            ("bcast", self.broadcasts),
            ("optin", opts_in),
            ("caching-yes", opts_in && self.next_named),
            ("optout", opts_out),
            ("caching-no", opts_out && self.next_named),
            ("noloop", self.no_loop),
            ("broken_redirect", self.tracker.is_broken()),
        ];
        flags.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name)
    }
}

/// Returns whether the keys of a command are remembered for a client that tracks them: those of reads. A script
/// remembers its keys when it calls one of these commands.
pub(super) fn is_tracked(spec: &CommandSpec) -> bool {
    spec.has_flag(Flag::ReadOnly) && spec.has_keys() && !spec.is_eval()
}
