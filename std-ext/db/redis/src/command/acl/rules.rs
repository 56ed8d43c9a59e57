//! Rules: the words that give rights to a user and take them.

use super::commands::{CommandNumber, CommandSet};
use super::selector::{KeyPattern, Selector};
use super::user::{PasswordDigest, User, digest};
use crate::command::arguments::is;
use crate::command::table::groups::CATEGORIES;
use hedgerow_db_formats::resp::inline;
use std::borrow::Cow;
use std::fmt;

/// Why a rule cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RuleError {
    Syntax,
    UnknownName,
    KeyAfterAll,
    ChannelAfterAll,
    NoSuchPassword,
    BadHash,
    SubcommandArgument,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "Syntax error",
            Self::UnknownName => "Unknown command or category name in ACL",
            Self::KeyAfterAll => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any \
                 effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            Self::ChannelAfterAll => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any \
                 effect. Try 'resetchannels' to start with an empty list of channels"
            }
            Self::NoSuchPassword => "The password you are trying to remove from the user does not exist",
            Self::BadHash => {
                "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
            }
            Self::SubcommandArgument => "Allowing first-arg of a subcommand is not supported",
        })
    }
}

/// Returns whether a name or pattern has a byte that would break it apart in a file of users.
pub(super) fn has_spaces(text: &[u8]) -> bool {
    text.iter().any(|byte| *byte == 0 || matches!(byte, b' ' | 9..=13))
}

/// Joins the words of each selector in parentheses, which may be given apart.
///
/// # Errors
/// The place of a selector without an end.
pub(super) fn join_selectors<'w>(words: &[&'w [u8]]) -> Result<Vec<Cow<'w, [u8]>>, usize> {
    let mut joined = Vec::with_capacity(words.len());
    let mut open: Option<(usize, Vec<u8>)> = None;
    for (at, &word) in words.iter().enumerate() {
        if word.starts_with(b"(") && !word.ends_with(b")") {
            open = Some((at, word.to_vec()));
        } else if let Some((began, mut text)) = open.take() {
            text.push(b' ');
            text.extend_from_slice(word);
            if word.ends_with(b")") {
                joined.push(Cow::Owned(text));
            } else {
                open = Some((began, text));
            }
        } else {
            joined.push(Cow::Borrowed(word));
        }
    }
    open.map_or(Ok(joined), |(at, _)| Err(at))
}

impl User {
    /// Applies a rule. `all_channels` says whether new selectors have all channels.
    pub(super) fn apply(&mut self, rule: &[u8], all_channels: bool) -> Result<(), RuleError> {
        match rule {
            [] => {}
            _ if is(rule, "on") => self.is_on = true,
            _ if is(rule, "off") => self.is_on = false,
            _ if is(rule, "skip-sanitize-payload") => self.sanitizes = Some(false),
            _ if is(rule, "sanitize-payload") => self.sanitizes = Some(true),
            _ if is(rule, "nopass") => {
                // A password that was left would admit clients again as soon as another rule takes `nopass` back.
                (self.needs_no_password, self.passwords) = (true, Vec::new());
            }
            _ if is(rule, "resetpass") => {
                (self.needs_no_password, self.passwords) = (false, Vec::new());
            }
            [b'>', password @ ..] => self.add_password(digest(password)),
            [b'#', hash @ ..] => self.add_password(parse_hash(hash)?),
            [b'<', password @ ..] => self.remove_password(digest(password))?,
            [b'!', hash @ ..] => self.remove_password(parse_hash(hash)?)?,
            [b'(', inner @ .., b')'] => self.selectors.push(parse_selector(inner, all_channels)?),
            _ if is(rule, "clearselectors") => self.selectors.clear(),
            _ if is(rule, "reset") => {
                // The serial stays: connections of this user are still its own.
                let new = Self::new(&self.name, self.serial, all_channels);
                *self = Self { sanitizes: Some(true), ..new };
            }
            _ => self.root.apply(rule)?,
        }
        Ok(())
    }

    fn add_password(&mut self, password: PasswordDigest) {
        if !self.passwords.contains(&password) {
            self.passwords.push(password);
        }
        // As `ACLSetUser`: a password that is added takes `nopass` back.
        self.needs_no_password = false;
    }

    fn remove_password(&mut self, password: PasswordDigest) -> Result<(), RuleError> {
        let place = self.passwords.iter().position(|known| *known == password);
        self.passwords.remove(place.ok_or(RuleError::NoSuchPassword)?);
        Ok(())
    }
}

fn parse_hash(hash: &[u8]) -> Result<PasswordDigest, RuleError> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(RuleError::BadHash),
    };
    let (pairs, []) = hash.as_chunks::<2>() else { return Err(RuleError::BadHash) };
    let mut bytes = PasswordDigest::default();
    if pairs.len() != bytes.len() {
        return Err(RuleError::BadHash);
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = value(*high)? << 4 | value(*low)?;
    }
    Ok(bytes)
}

