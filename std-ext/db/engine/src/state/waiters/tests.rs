//! Tests of waiters through sessions.

use super::{WaitEnd, WaitOutcome, Waiter};
use crate::log::none::NoLog;
use crate::log::{Log, OpenError};
use crate::request::{
    Answer, Change, End, GroupAction, GroupChange, ListChange, ListQuery, MultiKeyOp, NewStreamId,
    Popped, Query, ReadFrom, Request, RequestError, StreamChange,
};
use crate::slot_set::SlotSet;
use crate::slots::{SLOTS, slot};
use crate::{Db, Options, Progress, Session, TransactionOutcome};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

fn open() -> Db {
    Db::open(Options { shards: 8, ..Options::in_memory() }).unwrap()
}

/// Returns the text of an answer.
fn text(answer: Answer<'_>) -> String {
    match answer {
        Answer::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Answer::Elements(elements, _) => {
            let all = elements.iter().flatten().map(String::from_utf8_lossy);
            all.collect::<Vec<_>>().join(" ")
        }
        other => format!("{other:?}"),
    }
}

fn pop<'a>(keys: &'a [&'a [u8]]) -> MultiKeyOp<'a> {
    MultiKeyOp::PopFirst { keys, popped: Popped::List(End::Front), count: 1, most: usize::MAX }
}

fn move_element<'a>(from: &'a [u8], to: &'a [u8]) -> MultiKeyOp<'a> {
    MultiKeyOp::MoveElement { from, take: End::Front, to, put: End::Back }
}

fn wait(session: &mut Session, op: MultiKeyOp<'_>) -> Arc<Waiter> {
    let (_, waiter) = session.take_or_wait(op, &mut |made| panic!("it does not wait: {made:?}"));
    waiter.expect("it waits")
}

fn push_change<'a>(key: &'a [u8], elements: &'a [&'a [u8]]) -> Request<'a> {
    let push = ListChange::Push { end: End::Back, elements, if_present: false };
    Request::Change(key, Change::List(push))
}

fn push(session: &mut Session, key: &[u8], elements: &[&[u8]]) {
    session.execute(&[push_change(key, elements)], &mut |_, made| {
        assert!(matches!(made, Answer::Int(1..)), "{made:?}");
    });
}

fn list(session: &mut Session, key: &[u8]) -> String {
    let mut found = String::new();
    let range = ListQuery::Range { from: 0, to: -1, most: usize::MAX };
    session.execute(&[Request::Read(key, Query::List(range))], &mut |_, all| found = text(all));
    found
}

/// Returns what a waiter has got.
fn got(waiter: &Waiter) -> Option<String> {
    waiter.take_outcome().map(|outcome| match outcome {
        WaitOutcome::Served(served) => text(served.answer.answer()),
        WaitOutcome::Ended(why) => format!("{why:?}"),
    })
}

/// Returns the keys with queues, and the waiters in them.
fn queues(db: &Db) -> (usize, usize) {
    let all = db.state().shards.iter().map(|shard| shard.lock().waiters.len());
    all.fold((0, 0), |sum, next| (sum.0 + next.0, sum.1 + next.1))
}

#[test]
fn who_came_first_is_served_first() {
    let db = open();
    let mut session = db.session();
    let all: Vec<_> = (0..20).map(|_| wait(&mut session, pop(&[b"k"]))).collect();
    for number in 0..20 {
        push(&mut session, b"k", &[number.to_string().as_bytes()]);
        for (at, waiter) in all.iter().enumerate() {
            let wanted = (at == number).then(|| format!("k {number}"));
            assert_eq!(got(waiter), wanted, "waiter {at} after {number}");
        }
    }
    assert_eq!((list(&mut session, b"k"), queues(&db)), (String::new(), (0, 0)));
    assert!(db.state().shards.iter().all(|shard| shard.lock().waiters.is_empty()));
}

