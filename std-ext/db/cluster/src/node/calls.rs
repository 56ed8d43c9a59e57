//! Carries out what the protocol wants of etcd: reads, transactions and the watch.
//!
//! Each call is a task of its own, so that a slow one delays no other. Its answer comes back as a message.

use crate::etcd::{
    self, ErrorKind, EtcdClient, EtcdError, EtcdTransaction, KeyValue, Keys as KeyRange, Operation,
    Range, RangeAnswer,
};
use crate::membership::halting;
use crate::membership::identity::ClusterFormat;
use crate::membership::keys::GroupKeys;
use crate::node::message::{DriverMessage, Inbox};
use crate::node::quota::EtcdQuota;
use crate::node::resync::SharedSpool;
use crate::peer::{SpoolError, SpoolReader};
use hedgerow_db_engine::lock::lock;
use hedgerow_db_group::{
    Event, Halt, NodeId, Objections, Put, Read, ReadAnswer, Seq, Txn, TxnFailure, TxnOutcome,
    ValueCompare, WatchedChange,
};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_blocking};

/// The batches of one answer: at 512 KiB each they are less than the 8 MiB that the client takes.
const BATCHES: u32 = 15;
/// The most bytes of batches that come from the spool at once.
const SPOOLED: usize = 8 << 20;

/// The calls of a node.
pub(crate) struct Calls {
    client: EtcdClient,
    keys: Arc<GroupKeys>,
    inbox: Inbox,
    watch: Option<JoinHandle<()>>,
    /// Batches that were kept while the folder was renewed from a peer.
    spool: SharedSpool,
}

impl Calls {
    pub(crate) fn new(
        client: EtcdClient,
        keys: Arc<GroupKeys>,
        inbox: Inbox,
        spool: SharedSpool,
    ) -> Self {
        Self { client, keys, inbox, watch: None, spool }
    }

    /// Reads what the protocol wants to know.
    pub(crate) fn read(&self, id: u64, read: Read) {
        let (client, keys, inbox) =
            (self.client.clone(), Arc::clone(&self.keys), self.inbox.clone());
        let spool = Arc::clone(&self.spool);
        tokio::spawn(async move {
            let answer = match read {
                Read::Tail => read_tail(&client, &keys).await,
                Read::Batches(first, last) => match spooled(&spool, first, last).await {
                    Some(batches) => Ok(ReadAnswer::Batches(batches)),
                    None => read_batches(&client, &keys, first, last).await,
                },
                Read::Durable => read_durable(&client, &keys).await,
            };
            let answer = answer.map_err(|why| failure(&why));
            send(&inbox, Event::Read { id, answer });
        });
    }

    /// Runs a transaction, once.
    pub(crate) fn transact(&self, id: u64, txn: Arc<Txn>) {
        let (client, keys, inbox) =
            (self.client.clone(), Arc::clone(&self.keys), self.inbox.clone());
        tokio::spawn(async move {
            let outcome = match client.transact(&transaction(&keys, &txn)).await {
                Ok(done) if done.succeeded => TxnOutcome::Done { revision: done.revision },
                Ok(refused) => {
                    let revision = refused.revision;
                    let [tail, members] = refused.first_values();
                    TxnOutcome::Refused { revision, tail, members }
                }
                Err(why) => TxnOutcome::Failed(failure(&why)),
            };
            send(&inbox, Event::Transacted { id, outcome });
        });
    }

    /// Deletes the batches below a number, if `primary` and `members` still have these values. Puts nothing: with its
    /// storage quota used up, etcd refuses every transaction that puts.
    pub(crate) fn trim(&self, id: u64, primary: String, members: ValueCompare, below: Seq) {
        let (client, keys, inbox) =
            (self.client.clone(), Arc::clone(&self.keys), self.inbox.clone());
        tokio::spawn(async move {
            let outcome = client.transact(&trimming(&keys, primary, &members, below)).await;
            let outcome = outcome.map(|done| done.succeeded).map_err(|why| failure(&why));
            send(&inbox, Event::Trimmed { id, outcome });
        });
    }

