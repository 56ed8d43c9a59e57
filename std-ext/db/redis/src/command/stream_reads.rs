//! XREAD and XREADGROUP.

use crate::command::arguments::{CommandError, NOT_AN_INTEGER, SYNTAX, is};
use crate::command::blocking::deadline_after;
use crate::command::execute::Execution;
use crate::command::reply::ReplyKind;
use crate::command::rows::{Run, command};
use crate::command::stream_arguments::position;
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::command::table::keys::{ACCESS, KeyRange, RO, key};
use hedgerow_db_engine::request::{
    Change, GroupAction, GroupChange, MultiKeyOp, Query, ReadFrom, StreamChange, StreamQuery,
};
use hedgerow_db_formats::number;

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    command("xread", -4, "readonly blocking movablekeys", |e, a| e.xread(a))
        .keys(&[key(0, RO | ACCESS).behind("STREAMS", 1).to(-1, 1).first_of(2)])
        .found_by(stream_keys)
        .since("5.0.0", Group::Stream)
        .syntax(
            "[COUNT count/integer] [BLOCK milliseconds/integer] STREAMS streams:(key#0... id...)",
        )
        .summary("Returns the entries of streams after an ID each.")
        .takes_time(
            "O(log N + M) for each stream, N is the number of entries, M of those returned",
        ),
    command("xreadgroup", -7, "write blocking movablekeys", |e, a| e.xreadgroup(a))
        .keys(&[key(0, RO | ACCESS).behind("STREAMS", 4).to(-1, 1).first_of(2)])
        .found_by(stream_keys)
        .since("5.0.0", Group::Stream)
        .syntax(
            "GROUP group_consumer:(group consumer) [COUNT count/integer] [BLOCK \
             milliseconds/integer] [NOACK] STREAMS streams:(key#0... id...)",
        )
        .summary("Delivers the entries of streams to a consumer of a group.")
        .takes_time("O(M log N) for each stream, N is the number of entries, M of those returned"),
];

/// Returns the keys of XREAD and XREADGROUP: the first half of the arguments behind STREAMS.
fn stream_keys(arguments: &[&[u8]]) -> KeyRange {
    let mut at = 1;
    while let Some(option) = arguments.get(at) {
        at += match option {
            option if is(option, "streams") => {
                let behind = arguments.len() - at - 1;
                if behind == 0 || !behind.is_multiple_of(2) {
                    break;
                }
                return KeyRange::between(at + 1, at + 1 + behind / 2);
            }
            option if is(option, "block") || is(option, "count") => 2,
            option if is(option, "group") => 3,
            option if is(option, "noack") => 1,
            _ => break,
        };
    }
    KeyRange::none()
}

/// The arguments of XREAD and XREADGROUP.
struct ReadArguments<'s, 'a> {
    group: Option<(&'a [u8], &'a [u8])>,
    no_ack: bool,
    count: Option<u64>,
    /// For how many milliseconds it waits; 0 for ever.
    block: Option<u64>,
    keys: &'s [&'a [u8]],
    ids: &'s [&'a [u8]],
}

impl<'s, 'a> ReadArguments<'s, 'a> {
    fn read(
        all: &'s [&'a [u8]],
        (of_group, in_script): (bool, bool),
    ) -> Result<Self, CommandError> {
        let mut this =
            Self { group: None, no_ack: false, count: None, block: None, keys: &[], ids: &[] };
        let mut rest = &all[1..];
        while let Some((option, behind)) = rest.split_first() {
            rest = match (option, behind) {
                (option, [time, behind @ ..]) if is(option, "block") => {
                    if in_script {
                        return Err(not_from_scripts(all[0]));
                    }
                    let time = number::integer(time)
                        .ok_or("ERR timeout is not an integer or out of range")?;
                    this.block = Some(time.try_into().map_err(|_| "ERR timeout is negative")?);
                    behind
                }
                (option, [count, behind @ ..]) if is(option, "count") => {
                    let count = number::integer(count).ok_or(NOT_AN_INTEGER)?;
                    this.count = u64::try_from(count).ok().filter(|count| *count > 0);
                    behind
                }
                (option, [_, ..]) if is(option, "streams") => {
                    if behind.len() % 2 != 0 {
                        return Err(UNBALANCED.into());
                    }
                    (this.keys, this.ids) = behind.split_at(behind.len() / 2);
                    break;
                }
                (option, [group, consumer, behind @ ..]) if is(option, "group") => {
                    if !of_group {
                        return Err(only_of_groups("GROUP"));
                    }
                    this.group = Some((group, consumer));
                    behind
                }
                (option, behind) if is(option, "noack") => {
                    if !of_group {
                        return Err(only_of_groups("NOACK"));
                    }
                    this.no_ack = true;
                    behind
                }
                _ => return Err(SYNTAX),
            };
        }
        if this.keys.is_empty() {
            return Err(SYNTAX);
        }
        if of_group && this.group.is_none() {
            return Err("ERR Missing GROUP option for XREADGROUP".into());
        }
        Ok(this)
    }

    /// Returns from where on each stream is read.
    fn positions(&self) -> Vec<ReadFrom> {
        let of_group = self.group.is_some();
        let of = |id: &&[u8]| match *id {
            b"$" if of_group => ReadFrom::Refused(DOLLAR_OF_GROUP),
            b">" if !of_group => ReadFrom::Refused(NEW_WITHOUT_GROUP),
            b"$" | b">" => ReadFrom::New,
            id => position(id),
        };
        self.ids.iter().map(of).collect()
    }
}

