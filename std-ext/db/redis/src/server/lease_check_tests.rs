//! Tests of when replies of a cluster's primary are sent, with a log that tests control.

use super::tests::{expect, expect_silence, run_server};
use super::*;
use crate::test_support::primary;
use hedgerow_db_engine::Error;
use hedgerow_db_engine::log::manual::ManualLog;
use hedgerow_db_engine::log::{Log, LogError};
use hedgerow_db_engine::request::RequestError;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
#[cfg(feature = "metrics")]
use std::time::Instant;

/// Runs a server of one thread, the primary of a cluster, until the test is done.
pub(super) fn serve(test: impl FnOnce(&ManualLog, &dyn Fn() -> TcpStream)) {
    let log = Arc::new(ManualLog::trusting());
    let config = ServerConfig { threads: 1, ..ServerConfig::default() };
    let server = Server::bind(primary(&log), config).unwrap();
    run_server(server, |_, connect| test(&log, connect));
}

/// Checks that the server closes a connection without another byte.
pub(super) fn expect_close(client: &mut TcpStream, why: &str) {
    let mut rest = Vec::new();
    let ended = client.read_to_end(&mut rest);
    assert_eq!(String::from_utf8_lossy(&rest), "", "{why}");
    ended.expect("the connection was not closed");
}

#[test]
fn a_reply_waits_for_its_entry_and_its_lease_check() {
    serve(|log, connect| {
        let (mut one, mut two) = (connect(), connect());
        log.set(|state| (state.committed, state.confirmed) = (0, 0));
        one.write_all(b"SET rose red\r\n").unwrap();
        log.wait_until(|state| state.requested >= 1);
        log.set(|state| state.committed = 1);
        // The next change is made after the worker has heard of that.
        two.write_all(b"GET rose\r\nSET daisy white\r\n").unwrap();
        log.wait_until(|state| state.requested >= 2);
        expect_silence(&mut one);
        log.set(|state| state.confirmed = 2);
        expect(&mut one, "+OK\r\n");
        expect_silence(&mut two);
        log.set(|state| state.confirmed = 3);
        let mut three = connect();
        three.write_all(b"SET daisy pale\r\n").unwrap();
        log.wait_until(|state| state.requested >= 3);
        expect_silence(&mut two);
        log.set(|state| state.committed = 2);
        expect(&mut two, "$3\r\nred\r\n+OK\r\n");
        log.set(|state| (state.committed, state.confirmed) = (3, 4));
        expect(&mut three, "+OK\r\n");
    });
}

/// A reply that shows nothing new needs no entry, but a lease check.
#[test]
fn reads_and_refused_changes_wait_for_their_lease_check() {
    serve(|log, connect| {
        let (mut one, mut two) = (connect(), connect());
        one.write_all(b"SET rose red\r\n").unwrap();
        expect(&mut one, "+OK\r\n");
        // The change was evaluated at 2. Later evaluations are not confirmed.
        log.set(|state| (state.committed, state.confirmed, state.now) = (1, 2, 2));
        one.write_all(b"SETNX rose white\r\n").unwrap();
        let mut other = connect();
        other.write_all(b"GET rose\r\n").unwrap();
        two.write_all(b"SET daisy white\r\n").unwrap();
        log.wait_until(|state| state.requested >= 2);
        expect_silence(&mut one);
        log.set(|state| state.confirmed = 4);
        expect(&mut one, ":0\r\n");
        expect(&mut other, "$3\r\nred\r\n");
        log.set(|state| state.committed = 2);
        expect(&mut two, "+OK\r\n");
    });
}

