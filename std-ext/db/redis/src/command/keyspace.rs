//! Commands about keys of any type, and about all keys of a database.

use crate::command::arguments::{CommandError, SYNTAX, is};
use crate::command::execute::Execution;
use crate::command::reply::ReplyKind;
use crate::command::rows::{Run, alone, command};
use crate::command::scan::{ScanOptions, cursor};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::command::table::keys::{ACCESS, DELETE, INSERT, OW, RM, RO, RW, UPDATE, key};
use hedgerow_db_engine::request::{Change, DatabaseQuery, KeyScan, MultiKeyOp, Query, ValueType};

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    command("del", -2, "write", |e, a| e.delete(&a[1..]))
        .keys(&[key(1, RM | DELETE).to(-1, 1)])
        .since("1.0.0", Group::Generic)
        .syntax("key#0...")
        .summary("Deletes one or more keys, atomically.")
        .takes_time("O(N), N is the number of keys")
        .tips("request_policy:multi_shard response_policy:agg_sum"),
    command("unlink", -2, "write fast", |e, a| e.delete(&a[1..]))
        .keys(&[key(1, RM | DELETE).to(-1, 1)])
        .since("4.0.0", Group::Generic)
        .syntax("key#0...")
        .summary("Deletes one or more keys, atomically.")
        .takes_time("O(N), N is the number of keys")
        .tips("request_policy:multi_shard response_policy:agg_sum"),
    command("exists", -2, "readonly fast", |e, a| {
        e.read_all(&a[1..], Query::Exists, ReplyKind::Sum)
    })
    .keys(&[key(1, RO).to(-1, 1)])
    .since("1.0.0", Group::Generic)
    .syntax("key#0...")
    .summary("Counts how many of the keys exist.")
    .takes_time("O(N), N is the number of keys")
    .tips("request_policy:multi_shard response_policy:agg_sum"),
    command("touch", -2, "readonly fast", |e, a| e.read_all(&a[1..], Query::Touch, ReplyKind::Sum))
        .keys(&[key(1, RO).to(-1, 1)])
        .since("3.2.1", Group::Generic)
        .syntax("key#0...")
        .summary("Counts how many of the keys exist after updating their last access time.")
        .takes_time("O(N), N is the number of keys")
        .tips("request_policy:multi_shard response_policy:agg_sum"),
    command("type", 2, "readonly fast", |e, a| e.read(a[1], Query::Type, ReplyKind::Type))
        .keys(&[key(1, RO)])
        .since("1.0.0", Group::Generic)
        .syntax("key#0")
        .summary("Returns the type of a value."),
    command("rename", 3, "write", |e, a| e.rename(a, false))
        .keys(&[key(1, RW | ACCESS | DELETE), key(2, OW | UPDATE)])
        .since("1.0.0", Group::Generic)
        .syntax("key#0 newkey#1")
        .summary("Renames a key and overwrites the destination."),
    command("renamenx", 3, "write fast", |e, a| e.rename(a, true))
        .keys(&[key(1, RW | ACCESS | DELETE), key(2, OW | INSERT)])
        .since("1.0.0", Group::Generic)
        .syntax("key#0 newkey#1")
        .summary("Renames a key if the destination does not exist."),
    alone("scan", -2, "readonly", |e, a| e.scan(a))
        .since("2.8.0", Group::Generic)
        .syntax("cursor/integer [MATCH pattern/pattern] [COUNT count/integer] [TYPE type@6.0.0]")
        .summary("Iterates over the keys of the database.")
        .takes_time(
            "O(1) for each call, O(N) for all calls, N is the number of keys in the database",
        )
        .tips("nondeterministic_output request_policy:special"),
    alone("keys", 2, "readonly", |e, a| {
        e.keys(a[1]);
        Ok(())
    })
    .since("1.0.0", Group::Generic)
    .syntax("pattern/pattern")
    .summary("Returns all keys that match a pattern.")
    .also_in("dangerous")
    .takes_time("O(N), N is the number of keys in the database")
    .tips("request_policy:all_shards nondeterministic_output_order"),
    alone("randomkey", 1, "readonly", |e, _| {
        e.random_key();
        Ok(())
    })
    .since("1.0.0", Group::Generic)
    .summary("Returns a random key.")
    .tips("request_policy:all_shards nondeterministic_output"),
    alone("dbsize", 1, "readonly fast", |e, _| {
        e.dbsize();
        Ok(())
    })
    .since("1.0.0", Group::Server)
    .summary("Returns the number of keys.")
    .also_in("keyspace")
    .tips("request_policy:all_shards response_policy:agg_sum"),
    command("flushdb", -1, "write", |e, a| e.flush(a, MultiKeyOp::Clear))
        .since("1.0.0", Group::Server)
        .syntax("[async:<ASYNC@4.0.0|SYNC@6.2.0>]")
        .summary("Removes all keys.")
        .also_in("keyspace dangerous")
        .takes_time("O(N), N is the number of keys in the database")
        .tips("request_policy:all_shards response_policy:all_succeeded"),
    command("flushall", -1, "write", |e, a| e.flush(a, MultiKeyOp::ClearAll))
        .since("1.0.0", Group::Server)
        .syntax("[async:<ASYNC@4.0.0|SYNC@6.2.0>]")
        .summary("Removes all keys.")
        .also_in("keyspace dangerous")
        .takes_time("O(N), N is the number of keys in the database")
        .tips("request_policy:all_shards response_policy:all_succeeded"),
];

