//! A simulated process: the group, the state, and the replies that wait.

use super::faults::Scenario;
use super::machine::Replica;
use super::service::{Checker, Lease, NodeDisk, Program, Reply, Service, Verdict};
use crate::{
    Action, Committed, Entry, Epoch, Group, GroupRole, GroupSettings, Halt, LogPosition, Lsn,
    NodeId, Now, Read, Seq, Txn, ValueCompare,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A request to the store that has no answer yet.
#[derive(Clone, Debug)]
pub(super) enum Call {
    Read(Read),
    Txn(Arc<Txn>),
    Trim {
        primary: String,
        members: ValueCompare,
        below: Seq,
    },
    /// The node believes the store anew for this.
    Halt(Halt),
}

/// A watch: its number, and the next revision that it tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watch {
    pub(super) number: u64,
    pub(super) next: u64,
}

/// One start of a node's program.
#[expect(clippy::struct_excessive_bools, reason = "each is true or not, by itself")]
pub(super) struct Process<S: Service> {
    /// Tells processes of a node apart.
    pub(super) number: u64,
    pub(super) node: NodeId,
    /// How often the store had been restored when the process started.
    pub(super) incarnation: u64,
    pub(super) group: Group,
    pub(super) replica: Replica<S::Machine>,
    /// The real state, in runs that have it.
    pub(super) database: Option<S::Program>,
    /// The number of the last order to lead, the entry that begins the epoch, and its time.
    pub(super) order: (u64, Lsn, u64),
    /// A snapshot that waits for the disk.
    pub(super) snapshot: Option<(Lsn, <S::Program as Program<S>>::Snapshot)>,
    /// Committed entries that are not applied yet.
    pub(super) applying: VecDeque<Committed>,
    pub(super) apply_due: bool,
    pub(super) role: GroupRole,
    /// The epoch of this process as the primary, else 0.
    pub(super) epoch: Epoch,
    /// The process was the primary, and its state may have changes that are not committed: it shows nothing.
    pub(super) closing: bool,
    /// Whether changes are accepted.
    pub(super) accepts: bool,
    pub(super) committed: Lsn,
    pub(super) lease: Lease,
    pub(super) lease_check_wanted: bool,
    pub(super) held: Vec<Reply<S>>,
    /// Entries that the group was not told of.
    pub(super) appended: Vec<Entry>,
    pub(super) turn_due: bool,
    pub(super) actions: VecDeque<Action>,
    pub(super) calls: BTreeMap<u64, Call>,
    /// The highest revision of an answer.
    pub(super) revision: u64,
    pub(super) watch: Option<Watch>,
    pub(super) watches: u64,
    pub(super) spool: BTreeMap<Seq, Vec<u8>>,
    pub(super) resyncing: bool,
    /// The group was told that the disk cannot be forced.
    pub(super) disk_failed: bool,
    /// The digests behind own entries that are not known to be committed.
    pub(super) digests: BTreeMap<Lsn, u64>,
    /// The lead of the wall clock over the boot clock when the process started, and the milliseconds added since.
    pub(super) wall_offset: u64,
    /// When the next tick is scheduled: true time.
    pub(super) tick: u64,
    /// Whether the group said that it cannot go on.
    pub(super) stopped: bool,
    /// The process ends once the group is released.
    pub(super) ending: bool,
}

