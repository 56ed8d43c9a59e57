//! The requests of clients, and how faults begin and end.

use super::coverage::{Case, Milestone};
use super::faults::Kind;
use super::service::{Checker, FollowerAnswer, Program, Service};
use super::store::{FakeStore, LARGEST_REQUEST, Transaction};
use super::truth::log_key;
use super::world::{Node, Trouble, What, World};
use crate::processes::ProcessPlace;
use crate::{Event, GroupRole, Members, Tail};

impl<S: Service> World<S> {
    /// A client asks the node that it takes for the primary, unless it has asked again meanwhile.
    pub(super) fn ask(&mut self, client: usize, turn: u64) {
        if self.now > self.clients_end() || self.clients[client].turn != turn {
            return;
        }
        let asks = &mut self.clients[client];
        asks.turn += 1;
        let (node, turn) = (asks.aim, asks.turn);
        let clients = &mut self.random.clients;
        let request = S::request(clients, self.tokens, self.most_batch, self.scenario);
        self.tokens += 1;
        let wait = self.random.clients.between(300, 1500);
        self.after(wait, What::GiveUp { client, turn });
        match self.number_of(node) {
            Some(number) => self.after(1, What::Serve { node, number, client, turn, request }),
            None => self.ask_elsewhere(client, turn),
        }
    }

    /// A node gets a request.
    pub(super) fn serve_client(
        &mut self,
        node: usize,
        number: u64,
        client: (usize, u64),
        request: &S::Request,
    ) {
        let boot = self.boot(node);
        let known = self.checker.known(request);
        let Some(process) = self.process(node, number) else { return };
        let refused = !process.accepts && !S::reads_only(request);
        if !process.is_serving() || refused {
            if process.database.is_some() {
                self.read_at_database(node, number, request);
            } else {
                self.read_at_follower(node, request);
            }
            return self.ask_elsewhere(client.0, client.1);
        }
        match process.evaluate(client, request.clone(), known, boot) {
            Ok(reply) => process.held.push(reply),
            Err(why) => return self.violate(format!("node {node}: {why}")),
        }
        self.checker.attempt(request);
        self.want_turn(node, number);
        self.send_replies(node, number);
    }

    /// A client has waited long enough. The node may still answer the old request.
    pub(super) fn give_up(&mut self, client: usize, turn: u64) {
        if self.clients[client].turn == turn {
            self.ask_elsewhere(client, turn);
        }
    }

    fn ask_elsewhere(&mut self, client: usize, turn: u64) {
        let nodes = self.nodes.len() as u64;
        self.clients[client].aim = usize::try_from(self.random.clients.below(nodes)).unwrap_or(0);
        let wait = self.random.clients.between(10, 60);
        self.after(wait, What::ClientTurn { client, turn });
    }

    /// A follower answers from its own state: old perhaps, but committed.
    fn read_at_follower(&mut self, node: usize, request: &S::Request) {
        let Some(process) = self.nodes[node].process.as_ref() else { return };
        if process.role != GroupRole::Follower || process.closing {
            return;
        }
        let store = &process.replica;
        if let Err(why) = S::check_follower(request, &store.machine, store.last, &self.truth) {
            self.disagree(node, &why);
        }
    }

    /// As `read_at_follower`, by the real program.
    fn read_at_database(&mut self, node: usize, number: u64, request: &S::Request) {
        let Some(process) = self.process(node, number) else { return };
        if process.role != GroupRole::Follower || !S::reads_only(request) {
            return;
        }
        let truth = &self.truth;
        let Some(process) = self.nodes[node].process.as_mut() else { return };
        let Some(database) = process.database.as_mut() else { return };
        match database.read_as_follower(request, &process.replica.machine, truth) {
            Err(why) => self.violate(format!("node {node}: {why}")),
            Ok(FollowerAnswer::None) => {}
            Ok(FollowerAnswer::Right) => self.coverage.met(Case::FollowerRead),
            Ok(FollowerAnswer::Wrong(why)) => {
                self.coverage.met(Case::FollowerRead);
                self.disagree(node, &why);
            }
        }
    }

    pub(super) fn cut(&mut self, node: usize, until: u64, to: bool) {
        let machine = &mut self.nodes[node];
        let cut = if to { &mut machine.cut_to } else { &mut machine.cut_from };
        *cut = until.max(*cut);
    }

