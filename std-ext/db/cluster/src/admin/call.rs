//! A command that runs, with its connections and settings.

use super::error::AdminError;
use crate::etcd::{ClientSettings, EtcdClient};
use crate::membership::bootstrap;
use crate::membership::keys::GroupKeys;
use hedgerow_db_formats::slot_set::MOST_GROUPS;
use hedgerow_db_redis::config::{ClusterInvocation, ClusterSettings};
use std::time::Duration;
use tokio::runtime::Runtime;

/// How long a call to etcd may take, with everything that it repeats.
const CALL: Duration = Duration::from_secs(5);

/// A command that runs.
pub(crate) struct AdminCall {
    /// The words of the command line, and all settings.
    pub(super) asked: ClusterInvocation,
    /// The settings of the cluster.
    pub(super) settings: ClusterSettings,
}

impl AdminCall {
    /// Runs a task that talks to etcd or to nodes. Blocks until it ends.
    #[expect(clippy::unused_self, reason = "only a command runs tasks")]
    pub(super) fn block_on<T>(
        &self,
        task: impl Future<Output = Result<T, AdminError>>,
    ) -> Result<T, AdminError> {
        runtime()?.block_on(task)
    }

    /// Makes a client of etcd. Called within [`block_on`](Self::block_on). Refuses versions of etcd that a node
    /// refuses.
    pub(super) async fn etcd(&self) -> Result<EtcdClient, AdminError> {
        let settings =
            ClientSettings { call_timeout: CALL, ..bootstrap::etcd_settings(&self.settings) };
        let client = EtcdClient::connect(&settings)?;
        client.check_version().await?;
        Ok(client)
    }

    /// Returns the number of the group that the command is about.
    pub(super) fn group(&self) -> Result<u32, AdminError> {
        let Some(text) = self.asked.value("group") else { return Ok(self.settings.group) };
        text.parse().ok().filter(|group| *group < MOST_GROUPS).ok_or_else(|| {
            AdminError::from(format!(
                "--group: invalid value '{text}': expected a number from 0 to {}",
                MOST_GROUPS - 1
            ))
        })
    }

    /// Returns whether the command is about all groups.
    pub(super) fn all_groups(&self) -> Result<bool, AdminError> {
        match (self.asked.has("all-groups"), self.asked.has("group")) {
            (true, true) => Err(AdminError::from(
                "--all-groups and --group exclude each other: give one of them".to_owned(),
            )),
            (all, _) => Ok(all),
        }
    }

    /// Returns the names of the keys of the cluster and that group.
    pub(super) fn keys(&self) -> Result<GroupKeys, AdminError> {
        GroupKeys::new(&self.settings.name, self.group()?)
            .map_err(|why| AdminError::from(why.to_string()))
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
