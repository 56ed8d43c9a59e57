//! The time of look-ups: the mean of many, and the median and the slowest of a hundred single ones.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::maps::Map;
use super::rows::{Call, ROOM, Row, Stream};
use crate::clock::{Account, Stretch, cost, now, own};
use crate::contest::median;
use crate::keys::Rng;
use crate::latency::sampled;
use crate::watchdog;

/// Look-ups between two looks at the clock.
const CHUNK: usize = 256;

/// Nanoseconds after which a stretch ends.
const STRETCH: u64 = 500_000;

/// Nanoseconds after which a map is warm that is slow.
const TIME_LIMIT: u64 = 4_000_000_000;

/// How long to look.
#[derive(Clone, Copy)]
pub struct Pace {
    /// Turns of each map.
    pub rounds: usize,
    /// How long a turn is that gives a mean.
    pub mean: Duration,
    /// How long one is in which each look-up is timed.
    pub each: Duration,
}

/// The time of look-ups of one map with one budget.
pub struct Point {
    /// The map.
    pub map: &'static str,
    /// The budget, as a share of the plain map's memory.
    pub budget: f64,
    /// The memory that it takes.
    pub memory: f64,
    /// All rows alike often.
    pub uniform: Reads,
    /// By Zipf's law.
    pub zipf: Reads,
}

/// Nanoseconds of look-ups.
#[derive(Clone, Copy)]
pub struct Reads {
    /// The mean.
    pub mean: f64,
    /// Half took longer.
    pub p50: f64,
    /// One in a hundred took longer.
    pub p99: f64,
    /// The part that found their row where it is read at once: plain, or in the cache at all.
    pub hits: f64,
}

/// The result of a turn.
struct Turn {
    mean: f64,
    hits: f64,
    p50: f64,
    p99: f64,
}

/// The maps that take turns, all of the same rows.
pub struct Runners<'a> {
    rows: &'a [Row],
    streams: &'a [Stream; 2],
    all: Vec<Box<dyn Runner + 'a>>,
}

impl<'a> Runners<'a> {
    /// None yet.
    pub fn new(rows: &'a [Row], streams: &'a [Stream; 2]) -> Self {
        Self { rows, streams, all: vec![] }
    }

    /// A map with all rows in it, as far as it takes them.
    #[allow(clippy::cast_sign_loss, reason = "room is none or some")]
    pub fn add<M: Map>(&mut self, room: f64, budget: f64, memory: f64) {
        watchdog::pat(format!("{} growing", M::NAME));
        let mut map = M::new(room as usize, self.rows);
        for (key, value) in self.rows {
            let there = map.insert(key, value);
            assert!(there, "{} has no room at {budget:.3}", M::NAME);
        }
        map.finish_work();
        let places = [0; 2];
        let (rows, into) = (self.rows, vec![0; ROOM]);
        self.all.push(Box::new(Holder { map, rows, into, budget, memory, places }));
    }

    /// Look-ups of both kinds, evenly first: rows that Zipf's law makes hot would stay hot.
    pub fn race(&mut self, pace: &Pace) -> Vec<Point> {
        let mut rng = Rng::new(5);
        let mut kinds = [0, 1].map(|kind| {
            for runner in &mut self.all {
                watchdog::pat(format!("{} warming up", runner.name()));
                runner.warm(&self.streams[kind]);
            }
            let mut turns: Vec<Vec<Turn>> = self.all.iter().map(|_| vec![]).collect();
            for _ in 0..pace.rounds {
                let mut order: Vec<_> = (0..self.all.len()).collect();
                rng.shuffle(&mut order);
                for runner in order {
                    watchdog::pat(format!("{} reading", self.all[runner].name()));
                    turns[runner].push(self.all[runner].turn(&self.streams[kind], kind, pace));
                }
            }
            turns.into_iter().map(|turns| middle(&turns)).collect::<Vec<_>>().into_iter()
        });
        let [uniform, zipf] = &mut kinds;
        let both = self.all.iter().zip(uniform.zip(zipf));
        both.map(|(runner, (uniform, zipf))| runner.point(uniform, zipf)).collect()
    }
}

