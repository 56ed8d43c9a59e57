//! Measurements in a process of their own: memory, because maps would pay for each other, and single writes, because a
//! heap that other maps have left behind causes no page faults.

use std::path::Path;

use hedgerow::CompressedMap;
use hedgerow::compressed::codec::{Codec as _, Lz4, SmallText, Work};

use super::maps::{Map, Ours, Tail, Visitor, fill};
use super::reads::warm;
use super::rows::{ROOM, Row, Stream, load, order};
use crate::clock::{cpu, own};
use crate::contest::median;
use crate::keys::Rng;
use crate::memory;
use crate::worst::{Pauses, Timer};

/// The measurements of a process of its own.
pub const BYTES: &str = "rows-bytes";
/// See [`BYTES`].
pub const LEAST: &str = "rows-least";
/// See [`BYTES`].
pub const WRITES: &str = "rows-writes";
/// See [`BYTES`].
pub const STEPS: &str = "rows-steps";
/// See [`BYTES`].
pub const DEFERRED: &str = "rows-deferred";
/// See [`BYTES`].
pub const CODEC: &str = "rows-codec";

/// Look-ups after which a map has what it keeps.
const WARM_UP: usize = 1 << 18;

/// The bytes that a call may compress ahead of writers, about.
const STEP: usize = 4096;
/// The number of writes between two calls.
const EVERY: usize = 8;

/// Bytes of a change.
const CHANGE: usize = 24;

/// The length of values in the measurement of codecs.
const KIBIBYTE: usize = 1024;

/// The question, in one word.
pub fn words(path: &Path, map: &str, room: f64) -> String {
    format!("{}\n{map}\n{room:.0}", path.display())
}

/// The median of each figure.
pub fn middle<const N: usize>(runs: &[[f64; N]]) -> [f64; N] {
    std::array::from_fn(|figure| {
        median(&runs.iter().map(|run| run[figure]).collect::<Vec<_>>()).unwrap_or(f64::NAN)
    })
}

/// Bytes for which a plain map asks: its table, a power of two of places of which an eighth stays free, and boxes.
pub fn asked(rows: &[Row]) -> f64 {
    let places = (rows.len() * 8 / 7).next_power_of_two();
    (places * (size_of::<Row>() + 1) + super::rows::text(rows)) as f64
}

/// Nanoseconds of single writes.
pub struct Writes {
    /// Each row is inserted.
    pub insert: Pauses,
    /// The mean of that.
    pub inserted: f64,
    /// As many times a row is replaced, by Zipf's law.
    pub replace: Pauses,
    /// The mean of that.
    pub replaced: f64,
}

impl Writes {
    /// Numbers in it.
    pub const FIGURES: usize = 2 * (PAUSES + 1);

    /// From its numbers.
    pub fn of(figures: &[f64; Self::FIGURES]) -> Self {
        let (insert, replace) = figures.split_at(PAUSES + 1);
        let mean = |figures: &[f64]| figures[PAUSES];
        let (inserted, replaced) = (mean(insert), mean(replace));
        Self { insert: pauses(insert), inserted, replace: pauses(replace), replaced }
    }
}

/// Numbers in [`Pauses`].
const PAUSES: usize = 5;

fn pauses(figures: &[f64]) -> Pauses {
    let [worst, p9999, p999, p99, median] = *figures.first_chunk::<PAUSES>().expect("all of them");
    Pauses { worst, p9999, p999, p99, median }
}

/// Nanoseconds of single steps, and of the writes between them.
pub struct Steps {
    /// A step.
    pub step: Pauses,
    /// An insert or a replacement.
    pub write: Pauses,
}

impl Steps {
    /// Numbers in it.
    pub const FIGURES: usize = 2 * PAUSES;

    /// From its numbers.
    pub fn of(figures: &[f64; Self::FIGURES]) -> Self {
        let (step, write) = figures.split_at(PAUSES);
        Self { step: pauses(step), write: pauses(write) }
    }
}

/// Nanoseconds of a change of 24 bytes to a cold value, everything included that writers have to do later.
pub struct Deferred {
    /// Noted only.
    pub noted: f64,
    /// Read, changed and stored.
    pub updated: f64,
    /// The part of the changes that there was room for, of either kind the lesser.
    pub done: f64,
}

