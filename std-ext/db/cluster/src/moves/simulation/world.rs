//! The world of a run: etcd, the committed logs of two groups, and the processes that are or were their primaries.
//!
//! Each change of etcd and each committed entry is a step, or none. Before a step and behind it, the plan may end a
//! primary.

use super::env::SimEnv;
use super::executor::Handle;
use super::faults::Faults;
use super::node::{Node, Process};
use super::plan::{Coverage, Plan, PrimaryEnd, Side, Step, When};
use crate::etcd::{Compare, EtcdTransaction, KeyValue, Operation};
use crate::measure::clock::manual;
use crate::membership::keys::GroupKeys;
use crate::membership::slot_map::SlotMap;
use crate::moves::record::{MoveRecord, MoveState};
use hedgerow_db_engine::lock::lock;
use hedgerow_db_engine::log::Lsn;
use hedgerow_db_engine::log::change::{self, LoggedChanges, LoggedOp};
use hedgerow_db_formats::slot_set::{SlotSet, share};
use hedgerow_db_formats::slots::slot;
use hedgerow_db_group::simulation::Random;
use hedgerow_db_group::{Entry, NodeId, primary_value};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

pub(super) const GROUPS: u32 = 2;
/// The wall clock at the beginning, in milliseconds.
const BEGIN: u64 = 1_700_000_000_000;
/// The clocks of two processes differ by less, in milliseconds.
pub(super) const SKEW: u64 = 100;

/// A group: its committed log, and the process that may append to it.
pub(super) struct Group {
    pub(super) committed: Vec<Entry>,
    /// The slots that the committed log says it owns, and since which entry.
    owned: Vec<(Lsn, SlotSet)>,
    pub(super) epoch: u64,
    pub(super) primary: Option<Arc<Process>>,
    /// Was the primary, and may not know that it is none.
    deposed: Option<Arc<Process>>,
    follower: Option<Node>,
}

impl Group {
    /// Returns the slots that it owns behind an entry.
    pub(super) fn owned_behind(&self, entry: Lsn) -> &SlotSet {
        let place = self.owned.partition_point(|(since, _)| *since <= entry);
        &self.owned[place - 1].1
    }

    pub(super) fn owned(&self) -> &SlotSet {
        self.owned_behind(Lsn::MAX)
    }
}

/// All that changes.
pub(super) struct Scene {
    etcd: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The records of moves in etcd.
    pub(super) moves: BTreeMap<u64, MoveRecord>,
    pub(super) groups: Vec<Group>,
    pub(super) plan: Plan,
    pub(super) coverage: Coverage,
    pub(super) violation: Option<String>,
    /// The events so far, if they are wanted.
    pub(super) trace: Option<Vec<String>>,
    /// When all faults have ended.
    pub(super) healed: Option<u64>,
    pub(super) ended: bool,
    random: Random,
    /// The clocks of all processes: the group, the clock, and by how much it is ahead.
    clocks: Vec<(u32, Arc<AtomicU64>, u64)>,
    /// How often each step was made.
    pub(super) steps: BTreeMap<Step, u64>,
    /// How often slots were published.
    pub(super) publications: u64,
    /// The faults of a scenario.
    pub(super) faults: Faults,
}

/// A move: its number and its record.
type Move = (u64, MoveRecord);

/// A run.
#[derive(Clone)]
pub(super) struct World {
    pub(super) handle: Handle,
    scene: Arc<Mutex<Scene>>,
}

/// The keys in etcd.
pub(super) fn keys(group: u32) -> GroupKeys {
    GroupKeys::new("simulation", group).expect("a name")
}

/// The node of a group's primaries. Each epoch is another process.
pub(super) fn node_id(group: u32) -> NodeId {
    NodeId([group as u8; 20])
}

impl World {
    pub(super) fn new(seed: u64, is_traced: bool) -> Self {
        let random = Random::new(seed, 2);
        let group = |number| Group {
            committed: Vec::new(),
            owned: vec![(0, SlotSet::of_range(share(number, GROUPS)))],
            epoch: 0,
            primary: None,
            deposed: None,
            follower: None,
        };
        let scene = Scene {
            etcd: BTreeMap::new(),
            moves: BTreeMap::new(),
            groups: (0..GROUPS).map(group).collect(),
            plan: Plan::of(seed),
            coverage: Coverage::default(),
            violation: None,
            trace: is_traced.then(Vec::new),
            healed: None,
            ended: false,
            random,
            clocks: Vec::new(),
            steps: BTreeMap::new(),
            publications: 0,
            faults: Faults::default(),
        };
        Self { handle: Handle::default(), scene: Arc::new(Mutex::new(scene)) }
    }

