//! The driver of a simulated node: tells the group its events, and carries out its actions one by one.

use super::coverage::Case;
use super::process::{Call, Process, recover};
use super::service::{ApplyError, Checker, Lease, NodeDisk, Program, Service};
use super::world::{What, World};
use crate::{Action, Committed, Event, GroupRole, NodeId, Now, Put, Read};

/// The number of entries after which the real state of a follower is compared with the expected data.
const COMPARE: u64 = 8;

impl<S: Service> World<S> {
    /// Tells the group an event, and carries out the actions.
    pub(super) fn tell(&mut self, node: usize, number: u64, event: Event) {
        let boot = self.boot(node);
        let Some(process) = self.process(node, number) else { return };
        let now = Now { boot, wall: process.wall(boot) };
        let mut actions = Vec::new();
        process.group.handle(now, event, &mut actions);
        process.actions.extend(actions);
        self.execute(node, number);
    }

    pub(super) fn tick(&mut self, node: usize, number: u64) {
        let Some(process) = self.process(node, number) else { return };
        process.tick = u64::MAX;
        self.tell(node, number, Event::Tick);
    }

    /// Schedules the next tick.
    fn schedule_tick(&mut self, node: usize, number: u64) {
        let now = self.now;
        let clock = self.nodes[node].clock.clone();
        let Some(process) = self.process(node, number) else { return };
        // A deadline that has passed already comes a moment later, so that a group that never moves it is found.
        let due = clock.when(process.group.deadline()).max(now + 1);
        if due < process.tick {
            process.tick = due;
            self.at(due, What::Tick { node, number });
        }
    }

    /// Carries out the actions that wait. The process may end or stop before any of them.
    pub(super) fn execute(&mut self, node: usize, number: u64) {
        loop {
            let Some(process) = self.process(node, number) else { return };
            if process.actions.is_empty() {
                break;
            }
            if self.stops_here(node, number) {
                return;
            }
            let action = self.process(node, number).and_then(|process| process.actions.pop_front());
            let Some(action) = action else { break };
            self.carry_out(node, number, action);
            if self.violation.is_some() {
                return;
            }
        }
        self.send_replies(node, number);
        self.schedule_tick(node, number);
    }

    /// Whether a fault ends or stops the process before its next action.
    fn stops_here(&mut self, node: usize, number: u64) -> bool {
        let machine = &mut self.nodes[node];
        if let Some((left, power)) = &mut machine.crash {
            if *left == 0 {
                let power = *power;
                self.coverage.met(Case::StoppedBetweenActions);
                let restart = self.random.nodes.between(50, 2500);
                self.end_process(node, power, restart);
                return true;
            }
            *left -= 1;
        }
        if let Some((left, time)) = &mut machine.freeze {
            if *left == 0 {
                let time = *time;
                machine.freeze = None;
                machine.frozen = machine.frozen.max(self.now + time);
                let frozen = machine.frozen;
                self.coverage.met(Case::StoppedBetweenActions);
                self.note(|| format!("node {node} is stopped between two actions until {frozen}"));
                self.at(frozen, What::Resume { node, number });
                return true;
            }
            *left -= 1;
        }
        false
    }

