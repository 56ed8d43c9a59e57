//! `hedgerow-db cluster move`: moves hash slots from one group to another.
//!
//! It writes the record of the move, and waits until the record is gone. The primaries of the two groups do the rest.

use super::{AdminCall, AdminError, Report, StoredGroup, slots};
use crate::etcd::EtcdClient;
use crate::membership::keys::GroupKeys;
use crate::membership::slot_map::SlotMap;
use crate::moves::create;
use crate::moves::read_slots;
use crate::moves::record::{MoveRecord, MoveState};
use hedgerow_db_formats::slot_set::SlotSet;
use serde::Serialize;
use std::time::{Duration, Instant};

/// How often the record is read.
const LOOK: Duration = Duration::from_millis(100);

/// A move, as JSON.
#[derive(Serialize)]
struct MoveRow {
    id: String,
    slots: Vec<(u16, u16)>,
    from: u32,
    to: u32,
    state: String,
    reason: String,
}

/// The outcome of a move.
#[derive(Serialize)]
struct Moved {
    #[serde(rename = "move")]
    of: MoveRow,
    took_ms: u128,
}

impl MoveRow {
    fn new(id: u64, record: &MoveRecord) -> Self {
        let MoveRecord { slots, from, to, state, reason, .. } = record;
        let (slots, state) = (slots.ranges(), state.to_string());
        Self {
            id: format!("{id:016x}"),
            slots,
            from: *from,
            to: *to,
            state,
            reason: reason.clone(),
        }
    }

    fn line(&self) -> String {
        let ranges = self.slots.iter().map(|(first, last)| {
            if first == last { first.to_string() } else { format!("{first}-{last}") }
        });
        let ranges: Vec<_> = ranges.collect();
        let why = if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) };
        format!(
            "Move {} of the slots {} from group {} to group {} is {}{why}.\n",
            self.id,
            ranges.join(","),
            self.from,
            self.to,
            self.state
        )
    }
}

pub(super) fn run(call: &AdminCall) -> Result<Report, AdminError> {
    call.block_on(async {
        let (client, keys) = (call.etcd().await?, call.keys()?);
        for (flag, back) in [("cancel", false), ("return", true)] {
            if let Some(id) = call.asked.value(flag) {
                let id = number_of(id)?;
                let record = create::turn_back(&client, &keys, id, back).await;
                let shown = MoveRow::new(id, &record.map_err(AdminError::from)?);
                return Ok(Report::new(shown.line(), &shown, true));
            }
        }
        let Some(slots) = call.asked.value("slots") else { return print(&client, &keys).await };
        let slots = parse_slots(slots)?;
        let (from, to) = groups(call, &client, &keys, &slots).await?;
        let begun = Instant::now();
        let id = begin(&client, &keys, &slots, (from, to)).await?;
        if call.asked.has("no-wait") {
            return print(&client, &keys).await;
        }
        let last = wait(&client, &keys, id, begun + call.seconds("within", 3600)?).await?;
        let took_ms = begun.elapsed().as_millis();
        let done = last.state == MoveState::Done;
        let moved = Moved { of: MoveRow::new(id, &last), took_ms };
        let text = if done {
            format!(
                "Moved {} slots from group {from} to group {to} in {took_ms} ms.\n",
                slots.len()
            )
        } else {
            moved.of.line()
        };
        Ok(Report::new(text, &moved, done))
    })
}

/// Moves slots from one group to another, and waits until the move has ended. Returns its record as it was last.
pub(super) async fn make(
    client: &EtcdClient,
    keys: &GroupKeys,
    slots: &SlotSet,
    groups: (u32, u32),
    until: Instant,
) -> Result<MoveRecord, AdminError> {
    let id = begin(client, keys, slots, groups).await?;
    wait(client, keys, id, until).await
}

async fn begin(
    client: &EtcdClient,
    keys: &GroupKeys,
    slots: &SlotSet,
    groups: (u32, u32),
) -> Result<u64, AdminError> {
    create::begin(client, keys, slots, groups).await.map_err(AdminError::from)
}

async fn print(client: &EtcdClient, keys: &GroupKeys) -> Result<Report, AdminError> {
    let moves = create::list(client, keys).await.map_err(AdminError::from)?;
    let shown: Vec<_> = moves.iter().map(|(id, record)| MoveRow::new(*id, record)).collect();
    let mut text: String = shown.iter().map(MoveRow::line).collect();
    if shown.is_empty() {
        "No slots are being moved.\n".clone_into(&mut text);
    }
    Ok(Report::new(text, &shown, true))
}

