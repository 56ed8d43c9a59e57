//! The folders of which one of each group is adopted.

use super::compare::{Relation, relation};
use super::survey::Survey;
use crate::membership::error::StartError;
use crate::membership::identity::Belonging;
use crate::peer::has_fetched;
use hedgerow_db_engine::log::disk::{Disk as _, SystemDisk};
use hedgerow_db_engine::log::folder::Folder;
use hedgerow_db_engine::log::{LOG, OpenError};
use hedgerow_db_engine::snapshot;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder that nobody else uses, and its contents.
pub(crate) struct FolderCandidate {
    pub(crate) folder: Arc<Folder>,
    pub(crate) survey: Survey,
}

/// The folders of a group, and which one has most.
pub(crate) struct FolderCandidates {
    /// The one with the latest entry.
    pub(crate) taken: FolderCandidate,
    /// The others, and how they are related to it.
    pub(crate) others: Vec<(FolderCandidate, Relation)>,
}

impl FolderCandidate {
    /// Opens a folder and reads all of it.
    fn open(path: &Path) -> Result<Self, StartError> {
        let folder = Folder::claim(path).map_err(|why| match why {
            OpenError::InUse(_) => StartError::new(format!("{why}: stop its node first")),
            why => why.into(),
        })?;
        // On its start the node would replace the entries that were compared here.
        if has_fetched(&folder) {
            return Err(StartError::new(format!(
                "{} has data fetched from another node but not installed yet: start its node once, which installs \
                 it before connecting to etcd, and stop it again",
                path.display()
            )));
        }
        let survey = Survey::of(&folder)?;
        Ok(Self { folder, survey })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the number of the group that the folder belongs to.
    pub(crate) fn group(&self) -> u32 {
        self.survey.belonging.as_ref().map_or(0, Belonging::group)
    }
}

impl FolderCandidates {
    /// Opens folders, reads all of them, and compares those of each group. Returns the groups by their numbers.
    ///
    /// # Errors
    /// If one cannot be read, they do not belong together, none has an entry, or two of a group have different entries.
    pub(crate) fn open(paths: &[PathBuf], name: &str) -> Result<Vec<Self>, StartError> {
        let mut known = Vec::new();
        let mut all = Vec::new();
        for path in paths {
            // A folder that is named twice is not in use by somebody else.
            let real = path.canonicalize().unwrap_or_else(|_| path.clone());
            if has_entries(path)? && !known.contains(&real) {
                all.push(FolderCandidate::open(path)?);
                known.push(real);
            }
        }
        check_names(&all, name)?;
        check_clusters(&all)?;
        let mut groups: BTreeMap<u32, Vec<FolderCandidate>> = BTreeMap::new();
        for candidate in all {
            groups.entry(candidate.group()).or_default().push(candidate);
        }
        let compared = groups.into_values().map(Self::of_group).filter_map(Result::transpose);
        let compared = compared.collect::<Result<Vec<_>, _>>()?;
        if compared.is_empty() {
            return Err(StartError::new(
                "none of the directories has an entry: name a node's directory with --dir, or several with --from",
            ));
        }
        Ok(compared)
    }

    /// Compares the folders of a group. Nothing if none of them has an entry.
    fn of_group(mut all: Vec<FolderCandidate>) -> Result<Option<Self>, StartError> {
        // Of several with the same last entry, the one that was named first.
        let most = all.iter().map(|candidate| candidate.survey.last).max().unwrap_or(0);
        let place = all.iter().position(|one| one.survey.last == most).filter(|_| most > 0);
        let Some(taken) = place.map(|place| all.remove(place)) else { return Ok(None) };
        let others = all.into_iter().map(|other| {
            let relation = relation((&taken.folder, &taken.survey), &other.survey)?;
            Ok((other, relation))
        });
        let others = others.collect::<Result<Vec<_>, StartError>>()?;
        // Nobody but the operator can tell which of two histories to keep.
        if let Some((other, _)) = others.iter().find(|(_, relation)| *relation == Relation::Fork) {
            return Err(StartError::new(format!(
                "{} and {} have different entries: {} ends with entry {}, {} with entry {}. Name only the \
                 directories whose entries you want to keep; the other nodes refuse to start until their \
                 directories are empty",
                taken.path().display(),
                other.path().display(),
                taken.path().display(),
                taken.survey.last,
                other.path().display(),
                other.survey.last
            )));
        }
        Ok(Some(Self { taken, others }))
    }

    /// Returns the number of the group.
    pub(crate) fn group(&self) -> u32 {
        self.taken.group()
    }

    /// All folders, the one that is taken first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &FolderCandidate> {
        std::iter::once(&self.taken).chain(self.others.iter().map(|(other, _)| other))
    }
}

/// Whether a folder has a log or a snapshot. One without is left as it is: even the file `lock` would be a change.
fn has_entries(path: &Path) -> Result<bool, StartError> {
    let names = SystemDisk.list(path).map_err(|why| match why.kind() {
        ErrorKind::NotFound => StartError::new(format!("there is no directory {}", path.display())),
        _ => OpenError::Io(path.into(), why).into(),
    })?;
    Ok(names.iter().any(|name| name.starts_with(LOG) || name.starts_with(snapshot::NAME)))
}

/// Checks that no folder is of a cluster of another name.
fn check_names(all: &[FolderCandidate], name: &str) -> Result<(), StartError> {
    for candidate in all {
        if let Some(belonging) = &candidate.survey.belonging
            && belonging.name() != name
        {
            return Err(StartError::new(format!(
                "{} belongs to the cluster {:?}, but cluster-name is {name:?}",
                candidate.path().display(),
                belonging.name()
            )));
        }
    }
    Ok(())
}

/// Checks that all folders with data are of one cluster.
fn check_clusters(all: &[FolderCandidate]) -> Result<(), StartError> {
    let mut with_data = all.iter().filter(|one| one.survey.last > 0);
    let Some(first) = with_data.next() else { return Ok(()) };
    let id = |one: &FolderCandidate| one.survey.belonging.as_ref().map(Belonging::cluster);
    let groups = |one: &FolderCandidate| one.survey.belonging.as_ref().map(Belonging::groups);
    for other in with_data {
        // Two databases without an id cannot be known to be the same.
        if id(other) != id(first) || id(other).is_none() {
            return Err(StartError::new(format!(
                "{} and {} hold data of different clusters or standalone databases: name only one of them",
                first.path().display(),
                other.path().display()
            )));
        }
        if groups(other) != groups(first) {
            return Err(StartError::new(format!(
                "{} and {} disagree about the number of groups with which the cluster was created: restore the file \
                 `cluster` of one of them",
                first.path().display(),
                other.path().display()
            )));
        }
    }
    Ok(())
}
