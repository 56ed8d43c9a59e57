//! Watches.

use super::api;
use super::api::event::EventType;
use super::api::watch_request::RequestUnion;
use super::caller::Caller;
use super::error::{ErrorKind, EtcdError};
use super::method::WATCH;
use super::request::{Invalid, KeyValue, Keys, signed};
use prost::bytes::Bytes;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tonic::Streaming;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;

/// How many reports wait for their reader before the watch stops reading.
const WAITING: usize = 4;
/// The least pause before a watch that failed connects again. It doubles with each failure.
const LEAST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause.
const MOST_PAUSE: Duration = Duration::from_secs(1);
/// The most bytes of one revision that arrive in pieces.
const LONGEST_REVISION: usize = 64 << 20;

/// A change of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// The key was set.
    Put(KeyValue),
    /// The key was deleted or expired.
    Delete {
        /// The key.
        key: Bytes,
        /// The revision that deleted it.
        revision: u64,
    },
}

impl WatchEvent {
    /// Returns the revision that made the change.
    pub fn revision(&self) -> u64 {
        match self {
            Self::Put(pair) => pair.modified,
            Self::Delete { revision, .. } => *revision,
        }
    }

    /// Returns the key.
    pub fn key(&self) -> &Bytes {
        match self {
            Self::Put(pair) => &pair.key,
            Self::Delete { key, .. } => key,
        }
    }

    fn of(event: api::Event) -> Result<Self, Invalid> {
        let pair = KeyValue::of(event.kv.ok_or("an event has no key")?)?;
        match EventType::try_from(event.r#type) {
            Ok(EventType::Put) => Ok(Self::Put(pair)),
            Ok(EventType::Delete) => Ok(Self::Delete { key: pair.key, revision: pair.modified }),
            Err(_) => Err("an event is of an unknown kind"),
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Put(pair) => pair.key.len() + pair.value.len(),
                Self::Delete { key, .. } => key.len(),
            }
    }
}

/// A report of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchReport {
    /// The last revision that the watch knows of. It never decreases from report to report.
    pub revision: u64,
    /// The changes, in the order of their revisions. All changes of one revision are in one report. If there are none,
    /// the report says that the member still answers.
    pub events: Vec<WatchEvent>,
}

/// A watch. It reconnects on its own, and ends when it is dropped.
#[derive(Debug)]
pub struct EtcdWatch {
    reports: mpsc::Receiver<Result<WatchReport, EtcdError>>,
    error: Option<EtcdError>,
    task: JoinHandle<()>,
}

impl EtcdWatch {
    pub(super) fn start(caller: Caller, keys: Keys, from: u64, silence: Duration) -> Self {
        let (report, reports) = mpsc::channel(WAITING);
        let index = caller.chosen();
        let progress =
            WatchProgress { next: from, known: from - 1, held: Vec::new(), held_bytes: 0 };
        let task = WatchTask { caller, keys, index, progress, report, silence, heard: false };
        Self { reports, error: None, task: tokio::spawn(task.run()) }
    }

    /// Waits for the next report. A caller may drop the future without losing anything.
    ///
    /// # Errors
    /// If the watch cannot go on: its next revision was compacted, or the user may not read the keys. Every later call
    /// returns the same error.
    pub async fn next(&mut self) -> Result<WatchReport, EtcdError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        let report = self.reports.recv().await.unwrap_or_else(|| {
            Err(EtcdError::new(ErrorKind::Unavailable, "", "the watch has ended"))
        });
        self.error = report.as_ref().err().cloned();
        report
    }
}

impl Drop for EtcdWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task of a watch.
struct WatchTask {
    caller: Caller,
    keys: Keys,
    /// The endpoint that is watched until it fails.
    index: usize,
    progress: WatchProgress,
    report: mpsc::Sender<Result<WatchReport, EtcdError>>,
    /// How long the watch may be silent, although it is asked to say something.
    silence: Duration,
    /// Whether the endpoint has answered since the last connection.
    heard: bool,
}

/// Why a connection of a watch ends.
enum ConnectionEnd {
    /// The reader is gone.
    Unwanted,
    /// Another connection may do better.
    Lost(EtcdError),
    /// No other connection can do better.
    Fatal(EtcdError),
}

impl WatchTask {
    async fn run(mut self) {
        let mut pause = LEAST_PAUSE;
        loop {
            self.heard = false;
            let error = match self.follow().await {
                ConnectionEnd::Unwanted => return,
                ConnectionEnd::Fatal(error) => {
                    // A reader that is gone needs no error.
                    let _ = self.report.send(Err(error)).await;
                    return;
                }
                ConnectionEnd::Lost(error) => error,
            };
            tracing::debug!("a watch reconnects: {error}");
            // The next connection begins with the first revision that was not reported whole.
            self.progress.cut();
            self.caller.note_pass(Some(&error));
            // A new token is asked for where the old one was refused.
            if !error.kind().wants_token() {
                self.index = (self.index + 1) % self.caller.members().len();
            }
            pause = if self.heard { LEAST_PAUSE } else { (pause * 2).min(MOST_PAUSE) };
            sleep(pause).await;
        }
    }

