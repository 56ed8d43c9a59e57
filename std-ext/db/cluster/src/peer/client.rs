//! Asks a peer.

use super::digest;
use super::error::{PeerError, status_error};
use super::export::Exports;
use super::identity::{GroupId, PeerStatus};
use super::limits::{CHUNK, SILENCE};
use super::slots::{self, SlotSize};
use super::tls::SharedTls;
use super::wire::peer_client::PeerClient as Generated;
use super::wire::{
    DigestRequest, ExportRequest, FetchRequest, FetchResponse, Identity, MessagesRequest,
    MoveRequest, RestoreRequest, RestoredKey, SlotsRequest, StatusRequest,
};
use hedgerow_db_engine::clock::milliseconds;
use hedgerow_db_engine::clustered::Digest;
use hedgerow_db_formats::slot_set::SlotSet;
use hedgerow_db_group::NodeId;
use hedgerow_db_group::batch::MOST_ENTRY;
use hedgerow_db_redis::config::is_loopback;
use std::time::Duration;
use tokio::time::timeout;
use tonic::Streaming;
use tonic::codegen::tokio_stream::Stream;
use tonic::transport::{Channel, Endpoint};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a short question may take.
const ANSWER: Duration = Duration::from_secs(5);
/// How long a peer may take to hash its keys.
const DIGEST: Duration = Duration::from_secs(600);
/// How long losing slots may take: it waits for etcd.
const LEAVE: Duration = Duration::from_secs(30);
/// How long storing some keys may take: as above.
const RESTORE: Duration = Duration::from_secs(30);
/// The longest message of a peer: a chunk and the fields around it.
const MOST_MESSAGE: usize = CHUNK + 1024;
/// The longest message of an export: the last item, whose value is no longer than an entry, may exceed the rest.
const MOST_EXPORTED: usize = MOST_ENTRY + (1 << 20);
/// The longest message with counts of all slots: two numbers for each.
const MOST_COUNTS: usize = 512 << 10;
/// Bytes that a fetch writes at most, unless the settings say otherwise.
pub const MOST_FETCHED: u64 = 1 << 40;

/// Settings of a client.
#[derive(Clone)]
pub struct PeerClientOptions {
    /// The group of this node.
    pub group: GroupId,
    /// This node.
    pub node: NodeId,
    /// The certificates. None: without TLS.
    pub tls: Option<SharedTls>,
    /// Ask addresses other than loopback without TLS: `cluster-insecure yes`.
    pub insecure: bool,
    /// Bytes that a fetch may write to the disk; [`MOST_FETCHED`] if in doubt.
    pub most_bytes: u64,
}

/// A client of one peer. It connects when it is first used, and again after a failure.
#[derive(Clone)]
pub struct PeerClient {
    inner: Generated<Channel>,
    group: GroupId,
    node: NodeId,
}

impl PeerClient {
    /// Makes a client of the peer at `address`: `host:port`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the address or the certificates cannot be used.
    pub fn new(address: &str, options: &PeerClientOptions) -> Result<Self, PeerError> {
        let endpoint = endpoint(address, options)?
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            // A peer whose machine has disappeared closes no connection.
            .http2_keep_alive_interval(SILENCE / 2)
            .keep_alive_timeout(SILENCE / 2);
        let inner = Generated::new(endpoint.connect_lazy()).max_decoding_message_size(MOST_MESSAGE);
        Ok(Self { inner, group: options.group, node: options.node })
    }

    /// Asks the peer where it is. Takes five seconds at most.
    ///
    /// # Errors
    /// If it does not answer, or is of another group.
    pub async fn status(&mut self) -> Result<PeerStatus, PeerError> {
        let request = StatusRequest { from: Some(self.group.sent_by(self.node)) };
        let answer = timeout(ANSWER, self.inner.status(request)).await;
        let answer = answer.map_err(|_| PeerError::Silent)?;
        let answer = answer.map_err(|status| status_error(&status))?.into_inner();
        PeerStatus::from_wire(answer, &self.group).map_err(PeerError::OtherGroup)
    }

    /// Asks the peer for a digest of its keys as of the first watermark in its log that is not before `time`, in
    /// milliseconds since 1970. `None`: its log had reached the time already. The watermark must come within a time;
    /// taking the digest takes longer.
    ///
    /// # Errors
    /// If it does not answer, is of another group, or does not reach the time.
    pub async fn digest(
        &mut self,
        time: u64,
        within: Duration,
    ) -> Result<Option<Digest>, PeerError> {
        let from = Some(self.group.sent_by(self.node));
        let request = DigestRequest { from, time, within: milliseconds(within) };
        let answer = timeout(within + DIGEST, self.inner.digest(request)).await;
        let answer = answer.map_err(|_| PeerError::Silent)?;
        let answer = answer.map_err(|status| status_error(&status))?.into_inner();
        self.group.check(answer.of.as_ref()).map_err(PeerError::OtherGroup)?;
        digest::from_wire(&answer)
    }

