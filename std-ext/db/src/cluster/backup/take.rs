//! Makes a backup of a running node.

use super::files::{CLUSTER, empty_folder, is_data};
use super::manifest::{Contents, FileInfo};
use crate::clock::TimeSource;
use crate::cluster::adopt::{Survey, connect, runtime};
use crate::cluster::core::{NodeId, Tail};
use crate::cluster::error::StartError;
use crate::cluster::hex;
use crate::cluster::identity::{self, Belonging, Format};
use crate::cluster::keys::Keys;
use crate::cluster::member::peer_tls;
use crate::cluster::peer::client::MOST_FETCHED;
use crate::cluster::peer::{self, Decision, GroupId, PeerClientOptions};
use crate::cluster::registration::Node;
use crate::cluster::registry::read_nodes;
use crate::config::ClusterSettings;
use crate::log::Lsn;
use crate::log::folder::Folder;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A fetch that does not come nearer to its end for this long is given up.
const NO_PROGRESS: Duration = Duration::from_secs(60);

/// The cluster as etcd has it.
struct Found {
    format: Format,
    /// The last entry when the backup began.
    last: Lsn,
    nodes: Vec<Node>,
}

/// Makes a backup of a running node in the folder `to`, which must be empty or not be there. `node` is the beginning of
/// a node's id. Without it, the follower with the most entries is asked, or else the primary.
///
/// It takes as much disk as the node's newest snapshot and its log, and memory for one entry. Meanwhile the node keeps
/// these files.
///
/// # Errors
/// A sentence that says why there is no backup. The folder has no `backup.json` then.
pub fn take(
    settings: &ClusterSettings,
    to: &Path,
    node: Option<&str>,
) -> Result<Contents, StartError> {
    let found = runtime()?.block_on(read(settings))?;
    let source = choose(&found.nodes, node)?;
    let address = source.registration.peer_address().ok_or_else(|| {
        StartError::new(format!("node {} does not say where it serves others", source.id))
    })?;
    let folder = empty_folder(to)?;
    let tls = peer_tls(settings)?;
    let Format { cluster, incarnation, .. } = found.format;
    let options = PeerClientOptions {
        group: GroupId { cluster, incarnation, group: settings.group },
        node: NodeId(identity::random()?),
        insecure: settings.peer.insecure,
        tls,
        most_bytes: MOST_FETCHED,
    };
    let (mut best, mut since) = (None, Instant::now());
    let fetched = peer::fetch(&address, &options, to, &mut |position| {
        let lsn = position.map(|position| position.lsn);
        if lsn > best {
            (best, since) = (lsn, Instant::now());
        }
        match lsn {
            Some(lsn) if lsn >= found.last => Decision::Enough,
            // The snapshot of a large database arrives while there is no position.
            Some(_) if since.elapsed() > NO_PROGRESS => Decision::GiveUp,
            _ => Decision::Continue,
        }
    });
    fetched.map_err(|why| {
        StartError::new(format!(
            "the data of node {} at {address} cannot be copied up to entry {}: {why}",
            source.id, found.last
        ))
    })?;
    peer::install(&folder)?;
    Belonging::new(&settings.name, &found.format, settings.group).write(&folder)?;
    describe(&settings.name, &folder, &found.format, source.id)
}

/// Reads what etcd has.
async fn read(settings: &ClusterSettings) -> Result<Found, StartError> {
    let (client, keys) = connect(settings).await?;
    let format = client.get(keys.format()).await?.pair;
    let Some(format) = format else { return Err(no_cluster(settings, &keys)) };
    let format = Format::parse(&format.value)?;
    let have_moved = client.get(keys.slots()).await?.pair.is_some();
    if format.groups != 1 || have_moved {
        let has = match format.groups {
            1 => "several groups".to_owned(),
            groups => format!("{groups} groups"),
        };
        return Err(StartError::new(format!(
            "the cluster {:?} has {}, and a backup knows only clusters of one group: copy the directories of \
             stopped nodes, one of each group",
            settings.name, has
        )));
    }
    let tail = client.get(keys.tail()).await?.pair;
    let Some(tail) = tail.filter(|_| format.adopter.is_none()) else {
        return Err(StartError::new(format!(
            "the cluster {:?} has no entries yet: start its nodes first",
            settings.name
        )));
    };
    let tail = Tail::parse(&tail.value).map_err(StartError::new)?;
    let nodes = read_nodes(&client, &keys).await?;
    Ok(Found { format, last: tail.lsn, nodes })
}

fn no_cluster(settings: &ClusterSettings, keys: &Keys) -> StartError {
    StartError::new(format!(
        "etcd has no cluster {:?} (the key {}): check cluster-name and cluster-etcd",
        settings.name,
        keys.format()
    ))
}

/// Chooses the node that is copied.
fn choose<'a>(nodes: &'a [Node], wanted: Option<&str>) -> Result<&'a Node, StartError> {
    if let Some(wanted) = wanted {
        let named: Vec<_> =
            nodes.iter().filter(|node| node.id.to_string().starts_with(wanted)).collect();
        return match named[..] {
            [node] => Ok(node),
            [] => Err(StartError::new(format!("no node whose id begins with {wanted:?} runs"))),
            _ => Err(StartError::new(format!("several ids of nodes begin with {wanted:?}"))),
        };
    }
    let loaded = nodes.iter().filter(|node| node.registration.role != "loading");
    // A follower has less to do than the primary.
    let best = loaded.max_by_key(|node| {
        (node.registration.role == "follower", node.registration.applied, node.id)
    });
    best.ok_or_else(|| {
        StartError::new(
            "no node of the cluster runs and has its data loaded: start one, or copy its directory",
        )
    })
}

/// Reads all of the backup, and writes what it has.
fn describe(
    name: &str,
    folder: &Arc<Folder>,
    format: &Format,
    node: NodeId,
) -> Result<Contents, StartError> {
    let survey = Survey::of(folder)?;
    let files = files(folder).map_err(|why| {
        StartError::new(format!("{} cannot be read again: {why}", folder.path().display()))
    })?;
    let contents = Contents {
        format: Contents::FORMAT,
        name: name.to_owned(),
        cluster: hex::text(&format.cluster),
        incarnation: format.incarnation,
        lsn: survey.last,
        seq: survey.mark.map_or(0, |mark| mark.seq),
        time_ms: survey.time,
        made_ms: TimeSource::System.now(),
        node: node.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        snapshot_keys: survey.snapshot_keys,
        log_entries: survey.log_entries,
        files,
    };
    contents.write(folder)?;
    Ok(contents)
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

    /// Makes a backup of a folder that a database on one machine has written.
    pub(in crate::cluster::backup) fn describe_alone(folder: &Arc<Folder>) -> Contents {
        let format = Format::new(1, 1).unwrap();
        Belonging::new("roses", &format, 0).write(folder).unwrap();
        describe("roses", folder, &format, NodeId([7; 20])).unwrap()
    }
}
