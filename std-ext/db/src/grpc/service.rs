//! What each call does.

use super::api::database_server::Database;
use super::api::{
    AddRequest, AddResponse, Answer, BatchRequest, BatchResponse, DeleteRequest, DeleteResponse,
    Entry, GetRequest, GetResponse, Operation, ScanRequest, ScanResponse, SetRequest, SetResponse,
    WatchRequest, WatchResponse, When, answer, operation, watch_response,
};
use super::bounds::{Busy, Peer, Reservation, output_limit_error};
use crate::db::Db;
use crate::limits::{GRPC_PAUSE, GRPC_SCAN, GRPC_WATCH_BYTES, GRPC_WATCHES};
use crate::log::Lsn;
use crate::request::{self, Change, Expiry, MultiKeyOp, Query, Request as DbRequest, RequestError};
use crate::watch::{Event, EventKind, Watch, WatchError};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::{self, BoxStream, Stream};
use prost::bytes::Bytes;
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tonic::{Request, Response, Status, Streaming};

/// Batches of a stream that are made and wait to be safe.
const MAX_PENDING_BATCHES: usize = 64;
/// Keys that a message of a walk has, about.
const SCAN_KEYS: usize = 256;
/// Events that wait to be sent to a watcher.
const WATCH_QUEUE: usize = 256;
/// Bytes that an answer takes besides its value, about.
const ANSWER_OVERHEAD: usize = 64;
/// How often a watch looks whether it is still wanted.
const WATCH_POLL: Duration = Duration::from_millis(200);

type RpcResult<T> = Result<Response<T>, Status>;

/// The database, as tonic calls it.
pub(super) struct Service {
    shared: Arc<Shared>,
}

struct Shared {
    db: Db,
    /// The log has gone on.
    progress: Arc<Notify>,
    /// The server stops.
    end: Arc<Notify>,
    watches: AtomicUsize,
}

