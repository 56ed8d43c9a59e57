//! `hedgerow-db cluster rebalance` and `drain`: move slots so that all groups have about the same bytes, or one has
//! no slots.
//!
//! The primaries say how many bytes each slot has. The [plan](crate::controller::plan) is made once, and its
//! moves are made one after the other.

use super::check::peer_options;
use super::move_slots;
use super::text::{row, size, table};
use super::{AdminCall, AdminError, Report, StoredGroup};
use crate::controller::plan::{self, GroupLoad, PlannedMove};
use crate::etcd::EtcdClient;
use crate::membership::keys::GroupKeys;
use crate::membership::registration::RegisteredNode;
use crate::moves::record::MoveState;
use crate::peer::{GroupId, PeerClient, PeerClientOptions, SlotSize};
use hedgerow_db_formats::slot_set::MOST_GROUPS;
use hedgerow_db_formats::slot_set::SlotSet;
use hedgerow_db_group::NodeId;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// By how many percent the bytes of a group may differ from the mean, unless the command line says otherwise.
const WITHIN: u32 = 10;
/// How long a move may take.
const MOVE: Duration = Duration::from_secs(86_400);

#[derive(Serialize)]
struct Rebalanced {
    /// The groups before the moves.
    groups: Vec<GroupSize>,
    moves: Vec<PlannedMoveRow>,
    /// Whether the moves were only planned.
    dry_run: bool,
    took_ms: u128,
    /// Why the rest of the moves was not made.
    problem: Option<String>,
}

#[derive(Serialize)]
struct GroupSize {
    group: u32,
    slots: usize,
    keys: u64,
    bytes: u64,
}

/// A move of the plan.
#[derive(Serialize)]
struct PlannedMoveRow {
    from: u32,
    to: u32,
    slots: Vec<(u16, u16)>,
    bytes: u64,
    done: bool,
}

pub(super) fn rebalance(call: &AdminCall) -> Result<Report, AdminError> {
    let within = within(call.asked.value("within"))?;
    run(call, None, &|groups| Ok(plan::rebalance(groups, within)))
}

pub(super) fn drain(call: &AdminCall) -> Result<Report, AdminError> {
    let group = call.asked.value("group");
    let group = group
        .ok_or_else(|| AdminError::from("name the group to drain: --group NUMBER".to_owned()))?;
    let group: u32 = group.parse().ok().filter(|group| *group < MOST_GROUPS).ok_or_else(|| {
        AdminError::from(format!("--group: invalid value '{group}': expected a group's number"))
    })?;
    run(call, Some(group), &|groups| {
        if groups.iter().any(|one| one.group != group) {
            return Ok(plan::drain(groups, group));
        }
        Err(AdminError::from("there is no other group to receive the slots".to_owned()))
    })
}

/// Reads the percent by which groups may differ.
fn within(text: Option<&str>) -> Result<u32, AdminError> {
    let Some(text) = text else { return Ok(WITHIN) };
    text.parse().ok().filter(|percent| (1..=100).contains(percent)).ok_or_else(|| {
        AdminError::from(format!(
            "--within: invalid value '{text}': expected a percentage from 1 to 100"
        ))
    })
}

/// Makes a plan.
type Planner<'a> = dyn Fn(&[GroupLoad]) -> Result<Vec<PlannedMove>, AdminError> + 'a;

/// Makes the moves of a plan. `drained` is the group that gives all of its slots away.
fn run(call: &AdminCall, drained: Option<u32>, plan: &Planner<'_>) -> Result<Report, AdminError> {
    let options = peer_options(&call.settings)?;
    let dry_run = call.asked.has("dry-run");
    let made = call.block_on(async {
        let (client, keys) = (call.etcd().await?, call.keys()?);
        let begun = Instant::now();
        let sizes = read_sizes(&client, &keys, &options, drained).await?;
        let loads: Vec<GroupLoad> = sizes.iter().map(load_of).collect();
        let planned = plan(&loads)?;
        let (mut moves, mut problem) = (Vec::new(), None);
        for one in planned {
            let mut shown = PlannedMoveRow::new(&one);
            // After a failure the rest is still shown, as not done.
            if !dry_run && problem.is_none() {
                match make(&client, &keys, &one, drained).await {
                    Ok(()) => shown.done = true,
                    Err(why) => problem = Some(why.to_string()),
                }
            }
            moves.push(shown);
        }
        let groups = sizes.iter().map(GroupSize::new).collect();
        let took_ms = begun.elapsed().as_millis();
        Ok(Rebalanced { groups, moves, dry_run, took_ms, problem })
    })?;
    let healthy = made.problem.is_none();
    Ok(Report::new(made.text(), &made, healthy))
}

/// The slots of a group.
type GroupSizes = (u32, Vec<SlotSize>);

fn load_of((group, slots): &GroupSizes) -> GroupLoad {
    GroupLoad { group: *group, slots: slots.iter().map(|one| (one.slot, one.bytes)).collect() }
}

impl GroupSize {
    fn new((group, slots): &GroupSizes) -> Self {
        let sum = |of: fn(&SlotSize) -> u64| slots.iter().map(of).sum();
        let (keys, bytes) = (sum(|slot| slot.keys), sum(|slot| slot.bytes));
        Self { group: *group, slots: slots.len(), keys, bytes }
    }
}

