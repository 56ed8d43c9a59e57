//! The decision: further nodes, fewer, or as many as there are. A pure function of the load of all groups, the time and
//! the settings, with a state of its own.
//!
//! - *Out* by one step, which is a group, if a group's memory or threads are loaded above a bound for some time, or if
//!   the memory is full soon, as fast as it grows.
//! - *In* by one step, if the load of all groups is below a lower bound for a longer time, and the load of the
//!   remaining groups would be below a third bound, which lies between the two.
//! - Nothing is decided before the last step has been taken: its nodes are there, and have their share of the slots. If
//!   the load stays high, the next step does not wait for the slots for ever.
//! - More groups on the same etcd make its work no less. So if the log is the bottleneck, busy threads are no reason
//!   for further nodes. Full memory still is.

use std::collections::VecDeque;
use std::fmt;

/// Thousandths.
pub(crate) type Share = u32;

/// The longest time between two looks, in milliseconds. After a longer one, all times count anew.
const MOST_BETWEEN: u64 = 15_000;
/// The load of the log at which it is the bottleneck, and below which it no longer is.
const SATURATED: Share = 1000;
const RELIEVED: Share = 700;
/// How many times as long as usual a high load must last before the slots of the last step are not waited for.
const IMPATIENT: u64 = 5;
/// The number of measurements by which the growth of the memory is known.
const MEASUREMENTS: u64 = 8;

/// The settings. Times are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScalingPolicy {
    /// The nodes of a group.
    pub(crate) step: u32,
    pub(crate) min: u32,
    pub(crate) max: u32,
    pub(crate) out_above: Share,
    pub(crate) out_after: u64,
    pub(crate) full_within: Option<u64>,
    pub(crate) in_below: Share,
    pub(crate) in_after: u64,
    pub(crate) rest_below: Share,
}

/// The load of a group: that of its most loaded node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupLoad {
    /// Bytes of memory, and the most bytes; 0 for no limit.
    pub(crate) used: u64,
    pub(crate) capacity: u64,
    /// The share of their time that its threads work.
    pub(crate) busy: Share,
    /// The load of the log; see [`super::load`].
    pub(crate) log: Share,
}

impl GroupLoad {
    fn memory(&self) -> Share {
        share(self.used.into(), self.capacity.into())
    }
}

/// Returns a part of a whole in thousandths; 0 if there is no whole.
fn share(part: u128, whole: u128) -> Share {
    (part * 1000).checked_div(whole).map_or(0, |share| Share::try_from(share).unwrap_or(Share::MAX))
}

/// The cluster at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoadSample<'a> {
    /// Boot time in milliseconds.
    pub(crate) now: u64,
    /// The groups that have slots.
    pub(crate) groups: &'a [GroupLoad],
    /// The groups that the cluster was made with.
    pub(crate) initial: u32,
    /// The nodes that are published, and those that there should be once all that goes is empty.
    pub(crate) published: u32,
    pub(crate) target: u32,
    /// Whether all of these nodes are there.
    pub(crate) is_present: bool,
    /// Whether all groups have their nodes and their share of the slots, and no slot moves.
    pub(crate) is_balanced: bool,
    /// Why no node can be emptied, if there is a reason.
    pub(crate) blocked: Option<&'a str>,
}

/// The result of a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScalingAdvice {
    /// The nodes that there should be.
    pub(crate) target: u32,
    pub(crate) reason: ScalingReason,
    /// Whether the log is the bottleneck.
    pub(crate) log_saturated: bool,
    /// Whether further nodes are needed, beyond the most that the settings allow.
    pub(crate) limited: bool,
}

/// Why there should be as many nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ScalingReason {
    /// Nothing has to change.
    Fits,
    /// There are fewer than the settings ask for, or more.
    Bounds,
    /// The share of its memory that a group uses.
    Memory(Share),
    /// The memory is full in this number of seconds.
    Filling(u64),
    /// The share of their time that the threads of a group work.
    Busy(Share),
    /// The load is so low, at most.
    Quiet(Share),
    /// The load has risen while nodes were being emptied.
    Risen,
    /// The load is low, and nodes cannot be emptied, because of this.
    Blocked(String),
}

