//! Commands by their names, in any case. The bytes of a name, folded to lower case, form one number, and a hash table
//! of these numbers is computed at compile time.

use super::{COMMANDS, CommandSpec, Kind, SUBCOMMANDS, by_number};

/// The longest name; anything longer is no command.
const LONGEST: usize = 20;
/// The longest name whose bytes all are in its number.
const LONGEST_FOLDED: usize = 16;
/// Folds letters to lower case. No other byte becomes a letter, but `_` and the byte 0x7F become the same one.
const SMALL: u128 = 0x2020_2020_2020_2020_2020_2020_2020_2020;
/// Slots of the hash table. About a fifth is in use.
const PLACES: usize = 512;
/// An unused slot.
const FREE: u16 = u16::MAX;
/// A flag beside the number of a command whose name has an underscore, or is too long: it must be compared.
const COMPARED: u16 = 1 << 15;

/// The hash table: the folded name and the command's number, at the slot of its hash or the next free one.
static BY_NAME: [(u128, u16); PLACES] = by_name();

const fn by_name() -> [(u128, u16); PLACES] {
    assert!(COMMANDS.len() < COMPARED as usize, "an index must leave the flag clear");
    let mut table = [(0, FREE); PLACES];
    let mut n = 0;
    while n < COMMANDS.len() {
        let name = COMMANDS[n].name.as_bytes();
        let folded = fold(name);
        let mut place = place(folded, name.len());
        while table[place].1 != FREE {
            place = (place + 1) % PLACES;
        }
        let mut at = 0;
        while at < name.len() && name[at] != b'_' {
            at += 1;
        }
        let is_compared = at < name.len() || name.len() > LONGEST_FOLDED;
        table[place] = (folded, n as u16 | if is_compared { COMPARED } else { 0 });
        n += 1;
    }
    table
}

/// Folds a name to a number. Different names of one length up to [`LONGEST_FOLDED`] have different numbers: the words
/// read from the two ends overlap and so cover all bytes.
#[inline]
const fn fold(name: &[u8]) -> u128 {
    let wide = match name {
        [] => 0,
        [first, ..] if name.len() < 4 => {
            let (middle, last) = (name[name.len() / 2], name[name.len() - 1]);
            (*first as u128) | (middle as u128) << 8 | (last as u128) << 16
        }
        _ if name.len() < 8 => match (name.first_chunk(), name.last_chunk()) {
            (Some(first), Some(last)) => {
                (u32::from_le_bytes(*first) as u128) | (u32::from_le_bytes(*last) as u128) << 32
            }
            _ => 0,
        },
        _ => match (name.first_chunk(), name.last_chunk()) {
            (Some(first), Some(last)) => {
                (u64::from_le_bytes(*first) as u128) | (u64::from_le_bytes(*last) as u128) << 64
            }
            _ => 0,
        },
    };
    wide | SMALL
}

/// Returns the slot where the search begins.
#[inline]
const fn place(folded: u128, length: usize) -> usize {
    let mixed = (folded as u64) ^ ((folded >> 64) as u64).rotate_left(21) ^ (length as u64) << 40;
    (mixed.wrapping_mul(0x94d0_49bb_1331_11eb) >> 55) as usize % PLACES
}

/// Returns the command of this name.
#[inline(always)]
pub(crate) fn find(name: &[u8]) -> Option<&'static CommandSpec> {
    if name.len() > LONGEST {
        return None;
    }
    let folded = fold(name);
    let mut place = place(folded, name.len());
    loop {
        let (at, n) = BY_NAME[place];
        if n == FREE {
            return None;
        }
        let spec = by_number((n & !COMPARED).into());
        if at == folded && spec.name.len() == name.len() {
            // Equal numbers of one length are equal names, except for the byte that `SMALL` folds onto `_`.
            let same = n & COMPARED == 0 || name.eq_ignore_ascii_case(spec.name.as_bytes());
            return same.then_some(spec);
        }
        place = (place + 1) % PLACES;
    }
}

