//! The nodes that are there: each registers itself under `node/<id>`, with a lease of etcd, and hears of the others by
//! the [directory](crate::membership::directory). A node that the cluster places also hears whether it shall
//! leave its group, and how many nodes there should be.
//!
//! Nothing is decided by this but where clients and peers find a node, and whether a clock is ahead. A lease that etcd
//! ends too early makes a node look absent for a second. What the directory says may be old:
//!
//! | what is old | then |
//! |---|---|
//! | a registration | clients are sent to the old address, or to an old primary, which sends them on or refuses |
//! | the map of slots | as before: a group refuses commands for slots that it does not own by its own log |
//! | the format of the cluster | a node that does not read it stops later; it applies no entry of that format |
//! | the node's place, the number of wanted nodes | the node leaves its group later; the wish stays until it does |
//!
//! A registration is written when it changes, and otherwise only every [`REST`]: each is a write of all members of
//! etcd, and is told to all nodes.

use crate::etcd::{
    Compare, EtcdClient, EtcdError, EtcdTransaction, KeyValue, Keys as KeyRange, Lease, Operation,
    Range,
};
use crate::measure::clock;
use crate::measure::failures::{Failures, UNHEARD};
use crate::membership::conflicts::Conflicts;
use crate::membership::desired::Desired;
use crate::membership::directory::{ClusterDirectory, text};
use crate::membership::events::{Events, MembershipEvent};
use crate::membership::identity::ClusterFormat;
use crate::membership::keys::GroupKeys;
use crate::membership::load::LoadMeter;
use crate::membership::place::NodeAssignment;
use crate::membership::registration::{RegisteredNode, Registration};
use crate::membership::slot_map::SlotMap;
use crate::node::status::ClusterCounters;
use hedgerow_db_engine::lock::lock;
use hedgerow_db_group::NodeId;
use hedgerow_db_redis::config::ClusterSettings;
use hedgerow_db_redis::view::{DesiredNodes, Views};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// How long etcd keeps the registration of a node that is silent.
const LEASE: Duration = Duration::from_millis(UNHEARD);
/// How often a node looks whether its registration has changed, and writes it if it has.
const PERIOD: Duration = Duration::from_secs(1);
/// The same while another registration changes, or one is missed.
const SHORT_PERIOD: Duration = Duration::from_millis(100);
/// How often a registration is written that has not changed, in milliseconds. It tells the node's clock.
const REST: u64 = 5000;
/// By how much the time of a registration may differ from the one that others reckon with, in milliseconds. More is a
/// clock that was set.
const DRIFT: u64 = 500;
/// How often another process with this node's id must be seen to write before this one stops.
const TWIN: u32 = 3;
/// How long that process must be silent, in milliseconds, before its registration is replaced. It was the process
/// before a restart.
const SILENCE: u64 = 3000;

/// The load of this node, and the cell for the number of nodes that the cluster wants.
pub(crate) struct Told {
    views: Arc<Views>,
    meter: Option<Arc<LoadMeter>>,
    /// Whether the cluster places the node.
    is_placed: bool,
    /// Whether the cluster says how many nodes it wants.
    has_number: bool,
}

impl Told {
    pub(crate) fn new(
        settings: &ClusterSettings,
        views: Arc<Views>,
        meter: Option<Arc<LoadMeter>>,
    ) -> Self {
        let (is_placed, has_number) = (settings.auto_group, settings.autoscale.is_some());
        Self { views, meter, is_placed, has_number }
    }
}

/// The registration of this node, which the driver changes and the task writes.
pub(crate) struct NodeRegistry {
    client: EtcdClient,
    keys: Arc<GroupKeys>,
    id: NodeId,
    /// The numbers of this node's processes that have ended: their registration is replaced at once.
    former: Vec<u64>,
    own: Mutex<Registration>,
    counters: Arc<ClusterCounters>,
    told: Told,
    directory: Arc<ClusterDirectory>,
    /// The id of the lease; 0 until there is one.
    lease: Mutex<i64>,
    /// Wakes the task if a registration is missed, or this node's has changed.
    missed: Notify,
}

