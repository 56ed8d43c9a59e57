//! Calls: the choice of an endpoint, deadlines, repetition, and the user's token.

use super::api;
use super::connection::{self, EtcdConnection, EtcdMember};
use super::error::{ErrorKind, EtcdError};
use super::history::History;
use super::method::Method;
use super::settings::{ClientSettings, TlsSettings};
use hedgerow_db_engine::lock::lock;
use prost::Message;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::tokio_stream::Stream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

/// The largest answer that the client takes, in bytes.
pub const LONGEST_ANSWER: usize = 8 << 20;

/// How long a call waits before it asks again, if every endpoint has failed.
const PAUSE: Duration = Duration::from_millis(50);

/// Calls methods of etcd. Clones share everything but the time limit.
#[derive(Clone)]
pub(super) struct Caller {
    shared: Arc<CallerState>,
    history: Arc<Mutex<History>>,
    timeout: Duration,
}

struct CallerState {
    members: Vec<EtcdMember>,
    /// The endpoint that calls use until it fails.
    chosen: Mutex<usize>,
    user: Mutex<Option<(String, String)>>,
    /// `None` until a call has signed in.
    pass: Mutex<Option<Pass>>,
    /// Held by the call that gets a token, for which the others wait.
    signing_in: tokio::sync::Mutex<()>,
    watch_silence: Duration,
}

/// The token of the user, which requests carry.
#[derive(Clone)]
enum Pass {
    /// etcd's authentication is off.
    NotNeeded,
    Token(MetadataValue<Ascii>),
}

/// Certificates and a user that were read again.
pub(crate) struct Renewal {
    /// An endpoint for each member.
    endpoints: Vec<Endpoint>,
    tls: TlsSettings,
    user: Option<(String, String)>,
}

impl Caller {
    pub(super) fn new(settings: &ClientSettings) -> Result<Self, EtcdError> {
        let bad = |why: &str| Err(EtcdError::new(ErrorKind::Settings, "", why));
        if settings.endpoints.is_empty() {
            return bad("no etcd address is set");
        }
        let limits = [settings.call_timeout, settings.connect_timeout, settings.watch_silence];
        if limits.iter().any(Duration::is_zero) {
            return bad("a time limit is 0");
        }
        let members = settings.endpoints.iter().map(|url| EtcdMember::new(url, settings));
        let shared = CallerState {
            members: members.collect::<Result<_, _>>()?,
            chosen: Mutex::new(0),
            user: Mutex::new(settings.user.clone()),
            pass: Mutex::default(),
            signing_in: tokio::sync::Mutex::default(),
            watch_silence: settings.watch_silence,
        };
        let timeout = settings.call_timeout;
        Ok(Self { shared: Arc::new(shared), history: Arc::default(), timeout })
    }

    pub(super) fn with_timeout(&self, timeout: Duration) -> Self {
        Self { timeout, ..self.clone() }
    }

    /// Returns a caller that has seen nothing of etcd's history yet.
    pub(super) fn anew(&self) -> Self {
        Self { history: Arc::default(), ..self.clone() }
    }

