//! The etcd that will be filled: its keys of the cluster, compared with the entries of a folder.

use super::candidates::FolderCandidate;
use super::survey::{Logged, read_log};
use crate::etcd::{EtcdClient, Keys as KeyRange, Range};
use crate::log::changes::CHANGES;
use crate::membership::durable::Durable;
use crate::membership::error::StartError;
use crate::membership::identity::ClusterFormat;
use crate::membership::keys::GroupKeys;
use hedgerow_db_engine::log::Lsn;
use hedgerow_db_group::batch::Batch;
use hedgerow_db_group::hex;
use hedgerow_db_group::join::{Joiner, NotNext};
use hedgerow_db_group::{Halt, HeldEntries, NodeId, Seq, Tail};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a registration without a node may stay: the leases of a restored etcd begin anew.
const REGISTERED: Duration = Duration::from_secs(10);
/// The pause before registrations are read again.
const AGAIN: Duration = Duration::from_millis(250);
/// The batches of one answer.
const BATCHES: u32 = 15;
/// The answers that are read to compare a folder's last batch: it may be a long entry in parts.
const MOST_ANSWERS: usize = 256;

/// The values of the cluster's keys in etcd.
pub(crate) struct AdoptTarget {
    /// The value of `format`, to compare with.
    pub(crate) text: Option<Vec<u8>>,
    /// The same, read.
    pub(crate) format: Option<ClusterFormat>,
    /// The lines of the groups' logs, of those groups that have a directory. `Err`: it cannot be read.
    pub(crate) tails: BTreeMap<u32, Result<Option<Tail>, String>>,
    /// The latest entry of each of these groups that a node has said to have, and that node.
    pub(crate) known: BTreeMap<u32, (Lsn, NodeId)>,
}

/// How etcd's log is related to a folder's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has no log.
    Empty,
    /// Its log ends earlier, and the folder has all of its entries.
    Behind(u64),
    /// It has other entries, up to this one.
    Fork(u64),
    /// It has all entries of the folder, up to this one.
    Complete(u64),
    /// It has a log up to this entry, which cannot be compared with the folder. It may end earlier than the folder.
    Unknown(u64),
    /// The line of its log cannot be read.
    Damaged,
}

impl AdoptTarget {
    /// Reads what etcd has of the cluster and of these groups.
    ///
    /// # Errors
    /// If etcd cannot be read, or the key `format` cannot.
    pub(crate) async fn read(
        client: &EtcdClient,
        keys: &GroupKeys,
        groups: impl IntoIterator<Item = u32>,
    ) -> Result<Self, StartError> {
        let value = |pair: Option<crate::etcd::KeyValue>| pair.map(|pair| pair.value.to_vec());
        let text = value(client.get(keys.format()).await?.pair);
        let format = text.as_deref().map(ClusterFormat::parse).transpose()?;
        let (mut tails, mut known) = (BTreeMap::new(), BTreeMap::new());
        for group in groups {
            let keys = keys.of_group(group);
            let tail = value(client.get(keys.tail()).await?.pair);
            tails.insert(group, tail.map(|line| Tail::parse(&line)).transpose());
            let halt = client.get(keys.halt()).await?.pair;
            let halt = halt.and_then(|pair| Halt::parse(&pair.value));
            let durable = client.range(&Range::of(KeyRange::prefix(keys.durables()))).await?;
            let durable = durable.pairs.iter().filter_map(|pair| {
                let node = NodeId::read(pair.key.strip_prefix(keys.durables().as_bytes())?)?;
                Some((Durable::parse(&pair.value)?.lsn, node))
            });
            // The latest that any node has had counts, even if that node is gone.
            let said = durable.chain(halt.map(|halt| (halt.lsn, halt.node)));
            known.extend(said.max().map(|last| (group, last)));
        }
        Ok(Self { text, format, tails, known })
    }

    /// Returns what etcd has of the entries of a group's folder.
    ///
    /// # Errors
    /// If etcd cannot be read.
    pub(crate) async fn standing(
        &self,
        client: &EtcdClient,
        keys: &GroupKeys,
        taken: &FolderCandidate,
    ) -> Result<Standing, StartError> {
        let survey = &taken.survey;
        let tail = match self.tails.get(&keys.number()) {
            Some(Err(_)) => return Ok(Standing::Damaged),
            None | Some(Ok(None)) => return Ok(Standing::Empty),
            Some(Ok(Some(tail))) => *tail,
        };
        // Also then etcd may have entries of another history, written after a restore.
        if tail.lsn < survey.last {
            return overlap(client, keys, taken, &tail).await;
        }
        // Entries without a batch have no chain to compare.
        let Some(mark) = survey.mark else { return Ok(Standing::Unknown(tail.lsn)) };
        // A node that starts with this folder does the same.
        let mut joiner = Joiner::new(CHANGES, mark.before(0), survey.held);
        for _ in 0..MOST_ANSWERS {
            let batches = read_batches(client, keys, joiner.next()).await?;
            if batches.is_empty() {
                break;
            }
            for value in batches {
                let read = Batch::decode(&value).map_err(NotNext::Wrong);
                match read.and_then(|batch| joiner.take(&batch)) {
                    Ok(_) => {}
                    Err(NotNext::Fork) => return Ok(Standing::Fork(tail.lsn)),
                    Err(NotNext::Wrong(_)) => return Ok(Standing::Damaged),
                }
            }
            if joiner.has_compared() {
                return Ok(Standing::Complete(tail.lsn));
            }
        }
        Ok(Standing::Unknown(tail.lsn))
    }
}

