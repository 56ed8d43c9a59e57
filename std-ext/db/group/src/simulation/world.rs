//! The simulated world: true time, nodes, the store, and the queue of events.
//!
//! All that happens is in one queue, in the order of true time. The seed determines every delay, so a run can be
//! repeated. [`network`](super::network), [`drive`](super::drive) and [`workload`](super::workload) have the parts of
//! [`World`] that carry out what is in the queue.

use super::clock::Clock;
use super::coverage::{Case, Coverage};
use super::faults::{Fault, Plan, Scenario};
use super::process::{Call, Process};
use super::random::Random;
use super::service::{Checker, NodeDisk, Program, Service};
use super::store::FakeStore;
use super::truth::Truth;
use crate::processes::{ProcessPlace, Processes};
use crate::{
    Event, GroupRole, GroupSettings, HaltOutcome, Lsn, NodeId, ReadAnswer, TxnFailure, TxnOutcome,
};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The most clients of a run.
pub(super) const MOST_CLIENTS: usize = 4;
/// The events of a run that goes round in circles.
const MOST_EVENTS: u64 = 200_000;

/// A message of the store to a process.
#[derive(Clone, Debug)]
pub(super) enum Reported {
    Read(Result<ReadAnswer, TxnFailure>),
    Txn(TxnOutcome),
    Trim(Result<bool, TxnFailure>),
    Halt(Result<HaltOutcome, TxnFailure>),
}

/// Something that will happen. `number` tells processes of a node apart: an event for an earlier process is dropped.
#[derive(Clone, Debug)]
pub(super) enum What<S: Service> {
    /// A node's program starts.
    Start { node: usize },
    /// The group's deadline has come.
    Tick { node: usize, number: u64 },
    /// The driver tells the group an event.
    Tell { node: usize, number: u64, event: Box<Event> },
    /// The driver tells what was appended.
    Turn { node: usize, number: u64 },
    /// The driver tells that nothing is appended any more.
    Close { node: usize, number: u64 },
    /// The state of a new primary serves.
    Lead { node: usize, number: u64, order: u64 },
    /// The state has applied the next batch.
    Apply { node: usize, number: u64 },
    /// Actions that a stopped process has left.
    Resume { node: usize, number: u64 },
    /// The local log is forced up to an entry.
    Forced { node: usize, number: u64, lsn: u64 },
    /// A node begins to fetch the folder of a peer, which takes this time.
    Fetch { node: usize, number: u64, time: u64 },
    /// The folder of a peer has arrived, and whether it has another history.
    Fetched { node: usize, number: u64, folder: Box<(NodeDisk<S>, bool)> },
    /// Once a second: the expire cycle, the clocks of other nodes, the local log, compaction.
    Second { node: usize, number: u64 },
    /// A request reaches the store. `of` is the incarnation of the store.
    Arrive { node: usize, number: u64, id: u64, call: Call, revision: u64, of: u64 },
    /// A record of a node reaches the store.
    PutDurable { id: NodeId, seq: u64, of: u64 },
    /// The store's answer reaches the node, or its deadline has come.
    Answer { node: usize, number: u64, id: u64, reported: Reported, revision: u64 },
    /// The watch tells of changes.
    Watch { node: usize, number: u64, watch: u64 },
    /// A client makes its next request. `turn` counts them.
    ClientTurn { client: usize, turn: u64 },
    /// The request of a client reaches a node.
    Serve { node: usize, number: u64, client: usize, turn: u64, request: S::Request },
    /// A client does not wait any longer.
    GiveUp { client: usize, turn: u64 },
    /// A process is asked to stop.
    Leave { node: usize },
    /// Nothing that a node sends reaches the store any more.
    Cut { node: usize },
    /// A machine that was stopped together with its clocks goes on.
    ClockStopped { node: usize, time: u64 },
    /// A fault begins.
    Fault(usize),
    /// The process of a primary is killed, and starts again after this time.
    Kill { node: usize, number: u64, restart: u64 },
    /// The primary ends, and later the next one.
    Chase { times: u64, pause: u64 },
    /// The store's operator frees some of its quota.
    Disarm,
    /// Everything that was broken works again.
    Heal,
}

