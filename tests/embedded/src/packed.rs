//! A map that compresses, on a board of 64 KiB of RAM. The program fills it until it refuses, reads, writes and
//! empties it, and compares each answer with a model, while a timer measures the longest write.
//!
//! The board trains nothing: a dictionary of the text that rows share was made elsewhere, and is in flash.

use crate::{HEAP, board, notes::Counter, reading::Random};
use alloc::{boxed::Box, format, string::String, vec::Vec};
use hedgerow::CompressedMap;
use hedgerow::compressed::codec::{Codec, Corrupt, Lz4, Model, Work};
use semihosting::println;

/// The memory that the map may take.
const BUDGET: usize = 32 << 10;
/// Rows that it is to have room for.
const ROWS: u32 = 250;
/// Writes after which the main loop gives the map some time, and how much.
const PACE: u32 = 4;
const STEP: usize = 512;
/// Instructions, in hundreds, between two ticks.
const TICK: u32 = 20;

/// Bytes that many rows have in common, the most common ones last.
const DICTIONARY: &[u8] = concat!(
    r#""state":"stopped","alarm":true"#,
    r#""state":"warming up","alarm":true"#,
    r#""state":"off","alarm":false}"#,
    r#"{"device":"valve 00","place":"roof","unit":"kPa","value":0.25,"#,
    r#"{"device":"fan 00","place":"cellar","unit":"rpm","value":10.75,"#,
    r#"{"device":"pump 00","place":"boiler room","unit":"kPa","value":100.50,"state":"running","alarm":false}"#,
)
.as_bytes();

fn row(n: u32, generation: u32) -> String {
    let mixed = (n ^ generation << 7).wrapping_mul(0x9e37_79b1) >> 7;
    let device = ["pump", "valve", "fan"][mixed as usize % 3];
    let (place, unit) =
        [("cellar", "rpm"), ("roof", "kPa"), ("boiler room", "kPa")][n as usize % 3];
    let state = ["running", "running", "stopped", "off", "warming up"][mixed as usize / 3 % 5];
    format!(
        concat!(
            r#"{{"device":"{} {:02}","place":"{}","unit":"{}","#,
            r#""value":{}.{:02},"state":"{}","alarm":{}}}"#
        ),
        device,
        n,
        place,
        unit,
        mixed % 997,
        mixed % 4 * 25,
        state,
        mixed % 16 == 0,
    )
}

/// Blocks of LZ4 with a dictionary that nobody had to learn.
struct Shipped;

impl Codec for Shipped {
    fn name(&self) -> &'static str {
        "shipped"
    }

    fn untrained(&self) -> Option<Box<dyn Model>> {
        self.import(DICTIONARY).ok()
    }

    fn train(&self, _: &[&[u8]], _: usize) -> Option<Box<dyn Model>> {
        None
    }

    fn import(&self, bytes: &[u8]) -> Result<Box<dyn Model>, Corrupt> {
        let model = Lz4::new().import(bytes)?;
        Ok(if cfg!(feature = "negative-control") { Box::new(Forgetful(model)) } else { model })
    }
}

/// A model for the negative control: it changes a bit of each value.
struct Forgetful(Box<dyn Model>);

impl Model for Forgetful {
    fn compress(&self, plain: &[u8], into: &mut [u8], work: &mut Work) -> Option<usize> {
        self.0.compress(plain, into, work)
    }

    fn decompress(&self, stored: &[u8], into: &mut [u8]) -> Result<(), Corrupt> {
        self.0.decompress(stored, into)?;
        into[0] ^= 1;
        Ok(())
    }

    fn export(&self, into: &mut dyn FnMut(&[u8])) {
        self.0.export(into);
    }

    fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

static TICKS: Counter = Counter::new();

/// The time of the next tick.
pub fn on_interrupt() -> u32 {
    TICKS.add_one();
    TICK * board::TICKS_PER_HUNDRED
}

pub fn took(_: u32) {}

/// The map, its expected content, and the time that the writes took.
struct Run {
    map: CompressedMap,
    /// Of each row, which generation is there.
    rows: Vec<Option<u32>>,
    writes: u32,
    at_rest: usize,
    most: usize,
    longest: [u32; 3],
}

/// Places in `longest`.
const WRITE: usize = 0;
const STEPS: usize = 1;
const READ: usize = 2;

impl Run {
    fn timed<R>(&mut self, kind: usize, work: impl FnOnce(&CompressedMap) -> R) -> R {
        let begin = TICKS.get();
        let done = work(&self.map);
        self.longest[kind] = self.longest[kind].max(TICKS.get() - begin);
        self.most = self.most.max(HEAP.used() - self.at_rest);
        done
    }

