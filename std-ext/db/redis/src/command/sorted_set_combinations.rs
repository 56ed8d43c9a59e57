//! Commands that combine sorted sets.

use crate::command::arguments::{ArgumentError, CommandError, NOT_AN_INTEGER, SYNTAX, is};
use crate::command::execute::Execution;
use crate::command::reply::{MissingKeyReply, ReplyKind, error_text};
use crate::command::rows::{Run, command};
use crate::command::set_combinations::read_limit;
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::command::table::keys::{ACCESS, KeyRange, KeyUse, OW, RO, UPDATE, key};
use hedgerow_db_engine::request::{
    Aggregate, Combination, CombinationQuery, MultiKeyOp, RequestError, Score, Scoring,
    SetOperation, ValueType,
};
use hedgerow_db_formats::number;
use hedgerow_db_formats::score;

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    command("zunion", -3, "readonly movablekeys", |e, a| {
        e.combine_sorted_sets(SetOperation::Union, "zunion", a)
    })
    .keys(&[key(1, RO | ACCESS).counted(1)])
    .since("6.2.0", Group::SortedSet)
    .syntax(
        "numkeys/integer key#0... [WEIGHTS weight/integer...] [AGGREGATE aggregate:<SUM|MIN|MAX>] \
         [withscores:WITHSCORES]",
    )
    .summary("Returns the members that any of several sorted sets has.")
    .takes_time("O(N+M log M), N members of all sorted sets, M of the result"),
    command("zunionstore", -4, "write denyoom movablekeys", |e, a| {
        e.store_sorted_sets(SetOperation::Union, "zunionstore", a)
    })
    .keys(&[key(1, OW | UPDATE), key(2, RO | ACCESS).counted(1)])
    .found_by(stored_keys)
    .since("2.0.0", Group::SortedSet)
    .syntax(
        "destination#0 numkeys/integer key#1... [WEIGHTS weight/integer...] \
         [AGGREGATE aggregate:<SUM|MIN|MAX>]",
    )
    .summary("Stores the members that any of several sorted sets has.")
    .takes_time("O(N+M log M), N members of all sorted sets, M of the result"),
    command("zinter", -3, "readonly movablekeys", |e, a| {
        e.combine_sorted_sets(SetOperation::Intersection, "zinter", a)
    })
    .keys(&[key(1, RO | ACCESS).counted(1)])
    .since("6.2.0", Group::SortedSet)
    .syntax(
        "numkeys/integer key#0... [WEIGHTS weight/integer...] [AGGREGATE aggregate:<SUM|MIN|MAX>] \
         [withscores:WITHSCORES]",
    )
    .summary("Returns the members that several sorted sets have in common.")
    .takes_time("O(N*K+M log M), N members of the smallest of K sorted sets, M of the result"),
    command("zinterstore", -4, "write denyoom movablekeys", |e, a| {
        e.store_sorted_sets(SetOperation::Intersection, "zinterstore", a)
    })
    .keys(&[key(1, OW | UPDATE), key(2, RO | ACCESS).counted(1)])
    .found_by(stored_keys)
    .since("2.0.0", Group::SortedSet)
    .syntax(
        "destination#0 numkeys/integer key#1... [WEIGHTS weight/integer...] \
         [AGGREGATE aggregate:<SUM|MIN|MAX>]",
    )
    .summary("Stores the members that several sorted sets have in common.")
    .takes_time("O(N*K+M log M), N members of the smallest of K sorted sets, M of the result"),
    command("zintercard", -3, "readonly movablekeys", |e, a| e.zintercard(a))
        .keys(&[key(1, RO | ACCESS).counted(1)])
        .since("7.0.0", Group::SortedSet)
        .syntax("numkeys/integer key#0... [LIMIT limit/integer]")
        .summary("Counts the members that several sorted sets have in common.")
        .takes_time("O(N*K), N members of the smallest of K sorted sets"),
    command("zdiff", -3, "readonly movablekeys", |e, a| {
        e.combine_sorted_sets(SetOperation::Difference, "zdiff", a)
    })
    .keys(&[key(1, RO | ACCESS).counted(1)])
    .since("6.2.0", Group::SortedSet)
    .syntax("numkeys/integer key#0... [withscores:WITHSCORES]")
    .summary("Returns the members that the first of several sorted sets has, and no other.")
    .takes_time("O(N*K+M log M), N members of the first of K sorted sets, M of the result"),
    command("zdiffstore", -4, "write denyoom movablekeys", |e, a| {
        e.store_sorted_sets(SetOperation::Difference, "zdiffstore", a)
    })
    .keys(&[key(1, OW | UPDATE), key(2, RO | ACCESS).counted(1)])
    .found_by(stored_keys)
    .since("6.2.0", Group::SortedSet)
    .syntax("destination#0 numkeys/integer key#1...")
    .summary("Stores the members that the first of several sorted sets has, and no other.")
    .takes_time("O(N*K+M log M), N members of the first of K sorted sets, M of the result"),
];

/// Returns the keys of ZUNIONSTORE and its like.
fn stored_keys(arguments: &[&[u8]]) -> KeyRange {
    KeyRange::counted(2, 1, arguments).and(Some((1, KeyUse(OW | UPDATE))))
}

/// What stands behind the keys.
struct Options {
    weights: Vec<Score>,
    aggregate: Aggregate,
    with_scores: bool,
    limit: usize,
}

/// What a command does with the members.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Show,
    Store,
    Count,
}

