//! The command table. A command is one row in the file of its family: its name, what clients may ask about it, and the
//! function that executes it.
//!
//! A row begins with `command`, `alone` or `container` of [`rows`](super::rows), and adds to it:
//!
//! ```text
//! command("getdel", 2, "write fast", |e, a| e.change(a[1], Change::GetDelete, ReplyKind::Value))
//!     .keys(&[key(1, RW | ACCESS | DELETE)])
//!     .since("6.2.0", Group::String)
//!     .syntax("key#0")
//!     .summary("Returns the value of a key after deleting the key."),
//! ```
//!
//! From the rows follow the numbers by which commands are counted ([`families`]), the lookup by name ([`names`]), the
//! places of keys ([`keys`]), the categories of ACL ([`groups`]), and the replies of `COMMAND`.

pub(crate) mod families;
mod flags;
pub(crate) mod groups;
pub(crate) mod keys;
mod names;
mod special;
mod uses;

pub(crate) use families::{COMMANDS, NUMBERS, SUBCOMMANDS, by_number};
pub(crate) use flags::Flag;
use flags::FlagSet;
use groups::{Categories, Group};
use keys::{FindKeys, FindUse, KeySpec};
pub(crate) use names::{find, find_part, find_spec, in_order};

/// The number of a command or subcommand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(u16);

impl Id {
    const UNKNOWN: Self = Self(u16::MAX);

    pub(crate) const fn number(self) -> u16 {
        self.0
    }
}

/// A command, or a subcommand, whose name has the command's before a bar.
#[derive(Clone, Copy, Debug)]
#[repr(C)] // What each request reads comes first.
pub(crate) struct CommandSpec {
    pub(crate) name: &'static str,
    pub(crate) id: Id,
    /// The positions of the first and the last key, and the step between keys, as in `COMMAND INFO`. The first is 0 for
    /// no keys, and if arguments decide where they are; a negative last counts from the end.
    pub(crate) keys: (i8, i8, i8),
    /// The number of arguments, including the names; if negative, the minimum.
    pub(crate) arity: i8,
    /// The position of the argument with the number of keys, which follow it, and their step.
    counted: Option<(u8, u8)>,
    /// The flags that decide how the command is executed.
    flag_set: FlagSet,
    pub(crate) kind: Kind,
    /// Whether the replies show no data.
    pub(crate) is_dataless: bool,
    /// Of a subcommand: whether its replies show data, unlike those of the others.
    shows_data: bool,
    /// Whether it takes so little time that it is measured together with others.
    pub(crate) is_brief: bool,
    /// The numbers of its subcommands.
    parts: (u16, u16),
    pub(crate) find_keys: Option<FindKeys>,
    pub(crate) find_use: Option<FindUse>,
    pub(crate) key_specs: &'static [KeySpec],
    /// The flags of `COMMAND INFO`.
    pub(crate) flags: &'static str,
    pub(crate) categories: Categories,
    pub(crate) tips: &'static str,
    pub(crate) docs: Docs,
}

/// The documentation of a command: the reply of `COMMAND DOCS`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Docs {
    /// The version of Redis that introduced the command.
    pub(crate) since: &'static str,
    pub(crate) group: Group,
    /// The arguments, in the notation of [`syntax`](super::syntax).
    pub(crate) syntax: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) complexity: &'static str,
}

/// How a command is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As a part of the batch.
    Batched,
    /// After the batch so far, or without an effect on it.
    Alone,
    /// By its subcommands.
    Container,
}

/// A row of the table: a command, the function that executes it, and the rows of its subcommands.
///
/// What executes commands stands above the table, so this file does not know the function's type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<R: 'static> {
    pub(crate) spec: CommandSpec,
    pub(crate) run: R,
    pub(crate) parts: &'static [Self],
}