/// A machine.
pub(super) struct Node<S: Service> {
    pub(super) id: NodeId,
    pub(super) clock: Clock,
    pub(super) disk: NodeDisk<S>,
    pub(super) process: Option<Process<S>>,
    pub(super) starts: u64,
    pub(super) lease: u64,
    pub(super) frozen: u64,
    pub(super) cut_to: u64,
    pub(super) cut_from: u64,
    pub(super) watch_stalled: u64,
    /// Until this time, nothing can be forced.
    pub(super) disk_full: u64,
    /// How long it takes at least to fetch a peer's folder.
    pub(super) fetch: u64,
    /// Until this time, answers wait.
    pub(super) answers_late: u64,
    /// Until this time, requests take up to half a second to the store.
    pub(super) requests_late: u64,
    pub(super) slow_disk: u64,
    /// The process ends after this many actions. `true`: the power fails.
    pub(super) crash: Option<(u64, bool)>,
    /// The process stops after this many actions, for this time.
    pub(super) freeze: Option<(u64, u64)>,
    /// The folder or the process has entries that a restored store does not have.
    pub(super) foreign: bool,
    /// Whether the node ended for good, with a sentence.
    pub(super) stopped: Option<String>,
    /// Where its processes run, and what the folder says of those before.
    pub(super) place: ProcessPlace,
    pub(super) processes: String,
}

/// The faults of the store, and when they end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trouble {
    pub(super) paused: u64,
    pub(super) slow: u64,
    pub(super) delay: u64,
    pub(super) busy: u64,
    pub(super) loses_answers: u64,
    pub(super) limited: u64,
}

/// A client: the node that it asks next, and how often it has asked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Client {
    pub(super) aim: usize,
    pub(super) turn: u64,
}

/// Separate random numbers for each purpose, so a run without a fault stays like the run with it for as long as it can.
pub(super) struct Streams {
    pub(super) network: Random,
    pub(super) clients: Random,
    pub(super) nodes: Random,
}

/// A run.
pub(super) struct World<S: Service> {
    pub(super) scenario: Scenario,
    pub(super) healed: u64,
    pub(super) now: u64,
    queue: BTreeMap<(u64, u64), What<S>>,
    order: u64,
    events: u64,
    pub(super) random: Streams,
    pub(super) store: FakeStore,
    /// Counts the restores of the store.
    pub(super) incarnation: u64,
    /// A restore has lost entries, perhaps acknowledged ones. The last entry of the history that goes on.
    pub(super) lossy: Option<Lsn>,
    pub(super) backup: Option<Box<(FakeStore, Truth<S::History>)>>,
    /// The node with entries that the restored store lacks that has stopped before anybody took over.
    pub(super) objector: Option<usize>,
    /// The number of takeovers when the store was restored.
    pub(super) takeovers_before: usize,
    pub(super) trouble: Trouble,
    /// No folder has lost an entry.
    pub(super) folders_intact: bool,
    /// When the takeovers were.
    pub(super) takeovers: Vec<u64>,
    pub(super) truth: Truth<S::History>,
    pub(super) nodes: Vec<Node<S>>,
    pub(super) faults: Vec<Fault>,
    pub(super) checker: S::Checker,
    pub(super) coverage: Coverage,
    pub(super) tokens: u64,
    pub(super) clients: Vec<Client>,
    pub(super) lease_reads: bool,
    pub(super) most_batch: usize,
    pub(super) most_retained: u64,
    pub(super) max_skew: u64,
    pub(super) violation: Option<String>,
    pub(super) traced: bool,
    pub(super) trace: String,
}

impl<S: Service> World<S> {
    /// Prepares the run of a seed.
    pub(super) fn new(seed: u64, scenario: Scenario, plan: Plan, traced: bool) -> Self {
        let mut random = Random::new(seed, 1);
        let count = nodes_of(seed);
        let lease = [400, 600, 1000][usize::try_from(random.below(3)).unwrap_or(0)];
        let skew = if random.chance(300) { 15_000 } else { 4_000 };
        let nodes = (0..count).map(|at| Node {
            id: NodeId([u8::try_from(at).unwrap_or(0) + 1; 20]),
            clock: Clock::new(&mut random, skew),
            disk: NodeDisk::<S>::default(),
            process: None,
            starts: 0,
            lease,
            frozen: 0,
            cut_to: 0,
            cut_from: 0,
            watch_stalled: 0,
            disk_full: 0,
            fetch: 0,
            answers_late: 0,
            requests_late: 0,
            slow_disk: 0,
            crash: None,
            freeze: None,
            foreign: false,
            stopped: None,
            place: ProcessPlace { boot: format!("boot {at}"), device: 1, inode: at as u64 },
            processes: String::new(),
        });
        let nodes = nodes.collect();
        let log_reads = scenario == Scenario::LogReads;
        let mut world = Self {
            scenario,
            healed: plan.healed,
            now: 0,
            queue: BTreeMap::new(),
            order: 0,
            events: 0,
            store: FakeStore::default(),
            incarnation: 0,
            lossy: None,
            backup: None,
            objector: None,
            takeovers_before: 0,
            trouble: Trouble::default(),
            folders_intact: true,
            takeovers: Vec::new(),
            truth: Truth::new(S::FORMAT),
            nodes,
            faults: plan.faults,
            checker: S::Checker::default(),
            coverage: Coverage::default(),
            tokens: 0,
            clients: {
                let clients = usize::try_from(random.between(2, 5)).unwrap_or(2);
                vec![Client::default(); clients.min(plan.clients)]
            },
            lease_reads: !log_reads,
            most_batch: {
                let bytes = usize::try_from(random.between(200, 1500)).unwrap_or(200);
                // Some runs have batches that the store may refuse as too large.
                if scenario.is_wide() && seed % 4 == 3 { 12_000 } else { bytes }
            },
            most_retained: if random.chance(400) {
                random.between(2_000, 20_000)
            } else {
                256 << 20
            },
            max_skew: 10_000,
            violation: None,
            traced,
            trace: String::new(),
            random: Streams {
                network: Random::new(seed, 2),
                clients: Random::new(seed, 3),
                nodes: Random::new(seed, 4),
            },
        };
        world.schedule_all();
        world
    }

