//! The network between nodes and the store: delays, losses, deadlines, and the watch.

use super::coverage::{Case, Milestone};
use super::faults::{Fault, Kind, Scenario};
use super::process::{Call, Watch};
use super::service::Service;
use super::store::{LARGEST_REQUEST, Refusal, Transaction};
use super::truth::{LOG, log_key};
use super::world::{Reported, What, World};
use crate::{
    Event, Halt, HaltOutcome, NodeId, Objections, Put, Read, ReadAnswer, Tail, Txn, TxnFailure,
    TxnOutcome, ValueCompare, WatchedChange,
};

const TAIL: &str = "tail";
const MEMBERS: &str = "members";
const HALT: &str = "halt";
const PRIMARY: &str = "primary";
const DURABLE: &str = "durable/";

/// The end of all keys that begin with a prefix.
fn end_of(prefix: &str) -> String {
    format!("{prefix}~")
}

/// Returns a key, and the value that it must have.
fn condition(key: &str, compare: &ValueCompare) -> Option<(String, Option<Vec<u8>>)> {
    match compare {
        ValueCompare::Any => None,
        ValueCompare::Absent => Some((key.into(), None)),
        ValueCompare::Is(value) => Some((key.into(), Some(value.clone()))),
    }
}

/// Returns the keys and values that a transaction compares and puts.
fn transaction(txn: &Txn) -> Transaction {
    let mut transaction = Transaction::default();
    for (key, compare) in [(TAIL, &txn.tail), (MEMBERS, &txn.members), (HALT, &txn.halt)] {
        transaction.compares.extend(condition(key, compare));
    }
    for put in &txn.puts {
        transaction.puts.push(match put {
            Put::Tail(line) => (TAIL.into(), line.clone().into_bytes()),
            Put::Batch(seq, bytes) => (log_key(*seq), bytes.to_vec()),
            Put::Primary(text) => (PRIMARY.into(), text.clone().into_bytes()),
            Put::Members(text) => (MEMBERS.into(), text.clone().into_bytes()),
        });
    }
    transaction
}

fn unknown() -> TxnFailure {
    TxnFailure::Unknown("no answer within the deadline".into())
}

/// The report that a call has failed.
fn failed(call: &Call, failure: TxnFailure) -> Reported {
    match call {
        Call::Read(_) => Reported::Read(Err(failure)),
        Call::Txn(_) => Reported::Txn(TxnOutcome::Failed(failure)),
        Call::Trim { .. } => Reported::Trim(Err(failure)),
        Call::Halt(_) => Reported::Halt(Err(failure)),
    }
}

impl<S: Service> World<S> {
    fn latency(&mut self) -> u64 {
        let slow = if self.trouble.slow > self.now { self.trouble.delay } else { 0 };
        let rare = if self.random.network.chance(20) { self.random.network.below(120) } else { 0 };
        self.random.network.between(1, 4) + self.random.network.below(slow + 1) + rare
    }

    /// Sends a request to the store. There will be an answer: the store's, or that the deadline has come.
    pub(super) fn call(&mut self, node: usize, number: u64, id: u64, call: Call) {
        let lease = self.nodes[node].lease;
        let Some(process) = self.process(node, number) else { return };
        let revision = process.revision;
        if process.calls.insert(id, call.clone()).is_some() {
            return self.violate(format!("node {node} uses the number {id} twice"));
        }
        let deadline = self.nodes[node].clock.when(self.boot(node) + (lease / 2).max(100));
        let reported = failed(&call, unknown());
        self.at(deadline, What::Answer { node, number, id, reported, revision });
        if let Some(reported) = self.answer_from_spool(node, number, &call) {
            return self.after(1, What::Answer { node, number, id, reported, revision });
        }
        if self.nodes[node].cut_to > self.now {
            return;
        }
        let late = self.nodes[node].requests_late > self.now;
        let latency = self.latency() + if late { self.random.network.below(500) } else { 0 };
        let of = self.incarnation;
        self.after(latency, What::Arrive { node, number, id, call, revision, of });
    }

