use super::*;
use hedgerow_db_engine::state::random::Random;
use hedgerow_db_formats::slots::SLOTS;

/// Groups with these bytes, whose slots follow each other.
fn groups(all: &[&[u64]]) -> Vec<GroupLoad> {
    let mut slot = 0..;
    let mut slots =
        |bytes: &[u64]| slot.by_ref().zip(bytes.iter().copied()).take(bytes.len()).collect();
    let numbered = all.iter().zip(0..);
    numbered.map(|(bytes, group)| GroupLoad { group, slots: slots(bytes) }).collect()
}

/// Returns the loads after the moves. Checks that each slot moves at most once, from the group that has it.
#[track_caller]
fn after(groups: &[GroupLoad], moves: &[PlannedMove]) -> Vec<u64> {
    let place = |group: u32| groups.iter().position(|one| one.group == group).unwrap();
    let mut loads: Vec<u64> = groups.iter().map(|one| total(&one.slots)).collect();
    let mut moved = SlotSet::of_range(0..0);
    let mut pairs = Vec::new();
    for one in moves {
        assert!(one.from != one.to && !one.slots.is_empty(), "{one:?}");
        assert!(!moved.overlaps(&one.slots), "a slot moves twice");
        assert!(!pairs.contains(&(one.from, one.to)), "two moves of the same groups");
        pairs.push((one.from, one.to));
        moved = moved.union(&one.slots);
        let from = place(one.from);
        let had = groups[from].slots.iter().filter(|(slot, _)| one.slots.contains(*slot));
        let had: Vec<_> = had.copied().collect();
        assert_eq!((had.len(), total(&had)), (one.slots.len(), one.bytes), "of slots it has not");
        loads[from] -= one.bytes;
        loads[place(one.to)] += one.bytes;
    }
    loads
}

fn spread(loads: &[u64]) -> u64 {
    loads.iter().max().unwrap_or(&0) - loads.iter().min().unwrap_or(&0)
}

fn is_within(loads: &[u64], percent: u64) -> bool {
    let mean = loads.iter().sum::<u64>() / loads.len() as u64;
    loads.iter().all(|load| load.abs_diff(mean) <= mean * percent / 100)
}

#[test]
fn a_new_group_gets_its_share_of_neighbouring_slots() {
    let (full, empty) = (vec![100; 8192], Vec::new());
    let all = groups(&[&full, &full, &empty]);
    let moves = rebalance(&all, 10);
    assert!(is_within(&after(&all, &moves), 10));
    let moved: u64 = moves.iter().map(|one| one.bytes).sum();
    let least = 16_384 * 100 / 3 * 9 / 10;
    assert!((least..least + 400).contains(&moved), "{moved} bytes move, and {least} would do");
    assert!(moves.iter().all(|one| one.slots.ranges().len() == 1), "{moves:?}");
    assert_eq!(rebalance(&groups(&[&full, &full]), 10), []);
}

#[test]
fn a_group_with_too_much_gives_as_little_as_it_must() {
    let all = groups(&[&[10; 100], &[10; 60], &[10; 60]]);
    let moves = rebalance(&all, 10);
    let loads = after(&all, &moves);
    assert!(is_within(&loads, 10), "{loads:?}");
    let moved: u64 = moves.iter().map(|one| one.bytes).sum();
    // The mean is 733.
    assert!((1000 - 806..1000 - 806 + 30).contains(&moved), "{moved}");
}

#[test]
fn slots_that_are_too_large_stay() {
    // No move makes it better.
    for all in [groups(&[&[1000], &[]]), groups(&[&[0, 1000, 0], &[0, 0]]), groups(&[&[], &[7, 9]])]
    {
        let moves = rebalance(&all, 10);
        let before: Vec<u64> = all.iter().map(|one| total(&one.slots)).collect();
        let loads = after(&all, &moves);
        assert!(spread(&loads) <= spread(&before), "{before:?} {loads:?}");
    }
    assert_eq!(rebalance(&groups(&[&[1000], &[]]), 10), []);
    // The large one stays, and its neighbours go.
    let all = groups(&[&[5, 5, 1000, 5, 5], &[900]]);
    assert!(!rebalance(&all, 1).iter().any(|one| one.slots.contains(2)));
}