/// Waits until the record is gone. Returns it as it was last.
async fn wait(
    client: &EtcdClient,
    keys: &GroupKeys,
    id: u64,
    until: Instant,
) -> Result<MoveRecord, AdminError> {
    let mut last = None;
    loop {
        let Some(pair) = client.get(keys.move_of(id)).await?.pair else {
            let map = read_slots(client, keys).await?;
            let last = last.map(|last| ended(last, map.as_ref()));
            return last
                .ok_or_else(|| AdminError::from(format!("the move {id:016x} no longer exists")));
        };
        last = Some(MoveRecord::parse(&pair.value)?);
        if Instant::now() > until {
            return Err(AdminError::from(format!(
                "the move {id:016x} has not ended yet: see `hedgerow-db cluster move` and the logs of both groups' \
                 primaries"
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Returns the record of a move that has ended, whose last state may not have been seen.
fn ended(last: MoveRecord, map: Option<&SlotMap>) -> MoveRecord {
    let owner = |slot: u16| map.map(|map| u32::from(map.owners()[usize::from(slot)]));
    let first = last.slots.ranges().first().map(|(first, _)| *first);
    let done = first.and_then(owner) == Some(last.to);
    let state = if done { MoveState::Done } else { MoveState::Cancelled };
    MoveRecord { state, ..last }
}

fn number_of(text: &str) -> Result<u64, AdminError> {
    u64::from_str_radix(text, 16).map_err(|_| {
        AdminError::from(format!(
            "{text:?} is not the number of a move: `hedgerow-db cluster move` lists them"
        ))
    })
}

/// Reads ranges of slots, as in `0-99,200`.
fn parse_slots(text: &str) -> Result<SlotSet, AdminError> {
    slots::parse(text).ok_or_else(|| AdminError::from(wrong_slots(text)))
}

fn wrong_slots(text: &str) -> String {
    format!(
        "--slots: invalid value '{text}': expected ranges of the slots 0 to 16383 that do not overlap, as in 0-99,200"
    )
}

/// Returns the two groups of a move, and refuses one that cannot be.
async fn groups(
    call: &AdminCall,
    client: &EtcdClient,
    keys: &GroupKeys,
    slots: &SlotSet,
) -> Result<(u32, u32), AdminError> {
    let number = |flag: &str| -> Result<Option<u32>, AdminError> {
        let Some(text) = call.asked.value(flag) else { return Ok(None) };
        let number =
            text.parse().ok().filter(|group| *group < hedgerow_db_formats::slot_set::MOST_GROUPS);
        number.map(Some).ok_or_else(|| {
            AdminError::from(format!("--{flag}: invalid value '{text}': expected a group's number"))
        })
    };
    let to = number("to")?;
    let to = to.ok_or_else(|| {
        AdminError::from("name the group that receives the slots: --to GROUP".to_owned())
    })?;
    let group = StoredGroup::read(client, keys).await?;
    let map = read_slots(client, keys).await?;
    let map = map.unwrap_or_else(|| SlotMap::divided(group.format.groups));
    let owners = slots.ranges().into_iter().flat_map(|(first, last)| first..=last);
    let mut owners: Vec<u32> = owners.map(|slot| map.owners()[usize::from(slot)].into()).collect();
    // Not sorted: one is left exactly if all slots have the same owner.
    owners.dedup();
    let from = match (number("from")?, &owners[..]) {
        (Some(from), _) => from,
        (None, [from]) => *from,
        (None, _) => {
            return Err(AdminError::from(format!(
                "the slots belong to the groups {owners:?}: move the slots of one group at a time"
            )));
        }
    };
    if owners != [from] {
        return Err(AdminError::from(format!(
            "the slots belong to the groups {owners:?}, not to group {from}"
        )));
    }
    let mut nodes = group.nodes.iter().chain(&group.others);
    if !nodes.any(|node| node.registration.group == to) {
        return Err(AdminError::from(format!(
            "group {to} has no registered node: start one with --cluster-group {to}"
        )));
    }
    Ok((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_slots_are_read() {
        let ranges = |text| parse_slots(text).map(|slots| slots.ranges());
        assert_eq!(ranges("0-99,200").unwrap(), [(0, 99), (200, 200)]);
        assert_eq!(ranges("200, 0-99").unwrap(), [(0, 99), (200, 200)]);
        assert_eq!(ranges("0-16383").unwrap(), [(0, 16383)]);
        for wrong in ["", "a", "5-4", "0-5,5", "16384", "-1", "0--1", "1,", "70000"] {
            let why = ranges(wrong).expect_err(wrong).to_string();
            assert!(why.contains("expected ranges"), "{wrong}: {why}");
        }
    }

    #[test]
    fn a_move_without_its_record_has_ended_as_the_slots_say() {
        let record = MoveRecord::new(SlotSet::of_range(5..9), 0, 1).unwrap();
        let map = SlotMap::divided(2);
        let state = |map: &SlotMap| ended(record.clone(), Some(map)).state;
        assert_eq!(state(&map), MoveState::Cancelled);
        assert_eq!(state(&map.with(1, &record.slots)), MoveState::Done);
    }
}
