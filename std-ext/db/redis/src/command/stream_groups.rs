//! Commands about the consumer groups of a stream.

use crate::command::arguments::{
    ArgumentError, CommandError, NOT_AN_INTEGER, SYNTAX, is, wrong_part,
};
use crate::command::execute::Execution;
use crate::command::reply::ReplyKind;
use crate::command::rows::{Run, command, container};
use crate::command::stream_arguments::{id_range, position, range_start, strict_id};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::command::table::keys::{ACCESS, DELETE, INSERT, RO, RW, UPDATE, key};
use hedgerow_db_engine::request::{
    Change, GroupAction, GroupChange, PendingQuery, Query, ReadFrom, StreamChange, StreamClaim,
    StreamId, StreamQuery, StreamRange,
};
use hedgerow_db_formats::number;

const GROUP_HELP: [&str; 15] = [
    "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CREATE <key> <groupname> <id|$> [option]",
    "    Create a new consumer group. Options are:",
    "    * MKSTREAM",
    "      Create the empty stream if it does not exist.",
    "    * ENTRIESREAD entries_read",
    "      Set the group's entries_read counter (internal use).",
    "CREATECONSUMER <key> <groupname> <consumer>",
    "    Create a new consumer in the specified group.",
    "DELCONSUMER <key> <groupname> <consumer>",
    "    Remove the specified consumer.",
    "DESTROY <key> <groupname>",
    "    Remove the specified group.",
    "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
    "    Set the current group ID and entries_read counter.",
];
const INFO_HELP: [&str; 7] = [
    "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CONSUMERS <key> <groupname>",
    "    Show consumers of <groupname>.",
    "GROUPS <key>",
    "    Show the stream consumer groups.",
    "STREAM <key> [FULL [COUNT <count>]",
    "    Show information about the stream.",
];

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    container("xgroup", -2, GROUP)
        .since("5.0.0", Group::Stream)
        .summary("A container for consumer groups commands."),
    container("xinfo", -2, INFO)
        .since("5.0.0", Group::Stream)
        .summary("A container for stream introspection commands."),
    command("xack", -4, "write fast", |e, a| e.xack(a))
        .keys(&[key(1, RW | UPDATE)])
        .since("5.0.0", Group::Stream)
        .syntax("key#0 group id...")
        .summary("Removes entries from those that are pending for a consumer group.")
        .takes_time("O(M log N), N is the number of pending entries, M of those given"),
    command("xpending", -3, "readonly", |e, a| e.xpending(a))
        .keys(&[key(1, RO | ACCESS)])
        .since("5.0.0", Group::Stream)
        .syntax(
            "key#0 group [filters:([IDLE min-idle-time/integer@6.2.0] start end count/integer \
             [consumer])]",
        )
        .summary("Returns entries that are pending for a consumer group, or a summary of them.")
        .takes_time("O(log N + M), N is the number of pending entries, M of those examined")
        .tips("nondeterministic_output"),
    command("xclaim", -6, "write fast", |e, a| e.xclaim(a))
        .keys(&[key(1, RW | UPDATE)])
        .since("5.0.0", Group::Stream)
        .syntax(
            "key#0 group consumer min-idle-time id... [IDLE ms/integer] [TIME \
             unix-time-milliseconds/unix-time] [RETRYCOUNT count/integer] [FORCE] [JUSTID] [LASTID \
             id]",
        )
        .summary("Gives pending entries of a consumer group to a consumer.")
        .takes_time("O(M log N), N is the number of pending entries, M of those given")
        .tips("nondeterministic_output"),
    command("xautoclaim", -6, "write fast", |e, a| e.xautoclaim(a))
        .keys(&[key(1, RW | DELETE)])
        .since("6.2.0", Group::Stream)
        .syntax("key#0 group consumer min-idle-time start [COUNT count/integer] [JUSTID]")
        .summary("Gives pending entries of a consumer group from an ID on to a consumer.")
        .takes_time("O(M log N), N is the number of pending entries, M of those examined")
        .tips("nondeterministic_output"),
];

