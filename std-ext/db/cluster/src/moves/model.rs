//! A model of a move of slots between two groups, searched exhaustively.
//!
//! Each group has a log and a primary, which may be deposed twice. A deposed primary goes on: nothing that it appends
//! is committed, and its transactions on the key of the move still take effect. One transaction of a primary that is
//! not deposed may arrive late, too, after the primary has gone on. An administrator creates, cancels and returns moves
//! at any time. The slots have one key, whose values tell whether an acknowledged write is lost. The changes of the
//! record are those that [`MovePhase::next`] allows.
//!
//! Each [`Fault`] breaks one rule of the protocol. The tests assert that the search finds a counterexample for each,
//! and none without a fault.

use super::record::{Actor, MovePhase, MoveState};
use MoveState::{Arriving, Cancelled, Copying, Done, Leaving, Moved, Ready, Returned};
use hedgerow_db_group::search;
use stateright::{Model, Property};
use std::collections::HashMap;

/// The rule of the protocol that a run breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// None: the protocol as it is.
    None,
    /// The source takes the slots away from itself before the record says that it leaves.
    OutBeforeLeaving,
    /// A move is cancelled after the source may have left.
    CancelAfterLeaving,
    /// The target takes the slots before the record says so.
    OwnBeforeArriving,
    /// A move is returned after the target may have taken the slots.
    ReturnAfterArriving,
    /// A new primary of the target trusts the import of an earlier one.
    NewPrimaryCopiesNothing,
    /// The source clears the slots before the target owns them.
    ClearBeforeDone,
    /// A node that opens its folder drops the keys that it does not own.
    DropOnOpen,
    /// A primary of the target begins again after all was imported.
    ClearInArriving,
    /// Primaries of the target begin to import without a claim.
    NoClaim,
    /// A primary of the target begins again while its own transaction to `arriving` may still arrive.
    ClearAfterAsking,
    /// The source sends the digest before the entry by which it leaves is committed.
    DigestBeforeOutIsCommitted,
    /// The target does not wait until its import is committed.
    ArrivingBeforeCommit,
    /// The target does not wait until the entry that gives it the slots is committed.
    DoneBeforeCommit,
    /// The source does not wait until the entry that gives it the slots again is committed.
    CancelledBeforeCommit,
    /// The key is deleted before the entry that clears the slots is committed.
    EndBeforeCommit,
    /// A primary that believes that its group owns the slots deletes the key, without a committed entry.
    EndByBelief,
    /// A group clears slots that it owns.
    ClearOwned,
}

/// An entry of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Entry {
    /// A write of a client, with the value.
    Write(u8),
    /// A value that was imported.
    Import(u8),
    /// The keys of the slots are removed.
    Clear,
    /// Nothing changes.
    Empty,
    /// The move with this number takes the slots away.
    Out(u8),
    /// The move with this number gives the slots.
    Own(u8),
}

/// The state that a log makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Data {
    owns: bool,
    /// The value of the key; 0 if there is none.
    value: u8,
    /// The set of moves that have taken the slots away.
    out: u8,
    /// The set of moves that have given the slots.
    own: u8,
}

impl Data {
    fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Write(value) | Entry::Import(value) => self.value = value,
            Entry::Clear => self.value = 0,
            Entry::Empty => {}
            Entry::Out(id) => (self.owns, self.out) = (false, self.out | id),
            Entry::Own(id) => (self.owns, self.own) = (true, self.own | id),
        }
    }
}

