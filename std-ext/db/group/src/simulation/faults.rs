//! The faults of a run: a list that the seed determines, so that a failing run can be tried without single faults.

use super::random::Random;

/// One fault, and when it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: u64,
    pub(super) kind: Kind,
}

/// A way to fail. Times are in true milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A process ends after it has carried out this many further actions. If the power fails, unforced bytes are lost.
    Crash { node: usize, actions: u64, power: bool },
    /// A process stops after this many further actions, and goes on later.
    Freeze { node: usize, actions: u64, time: u64 },
    /// A process and its clocks stop.
    FreezeClock { node: usize, time: u64 },
    /// Nothing reaches the store from this node.
    CutTo { node: usize, time: u64 },
    /// Nothing reaches this node from the store.
    CutFrom { node: usize, time: u64 },
    /// The store has no leader: requests wait or are lost.
    StorePause { time: u64 },
    /// The store answers late.
    StoreSlow { time: u64, delay: u64 },
    /// The store refuses requests as too many.
    StoreBusy { time: u64 },
    /// Some answers of the store are lost.
    LoseAnswers { time: u64 },
    /// Nothing arrives by the watch.
    WatchStall { node: usize, time: u64 },
    /// The watch ends.
    WatchCut { node: usize },
    /// The watch repeats old changes, as after a reconnect to another member.
    WatchRepeat { node: usize },
    /// The watch misses changes.
    WatchSkip { node: usize },
    /// The store forgets its history.
    Compact,
    /// The store's storage quota is little more than it uses.
    Quota { room: usize },
    /// A disk takes long to force, and the state is slow to apply.
    SlowDisk { node: usize, time: u64 },
    /// The primary is asked to hand over to a node, or to any.
    HandOver { to: Option<usize> },
    /// Answers reach the primary late, or not at all, for a while; soon nothing that it sends reaches the store. Its
    /// lease ends while another node waits for it.
    Isolate { lost: bool, answers: u64, requests: u64 },
    /// A process ends, and starts again after this time.
    Down { node: usize, time: u64 },
    /// A process is asked to stop, and starts again.
    Restart { node: usize },
    /// The lease of a node's settings changes.
    Lease { node: usize, lease: u64 },
    /// A node is removed from the members.
    Forget { node: usize },
    /// A wall clock is set.
    Jump { node: usize, by: i64 },
    /// A node is away while the log grows and is trimmed. Then it fetches a peer's folder, which takes this long.
    Away { node: usize, time: u64, fetch: u64 },
    /// A disk is full: nothing is forced.
    DiskFull { node: usize, time: u64 },
    /// The group is handed over to a node that ends soon.
    HandOverAndDie { to: usize, actions: u64, power: bool },
    /// A node ends and is removed from the members. It comes back with its old folder.
    Lost { node: usize, time: u64 },
    /// Each primary ends soon after it has taken over, this many times.
    Chase { times: u64, pause: u64 },
    /// A node gets a copy of another one's folder, and its name.
    Twin { node: usize, of: usize },
    /// What the primary sends is late for a while. Then its process is killed, and starts again after this time.
    KillPrimary { late: u64, restart: u64 },
    /// The store takes smaller requests for a while.
    Limit { time: u64, bytes: usize },
    /// A backup of the store is made.
    Backup,
    /// The store is restored from the backup.
    Restore,
    /// The store is lost. The nodes are stopped, perhaps by a loss of power, and a new store is filled from their
    /// folders, except for this one's.
    Adopt { power: bool, absent: Option<usize> },
}

impl Kind {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Crash { .. } => "Crash",
            Self::Freeze { .. } => "Freeze",
            Self::FreezeClock { .. } => "FreezeClock",
            Self::CutTo { .. } => "CutTo",
            Self::CutFrom { .. } => "CutFrom",
            Self::StorePause { .. } => "StorePause",
            Self::StoreSlow { .. } => "StoreSlow",
            Self::StoreBusy { .. } => "StoreBusy",
            Self::LoseAnswers { .. } => "LoseAnswers",
            Self::WatchStall { .. } => "WatchStall",
            Self::WatchCut { .. } => "WatchCut",
            Self::WatchRepeat { .. } => "WatchRepeat",
            Self::WatchSkip { .. } => "WatchSkip",
            Self::Compact => "Compact",
            Self::Quota { .. } => "Quota",
            Self::SlowDisk { .. } => "SlowDisk",
            Self::HandOver { .. } => "HandOver",
            Self::Isolate { .. } => "Isolate",
            Self::Down { .. } => "Down",
            Self::Restart { .. } => "Restart",
            Self::Lease { .. } => "Lease",
            Self::Forget { .. } => "Forget",
            Self::Jump { .. } => "Jump",
            Self::Away { .. } => "Away",
            Self::DiskFull { .. } => "DiskFull",
            Self::HandOverAndDie { .. } => "HandOverAndDie",
            Self::Lost { .. } => "Lost",
            Self::Chase { .. } => "Chase",
            Self::Twin { .. } => "Twin",
            Self::KillPrimary { .. } => "KillPrimary",
            Self::Limit { .. } => "Limit",
            Self::Backup => "Backup",
            Self::Restore => "Restore",
            Self::Adopt { .. } => "Adopt",
        }
    }
}

