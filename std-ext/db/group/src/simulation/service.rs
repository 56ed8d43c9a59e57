//! What a simulation runs: the state machine, its clients, and the check of their answers.

use super::coverage::Coverage;
use super::disk::Disk;
use super::faults::Scenario;
use super::machine::{Machine, Replica};
use super::random::Random;
use super::truth::Truth;
use crate::{Entry, EntryFormat, Epoch, Lsn};
use std::fmt::Debug;

/// A replicated service: everything that a run needs beyond the group itself.
///
/// A run has clients that make requests. The node that leads evaluates a request at its own machine, appends the
/// changes, and holds the answer back until the entry is committed and the lease is checked. When the answer leaves,
/// the [`Checker`] compares it with the committed entries.
pub trait Service: Clone + Debug + Sized + 'static {
    /// The state of a node.
    type Machine: Machine;
    /// The same for the committed entries: what the checker compares answers with. It may remember earlier states.
    type History: Machine;
    /// A request of a client.
    type Request: Clone + Debug;
    /// What an answer tells.
    type Answer: Clone + Debug;
    /// What the clients know.
    type Checker: Checker<Self>;
    /// The real program, in whose place the machine says what its state must be: [`NoProgram`] if there is none.
    type Program: Program<Self>;

    /// The format of entries.
    const FORMAT: &'static dyn EntryFormat;

    /// Chooses the next request of a client. `token` is unique. Some changes should be larger than `most_batch` bytes,
    /// so that their entries go in parts.
    fn request(
        random: &mut Random,
        token: u64,
        most_batch: usize,
        scenario: Scenario,
    ) -> Self::Request;

    /// Whether a request changes nothing, so that a node that refuses changes may answer it.
    fn reads_only(request: &Self::Request) -> bool;

    /// Returns the changes that a request makes at a time, none if it makes none in this state.
    fn changes(request: &Self::Request, machine: &Self::Machine, time: u64) -> Vec<u8>;

    /// Returns the answer to a request behind its changes. `known` is what clients knew when the request was made.
    fn answer(
        request: &Self::Request,
        machine: &Self::Machine,
        known: <Self::Checker as Checker<Self>>::Known,
    ) -> Self::Answer;

    /// Returns the last entry that an answer shows: it must be committed before the answer leaves.
    fn shown(answer: &Self::Answer) -> Lsn;

    /// Returns the changes that a primary makes by itself once a second, if there are any.
    fn upkeep(machine: &Self::Machine, time: u64) -> Option<Vec<u8>> {
        let _ = (machine, time);
        None
    }

    /// Checks what a follower, with the entries up to `last`, would answer from its own state.
    ///
    /// # Errors
    /// If that was never committed, with a sentence that says what it shows.
    fn check_follower(
        request: &Self::Request,
        machine: &Self::Machine,
        last: Lsn,
        truth: &Truth<Self::History>,
    ) -> Result<(), String>;

    /// Counts what an answer that leaves has met, beyond what all services meet.
    fn note(reply: &Reply<Self>, truth: &Truth<Self::History>, coverage: &mut Coverage) {
        let _ = (reply, truth, coverage);
    }
}

/// What clients know, and whether answers agree with it and with the committed entries.
///
/// A node that disagrees with the committed entries breaks a rule, unless the store was restored from a backup and the
/// node stops in time.
pub trait Checker<S: Service>: Clone + Default + Debug {
    /// What earlier answers tell about the state that a request reads.
    type Known;

    /// A client makes a request.
    fn known(&self, request: &S::Request) -> Self::Known;

    /// A node begins to carry out a request.
    fn attempt(&mut self, request: &S::Request);

    /// An answer leaves.
    ///
    /// # Errors
    /// If it is wrong: of a state that never was, older than an earlier answer, or of a change that was lost.
    fn answer(&mut self, reply: &Reply<S>, truth: &Truth<S::History>) -> Result<(), String>;

    /// All clients have stopped.
    ///
    /// # Errors
    /// If the committed entries contain what nobody asked for, or lack what was acknowledged.
    fn finish(&self, truth: &Truth<S::History>) -> Result<(), String>;
}