#[test]
fn a_pipeline_of_changes_serves_after_each() {
    let db = open();
    let mut session = db.session();
    let (one, other) = (wait(&mut session, pop(&[b"k"])), wait(&mut session, pop(&[b"k"])));
    let length = Request::Read(b"k", Query::List(ListQuery::Length));
    let pipeline = [push_change(b"k", &[b"a", b"b"]), length, push_change(b"k", &[b"c"]), length];
    let mut answers = vec![None; 4];
    session.execute(&pipeline, &mut |at, made| {
        answers[at] = if let Answer::Int(n) = made { Some(n) } else { None };
    });
    // As in Redis, a push answers the length before others take elements.
    assert_eq!(answers, [2, 0, 1, 1].map(Some));
    assert_eq!((got(&one), got(&other)), (Some("k a".into()), Some("k b".into())));
    assert_eq!(list(&mut session, b"k"), "c");
}

#[test]
fn a_waiter_of_several_keys_gets_one_element() {
    let db = open();
    let mut session = db.session();
    let keys: [&[u8]; 4] = [b"a", b"b", b"c", b"a"];
    let waiter = wait(&mut session, pop(&keys));
    assert_eq!(queues(&db), (3, 3));
    push(&mut session, b"b", &[b"1"]);
    push(&mut session, b"a", &[b"2"]);
    assert_eq!(got(&waiter), Some("b 1".into()));
    assert_eq!(list(&mut session, b"a"), "2");
    session.forget_waiter(&waiter);
    assert_eq!(queues(&db), (0, 0), "a waiter stays in the queue of another key");
    // Not the key that came first, but the first in the order of the command.
    push(&mut session, b"c", &[b"3"]);
    let mut taken = String::new();
    let (_, waiter) = session.take_or_wait(pop(&keys), &mut |made| taken = text(made));
    assert!(waiter.is_none());
    assert_eq!(taken, "a 2");
}

#[test]
fn a_waiter_that_has_ended_takes_nothing() {
    let db = open();
    let mut session = db.session();
    let waiters: Vec<_> = (0..3).map(|_| wait(&mut session, pop(&[b"k"]))).collect();
    assert!(waiters[0].end(WaitEnd::TimedOut) && waiters[1].cancel());
    assert!(!waiters[0].end(WaitEnd::Unblocked) && !waiters[1].cancel(), "a wait ends twice");
    push(&mut session, b"k", &[b"a", b"b"]);
    assert_eq!(got(&waiters[0]), Some("TimedOut".into()));
    assert_eq!((got(&waiters[1]), got(&waiters[2])), (None, Some("k a".into())));
    assert!(!waiters[2].cancel(), "an element is given back");
    assert_eq!((list(&mut session, b"k"), queues(&db)), ("b".into(), (0, 0)));
    let waiter = wait(&mut session, pop(&[b"other"]));
    assert!(waiter.cancel());
    session.forget_waiter(&waiter);
    assert_eq!(queues(&db), (0, 0));
}

#[test]
fn a_waiter_is_woken_once_it_has_an_outcome() {
    struct Count(AtomicU64);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            // Relaxed: read by the same thread.
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let db = open();
    let mut session = db.session();
    let count = Arc::new(Count(AtomicU64::new(0)));
    let waker = Waker::from(Arc::clone(&count));
    let waiter = wait(&mut session, pop(&[b"k"]));
    assert!(!waiter.register(&waker));
    push(&mut session, b"k", &[b"a"]);
    // Relaxed: stored by this thread.
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert!(waiter.register(&waker), "an outcome that came before is missed");
}

#[test]
fn other_types_serve_nobody() {
    let db = open();
    let mut session = db.session();
    let waiter = wait(&mut session, pop(&[b"k"]));
    db.set("k", "string").unwrap();
    assert_eq!(got(&waiter), None);
    let (mut refused, keys): (_, [&[u8]; 2]) = (None, [b"missing", b"k"]);
    let (_, other) = session.take_or_wait(pop(&keys), &mut |made| refused = Some(text(made)));
    assert!(other.is_none());
    assert_eq!(refused, Some("Error(WrongType)".into()));
    db.delete("k").unwrap();
    push(&mut session, b"k", &[b"a"]);
    assert_eq!(got(&waiter), Some("k a".into()));
}