    /// Asks the peer for its data.
    pub(super) async fn fetch(&mut self) -> Result<Streaming<FetchResponse>, PeerError> {
        let request = FetchRequest { from: Some(self.group.sent_by(self.node)) };
        let answer = timeout(SILENCE, self.inner.fetch(request)).await;
        let answer = answer.map_err(|_| PeerError::Silent)?;
        Ok(answer.map_err(|status| status_error(&status))?.into_inner())
    }
}

/// The requests of moves, which nodes of other groups answer.
impl PeerClient {
    /// Asks the primary of another group for all keys of slots.
    pub(crate) async fn export(&self, group: u32, slots: &SlotSet) -> Result<Exports, PeerError> {
        let from = Some(self.group.sent_by(self.node));
        let slots = slots.bits().to_vec().into();
        let mut inner = self.inner.clone().max_decoding_message_size(MOST_EXPORTED);
        let answer = timeout(SILENCE, inner.export(ExportRequest { from, group, slots })).await;
        let answer = answer.map_err(|_| PeerError::Silent)?;
        Ok(Exports::new(answer.map_err(|status| status_error(&status))?.into_inner()))
    }

    /// Asks the primary of another group to lose the slots of a move. Returns when it has done so.
    pub(crate) async fn leave(&mut self, group: u32, id: u64) -> Result<(), PeerError> {
        let request = self.of_move(group, id);
        let answer = timeout(LEAVE, self.inner.leave(request)).await;
        let answer = answer.map_err(|_| PeerError::Silent)?.map_err(|status| status_error(&status));
        answer.map(drop)
    }

    /// Tells the primary of another group that this one serves the slots of a move.
    pub(crate) async fn taken(&self, group: u32, id: u64) -> Result<(), PeerError> {
        let request = self.of_move(group, id);
        let answer = timeout(ANSWER, self.inner.clone().taken(request)).await;
        let answer = answer.map_err(|_| PeerError::Silent)?.map_err(|status| status_error(&status));
        answer.map(drop)
    }

    /// Asks the primary of another group for the counts of its slots, which are in ascending order.
    pub(crate) async fn slots(&self, group: u32) -> Result<Vec<SlotSize>, PeerError> {
        let request = SlotsRequest { from: Some(self.group.sent_by(self.node)), group };
        let mut inner = self.inner.clone().max_decoding_message_size(MOST_COUNTS);
        let answer = timeout(ANSWER, inner.slots(request)).await;
        let answer = answer.map_err(|_| PeerError::Silent)?;
        slots::from_wire(&answer.map_err(|status| status_error(&status))?.into_inner())
    }

    /// Stores keys of a backup at the primary of a group. With `must_be_empty`, only if the group has no key at all.
    ///
    /// # Errors
    /// [`PeerError::Unreachable`] and [`PeerError::Silent`] if it may be tried again.
    pub(crate) async fn restore(
        &self,
        group: u32,
        keys: Vec<RestoredKey>,
        must_be_empty: bool,
    ) -> Result<(), PeerError> {
        let from = Some(self.group.sent_by(self.node));
        let request = RestoreRequest { from, group, must_be_empty, keys };
        let answer = timeout(RESTORE, self.inner.clone().restore(request)).await;
        let answer = answer.map_err(|_| PeerError::Silent)?.map_err(|status| status_error(&status));
        answer.map(drop)
    }

    /// Sends the peer messages of channels, until there are no more. `requests` makes them, given this node's identity.
    pub(crate) async fn messages<S>(
        mut self,
        requests: impl FnOnce(Identity) -> S,
    ) -> Result<(), PeerError>
    where
        S: Stream<Item = MessagesRequest> + Send + 'static,
    {
        let requests = requests(self.group.sent_by(self.node));
        self.inner.messages(requests).await.map_err(|status| status_error(&status)).map(drop)
    }

    fn of_move(&self, group: u32, id: u64) -> MoveRequest {
        MoveRequest { from: Some(self.group.sent_by(self.node)), group, r#move: id }
    }
}

fn endpoint(address: &str, options: &PeerClientOptions) -> Result<Endpoint, PeerError> {
    if options.tls.is_none() && !options.insecure && !is_loopback(address) {
        return Err(PeerError::Settings(format!(
            "refusing to connect to {address} without TLS, because it is not a loopback address: set the cluster's \
             certificates, or cluster-insecure yes"
        )));
    }
    let scheme = if options.tls.is_some() { "https" } else { "http" };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"));
    let endpoint = endpoint.map_err(|_| {
        PeerError::Settings(format!("{address:?} is not an address: use host:port"))
    })?;
    match &options.tls {
        None => Ok(endpoint),
        #[cfg(feature = "tls")]
        Some(tls) => {
            let tls = tls.current();
            tls.check_name().map_err(PeerError::Settings)?;
            let made = endpoint.tls_config(tls.client());
            made.map_err(|why| {
                PeerError::Settings(format!("the cluster's certificates cannot be used: {why}"))
            })
        }
        #[cfg(not(feature = "tls"))]
        Some(_) => Err(PeerError::Settings(super::tls::NO_TLS.into())),
    }
}
