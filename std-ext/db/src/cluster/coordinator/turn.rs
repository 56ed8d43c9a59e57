//! The task of a node that coordinates the cluster, or would if the coordinator went.

use super::absence::Absences;
use super::decide::{Decision, decide};
use super::holder::Holder;
use super::rules::Rules;
use super::scaling::{Scaling, Turn};
use super::transaction::transaction;
use super::view::View;
use crate::clock::TimeSource;
use crate::cluster::clock;
use crate::cluster::core::NodeId;
use crate::cluster::etcd::{Client, Compare, Lease, Operation, Transaction};
use crate::cluster::failures::Failures;
use crate::cluster::keys::Keys;
use crate::cluster::peer::PeerClientOptions;
use crate::cluster::status::Counters;
use crate::config::ClusterSettings;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long the others wait for a coordinator that is silent.
const LEASE: Duration = Duration::from_secs(5);
/// How often the coordinator looks, and the others look for the coordinator.
const PERIOD: Duration = Duration::from_secs(1);

/// A node that coordinates the cluster, or would.
pub(in crate::cluster) struct Coordinator {
    client: Client,
    keys: Keys,
    own: NodeId,
    rules: Rules,
    scaling: Scaling,
    counters: Arc<Counters>,
    /// The lease of the key `coord`, once this node has tried to become the coordinator.
    lease: Option<Lease>,
    absences: Absences,
    /// When each node that is gone was missed first, as `coord` says it.
    told: BTreeMap<NodeId, u64>,
}

impl Coordinator {
    pub(in crate::cluster) fn new(
        client: Client,
        keys: Keys,
        own: NodeId,
        settings: &ClusterSettings,
        (counters, peers): (Arc<Counters>, PeerClientOptions),
    ) -> Self {
        Self {
            client,
            keys,
            own,
            rules: Rules::of(settings),
            scaling: Scaling::new(peers),
            counters,
            lease: None,
            absences: Absences::default(),
            told: BTreeMap::new(),
        }
    }

    /// Takes turns until `stop` is dropped. Then another node may coordinate at once.
    pub(in crate::cluster) async fn run(mut self, mut stop: oneshot::Receiver<()>) {
        let mut failures = Failures::default();
        loop {
            match self.turn().await {
                Ok(leads) => {
                    if failures.end() {
                        tracing::info!("this node can coordinate the cluster again");
                    }
                    self.note(leads);
                }
                // Nothing is decided, and the time of the last look stays.
                Err(why) if failures.must_be_told(clock::now()) => tracing::warn!(
                    "this node has failed to coordinate the cluster for some seconds. Unless another node does it, no \
                     node is placed or replaced, and the number of nodes stays as it is: {why}"
                ),
                Err(why) => tracing::debug!("cannot coordinate the cluster: {why}"),
            }
            if tokio::time::timeout(PERIOD, &mut stop).await.is_ok() {
                break;
            }
        }
        self.counters.coordinates.set(0);
        if let Some(lease) = self.lease.take() {
            lease.revoke().await;
        }
    }

    /// Says that this node coordinates now, or does not any more.
    fn note(&self, leads: bool) {
        if leads != (self.counters.coordinates.get() != 0) {
            self.counters.coordinates.set(leads.into());
            if leads {
                tracing::info!("this node coordinates the cluster now");
            } else {
                tracing::info!("another node coordinates the cluster now");
            }
        }
    }

    /// Looks which node coordinates. If this one does, makes decisions, and carries them out. Returns whether it does.
    async fn turn(&mut self) -> Result<bool, String> {
        let found = self.client.get(self.keys.coordinator()).await;
        let found = found.map_err(|why| why.to_string())?.pair;
        let lease = self.lease.as_ref().filter(|lease| !lease.is_lost()).map(Lease::id);
        if found.as_ref().is_some_and(|pair| Some(pair.lease) != lease) {
            // It belongs to another process, or to an earlier lease of this one.
            self.lease = None;
            return Ok(false);
        }
        if found.is_none() && !self.campaign(lease).await? {
            return Ok(false);
        }
        let Some(view) = View::read(&self.client, &self.keys).await? else { return Ok(false) };
        let holder = view.coordinator.as_ref().filter(|holder| holder.node == self.own);
        let Some(term) = holder.map(|holder| holder.term) else { return Ok(false) };
        let gone = self.absences.look(term, &view.missed(), clock::now());
        let last = self.carry_out(&decide(&view, &gone, &self.rules), &view, term).await?;
        self.tell(&gone, term).await?;
        let Self { client, keys, own, rules, scaling, .. } = self;
        let turn = Turn { client, keys, by: (*own, term), rules, last, view: &view };
        scaling.look(&turn).await?;
        Ok(true)
    }

    /// Tries to become the coordinator.
    async fn campaign(&mut self, lease: Option<i64>) -> Result<bool, String> {
        let lease = if let Some(lease) = lease {
            lease
        } else {
            let granted = self.client.grant(LEASE).await.map_err(|why| why.to_string())?;
            let id = granted.id();
            self.lease = Some(granted);
            id
        };
        let key = self.keys.coordinator();
        self.told.clear();
        let value = Holder::print(self.own, &self.told).into();
        let transaction = Transaction {
            compare: vec![Compare::Absent { key: key.clone().into() }],
            then: vec![Operation::Put { key: key.into(), value, lease }],
            otherwise: Vec::new(),
        };
        // A transaction without an answer may have been done: the next turn reads the key.
        let done = self.client.transact(&transaction).await.map_err(|why| why.to_string())?;
        Ok(done.succeeded)
    }

    /// Carries decisions out. The first one that is refused ends that: the next turn decides anew. Returns the revision
    /// of the last decision.
    async fn carry_out(
        &self,
        decisions: &[Decision],
        view: &View,
        term: u64,
    ) -> Result<Option<u64>, String> {
        let mut last = view.last_decision;
        for decision in decisions {
            let transaction = transaction(decision, view, &self.keys, (self.own, term), last);
            let done = self.client.transact(&transaction).await.map_err(|why| why.to_string())?;
            if !done.succeeded {
                tracing::debug!("something has changed since it was decided that {decision}");
                break;
            }
            tracing::info!("{decision}");
            last = Some(done.revision);
        }
        Ok(last)
    }

    /// Tells people which nodes are gone, if these are others than before.
    async fn tell(&mut self, gone: &BTreeMap<NodeId, u64>, term: u64) -> Result<(), String> {
        let Some(lease) = self.lease.as_ref().map(Lease::id) else { return Ok(()) };
        if gone.keys().eq(self.told.keys()) {
            return Ok(());
        }
        let now = TimeSource::System.now();
        let since = |(node, time): (&NodeId, &u64)| (*node, now.saturating_sub(*time));
        self.told = gone.iter().map(since).collect();
        let key = self.keys.coordinator();
        let value = Holder::print(self.own, &self.told).into();
        let transaction = Transaction {
            compare: vec![Compare::Created { key: key.clone().into(), revision: term }],
            then: vec![Operation::Put { key: key.into(), value, lease }],
            otherwise: Vec::new(),
        };
        self.client.transact(&transaction).await.map(drop).map_err(|why| why.to_string())
    }
}
