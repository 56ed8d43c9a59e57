//! A node without a group: it registers itself, and waits until the coordinator places it.

use super::turn::Coordinator;
use crate::etcd::EtcdClient;
use crate::membership::bootstrap;
use crate::membership::error::StartError;
use crate::membership::events::MembershipEvent;
use crate::membership::identity;
use crate::membership::keys::GroupKeys;
use crate::membership::place::NodeAssignment;
use crate::membership::registration::{NO_GROUP, Registration, SPARE};
use crate::membership::registry::{NodeRegistry, Told};
use crate::node::status::ClusterCounters;
use crate::peer::PeerClientOptions;
use hedgerow_db_engine::clock::TimeSource;
use hedgerow_db_engine::log::folder::Folder;
use hedgerow_db_engine::progress::Progress;
use hedgerow_db_group::NodeId;
use hedgerow_db_redis::config::ClusterSettings;
use hedgerow_db_redis::view::Views;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

/// How often the node looks for its place.
const PERIOD: Duration = Duration::from_millis(300);

/// A node that starts, and may have no group yet.
pub(crate) struct Waiting<'a> {
    pub(crate) client: &'a EtcdClient,
    pub(crate) keys: &'a GroupKeys,
    pub(crate) settings: &'a ClusterSettings,
    pub(crate) folder: &'a Folder,
    pub(crate) id: NodeId,
    pub(crate) progress: &'a Progress,
    pub(crate) views: &'a Arc<Views>,
    pub(crate) peers: PeerClientOptions,
}

impl Waiting<'_> {
    /// Returns the node's group: that of the settings, or of the folder, or the one in which it is placed.
    ///
    /// # Errors
    /// A sentence, if the folder or etcd cannot be used.
    pub(crate) async fn find_group(&self) -> Result<u32, StartError> {
        if !self.settings.auto_group {
            return Ok(self.settings.group);
        }
        // A directory with data stays in its group unless the cluster has decided otherwise.
        if let Some(belonging) = bootstrap::belonging_of(self.folder)?
            && !self.leave(&belonging).await?
        {
            return Ok(belonging.group());
        }
        bootstrap::find_cluster(self.client, self.keys, self.settings, true).await?;
        tracing::info!(
            "node {} is waiting for the cluster {:?} to assign it to a group",
            self.id,
            self.settings.name
        );
        self.progress.set_spare(true);
        let group = self.wait().await?;
        self.progress.set_spare(false);
        tracing::info!("this node was assigned to group {group}");
        Ok(group)
    }

    /// Registers the node, and takes part in coordination, until the node has a place.
    async fn wait(&self) -> Result<u32, StartError> {
        let counters = Arc::<ClusterCounters>::default();
        let nonce = u64::from_le_bytes(identity::random()?);
        let registration = Registration {
            group: NO_GROUP,
            role: SPARE.to_owned(),
            ..Registration::announced(self.settings, nonce)
        };
        let shared = Arc::new(self.keys.clone());
        let told = Told::new(self.settings, Arc::clone(self.views), None);
        let client = self.client.clone();
        let parts = (Arc::clone(&counters), told);
        let registry =
            NodeRegistry::new(client, shared, (self.id, Vec::new()), registration, parts);
        let coordinator = Coordinator::new(
            self.client.clone(),
            self.keys.clone(),
            self.id,
            self.settings,
            (counters, self.peers.clone()),
            Arc::clone(registry.directory()),
        );
        let (stop, stopped) = oneshot::channel();
        let coordinating = tokio::spawn(coordinator.run(stopped));
        let (events, mut told) = unbounded_channel::<MembershipEvent>();
        let registering = tokio::spawn(Arc::clone(&registry).run(Arc::new(events)));
        let placed = self.placed(&registry, &mut told).await;
        // Both end their leases, so that this node can register itself anew, and another one coordinate. A task that
        // panicked has printed its message.
        drop((told, stop));
        registry.miss();
        let _ = (registering.await, coordinating.await);
        placed
    }

    async fn placed(
        &self,
        registry: &NodeRegistry,
        told: &mut UnboundedReceiver<MembershipEvent>,
    ) -> Result<u32, StartError> {
        loop {
            registry.update(|own| own.wall = TimeSource::System.now());
            // If this is old, the place was taken back: the node waits for its first data then, as one that was placed
            // and does not get there.
            match registry.place() {
                Ok(Some(NodeAssignment { group, leave: false })) => return Ok(group),
                // Left over from before the directory was emptied: a node that stopped in between has still to delete
                // it.
                Ok(Some(NodeAssignment { group, leave: true })) => self.forget_place(group).await,
                Ok(None) => {}
                Err(why) => tracing::debug!("cannot read this node's assignment: {why}"),
            }
            while let Ok(event) = told.try_recv() {
                if let MembershipEvent::Failed(why) = event {
                    return Err(StartError::new(why));
                }
            }
            tokio::time::sleep(PERIOD).await;
        }
    }
}
