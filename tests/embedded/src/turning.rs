//! A timer interrupt reads a structure of two sides in the middle of the main loop's changes and
//! publishes.
//!
//! The main loop writes one *generation* after the other: it writes each of the watched keys anew, inserts and removes
//! some of the others, and publishes. On one core the handler runs between two instructions of the main loop, so the
//! state that it may find is known exactly: all of the generation that was published last or, amid a publish, all of
//! the one that is being published. The handler keeps some of its read sections open over many interrupts, so that
//! the main loop meets a reader that is in its way.

use crate::{
    HEAP, board,
    notes::{Counter, Slot, report, wrong},
    reading::{Random, Reading},
};
use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
use semihosting::println;

#[cfg(not(feature = "negative-control"))]
use crate::sides::{AnySnapshot, KINDS, Reader, Writer, make};
#[cfg(feature = "negative-control")]
use crate::unturned::{AnySnapshot, KINDS, Reader, Writer, make};

/// Keys that each generation writes and each interrupt looks up; the others come and go.
const WATCHED: u32 = 12;
/// The number of other keys that each interrupt looks up.
const SAMPLES: u32 = 4;
/// The number of generations for which another key is present, and then absent.
const SPAN: u32 = 8;
/// Generations of one round.
const GENERATIONS: u32 = 40;
/// One of this many interrupts begins to hold a read section open, if no other is.
const HOLDS: u32 = 64;
/// The most interrupts for which it stays open: longer than the first change after a publish waits for readers, and
/// no longer than memory lasts for the operations that the writer defers meanwhile. In the smallest heap many deferred
/// operations leave no hole that is large enough for a larger side.
const LONG: u32 = if cfg!(feature = "microbit") { 72 } else { 256 };
/// The run continues until each count has reached its least number. A map's publish is a few instructions, because
/// the next change does the rest of its work...
const ENOUGH: [u32; COUNTED] =
    [3000, 1000, 20, 20, 20, if cfg!(feature = "microbit") { 30 } else { 100 }];
/// ...or this many rounds have passed.
const ROUNDS: u32 = 200;

/// The number of counters. The handler counts, except for the last one.
const COUNTED: usize = 6;
static COUNTS: [Counter; COUNTED] = [const { Counter::new() }; COUNTED];
const READS: usize = 0;
/// Reads after the first change of a generation and before its publish, when the main loop does not wait.
const AMID_CHANGES: usize = 1;
/// Reads amid a publish that met the generation before it.
const BEFORE_SWAP: usize = 2;
/// Reads amid a publish that met the new generation.
const AFTER_SWAP: usize = 3;
/// Snapshots that were held over a publish.
const HELD_OVER: usize = 4;
/// Changes that found a held snapshot in their way.
const IN_THE_WAY: usize = 5;

static INTERRUPTS: Counter = Counter::new();
/// The longest that the handler took, in ticks.
static LONGEST: AtomicU32 = AtomicU32::new(0);

/// The phase of the main loop.
static PHASE: AtomicU32 = AtomicU32::new(AT_REST);
const AT_REST: u32 = 0;
const CHANGING: u32 = 1;
const WAITING: u32 = 2;
const PUBLISHING: u32 = 3;

/// The first generation of the round, and the number of publishes before it.
static FIRST: AtomicU32 = AtomicU32::new(0);
static PUBLISHES_BEFORE: AtomicU32 = AtomicU32::new(0);
/// The generation that was published last; and, during a publish, the one that is being published.
static OLD: AtomicU32 = AtomicU32::new(0);
static NEW: AtomicU32 = AtomicU32::new(0);
/// Keys in a generation of that parity.
static KEYS_IN: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];
/// The generation that the handler met last.
static MET: AtomicU32 = AtomicU32::new(0);

/// Wrong things that the handler may report, by number.
const KINDS_OF_WRONG: [&str; 8] = [
    "nothing",
    "torn value",
    "torn state",
    "state of another time",
    "state that it had left behind",
    "state with a wrong number of keys or publishes",
    "key come or gone at a wrong time",
    "snapshot that disagrees with another",
];
const TORN_VALUE: u32 = 1;
const TORN_STATE: u32 = 2;
const ANOTHER_TIME: u32 = 3;
const WENT_BACK: u32 = 4;
const MISCOUNTED: u32 = 5;
const MISPLACED: u32 = 6;
const DISAGREES: u32 = 7;

/// The handler's readers, of the present round.
static READERS: Slot<[Reader; 2]> = Slot::new();
/// The snapshot that the handler holds.
static HELD: Slot<Held> = Slot::new();

struct Held {
    snapshot: AnySnapshot<'static>,
    generation: u32,
    /// The interrupt that ends it.
    until: u32,
}

