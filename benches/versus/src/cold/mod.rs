//! Much data in little memory: `CompressedMap` beside a plain map, and beside caches and maps of compressed values.
//!
//! Memory, the time of writes and the worst write are measured in processes of their own ([`apart`]); look-ups are
//! timed in rounds in which the maps take turns ([`reads`]).

pub mod apart;
pub mod maps;
pub mod reads;
pub mod rows;

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::solo;
use crate::watchdog;
use apart::{Codec, Deferred, Steps, Writes};
use maps::{AllCold, Behind, Map, Moka, Ours, Plain, Quick, SomeHot, Visitor};
use reads::{Pace, Point, Runners};
use rows::{Row, Source, Stream};

/// Everything that was measured of one set of rows.
pub struct Measurements {
    /// Its name.
    pub set: String,
    /// Rows.
    pub rows: usize,
    /// Bytes of keys and values.
    pub text: usize,
    /// Bytes that a plain map of them takes.
    pub plain: f64,
    /// Bytes that a plain map asks the allocator for, which takes more.
    pub asked: f64,
    /// Bytes that Redis takes, if somebody has asked it.
    pub redis: Option<f64>,
    /// The least budget in which ours holds them, as a share of the plain map's memory.
    pub least: f64,
    /// The time of look-ups, by map and memory.
    pub points: Vec<Point>,
    /// The time of writes, by map.
    pub writes: Vec<Write>,
    /// Pauses of compressing ahead.
    pub steps: Steps,
    /// The time of deferred changes, and of direct ones.
    pub deferred: Deferred,
    /// The time to compress a kibibyte.
    pub codec: Codec,
}

impl Measurements {
    /// Returns the time of look-ups of a map with this budget.
    pub fn point(&self, map: &str, budget: f64) -> Option<&Point> {
        self.points.iter().find(|p| p.map == map && (p.budget - budget).abs() < 0.001)
    }

    /// Returns the time of our look-ups at the least budget.
    pub fn coldest(&self) -> Option<&Point> {
        self.point(Ours::NAME, self.least)
    }
}

/// The time of writes to one map.
pub struct Write {
    /// The map.
    pub map: &'static str,
    /// Its budget, as a share of the plain map's memory; a map without one grows freely.
    pub budget: Option<f64>,
    /// The figures.
    pub writes: Writes,
}

/// How much is measured.
pub struct Plan {
    /// Budgets beside the least, as shares of the plain map's memory.
    pub budgets: &'static [f64],
    /// Look-ups in a stream.
    pub asks: usize,
    /// Rows up to which a map takes part that takes tens of microseconds to store one.
    pub slow: usize,
    /// Processes of which the median counts, where pauses are measured.
    pub runs: usize,
    /// Of the rounds.
    pub pace: Pace,
}

impl Plan {
    /// The long one or the short one.
    pub fn new(quick: bool) -> Self {
        let times = |rounds, mean, each| Pace {
            rounds,
            mean: Duration::from_millis(mean),
            each: Duration::from_millis(each),
        };
        if quick {
            let budgets = &[HALF, 0.75];
            Self { budgets, asks: 1 << 19, slow: 1 << 18, runs: 1, pace: times(3, 25, 40) }
        } else {
            let budgets = &[0.4, HALF, 0.6, 0.75, 0.9, 1.0];
            Self { budgets, asks: 1 << 22, slow: 1 << 20, runs: 3, pace: times(7, 150, 250) }
        }
    }
}

/// The budget of which the goals speak.
pub const HALF: f64 = 0.5;

/// Half, or a little more than the least where that is not enough.
fn half(least: f64) -> f64 {
    HALF.max(least * 1.15)
}

/// Measures all sets, as far as their files can be read.
pub fn run(sources: &[Source], plan: &Plan) -> Vec<Measurements> {
    let one = |source: &Source| {
        eprintln!("rows: {}", source.name);
        let figures = set(source, plan);
        figures.map_err(|why| eprintln!("{}: {why}", source.path.display())).ok()
    };
    sources.iter().filter_map(one).collect()
}

/// Has a process of its own measure something.
fn ask<const N: usize>(what: &str, words: &str) -> [f64; N] {
    watchdog::pat(what.into());
    solo::ask(what, words)
}

/// The task of a process of its own.
struct Errand<'a> {
    path: &'a Path,
    plan: &'a Plan,
}

