//! A simulation of moves with data, by seed.
//!
//! Two groups move slots to and fro while clients write. Their primaries end on both sides of every step of a move, are
//! deposed without noticing it, and etcd's answers are lost or its transactions late. A seed determines a run.
//!
//! | real | stand-in |
//! |---|---|
//! | the work of both primaries and of the administrator | `executor`: one thread and virtual time instead of tokio |
//! | the state, with replay and following; sessions; the log of a node | `world`: a group's committed log |
//! | the next message of the source | the wire between peers |
//! | records, transactions and keys in etcd | a map that compares values |
//!
//! Only the primary of a group's present epoch appends to its committed log. The protocol that chooses this primary has
//! a simulation of its own, in `core`.
//!
//! Checks: two groups never own a slot; an acknowledged change was made by the owner; no acknowledged change is lost or
//! made twice, and no read is old; no expired or removed key comes back; no deposed primary publishes slots; at the end
//! no move is left, each key is in exactly one group's log, and the published map is that of the logs.
//!
//! `HEDGEROW_SEEDS=A..B` chooses the seeds. A failed run prints its seed and its trace.

mod clients;
mod clocks;
mod env;
mod executor;
mod faults;
mod node;
mod plan;
mod scenarios;
mod world;

use super::create;
use super::record::MoveState;
use clients::{Account, Client, TAGS, fill, slot_of_tag};
use env::SimEtcd;
use hedgerow_db_engine::lock::lock;
use hedgerow_db_engine::state::shard::REPEATED_SCANS;
use hedgerow_db_formats::slot_set::SlotSet;
use hedgerow_db_formats::slots::{SLOTS, slot};
use hedgerow_db_group::simulation::{Random, seeds};
use node::Node;
use plan::{Coverage, Plan, PrimaryEnd};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use world::{GROUPS, World, keys};

/// The clients of a run.
const CLIENTS: u64 = 3;
/// Faults end after this time, in microseconds, if the plan has come to its end, and else after the longer one.
const HEAL: [u64; 2] = [3_000_000, 9_000_000];
/// From then on, clients go on for this time.
const STOP: u64 = 1_000_000;
/// From then on, all keys with an expiration expire by all clocks.
const EXPIRE: u64 = 2_000_000;
/// A move that has not ended by then never does.
const LATEST: u64 = 60_000_000;

/// After this many seeds that break a rule, no further one is played.
const FAILED: usize = 4;

/// Begins moves until the faults end.
async fn administrate(world: World) {
    let (etcd, keys) = (SimEtcd::of_administrator(&world), keys(0));
    while world.scene().healed.is_none() {
        world.delay(10, 400).await;
        let from = world.below(u64::from(GROUPS)) as u32;
        let slots = some_slots(&world, from);
        // Fails if there are none, or another move has some of them.
        let begun = create::begin(&etcd, &keys, &slots, (from, 1 - from)).await;
        let Ok(id) = begun else { continue };
        let cancels = world.scene().plan.cancels;
        let returns = world.scene().plan.returns;
        if world.chance(cancels) {
            world.delay(1, 500).await;
            // It may have gone too far.
            let _ = create::turn_back(&etcd, &keys, id, false).await;
        } else if world.chance(returns) {
            return_once_moved(&world, &etcd, id).await;
        }
        // Mostly the next move begins when this one has ended. Sometimes it is tried before.
        while world.state_of(id).is_some() && !world.chance(5) {
            world.delay(5, 20).await;
        }
    }
}

async fn return_once_moved(world: &World, etcd: &SimEtcd, id: u64) {
    for _ in 0..20_000 {
        match world.state_of(id) {
            Some(MoveState::Moved) => {
                // The target may be faster.
                let _ = create::turn_back(etcd, &keys(0), id, true).await;
                return;
            }
            Some(state) if state < MoveState::Moved => {}
            _ => return,
        }
        world.handle.sleep(Duration::from_micros(500)).await;
    }
}