#[test]
fn transactions_serve_at_their_end() {
    let db = open();
    let mut session = db.session();
    let waiter = wait(&mut session, pop(&[b"a", b"b"]));
    let transaction = |session: &mut Session, requests: &[Request<'_>]| {
        session.transaction(requests, None, &mut |_, made| {
            assert!(!matches!(made, Answer::Error(_)), "{made:?}");
        });
    };
    transaction(&mut session, &[push_change(b"a", &[b"1"]), Request::Change(b"a", Change::Delete)]);
    assert_eq!(got(&waiter), None, "a waiter sees what a transaction has removed again");
    // The key that was first to have an element, as in Redis.
    transaction(&mut session, &[push_change(b"b", &[b"2"]), push_change(b"a", &[b"3"])]);
    assert_eq!(got(&waiter), Some("b 2".into()));
    assert_eq!((list(&mut session, b"a"), list(&mut session, b"b")), ("3".into(), String::new()));
}

#[test]
fn each_way_to_get_a_value_serves() {
    let db = open();
    let mut session = db.session();
    let mut check = |op: MultiKeyOp<'_>| {
        push(&mut session, b"from", &[b"1", b"2"]);
        let waiter = wait(&mut session, pop(&[b"to"]));
        let mut made = Answer::Nil;
        session.execute(&[Request::MultiKey(op)], &mut |_, answer| {
            made = if let Answer::Int(n) = answer { Answer::Int(n) } else { Answer::Done };
        });
        assert_eq!(got(&waiter), Some("to 1".into()), "{op:?} answers {made:?}");
        session.execute(&[Request::MultiKey(MultiKeyOp::ClearAll)], &mut |_, _| {});
    };
    check(MultiKeyOp::Rename { from: b"from", to: b"to", if_absent: false });
    check(MultiKeyOp::Copy { from: b"from", to: b"to", database: 0, replace: false });
    check(move_element(b"from", b"to"));
    // Databases.
    let mut other = db.session();
    other.set_database(3);
    push(&mut other, b"k", &[b"moved"]);
    let waiter = wait(&mut session, pop(&[b"k"]));
    other.execute(&[Request::MultiKey(MultiKeyOp::Move { key: b"k", to: 0 })], &mut |_, made| {
        assert_eq!(made, Answer::Int(1));
    });
    assert_eq!(got(&waiter), Some("k moved".into()));
    push(&mut other, b"k", &[b"swapped"]);
    let waiter = wait(&mut session, pop(&[b"k"]));
    db.swap_databases(0, 3).unwrap();
    assert_eq!(got(&waiter), Some("k swapped".into()));
    assert_eq!(list(&mut session, b"k"), "");
    // A waiter stays with the number of its database.
    let waiter = wait(&mut session, pop(&[b"k"]));
    db.swap_databases(0, 3).unwrap();
    push(&mut session, b"k", &[b"pushed"]);
    assert_eq!(got(&waiter), Some("k pushed".into()));
    let waiter = wait(&mut session, pop(&[b"k"]));
    db.swap_databases(0, 3).unwrap();
    waiter.cancel();
    session.forget_waiter(&waiter);
    assert_eq!(queues(&db), (0, 0));
}

