//! `hedgerow-db cluster adopt`: fills etcd from the folders of nodes, one of each group, because etcd was lost,
//! emptied, or restored from an older backup; or makes the folder of a database on one machine the first member of a
//! cluster.
//!
//! 1. `candidates`: the folders are read wholly, and those of each group are compared. The one with the latest entry is
//!    taken.
//! 2. `ownership`: each slot must have exactly one group, by the logs in the folders, or by the operator's decision.
//! 3. `target`, `grounds`: etcd is read, and no node may be registered there.
//! 4. `seed`: etcd gets the end of each of these folders' logs (`window`) and a new *incarnation*.
//!
//! A member that has the same entries, or fewer, finds its last batch in etcd, compares it, and follows on. One with
//! other entries stops with a sentence, and so does one whose batches etcd does not have [C-13]. Nothing of a folder is
//! ever thrown away: the coordinator's decisions about nodes are deleted, too, and a node with a folder of an earlier
//! incarnation follows none. So no node empties its folder by a decision about another log.
//!
//! If the last batch cannot be made again, because it is in the snapshot only, or the folder is of a database on one
//! machine, the folder's log gets one more entry (`history`). It begins a batch of a new history, so only empty nodes
//! can join.

mod candidates;
mod compare;
mod grounds;
mod history;
mod ownership;
mod seed;
mod survey;
mod target;
#[cfg(test)]
mod tests;
mod window;

use crate::etcd::{ClientSettings, EtcdClient};
use crate::membership::bootstrap;
use crate::membership::error::StartError;
use crate::membership::identity::{self, ClusterFormat};
use crate::membership::keys::GroupKeys;
use candidates::{FolderCandidate, FolderCandidates};
use compare::Relation;
use grounds::{may_replace, next_incarnation};
use hedgerow_db_engine::clock::{TimeSource, milliseconds};
use hedgerow_db_engine::log::Lsn;
use hedgerow_db_formats::slot_set::SlotSet;
use hedgerow_db_group::hex;
use hedgerow_db_group::{Members, Tail};
use hedgerow_db_redis::config::ClusterSettings;
use history::begin_history;
use ownership::FolderOwnership;
use seed::{GroupSeed, Seed};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;
pub(crate) use survey::Survey;
use survey::{force_log, read_log};
use target::{AdoptTarget, Standing, check_that_no_node_runs};
use tokio::runtime::Runtime;
use window::{Window, WindowBuilder};

/// How long a call to etcd may take: deleting a large log takes a while.
const CALL: Duration = Duration::from_secs(10);

/// An adoption that was prepared: nothing has changed yet.
pub struct AdoptPlan {
    settings: ClusterSettings,
    groups: Vec<GroupPlan>,
    target: AdoptTarget,
    /// The cluster as it will be.
    format: ClusterFormat,
}

/// The adoption of a group.
struct GroupPlan {
    candidates: FolderCandidates,
    standing: Standing,
    /// The end of the taken folder's log; `None` if it gets another entry.
    window: Option<Window>,
    ownership: FolderOwnership,
}

/// The choices of an operator.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// The id of the cluster in etcd that may be replaced although it is another one, or entries would be lost.
    pub replace: Option<String>,
    /// The groups of slots, also if the folders say another one.
    pub assign: Vec<(SlotSet, u32)>,
}

/// The outcome of an adoption.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdoptOutcome {
    /// The id of the cluster: 32 hexadecimal digits.
    pub cluster: String,
    /// The new incarnation of its log.
    pub incarnation: u64,
    /// The groups.
    pub groups: Vec<AdoptedGroup>,
}

/// The outcome of the adoption of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdoptedGroup {
    /// The group.
    pub group: u32,
    /// The folder whose entries etcd has now.
    pub folder: PathBuf,
    /// The last entry of that folder.
    pub lsn: Lsn,
    /// Whether only nodes with empty folders can join.
    pub alone: bool,
}

