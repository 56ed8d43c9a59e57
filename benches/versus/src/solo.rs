//! Measurements that want a process of their own: the program starts itself
//! once for each map, and reads the figures back.

use std::process::{Command, Stdio};

use crate::contest::median;
use crate::data::Datum;
use crate::keys;
use crate::memory::{self, Bytes, Source};
use crate::rivals::{self, Bench, Visitor};
use crate::work::texts;
use crate::worst::{self, Pauses};

/// The option that makes the program one of these processes.
pub const OPTION: &str = "--solo";

/// Keys at which memory is measured.
pub const MEMORY_KEYS: u64 = 1 << 20;

/// Keys up to which single insertions are timed.
pub const WORST_KEYS: usize = 1 << 22;

/// What such a process measures.
const MEMORY: &str = "memory";
const TEXT_MEMORY: &str = "text-memory";
const WORST: &str = "worst";

/// Figures of one kind, by map.
pub type ByMap<T> = Vec<(&'static str, T)>;

/// Bytes an entry of each map of numbers.
pub fn memory() -> ByMap<Bytes> {
    number_names().into_iter().map(|name| (name, bytes(MEMORY, name))).collect()
}

/// Bytes an entry of each map of text.
pub fn text_memory() -> ByMap<Bytes> {
    let mut names = Names(vec![]);
    rivals::texts(&mut names);
    names.0.into_iter().map(|name| (name, bytes(TEXT_MEMORY, name))).collect()
}

/// Pauses of each map of numbers, the medians of `rounds` processes that took
/// turns.
pub fn worst(rounds: usize) -> ByMap<Pauses> {
    let names = number_names();
    let turn = || -> Vec<_> { names.iter().map(|name| ask::<4>(WORST, name)).collect() };
    let runs: Vec<Vec<[f64; 4]>> = (0..rounds).map(|_| turn()).collect();
    let middle = |map: usize, field: usize| {
        let values: Vec<_> = runs.iter().map(|run| run[map][field]).collect();
        median(&values).unwrap_or(f64::NAN)
    };
    let one = |(map, &name)| {
        let [worst, p9999, p99, median] = std::array::from_fn(|field| middle(map, field));
        (name, Pauses { worst, p9999, p99, median })
    };
    names.iter().enumerate().map(one).collect()
}

/// The other side: measures `what` of the map called `name` and prints it.
///
/// # Panics
/// If there is no such map or nothing of the kind to measure.
pub fn answer(what: &str, name: &str) {
    let mut clerk = Clerk { what, name, answered: false };
    if what == TEXT_MEMORY {
        rivals::texts(&mut clerk);
    } else {
        rivals::numbers(&mut clerk);
    }
    assert!(clerk.answered, "no {what} of a map called {name}");
}

/// Collects the names of maps.
struct Names(Vec<&'static str>);

impl<K: Datum, V: Datum> Visitor<K, V> for Names {
    fn visit<M: Bench<Key = K, Value = V>>(&mut self) {
        self.0.push(M::NAME);
    }
}

fn number_names() -> Vec<&'static str> {
    let mut names = Names(vec![]);
    rivals::numbers(&mut names);
    names.0
}

/// Measures the one map that was asked for.
struct Clerk<'a> {
    what: &'a str,
    name: &'a str,
    answered: bool,
}

impl Visitor<u64, u64> for Clerk<'_> {
    fn visit<M: Bench<Key = u64, Value = u64>>(&mut self) {
        if M::NAME != self.name {
            return;
        }
        self.answered = true;
        match self.what {
            MEMORY => {
                let value = |i| keys::value(keys::key(i), 0);
                let source = Source::<M> { key: keys::key, value };
                print(&memory::measure(&source, MEMORY_KEYS));
            }
            WORST => {
                let p = worst::measure::<M>(WORST_KEYS);
                println!("{} {} {} {}", p.worst, p.p9999, p.p99, p.median);
            }
            _ => self.answered = false,
        }
    }
}

impl Visitor<String, String> for Clerk<'_> {
    fn visit<M: Bench<Key = String, Value = String>>(&mut self) {
        if M::NAME == self.name {
            self.answered = true;
            let source = Source::<M> { key: texts::key, value: texts::value };
            print(&memory::measure(&source, MEMORY_KEYS));
        }
    }
}

fn print(b: &Bytes) {
    println!("{} {} {} {} {}", b.grown, b.peak, b.mean, b.churned, b.churned_peak);
}

fn bytes(what: &str, name: &str) -> Bytes {
    let [grown, peak, mean, churned, churned_peak] = ask(what, name);
    Bytes { grown, peak, mean, churned, churned_peak }
}

fn ask<const N: usize>(what: &str, name: &str) -> [f64; N] {
    eprintln!("{what}: {name}");
    let program = std::env::current_exe().expect("the program knows where it is");
    let mut child = Command::new(program);
    let child = child.args([OPTION, what, name]).stderr(Stdio::inherit());
    let output = child.output().expect("the program can start itself");
    assert!(output.status.success(), "measuring {what} of {name} failed");
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    numbers.try_into().expect("as many figures as were asked for")
}