#[test]
fn moves_are_served_to_their_end() {
    let db = open();
    let mut session = db.session();
    // Keys of different shards, and of the same one.
    for (a, b, c) in [("a", "b", "c"), ("{t}a", "{t}b", "{t}c")] {
        let [a, b, c] = [a, b, c].map(str::as_bytes);
        let chain =
            [move_element(a, b), move_element(b, c), pop(&[c])].map(|op| wait(&mut session, op));
        push(&mut session, a, &[b"1", b"2"]);
        let c_1 = format!("{} 1", String::from_utf8_lossy(c));
        assert_eq!(
            chain.map(|waiter| got(&waiter)),
            [Some("1".into()), Some("1".into()), Some(c_1)]
        );
        assert_eq!(list(&mut session, a), "2");
        assert_eq!((list(&mut session, b), list(&mut session, c)), (String::new(), String::new()));
        // A ring.
        let ring = [move_element(b, c), move_element(c, b)].map(|op| wait(&mut session, op));
        push(&mut session, b, &[b"3"]);
        assert_eq!(ring.map(|waiter| got(&waiter)), ["3", "3"].map(|one| Some(one.to_owned())));
        assert_eq!(list(&mut session, b), "3");
        session.execute(&[Request::MultiKey(MultiKeyOp::ClearAll)], &mut |_, _| {});
        // Within one list.
        let waiter = wait(&mut session, move_element(a, a));
        push(&mut session, a, &[b"1", b"2"]);
        assert_eq!((got(&waiter), list(&mut session, a)), (Some("1".into()), "2 1".into()));
        session.execute(&[Request::MultiKey(MultiKeyOp::ClearAll)], &mut |_, _| {});
    }
    assert_eq!(queues(&db), (0, 0));
}

#[test]
fn waiters_behind_a_move_are_served_in_order() {
    let db = open();
    let mut session = db.session();
    db.set("text", "red").unwrap();
    let first = wait(&mut session, pop(&[b"k"]));
    let refused = wait(&mut session, move_element(b"k", b"text"));
    let moves = wait(&mut session, move_element(b"k", b"to"));
    let last = wait(&mut session, pop(&[b"k"]));
    let pipeline = [push_change(b"k", &[b"1", b"2", b"3"]), push_change(b"k", &[b"4"])];
    let mut lengths = Vec::new();
    session.execute(&pipeline, &mut |_, made| lengths.push(text(made)));
    assert_eq!(lengths, ["Int(3)", "Int(1)"], "a change overtakes waiters");
    assert_eq!(got(&first), Some("k 1".into()));
    assert_eq!(got(&refused), Some("Refused(WrongType)".into()), "an element is lost");
    assert_eq!((got(&moves), got(&last)), (Some("2".into()), Some("k 3".into())));
    assert_eq!((list(&mut session, b"k"), list(&mut session, b"to")), ("4".into(), "2".into()));
}

#[test]
fn a_push_and_a_pop_are_not_one_for_a_waiter_that_moves() {
    let db = open();
    let mut session = db.session();
    let moves = wait(&mut session, move_element(b"k", b"to"));
    let pop = ListChange::Pop { end: End::Front, count: None, most: usize::MAX };
    let pipeline = [push_change(b"k", &[b"1"]), Request::Change(b"k", Change::List(pop))];
    let mut answers = vec![String::new(); 2];
    session.execute(&pipeline, &mut |at, made| answers[at] = text(made));
    assert_eq!(answers, ["Int(1)", "Nil"], "a change overtakes a waiter");
    assert_eq!((got(&moves), list(&mut session, b"to")), (Some("1".into()), "1".into()));
}

#[test]
fn a_list_that_has_expired_is_empty() {
    let (clock, time) = {
        let clock = Arc::new(AtomicU64::new(1000));
        (Arc::clone(&clock), crate::TimeSource::Manual(clock))
    };
    let db = Db::open(Options { shards: 2, time, ..Options::in_memory() }).unwrap();
    let mut session = db.session();
    push(&mut session, b"k", &[b"old"]);
    assert!(db.expire("k", Duration::from_secs(1)).unwrap());
    // Relaxed: read by threads that take a lock first.
    clock.store(3000, Ordering::Relaxed);
    let waiter = wait(&mut session, pop(&[b"k"]));
    assert_eq!(got(&waiter), None);
    push(&mut session, b"k", &[b"new"]);
    assert_eq!(got(&waiter), Some("k new".into()));
}

