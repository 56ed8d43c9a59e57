//! A user: an immutable snapshot of its passwords and rights.

use super::selector::{Denied, Selector};
use crate::command::secret::same_secret;
use crate::command::table::CommandSpec;
use sha2::{Digest, Sha256};

/// The name of the user of clients that have not named one.
pub const DEFAULT: &[u8] = b"default";

/// The SHA-256 of a password. The password itself is not kept.
pub(super) type PasswordDigest = [u8; 32];

/// Returns the digest by which a password is kept.
pub(super) fn digest(password: &[u8]) -> PasswordDigest {
    Sha256::digest(password).into()
}

/// A user. Changes make a new snapshot; connections keep theirs until they see that the table has changed.
#[derive(Clone, Debug)]
pub struct User {
    pub(super) name: Box<[u8]>,
    /// Differs for each user that was ever created, so that a user that was deleted and created again is another one.
    pub(super) serial: u64,
    pub(super) is_on: bool,
    pub(super) needs_no_password: bool,
    /// Whether `sanitize-payload` or `skip-sanitize-payload` was given. All payloads are checked in any case.
    pub(super) sanitizes: Option<bool>,
    pub(super) passwords: Vec<PasswordDigest>,
    /// The rights of the user itself.
    pub(super) root: Selector,
    /// Further selectors, each in parentheses in the rules.
    pub(super) selectors: Vec<Selector>,
}

impl User {
    /// Makes a user that is off and has no rights, but perhaps to all channels.
    pub(super) fn new(name: &[u8], serial: u64, all_channels: bool) -> Self {
        Self {
            name: name.into(),
            serial,
            is_on: false,
            needs_no_password: false,
            sanitizes: None,
            passwords: Vec::new(),
            root: Selector { all_channels, ..Selector::default() },
            selectors: Vec::new(),
        }
    }

    /// Makes the user `default`, which has all rights and needs no password.
    pub(super) fn default_user() -> Self {
        let root = Selector::all();
        Self { is_on: true, needs_no_password: true, root, ..Self::new(DEFAULT, 0, true) }
    }

    /// Returns this user with another one's passwords, on if the other one is.
    pub(super) fn with_login_of(self, other: &Self) -> Self {
        let Self { is_on, needs_no_password, .. } = *other;
        Self { is_on, needs_no_password, passwords: other.passwords.clone(), ..self }
    }

    /// Returns the user's name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Returns whether the user may do everything, so that nothing needs to be checked.
    pub fn is_unrestricted(&self) -> bool {
        self.root.is_all()
    }

    /// Returns whether clients are this user without a password.
    pub fn is_open(&self) -> bool {
        self.is_on && self.needs_no_password
    }

    /// Returns whether any password is one of this user.
    pub(crate) fn needs_no_password(&self) -> bool {
        self.needs_no_password
    }

    /// Returns whether a client with this password may be this user. The time does not depend on the passwords.
    pub(super) fn admits(&self, password: &[u8]) -> bool {
        let given = digest(password);
        let is_known =
            // No comparison is left out once one has matched: the time must not tell which.
            self.passwords.iter().fold(false, |known, own| known | same_secret(&given, own));
        self.is_on && (self.needs_no_password || is_known)
    }

    fn all_selectors(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.root).chain(&self.selectors)
    }

    /// Checks a command. `spec` is the subcommand if the command has one.
    ///
    /// # Errors
    /// If no selector allows all of it. As in Redis, the reason is that of the selector that allows the most.
    pub(in crate::command) fn check(
        &self,
        spec: &'static CommandSpec,
        arguments: &[&[u8]],
    ) -> Result<(), Denied> {
        let mut worst = Denied::Command;
        for selector in self.all_selectors() {
            match selector.check(spec, arguments) {
                Ok(()) => return Ok(()),
                Err(denied) => worst = worst.max(denied),
            }
        }
        Err(worst)
    }

    /// Returns whether a selector allows a command and reads of any other key, as the options BY and GET of SORT need.
    pub(in crate::command) fn reads_all_keys_with(
        &self,
        spec: &'static CommandSpec,
        arguments: &[&[u8]],
    ) -> bool {
        self.all_selectors()
            .any(|selector| selector.reads_all_keys() && selector.check(spec, arguments).is_ok())
    }

    /// Returns whether the user may read a key or change it.
    pub(in crate::command) fn may_know(&self, key: &[u8]) -> bool {
        self.all_selectors().any(|selector| selector.has_pattern_for(key))
    }

    /// Returns whether the user may subscribe to a channel, or to a pattern.
    pub(crate) fn may_subscribe(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.all_selectors().any(|selector| selector.allows_channel(channel, is_pattern))
    }

    /// Returns whether this user lacks the right to a channel that another snapshot of it had, so that the
    /// subscriptions of its clients must be checked.
    pub(crate) fn has_fewer_channels_than(&self, before: &Self) -> bool {
        if self.all_selectors().any(|selector| selector.all_channels) {
            return false;
        }
        let has =
            |pattern: &Vec<u8>| self.all_selectors().any(|own| own.channels.contains(pattern));
        before.all_selectors().any(|old| old.all_channels || !old.channels.iter().all(has))
    }
}
