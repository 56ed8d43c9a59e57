//! A replicated counter: three nodes on a store in memory. The primary dies, another node takes over, and the first one
//! comes back with its local log.
//!
//! Time is simulated, so the program ends at once: `cargo run -p hedgerow-db-group --example memory`.

use hedgerow_db_group::{
    Action, Committed, Entry, Event, Group, GroupRole, GroupSettings, HeldEntries, LogPosition,
    Mark, MemoryStore, NodeId, Now,
};
use std::collections::VecDeque;

/// What a node keeps on its disk: committed entries, and the mark of each batch.
#[derive(Default)]
struct LocalLog {
    entries: Vec<Entry>,
    marks: Vec<Mark>,
}

impl LocalLog {
    fn push(&mut self, committed: &Committed) {
        for entry in &committed.entries {
            if entry.lsn == committed.mark.first {
                self.marks.push(committed.mark);
            }
            self.entries.push(entry.clone());
        }
    }

    /// Where a restarted node begins: before the last batch, whose entries it has and compares.
    fn position(&self) -> (LogPosition, HeldEntries) {
        let Some(mark) = self.marks.last() else {
            return (LogPosition::default(), HeldEntries::up_to(0));
        };
        let time = self.entries.iter().map(|entry| entry.time).max().unwrap_or(0);
        let mut held = HeldEntries::up_to(mark.first - 1);
        for entry in self.entries.iter().filter(|entry| entry.lsn >= mark.first) {
            held.add(entry.time, &entry.changes);
        }
        (mark.before(time), held)
    }
}

/// A process of a node.
struct Node {
    id: NodeId,
    group: Group,
    watches_from: u64,
    log: LocalLog,
    /// The state: how often "+1" is in the log.
    count: u64,
    /// The same, as far as it may be shown to clients.
    committed: u64,
}

/// Counts the entries that add. The first entry of an epoch is empty.
fn added(entries: &[Entry]) -> u64 {
    entries.iter().filter(|entry| entry.changes == b"+1").count() as u64
}

impl Node {
    fn start(number: u8, process: u64, log: LocalLog, now: Now) -> Self {
        let id = NodeId([number; 20]);
        let (position, held) = log.position();
        let group = Group::new(GroupSettings::new(id, process), position, held, now);
        let count = added(&log.entries);
        Self { id, group, watches_from: 1, log, count, committed: count }
    }

    fn role(&self) -> GroupRole {
        self.group.status().role
    }

    /// Adds one, as a client of the primary would.
    fn add(&mut self, store: &mut MemoryStore, now: Now) {
        let lsn = self.group.status().last + 1;
        self.count += 1;
        let entry = Entry { lsn, time: now.wall, changes: b"+1".to_vec() };
        self.handle(store, now, Event::Appended(vec![entry]));
    }

    fn handle(&mut self, store: &mut MemoryStore, now: Now, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let mut actions = Vec::new();
            self.group.handle(now, event, &mut actions);
            for action in actions {
                events.extend(store.answer(&action));
                events.extend(self.act(action, now));
            }
        }
    }

    /// Carries out an action that is not a request to the store.
    fn act(&mut self, action: Action, now: Now) -> Option<Event> {
        match action {
            Action::Watch(from) => self.watches_from = from,
            Action::Apply(committed) => {
                // Entries of another primary: the state does not have them yet.
                self.log.push(&committed);
                self.count += added(&committed.entries);
                self.committed = self.count;
                return Some(Event::Applied(committed.after.lsn));
            }
            Action::Commit(committed) => {
                // Own entries: now they may be acknowledged.
                self.log.push(&committed);
                self.committed += added(&committed.entries);
            }
            Action::Role { role, epoch, reason, .. } => {
                println!(
                    "{:>6} ms: node {}: {role:?} in epoch {epoch}, because {reason}",
                    now.boot, self.id.0[0]
                );
                return Some(match role {
                    GroupRole::Primary => Event::Serving,
                    _ => Event::Closed { time: now.wall },
                });
            }
            Action::Hold => return Some(Event::Closed { time: now.wall }),
            Action::Note(notice) => println!("{:>6} ms: node {}: {notice}", now.boot, self.id.0[0]),
            // A process would end here, and start again or not.
            Action::Fenced => panic!("node {} has changes that were never committed", self.id),
            Action::Restart(why) => panic!("node {}: {why}", self.id),
            Action::Stop(why) => panic!("node {}: {why}", self.id),
            // `RenewLease` says until when a read may be answered; this example has none. `Resync` cannot happen, as
            // no node is away for longer than the store keeps batches.
            _ => {}
        }
        None
    }

    fn tick(&mut self, store: &mut MemoryStore, now: Now) {
        if let Some((event, next)) = store.watch(self.watches_from) {
            self.watches_from = next;
            self.handle(store, now, event);
        }
        self.handle(store, now, Event::Tick);
        // The local log is on disk up to here, so the store may forget earlier batches.
        if let Some(mark) = self.log.marks.last() {
            store.put_durable(self.id, mark.seq);
        }
    }
}

/// Lets time pass.
fn pass(nodes: &mut [Node], store: &mut MemoryStore, now: &mut Now, milliseconds: u64) {
    for _ in 0..milliseconds / 50 {
        *now = Now { boot: now.boot + 50, wall: now.wall + 50 };
        for node in nodes.iter_mut() {
            node.tick(store, *now);
        }
    }
}

fn primary(nodes: &mut [Node]) -> &mut Node {
    nodes.iter_mut().find(|node| node.role() == GroupRole::Primary).expect("a primary")
}

fn main() {
    let mut store = MemoryStore::default();
    let mut now = Now { boot: 0, wall: 1_800_000_000_000 };
    let mut nodes: Vec<_> = (1..=3)
        .map(|number| Node::start(number, 100 + u64::from(number), LocalLog::default(), now))
        .collect();
    pass(&mut nodes, &mut store, &mut now, 2000);
    for _ in 0..10 {
        primary(&mut nodes).add(&mut store, now);
        pass(&mut nodes, &mut store, &mut now, 100);
    }
    println!("ten are added; the primary dies");
    let at = nodes.iter().position(|node| node.role() == GroupRole::Primary).expect("a primary");
    let dead = nodes.remove(at);
    pass(&mut nodes, &mut store, &mut now, 6000);
    for _ in 0..10 {
        primary(&mut nodes).add(&mut store, now);
        pass(&mut nodes, &mut store, &mut now, 100);
    }
    println!("ten more are added; the first node comes back");
    nodes.push(Node::start(dead.id.0[0], 200, dead.log, now));
    pass(&mut nodes, &mut store, &mut now, 2000);
    for node in &nodes {
        println!("node {} counts {}", node.id.0[0], node.committed);
        assert_eq!((node.count, node.committed), (20, 20), "nothing is lost, and nothing twice");
    }
}