/// Rounds with each kind, until enough has happened; the exit status.
pub fn run() -> i32 {
    let heap_at_rest = HEAP.used();
    let mut random = Random::new(0x2545_f491);
    let mut too_little = false;
    // Large enough that no key of the first generation has a number below zero.
    let mut generation = 2 * SPAN;
    board::start_timer(1000);
    for (kind, name) in KINDS.iter().enumerate() {
        COUNTS.iter().for_each(Counter::reset);
        let mut rounds = 0;
        while rounds < ROUNDS && !enough() && wrong().is_none() {
            generation = round(kind, generation, &mut random);
            assert_eq!(HEAP.used(), heap_at_rest, "memory was lost");
            rounds += 1;
        }
        let [reads, changes, before, after, held, met] =
            [0, 1, 2, 3, 4, 5].map(|i: usize| COUNTS[i].get());
        println!(
            "{name}: {rounds} rounds, {reads} preemptions: {changes} amid changes, {before} and {after} \
             in a publish before and after the swap; {held} snapshots held over a publish, {met} changes met one"
        );
        too_little |= !enough();
    }
    let longest = LONGEST.load(SeqCst) * 100 / board::TICKS_PER_HUNDRED;
    println!("longest interrupt, in instructions: {longest}");
    if let Some((kind, key, words)) = wrong() {
        let kind = KINDS_OF_WRONG[kind as usize];
        println!("the handler saw a {kind}: key {key}, words {words:08x?}");
        1
    } else if too_little {
        println!("too little happened");
        2
    } else {
        0
    }
}

fn enough() -> bool {
    COUNTS.iter().zip(ENOUGH).all(|(count, enough)| count.get() >= enough)
}

/// In which generation the key was written that a generation has, if it has that key.
fn written_in(key: u32, generation: u32) -> Option<u32> {
    if key < WATCHED {
        return Some(generation);
    }
    let age = generation.wrapping_sub(key) % (2 * SPAN);
    let inserted = generation - age;
    (age < SPAN && inserted >= FIRST.load(SeqCst)).then_some(inserted)
}

fn value_in(key: u32, generation: u32) -> Option<Reading> {
    written_in(key, generation).map(|inserted| Reading::new(key, inserted))
}

/// One structure from its first key to its last, under interrupts all the time; the next generation.
fn round(kind: usize, first: u32, random: &mut Random) -> u32 {
    let (mut writer, readers) = make(kind);
    PUBLISHES_BEFORE.store(readers[0].enter().publishes(), SeqCst);
    FIRST.store(first, SeqCst);
    // The handler begins when there is a generation for it to meet.
    for key in 0..board::KEYS {
        if let Some(value) = value_in(key, first) {
            assert!(
                !writer.insert(key, value).expect("no reader is in the way"),
                "a new key was there"
            );
        }
    }
    publish(&mut writer, first);
    READERS.replace(Some(readers));
    let last = first + GENERATIONS;
    for generation in first + 1..last {
        change(&mut writer, generation, random);
        publish(&mut writer, generation);
        if random.below(8) == 0 {
            audit(&writer, generation);
            writer.shrink();
        }
    }
    let ended = critical_section::with(|_| {
        // In this order, because the held snapshot borrows one of the readers.
        drop(HELD.replace(None));
        READERS.replace(None)
    });
    drop(ended);
    last
}

/// Makes the changes of one generation.
fn change(writer: &mut Writer, generation: u32, random: &mut Random) {
    PHASE.store(CHANGING, SeqCst);
    let anew = random.below(16) == 0;
    if anew {
        insist(writer, Writer::clear);
    }
    // The watched keys are spread over all changes, the last of which is one of theirs.
    let turn = random.below(WATCHED);
    for step in 0..WATCHED {
        for key in (WATCHED + step..board::KEYS).step_by(WATCHED as usize) {
            let before = if anew { None } else { written_in(key, generation - 1) };
            let now = written_in(key, generation);
            match now {
                Some(inserted) if before.is_none() => insert(writer, key, inserted, false),
                None if before.is_some() => remove(writer, key),
                _ => (),
            }
        }
        let key = (step + turn) % WATCHED;
        match random.below(3) {
            _ if anew => insert(writer, key, generation, false),
            0 => {
                remove(writer, key);
                insert(writer, key, generation, false);
            }
            1 => insert(writer, key, generation, true),
            _ => {
                let value = Reading::new(key, generation);
                let replaced = insist(writer, |writer| writer.update(key, value));
                assert!(replaced, "a key vanished");
            }
        }
    }
}

fn insert(writer: &mut Writer, key: u32, generation: u32, replaces: bool) {
    let value = Reading::new(key, generation);
    let replaced = insist(writer, |writer| writer.insert(key, value));
    assert_eq!(replaced, replaces, "a key came or vanished");
    assert_eq!(writer.get(key), Some(value), "the writer does not see its change");
}

fn remove(writer: &mut Writer, key: u32) {
    assert!(insist(writer, |writer| writer.remove(key)), "a key vanished");
    assert_eq!(writer.get(key), None, "the writer does not see its change");
}

/// Makes a change, and if that is refused waits until it is not.
fn insist<T, E>(writer: &mut Writer, mut change: impl FnMut(&mut Writer) -> Result<T, E>) -> T {
    loop {
        let done = change(writer);
        if writer.is_stuck() {
            COUNTS[IN_THE_WAY].add_one();
        }
        match done {
            Ok(answer) => return answer,
            Err(_) => wait(writer),
        }
    }
}