    /// Watches at one endpoint until that fails.
    async fn follow(&mut self) -> ConnectionEnd {
        let silence = self.silence;
        // The request stream has room for the first request and for one that requests progress.
        let (requests, stream) = mpsc::channel(2);
        let create = api::WatchCreateRequest {
            key: self.keys.from.clone(),
            range_end: self.keys.end.clone(),
            start_revision: signed(self.progress.next),
            progress_notify: true,
            // etcd would otherwise send a revision with many large values in one message, however long.
            fragment: true,
        };
        let create = RequestUnion::CreateRequest(create);
        if requests.try_send(api::WatchRequest { request_union: Some(create) }).is_err() {
            return ConnectionEnd::Unwanted;
        }
        // A watch may be quiet for longer than an endpoint may take to open it.
        let deadline = Instant::now() + silence.min(self.caller.watch_silence());
        let stream = ReceiverStream::new(stream);
        let opened = self.caller.stream(self.index, WATCH, stream, deadline).await;
        match opened {
            Ok(answers) => self.read(answers, &requests, silence).await,
            Err(error) => ConnectionEnd::of(error),
        }
    }

    async fn read(
        &mut self,
        mut answers: Streaming<api::WatchResponse>,
        requests: &mpsc::Sender<api::WatchRequest>,
        silence: Duration,
    ) -> ConnectionEnd {
        let mut asked = false;
        loop {
            // Half of the time is for the answer to the request for progress.
            let answer = match timeout(silence / 2, answers.message()).await {
                Ok(Ok(Some(answer))) => answer,
                Ok(Ok(None)) => return self.lost(ErrorKind::Unavailable, "the watch has ended"),
                Ok(Err(status)) => {
                    let url = self.caller.members()[self.index].url();
                    return ConnectionEnd::of(EtcdError::of_status(url, &status));
                }
                Err(_) if asked => return self.lost(ErrorKind::TimedOut, "the watch is silent"),
                Err(_) => {
                    asked = true;
                    let progress = RequestUnion::ProgressRequest(api::WatchProgressRequest {});
                    // If there is no room, the endpoint has not read the last request.
                    let _ = requests.try_send(api::WatchRequest { request_union: Some(progress) });
                    continue;
                }
            };
            asked = false;
            self.heard = true;
            let watched = match self.take(answer) {
                Ok(Some(watched)) => watched,
                Ok(None) => continue,
                Err(end) => return end,
            };
            // A revision that was watched exists, so a later answer must not be older.
            if let Some(event) = watched.events.last() {
                self.caller.saw(event.revision());
            }
            if self.report.send(Ok(watched)).await.is_err() {
                return ConnectionEnd::Unwanted;
            }
        }
    }

    /// Checks an answer, and returns what there is to report.
    fn take(&mut self, answer: api::WatchResponse) -> Result<Option<WatchReport>, ConnectionEnd> {
        let url = self.caller.members()[self.index].url();
        // Without a least revision: a member may lag behind those that answered before.
        self.caller.check(self.index, answer.header.as_ref()).map_err(ConnectionEnd::Fatal)?;
        if answer.compact_revision != 0 {
            let revision = u64::try_from(answer.compact_revision).ok();
            let detail = format!("the next revision was {}", self.progress.next);
            let kind = ErrorKind::Compacted { revision };
            // What was compacted is lost to watches. Only the reader knows what to read instead.
            return Err(ConnectionEnd::Fatal(EtcdError::new(kind, url, detail)));
        }
        if answer.canceled {
            return Err(ConnectionEnd::of(EtcdError::of_reason(url, &answer.cancel_reason)));
        }
        self.progress.take(answer).map_err(|why| self.lost(ErrorKind::InvalidAnswer, why))
    }

    fn lost(&self, kind: ErrorKind, why: &str) -> ConnectionEnd {
        ConnectionEnd::Lost(EtcdError::new(kind, self.caller.members()[self.index].url(), why))
    }
}

impl ConnectionEnd {
    fn of(error: EtcdError) -> Self {
        match error.kind() {
            ErrorKind::Compacted { .. }
            | ErrorKind::PermissionDenied
            | ErrorKind::Rejected
            | ErrorKind::ClusterIdMismatch
            | ErrorKind::RevisionWentBack { .. } => Self::Fatal(error),
            _ => Self::Lost(error),
        }
    }
}

/// How far a watch has come.
struct WatchProgress {
    /// The first revision that was not reported whole. A new connection begins there.
    next: u64,
    /// The last revision that was reported.
    known: u64,
    /// The events of one revision that may not be complete.
    held: Vec<WatchEvent>,
    held_bytes: usize,
}

impl WatchProgress {
    /// Forgets what a lost connection did not complete. The next connection sends it again.
    fn cut(&mut self) {
        self.held.clear();
        self.held_bytes = 0;
    }