    fn schedule_all(&mut self) {
        for node in 0..self.nodes.len() {
            let at = self.random.nodes.below(300);
            self.at(at, What::Start { node });
        }
        for client in 0..self.clients.len() {
            self.at(400, What::ClientTurn { client, turn: 0 });
        }
        for fault in 0..self.faults.len() {
            self.at(self.faults[fault].at, What::Fault(fault));
        }
        self.at(self.healed, What::Heal);
    }

    /// When the clients stop.
    pub(super) fn clients_end(&self) -> u64 {
        self.healed + self.scenario.calm().0
    }

    /// Schedules something at a time.
    pub(super) fn at(&mut self, time: u64, what: What<S>) {
        self.order += 1;
        self.queue.insert((time.max(self.now), self.order), what);
    }

    /// Schedules something after a while.
    pub(super) fn after(&mut self, while_: u64, what: What<S>) {
        self.at(self.now + while_, what);
    }

    pub(super) fn note(&mut self, text: impl FnOnce() -> String) {
        if self.traced {
            let _ = writeln!(self.trace, "{:>6} {}", self.now, text());
        }
    }

    /// Ends the run: a rule is broken.
    pub(super) fn violate(&mut self, why: String) {
        self.note(|| format!("VIOLATION {why}"));
        self.violation.get_or_insert(why);
    }

    /// A node disagrees with the committed entries. After the store was restored it may, if it stops in time.
    pub(super) fn disagree(&mut self, node: usize, why: &str) {
        let machine = &mut self.nodes[node];
        let older =
            machine.process.as_ref().is_some_and(|process| process.incarnation < self.incarnation);
        if machine.foreign || older {
            machine.foreign = true;
            return self.note(|| format!("node {node} has another history: {why}"));
        }
        self.violate(format!("node {node}: {why}"));
    }

    pub(super) fn check(&mut self, outcome: Result<(), String>) {
        if let Err(why) = outcome {
            self.violate(why);
        }
    }

    pub(super) fn boot(&self, node: usize) -> u64 {
        self.nodes[node].clock.boot(self.now)
    }

    /// Returns the process of a node, if it is this one.
    pub(super) fn process(&mut self, node: usize, number: u64) -> Option<&mut Process<S>> {
        let machine = &mut self.nodes[node];
        let (wall, boot) = (machine.clock.wall(self.now), machine.clock.boot(self.now));
        let process = machine.process.as_mut();
        let process = process.filter(|one| one.number == number && !one.stopped)?;
        if let Some(database) = &process.database {
            database.set_clocks(wall, boot);
        }
        Some(process)
    }

    pub(super) fn settings(&mut self, node: usize) -> GroupSettings {
        let nonce = self.random.nodes.next();
        let machine = &mut self.nodes[node];
        let former = Processes::ended(&machine.processes, &machine.place);
        machine.processes = Processes::print(&former, nonce, &machine.place);
        GroupSettings {
            node: self.nodes[node].id,
            format: S::FORMAT,
            nonce,
            former,
            lease: self.nodes[node].lease,
            lease_reads: self.lease_reads,
            max_skew: self.max_skew,
            copies: 2,
            most_retained: self.most_retained,
            most_batch: self.most_batch,
            random: self.random.nodes.next(),
        }
    }

