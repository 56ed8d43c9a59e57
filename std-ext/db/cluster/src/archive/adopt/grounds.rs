//! Whether folders may be adopted: the entries that would be lost in etcd, and the cluster that it will have.

use super::candidates::{FolderCandidate, FolderCandidates};
use super::target::{AdoptTarget, Standing};
use crate::membership::error::StartError;
use crate::membership::identity::{Belonging, ClusterFormat};
use hedgerow_db_engine::clock::TimeSource;
use hedgerow_db_group::hex;
use hedgerow_db_group::{Halt, NodeId};

/// Returns the cluster as it will be. A folder without a cluster makes a new one, of one group; `asked` are the numbers
/// of the group and of all groups in the settings.
pub(super) fn next_incarnation(
    asked: (u32, u32),
    groups: &[FolderCandidates],
    target: &AdoptTarget,
) -> Result<ClusterFormat, StartError> {
    let now = TimeSource::System.now();
    let taken = groups.iter().map(|group| &group.taken).find_map(|taken| {
        let belonging = taken.survey.belonging.as_ref()?;
        Some((taken, belonging))
    });
    let Some((taken, belonging)) = taken else {
        if asked != (0, 1) {
            return Err(StartError::new(
                "a standalone database becomes a cluster of one group: omit cluster-group and cluster-groups",
            ));
        }
        return ClusterFormat::new(now, 1);
    };
    let cluster = belonging.cluster().ok_or_else(|| {
        StartError::new(format!(
            "the file `cluster` in {} has no id: restore the directory",
            taken.path().display()
        ))
    })?;
    let in_etcd = target.format.as_ref().filter(|format| format.cluster == cluster);
    let all = groups.iter().flat_map(FolderCandidates::all);
    let known = all.filter_map(|one| one.survey.belonging.as_ref());
    // Above all that anyone has seen: no directory may take the new log for its own incarnation by accident.
    let last = known
        .map(Belonging::incarnation)
        .chain(in_etcd.map(|format| format.incarnation))
        .max()
        .unwrap_or(0);
    let incarnation = last.checked_add(1).ok_or_else(|| {
        StartError::new("the incarnation of the cluster is the largest number there is")
    })?;
    Ok(ClusterFormat { cluster, incarnation, ..ClusterFormat::new(now, belonging.groups())? })
}

/// Returns who has said to have entries that neither a folder nor etcd has, and which.
fn missing(
    taken: &FolderCandidate,
    target: &AdoptTarget,
    found: &ClusterFormat,
) -> Option<(NodeId, String)> {
    let (last, node) = *target.known.get(&taken.group())?;
    // Such a node could not compare numbers, so only a directory of the later incarnation proves that nothing is
    // missing.
    let is_missing = if Halt::is_later(last) {
        let own = taken.survey.belonging.as_ref().map_or(0, Belonging::incarnation);
        own <= found.incarnation
    } else {
        let tail = target.tails.get(&taken.group());
        let end = tail.and_then(|tail| tail.as_ref().ok()?.as_ref()).map_or(0, |tail| tail.lsn);
        last > taken.survey.last.max(end)
    };
    is_missing.then(|| (node, Halt::entries(last)))
}

/// Checks that no entry would be lost that etcd has, or that a node has said to have; or that the operator names the
/// cluster. If one group's is, those of the others may have the same entries as their folders, and no more.
pub(super) fn may_replace(
    name: &str,
    groups: &[(&FolderCandidate, Standing)],
    target: &AdoptTarget,
    format: &ClusterFormat,
    replace: Option<&str>,
) -> Result<(), StartError> {
    let Some(found) = &target.format else { return Ok(()) };
    let id = hex::text(&found.cluster);
    match replace {
        Some(named) if named == id => return Ok(()),
        Some(named) => {
            return Err(StartError::new(format!(
                "--replace names the cluster {named:?}, but etcd has {id}"
            )));
        }
        None => {}
    }
    // The same name on the same etcd, but perhaps another database that is in use.
    if found.cluster != format.cluster {
        return Err(StartError::new(format!(
            "etcd has another cluster of the name {name:?}: {target}. Choose another cluster-name; or add --replace \
             {id} to delete that cluster permanently"
        )));
    }
    let is_complete = |(_, standing): &(_, Standing)| matches!(standing, Standing::Complete(_));
    let nothing_lost = groups.iter().all(is_complete);
    groups.iter().try_for_each(|(taken, standing)| {
        let why = match missing(taken, target, found) {
            Some((node, entries)) => Some(format!(
                "{} ends with entry {}, but node {node} reported that it has {entries}: name its directory as well, \
                 with --from. If it is lost, add --replace {id}",
                taken.path().display(),
                taken.survey.last
            )),
            None => loss(taken, *standing, nothing_lost, &id),
        };
        why.map_or(Ok(()), |why| Err(StartError::new(why)))
    })
}

/// Returns why etcd's log must not be replaced by a folder, if it has more, or may have.
fn loss(
    taken: &FolderCandidate,
    standing: Standing,
    nothing_lost: bool,
    id: &str,
) -> Option<String> {
    let (path, own) = (taken.path().display(), taken.survey.last);
    Some(match standing {
        Standing::Complete(last) if nothing_lost => format!(
            "etcd has all entries of {path}, and more up to entry {last}: nothing is lost, so start the nodes. To \
             delete the entries after {own} permanently, add --replace {id}"
        ),
        Standing::Complete(last) if last > own => format!(
            "etcd has lost entries of other groups, but it has all entries of {path}, and more up to entry {last}: \
             first start the nodes of this group until their directories have these, too. To delete the entries \
             after {own} permanently, add --replace {id}"
        ),
        Standing::Fork(last) => format!(
            "etcd has entries that {path} lacks: its log, which ends with entry {last}, has a different history, as \
             when etcd was restored and then written to. These changes may have been acknowledged to clients. To \
             delete them permanently, add --replace {id}"
        ),
        Standing::Unknown(last) if last < own => format!(
            "etcd's log ends with entry {last} and {path} with entry {own}, but its entries up to {last} cannot be \
             compared with etcd's, because they are in its snapshot only. If no node has written to etcd since it \
             was restored, add --replace {id}"
        ),
        Standing::Unknown(last) => format!(
            "etcd's log ends with entry {last} and {path} with entry {own}; etcd no longer has the batches that \
             would show whether it lost an entry of this directory. Start the node, which then copies the data of \
             another one. If etcd's log is wrong, add --replace {id} to delete it permanently"
        ),
        _ => return None,
    })
}