impl Service {
    pub(super) fn new(db: Db) -> Self {
        let (progress, end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let told = Arc::clone(&progress);
        db.log().on_progress(Box::new(move || told.notify_waiters()));
        Self { shared: Arc::new(Shared { db, progress, end, watches: AtomicUsize::new(0) }) }
    }

    pub(super) fn end(&self) -> Arc<Notify> {
        Arc::clone(&self.shared.end)
    }

    /// Asks one thing, and answers when it is safe.
    async fn execute(
        &self,
        peer: &Peer,
        kind: operation::Kind,
    ) -> Result<Accounted<answer::Kind>, Status> {
        let operation = Operation { kind: Some(kind) };
        let mut reserved = peer.reserve();
        let mut made = Err(unexpected());
        let lsn = {
            let to_request = [to_request(&operation, self.shared.db.now())?];
            self.shared.db.with_session(|session| {
                session.execute(&to_request, &mut |_, found| {
                    made = if reserved.grow(ANSWER_OVERHEAD + length(found)) {
                        to_answer(&operation, found).map_err(status_of)
                    } else {
                        Err(output_limit_error())
                    };
                })
            })
        };
        drop(operation);
        self.shared.wait_safe(lsn).await?;
        Ok((made?, reserved))
    }
}

/// Something of an answer, with what counts its bytes.
type Accounted<T> = (T, Reservation);

/// An answer that is counted until it is out.
fn accounted<T>((message, reserved): Accounted<T>) -> Response<T> {
    let mut response = Response::new(message);
    response.extensions_mut().insert(Arc::new(reserved));
    response
}

/// A stream of messages, each of which is held until the next is asked for: then it is on its way.
fn accounted_stream<T, H>(
    messages: impl Stream<Item = Result<(T, H), Status>> + Send + 'static,
) -> BoxStream<'static, Result<T, Status>>
where
    T: Send + 'static,
    H: Send + 'static,
{
    let next = |(mut messages, before): (BoxStream<'static, _>, Option<H>)| async move {
        drop(before);
        let message: Result<(T, H), Status> = messages.next().await?;
        Some(match message {
            Ok((message, accounted)) => (Ok(message), (messages, Some(accounted))),
            Err(why) => (Err(why), (messages, None)),
        })
    };
    stream::unfold((messages.boxed(), None), next).boxed()
}

/// The connection of a request.
fn peer_of<T>(request: &Request<T>) -> Result<Peer, Status> {
    request.extensions().get::<Peer>().cloned().ok_or_else(unexpected)
}

/// Bytes of an answer's value.
fn length(found: request::Answer<'_>) -> usize {
    if let request::Answer::Bytes(value) = found { value.len() } else { 0 }
}

/// How many bytes of a stream's answers are in memory.
#[derive(Default)]
struct OutputWindow {
    bytes: AtomicUsize,
    fewer: Notify,
}

impl OutputWindow {
    /// Waits until the next batch may be made.
    async fn wait_for_space(&self) {
        loop {
            let fewer = self.fewer.notified();
            // Relaxed: only the number counts, and the thread that lowers it notifies afterwards.
            if self.bytes.load(Ordering::Relaxed) < GRPC_PAUSE {
                return;
            }
            fewer.await;
        }
    }
}

/// Bytes of a stream's answers, until this is dropped.
struct WindowBytes {
    window: Arc<OutputWindow>,
    reserved: Reservation,
}

impl WindowBytes {
    fn new(window: &Arc<OutputWindow>, reserved: Reservation) -> Self {
        // Relaxed: as in `space`.
        window.bytes.fetch_add(reserved.bytes(), Ordering::Relaxed);
        Self { window: Arc::clone(window), reserved }
    }
}

impl Drop for WindowBytes {
    fn drop(&mut self) {
        // Relaxed: as in `space`.
        self.window.bytes.fetch_sub(self.reserved.bytes(), Ordering::Relaxed);
        self.window.fewer.notify_one();
    }
}

/// How far a walk is.
struct ScanState {
    /// Keys that were found and not told.
    keys: VecDeque<Bytes>,
    /// Where it goes on, if there is more.
    next: Option<u64>,
    /// The last entry of the log when the keys were found, and how often changes had been undone before.
    seen: (Lsn, u64),
}

fn unexpected() -> Status {
    Status::internal("the database answered something else than it was asked")
}

fn status_of(refusal: RequestError) -> Status {
    let text = refusal.to_string();
    match refusal {
        RequestError::OutOfMemory => Status::resource_exhausted(text),
        RequestError::LogUnavailable => Status::unavailable(text),
        RequestError::NoSuchKey => Status::not_found(text),
        RequestError::KeyTooLong | RequestError::ValueTooLong => Status::invalid_argument(text),
        RequestError::Overflow | RequestError::NotFinite => Status::out_of_range(text),
        _ => Status::failed_precondition(text),
    }
}

impl Shared {
    /// Waits until an entry is safe.
    async fn wait_safe(&self, lsn: Lsn) -> Result<(), Status> {
        loop {
            // Before the log is asked, so that nothing that is told meanwhile is missed.
            let told = self.progress.notified();
            let mut told = std::pin::pin!(told);
            told.as_mut().enable();
            match self.db.log().commit(lsn) {
                Ok(true) => return Ok(()),
                Ok(false) => told.await,
                Err(why) => return Err(Status::unavailable(why.to_string())),
            }
        }
    }

    /// Makes operations; their answers, and the entry that must be safe before they are told.
    fn execute(
        &self,
        peer: &Peer,
        operations: &[Operation],
    ) -> Result<(Accounted<Vec<Answer>>, Lsn), Status> {
        let now = self.db.now();
        let asks: Vec<DbRequest<'_>> = operations
            .iter()
            .map(|operation| to_request(operation, now))
            .collect::<Result<_, _>>()?;
        let mut answers = vec![Answer::default(); operations.len()];
        let mut reserved = peer.reserve();
        let mut fits = reserved.grow(ANSWER_OVERHEAD * operations.len());
        let lsn = self.db.with_session(|session| {
            session.execute(&asks, &mut |number, found| {
                fits = fits && reserved.grow(length(found));
                if fits {
                    let told = to_answer(&operations[number], found);
                    let status_of =
                        |refusal: RequestError| answer::Kind::Refused(refusal.to_string());
                    answers[number].kind = Some(told.unwrap_or_else(status_of));
                }
            })
        });
        if fits { Ok(((answers, reserved), lsn)) } else { Err(output_limit_error()) }
    }

