//! Commands about lists.

use crate::command::arguments::{
    ArgumentError, CommandError, NOT_AN_INTEGER, SYNTAX, is, wrong_number,
};
use crate::command::execute::Execution;
use crate::command::reply::{MissingKeyReply, ReplyKind};
use crate::command::rows::{Run, command};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::command::table::keys::{ACCESS, DELETE, INSERT, RO, RW, UPDATE, key};
use hedgerow_db_engine::request::{
    Change, End, ListChange, ListQuery, MultiKeyOp, Popped, Query, ValueType,
};
use hedgerow_db_formats::number;

const NOT_POSITIVE: &str = "ERR value is out of range, must be positive";
const RANK_IS_ZERO: &str = "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
    negative to start from the end of the list";

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    command("rpush", -3, "write denyoom fast", |e, a| e.list_push(a, End::Back, false))
        .keys(&[key(1, RW | INSERT)])
        .since("1.0.0", Group::List)
        .syntax("key#0 element...")
        .summary("Appends one or more elements to a list.")
        .takes_time("O(N log M), N is the number of elements given, M that of the list"),
    command("lpush", -3, "write denyoom fast", |e, a| e.list_push(a, End::Front, false))
        .keys(&[key(1, RW | INSERT)])
        .since("1.0.0", Group::List)
        .syntax("key#0 element...")
        .summary("Adds one or more elements at the front of a list, one after the other.")
        .takes_time("O(N log M), N is the number of elements given, M that of the list"),
    command("rpushx", -3, "write denyoom fast", |e, a| e.list_push(a, End::Back, true))
        .keys(&[key(1, RW | INSERT)])
        .since("2.2.0", Group::List)
        .syntax("key#0 element...")
        .summary("Appends one or more elements to a list that exists.")
        .takes_time("O(N log M), N is the number of elements given, M that of the list"),
    command("lpushx", -3, "write denyoom fast", |e, a| e.list_push(a, End::Front, true))
        .keys(&[key(1, RW | INSERT)])
        .since("2.2.0", Group::List)
        .syntax("key#0 element...")
        .summary("Adds one or more elements at the front of a list that exists.")
        .takes_time("O(N log M), N is the number of elements given, M that of the list"),
    command("linsert", 5, "write denyoom", |e, a| {
        let before = match a[2] {
            place if is(place, "before") => true,
            place if is(place, "after") => false,
            _ => return Err(SYNTAX),
        };
        let insert = ListChange::Insert { before, pivot: a[3], element: a[4] };
        e.change(a[1], Change::List(insert), ReplyKind::Integer)
    })
    .keys(&[key(1, RW | INSERT)])
    .since("2.2.0", Group::List)
    .syntax("key#0 where:<BEFORE|AFTER> pivot element")
    .summary("Inserts an element before or after another one of a list.")
    .takes_time("O(N), N is the number of elements up to the other one"),
    command("llen", 2, "readonly fast", |e, a| {
        e.read(a[1], Query::List(ListQuery::Length), ReplyKind::Integer)
    })
    .keys(&[key(1, RO)])
    .since("1.0.0", Group::List)
    .syntax("key#0")
    .summary("Returns the length of a list."),
    command("lindex", 3, "readonly", |e, a| match number::integer(a[2]) {
        Some(index) => e.read(a[1], Query::List(ListQuery::Nth(index)), ReplyKind::Value),
        // `lindexCommand` looks for the key first.
        None => e.refuse_by_list(a[1], MissingKeyReply::Null),
    })
    .keys(&[key(1, RO | ACCESS)])
    .since("1.0.0", Group::List)
    .syntax("key#0 index/integer")
    .summary("Returns an element of a list by its index.")
    .takes_time("O(log N), N is the number of elements"),
    command("lset", 4, "write denyoom", |e, a| match number::integer(a[2]) {
        Some(index) => e.change(a[1], Change::List(ListChange::Set(index, a[3])), ReplyKind::Ok),
        None => e.refuse_by_list(a[1], MissingKeyReply::NoSuchKey),
    })
    .keys(&[key(1, RW | UPDATE)])
    .since("1.0.0", Group::List)
    .syntax("key#0 index/integer element")
    .summary("Replaces an element of a list by its index.")
    .takes_time("O(log N), N is the number of elements"),
    command("lpop", -2, "write fast", |e, a| e.list_pop(a, End::Front, "lpop"))
        .keys(&[key(1, RW | ACCESS | DELETE)])
        .since("1.0.0", Group::List)
        .syntax("key#0 [count/integer@6.2.0]")
        .summary("Removes and returns the first elements of a list.")
        .takes_time("O(N log M), N is the number of elements returned, M that of the list"),
    command("rpop", -2, "write fast", |e, a| e.list_pop(a, End::Back, "rpop"))
        .keys(&[key(1, RW | ACCESS | DELETE)])
        .since("1.0.0", Group::List)
        .syntax("key#0 [count/integer@6.2.0]")
        .summary("Removes and returns the last elements of a list.")
        .takes_time("O(N log M), N is the number of elements returned, M that of the list"),
    command("lrange", 4, "readonly", |e, a| {
        let (from, to) = (integer(a[2])?, integer(a[3])?);
        // A list may be long, so it is not read under a lock.
        let range = Query::List(ListQuery::Range { from, to, most: e.room() });
        e.batch.unlocked_read(a[1], range, ReplyKind::Elements);
        Ok(())
    })
    .keys(&[key(1, RO | ACCESS)])
    .since("1.0.0", Group::List)
    .syntax("key#0 start/integer stop/integer")
    .summary("Returns the elements of a list between two indices.")
    .takes_time("O(log M + N), N is the number of elements returned, M that of the list"),
    command("ltrim", 4, "write", |e, a| {
        let trim = ListChange::Trim(integer(a[2])?, integer(a[3])?);
        e.change(a[1], Change::List(trim), ReplyKind::Ok)
    })
    .keys(&[key(1, RW | DELETE)])
    .since("1.0.0", Group::List)
    .syntax("key#0 start/integer stop/integer")
    .summary("Removes all elements of a list but those between two indices.")
    .takes_time("O(log N), N is the number of elements"),
    command("lpos", -3, "readonly", |e, a| e.list_positions(a))
        .keys(&[key(1, RO | ACCESS)])
        .since("6.0.6", Group::List)
        .syntax(
            "key#0 element [RANK rank/integer] [COUNT num-matches/integer] [MAXLEN len/integer]",
        )
        .summary("Returns the index of elements of a list that equal another.")
        .takes_time("O(N), N is the number of elements compared"),
    command("lrem", 4, "write", |e, a| {
        let remove = ListChange::Remove { count: integer(a[2])?, element: a[3] };
        e.change(a[1], Change::List(remove), ReplyKind::Integer)
    })
    .keys(&[key(1, RW | DELETE)])
    .since("1.0.0", Group::List)
    .syntax("key#0 count/integer element")
    .summary("Removes the elements of a list that equal another.")
    .takes_time("O(N + M log N), N is the number of elements, M of those removed"),
    command("rpoplpush", 3, "write denyoom", |e, a| {
        e.list_move((a[1], End::Back), (a[2], End::Front));
        Ok(())
    })
    .keys(&[key(1, RW | ACCESS | DELETE), key(2, RW | INSERT)])
    .since("1.2.0", Group::List)
    .syntax("source#0 destination#1")
    .summary("Removes the last element of a list, adds it at the front of another and returns it.")
    .takes_time("O(log N), N is the number of elements"),
    command("lmove", 5, "write denyoom", |e, a| {
        let (take, put) = (end(a[3])?, end(a[4])?);
        e.list_move((a[1], take), (a[2], put));
        Ok(())
    })
    .keys(&[key(1, RW | ACCESS | DELETE), key(2, RW | INSERT)])
    .since("6.2.0", Group::List)
    .syntax("source#0 destination#1 wherefrom:<LEFT|RIGHT> whereto:<LEFT|RIGHT>")
    .summary("Removes an element at an end of a list, adds it at an end of another and returns it.")
    .takes_time("O(log N), N is the number of elements"),
    command("lmpop", -4, "write movablekeys", |e, a| {
        let pop = PopArguments::read(a, 1, end)?;
        e.pop_first(pop.keys, Popped::List(pop.what), pop.count, ReplyKind::Popped);
        Ok(())
    })
    .keys(&[key(1, RW | ACCESS | DELETE).counted(1)])
    .since("7.0.0", Group::List)
    .syntax("numkeys/integer key#0... where:<LEFT|RIGHT> [COUNT count/integer]")
    .summary("Removes and returns elements of the first of several lists that has any.")
    .takes_time(
        "O(N + M log L), N is the number of keys, M of elements returned, L that of the list",
    ),
];

