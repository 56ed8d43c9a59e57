//! PFADD, PFCOUNT and PFMERGE.

use crate::command::reply::ReplyKind;
use crate::command::rows::{Run, command};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::command::table::keys::{ACCESS, INSERT, RO, RW, key};
use hedgerow_db_engine::request::{Change, MultiKeyOp, Query};

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    command("pfadd", -2, "write denyoom fast", |e, a| {
        e.change(a[1], Change::AddElements(e.keep(&a[2..])), ReplyKind::Integer)
    })
    .keys(&[key(1, RW | INSERT)])
    .since("2.8.9", Group::HyperLogLog)
    .syntax("key#0 [element...]")
    .summary("Adds elements to a HyperLogLog.")
    .takes_time("O(N), N is the number of integers"),
    command("pfcount", -2, "readonly", |e, a| {
        match a {
            // A single value may have its cardinality stored (`pfcountCommand`, case 2); a union is always computed.
            [_, key] => e.batch.read(key, Query::Cardinality, ReplyKind::Integer),
            _ => e.batch.count_union(&a[1..]),
        }
        Ok(())
    })
    .keys(&[key(1, RW | ACCESS).to(-1, 1).notes(
        "RW because it may change the internal representation of the key, and \
            propagate to replicas",
    )])
    .since("2.8.9", Group::HyperLogLog)
    .syntax("key#0...")
    .summary("Estimates the number of elements of one or more HyperLogLogs.")
    .takes_time("O(N), N is the number of keys"),
    command("pfmerge", -2, "write denyoom", |e, a| {
        let op = MultiKeyOp::MergeElements { to: a[1], keys: e.keep(&a[2..]) };
        e.batch.multi_key(op, ReplyKind::Done);
        Ok(())
    })
    .keys(&[key(1, RW | ACCESS | INSERT), key(2, RO | ACCESS).to(-1, 1)])
    .since("2.8.9", Group::HyperLogLog)
    .syntax("destkey#0 sourcekey#1...")
    .summary("Stores the union of HyperLogLogs.")
    .takes_time("O(N), N is the number of keys"),
];
