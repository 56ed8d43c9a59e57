//! A timer interrupt reads, and writes a key of its own, in the middle of the main loop's writes.
//!
//! On one core the handler runs between two instructions of the main loop, so the values that it may
//! find are known exactly: before each write the main loop notes the old and the new generation of the
//! key, and the handler accepts these two and no other. `Busy` is an answer too, and must occur:
//! otherwise the interrupt never met a write.

use crate::{
    HEAP, board,
    notes::{Counter, Slot, report, wrong},
    reading::{Random, Reading},
};
use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
use semihosting::println;

#[cfg(all(feature = "fences", not(feature = "negative-control")))]
use crate::fences::{Map, TryInsertError};
#[cfg(all(feature = "table", not(feature = "negative-control")))]
use crate::fixed::{Table as Map, TryInsertError};
#[cfg(feature = "negative-control")]
use crate::unprotected::{Table as Map, TryInsertError};
#[cfg(not(any(feature = "negative-control", feature = "table", feature = "fences")))]
use hedgerow::error::TryInsertError;
#[cfg(not(any(feature = "negative-control", feature = "table", feature = "fences")))]
type Map = hedgerow::FlatMap<u32, Reading>;

/// Keys that the handler looks up each time it runs: the even ones are always there once they have
/// been inserted, the odd ones come and go.
const WATCHED: u32 = 12;
/// The key that the handler writes.
const OWN: u32 = WATCHED;
/// The run goes on until this much has happened...
const ENOUGH: Counts =
    Counts { interrupts: 2000, hits: 2000, misses: 200, busy: 100, written: 200 };
/// ...or this many rounds have passed.
const ROUNDS: u32 = 200;

/// Counts of the handler's answers, and the least counts of a valid run.
#[derive(Clone, Copy)]
struct Counts {
    interrupts: u32,
    hits: u32,
    misses: u32,
    busy: u32,
    written: u32,
}

/// The generations that a watched key may show: zero stands for "not there".
struct Expected {
    before: AtomicU32,
    after: AtomicU32,
}

static EXPECTED: [Expected; WATCHED as usize] =
    [const { Expected { before: AtomicU32::new(0), after: AtomicU32::new(0) } }; WATCHED as usize];
static INTERRUPTS: Counter = Counter::new();
static HITS: Counter = Counter::new();
static MISSES: Counter = Counter::new();
static BUSY: Counter = Counter::new();
/// The generation of the handler's own key: it has written each one from 1 to this.
static WRITTEN: Counter = Counter::new();
static WRITES_REFUSED: Counter = Counter::new();
/// The longest that the handler took, in ticks: when it only read, and when it wrote too.
static LONGEST: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];

/// Wrong things that the handler may report, by number.
const KINDS: [&str; 7] = [
    "nothing",
    "torn value",
    "missing key",
    "value of another time",
    "refused insert gave back something else",
    "own write lost",
    "insert refused for want of memory or room",
];
const TORN: u32 = 1;
const MISSING: u32 = 2;
const ANOTHER_TIME: u32 = 3;
const GIVEN_BACK: u32 = 4;
const OWN_LOST: u32 = 5;
const NO_MEMORY: u32 = 6;

/// The map of the present round.
static SLOT: Slot<Map> = Slot::new();

/// Runs rounds until enough has happened; the exit status.
pub fn run() -> i32 {
    let heap_at_rest = HEAP.used();
    let mut random = Random::new(0x2545_f491);
    let mut rounds = 0;
    board::start_timer(1000);
    while rounds < ROUNDS && !enough() && wrong().is_none() {
        round(&mut random);
        assert_eq!(HEAP.used(), heap_at_rest, "memory was lost");
        rounds += 1;
    }
    println!(
        "{rounds} rounds, {} preemptions: {} hits, {} misses, {} busy; \
         the handler wrote {} times and was refused {} times",
        INTERRUPTS.get(),
        HITS.get(),
        MISSES.get(),
        BUSY.get(),
        WRITTEN.get(),
        WRITES_REFUSED.get(),
    );
    let [reading, writing] =
        [0, 1].map(|i: usize| LONGEST[i].load(SeqCst) * 100 / board::TICKS_PER_HUNDRED);
    println!(
        "longest interrupt, in instructions: {reading} with {WATCHED} look-ups, \
         {writing} with an insert too"
    );
    if let Some((kind, key, words)) = wrong() {
        let kind = KINDS[kind as usize];
        println!("the handler saw a {kind}: key {key}, words {words:08x?}");
        1
    } else if !enough() {
        println!("too little happened");
        2
    } else {
        0
    }
}

/// A map from its first key to its last, under interrupts all the time.
fn round(random: &mut Random) {
    for expected in &EXPECTED {
        expected.before.store(0, SeqCst);
        expected.after.store(0, SeqCst);
    }
    SLOT.replace(Some(Map::new()));
    let map = SLOT.get().expect("it was just put there");
    let own_at_start = WRITTEN.get();
    let mut generation = 0;
    let mut write_some = |map: &Map, random: &mut Random| {
        generation += 1;
        write(map, random.below(WATCHED), generation, random);
    };
    // Grow, with writes to watched keys all along...
    for key in OWN + 1..board::KEYS {
        assert_eq!(map.insert(key, Reading::new(key, 1)), None, "a new key was there");
        write_some(map, random);
    }
    // ...and again in keys that are there...
    for key in (OWN + 1..board::KEYS).rev() {
        assert_eq!(map.insert(key, Reading::new(key, 2)), Some(Reading::new(key, 1)));
        write_some(map, random);
    }
    // Nothing is being written now, so the handler's next write must pass.
    while WRITTEN.get() == own_at_start {}
    check_own(map, own_at_start);
    #[cfg(not(feature = "negative-control"))]
    audit(map);
    // ...and while keys disappear.
    for key in OWN + 1..board::KEYS {
        assert_eq!(map.remove(&key), Some(Reading::new(key, 2)), "a key vanished");
        write_some(map, random);
    }
    check_own(map, own_at_start);
    drop(SLOT.replace(None));
}

