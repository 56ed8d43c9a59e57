//! `hedgerow-db cluster`: commands that look after a cluster, from any machine that reaches its etcd.
//!
//! The configuration has the [table of commands](hedgerow_db_redis::config::subcommand): names, words and help. The
//! functions behind them are in `FUNCTIONS`. A command reads the settings of a node, and needs no node on its machine.

mod adopt;
mod backup;
mod call;
mod chain;
mod check;
mod error;
mod forget;
mod group;
mod handover;
mod move_slots;
mod nodes;
mod problems;
mod rebalance;
mod report;
mod slots;
mod status;
#[cfg(test)]
mod tests;
mod text;
mod upgrade;

use hedgerow_db_redis::config::ClusterInvocation;
use serde::Serialize;

pub(super) use call::AdminCall;
pub(super) use error::AdminError;
pub(super) use group::StoredGroup;
pub(super) use report::Report;

/// The function of a command.
type Function = fn(&AdminCall) -> Result<Report, AdminError>;

/// The functions of the commands, by their names.
const FUNCTIONS: &[(&str, Function)] = &[
    ("status", status::run),
    ("nodes", nodes::run),
    ("check", check::run),
    ("handover", handover::run),
    ("forget", forget::run),
    ("upgrade", upgrade::run),
    ("move", move_slots::run),
    ("rebalance", rebalance::rebalance),
    ("drain", rebalance::drain),
    ("adopt", adopt::run),
    ("backup", backup::run),
    ("restore", backup::restore),
];

/// The result of a command.
#[derive(Debug)]
pub struct Done {
    /// The text for standard output.
    pub out: String,
    /// Whether all is well.
    pub healthy: bool,
    /// Whether the command found nothing wrong, but could not look at everything. Then `healthy` is false.
    pub incomplete: bool,
    /// Why the command failed: the text for standard error.
    pub failed: Option<String>,
}

/// A failure as JSON.
#[derive(Serialize)]
struct FailureReport<'a> {
    error: &'a str,
}

/// Runs a command.
pub fn run(asked: &ClusterInvocation) -> Done {
    let json = asked.has("json");
    match report(asked) {
        Ok(Report { text, json: data, healthy, incomplete }) => {
            Done { out: if json { data } else { text }, healthy, incomplete, failed: None }
        }
        Err(why) => {
            let why = why.to_string();
            let out = if json {
                Report::new(String::new(), &FailureReport { error: &why }, false).json
            } else {
                String::new()
            };
            Done { out, healthy: false, incomplete: false, failed: Some(why) }
        }
    }
}

fn report(asked: &ClusterInvocation) -> Result<Report, AdminError> {
    let name = asked.command.name;
    if asked.is_offline() {
        return backup::check(asked);
    }
    let settings = asked.config.cluster();
    // The reader of the command line has set it.
    let settings =
        settings.ok_or_else(|| AdminError::from("cluster is not set to yes".to_owned()))?;
    let call = AdminCall { asked: asked.clone(), settings };
    let function = FUNCTIONS.iter().find(|(known, _)| *known == name);
    let missing = || AdminError::from("this build does not have the command".to_owned());
    function.ok_or_else(missing).and_then(|(_, function)| function(&call))
}
