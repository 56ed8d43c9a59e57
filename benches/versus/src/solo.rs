//! Measurements that want a process of their own: the program starts itself
//! once for each map, and reads the figures back.

use std::process::{Command, Stdio};

use crate::cold::apart;
use crate::contest::median;
use crate::data::{Datum, Word};
use crate::keys;
use crate::memory::{self, Bytes, PairBytes, Source};
use crate::pairs::{self, Pair};
use crate::pins::{self, Pins};
use crate::rivals::{self, Bench, Role, Visitor};
use crate::tails;
use crate::trees::{self, Tree};
use crate::versions::{self, Key, Versioned, apart as of_versions};
use crate::work::{Row, Suite, Workload, texts};
use crate::worst::{self, Pauses};

/// The option that makes the program one of these processes.
pub const OPTION: &str = "--solo";

/// Keys at which memory is measured.
pub const MEMORY_KEYS: u64 = 1 << 20;

/// Keys up to which single insertions are timed.
pub const WORST_KEYS: usize = 1 << 22;

/// Keys of maps whose upserts are timed one by one, of numbers and of text.
pub const TAIL_KEYS: u64 = 1 << 20;
/// See [`TAIL_KEYS`].
pub const TEXT_TAIL_KEYS: u64 = 1 << 18;

/// The measurements of a process of its own.
const MEMORY: &str = "memory";
const TEXT_MEMORY: &str = "text-memory";
const WORST: &str = "worst";
const WORST_OF_TWO: &str = "worst-of-two";
const TAILS: &str = "tails";
const TEXT_TAILS: &str = "text-tails";
const PINS: &str = "pins";
const TREE_MEMORY: &str = "tree-memory";
const VERSION_MEMORY: &str = "version-memory";
const VERSION_TEXT_MEMORY: &str = "version-text-memory";
const VERSION_PAUSES: &str = "version-pauses";
const VERSION_DROP: &str = "version-drop";
const CROWD: &str = "crowd";
const PAIRS_8: &str = "pairs-8";
const PAIRS_64: &str = "pairs-64";
const PAIRS_1024: &str = "pairs-1024";

/// Bytes of a value and how many there are, where maps behind two handles show
/// what they take.
pub const PAIR_SIZES: [(&str, usize, u64); 3] =
    [(PAIRS_8, 8, 1 << 20), (PAIRS_64, 64, 1 << 18), (PAIRS_1024, 1024, 1 << 16)];