    /// Says in etcd what this node has, unless etcd has as much. `own` is the cluster that its entries belong to.
    pub(crate) fn halt(&self, id: u64, halt: Halt, own: &ClusterFormat) {
        let (client, keys, own) = (self.client.anew(), Arc::clone(&self.keys), own.clone());
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            let outcome = halting::put(&client, &keys, &halt, &own).await;
            let outcome = outcome.map_err(|why| failure(&why));
            send(&inbox, Event::Halted { id, outcome });
        });
    }

    /// Watches the group's keys from a revision. Ends the watch before.
    pub(crate) fn watch(&mut self, from: u64) {
        if let Some(before) = self.watch.take() {
            before.abort();
        }
        let mut watch = self.client.watch(KeyRange::prefix(self.keys.group()), from.max(1));
        let (keys, inbox) = (Arc::clone(&self.keys), self.inbox.clone());
        self.watch = Some(tokio::spawn(async move {
            loop {
                let Ok(watched) = watch.next().await else {
                    return send(&inbox, Event::WatchLost);
                };
                let Some(last) = watched.events.last() else { continue };
                // The watch may know of later revisions, whose changes it has not told.
                let (revision, mut seen) = (last.revision(), Vec::new());
                for event in watched.events {
                    match event {
                        etcd::WatchEvent::Put(pair) => see(&keys, &inbox, &pair, &mut seen),
                        etcd::WatchEvent::Delete { key, .. } if key == keys.tail() => {
                            seen.push(WatchedChange::Tail(None));
                        }
                        etcd::WatchEvent::Delete { key, .. } if key == keys.members() => {
                            seen.push(WatchedChange::Members(None));
                        }
                        // A batch that was trimmed is noticed when it is needed, as a gap.
                        etcd::WatchEvent::Delete { .. } => {}
                    }
                }
                if !seen.is_empty() {
                    send(&inbox, Event::Watched { revision, seen });
                }
            }
        }));
    }

    /// Sets a key, without waiting for it. A failure is logged; the caller puts the value again if it must be there.
    pub(crate) fn put(&self, key: String, value: String, lease: i64) {
        let client = self.client.clone();
        tokio::spawn(async move {
            if let Err(why) = client.put(key, value, lease).await {
                tracing::debug!("cannot write to etcd: {why}");
            }
        });
    }

    /// Sets the key with the progress of the node's own disk, and tells the driver when etcd has it.
    pub(crate) fn record(&self, key: String, value: String) {
        let (client, inbox) = (self.client.clone(), self.inbox.clone());
        tokio::spawn(async move {
            match client.put(key, value.clone(), 0).await {
                // Fails only after the driver has stopped.
                Ok(_) => _ = inbox.send(DriverMessage::Recorded(value)),
                Err(why) => tracing::debug!("cannot write to etcd: {why}"),
            }
        });
    }

    /// Deletes a key, without waiting for it.
    pub(crate) fn delete(&self, key: String) {
        let client = self.client.clone();
        tokio::spawn(async move {
            if let Err(why) = client.delete(KeyRange::one(key)).await {
                tracing::debug!("cannot delete from etcd: {why}");
            }
        });
    }

    /// Asks etcd's members for their sizes, and which of them leads. `quota` is the one that the node knows of; 0 for
    /// the one that etcd reports.
    pub(crate) fn measure(&self, quota: u64) {
        let (client, inbox) = (self.client.clone(), self.inbox.clone());
        tokio::spawn(async move {
            let answers = client.status().await;
            client.choose_leader(&answers);
            let members: Vec<_> =
                answers.into_iter().filter_map(|(_, status)| status.ok()).collect();
            // Fails only after the driver has stopped.
            let _ = inbox.send(DriverMessage::Quota(EtcdQuota::of(&members, quota)));
        });
    }

    /// Sets how long the calls from now on may take.
    pub(crate) fn set_timeout(&mut self, timeout: Duration) {
        self.client = self.client.with_timeout(timeout);
    }

    /// Returns the names of the keys.
    pub(crate) fn keys(&self) -> &GroupKeys {
        &self.keys
    }

    /// Returns the client.
    pub(crate) fn client(&self) -> &EtcdClient {
        &self.client
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.take() {
            watch.abort();
        }
    }
}

