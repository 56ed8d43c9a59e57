//! `hedgerow-db cluster adopt`: see [`crate::archive::adopt`].

use super::call::AdminCall;
use super::error::AdminError;
use super::report::Report;
use super::slots;
use crate::archive::adopt::{AdoptPlan, AdoptedGroup, Choices};
use hedgerow_db_engine::log::MANIFEST;
use hedgerow_db_engine::log::folder::LOCK;
use hedgerow_db_formats::slot_set::MOST_GROUPS;
use hedgerow_db_formats::slot_set::SlotSet;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

#[derive(Serialize)]
struct AdoptReport {
    cluster: String,
    incarnation: u64,
    groups: Vec<OfGroup>,
}

#[derive(Serialize)]
struct OfGroup {
    group: u32,
    dir: PathBuf,
    lsn: u64,
    others_must_be_empty: bool,
}

pub(super) fn run(call: &AdminCall) -> Result<Report, AdminError> {
    let asked = &call.asked;
    let dir = PathBuf::from(asked.config.get("dir"));
    let mut folders: Vec<_> = asked.values("from").map(PathBuf::from).collect();
    // The default is the current directory, which need not be a node's.
    let is_database = [LOCK, MANIFEST].iter().any(|name| dir.join(name).exists());
    if folders.is_empty() || is_database {
        folders.insert(0, dir);
    }
    let assign = asked.values("assign").map(assigned).collect::<Result<_, _>>()?;
    let choices = Choices { replace: asked.value("replace").map(str::to_owned), assign };
    let plan = AdoptPlan::prepare(&call.settings, &folders, &choices)?;
    let mut text = plan.text();
    if !asked.has("yes") {
        if !agrees(&text) {
            return Err(AdminError::from(format!("{text}Nothing was changed. Add --yes to do it")));
        }
        text.clear();
    }
    let adopted = plan.carry_out()?;
    text.extend(adopted.groups.iter().map(|AdoptedGroup { folder, lsn, alone, .. }| {
        let next = if *alone {
            "Start the node with this directory first, and the others with empty ones."
        } else {
            "Start the nodes. Nodes with diverging entries refuse to start."
        };
        format!("etcd continues after entry {lsn} of {}. {next}\n", folder.display())
    }));
    let groups = adopted.groups.into_iter().map(|one| OfGroup {
        group: one.group,
        dir: one.folder,
        lsn: one.lsn,
        others_must_be_empty: one.alone,
    });
    let (cluster, incarnation) = (adopted.cluster, adopted.incarnation);
    let adopted = AdoptReport { cluster, incarnation, groups: groups.collect() };
    Ok(Report::new(text, &adopted, true))
}

/// Reads slots and the group that has them.
fn assigned(text: &str) -> Result<(SlotSet, u32), AdminError> {
    let read = text.split_once('=').and_then(|(ranges, group)| {
        let group = group.trim().parse().ok().filter(|group| *group < MOST_GROUPS)?;
        Some((slots::parse(ranges)?, group))
    });
    read.ok_or_else(|| {
        AdminError::from(format!(
            "--assign: invalid value '{text}': expected ranges of slots and a group, as in 0-99,200=1"
        ))
    })
}

/// Shows what will be done, and asks. Without a terminal there is nobody to ask.
fn agrees(text: &str) -> bool {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return false;
    }
    let mut err = io::stderr().lock();
    let shown = write!(err, "{text}Type yes to continue: ").and_then(|()| err.flush());
    let mut answer = String::new();
    shown.and_then(|()| io::stdin().read_line(&mut answer)).is_ok() && answer.trim() == "yes"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_assigned_to_a_group() {
        let read = |text| assigned(text).map(|(slots, group)| (slots.ranges(), group));
        assert_eq!(read("0-99,200=1").unwrap(), (vec![(0, 99), (200, 200)], 1));
        for wrong in ["", "=1", "0-99", "0-99=", "0-99=4096", "99-0=1", "0=1=2"] {
            let why = read(wrong).expect_err(wrong).to_string();
            assert!(why.contains("as in 0-99,200=1"), "{wrong}: {why}");
        }
    }
}