impl NodeRegistry {
    pub(crate) fn new(
        client: EtcdClient,
        keys: Arc<GroupKeys>,
        (id, former): (NodeId, Vec<u64>),
        own: Registration,
        (counters, told): (Arc<ClusterCounters>, Told),
    ) -> Arc<Self> {
        let directory = ClusterDirectory::new(client.clone(), Arc::clone(&keys));
        Arc::new(Self {
            directory,
            client,
            keys,
            id,
            former,
            own: Mutex::new(own),
            counters,
            told,
            lease: Mutex::new(0),
            missed: Notify::new(),
        })
    }

    /// Changes the node's registration. It is written at the next turn, and soon if the node's part is another one:
    /// other groups send clients to a primary by its registration.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Registration)) {
        let mut own = lock(&self.own);
        let before = (own.role.clone(), own.epoch);
        change(&mut own);
        if own.role != before.0 || own.role == "primary" && own.epoch != before.1 {
            self.missed.notify_one();
        }
    }

    /// Returns the id of the node's lease; 0 if it has none.
    pub(crate) fn lease(&self) -> i64 {
        *lock(&self.lease)
    }

    /// Returns what etcd tells of the cluster.
    pub(crate) fn directory(&self) -> &Arc<ClusterDirectory> {
        &self.directory
    }

    /// Makes the task look at the registrations soon, because one of them is missed: clients cannot be sent to a new
    /// primary before its address is known.
    pub(crate) fn miss(&self) {
        self.missed.notify_one();
        self.directory.miss();
    }

    /// Writes the registration and tells of all others, until `events` is closed.
    pub(crate) async fn run(self: Arc<Self>, events: Events) {
        // In one task, so that a panic of either is noticed.
        tokio::select! {
            () = self.directory.run() => {}
            () = self.keep(&events) => {}
        }
    }

    async fn keep(&self, events: &Events) {
        let (mut own, mut seen) = (Own::default(), SeenKeys::default());
        let (mut failures, mut conflicts) = (Failures::default(), Conflicts::default());
        let mut heard = self.directory.heard();
        while !events.is_closed() {
            // Before the directory is read, so that nothing that is heard in between is missed.
            heard.mark_unchanged();
            let turn = async {
                let is_heard = seen.look(&self.directory, &self.keys)?;
                self.turn(&mut own, &seen).await.map(|()| is_heard)
            };
            match turn.await {
                Ok(_) if own.twin.changes >= TWIN => {
                    events.send(MembershipEvent::Failed(self.twin_text(&seen.nodes)));
                    return;
                }
                Ok(is_heard) => {
                    if failures.end() {
                        tracing::info!("this node is registered again");
                    }
                    let registration = lock(&self.own).clone();
                    for why in conflicts.found((self.id, &registration), &seen.nodes, clock::now())
                    {
                        tracing::warn!("{why}");
                    }
                    if let Err(why) = self.tell(&seen, is_heard, events) {
                        events.send(MembershipEvent::Failed(why));
                        return;
                    }
                }
                Err(why) if failures.must_be_told(clock::now()) => tracing::warn!(
                    "this node has not been registered for several seconds, so clients and other nodes cannot find \
                     it. If it is the primary and cannot reach etcd, its clients wait for replies to reads and \
                     writes: {why}"
                ),
                Err(why) => tracing::debug!("cannot register this node: {why}"),
            }
            // A bound for the turns in a second, however much is heard.
            sleep(SHORT_PERIOD).await;
            // Ends at once if something was heard or a registration is missed, and by the timeout otherwise.
            let wait = async {
                tokio::select! {
                    _ = heard.changed() => {}
                    () = self.missed.notified() => {}
                }
            };
            let _ = timeout(PERIOD.saturating_sub(SHORT_PERIOD), wait).await;
        }
        if let Some(lease) = own.lease {
            lease.revoke().await;
        }
    }

    /// Tells what is known. Of nodes only if they were heard of since the last time: their clocks are
    /// compared if their registrations have changed since then, and those from before an outage of etcd must not look
    /// new.
    ///
    /// # Errors
    /// If this program does not read the format of the cluster.
    fn tell(&self, seen: &SeenKeys, is_heard: bool, events: &Events) -> Result<(), String> {
        if is_heard {
            let nodes = seen.nodes.iter().cloned();
            let (spares, nodes): (Vec<_>, _) = nodes.partition(|node| node.registration.is_spare());
            self.counters.spares.set(spares.len() as u64);
            events.send(MembershipEvent::Nodes(nodes));
        }
        if let Some(map) = seen.slots.value.clone() {
            // Each time: a primary shows a map before etcd has it, and etcd may never get it.
            events.send(MembershipEvent::Slots(map));
        }
        // The protocol notices that etcd was emptied. Nor does a value that says nothing stop a node that runs.
        if let Some(number) = seen.format.value {
            self.counters.format.set(number.into());
            ClusterFormat::check_number(number, lock(&self.own).formats)
                .map_err(|why| why.to_string())?;
        }
        if self.told.is_placed {
            if self.place() == Ok(Some(NodeAssignment::left(lock(&self.own).group))) {
                events.send(MembershipEvent::Depart);
            }
            let desired = self.directory.pair(&self.keys.desired()).ok().flatten();
            let desired = desired.filter(|_| self.told.has_number);
            let desired = desired.and_then(|pair| Desired::parse(&pair.value));
            self.told.views.set_desired(desired.map(|desired| DesiredNodes {
                nodes: desired.nodes,
                log_saturated: desired.log_saturated,
                page: desired.print(),
            }));
        }
        Ok(())
    }

    /// Returns where the cluster has placed this node, or that it shall leave.
    ///
    /// # Errors
    /// If that is not known at present.
    pub(crate) fn place(&self) -> Result<Option<NodeAssignment>, String> {
        let pair = self.directory.pair(&self.keys.place(&self.id.to_string()))?;
        Ok(pair.and_then(|pair| NodeAssignment::parse(&pair.value)))
    }

    /// Writes the registration if it is time.
    async fn turn(&self, own: &mut Own, seen: &SeenKeys) -> Result<(), String> {
        let now = clock::now();
        let mut registration = lock(&self.own).clone();
        registration.load = self.told.meter.as_ref().map(|meter| meter.measure(now));
        let other = self.other(&seen.nodes).map(|other| (other.nonce, other.wall));
        own.twin.see(other, now);
        let key = self.keys.node(&self.id.to_string());
        let pair = self.directory.pair(&key)?;
        if own.twin.may_be_alive(now) {
            // What this node has written is gone.
            own.written = None;
            return self.provoke(own, pair).await;
        }
        if own.lease.as_ref().is_none_or(Lease::is_lost) {
            let granted = self.client.grant(LEASE).await.map_err(text)?;
            *lock(&self.lease) = granted.id();
            own.lease = Some(granted);
            // The key ended with the lease.
            own.written = None;
        }
        let modified = pair.map(|pair| pair.modified);
        let (known, _) = self.directory.heard_of_nodes()?;
        // Before the directory has heard of the write, its absence says nothing. Afterwards, another revision means
        // that the key was replaced or has ended.
        let is_there = |written: &Written| known < written.at || modified == Some(written.at);
        if own.written.as_ref().is_some_and(|it| is_there(it) && !it.is_due(&registration, now)) {
            return Ok(());
        }
        let value = serde_json::to_string(&registration).unwrap_or_default();
        let at = self.client.put(key, value, self.lease()).await.map_err(text)?;
        own.written = Some(Written { registration, at, since: now });
        Ok(())
    }

    /// Writes the registration of another process with this node's id again, unchanged. If it lives, it answers that
    /// with a new one at once, and would else write none for seconds.
    async fn provoke(&self, own: &mut Own, pair: Option<KeyValue>) -> Result<(), String> {
        let Some(KeyValue { key, value, modified, lease, .. }) = pair else { return Ok(()) };
        // Once for each time that the other process writes.
        if std::mem::replace(&mut own.provoked, modified) == modified {
            return Ok(());
        }
        let again = EtcdTransaction {
            compare: vec![Compare::Modified { key: key.clone(), revision: modified }],
            then: vec![Operation::Put { key, value, lease }],
            ..EtcdTransaction::default()
        };
        // Refused if that process has written or ended meanwhile.
        let done = self.client.transact(&again).await.map_err(text)?;
        if done.succeeded {
            own.provoked = done.revision;
        }
        Ok(())
    }

    /// Returns the registration of another process with this node's id.
    fn other<'a>(&self, nodes: &'a [RegisteredNode]) -> Option<&'a Registration> {
        let nonce = lock(&self.own).nonce;
        other_process(nodes, self.id, (nonce, &self.former))
    }

    fn twin_text(&self, nodes: &[RegisteredNode]) -> String {
        let at = self.other(nodes).map(|other| format!(" at {}:{}", other.ip, other.port));
        format!(
            "another process{} has the same node id, {}: its directory is a copy of this one. Stop one of the two. \
             To make this one a new node, start it with an empty directory",
            at.unwrap_or_default(),
            self.id
        )
    }
}