    fn answer_from_spool(&mut self, node: usize, number: u64, call: &Call) -> Option<Reported> {
        let Call::Read(Read::Batches(from, to)) = call else { return None };
        let process = self.process(node, number)?;
        process.spool.get(from)?;
        let batches = (*from..=*to).map_while(|seq| Some((seq, process.spool.get(&seq)?.clone())));
        Some(Reported::Read(Ok(ReadAnswer::Batches(batches.take(4).collect()))))
    }

    /// A request reaches the store, perhaps after its process has ended.
    pub(super) fn arrive(
        &mut self,
        node: usize,
        number: u64,
        id: u64,
        call: &Call,
        at: (u64, u64),
    ) {
        let (revision, of) = at;
        if of != self.incarnation {
            return;
        }
        if self.trouble.paused > self.now {
            if self.random.network.chance(500) {
                let wait = self.trouble.paused + self.random.network.below(5);
                self.at(wait, What::Arrive { node, number, id, call: call.clone(), revision, of });
            }
            return;
        }
        let busy = self.trouble.busy > self.now && self.random.network.chance(700);
        let reported = if busy {
            failed(call, TxnFailure::Busy("too many requests".into()))
        } else {
            self.serve(node, call)
        };
        let lost = self.nodes[node].cut_from > self.now
            || (self.trouble.loses_answers > self.now && self.random.network.chance(400));
        if lost {
            if let (Call::Txn(txn), Reported::Txn(TxnOutcome::Done { .. })) = (call, &reported)
                && txn.puts.iter().any(|put| matches!(put, Put::Primary(_)))
            {
                self.coverage.met(Case::TakeoverUnheard);
            }
            return self.note(|| format!("node {node} does not hear the answer {id}"));
        }
        let header = self.store.revision;
        let anew = matches!(call, Call::Halt(_));
        let reported =
            if header < revision && !anew { failed(call, TxnFailure::WentBack) } else { reported };
        let at = (self.now + self.latency()).max(self.nodes[node].answers_late);
        self.at(at, What::Answer { node, number, id, reported, revision: header });
    }

    fn serve(&mut self, node: usize, call: &Call) -> Reported {
        match call {
            Call::Read(read) => Reported::Read(Ok(self.read(read))),
            Call::Txn(txn) => Reported::Txn(self.txn(node, txn)),
            Call::Trim { primary, members, below } => {
                Reported::Trim(self.trim(node, primary, members, *below))
            }
            Call::Halt(halt) => Reported::Halt(self.halt(node, halt)),
        }
    }

    fn read(&mut self, read: &Read) -> ReadAnswer {
        let value = |key: &str| self.store.get(key).map(|stored| stored.value.clone());
        match read {
            Read::Tail => ReadAnswer::Tail {
                revision: self.store.revision,
                tail: value(TAIL),
                members: value(MEMBERS),
                objections: Objections { halt: value(HALT), durable: self.durables() },
            },
            Read::Batches(from, to) => {
                let limit = usize::try_from(self.random.network.between(1, 7)).unwrap_or(1);
                let found = self.store.range(&log_key(*from), &log_key(to + 1), limit);
                let batches = found.into_iter().filter_map(|(key, stored)| {
                    Some((key.strip_prefix(LOG)?.parse().ok()?, stored.value))
                });
                let batches: Vec<_> = batches.collect();
                let begins = batches.first().is_some_and(|(seq, _)| seq == from);
                ReadAnswer::Batches(if begins { batches } else { Vec::new() })
            }
            Read::Durable => {
                let first = Some(self.first_batch()).filter(|first| *first > 0);
                ReadAnswer::Durable {
                    revision: self.store.revision,
                    members: value(MEMBERS),
                    first,
                    durable: self.durables(),
                }
            }
        }
    }

    fn durables(&self) -> Vec<(NodeId, u64)> {
        let durable = self.store.range(DURABLE, &end_of(DURABLE), usize::MAX);
        let durable = durable.into_iter().filter_map(|(key, stored)| {
            let node = key.strip_prefix(DURABLE)?.parse().ok()?;
            Some((node, std::str::from_utf8(&stored.value).ok()?.parse().ok()?))
        });
        durable.collect()
    }

