//! The calls of the service.

use super::access::{Access, caller};
use super::api::database_server::Database;
use super::api::{
    AddRequest, AddResponse, BatchRequest, BatchResponse, DeleteRequest, DeleteResponse, Entry,
    GetRequest, GetResponse, Operation, ScanRequest, ScanResponse, SetRequest, SetResponse,
    WatchRequest, WatchResponse, When, answer, operation, watch_response,
};
use super::bounds::{BusyCall, Peer, Reservation, output_limit_error};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::{self, BoxStream, Stream};
use hedgerow_db_engine::bounds::LOG_BACKLOG;
use hedgerow_db_engine::db::Db;
use hedgerow_db_engine::error::Error;
use hedgerow_db_engine::gauge::Gauge;
use hedgerow_db_engine::log::{Epoch, LeaseCheck, LogError, Lsn, ReadIndex};
use hedgerow_db_engine::request::{
    self, Change, Expiry, MultiKeyOp, Query, Request as DbRequest, RequestError,
};
use hedgerow_db_engine::watch::{Event, EventKind, Watch, WatchError};
use hedgerow_db_redis::limits::{GRPC_PAUSE, GRPC_SCAN, GRPC_WATCH_BYTES, GRPC_WATCHES};
use prost::Message;
use prost::bytes::Bytes;
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tonic::{Request, Response, Status, Streaming};

/// Executed batches of a stream whose responses wait for the log.
const MAX_PENDING_BATCHES: usize = 64;
/// Keys that a scan reads at a time.
const SCAN_KEYS: usize = 256;
/// Events that may wait for a watcher.
const WATCH_QUEUE: usize = 256;
/// Approximate bytes of an answer besides its value.
pub(super) const ANSWER_OVERHEAD: usize = 64;
/// The answer to a read of a key whose value is not a string.
const OTHER_TYPE: request::Answer<'static> = request::Answer::Error(RequestError::WrongType);
/// How long a call that waits for the log's backlog goes without looking at it.
const LOOK_AGAIN: Duration = Duration::from_millis(30);
/// How often a watch checks whether it is still wanted.
const WATCH_POLL: Duration = Duration::from_millis(200);

type RpcResult<T> = Result<Response<T>, Status>;

/// The database as a tonic service.
pub(super) struct Service {
    shared: Arc<ServiceShared>,
}

/// The part of the service that all calls share.
pub(super) struct ServiceShared {
    pub(super) db: Db,
    /// Notified when the log makes progress.
    progress: Arc<Notify>,
    /// Notified when the server stops.
    end: Arc<Notify>,
    watches: Gauge,
}

