//! Runs with one fault at a chosen place, without clients.

use super::clients::{TAGS, fill, slot_of_tag};
use super::env::SimEtcd;
use super::plan::{Plan, Step};
use super::world::{GROUPS, World, keys};
use super::{Account, check_end, create, executor};
use hedgerow_db_formats::slot_set::SlotSet;
use hedgerow_db_formats::slots::SLOTS;
use hedgerow_db_group::simulation::Random;
use std::sync::Mutex;
use std::time::Duration;

/// The seeds of each scenario.
const SEEDS: u64 = 6;
/// A scenario takes less.
const LATEST: u64 = 60_000_000;

/// Plays a scenario in a world in which nothing else fails. In the end the map and the keys must be right.
pub(super) fn play<F: Future<Output = ()> + Send + 'static>(scenario: impl Fn(World) -> F) {
    for seed in 0..SEEDS {
        let world = World::new(seed, true);
        world.scene().plan = Plan::default();
        world.set_clocks(0);
        (0..GROUPS).for_each(|group| world.start_primary(group));
        let (of_task, playing) = (world.clone(), scenario(world.clone()));
        world.handle.spawn(async move {
            fill(&of_task).await;
            playing.await;
            if let Err(why) = check_end(&of_task, &Mutex::new(Account::default())) {
                of_task.violate(why);
            }
            of_task.scene().ended = true;
        });
        let over = || {
            let scene = world.scene();
            scene.ended || scene.violation.is_some()
        };
        let random = Random::new(seed, 3);
        let ended = executor::run(&world.handle, random, |time| world.set_clocks(time), over);
        let mut scene = world.scene();
        // The processes know the world, and it knows them.
        let groups = std::mem::take(&mut scene.groups);
        let (violation, trace) = (scene.violation.take(), scene.trace.take().unwrap_or_default());
        drop(scene);
        drop(groups);
        let why = violation.or((!ended).then(|| "the run goes round in circles".to_owned()));
        if let Some(why) = why {
            panic!("{}\nseed {seed}: {why}", trace.join("\n"));
        }
    }
}

/// Waits until something is so.
pub(super) async fn until(world: &World, what: &str, is_so: impl Fn() -> bool) {
    while !is_so() && world.scene().violation.is_none() {
        if world.handle.now() > LATEST {
            return world.violate(format!("never: {what}"));
        }
        world.handle.sleep(Duration::from_millis(1)).await;
    }
}

/// Moves slots from one group to the other. Returns when the move has begun.
pub(super) async fn begin(world: &World, slots: &SlotSet, from: u32) {
    let etcd = SimEtcd::of_administrator(world);
    if let Err(why) = create::begin(&etcd, &keys(0), slots, (from, 1 - from)).await {
        world.violate(why);
    }
}

pub(super) async fn finish_moves(world: &World) {
    until(world, "all moves end", || world.moves().is_empty()).await;
}

/// Returns the slot of a part that the first group has in the beginning.
fn some_slot(place: usize) -> SlotSet {
    let mut slots = (0..TAGS).map(slot_of_tag).filter(|slot| *slot < SLOTS / 2);
    let slot = slots.nth(place).expect("the first group has several parts");
    SlotSet::of_range(slot..slot + 1)
}

/// A primary stops between its look at the published map and its change of it, until the slots have moved on, and,
/// with `other`, until further slots have moved.
async fn publish_after_other_moves(world: World, other: bool) {
    // There is a published map, which is the same again after the slots have moved back.
    begin(&world, &some_slot(2), 0).await;
    finish_moves(&world).await;
    let slots = some_slot(0);
    world.scene().faults.pause(1);
    begin(&world, &slots, 0).await;
    until(&world, "the target publishes", || world.scene().faults.is_paused()).await;
    let Some(deposed) = world.depose(1) else { return };
    finish_moves(&world).await;
    begin(&world, &slots, 1).await;
    finish_moves(&world).await;
    if other {
        begin(&world, &some_slot(1), 0).await;
        finish_moves(&world).await;
    }
    world.scene().faults.go_on();
    world.handle.sleep(Duration::from_millis(100)).await;
    deposed.kill(&world.handle);
    until(&world, "the map is that of the logs", || world.map_is_true()).await;
}

#[test]
fn a_deposed_primary_publishes_nothing() {
    play(|world| publish_after_other_moves(world, false));
    play(|world| publish_after_other_moves(world, true));
}

/// A transaction of a move that has ended arrives after the slots have moved back.
async fn late_publication(world: World) {
    let slots = some_slot(0);
    for from in [0, 1] {
        begin(&world, &slots, from).await;
        finish_moves(&world).await;
    }
    let before = world.scene().publications;
    world.publish_late(1, &slots);
    until(&world, "the map is that of the logs", || world.map_is_true()).await;
    world.handle.sleep(Duration::from_secs(10)).await;
    if !world.map_is_true() {
        world.violate("the primaries fight about the map".to_owned());
    }
    let published = world.scene().publications - before;
    if published != 1 {
        world.violate(format!("the map was corrected {published} times"));
    }
}

#[test]
fn the_owner_corrects_the_published_map() {
    play(late_publication);
}

/// Etcd leaves requests of the two groups about the record of a move without an answer, behind a step.
async fn silence(world: World, behind: Step, requests: [u64; 2]) {
    for (group, requests) in (0..).zip(requests) {
        world.scene().faults.silence(behind, group, requests);
    }
    begin(&world, &some_slot(0), 0).await;
    finish_moves(&world).await;
    let claims = world.scene().steps.get(&Step::Claimed).copied().unwrap_or(0);
    if claims != 1 {
        world.violate(format!("the keys were cleared and fetched {claims} times"));
    }
    until(&world, "the map is that of the logs", || world.map_is_true()).await;
}

#[test]
fn keys_are_not_fetched_again_once_the_slots_are_lost() {
    // The source's `moved`; and its look after that, too; and more than it tries; and the target's looks.
    for requests in [[1, 0], [2, 0], [12, 0], [0, 3], [2, 3]] {
        play(move |world| silence(world, Step::Out, requests));
    }
}

#[test]
fn keys_are_not_fetched_again_if_the_source_cannot_leave_yet() {
    play(|world| silence(world, Step::Ready, [1, 0]));
    play(|world| silence(world, Step::Ready, [2, 0]));
}
