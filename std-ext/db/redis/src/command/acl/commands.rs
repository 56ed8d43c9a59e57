//! The set of commands that a user may execute.

use super::absent::ABSENT;
use crate::command::table::groups::Categories;
use crate::command::table::{CommandSpec, NUMBERS, by_number, find_spec, in_order};
use std::sync::LazyLock;

/// All commands and subcommands that have a number: first those of this server, with the numbers of their counters.
pub(super) const ALL: usize = NUMBERS + ABSENT.len();
const WORDS: usize = 7;
/// The bit that only `+@all` sets. It stands for commands of later versions.
const FUTURE: usize = WORDS * 64 - 1;
const _: () = assert!(ALL <= FUTURE, "each command has a bit");

/// A command, a subcommand, or a command that only Redis has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CommandNumber(u16);

impl CommandNumber {
    /// Returns the number of a command or subcommand of this server.
    pub(super) fn of(wanted: &'static CommandSpec) -> Self {
        Self(wanted.id.number())
    }

    /// Returns the command of this name, in any case. A subcommand is named by its command, a bar and its own name.
    pub(super) fn find(name: &[u8]) -> Option<Self> {
        if let Some(spec) = find_spec(name) {
            return Some(Self::of(spec));
        }
        let absent =
            ABSENT.iter().position(|(absent, _)| name.eq_ignore_ascii_case(absent.as_bytes()));
        absent.map(|absent| Self((NUMBERS + absent) as u16))
    }

    /// Returns all numbers: each command, followed by its subcommands.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        in_order().map(Self::of).chain((NUMBERS..ALL).map(|number| Self(number as u16)))
    }

    pub(super) fn name(self) -> &'static str {
        let number = usize::from(self.0);
        if number < NUMBERS { by_number(number).name } else { ABSENT[number - NUMBERS].0 }
    }

    fn categories(self) -> Categories {
        let number = usize::from(self.0);
        if number < NUMBERS {
            by_number(number).categories
        } else {
            ABSENT_CATEGORIES[number - NUMBERS]
        }
    }

    fn is_of_valkey_9(self) -> bool {
        let number = usize::from(self.0);
        number < NUMBERS && by_number(number).docs.since.starts_with("9.")
    }

    fn is_in(self, category: usize) -> bool {
        self.categories().has(category)
    }

    pub(super) fn is_subcommand(self) -> bool {
        self.name().contains('|')
    }

    /// Returns the subcommands of a command.
    pub(super) fn subcommands(self) -> impl Iterator<Item = Self> {
        PARTS[usize::from(self.0)].iter().copied()
    }
}

/// The subcommands of all commands, by their numbers.
static PARTS: LazyLock<Vec<Vec<CommandNumber>>> = LazyLock::new(|| {
    let mut all = vec![Vec::new(); ALL];
    for number in CommandNumber::all() {
        let command =
            number.name().split_once('|').and_then(|(of, _)| CommandNumber::find(of.as_bytes()));
        if let Some(CommandNumber(command)) = command {
            all[usize::from(command)].push(number);
        }
    }
    all
});

/// The categories of the commands that only Redis has: a rule about a category reads them many times.
static ABSENT_CATEGORIES: LazyLock<Vec<Categories>> =
    LazyLock::new(|| ABSENT.iter().map(|(_, categories)| Categories::parse(categories)).collect());

/// The commands that a user may execute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CommandSet {
    bits: [u64; WORDS],
    /// Commands that are allowed only with one of these first arguments.
    first_arguments: Vec<(CommandNumber, Vec<u8>)>,
}

impl CommandSet {
    /// Returns the set of all commands, also of later versions.
    pub(super) fn all() -> Self {
        Self { bits: [u64::MAX; WORDS], first_arguments: Vec::new() }
    }

    /// Returns whether the set has all commands.
    pub(super) fn is_all(&self) -> bool {
        self.bits == [u64::MAX; WORDS]
    }

