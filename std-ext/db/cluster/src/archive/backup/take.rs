//! Makes a backup of a running cluster.

use super::files::{CLUSTER, empty_folder, group_folder, is_data};
use super::manifest::{BackupContents, FileInfo, GroupContents};
use super::source::{Calm, ClusterKeys, choose};
use crate::archive::adopt::{Survey, connect, runtime};
use crate::membership::error::StartError;
use crate::membership::identity::{self, Belonging, ClusterFormat};
use crate::membership::registration::RegisteredNode;
use crate::membership::slot_claims::Disputed;
use crate::peer::SharedTls;
use crate::peer::client::MOST_FETCHED;
use crate::peer::{self, FetchDecision, GroupId, PeerClientOptions};
use hedgerow_db_engine::clock::TimeSource;
use hedgerow_db_engine::log::Lsn;
use hedgerow_db_engine::log::folder::Folder;
use hedgerow_db_formats::slot_set::SlotSet;
use hedgerow_db_group::NodeId;
use hedgerow_db_group::hex;
use hedgerow_db_redis::config::ClusterSettings;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A fetch that does not come nearer to its end for this long is given up.
const NO_PROGRESS: Duration = Duration::from_secs(60);

/// Makes a backup of a running cluster in the folder `to`, which must be empty or not be there. `nodes` are beginnings
/// of nodes' ids: their groups are copied of them. In other groups, the follower with the most entries is asked, or
/// else the primary.
///
/// It takes as much disk as the nodes' newest snapshots and their logs, and memory for one entry. Meanwhile the nodes
/// keep these files. It waits `within` for the end of moves of slots. If one begins while the groups are copied, all is
/// copied again, unless that time is over.
///
/// # Errors
/// A sentence that says why there is no backup. The folder has no `backup.json` then.
pub fn take(
    settings: &ClusterSettings,
    to: &Path,
    nodes: &[&str],
    within: Duration,
) -> Result<BackupContents, StartError> {
    take_in_rounds(settings, to, nodes, within, &mut || ())
}

/// As [`take`]. Calls `copied` after each time that all groups were copied.
pub(super) fn take_in_rounds(
    settings: &ClusterSettings,
    to: &Path,
    nodes: &[&str],
    within: Duration,
    copied: &mut dyn FnMut(),
) -> Result<BackupContents, StartError> {
    let end = Instant::now() + within;
    let runtime = runtime()?;
    let (client, keys) = runtime.block_on(connect(settings))?;
    let etcd = ClusterKeys { client, keys, name: settings.name.clone() };
    let mut before = runtime.block_on(etcd.calm(end))?;
    let mut sources = sources(&before, nodes)?;
    let root = empty_folder(to)?;
    loop {
        // Before the ends of the logs are read, so that the backup has all that was acknowledged by then.
        let made_ms = TimeSource::System.now();
        let mut groups = Vec::new();
        for (group, source) in sources {
            let last = runtime.block_on(etcd.last(group))?;
            let copy = Copy { settings, format: &before.format, group, source: &source };
            groups.push(copy.to(&to.join(group_folder(group)), last)?);
        }
        copied();
        let after = runtime.block_on(etcd.calm(end))?;
        if after.is_as(&before) {
            return describe(&settings.name, &root, &before.format, (made_ms, groups));
        }
        if Instant::now() >= end {
            remove(to, &groups)?;
            return Err(StartError::new(
                "slots moved during every attempt to copy the groups, and the time for the backup is over: see \
                 `hedgerow-db cluster move`, and try again",
            ));
        }
        // All groups, because the copies must agree about the owner of each slot.
        tracing::info!("slots moved while the groups were copied; copying all groups again");
        remove(to, &groups)?;
        sources = self::sources(&after, nodes)?;
        before = after;
    }
}

/// Returns the groups that have slots, with the node that each is copied of.
fn sources(found: &Calm, nodes: &[&str]) -> Result<Vec<(u32, RegisteredNode)>, StartError> {
    let mut named = Vec::new();
    for wanted in nodes {
        let fits = |node: &&RegisteredNode| node.id.to_string().starts_with(wanted);
        match found.nodes.iter().filter(fits).collect::<Vec<_>>()[..] {
            [node] => named.push(node),
            [] => {
                return Err(StartError::new(format!(
                    "no running node has an id that begins with {wanted:?}"
                )));
            }
            _ => {
                return Err(StartError::new(format!("several node ids begin with {wanted:?}")));
            }
        }
    }
    let groups = found.slots.groups().into_iter();
    groups.map(|group| Ok((group, choose(&found.nodes, &named, group)?.clone()))).collect()
}

/// A copy of one group.
struct Copy<'a> {
    settings: &'a ClusterSettings,
    format: &'a ClusterFormat,
    group: u32,
    source: &'a RegisteredNode,
}

