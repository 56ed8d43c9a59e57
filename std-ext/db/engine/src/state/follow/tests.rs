//! Tests of primaries and followers, with logs that the tests control.

use super::*;
use crate::clock::TimeSource;
use crate::log::manual::{ManualEntry, ManualLog};
use crate::log::{Log, change};
use crate::options::{Eviction, Options};
use crate::request::{
    Answer, Change, Expiry, MultiKeyOp, Query, Request, RequestError, SetCondition,
};
use crate::session::{Session, TransactionOutcome};
use crate::state::key_tracker::KeyTracker;
use crate::state::load::LoadingShards;
use crate::state::maintenance::run_cycle;
use crate::state::watched_keys::KeyWatch;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

mod clocks;
mod digests;

/// A node whose log and clock the test controls.
struct Node {
    state: Arc<State>,
    log: Arc<ManualLog>,
    clock: Arc<AtomicU64>,
    session: Session,
}

impl Node {
    fn with(log: ManualLog, shards: usize, time: u64) -> Self {
        let (log, clock) = (Arc::new(log), Arc::new(AtomicU64::new(time)));
        let mut options = Options::in_memory();
        options.shards = shards;
        options.time = TimeSource::Manual(Arc::clone(&clock));
        // Without a database's background tasks, which would come between.
        let (shards, shared) = (LoadingShards::clustered(&options), Arc::clone(&log));
        let state = Arc::new(State::clustered(shards, shared, (0, 0), &options));
        let session = Session::new(Arc::clone(&state));
        Self { state, log, clock, session }
    }

    fn primary(time: u64) -> Self {
        let node = Self::with(ManualLog::trusting(), 4, time);
        node.state.become_primary(time);
        node
    }

    /// A follower with another number of shards than primaries have.
    fn follower(time: u64) -> Self {
        let node = Self::with(ManualLog::trusting(), 8, time);
        node.log.set(|state| state.writable = false);
        node.state.become_follower();
        node
    }

    fn set_time(&self, time: u64) {
        self.clock.store(time, Ordering::Relaxed);
    }

    /// Executes a request. Returns the entry that its answer needs, and the answer as text.
    fn execute(&mut self, request: Request<'_>) -> (Lsn, String) {
        let mut answer = String::new();
        let lsn = self.session.execute(&[request], &mut |_, made| {
            answer = match made {
                Answer::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                made => format!("{made:?}"),
            };
        });
        (lsn, answer)
    }

    fn change(&mut self, key: &str, change: Change<'_>) -> String {
        self.execute(Request::Change(key.as_bytes(), change)).1
    }

    fn set(&mut self, key: &str, value: &str, expiry: Expiry) -> String {
        self.change(key, set(value.as_bytes(), expiry))
    }

    fn get(&mut self, key: &str) -> String {
        self.execute(Request::Read(key.as_bytes(), Query::Value)).1
    }

    fn expiry(&mut self, key: &str) -> String {
        self.execute(Request::Read(key.as_bytes(), Query::Expiry)).1
    }

    fn follow(&self, entries: &[ManualEntry]) -> Result<(), FollowError> {
        let entries: Vec<_> =
            entries.iter().map(|(lsn, time, changes)| (*lsn, *time, &changes[..])).collect();
        self.state.follow(&entries, &|lsn| self.log.publish_last(lsn))
    }

    /// The number of records, expired ones too.
    fn records(&self) -> usize {
        self.state.shards.iter().map(|shard| shard.stats().keys()).sum()
    }
}

fn set(value: &[u8], expiry: Expiry) -> Change<'_> {
    Change::Set { value, condition: SetCondition::Always, expiry, get: false }
}

fn entry(lsn: Lsn, time: u64, encode: impl FnOnce(&mut Vec<u8>)) -> ManualEntry {
    let mut changes = Vec::new();
    encode(&mut changes);
    (lsn, time, changes)
}

