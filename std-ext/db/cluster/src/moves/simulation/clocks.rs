//! Moves while the clock of the source is ahead, and is set back.

use super::clients::{TAGS, slot_of_tag, tag};
use super::node::Process;
use super::plan::Step;
use super::scenarios::{begin, finish_moves, play, until};
use super::world::World;
use hedgerow_db_engine::lock::lock;
use hedgerow_db_engine::log::Log as _;
use hedgerow_db_engine::request::{Answer, Change, Expiry, Query, Request, SetCondition};
use hedgerow_db_formats::slot_set::SlotSet;
use hedgerow_db_formats::slots::SLOTS;
use std::sync::Arc;
use std::time::Duration;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// When the clock of the source is right again.
#[derive(Clone, Copy)]
enum SetBack {
    Never,
    /// While keys are sent.
    BeforeOut,
    /// Behind the entry that takes the slots away, before the record has its time. Then this number of primaries of the
    /// source are replaced.
    BehindOut(u32),
}

/// Returns a part of the key space that a group has in the beginning.
fn part_of(group: u32) -> String {
    let is_of = |number: &u64| u32::from(slot_of_tag(*number) >= SLOTS / 2) == group;
    tag((0..TAGS).find(is_of).expect("each group has a part"))
}

fn primary(world: &World, group: u32) -> Arc<Process> {
    world.scene().groups[group as usize].primary.clone().expect("a primary")
}

async fn set(world: &World, group: u32, key: &str, lives: u64) {
    let process = primary(world, group);
    let change = Change::Set {
        value: b"red",
        condition: SetCondition::Always,
        expiry: Expiry::At(world.wall() + lives),
        get: false,
    };
    let requests = [Request::Change(key.as_bytes(), change)];
    let last = lock(&process.session).execute(&requests, &mut |_, _| {});
    while !process.log.commit(last).is_ok_and(|committed| committed) {
        world.delay(1, 2).await;
    }
}

fn is_there(world: &World, group: u32, key: &str) -> bool {
    let mut there = false;
    let requests = [Request::Read(key.as_bytes(), Query::Value)];
    lock(&primary(world, group).session).execute(&requests, &mut |_, answer| {
        there = matches!(answer, Answer::Bytes(_));
    });
    there
}

async fn made(world: &World, step: Step) {
    until(world, "a step", || world.scene().steps.contains_key(&step)).await;
}

/// The clock of the source is an hour ahead while a part moves, from when most of its keys were sent.
async fn move_ahead(world: World, back: SetBack) {
    let (part, own) = (part_of(0), part_of(1));
    let [expired, lives, behind] =
        ["expired", "lives", "behind"].map(|key| format!("{part} {key}"));
    let of_target = format!("{own} of the target");
    set(&world, 0, &expired, HOUR / 2).await;
    set(&world, 0, &lives, 2 * HOUR).await;
    set(&world, 0, &behind, HOUR + MINUTE).await;
    set(&world, 1, &of_target, HOUR / 2).await;
    let slot = hedgerow_db_formats::slots::slot(part.as_bytes());
    // The source cannot leave at once, and cannot say that it has left.
    world.scene().faults.silence(Step::Ready, 0, 1);
    if let SetBack::BehindOut(_) = back {
        world.scene().faults.silence(Step::Out, 0, 12);
    }
    begin(&world, &SlotSet::of_range(slot..slot + 1), 0).await;
    made(&world, Step::Ready).await;
    world.set_ahead(0, HOUR);
    world.handle.sleep(Duration::from_millis(2)).await;
    if is_there(&world, 0, &expired) {
        world.violate("the source was too fast for this scenario".to_owned());
    }
    match back {
        SetBack::Never => {}
        SetBack::BeforeOut => {
            world.handle.sleep(Duration::from_millis(150)).await;
            world.set_ahead(0, 0);
            if world.scene().steps.contains_key(&Step::Out) {
                world.violate("the source was too fast for this scenario".to_owned());
            }
        }
        SetBack::BehindOut(primaries) => {
            made(&world, Step::Out).await;
            // The target has all keys by then. Those that it got later would be those of the clock that is right.
            world.handle.sleep(Duration::from_millis(200)).await;
            world.set_ahead(0, 0);
            for _ in 0..primaries {
                if let Some(old) = world.depose(0) {
                    old.kill(&world.handle);
                }
            }
        }
    }
    finish_moves(&world).await;
    let claims = world.scene().steps.get(&Step::Claimed).copied();
    if claims != Some(1) {
        world.violate(format!("the keys were fetched again: {claims:?}"));
    }
    world.set_ahead(0, 0);
    world.handle.sleep(Duration::from_secs(2)).await;
    if is_there(&world, 1, &expired) {
        world.violate("a key lives again that clients have seen expired".to_owned());
    }
    if !is_there(&world, 1, &lives) || !is_there(&world, 1, &behind) {
        world.violate("a key of the slots is lost that has not expired for anybody".to_owned());
    }
    if !is_there(&world, 1, &of_target) {
        world.violate("the clock of the source has cost a key of the target".to_owned());
    }
}

#[test]
fn a_clock_that_is_ahead_stays_with_its_group() {
    play(|world| move_ahead(world, SetBack::Never));
}

#[test]
fn keys_that_had_expired_by_a_wrong_clock_stay_away() {
    play(|world| move_ahead(world, SetBack::BeforeOut));
    for primaries in 0..3 {
        play(move |world| move_ahead(world, SetBack::BehindOut(primaries)));
    }
}
