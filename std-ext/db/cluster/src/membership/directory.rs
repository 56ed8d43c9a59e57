//! The keys of the cluster that all of its nodes want to know, as etcd tells of their changes: who is registered, who
//! coordinates, which moves there are, and so on; all but the keys of the groups.
//!
//! Each node reads these keys once, and watches them from that revision on. It reads them again every [`PERIOD`], and
//! begins to watch anew if that shows what the watch has not told. So a change is known within milliseconds as a rule,
//! and after [`PERIOD`] at the latest, also if the watch stalls and nobody notices.
//!
//! What is known here may be old, so nothing is decided by it alone. Whoever changes etcd by it does so in a
//! transaction that compares its grounds. Each use says what may be old there, and why that does no harm.

use crate::etcd::{
    Bytes, EtcdClient, EtcdError, EtcdTransaction, EtcdWatch, KeyValue, Keys as KeyRange,
    LONGEST_ANSWER, Operation, OperationAnswer, Range, WatchEvent, WatchReport,
};
use crate::membership::keys::GroupKeys;
use hedgerow_db_engine::lock::lock;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::pending;
use std::ops::Bound;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

/// How often all of the keys are read.
const PERIOD: Duration = Duration::from_secs(10);
/// The same while they cannot be read or watched, or one is missed.
const SHORT_PERIOD: Duration = Duration::from_secs(1);
/// How long the watch of keys that hardly change may be silent. It is not asked for a sign of life more often than the
/// keys are read.
const QUIET: Duration = Duration::from_secs(60);
/// The most bytes of keys and values. A cluster of a thousand nodes has one.
const MOST_BYTES: usize = 4 * LONGEST_ANSWER;

/// The keys of a cluster, but for those of its groups.
pub(crate) struct ClusterDirectory {
    client: EtcdClient,
    keys: Arc<GroupKeys>,
    known: Mutex<Known>,
    /// Wakes those who wait for changes.
    heard: watch::Sender<()>,
    missed: Notify,
}

/// Keys and values, and how many bytes they have.
#[derive(Default, PartialEq, Eq)]
struct KeyPairs {
    all: BTreeMap<Bytes, KeyValue>,
    bytes: usize,
}

/// What is known.
struct Known {
    pairs: KeyPairs,
    /// The revision of the last read. What a watch tells of it and of earlier ones is part of that.
    read_at: u64,
    /// All changes of registrations up to this revision are known.
    revision: u64,
    /// Counts what was heard of registrations: reads, and reports of the watch, signs of life included.
    heard: u64,
    /// Why the keys are not known at present.
    trouble: Option<String>,
}

/// The watches of the keys before those of the groups, and of those after them: the latter, registrations among them,
/// change all the time.
struct Watches {
    quiet: EtcdWatch,
    lively: EtcdWatch,
}

impl ClusterDirectory {
    pub(crate) fn new(client: EtcdClient, keys: Arc<GroupKeys>) -> Arc<Self> {
        let trouble = Some("the keys of the cluster were not read yet".to_owned());
        let (pairs, read_at, revision, heard) = (KeyPairs::default(), 0, 0, 0);
        let known = Known { pairs, read_at, revision, heard, trouble };
        let known = Mutex::new(known);
        let heard = watch::Sender::new(());
        Arc::new(Self { client, keys, known, heard, missed: Notify::new() })
    }

    /// Returns what tells when etcd was heard again: a change, or a sign of life.
    pub(crate) fn heard(&self) -> watch::Receiver<()> {
        self.heard.subscribe()
    }

    /// Makes the keys be read soon, because one is missed that should be there.
    pub(crate) fn miss(&self) {
        self.missed.notify_one();
    }

    /// Returns a key.
    ///
    /// # Errors
    /// If the keys are not known at present. The same holds for all other methods.
    pub(crate) fn pair(&self, key: &str) -> Result<Option<KeyValue>, String> {
        self.look(|known| known.pairs.all.get(key.as_bytes()).cloned())
    }

    /// Returns the keys that begin with a prefix.
    pub(crate) fn pairs(&self, prefix: &str) -> Result<Vec<KeyValue>, String> {
        let from = (Bound::Included(prefix.as_bytes()), Bound::Unbounded);
        self.look(|known| {
            let all = known.pairs.all.range::<[u8], _>(from).map(|(_, pair)| pair);
            all.take_while(|pair| pair.key.starts_with(prefix.as_bytes())).cloned().collect()
        })
    }

