//! What each call does.

use super::api::database_server::Database;
use super::api::{
    AddRequest, AddResponse, Answer, BatchRequest, BatchResponse, DeleteRequest, DeleteResponse,
    Entry, GetRequest, GetResponse, Operation, ScanRequest, ScanResponse, SetRequest, SetResponse,
    WatchRequest, WatchResponse, When, answer, operation, watch_response,
};
use crate::ask::{self, Ask, Change, Life, Look, Refusal, Together};
use crate::db::Db;
use crate::log::Lsn;
use crate::watch::{Changed, Event, Watch, WatchError};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use prost::bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tonic::{Request, Response, Status, Streaming};

/// Watches at a time: each has a thread.
pub(super) const MOST_WATCHES: usize = 256;
/// Batches of a stream that are made and wait to be safe.
const UNDER_WAY: usize = 64;
/// Keys that a message of a walk has, about.
const SCANNED: usize = 256;
/// Events that wait to be sent to a watcher.
const EVENTS: usize = 256;
/// How often a watch looks whether it is still wanted.
const PATIENCE: Duration = Duration::from_millis(200);

type Answered<T> = Result<Response<T>, Status>;

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
    async fn ask(&self, operation: operation::Kind) -> Result<answer::Kind, Status> {
        let operation = [Operation { kind: Some(operation) }];
        let (mut answers, lsn) = self.shared.run(&operation)?;
        self.shared.safe(lsn).await?;
        answers.pop().and_then(|answer| answer.kind).ok_or_else(unexpected)
    }
}

fn unexpected() -> Status {
    Status::internal("the database answered something else than it was asked")
}

fn refused(refusal: Refusal) -> Status {
    let text = refusal.to_string();
    match refusal {
        Refusal::Memory => Status::resource_exhausted(text),
        Refusal::Log => Status::unavailable(text),
        Refusal::NoSuchKey => Status::not_found(text),
        Refusal::KeyTooLong | Refusal::ValueTooLong => Status::invalid_argument(text),
        _ => Status::failed_precondition(text),
    }
}

