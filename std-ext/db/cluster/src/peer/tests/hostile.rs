//! Peers that send what no peer sends, too much, too little, or nothing; and clients that do so.

use super::node::{
    GROUP, NODE, Node, crowd, eventually, in_memory, names, options, write_snapshot_of,
};
use crate::peer::client::PeerClient;
use crate::peer::entries;
use crate::peer::error::PeerError;
use crate::peer::identity::GroupId;
use crate::peer::receive::Receiver;
use crate::peer::resync::{FetchDecision, fetch};
use crate::peer::socket::CONNECTIONS;
use crate::peer::source::chunk_crc;
use crate::peer::wire::fetch_response::Part;
use crate::peer::wire::peer_client::PeerClient as Generated;
use crate::peer::wire::peer_server::{Peer, PeerServer as Serves};
use crate::peer::wire::{
    Chunk, DigestRequest, DigestResponse, ExportRequest, ExportResponse, FetchRequest,
    FetchResponse, Manifest, MessagesRequest, MessagesResponse, MoveRequest, MoveResponse, Reached,
    RestoreRequest, RestoreResponse, SlotsRequest, SlotsResponse, StatusRequest, StatusResponse,
};
use hedgerow_db_engine::log::{Log, Lsn};
use hedgerow_db_group::NodeId;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tonic::codegen::tokio_stream::Stream;
use tonic::{Code, Request, Response, Status, Streaming, async_trait};

fn manifest(snapshot_lsn: Lsn, snapshot_bytes: u64, first: Lsn) -> Part {
    let of = Some(GROUP.sent_by(NODE));
    Part::Manifest(Manifest { of, snapshot_lsn, snapshot_bytes, first })
}

fn chunk(offset: u64, data: &[u8]) -> Chunk {
    Chunk { offset, data: data.to_vec().into(), crc: chunk_crc(offset, data) }
}

fn entry(lsn: Lsn, changes: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    entries::encode(lsn, 1, changes, &mut bytes);
    bytes
}

fn log(offset: u64, bytes: &[u8]) -> Part {
    Part::Log(chunk(offset, bytes))
}

/// The bytes of a good snapshot: all entries up to 20, and some up to 25.
fn snapshot() -> Vec<u8> {
    let node = Node::new(b"value");
    std::fs::read(node.path.path().join(format!("snapshot-{:020}", 25))).unwrap()
}

/// The bytes of a snapshot of another group.
fn snapshot_of(group: GroupId) -> Vec<u8> {
    let node = Node::empty();
    write_snapshot_of(group, &node.folder, 20, 25, b"value");
    std::fs::read(node.path.path().join(format!("snapshot-{:020}", 25))).unwrap()
}

/// Gives the parts to a receiver. Returns what it says of the first bad one.
fn received(parts: &[Part]) -> Result<(), PeerError> {
    let path = in_memory();
    let mut receiver = Receiver::create(path.path(), GROUP, 1 << 20).unwrap();
    let taken = parts
        .iter()
        .try_for_each(|part| receiver.receive(FetchResponse { part: Some(part.clone()) }));
    if taken.is_err() {
        let after =
            receiver.receive(FetchResponse { part: Some(Part::Reached(Reached { lsn: 0 })) });
        assert!(after.is_err(), "a part is taken after one was refused");
    }
    drop(receiver);
    assert_eq!(names(path.path()).len(), 0, "a fetch that failed leaves something");
    taken
}

/// Expects that the last of the parts is refused, and none before it.
fn refused(parts: &[Part]) -> String {
    let (_, before) = parts.split_last().unwrap();
    received(before).unwrap();
    received(parts).unwrap_err().to_string()
}

