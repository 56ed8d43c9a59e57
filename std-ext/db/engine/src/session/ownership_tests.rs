//! Tests of requests for slots that the node's group has, has not, gets or loses.

use super::{Session, TransactionOutcome};
use crate::log::none::NoLog;
use crate::options::Options;
use crate::request::{
    Answer, Change, Expiry, MultiKeyOp, Query, Request, RequestError, SetCondition,
};
use crate::slots::slot;
use crate::state::State;
use crate::state::load::LoadingShards;
use crate::state::watched_keys::KeyWatch;
use std::sync::Arc;

/// Two keys of one slot, and one of another slot.
const KEYS: [&[u8]; 3] = [b"{a}1", b"{a}2", b"b"];
const REFUSED: &str = "Error(SlotNotOwned)";

/// The primary of a group that has all slots at first.
fn primary() -> Arc<State> {
    let options = Options { shards: 4, ..Options::in_memory() };
    let shards = LoadingShards::clustered(&options);
    let state = State::clustered(shards, Arc::new(NoLog::new()), (0, 0), &options);
    state.become_primary(1);
    Arc::new(state)
}

/// Gives the group the slot of a key, or takes it away.
fn own(state: &State, key: &[u8], owned: bool) {
    let _cores = state.lock_all(vec![state.shard_of(key)]);
    state.ownership.set(slot(key), owned);
}

fn set(value: &[u8]) -> Change<'_> {
    Change::Set { value, condition: SetCondition::Always, expiry: Expiry::Never, get: false }
}

/// Changes a key without a session, also one of another group: as an entry of the log would.
fn apply(state: &State, key: &[u8], change: &Change<'_>) {
    let shard = &state.shards[state.shard_of(key)];
    let (mut core, mut log) = (shard.lock(), Vec::new());
    let time = core.advance_time(state.clock.now());
    crate::state::apply_change(&mut core, (time, false), key, change, &mut log, &mut |_| {});
    state.log_and_publish(shard, &mut core, time, &log);
}

