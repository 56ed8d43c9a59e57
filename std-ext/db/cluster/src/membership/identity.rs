//! The identity of a node, and the cluster that its folder belongs to.
//!
//! Two small files in the folder say it:
//!
//! - `node-id`: the node's name, 40 hexadecimal digits, made with the folder.
//! - `cluster`: the cluster and the group that the folder's data belong to, as JSON. Written when the node first meets
//!   its cluster.
//!
//! The key `format` in etcd says which cluster etcd has. The first node of all makes it, and
//! `hedgerow-db cluster adopt` renews it.

use crate::membership::error::StartError;
use hedgerow_db_engine::log::folder::Folder;
use hedgerow_db_formats::slot_set::MOST_GROUPS;
use hedgerow_db_group::NodeId;
use hedgerow_db_group::hex;
use hedgerow_db_redis::config::Formats;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

const NODE_ID: &str = "node-id";
pub(crate) const CLUSTER: &str = "cluster";
/// The first format with several groups, whose logs have entries that assign slots. Programs that know only one group
/// refuse it.
pub(crate) const WITH_GROUPS: u32 = 2;
/// The longest file or value that is read.
const MOST_BYTES: u64 = 4096;

/// Returns random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], StartError> {
    let mut bytes = [0; N];
    let filled = getrandom::fill(&mut bytes);
    filled.map_err(|why| {
        StartError::new(format!("the system's random number generator failed: {why}"))
    })?;
    Ok(bytes)
}

/// Reads the node's name from its folder, or makes one.
///
/// # Errors
/// If the file cannot be read or written, or holds something else.
pub(crate) fn node_id(folder: &Folder) -> Result<NodeId, StartError> {
    if let Some(id) = known_node_id(folder)? {
        return Ok(id);
    }
    let id = NodeId(random()?);
    let text = format!("{id}\n");
    let written = folder.replace(NODE_ID, text.as_bytes());
    written.map_err(|why| unreadable(&folder.at(NODE_ID), &why))?;
    Ok(id)
}

/// Reads the node's name from its folder, if it has one.
///
/// # Errors
/// If the file cannot be read, or holds something else.
pub(crate) fn known_node_id(folder: &Folder) -> Result<Option<NodeId>, StartError> {
    let path = folder.at(NODE_ID);
    let text = read_small(&path).map_err(|why| unreadable(&path, &why))?;
    let id = text.map(|text| {
        text.trim_end().parse().map_err(|_| {
            StartError::new(format!(
                "{} must hold 40 hexadecimal digits. If this node was never a member of a cluster, remove the file; \
                 otherwise restore the directory",
                path.display()
            ))
        })
    });
    id.transpose()
}

/// When a folder got its data, by the incarnation of the log that etcd has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// In this incarnation, or it has none yet.
    Current,
    /// In an earlier one: etcd was seeded anew since, perhaps without the folder's last entries.
    Earlier,
}