impl fmt::Display for ScalingReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: &Share| share / 10;
        match self {
            Self::Fits => f.write_str("the load fits"),
            Self::Bounds => f.write_str("the settings ask for as many"),
            Self::Memory(share) => write!(f, "a group uses {} % of its memory", percent(share)),
            Self::Filling(seconds) => write!(f, "memory would be full in {seconds} s"),
            Self::Busy(share) => {
                write!(f, "the threads of a group are busy {} % of the time", percent(share))
            }
            Self::Quiet(share) => {
                write!(f, "no group has a load above {} %", percent(share))
            }
            Self::Risen => f.write_str("the load rose while nodes were being drained"),
            Self::Blocked(why) => write!(f, "the load is low, but no node can be drained: {why}"),
        }
    }
}

/// The state of the decision.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scaler {
    looked: u64,
    /// Since when the load is high, low, and that of the log is beyond its bound.
    high: Option<u64>,
    low: Option<u64>,
    log: Option<u64>,
    saturated: bool,
    /// Whether all groups had their share of the slots.
    was_balanced: bool,
    /// Times, and the bytes of all groups.
    used: VecDeque<(u64, u64)>,
}

impl Scaler {
    /// Looks at the cluster. Call it every few seconds.
    pub(crate) fn look(
        &mut self,
        policy: &ScalingPolicy,
        sample: &LoadSample<'_>,
    ) -> ScalingAdvice {
        let now = sample.now;
        if now > self.looked.saturating_add(MOST_BETWEEN) {
            *self = Self::default();
        }
        self.looked = now;
        if sample.is_balanced && !self.was_balanced {
            // The averages are still those of the groups that have just given slots away.
            self.high = None;
        }
        self.was_balanced = sample.is_balanced;
        self.look_at_log(policy, sample);
        let growth = self.filling(policy, sample);
        let pressure = pressure(policy, sample, self.saturated).or(growth.clone());
        self.high = pressure.as_ref().map(|_| self.high.unwrap_or(now));
        let quiet = quiet(policy, sample).filter(|_| pressure.is_none() && !self.saturated);
        self.low = quiet.map(|_| self.low.unwrap_or(now));
        let decided = bounds(policy, sample)
            .or_else(|| self.outwards(policy, sample, pressure?, growth.is_some()))
            .or_else(|| self.inwards(policy, sample, quiet?));
        let (target, reason) = decided.unwrap_or((sample.target, ScalingReason::Fits));
        if target != sample.target {
            (self.high, self.low) = (None, None);
            self.used.clear();
        }
        let lasts = self.high.is_some_and(|since| now - since >= policy.out_after);
        let limited = lasts && sample.target + policy.step > policy.max;
        ScalingAdvice { target, reason, log_saturated: self.saturated, limited }
    }

    fn look_at_log(&mut self, policy: &ScalingPolicy, sample: &LoadSample<'_>) {
        let load = sample.groups.iter().map(|group| group.log).max().unwrap_or(0);
        let is_beyond = if self.saturated { load < RELIEVED } else { load >= SATURATED };
        self.log = is_beyond.then(|| self.log.unwrap_or(sample.now));
        if self.log.is_some_and(|since| sample.now - since >= policy.out_after) {
            (self.saturated, self.log) = (!self.saturated, None);
        }
    }

    /// Measures the growth of the memory, and returns when it is full, if that is soon. Keys that move count twice, so
    /// nothing is measured then.
    fn filling(
        &mut self,
        policy: &ScalingPolicy,
        sample: &LoadSample<'_>,
    ) -> Option<ScalingReason> {
        let full_within = policy.full_within?;
        let (used, capacity) = memory(sample.groups)?;
        if !sample.is_balanced {
            self.used.clear();
            return None;
        }
        let now = sample.now;
        let every = policy.out_after / MEASUREMENTS;
        if self.used.back().is_none_or(|(last, _)| now >= last + every) {
            self.used.push_back((now, used));
        }
        // The first one is as old as wanted, or a little older.
        while self.used.get(1).is_some_and(|(second, _)| now - second >= policy.out_after) {
            self.used.pop_front();
        }
        let (since, before) = *self.used.front()?;
        let (took, grown) = (now - since, used.saturating_sub(before));
        let is_low = share(used.into(), capacity.into()) < policy.in_below;
        if took < policy.out_after || grown == 0 || is_low {
            return None;
        }
        let left = u128::from(capacity.saturating_sub(used)) * u128::from(took) / u128::from(grown);
        (left < full_within.into()).then_some(ScalingReason::Filling((left / 1000) as u64))
    }