#[test]
fn what_no_peer_sends_is_refused() {
    let good = snapshot();
    let bytes = good.len() as u64;
    let begin = || manifest(25, bytes, 21);
    let whole = || Part::Snapshot(chunk(0, &good));
    let foreign = snapshot_of(GroupId { incarnation: 9, ..GROUP });
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let mut wrong_crc = chunk(0, &good);
    wrong_crc.crc ^= 1;
    let mut wrong_entry = entry(21, b"changes");
    wrong_entry[25] ^= 1;
    let mut other = GROUP;
    other.cluster[0] ^= 1;
    let of = Some(other.sent_by(NodeId([1; 20])));
    let other = Manifest { of, snapshot_lsn: 0, snapshot_bytes: 0, first: 1 };
    let long = u32::MAX.to_le_bytes().repeat(6);
    let five: Vec<u8> = (21..=25).flat_map(|lsn| entry(lsn, b"changes")).collect();
    let table: &[(&str, &[Part])] = &[
        ("does not name its cluster", &[Part::Manifest(Manifest { of: None, ..other })]),
        ("another cluster", &[Part::Manifest(other)]),
        ("out of order", &[log(0, b"bytes")]),
        ("out of order", &[whole()]),
        ("out of order", &[begin(), begin()]),
        ("out of order", &[begin(), Part::Reached(Reached { lsn: 0 })]),
        ("are missing", &[manifest(25, bytes, 27)]),
        ("are missing", &[manifest(25, bytes, 0)]),
        ("are missing", &[manifest(u64::MAX, bytes, 1)]),
        ("are missing", &[manifest(0, 0, 2)]),
        ("the snapshot is empty", &[manifest(25, 0, 21)]),
        ("a chunk is empty", &[begin(), Part::Snapshot(chunk(0, b""))]),
        ("wrong checksum", &[begin(), Part::Snapshot(wrong_crc)]),
        ("is missing", &[begin(), Part::Snapshot(chunk(1, b"x"))]),
        ("is damaged", &[begin(), Part::Snapshot(chunk(0, &flipped))]),
        ("longer than it said", &[manifest(25, bytes - 1, 21), whole()]),
        ("is damaged", &[manifest(26, bytes, 21), whole()]),
        (
            "another group",
            &[manifest(25, foreign.len() as u64, 21), Part::Snapshot(chunk(0, &foreign))],
        ),
        ("the snapshot needs", &[manifest(25, bytes, 22), whole()]),
        ("is missing", &[begin(), whole(), log(1, b"x")]),
        ("entry 22, but entry 21", &[begin(), whole(), log(0, &entry(22, b""))]),
        ("wrong checksum", &[begin(), whole(), log(0, &wrong_entry)]),
        ("longer than the maximum", &[begin(), whole(), log(0, &long)]),
        ("ends before its snapshot", &[begin(), whole(), Part::Reached(Reached { lsn: 20 })]),
        (
            "entry 27, but entry 26",
            &[begin(), whole(), log(0, &five), Part::Reached(Reached { lsn: 26 })],
        ),
        (
            "entry 22, but entry 21",
            &[begin(), whole(), log(0, &five[..7]), Part::Reached(Reached { lsn: 21 })],
        ),
        ("more than this node accepts", &[begin(), whole(), log(0, &vec![0; 1 << 20])]),
    ];
    for (number, (says, parts)) in table.iter().enumerate() {
        let text = refused(parts);
        assert!(text.contains(says), "row {number}: {text:?} does not say {says:?}");
    }
}

#[test]
fn a_snapshot_of_an_earlier_incarnation_is_taken() {
    let earlier = GroupId { incarnation: GROUP.incarnation - 1, ..GROUP };
    for (group, taken) in [(earlier, true), (GroupId { group: 1, ..earlier }, false)] {
        let bytes = snapshot_of(group);
        let parts = [manifest(25, bytes.len() as u64, 21), Part::Snapshot(chunk(0, &bytes))];
        assert_eq!(received(&parts).is_ok(), taken, "the peer has compared it: {group:?}");
    }
}

#[test]
fn every_byte_of_a_snapshot_counts() {
    let good = snapshot();
    for at in (0..good.len()).step_by(11) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        let parts = [manifest(25, bad.len() as u64, 21), Part::Snapshot(chunk(0, &bad))];
        assert!(received(&parts).is_err(), "byte {at}");
    }
}

#[test]
fn pieces_of_any_size_give_the_same_entries() {
    let all: Vec<u8> = (1..=9).flat_map(|lsn| entry(lsn, &vec![7; lsn as usize * 5])).collect();
    for size in 1..=all.len() {
        let path = in_memory();
        let mut receiver = Receiver::create(path.path(), GROUP, 1 << 20).unwrap();
        let mut offset = 0;
        receiver.receive(FetchResponse { part: Some(manifest(0, 0, 1)) }).unwrap();
        for piece in all.chunks(size) {
            receiver.receive(FetchResponse { part: Some(log(offset, piece)) }).unwrap();
            offset += piece.len() as u64;
        }
        assert_eq!(receiver.position().map(|position| position.lsn), Some(9), "pieces of {size}");
    }
}

