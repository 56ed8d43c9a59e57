//! The driver: one thread that gives the protocol its events, and carries out its actions.
//!
//! It never blocks. Calls to etcd are tasks of its runtime, entries are applied by the
//! [applier](crate::node::applier), the disk is forced by a thread of its own. All of them answer with
//! messages, so the protocol sees one event at a time.

use crate::log::EtcdLog;
use crate::log::local_log::Incarnation;
use crate::measure::clock;
use crate::membership::bootstrap;
use crate::membership::durable::Durable;
use crate::membership::events::MembershipEvent;
use crate::membership::identity::ClusterFormat;
use crate::membership::load::LoadMeter;
use crate::membership::registration::{Clocks, RegisteredNode};
use crate::membership::registry::NodeRegistry;
use crate::membership::topology::Topology;
use crate::moves::Primaries;
use crate::node::alarm::NoSpaceAlarm;
use crate::node::applier::{Applier, ApplierOrder};
use crate::node::calls::Calls;
use crate::node::compaction::Compaction;
use crate::node::disk_thread;
use crate::node::group_commit::GroupCommit;
use crate::node::message::{ApplierReport, DriverMessage};
use crate::node::messenger::Links;
use crate::node::quota::{EtcdQuotaLevel, QuotaTracker};
use crate::node::resync::Resync;
use crate::node::status::{NodeExit, NodeMonitor, NodeStatus};
use crate::node::wording;
use hedgerow_db_engine::Db;
use hedgerow_db_engine::lock::lock;
use hedgerow_db_engine::log::{Log as _, Lsn};
use hedgerow_db_group::{Action, Batch, DurableKey, Event, Group, GroupRole, Now, Put, TxnOutcome};
use hedgerow_db_redis::view::{MemberRole, NodeAddresses, View, Views};
use std::collections::HashMap;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

/// The view is made at least this often, and after each change of role.
const VIEW: u64 = 100;
/// Messages that are handled before the deadline of the protocol is looked at again.
const MESSAGES: usize = 256;
/// How long a node that leaves its group waits for etcd to take its last entries, in milliseconds.
const DEPART: u64 = 5000;
/// How long clients are held back at most while a new primary is awaited.
const HOLD: u64 = 2000;
/// The consequence of a disk that keeps no entries.
const NO_DISK: &str =
    "until this is repaired, this node cannot be the primary and does not count as a copy";

/// The parts of a driver.
pub(crate) struct DriverParts {
    pub(crate) group: Group,
    pub(crate) db: Db,
    pub(crate) log: Arc<EtcdLog>,
    pub(crate) views: Arc<Views>,
    pub(crate) calls: Calls,
    pub(crate) replica: Applier,
    pub(crate) registry: Arc<NodeRegistry>,
    pub(crate) topology: Topology,
    pub(crate) resync: Resync,
    pub(crate) links: Arc<Links>,
    pub(crate) primaries: Primaries,
    pub(crate) quota: QuotaTracker,
    pub(crate) incarnation: Incarnation,
    /// The cluster that the node's entries belong to.
    pub(crate) format: ClusterFormat,
    pub(crate) durable_key: String,
    pub(crate) wanted_key: String,
    pub(crate) own: hedgerow_db_group::NodeId,
    pub(crate) lease: u64,
    pub(crate) monitor: NodeMonitor,
    pub(crate) meter: Arc<LoadMeter>,
    pub(crate) on_exit: Box<dyn Fn(NodeExit) + Send>,
}

/// The driver's state.
pub(crate) struct Driver {
    parts: DriverParts,
    compaction: Compaction,
    alarm: NoSpaceAlarm,
    durable: DurableKey<String>,
    clocks: Clocks,
    /// When requests were sent that may prove something, in microseconds, by their numbers.
    sent: HashMap<u64, u64>,
    /// The transaction without an answer.
    in_flight: Option<u64>,
    /// When the batch was sent first that etcd has not confirmed, in microseconds.
    batch_since: Option<u64>,
    group_commit: GroupCommit,
    /// The end of the lease and the last confirmation, as the protocol said.
    group_lease: (u64, u64),
    /// The number of the last order to lead, and when it was given, until the state has done it.
    lead: u64,
    leading_since: Option<u64>,
    /// The entry that begins the epoch of this primary.
    begin: Lsn,
    serving: bool,
    /// Changes are refused, and the node is still the primary.
    held: bool,
    troubles: Troubles,
    /// Clients are held back until the primary is known, at the latest until this time.
    hold_until: Option<u64>,
    view_due: u64,
    /// The epoch and the primary of the last view.
    holder: (hedgerow_db_group::Epoch, Option<hedgerow_db_group::NodeId>),
    release: Option<mpsc::Sender<()>>,
    /// When the process starts anew at the latest, to leave the group.
    depart_by: Option<u64>,
    actions: Vec<Action>,
    ended: bool,
}