    pub(super) fn scene(&self) -> MutexGuard<'_, Scene> {
        lock(&self.scene)
    }

    /// Sets all clocks to a time of the executor.
    pub(super) fn set_clocks(&self, micros: u64) {
        manual::set(BEGIN + micros);
        for (_, clock, ahead) in &self.scene().clocks {
            // Relaxed: one thread.
            clock.store(BEGIN + micros / 1000 + ahead, Ordering::Relaxed);
        }
    }

    /// Sets by how much the clocks of a group's present processes are ahead, in milliseconds.
    pub(super) fn set_ahead(&self, group: u32, ahead: u64) {
        let mut scene = self.scene();
        let of_group = scene.clocks.iter_mut().filter(|clock| clock.0 == group);
        of_group.for_each(|clock| clock.2 = ahead);
    }

    /// Returns a wall clock of a process of a group.
    pub(super) fn clock(&self, group: u32) -> Arc<AtomicU64> {
        let now = self.wall();
        let mut scene = self.scene();
        let ahead = scene.random.below(SKEW);
        let clock = Arc::new(AtomicU64::new(now + ahead));
        scene.clocks.push((group, Arc::clone(&clock), ahead));
        clock
    }

    /// Returns the true time in milliseconds.
    pub(super) fn wall(&self) -> u64 {
        BEGIN + self.handle.now() / 1000
    }

    pub(super) fn below(&self, end: u64) -> u64 {
        self.scene().random.below(end)
    }

    pub(super) fn chance(&self, in_a_thousand: u64) -> bool {
        self.scene().random.chance(in_a_thousand)
    }

    /// Sleeps for a random time of some milliseconds, from `from` to before `to`.
    pub(super) async fn delay(&self, from: u64, to: u64) {
        let micros = self.scene().random.between(from * 1000, to * 1000);
        self.handle.sleep(Duration::from_micros(micros)).await;
    }

    pub(super) fn note(&self, text: impl FnOnce() -> String) {
        let now = self.handle.now();
        if let Some(trace) = &mut self.scene().trace {
            trace.push(format!("{now:>9} us: {}", text()));
        }
    }

    pub(super) fn violate(&self, why: String) {
        self.note(|| format!("VIOLATION: {why}"));
        self.scene().violation.get_or_insert(why);
    }

    // ------------------------------------------------------------------------------------ steps

    /// The next step of a move comes, or has come: some primaries may end.
    fn reach(&self, step: Step, when: When, (id, record): &Move) {
        self.note(|| format!("{when:?} {step:?} of the move {id} to group {}", record.to));
        if when == When::After {
            *self.scene().steps.entry(step).or_default() += 1;
        }
        for (side, group) in [(Side::Source, record.from), (Side::Target, record.to)] {
            let end = {
                let mut scene = self.scene();
                let lives = scene.groups[group as usize].primary.is_some();
                let end = if lives { scene.plan.take((step, when, side)) } else { None };
                if end.is_some() {
                    *scene.coverage.places.entry((step, when, side)).or_default() += 1;
                }
                end
            };
            if let Some(end) = end {
                self.end_primary(group, end);
            }
        }
    }

    /// Returns all moves.
    pub(super) fn moves(&self) -> Vec<Move> {
        self.scene().moves.iter().map(|(id, record)| (*id, record.clone())).collect()
    }

    /// Returns the state of a move.
    pub(super) fn state_of(&self, id: u64) -> Option<MoveState> {
        self.scene().moves.get(&id).map(|record| record.state)
    }

    // ------------------------------------------------------------------------------------ etcd

    pub(super) fn read_etcd(&self, from: &[u8], end: &[u8]) -> Vec<KeyValue> {
        let scene = self.scene();
        let (mut one, mut many) = (None, None);
        if end.is_empty() {
            one = scene.etcd.get_key_value(from);
        } else {
            many = Some(scene.etcd.range(from.to_vec()..end.to_vec()));
        }
        let pair = |(key, value): (&Vec<u8>, &Vec<u8>)| KeyValue {
            key: key.clone().into(),
            value: value.clone().into(),
            created: 1,
            modified: 1,
            version: 1,
            lease: 0,
        };
        one.into_iter().chain(many.into_iter().flatten()).map(pair).collect()
    }

    /// A transaction takes effect. Returns whether its conditions held; nothing if its sender ended before.
    pub(super) fn transact(
        &self,
        asked: &EtcdTransaction,
        by: Option<&Arc<Process>>,
    ) -> Option<bool> {
        let holds = |scene: &Scene| {
            asked.compare.iter().all(|compare| match compare {
                Compare::Value { key, value } => {
                    scene.etcd.get(&key[..]).is_some_and(|stored| *stored == value[..])
                }
                Compare::Absent { key } => !scene.etcd.contains_key(&key[..]),
                other => unreachable!("no move compares so: {other:?}"),
            })
        };
        if !holds(&self.scene()) {
            return Some(false);
        }
        self.check_publisher(asked, by);
        let step = self.step_of(asked);
        if let Some((step, of)) = &step {
            self.reach(*step, When::Before, of);
            if by.is_some_and(|process| !process.is_alive()) {
                return None;
            }
        }
        for operation in &asked.then {
            self.make(operation);
        }
        if let Some((step, of)) = &step {
            self.reach(*step, When::After, of);
        }
        Some(true)
    }

    /// Only a primary that no other one has followed publishes slots.
    fn check_publisher(&self, asked: &EtcdTransaction, by: Option<&Arc<Process>>) {
        let Some(by) = by.filter(|_| publishes(asked)) else { return };
        let next = self.scene().groups[by.group as usize].primary.clone();
        if next.is_some_and(|next| next.epoch != by.epoch) {
            self.violate(format!("a deposed primary of group {} publishes its slots", by.group));
        }
    }

    /// Returns whether the published map says what the logs say.
    pub(super) fn map_is_true(&self) -> bool {
        let scene = self.scene();
        let published = scene.etcd.get(keys(0).slots().as_bytes());
        let map = published.map_or_else(
            || SlotMap::divided(GROUPS),
            |value| SlotMap::parse(value).expect("a map of slots"),
        );
        let is_true = |(group, of): (u32, &Group)| map.slots_of(group) == *of.owned();
        (0..).zip(&scene.groups).all(is_true)
    }

    /// Publishes slots of a group, as a transaction that was sent long ago.
    pub(super) fn publish_late(&self, group: u32, slots: &SlotSet) {
        let key = keys(0).slots().into_bytes();
        let mut scene = self.scene();
        let map = SlotMap::parse(&scene.etcd[&key]).expect("a map of slots");
        scene.etcd.insert(key, map.with(group, slots).print().into_bytes());
    }

    fn make(&self, operation: &Operation) {
        let (keys, mut scene) = (keys(0), self.scene());
        match operation {
            Operation::Put { key, value, .. } => {
                scene.publications += u64::from(*key == keys.slots());
                scene.etcd.insert(key.to_vec(), value.to_vec());
                if let Some(id) = keys.move_id(key) {
                    scene.moves.insert(id, MoveRecord::parse(value).expect("a record"));
                }
            }
            Operation::Delete(deleted) => {
                let key = deleted.bounds().0;
                scene.etcd.remove(key);
                keys.move_id(key).and_then(|id| scene.moves.remove(&id));
            }
            Operation::Get(_) => unreachable!("no move reads so"),
        }
    }

    /// Returns the step that a transaction makes.
    fn step_of(&self, asked: &EtcdTransaction) -> Option<(Step, Move)> {
        let (keys, moves) = (keys(0), self.moves());
        for operation in &asked.then {
            let (key, next) = match operation {
                Operation::Put { key, value, .. } => (key.clone(), Some(value)),
                Operation::Delete(keys) => (keys.bounds().0.to_vec().into(), None),
                Operation::Get(_) => continue,
            };
            if publishes(asked) {
                let ends = [MoveState::Arriving, MoveState::Done, MoveState::Returned];
                let of = moves.into_iter().find(|(_, record)| ends.contains(&record.state));
                return of.map(|of| (Step::Published, of));
            }
            let Some(id) = keys.move_id(&key) else { continue };
            let before = moves.iter().find(|(other, _)| *other == id).map(|(_, record)| record);
            let next = next.map(|value| MoveRecord::parse(value).expect("a record"));
            let step = record_step(before, next.as_ref());
            return next.or(before.cloned()).map(|record| (step, (id, record)));
        }
        None
    }

    // ------------------------------------------------------------------------------------ logs

    /// Commits entries of a process, unless it is not the primary any more. Returns the last one of which it hears.
    pub(super) fn commit(&self, process: &Arc<Process>, entries: Vec<Entry>) -> Option<Lsn> {
        let number = process.group;
        let mut last = None;
        for entry in entries {
            let steps = self.steps_of_entry(number, &entry);
            for (step, of) in &steps {
                self.reach(*step, When::Before, of);
            }
            {
                let mut scene = self.scene();
                let group = &mut scene.groups[number as usize];
                if !process.is_alive() || group.epoch != process.epoch {
                    return last;
                }
                let lsn = entry.lsn;
                let expected = group.committed.len() as u64 + 1;
                group.committed.push(entry.clone());
                drop(scene);
                if lsn != expected {
                    self.violate(format!("group {number} commits entry {lsn} as entry {expected}"));
                    return None;
                }
            }
            self.note(|| format!("group {number} commits {}", text_of(&entry)));
            self.note_owned(number, &entry);
            for (step, of) in &steps {
                self.reach(*step, When::After, of);
            }
            last = Some(entry.lsn);
        }
        last
    }

    /// Follows the owners of slots: there is at most one at any time.
    fn note_owned(&self, number: u32, entry: &Entry) {
        let two = {
            let groups = &mut self.scene().groups;
            for operation in LoggedChanges::new(&entry.changes).map_while(Result::ok) {
                let own = groups[number as usize].owned().clone();
                let own = match operation {
                    LoggedOp::Own(_, slots) => own.union(&SlotSet::from_bits(slots)),
                    LoggedOp::Out(_, slots) => own.difference(&SlotSet::from_bits(slots)),
                    _ => continue,
                };
                groups[number as usize].owned.push((entry.lsn, own));
            }
            groups[0].owned().overlaps(groups[1].owned())
        };
        if two {
            self.violate(format!("two groups own the same slots after entry {}", entry.lsn));
        }
    }

    /// Returns the steps that an entry of a group makes.
    fn steps_of_entry(&self, group: u32, entry: &Entry) -> Vec<(Step, Move)> {
        let owned = self.scene().groups[group as usize].owned().clone();
        let mut steps: Vec<(Step, Move)> = Vec::new();
        for operation in LoggedChanges::new(&entry.changes).map_while(Result::ok) {
            let (slots, is_set) = match operation {
                LoggedOp::Out(_, slots) | LoggedOp::Own(_, slots) => {
                    (SlotSet::from_bits(slots), false)
                }
                LoggedOp::Clear(begin, end) => (SlotSet::of_range(begin..end), false),
                LoggedOp::Change(key, change) if !owned.contains(slot(key)) => {
                    let is_set = !matches!(change, hedgerow_db_engine::request::Change::Delete);
                    (SlotSet::of_range(slot(key)..slot(key) + 1), is_set)
                }
                _ => continue,
            };
            let mut moves = self.moves().into_iter();
            let Some(of) = moves.find(|(_, record)| record.slots.overlaps(&slots)) else {
                continue;
            };
            let is_source = of.1.from == group;
            let step = match (operation, is_source) {
                (LoggedOp::Out(..), _) => Step::Out,
                (LoggedOp::Own(..), true) => Step::OwnBack,
                (LoggedOp::Own(..), false) => Step::Own,
                (_, true) => Step::ClearedAtEnd,
                (_, false) if is_set => Step::Imported,
                (_, false) => Step::Cleared,
            };
            if !steps.iter().any(|(other, _)| *other == step) {
                steps.push((step, of));
            }
        }
        steps
    }

    // ------------------------------------------------------------------------------------ processes

    /// Ends the primary of a group, if it has one.
    pub(super) fn end_primary(&self, number: u32, end: PrimaryEnd) {
        let mut scene = self.scene();
        let group = &mut scene.groups[number as usize];
        let Some(process) = group.primary.take() else { return };
        // Nothing that it appends from now on is committed.
        group.epoch += 1;
        let before = match end {
            PrimaryEnd::Crash => Some(Arc::clone(&process)),
            PrimaryEnd::Deposed => group.deposed.replace(Arc::clone(&process)),
        };
        drop(scene);
        self.note(|| format!("the primary {} of group {number} ends: {end:?}", process.epoch));
        if let Some(process) = before {
            process.kill(&self.handle);
        }
        let world = self.clone();
        self.handle.spawn(async move {
            match end {
                PrimaryEnd::Crash => world.delay(50, 900).await,
                PrimaryEnd::Deposed => world.delay(0, 50).await,
            }
            world.start_primary(number);
        });
        if end == PrimaryEnd::Deposed {
            let world = self.clone();
            self.handle.spawn(async move {
                // Long enough for further moves, as of a process that was stopped.
                let most = if world.chance(300) { 5000 } else { 1000 };
                world.delay(20, most).await;
                world.note(|| format!("the primary {} of group {number} notices", process.epoch));
                process.kill(&world.handle);
            });
        }
    }

    /// Another node takes over from the primary of a group, which goes on, and does not notice it. Returns that one.
    pub(super) fn depose(&self, number: u32) -> Option<Arc<Process>> {
        let old = {
            let group = &mut self.scene().groups[number as usize];
            group.epoch += 1;
            group.primary.take()
        };
        self.start_primary(number);
        old
    }

    /// A follower becomes the primary, and another node becomes a follower.
    pub(super) fn start_primary(&self, number: u32) {
        let (epoch, entries, follower) = {
            let mut scene = self.scene();
            let group = &mut scene.groups[number as usize];
            group.epoch += 1;
            (group.epoch, group.committed.clone(), group.follower.take())
        };
        let load =
            || Node::load(self, number, &entries).inspect_err(|why| self.violate(why.clone()));
        let node = match follower {
            Some(follower) => follower.follow(&entries).map(|()| follower),
            None => load(),
        };
        let Ok(node) = node.inspect_err(|why| self.violate(why.clone())) else { return };
        let lsn = entries.len() as u64 + 1;
        let time = node.state.clock.now().max(node.state.latest_time());
        let mut changes = Vec::new();
        change::begin(epoch, &node_id(number).0, &mut changes);
        node.state.become_primary(time);
        node.log.begin_term(lsn, epoch);
        let process = Process::start(self, node, number, epoch);
        let follower = load().ok();
        self.note(|| format!("group {number} has a primary of epoch {epoch}"));
        let mut scene = self.scene();
        let group = &mut scene.groups[number as usize];
        group.committed.push(Entry { lsn, time, changes });
        group.primary = Some(Arc::clone(&process));
        group.follower = follower;
        let primary = primary_value(epoch, node_id(number), epoch);
        scene.etcd.insert(keys(number).primary().into_bytes(), primary.into_bytes());
        drop(scene);
        process.run_mover(SimEnv::new(self, &process));
    }

    /// Returns the process that clients or other groups take for the primary of a group.
    pub(super) fn primary(&self, number: u32) -> Option<Arc<Process>> {
        let old = self.chance(200);
        let scene = self.scene();
        let group = &scene.groups[number as usize];
        let deposed = group.deposed.as_ref().filter(|process| old && process.is_alive());
        deposed.or(group.primary.as_ref()).cloned()
    }
}

