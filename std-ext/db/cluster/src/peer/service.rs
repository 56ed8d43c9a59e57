//! The answers of the server of peers.

use super::asked::{Asked, Asks};
use super::channels::PartJoiner;
use super::digest::{self, LONGEST_WAIT};
use super::export::{self, EXPORTS};
use super::limits::SILENCE;
use super::restored::{self, RESTORES};
use super::serving::Serving;
use super::slots;
use super::socket::PeerConnection;
use super::source::SnapshotSource;
use super::wire::peer_server::Peer;
use super::wire::{
    DigestRequest, DigestResponse, ExportRequest, FetchRequest, FetchResponse, Identity,
    MessagesRequest, MessagesResponse, MoveRequest, MoveResponse, RestoreRequest, RestoreResponse,
    SlotsRequest, SlotsResponse, StatusRequest, StatusResponse,
};
use crate::log::local_log::LocalLogError;
use hedgerow_db_engine::Db;
use hedgerow_db_engine::clustered::{DigestError, Role};
use hedgerow_db_engine::lock::lock;
use hedgerow_db_formats::slot_set::SlotSet;
use hedgerow_db_group::NodeId;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::oneshot;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tonic::codegen::tokio_stream::Stream;
use tonic::{Extensions, Request, Response, Status, Streaming, async_trait};

/// Fetches at a time: each reads the disk, and keeps old files.
pub(super) const FETCHES: usize = 4;
/// Calls with messages of channels that are delivered at a time.
pub(super) const DELIVERIES: usize = 2;
/// Chunks of a fetch that wait for the peer.
const WAITING: usize = 4;
/// How often the local log is asked for new entries.
const POLL: Duration = Duration::from_millis(50);
/// How often a peer that has everything is told so.
const TELL: Duration = Duration::from_secs(1);

/// The service.
pub(super) struct PeerService {
    serving: Arc<Serving>,
    fetches: Arc<Semaphore>,
    exports: Arc<Semaphore>,
    restores: Arc<Semaphore>,
    /// The pieces of a long value of a backup.
    collected: Arc<Mutex<Vec<u8>>>,
}

impl PeerService {
    pub(super) fn new(serving: Arc<Serving>) -> Self {
        let [fetches, exports, restores] =
            [FETCHES, EXPORTS, RESTORES].map(|most| Arc::new(Semaphore::new(most)));
        Self { serving, fetches, exports, restores, collected: Arc::default() }
    }

    /// Checks that a node of this group asks, and admits its connection. Returns the node.
    fn member(&self, asked: &Extensions, from: Option<&Identity>) -> Result<NodeId, Status> {
        // In this order: a node of another cluster must not count as a peer's connection.
        let node = self.serving.group.check(from).map_err(Status::failed_precondition)?;
        PeerConnection::of(asked)?.admit()?;
        Ok(node)
    }

    /// Checks that a node of this cluster asks, and admits its connection.
    fn node(&self, asked: &Extensions, from: Option<&Identity>) -> Result<NodeId, Status> {
        let node = self.serving.group.check_cluster(from).map_err(Status::failed_precondition)?;
        PeerConnection::of(asked)?.admit()?;
        Ok(node)
    }

    /// Checks that a node of this cluster asks this group, and admits its connection. Returns the asking group, and the
    /// parts that moves and restored backups need.
    fn moves(
        &self,
        asked: &Extensions,
        from: Option<&Identity>,
        group: u32,
    ) -> Result<(u32, &(Db, Asks)), Status> {
        let serving = &self.serving;
        self.node(asked, from)?;
        if group != serving.group.group {
            return Err(Status::failed_precondition("it is a node of another group"));
        }
        let moves = serving.moves.as_ref();
        let moves = moves.ok_or_else(|| Status::failed_precondition("it has no database"))?;
        Ok((from.map_or(0, |from| from.group), moves))
    }
}

impl PeerService {
    fn moved(&self) -> MoveResponse {
        MoveResponse { of: Some(self.serving.group.sent_by(self.serving.node)) }
    }
}

#[async_trait]
impl Peer for PeerService {
    type FetchStream = Parts;
    type ExportStream = export::ExportParts;

    async fn status(
        &self,
        request: Request<StatusRequest>,
    ) -> Result<Response<StatusResponse>, Status> {
        let serving = &self.serving;
        self.member(request.extensions(), request.get_ref().from.as_ref())?;
        Ok(Response::new((serving.status)().to_wire(&serving.group)))
    }