/// The reasons for which this node must not lead.
#[derive(Default)]
struct Troubles {
    /// Why the node's own disk keeps no entries at present.
    disk: Option<String>,
    /// The disk keeps them too late.
    lags: bool,
    hangs: Hangs,
    /// The thread of the state has not answered an order to lead, and no later order.
    stuck: bool,
}

/// Whether the node's own disk hangs.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Hangs {
    #[default]
    No,
    /// It does, and the node is the primary nevertheless, or would become it: no other member is better.
    Endured,
    /// It does, and the protocol knows that.
    Told,
}

impl Troubles {
    /// Returns whether the disk keeps no entries: the node does not count as a copy.
    fn disk_fails(&self) -> bool {
        self.disk.is_some() || self.lags || self.hangs != Hangs::No
    }

    /// Returns whether the node must not lead.
    fn forbid(&self) -> bool {
        self.disk.is_some() || self.lags || self.hangs == Hangs::Told || self.stuck
    }
}

impl Driver {
    pub(crate) fn new(parts: DriverParts) -> Self {
        Self {
            parts,
            compaction: Compaction::default(),
            alarm: NoSpaceAlarm::default(),
            durable: DurableKey::default(),
            clocks: Clocks::default(),
            sent: HashMap::new(),
            in_flight: None,
            batch_since: None,
            group_commit: GroupCommit::default(),
            group_lease: (0, 0),
            lead: 0,
            leading_since: None,
            begin: 0,
            serving: false,
            held: false,
            troubles: Troubles::default(),
            hold_until: None,
            view_due: 0,
            holder: (0, None),
            release: None,
            depart_by: None,
            actions: Vec::new(),
            ended: false,
        }
    }

    /// Runs until it is stopped, or cannot go on.
    pub(crate) async fn run(mut self, mut messages: UnboundedReceiver<DriverMessage>) {
        self.event(Event::Tick);
        while !self.ended {
            let due = self.parts.group.deadline().min(self.view_due);
            let due = due.min(self.group_commit.due(clock::now()).unwrap_or(due));
            match tokio::time::timeout(clock::until(due), messages.recv()).await {
                Err(_) => {}
                Ok(None) => break,
                Ok(Some(message)) => {
                    self.message(message);
                    for _ in 0..MESSAGES {
                        match messages.try_recv() {
                            Ok(message) if !self.ended => self.message(message),
                            _ => break,
                        }
                    }
                }
            }
            if clock::now() >= self.parts.group.deadline() {
                self.event(Event::Tick);
            }
            self.look_at_log();
            self.check_quota();
            self.look_at_time();
        }
        // No thread may wait for the log for ever.
        self.parts.log.end_term();
    }

    fn message(&mut self, message: DriverMessage) {
        match message {
            DriverMessage::Event(event) => self.answered(event),
            DriverMessage::Wake => {
                if self.parts.log.take_lease_check_wanted() {
                    self.event(Event::LeaseCheckWanted);
                }
            }
            DriverMessage::Applier(report) => self.report(report),
            DriverMessage::Forced(durable) => {
                self.durable.set(Durable::new(self.parts.incarnation, durable).print());
                self.put_durable();
            }
            DriverMessage::Recorded(value) => self.durable.confirm(&value),
            DriverMessage::Membership(event) => self.membership(event),
            DriverMessage::Quota(answer) => {
                self.parts.quota.answered(answer);
                if self.serving {
                    self.compaction.compact(&self.parts.calls, clock::now());
                }
            }
            DriverMessage::Wanted(node) => {
                if self.serving && node != self.parts.own {
                    tracing::info!("node {node} asks to become the primary");
                    self.parts.calls.delete(self.parts.wanted_key.clone());
                    self.hand_over(Some(node));
                }
            }
            DriverMessage::Want => {
                let own = self.parts.own.to_string();
                // Without a lease: etcd may have ended this node's too early, and would refuse the request. The primary
                // deletes the key.
                self.parts.calls.put(self.parts.wanted_key.clone(), own, 0);
            }
            DriverMessage::HandOver(to) => self.hand_over(to),
            DriverMessage::Leave(done) => {
                self.release = Some(done);
                self.release_group();
            }
            DriverMessage::Fetched => {
                self.exit(NodeExit::Restart("the node's data was fetched from a peer".to_owned()));
            }
            DriverMessage::Failed(why) => self.exit(NodeExit::Stop(why)),
            DriverMessage::Restart(why) => self.exit(NodeExit::Restart(why)),
            DriverMessage::Stop => self.ended = true,
        }
    }