/// Chooses some of the parts that a group owns, and another slot. Sometimes the group does not own them.
fn some_slots(world: &World, from: u32) -> SlotSet {
    let owned = world.scene().groups[from as usize].owned().clone();
    let is_wrong = world.chance(30);
    let other = world.below(SLOTS.into()) as u16;
    let slots = (0..TAGS).map(slot_of_tag).filter(|_| world.chance(500)).chain([other]);
    let mut chosen: Vec<u16> = slots.filter(|slot| is_wrong || owned.contains(*slot)).collect();
    chosen.sort_unstable();
    chosen.dedup();
    let ranges: Vec<_> = chosen.into_iter().map(|slot| (slot, slot)).collect();
    SlotSet::from_ranges(&ranges).expect("slots in order")
}

/// Cancels moves of slots that the source does not own: they cannot succeed.
async fn cancel_hopeless(world: World) {
    let etcd = SimEtcd::of_administrator(&world);
    loop {
        world.delay(300, 600).await;
        for (id, record) in world.moves() {
            let owned = world.scene().groups[record.from as usize].owned().clone();
            if record.state <= MoveState::Ready && !owned.contains_all(&record.slots) {
                world.scene().coverage.case("a move of slots that the source does not own");
                // Tried again, if that fails.
                let _ = create::turn_back(&etcd, &keys(0), id, false).await;
            }
        }
    }
}

/// Ends primaries at random times.
async fn disturb(world: World) {
    loop {
        world.delay(50, 150).await;
        let (now, left) = (world.handle.now(), world.scene().plan.ends.len());
        if now > HEAL[usize::from(left > 0)] {
            break;
        }
        let ends = world.scene().plan.ends_at_random;
        if world.chance(ends) {
            let end = if world.chance(500) { PrimaryEnd::Crash } else { PrimaryEnd::Deposed };
            world.end_primary(world.below(2) as u32, end);
        }
    }
    world.note(|| "all faults end".to_owned());
    let now = world.handle.now();
    let mut scene = world.scene();
    scene.plan.heal();
    scene.healed = Some(now);
}

/// Plays the faults, waits until all moves have ended, and checks what is left.
async fn conclude(world: World, account: Arc<Mutex<Account>>) {
    disturb(world.clone()).await;
    world.handle.sleep(Duration::from_micros(STOP + EXPIRE)).await;
    let is_over = |world: &World| {
        let all = world.scene().groups.iter().all(|group| group.primary.is_some());
        all && world.scene().moves.is_empty()
    };
    let latest = world.handle.now() + LATEST;
    while !is_over(&world) {
        if world.handle.now() > latest {
            let moves = world.moves();
            return world.violate(format!("moves do not end long after all faults: {moves:?}"));
        }
        world.delay(50, 100).await;
    }
    if let Err(why) = check_end(&world, &account) {
        world.violate(why);
    }
    // A late transaction may have spoilt the published map: the primaries look at it every few seconds.
    while !world.map_is_true() {
        if world.handle.now() > latest {
            return world.violate("the published map is not that of the logs".to_owned());
        }
        world.delay(50, 100).await;
    }
    world.scene().ended = true;
}

fn check_end(world: &World, account: &Mutex<Account>) -> Result<(), String> {
    let mut all: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut everything = SlotSet::of_range(0..0);
    for group in 0..GROUPS {
        let (entries, owned, primary) = {
            let scene = world.scene();
            let group = &scene.groups[group as usize];
            let primary = group.primary.clone().ok_or("a group has no primary")?;
            (group.committed.clone(), group.owned().clone(), primary)
        };
        everything = everything.union(&owned);
        if primary.state.ownership.slots() != owned {
            return Err(format!(
                "the primary of group {group} takes itself for the owner of others"
            ));
        }
        let node = Node::load(world, group, &entries)?;
        if node.state.ownership.slots() != owned {
            return Err(format!("a new node of group {group} owns other slots than the log says"));
        }
        let of_primary: BTreeMap<_, _> = records(&primary.state).into_iter().collect();
        for (key, value) in records(&node.state) {
            let name = String::from_utf8_lossy(&key).into_owned();
            if !owned.contains(slot(&key)) {
                return Err(format!("group {group} has {name}, whose slot it does not own"));
            }
            if of_primary.get(&key) != Some(&value) {
                return Err(format!("the primary of group {group} has another {name}"));
            }
            if all.insert(key, value).is_some() {
                return Err(format!("two groups have {name}"));
            }
        }
    }
    if everything != SlotSet::all() {
        return Err("a slot has no owner".to_owned());
    }
    lock(account).finish(&all, world.wall())
}

