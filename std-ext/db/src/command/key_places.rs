//! The places of keys among the arguments of a command.

use crate::command::arguments::is;
use crate::command::table::{CommandSpec, Id};
use crate::state::number;

/// Returns the keys of EVAL and the like, whose number is an argument; none if it is invalid.
pub(super) fn counted_keys<'k, 'a>(arguments: &'k [&'a [u8]]) -> &'k [&'a [u8]] {
    let rest = arguments.get(3..).unwrap_or_default();
    let count = arguments.get(2).and_then(|count| number::integer(count)).unwrap_or(0);
    usize::try_from(count).ok().and_then(|count| rest.get(..count)).unwrap_or_default()
}

/// Returns the positions of the keys among these arguments.
pub(super) fn places(
    spec: &CommandSpec,
    arguments: &[&[u8]],
) -> impl Iterator<Item = usize> + Clone + use<> {
    let (first, last, step) = spec.keys;
    let place = |place: i8| usize::from(place.unsigned_abs());
    let last = if last < 0 { arguments.len().saturating_sub(place(last)) } else { place(last) };
    let listed = if spec.id == Id::Migrate { listed_keys(arguments) } else { None };
    let (first, last) = listed.map_or((place(first), last), |at| (at, arguments.len() - 1));
    let (last, step) = match spec.id {
        Id::MSetEx => (2 * counted_pairs(arguments), 2),
        _ => (last, step),
    };
    let other = if spec.id == Id::Sort { destination(arguments) } else { None };
    (first..=last).step_by(place(step).max(1)).chain(other)
}

/// Returns how many keys and values MSETEX has; 0 if the number is invalid.
fn counted_pairs(arguments: &[&[u8]]) -> usize {
    let count = arguments.get(1).and_then(|count| number::integer(count)).unwrap_or(0);
    let most = arguments.len().saturating_sub(2) / 2;
    usize::try_from(count).ok().filter(|count| *count <= most).unwrap_or(0)
}

/// Returns the position of the key at which SORT stores the result. As Redis does, it finds one even if another
/// argument is wrong.
fn destination(arguments: &[&[u8]]) -> Option<usize> {
    let (mut at, mut found) = (2, None);
    while let Some(option) = arguments.get(at) {
        at += match option {
            option if is(option, "limit") => 3,
            option if is(option, "get") || is(option, "by") => 2,
            option if is(option, "store") && at + 1 < arguments.len() => {
                found = Some(at + 1);
                2
            }
            _ => 1,
        };
    }
    found
}

/// Returns where the keys behind the word KEYS of MIGRATE begin. If the key before the options is not empty, the
/// command is wrong, and has none.
fn listed_keys(arguments: &[&[u8]]) -> Option<usize> {
    let mut at = 6;
    loop {
        at += match arguments.get(at)? {
            option if is(option, "keys") => break,
            option if is(option, "auth") => 2,
            option if is(option, "auth2") => 3,
            _ => 1,
        };
    }
    Some(if arguments[3].is_empty() { at + 1 } else { arguments.len() })
}