impl Deferred {
    /// Numbers in it.
    pub const FIGURES: usize = 3;

    /// From its numbers.
    pub fn of(&[noted, updated, done]: &[f64; Self::FIGURES]) -> Self {
        Self { noted, updated, done }
    }
}

/// Codecs on values of a kibibyte: text of the rows, one behind the other.
pub struct Codec {
    /// Nanoseconds by LZ4 with a dictionary.
    pub lz4: f64,
    /// Nanoseconds by the small-text codec.
    pub small: f64,
    /// The compressed share of a byte by the first.
    pub lz4_ratio: f64,
    /// The compressed share of a byte by the second.
    pub small_ratio: f64,
}

impl Codec {
    /// From its numbers.
    pub fn of(&[lz4, small, lz4_ratio, small_ratio]: &[f64; 4]) -> Self {
        Self { lz4, small, lz4_ratio, small_ratio }
    }
}

/// Runs the measurement of this name; returns whether it exists.
pub fn answer(what: &str, words: &str) -> bool {
    let mut words = words.split('\n');
    let mut word = || words.next().unwrap_or_default();
    let (path, map, room) = (Path::new(word()).to_path_buf(), word(), word().parse());
    let load = || load(&path).expect("a readable set of rows");
    let room = || *room.as_ref().expect("room is a number");
    match what {
        BYTES | WRITES => {
            super::with(map, &mut Clerk { what, rows: &load(), room: room() });
        }
        LEAST => print(&[least(&load(), room())]),
        STEPS => print(&steps(&load(), room())),
        DEFERRED => print(&deferred(&load(), room())),
        CODEC => print(&codec(&load())),
        _ => return false,
    }
    true
}

fn print(figures: &[f64]) {
    let words: Vec<_> = figures.iter().map(ToString::to_string).collect();
    println!("{}", words.join(" "));
}

/// Measures the one map that was asked for.
struct Clerk<'a> {
    what: &'a str,
    rows: &'a [Row],
    room: usize,
}

impl Visitor for Clerk<'_> {
    fn visit<M: Map>(&mut self) {
        if self.what == BYTES {
            print(&[bytes::<M>(self.rows, self.room)]);
        } else {
            print(&writes::<M>(self.rows, self.room));
        }
    }
}

/// Bytes that a map takes from the allocator when it is full, and was read for a while.
fn bytes<M: Map>(rows: &[Row], room: usize) -> f64 {
    let stream = Stream::new(rows, &order(rows.len(), WARM_UP, true, 4));
    let mut into = vec![0; ROOM];
    memory::start();
    let mut map = M::new(room, rows);
    for (key, value) in rows {
        assert!(map.insert(key, value), "{} has no room", M::NAME);
    }
    warm(&mut map, rows, &stream, &mut into);
    map.finish_work();
    memory::stop() as f64
}

/// The least budget in which ours holds all rows, to a hundredth of the plain map's memory.
fn least(rows: &[Row], plain: usize) -> f64 {
    let (mut little, mut enough) = (4, 100);
    let fits = |budget: usize| fill(&CompressedMap::with_budget(plain / 100 * budget), rows);
    while enough - little > 1 {
        let middle = usize::midpoint(little, enough);
        *(if fits(middle) { &mut enough } else { &mut little }) = middle;
    }
    // Hashes differ from map to map, so a map at the edge may be beyond it the next time.
    while !(0..2).all(|_| fits(enough)) {
        enough += 1;
    }
    enough as f64 / 100.0
}

/// Writes end there, and count as far as they came.
fn refused(map: &str) {
    eprintln!("{map} has refused what it had room for");
}

/// The figures of [`Writes`].
fn writes<M: Map>(rows: &[Row], room: usize) -> [f64; Writes::FIGURES] {
    let again = order(rows.len(), rows.len(), true, 6);
    let mut timer = Timer::new(rows.len());
    let mut map = M::new(room, rows);
    for (key, value) in rows {
        let there = timer.time(|| map.insert(key, value));
        assert!(there, "{} has no room", M::NAME);
    }
    let inserts = (timer.mean() - own(), timer.pauses());
    let mut timer = Timer::new(rows.len());
    for row in again {
        let (key, value) = &rows[row as usize];
        if !timer.time(|| map.insert(key, value)) {
            refused(M::NAME);
            break;
        }
    }
    let replaces = (timer.mean() - own(), timer.pauses());
    let mut figures = [0.0; Writes::FIGURES];
    let kinds = [inserts, replaces];
    for (into, (mean, pauses)) in figures.chunks_mut(PAUSES + 1).zip(kinds) {
        into[..PAUSES].copy_from_slice(&numbers(pauses));
        into[PAUSES] = mean;
    }
    figures
}