/// Reads the name of an end of a list.
pub(super) fn end(name: &[u8]) -> Result<End, CommandError> {
    match name {
        name if is(name, "left") => Ok(End::Front),
        name if is(name, "right") => Ok(End::Back),
        _ => Err(SYNTAX),
    }
}

fn integer(argument: &[u8]) -> Result<i64, CommandError> {
    number::integer(argument).ok_or(NOT_AN_INTEGER)
}

/// Reads a number that is not negative.
fn natural(argument: &[u8]) -> Option<usize> {
    number::integer(argument).and_then(|number| usize::try_from(number).ok())
}

/// The arguments of a command that pops from the first of several keys that has elements, from the number of keys on.
pub(super) struct PopArguments<'s, 'a, W> {
    pub(super) keys: &'s [&'a [u8]],
    /// Which elements.
    pub(super) what: W,
    pub(super) count: usize,
}

impl<'s, 'a, W> PopArguments<'s, 'a, W> {
    /// Reads `numkeys key ... WHAT [COUNT count]`, where the number is the argument `at`.
    pub(super) fn read(
        arguments: &'s [&'a [u8]],
        at: usize,
        what: impl FnOnce(&[u8]) -> Result<W, CommandError>,
    ) -> Result<Self, CommandError> {
        let keys = number::integer(arguments[at]).filter(|keys| *keys > 0);
        let keys = keys.ok_or("ERR numkeys should be greater than 0")?;
        let keys = usize::try_from(keys).ok();
        let split = keys.and_then(|keys| arguments[at + 1..].split_at_checked(keys));
        let Some((keys, [named, rest @ ..])) = split else { return Err(SYNTAX) };
        let (what, mut count) = (what(named)?, 1);
        match rest {
            [] => {}
            [option, number, rest @ ..] if is(option, "count") => {
                let number = natural(number).filter(|count| *count > 0);
                count = number.ok_or("ERR count should be greater than 0")?;
                // Once, which Redis notices behind the number.
                if !rest.is_empty() {
                    return Err(SYNTAX);
                }
            }
            _ => return Err(SYNTAX),
        }
        Ok(Self { keys, what, count })
    }
}