fn parse_selector(rules: &[u8], all_channels: bool) -> Result<Selector, RuleError> {
    let mut selector = Selector { all_channels, ..Selector::default() };
    for rule in inline::split(rules).map_err(|_| RuleError::Syntax)? {
        selector.apply(&rule)?;
    }
    Ok(selector)
}

impl Selector {
    fn apply(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        match rule {
            _ if is(rule, "allkeys") || rule == b"~*" => {
                (self.all_keys, self.keys) = (true, Vec::new());
            }
            _ if is(rule, "resetkeys") => (self.all_keys, self.keys) = (false, Vec::new()),
            _ if is(rule, "allchannels") || rule == b"&*" => {
                (self.all_channels, self.channels) = (true, Vec::new());
            }
            _ if is(rule, "resetchannels") => {
                (self.all_channels, self.channels) = (false, Vec::new());
            }
            _ if is(rule, "allcommands") || is(rule, "+@all") => self.commands = CommandSet::all(),
            _ if is(rule, "nocommands") || is(rule, "-@all") => {
                self.commands = CommandSet::default();
            }
            [b'~', pattern @ ..] => self.add_keys(pattern, (true, true))?,
            [b'%', rest @ ..] => {
                let (pattern, rights) = parse_key_rights(rest)?;
                self.add_keys(pattern, rights)?;
            }
            [b'&', pattern @ ..] => self.add_channels(pattern)?,
            [b'+' | b'-', b'@', category @ ..] => {
                let category = CATEGORIES.iter().position(|known| is(category, known));
                let category = category.ok_or(RuleError::UnknownName)?;
                self.commands.change_category(category, rule[0] == b'+');
            }
            // Only `+`: Redis has no rule that refuses a first argument.
            [b'+', command @ ..] if command.contains(&b'|') => self.allow_part(command)?,
            [sign @ (b'+' | b'-'), command @ ..] => {
                let command = CommandNumber::find(command).ok_or(RuleError::UnknownName)?;
                self.commands.change(command, *sign == b'+');
            }
            _ => return Err(RuleError::Syntax),
        }
        Ok(())
    }

    fn add_keys(&mut self, pattern: &[u8], (reads, writes): (bool, bool)) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::KeyAfterAll);
        }
        if has_spaces(pattern) {
            return Err(RuleError::Syntax);
        }
        match self.keys.iter_mut().find(|known| known.pattern == pattern) {
            // `%R~a` and `%W~a` become `~a`, as in `ACLSetSelector`.
            Some(known) => {
                known.reads |= reads;
                known.writes |= writes;
            }
            None => self.keys.push(KeyPattern { pattern: pattern.to_vec(), reads, writes }),
        }
        Ok(())
    }

    fn add_channels(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_channels {
            return Err(RuleError::ChannelAfterAll);
        }
        if has_spaces(pattern) {
            return Err(RuleError::Syntax);
        }
        if self.channels.iter().all(|known| known != pattern) {
            self.channels.push(pattern.to_vec());
        }
        Ok(())
    }

    /// Allows a subcommand, or a command with a certain first argument.
    fn allow_part(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        let bar = rule.iter().rposition(|&byte| byte == b'|').unwrap_or_default();
        let (name, argument) = (&rule[..bar], &rule[bar + 1..]);
        let command = CommandNumber::find(name).ok_or(RuleError::UnknownName)?;
        if command.is_subcommand() {
            return Err(RuleError::SubcommandArgument);
        }
        // A file has a rule between spaces, and a user on a line.
        if argument.is_empty() || has_spaces(argument) {
            return Err(RuleError::Syntax);
        }
        if command.subcommands().next().is_some() {
            let part = CommandNumber::find(rule).ok_or(RuleError::UnknownName)?;
            self.commands.change(part, true);
        } else {
            self.commands.allow_with(command, argument);
        }
        Ok(())
    }
}

/// Parses the letters before a pattern: R for reads, W for changes.
fn parse_key_rights(rule: &[u8]) -> Result<(&[u8], (bool, bool)), RuleError> {
    let tilde = rule.iter().position(|&byte| byte == b'~');
    let (letters, pattern) = rule.split_at(tilde.ok_or(RuleError::Syntax)?);
    let (mut reads, mut writes) = (false, false);
    for letter in letters {
        let right = match letter.to_ascii_uppercase() {
            b'R' => &mut reads,
            b'W' => &mut writes,
            _ => return Err(RuleError::Syntax),
        };
        if std::mem::replace(right, true) {
            return Err(RuleError::Syntax);
        }
    }
    // Redis accepts a pattern without a right, and ends when it shows it.
    if letters.is_empty() {
        return Err(RuleError::Syntax);
    }
    Ok((&pattern[1..], (reads, writes)))
}
