//! builds: default
//!
//! The database over gRPC, with tonic's own client.

#![cfg(feature = "grpc")]

mod support;

use futures_util::FutureExt;
use hedgerow_db::grpc::api::database_client::DatabaseClient;
use hedgerow_db::grpc::api::{
    AddRequest, AddResponse, BatchRequest, BatchResponse, DeleteRequest, DeleteResponse, Entry,
    GetRequest, GetResponse, Operation, ScanRequest, SetRequest, SetResponse, WatchRequest, When,
    answer, operation, watch_response,
};
use hedgerow_db::grpc::{GrpcOptions, GrpcServer};
use hedgerow_db::{Db, Options};
use std::collections::BTreeSet;
use std::time::Duration;
use support::{Running, begin_of_memory, command, memory_since, until};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

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
fn single_operations_work() {
    with_server(GrpcOptions::default(), async |mut client: Client, db: Db| {
        assert_eq!(client.get(get("rose")).await.unwrap().into_inner().value, None);
        assert!(client.set(set("rose", "red")).await.unwrap().into_inner().stored);
        let absent = SetRequest { when: When::Absent.into(), ..set("rose", "white") };
        assert!(!client.set(absent).await.unwrap().into_inner().stored);
        let value = client.get(get("rose")).await.unwrap().into_inner().value;
        assert_eq!(value.as_deref(), Some(&b"red"[..]));
        let brief = SetRequest { ttl: Some(60_000), ..set("daisy", "white") };
        client.set(brief).await.unwrap();
        assert_eq!(db.stats().expires, 1);

        let add = AddRequest { key: "petals".into(), by: -5 };
        assert_eq!(client.add(add).await.unwrap().into_inner().sum, -5);
        let wrong = AddRequest { key: "rose".into(), by: 1 };
        assert_eq!(client.add(wrong).await.unwrap_err().code(), Code::FailedPrecondition);
        let over = AddRequest { key: "petals".into(), by: i64::MIN };
        assert_eq!(client.add(over).await.unwrap_err().code(), Code::OutOfRange);
        let long = set(vec![b'k'; 70_000], "value");
        assert_eq!(client.set(long).await.unwrap_err().code(), Code::InvalidArgument);
        db.set_max_memory(1);
        let refused = client.set(set("tulip", "yellow")).await.unwrap_err();
        assert_eq!(
            refused.code(),
            Code::ResourceExhausted,
            "out of memory is not a failed precondition"
        );
        db.set_max_memory(0);
        // As Redis, which has signed times.
        for late in [u64::MAX, i64::MAX.unsigned_abs()] {
            let late = SetRequest { ttl: Some(late), ..set("daisy", "red") };
            let refused = client.set(late).await.map(drop).map_err(|why| why.code());
            assert_eq!(refused, Err(Code::InvalidArgument), "a time beyond all numbers is taken");
        }
        let late = i64::MAX.unsigned_abs() / 2;
        client.set(SetRequest { ttl: Some(late), ..set("daisy", "white") }).await.unwrap();

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
fn a_scan_returns_all_keys_with_a_prefix() {
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
fn watchers_get_changes_in_order() {
    with_server(GrpcOptions::default(), async |mut client: Client, db: Db| {
        let request = WatchRequest { prefix: "ro".into(), with_values: true };
        let mut events = client.watch(request).await.unwrap().into_inner();
        db.set("daisy", "white").unwrap();
        db.set("rose", "red").unwrap();
        db.delete("rose").unwrap();
        db.clear().unwrap();
        let mut received = Vec::new();
        for _ in 0..3 {
            received.push(events.message().await.unwrap().unwrap().kind.unwrap());
        }
        assert!(
            matches!(&received[0], watch_response::Kind::Changed(entry) if entry.key == "rose")
        );
        assert_eq!(
            received[1..],
            [watch_response::Kind::Removed("rose".into()), watch_response::Kind::Cleared(true),]
        );
    });
}

#[test]
fn a_password_is_required() {
    let mut options = GrpcOptions::default();
    options.password = Some("thorn".into());
    with_server(options, async |mut client: Client, _: Db| {
        for wrong in ["", "Bearer thor", "Bearer thorns", "Bearer thorN", "thorn"] {
            let mut request = Request::new(get("rose"));
            request.metadata_mut().insert("authorization", wrong.parse().unwrap());
            let received = client.get(request).await.unwrap_err();
            assert_eq!(received.code(), Code::Unauthenticated, "{wrong}");
        }
        assert_eq!(client.get(get("rose")).await.unwrap_err().code(), Code::Unauthenticated);
        let mut request = Request::new(get("rose"));
        request.metadata_mut().insert("authorization", "Bearer thorn".parse().unwrap());
        assert_eq!(client.get(request).await.unwrap().into_inner().value, None);
    });
}

#[test]
fn health_and_reflection_are_served() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    use tonic_reflection::pb::v1alpha::ServerReflectionRequest as OldRequest;
    use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient as Old;
    use tonic_reflection::pb::v1alpha::server_reflection_request::MessageRequest as OldAsk;
    use tonic_reflection::pb::v1alpha::server_reflection_response::MessageResponse as OldAnswer;

    let db = Db::open(Options::in_memory()).unwrap();
    let server = GrpcServer::start(db, "127.0.0.1:0", GrpcOptions::default()).unwrap();
    let address = format!("http://{}", server.address());
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
        let service = "hedgerow.db.v1.Database".to_owned();
        let check = HealthCheckRequest { service: service.clone() };
        let received = HealthClient::new(channel.clone()).check(check).await.unwrap().into_inner();
        assert_eq!(received.status(), ServingStatus::Serving);

        let list = MessageRequest::ListServices(String::new());
        let ask = ServerReflectionRequest { message_request: Some(list), ..Default::default() };
        let requests = futures_util::stream::iter([ask]);
        let mut client = ServerReflectionClient::new(channel.clone());
        let mut received = client.server_reflection_info(requests).await.unwrap().into_inner();
        let received = received.message().await.unwrap().unwrap().message_response;
        let Some(MessageResponse::ListServicesResponse(list)) = received else {
            panic!("{received:?}")
        };
        assert!(list.service.iter().any(|one| one.name == service), "{list:?}");

        // As older clients do.
        let list = OldAsk::ListServices(String::new());
        let ask = OldRequest { message_request: Some(list), ..Default::default() };
        let received =
            Old::new(channel).server_reflection_info(futures_util::stream::iter([ask])).await;
        let mut received = received.expect("older clients cannot list the services").into_inner();
        let received = received.message().await.unwrap().unwrap().message_response;
        let Some(OldAnswer::ListServicesResponse(list)) = received else { panic!("{received:?}") };
        assert!(list.service.iter().any(|one| one.name == service), "{list:?}");
    });
}

/// Runs a RESP server with gRPC beside it.
fn with_both<T: Future<Output = ()>>(
    change: impl FnOnce(&mut hedgerow_db::server::ServerConfig),
    ask: impl FnOnce(Running, String, Db) -> T,
) {
    let db = Db::open(Options::in_memory()).unwrap();
    let start = |server: &hedgerow_db::server::Server| {
        GrpcServer::start_beside(server, "127.0.0.1:0", GrpcOptions::default()).unwrap()
    };
    let (server, grpc) = Running::beside(db.clone(), change, start);
    let address = format!("http://{}", grpc.address());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.unwrap().block_on(ask(server, address, db));
}

fn asks_with(password: &str) -> Request<GetRequest> {
    let mut request = Request::new(get("rose"));
    let bearer = format!("Bearer {password}");
    request.metadata_mut().insert("authorization", bearer.parse().unwrap());
    request
}

#[test]
fn a_password_set_at_runtime_applies() {
    with_both(
        |_| {},
        async |server: Running, address, _| {
            let mut client = DatabaseClient::connect(address).await.unwrap();
            client.get(get("rose")).await.unwrap();
            let mut other = server.client();
            let mut set = |password: &[u8]| {
                other.send(command(&[b"CONFIG", b"SET", b"requirepass", password]));
                other.expect(b"+OK\r\n");
            };
            set(b"thorn");
            let received = client.get(get("rose")).await.map(drop).map_err(|why| why.code());
            assert_eq!(received, Err(Code::Unauthenticated), "no password was required");
            client.get(asks_with("thorn")).await.unwrap();
            set(b"petal");
            let received = client.get(asks_with("thorn")).await.map(drop).map_err(|why| why.code());
            assert_eq!(received, Err(Code::Unauthenticated), "an old password is accepted");
            client.get(asks_with("petal")).await.unwrap();
            set(b"");
            client.get(get("rose")).await.unwrap();
        },
    );
}

#[test]
fn wrong_passwords_are_in_the_acl_log() {
    use std::io::Read;
    let change = |config: &mut hedgerow_db::server::ServerConfig| {
        config.password = Some("thorn".to_owned());
    };
    with_both(change, async |server: Running, address, _| {
        let mut client = DatabaseClient::connect(address).await.unwrap();
        for wrong in ["petal", "thor"] {
            let refused = client.get(asks_with(wrong)).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unauthenticated);
        }
        // Neither is a wrong password.
        client.get(get("rose")).await.unwrap_err();
        client.get(asks_with("thorn")).await.unwrap();
        let mut admin = server.client();
        admin.send(b"AUTH thorn\r\nACL LOG\r\nECHO behind\r\n");
        let (mut shown, mut part) = (String::new(), [0; 4096]);
        while !shown.ends_with("$6\r\nbehind\r\n") {
            let more = admin.0.read(&mut part).unwrap();
            shown.push_str(str::from_utf8(&part[..more]).unwrap());
        }
        let words: Vec<&str> = shown.lines().filter(|line| !line.starts_with('$')).collect();
        let entries = shown.matches("client-info").count();
        assert_eq!(entries, 1, "wrong passwords over gRPC have no entry of their own: {shown}");
        let wanted = [
            "count",
            ":2",
            "reason",
            "auth",
            "context",
            "toplevel",
            "object",
            "authorization",
            "username",
            "default",
        ];
        assert!(words.windows(wanted.len()).any(|part| part == wanted), "{shown}");
        assert!(shown.contains("addr=127.0.0.1:") && shown.contains("cmd=grpc user=default"));
        assert!(!shown.contains("petal"), "a password is shown: {shown}");
    });
}