fn send(inbox: &Inbox, event: Event) {
    // Fails only after the driver has stopped.
    let _ = inbox.send(DriverMessage::Event(event));
}

/// Sorts a change that the watch saw.
fn see(keys: &GroupKeys, inbox: &Inbox, pair: &KeyValue, seen: &mut Vec<WatchedChange>) {
    if let Some(seq) = keys.seq(&pair.key) {
        seen.push(WatchedChange::Batch(seq, pair.value.to_vec()));
    } else if pair.key == keys.tail() {
        seen.push(WatchedChange::Tail(Some(pair.value.to_vec())));
    } else if pair.key == keys.members() {
        seen.push(WatchedChange::Members(Some(pair.value.to_vec())));
    } else if pair.key == keys.wanted()
        && let Some(node) = NodeId::read(&pair.value)
    {
        // Fails only after the driver has stopped.
        let _ = inbox.send(DriverMessage::Wanted(node));
    }
}

/// Returns the transaction of the protocol in etcd's words.
fn transaction(keys: &GroupKeys, txn: &Txn) -> EtcdTransaction {
    let compares =
        [(keys.tail(), &txn.tail), (keys.members(), &txn.members), (keys.halt(), &txn.halt)];
    let compare = compares.into_iter().filter_map(|(key, compare)| condition(key, compare));
    let then = txn.puts.iter().map(|put| match put {
        Put::Tail(line) => Operation::put(keys.tail(), line.clone()),
        Put::Batch(seq, bytes) => Operation::put(keys.batch(*seq), bytes.to_vec()),
        Put::Primary(value) => Operation::put(keys.primary(), value.clone()),
        Put::Members(value) => Operation::put(keys.members(), value.clone()),
    });
    EtcdTransaction {
        compare: compare.collect(),
        then: then.collect(),
        otherwise: vec![Operation::get(keys.tail()), Operation::get(keys.members())],
    }
}

/// Returns a condition of the protocol in etcd's words.
fn condition(key: String, compare: &ValueCompare) -> Option<etcd::Compare> {
    let key = key.into();
    match compare {
        ValueCompare::Any => None,
        ValueCompare::Absent => Some(etcd::Compare::Absent { key }),
        ValueCompare::Is(value) => Some(etcd::Compare::Value { key, value: value.clone().into() }),
    }
}

/// Returns the transaction that deletes the batches below a number, if `primary` and `members` have these values.
fn trimming(
    keys: &GroupKeys,
    primary: String,
    members: &ValueCompare,
    below: Seq,
) -> EtcdTransaction {
    let primary = etcd::Compare::Value { key: keys.primary().into(), value: primary.into() };
    EtcdTransaction {
        compare: [primary].into_iter().chain(condition(keys.members(), members)).collect(),
        then: vec![Operation::Delete(KeyRange::between(keys.batch(0), keys.batch(below)))],
        otherwise: Vec::new(),
    }
}

/// Reads `tail` and `members`, and what speaks against a takeover, as of one revision.
async fn read_tail(client: &EtcdClient, keys: &GroupKeys) -> Result<ReadAnswer, EtcdError> {
    let read = EtcdTransaction {
        then: vec![
            Operation::get(keys.tail()),
            Operation::get(keys.members()),
            Operation::get(keys.halt()),
            Operation::Get(Range::of(KeyRange::prefix(keys.durables()))),
        ],
        ..EtcdTransaction::default()
    };
    let answer = client.transact(&read).await?;
    let (revision, durable) = (answer.revision, answer.answers.last());
    let durable = match durable {
        Some(etcd::OperationAnswer::Found(pairs, _)) => durables(keys, pairs),
        _ => Vec::new(),
    };
    let [tail, members, halt] = answer.first_values();
    Ok(ReadAnswer::Tail { revision, tail, members, objections: Objections { halt, durable } })
}