impl Shared {
    /// Waits until an entry is safe.
    async fn safe(&self, lsn: Lsn) -> Result<(), Status> {
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
    fn run(&self, operations: &[Operation]) -> Result<(Vec<Answer>, Lsn), Status> {
        let now = self.db.now();
        let asks: Vec<Ask<'_>> =
            operations.iter().map(|operation| asked(operation, now)).collect::<Result<_, _>>()?;
        let mut answers = vec![Answer::default(); operations.len()];
        let lsn = self.db.with(|session| {
            session.run(&asks, &mut |number, found| {
                answers[number].kind = Some(told(&operations[number], found));
            })
        });
        Ok((answers, lsn))
    }

    /// A part of a walk, and where to go on, if there is more.
    fn scan(&self, request: &ScanRequest, from: u64) -> (Vec<Entry>, Option<u64>, Lsn) {
        self.db.with(|session| {
            let (mut entries, rollbacks) = (Vec::new(), self.db.rollbacks());
            let next = session.scan(from, SCANNED, &mut |key| {
                if key.starts_with(&request.prefix) {
                    entries.push(Entry { key: Bytes::copy_from_slice(key), value: None });
                }
            });
            // That a key is there is told no sooner than a restart keeps it.
            let mut lsn = self.db.log().last();
            if request.with_values {
                let keys: Vec<Bytes> = entries.iter().map(|entry| entry.key.clone()).collect();
                let asks: Vec<Ask<'_>> =
                    keys.iter().map(|key| Ask::Look(key, Look::Value)).collect();
                let values = session.run(&asks, &mut |number, found| {
                    if let ask::Answer::Bytes(value) = found {
                        entries[number].value = Some(Bytes::copy_from_slice(value));
                    }
                });
                lsn = lsn.max(values);
                entries.retain(|entry| entry.value.is_some());
            }
            if self.db.rollbacks() != rollbacks {
                lsn = Lsn::MAX;
            }
            (entries, (next != 0).then_some(next), lsn)
        })
    }

    /// What a watcher is told of a change.
    fn told(&self, event: Event, with_values: bool) -> Told {
        let kind = match event.changed {
            Changed::Key(key) => {
                let value = if with_values { self.db.get(&key) } else { Ok(None) };
                let value = value.map_err(|why| Status::unavailable(why.to_string()))?;
                let value = value.map(Bytes::from);
                watch_response::Kind::Changed(Entry { key: key.into(), value })
            }
            Changed::Removed(key) => watch_response::Kind::Removed(key.into()),
            Changed::Cleared => watch_response::Kind::Cleared(true),
        };
        Ok(WatchResponse { number: event.number, kind: Some(kind) })
    }

    /// Tells of changes as long as somebody listens.
    fn watch(&self, mut watch: Watch, with_values: bool, to: &mpsc::Sender<Told>) {
        while !to.is_closed() {
            let told = match watch.next(PATIENCE) {
                Ok(None) => continue,
                Ok(Some(event)) => self.told(event, with_values),
                Err(why @ WatchError::Behind) => Err(Status::data_loss(why.to_string())),
                Err(why) => Err(Status::unavailable(why.to_string())),
            };
            let ends = told.is_err();
            if to.blocking_send(told).is_err() || ends {
                return;
            }
        }
    }
}

type Told = Result<WatchResponse, Status>;

/// An operation in the database's own words.
fn asked(operation: &Operation, now: u64) -> Result<Ask<'_>, Status> {
    let kind = operation.kind.as_ref();
    let kind = kind.ok_or_else(|| Status::invalid_argument("an operation of no kind"))?;
    Ok(match kind {
        operation::Kind::Get(get) => Ask::Look(&get.key, Look::Value),
        operation::Kind::Set(set) => {
            let when = match When::try_from(set.when) {
                Ok(When::Always) => ask::When::Always,
                Ok(When::Absent) => ask::When::Absent,
                Ok(When::Present) => ask::When::Present,
                Err(_) => return Err(Status::invalid_argument("`when` has no such value")),
            };
            let life = match set.lives {
                Some(time) => Life::Until(now.saturating_add(time)),
                None if set.keep_life => Life::Keep,
                None => Life::Ever,
            };
            Ask::Change(&set.key, Change::Set { value: &set.value, when, life, get: false })
        }
        operation::Kind::Delete(key) => Ask::Change(key, Change::Delete),
        operation::Kind::Add(add) => Ask::Change(&add.key, Change::Add(add.by)),
    })
}

/// An answer in the words of gRPC.
fn told(operation: &Operation, found: ask::Answer<'_>) -> answer::Kind {
    let (found, int) = match found {
        ask::Answer::Refused(refusal) => return answer::Kind::Refused(refusal.to_string()),
        ask::Answer::Int(int) => (found, int),
        _ => (found, 0),
    };
    match operation.kind {
        Some(operation::Kind::Set(_)) => {
            answer::Kind::Set(SetResponse { stored: found == ask::Answer::Done })
        }
        Some(operation::Kind::Delete(_)) => {
            answer::Kind::Delete(DeleteResponse { removed: int.cast_unsigned() })
        }
        Some(operation::Kind::Add(_)) => answer::Kind::Add(AddResponse { sum: int }),
        _ => {
            let value = match found {
                ask::Answer::Bytes(value) => Some(Bytes::copy_from_slice(value)),
                _ => None,
            };
            answer::Kind::Get(GetResponse { value })
        }
    }
}

#[tonic::async_trait]
impl Database for Service {
    type PipelineStream = BoxStream<'static, Result<BatchResponse, Status>>;
    type ScanStream = BoxStream<'static, Result<ScanResponse, Status>>;
    type WatchStream = BoxStream<'static, Told>;

    async fn get(&self, request: Request<GetRequest>) -> Answered<GetResponse> {
        match self.ask(operation::Kind::Get(request.into_inner())).await? {
            answer::Kind::Get(found) => Ok(Response::new(found)),
            _ => Err(unexpected()),
        }
    }

