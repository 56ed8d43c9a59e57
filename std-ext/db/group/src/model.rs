//! A model of the lease, the takeover, the hand-over and the restart, searched exhaustively.
//!
//! Two nodes and one line `tail` in the store. Both nodes may take over, twice in a row. Messages are delayed without
//! limit, answers are lost, one transaction is sent again. A node may die and start again; what it has sent still
//! arrives. Time passes in ticks that all timers count; the rates of clocks are left to the
//! [simulation](super::simulation).
//!
//! Each [`Fault`] breaks one rule of the protocol. The test asserts that the search finds a counterexample for each,
//! and none without a fault.

use super::search;
use stateright::{Model, Property};

/// The last epoch of the model: the first node's, and two takeovers.
const LAST_EPOCH: u8 = 3;

/// The leases of the nodes, in ticks. They differ, so a candidate that waits by its own setting waits too little.
const LEASES: [u8; 2] = [2, 1];

/// The rule of the protocol that a run breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// None: the protocol as it is.
    None,
    /// The transaction compares nothing.
    NoCompare,
    /// The transaction compares the sequence number alone.
    CompareSeq,
    /// A reply may leave in a later epoch than that of its evaluation.
    ReplyOutlivesEpoch,
    /// The lease counts from the answer instead of from the first try.
    LeaseFromAnswer,
    /// The lease counts from the last try instead of from the first.
    LeaseFromLastTry,
    /// The candidate waits by its own setting instead of by the lease in the line.
    OwnLease,
    /// The candidate waits one tick less than the lease.
    ShortWait,
    /// The lease is checked before the read is evaluated.
    CheckBeforeEvaluation,
    /// A node that hands over goes on as the primary until the store answers.
    LateHandOver,
    /// A node takes a line back although its process has not ended, as on a copy of the folder.
    TakesBackFromTheLiving,
}

/// The line `tail`. Its maker and the number of the maker's process stand for the nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Line {
    epoch: u8,
    maker: u8,
    process: u8,
    seq: u8,
    beat: u8,
    /// The maker has handed over to the other node.
    released: bool,
}

impl Line {
    const fn lease(self) -> u8 {
        LEASES[self.maker as usize]
    }
}

/// The one transaction: compare `tail`, replace it, and put an entry if `seq` grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Txn {
    expected: Line,
    line: Line,
    /// The set of writes in the batch.
    writes: u8,
}