impl CommandSpec {
    /// Returns the subcommands.
    pub(crate) fn parts(&self) -> &'static [Self] {
        let (first, count) = (self.parts.0.into(), usize::from(self.parts.1));
        SUBCOMMANDS.get(first..first + count).unwrap_or_default()
    }

    /// Returns the subcommand of this name.
    pub(crate) fn part(&self, name: &[u8]) -> Option<&'static Self> {
        self.parts().iter().find(|part| {
            let own = &part.name[self.name.len() + 1..];
            name.eq_ignore_ascii_case(own.as_bytes())
        })
    }

    /// Returns the subcommand that the second argument names, or the command itself. A command without subcommands may
    /// have a key of such a name.
    pub(crate) fn with_part(&'static self, arguments: &[&[u8]]) -> &'static Self {
        let named = || arguments.get(1).and_then(|name| self.part(name));
        if self.kind == Kind::Container { named().unwrap_or(self) } else { self }
    }
}

/// Returns the subcommand of this name.
pub(crate) fn find_part(command: &[u8], name: &[u8]) -> Option<&'static CommandSpec> {
    find(command)?.part(name)
}

/// Returns each command, followed by its subcommands.
pub(crate) fn in_order() -> impl Iterator<Item = &'static CommandSpec> + Clone {
    COMMANDS.iter().flat_map(|spec| std::iter::once(spec).chain(spec.parts()))
}

/// Returns the command of this name, or the subcommand if the name contains a bar.
pub(crate) fn find_spec(name: &[u8]) -> Option<&'static CommandSpec> {
    match name.iter().position(|&byte| byte == b'|') {
        None => find(name),
        Some(bar) => find_part(&name[..bar], &name[bar + 1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_whatever_its_case() {
        for spec in COMMANDS {
            for name in [spec.name.to_owned(), spec.name.to_uppercase(), capitals_turn(spec.name)] {
                let found = find(name.as_bytes()).map(|found| found.id);
                assert_eq!(found, Some(spec.id), "{name}");
            }
        }
    }

    fn capitals_turn(name: &str) -> String {
        let execution = |(n, c): (usize, char)| if n % 2 == 0 { c.to_ascii_uppercase() } else { c };
        name.chars().enumerate().map(execution).collect()
    }

    #[test]
    fn similar_names_are_not_found() {
        for spec in COMMANDS {
            let name = spec.name.as_bytes();
            for at in 0..name.len() {
                for byte in 0..=u8::MAX {
                    let mut other = name.to_vec();
                    other[at] = byte;
                    let wanted =
                        COMMANDS.iter().find(|s| s.name.as_bytes().eq_ignore_ascii_case(&other));
                    let found = find(&other);
                    assert_eq!(found.map(|s| s.id), wanted.map(|s| s.id), "{other:?}");
                }
            }
            assert!(find(&name[1..]).is_none_or(|found| found.name.as_bytes() == &name[1..]));
            let twice = [name, name].concat();
            assert!(find(&twice).is_none());
        }
        assert!(find(b"").is_none());
        assert!(find(&[b'g'; 100]).is_none());
    }

    #[test]
    fn searches_are_short() {
        let probes = |spec: &CommandSpec| {
            let from = place(fold(spec.name.as_bytes()), spec.name.len());
            let n = COMMANDS.iter().position(|other| other.id == spec.id).unwrap();
            let at = BY_NAME
                .iter()
                .position(|&(_, m)| m != FREE && usize::from(m & !COMPARED) == n)
                .unwrap();
            (at + PLACES - from) % PLACES
        };
        assert_eq!(COMMANDS.iter().take(2).map(probes).sum::<usize>(), 0, "GET and SET");
        assert!(COMMANDS.iter().map(probes).max().unwrap() < 6);
    }
}