    fn start(&mut self, node: usize) {
        if self.nodes[node].process.is_some() || self.nodes[node].stopped.is_some() {
            return;
        }
        let settings = self.settings(node);
        let (boot, wall) = (self.boot(node), self.nodes[node].clock.wall(self.now));
        let scenario = self.scenario;
        let machine = &mut self.nodes[node];
        machine.starts += 1;
        let number = machine.starts;
        let of_before = self.scenario == Scenario::Adopt && machine.foreign;
        let disk = (&machine.disk, of_before);
        match Process::start(number, settings, disk, (node, scenario), (boot, wall)) {
            Ok(process) => {
                machine.process = Some(Process { incarnation: self.incarnation, ..process });
            }
            Err(why) => {
                return self.violate(format!("node {node} cannot read its local log: {why}"));
            }
        }
        let last = machine.disk.last();
        if machine.disk.snapshot().is_some() {
            self.coverage.met(Case::SnapshotLoaded);
        }
        self.compare(node);
        self.note_twins();
        self.note(|| format!("node {node} starts with {last} entries"));
        self.at(self.now, What::Tell { node, number, event: Box::new(Event::Tick) });
        let phase = self.random.nodes.between(100, 600);
        self.after(phase, What::Second { node, number });
    }

    /// Ends the process of a node. Clients that wait are told nothing.
    pub(super) fn end_process(&mut self, node: usize, power: bool, restart: u64) {
        let machine = &mut self.nodes[node];
        if machine.process.take().is_none() {
            return;
        }
        machine.crash = None;
        machine.freeze = None;
        machine.frozen = machine.frozen.min(self.now);
        if power {
            machine.place.boot.push('+');
            let (lost, inside) = machine.disk.lose_power(&mut self.random.nodes);
            if inside {
                self.coverage.met(Case::RestartedInsideBatch);
            }
            if lost > 0 {
                self.folders_intact = false;
                self.coverage.met(Case::PowerLost);
            }
            self.note(|| format!("node {node} loses {lost} entries of its local log"));
        }
        let kept = self.lossy.unwrap_or(0);
        let machine = &mut self.nodes[node];
        machine.foreign &= machine.disk.last() > kept;
        self.note(|| format!("node {node} ends"));
        self.after(restart, What::Start { node });
    }

