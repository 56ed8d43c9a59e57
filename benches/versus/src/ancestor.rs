//! The four benchmarks that `FlatMap`'s ancestor of the same name published, as
//! it wrote them: the same keys, counts, starting capacity and threads, and the
//! threads' start within the measured time. Only the hasher is the one of this
//! comparison, for all.

use std::hint::black_box;
use std::ops::Range;

use crate::clock::{Account, now};
use crate::contest::{Pace, median};
use crate::keys::Rng;
use crate::rivals::{self, Bench, Role, Visitor, shared};
use crate::watchdog;
use crate::work::{Row, Suite, Workload};

/// The capacity that the ancestor asked for.
const CAPACITY: usize = 8192;

/// One of its benchmarks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trial {
    /// 50,000 keys inserted, looked up and removed, one thread.
    Mixed,
    /// 50,000 look-ups of 10,000 keys, one thread.
    Reads,
    /// Four threads: of 5,000 operations each, 7 in 10 look-ups of 5,000 keys that
    /// are there, the others insertions of new ones.
    SharedMixed,
    /// Four threads insert 5,000 keys each, into one map.
    SharedWrites,
}

impl Trial {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Mixed, Self::Reads, Self::SharedMixed, Self::SharedWrites];

    /// Its work in a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mixed => "50 k inserted, looked up, removed",
            Self::Reads => "50 k look-ups",
            Self::SharedMixed => "4 threads, 70/30",
            Self::SharedWrites => "4 threads, writes",
        }
    }

    /// The times that the ancestor published, in microseconds: its own, std's
    /// `HashMap`, which cannot be shared, and dashmap.
    pub fn published(self) -> (f64, Option<f64>, f64) {
        match self {
            Self::Mixed => (12_840.0, Some(6_080.0), 6_720.0),
            Self::Reads => (800.0, Some(897.0), 1_670.0),
            Self::SharedMixed => (1_110.0, None, 1_180.0),
            Self::SharedWrites => (1_820.0, None, 1_460.0),
        }
    }

    /// Whether threads share the map.
    pub fn shared(self) -> bool {
        matches!(self, Self::SharedMixed | Self::SharedWrites)
    }
}

/// One map's times in one trial.
pub struct Times {
    /// The map.
    pub name: &'static str,
    /// Its role in the comparison.
    pub role: Role,
    /// Microseconds of a run: the median of each round.
    pub rounds: Vec<f64>,
}

impl Times {
    /// The median round.
    pub fn median(&self) -> Option<f64> {
        median(&self.rounds)
    }
}

/// Each trial with the times of all maps that can do it.
pub type Trials = Vec<(Trial, Vec<Times>)>;

/// The times of one map in one trial.
pub fn cost(trials: &Trials, trial: Trial, name: &str) -> Option<f64> {
    let (_, times) = trials.iter().find(|(t, _)| *t == trial)?;
    times.iter().find(|t| t.name == name)?.median()
}

/// The fastest peer in one trial.
pub fn best_peer(trials: &Trials, trial: Trial) -> Option<f64> {
    let (_, times) = trials.iter().find(|(t, _)| *t == trial)?;
    let peers = times.iter().filter(|t| t.role == Role::Peer);
    peers.filter_map(Times::median).min_by(f64::total_cmp)
}

/// Runs all four, in rounds in which the maps take turns.
pub fn run(pace: &Pace) -> Trials {
    Trial::ALL.into_iter().map(|trial| (trial, compete(trial, pace))).collect()
}

fn compete(trial: Trial, pace: &Pace) -> Vec<Times> {
    eprintln!("ancestor: {}", trial.name());
    let mut entrants = Entrants { trial, maps: vec![] };
    rivals::numbers(&mut entrants);
    let blank = |e: &Entrant| Times { name: e.name, role: e.role, rounds: vec![] };
    let mut times: Vec<_> = entrants.maps.iter().map(blank).collect();
    let mut rng = Rng::new(4);
    let mut turns: Vec<_> = (0..times.len()).collect();
    for _ in 0..pace.rounds {
        rng.shuffle(&mut turns);
        for &i in &turns {
            watchdog::pat(format!("{} in {}", times[i].name, trial.name()));
            times[i].rounds.push((entrants.maps[i].round)(trial, pace.long));
        }
    }
    times
}