/// A peer that sends the parts of a script, and then ends the call or is silent.
struct Scripted {
    parts: Vec<FetchResponse>,
    ends: bool,
}

struct Script {
    parts: std::vec::IntoIter<FetchResponse>,
    ends: bool,
}

impl Stream for Script {
    type Item = Result<FetchResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.parts.next() {
            Some(part) => Poll::Ready(Some(Ok(part))),
            None if self.ends => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

/// The stream of a request that no test makes.
type Nothing = tonic::codegen::tokio_stream::Empty<Result<ExportResponse, Status>>;

#[async_trait]
impl Peer for Scripted {
    type FetchStream = Script;
    type ExportStream = Nothing;

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        std::future::pending().await
    }

    async fn digest(&self, _: Request<DigestRequest>) -> Result<Response<DigestResponse>, Status> {
        std::future::pending().await
    }

    async fn fetch(&self, _: Request<FetchRequest>) -> Result<Response<Script>, Status> {
        Ok(Response::new(Script { parts: self.parts.clone().into_iter(), ends: self.ends }))
    }

    async fn export(&self, _: Request<ExportRequest>) -> Result<Response<Nothing>, Status> {
        Err(Status::unimplemented("not asked"))
    }

    async fn leave(&self, _: Request<MoveRequest>) -> Result<Response<MoveResponse>, Status> {
        Err(Status::unimplemented("not asked"))
    }

    async fn taken(&self, _: Request<MoveRequest>) -> Result<Response<MoveResponse>, Status> {
        Err(Status::unimplemented("not asked"))
    }

    async fn slots(&self, _: Request<SlotsRequest>) -> Result<Response<SlotsResponse>, Status> {
        Err(Status::unimplemented("not asked"))
    }

    async fn restore(
        &self,
        _: Request<RestoreRequest>,
    ) -> Result<Response<RestoreResponse>, Status> {
        Err(Status::unimplemented("not asked"))
    }

    async fn messages(
        &self,
        _: Request<Streaming<MessagesRequest>>,
    ) -> Result<Response<MessagesResponse>, Status> {
        Err(Status::unimplemented("not asked"))
    }
}

/// Serves a script on a thread of its own, which ends with the test's process.
fn scripted(parts: &[Part], ends: bool) -> SocketAddr {
    let parts = parts.iter().map(|part| FetchResponse { part: Some(part.clone()) }).collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let incoming = crate::peer::socket::Incoming::new(listener);
            let mut server = tonic::transport::Server::builder();
            let service = Serves::new(Scripted { parts, ends });
            server.add_service(service).serve_with_incoming(incoming).await
        })
    });
    address
}

fn fetched(address: SocketAddr) -> PeerError {
    let path = tempfile::tempdir().unwrap();
    let fetched =
        fetch(&address.to_string(), &options(), path.path(), &mut |_| FetchDecision::Continue);
    assert_eq!(names(path.path()).len(), 0, "a fetch that failed leaves something");
    fetched.unwrap_err()
}

#[test]
fn a_peer_that_ends_early_is_given_up() {
    let address = scripted(&[manifest(25, 1000, 21)], true);
    let error = fetched(address);
    assert!(matches!(error, PeerError::Unreachable(_)), "{error}");
}

#[test]
fn a_silent_peer_is_given_up() {
    let address = scripted(&[manifest(25, 1000, 21)], false);
    let began = Instant::now();
    let error = fetched(address);
    assert!(matches!(error, PeerError::Silent), "{error}");
    assert!(began.elapsed() >= Duration::from_secs(10));
    // This one does not even speak HTTP.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = fetched(listener.local_addr().unwrap());
    assert!(matches!(error, PeerError::Silent | PeerError::Unreachable(_)), "{error}");
}

#[test]
fn a_message_is_bounded() {
    let address =
        scripted(&[manifest(25, 1 << 30, 21), Part::Snapshot(chunk(0, &vec![7; 1 << 20]))], false);
    let error = fetched(address);
    assert!(error.to_string().contains("a message is longer"), "{error}");
}