/// A transaction whose outcome the node does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Pending {
    txn: Txn,
    /// Ticks since the first try.
    age: u8,
    /// Ticks since the last try. Counted only under [`Fault::LeaseFromLastTry`].
    last_age: u8,
    /// Sent after the read was evaluated, so its success proves the read.
    confirms: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Answer {
    Done,
    Refused(Line),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Node {
    primary: bool,
    /// Rises when the node starts again.
    process: u8,
    /// The line that the node wrote or received last.
    known: Line,
    /// Ticks until the lease ends if the node is the primary, else until it may take over.
    left: u8,
    pending: Option<Pending>,
    /// Transactions on their way to the store.
    sent: [Option<Txn>; 2],
    /// An answer on its way back.
    answer: Option<(Txn, Answer)>,
    /// The writes that the node's state contains.
    data: u8,
    wrote: bool,
}

impl Node {
    /// Returns the writes of the state that are committed, as far as the node knows.
    fn committed(&self) -> u8 {
        self.data & !self.pending.map_or(0, |pending| pending.txn.writes)
    }
}

/// The one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Read {
    Unasked,
    /// Under the fault that checks the lease first, for the requests that arrive next.
    Checked {
        node: u8,
    },
    Evaluated {
        node: u8,
        required: u8,
        data: u8,
        epoch: u8,
        confirmed: bool,
    },
    Complete,
    Closed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each event was met or not, by itself")]
struct State {
    tail: Line,
    /// The writes of each batch.
    log: [u8; 8],
    nodes: [Node; 2],
    read: Read,
    acknowledged: u8,
    beats: u8,
    repeats: u8,
    hand_overs: u8,
    restarts: u8,
    old_read: bool,
    unsafe_read: bool,
    /// A refusal showed the node its own line.
    done_unheard: bool,
    handed_over: bool,
    /// A node took over from its former process within the lease.
    taken_back: bool,
}

impl State {
    fn committed(&self, seq: u8) -> u8 {
        self.log[1..=seq as usize].iter().fold(0, |all, writes| all | writes)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Tick,
    Write(u8),
    Beat(u8),
    HandOver(u8),
    Campaign(u8),
    /// The process of a node dies, and the next one reads `tail`.
    Restart(u8),
    Repeat(u8),
    /// A transaction takes effect, or is refused. The answer is lost unless it is `heard`.
    Arrive {
        node: u8,
        slot: u8,
        heard: bool,
    },
    Hear(u8),
    /// The watch shows `tail`.
    Watch(u8),
    Read(u8),
    Evaluate,
    Answer,
}

#[expect(clippy::ref_option, reason = "a sort passes a reference")]
fn order(sent: &Option<Txn>) -> Option<(u8, u8, u8, bool)> {
    sent.map(|txn| (txn.line.epoch, txn.line.seq, txn.line.beat, txn.line.released))
}

struct Protocol {
    fault: Fault,
    bounds: Bounds,
}

/// How much may happen in a run.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    beats: u8,
    repeats: u8,
    hand_overs: u8,
    restarts: u8,
    /// The last epoch: the first node's is 1.
    epochs: u8,
}

impl Protocol {
    fn wait_for(&self, node: u8, line: Line) -> u8 {
        match self.fault {
            Fault::OwnLease => LEASES[node as usize],
            Fault::ShortWait => line.lease() - 1,
            _ => line.lease(),
        }
    }

    /// Sends a transaction for the first time.
    fn send(state: &mut State, node: u8, txn: Txn) {
        let confirms = matches!(state.read, Read::Evaluated { node: at, .. } if at == node);
        let sender = &mut state.nodes[node as usize];
        sender.pending = Some(Pending { txn, age: 0, last_age: 0, confirms });
        Self::put_on_wire(sender, txn);
    }

    fn put_on_wire(node: &mut Node, txn: Txn) {
        let slot = node.sent.iter_mut().find(|slot| slot.is_none()).expect("a free slot");
        *slot = Some(txn);
        // The order of messages on their way does not matter: one order has fewer states.
        node.sent.sort_unstable_by_key(order);
    }

    /// The node learns that its pending transaction is done.
    fn succeed(&self, state: &mut State, at: u8) {
        let node = &mut state.nodes[at as usize];
        let pending = node.pending.take().expect("a pending transaction");
        let age = match self.fault {
            Fault::LeaseFromAnswer => 0,
            Fault::LeaseFromLastTry => pending.last_age,
            _ => pending.age,
        };
        let takeover = pending.txn.line.epoch > node.known.epoch;
        node.known = pending.txn.line;
        if node.known.released {
            node.primary = false;
            node.left = self.wait_for(at, node.known);
            state.handed_over = true;
            return;
        }
        node.primary = true;
        node.left = node.left.max(node.known.lease().saturating_sub(age));
        if takeover {
            node.left = node.known.lease().saturating_sub(age);
        }
        state.acknowledged |= pending.txn.writes;
        let epoch = node.known.epoch;
        if let Read::Evaluated { node: reader, epoch: then, confirmed, .. } = &mut state.read
            && *reader == at
            && pending.confirms
            && (*then == epoch || self.fault == Fault::ReplyOutlivesEpoch)
        {
            *confirmed = true;
        }
    }

    /// The node learns of another line: it follows, without uncommitted writes.
    fn follow(&self, state: &mut State, at: u8, line: Line) {
        let wait = self.wait_for(at, line);
        let node = &mut state.nodes[at as usize];
        node.primary = false;
        node.pending = None;
        node.known = line;
        node.left = wait;
        node.data = 0;
        if self.fault != Fault::ReplyOutlivesEpoch {
            Self::close_read(state, at);
        }
    }

    /// What the process has sent is still on its way.
    fn restart(&self, state: &mut State, at: u8) {
        state.restarts -= 1;
        state.nodes[at as usize].process += 1;
        self.follow(state, at, state.tail);
        Self::close_read(state, at);
    }

    /// Whether a node may take over within the lease, because the process that made the line has ended.
    fn may_take_back(&self, node: &Node, at: u8) -> bool {
        let line = node.known;
        let ended = line.maker == at && line.process < node.process;
        let copied = self.fault == Fault::TakesBackFromTheLiving && line.maker != at;
        (ended || copied) && !line.released
    }

    fn close_read(state: &mut State, at: u8) {
        if let Read::Checked { node } | Read::Evaluated { node, .. } = state.read
            && node == at
        {
            state.read = Read::Closed;
        }
    }

    fn arrive(&self, state: &mut State, at: u8, slot: u8, heard: bool) {
        let txn = state.nodes[at as usize].sent[slot as usize].take().expect("a message");
        let equal = match self.fault {
            Fault::NoCompare => true,
            Fault::CompareSeq => state.tail.seq == txn.expected.seq,
            _ => state.tail == txn.expected,
        };
        let answer = if equal {
            if txn.line.seq > txn.expected.seq {
                state.log[txn.line.seq as usize] = txn.writes;
            }
            state.tail = txn.line;
            Answer::Done
        } else {
            Answer::Refused(state.tail)
        };
        if heard {
            state.nodes[at as usize].answer = Some((txn, answer));
        }
    }

    fn hear(&self, state: &mut State, at: u8) {
        let node = &mut state.nodes[at as usize];
        let (txn, answer) = node.answer.take().expect("an answer");
        if node.pending.is_none_or(|pending| pending.txn != txn) {
            return; // An answer to a transaction that the node has given up.
        }
        match answer {
            Answer::Done => self.succeed(state, at),
            Answer::Refused(line) if line == txn.line => {
                state.done_unheard = true;
                self.succeed(state, at);
            }
            Answer::Refused(line) => self.follow(state, at, line),
        }
    }

    fn watch(&self, state: &mut State, at: u8) {
        let tail = state.tail;
        let node = &state.nodes[at as usize];
        match node.pending {
            Some(pending) if pending.txn.line == tail => self.succeed(state, at),
            _ => self.follow(state, at, tail),
        }
    }

    /// Whether the read's reply may leave.
    fn confirmed(&self, state: &State) -> bool {
        let Read::Evaluated { node, data, epoch, confirmed, .. } = state.read else { return false };
        let node = &state.nodes[node as usize];
        let same = node.known.epoch == epoch || self.fault == Fault::ReplyOutlivesEpoch;
        node.primary && same && (node.left > 0 || confirmed) && data & !node.committed() == 0
    }

    fn answer(state: &mut State, required: u8, data: u8) {
        state.old_read |= required & !data != 0;
        state.unsafe_read |= data & !state.committed(state.tail.seq) != 0;
        state.read = Read::Complete;
    }

    fn tick(&self, state: &mut State) {
        for node in &mut state.nodes {
            node.left = node.left.saturating_sub(1);
            if let Some(pending) = &mut node.pending {
                pending.age = (pending.age + 1).min(LEASES[0]);
                if self.fault == Fault::LeaseFromLastTry {
                    pending.last_age = (pending.last_age + 1).min(LEASES[0]);
                }
            }
        }
    }

    /// Drops messages that can change nothing any more, so that equal states are found to be equal.
    fn forget(&self, state: &mut State) {
        if matches!(self.fault, Fault::NoCompare | Fault::CompareSeq) {
            return;
        }
        for node in &mut state.nodes {
            let pending = node.pending.map(|pending| pending.txn);
            for sent in &mut node.sent {
                // The line never becomes what it was: this transaction will be refused, and nobody waits for the
                // answer.
                if sent.is_some_and(|txn| txn.expected != state.tail && pending != Some(txn)) {
                    *sent = None;
                }
            }
            if node.sent[0]
                .is_some_and(|txn| txn.expected != state.tail && node.sent[1] == Some(txn))
            {
                node.sent[0] = None;
            }
            node.sent.sort_unstable_by_key(order);
            if node.answer.is_some_and(|(txn, _)| pending != Some(txn)) {
                node.answer = None;
            }
        }
    }

    fn node_actions(&self, state: &State, at: u8, actions: &mut Vec<Action>) {
        let node = &state.nodes[at as usize];
        let room = node.sent.iter().any(Option::is_none);
        if node.primary && node.pending.is_none() && room {
            if !node.wrote {
                actions.push(Action::Write(at));
            }
            if state.beats > 0 {
                actions.push(Action::Beat(at));
            }
            if state.hand_overs > 0 {
                actions.push(Action::HandOver(at));
            }
        }
        let invited = node.known.released && node.known.maker != at;
        if !node.primary
            && node.pending.is_none()
            && room
            && node.known.epoch < self.bounds.epochs
            && (node.left == 0 || invited || self.may_take_back(node, at))
        {
            actions.push(Action::Campaign(at));
        }
        if state.restarts > 0 {
            actions.push(Action::Restart(at));
        }
        if node.pending.is_some() && room && state.repeats > 0 {
            actions.push(Action::Repeat(at));
        }
        for (slot, _) in (0..).zip(&node.sent).filter(|(_, sent)| sent.is_some()) {
            actions.push(Action::Arrive { node: at, slot, heard: false });
            if node.answer.is_none() {
                actions.push(Action::Arrive { node: at, slot, heard: true });
            }
        }
        if node.answer.is_some() {
            actions.push(Action::Hear(at));
        }
        if state.tail != node.known {
            actions.push(Action::Watch(at));
        }
        if node.primary && state.read == Read::Unasked {
            actions.push(Action::Read(at));
        }
    }

    fn start(&self, state: &mut State, action: Action) {
        let (Action::Write(at) | Action::Beat(at) | Action::HandOver(at) | Action::Campaign(at)) =
            action
        else {
            unreachable!("only these send a new transaction")
        };
        let node = &mut state.nodes[at as usize];
        let expected = node.known;
        let mut line = expected;
        let mut writes = 0;
        match action {
            Action::Write(_) => {
                node.wrote = true;
                writes = 1 << at;
                node.data |= writes;
                line.seq += 1;
            }
            Action::Beat(_) => {
                state.beats -= 1;
                line.beat += 1;
            }
            Action::HandOver(_) => {
                state.hand_overs -= 1;
                line.released = true;
                if self.fault != Fault::LateHandOver {
                    node.primary = false;
                    node.left = 0;
                    Self::close_read(state, at);
                }
            }
            _ => {
                let committed =
                    state.log[1..=expected.seq as usize].iter().fold(0, |all, w| all | w);
                node.data = committed;
                state.taken_back |= node.left > 0 && !expected.released;
                line = Line {
                    epoch: expected.epoch + 1,
                    maker: at,
                    process: node.process,
                    seq: expected.seq + 1,
                    beat: 0,
                    released: false,
                };
            }
        }
        Self::send(state, at, Txn { expected, line, writes });
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let tail = Line { epoch: 1, maker: 0, process: 0, seq: 0, beat: 0, released: false };
        let node = |primary| Node {
            primary,
            process: 0,
            known: tail,
            left: tail.lease(),
            pending: None,
            sent: [None; 2],
            answer: None,
            data: 0,
            wrote: false,
        };
        vec![State {
            tail,
            log: [0; 8],
            nodes: [node(true), node(false)],
            read: Read::Unasked,
            acknowledged: 0,
            beats: self.bounds.beats,
            repeats: self.bounds.repeats,
            hand_overs: self.bounds.hand_overs,
            restarts: self.bounds.restarts,
            old_read: false,
            unsafe_read: false,
            done_unheard: false,
            handed_over: false,
            taken_back: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if matches!(state.read, Read::Complete | Read::Closed) {
            return; // All else that can happen is in the states in which nobody asks.
        }
        let counts = |node: &Node| {
            let ages = |pending: Pending| pending.age < LEASES[0];
            node.left > 0 || node.pending.is_some_and(ages)
        };
        if state.nodes.iter().any(counts) {
            actions.push(Action::Tick);
        }
        for node in 0..2 {
            self.node_actions(state, node, actions);
        }
        match state.read {
            Read::Checked { .. } => actions.push(Action::Evaluate),
            Read::Evaluated { .. } if self.confirmed(state) => actions.push(Action::Answer),
            _ => {}
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => self.tick(&mut state),
            Action::Write(_) | Action::Beat(_) | Action::HandOver(_) | Action::Campaign(_) => {
                self.start(&mut state, action);
            }
            Action::Repeat(at) => {
                state.repeats -= 1;
                let node = &mut state.nodes[at as usize];
                let pending = node.pending.as_mut()?;
                pending.last_age = 0;
                let txn = pending.txn;
                Self::put_on_wire(node, txn);
            }
            Action::Arrive { node, slot, heard } => self.arrive(&mut state, node, slot, heard),
            Action::Hear(at) => self.hear(&mut state, at),
            Action::Restart(at) => self.restart(&mut state, at),
            Action::Watch(at) => self.watch(&mut state, at),
            Action::Read(node) if self.fault == Fault::CheckBeforeEvaluation => {
                if state.nodes[node as usize].left == 0 {
                    return None;
                }
                state.read = Read::Checked { node };
            }
            // The latest moment for a client to ask is right before the evaluation: it demands most.
            Action::Read(node) => {
                let reader = &state.nodes[node as usize];
                state.read = Read::Evaluated {
                    node,
                    required: state.acknowledged,
                    data: reader.data,
                    epoch: reader.known.epoch,
                    confirmed: false,
                };
            }
            Action::Evaluate => {
                let Read::Checked { node } = state.read else { return None };
                let (required, committed) =
                    (state.acknowledged, state.nodes[node as usize].committed());
                Self::answer(&mut state, required, committed);
            }
            Action::Answer => {
                let Read::Evaluated { required, data, .. } = state.read else { return None };
                Self::answer(&mut state, required, data);
            }
        }
        self.forget(&mut state);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no acknowledged write is gone", |_, state: &State| {
                state.acknowledged & !state.committed(state.tail.seq) == 0
            }),
            Property::always("no read is old", |_, state: &State| !state.old_read),
            Property::always("no read shows an uncommitted write", |_, state: &State| {
                !state.unsafe_read
            }),
            Property::always("one node at most holds a lease", |_, state: &State| {
                !state.nodes.iter().all(|node| node.primary && node.left > 0)
            }),
            Property::sometimes("two takeovers, back to the first node", |_, state: &State| {
                state.nodes[0].primary && state.nodes[0].known.epoch == LAST_EPOCH
            }),
            Property::sometimes("a transaction is done unheard", |_, state: &State| {
                state.done_unheard
            }),
            Property::sometimes(
                "a node hands over and the other takes over",
                |_, state: &State| state.handed_over && state.nodes[1].primary,
            ),
            Property::sometimes("a node takes its group back", |_, state: &State| {
                state.taken_back && state.nodes[0].primary && state.nodes[0].process == 1
            }),
            Property::sometimes("both writes are acknowledged", |_, state: &State| {
                state.acknowledged == 3
            }),
            Property::sometimes("a read is answered", |_, state: &State| {
                state.read == Read::Complete && state.acknowledged == 3
            }),
        ]
    }
}

