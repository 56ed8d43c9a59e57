//! How a command uses each of its keys.

use crate::command::arguments::is;
use crate::command::key_places::{counted_keys, places};
use crate::command::table::{CommandSpec, Id};

/// How a command uses a key: the flags of Redis's key specifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::command) struct KeyUse(u8);

const RO: u8 = 1;
const RW: u8 = 1 << 1;
const OW: u8 = 1 << 2;
const RM: u8 = 1 << 3;
const ACCESS: u8 = 1 << 4;
const UPDATE: u8 = 1 << 5;
const INSERT: u8 = 1 << 6;
const DELETE: u8 = 1 << 7;

/// The flags and their names, in Redis's order.
const NAMES: [(u8, &str); 8] = [
    (RO, "RO"),
    (RW, "RW"),
    (OW, "OW"),
    (RM, "RM"),
    (ACCESS, "access"),
    (UPDATE, "update"),
    (INSERT, "insert"),
    (DELETE, "delete"),
];

impl KeyUse {
    /// Returns whether the value can reach the client, or another key.
    pub(super) fn reads(self) -> bool {
        self.0 & ACCESS != 0
    }

    /// Returns whether the key or its value changes.
    pub(super) fn writes(self) -> bool {
        self.0 & (UPDATE | INSERT | DELETE) != 0
    }

    /// Returns the names of the flags.
    pub(in crate::command) fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        NAMES.into_iter().filter(move |(flag, _)| self.0 & flag != 0).map(|(_, name)| name)
    }
}

/// Returns whether a command has keys at all.
pub(in crate::command) fn has_keys(spec: &CommandSpec) -> bool {
    // Channels of slots stand at the places of keys.
    let has_channels = matches!(spec.id, Id::SSubscribe | Id::SUnsubscribe | Id::SPublish);
    (spec.keys.0 != 0 || spec.counts_keys()) && !has_channels
}

/// Returns the places of a command's keys among its arguments, and how it uses each. `spec` is the subcommand if the
/// command has one.
pub(in crate::command) fn keys<'k>(
    spec: &'k CommandSpec,
    arguments: &'k [&[u8]],
) -> impl Iterator<Item = (usize, KeyUse)> + Clone + use<'k> {
    let counted = if spec.counts_keys() { 3..3 + counted_keys(arguments).len() } else { 0..0 };
    let placed = (has_keys(spec) && !spec.counts_keys()).then(|| places(spec, arguments));
    let all = counted.chain(placed.into_iter().flatten());
    all.filter(|place| *place < arguments.len())
        .map(|place| (place, key_use(spec, arguments, place)))
}

/// Returns how a command uses the key at this place if its options change nothing about that.
pub(in crate::command) fn use_at(spec: &CommandSpec, place: usize) -> KeyUse {
    key_use(spec, &[&b"x"[..]; 16], place)
}

/// Returns how a command uses the key at this place.
fn key_use(spec: &CommandSpec, arguments: &[&[u8]], place: usize) -> KeyUse {
    let flags = match spec.id {
        Id::Append | Id::PfAdd => RW | INSERT,
        Id::Set if SET_READS.iter().any(|name| has_option(arguments, name)) => RW | ACCESS | UPDATE,
        Id::BitField if !bitfield_reads_only(arguments) => RW | ACCESS | UPDATE,
        Id::Set | Id::SetEx | Id::PSetEx | Id::MSet | Id::MSetEx | Id::Restore => OW | UPDATE,
        Id::SetNx | Id::MSetNx => OW | INSERT,
        // Destinations.
        Id::BitOp | Id::Copy | Id::Rename if place == 2 => OW | UPDATE,
        Id::Sort if place != 1 => OW | UPDATE,
        Id::RenameNx if place == 2 => OW | INSERT,
        Id::PfMerge if place == 1 => RW | ACCESS | INSERT,
        Id::Rename | Id::RenameNx | Id::GetDel | Id::DelIfEq | Id::Migrate => RW | ACCESS | DELETE,
        // Without a condition it is DEL. The reply with one tells whether the value is the given one.
        Id::DelEx if arguments.len() > 2 => RW | ACCESS | DELETE,
        Id::Del | Id::DelEx | Id::Unlink => RM | DELETE,
        Id::Expire | Id::PExpire | Id::ExpireAt | Id::PExpireAt | Id::Persist | Id::SetRange => {
            RW | UPDATE
        }
        Id::PfCount => RW | ACCESS,
        // They tell that a key exists and how long its value is, not the value.
        Id::Exists | Id::Touch | Id::StrLen | Id::Type | Id::Watch | Id::Object | Id::Memory => RO,
        Id::BitCount
        | Id::BitField
        | Id::BitFieldRo
        | Id::BitOp
        | Id::BitPos
        | Id::Copy
        | Id::Digest
        | Id::Dump
        | Id::EvalRo
        | Id::EvalShaRo
        | Id::ExpireTime
        | Id::Get
        | Id::GetBit
        | Id::GetRange
        | Id::Lcs
        | Id::MGet
        | Id::PExpireTime
        | Id::PfMerge
        | Id::PTtl
        | Id::Sort
        | Id::SortRo
        | Id::Substr
        | Id::Ttl => RO | ACCESS,
        // Also the commands that are not named here: they need all rights to their keys.
        _ => RW | ACCESS | UPDATE,
    };
    KeyUse(flags)
}

/// The options of SET whose replies show the value, or tell whether it is the given one.
const SET_READS: [&str; 5] = ["get", "ifeq", "ifne", "ifdeq", "ifdne"];

/// Returns whether an argument behind the value of SET is this option. As in Redis, it may also be the value of
/// another.
fn has_option(arguments: &[&[u8]], name: &str) -> bool {
    arguments.iter().skip(3).any(|option| is(option, name))
}

/// Returns whether a BITFIELD has no other operations than GET. One that is malformed counts as a change.
fn bitfield_reads_only(arguments: &[&[u8]]) -> bool {
    let mut rest = arguments.get(2..).unwrap_or_default();
    loop {
        rest = match rest {
            [] => return true,
            [option, _, _, rest @ ..] if is(option, "get") => rest,
            [option, _, rest @ ..] if is(option, "overflow") => rest,
            _ => return false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::flags::Flag;
    use crate::command::table::COMMANDS;

    /// A new command must say how it uses its keys. The words of its flags tell reads from changes.
    #[test]
    fn the_use_of_keys_agrees_with_the_flags() {
        for spec in COMMANDS.iter().filter(|spec| has_keys(spec)) {
            // Enough words for every command; the third is a number, for commands that count their keys.
            let words: Vec<&[u8]> = [spec.name, "1", "1", "a", "b"].map(str::as_bytes).to_vec();
            let uses: Vec<KeyUse> = keys(spec, &words).map(|(_, key_use)| key_use).collect();
            assert!(!uses.is_empty(), "{} has no keys", spec.name);
            let changes = spec.has_flag(Flag::Write) || matches!(spec.id, Id::Eval | Id::EvalSha);
            // SORT stores only with an option.
            if spec.id != Id::Sort {
                assert_eq!(
                    uses.iter().any(|one| one.writes()),
                    changes,
                    "{} changes keys",
                    spec.name
                );
            }
        }
    }
}