/// The disk of a node.
pub(super) type NodeDisk<S> = Disk<<<S as Service>::Program as Program<S>>::Snapshot>;

/// What a real program must confirm before an answer leaves.
type Wait<S> = <<S as Service>::Program as Program<S>>::Wait;

/// An answer that waits until its entries are committed and its evaluation is confirmed.
#[derive(Clone, Debug)]
pub struct Reply<S: Service> {
    /// The client, and which of its requests this is.
    pub(super) client: (usize, u64),
    /// The request.
    pub request: S::Request,
    /// What it tells.
    pub answer: S::Answer,
    /// The entry of the request's own changes, and these.
    pub own: Option<(Lsn, Vec<u8>)>,
    /// The epoch of the evaluation.
    pub(super) epoch: Epoch,
    /// When it was evaluated: boot time.
    pub(super) read_index: u64,
    /// What the real program must confirm.
    pub(super) wait: Option<Wait<S>>,
}

impl<S: Service> Reply<S> {
    /// The entry that must be committed before the reply leaves.
    pub(super) fn lsn(&self) -> Lsn {
        S::shown(&self.answer).max(self.own.as_ref().map_or(0, |(lsn, _)| *lsn))
    }
}

/// The last [`Action::RenewLease`](crate::Action::RenewLease).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// The epoch.
    pub epoch: Epoch,
    /// The end of the lease: boot time.
    pub until: u64,
    /// When the transaction was sent that proves it: boot time.
    pub sent: u64,
}

/// Whether an answer leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Now.
    Leaves,
    /// Not yet.
    Waits,
    /// Never: the epoch of its evaluation has ended.
    Never,
}

/// A request that a program executed.
#[derive(Debug)]
pub struct Executed<O, W> {
    /// What the program answered.
    pub output: O,
    /// What it must confirm before the answer leaves.
    pub wait: W,
    /// The entries that it appended.
    pub entries: Vec<Entry>,
}

/// Why a program does not apply entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplyError {
    /// It starts again, and applies them then.
    Restart,
    /// It cannot, as this sentence says.
    Wrong(String),
}

/// What a program that follows said to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowerAnswer {
    /// Nothing.
    None,
    /// What was committed once.
    Right,
    /// Something else, as this sentence says.
    Wrong(String),
}

/// The real program of a node, which runs beside the machine in some scenarios. The machine applies the same entries,
/// and says what the program's state must be.
///
/// The program has no threads, sockets or clocks of its own here: [`set_clocks`](Self::set_clocks) precedes every call.
pub trait Program<S: Service<Program = Self>>: Sized {
    /// What must be confirmed before an answer leaves.
    type Wait: Copy + Debug;
    /// What the program answers to a request.
    type Output;
    /// A snapshot of its state.
    type Snapshot: Clone + Debug;

    /// Opens the disk of a node at a time of its wall clock. `None`: this scenario runs without the program.
    ///
    /// # Errors
    /// If the disk cannot be read.
    fn open(
        disk: &Disk<Self::Snapshot>,
        node: usize,
        scenario: Scenario,
        wall: u64,
    ) -> Result<Option<Self>, String>;

    /// A run has ended.
    fn end_run() {}

    /// Sets the clocks, in milliseconds.
    fn set_clocks(&self, wall: u64, boot: u64);

    /// Returns the time that an entry made now carries.
    fn now(&self) -> u64;

    /// Whether it answers as a primary.
    fn is_serving(&self) -> bool;

    /// Executes a request.
    ///
    /// # Errors
    /// If its answer is none that the request can have.
    fn execute(
        &mut self,
        request: &S::Request,
    ) -> Result<Executed<Self::Output, Self::Wait>, String>;

    /// Returns what an output tells. The machine has the entries of the request.
    fn answer(
        output: Self::Output,
        request: &S::Request,
        machine: &S::Machine,
        known: <S::Checker as Checker<S>>::Known,
    ) -> S::Answer;

