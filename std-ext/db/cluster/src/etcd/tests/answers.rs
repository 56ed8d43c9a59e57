//! Answers that etcd rarely gives.

use super::fake::{CLUSTER, Fake, Reply};
use super::{client, run, soon};
use crate::etcd::{
    CallOutcome, ClientSettings, ErrorKind, EtcdClient, EtcdTransaction, Keys, LONGEST_ANSWER,
    Operation, Range,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tonic::Code;

const TIMED_OUT: Reply = Reply::Fail(Code::Unavailable, "etcdserver: request timed out");

#[test]
fn every_read_is_linearizable() {
    run(async {
        let (fake, url) = Fake::start([]).await;
        let client = client(&[url]);
        client.get("k").await.unwrap();
        client.range(&Range::of(Keys::prefix("k")).limit(2).descending()).await.unwrap();
        let transaction =
            EtcdTransaction { then: vec![Operation::get("k")], ..EtcdTransaction::default() };
        // The server's answer has no part for the operation.
        let error = client.transact(&transaction).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidAnswer);
        let state = fake.state();
        assert_eq!((state.ranges.len(), state.ranges[1].limit), (2, 2));
        let inner = state.txns[0].success[0].request.clone().unwrap();
        let crate::etcd::api::request_op::Request::Range(inner) = inner else {
            panic!("{inner:?}");
        };
        for range in state.ranges.iter().chain([&inner]) {
            assert!(!range.serializable, "a read may be answered from old data: {range:?}");
        }
        assert_eq!(state.want_leader, 3, "a member without a leader may let a request wait");
    });
}

#[test]
fn only_reads_are_repeated() {
    run(async {
        let (fake, url) = Fake::start([TIMED_OUT, TIMED_OUT, Reply::Revision(5)]).await;
        let client = client(&[url]);
        assert_eq!(client.get("k").await.unwrap().revision, 5);
        let twice = "a change is repeated";
        let refuse = || fake.state().replies = [TIMED_OUT, Reply::Revision(5)].into();
        refuse();
        let first = client.transact(&EtcdTransaction::default()).await.expect_err(twice);
        refuse();
        let second = client.put("k", "v", 0).await.expect_err(twice);
        refuse();
        let third = client.delete(Keys::one("k")).await.expect_err(twice);
        for error in [first, second, third] {
            assert_eq!(
                (error.kind(), error.outcome()),
                (ErrorKind::TimedOut, CallOutcome::Unknown)
            );
        }
        let state = fake.state();
        assert_eq!((state.txns.len(), state.changes), (1, 2));
    });
}

#[test]
fn calls_end_in_time() {
    run(async {
        let (fake, url) = Fake::start([]).await;
        let client = client(&[url]).with_timeout(Duration::from_millis(300));
        fake.state().replies.extend([Reply::Silence, Reply::Silence, Reply::Silence]);
        let within = Duration::from_secs(20);
        let error = soon("a read", within, client.get("k")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let transaction = EtcdTransaction::default();
        let error = soon("a change", within, client.transact(&transaction)).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::TimedOut, CallOutcome::Unknown));
        let states = soon("a state", within, client.status()).await;
        assert_eq!(states[0].1.as_ref().unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(client.failures()[0].1, 3);
        let patient = client.with_timeout(Duration::from_secs(10));
        assert_eq!(patient.get("k").await.unwrap().revision, 1);
    });
}

#[test]
fn a_revision_that_went_back_is_refused_for_ever() {
    run(async {
        let (fake, url) = Fake::start([Reply::Revision(10), Reply::Revision(9)]).await;
        let client = client(&[url]);
        assert_eq!(client.get("k").await.unwrap().revision, 10);
        let error =
            client.transact(&EtcdTransaction::default()).await.expect_err("an old revision");
        assert_eq!(error.kind(), ErrorKind::RevisionWentBack { seen: 10, found: 9 });
        assert_eq!(error.outcome(), CallOutcome::Unknown);
        let clone = client.with_timeout(Duration::from_secs(5));
        assert_eq!(clone.get("k").await.expect_err("the client goes on"), error);
        assert_eq!(fake.state().ranges.len(), 1, "the client goes on");
    });
}

#[test]
fn answers_may_overtake_each_other() {
    run(async {
        let allowed = Arc::new(Notify::new());
        let (fake, url) = Fake::start([]).await;
        fake.state().replies.extend([
            Reply::Held(Arc::clone(&allowed), 9),
            Reply::Revision(10),
            Reply::Revision(10),
        ]);
        let client = client(&[url]);
        let slow = client.clone();
        let slow = tokio::spawn(async move { slow.get("k").await });
        soon("the first request", Duration::from_secs(20), async {
            while fake.state().replies.len() == 3 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        assert_eq!(client.get("k").await.unwrap().revision, 10);
        allowed.notify_one();
        assert_eq!(slow.await.unwrap().unwrap().revision, 9);
        assert_eq!(client.get("k").await.unwrap().revision, 10);
    });
}

#[test]
fn endpoints_of_two_clusters_are_refused() {
    run(async {
        let other = Reply::Cluster(CLUSTER + 1);
        let (_, first) = Fake::start([TIMED_OUT, other.clone(), other]).await;
        let (_, second) = Fake::start([TIMED_OUT]).await;
        let client = client(&[first, second]);
        let transaction = EtcdTransaction::default();
        // The first change moves on to the second endpoint, the second one back, and so on.
        for _ in 0..2 {
            let error = client.transact(&transaction).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
        }
        client.get("k").await.unwrap();
        let status = client.status().await;
        let error = status[1].1.as_ref().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ClusterIdMismatch);
        assert!(client.get("k").await.is_err());
    });
}

#[test]
fn answers_that_make_no_sense_are_refused() {
    run(async {
        let (fake, url) = Fake::start([Reply::Headless]).await;
        let client = client(&[url]);
        let transaction = EtcdTransaction::default();
        let error = client.transact(&transaction).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::InvalidAnswer, CallOutcome::Unknown)
        );
        fake.state().replies.push_back(Reply::Large(LONGEST_ANSWER + 1));
        let error = client.get("k").await.expect_err("an answer of any size is taken");
        assert_eq!(error.kind(), ErrorKind::InvalidAnswer, "{error}");
        fake.state().replies.push_back(Reply::Fail(Code::Internal, "a proxy stumbles"));
        let error = client.transact(&transaction).await.unwrap_err();
        assert_eq!(error.outcome(), CallOutcome::Unknown);
    });
}

