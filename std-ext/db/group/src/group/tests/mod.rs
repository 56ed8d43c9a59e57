//! One group against a small etcd without faults: each test makes the faults that it is about.

mod campaign;
mod clocks;
mod follow;
mod halting;
mod lead;
mod leave;
mod restart;
mod trimming;

use crate::batch::{Batch, BatchPiece, encode_entry};
use crate::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const LEASE: u64 = 3000;
/// The shortest wait of a candidate.
const WAIT: u64 = LEASE + LEASE / 10;
/// The time that a transaction proves.
const PROVEN: u64 = LEASE - LEASE / 10;

fn node(number: u8) -> NodeId {
    NodeId([number; 20])
}

/// The content of an entry that sets the clock back begins with this.
const CLOCK: &[u8] = b"clock ";

#[derive(Debug)]
struct TestFormat;

impl EntryFormat for TestFormat {
    fn begin(&self, epoch: Epoch, node: NodeId) -> Vec<u8> {
        format!("begin {epoch} {node}").into_bytes()
    }

    fn sets_clock_back(&self, changes: &[u8]) -> bool {
        changes.starts_with(CLOCK)
    }
}

fn settings(number: u8) -> GroupSettings {
    GroupSettings {
        node: node(number),
        format: &TestFormat,
        nonce: 0x100 + u64::from(number),
        former: Vec::new(),
        lease: LEASE,
        lease_reads: true,
        max_skew: 10_000,
        copies: 2,
        most_retained: 256 << 20,
        most_batch: 512 << 10,
        random: u64::from(number),
    }
}

/// The keys and values of etcd.
#[derive(Clone, Default)]
struct Etcd {
    revision: u64,
    tail: Option<Vec<u8>>,
    members: Option<Vec<u8>>,
    primary: Option<String>,
    log: BTreeMap<Seq, Vec<u8>>,
    durable: Vec<(NodeId, Seq)>,
    halt: Option<Vec<u8>>,
    /// Changes that watches have not told.
    seen: Vec<WatchedChange>,
}

fn holds(compare: &ValueCompare, value: Option<&Vec<u8>>) -> bool {
    match compare {
        ValueCompare::Any => true,
        ValueCompare::Absent => value.is_none(),
        ValueCompare::Is(text) => value == Some(text),
    }
}

impl Etcd {
    fn tail(&self) -> Tail {
        Tail::parse(self.tail.as_ref().expect("a tail")).expect("a line")
    }

    fn txn(&mut self, txn: &Txn) -> TxnOutcome {
        let held =
            [(&txn.tail, &self.tail), (&txn.members, &self.members), (&txn.halt, &self.halt)];
        if held.iter().any(|(compare, value)| !holds(compare, value.as_ref())) {
            let (tail, members) = (self.tail.clone(), self.members.clone());
            return TxnOutcome::Refused { revision: self.revision, tail, members };
        }
        self.revision += 1;
        for put in &txn.puts {
            match put {
                Put::Tail(text) => {
                    self.tail = Some(text.clone().into_bytes());
                    self.seen.push(WatchedChange::Tail(self.tail.clone()));
                }
                Put::Members(text) => {
                    self.members = Some(text.clone().into_bytes());
                    self.seen.push(WatchedChange::Members(self.members.clone()));
                }
                Put::Primary(text) => self.primary = Some(text.clone()),
                Put::Batch(seq, value) => {
                    assert!(self.log.insert(*seq, value.to_vec()).is_none(), "a batch twice");
                    self.seen.push(WatchedChange::Batch(*seq, value.to_vec()));
                }
            }
        }
        TxnOutcome::Done { revision: self.revision }
    }

    fn halt(&mut self, halt: &Halt) -> HaltOutcome {
        let tail = self.tail.as_deref().map(|line| Tail::parse(line).expect("a line"));
        let found = self.halt.as_deref().and_then(Halt::parse);
        halt.outcome(tail.as_ref(), found.as_ref()).unwrap_or_else(|| {
            self.revision += 1;
            self.halt = Some(halt.print().into_bytes());
            HaltOutcome::Recorded(tail.map_or(0, |tail| tail.lsn))
        })
    }

    fn trim(&mut self, trim: &Trim) -> bool {
        let done = self.primary.as_deref() == Some(&trim.primary)
            && holds(&trim.members, self.members.as_ref());
        if done {
            self.log = self.log.split_off(&trim.below);
        }
        done
    }