    fn carry_out(&mut self, node: usize, number: u64, action: Action) {
        self.note(|| format!("node {node}: {}", brief(&action)));
        match action {
            Action::Read { id, read } => {
                if matches!(read, Read::Batches(..)) {
                    self.coverage.met(Case::GapFilled);
                }
                self.call(node, number, id, Call::Read(read));
            }
            Action::Transact { id, txn } => self.call(node, number, id, Call::Txn(txn)),
            Action::Trim { id, primary, members, below } => {
                self.call(node, number, id, Call::Trim { primary, members, below });
            }
            Action::Halt { id, halt } => self.call(node, number, id, Call::Halt(halt)),
            Action::Watch(from) => self.begin_watch(node, number, from),
            Action::Apply(committed) => self.queue_apply(node, number, committed),
            Action::Commit(committed) => self.commit(node, &committed),
            Action::Role { role, epoch, lsn, time, reason } => {
                self.role(node, number, (role, epoch, lsn, time), &reason.to_string());
            }
            Action::Hold => self.hold(node, number),
            Action::Unhold => self.unhold(node, number),
            Action::CommitIndex(lsn) => self.committed(node, number, lsn),
            Action::RenewLease { epoch, until, sent } => {
                if let Some(process) = self.process(node, number) {
                    process.lease = Lease { epoch, until, sent };
                    if let Some(database) = &process.database {
                        database.renew_lease(process.lease);
                    }
                }
                if self.boot(node) < until {
                    self.check_one_lease(node);
                }
            }
            Action::Restart(_) => {
                let restart = self.random.nodes.between(20, 300);
                self.end_process(node, false, restart);
            }
            Action::Fenced => {
                self.coverage.met(Case::FencedUnsafe);
                let restart = self.random.nodes.between(20, 300);
                self.end_process(node, false, restart);
            }
            Action::Resync { .. } => {
                if let Some(process) = self.process(node, number) {
                    process.resyncing = true;
                    process.applying.clear();
                    process.spool.clear();
                }
                let time = self.random.nodes.between(50, 1500).max(self.nodes[node].fetch);
                self.after(0, What::Fetch { node, number, time });
            }
            Action::Spool(seq, bytes) => {
                if let Some(process) = self.process(node, number) {
                    process.spool.insert(seq, bytes);
                }
            }
            Action::ReclaimQuota => {
                let revision = self.store.revision;
                self.store.compact(revision);
                self.after(5, What::Disarm);
            }
            Action::Released => self.released(node, number),
            Action::Stop(why) => self.stop(node, number, why.to_string()),
            Action::Note(_) => {}
        }
    }

    fn queue_apply(&mut self, node: usize, number: u64, committed: Committed) {
        let slow = if self.nodes[node].slow_disk > self.now { 150 } else { 1 };
        let delay = self.random.nodes.below(4) * slow;
        let Some(process) = self.process(node, number) else { return };
        process.applying.push_back(committed);
        if !std::mem::replace(&mut process.apply_due, true) {
            self.after(delay, What::Apply { node, number });
        }
    }

    /// The state of a follower applies a batch, and the local log gets it.
    pub(super) fn apply(&mut self, node: usize, number: u64) {
        let delay = self.random.nodes.below(3);
        let Some(process) = self.process(node, number) else { return };
        process.apply_due = false;
        let Some(committed) = process.applying.pop_front() else { return };
        let more = !process.applying.is_empty();
        process.apply_due = more;
        if process.role == GroupRole::Primary {
            return self
                .violate(format!("node {node} is the primary and applies what another wrote"));
        }
        let followed = process.database.as_mut().map(|real| real.follow(&committed.entries));
        match followed {
            None | Some(Ok(())) => {}
            Some(Err(ApplyError::Restart)) => {
                self.coverage.met(Case::RestartedByTime);
                let restart = self.random.nodes.between(20, 300);
                return self.end_process(node, false, restart);
            }
            Some(Err(ApplyError::Wrong(why))) => return self.disagree(node, &why),
        }
        let Some(process) = self.process(node, number) else { return };
        let mut digests = Vec::new();
        for entry in &committed.entries {
            if let Err(why) = process.replica.apply(S::FORMAT, entry) {
                return self.disagree(node, &why);
            }
            digests.push((entry.lsn, process.replica.digest()));
        }
        let last = process.replica.last;
        process.committed = last;
        for (lsn, digest) in digests {
            if self.truth.digest(lsn) != Some(digest) {
                self.disagree(node, &format!("it has another state at entry {lsn} than the log"));
            }
        }
        if last.is_multiple_of(COMPARE) {
            self.compare(node);
        }
        let pushed = self.nodes[node].disk.push(&committed);
        self.check(pushed.map_err(|why| format!("node {node}: {why}")));
        if more {
            self.after(delay, What::Apply { node, number });
        }
        self.tell(node, number, Event::Applied(last));
    }

    /// Own entries of the primary are committed: the local log gets them.
    fn commit(&mut self, node: usize, committed: &Committed) {
        let pushed = self.nodes[node].disk.push(committed);
        self.check(pushed.map_err(|why| format!("node {node}: {why}")));
    }

