//! Stores the keys of a backup in an empty cluster of any number of groups.
//!
//! 1. The backup is verified. The key `restoring` in etcd gets the id of the command, without which nodes take no keys
//!    from it. Every group of the cluster must have a primary, and no key.
//! 2. Each group of the backup is loaded into memory, one after another. Its keys go to the primaries of their slots,
//!    by the port for other nodes, as changes with the expirations that they had.
//! 3. The primaries are asked for digests of their keys, and the backup is loaded again, for a digest of the same keys:
//!    those that had not expired by the time of the primary's digest.
//!
//! It waits for etcd, which is the brake, and for the next primary after a failover. A request may be sent again.

use super::files::group_folder;
use super::manifest::BackupContents;
use super::source::{Calm, ClusterKeys};
use super::verify::verify;
use crate::archive::adopt::{connect, runtime};
use crate::etcd::{Bytes, Compare, EtcdTransaction, Lease, Operation};
use crate::membership::error::StartError;
use crate::membership::identity;
use crate::membership::registration::Registration;
use crate::membership::registry::read_nodes;
use crate::peer::SharedTls;
use crate::peer::client::MOST_FETCHED;
use crate::peer::restored::{MESSAGE, PartsMaker, RestoredKey, ends_request, size};
use crate::peer::{GroupId, PeerClient, PeerClientOptions, PeerError};
use hedgerow_db_engine::clustered::{Digest, DigestPart, DigestSum};
use hedgerow_db_engine::db::load_only;
use hedgerow_db_engine::log::folder::Folder;
use hedgerow_db_engine::options::Options;
use hedgerow_db_engine::request::StoredValue;
use hedgerow_db_engine::state::load::LoadingShards;
use hedgerow_db_formats::slot_set::SlotSet;
use hedgerow_db_formats::slots::slot;
use hedgerow_db_group::NodeId;
use hedgerow_db_redis::config::ClusterSettings;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

/// How long nodes take keys from a command that was killed, or has lost its connection with etcd.
const ANNOUNCED: Duration = Duration::from_secs(60);
/// Messages that wait for a primary.
const WAITING: usize = 2;
/// A group that takes nothing for this long is given up.
const NO_PROGRESS: Duration = Duration::from_secs(60);
/// The pause before a primary is asked again.
const AGAIN: Duration = Duration::from_millis(250);
/// The time between the registration of a primary and its digest, in milliseconds, at the first attempt.
const AHEAD: u64 = 2000;
/// How long a primary may take to reach the time of its digest.
const REACHED: Duration = Duration::from_secs(60);
/// How often a digest is asked for.
const ATTEMPTS: u64 = 5;

/// The outcome of a restoration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RestoreOutcome {
    /// The keys that the cluster has now.
    pub keys: u64,
    /// The digest of all of them, which does not depend on the number of groups.
    pub digest: String,
    /// The groups.
    pub groups: Vec<RestoredGroup>,
    /// How the cluster's keys differ from those of the backup: sentences.
    pub problems: Vec<String>,
}

/// The keys of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RestoredGroup {
    /// The group.
    pub group: u32,
    /// Its keys.
    pub keys: u64,
    /// The entry as of which they were counted.
    pub lsn: u64,
    /// Their digest.
    pub digest: String,
}

/// Stores the keys of a backup in a cluster without keys. It may have another number of groups, and another name. It
/// waits `within` for a primary of each group, and for the end of moves of slots.
///
/// It needs memory for the largest group of the backup. Keys that have expired meanwhile are left out.
///
/// # Errors
/// A sentence that says why the keys are not there, or not all of them: then the cluster must be emptied.
pub fn restore(
    settings: &ClusterSettings,
    backup: &Path,
    within: Duration,
) -> Result<RestoreOutcome, StartError> {
    let contents = Arc::new(verify(backup)?);
    runtime()?.block_on(async {
        let target = Arc::new(RestoreTarget::find(settings, within).await?);
        let lease = target.announce().await?;
        let restored = fill(&target, &contents, backup, within).await;
        lease.revoke().await;
        restored
    })
}