#[test]
fn a_follower_has_the_state_of_its_primary() {
    let (mut primary, mut follower) = (Node::primary(1000), Node::follower(1000));
    primary.set("rose", "red", Expiry::Never);
    primary.set("daisy", "white", Expiry::At(5000));
    primary.change("petals", Change::Increment(7));
    primary.change("rose", Change::Append(b" and thorny"));
    let pairs: [(&[u8], &[u8]); 2] = [(b"iris", b"blue"), (b"lily", b"pale")];
    primary.execute(Request::MultiKey(MultiKeyOp::SetAll(&pairs)));
    let rename = MultiKeyOp::Rename { from: b"iris", to: b"flag", if_absent: false };
    primary.execute(Request::MultiKey(rename));
    primary.change("lily", Change::Delete);
    follower.follow(&primary.log.entries()).unwrap();
    for key in ["rose", "daisy", "petals", "iris", "flag", "lily"] {
        assert_eq!(follower.get(key), primary.get(key), "the value of {key}");
        assert_eq!(follower.expiry(key), primary.expiry(key), "the expiration of {key}");
    }
    assert_eq!(follower.log.last(), primary.log.last());
    primary.execute(Request::MultiKey(MultiKeyOp::Clear));
    follower.follow(&primary.log.entries()[follower.log.last() as usize..]).unwrap();
    assert_eq!(follower.records(), 0, "not all keys were removed");
}

#[test]
fn a_transaction_is_one_entry() {
    let (mut primary, mut follower) = (Node::primary(1000), Node::follower(1000));
    primary.set("iris", "blue", Expiry::Never);
    let rename = MultiKeyOp::Rename { from: b"iris", to: b"flag", if_absent: false };
    let requests = [
        Request::Change(b"rose", set(b"red", Expiry::Never)),
        Request::Change(b"daisy", set(b"white", Expiry::Never)),
        Request::MultiKey(rename),
        Request::Change(b"petals", Change::Increment(7)),
        Request::Read(b"rose", Query::Value),
    ];
    let outcome = primary.session.transaction(&requests, None, &mut |_, _| {});
    assert_eq!(outcome, TransactionOutcome::Done(2), "the entry that the answers need");
    assert_eq!(primary.log.entries().len(), 2, "entries of the log");
    follower.follow(&primary.log.entries()).unwrap();
    for key in ["rose", "daisy", "petals", "iris", "flag"] {
        assert_eq!(follower.get(key), primary.get(key), "the value of {key}");
    }
    // A follower makes transactions of reads only, and notices what the primary changes.
    let mut watch = KeyWatch::default();
    assert!(follower.session.watch_keys(&mut watch, &[b"rose"]));
    let mut read = |watch: &KeyWatch| {
        follower.session.transaction(&requests[4..], Some(watch), &mut |_, found| {
            assert_eq!(found, Answer::Bytes(b"red"));
        })
    };
    assert_eq!(read(&watch), TransactionOutcome::Done(2));
    let refused = TransactionOutcome::Refused(RequestError::NotPrimary, 0);
    primary.set("rose", "white", Expiry::Never);
    follower.follow(&primary.log.entries()[2..]).unwrap();
    let mut execute =
        |requests| follower.session.transaction(requests, Some(&watch), &mut |_, _| {});
    assert_eq!(execute(&requests[4..]), TransactionOutcome::Conflict);
    assert_eq!(execute(&requests), refused);
}

/// Notes what it learns, as text.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl KeyTracker for Told {
    fn keys_changed(&self, keys: &[&[u8]], by_server: bool) {
        let text = |key: &&[u8]| String::from_utf8_lossy(key).into_owned();
        let keys = keys.iter().map(text).collect::<Vec<_>>().join(" ");
        self.0.lock().unwrap().push(if by_server { format!("server: {keys}") } else { keys });
    }

    fn all_changed(&self) {
        self.0.lock().unwrap().push("all".into());
    }
}

/// Clients that read at a follower learn of keys that the primary changes, and of slots that the group loses.
#[test]
fn a_follower_reports_changed_keys() {
    let (mut primary, follower) = (Node::primary(1000), Node::follower(1000));
    let told = Arc::new(Told::default());
    follower.state.tracked.set_tracker(told.clone());
    let take = || std::mem::take(&mut *told.0.lock().unwrap());
    primary.set("daisy", "white", Expiry::Never);
    follower.follow(&primary.log.entries()).unwrap();
    assert_eq!(take(), [""; 0], "a change is reported although no client tracks keys");
    follower.state.tracked.clients().set(1);
    primary.set("rose", "red", Expiry::At(5000));
    follower.follow(&primary.log.entries()[1..]).unwrap();
    assert_eq!(take(), ["rose"], "a change of the primary is not reported");
    let own = slot(b"rose");
    let lost = SlotSet::of_range(own..own + 1);
    follower.follow(&[entry(3, 1001, |to| change::out(7, lost.bits(), to))]).unwrap();
    assert_eq!(take(), ["all"], "the loss of slots is not reported");
}

