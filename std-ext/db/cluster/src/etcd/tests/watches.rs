//! Watches whose connections fail.

use super::fake::{Fake, Script, header};
use super::{run, soon};
use crate::etcd::api;
use crate::etcd::{ClientSettings, ErrorKind, EtcdClient, EtcdWatch, Keys};
use std::time::Duration;
use tonic::Status;

const WITHIN: Duration = Duration::from_secs(30);

/// A client of one endpoint, with a short limit of silence.
fn client(url: String) -> EtcdClient {
    let silence = Duration::from_millis(400);
    let settings = ClientSettings { watch_silence: silence, ..ClientSettings::new([url]) };
    EtcdClient::connect(&settings).unwrap()
}

fn answer(revision: i64, events: &[i64]) -> api::WatchResponse {
    let event = |&revision: &i64| {
        let kv = api::KeyValue { key: "k".into(), mod_revision: revision, ..Default::default() };
        api::Event { kv: Some(kv), ..Default::default() }
    };
    let header = Some(header(revision));
    api::WatchResponse { header, events: events.iter().map(event).collect(), ..Default::default() }
}

fn cut(answers: impl IntoIterator<Item = api::WatchResponse>) -> Script {
    Script { answers: answers.into_iter().map(Ok).collect(), stays: false }
}

/// Returns the revisions of the next report with events.
async fn next(watch: &mut EtcdWatch) -> Vec<u64> {
    soon("a report", WITHIN, async {
        loop {
            let watched = watch.next().await.unwrap();
            if !watched.events.is_empty() {
                return watched.events.iter().map(|event| event.revision()).collect();
            }
        }
    })
    .await
}

#[test]
fn a_watch_goes_on_where_it_was_cut() {
    run(async {
        let (fake, url) = Fake::start([]).await;
        let created = api::WatchResponse { created: true, ..answer(9, &[]) };
        let half = api::WatchResponse { fragment: true, ..answer(9, &[6, 7]) };
        fake.state().scripts.extend([
            // The second half of revision 7 is lost.
            cut([created, answer(9, &[5]), half]),
            // Another member lags behind, and repeats.
            cut([answer(9, &[5, 6, 7, 7])]),
            Script {
                answers: vec![Err(Status::unavailable("etcdserver: no leader"))],
                stays: false,
            },
            cut([answer(9, &[8, 9])]),
        ]);
        let mut watch = client(url).watch(Keys::prefix("k"), 5);
        assert_eq!(next(&mut watch).await, [5]);
        assert_eq!(next(&mut watch).await, [6], "a part of a revision is reported");
        assert_eq!(next(&mut watch).await, [7, 7], "a revision is lost or torn");
        assert_eq!(next(&mut watch).await, [8, 9]);
        let state = fake.state();
        let from: Vec<_> = state.watches.iter().map(|watch| watch.start_revision).collect();
        assert_eq!(&from[..4], [5, 7, 8, 8], "where the watch went on");
        assert!(state.watches.iter().all(|watch| watch.fragment && watch.progress_notify));
        assert_eq!(state.want_leader, state.watches.len());
    });
}

#[test]
fn a_silent_watch_is_asked_and_then_cut() {
    run(async {
        let (fake, url) = Fake::start([]).await;
        let silent = Script { answers: vec![Ok(answer(5, &[5]))], stays: true };
        fake.state().scripts.extend([silent, cut([answer(6, &[6])])]);
        let mut watch = client(url).watch(Keys::prefix("k"), 5);
        assert_eq!(next(&mut watch).await, [5]);
        assert_eq!(next(&mut watch).await, [6]);
        assert_eq!(fake.state().progress_requests, 1, "a silent member is not asked");
    });
}

#[test]
fn a_watch_that_cannot_go_on_says_so() {
    run(async {
        let denied = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
        let cancel = |reason: &str| api::WatchResponse {
            canceled: true,
            cancel_reason: reason.into(),
            ..answer(9, &[])
        };
        let compacted = api::WatchResponse { compact_revision: 8, ..cancel("compacted") };
        for (response, kind) in [
            (compacted, ErrorKind::Compacted { revision: Some(8) }),
            (cancel(denied), ErrorKind::PermissionDenied),
        ] {
            let (fake, url) = Fake::start([]).await;
            fake.state().scripts.push_back(cut([response]));
            let mut watch = client(url).watch(Keys::prefix("k"), 5);
            let error = soon("an error", WITHIN, watch.next()).await.unwrap_err();
            assert_eq!(error.kind(), kind);
            assert_eq!(watch.next().await.unwrap_err(), error);
            assert_eq!(fake.state().watches.len(), 1);
        }
        // Any other reason may be gone at the next attempt.
        let (fake, url) = Fake::start([]).await;
        fake.state().scripts.extend([
            cut([cancel("etcdserver: server stopped")]),
            cut([answer(9, &[9, 8])]),
            cut([answer(9, &[9])]),
        ]);
        let mut watch = client(url).watch(Keys::prefix("k"), 5);
        assert_eq!(next(&mut watch).await, [9]);
        assert_eq!(fake.state().watches.len(), 3);
    });
}

#[test]
fn a_watch_waits_for_an_endpoint() {
    run(async {
        let mut watch = client("http://127.0.0.1:1".into()).watch(Keys::prefix("k"), 5);
        let waited = tokio::time::timeout(Duration::from_millis(500), watch.next()).await;
        assert!(waited.is_err(), "{waited:?}");
    });
}