/// Stores the keys of a backup in a cluster that knows of it.
async fn fill(
    target: &Arc<RestoreTarget>,
    contents: &Arc<BackupContents>,
    backup: &Path,
    within: Duration,
) -> Result<RestoreOutcome, StartError> {
    let groups: Vec<u32> = target.calm.slots.groups().into_iter().collect();
    let mut primaries: Vec<_> = groups.iter().map(|group| Primary::of(target, *group)).collect();
    for primary in &mut primaries {
        // Before the first key is sent anywhere: no group may have any.
        primary.store(Vec::new(), true, within).await?;
    }
    send_all(target, contents, backup, primaries).await?;
    let digests = digests(target, &groups).await?;
    let end = Instant::now() + within;
    let moved = !target.etcd.calm(end).await?.is_as(&target.calm);
    let expected = Expected::new(&digests, &target.calm);
    let expected = of_backup(contents, backup, expected).await?;
    Ok(RestoreOutcome::of(&digests, &expected, moved))
}

/// The cluster that gets the keys.
struct RestoreTarget {
    etcd: ClusterKeys,
    options: PeerClientOptions,
    /// The cluster before the first key was sent.
    calm: Calm,
}

impl RestoreTarget {
    /// Finds the cluster. Waits `within` for the end of moves of slots.
    async fn find(settings: &ClusterSettings, within: Duration) -> Result<Self, StartError> {
        let options = PeerClientOptions {
            group: GroupId::default(),
            // This command is no node. The id is secret: nodes take keys from the one that etcd has.
            node: NodeId(identity::random()?),
            insecure: settings.peer.insecure,
            tls: SharedTls::read(settings)?,
            most_bytes: MOST_FETCHED,
        };
        let (client, keys) = connect(settings).await?;
        let etcd = ClusterKeys { client, keys, name: settings.name.clone() };
        let calm = etcd.calm(Instant::now() + within).await?;
        Ok(Self { etcd, options, calm })
    }

    /// Tells the nodes by etcd that this command restores a backup. They take keys from it until the lease ends.
    ///
    /// # Errors
    /// If another command restores one.
    async fn announce(&self) -> Result<Lease, StartError> {
        let ClusterKeys { client, keys, .. } = &self.etcd;
        let lease = client.grant(ANNOUNCED).await?;
        let (key, value) = (Bytes::from(keys.restoring()), self.options.node.to_string().into());
        let announce = EtcdTransaction {
            compare: vec![Compare::Absent { key: key.clone() }],
            then: vec![Operation::Put { key, value, lease: lease.id() }],
            ..EtcdTransaction::default()
        };
        if client.transact(&announce).await?.succeeded {
            return Ok(lease);
        }
        lease.revoke().await;
        Err(StartError::new(format!(
            "another command is restoring a backup into this cluster, or was killed in the last {} s: wait, and try \
             again",
            ANNOUNCED.as_secs()
        )))
    }
}

/// The primary of a group that gets keys.
struct Primary {
    target: Arc<RestoreTarget>,
    group: u32,
    /// A client of it, and the time at which it had registered itself; `None` until it is found.
    found: Option<(PeerClient, u64)>,
}

impl Primary {
    fn of(target: &Arc<RestoreTarget>, group: u32) -> Self {
        Self { target: Arc::clone(target), group, found: None }
    }

    /// Returns a client of the primary, and the time at which it had registered itself.
    ///
    /// # Errors
    /// If it is not known at present.
    async fn find(&mut self) -> Result<(PeerClient, u64), StartError> {
        if let Some(found) = &self.found {
            return Ok(found.clone());
        }
        let RestoreTarget { etcd, options, calm } = &*self.target;
        let nodes = read_nodes(&etcd.client, &etcd.keys).await?;
        let nodes = nodes.into_iter().map(|node| node.registration);
        let primaries = nodes.filter(|one| one.group == self.group && one.role == "primary");
        // A deposed primary may still be registered as one.
        let primary = primaries.max_by_key(|one| one.epoch);
        let address = primary.as_ref().and_then(Registration::peer_address);
        let (primary, address) =
            primary.zip(address).ok_or_else(|| self.error("it has no primary at present"))?;
        let id = GroupId {
            cluster: calm.format.cluster,
            incarnation: calm.format.incarnation,
            group: self.group,
        };
        let options = PeerClientOptions { group: id, ..options.clone() };
        let client = PeerClient::new(&address, &options).map_err(|why| self.error(why))?;
        Ok(self.found.insert((client, primary.wall)).clone())
    }