#[test]
fn nothing_is_planned_without_bytes_or_other_groups() {
    assert_eq!(rebalance(&[], 10), []);
    assert_eq!(rebalance(&groups(&[&[1, 2, 3]]), 10), []);
    assert_eq!(rebalance(&groups(&[&[0; 100], &[], &[0]]), 10), []);
    assert_eq!(drain(&[], 0), []);
    assert_eq!(drain(&groups(&[&[1, 2, 3]]), 0), []);
    assert_eq!(drain(&groups(&[&[1], &[2]]), 7), []);
    assert_eq!(drain(&groups(&[&[], &[2]]), 0), []);
}

/// A number of slots for each group, and bytes of many kinds.
fn random_groups(random: &mut Random) -> Vec<GroupLoad> {
    let number = [1, 2, 3, 7, 100][random.next() as usize % 5];
    let kind = random.next() % 5;
    let mut all: Vec<GroupLoad> =
        (0..number).map(|group| GroupLoad { group: group * 3, slots: Vec::new() }).collect();
    let (runs, without) = (1 + random.next() % 64, random.next() as usize % 4);
    let mut owner = 0;
    for slot in 0..SLOTS {
        // Owners change after runs of slots; some groups have none.
        if random.next().is_multiple_of(u64::from(SLOTS) / runs) {
            owner = random.next() as usize % all.len().saturating_sub(without).max(1);
        }
        let bytes = match kind {
            0 => 0,
            1 => random.next() % 1000,
            2 => u64::from(random.next().is_multiple_of(1000)) * (random.next() % 1_000_000),
            3 => 1 << (random.next() % 40),
            _ => 100 + u64::from(slot == 77) * (1 << 40),
        };
        all[owner].slots.push((slot, bytes));
    }
    all
}

#[test]
fn no_plan_makes_the_spread_worse() {
    let (mut random, mut balanced) = (Random::of_seed(7), 0);
    for round in 0..30 {
        let all = random_groups(&mut random);
        let percent = [1, 5, 10, 50, 100][random.next() as usize % 5];
        let before: Vec<u64> = all.iter().map(|one| total(&one.slots)).collect();
        let loads = after(&all, &rebalance(&all, percent));
        assert!(spread(&loads) <= spread(&before), "round {round}: {before:?} {loads:?}");
        let (most, least) = (before.iter().max(), before.iter().min());
        assert!(loads.iter().max() <= most && loads.iter().min() >= least, "round {round}");
        let largest = all.iter().flat_map(|one| &one.slots).map(|(_, bytes)| *bytes).max().unwrap();
        let mean = loads.iter().sum::<u64>() / loads.len() as u64;
        // If slots are small beside the bounds, all groups are within them.
        if largest * 2 < mean * u64::from(percent) / 100 {
            assert!(is_within(&loads, percent.into()), "round {round}: {loads:?}");
            balanced += 1;
        }
    }
    assert!(balanced > 0, "no case could be balanced");
}

#[test]
fn a_group_is_drained_to_the_last_slot() {
    let mut random = Random::of_seed(11);
    for round in 0..60 {
        let all = random_groups(&mut random);
        let from = all[random.next() as usize % all.len()].group;
        let moves = drain(&all, from);
        let loads = after(&all, &moves);
        let drained = all.iter().find(|one| one.group == from).unwrap();
        let moved: usize = moves.iter().map(|one| one.slots.len()).sum();
        let wanted = if all.len() > 1 { drained.slots.len() } else { 0 };
        assert_eq!(moved, wanted, "round {round}");
        assert!(moves.iter().all(|one| one.from == from), "another group gives slots away");
        if all.len() == 1 {
            continue;
        }
        // Each group that gets slots has what it would have of water, but for a slot.
        let largest = drained.slots.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
        let others = || all.iter().zip(&loads).filter(|(one, _)| one.group != from);
        let mut before: Vec<u64> = others().map(|(one, _)| total(&one.slots)).collect();
        before.sort_unstable();
        let level = level(before.into_iter(), total(&drained.slots));
        for (one, load) in others().filter(|(one, _)| moves.iter().any(|m| m.to == one.group)) {
            assert!(*load <= level + largest, "round {round}: group {} has {load}", one.group);
        }
    }
}

#[test]
fn slots_without_keys_are_drained_evenly() {
    let all = groups(&[&[0; 100], &[5], &[7; 3]]);
    let moves = drain(&all, 0);
    assert_eq!(moves.iter().map(|one| one.slots.len()).collect::<Vec<_>>(), [50, 50]);
    assert!(moves.iter().all(|one| one.slots.ranges().len() == 1));
}
