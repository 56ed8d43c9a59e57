//! SORT and SORT_RO. Redis sorts lists, sets and sorted sets. No key of this database has one of them.
//!
//! The commands are here before those types, because their options, keys and rights are Redis's already: a missing key
//! gets the reply of an empty list, `STORE` deletes, and a string or a hash is of the wrong type.

use crate::command::arguments::{CommandError, NOT_AN_INTEGER, SYNTAX, is};
use crate::command::execute::Execution;
use crate::command::reply::{ReplyKind, error_text};
use crate::command::rows::{Run, command};
use crate::command::table::groups::Group;
use crate::command::table::keys::{ACCESS, KeyRange, KeyUse, OW, RO, UPDATE, key, unknown};
use crate::command::table::{self, Row};
use crate::number;
use crate::request::{MultiKeyOp, Query, RequestError};

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    command("sort", -2, "write denyoom movablekeys", |e, a| e.sort(a, false))
        .keys(&[
            key(1, RO | ACCESS),
            unknown(RO | ACCESS).notes(
                "For the optional BY/GET keyword. It is marked 'unknown' because the key names \
            derive from the content of the key we sort",
            ),
            unknown(OW | UPDATE).notes(
                "For the optional STORE keyword. It is marked 'unknown' because the keyword \
            can appear anywhere in the argument array",
            ),
        ])
        .found_by(sorted_keys)
        .since("1.0.0", Group::Generic)
        .syntax(
            "key#0 [BY pattern/pattern#1] [LIMIT offset_count:(offset/integer \
            count/integer)] [GET pattern/pattern#1...+] [order:<ASC|DESC>] \
            [sorting:ALPHA] [STORE destination#2]",
        )
        .summary("Sorts the elements of a key. Strings and hashes have none.")
        .only_in("write set sortedset list slow dangerous"),
    command("sort_ro", -2, "readonly movablekeys", |e, a| e.sort(a, true))
        .keys(&[
            key(1, RO | ACCESS),
            unknown(RO | ACCESS).notes(
                "For the optional BY/GET keyword. It is marked 'unknown' because the key names \
            derive from the content of the key we sort",
            ),
        ])
        .since("7.0.0", Group::Generic)
        .syntax(
            "key#0 [BY pattern/pattern#1] [LIMIT offset_count:(offset/integer \
            count/integer)] [GET pattern/pattern#1...+] [order:<ASC|DESC>] [sorting:ALPHA]",
        )
        .summary("Sorts the elements of a key. Strings and hashes have none.")
        .only_in("read set sortedset list slow dangerous"),
];

impl<'a> Execution<'_, 'a> {
    /// SORT, and SORT_RO if `reads_only`. A missing key has no elements, so the result is empty; any value is an error.
    pub(super) fn sort(
        &mut self,
        arguments: &[&'a [u8]],
        reads_only: bool,
    ) -> Result<(), CommandError> {
        let (key, mut rest, mut to) = (arguments[1], &arguments[2..], None);
        let in_cluster = self.group().is_some();
        // Patterns of BY and GET name keys that no argument does.
        let reads_all = self.connection.is_unrestricted || {
            let spec = table::find(arguments[0]);
            spec.is_some_and(|spec| self.connection.user.reads_all_keys_with(spec, arguments))
        };
        loop {
            rest = match rest {
                [] => break,
                [option, rest @ ..] if ["asc", "desc", "alpha"].iter().any(|o| is(option, o)) => {
                    rest
                }
                [option, from, count, rest @ ..] if is(option, "limit") => {
                    if number::integer(from).is_none() || number::integer(count).is_none() {
                        return Err(NOT_AN_INTEGER);
                    }
                    rest
                }
                [option, destination, rest @ ..] if is(option, "store") && !reads_only => {
                    to = Some(*destination);
                    rest
                }
                [option, pattern, rest @ ..] if is(option, "by") => {
                    if in_cluster && pattern.contains(&b'*') {
                        return Err("ERR BY option of SORT denied in cluster mode.".into());
                    }
                    if !reads_all && pattern.contains(&b'*') {
                        let why = "BY option of SORT denied due to insufficient ACL permissions.";
                        return Err(format!("ERR {why}").into());
                    }
                    rest
                }
                [option, _, rest @ ..] if is(option, "get") => {
                    if in_cluster {
                        return Err("ERR GET option of SORT denied in cluster mode.".into());
                    }
                    if !reads_all {
                        let why = "GET option of SORT denied due to insufficient ACL permissions.";
                        return Err(format!("ERR {why}").into());
                    }
                    rest
                }
                _ => return Err(SYNTAX),
            };
        }
        match to {
            // Also without elements: STORE deletes the destination then (`sortCommandGeneric`).
            Some(to) => {
                self.batch.multi_key(MultiKeyOp::StoreSorted { from: key, to }, ReplyKind::Integer);
            }
            None if !reads_only && self.lacks_memory() => {
                return Err(error_text(RequestError::OutOfMemory).into());
            }
            None => self.batch.read(key, Query::Exists, ReplyKind::Sorted),
        }
        Ok(())
    }
}
/// The keys of SORT: the first argument, and the destination.
fn sorted_keys(arguments: &[&[u8]]) -> KeyRange {
    KeyRange::one(1).and(destination(arguments).map(|place| (place, KeyUse(OW | UPDATE))))
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
