//! Does a known number of operations on a prebuilt map and nothing else, for
//! callgrind: the difference of two runs is the cost of the operations, exactly
//! and the same every time. `count.sh` does the subtraction.

use std::hint::black_box;
use std::process::ExitCode;

use hedgerow_versus::data::Word;
use hedgerow_versus::keys::{Rng, fold, key, value};
use hedgerow_versus::rivals::{
    Bench, Dash, Entries, Flat, Flurry, Leapfrog, Locked, Papaya, Scc, SpinLocks, Strings, Yard,
};
use hedgerow_versus::work::texts;

/// The stream has this many keys however many are used, so that it costs the
/// same in every run.
const MOST: usize = 1 << 20;

/// As many texts as a stream of them has.
const MOST_TEXTS: usize = 1 << 17;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [map, work, keys, times] = words.as_slice() else { return usage() };
    let Some((keys, times)) = keys.parse().ok().zip(times.parse().ok()) else { return usage() };
    let run = match map.as_str() {
        "flat" => run::<Flat>,
        "hashbrown" => run::<Yard<u64, u64>>,
        "papaya" => run::<Papaya<u64, u64>>,
        "dashmap" => run::<Dash<u64, u64>>,
        "scc" => run::<Scc<u64, u64>>,
        "rwlock" => run::<Locked<u64, u64>>,
        "spin" => run::<SpinLocks<u64, u64>>,
        "flurry" => run::<Flurry<u64, u64>>,
        "leapfrog" => run::<Leapfrog>,
        "HashMap" => run_texts::<Entries>,
        "BytesMap" => run_texts::<Strings>,
        "hashbrown-text" => run_texts::<Yard<String, String>>,
        "papaya-text" => run_texts::<Papaya<String, String>>,
        "dashmap-text" => run_texts::<Dash<String, String>>,
        "scc-text" => run_texts::<Scc<String, String>>,
        "spin-text" => run_texts::<SpinLocks<String, String>>,
        _ => return usage(),
    };
    if times > MOST || !run(work, keys, times) { usage() } else { ExitCode::SUCCESS }
}

fn usage() -> ExitCode {
    eprintln!(
        "count MAP WORK KEYS TIMES\n\
         MAP: flat hashbrown papaya dashmap scc rwlock spin flurry leapfrog\n\
         or of text: HashMap BytesMap hashbrown-text papaya-text dashmap-text scc-text spin-text\n\
         WORK: get-hit get-miss upsert insert update remove get-many; TIMES: up to {MOST},\n\
         or {MOST_TEXTS} of text, without update and get-many"
    );
    ExitCode::FAILURE
}

/// Builds the map and does the work; false if there is no such work.
fn run<M: Bench<Key = u64, Value = u64>>(work: &str, keys: u64, times: usize) -> bool {
    let map = M::new();
    for key in (0..keys).map(key) {
        map.insert(&key, &value(key, 0), Word::look);
    }
    let mut rng = Rng::new(keys);
    let fresh = matches!(work, "get-miss" | "insert");
    // New keys one after the other, or random ones of those that are there.
    // `remove` may meet a key that it has removed already: take few.
    let stream: Vec<u64> =
        (0..MOST as u64).map(|i| key(if fresh { keys + i } else { rng.below(keys) })).collect();
    let stream = &stream[..times];
    let sum = match work {
        "get-hit" | "get-miss" => work_on(stream, |key| map.read(&key, Word::look)),
        "upsert" | "insert" => work_on(stream, |key| map.insert(&key, &value(key, 1), Word::look)),
        "update" => work_on(stream, |key| map.update(&key, Word::bumped, Word::look)),
        "remove" => work_on(stream, |key| map.remove(&key, Word::look)),
        "get-many" => batches(&map, stream),
        _ => return false,
    };
    black_box(sum);
    // Freeing depends on what was inserted; it is no part of the operations.
    std::mem::forget(map);
    true
}

/// The same with keys and values of 16 to 64 characters.
fn run_texts<M: Bench<Key = String, Value = String>>(work: &str, keys: u64, times: usize) -> bool {
    let map = M::new();
    for i in 0..keys {
        map.insert(&texts::key(i), &texts::value(i), texts::look);
    }
    let mut rng = Rng::new(keys);
    let fresh = matches!(work, "get-miss" | "insert");
    let number = |i| if fresh { keys + i } else { rng.below(keys) };
    // In the order of their use, so that reading them costs the same for all maps.
    let text = |i| (texts::key(i), texts::value(i));
    let stream: Vec<_> = (0..MOST_TEXTS as u64).map(number).map(text).collect();
    if times > stream.len() {
        return false;
    }
    let stream = &stream[..times];
    let length = |text: &str| text.len() as u64;
    let sum = match work {
        "get-hit" | "get-miss" => work_on_texts(stream, |key, _| map.read(key, length)),
        "upsert" | "insert" => work_on_texts(stream, |key, value| map.insert(key, value, length)),
        "remove" => work_on_texts(stream, |key, _| map.remove(key, length)),
        _ => return false,
    };
    black_box(sum);
    std::mem::forget(map);
    true
}

#[inline(never)]
fn work_on_texts(stream: &[(String, String)], op: impl Fn(&str, &str) -> Option<u64>) -> u64 {
    stream.iter().map(|(key, value)| fold(op(key, value))).fold(0, u64::wrapping_add)
}

/// Sixteen in a call.
#[inline(never)]
fn batches<M: Bench<Key = u64, Value = u64>>(map: &M, stream: &[u64]) -> u64 {
    let see = |value: Option<&u64>| fold(value.map(Word::look));
    stream.as_chunks::<16>().0.iter().map(|keys| map.read_many(keys, see)).sum()
}

#[inline(never)]
fn work_on(stream: &[u64], op: impl Fn(u64) -> Option<u64>) -> u64 {
    stream.iter().map(|&key| fold(op(key))).fold(0, u64::wrapping_add)
}