impl<'a> Execution<'_, 'a> {
    /// ZUNION, ZINTER and ZDIFF.
    fn combine_sorted_sets(
        &mut self,
        operation: SetOperation,
        name: &str,
        arguments: &[&'a [u8]],
    ) -> Result<(), CommandError> {
        let (keys, rest) = split_keys(name, &arguments[1..])?;
        let read = self.read_combination(operation, keys, (Purpose::Show, rest));
        let Some((combination, Options { with_scores, .. })) = read? else { return Ok(()) };
        let query = CombinationQuery::Members { with_scores, most: self.room() };
        let kind = if with_scores { ReplyKind::Scored } else { ReplyKind::Elements };
        self.batch.combine(combination, query, kind);
        Ok(())
    }

    /// ZUNIONSTORE, ZINTERSTORE and ZDIFFSTORE.
    fn store_sorted_sets(
        &mut self,
        operation: SetOperation,
        name: &str,
        arguments: &[&'a [u8]],
    ) -> Result<(), CommandError> {
        let (keys, rest) = split_keys(name, &arguments[2..])?;
        let read = self.read_combination(operation, keys, (Purpose::Store, rest));
        let Some((combination, _)) = read? else { return Ok(()) };
        let store = MultiKeyOp::StoreCombination(arguments[1], combination);
        self.batch.multi_key(store, ReplyKind::Integer);
        Ok(())
    }

    /// ZINTERCARD.
    fn zintercard(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let (keys, rest) = split_keys("zintercard", &arguments[1..])?;
        let (operation, purpose) = (SetOperation::Intersection, Purpose::Count);
        let read = self.read_combination(operation, keys, (purpose, rest));
        let Some((combination, Options { limit, .. })) = read? else { return Ok(()) };
        self.batch.combine(combination, CombinationQuery::Count { limit }, ReplyKind::Integer);
        Ok(())
    }

    /// Returns a combination and its options. If these are wrong, adds the reply for that: their error, unless a key
    /// has a value of another type, which `zunionInterDiffGenericCommand` looks at before.
    fn read_combination(
        &mut self,
        operation: SetOperation,
        keys: &[&'a [u8]],
        (purpose, rest): (Purpose, &[&'a [u8]]),
    ) -> Result<Option<(Combination<'a>, Options)>, CommandError> {
        let keys = self.keep(keys);
        let has_weights = operation != SetOperation::Difference && purpose != Purpose::Count;
        let weights = has_weights.then_some(keys.len());
        let (options, error) = match Options::read(weights, purpose, rest) {
            Ok(options) => (options, None),
            Err(error) => (Options::NONE, Some(error)),
        };
        let scoring =
            Scoring { weights: self.keep(&options.weights), aggregate: options.aggregate };
        let combination = Combination { operation, keys, scoring: Some(scoring) };
        let Some(error) = error else { return Ok(Some((combination, options))) };
        // The request only reads, so the database does not refuse it for memory.
        if purpose == Purpose::Store && self.lacks_memory() {
            return Err(error_text(RequestError::OutOfMemory).into());
        }
        let kind = ReplyKind::Refused(ValueType::SortedSet, error, MissingKeyReply::Error);
        self.batch.combine(combination, CombinationQuery::Types, kind);
        Ok(None)
    }
}

impl Options {
    const NONE: Self =
        Self { weights: Vec::new(), aggregate: Aggregate::Sum, with_scores: false, limit: 0 };

    /// Reads options. There are as many weights; `None` if the command has none.
    fn read(
        weights: Option<usize>,
        purpose: Purpose,
        mut rest: &[&[u8]],
    ) -> Result<Self, ArgumentError> {
        let mut options = Self::NONE;
        loop {
            rest = match (rest, weights) {
                ([], _) => return Ok(options),
                ([option, behind @ ..], Some(count))
                    if is(option, "weights") && behind.len() >= count =>
                {
                    let (numbers, behind) = behind.split_at(count);
                    let numbers: Option<Vec<Score>> =
                        numbers.iter().map(|text| Score::new(score::parse(text)?)).collect();
                    options.weights = numbers.ok_or(ArgumentError::Weight)?;
                    behind
                }
                ([option, name, behind @ ..], Some(_)) if is(option, "aggregate") => {
                    options.aggregate = aggregate(name).ok_or(ArgumentError::Syntax)?;
                    behind
                }
                ([option, behind @ ..], _)
                    if purpose == Purpose::Show && is(option, "withscores") =>
                {
                    options.with_scores = true;
                    behind
                }
                ([option, limit, behind @ ..], _)
                    if purpose == Purpose::Count && is(option, "limit") =>
                {
                    options.limit = read_limit(limit)?;
                    behind
                }
                _ => return Err(ArgumentError::Syntax),
            };
        }
    }
}

fn aggregate(name: &[u8]) -> Option<Aggregate> {
    let all = [("sum", Aggregate::Sum), ("min", Aggregate::Min), ("max", Aggregate::Max)];
    all.into_iter().find(|(other, _)| is(name, other)).map(|(_, aggregate)| aggregate)
}

/// The keys of a command, and the arguments behind them.
type KeysAndRest<'k, 'a> = (&'k [&'a [u8]], &'k [&'a [u8]]);

/// Splits the arguments of a command from the number of keys on into the keys and what is behind them.
fn split_keys<'k, 'a>(
    name: &str,
    arguments: &'k [&'a [u8]],
) -> Result<KeysAndRest<'k, 'a>, CommandError> {
    let count = number::integer(arguments[0]).ok_or(NOT_AN_INTEGER)?;
    if count < 1 {
        return Err(format!("ERR at least 1 input key is needed for '{name}' command").into());
    }
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    arguments[1..].split_at_checked(count).ok_or(SYNTAX)
}