const LOSE: &str = "ACL SETUSER default off resetpass resetkeys -@all";
const GET_BACK: &str = "ACL SETUSER default on nopass ~* &* +@all";

/// A client of RESP that may change the user `default`, also if that one has no rights.
fn admin(server: &Running) -> impl FnMut(&str) {
    let mut admin = server.client();
    let mut send = move |line: &str| {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        admin.send(command(&words));
        admin.expect(b"+OK\r\n");
    };
    send("ACL SETUSER gardener on nopass ~* &* +@all");
    send("AUTH gardener x");
    send
}

/// Makes a channel: its sender, and the stream of the messages sent.
fn messages<T>() -> (UnboundedSender<T>, impl futures_util::Stream<Item = T>) {
    let (sender, queue) = tokio::sync::mpsc::unbounded_channel();
    let next = async |mut queue: UnboundedReceiver<T>| Some((queue.recv().await?, queue));
    (sender, futures_util::stream::unfold(queue, next))
}

/// Begins a pipeline whose batches come from a channel.
async fn pipeline(
    client: &mut Client,
    password: Option<&str>,
) -> (UnboundedSender<BatchRequest>, tonic::Streaming<BatchResponse>) {
    let (batches, queue) = messages();
    let mut request = Request::new(queue);
    if let Some(password) = password {
        let bearer = format!("Bearer {password}").parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
    }
    (batches, client.pipeline(request).await.unwrap().into_inner())
}