    /// A part of a walk.
    fn scan(
        &self,
        peer: &Peer,
        request: &ScanRequest,
        scan_state: &mut ScanState,
    ) -> Result<(Accounted<Vec<Entry>>, Lsn), Status> {
        let (mut entries, mut reserved, mut lsn) = (Vec::new(), peer.reserve(), 0);
        let mut fits = true;
        self.db.with_session(|session| {
            let rollbacks = self.db.rollbacks();
            if let (Some(from), true) = (scan_state.next, scan_state.keys.is_empty()) {
                let next = session.scan(from, SCAN_KEYS, &mut |key| {
                    if key.starts_with(&request.prefix) {
                        scan_state.keys.push_back(Bytes::copy_from_slice(key));
                    }
                });
                scan_state.next = (next != 0).then_some(next);
                // That a key is there is told no sooner than a restart keeps it.
                scan_state.seen = (self.db.log().last(), rollbacks);
            }
            lsn = scan_state.seen.0;
            while fits && reserved.bytes() < GRPC_SCAN {
                let Some(key) = scan_state.keys.pop_front() else { break };
                let mut value = None;
                if request.with_values {
                    let made =
                        session.execute(&[DbRequest::Read(&key, Query::Value)], &mut |_, found| {
                            fits = reserved.grow(length(found));
                            if let (request::Answer::Bytes(found), true) = (found, fits) {
                                value = Some(Bytes::copy_from_slice(found));
                            }
                        });
                    lsn = lsn.max(made);
                }
                fits = fits && reserved.grow(ANSWER_OVERHEAD + key.len());
                // A key that is gone by now is not told.
                if value.is_some() || !request.with_values {
                    entries.push(Entry { key, value });
                }
            }
            // A rollback since the keys were seen may have undone some of them.
            if self.db.rollbacks() != scan_state.seen.1 {
                lsn = Lsn::MAX;
            }
        });
        if fits { Ok(((entries, reserved), lsn)) } else { Err(output_limit_error()) }
    }

    /// What a watcher is told of a change.
    fn watch_response(&self, event: Event, with_values: bool) -> WatchResult {
        let kind = match event.kind {
            EventKind::Changed(key) => {
                let value = if with_values { self.db.get(&key) } else { Ok(None) };
                let value = value.map_err(|why| Status::unavailable(why.to_string()))?;
                let value = value.map(Bytes::from);
                watch_response::Kind::Changed(Entry { key: key.into(), value })
            }
            EventKind::Removed(key) => watch_response::Kind::Removed(key.into()),
            EventKind::Cleared => watch_response::Kind::Cleared(true),
        };
        Ok(WatchResponse { number: event.lsn, kind: Some(kind) })
    }

    /// Tells of changes as long as somebody listens.
    fn watch(
        &self,
        peer: &Peer,
        mut watch: Watch,
        with_values: bool,
        to: &mpsc::Sender<QueuedEvent>,
    ) {
        let (space, runtime) = (Arc::new(Semaphore::new(GRPC_WATCH_BYTES)), Handle::current());
        while !to.is_closed() {
            let told = match watch.next(WATCH_POLL) {
                Ok(None) => continue,
                Ok(Some(event)) => self.watch_response(event, with_values),
                Err(why @ WatchError::Lagged) => Err(Status::data_loss(why.to_string())),
                Err(why) => Err(Status::unavailable(why.to_string())),
            };
            let bytes = told.as_ref().map_or(0, prost::Message::encoded_len);
            let mut reserved = peer.reserve();
            let told = if reserved.grow(ANSWER_OVERHEAD + bytes) {
                told
            } else {
                Err(output_limit_error())
            };
            let ends = told.is_err();
            // One value may be larger than all the room.
            let space = Arc::clone(&space).acquire_many_owned(bytes.min(GRPC_WATCH_BYTES) as u32);
            let permit = runtime.block_on(async {
                match select(pin!(space), pin!(to.closed())).await {
                    Either::Left((permit, _)) => permit.ok(),
                    Either::Right(_) => None,
                }
            });
            let Some(permit) = permit else { return };
            let told = told.map(|told| (told, (permit, reserved)));
            if to.blocking_send(told).is_err() || ends {
                return;
            }
        }
    }
}

type WatchResult = Result<WatchResponse, Status>;
/// What is told, with what counts its bytes until it is out.
type QueuedEvent = Result<(WatchResponse, (OwnedSemaphorePermit, Reservation)), Status>;

/// An operation in the database's own words.
fn to_request(operation: &Operation, now: u64) -> Result<DbRequest<'_>, Status> {
    let kind = operation.kind.as_ref();
    let kind = kind.ok_or_else(|| Status::invalid_argument("an operation of no kind"))?;
    Ok(match kind {
        operation::Kind::Get(get) => DbRequest::Read(&get.key, Query::Value),
        operation::Kind::Set(set) => {
            let condition = match When::try_from(set.when) {
                Ok(When::Always) => request::SetCondition::Always,
                Ok(When::Absent) => request::SetCondition::IfAbsent,
                Ok(When::Present) => request::SetCondition::IfPresent,
                Err(_) => return Err(Status::invalid_argument("`when` has no such value")),
            };
            let expiry = match set.lives {
                Some(time) => Expiry::At(now.saturating_add(time)),
                None if set.keep_life => Expiry::Keep,
                None => Expiry::Never,
            };
            DbRequest::Change(
                &set.key,
                Change::Set { value: &set.value, condition, expiry, get: false },
            )
        }
        operation::Kind::Delete(key) => DbRequest::Change(key, Change::Delete),
        operation::Kind::Add(add) => DbRequest::Change(&add.key, Change::Increment(add.by)),
    })
}

