//! CLIENT TRACKING and CLIENT CACHING: a client that caches values chooses the keys that are remembered for it.

use crate::command::arguments::{CommandError, NOT_AN_INTEGER, SYNTAX, is};
use crate::command::client_tracking::{ClientTracking, TrackingChoice, is_tracked};
use crate::command::execute::Execution;
use crate::command::queue::Queued;
use crate::command::table::{CommandSpec, Flag};
use crate::limits::{TRACKING_PREFIX_BYTES, TRACKING_PREFIXES};
use crate::pubsub::Mailbox;
use crate::tracking::{Tracker, Tracking};
use hedgerow_db_formats::number;
use std::sync::Arc;

const OTHER_CHOICE: &str = "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then \
    re-enabling it with a different mode.";
const OTHER_MODE: &str = "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then \
    re-enabling it with a different mode.";

/// The options of CLIENT TRACKING.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
struct TrackingOptions<'a> {
    redirect: Option<Arc<Mailbox>>,
    prefixes: Vec<&'a [u8]>,
    broadcasts: bool,
    opts_in: bool,
    opts_out: bool,
    no_loop: bool,
}

impl TrackingOptions<'_> {
    fn choice(&self) -> TrackingChoice {
        match (self.opts_in, self.opts_out) {
            (true, _) => TrackingChoice::In,
            (_, true) => TrackingChoice::Out,
            _ => TrackingChoice::All,
        }
    }

    /// Checks whether the options go together, and with those that the client has. In the order of Redis.
    fn check(&self, own: Option<&ClientTracking>) -> Result<(), CommandError> {
        if !self.broadcasts && !self.prefixes.is_empty() {
            return Err("ERR PREFIX option requires BCAST mode to be enabled".into());
        }
        if own.is_some_and(|own| own.broadcasts != self.broadcasts) {
            return Err(OTHER_MODE.into());
        }
        if self.broadcasts && (self.opts_in || self.opts_out) {
            return Err("ERR OPTIN and OPTOUT are not compatible with BCAST".into());
        }
        if self.opts_in && self.opts_out {
            return Err("ERR You can't specify both OPTIN mode and OPTOUT mode".into());
        }
        let before = own.map_or(TrackingChoice::All, |own| own.choice);
        if before != TrackingChoice::All
            && self.choice() != TrackingChoice::All
            && before != self.choice()
        {
            return Err(OTHER_CHOICE.into());
        }
        self.check_prefixes(own)
    }

    fn check_prefixes(&self, own: Option<&ClientTracking>) -> Result<(), CommandError> {
        let existing = || own.iter().flat_map(|own| own.prefixes.iter().map(|prefix| &**prefix));
        // The comparison below takes the square of this time.
        if existing().count() + self.prefixes.len() > TRACKING_PREFIXES {
            return Err(format!("ERR a client has at most {TRACKING_PREFIXES} prefixes").into());
        }
        let bytes = existing().map(<[u8]>::len).chain(self.prefixes.iter().map(|one| one.len()));
        if bytes.sum::<usize>() > TRACKING_PREFIX_BYTES {
            let most = TRACKING_PREFIX_BYTES;
            return Err(format!("ERR the prefixes of a client have at most {most} bytes").into());
        }
        for (at, prefix) in self.prefixes.iter().enumerate() {
            if let Some(other) = existing().find(|other| overlap(prefix, other)) {
                return Err(collision(prefix, "an existing prefix", other));
            }
            if let Some(other) = self.prefixes[at + 1..].iter().find(|one| overlap(prefix, one)) {
                return Err(collision(prefix, "another provided prefix", other));
            }
        }
        Ok(())
    }
}

/// Returns whether one of two texts begins with the other.
fn overlap(one: &[u8], other: &[u8]) -> bool {
    let length = one.len().min(other.len());
    one[..length] == other[..length]
}