    /// Returns the revision up to which all changes of registrations are known, and a number that grows whenever etcd
    /// was heard to tell of them, if only by a sign of life.
    pub(crate) fn heard_of_nodes(&self) -> Result<(u64, u64), String> {
        self.look(|known| (known.revision, known.heard))
    }

    fn look<T>(&self, what: impl FnOnce(&Known) -> T) -> Result<T, String> {
        let known = lock(&self.known);
        known.trouble.clone().map_or_else(|| Ok(what(&known)), Err)
    }

    /// Reads and watches, for ever.
    pub(crate) async fn run(&self) {
        let mut watches: Option<Watches> = None;
        let mut read = Instant::now();
        let mut due = read;
        loop {
            if Instant::now() >= due {
                read = Instant::now();
                due = read + SHORT_PERIOD;
                match self.read().await {
                    Ok((revision, pairs)) => {
                        let was_told = lock(&self.known).replace(revision, pairs);
                        if !was_told || watches.is_none() {
                            watches = Some(self.watch(revision + 1));
                        }
                        due = read + PERIOD;
                    }
                    Err(why) => lock(&self.known).trouble = Some(why),
                }
                self.heard.send_replace(());
            }
            let next = async {
                match &mut watches {
                    Some(watches) => watches.next().await,
                    None => pending().await,
                }
            };
            tokio::select! {
                (watched, of_nodes) = next => {
                    let taken = watched.map_err(text);
                    let taken = taken.and_then(|all| lock(&self.known).take(all, of_nodes));
                    if let Err(why) = taken {
                        // Compacted, as a rule: the next read has what was not told.
                        tracing::debug!("the keys of the cluster are read again: {why}");
                        watches = None;
                        due = due.min(read + SHORT_PERIOD);
                    }
                    self.heard.send_replace(());
                }
                () = self.missed.notified() => due = due.min(read + SHORT_PERIOD),
                () = sleep_until(due) => {}
            }
        }
    }

    /// Reads all keys, as of one revision.
    async fn read(&self) -> Result<(u64, KeyPairs), String> {
        let ranges = self.keys.around_groups();
        let first = ranges.iter().map(|(from, end)| KeyRange::between(from.clone(), end.clone()));
        let then = first.map(|keys| Operation::Get(Range::of(keys))).collect();
        let read = EtcdTransaction { then, ..EtcdTransaction::default() };
        let answer = self.client.transact(&read).await.map_err(text)?;
        let (revision, mut all) = (answer.revision, KeyPairs::default());
        for (answer, (_, end)) in answer.answers.into_iter().zip(ranges) {
            let OperationAnswer::Found(mut pairs, mut more) = answer else { continue };
            loop {
                let last = pairs.last().map(|pair| pair.key.clone());
                pairs.iter().try_for_each(|pair| all.put(pair))?;
                let Some(last) = last.filter(|_| more) else { break };
                // One answer has a thousand keys at most.
                let rest = KeyRange::between([&last[..], &[0]].concat(), end.clone());
                let rest = Range { revision, ..Range::of(rest) };
                let found = self.client.range(&rest).await.map_err(text)?;
                (pairs, more) = (found.pairs, found.more);
            }
        }
        Ok((revision, all))
    }

    fn watch(&self, from: u64) -> Watches {
        let [quiet, lively] = self.keys.around_groups();
        let keys = |(from, end): (String, String)| KeyRange::between(from, end);
        Watches {
            quiet: self.client.watch_quietly(keys(quiet), from, QUIET),
            lively: self.client.watch(keys(lively), from),
        }
    }
}

impl Watches {
    /// Returns the next report, and whether it is of registrations.
    async fn next(&mut self) -> (Result<WatchReport, EtcdError>, bool) {
        // A report is not lost if the other watch is first.
        tokio::select! {
            watched = self.quiet.next() => (watched, false),
            watched = self.lively.next() => (watched, true),
        }
    }
}

impl Known {
    /// Takes what a read has found. Returns whether the watches had told all of it.
    fn replace(&mut self, revision: u64, pairs: KeyPairs) -> bool {
        let was_told = self.pairs == pairs;
        // A report that waits for its turn may be older than the read, and never newer than the next one.
        (self.pairs, self.read_at, self.trouble) = (pairs, revision, None);
        self.revision = self.revision.max(revision);
        self.heard += 1;
        was_told
    }