/// The cluster that some data belong to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Belonging {
    /// The name of the cluster.
    name: String,
    /// The id of the cluster: 32 hexadecimal digits.
    id: String,
    /// The incarnation of its log. It changes when a new etcd is seeded from a folder.
    incarnation: u64,
    /// The group of nodes that has the data.
    #[serde(default, skip_serializing_if = "is_first")]
    group: u32,
    /// The number of groups in `format`.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    groups: u32,
    /// The revision of etcd when the data began in an empty folder; 0 if that is not known. A key that changed
    /// before is about other data.
    #[serde(default, skip_serializing_if = "is_unknown")]
    since: u64,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_one(groups: &u32) -> bool {
    *groups == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_first(group: &u32) -> bool {
    *group == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_unknown(since: &u64) -> bool {
    *since == 0
}

impl Belonging {
    pub(crate) fn new(name: &str, format: &ClusterFormat, group: u32) -> Self {
        Self {
            name: name.to_owned(),
            id: hex::text(&format.cluster),
            incarnation: format.incarnation,
            group,
            groups: format.groups,
            since: 0,
        }
    }

    /// Returns the same, of data that begin at a revision of etcd.
    pub(crate) fn since(self, revision: u64) -> Self {
        Self { since: revision, ..self }
    }

    /// Returns whether a key that changed last at a revision of etcd says something about these data.
    pub(crate) fn is_before(&self, revision: u64) -> bool {
        self.since < revision
    }

    /// Returns the number of groups that the slots were divided among when the cluster was made.
    pub(crate) fn groups(&self) -> u32 {
        self.groups
    }

    /// Returns the number of the group.
    pub(crate) fn group(&self) -> u32 {
        self.group
    }

    /// Returns the name of the cluster.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the id of the cluster; `None` if the file was written by hand, and has none.
    pub(crate) fn cluster(&self) -> Option<[u8; 16]> {
        hex::parse(&self.id)
    }

    /// Returns the incarnation of the cluster's log.
    pub(crate) fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Reads the cluster that a folder belongs to, if it belongs to one.
    pub(crate) fn of(folder: &Folder) -> Result<Option<Self>, StartError> {
        let path = folder.at(CLUSTER);
        let Some(text) = read_small(&path).map_err(|why| unreadable(&path, &why))? else {
            return Ok(None);
        };
        serde_json::from_str(&text).map(Some).map_err(|why| {
            StartError::new(format!(
                "{} cannot be read ({why}): restore the directory, or choose an empty one with --dir and let the \
                 node fetch its data from the others",
                path.display()
            ))
        })
    }

    /// Writes the cluster that a folder belongs to.
    pub(crate) fn write(&self, folder: &Folder) -> Result<(), StartError> {
        let text = format!("{}\n", serde_json::to_string(self).unwrap_or_default());
        folder
            .replace(CLUSTER, text.as_bytes())
            .map_err(|why| unreadable(&folder.at(CLUSTER), &why))
    }

    /// Makes a folder without data belong to no cluster.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub(crate) fn remove(folder: &Folder) -> Result<(), StartError> {
        let (disk, path) = (folder.disk(), folder.at(CLUSTER));
        match disk.remove(&path) {
            Err(why) if why.kind() != ErrorKind::NotFound => Err(unreadable(&path, &why)),
            _ => disk.sync_folder(folder.path()).map_err(|why| unreadable(&path, &why)),
        }
    }

    /// Returns whether the data are of a later incarnation of the same group than etcd's.
    pub(crate) fn is_after(&self, etcd: &Self) -> bool {
        let group = |of: &Self| (of.id.clone(), of.name.clone(), of.group);
        group(self) == group(etcd) && self.incarnation > etcd.incarnation
    }

    /// Checks that a folder's data belong to the cluster that etcd has.
    ///
    /// # Errors
    /// A sentence that says how they differ, and what to do.
    pub(crate) fn check(&self, etcd: &Self) -> Result<Age, StartError> {
        // Only the folder knows when its data began.
        let etcd = &etcd.clone().since(self.since);
        if self == etcd {
            return Ok(Age::Current);
        }
        let same = (&self.id, &self.name) == (&etcd.id, &etcd.name);
        if same && self.group != etcd.group {
            return Err(StartError::new(format!(
                "this directory belongs to group {0} of the cluster {1:?}, and cluster-group is {2}: set cluster-group \
                 {0}; or choose an empty directory with --dir, and let the node fetch the data of group {2}",
                self.group, self.name, etcd.group
            )));
        }
        if same && self.incarnation < etcd.incarnation {
            return Ok(Age::Earlier);
        }
        Err(StartError::new(if same {
            format!(
                "this directory has incarnation {} of the cluster {:?}, but etcd has incarnation {}, an earlier \
                 one: etcd was restored from a backup. Keep this directory and those of all nodes, stop all nodes, \
                 and run `hedgerow-db cluster adopt` with all of their directories",
                self.incarnation, self.name, etcd.incarnation
            )
        } else {
            format!(
                "this directory belongs to the cluster {:?} with the id {}, but etcd has the cluster {:?} with the \
                 id {}. Check cluster-etcd, cluster-name and dir; if etcd was lost, fill a new one from this \
                 directory with `hedgerow-db cluster adopt`",
                self.name, self.id, etcd.name, etcd.id
            )
        }))
    }
}

/// The contents of the key `format`: the cluster that etcd has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClusterFormat {
    /// The id of the cluster, random.
    pub(crate) cluster: [u8; 16],
    /// The incarnation of the cluster's log.
    pub(crate) incarnation: u64,
    /// When it was made, in milliseconds since 1970.
    pub(crate) made: u64,
    /// How many groups the slots were divided among when the cluster was made.
    pub(crate) groups: u32,
    /// The number of the format, which programs must know that read the cluster's keys and batches. No node writes
    /// anything of a later one. `hedgerow-db cluster upgrade --finish` raises it.
    pub(crate) number: u32,
    /// While `hedgerow-db cluster adopt` fills etcd: a random number of that process. No node may use etcd then.
    pub(crate) adopter: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct IdentityJson {
    format: u32,
    made: u64,
    id: String,
    incarnation: u64,
    #[serde(default = "one")]
    groups: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    adopter: Option<u64>,
}

impl ClusterFormat {
    /// Makes a new cluster of this many groups, in the latest format.
    pub(crate) fn new(now: u64, groups: u32) -> Result<Self, StartError> {
        let number = Formats::default().highest;
        Ok(Self { cluster: random()?, incarnation: 1, made: now, groups, number, adopter: None })
    }

    /// Returns the number of the format of the value of the key, if it is one.
    pub(crate) fn number_of(bytes: &[u8]) -> Option<u32> {
        // Only the number, because a later format may have other fields.
        #[derive(Deserialize)]
        struct Number {
            format: u32,
        }
        let value = Some(bytes).filter(|bytes| bytes.len() as u64 <= MOST_BYTES)?;
        serde_json::from_slice(value).ok().map(|Number { format }| format)
    }

    /// Checks that a node that reads formats from the first to the second number reads this one.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub(crate) fn check_number(number: u32, reads: (u32, u32)) -> Result<(), StartError> {
        if (reads.0..=reads.1).contains(&number) {
            return Ok(());
        }
        Err(StartError::new(format!(
            "the cluster in etcd has format {number}, but this version knows only formats {} to {}: upgrade this node",
            reads.0, reads.1
        )))
    }

    /// Checks that a node of a group can take part.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub(crate) fn check(&self, formats: Formats, group: u32) -> Result<(), StartError> {
        Self::check_number(self.number, (formats.lowest, formats.highest))?;
        if group != 0 && self.number < WITH_GROUPS {
            return Err(StartError::new(format!(
                "the cluster has format {}, which allows only one group, but this node belongs to group {group}: \
                 upgrade all nodes to this version, then run `hedgerow-db cluster upgrade --finish`",
                self.number
            )));
        }
        Ok(())
    }

    pub(crate) fn print(&self) -> String {
        let Self { cluster, incarnation, made, groups, number, adopter } = self;
        let id = hex::text(cluster);
        let groups = if is_one(groups) { String::new() } else { format!(r#","groups":{groups}"#) };
        let adopter = adopter.map(|adopter| format!(r#","adopter":{adopter}"#)).unwrap_or_default();
        format!(
            r#"{{"format":{number},"made":{made},"id":"{id}","incarnation":{incarnation}{groups}{adopter}}}"#
        )
    }

    /// Reads the value of the key.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, StartError> {
        let wrong = |why: String| {
            StartError::new(format!(
                "the key `format` in etcd cannot be read ({why}): restore it, or choose another cluster-name"
            ))
        };
        if bytes.len() as u64 > MOST_BYTES {
            return Err(wrong("it is too long".to_owned()));
        }
        let written: IdentityJson =
            serde_json::from_slice(bytes).map_err(|why| wrong(why.to_string()))?;
        let Formats { lowest, highest } = Formats::default();
        Self::check_number(written.format, (lowest, highest))?;
        let most = if written.format < WITH_GROUPS { 1 } else { MOST_GROUPS };
        if !(1..=most).contains(&written.groups) {
            return Err(wrong(format!("it has {} groups", written.groups)));
        }
        let cluster = hex::parse(&written.id).ok_or_else(|| wrong("its id is none".to_owned()))?;
        let IdentityJson { format: number, made, incarnation, groups, adopter, .. } = written;
        Ok(Self { cluster, incarnation, made, groups, number, adopter })
    }
}

fn unreadable(path: &Path, why: &io::Error) -> StartError {
    StartError::new(format!("{}: {why}", path.display()))
}

/// Reads a short file, if it is there.
fn read_small(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut text = String::new();
    file.take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Folder::claim(folder.path()).unwrap();
        let id = node_id(&folder).unwrap();
        assert_eq!(node_id(&folder).unwrap(), id);
        std::fs::write(folder.at(NODE_ID), "rose").unwrap();
        assert!(node_id(&folder).unwrap_err().to_string().contains("40 hexadecimal digits"));
    }

    #[test]
    fn a_folder_of_another_cluster_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Folder::claim(folder.path()).unwrap();
        assert_eq!(Belonging::of(&folder).unwrap(), None);
        let (one, other) = (ClusterFormat::new(1, 1).unwrap(), ClusterFormat::new(1, 1).unwrap());
        let own = Belonging::new("roses", &one, 0);
        own.write(&folder).unwrap();
        let own = Belonging::of(&folder).unwrap().unwrap();
        assert_eq!(own.check(&Belonging::new("roses", &one, 0)).unwrap(), Age::Current);
        let later = own.clone().since(42);
        later.write(&folder).unwrap();
        assert_eq!(Belonging::of(&folder).unwrap(), Some(later.clone()));
        assert_eq!(later.check(&Belonging::new("roses", &one, 0)).unwrap(), Age::Current);
        let why = own.check(&Belonging::new("roses", &other, 0)).unwrap_err().to_string();
        assert!(why.contains("cluster adopt") && why.contains(&hex::text(&other.cluster)), "{why}");
    }

    #[test]
    fn an_incarnation_may_be_followed_by_a_later_one_only() {
        let first = ClusterFormat::new(1, 1).unwrap();
        let second = ClusterFormat { incarnation: 2, ..first.clone() };
        let [first, second] = [first, second].map(|format| Belonging::new("roses", &format, 0));
        assert_eq!(first.check(&second).unwrap(), Age::Earlier);
        assert!(second.is_after(&first) && !first.is_after(&second) && !first.is_after(&first));
        let why = second.check(&first).unwrap_err().to_string();
        assert!(why.contains("restored from a backup") && why.contains("cluster adopt"), "{why}");
    }

    #[test]
    fn a_folder_stays_in_its_group() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Folder::claim(folder.path()).unwrap();
        let format = ClusterFormat::new(1, 2).unwrap();
        let of = |group| Belonging::new("roses", &format, group);
        of(1).write(&folder).unwrap();
        let own = Belonging::of(&folder).unwrap().unwrap();
        assert_eq!((own.check(&of(1)).unwrap(), own.groups()), (Age::Current, 2));
        let why = own.check(&of(0)).unwrap_err().to_string();
        assert!(why.contains("set cluster-group 1; or choose an empty directory"), "{why}");
        // A folder from before there were groups belongs to the first one.
        let first = ClusterFormat { groups: 1, ..format };
        let first = Belonging::new("roses", &first, 0);
        first.write(&folder).unwrap();
        let text = std::fs::read_to_string(folder.at(CLUSTER)).unwrap();
        assert!(!text.contains("group"), "{text}");
        assert_eq!(Belonging::of(&folder).unwrap().as_ref(), Some(&first));
        assert_eq!(first.groups(), 1);
    }

    #[test]
    fn a_format_without_groups_is_one_of_one_group() {
        let one = ClusterFormat { number: 1, ..ClusterFormat::new(1, 1).unwrap() };
        let text = one.print();
        assert!(text.contains("\"format\":1") && !text.contains("groups"), "{text}");
        assert_eq!(ClusterFormat::parse(text.as_bytes()).unwrap(), one);
        let wrong = ClusterFormat { groups: 3, ..one.clone() }.print();
        assert!(ClusterFormat::parse(wrong.as_bytes()).is_err(), "format 1 has one group");
        let several = ClusterFormat { groups: 3, ..ClusterFormat::new(1, 1).unwrap() };
        let text = several.print();
        // A program that knows only one group would take all slots for its own.
        assert!(text.contains("\"format\":2") && text.contains("\"groups\":3"), "{text}");
        assert_eq!(ClusterFormat::parse(text.as_bytes()).unwrap(), several);
        for groups in ["0", "4097", "-1"] {
            let wrong = text.replace("\"groups\":3", &format!("\"groups\":{groups}"));
            assert!(ClusterFormat::parse(wrong.as_bytes()).is_err(), "{groups}");
        }
    }

    #[test]
    fn the_format_is_read_as_it_was_written() {
        let format = ClusterFormat::new(1 << 40, 1).unwrap();
        assert_eq!(ClusterFormat::parse(format.print().as_bytes()).unwrap(), format);
        let adopted = ClusterFormat { adopter: Some(u64::MAX), ..format.clone() };
        assert_eq!(ClusterFormat::parse(adopted.print().as_bytes()).unwrap(), adopted);
        let later = format.print().replace("\"format\":2", "\"format\":3");
        assert!(
            ClusterFormat::parse(later.as_bytes()).unwrap_err().to_string().contains("upgrade")
        );
        for wrong in ["", "{}", "[]", &format.print().replace(&hex::text(&format.cluster), "x")] {
            assert!(ClusterFormat::parse(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
    }
}