/// The registration of this node in etcd.
#[derive(Default)]
struct Own {
    lease: Option<Lease>,
    written: Option<Written>,
    twin: Twin,
    /// The revision of the registration that was written for another process.
    provoked: u64,
}

/// A registration that this node has written.
struct Written {
    registration: Registration,
    /// etcd's revision.
    at: u64,
    /// When that was, boot time.
    since: u64,
}

impl Written {
    /// Returns whether this node's registration must be written again.
    fn is_due(&self, now: &Registration, at: u64) -> bool {
        let passed = at.saturating_sub(self.since);
        let drift = now.wall.abs_diff(self.registration.wall.saturating_add(passed));
        passed >= REST || drift > DRIFT || !now.is_like(&self.registration)
    }
}

/// What the directory says, parsed once for each version of a key.
#[derive(Default)]
struct SeenKeys {
    nodes: Vec<RegisteredNode>,
    /// The revision of each registration.
    versions: HashMap<NodeId, u64>,
    /// How often was heard of them.
    heard: u64,
    slots: SeenKey<SlotMap>,
    format: SeenKey<u32>,
}

/// The value of a key, and the revision that it is of.
struct SeenKey<T> {
    modified: Option<u64>,
    value: Option<T>,
}

impl<T> Default for SeenKey<T> {
    fn default() -> Self {
        Self { modified: None, value: None }
    }
}

