//! Commands that combine sets.

use crate::command::arguments::{ArgumentError, CommandError, SYNTAX, is};
use crate::command::execute::Execution;
use crate::command::reply::ReplyKind;
use crate::command::rows::{Run, command};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::command::table::keys::{ACCESS, OW, RO, RW, UPDATE, key};
use hedgerow_db_engine::request::{Combination, CombinationQuery, MultiKeyOp, SetOperation};
use hedgerow_db_formats::number;

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    command("sinter", -2, "readonly", |e, a| e.combine_sets(SetOperation::Intersection, &a[1..]))
        .keys(&[key(1, RO | ACCESS).to(-1, 1)])
        .since("1.0.0", Group::Set)
        .syntax("key#0...")
        .summary("Returns the members that several sets have in common.")
        .takes_time("O(N*M log L), N members of the smallest of M sets, L of the largest")
        .tips("nondeterministic_output_order"),
    command("sintercard", -3, "readonly movablekeys", |e, a| e.sintercard(a))
        .keys(&[key(1, RO | ACCESS).counted(1)])
        .since("7.0.0", Group::Set)
        .syntax("numkeys/integer key#0... [LIMIT limit/integer]")
        .summary("Counts the members that several sets have in common.")
        .takes_time("O(N*M log L), N members of the smallest of M sets, L of the largest"),
    command("sinterstore", -3, "write denyoom", |e, a| e.store_sets(SetOperation::Intersection, a))
        .keys(&[key(1, RW | UPDATE), key(2, RO | ACCESS).to(-1, 1)])
        .since("1.0.0", Group::Set)
        .syntax("destination#0 key#1...")
        .summary("Stores the members that several sets have in common.")
        .takes_time("O(N*M log L), N members of the smallest of M sets, L of the largest"),
    command("sunion", -2, "readonly", |e, a| e.combine_sets(SetOperation::Union, &a[1..]))
        .keys(&[key(1, RO | ACCESS).to(-1, 1)])
        .since("1.0.0", Group::Set)
        .syntax("key#0...")
        .summary("Returns the members that any of several sets has.")
        .takes_time("O(N log N), N is the number of members of all sets")
        .tips("nondeterministic_output_order"),
    command("sunionstore", -3, "write denyoom", |e, a| e.store_sets(SetOperation::Union, a))
        .keys(&[key(1, OW | UPDATE), key(2, RO | ACCESS).to(-1, 1)])
        .since("1.0.0", Group::Set)
        .syntax("destination#0 key#1...")
        .summary("Stores the members that any of several sets has.")
        .takes_time("O(N log N), N is the number of members of all sets"),
    command("sdiff", -2, "readonly", |e, a| e.combine_sets(SetOperation::Difference, &a[1..]))
        .keys(&[key(1, RO | ACCESS).to(-1, 1)])
        .since("1.0.0", Group::Set)
        .syntax("key#0...")
        .summary("Returns the members that the first of several sets has, and no other.")
        .takes_time("O(N*M log L), N members of the first of M sets, L of the largest")
        .tips("nondeterministic_output_order"),
    command("sdiffstore", -3, "write denyoom", |e, a| e.store_sets(SetOperation::Difference, a))
        .keys(&[key(1, OW | UPDATE), key(2, RO | ACCESS).to(-1, 1)])
        .since("1.0.0", Group::Set)
        .syntax("destination#0 key#1...")
        .summary("Stores the members that the first of several sets has, and no other.")
        .takes_time("O(N*M log L), N members of the first of M sets, L of the largest"),
];

impl<'a> Execution<'_, 'a> {
    /// SINTER, SUNION and SDIFF.
    fn combine_sets(
        &mut self,
        operation: SetOperation,
        keys: &[&'a [u8]],
    ) -> Result<(), CommandError> {
        let combination = Combination { operation, keys: self.keep(keys), scoring: None };
        let query = CombinationQuery::Members { with_scores: false, most: self.room() };
        self.batch.combine(combination, query, ReplyKind::Members);
        Ok(())
    }

    /// SINTERSTORE, SUNIONSTORE and SDIFFSTORE.
    fn store_sets(
        &mut self,
        operation: SetOperation,
        arguments: &[&'a [u8]],
    ) -> Result<(), CommandError> {
        let keys = self.keep(&arguments[2..]);
        let combination = Combination { operation, keys, scoring: None };
        let store = MultiKeyOp::StoreCombination(arguments[1], combination);
        self.batch.multi_key(store, ReplyKind::Integer);
        Ok(())
    }

    /// SINTERCARD.
    fn sintercard(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let count = number::integer(arguments[1]).and_then(|count| usize::try_from(count).ok());
        let count = count.filter(|count| *count > 0);
        let count = count.ok_or("ERR numkeys should be greater than 0")?;
        let Some((keys, mut rest)) = arguments[2..].split_at_checked(count) else {
            return Err("ERR Number of keys can't be greater than number of args".into());
        };
        let mut limit = 0;
        while let [option, value, behind @ ..] = rest {
            if !is(option, "limit") {
                return Err(SYNTAX);
            }
            (limit, rest) = (read_limit(value)?, behind);
        }
        if !rest.is_empty() {
            return Err(SYNTAX);
        }
        let (operation, keys) = (SetOperation::Intersection, self.keep(keys));
        let combination = Combination { operation, keys, scoring: None };
        self.batch.combine(combination, CombinationQuery::Count { limit }, ReplyKind::Integer);
        Ok(())
    }
}

/// Reads the limit of SINTERCARD or ZINTERCARD; 0 is none.
pub(super) fn read_limit(text: &[u8]) -> Result<usize, ArgumentError> {
    let limit = number::integer(text).and_then(|limit| usize::try_from(limit).ok());
    limit.ok_or(ArgumentError::Limit)
}