    /// Takes a report of a watch.
    fn take(&mut self, watched: WatchReport, of_nodes: bool) -> Result<(), String> {
        for event in watched.events.into_iter().filter(|event| event.revision() > self.read_at) {
            match event {
                WatchEvent::Put(pair) => self.pairs.put(&pair)?,
                WatchEvent::Delete { key, .. } => self.pairs.remove(&key),
            }
        }
        if of_nodes {
            self.revision = self.revision.max(watched.revision);
            self.heard += 1;
        }
        Ok(())
    }
}

impl KeyPairs {
    fn put(&mut self, pair: &KeyValue) -> Result<(), String> {
        // A copy, since the bytes are parts of a whole answer, which may be much longer.
        let (key, value) = (Bytes::copy_from_slice(&pair.key), Bytes::copy_from_slice(&pair.value));
        self.remove(&key);
        self.bytes += key.len() + value.len();
        self.all.insert(key.clone(), KeyValue { key, value, ..*pair });
        if self.bytes > MOST_BYTES {
            return Err(format!("the cluster has more than {MOST_BYTES} bytes besides its groups"));
        }
        Ok(())
    }

    fn remove(&mut self, key: &Bytes) {
        if let Some(old) = self.all.remove(key) {
            self.bytes -= old.key.len() + old.value.len();
        }
    }
}

pub(crate) fn text(why: impl Display) -> String {
    why.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &'static str, modified: u64, bytes: usize) -> KeyValue {
        let value = vec![7; bytes].into();
        KeyValue { key: key.into(), value, created: 1, modified, version: 1, lease: 0 }
    }

    fn known() -> Known {
        let pairs = KeyPairs::default();
        Known { pairs, read_at: 0, revision: 0, heard: 0, trouble: Some(String::new()) }
    }

    fn pairs(all: &[KeyValue]) -> KeyPairs {
        let mut pairs = KeyPairs::default();
        for pair in all {
            pairs.put(pair).unwrap();
        }
        pairs
    }

    fn told(revision: u64, events: Vec<WatchEvent>) -> WatchReport {
        WatchReport { revision, events }
    }

    #[test]
    fn a_watch_that_stalls_is_noticed_by_the_next_read() {
        let mut known = known();
        assert!(!known.replace(5, pairs(&[pair("a", 5, 1)])));
        known.take(told(7, vec![WatchEvent::Put(pair("b", 7, 1))]), true).unwrap();
        let both = pairs(&[pair("a", 5, 1), pair("b", 7, 1)]);
        assert!(known.replace(8, both), "a watch that works begins anew");
        assert_eq!((known.revision, known.heard), (8, 3));
        assert!(!known.replace(9, pairs(&[pair("a", 9, 1)])), "a watch that stalls goes on");
        assert_eq!(known.trouble, None);
    }

    #[test]
    fn a_report_from_before_a_read_changes_nothing() {
        let mut known = known();
        known.replace(8, pairs(&[pair("a", 8, 1)]));
        let events = vec![
            WatchEvent::Put(pair("b", 6, 1)),
            WatchEvent::Delete { key: "a".into(), revision: 7 },
            WatchEvent::Put(pair("c", 9, 1)),
        ];
        known.take(told(9, events), true).unwrap();
        assert!(known.pairs == pairs(&[pair("a", 8, 1), pair("c", 9, 1)]), "a key comes back");
    }

    #[test]
    fn the_bytes_that_are_kept_are_bounded() {
        let mut known = known();
        known.replace(1, KeyPairs::default());
        for revision in 2..50 {
            let again = WatchEvent::Put(pair("a", revision, MOST_BYTES / 2));
            known.take(told(revision, vec![again]), true).unwrap();
        }
        let gone = WatchEvent::Delete { key: "a".into(), revision: 50 };
        known.take(told(50, vec![gone]), true).unwrap();
        assert_eq!(known.pairs.bytes, 0);
        let many = ["b", "c", "d"].map(|key| WatchEvent::Put(pair(key, 51, MOST_BYTES / 2)));
        assert!(known.take(told(51, many.to_vec()), true).is_err(), "values without end are kept");
    }
}