const UNBALANCED: &str = "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' \
    must be specified.";
const DOLLAR_OF_GROUP: &str = "ERR The $ ID is meaningless in the context of XREADGROUP: you want \
    to read the history of this consumer by specifying a proper ID, or use the > ID to get new \
    messages. The $ ID would just return an empty result set.";
const NEW_WITHOUT_GROUP: &str = "ERR The > ID can be specified only when calling XREADGROUP using \
    the GROUP <group> <consumer> option.";

fn not_from_scripts(command: &[u8]) -> CommandError {
    let command = String::from_utf8_lossy(command);
    format!("ERR {command} command is not allowed with BLOCK option from scripts").into()
}

fn only_of_groups(option: &str) -> CommandError {
    let why = "option is only supported by XREADGROUP. You called XREAD instead.";
    format!("ERR The {option} {why}").into()
}

impl<'a> Execution<'_, 'a> {
    /// XREAD.
    fn xread(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let read = ReadArguments::read(arguments, (false, self.in_script))?;
        let (count, most) = (read.count, self.room());
        if let Some(time) = self.waits(&read) {
            let (keys, from) = (self.keep(read.keys), self.keep(&read.positions()));
            let op = MultiKeyOp::ReadStreams { keys, from, count, most };
            return self.take_or_wait(op, deadline_after(time), ReplyKind::AllStreams);
        }
        let query = |(name, from): (&&'a [u8], ReadFrom)| {
            (*name, Query::Stream(StreamQuery::After { name, from, count, most }))
        };
        let queries: Vec<_> = read.keys.iter().zip(read.positions()).map(query).collect();
        self.batch.read_each(&queries, ReplyKind::Streams);
        Ok(())
    }

    /// XREADGROUP.
    fn xreadgroup(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let read = ReadArguments::read(arguments, (true, self.in_script))?;
        let (group, consumer) = read.group.ok_or(SYNTAX)?;
        let (count, no_ack, most) = (read.count, read.no_ack, self.room());
        let change = |(name, from): (&&'a [u8], ReadFrom)| {
            let action = GroupAction::Read { consumer, from, count, no_ack, most };
            GroupChange { name, group, action }
        };
        let changes: Vec<_> = read.keys.iter().zip(read.positions()).map(change).collect();
        let changes = self.keep(&changes);
        let wait = self.waits(&read);
        if let (None, [change]) = (wait, changes) {
            let change = Change::Stream(StreamChange::Group(change));
            return self.change(read.keys[0], change, ReplyKind::Streams);
        }
        let op = MultiKeyOp::DeliverStreams { keys: self.keep(read.keys), changes, most };
        if let Some(time) = wait {
            return self.take_or_wait(op, deadline_after(time), ReplyKind::AllStreams);
        }
        self.batch.multi_key(op, ReplyKind::AllStreams);
        Ok(())
    }

    /// Returns for how many milliseconds a command waits; nothing if it does not, as in a transaction.
    fn waits(&self, read: &ReadArguments<'_, '_>) -> Option<u64> {
        read.block.filter(|_| !self.collects && !self.in_transaction)
    }
}
