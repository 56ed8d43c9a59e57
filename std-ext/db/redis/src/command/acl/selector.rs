//! A selector: commands, keys and channels that belong together. A command is allowed if one selector of the user
//! allows all of it.

use super::commands::{CommandNumber, CommandSet};
use crate::command::table::keys::KeyUse;
use crate::command::table::{CommandSpec, Id};
use hedgerow_db_formats::glob;

/// Why a command is refused. The number is the place of the key or channel among the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::command) enum Denied {
    Command,
    Key(usize),
    Channel(usize),
}

/// A pattern of keys that may be read or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyPattern {
    pub(super) pattern: Vec<u8>,
    pub(super) reads: bool,
    pub(super) writes: bool,
}

impl KeyPattern {
    fn allows(&self, key: &[u8], key_use: KeyUse) -> bool {
        (self.reads || !key_use.reads())
            && (self.writes || !key_use.writes())
            && glob::matches(&self.pattern, key, false)
    }
}

/// Commands, keys and channels that belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selector {
    pub(super) commands: CommandSet,
    pub(super) all_keys: bool,
    pub(super) keys: Vec<KeyPattern>,
    pub(super) all_channels: bool,
    pub(super) channels: Vec<Vec<u8>>,
}

impl Selector {
    /// Returns the selector that allows everything.
    pub(super) fn all() -> Self {
        let commands = CommandSet::all();
        Self { commands, all_keys: true, all_channels: true, ..Self::default() }
    }

    /// Returns whether the selector allows everything.
    pub(super) fn is_all(&self) -> bool {
        self.commands.is_all() && self.all_keys && self.all_channels
    }

    /// Checks a command. `spec` is the subcommand if the command has one.
    pub(super) fn check(
        &self,
        spec: &'static CommandSpec,
        arguments: &[&[u8]],
    ) -> Result<(), Denied> {
        // AUTH, HELLO, QUIT and RESET cannot be forbidden (`CMD_NO_AUTH`): a client could not log in as another user.
        if !spec.allowed_unauthenticated()
            && !self.commands.allows(CommandNumber::of(spec), arguments)
        {
            return Err(Denied::Command);
        }
        if !self.all_keys && spec.has_keys() {
            let refused = spec
                .key_uses(arguments)
                .find(|(at, key_use)| !self.allows_key(arguments[*at], *key_use));
            if let Some((at, _)) = refused {
                return Err(Denied::Key(at));
            }
        }
        if self.all_channels {
            return Ok(());
        }
        let (channels, are_patterns) = channels(spec, arguments);
        let refused =
            channels.iter().position(|channel| !self.allows_channel(channel, are_patterns));
        // The channels of all commands begin at the first argument.
        refused.map_or(Ok(()), |at| Err(Denied::Channel(at + 1)))
    }

    fn allows_key(&self, key: &[u8], key_use: KeyUse) -> bool {
        self.all_keys || self.keys.iter().any(|pattern| pattern.allows(key, key_use))
    }

    /// Returns whether a key may be read or changed.
    pub(super) fn has_pattern_for(&self, key: &[u8]) -> bool {
        self.all_keys || self.keys.iter().any(|own| glob::matches(&own.pattern, key, false))
    }

    /// Returns whether a channel may be used. A pattern to which a client subscribes must be one of the selector's own,
    /// byte for byte: no rule could tell what another one matches.
    pub(super) fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        let allows = |own: &Vec<u8>| {
            if is_pattern { own == channel } else { glob::matches(own, channel, false) }
        };
        self.all_channels || self.channels.iter().any(allows)
    }

    /// Returns whether all keys may be read.
    pub(super) fn reads_all_keys(&self) -> bool {
        self.all_keys || self.keys.iter().any(|pattern| pattern.reads && pattern.pattern == b"*")
    }
}

/// Returns the channels that a command publishes or subscribes to, and whether they are patterns.
fn channels<'k, 'a>(spec: &CommandSpec, arguments: &'k [&'a [u8]]) -> (&'k [&'a [u8]], bool) {
    let range = match spec.id {
        Id::SUBSCRIBE | Id::SSUBSCRIBE | Id::PSUBSCRIBE => 1..arguments.len(),
        Id::PUBLISH | Id::SPUBLISH => 1..2,
        _ => return (&[], false),
    };
    (arguments.get(range).unwrap_or_default(), spec.id == Id::PSUBSCRIBE)
}