impl AdoptPlan {
    /// Reads folders and etcd.
    ///
    /// # Errors
    /// A sentence that says why the folders cannot be adopted, and what to do. Nothing was changed then.
    pub fn prepare(
        settings: &ClusterSettings,
        folders: &[PathBuf],
        choices: &Choices,
    ) -> Result<Self, StartError> {
        let all = FolderCandidates::open(folders, &settings.name)?;
        let owned = ownership::decide(&all, &choices.assign)?;
        let (target, standings) = runtime()?.block_on(async {
            let (client, keys) = connect(settings).await?;
            let target =
                AdoptTarget::read(&client, &keys, all.iter().map(FolderCandidates::group)).await?;
            let mut standings = Vec::new();
            for one in &all {
                let keys = keys.of_group(one.group());
                standings.push(target.standing(&client, &keys, &one.taken).await?);
            }
            Ok::<_, StartError>((target, standings))
        })?;
        let format = next_incarnation((settings.group, settings.groups), &all, &target)?;
        let standing = all.iter().map(|one| &one.taken).zip(standings.iter().copied());
        let standing: Vec<_> = standing.collect();
        may_replace(&settings.name, &standing, &target, &format, choices.replace.as_deref())?;
        let mut groups = Vec::new();
        for ((candidates, ownership), standing) in all.into_iter().zip(owned).zip(standings) {
            let (taken, mut builder) = (&candidates.taken, WindowBuilder::default());
            read_log(&taken.folder, &mut |logged| builder.take(&logged))?;
            let window = taken.survey.belonging.as_ref().and_then(|_| builder.finish());
            groups.push(GroupPlan { candidates, standing, window, ownership });
        }
        Ok(Self { settings: settings.clone(), groups, target, format })
    }

    /// Says what will be done, in whole lines.
    pub fn text(&self) -> String {
        let (Self { groups, format, target, settings }, mut text) = (self, String::new());
        let several = groups.len() > 1;
        for group in groups {
            text += &group.found(several);
        }
        // Writing to a string does not fail.
        let _ = writeln!(text, "etcd: {target}");
        for group in groups {
            text += &group.lost(several);
        }
        let ends = groups.iter().map(|group| group.end().to_string());
        let _ = writeln!(
            text,
            "etcd will get incarnation {} of the cluster {:?}, id {}; its log will continue after entry {}.",
            format.incarnation,
            settings.name,
            hex::text(&format.cluster),
            ends.collect::<Vec<_>>().join(" and "),
        );
        for group in groups {
            text += &group.changes(several);
        }
        text
    }

    /// Does it.
    ///
    /// # Errors
    /// If a node is registered, or etcd or the folders cannot be written. To do all of it again completes the work.
    pub fn carry_out(self) -> Result<AdoptOutcome, StartError> {
        let Self { settings, groups, target, format } = self;
        let adopter = u64::from_le_bytes(identity::random()?);
        let slots = groups.iter().map(|one| (one.candidates.group(), one.ownership.slots.clone()));
        let slots = ownership::map(format.groups, slots);
        runtime()?.block_on(async {
            let (client, keys) = connect(&settings).await?;
            // Not when the plan was made: a node may have started while the operator was reading it.
            check_that_no_node_runs(&client, &keys).await?;
            // No earlier than any entry, also if this machine's clock is behind.
            let latest = groups.iter().map(|group| group.candidates.taken.survey.time).max();
            let now = TimeSource::System.now().max(latest.unwrap_or(0));
            let (mut seeds, mut adopted) = (Vec::new(), Vec::new());
            for group in groups {
                let (seed, outcome) = group.seed(&settings, &format, now)?;
                seeds.push(seed);
                adopted.push(outcome);
            }
            let cluster = hex::text(&format.cluster);
            let adopted =
                AdoptOutcome { cluster, incarnation: format.incarnation, groups: adopted };
            let seed = Seed { format, groups: seeds, slots };
            seed.put(&client, &keys, target.text, adopter).await?;
            Ok(adopted)
        })
    }
}

impl GroupPlan {
    /// Returns the last entry that is kept.
    fn end(&self) -> Lsn {
        self.candidates.taken.survey.last
    }

    /// Says which folders there are.
    fn found(&self, several: bool) -> String {
        let FolderCandidates { taken, others } = &self.candidates;
        let group = |one: &FolderCandidate| {
            let contents = contents(&one.survey);
            if several { format!("group {}, {contents}", one.group()) } else { contents }
        };
        let mut text = format!("{}: {}; selected\n", taken.path().display(), group(taken));
        for (other, relation) in others {
            let behind = taken.survey.last - other.survey.last;
            let how = match (relation, behind) {
                (Relation::Prefix, 0) => "the same entries".to_owned(),
                (Relation::Prefix, behind) => {
                    format!("the same entries, except the last {behind}")
                }
                _ => "cannot be compared; its node may have to start with an empty directory"
                    .to_owned(),
            };
            // Writing to a string does not fail.
            let _ = writeln!(text, "{}: {}; {how}", other.path().display(), group(other));
        }
        text
    }

