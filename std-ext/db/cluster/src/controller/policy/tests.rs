//! The decision on load curves, in a model of a cluster whose nodes come and go late.

use super::*;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
/// How often the coordinator looks.
const LOOK: u64 = 5 * SECOND;
/// How long a node takes to come, and slots to move, one after the other.
const COMES: u64 = 2 * MINUTE;
const MOVES: u64 = 3 * MINUTE;
/// The memory of a group.
const CAPACITY: u64 = 1000;

const POLICY: ScalingPolicy = ScalingPolicy {
    step: 3,
    min: 3,
    max: 18,
    out_above: 750,
    out_after: 2 * MINUTE,
    full_within: Some(10 * MINUTE),
    in_below: 400,
    in_after: 30 * MINUTE,
    rest_below: 600,
};

/// The load of the whole cluster: bytes, the time of threads in thousandths of those of a group, and that of the log.
#[derive(Clone, Copy, Default)]
struct Demand {
    used: u64,
    busy: u64,
    log: u32,
}

fn busy(busy: u64) -> Demand {
    Demand { busy, ..Demand::default() }
}

fn used(used: u64) -> Demand {
    Demand { used, ..Demand::default() }
}

/// A cluster that does what is asked of it, only later.
struct World {
    policy: ScalingPolicy,
    scaler: Scaler,
    now: u64,
    published: u32,
    target: u32,
    groups: u32,
    /// When the nodes of the last step are there, and when the slots have moved.
    present: u64,
    balanced: u64,
    /// The moving average of the threads' time.
    busy: f64,
    /// The times of all changes, and the nodes wanted from then on.
    changes: Vec<(u64, u32)>,
    reasons: Vec<ScalingReason>,
    last: Option<ScalingAdvice>,
}

impl World {
    fn new(policy: ScalingPolicy) -> Self {
        Self {
            policy,
            scaler: Scaler::default(),
            now: HOUR,
            published: 3,
            target: 3,
            groups: 1,
            present: 0,
            balanced: 0,
            busy: 0.0,
            changes: Vec::new(),
            reasons: Vec::new(),
            last: None,
        }
    }

    #[expect(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "small numbers")]
    fn look(&mut self, demand: Demand) {
        self.now += LOOK;
        if self.now >= self.balanced {
            (self.groups, self.published) = (self.target / self.policy.step, self.target);
        }
        let groups = u64::from(self.groups);
        // All groups have as much, and no threads work more than all of their time.
        let working = (demand.busy / groups).min(1000) as f64;
        self.busy += (working - self.busy) * (1.0 - (-(LOOK as f64) / (2 * MINUTE) as f64).exp());
        let load = GroupLoad {
            used: demand.used / groups,
            capacity: CAPACITY,
            busy: self.busy as Share,
            log: demand.log,
        };
        let loads = vec![load; self.groups as usize];
        let sample = LoadSample {
            now: self.now,
            groups: &loads,
            initial: 1,
            published: self.published,
            target: self.target,
            is_present: self.now >= self.present,
            is_balanced: self.now >= self.balanced,
            blocked: None,
        };
        let advice = self.scaler.look(&self.policy, &sample);
        if advice.target != self.target {
            assert!(sample.is_present, "the last step has not been taken");
            self.target = advice.target;
            let more = advice.target > self.published;
            (self.present, self.balanced) = if more {
                (self.now + COMES, self.now + COMES + MOVES)
            } else {
                (0, self.now + MOVES)
            };
            if more {
                self.published = advice.target;
            }
            self.changes.push((self.now, advice.target));
            self.reasons.push(advice.reason.clone());
        }
        self.last = Some(advice);
    }

    /// Plays a curve, by the time since it began. Returns the nodes that were wanted, one after the other.
    fn play(&mut self, time: u64, curve: impl Fn(u64) -> Demand) -> Vec<u32> {
        let (begin, before) = (self.now, self.changes.len());
        while self.now < begin + time {
            self.look(curve(self.now - begin));
        }
        self.changes[before..].iter().map(|(_, nodes)| *nodes).collect()
    }
}

#[test]
fn a_step_of_the_load_is_followed_once() {
    let mut world = World::new(POLICY);
    assert_eq!(world.play(HOUR, |_| busy(300)), [0; 0]);
    assert_eq!(world.play(12 * HOUR, |_| busy(1600)), [6, 9], "1.6 groups' work");
    assert!(matches!(world.reasons[0], ScalingReason::Busy(751..)), "{:?}", world.reasons);
    assert_eq!(world.play(12 * HOUR, |_| busy(300)), [6, 3], "it is little again");
    let mut full = World::new(POLICY);
    assert_eq!(full.play(12 * HOUR, |at| used(if at < HOUR { 300 } else { 1700 })), [6, 9]);
}