/// Compares a log in etcd with a folder that has more: the entries of both, and the chain behind them.
///
/// A restored etcd may have been written to since. Its log is shorter than the folder's then, and yet it has entries
/// that no folder has.
async fn overlap(
    client: &EtcdClient,
    keys: &GroupKeys,
    taken: &FolderCandidate,
    tail: &Tail,
) -> Result<Standing, StartError> {
    // The last batch of the folder that begins no later than the one behind the line.
    let (mut begin, mut own) = (None, HeldEntries::up_to(0));
    read_log(&taken.folder, &mut |Logged { mark, entry }| {
        if let Some(mark) = mark.filter(|mark| mark.seq <= tail.seq + 1) {
            (begin, own) = (Some(mark), HeldEntries::up_to(mark.first - 1));
        }
        if begin.is_some() && entry.lsn <= tail.lsn && entry.lsn == own.last() + 1 {
            own.add(entry.time, &entry.changes);
        }
    })?;
    let Some(mark) = begin else { return Ok(Standing::Unknown(tail.lsn)) };
    let before = HeldEntries::up_to(mark.first - 1);
    let (mut joiner, mut found) = (Joiner::new(CHANGES, mark.before(0), before), before);
    while joiner.position().seq < tail.seq {
        let batches = read_batches(client, keys, joiner.next()).await?;
        if batches.is_empty() {
            return Ok(Standing::Unknown(tail.lsn));
        }
        for value in batches {
            let read = Batch::decode(&value).map_err(NotNext::Wrong);
            match read.and_then(|batch| joiner.take(&batch)) {
                Ok(complete) => complete
                    .into_iter()
                    .flat_map(|complete| complete.entries)
                    .for_each(|entry| found.add(entry.time, &entry.changes)),
                Err(NotNext::Fork) => return Ok(Standing::Fork(tail.lsn)),
                Err(NotNext::Wrong(_)) => return Ok(Standing::Damaged),
            }
        }
    }
    // The chain proves the batches up to the line, and the hash the entries that the directory has of them.
    let is_same = joiner.position().chain == tail.chain && found == own;
    Ok(if is_same { Standing::Behind(tail.lsn) } else { Standing::Fork(tail.lsn) })
}

impl fmt::Display for AdoptTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(format) = &self.format else { return f.write_str("no data of the cluster") };
        let id = hex::text(&format.cluster);
        write!(f, "incarnation {} of the cluster with the id {id}, ", format.incarnation)?;
        for (place, (group, tail)) in self.tails.iter().enumerate() {
            if place > 0 {
                f.write_str(", ")?;
            }
            if self.tails.len() > 1 {
                write!(f, "group {group} ")?;
            }
            match tail {
                Ok(None) => f.write_str("without a log")?,
                Ok(Some(tail)) => write!(f, "up to entry {}", tail.lsn)?,
                Err(why) => f.write_str(why)?,
            }
        }
        if format.adopter.is_some() {
            f.write_str("; an earlier `cluster adopt` did not finish")?;
        }
        Ok(())
    }
}

/// Returns the values of the batches from one on, without gap.
async fn read_batches(
    client: &EtcdClient,
    keys: &GroupKeys,
    first: Seq,
) -> Result<Vec<Vec<u8>>, StartError> {
    let range = KeyRange::between(keys.batch(first), keys.batch(Seq::MAX));
    let found = client.range(&Range::of(range).limit(BATCHES)).await?;
    let next = (first..).zip(found.pairs);
    let next = next.take_while(|(seq, pair)| keys.seq(&pair.key) == Some(*seq));
    Ok(next.map(|(_, pair)| pair.value.to_vec()).collect())
}

/// Checks that no node of the cluster is registered. Waits for the end of registrations whose nodes are gone.
///
/// # Errors
/// If a node runs, or etcd cannot be read.
pub(crate) async fn check_that_no_node_runs(
    client: &EtcdClient,
    keys: &GroupKeys,
) -> Result<(), StartError> {
    let end = Instant::now() + REGISTERED;
    loop {
        let range = Range::of(KeyRange::prefix(keys.nodes())).keys_only();
        let found = client.range(&range).await?;
        let Some(first) = found.pairs.first() else { return Ok(()) };
        if Instant::now() > end {
            let id = first.key.strip_prefix(keys.nodes().as_bytes()).unwrap_or_default();
            let id = NodeId::read(id);
            let id = id.map_or_else(|| "?".to_owned(), |id| id.to_string());
            return Err(StartError::new(format!(
                "{} nodes of the cluster are registered, {id} among them: stop all nodes first. Nothing was changed",
                found.pairs.len()
            )));
        }
        sleep(AGAIN).await;
    }
}