/// Writes one watched key, and tells the handler before and after.
fn write(map: &Map, key: u32, generation: u32, random: &mut Random) {
    let expected = &EXPECTED[key as usize];
    let present = expected.before.load(SeqCst);
    let old = (present != 0).then(|| Reading::new(key, present));
    let new = Reading::new(key, generation);
    if present != 0 && key % 2 == 1 && random.below(3) == 0 {
        expected.after.store(0, SeqCst);
        assert_eq!(map.remove(&key), old);
        expected.before.store(0, SeqCst);
        return;
    }
    expected.after.store(generation, SeqCst);
    if present != 0 && random.below(2) == 0 {
        assert_eq!(map.update(&key, |_| new), Some(new));
    } else {
        assert_eq!(map.insert(key, new), old);
    }
    expected.before.store(generation, SeqCst);
}

/// The handler's key shows a generation that the handler wrote, and not an earlier one than before.
fn check_own(map: &Map, at_start: u32) {
    let before = WRITTEN.get();
    let seen = map.get(&OWN);
    let after = WRITTEN.get();
    match seen {
        Some(value) => {
            assert!(value.is_whole(OWN), "the handler's value is torn: {value:?}");
            assert!((before..=after).contains(&value.generation()), "{before}: {value:?}: {after}");
        }
        None => assert_eq!(before, at_start, "the handler's key vanished"),
    }
}

/// The whole content, by every way to see it, while the handler goes on.
#[cfg(not(feature = "negative-control"))]
fn audit(map: &Map) {
    let mut fillers = 0;
    for (key, value) in map {
        assert!(value.is_whole(key), "key {key}: {value:?}");
        fillers += u32::from(key > OWN);
    }
    assert_eq!(fillers, board::KEYS - OWN - 1, "iteration missed or doubled a key");
    let watched = EXPECTED.iter().filter(|expected| expected.before.load(SeqCst) != 0).count();
    assert_eq!(map.len(), fillers as usize + watched + 1, "len is wrong");
}

/// The handler. Returns when it wants to run again, in ticks of the timer.
pub fn on_interrupt() -> u32 {
    INTERRUPTS.add_one();
    if let Some(map) = SLOT.get() {
        for key in 0..WATCHED {
            look_up(map, key);
        }
        if writes_now() {
            write_own(map);
        }
    }
    // Not evenly: a fixed period could fall into step with the main loop.
    let instructions = 20 + Random::new(INTERRUPTS.get().wrapping_mul(0x9e37_79b1) | 1).below(700);
    instructions * board::TICKS_PER_HUNDRED / 100
}

/// Seldom: each of the handler's writes makes a split of that bin by the main loop begin again.
fn writes_now() -> bool {
    INTERRUPTS.get() % 16 == 0
}

/// Takes note of how many ticks the handler took.
pub fn took(ticks: u32) {
    let longest = &LONGEST[usize::from(writes_now())];
    longest.store(longest.load(SeqCst).max(ticks), SeqCst);
}

fn look_up(map: &Map, key: u32) {
    let expected = &EXPECTED[key as usize];
    let (before, after) = (expected.before.load(SeqCst), expected.after.load(SeqCst));
    match map.try_get(&key) {
        Err(_) => BUSY.add_one(),
        Ok(None) => {
            MISSES.add_one();
            if before != 0 && after != 0 {
                report(MISSING, key, [before, after, 0]);
            }
        }
        Ok(Some(value)) => {
            HITS.add_one();
            let generation = value.generation();
            if !value.is_whole(key) {
                report(TORN, key, value.words());
            } else if generation != before && generation != after {
                report(ANOTHER_TIME, key, [generation, before, after]);
            }
        }
    }
}

/// One write that must not wait for the write that it may have landed in.
fn write_own(map: &Map) {
    let written = WRITTEN.get();
    let value = Reading::new(OWN, written + 1);
    match map.try_insert(OWN, value) {
        Ok(old) => {
            WRITTEN.add_one();
            // The first one in a round finds nothing there.
            if old.is_some_and(|old| old != Reading::new(OWN, written)) {
                report(OWN_LOST, OWN, old.map_or([0; 3], Reading::words));
            }
        }
        Err(TryInsertError::Busy { key, value: given_back }) => {
            WRITES_REFUSED.add_one();
            if (key, given_back) != (OWN, value) {
                report(GIVEN_BACK, key, given_back.words());
            }
        }
        Err(_) => report(NO_MEMORY, OWN, value.words()),
    }
}

fn enough() -> bool {
    INTERRUPTS.get() >= ENOUGH.interrupts
        && HITS.get() >= ENOUGH.hits
        && MISSES.get() >= ENOUGH.misses
        && BUSY.get() >= ENOUGH.busy
        && WRITTEN.get() >= ENOUGH.written
}