fn numbers(p: Pauses) -> [f64; PAUSES] {
    [p.worst, p.p9999, p.p999, p.p99, p.median]
}

/// The figures of [`Steps`]: all rows are inserted and then as many replaced, and a step ahead is made every few.
fn steps(rows: &[Row], budget: usize) -> [f64; Steps::FIGURES] {
    let again = order(rows.len(), rows.len(), true, 6);
    let mut steps = Timer::new(2 * rows.len() / EVERY + 1);
    let mut writes = Timer::new(2 * rows.len());
    let map = CompressedMap::with_budget(budget);
    let all = rows.iter().chain(again.iter().map(|&row| &rows[row as usize]));
    for (n, (key, value)) in all.enumerate() {
        if writes.time(|| map.insert(key, value)).is_err() {
            refused(Ours::NAME);
            break;
        }
        if n % EVERY == 0 {
            steps.time(|| map.compress_step(STEP));
        }
    }
    let mut figures = [0.0; Steps::FIGURES];
    figures[..PAUSES].copy_from_slice(&numbers(steps.pauses()));
    figures[PAUSES..].copy_from_slice(&numbers(writes.pauses()));
    figures
}

/// The figures of [`Deferred`]: as many changes as there are rows, evenly spread, in maps that are alike. The first
/// that is refused is the last.
fn deferred(rows: &[Row], budget: usize) -> [f64; Deferred::FIGURES] {
    let order = order(rows.len(), rows.len(), false, 8);
    let change = [b'0'; CHANGE];
    let [(noted, kept), (updated, made)] = [true, false].map(|noted| {
        let builder = CompressedMap::builder(budget).codec(SmallText::new()).codec(Lz4::new());
        let map = builder.merge(Tail).build();
        assert!(fill(&map, rows), "there is room");
        let one = |key: &[u8]| {
            if noted {
                return map.modify_deferred(key, &change).is_ok();
            }
            let changed = map.update(key, |mut value| {
                Tail::apply(&mut value, &change);
                Some(value)
            });
            assert_ne!(changed, Ok(false), "a row is lost");
            changed.is_ok()
        };
        let begin = cpu();
        let done = order.iter().take_while(|&&row| one(&rows[row as usize].0)).count();
        ((cpu() - begin) as f64 / done as f64, done)
    });
    [noted, updated, kept.min(made) as f64 / order.len() as f64]
}

/// The figures of [`Codec`].
fn codec(rows: &[Row]) -> [f64; 4] {
    const ROUNDS: usize = 9;
    let text: Vec<u8> = rows.iter().flat_map(|(_, value)| value.iter().copied()).collect();
    let mut values: Vec<&[u8]> = text.chunks_exact(KIBIBYTE).collect();
    Rng::new(9).shuffle(&mut values);
    // A megabyte is learned from, and as many others are compressed.
    let (learned, others) = values.split_at(values.len().min(2048) / 2);
    let others = &others[..others.len().min(1024)];
    let models = [Lz4::new().train(learned, 1 << 20), SmallText::new().train(learned, 1 << 20)];
    let (mut work, mut into) = (Work::new(), vec![0; 2 * KIBIBYTE]);
    let figures = models.map(|model| {
        let Some(model) = model else { return [f64::NAN, 1.0] };
        let mut left = 0;
        let mut round = || {
            let begin = cpu();
            left = 0;
            for value in others {
                left += model.compress(value, &mut into, &mut work).unwrap_or(value.len());
            }
            (cpu() - begin) as f64 / others.len() as f64
        };
        let times: Vec<f64> = (0..ROUNDS).map(|_| round()).collect();
        let ratio = left as f64 / (others.len() * KIBIBYTE) as f64;
        [median(&times).unwrap_or(f64::NAN), ratio]
    });
    [figures[0][0], figures[1][0], figures[0][1], figures[1][1]]
}