    fn membership(&mut self, event: MembershipEvent) {
        match event {
            MembershipEvent::Nodes(nodes) => {
                let of_group = RegisteredNode::of_group(&nodes, self.parts.topology.group());
                let now = Now { boot: clock::now(), wall: self.parts.db.now() };
                let clocks = self.clocks.see(&of_group, self.parts.own, now);
                self.parts.topology.set_nodes(nodes, clock::now());
                self.parts.resync.set_sources(self.parts.topology.sources());
                self.parts.links.set_nodes(&self.parts.topology.other_nodes());
                *lock(&self.parts.primaries) = self.parts.topology.primaries();
                // Before the clocks, by which a primary may choose its successor.
                self.event(Event::Unfit(self.parts.topology.unfit()));
                self.event(Event::Clocks(clocks));
                if self.serving {
                    self.compaction.compact(&self.parts.calls, clock::now());
                }
            }
            MembershipEvent::Slots(map) => {
                self.parts.topology.set_slots(map);
                self.publish_view();
            }
            MembershipEvent::Depart => self.depart(),
            MembershipEvent::Failed(why) => self.exit(NodeExit::Stop(why)),
        }
    }

    /// Puts what the node has on its disk, if it is time.
    fn put_durable(&mut self) {
        // Entries that were not compared with the log yet may be of another history. Their record would count as a
        // copy, and speak against takeovers.
        let is_compared = self.parts.group.status().role != GroupRole::Loading;
        if is_compared && let Some(value) = self.durable.due(clock::now()) {
            self.parts.calls.record(self.parts.durable_key.clone(), value);
        }
    }

    /// Hands the group over, unless that node could not take it.
    fn hand_over(&mut self, to: Option<hedgerow_db_group::NodeId>) {
        if let Some(to) = to.filter(|to| self.parts.topology.is_unfit(*to)) {
            tracing::warn!(
                "the handover was refused: node {to} cannot lead at present, or its disk keeps no entries"
            );
        } else {
            self.event(Event::HandOver(to));
        }
    }

    /// Releases the group, and never takes it over again.
    fn release_group(&mut self) {
        if let Some(to) = self.parts.topology.successor().filter(|_| self.serving) {
            // It takes over at once; without a name, the members wait for each other.
            self.event(Event::HandOver(Some(to)));
        }
        self.event(Event::Exit);
    }

    /// Releases the group, so that the process can start anew and leave it.
    fn depart(&mut self) {
        if self.depart_by.is_none() {
            tracing::info!("this node is to leave group {}", self.parts.topology.group());
            self.depart_by = Some(clock::now() + DEPART);
            self.release_group();
        }
    }

    /// Handles an answer of etcd, or changes that the watch saw.
    fn answered(&mut self, event: Event) {
        let mut id = None;
        match &event {
            Event::Transacted { id: of, outcome } => {
                id = Some(*of);
                self.in_flight = None;
                self.group_commit.answered(self.parts.log.waiting(), clock::now());
                // First the entries that wait, so that the next transaction carries all of it.
                self.take_entries(self.group_commit.least(clock::now()));
                if let TxnOutcome::Done { revision } = outcome {
                    self.compaction.note(*revision, clock::now());
                    self.alarm.confirmed();
                }
                self.note_time(outcome);
            }
            Event::Read { id: of, .. } => id = Some(*of),
            _ => {}
        }
        let sent = id.and_then(|id| self.sent.remove(&id));
        if let (Event::Transacted { outcome: TxnOutcome::Done { .. }, .. }, Some(sent)) =
            (&event, sent)
        {
            self.parts.meter.note(clock::micros().saturating_sub(sent));
        }
        self.event_with(event, sent);
    }