    /// Returns the deadline of a call that begins now.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    pub(super) fn members(&self) -> &[EtcdMember] {
        &self.shared.members
    }

    /// Returns the index of the endpoint that calls use.
    pub(super) fn chosen(&self) -> usize {
        *lock(&self.shared.chosen)
    }

    /// Lets calls use this endpoint until it fails.
    pub(super) fn choose(&self, index: usize) {
        *lock(&self.shared.chosen) = index;
    }

    pub(super) fn watch_silence(&self) -> Duration {
        self.shared.watch_silence
    }

    /// Remembers that a revision exists.
    pub(super) fn saw(&self, revision: u64) {
        lock(&self.history).saw(revision);
    }

    /// Calls a method. It moves on to the next endpoint if one fails, and repeats what may be repeated, until the time
    /// is over.
    pub(super) async fn call<M: Method>(&self, request: &M) -> Result<M::Answer, EtcdError> {
        let deadline = self.deadline();
        let members = self.members().len();
        let (mut failed, mut renewed) = (0, false);
        loop {
            let index = self.chosen();
            let until =
                // What can be repeated leaves time for the other endpoints. A change has only one try, and gets all of
                // it.
                if M::REPEATABLE { share(deadline, members - failed % members) } else { deadline };
            let error = match self.ask(index, request, until).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let kind = error.kind();
            if kind.moves_on() {
                self.move_on(index);
            }
            // Tokens expire. Once for each call, because a wrong password stays wrong.
            if kind.wants_token() && self.user().is_some() && !renewed {
                renewed = true;
                continue;
            }
            failed += 1;
            // Without a connection nothing was sent, so any request may be sent elsewhere.
            let again = (kind == ErrorKind::Unreachable && failed < members)
                || (M::REPEATABLE && kind.is_transient());
            let pause = if failed % members == 0 { PAUSE } else { Duration::ZERO };
            if !again || Instant::now() + pause >= deadline {
                return Err(error);
            }
            sleep(pause).await;
        }
    }

    /// Calls a method at one endpoint, once.
    pub(super) async fn ask<M: Method>(
        &self,
        index: usize,
        request: &M,
        deadline: Instant,
    ) -> Result<M::Answer, EtcdError> {
        let member = &self.members()[index];
        // Before the request is sent: other answers may overtake this one.
        let least = lock(&self.history).begin()?;
        let asked = async {
            let pass = self.pass(member, deadline).await?;
            let asked = send(member, &pass, request.clone(), deadline).await;
            self.note_pass(asked.as_ref().err());
            asked
        };
        let answer = asked.await.inspect_err(|_| member.count_failure())?;
        let least = M::LINEARIZABLE.then_some(least);
        match M::header(&answer) {
            Some(header) => {
                lock(&self.history).check(member.url(), header, least)?;
            }
            // Without a header nobody could tell that etcd went back.
            None if M::LINEARIZABLE => {
                let why = "it has no header";
                return Err(EtcdError::new(ErrorKind::InvalidAnswer, member.url(), why));
            }
            None => {}
        }
        Ok(answer)
    }

    /// Opens a stream at one endpoint, and returns it when the endpoint has begun to answer.
    pub(super) async fn stream<Q, A>(
        &self,
        index: usize,
        path: &'static str,
        requests: impl Stream<Item = Q> + Send + 'static,
        deadline: Instant,
    ) -> Result<Streaming<A>, EtcdError>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let member = &self.members()[index];
        lock(&self.history).begin()?;
        let pass = self.pass(member, deadline).await?;
        let connection = member.connection(deadline).await?;
        let request = with_metadata(Request::new(requests), &pass, true);
        let opened = async {
            let mut grpc = ready(&connection).await?;
            let (path, codec) = (PathAndQuery::from_static(path), ProstCodec::<Q, A>::default());
            grpc.streaming(request, path, codec).await
        };
        let opened = answered(member, &connection, timeout_at(deadline, opened).await);
        opened.inspect_err(|error| {
            member.count_failure();
            self.note_pass(Some(error));
        })
    }

    /// Checks the header of an answer that one member gave without asking the others.
    pub(super) fn check(
        &self,
        index: usize,
        header: Option<&api::ResponseHeader>,
    ) -> Result<(), EtcdError> {
        if let Some(header) = header {
            let url = self.members()[index].url();
            lock(&self.history).check(url, header, None)?;
        }
        Ok(())
    }

    /// Chooses the next endpoint, unless another call has already.
    fn move_on(&self, from: usize) {
        let mut chosen = lock(&self.shared.chosen);
        if *chosen == from {
            *chosen = (from + 1) % self.members().len();
        }
    }

    /// Returns what requests show, and signs in if that is not known.
    async fn pass(&self, member: &EtcdMember, deadline: Instant) -> Result<Pass, EtcdError> {
        if self.user().is_none() {
            return Ok(Pass::NotNeeded);
        }
        if let Some(known) = self.known_pass() {
            return Ok(known);
        }
        let too_late = || EtcdError::new(ErrorKind::TimedOut, member.url(), "signing in");
        let gate = timeout_at(deadline, self.shared.signing_in.lock()).await;
        let _gate = gate.map_err(|_| too_late())?;
        // Another call may have got it in the meantime.
        if let Some(known) = self.known_pass() {
            return Ok(known);
        }
        let Some((name, password)) = self.user() else { return Ok(Pass::NotNeeded) };
        let request = api::AuthenticateRequest { name, password };
        let pass = match send(member, &Pass::NotNeeded, request, deadline).await {
            Ok(answer) => Pass::Token(answer.token.parse().map_err(|_| {
                let why = "the token is not a line of text";
                EtcdError::new(ErrorKind::InvalidAnswer, member.url(), why)
            })?),
            Err(error) if error.says("authentication is not enabled") => Pass::NotNeeded,
            Err(error) => return Err(error),
        };
        *lock(&self.shared.pass) = Some(pass.clone());
        Ok(pass)
    }

    fn user(&self) -> Option<(String, String)> {
        lock(&self.shared.user).clone()
    }

    /// Reads the files of TLS again, for new connections.
    ///
    /// # Errors
    /// If one of them cannot be used.
    pub(super) fn prepare(&self, settings: &ClientSettings) -> Result<Renewal, EtcdError> {
        let endpoint = |member: &EtcdMember| connection::endpoint(member.url(), &settings.tls);
        let endpoints = self.members().iter().map(endpoint).collect::<Result<_, _>>()?;
        Ok(Renewal { endpoints, tls: settings.tls.clone(), user: settings.user.clone() })
    }

    /// Uses what was read, and another password if there is one.
    pub(super) fn renew(&self, renewal: Renewal) {
        for (member, endpoint) in self.members().iter().zip(renewal.endpoints) {
            member.renew(endpoint, renewal.tls.clone());
        }
        let mut user = lock(&self.shared.user);
        // With the same password the token stays valid, and etcd is not asked for one.
        if *user != renewal.user {
            *user = renewal.user;
            *lock(&self.shared.pass) = None;
        }
    }

    fn known_pass(&self) -> Option<Pass> {
        lock(&self.shared.pass).clone()
    }

    /// Lets the next call sign in, if etcd did not accept what this one showed.
    pub(super) fn note_pass(&self, error: Option<&EtcdError>) {
        if error.is_some_and(|error| error.kind().wants_token()) {
            *lock(&self.shared.pass) = None;
        }
    }
}