#[test]
fn a_saw_makes_nothing_swing() {
    for (period, wanted) in [(2, vec![]), (20, vec![6]), (50, vec![6])] {
        let saw =
            |at: u64| busy(if at % (period * MINUTE) < period * MINUTE / 2 { 950 } else { 100 });
        let mut world = World::new(POLICY);
        assert_eq!(world.play(24 * HOUR, saw), wanted, "every {period} min");
    }
}

#[test]
fn a_spike_asks_for_nothing() {
    let spike = |at: u64| busy(if (HOUR..HOUR + MINUTE).contains(&at) { 1000 } else { 350 });
    assert_eq!(World::new(POLICY).play(3 * HOUR, spike), [0; 0]);
}

#[test]
fn day_and_night_change_the_nodes_twice() {
    // Minutes of a day, as an angle.
    let turn = |at: u64| f64::from((at / MINUTE) as u32) / 1440.0 * std::f64::consts::TAU;
    #[expect(clippy::cast_sign_loss, reason = "200 and more")]
    let day = |at: u64| busy((1300.0 - 1100.0 * turn(at).cos()) as u64);
    let mut world = World::new(POLICY);
    world.play(24 * HOUR, day);
    for _ in 0..4 {
        let nodes = world.play(24 * HOUR, day);
        assert_eq!(nodes, [6, 9, 12, 9, 6, 3], "a day is not like the one before");
    }
}

#[test]
fn no_steady_load_makes_the_nodes_swing() {
    for steady in (0..4000).step_by(45) {
        for demand in [busy(steady), used(steady)] {
            // From below, and from above.
            let mut world = World::new(POLICY);
            world.play(6 * HOUR, |_| demand);
            assert_eq!(world.play(6 * HOUR, |_| demand), [0; 0], "at {steady}, from below");
            (world.published, world.target, world.groups) = (18, 18, 6);
            world.play(6 * HOUR, |_| demand);
            assert_eq!(world.play(6 * HOUR, |_| demand), [0; 0], "at {steady}, from above");
        }
    }
}

#[test]
fn the_data_always_fit() {
    // Data that come and go within hours, as bytes in thousandths of a group.
    for seed in 1..40_u64 {
        let mut world = World::new(POLICY);
        let (mut state, mut bytes, mut goal) = (seed, 200_u64, 200_u64);
        for _ in 0..(48 * HOUR / LOOK) {
            if bytes == goal {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                goal = (state >> 33) % 3600;
            }
            // A hundredth of a group in half a minute: much faster than nodes come one after the other.
            bytes = goal.clamp(bytes.saturating_sub(2), bytes + 2);
            world.look(used(bytes));
            let groups = u64::from(world.groups);
            assert!(bytes <= groups * CAPACITY, "{bytes} are in {groups} groups, seed {seed}");
            let fewer = u64::from(world.target / world.policy.step);
            let fits = bytes * 1000 < fewer * CAPACITY * 760;
            assert!(fits || world.target >= world.published, "{bytes} shall go into {fewer}");
        }
        assert!(world.changes.len() > 4, "nothing has happened");
    }
}

#[test]
fn memory_that_will_be_full_is_noticed_in_time() {
    // 4 % a minute: full in ten minutes at 60 %.
    let mut world = World::new(POLICY);
    let filling =
        |at: u64| used(300 + at.saturating_sub(10 * MINUTE).min(17 * MINUTE) * 40 / MINUTE);
    assert_eq!(world.play(HOUR, filling), [6]);
    assert!(matches!(world.reasons[0], ScalingReason::Filling(400..=600)), "{:?}", world.reasons);
    let never = ScalingPolicy { full_within: None, ..POLICY };
    let mut late = World::new(never);
    late.play(HOUR, filling);
    assert!(
        matches!(late.reasons[0], ScalingReason::Memory(_))
            && late.changes[0].0 > world.changes[0].0
    );
    // The beginning of a small load grows as fast.
    let small = |at: u64| used((at * 80 / MINUTE).min(380));
    assert_eq!(World::new(POLICY).play(HOUR, small), [0; 0], "a small load is taken for a flood");
}

#[test]
fn a_saturated_log_asks_for_no_nodes() {
    let mut world = World::new(POLICY);
    let slow = |busy, log| Demand { busy, log, used: 100 };
    assert_eq!(world.play(HOUR, |_| slow(950, 1400)), [0; 0], "more groups make it worse");
    assert!(world.last.as_ref().unwrap().log_saturated);
    assert_eq!(world.play(MINUTE, |_| slow(300, 600)), [0; 0]);
    assert!(world.last.as_ref().unwrap().log_saturated, "it is said for a while");
    world.play(5 * MINUTE, |_| slow(300, 600));
    assert!(!world.last.as_ref().unwrap().log_saturated);
    assert_eq!(world.play(HOUR, |_| slow(950, 900)), [6]);
    // Memory must be held in any case.
    let full = World::new(POLICY).play(HOUR, |_| Demand { log: 1400, ..used(1100) });
    assert_eq!(full, [6]);
}