    fn outwards(
        &self,
        policy: &ScalingPolicy,
        sample: &LoadSample<'_>,
        pressure: ScalingReason,
        is_filling: bool,
    ) -> Option<(u32, ScalingReason)> {
        let lasts = sample.now - self.high?;
        if lasts < policy.out_after && !is_filling {
            return None;
        }
        // The nodes that were being emptied are still there, and are kept.
        if sample.target < sample.published {
            return Some((sample.published, ScalingReason::Risen));
        }
        let waits = !sample.is_balanced && lasts < policy.out_after * IMPATIENT;
        let more = sample.target + policy.step;
        (sample.is_present && !waits && more <= policy.max).then_some((more, pressure))
    }

    fn inwards(
        &self,
        policy: &ScalingPolicy,
        sample: &LoadSample<'_>,
        load: Share,
    ) -> Option<(u32, ScalingReason)> {
        let fewer = sample.target.checked_sub(policy.step)?;
        let may_go = fewer >= lowest(policy, sample)
            && sample.now - self.low? >= policy.in_after
            && sample.target == sample.published
            && sample.is_present
            && sample.is_balanced
            && rest_fits(policy, sample, fewer);
        match sample.blocked {
            _ if !may_go => None,
            Some(why) => Some((sample.target, ScalingReason::Blocked(why.to_owned()))),
            None => Some((fewer, ScalingReason::Quiet(load))),
        }
    }
}

/// Follows the settings. Groups that hold the data are not sent away for that.
fn bounds(policy: &ScalingPolicy, sample: &LoadSample<'_>) -> Option<(u32, ScalingReason)> {
    let lowest = lowest(policy, sample);
    if sample.target < lowest {
        return Some((lowest, ScalingReason::Bounds));
    }
    let fewer = sample.target.saturating_sub(policy.step).max(policy.max).max(lowest);
    let may_go = sample.target > policy.max && rest_fits(policy, sample, fewer);
    (may_go && fewer < sample.target && sample.is_balanced && sample.blocked.is_none())
        .then_some((fewer, ScalingReason::Bounds))
}

/// Returns whether the load fits into the groups of this number of nodes, with room to spare.
fn rest_fits(policy: &ScalingPolicy, sample: &LoadSample<'_>, nodes: u32) -> bool {
    let groups = sample.groups.len() as u32;
    let rest = (nodes / policy.step).max(sample.initial).min(groups);
    // No group with slots has to go.
    if rest == groups {
        return true;
    }
    let Some((used, capacity)) = memory(sample.groups) else { return false };
    let capacity = u128::from(capacity) * u128::from(rest) / u128::from(groups);
    let busy: u128 = sample.groups.iter().map(|group| u128::from(group.busy)).sum();
    rest > 0
        && share(used.into(), capacity) < policy.rest_below
        && busy < u128::from(policy.rest_below) * u128::from(rest)
}

/// Returns the fewest nodes.
fn lowest(policy: &ScalingPolicy, sample: &LoadSample<'_>) -> u32 {
    policy.min.max(sample.initial * policy.step)
}

/// Returns why the load is high, if it is.
fn pressure(
    policy: &ScalingPolicy,
    sample: &LoadSample<'_>,
    saturated: bool,
) -> Option<ScalingReason> {
    let memory = sample.groups.iter().map(GroupLoad::memory).max()?;
    let busy = sample.groups.iter().map(|group| group.busy).max()?;
    if memory > policy.out_above {
        return Some(ScalingReason::Memory(memory));
    }
    (busy > policy.out_above && !saturated).then_some(ScalingReason::Busy(busy))
}

/// Returns the highest load, if it is low.
fn quiet(policy: &ScalingPolicy, sample: &LoadSample<'_>) -> Option<Share> {
    let highest = sample.groups.iter().map(|group| group.memory().max(group.busy)).max()?;
    (highest < policy.in_below).then_some(highest)
}

/// Returns the bytes that all groups use and can have; `None` if one of them has no limit.
fn memory(groups: &[GroupLoad]) -> Option<(u64, u64)> {
    let limited = !groups.is_empty() && groups.iter().all(|group| group.capacity > 0);
    let sum = |of: fn(&GroupLoad) -> u64| groups.iter().map(of).fold(0, u64::saturating_add);
    limited.then(|| (sum(|group| group.used), sum(|group| group.capacity)))
}

#[cfg(test)]
mod tests;