/// Executes requests, and returns the answers as texts.
fn execute(session: &mut Session, requests: &[Request<'_>]) -> Vec<String> {
    let mut answers = vec![String::new(); requests.len()];
    session.execute(requests, &mut |number, answer| {
        answers[number] = match answer {
            Answer::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            answer => format!("{answer:?}"),
        };
    });
    answers
}

#[test]
fn requests_for_slots_of_other_groups_are_refused_and_change_nothing() {
    let state = primary();
    let mut session = Session::new(Arc::clone(&state));
    let [one, two, other] = KEYS;
    for key in KEYS {
        apply(&state, key, &set(b"red"));
    }
    let last = state.log.last();
    own(&state, one, false);
    let pairs: [(&[u8], &[u8]); 2] = [(other, b"x"), (one, b"x")];
    let rename = |from, to| MultiKeyOp::Rename { from, to, if_absent: false };
    let refused = [
        Request::Read(one, Query::Value),
        Request::Read(b"{a}missing", Query::Exists),
        Request::Change(one, set(b"white")),
        // A read behind a change waits with it.
        Request::Read(one, Query::Value),
        Request::Change(two, Change::Delete),
        Request::Change(b"{a}3", Change::Increment(1)),
        Request::MultiKey(MultiKeyOp::SetAll(&pairs)),
        Request::MultiKey(MultiKeyOp::SetAllIf {
            pairs: &pairs,
            exist: Some(false),
            expiry: Expiry::Never,
        }),
        Request::MultiKey(MultiKeyOp::SetAllIf {
            pairs: &pairs,
            exist: None,
            expiry: Expiry::Never,
        }),
        Request::MultiKey(MultiKeyOp::DeleteAll(&[other, two])),
        Request::MultiKey(rename(other, b"{a}3")),
        Request::MultiKey(rename(one, b"c")),
    ];
    for request in refused {
        assert_eq!(execute(&mut session, &[request]), [REFUSED], "{request:?}");
    }
    assert!(execute(&mut session, &refused).iter().all(|answer| answer == REFUSED));
    let several = [Request::MultiRead(other, Query::Value, 2), Request::Read(two, Query::Value)];
    assert_eq!(execute(&mut session, &several), [REFUSED; 2], "a part of a snapshot");
    assert_eq!(state.log.last(), last, "something was changed");

    let mut transact = |requests: &[Request<'_>], watch: &KeyWatch| {
        session.transaction(requests, Some(watch), &mut |_, _| panic!("it was executed"))
    };
    let nothing = KeyWatch::default();
    let lost = TransactionOutcome::Refused(RequestError::SlotNotOwned, 1);
    for request in refused {
        let requests = [Request::Change(other, set(b"x")), request];
        assert_eq!(transact(&requests, &nothing), lost, "{request:?}");
    }
    let mut watch = KeyWatch::default();
    assert!(session.watch_keys(&mut watch, &[other, one]));
    let mut transact = |requests: &[Request<'_>]| {
        session.transaction(requests, Some(&watch), &mut |_, _| panic!("it was executed"))
    };
    let outcome = transact(&[Request::Change(other, set(b"x"))]);
    assert_eq!(outcome, TransactionOutcome::Conflict, "a watched key is another group's");
    assert_eq!(state.log.last(), last, "something was changed");

    let mixed =
        [Request::Change(one, set(b"white")), Request::Change(other, set(b"white")), several[1]];
    assert_eq!(execute(&mut session, &mixed), [REFUSED, "Done", REFUSED]);
    own(&state, one, true);
    let reads = KEYS.map(|key| Request::Read(key, Query::Value));
    assert_eq!(execute(&mut session, &reads), ["red", "red", "white"]);
    assert_eq!(execute(&mut session, &mixed), ["Done", "Done", "red"]);
    assert_eq!(RequestError::SlotNotOwned.to_string().matches("another group").count(), 1);
}

/// A read of one key, and one of two keys in one snapshot.
fn reads() -> [Vec<Request<'static>>; 2] {
    let [one, two, _] = KEYS;
    let several = vec![Request::MultiRead(two, Query::Value, 2), Request::Read(one, Query::Value)];
    [vec![Request::Read(one, Query::Value)], several]
}

#[test]
fn a_read_is_answered_from_before_its_slot_was_lost() {
    for requests in reads() {
        let state = primary();
        let mut session = Session::new(Arc::clone(&state));
        let [one, two, _] = KEYS;
        apply(&state, two, &set(b"red"));
        apply(&state, one, &set(b"red"));
        let losing = Arc::clone(&state);
        let lose = move || {
            own(&losing, one, false);
            apply(&losing, one, &Change::Delete);
        };
        state.ownership.set_hook(true, Box::new(lose));
        let answers = execute(&mut session, &requests);
        assert!(answers.iter().all(|answer| answer == "red"), "a key was read after it was gone");
        let answers = execute(&mut session, &requests);
        assert!(answers.iter().all(|answer| answer == REFUSED), "{answers:?}");
    }
}

#[test]
fn a_read_that_began_before_its_slot_came_looks_again() {
    for requests in reads() {
        let state = primary();
        let mut session = Session::new(Arc::clone(&state));
        let [one, two, _] = KEYS;
        own(&state, one, false);
        apply(&state, two, &set(b"red"));
        let getting = Arc::clone(&state);
        let get = move || {
            apply(&getting, one, &set(b"red"));
            own(&getting, one, true);
        };
        state.ownership.set_hook(false, Box::new(get));
        let answers = execute(&mut session, &requests);
        assert!(answers.iter().all(|answer| answer == "red"), "a key that had come is missing");
    }
}

#[test]
fn a_snapshot_that_cannot_be_taken_without_locks_is_checked_under_them() {
    let state = primary();
    let mut session = Session::new(Arc::clone(&state));
    let [one, two, _] = KEYS;
    apply(&state, one, &set(b"red"));
    let requests = &reads()[1];
    let shard = &state.shards[state.shard_of(two)];
    // As if a thread published without end.
    shard.stats().begin_publish();
    let present = execute(&mut session, requests);
    own(&state, one, false);
    let refused = execute(&mut session, requests);
    shard.stats().end_publish();
    assert_eq!(
        (present, refused),
        (vec!["Nil".to_owned(), "red".to_owned()], vec![REFUSED.to_owned(); 2])
    );
}