impl<S: Service> Process<S> {
    /// Starts a process from its folder.
    ///
    /// `of_before`: the store was filled anew since, without some of the entries.
    pub(super) fn start(
        number: u64,
        settings: GroupSettings,
        (disk, of_before): (&NodeDisk<S>, bool),
        (at, scenario): (usize, Scenario),
        (boot, wall): (u64, u64),
    ) -> Result<Self, String> {
        let (store, position) = recover::<S>(disk)?;
        let database = S::Program::open(disk, at, scenario, wall)?;
        let node = settings.node;
        let started = wall;
        let wall = database.as_ref().map_or(wall, S::Program::now);
        let group = Group::new(settings, position, disk.held(), Now { boot, wall });
        let group = if of_before { group.of_an_earlier_incarnation() } else { group };
        Ok(Self {
            number,
            node,
            incarnation: 0,
            group,
            committed: store.last,
            replica: store,
            database,
            order: (0, 0, 0),
            snapshot: None,
            applying: VecDeque::new(),
            apply_due: false,
            role: GroupRole::Loading,
            epoch: 0,
            accepts: false,
            closing: false,
            lease: Lease::default(),
            lease_check_wanted: false,
            held: Vec::new(),
            appended: Vec::new(),
            turn_due: false,
            actions: VecDeque::new(),
            calls: BTreeMap::new(),
            revision: 0,
            watch: None,
            watches: 0,
            spool: BTreeMap::new(),
            resyncing: false,
            disk_failed: false,
            digests: BTreeMap::new(),
            wall_offset: started - boot,
            tick: u64::MAX,
            stopped: false,
            ending: false,
        })
    }

    /// Returns the time that an entry made now carries.
    pub(super) fn wall(&self, boot: u64) -> u64 {
        self.database.as_ref().map_or(boot + self.wall_offset, S::Program::now)
    }

    /// Applies an entry of this primary.
    fn apply_own(&mut self, entry: &Entry) -> Result<(), String> {
        self.replica.apply(S::FORMAT, entry)?;
        self.digests.insert(entry.lsn, self.replica.digest());
        Ok(())
    }

    /// Appends an entry to the log, under the state's lock.
    fn append(&mut self, time: u64, changes: Vec<u8>) -> Result<Lsn, String> {
        let lsn = self.replica.last + 1;
        let entry = Entry { lsn, time, changes };
        self.apply_own(&entry)?;
        self.appended.push(entry);
        Ok(lsn)
    }

    /// Evaluates a request on the primary. `known` says what earlier answers have shown.
    pub(super) fn evaluate(
        &mut self,
        client: (usize, u64),
        request: S::Request,
        known: <S::Checker as Checker<S>>::Known,
        boot: u64,
    ) -> Result<Reply<S>, String> {
        if self.database.is_some() {
            return self.execute(client, request, known, boot);
        }
        let time = self.wall(boot).max(self.replica.time);
        let changes = S::changes(&request, &self.replica.machine, time);
        let own = if changes.is_empty() {
            None
        } else {
            Some((self.append(time, changes.clone())?, changes))
        };
        let answer = S::answer(&request, &self.replica.machine, known);
        let epoch = self.epoch;
        Ok(Reply { client, request, answer, own, epoch, read_index: boot, wait: None })
    }

    /// As `evaluate`, by the real program.
    fn execute(
        &mut self,
        client: (usize, u64),
        request: S::Request,
        known: <S::Checker as Checker<S>>::Known,
        boot: u64,
    ) -> Result<Reply<S>, String> {
        let database = self.database.as_mut().ok_or("this run has no real program")?;
        let executed = database.execute(&request)?;
        let own = self.take_entries(executed.entries)?;
        let answer = S::Program::answer(executed.output, &request, &self.replica.machine, known);
        let (epoch, wait) = (self.epoch, Some(executed.wait));
        Ok(Reply { client, request, answer, own, epoch, read_index: boot, wait })
    }

    /// Takes the entries that the real state has appended. Returns the last one.
    pub(super) fn take_entries(
        &mut self,
        entries: Vec<Entry>,
    ) -> Result<Option<(Lsn, Vec<u8>)>, String> {
        let mut last = None;
        for entry in entries {
            self.apply_own(&entry)?;
            last = Some((entry.lsn, entry.changes.clone()));
            self.appended.push(entry);
        }
        Ok(last)
    }

    /// The real state removes expired keys, and writes a further part of a snapshot. Returns whether it has appended
    /// entries.
    pub(super) fn maintain(&mut self) -> Result<bool, String> {
        let Some(database) = &mut self.database else { return Ok(false) };
        let (entries, snapshot) = database.maintain();
        if snapshot.is_some() {
            self.snapshot = snapshot;
        }
        Ok(self.take_entries(entries)?.is_some())
    }

