//! The nodes that are there: each registers itself under `node/<id>`, with a lease of etcd, and reads the others. A
//! node that the cluster places also reads whether it shall leave its group, and how many nodes there should be.
//!
//! Nothing is decided by this but where clients and peers find a node, and whether a clock is ahead. A lease that etcd
//! ends too early makes a node look absent for a second.

use super::autoscale::desired::Desired;
use super::autoscale::load::LoadMeter;
use super::clock;
use super::conflicts::Conflicts;
use super::core::NodeId;
use super::error::StartError;
use super::etcd::{
    Answer, Client, EtcdError, Keys as KeyRange, Lease, Operation, Range, Transaction,
};
use super::failures::{Failures, UNHEARD};
use super::identity::Format;
use super::keys::Keys;
use super::message::{Inbox, Message};
use super::moves;
use super::place::Place;
use super::registration::{Node, Registration};
use super::status::Counters;
use super::view::{DesiredNodes, Views};
use crate::config::ClusterSettings;
use crate::lock::lock;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// How long etcd keeps the registration of a node that is silent.
const LEASE: Duration = Duration::from_millis(UNHEARD);
/// How often a node writes its registration and reads the others'.
const PERIOD: Duration = Duration::from_secs(1);
/// The same while a registration is missed.
const SHORT_PERIOD: Duration = Duration::from_millis(100);
/// How often another process with this node's id must be seen to write before this one stops.
const TWIN: u32 = 3;
/// How long that process must be silent, in milliseconds, before its registration is replaced. It was the process
/// before a restart.
const SILENCE: u64 = 3000;
/// After this many registrations, a node asks again which member of etcd is the leader.
const LEADER_TURNS: u32 = 10;

/// The load of this node, and the cell for the number of nodes that the cluster wants.
pub(super) struct Told {
    views: Arc<Views>,
    meter: Option<Arc<LoadMeter>>,
    /// Whether the cluster places the node.
    is_placed: bool,
    /// Whether the cluster says how many nodes it wants.
    has_number: bool,
}

impl Told {
    pub(super) fn new(
        settings: &ClusterSettings,
        views: Arc<Views>,
        meter: Option<Arc<LoadMeter>>,
    ) -> Self {
        let (is_placed, has_number) = (settings.auto_group, settings.autoscale.is_some());
        Self { views, meter, is_placed, has_number }
    }
}

/// The registration of this node, which the driver changes and the task writes.
pub(super) struct Registry {
    client: Client,
    keys: Arc<Keys>,
    id: NodeId,
    own: Mutex<Registration>,
    counters: Arc<Counters>,
    told: Told,
    /// The id of the lease; 0 until there is one.
    lease: Mutex<i64>,
    /// Wakes the task if a registration is missed, or this node's has changed.
    missed: Notify,
}

impl Registry {
    pub(super) fn new(
        client: Client,
        keys: Arc<Keys>,
        id: NodeId,
        own: Registration,
        (counters, told): (Arc<Counters>, Told),
    ) -> Arc<Self> {
        Arc::new(Self {
            client,
            keys,
            id,
            own: Mutex::new(own),
            counters,
            told,
            lease: Mutex::new(0),
            missed: Notify::new(),
        })
    }

    /// Changes the node's registration. It is written at the next turn, and soon if the node's part is another one:
    /// other groups send clients to a primary by its registration.
    pub(super) fn update(&self, change: impl FnOnce(&mut Registration)) {
        let mut own = lock(&self.own);
        let before = (own.role.clone(), own.epoch);
        change(&mut own);
        if own.role != before.0 || own.role == "primary" && own.epoch != before.1 {
            self.missed.notify_one();
        }
    }

    /// Returns the id of the node's lease; 0 if it has none.
    pub(super) fn lease(&self) -> i64 {
        *lock(&self.lease)
    }

    /// Makes the task read the registrations soon, because one of them is missed: clients cannot be sent to a new
    /// primary before its address is known.
    pub(super) fn miss(&self) {
        self.missed.notify_one();
    }

    /// Writes the registration and reads all others, every second, until the driver has stopped.
    pub(super) async fn run(self: Arc<Self>, inbox: Inbox) {
        let (mut lease, mut twin, mut failures) = (None, Twin::default(), Failures::default());
        let (mut conflicts, mut turns) = (Conflicts::default(), 0..);
        while !inbox.is_closed() {
            if turns.next().is_some_and(|turn: u32| turn.is_multiple_of(LEADER_TURNS)) {
                // Apart, because a member that does not answer takes its time.
                let client = self.client.clone();
                tokio::spawn(async move { client.prefer_leader().await });
            }
            match self.turn(&mut lease, &mut twin).await {
                Ok(nodes) if twin.changes >= TWIN => {
                    // Fails only after the driver has stopped.
                    let _ = inbox.send(Message::Failed(self.twin_text(&nodes)));
                    return;
                }
                Ok(nodes) => {
                    if failures.end() {
                        tracing::info!("this node is registered again");
                    }
                    let own = lock(&self.own).clone();
                    for why in conflicts.found((self.id, &own), &nodes, clock::now()) {
                        tracing::warn!("{why}");
                    }
                    let (spares, nodes): (Vec<_>, _) =
                        nodes.into_iter().partition(|node| node.registration.is_spare());
                    self.counters.spares.set(spares.len() as u64);
                    // As above.
                    let _ = inbox.send(Message::Nodes(nodes));
                    self.read_slots(&inbox).await;
                    if let Err(why) = self.read_format().await {
                        // As above.
                        let _ = inbox.send(Message::Failed(why.to_string()));
                        return;
                    }
                    if self.told.is_placed {
                        self.read_wishes(&inbox).await;
                    }
                }
                Err(why) if failures.must_be_told(clock::now()) => tracing::warn!(
                    "this node has not been registered for some seconds, so clients and other nodes do not find it. \
                     While a primary does not reach etcd, its clients wait for the answers of reads and changes: {why}"
                ),
                Err(why) => tracing::debug!("cannot register this node: {why}"),
            }
            tokio::time::sleep(SHORT_PERIOD).await;
            // Ends at once if a registration is missed, and by the timeout otherwise.
            let _ =
                tokio::time::timeout(PERIOD.saturating_sub(SHORT_PERIOD), self.missed.notified())
                    .await;
        }
        if let Some(lease) = lease {
            lease.revoke().await;
        }
    }

