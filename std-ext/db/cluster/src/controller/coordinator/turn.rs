//! The task of a node that coordinates the cluster, or would if the coordinator went.

use super::absence::Absences;
use super::decide::{Decision, decide};
use super::holder::Holder;
use super::rules::Rules;
use super::scaling::{Scaling, ScalingTurn};
use super::transaction::transaction;
use super::view::CoordinatorView;
use crate::etcd::{Bytes, Compare, EtcdClient, EtcdTransaction, KeyValue, Lease, Operation};
use crate::measure::clock;
use crate::measure::failures::Failures;
use crate::membership::directory::ClusterDirectory;
use crate::membership::keys::GroupKeys;
use crate::node::status::ClusterCounters;
use crate::peer::PeerClientOptions;
use hedgerow_db_engine::clock::TimeSource;
use hedgerow_db_group::NodeId;
use hedgerow_db_redis::config::ClusterSettings;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long the others wait for a coordinator that is silent.
const LEASE: Duration = Duration::from_secs(5);
/// How often the coordinator looks, and the others look for the coordinator.
const PERIOD: Duration = Duration::from_secs(1);
/// How often the coordinator reads the cluster while there is nothing to decide and no key changes, in milliseconds.
const REST: u64 = 10_000;

/// A node that coordinates the cluster, or would.
pub(crate) struct Coordinator {
    client: EtcdClient,
    keys: GroupKeys,
    own: NodeId,
    rules: Rules,
    scaling: Scaling,
    counters: Arc<ClusterCounters>,
    /// The lease of the key `coord`, once this node has tried to become the coordinator.
    lease: Option<Lease>,
    absences: Absences,
    /// When each node that is gone was missed first, as `coord` says it.
    told: BTreeMap<NodeId, u64>,
    directory: Arc<ClusterDirectory>,
    rest: Option<Rest>,
}

/// A look at the cluster that found nothing to do.
#[derive(PartialEq, Eq)]
struct Rest {
    /// The coordinator's term.
    term: u64,
    /// When the next look is due, boot time.
    until: u64,
    keys: Vec<(Bytes, u64)>,
}