    async fn set(&self, request: Request<SetRequest>) -> Answered<SetResponse> {
        match self.ask(operation::Kind::Set(request.into_inner())).await? {
            answer::Kind::Set(made) => Ok(Response::new(made)),
            answer::Kind::Refused(why) => Err(Status::failed_precondition(why)),
            _ => Err(unexpected()),
        }
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Answered<DeleteResponse> {
        let request = request.into_inner();
        let keys: Vec<&[u8]> = request.keys.iter().map(|key| &key[..]).collect();
        let mut made = Ok(0);
        let lsn = self.shared.db.with(|session| {
            session.run(&[Ask::Together(Together::DeleteAll(&keys))], &mut |_, found| {
                made = match found {
                    ask::Answer::Refused(refusal) => Err(refused(refusal)),
                    ask::Answer::Int(removed) => Ok(removed.cast_unsigned()),
                    _ => Err(unexpected()),
                };
            })
        });
        let removed = made?;
        self.shared.safe(lsn).await?;
        Ok(Response::new(DeleteResponse { removed }))
    }

    async fn add(&self, request: Request<AddRequest>) -> Answered<AddResponse> {
        match self.ask(operation::Kind::Add(request.into_inner())).await? {
            answer::Kind::Add(made) => Ok(Response::new(made)),
            answer::Kind::Refused(why) => Err(Status::failed_precondition(why)),
            _ => Err(unexpected()),
        }
    }

    async fn batch(&self, request: Request<BatchRequest>) -> Answered<BatchResponse> {
        let (answers, lsn) = self.shared.run(&request.into_inner().operations)?;
        self.shared.safe(lsn).await?;
        Ok(Response::new(BatchResponse { answers }))
    }

    async fn pipeline(
        &self,
        request: Request<Streaming<BatchRequest>>,
    ) -> Answered<Self::PipelineStream> {
        let shared = Arc::clone(&self.shared);
        // Each batch is made as it comes; what it waits for is only to be told.
        let answers = request.into_inner().map(move |batch| {
            let made = batch.and_then(|batch| shared.run(&batch.operations));
            let shared = Arc::clone(&shared);
            async move {
                let (answers, lsn) = made?;
                shared.safe(lsn).await?;
                Ok(BatchResponse { answers })
            }
        });
        Ok(Response::new(answers.buffered(UNDER_WAY).boxed()))
    }

    async fn scan(&self, request: Request<ScanRequest>) -> Answered<Self::ScanStream> {
        let (shared, request) = (Arc::clone(&self.shared), Arc::new(request.into_inner()));
        let parts = stream::try_unfold(Some(0), move |from| {
            let (shared, request) = (Arc::clone(&shared), Arc::clone(&request));
            async move {
                let mut from = from;
                while let Some(at) = from {
                    let (entries, next, lsn) = shared.scan(&request, at);
                    if !entries.is_empty() {
                        shared.safe(lsn).await?;
                        return Ok(Some((ScanResponse { entries }, next)));
                    }
                    from = next;
                    // A long walk that finds nothing lets others have the thread.
                    tokio::task::yield_now().await;
                }
                Ok(None)
            }
        });
        Ok(Response::new(parts.boxed()))
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Answered<Self::WatchStream> {
        /// One watch less, when dropped.
        struct Counted(Arc<Shared>);
        impl Drop for Counted {
            fn drop(&mut self) {
                // Relaxed: a count by itself.
                self.0.watches.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let request = request.into_inner();
        let shared = Arc::clone(&self.shared);
        // Relaxed: a count by itself.
        let before = shared.watches.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(Arc::clone(&shared));
        if before >= MOST_WATCHES {
            return Err(Status::resource_exhausted("there are too many watches"));
        }
        let watch = shared.db.watch(&request.prefix);
        let (to, events) = mpsc::channel(EVENTS);
        let end = Arc::clone(&shared.end);
        tokio::task::spawn_blocking(move || {
            counted.0.watch(watch, request.with_values, &to);
        });
        let events = stream::unfold(events, |mut events| async {
            events.recv().await.map(|event| (event, events))
        });
        let ended = async move { end.notified().await };
        Ok(Response::new(events.take_until(Box::pin(ended)).boxed()))
    }
}