/// Measurements of one kind, by map.
pub type ByMap<T> = Vec<(&'static str, T)>;

/// Bytes an entry of each map of numbers.
pub fn memory() -> ByMap<Bytes> {
    number_names().into_iter().map(|name| (name, bytes(MEMORY, name))).collect()
}

/// Bytes an entry of each map of text.
pub fn text_memory() -> ByMap<Bytes> {
    text_names().into_iter().map(|name| (name, bytes(TEXT_MEMORY, name))).collect()
}

/// Bytes an entry of each ordered map.
pub fn tree_memory() -> ByMap<Bytes> {
    let mut names = Names(vec![]);
    trees::all(&mut names);
    names.0.into_iter().map(|name| (name, bytes(TREE_MEMORY, name))).collect()
}

/// Pauses of each map of numbers while it grows.
pub fn worst(rounds: usize) -> ByMap<Pauses> {
    pauses(WORST, &number_names(), rounds)
}

/// The same while two threads insert, of the maps that two threads can fill.
pub fn worst_of_two(rounds: usize) -> ByMap<Pauses> {
    let mut names = FilledByTwo(Names(vec![]));
    rivals::numbers(&mut names);
    pauses(WORST_OF_TWO, &names.0.0, rounds)
}

/// Pauses of each map of numbers at rest.
pub fn tails(rounds: usize) -> ByMap<Pauses> {
    pauses(TAILS, &number_names(), rounds)
}

/// Pauses of each map of text at rest.
pub fn text_tails(rounds: usize) -> ByMap<Pauses> {
    pauses(TEXT_TAILS, &text_names(), rounds)
}

/// Measures the time of guards.
pub fn pins() -> ByMap<Pins> {
    let one = |name| {
        let [alone, own, held] = ask(PINS, name);
        (name, Pins { alone, own, held })
    };
    pins::NAMES.into_iter().map(one).collect()
}

/// Bytes an entry of each map behind two handles, for each of [`PAIR_SIZES`].
pub fn pair_memory() -> Vec<ByMap<PairBytes>> {
    let one = |what, name| {
        let [grown, peak] = ask(what, name);
        (name, PairBytes { grown, peak })
    };
    let all = |(what, bytes, _)| {
        let mut names = Names(vec![]);
        if bytes == 8 {
            pairs::numbers(&mut names);
        } else {
            pairs::words::<[u64; 8]>(&mut names);
        }
        names.0.into_iter().map(|name| one(what, name)).collect()
    };
    PAIR_SIZES.into_iter().map(all).collect()
}

/// Bytes an entry and a version of maps whose clones are versions: with numbers as keys, and with text.
pub fn version_memory() -> [ByMap<[f64; 4]>; 2] {
    [VERSION_MEMORY, VERSION_TEXT_MEMORY]
        .map(|what| version_names().into_iter().map(|name| (name, ask(what, name))).collect())
}

/// Pauses of upserts of such maps while versions are kept, and milliseconds of dropping a large map.
pub fn version_pauses(rounds: usize) -> (ByMap<Pauses>, ByMap<f64>) {
    let names = version_names();
    let drops = medians::<1>(VERSION_DROP, &names, rounds);
    (
        pauses(VERSION_PAUSES, &names, rounds),
        drops.into_iter().map(|(name, [ms])| (name, ms)).collect(),
    )
}

/// Upserts in a second by many threads while snapshots are taken, and their pauses.
pub fn crowd(rounds: usize) -> ByMap<(f64, Pauses)> {
    let mut names = Snapshots(vec![]);
    trees::with_snapshots(&mut names);
    let one = |(name, [rate, worst, p9999, p999, p99, median]): (_, [f64; 6])| {
        (name, (rate, Pauses { worst, p9999, p999, p99, median }))
    };
    medians::<6>(CROWD, &names.0, rounds).into_iter().map(one).collect()
}

/// The medians of `rounds` processes that took turns.
fn pauses(what: &str, names: &[&'static str], rounds: usize) -> ByMap<Pauses> {
    let one = |(name, [worst, p9999, p999, p99, median]): (_, [f64; 5])| {
        (name, Pauses { worst, p9999, p999, p99, median })
    };
    medians::<5>(what, names, rounds).into_iter().map(one).collect()
}

/// The same of any figures.
fn medians<const N: usize>(what: &str, names: &[&'static str], rounds: usize) -> ByMap<[f64; N]> {
    let turn = || -> Vec<_> { names.iter().map(|name| ask::<N>(what, name)).collect() };
    let runs: Vec<Vec<[f64; N]>> = (0..rounds).map(|_| turn()).collect();
    let middle = |map: usize, field: usize| {
        let values: Vec<_> = runs.iter().map(|run| run[map][field]).collect();
        median(&values).unwrap_or(f64::NAN)
    };
    let one = |(map, &name)| (name, std::array::from_fn(|field| middle(map, field)));
    names.iter().enumerate().map(one).collect()
}

/// The other side: measures `what` of the map called `name` and prints it.
///
/// # Panics
/// If there is no such map or nothing of the kind to measure.
pub fn answer(what: &str, name: &str) {
    if apart::answer(what, name) {
        return;
    }
    let mut clerk = Clerk { what, name, answered: false };
    match what {
        PINS => clerk.pins(),
        PAIRS_8 => pairs::numbers(&mut clerk),
        PAIRS_64 => pairs::words::<[u64; 8]>(&mut clerk),
        PAIRS_1024 => pairs::words::<[u64; 128]>(&mut clerk),
        TREE_MEMORY => trees::all(&mut clerk),
        CROWD => trees::with_snapshots(&mut clerk),
        VERSION_TEXT_MEMORY => versions::maps::<String>(&mut clerk),
        VERSION_MEMORY | VERSION_PAUSES | VERSION_DROP => versions::maps::<u64>(&mut clerk),
        TEXT_MEMORY | TEXT_TAILS => rivals::texts(&mut clerk),
        _ => rivals::numbers(&mut clerk),
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

/// The maps that two threads can fill at the same time.
struct FilledByTwo(Names);

impl Visitor<u64, u64> for FilledByTwo {
    fn visit<M: Bench<Key = u64, Value = u64>>(&mut self) {
        let (suite, workload) = (Suite::Words, Workload::Insert);
        if rivals::shared::<M>() && M::can(&Row { suite, workload, n: WORST_KEYS, threads: 2 }) {
            self.0.0.push(M::NAME);
        }
    }
}

impl<V: Word> pairs::Visitor<V> for Names {
    fn visit<P: Pair<V>>(&mut self) {
        self.0.push(P::NAME);
    }
}

impl trees::Visitor for Names {
    fn visit<T: Tree>(&mut self) {
        // A foil is a map of ours, and takes what that takes.
        if T::ROLE != Role::Foil {
            self.0.push(T::NAME);
        }
    }
}

impl versions::Visitor<u64> for Names {
    fn visit<M: Versioned<u64>>(&mut self) {
        self.0.push(M::NAME);
    }
}

/// The names of maps with snapshots that threads can share.
struct Snapshots(Vec<&'static str>);

impl trees::Visitor for Snapshots {
    fn visit<T: Tree>(&mut self) {
        let (suite, workload) = (Suite::Snapshots, Workload::Snapshot);
        if T::ROLE != Role::Yard && T::can(&Row { suite, workload, n: 1 << 20, threads: 2 }) {
            self.0.push(T::NAME);
        }
    }
}

fn version_names() -> Vec<&'static str> {
    let mut names = Names(vec![]);
    versions::maps::<u64>(&mut names);
    names.0
}

fn number_names() -> Vec<&'static str> {
    let mut names = Names(vec![]);
    rivals::numbers(&mut names);
    names.0
}

fn text_names() -> Vec<&'static str> {
    let mut names = Names(vec![]);
    rivals::texts(&mut names);
    names.0
}

/// Measures the one map that was asked for.
struct Clerk<'a> {
    what: &'a str,
    name: &'a str,
    answered: bool,
}

impl Clerk<'_> {
    fn pins(&mut self) {
        self.answered = pins::NAMES.contains(&self.name);
        // The system refuses this measurement.
        let none = Pins { alone: f64::NAN, own: f64::NAN, held: f64::NAN };
        let Pins { alone, own, held } = pins::measure(self.name).unwrap_or(none);
        println!("{alone} {own} {held}");
    }

    fn measure<M: Bench>(&mut self, source: &Source<M>, tail_keys: u64) {
        match self.what {
            MEMORY | TEXT_MEMORY => print(&memory::measure(source, MEMORY_KEYS)),
            TAILS | TEXT_TAILS => print_pauses(&tails::measure(source, tail_keys)),
            _ => self.answered = false,
        }
    }
}

impl Visitor<u64, u64> for Clerk<'_> {
    fn visit<M: Bench<Key = u64, Value = u64>>(&mut self) {
        if M::NAME != self.name {
            return;
        }
        self.answered = true;
        match self.what {
            WORST => return print_pauses(&worst::measure::<M>(WORST_KEYS, 1)),
            WORST_OF_TWO => return print_pauses(&worst::measure::<M>(WORST_KEYS, 2)),
            _ => {}
        }
        let value = |i| keys::value(keys::key(i), 0);
        self.measure(&Source::<M> { key: keys::key, value }, TAIL_KEYS);
    }
}