#[test]
fn a_node_that_follows_serves_nobody() {
    let db = open();
    let mut session = db.session();
    let waiter = wait(&mut session, pop(&[b"k"]));
    db.state().become_follower();
    assert_eq!(got(&waiter), Some("RoleLost".into()));
    assert_eq!(queues(&db), (0, 0));
    let mut refused = None;
    let (_, waiter) = session.take_or_wait(pop(&[b"k"]), &mut |made| refused = Some(text(made)));
    assert!(waiter.is_none());
    assert_eq!(refused, Some(format!("Error({:?})", RequestError::NotPrimary)));
}

#[test]
fn a_slot_that_is_lost_ends_its_waits() {
    let log = |_| Ok::<Arc<dyn Log>, OpenError>(Arc::new(NoLog::of(0..SLOTS)));
    let options = Options { shards: 4, ..Options::in_memory() };
    let db = Db::open_clustered(options, None, &Progress::default(), log).unwrap();
    db.become_primary(1);
    let mut session = db.session();
    let (lost, kept) = (wait(&mut session, pop(&[b"k"])), wait(&mut session, pop(&[b"l"])));
    let slots = SlotSet::of_range(slot(b"k")..slot(b"k") + 1);
    db.state().lose_slots(7, &slots).unwrap();
    assert_eq!((got(&lost), got(&kept)), (Some("Refused(SlotNotOwned)".into()), None));
    push(&mut session, b"l", &[b"1"]);
    assert_eq!(got(&kept), Some("l 1".into()));
}

/// A waiter that is registered after its key was found empty, and not under the same locks, could wait for ever for an
/// element that is there.
#[test]
fn no_element_comes_between_the_look_and_the_wait() {
    let (db, start, is_over) = (open(), Barrier::new(2), AtomicBool::new(false));
    let rounds = if cfg!(miri) { 20 } else { 3000 };
    let mut lost = None;
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut session = db.session();
            loop {
                start.wait();
                // Relaxed: ordered by the barrier.
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                push(&mut session, b"k", &[b"a"]);
            }
        });
        let mut session = db.session();
        for round in 0..rounds {
            start.wait();
            let (_, waiter) = session.take_or_wait(pop(&[b"k"]), &mut |_| {});
            let begin = Instant::now();
            while lost.is_none() && waiter.as_ref().is_some_and(|waiter| got(waiter).is_none()) {
                lost = (begin.elapsed() > Duration::from_secs(20)).then_some(round);
                thread::yield_now();
            }
            if lost.is_some() {
                break;
            }
        }
        // Relaxed: as above.
        is_over.store(true, Ordering::Relaxed);
        start.wait();
    });
    assert_eq!(lost, None, "an element came between, in this round");
}

/// Threads push, wait, give up and move at the same time. Each element is taken once.
#[test]
fn each_element_is_taken_once() {
    const PUSHERS: usize = 2;
    const TAKERS: usize = 4;
    const ELEMENTS: usize = if cfg!(miri) { 50 } else { 3000 };
    let db = open();
    let (is_over, taken) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let (sources, all): ([&[u8]; 2], [&[u8]; 3]) = ([b"a", b"b"], [b"a", b"b", b"c"]);
    thread::scope(|scope| {
        for taker in 0..TAKERS {
            let (db, is_over, taken) = (&db, &is_over, &taken);
            scope.spawn(move || {
                let (mut session, mut own) = (db.session(), Vec::new());
                // Relaxed: it stands for itself.
                for round in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    let is_move = taker == 0 || round % 5 == 4;
                    let op =
                        if is_move { move_element(sources[round % 2], b"c") } else { pop(&all) };
                    let mut at_once = None;
                    let (_, waiter) =
                        session.take_or_wait(op, &mut |made| at_once = Some(text(made)));
                    if let Some(waiter) = waiter {
                        // Some are patient, and others give up while they are being served.
                        for _ in 0..round % 300 {
                            if !waiter.waits() {
                                break;
                            }
                            thread::yield_now();
                        }
                        if !waiter.cancel() {
                            // Whoever has claimed it finishes soon.
                            at_once = loop {
                                if let Some(got) = got(&waiter) {
                                    break Some(got);
                                }
                                thread::yield_now();
                            };
                        }
                        session.forget_waiter(&waiter);
                    }
                    if !is_move {
                        own.extend(at_once.and_then(|got| Some(got.split_once(' ')?.1.to_owned())));
                    }
                }
                taken.lock().unwrap().append(&mut own);
            });
        }
        let pushers: Vec<_> = (0..PUSHERS)
            .map(|pusher| {
                let db = &db;
                scope.spawn(move || {
                    let mut session = db.session();
                    for number in 0..ELEMENTS {
                        let element = format!("{pusher}.{number}");
                        push(&mut session, sources[number % 2], &[element.as_bytes()]);
                    }
                })
            })
            .collect();
        for pusher in pushers {
            pusher.join().unwrap();
        }
        // Relaxed: as above.
        is_over.store(true, Ordering::Relaxed);
    });
    let mut session = db.session();
    let mut taken = taken.into_inner().unwrap();
    for key in all {
        taken.extend(list(&mut session, key).split_whitespace().map(str::to_owned));
    }
    assert_eq!(taken.len(), PUSHERS * ELEMENTS, "elements are lost, or taken twice");
    assert_eq!(taken.into_iter().collect::<BTreeSet<_>>().len(), PUSHERS * ELEMENTS);
    assert_eq!(queues(&db), (0, 0), "waiters stay in queues");
}