    fn halt(&mut self, node: usize, halt: &Halt) -> Result<HaltOutcome, TxnFailure> {
        let value = |key: &str| self.store.get(key).map(|stored| stored.value.clone());
        let tail = value(TAIL).and_then(|line| Tail::parse(&line).ok());
        let found = value(HALT);
        let known = found.as_deref().and_then(Halt::parse);
        if let Some(outcome) = halt.outcome(tail.as_ref(), known.as_ref()) {
            return Ok(outcome);
        }
        let put = Transaction {
            puts: vec![(HALT.into(), halt.print().into_bytes())],
            ..Transaction::default()
        };
        self.store.commit(&put).map_err(|_| TxnFailure::NoSpace)?;
        self.coverage.met(Case::Halted);
        self.note(|| format!("node {node} says that it has entries up to {}", halt.lsn));
        self.changed();
        Ok(HaltOutcome::Recorded(tail.map_or(0, |tail| tail.lsn)))
    }

    fn txn(&mut self, node: usize, txn: &Txn) -> TxnOutcome {
        let transaction = transaction(txn);
        if self.trouble.limited <= self.now {
            self.store.largest_request = LARGEST_REQUEST;
        }
        match self.store.commit(&transaction) {
            Ok(true) => {
                self.transaction_is_done(node, &transaction);
                TxnOutcome::Done { revision: self.store.revision }
            }
            Ok(false) => {
                self.note_late_transaction(node, txn);
                let ReadAnswer::Tail { revision, tail, members, .. } = self.read(&Read::Tail)
                else {
                    unreachable!("the answer to this read")
                };
                self.note(|| format!("the store refuses a transaction of node {node}"));
                TxnOutcome::Refused { revision, tail, members }
            }
            Err(Refusal::TooLarge) => TxnOutcome::Failed(TxnFailure::TooLarge),
            Err(Refusal::NoSpace { done }) => {
                if done {
                    self.transaction_is_done(node, &transaction);
                }
                self.note(|| format!("the store has no quota left for node {node}"));
                TxnOutcome::Failed(TxnFailure::NoSpace)
            }
        }
    }

    /// Counts the transactions of dead primaries that come after the next process of their node has taken over.
    fn note_late_transaction(&mut self, node: usize, txn: &Txn) {
        let mut lines = txn.puts.iter().filter_map(|put| match put {
            Put::Tail(line) => Tail::parse(line.as_bytes()).ok(),
            _ => None,
        });
        let id = Some(self.nodes[node].id);
        let now = self.truth.tail;
        let late = |line: Tail| {
            now.is_some_and(|now| line.epoch < now.epoch && line.node == id && now.node == id)
        };
        if lines.any(late) {
            self.coverage.met(Case::LateTransactionOfTheDead);
        }
    }

    fn transaction_is_done(&mut self, node: usize, transaction: &Transaction) {
        let takeovers = self.truth.holders.len();
        let lease = self.truth.tail.map(|tail| tail.lease);
        let committed = self.truth.commit(transaction);
        if self.truth.holders.len() > takeovers {
            self.check_takeover(node);
            self.note_takeover();
        }
        if lease.is_some_and(|lease| self.truth.tail.is_some_and(|tail| tail.lease != lease)) {
            self.coverage.met(Case::LeaseChanged);
        }
        self.check(committed.map_err(|why| format!("node {node} writes a wrong log: {why}")));
        let (seq, lsn) = self.truth.tail.map_or((0, 0), |tail| (tail.seq, tail.lsn));
        self.note(|| {
            format!("the store takes a transaction of node {node}: batch {seq}, entry {lsn}")
        });
        self.changed();
    }

    /// Counts three takeovers within six leases.
    fn note_takeover(&mut self) {
        let lease = self.truth.tail.map_or(0, |tail| tail.lease);
        self.takeovers.push(self.now);
        let few = self.takeovers.iter().rev().nth(2);
        if few.is_some_and(|time| self.now - time < 6 * lease) {
            self.coverage.met(Case::TakenInARow);
        }
    }

