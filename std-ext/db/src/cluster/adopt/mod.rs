//! `hedgerow-db cluster adopt`: fills etcd from the folder of a node, because etcd was lost, emptied, or restored from
//! an older backup; or makes the folder of a database on one machine the first member of a cluster.
//!
//! 1. `candidates`: the folders are read wholly and compared. The one with the latest entry is taken.
//! 2. `target`: etcd is read, and no node may be registered there.
//! 3. `seed`: etcd gets the end of that folder's log (`window`) and a new *incarnation*.
//!
//! A member that has the same entries, or fewer, finds its last batch in etcd, compares it, and follows on. One with
//! other entries stops with a sentence, and so does one whose batches etcd does not have [C-13]. Nothing of a folder is
//! ever thrown away.
//!
//! If the last batch cannot be made again, because it is in the snapshot only, or the folder is of a database on one
//! machine, the folder's log gets one more entry. It begins a batch of a new history, so only empty nodes can join.

mod candidates;
mod compare;
mod seed;
mod survey;
mod target;
#[cfg(test)]
mod tests;
mod window;

use super::core::{Entry, Epoch, Mark, Members, Tail};
use super::error::StartError;
use super::etcd::{Client, Settings};
use super::hex;
use super::identity::{self, Belonging, Format};
use super::keys::Keys;
use super::meet;
use super::peer::Spool;
use super::relay::position::logged_mark;
use super::resync::MOST_SPOOLED;
use crate::clock::{TimeSource, milliseconds};
use crate::config::ClusterSettings;
use crate::log::{Log as _, Lsn, change};
use candidates::{Candidate, Candidates};
use compare::Relation;
use seed::Seed;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
pub(super) use survey::Survey;
use survey::{Logged, force_log, open_log, read_log};
use target::{Standing, Target, check_that_no_node_runs};
use tokio::runtime::Runtime;
use window::{Builder, Window};

/// How long a call to etcd may take: deleting a large log takes a while.
const CALL: Duration = Duration::from_secs(10);

/// An adoption that was prepared: nothing has changed yet.
pub struct Plan {
    settings: ClusterSettings,
    candidates: Candidates,
    target: Target,
    standing: Standing,
    /// The cluster as it will be.
    format: Format,
    /// The end of the folder's log; `None` if it gets another entry.
    window: Option<Window>,
}

/// The outcome of an adoption.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Adopted {
    /// The folder whose entries etcd has now.
    pub folder: PathBuf,
    /// The id of the cluster: 32 hexadecimal digits.
    pub cluster: String,
    /// The new incarnation of its log.
    pub incarnation: u64,
    /// The last entry.
    pub lsn: Lsn,
    /// Whether only nodes with empty folders can join.
    pub alone: bool,
}

impl Plan {
    /// Reads folders and etcd. `replace` is the id of the cluster in etcd that may be replaced although it is another
    /// one, or has later entries.
    ///
    /// # Errors
    /// A sentence that says why the folders cannot be adopted, and what to do. Nothing was changed then.
    pub fn prepare(
        settings: &ClusterSettings,
        folders: &[PathBuf],
        replace: Option<&str>,
    ) -> Result<Self, StartError> {
        let candidates = Candidates::open(folders, &settings.name)?;
        refuse_groups(settings, &candidates, None)?;
        let taken = &candidates.taken;
        let (target, standing) = runtime()?.block_on(async {
            let (client, keys) = connect(settings).await?;
            let target = Target::read(&client, &keys).await?;
            let standing = target.standing(&client, &keys, &taken.survey).await?;
            Ok::<_, StartError>((target, standing))
        })?;
        refuse_groups(settings, &candidates, Some(&target))?;
        let format = next_incarnation(&candidates, &target)?;
        may_replace(&settings.name, taken, (&target, standing), &format, replace)?;
        let mut builder = Builder::default();
        read_log(&taken.folder, &mut |logged| builder.take(&logged))?;
        let window = taken.survey.belonging.as_ref().and_then(|_| builder.finish());
        let settings = settings.clone();
        Ok(Self { settings, candidates, target, standing, format, window })
    }