/// Reads the last batches on the disks of nodes.
fn durables(keys: &GroupKeys, pairs: &[KeyValue]) -> Vec<(NodeId, Seq)> {
    let one = |pair: &KeyValue| {
        let node = NodeId::read(pair.key.strip_prefix(keys.durables().as_bytes())?)?;
        Some((node, crate::membership::durable::Durable::parse(&pair.value)?.seq))
    };
    pairs.iter().filter_map(one).collect()
}

async fn read_batches(
    client: &EtcdClient,
    keys: &GroupKeys,
    first: Seq,
    last: Seq,
) -> Result<ReadAnswer, EtcdError> {
    let range = KeyRange::between(keys.batch(first), keys.batch(last.saturating_add(1)));
    let RangeAnswer { pairs, .. } = client.range(&Range::of(range).limit(BATCHES)).await?;
    let batches = pairs.into_iter().map_while(|pair| Some((keys.seq(&pair.key)?, pair.value)));
    let batches: Vec<_> = batches.map(|(seq, value)| (seq, value.to_vec())).collect();
    // Without the first one, the others are no use: etcd has forgotten it.
    let there = batches.first().is_some_and(|(seq, _)| *seq == first);
    Ok(ReadAnswer::Batches(if there { batches } else { Vec::new() }))
}

/// Returns batches that were kept while the folder was renewed, if the first one is among them.
///
/// They are read on another thread, and without the lock, because the driver needs both: the first batch may be
/// gigabytes behind the file's beginning.
async fn spooled(spool: &SharedSpool, first: Seq, last: Seq) -> Option<Vec<(Seq, Vec<u8>)>> {
    let reader = {
        let spool = lock(spool);
        let spool = spool.as_ref()?;
        let (begin, end) = spool.range()?;
        let is_there = first <= last && (begin..=end).contains(&first);
        is_there.then(|| spool.reader(first))?
    };
    // It panics only if the runtime stops.
    let read = spawn_blocking(move || batches(&reader, last)).await.ok()?;
    match read {
        // The file may be that of a later spool meanwhile.
        Ok(batches) => batches.first().is_some_and(|(seq, _)| *seq == first).then_some(batches),
        Err(why) => {
            tracing::warn!("{why}; the batches are read from etcd instead");
            None
        }
    }
}

