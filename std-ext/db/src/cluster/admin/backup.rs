//! `hedgerow-db cluster backup`, `verify` and `restore`: see [`crate::cluster::backup`].

use super::call::Call;
use super::error::AdminError;
use super::report::Report;
use super::text::size;
use crate::cluster::backup::{self, Contents};
use crate::config::ClusterInvocation;
use std::path::Path;

pub(super) fn run(call: &Call) -> Result<Report, AdminError> {
    let Some(to) = call.asked.value("to") else {
        let why = "cluster backup: name a directory for the backup with --to DIR";
        return Err(AdminError::from(why.to_owned()));
    };
    let contents = backup::take(&call.settings, Path::new(to), call.asked.value("node"))?;
    Ok(Report::new(format!("{to}: {}\n", text(&contents)), &contents, true))
}

pub(super) fn verify(asked: &ClusterInvocation) -> Result<Report, AdminError> {
    let contents = backup::verify(Path::new(&asked.operand))?;
    Ok(Report::new(format!("{}: {}\n", asked.operand, text(&contents)), &contents, true))
}

pub(super) fn restore(asked: &ClusterInvocation) -> Result<Report, AdminError> {
    let dir = asked.config.get("dir");
    let contents = backup::restore(Path::new(&asked.operand), Path::new(dir))?;
    let text = format!(
        "{dir}: {}\nFill etcd from it with `hedgerow-db cluster adopt --dir {dir}`.\n",
        text(&contents)
    );
    Ok(Report::new(text, &contents, true))
}

/// Says what a backup has.
fn text(contents: &Contents) -> String {
    let Contents { name, incarnation, lsn, snapshot_keys, log_entries, files, .. } = contents;
    format!(
        "all changes of the cluster {name:?} up to entry {lsn} of incarnation {incarnation}: {snapshot_keys} keys in a \
         snapshot and {log_entries} log entries, {} in {} files",
        size(contents.bytes()),
        files.len()
    )
}