fn collision(prefix: &[u8], what: &str, other: &[u8]) -> CommandError {
    // As strings of C, they end at the first zero byte.
    let text = |bytes: &[u8]| {
        let shown = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(shown).into_owned()
    };
    let (prefix, other) = (text(prefix), text(other));
    let why = "Prefixes for a single client must not overlap.";
    format!("ERR Prefix '{prefix}' overlaps with {what} '{other}'. {why}").into()
}

/// Returns the keys among the arguments of a command.
pub(super) fn keys_of<'k>(
    spec: &CommandSpec,
    arguments: &[&'k [u8]],
) -> impl Iterator<Item = &'k [u8]> {
    spec.keys_among(arguments)
}

impl<'a> Execution<'_, 'a> {
    /// Begins a command of a client that tracks keys: remembers the keys that it reads before it is executed. `None`
    /// for a command that is refused.
    #[cold]
    pub(super) fn begin_tracked(
        &mut self,
        spec: Option<&'static CommandSpec>,
        arguments: &[&'a [u8]],
    ) {
        let queued = self.connection.queue.is_some();
        let Some(tracking) = &mut self.connection.tracking else { return };
        tracking.begin(spec.map(|spec| spec.id), queued);
        // What is queued is read when EXEC executes it, and remembered then.
        let Some(spec) = spec.filter(|_| !queued) else { return };
        let detailed = spec.with_part(arguments);
        if !(tracking.remembers() && is_tracked(detailed)) {
            tracking.has_changes |= spec.has_flag(Flag::Write);
            return;
        }
        // The changes that come before the read would make the server forget its keys.
        if std::mem::take(&mut tracking.has_changes) {
            self.execute_batch();
        }
        if let Some(tracking) = &self.connection.tracking {
            let keys = keys_of(detailed, arguments);
            keys.for_each(|key| tracking.all.remember(key, tracking.client));
        }
    }

    /// Remembers the keys that the commands of a transaction read, before it is executed.
    #[cold]
    pub(super) fn remember_queued(&self, commands: &[Queued<'_>]) {
        if let Some(tracking) = &self.connection.tracking {
            for (spec, arguments) in commands {
                let spec = spec.with_part(arguments);
                tracking.remember_own(spec, keys_of(spec, arguments), None);
            }
        }
    }

    /// CLIENT TRACKING.
    pub(super) fn tracking(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let options = self.tracking_options(&arguments[1..])?;
        if is(arguments[0], "on") {
            options.check(self.connection.tracking.as_deref())?;
            // The changes of earlier commands count by the options before.
            self.execute_batch();
            self.begin_tracking(&options);
        } else if is(arguments[0], "off") {
            self.execute_batch();
            self.connection.tracking = None;
        } else {
            return Err(SYNTAX);
        }
        self.connection.update_blocked();
        self.reply(|out| out.ok());
        Ok(())
    }

    fn tracking_options(
        &mut self,
        mut rest: &[&'a [u8]],
    ) -> Result<TrackingOptions<'a>, CommandError> {
        let mut options = TrackingOptions::default();
        loop {
            rest = match rest {
                [] => return Ok(options),
                [option, client, rest @ ..] if is(option, "redirect") => {
                    if options.redirect.is_some() {
                        let why = "ERR A client can only redirect to a single other client";
                        return Err(why.into());
                    }
                    let client = number::integer(client).ok_or(NOT_AN_INTEGER)?;
                    let mailbox = u64::try_from(client).ok().and_then(|id| self.mailbox_of(id));
                    let mailbox = mailbox.filter(|mailbox| !mailbox.is_closed());
                    let missing = "ERR The client ID you want redirect to does not exist";
                    options.redirect = Some(mailbox.ok_or(missing)?);
                    rest
                }
                [option, prefix, rest @ ..] if is(option, "prefix") => {
                    options.prefixes.push(*prefix);
                    rest
                }
                [option, rest @ ..] => {
                    match option {
                        option if is(option, "bcast") => options.broadcasts = true,
                        option if is(option, "optin") => options.opts_in = true,
                        option if is(option, "optout") => options.opts_out = true,
                        option if is(option, "noloop") => options.no_loop = true,
                        _ => return Err(SYNTAX),
                    }
                    rest
                }
            }
        }
    }

    /// Returns the mailbox of a connection; `None` if there is no such connection.
    fn mailbox_of(&mut self, client: u64) -> Option<Arc<Mailbox>> {
        if client != self.connection.id {
            return self.server.mailbox_of(client);
        }
        let taken = self.connection.subscriptions.take();
        let subscriptions = taken.unwrap_or_else(|| self.new_subscriptions());
        let mailbox = Arc::clone(subscriptions.mailbox());
        self.connection.subscriptions = Some(subscriptions);
        Some(mailbox)
    }

    /// Begins to track keys, or goes on with other options.
    fn begin_tracking(&mut self, options: &TrackingOptions<'a>) {
        let client = self.connection.id;
        let Some(mailbox) = self.mailbox_of(client) else { return };
        let redirect = options.redirect.as_ref();
        let tracker = Tracker::new((self.server.hub(), &mailbox), options.broadcasts, redirect);
        let (tracker, all) = (Arc::new(tracker), Tracking::of(self.db.state()));
        tracker.set_protocol(self.connection.protocol);
        // Before the reply: from the client's next read on, no change may go untold.
        all.track(self.db.state(), &tracker);
        let mut own = self
            .connection
            .tracking
            .take()
            .unwrap_or_else(|| Box::new(ClientTracking::new(all, &tracker, client)));
        own.tracker = tracker;
        own.redirect = redirect.map_or(0, |mailbox| mailbox.client());
        (own.choice, own.no_loop) = (options.choice(), options.no_loop);
        own.broadcasts = options.broadcasts;
        // BCAST without a prefix means all keys: every key begins with the empty prefix.
        let everything: &[&[u8]] = if options.broadcasts { &[b""] } else { &[] };
        let given =
            if options.prefixes.is_empty() { everything } else { options.prefixes.as_slice() };
        for prefix in given {
            own.all.add_prefix(prefix, client);
            own.prefixes.insert((*prefix).into());
        }
        self.connection.tracking = Some(own);
    }

    /// CLIENT CACHING.
    pub(super) fn caching(&mut self, argument: &[u8]) -> Result<(), CommandError> {
        let Some(tracking) = &mut self.connection.tracking else {
            let why = "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT \
                mode enabled";
            return Err(why.into());
        };
        let (wanted, why) = match argument {
            yes if is(yes, "yes") => (
                TrackingChoice::In,
                "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
            ),
            no if is(no, "no") => (
                TrackingChoice::Out,
                "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
            ),
            _ => return Err(SYNTAX),
        };
        if tracking.choice != wanted {
            return Err(why.into());
        }
        tracking.next_named = true;
        self.reply(|out| out.ok());
        Ok(())
    }

    /// CLIENT GETREDIR.
    pub(super) fn redirection(&mut self) {
        let tracking = self.connection.tracking.as_ref();
        let client = tracking.map_or(-1, |tracking| tracking.redirect.cast_signed());
        self.reply(|out| out.integer(client));
    }

    /// CLIENT TRACKINGINFO.
    pub(super) fn tracking_info(&mut self) {
        let tracking = self.connection.tracking.take();
        let own = tracking.as_deref();
        let flags: Vec<&str> = own.map_or_else(|| vec!["off"], |own| own.flags().collect());
        let redirect = own.map_or(-1, |own| own.redirect.cast_signed());
        let prefixes = own.iter().flat_map(|own| &own.prefixes);
        self.reply(|out| {
            out.map(3);
            out.bulk(b"flags");
            out.set(flags.len());
            for flag in &flags {
                out.bulk(flag.as_bytes());
            }
            out.bulk(b"redirect");
            out.integer(redirect);
            out.bulk(b"prefixes");
            out.array(prefixes.clone().count());
            for prefix in prefixes {
                out.bulk(prefix);
            }
        });
        self.connection.tracking = tracking;
    }
}