#[test]
fn errors_that_are_definite_are_told_at_once() {
    run(async {
        let (fake, url) = Fake::start([]).await;
        let client = client(&[url]);
        for (code, text, kind) in [
            (Code::InvalidArgument, "etcdserver: request is too large", ErrorKind::TooLarge),
            (
                Code::ResourceExhausted,
                "etcdserver: mvcc: database space exceeded",
                ErrorKind::NoSpace,
            ),
            (Code::ResourceExhausted, "etcdserver: too many requests", ErrorKind::TooManyRequests),
            (Code::PermissionDenied, "etcdserver: permission denied", ErrorKind::PermissionDenied),
            (Code::DataLoss, "etcdserver: corrupt cluster", ErrorKind::Corrupt),
            (Code::InvalidArgument, "etcdserver: duplicate key given", ErrorKind::Rejected),
        ] {
            fake.state().replies.push_back(Reply::Fail(code, text));
            let error = client.transact(&EtcdTransaction::default()).await.unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(error.to_string().contains(text), "{error}");
        }
        assert_eq!(fake.state().txns.len(), 6);
    });
}

#[test]
fn old_versions_are_refused() {
    run(async {
        let (new, first) = Fake::start([]).await;
        let (old, second) = Fake::start([]).await;
        new.state().version = "3.6.1";
        old.state().version = "3.4.23";
        let error = client(&[first.clone(), second]).check_version().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::VersionTooOld);
        assert!(error.to_string().contains("it has 3.4.23"), "{error}");
        let dead = "http://127.0.0.1:1".to_owned();
        let found = client(&[dead.clone(), first]).check_version().await.unwrap();
        assert_eq!((found.len(), found[0].version.as_str()), (1, "3.6.1"));
        let error = client(&[dead]).check_version().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable);
    });
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let refused = |change: &dyn Fn(&mut ClientSettings)| {
        let mut settings = ClientSettings::new(["http://127.0.0.1:2379"]);
        change(&mut settings);
        let error = EtcdClient::connect(&settings).expect_err("the settings make no sense");
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Settings, CallOutcome::NotDone));
        error.to_string()
    };
    let address = |url: &'static str| refused(&move |settings| settings.endpoints[0] = url.into());
    assert!(refused(&|settings| settings.endpoints.clear()).contains("no etcd address"));
    assert!(refused(&|settings| settings.call_timeout = Duration::ZERO).contains("time limit"));
    assert!(address("127.0.0.1:2379").contains("127.0.0.1:2379"));
    assert!(address("ftp://127.0.0.1:2379").contains("http://"));
    assert!(address("http://127.0.0.1:2379/v3").contains("a host and a port"));
    assert!(address("http:// :2379").contains("http:// :2379"));
    assert!(address("https://127.0.0.1:2379").contains("TLS") || cfg!(feature = "tls"));
    let settings = ClientSettings {
        user: Some(("rose".into(), "secret".into())),
        ..ClientSettings::new(["http://h:1"])
    };
    let client = EtcdClient::connect(&settings).unwrap();
    assert!(!format!("{settings:?}{client:?}").contains("secret"));
}

#[test]
fn a_token_that_has_expired_is_renewed() {
    run(async {
        let expired = Reply::Fail(Code::Unauthenticated, "etcdserver: invalid auth token");
        let (fake, url) = Fake::start([]).await;
        let user = Some(("rose".into(), "red".into()));
        let client =
            EtcdClient::connect(&ClientSettings { user, ..ClientSettings::new([url]) }).unwrap();
        client.put("k", "v", 0).await.unwrap();
        client.put("k", "v", 0).await.unwrap();
        fake.state().replies.push_back(expired.clone());
        let done = client.transact(&EtcdTransaction::default()).await;
        done.expect("the client does not sign in again");
        assert_eq!(fake.state().tokens, ["token-1", "token-1", "token-1", "token-2"]);
        // A token that is not accepted when it is new is an error.
        fake.state().replies.extend([expired.clone(), expired]);
        let error = client.transact(&EtcdTransaction::default()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::InvalidAuthToken, CallOutcome::NotDone)
        );
        assert_eq!(fake.state().sign_ins, 3);
    });
}