    /// Notes how long etcd took to confirm a batch, with all repetitions. A comparison that did not hold means that an
    /// earlier try was done, or that the batch never will be.
    fn note_time(&mut self, outcome: &TxnOutcome) {
        if !matches!(outcome, TxnOutcome::Failed(_))
            && let Some(since) = self.batch_since.take()
        {
            let times = &self.parts.monitor.counters.batches.times;
            times.add(clock::micros().saturating_sub(since));
        }
    }

    fn report(&mut self, report: ApplierReport) {
        match report {
            ApplierReport::Applied(lsn) => self.event(Event::Applied(lsn)),
            ApplierReport::CannotApply(why) => {
                tracing::error!("this node cannot follow its group any further: {why}");
                self.event(Event::CannotApply(why));
            }
            ApplierReport::Serving(number)
                if number == self.lead && self.leading_since.is_some() =>
            {
                self.begin_serving();
            }
            // It answers an order that a later one has replaced.
            ApplierReport::Serving(_) => {}
            ApplierReport::SteppedDown(time) => {
                // `Closed` promises that all entries were told before.
                self.take_entries(0);
                self.event(Event::Closed { time });
                // The thread answers again.
                if std::mem::take(&mut self.troubles.stuck) {
                    self.mended();
                }
            }
            ApplierReport::MustRestart(why) => self.exit(NodeExit::Restart(why)),
            ApplierReport::DiskFailed(why) => {
                // A local log that has failed reports each batch.
                if self.troubles.disk.as_ref() != Some(&why) {
                    tracing::error!("{why}; {NO_DISK}");
                    self.troubles.disk = Some(why.clone());
                }
                self.event(Event::CannotServe(why));
            }
            ApplierReport::DiskLags(why) => {
                tracing::error!("{why}; {NO_DISK}");
                self.troubles.lags = true;
                self.event(Event::CannotServe(why));
            }
            ApplierReport::DiskMended => {
                self.troubles.disk = None;
                self.mended();
            }
            ApplierReport::DiskKeepsUp => {
                self.troubles.lags = false;
                self.mended();
            }
        }
    }

    /// One of the troubles for which this node must not lead has passed.
    fn mended(&mut self) {
        if !self.troubles.forbid() {
            tracing::info!("this node has recovered, and may lead again");
            self.event(Event::CanServe);
        }
    }

    /// Looks whether the node's own disk hangs.
    ///
    /// A primary goes on meanwhile: etcd has its changes, and the disks of all members may hang together. So a follower
    /// may lead, too, unless another member could whose disk works. A primary whose state waits for the disk lets
    /// the group go when it shall hand over.
    fn look_at_disk(&mut self) {
        let hangs = match disk_thread::hangs(&self.parts.monitor.counters, clock::now()) {
            true if self.serving || self.parts.topology.successor().is_none() => Hangs::Endured,
            true => Hangs::Told,
            false => Hangs::No,
        };
        let before = std::mem::replace(&mut self.troubles.hangs, hangs);
        if (before == Hangs::No) != (hangs == Hangs::No) {
            self.event(Event::DiskHangs(hangs != Hangs::No));
        }
        let why = "this node's disk hangs: the log has not been synced for ten seconds";
        match (before, hangs) {
            (Hangs::No, Hangs::Endured) => tracing::error!(
                "{why}; it does not count as a copy, and leads if it is the primary or no other member can"
            ),
            (Hangs::No | Hangs::Endured, Hangs::Told) => {
                tracing::error!("{why}; {NO_DISK}");
                self.event(Event::CannotServe(why.to_owned()));
            }
            (Hangs::Told, Hangs::Endured) => {
                tracing::warn!("this node's disk still hangs, and no other member could lead");
                self.mended();
            }
            (Hangs::Told, Hangs::No) => self.mended(),
            (Hangs::Endured, Hangs::No) => {
                tracing::info!("this node's disk no longer hangs");
            }
            // Nothing has changed.
            _ => {}
        }
    }

    fn event(&mut self, event: Event) {
        self.event_with(event, None);
    }