const GROUP: &[Row<Run>] = &[
    command("xgroup|create", -5, "write denyoom", |e, a| e.xgroup_position(a, true))
        .keys(&[key(2, RW | INSERT)])
        .since("5.0.0", Group::Stream)
        .syntax("key#0 groupname id:<id|new_id:$> [MKSTREAM] [ENTRIESREAD entries_read/integer]")
        .summary("Creates a consumer group.")
        .takes_time("O(log N), N is the number of entries"),
    command("xgroup|setid", -5, "write", |e, a| e.xgroup_position(a, false))
        .keys(&[key(2, RW | UPDATE)])
        .since("5.0.0", Group::Stream)
        .syntax("key#0 groupname id:<id|new_id:$> [ENTRIESREAD entries_read/integer]")
        .summary("Sets after which entry a consumer group continues.")
        .takes_time("O(log N), N is the number of entries"),
    command("xgroup|destroy", 4, "write", |e, a| {
        e.change_group((a[2], a[3]), GroupAction::Destroy, ReplyKind::NestedOrInteger)
    })
    .keys(&[key(2, RW | DELETE)])
    .since("5.0.0", Group::Stream)
    .syntax("key#0 groupname")
    .summary("Removes a consumer group.")
    .takes_time("O(log N), N is the number of entries, and what is freed"),
    command("xgroup|createconsumer", 5, "write denyoom", |e, a| {
        let create = GroupAction::CreateConsumer(a[4]);
        e.change_group((a[2], a[3]), create, ReplyKind::NestedOrInteger)
    })
    .keys(&[key(2, RW | INSERT)])
    .since("6.2.0", Group::Stream)
    .syntax("key#0 groupname consumername")
    .summary("Adds a consumer to a consumer group.")
    .takes_time("O(log N), N is the number of entries"),
    command("xgroup|delconsumer", 5, "write", |e, a| {
        let delete = GroupAction::DeleteConsumer(a[4]);
        e.change_group((a[2], a[3]), delete, ReplyKind::NestedOrInteger)
    })
    .keys(&[key(2, RW | DELETE)])
    .since("5.0.0", Group::Stream)
    .syntax("key#0 groupname consumername")
    .summary("Removes a consumer from a consumer group.")
    .takes_time("O(M log N), N is the number of entries, M of the consumer's pending ones"),
    command("xgroup|help", 2, "loading stale", |e, _| e.help(&GROUP_HELP))
        .since("5.0.0", Group::Stream)
        .summary("Returns the subcommands of XGROUP."),
];

const INFO: &[Row<Run>] = &[
    command("xinfo|stream", -3, "readonly", |e, a| e.xinfo_stream(a))
        .keys(&[key(2, RO | ACCESS)])
        .since("5.0.0", Group::Stream)
        .syntax("key#0 [FULL full:([COUNT count/integer])]")
        .summary("Returns properties of a stream, or all of it.")
        .takes_time("O(log N + M), N is the number of entries, M of what is returned"),
    command("xinfo|groups", 3, "readonly", |e, a| {
        let query = Query::Stream(StreamQuery::Groups(e.room()));
        e.batch.unlocked_read(a[2], query, ReplyKind::Nested);
        Ok(())
    })
    .keys(&[key(2, RO | ACCESS)])
    .since("5.0.0", Group::Stream)
    .syntax("key#0")
    .summary("Returns the consumer groups of a stream.")
    .takes_time("O(M log N), N is the number of entries, M of the groups"),
    command("xinfo|consumers", 4, "readonly", |e, a| {
        let (now, most) = (e.now(), e.room());
        let query = StreamQuery::Consumers { name: a[2], group: a[3], now, most };
        e.batch.unlocked_read(a[2], Query::Stream(query), ReplyKind::Nested);
        Ok(())
    })
    .keys(&[key(2, RO | ACCESS)])
    .since("5.0.0", Group::Stream)
    .syntax("key#0 groupname")
    .summary("Returns the consumers of a consumer group.")
    .takes_time("O(M log N), N is the number of entries, M of the consumers")
    .tips("nondeterministic_output"),
    command("xinfo|help", 2, "loading stale", |e, _| e.help(&INFO_HELP))
        .since("5.0.0", Group::Stream)
        .summary("Returns the subcommands of XINFO."),
];

/// Reads a number of milliseconds, of which negative ones count as 0.
fn idle_time(text: &[u8], error: &'static str) -> Result<u64, CommandError> {
    let idle = number::integer(text).ok_or(error)?;
    Ok(u64::try_from(idle).unwrap_or(0))
}