/// The requests of a transaction share the room of one entry.
#[test]
fn transactions_are_bounded() {
    let mut primary = Node::with(ManualLog::bounded(1000, 2000), 4, 1000);
    primary.state.become_primary(1000);
    let value = [b'v'; 500];
    let one = Request::Change(b"rose", set(&value, Expiry::Never));
    let refused = TransactionOutcome::Refused(RequestError::EntryTooLong, 0);
    let mut execute = |requests: &[Request<'_>]| {
        let mut answers = Vec::new();
        let outcome = primary
            .session
            .transaction(requests, None, &mut |_, made| answers.push(format!("{made:?}")));
        (outcome, answers)
    };
    assert_eq!(execute(&[one; 3]).0, TransactionOutcome::Done(1));
    assert_eq!(execute(&[one; 4]).0, refused);
    // A rename between two slots logs the value.
    let rename =
        Request::MultiKey(MultiKeyOp::Rename { from: b"rose", to: b"iris", if_absent: false });
    let (outcome, answers) = execute(&[one, one, one, rename]);
    assert_eq!((outcome, &*answers[3]), (TransactionOutcome::Done(2), "Error(EntryTooLong)"));
    assert_eq!(execute(&[one, one, rename]).1, ["Done"; 3]);
}

#[test]
fn the_last_entry_is_published_under_the_locks() {
    let follower = Node::follower(1000);
    let state = Arc::clone(&follower.state);
    let set = entry(1, 1000, |log| change::set(b"rose", b"red", Expiry::Never, log));
    let shard = state.shard_of(b"rose");
    let was_locked = AtomicU64::new(0);
    let publish = |lsn| {
        assert!(state.shards[shard].try_lock().is_none(), "a snapshot may come between");
        was_locked.store(lsn, Ordering::Relaxed);
        follower.log.publish_last(lsn);
    };
    follower.state.follow(&[(1, 1000, &set.2)], &publish).unwrap();
    assert_eq!(was_locked.into_inner(), 1);
}

#[test]
fn an_entry_that_cannot_be_read_changes_nothing() {
    let mut follower = Node::follower(1000);
    let mut entries = vec![
        entry(1, 1000, |log| change::set(b"rose", b"red", Expiry::Never, log)),
        entry(2, 1000, |log| change::set(b"rose", b"white", Expiry::Never, log)),
    ];
    // A kind that no version knows yet, behind a change that it knows.
    entries[1].2.push(200);
    assert!(matches!(follower.follow(&entries), Err(FollowError::Unknown(2, _))));
    assert_eq!((follower.get("rose").as_str(), follower.log.last()), ("red", 1));
    let after_a_gap = entry(3, 1000, |log| change::delete(b"rose", log));
    let gap = FollowError::Gap { expected: 2, found: 3 };
    assert_eq!(follower.follow(&[after_a_gap]), Err(gap));
    let no_number = entry(2, 1000, |log| change::add(b"rose", 1, log));
    assert!(matches!(follower.follow(&[no_number]), Err(FollowError::Impossible(2, _))));
    let no_slots = entry(2, 1000, |log| change::clear(5..20_000, log));
    assert!(matches!(follower.follow(&[no_slots]), Err(FollowError::Unknown(2, _))));
}