/// Returns whether a transaction publishes slots.
pub(super) fn publishes(asked: &EtcdTransaction) -> bool {
    let slots = keys(0).slots();
    asked.then.iter().any(|one| matches!(one, Operation::Put { key, .. } if *key == slots))
}

/// Returns an entry for people.
fn text_of(entry: &Entry) -> String {
    let text = |operation| match operation {
        LoggedOp::Change(key, change) => {
            let change = format!("{change:?}");
            let kind = change.split([' ', '(', '{']).next().unwrap_or_default().to_owned();
            format!("{kind} {}", String::from_utf8_lossy(key))
        }
        LoggedOp::Own(id, _) => format!("Own {id}"),
        LoggedOp::Out(id, _) => format!("Out {id}"),
        other => format!("{other:?}"),
    };
    let operations = LoggedChanges::new(&entry.changes).map_while(Result::ok).map(text);
    format!("{}: {}", entry.lsn, operations.collect::<Vec<_>>().join(", "))
}

/// Returns the step that a change of a record is.
fn record_step(before: Option<&MoveRecord>, next: Option<&MoveRecord>) -> Step {
    let (Some(before), Some(next)) = (before, next) else {
        return if next.is_some() { Step::Created } else { Step::Ended };
    };
    match next.state {
        _ if next.state == before.state => Step::Claimed,
        MoveState::Copying => Step::Claimed,
        MoveState::Ready => Step::Ready,
        MoveState::Leaving => Step::Leaving,
        MoveState::Moved => Step::Moved,
        MoveState::Arriving => Step::Arriving,
        MoveState::Done => Step::Done,
        MoveState::Returned => Step::Returned,
        MoveState::Cancelled if before.state == MoveState::Returned => Step::TurnedBack,
        MoveState::Cancelled => Step::Cancelled,
    }
}