fn set_batch(key: &'static str) -> BatchRequest {
    let set = operation::Kind::Set(set(key, "value"));
    BatchRequest { operations: vec![Operation { kind: Some(set) }] }
}

/// Returns the error that ends a stream.
async fn end_of<T>(answers: &mut tonic::Streaming<T>) -> Option<Code> {
    let end = async {
        loop {
            match answers.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(why) => return Some(why.code()),
            }
        }
    };
    tokio::time::timeout(support::LIMIT, end).await.expect("the stream goes on")
}

#[test]
fn streams_end_with_the_rights() {
    with_both(
        |_| {},
        async |server: Running, address, db: Db| {
            let mut admin = admin(&server);
            let mut client = DatabaseClient::connect(address).await.unwrap();

            let (batches, mut answers) = pipeline(&mut client, None).await;
            batches.send(set_batch("rose")).unwrap();
            answers.message().await.unwrap().unwrap();
            // A change of other rights does not matter.
            admin("ACL SETUSER daisy on nopass");
            batches.send(set_batch("rose")).unwrap();
            answers.message().await.unwrap().unwrap();
            admin(LOSE);
            batches.send(set_batch("thorn")).unwrap();
            let end = answers.message().await.map(drop).map_err(|why| why.code());
            assert_eq!(end, Err(Code::PermissionDenied), "a pipeline goes on without rights");
            assert_eq!(db.get("thorn").unwrap(), None);

            admin(GET_BACK);
            for number in 0..100 {
                db.set(format!("walk{number}"), vec![b'v'; 1 << 20]).unwrap();
            }
            let request = ScanRequest { prefix: "walk".into(), with_values: true };
            let mut parts = client.scan(request).await.unwrap().into_inner();
            parts.message().await.unwrap().unwrap();
            admin(LOSE);
            let end = end_of(&mut parts).await;
            assert_eq!(end, Some(Code::PermissionDenied), "a scan goes on without rights");

            admin(GET_BACK);
            let request = WatchRequest { prefix: "rose".into(), with_values: true };
            let mut events = client.watch(request).await.unwrap().into_inner();
            admin(LOSE);
            let end = end_of(&mut events).await;
            assert_eq!(end, Some(Code::PermissionDenied), "a watch goes on without rights");
        },
    );
}