impl Copy<'_> {
    /// Copies the group's data up to an entry, or further.
    fn to(&self, to: &Path, last: Lsn) -> Result<(GroupContents, SlotSet), StartError> {
        let RegisteredNode { id, registration } = self.source;
        let address = registration
            .peer_address()
            .ok_or_else(|| StartError::new(format!("node {id} does not announce its peer port")))?;
        let folder = empty_folder(to)?;
        let ClusterFormat { cluster, incarnation, .. } = *self.format;
        let options = PeerClientOptions {
            group: GroupId { cluster, incarnation, group: self.group },
            node: NodeId(identity::random()?),
            insecure: self.settings.peer.insecure,
            tls: SharedTls::read(self.settings)?,
            most_bytes: MOST_FETCHED,
        };
        let (mut best, mut since) = (None, Instant::now());
        let fetched = peer::fetch(&address, &options, to, &mut |position| {
            let lsn = position.map(|position| position.lsn);
            if lsn > best {
                (best, since) = (lsn, Instant::now());
            }
            match lsn {
                // The end of the log when the copy began. What is written meanwhile may be in it.
                Some(lsn) if lsn >= last => FetchDecision::Enough,
                // The snapshot of a large database arrives while there is no position.
                Some(_) if since.elapsed() > NO_PROGRESS => FetchDecision::GiveUp,
                _ => FetchDecision::Continue,
            }
        });
        fetched.map_err(|why| {
            StartError::new(format!(
                "the data of node {id} at {address} cannot be copied up to entry {last} of group {}: {why}",
                self.group
            ))
        })?;
        peer::install(&folder)?;
        Belonging::new(&self.settings.name, self.format, self.group).write(&folder)?;
        describe_group(&folder, self.group, *id)
    }
}

/// Reads all of a group's copy, and returns what it has.
fn describe_group(
    folder: &Arc<Folder>,
    group: u32,
    node: NodeId,
) -> Result<(GroupContents, SlotSet), StartError> {
    let survey = Survey::of(folder)?;
    let files = files(folder).map_err(|why| {
        StartError::new(format!("{} cannot be read again: {why}", folder.path().display()))
    })?;
    let contents = GroupContents {
        group,
        slots: survey.slots.ranges(),
        lsn: survey.last,
        seq: survey.mark.map_or(0, |mark| mark.seq),
        time_ms: survey.time,
        node: node.to_string(),
        snapshot_keys: survey.snapshot_keys,
        log_entries: survey.log_entries,
        files,
    };
    Ok((contents, survey.slots))
}

/// Checks that each slot is in one of the copies, and writes what they have.
fn describe(
    name: &str,
    root: &Folder,
    format: &ClusterFormat,
    (made_ms, groups): (u64, Vec<(GroupContents, SlotSet)>),
) -> Result<BackupContents, StartError> {
    // By the logs that were copied, because they say who owns a slot. etcd's map may be outdated.
    let disputed = Disputed::of(groups.iter().map(|(group, slots)| (group.group, slots)));
    if let Some(first) = disputed.sentences().first() {
        return Err(StartError::new(format!(
            "by the logs of the groups, {first}: run `hedgerow-db cluster check`"
        )));
    }
    let contents = BackupContents {
        format: BackupContents::FORMAT,
        name: name.to_owned(),
        cluster: hex::text(&format.cluster),
        incarnation: format.incarnation,
        cluster_format: format.number,
        made_ms,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        groups: groups.into_iter().map(|(group, _)| group).collect(),
    };
    contents.write(root)?;
    Ok(contents)
}

/// Removes the copies of groups, before they are made anew.
fn remove(to: &Path, groups: &[(GroupContents, SlotSet)]) -> Result<(), StartError> {
    for (group, _) in groups {
        let path = to.join(group_folder(group.group));
        let removed = fs::remove_dir_all(&path);
        removed.map_err(|why| StartError::new(format!("{}: {why}", path.display())))?;
    }
    Ok(())
}

fn files(folder: &Folder) -> io::Result<Vec<FileInfo>> {
    let mut names = folder.disk().list(folder.path())?;
    names.retain(|name| is_data(name) || name == CLUSTER);
    names.sort_unstable();
    names.iter().map(|name| FileInfo::of(folder.path(), name)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use hedgerow_db_formats::slot_set::share;

    /// Makes a backup of folders that databases on one machine have written: one for each group, where they belong.
    pub(in crate::archive::backup) fn describe_alone(to: &Path, groups: u32) -> BackupContents {
        let format = ClusterFormat::new(1, groups).unwrap();
        let all = (0..groups).map(|group| {
            let folder = Folder::claim(&to.join(group_folder(group))).unwrap();
            Belonging::new("roses", &format, group).write(&folder).unwrap();
            describe_group(&folder, group, NodeId([7; 20])).unwrap()
        });
        let all: Vec<_> = all.collect();
        assert!(
            all.iter().all(|(one, slots)| *slots == SlotSet::of_range(share(one.group, groups)))
        );
        let root = Folder::claim(to).unwrap();
        describe("roses", &root, &format, (1, all)).unwrap()
    }
}