    /// Stores keys. Tries again for a time after errors that may pass.
    async fn store(
        &mut self,
        keys: Vec<RestoredKey>,
        must_be_empty: bool,
        within: Duration,
    ) -> Result<(), StartError> {
        let end = Instant::now() + within;
        loop {
            let why = match self.find().await {
                Err(why) => why,
                Ok((primary, _)) => {
                    match primary.restore(self.group, keys.clone(), must_be_empty).await {
                        Ok(()) => return Ok(()),
                        Err(why @ (PeerError::Unreachable(_) | PeerError::Silent)) => {
                            self.error(why)
                        }
                        // Anything else would come again.
                        Err(why) => return Err(self.error(why)),
                    }
                }
            };
            if Instant::now() >= end {
                return Err(why);
            }
            // It may be another one.
            self.found = None;
            sleep(AGAIN).await;
        }
    }

    /// Returns a digest of all its keys.
    async fn digest(mut self) -> Result<(u32, Digest), StartError> {
        let mut why = self.error("it was not asked for a digest");
        for attempt in 1..=ATTEMPTS {
            match self.find().await {
                Err(failed) => why = failed,
                Ok((mut primary, wall)) => {
                    // Ahead of its clock: a digest is taken at a watermark that is still to come.
                    let time = wall.saturating_add(AHEAD.saturating_mul(attempt));
                    match primary.digest(time, REACHED).await {
                        Ok(Some(digest)) => return Ok((self.group, digest)),
                        // Its registration was older than that. The next attempt leaves more time.
                        Ok(None) => {
                            why = self.error("its clock has reached the time of the digest");
                        }
                        Err(failed) => why = self.error(failed),
                    }
                }
            }
            self.found = None;
            sleep(AGAIN).await;
        }
        Err(why)
    }

    fn error(&self, why: impl Display) -> StartError {
        StartError::new(format!("group {}: {why}", self.group))
    }
}

/// Returns digests of all keys of the groups' primaries.
async fn digests(
    target: &Arc<RestoreTarget>,
    groups: &[u32],
) -> Result<BTreeMap<u32, Digest>, StartError> {
    let mut tasks = JoinSet::new();
    for group in groups {
        tasks.spawn(Primary::of(target, *group).digest());
    }
    let mut digests = BTreeMap::new();
    while let Some(done) = tasks.join_next().await {
        let (group, digest) = done.map_err(|why| StartError::new(why.to_string()))??;
        digests.insert(group, digest);
    }
    Ok(digests)
}

// --------------------------------------------------------------------------------------------- sending

/// Sends all keys of a backup to the groups of their slots.
async fn send_all(
    target: &Arc<RestoreTarget>,
    contents: &Arc<BackupContents>,
    backup: &Path,
    primaries: Vec<Primary>,
) -> Result<(), StartError> {
    let (mut senders, mut tasks) = (BTreeMap::new(), JoinSet::new());
    for primary in primaries {
        let (sender, messages) = channel(WAITING);
        senders.insert(
            primary.group,
            Outgoing { sender, parts: PartsMaker::default(), keys: Vec::new(), bytes: 0 },
        );
        tasks.spawn(send(primary, messages));
    }
    let (contents, backup, target) = (Arc::clone(contents), backup.to_owned(), Arc::clone(target));
    let read = spawn_blocking(move || {
        for group in &contents.groups {
            let own =
                each_key(&backup, group.group, &group.slots, &mut |key, expires_at, value| {
                    let owner = u32::from(target.calm.slots.owners()[usize::from(slot(key))]);
                    let outgoing = senders.get_mut(&owner);
                    outgoing.is_some_and(|outgoing| outgoing.add(key, expires_at, value))
                });
            // The reason why a group takes no more is that of its task.
            if !own? {
                return Ok(());
            }
        }
        // As above.
        senders.values_mut().all(Outgoing::finish);
        Ok::<_, StartError>(())
    });
    let read = read.await.map_err(|why| StartError::new(why.to_string()));
    let mut sent = Ok(());
    while let Some(done) = tasks.join_next().await {
        let done = done.map_err(|why| StartError::new(why.to_string())).and_then(|done| done);
        sent = sent.and(done);
    }
    read.and_then(|read| read)?;
    sent
}