    /// The real state serves, or accepts changes again. Returns false if the order came too late.
    pub(super) fn serve(&mut self, order: u64) -> bool {
        let (last, begin, time) = self.order;
        let Some(database) = self.database.as_mut().filter(|_| last == order) else { return false };
        let current = self.lease.epoch == self.epoch;
        database.lead(begin, time, if current { self.lease } else { Lease::default() });
        self.accepts = true;
        true
    }

    /// Whether requests are evaluated as on a primary.
    pub(super) fn is_serving(&self) -> bool {
        self.role == GroupRole::Primary && self.database.as_ref().is_none_or(S::Program::is_serving)
    }

    /// Appends what a primary appends once a second.
    pub(super) fn upkeep(&mut self, boot: u64) -> Result<bool, String> {
        let time = self.wall(boot).max(self.replica.time);
        let Some(changes) = S::upkeep(&self.replica.machine, time) else { return Ok(false) };
        self.append(time, changes)?;
        Ok(true)
    }

    /// The process becomes the primary: `lsn` is the entry that begins the epoch.
    pub(super) fn lead(
        &mut self,
        epoch: Epoch,
        lsn: Lsn,
        time: u64,
        boot: u64,
    ) -> Result<(), String> {
        if self.replica.last + 1 != lsn || !self.applying.is_empty() {
            return Err(format!(
                "a node becomes the primary at entry {lsn}, and has applied {}",
                self.replica.last
            ));
        }
        let changes = S::FORMAT.begin(epoch, self.node);
        self.apply_own(&Entry { lsn, time, changes })?;
        self.wall_offset = self.wall_offset.max(time.saturating_sub(boot));
        self.epoch = epoch;
        self.accepts = self.database.is_none();
        self.order = (self.order.0 + 1, lsn, time);
        Ok(())
    }

    /// Whether a reply may leave: its entries are committed, and its evaluation is confirmed in its epoch.
    fn may_leave(&self, reply: &Reply<S>, boot: u64) -> bool {
        let lease = self.lease;
        // Not at the same time: a machine may be stopped, together with its clocks, right after it has sent.
        let confirmed = reply.read_index < lease.sent || boot < lease.until;
        self.role == GroupRole::Primary
            && self.committed >= reply.lsn()
            && reply.epoch == self.epoch
            && reply.epoch == lease.epoch
            && confirmed
    }

    /// Takes the replies that may leave. Returns the number of those that never will, too.
    pub(super) fn take_replies(&mut self, boot: u64) -> (Vec<Reply<S>>, usize) {
        let (mut leave, mut closed) = (Vec::new(), 0);
        for reply in std::mem::take(&mut self.held) {
            let verdict = match (&self.database, &reply.wait) {
                (Some(database), Some(wait)) => database.verdict(wait),
                _ if self.may_leave(&reply, boot) => Verdict::Leaves,
                _ => Verdict::Waits,
            };
            match verdict {
                Verdict::Leaves => leave.push(reply),
                Verdict::Waits => self.held.push(reply),
                Verdict::Never => closed += 1,
            }
        }
        (leave, closed)
    }

    /// Whether a reply waits for a lease check only.
    pub(super) fn wants_lease_check(&self) -> bool {
        self.held
            .iter()
            .any(|reply| self.committed >= reply.lsn() && reply.read_index >= self.lease.sent)
    }
}

/// Returns the state of a disk, and the position in the store at which the node goes on.
pub(super) fn recover<S: Service>(
    disk: &NodeDisk<S>,
) -> Result<(Replica<S::Machine>, LogPosition), String> {
    let mut replica = Replica::default();
    for entry in disk.entries() {
        replica.apply(S::FORMAT, entry)?;
    }
    let position = disk.position(replica.time);
    Ok((replica, position))
}