    fn read(&self, read: &Read) -> ReadAnswer {
        match read {
            Read::Tail => ReadAnswer::Tail {
                revision: self.revision,
                tail: self.tail.clone(),
                members: self.members.clone(),
                objections: Objections { halt: self.halt.clone(), durable: self.durable.clone() },
            },
            Read::Batches(from, to) => {
                let batches = self.log.range(from..=to);
                ReadAnswer::Batches(batches.map(|(&seq, value)| (seq, value.clone())).collect())
            }
            Read::Durable => ReadAnswer::Durable {
                revision: self.revision,
                members: self.members.clone(),
                first: self.log.keys().next().copied(),
                durable: self.durable.clone(),
            },
        }
    }

    /// Gives what changed to a node that watches.
    fn tell(&mut self, node: &mut Node) {
        let seen = std::mem::take(&mut self.seen);
        node.event(Event::Watched { revision: self.revision, seen });
    }

    /// Another node, which does what it likes.
    fn other(&mut self, change: impl FnOnce(&mut Tail)) {
        let mut tail = self.tail();
        tail.beat += 1;
        change(&mut tail);
        self.revision += 1;
        self.tail = Some(tail.to_string().into_bytes());
        self.seen.push(WatchedChange::Tail(self.tail.clone()));
    }

    /// Another node appends entries.
    fn append(&mut self, epoch: Epoch, changes: &[&[u8]]) {
        let tail = self.tail();
        let mut raw = Vec::new();
        for (lsn, changes) in (tail.lsn + 1..).zip(changes) {
            encode_entry(&Entry { lsn, time: tail.time, changes: changes.to_vec() }, &mut raw);
        }
        let entries = changes.len() as u32;
        self.put(&Batch {
            epoch,
            first: tail.lsn + 1,
            entries,
            piece: BatchPiece::Whole,
            before: tail.chain,
            raw,
        });
    }

    fn put(&mut self, batch: &Batch) {
        self.other(|tail| {
            tail.beat -= 1;
            tail.epoch = batch.epoch;
            tail.seq += 1;
            tail.lsn += u64::from(batch.entries);
            tail.chain = batch.after();
        });
        let (seq, value) = (self.tail().seq, batch.encode());
        self.log.insert(seq, value.clone());
        let tail = self.seen.pop();
        self.seen.push(WatchedChange::Batch(seq, value));
        self.seen.extend(tail);
    }
}

/// A deletion that a node wants, as [`Action::Trim`] describes it.
struct Trim {
    primary: String,
    members: ValueCompare,
    below: Seq,
}

/// A node: its group, and the actions that wait for the test.
struct Node {
    group: Group,
    now: Now,
    /// Transactions, reads and trims without an answer.
    txns: Vec<(u64, Arc<Txn>)>,
    reads: Vec<(u64, Read)>,
    trims: Vec<(u64, Trim)>,
    halts: Vec<(u64, Halt)>,
    /// All other actions.
    told: Vec<Action>,
    /// Whether applied entries are reported.
    applies: bool,
    /// Whether [`Event::Closed`] is given by itself.
    closes: bool,
}

impl Node {
    fn new(settings: GroupSettings) -> Self {
        Self::at(settings, LogPosition::default(), 0)
    }

    fn at(settings: GroupSettings, position: LogPosition, have: u64) -> Self {
        Self::holding(settings, position, HeldEntries::up_to(have))
    }

    fn holding(settings: GroupSettings, position: LogPosition, held: HeldEntries) -> Self {
        let now = Now { boot: 1_000_000, wall: 50_000_000 };
        let group = Group::new(settings, position, held, now);
        let mut node = Self {
            group,
            now,
            txns: Vec::new(),
            reads: Vec::new(),
            trims: Vec::new(),
            halts: Vec::new(),
            told: Vec::new(),
            applies: true,
            closes: true,
        };
        node.event(Event::Tick);
        node
    }

    fn event(&mut self, event: Event) {
        let mut out = Vec::new();
        self.group.handle(self.now, event, &mut out);
        for action in out {
            let mut answer = None;
            match &action {
                Action::Transact { id, txn } => self.txns.push((*id, Arc::clone(txn))),
                Action::Read { id, read } => self.reads.push((*id, read.clone())),
                Action::Halt { id, halt } => self.halts.push((*id, *halt)),
                Action::Trim { id, primary, members, below } => {
                    let trim =
                        Trim { primary: primary.clone(), members: members.clone(), below: *below };
                    self.trims.push((*id, trim));
                }
                Action::Apply(committed) if self.applies => {
                    answer = Some(Event::Applied(committed.after.lsn));
                }
                Action::Hold if self.closes => answer = Some(Event::Closed { time: 0 }),
                Action::Role { role, .. } if self.closes && *role != GroupRole::Primary => {
                    answer = Some(Event::Closed { time: 0 });
                }
                _ => {}
            }
            self.told.push(action);
            if let Some(answer) = answer {
                self.event(answer);
            }
        }
    }

