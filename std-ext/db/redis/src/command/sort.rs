//! SORT and SORT_RO: the elements of a list, a set or a sorted set in another order.

use crate::command::arguments::{CommandError, NOT_AN_INTEGER, SYNTAX, is};
use crate::command::execute::Execution;
use crate::command::reply::{ReplyKind, error_text};
use crate::command::rows::{Run, command};
use crate::command::table::groups::Group;
use crate::command::table::keys::{ACCESS, KeyRange, KeyUse, OW, RO, UPDATE, key, unknown};
use crate::command::table::{self, Row};
#[cfg(feature = "scripts")]
use crate::command::table::{CommandSpec, Id};
use hedgerow_db_engine::request::{MultiKeyOp, Query, RequestError, Sort, SortBy};
use hedgerow_db_formats::number;

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
        .summary("Sorts the elements of a list, a set or a sorted set.")
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
        .summary("Sorts the elements of a list, a set or a sorted set.")
        .only_in("read set sortedset list slow dangerous"),
];

impl<'a> Execution<'_, 'a> {
    /// SORT, and SORT_RO if `reads_only`.
    pub(super) fn sort(
        &mut self,
        arguments: &[&'a [u8]],
        reads_only: bool,
    ) -> Result<(), CommandError> {
        let key = arguments[1];
        let SortArguments { mut sort, answered, to } =
            self.sort_arguments(arguments, reads_only)?;
        (sort.answered, sort.most) = (self.keep(&answered), self.room());
        sort.repeatable = to.is_some() || self.in_script;
        if to.is_none() && !reads_only && self.lacks_memory() {
            return Err(error_text(RequestError::OutOfMemory).into());
        }
        match to {
            None if !sort.names_keys() => {
                self.batch.long_read(key, Query::Sort(sort), ReplyKind::Elements);
            }
            None => {
                let op = MultiKeyOp::Sort { from: key, to, sort };
                self.batch.multi_key(op, ReplyKind::Elements);
            }
            Some(_) => {
                let op = MultiKeyOp::Sort { from: key, to, sort };
                self.batch.multi_key(op, ReplyKind::Integer);
            }
        }
        Ok(())
    }

    fn sort_arguments(
        &self,
        arguments: &[&'a [u8]],
        reads_only: bool,
    ) -> Result<SortArguments<'a>, CommandError> {
        let in_cluster = self.group().is_some();
        // Patterns of BY and GET name keys that no argument does.
        let reads_all = self.connection.is_unrestricted || {
            let spec = table::find(arguments[0]);
            spec.is_some_and(|spec| self.connection.user.reads_all_keys_with(spec, arguments))
        };
        let mut read = SortArguments::default();
        let mut rest = &arguments[2..];
        loop {
            rest = match rest {
                [] => return Ok(read),
                [option, rest @ ..] if is(option, "asc") => {
                    read.sort.descending = false;
                    rest
                }
                [option, rest @ ..] if is(option, "desc") => {
                    read.sort.descending = true;
                    rest
                }
                [option, rest @ ..] if is(option, "alpha") => {
                    read.sort.by_bytes = true;
                    rest
                }
                [option, from, count, rest @ ..] if is(option, "limit") => {
                    let (from, count) = (number::integer(from), number::integer(count));
                    read.sort.limit = Some(from.zip(count).ok_or(NOT_AN_INTEGER)?);
                    rest
                }
                [option, destination, rest @ ..] if is(option, "store") && !reads_only => {
                    read.to = Some(*destination);
                    rest
                }
                [option, pattern, rest @ ..] if is(option, "by") => {
                    read.sort.by = if pattern.contains(&b'*') {
                        if in_cluster {
                            return Err("ERR BY option of SORT denied in cluster mode.".into());
                        }
                        if !reads_all {
                            let why =
                                "BY option of SORT denied due to insufficient ACL permissions.";
                            return Err(format!("ERR {why}").into());
                        }
                        SortBy::Pattern(pattern)
                    } else {
                        SortBy::OwnOrder
                    };
                    rest
                }
                [option, pattern, rest @ ..] if is(option, "get") => {
                    if in_cluster {
                        return Err("ERR GET option of SORT denied in cluster mode.".into());
                    }
                    if !reads_all {
                        let why = "GET option of SORT denied due to insufficient ACL permissions.";
                        return Err(format!("ERR {why}").into());
                    }
                    read.answered.push(*pattern);
                    rest
                }
                _ => return Err(SYNTAX),
            };
        }
    }
}

/// The options of SORT.
struct SortArguments<'a> {
    sort: Sort<'a>,
    /// The patterns of GET.
    answered: Vec<&'a [u8]>,
    to: Option<&'a [u8]>,
}

impl Default for SortArguments<'_> {
    fn default() -> Self {
        let sort = Sort {
            by: SortBy::Element,
            repeatable: false,
            by_bytes: false,
            descending: false,
            limit: None,
            answered: &[],
            most: 0,
        };
        Self { sort, answered: Vec::new(), to: None }
    }
}

/// Returns whether SORT or SORT_RO with these arguments reads keys whose names depend on the elements.
#[cfg(feature = "scripts")]
pub(super) fn names_keys(spec: &CommandSpec, arguments: &[&[u8]]) -> bool {
    let is_pattern =
        |pair: &[&[u8]]| (is(pair[0], "by") || is(pair[0], "get")) && pair[1].contains(&b'*');
    matches!(spec.id, Id::SORT | Id::SORT_RO) && arguments[2..].windows(2).any(is_pattern)
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
