//! Tests of when clients that have waited get their elements, with logs that tests control.

use super::lease_check_tests::{expect_close, serve};
use super::tests::{expect, expect_silence, serve_over};
use hedgerow_db_engine::{Db, Options};
use std::io::{Read, Write};
use std::net::TcpStream;

/// Returns a client that waits.
fn waiting(connect: &dyn Fn() -> TcpStream, control: &mut TcpStream) -> TcpStream {
    let mut client = connect();
    client.write_all(b"BLPOP k 0\r\n").unwrap();
    loop {
        control.write_all(b"INFO clients\r\n").unwrap();
        let mut info = [0; 4096];
        let length = control.read(&mut info).unwrap();
        if String::from_utf8_lossy(&info[..length]).contains("\r\nblocked_clients:1\r\n") {
            return client;
        }
    }
}

#[test]
fn an_element_is_shown_once_its_entry_is_committed() {
    serve(|log, connect| {
        let mut pusher = connect();
        let mut client = waiting(connect, &mut pusher);
        log.set(|state| state.committed = 0);
        pusher.write_all(b"RPUSH k a\r\n").unwrap();
        log.wait_until(|state| state.requested >= 1);
        // When the worker has answered another client, it has delivered the element.
        let mut other = connect();
        for _ in 0..2 {
            other.write_all(b"PING\r\n").unwrap();
            expect(&mut other, "+PONG\r\n");
        }
        expect_silence(&mut client);
        log.set(|state| state.committed = 1);
        expect(&mut client, "*2\r\n$1\r\nk\r\n$1\r\na\r\n");
        expect(&mut pusher, ":1\r\n");
        // The push and the pop are one entry.
        assert_eq!(log.entries().len(), 1);
    });
}

#[test]
fn an_element_waits_for_a_lease_check() {
    serve(|log, connect| {
        let mut pusher = connect();
        let mut client = waiting(connect, &mut pusher);
        log.set(|state| state.confirmed = 0);
        pusher.write_all(b"RPUSH k a\r\n").unwrap();
        log.wait_until(|state| state.requested >= 1);
        let mut other = connect();
        for _ in 0..2 {
            other.write_all(b"PING\r\n").unwrap();
            expect(&mut other, "+PONG\r\n");
        }
        expect_silence(&mut client);
        log.set(|state| state.confirmed = u64::MAX);
        expect(&mut client, "*2\r\n$1\r\nk\r\n$1\r\na\r\n");
    });
}

#[test]
fn an_element_of_an_epoch_that_is_over_is_not_shown() {
    serve(|log, connect| {
        let mut pusher = connect();
        let mut client = waiting(connect, &mut pusher);
        log.set(|state| state.epoch_after_append = Some(2));
        pusher.write_all(b"RPUSH k a\r\n").unwrap();
        expect_close(&mut client, "an element of an epoch that ended meanwhile is shown");
    });
}

#[test]
fn a_rollback_ends_waits() {
    let db = Db::open(Options::in_memory()).unwrap();
    serve_over(db.clone(), |log, connect, _| {
        let mut pusher = connect();
        let mut served = waiting(connect, &mut pusher);
        pusher.write_all(b"RPUSH k a\r\n").unwrap();
        log.until_committed(1);
        let mut client = connect();
        client.write_all(b"PING\r\nBLPOP other 0\r\n").unwrap();
        expect(&mut client, "+PONG\r\n");
        db.close().unwrap();
        db.roll_back();
        log.set(|state| state.committed = 9);
        for client in [&mut pusher, &mut served] {
            let mut received = Vec::new();
            let _ = client.read_to_end(&mut received);
            let received = String::from_utf8(received).unwrap();
            let is_one_error = received.starts_with("-MISCONF ") && received.lines().count() == 1;
            assert!(is_one_error, "an element that was rolled back is shown: {received:?}");
        }
        // Nothing was done for this one, so it goes on.
        expect(&mut client, "-MISCONF Errors writing to the log: changes are refused.");
    });
}
