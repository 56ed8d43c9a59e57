//! Does each operation of each map a known number of times, for callgrind to count: see `run` beside this package.
//!
//! All that is counted happens in [`measured`]. The program prints a line for each call of it: the operation, and how
//! often it was done. Keys and hashes are the same in each run, so the counts are too.

mod compressed;
mod flat;
mod left_right;
mod ordered;
mod owned;
mod persistent;

use hedgerow::Op;
use std::hint::black_box;

/// The entries of a map, unless an operation says otherwise.
const ENTRIES: u64 = 1 << 13;
/// How often an operation is done.
const TIMES: usize = 1 << 11;

fn main() {
    flat::all();
    owned::all();
    ordered::all();
    left_right::all();
    compressed::all();
    persistent::all();
}

/// Callgrind counts what happens in here, and writes the counts down at the end of each call.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
    // So that this is no jump to `work`, after which callgrind would not see the end.
    black_box(());
}

/// Does an operation once for each of the keys.
fn count<K: Copy, T>(name: &str, keys: &[K], mut operation: impl FnMut(K) -> T) {
    println!("{name}\t{}", keys.len());
    measured(&mut || keys.iter().for_each(|&key| drop(black_box(operation(black_box(key))))));
}

/// Walks over entries.
fn count_walk<T>(name: &str, entries: impl Iterator<Item = T>, expected: usize) {
    println!("{name}\t{expected}");
    let mut entries = Some(entries);
    let mut seen = 0;
    measured(&mut || {
        seen = entries.take().map_or(0, |entries| entries.map(black_box).count());
    });
    assert_eq!(seen, expected, "{name}");
}

/// The key with this number. Keys are spread over all numbers.
fn key(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// The keys of a map's entries.
fn keys() -> impl Iterator<Item = u64> {
    (0..ENTRIES).map(key)
}

/// Random keys that the map has, some of them more than once.
fn hits() -> Vec<u64> {
    let mut state = 1_u64;
    let next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        key((state >> 33) % ENTRIES)
    };
    std::iter::repeat_with(next).take(TIMES).collect()
}

/// Keys that the map has, each once, in a random order.
fn hits_once() -> Vec<u64> {
    // An odd factor reaches each number below a power of two once.
    (0..TIMES as u64).map(|at| key(at * 5741 % ENTRIES)).collect()
}

/// Keys that the map does not have, each once.
fn misses() -> Vec<u64> {
    (ENTRIES..).map(key).take(TIMES).collect()
}

/// A closure of `compute`, which adds one.
fn add_one(value: Option<u64>) -> Op<u64> {
    Op::Insert(value.unwrap_or(0) + 1)
}