    fn committed(&mut self, node: usize, number: u64, lsn: u64) {
        if lsn > self.truth.last() {
            let last = self.truth.last();
            self.disagree(node, &format!("it takes entry {lsn} for committed, and {last} are"));
        }
        let Some(process) = self.process(node, number) else { return };
        process.committed = process.committed.max(lsn);
        if let Some(database) = &process.database {
            database.set_committed(lsn);
        }
        let later = process.digests.split_off(&(lsn + 1));
        let digests = std::mem::replace(&mut process.digests, later);
        for (lsn, digest) in digests {
            if self.truth.digest(lsn) != Some(digest) {
                self.disagree(node, &format!("it has another state at its own entry {lsn}"));
            }
        }
    }

    fn role(&mut self, node: usize, number: u64, told: (GroupRole, u64, u64, u64), reason: &str) {
        let (role, epoch, lsn, time) = told;
        let boot = self.boot(node);
        let Some(process) = self.process(node, number) else { return };
        let was = std::mem::replace(&mut process.role, role);
        if role == GroupRole::Primary {
            if was == GroupRole::Primary {
                return self.violate(format!("node {node} becomes the primary twice: {reason}"));
            }
            let lead = process.lead(epoch, lsn, time, boot);
            if let Some(database) = &process.database {
                database.reach(lsn);
            }
            let order = process.database.is_some().then_some(process.order.0);
            self.check(lead.map_err(|why| format!("node {node}: {why}: {reason}")));
            self.count_takeover(node, reason);
            self.coverage.role(was, role);
            let delay = self.random.nodes.between(1, 20);
            if let Some(order) = order {
                return self.after(delay, What::Lead { node, number, order });
            }
            return self.after(delay, What::Tell { node, number, event: Box::new(Event::Serving) });
        }
        if was == GroupRole::Primary {
            process.epoch = 0;
            process.accepts = false;
            process.closing = true;
            process.order.0 += 1;
            if let Some(database) = &process.database {
                // The log closes the replies by itself.
                database.end_term();
            } else if !std::mem::take(&mut process.held).is_empty() {
                self.coverage.met(Case::RepliesClosed);
            }
            let delay = self.random.nodes.below(4);
            self.after(delay, What::Close { node, number });
            if reason.contains("taken over") {
                self.coverage.met(Case::FencedInPlace);
            }
        } else if role == GroupRole::Follower
            && let Some(database) = &process.database
        {
            database.become_follower();
        }
        self.coverage.role(was, role);
    }

    /// The state of a new primary serves, or the one of a primary that stays accepts changes again.
    pub(super) fn lead(&mut self, node: usize, number: u64, order: u64) {
        let Some(process) = self.process(node, number) else { return };
        let began = !process.is_serving();
        if process.serve(order) && began {
            self.compare(node);
            self.tell(node, number, Event::Serving);
        }
    }

    /// Compares the real state with the entries that the process has.
    pub(super) fn compare(&mut self, node: usize) {
        let Some(process) = self.nodes[node].process.as_ref() else { return };
        let Some(database) = &process.database else { return };
        if process.role == GroupRole::Primary && !process.is_serving() {
            return; // The state does not have the entry that begins the epoch yet.
        }
        if let Err(why) = database.compare(&process.replica) {
            self.disagree(node, &format!("its state is wrong: {why}"));
        }
    }

    /// Counts how the group came to this primary.
    fn count_takeover(&mut self, node: usize, reason: &str) {
        self.note(|| format!("node {node} is the primary: {reason}"));
        let Some((old, chosen)) = self.truth.before_takeover() else {
            return self.coverage.met(Case::Created);
        };
        let case = match (old, chosen) {
            (true, Some(_)) => Case::TakenByChosen,
            (true, None) => Case::TakenFromNobody,
            (false, _) => Case::TakenFromSilent,
        };
        if reason.contains("former process") {
            return self.coverage.met(Case::TakenBack);
        }
        if reason.contains("did not take over") {
            self.coverage.met(Case::TakenFromAbsent);
        }
        self.coverage.met(case);
        let id: NodeId = self.nodes[node].id;
        if case == Case::TakenByChosen && chosen == Some(id) {
            self.coverage.met(Case::HandedOver);
        }
    }

