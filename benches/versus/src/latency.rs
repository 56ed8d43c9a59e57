//! How long the slowest look-ups take, each timed by itself: at rest, and while
//! the writer changes and publishes many keys ten times a second.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::clock::{Account, now, own};
use crate::contest::median;
use crate::data::Word;
use crate::keys::Rng;
use crate::pairs::{self, Pair, Reader, Visitor, Writer};
use crate::rivals::Role;
use crate::run::pairs::Handles;
use crate::watchdog;
use crate::work::pairs::Script;
use crate::worst::Pauses;

/// Keys in each map.
pub const KEYS: usize = 1 << 20;

/// Keys that are changed and published at once.
pub const CHANGED: usize = 10_000;

/// From one publish to the next.
const PERIOD: Duration = Duration::from_millis(100);

/// From this on, the scheduler is asked whether the reader had a core.
const SUSPICIOUS: u64 = 10_000;

/// The number of look-ups between two readings of the lost time, so that a slow
/// look-up is not charged for time that was lost before it.
const OFTEN: u32 = 1024;

/// Look-ups of one map, less what the clock takes itself.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// While nobody writes.
    pub rest: Pauses,
    /// While somebody writes and publishes; not of maps for one thread.
    pub busy: Option<Pauses>,
}

/// How long to look.
#[derive(Clone, Copy)]
pub struct Times {
    /// Turns of each map.
    pub rounds: usize,
    /// At rest.
    pub rest: Duration,
    /// While the writer is at work.
    pub busy: Duration,
}

/// The clock asked twice with nothing between, and all maps.
pub struct Latencies {
    /// The time of the clock alone.
    pub clock: Pauses,
    /// The time of look-ups, by map.
    pub maps: Vec<(&'static str, Latency)>,
}

/// Times look-ups in all maps, which take turns.
pub fn run(times: Times) -> Latencies {
    eprintln!("latency at {KEYS} keys");
    let mut found = Found(vec![]);
    pairs::numbers(&mut found);
    for map in &mut found.0 {
        watchdog::pat(format!("{} growing", map.name()));
        map.build();
    }
    let reads = Script::gets(KEYS, true, 5).words;
    let writes = Script::gets(KEYS, false, 6).words;
    let script = Work { reads: &reads, writes: &writes };
    let mut rng = Rng::new(7);
    let mut turns: Vec<_> = (0..found.0.len()).collect();
    let mut clock = vec![];
    let mut rounds = vec![(vec![], vec![]); turns.len()];
    for _ in 0..times.rounds {
        clock.push(sampled(times.rest, &AtomicBool::new(false), || {}).pauses(0.0));
        rng.shuffle(&mut turns);
        for &i in &turns {
            let map = &mut found.0[i];
            watchdog::pat(format!("{} in latency", map.name()));
            // Warm, then at rest, then at work.
            map.look(script, times.rest / 4, false);
            rounds[i].0.push(map.look(script, times.rest, false));
            if map.shared() {
                rounds[i].1.push(map.look(script, times.busy, true));
            }
        }
    }
    let maps = found.0.iter().zip(&rounds);
    let maps = maps.filter_map(|(map, (rest, busy))| {
        Some((map.name(), Latency { rest: middle(rest)?, busy: middle(busy) }))
    });
    Latencies { clock: middle(&clock).expect("there is a round"), maps: maps.collect() }
}

/// The median of each figure.
fn middle(rounds: &[Pauses]) -> Option<Pauses> {
    let of = |figure: fn(&Pauses) -> f64| median(&rounds.iter().map(figure).collect::<Vec<_>>());
    Some(Pauses {
        worst: of(|p| p.worst)?,
        p9999: of(|p| p.p9999)?,
        p999: of(|p| p.p999)?,
        p99: of(|p| p.p99)?,
        median: of(|p| p.median)?,
    })
}

/// Keys to read and to write, again and again.
#[derive(Clone, Copy)]
struct Work<'a> {
    reads: &'a [u64],
    writes: &'a [u64],
}

/// A map whose look-ups are timed.
trait Timed {
    fn name(&self) -> &'static str;
    fn shared(&self) -> bool;
    fn build(&mut self);
    fn look(&mut self, work: Work, time: Duration, busy: bool) -> Pauses;
}

struct Map<P: Pair<u64>> {
    handles: Option<Handles<P>>,
    /// Where reader and writer stopped.
    places: [usize; 2],
}

impl<P: Pair<u64>> Timed for Map<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn shared(&self) -> bool {
        P::ROLE != Role::Yard
    }

    fn build(&mut self) {
        self.handles = Some(Handles::built(KEYS));
    }

    fn look(&mut self, work: Work, time: Duration, busy: bool) -> Pauses {
        let Handles { writer, reader } = self.handles.as_mut().expect("it is built");
        let [read, written] = &mut self.places;
        let done = &AtomicBool::new(false);
        let samples = std::thread::scope(|scope| {
            if busy {
                scope.spawn(|| changes::<P>(writer, work.writes, written, done));
            }
            let reads = scope.spawn(|| {
                sampled(time, done, || {
                    let key = &work.reads[*read];
                    *read = (*read + 1) % work.reads.len();
                    assert!(reader.get(key, u64::look).is_some(), "a key is lost");
                })
            });
            reads.join().expect("threads do not panic")
        });
        samples.pauses(own())
    }
}

