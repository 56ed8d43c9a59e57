//! The surroundings of the work of moves: etcd, other groups, time, and threads that may block.
//!
//! [`NodeEnv`] is that of a node. A simulation has another one, in which each of these calls is a place to crash.

use super::etcd::EtcdAccess;
use super::records::text;
use crate::etcd::EtcdClient;
use crate::log::EtcdLog;
use crate::membership::directory::ClusterDirectory;
use crate::membership::events::{Events, MembershipEvent};
use crate::membership::keys::GroupKeys;
use crate::membership::slot_map::SlotMap;
use crate::peer::{Exported, Exports, PeerClient, PeerClientOptions};
use hedgerow_db_engine::lock::lock;
use hedgerow_db_engine::log::{Log as _, Lsn};
use hedgerow_db_engine::state::State;
use hedgerow_db_formats::slot_set::SlotSet;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::spawn_blocking;

/// The peer addresses of the primaries of all groups.
pub(crate) type Primaries = Arc<Mutex<BTreeMap<u32, String>>>;

/// The surroundings of a mover.
pub(crate) trait Env: Clone + Send + Sync + 'static {
    type Etcd: EtcdAccess;
    type Parts: EnvParts;

    fn etcd(&self) -> &Self::Etcd;

    /// Returns whether there may be moves, as far as the node has heard. If it has not heard of a move yet, that move
    /// goes on a moment later: nobody but its two groups takes its steps.
    fn may_have_moves(&self) -> bool;

    /// Returns the published map of slots as far as the node has heard, if it has. Until one is published, that is the
    /// one of a new cluster of so many groups. A wrong map is corrected a moment later if this one is old.
    fn heard_map(&self, groups: u32) -> Option<SlotMap>;

    /// Does something to the state, on a thread that may block.
    fn on_state<T: Send + 'static>(
        &self,
        change: impl FnOnce(&State) -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, String>> + Send;

    /// Waits until an entry is committed.
    fn committed(&self, entry: Lsn) -> impl Future<Output = Result<(), String>> + Send;

    /// Asks the primary of another group for all keys of slots.
    fn export(
        &self,
        group: u32,
        slots: &SlotSet,
    ) -> impl Future<Output = Result<Self::Parts, String>> + Send;

    /// Asks the primary of another group to lose the slots of a move. Returns when it has done so.
    fn leave(&self, group: u32, id: u64) -> impl Future<Output = Result<(), String>> + Send;

    /// Tells the primary of another group that this one serves the slots of a move.
    fn taken(&self, group: u32, id: u64) -> impl Future<Output = Result<(), String>> + Send;

    /// Makes the node show this map of slots.
    fn show(&self, map: SlotMap);

    /// Returns whether the node stops.
    fn is_stopped(&self) -> bool;

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send;

    /// Runs a task besides.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);
}

/// The keys that another group sends.
pub(crate) trait EnvParts: Send {
    /// Returns the next message.
    fn next(&mut self) -> impl Future<Output = Result<Exported, String>> + Send;
}

/// The surroundings in a node.
#[derive(Clone)]
pub(crate) struct NodeEnv {
    pub(crate) client: EtcdClient,
    pub(crate) state: Arc<State>,
    pub(crate) log: Arc<EtcdLog>,
    pub(crate) primaries: Primaries,
    pub(crate) peers: PeerClientOptions,
    pub(crate) events: Events,
    pub(crate) keys: Arc<GroupKeys>,
    pub(crate) directory: Arc<ClusterDirectory>,
}

impl NodeEnv {
    /// Returns a client of a group's primary.
    fn primary_of(&self, group: u32) -> Result<PeerClient, String> {
        let address = lock(&self.primaries).get(&group).cloned();
        let address = address.ok_or_else(|| format!("group {group} has no primary at present"))?;
        PeerClient::new(&address, &self.peers).map_err(text)
    }
}

impl Env for NodeEnv {
    type Etcd = EtcdClient;
    type Parts = Exports;

    fn etcd(&self) -> &EtcdClient {
        &self.client
    }

    fn may_have_moves(&self) -> bool {
        // If the node has heard nothing yet, etcd is asked.
        self.directory.pairs(&self.keys.moves()).map_or(true, |moves| !moves.is_empty())
    }

    fn heard_map(&self, groups: u32) -> Option<SlotMap> {
        match self.directory.pair(&self.keys.slots()).ok()? {
            Some(pair) => SlotMap::parse(&pair.value).ok(),
            None => Some(SlotMap::divided(groups)),
        }
    }

    async fn on_state<T: Send + 'static>(
        &self,
        change: impl FnOnce(&State) -> T + Send + 'static,
    ) -> Result<T, String> {
        let state = Arc::clone(&self.state);
        spawn_blocking(move || change(&state)).await.map_err(text)
    }

    async fn committed(&self, entry: Lsn) -> Result<(), String> {
        let log = Arc::clone(&self.log);
        spawn_blocking(move || log.wait(entry)).await.map_err(text)?.map_err(text)
    }

    async fn export(&self, group: u32, slots: &SlotSet) -> Result<Exports, String> {
        self.primary_of(group)?.export(group, slots).await.map_err(text)
    }

    async fn leave(&self, group: u32, id: u64) -> Result<(), String> {
        self.primary_of(group)?.leave(group, id).await.map_err(text)
    }

    async fn taken(&self, group: u32, id: u64) -> Result<(), String> {
        self.primary_of(group)?.taken(group, id).await.map_err(text)
    }

    fn show(&self, map: SlotMap) {
        self.events.send(MembershipEvent::Slots(map));
    }

    fn is_stopped(&self) -> bool {
        self.events.is_closed()
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }
}

impl EnvParts for Exports {
    async fn next(&mut self) -> Result<Exported, String> {
        Self::next(self).await.map_err(text)
    }
}