    /// A fault begins.
    pub(super) fn fault(&mut self, number: usize) {
        let kind = self.faults[number].kind.clone();
        self.note(|| format!("fault {number}: {kind:?}"));
        self.coverage.count(Milestone::Fault(kind.name()));
        let now = self.now;
        match kind {
            Kind::Crash { node, actions, power } => self.nodes[node].crash = Some((actions, power)),
            Kind::Freeze { node, actions, time } => self.nodes[node].freeze = Some((actions, time)),
            Kind::FreezeClock { node, time } => {
                let machine = &mut self.nodes[node];
                if machine.frozen > now {
                    return; // Stopped already: its clocks must not lose the same time twice.
                }
                machine.frozen = now + time;
                self.after(time, What::ClockStopped { node, time });
            }
            Kind::CutTo { node, time } => self.cut(node, now + time, true),
            Kind::CutFrom { node, time } => self.cut(node, now + time, false),
            Kind::StorePause { time } => self.trouble.paused = now + time,
            Kind::StoreSlow { time, delay } => {
                self.trouble.slow = now + time;
                self.trouble.delay = delay;
            }
            Kind::StoreBusy { time } => self.trouble.busy = now + time,
            Kind::LoseAnswers { time } => self.trouble.loses_answers = now + time,
            Kind::WatchStall { node, time } => self.nodes[node].watch_stalled = now + time,
            Kind::WatchCut { node } => {
                if let Some(process) = self.nodes[node].process.as_mut()
                    && process.watch.take().is_some()
                {
                    self.tell_soon(node, Event::WatchLost);
                }
            }
            Kind::WatchRepeat { node } => self.move_watch(node, -4),
            Kind::WatchSkip { node } => self.move_watch(node, 3),
            Kind::Compact => {
                let revision = self.store.revision;
                self.store.compact(revision);
            }
            Kind::Quota { room } => self.store.quota = self.store.bytes() + room,
            Kind::SlowDisk { node, time } => self.nodes[node].slow_disk = now + time,
            Kind::HandOver { to } => self.hand_over(to),
            Kind::Isolate { lost, answers, requests } => self.isolate(lost, answers, requests),
            Kind::Down { node, time } => self.end_process(node, false, time),
            Kind::Restart { node } => self.leave(node),
            Kind::Lease { node, lease } => {
                self.nodes[node].lease = lease;
                self.tell_soon(node, Event::Lease(lease));
            }
            Kind::Forget { node } => self.forget(node),
            Kind::Jump { node, by } => self.nodes[node].clock.jump(by),
            Kind::Away { node, time, fetch } => {
                self.nodes[node].fetch = fetch;
                // Two copies suffice from now on.
                self.most_retained = self.most_retained.min(2_000);
                self.end_process(node, false, time);
            }
            Kind::DiskFull { node, time } => self.nodes[node].disk_full = now + time,
            Kind::HandOverAndDie { to, actions, power } => {
                self.nodes[to].crash = Some((actions, power));
                self.hand_over(Some(to));
            }
            Kind::Lost { node, time } => {
                self.end_process(node, false, time);
                self.remove_member(node);
            }
            Kind::Chase { times, pause } => self.chase(times, pause),
            Kind::Twin { node, of } => self.twin(node, of),
            Kind::KillPrimary { late, restart } => self.kill_primary(late, restart),
            Kind::Limit { time, bytes } => {
                self.trouble.limited = now + time;
                self.store.largest_request = bytes;
            }
            Kind::Backup => self.backup = Some(Box::new((self.store.clone(), self.truth.clone()))),
            Kind::Restore => self.restore(),
            Kind::Adopt { power, absent } => self.adopt(power, absent),
        }
    }