#[test]
fn the_bounds_hold() {
    let small = ScalingPolicy { min: 6, max: 9, ..POLICY };
    let mut world = World::new(small);
    assert_eq!(world.play(HOUR, |_| busy(0)), [6], "there are too few");
    assert_eq!(world.play(6 * HOUR, |_| busy(9000)), [9]);
    assert!(world.last.as_ref().unwrap().limited, "nobody is told that this is not enough");
    assert_eq!(world.play(6 * HOUR, |_| busy(0)), [6]);
    assert!(!world.last.as_ref().unwrap().limited);
    // The settings have changed. The groups that hold the data stay.
    (world.published, world.target, world.groups) = (18, 18, 6);
    assert_eq!(world.play(6 * HOUR, |_| used(2300)), [15, 12]);
    // Each group that the cluster was made with has its nodes.
    let loads = [GroupLoad { capacity: CAPACITY, ..GroupLoad::default() }; 4];
    let mut sample = LoadSample {
        now: 0,
        groups: &loads,
        initial: 4,
        published: 12,
        target: 12,
        is_present: true,
        is_balanced: true,
        blocked: None,
    };
    let (mut scaler, policy) = (Scaler::default(), POLICY);
    for _ in 0..1000 {
        sample.now += LOOK;
        assert_eq!(scaler.look(&policy, &sample).target, 12);
    }
}

#[test]
fn a_rising_load_stops_the_emptying() {
    let mut world = World::new(POLICY);
    world.play(HOUR, |_| busy(1000));
    assert_eq!((world.target, world.groups), (6, 2));
    // Nodes are emptied when the load rises again.
    let mut at_once = |busy_now| {
        let before = world.target;
        while world.target == before {
            world.look(busy(busy_now));
        }
        (world.target, world.published, world.reasons.last().cloned())
    };
    assert_eq!(at_once(100).0, 3);
    world.balanced = u64::MAX;
    world.busy = 0.0;
    let begin = world.now;
    while world.target == 3 {
        world.look(busy(2000));
        assert!(world.now < begin + 15 * MINUTE, "it goes on");
    }
    assert_eq!((world.target, world.published), (6, 6));
    assert_eq!(world.reasons.last(), Some(&ScalingReason::Risen));
}

#[test]
fn a_coordinator_that_was_away_counts_anew() {
    let loads = [GroupLoad { used: 900, capacity: CAPACITY, busy: 0, log: 0 }];
    let mut sample = LoadSample {
        now: HOUR,
        groups: &loads,
        initial: 1,
        published: 3,
        target: 3,
        is_present: true,
        is_balanced: true,
        blocked: None,
    };
    let mut scaler = Scaler::default();
    scaler.look(&POLICY, &sample);
    sample.now += 5 * MINUTE;
    assert_eq!(scaler.look(&POLICY, &sample).target, 3, "nobody knows what was meanwhile");
    for _ in 0..23 {
        sample.now += LOOK;
        assert_eq!(scaler.look(&POLICY, &sample).target, 3);
    }
    sample.now += LOOK;
    assert_eq!(scaler.look(&POLICY, &sample).target, 6);
}

#[test]
fn nodes_that_never_come_are_asked_for_once() {
    let loads = [GroupLoad { used: 900, capacity: CAPACITY, busy: 0, log: 0 }];
    let mut sample = LoadSample {
        now: 0,
        groups: &loads,
        initial: 1,
        published: 6,
        target: 6,
        is_present: false,
        is_balanced: false,
        blocked: None,
    };
    let mut scaler = Scaler::default();
    for _ in 0..(HOUR / LOOK) {
        sample.now += LOOK;
        assert_eq!(scaler.look(&POLICY, &sample).target, 6, "nobody brings even those");
    }
}

#[test]
fn nodes_that_cannot_be_emptied_stay() {
    let loads = [GroupLoad { used: 100, capacity: CAPACITY, busy: 0, log: 0 }; 2];
    let mut sample = LoadSample {
        now: 0,
        groups: &loads,
        initial: 1,
        published: 6,
        target: 6,
        is_present: true,
        is_balanced: true,
        blocked: Some("a node has no number"),
    };
    let unlimited = [GroupLoad { capacity: 0, ..loads[0] }, loads[1]];
    for (groups, blocked, wanted) in
        [(&loads, Some("a node has no number"), 6), (&unlimited, None, 6), (&loads, None, 3)]
    {
        (sample.groups, sample.blocked) = (groups, blocked);
        let mut scaler = Scaler::default();
        let mut advice = None;
        for _ in 0..=(POLICY.in_after / LOOK) {
            sample.now += LOOK;
            advice = Some(scaler.look(&POLICY, &sample));
        }
        let advice = advice.unwrap();
        assert_eq!(advice.target, wanted, "{blocked:?}");
        assert_eq!(matches!(advice.reason, ScalingReason::Blocked(_)), blocked.is_some());
    }
}