#[test]
fn a_stream_needs_a_password_that_is_set_later() {
    with_both(
        |_| {},
        async |server: Running, address, _| {
            let mut admin = admin(&server);
            let mut client = DatabaseClient::connect(address).await.unwrap();
            let (batches, mut without) = pipeline(&mut client, None).await;
            batches.send(set_batch("rose")).unwrap();
            without.message().await.unwrap().unwrap();
            admin("CONFIG SET requirepass thorn");
            batches.send(set_batch("rose")).unwrap();
            let end = without.message().await.map(drop).map_err(|why| why.code());
            assert_eq!(end, Err(Code::Unauthenticated), "a pipeline goes on without the password");

            // As a connection over RESP, one with a password goes on when the password changes.
            let (batches, mut with) = pipeline(&mut client, Some("thorn")).await;
            admin("CONFIG SET requirepass petal");
            batches.send(set_batch("rose")).unwrap();
            with.message().await.expect("a pipeline with a password ends").unwrap();
        },
    );
}

#[cfg(feature = "tls")]
#[test]
fn new_connections_get_certificates_that_were_read_again() {
    use rcgen::{CertificateParams, KeyPair};
    use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
    let made = || {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    };
    let with = |(certificate, key): &(String, String)| {
        let mut options = GrpcOptions::default();
        options.tls = Some((certificate.clone().into_bytes(), key.clone().into_bytes()));
        options
    };
    let (before, after) = (made(), made());
    let db = Db::open(Options::in_memory()).unwrap();
    let server = GrpcServer::start(db, "127.0.0.1:0", with(&before)).unwrap();
    let connect = async |(certificate, _): &(String, String)| {
        let endpoint = Endpoint::from_shared(format!("https://{}", server.address())).unwrap();
        let tls = ClientTlsConfig::new().domain_name("localhost");
        let tls = tls.ca_certificate(Certificate::from_pem(certificate));
        endpoint.tls_config(tls).unwrap().connect().await.map(DatabaseClient::new)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut client = connect(&before).await.unwrap();
        client.get(get("rose")).await.unwrap();
        let foreign = (after.0.clone(), before.1.clone());
        assert!(server.reloader().prepare(with(&foreign)).is_err(), "a key of another certificate");
        server.reloader().prepare(with(&after)).unwrap()();
        client.get(get("rose")).await.expect("a connection that exists goes on");
        assert!(connect(&before).await.is_err(), "a new connection gets the old certificate");
        connect(&after).await.unwrap().get(get("rose")).await.unwrap();
        client.get(get("rose")).await.expect("a connection that exists goes on");
    });
    // Its connections end with it.
    drop(runtime);
    // All servers end, those of before, too.
    let begun = std::time::Instant::now();
    drop(server);
    assert!(begun.elapsed() < support::LIMIT, "{:?}", begun.elapsed());
}