/// An entry that a reader has been shown is not lost by a crash: its answer waits for the log as that of the change
/// does, although the reader has changed nothing.
#[test]
fn what_a_reader_gets_waits_for_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(Options { shards: 4, ..Options::at(folder.path()) }).unwrap();
    let mut session = db.session();
    let (keys, from): ([&[u8]; 1], _) = ([b"s"], [ReadFrom::New]);
    let read = MultiKeyOp::ReadStreams { keys: &keys, from: &from, count: None, most: usize::MAX };
    let fields: [&[u8]; 2] = [b"f", b"v"];
    let add = StreamChange::Add { id: NewStreamId::Now, fields: &fields, create: true, trim: None };
    let add = [Request::Change(b"s", Change::Stream(add))];
    for in_transaction in [false, true] {
        let waiter = wait(&mut session, read);
        let lsn = if in_transaction {
            match session.transaction(&add, None, &mut |_, _| {}) {
                TransactionOutcome::Done(lsn) => lsn,
                other => panic!("{other:?}"),
            }
        } else {
            session.execute(&add, &mut |_, _| {})
        };
        let Some(WaitOutcome::Served(served)) = waiter.take_outcome() else { panic!("not served") };
        assert_eq!(served.lsn, lsn, "an entry that is not committed is shown");
        db.log().commit(lsn).unwrap();
    }
    assert_eq!(queues(&db), (0, 0));
}

#[test]
fn a_reader_of_a_group_learns_that_its_stream_is_gone() {
    let db = open();
    let mut session = db.session();
    let group = |action| {
        let change = GroupChange { name: b"s", group: b"g", action };
        (change, [&b"s"[..]])
    };
    let (create, _) = group(GroupAction::Create { from: ReadFrom::New, read: None, create: true });
    let create = Request::Change(b"s", Change::Stream(StreamChange::Group(&create)));
    let (read, keys) = group(GroupAction::Read {
        consumer: b"c",
        from: ReadFrom::New,
        count: None,
        no_ack: false,
        most: usize::MAX,
    });
    let read = MultiKeyOp::DeliverStreams { keys: &keys, changes: &[read], most: usize::MAX };
    session.execute(&[create], &mut |_, made| assert_eq!(made, Answer::Done));
    let waiter = wait(&mut session, read);
    session.execute(&[Request::Change(b"s", Change::Delete)], &mut |_, _| {});
    let got = got(&waiter);
    let is_told = got.as_ref().is_some_and(|got| got.contains("UNBLOCKED the stream key"));
    assert!(is_told, "a reader waits for a stream that is gone: {got:?}");
    assert_eq!(queues(&db), (0, 0));
}
