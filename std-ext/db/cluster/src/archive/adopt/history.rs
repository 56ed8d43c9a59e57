//! The entry that begins a new history, for a folder whose last batch cannot be made again.

use super::candidates::FolderCandidate;
use super::survey::{Logged, open_log};
use super::window::{Window, WindowBuilder};
use crate::log::local_log::position::logged_mark;
use crate::membership::error::StartError;
use crate::membership::identity::{self, Belonging, ClusterFormat};
use crate::peer::Spool;
use crate::peer::spool::MOST_SPOOLED;
use hedgerow_db_engine::log::{Log as _, change};
use hedgerow_db_group::{BatchChain, Entry, Epoch, Mark};
use std::path::Path;

/// Gives the folder's log one more entry, which begins a batch of a new history. Returns that batch.
pub(super) fn begin_history(
    taken: &FolderCandidate,
    name: &str,
    format: &ClusterFormat,
    now: u64,
) -> Result<Window, StartError> {
    let FolderCandidate { folder, survey } = taken;
    let node = identity::node_id(folder)?;
    // First, so that a folder with a mark always belongs to a cluster.
    Belonging::new(name, format, taken.group()).write(folder)?;
    let (seq, epoch): (u64, Epoch) = survey.mark.map_or((0, 0), |mark| (mark.seq, mark.epoch));
    // The number before it stays unused: nobody can read on from an earlier batch.
    let mark = Mark {
        seq: seq + 2,
        epoch: epoch + 1,
        chain: BatchChain(identity::random()?),
        first: survey.last + 1,
    };
    let mut changes = Vec::new();
    change::begin(mark.epoch, &node.0, &mut changes);
    let entry = Entry { lsn: mark.first, time: now.max(survey.time), changes };
    let mut marked = Vec::new();
    change::batch(&logged_mark(&mark), &mut marked);
    marked.extend_from_slice(&entry.changes);
    append(folder.path(), taken, &entry, &marked)?;
    // Batches of another history, which the node would read before those in etcd.
    if let Ok(Some(spool)) = Spool::open(folder.path(), MOST_SPOOLED)
        && let Err(why) = spool.remove()
    {
        return Err(StartError::new(why.to_string()));
    }
    let mut builder = WindowBuilder::default();
    builder.take(&Logged { mark: Some(mark), entry });
    builder.finish().ok_or_else(|| StartError::new("the new batch cannot be built"))
}

/// Appends an entry to the folder's log, and forces it to the disk.
fn append(
    path: &Path,
    taken: &FolderCandidate,
    entry: &Entry,
    changes: &[u8],
) -> Result<(), StartError> {
    let failed = |why: &dyn std::fmt::Display| {
        StartError::new(format!("the log in {} cannot be written: {why}", path.display()))
    };
    let log = open_log(&taken.folder)?;
    let lsn = log.append(entry.time, changes).map_err(|why| failed(&why))?;
    if lsn != entry.lsn {
        return Err(failed(&"it has changed meanwhile"));
    }
    log.wait(lsn).and_then(|()| log.close()).map_err(|why| failed(&why))
}