/// While nothing can be confirmed, an operator can look at the primary, and clients are told of their mistakes.
#[test]
fn replies_that_show_no_data_need_no_lease_check() {
    serve(|log, connect| {
        let (mut one, mut two) = (connect(), connect());
        log.set(|state| (state.committed, state.confirmed) = (0, 0));
        // The first call of `check_lease` would find everything confirmed.
        log.set(|state| state.confirmed_after = Some(0));
        one.write_all(b"PING\r\n").unwrap();
        expect(&mut one, "+PONG\r\n");
        log.set(|state| {
            assert_eq!(state.confirmed, 0, "a cycle without data requests a lease check");
            state.confirmed_after = None;
        });
        one.write_all(b"PING\r\nNOTHING\r\nPING too many words\r\nINFO nothing\r\n").unwrap();
        expect(&mut one, "+PONG\r\n-ERR unknown command 'NOTHING', with args beginning with: \r\n");
        expect(&mut one, "-ERR wrong number of arguments for 'ping' command\r\n");
        expect(&mut one, "$0\r\n\r\n");
        // In the same pipeline with a read, and behind one. A transaction shows what its commands read.
        two.write_all(b"PING\r\nGET rose\r\nPING\r\n").unwrap();
        let mut three = connect();
        three.write_all(b"MULTI\r\nGET rose\r\nPING\r\nPING\r\nPING\r\nEXEC\r\n").unwrap();
        // When the server has answered another client, it has executed them.
        let mut answer = || {
            one.write_all(b"PING\r\n").unwrap();
            expect(&mut one, "+PONG\r\n");
        };
        answer();
        two.write_all(b"PING\r\n").unwrap();
        answer();
        [&mut two, &mut three].into_iter().for_each(expect_silence);
        log.set(|state| state.confirmed = u64::MAX);
        expect(&mut two, "+PONG\r\n$-1\r\n+PONG\r\n+PONG\r\n");
        expect(&mut three, "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*4\r\n$-1\r\n");
    });
}

/// The entry of the same number in the next epoch is another one.
#[test]
fn no_reply_outlives_its_epoch() {
    serve(|log, connect| {
        let (mut one, mut two) = (connect(), connect());
        log.set(|state| state.committed = 0);
        one.write_all(b"SET rose red\r\n").unwrap();
        log.wait_until(|state| state.requested >= 1);
        // When the worker has answered another client, it has parked the reply.
        two.write_all(b"PING\r\n").unwrap();
        expect(&mut two, "+PONG\r\n");
        log.set(|state| (state.epoch, state.committed) = (2, 9));
        expect_close(&mut one, "a reply outlives its epoch");
        two.write_all(b"GET rose\r\n").unwrap();
        expect(&mut two, "$3\r\nred\r\n");
        // Nor do replies that wait only for their lease check. The change moves the time on.
        log.set(|state| state.confirmed = 0);
        two.write_all(b"GET rose\r\nSET rose white\r\n").unwrap();
        log.wait_until(|state| state.last >= 2);
        log.set(|state| (state.epoch, state.confirmed) = (3, u64::MAX));
        expect_close(&mut two, "a read outlives its epoch");
    });
}

/// The epoch ends while a request is evaluated.
#[test]
fn a_reply_belongs_to_the_epoch_from_before_its_evaluation() {
    serve(|log, connect| {
        let mut client = connect();
        log.set(|state| state.epoch_after_append = Some(2));
        client.write_all(b"SET rose red\r\n").unwrap();
        expect_close(&mut client, "a reply of an epoch that ended meanwhile is sent");
    });
}

/// A lease check as of an earlier time does not cover a later evaluation.
#[test]
fn the_time_of_an_evaluation_is_that_of_its_end() {
    serve(|log, connect| {
        let (mut one, mut two) = (connect(), connect());
        // The change moves the time on to 2.
        log.set(|state| state.confirmed = 1);
        one.write_all(b"SET rose red\r\n").unwrap();
        log.wait_until(|state| state.last >= 1);
        // Served in a later cycle.
        two.write_all(b"SET daisy white\r\n").unwrap();
        log.wait_until(|state| state.last >= 2);
        expect_silence(&mut one);
        log.set(|state| state.confirmed = 3);
        expect(&mut one, "+OK\r\n");
        expect(&mut two, "+OK\r\n");
    });
}

/// Between any two questions of the worker.
#[test]
fn a_lease_check_may_pass_at_any_moment() {
    for calls in 0..8 {
        serve(|log, connect| {
            log.set(|state| (state.confirmed, state.confirmed_after) = (0, Some(calls)));
            let mut client = connect();
            client.write_all(b"SET rose red\r\n").unwrap();
            expect(&mut client, "+OK\r\n");
        });
    }
}