/// The keys that go to a group.
struct Outgoing {
    sender: Sender<Vec<RestoredKey>>,
    parts: PartsMaker,
    keys: Vec<RestoredKey>,
    bytes: usize,
}

impl Outgoing {
    /// Adds a key, or a further part of the value of the last one. Returns false if the group takes no more.
    fn add(&mut self, key: &[u8], expires_at: Option<u64>, value: StoredValue<'_>) -> bool {
        let parts = self.parts.add(key, expires_at, value);
        parts.into_iter().all(|part| self.push(part))
    }

    fn push(&mut self, part: RestoredKey) -> bool {
        let ends_request = ends_request(&part);
        self.bytes += size(&part);
        self.keys.push(part);
        (self.bytes < MESSAGE && !ends_request) || self.flush()
    }

    /// Sends what was added, to the end. Returns as `add`.
    fn finish(&mut self) -> bool {
        let last = self.parts.finish();
        last.is_none_or(|part| self.push(part)) && self.flush()
    }

    /// Sends the keys that were added. Returns as `add`.
    fn flush(&mut self) -> bool {
        self.bytes = 0;
        let keys = std::mem::take(&mut self.keys);
        keys.is_empty() || self.sender.blocking_send(keys).is_ok()
    }
}

/// Sends the messages to a group until there are no more.
async fn send(
    mut primary: Primary,
    mut messages: Receiver<Vec<RestoredKey>>,
) -> Result<(), StartError> {
    while let Some(keys) = messages.recv().await {
        primary.store(keys, false, NO_PROGRESS).await?;
    }
    Ok(())
}

/// Takes a key, its expiration and its value, or a further part of the value of the last key. Returns false if it takes
/// no more.
type TakeKey<'a> = dyn FnMut(&[u8], Option<u64>, StoredValue<'_>) -> bool + 'a;

/// Loads a group of a backup, and calls `each` with all keys of its slots, until that returns false. Returns whether it
/// has never done so.
fn each_key(
    backup: &Path,
    group: u32,
    slots: &[(u16, u16)],
    each: &mut TakeKey<'_>,
) -> Result<bool, StartError> {
    let slots = SlotSet::from_ranges(slots).ok_or_else(|| {
        StartError::new(format!(
            "the backup is damaged: the slots of group {group} are out of order"
        ))
    })?;
    let folder = Folder::claim(&backup.join(group_folder(group)))?;
    let mut options = Options::in_memory();
    options.databases = 1;
    let shards = LoadingShards::new(&options);
    load_only(&folder, &shards)?;
    shards.finish_loading();
    let mut goes_on = true;
    shards.each_key(&mut |key, expires_at, value| {
        // Keys of other slots are left from a move that was interrupted.
        if goes_on && slots.contains(slot(key)) {
            goes_on = each(key, expires_at, value);
        }
    });
    Ok(goes_on)
}

// ------------------------------------------------------------------------------------------- comparing

/// The keys that each group should have.
struct Expected {
    /// The time of each group's digest, and the digest that it should be.
    groups: BTreeMap<u32, (u64, DigestSum)>,
    /// The group of each slot.
    owners: Vec<u16>,
}

impl Expected {
    fn new(digests: &BTreeMap<u32, Digest>, calm: &Calm) -> Self {
        let empty = |digest: &Digest| (digest.time, DigestSum::default());
        let groups = digests.iter().map(|(group, digest)| (*group, empty(digest)));
        Self { groups: groups.collect(), owners: calm.slots.owners().to_vec() }
    }