/// Changes and publishes until it is `done`.
fn changes<P: Pair<u64>>(
    writer: &mut P::Writer,
    keys: &[u64],
    place: &mut usize,
    done: &AtomicBool,
) {
    let mut due = Instant::now();
    while !done.load(Ordering::Relaxed) {
        let next = keys[*place..].iter().take(CHANGED);
        next.for_each(|&key| writer.insert(key, u64::new(key, *place as u64)));
        writer.publish();
        *place = if *place + 2 * CHANGED > keys.len() { 0 } else { *place + CHANGED };
        // A late round does not shorten the next one.
        due = (due + PERIOD).max(Instant::now());
        while Instant::now() < due && !done.load(Ordering::Relaxed) {
            std::thread::sleep((due - Instant::now()).min(Duration::from_millis(5)));
        }
    }
}

/// Times `work` over and over, then says that it is `done`.
pub(crate) fn sampled(time: Duration, done: &AtomicBool, mut work: impl FnMut()) -> Samples {
    let account = Account::open();
    let mut samples = Samples::new();
    let mut waited = account.waited();
    let end = now() + time.as_nanos() as u64;
    let mut since = 0;
    loop {
        let start = now();
        work();
        let stop = now();
        let mut spent = stop - start;
        since += 1;
        if spent >= SUSPICIOUS || since == OFTEN {
            since = 0;
            let until = account.waited();
            spent = spent.saturating_sub(until - waited);
            waited = until;
        }
        samples.add(spent);
        if stop >= end {
            done.store(true, Ordering::Relaxed);
            return samples;
        }
    }
}

/// How many look-ups took how long: to the nanosecond up to [`EXACT`], and
/// beyond that to one part in as many.
pub(crate) struct Samples {
    counts: Vec<u32>,
    worst: u64,
}

/// A power of two, small enough for the counts not to fill the caches.
const EXACT: u64 = 256;

impl Samples {
    fn new() -> Self {
        Self { counts: vec![0; Self::place(u64::MAX) + 1], worst: 0 }
    }

    /// The first half of each power of two's places is those of the one before.
    fn place(ns: u64) -> usize {
        let shift = (ns / EXACT).checked_ilog2().map_or(0, |log| log + 1);
        (u64::from(shift) * (EXACT / 2) + (ns >> shift)) as usize
    }

    /// The least that has this place.
    fn least(place: usize) -> u64 {
        let (place, half) = (place as u64, EXACT / 2);
        let shift = (place / half).saturating_sub(1);
        (place - shift * half) << shift
    }

    #[inline]
    fn add(&mut self, ns: u64) {
        self.counts[Self::place(ns)] += 1;
        self.worst = self.worst.max(ns);
    }

    /// Returns the measured pauses, less `clock` nanoseconds.
    pub(crate) fn pauses(&self, clock: f64) -> Pauses {
        let all: u64 = self.counts.iter().map(|&count| u64::from(count)).sum();
        // The time that one in `slower` look-ups exceeds.
        let one_in = |slower: u64| {
            let mut above = 0;
            let place = self.counts.iter().rposition(|&count| {
                above += u64::from(count);
                above > all / slower
            });
            Self::least(place.unwrap_or(0)) as f64 - clock
        };
        Pauses {
            worst: self.worst as f64 - clock,
            p9999: one_in(10_000),
            p999: one_in(1_000),
            p99: one_in(100),
            median: one_in(2),
        }
    }
}

/// Collects the maps.
struct Found(Vec<Box<dyn Timed>>);

impl Visitor<u64> for Found {
    fn visit<P: Pair<u64>>(&mut self) {
        self.0.push(Box::new(Map::<P> { handles: None, places: [0; 2] }));
    }
}

#[cfg(test)]
mod tests {
    use super::Samples;

    #[test]
    fn places_follow_each_other_and_know_their_least() {
        let mut before = 0;
        for ns in (0..5000).chain((5000..1 << 40).step_by((1 << 34) + 77)) {
            let place = Samples::place(ns);
            assert!(place >= before);
            before = place;
            let least = Samples::least(place);
            assert!(least <= ns && ns - least <= ns / 128, "{ns} has the place of {least}");
            assert_eq!(Samples::place(least), place);
        }
        assert!(Samples::least(Samples::place(u64::MAX)) > 1 << 63);
    }

    #[test]
    fn percentiles_are_those_of_the_samples() {
        let mut samples = Samples::new();
        (1..=200).for_each(|ns| samples.add(ns));
        let pauses = samples.pauses(1.0);
        let whole = [pauses.median, pauses.p99, pauses.worst].map(|ns| ns as i64);
        assert_eq!(whole, [99, 197, 199]);
    }
}