    async fn digest(
        &self,
        request: Request<DigestRequest>,
    ) -> Result<Response<DigestResponse>, Status> {
        let (_, asked, DigestRequest { from, time, within }) = request.into_parts();
        self.member(&asked, from.as_ref())?;
        // The sender names the time, and one of few threads waits for it.
        let within = Duration::from_millis(within).min(LONGEST_WAIT);
        let serving = Arc::clone(&self.serving);
        let taken = spawn_blocking(move || (serving.digest)(time, within)).await;
        let taken = taken.map_err(|_| Status::internal("it failed to take a digest"))?;
        let taken = match taken {
            Ok(digest) => Some(digest),
            Err(DigestError::Late) => None,
            Err(why) => return Err(Status::failed_precondition(why.to_string())),
        };
        let of = self.serving.group.sent_by(self.serving.node);
        Ok(Response::new(digest::to_wire(of, taken.as_ref())))
    }

    async fn fetch(&self, request: Request<FetchRequest>) -> Result<Response<Parts>, Status> {
        let serving = &self.serving;
        let from = self.member(request.extensions(), request.get_ref().from.as_ref())?;
        if from == serving.node {
            let why = "the node has reached itself: another node has announced its address";
            return Err(Status::failed_precondition(why));
        }
        // Refused instead of queued: the caller then asks another node.
        let permit = Arc::clone(&self.fetches).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(
                "it is already sending its data to other nodes: try again later",
            )
        })?;
        let data = lock(&serving.data).clone();
        let (folder, local_log) = data.ok_or_else(|| {
            Status::failed_precondition("it keeps no data on a disk, or is still loading it")
        })?;
        let of = serving.group.sent_by(serving.node);
        let source = spawn_blocking(move || SnapshotSource::open(of, &folder, &local_log)).await;
        let source = source.map_err(|_| Status::internal("it failed to open its data"))?;
        let source = source.map_err(|why| refusal(&why))?;
        let (parts, taken) = mpsc::channel(WAITING);
        tokio::spawn(send(source, parts, permit));
        Ok(Response::new(Parts(taken)))
    }

    async fn export(
        &self,
        request: Request<ExportRequest>,
    ) -> Result<Response<export::ExportParts>, Status> {
        let (_, asked, ExportRequest { from, group, slots }) = request.into_parts();
        let (_, (db, _)) = self.moves(&asked, from.as_ref(), group)?;
        let wrong = || Status::invalid_argument("the request has no set of slots");
        let slots = SlotSet::from_bits(slots[..].try_into().map_err(|_| wrong())?);
        if db.role() != Role::Primary {
            return Err(Status::failed_precondition("it is not the primary of its group"));
        }
        let permit = Arc::clone(&self.exports).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(
                "it is already sending the keys of other moves: try again later",
            )
        })?;
        Ok(Response::new(export::begin(db.clone(), slots, permit)))
    }

    async fn leave(&self, request: Request<MoveRequest>) -> Result<Response<MoveResponse>, Status> {
        let (_, asked, MoveRequest { from, group, r#move: id }) = request.into_parts();
        let (to, (_, asks)) = self.moves(&asked, from.as_ref(), group)?;
        let (done, left) = oneshot::channel();
        // Fails only after the node has stopped.
        let _ = asks.send(Asked::Leave { id, to, done });
        let left = left.await.map_err(|_| Status::unavailable("it stops"))?;
        left.map_err(Status::failed_precondition)?;
        Ok(Response::new(self.moved()))
    }

    async fn taken(&self, request: Request<MoveRequest>) -> Result<Response<MoveResponse>, Status> {
        let (_, asked, MoveRequest { from, group, r#move: id }) = request.into_parts();
        let (_, (_, asks)) = self.moves(&asked, from.as_ref(), group)?;
        // As above.
        let _ = asks.send(Asked::Taken { id });
        Ok(Response::new(self.moved()))
    }

    async fn slots(
        &self,
        request: Request<SlotsRequest>,
    ) -> Result<Response<SlotsResponse>, Status> {
        let (_, asked, SlotsRequest { from, group }) = request.into_parts();
        let (_, (db, _)) = self.moves(&asked, from.as_ref(), group)?;
        let db = db.clone();
        let counts = spawn_blocking(move || (db.role(), db.state().owned_slots())).await;
        let (role, counts) = counts.map_err(|_| Status::internal("it failed to count its keys"))?;
        if role != Role::Primary {
            return Err(Status::failed_precondition("it is not the primary of its group"));
        }
        let of = self.serving.group.sent_by(self.serving.node);
        Ok(Response::new(slots::to_wire(of, &counts)))
    }

    async fn restore(
        &self,
        request: Request<RestoreRequest>,
    ) -> Result<Response<RestoreResponse>, Status> {
        let (_, asked, RestoreRequest { from, group, must_be_empty, keys }) = request.into_parts();
        let (_, (db, asks)) = self.moves(&asked, from.as_ref(), group)?;
        let db = db.clone();
        let permit = Arc::clone(&self.restores)
            .try_acquire_owned()
            .map_err(|_| Status::unavailable("it is storing other keys of a backup: try again"))?;
        // The id of the cluster alone must not allow writing: that of the command is in etcd, and secret.
        let by = self.node(&asked, from.as_ref())?;
        let (answer, answered) = oneshot::channel();
        // As above.
        let _ = asks.send(Asked::Restores { by, answer });
        let restores = answered.await.map_err(|_| Status::unavailable("it stops"))?;
        if !restores.map_err(Status::unavailable)? {
            let why = "etcd has no record that the sender is restoring a backup";
            return Err(Status::failed_precondition(why));
        }
        let collected = Arc::clone(&self.collected);
        let stored = spawn_blocking(move || {
            // Also if the caller is gone: its next request must not overtake this one.
            let _permit = permit;
            restored::store(&db, &keys, must_be_empty, &mut lock(&collected))
        });
        let stored = stored.await;
        stored.map_err(|_| Status::internal("it failed to store the keys"))??;
        let of = Some(self.serving.group.sent_by(self.serving.node));
        Ok(Response::new(RestoreResponse { of }))
    }

    async fn messages(
        &self,
        request: Request<Streaming<MessagesRequest>>,
    ) -> Result<Response<MessagesResponse>, Status> {
        let (_, asked, mut requests) = request.into_parts();
        let mut joiner = PartJoiner::default();
        let mut known = false;
        while let Some(MessagesRequest { from, messages }) = requests.message().await? {
            // Only the first request of a call names its sender.
            if !known {
                self.node(&asked, from.as_ref())?;
                known = true;
            }
            let mut complete = Vec::new();
            for message in messages {
                complete.extend(joiner.take(message).map_err(Status::invalid_argument)?);
            }
            let serving = Arc::clone(&self.serving);
            // Patterns of clients may take long to compare.
            let delivered = spawn_blocking(move || {
                for (channel, message) in complete {
                    (serving.deliver)(&channel, &message);
                }
            });
            delivered.await.map_err(|_| Status::internal("it failed to deliver a message"))?;
        }
        let of = Some(self.serving.group.sent_by(self.serving.node));
        Ok(Response::new(MessagesResponse { of }))
    }
}

/// The parts of one fetch.
pub(super) struct Parts(Receiver<Result<FetchResponse, Status>>);

impl Stream for Parts {
    type Item = Result<FetchResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

/// Sends the parts until the peer ends the call, or takes nothing for too long.
async fn send(
    mut source: SnapshotSource,
    parts: Sender<Result<FetchResponse, Status>>,
    _permit: OwnedSemaphorePermit,
) {
    let mut told: Option<Instant> = None;
    loop {
        let read = spawn_blocking(move || {
            let next = source.next();
            (source, next)
        });
        // It panics only if the runtime stops.
        let Ok((back, next)) = read.await else { return };
        source = back;
        let part = match next {
            Ok(Some(part)) => {
                told = None;
                Ok(part)
            }
            Ok(None) if told.is_some_and(|told| told.elapsed() < TELL) => {
                sleep(POLL).await;
                if parts.is_closed() {
                    return;
                }
                continue;
            }
            Ok(None) => {
                told = Some(Instant::now());
                Ok(source.reached())
            }
            Err(why) => Err(refusal(&why)),
        };
        let ends = part.is_err();
        let part = part.map(|part| FetchResponse { part: Some(part) });
        // A peer that takes nothing would keep old files for ever.
        let sent = timeout(SILENCE, parts.send(part)).await;
        if ends || !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

/// Returns the answer to a peer if this node's own files cannot be read.
fn refusal(why: &LocalLogError) -> Status {
    tracing::warn!(%why, "a peer cannot be sent this node's data");
    Status::data_loss(format!("its own data cannot be read: {why}"))
}