    /// The store is lost. An operator stops all nodes, and fills a new store from the most advanced folder.
    fn adopt(&mut self, power: bool, absent: Option<usize>) {
        for node in 0..self.nodes.len() {
            let restart = self.random.nodes.between(100, 1500);
            self.end_process(node, power, restart);
        }
        let given = (0..self.nodes.len()).filter(|node| Some(*node) != absent);
        let Some(from) = given.max_by_key(|node| self.nodes[*node].disk.last()) else { return };
        let Some((batches, end)) = self.nodes[from].disk.window() else { return };
        self.nodes[from].disk.force(end.lsn);
        let lost = self.truth.last() - end.lsn;
        self.note(|| format!("the store is filled from node {from}; {lost} entries are lost"));
        let lease = self.nodes[from].lease;
        let time = self.nodes[from].clock.wall(self.now).max(end.time);
        let (epoch, seq, lsn, chain) = (end.epoch, end.seq, end.lsn, end.chain);
        let (node, nonce, beat) = (None, 0, 0);
        let line = Tail { epoch, node, nonce, seq, lsn, time, beat, lease, chain };
        let ids: Vec<_> = self.nodes.iter().map(|node| node.id).collect();
        let members = ids.into_iter().fold(Members::default(), |list, id| list.with(id, time));
        let mut puts: Vec<_> =
            batches.into_iter().map(|(seq, batch)| (log_key(seq), batch)).collect();
        puts.push(("tail".into(), line.to_string().into_bytes()));
        puts.push(("members".into(), members.print().into_bytes()));
        self.store = FakeStore::default();
        let filled = self.store.commit(&Transaction { puts, ..Transaction::default() });
        self.check(filled.map(drop).map_err(|why| format!("the new store refuses it: {why:?}")));
        let cut = self.truth.cut(lsn, line);
        self.check(cut);
        self.incarnation += 1;
        if lost > 0 && !(self.folders_intact && absent.is_none()) {
            // Acknowledged changes may be in none of the folders.
            self.checker = S::Checker::default();
            self.lossy = Some(lsn);
        }
        self.coverage.met(if lost > 0 { Case::AdoptedWithLoss } else { Case::Adopted });
        for node in &mut self.nodes {
            node.foreign = node.disk.last() > lsn;
        }
    }

    pub(super) fn number_of(&self, node: usize) -> Option<u64> {
        self.nodes[node].process.as_ref().map(|process| process.number)
    }

    /// Tells the group of a node an event, unless the process ends before.
    fn tell_soon(&mut self, node: usize, event: Event) {
        if let Some(number) = self.number_of(node) {
            self.after(0, What::Tell { node, number, event: Box::new(event) });
        }
    }

    fn move_watch(&mut self, node: usize, by: i64) {
        let (compacted, last) = (self.store.compacted, self.store.revision);
        if let Some(process) = self.nodes[node].process.as_mut()
            && let Some(watch) = &mut process.watch
        {
            let next = watch.next.saturating_add_signed(by);
            watch.next = next.clamp(compacted + 1, (last + 2).max(compacted + 1));
        }
    }

    /// A process is asked to stop.
    pub(super) fn leave(&mut self, node: usize) {
        let Some(number) = self.number_of(node) else { return };
        if self.nodes[node].frozen > self.now {
            return self.at(self.nodes[node].frozen, What::Leave { node });
        }
        let Some(process) = self.process(node, number) else { return };
        process.ending = true;
        self.tell(node, number, Event::Exit);
    }

    fn hand_over(&mut self, to: Option<usize>) {
        let to = to.map(|node| self.nodes[node].id);
        for node in 0..self.nodes.len() {
            let Some(number) = self.number_of(node) else { continue };
            if self.process(node, number).is_some_and(|process| process.role == GroupRole::Primary)
            {
                self.tell_soon(node, Event::HandOver(to));
            }
        }
    }

    fn isolate(&mut self, lost: bool, answers: u64, requests: u64) {
        let leads = |node: &Node<S>| {
            node.process.as_ref().is_some_and(|process| process.role == GroupRole::Primary)
        };
        let Some(node) = self.nodes.iter().position(leads) else { return };
        let until = self.now + answers;
        if lost {
            self.cut(node, until, false);
        } else {
            self.nodes[node].answers_late = until;
        }
        self.after(requests, What::Cut { node });
    }

    /// The operator removes a node from the members. Its process starts again, and adds itself.
    fn forget(&mut self, node: usize) {
        self.remove_member(node);
        let restart = self.random.nodes.between(100, 2000);
        self.after(restart, What::Leave { node });
    }

    /// The primary ends. The next one will, too.
    pub(super) fn chase(&mut self, times: u64, pause: u64) {
        let leads = |node: &Node<S>| {
            node.process.as_ref().is_some_and(|process| process.role == GroupRole::Primary)
        };
        let mut left = times;
        if let Some(node) = self.nodes.iter().position(leads) {
            let restart = self.random.nodes.between(50, 800);
            let power = self.random.nodes.chance(500);
            self.end_process(node, power, restart);
            left -= 1;
        }
        if left > 0 && self.now + pause < self.healed {
            self.after(pause, What::Chase { times: left, pause });
        }
    }