impl Service {
    pub(super) fn new(db: Db) -> Self {
        let (progress, end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let notify = Arc::clone(&progress);
        db.log().on_progress(Box::new(move || notify.notify_waiters()));
        Self { shared: Arc::new(ServiceShared { db, progress, end, watches: Gauge::default() }) }
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> &ServiceShared {
        &self.shared
    }

    pub(super) fn end(&self) -> Arc<Notify> {
        Arc::clone(&self.shared.end)
    }

    /// Executes one operation, and waits until it is committed.
    async fn execute(
        &self,
        (peer, access): &(Peer, Access),
        kind: operation::Kind,
    ) -> Result<Accounted<answer::Kind>, Status> {
        let operation = Operation { kind: Some(kind) };
        let mut reserved = peer.reserve();
        let mut made = Err(unexpected());
        self.shared.wait_until_admitted(access).await?;
        let epoch = self.shared.epoch();
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
        let needs = self.shared.needs(lsn, epoch);
        drop(operation);
        self.shared.wait_committed(needs).await?;
        Ok((made?, reserved))
    }
}

/// A message, with the reservation of its bytes.
pub(super) type Accounted<T> = (T, Reservation);

/// Makes a response whose bytes stay reserved until it is sent.
fn accounted<T>((message, reserved): Accounted<T>) -> Response<T> {
    let mut response = Response::new(message);
    response.extensions_mut().insert(Arc::new(reserved));
    response
}

/// Makes a stream whose messages stay reserved until the next one is requested: then they are on their way.
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

/// Returns the connection of a request, and its access.
fn caller_of<T>(request: &Request<T>) -> Result<(Peer, Access), Status> {
    caller(request).ok_or_else(unexpected)
}

/// Returns the length of an answer's value.
pub(super) fn length(found: request::Answer<'_>) -> usize {
    match found {
        request::Answer::Bytes(value) => value.len(),
        request::Answer::Pieces(pieces) => pieces.iter().map(|piece| piece.len()).sum(),
        _ => 0,
    }
}

/// Copies an answer's value.
fn value(found: request::Answer<'_>) -> Option<Bytes> {
    match found {
        request::Answer::Bytes(value) => Some(Bytes::copy_from_slice(value)),
        request::Answer::Pieces(pieces) => Some(pieces.concat().into()),
        _ => None,
    }
}

/// Bytes of a stream's responses in memory.
#[derive(Default)]
struct OutputWindow {
    bytes: Gauge,
    fewer: Notify,
}

impl OutputWindow {
    /// Waits until the next batch may be executed.
    async fn wait_for_space(&self) {
        loop {
            let fewer = self.fewer.notified();
            // The thread that lowers the number notifies afterwards, so no wake-up is lost.
            if self.bytes.get() < GRPC_PAUSE as u64 {
                return;
            }
            fewer.await;
        }
    }
}

/// Counts the bytes of a response until this is dropped.
struct WindowBytes {
    window: Arc<OutputWindow>,
    reserved: Reservation,
}

impl WindowBytes {
    fn new(window: &Arc<OutputWindow>, reserved: Reservation) -> Self {
        window.bytes.add(reserved.bytes() as u64);
        Self { window: Arc::clone(window), reserved }
    }
}

impl Drop for WindowBytes {
    fn drop(&mut self) {
        self.window.bytes.sub(self.reserved.bytes() as u64);
        self.window.fewer.notify_one();
    }
}

/// The entry and the evaluation for which answers wait.
#[derive(Clone, Copy)]
pub(super) struct Needs {
    /// The entry that must be committed.
    lsn: Lsn,
    /// The evaluation that must be confirmed.
    read_index: ReadIndex,
}

#[cfg(test)]
impl Needs {
    pub(super) fn lsn(&self) -> Lsn {
        self.lsn
    }
}

/// The state of a scan.
struct ScanState {
    /// Keys that were found but not sent.
    keys: VecDeque<Bytes>,
    /// The bytes of these keys.
    reserved: Reservation,
    /// The next cursor, if there are more keys.
    next: Option<u64>,
    /// The last log entry when the keys were found, and before that, the number of rollbacks and the epoch.
    seen: (Lsn, u64, Epoch),
}

impl ScanState {
    fn new(peer: &Peer) -> Self {
        Self { keys: VecDeque::new(), reserved: peer.reserve(), next: Some(0), seen: (0, 0, 0) }
    }
}

fn unexpected() -> Status {
    Status::internal("unexpected answer from the database")
}

fn status_of(error: RequestError) -> Status {
    let text = error.to_string();
    match error {
        RequestError::OutOfMemory => Status::resource_exhausted(text),
        RequestError::LogUnavailable | RequestError::LogFull | RequestError::NotPrimary => {
            Status::unavailable(text)
        }
        RequestError::NoSuchKey => Status::not_found(text),
        RequestError::KeyTooLong
        | RequestError::ValueTooLong
        | RequestError::ValuesTooLong
        | RequestError::EntryTooLong => Status::invalid_argument(text),
        RequestError::Overflow | RequestError::NotFinite => Status::out_of_range(text),
        _ => Status::failed_precondition(text),
    }
}

impl ServiceShared {
    /// Returns the log's epoch. Called before requests are evaluated.
    pub(super) fn epoch(&self) -> Epoch {
        self.db.log().epoch()
    }

    /// Returns the conditions for answers that were evaluated just now. `epoch` is the one from before.
    pub(super) fn needs(&self, lsn: Lsn, epoch: Epoch) -> Needs {
        Needs { lsn, read_index: self.db.log().read_index(epoch) }
    }

    /// Waits while too much waits for the log, or while the node hands its group over. Until then nothing is executed,
    /// so the requests wait within the limits of their connection.
    async fn wait_for_room(&self) {
        while self.db.log().backlog() > LOG_BACKLOG {
            // Both outcomes mean to look again. Progress that comes before this is registered costs a pause.
            let _ = tokio::time::timeout(LOOK_AGAIN, self.progress.notified()).await;
        }
    }

    /// Waits for room, and then checks the access again: a client that sends its messages slowly, or waits here, may
    /// have lost its rights meanwhile.
    async fn wait_until_admitted(&self, access: &Access) -> Result<(), Status> {
        self.wait_for_room().await;
        access.check()
    }

    /// Waits until answers may be sent.
    async fn wait_committed(&self, needs: Needs) -> Result<(), Status> {
        loop {
            // Register before asking the log: otherwise progress in between would be missed.
            let notified = self.progress.notified();
            let mut notified = std::pin::pin!(notified);
            notified.as_mut().enable();
            let log = self.db.log();
            // The lease check last: an entry that is committed in a later epoch may be another one.
            let is_committed = log.commit(needs.lsn);
            let may_leave =
                is_committed.and_then(|committed| match log.check_lease(&needs.read_index) {
                    LeaseCheck::Failed => Err(LogError::Deposed),
                    lease_check => Ok(committed && lease_check == LeaseCheck::Passed),
                });
            match may_leave {
                Ok(true) => return Ok(()),
                Ok(false) => notified.await,
                Err(why) => return Err(Status::unavailable(why.to_string())),
            }
        }
    }

    /// Returns the next part of a scan.
    fn scan(
        &self,
        peer: &Peer,
        request: &ScanRequest,
        scan_state: &mut ScanState,
    ) -> Result<(Accounted<Vec<Entry>>, Needs), Status> {
        let (mut entries, mut reserved, mut lsn) = (Vec::new(), peer.reserve(), 0);
        let mut fits = true;
        self.db.with_session(|session| {
            let (rollbacks, epoch) = (self.db.rollbacks(), self.epoch());
            if let (Some(from), true) = (scan_state.next, scan_state.keys.is_empty()) {
                let ScanState { keys, reserved: found, .. } = &mut *scan_state;
                let next = session.scan(from, SCAN_KEYS, &mut |record| {
                    let key = record.key();
                    if key.starts_with(&request.prefix) {
                        // They may wait for as long as the client does not read the messages before.
                        fits = fits && found.grow(ANSWER_OVERHEAD + key.len());
                        if fits {
                            keys.push_back(Bytes::copy_from_slice(key));
                        }
                    }
                });
                scan_state.next = (next != 0).then_some(next);
                // A key is not reported before its log entry is committed.
                scan_state.seen = (self.db.log().last(), rollbacks, epoch);
            }
            lsn = scan_state.seen.0;
            while fits && reserved.bytes() < GRPC_SCAN {
                let Some(key) = scan_state.keys.pop_front() else { break };
                let (mut read, mut is_other_type) = (None, false);
                if request.with_values {
                    let made = session.execute(
                        &[DbRequest::Read(&key, Query::Pieces)],
                        &mut |_, found| {
                            is_other_type = found == OTHER_TYPE;
                            fits = reserved.grow(length(found));
                            read = if fits { value(found) } else { None };
                        },
                    );
                    lsn = lsn.max(made);
                }
                reserved.take(&mut scan_state.reserved, ANSWER_OVERHEAD + key.len());
                // A key that was removed meanwhile is not reported.
                if read.is_some() || is_other_type || !request.with_values {
                    entries.push(Entry { key, value: read });
                }
            }
            // A rollback since the keys were found may have undone some of them.
            if self.db.rollbacks() != scan_state.seen.1 {
                lsn = Lsn::MAX;
            }
        });
        // The keys may have been found in an earlier epoch than the values. Then the lease check fails.
        let needs = self.needs(lsn, scan_state.seen.2);
        if fits { Ok(((entries, reserved), needs)) } else { Err(output_limit_error()) }
    }

    /// Converts a change to a message for a watcher.
    fn watch_response(
        &self,
        peer: &Peer,
        event: Event,
        with_values: bool,
    ) -> Result<Accounted<WatchResponse>, Status> {
        let (value, mut reserved) = match &event.kind {
            EventKind::Changed(key) if with_values => self.watched_value(peer, key)?,
            _ => (None, peer.reserve()),
        };
        let kind = match event.kind {
            EventKind::Changed(key) => {
                watch_response::Kind::Changed(Entry { key: key.into(), value })
            }
            EventKind::Removed(key) => watch_response::Kind::Removed(key.into()),
            // `Cleared`: any key may have changed. The enum may grow, and this is right for every event.
            _ => watch_response::Kind::Cleared(true),
        };
        let message = WatchResponse { number: event.lsn, kind: Some(kind) };
        // The value counts already.
        let rest = message.encoded_len() - reserved.bytes();
        let fits = reserved.grow(ANSWER_OVERHEAD + rest);
        if fits { Ok((message, reserved)) } else { Err(output_limit_error()) }
    }

    /// Reads a value for a watcher. It counts before it is copied, because it may be long.
    fn watched_value(&self, peer: &Peer, key: &[u8]) -> Result<Accounted<Option<Bytes>>, Status> {
        loop {
            let mut reserved = peer.reserve();
            let read = DbRequest::Read(key, Query::Pieces);
            let made = self.db.execute(read, |found| match found {
                OTHER_TYPE => Ok(Some(None)),
                request::Answer::Error(error) => Err(error),
                found => Ok(reserved.grow(length(found)).then(|| value(found))),
            });
            match made {
                Ok(Some(value)) => return Ok((value, reserved)),
                Ok(None) => return Err(output_limit_error()),
                // A change that the read saw was rolled back: read again.
                Err(Error::Log(LogError::RolledBack)) => {}
                Err(why) => return Err(Status::unavailable(why.to_string())),
            }
        }
    }

    /// Sends changes to a watcher as long as it listens.
    fn watch(
        &self,
        (peer, access): &(Peer, Access),
        mut watch: Watch,
        with_values: bool,
        to: &mpsc::Sender<QueuedEvent>,
    ) {
        let (space, runtime) = (Arc::new(Semaphore::new(GRPC_WATCH_BYTES)), Handle::current());
        while !to.is_closed() {
            let next = watch.next(WATCH_POLL);
            // Behind the wait, which has no limit, and before a value is read.
            let message = match (access.check(), next) {
                (Err(refused), _) => Err(refused),
                (Ok(()), Ok(None)) => continue,
                (Ok(()), Ok(Some(event))) => self.watch_response(peer, event, with_values),
                (_, Err(why @ WatchError::Lagged)) => Err(Status::data_loss(why.to_string())),
                (_, Err(why)) => Err(Status::unavailable(why.to_string())),
            };
            let bytes = message.as_ref().map_or(0, |(message, _)| message.encoded_len());
            let ends = message.is_err();
            // A single value may be larger than the limit.
            let space = Arc::clone(&space).acquire_many_owned(bytes.min(GRPC_WATCH_BYTES) as u32);
            let permit = runtime.block_on(async {
                match select(pin!(space), pin!(to.closed())).await {
                    Either::Left((permit, _)) => permit.ok(),
                    Either::Right(_) => None,
                }
            });
            let Some(permit) = permit else { return };
            let message = message.map(|(message, reserved)| (message, (permit, reserved)));
            if to.blocking_send(message).is_err() || ends {
                return;
            }
        }
    }
}

type WatchResult = Result<WatchResponse, Status>;
/// A message for a watcher, with the permit and the reservation that count its bytes until it is sent.
type QueuedEvent = Result<(WatchResponse, (OwnedSemaphorePermit, Reservation)), Status>;

/// Converts an operation to a request.
pub(super) fn to_request(operation: &Operation, now: u64) -> Result<DbRequest<'_>, Status> {
    let kind = operation.kind.as_ref();
    let kind = kind.ok_or_else(|| Status::invalid_argument("an operation without a kind"))?;
    Ok(match kind {
        operation::Kind::Get(get) => DbRequest::Read(&get.key, Query::Pieces),
        operation::Kind::Set(set) => {
            let condition = match When::try_from(set.when) {
                Ok(When::Always) => request::SetCondition::Always,
                Ok(When::Absent) => request::SetCondition::IfAbsent,
                Ok(When::Present) => request::SetCondition::IfPresent,
                Err(_) => return Err(Status::invalid_argument("invalid value of `when`")),
            };
            let expiry = match set.ttl {
                Some(time) => Expiry::At(expiration(now, time)?),
                None if set.keep_ttl => Expiry::Keep,
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

/// Returns the time at which a key expires. As in Redis, it is a signed number of milliseconds.
fn expiration(now: u64, ttl: u64) -> Result<u64, Status> {
    let time = now.checked_add(ttl).filter(|time| i64::try_from(*time).is_ok());
    time.ok_or_else(|| Status::invalid_argument("invalid expire time"))
}

/// Converts an answer to a message.
pub(super) fn to_answer(
    operation: &Operation,
    found: request::Answer<'_>,
) -> Result<answer::Kind, RequestError> {
    let (found, int) = match found {
        request::Answer::Error(error) => return Err(error),
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
        _ => answer::Kind::Get(GetResponse { value: value(found) }),
    })
}

#[tonic::async_trait]
impl Database for Service {
    type PipelineStream = BoxStream<'static, Result<BatchResponse, Status>>;
    type ScanStream = BoxStream<'static, Result<ScanResponse, Status>>;
    type WatchStream = BoxStream<'static, WatchResult>;

    async fn get(&self, request: Request<GetRequest>) -> RpcResult<GetResponse> {
        let caller = caller_of(&request)?;
        match self.execute(&caller, operation::Kind::Get(request.into_inner())).await? {
            (answer::Kind::Get(found), reserved) => Ok(accounted((found, reserved))),
            _ => Err(unexpected()),
        }
    }

    async fn set(&self, request: Request<SetRequest>) -> RpcResult<SetResponse> {
        let caller = caller_of(&request)?;
        match self.execute(&caller, operation::Kind::Set(request.into_inner())).await?.0 {
            answer::Kind::Set(made) => Ok(Response::new(made)),
            _ => Err(unexpected()),
        }
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> RpcResult<DeleteResponse> {
        let (_, access) = caller_of(&request)?;
        let request = request.into_inner();
        let keys: Vec<&[u8]> = request.keys.iter().map(|key| &key[..]).collect();
        let mut made = Ok(0);
        self.shared.wait_until_admitted(&access).await?;
        let epoch = self.shared.epoch();
        let lsn = self.shared.db.with_session(|session| {
            session.execute(
                &[DbRequest::MultiKey(MultiKeyOp::DeleteAll(&keys))],
                &mut |_, found| {
                    made = match found {
                        request::Answer::Error(error) => Err(status_of(error)),
                        request::Answer::Int(removed) => Ok(removed.cast_unsigned()),
                        _ => Err(unexpected()),
                    };
                },
            )
        });
        let needs = self.shared.needs(lsn, epoch);
        let removed = made?;
        self.shared.wait_committed(needs).await?;
        Ok(Response::new(DeleteResponse { removed }))
    }

    async fn add(&self, request: Request<AddRequest>) -> RpcResult<AddResponse> {
        let caller = caller_of(&request)?;
        match self.execute(&caller, operation::Kind::Add(request.into_inner())).await?.0 {
            answer::Kind::Add(made) => Ok(Response::new(made)),
            _ => Err(unexpected()),
        }
    }

    async fn batch(&self, request: Request<BatchRequest>) -> RpcResult<BatchResponse> {
        let (peer, access) = caller_of(&request)?;
        self.shared.wait_until_admitted(&access).await?;
        let ((answers, reserved), needs) =
            self.shared.execute(&peer, &request.into_inner().operations).await?;
        self.shared.wait_committed(needs).await?;
        Ok(accounted((BatchResponse { answers }, reserved)))
    }

    async fn pipeline(
        &self,
        request: Request<Streaming<BatchRequest>>,
    ) -> RpcResult<Self::PipelineStream> {
        let (caller, window) = (caller_of(&request)?, Arc::<OutputWindow>::default());
        let shared = Arc::clone(&self.shared);
        // Execute each batch when it arrives, if earlier responses leave room. Only its response waits for the log, so
        // later batches are not delayed.
        let made = request.into_inner().then(move |batch| {
            let (shared, window) = (Arc::clone(&shared), Arc::clone(&window));
            let (peer, access) = caller.clone();
            async move {
                window.wait_for_space().await;
                shared.wait_until_admitted(&access).await?;
                let ((answers, reserved), needs) =
                    shared.execute(&peer, &batch?.operations).await?;
                Ok((answers, WindowBytes::new(&window, reserved), needs))
            }
        });
        let shared = Arc::clone(&self.shared);
        let answers = made.map(move |made: Result<_, Status>| {
            let shared = Arc::clone(&shared);
            async move {
                let (answers, bytes, needs) = made?;
                shared.wait_committed(needs).await?;
                Ok((BatchResponse { answers }, bytes))
            }
        });
        Ok(Response::new(accounted_stream(answers.buffered(MAX_PENDING_BATCHES))))
    }

    async fn scan(&self, request: Request<ScanRequest>) -> RpcResult<Self::ScanStream> {
        let caller = caller_of(&request)?;
        let (shared, request) = (Arc::clone(&self.shared), Arc::new(request.into_inner()));
        let scan_state = ScanState::new(&caller.0);
        let parts = stream::try_unfold(scan_state, move |mut scan_state| {
            let (shared, request) = (Arc::clone(&shared), Arc::clone(&request));
            let (peer, access) = caller.clone();
            async move {
                while scan_state.next.is_some() || !scan_state.keys.is_empty() {
                    shared.wait_until_admitted(&access).await?;
                    let ((entries, reserved), needs) =
                        shared.scan(&peer, &request, &mut scan_state)?;
                    if !entries.is_empty() {
                        shared.wait_committed(needs).await?;
                        return Ok(Some(((ScanResponse { entries }, reserved), scan_state)));
                    }
                    // A long scan that finds nothing lets other calls run.
                    tokio::task::yield_now().await;
                }
                Ok(None)
            }
        });
        Ok(Response::new(accounted_stream(parts)))
    }

    async fn watch(&self, request: Request<WatchRequest>) -> RpcResult<Self::WatchStream> {
        /// Counts a watch until it is dropped.
        struct WatchGuard(Arc<ServiceShared>);
        impl Drop for WatchGuard {
            fn drop(&mut self) {
                self.0.watches.sub(1);
            }
        }
        let caller = caller_of(&request)?;
        let request = request.into_inner();
        let shared = Arc::clone(&self.shared);
        let before = shared.watches.add(1);
        let counted = WatchGuard(Arc::clone(&shared));
        if before >= GRPC_WATCHES as u64 {
            return Err(Status::resource_exhausted("too many watches"));
        }
        let watch = shared.db.watch(&request.prefix);
        let (to, events) = mpsc::channel(WATCH_QUEUE);
        let end = Arc::clone(&shared.end);
        // A watcher sends nothing for as long as nothing changes, so the timeout must not apply to it.
        let busy: BusyCall = caller.0.busy();
        tokio::task::spawn_blocking(move || {
            counted.0.watch(&caller, watch, request.with_values, &to);
        });
        let events = stream::unfold((events, busy), |(mut events, busy)| async {
            events.recv().await.map(|event| (event, (events, busy)))
        });
        let ended = async move { end.notified().await };
        Ok(Response::new(accounted_stream(events.take_until(Box::pin(ended)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::bounds::peer_with;
    use hedgerow_db_engine::Options;
    use hedgerow_db_engine::request::{Packer, Score, StoredValue, ValueType};

    #[test]
    fn keys_that_scans_have_found_are_bounded() {
        // A scan finds all of these keys at once, and sends a few in each message.
        const KEYS: usize = 256;
        const KEY: usize = 60_000;
        let db = Db::open(Options::in_memory()).unwrap();
        for number in 0..KEYS {
            db.set(format!("{number:0>KEY$}"), "value").unwrap();
        }
        let (service, request) = (Service::new(db), ScanRequest::default());
        let peer = peer_with(3 * KEYS * KEY);
        // Drops the first message, as if it was sent.
        let begin = || {
            let mut scan_state = ScanState::new(&peer);
            let ((entries, _), _) = service.shared.scan(&peer, &request, &mut scan_state)?;
            Ok::<_, Status>((entries.len(), scan_state))
        };
        let mut begun = Vec::new();
        let refused = loop {
            match begin() {
                Ok(one) => begun.push(one),
                Err(why) => break why,
            }
            assert!(begun.len() < 6, "keys were found beyond the limit");
        };
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted, "{refused:?}");
        assert_eq!(begun.len(), 3, "keys count twice");
        drop(begun);
        // The keys of scans that have ended are not counted any more.
        for _ in 0..6 {
            let (mut sent, mut scan_state) = begin().expect("keys count behind their scan");
            while scan_state.next.is_some() || !scan_state.keys.is_empty() {
                let part = service.shared.scan(&peer, &request, &mut scan_state);
                let ((entries, _), _) = part.expect("keys count behind their scan");
                sent += entries.len();
            }
            assert_eq!(sent, KEYS);
        }
    }

    #[test]
    fn values_of_other_types_are_shown_without_a_value() {
        let db = Db::open(Options::in_memory()).unwrap();
        db.set("rose", "red").unwrap();
        let types = [ValueType::Hash, ValueType::List, ValueType::Set, ValueType::SortedSet];
        for value_type in types {
            let mut packer = Packer::new(value_type);
            packer.push(b"colour", &Score::new(1.0).unwrap().bytes());
            let value = StoredValue::Packed(packer.packed());
            let expiry = Expiry::Never;
            let change = Change::Restore { value, expiry, replace: true, usage: None };
            let store = DbRequest::Change(value_type.name().as_bytes(), change);
            db.with_session(|session| session.execute(&[store], &mut |_, _| {}));
        }
        let (service, peer) = (Service::new(db), peer_with(1 << 20));
        let request = ScanRequest { with_values: true, ..ScanRequest::default() };
        let mut scan_state = ScanState::new(&peer);
        let ((mut entries, _), _) = service.shared.scan(&peer, &request, &mut scan_state).unwrap();
        entries.sort_by_key(|entry| entry.key.clone());
        let entry = |key: &'static str, value: Option<&'static str>| Entry {
            key: key.into(),
            value: value.map(Into::into),
        };
        let shown = [
            entry("hash", None),
            entry("list", None),
            entry("rose", Some("red")),
            entry("set", None),
            entry("zset", None),
        ];
        assert_eq!(entries, shown);
        let watched = |key: &str| service.shared.watched_value(&peer, key.as_bytes()).unwrap().0;
        assert_eq!(watched("rose"), Some("red".into()));
        assert!(types.into_iter().all(|value_type| watched(value_type.name()).is_none()));
        let status = status_of(RequestError::WrongType);
        assert_eq!(status.code(), tonic::Code::FailedPrecondition);
    }
}