impl Coordinator {
    pub(crate) fn new(
        client: EtcdClient,
        keys: GroupKeys,
        own: NodeId,
        settings: &ClusterSettings,
        (counters, peers): (Arc<ClusterCounters>, PeerClientOptions),
        directory: Arc<ClusterDirectory>,
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
            directory,
            rest: None,
        }
    }

    /// Takes turns until `stop` is dropped. Then another node may coordinate at once.
    pub(crate) async fn run(mut self, mut stop: oneshot::Receiver<()>) {
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
                    "this node has failed to coordinate the cluster for some seconds. Unless another node does it, \
                     nodes are not assigned or replaced, and the number of nodes stays the same: {why}"
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
                tracing::info!("this node is now the coordinator of the cluster");
            } else {
                tracing::info!("another node is now the coordinator of the cluster");
            }
        }
    }

    /// Looks which node coordinates. If this one does, makes decisions, and carries them out. Returns whether it does.
    async fn turn(&mut self) -> Result<bool, String> {
        // If this is old, another node has become the coordinator, or ended: this one's transactions, which compare
        // `coord`, are refused then, or it becomes the coordinator a moment later.
        let found = self.directory.pair(&self.keys.coordinator())?;
        let lease = self.lease.as_ref().filter(|lease| !lease.is_lost()).map(Lease::id);
        if found.as_ref().is_some_and(|pair| Some(pair.lease) != lease) {
            // It belongs to another process, or to an earlier lease of this one.
            self.lease = None;
            return Ok(false);
        }
        if found.is_none() && !self.campaign(lease).await? {
            return Ok(false);
        }
        let keys = self.changes()?;
        let is_same = |rest: &Rest| {
            let of_term = found.as_ref().is_some_and(|pair| pair.created == rest.term);
            of_term && clock::now() < rest.until && rest.keys == keys
        };
        if self.rest.as_ref().is_some_and(is_same) {
            return Ok(true);
        }
        self.rest = None;
        let Some(view) = CoordinatorView::read(&self.client, &self.keys).await? else {
            return Ok(false);
        };
        // The term from the linearizable read. The directory may still have that of an earlier one, which transactions
        // would not match.
        let holder = view.coordinator.as_ref().filter(|holder| holder.node == self.own);
        let Some(term) = holder.map(|holder| holder.term) else { return Ok(false) };
        let gone = self.absences.look(term, &view.missed(), clock::now());
        let decisions = decide(&view, &gone, &self.rules);
        let last = self.carry_out(&decisions, &view, term).await?;
        self.tell(&gone, term).await?;
        let Self { client, keys: names, own, rules, scaling, .. } = self;
        let turn = ScalingTurn { client, keys: names, by: (*own, term), rules, last, view: &view };
        scaling.look(&turn).await?;
        // A node that is gone must be looked at again although no key changes: its absence becomes longer.
        if decisions.is_empty() && gone.is_empty() && rules.policy.is_none() && view.is_settled() {
            self.rest = Some(Rest { term, until: clock::now() + REST, keys });
        }
        Ok(true)
    }

    /// Returns the keys by which the coordinator notices that it must look: those of nodes by their creation, since a
    /// registration that is written again is of the same node, and all others by their last change.
    fn changes(&self) -> Result<Vec<(Bytes, u64)>, String> {
        let nodes = self.keys.nodes();
        let change = |pair: KeyValue| {
            let is_node = pair.key.starts_with(nodes.as_bytes());
            (pair.key, if is_node { pair.created } else { pair.modified })
        };
        Ok(self.directory.pairs("")?.into_iter().map(change).collect())
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
        // The key is new, and names no nodes.
        self.told.clear();
        let value = Holder::print(self.own, &self.told).into();
        let transaction = EtcdTransaction {
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
        view: &CoordinatorView,
        term: u64,
    ) -> Result<Option<u64>, String> {
        let mut last = view.last_decision;
        for decision in decisions {
            let transaction = transaction(decision, view, &self.keys, (self.own, term), last);
            let done = self.client.transact(&transaction).await.map_err(|why| why.to_string())?;
            if !done.succeeded {
                // Those after it would be refused as well: each compares the one before it.
                tracing::debug!("the state changed after the decision that {decision}");
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
        let told = gone.iter().map(since).collect();
        let key = self.keys.coordinator();
        let value = Holder::print(self.own, &told).into();
        let transaction = EtcdTransaction {
            compare: vec![Compare::Created { key: key.clone().into(), revision: term }],
            then: vec![Operation::Put { key: key.into(), value, lease }],
            otherwise: Vec::new(),
        };
        let done = self.client.transact(&transaction).await.map_err(|why| why.to_string())?;
        // Otherwise the next turn says it again.
        if done.succeeded {
            self.told = told;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::ClientSettings;
    use crate::etcd::process::Etcd;
    use crate::node::tests::settings;
    use crate::peer::GroupId;
    use crate::peer::client::MOST_FETCHED;

    #[tokio::test]
    async fn nodes_that_are_gone_are_told_until_etcd_has_them() {
        let Some(etcd) = Etcd::start(1) else { return };
        let client = EtcdClient::connect(&ClientSettings::new(etcd.endpoints())).unwrap();
        let keys = GroupKeys::new("told", 0).unwrap();
        let peers = PeerClientOptions {
            group: GroupId::default(),
            node: NodeId([1; 20]),
            tls: None,
            insecure: false,
            most_bytes: MOST_FETCHED,
        };
        let mut coordinator = Coordinator::new(
            client.clone(),
            keys.clone(),
            NodeId([1; 20]),
            &settings(&etcd, "told"),
            (Arc::default(), peers),
            ClusterDirectory::new(client.clone(), Arc::new(keys.clone())),
        );
        assert!(coordinator.campaign(None).await.unwrap());
        let held = async || {
            let pair = client.get(keys.coordinator()).await.unwrap().pair;
            Holder::of(&pair.expect("the key of the coordinator")).expect("a value")
        };
        let term = held().await.term;
        let gone = BTreeMap::from([(NodeId([2; 20]), 1000)]);
        coordinator.tell(&gone, term + 1).await.unwrap();
        assert!(held().await.gone.is_empty(), "it is told in another term");
        coordinator.tell(&gone, term).await.unwrap();
        assert!(held().await.gone.keys().eq(gone.keys()), "a refused transaction counts as told");
        coordinator.tell(&BTreeMap::new(), term).await.unwrap();
        assert!(held().await.gone.is_empty());
    }
}