#[test]
fn clients_are_not_read_while_too_much_waits_for_the_log() {
    serve(|log, connect| {
        let mut client = connect();
        // When the worker has answered, it reads this client in a later cycle only.
        client.write_all(b"PING\r\n").unwrap();
        expect(&mut client, "+PONG\r\n");
        log.set(|state| state.backlog = (8 << 20) + 1);
        client.write_all(b"SET rose red\r\n").unwrap();
        // A server that reads has executed the change by then.
        thread::sleep(Duration::from_millis(200));
        assert_eq!(log.last(), 0, "a change was read though too much waits");
        log.set(|state| state.backlog = 8 << 20);
        expect(&mut client, "+OK\r\n");
    });
}

#[test]
fn a_full_log_refuses_changes_and_answers_reads() {
    serve(|log, connect| {
        let mut client = connect();
        log.set(|state| state.full = true);
        client.write_all(b"SET rose red\r\nGET rose\r\nMSET rose red daisy white\r\n").unwrap();
        let refused = "-MISCONF The storage quota of the cluster's etcd is nearly used up: changes are refused. \
                       Check the server's log for details.\r\n";
        expect(&mut client, &format!("{refused}$-1\r\n{refused}"));
        log.set(|state| state.full = false);
        client.write_all(b"SET rose red\r\n").unwrap();
        expect(&mut client, "+OK\r\n");
    });
}

#[test]
fn a_full_log_is_told_to_embedded_callers() {
    let log = Arc::new(ManualLog::trusting());
    let db = primary(&log);
    log.set(|state| state.full = true);
    for refused in [db.set("rose", "red"), db.clear()] {
        let is_told = matches!(refused, Err(Error::Request(RequestError::LogFull)));
        assert!(is_told, "another reason is told: {refused:?}");
    }
    log.set(|state| state.full = false);
    db.set("rose", "red").unwrap();
}

#[test]
fn embedded_callers_wait_for_their_lease_check() {
    let log = Arc::new(ManualLog::trusting());
    let db = primary(&log);
    db.set("rose", "red").unwrap();
    log.set(|state| state.confirmed = 0);
    thread::scope(|scope| {
        let reading = scope.spawn(|| db.get("rose"));
        thread::sleep(Duration::from_millis(50));
        assert!(!reading.is_finished(), "an answer is given without its lease check");
        log.set(|state| state.confirmed = u64::MAX);
        assert_eq!(reading.join().unwrap().unwrap().as_deref(), Some(&b"red"[..]));
    });
    log.set(|state| state.epoch_after_append = Some(2));
    let outcome = db.set("rose", "white");
    let is_refused = matches!(outcome, Err(Error::Log(LogError::Deposed)));
    assert!(is_refused, "an answer of an epoch that ended meanwhile is given: {outcome:?}");
}

/// A worker that waits for a lock does not turn. One that waits for clients does, because the check wakes it.
#[cfg(feature = "metrics")]
#[test]
fn a_worker_that_stands_still_is_noticed() {
    let db = primary(&Arc::new(ManualLog::trusting()));
    let config = ServerConfig { threads: 1, ..ServerConfig::default() };
    let server = Server::bind(db.clone(), config).unwrap();
    let monitor = server.monitor();
    // The time moves on by an hour for each check.
    let hours = std::cell::Cell::new(0);
    let stands_still = || {
        hours.set(hours.get() + 1);
        monitor.stands_still(Instant::now() + Duration::from_secs(3600 * hours.get()))
    };
    let until = |what: &str, wanted: bool| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while stands_still() != wanted {
            assert!(Instant::now() < deadline, "{what}");
            thread::sleep(Duration::from_millis(5));
        }
    };
    run_server(server, |_, connect| {
        assert!(!stands_still(), "the first check knows nothing");
        // Its start makes some cycles without a wake-up.
        (0..5).for_each(|_| until("an idle worker is not woken", false));
        let state = db.state();
        let locked = state.shards[state.shard_of(b"rose")].lock();
        let mut client = connect();
        client.write_all(b"SET rose red\r\n").unwrap();
        until("a worker that waits for a lock is taken for alive", true);
        drop(locked);
        expect(&mut client, "+OK\r\n");
        until("a worker that turns again is not alive", false);
    });
}