    /// Gives the protocol an event. `sent` is when the request was sent that it answers.
    fn event_with(&mut self, event: Event, sent: Option<u64>) {
        if self.ended {
            return;
        }
        let now = Now { boot: clock::now(), wall: self.parts.db.now() };
        let before = (self.parts.log.committed(), self.group_lease);
        let mut actions = std::mem::take(&mut self.actions);
        self.parts.group.handle(now, event, &mut actions);
        // The protocol knows which of several answers is the newest. And the answer that this node was added does not
        // repeat the list.
        if let Some(members) = self.parts.group.members() {
            self.parts.topology.set_members(members);
        }
        for action in actions.drain(..) {
            self.act(action, sent);
        }
        self.actions = actions;
        if self.serving {
            self.parts.log.set_pending(self.parts.group.pending());
            if before != (self.parts.log.committed(), self.group_lease) {
                self.parts.log.tell();
            }
        } else {
            // Clients that are held back want to know the next primary at once.
            let holder = self.parts.group.holder();
            if std::mem::replace(&mut self.holder, holder) != holder {
                self.publish_view();
            }
        }
    }

    fn act(&mut self, action: Action, sent: Option<u64>) {
        match action {
            Action::Read { id, read } => {
                if read == hedgerow_db_group::Read::Tail {
                    self.sent.insert(id, clock::micros());
                }
                self.parts.calls.read(id, read);
            }
            Action::Transact { id, txn } => {
                self.sent.entry(id).or_insert_with(clock::micros);
                self.in_flight = Some(id);
                self.group_commit.sent();
                for put in &txn.puts {
                    if let Put::Batch(_, bytes) = put {
                        self.batch_since.get_or_insert_with(clock::micros);
                        let counts = &self.parts.monitor.counters.batches;
                        counts.sizes.add(bytes.len() as u64);
                        counts.raw_bytes.add(Batch::raw_length(bytes));
                        self.compaction.add_bytes(bytes.len() as u64);
                        self.parts.quota.add(bytes.len());
                    }
                }
                self.parts.calls.transact(id, txn);
            }
            Action::Trim { id, primary, members, below } => {
                self.parts.monitor.counters.trims.add(1);
                self.compaction.add_bytes(0);
                self.parts.calls.trim(id, primary, members, below);
            }
            Action::Halt { id, halt } => self.parts.calls.halt(id, halt, &self.parts.format),
            Action::Watch(from) => self.parts.calls.watch(from),
            Action::Apply(committed) => self.parts.replica.order(ApplierOrder::Apply(committed)),
            Action::Commit(committed) => self.parts.replica.order(ApplierOrder::Keep(committed)),
            Action::Role { role, epoch, lsn, time, reason } => {
                self.change_role(role, (epoch, lsn, time), &wording::role(&reason));
            }
            Action::Hold => self.begin_hold(),
            Action::Unhold => self.end_hold(),
            Action::CommitIndex(lsn) => {
                // Before that, `begin_term` says it.
                if self.serving {
                    self.parts.log.set_committed(lsn);
                }
            }
            Action::RenewLease { until, sent: at, .. } => self.renew_lease(until, at, sent),
            Action::Fenced => self.exit(NodeExit::Restart(
                "another node took over, and this one has changes that were never committed; no client was told that \
                 they succeeded"
                    .to_owned(),
            )),
            Action::Resync { tail, .. } => {
                self.parts.monitor.counters.resyncs.add(1);
                self.parts.resync.begin(tail);
            }
            Action::Spool(seq, bytes) => self.parts.resync.spool(seq, &bytes),
            Action::ReclaimQuota => {
                self.alarm.make_room(&self.parts.calls, self.parts.quota.setting());
            }
            Action::Released => self.released(),
            Action::Restart(why) => self.exit(NodeExit::Restart(why.to_string())),
            Action::Stop(why) => self.exit(NodeExit::Stop(wording::stop(&why))),
            Action::Note(notice) => tracing::info!("{}", wording::notice(&notice)),
        }
    }

    // ---------------------------------------------------------------------------- roles