    /// Takes an answer with events, or a sign of life. Returns the events of complete revisions.
    fn take(&mut self, answer: api::WatchResponse) -> Result<Option<WatchReport>, Invalid> {
        let quiet = answer.events.is_empty() && self.held.is_empty();
        let mut ready = Vec::new();
        for event in answer.events {
            let event = WatchEvent::of(event)?;
            let revision = event.revision();
            // A member that lags behind may send what another one has sent.
            if revision < self.next {
                continue;
            }
            match self.held.first().map(WatchEvent::revision) {
                Some(held) if revision < held => return Err("events are out of order"),
                Some(held) if revision > held => self.complete(&mut ready),
                _ => {}
            }
            self.held_bytes += event.size();
            if self.held_bytes > LONGEST_REVISION {
                return Err("a revision is too large");
            }
            self.held.push(event);
        }
        // More of the same revision may follow a fragment.
        if !answer.fragment {
            self.complete(&mut ready);
        }
        if quiet {
            let header = answer.header.unwrap_or_default();
            self.known = self.known.max(u64::try_from(header.revision).unwrap_or(0));
        } else if ready.is_empty() {
            return Ok(None);
        }
        Ok(Some(WatchReport { revision: self.known, events: ready }))
    }

    fn complete(&mut self, ready: &mut Vec<WatchEvent>) {
        if let Some(last) = self.held.last() {
            self.next = last.revision().saturating_add(1);
            self.known = self.known.max(last.revision());
        }
        ready.append(&mut self.held);
        self.held_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(fragment: bool, revisions: &[i64]) -> api::WatchResponse {
        let event = |&revision: &i64| api::Event {
            kv: Some(api::KeyValue { mod_revision: revision, ..Default::default() }),
            ..Default::default()
        };
        let events = revisions.iter().map(event).collect();
        api::WatchResponse { fragment, events, ..Default::default() }
    }

    fn from(next: u64) -> WatchProgress {
        WatchProgress { next, known: next - 1, held: Vec::new(), held_bytes: 0 }
    }

    /// Returns the revisions of the events that are reported.
    fn taken(progress: &mut WatchProgress, fragment: bool, revisions: &[i64]) -> Vec<u64> {
        let watched = progress.take(answer(fragment, revisions)).unwrap();
        watched
            .map_or(Vec::new(), |watched| watched.events.iter().map(WatchEvent::revision).collect())
    }

    #[test]
    fn revisions_are_reported_whole() {
        let mut progress = from(5);
        assert_eq!(taken(&mut progress, true, &[5, 5, 6]), [5, 5]);
        assert_eq!(progress.next, 6, "an incomplete revision is skipped after a reconnection");
        assert_eq!(taken(&mut progress, true, &[6]), Vec::<u64>::new());
        assert_eq!(taken(&mut progress, false, &[6, 7]), [6, 6, 6, 7]);
        assert_eq!(progress.next, 8);
    }

    #[test]
    fn a_revision_that_was_cut_is_sent_again() {
        let mut progress = from(5);
        assert_eq!(taken(&mut progress, true, &[5, 6]), [5]);
        progress.cut();
        assert_eq!((progress.next, progress.held_bytes), (6, 0));
        assert_eq!(taken(&mut progress, false, &[6, 6]), [6, 6]);
    }

    #[test]
    fn old_events_are_dropped_and_disorder_is_refused() {
        let mut progress = from(5);
        assert_eq!(taken(&mut progress, false, &[3, 4, 5]), [5]);
        assert_eq!(taken(&mut progress, false, &[4, 5]), Vec::<u64>::new());
        assert!(progress.take(answer(false, &[9, 8])).is_err());
        assert!(progress.take(answer(false, &[-1])).is_err());
        let none = api::WatchResponse { events: vec![api::Event::default()], ..answer(false, &[]) };
        assert!(progress.take(none).is_err());
    }

    #[test]
    fn signs_of_life_do_not_move_the_next_revision() {
        let mut progress = from(5);
        let header = api::ResponseHeader { revision: 9, ..Default::default() };
        let alive = api::WatchResponse { header: Some(header), ..answer(false, &[]) };
        let watched = progress.take(alive).unwrap().unwrap();
        assert_eq!((watched.revision, watched.events.len(), progress.next), (9, 0, 5));
        assert_eq!(taken(&mut progress, false, &[6]), [6]);
        // It never decreases.
        assert_eq!(progress.known, 9);
    }

    #[test]
    fn a_revision_without_an_end_is_refused() {
        let mut progress = from(5);
        let value = Bytes::from(vec![0; 8 << 20]);
        let refused = (0..9).any(|_| {
            let mut large = answer(true, &[5]);
            large.events[0].kv.as_mut().unwrap().value = value.clone();
            progress.take(large).is_err()
        });
        assert!(refused, "the size of a revision is not bounded");
    }
}
