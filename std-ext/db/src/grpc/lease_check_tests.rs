//! Tests of when calls to a cluster's primary are executed and answered, with a log that tests control.

use super::api::database_client::DatabaseClient;
use super::api::{
    BatchRequest, DeleteRequest, GetRequest, Operation, ScanRequest, SetRequest, answer, operation,
};
use super::{GrpcOptions, GrpcServer};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hedgerow_db_engine::log::manual::ManualLog;
use hedgerow_db_engine::log::none::NoLog;
use hedgerow_db_engine::log::{Log, OpenError};
use hedgerow_db_engine::options::Options;
use hedgerow_db_engine::{Db, Progress};
use hedgerow_db_redis::test_support::primary;
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// How long a call that must not end is watched.
const WATCHED: Duration = Duration::from_millis(100);
/// How long a call that must end may take, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

type Client = DatabaseClient<Channel>;
type Call = BoxFuture<'static, Result<(), Status>>;

/// Serves the primary of a cluster, whose log the test controls.
fn serve<T: Future<Output = ()>>(test: impl FnOnce(Arc<ManualLog>, Client) -> T) {
    let log = Arc::new(ManualLog::trusting());
    serve_db(primary(&log), GrpcOptions::default(), |client| test(log, client));
}

fn serve_db<T: Future<Output = ()>>(db: Db, options: GrpcOptions, test: impl FnOnce(Client) -> T) {
    let server = GrpcServer::start(db, "127.0.0.1:0", options).unwrap();
    let address = format!("http://{}", server.address());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        test(DatabaseClient::connect(address).await.unwrap()).await;
    });
}

fn set(client: &Client, key: &'static str) -> Call {
    let mut client = client.clone();
    let request = SetRequest { key: key.into(), value: "red".into(), ..SetRequest::default() };
    async move { client.set(request).await.map(drop) }.boxed()
}

fn get(client: &Client, key: &'static str) -> Call {
    let mut client = client.clone();
    async move { client.get(GetRequest { key: key.into() }).await.map(drop) }.boxed()
}

fn delete(client: &Client, key: &'static str) -> Call {
    let mut client = client.clone();
    async move { client.delete(DeleteRequest { keys: vec![key.into()] }).await.map(drop) }.boxed()
}

fn batch_of(key: &'static str) -> BatchRequest {
    BatchRequest { operations: vec![Operation { kind: Some(operation::Kind::Delete(key.into())) }] }
}

fn batch(client: &Client, key: &'static str) -> Call {
    let mut client = client.clone();
    async move { client.batch(batch_of(key)).await.map(drop) }.boxed()
}

fn pipeline(client: &Client, key: &'static str) -> Call {
    let mut client = client.clone();
    let call = async move {
        let batches = futures_util::stream::iter([batch_of(key)]);
        client.pipeline(batches).await?.into_inner().message().await.map(drop)
    };
    call.boxed()
}

fn scan(client: &Client) -> Call {
    let mut client = client.clone();
    let call = async move {
        client.scan(ScanRequest::default()).await?.into_inner().message().await.map(drop)
    };
    call.boxed()
}

/// Checks that a call has no answer for a while.
async fn expect_silence(call: &mut Call, what: &str) {
    let answer = tokio::time::timeout(WATCHED, call).await;
    assert!(answer.is_err(), "{what}: {answer:?}");
}

async fn answer(call: Call, what: &str) -> Result<(), Status> {
    tokio::time::timeout(LIMIT, call).await.unwrap_or_else(|_| panic!("{what} has no answer"))
}

#[test]
fn an_answer_waits_for_its_entry_and_its_lease_check() {
    serve(async |log: Arc<ManualLog>, client: Client| {
        log.set(|state| (state.committed, state.confirmed) = (0, 0));
        let mut call = set(&client, "rose");
        expect_silence(&mut call, "an answer before its entry is committed").await;
        log.set(|state| state.committed = 1);
        expect_silence(&mut call, "an answer without its lease check").await;
        log.set(|state| state.confirmed = 2);
        answer(call, "a change").await.unwrap();
        // Answers that change nothing need a lease check, too.
        for (name, mut call) in [
            ("get", get(&client, "rose")),
            ("delete", delete(&client, "daisy")),
            ("batch", batch(&client, "daisy")),
            ("pipeline", pipeline(&client, "daisy")),
            ("scan", scan(&client)),
        ] {
            log.set(|state| (state.now, state.confirmed) = (state.now + 1, state.now));
            expect_silence(&mut call, name).await;
            log.set(|state| state.confirmed = u64::MAX);
            answer(call, name).await.unwrap();
        }
    });
}

