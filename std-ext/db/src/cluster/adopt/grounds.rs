//! Whether folders may be adopted: the entries that would be lost in etcd, and the cluster that it will have.

use super::candidates::{Candidate, Candidates};
use super::target::{Standing, Target};
use crate::clock::TimeSource;
use crate::cluster::error::StartError;
use crate::cluster::hex;
use crate::cluster::identity::{Belonging, Format};

/// Returns the cluster as it will be. A folder without a cluster makes a new one, of one group; `asked` are the numbers
/// of the group and of all groups in the settings.
pub(super) fn next_incarnation(
    asked: (u32, u32),
    groups: &[Candidates],
    target: &Target,
) -> Result<Format, StartError> {
    let now = TimeSource::System.now();
    let taken = groups.iter().map(|group| &group.taken).find_map(|taken| {
        let belonging = taken.survey.belonging.as_ref()?;
        Some((taken, belonging))
    });
    let Some((taken, belonging)) = taken else {
        if asked != (0, 1) {
            return Err(StartError::new(
                "a database on one machine becomes a cluster of one group: leave out cluster-group and cluster-groups",
            ));
        }
        return Format::new(now, 1);
    };
    let cluster = belonging.cluster().ok_or_else(|| {
        StartError::new(format!(
            "the file `cluster` in {} has no id: restore the directory",
            taken.path().display()
        ))
    })?;
    let in_etcd = target.format.as_ref().filter(|format| format.cluster == cluster);
    let all = groups.iter().flat_map(Candidates::all);
    let known = all.filter_map(|one| one.survey.belonging.as_ref());
    let last = known
        .map(Belonging::incarnation)
        .chain(in_etcd.map(|format| format.incarnation))
        .max()
        .unwrap_or(0);
    let incarnation = last.checked_add(1).ok_or_else(|| {
        StartError::new("the incarnation of the cluster is the largest number there is")
    })?;
    Ok(Format { cluster, incarnation, ..Format::new(now, belonging.groups())? })
}

/// Checks that the logs in etcd are older than the folders, or of another history; or that the operator names the
/// cluster. If one group's is, those of the others may have the same entries as their folders, and no more.
pub(super) fn may_replace(
    name: &str,
    groups: &[(&Candidate, Standing)],
    target: &Target,
    format: &Format,
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
    if found.cluster != format.cluster {
        return Err(StartError::new(format!(
            "etcd has another cluster of the name {name:?}: {target}. Choose another cluster-name; or add --replace \
             {id} to delete that cluster for good"
        )));
    }
    let is_complete = |(_, standing): &(_, Standing)| matches!(standing, Standing::Complete(_));
    let nothing_lost = groups.iter().all(is_complete);
    groups.iter().try_for_each(|(taken, standing)| {
        let (path, own) = (taken.path().display(), taken.survey.last);
        match *standing {
            Standing::Complete(last) if nothing_lost => Err(StartError::new(format!(
                "etcd has all entries of {path}, and goes on to entry {last}: nothing is lost, so start the nodes. To \
                 delete the entries behind {own} for good, add --replace {id}"
            ))),
            Standing::Complete(last) if last > own => Err(StartError::new(format!(
                "etcd has lost entries of other groups, but it has all entries of {path}, and goes on to entry {last}: \
                 start the nodes of this group until their directories have them, too. To delete the entries behind \
                 {own} for good, add --replace {id}"
            ))),
            Standing::Unknown(last) => Err(StartError::new(format!(
                "etcd goes on to entry {last}, and {path} to entry {own}; etcd no longer has the batches that would \
                 show whether it lost an entry of this directory. Start the node, which copies the data of another \
                 one. If etcd's log is wrong, add --replace {id} to delete it for good"
            ))),
            _ => Ok(()),
        }
    })
}