impl<'a> Execution<'_, 'a> {
    /// SCAN.
    pub(super) fn scan(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let cursor = cursor(arguments[1])?;
        let options = ScanOptions::read(&arguments[2..], true)?;
        let ScanOptions { count, pattern, type_name } = options;
        let types = ValueType::ALL;
        let value_type = type_name.map(|name| types.into_iter().find(|one| is(name, one.name())));
        if value_type == Some(None) {
            // No key has another type, so the walk is over.
            self.reply(|out| {
                out.array(2);
                out.bulk(b"0");
                out.array(0);
            });
            return Ok(());
        }
        // `most` bounds what COUNT does not: the keys of one step may be long.
        let (value_type, most) = (value_type.flatten(), self.room());
        let scan = KeyScan { cursor, count, pattern, value_type, most };
        self.ask_database(DatabaseQuery::Scan(scan), ReplyKind::Scanned);
        Ok(())
    }

    /// KEYS.
    pub(super) fn keys(&mut self, pattern: &'a [u8]) {
        let (pattern, most) = (Some(pattern), self.room());
        let scan = KeyScan { cursor: 0, count: usize::MAX, pattern, value_type: None, most };
        self.ask_database(DatabaseQuery::Scan(scan), ReplyKind::Elements);
    }

    /// RANDOMKEY.
    pub(super) fn random_key(&mut self) {
        self.ask_database(DatabaseQuery::RandomKey, ReplyKind::Value);
    }

    /// DBSIZE.
    pub(super) fn dbsize(&mut self) {
        self.ask_database(DatabaseQuery::Count, ReplyKind::Integer);
    }

    /// Executes a question about the selected database alone, so that the time that it takes is its own; in a
    /// transaction, with the rest of that.
    fn ask_database(&mut self, query: DatabaseQuery<'a>, kind: ReplyKind) {
        self.execute_batch();
        self.batch.ask_database(query, kind);
        self.execute_batch();
    }

    /// Returns how many bytes of replies there is room for.
    pub(super) fn room(&self) -> usize {
        self.max_out.saturating_sub(self.out.len())
    }

    /// DEL and UNLINK. One key is a change like any other, queued for its shard. UNLINK is no different: values are
    /// freed later in any case.
    fn delete(&mut self, keys: &[&'a [u8]]) -> Result<(), CommandError> {
        if let [key] = keys {
            return self.change(key, Change::Delete, ReplyKind::Integer);
        }
        self.batch.multi_key(MultiKeyOp::DeleteAll(self.keep(keys)), ReplyKind::Integer);
        Ok(())
    }

    /// RENAME and RENAMENX.
    fn rename(&mut self, arguments: &[&'a [u8]], if_absent: bool) -> Result<(), CommandError> {
        let kind = if if_absent { ReplyKind::Integer } else { ReplyKind::Done };
        let (from, to) = (arguments[1], arguments[2]);
        self.batch.multi_key(MultiKeyOp::Rename { from, to, if_absent }, kind);
        Ok(())
    }

    /// FLUSHDB and FLUSHALL.
    fn flush(&mut self, arguments: &[&'a [u8]], op: MultiKeyOp<'a>) -> Result<(), CommandError> {
        match &arguments[1..] {
            [] => {}
            // No difference here: the keys are gone at once, and their memory is freed when no reader needs it.
            [how] if is(how, "async") || is(how, "sync") => {}
            _ => return Err(SYNTAX),
        }
        self.batch.multi_key(op, ReplyKind::Done);
        Ok(())
    }
}