impl<R: Copy> Row<R> {
    pub(crate) const fn new(
        name: &'static str,
        arity: i8,
        flags: &'static str,
        kind: Kind,
        (run, parts): (R, &'static [Self]),
    ) -> Self {
        let complexity =
            if matches!(kind, Kind::Container) { "Depends on the subcommand" } else { "O(1)" };
        let docs = Docs { since: "", group: Group::Server, syntax: "", summary: "", complexity };
        let spec = CommandSpec {
            name,
            id: Id::UNKNOWN,
            keys: (0, 0, 0),
            arity,
            counted: None,
            flag_set: FlagSet::parse(flags),
            kind,
            is_dataless: false,
            shows_data: false,
            is_brief: false,
            parts: (0, 0),
            find_keys: None,
            find_use: None,
            key_specs: &[],
            flags,
            categories: Categories::NONE,
            tips: "",
            docs,
        };
        Self { spec, run, parts }
    }

    /// Says where the keys are, and how the command uses them.
    pub(crate) const fn keys(mut self, specs: &'static [KeySpec]) -> Self {
        self.spec.key_specs = specs;
        (self.spec.keys, self.spec.counted) = (keys::places(specs), keys::counted(specs));
        self
    }

    /// Says that other arguments decide which keys there are.
    pub(crate) const fn found_by(mut self, function: FindKeys) -> Self {
        self.spec.find_keys = Some(function);
        self
    }

    /// Says that other arguments decide how a key is used.
    pub(crate) const fn used_by(mut self, function: FindUse) -> Self {
        self.spec.find_use = Some(function);
        self
    }

    /// Says which version of Redis has introduced the command, and its group. From the group and the flags follow the
    /// categories.
    pub(crate) const fn since(mut self, version: &'static str, group: Group) -> Self {
        self.spec.docs.since = version;
        self.spec = self.spec.with_group(group);
        self
    }

    /// Describes the arguments, in the notation of [`syntax`](super::syntax).
    pub(crate) const fn syntax(mut self, syntax: &'static str) -> Self {
        self.spec.docs.syntax = syntax;
        self
    }

    pub(crate) const fn summary(mut self, summary: &'static str) -> Self {
        self.spec.docs.summary = summary;
        self
    }

    /// Adds categories that do not follow from the group and the flags.
    pub(crate) const fn also_in(mut self, categories: &str) -> Self {
        self.spec.categories = self.spec.categories.and(Categories::parse(categories));
        self
    }

    /// Replaces the categories that follow from the group and the flags.
    pub(crate) const fn only_in(mut self, categories: &str) -> Self {
        self.spec.categories = Categories::parse(categories);
        self
    }

    /// Says how long the command takes, if that is not a constant time.
    pub(crate) const fn takes_time(mut self, complexity: &'static str) -> Self {
        self.spec.docs.complexity = complexity;
        self
    }

    /// Adds tips for clients of clusters: which nodes execute the command, and how replies are combined.
    pub(crate) const fn tips(mut self, tips: &'static str) -> Self {
        self.spec.tips = tips;
        self
    }

    /// Says that the replies show no data. A primary that cannot prove that it still is one, because etcd is away,
    /// answers all the same, so that an operator can look at it. `INFO`, `ROLE` and `CLUSTER` show this node's view of
    /// its group, as followers do.
    pub(crate) const fn without_data(mut self) -> Self {
        self.spec.is_dataless = true;
        self
    }

    /// Says that a subcommand shows data although the others do not.
    pub(crate) const fn shows_data(mut self) -> Self {
        self.spec.shows_data = true;
        self
    }

    /// Says that it takes so little time that it is measured together with others.
    pub(crate) const fn brief(mut self) -> Self {
        self.spec.is_brief = true;
        self
    }

    /// Adds flags to a command with subcommands.
    pub(crate) const fn flags(mut self, flags: &'static str) -> Self {
        (self.spec.flags, self.spec.flag_set) = (flags, FlagSet::parse(flags));
        self
    }

    /// Replaces what a command with subcommands does if no argument names one.
    pub(crate) const fn otherwise(mut self, run: R) -> Self {
        self.run = run;
        self
    }
}

impl CommandSpec {
    /// Sets the group, and adds the categories that follow from it and the flags.
    const fn with_group(mut self, group: Group) -> Self {
        self.docs.group = group;
        let is_container = matches!(self.kind, Kind::Container);
        let implied = if is_container { Categories::SLOW } else { group.categories(self.flag_set) };
        self.categories = self.categories.and(implied);
        self
    }

    /// Returns whether the command takes this many arguments, including its name.
    #[inline]
    pub(crate) fn takes(&self, count: usize) -> bool {
        let wanted = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 { count >= wanted } else { count == wanted }
    }

    /// Returns whether `COMMAND INFO` shows this flag.
    #[inline]
    pub(crate) fn has_flag(&self, flag: Flag) -> bool {
        self.flag_set.has(flag)
    }

    /// Returns whether the arguments decide how many keys the command has, and where.
    #[inline]
    pub(crate) fn finds_keys(&self) -> bool {
        self.counted.is_some() || self.find_keys.is_some()
    }
}