impl fmt::Debug for Caller {
    /// Leaves out the password and the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<_> = self.members().iter().map(EtcdMember::url).collect();
        f.debug_struct("Caller")
            .field("members", &urls)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Returns the end of an equal part of the time that is left.
fn share(deadline: Instant, parts: usize) -> Instant {
    let now = Instant::now();
    let parts = u32::try_from(parts).unwrap_or(u32::MAX);
    now + deadline.saturating_duration_since(now) / parts.max(1)
}

/// Sends one request, and waits for its answer until the deadline.
async fn send<M: Method>(
    member: &EtcdMember,
    pass: &Pass,
    request: M,
    deadline: Instant,
) -> Result<M::Answer, EtcdError> {
    let connection = member.connection(deadline).await?;
    let mut request = with_metadata(Request::new(request), pass, M::LINEARIZABLE);
    // etcd stops at that time, too.
    request.set_timeout(deadline.saturating_duration_since(Instant::now()));
    let call = async {
        let mut grpc = ready(&connection).await?;
        let codec = ProstCodec::<M, M::Answer>::default();
        grpc.unary(request, PathAndQuery::from_static(M::PATH), codec).await
    };
    answered(member, &connection, timeout_at(deadline, call).await)
}

/// Returns a client of a connection that takes requests.
async fn ready(connection: &EtcdConnection) -> Result<Grpc<Channel>, Status> {
    let mut grpc = Grpc::new(connection.channel.clone());
    grpc.ready().await.map_err(|why| Status::from_error(why.into()))?;
    Ok(grpc.max_decoding_message_size(LONGEST_ANSWER))
}

/// Returns what a request came to. The next call connects again if gRPC's own side failed, or if no answer came in
/// time: then the connection is of no more use.
fn answered<T>(
    member: &EtcdMember,
    connection: &EtcdConnection,
    answer: Result<Result<Response<T>, Status>, Elapsed>,
) -> Result<T, EtcdError> {
    let (error, is_broken) = match answer {
        Ok(Ok(answer)) => return Ok(answer.into_inner()),
        Ok(Err(status)) => {
            let own_side = std::error::Error::source(&status).is_some();
            (EtcdError::of_status(member.url(), &status), own_side)
        }
        Err(_) => (EtcdError::new(ErrorKind::TimedOut, member.url(), ""), true),
    };
    if is_broken {
        member.forget(connection);
    }
    Err(error)
}

/// Adds what etcd reads beside the request. A member without a leader refuses a request that wants one at once, instead
/// of waiting for a leader, and ends a stream.
fn with_metadata<T>(mut request: Request<T>, pass: &Pass, wants_leader: bool) -> Request<T> {
    let metadata = request.metadata_mut();
    if wants_leader {
        metadata.insert("hasleader", MetadataValue::from_static("true"));
    }
    if let Pass::Token(token) = pass {
        metadata.insert("token", token.clone());
    }
    request
}