/// An answer in the words of gRPC.
fn to_answer(
    operation: &Operation,
    found: request::Answer<'_>,
) -> Result<answer::Kind, RequestError> {
    let (found, int) = match found {
        request::Answer::Error(refusal) => return Err(refusal),
        request::Answer::Int(int) => (found, int),
        _ => (found, 0),
    };
    Ok(match operation.kind {
        Some(operation::Kind::Set(_)) => {
            answer::Kind::Set(SetResponse { stored: found == request::Answer::Done })
        }
        Some(operation::Kind::Delete(_)) => {
            answer::Kind::Delete(DeleteResponse { removed: int.cast_unsigned() })
        }
        Some(operation::Kind::Add(_)) => answer::Kind::Add(AddResponse { sum: int }),
        _ => {
            let value = match found {
                request::Answer::Bytes(value) => Some(Bytes::copy_from_slice(value)),
                _ => None,
            };
            answer::Kind::Get(GetResponse { value })
        }
    })
}

#[tonic::async_trait]
impl Database for Service {
    type PipelineStream = BoxStream<'static, Result<BatchResponse, Status>>;
    type ScanStream = BoxStream<'static, Result<ScanResponse, Status>>;
    type WatchStream = BoxStream<'static, WatchResult>;

    async fn get(&self, request: Request<GetRequest>) -> RpcResult<GetResponse> {
        let peer = peer_of(&request)?;
        match self.execute(&peer, operation::Kind::Get(request.into_inner())).await? {
            (answer::Kind::Get(found), reserved) => Ok(accounted((found, reserved))),
            _ => Err(unexpected()),
        }
    }