struct Entrant {
    name: &'static str,
    role: Role,
    round: fn(Trial, u64) -> f64,
}

/// Collects the maps that can do a trial.
struct Entrants {
    trial: Trial,
    maps: Vec<Entrant>,
}

impl Visitor<u64, u64> for Entrants {
    fn visit<M: Bench<Key = u64, Value = u64>>(&mut self) {
        // As hard on a map as the emptiest of the rows that fill one.
        let threads = if self.trial.shared() { 2 } else { 1 };
        let row = Row { suite: Suite::Words, workload: Workload::Insert, n: CAPACITY, threads };
        if M::can(&row) && (shared::<M>() || !self.trial.shared()) {
            self.maps.push(Entrant { name: M::NAME, role: M::ROLE, round: round::<M> });
        }
    }
}

/// The median of as many runs as fit into this many milliseconds, in microseconds.
fn round<M: Bench<Key = u64, Value = u64>>(trial: Trial, milliseconds: u64) -> f64 {
    let account = Account::open();
    let readable = filled::<M>(0..if trial == Trial::Reads { 10_000 } else { 0 });
    let end = now() + milliseconds * 1_000_000;
    let mut runs = Vec::new();
    while runs.len() < 3 || now() < end {
        let waited = account.waited();
        let start = now();
        match trial {
            Trial::Mixed => mixed::<M>(),
            Trial::Reads => reads(&readable),
            Trial::SharedMixed => shared_mixed::<M>(),
            Trial::SharedWrites => shared_writes::<M>(),
        }
        let spent = now() - start;
        // With four threads on fewer cores waiting is part of the matter, and
        // whose fault it is nobody can tell.
        let waited = if trial.shared() { 0 } else { account.waited() - waited };
        runs.push((spent - waited.min(spent)) as f64 / 1e3);
    }
    median(&runs).expect("there are three runs at least")
}

fn filled<M: Bench<Key = u64, Value = u64>>(keys: Range<u64>) -> M {
    let map = M::with_capacity(CAPACITY);
    insert(&map, keys);
    map
}

#[inline]
fn insert<M: Bench<Key = u64, Value = u64>>(map: &M, keys: Range<u64>) {
    let new = keys.filter(|key| black_box(map.insert(key, key, |old| *old)).is_none()).count();
    black_box(new);
}

/// That each of `keys` is found by `op`, with itself as its value.
#[inline]
fn each(keys: impl Iterator<Item = u64>, op: impl Fn(&u64) -> Option<u64>) {
    for key in keys {
        assert_eq!(black_box(op(&key)), Some(key), "a key is lost");
    }
}

fn mixed<M: Bench<Key = u64, Value = u64>>() {
    let map = filled::<M>(0..50_000);
    each(0..50_000, |key| map.read(key, |value| *value));
    each(0..50_000, |key| map.remove(key, |value| *value));
}

fn reads<M: Bench<Key = u64, Value = u64>>(map: &M) {
    each((0..50_000).map(|i| i % 10_000), |key| map.read(key, |value| *value));
}

fn shared_mixed<M: Bench<Key = u64, Value = u64>>() {
    let map = &filled::<M>(0..5_000);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for i in 0..5_000 {
                    let key = thread * 10_000 + i;
                    if i % 10 < 7 {
                        each(std::iter::once(key % 5_000), |key| map.read(key, |value| *value));
                    } else {
                        insert(map, key..key + 1);
                    }
                }
            });
        }
    });
}

fn shared_writes<M: Bench<Key = u64, Value = u64>>() {
    let map = &filled::<M>(0..0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || insert(map, thread * 5_000..(thread + 1) * 5_000));
        }
    });
    each((0..20_000).step_by(997), |key| map.read(key, |value| *value));
}