impl PlannedMoveRow {
    fn new(planned: &PlannedMove) -> Self {
        let PlannedMove { from, to, slots, bytes } = planned;
        Self { from: *from, to: *to, slots: slots.ranges(), bytes: *bytes, done: false }
    }
}

impl Rebalanced {
    fn text(&self) -> String {
        let mut rows = vec![row(["GROUP", "SLOTS", "KEYS", "BYTES"])];
        for GroupSize { group, slots, keys, bytes } in &self.groups {
            rows.push(row([
                &group.to_string(),
                &slots.to_string(),
                &keys.to_string(),
                &size(*bytes),
            ]));
        }
        let mut text = table(&rows) + "\n";
        for PlannedMoveRow { from, to, slots, bytes, done } in &self.moves {
            let slots: usize =
                slots.iter().map(|(first, last)| usize::from(last - first) + 1).sum();
            let (what, bytes) = (if *done { "Moved" } else { "Would move" }, size(*bytes));
            // Writing to a string does not fail.
            let _ =
                writeln!(text, "{what} {slots} slots ({bytes}) from group {from} to group {to}.");
        }
        if self.moves.is_empty() {
            text += "Nothing to move.\n";
        } else if !self.dry_run && self.problem.is_none() {
            let _ = writeln!(text, "Finished in {} ms.", self.took_ms);
        }
        if let Some(problem) = &self.problem {
            let _ = writeln!(text, "The rest was not moved: {problem}");
        }
        text
    }
}

/// Reads the sizes of all slots, by groups.
async fn read_sizes(
    client: &EtcdClient,
    keys: &GroupKeys,
    options: &PeerClientOptions,
    drained: Option<u32>,
) -> Result<Vec<GroupSizes>, AdminError> {
    let group = StoredGroup::read(client, keys).await?;
    if !group.moving.is_empty() {
        return Err(AdminError::from(
            "slots are already being moved: wait, or cancel the move. `hedgerow-db cluster move` lists the moves"
                .to_owned(),
        ));
    }
    let mut all = Vec::new();
    for number in groups(&group) {
        let (node, address) = primary(&group, number, drained != Some(number))?;
        let of = GroupId {
            cluster: group.format.cluster,
            incarnation: group.format.incarnation,
            group: number,
        };
        let options = PeerClientOptions { group: of, ..options.clone() };
        let asked = async { PeerClient::new(&address, &options)?.slots(number).await }.await;
        let slots = asked.map_err(|why| {
            AdminError::from(format!(
                "node {node}, the primary of group {number}, does not answer: {why}"
            ))
        })?;
        all.push((number, slots));
    }
    check_slots(&all)?;
    Ok(all)
}

/// Returns the groups that have slots or nodes.
fn groups(group: &StoredGroup) -> BTreeSet<u32> {
    let nodes = group.nodes.iter().chain(&group.others);
    group.slots.groups().into_iter().chain(nodes.map(|node| node.registration.group)).collect()
}

/// Returns the primary of a group and the address at which nodes reach it. If it is to keep or get data, the group must
/// have a follower, too.
fn primary(group: &StoredGroup, number: u32, keeps: bool) -> Result<(NodeId, String), AdminError> {
    let nodes = group.nodes.iter().chain(&group.others);
    let nodes: Vec<&RegisteredNode> =
        nodes.filter(|node| node.registration.group == number).collect();
    let with = |role: &'static str| nodes.iter().filter(move |node| node.registration.role == role);
    let lacks = |what: &str| {
        AdminError::from(format!(
            "group {number} has no registered {what}: see `hedgerow-db cluster status --group {number}`"
        ))
    };
    // A deposed primary may still be registered as one.
    let primary = with("primary").max_by_key(|node| node.registration.epoch);
    let primary = primary.ok_or_else(|| lacks("primary"))?;
    if keeps && with("follower").next().is_none() {
        return Err(lacks("follower"));
    }
    let address = primary.registration.peer_address().ok_or_else(|| lacks("peer port"))?;
    Ok((primary.id, address))
}

/// Checks that each slot has exactly one group.
fn check_slots(all: &[GroupSizes]) -> Result<(), AdminError> {
    let mut owned = SlotSet::of_range(0..0);
    let mut slots = 0;
    for one in all.iter().flat_map(|(_, slots)| slots) {
        owned = owned.union(&SlotSet::of_range(one.slot..one.slot + 1));
        slots += 1;
    }
    if owned == SlotSet::all() && slots == owned.len() {
        return Ok(());
    }
    Err(AdminError::from(
        "some slots do not belong to exactly one group at present: try again, or run \
         `hedgerow-db cluster check`"
            .to_owned(),
    ))
}

/// Makes a move, and waits until it has ended.
async fn make(
    client: &EtcdClient,
    keys: &GroupKeys,
    planned: &PlannedMove,
    drained: Option<u32>,
) -> Result<(), AdminError> {
    let PlannedMove { from, to, slots, .. } = planned;
    // Again: the moves before this one may have taken a while.
    let group = StoredGroup::read(client, keys).await?;
    for number in [*from, *to] {
        primary(&group, number, drained != Some(number))?;
    }
    let last = move_slots::make(client, keys, slots, (*from, *to), Instant::now() + MOVE).await?;
    match last.state {
        MoveState::Done => Ok(()),
        _ => Err(AdminError::from(format!(
            "the move to group {to} is {}: {}",
            last.state, last.reason
        ))),
    }
}
