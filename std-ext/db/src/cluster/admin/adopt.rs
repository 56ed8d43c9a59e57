//! `hedgerow-db cluster adopt`: see [`crate::cluster::adopt`].

use super::call::Call;
use super::error::AdminError;
use super::report::Report;
use crate::cluster::adopt::Plan;
use crate::log::folder::LOCK;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

#[derive(Serialize)]
struct Adopted {
    dir: PathBuf,
    cluster: String,
    incarnation: u64,
    lsn: u64,
    others_must_be_empty: bool,
}

pub(super) fn run(call: &Call) -> Result<Report, AdminError> {
    let asked = &call.asked;
    let dir = PathBuf::from(asked.config.get("dir"));
    let mut folders: Vec<_> = asked.values("from").map(PathBuf::from).collect();
    // The default is the current directory, which need not be a node's.
    if folders.is_empty() || dir.join(LOCK).exists() {
        folders.insert(0, dir);
    }
    let plan = Plan::prepare(&call.settings, &folders, asked.value("replace"))?;
    let mut text = plan.text();
    if !asked.has("yes") {
        if !agrees(&text) {
            return Err(AdminError::from(format!("{text}Nothing was changed. Add --yes to do it")));
        }
        text.clear();
    }
    let adopted = plan.carry_out()?;
    let next = if adopted.alone {
        "Start the node with this directory first, and the others with empty ones."
    } else {
        "Start the nodes. Those with other entries refuse, and say so."
    };
    let folder = adopted.folder.display();
    let done = format!("etcd goes on behind entry {} of {folder}. {next}\n", adopted.lsn);
    text.push_str(&done);
    let adopted = Adopted {
        dir: adopted.folder,
        cluster: adopted.cluster,
        incarnation: adopted.incarnation,
        lsn: adopted.lsn,
        others_must_be_empty: adopted.alone,
    };
    Ok(Report::new(text, &adopted, true))
}

/// Shows what will be done, and asks. Without a terminal there is nobody to ask.
fn agrees(text: &str) -> bool {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return false;
    }
    let mut err = io::stderr().lock();
    let shown = write!(err, "{text}Type yes to do it: ").and_then(|()| err.flush());
    let mut answer = String::new();
    shown.and_then(|()| io::stdin().read_line(&mut answer)).is_ok() && answer.trim() == "yes"
}