    async fn set(&self, request: Request<SetRequest>) -> RpcResult<SetResponse> {
        let peer = peer_of(&request)?;
        match self.execute(&peer, operation::Kind::Set(request.into_inner())).await?.0 {
            answer::Kind::Set(made) => Ok(Response::new(made)),
            _ => Err(unexpected()),
        }
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> RpcResult<DeleteResponse> {
        let request = request.into_inner();
        let keys: Vec<&[u8]> = request.keys.iter().map(|key| &key[..]).collect();
        let mut made = Ok(0);
        let lsn = self.shared.db.with_session(|session| {
            session.execute(
                &[DbRequest::MultiKey(MultiKeyOp::DeleteAll(&keys))],
                &mut |_, found| {
                    made = match found {
                        request::Answer::Error(refusal) => Err(status_of(refusal)),
                        request::Answer::Int(removed) => Ok(removed.cast_unsigned()),
                        _ => Err(unexpected()),
                    };
                },
            )
        });
        let removed = made?;
        self.shared.wait_safe(lsn).await?;
        Ok(Response::new(DeleteResponse { removed }))
    }

    async fn add(&self, request: Request<AddRequest>) -> RpcResult<AddResponse> {
        let peer = peer_of(&request)?;
        match self.execute(&peer, operation::Kind::Add(request.into_inner())).await?.0 {
            answer::Kind::Add(made) => Ok(Response::new(made)),
            _ => Err(unexpected()),
        }
    }

    async fn batch(&self, request: Request<BatchRequest>) -> RpcResult<BatchResponse> {
        let peer = peer_of(&request)?;
        let ((answers, reserved), lsn) =
            self.shared.execute(&peer, &request.into_inner().operations)?;
        self.shared.wait_safe(lsn).await?;
        Ok(accounted((BatchResponse { answers }, reserved)))
    }

    async fn pipeline(
        &self,
        request: Request<Streaming<BatchRequest>>,
    ) -> RpcResult<Self::PipelineStream> {
        let (peer, window) = (peer_of(&request)?, Arc::<OutputWindow>::default());
        let shared = Arc::clone(&self.shared);
        // Each batch is made as it comes, if the answers before it are not too many; what it waits for then is only to
        // be told.
        let made = request.into_inner().then(move |batch| {
            let (shared, peer, window) = (Arc::clone(&shared), peer.clone(), Arc::clone(&window));
            async move {
                window.wait_for_space().await;
                let ((answers, reserved), lsn) = shared.execute(&peer, &batch?.operations)?;
                Ok((answers, WindowBytes::new(&window, reserved), lsn))
            }
        });
        let shared = Arc::clone(&self.shared);
        let answers = made.map(move |made: Result<_, Status>| {
            let shared = Arc::clone(&shared);
            async move {
                let (answers, bytes, lsn) = made?;
                shared.wait_safe(lsn).await?;
                Ok((BatchResponse { answers }, bytes))
            }
        });
        Ok(Response::new(accounted_stream(answers.buffered(MAX_PENDING_BATCHES))))
    }

    async fn scan(&self, request: Request<ScanRequest>) -> RpcResult<Self::ScanStream> {
        let peer = peer_of(&request)?;
        let (shared, request) = (Arc::clone(&self.shared), Arc::new(request.into_inner()));
        let scan_state = ScanState { keys: VecDeque::new(), next: Some(0), seen: (0, 0) };
        let parts = stream::try_unfold(scan_state, move |mut scan_state| {
            let (shared, request, peer) = (Arc::clone(&shared), Arc::clone(&request), peer.clone());
            async move {
                while scan_state.next.is_some() || !scan_state.keys.is_empty() {
                    let ((entries, reserved), lsn) =
                        shared.scan(&peer, &request, &mut scan_state)?;
                    if !entries.is_empty() {
                        shared.wait_safe(lsn).await?;
                        return Ok(Some(((ScanResponse { entries }, reserved), scan_state)));
                    }
                    // A long walk that finds nothing lets others have the thread.
                    tokio::task::yield_now().await;
                }
                Ok(None)
            }
        });
        Ok(Response::new(accounted_stream(parts)))
    }

    async fn watch(&self, request: Request<WatchRequest>) -> RpcResult<Self::WatchStream> {
        /// One watch less, when dropped.
        struct WatchGuard(Arc<Shared>);
        impl Drop for WatchGuard {
            fn drop(&mut self) {
                // Relaxed: a count by itself.
                self.0.watches.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let peer = peer_of(&request)?;
        let request = request.into_inner();
        let shared = Arc::clone(&self.shared);
        // Relaxed: a count by itself.
        let before = shared.watches.fetch_add(1, Ordering::Relaxed);
        let counted = WatchGuard(Arc::clone(&shared));
        if before >= GRPC_WATCHES {
            return Err(Status::resource_exhausted("there are too many watches"));
        }
        let watch = shared.db.watch(&request.prefix);
        let (to, events) = mpsc::channel(WATCH_QUEUE);
        let end = Arc::clone(&shared.end);
        // A watcher has nothing to send, however long nothing changes, so it is not idle.
        let busy: Busy = peer.busy();
        tokio::task::spawn_blocking(move || {
            counted.0.watch(&peer, watch, request.with_values, &to);
        });
        let events = stream::unfold((events, busy), |(mut events, busy)| async {
            events.recv().await.map(|event| (event, (events, busy)))
        });
        let ended = async move { end.notified().await };
        Ok(Response::new(accounted_stream(events.take_until(Box::pin(ended)))))
    }
}