    /// Says what will be done, in whole lines.
    pub fn text(&self) -> String {
        let (Self { candidates, format, standing, .. }, mut text) = (self, String::new());
        let mut line = |line: String| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{line}");
        };
        let taken = &candidates.taken;
        line(format!("{}: {}; it is taken", taken.path().display(), contents(&taken.survey)));
        for (other, relation) in &candidates.others {
            let behind = taken.survey.last - other.survey.last;
            let how = match (relation, behind) {
                (Relation::Prefix, 0) => "the same entries".to_owned(),
                (Relation::Prefix, behind) => {
                    format!("the same entries, but for the last {behind}")
                }
                _ => "it cannot be compared; its node may have to begin with an empty directory"
                    .to_owned(),
            };
            line(format!("{}: {}; {how}", other.path().display(), contents(&other.survey)));
        }
        line(format!("etcd: {}", self.target));
        let lost = match *standing {
            Standing::Fork(last) | Standing::Unknown(last) => format!(
                "The log in etcd is deleted. Its entries that the directory lacks, up to {last}, are lost."
            ),
            Standing::Behind(last) => {
                format!("The log in etcd, which ends with entry {last}, is deleted.")
            }
            Standing::Complete(last) => format!(
                "The log in etcd is deleted. Its entries from {} to {last} are lost.",
                taken.survey.last + 1
            ),
            Standing::Damaged => "The log in etcd, which cannot be read, is deleted.".to_owned(),
            Standing::Empty => String::new(),
        };
        if !lost.is_empty() {
            line(lost);
        }
        line(format!(
            "etcd gets incarnation {} of the cluster {:?} with the id {}, and its log goes on behind entry {}.",
            format.incarnation,
            self.settings.name,
            hex::text(&format.cluster),
            taken.survey.last
        ));
        if self.window.is_none() {
            line(
                "This directory must be that of the first node. The directories of all other nodes must be empty."
                    .to_owned(),
            );
        }
        text
    }

    /// Does it.
    ///
    /// # Errors
    /// If a node is registered, or etcd or the folder cannot be written. To do all of it again completes the work.
    pub fn carry_out(self) -> Result<Adopted, StartError> {
        let Self { settings, candidates, target, format, window, .. } = self;
        let adopter = u64::from_le_bytes(identity::random()?);
        runtime()?.block_on(async {
            let (client, keys) = connect(&settings).await?;
            check_that_no_node_runs(&client, &keys).await?;
            let now = TimeSource::System.now();
            let alone = window.is_none();
            let window = match window {
                Some(window) => {
                    // Nodes trust etcd that this folder has these entries, also after a loss of power.
                    force_log(&candidates.taken.folder)?;
                    window
                }
                None => begin_history(&candidates.taken, &settings.name, &format, now)?,
            };
            let (end, path) = (window.end, candidates.taken.path().to_owned());
            let tail = Tail {
                epoch: end.epoch,
                node: None,
                nonce: 0,
                seq: end.seq,
                lsn: end.lsn,
                time: now.max(end.time),
                beat: 0,
                lease: super::core::tail::MOST_LEASE.min(milliseconds(settings.lease)).max(1),
                chain: end.chain,
            };
            let members = members(&candidates, now)?;
            let adopted = Adopted {
                folder: path,
                cluster: hex::text(&format.cluster),
                incarnation: format.incarnation,
                lsn: end.lsn,
                alone,
            };
            let seed = Seed { format, window, tail, members };
            seed.put(&client, &keys, target.text, adopter).await?;
            Ok(adopted)
        })
    }
}

/// Makes a runtime for the calls of a command.
///
/// # Errors
/// If the system has no room for it.
pub(super) fn runtime() -> Result<Runtime, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|why| StartError::new(format!("cannot start a runtime: {why}")))
}

/// Connects with etcd, and checks its version.
///
/// # Errors
/// If the settings are wrong, etcd does not answer, or its version is too old.
pub(super) async fn connect(settings: &ClusterSettings) -> Result<(Client, Keys), StartError> {
    let keys = Keys::new(&settings.name, settings.group)
        .map_err(|why| StartError::new(why.to_string()))?;
    let settings = Settings { call_timeout: CALL, ..meet::etcd_settings(settings) };
    let client = Client::connect(&settings)?;
    client.check_version().await?;
    Ok((client, keys))
}

/// Returns what a folder has, in words.
fn contents(survey: &Survey) -> String {
    let Some(belonging) = &survey.belonging else {
        return format!("a database on one machine, up to entry {}", survey.last);
    };
    format!("incarnation {}, up to entry {}", belonging.incarnation(), survey.last)
}