    /// After each write, now and then.
    fn step(&mut self) {
        self.writes += 1;
        if self.writes % PACE == 0 {
            self.timed(STEPS, |map| map.compress_step(STEP));
        }
    }

    /// Whether there was room.
    fn insert(&mut self, n: u32, generation: u32) -> bool {
        let value = row(n, generation);
        let before = self.rows[n as usize];
        let done = self.timed(WRITE, |map| map.insert(&n.to_le_bytes(), &value));
        if let Ok(replaced) = done {
            assert_eq!(replaced, before.is_some());
            self.rows[n as usize] = Some(generation);
        }
        self.step();
        done.is_ok()
    }

    fn remove(&mut self, n: u32) {
        let there = self.rows[n as usize].take().is_some();
        assert_eq!(self.timed(WRITE, |map| map.remove(&n.to_le_bytes())), there);
        self.step();
    }

    /// Whether the row is what it should be.
    fn is_right(&mut self, n: u32) -> bool {
        let mut into = [0; 160];
        let read = self.timed(READ, |map| map.get_into(&n.to_le_bytes(), &mut into));
        match (read, self.rows[n as usize]) {
            (Ok(None), None) => true,
            (Ok(Some(length)), Some(generation)) => {
                into[..length] == *row(n, generation).as_bytes()
            }
            _ => false,
        }
    }

    fn all_are_right(&mut self) -> bool {
        let right = (0..ROWS * 2).all(|n| self.is_right(n));
        if !right {
            println!("the main loop saw a wrong value");
        }
        right
    }
}

pub fn run() -> i32 {
    #[cfg(target_arch = "arm")]
    board::paint_stack();
    let at_rest = HEAP.used();
    board::start_timer(TICK * board::TICKS_PER_HUNDRED);
    let status = play();
    if status == 0 {
        assert_eq!(HEAP.used(), at_rest, "memory was lost");
    }
    status
}

fn play() -> i32 {
    let rows = (0..ROWS * 2).map(|_| None).collect();
    let at_rest = HEAP.used();
    let map =
        CompressedMap::builder_without_codecs(BUDGET).segment_bytes(1 << 10).codec(Shipped).build();
    let mut run = Run { map, rows, writes: 0, at_rest, most: 0, longest: [0; 3] };
    let mut n = 0;
    while n < ROWS * 2 && run.insert(n, 0) {
        n += 1;
    }
    let stats = run.map.stats();
    println!("{n} rows of {} bytes in {} of {BUDGET}", stats.raw, stats.memory_bytes);
    if n < ROWS {
        println!("too little fits: {stats:?}");
        return 2;
    }
    if !run.all_are_right() {
        return 1;
    }
    // Some go, so that others may change.
    (0..n).step_by(4).for_each(|n| run.remove(n));
    let (mut random, mut refused) = (Random::new(0x9e37_79b9), 0);
    for generation in 1..2000 {
        let at = random.below(n);
        match random.below(8) {
            0 => run.remove(at),
            1 if run.rows[at as usize].is_none() => {}
            _ => refused += u32::from(!run.insert(at, generation)),
        }
        if !run.is_right(random.below(n)) {
            println!("the main loop saw a wrong value");
            return 1;
        }
        let stats = run.map.stats();
        assert!(stats.memory_bytes <= BUDGET, "{stats:?}");
    }
    if !run.all_are_right() {
        return 1;
    }
    while run.map.compress_step(STEP) {}
    let stats = run.map.stats();
    println!(
        "{} rows of {} bytes in {}, {} refused, at most {} of the heap, \
         longest write {} thousand instructions, step {}, read {}",
        stats.len,
        stats.raw,
        stats.memory_bytes,
        refused,
        run.most,
        run.longest[WRITE] * TICK / 10,
        run.longest[STEPS] * TICK / 10,
        run.longest[READ] * TICK / 10,
    );
    #[cfg(target_arch = "arm")]
    println!("longest stack: {} bytes", board::stack_used());
    assert_eq!(stats.len, run.rows.iter().flatten().count());
    (0..n).for_each(|n| run.remove(n));
    assert!(run.map.is_empty());
    0
}