/// Entries of different shards have times out of order, and the follower's own clock is ahead.
#[test]
fn followers_remove_expired_keys_by_the_watermark_only() {
    let mut follower = Node::follower(1_000_000);
    let before = [
        entry(1, 90, |log| change::set(b"petals", b"5", Expiry::At(103), log)),
        entry(2, 105, |log| change::set(b"rose", b"red", Expiry::Never, log)),
    ];
    follower.follow(&before).unwrap();
    run_cycle(&follower.state);
    assert_eq!(follower.get("petals"), "Nil", "reads hide expired keys by the own clock");
    follower.follow(&[entry(3, 100, |log| change::add(b"petals", 1, log))]).unwrap();
    follower.set_time(100);
    run_cycle(&follower.state);
    assert_eq!(
        (follower.get("petals"), follower.expiry("petals")),
        ("6".into(), "ExpiresAt(Some(103))".into()),
        "a key that the primary still had was removed"
    );
    follower.follow(&[entry(4, 102, |log| change::watermark(102, log))]).unwrap();
    run_cycle(&follower.state);
    assert_eq!(follower.records(), 2);
    follower.follow(&[entry(5, 104, |log| change::begin(2, &[1; 20], log))]).unwrap();
    run_cycle(&follower.state);
    assert_eq!(follower.records(), 1, "keys that expired by the watermark stay");
}

#[test]
fn the_primary_logs_watermarks_while_followers_have_keys_to_remove() {
    let mut primary = Node::primary(1000);
    let watermarks = |node: &Node| -> Vec<u64> {
        let entries = node.log.entries();
        let all = entries.iter().flat_map(|(_, _, changes)| LoggedChanges::new(changes));
        let watermark =
            |change| if let Ok(LoggedOp::Watermark(at)) = change { Some(at) } else { None };
        all.filter_map(watermark).collect()
    };
    run_cycle(&primary.state);
    assert_eq!(watermarks(&primary), [0_u64; 0], "there is nothing to remove");
    primary.set("rose", "red", Expiry::At(4000));
    for (time, wanted) in [
        (1500, &[1500][..]),
        (2499, &[1500]),
        (2500, &[1500, 2500]),
        // The key is removed, and a last watermark tells followers.
        (5000, &[1500, 2500, 5000]),
        (9000, &[1500, 2500, 5000]),
    ] {
        primary.set_time(time);
        run_cycle(&primary.state);
        assert_eq!(watermarks(&primary), wanted, "watermarks at {time}");
    }
    let follower = Node::follower(0);
    follower.follow(&primary.log.entries()).unwrap();
    run_cycle(&follower.state);
    assert_eq!((primary.records(), follower.records()), (0, 0), "an expired key stays");
}

/// A thread that makes a change has read the time before the watermark, and appends after it.
#[test]
fn a_watermark_waits_for_changes_in_progress() {
    let mut primary = Node::primary(1000);
    primary.set("rose", "red", Expiry::At(100_000));
    primary.set_time(3000);
    let state = Arc::clone(&primary.state);
    let last = state.shards.len() - 1;
    let mut core = state.shards[last].lock();
    let time = core.advance_time(state.clock.now());
    primary.set_time(8000);
    let (sender, done) = mpsc::channel();
    let of_thread = Arc::clone(&state);
    let thread = thread::spawn(move || {
        of_thread.log_watermark_if_due();
        sender.send(()).unwrap();
    });
    let early = done.recv_timeout(Duration::from_millis(100));
    assert!(early.is_err(), "a watermark came before a change that has an earlier time");
    let mut changed = Vec::new();
    change::add(b"x", 1, &mut changed);
    state.log.append(time, &changed).unwrap();
    drop(core);
    done.recv().unwrap();
    thread.join().unwrap();
    let entries = primary.log.entries();
    assert_eq!(entries[entries.len() - 2].1, 3000);
    assert_eq!(entries[entries.len() - 1].1, 8000);
}

#[test]
fn a_primary_whose_clock_is_behind_counts_from_the_last_entry() {
    let mut node = Node::follower(2000);
    node.follow(&[entry(1, 10_000, |log| change::set(b"rose", b"red", Expiry::Never, log))])
        .unwrap();
    node.follow(&[entry(2, 10_000, |log| change::begin(2, &[1; 20], log))]).unwrap();
    node.state.become_primary(10_000);
    node.log.set(|state| state.writable = true);
    let end = node.session.now() + 3000;
    assert_eq!(node.set("rose", "white", Expiry::At(end)), "Done");
    assert_eq!(node.get("rose"), "white", "a value with a time to live was not stored");
    // The clock is followed, and the key does not expire sooner than the client has asked.
    run_cycle(&node.state);
    assert_eq!((node.session.now(), node.get("rose").as_str()), (2000, "white"));
}