    /// Says what is deleted in etcd.
    fn lost(&self, several: bool) -> String {
        let taken = &self.candidates.taken;
        let lost = match self.standing {
            Standing::Fork(last) | Standing::Unknown(last) => format!(
                "The log in etcd is deleted. Its entries that the directory lacks, up to {last}, are lost."
            ),
            Standing::Behind(last) => {
                format!("The log in etcd, which ends with entry {last}, is deleted.")
            }
            Standing::Complete(last) if last == taken.survey.last => {
                format!("The log in etcd, which also ends with entry {last}, is deleted.")
            }
            Standing::Complete(last) => format!(
                "The log in etcd is deleted. Its entries from {} to {last} are lost.",
                taken.survey.last + 1
            ),
            Standing::Damaged => "The log in etcd, which cannot be read, is deleted.".to_owned(),
            Standing::Empty => return String::new(),
        };
        self.of(several) + &lost + "\n"
    }

    /// Tells a node of the group what it needs to serve.
    fn changes(&self, several: bool) -> String {
        let mut text = String::new();
        for (slots, verb) in [(&self.ownership.gains, "gets"), (&self.ownership.loses, "loses")] {
            if !slots.is_empty() {
                let ranges =
                    slots.ranges().into_iter().map(|(first, last)| format!("{first}-{last}"));
                let ranges = ranges.collect::<Vec<_>>().join(",");
                let _ = writeln!(
                    text,
                    "Group {} {verb} the slots {ranges}, which differs from its directory.",
                    self.candidates.group()
                );
            }
        }
        if self.window.is_none() {
            text += &self.of(several);
            text += "This directory must be that of the first node. ";
            text += "The directories of all other nodes must be empty.\n";
        }
        text
    }

    fn of(&self, several: bool) -> String {
        if several { format!("Group {}: ", self.candidates.group()) } else { String::new() }
    }

    /// Prepares the folder, and returns what etcd gets.
    fn seed(
        self,
        settings: &ClusterSettings,
        format: &ClusterFormat,
        now: u64,
    ) -> Result<(GroupSeed, AdoptedGroup), StartError> {
        let Self { candidates, window, ownership, .. } = self;
        let (taken, group, alone) = (&candidates.taken, candidates.group(), window.is_none());
        let mut window = match window {
            Some(window) => {
                // Nodes trust etcd that this folder has these entries, also after a loss of power.
                force_log(&taken.folder)?;
                window
            }
            None => begin_history(taken, &settings.name, format, now)?,
        };
        let adopted =
            AdoptedGroup { group, folder: taken.path().to_owned(), lsn: window.end.lsn, alone };
        if let Some(changes) = ownership.changes() {
            window.add(now, changes);
        }
        let end = window.end;
        let tail = Tail {
            epoch: end.epoch,
            node: None,
            nonce: 0,
            seq: end.seq,
            lsn: end.lsn,
            // The first primary must not begin earlier than entries that expired keys [C-1].
            time: now.max(end.time),
            beat: 0,
            lease: hedgerow_db_group::tail::MOST_LEASE.min(milliseconds(settings.lease)).max(1),
            chain: end.chain,
        };
        let members = members(&candidates, now)?;
        Ok((GroupSeed { group, window, tail, members }, adopted))
    }
}

/// Makes a runtime for the calls of a command.
///
/// # Errors
/// If the system has no room for it.
pub(crate) fn runtime() -> Result<Runtime, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|why| StartError::new(format!("cannot start a runtime: {why}")))
}

/// Connects with etcd, and checks its version.
///
/// # Errors
/// If the settings are wrong, etcd does not answer, or its version is too old.
pub(crate) async fn connect(
    settings: &ClusterSettings,
) -> Result<(EtcdClient, GroupKeys), StartError> {
    let keys = GroupKeys::new(&settings.name, settings.group)
        .map_err(|why| StartError::new(why.to_string()))?;
    let settings = ClientSettings { call_timeout: CALL, ..bootstrap::etcd_settings(settings) };
    let client = EtcdClient::connect(&settings)?;
    client.check_version().await?;
    Ok((client, keys))
}

/// Returns what a folder has, in words.
fn contents(survey: &Survey) -> String {
    let Some(belonging) = &survey.belonging else {
        return format!("a standalone database, up to entry {}", survey.last);
    };
    format!("incarnation {}, up to entry {}", belonging.incarnation(), survey.last)
}

/// Returns the members that are known. Others add themselves when they start.
fn members(candidates: &FolderCandidates, now: u64) -> Result<Members, StartError> {
    // A folder that was adopted without a cluster has got its name meanwhile.
    let own = identity::node_id(&candidates.taken.folder)?;
    let known = candidates.others.iter().filter_map(|(other, _)| other.survey.node);
    Ok(known.fold(Members::default().with(own, now), |members, node| members.with(node, now)))
}
