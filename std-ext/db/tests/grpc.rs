//! builds: default
//!
//! The database over gRPC, asked by tonic's own client.

#![cfg(feature = "grpc")]

use hedgerow_db::grpc::api::database_client::DatabaseClient;
use hedgerow_db::grpc::api::{
    AddRequest, BatchRequest, DeleteRequest, Entry, GetRequest, Operation, ScanRequest, SetRequest,
    WatchRequest, When, answer, operation, watch_response,
};
use hedgerow_db::grpc::{GrpcOptions, GrpcServer};
use hedgerow_db::{Db, Options};
use std::collections::BTreeSet;
use tonic::transport::Channel;
use tonic::{Code, Request};

type Client = DatabaseClient<Channel>;

fn with_server<T: Future<Output = ()>>(options: GrpcOptions, ask: impl FnOnce(Client, Db) -> T) {
    let db = Db::open(Options::in_memory()).unwrap();
    let server = GrpcServer::start(db.clone(), "127.0.0.1:0", options).unwrap();
    let address = format!("http://{}", server.address());
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        ask(DatabaseClient::connect(address).await.unwrap(), db).await;
    });
}

fn set(key: impl Into<Vec<u8>>, value: &'static str) -> SetRequest {
    SetRequest { key: key.into().into(), value: value.into(), ..SetRequest::default() }
}

fn get(key: &'static str) -> GetRequest {
    GetRequest { key: key.into() }
}

#[test]
fn single_operations_do_as_they_say() {
    with_server(GrpcOptions::default(), async |mut client: Client, db: Db| {
        assert_eq!(client.get(get("rose")).await.unwrap().into_inner().value, None);
        assert!(client.set(set("rose", "red")).await.unwrap().into_inner().stored);
        let absent = SetRequest { when: When::Absent.into(), ..set("rose", "white") };
        assert!(!client.set(absent).await.unwrap().into_inner().stored);
        let value = client.get(get("rose")).await.unwrap().into_inner().value;
        assert_eq!(value.as_deref(), Some(&b"red"[..]));
        let brief = SetRequest { lives: Some(60_000), ..set("daisy", "white") };
        client.set(brief).await.unwrap();
        assert_eq!(db.figures().ending, 1);

        let add = AddRequest { key: "petals".into(), by: -5 };
        assert_eq!(client.add(add).await.unwrap().into_inner().sum, -5);
        let wrong = AddRequest { key: "rose".into(), by: 1 };
        assert_eq!(client.add(wrong).await.unwrap_err().code(), Code::FailedPrecondition);

        let keys = vec!["rose".into(), "petals".into(), "thorn".into()];
        let removed = client.delete(DeleteRequest { keys }).await.unwrap().into_inner().removed;
        assert_eq!((removed, db.len()), (2, 1));
    });
}

#[test]
fn streams_of_batches_are_answered_in_order() {
    with_server(GrpcOptions::default(), async |mut client: Client, _: Db| {
        let batches = (0..100_u32).map(|number| {
            let operation = |kind| Operation { kind: Some(kind) };
            let key = format!("key{}", number % 7).into_bytes();
            let operations = vec![
                operation(operation::Kind::Set(set(key.clone(), "value"))),
                operation(operation::Kind::Add(AddRequest { key: "sum".into(), by: 1 })),
                operation(operation::Kind::Get(GetRequest { key: key.clone().into() })),
                operation(operation::Kind::Delete(key.clone().into())),
                operation(operation::Kind::Add(AddRequest { key: key.into(), by: i64::MAX })),
            ];
            BatchRequest { operations }
        });
        let stream = tokio_stream(batches.collect());
        let mut answers = client.pipeline(stream).await.unwrap().into_inner();
        let mut sum = 0;
        while let Some(batch) = answers.message().await.unwrap() {
            sum += 1;
            let kinds: Vec<_> = batch.answers.into_iter().map(|one| one.kind.unwrap()).collect();
            assert!(matches!(&kinds[1], answer::Kind::Add(add) if add.sum == sum));
            let value = b"value"[..].into();
            assert!(matches!(&kinds[2], answer::Kind::Get(get) if get.value == Some(value)));
            assert!(matches!(&kinds[3], answer::Kind::Delete(delete) if delete.removed == 1));
            assert!(matches!(&kinds[4], answer::Kind::Add(add) if add.sum == i64::MAX));
        }
        assert_eq!(sum, 100);
        let none = BatchRequest { operations: vec![Operation { kind: None }] };
        assert_eq!(client.batch(none).await.unwrap_err().code(), Code::InvalidArgument);
    });
}

