//! `hedgerow-db cluster`: commands that look after a cluster, from any machine that reaches its etcd.
//!
//! The configuration has the [table of commands](crate::config::subcommand): names, words and help. The functions
//! behind them are in `FUNCTIONS`. A command reads the settings of a node, and needs no node on its machine.

mod adopt;
mod backup;
mod chain;
mod check;
mod error;
mod forget;
mod group;
mod handover;
mod status;
#[cfg(test)]
mod tests;
mod text;

use super::etcd::{Client, Settings};
use super::keys::Keys;
use super::meet;
use crate::config::{ClusterInvocation, ClusterSettings};
use serde::Serialize;
use std::time::Duration;
use tokio::runtime::Runtime;

pub(super) use error::AdminError;
pub(super) use group::Group;

/// How long a call to etcd may take, with everything that it repeats.
const CALL: Duration = Duration::from_secs(5);

/// The function of a command.
type Function = fn(&Call) -> Result<Report, AdminError>;

/// The functions of the commands, by their names.
const FUNCTIONS: &[(&str, Function)] = &[
    ("status", status::run),
    ("check", check::run),
    ("handover", handover::run),
    ("forget", forget::run),
    ("adopt", adopt::run),
    ("backup", backup::run),
];

/// The function of a command that needs no cluster.
type Offline = fn(&ClusterInvocation) -> Result<Report, AdminError>;

/// The functions of the commands that need no cluster, by their names.
const OFFLINE: &[(&str, Offline)] = &[("restore", backup::restore), ("verify", backup::verify)];

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

/// The findings of a command, for people and for programs.
pub(super) struct Report {
    text: String,
    json: String,
    healthy: bool,
}

impl Report {
    /// Makes a report of a text of whole lines, and of the same as JSON. If it is not `healthy`, the program exits
    /// with 1.
    pub(super) fn new(text: String, json: &impl Serialize, healthy: bool) -> Self {
        // Fails only for maps with keys that are no texts.
        let json = serde_json::to_string_pretty(json).unwrap_or_default() + "\n";
        Self { text, json, healthy }
    }
}

/// A failure as JSON.
#[derive(Serialize)]
struct Failed<'a> {
    error: &'a str,
}

/// Runs a command.
pub fn run(asked: &ClusterInvocation) -> Done {
    let json = asked.has("json");
    match report(asked) {
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

fn report(asked: &ClusterInvocation) -> Result<Report, AdminError> {
    let name = asked.command.name;
    if let Some((_, function)) = OFFLINE.iter().find(|(known, _)| *known == name) {
        return function(asked);
    }
    let settings = asked.config.cluster();
    // The reader of the command line has set it.
    let settings =
        settings.ok_or_else(|| AdminError::from("cluster is not set to yes".to_owned()))?;
    let call = Call { asked: asked.clone(), settings };
    let function = FUNCTIONS.iter().find(|(known, _)| *known == name);
    let missing = || AdminError::from("this build does not have the command".to_owned());
    function.ok_or_else(missing).and_then(|(_, function)| function(&call))
}

/// A command that runs.
pub(super) struct Call {
    /// The words of the command line, and all settings.
    pub(super) asked: ClusterInvocation,
    /// The settings of the cluster.
    pub(super) settings: ClusterSettings,
}

impl Call {
    /// Runs a task that talks to etcd or to nodes. Blocks until it ends.
    pub(super) fn block_on<T>(
        &self,
        task: impl Future<Output = Result<T, AdminError>>,
    ) -> Result<T, AdminError> {
        runtime()?.block_on(task)
    }

    /// Makes a client of etcd. Called within [`block_on`](Self::block_on). Refuses versions of etcd that a node
    /// refuses.
    pub(super) async fn etcd(&self) -> Result<Client, AdminError> {
        let settings = Settings { call_timeout: CALL, ..meet::etcd_settings(&self.settings) };
        let client = Client::connect(&settings)?;
        client.check_version().await?;
        Ok(client)
    }

    /// Returns the names of the cluster's keys.
    pub(super) fn keys(&self) -> Result<Keys, AdminError> {
        Keys::new(&self.settings.name).map_err(|why| AdminError::from(why.to_string()))
    }

    /// Returns the seconds that a flag gives.
    pub(super) fn seconds(&self, flag: &str, default: u64) -> Result<Duration, AdminError> {
        /// A day.
        const MOST: u64 = 86_400;
        let Some(text) = self.asked.value(flag) else { return Ok(Duration::from_secs(default)) };
        match text.parse() {
            Ok(seconds @ 1..=MOST) => Ok(Duration::from_secs(seconds)),
            _ => Err(AdminError::from(format!(
                "--{flag}: invalid value '{text}': expected a number of seconds from 1 to {MOST}"
            ))),
        }
    }
}

fn runtime() -> Result<Runtime, AdminError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|why| AdminError::from(format!("cannot start a runtime: {why}")))
}
