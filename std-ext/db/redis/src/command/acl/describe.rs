//! Descriptions of users: rules that give the same rights.

use super::commands::{CommandNumber, CommandSet};
use super::selector::Selector;
use super::user::User;
use crate::command::hexadecimal;
use crate::command::table::groups::CATEGORIES;
use std::borrow::Cow;

impl User {
    /// Returns the names of the flags that are set, in Redis's order.
    pub(super) fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.is_on { "on" } else { "off" }];
        if self.needs_no_password {
            flags.push("nopass");
        }
        flags.extend(
            self.sanitizes.map(
                |yes| {
                    if yes { "sanitize-payload" } else { "skip-sanitize-payload" }
                },
            ),
        );
        flags
    }

    /// Returns the digests of the passwords in hexadecimal digits.
    pub(super) fn password_digits(&self) -> impl ExactSizeIterator<Item = String> {
        self.passwords.iter().map(|digest| hexadecimal(digest))
    }

    /// Returns the line of the user in a file of users: its name, and rules that make it again.
    pub(super) fn line(&self) -> Vec<u8> {
        let mut line = [b"user ", &self.name[..]].concat();
        for flag in self.flags() {
            line.extend([b" ", flag.as_bytes()].concat());
        }
        for digits in self.password_digits() {
            line.extend([b" #", digits.as_bytes()].concat());
        }
        line.push(b' ');
        line.extend(self.root.rules());
        for selector in &self.selectors {
            let rules = selector.rules();
            let words = rules.split(|&byte| byte == b' ').map(within_selector);
            line.extend([b" (", &words.collect::<Vec<_>>().join(&b' ')[..], b")"].concat());
        }
        line
    }
}

/// Returns a rule as it stands between the parentheses of a selector. There, quotes have a meaning, and a word that
/// ends with a parenthesis ends the selector.
fn within_selector(rule: &[u8]) -> Cow<'_, [u8]> {
    if !rule.ends_with(b")") && !rule.iter().any(|byte| matches!(byte, b'"' | b'\'')) {
        return Cow::Borrowed(rule);
    }
    let mut quoted = vec![b'"'];
    for &byte in rule {
        if matches!(byte, b'"' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(byte);
    }
    quoted.push(b'"');
    Cow::Owned(quoted)
}

impl Selector {
    /// Returns the patterns of keys, with a space between two.
    pub(super) fn key_rules(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        let rule = |pattern: &super::selector::KeyPattern| {
            let sign: &[u8] = match (pattern.reads, pattern.writes) {
                (true, false) => b"%R~",
                (false, true) => b"%W~",
                _ => b"~",
            };
            [sign, &pattern.pattern].concat()
        };
        self.keys.iter().map(rule).collect::<Vec<_>>().join(&b' ')
    }

    /// Returns the patterns of channels, with a space between two.
    pub(super) fn channel_rules(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        let rule = |pattern: &Vec<u8>| [b"&", &pattern[..]].concat();
        self.channels.iter().map(rule).collect::<Vec<_>>().join(&b' ')
    }

    fn rules(&self) -> Vec<u8> {
        let mut parts = vec![self.key_rules()];
        if !self.all_channels {
            parts.push(b"resetchannels".to_vec());
        }
        parts.push(self.channel_rules());
        parts.push(self.commands.rules());
        parts.retain(|part| !part.is_empty());
        parts.join(&b' ')
    }
}

impl CommandSet {
    /// Returns rules that make this set: categories that fit well, then single commands. These are the steps of Redis,
    /// so that the text is the same.
    pub(super) fn rules(&self) -> Vec<u8> {
        // A set that began with `+@all` allows commands that a later version adds. Described from `-@all`, it would
        // lose them when it is read again.
        let adds = !self.has_future();
        let mut rules = if adds { "-@all".to_owned() } else { "+@all".to_owned() };
        let mut described = if adds { Self::default() } else { Self::all() };
        let mut rest = self.clone();
        let mut left: Vec<usize> = (0..CATEGORIES.len()).collect();
        while let Some(category) = best_category(&rest, &left, adds) {
            described.change_category(category, adds);
            // What a category has described must not count for the next one.
            rest.change_category(category, !adds);
            left.retain(|other| *other != category);
            rules.push_str(if adds { " +@" } else { " -@" });
            rules.push_str(CATEGORIES[category]);
        }
        let mut rules = rules.into_bytes();
        self.add_single_rules(&mut described, &mut rules);
        rules
    }

    /// Adds the rules for the commands whose rights no category has described.
    fn add_single_rules(&self, described: &mut Self, rules: &mut Vec<u8>) {
        for command in CommandNumber::all() {
            let allowed = self.has(command);
            if allowed != described.has(command) {
                rules.extend_from_slice(if allowed { b" +" } else { b" -" });
                rules.extend_from_slice(command.name().as_bytes());
                // A rule about a command changes its subcommands, too. They follow it in this order, so those that
                // differ are named after it.
                described.change(command, allowed);
            }
            if !allowed {
                for argument in self.first_arguments_of(command) {
                    rules.extend([b" +", command.name().as_bytes(), b"|", argument].concat());
                }
            }
        }
    }
}

/// Returns the category that describes most of the commands that are left: with more commands that agree than ones that
/// differ, the fewest that differ, and of equal ones the most that agree.
fn best_category(rest: &CommandSet, left: &[usize], adds: bool) -> Option<usize> {
    let mut best: Option<(usize, usize, usize)> = None;
    for &category in left {
        let (has, lacks) = rest.count(category);
        let (same, differing) = if adds { (has, lacks) } else { (lacks, has) };
        let is_better = |&(_, least, most): &(_, usize, usize)| {
            differing < least || differing == least && same > most
        };
        if same > differing && best.as_ref().is_none_or(is_better) {
            best = Some((category, differing, same));
        }
    }
    best.map(|(category, ..)| category)
}
