//! SORT and SORT_RO. Redis sorts lists, sets and sorted sets. No key of this database has one of them.
//!
//! The commands are here before those types, because their options, keys and rights are Redis's already: a missing key
//! gets the reply of an empty list, `STORE` deletes, and a string is of the wrong type.

use crate::command::arguments::{CommandError, NOT_AN_INTEGER, SYNTAX, is};
use crate::command::execute::Execution;
use crate::command::reply::{ReplyKind, error_text};
use crate::command::table;
use crate::request::{MultiKeyOp, Query, RequestError};
use crate::state::number;

impl<'a> Execution<'_, 'a> {
    /// SORT, and SORT_RO if `reads_only`. A missing key has no elements, so the result is empty; a string is an error.
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
