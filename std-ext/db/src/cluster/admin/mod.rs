//! `hedgerow-db cluster`: commands that look after a cluster, from any machine that reaches its etcd.
//!
//! The configuration has the [table of commands](crate::config::subcommand): names, words and help. The functions
//! behind them are in `FUNCTIONS`. A command reads the settings of a node, and needs no node on its machine.

mod call;
mod chain;
mod check;
mod error;
mod forget;
mod group;
mod handover;
mod report;
mod status;
#[cfg(test)]
mod tests;
mod text;

use crate::config::ClusterInvocation;
use serde::Serialize;

pub(super) use call::Call;
pub(super) use error::AdminError;
pub(super) use group::Group;
pub(super) use report::Report;

/// The function of a command.
type Function = fn(&Call) -> Result<Report, AdminError>;

/// The functions of the commands, by their names.
const FUNCTIONS: &[(&str, Function)] = &[
    ("status", status::run),
    ("check", check::run),
    ("handover", handover::run),
    ("forget", forget::run),
];

/// The result of a command.
#[derive(Debug)]
pub struct Done {
    /// The text for standard output.
    pub out: String,
    /// Whether all is well.
    pub healthy: bool,
    /// Why the command failed: the text for standard error.
    pub failed: Option<String>,
}

/// A failure as JSON.
#[derive(Serialize)]
struct Failed<'a> {
    error: &'a str,
}

/// Runs a command.
pub fn run(asked: &ClusterInvocation) -> Done {
    let Some(settings) = asked.config.cluster() else {
        // The reader of the command line has set it.
        let failed = Some("cluster is not set to yes".to_owned());
        return Done { out: String::new(), healthy: false, failed };
    };
    let call = Call { asked: asked.clone(), settings };
    let json = asked.has("json");
    let function = FUNCTIONS.iter().find(|(name, _)| *name == asked.command.name);
    let missing = || AdminError::from("this build does not have the command".to_owned());
    match function.ok_or_else(missing).and_then(|(_, function)| function(&call)) {
        Ok(Report { text, json: data, healthy }) => {
            Done { out: if json { data } else { text }, healthy, failed: None }
        }
        Err(why) => {
            let why = why.to_string();
            let out = if json {
                Report::new(String::new(), &Failed { error: &why }, false).json
            } else {
                String::new()
            };
            Done { out, healthy: false, failed: Some(why) }
        }
    }
}