impl<'a> Execution<'_, 'a> {
    /// LPUSH, RPUSH, LPUSHX and RPUSHX.
    fn list_push(
        &mut self,
        arguments: &[&'a [u8]],
        end: End,
        if_present: bool,
    ) -> Result<(), CommandError> {
        let elements = self.keep(&arguments[2..]);
        let push = ListChange::Push { end, elements, if_present };
        self.change(arguments[1], Change::List(push), ReplyKind::Integer)
    }

    /// LPOP and RPOP.
    fn list_pop(
        &mut self,
        arguments: &[&'a [u8]],
        end: End,
        name: &'static str,
    ) -> Result<(), CommandError> {
        let most = self.room();
        let (count, kind) = match &arguments[2..] {
            [] => (None, ReplyKind::Value),
            [count] => (Some(natural(count).ok_or(NOT_POSITIVE)?), ReplyKind::ElementsOrNull),
            _ => return Err(wrong_number(name)),
        };
        self.change(arguments[1], Change::List(ListChange::Pop { end, count, most }), kind)
    }

    /// RPOPLPUSH and LMOVE.
    fn list_move(&mut self, (from, take): (&'a [u8], End), (to, put): (&'a [u8], End)) {
        let op = MultiKeyOp::MoveElement { from, take, to, put };
        self.batch.multi_key(op, ReplyKind::Value);
    }

    /// LMPOP, and ZMPOP.
    pub(super) fn pop_first(
        &mut self,
        keys: &[&'a [u8]],
        popped: Popped,
        count: usize,
        kind: ReplyKind,
    ) {
        let op = MultiKeyOp::PopFirst { keys: self.keep(keys), popped, count, most: self.room() };
        self.batch.multi_key(op, kind);
    }

    /// LPOS.
    fn list_positions(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let (mut rank, mut count, mut compared, mut rest) = (1, None, 0, &arguments[3..]);
        loop {
            rest = match rest {
                [] => break,
                [option, number, rest @ ..] if is(option, "rank") => {
                    // The least number stays negative when `lposCommand` negates it, and finds the last element.
                    rank = Some(integer(number)?).filter(|rank| *rank != i64::MIN).unwrap_or(-1);
                    if rank == 0 {
                        return Err(RANK_IS_ZERO.into());
                    }
                    rest
                }
                [option, number, rest @ ..] if is(option, "count") => {
                    count = Some(natural(number).ok_or("ERR COUNT can't be negative")?);
                    rest
                }
                [option, number, rest @ ..] if is(option, "maxlen") => {
                    compared = natural(number).ok_or("ERR MAXLEN can't be negative")?;
                    rest
                }
                _ => return Err(SYNTAX),
            };
        }
        let kind = if count.is_some() { ReplyKind::Integers } else { ReplyKind::FirstInteger };
        let positions = ListQuery::Positions {
            element: arguments[2],
            rank,
            count: count.unwrap_or(1),
            compared,
            most: self.room(),
        };
        self.batch.long_read(arguments[1], Query::List(positions), kind);
        Ok(())
    }

    /// Replies that an index is no integer, if the key has a list.
    fn refuse_by_list(
        &mut self,
        key: &'a [u8],
        missing: MissingKeyReply,
    ) -> Result<(), CommandError> {
        self.refuse_by_key(key, ValueType::List, ArgumentError::NotAnInteger, missing)
    }
}
