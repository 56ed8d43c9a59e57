//! The keys of a command: where they are among its arguments, and how it uses them.
//!
//! [Key specifications](https://redis.io/docs/latest/develop/reference/key-specs/) are Redis's. From most of them the
//! places of the keys follow; the few commands whose specifications do not say enough have functions.

use super::CommandSpec;
use crate::command::arguments::is;
use crate::state::number;

/// How a command uses a key: the flags of Redis's key specifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::command) struct KeyUse(pub(in crate::command) u16);

pub(in crate::command) const RO: u16 = 1;
pub(in crate::command) const RW: u16 = 1 << 1;
pub(in crate::command) const OW: u16 = 1 << 2;
pub(in crate::command) const RM: u16 = 1 << 3;
pub(in crate::command) const ACCESS: u16 = 1 << 4;
pub(in crate::command) const UPDATE: u16 = 1 << 5;
pub(in crate::command) const INSERT: u16 = 1 << 6;
pub(in crate::command) const DELETE: u16 = 1 << 7;
/// It is a channel, by whose slot the command finds its node.
pub(in crate::command) const NOT_KEY: u16 = 1 << 8;
/// The command may have keys that the specification does not find.
pub(in crate::command) const INCOMPLETE: u16 = 1 << 9;
/// Other arguments may change how the key is used.
pub(in crate::command) const VARIABLE: u16 = 1 << 10;

/// The flags and their names, in Redis's order.
const NAMES: [(u16, &str); 11] = [
    (RO, "RO"),
    (RW, "RW"),
    (OW, "OW"),
    (RM, "RM"),
    (ACCESS, "access"),
    (UPDATE, "update"),
    (INSERT, "insert"),
    (DELETE, "delete"),
    (NOT_KEY, "not_key"),
    (INCOMPLETE, "incomplete"),
    (VARIABLE, "variable_flags"),
];

impl KeyUse {
    /// Returns whether the value can reach the client, or another key.
    pub(in crate::command) fn reads(self) -> bool {
        self.0 & ACCESS != 0
    }

    /// Returns whether the key or its value changes.
    pub(in crate::command) fn writes(self) -> bool {
        self.0 & (UPDATE | INSERT | DELETE) != 0
    }

    /// Returns the names of the flags.
    pub(in crate::command) fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        NAMES.into_iter().filter(move |(flag, _)| self.0 & flag != 0).map(|(_, name)| name)
    }
}

/// A key specification: where some keys of a command are, and how it uses them.
#[derive(Clone, Copy, Debug)]
pub(in crate::command) struct KeySpec {
    pub(in crate::command) notes: &'static str,
    pub(in crate::command) flags: KeyUse,
    pub(in crate::command) begin: Begin,
    pub(in crate::command) find: Find,
}

/// Where the keys begin.
#[derive(Clone, Copy, Debug)]
pub(in crate::command) enum Begin {
    /// At this argument.
    At(u8),
    /// Behind this word, which is looked for from this argument on.
    Behind(&'static str, i8),
    Unknown,
}

/// How many keys there are.
#[derive(Clone, Copy, Debug)]
pub(in crate::command) enum Find {
    /// Up to `last`, which is relative to the first one, or counts from the end if it is negative.
    Range {
        last: i8,
        step: u8,
    },
    /// The first argument is the number of keys, which follow it with this step.
    Counted {
        step: u8,
    },
    Unknown,
}

/// One key, at this argument.
pub(in crate::command) const fn key(at: u8, flags: u16) -> KeySpec {
    let find = Find::Range { last: 0, step: 1 };
    KeySpec { notes: "", flags: KeyUse(flags), begin: Begin::At(at), find }
}

/// Keys of which only the command knows where they are.
pub(in crate::command) const fn unknown(flags: u16) -> KeySpec {
    KeySpec { notes: "", flags: KeyUse(flags), begin: Begin::Unknown, find: Find::Unknown }
}

impl KeySpec {
    /// More keys follow, up to `last`, with this step.
    pub(in crate::command) const fn to(mut self, last: i8, step: u8) -> Self {
        self.find = Find::Range { last, step };
        self
    }

