//! Records that were moved, removed or read by other changes, and readers and scans that still find them.

use crate::options::Eviction;
use crate::request::{Answer, Bitwise, Change, MultiKeyOp, Query, Request, RequestError};
use crate::session::transaction::TransactionOutcome;
use crate::state::evict;
use crate::state::record::Record;
use crate::state::rope::MAX_INLINE;
use crate::state::value::string;
use crate::{Db, Options, Session};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn a_moved_value_stays_for_readers_of_the_key_before() {
    let mut options = Options::in_memory();
    (options.shards, options.compressed) = (16, 16 << 20);
    let db = Db::open(options).unwrap();
    let state = Arc::clone(db.state());
    assert_ne!(state.shard_of(b"from"), state.shard_of(b"to2"));
    let moves = [
        MultiKeyOp::Rename { from: b"from", to: b"to2", if_absent: false },
        MultiKeyOp::Move { key: b"from", to: 1 },
    ];
    for operation in moves {
        db.set("from", vec![b'v'; 300]).unwrap();
        let reader = state.shards[state.shard_of(b"from")].reader();
        let entered = reader.enter();
        let (record, ()) = entered.get_key_value(&b"from"[..]).unwrap();
        db.with_session(|session| {
            session.execute(&[Request::MultiKey(operation)], &mut |_, made| {
                assert!(!matches!(made, Answer::Error(_) | Answer::Int(0)), "{made:?}");
            })
        });
        // The second change after a removal frees it.
        let moved_to = if operation.keys().count() > 1 { (0, "to2") } else { (1, "from") };
        let other = db.database(moved_to.0).unwrap();
        assert_eq!(other.get(moved_to.1).unwrap().unwrap(), vec![b'v'; 300]);
        other.delete(moved_to.1).unwrap();
        other.set(moved_to.1, "1").unwrap();
        other.set(moved_to.1, "2").unwrap();
        string::read(record.string().unwrap(), state.cold.as_deref(), |value| {
            assert_eq!(value, [b'v'; 300]);
        });
    }
}

/// Makes a key one that was last used a long time ago.
fn set_idle(db: &Db, key: &[u8]) -> Record {
    let state = db.state();
    let record = state.shards[state.shard_of(key)].lock().find(key).unwrap();
    record.set_usage(record.usage() - 1000);
    record
}

fn assert_used(session: &mut Session, key: &[u8], operation: MultiKeyOp<'_>) {
    session.execute(&[Request::Read(key, Query::IdleTime)], &mut |_, answer| {
        let Answer::Int(idle) = answer else { panic!("{answer:?}") };
        assert!(idle < 500, "a key of {operation:?} is idle for {idle} seconds");
    });
}

/// As in Redis, where RENAME and MOVE look the key up for a change.
#[test]
fn a_moved_key_counts_as_used() {
    let mut options = Options::in_memory();
    (options.shards, options.compressed) = (16, 16 << 20);
    let db = Db::open(options).unwrap();
    let moves = [
        (MultiKeyOp::Rename { from: b"from", to: b"to2", if_absent: false }, b"to2" as &[u8], 0),
        (MultiKeyOp::Move { key: b"from", to: 1 }, b"from", 1),
    ];
    let all = [(0, 1), (0, 300), (1, 1), (1, 300)];
    for ((operation, to, database), length) in all.map(|(at, length)| (moves[at], length)) {
        db.set("from", vec![b'v'; length]).unwrap();
        let record = set_idle(&db, b"from");
        assert_eq!(record.ticket().is_some(), length > 1);
        let mut session = db.session();
        session.execute(&[Request::MultiKey(operation)], &mut |_, made| {
            assert!(!matches!(made, Answer::Error(_) | Answer::Int(0)), "{made:?}");
        });
        session.select(database).unwrap();
        assert_used(&mut session, to, operation);
        session.execute(&[Request::Change(to, Change::Delete)], &mut |_, _| {});
    }
}

/// As in Redis, which looks them up by `lookupKeyRead`.
#[test]
fn the_sources_of_an_operation_count_as_used() {
    let db = Db::open(Options { shards: 16, ..Options::in_memory() }).unwrap();
    let mut session = db.session();
    let add = Change::AddElements(&[b"rose"]);
    session.execute(&[Request::Change(b"from", add)], &mut |_, _| {});
    let (from, to): (&[u8], &[u8]) = (b"from", b"to");
    for operation in [
        MultiKeyOp::Bitwise { op: Bitwise::Or, to, keys: &[from] },
        MultiKeyOp::MergeElements { to, keys: &[from] },
        MultiKeyOp::Copy { from, to, database: 0, replace: true },
    ] {
        set_idle(&db, from);
        session.execute(&[Request::MultiKey(operation)], &mut |_, _| {});
        assert_used(&mut session, from, operation);
    }
}

#[test]
fn a_panic_in_an_answer_leaves_nothing_that_is_removed_twice() {
    let mut options = Options::in_memory();
    (options.shards, options.eviction) = (1, Eviction::Lru);
    let db = Db::open(options).unwrap();
    db.set("rose", "red").unwrap();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let delete = Request::Change(b"rose", Change::Delete);
        db.session().execute(&[delete], &mut |_, _| panic!("of the caller"));
    }));
    caught.unwrap_err();
    let state = Arc::clone(db.state());
    state.limit.set_bytes(1);
    evict::make_room(&state, Duration::from_millis(1), || 0);
    state.limit.set_bytes(0);
    db.set("ruby", "red").unwrap();
    assert_eq!((db.len(), db.get("rose").unwrap()), (1, None));
}

/// Executes a transaction, and returns how many of its requests were executed before the first that was too long.
fn executed(db: &Db, requests: &[Request<'_>]) -> usize {
    let mut executed = 0;
    let done = db.session().transaction(requests, None, &mut |_, answer| match answer {
        Answer::Error(RequestError::ValuesTooLong | RequestError::NoSuchKey) => {}
        Answer::Error(other) => panic!("{other:?}"),
        _ => executed += 1,
    });
    assert!(matches!(done, TransactionOutcome::Done(_)), "{done:?}");
    executed
}

#[test]
fn a_transaction_holds_a_bounded_number_of_replaced_values() {
    let mut options = Options::in_memory();
    options.max_memory = 64 << 20;
    let db = Db::open(options).unwrap();
    db.set("short", vec![b'v'; MAX_INLINE]).unwrap();
    let change = |key| Request::Change(key, Change::SetBit { offset: 7, bit: true });
    let done = executed(&db, &vec![change(b"short"); 20_000]);
    assert!(done < 20_000, "replaced values are held without a limit");
    assert!(done > 4_000, "{done}");
}

#[test]
fn moves_of_compressed_values_are_bounded() {
    let mut options = Options::in_memory();
    (options.shards, options.compressed, options.max_memory) = (16, 16 << 20, 64 << 20);
    let db = Db::open(options).unwrap();
    db.set("from", vec![b'v'; 16_000]).unwrap();
    let there = MultiKeyOp::Rename { from: b"from", to: b"to2", if_absent: false };
    let back = MultiKeyOp::Rename { from: b"to2", to: b"from", if_absent: false };
    let moves = [Request::MultiKey(there), Request::MultiKey(back)];
    let done = executed(&db, &moves.repeat(3_000));
    assert!(done < 6_000, "compressed values are stored again without a limit");
    assert!(done > 4_000, "{done}");
    let key = if done.is_multiple_of(2) { "from" } else { "to2" };
    assert_eq!(db.get(key).unwrap().unwrap(), vec![b'v'; 16_000]);
}