impl Visitor<String, String> for Clerk<'_> {
    fn visit<M: Bench<Key = String, Value = String>>(&mut self) {
        if M::NAME == self.name {
            self.answered = true;
            let source = Source::<M> { key: texts::key, value: texts::value };
            self.measure(&source, TEXT_TAIL_KEYS);
        }
    }
}

impl<V: Word> pairs::Visitor<V> for Clerk<'_> {
    fn visit<P: Pair<V>>(&mut self) {
        if P::NAME != self.name {
            return;
        }
        self.answered = true;
        let known = PAIR_SIZES.iter().find(|(what, ..)| *what == self.what);
        let &(_, _, n) = known.expect("a clerk for pairs is asked for pairs");
        let PairBytes { grown, peak } = memory::measure_pair::<V, P>(n);
        println!("{grown} {peak}");
    }
}

impl trees::Visitor for Clerk<'_> {
    fn visit<T: Tree>(&mut self) {
        if T::NAME == self.name {
            self.answered = true;
            if self.what == CROWD {
                let (rate, pauses) = of_versions::crowd::<T>();
                print!("{rate} ");
                return print_pauses(&pauses);
            }
            print(&memory::measure_tree::<T>(MEMORY_KEYS));
        }
    }
}

impl versions::Visitor<u64> for Clerk<'_> {
    fn visit<M: Versioned<u64>>(&mut self) {
        if M::NAME != self.name {
            return;
        }
        self.answered = true;
        match self.what {
            VERSION_PAUSES => print_pauses(&of_versions::pauses::<M>()),
            VERSION_DROP => println!("{}", of_versions::drop_all::<M>()),
            _ => print_versions::<u64, M>(),
        }
    }
}

impl versions::Visitor<String> for Clerk<'_> {
    fn visit<M: Versioned<String>>(&mut self) {
        if M::NAME == self.name {
            self.answered = true;
            print_versions::<String, M>();
        }
    }
}

fn print_versions<K: Key, M: Versioned<K>>() {
    let [entry, one, hundred, many] = of_versions::memory::<K, M>();
    println!("{entry} {one} {hundred} {many}");
}

fn print_pauses(p: &Pauses) {
    println!("{} {} {} {} {}", p.worst, p.p9999, p.p999, p.p99, p.median);
}

fn print(b: &Bytes) {
    println!("{} {} {} {} {}", b.grown, b.peak, b.mean, b.churned, b.churned_peak);
}

fn bytes(what: &str, name: &str) -> Bytes {
    let [grown, peak, mean, churned, churned_peak] = ask(what, name);
    Bytes { grown, peak, mean, churned, churned_peak }
}

/// Has a process of its own measure `what` of the map called `name`.
pub(crate) fn ask<const N: usize>(what: &str, name: &str) -> [f64; N] {
    eprintln!("{what}: {}", name.replace('\n', " "));
    let program = std::env::current_exe().expect("the program knows where it is");
    let mut child = Command::new(program);
    let child = child.args([OPTION, what, name]).stderr(Stdio::inherit());
    let output = child.output().expect("the program can start itself");
    assert!(output.status.success(), "measuring {what} of {name} failed");
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    numbers.try_into().expect("as many figures as were asked for")
}