#[test]
fn connections_count_as_clients() {
    with_both(
        |config| config.max_clients = 2,
        async |server: Running, address: String, _| {
            let mut one = server.client();
            one.send(b"PING\r\n");
            one.expect(b"+PONG\r\n");
            let mut first = DatabaseClient::connect(address.clone()).await.unwrap();
            first.get(get("rose")).await.unwrap();
            assert_eq!(server.watcher.clients(), 2, "connections are not counted");
            let more = async || match DatabaseClient::connect(address.clone()).await {
                Ok(mut client) => client.get(get("rose")).await.map(drop).map_err(|why| why.code()),
                Err(_) => Err(Code::Unavailable),
            };
            assert!(more().await.is_err(), "there are more clients than maxclients");
            server.client().expect(b"-ERR max number of clients reached\r\n");
            one.send(b"CONFIG SET maxclients 3\r\n");
            one.expect(b"+OK\r\n");
            assert_eq!(more().await, Ok(()));
            drop(first);
            until(|| server.watcher.clients() == 1);
        },
    );
}

#[test]
fn silent_connections_time_out_except_watchers() {
    with_both(
        |config| config.timeout = Duration::from_millis(300),
        async |server: Running, address: String, db: Db| {
            let mut watcher = DatabaseClient::connect(address.clone()).await.unwrap();
            let request = WatchRequest { prefix: "ro".into(), with_values: false };
            let mut events = watcher.watch(request).await.unwrap().into_inner();
            let mut silent = DatabaseClient::connect(address).await.unwrap();
            silent.get(get("rose")).await.unwrap();
            assert_eq!(server.watcher.clients(), 2);
            for _ in 0..100 {
                if server.watcher.clients() == 1 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            tokio::time::sleep(Duration::from_millis(600)).await;
            assert_eq!(server.watcher.clients(), 1, "a silent connection is not closed");
            db.set("rose", "red").unwrap();
            events.message().await.unwrap().unwrap();
        },
    );
}

/// A unary call of which the server has the head. Its request comes from the channel, and ends with it.
struct Begun<T> {
    request: UnboundedSender<T>,
    answer: futures_util::future::BoxFuture<'static, Result<(), Code>>,
}

impl<T: prost::Message + 'static> Begun<T> {
    async fn new<U>(channel: &Channel, method: &str) -> Self
    where
        U: prost::Message + Default + 'static,
    {
        let (request, queue) = messages();
        let path = PathAndQuery::try_from(format!("/hedgerow.db.v1.Database/{method}")).unwrap();
        let (mut client, codec) = (Grpc::new(channel.clone()), ProstCodec::<T, U>::default());
        client.ready().await.unwrap();
        let mut answer = async move {
            let answer = client.client_streaming(Request::new(queue), path, codec).await;
            answer.map(drop).map_err(|why| why.code())
        }
        .boxed();
        // The first step sends the head. The server has it before it has a later call of the same connection.
        assert_eq!((&mut answer).now_or_never(), None);
        DatabaseClient::new(channel.clone()).get(get("daisy")).await.unwrap();
        Self { request, answer }
    }
}

#[test]
fn requests_that_never_end_time_out() {
    with_both(
        |config| config.timeout = Duration::from_millis(300),
        async |server: Running, address: String, _| {
            // The server waits for the request, or for its end.
            for sent in [None, Some(set("rose", "red"))] {
                let channel = Channel::from_shared(address.clone()).unwrap();
                let channel = channel.connect().await.unwrap();
                let call = Begun::new::<SetResponse>(&channel, "Set").await;
                assert_eq!(server.watcher.clients(), 1);
                if let Some(sent) = sent {
                    call.request.send(sent).unwrap();
                }
                let ended = tokio::time::timeout(support::LIMIT, call.answer).await;
                ended.expect("a request that never ends keeps its connection").unwrap_err();
                until(|| server.watcher.clients() == 0);
            }
        },
    );
}