/// Two takeovers with a hand-over and a repeated transaction; then with beats; then one takeover with all of them. Then
/// two takeovers, of which a node that starts again may do one or both.
const SEARCHES: [Bounds; 4] = [
    Bounds { beats: 0, repeats: 1, hand_overs: 1, restarts: 0, epochs: 3 },
    Bounds { beats: 1, repeats: 0, hand_overs: 0, restarts: 0, epochs: 3 },
    Bounds { beats: 1, repeats: 1, hand_overs: 0, restarts: 0, epochs: 2 },
    Bounds { beats: 0, repeats: 0, hand_overs: 0, restarts: 1, epochs: 3 },
];

#[test]
fn the_protocol_is_safe_in_all_states() {
    let protocol = |bounds| Protocol { fault: Fault::None, bounds };
    let (states, met) = search::all(SEARCHES.map(protocol));
    println!("{states} states");
    assert_eq!(met.len(), 6, "the searches meet only {met:?}");
    assert!(states > 300_000, "the model has lost states: {states} are left");
}

#[test]
fn each_broken_rule_is_found() {
    let gone = "no acknowledged write is gone";
    let old = "no read is old";
    let two = "one node at most holds a lease";
    // The property, and the beats, repeats, hand-overs and epochs that a counterexample needs.
    let controls = [
        (Fault::NoCompare, gone, (0, 0, 0, 2)),
        (Fault::CompareSeq, two, (1, 0, 0, 2)),
        (Fault::ReplyOutlivesEpoch, old, (0, 0, 0, 3)),
        (Fault::LeaseFromAnswer, old, (0, 0, 0, 2)),
        (Fault::LeaseFromLastTry, old, (0, 1, 0, 2)),
        (Fault::OwnLease, old, (0, 0, 0, 2)),
        (Fault::ShortWait, old, (0, 0, 0, 2)),
        (Fault::CheckBeforeEvaluation, old, (0, 0, 0, 2)),
        (Fault::LateHandOver, old, (0, 0, 1, 2)),
        (Fault::TakesBackFromTheLiving, old, (0, 0, 0, 2)),
    ];
    for (fault, property, (beats, repeats, hand_overs, epochs)) in controls {
        let bounds = Bounds { beats, repeats, hand_overs, restarts: 0, epochs };
        search::broken(Protocol { fault, bounds }, fault, property);
    }
}