    /// Notes that two nodes of one name run.
    fn note_twins(&mut self) {
        let runs = |node: &&Node<S>| node.process.is_some();
        let mut ids: Vec<_> = self.nodes.iter().filter(runs).map(|node| node.id).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|two| two[0] == two[1]) {
            self.coverage.met(Case::Twins);
        }
    }

    /// Whether a process may run now; if not, `what` is done later.
    fn runs(&mut self, node: usize, what: &What<S>) -> bool {
        let frozen = self.nodes[node].frozen;
        if frozen <= self.now {
            return true;
        }
        self.at(frozen, what.clone());
        false
    }

    fn node_of(what: &What<S>) -> Option<usize> {
        match what {
            What::Tick { node, .. }
            | What::Tell { node, .. }
            | What::Lead { node, .. }
            | What::Turn { node, .. }
            | What::Close { node, .. }
            | What::Apply { node, .. }
            | What::Resume { node, .. }
            | What::Forced { node, .. }
            | What::Fetch { node, .. }
            | What::Fetched { node, .. }
            | What::Second { node, .. }
            | What::Answer { node, .. }
            | What::Serve { node, .. }
            | What::Watch { node, .. } => Some(*node),
            _ => None,
        }
    }

    fn step(&mut self, what: What<S>) {
        if let Some(node) = Self::node_of(&what)
            && !self.runs(node, &what)
        {
            return;
        }
        match what {
            What::Start { node } => self.start(node),
            What::Tick { node, number } => self.tick(node, number),
            What::Tell { node, number, event } => self.tell(node, number, *event),
            What::Lead { node, number, order } => self.lead(node, number, order),
            What::Turn { node, number } => self.turn(node, number),
            What::Close { node, number } => self.close(node, number),
            What::Apply { node, number } => self.apply(node, number),
            What::Resume { node, number } => self.execute(node, number),
            What::Forced { node, number, lsn } => self.forced(node, number, lsn),
            What::Fetch { node, number, time } => self.fetch(node, number, time),
            What::Fetched { node, number, folder } => self.fetched(node, number, *folder),
            What::Second { node, number } => self.second(node, number),
            What::Arrive { node, number, id, call, revision, of } => {
                self.arrive(node, number, id, &call, (revision, of));
            }
            What::PutDurable { id, seq, of } => self.put_durable(id, seq, of),
            What::Answer { node, number, id, reported, revision } => {
                self.answered(node, number, id, reported, revision);
            }
            What::Watch { node, number, watch } => self.watch(node, number, watch),
            What::ClientTurn { client, turn } => self.ask(client, turn),
            What::Serve { node, number, client, turn, request } => {
                self.serve_client(node, number, (client, turn), &request);
            }
            What::GiveUp { client, turn } => self.give_up(client, turn),
            What::Leave { node } => self.leave(node),
            What::Cut { node } => self.cut(node, self.now + 2500, true),
            What::ClockStopped { node, time } => self.nodes[node].clock.stop(time),
            What::Fault(fault) => self.fault(fault),
            What::Kill { node, number, restart } => {
                if self.process(node, number).is_some() {
                    self.end_process(node, false, restart);
                }
            }
            What::Chase { times, pause } => self.chase(times, pause),
            What::Disarm => self.disarm(),
            What::Heal => self.heal(),
        }
    }

    /// Runs to the end, or to the first violation.
    pub(super) fn run(&mut self) {
        while let Some(((time, _), what)) = self.queue.pop_first() {
            let end = self.clients_end() + self.scenario.calm().1;
            // At the end a primary may just be giving the group away, because of its clock. The next one gets some
            // leases.
            if time > end && (self.all_agree() || time > end + 5 * self.longest_lease()) {
                break;
            }
            self.now = time;
            self.events += 1;
            if self.events > MOST_EVENTS {
                self.violate(format!("the nodes go round in circles: {what:?}"));
            }
            self.step(what);
            if self.violation.is_some() {
                return;
            }
        }
        self.finish();
    }

    fn longest_lease(&self) -> u64 {
        self.nodes.iter().map(|node| node.lease).max().unwrap_or(0)
    }

    /// Whether there is a primary, and all nodes have the last entry.
    fn all_agree(&self) -> bool {
        let processes = || self.nodes.iter().filter_map(|node| node.process.as_ref());
        let last = self.truth.last();
        processes().any(|process| process.role == GroupRole::Primary)
            && processes().all(|process| process.stopped || process.replica.last == last)
    }

    /// All nodes must have the same state, one of them must be the primary, and clients were told the truth.
    fn finish(&mut self) {
        if self.lossy.is_none() {
            let finished = self.checker.finish(&self.truth);
            self.check(finished);
        }
        if self.truth.joined > 0 {
            self.coverage.met(Case::PartsJoined);
        }
        if self.truth.abandoned > 0 {
            self.coverage.met(Case::PartsAbandoned);
        }
        if self.truth.set_backs > 0 {
            self.coverage.met(Case::ClockSetBack);
        }
        if self.truth.set_back > 0 {
            self.coverage.met(Case::LineSetBack);
        }
        let holders = &self.truth.holders;
        if holders.windows(3).any(|three| three[0] == three[2] && three[0] != three[1]) {
            self.coverage.met(Case::BackToTheFirst);
        }
        let (last, digest) = (self.truth.last(), self.truth.last_digest());
        let mut primaries = 0;
        let mut alive = 0;
        for node in 0..self.nodes.len() {
            let Some(process) = &self.nodes[node].process else { continue };
            if process.stopped {
                continue;
            }
            self.compare(node);
            let Some(process) = &self.nodes[node].process else { continue };
            alive += 1;
            primaries += usize::from(process.role == GroupRole::Primary);
            let (has, own) = (process.replica.last, process.replica.digest());
            let agrees = (has, own) == (last, digest);
            if !agrees && self.nodes[node].foreign {
                self.violate(format!(
                    "node {node} goes on with a history that the restored store does not have"
                ));
                return;
            }
            // The batches that it lacks may be in the folders of nodes that have stopped.
            let waits = self.lossy.is_some() && process.role == GroupRole::Loading;
            if !agrees && !waits {
                let status = process.group.status();
                self.violate(format!(
                    "node {node} has {has} of {last} entries long after all faults ended: {status:?}"
                ));
            }
        }
        // Those that are left may be waiting for the clock of a node that has stopped.
        let may_be_gone = self.lossy.is_some() && alive < self.nodes.len();
        if primaries != 1 && !may_be_gone {
            let states: Vec<_> = self
                .nodes
                .iter()
                .map(|node| node.process.as_ref().map(|process| process.group.status()))
                .collect();
            self.violate(format!("{primaries} primaries long after all faults ended: {states:?}"));
        }
    }
}

/// Returns the number of nodes in the run of a seed.
pub(super) fn nodes_of(seed: u64) -> usize {
    if seed % 5 == 4 { 2 } else { 3 }
}