fn tokio_stream<T: Send + 'static>(all: Vec<T>) -> impl futures_util::Stream<Item = T> + Send {
    futures_util::stream::iter(all)
}

#[test]
fn a_walk_tells_all_keys_that_begin_so() {
    with_server(GrpcOptions::default(), async |mut client: Client, db: Db| {
        for number in 0..2000 {
            db.set(format!("a{number}"), "value").unwrap();
            db.set(format!("b{number}"), "value").unwrap();
        }
        for with_values in [false, true] {
            let request = ScanRequest { prefix: "a".into(), with_values };
            let mut parts = client.scan(request).await.unwrap().into_inner();
            let mut found = BTreeSet::new();
            while let Some(part) = parts.message().await.unwrap() {
                for Entry { key, value } in part.entries {
                    assert_eq!(value.is_some(), with_values);
                    found.insert(key);
                }
            }
            assert_eq!(found.len(), 2000);
            assert!(found.iter().all(|key| key.starts_with(b"a")));
        }
    });
}

#[test]
fn watchers_are_told_in_order() {
    with_server(GrpcOptions::default(), async |mut client: Client, db: Db| {
        let request = WatchRequest { prefix: "ro".into(), with_values: true };
        let mut events = client.watch(request).await.unwrap().into_inner();
        db.set("daisy", "white").unwrap();
        db.set("rose", "red").unwrap();
        db.delete("rose").unwrap();
        db.clear().unwrap();
        let mut told = Vec::new();
        for _ in 0..3 {
            told.push(events.message().await.unwrap().unwrap().kind.unwrap());
        }
        assert!(matches!(&told[0], watch_response::Kind::Changed(entry) if entry.key == "rose"));
        assert_eq!(
            told[1..],
            [watch_response::Kind::Removed("rose".into()), watch_response::Kind::Cleared(true),]
        );
    });
}

#[test]
fn nobody_passes_without_the_password() {
    let mut options = GrpcOptions::default();
    options.password = Some("thorn".into());
    with_server(options, async |mut client: Client, _: Db| {
        for wrong in ["", "Bearer thor", "Bearer thorns", "Bearer thorN", "thorn"] {
            let mut request = Request::new(get("rose"));
            request.metadata_mut().insert("authorization", wrong.parse().unwrap());
            let told = client.get(request).await.unwrap_err();
            assert_eq!(told.code(), Code::Unauthenticated, "{wrong}");
        }
        assert_eq!(client.get(get("rose")).await.unwrap_err().code(), Code::Unauthenticated);
        let mut request = Request::new(get("rose"));
        request.metadata_mut().insert("authorization", "Bearer thorn".parse().unwrap());
        assert_eq!(client.get(request).await.unwrap().into_inner().value, None);
    });
}

#[test]
fn it_tells_of_its_health_and_its_services() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    let db = Db::open(Options::in_memory()).unwrap();
    let server = GrpcServer::start(db, "127.0.0.1:0", GrpcOptions::default()).unwrap();
    let address = format!("http://{}", server.address());
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
        let service = "hedgerow.db.v1.Database".to_owned();
        let check = HealthCheckRequest { service: service.clone() };
        let told = HealthClient::new(channel.clone()).check(check).await.unwrap().into_inner();
        assert_eq!(told.status(), ServingStatus::Serving);

        let list = MessageRequest::ListServices(String::new());
        let ask = ServerReflectionRequest { message_request: Some(list), ..Default::default() };
        let asks = futures_util::stream::iter([ask]);
        let mut client = ServerReflectionClient::new(channel);
        let mut told = client.server_reflection_info(asks).await.unwrap().into_inner();
        let told = told.message().await.unwrap().unwrap().message_response;
        let Some(MessageResponse::ListServicesResponse(list)) = told else { panic!("{told:?}") };
        assert!(list.service.iter().any(|one| one.name == service), "{list:?}");
    });
}
