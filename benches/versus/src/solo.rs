//! Measurements that want a process of their own: the program starts itself
//! once for each map, and reads the figures back.

use std::process::{Command, Stdio};

use crate::contest::{NAMES, median};
use crate::memory::{self, Bytes};
use crate::rivals::{Bench, Dash, Flat, Locked, Papaya, Scc, Yard};
use crate::spin_locks::SpinLocks;
use crate::worst::{self, Pauses};

/// The option that makes the program one of these processes.
pub const OPTION: &str = "--solo";

/// Keys at which memory is measured.
pub const MEMORY_KEYS: u64 = 1 << 20;

/// Keys up to which single insertions are timed.
pub const WORST_KEYS: usize = 1 << 22;

/// Bytes an entry of each map.
pub fn memory() -> Vec<(&'static str, Bytes)> {
    let one = |name| {
        let [grown, peak, mean, churned, churned_peak] = ask("memory", name);
        (name, Bytes { grown, peak, mean, churned, churned_peak })
    };
    NAMES.into_iter().map(one).collect()
}

/// Pauses of each map, the medians of `rounds` processes that took turns.
pub fn worst(rounds: usize) -> Vec<(&'static str, Pauses)> {
    let runs: Vec<_> = (0..rounds).map(|_| NAMES.map(|name| ask::<4>("worst", name))).collect();
    let middle = |map: usize, field: usize| {
        let values: Vec<_> = runs.iter().map(|run| run[map][field]).collect();
        median(&values).unwrap_or(f64::NAN)
    };
    let one = |(map, name)| {
        let [worst, p9999, p99, median] = std::array::from_fn(|field| middle(map, field));
        (name, Pauses { worst, p9999, p99, median })
    };
    NAMES.into_iter().enumerate().map(one).collect()
}

/// The other side: measures `what` of the map called `name` and prints it.
///
/// # Panics
/// If there is no such map or nothing of the kind to measure.
pub fn answer(what: &str, name: &str) {
    match name {
        Yard::NAME => print::<Yard>(what),
        Flat::NAME => print::<Flat>(what),
        Papaya::NAME => print::<Papaya>(what),
        Dash::NAME => print::<Dash>(what),
        Scc::NAME => print::<Scc>(what),
        Locked::NAME => print::<Locked>(what),
        SpinLocks::NAME => print::<SpinLocks>(what),
        _ => panic!("no map is called {name}"),
    }
}

fn print<M: Bench>(what: &str) {
    match what {
        "memory" => {
            let b = memory::measure::<M>(MEMORY_KEYS);
            println!("{} {} {} {} {}", b.grown, b.peak, b.mean, b.churned, b.churned_peak);
        }
        "worst" => {
            let p = worst::measure::<M>(WORST_KEYS);
            println!("{} {} {} {}", p.worst, p.p9999, p.p99, p.median);
        }
        _ => panic!("nothing called {what} is measured"),
    }
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