/// How much a run does, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Faults that the protocol survives without any loss.
    Faults,
    /// As `Faults`, with further kinds of them.
    Wide,
    /// As `Wide`, but shorter, with the real [`Program`](super::Program) of each node.
    Whole,
    /// As `Faults`, with leases that prove nothing and clocks that stop.
    LogReads,
    /// The store is restored from a backup.
    Restore,
    /// The store is restored, and a node that was away since before the backup comes back. The others run, or start in
    /// time.
    Lagging,
    /// The store is lost, and filled again from the nodes' folders.
    Adopt,
    /// Primaries are killed and start again within their lease, beside copies of their folders.
    Restarts,
    /// Clocks stop although leases prove reads: not promised to work, and the simulation must see that.
    StoppedClocks,
}

impl Scenario {
    /// When the last fault has ended. The plan of a shorter run has the same faults, closer together.
    pub(super) fn healed(self) -> u64 {
        if self == Self::Whole { 5_500 } else { 9_000 }
    }

    /// How long the clients go on when all faults have ended, and how long the nodes then have to agree.
    pub(super) fn calm(self) -> (u64, u64) {
        if self == Self::Whole { (3_200, 2_500) } else { (4_000, 3_000) }
    }

    pub(super) fn is_wide(self) -> bool {
        matches!(self, Self::Wide | Self::Whole | Self::Adopt)
    }
}

/// A run: its faults, the most clients that it has, and when all faults end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) faults: Vec<Fault>,
    pub(super) clients: usize,
    pub(super) healed: u64,
}

fn random_kind(random: &mut Random, scenario: Scenario, nodes: usize) -> Kind {
    let node = usize::try_from(random.below(nodes as u64)).unwrap_or(0);
    let time = if random.chance(500) { random.between(20, 400) } else { random.between(400, 2500) };
    let actions = random.below(30);
    match random.below(30) {
        0..3 => Kind::Crash { node, actions, power: random.chance(500) },
        3..5 => Kind::Freeze { node, actions, time },
        5 | 6 => Kind::CutTo { node, time },
        7 | 8 => Kind::CutFrom { node, time },
        9 | 10 => Kind::StorePause { time: time.min(1500) },
        11 => Kind::StoreSlow { time, delay: random.between(20, 300) },
        12 => Kind::StoreBusy { time },
        13 => Kind::LoseAnswers { time },
        14 => Kind::WatchStall { node, time },
        15 => Kind::WatchCut { node },
        16 => Kind::WatchRepeat { node },
        17 => Kind::WatchSkip { node },
        18 => Kind::Compact,
        19 => Kind::Quota { room: usize::try_from(random.between(500, 8000)).unwrap_or(0) },
        20 => Kind::SlowDisk { node, time },
        21 => Kind::HandOver { to: random.chance(600).then_some(node) },
        22 => Kind::Restart { node },
        23 => Kind::Lease { node, lease: random.between(400, 1500) },
        24 => Kind::Forget { node },
        25 => Kind::Jump { node, by: random.below(40_000).cast_signed() - 20_000 },
        26..29 => {
            let lost = random.chance(500);
            let answers = random.between(80, 500);
            let requests =
                if lost { answers + random.between(5, 150) } else { random.between(2, 60) };
            Kind::Isolate { lost, answers, requests }
        }
        _ if matches!(scenario, Scenario::LogReads | Scenario::StoppedClocks) => {
            Kind::FreezeClock { node, time }
        }
        _ => Kind::Freeze { node, actions, time },
    }
}

/// Chooses a kind that only some scenarios have.
fn wide_kind(random: &mut Random, nodes: usize) -> Kind {
    let node = usize::try_from(random.below(nodes as u64)).unwrap_or(0);
    let of = (node + 1) % nodes;
    let (actions, power) = (random.below(40), random.chance(500));
    match random.below(8) {
        0 => {
            Kind::Away { node, time: random.between(1500, 4000), fetch: random.between(500, 3500) }
        }
        1 => Kind::DiskFull { node, time: random.between(300, 3000) },
        2 => Kind::HandOverAndDie { to: node, actions, power },
        3 => Kind::Lost { node, time: random.between(500, 4000) },
        4 => Kind::Chase { times: random.between(2, 5), pause: random.between(20, 400) },
        5 if nodes > 2 => Kind::Twin { node, of },
        6 => Kind::Limit {
            time: random.between(300, 2000),
            bytes: usize::try_from(random.between(9_000, 14_000)).unwrap_or(9_000),
        },
        _ => Kind::Jump { node, by: if power { 8_000 } else { -8_000 } },
    }
}