    /// A node gets the folder and the name of another one, as by a copied disk.
    fn twin(&mut self, node: usize, of: usize) {
        let mut ids: Vec<_> = self.nodes.iter().map(|node| node.id).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() < self.nodes.len() {
            return; // One pair of twins is enough.
        }
        let (id, disk) = (self.nodes[of].id, self.nodes[of].disk.clone());
        if disk.last() < self.nodes[node].disk.last() {
            return; // The folder may be the only one with its last entries.
        }
        // Entries that only this folder had on disk will be gone, and its records must not count any more. A full the
        // store refuses that, and then the folder stays.
        if !self.remove_member(node) {
            return;
        }
        self.end_process(node, false, 100);
        self.folders_intact = false;
        let (place, processes) = (self.nodes[of].place.clone(), self.nodes[of].processes.clone());
        let machine = &mut self.nodes[node];
        (machine.id, machine.disk, machine.processes) = (id, disk, processes);
        // The files were copied; their file system was, and is mounted beside the original; their disk was, and is in
        // another machine.
        machine.place = match self.now % 3 {
            0 => ProcessPlace { inode: machine.place.inode, ..place },
            1 => ProcessPlace { device: place.device + 1, ..place },
            _ => ProcessPlace { boot: machine.place.boot.clone(), ..place },
        };
    }

    /// What the primary sends from now on reaches the store late: some of it after its process was killed, and after
    /// the next process has taken the group back.
    fn kill_primary(&mut self, late: u64, restart: u64) {
        let leads = |node: &Node<S>| {
            node.process.as_ref().is_some_and(|process| process.role == GroupRole::Primary)
        };
        let Some(node) = self.nodes.iter().position(leads) else { return };
        let Some(number) = self.number_of(node) else { return };
        self.nodes[node].requests_late = self.now + late;
        self.after(late, What::Kill { node, number, restart });
    }

    /// Removes a node from the members. Returns false if the store is full.
    fn remove_member(&mut self, node: usize) -> bool {
        let id = self.nodes[node].id;
        let Some(old) = self.store.get("members").map(|stored| stored.value.clone()) else {
            return true;
        };
        let Ok(members) = Members::parse(&old) else {
            self.violate("the members cannot be read".into());
            return false;
        };
        let new = members.without(id).print().into_bytes();
        let txn = Transaction {
            compares: vec![("members".into(), Some(old))],
            puts: vec![("members".into(), new)],
            deletes: vec![(format!("durable/{id}"), format!("durable/{id}~"))],
        };
        let done = self.store.commit(&txn).is_ok();
        if done {
            self.changed();
        }
        done
    }

    /// The store gets an older state. All connections break.
    fn restore(&mut self) {
        let Some(backup) = self.backup.clone() else { return };
        if backup.1.last() + 3 > self.truth.last() {
            return; // Too little is lost to be noticed.
        }
        (self.store, self.truth) = *backup;
        self.incarnation += 1;
        self.checker = S::Checker::default();
        let last = self.truth.last();
        self.lossy = Some(last);
        (self.objector, self.takeovers_before) = (None, self.truth.holders.len());
        for node in 0..self.nodes.len() {
            self.nodes[node].foreign = self.nodes[node].disk.last() > last;
            if let Some(process) = self.nodes[node].process.as_mut() {
                process.watch = None;
                process.held.clear();
                self.tell_soon(node, Event::WatchLost);
            }
        }
    }

    /// The operator disarms the alarm once there is room.
    pub(super) fn disarm(&mut self) {
        if self.store.alarm && self.store.bytes() < self.store.quota {
            self.store.alarm = false;
            self.coverage.met(Case::NoSpaceLeft);
            self.note(|| "the store has quota left again".into());
        }
    }

    /// Everything that was broken works again.
    pub(super) fn heal(&mut self) {
        self.note(|| "all faults end".into());
        self.trouble = Trouble::default();
        // The alarm stays until the primary has freed quota.
        self.store.quota = usize::MAX;
        self.store.largest_request = LARGEST_REQUEST;
        for node in &mut self.nodes {
            node.cut_to = 0;
            node.cut_from = 0;
            node.watch_stalled = 0;
            node.answers_late = 0;
            node.requests_late = 0;
            node.slow_disk = 0;
            node.disk_full = 0;
            node.fetch = 0;
            node.crash = None;
            node.freeze = None;
        }
    }
}