/// The work of a primary for a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Work {
    Nothing,
    /// It has claimed the move, and will clear the slots.
    Claimed(u8),
    /// It has appended the entry that clears them.
    Clearing(u8),
    /// It imports.
    Importing {
        id: u8,
        /// The epoch of the source's primary that sends.
        source: u8,
        /// The value that was received last.
        received: Option<u8>,
        /// The digest was that of the own data.
        complete: bool,
        /// A transaction to `arriving` may be on its way.
        asked: bool,
    },
    /// It has appended the last entry of the move, which clears the slots.
    Ending(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Primary {
    epoch: u8,
    /// The state of the committed entries.
    committed: Data,
    /// Uncommitted entries.
    pending: [Option<Entry>; 2],
    work: Work,
}

impl Primary {
    fn new(epoch: u8, committed: Data) -> Self {
        Self { epoch, committed, pending: [None; 2], work: Work::Nothing }
    }

    /// Returns the state with the uncommitted entries.
    fn data(&self) -> Data {
        let mut data = self.committed;
        self.pending.iter().flatten().for_each(|entry| data.apply(*entry));
        data
    }

    /// Returns whether it has claimed this move, or imports.
    fn imports(&self, move_id: u8) -> bool {
        match self.work {
            Work::Claimed(id) | Work::Clearing(id) | Work::Importing { id, .. } => id == move_id,
            Work::Nothing | Work::Ending(_) => false,
        }
    }

    fn is_committed(&self) -> bool {
        self.pending == [None; 2]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Group {
    primary: Primary,
    /// The primary before.
    deposed: Option<Primary>,
}

impl Group {
    fn with_epoch(&self, epoch: u8) -> Option<&Primary> {
        [Some(&self.primary), self.deposed.as_ref()]
            .into_iter()
            .flatten()
            .find(|primary| primary.epoch == epoch)
    }
}

/// The key of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    /// 1 for the first move, 2 for the second.
    id: u8,
    from: u8,
    phase: MovePhase,
}

/// A transaction: the value that it compares, and the new one.
type Txn = (Key, Option<Key>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Late {
    No,
    Sent(Txn),
    Arrived,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    groups: [Group; 2],
    key: Option<Key>,
    /// Moves that were created.
    moves: u8,
    /// Clients' writes, and the value that the last acknowledged one has written.
    written: u8,
    acknowledged: u8,
    late: Late,
}

impl State {
    fn owners(&self) -> impl Iterator<Item = &Data> {
        self.groups.iter().map(|group| &group.primary.committed).filter(|data| data.owns)
    }

    fn is(&self, state: MoveState) -> bool {
        self.key.is_some_and(|key| key.phase.state == state)
    }
}

/// A primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Who {
    group: u8,
    deposed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// An administrator creates a move from this group to the other one.
    Create(u8),
    Cancel,
    Return,
    TakeOver(u8),
    /// Commits the first uncommitted entry.
    Save(u8),
    /// A client writes.
    Write(u8),
    /// A primary replaces the record by one in this state, or deletes the key.
    Transact(Who, Option<MoveState>),
    /// The same, and the transaction arrives late.
    Send(u8, Option<MoveState>),
    Arrive,
    /// A primary appends the next entry of the move.
    Append(u8),
    /// The target opens a stream from the source's primary, or from the deposed one.
    Open(u8, bool),
    Receive(u8),
    CompareDigest(u8),
    BeginAgain(u8),
}

/// How much may happen in a run.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// The last epoch of each group: the first is 1.
    epochs: [u8; 2],
    moves: u8,
    /// The values that clients write.
    writes: &'static [u8],
    late: bool,
}

struct Protocol {
    fault: Fault,
    bounds: Bounds,
}

const STATES: [Option<MoveState>; 9] = [
    Some(Copying),
    Some(Ready),
    Some(Leaving),
    Some(Moved),
    Some(Arriving),
    Some(Done),
    Some(Returned),
    Some(Cancelled),
    None,
];

impl Protocol {
    fn primary(state: &State, who: Who) -> Option<&Primary> {
        let group = &state.groups[who.group as usize];
        if who.deposed { group.deposed.as_ref() } else { Some(&group.primary) }
    }

    /// Returns whether a primary knows all that the change of the record needs.
    fn knows(&self, primary: &Primary, key: Key, by: Actor, to: Option<MoveState>) -> bool {
        let (id, committed, data) = (key.id, primary.committed, primary.data());
        let ended = primary.work == Work::Ending(id);
        match (by, to) {
            (Actor::Source, Some(Leaving)) => data.owns,
            (Actor::Source, Some(Moved)) => committed.out & id != 0,
            (Actor::Source, Some(Cancelled)) => match self.fault {
                Fault::CancelledBeforeCommit => data.own & id != 0,
                _ => committed.own & id != 0,
            },
            (Actor::Target(_), Some(Ready)) => {
                matches!(primary.work, Work::Importing { id: of, received: Some(_), .. } if of == id)
            }
            (Actor::Target(_), Some(Arriving)) => {
                matches!(primary.work, Work::Importing { id: of, complete: true, .. } if of == id)
                    && (primary.is_committed() || self.fault == Fault::ArrivingBeforeCommit)
            }
            (Actor::Target(_), Some(Done)) => match self.fault {
                Fault::DoneBeforeCommit => data.own & id != 0,
                _ => committed.own & id != 0,
            },
            // A claim. The record may name the own epoch already: the answer to a transaction was lost.
            (Actor::Target(_), Some(Copying | Leaving | Moved)) => {
                (!data.owns || self.fault == Fault::ClearOwned) && !primary.imports(id)
            }
            (_, None) => match self.fault {
                Fault::EndBeforeCommit => ended,
                Fault::EndByBelief => committed.owns || ended && primary.is_committed(),
                _ => ended && primary.is_committed(),
            },
            _ => false,
        }
    }

    /// Returns the transaction by which a primary changes the record.
    fn txn(&self, state: &State, who: Who, to: Option<MoveState>) -> Option<Txn> {
        let (key, primary) = (state.key?, Self::primary(state, who)?);
        let by = match who.group {
            group if group == key.from => Actor::Source,
            _ if self.fault == Fault::NoClaim => Actor::Target(key.phase.epoch.max(1)),
            _ => Actor::Target(primary.epoch.into()),
        };
        if !self.knows(primary, key, by, to) {
            return None;
        }
        let Some(to) = to else {
            return key.phase.end(by).is_ok().then_some((key, None));
        };
        let phase = key.phase.next(to, by).ok()?;
        Some((key, Some(Key { phase, ..key })))
    }

    /// Returns the entry that a primary appends next for the move, and its work from then on.
    fn entry(&self, state: &State, at: u8) -> Option<(Entry, Work)> {
        let primary = &state.groups[at as usize].primary;
        let (data, work) = (primary.data(), primary.work);
        let may_clear = !data.owns || self.fault == Fault::ClearOwned;
        if let Work::Claimed(id) = work {
            return may_clear.then_some((Entry::Clear, Work::Clearing(id)));
        }
        let Key { id, from, phase } = state.key?;
        let imported =
            matches!(work, Work::Importing { complete: true, .. }) && primary.is_committed();
        // A group that owns the slots has nothing to clear: the administrator was wrong. The entry shows that the
        // primary is not deposed: a deposed one may believe that its group owns the slots.
        let last = (if may_clear { Entry::Clear } else { Entry::Empty }, Work::Ending(id));
        let entry = match (at == from, phase.state) {
            (true, Leaving) if data.owns => (Entry::Out(id), work),
            (true, Ready) if data.owns && self.fault == Fault::OutBeforeLeaving => {
                (Entry::Out(id), work)
            }
            (true, Moved) if data.value > 0 && self.fault == Fault::ClearBeforeDone => {
                (Entry::Clear, work)
            }
            (false, Moved) if imported && !data.owns && self.fault == Fault::OwnBeforeArriving => {
                (Entry::Own(id), work)
            }
            (false, Arriving) if work == Work::Nothing && self.fault == Fault::ClearInArriving => {
                (Entry::Clear, Work::Clearing(id))
            }
            (true, Returned) | (false, Arriving) if !data.owns => (Entry::Own(id), work),
            (true, Done) | (false, Cancelled) if work != last.1 => last,
            _ => return None,
        };
        Some(entry)
    }

    fn append(state: &mut State, at: u8, entry: Entry) -> Option<()> {
        let pending = &mut state.groups[at as usize].primary.pending;
        *pending.iter_mut().find(|entry| entry.is_none())? = Some(entry);
        Some(())
    }

    fn save(state: &mut State, at: u8) -> Option<()> {
        let primary = &mut state.groups[at as usize].primary;
        let [Some(entry), next] = primary.pending else { return None };
        primary.pending = [next, None];
        primary.committed.apply(entry);
        if let Entry::Write(value) = entry {
            state.acknowledged = value;
        }
        Some(())
    }

    fn take_over(&self, state: &mut State, at: u8) {
        let group = &mut state.groups[at as usize];
        let mut new = Primary::new(group.primary.epoch + 1, group.primary.committed);
        if self.fault == Fault::DropOnOpen && !new.committed.owns {
            new.committed.value = 0;
        }
        *group = Group { primary: new, deposed: Some(group.primary) };
    }

    /// The transaction takes effect if the key has the value that it compares.
    fn put(state: &mut State, (expected, new): Txn) {
        if state.key == Some(expected) {
            state.key = new;
        }
    }

    /// A primary has changed the record, or has sent the transaction.
    fn after_transaction(&self, state: &mut State, who: Who, (old, new): Txn) {
        let group = &mut state.groups[who.group as usize];
        let primary = if who.deposed { group.deposed.as_mut() } else { Some(&mut group.primary) };
        let (Some(primary), Some(new)) = (primary, new) else { return };
        let claims = new.phase.state == old.phase.state || new.phase.state == Copying;
        if who.group != old.from && claims {
            primary.work = match self.fault {
                Fault::NewPrimaryCopiesNothing if primary.epoch > 1 => Work::Importing {
                    id: old.id,
                    source: 0,
                    received: Some(primary.committed.value),
                    complete: true,
                    asked: false,
                },
                _ => Work::Claimed(old.id),
            };
        }
    }

    /// The target receives the key's value, if it has changed since.
    fn receive(state: &mut State, at: u8) -> Option<()> {
        let Work::Importing { source, received, complete: false, .. } =
            &mut state.groups[at as usize].primary.work
        else {
            return None;
        };
        let (source, last) = (*source, *received);
        let value = state.groups[1 - at as usize].with_epoch(source)?.data().value;
        if last == Some(value) {
            return None;
        }
        let work = &mut state.groups[at as usize].primary.work;
        if let Work::Importing { received, .. } = work {
            *received = Some(value);
        }
        if value == 0 && last.is_none() {
            return Some(()); // There is no key to send.
        }
        Self::append(state, at, Entry::Import(value))
    }

    /// The target compares its data with those of the source, which has left.
    fn compare(&self, state: &mut State, at: u8) -> Option<()> {
        let groups = &mut state.groups;
        let own = groups[at as usize].primary;
        let Work::Importing { id, source, received: Some(_), complete: false, asked } = own.work
        else {
            return None;
        };
        let from = groups[1 - at as usize].with_epoch(source)?;
        let left = match self.fault {
            Fault::DigestBeforeOutIsCommitted => from.data().out,
            _ => from.committed.out,
        };
        if left & id == 0 || from.data().value != own.data().value {
            return None;
        }
        let received = Some(own.data().value);
        groups[at as usize].primary.work =
            Work::Importing { id, source, received, complete: true, asked };
        Some(())
    }

    /// The target leaves its import unfinished. The record stays claimed.
    fn begin_again(&self, state: &mut State, at: u8) -> Option<()> {
        let primary = &mut state.groups[at as usize].primary;
        let Work::Importing { id, asked, .. } = primary.work else { return None };
        let key = state.key.filter(|key| key.id == id && key.phase.state <= Moved)?;
        if asked && self.fault != Fault::ClearAfterAsking {
            return None;
        }
        if key.phase.state == Ready {
            let phase = key.phase.next(Copying, Actor::Target(primary.epoch.into())).ok()?;
            state.key = Some(Key { phase, ..key });
        }
        primary.work = Work::Claimed(id);
        Some(())
    }

    fn administrate(&self, state: &mut State, action: Action) -> Option<()> {
        let (to, broken) = match action {
            Action::Create(from) => {
                state.moves += 1;
                state.key = Some(Key { id: state.moves, from, phase: MovePhase::NEW });
                return Some(());
            }
            Action::Cancel => (
                Cancelled,
                self.fault == Fault::CancelAfterLeaving && (state.is(Leaving) || state.is(Moved)),
            ),
            _ => (Returned, self.fault == Fault::ReturnAfterArriving && state.is(Arriving)),
        };
        let phase = &mut state.key.as_mut()?.phase;
        if broken {
            phase.state = to;
        } else {
            *phase = phase.next(to, Actor::Administrator).ok()?;
        }
        Some(())
    }

    /// Whether an action is one of those that end a move: no failure, no write, no return.
    fn leads_on(state: &State, action: Action) -> bool {
        match action {
            Action::Create(_)
            | Action::Return
            | Action::TakeOver(_)
            | Action::Write(_)
            | Action::Send(..)
            | Action::Arrive => false,
            // The administrator was wrong.
            Action::Cancel => {
                state.key.is_some_and(|key| !state.groups[key.from as usize].primary.committed.owns)
            }
            Action::Transact(who, _) => !who.deposed,
            Action::Open(_, deposed) => !deposed,
            _ => true,
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let data = |owns, value| Data { owns, value, out: 0, own: 0 };
        let group = |data| Group { primary: Primary::new(1, data), deposed: None };
        vec![State {
            groups: [group(data(true, 1)), group(data(false, 0))],
            key: None,
            moves: 0,
            written: 0,
            acknowledged: 1,
            late: Late::No,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        match state.key {
            None if state.moves == 0 => actions.push(Action::Create(0)),
            None if state.moves < self.bounds.moves => {
                actions.extend([Action::Create(0), Action::Create(1)]);
            }
            None => {}
            Some(_) => actions.extend([Action::Cancel, Action::Return]),
        }
        for at in 0..2 {
            let Group { primary, deposed } = &state.groups[at as usize];
            if primary.epoch < self.bounds.epochs[at as usize] {
                actions.push(Action::TakeOver(at));
            }
            if usize::from(state.written) < self.bounds.writes.len() && primary.data().owns {
                actions.push(Action::Write(at));
            }
            if !primary.is_committed() {
                actions.push(Action::Save(at));
            }
            actions.push(Action::Append(at));
            actions.extend([Action::Receive(at), Action::CompareDigest(at)]);
            actions.extend([Action::Open(at, false), Action::Open(at, true)]);
            actions.push(Action::BeginAgain(at));
            for to in STATES {
                actions.push(Action::Transact(Who { group: at, deposed: false }, to));
                if deposed.is_some() {
                    actions.push(Action::Transact(Who { group: at, deposed: true }, to));
                }
                if self.bounds.late && state.late == Late::No {
                    actions.push(Action::Send(at, to));
                }
            }
        }
        if let Late::Sent(_) = state.late {
            actions.push(Action::Arrive);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = *last;
        match action {
            Action::Create(_) | Action::Cancel | Action::Return => {
                self.administrate(&mut state, action)?;
            }
            Action::TakeOver(at) => self.take_over(&mut state, at),
            Action::Save(at) => Self::save(&mut state, at)?,
            Action::Write(at) => {
                let value = self.bounds.writes[state.written as usize];
                state.written += 1;
                Self::append(&mut state, at, Entry::Write(value))?;
            }
            Action::Transact(who, to) => {
                let txn = self.txn(last, who, to)?;
                Self::put(&mut state, txn);
                self.after_transaction(&mut state, who, txn);
            }
            Action::Send(at, to) => {
                let txn = self.txn(last, Who { group: at, deposed: false }, to)?;
                state.late = Late::Sent(txn);
                if let Work::Importing { asked, .. } = &mut state.groups[at as usize].primary.work {
                    *asked |= to == Some(Arriving);
                }
            }
            Action::Arrive => {
                let Late::Sent(txn) = state.late else { return None };
                Self::put(&mut state, txn);
                state.late = Late::Arrived;
            }
            Action::Append(at) => {
                let (entry, work) = self.entry(last, at)?;
                Self::append(&mut state, at, entry)?;
                state.groups[at as usize].primary.work = work;
            }
            Action::Open(at, deposed) => {
                let source = Self::primary(last, Who { group: 1 - at, deposed })?.epoch;
                let primary = &mut state.groups[at as usize].primary;
                let Work::Clearing(id) = primary.work else { return None };
                if !primary.is_committed() {
                    return None;
                }
                primary.work =
                    Work::Importing { id, source, received: None, complete: false, asked: false };
            }
            Action::Receive(at) => Self::receive(&mut state, at)?,
            Action::CompareDigest(at) => self.compare(&mut state, at)?,
            Action::BeginAgain(at) => self.begin_again(&mut state, at)?,
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("two groups never own the slots", |_, state: &State| {
                state.owners().count() < 2
            }),
            Property::always("no acknowledged write is lost", |_, state: &State| {
                state.owners().all(|data| data.value == state.acknowledged)
            }),
            Property::always("slots without an owner are on their way", |_, state: &State| {
                let on_their_way = [Leaving, Moved, Arriving, Returned];
                state.owners().count() > 0 || on_their_way.iter().any(|on| state.is(*on))
            }),
            Property::always("a finished move leaves no key behind", |_, state: &State| {
                let [first, second] = state.groups.map(|group| group.primary.committed);
                let clean = |data: Data| data.owns || data.value == 0;
                state.key.is_some() || clean(first) && clean(second)
            }),
            Property::sometimes("a write at the target is acknowledged", |_, state: &State| {
                state.is(Done)
                    && state.acknowledged > 1
                    && state.groups[0].primary.committed.value == 1
            }),
            Property::sometimes("the slots move there and back", |_, state: &State| {
                let [first, second] = state.groups.map(|group| group.primary.committed);
                state.key.is_none() && first.own == 2 && second.own == 1
            }),
            Property::sometimes("the slots are returned", |_, state: &State| {
                state.key.is_none() && state.groups[0].primary.committed.own == 1
            }),
            Property::sometimes("a new primary takes the slots", |_, state: &State| {
                let group = &state.groups[1];
                state.is(Done)
                    && group.deposed.is_some_and(|deposed| {
                        matches!(deposed.work, Work::Importing { complete: true, .. })
                            && deposed.data().own == 0
                    })
                    && group.primary.work == Work::Nothing
            }),
            Property::sometimes("a deposed primary has left in vain", |_, state: &State| {
                let group = &state.groups[0];
                state.is(Leaving)
                    && group.primary.committed.owns
                    && group.deposed.is_some_and(|deposed| deposed.data().out == 1)
            }),
        ]
    }
}

/// One takeover of each group; two of one group, with a late transaction; one takeover and two moves.
const SEARCHES: [Bounds; 5] = [
    Bounds { epochs: [2, 2], moves: 1, writes: &[2], late: false },
    Bounds { epochs: [1, 3], moves: 1, writes: &[2], late: true },
    Bounds { epochs: [3, 1], moves: 1, writes: &[2, 0], late: true },
    Bounds { epochs: [1, 2], moves: 2, writes: &[2], late: false },
    Bounds { epochs: [2, 1], moves: 2, writes: &[2], late: false },
];

#[test]
fn the_protocol_is_safe_in_all_states() {
    let protocol = |bounds| Protocol { fault: Fault::None, bounds };
    let (states, met) = search::all(SEARCHES.map(protocol));
    println!("{states} states");
    assert_eq!(met.len(), 5, "the searches meet only {met:?}");
    assert!(states > 700_000, "the model has lost states: {states} are left");
}

#[test]
fn each_broken_rule_is_found() {
    let two = "two groups never own the slots";
    let lost = "no acknowledged write is lost";
    let gone = "slots without an owner are on their way";
    let left = "a finished move leaves no key behind";
    // The property, and the bounds that a counterexample needs.
    let controls = [
        (Fault::OutBeforeLeaving, gone, [1, 1], 1, false),
        (Fault::CancelAfterLeaving, gone, [1, 1], 1, false),
        (Fault::OwnBeforeArriving, two, [1, 1], 1, false),
        (Fault::ReturnAfterArriving, two, [1, 1], 1, false),
        (Fault::NewPrimaryCopiesNothing, lost, [1, 2], 1, false),
        (Fault::ClearBeforeDone, lost, [1, 1], 1, false),
        (Fault::DropOnOpen, lost, [2, 1], 1, false),
        (Fault::ClearInArriving, lost, [1, 3], 1, false),
        (Fault::NoClaim, lost, [1, 3], 1, false),
        (Fault::ClearAfterAsking, lost, [1, 2], 1, true),
        (Fault::DigestBeforeOutIsCommitted, lost, [2, 1], 1, false),
        (Fault::ArrivingBeforeCommit, lost, [1, 2], 1, false),
        (Fault::DoneBeforeCommit, gone, [1, 2], 1, false),
        (Fault::CancelledBeforeCommit, gone, [2, 1], 1, false),
        (Fault::EndBeforeCommit, left, [1, 2], 1, false),
        (Fault::EndByBelief, left, [2, 1], 1, false),
        (Fault::ClearOwned, lost, [1, 1], 2, false),
    ];
    for (fault, property, epochs, moves, late) in controls {
        let bounds = Bounds { epochs, moves, writes: &[2], late };
        search::broken(Protocol { fault, bounds }, fault, property);
    }
}

/// Returns the number of states that a search meets, and one from which no move ends, even if all go on.
fn state_without_an_end(protocol: &Protocol) -> (usize, Option<State>) {
    let mut numbers = HashMap::new();
    let mut states = protocol.init_states();
    let mut before: Vec<Vec<usize>> = vec![Vec::new()];
    numbers.insert(states[0], 0);
    let mut at = 0;
    while at < states.len() {
        let (state, mut actions) = (states[at], Vec::new());
        protocol.actions(&state, &mut actions);
        for action in actions {
            let Some(next) = protocol.next_state(&state, action) else { continue };
            let number = *numbers.entry(next).or_insert_with(|| {
                states.push(next);
                before.push(Vec::new());
                states.len() - 1
            });
            if Protocol::leads_on(&state, action) {
                before[number].push(at);
            }
        }
        at += 1;
    }
    let mut ends: Vec<bool> = states.iter().map(|state| state.key.is_none()).collect();
    let mut open: Vec<usize> = (0..states.len()).filter(|at| ends[*at]).collect();
    while let Some(at) = open.pop() {
        for from in &before[at] {
            if !std::mem::replace(&mut ends[*from], true) {
                open.push(*from);
            }
        }
    }
    (states.len(), ends.iter().position(|ends| !ends).map(|at| states[at]))
}

#[test]
fn a_move_can_end_from_all_states() {
    for bounds in [
        Bounds { epochs: [2, 2], moves: 1, writes: &[2], late: false },
        Bounds { epochs: [1, 2], moves: 1, writes: &[2], late: true },
        Bounds { epochs: [2, 1], moves: 2, writes: &[2], late: false },
    ] {
        let (states, stuck) = state_without_an_end(&Protocol { fault: Fault::None, bounds });
        println!("{bounds:?}: {states} states");
        assert_eq!(stuck, None, "no move ends after this state, even if all go on");
    }
}