fn middle(turns: &[Turn]) -> Reads {
    let of = |figure: fn(&Turn) -> f64| {
        median(&turns.iter().map(figure).collect::<Vec<_>>()).unwrap_or(f64::NAN)
    };
    Reads { mean: of(|t| t.mean), p50: of(|t| t.p50), p99: of(|t| t.p99), hits: of(|t| t.hits) }
}

/// A map's place among those that take turns: the only calls through a pointer.
trait Runner {
    fn name(&self) -> &'static str;
    /// All look-ups once. The caller inserts rows that a cache has evicted, as its user would.
    fn warm(&mut self, stream: &Stream);
    /// Times look-ups from where it stopped.
    fn turn(&mut self, stream: &Stream, kind: usize, pace: &Pace) -> Turn;
    fn point(&self, uniform: Reads, zipf: Reads) -> Point;
}

struct Holder<'a, M> {
    map: M,
    rows: &'a [Row],
    into: Vec<u8>,
    budget: f64,
    memory: f64,
    /// Where it stopped in each stream.
    places: [usize; 2],
}

impl<M: Map> Runner for Holder<'_, M> {
    fn name(&self) -> &'static str {
        M::NAME
    }

    fn warm(&mut self, stream: &Stream) {
        warm(&mut self.map, self.rows, stream, &mut self.into);
        self.map.finish_work();
    }

    fn turn(&mut self, stream: &Stream, kind: usize, pace: &Pace) -> Turn {
        let (before, mut found, mut asked) = (self.map.hits(), 0, 0);
        let account = Account::open();
        let mut stretches = vec![];
        let (begin, mut waited) = (now(), account.waited());
        while now() - begin < pace.mean.as_nanos() as u64 {
            let (start, mut ops) = (now(), 0);
            while now() - start < STRETCH {
                let chunks = stream.asks().len() / CHUNK;
                let next = self.places[kind] % chunks;
                self.places[kind] += 1;
                let asks = &stream.asks()[next * CHUNK..][..CHUNK];
                found += chunk(&mut self.map, stream, asks, &mut self.into);
                ops += CHUNK as u64;
            }
            let (end, until) = (now(), account.waited());
            stretches.push(Stretch { start, end, waited: until - waited, ops, parts: [0; 2] });
            (waited, asked) = (until, asked + ops);
        }
        let hits = match (before, self.map.hits()) {
            (Some(then), Some(now)) => {
                let (hits, misses) = (now.0 - then.0, now.1 - then.1);
                hits as f64 / (hits + misses).max(1) as f64
            }
            _ => found as f64 / asked as f64,
        };
        let mut next = self.places[kind] * CHUNK % stream.asks().len();
        let each = sampled(pace.each, &AtomicBool::new(false), || {
            let ask = stream.asks()[next];
            next = if next + 1 == stream.asks().len() { 0 } else { next + 1 };
            let read = self.map.read(stream.key(ask), &mut self.into);
            assert!(M::FORGETS || read.is_some(), "{} has lost a row", M::NAME);
        });
        self.places[kind] = next / CHUNK + 1;
        let pauses = each.pauses(own());
        let mean = cost(&[stretches]).expect("one thread is never apart");
        Turn { mean, hits, p50: pauses.median, p99: pauses.p99 }
    }

    fn point(&self, uniform: Reads, zipf: Reads) -> Point {
        Point { map: M::NAME, budget: self.budget, memory: self.memory, uniform, zipf }
    }
}

/// How many found their row.
#[inline(never)]
fn chunk<M: Map>(map: &mut M, stream: &Stream, asks: &[Call], into: &mut [u8]) -> u64 {
    let mut found = 0;
    for &ask in asks {
        if let Some(len) = map.read(stream.key(ask), into) {
            ask.check(&into[..len], M::NAME);
            found += 1;
        } else {
            assert!(M::FORGETS, "{} has lost a row", M::NAME);
        }
    }
    found
}

/// Looks up all of a stream, or as much of it as the time limit allows, and inserts rows that a cache has evicted.
pub fn warm<M: Map>(map: &mut M, rows: &[Row], stream: &Stream, into: &mut [u8]) {
    let begin = now();
    for (n, &ask) in stream.asks().iter().enumerate() {
        if n.is_multiple_of(CHUNK) && now() - begin > TIME_LIMIT {
            return;
        }
        if map.read(stream.key(ask), into).is_none() {
            let (key, value) = &rows[ask.row as usize];
            map.insert(key, value);
        }
    }
}