/// Reads batches up to one, but not many more bytes than one answer may have.
fn batches(reader: &SpoolReader, last: Seq) -> Result<Vec<(Seq, Vec<u8>)>, SpoolError> {
    let (mut batches, mut bytes) = (Vec::new(), 0);
    reader.read(&mut |seq, value| {
        bytes += value.len();
        batches.push((seq, value.to_vec()));
        if seq >= last || bytes >= SPOOLED {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    Ok(batches)
}

/// Reads `members`, the lowest batch, and the progress of each member's disk, as of one revision.
async fn read_durable(client: &EtcdClient, keys: &GroupKeys) -> Result<ReadAnswer, EtcdError> {
    let read = EtcdTransaction {
        then: vec![
            Operation::get(keys.members()),
            Operation::Get(Range::of(KeyRange::prefix(keys.batches())).limit(1).keys_only()),
            Operation::Get(Range::of(KeyRange::prefix(keys.durables()))),
        ],
        ..EtcdTransaction::default()
    };
    let answer = client.transact(&read).await?;
    let revision = answer.revision;
    let mut answers = answer.answers.into_iter().map(|answer| match answer {
        etcd::OperationAnswer::Found(pairs, _) => pairs,
        _ => Vec::new(),
    });
    let members = answers.next().unwrap_or_default().first().map(|pair| pair.value.to_vec());
    let first = answers.next().unwrap_or_default().first().and_then(|pair| keys.seq(&pair.key));
    let durable = durables(keys, &answers.next().unwrap_or_default());
    Ok(ReadAnswer::Durable { revision, members, first, durable })
}

/// Returns what an error of etcd says about a request, in the words of the protocol.
pub(crate) fn failure(why: &EtcdError) -> TxnFailure {
    match why.kind() {
        ErrorKind::NoSpace => TxnFailure::NoSpace,
        ErrorKind::TooLarge => TxnFailure::TooLarge,
        ErrorKind::Corrupt => TxnFailure::Corrupt,
        ErrorKind::ClusterIdMismatch => TxnFailure::OtherCluster,
        ErrorKind::RevisionWentBack { .. } => TxnFailure::WentBack,
        ErrorKind::PermissionDenied
        | ErrorKind::AuthenticationFailed
        | ErrorKind::InvalidAuthToken => TxnFailure::Denied(why.to_string()),
        _ => match why.outcome() {
            etcd::CallOutcome::NotDone => TxnFailure::Busy(why.to_string()),
            etcd::CallOutcome::Unknown => TxnFailure::Unknown(why.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Spool;
    use std::sync::Mutex;

    #[test]
    fn a_transaction_compares_values_and_reads_both_if_they_differ() {
        let keys = GroupKeys::new("roses", 0).unwrap();
        let txn = Txn {
            tail: ValueCompare::Is(b"line".to_vec()),
            members: ValueCompare::Absent,
            halt: ValueCompare::Is(b"halt".to_vec()),
            puts: vec![
                Put::Tail("next".to_owned()),
                Put::Batch(7, Arc::from(&b"batch"[..])),
                Put::Primary("primary".to_owned()),
                Put::Members("members".to_owned()),
            ],
        };
        let wanted = EtcdTransaction {
            compare: vec![
                etcd::Compare::Value { key: keys.tail().into(), value: "line".into() },
                etcd::Compare::Absent { key: keys.members().into() },
                etcd::Compare::Value { key: keys.halt().into(), value: "halt".into() },
            ],
            then: vec![
                Operation::put(keys.tail(), "next"),
                Operation::put(keys.batch(7), "batch"),
                Operation::put(keys.primary(), "primary"),
                Operation::put(keys.members(), "members"),
            ],
            otherwise: vec![Operation::get(keys.tail()), Operation::get(keys.members())],
        };
        let made = transaction(&keys, &txn);
        assert_eq!(made.compare, wanted.compare, "what a transaction compares");
        assert_eq!(made, wanted);
        let any = ValueCompare::Any;
        let any = Txn { tail: any.clone(), members: any.clone(), halt: any, puts: Vec::new() };
        assert_eq!(transaction(&keys, &any).compare, []);
    }

    #[test]
    fn spooled_batches_come_in_steps() {
        let path = tempfile::tempdir().unwrap();
        let mut spool = Spool::create(path.path(), 1 << 30).unwrap();
        (3..9).for_each(|seq| spool.push(seq, b"small").unwrap());
        let large = vec![7; SPOOLED / 4];
        (9..19).for_each(|seq| spool.push(seq, &large).unwrap());
        let spool = Arc::new(Mutex::new(Some(spool)));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let numbers = |first, last| -> Option<Vec<Seq>> {
            let found = runtime.block_on(spooled(&spool, first, last));
            Some(found?.into_iter().map(|(seq, _)| seq).collect())
        };
        assert_eq!(numbers(4, 6), Some(vec![4, 5, 6]), "batches behind the last one");
        assert_eq!(numbers(7, 70), Some((7..13).collect()), "all at once");
        assert_eq!(numbers(3, 3), Some(vec![3]));
        assert_eq!(numbers(18, 70), Some(vec![18]));
        for (first, last) in [(2, 5), (19, 30), (5, 4)] {
            assert_eq!(numbers(first, last), None, "{first} to {last}");
        }
        *lock(&spool) = None;
        assert_eq!(numbers(4, 6), None);
    }

    #[test]
    fn trimming_puts_nothing() {
        let keys = GroupKeys::new("roses", 0).unwrap();
        let trim = trimming(&keys, "primary".to_owned(), &ValueCompare::Is(b"members".into()), 7);
        let value = |key: String, value: &'static str| etcd::Compare::Value {
            key: key.into(),
            value: value.into(),
        };
        let wanted = [value(keys.primary(), "primary"), value(keys.members(), "members")];
        assert_eq!(trim.compare, wanted);
        let range = KeyRange::between(keys.batch(0), keys.batch(7));
        assert_eq!((trim.then, trim.otherwise), (vec![Operation::Delete(range)], Vec::new()));
    }
}