fn wait(writer: &mut Writer) {
    let phase = PHASE.load(SeqCst);
    PHASE.store(WAITING, SeqCst);
    writer.wait();
    PHASE.store(phase, SeqCst);
}

/// Publishes, and tells the handler before and after.
fn publish(writer: &mut Writer, generation: u32) {
    wait(writer);
    KEYS_IN[generation as usize % 2].store(writer.len() as u32, SeqCst);
    NEW.store(generation, SeqCst);
    PHASE.store(PUBLISHING, SeqCst);
    writer.publish();
    PHASE.store(AT_REST, SeqCst);
    OLD.store(generation, SeqCst);
}

/// The whole content as the writer sees it.
fn audit(writer: &Writer, generation: u32) {
    let mut keys = 0;
    for key in 0..board::KEYS {
        let value = value_in(key, generation);
        assert_eq!(writer.get(key), value, "key {key} in generation {generation}");
        keys += usize::from(value.is_some());
    }
    assert_eq!(writer.len(), keys, "len is wrong");
}

/// The handler. Returns when it wants to run again, in ticks of the timer.
pub fn on_interrupt() -> u32 {
    INTERRUPTS.add_one();
    let mut random = Random::new(INTERRUPTS.get().wrapping_mul(0x9e37_79b1) | 1);
    if let Some(readers) = READERS.get() {
        read(readers, &mut random);
    }
    // Not evenly: a fixed period could fall into step with the main loop.
    (20 + random.below(700)) * board::TICKS_PER_HUNDRED / 100
}

/// Takes note of how many ticks the handler took.
pub fn took(ticks: u32) {
    LONGEST.store(LONGEST.load(SeqCst).max(ticks), SeqCst);
}

fn read(readers: &'static [Reader; 2], random: &mut Random) {
    COUNTS[READS].add_one();
    let (phase, old, new) = (PHASE.load(SeqCst), OLD.load(SeqCst), NEW.load(SeqCst));
    let [reader, other] = readers;
    let snapshot = reader.enter();
    let Some(generation) = check(&snapshot, random) else { return };
    if generation != old && generation != new {
        report(ANOTHER_TIME, 0, [generation, old, new]);
    }
    if generation < MET.load(SeqCst) {
        report(WENT_BACK, 0, [generation, MET.load(SeqCst), old]);
    }
    MET.store(generation, SeqCst);
    let keys = KEYS_IN[generation as usize % 2].load(SeqCst);
    if snapshot.len() as u32 != keys {
        report(MISCOUNTED, 0, [generation, snapshot.len() as u32, keys]);
    }
    match phase {
        CHANGING => COUNTS[AMID_CHANGES].add_one(),
        PUBLISHING if generation == old => COUNTS[BEFORE_SWAP].add_one(),
        PUBLISHING => COUNTS[AFTER_SWAP].add_one(),
        _ => (),
    }
    // One key by itself, by a reader that has a snapshot already and by one that may have none.
    let key = random.below(board::KEYS);
    for single in [reader.get(key), other.get(key)] {
        if single != snapshot.get(key) {
            report(DISAGREES, key, single.map_or([0; 3], Reading::words));
        }
    }
    if let Some(held) = HELD.replace(None) {
        let met = check(&held.snapshot, random);
        if met.is_some_and(|met| met != held.generation) {
            report(DISAGREES, 0, [held.generation, generation, old]);
        }
        if INTERRUPTS.get() < held.until {
            HELD.replace(Some(held));
        } else if held.generation != generation {
            COUNTS[HELD_OVER].add_one();
        }
    } else if random.below(HOLDS) == 0 {
        let until = INTERRUPTS.get() + 1 + random.below(LONG);
        let holder = &readers[random.below(2) as usize];
        HELD.replace(Some(Held { snapshot: holder.enter(), generation, until }));
    }
}

/// Reports a state that is wrong at any time; returns its generation, if it has one.
fn check(snapshot: &AnySnapshot<'_>, random: &mut Random) -> Option<u32> {
    let mut generation = None;
    for key in 0..WATCHED {
        let Some(value) = snapshot.get(key) else {
            report(TORN_STATE, key, [generation.unwrap_or(0), 0, 0]);
            return None;
        };
        if !value.is_whole(key) {
            report(TORN_VALUE, key, value.words());
            return None;
        }
        if *generation.get_or_insert(value.generation()) != value.generation() {
            report(TORN_STATE, key, [generation.unwrap_or(0), value.generation(), 0]);
            return None;
        }
    }
    let generation = generation?;
    for _ in 0..SAMPLES {
        let key = WATCHED + random.below(board::KEYS - WATCHED);
        let value = snapshot.get(key);
        if value != value_in(key, generation) {
            report(MISPLACED, key, value.map_or([generation, 0, 0], Reading::words));
        }
    }
    let publishes = generation - FIRST.load(SeqCst) + 1 + PUBLISHES_BEFORE.load(SeqCst);
    if snapshot.publishes() != publishes {
        report(MISCOUNTED, 0, [generation, snapshot.publishes(), publishes]);
    }
    Some(generation)
}