impl<T> SeenKey<T> {
    fn see(&mut self, pair: Option<KeyValue>, read: impl FnOnce(&[u8]) -> Option<T>) {
        let modified = pair.as_ref().map(|pair| pair.modified);
        if self.modified != modified {
            let value = pair.and_then(|pair| read(&pair.value));
            *self = Self { modified, value };
        }
    }
}

impl SeenKeys {
    /// Takes what the directory says now. Returns whether nodes were heard of since the last time.
    ///
    /// # Errors
    /// If the cluster's keys are not known at present.
    fn look(&mut self, directory: &ClusterDirectory, keys: &GroupKeys) -> Result<bool, String> {
        let (_, heard) = directory.heard_of_nodes()?;
        let pairs = directory.pairs(&keys.nodes())?;
        let mut old: HashMap<NodeId, RegisteredNode> =
            self.nodes.drain(..).map(|node| (node.id, node)).collect();
        let mut versions = HashMap::new();
        for pair in pairs {
            let Some(id) = node_id(keys, &pair) else { continue };
            let same = self.versions.get(&id) == Some(&pair.modified);
            let known = old.remove(&id).filter(|_| same);
            let read =
                || Some(RegisteredNode { id, registration: Registration::read(&pair.value)? });
            let Some(node) = known.or_else(read) else { continue };
            versions.insert(id, pair.modified);
            self.nodes.push(node);
        }
        self.versions = versions;
        self.slots.see(directory.pair(&keys.slots())?, |value| {
            SlotMap::parse(value).inspect_err(|why| tracing::warn!("{why}")).ok()
        });
        self.format.see(directory.pair(&keys.format())?, ClusterFormat::number_of);
        Ok(std::mem::replace(&mut self.heard, heard) != heard)
    }
}