impl Errand<'_> {
    /// Bytes that a map takes, full and at work.
    fn bytes(&self, map: &str, room: f64) -> f64 {
        let [bytes] = ask(apart::BYTES, &apart::words(self.path, map, room));
        bytes
    }

    /// Returns the capacity that lets a cache take this much memory, and the memory that it then takes: a cache weighs
    /// keys and values without their overhead.
    fn room(&self, map: &str, bytes: f64) -> (f64, f64) {
        let (mut room, mut taken) = (bytes, self.bytes(map, bytes));
        // Where all have room it takes what it takes, and that may be less.
        for _ in 0..2 {
            if taken < bytes * 1.03 {
                break;
            }
            room *= bytes / taken;
            taken = self.bytes(map, room);
        }
        (room, taken)
    }

    fn writes(&self, map: &'static str, room: f64, budget: Option<f64>) -> Write {
        let runs = || ask(apart::WRITES, &apart::words(self.path, map, room));
        let runs: Vec<[f64; Writes::FIGURES]> = (0..self.plan.runs).map(|_| runs()).collect();
        Write { map, budget, writes: Writes::of(&apart::middle(&runs)) }
    }
}

fn set(source: &Source, plan: &Plan) -> io::Result<Measurements> {
    watchdog::pat(format!("{} being read", source.name));
    let rows = rows::load(&source.path)?;
    let errand = Errand { path: &source.path, plan };
    let whole = errand.bytes(Plain::NAME, 0.0);
    let words = |room: f64| apart::words(&source.path, Ours::NAME, room);
    let [least] = ask(apart::LEAST, &words(whole));
    let half = whole * half(least);
    let runs = || ask(apart::STEPS, &words(half));
    let steps: Vec<[f64; Steps::FIGURES]> = (0..plan.runs).map(|_| runs()).collect();
    let deferred = ask(apart::DEFERRED, &words(half));
    let codec = ask(apart::CODEC, &words(0.0));
    let mut figures = Measurements {
        set: source.name.clone(),
        rows: rows.len(),
        text: rows::text(&rows),
        plain: whole,
        asked: apart::asked(&rows),
        redis: source.redis().map(|bytes| bytes * rows.len() as f64),
        least,
        points: vec![],
        writes: vec![],
        steps: Steps::of(&apart::middle(&steps)),
        deferred: Deferred::of(&deferred),
        codec: Codec::of(&codec),
    };
    look_ups(&mut figures, &errand, &rows);
    writes(&mut figures, &errand);
    Ok(figures)
}

/// Measures look-ups for all budgets; a map without a budget is measured once.
fn look_ups(figures: &mut Measurements, errand: &Errand, rows: &[Row]) {
    let streams = [false, true].map(|zipf| {
        let order = rows::order(rows.len(), errand.plan.asks, zipf, 4);
        Stream::new(rows, &order)
    });
    let (plain, least) = (figures.plain, figures.least);
    let mut budgets = vec![least];
    budgets.extend(errand.plan.budgets.iter().copied().filter(|&budget| budget > least * 1.05));
    for &budget in &budgets {
        let bytes = budget * plain;
        let mut runners = Runners::new(rows, &streams);
        runners.add::<Plain>(0.0, 1.0, 1.0);
        let part = |map: &str, room: f64| errand.bytes(map, room) / plain;
        runners.add::<Ours>(bytes, budget, part(Ours::NAME, bytes));
        let (room, taken) = errand.room(Quick::NAME, bytes);
        runners.add::<Quick>(room, budget, taken / plain);
        runners.add::<Behind>(room, budget, taken / plain);
        let (room, taken) = errand.room(Moka::NAME, bytes);
        runners.add::<Moka>(room, budget, taken / plain);
        if (budget - HALF).abs() < 0.001 && rows.len() <= errand.plan.slow {
            runners.add::<AllCold>(0.0, 1.0, part(AllCold::NAME, 0.0));
            runners.add::<SomeHot>(0.0, 1.0, part(SomeHot::NAME, 0.0));
        }
        figures.points.extend(runners.race(&errand.plan.pace));
    }
}

fn writes(figures: &mut Measurements, errand: &Errand) {
    let plain = figures.plain;
    let part = half(figures.least);
    let half = Some(part);
    let slow = figures.rows <= errand.plan.slow;
    let mut add = |write| figures.writes.push(write);
    add(errand.writes(Plain::NAME, 0.0, None));
    add(errand.writes(Ours::NAME, plain * part, half));
    add(errand.writes(Ours::NAME, plain, Some(1.0)));
    add(errand.writes(Quick::NAME, plain * part, half));
    add(errand.writes(Moka::NAME, plain * part, half));
    if slow {
        add(errand.writes(AllCold::NAME, 0.0, None));
        add(errand.writes(SomeHot::NAME, 0.0, None));
    }
}

/// Does something with the map of a name.
pub fn with(name: &str, visitor: &mut impl Visitor) {
    maps::all(&mut Named { name, visitor });
}

struct Named<'a, V> {
    name: &'a str,
    visitor: &'a mut V,
}

impl<V: Visitor> Visitor for Named<'_, V> {
    fn visit<M: Map>(&mut self) {
        if M::NAME == self.name {
            self.visitor.visit::<M>();
        }
    }
}
