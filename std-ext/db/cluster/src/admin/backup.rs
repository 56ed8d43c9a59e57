//! `hedgerow-db cluster backup` and `restore`: see [`crate::archive::backup`].

use super::call::AdminCall;
use super::error::AdminError;
use super::report::Report;
use super::text::{list, size};
use crate::archive::backup::{self, BackupContents, GroupContents, RestoreOutcome};
use hedgerow_db_redis::config::ClusterInvocation;
use std::fmt::Write as _;
use std::path::Path;

/// How long a backup waits for the end of moves of slots, in seconds.
const WITHIN: u64 = 600;
/// How long a restoration waits for that, and for primaries.
const RESTORED_WITHIN: u64 = 60;

pub(super) fn run(call: &AdminCall) -> Result<Report, AdminError> {
    let Some(to) = call.asked.value("to") else {
        let why = "cluster backup: name a directory for the backup with --to DIR";
        return Err(AdminError::from(why.to_owned()));
    };
    let nodes: Vec<_> = call.asked.values("node").collect();
    let within = call.seconds("within", WITHIN)?;
    let contents = backup::take(&call.settings, Path::new(to), &nodes, within)?;
    Ok(Report::new(format!("{to}: {}", text(&contents)), &contents, true))
}

/// `restore --check`, which needs no cluster.
pub(super) fn check(asked: &ClusterInvocation) -> Result<Report, AdminError> {
    let from = source(asked)?;
    let contents = backup::verify(Path::new(from))?;
    Ok(Report::new(format!("{from}: {}", text(&contents)), &contents, true))
}

fn source(asked: &ClusterInvocation) -> Result<&str, AdminError> {
    asked.value("from").ok_or_else(|| {
        let why = "cluster restore: name the directory of a backup with --from DIR";
        AdminError::from(why.to_owned())
    })
}

pub(super) fn restore(call: &AdminCall) -> Result<Report, AdminError> {
    let from = source(&call.asked)?;
    let within = call.seconds("within", RESTORED_WITHIN)?;
    let restored = backup::restore(&call.settings, Path::new(from), within)?;
    let healthy = restored.problems.is_empty();
    Ok(Report::new(restored_text(&restored), &restored, healthy))
}

/// Says what a cluster has after a restoration, in whole lines.
fn restored_text(restored: &RestoreOutcome) -> String {
    let RestoreOutcome { keys, digest, groups, problems } = restored;
    let mut text = String::new();
    for one in groups {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "Group {}: {} keys at entry {}, digest {}.",
            one.group, one.keys, one.lsn, one.digest
        );
    }
    let end = match &problems[..] {
        [] => format!("All {keys} keys match the backup, digest {digest}.\n"),
        _ => "The keys do not match the backup: empty the cluster, and restore again.\n".to_owned(),
    };
    text + &end + &list("Differences", problems)
}

/// Says what a backup has, in whole lines.
fn text(contents: &BackupContents) -> String {
    let BackupContents { name, incarnation, groups, .. } = contents;
    let count = match groups.len() {
        1 => "1 group".to_owned(),
        count => format!("{count} groups"),
    };
    let mut text = format!(
        "the cluster {name:?}, incarnation {incarnation}: {count}, {} in {} files\n",
        size(contents.bytes()),
        contents.files().count()
    );
    for one in groups {
        let GroupContents { group, slots, lsn, snapshot_keys, log_entries, .. } = one;
        let slots = slots.iter().map(|(first, last)| u32::from(last - first) + 1).sum::<u32>();
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "Group {group}, {slots} slots: all changes up to entry {lsn}; {snapshot_keys} keys in a snapshot and \
             {log_entries} log entries."
        );
    }
    text
}