    fn change_role(&mut self, role: GroupRole, (epoch, lsn, time): (u64, u64, u64), reason: &str) {
        let name = match role {
            GroupRole::Loading => "loading",
            GroupRole::Follower => "a follower",
            GroupRole::Primary => "the primary",
        };
        tracing::info!("this node is {name} in epoch {epoch}: {reason}");
        let was_primary = self.serving || self.leading_since.is_some() || self.held;
        if role == GroupRole::Primary {
            let kind = self.parts.group.takeover().kind();
            self.parts.monitor.counters.takeovers[kind].add(1);
            self.lead += 1;
            self.leading_since = Some(clock::now());
            self.begin = lsn;
            // The entry that begins the epoch changes no key, so the state has it. A node that loses the group before
            // its state serves follows on behind this entry.
            self.parts.log.set_reached(lsn);
            // The view says already that this node is not the one to ask yet.
            self.hold(true);
            self.parts.replica.order(ApplierOrder::Lead(self.lead, time));
        } else if was_primary {
            self.leave();
        } else if role == GroupRole::Follower {
            self.parts.replica.order(ApplierOrder::Follow);
        }
        self.publish_view();
    }

    /// The state serves: changes are accepted from now on.
    fn begin_serving(&mut self) {
        self.leading_since = None;
        // A handover was taken back. The term has not ended.
        if std::mem::replace(&mut self.serving, true) {
            self.parts.log.accept_changes();
            return self.hold(false);
        }
        if self.parts.quota.level() != EtcdQuotaLevel::Enough {
            self.parts.quota.log();
        }
        self.parts.log.begin_term(self.begin, self.parts.group.status().epoch);
        self.parts.log.renew_lease(self.group_lease.0, self.group_lease.1);
        self.publish_view();
        self.hold(false);
        self.event(Event::Serving);
    }

    /// Ceases to be the primary.
    fn leave(&mut self) {
        let served = std::mem::take(&mut self.serving);
        (self.leading_since, self.held) = (None, false);
        self.group_lease = (0, 0);
        // The view comes first: a command that the log refuses must not be sent back to this node.
        self.publish_view();
        self.parts.log.end_term();
        if served {
            // Clients wait until they can be told who the primary is.
            self.hold(true);
        }
        self.parts.replica.order(ApplierOrder::StepDown);
    }

    /// Refuses changes, while the entries that were appended are still committed.
    fn begin_hold(&mut self) {
        self.held = true;
        // An order to lead that is in progress does not count any more.
        (self.lead, self.leading_since) = (self.lead + 1, None);
        self.hold(true);
        self.parts.log.refuse_changes();
        self.parts.replica.order(ApplierOrder::StepDown);
    }

    /// Accepts changes again, because the hand-over did not work.
    fn end_hold(&mut self) {
        if std::mem::take(&mut self.held) {
            self.lead += 1;
            self.leading_since = Some(clock::now());
            self.parts.replica.order(ApplierOrder::Lead(self.lead, 0));
        }
    }

    /// Sets whether the server should not read from its clients for a moment.
    fn hold(&mut self, holding: bool) {
        self.hold_until = holding.then(|| clock::now() + HOLD);
        self.parts.log.hold(holding);
    }

    fn released(&mut self) {
        if self.depart_by.is_some() {
            self.exit(NodeExit::Restart("it leaves its group".to_owned()));
        }
        if let Some(done) = self.release.take() {
            // Fails if the caller has given up.
            let _ = done.send(());
        }
    }

    fn exit(&mut self, exit: NodeExit) {
        if !std::mem::replace(&mut self.ended, true) {
            self.parts.log.end_term();
            self.released();
            (self.parts.on_exit)(exit);
        }
    }

    // ---------------------------------------------------------------------------- the log

    /// Gives the protocol the entries that were appended, if there are `least`. Returns whether it did.
    fn take_entries(&mut self, least: usize) -> bool {
        let entries = self.parts.log.take(least);
        let some = !entries.is_empty();
        if some {
            self.group_commit.add(entries.len());
            self.event(Event::Appended(entries));
        }
        some
    }

    /// Looks for entries, unless a transaction is in flight: its answer makes the driver look again.
    fn look_at_log(&mut self) {
        let least = self.group_commit.least(clock::now());
        while self.in_flight.is_none() && !self.ended && self.take_entries(least) {}
    }

    /// Renews the lease. `at` is when the confirmed request was sent, in milliseconds; `sent` is the same more
    /// exactly, if the answer that is being handled is that request's.
    fn renew_lease(&mut self, until: u64, at: u64, sent: Option<u64>) {
        let sent = sent.filter(|sent| sent / 1000 == at).unwrap_or(at * 1000);
        self.group_lease = (until.saturating_mul(1000), sent);
        if self.serving {
            self.parts.log.renew_lease(self.group_lease.0, self.group_lease.1);
        }
    }