    fn add(&mut self, key: &[u8], expires_at: Option<u64>, value: StoredValue<'_>) {
        let owner = u32::from(self.owners[usize::from(slot(key))]);
        if let Some((time, sum)) = self.groups.get_mut(&owner)
            // By the time of that group's digest its primary has removed the others.
            && expires_at.is_none_or(|end| end > *time)
        {
            sum.add(key, expires_at, value);
        }
    }
}

/// Digests the keys of a backup.
async fn of_backup(
    contents: &Arc<BackupContents>,
    backup: &Path,
    mut expected: Expected,
) -> Result<Expected, StartError> {
    let (contents, backup): (_, PathBuf) = (Arc::clone(contents), backup.to_owned());
    let read = spawn_blocking(move || {
        for group in &contents.groups {
            each_key(&backup, group.group, &group.slots, &mut |key, expires_at, value| {
                expected.add(key, expires_at, value);
                true
            })?;
        }
        Ok(expected)
    });
    read.await.map_err(|why| StartError::new(why.to_string()))?
}

impl RestoreOutcome {
    fn of(digests: &BTreeMap<u32, Digest>, expected: &Expected, moved: bool) -> Self {
        let (mut problems, mut groups, mut all) = (Vec::new(), Vec::new(), DigestPart::default());
        for (&group, digest) in digests {
            let sum = sum(&digest.parts);
            all = sum_of(all, sum);
            groups.push(RestoredGroup {
                group,
                keys: sum.keys,
                lsn: digest.lsn,
                digest: format!("{:032x}", sum.hash),
            });
            let wanted =
                expected.groups.get(&group).map(|(_, sum)| sum.parts()).unwrap_or_default();
            if wanted != digest.parts {
                problems.push(format!(
                    "group {group} has {} keys at entry {}, but the backup has {} or different keys in its slots",
                    sum.keys,
                    digest.lsn,
                    self::sum(&wanted).keys
                ));
            }
        }
        if moved {
            problems.push("slots moved between the groups during the comparison".to_owned());
        }
        Self { keys: all.keys, digest: format!("{:032x}", all.hash), groups, problems }
    }
}

fn sum(parts: &[DigestPart]) -> DigestPart {
    parts.iter().copied().fold(DigestPart::default(), sum_of)
}