/// Returns the answer of a call whose request comes when the user `default` has lost its rights.
async fn ask_too_late<T, U>(
    admin: &mut impl FnMut(&str),
    connection: &Channel,
    method: &str,
    request: T,
) -> Result<(), Code>
where
    T: prost::Message + 'static,
    U: prost::Message + Default + 'static,
{
    let Begun { request: ask, answer } = Begun::new::<U>(connection, method).await;
    admin(LOSE);
    ask.send(request).unwrap();
    drop(ask);
    let answer = tokio::time::timeout(support::LIMIT, answer).await.expect("an answer");
    admin(GET_BACK);
    answer
}

#[test]
fn a_call_needs_its_rights_until_its_request_has_come() {
    with_both(
        |_| {},
        async |server: Running, address: String, db: Db| {
            let mut admin = admin(&server);
            let connection = Channel::from_shared(address).unwrap().connect().await.unwrap();
            db.set("rose", "red").unwrap();
            let (to, on) = (&mut admin, &connection);
            let delete = DeleteRequest { keys: vec!["rose".into()] };
            let add = AddRequest { key: "petals".into(), by: 1 };
            let answers = [
                ("Get", ask_too_late::<_, GetResponse>(to, on, "Get", get("rose")).await),
                ("Set", ask_too_late::<_, SetResponse>(to, on, "Set", set("rose", "black")).await),
                ("Delete", ask_too_late::<_, DeleteResponse>(to, on, "Delete", delete).await),
                ("Add", ask_too_late::<_, AddResponse>(to, on, "Add", add).await),
                (
                    "Batch",
                    ask_too_late::<_, BatchResponse>(to, on, "Batch", set_batch("rose")).await,
                ),
            ];
            for (method, answer) in answers {
                let refused = Err(Code::PermissionDenied);
                assert_eq!(answer, refused, "{method} is executed without rights");
            }
            assert_eq!((db.get("rose").unwrap(), db.len()), (Some(b"red".to_vec()), 1));
        },
    );
}

fn gets(count: usize) -> BatchRequest {
    gets_of("big", count)
}

fn gets_of(key: &'static str, count: usize) -> BatchRequest {
    let one = Operation { kind: Some(operation::Kind::Get(get(key))) };
    BatchRequest { operations: vec![one; count] }
}