#[test]
fn no_answer_outlives_its_epoch() {
    serve(async |log: Arc<ManualLog>, client: Client| {
        log.set(|state| state.committed = 0);
        let mut change = set(&client, "rose");
        expect_silence(&mut change, "an answer before its entry is committed").await;
        log.set(|state| state.confirmed = 0);
        let mut read = get(&client, "daisy");
        expect_silence(&mut read, "an answer without its lease check").await;
        log.set(|state| (state.epoch, state.committed, state.confirmed) = (2, 9, u64::MAX));
        for (name, call) in [("set", change), ("get", read)] {
            let refused = answer(call, name).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unavailable, "{name}: {refused:?}");
        }
    });
}

#[test]
fn calls_are_not_executed_while_too_much_waits_for_the_log() {
    serve(async |log: Arc<ManualLog>, client: Client| {
        answer(set(&client, "rose"), "a change").await.unwrap();
        let calls = |client: &Client| {
            [
                ("set", set(client, "daisy")),
                ("get", get(client, "rose")),
                ("delete", delete(client, "rose")),
                ("batch", batch(client, "daisy")),
                ("pipeline", pipeline(client, "rose")),
                ("scan", scan(client)),
            ]
        };
        log.set(|state| state.backlog = (8 << 20) + 1);
        let mut waiting = calls(&client);
        for (name, call) in &mut waiting {
            expect_silence(call, &format!("{name} is executed though too much waits")).await;
        }
        assert_eq!(log.last(), 1, "a change was made though too much waits");
        log.set(|state| state.backlog = 8 << 20);
        for (name, call) in waiting {
            answer(call, name).await.unwrap();
        }
        log.set(|state| state.full = true);
        let refused = answer(set(&client, "rose"), "a change").await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable);
        answer(get(&client, "rose"), "a read of a full log").await.unwrap();
    });
}

#[test]
fn a_client_that_waits_for_the_log_is_not_silent() {
    let timeout = Duration::from_millis(200);
    let log = Arc::new(ManualLog::trusting());
    let options = GrpcOptions { timeout, ..GrpcOptions::default() };
    serve_db(primary(&log), options, async |client: Client| {
        log.set(|state| state.committed = 0);
        let mut call = set(&client, "rose");
        let ended = tokio::time::timeout(5 * timeout, &mut call).await;
        assert!(ended.is_err(), "a client that waits for its answer is closed: {ended:?}");
        log.set(|state| state.committed = 1);
        answer(call, "a change").await.unwrap();
    });
}

/// The keys `b` and `bar` are of group 0, `a` of another one.
#[test]
fn keys_of_other_groups_are_refused() {
    let mut options = Options::in_memory();
    options.shards = 4;
    let log = Arc::new(NoLog::of(0..8192));
    let db = Db::open_clustered(options, None, &Progress::default(), |_| {
        Ok::<Arc<dyn Log>, OpenError>(Arc::clone(&log) as _)
    });
    let db = db.unwrap();
    db.become_primary(1);
    serve_db(db, GrpcOptions::default(), async |client: Client| {
        let calls = |key| [set(&client, key), get(&client, key), delete(&client, key)];
        for call in calls("b") {
            answer(call, "a call of the own group").await.unwrap();
        }
        let last = log.last();
        for call in calls("a") {
            let refused = answer(call, "a call of another group").await.unwrap_err();
            assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
            assert!(refused.message().contains("another group"), "{refused:?}");
        }
        let keys = vec!["bar".into(), "a".into()];
        let refused = client.clone().delete(DeleteRequest { keys }).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        let answers = client.clone().batch(batch_of("a")).await.unwrap().into_inner().answers;
        let Some(answer::Kind::Error(why)) = &answers[0].kind else { panic!("{answers:?}") };
        assert!(why.contains("another group"), "{why}");
        assert_eq!(log.last(), last, "something was changed");
    });
}