fn sum_of(one: DigestPart, other: DigestPart) -> DigestPart {
    DigestPart { keys: one.keys + other.keys, hash: one.hash.wrapping_add(other.hash) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::process::Etcd;
    use crate::node::tests::{Folders, Node, open_alone, primary, settings, value};
    use std::time::Duration;

    /// A backup of one group, with keys of all slots.
    fn backup() -> tempfile::TempDir {
        let backup = tempfile::tempdir().unwrap();
        let alone = open_alone(&backup.path().join(group_folder(0)));
        for n in 0..200 {
            alone.set(format!("key {n}"), format!("value {n}")).unwrap();
            if n == 99 {
                alone.snapshot().unwrap();
            }
        }
        alone.delete("key 3").unwrap();
        alone.append("key 4", "!").unwrap();
        alone.set_with_ttl("soon", "gone", Duration::from_secs(1000)).unwrap();
        alone.set_with_ttl("later", "gone", Duration::from_secs(9000)).unwrap();
        drop(alone);
        backup
    }

    fn keys(backup: &Path, slots: &[(u16, u16)]) -> BTreeMap<String, (Option<u64>, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut keys = BTreeMap::new();
        let all = each_key(backup, 0, slots, &mut |key, expires_at, value| {
            keys.insert(text(key), (expires_at, text(value.bytes())));
            true
        });
        assert!(all.unwrap());
        keys
    }

    #[test]
    fn a_backup_has_the_keys_of_its_snapshot_and_its_log() {
        let backup = backup();
        let all = keys(backup.path(), &[(0, 16_383)]);
        assert_eq!(all.len(), 201);
        assert_eq!(all["key 4"].1, "value 4!");
        assert!(!all.contains_key("key 3") && all["soon"].0.is_some());
        // The folder is as before: it can be read again.
        let half = keys(backup.path(), &[(0, 8191)]);
        assert!(half.len() > 50 && half.len() < 150, "{} keys", half.len());
        assert!(half.keys().all(|key| slot(key.as_bytes()) < 8192), "keys of other slots");
        let why = each_key(backup.path(), 0, &[(5, 3)], &mut |_, _, _| true);
        let why = why.expect_err("invalid slots are read as all slots").to_string();
        assert!(why.contains("the slots of group 0 are out of order"), "{why}");
    }

    #[test]
    fn keys_that_differ_are_found() {
        let backup = backup();
        let soon = keys(backup.path(), &[(0, 16_383)])["soon"].0.unwrap();
        let mut expected = Expected {
            groups: (0..2).map(|group| (group, (soon - 1, DigestSum::default()))).collect(),
            owners: (0..16_384).map(|slot| u16::from(slot >= 8192)).collect(),
        };
        // By the time of this group's digest, the key has expired.
        expected.groups.get_mut(&u32::from(slot(b"soon") >= 8192)).unwrap().0 = soon;
        let digests = |expected: &Expected| -> BTreeMap<u32, Digest> {
            let digest =
                |(time, sum): &(u64, DigestSum)| Digest { lsn: 7, time: *time, parts: sum.parts() };
            expected.groups.iter().map(|(group, sum)| (*group, digest(sum))).collect()
        };
        for (key, (expires_at, value)) in keys(backup.path(), &[(0, 16_383)]) {
            expected.add(key.as_bytes(), expires_at, StoredValue::String(value.as_bytes()));
        }
        let found = digests(&expected);
        let restored = RestoreOutcome::of(&found, &expected, false);
        assert_eq!((restored.keys, &restored.problems[..]), (200, &[][..]));
        assert_eq!(restored.groups.iter().map(|group| group.keys).sum::<u64>(), 200);
        // The same keys in one group have the same digest.
        let mut one = Expected {
            groups: [(0, (soon, DigestSum::default()))].into(),
            owners: vec![0; 16_384],
        };
        for (key, (expires_at, value)) in keys(backup.path(), &[(0, 16_383)]) {
            one.add(key.as_bytes(), expires_at, StoredValue::String(value.as_bytes()));
        }
        assert_eq!(RestoreOutcome::of(&digests(&one), &one, false).digest, restored.digest);
        expected.add(b"more", None, StoredValue::String(b""));
        let differs = RestoreOutcome::of(&found, &expected, true);
        assert_eq!(differs.problems.len(), 2, "it was not noticed: {:?}", differs.problems);
        assert!(differs.problems[1].contains("slots moved"));
    }

    #[test]
    fn a_node_takes_keys_of_a_restoration_only() {
        let Some(etcd) = Etcd::start(1) else { return };
        let (settings, folders) = (settings(&etcd, "restoring"), Folders::new(1));
        let nodes = [Node::start(&settings, folders.at(0)).unwrap()];
        primary(&nodes);
        let limit = Duration::from_secs(60);
        runtime().unwrap().block_on(async {
            let command = Arc::new(RestoreTarget::find(&settings, limit).await.unwrap());
            let other = Arc::new(RestoreTarget::find(&settings, limit).await.unwrap());
            let store = async |by: &Arc<RestoreTarget>, text: &[u8]| {
                let mut parts = PartsMaker::default();
                let mut keys = parts.add(b"rose", None, StoredValue::String(text));
                keys.extend(parts.finish());
                let stored = Primary::of(by, 0).store(keys, false, limit).await;
                stored.map_err(|why| why.to_string())
            };
            let refused = "etcd has no record that the sender is restoring a backup";
            let why = store(&command, b"red").await.expect_err("no backup is being restored");
            assert!(why.contains(refused), "{why}");
            let lease = command.announce().await.unwrap();
            store(&command, b"red").await.unwrap();
            let why = store(&other, b"blue").await.expect_err("another one restores a backup");
            assert!(why.contains(refused), "{why}");
            let why = other.announce().await.expect_err("two commands restore").to_string();
            assert!(why.contains("another command"), "{why}");
            lease.revoke().await;
            store(&command, b"blue").await.expect_err("the restoration has ended");
        });
        assert_eq!(value(&nodes[0], "rose").as_deref(), Some("red"));
    }
}