/// Returns the cluster as it will be. A folder without a cluster makes a new one.
fn next_incarnation(candidates: &Candidates, target: &Target) -> Result<Format, StartError> {
    let now = TimeSource::System.now();
    let taken = &candidates.taken;
    let Some(belonging) = &taken.survey.belonging else { return Format::new(now, 1) };
    let cluster = belonging.cluster().ok_or_else(|| {
        StartError::new(format!(
            "the file `cluster` in {} has no id: restore the directory",
            taken.path().display()
        ))
    })?;
    let in_etcd = target.format.as_ref().filter(|format| format.cluster == cluster);
    let known = candidates.all().filter_map(|one| one.survey.belonging.as_ref());
    let last = known
        .map(Belonging::incarnation)
        .chain(in_etcd.map(|format| format.incarnation))
        .max()
        .unwrap_or(0);
    let incarnation = last.checked_add(1).ok_or_else(|| {
        StartError::new("the incarnation of the cluster is the largest number there is")
    })?;
    Ok(Format { cluster, incarnation, made: now, groups: 1, adopter: None })
}

/// Refuses clusters of several groups: the log in etcd of one group says nothing about the others.
fn refuse_groups(
    settings: &ClusterSettings,
    candidates: &Candidates,
    target: Option<&Target>,
) -> Result<(), StartError> {
    let of_several = |one: &&Candidate| {
        let own = one.survey.belonging.as_ref();
        own.is_some_and(|own| (own.group(), own.groups()) != (0, 1))
            || one.survey.slots != crate::SlotSet::all()
    };
    if let Some(one) = candidates.all().find(of_several) {
        return Err(StartError::new(format!(
            "{} belongs to a cluster of several groups, and adopt knows only clusters of one group. Keep the \
             directories of all nodes; `hedgerow-db --dir` opens a copy of one without a cluster",
            one.path().display()
        )));
    }
    if target.and_then(|target| target.format.as_ref()).is_some_and(|format| format.groups != 1) {
        return Err(StartError::new(format!(
            "the cluster {:?} in etcd has several groups, and adopt knows only clusters of one group: choose another \
             cluster-name",
            settings.name
        )));
    }
    if (settings.group, settings.groups) != (0, 1) {
        return Err(StartError::new(
            "adopt makes a cluster of one group: leave out cluster-group and cluster-groups",
        ));
    }
    Ok(())
}

/// Checks that the log in etcd is older than the folder, or of another history; or that the operator names it.
fn may_replace(
    name: &str,
    taken: &Candidate,
    (target, standing): (&Target, Standing),
    format: &Format,
    replace: Option<&str>,
) -> Result<(), StartError> {
    let Some(found) = &target.format else { return Ok(()) };
    let (id, path) = (hex::text(&found.cluster), taken.path().display());
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
    match standing {
        Standing::Complete(last) => Err(StartError::new(format!(
            "etcd has all entries of {path}, and goes on to entry {last}: nothing is lost, so start the nodes. To \
             delete the entries behind {} for good, add --replace {id}",
            taken.survey.last
        ))),
        Standing::Unknown(last) => Err(StartError::new(format!(
            "etcd goes on to entry {last}, and {path} to entry {}; etcd no longer has the batches that would show \
             whether it lost an entry of this directory. Start the node, which copies the data of another one. If \
             etcd's log is wrong, add --replace {id} to delete it for good",
            taken.survey.last
        ))),
        _ => Ok(()),
    }
}

/// Returns the members that are known. Others add themselves when they start.
fn members(candidates: &Candidates, now: u64) -> Result<Members, StartError> {
    // A folder that was adopted without a cluster has got its name meanwhile.
    let own = identity::node_id(&candidates.taken.folder)?;
    let known = candidates.others.iter().filter_map(|(other, _)| other.survey.node);
    Ok(known.fold(Members::default().with(own, now), |members, node| members.with(node, now)))
}

/// Gives the folder's log one more entry, which begins a batch of a new history. Returns that batch.
fn begin_history(
    taken: &Candidate,
    name: &str,
    format: &Format,
    now: u64,
) -> Result<Window, StartError> {
    let Candidate { folder, survey } = taken;
    let node = identity::node_id(folder)?;
    // First, so that a folder with a mark always belongs to a cluster.
    Belonging::new(name, format, 0).write(folder)?;
    let (seq, epoch): (u64, Epoch) = survey.mark.map_or((0, 0), |mark| (mark.seq, mark.epoch));
    // The number before it stays unused: nobody can read on from an earlier batch.
    let mark = Mark {
        seq: seq + 2,
        epoch: epoch + 1,
        chain: super::core::Chain(identity::random()?),
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
    let mut builder = Builder::default();
    builder.take(&Logged { mark: Some(mark), entry });
    builder.finish().ok_or_else(|| StartError::new("the new batch cannot be made"))
}

/// Appends an entry to the folder's log, and forces it to the disk.
fn append(path: &Path, taken: &Candidate, entry: &Entry, changes: &[u8]) -> Result<(), StartError> {
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