/// Makes the faults of a run in which one node lacks what a restored store lacks. Half of the runs have others,
/// too.
fn lagging(random: &mut Random, nodes: usize) -> Vec<Fault> {
    let behind = usize::try_from(random.below(nodes as u64)).unwrap_or(0);
    let backup = random.between(1000, 3000);
    let restore = backup + random.between(600, 2500);
    let away = restore - backup + random.between(100, 1500);
    let mut faults = vec![
        Fault { at: backup - 1, kind: Kind::Down { node: behind, time: away } },
        Fault { at: backup, kind: Kind::Backup },
        Fault { at: restore, kind: Kind::Restore },
    ];
    for node in (0..nodes).filter(|node| *node != behind) {
        if random.chance(500) {
            let time = random.between(20, 120);
            faults.push(Fault { at: restore - 1, kind: Kind::Down { node, time } });
        }
    }
    if random.chance(500) {
        for _ in 0..random.between(1, 6) {
            let at = random.between(restore - 500, restore + 2000);
            faults.push(Fault { at, kind: random_kind(random, Scenario::Lagging, nodes) });
        }
    }
    faults.sort_by_key(|fault| fault.at);
    faults
}

/// Makes the faults of a run in which primaries are killed and come back soon. Each node may be copied. A third of the
/// runs have other faults, too.
fn restarts(random: &mut Random, nodes: usize) -> Vec<Fault> {
    let last = Scenario::Restarts.healed() - 2500;
    let mut faults: Vec<Fault> = (0..random.between(3, 9))
        .map(|_| {
            let late = if random.chance(500) { random.between(1, 400) } else { 0 };
            let kind = Kind::KillPrimary { late, restart: random.between(5, 400) };
            Fault { at: random.between(800, last), kind }
        })
        .collect();
    for node in 0..nodes {
        let of = (node + 1) % nodes;
        let at = random.between(1200, last);
        if nodes > 2 && random.chance(400) {
            faults.push(Fault { at, kind: Kind::Twin { node, of } });
        }
    }
    if random.chance(333) {
        for _ in 0..random.between(1, 6) {
            let at = random.between(800, last);
            faults.push(Fault { at, kind: random_kind(random, Scenario::Restarts, nodes) });
        }
    }
    faults.sort_by_key(|fault| fault.at);
    faults
}

/// Makes the list of faults of a run.
pub(super) fn plan(random: &mut Random, scenario: Scenario, nodes: usize) -> Vec<Fault> {
    match scenario {
        Scenario::Lagging => return lagging(random, nodes),
        Scenario::Restarts => return restarts(random, nodes),
        _ => {}
    }
    let count = random.between(3, 13);
    let mut faults: Vec<Fault> = (0..count)
        .map(|_| Fault {
            at: random.between(800, scenario.healed() - 2500),
            kind: if scenario.is_wide() && random.chance(400) {
                wide_kind(random, nodes)
            } else {
                random_kind(random, scenario, nodes)
            },
        })
        .collect();
    if scenario == Scenario::Adopt {
        let node = usize::try_from(random.below(nodes as u64)).unwrap_or(0);
        let absent = random.chance(400).then_some(node);
        let kind = Kind::Adopt { power: random.chance(400), absent };
        faults.push(Fault { at: random.between(1500, 5500), kind });
    }
    if scenario == Scenario::Restore {
        let backup = random.between(1000, 3000);
        let restore = backup + random.between(100, 2000);
        faults.push(Fault { at: backup, kind: Kind::Backup });
        faults.push(Fault { at: restore, kind: Kind::Restore });
        if random.chance(600) {
            // One node has nothing behind the backup. It leads before the others return.
            faults.retain(|fault| matches!(fault.kind, Kind::Backup | Kind::Restore));
            let behind = usize::try_from(random.below(nodes as u64)).unwrap_or(0);
            let early = Fault {
                at: backup - 1,
                kind: Kind::Down { node: behind, time: restore - backup + 50 },
            };
            faults.push(early);
            let others = (0..nodes).filter(|node| *node != behind);
            faults.extend(others.map(|node| {
                let time = random.between(2500, 5000);
                Fault { at: restore - 1, kind: Kind::Down { node, time } }
            }));
        }
    }
    faults.sort_by_key(|fault| fault.at);
    faults
}
