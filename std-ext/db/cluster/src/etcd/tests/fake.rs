//! A server that answers as a script says.

use crate::etcd::api;
use crate::etcd::api::auth_server::{Auth, AuthServer};
use crate::etcd::api::kv_server::{Kv, KvServer};
use crate::etcd::api::maintenance_server::{Maintenance, MaintenanceServer};
use crate::etcd::api::watch_server::{Watch, WatchServer};
use hedgerow_db_engine::lock::lock;
use prost::bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status, Streaming};

/// The cluster that answers name, unless a script says otherwise.
pub(super) const CLUSTER: u64 = 7;

/// The answer to a request for keys, a change or a state.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// A header with this revision.
    Revision(i64),
    /// A header of this cluster.
    Cluster(u64),
    /// A header with this revision, when the script's owner allows it.
    Held(Arc<Notify>, i64),
    /// No header.
    Headless,
    /// One key with a value of that many bytes.
    Large(usize),
    /// An error.
    Fail(Code, &'static str),
    /// Nothing, for ever.
    Silence,
}

/// The answers to a connection of a watch.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) answers: Vec<Result<api::WatchResponse, Status>>,
    /// Whether the connection stays open after that, and is silent.
    pub(super) stays: bool,
}

/// The requests that the server has received, and the answers that it will give.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) replies: VecDeque<Reply>,
    pub(super) scripts: VecDeque<Script>,
    pub(super) version: &'static str,
    pub(super) ranges: Vec<api::RangeRequest>,
    pub(super) txns: Vec<api::TxnRequest>,
    pub(super) changes: usize,
    pub(super) watches: Vec<api::WatchCreateRequest>,
    pub(super) progress_requests: usize,
    /// How many requests said that they want a leader.
    pub(super) want_leader: usize,
    pub(super) sign_ins: usize,
    /// The tokens that requests have shown.
    pub(super) tokens: Vec<String>,
}

/// A server that answers as its state says. It ends with the runtime.
#[derive(Clone, Debug, Default)]
pub(super) struct Fake {
    state: Arc<Mutex<State>>,
}

impl Fake {
    /// Starts a server, and returns it with its URL.
    pub(super) async fn start(replies: impl IntoIterator<Item = Reply>) -> (Self, String) {
        let fake = Self::default();
        fake.state().replies.extend(replies);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Server::builder()
            .add_service(AuthServer::new(fake.clone()))
            .add_service(KvServer::new(fake.clone()))
            .add_service(MaintenanceServer::new(fake.clone()))
            .add_service(WatchServer::new(fake.clone()));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        (fake, url)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    async fn reply<T>(&self, request: &Request<T>) -> Result<Option<api::ResponseHeader>, Status> {
        if request.metadata().get("hasleader").is_some() {
            self.state().want_leader += 1;
        }
        if let Some(token) = request.metadata().get("token") {
            self.state().tokens.push(token.to_str().unwrap().to_owned());
        }
        let next = self.state().replies.pop_front();
        match next.unwrap_or(Reply::Revision(1)) {
            Reply::Revision(revision) => Ok(Some(header(revision))),
            Reply::Large(_) => Ok(Some(header(1))),
            Reply::Cluster(cluster_id) => Ok(Some(api::ResponseHeader { cluster_id, ..header(1) })),
            Reply::Held(allowed, revision) => {
                allowed.notified().await;
                Ok(Some(header(revision)))
            }
            Reply::Headless => Ok(None),
            Reply::Fail(code, text) => Err(Status::new(code, text)),
            Reply::Silence => std::future::pending().await,
        }
    }
}

/// Returns a header with a revision.
pub(super) fn header(revision: i64) -> api::ResponseHeader {
    api::ResponseHeader { cluster_id: CLUSTER, member_id: 1, revision, raft_term: 1 }
}

#[tonic::async_trait]
impl Auth for Fake {
    async fn authenticate(
        &self,
        _: Request<api::AuthenticateRequest>,
    ) -> Result<Response<api::AuthenticateResponse>, Status> {
        let mut state = self.state();
        state.sign_ins += 1;
        let token = format!("token-{}", state.sign_ins);
        Ok(Response::new(api::AuthenticateResponse { header: Some(header(1)), token }))
    }
}

#[tonic::async_trait]
impl Kv for Fake {
    async fn range(
        &self,
        request: Request<api::RangeRequest>,
    ) -> Result<Response<api::RangeResponse>, Status> {
        let large = match self.state().replies.front() {
            Some(&Reply::Large(size)) => Some(size),
            _ => None,
        };
        let header = self.reply(&request).await?;
        self.state().ranges.push(request.into_inner());
        let pair = |size| api::KeyValue { value: Bytes::from(vec![0; size]), ..Default::default() };
        let kvs = large.map(pair).into_iter().collect();
        Ok(Response::new(api::RangeResponse { header, kvs, more: false, count: 0 }))
    }

