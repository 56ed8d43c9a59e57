//! Endpoints that fail.

use super::fake::{Fake, Reply};
use super::{client, run, soon};
use crate::etcd::{CallOutcome, ErrorKind, EtcdTransaction};
use std::net::TcpListener;
use std::time::{Duration, Instant};
use tonic::Code;

/// An address where nothing listens.
const DEAD: &str = "http://127.0.0.1:1";

#[test]
fn nothing_is_done_without_a_connection() {
    run(async {
        let client = client(&[DEAD.to_owned()]).with_timeout(Duration::from_millis(400));
        let error = client.transact(&EtcdTransaction::default()).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unreachable, CallOutcome::NotDone));
        assert!(error.to_string().contains("check that etcd runs"), "{error}");
        let begun = Instant::now();
        assert_eq!(client.get("k").await.unwrap_err().kind(), ErrorKind::Unreachable);
        assert!(begun.elapsed() < Duration::from_secs(20));
    });
}

#[test]
fn a_change_goes_to_an_endpoint_that_accepts_connections() {
    run(async {
        let (fake, alive) = Fake::start([Reply::Revision(3), Reply::Revision(4)]).await;
        let client = client(&[DEAD.to_owned(), alive.clone()]);
        let done = client.transact(&EtcdTransaction::default()).await.unwrap();
        assert_eq!((done.revision, client.endpoint()), (3, alive.as_str()));
        assert_eq!(client.get("k").await.unwrap().revision, 4);
        assert_eq!(fake.state().txns.len(), 1);
        assert_eq!(
            client.failures()[0],
            (DEAD, 1),
            "the client goes back to the endpoint that failed"
        );
    });
}

#[test]
fn a_read_does_not_wait_for_one_endpoint_alone() {
    run(async {
        // Connections are accepted by the kernel, and nobody reads them.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = format!("http://{}", listener.local_addr().unwrap());
        let (_, alive) = Fake::start([]).await;
        let client = client(&[silent, alive.clone()]).with_timeout(Duration::from_secs(6));
        client.get("k").await.expect("the second endpoint answers");
        assert_eq!(client.endpoint(), alive);
    });
}

#[test]
fn a_member_without_a_leader_is_left() {
    run(async {
        let lost = Reply::Fail(Code::Unavailable, "etcdserver: no leader");
        let (_, first) = Fake::start([lost.clone(), lost]).await;
        let (_, second) = Fake::start([Reply::Revision(2), Reply::Revision(3)]).await;
        let client = client(&[first, second.clone()]);
        let error = client.transact(&EtcdTransaction::default()).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::NoLeader, CallOutcome::Unknown));
        assert_eq!(client.endpoint(), second, "a member without a leader is asked again");
        assert_eq!(client.transact(&EtcdTransaction::default()).await.unwrap().revision, 2);
        assert_eq!(client.get("k").await.unwrap().revision, 3);
    });
}

#[test]
fn a_lease_that_cannot_be_had_is_an_error() {
    run(async {
        // This server has no leases.
        let (_, url) = Fake::start([]).await;
        let client = client(&[url]).with_timeout(Duration::from_millis(300));
        let grant = client.grant(Duration::from_secs(5));
        assert!(soon("a grant", Duration::from_secs(20), grant).await.is_err());
    });
}