#[test]
fn a_node_that_was_the_primary_follows_none_that_begins_earlier() {
    let mut node = Node::primary(5000);
    node.set("rose", "red", Expiry::Never);
    node.set_time(9000);
    node.set("daisy", "white", Expiry::Never);
    node.log.set(|state| state.writable = false);
    let down = node.state.step_down();
    assert_eq!((down.last, down.time), (2, 9000));
    let begin = |time| entry(3, time, |log| change::begin(2, &[1; 20], log));
    let went_back = FollowError::TimeWentBack { entry: 3, begins: 8999, removed: 9000 };
    assert_eq!(node.follow(&[begin(8999)]), Err(went_back), "keys that it lacks may be changed");
    node.follow(&[begin(9000)]).unwrap();
    assert_eq!(node.state.role.get(), Role::Follower);
}

/// The hand-over of a primary fails, and its clock was set back meanwhile.
#[test]
fn a_primary_that_stays_begins_behind_its_watermarks() {
    let mut node = Node::primary(9000);
    node.set("rose", "red", Expiry::At(20_000));
    node.set_time(9500);
    run_cycle(&node.state);
    assert_eq!(node.state.watermark(), 9500);
    node.log.set(|state| state.writable = false);
    node.state.step_down();
    node.set_time(1000);
    run_cycle(&node.state);
    node.state.become_primary(0);
    node.log.set(|state| state.writable = true);
    node.set("daisy", "white", Expiry::Never);
    let (_, time, _) = node.log.entries().pop().unwrap();
    assert_eq!(time, 9500, "an entry is before the watermark");
}

/// A snapshot without a key that the primary has removed by its own clock would lose it: a successor may still have it.
#[test]
fn a_snapshot_counts_only_behind_the_removals_of_its_node() {
    let mut node = Node::primary(1000);
    node.set("rose", "red", Expiry::At(1400));
    node.set_time(1500);
    run_cycle(&node.state);
    let watermarks = node.log.last();
    assert!(node.state.seal_snapshot());
    assert!(
        node.log.last() > watermarks && node.state.watermark() == 1500,
        "no watermark is behind it"
    );
    node.set_time(1900);
    run_cycle(&node.state);
    node.log.set(|state| state.writable = false);
    assert!(!node.state.seal_snapshot(), "the watermark cannot be logged");
    node.state.step_down();
    assert!(!node.state.seal_snapshot(), "a successor may begin at 1500");
    let last = node.log.last() + 1;
    node.follow(&[entry(last, 1900, |log| change::begin(2, &[1; 20], log))]).unwrap();
    assert!(node.state.seal_snapshot());
}

#[test]
fn followers_change_nothing() {
    let mut follower = Node::follower(1000);
    let log = entry(1, 1000, |log| change::set(b"rose", b"red", Expiry::Never, log));
    follower.follow(&[log]).unwrap();
    // Not even if the log would take it.
    follower.log.set(|state| state.writable = true);
    let refused = format!("{:?}", Answer::Error(RequestError::NotPrimary));
    assert_eq!(
        follower.set("rose", "white", Expiry::Never),
        refused,
        "a follower has changed a key"
    );
    let (_, answer) = follower.execute(Request::MultiKey(MultiKeyOp::Clear));
    assert_eq!(answer, refused, "a follower has removed all keys");
    follower.state.limit.set_eviction(Eviction::Lru, 0);
    follower.state.limit.set_bytes(1);
    run_cycle(&follower.state);
    assert_eq!(follower.get("rose"), "red", "a follower has evicted a key");
    assert_eq!(follower.log.last(), 1);
    // A read behind a change of the same shard is answered under the lock.
    let requests = [Request::Change(b"rose", Change::Delete), Request::Read(b"rose", Query::Value)];
    let mut answers = Vec::new();
    follower.session.execute(&requests, &mut |_, made| answers.push(format!("{made:?}")));
    assert_eq!(answers, [refused, format!("{:?}", Answer::Bytes(b"red"))]);
}