    /// Lets both clocks go on.
    fn pass(&mut self, time: u64) {
        self.now.boot += time;
        self.now.wall += time;
        self.event(Event::Tick);
    }

    /// Answers all that waits until nothing does.
    fn run(&mut self, etcd: &mut Etcd) {
        for _ in 0..1000 {
            if let Some((id, read)) = pop(&mut self.reads) {
                self.event(Event::Read { id, answer: Ok(etcd.read(&read)) });
            } else if let Some((id, txn)) = pop(&mut self.txns) {
                let outcome = etcd.txn(&txn);
                self.event(Event::Transacted { id, outcome });
            } else if let Some((id, halt)) = pop(&mut self.halts) {
                let outcome = Ok(etcd.halt(&halt));
                self.event(Event::Halted { id, outcome });
            } else if let Some((id, trim)) = pop(&mut self.trims) {
                let done = etcd.trim(&trim);
                self.event(Event::Trimmed { id, outcome: Ok(done) });
            } else {
                return;
            }
        }
        panic!("the group does not come to rest");
    }

    /// Lets time pass in steps, and answers all.
    fn live(&mut self, etcd: &mut Etcd, time: u64) {
        for _ in 0..time / 10 {
            self.pass(10);
            self.run(etcd);
        }
    }

    fn txn(&mut self) -> (u64, Arc<Txn>) {
        pop(&mut self.txns).expect("a transaction")
    }

    /// The next transaction is not answered in time.
    fn lose(&mut self) -> Arc<Txn> {
        let (id, txn) = self.txn();
        self.fail(id, TxnFailure::Unknown("no answer".to_owned()));
        txn
    }

    fn fail(&mut self, id: u64, failure: TxnFailure) {
        self.event(Event::Transacted { id, outcome: TxnOutcome::Failed(failure) });
    }

    fn append(&mut self, changes: &[&[u8]]) {
        let last = self.group.status().last;
        let entries = (last + 1..).zip(changes).map(|(lsn, changes)| {
            let changes = changes.to_vec();
            Entry { lsn, time: self.now.wall, changes }
        });
        let entries = entries.collect();
        self.event(Event::Appended(entries));
    }

    fn role(&self) -> GroupRole {
        self.group.status().role
    }

    fn stopped(&self) -> Option<String> {
        self.told.iter().find_map(|action| match action {
            Action::Stop(why) => Some(why.to_string()),
            _ => None,
        })
    }

    fn is_fenced(&self) -> bool {
        self.told.iter().any(|action| matches!(action, Action::Fenced))
    }

    fn committed(&self) -> Vec<Committed> {
        let committed = self.told.iter().filter_map(|action| match action {
            Action::Commit(committed) | Action::Apply(committed) => Some(committed.clone()),
            _ => None,
        });
        committed.collect()
    }

    /// The changes of all entries that came, without those that begin an epoch.
    fn changes(&self) -> Vec<Vec<u8>> {
        let entries = self.committed().into_iter().flat_map(|committed| committed.entries);
        entries
            .map(|entry| entry.changes)
            .filter(|changes| !changes.starts_with(b"begin "))
            .collect()
    }

    fn lease(&self) -> (Epoch, u64, u64) {
        let lease = self.told.iter().rev().find_map(|action| match action {
            Action::RenewLease { epoch, until, sent } => Some((*epoch, *until, *sent)),
            _ => None,
        });
        lease.expect("a lease")
    }

    fn notes(&self) -> String {
        let notes = self.told.iter().filter_map(|action| match action {
            Action::Note(notice) => Some(notice.to_string()),
            _ => None,
        });
        notes.collect::<Vec<_>>().join("\n")
    }
}

fn pop<T>(list: &mut Vec<T>) -> Option<T> {
    (!list.is_empty()).then(|| list.remove(0))
}

/// A group whose only member leads it.
fn leader() -> (Etcd, Node) {
    let (mut etcd, mut leader) = (Etcd::default(), Node::new(settings(1)));
    leader.run(&mut etcd);
    leader.event(Event::Serving);
    assert_eq!(leader.role(), GroupRole::Primary, "{:?}", leader.told);
    leader.run(&mut etcd);
    leader.told.clear();
    etcd.seen.clear();
    (etcd, leader)
}

/// A group that node 1 leads, and node 2, which follows.
fn follower() -> (Etcd, Node) {
    let (mut etcd, mut first) = leader();
    first.append(&[b"a", b"b"]);
    first.run(&mut etcd);
    let mut follower = Node::new(settings(2));
    follower.run(&mut etcd);
    assert_eq!(follower.role(), GroupRole::Follower, "{:?}", follower.told);
    assert_eq!(follower.changes(), [b"a", b"b"]);
    follower.told.clear();
    etcd.seen.clear();
    (etcd, follower)
}