    /// Asks etcd for its size now and then, and refuses changes before etcd has to.
    fn check_quota(&mut self) {
        let quota = &mut self.parts.quota;
        if quota.is_due(clock::now(), self.serving) {
            self.parts.calls.measure(self.alarm.quota(quota.setting()));
        }
        let changed = quota.changed();
        self.compaction.set_quota(quota.known().quota, quota.level() != EtcdQuotaLevel::Enough);
        let Some(level) = changed else { return };
        if self.serving {
            quota.log();
        }
        self.parts.log.set_full(level == EtcdQuotaLevel::Full);
        self.event(Event::QuotaShort(level != EtcdQuotaLevel::Enough));
    }

    // ---------------------------------------------------------------------------- the view

    fn look_at_time(&mut self) {
        let now = clock::now();
        if now < self.view_due || self.ended {
            return;
        }
        // As long as the protocol waits for `Serving`.
        let stuck = self.leading_since.is_some_and(|since| now - since > 3 * self.parts.lease);
        if stuck {
            self.leading_since = None;
            self.troubles.stuck = true;
            self.event(Event::CannotServe("the node's threads do not respond".to_owned()));
        }
        self.look_at_disk();
        self.put_durable();
        self.look_at_lease();
        if self.depart_by.is_some_and(|by| now >= by) {
            self.exit(NodeExit::Restart(
                "it leaves its group, although etcd has not answered".to_owned(),
            ));
        }
        self.publish_view();
        self.parts.resync.look(&self.parts.group.status().position);
    }

    /// Takes the lease that `CONFIG SET cluster-lease` has set. It holds for others from the next line of `tail` on.
    fn look_at_lease(&mut self) {
        let Some(lease) = self.parts.views.take_lease() else { return };
        if lease != self.parts.lease {
            tracing::info!("cluster-lease is {lease} ms now, and was {} ms", self.parts.lease);
            self.parts.lease = lease;
            self.parts.calls.set_timeout(bootstrap::call_timeout(Duration::from_millis(lease)));
            self.event(Event::Lease(lease));
        }
    }

    /// Publishes the view of clients, and the status for peers and metrics.
    fn publish_view(&mut self) {
        let (status, now) = (self.parts.group.status(), clock::now());
        self.view_due = now + VIEW;
        self.parts.monitor.counters.turned.set(now);
        let parts = &mut self.parts;
        if let Some(line) = parts.topology.as_of(&status) {
            parts.views.set_as_of(line.time, line.received);
        }
        let ownership = &parts.db.state().ownership;
        parts.topology.set_owned(ownership.changes(), || ownership.slots());
        let view = View {
            spares: parts.monitor.spares(),
            coordinates: parts.monitor.coordinates(),
            ..parts.topology.view(&status, self.serving, now)
        };
        let another = !self.serving && view.group.is_led;
        if view.group.primary().is_some_and(|primary| primary.addresses == NodeAddresses::default())
        {
            parts.registry.miss();
        }
        let role = match view.role {
            MemberRole::Loading => "loading",
            MemberRole::Follower => "follower",
            MemberRole::Primary => "primary",
        };
        let wall = parts.db.now();
        let limit = &parts.db.state().limit;
        let memory = format!("{} {}", limit.bytes(), limit.eviction().name());
        let disk_fails = self.troubles.disk_fails();
        let refuses = parts.quota.refusal().filter(|_| self.serving);
        parts.registry.update(|own| {
            (own.disk_fails, own.cannot_lead) = (disk_fails, status.disqualified.is_some());
            (own.role, own.epoch, own.applied) = (role.to_owned(), status.epoch, status.applied);
            (own.retained, own.wall, own.refuses) = (status.retained, wall, refuses);
            own.memory = Some(memory);
            own.set_slots(parts.topology.owned());
        });
        let contents = parts.log.local_log().position().lsn;
        *lock(&parts.monitor.status) = NodeStatus {
            disk_fails,
            etcd_quota: parts.quota.known(),
            is_full: parts.quota.level() == EtcdQuotaLevel::Full,
            ..NodeStatus::new(&status, role, self.serving, contents)
        };
        parts.views.publish(view);
        let waits = self.held || self.leading_since.is_some();
        if self.hold_until.is_some_and(|until| another || now >= until) && !waits {
            self.hold(false);
        }
    }
}
