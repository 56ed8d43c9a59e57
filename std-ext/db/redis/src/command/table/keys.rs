//! The keys of a command: where they are among its arguments, and how it uses them.
//!
//! [Key specifications](https://redis.io/docs/latest/develop/reference/key-specs/) are Redis's. From most of them the
//! places of the keys follow; the few commands whose specifications do not say enough have functions.

use hedgerow_db_formats::number;

/// How a command uses a key: the flags of Redis's key specifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyUse(pub(crate) u16);

pub(crate) const RO: u16 = 1;
pub(crate) const RW: u16 = 1 << 1;
pub(crate) const OW: u16 = 1 << 2;
pub(crate) const RM: u16 = 1 << 3;
pub(crate) const ACCESS: u16 = 1 << 4;
pub(crate) const UPDATE: u16 = 1 << 5;
pub(crate) const INSERT: u16 = 1 << 6;
pub(crate) const DELETE: u16 = 1 << 7;
/// It is a channel, by whose slot the command finds its node.
pub(crate) const NOT_KEY: u16 = 1 << 8;
/// The command may have keys that the specification does not find.
pub(crate) const INCOMPLETE: u16 = 1 << 9;
/// Other arguments may change how the key is used.
pub(crate) const VARIABLE: u16 = 1 << 10;

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
    pub(crate) fn reads(self) -> bool {
        self.0 & ACCESS != 0
    }

    /// Returns whether the key or its value changes.
    pub(crate) fn writes(self) -> bool {
        self.0 & (UPDATE | INSERT | DELETE) != 0
    }

    /// Returns the names of the flags.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        NAMES.into_iter().filter(move |(flag, _)| self.0 & flag != 0).map(|(_, name)| name)
    }
}

/// A key specification: where some keys of a command are, and how it uses them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeySpec {
    pub(crate) notes: &'static str,
    pub(crate) flags: KeyUse,
    pub(crate) begin: Begin,
    pub(crate) find: Find,
}

/// Where the keys begin.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Begin {
    /// At this argument.
    At(u8),
    /// Behind this word, which is looked for from this argument on.
    Behind(&'static str, i8),
    Unknown,
}

/// How many keys there are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Find {
    /// Up to `last`, which is relative to the first one, or counts from the end if it is negative.
    Range {
        last: i8,
        step: u8,
        /// If it is not 0: only this part of them.
        limit: u8,
    },
    /// The first argument is the number of keys, which follow it with this step.
    Counted {
        step: u8,
    },
    Unknown,
}

/// One key, at this argument.
pub(crate) const fn key(at: u8, flags: u16) -> KeySpec {
    let find = Find::Range { last: 0, step: 1, limit: 0 };
    KeySpec { notes: "", flags: KeyUse(flags), begin: Begin::At(at), find }
}

/// Keys of which only the command knows where they are.
pub(crate) const fn unknown(flags: u16) -> KeySpec {
    KeySpec { notes: "", flags: KeyUse(flags), begin: Begin::Unknown, find: Find::Unknown }
}

impl KeySpec {
    /// More keys follow, up to `last`, with this step.
    pub(crate) const fn to(mut self, last: i8, step: u8) -> Self {
        self.find = Find::Range { last, step, limit: 0 };
        self
    }

    /// Only the first of so many equal parts of them are keys.
    pub(crate) const fn first_of(mut self, limit: u8) -> Self {
        if let Find::Range { last, step, .. } = self.find {
            self.find = Find::Range { last, step, limit };
        }
        self
    }

    /// The argument is the number of keys, which follow it.
    pub(crate) const fn counted(mut self, step: u8) -> Self {
        self.find = Find::Counted { step };
        self
    }

    /// The keys follow this word, which is looked for from the argument `from` on.
    pub(crate) const fn behind(mut self, word: &'static str, from: i8) -> Self {
        self.begin = Begin::Behind(word, from);
        self
    }

    pub(crate) const fn notes(mut self, notes: &'static str) -> Self {
        self.notes = notes;
        self
    }
}

/// Returns the first key, the last key and the step that follow from specifications, as Redis derives them
/// (`populateCommandLegacyRangeSpec`).
pub(super) const fn places(specs: &[KeySpec]) -> (i8, i8, i8) {
    let (mut first, mut last, mut step, mut found, mut n) = (i8::MAX, 0, 1, 0, 0);
    while n < specs.len() {
        if let (Begin::At(at), Find::Range { last: relative, step: own, .. }) =
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
pub(crate) struct KeyRange {
    pub(super) first: usize,
    pub(super) end: usize,
    pub(super) step: usize,
    /// One more key, and how it is used.
    pub(super) also: Option<(usize, KeyUse)>,
    /// Yet another one.
    pub(super) last: Option<(usize, KeyUse)>,
}

/// Returns the keys among arguments.
pub(crate) type FindKeys = fn(&[&[u8]]) -> KeyRange;
/// Returns how a command with these arguments uses its keys.
pub(crate) type FindUse = fn(&[&[u8]]) -> KeyUse;

impl KeyRange {
    /// All arguments from `first` on.
    pub(crate) fn from(first: usize, arguments: &[&[u8]]) -> Self {
        Self { first, end: arguments.len(), step: 1, also: None, last: None }
    }

    /// The argument at `place`.
    pub(crate) fn one(place: usize) -> Self {
        Self { first: place, end: place + 1, step: 1, also: None, last: None }
    }

    /// The arguments from `first` on, up to `end`.
    pub(crate) fn between(first: usize, end: usize) -> Self {
        Self { first, end, step: 1, also: None, last: None }
    }

    /// No keys.
    pub(crate) fn none() -> Self {
        Self { first: 0, end: 0, step: 1, also: None, last: None }
    }

    /// Another one besides.
    pub(crate) fn and(self, also: Option<(usize, KeyUse)>) -> Self {
        Self { also, ..self }
    }

    /// Yet another one behind the others.
    pub(crate) fn and_last(self, last: Option<(usize, KeyUse)>) -> Self {
        Self { last, ..self }
    }

    /// The keys behind their number; none if that is invalid.
    pub(crate) fn counted(at: usize, step: usize, arguments: &[&[u8]]) -> Self {
        let count = arguments.get(at).and_then(|count| number::integer(count)).unwrap_or(0);
        let most = arguments.len().saturating_sub(at + 1) / step;
        let count = usize::try_from(count).ok().filter(|count| *count <= most).unwrap_or(0);
        Self { first: at + 1, end: at + 1 + count * step, step, also: None, last: None }
    }

    /// Returns the positions of the keys.
    pub(crate) fn places(self) -> impl Iterator<Item = usize> + Clone + use<> {
        let also = self.also.map(|(place, _)| place);
        let (before, after) = if also < Some(self.first) { (also, None) } else { (None, also) };
        let last = self.last.map(|(place, _)| place);
        let places = (self.first..self.end).step_by(self.step);
        before.into_iter().chain(places).chain(after).chain(last)
    }
}