    fn hold(&mut self, node: usize, number: u64) {
        let delay = self.random.nodes.below(4);
        let Some(process) = self.process(node, number) else { return };
        process.accepts = false;
        process.order.0 += 1;
        if let Some(database) = &process.database {
            database.refuse_changes();
        }
        self.after(delay, What::Close { node, number });
    }

    fn unhold(&mut self, node: usize, number: u64) {
        self.coverage.met(Case::HandOverGivenUp);
        let Some(process) = self.process(node, number) else { return };
        if process.database.is_none() {
            process.accepts = process.role == GroupRole::Primary;
            return;
        }
        // A state that served already has a clock of its own.
        let time = if process.is_serving() { 0 } else { process.order.2 };
        process.order = (process.order.0 + 1, process.order.1, time);
        let order = process.order.0;
        self.after(1, What::Lead { node, number, order });
    }

    /// Tells the group what was appended.
    pub(super) fn turn(&mut self, node: usize, number: u64) {
        let Some(process) = self.process(node, number) else { return };
        process.turn_due = false;
        let entries = std::mem::take(&mut process.appended);
        let wants = match &process.database {
            Some(database) => database.wants_lease_check(),
            None => process.wants_lease_check() && !process.lease_check_wanted,
        };
        process.lease_check_wanted |= wants;
        if !entries.is_empty() {
            self.tell(node, number, Event::Appended(entries));
        }
        if wants {
            self.tell(node, number, Event::LeaseCheckWanted);
        }
    }

    pub(super) fn close(&mut self, node: usize, number: u64) {
        let Some(process) = self.process(node, number) else { return };
        if process.accepts {
            return; // The hand-over was taken back meanwhile.
        }
        let entries = std::mem::take(&mut process.appended);
        if !entries.is_empty() {
            self.tell(node, number, Event::Appended(entries));
        }
        let Some(process) = self.process(node, number) else { return };
        process.closing &= process.role == GroupRole::Primary;
        let store = process.replica.time;
        let time = process.database.as_mut().map_or(store, S::Program::step_down);
        self.tell(node, number, Event::Closed { time });
    }

    /// Replies leave that may.
    pub(super) fn send_replies(&mut self, node: usize, number: u64) {
        let boot = self.boot(node);
        let Some(process) = self.process(node, number) else { return };
        let (leave, closed) = process.take_replies(boot);
        process.lease_check_wanted &= process.wants_lease_check();
        let wants = match &process.database {
            Some(database) => database.was_woken(),
            None => process.wants_lease_check() && !process.lease_check_wanted,
        };
        let wants = wants && !process.turn_due;
        process.turn_due |= wants;
        let lease = process.lease;
        if closed > 0 {
            self.coverage.met(Case::RepliesClosed);
        }
        if wants {
            let delay = self.random.nodes.below(3);
            self.after(delay, What::Turn { node, number });
        }
        if !leave.is_empty() && boot < lease.until {
            self.check_one_lease(node);
        }
        for reply in leave {
            self.coverage.met(if reply.read_index < lease.sent {
                Case::CheckByTransaction
            } else {
                Case::CheckByLease
            });
            S::note(&reply, &self.truth, &mut self.coverage);
            let checked = self.checker.answer(&reply, &self.truth);
            if let Err(why) = checked {
                self.disagree(node, &why);
            }
            let pause = self.random.clients.between(5, 90);
            let (client, turn) = reply.client;
            self.after(pause, What::ClientTurn { client, turn });
        }
    }