#[test]
fn a_connection_that_breaks_is_reported() {
    let node = Node::new(&vec![9; 100_000]);
    let server = node.serve();
    let target = server.address();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // A proxy that passes half a MiB, and closes both connections.
    let proxy = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut peer = TcpStream::connect(target).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), peer.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        let mut bytes = vec![0; 1 << 19];
        peer.read_exact(&mut bytes).unwrap();
        client.write_all(&bytes).unwrap();
        for socket in [client, peer] {
            socket.shutdown(std::net::Shutdown::Both).unwrap();
        }
    });
    let error = fetched(address);
    assert!(matches!(error, PeerError::Unreachable(_)), "{error:?}");
    proxy.join().unwrap();
}

#[test]
fn a_peer_that_takes_nothing_is_given_up() {
    let node = Node::new(&vec![9; 200_000]);
    let server = node.serve();
    let address = server.address().to_string();
    let (begun, begins) = mpsc::channel();
    let (end, ends) = tokio::sync::oneshot::channel::<()>();
    let peer = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut client = PeerClient::new(&address, &options()).unwrap();
            let stream = client.fetch().await.unwrap();
            begun.send(()).unwrap();
            // The connection lives, and answers pings, but nobody reads the stream.
            let _ = ends.await;
            drop(stream);
        });
    });
    begins.recv().unwrap();
    let oldest = node.path.path().join(format!("log-{:020}", 15));
    node.local_log.log().rotate().unwrap();
    node.local_log.drop_before(41).unwrap();
    assert!(oldest.exists(), "the fetch keeps the segment");
    eventually("the segment is kept for a peer that reads nothing", || {
        node.local_log.drop_before(41).unwrap();
        !oldest.exists()
    });
    drop(end);
    peer.join().unwrap();
}

#[test]
fn few_fetches_run_at_a_time() {
    let node = Node::new(b"value");
    let server = node.serve();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut client = PeerClient::new(&server.address().to_string(), &options()).unwrap();
        let mut streams = Vec::new();
        for _ in 0..4 {
            streams.push(client.fetch().await.unwrap());
        }
        let fifth = client.fetch().await.map(|_| ()).unwrap_err();
        assert!(fifth.to_string().contains("other nodes"), "{fifth}");
        drop(streams);
        let deadline = Instant::now() + Duration::from_secs(60);
        while client.fetch().await.is_err() {
            assert!(Instant::now() < deadline, "a fetch that has ended still counts");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

#[test]
fn only_peers_take_the_place_of_a_peer() {
    let node = Node::new(b"value");
    let server = node.serve();
    let address = server.address().to_string();
    let silent = crowd(server.address());
    let mut oldest = &silent[0];
    // Sooner than the server closes a silent connection.
    oldest.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
    // The server greets it first.
    let read = oldest.read_to_end(&mut Vec::new());
    let is_open = |why: std::io::Error| why.kind() == std::io::ErrorKind::WouldBlock;
    assert!(!read.is_err_and(is_open), "the oldest connection stays");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut peer = PeerClient::new(&address, &options()).unwrap();
        peer.status().await.expect("silent clients take the place of a peer");
        drop(silent);
        // These speak the protocol, and do not know the cluster.
        let mut other = options();
        other.group.cluster[0] ^= 1;
        let mut others = Vec::new();
        for _ in 0..=CONNECTIONS {
            let mut client = PeerClient::new(&address, &other).unwrap();
            client.status().await.unwrap_err();
            others.push(client);
        }
        let mut next = PeerClient::new(&address, &options()).unwrap();
        next.status().await.expect("another cluster's nodes take the place of a peer");
        peer.status().await.expect("a peer's connection was closed");
    });
}

#[test]
fn a_request_is_bounded() {
    let node = Node::empty();
    let server = node.serve();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let refused = runtime.block_on(async {
        let url = format!("http://{}", server.address());
        let mut client = Generated::connect(url).await.unwrap();
        let mut from = GROUP.sent_by(NODE);
        from.node = vec![1; 1 << 20].into();
        client.status(StatusRequest { from: Some(from) }).await.unwrap_err()
    });
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
}
