//! Commands about the entries of a stream.

use crate::command::arguments::{
    ArgumentError, CommandError, NOT_AN_INTEGER, SYNTAX, is, wrong_number,
};
use crate::command::execute::Execution;
use crate::command::reply::{MissingKeyReply, ReplyKind};
use crate::command::rows::{Run, command};
use crate::command::stream_arguments::{TrimArguments, range, strict_id};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::command::table::keys::{ACCESS, DELETE, RO, RW, UPDATE, key};
use hedgerow_db_engine::encodings::EncodingLimit;
use hedgerow_db_engine::request::{
    Change, NewStreamId, Query, StreamChange, StreamId, StreamQuery, ValueType,
};
use hedgerow_db_formats::number;

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    command("xadd", -5, "write denyoom fast", |e, a| e.xadd(a))
        .keys(&[key(1, RW | UPDATE)
            .notes("UPDATE instead of INSERT because of the optional trimming feature")])
        .since("5.0.0", Group::Stream)
        .syntax(
            "key#0 [NOMKSTREAM@6.2.0] [trim:(strategy:<MAXLEN|MINID@6.2.0> \
             [operator:<equal:=|approximately:~>] threshold [LIMIT count/integer@6.2.0])] \
             id_or_auto:<auto_id:*|id> field_value:(field value)...",
        )
        .summary("Adds an entry to a stream, and trims it.")
        .takes_time("O(log N), N is the number of entries")
        .tips("nondeterministic_output"),
    command("xlen", 2, "readonly fast", |e, a| {
        e.read(a[1], Query::Stream(StreamQuery::Length), ReplyKind::Integer)
    })
    .keys(&[key(1, RO)])
    .since("5.0.0", Group::Stream)
    .syntax("key#0")
    .summary("Returns the number of entries of a stream.")
    .takes_time("O(log N), N is the number of entries"),
    command("xrange", -4, "readonly", |e, a| e.xrange(a, false))
        .keys(&[key(1, RO | ACCESS)])
        .since("5.0.0", Group::Stream)
        .syntax("key#0 start end [COUNT count/integer]")
        .summary("Returns the entries of a stream between two IDs.")
        .takes_time("O(log N + M), N is the number of entries, M of those returned"),
    command("xrevrange", -4, "readonly", |e, a| e.xrange(a, true))
        .keys(&[key(1, RO | ACCESS)])
        .since("5.0.0", Group::Stream)
        .syntax("key#0 end start [COUNT count/integer]")
        .summary("Returns the entries of a stream between two IDs, from the last one on.")
        .takes_time("O(log N + M), N is the number of entries, M of those returned"),
    command("xdel", -3, "write fast", |e, a| e.xdel(a))
        .keys(&[key(1, RW | DELETE)])
        .since("5.0.0", Group::Stream)
        .syntax("key#0 id...")
        .summary("Removes entries from a stream.")
        .takes_time("O(M log N), N is the number of entries, M of those removed"),
    command("xtrim", -4, "write", |e, a| e.xtrim(a))
        .keys(&[key(1, RW | DELETE)])
        .since("5.0.0", Group::Stream)
        .syntax(
            "key#0 trim:(strategy:<MAXLEN|MINID@6.2.0> [operator:<equal:=|approximately:~>] \
             threshold [LIMIT count/integer@6.2.0])",
        )
        .summary("Removes the first entries of a stream.")
        .takes_time("O(log N), N is the number of entries, and what is freed")
        .tips("nondeterministic_output"),
    command("xsetid", -3, "write denyoom fast", |e, a| e.xsetid(a))
        .keys(&[key(1, RW | UPDATE)])
        .since("5.0.0", Group::Stream)
        .syntax(
            "key#0 last-id [ENTRIESADDED entries_added/integer@7.0.0] [MAXDELETEDID \
             max_deleted_entry_id@7.0.0]",
        )
        .summary("Sets the last ID of a stream.")
        .takes_time("O(log N), N is the number of entries"),
];

impl<'a> Execution<'_, 'a> {
    /// XADD.
    fn xadd(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let options = TrimArguments::read(&arguments[2..], true, self.node())?;
        let fields = &arguments[2 + options.read..];
        let Some(id) = options.id.filter(|_| !fields.is_empty() && fields.len().is_multiple_of(2))
        else {
            return Err(wrong_number("xadd"));
        };
        if id == NewStreamId::Given(StreamId::MIN) {
            return Err("ERR The ID specified in XADD must be greater than 0-0".into());
        }
        let (fields, create, trim) = (self.keep(fields), options.create, options.trim);
        let add = StreamChange::Add { id, fields, create, trim };
        self.change(arguments[1], Change::Stream(add), ReplyKind::Value)
    }

    /// XRANGE and XREVRANGE. A range may be long, so it is not read under a lock.
    fn xrange(&mut self, arguments: &[&'a [u8]], reverse: bool) -> Result<(), CommandError> {
        let (first, second) = (arguments[2], arguments[3]);
        let ends = if reverse { (second, first) } else { (first, second) };
        let range = range(ends, &arguments[4..], reverse)?;
        let query = StreamQuery::Range(range, self.room());
        self.batch.unlocked_read(arguments[1], Query::Stream(query), ReplyKind::Nested);
        Ok(())
    }

    /// XDEL.
    fn xdel(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let key = arguments[1];
        let Some(ids) = self.ids(&arguments[2..]) else {
            let (wanted, missing) = (ValueType::Stream, MissingKeyReply::Integer(0));
            return self.refuse_by_key(key, wanted, ArgumentError::StreamId, missing);
        };
        self.change(key, Change::Stream(StreamChange::Delete(ids)), ReplyKind::Integer)
    }

    /// Reads IDs; `None` if one of them is none.
    pub(super) fn ids(&self, arguments: &[&[u8]]) -> Option<&'a [StreamId]> {
        let ids = arguments.iter().map(|id| strict_id(id, 0).ok());
        Some(self.keep(&ids.collect::<Option<Vec<_>>>()?))
    }

    /// XTRIM.
    fn xtrim(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let options = TrimArguments::read(&arguments[2..], false, self.node())?;
        let trim = options.trim.ok_or(SYNTAX)?;
        self.change(arguments[1], Change::Stream(StreamChange::Trim(trim)), ReplyKind::Integer)
    }

    /// Returns how many entries Redis's nodes have.
    fn node(&self) -> usize {
        self.db.encoding_limit(EncodingLimit::StreamEntries)
    }

    /// XSETID.
    fn xsetid(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let last = strict_id(arguments[2], 0)?;
        let (mut added, mut deleted, mut options) = (None, None, &arguments[3..]);
        while let [option, value, rest @ ..] = options {
            if is(option, "entriesadded") {
                let number = number::integer(value).ok_or(NOT_AN_INTEGER)?;
                let number = u64::try_from(number);
                added = Some(number.map_err(|_| "ERR entries_added must be positive")?);
            } else if is(option, "maxdeletedid") {
                let id = strict_id(value, 0)?;
                if last < id {
                    return Err("ERR The ID specified in XSETID is smaller than the provided \
                        max_deleted_entry_id"
                        .into());
                }
                deleted = Some(id).filter(|id| *id != StreamId::MIN);
            } else {
                return Err(SYNTAX);
            }
            options = rest;
        }
        if !options.is_empty() {
            return Err(SYNTAX);
        }
        let set = StreamChange::SetId { last, added, deleted };
        self.change(arguments[1], Change::Stream(set), ReplyKind::Done)
    }
}
