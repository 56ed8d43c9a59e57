//! The command table. A command is one row in the file of its family: its name, what clients may ask about it, and the
//! function that executes it.
//!
//! A row begins with [`command`], [`alone`] or [`container`], and adds to it:
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
pub(in crate::command) mod groups;
pub(in crate::command) mod keys;
mod names;

use crate::command::arguments::{CommandError, is};
use crate::command::execute::Execution;
pub(crate) use families::{COMMANDS, Id, NUMBERS, SUBCOMMANDS, by_number};
pub(crate) use flags::Flag;
use flags::FlagSet;
use groups::{Categories, Group};
use keys::{FindKeys, FindUse, KeySpec};
pub(crate) use names::{find, find_part, find_spec};

/// Executes a command, or adds it to the batch. The first argument is its name.
pub(crate) type Run =
    for<'e, 'a> fn(&mut Execution<'e, 'a>, &[&'a [u8]]) -> Result<(), CommandError>;

/// A command, or a subcommand, whose name has the command's before a bar.
#[derive(Clone, Copy, Debug)]
#[repr(C)] // What each request reads comes first.
pub(crate) struct CommandSpec {
    pub(crate) name: &'static str,
    pub(in crate::command) run: Run,
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
    pub(in crate::command) kind: Kind,
    /// Whether the replies show no data.
    pub(in crate::command) is_dataless: bool,
    /// Of a subcommand: whether its replies show data, unlike those of the others.
    shows_data: bool,
    /// Whether it takes so little time that it is measured together with others.
    pub(in crate::command) is_brief: bool,
    /// The numbers of its subcommands.
    parts: (u16, u16),
    pub(in crate::command) find_keys: Option<FindKeys>,
    pub(in crate::command) find_use: Option<FindUse>,
    pub(in crate::command) key_specs: &'static [KeySpec],
    /// The flags of `COMMAND INFO`.
    pub(crate) flags: &'static str,
    pub(crate) categories: Categories,
    pub(in crate::command) tips: &'static str,
    pub(in crate::command) docs: Docs,
    rows: &'static [Self],
}

/// The documentation of a command: the reply of `COMMAND DOCS`.
#[derive(Clone, Copy, Debug)]
pub(in crate::command) struct Docs {
    /// The version of Redis that introduced the command.
    pub(in crate::command) since: &'static str,
    pub(in crate::command) group: Group,
    /// The arguments, in the notation of [`syntax`](super::syntax).
    pub(in crate::command) syntax: &'static str,
    pub(in crate::command) summary: &'static str,
    pub(in crate::command) complexity: &'static str,
}

/// How a command is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::command) enum Kind {
    /// As a part of the batch.
    Batched,
    /// After the batch so far, or without an effect on it.
    Alone,
    /// By its subcommands.
    Container,
}

/// A command whose requests are added to the batch.
pub(in crate::command) const fn command(
    name: &'static str,
    arity: i8,
    flags: &'static str,
    run: Run,
) -> CommandSpec {
    CommandSpec {
        name,
        run,
        id: Id::UNKNOWN,
        keys: (0, 0, 0),
        arity,
        counted: None,
        flag_set: FlagSet::parse(flags),
        kind: Kind::Batched,
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
        docs: Docs { since: "", group: Group::Server, syntax: "", summary: "", complexity: "O(1)" },
        rows: &[],
    }
}

/// A command that is executed and measured by itself.
pub(in crate::command) const fn alone(
    name: &'static str,
    arity: i8,
    flags: &'static str,
    run: Run,
) -> CommandSpec {
    CommandSpec { kind: Kind::Alone, ..command(name, arity, flags, run) }
}

/// A command with subcommands, which have its group.
pub(in crate::command) const fn container(
    name: &'static str,
    arity: i8,
    parts: &'static [CommandSpec],
) -> CommandSpec {
    let mut spec = command(name, arity, "", |e, a| Err(e.unknown_part(a)));
    (spec.kind, spec.rows) = (Kind::Container, parts);
    spec.docs.complexity = "Depends on the subcommand";
    spec
}

impl CommandSpec {
    /// Says where the keys are, and how the command uses them.
    pub(in crate::command) const fn keys(mut self, specs: &'static [KeySpec]) -> Self {
        self.key_specs = specs;
        (self.keys, self.counted) = (keys::places(specs), keys::counted(specs));
        self
    }

    /// Says that other arguments decide which keys there are.
    pub(in crate::command) const fn found_by(mut self, find: FindKeys) -> Self {
        self.find_keys = Some(find);
        self
    }

    /// Says that other arguments decide how a key is used.
    pub(in crate::command) const fn used_by(mut self, find: FindUse) -> Self {
        self.find_use = Some(find);
        self
    }

    /// Says which version of Redis has introduced the command, and its group. From the group and the flags follow the
    /// categories.
    pub(in crate::command) const fn since(mut self, version: &'static str, group: Group) -> Self {
        self.docs.since = version;
        self.with_group(group)
    }

    /// Describes the arguments, in the notation of [`syntax`](super::syntax).
    pub(in crate::command) const fn syntax(mut self, syntax: &'static str) -> Self {
        self.docs.syntax = syntax;
        self
    }

    pub(in crate::command) const fn summary(mut self, summary: &'static str) -> Self {
        self.docs.summary = summary;
        self
    }

    const fn with_group(mut self, group: Group) -> Self {
        self.docs.group = group;
        let is_container = matches!(self.kind, Kind::Container);
        let implied = if is_container { Categories::SLOW } else { group.categories(self.flag_set) };
        self.categories = self.categories.and(implied);
        self
    }

    /// Adds categories that do not follow from the group and the flags.
    pub(in crate::command) const fn also_in(mut self, categories: &str) -> Self {
        self.categories = self.categories.and(Categories::parse(categories));
        self
    }

    /// Replaces the categories that follow from the group and the flags.
    pub(in crate::command) const fn only_in(mut self, categories: &str) -> Self {
        self.categories = Categories::parse(categories);
        self
    }

    /// Says how long the command takes, if that is not a constant time.
    pub(in crate::command) const fn takes_time(mut self, complexity: &'static str) -> Self {
        self.docs.complexity = complexity;
        self
    }

    /// Adds tips for clients of clusters: which nodes execute the command, and how replies are combined.
    pub(in crate::command) const fn tips(mut self, tips: &'static str) -> Self {
        self.tips = tips;
        self
    }

    /// Says that the replies show no data. A primary that cannot prove that it still is one, because etcd is away,
    /// answers all the same, so that an operator can look at it. `INFO`, `ROLE` and `CLUSTER` show this node's view of
    /// its group, as followers do.
    pub(in crate::command) const fn without_data(mut self) -> Self {
        self.is_dataless = true;
        self
    }

    /// Says that a subcommand shows data although the others do not.
    pub(in crate::command) const fn shows_data(mut self) -> Self {
        self.shows_data = true;
        self
    }

    /// Says that it takes so little time that it is measured together with others.
    pub(in crate::command) const fn brief(mut self) -> Self {
        self.is_brief = true;
        self
    }

    /// Adds flags to a command with subcommands.
    pub(in crate::command) const fn flags(mut self, flags: &'static str) -> Self {
        (self.flags, self.flag_set) = (flags, FlagSet::parse(flags));
        self
    }

    /// Replaces what a command with subcommands does if no argument names one.
    pub(in crate::command) const fn otherwise(mut self, run: Run) -> Self {
        self.run = run;
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

    /// Returns the subcommands.
    pub(crate) fn parts(&self) -> &'static [Self] {
        let (first, count) = (self.parts.0.into(), usize::from(self.parts.1));
        SUBCOMMANDS.get(first..first + count).unwrap_or_default()
    }

    /// Returns the subcommand of this name.
    pub(crate) fn part(&self, name: &[u8]) -> Option<&'static Self> {
        self.parts().iter().find(|part| is(name, &part.name[self.name.len() + 1..]))
    }

    /// Returns the subcommand that the second argument names, or the command itself. A command without subcommands may
    /// have a key of such a name.
    pub(crate) fn with_part(&'static self, arguments: &[&[u8]]) -> &'static Self {
        let named = || arguments.get(1).and_then(|name| self.part(name));
        if self.kind == Kind::Container { named().unwrap_or(self) } else { self }
    }

    /// Returns whether a pause of writes postpones the command, as in Redis: it changes something, is a script that
    /// may, or would reach replicas.
    pub(crate) fn is_postponed_as_write(&self, arguments: &[&[u8]]) -> bool {
        match self.id {
            Id::PFCOUNT | Id::PUBLISH | Id::SPUBLISH | Id::EVALSHA => true,
            Id::EVAL => {
                #[cfg(feature = "scripts")]
                let reads_only = super::script::declares_no_writes(arguments[1]);
                #[cfg(not(feature = "scripts"))]
                let reads_only = arguments.is_empty();
                !reads_only
            }
            _ => self.has_flag(Flag::Write),
        }
    }

    /// Returns whether the command reads or changes keys of the selected database.
    pub(crate) fn accesses_keys(&self) -> bool {
        let flagged = self.has_flag(Flag::ReadOnly) || self.has_flag(Flag::Write);
        flagged || self.is_eval() || matches!(self.id, Id::MEMORY | Id::OBJECT | Id::WATCH)
    }

    /// Returns whether the command executes a script.
    #[inline]
    pub(crate) fn is_eval(&self) -> bool {
        matches!(self.id, Id::EVAL | Id::EVALSHA | Id::EVAL_RO | Id::EVALSHA_RO)
    }

    /// Returns whether the arguments decide how many keys the command has, and where.
    #[inline]
    pub(crate) fn finds_keys(&self) -> bool {
        self.counted.is_some() || self.find_keys.is_some()
    }

    /// Returns whether a client may use the command before it has authenticated.
    pub(crate) fn allowed_unauthenticated(&self) -> bool {
        matches!(self.id, Id::AUTH | Id::HELLO | Id::QUIT | Id::RESET)
    }
}