    /// The argument is the number of keys, which follow it.
    pub(in crate::command) const fn counted(mut self, step: u8) -> Self {
        self.find = Find::Counted { step };
        self
    }

    /// The keys follow this word, which is looked for from the argument `from` on.
    pub(in crate::command) const fn behind(mut self, word: &'static str, from: i8) -> Self {
        self.begin = Begin::Behind(word, from);
        self
    }

    pub(in crate::command) const fn notes(mut self, notes: &'static str) -> Self {
        self.notes = notes;
        self
    }
}

/// Returns the first key, the last key and the step that follow from specifications, as Redis derives them
/// (`populateCommandLegacyRangeSpec`).
pub(super) const fn places(specs: &[KeySpec]) -> (i8, i8, i8) {
    let (mut first, mut last, mut step, mut found, mut n) = (i8::MAX, 0, 1, 0, 0);
    while n < specs.len() {
        if let (Begin::At(at), Find::Range { last: relative, step: own }) =
            (specs[n].begin, specs[n].find)
        {
            let at = at.cast_signed();
            first = if at < first { at } else { first };
            let own_last = if relative < 0 { relative } else { at + relative };
            last = if own_last < 0 || last < 0 {
                if own_last < 0 { own_last } else { last }
            } else if own_last > last {
                own_last
            } else {
                last
            };
            step = own.cast_signed();
            found += 1;
        }
        n += 1;
    }
    match found {
        0 => (0, 0, 0),
        1 => (first, last, step),
        _ => (first, last, 1),
    }
}

/// Returns the position of the argument with the number of keys, and the step between these.
pub(super) const fn counted(specs: &[KeySpec]) -> Option<(u8, u8)> {
    match specs {
        [KeySpec { begin: Begin::At(at), find: Find::Counted { step }, .. }, ..] => {
            Some((*at, *step))
        }
        _ => None,
    }
}

/// The keys among some arguments.
#[derive(Clone, Copy, Debug)]
pub(in crate::command) struct KeyRange {
    first: usize,
    end: usize,
    step: usize,
    /// One more key, and how it is used.
    also: Option<(usize, KeyUse)>,
}

/// Returns the keys among arguments.
pub(in crate::command) type FindKeys = fn(&[&[u8]]) -> KeyRange;
/// Returns how a command with these arguments uses its keys.
pub(in crate::command) type FindUse = fn(&[&[u8]]) -> KeyUse;

impl KeyRange {
    /// All arguments from `first` on.
    pub(in crate::command) fn from(first: usize, arguments: &[&[u8]]) -> Self {
        Self { first, end: arguments.len(), step: 1, also: None }
    }

    /// The argument at `place`.
    pub(in crate::command) fn one(place: usize) -> Self {
        Self { first: place, end: place + 1, step: 1, also: None }
    }

    /// No keys.
    pub(in crate::command) fn none() -> Self {
        Self { first: 0, end: 0, step: 1, also: None }
    }

    /// Another one besides.
    pub(in crate::command) fn and(self, also: Option<(usize, KeyUse)>) -> Self {
        Self { also, ..self }
    }

    /// The keys behind their number; none if that is invalid.
    fn counted(at: usize, step: usize, arguments: &[&[u8]]) -> Self {
        let count = arguments.get(at).and_then(|count| number::integer(count)).unwrap_or(0);
        let most = arguments.len().saturating_sub(at + 1) / step;
        let count = usize::try_from(count).ok().filter(|count| *count <= most).unwrap_or(0);
        Self { first: at + 1, end: at + 1 + count * step, step, also: None }
    }