#[test]
fn a_read_waits_for_its_slot_only() {
    let mut primary = Node::with(ManualLog::trusting(), 1, 1000);
    primary.state.become_primary(1000);
    primary.set("rose", "red", Expiry::Never);
    primary.set("daisy", "white", Expiry::Never);
    let read =
        |node: &mut Node, key: &str| node.execute(Request::Read(key.as_bytes(), Query::Value)).0;
    assert_eq!((read(&mut primary, "rose"), read(&mut primary, "daisy")), (1, 2));
    let condition = SetCondition::IfAbsent;
    let absent = Change::Set { value: b"", condition, expiry: Expiry::Never, get: false };
    assert_eq!(primary.execute(Request::Change(b"rose", absent)), (1, "Nil".into()));
    let several = [b"rose", b"none"].map(|key| Request::MultiRead(&key[..], Query::Exists, 2));
    assert_eq!(primary.session.execute(&several, &mut |_, _| {}), 1);
    primary.execute(Request::MultiKey(MultiKeyOp::Clear));
    assert_eq!(read(&mut primary, "rose"), 3);
}

/// A reader that has seen a state gets the mark of that state or of a later one.
#[test]
fn a_read_waits_for_the_entry_that_it_saw() {
    let mut writer = Node::with(ManualLog::trusting(), 1, 1000);
    writer.state.become_primary(1000);
    let mut reader = Session::new(Arc::clone(&writer.state));
    let done = AtomicU64::new(0);
    thread::scope(|scope| {
        let reading = scope.spawn(|| {
            while done.load(Ordering::Relaxed) == 0 {
                let mut value = 0;
                let read = [Request::Read(b"petals", Query::Value)];
                let lsn = reader.execute(&read, &mut |_, found| {
                    if let Answer::Bytes(bytes) = found {
                        value = std::str::from_utf8(bytes).unwrap().parse().unwrap();
                    }
                });
                assert!(lsn >= value, "entry {value} was seen, but the answer waits for {lsn}");
            }
        });
        // Each addition is an entry, so the sum is the entry's number.
        for _ in 0..50_000 {
            writer.change("petals", Change::Increment(1));
            writer.log.set(|state| state.entries.clear());
        }
        done.store(1, Ordering::Relaxed);
        reading.join().unwrap();
    });
}

#[test]
fn entries_and_requests_are_bounded() {
    let mut node = Node::with(ManualLog::bounded(100, 50), 1, 1000);
    node.state.become_primary(1000);
    let long = [b'x'; 60];
    let too_long = format!("{:?}", Answer::Error(RequestError::EntryTooLong));
    for change in [
        set(&long, Expiry::Never),
        Change::Append(&long),
        Change::SetRange { offset: 5, bytes: &long },
    ] {
        assert_eq!(node.change("rose", change), too_long, "the log cannot take it");
    }
    let pairs: [(&[u8], &[u8]); 2] = [(b"a", &long[..25]), (b"b", &long[..25])];
    let (_, answer) = node.execute(Request::MultiKey(MultiKeyOp::SetAll(&pairs)));
    assert_eq!(answer, too_long, "several keys exceed the bound together");
    assert_eq!((node.records(), node.log.last()), (0, 0), "something was changed");
    // A pipeline is split into entries.
    let requests = [Request::Change(b"rose", Change::Append(&long[..40])); 10];
    node.session.execute(&requests, &mut |_, _| {});
    let lengths: Vec<usize> = node.log.entries().iter().map(|(_, _, log)| log.len()).collect();
    assert!(lengths.len() > 2 && lengths.iter().all(|length| *length < 150), "{lengths:?}");
    // Keys of two slots: followers that write a snapshot need the value in the entry.
    let rename = MultiKeyOp::Rename { from: b"rose", to: b"daisy", if_absent: false };
    let (_, answer) = node.execute(Request::MultiKey(rename));
    assert_eq!(answer, too_long, "an entry with a long value was made");
    assert_eq!(node.execute(Request::Read(b"rose", Query::Length)).1, "Int(400)");
    let rename = MultiKeyOp::Rename { from: b"rose", to: b"{rose}", if_absent: false };
    assert_eq!(node.execute(Request::MultiKey(rename)).1, "Done");
}