    async fn put(
        &self,
        request: Request<api::PutRequest>,
    ) -> Result<Response<api::PutResponse>, Status> {
        self.state().changes += 1;
        Ok(Response::new(api::PutResponse { header: self.reply(&request).await? }))
    }

    async fn delete_range(
        &self,
        request: Request<api::DeleteRangeRequest>,
    ) -> Result<Response<api::DeleteRangeResponse>, Status> {
        self.state().changes += 1;
        let header = self.reply(&request).await?;
        Ok(Response::new(api::DeleteRangeResponse { header, deleted: 0 }))
    }

    async fn txn(
        &self,
        request: Request<api::TxnRequest>,
    ) -> Result<Response<api::TxnResponse>, Status> {
        self.state().txns.push(request.get_ref().clone());
        let header = self.reply(&request).await?;
        Ok(Response::new(api::TxnResponse { header, succeeded: true, responses: Vec::new() }))
    }

    async fn compact(
        &self,
        request: Request<api::CompactionRequest>,
    ) -> Result<Response<api::CompactionResponse>, Status> {
        Ok(Response::new(api::CompactionResponse { header: self.reply(&request).await? }))
    }
}

#[tonic::async_trait]
impl Maintenance for Fake {
    async fn alarm(
        &self,
        request: Request<api::AlarmRequest>,
    ) -> Result<Response<api::AlarmResponse>, Status> {
        let header = self.reply(&request).await?;
        Ok(Response::new(api::AlarmResponse { header, alarms: Vec::new() }))
    }

    async fn status(
        &self,
        request: Request<api::StatusRequest>,
    ) -> Result<Response<api::StatusResponse>, Status> {
        let header = self.reply(&request).await?;
        let version = self.state().version.to_owned();
        Ok(Response::new(api::StatusResponse { header, version, ..Default::default() }))
    }
}

#[tonic::async_trait]
impl Watch for Fake {
    type WatchStream = ReceiverStream<Result<api::WatchResponse, Status>>;

    async fn watch(
        &self,
        request: Request<Streaming<api::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let fake = self.clone();
        if request.metadata().get("hasleader").is_some() {
            fake.state().want_leader += 1;
        }
        let mut requests = request.into_inner();
        let first = requests.message().await?.and_then(|first| first.request_union);
        let Some(api::watch_request::RequestUnion::CreateRequest(create)) = first else {
            return Err(Status::invalid_argument("the first request creates no watch"));
        };
        let script = {
            let mut state = fake.state();
            state.watches.push(create);
            state.scripts.pop_front().unwrap_or(Script { answers: Vec::new(), stays: true })
        };
        let (send, answers) = mpsc::channel(64);
        tokio::spawn(async move {
            for answer in script.answers {
                if send.send(answer).await.is_err() {
                    return;
                }
            }
            if script.stays {
                while let Ok(Some(_)) = requests.message().await {
                    fake.state().progress_requests += 1;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}