    /// Returns the positions of the keys.
    pub(in crate::command) fn places(self) -> impl Iterator<Item = usize> + Clone + use<> {
        let also = self.also.map(|(place, _)| place);
        (self.first..self.end).step_by(self.step).chain(also)
    }
}

impl CommandSpec {
    /// Returns whether the command has keys. Channels of slots stand at the places of keys.
    pub(in crate::command) fn has_keys(&self) -> bool {
        self.key_specs.first().is_some_and(|spec| spec.flags.0 & NOT_KEY == 0)
    }

    /// Returns where the keys, or channels, are among these arguments. `self` is the subcommand if the command has one.
    /// A place may lie behind the arguments, if these are too few.
    pub(in crate::command) fn key_range(&self, arguments: &[&[u8]]) -> KeyRange {
        if let Some(find) = self.find_keys {
            return find(arguments);
        }
        if let Some((at, step)) = self.counted {
            return KeyRange::counted(at.into(), step.into(), arguments);
        }
        let (first, last, step) = self.keys;
        let place = |place: i8| usize::from(place.unsigned_abs());
        if first == 0 {
            return KeyRange::none();
        }
        let last = if last < 0 { arguments.len().saturating_sub(place(last)) } else { place(last) };
        KeyRange { first: place(first), end: last + 1, step: place(step), also: None }
    }

    /// Returns the keys among these arguments.
    pub(in crate::command) fn keys_among<'k, 'a>(
        &self,
        arguments: &'k [&'a [u8]],
    ) -> impl Iterator<Item = &'a [u8]> + Clone + use<'k, 'a> {
        self.key_range(arguments).places().filter_map(|place| arguments.get(place).copied())
    }

    /// Returns the places of the keys among these arguments, and how each is used.
    pub(in crate::command) fn key_uses<'k>(
        &'k self,
        arguments: &'k [&[u8]],
    ) -> impl Iterator<Item = (usize, KeyUse)> + Clone + use<'k> {
        let range = if self.has_keys() { self.key_range(arguments) } else { KeyRange::none() };
        let found = self.find_use.map(|find| find(arguments));
        let used_at = move |place| match range.also {
            Some((also, used)) if also == place => used,
            _ => found.unwrap_or_else(|| self.use_at(place)),
        };
        let places = range.places().filter(|place| *place < arguments.len());
        places.map(move |place| (place, used_at(place)))
    }

    /// Returns how the command uses the key at this place if its options change nothing about that: by the last
    /// specification that begins there or before.
    fn use_at(&self, place: usize) -> KeyUse {
        let begins =
            |spec: &&KeySpec| matches!(spec.begin, Begin::At(at) if usize::from(at) <= place);
        let found = self.key_specs.iter().rfind(begins);
        found.map_or(KeyUse(RW | ACCESS | UPDATE), |spec| spec.flags)
    }
}

/// Returns whether an argument from `first` on is one of these words. As in Redis, it may also be the value of an
/// option.
pub(in crate::command) fn has_option(arguments: &[&[u8]], first: usize, words: &[&str]) -> bool {
    arguments.iter().skip(first).any(|option| words.iter().any(|word| is(option, word)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table::{COMMANDS, Flag, Id};

    /// A new command must say how it uses its keys. The words of its flags tell reads from changes.
    #[test]
    fn the_use_of_keys_agrees_with_the_flags() {
        for spec in COMMANDS.iter().filter(|spec| spec.has_keys()) {
            // Enough words for every command; the third is a number, for commands that count their keys.
            let words: Vec<&[u8]> = [spec.name, "1", "1", "a", "b"].map(str::as_bytes).to_vec();
            let uses: Vec<KeyUse> = spec.key_uses(&words).map(|(_, used)| used).collect();
            assert!(!uses.is_empty(), "{} has no keys", spec.name);
            let changes = spec.has_flag(Flag::Write) || matches!(spec.id, Id::EVAL | Id::EVALSHA);
            // SORT stores only with an option.
            if spec.name != "sort" {
                let writes = uses.iter().any(|one| one.writes());
                assert_eq!(writes, changes, "{} changes keys", spec.name);
            }
        }
    }
}
