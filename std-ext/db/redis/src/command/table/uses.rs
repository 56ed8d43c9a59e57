//! Where the keys of a command are among its arguments, and how it uses each.

use super::CommandSpec;
use super::keys::{ACCESS, Begin, KeyRange, KeySpec, KeyUse, NOT_KEY, RW, UPDATE};

impl CommandSpec {
    /// Returns whether the command has keys. Channels of slots stand at the places of keys.
    pub(crate) fn has_keys(&self) -> bool {
        self.key_specs.first().is_some_and(|spec| spec.flags.0 & NOT_KEY == 0)
    }

    /// Returns where the keys, or channels, are among these arguments. `self` is the subcommand if the command has one.
    /// A place may lie behind the arguments, if these are too few.
    pub(crate) fn key_range(&self, arguments: &[&[u8]]) -> KeyRange {
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
        KeyRange { first: place(first), end: last + 1, step: place(step), also: None, last: None }
    }

    /// Returns the keys among these arguments.
    pub(crate) fn keys_among<'k, 'a>(
        &self,
        arguments: &'k [&'a [u8]],
    ) -> impl Iterator<Item = &'a [u8]> + Clone + use<'k, 'a> {
        self.key_range(arguments).places().filter_map(|place| arguments.get(place).copied())
    }

    /// Returns the places of the keys among these arguments, and how each is used.
    pub(crate) fn key_uses<'k>(
        &'k self,
        arguments: &'k [&[u8]],
    ) -> impl Iterator<Item = (usize, KeyUse)> + Clone + use<'k> {
        let range = if self.has_keys() { self.key_range(arguments) } else { KeyRange::none() };
        let found = self.find_use.map(|find| find(arguments));
        let used_at = move |place| {
            let named = [range.also, range.last].into_iter().flatten();
            let named = named.into_iter().find(|(also, _)| *also == place);
            named.map_or_else(|| found.unwrap_or_else(|| self.use_at(place)), |(_, used)| used)
        };
        let places = range.places().filter(|place| *place < arguments.len());
        places.map(move |place| (place, used_at(place)))
    }

    /// Returns how the command uses the key at this place if its options change nothing about that: by the last
    /// specification that begins there or before, or by the only one if its keys stand behind a word.
    fn use_at(&self, place: usize) -> KeyUse {
        let begins =
            |spec: &&KeySpec| matches!(spec.begin, Begin::At(at) if usize::from(at) <= place);
        let behind = |spec: &&KeySpec| matches!(spec.begin, Begin::Behind(..));
        let found = self.key_specs.iter().rfind(begins);
        let found = found.or_else(|| self.key_specs.first().filter(behind));
        found.map_or(KeyUse(RW | ACCESS | UPDATE), |spec| spec.flags)
    }
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
            let second = if spec.name.starts_with("xread") { "streams" } else { "1" };
            let words: Vec<&[u8]> =
                [spec.name, second, "1", "a", "b", "c"].map(str::as_bytes).to_vec();
            let uses: Vec<KeyUse> = spec.key_uses(&words).map(|(_, used)| used).collect();
            assert!(!uses.is_empty(), "{} has no keys", spec.name);
            let changes = spec.has_flag(Flag::Write) || matches!(spec.id, Id::EVAL | Id::EVALSHA);
            // These store only with an option, and of XREADGROUP, Redis says that it reads.
            let others = ["sort", "georadius", "georadiusbymember", "xreadgroup"];
            if !others.contains(&spec.name) {
                let writes = uses.iter().any(|one| one.writes());
                assert_eq!(writes, changes, "{} changes keys", spec.name);
            }
        }
    }
}
