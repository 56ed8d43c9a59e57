//! Plans of moves that divide the data of a cluster among its groups. Pure functions of the bytes of each slot.

use hedgerow_db_formats::slot_set::SlotSet;
use std::collections::BTreeMap;
use std::ops::Range;

/// A slot and the bytes of its keys.
pub(crate) type SlotBytes = (u16, u64);

/// A group that takes part in a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupLoad {
    pub(crate) group: u32,
    /// Its slots, in ascending order.
    pub(crate) slots: Vec<SlotBytes>,
}

/// Slots that go from one group to another. A plan has at most one move for each pair of groups, and each slot once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlannedMove {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) slots: SlotSet,
    pub(crate) bytes: u64,
}

/// The present state of a plan: the load of each group with all moves so far, and the slots that can still move.
struct Plan {
    groups: Vec<u32>,
    loads: Vec<u64>,
    /// The slots that each group has had from the beginning and has not given away, in ascending order.
    left: Vec<Vec<SlotBytes>>,
    moves: BTreeMap<(usize, usize), (SlotSet, u64)>,
}

impl Plan {
    fn new(groups: &[GroupLoad]) -> Self {
        let load = |one: &GroupLoad| total(&one.slots);
        Self {
            groups: groups.iter().map(|one| one.group).collect(),
            loads: groups.iter().map(load).collect(),
            left: groups.iter().map(|one| one.slots.clone()).collect(),
            moves: BTreeMap::new(),
        }
    }

    /// Moves some of the slots that a group has left, by their places.
    fn give(&mut self, from: usize, to: usize, places: Range<usize>) {
        let given: Vec<SlotBytes> = self.left[from].drain(places).collect();
        let bytes = total(&given);
        let empty = || (SlotSet::of_range(0..0), 0);
        let (slots, sum) = self.moves.entry((from, to)).or_insert_with(empty);
        for run in runs(&given) {
            let (first, last) = (given[run.start].0, given[run.end - 1].0);
            *slots = slots.union(&SlotSet::of_range(first..last + 1));
        }
        *sum = sum.saturating_add(bytes);
        self.loads[from] = self.loads[from].saturating_sub(bytes);
        self.loads[to] = self.loads[to].saturating_add(bytes);
    }

    /// Returns the moves, those with most bytes first.
    fn moves(self) -> Vec<PlannedMove> {
        let groups = self.groups;
        let made = |((from, to), (slots, bytes))| PlannedMove {
            from: groups[from],
            to: groups[to],
            slots,
            bytes,
        };
        let mut moves: Vec<PlannedMove> = self.moves.into_iter().map(made).collect();
        moves.sort_by_key(|one| std::cmp::Reverse(one.bytes));
        moves
    }
}

fn total(slots: &[SlotBytes]) -> u64 {
    slots.iter().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
}

/// Plans moves that bring the bytes of each group within `percent` of the mean, as far as whole slots can do that. It
/// moves few bytes, and ranges of slots rather than single ones.
///
/// Each step takes slots from a group that has too many bytes, or else the one with most, and gives them to one that
/// has too few, or else the one with least. It moves less than the difference of the two, so no group gets more than
/// the greater one had, and no group is left with less than the smaller one.
pub(crate) fn rebalance(groups: &[GroupLoad], percent: u32) -> Vec<PlannedMove> {
    let mut plan = Plan::new(groups);
    let sum: u128 = plan.loads.iter().map(|load| u128::from(*load)).sum();
    let Some(mean) = sum.checked_div(groups.len() as u128) else { return Vec::new() };
    let mean = u64::try_from(mean).unwrap_or(u64::MAX);
    let apart = u64::try_from(u128::from(mean) * u128::from(percent) / 100).unwrap_or(u64::MAX);
    let (low, high) = (mean.saturating_sub(apart), mean.saturating_add(apart));
    let mut givers: Vec<usize> = (0..groups.len()).collect();
    loop {
        let most = givers.iter().copied().max_by_key(|group| plan.loads[*group]);
        let least = (0..groups.len()).min_by_key(|group| plan.loads[*group]);
        let Some((from, to)) = most.zip(least) else { break };
        let (more, less) = (plan.loads[from], plan.loads[to]);
        // The bytes that are missing here or too many there, but not beyond the mean.
        let wanted = more.saturating_sub(high).max(low.saturating_sub(less));
        let wanted = wanted.min(more.saturating_sub(mean)).min(mean.saturating_sub(less)).max(1);
        if more <= high && less >= low || more <= less {
            break;
        }
        // Up to here, both groups are within the bounds afterwards, if they can be.
        let most = more.saturating_sub(low).min(high.saturating_sub(less)).max(wanted);
        match choose(&plan.left[from], wanted, most.min(more - less - 1), more - less) {
            Some(places) => plan.give(from, to, places),
            // All of its slots are too large for the group with the least bytes, and so for each other one.
            None => givers.retain(|group| *group != from),
        }
    }
    plan.moves()
}