/// Returns the keys that have not expired, with their values.
fn records(state: &hedgerow_db_engine::state::State) -> Vec<(Vec<u8>, Vec<u8>)> {
    let (mut found, now) = (Vec::new(), state.clock.now());
    for shard in state.shards.iter() {
        let mut core = shard.lock();
        let records = core.begin_snapshot();
        core.end_snapshot(None, 0);
        let alive = records.into_iter().filter(|record| !record.is_expired(now));
        // The clients of the simulation store strings only.
        for record in alive {
            let value = record.string().expect("a string");
            found.push((record.key().to_vec(), core.read(value, <[u8]>::to_vec)));
        }
    }
    found
}

/// A run that has ended.
struct Run {
    violation: Option<String>,
    coverage: Coverage,
    trace: Vec<String>,
}

fn run_seed(seed: u64, is_traced: bool) -> Run {
    REPEATED_SCANS.set(true);
    let world = World::new(seed, is_traced);
    let account = Arc::new(Mutex::new(Account::default()));
    world.set_clocks(0);
    (0..GROUPS).for_each(|group| world.start_primary(group));
    let (starting, of_clients) = (world.clone(), Arc::clone(&account));
    world.handle.spawn(async move {
        fill(&starting).await;
        for number in 0..CLIENTS {
            let (world, account) = (starting.clone(), Arc::clone(&of_clients));
            starting.handle.spawn(Client { world, number, account }.run());
        }
        starting.handle.spawn(administrate(starting.clone()));
        starting.handle.spawn(cancel_hopeless(starting.clone()));
        starting.handle.spawn(conclude(starting.clone(), of_clients));
    });
    let over = || {
        let scene = world.scene();
        scene.ended || scene.violation.is_some()
    };
    let random = Random::new(seed, 3);
    let ended = executor::run(&world.handle, random, |time| world.set_clocks(time), over);
    if !ended {
        world.violate("the run goes round in circles".to_owned());
    }
    // The processes know the world, and it knows them.
    let mut scene = world.scene();
    let groups = std::mem::take(&mut scene.groups);
    scene.coverage.cases.insert("answers", lock(&account).answers);
    let run = Run {
        violation: scene.violation.take(),
        coverage: std::mem::take(&mut scene.coverage),
        trace: scene.trace.take().unwrap_or_default(),
    };
    drop(scene);
    drop(groups);
    run
}

/// Runs seeds. Fails if some break a rule, with the trace of the first one.
fn run_all(seeds: Range<u64>) -> Coverage {
    let (mut coverage, mut failed) = (Coverage::default(), Vec::new());
    for seed in seeds {
        let run = run_seed(seed, false);
        coverage.add(&run.coverage);
        if let Some(why) = run.violation {
            if failed.is_empty() {
                let trace = run_seed(seed, true).trace;
                println!("{}\n{:#?}", trace.join("\n"), Plan::of(seed));
            }
            failed.push(format!("seed {seed}: {why}"));
        }
        if failed.len() == FAILED {
            break;
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    coverage
}

/// Each step of a move must be met by a crash of either primary on both sides of it.
#[test]
fn no_move_loses_a_key() {
    let seeds = seeds(0..108);
    let is_whole = seeds.end - seeds.start >= 108;
    let coverage = run_all(seeds);
    println!("{coverage:?}");
    let missing = coverage.missing(&["a client was held back", "a transaction arrived late"]);
    assert!(!is_whole || missing.is_empty(), "the runs have not met {missing:?}");
}

#[test]
fn a_seed_repeats_its_run() {
    let trace = |seed| run_seed(seed, true).trace;
    assert_eq!(trace(3), trace(3));
    assert_ne!(trace(3), trace(5));
}