    /// A node has taken over: it is a member, and the group needed it.
    fn check_takeover(&mut self, node: usize) {
        let id = self.nodes[node].id.to_string();
        let members = self.store.get(MEMBERS).map_or(Vec::new(), |stored| stored.value.clone());
        if !String::from_utf8_lossy(&members).contains(&id) {
            self.violate(format!("node {node} was removed from the members, and takes over"));
        }
        let restored = matches!(self.scenario, Scenario::Restore | Scenario::Lagging);
        let others =
            |fault: &Fault| !matches!(fault.kind, Kind::Backup | Kind::Restore | Kind::Down { .. });
        // Without other faults, all nodes of these runs find out before a lease has ended.
        let all_in_time = self.scenario == Scenario::Lagging && !self.faults.iter().any(others);
        if restored && self.lossy.is_some() && (self.objector.is_some() || all_in_time) {
            self.violate(format!(
                "node {node} takes over, although a node has acknowledged entries that it lacks"
            ));
        }
        let released = self.truth.before_takeover().is_some_and(|(released, _)| released);
        if self.now > self.clients_end() && self.lossy.is_none() && !released {
            self.violate(format!("node {node} takes the group from a primary that works"));
        }
    }

    fn trim(
        &mut self,
        node: usize,
        primary: &str,
        members: &ValueCompare,
        below: u64,
    ) -> Result<bool, TxnFailure> {
        let primary = (PRIMARY.into(), Some(primary.as_bytes().to_vec()));
        let transaction = Transaction {
            compares: [primary].into_iter().chain(condition(MEMBERS, members)).collect(),
            puts: Vec::new(),
            deletes: vec![(LOG.into(), log_key(below))],
        };
        let done = self.store.commit(&transaction).map_err(|_| TxnFailure::NoSpace)?;
        if done {
            self.coverage.met(Case::Trimmed);
            self.note(|| format!("node {node} removes the batches below {below}"));
            self.check_copies(below);
            self.changed();
        }
        Ok(done)
    }

    /// Two members must have forced what is removed from the store: a loss of power of all nodes loses nothing.
    fn check_copies(&mut self, below: u64) {
        let members = self
            .store
            .get(MEMBERS)
            .map_or(0, |stored| String::from_utf8_lossy(&stored.value).matches("\"node\"").count());
        let holders = self
            .nodes
            .iter()
            .filter(|node| node.disk.durable().is_some_and(|seq| seq >= below))
            .count();
        if holders < members.min(2) {
            self.violate(format!(
                "the batches below {below} are gone, but {holders} of {members} members have them on disk"
            ));
        }
    }

    /// Returns the first batch that the store still has.
    pub(super) fn first_batch(&self) -> u64 {
        let first = self.store.range(LOG, &end_of(LOG), 1);
        let first = first.first().and_then(|(key, _)| key.strip_prefix(LOG)?.parse().ok());
        first.unwrap_or(0)
    }

    /// A node tells what it has on disk.
    pub(super) fn put_durable(&mut self, id: NodeId, seq: u64, of: u64) {
        if of != self.incarnation || self.trouble.paused > self.now {
            return;
        }
        let key = format!("{DURABLE}{id}");
        let value = seq.to_string().into_bytes();
        let put = Transaction { puts: vec![(key, value)], ..Transaction::default() };
        if self.store.commit(&put).is_ok() {
            self.changed();
        }
    }

    /// The keys of the store have changed: watches will tell.
    pub(super) fn changed(&mut self) {
        for node in 0..self.nodes.len() {
            let Some(process) = &self.nodes[node].process else { continue };
            let (number, Some(watch)) = (process.number, process.watch) else { continue };
            let lag = self.latency();
            self.after(lag, What::Watch { node, number, watch: watch.number });
        }
    }

    /// A node begins to watch.
    pub(super) fn begin_watch(&mut self, node: usize, number: u64, from: u64) {
        let Some(process) = self.process(node, number) else { return };
        process.watches += 1;
        let watch = Watch { number: process.watches, next: from };
        process.watch = Some(watch);
        let lag = self.latency();
        self.after(lag, What::Watch { node, number, watch: watch.number });
    }