/// Chooses neighbouring slots with `wanted` to `most` bytes, or else with as many as possible below that, or else a
/// slot with less than `limit` bytes. Returns their places; `None` if there are none with any bytes.
fn choose(slots: &[SlotBytes], wanted: u64, most: u64, limit: u64) -> Option<Range<usize>> {
    let (mut fits, mut below) = (None::<(u64, Range<usize>)>, None::<(u64, Range<usize>)>);
    for run in runs(slots) {
        let (mut end, mut sum) = (run.start, 0_u64);
        for begin in run.clone() {
            // The shortest range from here with enough bytes.
            while end < run.end && sum < wanted {
                sum = sum.saturating_add(slots[end].1);
                end += 1;
            }
            let is_edge = begin == run.start || end == run.end;
            // A range within a run leaves two ranges, so it must save something.
            let cost = if is_edge { sum } else { sum.saturating_add(sum / 16) };
            if sum >= wanted && sum <= most {
                if fits.as_ref().is_none_or(|(least, _)| cost < *least) {
                    fits = Some((cost, begin..end));
                }
            } else {
                // Without its last slot, it has too few.
                let short = if sum >= wanted { end - 1 } else { end };
                let bytes = if sum >= wanted { sum - slots[short].1 } else { sum };
                if bytes > 0 && below.as_ref().is_none_or(|(best, _)| bytes > *best) {
                    below = Some((bytes, begin..short));
                }
            }
            sum = sum.saturating_sub(slots[begin].1);
        }
    }
    let single = || {
        let all = slots.iter().enumerate().filter(|(_, (_, bytes))| (1..limit).contains(bytes));
        let (at, (_, bytes)) = all.min_by_key(|(_, (_, bytes))| *bytes)?;
        Some((*bytes, at..at + 1))
    };
    fits.or(below).or_else(single).map(|(_, places)| places)
}

/// Returns the places of slots whose numbers follow each other.
fn runs(slots: &[SlotBytes]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut begin = 0;
    std::iter::from_fn(move || {
        let first = begin;
        let (mut last, _) = *slots.get(first)?;
        begin += 1;
        while slots.get(begin).is_some_and(|(slot, _)| *slot == last + 1) {
            last += 1;
            begin += 1;
        }
        Some(first..begin)
    })
}

/// Plans moves of all slots of a group to the others, so that these have about as many bytes each as possible. Empty
/// if there is no other group.
pub(crate) fn drain(groups: &[GroupLoad], group: u32) -> Vec<PlannedMove> {
    let mut plan = Plan::new(groups);
    let Some(from) = groups.iter().position(|one| one.group == group) else { return Vec::new() };
    let mut others: Vec<usize> = (0..groups.len()).filter(|other| *other != from).collect();
    others.sort_by_key(|other| plan.loads[*other]);
    let bytes = plan.loads[from];
    let level = level(others.iter().map(|other| plan.loads[*other]), bytes);
    // Without keys, each of the others gets as many slots.
    others.retain(|other| bytes == 0 || plan.loads[*other] < level);
    let mut carry = 0_i128;
    for (at, to) in others.iter().copied().enumerate() {
        let (rest, slots) = (others.len() - at, plan.left[from].len());
        let quota = i128::from(level.saturating_sub(plan.loads[to])) + carry;
        let before = plan.loads[from];
        let end = match rest {
            1 => slots,
            rest if bytes == 0 => slots.div_ceil(rest),
            _ => share(&plan.left[from], u64::try_from(quota.max(0)).unwrap_or(u64::MAX)),
        };
        if end > 0 {
            plan.give(from, to, 0..end);
        }
        carry = quota - i128::from(before - plan.loads[from]);
    }
    plan.moves()
}

/// Returns the bytes that each group has at least if `bytes` are added to the groups with least. `loads` ascend.
fn level(loads: impl Iterator<Item = u64>, bytes: u64) -> u64 {
    let (mut level, mut sum, mut groups) = (u64::MAX, u128::from(bytes), 0_u128);
    for load in loads {
        if load >= level {
            break;
        }
        sum += u128::from(load);
        groups += 1;
        level = u64::try_from(sum.div_ceil(groups)).unwrap_or(u64::MAX);
    }
    level
}

/// Returns how many of the first slots have about `quota` bytes.
fn share(slots: &[SlotBytes], quota: u64) -> usize {
    let mut sum = 0_u64;
    let mut end = 0;
    for (_, bytes) in slots {
        // More than half of the slot is beyond the quota.
        if sum.saturating_add(bytes / 2) >= quota {
            break;
        }
        sum = sum.saturating_add(*bytes);
        end += 1;
    }
    end
}

#[cfg(test)]
mod tests;