fn node_id(keys: &GroupKeys, pair: &KeyValue) -> Option<NodeId> {
    NodeId::read(pair.key.strip_prefix(keys.nodes().as_bytes())?)
}

/// Returns the registration of a process with a node's id, unless it is this one's, or that of one that has ended.
fn other_process<'a>(
    nodes: &'a [RegisteredNode],
    id: NodeId,
    (own, ended): (u64, &[u64]),
) -> Option<&'a Registration> {
    let mut of_id = nodes.iter().filter(|node| node.id == id).map(|node| &node.registration);
    of_id.find(|other| other.nonce != own && !ended.contains(&other.nonce))
}

/// Reads the registrations of all nodes.
///
/// # Errors
/// If etcd cannot be read.
pub(crate) async fn read_nodes(
    client: &EtcdClient,
    keys: &GroupKeys,
) -> Result<Vec<RegisteredNode>, EtcdError> {
    let range = Range::of(KeyRange::prefix(keys.nodes()));
    let nodes = client.range(&range).await?.pairs.into_iter().filter_map(|pair| {
        let id = node_id(keys, &pair)?;
        Some(RegisteredNode { id, registration: Registration::read(&pair.value)? })
    });
    Ok(nodes.collect())
}

/// Another process with the id of this node: the one before a restart, whose registration is still there, or one with
/// a copy of the directory.
#[derive(Default)]
struct Twin {
    /// Its number, and the time that it wrote last.
    last: Option<(u64, u64)>,
    /// When that was seen first, boot time.
    since: u64,
    /// How often it has written since it was seen first.
    changes: u32,
}

impl Twin {
    /// Notes the registration that is there now.
    fn see(&mut self, found: Option<(u64, u64)>, now: u64) {
        match (self.last, found) {
            (Some(last), Some(found)) if last == found => {}
            (Some((nonce, _)), Some(found)) if nonce == found.0 => {
                (self.last, self.since) = (Some(found), now);
                self.changes += 1;
            }
            (_, found) => *self = Self { last: found, since: now, changes: 0 },
        }
    }

    /// Whether it may still write.
    fn may_be_alive(&self, now: u64) -> bool {
        self.last.is_some() && now < self.since + SILENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_writes_is_alive() {
        let mut twin = Twin::default();
        for turn in 0..=u64::from(TWIN) {
            twin.see(Some((7, turn)), turn * 1000);
            assert!(twin.may_be_alive(turn * 1000));
        }
        assert_eq!(twin.changes, TWIN);
        twin.see(None, 9000);
        assert!(!twin.may_be_alive(9000) && twin.changes == 0);
    }

    #[test]
    fn a_process_that_has_ended_is_not_waited_for() {
        let (id, other) = (NodeId([1; 20]), NodeId([2; 20]));
        let of = |id, nonce| {
            let registration = Registration { nonce, ..Registration::default() };
            vec![RegisteredNode { id, registration }]
        };
        let found =
            |nodes: &[RegisteredNode]| other_process(nodes, id, (7, &[5, 6])).map(|one| one.nonce);
        assert_eq!(found(&of(id, 7)), None);
        assert_eq!(found(&of(id, 6)), None, "the process before this one is waited for");
        assert_eq!(found(&of(id, 8)), Some(8));
        assert_eq!(found(&of(other, 8)), None);
    }

    #[test]
    fn the_registration_from_before_a_restart_is_replaced() {
        let mut twin = Twin::default();
        for now in (0..SILENCE).step_by(500) {
            twin.see(Some((7, 1)), now);
            assert!(twin.may_be_alive(now));
        }
        twin.see(Some((7, 1)), SILENCE);
        assert!(!twin.may_be_alive(SILENCE), "it is waited for without end");
        assert_eq!(twin.changes, 0);
    }
}