    async fn read_slots(&self, inbox: &Inbox) {
        match moves::read_slots(&self.client, &self.keys).await {
            Ok(Some(map)) => {
                // Fails only after the driver has stopped.
                let _ = inbox.send(Message::Slots(map));
            }
            Ok(None) => {}
            Err(why) => tracing::debug!("cannot read which group has which slot: {why}"),
        }
    }

    /// Reads the format of the cluster.
    ///
    /// # Errors
    /// If this program does not read it.
    async fn read_format(&self) -> Result<(), StartError> {
        let found = match self.client.get(self.keys.format()).await {
            Ok(found) => found.pair,
            Err(why) => {
                tracing::debug!("cannot read the format of the cluster: {why}");
                return Ok(());
            }
        };
        // The protocol notices that etcd was emptied.
        let Some(pair) = found else { return Ok(()) };
        // Nor does a value that says nothing stop a node that runs.
        let Some(number) = Format::number_of(&pair.value) else { return Ok(()) };
        self.counters.format.set(number.into());
        Format::check_number(number, lock(&self.own).formats)
    }

    /// Reads whether the node shall leave its group, and how many nodes the cluster wants.
    async fn read_wishes(&self, inbox: &Inbox) {
        let place = Operation::get(self.keys.place(&self.id.to_string()));
        let then = vec![place, Operation::get(self.keys.desired())];
        let read = Transaction { then, ..Transaction::default() };
        let answers = match self.client.transact(&read).await {
            Ok(done) => done.answers,
            Err(why) => return tracing::debug!("cannot read this node's place: {why}"),
        };
        let value = |answer: Option<&Answer>| match answer {
            Some(Answer::Found(pairs, _)) => pairs.first().map(|pair| pair.value.clone()),
            _ => None,
        };
        let place = value(answers.first()).and_then(|value| Place::parse(&value));
        if place == Some(Place::left(lock(&self.own).group)) {
            // Fails only after the driver has stopped.
            let _ = inbox.send(Message::Depart);
        }
        let desired = value(answers.get(1)).filter(|_| self.told.has_number);
        let desired = desired.and_then(|value| Desired::parse(&value));
        self.told.views.set_desired(desired.map(|desired| DesiredNodes {
            nodes: desired.nodes,
            log_saturated: desired.log_saturated,
            page: desired.print(),
        }));
    }

    async fn turn(
        &self,
        lease: &mut Option<Lease>,
        twin: &mut Twin,
    ) -> Result<Vec<Node>, EtcdError> {
        let nodes = read_nodes(&self.client, &self.keys).await?;
        let mut own = lock(&self.own).clone();
        own.load = self.told.meter.as_ref().map(|meter| meter.measure(clock::now()));
        twin.see(self.other(&nodes).map(|other| (other.nonce, other.wall)), clock::now());
        if twin.may_be_alive(clock::now()) {
            return Ok(nodes);
        }
        if lease.as_ref().is_none_or(Lease::is_lost) {
            let granted = self.client.grant(LEASE).await?;
            *lock(&self.lease) = granted.id();
            *lease = Some(granted);
        }
        let key = self.keys.node(&self.id.to_string());
        let value = serde_json::to_string(&own).unwrap_or_default();
        self.client.put(key, value, self.lease()).await?;
        Ok(nodes)
    }

    /// Returns the registration of another process with this node's id.
    fn other<'a>(&self, nodes: &'a [Node]) -> Option<&'a Registration> {
        let nonce = lock(&self.own).nonce;
        let of_id = nodes.iter().filter(|node| node.id == self.id);
        of_id.map(|node| &node.registration).find(|other| other.nonce != nonce)
    }

    fn twin_text(&self, nodes: &[Node]) -> String {
        let at = self.other(nodes).map(|other| format!(" at {}:{}", other.ip, other.port));
        format!(
            "another process{} has the id {} of this node: its directory is a copy of this one. Stop one of the two. \
             To make a new node of this one, start it with an empty directory",
            at.unwrap_or_default(),
            self.id
        )
    }
}

/// Reads the registrations of all nodes.
///
/// # Errors
/// If etcd cannot be read.
pub(super) async fn read_nodes(client: &Client, keys: &Keys) -> Result<Vec<Node>, EtcdError> {
    let prefix = keys.nodes();
    let range = Range::of(KeyRange::prefix(prefix.clone()));
    let nodes = client.range(&range).await?.pairs.into_iter().filter_map(|pair| {
        let id = pair.key.strip_prefix(prefix.as_bytes())?;
        let id = NodeId::read(id)?;
        Some(Node { id, registration: Registration::read(&pair.value)? })
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