    /// Returns whether commands of later versions are in the set, because it began with all.
    pub(super) fn has_future(&self) -> bool {
        self.has_bit(FUTURE)
    }

    pub(super) fn has(&self, command: CommandNumber) -> bool {
        self.has_bit(command.0.into())
    }

    fn has_bit(&self, bit: usize) -> bool {
        self.bits[bit / 64] >> (bit % 64) & 1 == 1
    }

    fn set_bit(&mut self, command: CommandNumber, allowed: bool) {
        let (word, bit) = (usize::from(command.0 / 64), 1 << (command.0 % 64));
        if allowed {
            self.bits[word] |= bit;
        } else {
            self.bits[word] &= !bit;
        }
    }

    /// Allows or refuses a command with all its subcommands.
    pub(super) fn change(&mut self, command: CommandNumber, allowed: bool) {
        self.set_bit(command, allowed);
        // `-get` must also take back what `+get|rose` has given.
        self.first_arguments.retain(|(other, _)| *other != command);
        if !command.is_subcommand() {
            command.subcommands().for_each(|part| self.set_bit(part, allowed));
        }
    }

    /// Allows or refuses all commands of a category, given by its place in [`CATEGORIES`].
    pub(super) fn change_category(&mut self, category: usize, allowed: bool) {
        CommandNumber::all()
            .filter(|command| command.is_in(category))
            .for_each(|command| self.change(command, allowed));
    }

    /// Returns how many commands of a category are in the set, and how many are not. Those of Valkey 9 do not count: of
    /// categories that fit equally well, descriptions name the one that has more commands in Redis.
    pub(super) fn count(&self, category: usize) -> (usize, usize) {
        let counts = |command: &CommandNumber| command.is_in(category) && !command.is_of_valkey_9();
        let all = || CommandNumber::all().filter(counts);
        let has = all().filter(|command| self.has(*command)).count();
        (has, all().count() - has)
    }

    /// Allows a command with this first argument.
    pub(super) fn allow_with(&mut self, command: CommandNumber, argument: &[u8]) {
        let is_known =
            self.first_arguments_of(command).any(|known| known.eq_ignore_ascii_case(argument));
        if !is_known {
            self.first_arguments.push((command, argument.to_vec()));
        }
    }

    /// Returns the first arguments with which a command is allowed that the set does not have.
    pub(super) fn first_arguments_of(&self, command: CommandNumber) -> impl Iterator<Item = &[u8]> {
        let all = self.first_arguments.iter();
        all.filter(move |(other, _)| *other == command).map(|(_, argument)| &argument[..])
    }

    /// Returns whether a command may be executed with these arguments, the first of which is its name.
    pub(super) fn allows(&self, command: CommandNumber, arguments: &[&[u8]]) -> bool {
        if self.has(command) {
            return true;
        }
        // As `ACLSelectorCheckCmd`: of a subcommand, the first argument follows the two words of its name.
        let first = arguments.get(if command.is_subcommand() { 2 } else { 1 });
        first.is_some_and(|first| {
            self.first_arguments_of(command).any(|known| known.eq_ignore_ascii_case(first))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_number_and_a_name() {
        let mut numbers: Vec<_> = CommandNumber::all().collect();
        for number in &numbers {
            assert_eq!(
                CommandNumber::find(number.name().as_bytes()),
                Some(*number),
                "{}",
                number.name()
            );
        }
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), ALL);
    }

    #[test]
    fn a_command_takes_its_subcommands_with_it() {
        let find = |name: &str| CommandNumber::find(name.as_bytes()).unwrap();
        let mut set = CommandSet::default();
        set.change(find("xgroup"), true);
        set.change(find("config"), true);
        set.change(find("config|set"), false);
        for (name, allowed) in [
            ("xgroup|create", true),
            ("xinfo|stream", false),
            ("config", true),
            ("config|get", true),
            ("config|set", false),
        ] {
            assert_eq!(set.has(find(name)), allowed, "the rights to {name}");
        }
    }
}