    /// A primary serves by its lease: no other may.
    fn check_one_lease(&mut self, node: usize) {
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            let boot = self.boot(other);
            let holds = |process: &Process<S>| {
                process.role == GroupRole::Primary
                    && process.lease.epoch == process.epoch
                    && boot < process.lease.until
            };
            let before = |process: &Process<S>| process.incarnation < self.incarnation;
            let other_process = self.nodes[other].process.as_ref();
            if other_process.is_some_and(holds) {
                // After a restore of the store one of them may lead by a line that the store has forgotten.
                let at = if other_process.is_some_and(before) { other } else { node };
                return self.disagree(at, &format!("nodes {node} and {other} both hold the lease"));
            }
        }
    }

    fn released(&mut self, node: usize, number: u64) {
        self.coverage.met(Case::Released);
        if self.process(node, number).is_some_and(|process| process.ending) {
            let restart = self.random.nodes.between(100, 1500);
            self.end_process(node, false, restart);
        }
    }

    fn stop(&mut self, node: usize, number: u64, why: String) {
        self.note(|| format!("node {node} stops: {why}"));
        if self.lossy.is_some() {
            self.coverage.met(Case::RestoreNoticed);
        } else {
            self.violate(format!("node {node} stops without a cause: {why}"));
        }
        let end = self.truth.tail.map_or(0, |tail| tail.seq);
        let has_more = self.nodes[node].disk.mark_of_last().is_some_and(|mark| mark.seq > end);
        let nobody_since = self.truth.holders.len() == self.takeovers_before;
        if has_more && nobody_since {
            self.objector = Some(node);
        }
        if let Some(process) = self.process(node, number) {
            process.stopped = true;
            process.held.clear();
        }
        self.nodes[node].stopped = Some(why);
    }

    pub(super) fn forced(&mut self, node: usize, number: u64, lsn: u64) {
        if self.disk_is_full(node, number) {
            return;
        }
        self.nodes[node].disk.force(lsn);
        self.keep_snapshot(node, number);
        let Some(seq) = self.nodes[node].disk.durable() else { return };
        let is_compared = |process: &mut Process<S>| process.role != GroupRole::Loading;
        if !self.process(node, number).is_some_and(is_compared)
            || self.nodes[node].cut_to > self.now
        {
            return;
        }
        let delay = self.random.network.between(1, 6);
        let (id, of) = (self.nodes[node].id, self.incarnation);
        self.after(delay, What::PutDurable { id, seq, of });
    }

    /// Whether a disk cannot be forced now. The group is told when that begins, and when it ends.
    fn disk_is_full(&mut self, node: usize, number: u64) -> bool {
        let full = self.nodes[node].disk_full > self.now;
        let Some(process) = self.process(node, number) else { return full };
        let told = std::mem::replace(&mut process.disk_failed, full);
        if full && !told {
            self.coverage.met(Case::DiskFailed);
            self.tell(node, number, Event::CannotServe("the disk is full".into()));
        } else if told && !full {
            self.coverage.met(Case::DiskMended);
            self.tell(node, number, Event::CanServe);
        }
        full
    }

    /// A snapshot counts once the disk has all entries that it may contain.
    fn keep_snapshot(&mut self, node: usize, number: u64) {
        let Some(process) = self.process(node, number) else { return };
        let Some(snapshot) = process.snapshot.take() else { return };
        // The disk has committed entries only, so a primary's changes that wait for the log are in no snapshot.
        if self.nodes[node].disk.keep(&snapshot) {
            self.coverage.met(Case::SnapshotKept);
        } else if let Some(process) = self.process(node, number) {
            process.snapshot = Some(snapshot);
        }
    }

    /// The work that a node does from time to time.
    pub(super) fn second(&mut self, node: usize, number: u64) {
        let boot = self.boot(node);
        let quiet = self.now > self.clients_end();
        let lsn = self.nodes[node].disk.last();
        let Some(process) = self.process(node, number) else { return };
        let leads = process.accepts && process.role == GroupRole::Primary;
        let appended = if quiet {
            Ok(false)
        } else if process.database.is_some() {
            process.maintain()
        } else if leads {
            process.upkeep(boot)
        } else {
            Ok(false)
        };
        match appended {
            Ok(true) => self.want_turn(node, number),
            Ok(false) => {}
            Err(why) => self.violate(format!("node {node}: {why}")),
        }
        let slow = if self.nodes[node].slow_disk > self.now { 2000 } else { 1 };
        let force = self.random.nodes.between(2, 30) + self.random.nodes.below(slow);
        self.after(force, What::Forced { node, number, lsn });
        if leads && self.random.nodes.chance(300) {
            let old = self.store.revision.saturating_sub(self.random.nodes.between(20, 200));
            self.store.compact(old);
        }
        let clocks = self.clocks_of_others(node);
        self.tell(node, number, Event::Clocks(clocks));
        let next = self.random.nodes.between(300, 900);
        self.after(next, What::Second { node, number });
    }

    pub(super) fn want_turn(&mut self, node: usize, number: u64) {
        let delay = self.random.nodes.below(3);
        let Some(process) = self.process(node, number) else { return };
        if !std::mem::replace(&mut process.turn_due, true) {
            self.after(delay, What::Turn { node, number });
        }
    }

    fn clocks_of_others(&self, node: usize) -> Vec<(NodeId, i64)> {
        let wall = |at: usize| {
            let machine = &self.nodes[at];
            let (boot, wall) = (machine.clock.boot(self.now), machine.clock.wall(self.now));
            let process = machine.process.as_ref()?;
            if let Some(database) = &process.database {
                database.set_clocks(wall, boot);
            }
            Some(process.wall(boot).cast_signed())
        };
        let Some(own) = wall(node) else { return Vec::new() };
        let others = (0..self.nodes.len()).filter(|other| *other != node);
        others.filter_map(|other| Some((self.nodes[other].id, wall(other)? - own))).collect()
    }

    /// Opens the real state of a folder, in runs that have it.
    fn open_database(&self, node: usize, disk: &NodeDisk<S>) -> Result<Option<S::Program>, String> {
        let wall = self.nodes[node].clock.wall(self.now);
        S::Program::open(disk, node, self.scenario, wall)
    }

    /// Begins to fetch the folder of a peer, if one has a folder that is of use. The copy is as of now.
    pub(super) fn fetch(&mut self, node: usize, number: u64, time: u64) {
        let own = self.nodes[node].disk.last();
        if !self.process(node, number).is_some_and(|process| process.resyncing) {
            return;
        }
        let has_more = |other: &usize| {
            let machine = &self.nodes[*other];
            let runs = machine.process.as_ref().is_some_and(|process| !process.stopped);
            *other != node && runs && machine.disk.last() > own
        };
        let peers = (0..self.nodes.len()).filter(has_more);
        let Some(peer) = peers.max_by_key(|peer| self.nodes[*peer].disk.last()) else {
            return self.after(300, What::Fetch { node, number, time });
        };
        let folder = Box::new((self.nodes[peer].disk.fetched(), self.nodes[peer].foreign));
        // All faults end in time, long fetches too.
        let end = (self.healed + 1_000).max(self.now + 100);
        self.at(end.min(self.now + time), What::Fetched { node, number, folder });
    }

    /// The folder of a peer has arrived.
    pub(super) fn fetched(
        &mut self,
        node: usize,
        number: u64,
        (disk, foreign): (NodeDisk<S>, bool),
    ) {
        if !self.process(node, number).is_some_and(|process| process.resyncing) {
            return;
        }
        let (recovered, held) = (recover::<S>(&disk), disk.held());
        let opened = self.open_database(node, &disk);
        self.nodes[node].disk = disk;
        self.nodes[node].foreign |= foreign;
        let Some(process) = self.process(node, number) else { return };
        match recovered.and_then(|recovered| Ok((recovered, opened?))) {
            Ok(((store, position), database)) => {
                let have = store.last;
                process.committed = have;
                process.replica = store;
                process.database = database;
                process.snapshot = None;
                process.resyncing = false;
                self.coverage.met(Case::TrimmedThenResync);
                if self.first_batch() > position.seq + 1 {
                    self.coverage.met(Case::TrimmedDuringResync);
                }
                self.note(|| format!("node {node} has {have} entries of a peer"));
                self.compare(node);
                self.tell(node, number, Event::Resynced { position, held });
            }
            Err(why) => self.violate(format!("node {node} cannot read a peer's folder: {why}")),
        }
    }
}

fn brief(action: &Action) -> String {
    match action {
        Action::Apply(committed) => format!("Apply {:?}", committed.after),
        Action::Commit(committed) => format!("Commit {:?}", committed.after),
        Action::Transact { id, txn } => format!(
            "Transaction {id} {:?}",
            txn.puts
                .iter()
                .map(|put| match put {
                    Put::Batch(seq, _) => format!("Batch {seq}"),
                    other => format!("{other:?}"),
                })
                .collect::<Vec<_>>()
        ),
        Action::Spool(seq, _) => format!("Spool {seq}"),
        other => format!("{other:?}"),
    }
}