impl<'a> Execution<'_, 'a> {
    fn change_group(
        &mut self,
        (name, group): (&'a [u8], &'a [u8]),
        action: GroupAction<'a>,
        kind: ReplyKind,
    ) -> Result<(), CommandError> {
        let change = &self.keep(&[GroupChange { name, group, action }])[0];
        self.change(name, Change::Stream(StreamChange::Group(change)), kind)
    }

    /// XGROUP CREATE and XGROUP SETID.
    fn xgroup_position(
        &mut self,
        arguments: &[&'a [u8]],
        creates: bool,
    ) -> Result<(), CommandError> {
        let (mut create, mut read, mut options) = (false, None, &arguments[5..]);
        while let Some((option, rest)) = options.split_first() {
            options = match (option, rest) {
                (option, rest) if creates && is(option, "mkstream") => {
                    create = true;
                    rest
                }
                (option, [number, rest @ ..]) if is(option, "entriesread") => {
                    let number = number::integer(number).ok_or(NOT_AN_INTEGER)?;
                    read = u64::try_from(number).ok();
                    if number < -1 {
                        return Err("ERR value for ENTRIESREAD must be positive or -1".into());
                    }
                    rest
                }
                _ => return Err(wrong_part("XGROUP", arguments[1])),
            };
        }
        // No option comes twice.
        if !(if creates { 5..=8 } else { 5..=7 }).contains(&arguments.len()) {
            return Err(wrong_part("XGROUP", arguments[1]));
        }
        let from = match arguments[4] {
            b"$" => ReadFrom::New,
            // Only SETID takes these, as in Redis.
            b"-" if !creates => ReadFrom::After(StreamId::MIN),
            b"+" if !creates => ReadFrom::After(StreamId::MAX),
            id => position(id),
        };
        let action = if creates {
            GroupAction::Create { from, read, create }
        } else {
            GroupAction::SetId { from, read }
        };
        self.change_group((arguments[2], arguments[3]), action, ReplyKind::NestedOrDone)
    }

    /// XINFO STREAM.
    fn xinfo_stream(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        /// How many entries FULL shows by default.
        const SHOWN: u64 = 10;
        let full = match &arguments[3..] {
            [] => Ok(None),
            [full] if is(full, "full") => Ok(Some(Some(SHOWN))),
            [full, count, number] if is(full, "full") && is(count, "count") => {
                let number = number::integer(number).ok_or(NOT_AN_INTEGER);
                // Redis shows 10 for a negative number.
                let shown = number.map(|number| u64::try_from(number).unwrap_or(SHOWN));
                shown.map(|shown| Some(Some(shown).filter(|shown| *shown > 0)))
            }
            _ => Err(wrong_part("XINFO", arguments[1])),
        };
        let query = match full {
            Ok(full) => StreamQuery::Info { full, most: self.room() },
            Err(error) => StreamQuery::Refused(self.arena.alloc_str(&error)),
        };
        self.batch.unlocked_read(arguments[2], Query::Stream(query), ReplyKind::Nested);
        Ok(())
    }

    /// XACK.
    fn xack(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let (key, group) = (arguments[1], arguments[2]);
        let action = if let Some(ids) = self.ids(&arguments[3..]) {
            GroupAction::Acknowledge(ids)
        } else {
            let error = ArgumentError::StreamId.text();
            GroupAction::Refused { error, acknowledges: true }
        };
        self.change_group((key, group), action, ReplyKind::NestedOrInteger)
    }

    /// XPENDING.
    fn xpending(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let (name, group, now, most) = (arguments[1], arguments[2], self.now(), self.room());
        if arguments.len() == 3 {
            let query = StreamQuery::Pending { name, group, most };
            self.batch.unlocked_read(name, Query::Stream(query), ReplyKind::Nested);
            return Ok(());
        }
        if !(6..=9).contains(&arguments.len()) {
            return Err(SYNTAX);
        }
        let (idle, rest) = match &arguments[3..] {
            [option, idle, rest @ ..] if is(option, "idle") => {
                (idle_time(idle, "ERR value is not an integer or out of range")?, rest)
            }
            rest => (0, rest),
        };
        // Redis ignores further arguments.
        let [start, end, count, behind @ ..] = rest else { return Err(SYNTAX) };
        let consumer = behind.first().copied();
        let count = number::integer(count).ok_or(NOT_AN_INTEGER)?;
        let count = Some(u64::try_from(count).unwrap_or(0));
        let (from, to) = id_range(start, end)?;
        let range = StreamRange { from, to, reverse: false, count };
        let query = PendingQuery { name, group, consumer, range, idle, now, most };
        let query = StreamQuery::PendingRange(&self.keep(&[query])[0]);
        self.batch.unlocked_read(name, Query::Stream(query), ReplyKind::Nested);
        Ok(())
    }

    /// XCLAIM.
    fn xclaim(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        // Redis looks for the group before it reads the other arguments.
        let action = match self.claim(arguments) {
            Ok(claim) => GroupAction::Claim(claim),
            Err(error) => {
                let error = self.arena.alloc_str(&error);
                GroupAction::Refused { error, acknowledges: false }
            }
        };
        self.change_group((arguments[1], arguments[2]), action, ReplyKind::Nested)
    }

    fn claim(&self, arguments: &[&'a [u8]]) -> Result<StreamClaim<'a>, CommandError> {
        let consumer = arguments[3];
        let idle = idle_time(arguments[4], "ERR Invalid min-idle-time argument for XCLAIM")?;
        let rest = &arguments[5..];
        let ids: Vec<_> = rest.iter().map_while(|id| strict_id(id, 0).ok()).collect();
        let mut options = &rest[ids.len()..];
        let mut claim = StreamClaim {
            consumer,
            idle,
            ids: self.keep(&ids),
            delivered: None,
            count: None,
            force: false,
            just_ids: false,
            last: None,
            most: self.room(),
        };
        let now = self.now();
        while let Some((option, behind)) = options.split_first() {
            options = match (option, behind) {
                (option, behind) if is(option, "force") => {
                    claim.force = true;
                    behind
                }
                (option, behind) if is(option, "justid") => {
                    claim.just_ids = true;
                    behind
                }
                (option, [value, behind @ ..]) if is(option, "idle") => {
                    let idle = claim_number(value, "IDLE")?;
                    let time = i64::try_from(now).unwrap_or(i64::MAX).saturating_sub(idle);
                    claim.delivered = u64::try_from(time).ok();
                    behind
                }
                (option, [value, behind @ ..]) if is(option, "time") => {
                    claim.delivered = u64::try_from(claim_number(value, "TIME")?).ok();
                    behind
                }
                (option, [value, behind @ ..]) if is(option, "retrycount") => {
                    claim.count = u64::try_from(claim_number(value, "RETRYCOUNT")?).ok();
                    behind
                }
                (option, [value, behind @ ..]) if is(option, "lastid") => {
                    claim.last = Some(strict_id(value, 0)?);
                    behind
                }
                _ => {
                    let option = String::from_utf8_lossy(option);
                    return Err(format!("ERR Unrecognized XCLAIM option '{option}'").into());
                }
            };
        }
        Ok(claim)
    }

    /// XAUTOCLAIM.
    fn xautoclaim(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        /// So that ten times as many can be examined.
        const MOST: i64 = i64::MAX / 16;
        let (name, group, consumer) = (arguments[1], arguments[2], arguments[3]);
        let idle = idle_time(arguments[4], "ERR Invalid min-idle-time argument for XAUTOCLAIM")?;
        let from = range_start(arguments[5])?;
        let (mut count, mut just_ids, mut options) = (100, false, &arguments[6..]);
        while let Some((option, rest)) = options.split_first() {
            options = match (option, rest) {
                (option, [number, rest @ ..]) if is(option, "count") => {
                    let number = number::integer(number).filter(|n| (1..=MOST).contains(n));
                    let number = number.ok_or("ERR COUNT must be > 0")?;
                    count = number.cast_unsigned();
                    rest
                }
                (option, rest) if is(option, "justid") => {
                    just_ids = true;
                    rest
                }
                _ => return Err(SYNTAX),
            };
        }
        let most = self.room();
        let action = GroupAction::AutoClaim { consumer, idle, from, count, just_ids, most };
        self.change_group((name, group), action, ReplyKind::Nested)
    }
}

fn claim_number(text: &[u8], option: &str) -> Result<i64, CommandError> {
    let error = || format!("ERR Invalid {option} option argument for XCLAIM").into();
    number::integer(text).ok_or_else(error)
}