    /// Reads as a follower, and compares the answer with the committed entries.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    fn read_as_follower(
        &mut self,
        request: &S::Request,
        machine: &S::Machine,
        truth: &Truth<S::History>,
    ) -> Result<FollowerAnswer, String>;

    /// Returns whether an answer leaves now.
    fn verdict(&self, wait: &Self::Wait) -> Verdict;

    /// Whether it has woken its driver since the last call.
    fn was_woken(&self) -> bool;

    /// Whether an answer waits for a lease check since the last call.
    fn wants_lease_check(&self) -> bool;

    /// Does its periodic work. Returns the entries that it appended, and a snapshot if one is complete now, with the
    /// last entry that the snapshot may contain.
    fn maintain(&mut self) -> (Vec<Entry>, Option<(Lsn, Self::Snapshot)>);

    /// Applies committed entries as a follower.
    ///
    /// # Errors
    /// If it does not.
    fn follow(&mut self, entries: &[Entry]) -> Result<(), ApplyError>;

    /// Becomes a follower.
    fn become_follower(&self);

    /// Counts the entry that begins the epoch of this node, before it serves.
    fn reach(&self, begin: Lsn);

    /// Becomes the primary, or accepts changes again. `begin` is the entry that begins the epoch.
    fn lead(&self, begin: Lsn, time: u64, lease: Lease);

    /// Takes a new lease.
    fn renew_lease(&self, lease: Lease);

    /// All entries up to this one are committed.
    fn set_committed(&self, lsn: Lsn);

    /// Refuses changes from now on.
    fn refuse_changes(&self);

    /// Answers nothing as a primary any more.
    fn end_term(&self);

    /// Makes the primary a follower. Returns the time by which it may have removed what expires.
    fn step_down(&mut self) -> u64;

    /// Compares its state with a machine that has the same entries.
    ///
    /// # Errors
    /// If they differ, with a sentence that says how.
    fn compare(&self, replica: &Replica<S::Machine>) -> Result<(), String>;
}

/// No real program: the machine is all that there is.
#[derive(Clone, Copy, Debug)]
pub enum NoProgram {}

impl<S: Service<Program = Self>> Program<S> for NoProgram {
    type Wait = Self;
    type Output = Self;
    type Snapshot = Self;

    fn open(_: &Disk<Self>, _: usize, _: Scenario, _: u64) -> Result<Option<Self>, String> {
        Ok(None)
    }

    fn set_clocks(&self, _: u64, _: u64) {
        match *self {}
    }

    fn now(&self) -> u64 {
        match *self {}
    }

    fn is_serving(&self) -> bool {
        match *self {}
    }

    fn execute(&mut self, _: &S::Request) -> Result<Executed<Self, Self>, String> {
        match *self {}
    }

    fn answer(
        output: Self,
        _: &S::Request,
        _: &S::Machine,
        _: <S::Checker as Checker<S>>::Known,
    ) -> S::Answer {
        match output {}
    }

    fn read_as_follower(
        &mut self,
        _: &S::Request,
        _: &S::Machine,
        _: &Truth<S::History>,
    ) -> Result<FollowerAnswer, String> {
        match *self {}
    }

    fn verdict(&self, wait: &Self) -> Verdict {
        match *wait {}
    }

    fn was_woken(&self) -> bool {
        match *self {}
    }

    fn wants_lease_check(&self) -> bool {
        match *self {}
    }

    fn maintain(&mut self) -> (Vec<Entry>, Option<(Lsn, Self)>) {
        match *self {}
    }

    fn follow(&mut self, _: &[Entry]) -> Result<(), ApplyError> {
        match *self {}
    }

    fn become_follower(&self) {
        match *self {}
    }

    fn reach(&self, _: Lsn) {
        match *self {}
    }

    fn lead(&self, _: Lsn, _: u64, _: Lease) {
        match *self {}
    }

    fn renew_lease(&self, _: Lease) {
        match *self {}
    }

    fn set_committed(&self, _: Lsn) {
        match *self {}
    }

    fn refuse_changes(&self) {
        match *self {}
    }

    fn end_term(&self) {
        match *self {}
    }

    fn step_down(&mut self) -> u64 {
        match *self {}
    }

    fn compare(&self, _: &Replica<S::Machine>) -> Result<(), String> {
        match *self {}
    }
}
