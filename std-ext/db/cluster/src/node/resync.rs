//! Renews the node's folder from a peer, because etcd does not have the batches any more that the node needs.
//!
//! Batches that commit meanwhile are kept in a spool, from before the fetch begins. When the peer's data reach the
//! spool, the process starts anew: it installs what was fetched, and reads on from the spool.

use crate::log::local_log::LocalLogPosition;
use crate::node::message::{DriverMessage, Inbox};
use crate::peer::spool::MOST_SPOOLED;
use crate::peer::{self, FetchDecision, PeerClientOptions, PeerError, Spool};
use hedgerow_db_engine::gauge::Gauge;
use hedgerow_db_engine::lock::lock;
use hedgerow_db_group::Seq;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The pause before the next peer is asked. After each failure it is twice as long, up to a bound: a fetch that fails
/// may have sent gigabytes.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The batches that are kept, shared with the reads of the protocol.
pub(crate) type SharedSpool = Arc<Mutex<Option<Spool>>>;

/// The renewal of a folder.
pub(crate) struct Resync {
    folder: PathBuf,
    options: PeerClientOptions,
    sources: Arc<Mutex<Vec<String>>>,
    spool: SharedSpool,
    inbox: Inbox,
    running: bool,
    /// The last batch of the group that was seen.
    tail: Arc<Gauge>,
    /// The most bytes of batches that are kept.
    pub(crate) most_spooled: u64,
}

impl Resync {
    pub(crate) fn new(
        folder: &Path,
        options: PeerClientOptions,
        spool: SharedSpool,
        inbox: Inbox,
    ) -> Self {
        let sources = Arc::default();
        Self {
            folder: folder.to_owned(),
            options,
            sources,
            spool,
            inbox,
            running: false,
            tail: Arc::default(),
            most_spooled: MOST_SPOOLED,
        }
    }

    /// Sets the addresses of the peers that have data, the best first.
    pub(crate) fn set_sources(&self, sources: Vec<String>) {
        *lock(&self.sources) = sources;
    }

    /// Begins to keep batches, and to fetch. `tail` is the last batch of the group.
    pub(crate) fn begin(&mut self, tail: Seq) {
        if std::mem::replace(&mut self.running, true) {
            return;
        }
        self.tail.raise(tail);
        let fetch = Fetch {
            folder: self.folder.clone(),
            most_spooled: self.most_spooled,
            options: self.options.clone(),
            sources: Arc::clone(&self.sources),
            spool: Arc::clone(&self.spool),
            inbox: self.inbox.clone(),
            tail: Arc::clone(&self.tail),
        };
        // A new spool, before the first batch comes. If that fails, as on a full disk, the thread tries again.
        *lock(&self.spool) = None;
        fetch.has_spool();
        let thread = thread::Builder::new().name("hedgerow-cluster-fetch".into());
        if let Err(why) = thread.spawn(move || fetch.run()) {
            self.fail(&why.to_string());
        }
    }

    fn fail(&self, why: &str) {
        let why = format!("the node's data cannot be fetched from a peer: {why}");
        // Fails only after the driver has stopped.
        let _ = self.inbox.send(DriverMessage::Failed(why));
    }

    /// Keeps a batch.
    pub(crate) fn spool(&self, seq: Seq, bytes: &[u8]) {
        self.tail.raise(seq);
        let mut spool = lock(&self.spool);
        if let Some(Err(why)) = spool.as_mut().map(|spool| spool.push(seq, bytes)) {
            tracing::warn!("{why}; this node fetches its data again");
            // Without a spool the thread stops fetching, and begins again.
            *spool = None;
        }
    }

    /// Removes the spool once the node has read all of it.
    pub(crate) fn look(&self, position: &hedgerow_db_group::LogPosition) {
        if self.running {
            return;
        }
        let mut spool = lock(&self.spool);
        let done = spool
            .as_ref()
            .is_some_and(|spool| spool.range().is_none_or(|(_, last)| last <= position.seq));
        if done && let Some(Err(why)) = spool.take().map(Spool::remove) {
            tracing::warn!("{why}");
        }
    }
}

/// The thread that fetches.
struct Fetch {
    folder: PathBuf,
    most_spooled: u64,
    options: PeerClientOptions,
    sources: Arc<Mutex<Vec<String>>>,
    spool: SharedSpool,
    inbox: Inbox,
    tail: Arc<Gauge>,
}

impl Fetch {
    fn run(mut self) {
        let (mut turn, mut pause) = (0, PAUSE);
        while !self.inbox.is_closed() {
            if !self.has_spool() {
                self.wait(&mut pause);
                continue;
            }
            let sources = lock(&self.sources).clone();
            let Some(address) = sources.get(turn % sources.len().max(1)) else {
                tracing::warn!(
                    "this node needs data that etcd no longer has, and there is no other node to fetch it from: \
                     start one that has it"
                );
                thread::sleep(PAUSE);
                continue;
            };
            turn += 1;
            tracing::info!("fetching the data of the group from {address}");
            let span = tracing::debug_span!("resync", from = %address);
            match span.in_scope(|| self.fetch(address)) {
                Ok(_) => {
                    // Fails only after the driver has stopped.
                    let _ = self.inbox.send(DriverMessage::Fetched);
                    return;
                }
                Err(why) if pause == PAUSE => {
                    tracing::warn!("cannot fetch the data from {address}: {why}");
                }
                Err(why) => tracing::error!(
                    "cannot fetch the data from {address}: {why}. This node serves no clients until it succeeds; it \
                     tries again in {pause:?}"
                ),
            }
            self.wait(&mut pause);
        }
    }

    /// Returns whether there is a spool. Creates one if there is none: it could not be written any more.
    fn has_spool(&self) -> bool {
        let mut spool = lock(&self.spool);
        if spool.is_none() {
            match Spool::create(&self.folder, self.most_spooled) {
                Ok(new) => *spool = Some(new),
                Err(why) => tracing::warn!("this node's data cannot be replaced yet: {why}"),
            }
        }
        spool.is_some()
    }

    /// Waits for the pause, and makes the next one longer. Ends early if the node stops.
    fn wait(&self, pause: &mut Duration) {
        let until = Instant::now() + *pause;
        *pause = (*pause * 2).min(LONGEST_PAUSE);
        while Instant::now() < until && !self.inbox.is_closed() {
            thread::sleep(PAUSE.min(until.saturating_duration_since(Instant::now())));
        }
    }

    fn fetch(&mut self, address: &str) -> Result<LocalLogPosition, PeerError> {
        let (inbox, spool, tail) = (&self.inbox, &self.spool, &self.tail);
        let mut enough = |position: Option<&LocalLogPosition>| {
            let spool = lock(spool);
            let Some(spool) = spool.as_ref().filter(|_| !inbox.is_closed()) else {
                return FetchDecision::GiveUp;
            };
            let reached = position.is_some_and(|position| match spool.range() {
                // From there on, the spool has the batches without a gap.
                Some((first, _)) => position.next_seq() >= first,
                // Nothing was committed since the spool was made. The restarted node reads the last batch again.
                None => position.next_seq() >= tail.get(),
            });
            if reached { FetchDecision::Enough } else { FetchDecision::Continue }
        };
        peer::fetch(address, &self.options, &self.folder, &mut enough)
    }
}