    /// The watch reports changes.
    pub(super) fn watch(&mut self, node: usize, number: u64, number_of_watch: u64) {
        let machine = &self.nodes[node];
        let closed = machine.watch_stalled.max(machine.cut_from).max(self.trouble.paused);
        if closed > self.now {
            return self.at(closed, What::Watch { node, number, watch: number_of_watch });
        }
        let last = self.store.revision;
        let Some(process) = self.process(node, number) else { return };
        let Some(watch) = process.watch.as_mut().filter(|watch| watch.number == number_of_watch)
        else {
            return;
        };
        let from = watch.next;
        if from > last {
            return;
        }
        watch.next = last + 1;
        process.revision = process.revision.max(last);
        let Ok(changes) = self.store.changes(from, last) else {
            self.coverage.met(Case::WatchCompacted);
            return self.lose_watch(node, number);
        };
        let mut seen = Vec::new();
        for change in changes {
            match change.key.as_str() {
                TAIL => seen.push(WatchedChange::Tail(change.value.clone())),
                MEMBERS => seen.push(WatchedChange::Members(change.value.clone())),
                key => {
                    let seq = key.strip_prefix(LOG).and_then(|seq| seq.parse().ok());
                    if let (Some(seq), Some(value)) = (seq, &change.value) {
                        seen.push(WatchedChange::Batch(seq, value.clone()));
                    }
                }
            }
        }
        if !seen.is_empty() {
            self.tell(node, number, Event::Watched { revision: last, seen });
        }
    }

    /// The watch ends.
    pub(super) fn lose_watch(&mut self, node: usize, number: u64) {
        if let Some(process) = self.process(node, number)
            && process.watch.take().is_some()
        {
            self.tell(node, number, Event::WatchLost);
        }
    }

    /// An answer reaches the node. The deadline may have come before it.
    pub(super) fn answered(
        &mut self,
        node: usize,
        number: u64,
        id: u64,
        reported: Reported,
        revision: u64,
    ) {
        let Some(process) = self.process(node, number) else { return };
        let Some(call) = process.calls.remove(&id) else { return };
        process.revision = process.revision.max(revision);
        self.note_refusal(&reported);
        self.note_outcome(&call, &reported);
        self.note(|| format!("node {node} hears {id}: {}", brief(&reported)));
        let event = match reported {
            Reported::Read(answer) => Event::Read { id, answer },
            Reported::Txn(outcome) => Event::Transacted { id, outcome },
            Reported::Trim(outcome) => Event::Trimmed { id, outcome },
            Reported::Halt(outcome) => Event::Halted { id, outcome },
        };
        self.tell(node, number, event);
    }

    fn note_refusal(&mut self, reported: &Reported) {
        match reported {
            Reported::Txn(TxnOutcome::Refused { .. }) | Reported::Trim(Ok(false)) => {
                self.coverage.count(Milestone::Refusal("compared"));
            }
            Reported::Txn(TxnOutcome::Failed(failure))
            | Reported::Read(Err(failure))
            | Reported::Trim(Err(failure))
            | Reported::Halt(Err(failure)) => self.coverage.failure(failure),
            Reported::Read(Ok(_))
            | Reported::Txn(_)
            | Reported::Trim(Ok(true))
            | Reported::Halt(Ok(_)) => {}
        }
    }

    fn note_outcome(&mut self, call: &Call, reported: &Reported) {
        let Call::Txn(txn) = call else { return };
        if !matches!(reported, Reported::Txn(TxnOutcome::Failed(TxnFailure::Unknown(_)))) {
            return;
        }
        let line = txn.puts.iter().find_map(|put| match put {
            Put::Tail(line) => Some(line.as_bytes()),
            _ => None,
        });
        let Some(line) = line else { return };
        let now = self.store.get(TAIL).map(|stored| stored.value.as_slice());
        self.coverage.met(if now == Some(line) {
            Case::UnknownThenDone
        } else {
            Case::UnknownThenNot
        });
    }
}

fn brief(reported: &Reported) -> String {
    match reported {
        Reported::Read(Ok(ReadAnswer::Batches(batches))) => {
            format!("batches {:?}", batches.iter().map(|(seq, _)| seq).collect::<Vec<_>>())
        }
        Reported::Read(Ok(ReadAnswer::Tail { tail, .. }))
        | Reported::Txn(TxnOutcome::Refused { tail, .. }) => {
            format!("tail {:?}", tail.as_ref().map(|line| String::from_utf8_lossy(line)))
        }
        other => format!("{other:?}"),
    }
}