/// One test for all limits, because it measures the memory of the process.
#[test]
fn responses_are_bounded() {
    const LIMIT: usize = 32 << 20;
    let change = |config: &mut hedgerow_db::server::ServerConfig| config.output.hard = LIMIT;
    with_both(change, async |server: Running, address: String, db: Db| {
        db.set("big", vec![b'v'; 1 << 20]).unwrap();
        let client = DatabaseClient::connect(address.clone()).await.unwrap();
        let mut client = client.max_decoding_message_size(usize::MAX);
        let before = begin_of_memory();
        let received = client.batch(gets(1000)).await.map(drop).map_err(|why| why.code());
        assert_eq!(received, Err(Code::ResourceExhausted), "an answer was made beyond the limit");
        let used = memory_since(before);
        assert!(used < 4 * LIMIT, "{used} bytes were used for a limit of {LIMIT}");
        // A response within the limit is made again and again: sent ones are not counted any more.
        for _ in 0..5 {
            let answers = client.batch(gets(20)).await.unwrap().into_inner().answers;
            assert_eq!(answers.len(), 20);
        }

        // A value in pieces is not joined before its length is compared.
        let mut other = server.client();
        other.send(command(&[b"SETRANGE", b"pieces", b"104857600", b"y"]));
        other.expect(b":104857601\r\n");
        let before = begin_of_memory();
        let received = client.batch(gets_of("pieces", 2000)).await.map(drop);
        assert_eq!(received.map_err(|why| why.code()), Err(Code::ResourceExhausted));
        let used = memory_since(before);
        assert!(used < 2 * LIMIT, "{used} bytes were used for a value beyond the limit");
        let received = client.get(get("pieces")).await.map(drop).map_err(|why| why.code());
        assert_eq!(received, Err(Code::ResourceExhausted));
        let before = begin_of_memory();
        let request = WatchRequest { prefix: "pieces".into(), with_values: true };
        let mut events = client.watch(request).await.unwrap().into_inner();
        other.send(command(&[b"SETRANGE", b"pieces", b"0", b"y"]));
        other.expect(b":104857601\r\n");
        assert_eq!(end_of(&mut events).await, Some(Code::ResourceExhausted));
        let used = memory_since(before);
        assert!(used < 2 * LIMIT, "{used} bytes were used for a watched value beyond the limit");

        // A stream that is not read is not executed further; when it is read, all of it is.
        let before = begin_of_memory();
        let stream = tokio_stream((0..100).map(|_| gets(8)).collect());
        let mut answers = client.pipeline(stream).await.unwrap().into_inner();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let used = memory_since(before);
        assert!(used < 4 * LIMIT, "{used} bytes were used for a stream that is not read");
        let mut count = 0;
        let next = "a stream was made beyond the read part";
        while let Some(batch) = answers.message().await.expect(next) {
            count += batch.answers.len();
        }
        assert_eq!(count, 800);

        // Each message of a scan is short, except for one value.
        for number in 0..200 {
            db.set(format!("walk{number}"), vec![b'v'; 1 << 20]).unwrap();
        }
        let mut short = DatabaseClient::connect(address.clone()).await.unwrap();
        let request = ScanRequest { prefix: "walk".into(), with_values: true };
        let mut parts = short.scan(request).await.unwrap().into_inner();
        let mut found = BTreeSet::new();
        while let Some(part) = parts.message().await.expect("a message of a scan was too long") {
            found.extend(part.entries.into_iter().map(|entry| entry.key));
        }
        assert_eq!(found.len(), 200);

        // The server keeps little for a watcher that does not read.
        let before = begin_of_memory();
        let request = WatchRequest { prefix: "big".into(), with_values: true };
        let mut events = client.watch(request).await.unwrap().into_inner();
        for _ in 0..50 {
            db.set("big", vec![b'w'; 1 << 20]).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let used = memory_since(before);
        assert!(used < 4 * LIMIT, "{used} bytes were used for a watcher that does not read");
        for _ in 0..50 {
            let event = events.message().await.expect("values were sent beyond the read part");
            assert!(event.is_some());
        }
        drop(server);
    });
}

#[test]
fn requests_are_bounded() {
    let change =
        |config: &mut hedgerow_db::server::ServerConfig| config.query_buffer_limit = 4 << 20;
    with_both(change, async |_, address, _| {
        let mut client = DatabaseClient::connect(address).await.unwrap();
        let none = BatchRequest { operations: vec![Operation { kind: None }; 70_000] };
        let received = client.batch(none).await.unwrap_err().code();
        assert_eq!(received, Code::ResourceExhausted, "a batch with too many parts was accepted");
        let value = vec![b'v'; 5 << 20].into();
        let long = SetRequest { key: "big".into(), value, ..SetRequest::default() };
        let received = client.set(long).await.map(drop).map_err(|why| why.code());
        assert_eq!(received, Err(Code::ResourceExhausted), "a request beyond the limit was read");
        // Completed calls are not counted any more.
        for _ in 0..10 {
            let value = vec![b'v'; 1 << 20].into();
            let set = SetRequest { key: "big".into(), value, ..SetRequest::default() };
            client.set(set).await.unwrap();
        }
    });
}

#[test]
fn an_unread_stream_does_not_delay_shutdown() {
    let db = Db::open(Options::in_memory()).unwrap();
    db.set("big", vec![b'v'; 8 << 20]).unwrap();
    let mut options = GrpcOptions::default();
    options.shutdown_timeout = Duration::from_millis(300);
    let server = GrpcServer::start(db, "127.0.0.1:0", options).unwrap();
    let address = format!("http://{}", server.address());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_client, mut answers) = runtime.block_on(async {
        let client = DatabaseClient::connect(address).await.unwrap();
        let mut client = client.max_decoding_message_size(usize::MAX);
        let stream = tokio_stream(vec![gets(1); 4]);
        let answers = client.pipeline(stream).await.unwrap().into_inner();
        (client, answers)
    });
    let (ended, ends) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(server);
        ended.send(())
    });
    let ends = ends.recv_timeout(support::LIMIT);
    assert!(ends.is_ok(), "shutdown waits for a client that does not read");
    let read = runtime.block_on(async {
        let mut read = 0;
        while let Ok(Some(_)) = answers.message().await {
            read += 1;
        }
        read
    });
    assert!(read < 4, "a client that did not read is served after the shutdown");
}
